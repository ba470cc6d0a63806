"""COSE where it is rare: one-time keys, ciphertext beyond the limit, keys that cannot be used, damaged chains."""

from __future__ import annotations

from typing import Any

import cbor2
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, x448
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from checker.crypto import cose, cose_encryption
from checker.crypto.cose import Message
from checker.crypto.keyring import KeyRing, read_decryption_key
from checker.crypto.keys import from_spki
from checker.errors import DecryptionError, FormatError, InvalidSignatureError, UnsupportedAlgorithmError
from checker.io import cbor
from checker.io.limits import MAX_CERTIFICATES, MAX_HEADER
from checker.io.sources import BytesSource
from checker.model.artifact import Signature, Span
from checker.model.terms import Outcome
from tests.crypto import pq_material

AS_OF = "2026-11-01T00:00:00Z"
CONTENT = b"firmware"
KEY, NONCE = bytes(range(16)), bytes(range(12))


def message(value: Any, tag: int = 18) -> Message:
    return cose.parse(cbor.read(cbor2.dumps(cbor2.CBORTag(tag, value)), "message"))


def signed(sign: Any, number: int, outside: dict[int, Any] | None = None) -> Message:
    header = cbor2.dumps({1: number})
    return message([header, outside or {}, None, sign(cbor2.dumps(["Signature1", header, b"", CONTENT]))])


def judge(found: Message, *spkis: bytes, content: bytes = CONTENT) -> Signature:
    ring = KeyRing.of(keys=[from_spki(spki) for spki in spkis])
    return cose.Judge(content, ring, AS_OF).run(found)[0]


def test_hss_names_the_one_time_key_that_it_used() -> None:
    signer = pq_material.hss(bytes(32))
    message_once = signed(signer.sign, -46)
    found = judge(message_once, signer.spki)
    assert (found.outcome, found.algorithm, found.one_time_index) == (Outcome.VALID, "hss", 0)
    assert judge(message_once, signer.spki, content=b"other").outcome is Outcome.INVALID


def test_a_key_that_cannot_be_used_leaves_it_undecided() -> None:
    signer = pq_material.ml_dsa(bytes(32), "ml-dsa-65")
    good = signed(signer.sign, -49)
    broken = pq_material.spki(pq_material.OIDS["ml-dsa-65"], b"too short")
    assert judge(good, broken).outcome is Outcome.UNDECIDABLE
    assert judge(good, broken, signer.spki).outcome is Outcome.VALID


def test_a_key_of_another_kind_is_refused_by_name() -> None:
    signer = pq_material.ecdsa(5)
    with pytest.raises(InvalidSignatureError, match="ML-DSA-65 is not made by a ec-p256 key"):
        cose.verify(from_spki(signer.spki), signed(lambda _: b"", -49).signers[0], CONTENT)


def test_an_ecdsa_signature_of_another_length_is_none() -> None:
    signer = pq_material.ecdsa(5)
    with pytest.raises(InvalidSignatureError, match="63 bytes are no r and s"):
        cose.verify(from_spki(signer.spki), signed(lambda _: bytes(63), -7).signers[0], CONTENT)


@pytest.mark.parametrize("chain", [[b"x"] * (MAX_CERTIFICATES + 1), b"x", 5, [5]])
def test_a_damaged_certificate_chain_is_no_trust(chain: Any) -> None:
    signer = pq_material.ecdsa(5)
    found = judge(signed(lambda _: bytes(64), -7, {33: chain}), signer.spki)
    assert found.outcome is Outcome.INVALID


@pytest.mark.parametrize(("tag", "size"), [(17, 31), (17, 8), (17, 0)])
def test_a_tag_of_another_length_is_no_tag(tag: int, size: int) -> None:
    found = message([cbor2.dumps({1: 5}), {}, None, bytes(size)], tag)
    ring = KeyRing.of(decryption=[read_decryption_key(KEY, "secret")])
    (signature,) = cose.Judge(CONTENT, ring, AS_OF).run(found)
    assert signature.outcome is Outcome.INVALID
    assert "32 bytes" in signature.note


