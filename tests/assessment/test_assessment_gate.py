from __future__ import annotations

from collections.abc import Callable

import pytest

from checker.assessment.gate import Demands, exit_status, judge_gate
from checker.description.model import Place, Waiver
from checker.errors import ExitStatus
from checker.model.assessment import GateResult, Observation
from checker.model.finding import Finding
from checker.model.requirement import RuleSet
from checker.model.terms import Reading, Severity, Step, Tier, Verdict

Judged = Callable[..., tuple[Finding, ...]]
BASIC = {"SIGN-B1": "pass", "SIGN-B3": "pass"}
NOW = "2026-11-01T12:00:00Z"


def gate(small: RuleSet, findings: tuple[Finding, ...], demands: Demands, *seen: Observation) -> GateResult:
    return judge_gate(small, findings, seen, demands, reading=Reading.LETTER, as_of=NOW)


def sign(tier: Tier) -> Demands:
    return Demands(tiers={Step.SIGN: tier})


@pytest.mark.parametrize(
    ("verdicts", "tier", "verdict", "status"),
    [
        (BASIC, Tier.BASIC, Verdict.PASS, ExitStatus.GATE_MET),
        ({"SIGN-B1": "pass"}, Tier.BASIC, Verdict.UNKNOWN, ExitStatus.UNDECIDED),
        ({"SIGN-B1": "pass", "SIGN-B3": "fail"}, Tier.BASIC, Verdict.FAIL, ExitStatus.GATE_NOT_MET),
        ({"SIGN-B1": "fail"}, Tier.BASIC, Verdict.FAIL, ExitStatus.GATE_NOT_MET),
        (BASIC | {"SIGN-U1": "fail"}, Tier.BASIC, Verdict.PASS, ExitStatus.GATE_MET),
        (BASIC | {"SIGN-U1": "fail"}, Tier.UPGRADED, Verdict.FAIL, ExitStatus.GATE_NOT_MET),
        (BASIC, Tier.UPGRADED, Verdict.UNKNOWN, ExitStatus.UNDECIDED),
        ({"SIGN-Q1-LETTER": "fail"}, Tier.QUANTUM, Verdict.UNKNOWN, ExitStatus.UNDECIDED),
        (BASIC | {"SIGN-Q2": "fail"}, Tier.QUANTUM, Verdict.FAIL, ExitStatus.GATE_NOT_MET),
    ],
)
def test_a_demand_is_met_failed_or_undecided(
    small: RuleSet, judged: Judged, verdicts: dict[str, str], tier: Tier, verdict: Verdict, status: ExitStatus
) -> None:
    found = gate(small, judged(verdicts), sign(tier))
    assert (found.verdict, exit_status(found)) == (verdict, status)


def test_without_a_demand_basic_is_demanded_of_every_row(small: RuleSet, judged: Judged) -> None:
    found = gate(small, judged(BASIC), Demands())
    assert [(item.step, item.tier) for item in found.items] == [(step, Tier.BASIC) for step in Step]
    assert found.verdict is Verdict.UNKNOWN


def test_everything_claimed_is_undecided_and_not_failed(small: RuleSet, judged: Judged) -> None:
    found = gate(small, judged({item.id: "pass+" for item in small.requirements}), Demands())
    assert {item.verdict for item in found.items} == {Verdict.UNKNOWN}
    assert exit_status(found) is ExitStatus.UNDECIDED


def test_where_nothing_is_evaluated_the_gate_is_undecided(small: RuleSet, judged: Judged) -> None:
    gone = judged({"PROT-B1": "not_applicable", "PROT-U1": "not_applicable"})
    assert gate(small, gone, Demands(tiers={})).verdict is Verdict.UNKNOWN
    only = gate(small, gone, Demands(tiers={Step.PROTECT: Tier.BASIC}))
    assert [item.verdict for item in only.items] == [Verdict.NOT_APPLICABLE]
    assert only.verdict is Verdict.UNKNOWN


def test_a_step_that_is_declared_not_applicable_does_not_meet_a_demand_by_name(small: RuleSet, judged: Judged) -> None:
    found = judged({"PROT-B1": "not_applicable", "PROT-U1": "not_applicable", "STAG-B1": "pass"})
    tiers = {Step.PROTECT: Tier.BASIC, Step.STAGE: Tier.BASIC}
    assert gate(small, found, Demands(tiers=tiers)).verdict is Verdict.PASS
    named = gate(small, found, Demands(tiers=tiers, named=frozenset({Step.PROTECT})))
    assert named.verdict is Verdict.UNKNOWN
    assert "demanded by name" in next(item.reason for item in named.items if item.step is Step.PROTECT)
    assert gate(small, found, Demands(tiers=tiers, named=frozenset({Step.STAGE}))).verdict is Verdict.PASS


