from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from checker.model.evidence import Evidence, EvidenceSet
from checker.model.finding import Finding
from checker.model.requirement import RuleSet
from checker.model.terms import Grade, Method, Reading, Verdict
from checker.rules.judge import Inputs, answers, judge
from checker.rules.observations import observe

Make = Callable[..., Evidence]
NOW = "2026-11-01T00:00:00Z"
QUOTE: dict[str, Any] = {
    "document": "policy",
    "clause": "4.2",
    "quote": "keys are kept in a list",
    "quote_found": True,
    "digest_ok": True,
    "current": True,
}


def find(rules: RuleSet, requirement: str, *records: Evidence, **inputs: str) -> Finding:
    findings = judge(rules, EvidenceSet.complete((), records), Inputs(as_of=NOW, **inputs))
    return next(item for item in findings if item.requirement.id == requirement)


def verdicts(finding: Finding) -> dict[str, str]:
    return {f"{grade}": str(finding.judgement(grade).verdict) for grade in Grade}


def said(finding: Finding) -> tuple[str, str]:
    judgement = finding.judgement()
    return str(judgement.verdict), str(judgement.reason)


def signed(record: Make, name: str = "a", **values: Any) -> tuple[Evidence, Evidence]:
    return record("artifact", artifact=name, release="current"), record("signature", artifact=name, **values)


def test_every_requirement_is_judged_under_every_grade_and_reading(small: RuleSet) -> None:
    findings = judge(small, EvidenceSet.complete((), ()), Inputs(as_of=NOW))
    assert [item.requirement.id for item in findings] == [item.id for item in small.requirements]
    assert all(len(item.judgements) == 4 for item in findings)
    assert {item.judgement().verdict for item in findings} <= {Verdict.UNKNOWN, Verdict.NOT_APPLICABLE}
    assert all(item.fix for item in findings if item.judgement().verdict is Verdict.UNKNOWN)


def test_the_modern_reading_may_pass_where_the_letter_fails(small: RuleSet, record: Make) -> None:
    blake = record("signature", artifact="a", verified=True, hash={"name": "blake3", "collision_bits": 128})
    finding = find(small, "SIGN-B3", blake)
    assert finding.judgement(reading=Reading.LETTER).verdict is Verdict.FAIL
    assert finding.judgement(reading=Reading.MODERN).verdict is Verdict.PASS


# --- Groups -----------------------------------------------------------------------------------------------------------


def test_each_group_must_pass(small: RuleSet, record: Make) -> None:
    good, bad = signed(record, "a", verified=True), signed(record, "b", verified=False)
    assert said(find(small, "SIGN-B1", *good)) == ("pass", "None")
    assert said(find(small, "SIGN-B1", *good, *bad)) == ("fail", "contradicted")
    assert said(find(small, "SIGN-B1", *good, bad[0])) == ("unknown", "missing_record")


def test_a_group_outside_the_where_is_ignored_and_an_unsure_one_is_not(small: RuleSet, record: Make) -> None:
    good = signed(record, "a", verified=True)
    old = record("artifact", artifact="b", release="previous"), record("signature", artifact="b", verified=False)
    unsure = record("artifact", artifact="b"), record("signature", artifact="b", verified=False)
    assert said(find(small, "SIGN-B1", *good, *old))[0] == "pass"
    assert said(find(small, "SIGN-B1", *good, *unsure))[0] == "unknown"
    assert said(find(small, "SIGN-B1", *old))[0] == "unknown"


def test_a_record_that_may_belong_to_any_group_helps_none(small: RuleSet, record: Make) -> None:
    artifact, _ = signed(record, "a", verified=True)
    assert said(find(small, "SIGN-B1", artifact, record("signature", verified=True)))[0] == "unknown"


def trial(record: Make, target: str, outcome: str = "refused", test: str = "T01") -> Evidence:
    return record("verifier_trial", test=test, target=target, outcome=outcome)


def test_the_weakest_target_decides_and_all_are_listed(small: RuleSet, record: Make) -> None:
    targets = [record("hardware_target", target=name) for name in ("cpu", "fpga")]
    finding = find(small, "PROC-B1", *targets, trial(record, "cpu"), trial(record, "fpga", "accepted"))
    assert said(finding)[0] == "fail"
    assert {name: str(item.verdict) for name, item in finding.per_target.items()} == {"cpu": "pass", "fpga": "fail"}
    assert said(find(small, "PROC-B1", *targets, trial(record, "cpu")))[0] == "unknown"
    assert said(find(small, "PROC-B1", *targets, trial(record, "cpu"), trial(record, "fpga")))[0] == "pass"


