"""What the benchmark of a format is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

SIZE: Final = 512 * 1024 * 1024  # bytes of the payload


@dataclass(frozen=True)
class Case:
    """One measurement: the same check by otaudit and by the format's own tool, over one file."""

    ours: Sequence[str | Path]  # arguments of otaudit: "inspect", the file, "--key" …
    peer: str  # for example "mender-artifact validate"
    command: Sequence[str | Path]  # of the peer


def payload(path: Path, size: int = SIZE) -> Path:
    """Write a payload that neither compresses to nothing nor repeats within a block of 1 MiB; return its path."""
    block = bytearray(bytes(range(256)) * 4096)
    with path.open("wb") as stream:
        for number in range(size // len(block)):
            block[:8] = number.to_bytes(8, "big")
            stream.write(block)
    return path
