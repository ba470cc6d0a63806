"""What artifacts show, mapped to records: each fact beside its near miss."""

from __future__ import annotations

import base64
import hashlib
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from checker.description.model import TrustStore
from checker.model.artifact import (
    INEXPRESSIBLE,
    AuthKind,
    CertificateFacts,
    ChainFacts,
    Coverage,
    DigestCheck,
    Encryption,
    Image,
    KeyFacts,
    Recipient,
    Signature,
    Span,
    Version,
    Weakness,
)
from checker.model.terms import Method, Outcome, Reason
from checker.probes.artifact import PROBE, merged

AES = Encryption(encrypted=True, cipher="aes", mode="ctr", key_bits=128, nonce="00" * 16)


def key(name: str, algorithm: str = "ec-p256", strength: int = 128) -> KeyFacts:
    return KeyFacts(id=name * 64, algorithm=algorithm, bits=256, strength=strength)


def certificate(name: str, issuer: str, key_id: str, **changes: Any) -> CertificateFacts:
    values: dict[str, Any] = {
        "sha256": key_id * 64,
        "subject": name,
        "issuer": issuer,
        "serial": "1",
        "key": key(key_id),
        "signature_algorithm": "ecdsa",
        "signature_hash": "sha-256",
        "not_before": "2026-01-01T00:00:00Z",
        "not_after": "2027-01-01T00:00:00Z",
        "key_usage": ("digitalSignature",),
        "extended_key_usage": ("codeSigning",),
    }
    return CertificateFacts(**(values | changes))


ISSUER = {"ca": True, "key_usage": ("keyCertSign", "cRLSign"), "extended_key_usage": ()}


def path(**leaf: Any) -> ChainFacts:
    signer = certificate("signer", "sub", "1", **({"ca": False, "crl_urls": ("http://crl",)} | leaf))
    sub = certificate("sub", "root", "2", **ISSUER, path_length=0)
    root = certificate("root", "root", "3", **ISSUER, not_after="2046-01-01T00:00:00Z")
    return ChainFacts(certificates=(signer, sub, root), anchor="3" * 64, valid=True, revoked=False)


def signed(chain: ChainFacts | None = None, **changes: Any) -> Signature:
    values: dict[str, Any] = {"outcome": Outcome.VALID, "algorithm": "ecdsa", "hash": "sha-256", "key": key("1")}
    return Signature(**(values | {"chain": chain} | changes))


def chain_of(lab: Any, image: Callable[..., Any], chain: ChainFacts, **changes: Any) -> dict[str, Any]:
    lab.artifact(image(b"x" * 32, signatures=(signed(chain, **changes),)))
    return dict(lab.one(PROBE, "chain").values)


# The artifact and its place


def test_an_opened_artifact_says_what_it_is_and_where_it_belongs(lab: Any, image: Any) -> None:
    lab.targets("cpu").artifact(image(b"x" * 32), device="A")
    record = lab.one(PROBE, "artifact")
    assert (record.values["layer"], record.values["target"], record.values["device"]) == ("outer", "cpu", "A")
    assert record.method is Method.TESTED
    assert record.origin.sha256 == record.values["sha256"]


def test_an_artifact_that_cannot_be_opened_leaves_a_reason_for_every_kind(lab: Any) -> None:
    lab.artifact(None)
    records = lab.run(PROBE)
    assert {record.kind for record in records} == set(PROBE.kinds)
    assert {record.unavailable for record in records} == {Reason.UNREADABLE}
    assert all(record.values["release"] == "current" for record in records)


def test_without_artifacts_every_kind_is_not_declared(lab: Any) -> None:
    assert {record.unavailable for record in lab.run(PROBE)} == {Reason.NOT_DECLARED}


@pytest.mark.parametrize(
    ("names", "member", "target"),
    [
        (("cpu", "radio"), "radio", "radio"),
        (("cpu", "radio"), "radio-fw.bin", "radio"),
        (("cpu", "radio"), "radiology", ""),
        (("radio", "radio-boot"), "radio-boot", "radio-boot"),
        (("radio", "boot"), "radio boot", ""),
        (("cpu",), "anything", "cpu"),
    ],
)
def test_a_member_belongs_to_the_target_that_its_words_name_and_to_no_other(
    lab: Any, bundle: Any, names: tuple[str, ...], member: str, target: str
) -> None:
    artifact, data = bundle({member: b"x" * 16})
    lab.targets(*names).artifact(artifact, data)
    assert lab.one(PROBE, "image").values["target"] == target


