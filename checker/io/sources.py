"""Sources: random access to bytes without holding them (`checker.model.artifact.Source`)."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from checker.errors import InputError

if TYPE_CHECKING:
    from checker.model.artifact import Source


@dataclass(frozen=True)
class BytesSource:
    """Bytes in memory."""

    name: str
    data: bytes = field(repr=False)

    @property
    def size(self) -> int:
        """Return the length in bytes."""
        return len(self.data)

    def read(self, offset: int, length: int) -> bytes:
        """Return `length` bytes from `offset`, fewer only at the end."""
        return self.data[offset : offset + length]


class FileSource:
    """A file, read with `pread`: threads may share it, and a shrinking file gives short reads, never SIGBUS.

    Closing says whether the file changed under the reader.
    """

    def __init__(self, path: Path, name: str) -> None:
        """Open `path` for reading.

        Raises:
            InputError: it cannot be opened, or is not a regular file.
        """
        self.name = name
        try:
            self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError as error:
            msg = f"{name}: cannot be opened: {error.strerror}"
            raise InputError(msg) from error
        if not path.is_file():
            os.close(self._fd)
            msg = f"{name}: is not a regular file"
            raise InputError(msg)
        self._stat = os.fstat(self._fd)

    @property
    def size(self) -> int:
        """Return the length in bytes when the file was opened."""
        return self._stat.st_size

    @property
    def fd(self) -> int:
        """Return the descriptor, for `preadv` into a caller's buffer."""
        return self._fd

    def read(self, offset: int, length: int) -> bytes:
        """Return `length` bytes from `offset`, fewer only at the end.

        Raises:
            InputError: the operating system cannot read.
        """
        try:
            data = os.pread(self._fd, length, offset)
            while len(data) < length and (more := os.pread(self._fd, length - len(data), offset + len(data))):
                data += more
        except OSError as error:
            msg = f"{self.name}: cannot be read: {error.strerror}"
            raise InputError(msg) from error
        return data

    def unchanged(self) -> bool:
        """Return whether the file still has the size and time that it had when it was opened."""
        now = os.fstat(self._fd)
        return (now.st_size, now.st_mtime_ns) == (self._stat.st_size, self._stat.st_mtime_ns)

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


@dataclass(frozen=True)
class Window:
    """A range of another source, as a source of its own."""

    parent: Source = field(repr=False)
    name: str
    offset: int
    size: int

    def read(self, offset: int, length: int) -> bytes:
        """Return `length` bytes from `offset` inside the window, fewer only at its end."""
        room = max(0, min(length, self.size - offset))
        return self.parent.read(self.offset + offset, room) if room else b""
