"""A tar with a signed list of digests: the whole chain against `sha256sum -c`, which needs the members unpacked."""

from __future__ import annotations

from pathlib import Path

from benchmarks.formats._case import Case, payload
from samples.build._tools import public_half, run
from samples.build.formats.archive import SIGNER, sign


def make(folder: Path) -> Case:
    """Make a tar of one image, its SHA256SUMS and the signature of that, by tar, sha256sum and openssl."""
    payload(folder / "fw.bin")
    listed = run(["sha256sum", "fw.bin"], cwd=folder)
    (folder / "SHA256SUMS").write_bytes(listed)
    (folder / "SHA256SUMS.sig").write_bytes(sign(listed))
    run(["tar", "-cf", "update.tar", "SHA256SUMS", "SHA256SUMS.sig", "fw.bin"], cwd=folder)
    public_half(SIGNER, folder / "signer.pub.pem")
    unpack_and_check = (
        f"cd '{folder}' && mkdir -p out && tar -C out -xf update.tar && cd out && sha256sum -c SHA256SUMS"
    )
    return Case(
        ours=["inspect", folder / "update.tar", "--key", folder / "signer.pub.pem"],
        peer="tar -x and sha256sum -c",
        command=["sh", "-c", unpack_and_check],
    )
