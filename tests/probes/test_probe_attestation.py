"""Attestations of a description: what counts, what does not, and which anchors of paths they name."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any, Final

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from checker import resources
from checker.crypto.attestation_files import check_attestation, forms
from checker.crypto.attestations.contract import AttestationForm
from checker.crypto.certificates import parse_certificate
from checker.crypto.keyring import KeyRing
from checker.description.model import AttestationRef, InventoryKey, Target
from checker.model.artifact import ChainFacts, KeyFacts, Recipient, Signature
from checker.model.evidence import Evidence
from checker.model.terms import Method, Outcome, Reason
from checker.probes._attestations import anchor_attested, attest
from checker.probes._run import _run
from checker.probes.attestation import PROBE
from tests.crypto import attestation_maker as maker
from tests.crypto.attestation_maker import NONCE, psa_claims, token
from tests.probes.conftest import PLACE

MAKER: Final = maker.p256()
DEVICE: Final = maker.p256()
DEVICE_ID: Final = maker.public(DEVICE).spki_sha256
CNF: Final = {1: maker.cose_key(DEVICE)}
ANCHOR: Final = maker.root(maker.p256(), "Release root")
FOUND: Final = parse_certificate(ANCHOR.public_bytes(Encoding.DER))
ANCHOR_ID: Final = FOUND.key.spki_sha256
KEYS: Final = KeyRing.of(anchors=[FOUND])


def give(lab: Any, data: bytes, *proves: str, name: str = "a.cbor", **changes: Any) -> AttestationRef:
    """Write and name an attestation under the maker's bare key, with our nonce."""
    root = lab.file("maker.der", maker.spki(MAKER))
    known = {"root": root, "nonce": NONCE.hex(), "proves": proves or ("device key",), **changes}
    ref = AttestationRef(file=lab.file(name, data), place=PLACE, **known)
    lab.say(attestations=(*lab.description.attestations, ref))
    return ref


def records(lab: Any) -> list[Evidence]:
    """Return the records of the probe, with what its grid still owes."""
    context = lab.context
    attested = attest(context.description, context.files, context.opened, context.as_of)
    return list(_run(replace(context, attested=attested), [PROBE], strict=True).of("attestation"))


def one(lab: Any) -> Evidence:
    (found,) = records(lab)
    return found


def test_a_valid_token_fills_all_that_it_says(lab: Any) -> None:
    give(lab, token(psa_claims(c8=CNF), MAKER), target="main")
    found = one(lab)
    assert (found.method, found.unavailable) == (Method.TESTED, None)
    assert str(found.subject) == "attestation:a.cbor, device key"
    assert found.values == {
        "proves": "device key",
        "kind": "psa",
        "target": "main",
        "valid": True,
        "key_level": True,
        "non_exportable": True,
        "key": DEVICE_ID,
        "boot_verified": True,
        "anchor_protected": True,
        "quantum_resistant": False,
    }
    assert found.origin.file == "a.cbor"
    assert len(found.origin.sha256) == 64


def test_each_thing_that_it_proves_is_a_record_of_its_own(lab: Any) -> None:
    give(lab, token(psa_claims(c8=CNF), MAKER), "device anchor", "device key")
    assert [item.values["proves"] for item in records(lab)] == ["device anchor", "device key"]
    assert len({item.subject for item in records(lab)}) == 2


def test_a_platform_token_is_not_of_key_level_and_says_nothing_of_export(lab: Any) -> None:
    give(lab, token(psa_claims(), MAKER))
    values = one(lab).values
    assert values["valid"] is True
    assert not {"key_level", "key", "non_exportable"} & set(values)


def test_a_token_of_the_producers_module_says_nothing_of_the_devices_boot(lab: Any) -> None:
    data = token(psa_claims(c8=CNF), MAKER)
    give(lab, data, "image signing key", "producer key-encryption key", "device key", "boot", "device anchor")
    said = {item.values["proves"]: item.values.get("boot_verified") for item in records(lab)}
    assert said == {
        "image signing key": None,
        "producer key-encryption key": None,
        "device key": True,
        "boot": True,
        "device anchor": True,
    }


