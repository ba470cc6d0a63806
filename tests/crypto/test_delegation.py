"""Delegation chains: the published example of the trust-domains draft, and chains that lead nowhere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cbor2
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, utils, x25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from checker.crypto.delegation import MAX_TOKENS, Delegated, follow
from checker.crypto.keyring import KeyRing
from checker.crypto.keys import PublicKey, read_public_key
from checker.errors import FormatError, LimitError
from checker.io import cbor

AS_OF = "2026-11-01T00:00:00Z"
NOW = 1_793_491_200  # the same
# suit-wg/suit-multiple-trust-domains examples/example0_delegation.txt: a token by the trust anchor of libcsuit.
TOKEN = bytes.fromhex(
    "D28443A10126A0584FA108A101A40102200121582"
    "00E908AA8F066DB1F084E0C3652C63952BD99F2A5BDB22F9E01367AAD03ABA68B"
    "22582077DA1BD8AC4F0CB490BA210648BF79AB164D49AD3551D71D314B2749EE42D29A"
    "5840FB2D5ACF66B9C8573CE92E13BFB8D113F798715CC10B5A0010B11925C155E7245A64E131073B87AC50CAC71650A21315B82D06CA2298CD1A"
    "95519AAE4C4B5315"
)
ROOT, MIDDLE, OTHER = (ec.derive_private_key(number, ec.SECP256R1()) for number in (7, 8, 9))


def public(private: Any) -> PublicKey:
    pem = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return read_public_key(pem, "root")


def numbers(private: ec.EllipticCurvePrivateKey) -> dict[int, Any]:
    found = private.public_key().public_numbers()
    return {1: 2, -1: 1, -2: found.x.to_bytes(32, "big"), -3: found.y.to_bytes(32, "big")}


def token(by: ec.EllipticCurvePrivateKey, claims: Any) -> bytes:
    header, payload = cbor2.dumps({1: -7}), cbor2.dumps(claims)
    der = by.sign(cbor2.dumps(["Signature1", header, b"", payload]), ec.ECDSA(hashes.SHA256()))
    signature = b"".join(number.to_bytes(32, "big") for number in utils.decode_dss_signature(der))
    return cbor2.dumps(cbor2.CBORTag(18, [header, {}, payload, signature]))


def cnf(key: Any, **more: Any) -> dict[int, Any]:
    return {8: {1: key}, **{{"exp": 4, "nbf": 5}[name]: value for name, value in more.items()}}


def followed(*chains: Sequence[bytes], ring: KeyRing | None = None) -> Delegated:
    item = cbor.read(cbor2.dumps([list(chain) for chain in chains]), "delegation")
    return follow(item, ring or KeyRing.of(keys=[public(ROOT)]), AS_OF)


def test_the_published_example_leads_to_the_delegated_key(corpus: Any) -> None:
    anchor = read_public_key((corpus / "suit" / "key" / "trust_anchor_secp256r1_pub.pem").read_bytes(), "anchor")
    found = followed([TOKEN], ring=KeyRing.of(keys=[anchor]))
    assert found.notes == ()
    (key,) = found.keys
    assert key.raw.hex().startswith("040e908aa8f066db1f084e0c3652c63952bd99f2a5bdb22f9e01367aad03aba68b")
    assert (key.facts.name, key.facts.declared) == ("delegated by anchor", True)
    stranger = followed([TOKEN])
    assert stranger.keys == ()
    assert "no declared key vouches" in stranger.notes[0]


def test_a_chain_of_two_leads_to_its_last_key() -> None:
    edwards = ed25519.Ed25519PrivateKey.from_private_bytes(bytes(32))
    last = {1: 1, -1: 6, -2: edwards.public_key().public_bytes_raw()}
    found = followed([token(ROOT, cnf(numbers(MIDDLE))), token(MIDDLE, cnf(last))])
    assert [key.spki_sha256 for key in found.keys] == [public(edwards).spki_sha256]


def test_a_declared_key_may_not_stand_in_for_the_key_before() -> None:
    found = followed([token(ROOT, cnf(numbers(MIDDLE))), token(ROOT, cnf(numbers(OTHER)))])
    assert found.keys == ()


def test_one_bad_chain_does_not_spoil_another() -> None:
    found = followed([token(OTHER, cnf(numbers(MIDDLE)))], [token(ROOT, cnf(numbers(MIDDLE)))])
    assert len(found.keys) == len(found.notes) == 1


@pytest.mark.parametrize(
    ("claims", "words"),
    [
        (cnf(numbers(MIDDLE), exp=NOW), "is expired"),
        (cnf(numbers(MIDDLE), nbf=NOW + 1), "is not yet valid"),
        ({}, "holds no key"),
        ({8: {2: 3}}, "holds no key"),
        (cnf({1: 2, -1: 99, -2: bytes(32), -3: bytes(32)}), "curve 99"),
        (cnf({1: 1, -1: 4, -2: x25519.X25519PrivateKey.generate().public_key().public_bytes_raw()}), "cannot sign"),
        (cnf({1: 2, -1: 1}), "coordinate"),
        (cnf({-1: 1, -2: bytes(32)}), "no number"),
        ([1], "a map is expected"),
    ],
)
def test_a_token_that_leads_nowhere_says_why(claims: Any, words: str) -> None:
    found = followed([token(ROOT, claims)])
    assert found.keys == ()
    assert words in found.notes[0]


def test_times_at_their_limits() -> None:
    assert followed([token(ROOT, cnf(numbers(MIDDLE), exp=NOW + 1, nbf=NOW))]).keys


@pytest.mark.parametrize("change", [b"", b"\xf6", b"\xd1\x84\x43\xa1\x01\x05\xa0\x41\xa0\x41\x00"])
def test_what_is_no_token_is_a_note(change: bytes) -> None:
    assert followed([change]).notes
    assert "no token" in followed([]).notes[0]


def test_too_many_tokens_are_refused_by_name() -> None:
    with pytest.raises(LimitError, match="MAX_TOKENS"):
        followed([b"\xf6"] * (MAX_TOKENS + 1))
    with pytest.raises(FormatError, match="array"):
        follow(cbor.read(b"\xf6", "delegation"), KeyRing.empty(), AS_OF)
