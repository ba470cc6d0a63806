"""SWUpdate image of 512 MiB: signature and digests against `swupdate -c`."""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path

from benchmarks.formats._case import Case, payload
from samples.build._tools import cpio
from samples.build.formats._faults import certified, cms
from samples.build.formats.swupdate import DESCRIPTION, SIGNATURE, TIME


def make(folder: Path) -> Case:
    """Make the image by openssl and cpio."""
    image = payload(folder / "rootfs.img")
    with image.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    entry = f'{{ filename = "rootfs.img"; device = "/dev/null"; sha256 = "{digest}"; }}'
    text = f'software = {{ version = "1"; hardware-compatibility: [ "1.0" ]; images: ( {entry} ); }}\n'
    (folder / DESCRIPTION).write_text(text)
    (folder / "keys").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        cms(certified(folder, Path(name))["signer"], folder / DESCRIPTION, folder / SIGNATURE)
    target, root = folder / "x.swu", folder / "keys" / "root.pem"
    cpio(folder, [DESCRIPTION, SIGNATURE, "rootfs.img"], target.resolve(), TIME)
    command: list[str | Path] = ["swupdate", "-c", "-n", "-H", "board:1.0", "-i", target, "-k", root]
    return Case(ours=["inspect", target, "--trust", root], peer="swupdate -c", command=command)
