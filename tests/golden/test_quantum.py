"""The quantum tier from files to verdicts: what the pump passes, where its near miss fails, and used-up keys."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import Any

import pytest
from asn1crypto import cms
from cryptography import x509

from checker.model.assessment import Assessment
from checker.model.finding import Finding
from checker.model.terms import Grade, Reading, Step, Tier, Verdict
from checker.pipeline import Options, assess
from checker.report.html import RENDERER as HTML
from checker.report.text import RENDERER as TEXT
from samples.build import golden
from samples.build import quantum as quantum_build
from tests.crypto import pq_material as material

ROWS = frozenset({Step.SIGN, Step.PROTECT, Step.PROCESS, Step.REVERIFY})
# Trials on the device (T00, T01, T05, T07, T10, T12, T26, T30, T35) prove these alone.
BEYOND_FILES = {
    "SIGN-E3-PK7", "SIGN-Q2", "PROC-B2-SINGLE", "PROC-U2-SINGLE", "PROC-E2-SINGLE", "PROC-Q1-SINGLE", "REV-E3",
}  # fmt: skip
PASSED = {"SIGN-Q1", "SIGN-Q3", "PROT-Q1", "PROT-Q2", "REV-Q1", "REV-Q2", "REV-Q3"}


@pytest.fixture(scope="module")
def quantum() -> Assessment:
    return golden.assessed("quantum")


@pytest.fixture(scope="module")
def near_miss() -> Assessment:
    return golden.assessed("quantum-near-miss")


def verdict(finding: Finding, reading: Reading = Reading.LETTER) -> Verdict:
    return finding.judgement(Grade.PROVED, reading).verdict


def ids(found: Assessment, wanted: Verdict, reading: Reading = Reading.LETTER) -> set[str]:
    """Return the blocking requirements of the four rows with a verdict."""
    rows = (item for item in found.findings if item.requirement.step in ROWS and item.requirement.blocking)
    return {item.requirement.id for item in rows if verdict(item, reading) is wanted}


@pytest.mark.parametrize("reading", Reading)
def test_the_pump_passes_all_that_files_can_prove(quantum: Assessment, reading: Reading) -> None:
    assert ids(quantum, Verdict.FAIL, reading) == set()
    assert ids(quantum, Verdict.UNKNOWN, reading) == BEYOND_FILES
    tier = {item.requirement.id for item in quantum.findings if item.requirement.tier is Tier.QUANTUM}
    assert ids(quantum, Verdict.PASS, reading) & tier == PASSED
    assert quantum.observations == ()


def test_the_near_miss_fails_in_one_thing_per_row(quantum: Assessment, near_miss: Assessment) -> None:
    # A classical signer makes both the signature and the last link of its path classical.
    failed = {"SIGN-Q1", "SIGN-Q2", "SIGN-Q3", "PROT-Q2", "PROC-Q1-SINGLE", "REV-Q3"}
    assert ids(near_miss, Verdict.FAIL) == failed
    assert ids(near_miss, Verdict.UNKNOWN) == BEYOND_FILES - failed
    assert ids(near_miss, Verdict.PASS) == ids(quantum, Verdict.PASS) - failed
    assert {item.step for item in near_miss.rows if item.contradiction} == ROWS  # it claims +3 in each of them
    assert [item.code for item in near_miss.observations] == ["SIGN-Q1-LETTER"]


def test_letter_only_is_said_in_words_for_people(quantum: Assessment, near_miss: Assessment) -> None:
    words = "a quantum computer could still break what protects the update, so that tier is refused"
    for renderer in (TEXT, HTML):
        said = " ".join(renderer.render(near_miss).decode().split())
        assert words in said
        assert words not in " ".join(renderer.render(quantum).decode().split())


# State


@pytest.fixture
def fleet(tmp_path: Path) -> Any:
    """Two devices' artifacts under one HSS key; `fleet(first, second)` signs with those leaves of its tree."""

    def make(*leaves: int, same: bool = False) -> Assessment:
        artifacts = ""
        for device, leaf in zip("AB", leaves, strict=True):
            signer = material.hss(b"fleet", start=leaf)
            content = b"firmware " * 50 + (b"" if same else device.encode())
            (tmp_path / f"{device}.bin").write_bytes(content)
            (tmp_path / f"{device}.sig").write_bytes(signer.sign(content))
            (tmp_path / "release.pub").write_bytes(signer.spki)
            artifacts += f"  - {{file: {device}.bin, signature: {device}.sig, device: {device}}}\n"
        (tmp_path / "device.yaml").write_text(
            "otaudit: device/1\nvendor: Acme\nmodel: X\ntargets: [{id: main}]\ntrust: {images: {keys: [release.pub]}}\n"
        )
        head = "otaudit: update/1\ndevice: device.yaml\nid: x-1\nversion: '1'\nartifacts:\n"
        (tmp_path / "update.yaml").write_text(head + artifacts)
        return assess(tmp_path / "update.yaml", Options(as_of=golden.AS_OF))

    return make


