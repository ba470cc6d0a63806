"""The parsed copies of the rule set's tables: they say what the tables say, and never stand in for another text."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from checker import resources
from checker.crypto import _tables
from docs.build.__main__ import COPIES, copies

Fake = dict[tuple[str, ...], bytes | None]
TABLE = ("rules", "ntia-2017", "algorithms.yaml")
COPY = ("rules", "ntia-2017", "parsed", "algorithms.json")
MD5 = b"bits: 128\n    collision_bits: 0\n"  # of MD5, whose collisions cost nothing


def read(monkeypatch: pytest.MonkeyPatch, changed: Fake, name: str = "algorithms") -> Any:
    """Read a table, past the cache, in an installation whose files are others, or missing (None)."""
    real = resources.read

    def fake(*place: str) -> bytes:
        data = changed[place] if place in changed else real(*place)
        if data is None:
            raise resources.MissingDataError("the data file is not installed")
        return data

    monkeypatch.setattr(resources, "read", fake)
    return _tables.read.__wrapped__(name)


def as_text(value: Any) -> Any:
    """Return data with its dates as text, as a copy has them and as every reader takes them."""
    if isinstance(value, dict):
        return {key: as_text(item) for key, item in value.items()}
    if isinstance(value, list):
        return [as_text(item) for item in value]
    return value if value is None or isinstance(value, str | int | float) else str(value)


@pytest.mark.parametrize("name", _tables.COPIED)
def test_a_copy_is_up_to_date(name: str) -> None:
    assert (COPIES / f"{name}.json").read_text() == copies()[f"{name}.json"], "run `make docs`"


def test_there_is_no_copy_of_anything_else() -> None:
    assert {path.name for path in COPIES.iterdir()} == set(copies())


@pytest.mark.parametrize("name", _tables.COPIED)
def test_a_copy_says_what_its_table_says(name: str) -> None:
    text = resources.read("rules", _tables.RULE_SET, f"{name}.yaml")
    assert _tables.read.__wrapped__(name) == as_text(_tables.parsed(text))


def test_a_table_that_was_edited_is_read_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    text = resources.read(*TABLE)
    assert text.count(MD5) == 1
    edited = text.replace(MD5, MD5.replace(b"collision_bits: 0", b"collision_bits: 7"))
    md5 = next(item for item in read(monkeypatch, {TABLE: edited})["algorithms"] if item["id"] == "md5")
    assert md5["collision_bits"] == 7


def test_a_copy_counts_for_its_own_text(monkeypatch: pytest.MonkeyPatch) -> None:
    other = resources.read(*COPY).replace(b'"collision_bits": 0', b'"collision_bits": 7', 1)
    md5 = next(item for item in read(monkeypatch, {COPY: other})["algorithms"] if item["id"] == "md5")
    assert md5["collision_bits"] == 7  # it is the copy that was read, so the other tests here are about something


@pytest.mark.parametrize("copy", [None, b"", b"{"], ids=["missing", "empty", "cut"])
def test_without_a_whole_copy_the_table_is_read_itself(monkeypatch: pytest.MonkeyPatch, copy: bytes | None) -> None:
    expected = _tables.parsed(resources.read(*TABLE))
    assert read(monkeypatch, {COPY: copy}) == expected


def test_a_missing_table_is_told_even_where_its_copy_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(resources.MissingDataError):
        read(monkeypatch, {TABLE: None})


def test_yaml_is_not_imported_where_the_copies_fit() -> None:
    script = (
        "import sys; from checker.crypto.algorithms import table; from checker.crypto.keys import published; "
        "assert table(); published('00'); sys.exit('yaml' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
