"""cpio archives in the "new ASCII" forms 070701 (newc) and 070702 (newc with checksums).

Source: cpio(5) "New ASCII Format" and "New CRC Format"; swupdate core/cpio_utils.c for the limits of names.
Refused, because readers disagree about them: duplicate names, names that lead elsewhere, and anything but plain files.
"""

from __future__ import annotations

import re
import stat
from dataclasses import dataclass
from typing import Final

from checker.errors import FormatError, LimitError
from checker.io.digests import ADLER, DigestRequest
from checker.io.limits import MAX_MEMBERS
from checker.io.reader import Reader
from checker.model.artifact import Source, Span

MAGICS: Final = (b"070701", b"070702")
MAX_NAME: Final = 256  # bytes with the final NUL: swupdate's MAX_IMAGE_FNAME
_HEADER: Final = 110  # bytes: magic and 13 fields of 8 hex digits
_FIELDS: Final = re.compile(rb"[0-9A-Fa-f]{104}\Z")
_MODE, _SIZE, _NAME_SIZE, _CHECK = 1, 6, 11, 12  # indices of the fields
_TRAILER: Final = "TRAILER!!!"
_MODULUS: Final = 65_521  # of Adler-32 (RFC 1950, 8.2)


@dataclass(frozen=True)
class Member:
    """One file of the archive; `checksum` is the stated sum of its bytes, None for 070701."""

    name: str
    span: Span
    checksum: int | None


@dataclass(frozen=True)
class Archive:
    """All members in order, and where the archive ends (the trailer included)."""

    members: tuple[Member, ...]
    end: int


def first_name(source: Source) -> str:
    """Return the name of the first member, or nothing where this is no such archive."""
    if source.read(0, 6) not in MAGICS:
        return ""
    try:
        name, _, _ = _head(Reader(source))
    except FormatError:
        return ""
    return name


def read_archive(source: Source) -> Archive:
    """Return the members of an archive.

    Raises:
        FormatError: a header is damaged, a name is used twice or leads elsewhere, a member is no plain file, or the
            trailer is missing.
        LimitError: there are more than `MAX_MEMBERS` members, or a name is longer than `MAX_NAME`.
    """
    reader = Reader(source)
    members: dict[str, Member] = {}
    while True:
        start = reader.offset
        name, fields, crc = _head(reader)
        if name == _TRAILER:
            return Archive(tuple(members.values()), reader.offset)
        _check(name, fields, start, members)
        span = Span(reader.offset, reader.offset + fields[_SIZE])
        reader.skip(span.size, f"content of {name}")
        _align(reader)
        members[name] = Member(name, span, fields[_CHECK] if crc else None)
        if len(members) > MAX_MEMBERS:
            raise LimitError(f"more than MAX_MEMBERS ({MAX_MEMBERS}) members", offset=start, field="cpio")


def _head(reader: Reader) -> tuple[str, tuple[int, ...], bool]:
    """Return name, fields and whether the check field counts."""
    start = reader.offset
    head = reader.take(_HEADER, "cpio header")
    if head[:6] not in MAGICS or not _FIELDS.match(head, 6):
        raise FormatError("no cpio header (070701 or 070702) where one belongs", offset=start, field="cpio header")
    fields = tuple(int(head[at : at + 8], 16) for at in range(6, _HEADER, 8))
    raw = reader.take(fields[_NAME_SIZE], "c_namesize", limit=MAX_NAME)
    if not raw.endswith(b"\x00") or b"\x00" in raw[:-1]:
        raise FormatError("the name does not end with its only NUL byte", offset=start, field="c_namesize")
    _align(reader)
    return raw[:-1].decode("utf-8", "backslashreplace"), fields, head[:6] == MAGICS[1]


def _align(reader: Reader) -> None:
    """Move on to the next multiple of four, which may lie behind the end of the last member."""
    reader.skip(min(-reader.offset % 4, reader.left), "padding")


def _check(name: str, fields: tuple[int, ...], offset: int, members: dict[str, Member]) -> None:
    parts = name.split("/")
    if not name or name.startswith("/") or ".." in parts:
        raise FormatError(f"the name {name!r} leads out of the archive", offset=offset, field="name")
    if name in members:
        raise FormatError(f"the name {name!r} occurs twice", offset=offset, field="name")
    if stat.S_IFMT(fields[_MODE]) not in {0, stat.S_IFREG}:
        raise FormatError(f"{name!r} is no plain file (mode {fields[_MODE]:o})", offset=offset, field="c_mode")


def sum_request(source: Source, member: Member) -> DigestRequest:
    """Return what to compute for the check field of a member: Adler-32, whose low half carries the sum of all bytes."""
    return DigestRequest.over(ADLER, source, member.span)


def sum_matches(member: Member, adler: bytes) -> bool:
    """Return whether a member's bytes fit its check field: their sum modulo 2^32 (070702), here modulo 65521.

    Whoever changes bytes on purpose repairs the sum; it finds accidents, and an accident escapes once in 65,521 times.
    """
    return member.checksum is None or (int.from_bytes(adler[2:]) - 1) % _MODULUS == member.checksum % _MODULUS
