"""Faults in plain words, at the right line and column; and the schemas themselves."""

import json
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from checker.description import _schema
from checker.description._schema import SCHEMAS, check, guess, is_date, is_moment, load_schema, registry
from checker.description._yaml import parse

Faults = Callable[..., list[str]]

# --- Places and words -------------------------------------------------------------------------------------------------

# (what is appended to a four-line update, line:column, JSON path, words that must be in the message)
CASES = [
    (
        "artifacts:\n  - {file: a, sizee: 3}\n",
        "6:15",
        "$.artifacts[0]",
        "unknown key 'sizee'; known here: companions, decryption_key",
    ),
    ("artifacts:\n  - {file: a, rolle: x}\n", "6:15", "$.artifacts[0]", "unknown key 'rolle'; did you mean 'role'?"),
    ("artifacts:\n  - {device: A}\n", "6:5", "$.artifacts[0]", "'file' is missing: The file"),
    ("artifacts:\n  - a.swu\n", "6:5", "$.artifacts[0]", "expected a mapping (key: value), found the text 'a.swu'"),
    ("artifacts: {file: a}\n", "5:12", "$.artifacts", "expected a list, found a mapping (key: value)"),
    ("artifacts:\n  - {file: a, role: deliverabel}\n", "6:21", "$.artifacts[0].role", "did you mean 'deliverable'?"),
    (
        "artifacts:\n  - {file: a, plaintext_sha256: 00ff}\n",
        "6:33",
        "$.artifacts[0].plaintext_sha256",
        "expected 64 hexadecimal digits",
    ),
    ("artifact: []\n", "5:1", "$", "unknown key 'artifact'; did you mean 'artifacts'?"),
    ("claims: {sign: enhaced}\n", "5:16", "$.claims.sign", "did you mean 'enhanced'?"),
    ("claims: {sing: basic}\n", "5:10", "$.claims", "unknown key 'sing'; did you mean 'sign'?"),
    ("claims: {sign: none}\n", "5:16", "$.claims.sign", "expected one of basic, upgraded, enhanced, quantum"),
    (
        "logs:\n  - {file: l, external: yes}\n",
        "6:25",
        "$.logs[0].external",
        "expected true or false, found the text 'yes'",
    ),
    ("logs:\n  - {file: l, external: 'true'}\n", "6:25", "$.logs[0].external", "expected true or false"),
    (
        "steps: {sign: {who: true}}\n",
        "5:21",
        "$.steps.sign.who",
        "expected text, found true; if the word itself is meant",
    ),
    ("steps: {sign: {who: }}\n", "5:21", "$.steps.sign.who", "no value is given; expected text, or leave the key out"),
    ("steps: {sign: {who: ''}}\n", "5:21", "$.steps.sign.who", "the text is empty"),
    (
        "steps: {announce: {approval: ~}}\n",
        "5:30",
        "$.steps.announce.approval",
        "no value is given; expected one of automatic",
    ),
    ("steps: {sign: {approval: required}}\n", "5:16", "$.steps.sign", "unknown key 'approval'"),
    ("steps: {sign: {by: hash, read back}}\n", "5:26", "$.steps.sign", "a text with a comma needs quotes"),
    ("steps: {stage: {preconditions: []}}\n", "5:32", "$.steps.stage.preconditions", "the list is empty"),
    (
        "steps: {stage: {preconditions: [{name: power}]}}\n",
        "5:33",
        "$.steps.stage.preconditions[0]",
        "'test' is missing",
    ),
    (
        "steps: {protect: {not_applicable: true}}\n",
        "5:35",
        "$.steps.protect.not_applicable",
        "expected text, found true",
    ),
    (
        "steps: {protect: {not_applicable: yes}}\n",
        "5:35",
        "$.steps.protect.not_applicable",
        "a reason of more than one word",
    ),
    (
        "endpoints:\n  - {url: updates.acme.example}\n",
        "6:11",
        "$.endpoints[0].url",
        "expected an address such as https://",
    ),
    (
        "endpoints:\n  - {url: 'https://x', client_identity: {cert: a}}\n",
        "6:41",
        "$.endpoints[0].client_identity",
        "'key' is missing",
    ),
    ("policy: {gate: gold}\n", "5:16", "$.policy.gate", "expected one of basic"),
    ("policy: {gate: {sign: gold}}\n", "5:23", "$.policy.gate.sign", "expected one of basic"),
    ("policy: {send_endpoint: server}\n", "5:25", "$.policy.send_endpoint", "expected one of device, mutual, either"),
    (
        "documents: [{id: d, file: f, proves: [sign-b1]}]\n",
        "5:39",
        "$.documents[0].proves[0]",
        "a family such as SIGN-U*",
    ),
    ("documents: [{id: d, file: f, proves: ['*']}]\n", "5:39", "$.documents[0].proves[0]", "a family such as SIGN-U*"),
    (
        "documents: [{id: d, file: f, dated: 2026-02-30}]\n",
        "5:37",
        "$.documents[0].dated",
        "expected a date such as 2026-10-01",
    ),
    (
        "documents: [{id: d, file: f, dated: 1 Oct 2026}]\n",
        "5:37",
        "$.documents[0].dated",
        "expected a date such as 2026-10-01",
    ),
    (
        "documents: [{id: d, file: f, party: fourth}]\n",
        "5:37",
        "$.documents[0].party",
        "expected one of first, second, third",
    ),
    ("verifier: {argv: [./v]}\n", "5:11", "$.verifier", "'adapter' is missing"),
    ("verifier: ./v\n", "5:11", "$.verifier", "expected a mapping (key: value), found the text './v'"),
]


