"""Makes the samples of firmware cabinets: by gcab and jcat-tool, with signatures of openssl."""

from __future__ import annotations

import shutil
import struct
import tempfile
from pathlib import Path
from typing import Final

from samples.build._tools import firmware, require, run
from samples.build.formats._faults import flipped, fresh
from samples.build.formats.jcat import Signer, read, write

FIRMWARE: Final = firmware("cab", 600)
GUID: Final = "b585990a-003e-5270-89d5-3705a17f9a43"
MOMENT: Final = "2026-10-01 12:00:00"
METAINFO: Final = """<?xml version="1.0" encoding="UTF-8"?>
{doctype}<component type="firmware">
  <id>com.acme.gateway.firmware</id>
  <name>Gateway</name>
  <provides>{provides}</provides>
  <custom>
    <value key="LVFS::DeviceIntegrity">signed</value>
    <value key="LVFS::UpdateProtocol">com.acme.bootloader</value>
  </custom>
  <requires>
    <id compare="ge" version="1.9.0">org.freedesktop.fwupd</id>
    <firmware compare="ge" version="2.0.0"/>
  </requires>
  <releases>
    <release version="2.4.1" date="2026-10-01">
      {checksum}
    </release>
  </releases>
</component>
"""
_FOLDER: Final = 36  # where the first CFFOLDER begins; its compression lies six bytes further on
_PARTS: Final = ("firmware.bin", "firmware.metainfo.xml", "firmware.jcat")


def build(folder: Path) -> None:
    """Write `good/`, `bad/` and `keys/` below `folder`."""
    require("gcab", "jcat-tool", "openssl", "gpg", "faketime")
    fresh(folder)
    with tempfile.TemporaryDirectory(prefix="ot") as name:
        work = Path(name)
        signer = Signer(folder, work)
        (work / "firmware.bin").write_bytes(FIRMWARE)
        maker = Maker(signer, work)
        _good(maker, folder / "good")
        _bad(maker, folder / "good", folder / "bad")
        signer.close()
    for name in ("lvfs.asc", "ed25519.pub.pem"):
        (folder / "keys" / name).unlink()


class Maker:
    """Packs cabinets."""

    def __init__(self, signer: Signer, work: Path) -> None:
        self.signer, self.work = signer, work

    def metainfo(self, *, checksum: str = "", provides: str = "", doctype: str = "") -> None:
        """Write the metainfo."""
        digest = run(["openssl", "dgst", "-sha256", "-r", self.work / "firmware.bin"]).split()[0].decode()
        stated = f'<checksum type="sha256" filename="firmware.bin" target="content">{digest}</checksum>'
        device = f'<firmware type="flashed">{GUID}</firmware>'
        text = METAINFO.format(doctype=doctype, provides=provides or device, checksum=checksum or stated)
        (self.work / "firmware.metainfo.xml").write_text(text)

    def sign(self, *names: str, kinds: tuple[str, ...] = ("pkcs7",)) -> None:
        """Write a jcat over files."""
        (self.work / "firmware.jcat").unlink(missing_ok=True)
        self.signer.catalogue(self.work / "firmware.jcat", list(names), kinds)

    def pack(self, target: Path, *names: str, options: tuple[str, ...] = ()) -> bytes:
        """Write a cabinet and return it."""
        for name in names:
            (self.work / name).touch()
        run(["gcab", "--create", "--nopath", *options, "x.cab", *names], cwd=self.work)
        shutil.copy(self.work / "x.cab", target)
        return target.read_bytes()


def _good(maker: Maker, good: Path) -> None:
    maker.metainfo()
    maker.sign("firmware.bin", "firmware.metainfo.xml")
    maker.pack(good / "plain.cab", *_PARTS)
    maker.pack(good / "mszip.cab", *_PARTS, options=("--zip",))
    maker.sign("firmware.metainfo.xml")
    maker.pack(good / "by-metainfo.cab", *_PARTS)
    maker.sign("firmware.bin", "firmware.metainfo.xml", kinds=("target",))
    maker.pack(good / "target.cab", *_PARTS)


