"""Makes the samples of ESP-IDF images: signed and encrypted by espsecure, bad ones by one change each.

The ML-DSA block behind a signed image is laid out here too, by Espressif's demonstration (espressif/esp-pqc); pqcrypto,
which that demonstration uses, signs.

The image itself is laid out here by the description of the format, since making one with the vendor's tools takes a
compiler for the chip.
"""

from __future__ import annotations

import functools
import hashlib
import operator
import struct
import tempfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from pqcrypto.sign import ml_dsa_65  # type: ignore[import-untyped]

from samples.build._tools import BIN, KEYS, firmware, key_bytes, public_half, require, run
from samples.build.formats._faults import flipped, fresh

SIGNER: Final = KEYS / "sensor-signing.pem"
OTHER: Final = KEYS / "gateway-A.pem"
STRANGER: Final = KEYS / "sensor-signing-2025.pem"
ADDRESS: Final = "0x10000"
SECTOR: Final = 4096
BLOCK: Final = 1216  # bytes of a signature block, its CRC at 1196
RESISTANT: Final = 2 * SECTOR  # bytes of the ML-DSA block, its signature at 2636 and its CRC at 7263
RESISTANT_CRC: Final = 7263


def image(*, secure_version: int = 7, size: int = 1024, chip: int = 9) -> bytes:
    """Return an application image of two segments."""
    texts = (b"2.4.1", b"lamp", b"12:00:00", b"Nov  1 2026", b"v5.3", bytes(32))
    descriptor = struct.pack("<II8x32s32s16s16s32s32s", 0xABCD5432, secure_version, *texts)
    segments = [(0x3C000020, descriptor + firmware("esp", size)), (0x40380000, hashlib.shake_256(b"rom").digest(64))]
    out = struct.pack("<BBBBIB3sHBHH4sB", 0xE9, 2, 2, 0x2F, 0x40380000, 0xEE, b"", chip, 0, 0, 199, b"", 1)
    checksum = 0xEF
    for address, data in segments:
        out += struct.pack("<II", address, len(data)) + data
        checksum ^= functools.reduce(operator.xor, data)
    out += bytes(15 - len(out) % 16) + bytes([checksum])
    return out + hashlib.sha256(out).digest()


def espsecure(*words: str | Path) -> None:
    """Run the vendor's tool."""
    run([BIN / "espsecure", *words])


def build(folder: Path) -> None:
    """Write `good/`, `bad/` and `keys/` below `folder`."""
    require("espsecure", "openssl")
    fresh(folder)
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        _keys(folder, work)
        _good(folder, work)
        _other_options(folder, work)
        _changed(folder)
        hybrid(folder)


def _keys(folder: Path, work: Path) -> None:
    (work / "rsa.key").write_bytes(run(["openssl", "genrsa", "3072"]))
    (work / "e3.key").write_bytes(run(["openssl", "genrsa", "-3", "3072"]))
    run(["openssl", "ecparam", "-name", "prime192v1", "-genkey", "-noout", "-out", work / "p192.key"])
    run(["openssl", "ec", "-in", SIGNER, "-out", work / "signer.key"])
    (work / "other.key").write_bytes(OTHER.read_bytes())
    (work / "stranger.key").write_bytes(STRANGER.read_bytes())
    for name in ("signer", "other", "rsa", "e3", "p192"):
        public_half(work / f"{name}.key", folder / "keys" / f"{name}.pub.pem")
    for name, size in (("flash-128", 32), ("flash-256", 64), ("fuse", 32), ("other-flash", 32)):
        (folder / "keys" / f"{name}.key").write_bytes(key_bytes(f"esp {name}", size))


def _sign(work: Path, target: Path, *names: str, version: str = "2", plain: bytes = b"") -> None:
    (work / "plain").write_bytes(plain or image())
    keys = [word for name in names for word in ("-k", work / f"{name}.key")]
    espsecure("sign-data", "-v", version, *keys, "-o", target, work / "plain")


def _good(folder: Path, work: Path) -> None:
    good, keys = folder / "good", folder / "keys"
    _sign(work, good / "signed-v2-ecdsa.bin", "signer")
    _sign(work, good / "signed-v2-rsa.bin", "rsa")
    _sign(work, good / "two-keys.bin", "signer", "other")
    _sign(work, good / "signed-v1.bin", "signer", version="1")
    signed = good / "signed-v2-ecdsa.bin"
    (good / "known-by-its-fuse-digest.bin").write_bytes(signed.read_bytes())
    for name, key, more in (
        ("xts-128", "flash-128", ["-x"]),
        ("xts-256", "flash-256", ["-x"]),
        ("esp32", "flash-128", ["--flash-crypt-conf", "0xf"]),
    ):
        common = ("-a", ADDRESS, "-k", keys / f"{key}.key", "-o", good / f"encrypted-{name}.bin")
        espsecure("encrypt-flash-data", *more, *common, signed)


