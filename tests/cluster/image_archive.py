"""An image as a file: its configuration, its layers, and the files that they add up to.

Read from what `buildah` keeps, without running anything in it.
"""

from __future__ import annotations

import json
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

REMOVED = ".wh."
"""Start of the name by which a layer says that a file of those below is gone."""


@dataclass(frozen=True)
class ImageArchive:
    """`config` is the OCI image configuration; `layers` is digest -> bytes, uncompressed."""

    config: dict[str, Any]
    layers: dict[str, int]
    files: dict[str, tarfile.TarInfo]

    def bytes_beyond(self, base: ImageArchive) -> int:
        """Size of the layers that `base` has not."""
        assert set(base.layers) <= set(self.layers), "the image was built on another base"
        return sum(size for digest, size in self.layers.items() if digest not in base.layers)


def read_image(tag: str, folder: Path) -> ImageArchive:
    """The image that buildah knows as `tag`; `folder` is for a copy of it, removed again."""
    file = folder / "image.tar"
    subprocess.run(
        ["buildah", "push", "--quiet", tag, f"docker-archive:{file}:{tag}"],
        check=True,
        capture_output=True,
    )
    try:
        with tarfile.open(file) as archive:
            [manifest] = json.load(_member(archive, "manifest.json"))
            config = json.load(_member(archive, manifest["Config"]))
            sizes = [archive.getmember(name).size for name in manifest["Layers"]]
            files: dict[str, tarfile.TarInfo] = {}
            for name in manifest["Layers"]:
                with tarfile.open(fileobj=_member(archive, name)) as layer:
                    _lay(layer, files)
    finally:
        file.unlink()
    return ImageArchive(config, dict(zip(config["rootfs"]["diff_ids"], sizes, strict=True)), files)


def _lay(layer: tarfile.TarFile, files: dict[str, tarfile.TarInfo]) -> None:
    """Put a layer's files on top of those of the layers below."""
    for entry in layer:
        path = "/" + entry.name.strip("./")
        folder, _, name = path.rpartition("/")
        if not name.startswith(REMOVED):
            files[path] = entry
            continue
        gone = f"{folder}/{name.removeprefix(REMOVED)}"
        for known in [known for known in files if known == gone or known.startswith(f"{gone}/")]:
            del files[known]


def _member(archive: tarfile.TarFile, name: str) -> Any:
    file = archive.extractfile(name)
    assert file is not None, name
    return file