def test_a_record_without_a_target_counts_only_on_a_device_with_one(small: RuleSet, record: Make) -> None:
    one, two = record("hardware_target", target="cpu"), record("hardware_target", target="fpga")
    assert said(find(small, "PROC-B1", one, trial(record, "")))[0] == "pass"
    assert said(find(small, "PROC-B1", one, two, trial(record, "")))[0] == "unknown"
    assert said(find(small, "PROC-B1", trial(record, "cpu")))[0] == "unknown"


# --- Not applicable, contradicted -------------------------------------------------------------------------------------


def test_not_applicable_needs_a_condition_that_is_known_to_be_false(small: RuleSet, record: Make) -> None:
    secret = record("encryption", artifact="a", encrypted=True, cipher="aes")
    for values, verdict in (
        ({"step": "protect", "not_applicable": True}, "not_applicable"),
        ({"step": "protect", "not_applicable": False}, "pass"),
        ({"step": "protect"}, "pass"),
        ({"step": "stage", "not_applicable": True}, "pass"),
    ):
        told = record("step_description", method="declared", **values)
        assert said(find(small, "PROT-B1", secret, told))[0] == verdict


def test_a_contradiction_fails_what_would_pass_and_an_open_one_is_ignored(small: RuleSet, record: Make) -> None:
    good = signed(record, "a", verified=True)
    accepted = record("verifier_trial", test="T05", outcome="accepted", method="declared")
    assert said(find(small, "SIGN-B1", *good, accepted)) == ("fail", "contradicted")
    for other in (
        record("verifier_trial", test="T06", outcome="accepted"),
        record("verifier_trial", test="T05", outcome="refused"),
        record("verifier_trial", test="T05"),
        record("verifier_trial", test="T05", unavailable="not_run"),
    ):
        assert said(find(small, "SIGN-B1", *good, other))[0] == "pass"


@pytest.mark.parametrize("reason", ["missing_record", "probe_failed", "timeout", "unreadable"])
def test_a_contradiction_that_got_lost_is_not_ignored(small: RuleSet, record: Make, reason: str) -> None:
    good = signed(record, "a", verified=True)
    assert said(find(small, "SIGN-B1", *good, record("verifier_trial", unavailable=reason))) == ("unknown", reason)
    other = record("verifier_trial", unavailable=reason, test="T06")
    assert said(find(small, "SIGN-B1", *good, other))[0] == "pass"


# --- Grades and documents ---------------------------------------------------------------------------------------------


def key(record: Make, method: str = "examined", **values: Any) -> Evidence:
    base = {"rows": ["sign"], "in_inventory": True, "type": "private-signature", "cryptoperiod_days": 365}
    return record("key", method=method, **(base | values))


def document(record: Make, *proves: str, method: str = "examined", **values: Any) -> Evidence:
    return record("document", method=method, proves=list(proves), **(QUOTE | values))


def test_the_documented_grade_accepts_what_was_examined(small: RuleSet, record: Make) -> None:
    artifact, _ = signed(record)
    seen = record("signature", artifact="a", method="examined", verified=True)
    assert verdicts(find(small, "SIGN-B1", artifact, seen)) == {"proved": "unknown", "documented": "pass"}
    told = record("signature", artifact="a", method="declared", verified=True)
    assert verdicts(find(small, "SIGN-B1", artifact, told)) == {"proved": "unknown", "documented": "unknown"}


def test_a_document_answers_an_open_question_in_the_grades_where_it_counts(small: RuleSet, record: Make) -> None:
    finding = find(small, "SIGN-U1", document(record, "SIGN-U1"))
    assert verdicts(finding) == {"proved": "pass", "documented": "pass"}
    assert finding.judgement().by_document
    assert finding.judgement().method is Method.EXAMINED
    assert finding.observed[-1].kind == "document"
    assert verdicts(find(small, "SIGN-Q2", document(record, "SIGN-Q2"))) == {"proved": "unknown", "documented": "pass"}


def test_a_document_for_a_whole_family_documents_but_proves_nothing(small: RuleSet, record: Make) -> None:
    whole = find(small, "SIGN-U1", document(record, "SIGN-U*"))
    assert verdicts(whole) == {"proved": "unknown", "documented": "pass"}
    both = find(small, "SIGN-U1", document(record, "SIGN-U*", "SIGN-U1"))
    assert verdicts(both) == {"proved": "pass", "documented": "pass"}


