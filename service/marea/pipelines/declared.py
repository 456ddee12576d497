"""What every declared pipeline does alike, whatever runs its steps: keys, size limit, manifest.

`DeclaredPipeline.run` is the one place where trouble with a file becomes a `PermanentError`:
subclasses implement `_produce` only.
"""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from typing import Any

from marea.errors import PermanentError
from marea.pipelines.definition import Definition
from marea.pipelines.guards import check_size
from marea.pipelines.pipeline import Artifact, Produced, Source
from marea.pipelines.result_keys import MANIFEST_TEMPLATE, ResultTemplate


class DeclaredPipeline(ABC):
    """A `Pipeline` made from a `Definition`."""

    def __init__(self, definition: Definition) -> None:
        self.definition = definition
        self._digest = definition.digest()

    @property
    def name(self) -> str:
        return self.definition.name

    @property
    def digest(self) -> str:
        return self._digest

    @property
    def pool(self) -> str:
        return self.definition.pool

    @property
    def max_bytes(self) -> int:
        return self.definition.limits["max_bytes"]

    def result_keys(self, key: str) -> tuple[str, ...]:
        """One per role, then the manifest's. Raises `PermanentError` (`key-too-long`)."""
        keys = tuple(self.result_key(key, role) for role in self.definition.outputs.roles)
        return (*keys, self._manifest_key(key)) if self.definition.manifest else keys

    def result_key(self, key: str, role: str = "") -> str:
        """The friendly key of one role."""
        return self.definition.result.fill(
            key, pipeline=self.name, extension=self.definition.outputs.extension, role=role
        )

    def run(self, source: Source) -> Produced:
        check_size(len(source.data), self.max_bytes)
        self.result_keys(source.key)  # Too long a key is told before any work is done.
        try:
            produced = self._produce(source)
        except MemoryError as exc:
            raise PermanentError(
                f"pipeline {self.name!r} ran out of memory on this file of"
                f" {len(source.data):,} bytes; upload a smaller one, or raise the worker's"
                " memory limit and replay the job",
                code="out-of-memory",
            ) from exc
        if not self.definition.manifest:
            return produced
        manifest = self._manifest(source.key, produced)
        return Produced((*produced.artifacts, manifest), produced.details, produced.timings_s)

    @abstractmethod
    def _produce(self, source: Source) -> Produced:
        """The artifacts without manifest. Raises `PermanentError`; MemoryError is wrapped."""

    def _manifest_key(self, key: str) -> str:
        return ResultTemplate(MANIFEST_TEMPLATE).fill(key, pipeline=self.name, extension=None)

    def _manifest(self, key: str, produced: Produced) -> Artifact:
        content: dict[str, Any] = {
            "source": key,
            "pipeline": self.name,
            "digest": self.digest,
            "outputs": [
                {
                    "key": artifact.key,
                    "role": artifact.role,
                    "content_type": artifact.content_type,
                    "size_bytes": len(artifact.data),
                    "sha256": hashlib.sha256(artifact.data).hexdigest(),
                    "width_px": artifact.width_px,
                    "height_px": artifact.height_px,
                }
                for artifact in produced.artifacts
            ],
            "details": produced.details,
        }
        text = json.dumps(content, indent=2, sort_keys=True)
        return Artifact(
            self._manifest_key(key), text.encode("ascii"), "application/json", role="manifest"
        )
