"""The algorithm table: complete, consistent, and its numbers against SP 800-57 and the libraries."""

from __future__ import annotations

import hashlib
import re

import pytest
from asn1crypto import algos

from checker.crypto.algorithms import (
    Algorithm,
    algorithm,
    by_name,
    by_oid,
    hash_facts,
    key_strength,
    known,
    rsa_strength,
    signature_by_oid,
    table,
)
from checker.errors import UnsupportedAlgorithmError
from checker.io.digests import hasher, supported

FAMILIES = {
    "signature": {"classical", "hash-based", "lattice", "hybrid", "none"},
    "mac": {"keyed-hash"},
    "key-transport": {"classical", "symmetric", "lattice", "hybrid", ""},
}


@pytest.mark.parametrize("item", table().values(), ids=lambda item: item.id)
def test_every_line_is_complete_and_uses_only_closed_vocabularies(item: Algorithm) -> None:
    assert item.role in {"hash", "signature", "mac", "cipher", "key-transport", "key"}
    assert item.family in FAMILIES.get(item.role, {"classical", "symmetric", ""})
    assert item.problem in {"none", "lwe", "rlwe", "mlwe", "rounding", "other"}
    assert item.checked in {"V", "S", "M"}
    assert set(item.terms) <= {"hash-128", "aes-256-hash", "sha3-256-or-lamport", "lwe-or-rlwe"}
    assert set(item.terms.values()) <= {"letter", "equivalent"}
    assert item.status
    dates = [line.since for line in item.status]
    assert dates == sorted(dates)
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\d", date) for date in dates)
    assert all(
        line.status in {"acceptable", "deprecated", "disallowed", "legacy", "not-approved"} for line in item.status
    )
    assert all(not fixed or known(fixed) for _, fixed in item.oids)


def test_no_name_and_no_object_identifier_stands_for_two_things_in_one_role() -> None:
    names = [name for item in table().values() for name in (item.id, *item.aliases)]
    assert len(names) == len(set(names))
    pairs = [(role, oid) for item in table().values() for oid, _ in item.oids for role in item.roles]
    assert len(pairs) == len(set(pairs))


@pytest.mark.parametrize("item", [item for item in table().values() if item.role == "hash"], ids=lambda item: item.id)
def test_a_hashs_size_is_what_the_digest_engine_gives_and_its_strength_is_at_most_half(item: Algorithm) -> None:
    assert item.bits is not None
    assert item.collision_bits is not None
    assert item.collision_bits <= item.bits // 2
    if supported(item.id):
        assert len(hasher(item.id).digest()) * 8 == item.bits


@pytest.mark.parametrize("name", ["md5", "sha1", "sha224", "sha256", "sha384", "sha512", "sha512_224", "sha512_256"])
def test_hash_identifiers_are_those_of_another_implementation(name: str) -> None:
    item = by_oid(algos.DigestAlgorithmId.unmap(name), "hash")
    assert item.bits == hashlib.new(name, usedforsecurity=False).digest_size * 8


@pytest.mark.parametrize(
    ("name", "scheme", "fixed"),
    [
        ("sha256_rsa", "rsa-pkcs1v15", "sha-256"),
        ("sha1_rsa", "rsa-pkcs1v15", "sha-1"),
        ("md5_rsa", "rsa-pkcs1v15", "md5"),
        ("rsassa_pss", "rsa-pss", ""),
        ("sha384_ecdsa", "ecdsa", "sha-384"),
        ("sha3_256_ecdsa", "ecdsa", "sha3-256"),
        ("sha256_dsa", "dsa", "sha-256"),
        ("ed25519", "ed25519", "sha-512"),
    ],
)
def test_signature_identifiers_are_those_of_another_implementation(name: str, scheme: str, fixed: str) -> None:
    item, hash_name = signature_by_oid(algos.SignedDigestAlgorithmId.unmap(name))
    assert (item.id, hash_name) == (scheme, fixed)


@pytest.mark.parametrize("size", ["128", "192", "256"])
@pytest.mark.parametrize("mode", ["cbc", "gcm", "ecb", "ccm"])
def test_cipher_identifiers_are_those_of_another_implementation(size: str, mode: str) -> None:
    oid = algos.EncryptionAlgorithmId.unmap(f"aes{size}_{mode}")
    assert by_oid(oid, "cipher").id == f"aes-{size}-{mode}"


