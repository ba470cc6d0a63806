from __future__ import annotations

import hashlib
import resource
import subprocess
import zlib
from pathlib import Path
from typing import Any

import pytest

from checker.errors import FormatError, UnsupportedAlgorithmError
from checker.io.digests import DigestRequest, Literal, Piece, compute, digest, hasher, identify, supported
from checker.io.limits import CHUNK
from checker.io.sources import BytesSource, FileSource, Window
from checker.model.artifact import Span

CONTENT = bytes(range(256)) * 12_000  # three megabytes: several chunks


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "image.bin"
    path.write_bytes(CONTENT)
    return path


def openssl(path: Path, algorithm: str) -> str:
    command = ["openssl", "dgst", "-r", f"-{algorithm}", str(path)]
    return str(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[0])


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [("sha-256", "sha256"), ("sha3-256", "sha3-256"), ("sha-512/256", "sha512-256"), ("md5", "md5"), ("sm3", "sm3")],
)
def test_openssl_computes_the_same_digest_of_a_file(file: Path, ours: str, theirs: str) -> None:
    with FileSource(file, "image.bin") as source:
        assert compute([DigestRequest.over(ours, source)]).popitem()[1].hex() == openssl(file, theirs)


def test_many_requests_are_answered_in_one_call(file: Path) -> None:
    with FileSource(file, "image.bin") as source:
        whole = DigestRequest.over("sha-256", source)
        part = DigestRequest.over("sha-384", source, Span(7, 2_000_001))
        check = DigestRequest.over("crc-32", source, Span(1, 5))
        answers = compute([whole, part, check, whole])
    assert answers == {
        whole: hashlib.sha256(CONTENT).digest(),
        part: hashlib.sha384(CONTENT[7:2_000_001]).digest(),
        check: digest("crc-32", CONTENT[1:5]),
    }


def test_pieces_are_hashed_in_order_and_across_sources(file: Path) -> None:
    with FileSource(file, "image.bin") as source:
        window = Window(source, "inner", 1000, 50)
        request = DigestRequest("sha-256", (Literal(b"head"), Piece(window, Span(10, 20)), Piece(source, Span(0, 3))))
        answer = compute([request])[request]
    assert answer == hashlib.sha256(b"head" + CONTENT[1010:1020] + CONTENT[:3]).digest()


def test_a_source_that_ends_too_soon_is_said_so_with_the_offset(file: Path) -> None:
    with FileSource(file, "image.bin") as source, pytest.raises(FormatError) as caught:
        compute([DigestRequest.over("sha-256", source, Span(0, len(CONTENT) + 1))])
    assert caught.value.offset == len(CONTENT)


def test_an_in_memory_source_that_ends_too_soon_is_said_so() -> None:
    with pytest.raises(FormatError, match="ends here"):
        compute([DigestRequest.over("sha-256", BytesSource("x", b"abc"), Span(0, 4))])


def test_adler_32_is_the_one_of_zlib(file: Path) -> None:
    with FileSource(file, "image.bin") as source:
        assert compute([DigestRequest.over("adler-32", source)]).popitem()[1] == zlib.adler32(CONTENT).to_bytes(
            4, "big"
        )


def test_an_unknown_algorithm_is_refused_and_not_supported() -> None:
    assert not supported("sha-257")
    assert supported("sha-256")
    assert supported("CRC-16/ARC")
    with pytest.raises(UnsupportedAlgorithmError, match="sha-257"):
        hasher("sha-257")


def test_a_large_sparse_file_is_hashed_in_flat_memory(tmp_path: Path) -> None:
    path = tmp_path / "sparse.bin"
    with path.open("wb") as stream:
        stream.truncate(256 * 1024 * 1024)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with FileSource(path, "sparse.bin") as source:
        compute([DigestRequest.over("sha-256", source), DigestRequest.over("sha-1", source)])
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown * 1024 < 16 * CHUNK


class Counting:
    """A source that counts the bytes that were read from it."""

    name = "counting.bin"
    size = len(CONTENT)

    def __init__(self) -> None:
        self.read_bytes = 0

    def read(self, offset: int, length: int) -> bytes:
        data = CONTENT[offset : offset + length]
        self.read_bytes += len(data)
        return data


HALF = len(CONTENT) // 2


@pytest.mark.parametrize("size", [HALF, CHUNK * 17, CHUNK * 17 + 1, len(CONTENT) - 1, len(CONTENT)])
def test_a_digest_over_the_beginning_continues_from_the_files_own_digest(size: int) -> None:
    source = Counting()
    identity = identify(source)
    prefix = DigestRequest.over("sha-256", source, Span(0, size))
    longer = DigestRequest("sha-256", (*prefix.pieces, Literal(b"more"), Piece(source, Span(5, 9))))
    assert compute([prefix, longer], identity) == {
        prefix: hashlib.sha256(CONTENT[:size]).digest(),
        longer: hashlib.sha256(CONTENT[:size] + b"more" + CONTENT[5:9]).digest(),
    }
    assert identity.result() == hashlib.sha256(CONTENT).digest()
    assert len(CONTENT) <= source.read_bytes <= len(CONTENT) + 2 * CHUNK + 4


@pytest.mark.parametrize(
    ("algorithm", "pieces"),
    [
        ("sha-384", lambda source: (Piece(source, Span(0, HALF)),)),
        ("sha-256", lambda source: (Piece(source, Span(1, len(CONTENT))),)),
        ("sha-256", lambda source: (Piece(source, Span(0, HALF - 1)),)),
        ("sha-256", lambda source: (Literal(b"salt"), Piece(source, Span(0, HALF)))),
        ("sha-256", lambda _: (Piece(BytesSource("other", CONTENT[::-1]), Span(0, HALF)),)),
        ("sha-256", lambda _: ()),
    ],
)
def test_what_does_not_begin_as_the_file_does_is_computed_by_itself(algorithm: str, pieces: Any) -> None:
    source = BytesSource("x", CONTENT)
    request, identity = DigestRequest(algorithm, pieces(source)), identify(source)
    assert not identity.begins(request)
    assert compute([request], identity) == compute([request])
    assert identity.resume(DigestRequest.over("sha-256", source, Span(0, 7))) == hashlib.sha256(CONTENT[:7]).digest()
    assert identity.resume(DigestRequest("sha-256", (Literal(b"a"),))) == digest("sha-256", b"a")


def test_a_beginning_that_is_longer_than_the_file_is_refused() -> None:
    source = BytesSource("x", CONTENT)
    with pytest.raises(FormatError, match="ends here"):
        compute([DigestRequest.over("sha-256", source, Span(0, len(CONTENT) + 1))], identify(source))


def test_windows_inside_windows_are_read_from_the_file_and_end_where_they_say(file: Path) -> None:
    with FileSource(file, "image.bin") as source:
        inner = Window(Window(source, "outer", 1000, 2_000_000), "inner", 500, 1_500_000)
        whole = DigestRequest.over("sha-256", inner)
        assert compute([whole])[whole] == hashlib.sha256(CONTENT[1500 : 1500 + 1_500_000]).digest()
        short, long = Window(source, "short", 0, 3000), Window(source, "long", len(CONTENT) - 7, 8)
        for window, size in ((short, 3001), (long, 8)):
            with pytest.raises(FormatError, match="ends here"):
                compute([DigestRequest.over("sha-256", window, Span(0, size))])
