"""Whatever a stranger writes: a description or a typed error, and the schemas say the same as the loader."""

import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from checker.description._schema import check, formats, load_schema, registry
from checker.description._yaml import parse
from checker.description.load import load, load_device
from checker.errors import DescriptionError, InputError, Problem

MODEST = settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

VOCABULARY = """
otaudit device update/1 device/1 id version vendor model artifacts file steps sign stage preconditions policy gate basic
waivers key_inventory keys trust images anchors documents true null ~ 1.10 010 2026-10-01 .. / device.yaml
"""
WORDS = st.sampled_from(VOCABULARY.split())
YAML_ISH = st.lists(
    st.one_of(
        WORDS,
        st.sampled_from(
            [
                ": ",
                "\n",
                "\n  ",
                "- ",
                "[",
                "]",
                "{",
                "}",
                ", ",
                "'",
                '"',
                "&a ",
                "*a",
                "!x ",
                "|\n",
                "\t",
                "#",
                "---\n",
            ]
        ),
    ),
    max_size=40,
).map("".join)


@MODEST
@given(
    data=st.one_of(
        st.binary(max_size=300),
        st.text(max_size=300).map(lambda t: t.encode("utf-8", "replace")),
        YAML_ISH.map(str.encode),
    )
)
@example(data=b"\xef\xbb\xbf")
@example(data=b"device: ~\n")
@example(data=b"device: []\n")
@example(data=b"device: {key_inventory: {keys: {}}}\n")
@example(data=b"device: .\n")
@example(data=b"'': ''\n")
def test_arbitrary_bytes_give_a_typed_error(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "update.yaml"
    path.write_bytes(data)
    for read in (load, load_device):
        with contextlib.suppress(InputError):
            read(path)


@MODEST
@given(tail=YAML_ISH)
def test_arbitrary_text_behind_a_right_beginning_gives_a_description_or_a_typed_error(
    tmp_path: Path, tail: str
) -> None:
    (tmp_path / "device.yaml").write_text("otaudit: device/1\nvendor: A\nmodel: B\n" + tail)
    (tmp_path / "update.yaml").write_text("otaudit: update/1\ndevice: device.yaml\nid: x\nversion: 1\n" + tail)
    problems: tuple[Problem, ...] = ()
    try:
        load(tmp_path / "update.yaml")
    except DescriptionError as error:
        problems = error.problems or (Problem("", 0, 0, "", ""),)
    assert all(item.line >= 1 and item.column >= 1 and item.message for item in problems)


# --- The schemas and the loader say the same --------------------------------------------------------------------------

WORDS_AND_VALUES: list[Any] = [
    "x",
    "a b",
    "",
    "yes",
    "SIGN-B1",
    "SIGN-U*",
    "2026-10-01",
    "2026-02-30",
    "2026-10-01T00:00:00Z",
]
WORDS_AND_VALUES += [
    "ab" * 32,
    "https://x",
    "sha256/" + "A" * 43 + "=",
    "1.3.6.1",
    True,
    False,
    None,
    -1,
    0,
    256,
]


def _of(schema: dict[str, Any], root: dict[str, Any], depth: int = 0) -> st.SearchStrategy[Any]:
    """Return data that fits a schema of ours."""
    if "$ref" in schema:
        return _of(*_target(schema["$ref"], root), depth)
    if "if" in schema and depth < 2:
        return _of(schema["then"], root, depth)
    if "properties" in schema:
        return _mapping(schema, root, depth + 1)
    if schema.get("type") == "array":
        return st.lists(_of(schema["items"], root, depth + 1), min_size=schema.get("minItems", 0), max_size=2)
    if schema.get("type") == "object":
        return st.dictionaries(st.sampled_from("abc"), st.sampled_from(["x", 1, True]), max_size=2)
    plain = {key: value for key, value in schema.items() if key not in {"if", "then", "else", "items"}}
    judge = Draft202012Validator(plain, format_checker=formats_of_plain_data())
    candidates = [*schema.get("enum", []), *([schema["const"]] if "const" in schema else []), *WORDS_AND_VALUES]
    return st.sampled_from([item for item in candidates if judge.is_valid(item)])


def _target(ref: str, root: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    base, _, fragment = ref.partition("#")
    top = load_schema(base.split(":")[2]) if base else root
    inner = top
    for part in fragment.strip("/").split("/"):
        inner = inner[part] if part else inner
    return inner, top


def _mapping(schema: dict[str, Any], root: dict[str, Any], depth: int) -> st.SearchStrategy[Any]:
    needed = schema.get("required", [])
    fields = {key: _of(value, root, depth) for key, value in schema["properties"].items() if depth < 4 or key in needed}
    return st.fixed_dictionaries(
        {key: fields[key] for key in needed}, optional={key: fields[key] for key in fields if key not in needed}
    )


def _spoil(data: Any, draw: Callable[[st.SearchStrategy[Any]], Any]) -> Any:
    """Return the data with one value replaced, one key added or one key lost, somewhere."""
    if isinstance(data, dict) and data and draw(st.integers(0, 5)):
        key = draw(st.sampled_from(sorted(data)))
        return {**data, key: _spoil(data[key], draw)}
    if isinstance(data, dict):
        lost = draw(st.sampled_from([*sorted(data), ""]))
        return {key: data[key] for key in data if key != lost} | draw(st.sampled_from([{}, {"unknown": "x"}]))
    if isinstance(data, list) and data:
        return [_spoil(data[0], draw), *data[1:]]
    return draw(st.one_of(st.sampled_from(WORDS_AND_VALUES), st.just([]), st.just({})))


def _as_the_field_reads_it(node: Any, key: str = "") -> Any:
    """A number in a field of text is its characters; the one field that takes a whole number is `size`."""
    if isinstance(node, dict):
        return {name: _as_the_field_reads_it(value, name) for name, value in node.items()}
    if isinstance(node, list):
        return [_as_the_field_reads_it(item, key) for item in node]
    return str(node) if isinstance(node, int) and not isinstance(node, bool) and key != "size" else node


@pytest.mark.parametrize("name", ["device", "update", "key-inventory"])
def test_the_loader_accepts_what_the_schema_accepts_and_nothing_else(name: str) -> None:
    schema = load_schema(name)
    reference = Draft202012Validator(schema, registry=registry(), format_checker=formats_of_plain_data())
    seen = {True: 0, False: 0}

    @settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck), database=None, derandomize=True)
    @given(whole=_of(schema, schema), faults=st.integers(0, 2), data=st.data())
    def compare(whole: Any, faults: int, data: st.DataObject) -> None:
        for _ in range(faults):
            whole = _spoil(whole, data.draw)
        expected = reference.is_valid(_as_the_field_reads_it(whole))
        found = check(parse(json.dumps(whole).encode(), "f.yaml"), name, "f.yaml")
        assert (not found) == expected, found
        seen[expected] += 1

    compare()
    assert min(seen.values()) >= 25, seen  # both answers were met


def formats_of_plain_data() -> Any:
    """Return the library's own opinion of dates for `date`; ours for the other format, which the library lacks."""
    from jsonschema import FormatChecker

    checker = FormatChecker(formats=("date",))
    own = formats().checkers["date-or-time"][0]
    checker.checks("date-or-time")(lambda value: own(_text(value)))
    return checker


def _text(value: object) -> object:
    return parse(json.dumps(value).encode(), "f.yaml") if isinstance(value, str) else value
