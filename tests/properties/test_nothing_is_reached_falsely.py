"""Attacks on whole runs: a changed sample, a lying description or a lost record never reaches more than the honest one.

Each attack is one small change of a copy of a sample. Beside them stand controls, in which the same machinery makes an
honest change and the tiers stay.
"""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from checker.assessment.assess import Request
from checker.assessment.assess import assess as assess_findings
from checker.description.load import load
from checker.errors import OtauditError
from checker.io.files import Files
from checker.model.assessment import Assessment, Identity
from checker.model.evidence import Evidence, EvidenceSet
from checker.model.terms import Grade, Method, Reading, Reason, Step, Tier, Verdict
from checker.pipeline import Options, assess
from checker.probes._attestations import attest
from checker.probes._run import keyring, open_artifacts
from checker.probes._run import run as run_probes
from checker.probes.contract import Context
from checker.rules.judge import Inputs, judge
from checker.rules.load import load_default
from samples.build._pki import load_key
from samples.build.gateway_log import PAYLOAD_TYPE

SAMPLES: Final = Path(__file__).parents[2] / "samples"
KEYS: Final = SAMPLES / "build" / "keys"
NOW: Final = "2026-11-01T00:00:00Z"
EVERY: Final = tuple((grade, reading) for grade in Grade for reading in Reading)
Tiers = Mapping[tuple[Step, Grade, Reading], Tier]
Parts = list[tuple[str, bytes]]
FEW: Final = settings(max_examples=4, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))


class Copy:
    """A sample that may be changed: its files below `folder`, its descriptions as plain data."""

    def __init__(self, name: str, folder: Path) -> None:
        self.folder = folder / name
        shutil.copytree(SAMPLES / name, self.folder, ignore=shutil.ignore_patterns("expected"))
        self.update = self._read("update.yaml")
        self.device = self._read("device.yaml")

    def _read(self, name: str) -> Any:
        return _typed(yaml.load((self.folder / name).read_text(), Loader=yaml.BaseLoader), "")  # noqa: S506

    def assess(self, as_of: str = NOW, **options: Any) -> Assessment:
        """Write the descriptions (JSON is YAML) and assess the copy."""
        (self.folder / "device.yaml").write_text(json.dumps(self.device))
        (self.folder / "update.yaml").write_text(json.dumps(self.update))
        return assess(self.folder / "update.yaml", Options(as_of=as_of, **options))

    # The gateway's log

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.folder / "logs" / "A.jsonl").read_text().splitlines()]

    def log(self, events: list[dict[str, Any]], key: str = "gateway-log") -> None:
        """Write the log and sign it (DSSE) with one of the samples' keys."""
        body = "".join(json.dumps(event) + "\n" for event in events).encode()
        message = b"DSSEv1 %d %b %d %b" % (len(PAYLOAD_TYPE), PAYLOAD_TYPE.encode(), len(body), body)
        signature = load_key(KEYS / f"{key}.pem").sign(message, ec.ECDSA(hashes.SHA256()))
        envelope = {
            "payloadType": PAYLOAD_TYPE,
            "payload": base64.b64encode(body).decode(),
            "signatures": [{"sig": base64.b64encode(signature).decode()}],
        }
        (self.folder / "logs" / "A.jsonl").write_bytes(body)
        (self.folder / "logs" / "A.jsonl.dsse").write_text(json.dumps(envelope))

    # The gateway's bundles

    def rebuild(self, change: Callable[[Parts], Parts]) -> None:
        """Change the members of both current bundles."""
        for ref in self.update["artifacts"][:2]:
            path = self.folder / ref["file"]
            path.write_bytes(packed(change(parts(path.read_bytes()))))

    def sign_again(self, certificate: Path, key: Path) -> None:
        """Sign the description of device A's current bundle with another key."""
        path = self.folder / self.update["artifacts"][0]["file"]
        members = dict(parts(path.read_bytes()))
        device = self.folder / "lab" / "device-A"
        opened = ["cms", "-decrypt", "-inform", "DER", "-inkey", f"{device}.pem", "-recip", f"{device}.crt.pem"]
        text = openssl(*opened, stdin=members["sw-description"])
        sign = ["cms", "-sign", "-binary", "-outform", "DER", "-signer", str(certificate), "-inkey", str(key)]
        members["sw-description.sig"] = openssl(*sign, stdin=text)
        path.write_bytes(packed(list(members.items())))


