"""CBOR (RFC 8949), read where it lies: heads are decoded, byte strings stay in the file as ranges.

A half-gigabyte payload inside an envelope costs nothing until its digest is asked for. Depth, items and lengths are
checked before anything is built. Refused, because readers disagree about them: indefinite lengths (the deterministic
encoding of RFC 8949 4.2 has none), a map key twice, reserved heads, and text that is not UTF-8. Tags mean nothing by
themselves here: neither bignums nor shared references nor dates come to life.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

from checker.errors import FormatError, LimitError
from checker.io.limits import MAX_HEADER
from checker.io.sources import BytesSource
from checker.model.artifact import Source, Span

MAX_ITEMS: Final = 100_000  # of one file, nested ones included; the largest published SUIT manifest has some hundred
MAX_NESTING: Final = 32  # arrays, maps and tags inside each other; COSE needs eight
_LONG: Final = 24  # additional information up to 23 is the value itself, 24 to 27 say how many bytes follow
_INDEFINITE: Final = 31
_NULL: Final = 22
_TRUE: Final = 21
_HEAD: Final = 9  # bytes of the longest head


class Major(IntEnum):
    """Major types (RFC 8949 3.1)."""

    UNSIGNED = 0
    NEGATIVE = 1
    BYTES = 2
    TEXT = 3
    ARRAY = 4
    MAP = 5
    TAG = 6
    SIMPLE = 7


_WORDS: Final = {
    Major.BYTES: "a byte string",
    Major.TEXT: "a text",
    Major.ARRAY: "an array",
    Major.MAP: "a map",
    Major.TAG: "a tag",
}


@dataclass(frozen=True)
class Encoded:
    """A map key that is neither an integer nor a text, by its encoding."""

    data: bytes


Key = int | str | Encoded


@dataclass(frozen=True, eq=False)
class Item:
    """One data item. `span` is its whole encoding, `content` what follows its head."""

    document: Document = field(repr=False)
    major: Major
    argument: int  # the value, length, count or tag number of the head
    span: Span
    content: Span
    children: tuple[Item, ...] = field(default=(), repr=False)

    @property
    def is_null(self) -> bool:
        """Return whether it is null."""
        return self.major is Major.SIMPLE and self.argument == _NULL

    @property
    def is_true(self) -> bool:
        """Return whether it is true."""
        return self.major is Major.SIMPLE and self.argument == _TRUE

    @property
    def number(self) -> int | None:
        """Return the integer, or None for anything else."""
        if self.major is Major.UNSIGNED:
            return self.argument
        return -1 - self.argument if self.major is Major.NEGATIVE else None

    @property
    def words(self) -> str | None:
        """Return the text, or None for anything else."""
        return None if self.major is not Major.TEXT else self.document.text(self)

    def integer(self, name: str) -> int:
        """Return the integer.

        Raises:
            FormatError: it is none.
        """
        value = self.number
        if value is None:
            raise FormatError("an integer is expected here", offset=self.span.start, field=name)
        return value

    def text(self, name: str) -> str:
        """Return the text.

        Raises:
            FormatError: it is none.
        """
        self._demand(Major.TEXT, name)
        return self.document.text(self)

    def place(self, name: str) -> Span:
        """Return where the content of a byte string lies, without reading it.

        Raises:
            FormatError: it is none.
        """
        self._demand(Major.BYTES, name)
        return self.content

    def data(self, name: str, *, limit: int = MAX_HEADER) -> bytes:
        """Return the content of a byte string.

        Raises:
            FormatError: it is none.
            LimitError: it is longer than `limit` bytes.
        """
        place = self.place(name)
        if place.size > limit:
            raise LimitError(f"{place.size} bytes, at most {limit} are read", offset=place.start, field=name)
        return self.document.source.read(place.start, place.size)

    def array(self, name: str) -> tuple[Item, ...]:
        """Return the elements.

        Raises:
            FormatError: it is no array.
        """
        self._demand(Major.ARRAY, name)
        return self.children

    def map(self, name: str) -> Mapping[Key, Item]:
        """Return the entries.

        Raises:
            FormatError: it is no map.
        """
        self._demand(Major.MAP, name)
        return dict(self.pairs())

    def pairs(self) -> tuple[tuple[Key, Item], ...]:
        """Return keys and values of a map in their order."""
        keys = (key.key for key in self.children[::2])
        return tuple(zip(keys, self.children[1::2], strict=True))

    @property
    def key(self) -> Key:
        """Return the item as a map key."""
        if (number := self.number) is not None:
            return number
        return self.document.text(self) if self.major is Major.TEXT else Encoded(self.encoded())

    def encoded(self) -> bytes:
        """Return the item's own encoding.

        Raises:
            LimitError: it is longer than `MAX_HEADER`.
        """
        if self.span.size > MAX_HEADER:
            raise LimitError(f"{self.span.size} bytes", offset=self.span.start, field="CBOR")
        return self.document.source.read(self.span.start, self.span.size)

    def tagged(self) -> tuple[int | None, Item]:
        """Return the tag's number and what it is around; None and the item itself where there is no tag."""
        return (self.argument, self.children[0]) if self.major is Major.TAG else (None, self)

    def wrapped(self, name: str) -> Item:
        """Return the one item that is encoded inside a byte string (`bstr .cbor` of RFC 8610).

        Raises:
            FormatError: it is no byte string, or holds anything else.
        """
        return self.document.item(self.place(name), name)

    def _demand(self, major: Major, name: str) -> None:
        if self.major is not major:
            raise FormatError(f"{_WORDS[major]} is expected here", offset=self.span.start, field=name)


