"""The update log of gateway A."""

from __future__ import annotations

from pathlib import Path


def write_logs(folder: Path) -> None:
    """Write `logs/`."""