def _typed(value: Any, key: str) -> Any:
    if isinstance(value, dict):
        return {name: _typed(item, name) for name, item in value.items()}
    if isinstance(value, list):
        return [_typed(item, key) for item in value]
    return int(value) if key == "size" else value == "true" if key == "external" else value


def openssl(*words: str, stdin: bytes = b"") -> bytes:
    if not shutil.which("openssl"):
        pytest.skip("openssl is not installed")
    return subprocess.run(["openssl", *words], input=stdin, capture_output=True, check=True).stdout


def parts(data: bytes) -> Parts:
    """Return the members of a cpio archive (newc), without its trailer."""
    found: Parts = []
    at = 0
    while True:
        size, name_size = int(data[at + 54 : at + 62], 16), int(data[at + 94 : at + 102], 16)
        name = data[at + 110 : at + 109 + name_size].decode()
        start = -(-(at + 110 + name_size) // 4) * 4
        if name == "TRAILER!!!":
            return found
        found.append((name, data[start : start + size]))
        at = -(-(start + size) // 4) * 4


def packed(members: Parts) -> bytes:
    """Return a cpio archive (newc with checksums)."""
    made = b""
    for name, data in [*members, ("TRAILER!!!", b"")]:
        fields = (1, 0o100644, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name) + 1, sum(data) & 0xFFFFFFFF)
        made += b"070702" + b"".join(b"%08X" % field for field in fields) + name.encode() + b"\0"
        made += bytes(-len(made) % 4) + data
        made += bytes(-len(made) % 4)
    return made


@pytest.fixture
def gateway(tmp_path: Path) -> Copy:
    return Copy("gateway", tmp_path)


@pytest.fixture
def sensor(tmp_path: Path) -> Copy:
    return Copy("sensor", tmp_path)


def tiers(found: Assessment) -> Tiers:
    return {(row.step, *key): row.tier(*key) for row in found.rows for key in EVERY}


@cache
def honest(name: str) -> Tiers:
    return tiers(assess(SAMPLES / name / "update.yaml", Options(as_of=NOW)))


def proved(found: Assessment, step: Step) -> Tier:
    return next(row.tier() for row in found.rows if row.step is step)


def verdict(found: Assessment, requirement: str) -> Verdict:
    return next(item.judgement().verdict for item in found.findings if item.requirement.id == requirement)


def risen(after: Tiers, before: Tiers) -> dict[str, str]:
    return {" ".join(key): f"{before[key]} -> {tier}" for key, tier in after.items() if tier.rank > before[key].rank}


def refused(found: Assessment, name: str, *lost: Step) -> None:
    """Assert that nothing rose, and that the rows that the attack was about lost what they had proved."""
    assert risen(tiers(found), honest(name)) == {}
    assert {step: proved(found, step).rank for step in lost} == dict.fromkeys(lost, 0)


# --- Controls ---------------------------------------------------------------------------------------------------------


def test_control_the_copied_gateway_with_its_log_signed_again_reaches_the_same(gateway: Copy) -> None:
    gateway.log(gateway.events)
    found = gateway.assess()
    assert tiers(found) == honest("gateway")
    assert found.gate.verdict is Verdict.PASS
    assert {proved(found, step).rank for step in (Step.SIGN, Step.REVERIFY, Step.CLEANUP)} == {Tier.UPGRADED.rank}


def test_control_an_archive_that_is_packed_anew_is_still_signed(gateway: Copy) -> None:
    gateway.rebuild(lambda members: members)
    assert proved(gateway.assess(), Step.SIGN) is Tier.UPGRADED


# --- Keys and signatures ----------------------------------------------------------------------------------------------


def test_without_decryption_keys_nothing_is_known_of_the_encrypted_description(gateway: Copy) -> None:
    for ref in gateway.update["artifacts"]:
        del ref["decryption_keys"]
    found = gateway.assess()
    refused(found, "gateway", Step.SIGN, Step.PROTECT, Step.REVERIFY)
    covered = [item.values.get("complete") for item in found.evidence.of("coverage") if item.unavailable is None]
    assert covered
    assert set(covered) == {None}
    assert found.gate.verdict is Verdict.UNKNOWN


def test_a_bundle_signed_by_the_key_that_the_device_decrypts_with_is_not_signed(gateway: Copy) -> None:
    gateway.sign_again(gateway.folder / "lab" / "device-A.crt.pem", KEYS / "gateway-A.pem")
    found = gateway.assess()
    refused(found, "gateway", Step.SIGN)
    assert verdict(found, "SIGN-B1") is not Verdict.PASS


def test_a_bundle_signed_by_a_stranger_with_the_name_of_the_root_is_not_signed(gateway: Copy, tmp_path: Path) -> None:
    key, certificate = tmp_path / "evil.key", tmp_path / "evil.pem"
    name = ["-subj", "/O=Acme Example/CN=Acme Update Root", "-keyout", str(key), "-out", str(certificate)]
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", *name)
    gateway.sign_again(certificate, key)
    refused(gateway.assess(), "gateway", Step.SIGN, Step.REVERIFY)


@pytest.mark.parametrize(
    "change",
    [
        lambda members: [item for item in members if item[0] != "sw-description.sig"],
        lambda members: [(name, b"" if name == "sw-description.sig" else data) for name, data in members],
        lambda members: [(name, data[:-1] + b"\0" if name == "radio.bin.enc" else data) for name, data in members],
        lambda members: [*members, ("sw-description", b'software = { version = "9"; };')],
        lambda members: members[:2],
    ],
    ids=["signature taken out", "signature emptied", "one byte changed", "second description", "no images"],
)
def test_a_damaged_bundle_is_not_signed(gateway: Copy, change: Callable[[Parts], Parts]) -> None:
    gateway.rebuild(change)
    refused(gateway.assess(), "gateway", Step.SIGN)


def test_keys_that_the_inventory_calls_compromised_verify_nothing(sensor: Copy) -> None:
    for key in sensor.device["key_inventory"]:
        if "sensor-signing" in key["id"]:
            key["state"] = "compromised"
    found = sensor.assess()
    refused(found, "sensor", Step.SIGN)
    assert found.gate.verdict is not Verdict.PASS


def test_without_anything_declared_no_signature_counts(sensor: Copy) -> None:
    del sensor.device["trust"], sensor.device["key_inventory"], sensor.device["targets"][0]["image_key"]
    refused(sensor.assess(), "sensor", Step.SIGN)


# --- Which artifact is whose ------------------------------------------------------------------------------------------


def test_the_deliverables_of_two_devices_swapped_show_no_key_of_their_own(sensor: Copy) -> None:
    first, second = sensor.update["artifacts"][:2]
    first["device"], second["device"] = second["device"], first["device"]
    found = sensor.assess()
    refused(found, "sensor", Step.PROTECT)
    assert verdict(found, "PROT-B3") is Verdict.UNKNOWN


def test_one_file_given_for_two_devices_fails(sensor: Copy) -> None:
    first, second = sensor.update["artifacts"][:2]
    second |= {"file": first["file"], "id": "copy", "decryption_key": first["decryption_key"]}
    found = sensor.assess()
    refused(found, "sensor", Step.PROTECT)
    assert verdict(found, "PROT-B2") is Verdict.FAIL


@pytest.mark.parametrize("words", [{"release": "previous"}, {"role": "recovery"}, {"release": "Current"}])
def test_without_a_current_deliverable_nothing_is_reached(sensor: Copy, words: dict[str, str]) -> None:
    for ref in sensor.update["artifacts"]:
        ref.update(words)
    refused(sensor.assess(), "sensor", Step.SIGN, Step.PROTECT)


def test_artifacts_of_no_named_device_show_no_key_per_release(sensor: Copy) -> None:
    for ref in sensor.update["artifacts"]:
        del ref["device"]
    found = sensor.assess()
    refused(found, "sensor", Step.PROTECT)
    assert verdict(found, "PROT-B3") is Verdict.UNKNOWN


def test_an_artifact_of_another_version_is_told(sensor: Copy) -> None:
    sensor.update["version"] = "9.9.9"
    codes = [item.code for item in sensor.assess().observations]
    assert "other-version" in codes


# --- Logs -------------------------------------------------------------------------------------------------------------


def each(name: str, **fields: Any) -> Callable[[list[dict[str, Any]]], None]:
    def change(events: list[dict[str, Any]]) -> None:
        for event in events:
            if name in {event["event"], "*"}:
                event.update(fields)

    return change


def weakly_bound(events: list[dict[str, Any]]) -> None:
    data = (SAMPLES / "gateway" / "artifacts" / "gw200-2.4.1-A.swu").read_bytes()
    digest = {"algorithm": "md5", "value": hashlib.md5(data, usedforsecurity=False).hexdigest()}
    for event in events:
        if "digest" in event:
            event["digest"] = digest


def of_the_ciphertext(events: list[dict[str, Any]]) -> None:
    bundle = dict(parts((SAMPLES / "gateway" / "artifacts" / "gw200-2.4.1-A.swu").read_bytes()))
    for event, name in zip((e for e in events if e["event"] == "reverified"), list(bundle)[2:], strict=True):
        event["hash"]["value"] = hashlib.sha256(bundle[name]).hexdigest()


def days_to_come(events: list[dict[str, Any]]) -> None:
    for event in events:
        event["time"] = event["time"].replace("2026", "2036")


@pytest.mark.parametrize(
    ("change", "lost"),
    [
        (each("*", update="gw200-9.9.9"), (Step.STAGE, Step.REVERIFY, Step.ACTIVATE, Step.CLEANUP)),
        (each("*", device="B"), (Step.STAGE, Step.REVERIFY, Step.ACTIVATE)),
        (days_to_come, (Step.STAGE, Step.REVERIFY, Step.ACTIVATE, Step.CLEANUP)),
        (weakly_bound, (Step.STAGE, Step.REVERIFY, Step.ACTIVATE, Step.CLEANUP)),
        (of_the_ciphertext, (Step.REVERIFY,)),
        (each("reverified", read_back=False), (Step.REVERIFY,)),
        (each("reverified", result="failure"), (Step.REVERIFY, Step.ACTIVATE)),
        (list.reverse, (Step.STAGE, Step.REVERIFY, Step.ACTIVATE)),
        (list.clear, (Step.STAGE, Step.REVERIFY, Step.ACTIVATE, Step.CLEANUP)),
    ],
    ids=[
        "other update",
        "other device",
        "future",
        "bound by MD5",
        "ciphertext",
        "not read back",
        "failed",
        "reversed",
        "empty",
    ],
)
def test_a_signed_log_that_does_not_fit_proves_nothing(
    gateway: Copy, change: Callable[[list[dict[str, Any]]], None], lost: tuple[Step, ...]
) -> None:
    events = gateway.events
    change(events)
    gateway.log(events)
    found = gateway.assess()
    refused(found, "gateway", *lost)
    assert found.gate.verdict is not Verdict.PASS


@pytest.mark.parametrize("key", ["gateway-device-ca", "gateway-signer-2026", ""])
def test_a_log_without_a_signature_by_its_own_key_proves_nothing(gateway: Copy, key: str) -> None:
    gateway.log(gateway.events, key or "gateway-log")
    if not key:
        del gateway.update["logs"][0]["signature"]
    refused(gateway.assess(), "gateway", Step.STAGE, Step.REVERIFY, Step.ACTIVATE, Step.CLEANUP)


# --- Documents, waivers, the gate -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [
        {"file": "update.yaml"},
        {"file": "logs/A.jsonl", "quote": "operator, by the installer app"},
        {"quote": "Update process of the GW-200"},
        {"clause": " "},
        {"dated": "2030-01-01"},
    ],
    ids=lambda words: " ".join(words.values())[:30],
)
def test_a_document_that_shows_nothing_reaches_nothing(gateway: Copy, words: dict[str, str]) -> None:
    rule = next(item for item in gateway.device["documents"] if item["id"] == "preconditions")
    rule.update(words)
    found = gateway.assess()
    refused(found, "gateway", Step.STAGE)
    assert verdict(found, "STAGE-B1") is not Verdict.PASS