@pytest.mark.parametrize(("said", "target"), [("cpu", "cpu"), ("fpga", "")])
def test_an_option_names_the_target_where_the_container_does_not(lab: Any, bundle: Any, said: str, target: str) -> None:
    artifact, data = bundle({"rootfs": b"x" * 16})
    lab.targets("cpu", "radio").artifact(artifact, data, options={"target.rootfs.img": said})
    assert lab.one(PROBE, "image").values["target"] == target


def test_inner_artifacts_are_records_of_their_own_layer(lab: Any, image: Any, bundle: Any) -> None:
    outer, data = bundle({"cpu": b"x" * 32, "radio": b"y" * 32})
    inner = image(b"y" * 32, signatures=())
    images = (outer.images[0], replace(outer.images[1], inner=inner))
    lab.targets("cpu", "radio").artifact(replace(outer, images=images), data)
    records = [item for item in lab.run(PROBE) if item.kind == "signature"]
    by_name = {str(item.values["artifact"]): item for item in records}
    assert by_name["gw"].values["verified"] is True
    assert by_name["gw/radio.img"].values["verified"] is False
    assert by_name["gw/radio.img"].values["target"] == "radio"
    assert by_name["gw/cpu.img"].unavailable is Reason.UNSUPPORTED_FORMAT  # beside one that was recognised


# Signatures


def test_a_valid_signature_is_verified_with_its_facts(lab: Any, image: Any) -> None:
    lab.artifact(image(b"x" * 32))
    values = lab.one(PROBE, "signature").values
    assert (values["outcome"], values["verified"], values["family"]) == ("valid", True, "classical")
    assert values["hash"] == {"name": "sha-256", "bits": 256, "collision_bits": 128}
    assert values["key"]["declared"] is True
    assert values["quantum_resistant"] is False


def test_an_unsigned_artifact_has_one_record_that_says_so(lab: Any, image: Any) -> None:
    lab.artifact(image(b"x" * 32, signatures=()))
    record = lab.one(PROBE, "signature")
    assert (record.values["outcome"], record.values["verified"]) == ("absent", False)
    assert record.unavailable is None


def test_an_invalid_signature_is_known_not_to_verify(lab: Any, image: Any) -> None:
    lab.artifact(image(b"x" * 32, signatures=(signed(outcome=Outcome.INVALID),)))
    assert lab.one(PROBE, "signature").values["verified"] is False


@pytest.mark.parametrize("outcome", [Outcome.KEY_UNKNOWN, Outcome.UNDECIDABLE])
def test_a_signature_that_cannot_be_judged_is_unknown(lab: Any, image: Any, outcome: Outcome) -> None:
    lab.artifact(image(b"x" * 32, signatures=(signed(outcome=outcome),)))
    record = lab.one(PROBE, "signature")
    assert record.unavailable is Reason.NO_KEY
    assert "verified" not in record.values
    assert record.values["outcome"] == outcome.value


def test_a_bare_digest_that_matches_verifies_nothing(lab: Any, image: Any) -> None:
    lab.artifact(image(b"x" * 32, signatures=(signed(kind=AuthKind.DIGEST, algorithm="sha-256"),)))
    assert lab.one(PROBE, "signature").values["verified"] is False


def test_hmac_over_sha3_is_quantum_resistant_and_over_sha_1_is_not(lab: Any, image: Any) -> None:
    macs = [signed(kind=AuthKind.MAC, algorithm="hmac", hash=name) for name in ("sha3-256", "sha-1")]
    lab.artifact(image(b"x" * 32, signatures=tuple(macs)))
    found = {str(item.values["algorithm"]): item.values for item in lab.run(PROBE) if item.kind == "signature"}
    assert found["hmac-sha3-256"]["quantum_resistant"] is True
    assert found["hmac-sha-1"]["quantum_resistant"] is False
    assert found["hmac-sha3-256"]["family"] == "keyed-hash"


def test_one_mac_key_in_two_devices_is_a_fleet_key(lab: Any, image: Any) -> None:
    mac = signed(kind=AuthKind.MAC, algorithm="hmac")
    lab.artifact(image(b"x" * 32, signatures=(mac,)), device="A", name="a")
    assert "fleet_key" not in lab.one(PROBE, "signature").values
    lab.artifact(image(b"y" * 32, signatures=(mac,)), device="B", name="b")
    assert [item.values["fleet_key"] for item in lab.run(PROBE) if item.kind == "signature"] == [True, True]