@pytest.mark.parametrize("where", ["signer", "issuer", "recipient"])
def test_a_key_of_the_updates_themselves_is_no_hardware(lab: Any, image: Any, where: str) -> None:
    facts = KeyFacts(id=maker.public(MAKER).spki_sha256)
    other = KeyFacts(id="11" * 32)
    issuer = replace(FOUND.facts, key=facts)
    chain = ChainFacts(certificates=(FOUND.facts, issuer)) if where == "issuer" else None
    signature = Signature(outcome=Outcome.VALID, key=facts if where == "signer" else other, chain=chain)
    recipients = (Recipient(algorithm="ecdh-es", key=facts),) if where == "recipient" else ()
    lab.artifact(image(b"x" * 32, signatures=(signature,), recipients=recipients))
    give(lab, token(psa_claims(c8=CNF), MAKER))
    found = one(lab)
    assert found.values["valid"] is False
    assert found.values["note"] == "a key of the updates themselves signed it"


def test_another_nonce_and_no_nonce_are_facts_that_do_not_count(lab: Any) -> None:
    data = token(psa_claims(c8=CNF), MAKER)
    give(lab, data, nonce="ff" * 32)
    give(lab, data, name="b.cbor", nonce="")
    found = records(lab)
    assert [item.values["valid"] for item in found] == [False, False]
    assert {item.method for item in found} == {Method.TESTED}
    assert sorted(str(item.values["note"]) for item in found) == [
        "not fresh: it answers another nonce",
        "not fresh: the description gives no nonce",
    ]


def test_a_foreign_root_does_not_count(lab: Any) -> None:
    give(lab, token(psa_claims(), maker.p256()))
    assert one(lab).values["valid"] is False


def test_without_a_root_nothing_is_known(lab: Any) -> None:
    give(lab, token(psa_claims(), MAKER), root=None)
    found = one(lab)
    assert found.unavailable is Reason.NO_KEY
    assert "`root`" in found.explanation
    assert "valid" not in found.values


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"kind": "cloud"}, Reason.UNSUPPORTED_FORMAT),
        ({"kind": "other"}, Reason.UNSUPPORTED_FORMAT),
        ({"kind": "tpm"}, Reason.UNREADABLE),
    ],
)
def test_what_cannot_be_checked_says_why(lab: Any, changes: dict[str, str], reason: Reason) -> None:
    give(lab, token(psa_claims(), MAKER), **changes)
    assert one(lab).unavailable is reason


def test_files_that_are_missing_damaged_or_of_no_kind_are_told_apart(lab: Any) -> None:
    good = token(psa_claims(), MAKER)
    ref = give(lab, good)
    give(lab, good[:-1], name="cut.cbor", kind="psa")
    give(lab, b"hello", name="odd.txt")
    give(lab, b"\xd1" + good[1:], name="mac.cbor", kind="psa")
    (lab.folder / ref.file.path).unlink()
    give(lab, good, name="rootless.cbor", root=replace(ref.file, path="gone.pem"))
    give(lab, good, name="keyless.cbor", root=lab.file("odd.pem", b"no key"))
    reasons = {item.subject.id.partition(",")[0]: item.unavailable for item in records(lab)}
    assert reasons == {
        "a.cbor": Reason.MISSING_ARTIFACT,
        "cut.cbor": Reason.UNREADABLE,
        "odd.txt": Reason.UNSUPPORTED_FORMAT,
        "mac.cbor": Reason.UNSUPPORTED_ALGORITHM,
        "rootless.cbor": Reason.MISSING_ARTIFACT,
        "keyless.cbor": Reason.UNREADABLE,
    }


