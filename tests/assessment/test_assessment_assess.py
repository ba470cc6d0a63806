from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from checker.assessment._fixes import fixes, next_fixes
from checker.assessment.gate import exit_status
from checker.assessment.tiers import Sheet, standings
from checker.errors import ExitStatus
from checker.model.assessment import Assessment, Row
from checker.model.finding import Finding
from checker.model.requirement import RuleSet
from checker.model.terms import Grade, Reading, Reason, Step, Tier, Verdict

Run = Callable[..., Assessment]
Judged = Callable[..., tuple[Finding, ...]]
Told = tuple[str, str, dict[str, Any]]

ARTIFACT: Told = ("artifact", "tested", {"artifact": "a", "release": "current"})
SIGNED: Told = (
    "signature",
    "tested",
    {
        "artifact": "a",
        "verified": True,
        "quantum_resistant": False,
        "hash": {"name": "sha3-256", "collision_bits": 128},
        "key": {"strength_bits": 128},
    },
)
KEY: Told = (
    "key",
    "tested",
    {"rows": ["sign"], "in_inventory": True, "type": "private-signature", "cryptoperiod_days": 1, "published": ""},
)
PUBLIC: Told = ("step_description", "declared", {"step": "protect", "not_applicable": True, "reason": "it is open"})


def row(assessment: Assessment, step: Step) -> Row:
    return next(item for item in assessment.rows if item.step is step)


def described(step: Step, method: str = "declared") -> Told:
    return ("step_description", method, {"step": str(step), "described": True})


def test_with_no_evidence_nothing_is_reached_and_the_gate_is_undecided(run: Run) -> None:
    found = run()
    assert {tier for item in found.rows for tier in item.tiers.values()} == {Tier.NONE}
    assert (found.overall, found.overall_security) == (Tier.NONE, Tier.NONE)
    assert found.counts.passed == 0
    assert exit_status(found.gate) is ExitStatus.UNDECIDED


def test_everything_claimed_and_nothing_proved_ends_with_status_3(run: Run) -> None:
    found = run(*(described(step) for step in Step), claims=dict.fromkeys(Step, Tier.QUANTUM))
    assert {item.tier() for item in found.rows} == {Tier.NONE}
    assert row(found, Step.STAGE).tier(Grade.DOCUMENTED) is Tier.BASIC
    assert row(found, Step.STAGE).claimed is Tier.QUANTUM
    assert "A statement alone proves nothing" in row(found, Step.STAGE).fixes[0].text
    assert exit_status(found.gate) is ExitStatus.UNDECIDED


def test_a_row_says_what_it_reached_and_what_blocks_the_next_tier(run: Run) -> None:
    sign = row(run(ARTIFACT, SIGNED), Step.SIGN)
    assert (sign.tier(), sign.next_tier, sign.ceiling) == (Tier.BASIC, Tier.UPGRADED, Tier.QUANTUM)
    assert sign.blocked_by == ("SIGN-U1", "SIGN-U2")
    assert [(fix.requirement, fix.effort, str(fix.verdict)) for fix in sign.fixes] == [
        ("SIGN-U1", 2, "unknown"),
        ("SIGN-U2", 4, "unknown"),
    ]


def test_a_cap_is_named_with_the_fix_behind_it(run: Run) -> None:
    sign = row(run(ARTIFACT, SIGNED, KEY), Step.SIGN)
    assert (sign.tier(), sign.next_tier) == (Tier.ENHANCED, Tier.QUANTUM)
    assert sign.capped_by == ("DEP2",)
    assert {fix.requirement for fix in sign.fixes} == {"SIGN-Q1", "SIGN-Q2"}


def test_words_without_effect_are_called_letter_only(run: Run) -> None:
    assert row(run(ARTIFACT, SIGNED), Step.SIGN).letter_only
    assert not row(run(ARTIFACT), Step.SIGN).letter_only


def test_a_claim_that_evidence_refutes_is_a_contradiction(run: Run) -> None:
    bad: Told = ("signature", "tested", {"artifact": "a", "verified": True, "hash": {"name": "md5"}})
    found = run(ARTIFACT, bad, claims={Step.SIGN: Tier.BASIC, Step.STAGE: Tier.BASIC})
    assert row(found, Step.SIGN).contradiction.startswith("Basic is claimed, but SIGN-B3 fails")
    assert row(found, Step.STAGE).contradiction == ""
    assert row(run(ARTIFACT, bad), Step.SIGN).contradiction == ""


def test_an_excluded_row_is_left_out_and_named_with_its_reason(run: Run) -> None:
    found = run(PUBLIC)
    assert found.excluded == (Step.PROTECT,)
    assert row(found, Step.PROTECT).not_applicable == "it is open"
    assert row(found, Step.PROTECT).next_tier is None
    assert row(found, Step.PROTECT).fixes == ()


def trials(*targets: tuple[str, str]) -> list[Told]:
    found: list[Told] = [("hardware_target", "tested", {"target": name}) for name, _ in targets]
    return found + [
        ("verifier_trial", "tested", {"test": "T01", "target": name, "outcome": outcome}) for name, outcome in targets
    ]


