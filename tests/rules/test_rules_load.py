# ruff: noqa: E501 - one line per fault is easier to read than four
from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from checker.errors import RuleError
from checker.model.requirement import Reference, RuleSet
from checker.model.terms import CELL_TIERS, Method, Severity, Step, Tier
from checker.rules._yaml import MAX_NODES, parse
from checker.rules.load import load, load_default

Edited = Callable[..., Path]


def test_the_shipped_rule_set_loads_with_13_rows_and_52_cells() -> None:
    rules = load_default()
    assert rules.id == "ntia-2017"
    assert len(rules.rows) == 13
    assert len({(cell.step, cell.tier) for cell in rules.cells}) == 52
    assert len(rules.digest) == 64


def test_the_six_cells_without_assumptions_accept_a_statement() -> None:
    rules = load_default()
    names = {"SEND-B1", "RECV-B1", "DIST-B1", "APPLY-B1", "ACT-B1", "CLEAN-B1"}
    assert {item.id: item.method for item in rules.requirements if item.id in names} == dict.fromkeys(
        names, Method.DECLARED
    )


def test_a_family_is_instantiated_with_its_placeholders_and_overrides(small: RuleSet) -> None:
    found = {item.id: item for item in small.requirements}
    assert found["SIGN-U1"].check is not None
    assert found["SIGN-U1"].check["where"] == {"rows": {"contains": "sign"}}
    assert found["PROT-U1"].reading == "Keys of the row protect."
    assert found["PROT-U1"].tier is Tier.UPGRADED
    assert found["PROT-U1"].applies_when == found["PROT-B1"].applies_when
    assert found["SIGN-U1"].applies_when is None


def test_texts_and_numbers_keep_their_meaning(small: RuleSet) -> None:
    found = {item.id: item for item in small.requirements}
    assert found["SIGN-B3"].references == (Reference(document="SP 800-57pt1r5", section="5.6.1", status="M"),)
    assert small.version == "0.1"
    assert small.tables["days"] == {"private-signature": 1095, "ephemeral-agreement": 1}
    assert found["SIGN-Q2"].max_age_days == 30
    assert small.observations["published-development-key"].severity is Severity.CRITICAL


def test_the_section_of_an_unchecked_reference_is_withheld() -> None:
    assert Reference(document="RFC 9124", section="4.3.4", status="S").printable() == "RFC 9124 4.3.4"
    assert Reference(document="RFC 9124", section="4.3.4", status="M").printable() == "RFC 9124"
    assert Reference(document="RFC 9124").printable() == "RFC 9124"


def test_every_cell_that_is_not_by_reference_is_asked_for_by_a_blocking_requirement() -> None:
    rules = load_default()
    asked = {(item.step, item.tier) for item in rules.requirements if item.blocking}
    assert {(cell.step, cell.tier) for cell in rules.cells if not cell.by_reference} == asked
    assert {step for step, _ in asked} == set(Step)
    assert CELL_TIERS[0] is Tier.BASIC


SIGN, TIERS = "sign.yaml", "tiers.yaml"