@pytest.mark.parametrize(("text", "place", "path", "words"), CASES)
def test_a_fault_is_said_at_its_place_in_plain_words(
    faults: Faults, text: str, place: str, path: str, words: str
) -> None:
    (said,) = faults(text)
    assert said.startswith(f"update.yaml:{place}: {path}: ")
    assert words in said


def test_all_faults_of_all_files_are_said_at_once_in_order(faults: Faults) -> None:
    said = faults(
        "claims: {sing: basic}\nlogs: x\n",
        device_more="key_inventory: keys.yaml\nmodle: x\n",
        keys="otaudit: x\nkeys: 1\n",
    )
    assert [line.split(": ")[0] for line in said] == [
        "device.yaml:5:1",
        "keys.yaml:1:10",
        "keys.yaml:2:7",
        "update.yaml:5:10",
        "update.yaml:6:7",
    ]


def test_every_missing_key_is_said() -> None:
    said = check(parse(b"otaudit: update/1\n", "u.yaml"), "update", "u.yaml")
    assert [problem.message.split(" ")[0] for problem in said] == ["'device'", "'id'", "'version'"]
    assert {(problem.line, problem.column) for problem in said} == {(1, 1)}


def test_a_device_given_as_update_is_told_apart() -> None:
    said = check(parse(b"otaudit: device/1\nvendor: A\nmodel: B\n", "d.yaml"), "update", "d.yaml")
    assert "this file is a device description, where an update description is needed" in " ".join(
        p.message for p in said
    )


def test_a_newer_version_of_the_format_is_told_apart() -> None:
    (said,) = check(parse(b"otaudit: device/2\nvendor: A\nmodel: B\n", "d.yaml"), "device", "d.yaml")
    assert "version 2 of this format is newer than this otaudit" in said.message


@pytest.mark.parametrize("text", ["[]", "text", "~", "1"])
def test_a_file_that_is_no_mapping_is_refused(text: str) -> None:
    (said,) = check(parse(text.encode(), "u.yaml"), "update", "u.yaml")
    assert "expected a mapping (key: value)" in said.message


def test_thousands_of_faults_are_cut_and_the_cut_is_said() -> None:
    text = b"otaudit: device/1\nvendor: A\nmodel: B\n" + b"".join(b"x%d: 1\n" % n for n in range(5_000))
    said = check(parse(text, "d.yaml"), "device", "d.yaml")
    assert len(said) == _schema.MAX_PROBLEMS + 1
    assert said[-1].message == "further problems follow; mend these first"


def test_a_long_value_is_cut_in_the_message() -> None:
    text = b"otaudit: update/1\ndevice: d\nid: x\nversion: 1\nclaims: {sign: " + b"x" * 100_000 + b"}\n"
    (said,) = check(parse(text, "u.yaml"), "update", "u.yaml")
    assert len(str(said)) < 300


@pytest.mark.parametrize(
    ("word", "hint"),
    [("sing", "; did you mean 'sign'?"), ("SIGN", "; did you mean 'sign'?"), ("zzz", ""), ("s" * 65, "")],
)
def test_a_guess_is_made_only_where_a_word_is_near(word: str, hint: str) -> None:
    assert guess(word, ["sign", "send"]) == hint