def _other_options(folder: Path, work: Path) -> None:
    bad, keys = folder / "bad", folder / "keys"
    _sign(work, bad / "signed-by-a-stranger.bin", "stranger")
    _sign(work, bad / "weak-curve.bin", "p192")
    _sign(work, bad / "exponent-3.bin", "e3")
    _sign(work, bad / "secure-version-0.bin", "signer", plain=image(secure_version=0))
    (work / "plain").write_bytes(image())
    espsecure("digest-secure-bootloader", "-k", keys / "fuse.key", "-o", bad / "keyed-digest.bin", work / "plain")
    signed = folder / "good" / "signed-v2-ecdsa.bin"
    options = ("-a", ADDRESS, "--flash-crypt-conf", "0", "-k", keys / "flash-128.key")
    espsecure("encrypt-flash-data", *options, "-o", bad / "configuration-0.bin", signed)
    for name in ("encrypted-under-another-key",):
        common = ("-x", "-a", ADDRESS, "-k", keys / "other-flash.key", "-o", bad / f"{name}.bin")
        espsecure("encrypt-flash-data", *common, signed)
    (keys / "other-flash.key").unlink()


def _changed(folder: Path) -> None:
    data = (folder / "good" / "signed-v2-ecdsa.bin").read_bytes()
    old = (folder / "good" / "signed-v1.bin").read_bytes()
    for name, make in _changes(data, old).items():
        (folder / "bad" / f"{name}.bin").write_bytes(make())


def _changes(data: bytes, old: bytes) -> Mapping[str, Callable[[], bytes]]:
    block = len(data) - SECTOR
    return {
        "unsigned": image,
        "signature-bit-flipped": lambda: _sealed(data, block + 110),
        "key-bit-flipped": lambda: _sealed(data, block + 45),
        "digest-bit-flipped": lambda: _sealed(data, block + 10),
        "crc-wrong": lambda: flipped(data, block + 1190),
        "image-bit-flipped": lambda: flipped(data, 600),
        "version-raised": lambda: flipped(data, 50),
        "signed-v1-bit-flipped": lambda: flipped(old, -10),
        "signed-v1-image-bit-flipped": lambda: flipped(old, 600),
        "bytes-behind": lambda: data + b"more than the image",
        "biased-ciphertext": lambda: bytes(byte | 0x80 for byte in hashlib.shake_256(b"biased").digest(SECTOR)),
        "truncated-sector": lambda: data[: block + BLOCK],
        "truncated-segment": lambda: data[:500],
        "segment-longer-than-the-file": lambda: data[:28] + b"\xff\xff\xff\x7f" + data[32:],
        "seventeen-segments": lambda: data[:1] + b"\x11" + data[2:],
    }


def _sealed(data: bytes, place: int) -> bytes:
    """Return the image with a bit of its first block flipped and the block's CRC made right again."""
    changed = flipped(data, place)
    start = len(data) - SECTOR
    crc = struct.pack("<I", zlib.crc32(changed[start : start + 1196]))
    return changed[: start + 1196] + crc + changed[start + 1200 :]


# The ML-DSA block


def hybrid(folder: Path) -> None:
    """Write the samples with an ML-DSA block behind the image that espsecure signed."""
    signed = (folder / "good" / "signed-v2-ecdsa.bin").read_bytes()
    public, secret = ml_dsa_65.keygen()
    stranger = ml_dsa_65.keygen()
    (folder / "keys" / "ml-dsa-65.key.bin").write_bytes(public)
    data = signed + resistant_block(signed, public, secret)
    (folder / "good" / "hybrid-ml-dsa.bin").write_bytes(data)
    start = len(signed)
    for name, changed in {
        "image-bit-flipped": flipped(data, 600),
        "signature-bit-flipped": _resealed(flipped(data, start + 3000)),
        "crc-wrong": flipped(data, start + RESISTANT_CRC),
        "by-a-stranger": signed + resistant_block(signed, *stranger),
        "length-lies": _resealed(flipped(data, start + 40)),
    }.items():
        (folder / "bad" / f"hybrid-{name}.bin").write_bytes(changed)


def resistant_block(signed: bytes, public: bytes, secret: bytes) -> bytes:
    """Return the block over an image and its signature sector, by an ML-DSA-65 key."""
    digest = hashlib.sha256(signed).digest()
    value: bytes = ml_dsa_65.sign(secret, digest)
    head = struct.pack("<BBBB32sII", 0xE8, 1, 2, 0, digest, len(public), len(value))
    return _resealed((head + public.ljust(2592, b"\0") + value.ljust(4627, b"\0")).ljust(RESISTANT, b"\0"))


def _resealed(data: bytes) -> bytes:
    """Return the data with the CRC of the block at its end made right."""
    at = len(data) - RESISTANT
    crc = struct.pack("<I", zlib.crc32(data[at : at + RESISTANT_CRC]))
    return data[: at + RESISTANT_CRC] + crc + data[at + RESISTANT_CRC + 4 :]
