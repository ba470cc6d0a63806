"""RAUC bundle of 512 MiB, plain: signature and file digests against `rauc info`, which checks the signature only."""

from __future__ import annotations

import tempfile
from pathlib import Path

from benchmarks.formats._case import Case, payload
from samples.build._tools import run
from samples.build.formats._faults import certified


def make(folder: Path) -> Case:
    """Make the bundle by rauc; its blocks lie as they are, not compressed."""
    content, root = folder / "content", folder / "keys" / "root.pem"
    for path in (content, root.parent):
        path.mkdir(exist_ok=True)
    payload(content / "rootfs.img")
    (content / "manifest.raucm").write_text("[update]\ncompatible=B\n\n[image.rootfs]\nfilename=rootfs.img\n")
    target = folder / "x.raucb"
    with tempfile.TemporaryDirectory() as name:
        person = certified(folder, Path(name))["signer"]
        signing = [f"--cert={person.certificate}", f"--key={person.key}", f"--signing-keyring={root}"]
        run(["rauc", "bundle", "--mksquashfs-args=-noI -noD -noF", *signing, content, target])
    command: list[str | Path] = ["rauc", "info", f"--keyring={root}", target]
    return Case(ours=["inspect", target, "--trust", root], peer="rauc info", command=command)
