"""A 512 MiB artifact of each format: `otaudit inspect` beside the format's own tool. Aim: a ratio of at most 1."""

from __future__ import annotations

import importlib
import os
import shutil
import tempfile
from pathlib import Path

from benchmarks._measure import BIN, interleaved, table

FOLDER = Path(__file__).resolve().parent / "formats"


def main() -> None:
    """Print a table per format; OTAUDIT_BENCH_FORMATS=a,b names some of them."""
    wanted = os.environ.get("OTAUDIT_BENCH_FORMATS", "")
    for name in wanted.split(",") if wanted else sorted(path.stem for path in FOLDER.glob("[a-z]*.py")):
        measure(name)


def measure(name: str) -> None:
    """Make the artifact of one format and print both times and the most memory held."""
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as folder:
        case = importlib.import_module(f"benchmarks.formats.{name}").make(Path(folder))
        if shutil.which(str(case.command[0])) is None:
            print(f"{name}: {case.command[0]} is not installed")
            return
        costs = interleaved({case.peer: case.command, f"otaudit ({name})": [BIN / "otaudit", *case.ours]}, rounds=5)
        print(table(costs, case.peer))