def test_a_mac_key_of_its_own_for_each_of_two_devices_is_not_the_fleets(lab: Any, image: Any) -> None:
    for name in ("A", "B"):
        mac = signed(kind=AuthKind.MAC, algorithm="hmac", key=key(name))
        lab.artifact(image(name.encode() * 32, signatures=(mac,)), device=name, name=name)
    assert [item.values["fleet_key"] for item in lab.run(PROBE) if item.kind == "signature"] == [False, False]
    lab.artifact(image(b"z" * 32, signatures=(mac,)), device="C", name="C")
    assert [item.values["fleet_key"] for item in lab.run(PROBE) if item.kind == "signature"] == [False, True, True]


def test_a_mac_that_does_not_verify_shows_no_second_key(lab: Any, image: Any) -> None:
    mac = signed(kind=AuthKind.MAC, algorithm="hmac", key=key("A"))
    lab.artifact(image(b"a" * 32, signatures=(mac,)), device="A", name="a")
    wrong = replace(mac, outcome=Outcome.INVALID, key=key("B"))
    lab.artifact(image(b"b" * 32, signatures=(wrong,)), device="B", name="b")
    assert [item.values.get("fleet_key") for item in lab.run(PROBE) if item.kind == "signature"] == [None, None]


def test_a_mac_key_that_everybody_has_is_a_fleet_key(lab: Any, image: Any) -> None:
    mac = signed(kind=AuthKind.MAC, algorithm="hmac", key=replace(key("A"), published="a counter"))
    lab.artifact(image(b"a" * 32, signatures=(mac,)), device="A")
    assert lab.one(PROBE, "signature").values["fleet_key"] is True


# Coverage and digests


def check(actual: str | None, *spans: Span, authentic: bool = True) -> DigestCheck:
    return DigestCheck(name="d", algorithm="sha-256", expected="aa", actual=actual, covers=spans, authentic=authentic)


@pytest.mark.parametrize(
    ("coverage", "checks", "complete"),
    [
        (Coverage(payload=(Span(0, 32),)), (), True),
        (Coverage(payload=(Span(0, 32),), uncovered=(Span(31, 32),)), (), False),
        (Coverage(payload=(Span(0, 32),)), (check("aa", Span(0, 32)),), True),
        (Coverage(payload=(Span(0, 32),)), (check("ab", Span(0, 32)),), False),
        (Coverage(payload=(Span(0, 32),)), (check(None, Span(0, 32)),), None),
        (Coverage(payload=(Span(0, 32),)), (check(None, Span(0, 32)), check("aa", Span(0, 32))), True),
        (Coverage(payload=(Span(0, 32),)), (check(None, Span(0, 32)), check("aa", Span(0, 31))), None),
        (Coverage(), (), None),
    ],
)
def test_coverage_is_complete_only_if_every_digest_was_recomputed(
    lab: Any, image: Any, coverage: Coverage, checks: tuple[DigestCheck, ...], complete: object
) -> None:
    lab.artifact(image(b"x" * 32, coverage=coverage, digests=checks))
    assert lab.one(PROBE, "coverage").values.get("complete") is complete


def test_overlapping_spans_are_counted_once(lab: Any, image: Any) -> None:
    coverage = Coverage(payload=(Span(0, 20), Span(10, 32)), uncovered=(Span(30, 32), Span(30, 31)))
    lab.artifact(image(b"x" * 32, coverage=coverage))
    values = lab.one(PROBE, "coverage").values
    assert (values["payload_bytes"], values["uncovered_bytes"]) == (32, 2)
    assert merged((Span(4, 6), Span(0, 4))) == (Span(0, 6),)


def test_a_crc_is_a_checksum_and_never_a_digest(lab: Any, image: Any) -> None:
    crc = DigestCheck(name="crc", algorithm="crc-32", expected="aa", actual="aa")
    lab.artifact(image(b"x" * 32, digests=(crc,)))
    values = lab.one(PROBE, "checksum").values
    assert (values["name"], values["bits"], values["matches"]) == ("crc-32/iso-hdlc", 32, True)
    assert lab.one(PROBE, "digest").unavailable is Reason.MISSING_FIELD


# Encryption


