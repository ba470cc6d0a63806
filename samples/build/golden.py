"""Accepts the reports of the samples as they are now: `make golden`. Read the diff before you commit it.

A sample that ships its device's programs (`device/`) has reports of the active tests too, in `expected/active/`.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from checker.discovery import discover
from checker.model.assessment import Assessment
from checker.pipeline import Options, assess
from checker.report.contract import Renderer

SAMPLES = Path(__file__).resolve().parent.parent
AS_OF = "2026-11-01T00:00:00Z"


@cache
def assessed(name: str, *, active: bool = False) -> Assessment:
    """Return the assessment of a shipped sample. The active tests take some ten seconds."""
    return assess(SAMPLES / name / "update.yaml", Options(as_of=AS_OF, active=active))


def reports(name: str, *, active: bool = False) -> dict[str, bytes]:
    """Return every report of one sample, by file name."""
    found = discover("checker.report", "RENDERER", Renderer)
    return {f"report{item.suffix}": item.render(assessed(name, active=active)) for item in found}


def runs() -> dict[Path, tuple[str, bool]]:
    """Return every folder of expected reports, with the sample and whether its verifiers are run."""
    passive = {SAMPLES / name / "expected": (name, False) for name in samples()}
    tried = {SAMPLES / name / "expected" / "active": (name, True) for name in samples() if _has_programs(name)}
    return passive | tried


def _has_programs(name: str) -> bool:
    return (SAMPLES / name / "device").is_dir()


def samples() -> list[str]:
    """Return the names of the worked examples."""
    return sorted(path.parent.name for path in SAMPLES.glob("*/update.yaml"))


def main() -> None:
    """Write `expected/` of every sample."""
    for folder, (name, active) in runs().items():
        folder.mkdir(parents=True, exist_ok=True)
        for file, data in reports(name, active=active).items():
            (folder / file).write_bytes(data)


if __name__ == "__main__":
    main()
