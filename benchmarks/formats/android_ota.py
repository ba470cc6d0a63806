"""Android A/B package with a payload of 512 MiB: all signatures and digests against `openssl dgst` over the file."""

from __future__ import annotations

import hashlib
import shutil
import zipfile
from pathlib import Path

from benchmarks.formats._case import Case, payload
from samples.build._tools import run
from samples.build.formats._crau import BLOCK, blob, number
from samples.build.formats.android_ota import METADATA, SIGNAPK, Signer, text

STEP = 2 * 1024 * 1024  # bytes of one operation, as AOSP's generator makes them


def make(folder: Path) -> Case:
    """Make a package in the folder: a full system partition, stored, signed by signapk."""
    content = payload(folder / "system.img")
    signer = Signer.new(folder, "signer")
    _payload(content, folder / "payload.bin", signer.key)
    before, after = folder / "in.zip", folder / "out.zip"
    with zipfile.ZipFile(before, "w") as archive:
        archive.writestr(METADATA, text())
        archive.write(folder / "payload.bin", "payload.bin")
    words: list[str | Path] = ["-w", signer.certificate, signer.pk8, before, after]
    run(["java", "-Xmx3g", "-jar", SIGNAPK, *words])
    ours: list[str | Path] = ["inspect", after, "--key", signer.certificate]
    return Case(ours=ours, peer="openssl dgst -sha256", command=["openssl", "dgst", "-sha256", str(after)])


def _payload(content: Path, target: Path, key: Path) -> None:
    """Write a payload of REPLACE operations without holding it in memory."""
    steps, whole, size = [], hashlib.sha256(), content.stat().st_size
    with content.open("rb") as stream:
        for offset in range(0, size, STEP):
            data = stream.read(STEP)
            whole.update(data)
            extent = blob(6, number(1, offset // BLOCK) + number(2, len(data) // BLOCK))
            place = number(1, 0) + number(2, offset) + number(3, len(data))
            steps.append(blob(8, place + extent + blob(8, hashlib.sha256(data).digest())))
    info = blob(7, number(1, size) + blob(2, whole.digest()))
    partition = blob(13, blob(1, b"system") + info + b"".join(steps))
    width = len(_signatures(b"\0" * 256))
    manifest = number(3, BLOCK) + number(4, size) + number(5, width) + partition + number(14, 1_790_000_000)
    head = b"CrAU" + (2).to_bytes(8, "big") + len(manifest).to_bytes(8, "big") + width.to_bytes(4, "big")
    metadata = target.with_suffix(".metadata")
    metadata.write_bytes(head + manifest)
    signed = target.with_suffix(".signed")
    with signed.open("wb") as out, content.open("rb") as stream:
        out.write(head + manifest)
        shutil.copyfileobj(stream, out)
    made = [_signatures(run(["openssl", "dgst", "-sha256", "-sign", key, path])) for path in (metadata, signed)]
    with target.open("wb") as out, content.open("rb") as stream:
        out.write(head + manifest + made[0])
        shutil.copyfileobj(stream, out)
        out.write(made[1])
    signed.unlink()


def _signatures(data: bytes) -> bytes:
    return blob(1, blob(2, data))