def records(lab: Any, kind: str) -> list[tuple[object, object]]:
    return [(item.values["image"], item.values["encrypted"]) for item in lab.run(PROBE) if item.kind == kind]


def test_a_file_that_says_nothing_of_encryption_is_not_encrypted(lab: Any, image: Any) -> None:
    lab.artifact(image(b"x" * 32))
    assert records(lab, "encryption") == [("", False)]


def test_each_member_of_a_plain_container_is_judged_by_itself(lab: Any, bundle: Any) -> None:
    outer, data = bundle({"cpu": b"x" * 32, "radio": b"y" * 32})
    images = (replace(outer.images[0], encryption=AES), outer.images[1])
    plain = (Encryption(encrypted=False),)
    lab.artifact(replace(outer, images=images), data)
    assert records(lab, "encryption") == [("cpu.img", True), ("radio.img", False)]
    lab.say(artifacts=()).opened.clear()
    lab.artifact(replace(outer, images=tuple(replace(i, encryption=AES) for i in images), encryption=plain), data)
    assert records(lab, "encryption") == [("cpu.img", True), ("radio.img", True)]


def test_a_plain_member_does_not_vanish_behind_a_container_that_is_as_plain(lab: Any, bundle: Any) -> None:
    outer, data = bundle({"cpu": b"x" * 32, "radio": b"y" * 32})
    images = (replace(outer.images[0], encryption=AES), outer.images[1])
    lab.artifact(replace(outer, images=images, encryption=(outer.images[1].encryption,)), data)
    assert records(lab, "encryption") == [("cpu.img", True), ("radio.img", False)]


def test_members_of_an_encrypted_whole_do_not_count_as_plain(lab: Any, bundle: Any) -> None:
    outer, data = bundle({"cpu": b"x" * 32})
    lab.artifact(replace(outer, encryption=(AES,)), data)
    assert records(lab, "encryption") == [("", True)]


def test_a_plain_script_beside_encrypted_images_shows(lab: Any, bundle: Any) -> None:
    outer, data = bundle({"cpu": b"x" * 32})
    script = Image(id="pre.sh", size=4, role="script")
    lab.artifact(replace(outer, images=(replace(outer.images[0], encryption=AES), script)), data)
    assert ("pre.sh", False) in records(lab, "encryption")


def test_recipients_say_what_they_rest_on(lab: Any, image: Any) -> None:
    wraps = [Recipient(algorithm=name, wrapped="aa") for name in ("ml-kem-768", "x25519-ml-kem-768", "ecies-p256")]
    lab.artifact(image(b"x" * 32, recipients=tuple(wraps)))
    found = {str(i.values["algorithm"]): i.values for i in lab.run(PROBE) if i.kind == "recipient"}
    assert (found["ml-kem-768"]["family"], found["ml-kem-768"]["problem"]) == ("lattice", "mlwe")
    assert found["x25519-ml-kem-768"]["family"] == "hybrid"
    assert (found["ecies-p256"]["family"], found["ecies-p256"]["problem"]) == ("classical", "none")


# Versions and weaknesses


@pytest.mark.parametrize(
    ("said", "equal"), [("2.4.1", True), ("v2.4.1", True), ("2.4.1+0", True), ("2.4.2", False), ("2.4.1+1", False)]
)
def test_the_version_is_that_of_the_description_or_is_not(
    lab: Any,
    image: Any,
    said: str,
    equal: bool,  # noqa: FBT001
) -> None:
    lab.artifact(image(b"x" * 32, version=Version(version=said)))
    assert lab.one(PROBE, "version").values["equals_description"] is equal


def test_a_format_without_a_version_does_not_say_a_wrong_one(lab: Any, image: Any) -> None:
    lab.artifact(image(b"x" * 32, version=Version(version=INEXPRESSIBLE, sequence=INEXPRESSIBLE)))
    values = lab.one(PROBE, "version").values
    assert not {"version", "sequence", "equals_description"} & set(values)


def test_the_version_of_an_earlier_release_is_not_compared(lab: Any, image: Any) -> None:
    lab.artifact(image(b"x" * 32, version=Version(version="2.4.0")), release="previous")
    assert "equals_description" not in lab.one(PROBE, "version").values


