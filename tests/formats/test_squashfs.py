"""The squashfs reader against mksquashfs as maker and unsquashfs as second reader, and hostile images."""

from __future__ import annotations

import hashlib
import struct
import time
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from checker.errors import FormatError, LimitError, UnsupportedAlgorithmError
from checker.formats import _squashfs
from checker.formats._squashfs import SquashFs
from checker.io.sources import BytesSource

SHAPES = ((), ("-b", "4096"), ("-no-fragments",), ("-noI", "-noD", "-noF"), ("-always-use-fragments",))
INODES, FOLDERS, FRAGMENTS = 64, 72, 80  # where the superblock states the tables


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what files of an image can be: dense, sparse, empty, whole blocks, many small ones, a link."""
    folder = tmp_path_factory.mktemp("squashfs") / "in"
    (folder / "sub").mkdir(parents=True)
    dense = hashlib.shake_256(b"dense").digest(200_003)
    (folder / "a.img").write_bytes(bytes(byte % 40 for byte in dense))
    (folder / "dense").write_bytes(dense)
    (folder / "hole").write_bytes(bytes(200_000) + b"x" + bytes(140_000))
    (folder / "empty").write_bytes(b"")
    (folder / "exact").write_bytes(b"q" * 131_072 * 2)
    for number in range(400):  # more than one metadata block of inodes and of fragments with 4096 bytes a block
        (folder / f"f{number:04d}").write_bytes(b"%d " % number * (number % 50))
    (folder / "link").symlink_to("a.img")
    return folder


@pytest.fixture(scope="module")
def make(tool: Any, content: Path) -> Any:
    made: dict[tuple[str, ...], bytes] = {}

    def pack(*options: str) -> bytes:
        if options not in made:
            target = content.parent / f"{len(made)}.sq"
            tool("mksquashfs", content, target, "-noappend", "-quiet", "-no-progress", *options)
            made[options] = target.read_bytes()
        return made[options]

    return pack


def opened(data: bytes) -> SquashFs:
    return SquashFs.open(BytesSource("x", data))


@pytest.mark.parametrize("kind", ["gzip", "xz", "lz4", "lzma", "zstd"])
@pytest.mark.parametrize("shape", SHAPES, ids=" ".join)
def test_every_file_comes_out_as_it_went_in(make: Any, content: Path, kind: str, shape: tuple[str, ...]) -> None:
    image = opened(make("-comp", kind, *shape))
    assert sorted(image.names) == sorted(path.name for path in content.iterdir())
    for path in content.iterdir():
        if path.is_symlink() or path.is_dir():
            with pytest.raises(FormatError, match="no plain file"):
                image.file(path.name)
            continue
        file, wanted = image.file(path.name), path.read_bytes()
        assert (file.size, file.read(0, file.size)) == (len(wanted), wanted)
        assert file.read(len(wanted) // 2, 77) == wanted[len(wanted) // 2 :][:77]
        assert file.read(-1, 1) == file.read(len(wanted), 1) == b""
    with pytest.raises(FormatError, match="has no 'other'"):
        image.file("other")


@pytest.mark.parametrize("kind", ["gzip", "zstd"])
def test_unsquashfs_reads_the_same(make: Any, tool: Any, tmp_path: Path, kind: str) -> None:
    (tmp_path / "x.sq").write_bytes(make("-comp", kind))
    for name in ("a.img", "hole", "f0049"):
        shown = tool("unsquashfs", "-cat", tmp_path / "x.sq", name).stdout
        file = opened(make("-comp", kind)).file(name)
        assert hashlib.sha256(file.read(0, file.size)).digest() == hashlib.sha256(shown).digest()


def test_what_is_not_read_is_named(make: Any) -> None:
    with pytest.raises(UnsupportedAlgorithmError, match="lzo"):
        opened(make("-comp", "lzo"))


def patched(data: bytes, place: int, form: str, value: int) -> bytes:
    size = struct.calcsize(form)
    return data[:place] + struct.pack(form, value) + data[place + size :]


@pytest.mark.parametrize(
    ("place", "form", "value", "message"),
    [
        (0, "<I", 0, "no squashfs"),
        (28, "<H", 3, "no squashfs"),
        (12, "<I", 0, "block size"),
        (12, "<I", 1 << 21, "block size"),
        (22, "<H", 12, "block size"),
        (40, "<Q", 1 << 40, "are there"),
        (32, "<Q", 1 << 60, "squashfs metadata"),
        (32, "<Q", 0x20, "no folder"),
        (INODES, "<Q", 1 << 63, "squashfs metadata"),
        (FOLDERS, "<Q", 1 << 63, "squashfs metadata"),
    ],
)
def test_a_damaged_superblock_is_refused_with_the_reason(
    make: Any, place: int, form: str, value: int, message: str
) -> None:
    with pytest.raises(FormatError, match=message):
        opened(patched(make("-comp", "gzip"), place, form, value))


def test_a_fragment_that_is_not_there_is_refused(make: Any) -> None:
    data = make("-comp", "gzip")
    for place, value in ((16, 0), (FRAGMENTS, 1 << 62), (FRAGMENTS, len(data) - 4)):
        image = opened(patched(data, place, "<I" if place == 16 else "<Q", value))
        with pytest.raises(FormatError):
            image.file("f0049")


def folder_image(entries: bytes, size: int, inodes: bytes = b"") -> bytes:
    """Return an image, written from the description of the format: one folder, its tables in clear."""
    root = struct.pack("<HHHHII", 1, 0o755, 0, 0, 0, 1) + struct.pack("<IIHHI", 0, 2, size, 0, 2)
    table = struct.pack("<H", 0x8000 | len(root + inodes)) + root + inodes
    listing = b"".join(
        struct.pack("<H", 0x8000 | len(entries[at : at + 8192])) + entries[at : at + 8192]
        for at in range(0, len(entries), 8192)
    )
    end = 96 + len(table) + len(listing)
    head = struct.pack("<4sIIIIHHHHHHQQQQQQQQ", b"hsqs", 2, 0, 131072, 0, 1, 17, 0, 1, 4, 0, 0, end, end, end, 96,
                       96 + len(table), end, end)  # fmt: skip
    return head + table + listing


def entry(name: bytes, offset: int = 32) -> bytes:
    return struct.pack("<HhHH", offset, 0, 2, len(name) - 1) + name


def listed(*entries: bytes) -> bytes:
    return struct.pack("<III", len(entries) - 1, 0, 1) + b"".join(entries)


def file_inode(size: int, sizes: tuple[int, ...], start: int = 0) -> bytes:
    head = struct.pack("<HHHHII", 2, 0o644, 0, 0, 0, 2)
    return head + struct.pack("<IIII", start, 0xFFFFFFFF, 0, size) + struct.pack(f"<{len(sizes)}I", *sizes)


def test_a_hand_made_image_is_read() -> None:
    entries = listed(entry(b"hole"))
    image = opened(folder_image(entries, len(entries) + 3, file_inode(5, (0,))))
    assert image.names == ("hole",)
    assert image.file("hole").read(0, 9) == bytes(5)


def test_a_name_that_occurs_twice_is_refused() -> None:
    entries = listed(entry(b"same"), entry(b"same"))
    with pytest.raises(FormatError, match="twice"):
        opened(folder_image(entries, len(entries) + 3, file_inode(5, (0,))))


def test_a_folder_that_is_longer_than_its_listing_is_refused() -> None:
    entries = listed(entry(b"name"))
    with pytest.raises(FormatError, match="ends inside"):
        opened(folder_image(entries, len(entries) + 20))


def test_blocks_that_lie_are_refused_when_they_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    entries = listed(entry(b"name"))
    plain = 1 << 24
    for sizes, start, message in (
        ((plain | 4,), 0, "4 bytes, not 5"),
        ((plain | 5,), 1 << 30, "left"),
        ((1 << 23,), 0, "allowed"),
        ((40,), 0, "damaged"),
    ):
        image = opened(folder_image(entries, len(entries) + 3, file_inode(5, sizes, start)))
        with pytest.raises(FormatError, match=message):
            image.file("name").read(0, 5)
    monkeypatch.setattr(_squashfs, "MAX_BLOCKS", 0)
    with pytest.raises(LimitError, match="blocks"):
        opened(folder_image(entries, len(entries) + 3, file_inode(5, (0,)))).file("name")


def test_a_folder_of_a_hundred_thousand_names_takes_bounded_time_and_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    def listing() -> bytes:
        numbers = iter(range(10_000))
        return b"".join(listed(*(entry(b"%06d" % next(numbers)) for _ in range(250))) for _ in range(40))

    entries = listing()
    root = folder_image(b"", 0)
    big = struct.pack("<HHHHII", 8, 0o755, 0, 0, 0, 1) + struct.pack("<IIIIHHI", 2, len(entries) + 3, 0, 2, 0, 0, 0)
    table = struct.pack("<H", 0x8000 | len(big)) + big
    body = folder_image(entries, 0)[96 + 34 :]
    end = 96 + len(table) + len(body)
    head = root[:40] + struct.pack("<QQQQQQQ", end, end, end, 96, 96 + len(table), end, end)
    tracemalloc.start()
    began = time.perf_counter()
    assert len(opened(head + table + body).names) == 10_000
    assert time.perf_counter() - began < 5
    assert tracemalloc.get_traced_memory()[1] < 20_000_000
    tracemalloc.stop()
    monkeypatch.setattr(_squashfs, "MAX_FOLDER", 1000)
    with pytest.raises(LimitError, match="root folder"):
        opened(head + table + body)


def test_a_block_that_unfolds_beyond_its_size_is_refused(make: Any) -> None:
    image = opened(make("-comp", "gzip"))
    with pytest.raises(LimitError, match="come out of one block"):
        image.block(*_first_block(image), limit=1000)


def _first_block(image: SquashFs) -> tuple[int, int]:
    file = image.file("exact")
    return file.start, file.sizes[0]


@pytest.mark.parametrize("kind", ["gzip", "xz", "lz4", "lzma"])
def test_flipped_bits_and_truncations_are_format_errors_and_never_hang(make: Any, kind: str) -> None:
    data = make("-comp", kind, "-b", "4096")
    places = [*range(0, 96, 2), *range(97, len(data) - 6000, len(data) // 40), *range(len(data) - 6000, len(data), 100)]
    began = time.perf_counter()
    for place in places:
        mutant = bytearray(data)
        mutant[place] ^= 1 << place % 8
        for broken in (bytes(mutant), data[:place]):
            try:
                image = opened(broken)
                for name in image.names[:2]:
                    file = image.file(name)
                    file.read(max(0, file.size - 5000), 5000)
            except (FormatError, UnsupportedAlgorithmError):
                continue
    assert time.perf_counter() - began < 20


@pytest.mark.parametrize(
    "data",
    [b"\x10a\x05\x00", b"\x1fa\x01\x00\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x00",
     b"\xf0", b"\x50ab"],
)  # fmt: skip
def test_lz4_blocks_that_lead_out_of_themselves_are_refused(data: bytes) -> None:
    with pytest.raises((ValueError, IndexError)):
        _squashfs._lz4(data, 4096)


@pytest.mark.parametrize("size", [0, 1, 15, 300, 70_000])
def test_lz4_blocks_of_the_tool_come_out_right(tool: Any, tmp_path: Path, size: int) -> None:
    wanted = (b"abc" * 30 + hashlib.shake_256(b"x").digest(40)) * (size // 130 + 1)
    (tmp_path / "x").write_bytes(wanted)
    frame = tool("lz4", "-B7", "-BD", "--no-frame-crc", "-c", tmp_path / "x").stdout
    length = int.from_bytes(frame[7:11], "little") & 0x7FFFFFFF  # one block behind the head of the frame
    if not frame[10] & 0x80:
        assert _squashfs._lz4(frame[11 : 11 + length], len(wanted)) == wanted
