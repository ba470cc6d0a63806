"""ML-KEM with a classical scheme: what @noble/post-quantum made, and every combination by libraries of its halves."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, mlkem, padding, rsa, x448, x25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from checker.crypto.cms import EnvelopedMessage
from checker.crypto.kem import composite
from checker.crypto.kem.keys import ciphertext_sizes, from_pkcs8, secrets
from checker.crypto.keyring import KeyRing, read_decryption_key
from checker.errors import DecryptionError, KeyMaterialError
from tests.crypto.pq_material import der
from tests.crypto.test_crypto_kem import kem_message, pkcs8

# @noble/post-quantum 0.7.1 (hybrid.js) made them: `ml_kem768_p256`, `ml_kem1024_p384` and `ml_kem768_x25519`.
NOBLE: Any = json.loads((Path(__file__).parent / "data" / "noble_composite_kem.json").read_text())
LABELS = {
    "rsa2048-ml-kem-768": b"MLKEM768-RSAOAEP2048",
    "rsa3072-ml-kem-768": b"MLKEM768-RSAOAEP3072",
    "rsa4096-ml-kem-768": b"MLKEM768-RSAOAEP4096",
    "x25519-ml-kem-768": b"\\.//^\\",
    "p256-ml-kem-768": b"MLKEM768-P256",
    "p384-ml-kem-768": b"MLKEM768-P384",
    "brainpoolp256r1-ml-kem-768": b"MLKEM768-BP256",
    "rsa3072-ml-kem-1024": b"MLKEM1024-RSAOAEP3072",
    "p384-ml-kem-1024": b"MLKEM1024-P384",
    "brainpoolp384r1-ml-kem-1024": b"MLKEM1024-BP384",
    "x448-ml-kem-1024": b"MLKEM1024-X448",
    "p521-ml-kem-1024": b"MLKEM1024-P521",
}
CURVES = {
    "p256": ec.SECP256R1(),
    "p384": ec.SECP384R1(),
    "p521": ec.SECP521R1(),
    "brainpoolp256r1": ec.BrainpoolP256R1(),
    "brainpoolp384r1": ec.BrainpoolP384R1(),
}
SEED = bytes(range(64))


def octets(text: str) -> bytes:
    return base64.b64decode(text)


def sec1(scalar: bytes) -> bytes:
    return der(0x30, der(0x02, b"\1"), der(0x04, scalar))


@pytest.mark.parametrize("case", NOBLE, ids=lambda case: case["name"])
def test_what_noble_encapsulated_opens(case: Any) -> None:
    name = case["name"]
    classical = octets(case["classical"])
    content = octets(case["ml_kem_seed"]) + (classical if name.startswith("x") else sec1(classical))
    key = from_pkcs8(pkcs8(composite.SETS[name].oid, content))
    assert key is not None
    assert (key.algorithm, key.public) == (name, octets(case["public"]))
    ciphertext = octets(case["ciphertext"])
    assert secrets(name, key.private, ciphertext) == (octets(case["secret"]),)
    assert ciphertext_sizes(name) == {len(ciphertext)}
    assert secrets(name, key.private, bytes([ciphertext[0] ^ 1]) + ciphertext[1:]) != (octets(case["secret"]),)
    with pytest.raises(DecryptionError):
        secrets(name, key.private, ciphertext + b"\0")


def classical_half(name: str) -> tuple[bytes, bytes, bytes, bytes]:
    """Return private key, public key, ciphertext and secret of the classical half."""
    kind = name.partition("-")[0]
    if kind.startswith("rsa"):
        key = rsa.generate_private_key(65537, int(kind[3:]))
        oaep = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)
        private = key.private_bytes(Encoding.DER, PrivateFormat.TraditionalOpenSSL, NoEncryption())
        public = key.public_key().public_bytes(Encoding.DER, PublicFormat.PKCS1)
        secret = hashlib.sha256(name.encode()).digest()
        return private, public, key.public_key().encrypt(secret, oaep), secret
    if kind in {"x25519", "x448"}:
        maker: Any = x25519.X25519PrivateKey if kind == "x25519" else x448.X448PrivateKey
        mine, other = maker.generate(), maker.generate()
        shared = other.exchange(mine.public_key())
        publics = [each.public_key().public_bytes_raw() for each in (mine, other)]
        return mine.private_bytes_raw(), publics[0], publics[1], shared
    own, ephemeral = (ec.generate_private_key(CURVES[kind]) for _ in range(2))
    points = [
        each.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint) for each in (own, ephemeral)
    ]
    private = own.private_bytes(Encoding.DER, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    return private, points[0], points[1], ephemeral.exchange(ec.ECDH(), own.public_key())


@pytest.mark.parametrize("name", LABELS)
def test_both_halves_of_every_combination_are_needed(name: str) -> None:
    assert composite.SETS[name].label == LABELS[name]
    maker: Any = mlkem.MLKEM768PrivateKey if name.endswith("768") else mlkem.MLKEM1024PrivateKey
    first, one = maker.from_seed_bytes(SEED).public_key().encapsulate()
    private, public, two, second = classical_half(name)
    secret = hashlib.sha3_256(first + second + two + public + LABELS[name]).digest()
    identifier = composite.SETS[name].oid
    key = read_decryption_key(pkcs8(identifier, SEED + private), "device")
    assert key.kind == name
    message = EnvelopedMessage.parse(kem_message(identifier, one + two, secret))
    assert message.recipients[0].algorithm == name
    ring = KeyRing.of(decryption=[key])
    assert message.open(ring).content == b"the update"
    for at in (3, len(one) + 9):
        whole = bytearray(one + two)
        whole[at] ^= 1
        with pytest.raises(DecryptionError):
            EnvelopedMessage.parse(kem_message(identifier, bytes(whole), secret)).open(ring)
    for damaged in (SEED, SEED + private[:-1], SEED[1:] + private, b""):
        with pytest.raises(KeyMaterialError):
            read_decryption_key(pkcs8(identifier, damaged), "device")


def test_a_ciphertext_that_no_such_kem_makes_is_not_counted_as_one() -> None:
    for name in ("p256-ml-kem-768", "p521-ml-kem-1024"):
        message = EnvelopedMessage.parse(kem_message(composite.SETS[name].oid, bytes(1088), bytes(32)))
        assert message.recipients[0].algorithm == composite.SETS[name].oid
    short = EnvelopedMessage.parse(kem_message("2.16.840.1.101.3.4.4.2", bytes(1087), bytes(32)))
    assert short.recipients[0].algorithm == "2.16.840.1.101.3.4.4.2"
    whole = EnvelopedMessage.parse(kem_message("2.16.840.1.101.3.4.4.2", bytes(1088), bytes(32)))
    assert whole.recipients[0].algorithm == "ml-kem-768"


def test_an_rsa_key_of_another_size_is_refused() -> None:
    private = classical_half("rsa2048-ml-kem-768")[0]
    with pytest.raises(KeyMaterialError):
        read_decryption_key(pkcs8(composite.SETS["rsa3072-ml-kem-768"].oid, SEED + private), "device")
