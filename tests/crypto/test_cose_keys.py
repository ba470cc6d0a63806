"""COSE_Key maps of every type, against what cryptography says of the same key."""

from __future__ import annotations

from typing import Any, Final

import cbor2
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, mldsa, mlkem, rsa, x25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from checker.crypto.cose_keys import read_cose_key
from checker.crypto.keys import PublicKey
from checker.errors import FormatError
from checker.io.cbor import read
from tests.crypto import attestation_maker as maker

P256: Final = maker.p256()
RSA: Final = rsa.generate_private_key(65537, 2048)


def key_of(value: object) -> PublicKey:
    return read_cose_key(read(cbor2.dumps(value), "key"))


def size(number: int) -> bytes:
    return number.to_bytes((number.bit_length() + 7) // 8, "big")


def point(key: ec.EllipticCurvePrivateKey, *, compressed: bool = False) -> dict[int, object]:
    numbers = key.public_key().public_numbers()
    length = (key.key_size + 7) // 8
    curve = {256: 1, 384: 2, 521: 3}[key.key_size]
    y: object = bool(numbers.y & 1) if compressed else numbers.y.to_bytes(length, "big")
    return {1: 2, -1: curve, -2: numbers.x.to_bytes(length, "big"), -3: y}


@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1()])
@pytest.mark.parametrize("compressed", [False, True])
def test_points_have_one_id_however_they_are_written(curve: ec.EllipticCurve, compressed: bool) -> None:  # noqa: FBT001
    key = ec.generate_private_key(curve)
    assert key_of(point(key, compressed=compressed)).spki == maker.spki(key)


def akp(algorithm: object, public: bytes) -> dict[int, object]:
    return {1: 7, 3: algorithm, -1: public}


@pytest.mark.parametrize(
    ("algorithm", "kind"),
    [(-48, mldsa.MLDSA44PrivateKey), (-49, mldsa.MLDSA65PrivateKey), (-50, mldsa.MLDSA87PrivateKey)],
)
def test_keys_of_ml_dsa_are_named_by_number(algorithm: int, kind: Any) -> None:
    key = kind.generate()
    found = key_of(akp(algorithm, key.public_key().public_bytes_raw()))
    assert found.spki == maker.spki(key)
    assert found.usable


@pytest.mark.parametrize("algorithm", ["ML-KEM-768", "ML-KEM-768+A192KW", "ml-kem-768"])
def test_keys_of_ml_kem_are_named_by_text(algorithm: str) -> None:
    key = mlkem.MLKEM768PrivateKey.generate()
    assert key_of(akp(algorithm, key.public_key().public_bytes_raw())).spki == maker.spki(key)


def test_keys_of_rsa_and_of_edwards_and_montgomery_curves_are_read() -> None:
    numbers = RSA.public_key().public_numbers()
    assert key_of({1: 3, -1: size(numbers.n), -2: size(numbers.e)}).spki == maker.spki(RSA)
    for number, key in ((6, ed25519.Ed25519PrivateKey.generate()), (4, x25519.X25519PrivateKey.generate())):
        public = key.public_key()
        spki = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        assert key_of({1: 1, -1: number, -2: public.public_bytes_raw()}).spki == spki


@pytest.mark.parametrize(
    "value",
    [
        7,
        {},
        {1: 4, -1: bytes(32)},  # symmetric
        akp(-49, bytes(1951)),
        akp(-7, bytes(1952)),  # an algorithm of another type
        akp(None, bytes(1952)),
        akp("ML-DSA", bytes(1952)),
        {1: 7, 3: -49},
        {1: 7, -1: bytes(1952)},
        {1: 3, -1: b"", -2: b"\x01\x00\x01"},
        {1: 3, -1: bytes(4096), -2: b"\x01\x00\x01"},
        {1: 2, -1: 1, -2: bytes(32), -3: bytes(32)},  # not on the curve
        {1: 2, -1: 99, -2: bytes(32), -3: bytes(32)},
    ],
)
def test_what_is_no_public_key_is_an_error(value: object) -> None:
    with pytest.raises(FormatError):
        key_of(value)
