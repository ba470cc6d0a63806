"""The examples that the RFCs print: their authors' implementations made them, and none of them is ours."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import mldsa

from checker.crypto import _asn1
from checker.crypto._own_paths import signed_by
from checker.crypto.certificates import parse_certificate
from checker.crypto.cms import EnvelopedMessage, SignedMessage
from checker.crypto.keyring import KeyRing, read_decryption_key
from checker.crypto.keys import from_raw
from checker.errors import CryptoError, FormatError
from checker.model.terms import Outcome
from tests.crypto.pq_material import der, oid

DATA = Path(__file__).parent / "data"
SEED = bytes(range(64))  # of every private key in RFC 9881 and RFC 9935
TIME = "2026-11-01T00:00:00Z"


def example(name: str) -> bytes:
    return _asn1.pem_blocks((DATA / name).read_bytes(), name)[0].der


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def ml_kem_512() -> KeyRing:
    algorithm = der(0x30, oid("2.16.840.1.101.3.4.4.1"))
    info = der(0x30, der(0x02, b"\0"), algorithm, der(0x04, der(0x80, SEED)))
    return KeyRing.of(decryption=[read_decryption_key(info, "device.der")])


def test_the_ml_kem_message_of_rfc_9936_opens() -> None:
    opened = EnvelopedMessage.parse(example("rfc9936_ml_kem_512.pem")).open(ml_kem_512())
    assert opened.content == b"Hello, world!"
    assert [(each.algorithm, each.unwrapped, each.wrapping_bits) for each in opened.recipients] == [
        ("ml-kem-512", True, 128)
    ]


@pytest.mark.parametrize("at", [120, 700, 860, -1, -20])
def test_a_flipped_bit_keeps_the_message_of_rfc_9936_closed(at: int) -> None:
    data = example("rfc9936_ml_kem_512.pem")
    with pytest.raises((CryptoError, FormatError)):
        EnvelopedMessage.parse(flipped(data, at % len(data))).decrypt(ml_kem_512())


def test_the_ml_dsa_signer_of_rfc_9882_is_valid_and_a_flipped_bit_is_not() -> None:
    raw = mldsa.MLDSA44PrivateKey.from_seed_bytes(SEED[:32]).public_key().public_bytes_raw()
    ring = KeyRing.of(keys=[from_raw("ml-dsa-44", raw)])
    data = example("rfc9882_ml_dsa_44.pem")
    (found,) = SignedMessage.parse(data).verify(None, ring, TIME)
    assert (found.outcome, found.algorithm) == (Outcome.VALID, "ml-dsa-44")
    text = data.index(b"ML-DSA-44 signed-data")
    for at in (text, text + 50, len(data) - 700):
        (changed,) = SignedMessage.parse(flipped(data, at)).verify(None, ring, TIME)
        assert changed.outcome is not Outcome.VALID


def test_the_hss_certificate_of_rfc_9802_is_signed_by_its_own_key() -> None:
    data = example("rfc9802_hss.pem")
    certificate = parse_certificate(data)
    assert (certificate.facts.signature_algorithm, certificate.key.facts.algorithm) == ("hss", "hss")
    assert signed_by(data, certificate.key)
    for at in (40, 200, 900, len(data) - 1):
        assert not signed_by(flipped(data, at), certificate.key)
