"""Keyed tags over an installed image, by OpenSSL: recomputed with the laboratory's copy of the device's key."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from collections.abc import Callable
from typing import Any

import pytest

from checker.crypto import macs
from checker.errors import UnsupportedAlgorithmError
from checker.model.artifact import KeyFacts, Signature
from checker.model.terms import Outcome
from checker.probes import _tags
from checker.probes.log import PROBE

CPU = b"main firmware " * 100
KEY = bytes.fromhex("8f1d3c5b7a9e0246813579bdf02468ace1f3d5b7c9a8876655443322110fedcb")
NONCE = bytes.fromhex("cafebabefacedbaddecaf888")
Line = dict[str, Any]


def openssl(*options: str, data: bytes = CPU) -> bytes:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    done = subprocess.run(
        ["openssl", "mac", "-in", "-", "-binary", *options], input=data, capture_output=True, check=True
    )
    return done.stdout


def cmac(key: bytes, data: bytes = CPU) -> bytes:
    return openssl("-cipher", f"AES-{len(key) * 8}-CBC", "-macopt", f"hexkey:{key.hex()}", "CMAC", data=data)


def gmac(key: bytes, nonce: bytes) -> bytes:
    options = ("-macopt", f"hexkey:{key.hex()}", "-macopt", f"hexiv:{nonce.hex()}")
    return openssl("-cipher", f"AES-{len(key) * 8}-GCM", *options, "GMAC")


@pytest.fixture
def device(lab: Any, bundle: Callable[..., Any]) -> Callable[..., Any]:
    """A device whose log has one tag, and whose artifact names a copy of its key."""

    def make(tag: Line, key: bytes = KEY, *, other: bytes | None = None) -> Any:
        artifact, data = bundle({"cpu": CPU})
        lab.targets("cpu").key("tag-A", device="A")
        for name, secret in (("A", key), ("B", other)):
            if secret is not None:
                copies = (lab.file(f"{name}.key", secret.hex().encode()),)
                lab.artifact(artifact, data, name=f"gw-{name}", device=name, decryption_keys=copies)
        said = {"key_id": "tag-A", "tag_bits": 128} | tag
        event = {"event": "reverified", "time": "2026-10-01T10:07:00Z", "device": "A", "update": "gw-2.4.1"}
        lab.log([event | {"result": "success", "read_back": True, "hash": said}], device="A")
        return lab.one(PROBE, "reverification", keyed=tag["keyed"]).values

    return make


def test_the_tags_of_openssl_are_those_of_the_image(device: Any) -> None:
    values = device({"name": "aes-256-cmac", "keyed": "cmac", "value": cmac(KEY).hex()})
    assert (values["hash_matches"], values["key_unique"], values["tag_bits"]) == (True, True, 128)
    assert values["hash"] == {"name": "aes-256-cmac"}


def test_a_gmac_needs_its_nonce(device: Any) -> None:
    tag = gmac(KEY, NONCE)
    assert macs.tag_over(KEY, "aes-256-gmac", [CPU[:100], CPU[100:]], nonce=NONCE) == tag
    values = device({"name": "aes-256-gmac", "keyed": "gmac", "value": tag.hex(), "nonce": NONCE.hex()})
    assert values["hash_matches"] is True


def test_without_the_nonce_a_gmac_says_nothing(device: Any) -> None:
    values = device({"name": "aes-256-gmac", "keyed": "gmac", "value": gmac(KEY, NONCE).hex()})
    assert "hash_matches" not in values


def hashed(name: str, data: bytes = CPU) -> bytes:
    options = ("-macopt", f"hexkey:{KEY.hex()}")
    if name == "kmac256":
        return openssl(*options, "-macopt", "size:32", "KMAC256", data=data)
    return openssl(*options, "-digest", name.removeprefix("hmac-").replace("sha-", "sha"), "HMAC", data=data)


@pytest.mark.parametrize(("name", "keyed"), [("hmac-sha3-256", "hmac"), ("hmac-sha-256", "hmac"), ("kmac256", "kmac")])
def test_keyed_hashes_in_a_log_are_recomputed_and_a_wrong_one_is_no_proof(
    device: Any, lab: Any, name: str, keyed: str
) -> None:
    said = {"name": name, "keyed": keyed, "tag_bits": 256}
    assert device(said | {"value": hashed(name).hex()})["hash_matches"] is True
    lab.own(keys=(), targets=())
    lab.key("tag-A", device="A", spki_sha256=hashlib.sha256(KEY).hexdigest())
    lab.targets("cpu")
    event = {"event": "reverified", "time": "2026-10-01T10:07:00Z", "device": "A", "update": "gw-2.4.1"}
    wrong = said | {"key_id": "tag-A", "value": hashed(name, CPU + b"\n").hex()}
    lab.log([event | {"result": "success", "read_back": True, "hash": wrong}], device="A")
    found = [item.values for item in lab.run(PROBE) if item.kind == "reverification" and item.values.get("keyed")]
    assert {values["hash_matches"] for values in found} == {False}


def test_another_tag_says_nothing_until_the_key_is_known_to_be_the_devices(device: Any, lab: Any) -> None:
    tag = cmac(KEY, CPU + b"\n").hex()
    assert "hash_matches" not in device({"name": "aes-256-cmac", "keyed": "cmac", "value": tag})
    digest = hashlib.sha256(KEY).hexdigest()
    lab.own(keys=(), targets=())
    lab.key("tag-A", device="A", spki_sha256=digest)
    lab.targets("cpu")
    assert lab.one(PROBE, "reverification", keyed="cmac").values["hash_matches"] is False


def test_a_key_of_two_devices_is_nobodys_own_whatever_the_inventory_says(device: Any) -> None:
    tag = {"name": "aes-256-cmac", "keyed": "cmac", "value": cmac(KEY).hex()}
    assert device(tag, other=KEY)["key_unique"] is False


def test_a_second_device_with_a_key_of_its_own_changes_nothing(device: Any) -> None:
    tag = {"name": "aes-256-cmac", "keyed": "cmac", "value": cmac(KEY).hex()}
    assert device(tag, other=KEY[::-1])["key_unique"] is True


@pytest.mark.parametrize(
    ("key", "known"),
    [
        (bytes(32), "one byte again and again"),
        (bytes(range(32)), "a counter"),
        (bytes.fromhex("603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4"), "the example of"),
        (KEY, ""),
        (bytes(range(240, 256)) + bytes(16), ""),
    ],
)
def test_a_key_that_everybody_knows_is_nobodys_own(device: Any, key: bytes, known: str) -> None:
    assert macs.known_to_all(key).startswith(known)
    values = device({"name": "aes-256-cmac", "keyed": "cmac", "value": cmac(key).hex()}, key)
    assert (values["hash_matches"], values["key_unique"]) == (True, not known)


def test_a_tag_is_no_longer_than_the_log_shows(device: Any) -> None:
    values = device({"name": "aes-256-cmac", "keyed": "cmac", "value": cmac(KEY)[:8].hex()})
    assert (values["hash_matches"], values["tag_bits"]) == (True, 64)


def test_an_aead_tag_is_that_of_encrypting_the_image() -> None:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    whole = AESGCM(KEY).encrypt(NONCE, CPU, None)
    assert macs.tag_over(KEY, "aes-256-gcm", [CPU[:33], CPU[33:]], nonce=NONCE) == whole[-16:]


@pytest.mark.parametrize("size", [4, 12, 16])
def test_a_ccm_tag_is_that_of_encrypting_the_image(device: Any, size: int) -> None:
    from cryptography.hazmat.primitives.ciphers.aead import AESCCM

    tag = AESCCM(KEY, tag_length=size).encrypt(NONCE, CPU, None)[-size:]
    said = {"name": "aes-256-ccm", "keyed": "aead", "nonce": NONCE.hex()}
    assert device(said | {"value": tag.hex()})["hash_matches"] is True
    assert macs.tag_over(KEY, "aes-256-ccm", [CPU[:9], CPU[9:] + b"\n"], nonce=NONCE, size=size) != tag


@pytest.mark.parametrize(
    ("name", "keyed", "nonce"),
    [("aes-256-gmac", "gmac", ""), ("aes-256-ccm", "aead", "00"), ("aes-256-ocb", "aead", NONCE.hex())],
)
def test_a_tag_that_cannot_be_computed_is_not_called_wrong(
    device: Any, lab: Any, name: str, keyed: str, nonce: str
) -> None:
    device({"name": "aes-256-cmac", "keyed": "cmac", "value": cmac(KEY).hex()})
    lab.own(keys=(), targets=())
    lab.key("tag-A", device="A", spki_sha256=hashlib.sha256(KEY).hexdigest())
    lab.targets("cpu")
    event = {"event": "reverified", "time": "2026-10-01T10:07:00Z", "device": "A", "update": "gw-2.4.1"}
    said = {"name": name, "keyed": keyed, "value": "11" * 16, "key_id": "tag-A", "tag_bits": 128}
    said |= {"nonce": nonce} if nonce else {}
    lab.log([event | {"result": "success", "read_back": True, "hash": said}], device="A")
    found = [item.values for item in lab.run(PROBE) if item.kind == "reverification" and item.values.get("keyed")]
    assert {values.get("hash_matches") for values in found} == {None}


@pytest.mark.parametrize(("name", "nonce"), [("aes-256-gcm", b""), ("aes-128-cmac", b""), ("sha-256", b"")])
def test_what_is_not_computed_is_refused(name: str, nonce: bytes) -> None:
    with pytest.raises(UnsupportedAlgorithmError):
        macs.tag_over(KEY, name, [CPU], nonce=nonce)


@pytest.mark.parametrize(("tag", "same"), [(b"abcd", True), (b"abc", False), (b"abce", False), (b"abcdef", False)])
def test_a_tag_is_the_left_part_of_the_full_one(tag: bytes, *, same: bool) -> None:
    assert macs.same_tag(b"abcde", tag) is same


def test_an_odd_number_of_digits_is_no_reason_to_fail() -> None:
    assert _tags._even("abc") == "0abc"


@pytest.mark.parametrize(
    ("said", "algorithm", "found"),
    [
        ("lms", "hss", True),
        ("slh-dsa", "slh-dsa-shake-128f", True),
        ("slh-dsa", "hash-slh-dsa-sha2-256s", True),
        ("xmssmt", "xmss-mt", True),
        ("ml-dsa", "ml-dsa-65", True),
        ("xmss", "xmss-mt", None),
        ("lms", "ecdsa", None),
        ("lms", "ml-dsa-65", None),
    ],
)
def test_a_signature_that_a_log_says_was_verified_has_to_be_one_that_the_artifact_carries(
    lab: Any, bundle: Callable[..., Any], said: str, algorithm: str, *, found: bool | None
) -> None:
    signature = Signature(outcome=Outcome.VALID, algorithm=algorithm, key=KeyFacts(id="aa" * 32, declared=True))
    artifact, data = bundle({"cpu": CPU}, signatures=(signature,))
    lab.targets("cpu").artifact(artifact, data, name="gw-A", device="A")
    event = {"event": "reverified", "time": "2026-10-01T10:07:00Z", "device": "A", "update": "gw-2.4.1"}
    hashed = {"name": said, "value": "00" * 32, "signature": said}
    lab.log([event | {"result": "success", "read_back": True, "hash": hashed}], device="A")
    values = lab.one(PROBE, "reverification", keyed="none").values
    assert (values.get("hash_matches"), values.get("reference_authentic")) == (found, found)
    assert values["hash_based_signature"] is (said != "ml-dsa")
