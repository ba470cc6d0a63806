"""The microcontroller: MCUboot images with ECDSA P-256, encrypted to each device with ECIES-P256 and AES-128."""

from __future__ import annotations

from pathlib import Path

from samples.build._tools import KEYS, firmware, imgtool, public_half, require

DEVICES = ("A", "B")
RELEASES = {"1.3.0": ("sensor-signing-2025", 3), "1.4.0": ("sensor-signing", 4)}


def build(folder: Path) -> None:
    """Write `artifacts/`, `trust/` and `lab/` below `folder`."""
    require("imgtool", "openssl")
    for name in ("artifacts", "trust", "lab"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for device in DEVICES:
        lab = folder / "lab" / f"device-{device}.pem"
        lab.write_bytes((KEYS / f"sensor-{device}.pem").read_bytes())
        public_half(lab, folder / "lab" / f"device-{device}.pub.pem")
    for version, (signer, counter) in RELEASES.items():
        public_half(KEYS / f"{signer}.pem", folder / "trust" / f"{signer}.pub.pem")
        plain = folder / "artifacts" / "plain.bin"
        plain.write_bytes(firmware(f"sensor {version}", 12 * 1024))
        for device in DEVICES:
            imgtool(
                plain,
                folder / "artifacts" / f"sensor-{version}-{device}.bin",
                *("-v", f"{version}+0", "-s", str(counter), "-k", str(KEYS / f"{signer}.pem")),
                *("-E", str(folder / "lab" / f"device-{device}.pub.pem"), "--encrypt-keylen", "128"),
            )
        plain.unlink()
