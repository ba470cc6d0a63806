from __future__ import annotations

from collections.abc import Callable

import pytest

from checker.assessment.tiers import Sheet, Standing, lowest, standings
from checker.model.finding import Finding
from checker.model.requirement import RuleSet
from checker.model.terms import CELL_TIERS, Grade, Reading, Step, Tier

Judged = Callable[..., tuple[Finding, ...]]
BASIC = {"SIGN-B1": "pass", "SIGN-B3": "pass"}
UPGRADED = BASIC | {"SIGN-U1": "pass", "SIGN-U2": "pass"}
QUANTUM = UPGRADED | {"SIGN-Q1": "pass", "SIGN-Q2": "pass"}


def rows(
    small: RuleSet, findings: tuple[Finding, ...], grade: Grade = Grade.PROVED, waived: frozenset[str] = frozenset()
) -> dict[Step, Standing]:
    return standings(Sheet.of(small, findings, grade, Reading.LETTER, waived))


@pytest.mark.parametrize(
    ("verdicts", "tier"),
    [
        ({}, Tier.NONE),
        (BASIC, Tier.BASIC),
        ({"SIGN-B1": "pass"}, Tier.NONE),
        (BASIC | {"SIGN-B3": "fail"}, Tier.NONE),
        (BASIC | {"SIGN-B1": "fail"}, Tier.BELOW_BASIC),
        (QUANTUM | {"SIGN-B1": "fail"}, Tier.BELOW_BASIC),
        (BASIC | {"SIGN-U1": "pass"}, Tier.BASIC),
        (UPGRADED, Tier.ENHANCED),  # +2 is by reference and inherits +1
        (BASIC | {"SIGN-Q1": "pass", "SIGN-Q2": "pass"}, Tier.BASIC),  # cumulative: +1 is not met
        (QUANTUM, Tier.QUANTUM),
        (QUANTUM | {"SIGN-Q1-LETTER": "fail"}, Tier.QUANTUM),  # advisory
        (QUANTUM | {"SIGN-U2": "unknown"}, Tier.QUANTUM),  # replaced by SIGN-Q1
        (UPGRADED | {"SIGN-U2": "unknown", "SIGN-Q1": "pass"}, Tier.BASIC),  # replaced at +3 only
        (QUANTUM | {"SIGN-U2": "unknown", "SIGN-Q1": "not_applicable"}, Tier.BASIC),  # nothing replaces it
        (QUANTUM | {"SIGN-Q2": "unknown"}, Tier.ENHANCED),
        (BASIC | {"SIGN-B3": "not_applicable"}, Tier.BASIC),
        (dict.fromkeys(BASIC, "not_applicable"), Tier.NONE),  # nothing empty passes
    ],
)
def test_a_row_reaches_the_highest_tier_of_which_everything_is_met(
    small: RuleSet, judged: Judged, verdicts: dict[str, str], tier: Tier
) -> None:
    assert rows(small, judged(verdicts))[Step.SIGN].tier is tier


@pytest.mark.parametrize(
    ("word", "proved", "documented"),
    [
        ("pass", Tier.BASIC, Tier.BASIC),
        ("pass d", Tier.BASIC, Tier.BASIC),
        ("pass+", Tier.NONE, Tier.BASIC),
        ("unknown", Tier.NONE, Tier.NONE),
    ],
)
def test_a_claim_alone_proves_nothing(
    small: RuleSet, judged: Judged, word: str, proved: Tier, documented: Tier
) -> None:
    findings = judged({"STAG-B1": word})
    assert rows(small, findings)[Step.STAGE].tier is proved
    assert rows(small, findings, Grade.DOCUMENTED)[Step.STAGE].tier is documented


def test_a_claimed_row_names_its_claims_as_what_blocks_it(small: RuleSet, judged: Judged) -> None:
    assert rows(small, judged({"STAG-B1": "pass+"}))[Step.STAGE].blockers(Tier.BASIC) == ("STAG-B1",)


