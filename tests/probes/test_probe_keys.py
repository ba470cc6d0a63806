"""Keys met with the inventory: one fact each, beside its near miss."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from checker.description.model import Endpoint, Place, TrustStore
from checker.io.files import Files
from checker.model.artifact import CertificateFacts, ChainFacts, KeyFacts, Recipient, Signature
from checker.model.terms import Method, Outcome, Reason
from checker.probes import _keyfiles
from checker.probes.keys import PROBE

ID = "51" * 32
FULL: dict[str, Any] = {
    "spki_sha256": ID,
    "type": "private-signature",
    "algorithm": "ec-p256",
    "size": 256,
    "purposes": ("image-signing",),
    "owner": "release team",
    "created": "2026-01-01",
    "activated": "2026-01-01",
    "expires": "2028-01-01",
    "state": "active",
    "storage": "HSM 1",
    "module_certificate": "CMVP 4700",
}


def by(name: str = ID, time: str = "2026-09-01T00:00:00Z", **changes: Any) -> Signature:
    facts = KeyFacts(id=name, algorithm="ec-p256", bits=256, strength=128, declared=True)
    values: dict[str, Any] = {"outcome": Outcome.VALID, "algorithm": "ecdsa", "key": facts, "signing_time": time}
    return Signature(**(values | changes))


@pytest.fixture
def signed(lab: Any, image: Any) -> Any:
    lab.artifact(image(b"x" * 32, signatures=(by(),)))
    return lab


def certificate(subject: str, issuer: str, name: str) -> CertificateFacts:
    return CertificateFacts(
        sha256=name * 64,
        subject=subject,
        issuer=issuer,
        serial="1",
        key=KeyFacts(id=name * 64, algorithm="ec-p256", bits=256, strength=128),
        signature_algorithm="ecdsa",
        signature_hash="sha-256",
        not_before="2026-01-01T00:00:00Z",
        not_after="2027-01-01T00:00:00Z",
    )


def seen(lab: Any, name: str = ID) -> dict[str, Any]:
    return dict(lab.one(PROBE, "key", key=name).values)


def test_a_key_in_a_complete_inventory(signed: Any) -> None:
    signed.key("k1", **FULL)
    values = seen(signed)
    assert (values["rows"], values["roles"], values["single_purpose"]) == (("sign",), ("image-signing",), True)
    assert (values["in_inventory"], values["inventory_complete"]) == (True, True)
    assert (values["cryptoperiod_days"], values["active_at_use"], values["override"]) == (730, True, False)
    assert signed.one(PROBE, "key", key=ID).method is Method.TESTED


def test_without_an_inventory_nothing_is_said_of_it(signed: Any) -> None:
    assert not {"in_inventory", "inventory_complete", "active_at_use"} & set(seen(signed))


def test_a_key_one_digit_off_is_not_in_the_inventory(signed: Any) -> None:
    signed.key("k1", **FULL | {"spki_sha256": "52" + "51" * 31})
    assert seen(signed)["in_inventory"] is False


def test_a_key_may_be_known_by_the_id_that_its_format_gives_it(lab: Any, image: Any) -> None:
    signature = by(outcome=Outcome.KEY_UNKNOWN, key=KeyFacts(id="kid-7"))
    lab.artifact(image(b"x" * 32, signatures=(signature,)))
    lab.key("k1", **FULL | {"spki_sha256": "", "format_id": "kid-7"})
    assert seen(lab, "kid-7")["in_inventory"] is True
    assert lab.one(PROBE, "key", key="kid-7").method is Method.EXAMINED  # it verified nothing here


@pytest.mark.parametrize("field", sorted(set(FULL) - {"spki_sha256"}))
def test_each_field_that_is_left_out_is_named(signed: Any, field: str) -> None:
    signed.key("k1", **{name: value for name, value in FULL.items() if name != field})
    values = seen(signed)
    assert (values["inventory_complete"], values["missing_fields"]) == (False, (field,))


def test_a_record_that_disagrees_with_the_key_is_not_complete(signed: Any) -> None:
    signed.key("k1", **FULL | {"size": 384, "algorithm": "ec-p384"})
    values = seen(signed)
    assert values["inventory_complete"] is False
    assert [text.split()[0] for text in values["missing_fields"]] == ["size", "algorithm"]


def test_a_key_that_signs_images_and_logs_has_two_purposes(signed: Any) -> None:
    signed.key("k1", **FULL | {"purposes": ("image-signing", "log-signing")})
    assert seen(signed)["single_purpose"] is False


def test_names_of_the_same_purpose_are_one(signed: Any) -> None:
    signed.key("k1", **FULL | {"purposes": ("firmware-signing",)})
    assert seen(signed)["single_purpose"] is True


def test_a_signing_key_that_also_unwraps_has_two_purposes(lab: Any, image: Any) -> None:
    wrap = Recipient(algorithm="ecies-p256", key=KeyFacts(id=ID, algorithm="ec-p256"), unwrapped=True)
    lab.artifact(image(b"x" * 32, signatures=(by(),), recipients=(wrap,)))
    values = seen(lab)
    assert (values["rows"], values["single_purpose"]) == (("protect", "sign"), False)


def test_a_pin_of_the_signing_key_makes_it_a_tls_key_too(signed: Any) -> None:
    signed.own(trust_transport=TrustStore(pins=(ID,)))
    assert seen(signed)["roles"] == ("image-signing", "tls")


def test_issuers_and_anchors_are_seen_and_belong_to_no_row(lab: Any, image: Any) -> None:
    names = [("signer", "sub", "1"), ("sub", "root", "2"), ("root", "root", "3")]
    chain = ChainFacts(certificates=tuple(certificate(*name) for name in names), anchor="3" * 64, valid=True)
    lab.artifact(image(b"x" * 32, signatures=(by("1" * 64, chain=chain),)))
    assert (seen(lab, "2" * 64)["roles"], seen(lab, "2" * 64)["rows"]) == (("certification",), ())
    assert (seen(lab, "3" * 64)["roles"], seen(lab, "3" * 64)["rows"]) == (("trust-anchor",), ())


@pytest.mark.parametrize(
    ("changes", "time", "active"),
    [
        ({}, "2026-09-01T00:00:00Z", True),
        ({}, "2025-12-31T23:59:59Z", False),
        ({}, "2028-01-02T00:00:00Z", False),
        ({}, "", True),
        ({"expires": "2026-10-01"}, "", None),
        ({"state": "deactivated", "state_since": "2026-10-01"}, "2026-09-01T00:00:00Z", True),
        ({"state": "deactivated", "state_since": "2026-08-01"}, "2026-09-01T00:00:00Z", False),
        ({"state": "deactivated"}, "2026-09-01T00:00:00Z", None),
        ({"state": "compromised", "state_since": "2026-10-01"}, "2026-09-01T00:00:00Z", False),
        ({"state": "pre-active"}, "2026-09-01T00:00:00Z", False),
        ({"state": ""}, "2026-09-01T00:00:00Z", None),
        ({"activated": ""}, "2026-09-01T00:00:00Z", None),
    ],
)
def test_the_state_at_use(lab: Any, image: Any, changes: dict[str, Any], time: str, active: object) -> None:
    lab.artifact(image(b"x" * 32, signatures=(by(time=time),)))
    lab.key("k1", **FULL | changes)
    assert seen(lab).get("active_at_use") is active


def test_a_published_key_says_where_it_was_published(lab: Any, image: Any) -> None:
    facts = KeyFacts(id=ID, algorithm="rsa", bits=2048, published="MCUboot root-rsa-2048.pem")
    lab.artifact(image(b"x" * 32, signatures=(by(key=facts),)))
    assert seen(lab)["published"] == "MCUboot root-rsa-2048.pem"


def test_without_any_key_none_was_named(lab: Any, image: Any) -> None:
    lab.artifact(image(b"x" * 32, signatures=()))
    assert lab.one(PROBE, "key").unavailable is Reason.NOT_DECLARED


# Rotation


def rotation(lab: Any, image: Any, before: str, now: str) -> Any:
    lab.artifact(image(b"x" * 32, signatures=(by(before),)), name="old", release="previous")
    lab.artifact(image(b"y" * 32, signatures=(by(now),)), name="new")
    return lab.one(PROBE, "rotation", row="sign")


def test_a_new_key_in_the_order_of_the_inventory(lab: Any, image: Any) -> None:
    lab.key("k0", **FULL | {"spki_sha256": "50" * 32, "activated": "2024-01-01"})
    lab.key("k1", **FULL)
    values = rotation(lab, image, "50" * 32, ID).values
    assert (values["releases"], values["rotated"], values["in_inventory_order"]) == (2, True, True)


def test_a_new_key_that_is_older_than_the_old_one_is_out_of_order(lab: Any, image: Any) -> None:
    lab.key("k0", **FULL | {"spki_sha256": "50" * 32, "activated": "2026-02-01"})
    lab.key("k1", **FULL)
    assert rotation(lab, image, "50" * 32, ID).values["in_inventory_order"] is False


def test_a_new_key_that_the_inventory_lacks_is_out_of_order(lab: Any, image: Any) -> None:
    lab.key("k0", **FULL | {"spki_sha256": "50" * 32})
    assert rotation(lab, image, "50" * 32, ID).values["in_inventory_order"] is False


def test_the_same_key_has_not_rotated(lab: Any, image: Any) -> None:
    values = rotation(lab, image, ID, ID).values
    assert values["rotated"] is False
    assert "in_inventory_order" not in values


def test_one_release_is_too_few(signed: Any) -> None:
    assert signed.one(PROBE, "rotation", row="sign").unavailable is Reason.TOO_FEW


# Which keys are declared


def public(folder: Path, name: str) -> bytes:
    key = folder / f"{name}.key"
    subprocess.run(["openssl", "genpkey", "-algorithm", "ED25519", "-out", key], check=True, capture_output=True)
    return subprocess.run(["openssl", "pkey", "-in", key, "-pubout"], check=True, capture_output=True).stdout


@pytest.mark.parametrize(
    ("words", "trusted"),
    [
        ({"purposes": ("image-signing",)}, True),
        ({"purposes": ("tls",)}, False),
        ({"purposes": ("log-signing",)}, False),
        ({"purposes": ()}, False),
        ({"purposes": ("image-signing",), "state": "compromised"}, False),
        ({"purposes": ("image-signing",), "state": "deactivated"}, True),
    ],
)
def test_only_image_keys_of_the_inventory_verify_images(
    lab: Any,
    tmp_path: Path,
    words: dict[str, Any],
    trusted: bool,  # noqa: FBT001
) -> None:
    lab.key("k1", file=lab.file("k1.pem", public(tmp_path, "k1")), **words)
    ring = _keyfiles.image_ring(lab.description, Files(lab.folder)).ring
    assert [key.facts.name for key in ring.keys] == (["k1"] if trusted else [])


def test_the_key_that_a_client_shows_is_a_device_identity(lab: Any, tmp_path: Path) -> None:
    certificate = lab.file("client.pem", public(tmp_path, "client"))
    place = Place("update.yaml", 1, 1)
    lab.say(endpoints=(Endpoint(id="e", url="https://e", place=place, client_certificate=certificate),))
    values = lab.one(PROBE, "key").values
    assert (values["roles"], values["rows"]) == (("device-identity",), ("send",))


def test_a_decryption_key_belongs_to_its_own_artifact(lab: Any, image: Any) -> None:
    first = lab.artifact(image(b"x"), name="a", decryption_keys=(lab.file("a.key", b"\x07" * 16),))
    second = lab.artifact(image(b"y"), name="b")
    files = Files(lab.folder)
    ring = _keyfiles.image_ring(lab.description, files).ring
    assert len(_keyfiles.with_decryption(ring, first.ref, files).decryption) == 1
    assert _keyfiles.with_decryption(ring, second.ref, files).decryption == ()
    assert ring.decryption == ()


def test_the_purposes_that_the_device_accepts_reach_the_ring(lab: Any) -> None:
    lab.own(trust_images=TrustStore(purposes=("1.2.3.4",)), trust_logs=TrustStore(purposes=("1.2.3.5",)))
    assert _keyfiles.image_ring(lab.description, Files(lab.folder)).ring.purposes == ("1.2.3.4",)
