"""Mender artifact of 512 MiB, uncompressed: signature and digests against `mender-artifact validate`."""

from __future__ import annotations

from pathlib import Path

from benchmarks.formats._case import Case, payload
from samples.build._tools import public_half, run
from samples.build.formats.mender import SIGNER


def make(folder: Path) -> Case:
    """Make the artifact by mender-artifact."""
    image, target, key = payload(folder / "rootfs.img"), folder / "x.mender", folder / "signer.pub.pem"
    run(["openssl", "ec", "-in", SIGNER, "-out", folder / "signer.key"])
    head = ["mender-artifact", "--compression", "none", "write", "rootfs-image", "--no-progress"]
    run([*head, "-t", "gw1", "-n", "rel-1", "-f", image, "-o", target, "-k", folder / "signer.key"])
    public_half(SIGNER, key)
    command: list[str | Path] = ["mender-artifact", "validate", target, "-k", key]
    return Case(ours=["inspect", target, "--key", key], peer="mender-artifact validate", command=command)
