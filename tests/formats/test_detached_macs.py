"""Raw tags beside a file: HMAC-SHA3-256, KMAC256 and AES-CMAC by OpenSSL, under a secret that the run was given."""

from __future__ import annotations

import base64
import shutil
import subprocess
from collections.abc import Callable
from typing import Any

import pytest

from checker.crypto.keccak import MAX_MESSAGE
from checker.crypto.keyring import KeyRing, read_decryption_key
from checker.crypto.keys import from_spki
from checker.model.artifact import AuthKind, Signature
from checker.model.terms import Outcome
from tests.crypto import pq_material as material

CONTENT = b"firmware " * 500
SECRET = bytes.fromhex("8f1d3c5b7a9e0246813579bdf02468ace1f3d5b7c9a8876655443322110fedcb")
OTHER = SECRET[::-1]
OPTIONS: dict[str, tuple[str, ...]] = {
    "hmac-sha-256": ("-digest", "SHA256", "HMAC"),
    "hmac-sha3-256": ("-digest", "SHA3-256", "HMAC"),
    "hmac-sha3-384": ("-digest", "SHA3-384", "HMAC"),
    "hmac-sha3-512": ("-digest", "SHA3-512", "HMAC"),
    "kmac256": ("-macopt", "size:32", "KMAC256"),
    "kmac256 of 64 bytes": ("-macopt", "size:64", "KMAC256"),
    "aes-256-cmac": ("-cipher", "AES-256-CBC", "CMAC"),
}


def openssl(name: str, content: bytes = CONTENT, secret: bytes = SECRET) -> bytes:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    command = ["openssl", "mac", "-in", "-", "-binary", "-macopt", f"hexkey:{secret.hex()}", *OPTIONS[name]]
    return subprocess.run(command, input=content, capture_output=True, check=True).stdout


def judged(kit: Any, tag: bytes, content: bytes = CONTENT, *secrets: bytes) -> Signature:
    keys = [read_decryption_key(secret, "secret") for secret in secrets or (SECRET,)]
    found: Signature = kit.open(content, signature=tag, ring=KeyRing.of(decryption=keys)).signatures[0]
    return found


@pytest.mark.parametrize("write", [bytes, lambda tag: tag.hex().encode() + b"\n", base64.b64encode])
@pytest.mark.parametrize("name", OPTIONS)
def test_a_keyed_authenticator_beside_a_file_is_verified(kit: Any, name: str, write: Callable[[bytes], bytes]) -> None:
    found = judged(kit, write(openssl(name)), CONTENT, OTHER, SECRET)
    assert (found.outcome, found.kind, found.algorithm) == (Outcome.VALID, AuthKind.MAC, name.partition(" ")[0])
    assert found.key.bits == 256


@pytest.mark.parametrize("name", OPTIONS)
def test_one_flipped_bit_in_file_tag_or_secret_is_no_authenticator(kit: Any, name: str) -> None:
    tag = openssl(name)
    refused = Outcome.KEY_UNKNOWN if len(tag) == 64 else Outcome.INVALID  # Ed25519 signatures have 64 bytes too
    flipped = bytes([tag[0] ^ 1]) + tag[1:]
    assert judged(kit, flipped).outcome is refused
    assert judged(kit, tag, CONTENT + b"\n").outcome is refused
    assert judged(kit, tag, CONTENT, OTHER).outcome is refused
    assert judged(kit, tag[:-1]).outcome is Outcome.KEY_UNKNOWN


def test_without_a_secret_a_tag_is_by_an_unknown_key(kit: Any) -> None:
    found = kit.open(CONTENT, signature=openssl("hmac-sha3-256"), ring=KeyRing.empty()).signatures[0]
    assert found.outcome is Outcome.KEY_UNKNOWN


def test_a_signature_stays_one_beside_a_secret_that_opens_the_file(kit: Any) -> None:
    signer = material.ml_dsa(b"beside a secret", "ml-dsa-44")
    secret = read_decryption_key(SECRET, "secret")
    ring = KeyRing.of(keys=[from_spki(signer.spki, "key")], decryption=[secret])
    found = kit.open(CONTENT, signature=signer.sign(CONTENT), ring=ring)
    assert (found.signatures[0].outcome, found.signatures[0].kind) == (Outcome.VALID, AuthKind.SIGNATURE)
    assert "mac-not-signature" not in kit.codes(found)


def test_who_can_check_a_tag_can_make_it(kit: Any) -> None:
    ring = KeyRing.of(decryption=[read_decryption_key(SECRET, "secret")])
    assert "mac-not-signature" in kit.codes(kit.open(CONTENT, signature=openssl("hmac-sha3-256"), ring=ring))


def test_a_secret_that_everybody_has_is_said_to_be_published(kit: Any) -> None:
    known = bytes(range(32))
    ring = KeyRing.of(decryption=[read_decryption_key(known, "secret")])
    found = kit.open(CONTENT, signature=openssl("hmac-sha3-256", secret=known), ring=ring)
    assert found.signatures[0].key.published == "a counter"
    assert "published-development-key" in kit.codes(found)


def test_a_file_that_kmac_does_not_take_is_undecided_and_no_failure(kit: Any) -> None:
    large = bytes(MAX_MESSAGE + 1)
    assert judged(kit, openssl("kmac256", large), large).outcome is Outcome.UNDECIDABLE
    assert judged(kit, openssl("hmac-sha3-256", large), large).outcome is Outcome.VALID
