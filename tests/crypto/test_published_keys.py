"""Published keys that no file of the corpus shows: their public halves lie in `published`, from the sources named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from checker import resources
from checker.crypto.keys import read_public_key

FILES = sorted((Path(__file__).parent / "published").glob("*.pub.pem"))


@pytest.fixture(scope="module")
def listed() -> dict[str, Any]:
    raw = yaml.safe_load(resources.read("rules", "ntia-2017", "published-keys.yaml"))["keys"]
    return {item["spki_sha256"]: item for item in raw}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_the_list_has_the_key_as_it_is(path: Path, listed: dict[str, Any]) -> None:
    key = read_public_key(path.read_bytes(), path.name)
    entry = listed[key.spki_sha256]
    assert (entry["algorithm"], entry["bits"]) == (key.facts.algorithm, key.facts.bits)
    assert entry["title"] in key.facts.published


def test_aosps_testkey_has_exponent_three() -> None:
    key = next(read_public_key(path.read_bytes()) for path in FILES if path.name == "aosp-testkey.pub.pem")
    assert key.facts.exponent == 3
