from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from checker.model.evidence import Evidence
from checker.model.terms import Method, Reason, Verdict
from checker.rules._checks import MAX_SHOWN, Outcome, Scope, conjunction, disjunction, evaluate
from checker.rules._conditions import Inputs, Setting

Make = Callable[..., Evidence]
NOW = "2026-11-01T00:00:00Z"
GOOD = {"verified": True}


def ask(check: dict[str, Any], *records: Evidence, needed: str = "tested", days: int | None = None) -> Outcome:
    found: dict[str, list[Evidence]] = {}
    for record in records:
        found.setdefault(record.kind, []).append(record)
    setting = Setting(tables={}, inputs=Inputs(as_of=NOW))
    return evaluate(check, Scope(records=found, setting=setting, needed=Method(needed), max_age_days=days))


def said(outcome: Outcome) -> tuple[str, str | None]:
    return str(outcome.verdict), None if outcome.reason is None else str(outcome.reason)


EVERY = {"every": "signature", "where": {"layer": "outer"}, "that": GOOD}
SOME = {"some": "signature", "where": {"layer": "outer"}, "that": GOOD}
NONE = {"none": "signature", "where": {"layer": "outer"}, "that": {"verified": False}}
O: dict[str, Any] = {"layer": "outer"}  # noqa: E741 - the outer layer
I: dict[str, Any] = {"layer": "inner"}  # noqa: E741 - the inner layer, beside O for the outer


@pytest.mark.parametrize(
    ("values", "every", "some", "none"),
    [
        ([], ("unknown", "missing_record"), ("unknown", "missing_record"), ("unknown", "missing_record")),
        ([I | GOOD], ("unknown", "missing_record"), ("fail", "contradicted"), ("unknown", "missing_record")),
        ([O | GOOD], ("pass", None), ("pass", None), ("pass", None)),
        ([O | GOOD, I | {"verified": False}], ("pass", None), ("pass", None), ("pass", None)),
        ([O | {"verified": False}], ("fail", "contradicted"), ("fail", "contradicted"), ("fail", "contradicted")),
        ([O | GOOD, O | {"verified": False}], ("fail", "contradicted"), ("pass", None), ("fail", "contradicted")),
        ([O | GOOD, O], ("unknown", "missing_field"), ("pass", None), ("unknown", "missing_field")),
        ([O], ("unknown", "missing_field"), ("unknown", "missing_field"), ("unknown", "missing_field")),
        ([GOOD], ("unknown", "missing_record"), ("unknown", "missing_field"), ("unknown", "missing_record")),
        ([{"verified": False}], ("unknown", "missing_field"), ("fail", "contradicted"), ("unknown", "missing_field")),
    ],
)
def test_quantifiers_answer_with_three_values(
    record: Make, values: list[dict[str, Any]], every: Any, some: Any, none: Any
) -> None:
    records = [record("signature", **item) for item in values]
    assert said(ask(EVERY, *records)) == every
    assert said(ask(SOME, *records)) == some
    assert said(ask(NONE, *records)) == none


@pytest.mark.parametrize("check", [EVERY, SOME, NONE])
def test_a_weak_record_never_makes_a_check_pass_but_may_make_it_fail(record: Make, check: dict[str, Any]) -> None:
    weak = record("signature", method="examined", layer="outer", verified=True)
    assert said(ask(check, weak)) == ("unknown", "evidence_too_weak")
    assert ask(check, weak, needed="examined").verdict is Verdict.PASS
    bad = record("signature", method="declared", layer="outer", verified=False)
    assert ask(check, bad).verdict is Verdict.FAIL


@pytest.mark.parametrize("check", [EVERY, SOME, NONE])
def test_an_unavailable_record_never_makes_a_check_pass(record: Make, check: dict[str, Any]) -> None:
    gone = record("signature", unavailable="no_key", layer="outer", verified=True)
    assert said(ask(check, gone, needed="declared")) == ("unknown", "no_key")
    elsewhere = record("signature", unavailable="no_key", layer="inner")
    assert ask(check, record("signature", layer="outer", verified=True), elsewhere).verdict is Verdict.PASS


def test_a_lost_record_keeps_some_from_failing(record: Make) -> None:
    bad = record("signature", layer="outer", verified=False)
    assert ask(SOME, bad).verdict is Verdict.FAIL
    assert said(ask(SOME, bad, record("signature", unavailable="missing_record"))) == ("unknown", "missing_record")


