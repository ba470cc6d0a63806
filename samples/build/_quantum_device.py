"""The memory of pump A before the update, and its programs: what the active tests run.

The programs are written by hand in `samples/quantum/device/`; the near miss has the same ones and another policy.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from samples.build._tools import firmware

PROGRAMS: Final = Path(__file__).resolve().parents[1] / "quantum" / "device"
CLOCK: Final = "2026-10-05T00:00:00+00:00"  # when the pump is docked, before the update of its log
RUNNING: Final = "3.1.0"
DIGESTS: Final = ("sha3_256", "sha3_512")
IMAGE_SIZE: Final = 8 * 1024  # bytes


def image(version: str) -> bytes:
    """Return what the controller runs in a release."""
    return firmware(f"pump controller {version}", IMAGE_SIZE)


def write_device(folder: Path, years: Sequence[str], signatures: Sequence[str]) -> None:
    """Write `device/` below a sample; `signatures` are those that the policy of the pump accepts."""
    state = folder / "device" / "state"
    for name in ("trust", "keys", "slots"):
        (state / name).mkdir(parents=True, exist_ok=True)
    _programs(folder / "device")
    _copy(folder / "trust" / "root.crt.pem", state / "trust" / "anchor.crt.pem")
    for name in ("root", "issuing"):
        _copy(folder / "trust" / f"{name}.crl.pem", state / "trust" / f"{name}.crl.pem")
    for year in years:
        _copy(folder / "lab" / f"device-A-{year}.crt.pem", state / "keys" / f"{year}.crt.pem")
        _copy(folder / "lab" / f"device-A-{year}.pem", state / "keys" / f"{year}.key.pem")
    (state / "slots" / "a.bin").write_bytes(image(RUNNING))
    _write(state / "policy.json", {"signatures": [*signatures], "digests": [*DIGESTS]})
    _write(state / "device.json", _memory(image(RUNNING)))


def _programs(device: Path) -> None:
    if device.resolve() != PROGRAMS:
        for path in PROGRAMS.glob("*.py"):
            _copy(path, device / path.name)


def _memory(running: bytes) -> dict[str, object]:
    reference = {
        "version": [int(part) for part in RUNNING.split(".")],
        "sha3_256": hashlib.sha3_256(running).hexdigest(),
        "crc_32": f"{zlib.crc32(running):08x}",
    }
    return {"clock": CLOCK, "active": "a", "pending": False, "activations": 1, "references": {"a": reference}}


def _copy(source: Path, target: Path) -> None:
    shutil.copyfile(source, target)


def _write(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=1) + "\n")
