"""Small zip archives with members changed: packed again in their order, with their checksums right (PKWARE APPNOTE).

A CRC-32 is under no key; a verifier that stops there has not looked at the digest.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from typing import Final

from checker.errors import FormatError, LimitError
from checker.formats import _zip
from checker.io.limits import MAX_HEADER
from checker.model.artifact import Source

_METHODS: Final = {0: zipfile.ZIP_STORED, 8: zipfile.ZIP_DEFLATED}
_DATE: Final = (1980, 1, 1, 0, 0, 0)


def contents(source: Source) -> dict[str, bytes]:
    """Return the content of every file of an archive.

    Raises:
        LimitError: it has more than `MAX_HEADER` bytes, packed or unpacked.
        FormatError: it is damaged, or a member cannot be read.
    """
    archive = _zip.read(source)
    members = [member for member in archive.members if member.kind == "file"]
    if max(source.size, sum(member.size for member in members)) > MAX_HEADER:
        raise LimitError(f"more than MAX_HEADER ({MAX_HEADER}) bytes, which are not packed again", field="zip")
    return {member.name: archive.open(member).read(0, member.size) for member in members}


def with_members(source: Source, new: Mapping[str, bytes | None]) -> bytes:
    """Return the archive with other bytes for some members, or without them (None).

    Raises:
        LimitError: it is too large to be packed again.
        FormatError: it is damaged, or a member cannot be read.
    """
    kept = {name: new.get(name, data) for name, data in contents(source).items()}
    methods = {member.name: _METHODS.get(member.method, zipfile.ZIP_DEFLATED) for member in _zip.read(source).members}
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in kept.items():
            if data is not None:
                archive.writestr(_info(name), data, methods[name])
    return out.getvalue()


def _info(name: str) -> zipfile.ZipInfo:
    if "\0" in name:
        raise FormatError("a name with a NUL byte", field="zip")
    return zipfile.ZipInfo(name, _DATE)
