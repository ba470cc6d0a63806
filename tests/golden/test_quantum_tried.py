"""The pump and its near miss, their own verifiers run: +3 where it is earned, and pumps that are broken in one way."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from checker.model.assessment import Assessment
from checker.model.evidence import Evidence
from checker.model.terms import Grade, Reading, Step, Tier, Verdict
from checker.pipeline import Options, assess
from checker.trials import plan
from samples.build import golden

ROWS: Final = frozenset({Step.SIGN, Step.PROTECT, Step.PROCESS, Step.REVERIFY})
TRIED: Final = ("T00", "T01", "T02", "T03", "T04", "T05", "T06", "T07", "T08", "T09", "T10", "T11", "T12", "T13", "T14",
                "T18", "T25", "T26", "T30", "T35", "T38")  # fmt: skip
# A signer on P-256 makes the signature, the last link of its path and the reference of Re-verify classical; the pump
# that takes it demands nothing else.
MISSED: Final = {
    "SIGN-Q1": Step.SIGN, "SIGN-Q2": Step.SIGN, "SIGN-Q3": Step.SIGN, "PROT-Q2": Step.PROTECT,
    "PROC-Q1-SINGLE": Step.PROCESS, "REV-Q3": Step.REVERIFY,
}  # fmt: skip


@pytest.fixture(scope="module")
def quantum() -> Assessment:
    return golden.assessed("quantum", active=True)


@pytest.fixture(scope="module")
def near_miss() -> Assessment:
    return golden.assessed("quantum-near-miss", active=True)


def tiers(found: Assessment) -> set[Tier | None]:
    return {item.tiers[Grade.PROVED, Reading.LETTER] for item in found.rows if item.step in ROWS}


def ids(found: Assessment, wanted: Verdict) -> set[str]:
    """Return the blocking requirements of the four rows with a verdict."""
    rows = (item for item in found.findings if item.requirement.step in ROWS and item.requirement.blocking)
    return {item.requirement.id for item in rows if verdict(found, item.requirement.id) is wanted}


def verdict(found: Assessment, name: str) -> Verdict:
    finding = next(item for item in found.findings if item.requirement.id == name)
    return finding.judgement(Grade.PROVED, Reading.LETTER).verdict


def trials(found: Assessment, *tests: str) -> list[Evidence]:
    return [item for item in found.evidence.of("verifier_trial") if item.values.get("test") in tests]


def test_the_pump_reaches_quantum_on_its_four_rows(quantum: Assessment) -> None:
    assert tiers(quantum) == {Tier.QUANTUM}
    assert ids(quantum, Verdict.FAIL) | ids(quantum, Verdict.UNKNOWN) == set()
    assert quantum.observations == ()


@pytest.mark.parametrize("test", TRIED)
def test_every_trial_was_made_and_the_pump_answered_as_it_must(quantum: Assessment, test: str) -> None:
    found = trials(quantum, test)
    assert found
    for record in found:
        assert record.unavailable is None, record.explanation
        assert (record.values["as_expected"], record.values["masked"]) == (True, False)
        if test not in {"T00", "T30", "T35"}:  # those install something
            assert (record.values["state_unchanged"], record.values["logged"]) == (True, True)


def test_the_near_miss_stays_below_for_one_thing_in_each_row(quantum: Assessment, near_miss: Assessment) -> None:
    assert tiers(near_miss) == {Tier.ENHANCED}
    assert ids(near_miss, Verdict.FAIL) == set(MISSED)
    assert set(MISSED.values()) == ROWS
    assert ids(near_miss, Verdict.UNKNOWN) == set()
    assert ids(near_miss, Verdict.PASS) == ids(quantum, Verdict.PASS) - set(MISSED)
    assert {item.step for item in near_miss.rows if item.contradiction} == ROWS


def test_the_near_miss_refuses_all_the_rest_as_the_pump_does(near_miss: Assessment) -> None:
    for record in trials(near_miss, *TRIED):
        assert record.unavailable is None, record.explanation
        assert (record.values["as_expected"], record.values["masked"]) == (True, False), record.origin.pointer


# Pumps that are broken in one way


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    unread = shutil.ignore_patterns("expected", "__pycache__")
    return Path(shutil.copytree(golden.SAMPLES / "quantum", tmp_path / "quantum", ignore=unread))


def edited(file: str, old: str, new: str) -> Callable[[Path], None]:
    """Return an edit of one place of one file of the sample."""

    def edit(folder: Path) -> None:
        text = (folder / file).read_text()
        assert text.count(old) == 1, old
        (folder / file).write_text(text.replace(old, new))

    return edit


def accepts_classical_signers(folder: Path) -> None:
    shutil.copyfile(
        golden.SAMPLES / "quantum-near-miss" / "device" / "state" / "policy.json",
        folder / "device" / "state" / "policy.json",
    )


def says_nothing(folder: Path) -> None:
    edited("device/pump.py", 'print(f"refused: {refusal}")', 'print("no")')(folder)


def refuses_everything(folder: Path) -> None:
    edited("device/pump.py", "    device.install(image, version)", '    raise RefusedError("digest", "never")')(folder)


PASS, FAIL, UNKNOWN = Verdict.PASS, Verdict.FAIL, Verdict.UNKNOWN
BROKEN: Final[dict[str, tuple[str, Callable[[Path], None], dict[str, Verdict]]]] = {
    "takes a classical signer as well": (
        "downgrade", accepts_classical_signers, {"SIGN-Q2": FAIL, "PROC-Q1-SINGLE": FAIL},
    ),
    "reads no revocation list": (
        "revoked",
        edited("device/message.py", "        _check_not_revoked(certificate, issuer, trust)\n", ""),
        {"SIGN-E3-PK7": FAIL},
    ),
    "follows no path to its anchor": (
        "foreign-key",
        edited("device/message.py", "    check_path(signer, certificates, trust)\n", ""),
        {"PROC-B2-SINGLE": FAIL, "PROC-U2-SINGLE": FAIL},
    ),
    "decrypts without a look at the tag": (
        "ciphertext",
        edited(
            "device/message.py",
            "return AESGCM(_content_key(recipients, trust)).decrypt(nonce, sealed + tag, None)",
            "return AESGCM(_content_key(recipients, trust)).encrypt(nonce, sealed, None)[:-16]",
        ),
        {"PROC-E2-SINGLE": FAIL},
    ),
    "believes the checksum at boot": (
        "installed",
        edited(
            "device/slots.py",
            'self._held(slot) == {name: reference.get(name) for name in ("sha3_256", "crc_32")}',
            'self._held(slot).get("crc_32") == reference.get("crc_32")',
        ),
        {"REV-E3": FAIL},
    ),
    "refuses everything": (
        "downgrade", refuses_everything, {"SIGN-Q2": UNKNOWN, "PROC-Q1-SINGLE": UNKNOWN, "CHECK-B1": FAIL},
    ),
    "does not say why": ("downgrade", says_nothing, {"SIGN-Q2": UNKNOWN, "PROC-Q1-SINGLE": UNKNOWN}),
}  # fmt: skip


@pytest.mark.parametrize("how", BROKEN)
def test_a_pump_that(quantum: Assessment, folder: Path, how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    group, broken, expected = BROKEN[how]
    assert {verdict(quantum, name) for name in expected} == {PASS}
    every = plan.mutations()
    monkeypatch.setattr(plan, "mutations", lambda: tuple(item for item in every if item.id == group))
    broken(folder)
    found = assess(folder / "update.yaml", Options(as_of=golden.AS_OF, active=True))
    assert {name: verdict(found, name) for name in expected} == expected


@pytest.mark.parametrize("active", [False, True])
def test_programs_run_with_active_only(folder: Path, monkeypatch: pytest.MonkeyPatch, *, active: bool) -> None:
    monkeypatch.setattr(plan, "mutations", tuple)
    ran = folder / "ran"
    edited("device/pump.py", "import argparse\n", f"import argparse\nopen({str(ran)!r}, 'w').close()\n")(folder)
    found = assess(folder / "update.yaml", Options(as_of=golden.AS_OF, active=active))
    assert ran.exists() is active
    if not active:
        assert {str(item.unavailable) for item in found.evidence.of("verifier_trial")} == {"not_permitted"}
