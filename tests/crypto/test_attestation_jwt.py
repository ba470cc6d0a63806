"""EATs as JWTs, with one fault each."""

from __future__ import annotations

import base64
import json
from typing import Any, Final

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from checker.crypto.attestation_files import check_attestation, form_of
from checker.crypto.attestations._token import MAX_NONCES
from checker.crypto.attestations.contract import Statement
from checker.errors import CryptoError, FormatError, LimitError, UnknownFormatError, UnsupportedAlgorithmError
from tests.crypto import attestation_maker as maker
from tests.crypto.attestation_maker import NONCE

MAKER: Final = maker.p256()
DEVICE: Final = maker.p256()
DEVICE_ID: Final = maker.public(DEVICE).spki_sha256


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def jwk(key: ec.EllipticCurvePrivateKey) -> dict[str, str]:
    numbers = key.public_key().public_numbers()
    return {
        "kty": "EC",
        "crv": "P-256",
        "x": b64(numbers.x.to_bytes(32, "big")),
        "y": b64(numbers.y.to_bytes(32, "big")),
    }


def claims(**changes: Any) -> dict[str, Any]:
    found: dict[str, Any] = {"eat_nonce": b64(NONCE), "oemboot": True, "dbgstat": "disabled-since-boot"}
    found |= {"cnf": {"jwk": jwk(DEVICE)}} | changes
    return {name: value for name, value in found.items() if value is not None}


def jwt(body: object, key: ec.EllipticCurvePrivateKey = MAKER, **header: Any) -> bytes:
    head = b64(json.dumps({"alg": "ES256"} | header).encode())
    written = f"{head}.{b64(json.dumps(body).encode())}"
    return f"{written}.{b64(maker.sign(key, written.encode()))}".encode()


def check(data: bytes, **changes: Any) -> Statement:
    return check_attestation(data, "auto", maker.pinned(maker.spki(MAKER), **changes))[1]


def test_a_jwt_proves_what_the_same_token_in_cose_proves() -> None:
    assert form_of(jwt(claims())).id == "eat"
    found = check(jwt(claims()))
    assert (found.valid, found.key, found.non_exportable, found.boot_verified) == (True, DEVICE_ID, True, True)
    assert (found.quantum_resistant, found.note) == (False, "")


def test_a_nonce_may_be_the_text_itself() -> None:
    assert check(jwt(claims(eat_nonce="a text of ours")), nonce=b"a text of ours").valid
    assert check(jwt(claims(eat_nonce=["other-nonce", b64(NONCE)]))).valid
    assert not check(jwt(claims(eat_nonce=b64(bytes(32))))).valid


@pytest.mark.parametrize(
    ("changes", "exportable", "booted"),
    [
        ({"dbgstat": "enabled"}, False, False),
        ({"dbgstat": "disabled"}, None, None),
        ({"dbgstat": "disabled-permanently"}, True, True),
        ({"dbgstat": None}, None, None),
        ({"oemboot": False}, True, False),
        ({"oemboot": None}, True, None),
        ({"oemboot": "true"}, True, False),
        ({"cnf": None}, None, True),
    ],
)
def test_each_claim_counts_for_itself(
    changes: dict[str, Any],
    exportable: bool | None,  # noqa: FBT001
    booted: bool | None,  # noqa: FBT001
) -> None:
    found = check(jwt(claims(**changes)))
    assert (found.valid, found.non_exportable, found.boot_verified) == (True, exportable, booted)


def test_a_foreign_key_an_expired_token_and_a_key_for_itself_are_not_genuine() -> None:
    assert not check(jwt(claims(), maker.p256())).genuine
    assert not check(jwt(claims(exp=1_700_000_000))).genuine
    assert not check(jwt(claims(nbf=4_000_000_000))).genuine
    assert check(jwt(claims(exp=4_000_000_000, nbf=1_700_000_000))).genuine
    assert not check(jwt(claims(exp="soon"))).genuine
    assert not check(jwt(claims(cnf={"jwk": jwk(MAKER)}))).genuine


def test_certificates_of_x5c_count_with_a_path_to_the_pinned_root() -> None:
    top, leaf = maker.p256(), maker.p256()

    def made(signer: x509.Certificate) -> bytes:
        der = base64.b64encode(signer.public_bytes(Encoding.DER)).decode()
        return jwt(claims(), leaf, x5c=[der])

    good = made(maker.certificate("Attester", leaf, "Maker root", top))
    other = made(maker.certificate("Attester", maker.p256(), "Maker root", top))
    root, foreign = (maker.pinned(maker.pem(maker.root(key))) for key in (top, maker.p256()))
    assert check_attestation(good, "eat", root)[1].valid
    assert not check_attestation(good, "eat", foreign)[1].genuine
    assert not check_attestation(other, "eat", root)[1].genuine


@pytest.mark.parametrize(
    "data",
    [
        jwt(claims(dbgstat="off")),
        jwt(claims(dbgstat=2)),
        jwt(claims(eat_nonce=7)),
        jwt(claims(eat_nonce=[7])),
        jwt(claims(cnf=7)),
        jwt(claims(cnf={"jwk": {"kty": "EC"}})),
        jwt(claims(), x5c=7),
        jwt(claims(), x5c=["!"]),
        jwt(claims(), x5c=["AAAA"]),
    ],
)
def test_a_claim_or_header_of_another_form_is_refused(data: bytes) -> None:
    with pytest.raises((FormatError, CryptoError)):
        check_attestation(data, "eat", maker.pinned(maker.spki(MAKER)))


def test_too_many_nonces_macs_and_other_files_are_refused() -> None:
    with pytest.raises(LimitError, match="MAX_NONCES"):
        check(jwt(claims(eat_nonce=["n"] * (MAX_NONCES + 1))))
    with pytest.raises(UnsupportedAlgorithmError, match="MAC"):
        check(jwt(claims(), alg="HS256"))
    for data in (jwt([]), jwt(claims(eat_nonce=None)), b"eyJh.b", b'{"protected": "", "signature": ""}'):
        with pytest.raises(UnknownFormatError):
            form_of(data)


def test_an_unsigned_jwt_is_not_genuine() -> None:
    head, body, _ = jwt(claims(), alg="none").split(b".")
    assert not check(head + b"." + body + b".").genuine


def test_no_single_changed_bit_leaves_it_valid() -> None:
    data = bytearray(jwt(claims()))
    given = maker.pinned(maker.spki(MAKER))
    for place in range(0, len(data) * 8, 3):
        data[place // 8] ^= 1 << place % 8
        try:
            valid = check_attestation(bytes(data), "eat", given)[1].valid
        except (FormatError, CryptoError):
            valid = False
        assert not valid, place
        data[place // 8] ^= 1 << place % 8