def state(found: Assessment) -> Finding:
    return next(item for item in found.findings if item.requirement.id == "SIGN-Q4")


def test_an_index_that_two_artifacts_share_fails_and_both_are_named(fleet: Any) -> None:
    found = fleet(4, 4)
    assert verdict(state(found)) is Verdict.FAIL
    used = [item for item in found.evidence.of("one_time_index") if item.values.get("repeated")]
    assert [item.values["where"] for item in used] == [["A.bin", "B.bin"]] * 2
    assert [item.origin.file for item in used] == ["A.bin", "B.bin"]
    page = HTML.render(found).decode()
    observed = page[page.index('id="SIGN-Q4"') :].split("Expected</b>")[0].split("To do")[0]
    assert "A.bin" in observed
    assert "B.bin" in observed


def test_an_index_of_its_own_for_each_is_not_proved_without_the_module_that_keeps_the_state(fleet: Any) -> None:
    found = fleet(4, 5)
    assert verdict(state(found)) is Verdict.UNKNOWN  # the attestation is missing, and nothing repeats
    assert all(item.values["repeated"] is False for item in found.evidence.of("one_time_index"))


def test_one_file_for_two_devices_is_one_use(fleet: Any) -> None:
    assert verdict(state(fleet(4, 4, same=True))) is Verdict.UNKNOWN


# A second implementation


@pytest.mark.parametrize("version", ["3.1.0", "3.2.0"])
def test_pqcrypto_verifies_the_pumps_signatures_and_refuses_changed_ones(version: str) -> None:
    sign = pytest.importorskip("pqcrypto.sign", reason="pqcrypto is not installed").ml_dsa_65
    for device in "AB":
        message = golden.SAMPLES / "quantum" / "artifacts" / f"pc9-{version}-{device}.p7m"
        signed = cms.ContentInfo.load(message.with_suffix(".p7s").read_bytes())["content"]
        (info,) = signed["signer_infos"]
        year = {"3.1.0": 2025, "3.2.0": 2026}[version]
        path = golden.SAMPLES / "quantum" / "trust" / f"signer-{year}.crt.pem"
        public: Any = x509.load_pem_x509_certificate(path.read_bytes()).public_key()
        raw = public.public_bytes_raw()
        attributes = info["signed_attrs"].untag().dump()
        assert hashlib.sha3_512(message.read_bytes()).digest() in attributes
        sign.verify(raw, attributes, info["signature"].native)  # it raises where it does not verify
        with pytest.raises(ValueError, match="verif"):
            sign.verify(raw, attributes[:-1] + bytes([attributes[-1] ^ 1]), info["signature"].native)


def test_one_content_key_for_all_is_found_inside_the_signed_messages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "quantum"
    shutil.copytree(golden.SAMPLES / "quantum", folder, ignore=shutil.ignore_patterns("artifacts", "expected"))
    monkeypatch.setattr(quantum_build, "key_bytes", lambda _, size: bytes(range(7, 7 + size)))
    quantum_build.build(folder)
    found = assess(folder / "update.yaml", Options(as_of=golden.AS_OF))
    assert {"PROT-B3", "PROT-U13"} <= ids(found, Verdict.FAIL)
    assert not {"PROT-B3", "PROT-U13"} & ids(golden.assessed("quantum"), Verdict.FAIL)
