"""COSE messages that cwt made, an independent implementation: one for each algorithm that it knows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cbor2
import pytest

from checker.crypto import cose, cose_encryption
from checker.crypto.cose import Message
from checker.crypto.keyring import KeyRing, read_decryption_key
from checker.crypto.keys import read_public_key
from checker.errors import CryptoError
from checker.io import cbor
from checker.io.sources import BytesSource
from checker.model.artifact import AuthKind, Signature, Span
from checker.model.terms import Outcome

DATA = json.loads((Path(__file__).parent / "data" / "cose-cwt.json").read_text())
CONTENT = bytes.fromhex(DATA["content"])
AS_OF = "2026-11-01T00:00:00Z"


def cases(*kinds: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(
        "case", [case for case in DATA["cases"] if case["kind"] in kinds], ids=lambda case: case["name"]
    )


def ring(case: dict[str, Any]) -> KeyRing:
    publics = case.get("keys", [case["key"]] if "key" in case else [])
    secret = case.get("secret") or case.get("private")
    return KeyRing.of(
        keys=[read_public_key(pem.encode(), "public") for pem in publics],
        decryption=[read_decryption_key(secret.encode(), "secret")] if secret else [],
    )


def message(data: bytes) -> Message:
    return cose.parse(cbor.read(data, "message"))


def judged(case: dict[str, Any], data: bytes, content: bytes = CONTENT) -> tuple[Signature, ...]:
    return cose.Judge(content, ring(case), AS_OF).run(message(data))


def test_the_vectors_name_every_algorithm_that_is_expected() -> None:
    names = {case["name"] for case in DATA["cases"]}
    assert len(names) == len(DATA["cases"]) > 40
    assert {"ES256", "ESP512", "ES256K", "Ed448", "PS512", "RS256", "HS512", "A192CTR A256KW"} <= names


@cases("signature", "signatures", "mac")
def test_a_signature_or_mac_of_another_implementation_is_valid(case: dict[str, Any]) -> None:
    data = bytes.fromhex(case["cose"])
    found = message(data)
    assert found.payload is not None
    assert found.payload.data("payload") == CONTENT
    signatures = judged(case, data)
    assert {each.outcome for each in signatures} == {Outcome.VALID}
    assert len(signatures) == len(case.get("keys", [1]))
    assert {each.kind for each in signatures} == {AuthKind.MAC if case["kind"] == "mac" else AuthKind.SIGNATURE}
    assert all(each.key.declared for each in signatures)


@cases("signature", "signatures", "mac")
def test_the_same_over_other_content_or_with_a_flipped_bit_is_invalid(case: dict[str, Any]) -> None:
    data = bytes.fromhex(case["cose"])
    assert Outcome.VALID not in {each.outcome for each in judged(case, data, CONTENT + b"!")}
    tag = cbor2.loads(data)
    parts = list(tag.value)
    if tag.tag == 98:
        parts[3] = [[head, outside, bytes([end[0] ^ 1]) + end[1:]] for head, outside, end in parts[3]]
    else:
        parts[3] = bytes([parts[3][0] ^ 1]) + parts[3][1:]
    assert Outcome.VALID not in {each.outcome for each in judged(case, cbor2.dumps(cbor2.CBORTag(tag.tag, parts)))}


@cases("signature")
def test_without_the_key_nothing_is_known(case: dict[str, Any]) -> None:
    found = cose.Judge(CONTENT, KeyRing.empty(), AS_OF).run(message(bytes.fromhex(case["cose"])))
    assert [each.outcome for each in found] == [Outcome.KEY_UNKNOWN]


def opened(data: bytes, keys: KeyRing) -> bytes:
    found = message(data)
    wanted = cose_encryption.wanted_key(found)
    each = [cose_encryption.open_recipient(recipient, wanted, keys) for recipient in found.recipients]
    contents = [key for candidates, _ in each for key in candidates] or [key.secret for key in keys.secrets]
    assert found.payload is not None
    sealed = found.payload.data("ciphertext")
    return cose_encryption.decrypt(found, contents[0], BytesSource("sealed", sealed), Span(0, len(sealed))).read(0, 99)


@cases("encryption")
def test_what_another_implementation_encrypted_is_decrypted(case: dict[str, Any]) -> None:
    assert opened(bytes.fromhex(case["cose"]), ring(case)) == CONTENT


@cases("encryption")
def test_a_flipped_bit_of_the_ciphertext_is_never_the_content(case: dict[str, Any]) -> None:
    tag = cbor2.loads(bytes.fromhex(case["cose"]))
    parts = list(tag.value)
    parts[2] = bytes([parts[2][0] ^ 1]) + parts[2][1:]
    data = cbor2.dumps(cbor2.CBORTag(tag.tag, parts))
    if "CTR" in case["name"] or "CBC" in case["name"]:
        assert opened(data, ring(case)) != CONTENT
    else:
        with pytest.raises(CryptoError):
            opened(data, ring(case))


@cases("encryption")
def test_a_recipient_tells_how_its_key_travels(case: dict[str, Any]) -> None:
    found = message(bytes.fromhex(case["cose"]))
    wanted = cose_encryption.wanted_key(found)
    transport = "ecdh-es" if "ECDH" in case["name"] else "pre-shared" if "direct" in case["name"] else "aes-kw"
    for recipient in found.recipients:
        keys, facts = cose_encryption.open_recipient(recipient, wanted, ring(case))
        assert facts.algorithm == transport
        assert facts.unwrapped is (True if "KW" in case["name"] else None)
        assert keys
        none, unopened = cose_encryption.open_recipient(recipient, wanted, KeyRing.empty())
        assert (none, unopened.unwrapped, unopened.algorithm) == ((), None, transport)


def test_one_key_may_sign_twice_and_says_nothing_against_a_stranger() -> None:
    both = next(case for case in DATA["cases"] if case["kind"] == "signatures")
    alone = {**both, "keys": both["keys"][:1]}
    outcomes = [each.outcome for each in judged(alone, bytes.fromhex(both["cose"]))]
    assert outcomes == [Outcome.VALID, Outcome.KEY_UNKNOWN]
    tag = cbor2.loads(bytes.fromhex(both["cose"]))
    parts = list(tag.value)
    parts[3] = [parts[3][0], parts[3][0]]
    again = cbor2.dumps(cbor2.CBORTag(98, parts))
    assert [each.outcome for each in judged(alone, again)] == [Outcome.VALID, Outcome.VALID]
