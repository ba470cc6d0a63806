from __future__ import annotations

import io
import os
import resource
import shutil
import struct
import subprocess
import time
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from checker.errors import FormatError, LimitError
from checker.formats import _zip
from checker.formats._zip_directory import END, Entry, extra_fields, large
from checker.io.digests import DigestRequest, compute
from checker.io.sources import BytesSource

FILES = {"a.bin": b"alpha " * 100, "dir/b.bin": os.urandom(300), "empty": b""}


def made(files: Mapping[str, bytes] = FILES, method: int = zipfile.ZIP_DEFLATED, comment: bytes = b"") -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name, (2026, 1, 1, 0, 0, 0)), data, method)
        archive.comment = comment
    return out.getvalue()


def read(data: bytes) -> _zip.Archive:
    return _zip.read(BytesSource("a.zip", data))


def contents(data: bytes) -> dict[str, bytes]:
    archive = read(data)
    return {member.name: archive.open(member).read(0, member.size) for member in archive.members}


def codes(data: bytes) -> list[str]:
    return [doubt.code for doubt in read(data).doubts]


def directory(data: bytes) -> int:
    return int.from_bytes(data[data.rfind(END) + 16 :][:4], "little")


def patched(data: bytes, at: int, new: bytes) -> bytes:
    return data[:at] + new + data[at + len(new) :]


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_what_zipfile_wrote_is_read(method: int) -> None:
    data = made(method=method)
    assert contents(data) == FILES
    archive = read(data)
    assert not archive.doubts
    assert cast("_zip.Member", archive.find("a.bin")).crc32 == zlib.crc32(FILES["a.bin"])
    assert archive.find("nothing") is None
    for member in archive.members:
        source = archive.open(member)
        archive.check_end(member)
        answers = compute([DigestRequest.over("crc-32", source)])
        assert int.from_bytes(next(iter(answers.values())), "big") == member.crc32
        assert source.read(member.size, 5) == b""


def test_what_info_zip_wrote_is_read(tool: Any, tmp_path: Path) -> None:
    for name, data in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(data)
    (tmp_path / "link").symlink_to("/etc")
    tool("zip", "-q", "-y", "-r", "x.zip", "a.bin", "dir", "empty", "link", cwd=tmp_path)
    archive = read((tmp_path / "x.zip").read_bytes())
    assert {m.name: m.kind for m in archive.members} == {
        "a.bin": "file", "dir/": "folder", "dir/b.bin": "file", "empty": "file", "link": "link"
    }  # fmt: skip
    assert [doubt.code for doubt in archive.doubts] == ["link-member"]


def test_a_streamed_zip_has_descriptors_which_are_compared(tool: Any, tmp_path: Path) -> None:
    data = tool("zip", "-q", "-", "-", data=FILES["a.bin"], cwd=tmp_path).stdout
    assert contents(data) == {"-": FILES["a.bin"]}
    member = read(data).members[0]
    assert member.extent.end > member.span.end
    with pytest.raises(FormatError, match="descriptor"):
        read(patched(data, member.extent.end - 1, b"\x55"))


def test_zip64_is_read(tmp_path: Path) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive, archive.open("big", "w", force_zip64=True) as file:
        file.write(b"x" * 1000)
    assert contents(out.getvalue()) == {"big": b"x" * 1000}
    plain = made({"a": b"a"})
    at, end = directory(plain), plain.rfind(END)
    large = struct.pack("<4sQHHIIQQQQ", b"PK\x06\x06", 44, 45, 45, 0, 0, 1, 1, end - at, at)
    locator = struct.pack("<4sIQI", b"PK\x06\x07", 0, end, 1)
    tail = patched(plain[end:], 8, b"\xff" * 12)
    data = plain[:end] + large + locator + tail
    assert contents(data) == {"a": b"a"}
    (tmp_path / "x.zip").write_bytes(data)
    assert zipfile.ZipFile(tmp_path / "x.zip").read("a") == b"a"
    with pytest.raises(FormatError, match="zip64 end record"):
        read(plain[:end] + large[:-1] + locator + tail)
    with pytest.raises(FormatError, match="where the end record says"):
        read(plain[:end] + large + locator + patched(tail, 8, b"\x02\x00\x02\x00"))


