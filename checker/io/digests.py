"""The digest engine: many digests and checksums over large ranges, in one pass over the file.

Each request runs in its own thread and reads the same pages with `pread`; on two cores SHA-256 beside SHA3-256 then
costs what SHA3-256 costs alone (dependencies.md 3). Memory is one chunk per thread, whatever the size of the file.
"""

from __future__ import annotations

import hashlib
import os
import zlib
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final, Protocol

from checker.errors import FormatError, UnsupportedAlgorithmError
from checker.io.checksums import CATALOGUE, Checksum, resolve
from checker.io.folders import FolderSource
from checker.io.limits import CHUNK
from checker.io.sources import FileSource
from checker.model.artifact import Source, Span

ADLER: Final = "adler-32"
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


def compute(requests: Iterable[DigestRequest]) -> dict[DigestRequest, bytes]:
    """Answer all requests, in parallel, in bounded memory.

    Raises:
        UnsupportedAlgorithmError: a request names an unknown algorithm.
        FormatError: a source ends before a piece does.
    """
    # The longest first: one that started last would keep a single core busy when all others are done.
    wanted = sorted(dict.fromkeys(requests), key=_length, reverse=True)
    if not wanted or _length(wanted[0]) <= CHUNK:
        return {request: _one(request) for request in wanted}
    with ThreadPoolExecutor(max_workers=min(len(wanted), os.cpu_count() or 1)) as pool:
        return dict(zip(wanted, pool.map(_one, wanted), strict=True))


@dataclass(frozen=True)
class Started:
    """A digest that is being computed in the background."""

    request: DigestRequest
    _answer: Future[bytes]

    def result(self) -> bytes:
        """Wait for the digest and return it.

        Raises:
            FormatError: the source ended before the request did.
        """
        return self._answer.result()


def start(request: DigestRequest) -> Started:
    """Begin to compute a digest while the caller goes on; hashing leaves Python's lock alone, so both advance."""
    pool = ThreadPoolExecutor(max_workers=1)
    answer = pool.submit(_one, request)
    pool.shutdown(wait=False)
    return Started(request, answer)


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


def _one(request: DigestRequest) -> bytes:
    running = hasher(request.algorithm)
    buffer = memoryview(bytearray(min(CHUNK, max(_length(request), 1))))
    for piece in request.pieces:
        if isinstance(piece, Literal):
            running.update(piece.data)
        elif isinstance(piece.source, FileSource):
            _feed_file(running, piece.source, piece.span, buffer)
        else:
            _feed(running, piece.source, piece.span)
    return running.digest()


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