class Document:
    """A file that is read as CBOR, piece by piece; all pieces together hold at most `MAX_ITEMS` items."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self._left = MAX_ITEMS

    def item(self, span: Span, name: str) -> Item:
        """Return the one data item that fills a range.

        Raises:
            FormatError: it is damaged, or bytes follow it.
            LimitError: it has too many items, or they are nested too deep.
        """
        found = self.first(span, name)
        if found.span.end != span.end:
            message = f"{span.end - found.span.end} bytes follow the end of the item"
            raise FormatError(message, offset=found.span.end, field=name)
        return found

    def first(self, span: Span, name: str) -> Item:
        """Return the data item at the beginning of a range.

        Raises:
            FormatError: it is damaged.
            LimitError: it has too many items, or they are nested too deep.
        """
        return self._read(span.start, span.end, name, 0)

    def text(self, item: Item) -> str:
        """Return the text of a text item; that it is UTF-8 was checked when it was read."""
        return self.source.read(item.content.start, item.content.size).decode("utf-8")

    def _read(self, offset: int, end: int, name: str, depth: int) -> Item:
        self._spend(offset, name, depth)
        major, argument, start = self._head(offset, end, name)
        if major in {Major.BYTES, Major.TEXT}:
            return self._string(major, offset, Span(start, start + argument), end, name)
        children = self._children(major, argument, Span(start, end), name, depth)
        stop = children[-1].span.end if children else start
        item = Item(self, major, argument, Span(offset, stop), Span(start, stop), children)
        if major is Major.MAP:
            _check_keys(item, name)
        return item

    def _spend(self, offset: int, name: str, depth: int) -> None:
        self._left -= 1
        if self._left < 0:
            raise LimitError(f"more than MAX_ITEMS ({MAX_ITEMS}) data items", offset=offset, field=name)
        if depth > MAX_NESTING:
            raise LimitError(f"nested deeper than MAX_NESTING ({MAX_NESTING})", offset=offset, field=name)

    def _head(self, offset: int, end: int, name: str) -> tuple[Major, int, int]:
        """Return major type, argument, and where the content begins."""
        head = self.source.read(offset, min(_HEAD, end - offset)) if offset < end else b""
        if not head:
            raise FormatError("a data item is expected here, and nothing is left", offset=offset, field=name)
        major, info = Major(head[0] >> 5), head[0] & 0x1F
        if info < _LONG:
            return major, info, offset + 1
        if info == _INDEFINITE:
            raise FormatError("an indefinite length, which no deterministic encoding has", offset=offset, field=name)
        if info > _LONG + 3:
            raise FormatError(f"the reserved additional information {info}", offset=offset, field=name)
        size = 1 << (info - _LONG)
        if len(head) < 1 + size:
            raise FormatError(f"{size} bytes of a head are needed, {len(head) - 1} left", offset=offset, field=name)
        argument = int.from_bytes(head[1 : 1 + size], "big")
        if major is Major.SIMPLE and size > 1:
            argument = -1  # a floating-point number, which nothing here asks for
        return major, argument, offset + 1 + size

    def _string(self, major: Major, offset: int, content: Span, end: int, name: str) -> Item:
        if content.end > end:
            message = f"{content.size} bytes needed, {end - content.start} left"
            raise FormatError(message, offset=offset, field=name)
        if major is Major.TEXT:
            self._check_text(content, name)
        return Item(self, major, content.size, Span(offset, content.end), content)

    def _check_text(self, content: Span, name: str) -> None:
        if content.size > MAX_HEADER:
            raise LimitError(f"a text of {content.size} bytes", offset=content.start, field=name)
        try:
            self.source.read(content.start, content.size).decode("utf-8")
        except UnicodeDecodeError:
            raise FormatError("a text that is not UTF-8", offset=content.start, field=name) from None

    def _children(self, major: Major, argument: int, room: Span, name: str, depth: int) -> tuple[Item, ...]:
        count = {Major.ARRAY: argument, Major.MAP: 2 * argument, Major.TAG: 1}.get(major, 0)
        if count > room.size:  # each item takes one byte at least
            raise FormatError(f"{count} items announced, {room.size} bytes left", offset=room.start, field=name)
        if count > self._left:
            raise LimitError(f"more than MAX_ITEMS ({MAX_ITEMS}) data items", offset=room.start, field=name)
        found = []
        offset = room.start
        for _ in range(count):
            found.append(self._read(offset, room.end, name, depth + 1))
            offset = found[-1].span.end
        return tuple(found)


def _check_keys(item: Item, name: str) -> None:
    seen: set[Key] = set()
    for key, value in item.pairs():
        if key in seen:
            shown = f"{key!r}"[:40]
            raise FormatError(f"the map has the key {shown} twice", offset=value.span.start, field=name)
        seen.add(key)


def read(data: bytes, name: str) -> Item:
    """Return the one data item that bytes in memory hold.

    Raises:
        FormatError: they are damaged, or more follows.
        LimitError: they hold too many items, or nest too deep.
    """
    return Document(BytesSource(name, data)).item(Span(0, len(data)), name)


def encode_head(major: Major, argument: int) -> bytes:
    """Return the shortest head (RFC 8949 4.2.1)."""
    if argument < _LONG:
        return bytes([major << 5 | argument])
    size = next(power for power in range(4) if argument < 1 << (8 << power))
    return bytes([major << 5 | (_LONG + size)]) + argument.to_bytes(1 << size, "big")


def encode(value: int | str | bytes | list[object] | None) -> bytes:
    """Return the deterministic encoding of what COSE's structures to be signed are made of."""
    if value is None:
        return bytes([Major.SIMPLE << 5 | _NULL])
    if isinstance(value, int):
        return encode_head(Major.UNSIGNED, value) if value >= 0 else encode_head(Major.NEGATIVE, -1 - value)
    if isinstance(value, str):
        data = value.encode()
        return encode_head(Major.TEXT, len(data)) + data
    if isinstance(value, bytes):
        return encode_head(Major.BYTES, len(value)) + value
    return encode_head(Major.ARRAY, len(value)) + b"".join(encode(item) for item in value)  # type: ignore[arg-type]
