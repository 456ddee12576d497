"""Where results are put: a template per pipeline, filled from the source's key alone.

Known without the content, so that the commit can read what is there and a sweep can tell a
missing result from a fresh one. Pure text: nothing here looks at a bucket.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from string import Formatter

from marea.errors import PermanentError

KEY_LIMIT_BYTES = 1024
"""S3's limit of a key's UTF-8 length; every store that speaks S3 has this or a lower one."""

PLACEHOLDERS = ("dir", "stem", "ext", "source_ext", "pipeline", "role", "width")

DEFAULT_TEMPLATE = "{dir}{stem}_{pipeline}{ext}"
DEFAULT_SIZES_TEMPLATE = "{dir}{stem}_{pipeline}_{width}{ext}"
MANIFEST_TEMPLATE = "{dir}{stem}_{pipeline}.manifest.json"

_EXTENSION = re.compile(r"\.[A-Za-z0-9]{1,10}\Z")
"""Longer or stranger endings are part of the name: `minutes v1.2 final` has no extension."""


@dataclass(frozen=True, slots=True)
class KeyParts:
    """`a/b/photo.jpg` is dir `a/b/`, stem `photo`, ext `.jpg`; joined they are the key."""

    dir: str
    stem: str
    ext: str


def split_key(key: str) -> KeyParts:
    """Cut a key; never fails. A leading dot starts a name, not an extension (`.profile`)."""
    slash = key.rfind("/") + 1
    folder, name = key[:slash], key[slash:]
    match = _EXTENSION.search(name)
    if match is None or match.start() == 0:
        return KeyParts(folder, name, "")
    return KeyParts(folder, name[: match.start()], match.group())


@dataclass(frozen=True, slots=True)
class ResultTemplate:
    """A result key with placeholders; check it with `template_problems` before use."""

    text: str

    def fill(self, key: str, *, pipeline: str, extension: str | None, role: str = "") -> str:
        """The friendly key. `extension` (with dot) replaces the source's; None keeps that.

        Raises `PermanentError` (`key-too-long`) above 1,024 bytes of UTF-8.
        """
        parts = split_key(key)
        filled = self.text.format(
            dir=parts.dir,
            stem=parts.stem,
            ext=parts.ext if extension is None else extension,
            source_ext=parts.ext,
            pipeline=pipeline,
            role=role,
            width=role,
        )
        size_bytes = len(filled.encode("utf-8", "surrogatepass"))
        if size_bytes > KEY_LIMIT_BYTES:
            raise PermanentError(
                f"the result key would be {size_bytes:,} bytes long and a key may have"
                f" {KEY_LIMIT_BYTES:,}; upload under a shorter name",
                code="key-too-long",
            )
        return filled


def template_problems(text: str, *, has_roles: bool) -> list[str]:
    """What is wrong with a template, as sentences without a subject; [] if nothing."""
    try:
        fields = [part for part in Formatter().parse(text) if part[1] is not None]
    except ValueError as exc:
        return [f"is not a template ({exc}); write a literal brace twice"]
    problems = []
    names = {str(name) for _, name, _, _ in fields}
    for name in sorted(names.difference(PLACEHOLDERS)):
        known = ", ".join(f"{{{placeholder}}}" for placeholder in PLACEHOLDERS)
        problems.append(f"has the unknown placeholder {{{name}}}; known are {known}")
    if any(form or conversion for _, _, form, conversion in fields):
        problems.append("has a placeholder with ':' or '!'; a name alone is allowed")
    for needed in ("dir", "stem"):
        if needed not in names:
            problems.append(f"has no {{{needed}}}: different uploads would share one result")
    has_role_field = bool(names & {"role", "width"})
    if has_roles and not has_role_field:
        problems.append("has no {width} or {role}: the sizes would share one result")
    if has_role_field and not has_roles:
        problems.append("has {width} or {role}, and there is no `sizes` step to fill it")
    if text.startswith("/"):
        problems.append("starts with '/': keys have no leading slash")
    if any(ord(character) < 32 or ord(character) == 127 for character in text):
        problems.append("contains a control character")
    return problems
