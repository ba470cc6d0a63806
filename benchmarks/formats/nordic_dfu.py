"""Nordic DFU package of one image: signature, digest and checksum against `unzip -t`, which sees only the checksum."""

from __future__ import annotations

import hashlib
import json
import zipfile
from pathlib import Path

from benchmarks.formats._case import Case, payload
from samples.build._tools import public_half
from samples.build.formats.nordic_dfu import SIGNER, Packet, signer


def make(folder: Path) -> Case:
    """Make a package in the folder; the official packer does not run here, so it is laid out as pc-nrfutil does."""
    image = payload(folder / "app.bin")
    with image.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").digest()
    packet = Packet(image=b"", size=image.stat().st_size, digest=digest).signed(signer(SIGNER))
    target = folder / "app.zip"
    with zipfile.ZipFile(target, "w") as archive:
        archive.write(image, "app.bin")
        archive.writestr("app.dat", packet)
        entry = {"bin_file": "app.bin", "dat_file": "app.dat"}
        archive.writestr("manifest.json", json.dumps({"manifest": {"application": entry}}))
    public_half(SIGNER, folder / "signer.pub.pem")
    command = ["unzip", "-tqq", str(target)]
    return Case(ours=["inspect", target, "--key", folder / "signer.pub.pem"], peer="unzip -t", command=command)
