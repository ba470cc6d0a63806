"""Makes the samples of MCUboot images: good ones by imgtool, bad ones from them by one change each."""

from __future__ import annotations

import hashlib
import struct
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

from samples.build._tools import BIN, KEYS, firmware, public_half, require, run
from samples.build.formats._faults import flipped, fresh

SIGNER: Final = KEYS / "sensor-signing.pem"
STRANGER: Final = KEYS / "sensor-signing-2025.pem"
DEVICE: Final = KEYS / "gateway-A.pem"
OTHER_DEVICE: Final = KEYS / "gateway-B.pem"
SIZE: Final = 2048  # bytes of the payload
HEADER: Final = 0x40
PAYLOAD: Final = slice(HEADER, HEADER + SIZE)
HASH: Final = 0x10  # TLV types
SIGNATURE: Final = 0x22
COUNTER: Final = ("-s", "7")


def build(folder: Path) -> None:
    """Write `good/`, `bad/` and `keys/` below `folder`."""
    require("imgtool", "openssl")
    fresh(folder)
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        _keys(folder, work)
        _good(folder, work)
        _other_options(folder, work)
    _changed(folder)


def _keys(folder: Path, work: Path) -> None:
    run(["openssl", "genrsa", "-out", work / "rsa.pem", "2048"])
    run(["openssl", "genrsa", "-3", "-out", work / "e3.pem", "2048"])
    run([BIN / "imgtool", "keygen", "-k", work / "ed25519.pem", "-t", "ed25519"])
    for private, target in ((SIGNER, "signer"), (DEVICE, "device"), (OTHER_DEVICE, "other-device")):
        public_half(private, (folder if target == "signer" else work) / _place(target))
    for kind in ("rsa", "e3", "ed25519"):
        public_half(work / f"{kind}.pem", folder / "keys" / f"{kind}.pub.pem")
    (folder / "keys" / "device.pem").write_bytes(DEVICE.read_bytes())


def _place(name: str) -> str:
    return f"keys/{name}.pub.pem" if name == "signer" else f"{name}.pub.pem"


def sign(work: Path, target: Path, *options: str | Path, version: str = "2.4.1+7") -> None:
    """Make one image by imgtool."""
    (work / "firmware").write_bytes(firmware("mcuboot", SIZE))
    common = ["--align", "8", "-v", version, "-H", hex(HEADER), "--pad-header", "-S", "0x20000"]
    run([BIN / "imgtool", "sign", *common, *options, work / "firmware", target])


def _good(folder: Path, work: Path) -> None:
    good = folder / "good"
    sign(work, good / "signed.bin", "-k", SIGNER, *COUNTER)
    sign(work, good / "rsa.bin", "-k", work / "rsa.pem", *COUNTER)
    sign(work, good / "ed25519-pure.bin", "-k", work / "ed25519.pem", "--pure", *COUNTER)
    sign(work, good / "encrypted.bin", "-k", SIGNER, "-E", work / "device.pub.pem", *COUNTER)
    sign(work, good / "with-dependency.bin", "-k", SIGNER, "-d", "(1, 1.2.3+0)", *COUNTER)


def _other_options(folder: Path, work: Path) -> None:
    bad = folder / "bad"
    sign(work, bad / "unsigned.bin", *COUNTER)
    sign(work, bad / "signed-by-a-stranger.bin", "-k", STRANGER, *COUNTER)
    sign(work, bad / "exponent-3.bin", "-k", work / "e3.pem", *COUNTER)
    sign(work, bad / "no-security-counter.bin", "-k", SIGNER)
    sign(work, bad / "whole-key-inside.bin", "-k", SIGNER, "--public-key-format", "full", *COUNTER)
    sign(work, bad / "flagged-but-clear.bin", "-k", SIGNER, "-E", work / "device.pub.pem", "--clear", *COUNTER)
    sign(work, bad / "encrypted-to-a-stranger.bin", "-k", SIGNER, "-E", work / "other-device.pub.pem", *COUNTER)


def _changed(folder: Path) -> None:
    signed, sealed = (folder / "good" / f"{name}.bin" for name in ("signed", "encrypted"))
    data, secret = signed.read_bytes(), sealed.read_bytes()
    text = hashlib.shake_256(b"text").hexdigest(SIZE // 2).encode()
    cases: dict[str, Callable[[], bytes]] = {
        "signature-bit-flipped": lambda: flipped(data, _value(data, SIGNATURE) + 20),
        "payload-bit-flipped": lambda: flipped(data, HEADER + 100),
        "version-raised": lambda: flipped(data, 20),
        "hash-of-another-image": lambda: _replaced(data, _value(data, HASH), hashlib.sha256(b"").digest()),
        "no-hash": lambda: _without(data, HASH),
        "vendor-id-unprotected": lambda: _with(data, struct.pack("<HH16s", 0x74, 16, bytes(range(16)))),
        "bytes-behind": lambda: data + b"more than the image",
        "repeated-blocks": lambda: _replaced(secret, HEADER, secret[HEADER : HEADER + 16] * (SIZE // 16)),
        "readable-ciphertext": lambda: _replaced(secret, HEADER, text),
        "wrapped-key-bit-flipped": lambda: flipped(secret, _value(secret, 0x32) + 100),
        "truncated-header": lambda: data[:20],
        "truncated-payload": lambda: data[: HEADER + 500],
        "tlv-longer-than-its-area": lambda: _replaced(data, _value(data, HASH) - 2, b"\xff\xff"),
        "area-longer-than-the-file": lambda: _replaced(data, _area(data) + 2, b"\xff\xff"),
        "two-sizes-of-the-protected-area": lambda: _replaced(data, 10, struct.pack("<H", 16)),
        "empty": lambda: _replaced(data, 12, bytes(4)),
    }
    for name, make in cases.items():
        (folder / "bad" / f"{name}.bin").write_bytes(make())


def _replaced(data: bytes, place: int, value: bytes) -> bytes:
    return data[:place] + value + data[place + len(value) :]


def _area(data: bytes) -> int:
    """Return where the unprotected TLVs begin."""
    protected = struct.unpack_from("<H", data, 10)[0]
    return HEADER + SIZE + int(protected)


def _tlvs(data: bytes) -> list[tuple[int, int, int]]:
    """Return type, place of the value and its length for each unprotected TLV."""
    at, found = _area(data) + 4, []
    end = _area(data) + struct.unpack_from("<H", data, _area(data) + 2)[0]
    while at < end:
        kind, length = struct.unpack_from("<HH", data, at)
        found.append((kind, at + 4, length))
        at += 4 + length
    return found


def _value(data: bytes, kind: int) -> int:
    return next(place for found, place, _ in _tlvs(data) if found == kind)


def _resized(data: bytes, body: bytes) -> bytes:
    start = _area(data)
    end = start + struct.unpack_from("<H", data, start + 2)[0]
    return data[:start] + struct.pack("<HH", 0x6907, 4 + len(body)) + body + data[end:]


def _without(data: bytes, kind: int) -> bytes:
    return _resized(data, b"".join(data[at - 4 : at + size] for found, at, size in _tlvs(data) if found != kind))


def _with(data: bytes, tlv: bytes) -> bytes:
    return _resized(data, b"".join(data[at - 4 : at + size] for _, at, size in _tlvs(data)) + tlv)
