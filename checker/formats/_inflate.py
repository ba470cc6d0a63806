"""Compressed data as a source: gzip (RFC 1952), xz, bzip2, zstd (RFC 8878) and raw deflate (RFC 1951).

They are decompressed as they are read. A few read positions are kept, each with the bytes that came out before it, so
that several readers do not start again for each other; a read that lies before all of these starts at the beginning.
"""

from __future__ import annotations

import bz2
import lzma
import threading
import zlib
from collections import deque
from dataclasses import dataclass, field
from typing import Any, Final

from checker.errors import FormatError, LimitError
from checker.formats import _zstd
from checker.io.limits import CHUNK, MAX_HEADER
from checker.model.artifact import Source, Span

MAX_INFLATED: Final = 4 * 1024**3  # bytes of one decompressed payload: gzip makes 1000 of one, xz 7000, zstd 30000
XZ_MEMORY: Final = 128 * 1024**2  # bytes that one xz stream may ask for; `xz -9` needs 65 MiB
MAGICS: Final = {"gzip": b"\x1f\x8b", "xz": b"\xfd7zXZ\x00"}
_BZIP2: Final = b"BZh"  # not in `MAGICS`: only archives of unknown origin use it
_ZLIB: Final = {"gzip": 31, "deflate": -15}  # zlib's window bits; these leave unread input in `unconsumed_tail`
_CURSORS: Final = 4
_KEPT: Final = 192 * 1024  # bytes behind a read position: formats look for an end record there, zip in the last 64 KiB
_STEP: Final = 64 * 1024  # bytes of input at a time
_HEAD: Final = 64 * 1024  # decompressed bytes that are kept: formats look at a file's beginning again and again


def compression(head: bytes) -> str:
    """Return `gzip`, `xz` or `zstd` by the first bytes, or nothing."""
    if _zstd.is_frame(head):  # maybe one that is skipped
        return "zstd"
    return next((name for name, magic in MAGICS.items() if head.startswith(magic)), "")


def _decompressor(kind: str) -> Any:  # noqa: ANN401 - zlib's and lzma's objects have no common type
    if kind in _ZLIB:
        return zlib.decompressobj(_ZLIB[kind])
    if kind == "zstd":
        return _zstd.Decompressor()
    return bz2.BZ2Decompressor() if kind == "bzip2" else lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=XZ_MEMORY)


