"""The pump controller's near miss: classical signers over SHA3-256, and a classical recipient beside the other."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from samples.build.quantum import Variant, make

CLASSICAL: Final = {"A-2025": "sensor-A", "B-2025": "sensor-B", "A-2026": "gateway-A", "B-2026": "gateway-B"}


def build(folder: Path) -> None:
    """Write `artifacts/`, `trust/`, `lab/` and `logs/` below `folder`."""
    make(folder, Variant(signer="gateway-signer", classical_recipients=CLASSICAL))
