"""Tar archives, read member by member without unpacking (POSIX.1-1988 ustar, POSIX.1-2001 pax, GNU long names).

`members` takes only regular files: in an update format of its own, a link, a device or a folder has no use, and readers
differ about them. `entries` yields all kinds, for archives of unknown origin.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from checker.errors import FormatError, LimitError
from checker.io.limits import MAX_MEMBERS
from checker.model.artifact import Source, Span

BLOCK: Final = 512  # bytes
MAX_NAME: Final = 64 * 1024  # bytes of a long name or of a pax header
_CHECKSUM: Final = slice(148, 156)
_REGULAR: Final = frozenset({b"0", b"\x00", b"7"})
_WORDS: Final = {b"1": "a hard link", b"2": "a symbolic link", b"5": "a folder"}
_KINDS: Final = {b"1": "link", b"2": "link", b"3": "device", b"4": "device", b"5": "folder", b"6": "device"}
_BINARY: Final = 0x80  # GNU: the number is in base 256


@dataclass(frozen=True)
class Member:
    """An entry of an archive; `span` is its content, relative to the archive's source.

    `kind` is `file`, `link` (hard or symbolic), `folder` or `device`.
    """

    name: str
    span: Span
    kind: str = "file"


@dataclass
class _Extra:
    """What extended headers say about the next member."""

    name: str = ""
    size: int | None = None


@dataclass(frozen=True)
class _Head:
    offset: int
    block: bytes = field(repr=False)

    @property
    def kind(self) -> bytes:
        return self.block[156:157]

    def number(self, part: slice, name: str) -> int:
        """Return a numeric field, in octal digits or in GNU's base 256."""
        raw = self.block[part]
        if raw[0] & _BINARY:
            return int.from_bytes(bytes([raw[0] & 0x7F]) + raw[1:], "big")
        text = raw.strip(b" \x00")
        if not all(byte in b"01234567" for byte in text):
            raise self.error(f"is not an octal number: {raw.hex(' ')}", name)
        return int(text, 8) if text else 0

    def name(self) -> str:
        """Return the name of the header itself, with ustar's prefix."""
        name, prefix = self.block[:100].split(b"\x00", 1)[0], b""
        if self.block[257:263] == b"ustar\x00":
            prefix = self.block[345:500].split(b"\x00", 1)[0]
        return self.text(prefix + b"/" + name if prefix else name)

    def text(self, raw: bytes) -> str:
        try:
            return raw.decode("utf-8")
        except UnicodeDecodeError as error:
            raise self.error("is not UTF-8 text", "name") from error

    def error(self, message: str, name: str) -> FormatError:
        return FormatError(message, offset=self.offset, field=f"tar {name}")


def first_member(source: Source) -> Member | None:
    """Return the first member where the bytes begin like a tar archive, else None."""
    try:
        return next(members(source), None)
    except FormatError:
        return None


def looks_like(source: Source) -> bool:
    """Return whether bytes begin with a tar header, whatever it is of; bounded, and never raises by itself."""
    try:
        return _head(source, 0) is not None
    except FormatError:
        return False


def members(source: Source) -> Iterator[Member]:
    """Yield the regular files of an archive in order, until the two empty blocks that end it, or its last byte.

    The content is not read; a source that can only go forward is read forward.

    Raises:
        LimitError: there are more than `MAX_MEMBERS`, or an extended header is too long.
        FormatError: a header is damaged, cut short, names a place outside, or is of a link, a device or a folder.
    """
    return _walk(source, every=False)


def entries(source: Source) -> Iterator[Member]:
    """Yield the entries of an archive in order, of every kind; otherwise as `members`.

    Raises:
        LimitError: there are more than `MAX_MEMBERS`, or an extended header is too long.
        FormatError: a header is damaged, cut short, names a place outside, or is of a kind that is not read (sparse).
    """
    return _walk(source, every=True)


