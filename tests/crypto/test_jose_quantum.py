"""ML-DSA and SLH-DSA in JSON Web Signatures: what `jose` on Node's OpenSSL 3.5 signed, and the forms of the keys."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from checker.crypto.jose import parse_jws, read_jwk, verify_jws
from checker.errors import InvalidSignatureError, KeyMaterialError
from tests.crypto import pq_material as material

# jose 6.2.18 made it on Node 24.19 with OpenSSL 3.5.7: `CompactSign` with an extractable ML-DSA-44 key.
PUBLISHED: Any = json.loads((Path(__file__).parent / "data" / "jose_ml_dsa_44.json").read_text())
KEY: Any = PUBLISHED["jwk"]


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def signed(name: str, signer: material.Signer) -> tuple[bytes, Any]:
    start = f"{b64(json.dumps({'alg': name}).encode())}.{b64(b'firmware')}"
    jwk = {"kty": "AKP", "alg": name, "pub": b64(signer.raw)}
    return f"{start}.{b64(signer.sign(start.encode()))}".encode(), jwk


def test_what_the_jose_of_node_signed_verifies_and_one_changed_letter_does_not() -> None:
    text = PUBLISHED["jws"].encode()
    (found,) = parse_jws(text)
    assert verify_jws(found, read_jwk(KEY)).algorithm == "ml-dsa-44"
    assert found.payload == b"hello firmware"
    for at in (len(text) // 2, text.index(b".") + 2):
        changed = text[:at] + (b"A" if text[at : at + 1] != b"A" else b"B") + text[at + 1 :]
        (other,) = parse_jws(changed)
        with pytest.raises(InvalidSignatureError):
            verify_jws(other, read_jwk(KEY))


@pytest.mark.parametrize("name", ["ML-DSA-44", "ML-DSA-65", "SLH-DSA-SHA2-128f"])
def test_signatures_of_other_libraries_verify_with_their_own_key_only(name: str) -> None:
    lattice = name.startswith("ML")
    signer = material.ml_dsa(b"jose", name.lower()) if lattice else material.slh_dsa(name.lower())
    text, jwk = signed(name, signer)
    (found,) = parse_jws(text)
    assert verify_jws(found, read_jwk(jwk)).algorithm == name.lower()
    with pytest.raises(InvalidSignatureError):
        verify_jws(found, read_jwk(KEY))  # of another size, or another key of the same


@pytest.mark.parametrize(
    "change",
    [
        {"priv": "AA"},
        {"alg": "ML-DSA-65"},
        {"alg": "ml-dsa-44"},
        {"alg": "ML-DSA-44-ES256"},
        {"alg": None},
        {"pub": None},
        {"pub": "AA"},
        {"pub": KEY["pub"] + "AAAA"},
    ],
)
def test_a_key_pair_that_is_private_or_of_another_algorithm_is_refused(change: Any) -> None:
    with pytest.raises(KeyMaterialError):
        read_jwk({**KEY, **change})
