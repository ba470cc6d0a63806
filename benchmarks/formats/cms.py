"""CMS is held in memory as a whole, so the largest message that is read takes the place of 512 MiB: 15 MiB."""

from __future__ import annotations

import subprocess
from pathlib import Path

from benchmarks.formats._case import Case, payload

SIZE = 15 * 1024 * 1024


def make(folder: Path) -> Case:
    """Return a signed message with its content inside, and `openssl cms -verify` of it."""
    content = payload(folder / "content", SIZE)
    for command in (
        "openssl req -x509 -newkey rsa:2048 -nodes -keyout key.pem -subj /CN=signer -out signer.pem",
        (
            f"openssl cms -sign -binary -nodetach -in {content.name} -signer signer.pem -inkey key.pem -outform DER "
            "-out big.p7m"
        ),
    ):
        subprocess.run(command.split(), cwd=folder, check=True, capture_output=True)
    big, signer = folder / "big.p7m", folder / "signer.pem"
    return Case(
        ours=["inspect", big, "--key", signer],
        peer="openssl cms -verify",
        command=["openssl", "cms", "-verify", "-binary", "-noverify", "-inform", "DER", "-in", big, "-certfile",
                 signer, "-out", "/dev/null"],
    )  # fmt: skip
