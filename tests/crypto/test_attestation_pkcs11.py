"""PKCS #11 attributes: what an owner reports of a key is examined, and never verified."""

from __future__ import annotations

import json
from typing import Final

import pytest

from checker.crypto.attestation_files import check_attestation, form_of
from checker.crypto.attestations.contract import Pinned, Statement
from checker.crypto.attestations.pkcs11 import MAX_LIST
from checker.crypto.keyring import KeyRing
from checker.errors import CryptoError, FormatError
from tests.crypto import attestation_maker as maker

KEY: Final = maker.p256()
GOOD: Final = {
    "CKA_LOCAL": True,
    "CKA_SENSITIVE": True,
    "CKA_ALWAYS_SENSITIVE": True,
    "CKA_EXTRACTABLE": False,
    "CKA_NEVER_EXTRACTABLE": True,
}


def check(data: bytes, public: bytes = b"") -> Statement:
    companions = {"public": public} if public else {}
    given = Pinned(ring=KeyRing.empty(), as_of=maker.AS_OF, companions=companions)
    return check_attestation(data, "auto", given)[1]


def test_attributes_are_reported_and_bound_to_the_key_beside_them() -> None:
    data = json.dumps(GOOD).encode()
    assert form_of(data).id == "pkcs11"
    found = check(data, maker.spki(KEY))
    assert (found.reported, found.valid, found.non_exportable) == (True, True, True)
    assert found.key == maker.public(KEY).spki_sha256
    assert check(data).key == ""


def test_attributes_may_be_lines() -> None:
    data = "\n".join(f"CKA_{name[4:]}: {str(value).lower()}" for name, value in GOOD.items()).encode()
    assert check(data).non_exportable is True
    assert check(data.replace(b"CKA_EXTRACTABLE: false", b"CKA_EXTRACTABLE: true")).non_exportable is False


@pytest.mark.parametrize("name", GOOD)
def test_an_attribute_that_is_missing_or_wrong_is_never_a_satisfied_one(name: str) -> None:
    assert check(json.dumps(GOOD | {name: not GOOD[name]}).encode()).non_exportable is False
    assert check(json.dumps({key: value for key, value in GOOD.items() if key != name}).encode()).non_exportable is None
    assert check(json.dumps(GOOD | {name: "true"}).encode()).non_exportable is None


@pytest.mark.parametrize(
    "data",
    [
        b"CKA_LOCAL",
        b"CKA_LOCAL: true\nCKA_LOCAL: true",
        b"CKA_\xff: true",
        b'{"CKA_LOCAL": true',
        b"{" + b" " * MAX_LIST,
    ],
)
def test_a_damaged_list_is_an_error(data: bytes) -> None:
    with pytest.raises(FormatError):
        check_attestation(data, "pkcs11", Pinned(ring=KeyRing.empty(), as_of=maker.AS_OF))


def test_a_private_key_beside_it_is_refused() -> None:
    with pytest.raises(CryptoError):
        check(json.dumps(GOOD).encode(), b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")
