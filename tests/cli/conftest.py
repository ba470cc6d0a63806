from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from checker.__main__ import run

SAMPLES = Path(__file__).resolve().parents[2] / "samples"
AS_OF = "2026-11-01"


@dataclass(frozen=True)
class Done:
    status: int
    out: str
    err: str


Call = Callable[..., Done]


@pytest.fixture
def otaudit(capfd: pytest.CaptureFixture[str]) -> Call:
    def call(*arguments: str | Path) -> Done:
        status = run([str(argument) for argument in arguments])
        captured = capfd.readouterr()
        return Done(status, captured.out, captured.err)

    return call


@pytest.fixture
def gateway(tmp_path: Path) -> Path:
    return Path(shutil.copytree(SAMPLES / "gateway", tmp_path / "gateway"))


@pytest.fixture
def camera(tmp_path: Path) -> Path:
    return Path(shutil.copytree(SAMPLES / "camera", tmp_path / "camera"))