def _walk(source: Source, *, every: bool) -> Iterator[Member]:
    offset, extra = 0, _Extra()
    for _ in range(MAX_MEMBERS + 1):
        head = _head(source, offset)
        if head is None:
            return
        size = head.number(slice(124, 136), "size")
        start = offset + BLOCK
        if head.kind in {b"L", b"x", b"g"}:
            data = _extended(source, head, start, size)
            _read_extended(head, data, extra)
        elif not (every and head.kind == b"K"):  # the long target of a link, which is not followed
            member = _entry(head, start, extra, size) if every else _member(head, start, extra, size)
            yield member
            size = member.span.size
            extra = _Extra()
        offset = start + -(-size // BLOCK) * BLOCK
    raise LimitError(f"more than MAX_MEMBERS ({MAX_MEMBERS}) members", offset=offset, field="tar")


def _head(source: Source, offset: int) -> _Head | None:
    block = source.read(offset, BLOCK)
    head = _Head(offset, block)
    if not block.strip(b"\x00"):
        if source.read(offset + BLOCK, BLOCK).strip(b"\x00"):
            raise head.error("one empty block, then more: readers differ about the end", "end")
        return None  # the end, with or without its two empty blocks
    if len(block) < BLOCK:
        raise head.error(f"{BLOCK} bytes needed, {len(block)} left", "header")
    stated = head.number(_CHECKSUM, "checksum")
    if stated != sum(block) - sum(block[_CHECKSUM]) + 8 * ord(" "):
        raise head.error("does not match the header", "checksum")
    return head


def _member(head: _Head, start: int, extra: _Extra, size: int) -> Member:
    name = extra.name or head.name()
    if head.kind not in _REGULAR or name.endswith("/"):
        word = _WORDS.get(head.kind, f"of kind {head.kind!r}")
        raise head.error(f"{name[:200]!r} is {word}, not a regular file", "member")
    if not name or name.startswith("/") or ".." in name.split("/") or "\x00" in name:
        raise head.error(f"{name[:200]!r} leads out of the archive", "name")
    return Member(name, Span(start, start + (size if extra.size is None else extra.size)))


def _entry(head: _Head, start: int, extra: _Extra, size: int) -> Member:
    """Return an entry of any kind; only files and what looks like one (a name that ends with `/`) have content."""
    kind, name = _KINDS.get(head.kind, "file" if head.kind in _REGULAR else ""), extra.name or head.name()
    if not kind:
        raise head.error(f"{name[:200]!r} is of kind {head.kind!r}, which is not read here", "member")
    plain = name.rstrip("/")
    if not plain or name.startswith("/") or ".." in name.split("/") or "\x00" in name:
        raise head.error(f"{name[:200]!r} leads out of the archive", "name")
    if kind == "file":
        kind = "folder" if name.endswith("/") else kind
        size = size if extra.size is None else extra.size
    else:
        size = 0
    return Member(name, Span(start, start + size), kind)


def _extended(source: Source, head: _Head, start: int, size: int) -> bytes:
    if size > MAX_NAME:
        raise LimitError(f"an extended header of {size} bytes, at most {MAX_NAME} are read", offset=start, field="tar")
    data = source.read(start, size)
    if len(data) != size:
        raise head.error(f"{size} bytes needed, {len(data)} left", "extended header")
    return data


def _read_extended(head: _Head, data: bytes, extra: _Extra) -> None:
    if head.kind == b"L":
        extra.name = head.text(data.split(b"\x00", 1)[0])
        return
    records = _pax(head, data)
    if head.kind == b"g":
        if {"path", "size"} & records.keys():
            raise head.error("a global header renames or resizes every member", "extended header")
        return
    extra.name = records.get("path", extra.name)
    if "size" in records:
        if not records["size"].isascii() or not records["size"].isdigit() or len(records["size"]) > 19:  # noqa: PLR2004
            raise head.error("is not a number", "pax size")
        extra.size = int(records["size"])


def _pax(head: _Head, data: bytes) -> Mapping[str, str]:
    """Return the records of a pax header: length, key and value to a line; the length counts the whole record."""
    records = {}
    while data:
        digits, space, _ = data[:20].partition(b" ")
        length = int(digits) if digits.isdigit() else 0
        key, equals, value = data[len(digits) + 1 : length - 1].partition(b"=")
        if not space or not equals or length > len(data) or data[length - 1 : length] != b"\n":
            raise head.error("is not made of records 'LENGTH KEY=VALUE'", "pax header")
        if key.startswith(b"GNU.sparse."):
            raise head.error("says that the member is sparse: readers unpack other bytes than are stored", "pax header")
        if key in {b"path", b"size"}:
            records[head.text(key)] = head.text(value)
        data = data[length:]
    return records