def test_waivers_for_everything_make_no_gate_where_nothing_is_given(gateway: Copy) -> None:
    for key in ("artifacts", "logs", "endpoints"):
        del gateway.update[key]
    gateway.device |= {"steps": {}, "documents": []}
    del gateway.device["documents"]
    waiver = {"owner": "release office", "reason": "we want to ship it", "expires": "2027-01-01"}
    gateway.update["policy"] = {
        "gate": "basic",
        "waivers": [{"requirement": item.id, **waiver} for item in load_default().requirements],
    }
    found = gateway.assess()
    assert {proved(found, step).rank for step in Step} == {0}
    assert found.gate.verdict is not Verdict.PASS


@pytest.mark.parametrize("gate", [{}, {"distribute": "upgraded"}])
def test_a_gate_that_asks_nothing_that_applies_is_not_met(sensor: Copy, gate: dict[str, str]) -> None:
    sensor.update["policy"]["gate"] = gate
    assert sensor.assess().gate.verdict is Verdict.UNKNOWN


def test_every_step_said_to_be_not_applicable_proves_no_tier(sensor: Copy) -> None:
    sensor.device["steps"] = {str(step): {"not_applicable": "we do not want this"} for step in Step}
    refused(sensor.assess(), "sensor", *(step for step in Step if step not in {Step.SIGN, Step.DISTRIBUTE}))


