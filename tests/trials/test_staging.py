"""Keys and signatures for active tests: otaudit's own verifier and openssl judge what was signed; nothing leaks."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from checker.crypto.certificates import parse_certificate
from checker.crypto.chains import assess
from checker.crypto.keyring import KeyRing
from checker.crypto.schemes import Scheme
from checker.crypto.signatures import needs_message, prehash, verify_digest, verify_message, verify_prehashed
from checker.crypto.signing import fits, sign, usual_scheme
from checker.crypto.staging import Signer, Staging, like, read_signer
from checker.crypto.staging_paths import Profile, issued, named, profile_of, rogue
from checker.errors import InvalidSignatureError, KeyMaterialError, LimitError, UnsupportedAlgorithmError
from checker.io.digests import Literal, digest
from checker.io.limits import MAX_HEADER
from checker.model.artifact import KeyFacts
from checker.model.terms import Outcome

NAMES = ("ec-p224", "ec-p256", "ec-p384", "ec-p521", "ed25519", "ed448", "ml-dsa-44", "ml-dsa-65", "ml-dsa-87")
KINDS = {"rsa": KeyFacts(algorithm="rsa", bits=2048), **{name: KeyFacts(algorithm=name) for name in NAMES}}
MESSAGE = (Literal(b"firm"), Literal(b"ware"))
NOW = dt.datetime(2026, 11, 1, tzinfo=dt.UTC)
AS_OF = "2026-11-01T00:00:00Z"
CA_USAGE = ("key_cert_sign", "crl_sign")


def pem(signer: Signer) -> bytes:
    key: Any = signer.private_key
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    return bytes(key.private_bytes(encoding, form, serialization.NoEncryption()))


def verify(signer: Signer, scheme: Scheme, value: bytes, message: bytes = b"firmware") -> None:
    key = signer.public_key
    if scheme.algorithm.startswith("ml-dsa"):
        wanted = prehash(key, scheme.algorithm, "", value)
        found = digest(wanted.hash, wanted.prefix + message)
        verify_prehashed(key, scheme.algorithm, "", found, value)
    elif needs_message(scheme.algorithm):
        verify_message(key, scheme.algorithm, scheme.hash, message, value)
    else:
        verify_digest(key, scheme.algorithm, scheme.hash, digest(scheme.hash, message), value)


@pytest.mark.parametrize("kind", KINDS)
def test_a_throw_away_key_is_of_the_same_kind_and_what_it_signs_verifies(kind: str) -> None:
    signer = like(KINDS[kind])
    facts = signer.public_key.facts
    assert (facts.algorithm, facts.bits if kind == "rsa" else None) == (kind, KINDS[kind].bits)
    scheme = usual_scheme(signer)
    value = sign(signer, MESSAGE, scheme)
    verify(signer, scheme, value)
    with pytest.raises(InvalidSignatureError):
        verify(signer, scheme, value, b"firmwarf")
    with pytest.raises(InvalidSignatureError):
        verify(like(KINDS[kind]), scheme, value)


@pytest.mark.parametrize("algorithm", ["rsa-pkcs1v15", "rsa-pss"])
@pytest.mark.parametrize("hash_name", ["sha-1", "sha-256", "sha3-512"])
def test_both_paddings_of_rsa_and_weak_hashes_too(algorithm: str, hash_name: str) -> None:
    signer = like(KINDS["rsa"])
    scheme = Scheme(algorithm=algorithm, hash=hash_name)
    verify(signer, scheme, sign(signer, MESSAGE, scheme))


def test_ecdsa_of_fixed_width_is_two_halves_and_the_same_each_time() -> None:
    signer = like(KINDS["ec-p521"])
    scheme = usual_scheme(signer)
    value = sign(signer, MESSAGE, scheme, fixed=True)
    assert len(value) == 132
    assert value == sign(signer, MESSAGE, scheme, fixed=True)


@pytest.mark.parametrize("name", ["slh-dsa-sha2-128s", "lms", "", "ec-brainpool-p256"])
def test_what_cannot_be_made_says_so(name: str) -> None:
    with pytest.raises(UnsupportedAlgorithmError, match="can be made here"):
        like(KeyFacts(algorithm=name))


def test_a_key_makes_no_signature_of_another_kind() -> None:
    signer = like(KINDS["ed25519"])
    assert not fits(signer, "ecdsa")
    with pytest.raises(UnsupportedAlgorithmError, match="ed25519"):
        sign(signer, MESSAGE, Scheme(algorithm="ecdsa", hash="sha-256"))
    with pytest.raises(LimitError):
        sign(signer, (Literal(bytes(MAX_HEADER + 1)),), usual_scheme(signer))


def test_private_keys_are_in_no_repr_and_in_no_error() -> None:
    signer = like(KINDS["ec-p256"])
    text = pem(signer)
    shown = repr(signer) + repr(Staging(signer=signer, authority=signer, revoked=signer))
    assert "private" not in shown.lower()
    damaged = text.replace(b"PRIVATE", b"PRIVATF")
    for data in (damaged, text[:-60], b"", text + b"x" * (5 << 20)):
        with pytest.raises(KeyMaterialError) as caught:
            read_signer(data, name="lab/key.pem")
        secret = text.splitlines()[1].decode()
        assert secret not in str(caught.value)
        assert caught.value.__cause__ is None


def test_a_signer_is_read_with_its_path_and_a_certificate_of_another_key_is_refused() -> None:
    root = issued(Profile(name=named("root"), not_before=NOW, not_after=NOW, ca=True), KINDS["ec-p256"], None)
    leaf = issued(Profile(name=named("leaf"), not_before=NOW, not_after=NOW), KINDS["ed25519"], root)
    chain = b"".join(item.public_bytes(serialization.Encoding.PEM) for item in leaf.certificates)
    found = read_signer(pem(leaf), chain)
    assert found.ders == leaf.ders
    assert read_signer(pem(leaf)).certificates == ()
    with pytest.raises(KeyMaterialError, match="of another key"):
        read_signer(pem(root), chain)


def test_a_password_is_never_asked_for() -> None:
    key: Any = like(KINDS["ec-p256"]).private_key
    locked = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"secret"),
    )
    with pytest.raises(KeyMaterialError, match="without a password"):
        read_signer(locked)


def spki(certificate: x509.Certificate) -> str:
    return parse_certificate(certificate.public_bytes(serialization.Encoding.DER)).key.spki_sha256


def path(kind: KeyFacts) -> Signer:
    year = dt.timedelta(days=365)
    ca = Profile(name=named("root"), not_before=NOW - year, not_after=NOW + year, ca=True, usage=CA_USAGE)
    root = issued(ca, kind, None)
    issuing = issued(replace(ca, name=named("issuing"), path_length=0), kind, root)
    leaf = Profile(name=named("leaf"), not_before=NOW - year, not_after=NOW + year, purposes=("codeSigning",))
    return issued(leaf, kind, issuing)


@pytest.mark.parametrize("kind", ["rsa", "ec-p384", "ed25519", "ml-dsa-65"])
@pytest.mark.parametrize("given", [3, 2])
def test_a_rogue_path_copies_all_but_the_keys_and_is_trusted_by_its_own_root_only(kind: str, given: int) -> None:
    genuine = path(KINDS[kind])
    copied = rogue(genuine.ders[:given])
    assert len(copied.certificates) == 3
    pairs = list(zip(genuine.certificates, copied.certificates, strict=True))[:given]
    assert all(profile_of(old) == profile_of(new) for old, new in pairs)
    assert not {spki(old) for old, _ in pairs} & {spki(new) for _, new in pairs}
    for anchor, wanted in ((genuine, Outcome.KEY_UNKNOWN), (copied, Outcome.VALID)):
        ring = KeyRing.of(anchors=[parse_certificate(anchor.ders[-1])])
        pool = [parse_certificate(der) for der in copied.ders]
        verdict = assess(
            pool[0], ring, presented=pool, signed_at="", as_of="2026-11-01T00:00:00Z", purpose="code-signing"
        )
        assert (verdict.outcome is Outcome.VALID) is (wanted is Outcome.VALID), verdict


def test_openssl_verifies_a_rogue_path_under_its_root(tool: Any, tmp_path: Path) -> None:
    copied = rogue(path(KINDS["ec-p256"]).ders[:2])
    for name, item in zip(("leaf", "issuing", "root"), copied.certificates, strict=True):
        (tmp_path / name).write_bytes(item.public_bytes(serialization.Encoding.PEM))
    words = (
        "-attime",
        str(int(NOW.timestamp())),
        "-x509_strict",
        "-untrusted",
        tmp_path / "issuing",
        tmp_path / "leaf",
    )
    assert b"OK" in tool("openssl", "verify", "-CAfile", tmp_path / "root", *words).stdout
