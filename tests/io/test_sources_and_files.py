from __future__ import annotations

import os
from pathlib import Path

import pytest

from checker.errors import FormatError, InputError, LimitError, PathError
from checker.io.files import Files
from checker.io.reader import Reader
from checker.io.sources import BytesSource, FileSource, Window


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    inside = tmp_path / "vendor"
    inside.mkdir()
    (inside / "fw.bin").write_bytes(b"firmware")
    (tmp_path / "secret.txt").write_bytes(b"secret")
    return inside


def test_a_file_below_the_folder_is_read(folder: Path) -> None:
    assert Files(folder).read("fw.bin", 8) == b"firmware"


def test_one_byte_over_the_limit_is_refused(folder: Path) -> None:
    with pytest.raises(LimitError, match="8 bytes, at most 7"):
        Files(folder).read("fw.bin", 7)


@pytest.mark.parametrize("path", ["../secret.txt", "x/../../secret.txt", "/etc/hostname", "link"])
def test_a_path_that_leads_outside_is_refused(folder: Path, path: str) -> None:
    (folder / "link").symlink_to(folder.parent / "secret.txt")
    with pytest.raises(PathError, match="leads out"):
        Files(folder).read(path, 100)


def test_outside_is_allowed_only_when_asked_for(folder: Path) -> None:
    assert Files(folder, allow_outside=True).read("../secret.txt", 100) == b"secret"


def test_a_link_that_stays_inside_is_followed(folder: Path) -> None:
    (folder / "link").symlink_to("fw.bin")
    assert Files(folder).read("link", 100) == b"firmware"


@pytest.mark.parametrize("path", ["missing.bin", ".", "a\0b", "loop"])
def test_what_cannot_be_opened_is_an_input_error_without_the_real_folder(folder: Path, path: str) -> None:
    (folder / "loop").symlink_to("loop")
    with pytest.raises(InputError) as caught:
        Files(folder).read(path, 100)
    assert str(folder) not in str(caught.value)


def test_a_fifo_neither_hangs_nor_opens(folder: Path) -> None:
    os.mkfifo(folder / "pipe")
    with pytest.raises(InputError, match="not a regular file"):
        Files(folder).read("pipe", 100)


def test_a_changed_file_is_noticed(folder: Path) -> None:
    with FileSource(folder / "fw.bin", "fw.bin") as source:
        assert source.unchanged()
        (folder / "fw.bin").write_bytes(b"firmware!")
        assert not source.unchanged()


def test_a_window_never_reads_past_its_end() -> None:
    window = Window(BytesSource("x", b"0123456789"), "w", 2, 4)
    assert window.read(0, 100) == b"2345"
    assert window.read(3, 2) == b"5"
    assert window.read(4, 1) == b""


def test_the_reader_names_offset_and_field_of_what_is_missing() -> None:
    reader = Reader(BytesSource("x", b"abcdef"), 2)
    assert reader.take(3, "magic") == b"cde"
    with pytest.raises(FormatError) as caught:
        reader.integer(2, "header size")
    assert (caught.value.offset, caught.value.field) == (5, "header size")


@pytest.mark.parametrize(("endian", "expected"), [("little", 0x0201), ("big", 0x0102)])
def test_integers_have_the_endianness_that_is_asked_for(endian: str, expected: int) -> None:
    assert Reader(BytesSource("x", b"\x01\x02")).integer(2, "n", "big" if endian == "big" else "little") == expected


def test_a_length_over_the_limit_is_refused_before_anything_is_read() -> None:
    with pytest.raises(LimitError):
        Reader(BytesSource("x", b"abc")).take(1 << 40, "length")


@pytest.mark.parametrize("length", [-1, 4])
def test_skipping_stays_inside(length: int) -> None:
    reader = Reader(BytesSource("x", b"abc"))
    with pytest.raises(FormatError):
        reader.skip(length, "padding")
    reader.skip(3, "padding")
    assert reader.left == 0


class _Shrinking(BytesSource):
    size = 10  # says more than it has, like a file that was cut while it was read


def test_a_source_that_shrinks_while_it_is_read_is_a_format_error() -> None:
    with pytest.raises(FormatError, match="could be read"):
        Reader(_Shrinking("x", b"abc")).take(5, "body")
