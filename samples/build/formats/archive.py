"""Makes the samples of plain archives: tar and zip by their tools, lists by coreutils, signatures by openssl.

Archives whose coverage is tested bit by bit are not compressed: a compressed stream has bits that mean nothing.
"""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from samples.build._tools import KEYS, firmware, public_half, require, run

SIGNER: Final = KEYS / "sensor-signing.pem"
_MOMENT: Final = 1767225600  # 2026-01-01T00:00:00Z
_DATE: Final = (2026, 1, 1, 0, 0, 0)
Files = Mapping[str, bytes]


def sign(data: bytes) -> bytes:
    """Return a detached ECDSA signature in DER, as `openssl dgst -sign` makes it."""
    return run(["openssl", "dgst", "-sha256", "-sign", SIGNER], stdin=data)


def sums(files: Files, tool: str = "sha256sum", *options: str) -> bytes:
    """Return the list that a tool of coreutils prints."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for path, data in files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(data)
        return run([tool, *options, *files], cwd=folder)


def tar(files: Files, *options: str) -> bytes:
    """Return what tar packs, in this order."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for path, data in files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(data)
        fixed = ("--format=ustar", "--owner=0", "--group=0", "--numeric-owner", "--mode=0644", f"--mtime=@{_MOMENT}")
        return run(["tar", "-c", "-b", "1", *fixed, *options, "-f", "-", *files], cwd=folder)


def packed(files: Files, method: int = zipfile.ZIP_STORED, comment: bytes = b"") -> bytes:
    """Return a zip of the files in this order, with fixed times."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in files.items():
            info = zipfile.ZipInfo(name, _DATE)
            info.external_attr = 0o100644 << 16
            archive.writestr(info, data, method)
        archive.comment = comment
    return out.getvalue()


def build(folder: Path) -> None:
    """Make good and bad archives and the public keys."""
    require("openssl", "sha256sum", "md5sum", "sha512sum", "tar", "zip", "zstd")
    for name in ("good", "bad", "keys"):
        shutil.rmtree(folder / name, ignore_errors=True)
        (folder / name).mkdir(parents=True)
    public_half(SIGNER, folder / "keys" / "signer.pub.pem")
    public_half(KEYS / "camera-signing.pem", folder / "keys" / "weak.pub.pem")
    public_half(KEYS / "gateway-signer-2025.pem", folder / "keys" / "other.pub.pem")
    payload = {"firmware.bin": firmware("archive", 2048), "config.txt": b"interval = 60\n"}
    listed = sums(payload)
    signed = {**payload, "SHA256SUMS": listed, "SHA256SUMS.sig": sign(listed)}
    files = {**_good(payload, signed), **_bad_tar(payload, signed), **_bad_zip(payload, signed)}
    for name, data in files.items():
        (folder / name).write_bytes(data)


def manifest(payload: Files) -> bytes:
    """Return a manifest of the usual kind."""
    entries = [{"name": name, "sha256": hashlib.sha256(data).hexdigest()} for name, data in payload.items()]
    return json.dumps({"version": "2.4.1", "hardware": ["board-a", "board-b"], "files": entries}, indent=1).encode()


def _good(payload: Files, signed: Files) -> dict[str, bytes]:
    described = manifest(payload)
    tagged = sums(payload, "sha512sum", "--tag")
    return {
        "good/signed-list.tar": tar(signed),
        "good/signed-list.zip": packed(signed),
        "good/signed-manifest.zip": packed(
            {**payload, "manifest.json": described, "manifest.json.sig": sign(described)}
        ),
        "good/tagged-list.tar": tar({**payload, "SHA512SUMS": tagged, "SHA512SUMS.sig": sign(tagged)}),
        "good/unsigned-list.tar": tar({**payload, "SHA256SUMS": signed["SHA256SUMS"]}),
        "good/no-list.tar": tar(payload),
        "good/no-list.zip": packed(payload),
    }


def _bad_tar(payload: Files, signed: Files) -> dict[str, bytes]:
    listed = signed["SHA256SUMS"]
    md5 = sums(payload, "md5sum")
    good = tar(signed)
    broken = {**signed, "SHA256SUMS.sig": _flipped(signed["SHA256SUMS.sig"], 40)}
    short = listed.splitlines(keepends=True)[0]
    weak = run(["openssl", "dgst", "-sha256", "-sign", KEYS / "camera-signing.pem"], stdin=listed)
    return {
        "bad/signature-bit-flipped.tar": tar(broken),
        "bad/signed-by-another-key.tar": good,
        "bad/key-not-declared.tar": good,
        "bad/member-bit-flipped.tar": tar({**signed, "firmware.bin": _flipped(payload["firmware.bin"], 99)}),
        "bad/list-changed.tar": tar({**signed, "SHA256SUMS": listed.replace(b"config", b"Config")}),
        "bad/member-not-listed.tar": tar({**payload, "SHA256SUMS": short, "SHA256SUMS.sig": sign(short)}),
        "bad/listed-member-missing.tar": tar({name: data for name, data in signed.items() if name != "config.txt"}),
        "bad/md5-list.tar": tar({**payload, "MD5SUMS": md5, "MD5SUMS.sig": sign(md5)}),
        "bad/weak-key.tar": tar({**signed, "SHA256SUMS.sig": weak}),
        "bad/unsigned-list-incomplete.tar": tar({**payload, "SHA256SUMS": short}),
        "bad/duplicate-member.tar": _more(signed, tarfile.TarInfo("config.txt")),
        "bad/link.tar": _more(signed, _special(tarfile.SYMTYPE)),
        "bad/device.tar": _more(signed, _special(tarfile.CHRTYPE)),
        "bad/trailing-data.tar": good + b"more",
        "bad/traversal.tar": _more(signed, tarfile.TarInfo("../config.txt")),
        "bad/truncated.tar": good[:3000],
        "bad/zstd-cut-short.tar.zst": run(["zstd", "-q", "-c"], stdin=good)[:-4],
        "bad/broken-image-inside.tar": tar({"inner.zip": packed(payload)[:-40], **payload}),
    }


def _flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def _more(files: Files, *infos: tarfile.TarInfo) -> bytes:
    """Return a tar of the files, and behind them entries without content."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size, info.mtime = len(data), _MOMENT
            archive.addfile(info, io.BytesIO(data))
        for info in infos:
            info.mtime = _MOMENT
            archive.addfile(info)
    return out.getvalue()


