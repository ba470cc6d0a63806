"""Accepts the reports of the samples as they are now: `make golden`. Read the diff before you commit it."""

from __future__ import annotations

from pathlib import Path

from checker.discovery import discover
from checker.pipeline import Options, assess
from checker.report.contract import Renderer

SAMPLES = Path(__file__).resolve().parent.parent
AS_OF = "2026-11-01T00:00:00Z"


def reports(sample: Path) -> dict[str, bytes]:
    """Return every report of one sample, by file name."""
    assessment = assess(sample / "update.yaml", Options(as_of=AS_OF))
    found = discover("checker.report", "RENDERER", Renderer)
    return {f"report{renderer.suffix}": renderer.render(assessment) for renderer in found}


def samples() -> list[Path]:
    """Return the folders of the worked examples."""
    return sorted(path.parent for path in SAMPLES.glob("*/update.yaml"))


def main() -> None:
    """Write `expected/` of every sample."""
    for sample in samples():
        (sample / "expected").mkdir(exist_ok=True)
        for name, data in reports(sample).items():
            (sample / "expected" / name).write_bytes(data)


if __name__ == "__main__":
    main()
