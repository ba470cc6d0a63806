"""PSA tokens and EATs: the examples of the draft that became RFC 9783, and tokens of our own with one fault each."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, Final

import cbor2
import pytest
from cryptography.hazmat.primitives.asymmetric import mldsa
from hypothesis import given, settings
from hypothesis import strategies as st

from checker.crypto.attestation_files import check_attestation, form_of, names_key
from checker.crypto.attestations._token import MAX_NONCES, MAX_TOKEN
from checker.crypto.attestations.contract import Pinned, Statement
from checker.crypto.attestations.psa import MAX_COMPONENTS
from checker.crypto.jose import read_jwk
from checker.crypto.keyring import KeyRing
from checker.errors import CryptoError, FormatError, LimitError, UnknownFormatError, UnsupportedAlgorithmError
from tests.crypto import attestation_maker as maker
from tests.crypto.attestation_maker import NONCE, eat_claims, psa_claims, token

PUBLISHED: Final = json.loads((Path(__file__).parent / "data/attestations/psa.json").read_text())
MAKER: Final = maker.p256()
DEVICE: Final = maker.p256()
CNF: Final = {1: maker.cose_key(DEVICE)}
DEVICE_ID: Final = maker.public(DEVICE).spki_sha256


def check(data: bytes, **changes: Any) -> Statement:
    """Check a token under the maker's bare key."""
    return check_attestation(data, "auto", maker.pinned(maker.spki(MAKER), **changes))[1]


def published(nonce: bytes) -> Pinned:
    ring = KeyRing.of(keys=[read_jwk(PUBLISHED["key"])])
    return Pinned(ring=ring, as_of=maker.AS_OF, nonce=nonce)


# The published example


def test_the_example_of_the_draft_of_rfc_9783_verifies_and_speaks_for_its_platform_only() -> None:
    kind, found = check_attestation(bytes.fromhex(PUBLISHED["sign1"]), "auto", published(b"\x01" * 32))
    assert (kind, found.valid, found.key) == ("psa", True, "")
    assert (found.boot_verified, found.anchor_protected, found.anchors) == (True, True, (b"\x04" * 32,))
    assert found.non_exportable is None
    assert found.quantum_resistant is False


def test_the_example_does_not_answer_another_nonce() -> None:
    _, found = check_attestation(bytes.fromhex(PUBLISHED["sign1"]), "auto", published(b"\x02" * 32))
    assert (found.genuine, found.fresh, found.valid) == (True, False, False)
    assert found.note == "not fresh: it answers another nonce"


def test_the_example_is_not_genuine_under_another_key() -> None:
    _, found = check_attestation(
        bytes.fromhex(PUBLISHED["sign1"]), "psa", maker.pinned(maker.spki(MAKER), nonce=b"\x01" * 32)
    )
    assert (found.genuine, found.fresh) == (False, True)
    assert "no pinned key" in found.note


def test_the_example_of_an_older_draft_verifies_by_its_own_labels() -> None:
    nonce = bytes(range(32))
    root = bytes.fromhex(PUBLISHED["old_point"])
    kind, found = check_attestation(bytes.fromhex(PUBLISHED["old"]), "auto", maker.pinned(root, nonce=nonce))
    assert (kind, found.valid, found.anchors, found.boot_verified) == ("psa", True, (nonce,), True)
    assert not check_attestation(bytes.fromhex(PUBLISHED["old"]), "auto", maker.pinned(root, nonce=b"1" * 32))[1].valid


def test_the_mac_of_the_draft_of_rfc_9783_is_named_and_not_proved() -> None:
    data = bytes.fromhex(PUBLISHED["mac0"])
    assert form_of(data).id == "psa"
    with pytest.raises(UnsupportedAlgorithmError, match="COSE_Mac0 is a MAC"):
        check_attestation(data, "auto", published(b"\x01" * 32))