def test_an_unknown_mac_is_undecidable_and_one_without_alg_invalid() -> None:
    ring = KeyRing.of(decryption=[read_decryption_key(KEY, "secret")])
    unknown: tuple[Any, ...] = (cbor2.dumps({1: 14}), {}, Outcome.UNDECIDABLE)
    for header, outside, outcome in (unknown, (b"", {1: 5}, Outcome.INVALID), (b"", {}, Outcome.INVALID)):
        (found,) = cose.Judge(CONTENT, ring, AS_OF).run(message([header, outside, None, bytes(8)], 17))
        assert found.outcome is outcome


def encrypted(header: dict[int, Any], iv: bytes = NONCE) -> Message:
    return message([cbor2.dumps(header), {5: iv}, None], 16)


def test_large_gcm_is_decrypted_as_it_is_read() -> None:
    plain = bytes(MAX_HEADER) + b"the end of it"
    header = cbor2.dumps({1: 1})
    sealed = AESGCM(KEY).encrypt(NONCE, plain, cbor2.dumps(["Encrypt0", header, b""]))
    source = cose_encryption.decrypt(encrypted({1: 1}), KEY, BytesSource("x", sealed), Span(0, len(sealed)))
    assert source.size == len(plain)
    assert source.read(MAX_HEADER - 4, 99) == plain[MAX_HEADER - 4 :]


@pytest.mark.parametrize(("number", "size"), [(24, 32), (30, 16)])
def test_other_modes_of_that_size_are_refused_by_name(number: int, size: int) -> None:
    source = BytesSource("x", bytes(MAX_HEADER + 1))
    with pytest.raises(UnsupportedAlgorithmError, match="is not decrypted here"):
        cose_encryption.decrypt(encrypted({1: number}), bytes(size), source, Span(0, source.size))


def test_keys_and_nonces_of_another_size_are_refused() -> None:
    source = BytesSource("x", bytes(32))
    with pytest.raises(DecryptionError, match="needs a key of 128 bits, here are 256"):
        cose_encryption.decrypt(encrypted({1: 1}), bytes(32), source, Span(0, 32))
    with pytest.raises(DecryptionError, match="nonce of 13 bytes, here are 12"):
        cose_encryption.decrypt(encrypted({1: 10}), KEY, source, Span(0, 32))


def recipient(share: Any, number: int = -29) -> cose.Party:
    header = cbor2.dumps({1: number})
    return message([cbor2.dumps({1: 1}), {5: NONCE}, None, [[header, {-1: share}, bytes(24)]]], 96).recipients[0]


def private(key: Any) -> KeyRing:
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return KeyRing.of(decryption=[read_decryption_key(pem, "device")])


def test_a_point_that_is_not_on_the_curve_opens_nothing() -> None:
    wanted = cose_encryption.Wanted(1, 128)
    ring = private(ec.derive_private_key(3, ec.SECP256R1()))
    keys, facts = cose_encryption.open_recipient(recipient({1: 2, -1: 1, -2: bytes(32), -3: bytes(32)}), wanted, ring)
    assert (keys, facts.algorithm, facts.unwrapped) == ((), "ecdh-es", None)


def test_x448_agrees_and_derives() -> None:
    device, mine = x448.X448PrivateKey.generate(), x448.X448PrivateKey.generate()
    wanted = cose_encryption.Wanted(1, 128)
    share = {1: 1, -1: 5, -2: mine.public_key().public_bytes_raw()}
    keys, facts = cose_encryption.open_recipient(recipient(share, -25), wanted, private(device))
    assert (len(keys), len(keys[0]), facts.unwrapped) == (1, 16, None)
    found = cose_encryption.ephemeral(recipient(share, -25).headers)
    (secret,) = private(device).decryption
    assert cose_encryption.agree(secret, found) == mine.exchange(device.public_key())


@pytest.mark.parametrize(
    "share", [None, 5, {}, {1: 2}, {1: 2, -1: 1}, {1: 2, -1: 1, -2: bytes(33)}, {1: 9, -1: 1, -2: b""}]
)
def test_a_damaged_ephemeral_key_is_a_format_error(share: Any) -> None:
    with pytest.raises(FormatError):
        cose_encryption.ephemeral(recipient(share).headers)


def test_an_unknown_transport_is_named_by_its_number() -> None:
    wanted = cose_encryption.Wanted(1, 128)
    keys, facts = cose_encryption.open_recipient(recipient({}, -40), wanted, KeyRing.empty())
    assert (keys, facts.algorithm) == ((), "cose -40")
