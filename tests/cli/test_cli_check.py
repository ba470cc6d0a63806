from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from checker.model.terms import Step
from tests.cli.conftest import AS_OF, Call

CLAIMS_ONLY = """\
otaudit: update/1
device:
  otaudit: device/1
  vendor: Acme
  model: X
  targets: [{id: main}]
  steps:
%s
id: x-1
version: "1"
claims:
%s
"""


def everything_claimed() -> str:
    described = "who: us, by: our updater, channel: https, trigger: nightly, installer: A/B"
    steps = "\n".join(
        f"    {step}: {{{described if step is Step.APPLY else described.rpartition(',')[0]}}}" for step in Step
    )
    return CLAIMS_ONLY % (steps, "\n".join(f"  {step}: quantum" for step in Step))


def test_a_gate_that_is_met_exits_0(otaudit: Call, gateway: Path) -> None:
    done = otaudit("check", gateway / "update.yaml", "--as-of", AS_OF)
    assert done.status == 0, done.err
    assert done.out == ""


def test_the_same_update_with_one_demand_too_many_is_undecided_and_exits_3(otaudit: Call, gateway: Path) -> None:
    done = otaudit("check", gateway / "update.yaml", "--as-of", AS_OF, "--require", "sign=quantum")
    assert done.status in {1, 3}
    done = otaudit("check", gateway / "update.yaml", "--as-of", AS_OF, "--require", "check=basic")
    assert done.status == 3


def test_a_failed_demand_exits_1(otaudit: Call, camera: Path) -> None:
    assert otaudit("check", camera / "update.yaml", "--as-of", AS_OF).status == 1


def test_everything_claimed_and_nothing_proved_exits_3_and_proves_no_tier(otaudit: Call, tmp_path: Path) -> None:
    (tmp_path / "update.yaml").write_text(everything_claimed())
    report = tmp_path / "report.json"
    done = otaudit("check", tmp_path / "update.yaml", "--as-of", AS_OF, "-o", report, "-o", tmp_path / "report.html")
    assert done.status == 3
    rows = json.loads(report.read_bytes())["rows"]
    assert {row["tiers"]["proved"][reading] for row in rows for reading in ("letter", "modern")} == {"none"}
    assert {row["claimed"] for row in rows} == {"quantum"}


def test_an_update_that_says_nothing_exits_3(otaudit: Call, tmp_path: Path) -> None:
    (tmp_path / "update.yaml").write_text(
        'otaudit: update/1\ndevice: {otaudit: device/1, vendor: A, model: B}\nid: x\nversion: "1"\n'
    )
    assert otaudit("check", tmp_path / "update.yaml", "--as-of", AS_OF).status == 3


def test_a_missing_artifact_is_unknown_and_never_a_pass(otaudit: Call, gateway: Path) -> None:
    for path in (gateway / "artifacts").iterdir():
        path.unlink()
    done = otaudit("check", gateway / "update.yaml", "--as-of", AS_OF, "-o", "json:-", "-q")
    assert done.status == 3
    rows = {row["step"]: row for row in json.loads(done.out)["rows"]}
    assert rows["sign"]["tiers"]["proved"]["letter"] == "none"


@pytest.mark.parametrize("damage", [b"", b"not an update", bytes(4096)])
def test_an_unreadable_artifact_is_unknown_and_never_a_pass(otaudit: Call, gateway: Path, damage: bytes) -> None:
    for path in (gateway / "artifacts").iterdir():
        path.write_bytes(damage)
    assert otaudit("check", gateway / "update.yaml", "--as-of", AS_OF).status == 3