@dataclass
class _Cursor:
    """One forward pass over the compressed data."""

    parent: Source
    span: Span
    kind: str
    base: int = 0  # where `ready` begins in the decompressed data
    used: int = 0  # bytes of `ready` that were taken or skipped
    ready: bytes = b""
    before: deque[bytes] = field(default_factory=deque)  # what `ready` was before, as far as it is kept
    floor: int = 0  # where `before` begins
    offset: int = 0  # in the compressed data
    ended: bool = False
    running: Any = None
    pending: bytes = b""

    @property
    def position(self) -> int:
        """Return where the next byte lies in the decompressed data."""
        return self.base + self.used

    def read(self, start: int, length: int, limit: int) -> bytes:
        """Return bytes from `start`, which does not lie before the floor."""
        parts = [self._again(start, length)] if start < self.position else []
        wanted = length - sum(map(len, parts))
        while wanted and (self.used < len(self.ready) or self._fill(limit)):
            self.used = min(self.used + max(start - self.position, 0), len(self.ready))
            piece = self.ready[self.used : self.used + wanted]
            self.used += len(piece)
            parts.append(piece)
            wanted -= len(piece)
        return b"".join(parts)

    def _again(self, start: int, length: int) -> bytes:
        held = b"".join((*self.before, self.ready[: self.used]))
        return held[start - self.floor : start - self.floor + length]

    def _fill(self, limit: int) -> bool:
        """Decompress some more; False at the end."""
        if self.ready:
            self.before.append(self.ready)
        self.base, self.used, self.ready = self.position, 0, b""
        while self.before and self.base - self.floor - len(self.before[0]) >= _KEPT:
            self.floor += len(self.before.popleft())
        while not self.ended and not self.ready:
            if self.base > limit:
                text = f"more than {limit} bytes come out of {self.span.size}"
                raise LimitError(text, offset=self.span.start, field=f"{self.kind} data")
            self._step()
        return bool(self.ready)

    def _step(self) -> None:
        if self.running is None:
            self.running = _decompressor(self.kind)
        asked = not self.pending and (self.kind in _ZLIB or self.running.needs_input)
        if asked:
            self.pending = self._input()
        given = self.pending
        try:
            self.ready = self.running.decompress(given, CHUNK)
        except (zlib.error, lzma.LZMAError, OSError, EOFError, MemoryError, ValueError) as error:
            raise self._error(f"is damaged: {error}") from error
        self.pending = self.running.unconsumed_tail if self.kind in _ZLIB else b""
        if self.running.eof:
            self._next_stream()
        elif asked and not given and not self.ready:
            raise self._error("ends before its last block")

    def _input(self) -> bytes:
        data = self.parent.read(self.span.start + self.offset, min(_STEP, self.span.size - self.offset))
        self.offset += len(data)
        return data

    def _next_stream(self) -> None:
        """Go on with a stream that follows; other bytes are no part of the data.

        Padding may lie between streams of xz (its file format, 2.2); behind zeros, gzip ignores what Python reads on.
        """
        stored, magic = self.running.unused_data, MAGICS.get(self.kind, _BZIP2)
        if self.kind == "deflate":  # one stream; its container says where it ends
            self.ended = True
            return
        if self.kind == "zstd":  # nothing but frames may follow a frame: the tool refuses even zeros
            self.running, self.pending = None, self._input()
            self.ended = not self.pending
            return
        rest = stored.lstrip(b"\0")
        padded = len(rest) < len(stored)
        while len(rest) < len(magic) and (more := self._input()):
            padded = padded or (not rest and more[0] == 0)
            rest = (rest + more).lstrip(b"\0")
        self.running, self.pending = None, rest
        self.ended = not rest.startswith(magic)
        if padded and not self.ended and self.kind != "xz":
            raise self._error("goes on behind zeros: some readers stop before them")

    def _error(self, message: str) -> FormatError:
        return FormatError(message, offset=self.span.start + self.offset, field=f"{self.kind} data")


@dataclass(frozen=True)
class Inflated:
    """The decompressed form of a range. `size` is an upper bound; reads come back short at the true end."""

    parent: Source = field(repr=False)
    span: Span
    kind: str  # gzip | xz | bzip2 | zstd | deflate
    size: int = MAX_INFLATED
    _cursors: list[_Cursor] = field(default_factory=list, repr=False, compare=False)
    _head: list[bytes] = field(default_factory=list, repr=False, compare=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    @property
    def name(self) -> str:
        """Return the parent's name."""
        return self.parent.name

    def read(self, offset: int, length: int) -> bytes:
        """Return `length` decompressed bytes from `offset`, fewer only at the end.

        Raises:
            LimitError: more than `size` bytes come out.
            FormatError: the data are damaged or cut short.
        """
        with self._lock:
            if offset + length <= _HEAD:
                return self._beginning()[offset : offset + max(length, 0)]
            return self._cursor(offset).read(offset, max(length, 0), self.size)

    def _beginning(self) -> bytes:
        if not self._head:
            self._head.append(self._cursor(0).read(0, _HEAD, self.size))
        return self._head[0]

    def _cursor(self, offset: int) -> _Cursor:
        """Return the nearest cursor that can read from `offset`, most recently used last."""
        fitting = [cursor for cursor in self._cursors if cursor.floor <= offset]
        if fitting:
            found = max(fitting, key=lambda cursor: cursor.position)
            self._cursors.remove(found)
        else:
            found = _Cursor(self.parent, self.span, self.kind)
            del self._cursors[: max(0, len(self._cursors) - _CURSORS + 1)]
        self._cursors.append(found)
        return found


def inflate(parent: Source, span: Span, kind: str, limit: int = MAX_HEADER) -> bytes:
    """Return a whole decompressed range of at most `limit` bytes.

    Raises:
        LimitError: more than `limit` bytes come out.
        FormatError: the data are damaged or cut short.
    """
    data = _Cursor(parent, span, kind).read(0, limit + 1, limit)
    if len(data) > limit:
        raise LimitError(f"more than {limit} bytes come out of {span.size}", offset=span.start, field=f"{kind} data")
    return data
