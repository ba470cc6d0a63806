from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from checker.model.evidence import Evidence, EvidenceSet, Origin
from checker.model.requirement import RuleSet
from checker.model.subject import Subject, SubjectKind
from checker.model.terms import Method, Reason
from checker.rules.load import load

SMALL = Path(__file__).parent / "data" / "small"
Make = Callable[..., Evidence]


def make(kind: str, *, method: str = "tested", unavailable: str = "", time: str = "", **values: Any) -> Evidence:
    reason = Reason(unavailable) if unavailable else None
    return Evidence(
        kind=kind,
        subject=Subject(kind=SubjectKind.UPDATE, id=f"{kind}-{values.get('artifact', '')}{values.get('test', '')}"),
        probe="test",
        method=Method(method),
        values={key.replace("__", "."): value for key, value in values.items()},
        origin=Origin(time=time),
        unavailable=reason,
        explanation="it is not known" if reason else "",
    )


@pytest.fixture(scope="session")
def record() -> Make:
    return make


@pytest.fixture(scope="session")
def evidence() -> Callable[..., EvidenceSet]:
    return lambda *records: EvidenceSet.complete((), records)


@pytest.fixture(scope="session")
def small() -> RuleSet:
    return load(SMALL)


@pytest.fixture
def edited(tmp_path: Path) -> Callable[..., Path]:
    """Return a copy of the small rule set with one text replaced in one file."""

    def edit(name: str, old: str, new: str) -> Path:
        folder = tmp_path / "edited"
        if not folder.exists():
            shutil.copytree(SMALL, folder)
        text = (folder / name).read_text("utf-8")
        assert old in text
        (folder / name).write_text(text.replace(old, new, 1), "utf-8")
        return folder

    return edit
