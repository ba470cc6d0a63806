"""The digest engine: many digests and checksums over large ranges, in one pass over the file.

Each request runs in its own thread and reads the same pages with `pread`; on two cores SHA-256 beside SHA3-256 then
costs what SHA3-256 costs alone (dependencies.md 3). Memory is one chunk per thread, whatever the size of the file.

A file's own digest keeps its state from place to place, so that a signed digest over the file's beginning, which most
formats ask for, continues from there and costs no second pass.
"""

from __future__ import annotations

import hashlib
import os
import zlib
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Final, Protocol

from checker.errors import FormatError, UnsupportedAlgorithmError
from checker.io.checksums import CATALOGUE, Checksum, resolve
from checker.io.folders import FolderSource
from checker.io.limits import CHUNK
from checker.io.sources import FileSource, Window
from checker.model.artifact import Source, Span

ADLER: Final = "adler-32"
MARKS: Final = 1024  # states that are kept of one digest, some 500 bytes each; a request reads 1/1024 again at most
_HASHLIB: Final = {
    "md5": "md5",
    "sha-1": "sha1",
    "sha-224": "sha224",
    "sha-256": "sha256",
    "sha-384": "sha384",
    "sha-512": "sha512",
    "sha-512/224": "sha512_224",
    "sha-512/256": "sha512_256",
    "sha3-224": "sha3_224",
    "sha3-256": "sha3_256",
    "sha3-384": "sha3_384",
    "sha3-512": "sha3_512",
    "blake2b-512": "blake2b",
    "blake2s-256": "blake2s",
    "sm3": "sm3",
}

# SHAKE as a hash has one length in bytes (FIPS 204 5.4, RFC 8702 section 2). Any shorter output is its beginning.
_SHAKE: Final = {"shake128": 32, "shake256": 64}


@dataclass(frozen=True)
class Literal:
    """Bytes that are hashed though no source holds them in this form."""

    data: bytes = field(repr=False)


@dataclass(frozen=True)
class Piece:
    """A range of a source. Sources are compared by identity."""

    source: Source
    span: Span


@dataclass(frozen=True)
class DigestRequest:
    """One digest or checksum over pieces in order. `algorithm` is an id of the algorithm table: `sha-256`, `crc-32`."""

    algorithm: str
    pieces: tuple[Piece | Literal, ...]

    @classmethod
    def over(cls, algorithm: str, source: Source, span: Span | None = None) -> DigestRequest:
        """Return a request over one range, or over the whole source."""
        return cls(algorithm, (Piece(source, span or Span(0, source.size)),))


class Hasher(Protocol):
    """What `hashlib` objects and checksums have in common."""

    def update(self, data: bytes | memoryview, /) -> None:
        """Take in more bytes."""

    def digest(self) -> bytes:
        """Return the value so far."""


