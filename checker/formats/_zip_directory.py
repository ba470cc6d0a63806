"""The two records that describe a whole zip, end record and central directory (APPNOTE.TXT 6.3.10, 4.3.12 to 16)."""

from __future__ import annotations

import stat
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from checker.errors import FormatError, LimitError
from checker.io.limits import MAX_HEADER, MAX_MEMBERS
from checker.io.reader import Reader
from checker.model.artifact import Source, Span

CENTRAL, END = b"PK\x01\x02", b"PK\x05\x06"
_END64, _LOCATOR64 = b"PK\x06\x06", b"PK\x06\x07"
END_SIZE: Final = 22  # bytes of an end record without its comment, APPNOTE 4.3.16
_LOCATOR_SIZE, _END64_SIZE, _CENTRAL_SIZE = 20, 56, 46  # bytes, APPNOTE 4.3.12 to 4.3.15
MAX_COMMENT: Final = 0xFFFF  # bytes, APPNOTE 4.3.16: so far from the end an end record may begin
_FULL16, _FULL32 = 0xFFFF, 0xFFFFFFFF  # "see the zip64 field"
UTF8_NAME: Final = 0x800  # general purpose flag, APPNOTE 4.4.4
EXTRA64, EXTRA_AES, _EXTRA_NAME = 0x0001, 0x9901, 0x7075
_UNIX_HOSTS: Final = frozenset({3, 19})  # "version made by": Unix and OS X keep the file mode in the upper attributes
TEXT: Final = 200  # characters of a name in a message


# The end record


def tail_of(source: Source) -> tuple[int, bytes]:
    """Return the last bytes, as far back as an end record may begin, and where they begin."""
    start = max(0, source.size - END_SIZE - MAX_COMMENT)
    return start, source.read(start, source.size - start)


def ends(source: Source, start: int, tail: bytes) -> Iterator[int]:
    """Yield where a complete end record may begin, in order."""
    at = tail.find(END)
    while at >= 0:
        comment = int.from_bytes(tail[at + 20 : at + 22], "little")
        if start + at + END_SIZE + comment <= source.size and len(tail) - at >= END_SIZE:
            yield start + at
        at = tail.find(END, at + 1)


def directory_at(source: Source, offset: int) -> bool:
    """Return whether the end record at `offset` leads to a directory; never raises."""
    try:
        end = End.read(source, offset)
    except FormatError:
        return False
    return end.count > 0 and source.read(end.directory.start, 4) == CENTRAL


@dataclass(frozen=True)
class End:
    """What the end record says, zip64 taken in. `shift` is how many bytes were put before a finished archive."""

    offset: int
    directory: Span
    count: int
    shift: int
    comment: bytes

    @classmethod
    def read(cls, source: Source, offset: int) -> End:
        """Return the end record at `offset`.

        Raises:
            LimitError: it counts more than `MAX_MEMBERS` members.
            FormatError: it is cut short, of several volumes, or leads to two directories or to none.
        """
        reader = Reader(source, offset)
        reader.skip(4, "zip end")
        disk, directory_disk = reader.integer(2, "disk"), reader.integer(2, "directory disk")
        here, count = reader.integer(2, "entries here"), reader.integer(2, "entries")
        size, start = reader.integer(4, "directory size"), reader.integer(4, "directory offset")
        comment = reader.take(reader.integer(2, "comment length"), "comment")
        behind = offset
        if _FULL16 in {disk, directory_disk, here, count} or _FULL32 in {size, start}:
            behind, (disk, directory_disk, here, count, size, start) = _end64(
                source, offset, (disk, directory_disk, here, count, size, start)
            )
        if disk or directory_disk or here != count:
            raise FormatError("the archive is one of several volumes", offset=offset, field="zip end")
        if count > MAX_MEMBERS:
            raise LimitError(f"{count} members, at most MAX_MEMBERS ({MAX_MEMBERS})", offset=offset, field="zip end")
        shift = behind - size - start
        if shift < 0:
            message = f"the directory ({size} bytes at {start:#x}) does not end before the end record"
            raise FormatError(message, offset=offset, field="zip directory")
        if shift and source.read(start, 4) == CENTRAL:
            message = f"one reader finds the directory at {start:#x}, another at {start + shift:#x}"
            raise FormatError(message, offset=offset, field="zip directory")
        return cls(offset, Span(start + shift, behind), count, shift, comment)


_Numbers = tuple[int, int, int, int, int, int]


def _end64(source: Source, offset: int, stated: _Numbers) -> tuple[int, _Numbers]:
    """Return where the zip64 end record begins and the six numbers, each from it where the old one is full.

    A full old number without a zip64 record stands for itself: 65535 members are allowed.
    """
    if offset < _LOCATOR_SIZE or source.read(offset - _LOCATOR_SIZE, 4) != _LOCATOR64:
        return offset, stated
    at = offset - _LOCATOR_SIZE - _END64_SIZE
    if at < 0 or source.read(at, 4) != _END64:
        raise FormatError("does not lie directly before its locator", offset=offset, field="zip64 end record")
    reader = Reader(source, at + 4)
    if reader.integer(8, "zip64 end size") != _END64_SIZE - 12:
        raise FormatError("has fields that are not read here", offset=at, field="zip64 end record")
    reader.skip(4, "zip64 versions")
    sizes = (4, 4, 8, 8, 8, 8)
    large = tuple(reader.integer(size, "zip64 end record") for size in sizes)
    limits = (_FULL16, _FULL16, _FULL16, _FULL16, _FULL32, _FULL32)
    for old, new, full in zip(stated, large, limits, strict=True):
        if old not in {full, new}:
            message = f"says {new} where the end record says {old}"
            raise FormatError(message, offset=at, field="zip64 end record")
    return at, (large[0], large[1], large[2], large[3], large[4], large[5])


