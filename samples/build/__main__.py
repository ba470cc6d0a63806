"""Makes the artifacts of the samples again: all of them, or those that are named.

`make samples`, `python -m samples.build NAME…`; `--to FOLDER` builds somewhere else. Names are `gateway` and so on for
the worked examples, `formats/mender` and so on for the samples of a format.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

BUILD = Path(__file__).resolve().parent
SAMPLES = BUILD.parent
EXAMPLES = ("sensor", "gateway", "camera", "quantum", "quantum-near-miss")


def names() -> tuple[str, ...]:
    """Return everything that can be made."""
    formats = sorted(path.stem for path in (BUILD / "formats").glob("[a-z]*.py"))
    return (*EXAMPLES, *(f"formats/{name}" for name in formats))


def module(name: str) -> str:
    """Return the module below this package that makes a sample."""
    return name.replace("/", ".").replace("-", "_")


def main(arguments: list[str]) -> None:
    """Build what is named, or everything, in place or below another folder."""
    top = SAMPLES
    if "--to" in arguments:
        place = arguments.index("--to")
        top = Path(arguments[place + 1]).resolve()
        del arguments[place : place + 2]
    for name in arguments or names():
        folder = top / name
        folder.mkdir(parents=True, exist_ok=True)
        importlib.import_module(f"samples.build.{module(name)}").build(folder)
        print(f"made {name}")


if __name__ == "__main__":
    main(sys.argv[1:])
