"""Cabinets: the LVFS's own one, those of gcab, and hostile ones; cabextract and gcab agree on what is damaged."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import resource
import struct
import time
from pathlib import Path
from typing import Any

import pytest

from checker.errors import FormatError, LimitError
from checker.formats import _metainfo as metainfos
from checker.model.terms import Outcome

METAINFO = b"""<?xml version="1.0"?><component type="firmware"><id>x</id>
<provides><firmware type="flashed">b585990a-003e-5270-89d5-3705a17f9a43</firmware></provides>
<requires><id compare="ge" version="1.9">org.freedesktop.fwupd</id></requires>
<releases><release version="7"><checksum filename="fw.bin" target="content" type="sha256">00</checksum></release>
<release version="6"/></releases></component>"""


def cabinet(*files: tuple[bytes, bytes], kind: int = 0, block: int = 32768) -> bytes:
    """Return a cabinet without checksums; every file lies in the one folder."""
    content = b"".join(data for _, data in files)
    entries, start = b"", 0
    for name, data in files:
        entries += struct.pack("<IIHHHH", len(data), start, 0, 0, 0, 0) + name + b"\0"
        start += len(data)
    pieces = [content[at : at + block] for at in range(0, len(content), block)]
    blocks = b"".join(struct.pack("<IHH", 0, len(piece), len(piece)) + piece for piece in pieces)
    data_start = 36 + 8 + len(entries)
    head = struct.pack("<4sIIIIIBBHHHHH", b"MSCF", 0, data_start + len(blocks), 0, 44, 0, 3, 1, 1, len(files), 0, 0, 0)
    return head + struct.pack("<IHH", data_start, len(pieces), kind) + entries + blocks


def test_the_cabinet_of_the_lvfs(kit: Any, corpus: Path, expected: Any) -> None:
    truth = expected["fwupd-cab"]["fakedevice123.cab"]
    data = (corpus / "fwupd-cab" / "fakedevice123.cab").read_bytes()
    image = kit.open(data, anchors=[corpus / "jcat" / "pki" / "LVFS-CA.pem"])
    assert (image.format, image.version.version, image.version.authentic) == ("cab", truth["version"], True)
    assert [item.outcome for item in image.signatures] == [Outcome.KEY_UNKNOWN, Outcome.VALID] * 2
    assert image.signatures[1].algorithm == "rsa-pkcs1v15"
    assert all(check.matches for check in image.digests)
    assert (image.coverage.uncovered, kit.codes(image)) == ((), set())
    assert image.hardware == ("b585990a-003e-5270-89d5-3705a17f9a43",)
    assert ("LVFS::DeviceIntegrity", "unsigned") in image.facts
    for place in range(164, len(data), 97):
        mutant = data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]
        with pytest.raises(FormatError, match="checksum of a data block"):
            kit.open(mutant, anchors=[corpus / "jcat" / "pki" / "LVFS-CA.pem"])


@pytest.mark.parametrize("options", [(), ("--zip",)])
def test_gcab_and_cabextract_read_what_otaudit_reads(kit: Any, tool: Any, tmp_path: Path, options: Any) -> None:
    content = {"fw.bin": bytes(range(256)) * 500, "fw.metainfo.xml": METAINFO, "b.txt": b"", "c.bin": b"c" * 70_000}
    for name, data in content.items():
        (tmp_path / name).write_bytes(data)
    tool("gcab", "--create", "--nopath", *options, "x.cab", *content, cwd=tmp_path)
    data = (tmp_path / "x.cab").read_bytes()
    image = kit.open(data)
    found = {item.id: item.source.read(0, item.size) for item in image.images if item.source is not None}
    assert found == {"fw.bin": content["fw.bin"], "c.bin": content["c.bin"]}
    assert [item.source.read(100, 40_000) for item in image.images if item.id == "fw.bin"] == [
        content["fw.bin"][100:40_100]
    ]
    assert kit.codes(image) == {"unsigned", "digest-mismatch", "unreferenced-member"}
    accepted = []
    for place in range(200, len(data), len(data) // 12):
        mutant = data[:place] + bytes([data[place] ^ 16]) + data[place + 1 :]
        (tmp_path / "m.cab").write_bytes(mutant)
        done = tool("cabextract", "-t", "-q", "m.cab", cwd=tmp_path, check=False)
        accepted.append(done.returncode == 0)
        assert _opens(kit, mutant) == (done.returncode == 0), place
    assert not all(accepted)


def _opens(kit: Any, data: bytes) -> bool:
    try:
        kit.open(data)
    except FormatError:
        return False
    return True


def test_a_metainfo_in_a_folder_of_the_cabinet_is_found_by_its_last_name(kit: Any) -> None:
    image = kit.open(cabinet((b"x\\y/fw.metainfo.xml", METAINFO), (b"..\\fw.bin", b"firmware")))
    assert image.version.version == "7"
    assert {item.id for item in image.images} == {"fw.metainfo.xml", "fw.bin"}
    assert image.version.constraints == ("requires id ge 1.9 of org.freedesktop.fwupd",)
    assert image.facts[:3] == (("component", "x"), ("release", "7"), ("release", "6"))


def test_names_may_be_utf8(kit: Any) -> None:
    data = bytearray(cabinet(("ü.bin".encode(), b"x")))
    assert kit.open(bytes(data)).images[0].id != "ü.bin"
    data[44 + 14] = 0x80
    assert kit.open(bytes(data)).images[0].id == "ü.bin"


def test_an_empty_cabinet_and_reserved_areas_are_read(kit: Any) -> None:
    assert kit.open(cabinet()).images == ()
    plain = cabinet((b"a", b"hello"))
    header, rest = bytearray(plain[:36]), plain[36:]
    header[30] = 4
    entries_end = rest.index(b"hello") - 8
    moved = 4 + 20 + 2
    struct.pack_into("<I", header, 16, 44 + moved)
    folder = struct.pack("<IHH", 36 + 4 + 20 + 10 + entries_end - 8, 1, 0) + b"ff"
    blocks = struct.pack("<IHH", 0, 5, 5) + b"d" + b"hello"
    whole = bytes(header) + struct.pack("<HBB", 20, 2, 1) + bytes(20) + folder + rest[8:entries_end] + blocks
    whole = whole[:8] + struct.pack("<I", len(whole)) + whole[12:] + b"authenticode"
    image = kit.open(whole)
    assert image.images[0].source.read(0, 9) == b"hello"
    assert any(name == "Authenticode" for name, _ in image.facts)
    assert "trailing-data" not in kit.codes(image)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda d: d[:10], "bytes needed"),
        (lambda d: d[:8] + b"\xff\xff\xff\x7f" + d[12:], "cbCabinet"),
        (lambda d: d[:28] + b"\xff\xff" + d[30:], "MAX_FILES"),
        (lambda d: d[:30] + b"\x01" + d[31:], "part of a set"),
        (lambda d: d[:42] + b"\x07\x00" + d[44:], "compression 0x0007"),
        (lambda d: d[:52] + b"\xfd\xff" + d[54:], "part of a set"),
        (lambda d: d[:52] + b"\x05\x00" + d[54:], "outside its folder"),
        (lambda d: d[:60] + b"\0" + d[61:], "szName"),
        (lambda d: d[: d.index(b"hello") - 4] + b"\x04" + d[d.index(b"hello") - 3 :], "stand for"),
        (lambda d: d[: d.index(b"hello") - 8] + b"\x01" + d[d.index(b"hello") - 7 :], "checksum of a data block"),
    ],
)
def test_damaged_structures_are_format_errors(kit: Any, change: Any, text: str) -> None:
    with pytest.raises(FormatError, match=text):
        kit.open(change(cabinet((b"a", b"hello"))), format_id="cab")


def test_other_files_and_versions_are_refused(kit: Any) -> None:
    with pytest.raises(FormatError, match="not MSCF"):
        kit.open(b"x" * 99, format_id="cab")
    data = cabinet((b"a", b"hello"))
    with pytest.raises(FormatError, match=r"version 1\.9"):
        kit.open(data[:24] + b"\x09" + data[25:], format_id="cab")


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"no", "begin with CK"),
        (b"CK\xff\xff\xff", "damaged"),
        (b"CK\x03\x00", "are stated"),
    ],
)
def test_damaged_mszip_is_a_format_error(kit: Any, body: bytes, text: str) -> None:
    data = cabinet((b"a.metainfo.xml", bytes(600)), kind=1)
    at = data.index(bytes(600)) - 8
    data = data[:at] + struct.pack("<IHH", 0, len(body), 600) + body
    data = data[:8] + struct.pack("<I", len(data)) + data[12:]
    with pytest.raises(FormatError, match=text):
        kit.open(data)


def test_many_blocks_in_many_folders_are_refused_at_once(kit: Any) -> None:
    folders = struct.pack("<IHH", 0, 0xFFFF, 0) * 60_000
    size = 36 + len(folders)
    head = struct.pack("<4sIIIIIBBHHHHH", b"MSCF", 0, size, 0, 44, 0, 3, 1, 60_000, 0, 0, 0, 0)
    started = time.process_time()
    with pytest.raises(LimitError, match="MAX_BLOCKS"):
        kit.open(head + folders)
    assert time.process_time() - started < 5


def test_a_bomb_is_read_in_bounded_memory(kit: Any, tool: Any, tmp_path: Path) -> None:
    with (tmp_path / "zeros.bin").open("wb") as stream:
        stream.truncate(64 * 1024 * 1024)
    tool("gcab", "--create", "--nopath", "--zip", "x.cab", "zeros.bin", cwd=tmp_path)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    image = kit.open((tmp_path / "x.cab").read_bytes())
    assert image.images[0].size == 64 * 1024 * 1024
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 48 * 1024


# metainfo


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"<component", "no well-formed XML"),
        (b"<other/>", "not component"),
        (b"<!DOCTYPE x [<!ENTITY a 'b'>]><component>&a;</component>", "document type"),
        ("<?xml version='1.0' encoding='utf-16'?><!DOCTYPE x><component/>".encode("utf-16"), "document type"),
        (b"<component>" + b"<a>" * 50 + b"</a>" * 50 + b"</component>", "MAX_LEVELS"),
        (b"<component>" + b"<a/>" * 30_000 + b"</component>", "MAX_ELEMENTS"),
        (b" " * (metainfos.MAX_METAINFO + 1), "MAX_METAINFO"),
    ],
)
def test_hostile_metainfo_is_refused(kit: Any, data: bytes, text: str) -> None:
    with pytest.raises(FormatError, match=text):
        kit.open(cabinet((b"x.metainfo.xml", data)))


def test_artifacts_and_defaults_of_releases_name_payloads_too() -> None:
    text = b"""<component><releases><release><checksum target="container">11</checksum><checksum>22</checksum>
    <artifacts><artifact type="binary"><filename>b.bin</filename><checksum type="sha256">33</checksum>
    <checksum type="blake3">44</checksum></artifact><artifact><checksum type="sha1">55</checksum></artifact></artifacts>
    </release></releases><recommends><hardware>guid</hardware></recommends></component>"""
    found = metainfos.parse(text, "x")
    assert found.payloads == ["firmware.bin", "b.bin"]
    assert [(item.filename, item.algorithm, item.value) for item in found.checksums] == [
        ("firmware.bin", "sha-1", "22"),
        ("b.bin", "sha-256", "33"),
    ]
    assert (found.versions, found.requires) == ([""], ["recommends hardware of guid"])


# jcat inside


def _jcat(*items: dict[str, Any]) -> bytes:
    return gzip.compress(json.dumps({"JcatVersionMajor": 0, "JcatVersionMinor": 1, "Items": list(items)}).encode())


def test_a_file_that_no_key_can_judge_is_not_covered_by_the_signature_of_another(
    kit: Any, tool: Any, keys: Path, tmp_path: Path
) -> None:
    """The vendor's firmware and signature, with a metainfo that a stranger made and signed in a way nobody knows."""
    content, metainfo = (
        b"firmware",
        METAINFO.replace(b"00</checksum>", hashlib.sha256(b"firmware").hexdigest().encode() + b"</checksum>"),
    )

    def blob(data: bytes) -> dict[str, Any]:
        (tmp_path / "message").write_bytes(data)
        words = ("openssl", "pkeyutl", "-sign", "-rawin", "-inkey", keys / "ed25519.pem", "-in", tmp_path / "message")
        return {"Kind": 9, "Data": base64.b64encode(tool(*words).stdout).decode()}

    def made(second: dict[str, Any]) -> Any:
        items = ({"Id": "fw.bin", "Blobs": [blob(content)]}, {"Id": "fw.metainfo.xml", "Blobs": [second]})
        files = ((b"fw.bin", content), (b"fw.metainfo.xml", metainfo), (b"a.jcat", _jcat(*items)))
        return kit.open(cabinet(*files), keys=[keys / "ed25519.pub.pem"])

    good = made(blob(metainfo))
    assert (good.coverage.uncovered, good.coverage.undecided, good.version.authentic) == ((), (), True)
    attacked = made({"Kind": 3, "Target": 99, "Data": "AAAA"})
    steering = next(item for item in attacked.images if item.id == "fw.metainfo.xml")
    assert [item.outcome for item in attacked.signatures] == [Outcome.VALID, Outcome.UNDECIDABLE]
    assert attacked.coverage.undecided == (steering.span,)
    assert attacked.version.authentic is None
    assert "version" in attacked.coverage.unprotected_metadata
    unknown = kit.open(
        cabinet(
            (b"fw.metainfo.xml", metainfo), (b"a.jcat", _jcat({"Id": "fw.metainfo.xml", "Blobs": [blob(metainfo)]}))
        )
    )
    assert unknown.version.authentic is None


def test_two_items_of_one_file_have_to_agree(kit: Any) -> None:
    signed = {"Id": "fw.bin", "Blobs": [{"Kind": 9, "Data": "AAAA"}]}
    image = kit.open(cabinet((b"fw.bin", b"firmware"), (b"a.jcat", _jcat(signed, signed))))
    assert len(image.signatures) == 2
    assert "duplicate-member" in kit.codes(image)


def test_the_checksum_of_a_block_is_that_of_gcab(kit: Any, tool: Any, tmp_path: Path) -> None:
    for size in range(1, 40):
        (tmp_path / "f").write_bytes(bytes(range(size)))
        tool("gcab", "--create", "--nopath", "x.cab", "f", cwd=tmp_path)
        data = (tmp_path / "x.cab").read_bytes()
        block = struct.unpack_from("<I", data, 36)[0]
        assert struct.unpack_from("<I", data, block)[0] != 0  # a checksum of 0 would not be compared
        assert kit.open(data, format_id="cab").images[0].size == size
        with pytest.raises(FormatError, match="checksum of a data block"):
            kit.open(data[:-1] + bytes([data[-1] ^ 1]), format_id="cab")
