"""Makes the samples of Nordic's DFU packages: legacy ones by adafruit-nrfutil, secure ones as pc-nrfutil lays them out.

The official tool does not run on current Pythons; the init packets are encoded here after its dfu-cc.proto, and signed
by openssl.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from samples.build._tools import BIN, KEYS, firmware, public_half, require, run

SIGNER: Final = KEYS / "sensor-signing.pem"
_MOMENT: Final = (2026, 1, 1, 0, 0, 0)
Sign = Callable[[bytes], bytes]  # a message → r and s, each of 32 bytes, big-endian


def varint(number: int) -> bytes:
    """Return a protobuf varint."""
    out = b""
    while number > 0x7F:
        out += bytes([number & 0x7F | 0x80])
        number >>= 7
    return out + bytes([number])


def number(field: int, value: int) -> bytes:
    """Return a protobuf field that holds a number."""
    return varint(field << 3) + varint(value)


def blob(field: int, value: bytes) -> bytes:
    """Return a protobuf field that holds bytes or a message."""
    return varint(field << 3 | 2) + varint(len(value)) + value


@dataclass(frozen=True, kw_only=True)
class Packet:
    """What goes into the init packet of a secure package."""

    image: bytes
    kind: int = 0
    version: int | None = 7
    hardware: int | None = 52
    size: int | None = None
    hash_kind: int = 3
    digest: bytes | None = None
    debug: bool = False
    validation: tuple[int, bytes] = (1, b"")

    def init(self) -> bytes:
        """Return the init command: what is signed."""
        size = len(self.image) if self.size is None else self.size
        digest = hashlib.sha256(self.image).digest() if self.digest is None else self.digest
        sizes = {0: number(7, size), 1: number(5, size), 2: number(6, size), 3: number(5, 1) + number(6, size - 1)}
        return b"".join(
            (
                b"" if self.version is None else number(1, self.version),
                b"" if self.hardware is None else number(2, self.hardware),
                blob(3, varint(0x100)),
                number(4, self.kind),
                sizes[self.kind],
                blob(8, number(1, self.hash_kind) + blob(2, digest[::-1])) if self.hash_kind else b"",
                number(9, int(self.debug)),
                blob(10, number(1, self.validation[0]) + blob(2, self.validation[1])),
            )
        )

    def command(self) -> bytes:
        """Return the command around the init command."""
        return number(1, 1) + blob(2, self.init())

    def unsigned(self) -> bytes:
        """Return a packet without a signature."""
        return blob(1, self.command())

    def signed(self, sign: Sign, kind: int = 0) -> bytes:
        """Return a signed packet; Ed25519 (kind 1) keeps its bytes, ECDSA's numbers are reversed."""
        signature = sign(self.init())
        signature = signature if kind else signature[:32][::-1] + signature[32:][::-1]
        return blob(2, blob(1, self.command()) + number(2, kind) + blob(3, signature))


def package(firmwares: Mapping[str, tuple[bytes, bytes]], *, more: Mapping[str, bytes] | None = None) -> bytes:
    """Return a package: image and init packet by kind, and further members."""
    entries = {kind: {"bin_file": f"{kind}.bin", "dat_file": f"{kind}.dat"} for kind in firmwares}
    files = {"manifest.json": json.dumps({"manifest": entries}, indent=4).encode()}
    for kind, (image, dat) in firmwares.items():
        files |= {f"{kind}.bin": image, f"{kind}.dat": dat}
    with tempfile.TemporaryFile() as stream:
        with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
            for name, data in (files | dict(more or {})).items():
                archive.writestr(zipfile.ZipInfo(name, _MOMENT), data, archive.compression)
        stream.seek(0)
        return stream.read()


def der_to_raw(der: bytes) -> bytes:
    """Return r and s, each of 32 bytes, of a DER signature on P-256."""
    size = der[3]
    halves = (der[4 : 4 + size], der[6 + size :])
    return b"".join(half.lstrip(b"\0").rjust(32, b"\0") for half in halves)


def signer(key: Path) -> Sign:
    """Return what signs with openssl: ECDSA over SHA-256."""
    return lambda message: der_to_raw(run(["openssl", "dgst", "-sha256", "-sign", key], stdin=message))