def test_a_finding_shows_the_words_that_it_rests_on(small: RuleSet, record: Make) -> None:
    finding = find(small, "SIGN-U1", document(record, "SIGN-U1"))
    assert finding.observed[-1].value == QUOTE["quote"]


def test_a_document_never_overturns_a_fail(small: RuleSet, record: Make) -> None:
    bad = key(record, in_inventory=False)
    assert verdicts(find(small, "SIGN-U1", bad, document(record, "SIGN-U1"))) == {
        "proved": "fail",
        "documented": "fail",
    }


def test_a_document_does_not_answer_for_a_record_that_was_lost(small: RuleSet, record: Make) -> None:
    lost = record("key", unavailable="missing_record")
    assert verdicts(find(small, "SIGN-U1", lost, document(record, "SIGN-U1"))) == {
        "proved": "unknown",
        "documented": "unknown",
    }
    absent = record("key", unavailable="not_declared")
    assert said(find(small, "SIGN-U1", absent, document(record, "SIGN-U1")))[0] == "pass"


@pytest.mark.parametrize(
    ("proves", "change", "counts"),
    [
        ("SIGN-U1", {}, True),
        ("SIGN-U*", {}, True),
        ("SIGN-*", {}, True),
        ("SIGN-U", {}, False),
        ("SIGN-U11", {}, False),
        ("PROT-U*", {}, False),
        ("*", {}, False),
        ("S*", {}, False),
        ("SIGN-U1", {"quote_found": False}, False),
        ("SIGN-U1", {"quote_found": None}, False),
        ("SIGN-U1", {"digest_ok": False}, False),
        ("SIGN-U1", {"digest_ok": None}, False),
        ("SIGN-U1", {"current": False}, False),
        ("SIGN-U1", {"clause": ""}, False),
        ("SIGN-U1", {"quote": None}, False),
        ("SIGN-U1", {"method": "declared"}, False),
        ("SIGN-U1", {"unavailable": "unreadable"}, False),
    ],
)
def test_a_document_counts_only_whole(record: Make, proves: str, change: dict[str, Any], counts: bool) -> None:  # noqa: FBT001
    assert answers(document(record, proves, **change), "SIGN-U1") is counts


def test_a_claim_passes_where_a_statement_is_enough_and_a_document_makes_it_more(small: RuleSet, record: Make) -> None:
    told = record("step_description", method="declared", step="stage", described=True)
    alone = find(small, "STAG-B1", told).judgement()
    assert (alone.verdict, alone.method, alone.by_document) == (Verdict.PASS, Method.DECLARED, False)
    both = find(small, "STAG-B1", told, document(record, "STAG-B1")).judgement()
    assert (both.verdict, both.method, both.by_document) == (Verdict.PASS, Method.EXAMINED, True)


def test_the_inputs_decide_what_they_are_asked_for(small: RuleSet, record: Make) -> None:
    rsa = record("signature", artifact="a", key={"strength_bits": 112})
    clean = record("key", rows=["sign"], published="")
    assert said(find(small, "SIGN-U2", rsa, clean, support_until="2030-12-31"))[0] == "pass"
    assert said(find(small, "SIGN-U2", rsa, clean, support_until="2031-01-01"))[0] == "fail"
    assert said(find(small, "SIGN-U2", rsa, clean))[0] == "unknown"


# --- Observations -----------------------------------------------------------------------------------------------------


def test_weaknesses_and_failed_advisories_become_observations(small: RuleSet, record: Make) -> None:
    records = (
        record("weakness", artifact="a", code="published-development-key", message="the key of the tutorial"),
        record("weakness", artifact="b", code="never-heard-of", message=""),
        record("weakness", artifact="c", unavailable="unreadable"),
        record("signature", artifact="a", verified=True, quantum_resistant=False, hash={"name": "sha3-256"}),
    )
    evidence = EvidenceSet.complete((), records)
    found = observe(small, judge(small, evidence, Inputs(as_of=NOW)), evidence)
    assert [(item.code, str(item.severity), item.requirement) for item in found] == [
        ("published-development-key", "critical", ""),
        ("SIGN-Q1-LETTER", "info", "SIGN-Q1-LETTER"),
        ("never-heard-of", "info", ""),
    ]
    assert found[0].message == "Signed with a published development key: the key of the tutorial"