def test_weaknesses_are_passed_on_and_their_absence_is_no_gap(lab: Any, image: Any) -> None:
    lab.artifact(image(b"x" * 32))
    assert not [item for item in lab.run(PROBE) if item.kind == "weakness"]
    lab.artifact(image(b"x" * 32, weaknesses=(Weakness(code="rsa-e3", message="exponent 3"),)), name="other")
    assert lab.one(PROBE, "weakness").values["code"] == "rsa-e3"


# Certificate paths


def test_a_good_path_answers_pk1_to_pk9(lab: Any, image: Any) -> None:
    values = chain_of(lab, image, path())
    right = ("valid", "anchor_declared", "delegated", "ca_flags", "purpose", "within_validity", "revocation_named")
    assert {name: values[name] for name in right} == dict.fromkeys(right, True)
    assert (values["revoked"], values["weak_hash"], values["weakest_bits"]) == (False, False, 128)
    assert (values["leaf_days"], values["quantum_resistant"], values["leaf_quantum_resistant"]) == (365, False, False)


def test_a_resistant_leaf_under_a_classical_root_is_told_from_a_resistant_path(lab: Any, image: Any) -> None:
    found = path()
    leaf = replace(found.certificates[0], key=key("7", "ml-dsa-65", 192))
    values = chain_of(lab, image, replace(found, certificates=(leaf, *found.certificates[1:])))
    assert (values["quantum_resistant"], values["leaf_quantum_resistant"]) == (False, True)
    assert "separate_from_tls" not in values  # no TLS key is declared
    positions = [item.values["position"] for item in lab.run(PROBE) if item.kind == "certificate"]
    assert sorted(map(str, positions)) == ["anchor", "intermediate", "leaf"]


def test_a_bare_key_has_no_path_and_says_so(lab: Any, image: Any) -> None:
    lab.artifact(image(b"x" * 32))
    assert lab.one(PROBE, "chain").unavailable is Reason.MISSING_FIELD
    assert lab.one(PROBE, "signature").values["chain"] is False


def test_a_path_without_an_anchor_to_check_is_unknown_in_pk1_and_pk2(lab: Any, image: Any) -> None:
    values = chain_of(lab, image, replace(path(), valid=None, anchor="", revoked=None))
    assert not {"valid", "anchor_declared", "revoked", "delegated"} & set(values)
    assert values["revocation_checked"] is False


def test_the_anchor_itself_is_no_delegate(lab: Any, image: Any) -> None:
    own = certificate("root", "root", "3", ca=True)
    values = chain_of(lab, image, ChainFacts(certificates=(own,), anchor="3" * 64, valid=True))
    assert (values["delegated"], values["ca_flags"]) == (False, False)


@pytest.mark.parametrize(
    "leaf",
    [
        {"extended_key_usage": ("serverAuth",)},
        {"extended_key_usage": ()},
        {"extended_key_usage": ("codeSigning", "anyExtendedKeyUsage")},
        {"key_usage": ("keyEncipherment",)},
        {"key_usage": ()},
    ],
)
def test_a_leaf_for_another_purpose_or_for_none_does_not_fit(lab: Any, image: Any, leaf: dict[str, Any]) -> None:
    assert chain_of(lab, image, path(**leaf))["purpose"] is False


@pytest.mark.parametrize("name", ["code_signing", "codeSigning", "1.3.6.1.5.5.7.3.3"])
def test_code_signing_has_one_meaning_in_every_spelling(lab: Any, image: Any, name: str) -> None:
    assert chain_of(lab, image, path(extended_key_usage=(name,)))["purpose"] is True


def test_a_makers_own_purpose_counts_where_it_is_declared(lab: Any, image: Any) -> None:
    lab.own(trust_images=TrustStore(purposes=("1.2.3.4",)))
    assert chain_of(lab, image, path(extended_key_usage=("1.2.3.4",)))["purpose"] is True


@pytest.mark.parametrize(
    ("place", "changes"),
    [
        (1, {"ca": None}),
        (1, {"key_usage": ("cRLSign",)}),
        (2, {"path_length": 0}),
        (0, {"ca": True}),
    ],
)
def test_one_wrong_flag_of_the_path_is_seen(lab: Any, image: Any, place: int, changes: dict[str, Any]) -> None:
    chain = path()
    certificates = [replace(facts, **changes) if at == place else facts for at, facts in enumerate(chain.certificates)]
    assert chain_of(lab, image, replace(chain, certificates=tuple(certificates)))["ca_flags"] is False


