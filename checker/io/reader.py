"""The bounded reader: every length goes through it, and what is too long or too short is a `FormatError`."""

from __future__ import annotations

from typing import Literal

from checker.errors import FormatError, LimitError
from checker.io.limits import MAX_HEADER
from checker.model.artifact import Source

Endian = Literal["little", "big"]


class Reader:
    """A cursor over a source between `offset` and `end` (bytes).

    Every read names the field that it reads, for the error text.
    """

    def __init__(self, source: Source, offset: int = 0, end: int | None = None) -> None:
        self.source = source
        self.offset = offset
        self.end = source.size if end is None else min(end, source.size)

    @property
    def left(self) -> int:
        """Return how many bytes are left."""
        return self.end - self.offset

    def take(self, length: int, field: str, *, limit: int = MAX_HEADER) -> bytes:
        """Return exactly `length` bytes and move on.

        Raises:
            LimitError: more than `limit` bytes are asked for.
            FormatError: fewer are left.
        """
        if length > limit:
            msg = f"{length} bytes asked for, at most {limit} are allowed here"
            raise LimitError(msg, offset=self.offset, field=field)
        if length < 0 or length > self.left:
            msg = f"{length} bytes needed, {max(self.left, 0)} left"
            raise FormatError(msg, offset=self.offset, field=field)
        data = self.source.read(self.offset, length)
        if len(data) != length:
            msg = f"{length} bytes needed, {len(data)} could be read"
            raise FormatError(msg, offset=self.offset, field=field)
        self.offset += length
        return data

    def skip(self, length: int, field: str) -> None:
        """Move on by `length` bytes that are not read.

        Raises:
            FormatError: fewer are left.
        """
        if length < 0 or length > self.left:
            msg = f"{length} bytes needed, {max(self.left, 0)} left"
            raise FormatError(msg, offset=self.offset, field=field)
        self.offset += length

    def integer(self, size: int, field: str, endian: Endian = "little") -> int:
        """Return an unsigned integer of `size` bytes.

        Raises:
            FormatError: too few bytes are left.
        """
        return int.from_bytes(self.take(size, field), endian)