def test_no_single_changed_bit_of_the_example_leaves_it_valid() -> None:
    data = bytearray.fromhex(PUBLISHED["sign1"])
    given_ = published(b"\x01" * 32)
    for place in range(len(data) * 8):
        data[place // 8] ^= 1 << place % 8
        assert not survives(bytes(data), given_), place
        data[place // 8] ^= 1 << place % 8
    assert survives(bytes(data), given_)


def survives(data: bytes, given_: Pinned) -> bool:
    try:
        return check_attestation(data, "psa", given_)[1].valid
    except (FormatError, CryptoError):
        return False


def test_a_token_that_is_cut_anywhere_is_refused() -> None:
    data = bytes.fromhex(PUBLISHED["sign1"])
    for size in range(len(data)):
        with pytest.raises((FormatError, CryptoError)):
            check_attestation(data[:size], "psa", published(b"\x01" * 32))


# PSA


def test_a_key_that_the_token_confirms_is_bound_and_not_exportable() -> None:
    found = check(token(psa_claims(c8=CNF), MAKER))
    assert (found.valid, found.key, found.non_exportable) == (True, DEVICE_ID, True)
    assert found.note == ""


def test_a_token_without_a_confirmed_key_is_bound_to_none() -> None:
    found = check(token(psa_claims(), MAKER))
    assert (found.valid, found.key, found.non_exportable) == (True, "", None)


def test_a_key_may_be_confirmed_by_the_digest_of_its_public_key_as_key_id() -> None:
    found = check(token(psa_claims(c8={3: bytes.fromhex(DEVICE_ID)}), MAKER))
    assert (found.key, found.non_exportable) == (DEVICE_ID, True)
    assert check(token(psa_claims(c8={3: b"slot-2"}), MAKER)).key == ""


@pytest.mark.parametrize(
    ("lifecycle", "secured"),
    [
        (0x3000, True),
        (0x30FF, True),
        (0x0000, None),  # unknown
        (0x00FF, None),
        (0x1000, False),  # assembly and test
        (0x2000, False),  # provisioning
        (0x3100, False),
        (0x4000, False),  # debugging outside the root of trust
        (0x5000, False),
        (0x6000, False),  # decommissioned
    ],
)
def test_only_a_secured_lifecycle_protects(lifecycle: int, secured: bool | None) -> None:  # noqa: FBT001
    found = check(token(psa_claims(c2395=lifecycle, c8=CNF), MAKER))
    assert found.valid
    assert (found.non_exportable, found.boot_verified, found.anchor_protected) == (secured, secured, secured)


@pytest.mark.parametrize(("state", "secured"), [(0, False), (1, None), (2, True), (3, True), (4, True)])
def test_debugging_counts_against_a_secured_lifecycle(state: int, secured: bool | None) -> None:  # noqa: FBT001
    found = check(token(psa_claims(c263=state, c8=CNF), MAKER))
    assert (found.non_exportable, found.anchor_protected) == (secured, secured)


def test_a_platform_that_is_not_secured_stays_so_whatever_it_says_of_debugging() -> None:
    assert check(token(psa_claims(c263=3, c2395=0x4000, c8=CNF), MAKER)).non_exportable is False


def test_a_token_without_signer_ids_names_no_anchor_and_no_verified_boot() -> None:
    for components in (None, [], [{2: bytes(32)}]):
        found = check(token(psa_claims(c2399=components), MAKER))
        assert (found.valid, found.anchors) == (True, ())
        assert (found.anchor_protected, found.boot_verified) == (None, None)


@pytest.mark.parametrize("label", [256, 2394, 2395, 2396])
def test_a_psa_token_without_a_claim_of_its_profile_is_refused(label: int) -> None:
    claims = psa_claims()
    del claims[label]
    with pytest.raises(FormatError, match="lacks its"):
        check_attestation(token(claims, MAKER), "psa", maker.pinned(maker.spki(MAKER)))


@pytest.mark.parametrize(
    "changes",
    [
        {"c2396": bytes(31)},
        {"c256": b"\x02" + bytes(32)},
        {"c256": b""},
        {"c2399": [{5: bytes(20)}]},
        {"c2399": {5: bytes(32)}},
        {"c2399": [7]},
        {"c2395": "secured"},
        {"c8": 7},
        {"c8": {1: {1: 4, -1: bytes(32)}}},
        {"c263": 9},
        {"c263": True},
        {"c10": "nonce"},
    ],
)
def test_a_claim_of_another_form_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises((FormatError, CryptoError)):
        check(token(psa_claims(**changes), MAKER))


def test_more_nonces_or_components_than_are_read_are_refused() -> None:
    with pytest.raises(LimitError, match="MAX_NONCES"):
        check(token(psa_claims(c10=[NONCE] * (MAX_NONCES + 1)), MAKER))
    with pytest.raises(LimitError, match="MAX_COMPONENTS"):
        check(token(psa_claims(c2399=[{5: bytes(32)}] * (MAX_COMPONENTS + 1)), MAKER))
    with pytest.raises(LimitError, match="MAX_TOKEN"):
        check_attestation(b"\xd2" + bytes(MAX_TOKEN), "psa", maker.pinned(maker.spki(MAKER)))


def test_a_token_of_before_the_rfc_is_read_by_its_own_labels() -> None:
    old = {10: -75008, 256: -75009, 265: -75000, 2394: -75001, 2395: -75002, 2396: -75003, 2399: -75006}
    claims = {old.get(label, label): value for label, value in psa_claims(c265="PSA_IOT_PROFILE_1").items()}
    data = token(claims, MAKER)
    assert form_of(data).id == "psa"
    found = check(data)
    assert (found.valid, found.anchors, found.anchor_protected) == (True, (maker.SIGNER,), True)


# Nonces


def test_without_a_nonce_of_ours_a_token_is_never_valid() -> None:
    found = check(token(psa_claims(), MAKER), nonce=b"")
    assert (found.genuine, found.valid) == (True, False)
    assert found.note == "not fresh: the description gives no nonce"


def test_a_nonce_of_a_few_bytes_shows_nothing() -> None:
    found = check(token(psa_claims(c10=b"1234567"), MAKER), nonce=b"1234567")
    assert found.valid is False
    assert "at least 8 bytes" in found.note


def test_a_token_without_a_nonce_is_not_fresh() -> None:
    assert check(token(psa_claims(c10=None), MAKER)).note == "not fresh: it holds no nonce"


def test_a_nonce_that_is_the_digest_of_a_known_key_binds_it_and_says_nothing_of_where_it_is() -> None:
    data = token(psa_claims(c10=[NONCE, bytes.fromhex(DEVICE_ID)]), MAKER)
    found = check(data, known_keys=frozenset({DEVICE_ID}))
    assert (found.valid, found.key, found.non_exportable) == (True, DEVICE_ID, None)
    assert check(data, known_keys=frozenset({"00" * 32})).key == ""


# Who signed


def test_a_certified_key_vouches_where_its_path_ends_in_the_pinned_root() -> None:
    top, leaf = maker.p256(), maker.p256()
    chain = [maker.certificate("Attester", leaf, "Maker root", top)]
    data = token(psa_claims(c8=CNF), leaf, chain=chain)
    found = check_attestation(data, "auto", maker.pinned(maker.pem(maker.root(top))))[1]
    assert (found.valid, found.key) == (True, DEVICE_ID)
    foreign = check_attestation(data, "auto", maker.pinned(maker.pem(maker.root(maker.p256()))))[1]
    assert (foreign.genuine, foreign.valid) == (False, False)
    assert "no path to the pinned root" in foreign.note


def test_the_certificates_may_lie_beside_the_token() -> None:
    top, leaf = maker.p256(), maker.p256()
    chain = maker.pem(maker.certificate("Attester", leaf, "Maker root", top))
    given_ = maker.pinned(maker.pem(maker.root(top)), companions={"certificates": chain})
    assert check_attestation(token(psa_claims(), leaf), "auto", given_)[1].valid
    assert not check_attestation(token(psa_claims(), maker.p256()), "auto", given_)[1].valid


def test_a_signer_whose_certificate_has_ended_does_not_vouch() -> None:
    top, leaf = maker.p256(), maker.p256()
    chain = [maker.certificate("Attester", leaf, "Maker root", top, years=1)]
    given_ = maker.pinned(maker.pem(maker.root(top)), as_of="2028-01-01T00:00:00Z")
    assert not check_attestation(token(psa_claims(), leaf, chain=chain), "auto", given_)[1].genuine


@pytest.mark.parametrize("purpose", ["1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.3"])
def test_a_certificate_for_tls_or_code_does_not_attest(purpose: str) -> None:
    top, leaf = maker.p256(), maker.p256()
    chain = [maker.certificate("Signer", leaf, "Maker root", top, purposes=[purpose])]
    data = token(psa_claims(), leaf, chain=chain)
    found = check_attestation(data, "auto", maker.pinned(maker.pem(maker.root(top))))[1]
    assert found.genuine is False
    assert "another purpose" in found.note


def test_a_token_whose_claims_lie_elsewhere_is_refused() -> None:
    head, unprotected, _, signature = cbor2.loads(token(psa_claims(), MAKER)).value
    detached = cbor2.dumps(cbor2.CBORTag(18, [head, unprotected, None, signature]))
    with pytest.raises(FormatError, match="not in the token"):
        check_attestation(detached, "psa", maker.pinned(maker.spki(MAKER)))
    with pytest.raises(UnknownFormatError):
        form_of(detached)


def test_a_key_that_vouches_for_itself_proves_nothing() -> None:
    found = check(token(psa_claims(c8={1: maker.cose_key(MAKER)}), MAKER))
    assert (found.genuine, found.valid) == (False, False)
    assert found.note == "the key that it attests vouches for itself"


def test_an_issuer_that_is_the_attested_key_proves_nothing_either() -> None:
    top, leaf = maker.p256(), maker.p256()
    chain = [maker.certificate("Attester", leaf, "Maker root", top)]
    data = token(psa_claims(c8={1: maker.cose_key(top)}), leaf, chain=chain)
    assert not check_attestation(data, "auto", maker.pinned(maker.pem(maker.root(top))))[1].genuine


def test_an_expired_token_is_not_genuine() -> None:
    seconds = 1_767_225_600  # 2026-01-01
    assert "is expired" in check(token(psa_claims(c4=seconds), MAKER)).note
    assert not check(token(psa_claims(c4=seconds), MAKER)).valid
    assert check(token(psa_claims(c5=seconds), MAKER)).valid


def test_an_algorithm_outside_the_protected_header_is_refused() -> None:
    found = check(token(psa_claims(), MAKER, protected={}))
    assert found.genuine is False


def test_a_critical_header_that_is_not_understood_leaves_the_token_undecided() -> None:
    with pytest.raises(UnsupportedAlgorithmError, match="critical"):
        check(token(psa_claims(), MAKER, protected={1: -7, 2: [99], 99: 1}))


# Quantum-resistant keys and signers


def test_a_quantum_resistant_token_says_so_and_confirms_a_key_of_ml_dsa() -> None:
    top, signer = mldsa.MLDSA65PrivateKey.generate(), mldsa.MLDSA65PrivateKey.generate()
    cnf = {1: {1: 7, 3: -49, -1: signer.public_key().public_bytes_raw()}}
    found = check_attestation(token(psa_claims(c8=cnf), top), "auto", maker.pinned(maker.spki(top)))[1]
    assert (found.valid, found.key, found.quantum_resistant) == (True, maker.public(signer).spki_sha256, True)


def test_one_classical_link_makes_the_path_classical() -> None:
    top, leaf = maker.p256(), mldsa.MLDSA65PrivateKey.generate()
    chain = [maker.certificate("Attester", leaf, "Maker root", top)]
    found = check_attestation(token(psa_claims(), leaf, chain=chain), "auto", maker.pinned(maker.pem(maker.root(top))))[
        1
    ]
    assert (found.valid, found.quantum_resistant) == (True, False)


# EAT


def test_an_eat_with_debugging_off_proves_its_confirmed_key_and_its_boot() -> None:
    data = token(eat_claims(c8=CNF), MAKER)
    assert form_of(data).id == "eat"
    found = check(data)
    assert (found.valid, found.key, found.non_exportable, found.boot_verified) == (True, DEVICE_ID, True, True)
    assert found.anchor_protected is None


@pytest.mark.parametrize(("state", "secure"), [(0, False), (1, None), (2, True), (3, True), (4, True), (None, None)])
def test_an_eat_counts_only_where_debugging_has_been_off(state: int | None, secure: bool | None) -> None:  # noqa: FBT001
    found = check(token(eat_claims(c263=state, c8=CNF), MAKER))
    assert (found.valid, found.non_exportable, found.boot_verified) == (True, secure, secure)


def test_an_eat_that_does_not_say_whose_software_runs_proves_no_boot() -> None:
    assert check(token(eat_claims(c262=None), MAKER)).boot_verified is None
    assert check(token(eat_claims(c262=False), MAKER)).boot_verified is False


def test_a_token_inside_the_tag_of_cwts_is_the_same_token() -> None:
    inner = cbor2.loads(token(eat_claims(), MAKER))
    assert check(cbor2.dumps(cbor2.CBORTag(61, inner))).valid


# Totality and digests


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_refused_with_an_error_of_their_own(data: bytes) -> None:
    for prefix in (b"", b"\xd2\x84", b"\xd2\x84\x43\xa1\x01\x26\xa0"):
        with pytest.raises((FormatError, CryptoError)):
            check_attestation(prefix + data, "psa", maker.pinned(maker.spki(MAKER)))


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.binary() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.integers(-4, 12), inner, max_size=4),
    max_leaves=8,
)


