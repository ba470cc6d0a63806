"""A 1 GiB `.swu`, opened and verified with SHA-256, beside `openssl dgst -sha256` of the same file.

Aim: at most 1.15 times, under 150 MiB.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import tempfile
from pathlib import Path

from benchmarks._measure import BIN, interleaved, table

SIZE = 1024 * 1024 * 1024
BLOCK = bytes(range(256)) * 4096
DESCRIPTION = """software = {{
    version = "1.0";
    hardware-compatibility: [ "1.0" ];
    images: ( {{ filename = "rootfs.img"; device = "/dev/mmcblk0p2"; sha256 = "{sha256}"; }} );
}}
"""


def make(folder: Path) -> Path:
    """Write a signed .swu with one member of 1 GiB; return its path."""
    running = hashlib.sha256()
    with (folder / "rootfs.img").open("wb") as stream:
        for _ in range(SIZE // len(BLOCK)):
            stream.write(BLOCK)
            running.update(BLOCK)
    (folder / "sw-description").write_text(DESCRIPTION.format(sha256=running.hexdigest()))
    for command in (
        "openssl genpkey -quiet -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out key.pem",
        "openssl pkey -in key.pem -pubout -out public.pem",
        "openssl dgst -sha256 -sign key.pem -out sw-description.sig sw-description",
    ):
        subprocess.run(command.split(), cwd=folder, check=True)
    names = b"sw-description\nsw-description.sig\nrootfs.img\n"
    with (folder / "big.swu").open("wb") as out:
        subprocess.run(["cpio", "-o", "-H", "crc", "--quiet"], cwd=folder, input=names, stdout=out, check=True)
    (folder / "rootfs.img").unlink()
    return folder / "big.swu"


def main() -> None:
    """Print the measurement."""
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as name:
        folder = Path(name)
        swu = make(folder)
        costs = interleaved(
            {
                "openssl dgst -sha256": ["openssl", "dgst", "-sha256", swu],
                "otaudit inspect": [BIN / "otaudit", "inspect", swu, "--key", folder / "public.pem"],
            },
            rounds=5,
        )
    print(table(costs, "openssl dgst -sha256"))
