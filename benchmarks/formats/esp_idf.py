"""ESP-IDF image of 512 MiB, above any chip's flash: Secure Boot v2 against `espsecure verify-signature`."""

from __future__ import annotations

import hashlib
import struct
from pathlib import Path

from benchmarks.formats._case import SIZE, Case, payload
from samples.build._tools import BIN, public_half, run
from samples.build.formats.esp_idf import SIGNER, espsecure


def make(folder: Path) -> Case:
    """Make an image of one segment; espsecure signs it."""
    content, plain = payload(folder / "content"), folder / "plain.bin"
    head = struct.pack("<BBBBIB3sHBHH4sB", 0xE9, 1, 2, 0x2F, 0x40380000, 0xEE, b"", 9, 0, 0, 199, b"", 1)
    running = hashlib.sha256()
    with plain.open("wb") as out, content.open("rb") as stream:
        for piece in (head + struct.pack("<II", 0x3C000020, SIZE), *iter(lambda: stream.read(1 << 20), b""), bytes(16)):
            running.update(piece)
            out.write(piece)
        out.write(running.digest())
    target, key = folder / "signed.bin", folder / "signer.pub.pem"
    run(["openssl", "ec", "-in", SIGNER, "-out", folder / "signer.key"])
    espsecure("sign-data", "-v", "2", "-k", folder / "signer.key", "-o", target, plain)
    public_half(SIGNER, key)
    command: list[str | Path] = [BIN / "espsecure", "verify-signature", "-v", "2", "-k", key, target]
    return Case(ours=["inspect", target, "--key", key], peer="espsecure verify-signature", command=command)
