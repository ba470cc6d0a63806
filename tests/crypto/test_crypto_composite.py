"""Composite signatures: the published certificate verifies, and without either half nothing does."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, mldsa, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from checker.crypto.certificates import parse_certificate
from checker.crypto.chains import assess
from checker.crypto.cms import SignedMessage
from checker.crypto.composite import SETS
from checker.crypto.keyring import KeyRing
from checker.crypto.keys import PublicKey, from_raw, from_spki
from checker.crypto.signatures import (
    candidates,
    fits,
    needs_message,
    one_time_keys,
    prehash,
    verify_message,
    verify_prehashed,
)
from checker.errors import InvalidSignatureError
from checker.io.digests import digest
from checker.model.terms import Outcome
from tests.crypto import pq_material as material

# From randombit/botan src/tests/data/pubkey/mldsa_composite.vec at 3f096300d6dfcb729cec2fab0a82bca60e901556, taken
# from the working group's test vectors: a certificate that signs itself with id-MLDSA44-RSA2048-PSS-SHA256.
PUBLISHED = Path(__file__).parent / "data" / "composite_mldsa44_rsa2048_pss.txt"
NOW = "2026-11-01T00:00:00Z"
MESSAGE = b"firmware, version 4"
OIDS = {name: f"1.3.6.1.5.5.7.6.{number}" for number, name in enumerate(SETS, start=37)}


def published() -> bytes:
    return base64.b64decode(PUBLISHED.read_text())


def test_the_published_certificate_verifies_and_no_flipped_half_does() -> None:
    der = published()
    certificate = parse_certificate(der)
    assert certificate.facts.signature_algorithm == certificate.key.facts.algorithm == "ml-dsa-44-rsa2048-pss"
    found = assess(certificate, KeyRing.of(anchors=[certificate]), as_of=NOW)
    assert found.outcome is Outcome.VALID
    tbs = der[4 : 4 + 4 + int.from_bytes(der[6:8], "big")]
    signature = der[-(2420 + 256) :]
    key = certificate.key
    verify_message(key, "ml-dsa-44-rsa2048-pss", "", tbs, signature)
    for at in (0, 2419, 2420, len(signature) - 1):  # the ends of both halves
        flipped = bytearray(signature)
        flipped[at] ^= 1
        half = "ML-DSA" if at < 2420 else "classical"
        with pytest.raises(InvalidSignatureError, match=half):
            verify_message(key, "ml-dsa-44-rsa2048-pss", "", tbs, bytes(flipped))
    with pytest.raises(InvalidSignatureError):
        verify_message(key, "ml-dsa-44-rsa2048-pss", "", tbs + b"\0", signature)


@dataclass
class Composite:
    """A private key made of two, which signs as the draft says."""

    name: str
    lattice: Any
    classical: Callable[[bytes], bytes]
    raw: bytes

    def sign(self, message: bytes, context: bytes = b"") -> bytes:
        parameters = SETS[self.name]
        framed = b"CompositeAlgorithmSignatures2025" + parameters.label + bytes([len(context)]) + context
        framed += digest(parameters.hash, message)
        return bytes(self.lattice.sign(framed, parameters.label)) + self.classical(framed)

    @property
    def key(self) -> PublicKey:
        return from_raw(self.name, self.raw)


KINDS: dict[str, Any] = {"44": mldsa.MLDSA44PrivateKey, "65": mldsa.MLDSA65PrivateKey, "87": mldsa.MLDSA87PrivateKey}
CURVES: dict[str, tuple[Any, Any]] = {
    "p256": (ec.SECP256R1(), hashes.SHA256()),
    "p384": (ec.SECP384R1(), hashes.SHA384()),
    "p521": (ec.SECP521R1(), hashes.SHA512()),
    "brainpoolp256r1": (ec.BrainpoolP256R1(), hashes.SHA256()),
    "brainpoolp384r1": (ec.BrainpoolP384R1(), hashes.SHA384()),
}


def make(name: str) -> Composite:
    lattice = KINDS[SETS[name].lattice].from_seed_bytes(hashlib.sha256(name.encode()).digest())
    scheme = name[10:]
    if scheme.startswith("rsa"):
        private = rsa.generate_private_key(65537, int(scheme[3:7]))
        taken = hashes.SHA384() if scheme[3:7] == "4096" else hashes.SHA256()
        pss = padding.PSS(padding.MGF1(taken), taken.digest_size)
        pad: Any = pss if scheme.endswith("pss") else padding.PKCS1v15()
        raw = private.public_key().public_bytes(Encoding.DER, PublicFormat.PKCS1)
        return Composite(name, lattice, lambda data: private.sign(data, pad, taken), public(lattice) + raw)
    if scheme.startswith("ecdsa"):
        curve, hashed = CURVES[scheme[6:]]
        secret = ec.derive_private_key(12345, curve)
        raw = secret.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        return Composite(name, lattice, lambda data: secret.sign(data, ec.ECDSA(hashed)), public(lattice) + raw)
    kind = ed448.Ed448PrivateKey if scheme == "ed448" else ed25519.Ed25519PrivateKey
    edwards: Any = kind.generate()
    return Composite(name, lattice, edwards.sign, public(lattice) + edwards.public_key().public_bytes_raw())


def public(lattice: Any) -> bytes:
    return bytes(lattice.public_key().public_bytes_raw())


# RSA of 4096 bits takes seconds to make; its hash is the only difference from 3072 bits.
QUICK = [name for name in SETS if "rsa4096" not in name]


@pytest.mark.parametrize("name", QUICK)
def test_every_combination_needs_both_halves(name: str) -> None:
    made = make(name)
    signature, size = made.sign(MESSAGE), {"44": 2420, "65": 3309, "87": 4627}[SETS[name].lattice]
    assert needs_message(name)
    assert fits(made.key, len(signature))
    assert not fits(made.key, size)
    assert one_time_keys(made.key, signature) == ()
    assert [item.algorithm for item in candidates(made.key)] == [name]
    wanted = prehash(made.key, name, "", signature)
    verify_prehashed(made.key, name, "", digest(wanted.hash, MESSAGE), signature)
    other = make(name).sign(b"another message")
    for wrong in (
        signature[:size] + other[size:],
        other[:size] + signature[size:],
        signature[:size],
        signature[size:],
        b"",
    ):
        with pytest.raises(InvalidSignatureError):
            verify_message(made.key, name, "", MESSAGE, wrong)
    with pytest.raises(InvalidSignatureError):
        verify_message(made.key, name, "", MESSAGE + b"!", signature)
    verify_message(made.key, name, "", MESSAGE, made.sign(MESSAGE, b"boot"), context=b"boot")
    with pytest.raises(InvalidSignatureError):
        verify_message(made.key, name, "", MESSAGE, made.sign(MESSAGE, b"boot"), context=b"root")


def test_a_label_keeps_combinations_apart() -> None:
    one = make("ml-dsa-65-ecdsa-p256")
    other = from_raw("ml-dsa-65-ecdsa-brainpoolp256r1", one.raw)
    assert not other.usable  # the point is not on that curve
    moved = Composite("ml-dsa-65-ed25519", one.lattice, one.classical, one.raw)
    with pytest.raises(InvalidSignatureError):
        verify_message(one.key, "ml-dsa-65-ecdsa-p256", "", MESSAGE, moved.sign(MESSAGE))


def test_damaged_composite_keys_are_unusable() -> None:
    good = make("ml-dsa-44-rsa2048-pss").raw
    for name, raw in (
        ("ml-dsa-44-rsa2048-pss", good[:-1]),
        ("ml-dsa-44-rsa2048-pss", good[:100]),
        ("ml-dsa-65-rsa3072-pss", good),
        ("ml-dsa-44-ed25519", b""),
    ):
        assert not from_raw(name, raw).usable


def test_a_composite_signer_of_cms_is_reported_as_both_signatures() -> None:
    made = make("ml-dsa-65-ecdsa-p256")
    identifier = material.der(0x30, material.oid(OIDS[made.name]))
    signer = material.Signer(made.sign, material.spki(OIDS[made.name], made.raw), identifier)
    anchor = material.certificate("root", signer, "root", signer, material.CA)
    leaf = material.certificate("leaf", signer, "root", signer)
    ring = KeyRing.of(anchors=[parse_certificate(anchor)])

    def judged(content: bytes) -> list[tuple[Outcome, str]]:
        message = SignedMessage.parse(material.signed_data(b"firmware", signer, "root", [leaf]))
        found = message.verify(lambda _: hashlib.sha512(content).digest(), ring, NOW)
        assert all("both are required" in item.note for item in found)
        return [(item.outcome, item.algorithm) for item in found]

    assert judged(b"firmware") == [(Outcome.VALID, "ml-dsa-65"), (Outcome.VALID, "ecdsa")]
    assert {outcome for outcome, _ in judged(b"firmwarE")} == {Outcome.INVALID}


def test_the_key_of_one_half_verifies_no_composite() -> None:
    made = make("ml-dsa-65-ecdsa-p256")
    half = from_spki(material.spki(material.OIDS["ml-dsa-65"], made.raw[:1952]))
    with pytest.raises(InvalidSignatureError):
        verify_message(half, made.name, "", MESSAGE, made.sign(MESSAGE))
    with pytest.raises(InvalidSignatureError):
        verify_message(half, "ml-dsa-65", "", MESSAGE, made.sign(MESSAGE)[:3309])


def test_a_context_longer_than_a_byte_can_say_is_an_invalid_signature_and_no_other_error() -> None:
    composite_key = make("ml-dsa-44-ed25519")
    with pytest.raises(InvalidSignatureError, match="context"):
        verify_message(composite_key.key, "ml-dsa-44-ed25519", "", b"x", bytes(2420 + 64), context=bytes(256))