@pytest.mark.parametrize(
    ("name", "old", "new", "said"),
    [
        (SIGN, "{verified: true}}\n    contra", "{verifed: true}}\n    contra", "sign.yaml:9:37: $.requirements[0].check.that.verifed: SIGN-B1: signature has no field 'verifed'; did you mean 'verified'?"),
        (SIGN, "some: signature, that: {verified: true}}\n    contra", "some: signatures, that: {verified: true}}\n    contra", "there is no evidence kind 'signatures'; did you mean 'signature'?"),
        (SIGN, "{at_least: {table: bits}}", "{atleast: {table: bits}}", "there is no operator 'atleast'; did you mean 'at_least'?"),
        (SIGN, "{table: hashes}", "{table: hash}", "there is no table 'hash'; did you mean 'hashes'?"),
        (SIGN, "{in: {table: hashes}}", "{at_least: {table: bits}}", "`at_least` takes a number for a number and an ISO date for a text"),
        (SIGN, "{in: {table: hashes}}", "{in: {table: bits}}", "table bits: `in` takes a list that is not empty"),
        (SIGN, "{in: {table: hashes}}", "{contains: sha-256}", "`contains` does not fit a field of type string"),
        (SIGN, "{in: {table: hashes}}", "{in: []}", "`in` takes a list that is not empty"),
        (SIGN, "{verified: true}}\n    contra", '{verified: "true"}}\n    contra', "'true' is not of type boolean"),
        (SIGN, "{outcome: refused}", "{outcome: refuse}", "'refuse' is none of accepted, refused, crashed, timeout; did you mean 'refused'?"),
        (SIGN, "{none: key,", "{non: key,", "a check has exactly one of"),
        (SIGN, "check: {some: signature, that: {verified: true}}\n    contra", "check: {some: signature, that: {verified: true}, atleast: 2}\n    contra", "'atleast' does not belong here; did you mean 'at_least'?"),
        (SIGN, "{input: {support_until:", "{input: {supportuntil:", "there is no input 'supportuntil'; did you mean 'support_until'?"),
        (SIGN, "at_most: 2030-12-31", "at_most: 2030-13-31", "an ISO date for a text"),
        (SIGN, "kind: artifact, where: {release", "kind: digest, where: {release", "'digest' is no kind with a field of its own name"),
        (SIGN, "id: SIGN-B3", "id: SIGN-B1", "the id SIGN-B1 is here twice"),
        (SIGN, "replaces: [SIGN-U2]", "replaces: [SIGN-U9]", "replaces 'SIGN-U9', which does not exist; did you mean"),
        (SIGN, "replaces: [SIGN-U2]", "replaces: [SIGN-Q2]", "replaces SIGN-Q2, which is no lower cell of its row"),
        (SIGN, "fix: {fail: Sign it., unknown: Give the key.}", "fix: {fail: Sign it.}", "SIGN-B1: no advice for unknown"),
        (SIGN, "    references: [{document: RFC 9124, section: 4.3.4, status: V}]\n", "", "SIGN-B1: no references"),
        (SIGN, "use: KM3", "use: KM30", "there is no family 'KM30'; did you mean 'KM3'?"),
        (SIGN, "with: {row: sign}", "with: {rov: sign}", "`with` gives no value for row"),
        (SIGN, "below_basic: true", "below_basik: true", "'below_basik' does not belong here; did you mean 'below_basic'?"),
        (SIGN, "tier: quantum\n    title: The device", "tier: quantm\n    title: The device", "'quantm' is none of basic, upgraded, enhanced, quantum; did you mean 'quantum'?"),
        (SIGN, "id: SIGN-B1\n    tier: basic\n    title: A signature verifies\n", "id: SIGN-B1\n    tier: basic\n", "title missing"),
        (SIGN, "step: sign\n", "step: sign\nstep: sign\n", "the key 'step' is here twice"),
        (SIGN, "step: sign\n", "step: !!python/object:os.system sign\n", "tags are not allowed"),
        (SIGN, "{row: sign}", "{row: *gone}", "the alias *gone has no anchor above it"),
        (TIERS, "{step: stage, tier: enhanced, table: '', slide: '', by_reference: true}", "{step: stage, tier: quantum, table: '', slide: '', by_reference: true}", "the cell stage enhanced is there 0 times, not once"),
        (TIERS, "{step: sign, tier: enhanced, table: '', slide: '', by_reference: true}", "{step: sign, tier: enhanced, table: '', slide: '', by_reference: false}", "no blocking requirement asks for the cell sign enhanced"),
        (TIERS, "{step: stage, tier: basic, table: '', slide: '', by_reference: false}", "{step: stage, tier: basic, table: '', slide: '', by_reference: true}", "the cell stage basic has nothing on its left to refer to"),
        (TIERS, "step: protect, title: Protect, description: '', ceiling: upgraded", "step: protect, title: Protect, description: '', ceiling: basic", "protect upgraded lies above the row's ceiling"),
        (TIERS, "needs_requirement: SIGN-Q2", "needs_requirement: SIGN-Q9", "DEP2 names 'SIGN-Q9', which does not exist"),
        (TIERS, "needs_step: sign, needs_tier: basic}", "needs_step: sign}", "DEP1: give step and tier"),
        ("families.yaml", "{table: days, by: type}", "{table: days, by: typ}", "$.families[0].check.that.cryptoperiod_days.at_most: SIGN-U1: key has no field 'typ'; did you mean 'type'?"),
        ("families.yaml", "{table: days, by: type}", "{table: days}", "table days: `at_most` takes a number"),
        ("families.yaml", "{table: days, by: type}", "{table: bits, by: type}", "table bits is looked up by type, so it must be a mapping"),
        ("observations.yaml", "severity: critical", "severity: terrible", "'terrible' is none of info, low, medium, high, critical"),
        ("ruleset.yaml", "tiers: tiers.yaml", "tiers: ../tiers.yaml", "leads out of the rule set's folder"),
        ("ruleset.yaml", "tables: tables.yaml", "tables: table.yaml", "there is no file table.yaml"),
    ],
)  # fmt: skip
def test_a_fault_is_said_with_its_place_and_what_was_meant(
    edited: Edited, name: str, old: str, new: str, said: str
) -> None:
    with pytest.raises(RuleError) as caught:
        load(edited(name, old, new))
    assert said in str(caught.value)
    assert all(item.line >= 1 for item in caught.value.problems)


