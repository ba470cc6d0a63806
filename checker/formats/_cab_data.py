"""The plain form of a cabinet's folder as a source: read in place, or inflated block by block.

MSZIP is deflate in blocks of 32 KiB, each of which may refer to the block before it ([MS-MCI] section 2), so that
reading goes forward from the beginning; a few positions are kept, since several readers go through it at once.
"""

from __future__ import annotations

import bisect
import threading
import zlib
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

from checker.errors import FormatError
from checker.formats._cab_structure import Block, Folder
from checker.model.artifact import Source, Span

_CURSORS: Final = 16  # positions that are kept, 64 KiB each
_MSZIP: Final = b"CK"


@dataclass
class _Cursor:
    """The last block that was inflated."""

    number: int = -1
    plain: bytes = b""


@dataclass(frozen=True, eq=False)
class FolderData:
    """The plain form of a folder."""

    parent: Source = field(repr=False)
    folder: Folder
    _cursors: list[_Cursor] = field(default_factory=list, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @property
    def name(self) -> str:
        """Return the cabinet's name."""
        return self.parent.name

    @property
    def size(self) -> int:
        """Return the length in bytes."""
        return self.folder.size

    @cached_property
    def _starts(self) -> list[int]:
        return [block.start for block in self.folder.blocks]

    def read(self, offset: int, length: int) -> bytes:
        """Return `length` bytes from `offset`, fewer only at the end.

        Raises:
            FormatError: a block is damaged.
        """
        end, parts = min(offset + length, self.size), []
        while offset < end:
            number = bisect.bisect_right(self._starts, offset) - 1
            block = self.folder.blocks[number]
            inside = offset - block.start
            room = min(end - offset, block.size - inside)
            parts.append(self._block(number, block)[inside : inside + room])
            offset += room
        return b"".join(parts)

    def place(self, start: int, size: int) -> Span:
        """Return where a range lies in the cabinet; compressed ranges are those of whole blocks.

        Headers of blocks lie in between: they hold nothing but sizes and a checksum, which are checked.
        """
        first, last = (bisect.bisect_right(self._starts, at) - 1 for at in (start, start + max(size, 1) - 1))
        begin, finish = self.folder.blocks[first], self.folder.blocks[last]
        if self.folder.compression == "none":
            return Span(begin.data.start + start - begin.start, finish.data.start + start + size - finish.start)
        return Span(begin.data.start, finish.data.end)

    def _block(self, number: int, block: Block) -> bytes:
        if self.folder.compression == "none":
            return self.parent.read(block.data.start, block.size)
        if self.folder.compression != "MSZIP":
            raise FormatError(
                f"{self.folder.compression} is not decompressed here", offset=block.data.start, field="ab"
            )
        with self._lock:
            cursor = self._cursor(number)
            while cursor.number < number:
                cursor.plain = self._inflate(self.folder.blocks[cursor.number + 1], cursor.plain)
                cursor.number += 1
            return cursor.plain

    def _cursor(self, number: int) -> _Cursor:
        """Return the nearest cursor that is not past a block, most recently used last."""
        fitting = [cursor for cursor in self._cursors if cursor.number <= number]
        found = max(fitting, key=lambda cursor: cursor.number, default=None)
        if found is None:
            found = _Cursor()
            del self._cursors[: max(0, len(self._cursors) - _CURSORS + 1)]
        else:
            self._cursors.remove(found)
        self._cursors.append(found)
        return found

    def _inflate(self, block: Block, history: bytes) -> bytes:
        data = self.parent.read(block.data.start, block.data.size)
        if not data.startswith(_MSZIP):
            raise FormatError("an MSZIP block does not begin with CK", offset=block.data.start, field="ab")
        running = zlib.decompressobj(-15, zdict=history) if history else zlib.decompressobj(-15)
        try:
            plain = running.decompress(data[2:], block.size + 1)
        except zlib.error as error:
            raise FormatError(f"an MSZIP block is damaged: {error}", offset=block.data.start, field="ab") from error
        if len(plain) != block.size:
            text = f"an MSZIP block gives {len(plain)} bytes or more, {block.size} are stated"
            raise FormatError(text, offset=block.data.start, field="cbUncomp")
        return plain
