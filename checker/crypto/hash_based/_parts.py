"""What the hash-based schemes share: bytes taken in order, digits of a digest, and what is hashed first."""

from __future__ import annotations

from dataclasses import dataclass, field

from checker.errors import InvalidSignatureError


@dataclass(frozen=True)
class Prehash:
    """The digest that a verification needs: `hash` (an id of the algorithm table) over `prefix` and the message."""

    hash: str
    prefix: bytes = field(default=b"", repr=False)


class Bytes:
    """A signature that is taken apart from its beginning."""

    def __init__(self, data: bytes, what: str) -> None:
        self._data, self._at, self._what = data, 0, what

    def take(self, size: int) -> bytes:
        """Return the next bytes.

        Raises:
            InvalidSignatureError: there are not that many.
        """
        part = self._data[self._at : self._at + size]
        if len(part) != size:
            at = f"{size} bytes are expected at offset {self._at}, here are {len(part)}"
            raise InvalidSignatureError(f"the {self._what} signature is cut short: {at}")
        self._at += size
        return part

    def number(self) -> int:
        """Return the next four bytes as a number."""
        return int.from_bytes(self.take(4), "big")

    def blocks(self, count: int, size: int) -> list[bytes]:
        """Return the next `count` blocks of `size` bytes each."""
        data = self.take(count * size)
        return [data[start : start + size] for start in range(0, count * size, size)]

    @property
    def offset(self) -> int:
        """Return how many bytes have been taken."""
        return self._at

    def end(self) -> None:
        """Check that nothing is left.

        Raises:
            InvalidSignatureError: something is.
        """
        left = len(self._data) - self._at
        if left:
            raise InvalidSignatureError(
                f"the {self._what} signature is followed by {left} bytes that belong to nothing"
            )


def digits(data: bytes, width: int, count: int) -> list[int]:
    """Return the first `count` digits of `width` bits each, most significant first.

    That is `coef` of RFC 8554 3.1.3, `base_w` of RFC 8391 2.6 and `base_2b` of FIPS 205 4.4 (algorithm 4).
    """
    total = int.from_bytes(data, "big")
    top, mask = len(data) * 8 - width, (1 << width) - 1
    return [total >> (top - width * place) & mask for place in range(count)]