def test_all_faults_are_said_at_once(edited: Edited) -> None:
    edited(SIGN, "{table: hashes}", "{table: hash}")
    with pytest.raises(RuleError) as caught:
        load(edited("protect.yaml", "cipher: aes", "cypher: aes"))
    assert len(caught.value.problems) == 2


def test_any_changed_byte_changes_the_digest(edited: Edited, small: RuleSet) -> None:
    assert load(edited("tests/SIGN-B1.yaml", "name: valid", "name: valid ")).digest != small.digest


def test_a_folder_without_a_rule_set_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RuleError, match=r"a folder with a file ruleset\.yaml"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: 4.10", "4.10"),
        ("a: 010", "010"),
        ("a: no", "no"),
        ("a: 2031-01-01", "2031-01-01"),
        ("a: 12:30", "12:30"),
        ("a: 12", 12),
        ('a: "12"', "12"),
        ("a: true", True),
        ("a: ~", None),
        ("b: &x [1]\na: *x", [1]),
    ],
)
def test_only_what_is_meant_as_a_number_or_truth_value_becomes_one(text: str, value: object) -> None:
    data = parse(text.encode(), "x.yaml").data
    assert isinstance(data, dict)
    assert data["a"] == value
    assert type(data["a"]) is type(value)


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        "a: &a [1,1,1,1,1,1,1,1]\n"
        + "".join(f"{b}: &{b} [{','.join([f'*{a}'] * 8)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)),
        "a: &a [[[[[[[[1]]]]]]]]\n"
        + "".join(f"{b}: &{b} [[[[[[[[*{a}]]]]]]]]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)),
        "a: *a",
        "a: &a [*a]",
        "--- 1\n--- 2\n",
        "",
        "? [1]\n: 2",
        "a: b: c",
    ],
)
def test_a_hostile_file_ends_in_a_plain_error(text: str) -> None:
    with pytest.raises(RuleError):
        parse(text.encode(), "x.yaml")


def test_a_file_that_is_not_text_ends_in_a_plain_error() -> None:
    with pytest.raises(RuleError, match="0xff is not UTF-8"):
        parse(b"a: \xff", "x.yaml")
    assert MAX_NODES > 10_000
