"""Losing information never raises a tier, in any grade or reading (docs/adr/0002).

Four examples of five are drawn over a small rule set, the fifth from the cases of the shipped one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from checker import resources
from checker.assessment.gate import Demands, exit_status, judge_gate
from checker.assessment.tiers import Sheet, standings
from checker.errors import ExitStatus
from checker.model.evidence import Evidence, EvidenceSet, Origin, Value
from checker.model.requirement import RuleSet
from checker.model.subject import Subject, SubjectKind
from checker.model.terms import Grade, Method, Reading, Reason, Step, Tier, Verdict
from checker.rules import testing
from checker.rules._files import read_cases
from checker.rules.judge import LOST, Inputs, judge
from checker.rules.load import Loaded, fill, load_with_entries

NOW = testing.AS_OF
INPUTS = Inputs(as_of=NOW, support_until="2032-12-31")
SMALL = Path(__file__).parents[1] / "rules" / "data" / "small"
QUICK = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
Tiers = dict[tuple[Grade, Reading, Step], Tier]


@cache
def loaded(name: str) -> Loaded:
    return load_with_entries(SMALL if name == "small" else resources.folder("rules") / "ntia-2017")


def tiers(rules: RuleSet, evidence: EvidenceSet) -> Tiers:
    findings = judge(rules, evidence, INPUTS)
    return {
        (grade, reading, step): standing.tier
        for grade in Grade
        for reading in Reading
        for step, standing in standings(Sheet.of(rules, findings, grade, reading)).items()
    }


def raised(before: Tiers, after: Tiers) -> list[str]:
    return [f"{key}: {before[key]} -> {after[key]}" for key in before if after[key].rank > before[key].rank]


# --- Evidence ---------------------------------------------------------------------------------------------------------

VALUES: dict[str, dict[str, list[Any]]] = {
    "artifact": {"artifact": ["a", "b"], "release": ["current", "previous"]},
    "signature": {
        "artifact": ["a", "b"],
        "verified": [True, True, False],
        "quantum_resistant": [True, False],
        "hash": [{"name": "sha-256", "collision_bits": 128}, {"name": "sha3-256", "collision_bits": 128}, {}],
        "key": [{"strength_bits": 128}, {"strength_bits": 112}, {}],
    },
    "verifier_trial": {
        "test": ["T01", "T05", "T12"],
        "target": ["cpu", "fpga", ""],
        "outcome": ["refused", "refused", "accepted"],
    },
    "hardware_target": {"target": ["cpu", "fpga"]},
    "encryption": {
        "layer": ["inner"],
        "target": ["cpu", "fpga"],
        "encrypted": [True, False],
        "cipher": ["aes"],
        "key_bits": [128, 256],
    },
    "key": {
        "rows": [["sign"], ["protect"], ["sign", "protect"]],
        "in_inventory": [True, True, False],
        "published": ["", "", "a tutorial"],
        "type": ["private-signature"],
        "cryptoperiod_days": [365],
    },
    "step_description": {"step": ["protect", *map(str, Step)], "described": [True], "not_applicable": [True, False]},
    "document": {
        "proves": [["SIGN-U*", "PROT-U1"], ["SIGN-Q2"]],
        "clause": ["4.2"],
        "quote": ["as the clause says"],
        "quote_found": [True, False],
        "digest_ok": [True],
        "current": [True],
    },
}


@st.composite
def drawn(draw: st.DrawFn, kinds: tuple[str, ...]) -> list[Evidence]:
    found = []
    for index in range(draw(st.integers(1, 14))):
        kind = draw(st.sampled_from(kinds))
        values = {name: draw(st.sampled_from(options)) for name, options in VALUES[kind].items()}
        found.append(record(kind, index, values, draw(st.sampled_from([*Method, Method.TESTED, Method.TESTED]))))
    return found


def record(kind: str, index: int, values: Mapping[str, Value], method: Method = Method.TESTED) -> Evidence:
    subject = Subject(kind=SubjectKind.UPDATE, id=f"r{index}")
    origin = Origin(time=NOW)
    return Evidence(kind=kind, subject=subject, probe="test", method=method, values=values, origin=origin)


@cache
def pool(step: Step) -> tuple[tuple[Evidence, ...], ...]:
    """Return the records of every case of the shipped rules of a row."""
    found: list[tuple[Evidence, ...]] = []
    folder = resources.folder("rules") / "ntia-2017"
    for entry in loaded("shipped").entries:
        if entry.step != step:
            continue
        document = read_cases(folder, entry.data["id"]) or read_cases(folder, entry.family)
        cases = fill(document.data, entry.values)["cases"] if document else ()
        found += [testing._case(item).records for item in cases if item["verdict"] in ("pass", "fail")]
    return tuple(found)


@st.composite
def assembled(draw: st.DrawFn) -> list[Evidence]:
    cases = [draw(st.sampled_from(pool(step))) for step in draw(st.lists(st.sampled_from(list(Step)), max_size=2))]
    whole = draw(st.sampled_from(list(Step)))
    cases += draw(st.lists(st.sampled_from(pool(whole)), max_size=8))
    flat = [item for case in cases for item in case]
    return [replace(item, subject=Subject(kind=SubjectKind.UPDATE, id=f"r{at}")) for at, item in enumerate(flat)]


def sets(name: str) -> st.SearchStrategy[list[Evidence]]:
    return drawn(tuple(VALUES)) if name == "small" else assembled()


def whole(records: list[Evidence]) -> EvidenceSet:
    return EvidenceSet.complete((), records)


def exempt(rules: RuleSet) -> set[str]:
    """Return the kinds by which a description calls something not applicable: losing that is no loss of proof."""
    return {kind for item in rules.requirements if item.blocking for kind, _ in testing._paths(item.applies_when)}


def ignored(rules: RuleSet) -> set[tuple[str, str]]:
    """Return the fields that a contradiction or a condition reads: unknown there is ignored (docs/adr/0002)."""
    trees = [tree for item in rules.requirements for tree in (item.contradicted_by, item.applies_when)]
    return {pair for tree in trees for pair in testing._paths(tree)}


NAMES = st.sampled_from(["small", "small", "small", "small", "shipped"])
BOTH = pytest.mark.parametrize("name", ["small", "shipped"])


# --- Properties -------------------------------------------------------------------------------------------------------


@QUICK
@given(data=st.data())
def test_dropping_a_record_never_raises_a_tier(data: st.DataObject) -> None:
    name = data.draw(NAMES)
    rules = loaded(name).rules
    evidence = whole(data.draw(sets(name)))
    assume(evidence.records)
    index = data.draw(st.integers(0, len(evidence.records) - 1))
    assume(evidence.records[index].kind not in exempt(rules))
    assert raised(tiers(rules, evidence), tiers(rules, evidence.without(index))) == []


@QUICK
@given(data=st.data())
def test_a_record_that_becomes_unavailable_never_raises_a_tier(data: st.DataObject) -> None:
    name = data.draw(NAMES)
    rules = loaded(name).rules
    records = data.draw(sets(name))
    assume(records)
    index = data.draw(st.integers(0, len(records) - 1))
    assume(records[index].kind not in exempt(rules))
    kept = data.draw(st.sampled_from([{}, records[index].values]))
    reason = data.draw(st.sampled_from(sorted(LOST)))
    gone = replace(records[index], unavailable=Reason(reason), explanation="lost", values=kept)
    after = [*records[:index], gone, *records[index + 1 :]]
    assert raised(tiers(rules, whole(records)), tiers(rules, whole(after))) == []


@QUICK
@given(data=st.data())
def test_weakening_a_method_never_raises_a_tier(data: st.DataObject) -> None:
    name = data.draw(NAMES)
    rules = loaded(name).rules
    records = data.draw(sets(name))
    assume(records)
    index = data.draw(st.integers(0, len(records) - 1))
    method = data.draw(st.sampled_from([item for item in Method if item.rank <= records[index].method.rank]))
    after = [*records[:index], replace(records[index], method=method), *records[index + 1 :]]
    assert raised(tiers(rules, whole(records)), tiers(rules, whole(after))) == []


def _leaves(values: Mapping[str, Value], prefix: str = "") -> Iterator[str]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}"


@QUICK
@given(data=st.data())
def test_deleting_a_field_never_raises_a_tier(data: st.DataObject) -> None:
    name = data.draw(NAMES)
    rules = loaded(name).rules
    records = [item for item in data.draw(sets(name)) if item.kind != "document"]
    fields = [(at, path) for at, item in enumerate(records) for path in _leaves(item.values)]
    fields = [(at, path) for at, path in fields if (records[at].kind, path) not in ignored(rules)]
    assume(fields)
    index, path = data.draw(st.sampled_from(fields))
    less = replace(records[index], values=testing._without(records[index].values, path))
    after = [*records[:index], less, *records[index + 1 :]]
    assert raised(tiers(rules, whole(records)), tiers(rules, whole(after))) == []


@QUICK
@given(data=st.data())
def test_the_order_of_the_records_never_matters(data: st.DataObject) -> None:
    name = data.draw(NAMES)
    rules = loaded(name).rules
    records = data.draw(sets(name))
    shuffled = data.draw(st.permutations(records))
    assert judge(rules, whole(records), INPUTS) == judge(rules, whole(shuffled), INPUTS)


@QUICK
@given(data=st.data())
def test_what_is_proved_is_documented_too(data: st.DataObject) -> None:
    name = data.draw(NAMES)
    found = tiers(loaded(name).rules, whole(data.draw(sets(name))))
    for (grade, reading, step), tier in found.items():
        if grade is Grade.PROVED:
            assert tier.rank <= found[Grade.DOCUMENTED, reading, step].rank


@QUICK
@given(data=st.data())
def test_everything_claimed_and_nothing_proved_reaches_nothing(data: st.DataObject) -> None:
    name = data.draw(NAMES)
    rules = loaded(name).rules
    records = [replace(item, method=Method.DECLARED) for item in data.draw(sets(name))]
    findings = judge(rules, whole(records), INPUTS)
    rows = standings(Sheet.of(rules, findings, Grade.PROVED, Reading.LETTER))
    assert all(item.tier.rank == 0 for item in rows.values() if not item.not_applicable)
    gate = judge_gate(rules, findings, (), Demands(), reading=Reading.LETTER, as_of=NOW)
    failed = any(item.judgement().verdict is Verdict.FAIL for item in findings)
    assert exit_status(gate) is ExitStatus.UNDECIDED or (failed and exit_status(gate) is ExitStatus.GATE_NOT_MET)


@BOTH
def test_no_evidence_reaches_nothing_and_the_gate_is_undecided(name: str) -> None:
    rules = loaded(name).rules
    assert set(tiers(rules, whole([])).values()) == {Tier.NONE}
    findings = judge(rules, whole([]), INPUTS)
    gate = judge_gate(rules, findings, (), Demands(), reading=Reading.LETTER, as_of=NOW)
    assert exit_status(gate) is ExitStatus.UNDECIDED


def test_the_properties_are_not_empty() -> None:
    """Tiers are reached at all by what is drawn, so that something can be lost."""
    rules = loaded("small").rules
    seen: set[Tier] = set()

    @settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(records=sets("small"))
    def collect(records: list[Evidence]) -> None:
        seen.update(tiers(rules, whole(records)).values())

    collect()
    assert {Tier.BELOW_BASIC, Tier.NONE, Tier.BASIC, Tier.UPGRADED} <= seen