def test_a_row_is_not_applicable_only_where_the_rules_allow_it(small: RuleSet, judged: Judged) -> None:
    gone = {"PROT-B1": "not_applicable", "PROT-U1": "not_applicable", "STAG-B1": "not_applicable"}
    found = rows(small, judged(gone))
    assert (found[Step.PROTECT].not_applicable, found[Step.PROTECT].tier) == ("excluded", Tier.NONE)
    assert (found[Step.STAGE].not_applicable, found[Step.STAGE].tier) == ("", Tier.NONE)
    half = rows(small, judged(gone | {"PROT-U1": "unknown"}))
    assert half[Step.PROTECT].not_applicable == ""


PROCESS = {"PROC-B1": "pass", "PROC-U1": "pass"}


@pytest.mark.parametrize(
    ("verdicts", "tier", "caps"),
    [
        (PROCESS | BASIC | {"PROT-B1": "pass"}, Tier.UPGRADED, []),
        (PROCESS | BASIC, Tier.BASIC, ["DEP1P"]),
        (PROCESS | {"PROT-B1": "pass"}, Tier.NONE, ["DEP1"]),
        (PROCESS | BASIC | {"PROT-B1": "not_applicable", "PROT-U1": "not_applicable"}, Tier.UPGRADED, []),
        (PROCESS | BASIC | {"SIGN-B1": "fail", "PROT-B1": "pass"}, Tier.NONE, ["DEP1"]),
    ],
)
def test_dependencies_cap(
    small: RuleSet, judged: Judged, verdicts: dict[str, str], tier: Tier, caps: list[str]
) -> None:
    found = rows(small, judged(verdicts))[Step.PROCESS]
    assert found.tier is tier
    assert [item.id for item in found.caps if item.step is Step.PROCESS] == caps


def test_a_waived_requirement_counts_as_met_and_supports_nothing(small: RuleSet, judged: Judged) -> None:
    waived = frozenset({"SIGN-B3"})
    assert rows(small, judged({"SIGN-B1": "pass", "SIGN-B3": "fail"}), waived=waived)[Step.SIGN].tier is Tier.BASIC
    assert (
        rows(small, judged({"SIGN-B3": "fail", "SIGN-B1": "not_applicable"}), waived=waived)[Step.SIGN].tier
        is Tier.NONE
    )


def reached(tier: Tier, ceiling: Tier, not_applicable: str = "") -> Tier:
    """Return what a row counts as that has met every cell up to a tier."""
    unmet = {cell: () if cell.rank <= tier.rank else ("X",) for cell in CELL_TIERS if cell.rank <= ceiling.rank}
    below = ("R1",) if tier is Tier.BELOW_BASIC else ()
    standing = Standing(step=Step.ANNOUNCE, ceiling=ceiling, unmet=unmet, below=below, not_applicable=not_applicable)
    return standing.counts_as


def test_a_row_at_its_ceiling_counts_as_the_highest_tier() -> None:
    assert reached(Tier.BASIC, Tier.BASIC) is Tier.QUANTUM
    assert reached(Tier.BASIC, Tier.UPGRADED) is Tier.BASIC
    assert reached(Tier.NONE, Tier.BASIC) is Tier.NONE
    assert reached(Tier.BELOW_BASIC, Tier.BASIC) is Tier.BELOW_BASIC


def test_a_row_with_nothing_to_meet_counts_as_met_but_has_reached_nothing() -> None:
    assert reached(Tier.NONE, Tier.UPGRADED, "met") is Tier.QUANTUM
    assert reached(Tier.NONE, Tier.UPGRADED, "excluded") is Tier.NONE
    assert Standing(step=Step.DISTRIBUTE, ceiling=Tier.UPGRADED, not_applicable="met").tier is Tier.NONE


def test_the_weakest_link_decides_and_below_basic_is_said_before_none() -> None:
    assert lowest([Tier.QUANTUM, Tier.UPGRADED]) is Tier.UPGRADED
    assert lowest([Tier.NONE, Tier.BELOW_BASIC, Tier.BASIC]) is Tier.BELOW_BASIC
    assert lowest([]) is Tier.NONE
