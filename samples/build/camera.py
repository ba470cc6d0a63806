"""The camera: RSA-1024 over SHA-1, one AES-128 key for the whole fleet; and it claims Enhanced."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from pathlib import Path

from samples.build._tools import KEYS, cpio, firmware, key_bytes, public_half, require, run

DESCRIPTION = """software =
{{
    version = "{version}";
    hardware-compatibility: [ "C3" ];
    images: (
        {{
            filename = "camera.bin.enc";
            device = "/dev/mtd2";
            sha256 = "{sha256}";
            encrypted = true;
            ivt = "{iv}";
        }}
    );
}}
"""
FLEET_KEY = key_bytes("camera fleet", 16)
FLEET_IV = key_bytes("camera fleet iv", 16)


def build(folder: Path) -> None:
    """Write `artifacts/`, `trust/` and `lab/` below `folder`."""
    require("openssl", "cpio")
    for name in ("artifacts", "trust", "lab", "work"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    public_half(KEYS / "camera-signing.pem", folder / "trust" / "camera-signing.pub.pem")
    (folder / "lab" / "fleet.key").write_text(f"{FLEET_KEY.hex()} {FLEET_IV.hex()}\n")
    for version in ("5.0", "5.1"):
        _package(folder, version)
    (folder / "work").rmdir()


def _package(folder: Path, version: str) -> None:
    work = folder / "work"
    (work / "clear").write_bytes(firmware(f"camera {version}", 16 * 1024))
    key, iv = FLEET_KEY.hex(), FLEET_IV.hex()  # the same IV in every release: on purpose
    run(["openssl", "enc", "-aes-128-cbc", "-K", key, "-iv", iv, "-in", "clear", "-out", "camera.bin.enc"], cwd=work)
    digest = hashlib.sha256((work / "camera.bin.enc").read_bytes()).hexdigest()
    (work / "sw-description").write_text(DESCRIPTION.format(version=version, sha256=digest, iv=iv))
    run(
        [
            "openssl",
            "dgst",
            "-sha1",
            "-sign",
            KEYS / "camera-signing.pem",
            "-out",
            "sw-description.sig",
            "sw-description",
        ],
        cwd=work,
    )
    moment = int(datetime(2026, 9, 1, tzinfo=UTC).timestamp())
    names = ["sw-description", "sw-description.sig", "camera.bin.enc"]
    cpio(work, names, folder / "artifacts" / f"camera-{version}.swu", moment)
    for path in work.iterdir():
        path.unlink()
