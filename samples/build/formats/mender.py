"""Makes the samples of Mender artifacts: good ones by mender-artifact, bad ones from them by one change each."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import tarfile
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from samples.build._tools import KEYS, firmware, public_half, require, run
from samples.build.formats._faults import flipped, fresh

SIGNER: Final = KEYS / "sensor-signing.pem"
STRANGER: Final = KEYS / "sensor-signing-2025.pem"
SMALL: Final = KEYS / "camera-signing.pem"  # RSA with 1024 bits
SIZE: Final = 1500  # bytes of the payload
Members = dict[str, bytes]


def build(folder: Path) -> None:
    """Write `good/`, `bad/` and `keys/` below `folder`."""
    require("mender-artifact", "openssl", "zstd")
    fresh(folder)
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        run(["openssl", "genrsa", "-out", work / "rsa.key", "2048"])
        run(["openssl", "genrsa", "-3", "-out", work / "e3.key", "2048"])
        run(["openssl", "ecparam", "-name", "prime192v1", "-genkey", "-noout", "-out", work / "p192.key"])
        run(["openssl", "ec", "-in", SIGNER, "-out", work / "signer.key"])
        run(["openssl", "rsa", "-traditional", "-in", work / "rsa.key", "-out", work / "rsa.pkcs1"])
        (work / "small.key").write_bytes(SMALL.read_bytes())
        for kind in ("signer", "rsa", "e3", "p192", "small"):
            public_half(work / f"{kind}.key", folder / "keys" / f"{kind}.pub.pem")
        _good(folder / "good", work)
        _bad(folder, work)


def write(
    work: Path, target: Path, *options: str | Path, kind: str = "module-image", compression: str = "none"
) -> None:
    """Make one artifact by mender-artifact."""
    (work / "fw.bin").write_bytes(firmware("mender", SIZE))
    (work / "more.txt").write_text("more\n")
    (work / "ArtifactInstall_Enter_00").write_text("#!/bin/sh\n")
    typed = ["-T", "flash"] if kind == "module-image" else ["--no-progress"]
    common: list[str | Path] = ["-t", "gw1", "-t", "gw2", "-n", "rel-1", "-f", "fw.bin", "-o", target.resolve(), *typed]
    run(["mender-artifact", "--compression", compression, "write", kind, *common, *options], cwd=work)


def _good(good: Path, work: Path) -> None:
    good.mkdir(exist_ok=True)
    key = ("-k", work / "signer.key")
    write(work, good / "signed.mender", *key)
    write(work, good / "rsa.mender", "-k", work / "rsa.pkcs1")
    write(work, good / "gzip.mender", *key, compression="gzip")
    write(work, good / "xz.mender", *key, compression="lzma")
    write(work, good / "rootfs.mender", *key, kind="rootfs-image")
    write(work, good / "version-2.mender", *key, "-v", "2", kind="rootfs-image")
    write(work, good / "two-files.mender", *key, "-f", "more.txt")
    (good / "zstd.mender").write_bytes(pack(_signed(_zstd(read((good / "signed.mender").read_bytes())))))


def _bad(folder: Path, work: Path) -> None:
    bad = folder / "bad"
    key = ("-k", work / "signer.key")
    write(work, bad / "unsigned.mender")
    augmented = ("--augment-type", "flash", "--augment-file", "more.txt", "--augment-depends", "x:y")
    write(work, bad / "augmented.mender", *key, *augmented)
    write(work, bad / "script.mender", *key, "-s", "ArtifactInstall_Enter_00")
    original = (folder / "good" / "signed.mender").read_bytes()
    for name, make in _changes(work, original).items():
        (bad / f"{name}.mender").write_bytes(make())


def _changes(work: Path, original: bytes) -> Mapping[str, Callable[[], bytes]]:
    members = read(original)
    manifest = members["manifest"]

    def signed(changed: Members, key: Path = SIGNER, digest: str = "-sha256") -> bytes:
        return pack(_signed(changed, key, digest))

    data = members["data/0000.tar"]
    last = original.index(b"data/0000.tar\0")
    header = next(name for name in members if name.startswith("header.tar"))
    more = tar({"fw.bin": firmware("mender", SIZE), "more.txt": b"more\n"})
    line = hashlib.sha256(b"").hexdigest().encode() + b"  data/0000/missing\n"
    twice = tar({"fw.bin": firmware("mender", SIZE)}, repeated=True)
    return {
        "signature-bit-flipped": lambda: pack(members | {"manifest.sig": _broken(members["manifest.sig"])}),
        "signature-no-base64": lambda: pack(members | {"manifest.sig": b"?" * 80}),
        "signed-by-a-stranger": lambda: signed(members, STRANGER),
        "signed-over-sha-1": lambda: signed(members, digest="-sha1"),
        "exponent-3": lambda: signed(members, work / "e3.key"),
        "small-key": lambda: signed(members, work / "small.key"),
        "weak-curve": lambda: signed(members, work / "p192.key"),
        "payload-bit-flipped": lambda: pack(members | {"data/0000.tar": flipped(data, 700)}),
        "header-changed": lambda: pack(members | {header: _renamed(members[header])}),
        "manifest-names-a-missing-file": lambda: signed(members | {"manifest": manifest + line}),
        "file-that-no-manifest-names": lambda: pack(members | {"data/0000.tar": more}),
        "file-twice": lambda: pack(members | {"data/0000.tar": twice}),
        "zstd-cut-short": lambda: _zstd_changed(members, lambda frame: frame[:-4]),
        "zstd-checksum-wrong": lambda: _zstd_changed(members, lambda frame: flipped(frame, len(frame) - 1)),
        "bytes-behind": lambda: original + b"more than the archive",
        "truncated-payload": lambda: original[: original.index(b"fw.bin\0", 4096) + 700],
        "no-payload": lambda: original[:last] + bytes(1024),
        "truncated-header": lambda: original[:300],
        "wrong-order": lambda: pack({"version": members["version"], header: members[header], "manifest": manifest}),
        "version-9": lambda: pack(members | {"version": b'{"format":"mender","version":9}'}),
        "manifest-line-broken": lambda: pack(members | {"manifest": manifest.replace(b"  ", b" ", 1)}),
    }


def _broken(signature: bytes) -> bytes:
    return base64.b64encode(flipped(base64.b64decode(signature), 20))


def _renamed(header: bytes) -> bytes:
    """Return the header archive with another device in it, packed the same way."""
    plain = _unpacked(header)
    changed = plain.replace(b"gw2", b"gw9")
    return gzip.compress(changed, mtime=0) if header is not plain else changed


def _unpacked(header: bytes) -> bytes:
    return gzip.decompress(header) if header.startswith(b"\x1f\x8b") else header


def _signed(members: Members, key: Path = SIGNER, digest: str = "-sha256") -> Members:
    """Return the members with their manifest signed by openssl."""
    found = run(["openssl", "dgst", digest, "-sign", key], stdin=members["manifest"])
    return members | {"manifest.sig": base64.b64encode(found)}


def _zstd(members: Members) -> Members:
    """Return the members with header and payload compressed by zstd, as mender-artifact does from version 3.10 on."""
    header = next(name for name in members if name.startswith("header.tar"))
    packed = run(["zstd", "-q", "-c"], stdin=_unpacked(members[header]))
    lines = members["manifest"].decode().splitlines(keepends=True)
    kept = "".join(line for line in lines if not line.endswith(f"{header}\n"))
    manifest = f"{kept}{hashlib.sha256(packed).hexdigest()}  header.tar.zst\n".encode()
    data = run(["zstd", "-q", "-c"], stdin=members["data/0000.tar"])
    first: Members = {"version": members["version"], "manifest": manifest, "manifest.sig": b""}
    return first | {"header.tar.zst": packed, "data/0000.tar.zst": data}


def _zstd_changed(members: Members, change: Callable[[bytes], bytes]) -> bytes:
    """Return an artifact whose zstd payload is changed after signing; the manifest names what is inside."""
    packed = _signed(_zstd(members))
    return pack(packed | {"data/0000.tar.zst": change(packed["data/0000.tar.zst"])})


def read(data: bytes) -> Members:
    """Return the members of a tar archive."""
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        return {item.name: archive.extractfile(item).read() for item in archive}  # type: ignore[union-attr]


def pack(members: Members) -> bytes:
    """Return a tar archive of members in the format's order."""
    order = ("version", "manifest", "manifest.sig")
    if list(members) != sorted(members, key=list(members).index) or "manifest.sig" not in members:
        return tar(members)
    first = {name: members[name] for name in order}
    return tar(first | {name: data for name, data in members.items() if name not in order})


def tar(members: Members, *, repeated: bool = False) -> bytes:
    """Return a tar archive, with its last member twice where that is asked for."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for name, data in [*members.items(), *(list(members.items())[-1:] if repeated else [])]:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
        end = archive.offset
    return out.getvalue()[: end + 1024]  # two empty blocks; the library fills up to 10 KiB
