"""ASN.1 values with their places (X.690), so that one of them can be changed and all lengths around it follow.

asn1crypto gives contents without offsets; this reads nothing but tags and lengths, in DER and BER.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from checker.crypto import _asn1
from checker.errors import FormatError, LimitError

_MAX_DEPTH: Final = 32  # a CMS message with a certificate inside has about 15
_MAX_VALUES: Final = 200_000
_CONSTRUCTED: Final = 0x20
_INDEFINITE: Final = 0x80
_HIGH_TAG: Final = 0x1F
_MAX_LENGTH_OCTETS: Final = 5


@dataclass(frozen=True, eq=False)
class Value:
    """One value: its tag byte, and where it, its content and its end lie; `values` are those inside."""

    tag: int
    start: int
    body: int
    stop: int  # end of the content
    end: int  # end of the value: behind the end-of-contents octets where the length is indefinite
    indefinite: bool = False
    values: tuple[Value, ...] = field(default=(), repr=False)

    def walk(self) -> Iterator[Value]:
        """Yield this value and all inside it."""
        yield self
        for value in self.values:
            yield from value.walk()


def read(data: bytes) -> Value:
    """Return the first value of `data`, with all inside it.

    Raises:
        FormatError: tags or lengths are damaged.
        LimitError: it is nested deeper, or has more values, than any message.
    """
    return _Reader(data).value(0, len(data), 0)


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.data, self.left = data, _MAX_VALUES

    def value(self, start: int, limit: int, depth: int) -> Value:
        self.left -= 1
        if depth > _MAX_DEPTH or self.left < 0:
            raise LimitError("more values, or deeper ones, than any message has", offset=start, field="ASN.1")
        tag, body, size = self._head(start, limit)
        if size is None:
            values = self._until_end(body, limit, depth)
            stop = values[-1].end if values else body
            return Value(tag, start, body, stop, stop + 2, indefinite=True, values=values)
        stop = body + size
        inside = self._all(body, stop, depth) if tag & _CONSTRUCTED else ()
        return Value(tag, start, body, stop, stop, values=inside)

    def _head(self, start: int, limit: int) -> tuple[int, int, int | None]:
        if start + 2 > limit:
            raise FormatError("a value is cut short", offset=start, field="ASN.1")
        tag, first = self.data[start], self.data[start + 1]
        if tag & _HIGH_TAG == _HIGH_TAG:
            raise FormatError("a tag of several bytes", offset=start, field="ASN.1")
        if first == _INDEFINITE and tag & _CONSTRUCTED:
            return tag, start + 2, None
        octets = first & 0x7F if first & _INDEFINITE else 0
        body = start + 2 + octets
        size = int.from_bytes(self.data[start + 2 : body], "big") if octets else first & 0x7F
        if first == _INDEFINITE or octets > _MAX_LENGTH_OCTETS or body + size > limit:
            raise FormatError("a length leads out of the value around it", offset=start, field="ASN.1")
        return tag, body, size

    def _all(self, start: int, stop: int, depth: int) -> tuple[Value, ...]:
        found = []
        while start < stop:
            found.append(self.value(start, stop, depth + 1))
            start = found[-1].end
        return tuple(found)

    def _until_end(self, start: int, limit: int, depth: int) -> tuple[Value, ...]:
        found = []
        while self.data[start : start + 2] != b"\0\0":
            found.append(self.value(start, limit, depth + 1))
            start = found[-1].end
        if start + 2 > limit:
            raise FormatError("no end of contents", offset=start, field="ASN.1")
        return tuple(found)


def rebuilt(data: bytes, value: Value, changes: Mapping[Value, bytes]) -> bytes:
    """Return a value with some inside it replaced by other DER; all else is kept, and lengths around it follow."""
    if value in changes:
        return changes[value]
    if not any(inner in changes for inner in value.walk()):
        return data[value.start : value.end]
    content = b"".join(rebuilt(data, inner, changes) for inner in value.values)
    if value.indefinite:
        return data[value.start : value.body] + content + b"\0\0"
    return _asn1.der(value.tag, content)
