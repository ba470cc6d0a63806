# ruff: noqa: E501 - one line per fault is easier to read than four
from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from checker import resources
from checker.rules.testing import run

Edited = Callable[..., Path]


def problems(folder: Path, only: str) -> list[str]:
    return [f"{item.name}: {item.problem}" for item in run(folder, only) if item.problem]


def test_the_shipped_rule_set_keeps_its_own_cases_and_their_mutations() -> None:
    results = run(resources.folder("rules") / "ntia-2017")
    assert [item for item in results if item.problem] == []
    assert len(results) > 500


def test_a_sound_requirement_has_no_problem(edited: Edited) -> None:
    folder = edited("tests/SIGN-B1.yaml", "name: valid", "name: is valid")
    assert problems(folder, "SIGN-B1") == []
    assert [item.name for item in run(folder, "SIGN-B1")] == ["is valid", "wrong", "no key"]


@pytest.mark.parametrize(
    ("name", "old", "new", "said"),
    [
        ("tests/SIGN-B1.yaml", "verdict: pass", "verdict: fail", "valid: is pass (1 signature record), not fail"),
        ("tests/SIGN-B1.yaml", "reason: no_key", "reason: timeout", "no key: the reason is no_key, not timeout"),
        ("tests/SIGN-B1.yaml", "{artifact: a, verified: true}", "{artefact: a, verified: true}", "valid: signature has no field 'artefact'; did you mean 'artifact'?"),
        ("tests/SIGN-B1.yaml", "{artifact: a, verified: true}", "{artifact: a, verified: 1}", "valid: signature.verified is 1, not of type boolean"),
        ("tests/SIGN-B1.yaml", "name: wrong", "name: valid", "valid: two cases have this name"),
        ("tests/SIGN-B1.yaml", "requirement: SIGN-B1", "requirement: SIGN-B2", "cases: the file says that it is for SIGN-B2"),
        ("tests/SIGN-B1.yaml", "verdict: pass", "verdict: passed", "'passed' is none of pass, fail, unknown, not_applicable"),
        ("tests/SIGN-B1.yaml", "unavailable: no_key", "unavailable: no_keys", "cases: 'no_keys' is not a valid Reason"),
    ],
)  # fmt: skip
def test_a_fault_of_a_case_is_found(edited: Edited, name: str, old: str, new: str, said: str) -> None:
    found = problems(edited(name, old, new), "SIGN-B1")
    assert any(said in item for item in found)


def test_a_missing_verdict_is_found(edited: Edited) -> None:
    folder = edited("tests/KM3.yaml", "verdict: unknown", "verdict: fail")
    assert "completeness: no case for unknown" in problems(folder, "SIGN-U1")


def test_a_requirement_without_cases_is_found(edited: Edited) -> None:
    folder = edited("tests/KM3.yaml", "name: one", "name: One")
    assert problems(folder, "SIGN-U2") == ["cases: there is no file tests/SIGN-U2.yaml"]


def test_a_field_that_a_rule_reads_for_nothing_is_found_by_mutation(edited: Edited) -> None:
    edited(
        "sign.yaml",
        "check: {some: signature, that: {verified: true}}\n    contra",
        "check: {any: [{some: signature, that: {verified: true}}, {some: signature, that: {outcome: valid}}]}\n    contra",
    )
    folder = edited(
        "tests/SIGN-B1.yaml",
        "{kind: signature, values: {artifact: a, verified: true}}",
        "{kind: signature, values: {artifact: a, verified: true, outcome: valid}}",
    )
    assert "valid: record-2 without verified: passes" in problems(folder, "SIGN-B1")
