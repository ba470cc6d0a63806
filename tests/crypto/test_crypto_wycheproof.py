"""Wycheproof: every case of the shared files, with counts, and a written reason for each case that is left out."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from checker.crypto.ciphers import open_aead, unwrap_aes_kw, unwrap_aes_kwp
from checker.crypto.keys import PublicKey, read_public_key
from checker.crypto.signatures import candidates, verify_digest, verify_mac, verify_message
from checker.errors import CryptoError
from checker.io.digests import digest

Case = dict[str, Any]


def cases(vectors: Path, file: str) -> Iterator[tuple[Case, Case]]:
    data = json.loads((vectors / "wycheproof" / file).read_text())
    for group in data["testGroups"]:
        for case in group["tests"]:
            yield group, case


def run(
    vectors: Path, file: str, check: Callable[[Case, Case], None], skip: Callable[[Case, Case], str] = lambda *_: ""
) -> Counter[str]:
    """Run all cases; `acceptable` ones may go either way. Return the counts and print them."""
    counts: Counter[str] = Counter()
    wrong = []
    for group, case in cases(vectors, file):
        reason = skip(group, case)
        if reason:
            counts[f"left out: {reason}"] += 1
            continue
        try:
            check(group, case)
            accepted = True
        except CryptoError:
            accepted = False
        counts["accepted" if accepted else "refused"] += 1
        if case["result"] != "acceptable" and accepted != (case["result"] == "valid"):
            wrong.append((case["tcId"], case["comment"], case["result"]))
    print(f"{file}: {dict(counts)}")  # noqa: T201 - the counts are part of the test's report
    assert not wrong
    assert counts["accepted"]
    assert counts["refused"]
    return counts


def spki(group: Case) -> PublicKey:
    return read_public_key(bytes.fromhex(group["publicKeyDer"]), "wycheproof")


def octets(case: Case, field: str) -> bytes:
    return bytes.fromhex(case[field])


@pytest.mark.parametrize(
    ("file", "algorithm", "hash_name"),
    [
        ("ecdsa_secp256r1_sha256_test.json", "ecdsa", "sha-256"),
        ("ecdsa_secp384r1_sha384_test.json", "ecdsa", "sha-384"),
        ("ed25519_test.json", "ed25519", "sha-512"),
        ("rsa_signature_2048_sha256_test.json", "rsa-pkcs1v15", "sha-256"),
        ("mldsa_65_verify_test.json", "ml-dsa-65", ""),
    ],
)
def test_signatures_over_messages(vectors: Path, file: str, algorithm: str, hash_name: str) -> None:
    def check(group: Case, case: Case) -> None:
        context = bytes.fromhex(case.get("ctx", ""))
        verify_message(spki(group), algorithm, hash_name, octets(case, "msg"), octets(case, "sig"), context=context)

    def bad_key(group: Case, _: Case) -> str:
        # Cases about keys of a wrong length: they have no DER form, so there is nothing to read.
        return "" if group.get("publicKeyDer") else "a key that has no SubjectPublicKeyInfo"

    run(vectors, file, check, bad_key)


@pytest.mark.parametrize(
    ("file", "algorithm", "hash_name"),
    [
        ("ecdsa_secp256r1_sha256_test.json", "ecdsa", "sha-256"),
        ("ecdsa_secp384r1_sha384_test.json", "ecdsa", "sha-384"),
        ("rsa_signature_2048_sha256_test.json", "rsa-pkcs1v15", "sha-256"),
    ],
)
def test_signatures_over_digests_have_the_same_verdicts(
    vectors: Path, file: str, algorithm: str, hash_name: str
) -> None:
    def check(group: Case, case: Case) -> None:
        verify_digest(spki(group), algorithm, hash_name, digest(hash_name, octets(case, "msg")), octets(case, "sig"))

    run(vectors, file, check)


def test_pss_signatures_with_a_stated_salt_length(vectors: Path) -> None:
    def check(group: Case, case: Case) -> None:
        verify_message(
            spki(group),
            "rsa-pss",
            "sha-256",
            octets(case, "msg"),
            octets(case, "sig"),
            salt_length=group["sLen"],
            mgf_hash="sha-256",
        )

    run(vectors, "rsa_pss_2048_sha256_mgf1_32_test.json", check)


def test_hmac_with_sha3(vectors: Path) -> None:
    def check(_: Case, case: Case) -> None:
        verify_mac(octets(case, "key"), "hmac-sha3-256", octets(case, "msg"), octets(case, "tag"))

    run(vectors, "hmac_sha3_256_test.json", check)


def test_cmac_of_every_key_size(vectors: Path) -> None:
    def check(_: Case, case: Case) -> None:
        verify_mac(octets(case, "key"), "aes-cmac", octets(case, "msg"), octets(case, "tag"))

    run(vectors, "aes_cmac_test.json", check)


def test_gcm_opens_what_is_whole(vectors: Path) -> None:
    def check(group: Case, case: Case) -> None:
        opened = open_aead(
            "aes-gcm",
            octets(case, "key"),
            octets(case, "iv"),
            octets(case, "ct") + octets(case, "tag"),
            octets(case, "aad"),
            tag_size=group["tagSize"] // 8,
        )
        assert opened == octets(case, "msg")

    def unusual(group: Case, _: Case) -> str:
        usual = 64 <= group["ivSize"] <= 1024 or not group["ivSize"]
        return "" if usual else "nonces that the library refuses (SP 800-38D allows them)"

    run(vectors, "aes_gcm_test.json", check, unusual)


@pytest.mark.parametrize(
    ("file", "unwrap"), [("aes_wrap_test.json", unwrap_aes_kw), ("aes_kwp_test.json", unwrap_aes_kwp)]
)
def test_key_wrap_gives_the_key_back(vectors: Path, file: str, unwrap: Callable[[bytes, bytes], bytes]) -> None:
    def check(_: Case, case: Case) -> None:
        assert unwrap(octets(case, "key"), octets(case, "ct")) == octets(case, "msg")

    run(vectors, file, check)


def test_candidates_find_the_scheme_of_a_signature_that_names_none(vectors: Path) -> None:
    found: Counter[str] = Counter()
    for file, scheme in (
        ("ecdsa_secp256r1_sha256_test.json", "ecdsa sha-256"),
        ("ed25519_test.json", "ed25519 sha-512"),
        ("rsa_signature_2048_sha256_test.json", "rsa-pkcs1v15 sha-256"),
        ("rsa_pss_2048_sha256_mgf1_32_test.json", "rsa-pss sha-256"),
    ):
        group, case = next((g, c) for g, c in cases(vectors, file) if c["result"] == "valid")
        key = spki(group)
        matches = []
        for candidate in candidates(key):
            try:
                verify_message(key, candidate.algorithm, candidate.hash, octets(case, "msg"), octets(case, "sig"))
                matches.append(f"{candidate.algorithm} {candidate.hash}")
            except CryptoError:
                continue
        assert matches == [scheme]
        found[scheme] += 1
    assert len(found) == 4