# --- Anything at all --------------------------------------------------------------------------------------------------

NAMES: Final = (
    "artifacts/gw200-2.4.1-A.swu",
    "logs/A.jsonl",
    "logs/A.jsonl.dsse",
    "trust/root.crt.pem",
    "trust/issuing.crl.pem",
    "trust/log.pub.pem",
    "lab/device-A.pem",
    "docs/update-process.md",
    "keys.yaml",
)


@FEW
@given(name=st.sampled_from(NAMES), where=st.floats(0, 1), put=st.binary(max_size=4), cut=st.integers(0, 40))
def test_a_file_damaged_anywhere_raises_no_tier_and_nothing_but_typed_errors(
    tmp_path_factory: pytest.TempPathFactory, name: str, where: float, put: bytes, cut: int
) -> None:
    copy = Copy("gateway", tmp_path_factory.mktemp("damaged"))
    data = (copy.folder / name).read_bytes()
    at = int(where * len(data))
    (copy.folder / name).write_bytes(data[:at] + put + data[at + cut :])
    try:
        found = copy.assess()
    except OtauditError:
        return
    assert risen(tiers(found), honest("gateway")) == {}


# --- Losing evidence --------------------------------------------------------------------------------------------------


@cache
def evidence(name: str) -> tuple[EvidenceSet, Inputs]:
    description = load(SAMPLES / name / "update.yaml")
    files = Files(SAMPLES / name, allow_outside=False)
    keys = keyring(description, files)
    opened = open_artifacts(description, files, keys, NOW)
    attested = attest(description, files, opened, NOW)
    context = Context(description=description, opened=opened, keys=keys, files=files, as_of=NOW, attested=attested)
    return run_probes(context, strict=True), Inputs(as_of=NOW, support_until=description.device.support_until)