@pytest.mark.parametrize(
    ("text", "date", "moment"),
    [
        ("2026-10-01", True, True),
        ("2024-02-29", True, True),
        ("2023-02-29", False, False),
        ("2026-10-01T12:30:00Z", False, True),
        ("2026-10-01T24:30:00Z", False, False),
        ("2026-10-01T12:30:00", False, False),
        ("2026-10-01T12:30:00+02:00", False, False),
        ("20261001", False, False),
        ("2026-W01-1", False, False),
        ("2026-1-01", False, False),
        ("٢٠٢٦-10-01", False, False),
    ],
)
def test_a_date_exists_and_is_written_in_one_way(text: str, date: bool, moment: bool) -> None:  # noqa: FBT001
    assert (is_date(text), is_moment(text)) == (date, moment)


def test_a_pattern_does_not_overlook_a_last_line_break(faults: Faults) -> None:
    (said,) = faults('artifacts:\n  - {file: a, id: "x\\n"}\n')
    assert "expected a short name on one line" in said


# --- The schemas ------------------------------------------------------------------------------------------------------


def _objects(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        yield node
    for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from _objects(child)


@pytest.mark.parametrize("name", SCHEMAS)
def test_the_schema_is_valid_2020_12_with_its_own_id(name: str) -> None:
    schema = load_schema(name)
    Draft202012Validator.check_schema(schema)
    assert (schema["$schema"], schema["$id"]) == (
        "https://json-schema.org/draft/2020-12/schema",
        f"urn:otaudit:{name}:1",
    )


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_property_says_what_it_is(name: str) -> None:
    fields = [
        (key, field)
        for item in _objects(load_schema(name))
        for key, field in (item.get("properties", {}).items() if item.get("type") == "object" else ())
    ]
    assert fields
    assert [key for key, field in fields if len(field.get("description", "")) < 5] == []


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_mapping_is_closed_and_every_pattern_says_what_it_expects(name: str) -> None:
    for item in _keyword_objects(load_schema(name)):
        assert "properties" not in item or item["additionalProperties"] is False
        assert ("pattern" in item or "format" in item) == ("x-expected" in item)


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_keyword_of_the_schemas_has_words_for_its_fault(name: str) -> None:
    silent = {
        "$schema",
        "$id",
        "$defs",
        "$ref",
        "title",
        "description",
        "properties",
        "items",
        "if",
        "then",
        "else",
        "x-expected",
    }
    used = {key for item in _keyword_objects(load_schema(name)) for key in item}
    assert used - silent <= set(_schema._SAYINGS)


def _keyword_objects(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the schema and its subschemas, but not the maps from names to subschemas."""
    yield schema
    for key in ("properties", "$defs"):
        for child in schema.get(key, {}).values():
            yield from _keyword_objects(child)
    for key in ("items", "if", "then", "else", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            yield from _keyword_objects(schema[key])


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_reference_resolves_without_fetching(name: str) -> None:
    known = registry()
    resolver = known.resolver(base_uri=f"urn:otaudit:{name}:1")
    for item in _objects(load_schema(name)):
        if isinstance(item.get("$ref"), str):
            assert resolver.lookup(item["$ref"]).contents


@pytest.mark.parametrize("name", SCHEMAS)
def test_no_pattern_needs_more_than_linear_time(name: str) -> None:
    hostile = [
        "a" * 200_000 + "\n",
        "A-" * 100_000 + "!",
        "1." * 100_000,
        "a " * 100_000,
        "https://" + "a" * 200_000 + " ",
        " " * 200_000,
    ]
    patterns = {item["pattern"] for item in _objects(load_schema(name)) if isinstance(item.get("pattern"), str)}
    started = time.monotonic()
    for pattern in patterns:
        for text in hostile:
            re.search(pattern, text)
    assert time.monotonic() - started < 2


def test_the_words_of_the_steps_are_those_of_the_evidence() -> None:
    evidence = json.loads(
        (Path(__file__).resolve().parents[2] / "schemas/evidence/step_description.schema.json").read_text()
    )
    computed = {"step", "described", "missing", "reason"}
    words = {
        key
        for name, item in load_schema("device")["$defs"].items()
        if name.endswith("_step")
        for key in item["properties"]
    }
    assert words == set(evidence["properties"]) - computed


def test_attestation_kinds_are_those_of_the_evidence() -> None:
    evidence = json.loads(
        (Path(__file__).resolve().parents[2] / "schemas/evidence/attestation.schema.json").read_text()
    )
    kinds = load_schema("device")["$defs"]["attestation"]["properties"]["kind"]["enum"]
    assert kinds == ["auto", *evidence["properties"]["kind"]["enum"]]
