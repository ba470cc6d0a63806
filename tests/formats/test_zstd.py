"""Zstandard frames: the zstd tool makes and judges them, and hostile ones are answered in bounded time and memory."""

from __future__ import annotations

import hashlib
import shutil
import struct
import subprocess
import tracemalloc
from typing import Any

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from checker.errors import FormatError, LimitError
from checker.formats import _zstd
from checker.formats._inflate import Inflated, compression, inflate
from checker.io.sources import BytesSource
from checker.model.artifact import Span

PLAIN = b"".join(b"%07d " % number for number in range(60_000))
DENSE = hashlib.shake_256(b"dense").digest(300_000)
MAGIC = bytes.fromhex("28b52ffd")
NEEDS_ZSTD = pytest.mark.skipif(shutil.which("zstd") is None, reason="zstd is not installed")


def skippable(data: bytes, number: int = 0) -> bytes:
    return bytes([0x50 + number]) + b"\x2a\x4d\x18" + struct.pack("<I", len(data)) + data


def block(kind: int, size: int, data: bytes, *, last: bool = False) -> bytes:
    return (size << 3 | kind << 1 | last).to_bytes(3, "little") + data


def raw_frame(*blocks: bytes, descriptor: int = 0, window: int = 0x38) -> bytes:
    """Return a frame, written from RFC 8878, without content size and checksum; 0x38 is a window of 128 KiB."""
    return MAGIC + bytes([descriptor, window]) + b"".join(blocks)


def opened(data: bytes, limit: int = 10**8) -> bytes:
    return inflate(BytesSource("x", data), Span(0, len(data)), "zstd", limit)


def accepts(data: bytes) -> bool:
    """Ask the zstd tool itself."""
    return subprocess.run(["zstd", "-tq"], input=data, capture_output=True, timeout=60, check=False).returncode == 0


@pytest.mark.parametrize("plain", [PLAIN, DENSE, b"", bytes(1_000_000)], ids=["text", "dense", "no", "zeros"])
@pytest.mark.parametrize("options", [("-1",), ("-19",), ("--no-check", "--no-content-size"), ("--ultra", "-22")])
def test_what_the_tool_packed_comes_out(tool: Any, plain: bytes, options: tuple[str, ...]) -> None:
    packed = tool("zstd", *options, "-c", data=plain).stdout
    assert compression(packed[:8]) == "zstd"
    assert opened(packed) == plain
    assert opened(skippable(b"meta", 15) + packed + skippable(b"") + packed + skippable(bytes(200_000))) == plain * 2


def test_reads_in_any_order_give_the_same_bytes() -> None:
    packed = zstandard.compress(PLAIN[:200_001]) + zstandard.compress(PLAIN[200_001:])
    source = Inflated(BytesSource("x", b"head" + packed), Span(4, 4 + len(packed)), "zstd")
    for offset, length in ((0, 5), (300_000, 70), (7, 9), (200_000, 2), (0, 300_000), (65_530, 10), (2**31, 4)):
        assert source.read(offset, length) == PLAIN[offset : offset + length], offset


def test_it_knows_where_a_frame_begins() -> None:
    assert compression(skippable(b"")[:8]) == "zstd"
    for head in (b"", b"\x50", MAGIC[:3], b"\x60\x2a\x4d\x18", b"\x4f\x2a\x4d\x18", b"\x1e\xb5\x2f\xfd"):
        assert not _zstd.is_frame(head)


@NEEDS_ZSTD
def test_the_tool_and_the_reader_agree_about_truncations_and_what_follows() -> None:
    plain = PLAIN[:150_000] + DENSE[:200_000] + bytes(140_000)
    packed = zstandard.ZstdCompressor(write_checksum=True).compress(plain)
    assert accepts(packed)
    ends = [len(packed) - 1, len(packed) - 4, len(packed) - 5, *range(0, 40, 3), *range(40, len(packed), 22_003)]
    for data in [packed[:size] for size in ends] + [packed + b"?", packed + bytes(8), packed + packed[:9]]:
        if data:
            assert not accepts(data)
        with pytest.raises(FormatError, match="zstd data"):
            opened(data)


