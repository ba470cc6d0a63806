from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checker.model.evidence import Evidence
from checker.model.terms import Reason, Step
from checker.rules._conditions import (
    Answer,
    Inputs,
    Setting,
    Truth,
    both,
    either,
    holds,
    inputs_hold,
    negate,
    shown,
)

Make = Callable[..., Evidence]
TABLES: dict[str, Any] = {"good": ["sha-256", "sha-384"], "bits": 128, "days": {"short": 10, "long": 100}}
SETTING = Setting(tables=TABLES, inputs=Inputs(as_of="2026-11-01T12:00:00Z", support_until="2030-12-31"))


@pytest.mark.parametrize(
    ("test", "value", "truth"),
    [
        ("abc", "abc", True),
        ("abc", "abcd", False),
        (True, True, True),
        (True, 1, False),
        (1, True, False),
        ({"equals": 0}, False, False),
        ({"equals": "stage"}, Step.STAGE, True),
        ({"in": ["sign", "stage"]}, Step.STAGE, True),
        ("1", 1, False),
        ({"in": ["a", "b"]}, "b", True),
        ({"in": ["a", "b"]}, "c", False),
        ({"in": [1]}, True, False),
        ({"not_in": ["a", "b"]}, "c", True),
        ({"not_in": ["a", "b"]}, "a", False),
        ({"at_least": 128}, 128, True),
        ({"at_least": 128}, 127, False),
        ({"at_most": 127}, 127, True),
        ({"at_most": 127}, 128, False),
        ({"at_least": 1}, True, None),
        ({"at_least": 1}, "1", None),
        ({"at_least": "2031-01-01"}, "2031-01-01", True),
        ({"at_least": "2031-01-01"}, "2030-12-31", False),
        ({"at_most": "2030-12-31"}, "2030-12-31T23:59:59Z", True),
        ({"at_most": "2030-12-31"}, "2030-12-31T23:59:59-01:00", False),
        ({"at_most": "2030-12-31T12:00:00Z"}, "2030-12-31T12:00:01Z", False),
        ({"at_least": "2031-01-01"}, "soon", None),
        ({"at_least": "2031-01-01"}, "2031-02-30", None),
        ({"contains": "a"}, ["a", "b"], True),
        ({"contains": "a"}, ["ab"], False),
        ({"contains": "a"}, [], False),
        ({"contains": "a"}, "abc", None),
        ({"excludes": "a"}, ["b"], True),
        ({"excludes": "a"}, ["a"], False),
        ({"any_of": ["a", "b"]}, ["b", "c"], True),
        ({"any_of": ["a", "b"]}, ["c"], False),
        ({"none_of": ["a", "b"]}, ["c"], True),
        ({"none_of": ["a", "b"]}, ["c", "a"], False),
        ({"within": ["a", "b"]}, ["a"], True),
        ({"within": ["a", "b"]}, ["a", "c"], False),
        ({"within": ["a", "b"]}, [], None),
        ({"not_empty": True}, "x", True),
        ({"not_empty": True}, "", False),
        ({"not_empty": True}, [], False),
        ({"not_empty": False}, [], True),
        ({"not_empty": True}, 3, None),
        ({"in": {"table": "good"}}, "sha-384", True),
        ({"in": {"table": "good"}}, "sha-1", False),
        ({"in": {"table": "gone"}}, "sha-1", None),
        ({"at_least": {"table": "bits"}}, 128, True),
        ({"at_most": {"input": "support_until"}}, "2030-12-31", True),
        ({"at_most": {"input": "support_until"}}, "2031-01-01", False),
        ({"equals": {"field": "other"}}, "same", True),
        ({"equals": {"field": "other"}}, "not the same", False),
        ({"equals": {"field": "gone"}}, "same", None),
        ({"at_most": {"table": "days", "by": "sort"}}, 10, True),
        ({"at_most": {"table": "days", "by": "sort"}}, 11, False),
        ({"at_most": {"table": "days", "by": "other"}}, 1, None),
        ({"at_least": 5, "at_most": 6}, 6, True),
        ({"at_least": 5, "at_most": 6}, 7, False),
    ],
)
def test_an_operator_answers(record: Make, test: Any, value: Any, truth: Truth) -> None:
    one = record("key", x=value, other="same", sort="short")
    assert holds({"x": test}, one, SETTING).truth is truth