def test_encrypted_members_are_named(tool: Any, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(FILES["a.bin"])
    tool("zip", "-q", "-P", "secret", "x.zip", "a", cwd=tmp_path)
    data = (tmp_path / "x.zip").read_bytes()
    archive = read(data)
    assert archive.members[0].encryption == "ZipCrypto"
    assert [doubt.code for doubt in archive.doubts] == ["weak-cipher"]
    with pytest.raises(FormatError, match="encrypted"):
        archive.open(archive.members[0])


def test_winzip_aes_is_named() -> None:
    extra = struct.pack("<HHH2sBH", 0x9901, 7, 2, b"AE", 3, 8)
    assert _zip._encryption(entry(flags=1, method=99, extra={0x9901: extra[4:]})) == ("AES-256", 8, 2)
    assert _zip._encryption(entry(flags=0x41, method=8)) == ("strong encryption", 8, 0)
    assert _zip._encryption(entry(flags=0, method=99)) == ("", 99, 0)


def entry(**more: Any) -> Any:
    base: dict[str, Any] = {
        "at": 0,
        "crc32": 0,
        "packed": 0,
        "size": 0,
        "raw_name": b"a",
        "name": "a",
        "link": False,
        "local": 0,
    }
    return Entry(**({**base, "extra": {}} | more))


def test_a_method_that_is_not_read_is_named() -> None:
    archive = read(made({"a": b"a" * 100}, zipfile.ZIP_BZIP2))
    assert archive.members[0].why == "is compressed by bzip2"
    with pytest.raises(FormatError, match="bzip2"):
        archive.open(archive.members[0])


@pytest.mark.parametrize(
    ("offset", "new", "message"),
    [
        (6, b"\x01\x00", "other flags"),
        (8, b"\x00\x00", "another compression method"),
        (14, b"\x00\x00\x00\x01", "another size or CRC-32"),
        (22, b"\x01", "another size or CRC-32"),
        (30, b"b", "another name"),
        (0, b"XX", "no local header"),
    ],
)
def test_a_local_header_that_disagrees_is_refused(offset: int, new: bytes, message: str) -> None:
    data = made()
    with pytest.raises(FormatError, match=message):
        read(patched(data, offset, new))


@pytest.mark.parametrize("name", ["../x", "/x", "a/../../x", "C:x", "..\\x", "x\\..\\..\\y"])
def test_a_name_that_leads_out_is_refused(name: str) -> None:
    data = made({"p" * len(name): b"x"}).replace(b"p" * len(name), name.encode())
    with pytest.raises(FormatError, match="leads out"):
        read(data)


def test_a_name_with_dots_inside_is_none_that_leads_out() -> None:
    assert set(contents(made({"a..b": b"x", "..c/d": b"y"}))) == {"a..b", "..c/d"}


def test_a_name_that_is_not_the_utf8_of_its_flag_is_refused() -> None:
    data = made({"pé": b"x"})
    assert contents(data) == {"pé": b"x"}
    with pytest.raises(FormatError, match="UTF-8"):
        read(data.replace("é".encode(), b"\xc3\x28"))


def test_a_second_name_in_an_extra_field_is_refused() -> None:
    for other, fine in ((b"evil", False), (b"good", True)):
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w") as archive:
            info = zipfile.ZipInfo("good")
            info.extra = struct.pack("<HHBI", 0x7075, 5 + len(other), 1, zlib.crc32(b"good")) + other
            archive.writestr(info, b"x")
        if fine:
            assert contents(out.getvalue()) == {"good": b"x"}
        else:
            with pytest.raises(FormatError, match="second, different name"):
                read(out.getvalue())


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize(("one", "two"), [("ab", "ab"), ("a/b", "a\\b")])
def test_duplicate_names_are_refused(one: str, two: str) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr(one, b"1")
        archive.writestr(two, b"2")
    with pytest.raises(FormatError, match="occurs twice"):
        read(out.getvalue())


def test_bytes_before_behind_and_between_are_told() -> None:
    data = made()
    assert codes(b"#!/bin/sh\n" + data) == ["hidden-data"]
    assert contents(b"#!/bin/sh\n" + data) == FILES
    assert codes(data + b"more") == ["trailing-data"]
    assert codes(made(comment=b"hello")) == []
    at, end = directory(data), data.rfind(END)
    gap = data[:at] + b"hidden" + data[at:end] + patched(data[end:], 16, (at + 6).to_bytes(4, "little"))
    assert codes(gap) == ["hidden-data"]


def test_a_second_end_record_is_told_and_one_inside_a_member_is_none() -> None:
    data = made({"a": b"a"}, comment=b"x" * 22)
    end = data.rfind(END)
    second = patched(data[end : end + 22], 20, b"\0\0")
    with pytest.raises(FormatError):  # the inner one counts, and its directory does not end where it begins
        read(data[: end + 22] + second.replace(b"\x01\x00\x01\x00", b"\x02\x00\x02\x00"))
    hidden = data[: end + 22] + b"PK\x05\x06" + bytes(18)
    assert "second-end-record" in codes(hidden)
    assert codes(made({"inner.zip": made()}, zipfile.ZIP_STORED)) == []


def test_two_directories_are_refused() -> None:
    data = made({"a": b"a"})
    at, end = directory(data), data.rfind(END)
    double = data[:end] + data[at:end] + data[end:]
    with pytest.raises(FormatError, match="one reader finds"):
        read(double)


def overlapping(count: int = 200) -> bytes:
    """Every entry of the directory points at the same local header."""
    data = made({"aaa": b"\0" * 100_000})
    at, end = directory(data), data.rfind(END)
    one = data[at:end]
    return data[:at] + one * count + struct.pack("<4sHHHHIIH", END, 0, 0, count, count, len(one) * count, at, 0)


def test_overlapping_members_are_refused() -> None:
    with pytest.raises(FormatError, match=r"twice|overlaps"):
        read(overlapping())
    first = made({"a": b"x" * 50, "b": b"y" * 50}, zipfile.ZIP_STORED)
    archive = read(first)
    at = directory(first)
    # The first member's size now reaches over the second one, in both descriptions.
    size = archive.members[1].extent.end - archive.members[0].span.start
    data = patched(patched(first, 18, size.to_bytes(4, "little") * 2), at + 20, size.to_bytes(4, "little") * 2)
    with pytest.raises(FormatError, match="overlaps"):
        read(data)


def test_sizes_that_cannot_be_are_refused() -> None:
    data = made({"a": b"x" * 100})
    at = directory(data)
    for claimed in (10**9, 2**32 - 2):
        raw = claimed.to_bytes(4, "little")
        with pytest.raises(FormatError, match="cannot come out"):
            read(patched(patched(data, 22, raw), at + 24, raw))
    zeros = made({"a": bytes(50_000_000)})
    assert read(zeros).members[0].size == 50_000_000


def digested(archive: _zip.Archive) -> None:
    compute([DigestRequest.over("sha-256", archive.open(archive.members[0]))])
    archive.check_end(archive.members[0])


def test_more_or_less_than_stated_is_refused() -> None:
    data = made({"a": b"x" * 100})
    at = directory(data)
    for claimed, message in ((99, "more than the stated"), (101, "ends here")):
        raw = claimed.to_bytes(4, "little")
        archive = read(patched(patched(data, 22, raw), at + 24, raw))
        with pytest.raises(FormatError, match=message):
            digested(archive)


def test_too_much_content_and_too_many_members_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_zip, "MAX_INFLATED", 500)
    with pytest.raises(LimitError, match="MAX_INFLATED"):
        read(made())
    end = struct.pack("<4sHHHHIIH", END, 0, 0, 65535, 65535, 46 * 65535, 0, 0)
    with pytest.raises(FormatError):
        read(end)
    many = struct.pack("<4sQHHIIQQQQ", b"PK\x06\x06", 44, 45, 45, 0, 0, 10**6, 10**6, 0, 0)
    locator = struct.pack("<4sIQI", b"PK\x06\x07", 0, 0, 1)
    with pytest.raises(LimitError, match="MAX_MEMBERS"):
        read(many + locator + patched(end, 8, b"\xff" * 12))