def test_a_fault_in_one_kind_leaves_a_reason_and_the_others(lab: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    good = token(psa_claims(), MAKER)
    give(lab, good)
    give(lab, good, name="b.cbor")
    real = check_attestation
    calls = iter([1 / 3, None])

    def check(*args: Any) -> Any:
        if next(calls):
            raise ZeroDivisionError("odd")
        return real(*args)

    monkeypatch.setattr("checker.probes._attestations.check_attestation", check)
    first, second = records(lab)
    assert first.unavailable is Reason.PROBE_FAILED
    assert second.values["valid"] is True


def test_attributes_that_the_owner_reports_are_examined(lab: Any) -> None:
    listed = b'{"CKA_LOCAL": true, "CKA_SENSITIVE": true, "CKA_ALWAYS_SENSITIVE": true, "CKA_EXTRACTABLE": false, '
    listed += b'"CKA_NEVER_EXTRACTABLE": true}'
    key = lab.file("key.der", maker.spki(DEVICE))
    give(lab, listed, "image signing key", name="hsm.json", root=None, nonce="", companions={"public": key})
    found = one(lab)
    assert (found.method, found.values["valid"], found.values["key"]) == (Method.EXAMINED, True, DEVICE_ID)
    assert found.values["non_exportable"] is True


def test_a_nonce_may_name_a_key_of_an_artifact_or_of_the_inventory(lab: Any, image: Any) -> None:
    data = token(psa_claims(c10=[NONCE, bytes.fromhex(DEVICE_ID)]), MAKER)
    give(lab, data)
    assert "key_level" not in one(lab).values
    recipient = Recipient(algorithm="ecdh-es", key=KeyFacts(id=DEVICE_ID))
    lab.artifact(image(b"x" * 32, recipients=(recipient,)))
    assert one(lab).values["key"] == DEVICE_ID
    lab.opened.clear()
    lab.own(keys=(InventoryKey(id="device", place=PLACE, spki_sha256=DEVICE_ID),))
    assert one(lab).values["key"] == DEVICE_ID


def test_a_description_without_attestations_says_so_at_each_target(lab: Any) -> None:
    lab.own(targets=(Target(id="main", place=PLACE), Target(id="radio", place=PLACE)))
    found = records(lab)
    assert [(item.subject.id, item.unavailable) for item in found] == [
        ("main", Reason.NOT_DECLARED),
        ("radio", Reason.NOT_DECLARED),
    ]
    assert {item.explanation for item in found} == {"the description names no attestation"}


def test_an_attestation_that_was_not_checked_stays_owed(lab: Any) -> None:
    give(lab, token(psa_claims(), MAKER))
    (found,) = lab.run(PROBE)
    assert found.unavailable is Reason.NOT_RUN


# Anchors


def attested(lab: Any, signer: bytes, *proves: str, target: str = "", of: str = "", **claims: Any) -> bool | None:
    """Return what is said of the anchor of a path by a token that names one signer."""
    data = token(psa_claims(c2399=[{2: bytes(32), 5: signer}], **claims), MAKER)
    give(lab, data, *(proves or ("device anchor",)), target=of)
    context = lab.context
    found = attest(context.description, context.files, context.opened, context.as_of)
    return anchor_attested(found, KEYS, ANCHOR_ID, target)


def test_an_anchor_that_a_valid_token_names_is_attested(lab: Any) -> None:
    assert attested(lab, bytes.fromhex(ANCHOR_ID)) is True


def test_an_anchor_may_be_named_by_the_digest_of_its_certificate(lab: Any) -> None:
    assert attested(lab, bytes.fromhex(FOUND.facts.sha256)) is True


def test_an_anchor_that_is_not_named_is_not_the_devices(lab: Any) -> None:
    assert attested(lab, bytes(32)) is False


def test_an_anchor_of_a_platform_that_is_not_secured_is_named_all_the_same(lab: Any) -> None:
    assert attested(lab, bytes.fromhex(ANCHOR_ID), c2395=0x4000) is True  # anchor_protected is false beside it


@pytest.mark.parametrize("claims", [{"c10": bytes(32)}, {"c4": 1}])
def test_a_token_that_is_not_valid_says_nothing_of_anchors(lab: Any, claims: dict[str, Any]) -> None:
    assert attested(lab, bytes.fromhex(ANCHOR_ID), **claims) is None


def test_a_token_that_proves_something_else_says_nothing_of_anchors(lab: Any) -> None:
    assert attested(lab, bytes.fromhex(ANCHOR_ID), "device key") is None


@pytest.mark.parametrize(
    ("of", "target", "said"),
    [
        ("main", "main", True),
        ("main", "radio", None),
        ("main", "", True),
        ("", "radio", True),
    ],
)
def test_a_token_of_one_target_does_not_speak_of_another(lab: Any, of: str, target: str, said: bool | None) -> None:  # noqa: FBT001
    assert attested(lab, bytes.fromhex(ANCHOR_ID), target=target, of=of) is said


def test_a_path_without_an_anchor_has_none_attested(lab: Any) -> None:
    give(lab, token(psa_claims(), MAKER), "device anchor")
    context = lab.context
    found = attest(context.description, context.files, context.opened, context.as_of)
    assert anchor_attested(found, KEYS, "", "") is None
    assert anchor_attested((), KEYS, ANCHOR_ID, "") is None


def test_every_kind_of_the_schema_is_checked_but_those_that_are_documents() -> None:
    schema = json.loads(resources.read("schemas", "evidence", "attestation.schema.json"))
    kinds = set(schema["properties"]["kind"]["enum"])
    assert {form.id for form in forms()} == kinds - {"cloud", "other"}
    assert all(isinstance(form, AttestationForm) and form.references for form in forms())