# The directory


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One entry of the central directory, zip64 taken in."""

    at: int
    flags: int
    method: int
    crc32: int
    packed: int
    size: int
    raw_name: bytes
    name: str
    link: bool
    local: int
    extra: dict[int, bytes]


def read_entries(source: Source, end: End) -> Iterator[Entry]:
    """Yield the entries of the directory.

    Raises:
        LimitError: it has more than `MAX_HEADER` bytes.
        FormatError: it is damaged, or does not hold as many entries as the end record counts.
    """
    size = end.directory.size
    if size > MAX_HEADER:
        message = f"the directory has {size} bytes, at most MAX_HEADER ({MAX_HEADER})"
        raise LimitError(message, offset=end.directory.start, field="zip directory")
    reader = Reader(source, end.directory.start, end.directory.end)
    for _ in range(end.count):
        yield _entry(reader, end)
    if reader.left:
        message = f"{reader.left} bytes follow the {end.count} entries that the end record counts"
        raise FormatError(message, offset=reader.offset, field="zip directory")


def _entry(reader: Reader, end: End) -> Entry:
    at = reader.offset
    head = reader.take(_CENTRAL_SIZE, "zip directory")
    if head[:4] != CENTRAL:
        raise FormatError("is no entry of the directory", offset=at, field="zip directory")
    word = words(head)
    raw_name = reader.take(word(28, 2), "zip name")
    extra = extra_fields(reader.take(word(30, 2), "zip extra"), at)
    reader.skip(word(32, 2), "zip entry comment")
    size, packed, local = large(extra.get(EXTRA64, b""), (word(24, 4), word(20, 4), word(42, 4)), at)
    host, mode = word(4, 2) >> 8, word(38, 4) >> 16
    return Entry(
        at=at,
        flags=word(8, 2),
        method=word(10, 2),
        crc32=word(16, 4),
        packed=packed,
        size=size,
        raw_name=raw_name,
        name=_name(raw_name, word(8, 2), extra, at),
        link=host in _UNIX_HOSTS and stat.S_ISLNK(mode),
        local=local + end.shift,
        extra=extra,
    )


class words:  # noqa: N801 - reads like a function: `word(offset, size)`
    """The little-endian numbers of a header."""

    def __init__(self, head: bytes) -> None:
        self._head = head

    def __call__(self, offset: int, size: int) -> int:
        return int.from_bytes(self._head[offset : offset + size], "little")


def extra_fields(data: bytes, at: int) -> dict[int, bytes]:
    """Return the extra fields by id, the first of each; padding at the end, as zipalign leaves it, is skipped."""
    fields: dict[int, bytes] = {}
    offset = 0
    while len(data) - offset >= 4:  # noqa: PLR2004 - id and size
        kind = int.from_bytes(data[offset : offset + 2], "little")
        size = int.from_bytes(data[offset + 2 : offset + 4], "little")
        if offset + 4 + size > len(data):
            if kind:
                raise FormatError("an extra field is longer than all of them", offset=at, field="zip extra")
            return fields
        if kind in fields and kind in {EXTRA64, EXTRA_AES, _EXTRA_NAME}:
            raise FormatError(f"extra field {kind:#06x} occurs twice", offset=at, field="zip extra")
        fields.setdefault(kind, data[offset + 4 : offset + 4 + size])
        offset += 4 + size
    return fields


def large(extra: bytes, stated: Iterable[int], at: int) -> tuple[int, int, int]:
    """Return size, packed size and header offset, each from the zip64 field where the old one is full (4.5.3)."""
    found, offset = [], 0
    for old in stated:
        if old != _FULL32:
            found.append(old)
            continue
        if len(extra) - offset < 8:  # noqa: PLR2004 - bytes of a large number
            raise FormatError("the zip64 field is too short", offset=at, field="zip extra")
        found.append(int.from_bytes(extra[offset : offset + 8], "little"))
        offset += 8
    return found[0], found[1], found[2]


def _name(raw: bytes, flags: int, extra: dict[int, bytes], at: int) -> str:
    """Return a name; without the UTF-8 flag it may be in any code page, of which UTF-8 and 437 are tried."""
    try:
        name = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        if flags & UTF8_NAME:
            raise FormatError("is not the UTF-8 that its flag promises", offset=at, field="zip name") from error
        name = raw.decode("cp437")
    other = extra.get(_EXTRA_NAME, b"")
    if len(other) > 5 and other[1:5] == zlib.crc32(raw).to_bytes(4, "little") and other[5:] != raw:  # noqa: PLR2004
        raise FormatError(f"{name[:TEXT]!r} has a second, different name", offset=at, field="zip name")
    parts = name.replace("\\", "/").split("/")
    if not name or "\x00" in name or parts[0] == "" or ".." in parts or parts[0][1:2] == ":":
        raise FormatError(f"{name[:TEXT]!r} leads out of the archive", offset=at, field="zip name")
    return name
