"""Public keys, decryption keys and the ring: every form is read, nothing secret is shown, nothing odd crashes."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
import yaml

from checker import resources
from checker.crypto.keyring import KeyRing, read_certificates, read_crls, read_decryption_key
from checker.crypto.keys import (
    from_ec_point,
    from_ed25519,
    from_rsa_numbers,
    published,
    read_public_key,
)
from checker.crypto.signatures import candidates, compute_mac, ecdsa_der, ecdsa_raw, verify_digest, verify_message
from checker.errors import (
    FormatError,
    InvalidSignatureError,
    KeyMaterialError,
    UnsupportedAlgorithmError,
)

FACTS = {
    "rsa2048": ("rsa", 2048, 112, 65537, True),
    "rsa1024": ("rsa", 1024, 80, 65537, True),
    "rsa512": ("rsa", 512, 0, 65537, True),
    "p192": ("ec-p192", 192, 96, None, True),
    "p256": ("ec-p256", 256, 128, None, True),
    "p384": ("ec-p384", 384, 192, None, True),
    "brainpool": ("ec-brainpoolp256r1", 256, 128, None, True),
    "sect": ("ec-sect163k1", 163, 81, None, False),
    "ed25519": ("ed25519", 256, 128, None, True),
    "x25519": ("x25519", 255, 128, None, True),
}


@pytest.mark.parametrize("kind", FACTS)
def test_every_kind_of_key_gives_its_facts_in_pem_and_der(pki: Any, kind: str) -> None:
    pki.key(f"k-{kind}", kind)
    pki.run("pkey", "-pubin", "-in", f"k-{kind}.pub", "-outform", "DER", "-out", "k.der")
    pem, der = (read_public_key(pki.read(name), "k") for name in (f"k-{kind}.pub", "k.der"))
    facts = pem.facts
    assert (facts.algorithm, facts.bits, facts.strength, facts.exponent, pem.usable) == FACTS[kind]
    assert pem == der
    assert facts.id == hashlib.sha256(pki.read("k.der")).hexdigest() == pem.spki_sha256
    assert not facts.declared
    assert not facts.published


@pytest.mark.parametrize("exponent", [1, 3])
def test_odd_exponents_are_facts_and_not_crashes(exponent: int) -> None:
    key = from_rsa_numbers((1 << 2047) + 1, exponent)
    assert (key.facts.exponent, key.facts.bits) == (exponent, 2048)
    if exponent == 1:
        assert not key.usable
        with pytest.raises(UnsupportedAlgorithmError):
            verify_digest(key, "rsa-pkcs1v15", "sha-256", bytes(32), bytes(256))
        assert candidates(key) == ()


def test_explicit_curve_parameters_are_told_apart_from_the_named_curve(pki: Any) -> None:
    pki.run("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-param_enc", "explicit", "-out", "explicit.key")
    pki.run("pkey", "-in", "explicit.key", "-pubout", "-out", "explicit.pub", "-ec_param_enc", "explicit")
    assert read_public_key(pki.read("explicit.pub"), "k").facts.algorithm == "ec-explicit"


def test_raw_and_pkcs1_and_certificate_forms_are_the_same_key(pki: Any) -> None:
    pki.key("form-rsa", "rsa2048")
    pki.run("rsa", "-in", "form-rsa.key", "-RSAPublicKey_out", "-outform", "DER", "-out", "pkcs1.der")
    spki = read_public_key(pki.read("form-rsa.pub"), "k")
    pkcs1 = pki.read("pkcs1.der")
    assert read_public_key(pkcs1, "k") == spki
    assert spki.pkcs1 == pkcs1  # MCUboot's key hash is over this form
    point = read_public_key(pki.read("leaf-p256.pub"), "k")
    assert read_public_key(pki.read("leaf-p256.crt"), "k") == point
    assert read_public_key(point.raw, "k") == point
    assert from_ec_point("ec-p256", point.raw, "k") == point
    assert point.pkcs1 == b""
    edwards = read_public_key(pki.read("leaf-ed25519.pub"), "k")
    assert read_public_key(edwards.raw, "k") == edwards == from_ed25519(edwards.raw, "k")
    with pytest.raises(UnsupportedAlgorithmError):
        from_ec_point("ec-p999", point.raw)


@pytest.mark.parametrize("data", [b"", b"hello", b"\x30\x03\x02\x01\x00", bytes(33), b"-----BEGIN PUBLIC KEY-----"])
def test_what_is_no_key_is_named_as_such(data: bytes) -> None:
    with pytest.raises(KeyMaterialError):
        read_public_key(data, "thing")


def test_a_private_key_is_refused_where_a_public_one_belongs(pki: Any) -> None:
    pki.key("form-rsa2", "rsa2048")
    pki.run("rsa", "-in", "form-rsa2.key", "-traditional", "-outform", "DER", "-out", "private.der")
    for name in ("form-rsa2.key", "private.der"):
        with pytest.raises(KeyMaterialError):
            read_public_key(pki.read(name), name)


def test_the_published_keys_are_those_of_the_corpus_and_of_named_sources(corpus: Path, pki: Any) -> None:
    found = {}
    paths = (*corpus.rglob("*.pub.pem"), *corpus.rglob("*pubkey.pem"), *corpus.rglob("*.x509.pem"),
             *corpus.rglob("*_pub.pem"), *corpus.rglob("*.cert.pem"))  # fmt: skip
    for path in paths:
        key = read_public_key(path.read_bytes(), path.name)
        found[key.spki_sha256] = key.facts.published
    listed = yaml.safe_load(resources.read("rules", "ntia-2017", "published-keys.yaml"))["keys"]
    elsewhere = [item for item in listed if item["spki_sha256"] not in found]
    assert len(listed) - len(elsewhere) == len(found)
    assert all(found.values())
    assert all(item["title"] and "@" in item["source"] for item in elsewhere), (
        "what is not in the corpus names a commit"
    )
    assert len([text for text in found.values() if "mcu-tools/mcuboot @" in text]) == 5
    assert published(read_public_key(pki.read("leaf-p256.pub"), "k").spki_sha256) == ""
    for folder in ("fwupd-cab", "jcat"):  # the real LVFS and a raw test key whose private half is not published there
        assert all(not published(hashlib.sha256(p.read_bytes()).hexdigest()) for p in (corpus / folder).rglob("*.pem"))


def test_the_ring_declares_keys_and_anchors_and_nothing_else(pki: Any) -> None:
    key = read_public_key(pki.read("leaf-p256.pub"), "signer")
    anchors = read_certificates(pki.read("root.crt"), "root")
    between = read_certificates(pki.read("sub.crt"), "sub")
    ring = KeyRing.of(keys=[key], anchors=anchors, intermediates=between)
    found = ring.find(key.spki_sha256.upper())
    assert found is not None
    assert (found.facts.declared, found.facts.name) == (True, "signer")
    assert ring.trusts(anchors[0].key)
    assert not ring.trusts(between[0].key)
    assert KeyRing.empty().find(key.spki_sha256) is None
    assert [item.facts.name for item in ring.verifiers] == ["signer", "root"]


@pytest.mark.parametrize(
    ("data", "secret", "iv"),
    [
        (bytes(range(16)), bytes(range(16)), b""),
        (bytes(range(1, 33)), bytes(range(1, 33)), b""),
        (b"000102030405060708090a0b0c0d0e0f\n", bytes(range(16)), b""),
        (b"00010203 04", None, None),
        (("aa" * 32 + " " + "bb" * 16).encode(), b"\xaa" * 32, b"\xbb" * 16),
        (("key=" + "aa" * 32 + "\niv=" + "bb" * 16 + "\n").encode(), b"\xaa" * 32, b"\xbb" * 16),
    ],
)
def test_symmetric_keys_are_read_in_every_usual_form(data: bytes, secret: bytes | None, iv: bytes | None) -> None:
    if secret is None:
        with pytest.raises(KeyMaterialError):
            read_decryption_key(data, "k")
        return
    key = read_decryption_key(data, "k")
    assert (key.kind, key.secret, key.iv, key.facts.bits) == ("secret", secret, iv, len(secret) * 8)


@pytest.mark.parametrize(("kind", "word"), [("rsa2048", "rsa"), ("p256", "ec"), ("x25519", "x25519")])
def test_private_keys_are_read_and_named_by_their_public_half(pki: Any, kind: str, word: str) -> None:
    pki.key(f"d-{kind}", kind)
    pki.run("pkey", "-in", f"d-{kind}.key", "-outform", "DER", "-out", "d.der")
    for name in (f"d-{kind}.key", "d.der"):
        key = read_decryption_key(pki.read(name), "mine")
        assert (key.kind, key.name) == (word, "mine")
        assert key.facts.id == read_public_key(pki.read(f"d-{kind}.pub"), "k").spki_sha256


def test_nothing_private_is_ever_shown(pki: Any) -> None:
    secret = bytes.fromhex("5ec2e75ec2e75ec2e75ec2e75ec2e75e")
    pki.key("shown", "rsa2048")
    text = pki.run("rsa", "-in", "shown.key", "-noout", "-text").stdout.decode()
    number = text.split("privateExponent:")[1].split("prime1")[0].replace(":", "").replace("\n", "").replace(" ", "")
    keys = [read_decryption_key(secret, "s"), read_decryption_key(secret.hex().encode(), "h"),
            read_decryption_key(pki.read("shown.key"), "r")]  # fmt: skip
    ring = KeyRing.of(decryption=keys)
    for shown in (repr(keys), str(keys), repr(ring), str(ring)):
        for needle in (secret.hex(), repr(secret)[2:-1], number[2:40], str(int(number, 16))[:30], "BEGIN"):
            assert needle not in shown
    damaged = pki.read("shown.key").replace(b"A", b"B", 7)
    for data in (damaged, b"key=" + secret.hex().encode() + b"0", secret + b"\x01"):
        with pytest.raises(KeyMaterialError) as caught:
            read_decryption_key(data, "bad")
        chain = [str(caught.value), repr(caught.value), str(caught.value.__cause__)]
        assert not any(secret.hex() in line or number[2:40] in line for line in chain)
        assert caught.value.__suppress_context__ or caught.value.__cause__ is None


@pytest.mark.parametrize("kind", ["ed25519", "encrypted"])
def test_private_keys_that_cannot_decrypt_are_refused(pki: Any, kind: str) -> None:
    pki.key("cannot", "ed25519" if kind == "ed25519" else "rsa2048")
    if kind == "encrypted":
        pki.run("pkey", "-in", "cannot.key", "-aes256", "-passout", "pass:x", "-out", "cannot2.key")
    with pytest.raises(KeyMaterialError):
        read_decryption_key(pki.read("cannot.key" if kind == "ed25519" else "cannot2.key"), "k")


def test_certificate_bundles_are_read_whole_and_damage_is_named(pki: Any, corpus: Path) -> None:
    bundle = (corpus / "rauc" / "openssl-ca" / "dev-ca.pem").read_bytes()
    assert (len(read_certificates(bundle, "b")), len(read_crls(bundle, "b"))) == (3, 3)
    pki.run("crl2pkcs7", "-nocrl", "-certfile", "root.crt", "-certfile", "sub.crt", "-out", "bundle.p7b")
    assert len(read_certificates(pki.read("bundle.p7b"), "b")) == 2
    pki.run("x509", "-in", "root.crt", "-trustout", "-addtrust", "codeSigning", "-out", "trusted.crt")
    assert read_certificates(pki.read("trusted.crt"), "b")[0].der == read_certificates(pki.read("root.crt"), "b")[0].der
    for data in (b"", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----", pki.read("leaf-p256.pub")):
        with pytest.raises(KeyMaterialError):
            read_certificates(data, "b")


def test_ecdsa_signatures_change_form_and_back(pki: Any) -> None:
    pki.run("dgst", "-sha256", "-sign", "leaf-p256.key", "-out", "sig.der", "content")
    der = pki.read("sig.der")
    key = read_public_key(pki.read("leaf-p256.pub"), "k")
    raw = ecdsa_raw(der, 32)
    little = raw[:32][::-1] + raw[32:][::-1]
    digest = hashlib.sha256(pki.read("content")).digest()
    for form in (der, ecdsa_der(raw), ecdsa_der(little, little_endian=True)):
        assert form == der
        verify_digest(key, "ecdsa", "sha-256", digest, form)
    with pytest.raises(InvalidSignatureError):
        verify_digest(key, "ecdsa", "sha-256", digest, ecdsa_der(little))
    with pytest.raises(InvalidSignatureError):
        verify_digest(key, "ecdsa", "sha-256", digest[:16], der)
    with pytest.raises(FormatError):
        ecdsa_der(raw[:-1])
    with pytest.raises(FormatError):
        ecdsa_raw(der, 16)


@pytest.mark.parametrize("name", ["md5", "sha1", "sha256", "sha3-256", "sha512"])
@pytest.mark.parametrize("signer", ["leaf-rsa1024", "leaf-rsa2048", "leaf-p384"])
def test_what_openssl_signs_with_any_hash_verifies_and_a_changed_message_does_not(
    pki: Any, name: str, signer: str
) -> None:
    pki.run("dgst", f"-{name}", "-sign", f"{signer}.key", "-out", "sig.any", "content")
    key = read_public_key(pki.read(f"{signer}.pub"), "k")
    names = {"md5": "md5", "sha1": "sha-1", "sha256": "sha-256", "sha3-256": "sha3-256", "sha512": "sha-512"}
    scheme = "ecdsa" if "p384" in signer else "rsa-pkcs1v15"
    verify_message(key, scheme, names[name], pki.read("content"), pki.read("sig.any"))
    with pytest.raises(InvalidSignatureError):
        verify_message(key, scheme, names[name], pki.read("other"), pki.read("sig.any"))


def test_a_key_of_another_kind_makes_a_signature_invalid_and_unknown_schemes_are_unsupported(pki: Any) -> None:
    key = read_public_key(pki.read("leaf-p256.pub"), "k")
    with pytest.raises(InvalidSignatureError, match="cannot make"):
        verify_message(key, "rsa-pss", "sha-256", b"", b"")
    with pytest.raises(InvalidSignatureError, match="cannot make"):
        verify_message(key, "slh-dsa-sha2-128s", "sha-256", b"", b"")
    with pytest.raises(UnsupportedAlgorithmError):
        verify_message(key, "ecdsa", "sm3", b"", b"")
    with pytest.raises(UnsupportedAlgorithmError, match="itself"):
        verify_digest(key, "ed25519", "sha-512", bytes(64), b"")
    with pytest.raises(UnsupportedAlgorithmError):
        compute_mac(bytes(16), "aes-256-cmac", b"")
