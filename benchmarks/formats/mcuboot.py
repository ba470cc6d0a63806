"""MCUboot image of 512 MiB: hash and signature against `imgtool verify`."""

from __future__ import annotations

from pathlib import Path

from benchmarks.formats._case import Case, payload
from samples.build._tools import BIN, public_half, run
from samples.build.formats.mcuboot import SIGNER


def make(folder: Path) -> Case:
    """Make the image by imgtool, which holds all of it in memory."""
    image, target, key = payload(folder / "app.bin"), folder / "app.signed.bin", folder / "signer.pub.pem"
    common = ["--align", "8", "-v", "2.4.1+7", "-H", "0x40", "--pad-header", "-S", "0x30000000", "-s", "7"]
    run([BIN / "imgtool", "sign", *common, "-k", SIGNER, image, target])
    public_half(SIGNER, key)
    command: list[str | Path] = [BIN / "imgtool", "verify", "-k", key, target]
    return Case(ours=["inspect", target, "--key", key], peer="imgtool verify", command=command)