def _special(kind: bytes) -> tarfile.TarInfo:
    info = tarfile.TarInfo("special")
    info.type, info.linkname = kind, "/etc" if kind == tarfile.SYMTYPE else ""
    return info


def _bad_zip(payload: Files, signed: Files) -> dict[str, bytes]:
    good, described = packed(signed), manifest(payload)
    sfv = b"".join(b"CRC32 (%s) = %08x\n" % (name.encode(), _crc32(data)) for name, data in payload.items())
    end = good.rfind(b"PK\x05\x06")
    changed = described.replace(b"2.4.1", b"2.4.0")
    return {
        "bad/manifest-not-signed.zip": packed({**signed, "manifest.json": described}),
        "bad/manifest-changed.zip": packed({**payload, "manifest.json": changed, "manifest.json.sig": sign(described)}),
        "bad/checksum-list.zip": packed({**payload, "checksums.txt": sfv}),
        "bad/crc-wrong.zip": _crc_wrong(good, payload["config.txt"]),
        "bad/prepended.zip": b"#!/bin/sh\nexit 0\n" + good,
        "bad/second-end-record.zip": good[: end + 20] + b"\x16\0" + b"PK\x05\x06" + bytes(18),
        "bad/local-header-differs.zip": good.replace(b"config.txt", b"Config.txt", 1),
        "bad/traversal.zip": good.replace(b"config.txt", b"../fig.txt"),
        "bad/encrypted.zip": _encrypted(payload),
    }


def _crc32(data: bytes) -> int:
    return zlib.crc32(data)


def _crc_wrong(data: bytes, content: bytes) -> bytes:
    return data.replace(_crc32(content).to_bytes(4, "little"), b"\1\2\3\4")


def _encrypted(payload: Files) -> bytes:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "firmware.bin").write_bytes(payload["firmware.bin"])
        run(["zip", "-q", "-X", "-P", "secret", "x.zip", "firmware.bin"], cwd=folder)
        return (folder / "x.zip").read_bytes()
