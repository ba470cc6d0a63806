"""File of 512 MiB with a prehashed minisign signature, against `minisign -V`."""

from __future__ import annotations

from pathlib import Path

from benchmarks.formats._case import Case, payload
from samples.build._tools import run


def make(folder: Path) -> Case:
    """Sign by minisign."""
    image, key, signature = payload(folder / "fw.bin"), folder / "key.pub", folder / "fw.bin.minisig"
    run(["minisign", "-G", "-W", "-p", key, "-s", folder / "key.sec"])
    run(["minisign", "-S", "-H", "-s", folder / "key.sec", "-m", image, "-x", signature, "-t", "version 1"])
    command: list[str | Path] = ["minisign", "-V", "-q", "-p", key, "-m", image, "-x", signature]
    return Case(ours=["inspect", image, "--key", key, "--signature", signature], peer="minisign -V", command=command)