def _bad(maker: Maker, good: Path, bad: Path) -> None:
    work = maker.work
    maker.metainfo()
    maker.sign("firmware.bin", "firmware.metainfo.xml")
    (work / "readme.txt").write_bytes(b"read me\n")
    (work / "firmware.bin").write_bytes(flipped(FIRMWARE, 70))
    maker.pack(bad / "payload-bit.cab", *_PARTS)
    (work / "firmware.bin").write_bytes(FIRMWARE)
    maker.pack(bad / "no-jcat.cab", *_PARTS[:2])
    maker.pack(bad / "no-metainfo.cab", _PARTS[0], _PARTS[2])
    maker.pack(bad / "no-payload.cab", *_PARTS[1:])
    maker.pack(bad / "readme.cab", *_PARTS, "readme.txt")
    maker.sign("firmware.bin")
    maker.pack(bad / "metainfo-unsigned.cab", *_PARTS)
    maker.sign("firmware.bin", "firmware.metainfo.xml")
    value = read(work / "firmware.jcat")
    for item in value["Items"]:
        item["Blobs"] = [blob for blob in item["Blobs"] if blob["Kind"] != 3]
    write(work / "firmware.jcat", value)
    maker.pack(bad / "checksum-only.cab", *_PARTS)
    maker.metainfo(checksum="<artifacts><artifact><filename>firmware.bin</filename></artifact></artifacts>")
    maker.sign("firmware.metainfo.xml")
    maker.pack(bad / "payload-unsigned.cab", *_PARTS)
    stated = '<checksum type="sha256" filename="firmware.bin" target="content">' + "00" * 32 + "</checksum>"
    maker.metainfo(checksum=stated)
    maker.sign("firmware.bin", "firmware.metainfo.xml")
    maker.pack(bad / "metainfo-wrong-digest.cab", *_PARTS)
    maker.metainfo(provides="<id>com.acme.gateway</id>")
    maker.sign("firmware.bin", "firmware.metainfo.xml")
    maker.pack(bad / "no-device.cab", *_PARTS)
    maker.metainfo(doctype='<!DOCTYPE component [<!ENTITY a "aaaaaaaaaa">]>\n')
    maker.sign("firmware.bin", "firmware.metainfo.xml")
    maker.pack(bad / "doctype.cab", *_PARTS)
    _patched((good / "plain.cab").read_bytes(), bad)


def _patched(whole: bytes, bad: Path) -> None:
    first_file = struct.unpack_from("<I", whole, 16)[0]
    plain = (bad / "no-jcat.cab").read_bytes()  # without a signature, so that its size never varies
    changes = {
        "data-bit": flipped(whole, -3),
        "tail": whole + b"more",
        "cut": whole[:-10],
        "lzx": plain[: _FOLDER + 6] + b"\x03\x15" + plain[_FOLDER + 8 :],
        "set": whole[:30] + b"\x02" + whole[31:],
        "outside": whole[:first_file] + b"\xff\xff\xff\x7f" + whole[first_file + 4 :],
        "overlap": _moved(whole, first_file),
        "no-anchor": whole,
    }
    for name, data in changes.items():
        (bad / f"{name}.cab").write_bytes(data)
    (bad / "duplicate.cab").write_bytes(_twice(whole))


def _moved(whole: bytes, first_file: int) -> bytes:
    """Let the second file begin where the first one does."""
    second = whole.index(b"\0", first_file + 16) + 1
    return whole[: second + 4] + bytes(4) + whole[second + 8 :]


def _twice(whole: bytes) -> bytes:
    """Append an unsigned second file of the payload's name, in a folder of its own."""
    extra = b"another firmware, which nobody signed\n"
    first_file = struct.unpack_from("<I", whole, 16)[0]
    folder = struct.pack("<IHH", 0, 1, 0)
    grown = bytearray(whole[: _FOLDER + 8] + folder + whole[_FOLDER + 8 : _end(whole, first_file)])
    entry = struct.pack("<IIHHHH", len(extra), 0, 1, 0x5D41, 0x6000, 0x20) + b"firmware.bin\0"
    shift = len(folder) + len(entry)
    data_start = _end(whole, first_file)
    grown += entry + whole[data_start:]
    second = len(grown)
    grown += struct.pack("<IHH", 0, len(extra), len(extra)) + extra
    struct.pack_into("<I", grown, 8, len(grown))
    struct.pack_into("<I", grown, 16, first_file + len(folder))
    struct.pack_into("<HH", grown, 26, 2, struct.unpack_from("<H", whole, 28)[0] + 1)
    struct.pack_into("<I", grown, _FOLDER, struct.unpack_from("<I", whole, _FOLDER)[0] + shift)
    struct.pack_into("<I", grown, _FOLDER + 8, second)
    return bytes(grown)


def _end(whole: bytes, first_file: int) -> int:
    """Return where the list of files ends."""
    at = first_file
    for _ in range(struct.unpack_from("<H", whole, 28)[0]):
        at = whole.index(b"\0", at + 16) + 1
    return at