@pytest.mark.parametrize(
    ("form", "good", "bad", "expected"),
    [
        ("every", 2, 0, ("pass", None)),
        ("every", 1, 0, ("unknown", "too_few")),
        ("every", 2, 1, ("fail", "contradicted")),
        ("some", 2, 5, ("pass", None)),
        ("some", 1, 5, ("fail", "contradicted")),
    ],
)
def test_at_least_counts(record: Make, form: str, good: int, bad: int, expected: Any) -> None:
    records = [record("signature", verified=True)] * good + [record("signature", verified=False)] * bad
    assert said(ask({form: "signature", "that": GOOD, "at_least": 2}, *records)) == expected


def test_some_stays_open_while_enough_records_may_still_match(record: Make) -> None:
    records = [record("signature", verified=True), record("signature")]
    assert ask({"some": "signature", "that": GOOD, "at_least": 2}, *records).verdict is Verdict.UNKNOWN
    assert ask({"some": "signature", "that": GOOD, "at_least": 3}, *records).verdict is Verdict.FAIL


@pytest.mark.parametrize(
    ("time", "expected"),
    [
        ("2026-10-02T00:00:00Z", ("pass", None)),
        ("2026-10-01T23:59:59Z", ("unknown", "stale")),
        ("2026-11-01T00:00:01Z", ("unknown", "stale")),
        ("", ("unknown", "stale")),
    ],
)
def test_a_record_older_than_allowed_is_stale(record: Make, time: str, expected: Any) -> None:
    one = record("signature", time=time, layer="outer", verified=True)
    assert said(ask(EVERY, one, days=30)) == expected


def test_all_and_any_join_checks(record: Make) -> None:
    yes = record("signature", layer="outer", verified=True)
    no = record("coverage", complete=False)
    open_ = record("digest")
    passes, fails = {"some": "signature", "that": GOOD}, {"every": "coverage", "that": {"complete": True}}
    unknown = {"every": "digest", "that": {"matches": True}}
    for check, verdict in (
        ({"all": [passes, passes]}, Verdict.PASS),
        ({"all": [passes, unknown]}, Verdict.UNKNOWN),
        ({"all": [unknown, fails]}, Verdict.FAIL),
        ({"any": [fails, passes, unknown]}, Verdict.PASS),
        ({"any": [fails, unknown]}, Verdict.UNKNOWN),
        ({"any": [fails, fails]}, Verdict.FAIL),
    ):
        assert ask(check, yes, no, open_).verdict is verdict


def test_nothing_to_join_is_unknown() -> None:
    assert conjunction([]).verdict is Verdict.UNKNOWN
    assert disjunction([]).verdict is Verdict.UNKNOWN


def test_a_pass_rests_on_its_weakest_record_and_on_the_best_of_several_ways(record: Make) -> None:
    tested = record("signature", verified=True)
    told = record("coverage", method="declared", complete=True)
    first = {"every": "signature", "that": GOOD}
    second = {"every": "coverage", "that": {"complete": True}}
    assert ask({"all": [first, second]}, tested, told, needed="declared").method is Method.DECLARED
    assert ask({"any": [second, first]}, tested, told, needed="declared").method is Method.TESTED
    assert ask({"input": {"send_endpoint": "device"}}).method is None


def test_a_finding_shows_counter_examples_first_and_not_too_many(record: Make) -> None:
    good = [record("signature", artifact=f"g{index}", layer="outer", verified=True) for index in range(20)]
    bad = [record("signature", artifact=f"b{index}", layer="outer", verified=False) for index in range(20)]
    outcome = ask(EVERY, *good, *bad)
    assert len(outcome.observed) == MAX_SHOWN
    assert {item.verdict for item in outcome.observed} == {Verdict.FAIL}
    assert outcome.explanation == "20 of 40 signature records: verified is false, expected verified is true"
    assert outcome.observed[0].subject == "update:signature-b0"


def test_of_several_open_ways_the_one_with_records_explains(record: Make) -> None:
    weak = record("signature", method="declared", verified=True)
    outcome = ask({"any": [{"every": "digest", "that": {"matches": True}}, {"every": "signature", "that": GOOD}]}, weak)
    assert outcome.reason is Reason.TOO_WEAK


def test_a_record_that_does_not_count_by_its_own_words_is_named_with_its_note(record: Make) -> None:
    check = {"every": "attestation", "where": {"proves": "device key", "valid": True}, "that": {"non_exportable": True}}
    plain = "there is no attestation record of the kind that the question is about"
    stale = record("attestation", proves="device key", valid=False, note="not fresh")
    found = ask(check, record("attestation", proves="boot", valid=False, note="odd"), stale)
    assert said(found) == ("unknown", "missing_record")
    assert found.explanation == f"{plain}; {stale.subject}: valid is false (not fresh)"
    assert ask(check, record("attestation", proves="device key", valid=False)).explanation == plain
    assert ask(check, record("attestation", proves="boot", valid=True, note="odd")).explanation == plain