class _Adler:
    """Adler-32 (RFC 1950, 8.2) as a `hashlib` object; its low half is one more than the sum of all bytes."""

    def __init__(self) -> None:
        self._value = 1

    def update(self, data: bytes | memoryview, /) -> None:
        self._value = zlib.adler32(data, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(4, "big")


class _Shake:
    """SHAKE128 or SHAKE256 as a `hashlib` object of one output length."""

    def __init__(self, algorithm: str) -> None:
        self._size = _SHAKE[algorithm]
        self._running = hashlib.shake_128() if algorithm == "shake128" else hashlib.shake_256()

    def update(self, data: bytes | memoryview, /) -> None:
        self._running.update(data)

    def digest(self) -> bytes:
        return self._running.digest(self._size)


def supported(algorithm: str) -> bool:
    """Return whether the engine can compute this digest or checksum."""
    return algorithm in _HASHLIB or algorithm in _SHAKE or algorithm == ADLER or resolve(algorithm) in CATALOGUE


def hasher(algorithm: str) -> Hasher:
    """Return a fresh hasher.

    Raises:
        UnsupportedAlgorithmError: nothing here computes it.
    """
    if algorithm == ADLER:
        return _Adler()
    if algorithm in _SHAKE:
        return _Shake(algorithm)
    if resolve(algorithm) in CATALOGUE:
        return Checksum(algorithm)
    try:
        return hashlib.new(_HASHLIB[algorithm], usedforsecurity=False)
    except (KeyError, ValueError) as error:
        msg = f"no implementation of {algorithm!r} is at hand"
        raise UnsupportedAlgorithmError(msg) from error


def digest(algorithm: str, data: bytes) -> bytes:
    """Return the digest of bytes in memory.

    Raises:
        UnsupportedAlgorithmError: nothing here computes it.
    """
    running = hasher(algorithm)
    running.update(data)
    return running.digest()


class _Marked:
    """A digest that keeps its state from time to time."""

    def __init__(self, request: DigestRequest) -> None:
        self._running = hashlib.new(_HASHLIB[request.algorithm], usedforsecurity=False)
        self._step = max(CHUNK, _length(request) // MARKS)
        self._done, self._places, self._states = 0, [0], [self._running.copy()]

    def update(self, data: bytes | memoryview, /) -> None:
        self._running.update(data)
        self._done += len(data)
        if self._done - self._places[-1] >= self._step:
            self._places.append(self._done)
            self._states.append(self._running.copy())

    def digest(self) -> bytes:
        return self._running.digest()

    def before(self, end: int) -> tuple[int, Hasher]:
        """Return the last place up to `end` that has a state, and a hasher in this state."""
        number = bisect_right(self._places, end) - 1
        return self._places[number], self._states[number].copy()


def compute(requests: Iterable[DigestRequest], identity: Started | None = None) -> dict[DigestRequest, bytes]:
    """Answer all requests, in parallel, in bounded memory; what begins as `identity` does continues from there.

    Raises:
        UnsupportedAlgorithmError: a request names an unknown algorithm.
        FormatError: a source ends before a piece does.
    """
    # The longest first: one that started last would keep a single core busy when all others are done.
    every = dict.fromkeys(requests)
    shared = {request: None for request in every if identity is not None and identity.begins(request)}
    wanted = sorted((request for request in every if request not in shared), key=_length, reverse=True)
    found = _in_parallel(wanted)
    return found | {request: identity.resume(request) for request in shared if identity is not None}


def _in_parallel(wanted: Sequence[DigestRequest]) -> dict[DigestRequest, bytes]:
    if not wanted or _length(wanted[0]) <= CHUNK:
        return {request: _one(request) for request in wanted}
    with ThreadPoolExecutor(max_workers=min(len(wanted), os.cpu_count() or 1)) as pool:
        return dict(zip(wanted, pool.map(_one, wanted), strict=True))


@dataclass(frozen=True)
class Started:
    """A digest that is being computed in the background."""

    request: DigestRequest
    _answer: Future[bytes]
    _marked: _Marked | None = field(default=None, repr=False)

    def result(self) -> bytes:
        """Wait for the digest and return it.

        Raises:
            FormatError: the source ended before the request did.
        """
        return self._answer.result()

    def begins(self, request: DigestRequest) -> bool:
        """Return whether `resume` saves work: the request begins with at least half of what this digest is over."""
        if self._marked is None or not request.pieces:
            return False
        first, own = request.pieces[0], self.request.pieces[0]
        if not isinstance(first, Piece) or not isinstance(own, Piece):
            return False
        same = request.algorithm == self.request.algorithm and first.source is own.source
        return same and first.span.start == own.span.start and own.span.size <= 2 * first.span.size

    def resume(self, request: DigestRequest) -> bytes:
        """Return the digest of a request that `begins` like this one, from the last state that fits.

        Raises:
            FormatError: a source ends before a piece does.
        """
        self._answer.result()
        first = request.pieces[0]
        if self._marked is None or not isinstance(first, Piece):
            return _one(request)
        done, running = self._marked.before(first.span.size)
        rest = Piece(first.source, Span(first.span.start + done, first.span.end))
        return _one(replace(request, pieces=(rest, *request.pieces[1:])), running)


def start(request: DigestRequest) -> Started:
    """Begin to compute a digest while the caller goes on; hashing leaves Python's lock alone, so both advance."""
    marked = _Marked(request) if request.algorithm in _HASHLIB and len(request.pieces) == 1 else None
    pool = ThreadPoolExecutor(max_workers=1)
    answer = pool.submit(_one, request, marked)
    pool.shutdown(wait=False)
    return Started(request, answer, marked)


def identify(source: Source) -> Started:
    """Begin to compute a file's own digest, the SHA-256 that names it in every report.

    That of a folder is taken over `path NUL size NUL content` of each file in turn, in the order of the paths (UTF-8;
    the size in decimal digits), so that it binds names and boundaries too.
    """
    if not isinstance(source, FolderSource):
        return start(DigestRequest.over("sha-256", source))
    heads = (Literal(f"{member.path}\0{member.size}\0".encode(errors="surrogateescape")) for member in source.members)
    contents = (Piece(source, member.span) for member in source.members)
    return start(DigestRequest("sha-256", tuple(part for pair in zip(heads, contents, strict=True) for part in pair)))


def _length(request: DigestRequest) -> int:
    return sum(len(p.data) if isinstance(p, Literal) else p.span.size for p in request.pieces)


def _one(request: DigestRequest, begun: Hasher | None = None) -> bytes:
    running = begun or hasher(request.algorithm)
    buffer = memoryview(bytearray(min(CHUNK, max(_length(request), 1))))
    for piece in request.pieces:
        if isinstance(piece, Literal):
            running.update(piece.data)
            continue
        source, span = _without_windows(piece.source, piece.span)
        if isinstance(source, FileSource):
            _feed_file(running, source, span, buffer)
        else:
            _feed(running, source, span)
    return running.digest()


def _without_windows(source: Source, span: Span) -> tuple[Source, Span]:
    """Return where a range of a window lies in the file, whose bytes are read into a buffer that stays."""
    while isinstance(source, Window) and span.end <= source.size:
        span = Span(source.offset + span.start, source.offset + span.end)
        source = source.parent
    return source, span


def _feed_file(running: Hasher, source: FileSource, span: Span, buffer: memoryview) -> None:
    offset = span.start
    while offset < span.end:
        got = os.preadv(source.fd, [buffer[: span.end - offset]], offset)
        if got == 0:
            raise _short(source, offset)
        running.update(buffer[:got])
        offset += got


def _feed(running: Hasher, source: Source, span: Span) -> None:
    offset = span.start
    while offset < span.end:
        data = source.read(offset, min(CHUNK, span.end - offset))
        if not data:
            raise _short(source, offset)
        running.update(data)
        offset += len(data)


def _short(source: Source, offset: int) -> FormatError:
    return FormatError(f"{source.name} ends here, but more bytes were to be hashed", offset=offset, field="content")