def judged(found: EvidenceSet, inputs: Inputs) -> Assessment:
    rules = load_default()
    identity = Identity(vendor="", model="", update="", version="")
    findings = judge(rules, found, inputs)
    return assess_findings(rules, found, findings, (), identity, Request(as_of=NOW, tool_version="0"))


@cache
def whole(name: str) -> Tiers:
    return tiers(judged(*evidence(name)))


def _less(record: Evidence, how: str, field: int) -> Evidence:
    if how == "weaken":
        return replace(record, method=Method.DECLARED)
    if how == "blank":
        return replace(record, values={}, unavailable=Reason.UNREADABLE, explanation="taken away")
    gone = sorted(record.values)[field % len(record.values)] if record.values else ""
    return replace(record, values={key: value for key, value in record.values.items() if key != gone})


@pytest.mark.parametrize("name", ["gateway", "sensor", "camera"])
@FEW
@given(data=st.data())
def test_a_record_lost_weakened_or_blanked_raises_no_row_in_any_grade_or_reading(
    name: str, data: st.DataObject
) -> None:
    full, inputs = evidence(name)
    index = data.draw(st.integers(0, len(full.records) - 1))
    how = data.draw(st.sampled_from(["drop", "weaken", "blank", "field"]))
    if how == "drop":
        less = full.without(index)
    else:
        changed = _less(full.records[index], how, data.draw(st.integers(0, 30)))
        less = EvidenceSet(full.expectations, (*full.records[:index], changed, *full.records[index + 1 :]))
    assert risen(tiers(judged(less, inputs)), whole(name)) == {}, (how, full.records[index])
