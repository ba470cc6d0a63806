"""`otaudit check --active`: it says what it runs, it refuses what it cannot run, and without it nothing runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from checker.probes import verifier
from tests.cli.conftest import AS_OF, Call
from tests.trials.device import STATEFUL, UPDATE, make


def test_it_says_what_it_runs_and_reports_what_came_of_it(
    otaudit: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verifier, "_TESTS", ("T00", "T03"))
    small, report = make(tmp_path / "small"), tmp_path / "report.json"
    done = otaudit("check", small.update, "--active", "--as-of", AS_OF, "-o", report)
    assert "otaudit: main: offering 2-A.bin to command\n" in done.err
    trials = [item for item in json.loads(report.read_bytes())["evidence"]["records"] if item["probe"] == "verifier"]
    assert {item["values"]["outcome"] for item in trials} == {"accepted", "refused"}
    assert str(tmp_path) not in report.read_text()
    assert "PRIVATE" not in report.read_text()


def test_it_is_silent_where_it_shall_be(otaudit: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verifier, "_TESTS", ("T00",))
    done = otaudit("check", make(tmp_path / "small").update, "--active", "--quiet", "--as-of", AS_OF)
    assert done.err == ""


def test_without_it_nothing_runs_and_the_summary_says_what_would(otaudit: Call, tmp_path: Path) -> None:
    small = make(tmp_path / "small")
    (small.folder / "agent.py").write_text("import pathlib; pathlib.Path(__file__).with_name('ran').touch()")
    report = tmp_path / "report.txt"
    otaudit("check", small.update, "--as-of", AS_OF, "-o", report, "-o", tmp_path / "report.json")
    assert not (small.folder / "ran").exists()
    assert "only with --active" in (tmp_path / "report.json").read_text()


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("adapter: command", "adapter: comand", "there is no adapter 'comand'; did you mean 'command'?"),
        ("{signature}", "{signatur}", "'{signatur}' is no placeholder; did you mean 'signature'?"),
        (
            UPDATE[UPDATE.index("  adapter") :] + STATEFUL,
            "  adapter: minisign\n  args: {keey: trust.pem}\n",
            "'keey' is no setting of the adapter minisign; did you mean 'key'?",
        ),
        (
            UPDATE[UPDATE.index("  adapter") :] + STATEFUL,
            "  adapter: minisign\n",
            "the adapter minisign needs the setting key: the public key that it trusts",
        ),
        (
            UPDATE[UPDATE.index("  adapter") :] + STATEFUL,
            "  adapter: minisign\n  args: {key: ../../etc/passwd}\n",
            "leads out of the description's folder",
        ),
    ],
)
def test_a_command_that_cannot_be_run_exits_2(otaudit: Call, tmp_path: Path, old: str, new: str, said: str) -> None:
    text = (UPDATE + STATEFUL).replace(old, new, 1)
    assert text != UPDATE + STATEFUL
    done = otaudit("check", make(tmp_path / "small", update=text).update, "--active", "--as-of", AS_OF)
    assert done.status == 2
    assert said in done.err


@pytest.mark.parametrize("seconds", ["0", "-1", "soon", "1e9"])
def test_a_senseless_time_limit_exits_2(otaudit: Call, tmp_path: Path, seconds: str) -> None:
    assert otaudit("check", tmp_path / "update.yaml", "--active", "--trial-timeout", seconds).status == 2
