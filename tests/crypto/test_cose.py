"""COSE against the working group's own examples, and one fault at a time beside them."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import cbor2
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from checker.crypto import cose
from checker.crypto import cose_encryption as encryption
from checker.crypto.keyring import DecryptionKey, KeyRing, read_decryption_key
from checker.crypto.keys import PublicKey, read_public_key
from checker.errors import (
    CryptoError,
    DecryptionError,
    FormatError,
    InvalidSignatureError,
    LimitError,
    UnsupportedAlgorithmError,
)
from checker.io.cbor import read
from checker.io.limits import MAX_HEADER
from checker.io.sources import BytesSource
from checker.model.artifact import AuthKind, Signature, Span
from checker.model.terms import Outcome
from samples.build.formats import _suit as maker
from tests.crypto import pq_material

AS_OF: Final = "2026-11-01T00:00:00Z"
TEXT: Final = b"This is the content."
VECTORS: Final = json.loads((Path(__file__).parent / "data" / "cose_wg_examples.json").read_text())
CURVES: Final[Mapping[str, type[ec.EllipticCurve]]] = {
    "P-256": ec.SECP256R1,
    "P-384": ec.SECP384R1,
    "P-521": ec.SECP521R1,
}


def octets(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def number(text: str) -> int:
    return int.from_bytes(octets(text), "big")


def public(jwk: Mapping[str, str]) -> PublicKey:
    key: Any
    if jwk["kty"] == "EC":
        key = ec.EllipticCurvePublicNumbers(number(jwk["x"]), number(jwk["y"]), CURVES[jwk["crv"]]()).public_key()
    elif jwk["kty"] == "RSA":
        key = rsa.RSAPublicNumbers(int(jwk["e_hex"], 16), int(jwk["n_hex"], 16)).public_key()
    else:
        key = ed448.Ed448PublicKey.from_public_bytes(bytes.fromhex(jwk["x_hex"]))
    return of(key)


def of(key: Any) -> PublicKey:
    return read_public_key(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo), "key")


def private(jwk: Mapping[str, str]) -> DecryptionKey:
    if jwk["kty"] == "oct":
        return read_decryption_key(octets(jwk["k"]).hex().encode(), "secret")
    key = ec.derive_private_key(number(jwk["d"]), CURVES[jwk["crv"]]())
    return read_decryption_key(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), "device")


def message(data: bytes, kind: str) -> cose.Message:
    """Return a message; `kind` is that of a vector, whose tag may be of an early draft."""
    item = read(data, "message")
    return cose.parse(item.tagged()[1], untagged=kind) if kind else cose.parse(item)


def judge(found: cose.Message, ring: KeyRing, external: bytes = b"") -> tuple[Signature, ...]:
    content = TEXT if found.payload is None else found.payload.data("payload")
    return cose.Judge(content, ring, AS_OF, external_aad=external).run(found)


def ident(vector: Mapping[str, Any]) -> str:
    return f"{vector['file']} {vector.get('remark', '')}".strip()


# Published vectors


@pytest.mark.parametrize("vector", VECTORS["signatures"], ids=ident)
def test_a_published_signature_comes_out_as_published(vector: Mapping[str, Any]) -> None:
    found = message(bytes.fromhex(vector["cbor"]), vector["kind"])
    ring = KeyRing.of(keys=[public(key) for key in vector["keys"]])
    outcomes = [each.outcome.value for each in judge(found, ring, bytes.fromhex(vector["external"]))]
    assert outcomes == vector["outcomes"]


@pytest.mark.parametrize("vector", [each for each in VECTORS["signatures"] if "valid" in each["outcomes"]], ids=ident)
def test_no_bit_of_a_published_signature_may_differ(vector: Mapping[str, Any]) -> None:
    whole = message(bytes.fromhex(vector["cbor"]), vector["kind"])
    place = whole.signers[0].where.end - len(whole.signers[0].end)
    ring = KeyRing.of(keys=[public(key) for key in vector["keys"]])
    for offset in range(place, whole.signers[0].where.end, 7):
        data = bytearray(bytes.fromhex(vector["cbor"]))
        data[offset] ^= 4
        found = judge(message(bytes(data), vector["kind"]), ring, bytes.fromhex(vector["external"]))
        assert found[0].outcome is Outcome.INVALID


@pytest.mark.parametrize("vector", VECTORS["macs"], ids=ident)
def test_a_published_mac_comes_out_as_published(vector: Mapping[str, Any]) -> None:
    found = message(bytes.fromhex(vector["cbor"]), vector["kind"])
    (mac,) = judge(found, KeyRing.of(decryption=[private(vector["key"])]))
    assert (mac.outcome.value, mac.kind) == (vector["outcome"], AuthKind.MAC)
    (unknown,) = judge(found, KeyRing.empty())
    assert unknown.outcome is not Outcome.VALID


@pytest.mark.parametrize("vector", VECTORS["encryptions"], ids=ident)
def test_a_published_ciphertext_is_decrypted(vector: Mapping[str, Any]) -> None:
    assert opened(bytes.fromhex(vector["cbor"]), vector) == TEXT


@pytest.mark.parametrize("vector", VECTORS["encryptions"], ids=ident)
def test_a_published_ciphertext_with_a_flipped_bit_is_not(vector: Mapping[str, Any]) -> None:
    whole = message(bytes.fromhex(vector["cbor"]), vector["kind"])
    assert whole.payload is not None
    data = bytearray(bytes.fromhex(vector["cbor"]))
    data[whole.payload.content.start] ^= 1
    with pytest.raises(DecryptionError):
        opened(bytes(data), vector)


@pytest.mark.parametrize("vector", VECTORS["early_drafts"], ids=ident)
def test_a_ciphertext_with_the_context_of_an_early_draft_is_refused(vector: Mapping[str, Any]) -> None:
    with pytest.raises(DecryptionError):  # "Encrypt1", which is "Encrypt0" since RFC 8152
        opened(bytes.fromhex(vector["cbor"]), vector)


@pytest.mark.parametrize(("context", "right"), [("Encrypt0", True), ("Encrypt1", False), ("Encrypt", False)])
def test_a_message_without_recipients_has_a_context_of_its_own(context: str, right: bool) -> None:  # noqa: FBT001
    header, key, iv = cbor2.dumps({1: 3}), bytes(range(32)), bytes(12)
    sealed = AESGCM(key).encrypt(iv, TEXT, cbor2.dumps([context, header, b""]))
    data = cbor2.dumps(cbor2.CBORTag(16, [header, {5: iv}, sealed]))
    vector = {"kind": "", "key": {"kty": "oct", "k": base64.urlsafe_b64encode(key).decode().rstrip("=")}}
    if right:
        assert opened(data, vector) == TEXT
        return
    with pytest.raises(DecryptionError):
        opened(data, vector)


def opened(data: bytes, vector: Mapping[str, Any]) -> bytes:
    found = message(data, vector["kind"])
    key = private(vector["key"])
    keys: tuple[bytes, ...] = (key.secret,)
    if found.recipients:
        keys, recipient = encryption.open_recipient(
            found.recipients[0], encryption.wanted_key(found), KeyRing.of(decryption=[key])
        )
        assert recipient.unwrapped is not False
    assert found.payload is not None
    plain = encryption.decrypt(found, keys[0], found.payload.document.source, found.payload.content)
    return plain.read(0, plain.size)


# Signatures of every kind of key, and what stands in the headers


def signed(key: Any, algorithm: int, sign: Any, **headers: Any) -> bytes:
    header = cbor2.dumps({1: algorithm, **headers.get("inside", {})})
    signature = sign(key, cbor2.dumps(["Signature1", header, b"", TEXT]))
    return cbor2.dumps(cbor2.CBORTag(18, [header, headers.get("outside", {}), None, signature]))


def ecdsa(key: Any, data: bytes) -> bytes:
    return maker.raw_signature(key, data)


def pkcs1(key: Any, data: bytes) -> bytes:
    return bytes(key.sign(data, padding.PKCS1v15(), hashes.SHA256()))


P256: Final = ec.derive_private_key(7, ec.SECP256R1())
ED25519: Final = ed25519.Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
RSA: Final = rsa.generate_private_key(65537, 2048)


@pytest.mark.parametrize(
    ("key", "algorithm", "sign", "outcome"),
    [
        (P256, -7, ecdsa, "valid"),
        (P256, -9, ecdsa, "valid"),
        (P256, -51, ecdsa, "key_unknown"),  # ESP384 is made by P-384 keys
        (P256, -8, ecdsa, "key_unknown"),
        (ec.derive_private_key(7, ec.SECP256K1()), -47, ecdsa, "valid"),
        (ec.derive_private_key(7, ec.SECP256K1()), -7, ecdsa, "key_unknown"),
        (ec.derive_private_key(7, ec.BrainpoolP256R1()), -265, ecdsa, "valid"),
        (ED25519, -8, ecdsa, "valid"),
        (ED25519, -19, ecdsa, "valid"),
        (ED25519, -53, ecdsa, "key_unknown"),
        (RSA, -37, ecdsa, "valid"),
        (RSA, -257, pkcs1, "valid"),
        (RSA, -257, ecdsa, "invalid"),
        (RSA, -37, pkcs1, "invalid"),
        (RSA, -38, ecdsa, "invalid"),
        (P256, -48, ecdsa, "key_unknown"),
        (P256, -260, ecdsa, "undecidable"),
        (P256, "ES256", ecdsa, "undecidable"),
    ],
)
def test_the_protected_algorithm_decides_and_asks_for_a_key_of_its_own_kind(
    key: Any, algorithm: Any, sign: Any, outcome: str
) -> None:
    found = message(signed(key, algorithm, sign), "")
    assert [each.outcome.value for each in judge(found, KeyRing.of(keys=[of(key.public_key())]))] == [outcome]


def message_of(**headers: Any) -> cose.Message:
    return message(signed(P256, -7, ecdsa, **headers), "")


@pytest.mark.parametrize(
    ("headers", "outcome"),
    [
        ({}, "valid"),
        ({"inside": {4: b"kid"}}, "valid"),
        ({"outside": {4: b"kid", 99: "not critical"}}, "valid"),
        ({"inside": {2: [4], 4: b"kid"}}, "valid"),
        ({"inside": {2: [99], 99: 1}}, "undecidable"),
        ({"inside": {2: [99]}}, "invalid"),
        ({"inside": {2: []}}, "invalid"),
        ({"inside": {2: 4, 4: b"kid"}}, "invalid"),
        ({"outside": {2: [4], 4: b"kid"}}, "invalid"),
        ({"outside": {1: -7}}, "invalid"),
        ({"outside": {33: b"no certificate"}}, "invalid"),
    ],
)
def test_headers_keep_the_rules(headers: dict[str, Any], outcome: str) -> None:
    ring = KeyRing.of(keys=[of(P256.public_key())])
    assert [each.outcome.value for each in judge(message_of(**headers), ring)] == [outcome]


def test_two_signatures_by_one_key_are_told_to_be_by_one_key() -> None:
    block = maker.sign(P256, P256)(TEXT)
    found = judge(message(block, ""), KeyRing.of(keys=[of(P256.public_key())]))
    assert [each.outcome for each in found] == [Outcome.VALID] * 2
    assert len({each.key.id for each in found}) == 1


def test_a_mac_by_a_wrapped_key_needs_the_wrapping_key() -> None:
    block = message(maker.mac(bytes(32), bytes(range(16)))(TEXT), "")
    right, wrong = (read_decryption_key(data.hex().encode(), "secret") for data in (bytes(range(16)), bytes(16)))
    assert judge(block, KeyRing.of(decryption=[right]))[0].outcome is Outcome.VALID
    assert judge(block, KeyRing.of(decryption=[wrong]))[0].outcome is Outcome.KEY_UNKNOWN


@pytest.mark.parametrize("other", [None, b"SUIT Payload Encryption"])
def test_ecdh_es_binds_the_context_of_its_use(other: bytes | None) -> None:
    device, ephemeral = ec.derive_private_key(11, ec.SECP256R1()), ec.derive_private_key(13, ec.SECP256R1())
    recipient = maker.by_ecdh(bytes(16), device.public_key(), ephemeral, other)
    sealed, info = maker.encrypt(TEXT, bytes(16), bytes(12), [recipient])
    found = message(info, "")
    pem = device.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    ring = KeyRing.of(decryption=[read_decryption_key(pem, "device")])
    wanted = encryption.wanted_key(found)
    keys, facts = encryption.open_recipient(found.recipients[0], wanted, ring, (other,))
    assert (keys, facts.unwrapped, facts.algorithm) == ((bytes(16),), True, "ecdh-es")
    plain = encryption.decrypt(found, keys[0], BytesSource("x", sealed), Span(0, len(sealed)))
    assert plain.read(0, plain.size) == TEXT
    stranger = None if other else b"SUIT Payload Encryption"
    keys, facts = encryption.open_recipient(found.recipients[0], wanted, ring, (stranger,))
    assert (keys, facts.unwrapped) == ((), False)


def test_counter_and_block_modes_without_authentication_are_decrypted_and_named_so() -> None:
    key, iv = bytes(range(16)), bytes(16)
    sealed, info = maker.encrypt(TEXT, key, iv, [maker.by_wrap(key, bytes(16))], maker.A128CTR)
    found = message(info, "")
    algorithm = encryption.content_algorithm(found)
    assert (algorithm.name, algorithm.authenticated) == ("A128CTR", False)
    plain = encryption.decrypt(found, key, BytesSource("x", sealed), Span(0, len(sealed)))
    assert plain.read(0, plain.size) == TEXT


@pytest.mark.parametrize(
    ("recipient", "reason"),
    [
        ([b"", {}, b""], "no algorithm"),
        ([b"", {1: -1}, b""], "unknown algorithm"),
        ([b"", {1: -3}, b"", []], "recipients inside"),
        ([cbor2.dumps({1: -29}), {}, bytes(24)], "no ephemeral key"),
        ([cbor2.dumps({1: -29}), {-1: {1: 2, -1: 1}}, bytes(24)], "no coordinate"),
        ([cbor2.dumps({1: -29}), {-1: {1: 2, -1: 1, -2: bytes(32), -3: bytes(32)}}, bytes(24)], "no point"),
        ([cbor2.dumps({1: -29}), {-1: {1: 2, -1: 9, -2: bytes(32), -3: True}}, bytes(24)], "unknown curve"),
        ([cbor2.dumps({1: -29}), {-1: {1: "EC", -1: 1}}, bytes(24)], "kind is no number"),
        ([cbor2.dumps({1: -29}), {-1: []}, bytes(24)], "no key"),
    ],
)
def test_a_damaged_recipient_opens_nothing_and_stops_nobody(recipient: list[Any], reason: str) -> None:
    device = ec.derive_private_key(11, ec.SECP256R1())
    pem = device.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    ring = KeyRing.of(decryption=[read_decryption_key(pem, "device"), read_decryption_key(b"11" * 16, "secret")])
    _, info = maker.encrypt(TEXT, bytes(16), bytes(12), [recipient])
    found = message(info, "")
    keys, _ = encryption.open_recipient(found.recipients[0], encryption.wanted_key(found), ring)
    assert keys == (), reason


@pytest.mark.parametrize(
    ("end", "algorithm", "outcome"),
    [
        (bytes(31), 5, "invalid"),
        (bytes(32), 5, "invalid"),
        (bytes(8), 14, "undecidable"),
        (bytes(32), -7, "undecidable"),
    ],
)
def test_a_mac_has_the_size_of_its_algorithm(end: bytes, algorithm: int, outcome: str) -> None:
    data = cbor2.dumps(cbor2.CBORTag(17, [cbor2.dumps({1: algorithm}), {}, None, end]))
    ring = KeyRing.of(decryption=[read_decryption_key(b"11" * 32, "secret")])
    assert [each.outcome.value for each in judge(message(data, ""), ring)] == [outcome]


@pytest.mark.parametrize(("size", "outcome"), [(32, "valid"), (31, "invalid"), (16, "invalid"), (8, "invalid")])
def test_a_right_tag_that_is_cut_is_no_tag(size: int, outcome: str) -> None:
    header, *_, tag = cbor2.loads(maker.mac0(b"\x11" * 32)(TEXT)).value
    data = cbor2.dumps(cbor2.CBORTag(17, [header, {}, None, tag[:size]]))
    ring = KeyRing.of(decryption=[read_decryption_key(b"11" * 32, "secret")])
    assert [each.outcome.value for each in judge(message(data, ""), ring)] == [outcome]


def test_a_key_of_another_kind_is_refused_before_anything_is_computed() -> None:
    found = message_of()
    data = cose.signature_structure(found, found.signers[0], TEXT)
    cose.verify(of(P256.public_key()), found.signers[0], data)
    for key in (ED25519, RSA, ec.derive_private_key(7, ec.SECP256K1())):
        with pytest.raises(InvalidSignatureError, match="is not made by"):
            cose.verify(of(key.public_key()), found.signers[0], data)


def test_what_no_library_can_verify_stays_undecided(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise UnsupportedAlgorithmError("no library")

    ring = KeyRing.of(keys=[of(P256.public_key())])
    assert judge(message_of(), ring)[0].outcome is Outcome.VALID
    monkeypatch.setattr(cose, "verify_message", refuse)
    assert judge(message_of(), ring)[0].outcome is Outcome.UNDECIDABLE


def test_hss_is_verified_by_the_message_itself() -> None:
    signer = pq_material.hss(bytes(32))
    header = cbor2.dumps({1: -46})
    data = cbor2.dumps(["Signature1", header, b"", TEXT])
    ring = KeyRing.of(keys=[read_public_key(signer.spki, "hss")])
    for content, outcome in ((data, Outcome.VALID), (data + b"x", Outcome.INVALID)):
        block = cbor2.dumps(cbor2.CBORTag(18, [header, {}, None, signer.sign(content)]))
        (found,) = judge(message(block, ""), ring)
        assert (found.outcome, found.algorithm) == (outcome, "hss")


@pytest.mark.parametrize(("algorithm", "size"), [(1, 12), (10, 13)])
def test_large_ciphertext_is_read_in_pieces_or_refused(algorithm: int, size: int) -> None:
    """AES-GCM is counter mode with a tag; AES-CCM is refused, for its tag could not be checked."""
    key, iv, plain = bytes(range(16)), bytes(size), b"a line of firmware\n" * 5000
    header = cbor2.dumps({1: algorithm})
    sealed = AESGCM(key).encrypt(iv, plain, b"") if algorithm == 1 else b"x" * len(plain)
    found = message(cbor2.dumps(cbor2.CBORTag(16, [header, {5: iv}, None])), "")
    whole = BytesSource("large", sealed + bytes(MAX_HEADER - len(sealed)) + b"more")
    if algorithm == 1:
        clear = encryption.decrypt(found, key, whole, Span(0, whole.size))
        assert (clear.size, clear.read(0, len(plain))) == (whole.size - 16, plain)
        return
    with pytest.raises(UnsupportedAlgorithmError, match="not decrypted here"):
        encryption.decrypt(found, key, whole, Span(0, whole.size))


@pytest.mark.parametrize(
    ("headers", "key", "error"),
    [
        ({}, 16, "no IV"),
        ({5: bytes(7)}, 16, "nonce of 13"),
        ({5: bytes(13)}, 32, "needs a key"),
    ],
)
def test_a_nonce_or_key_of_a_wrong_size_is_told(headers: dict[int, Any], key: int, error: str) -> None:
    found = message(cbor2.dumps(cbor2.CBORTag(16, [cbor2.dumps({1: 10}), headers, bytes(40)])), "")
    with pytest.raises((DecryptionError, FormatError), match=error):
        encryption.decrypt(found, bytes(key), BytesSource("x", bytes(40)), Span(0, 40))


# Damage


@pytest.mark.parametrize(
    ("value", "error"),
    [
        (cbor2.CBORTag(18, [b"", {}, None]), "4 elements"),
        (cbor2.CBORTag(18, {}), "an array"),
        (cbor2.CBORTag(18, [{}, {}, None, b""]), "a byte string"),
        (cbor2.CBORTag(18, [b"", [], None, b""]), "a map"),
        (cbor2.CBORTag(18, [b"\xa1", {}, None, b""]), "protected header"),
        (cbor2.CBORTag(18, [b"\xa0\xa0", {}, None, b""]), "follow"),
        (cbor2.CBORTag(18, [b"", {}, 1, b""]), "a byte string"),
        (cbor2.CBORTag(98, [b"", {}, None, []]), "0 signatures"),
        (cbor2.CBORTag(98, [b"", {}, None, [[b"", {}, b""]] * 17]), "17 signatures"),
        (cbor2.CBORTag(98, [b"", {}, None, [[b"", {}]]]), "three elements"),
        (cbor2.CBORTag(96, [b"", {}, None, []]), "0 recipients"),
        (cbor2.CBORTag(96, [b"", {}, None, [[b"", {}]]]), "three or four"),
        (cbor2.CBORTag(24, b""), "none of COSE's"),
        ([b"", {}, None, b""], "no tag"),
    ],
)
def test_what_is_no_message_is_refused_with_a_reason(value: Any, error: str) -> None:
    with pytest.raises(FormatError, match=error):
        cose.parse(read(cbor2.dumps(value), "message"))


def test_a_field_beyond_its_limit_is_refused() -> None:
    with pytest.raises(LimitError, match="at most"):
        cose.parse(read(cbor2.dumps(cbor2.CBORTag(18, [b"", {}, None, bytes(70_000)])), "message"))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.binary(min_size=1, max_size=4))
def test_any_damage_is_an_outcome_or_a_typed_error(place: int, noise: bytes) -> None:
    data = bytearray(maker.sign(P256, ED25519)(TEXT))
    data[place % len(data) : place % len(data) + len(noise)] = noise
    ring = KeyRing.of(keys=[of(P256.public_key())], decryption=[read_decryption_key(b"11" * 16, "secret")])
    try:
        found = cose.parse(read(bytes(data), "message"), untagged="Sign")
        outcomes = [each.outcome for each in judge(found, ring)]
    except (FormatError, CryptoError):
        return
    assert outcomes
