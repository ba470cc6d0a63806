"""The samples' updates offered to agents that are built on the real tools, and to their near misses."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from checker.__main__ import run
from checker.description.load import load
from checker.io.files import Files
from checker.probes import _run, verifier
from checker.probes.contract import Context
from checker.trials import runner
from tests.trials.sample_agents import MCUBOOT, SWUPDATE

SAMPLES = Path(__file__).resolve().parents[2] / "samples"
AS_OF = "2026-11-01T00:00:00Z"
STATEFUL = """\
adapter: command, argv: ["{python}", %s, update, "{state}", "{artifact}"], boot: ["{python}", %s, boot, "{state}"],
report: ["{python}", %s, report, "{state}"], state: state, installed: slot1.bin, log: update.log"""
REASONS = """\
  reasons:
    signature: "Signature verification failed|instead of sw-description.sig"
    key: Authentication of all signatures failed
    digest: "HASH mismatch|checksum of .* is wrong"
    decrypt: cannot be decrypted
    size: "cut short|bytes behind the archive"
    format: "no archive header|CPIO|missing"
"""
NEVER = ("T08", "T09", "T10", "T11", "T12", "T17")  # they need certificates, a staging key, or another model


def needs(*names: str) -> None:
    for name in names:
        if shutil.which(name, path=runner.search_path()) is None:
            pytest.skip(f"{name} is not installed")


def agent(folder: Path, name: str, *, decryption: str, trust: str, strict: bool) -> str:
    """Write an agent for MCUboot images, and return the words of its command."""
    (folder / name).write_text(MCUBOOT.format(decryption=decryption, trust=trust, strict=strict))
    (folder / "state").mkdir()
    (folder / "state" / "meta.json").write_text('{"active": [1, 2, 0, 0], "pending": null}')
    return (STATEFUL % (name, name, name)).replace("\n", " ")


def sensor(tmp_path: Path, *, strict: bool) -> Path:
    folder = Path(shutil.copytree(SAMPLES / "sensor", tmp_path / "sensor"))
    words = agent(
        folder, "agent.py", decryption="lab/device-A.pem", trust="trust/sensor-signing.pub.pem", strict=strict
    )
    update = folder / "update.yaml"
    update.write_text(f"{update.read_text()}verifier: {{{words}, device: A}}\n")
    return update


def gateway(tmp_path: Path, *, strict: bool) -> Path:
    folder = Path(shutil.copytree(SAMPLES / "gateway", tmp_path / "gateway"))
    words = agent(folder, "radio.py", decryption="lab/radio.pem", trust="trust/radio-signing.pub.pem", strict=strict)
    device = folder / "device.yaml"
    device.write_text(device.read_text().replace("  - id: radio\n", f"  - id: radio\n    verifier: {{{words}}}\n"))
    (folder / "agent.py").write_text(SWUPDATE)
    chain = [(folder / "trust" / name).read_text() for name in ("root.crt.pem", "issuing.crt.pem")]
    (folder / "trust" / "chain.pem").write_text("".join(chain))
    update = folder / "update.yaml"
    command = 'verifier:\n  adapter: command\n  device: A\n  argv: ["{python}", agent.py, "{artifact}"]\n'
    update.write_text(f"{update.read_text()}{command}{REASONS}")
    return update


def assessed(update: Path, tmp_path: Path) -> dict[str, Any]:
    report = tmp_path / "report.json"
    run(["check", str(update), "--active", "--quiet", "--as-of", "2026-11-01", "-o", str(report)])
    found: dict[str, Any] = json.loads(report.read_bytes())
    return found


def told(report: dict[str, Any], scope: str) -> dict[str, set[tuple[str, bool]]]:
    """Return what came of each test: outcome, and whether it was as expected."""
    found: dict[str, set[tuple[str, bool]]] = {}
    for record in trials(report):
        if record["values"].get("scope") == scope and "outcome" in record["values"]:
            said = (record["values"]["outcome"], record["values"]["as_expected"])
            found.setdefault(record["values"]["test"], set()).add(said)
    return found


def trials(report: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield from (item for item in report["evidence"]["records"] if item["kind"] == "verifier_trial")


def verdicts(report: dict[str, Any], *names: str) -> list[str]:
    by_id = {item["requirement"]["id"]: item for item in report["findings"]}
    return [by_id[name]["judgements"]["proved"]["letter"]["verdict"] for name in names]


def asked_only(update: Path, monkeypatch: pytest.MonkeyPatch, *tests: str) -> dict[str, set[tuple[Any, ...]]]:
    """Return what a few tests give, by scope and test, without the others."""
    monkeypatch.setattr(verifier, "_asked", lambda _place, _description: tests)
    description, files = load(update), Files(update.parent)
    keys = _run.keyring(description, files)
    opened = _run.open_artifacts(description, files, keys, AS_OF)
    context = Context(
        description=description, opened=opened, keys=keys, files=files, as_of=AS_OF, active=True, trial_seconds=60
    )
    found: dict[str, set[tuple[Any, ...]]] = {}
    for record in verifier.PROBE.run(context):
        name = f"{record.values['scope']} {record.values['test']}"
        found.setdefault(name, set()).add((record.values.get("outcome"), record.values.get("as_expected")))
    return found


GOOD = {("refused", True)}


def test_the_sensor_refuses_whatever_it_must(tmp_path: Path) -> None:
    needs("imgtool")
    report = assessed(sensor(tmp_path, strict=True), tmp_path)
    found = told(report, "deliverable")
    assert found["T00"] == {("accepted", True)}
    for test in ("T01", "T02", "T03", "T04", "T05", "T06", "T07", "T14", "T18", "T26", "T35"):
        assert found[test] == GOOD, test
    assert found["T13"] == {("refused", False)}  # the older release is signed by a key that is not trusted any more
    assert ("accepted", False) not in found["T30"]
    assert set(found).isdisjoint(NEVER)
    assert verdicts(report, "CHECK-B1", "CHECK-B2", "CHECK-B3", "CHECK-B4", "REV-E3") == ["pass"] * 5
    assert verdicts(report, "CHECK-B5", "BEYOND-T13") == ["unknown"] * 2
    assert verdicts(report, "PROC-B2", "PROC-B2-SINGLE") == ["not_applicable", "pass"]


def test_a_sensor_that_checks_the_hash_alone_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    needs("imgtool")
    found = asked_only(sensor(tmp_path, strict=False), monkeypatch, "T00", "T01", "T05", "T07")
    assert found == {
        "deliverable T00": {("accepted", True)},
        "deliverable T01": GOOD,
        "deliverable T05": {("accepted", False)},
        "deliverable T07": {("accepted", False)},
    }


def test_the_gateways_two_targets_are_told_apart(tmp_path: Path) -> None:
    needs("imgtool", "swupdate", "openssl")
    report = assessed(gateway(tmp_path, strict=True), tmp_path)
    sent, image = told(report, "deliverable"), told(report, "image")
    assert sent["T00"] == image["T00"] == {("accepted", True)}
    for test in ("T01", "T03", "T04", "T05", "T18"):
        assert sent[test] == GOOD, test
    for test in ("T01", "T02", "T03", "T04", "T05", "T06", "T07", "T13", "T14", "T26", "T35"):
        assert image[test] == GOOD, test
    assert "T18" not in image
    by_target = next(item for item in report["findings"] if item["requirement"]["id"] == "PROC-B2")["per_target"]
    assert {name: item["verdict"] for name, item in by_target.items()} == {"main": "unknown", "radio": "pass"}
    # A deliverable cannot be signed again by a stranger: its description is encrypted, and signed in its plain form.
    assert verdicts(report, "CHECK-B1", "CHECK-B2", "CHECK-B3") == ["pass", "unknown", "pass"]


def test_a_radio_that_checks_the_hash_alone_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    needs("imgtool", "swupdate", "openssl")
    found = asked_only(gateway(tmp_path, strict=False), monkeypatch, "T00", "T05")
    assert found["deliverable T00"] == found["image T00"] == {("accepted", True)}
    assert found["deliverable T05"] == GOOD
    assert ("accepted", False) in found["image T05"]


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("main", "adapter: swupdate, args: {keyring: trust/root.crt.pem, hardware: 'gw200:1.0', purpose: codeSigning}"),
        ("radio", "adapter: imgtool, args: {key: trust/radio-signing.pub.pem}"),
    ],
)
def test_tools_that_cannot_decrypt_refuse_the_genuine_update_and_prove_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: str, words: str
) -> None:
    needs("imgtool", "swupdate")
    folder = Path(shutil.copytree(SAMPLES / "gateway", tmp_path / "gateway"))
    device = folder / "device.yaml"
    text = device.read_text().replace("{id: main, kind", "{id: main, verifier: {adapter: none}, kind")
    text = text.replace("  - id: radio\n", "  - id: radio\n    verifier: {adapter: none}\n")
    places = {"main": "{id: main, verifier: {adapter: none}", "radio": "- id: radio\n    verifier: {adapter: none}"}
    for name, place in places.items():
        own = place.replace("adapter: none", words) if name == target else place.split(", verifier")[0].split("\n")[0]
        text = text.replace(place, own)
    device.write_text(text)
    found = asked_only(folder / "update.yaml", monkeypatch, "T00", "T01")
    scope = "deliverable" if target == "main" else "image"
    assert found[f"{scope} T00"] == {("refused", False)}
    assert found[f"{scope} T01"] == {("refused", False)}
