"""SUIT envelope with an integrated payload of 512 MiB: no tool is packaged, so that a bare digest is the peer."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import replace
from pathlib import Path

from benchmarks.formats._case import Case, payload
from samples.build._tools import public_half
from samples.build.formats import _suit as maker
from samples.build.formats.suit import ES256, PLAN, SIGNER

_MAP_OF_TWO, _MAP_OF_THREE, _LONG_STRING = 0xA2, 0xA3, b"\x5a"


def make(folder: Path) -> Case:
    """Sign the manifest by ES256, and let the payload follow it, so that it is never held in memory."""
    image, target, key = payload(folder / "firmware.bin"), folder / "x.suit", folder / "signer.pub.pem"
    with image.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").digest()
    size = image.stat().st_size
    plan = replace(PLAN, image=[maker.SHA_256, digest], size=size)
    head = bytearray(maker.envelope(plan.manifest(), [ES256]))
    head[head.index(_MAP_OF_TWO)] = _MAP_OF_THREE
    with target.open("wb") as out, image.open("rb") as stream:
        out.write(head + maker.wrapped(plan.uri) + _LONG_STRING + size.to_bytes(4, "big"))
        shutil.copyfileobj(stream, out, 1024 * 1024)
    image.unlink()
    public_half(SIGNER, key)
    command: list[str | Path] = ["openssl", "dgst", "-sha256", target]
    return Case(ours=["inspect", target, "--key", key], peer="openssl dgst -sha256", command=command)
