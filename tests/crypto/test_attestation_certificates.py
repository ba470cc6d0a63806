"""Attestations as X.509 certificates: real ones of Google and Yubico, and their layouts with one fault each.

Real: google/android-key-attestation at 8774085178f2c8dd59d30ae7fa29e7d43c94641a (server/src/test/resources,
normal_cert_chain.pem) and 560006d12740215385627183af02fee722b7c941 (server/examples/pem/key_RSA_StrongBox_on), and the
YubiKey of sigstore/cosign's TOKENS.md. No chain of a YubiHSM is published whole: values of its extensions are those of
firmware 2.4.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from checker.crypto.attestation_files import check_attestation, form_of
from checker.crypto.attestations.contract import Statement
from checker.errors import CryptoError, FormatError
from tests.crypto import attestation_maker as maker
from tests.crypto.attestation_maker import NONCE

DATA: Final = Path(__file__).parent / "data/attestations"
ARC: Final = "1.3.6.1.4.1.41482"
CLEAR: Final = b'{"entries": {}}'
TOP: Final = maker.p256()
MODULE: Final = maker.p256()
KEY: Final = maker.p256()
ROOT: Final = maker.pem(maker.root(TOP))
KEY_ID: Final = maker.public(KEY).spki_sha256


def tlv(tag: int, *parts: bytes) -> bytes:
    content = b"".join(parts)
    size = len(content)
    if size >= 128:
        return bytes([tag, 0x82]) + size.to_bytes(2, "big") + content
    return bytes([tag, size]) + content


def chain(extensions: Mapping[str, bytes]) -> bytes:
    leaf = maker.certificate("Key", KEY, "Module", MODULE, extensions=extensions)
    return maker.pem(leaf, maker.certificate("Module", MODULE, "Maker root", TOP, authority=True))


def response(key: ec.EllipticCurvePrivateKey = KEY, nonce: bytes = NONCE) -> bytes:
    return key.sign(nonce, ec.ECDSA(hashes.SHA256()))


def check(data: bytes, root: bytes = ROOT, **companions: bytes) -> Statement:
    return check_attestation(data, "auto", maker.pinned(root, companions=companions))[1]


# YubiHSM


def yubihsm(**changes: bytes | None) -> dict[str, bytes]:
    """Return the seven extensions as firmware 2.4 writes them for a key that signs with ECDSA."""
    values: dict[str, bytes | None] = {
        "1": bytes.fromhex("0403020400"),
        "2": bytes.fromhex("0204020bd9fd"),
        "3": bytes.fromhex("03020001"),
        "4": bytes.fromhex("0303000001"),
        "5": bytes.fromhex("0309000000000000000080"),
        "6": bytes.fromhex("020103"),
        "9": bytes.fromhex("0c00"),
    }
    values |= {name[1:]: value for name, value in changes.items()}
    return {f"{ARC}.4.{name}": value for name, value in values.items() if value is not None}


def test_a_key_that_a_yubihsm_has_generated_and_keeps_is_not_exportable() -> None:
    data = chain(yubihsm())
    assert form_of(data).id == "yubihsm"
    found = check(data, response=response())
    assert (found.valid, found.key, found.non_exportable, found.note) == (True, KEY_ID, True, "")
    assert found.boot_verified is None


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"e5": bytes.fromhex("0309000000000000010080")}, "exportable under wrap"),
        ({"e3": bytes.fromhex("03020002")}, "imported"),
        ({"e3": bytes.fromhex("03020011")}, "generated, then imported under wrap"),
        ({"e3": bytes.fromhex("03020000")}, "no origin"),
    ],
)
def test_a_key_that_was_or_may_come_outside_is_exportable(changes: dict[str, bytes], why: str) -> None:
    found = check(chain(yubihsm(**changes)), response=response())
    assert (found.valid, found.non_exportable) == (True, False), why


@pytest.mark.parametrize("name", ["1", "2", "3", "4", "5", "6", "9"])
def test_a_missing_extension_never_reads_as_not_exportable(name: str) -> None:
    found = check(chain(yubihsm(**{f"e{name}": None})), response=response())
    assert found.non_exportable is False
    assert "it lacks its" in found.note


def test_a_yubihsm_certificate_alone_is_a_copy_and_not_fresh() -> None:
    found = check(chain(yubihsm()))
    assert (found.genuine, found.fresh, found.valid) == (True, False, False)
    assert "no `response`" in found.note


@pytest.mark.parametrize("answer", [response(MODULE), response(nonce=bytes(32)), b"\x30\x00", b""])
def test_a_response_by_another_key_or_to_another_nonce_is_none(answer: bytes) -> None:
    assert not check(chain(yubihsm()), response=answer).valid


def test_a_yubihsm_of_another_root_is_not_genuine() -> None:
    foreign = maker.pem(maker.root(maker.p256()))
    found = check(chain(yubihsm()), foreign, response=response())
    assert (found.genuine, found.valid) == (False, False)


@pytest.mark.parametrize(
    "changes",
    [
        {"e5": bytes.fromhex("0303000080")},  # shorter than eight bytes
        {"e5": bytes.fromhex("0309010000000000000080")},  # unused bits
        {"e5": b"\x03"},
        {"e3": bytes.fromhex("0401ff")},
        {"e2": b"\x04\x01\x00"},
        {"e6": b""},
    ],
)
def test_a_damaged_extension_is_an_error(changes: dict[str, bytes]) -> None:
    with pytest.raises(FormatError):
        check(chain(yubihsm(**changes)), response=response())


# YubiKey


def piv(**changes: bytes | None) -> dict[str, bytes]:
    values: dict[str, bytes | None] = {"3": b"\x05\x07\x01", "7": b"\x02\x04\x00\xc7\x90\xfe", "8": b"\x03\x02"}
    values |= {name[1:]: value for name, value in changes.items()}
    return {f"{ARC}.3.{name}": value for name, value in values.items() if value is not None}


def test_the_published_yubikey_is_genuine_and_cannot_be_fresh() -> None:
    root = (DATA / "yubico-piv-root.pem").read_bytes()
    kind, found = check_attestation((DATA / "yubikey-piv.pem").read_bytes(), "auto", maker.pinned(root))
    assert (kind, found.genuine, found.non_exportable) == ("yubikey-piv", True, True)
    assert (found.fresh, found.valid) == (False, False)
    certificate = x509.load_pem_x509_certificates((DATA / "yubikey-piv.pem").read_bytes())[0]
    assert found.key == maker.public(certificate).spki_sha256


def test_the_published_yubikey_is_not_of_google() -> None:
    root = (DATA / "android-root.pem").read_bytes()
    assert not check_attestation((DATA / "yubikey-piv.pem").read_bytes(), "auto", maker.pinned(root))[1].genuine


def test_the_certificate_of_the_yubikey_itself_attests_no_key() -> None:
    device = maker.pem(*x509.load_pem_x509_certificates((DATA / "yubikey-piv.pem").read_bytes())[1:])
    root = (DATA / "yubico-piv-root.pem").read_bytes()
    found = check_attestation(device, "auto", maker.pinned(root))[1]
    assert (found.genuine, found.non_exportable) == (True, False)


def test_a_yubikey_that_answers_our_nonce_is_valid() -> None:
    found = check(chain(piv()), response=response())
    assert (found.valid, found.non_exportable, found.key) == (True, True, KEY_ID)


@pytest.mark.parametrize("name", ["3", "7", "8"])
def test_a_yubikey_certificate_without_an_extension_shows_nothing_of_its_key(name: str) -> None:
    found = check(chain(piv(**{f"e{name}": None})), response=response())
    assert found.non_exportable is False


def test_a_policy_of_another_length_is_an_error() -> None:
    with pytest.raises(FormatError):
        check(chain(piv(e8=b"\x03")), response=response())


# Android


def rot(*, locked: bool = True, state: int = 0) -> bytes:
    flag = b"\xff" if locked else b"\x00"
    return tlv(0x30, tlv(4, bytes(32)), tlv(1, flag), tlv(10, bytes([state])), tlv(4, bytes(32)))


def tagged(number: int, value: bytes) -> bytes:
    """Return a value under an explicit context tag above 30 (X.690 8.1.2.4)."""
    return b"\xbf" + bytes([0x80 | number >> 7, number & 0x7F]) + tlv(0, value)[1:]


def description(
    level: int = 1, key_level: int = 2, challenge: bytes = NONCE, origin: int | None = 0, root: bytes | None = None
) -> bytes:
    hardware = tagged(702, tlv(2, bytes([origin]))) if origin is not None else b""
    hardware += tagged(704, rot() if root is None else root) if root != b"" else b""
    parts = [tlv(2, b"\x04"), tlv(10, bytes([level])), tlv(2, b"\x29"), tlv(10, bytes([key_level])), tlv(4, challenge)]
    return tlv(0x30, *parts, tlv(4), tlv(0x30), tlv(0x30, hardware))


def android(**changes: Any) -> bytes:
    return chain({"1.3.6.1.4.1.11129.2.1.17": description(**changes)})


def test_the_published_android_key_is_valid_at_its_time() -> None:
    given = maker.pinned(
        (DATA / "android-root.pem").read_bytes(),
        nonce=b"challenge",
        as_of="2023-03-01T00:00:00Z",
        companions={"revocations": CLEAR},
    )
    kind, found = check_attestation((DATA / "android-tee.pem").read_bytes(), "auto", given)
    assert (kind, found.valid, found.non_exportable, found.boot_verified) == ("android", True, True, True)


def test_the_published_android_key_is_not_valid_after_its_issuers_have_ended() -> None:
    given = maker.pinned(
        (DATA / "android-root.pem").read_bytes(), nonce=b"challenge", companions={"revocations": CLEAR}
    )
    assert not check_attestation((DATA / "android-tee.pem").read_bytes(), "auto", given)[1].genuine


def test_the_published_strongbox_key_of_an_unlocked_telephone_proves_no_boot() -> None:
    given = maker.pinned((DATA / "android-root.pem").read_bytes(), companions={"revocations": CLEAR})
    found = check_attestation((DATA / "android-strongbox.pem").read_bytes(), "auto", given)[1]
    assert (found.genuine, found.boot_verified, found.non_exportable) == (False, False, None)


def test_an_android_key_of_our_making_is_valid() -> None:
    found = check(android(), revocations=CLEAR)
    assert (found.valid, found.key, found.non_exportable, found.boot_verified) == (True, KEY_ID, True, True)


@pytest.mark.parametrize(
    ("changes", "exportable", "booted"),
    [
        ({"level": 0}, False, False),
        ({"key_level": 0}, False, False),
        ({"key_level": 3}, False, False),
        ({"origin": 2}, False, True),  # imported
        ({"origin": 4}, False, True),  # securely imported
        ({"origin": None}, False, True),
        ({"root": rot(locked=False)}, None, False),
        ({"root": rot(state=1)}, None, False),  # self-signed
        ({"root": rot(state=2)}, None, False),  # unverified
        ({"root": b""}, None, False),
    ],
)
def test_what_the_hardware_does_not_say_is_not_proved(
    changes: dict[str, Any],
    exportable: bool | None,  # noqa: FBT001
    booted: bool,  # noqa: FBT001
) -> None:
    found = check(android(**changes), revocations=CLEAR)
    assert found.valid
    assert (found.non_exportable, found.boot_verified) == (exportable, booted)


def test_an_android_key_that_answers_another_challenge_is_not_fresh() -> None:
    found = check(android(challenge=bytes(32)), revocations=CLEAR)
    assert (found.genuine, found.valid) == (True, False)


def test_without_the_list_of_revoked_certificates_an_android_key_is_not_valid() -> None:
    found = check(android())
    assert found.valid is False
    assert "revoked" in found.note


def test_a_revoked_issuer_spoils_the_path() -> None:
    serial = f"{int.from_bytes(b'Module', 'big') | 1:x}"
    listed = json.dumps({"entries": {serial: {"status": "REVOKED", "reason": "KEY_COMPROMISE"}}}).encode()
    found = check(android(), revocations=listed)
    assert found.valid is False
    assert "is revoked" in found.note
    assert check(android(), revocations=listed.replace(serial.encode(), b"1234")).valid


@pytest.mark.parametrize("listed", [b"{}", b"[]", b"{", b'{"entries": []}'])
def test_a_list_of_another_form_is_an_error(listed: bytes) -> None:
    with pytest.raises(FormatError):
        check(android(), revocations=listed)


def test_an_attested_key_that_issues_attestations_itself_is_refused() -> None:
    oid = "1.3.6.1.4.1.11129.2.1.17"
    leaf = maker.certificate("Key", KEY, "Module", MODULE, extensions={oid: description()})
    issuer = maker.certificate(
        "Module", MODULE, "Maker root", TOP, authority=True, extensions={oid: description(origin=2)}
    )
    found = check(maker.pem(leaf, issuer), revocations=CLEAR)
    assert found.valid is False
    assert found.note == "an issuer is itself an attested key"


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"\x30\x00",
        b"\x30\x80\x00\x00",
        description()[:-1],
        tlv(0x30, *[tlv(2, b"\x01")] * 8),
        tlv(0x30, *[tlv(2, b"\x01")] * 300),
        description(root=tlv(0x30, tlv(4, b""))),
        description() + b"\x00",
    ],
)
def test_a_damaged_key_description_is_an_error(value: bytes) -> None:
    with pytest.raises(FormatError):
        check(chain({"1.3.6.1.4.1.11129.2.1.17": value}), revocations=CLEAR)


# All of them


def test_a_chain_whose_issuer_is_no_authority_is_not_genuine() -> None:
    leaf = maker.certificate("Key", KEY, "Module", MODULE, extensions=yubihsm())
    module = maker.certificate("Module", MODULE, "Maker root", TOP)
    assert not check(maker.pem(leaf, module), response=response()).genuine


@pytest.mark.parametrize("make", [android, lambda: chain(yubihsm()), lambda: chain(piv())])
def test_no_single_changed_bit_of_the_leaf_leaves_it_valid(make: Callable[[], bytes]) -> None:
    leaf, *issuers = x509.load_pem_x509_certificates(make())
    kind = form_of(make()).id
    der = bytearray(leaf.public_bytes(Encoding.DER))
    given = maker.pinned(ROOT, companions={"response": response(), "revocations": CLEAR})
    for place in range(0, len(der) * 8, 5):
        der[place // 8] ^= 1 << place % 8
        changed = b"".join(
            _armour(item) for item in (bytes(der), *(each.public_bytes(Encoding.DER) for each in issuers))
        )
        try:
            valid = check_attestation(changed, kind, given)[1].valid
        except (FormatError, CryptoError):
            valid = False
        assert not valid, place
        der[place // 8] ^= 1 << place % 8


def _armour(der: bytes) -> bytes:
    return b"-----BEGIN CERTIFICATE-----\n" + base64.encodebytes(der) + b"-----END CERTIFICATE-----\n"
