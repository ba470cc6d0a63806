"""Reads DER strictly: every length in its shortest form, every value the expected one, nothing left over."""

from __future__ import annotations

from slots import RefusedError

INTEGER, BITS, OCTETS, NULL, OID, SEQUENCE, SET = 0x02, 0x03, 0x04, 0x05, 0x06, 0x30, 0x31
MAX_ARC = 1 << 64


class Der:
    """A position in the content of one DER value."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    @property
    def tag(self) -> int:
        """Return the tag of the next value, 0 at the end."""
        return self._data[self._at] if self._at < len(self._data) else 0

    def take(self, tag: int) -> bytes:
        """Return the content of the next value, which must have this tag, and step over it."""
        if self.tag != tag:
            raise malformed(f"tag {tag:02x} is missing")
        size, start = self._length(self._at + 1)
        if start + size > len(self._data):
            raise malformed("it is cut short")
        self._at = start + size
        return self._data[start : self._at]

    def _length(self, at: int) -> tuple[int, int]:
        """Return the length that is written at `at`, and where the content starts."""
        first = self._data[at] if at < len(self._data) else 0xFF
        if first < 0x80:
            return first, at + 1
        end = at + 1 + (first & 0x7F)
        size = int.from_bytes(self._data[at + 1 : end], "big")
        if not 0x81 <= first <= 0x84 or end > len(self._data) or size < max(0x80, 1 << 8 * (first - 0x81)):
            raise malformed("a length is wrong")
        return size, end

    def enter(self, tag: int) -> Der:
        """Return the content of the next value for reading, and step over it."""
        return Der(self.take(tag))

    def whole(self, tag: int) -> bytes:
        """Return the next value with its tag and length, and step over it."""
        start = self._at
        self.take(tag)
        return self._data[start : self._at]

    def end(self) -> None:
        """Refuse anything that is left over."""
        if self.tag or self._at != len(self._data):
            raise malformed("there is something behind its end")

    def integer(self) -> int:
        """Return the next value, a whole number."""
        return int.from_bytes(self.take(INTEGER), "big", signed=True)

    def oid(self) -> str:
        """Return the next value, an object identifier, as dotted text."""
        arcs, arc = [], 0
        content = self.take(OID)
        for byte in content:
            arc = arc << 7 | byte & 0x7F
            if not byte & 0x80:
                arcs.append(arc)
                arc = 0
            elif arc > MAX_ARC or arc == 0:
                raise malformed("an object identifier is wrong")
        if not content or content[-1] & 0x80:
            raise malformed("an object identifier is wrong")
        top = min(arcs[0] // 40, 2)
        return ".".join(str(item) for item in (top, arcs[0] - 40 * top, *arcs[1:]))

    def algorithm(self) -> str:
        """Return the next value, an algorithm identifier without parameters (absent or NULL), as dotted text."""
        inner = self.enter(SEQUENCE)
        name = inner.oid()
        if inner.tag == NULL and inner.take(NULL):
            raise malformed("a NULL is not empty")
        inner.end()
        return name


def malformed(words: str) -> RefusedError:
    """Return the refusal of something that is no well-formed message."""
    return RefusedError("format", f"this is no message of the right form: {words}")
