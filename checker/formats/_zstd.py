"""Zstandard frames (RFC 8878), decompressed block by block, so that a few bytes never become many at once.

A frame is walked by its own headers: they say where it ends, so that one cut short is known for certain, and a block
gives at most 128 KiB. What is in the blocks and in the checksum behind them is for libzstd. Dictionaries are not read.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any, Final

from checker.io.limits import CHUNK

if TYPE_CHECKING:
    from zstandard import ZstdDecompressionObj

MAGIC: Final = b"\x28\xb5\x2f\xfd"  # 3.1.1
_SKIPPABLE, _SKIPPABLE_NIBBLE = b"\x2a\x4d\x18", 5  # 3.1.2: a first byte of 0x50 to 0x5f, then these three
MAX_WINDOW: Final = 128 * 1024**2  # bytes; more is refused by `zstd -d` too, unless it is told otherwise (--long)
MAX_BLOCK: Final = 128 * 1024  # bytes of a block, compressed and not (3.1.1.2.4)
_RLE: Final = 1
_RESERVED: Final = 3
_SINGLE, _RESERVED_BIT, _CHECKSUM = 0x20, 0x08, 0x04  # in the frame header's descriptor (3.1.1.1.1)


def is_frame(head: bytes) -> bool:
    """Return whether a frame begins here, one with data or one to be skipped."""
    return head.startswith(MAGIC) or (head[1:4] == _SKIPPABLE and head[0] >> 4 == _SKIPPABLE_NIBBLE)


class Decompressor:
    """Frames that follow one another; each call returns the output of one block at most.

    `eof` says that the input so far ends with a frame; more frames may follow, for another decompressor.
    """

    unused_data: Final = b""  # as of `lzma.LZMADecompressor`, whose interface this is

    def __init__(self, max_window: int = MAX_WINDOW) -> None:
        """Begin with a frame; no frame's window may have more than `max_window` bytes."""
        self.eof = False
        self._library = _library().ZstdDecompressor(max_window_size=max_window)
        self._held = bytearray()
        self._begin()

    def _begin(self) -> None:
        self._frame: ZstdDecompressionObj = self._library.decompressobj()
        self._units = _units()
        self._needed = next(self._units)

    @property
    def needs_input(self) -> bool:
        """Return whether nothing more comes out of what was given."""
        return not self.eof and len(self._held) < self._needed

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:  # noqa: ARG002 - lzma's signature
        """Return what comes out next, at most `MAX_BLOCK` bytes, nothing where more input is needed.

        Raises:
            ValueError: the frame is damaged, or asks for a larger window or for a dictionary.
        """
        self._held += data
        while not (self.eof or self.needs_input):
            found = self._next()
            if found:
                return found
        return b""

    def _next(self) -> bytes:
        unit = bytes(self._held[: self._needed])
        del self._held[: self._needed]
        self._needed, ended = _advance(self._units, unit)
        try:
            found = self._frame.decompress(unit) if unit else b""
        except _library().ZstdError as error:
            raise ValueError(str(error)) from error
        if ended:
            if not self._frame.eof:
                raise ValueError("the frame ends before its content does")
            self.eof = not self._held
            self._begin()
        return found


def decompress(data: bytes, limit: int, max_window: int = MAX_WINDOW) -> bytes:
    """Return the content of frames, or its first bytes: `limit` at least, and less than a block more.

    Raises:
        ValueError: a frame is damaged or cut short, or other bytes follow it.
    """
    running = Decompressor(max_window)
    parts = [running.decompress(data)]
    while sum(map(len, parts)) <= limit and not (running.eof or running.needs_input):
        parts.append(running.decompress(b""))
    if running.needs_input:
        raise ValueError("the frame does not end where its container says")
    return b"".join(parts)


def _library() -> Any:  # noqa: ANN401 - a module
    """Return the library; few files need it, and loading it takes milliseconds."""
    import zstandard

    return zstandard


def _advance(units: Generator[int, bytes, None], unit: bytes) -> tuple[int, bool]:
    """Return how many bytes the next unit takes, and whether there is none."""
    try:
        return units.send(unit), False
    except StopIteration:
        return 0, True


def _units() -> Generator[int, bytes, None]:
    """Yield how many bytes the next part of a frame takes, and receive them, until the frame ends."""
    magic = yield len(MAGIC)
    if magic != MAGIC:
        yield from _skippable(magic)
        return
    descriptor = (yield 1)[0]
    if descriptor & _RESERVED_BIT:
        raise ValueError("a reserved bit of the frame header is set")
    yield _header_size(descriptor)
    last = False
    while not last:
        word = int.from_bytes((yield 3), "little")
        last, kind, size = bool(word & 1), word >> 1 & 3, word >> 3
        if kind == _RESERVED or size > MAX_BLOCK:
            raise ValueError(f"a block of kind {kind} and {size} bytes")
        yield 1 if kind == _RLE else size
    if descriptor & _CHECKSUM:
        yield 4


def _skippable(magic: bytes) -> Generator[int, bytes, None]:
    if not is_frame(magic):
        raise ValueError("no frame begins here")
    left = int.from_bytes((yield 4), "little")
    while left:
        left -= len((yield min(left, CHUNK)))


def _header_size(descriptor: int) -> int:
    """Return the length of the frame header behind its descriptor: window, dictionary id, content size (3.1.1.1)."""
    single = bool(descriptor & _SINGLE)
    content = 1 << (descriptor >> 6) if descriptor >> 6 else int(single)
    dictionary = (0, 1, 2, 4)[descriptor & 3]
    return (0 if single else 1) + dictionary + content