@pytest.mark.parametrize(
    "test", ["abc", {"not_in": ["a"]}, {"excludes": "a"}, {"none_of": ["a"]}, {"not_empty": False}]
)
def test_a_missing_field_is_unknown_under_every_operator_and_under_not(record: Make, test: Any) -> None:
    for one in (record("key"), record("key", x=None)):
        for condition in ({"x": test}, {"not": {"x": test}}):
            answer = holds(condition, one, SETTING)
            assert (answer.truth, answer.reason) == (None, Reason.MISSING_FIELD)


def test_a_field_that_an_unavailable_record_lacks_has_the_records_own_reason(record: Make) -> None:
    one = record("key", unavailable="no_key", known="yes")
    assert holds({"x": "a"}, one, SETTING).reason is Reason.NO_KEY
    assert holds({"known": "no"}, one, SETTING).truth is False


def test_dotted_paths_reach_into_mappings_and_the_common_fields(record: Make) -> None:
    one = record("signature", artifact="a", hash={"name": "sha-256"})
    assert holds({"hash.name": "sha-256", "method": "tested", "subject.id": "signature-a"}, one, SETTING).truth is True
    assert holds({"hash.bits": 1}, one, SETTING).truth is None
    assert holds({"artifact.name": 1}, one, SETTING).truth is None


def test_lists_of_conditions_nest(record: Make) -> None:
    one = record("key", x="a", y=1)
    assert holds({"any": [{"x": "b"}, {"all": [{"x": "a"}, {"y": 1}]}]}, one, SETTING).truth is True
    assert holds({"x": "a", "any": [{"x": "b"}, {"z": 1}]}, one, SETTING).truth is None
    assert holds({"x": "b", "any": [{"z": 1}]}, one, SETTING).truth is False


def test_an_input_that_was_not_given_is_unknown() -> None:
    bare = Setting(tables={}, inputs=Inputs(as_of="2026-11-01T12:00:00Z"))
    assert inputs_hold({"support_until": {"at_most": "2030-12-31"}}, bare).reason is Reason.NOT_DECLARED
    assert inputs_hold({"as_of": {"at_most": "2026-11-01"}}, bare).truth is True
    assert inputs_hold({"as_of": {"at_most": "2026-10-31"}}, bare).truth is False
    assert inputs_hold({"send_endpoint": "mutual"}, bare).truth is False


def test_values_are_shown_as_a_reader_would_write_them() -> None:
    values: list[Any] = [True, None, "", [], ["a", 1], list(range(10))]
    assert [shown(item) for item in values] == [
        "true",
        "nothing",
        "empty",
        "nothing",
        "a, 1",
        "0, 1, 2, 3, 4, 5, 6, 7 and 2 more",
    ]


TRUTHS = st.sampled_from([True, False, None])


def _answers(truths: list[Truth]) -> list[Answer]:
    return [Answer(truth=truth, reason=None if truth is not None else Reason.MISSING_FIELD) for truth in truths]


@given(st.lists(TRUTHS, max_size=4))
def test_conjunction_is_the_minimum_and_disjunction_the_maximum_of_three_values(truths: list[Truth]) -> None:
    order = {False: 0, None: 1, True: 2}
    back: dict[int, Truth] = {0: False, 1: None, 2: True}
    assert both(_answers(truths)).truth is back[min((order[item] for item in truths), default=2)]
    assert either(_answers(truths)).truth is back[max((order[item] for item in truths), default=0)]


@given(st.lists(TRUTHS, min_size=1, max_size=4))
def test_de_morgan_holds_and_negation_is_its_own_inverse(truths: list[Truth]) -> None:
    answers = _answers(truths)
    assert negate(both(answers)).truth is either(negate(item) for item in answers).truth
    assert negate(negate(answers[0])).truth is answers[0].truth


@given(st.lists(TRUTHS, min_size=1, max_size=4), st.randoms(use_true_random=False))
def test_order_and_repetition_do_not_matter(truths: list[Truth], random: Any) -> None:
    shuffled = [*truths, *truths]
    random.shuffle(shuffled)
    assert both(_answers(shuffled)).truth is both(_answers(truths)).truth
    assert either(_answers(shuffled)).truth is either(_answers(truths)).truth


@given(st.lists(TRUTHS, min_size=1, max_size=4), st.integers(0, 3))
def test_knowing_less_never_turns_one_known_answer_into_the_other(truths: list[Truth], index: int) -> None:
    less = [None if at == index else item for at, item in enumerate(truths)]
    for join in (both, either):
        assert join(_answers(less)).truth in (None, join(_answers(truths)).truth)
