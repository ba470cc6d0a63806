from __future__ import annotations

import json

import pytest

from checker.crypto.jose import read_jwk
from checker.crypto.key_files import read_public_keys
from checker.errors import KeyMaterialError

P256 = {  # RFC 7515 A.3.1
    "kty": "EC",
    "crv": "P-256",
    "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
    "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
}
ED25519 = {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}  # RFC 8037 A.2


def test_a_key_and_a_set() -> None:
    (one,) = read_public_keys(json.dumps(P256).encode(), "file.jwk")
    assert (one.facts.algorithm, one.facts.name) == ("ec-p256", "file.jwk")
    assert one.spki_sha256 == read_jwk(P256).spki_sha256
    both = read_public_keys(json.dumps({"keys": [P256, {**ED25519, "kid": "second"}]}).encode(), "set.json")
    assert [(key.facts.algorithm, key.facts.name) for key in both] == [("ec-p256", "set.json"), ("ed25519", "second")]


@pytest.mark.parametrize(
    "text",
    [
        json.dumps({**P256, "d": "AQ"}),
        '{"kty": "oct", "k": "AA"}',
        '{"kty": ',
        '{"keys": {"kty": 1}}',
        '{"keys": [1, {"kty": 1}]}',
        json.dumps({"keys": [P256] * 101}),
        '{"keys": [], "x": {"kty": 1}}',
    ],
)
def test_private_symmetric_and_damaged_keys_are_refused(text: str) -> None:
    with pytest.raises(KeyMaterialError):
        read_public_keys(text.encode(), "file.jwk")
