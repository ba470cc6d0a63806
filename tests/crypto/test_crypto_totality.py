"""Whatever the bytes, every parser of the room answers with a result, a FormatError or a CryptoError."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from checker.crypto.certificates import parse_certificate, parse_crl
from checker.crypto.chains import certificate_path
from checker.crypto.cms import EnvelopedMessage, SignedMessage, looks_like_cms
from checker.crypto.keyring import KeyRing, read_certificates, read_crls, read_decryption_key
from checker.crypto.keys import from_spki, read_public_key
from checker.crypto.signatures import ecdsa_der, ecdsa_raw
from checker.errors import CryptoError, FormatError

AS_OF = "2026-11-01T00:00:00Z"
ALLOWED = (FormatError, CryptoError)


def verify_signed(data: bytes) -> object:
    return SignedMessage.parse(data).verify(lambda _: bytes(32), KeyRing.empty(), AS_OF)


def verify_trusting(data: bytes) -> object:
    message = SignedMessage.parse(data)
    ring = KeyRing.of(anchors=message.certificates, keys=[item.key for item in message.certificates])
    return message.verify(None, ring, AS_OF)


def open_enveloped(data: bytes) -> object:
    key = read_decryption_key(bytes(16), "k")
    return EnvelopedMessage.parse(data).decrypt(KeyRing.of(decryption=[key]))


PARSERS: dict[str, Callable[[bytes], object]] = {
    "public key": lambda data: read_public_key(data, "k"),
    "spki": from_spki,
    "certificates": lambda data: read_certificates(data, "c"),
    "certificate": parse_certificate,
    "crl": parse_crl,
    "crls": lambda data: read_crls(data, "c"),
    "decryption key": lambda data: read_decryption_key(data, "d"),
    "signed message": verify_signed,
    "signed message, its own certificates trusted": verify_trusting,
    "enveloped message": open_enveloped,
    "path": lambda data: certificate_path([data], KeyRing.empty(), as_of=AS_OF),
    "ecdsa der": lambda data: ecdsa_raw(data, 32),
    "ecdsa raw": ecdsa_der,
    "looks like cms": looks_like_cms,
}


def total(parser: Callable[[bytes], object], data: bytes) -> None:
    try:
        parser(data)
    except ALLOWED as error:
        assert str(error)  # noqa: PT017 - the text is for people and must not be empty


@pytest.mark.parametrize("name", PARSERS)
@given(data=st.one_of(st.binary(max_size=300), st.binary(max_size=80).map(lambda b: b"\x30\x80" + b)))
@settings(max_examples=60, deadline=None, database=None)
def test_arbitrary_bytes_never_escape_as_another_exception(name: str, data: bytes) -> None:
    total(PARSERS[name], data)


@pytest.fixture(scope="module")
def seeds(pki: Any) -> dict[str, bytes]:
    pki.run("cms", "-sign", "-binary", "-in", "content", "-signer", "leaf-rsa2048.crt", "-inkey", "leaf-rsa2048.key",
            "-keyopt", "rsa_padding_mode:pss", "-outform", "DER", "-out", "seed.cms")  # fmt: skip
    pki.run("cms", "-sign", "-stream", "-nodetach", "-binary", "-in", "leaf-p256.crt", "-signer", "leaf-p256.crt",
            "-inkey", "leaf-p256.key", "-outform", "DER", "-out", "seed-ber.cms")  # fmt: skip
    pki.run("cms", "-encrypt", "-binary", "-aes-256-gcm", "-in", "leaf-p256.crt", "-outform", "DER", "-out", "seed.env",
            "-secretkey", "00" * 16, "-secretkeyid", "01", "-recip", "leaf-p256.crt", "-recip",
            "leaf-rsa2048.crt")  # fmt: skip
    pki.run("x509", "-in", "leaf-p256.crt", "-outform", "DER", "-out", "seed.crt")
    pki.run("pkey", "-pubin", "-in", "leaf-rsa2048.pub", "-outform", "DER", "-out", "seed.spki")
    return {name: pki.read(name) for name in ("seed.cms", "seed-ber.cms", "seed.env", "seed.crt", "seed.spki")}


SEEDS = {
    "seed.cms": ["signed message", "signed message, its own certificates trusted"],
    "seed-ber.cms": ["signed message", "signed message, its own certificates trusted"],
    "seed.env": ["enveloped message"],
    "seed.crt": ["certificate", "path", "public key"],
    "seed.spki": ["spki", "public key"],
}


@pytest.mark.parametrize("name", SEEDS)
def test_every_truncation_of_real_input_is_a_named_error(seeds: dict[str, bytes], name: str) -> None:
    data = seeds[name]
    for parser in SEEDS[name]:
        for size in range(0, len(data), max(1, len(data) // 150)):
            total(PARSERS[parser], data[:size])


@pytest.mark.parametrize("name", SEEDS)
@given(changes=st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=4))
@settings(max_examples=150, deadline=None, database=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_damaged_real_input_is_a_result_or_a_named_error(
    seeds: dict[str, bytes], name: str, changes: list[tuple[int, int]]
) -> None:
    data = bytearray(seeds[name])
    for at, value in changes:
        data[at % len(data)] = value
    for parser in SEEDS[name]:
        total(PARSERS[parser], bytes(data))


@pytest.mark.parametrize("depth", [1_000, 50_000])
@pytest.mark.parametrize("opening", [b"\x30\x80", b"\x24\x80", b"\xa0\x80", b"\x31\x80"])
def test_deep_nesting_is_an_error_and_not_a_crash(opening: bytes, depth: int) -> None:
    head = bytes.fromhex("3080 06092a864886f70d010702 a080 3080 020101 3100 3080 06092a864886f70d010701 a080")
    for parser in PARSERS.values():
        total(parser, head + opening * depth)
        total(parser, opening * depth)


def test_a_certificate_bundle_of_the_corpus_survives_every_cut(corpus: Path) -> None:
    data = (corpus / "rauc" / "openssl-ca" / "dev-ca.pem").read_bytes()
    for size in range(0, len(data), 500):
        total(PARSERS["certificates"], data[:size])
        total(PARSERS["crls"], data[:size])
