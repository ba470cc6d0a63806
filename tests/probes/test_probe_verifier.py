"""Active tests end to end: what honest, careless, broken and hanging verifiers are worth."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from checker.description.load import load
from checker.description.model import Description
from checker.errors import DescriptionError
from checker.io.files import Files
from checker.model.evidence import Evidence
from checker.model.terms import Reason
from checker.probes import _run, verifier
from checker.probes.contract import Context
from checker.probes.verifier import PROBE
from checker.trials.bench import Bench
from checker.trials.commands import check
from checker.trials.contract import Answer, Outcome
from tests.trials.device import DEVICE, STATEFUL, UPDATE, Small, make

AS_OF = "2026-11-01T00:00:00Z"
EVERY = verifier._TESTS
HARNESS = ("T00", "T03", "T04", "T13", "T14", "T17", "T18", "T30", "T35")


def context(small: Small) -> Context:
    description: Description = load(small.update)
    files = Files(small.folder)
    keys = _run.keyring(description, files)
    opened = _run.open_artifacts(description, files, keys, AS_OF)
    check(description, files)
    return Context(description=description, opened=opened, keys=keys, files=files, as_of=AS_OF, active=True)


def trials(small: Small, seconds: float = 30, tests: tuple[str, ...] = HARNESS) -> list[Evidence]:
    """Return the records of the tests that need no anatomy; `tests` are others."""
    with mock.patch.object(verifier, "_TESTS", tests):
        done = _run._run(replace(context(small), trial_seconds=seconds), (PROBE,), strict=True)
    return list(done.of("verifier_trial"))


@pytest.fixture(scope="module")
def right(tmp_path_factory: pytest.TempPathFactory) -> list[Evidence]:
    """Return the records of a verifier that is right, all of them."""
    return trials(make(tmp_path_factory.mktemp("right")), tests=EVERY)


def of(records: Iterable[Evidence], test: str) -> list[Evidence]:
    return [record for record in records if record.values.get("test") == test]


def answers(records: Iterable[Evidence], test: str) -> set[tuple[Any, ...]]:
    """Return outcome, as_expected and masked of every record of a test."""
    return {
        tuple(record.values.get(name) for name in ("outcome", "as_expected", "masked")) for record in of(records, test)
    }


GOOD = ("refused", True, False)
MASKED = ("refused", False, True)
TAKEN = ("accepted", False, False)
CONTROL = ("accepted", True, False)


def test_a_right_verifier_answers_every_test_that_needs_no_anatomy(right: list[Evidence]) -> None:
    records = right
    assert answers(records, "T00") == {CONTROL}
    for test in ("T03", "T04", "T13", "T14", "T18", "T30", "T35"):
        assert answers(records, test) == {GOOD}, test
    assert {record.values.get("logged") for test in ("T03", "T04", "T30") for record in of(records, test)} == {True}
    assert {record.values.get("state_unchanged") for record in of(records, "T03")} == {True}
    assert {record.values["scope"] for record in records} == {"deliverable"}
    assert {record.values["target"] for record in records} == {"main"}
    assert of(records, "T17")[0].unavailable is Reason.NOT_RUN


def test_the_control_comes_before_and_after_every_group(right: list[Evidence]) -> None:
    said = {record.origin.pointer for record in of(right, "T00")}
    assert {"T00, before everything", "T00, after T03, T04", "T00, after T30, T35"} <= said


def test_one_that_accepts_everything_is_seen_to(tmp_path: Path) -> None:
    records = trials(make(tmp_path, "accepts"))
    assert answers(records, "T00") == {CONTROL}
    for test in ("T03", "T04", "T13", "T18", "T30", "T35"):
        assert answers(records, test) == {TAKEN}, test


def test_no_refusal_counts_of_one_that_refuses_everything(tmp_path: Path) -> None:
    records = trials(make(tmp_path, "refuses"))
    assert answers(records, "T00") == {("refused", False, False)}
    assert answers(records, "T03") == answers(records, "T18") == {MASKED}
    assert {record.unavailable for record in of(records, "T30") + of(records, "T13")} == {Reason.NOT_RUN}
    assert "was not accepted" in of(records, "T30")[0].explanation


def test_a_checksum_at_boot_is_found_out_by_the_repaired_one_alone(tmp_path: Path) -> None:
    records = trials(make(tmp_path, "checks the checksum at boot"))
    assert answers(records, "T30") == {GOOD}
    assert answers(records, "T35") == {TAKEN}


def test_one_that_trusts_its_flash_starts_what_was_changed(tmp_path: Path) -> None:
    records = trials(make(tmp_path, "trusts its flash"))
    assert answers(records, "T30") == answers(records, "T35") == {TAKEN}


def test_a_refusal_at_boot_of_what_the_report_shows_as_active_is_none(tmp_path: Path) -> None:
    records = trials(make(tmp_path, "starts it all the same"))
    middle = next(record for record in of(records, "T30") if "middle" in record.origin.pointer)
    assert (middle.values["outcome"], middle.values["as_expected"]) == ("accepted", False)


def test_a_report_that_changes_by_itself_tells_nothing(tmp_path: Path) -> None:
    records = trials(make(tmp_path, "tells the time"))
    assert answers(records, "T03") == {GOOD}
    assert {record.values.get("state_unchanged") for record in of(records, "T03")} == {None}
    assert {record.unavailable for record in of(records, "T30") + of(records, "T35")} == {Reason.NOT_RUN}
    assert "each time" in of(records, "T35")[0].explanation


def test_a_crash_is_no_refusal(tmp_path: Path) -> None:
    records = trials(make(tmp_path, "crashes"))
    assert answers(records, "T03") == {("crashed", False, False)}
    assert answers(records, "T00") == {CONTROL}


def test_one_that_installs_before_it_verifies_has_changed_its_state(tmp_path: Path) -> None:
    records = trials(make(tmp_path, "installs first"))
    assert answers(records, "T03") == {GOOD}
    assert {record.values["state_unchanged"] for record in of(records, "T03")} == {False}


def test_another_reason_masks(tmp_path: Path) -> None:
    records = trials(make(tmp_path, "says another reason"))
    assert answers(records, "T03") == {MASKED}
    assert answers(records, "T18") == {GOOD}


@pytest.mark.parametrize(("kind", "test"), [("takes older", "T13"), ("takes foreign", "T18")])
def test_what_is_taken_is_told(tmp_path: Path, kind: str, test: str) -> None:
    records = trials(make(tmp_path, kind))
    assert answers(records, test) == {TAKEN}
    assert answers(records, "T03") == {GOOD}


def test_a_hang_is_no_refusal_and_does_not_take_for_ever(tmp_path: Path) -> None:
    records = trials(make(tmp_path, "hangs"), seconds=0.5)
    assert ("timeout", False, False) in answers(records, "T00")
    said = {record.unavailable for record in of(records, "T18") + of(records, "T30")}
    assert said == {Reason.TIMEOUT}


def test_without_a_state_what_needs_one_says_so(tmp_path: Path) -> None:
    update = UPDATE.replace('"{state}"', "state-of-nobody")
    (tmp_path / "small").mkdir()
    small = make(tmp_path / "small", "accepts", update=update)
    (small.folder / "agent.py").write_text("import sys; sys.exit(0)")
    records = trials(small)
    for test in ("T13", "T14", "T30", "T35"):
        assert {record.unavailable for record in of(records, test)} == {Reason.NOT_DECLARED}, test
        assert "state and report" in of(records, test)[0].explanation
    assert {record.values.get("state_unchanged") for record in of(records, "T03")} == {None}


def test_two_runs_say_the_same_and_leave_the_description_as_it_was(tmp_path: Path) -> None:
    small = make(tmp_path)
    before = {path: path.read_bytes() for path in small.folder.rglob("*") if path.is_file()}
    assert trials(small) == trials(small)
    assert {path: path.read_bytes() for path in small.folder.rglob("*") if path.is_file()} == before


def test_every_test_has_its_place_and_one_reason_at_least(right: list[Evidence], tmp_path: Path) -> None:
    records = right
    assert {record.values["test"] for record in records} >= {"T00", "T01", "T12", "T26", "T30b", "T38"}
    assert all(record.explanation for record in records if record.unavailable is not None)
    assert not any(str(tmp_path) in record.explanation for record in records)


def test_a_failing_harness_in_one_trial_keeps_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Bench.offer

    def offer(self: Bench, one: Any) -> Any:
        if one.test == "T03":
            raise ZeroDivisionError
        return whole(self, one)

    monkeypatch.setattr(Bench, "offer", offer)
    records = trials(make(tmp_path))
    assert {record.unavailable for record in of(records, "T03")} == {Reason.PROBE_FAILED}
    assert answers(records, "T18") == {GOOD}


def test_a_control_that_fails_afterwards_takes_the_worth_of_the_group(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, count = Bench.control, 0

    def control(self: Bench) -> Answer:
        nonlocal count
        count += 1
        return whole(self) if count != 3 else Answer(outcome=Outcome.REFUSED)

    monkeypatch.setattr(Bench, "control", control)
    records = trials(make(tmp_path))
    assert answers(records, "T18") == answers(records, "T30") == {MASKED}
    assert answers(records, "T03") == {GOOD}


TWO = DEVICE.replace("targets: [{id: main}]", "targets: [{id: main}, {id: radio}]")


def test_a_target_without_a_verifier_says_so_for_every_test(tmp_path: Path) -> None:
    records = trials(make(tmp_path, device=TWO))
    images = [record for record in records if record.values["scope"] == "image"]
    assert {record.unavailable for record in images} == {Reason.NOT_DECLARED}
    assert {record.values["target"] for record in images} == {"main", "radio"}
    assert answers([record for record in records if record.values["scope"] == "deliverable"], "T03") == {GOOD}


def test_a_file_for_one_target_is_its_image(tmp_path: Path) -> None:
    own = UPDATE.replace(".sig}", ".sig, target: main}").replace(".sig, release", ".sig, target: main, release")
    command = UPDATE[UPDATE.index("verifier:") :] + STATEFUL
    device = TWO.replace("{id: main}", "{id: main, verifier: {adapter: command, device: A, argv: [./v]}}")
    update = own[: own.index("verifier:")]
    inline = "\n".join(line.strip() for line in command.splitlines()[1:])
    device = device.replace("adapter: command, device: A, argv: [./v]", ", ".join(inline.splitlines()))
    records = trials(make(tmp_path, device=device, update=update))
    images = [record for record in records if record.values.get("target") == "main"]
    assert {record.values["scope"] for record in images} == {"image"}
    assert answers(images, "T00") == {CONTROL}
    assert answers(images, "T03") == {GOOD}
    deliverable = [record for record in records if record.values["scope"] == "deliverable"]
    assert {record.unavailable for record in deliverable} == {Reason.NOT_DECLARED}


def test_the_unit_that_the_verifier_plays_chooses_the_deliverable(tmp_path: Path) -> None:
    records = trials(make(tmp_path, update=UPDATE.replace("device: A\n", "device: B\n") + STATEFUL))
    assert {record.origin.file for record in of(records, "T00")} == {"2-B.bin"}
    assert answers(records, "T00") == {("refused", False, False)}  # the agent is that of unit A


def test_a_missing_artifact_is_the_reason(tmp_path: Path) -> None:
    small = make(tmp_path)
    (small.folder / "2-A.bin").unlink()
    records = trials(small)
    assert {record.unavailable for record in records} == {Reason.MISSING_ARTIFACT}


def test_without_permission_nothing_runs_and_one_slot_per_target_says_so(tmp_path: Path) -> None:
    small = make(tmp_path)
    (small.folder / "agent.py").write_text("import pathlib; pathlib.Path(__file__).with_name('ran').touch()")
    found = replace(context(small), active=False)
    records = list(_run._run(found, (PROBE,), strict=True).of("verifier_trial"))
    assert [(record.values, record.unavailable) for record in records] == [({"target": "main"}, Reason.NOT_PERMITTED)]
    assert records[0].explanation.endswith("only with --active")
    assert not (small.folder / "ran").exists()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("adapter: comand", "there is no adapter 'comand'; did you mean 'command'?"),
        ("adapter: command\n  args: {key: x}", "'key' is no setting of the adapter command; it has none"),
    ],
)
def test_a_command_that_nobody_can_run_is_refused_before_anything_runs(tmp_path: Path, wrong: str, said: str) -> None:
    small = make(tmp_path, update=UPDATE.replace("adapter: command", wrong) + STATEFUL)
    with pytest.raises(DescriptionError) as caught:
        context(small)
    assert said in str(caught.value)
    assert str(caught.value).startswith("update.yaml:")