def test_a_long_directory_is_refused_before_it_is_read() -> None:
    end = struct.pack("<4sHHHHIIH", END, 0, 0, 9, 9, 20 * 1024 * 1024, 0, 0)
    with pytest.raises(LimitError, match="MAX_HEADER"):
        read(bytes(20 * 1024 * 1024) + end)


def test_a_folder_with_content_and_a_backslash_are_told() -> None:
    assert codes(made({"dir/": b"content"})) == ["malformed"]
    assert codes(made({"a+b": b"x"}).replace(b"a+b", b"a\\b")) == ["malformed"]


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (struct.pack("<HHB", 5, 9, 1), "longer than all"),
        (struct.pack("<HHBHHB", 0x9901, 1, 1, 0x9901, 1, 1), "occurs twice"),
        (struct.pack("<HHB", 0, 9, 1), ""),
    ],
)
def test_extra_fields_that_contradict_themselves_are_refused(extra: bytes, message: str) -> None:
    if not message:
        assert extra_fields(extra, 0) == {}
        return
    with pytest.raises(FormatError, match=message):
        extra_fields(extra, 0)


def test_zip64_sizes_come_from_their_field() -> None:
    full = 0xFFFFFFFF
    numbers = struct.pack("<QQ", 5_000_000_000, 6_000_000_000)
    assert large(numbers, (full, full, 7), 0) == (5_000_000_000, 6_000_000_000, 7)
    assert large(numbers, (1, full, full), 0) == (1, 5_000_000_000, 6_000_000_000)
    with pytest.raises(FormatError, match="too short"):
        large(numbers[:8], (full, full, 0), 0)


