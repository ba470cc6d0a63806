"""The shipped samples give the shipped reports; and made anew with the real tools, they give the same verdicts."""

from __future__ import annotations

import importlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from checker.pipeline import Options, assess
from checker.report.json import render
from samples.build import golden
from samples.build.__main__ import module
from samples.build._tools import MissingToolError

# Their signatures or ciphertext are random by nature; the camera's RSA PKCS#1 v1.5 and fixed fleet key are not.
RANDOM = frozenset({"gateway", "quantum", "quantum-near-miss", "sensor"})
NAMES = golden.samples()
RUNS = golden.runs()


def test_there_are_samples() -> None:
    assert {"camera", *RANDOM} <= set(NAMES)


@pytest.mark.parametrize("folder", RUNS, ids=lambda folder: str(folder.relative_to(golden.SAMPLES)))
def test_a_sample_gives_its_expected_reports(folder: Path) -> None:
    name, active = RUNS[folder]
    expected = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    made = golden.reports(name, active=active)
    assert set(expected) == set(made)
    for file, data in made.items():
        assert data.decode() == expected[file].decode(), f"{folder}/{file} changed; if that is right: make golden"


def test_only_what_is_named_has_expected_reports() -> None:
    held = {path.parent for path in golden.SAMPLES.glob("*/expected/**/report.json")}
    assert held == set(RUNS)
    assert {name for name, active in RUNS.values() if active} == {"quantum", "quantum-near-miss"}


def verdicts(report: dict[str, Any]) -> dict[str, Any]:
    """Return what random signatures and ciphertext must not change."""
    return {
        "rows": [
            {key: row[key] for key in ("step", "tiers", "claimed", "blocked_by", "capped_by")} for row in report["rows"]
        ],
        "findings": {item["requirement"]["id"]: item["judgements"] for item in report["findings"]},
        "observations": [(item["code"], item["severity"], item["step"]) for item in report["observations"]],
        "result": report["result"],
    }


@pytest.mark.parametrize("name", NAMES)
def test_a_sample_made_anew_gives_the_same_verdicts(name: str, tmp_path: Path) -> None:
    sample = tmp_path / name
    shutil.copytree(golden.SAMPLES / name, sample, ignore=shutil.ignore_patterns("artifacts", "expected"))
    try:
        importlib.import_module(f"samples.build.{module(name)}").build(sample)
    except MissingToolError as error:
        pytest.skip(f"the sample cannot be made here: {error}")
    old = json.loads((golden.SAMPLES / name / "expected" / "report.json").read_bytes())
    new = json.loads(render(assess(sample / "update.yaml", Options(as_of=golden.AS_OF))))
    assert verdicts(new) == verdicts(old)
    if name in RANDOM:  # else the artifacts are the same bytes again, and there is nothing to show
        assert digests(new) != digests(old)


def digests(report: dict[str, Any]) -> set[str]:
    """Return the SHA-256 of every artifact of a report."""
    return {item["sha256"] for item in report["identity"]["artifacts"]}


def test_the_gateway_proves_what_its_page_says() -> None:
    report = json.loads((golden.SAMPLES / "gateway" / "expected" / "report.json").read_bytes())
    proved = {row["step"]: row["tiers"]["proved"]["letter"] for row in report["rows"]}
    assert proved["sign"] == "upgraded"
    assert proved["protect"] in {"basic", "upgraded"}
    assert proved["reverify"] == "upgraded"
    assert proved["cleanup"] == "upgraded"
    assert proved["check"] == "none"  # only an active test can prove it


def test_the_camera_proves_nothing_of_what_it_claims() -> None:
    report = json.loads((golden.SAMPLES / "camera" / "expected" / "report.json").read_bytes())
    assert {row["claimed"] for row in report["rows"]} == {"enhanced"}
    applicable = [row for row in report["rows"] if not row["not_applicable"]]
    assert len(applicable) == 12  # one programmable part: nothing to distribute
    assert {row["tiers"]["proved"]["letter"] for row in applicable} <= {"none", "below-basic"}
    failed = {
        item["requirement"]["id"]
        for item in report["findings"]
        if item["judgements"]["proved"]["letter"]["verdict"] == "fail"
    }
    assert {"SIGN-B3", "SIGN-B4", "PROT-B2"} <= failed


def test_every_row_has_real_evidence_in_at_least_one_sample() -> None:
    proved = set()
    for name in NAMES:
        report = json.loads((golden.SAMPLES / name / "expected" / "report.json").read_bytes())
        for item in report["findings"]:
            judged = item["judgements"]["proved"]["letter"]
            if judged["verdict"] in {"pass", "fail"} and judged["method"] in {"tested", "examined", None}:
                proved.add(item["requirement"]["step"])
    assert len(proved) == 13
