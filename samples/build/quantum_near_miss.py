"""The pump controller's near miss: a classical signer, a pump that accepts it, and a classical recipient as well."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from samples.build.quantum import Variant, make

CLASSICAL: Final = {"A-2025": "sensor-A", "B-2025": "sensor-B", "A-2026": "gateway-A", "B-2026": "gateway-B"}
ACCEPTED: Final = ("ml-dsa-65", "ecdsa-sha256", "ecdsa-sha3-256", "ecdsa-sha3-512")


def build(folder: Path) -> None:
    """Write `artifacts/`, `trust/`, `lab/`, `logs/`, `attestations/` and `device/` below `folder`."""
    make(folder, Variant(signer="gateway-signer", accepted=ACCEPTED, classical_recipients=CLASSICAL))