def legacy(folder: Path, image: bytes) -> bytes:
    """Return a legacy package of adafruit-nrfutil."""
    (folder / "app.bin").write_bytes(image)
    tool = BIN / "adafruit-nrfutil"
    command = (tool, "dfu", "genpkg", "--dev-type", "0x52", "--application-version", "3", "--application", "app.bin")
    run([*command, "app.zip"], cwd=folder)
    return (folder / "app.zip").read_bytes()


def build(folder: Path) -> None:
    """Make good and bad packages and the public key."""
    require("openssl", "adafruit-nrfutil")
    for name in ("good", "bad", "keys"):
        shutil.rmtree(folder / name, ignore_errors=True)
        (folder / name).mkdir(parents=True)
    public_half(SIGNER, folder / "keys" / "signer.pub.pem")
    image, boot = firmware("nordic application", 2048), firmware("nordic bootloader", 1024)
    sign, packet = signer(SIGNER), Packet(image=image)
    good = packet.signed(sign)
    files = {
        "good/signed.zip": package({"application": (image, good)}),
        "good/two-firmwares.zip": package(
            {
                "bootloader": (boot, Packet(image=boot, kind=2, version=2).signed(sign)),
                "application": (image, good),
            },
        ),
        "good/signed-for-every-start.zip": package({"application": (image, _for_every_start(packet, sign))}),
        **_bad(packet, sign, good),
    }
    with tempfile.TemporaryDirectory() as scratch:
        files["good/legacy.zip"] = legacy(Path(scratch), image)
        files["bad/legacy-image-bit-flipped.zip"] = _flipped(files["good/legacy.zip"], image)
    for name, data in files.items():
        (folder / name).write_bytes(data)


def _for_every_start(packet: Packet, sign: Sign) -> bytes:
    raw = sign(packet.image)
    return replace(packet, validation=(3, raw[:32][::-1] + raw[32:][::-1])).signed(sign)


def _flipped(data: bytes, part: bytes) -> bytes:
    """Return the file with one bit of a stored member flipped, or of the first 64 bytes of a deflated one's name."""
    at = data.find(part)
    at = at + len(part) // 2 if at >= 0 else data.find(b"app.dat") + len("app.dat") + 4
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def _bad(packet: Packet, sign: Sign, good: bytes) -> dict[str, bytes]:
    image = packet.image

    def one(dat: bytes, **more: bytes) -> bytes:
        return package({"application": (image, dat)}, more=more)

    flipped = good[:-1] + bytes([good[-1] ^ 1])
    return {
        "bad/unsigned.zip": one(packet.unsigned()),
        "bad/signature-bit-flipped.zip": one(flipped),
        "bad/image-bit-flipped.zip": package({"application": (image[:99] + b"\0" + image[100:], good)}),
        "bad/debug.zip": one(replace(packet, debug=True).signed(sign)),
        "bad/digest-not-reversed.zip": one(replace(packet, digest=hashlib.sha256(image).digest()[::-1]).signed(sign)),
        "bad/no-digest.zip": one(replace(packet, hash_kind=0).signed(sign)),
        "bad/another-size.zip": one(replace(packet, size=4096).signed(sign)),
        "bad/no-version-and-no-hardware.zip": one(replace(packet, version=None, hardware=None).signed(sign)),
        "bad/called-a-bootloader.zip": package({"bootloader": (image, good)}),
        "bad/extra-member.zip": one(good, **{"other.bin": b"other"}),
        "bad/truncated-init-packet.zip": one(good[:-9]),
        "bad/init-packet-missing.zip": _without_packet(image),
        "bad/truncated.zip": one(good)[:-30],
    }


def _without_packet(image: bytes) -> bytes:
    with tempfile.TemporaryFile() as stream:
        with zipfile.ZipFile(stream, "w") as archive:
            entry = {"bin_file": "application.bin", "dat_file": "application.dat"}
            text = json.dumps({"manifest": {"application": entry}})
            archive.writestr(zipfile.ZipInfo("manifest.json", _MOMENT), text)
            archive.writestr(zipfile.ZipInfo("application.bin", _MOMENT), image)
        stream.seek(0)
        return stream.read()
