"""Every YAML example of docs/descriptions.md loads, and the examples together use every field of the schemas."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from checker.description.load import load, load_device

REPOSITORY = Path(__file__).resolve().parents[2]
TEXT = (REPOSITORY / "docs" / "descriptions.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```yaml\n# (in )?([a-z]+\.yaml)\n(.*?)```", TEXT, re.DOTALL)
DEVICE = "otaudit: device/1\nvendor: Acme\nmodel: GW-200\n"
UPDATE = "otaudit: update/1\ndevice: device.yaml\nid: gw200-2.4.1\nversion: 2.4.1\n"
FULL_DEVICE = next(body for part, name, body in BLOCKS if name == "device.yaml" and "key_inventory: keys" in body)
KEYS = next(body for part, name, body in BLOCKS if name == "keys.yaml")


def test_every_yaml_block_says_what_it_is() -> None:
    assert len(BLOCKS) == TEXT.count("```yaml") > 8


@pytest.mark.parametrize(("part", "name", "body"), BLOCKS)
def test_the_example_loads(tmp_path: Path, part: str, name: str, body: str) -> None:
    whole = {"device.yaml": DEVICE, "update.yaml": UPDATE}.get(name, "") + body if part else body
    (tmp_path / "device.yaml").write_text(FULL_DEVICE)
    (tmp_path / "keys.yaml").write_text(KEYS)
    (tmp_path / name).write_text(whole)
    if name == "update.yaml":
        assert load(tmp_path / name).version
    else:
        assert load_device(tmp_path / "device.yaml").vendor == "Acme"


def test_the_error_example_is_what_the_loader_says(tmp_path: Path) -> None:
    shown = re.findall(r"```text\n(.*?)```", TEXT, re.DOTALL)[0]
    (tmp_path / "device.yaml").write_text(DEVICE)
    (tmp_path / "update.yaml").write_text(
        UPDATE + "artifacts:\n  - {file: a.swu, fille: b.swu}\n\n\nclaims: {sign: enhaced}\n"
    )
    with pytest.raises(Exception, match="enhaced") as caught:
        load(tmp_path / "update.yaml")
    assert str(caught.value) == shown.strip()


@pytest.mark.parametrize("name", ["device", "update", "key-inventory"])
def test_every_field_of_the_schema_stands_in_the_documentation(name: str) -> None:
    schema = json.loads((REPOSITORY / "schemas" / f"{name}.schema.json").read_text(encoding="utf-8"))
    missing = [key for key in _properties(schema) if not re.search(rf"\b{re.escape(key)}\b", TEXT)]
    assert missing == []


def _properties(node: Any) -> list[str]:
    if isinstance(node, list):
        return [key for item in node for key in _properties(item)]
    if not isinstance(node, dict):
        return []
    own = list(node.get("properties", {})) if isinstance(node.get("properties"), dict) else []
    return own + [key for value in node.values() for key in _properties(value)]
