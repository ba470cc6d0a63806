"""report.json: valid against its published schema, canonical, deterministic, complete, and silent about the machine."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace

import jsonschema
import pytest
import rfc8785
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from checker import resources
from checker.model.assessment import Assessment
from checker.model.terms import Grade, Reading, Step
from checker.report.json import RENDERER, document

Make = Callable[[str], Assessment]


def validator() -> jsonschema.Draft202012Validator:
    schema = json.loads(resources.read("schemas", "report.schema.json"))
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def objects(schema: object) -> Iterator[dict[str, object]]:
    if isinstance(schema, dict):
        if "properties" in schema:
            yield schema
        for item in schema.values():
            yield from objects(item)
    elif isinstance(schema, list):
        for item in schema:
            yield from objects(item)


def scalars(value: object) -> Iterator[object]:
    if isinstance(value, dict):
        for item in value.values():
            yield from scalars(item)
    elif isinstance(value, list):
        for item in value:
            yield from scalars(item)
    else:
        yield value


def test_every_report_is_valid_against_the_published_schema(any_assessment: Assessment) -> None:
    validator().validate(json.loads(RENDERER.render(any_assessment)))


@given(data=st.data())
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
def test_arbitrary_reports_are_valid_canonical_and_deterministic(
    plans: st.SearchStrategy[Assessment], data: st.DataObject
) -> None:
    assessment = data.draw(plans)
    first = RENDERER.render(assessment)
    validator().validate(json.loads(first))
    assert rfc8785.dumps(json.loads(first)) == first
    assert RENDERER.render(assessment) == first


def test_the_schema_allows_no_optional_and_no_further_field() -> None:
    schema = json.loads(resources.read("schemas", "report.schema.json"))
    for item in objects(schema):
        properties = item["properties"]
        assert isinstance(properties, dict)
        assert item["required"] == list(properties)
        assert item["additionalProperties"] is False


def test_a_missing_field_is_refused_by_the_schema(make: Make) -> None:
    report = json.loads(RENDERER.render(make("normal")))
    del report["rows"][0]["contradiction"]
    with pytest.raises(jsonschema.ValidationError, match="contradiction"):
        validator().validate(report)


def test_no_number_is_a_fraction_and_large_integers_are_text(make: Make) -> None:
    report = json.loads(RENDERER.render(make("normal")))
    assert not [item for item in scalars(report) if isinstance(item, float)]
    assert str(2**60) in set(map(str, scalars(report["evidence"])))
    assert 2**60 not in list(scalars(report["evidence"]))


def test_empty_lists_are_present(make: Make) -> None:
    bare = replace(make("empty"), findings=(), observations=(), artifacts=(), next_fixes=())
    report = document(bare)
    assert [report[name] for name in ("findings", "observations", "artifacts")] == [[], [], []]


def test_all_grades_and_readings_of_every_row_and_finding_are_there(make: Make) -> None:
    assessment = make("normal")
    report = json.loads(RENDERER.render(assessment))
    assert [row["step"] for row in report["rows"]] == list(Step)
    assert len(report["findings"]) == len(assessment.findings)
    for row, source in zip(report["rows"], assessment.rows, strict=True):
        for grade in Grade:
            for reading in Reading:
                assert row["tiers"][grade][reading] == source.tier(grade, reading)


def test_the_section_of_a_reference_from_memory_is_withheld(make: Make) -> None:
    report = json.loads(RENDERER.render(make("normal")))
    references = report["findings"][0]["requirement"]["references"]
    assert {item["status"]: item["section"] for item in references} == {"S": "5.6.1", "V": "4.3.4", "M": ""}
    assert "from memory" not in RENDERER.render(make("normal")).decode()


@pytest.mark.parametrize(("name", "code", "word"), [("full", 0, "gate met"), ("normal", 1, "gate not met"),
                                                    ("claims", 3, "undecided")])  # fmt: skip
def test_the_exit_status_is_said_in_a_word_too(make: Make, name: str, code: int, word: str) -> None:
    assert json.loads(RENDERER.render(make(name)))["result"]["exit_status"] == {"code": code, "word": word}


def test_the_counts_add_up_to_what_is_required(any_assessment: Assessment) -> None:
    counts = json.loads(RENDERER.render(any_assessment))["result"]["counts"]
    advisory = counts.pop("advisory")
    assert counts.pop("required") == sum(counts.values())
    assert advisory.pop("asked") == sum(advisory.values())


def test_a_trait_that_the_format_cannot_express_is_not_the_same_as_an_empty_one(make: Make) -> None:
    outer, inner = json.loads(RENDERER.render(make("normal")))["artifacts"]
    assert outer["version"]["sequence"] == {"expressible": False, "value": None}
    assert outer["images"][0]["version"]["sequence"] == {"expressible": True, "value": None}
    assert inner["hardware"] == {"expressible": False, "values": []}