def test_a_row_at_its_ceiling_meets_every_demand(small: RuleSet, judged: Judged) -> None:
    assert gate(small, judged({"STAG-B1": "pass"}), Demands(tiers={Step.STAGE: Tier.QUANTUM})).verdict is Verdict.PASS


def test_a_cap_fails_where_the_requirement_behind_it_failed(small: RuleSet, judged: Judged) -> None:
    wanted = Demands(tiers={Step.PROCESS: Tier.BASIC})
    unsigned = gate(small, judged({"PROC-B1": "pass", "SIGN-B1": "fail"}), wanted)
    assert unsigned.verdict is Verdict.FAIL
    assert "SIGN-B1" in unsigned.items[0].reason
    assert "capped by DEP1" in unsigned.items[0].reason
    assert gate(small, judged({"PROC-B1": "pass"}), wanted).verdict is Verdict.UNKNOWN


def waiver(
    requirement: str = "SIGN-B3", owner: str = "B. Owner", reason: str = "old fleet", expires: str = "2026-11-01"
) -> Waiver:
    return Waiver(requirement=requirement, owner=owner, reason=reason, expires=expires, place=Place("u.yaml", 1, 1))


@pytest.mark.parametrize(
    ("item", "verdict", "said"),
    [
        (waiver(), Verdict.PASS, "SIGN-B3 waived until 2026-11-01 by B. Owner: old fleet"),
        (waiver(expires="2026-10-31"), Verdict.FAIL, "waiver of SIGN-B3 not applied: it expired on 2026-10-31"),
        (waiver(expires="2026-11-01T12:00:00Z"), Verdict.PASS, "waived until"),
        (waiver(expires="2026-11-01T11:59:59Z"), Verdict.FAIL, "it expired"),
        (waiver(expires="2026-11-01T13:00:00+02:00"), Verdict.FAIL, "it expired"),
        (waiver(expires="soon"), Verdict.FAIL, "its expiry 'soon' is not a date"),
        (waiver(expires=""), Verdict.FAIL, "it has no expires"),
        (waiver(owner=" "), Verdict.FAIL, "it has no owner"),
        (waiver(reason=""), Verdict.FAIL, "it has no reason"),
        (waiver("SIGN-B30"), Verdict.FAIL, "not met: SIGN-B3"),
    ],
)
def test_a_waiver_changes_the_gate_while_it_is_whole_and_valid(
    small: RuleSet, judged: Judged, item: Waiver, verdict: Verdict, said: str
) -> None:
    findings = judged({"SIGN-B1": "pass", "SIGN-B3": "fail"})
    found = gate(small, findings, Demands(tiers={Step.SIGN: Tier.BASIC}, waivers=(item,)))
    assert found.verdict is verdict
    assert said in found.items[0].reason


def test_a_waiver_of_everything_still_proves_nothing(small: RuleSet, judged: Judged) -> None:
    both = (waiver("SIGN-B1"), waiver("SIGN-B3"))
    found = gate(small, judged({}), Demands(tiers={Step.SIGN: Tier.BASIC}, waivers=both))
    assert found.verdict is Verdict.UNKNOWN


@pytest.mark.parametrize(
    ("least", "verdict"),
    [
        (None, Verdict.PASS),
        (Severity.CRITICAL, Verdict.PASS),
        (Severity.HIGH, Verdict.FAIL),
        (Severity.INFO, Verdict.FAIL),
    ],
)
def test_observations_fail_the_gate_only_from_the_severity_that_was_named(
    small: RuleSet, judged: Judged, least: Severity | None, verdict: Verdict
) -> None:
    seen = Observation(code="x", severity=Severity.HIGH, step=Step.SIGN, message="", subject="")
    found = gate(small, judged(BASIC), Demands(tiers={Step.SIGN: Tier.BASIC}, fail_on_findings=least), seen)
    assert found.verdict is verdict
    assert found.blocking_observations == ((seen,) if verdict is Verdict.FAIL else ())
