"""Profiles: lines as checks, named in requirements, with the clause and the offender told."""

# ruff: noqa: E501 - one line per profile line is easier to read than four

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from checker.errors import RuleError
from checker.model.evidence import Evidence, EvidenceSet
from checker.model.requirement import RuleSet
from checker.model.terms import Verdict
from checker.rules._conditions import Inputs
from checker.rules.judge import judge_one
from checker.rules.load import load
from checker.rules.profiles import hold

Make = Callable[..., Evidence]
Records = Callable[..., EvidenceSet]
AS_OF = Inputs(as_of="2026-11-01T00:00:00Z")
PROFILE = """id: house
title: Rules of the house
source: {document: RFC 9325, section: "1", status: V}
dated: 2022-11
lines:
  - {id: versions, level: must, says: Nothing below TLS 1.2, section: 3.1.1, every: tls_offer, that: {versions: {within: [TLSv1.2, TLSv1.3]}}}
  - {id: suites, level: should, says: No CBC, document: RFC 10015, status: M, section: "9", every: tls_offer, where: {protocol: tls}, that: {suites: {none_of: [BAD-CBC]}}}
"""
RULE = """  - id: RECE-X1
    tier: basic
    blocking: false
    title: The house rules hold
    reading: All of them.
    check: {profile: house, where: {step: receive}}
    fix: {fail: Mend it., unknown: Probe it.}
"""


@pytest.fixture
def housed(edited: Callable[..., Path]) -> Callable[..., Path]:
    def make(profile: str = PROFILE, rule: str = RULE) -> Path:
        folder = edited("rest-receive.yaml", "requirements:\n", f"requirements:\n{rule}")
        (folder / "profiles").mkdir(exist_ok=True)
        (folder / "profiles" / "house.yaml").write_text(profile)
        return folder

    return make


def offer(record: Make, **values: Any) -> Evidence:
    found = {"protocol": "tls", "step": "receive", "versions": ("TLSv1.3",), "suites": ("GOOD-GCM",)}
    return record("tls_offer", **(found | values))


def rule(rules: RuleSet) -> Any:
    return next(item for item in rules.requirements if item.id == "RECE-X1")


def test_a_rule_that_names_a_profile_passes_where_every_line_holds(
    housed: Callable[..., Path], record: Make, evidence: Records
) -> None:
    rules = load(housed())
    finding = judge_one(rules, rule(rules), evidence(offer(record)), AS_OF)
    assert finding.judgement().verdict is Verdict.PASS


@pytest.mark.parametrize(
    ("values", "said", "shown"),
    [
        ({"versions": ("TLSv1.0", "TLSv1.3")}, "Nothing below TLS 1.2 (RFC 9325 3.1.1)", ("TLSv1.0",)),
        ({"suites": ("GOOD-GCM", "BAD-CBC")}, "No CBC (RFC 10015)", ("BAD-CBC",)),
    ],
)
def test_a_finding_names_the_offender_and_the_line_of_the_profile(
    housed: Callable[..., Path], record: Make, evidence: Records, values: Any, said: str, shown: tuple[str, ...]
) -> None:
    rules = load(housed())
    finding = judge_one(rules, rule(rules), evidence(offer(record, **values)), AS_OF)
    assert finding.judgement().verdict is Verdict.FAIL
    assert finding.observed[0].expected == said
    assert finding.observed[0].value == shown
    assert f"has {shown[0]}, expected {said}" in finding.judgement().explanation


def test_a_line_of_which_nothing_is_known_leaves_the_rule_unknown(
    housed: Callable[..., Path], record: Make, evidence: Records
) -> None:
    rules = load(housed())
    finding = judge_one(rules, rule(rules), evidence(offer(record, suites=None)), AS_OF)
    assert finding.judgement().verdict is Verdict.UNKNOWN


def test_where_narrows_every_line(housed: Callable[..., Path], record: Make, evidence: Records) -> None:
    rules = load(housed())
    bad = offer(record, step="send", versions=("TLSv1.0",))
    assert judge_one(rules, rule(rules), evidence(offer(record), bad), AS_OF).judgement().verdict is Verdict.PASS


def test_single_lines_can_be_named(housed: Callable[..., Path], record: Make, evidence: Records) -> None:
    rules = load(housed(rule=RULE.replace("profile: house,", "profile: house, lines: [versions],")))
    bad = offer(record, suites=("BAD-CBC",))
    assert judge_one(rules, rule(rules), evidence(bad), AS_OF).judgement().verdict is Verdict.PASS


def test_a_profile_is_held_line_by_line(housed: Callable[..., Path], record: Make, evidence: Records) -> None:
    held = hold(load(housed()), "house", evidence(offer(record, suites=("BAD-CBC",))), AS_OF)
    assert [(item.line.id, item.line.level, item.outcome.verdict) for item in held] == [
        ("versions", "must", Verdict.PASS),
        ("suites", "should", Verdict.FAIL),
    ]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("check: {profile: house,", "check: {profile: hous,", "there is no profile 'hous'; did you mean 'house'"),
        ("profile: house,", "profile: house, lines: [suite],", "house has no line 'suite'; did you mean 'suites'"),
        ("profile: house,", "profile: house, wher: {},", "'wher' does not belong here; did you mean 'where'"),
        ("{step: receive}", "{stepp: receive}", "tls_offer has no field 'stepp'"),
    ],
)
def test_a_fault_in_the_use_of_a_profile_is_said(housed: Callable[..., Path], old: str, new: str, said: str) -> None:
    assert old in RULE
    with pytest.raises(RuleError, match=r"rest-receive\.yaml") as caught:
        load(housed(rule=RULE.replace(old, new)))
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("id: house", "id: horse", "the id 'horse' is not the file's name"),
        ("{versions: ", "{version: ", "tls_offer has no field 'version'; did you mean 'versions'"),
        ("level: must", "level: shall", "'shall' is none of must, should"),
        ("every: tls_offer, that", "that", "a check has exactly one of"),
    ],
)
def test_a_fault_in_a_profile_is_said_at_its_place(housed: Callable[..., Path], old: str, new: str, said: str) -> None:
    assert old in PROFILE
    with pytest.raises(RuleError, match=r"profiles/house\.yaml") as caught:
        load(housed(PROFILE.replace(old, new, 1)))
    assert said in str(caught.value)