def test_one_flipped_byte_of_the_payload_fails_the_gate(otaudit: Call, gateway: Path) -> None:
    path = gateway / "artifacts" / "gw200-2.4.1-A.swu"
    data = bytearray(path.read_bytes())
    data[-9000] ^= 1
    path.write_bytes(data)
    assert otaudit("check", gateway / "update.yaml", "--as-of", AS_OF).status == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--gate", "platinum"], "'platinum' is not a tier"),
        (["--require", "sign"], "say STEP=TIER"),
        (["--require", "sing=basic"], "say STEP=TIER"),
        (["-o", "report.docx"], "no output writes this"),
        (["-o", "a.json", "-o", "a.json"], "same place"),
        (["--as-of", "yesterday"], "not an ISO 8601"),
        (["--as-of", "9999-12-31T23:59:59-23:59"], "not an ISO 8601"),
        (["--as-off", AS_OF], "No such option"),
        (["--rules", "/nonexistent"], "rule"),
    ],
)
def test_a_bad_command_line_exits_2_and_says_why(
    otaudit: Call, gateway: Path, arguments: list[str], words: str
) -> None:
    done = otaudit("check", gateway / "update.yaml", *arguments)
    assert done.status == 2
    assert words in done.err
    assert "Traceback" not in done.err


@pytest.mark.parametrize("text", ["", "[" * 100_000, "a: 1\na: 2\n", "\x00", "otaudit: update/1\n"])
def test_an_unreadable_description_exits_2_with_a_place(otaudit: Call, tmp_path: Path, text: str) -> None:
    path = tmp_path / "update.yaml"
    path.write_text(text)
    done = otaudit("check", path)
    assert done.status == 2
    assert "update.yaml:" in done.err
    assert "Traceback" not in done.err


def test_a_missing_description_exits_2(otaudit: Call, tmp_path: Path) -> None:
    assert otaudit("check", tmp_path / "none.yaml").status == 2


def test_reports_are_the_same_bytes_in_two_runs_and_from_two_folders(
    otaudit: Call, gateway: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = tmp_path / "1", tmp_path / "2"
    for folder in (first, second):
        folder.mkdir()
    otaudit("check", gateway / "update.yaml", "--as-of", AS_OF, "-o", first / "r.json", "-o", first / "r.html")
    monkeypatch.chdir(gateway.rename(tmp_path / "elsewhere"))
    otaudit("check", "update.yaml", "--as-of", AS_OF, "-o", second / "r.json", "-o", second / "r.html")
    for name in ("r.json", "r.html"):
        assert (first / name).read_bytes() == (second / name).read_bytes()
        assert str(tmp_path).encode() not in (first / name).read_bytes()


def test_a_report_that_cannot_be_written_leaves_nothing_behind(otaudit: Call, gateway: Path, tmp_path: Path) -> None:
    done = otaudit("check", gateway / "update.yaml", "--as-of", AS_OF, "-o", tmp_path / "no" / "r.json")
    assert done.status == 2
    assert "cannot be written" in done.err
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "r.json").mkdir()
    done = otaudit("check", gateway / "update.yaml", "--as-of", AS_OF, "-o", kept / "r.json")
    assert done.status == 2
    assert os.listdir(kept) == ["r.json"]  # noqa: PTH208


def test_the_summary_is_one_screen_on_standard_error(otaudit: Call, gateway: Path) -> None:
    done = otaudit("check", gateway / "update.yaml", "--as-of", AS_OF)
    assert all(step in done.err.lower() for step in ("sign", "re-verify", "clean-up"))
    assert len(done.err.splitlines()) <= 50


def test_quiet_prints_nothing(otaudit: Call, gateway: Path) -> None:
    done = otaudit("check", gateway / "update.yaml", "--as-of", AS_OF, "--quiet")
    assert (done.status, done.out, done.err) == (0, "", "")


def test_nothing_fails_where_nothing_could_be_opened(otaudit: Call, gateway: Path) -> None:
    """A closed file may hold inner images, so what it lacks is unknown and no failure of the target's own check."""
    for folder in ("artifacts", "logs"):
        for path in (gateway / folder).iterdir():
            path.unlink()
    done = otaudit("check", gateway / "update.yaml", "--as-of", AS_OF, "-o", "json:-", "-q")
    findings = json.loads(done.out)["findings"]
    failed = {
        item["requirement"]["id"] for item in findings if item["judgements"]["proved"]["letter"]["verdict"] == "fail"
    }
    assert failed == set()