@NEEDS_ZSTD
def test_a_flipped_bit_that_the_tool_finds_is_found() -> None:
    packed = zstandard.ZstdCompressor(write_checksum=True).compress(PLAIN[:30_000])
    for at in [*range(20), *range(20, len(packed) - 4, 997), *range(len(packed) - 4, len(packed))]:
        for bit in range(8):
            data = packed[:at] + bytes([packed[at] ^ 1 << bit]) + packed[at + 1 :]
            if accepts(data):
                assert opened(data) == PLAIN[:30_000]  # a bit without a meaning, as the one that RFC 8878 calls unused
                continue
            with pytest.raises(FormatError):
                opened(data)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (raw_frame(block(3, 1, b"x", last=True)), "kind 3"),
        (raw_frame(block(0, 131_073, bytes(131_073), last=True)), "131073 bytes"),
        (raw_frame(block(1, (1 << 21) - 1, b"x", last=True)), "2097151 bytes"),
        (raw_frame(block(0, 1, b"x", last=True), descriptor=8), "reserved bit"),
        (raw_frame(block(0, 1, b"x", last=True), window=0x90), "memory"),  # 256 MiB
        (raw_frame(b"\x07" + block(0, 1, b"x", last=True), descriptor=1), "[Dd]ictionary"),
        (raw_frame(block(0, 1, b"x")), "ends before"),
        (raw_frame(block(0, 2, b"xy", last=True), descriptor=0x20, window=1), "damaged"),  # one byte is stated
        (skippable(b"abc")[:-1], "ends before"),
        (MAGIC, "ends before"),
        (b"\x28\xb5\x2f\xfe", "no frame"),
    ],
)
def test_what_is_wrong_is_said(data: bytes, message: str) -> None:
    with pytest.raises(FormatError, match=message):
        opened(data)
    assert opened(raw_frame(block(0, 0, b""), block(0, 1, b"x"), block(1, 3, b"y", last=True))) == b"xyyy"


def test_a_dictionary_is_asked_for_by_its_frame() -> None:
    trained = zstandard.ZstdCompressionDict(PLAIN[:5000])
    packed = zstandard.ZstdCompressor(dict_data=trained, write_dict_id=True).compress(PLAIN[:3000])
    try:
        assert opened(packed) != PLAIN[:3000]
    except FormatError as error:
        assert "damaged" in str(error)  # noqa: PT017 - both are answers, its content is none


def test_a_bomb_of_runs_is_refused_at_the_limit_in_little_memory() -> None:
    bomb = raw_frame(*[block(1, 131_072, b"\0")] * 20_000, block(1, 1, b"\0", last=True))  # 80 KB for 2.6 GB
    tracemalloc.start()
    with pytest.raises(LimitError, match="come out of"):
        opened(bomb, 16 * 1024**2)
    source = Inflated(BytesSource("x", bomb), Span(0, len(bomb)), "zstd", 64 * 1024**2)
    for offset in range(0, 60 * 1024**2, 1024**2):
        assert source.read(offset, 1024) == bytes(1024)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 64 * 1024**2
    with pytest.raises(LimitError):
        source.read(10**10, 1)


def test_many_empty_frames_take_linear_time() -> None:
    empty = raw_frame(block(0, 0, b"", last=True)) + skippable(b"")
    assert opened(empty * 10_000 + zstandard.compress(b"end")) == b"end"


def test_one_frame_in_a_container_ends_where_that_says() -> None:
    packed = zstandard.compress(PLAIN)
    assert _zstd.decompress(packed, len(PLAIN)) == PLAIN
    assert 1000 < len(_zstd.decompress(packed, 1000)) <= 1000 + _zstd.MAX_BLOCK
    for wrong in (packed[:-1], b""):
        with pytest.raises(ValueError, match="does not end where"):
            _zstd.decompress(wrong, len(PLAIN))
    with pytest.raises(ValueError, match="no frame"):
        _zstd.decompress(packed + b"more", len(PLAIN))
    huge = MAGIC + bytes([0xE0]) + (1 << 62).to_bytes(8, "little") + block(0, 1, b"x", last=True)
    with pytest.raises(ValueError, match="memory"):
        _zstd.decompress(huge, 1000, 1 << 20)


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_are_decompressed_or_refused(data: bytes) -> None:
    for whole in (data, MAGIC + data):
        try:
            opened(whole)
        except FormatError:
            continue