@pytest.mark.parametrize("count", [1, 3])
def test_a_count_that_is_not_that_of_the_directory_is_refused(count: int) -> None:
    data = made({"a": b"a", "b": b"b"})
    end = data.rfind(END)
    with pytest.raises(FormatError, match="zip directory"):
        read(patched(data, end + 8, struct.pack("<HH", count, count)))


def test_other_volumes_are_refused() -> None:
    data = made()
    with pytest.raises(FormatError, match="volumes"):
        read(patched(data, data.rfind(END) + 4, b"\x01"))


def test_twenty_thousand_members_are_read_in_bounded_time_and_memory(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "many.zip", "w") as archive:
        for number in range(20_000):
            archive.writestr(f"{number}", b"")
    before, started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    assert len(read((tmp_path / "many.zip").read_bytes()).members) == 20_000
    assert time.process_time() - started < 5
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200 * 1024


def test_many_members_are_inflated_with_few_read_positions() -> None:
    archive = read(made({f"{number}": b"x" * 200_000 for number in range(12)}))
    for _ in range(2):
        for member in archive.members:
            assert archive.open(member).read(199_990, 20) == b"x" * 10
    assert len(archive._inflating._open) == 4


def modern(content: bytes, stored: bytes) -> bytes:
    """Return a zip whose only member is compressed by zstd (method 93, APPNOTE 4.4.5)."""
    data = bytearray(made({"a.bin": stored}, zipfile.ZIP_STORED))
    for start, at in ((0, 0), (directory(bytes(data)), 2)):
        struct.pack_into("<H", data, start + 8 + at, 93)
        struct.pack_into("<III", data, start + 14 + at, zlib.crc32(content), len(stored), len(content))
    return bytes(data)


def test_zstd_is_read_where_a_caller_wants_it() -> None:
    content = b"alpha " * 100_000
    data = modern(content, zstandard.compress(content))
    assert read(data).members[0].why == "is compressed by zstd"
    archive = _zip.read(BytesSource("a.zip", data), _zip.MODERN)
    (member,) = archive.members
    assert (member.readable, member.why) == (True, "")
    assert archive.open(member).read(0, member.size) == content
    archive.check_end(member)
    for wrong in (content[:-1], content[:100]):
        archive = _zip.read(BytesSource("a.zip", modern(wrong, zstandard.compress(content))), _zip.MODERN)
        with pytest.raises(FormatError, match="more than the stated"):
            archive.check_end(archive.members[0])
    with pytest.raises(FormatError, match="cannot come out"):
        _zip.read(BytesSource("a.zip", modern(bytes(4_000_000), b"x" * 30)), _zip.MODERN)


def test_every_truncation_is_refused() -> None:
    data = made()
    for size in range(len(data)):
        with pytest.raises(FormatError):
            read(data[:size])


@pytest.mark.skipif(shutil.which("unzip") is None, reason="unzip is not installed")
def test_where_unzip_refuses_a_flipped_bit_the_reader_or_the_crc_does_too(tmp_path: Path) -> None:
    data = made({"a.bin": b"alpha " * 20, "b": b"beta"})
    for at in range(0, len(data), 7):
        broken = patched(data, at, bytes([data[at] ^ 1]))
        (tmp_path / "x.zip").write_bytes(broken)
        accepted = subprocess.run(["unzip", "-tqq", tmp_path / "x.zip"], capture_output=True, check=False).returncode
        if accepted not in {0, 1}:
            assert not sound(broken), at


def sound(data: bytes) -> bool:
    try:
        archive = read(data)
        for member in archive.members:
            if zlib.crc32(archive.open(member).read(0, member.size)) != member.crc32:
                return False
            archive.check_end(member)
    except FormatError:
        return False
    return True


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 2**16), st.integers(0, 7))
def test_a_flipped_bit_gives_an_archive_or_a_format_error(place: int, bit: int) -> None:
    data = made({"a.bin": b"alpha " * 20, "b": b"beta"}, comment=b"c")
    at = place % len(data)
    sound(patched(data, at, bytes([data[at] ^ 1 << bit])))


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=400))
def test_any_bytes_give_an_archive_or_a_format_error(data: bytes) -> None:
    _zip.looks_like(BytesSource("x", data))
    sound(data)
    sound(data + struct.pack("<4sHHHHIIH", END, 0, 0, 1, 1, len(data), 0, 0))


def test_what_looks_like_a_zip() -> None:
    def looks(data: bytes) -> bool:
        return _zip.looks_like(BytesSource("x", data))

    assert looks(made())
    assert looks(b"ELF" + made())
    assert looks(made({}))
    assert not looks(b"ELF" * 100)
    assert not looks(b"ELF" * 100 + END + bytes(18))
