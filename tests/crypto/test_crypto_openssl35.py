"""What OpenSSL 3.5 signs and encapsulates, this program verifies and opens; every set of FIPS 203, 204 and 205."""

from __future__ import annotations

import pytest

from checker.crypto.jose import read_jwk
from checker.crypto.kem.keys import from_pkcs8, secrets
from checker.crypto.keys import from_spki
from checker.crypto.signatures import verify_message
from checker.errors import InvalidSignatureError
from tests.crypto import pq_vectors as vectors
from tests.crypto.openssl35 import ask, received
from tests.crypto.pq_material import der

MESSAGE = b"firmware, version 3"
CONTEXT = b"update of the pump"
LATTICE = ("ml-dsa-44", "ml-dsa-65", "ml-dsa-87")
FAST = tuple(f"slh-dsa-{kind}-{size}f" for kind in ("sha2", "shake") for size in (128, 192, 256))
SMALL = tuple(name[:-1] + "s" for name in FAST) if vectors.EVERY else ("slh-dsa-sha2-128s", "slh-dsa-shake-256s")


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def test_the_peer_is_openssl_3_5_or_later() -> None:
    assert tuple(int(part) for part in ask("version").split(".")[:2]) >= (3, 5)


@pytest.mark.parametrize("name", [*LATTICE, *FAST, *SMALL])
def test_what_openssl_signed_is_valid_and_bound_to_file_key_and_context(name: str) -> None:
    made = ask("sign", algorithm=name, message=MESSAGE, contexts=[b"", CONTEXT])
    key = from_spki(received(made["spki"]))
    plain, with_context = (received(each) for each in made["signatures"])
    verify_message(key, name, "", MESSAGE, plain)
    verify_message(key, name, "", MESSAGE, with_context, context=CONTEXT)
    wrong = (
        (MESSAGE + b"\n", plain, b""),
        (MESSAGE, plain, CONTEXT),
        (MESSAGE, with_context, b""),
        (MESSAGE, flipped(plain, len(plain) // 2), b""),
        (MESSAGE, flipped(plain, 0), b""),
    )
    for message, signature, context in wrong:
        with pytest.raises(InvalidSignatureError):
            verify_message(key, name, "", message, signature, context=context)
    if name in {*LATTICE, "slh-dsa-sha2-128f"}:
        assert read_jwk(made["jwk"]).spki_sha256 == key.spki_sha256


@pytest.mark.parametrize("name", ["ml-kem-512", "ml-kem-768", "ml-kem-1024"])
def test_what_openssl_encapsulated_opens_with_each_form_of_the_private_key(name: str) -> None:
    made = ask("encapsulate", algorithm=name)
    data, ciphertext = received(made["pkcs8"]), received(made["ciphertext"])
    key = from_pkcs8(data)
    assert key is not None
    assert from_spki(received(made["spki"])).raw == key.public
    for private in (key.private, *_other_forms(data, key.private)):
        assert secrets(name, private, ciphertext) == (received(made["secret"]),)
        assert secrets(name, private, flipped(ciphertext, 5)) != (received(made["secret"]),)


def _other_forms(data: bytes, private: bytes) -> list[bytes]:
    """Return the expanded key out of the three choices of RFC 9935 section 6, written by hand around the seed."""
    seed = data[-64:]
    assert data[-66:-64] == b"\x80\x40", "OpenSSL writes the seed"
    algorithm, found = data[5:18], []
    for content in (der(0x80, seed), der(0x04, private), der(0x30, der(0x04, seed), der(0x04, private))):
        key = from_pkcs8(der(0x30, der(0x02, b"\0"), algorithm, der(0x04, content)))
        assert key is not None
        found.append(key.private)
    return found