@pytest.mark.parametrize(
    ("time", "within"),
    [("2026-06-01T00:00:00Z", True), ("2027-01-01T00:00:01Z", False), ("2025-12-31T23:59:59Z", False)],
)
def test_validity_is_judged_at_the_time_of_signing(lab: Any, image: Any, time: str, within: bool) -> None:  # noqa: FBT001
    assert chain_of(lab, image, path(), signing_time=time)["within_validity"] is within


def test_sha_1_below_the_anchor_is_weak_and_at_the_anchor_is_not(lab: Any, image: Any) -> None:
    chain = path()
    leaf, sub, root = chain.certificates
    weak = replace(root, signature_hash="sha-1")
    assert chain_of(lab, image, replace(chain, certificates=(leaf, sub, weak)))["weak_hash"] is False
    lab.say(artifacts=()).opened.clear()
    weak = replace(sub, signature_hash="sha-1")
    assert chain_of(lab, image, replace(chain, certificates=(leaf, weak, root)))["weak_hash"] is True


def test_an_anchor_shared_with_tls_is_not_separate(lab: Any, image: Any) -> None:
    pin = "sha256/" + base64.b64encode(bytes.fromhex("3" * 64)).decode()
    lab.own(trust_transport=TrustStore(pins=(pin,)))
    assert chain_of(lab, image, path())["separate_from_tls"] is False
    lab.say(artifacts=()).opened.clear()
    lab.own(trust_transport=TrustStore(pins=("sha256/" + "A" * 43 + "=",)))
    assert chain_of(lab, image, path())["separate_from_tls"] is True


# The recipient's own certificate


def device_ca(folder: Path) -> tuple[bytes, bytes, str]:
    """Return a device CA, a device's certificate for key agreement (both PEM, by OpenSSL), and its key's digest."""

    def run(*command: str) -> bytes:
        return subprocess.run(["openssl", *command], check=True, capture_output=True, cwd=folder).stdout

    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "36500")
    ca = ("-addext", "keyUsage=critical,keyCertSign")
    run("req", "-x509", *key, "-keyout", "ca.key", "-subj", "/CN=Device CA", "-out", "ca.pem", *ca)
    leaf = ("-addext", "keyUsage=critical,keyAgreement", "-addext", "basicConstraints=critical,CA:FALSE")
    signer = ("-CA", "ca.pem", "-CAkey", "ca.key")
    run("req", "-x509", *key, "-keyout", "a.key", "-subj", "/CN=A", "-out", "a.pem", *signer, *leaf)
    spki = run("pkey", "-in", "a.key", "-pubout", "-outform", "DER")
    return (folder / "ca.pem").read_bytes(), (folder / "a.pem").read_bytes(), hashlib.sha256(spki).hexdigest()


def sealed(lab: Any, image: Any, key_id: str) -> None:
    wrap = Recipient(algorithm="ecies-p256", key=KeyFacts(id=key_id, algorithm="ec-p256", bits=256))
    lab.artifact(image(b"x" * 32, recipients=(wrap,)))


def test_a_recipient_with_a_certificate_of_the_device_ca_is_certified(lab: Any, image: Any, tmp_path: Path) -> None:
    ca, device, key_id = device_ca(tmp_path)
    lab.own(trust_devices=TrustStore(anchors=(lab.file("ca.pem", ca),)))
    lab.key("device-a", file=lab.file("a.pem", device))
    lab.as_of = "2099-01-01T00:00:00Z"
    sealed(lab, image, key_id)
    assert lab.one(PROBE, "recipient").values["certified"] is True
    values = lab.one(PROBE, "chain", use="recipient").values
    assert (values["valid"], values["purpose"], values["delegated"]) == (True, True, True)


def test_a_certificate_of_another_ca_does_not_certify(lab: Any, image: Any, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    _, device, key_id = device_ca(tmp_path)
    foreign, _, _ = device_ca(tmp_path / "other")
    lab.own(trust_devices=TrustStore(anchors=(lab.file("foreign.pem", foreign),)))
    lab.key("device-a", file=lab.file("a.pem", device))
    sealed(lab, image, key_id)
    assert lab.one(PROBE, "recipient").values.get("certified") is not True


def test_a_recipient_without_a_certificate_is_not_known_to_be_certified(lab: Any, image: Any) -> None:
    sealed(lab, image, "ab" * 32)
    assert "certified" not in lab.one(PROBE, "recipient").values
