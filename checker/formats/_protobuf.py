"""Protocol Buffers wire format, as far as update formats use it: varints, fixed words and length-delimited fields.

Source: protobuf.dev "Encoding". A message is held in memory by its caller, within `MAX_HEADER`; nested messages are
read only when asked for, so that neither depth nor number of fields can exhaust anything.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

from checker.errors import FormatError, LimitError

MAX_FIELDS: Final = 500_000  # of one message; the largest full Android payload seen has some 10^4 operations
MAX_VARINT: Final = 10  # bytes that 64 bits take, seven in each
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
_FIXED: Final = {FIXED64: 8, FIXED32: 4}
_UINT64: Final = 1 << 64
_INT64: Final = 1 << 63


@dataclass(frozen=True, slots=True)
class Field:
    """One field: its number, wire type and value; `offset` is where the value begins, counted as in `Message`."""

    number: int
    wire: int
    value: int | bytes
    offset: int


@dataclass(frozen=True)
class Message:
    """A message in memory; `offset` is where it lies in the file, for error texts, and `name` what it is called there.

    Where a field that should stand once stands several times, the last one counts, and submessages are merged, as the
    specification demands ("Last One Wins"). `count` tells how often it stands. Every reader raises `FormatError` where
    the message is damaged or the field is of another wire type, and `LimitError` above `MAX_FIELDS`.
    """

    data: bytes = field(repr=False)
    name: str
    offset: int = 0

    @cached_property
    def fields(self) -> dict[int, tuple[Field, ...]]:
        """Return every field by its number, in the order of the file."""
        found: dict[int, list[Field]] = {}
        for total, item in enumerate(_fields(self.data, self.name, self.offset), 1):
            if total > MAX_FIELDS:
                raise LimitError(f"more than MAX_FIELDS ({MAX_FIELDS}) fields", offset=item.offset, field=self.name)
            found.setdefault(item.number, []).append(item)
        return {number: tuple(items) for number, items in found.items()}

    def count(self, number: int) -> int:
        """Return how often a field stands in the message."""
        return len(self.fields.get(number, ()))

    def integer(self, number: int) -> int | None:
        """Return an unsigned integer (also enum and bool), or None where the field is absent."""
        return self.integers(number)[-1] if self.count(number) else None

    def signed(self, number: int) -> int | None:
        """Return an integer of a signed type (int32, int64: two's complement), or None."""
        value = self.integer(number)
        return value - _UINT64 if value is not None and value >= _INT64 else value

    def integers(self, number: int) -> tuple[int, ...]:
        """Return a repeated unsigned integer, packed or not."""
        return tuple(value for item in self.fields.get(number, ()) for value in self._unpacked(item))

    def _unpacked(self, item: Field) -> Iterator[int]:
        if isinstance(item.value, int):
            yield item.value
            return
        at, values = 0, item.value
        if not values:
            raise FormatError(f"field {item.number} is empty, not an integer", offset=item.offset, field=self.name)
        while at < len(values):
            value, at = _varint(values, at, self.name, item.offset)
            yield value

    def blob(self, number: int) -> bytes | None:
        """Return the bytes of a field, or None."""
        found = self.blobs(number)
        return found[-1] if found else None

    def blobs(self, number: int) -> tuple[bytes, ...]:
        """Return the bytes of a repeated field."""
        return tuple(self._bytes(item) for item in self.fields.get(number, ()))

    def _bytes(self, item: Field) -> bytes:
        if not isinstance(item.value, bytes):
            raise FormatError(f"field {item.number} is a number, not bytes", offset=item.offset, field=self.name)
        return item.value

    def text(self, number: int) -> str | None:
        """Return a text, or None. Bytes that are no UTF-8 are shown escaped."""
        found = self.texts(number)
        return found[-1] if found else None

    def texts(self, number: int) -> tuple[str, ...]:
        """Return a repeated text."""
        return tuple(value.decode("utf-8", "backslashreplace") for value in self.blobs(number))

    def message(self, number: int, name: str) -> Message | None:
        """Return a submessage, several ones merged, or None."""
        items = self.fields.get(number, ())
        if not items:
            return None
        return Message(b"".join(self._bytes(item) for item in items), f"{self.name}.{name}", items[0].offset)

    def messages(self, number: int, name: str) -> tuple[Message, ...]:
        """Return a repeated submessage."""
        items = self.fields.get(number, ())
        return tuple(Message(self._bytes(item), f"{self.name}.{name}", item.offset) for item in items)


def _fields(data: bytes, name: str, base: int) -> Iterator[Field]:
    at = 0
    while at < len(data):
        key, at = _varint(data, at, name, base)
        number, wire = key >> 3, key & 7
        if number == 0 or wire not in {VARINT, FIXED64, BYTES, FIXED32}:
            raise FormatError(f"field {number} has wire type {wire}", offset=base + at, field=name)
        if wire == VARINT:
            start = at
            value, at = _varint(data, at, name, base)
            yield Field(number, wire, value, base + start)
            continue
        size, at = _varint(data, at, name, base) if wire == BYTES else (_FIXED[wire], at)
        if size > len(data) - at:
            text = f"field {number} has {size} bytes, {len(data) - at} are left"
            raise FormatError(text, offset=base + at, field=name)
        raw = data[at : at + size]
        yield Field(number, wire, raw if wire == BYTES else int.from_bytes(raw, "little"), base + at)
        at += size


def _varint(data: bytes, at: int, name: str, base: int) -> tuple[int, int]:
    value = 0
    for count, byte in enumerate(data[at : at + MAX_VARINT]):
        value |= (byte & 0x7F) << 7 * count
        if byte < 0x80:  # noqa: PLR2004 - the continuation bit
            if value >= _UINT64:
                raise FormatError("a varint of more than 64 bits", offset=base + at, field=name)
            return value, at + count + 1
    text = "a varint ends behind its message" if at + MAX_VARINT > len(data) else f"a varint of over {MAX_VARINT} bytes"
    raise FormatError(text, offset=base + at, field=name)
