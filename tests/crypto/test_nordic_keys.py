from __future__ import annotations

import pytest

from checker.crypto.jose import read_jwk
from checker.crypto.key_files import read_public_keys
from checker.crypto.keys import PublicKey
from checker.errors import KeyMaterialError


def key() -> PublicKey:
    return read_jwk(  # RFC 7515 A.3.1
        {
            "kty": "EC",
            "crv": "P-256",
            "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
            "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
        }
    )


def little_endian() -> bytes:
    return key().raw[1:33][::-1] + key().raw[33:][::-1]


def code(data: bytes, name: str = "pk[64]") -> bytes:
    lines = ", ".join(f"0x{byte:02x}" for byte in data)
    return f"/** @brief key */\n__ALIGN(4) const uint8_t {name} =\n{{\n    {lines}\n}};\n".encode()


@pytest.mark.parametrize(
    "text",
    [
        f"Public (verification) key pk:\n{little_endian().hex()}\n".encode(),
        code(little_endian()),
        code(little_endian(), "pk[]"),
    ],
)
def test_what_nrfutil_displays_is_the_key(text: bytes) -> None:
    (found,) = read_public_keys(text, "pk.c")
    assert found.spki_sha256 == key().spki_sha256
    assert found.facts.name == "pk.c"


def test_the_bytes_in_another_order_are_another_key_or_none() -> None:
    (found,) = read_public_keys(code(key().raw[1:]), "pk.c")
    assert not found.usable


@pytest.mark.parametrize("text", [code(b"\x01" * 63), code(b""), code(little_endian(), "sk[32]")])
def test_keys_of_another_size_and_private_ones_are_refused(text: bytes) -> None:
    with pytest.raises(KeyMaterialError):
        read_public_keys(text, "pk.c")
