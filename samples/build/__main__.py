"""Makes the artifacts of every sample again: `make samples`, or `python -m samples.build FOLDER` somewhere else."""

from __future__ import annotations

import sys
from pathlib import Path

from samples.build import camera, gateway, sensor

SAMPLES = Path(__file__).resolve().parent.parent


def main(arguments: list[str]) -> None:
    """Build below the given folder, or in place."""
    top = Path(arguments[0]).resolve() if arguments else SAMPLES
    for sample in (sensor, gateway, camera):
        name = sample.__name__.rpartition(".")[2]
        sample.build(top / name)
        print(f"made {name}")


if __name__ == "__main__":
    main(sys.argv[1:])