@pytest.mark.parametrize(
    ("bits", "strength"),
    [(512, 0), (1023, 0), (1024, 80), (2047, 80), (2048, 112), (3071, 112), (3072, 128), (4096, 128), (7680, 192),
     (15360, 256)],
)  # fmt: skip
def test_rsa_strength_follows_the_table_of_sp_800_57_at_its_steps(bits: int, strength: int) -> None:
    assert rsa_strength(bits) == key_strength("rsa", bits) == strength


@pytest.mark.parametrize(
    ("name", "bits", "strength"),
    [
        ("ec-p192", 192, 96), ("ec-p224", 224, 112), ("ec-p256", 256, 128), ("ec-p384", 384, 192),
        ("ec-p521", 521, 256), ("ed25519", 256, 128), ("ed448", 448, 224), ("aes", 128, 128), ("hmac", 512, 256),
        ("ec-1.2.3", 200, 100), ("ml-dsa-65", None, 192), ("1.2.3", 99, None),
    ],
)  # fmt: skip
def test_key_strength_of_curves_and_secrets(name: str, bits: int | None, strength: int | None) -> None:
    assert key_strength(name, bits) == strength


def test_a_truncated_digest_has_half_of_what_is_kept() -> None:
    assert hash_facts("sha-256", 128).collision_bits == 64
    assert hash_facts("SHA256").collision_bits == 128
    assert hash_facts("sha-1").collision_bits == 61
    assert hash_facts("rot13").collision_bits is None


def test_the_status_moves_with_the_date_and_drafts_only_watch() -> None:
    assert [algorithm("sha-1").status_at(day) for day in ("1990-01-01", "2013-12-31", "2014-01-01")] == [
        "",
        "acceptable",
        "legacy",
    ]
    assert algorithm("rsa-pkcs1v15").status_at("2040-01-01") == "acceptable"
    assert algorithm("rsa-pkcs1v15").watched_at("2040-01-01") == "disallowed"
    assert algorithm("ml-dsa-65").status_at("2026-11-01T00:00:00Z") == "acceptable"


def test_the_four_terms_of_the_table_are_counted_as_ruled() -> None:
    def counted(term: str) -> dict[str, set[str]]:
        found: dict[str, set[str]] = {"letter": set(), "equivalent": set()}
        for item in table().values():
            if term in item.terms:
                found[item.terms[term]].add(item.id)
        return found

    assert {"md5", "sha-1", "sha-224", "sha3-224", "sha-512/224"}.isdisjoint(counted("hash-128")["letter"])
    assert {"sha-256", "sha-512/256", "sm3", "blake3"} <= counted("hash-128")["letter"]
    lattice = counted("lwe-or-rlwe")
    assert {"ml-kem-512", "ml-kem-768", "frodokem-976", "newhope", "x25519-ml-kem-768"} <= lattice["letter"]
    assert {"saber", "ntru", "sike", "rsa-oaep", "ecdh-es"}.isdisjoint(lattice["letter"] | lattice["equivalent"])
    lamport = counted("sha3-256-or-lamport")
    assert {"lms", "hss", "xmss", "slh-dsa-sha2-128s", "hmac-sha3-256"} <= lamport["letter"]
    assert "ml-dsa-65" in lamport["equivalent"]
    assert {"rsa-pss", "ecdsa", "ed25519"}.isdisjoint(lamport["letter"] | lamport["equivalent"])
    assert "aes-256-cmac" in counted("aes-256-hash")["letter"]
    assert "aes-128-cmac" not in counted("aes-256-hash")["letter"]


def test_other_registries_names_are_found() -> None:
    assert by_name("cose", "-7").id == "ecdsa"
    assert by_name("tls", "0x11ec").id == "x25519-ml-kem-768"
    assert by_name("mcuboot", "0x33", "key-transport").id == "ecies-x25519"
    with pytest.raises(UnsupportedAlgorithmError):
        by_name("cose", "12345")
    with pytest.raises(UnsupportedAlgorithmError):
        by_oid("1.2.3.4")
    with pytest.raises(UnsupportedAlgorithmError):
        algorithm("rot13")