@settings(max_examples=150, deadline=None)
@given(_VALUES)
def test_any_value_of_a_claim_is_read_or_refused(value: object) -> None:
    for label in (4, 8, 10, 256, 263, 2395, 2399):
        try:
            found = check(token(psa_claims(**{f"c{label}": value}), MAKER))
        except (FormatError, CryptoError):
            continue
        assert isinstance(found.valid, bool)


def test_a_file_of_no_kind_names_the_kinds_that_there_are() -> None:
    with pytest.raises(UnknownFormatError, match="android, eat, pkcs11, psa, tpm, yubihsm, yubikey-piv"):
        form_of(b"nothing of that")
    with pytest.raises(UnknownFormatError, match="'cloud' is no kind"):
        form_of(b"nothing of that", "cloud")


@pytest.mark.parametrize("name", ["sha256", "sha384", "sha512"])
def test_an_anchor_is_named_by_the_digest_of_any_of_its_forms(name: str) -> None:
    key, other = maker.p256(), maker.p256()
    found, der = maker.public(key), b"certificate"
    for form in (found.spki, found.raw, der):
        assert names_key((bytes(32), hashlib.new(name, form).digest()), found, der)
    assert not names_key((hashlib.new(name, found.spki).digest(),), maker.public(other), der)
    assert not names_key((hashlib.new(name, found.spki).digest()[:-1],), found)