def test_the_lowest_target_decides_and_the_list_is_kept(run: Run) -> None:
    good, bad = ("cpu", "refused"), ("fpga", "accepted")
    mixed = row(run(ARTIFACT, SIGNED, PUBLIC, *trials(good, bad)), Step.PROCESS)
    assert mixed.tier() is Tier.BELOW_BASIC
    assert mixed.per_target == {"cpu": Tier.BASIC, "fpga": Tier.BELOW_BASIC}
    alike = row(run(ARTIFACT, SIGNED, PUBLIC, *trials(good)), Step.PROCESS)
    assert (alike.tier(), alike.per_target) == (Tier.BASIC, {"cpu": Tier.BASIC})
    unsigned = row(run(PUBLIC, *trials(good)), Step.PROCESS)
    assert (unsigned.tier(), unsigned.per_target) == (Tier.NONE, {"cpu": Tier.NONE})  # capped by DEP1


REST = [described(step, "tested") for step in Step if step not in (Step.SIGN, Step.PROTECT, Step.PROCESS)]


def test_the_overall_tier_is_the_weakest_row_with_ceilings_counted_as_the_highest(run: Run) -> None:
    basic = run(ARTIFACT, SIGNED, PUBLIC, *trials(("cpu", "refused")), *REST)
    assert (basic.overall, basic.overall_security) == (Tier.BASIC, Tier.BASIC)
    assert (basic.gate.verdict, exit_status(basic.gate)) == (Verdict.PASS, ExitStatus.GATE_MET)
    more = run(ARTIFACT, SIGNED, KEY, PUBLIC, *trials(("cpu", "refused")), *REST)
    assert (more.overall, more.overall_security) == (Tier.BASIC, Tier.ENHANCED)
    less = run(ARTIFACT, SIGNED, PUBLIC, *trials(("cpu", "refused")), *REST[1:])
    assert (less.overall, less.overall_security) == (Tier.NONE, Tier.BASIC)


def test_the_reading_that_was_asked_for_decides_and_both_are_kept(run: Run) -> None:
    blake: Told = (
        "signature",
        "tested",
        {"artifact": "a", "verified": True, "hash": {"name": "b", "collision_bits": 128}},
    )
    letter, modern = run(ARTIFACT, blake), run(ARTIFACT, blake, reading=Reading.MODERN)
    assert row(letter, Step.SIGN).tiers == row(modern, Step.SIGN).tiers
    assert row(modern, Step.SIGN).tier(reading=Reading.MODERN) is Tier.BASIC
    assert row(modern, Step.SIGN).tier() is Tier.NONE
    assert row(modern, Step.SIGN).next_tier is Tier.UPGRADED
    assert row(letter, Step.SIGN).next_tier is Tier.BASIC
    assert modern.counts.passed == letter.counts.passed + 1


def test_the_counts_add_up(run: Run) -> None:
    counts = run(ARTIFACT, SIGNED, PUBLIC).counts
    assert counts.passed + counts.failed + counts.unknown + counts.not_applicable == 20
    assert counts.advisory is not None
    assert (counts.advisory.failed, counts.advisory.asked) == (1, 1)


def test_at_most_three_fixes_come_first_and_those_that_lift_most_for_least(run: Run) -> None:
    found = run(ARTIFACT, SIGNED)
    # One text lifts ten rows at effort 1; the others lift one row each.
    assert [fix.requirement for fix in found.next_fixes] == ["SEND-B1", "PROT-B1", "PROC-B1"]
    assert run(ARTIFACT, SIGNED).next_fixes == found.next_fixes
    assert next_fixes((), {}) == ()


def test_what_is_known_to_be_wrong_is_mended_before_what_is_only_not_shown(run: Run) -> None:
    bad: Told = (
        "signature",
        "tested",
        {"artifact": "a", "verified": True, "hash": {"name": "md5", "collision_bits": 0}},
    )
    first, *rest = run(ARTIFACT, bad).next_fixes
    assert (first.requirement, first.verdict) == ("SIGN-B3", Verdict.FAIL)
    assert {fix.verdict for fix in rest} == {Verdict.UNKNOWN}


@pytest.mark.parametrize(
    ("reason", "because", "said"),
    [
        (Reason.NOT_RUN, "needs a staging key", "(Not run: needs a staging key.)"),
        (Reason.NOT_PERMITTED, "what the endpoints show: only with --live", "`otaudit check --live`"),
        (Reason.NOT_PERMITTED, "the device's own verifiers: only with --active", "`otaudit check --active`"),
    ],
)
def test_what_somebody_else_has_to_allow_or_to_run_comes_last_and_says_so(
    small: RuleSet, judged: Judged, reason: Reason, because: str, said: str
) -> None:
    reasons = {"PROT-B1": reason}
    findings = tuple(_because(item, reasons.get(item.requirement.id), because) for item in judged({}))
    sheet = Sheet.of(small, findings, Grade.PROVED, Reading.LETTER)
    rows = standings(sheet)
    (fix,) = fixes(rows[Step.PROTECT], rows, sheet)
    assert fix.later
    assert said in fix.text
    assert not any(item.later for item in fixes(rows[Step.SIGN], rows, sheet))


def _because(finding: Finding, reason: Reason | None, words: str) -> Finding:
    if reason is None:
        return finding
    judgements = {key: replace(item, reason=reason, explanation=words) for key, item in finding.judgements.items()}
    return replace(finding, judgements=judgements)
