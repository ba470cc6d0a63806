"""Quantum-resistant signatures: one flipped bit is refused, odd lengths raise nothing foreign, and streams agree."""

from __future__ import annotations

import functools
import hashlib
import itertools
import random
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import mldsa

from checker.crypto.hash_based import lamport, lms, wots, xmss
from checker.crypto.keccak import MAX_MESSAGE, kmac256
from checker.crypto.key_files import read_public_keys
from checker.crypto.keys import PublicKey, from_raw, from_spki
from checker.crypto.signatures import (
    Candidate,
    candidates,
    compute_mac,
    fits,
    needs_message,
    one_time_keys,
    prehash,
    verify_digest,
    verify_mac,
    verify_message,
    verify_prehashed,
)
from checker.errors import (
    CryptoError,
    FormatError,
    InvalidSignatureError,
    KeyMaterialError,
    UnsupportedAlgorithmError,
)
from checker.io.digests import DigestRequest, Literal, Piece, compute, digest
from checker.io.sources import BytesSource
from checker.model.artifact import Span
from tests.crypto import pq_material as material
from tests.crypto import pq_vectors as vectors

MESSAGE = b"firmware, version 3"


def numbers(seed: str | int) -> random.Random:
    return random.Random(seed)  # noqa: S311 - the same data in every run


@dataclass(frozen=True)
class Sample:
    """A key, a signature by it that another implementation made, and the scheme."""

    algorithm: str
    raw: bytes
    message: bytes
    signature: bytes
    hash: str = ""

    @property
    def key(self) -> PublicKey:
        return from_raw(self.algorithm.removeprefix("hash-"), self.raw)

    def verify(self, **changed: Any) -> None:
        values = {"raw": self.raw, "message": self.message, "signature": self.signature} | changed
        key = from_raw(self.algorithm.removeprefix("hash-"), values["raw"])
        verify_message(key, self.algorithm, self.hash, values["message"], values["signature"])


def lamport_sample(name: str) -> Sample:
    """Sign as Lamport's paper says, bit for bit."""
    hashed = {"sha-256": hashlib.sha256, "sha3-256": hashlib.sha3_256}[name]
    draw = numbers(name)
    secrets = [(draw.randbytes(32), draw.randbytes(32)) for _ in range(256)]
    raw = b"".join(hashed(secret).digest() for pair in secrets for secret in pair)
    bits = "".join(f"{byte:08b}" for byte in hashed(MESSAGE).digest())
    signature = b"".join(pair[int(bit)] for pair, bit in zip(secrets, bits, strict=True))
    return Sample("lamport", raw, MESSAGE, signature, name)


WOTS_SETS = {1: ("SHA2", 32), 2: ("SHA2", 64), 3: ("SHAKE", 32), 4: ("SHAKE", 64), 5: ("SHA2", 24), 6: ("SHAKE256", 32)}


def wots_sample(number: int) -> Sample:
    """Sign with the WOTS+ of pq-verify's XMSS."""
    hbs = pytest.importorskip("pq_verify.hbs", reason="pq-verify is not installed")
    family, size = WOTS_SETS[number]
    parameters = hbs.XMSSParams("", family, size, 10, pad=4 if size == 24 else size)
    seed, draw = bytes(range(size)), numbers(number)
    secrets = [draw.randbytes(size) for _ in range(parameters.len)]

    def chain(place: int, start: int, steps: int) -> bytes:
        address = hbs.ADRS()
        address.set_chain(place)
        return bytes(hbs._chain(parameters, secrets[place], start, steps, seed, address))

    ends = b"".join(chain(place, 0, 15) for place in range(parameters.len))
    digits = hbs._msg_digits(parameters, parameters._hash(MESSAGE))
    signature = b"".join(chain(place, 0, digit) for place, digit in enumerate(digits))
    return Sample("wots", number.to_bytes(4, "big") + seed + ends, MESSAGE, signature)


def response(name: str, algorithm: str) -> Sample:
    fields = dict(vectors.responses("liboqs/"))[f"liboqs/tests/KATs/sig_stfl/{name}.rsp"]
    return Sample(algorithm, fields["pk"], fields["msg"], fields["sm"].removesuffix(fields["msg"]))


def signed(name: str) -> Sample:
    signer = material.slh_dsa(name) if name.startswith("slh") else material.ml_dsa(b"flip", name)
    return Sample(name, signer.raw, MESSAGE, signer.sign(MESSAGE))


def pre_hashed() -> Sample:
    """Return NIST's one pre-hash signature over SHA3-256 that is valid and has no context."""
    for group, case in vectors.acvp("SLH-DSA-sigVer-FIPS205", "slhdsa_sig_vectors"):
        usual = group.get("preHash") == "preHash" and not case["context"] and case["hashAlg"] == "SHA3-256"
        if usual and vectors.true(case["testPassed"]):
            raw, message, signature = (bytes.fromhex(case[part]) for part in ("pk", "message", "signature"))
            return Sample(f"hash-{group['parameterSet'].lower()}", raw, message, signature, "sha3-256")
    raise AssertionError("the vectors have changed")


@functools.cache
def sample(name: str) -> Sample:
    return SAMPLES[name]()


SAMPLES: dict[str, Callable[[], Sample]] = {
    "lamport sha-256": lambda: lamport_sample("sha-256"),
    "lamport sha3-256": lambda: lamport_sample("sha3-256"),
    "wots sha2-256": lambda: wots_sample(1),
    "wots sha2-512": lambda: wots_sample(2),
    "wots shake-256": lambda: wots_sample(3),
    "wots sha2-192": lambda: wots_sample(5),
    "wots shake256-256": lambda: wots_sample(6),
    "lms": lambda: response("lms/LMS_SHA256_H5_W1", "lms"),
    "hss": lambda: response("lms/LMS_SHA256_H5_W8", "hss"),
    "hss of two levels": lambda: response("lms/LMS_SHA256_H5_W8_H5_W8", "hss"),
    "xmss": lambda: response("xmss/XMSS-SHA2_10_256", "xmss"),
    "xmss-192": lambda: response("xmss/XMSS-SHAKE256_10_192", "xmss"),
    "xmss-512": lambda: response("xmss/XMSS-SHA2_10_512", "xmss"),
    "xmss-mt": lambda: response("xmss/XMSSMT-SHAKE_20-4_256", "xmss-mt"),
    "xmss-mt of eight layers": lambda: response("xmss/XMSSMT-SHA2_40-8_256", "xmss-mt"),
    "slh-dsa-sha2-128f": lambda: signed("slh-dsa-sha2-128f"),
    "slh-dsa-shake-128f": lambda: signed("slh-dsa-shake-128f"),
    "ml-dsa-65": lambda: signed("ml-dsa-65"),
}


@pytest.mark.parametrize("name", SAMPLES)
def test_one_flipped_bit_anywhere_is_refused(name: str) -> None:
    good = sample(name)
    good.verify()
    draw = numbers(name)
    for part in ("message", "signature", "raw"):
        data = getattr(good, part)
        for at in [0, len(data) - 1, *(draw.randrange(len(data)) for _ in range(10))]:
            flipped = bytearray(data)
            flipped[at] ^= 1 << draw.randrange(8)
            if part == "raw" and good.algorithm == "lamport":
                continue  # half of a Lamport key belongs to the bits that the digest does not have: see below
            with pytest.raises(CryptoError):
                good.verify(**{part: bytes(flipped)})


def test_a_flipped_bit_in_the_used_half_of_a_lamport_key_is_refused() -> None:
    good = sample("lamport sha-256")
    bits = "".join(f"{byte:08b}" for byte in hashlib.sha256(MESSAGE).digest())
    for place in (0, 100, 255):
        flipped = bytearray(good.raw)
        flipped[64 * place + 32 * int(bits[place])] ^= 1
        with pytest.raises(InvalidSignatureError):
            good.verify(raw=bytes(flipped))
        # What belongs to the other bit value is not part of this verification, in any implementation.
        other = bytearray(good.raw)
        other[64 * place + 32 * (1 - int(bits[place]))] ^= 1
        good.verify(raw=bytes(other))


@pytest.mark.parametrize("name", SAMPLES)
def test_odd_lengths_and_noise_raise_the_schemes_own_error_only(name: str) -> None:
    good, draw = sample(name), numbers(name)
    signature = good.signature
    cuts = [0, 1, 3, 4, 5, len(signature) - 1, *(draw.randrange(len(signature)) for _ in range(8))]
    for odd in [*(signature[:cut] for cut in cuts), signature + b"\0", signature * 2, draw.randbytes(len(signature))]:
        with pytest.raises(InvalidSignatureError):
            good.verify(signature=odd)
    for size in (0, 3, 7, len(good.raw) - 1, len(good.raw) + 1):
        key = from_raw(good.algorithm, draw.randbytes(size))
        assert not key.usable
        assert not fits(key, len(signature))
        assert candidates(key) == ()
        assert one_time_keys(key, signature) == ()
        with pytest.raises(UnsupportedAlgorithmError):
            verify_message(key, good.algorithm, good.hash, MESSAGE, signature)


@pytest.mark.parametrize("name", SAMPLES)
def test_a_stream_is_verified_from_one_digest_and_no_other_digest_will_do(name: str) -> None:
    good = sample(name)
    wanted = prehash(good.key, good.algorithm, good.hash, good.signature)
    source = BytesSource("image", good.message)
    halves = (Span(0, 5), Span(5, len(good.message)))
    request = DigestRequest(wanted.hash, (Literal(wanted.prefix), *(Piece(source, span) for span in halves)))
    verify_prehashed(good.key, good.algorithm, good.hash, compute([request])[request], good.signature)
    if wanted.prefix:
        plain = digest(wanted.hash, good.message)
        with pytest.raises(InvalidSignatureError):
            verify_prehashed(good.key, good.algorithm, good.hash, plain, good.signature)
    assert needs_message(good.algorithm)
    with pytest.raises(UnsupportedAlgorithmError, match="itself"):
        verify_digest(good.key, good.algorithm, good.hash, digest("sha-256", good.message), good.signature)


@pytest.mark.parametrize("name", SAMPLES)
def test_a_raw_signature_fits_its_key_by_size_and_is_found_among_the_candidates(name: str) -> None:
    good = sample(name)
    assert fits(good.key, len(good.signature))
    assert not fits(good.key, 1)
    found = []
    for item in candidates(good.key):
        try:
            verify_message(good.key, item.algorithm, item.hash, good.message, good.signature)
        except InvalidSignatureError:
            continue
        found.append(item)
    assert [item.algorithm for item in found] == [good.algorithm]


def test_pre_hash_forms_take_a_digest_and_are_not_the_pure_forms() -> None:
    good = pre_hashed()
    good.verify()
    name = good.algorithm.removeprefix("hash-")
    found = digest(good.hash, good.message)
    assert not needs_message(good.algorithm)
    verify_digest(good.key, good.algorithm, good.hash, found, good.signature)
    assert Candidate(good.algorithm, good.hash) in candidates(good.key)
    for algorithm, hash_name in ((name, ""), (good.algorithm, "sha-512")):
        with pytest.raises(InvalidSignatureError):
            verify_message(good.key, algorithm, hash_name, good.message, good.signature)
    with pytest.raises(UnsupportedAlgorithmError, match="no pre-hash"):
        verify_message(good.key, good.algorithm, "blake2b-512", good.message, good.signature)
    with pytest.raises(InvalidSignatureError):
        verify_digest(good.key, good.algorithm, good.hash, found[:-1], good.signature)


def test_a_key_that_is_for_the_pre_hash_form_verifies_no_pure_signature() -> None:
    pure = sample("slh-dsa-sha2-128f")
    only = from_raw("hash-slh-dsa-sha2-128f", pure.raw)
    assert only.usable
    assert {item.algorithm for item in candidates(only)} == {"hash-slh-dsa-sha2-128f"}
    with pytest.raises(InvalidSignatureError, match="cannot make"):
        verify_message(only, "slh-dsa-sha2-128f", "", pure.message, pure.signature)


def test_a_context_is_part_of_what_is_signed() -> None:
    key = mldsa.MLDSA44PrivateKey.from_seed_bytes(bytes(32))
    public = from_raw("ml-dsa-44", key.public_key().public_bytes_raw())
    signature = key.sign(MESSAGE, b"boot")
    verify_message(public, "ml-dsa-44", "", MESSAGE, signature, context=b"boot")
    for wrong in (b"", b"root", b"boot\0"):
        with pytest.raises(InvalidSignatureError):
            verify_message(public, "ml-dsa-44", "", MESSAGE, signature, context=wrong)
    with pytest.raises(InvalidSignatureError, match="255"):
        verify_message(public, "ml-dsa-44", "", MESSAGE, signature, context=bytes(256))


def test_keys_of_one_scheme_make_no_signatures_of_another() -> None:
    for one, two in itertools.permutations(("lms", "xmss", "slh-dsa-sha2-128f", "ml-dsa-65"), 2):
        with pytest.raises(InvalidSignatureError, match="cannot make"):
            verify_message(sample(one).key, two, "", MESSAGE, sample(two).signature)


# Parameters that contradict each other


# Trees of height 5 with w = 8: SHA-256 and SHAKE256, of 32 and 24 bytes (SP 800-208 section 4).
FAMILIES = ((5, 4), (10, 8), (15, 12), (20, 16))


def hss_of(levels: int, kinds: tuple[tuple[int, int], ...]) -> Sample:
    """Sign with a hierarchy of pq-verify's trees, each of the next family."""
    trees = [material.lms_tree(bytes([level]), *kinds[level % len(kinds)]) for level in range(levels)]
    signature = (levels - 1).to_bytes(4, "big")
    for level, (above, below) in enumerate(itertools.pairwise(trees)):
        draw = hashlib.sha256(bytes([level])).digest()[: 32 if kinds[level % len(kinds)][0] in {5, 15} else 24]
        signature += bytes(above.sign(below.public_key, level, draw)) + below.public_key
    size = 32 if kinds[(levels - 1) % len(kinds)][0] in {5, 15} else 24
    signature += bytes(trees[-1].sign(MESSAGE, 31, bytes(size)))
    return Sample("hss", levels.to_bytes(4, "big") + trees[0].public_key, MESSAGE, signature)


@pytest.mark.parametrize("levels", range(1, 9))
def test_hss_of_one_to_eight_levels(levels: int) -> None:
    made = hss_of(levels, FAMILIES[:1])
    made.verify()
    assert [use.index for use in one_time_keys(made.key, made.signature)] == [*range(levels - 1), 31]
    for at in range(7, len(made.signature), len(made.signature) // (3 * levels)):
        with pytest.raises(InvalidSignatureError):
            made.verify(signature=made.signature[:at] + bytes([made.signature[at] ^ 1]) + made.signature[at + 1 :])


def test_hss_over_trees_of_different_families() -> None:
    made = hss_of(4, FAMILIES)
    made.verify()
    with pytest.raises(InvalidSignatureError):
        made.verify(message=MESSAGE + b"\0")


def test_hss_of_nine_levels_is_no_key() -> None:
    made = hss_of(8, FAMILIES[:1])
    assert not from_raw("hss", (9).to_bytes(4, "big") + made.raw[4:]).usable
    assert not from_raw("hss", bytes(4) + made.raw[4:]).usable


def test_an_hss_signature_of_more_levels_than_the_key_is_refused() -> None:
    two, one = sample("hss of two levels"), sample("hss")
    with pytest.raises(InvalidSignatureError, match="levels"):
        one.verify(signature=two.signature)
    with pytest.raises(FormatError, match="levels"):
        lms.public_key((9).to_bytes(4, "big") + two.raw[4:])


def test_an_hss_signature_whose_lower_key_is_none_is_refused() -> None:
    two = sample("hss of two levels")
    at = 4 + 4 + 4 + 32 * (1 + 34) + 4 + 32 * 5  # count, q, type, C and chains, type, path (RFC 8554 5.4 and 6.2)
    broken = two.signature[:at] + (99).to_bytes(4, "big") + two.signature[at + 4 :]
    with pytest.raises(InvalidSignatureError, match="below the first"):
        two.verify(signature=broken)


def test_lms_keys_whose_hashes_differ_are_not_read() -> None:
    raw = sample("lms").raw
    with pytest.raises(FormatError, match="different hashes"):
        lms.tree_key((5).to_bytes(4, "big") + (9).to_bytes(4, "big") + raw[8:])


def test_leaves_and_indexes_outside_the_tree_are_refused() -> None:
    bare, tree = sample("lms"), sample("xmss")
    with pytest.raises(InvalidSignatureError, match="leaf"):
        bare.verify(signature=(32).to_bytes(4, "big") + bare.signature[4:])
    with pytest.raises(InvalidSignatureError, match="leaf"):
        tree.verify(signature=(1024).to_bytes(4, "big") + tree.signature[4:])


def test_lamport_takes_no_other_hash_and_no_other_size() -> None:
    key = lamport.public_key(sample("lamport sha-256").raw)
    with pytest.raises(UnsupportedAlgorithmError):
        lamport.verify(key, sample("lamport sha-256").signature, bytes(32), "md5")
    with pytest.raises(InvalidSignatureError, match="32 bytes"):
        lamport.verify(key, sample("lamport sha-256").signature, bytes(20), "sha-256")


# One-time keys


@pytest.mark.parametrize(
    ("name", "schemes", "index"),
    [
        ("lamport sha-256", ["lamport"], 0),
        ("wots sha2-256", ["wots"], 0),
        ("lms", ["lms"], None),
        ("hss of two levels", ["lms", "lms"], None),
        ("xmss", ["xmss"], None),
        ("xmss-mt", ["xmss-mt"] * 4, None),
        ("slh-dsa-sha2-128f", [], None),
        ("ml-dsa-65", [], None),
    ],
)
def test_one_time_keys_are_named_from_the_top_tree_down(name: str, schemes: list[str], index: int | None) -> None:
    good = sample(name)
    found = one_time_keys(good.key, good.signature)
    assert [item.scheme for item in found] == schemes
    assert len({(item.owner, item.index) for item in found}) == len(found)
    if index is not None:
        assert found[-1].index == index


def test_the_indexes_are_those_of_the_signature() -> None:
    bare = sample("lms")
    assert one_time_keys(bare.key, bare.signature)[0].index == int.from_bytes(bare.signature[:4], "big")
    assert one_time_keys(bare.key, bare.signature)[0].owner == bare.raw[8:24].hex()
    many = sample("xmss-mt")
    at = int.from_bytes(many.signature[:3], "big")
    assert [item.index for item in one_time_keys(many.key, many.signature)] == [at >> 15, at >> 10, at >> 5, at]


# Bare key files


@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("lamport sha-256", ["lamport"]),
        ("wots sha2-192", ["wots"]),
        ("lms", ["lms"]),
        ("hss", ["hss"]),
        ("xmss", ["xmss", "xmss-mt"]),  # both number their sets from 1 on
        ("xmss-192", ["xmss"]),
        ("xmss-mt", ["xmss", "xmss-mt"]),
        ("xmss-mt of eight layers", ["xmss-mt"]),
        ("ml-dsa-65", ["ml-dsa-65"]),
    ],
)
def test_bare_keys_are_known_by_their_content(name: str, kinds: list[str]) -> None:
    good = sample(name)
    found = read_public_keys(good.raw, "bare.key")
    assert [key.facts.algorithm for key in found] == kinds
    assert all(key.usable and key.facts.name == "bare.key" for key in found)
    with pytest.raises(CryptoError):
        read_public_keys(good.raw[:-1], "cut.key")


def test_text_and_der_of_such_a_length_are_no_bare_keys() -> None:
    for odd in (b"a" * 16384, b"0" + bytes(1311)):
        with pytest.raises(CryptoError):
            read_public_keys(odd, "odd.key")


def test_an_hss_key_wrapped_as_in_rfc_8708_is_read_too() -> None:
    raw = sample("hss").raw
    wrapped = from_spki(material.spki(material.OIDS["hss"], b"\x04" + bytes([len(raw)]) + raw))
    assert wrapped.usable
    assert not from_spki(material.spki(material.OIDS["hss"], b"\x04\x02" + raw)).usable


@pytest.mark.parametrize("size", [1, 2, 3, 257, 258, 300, 5000])
def test_bytes_that_begin_like_the_wrapping_of_an_hss_key_raise_nothing_foreign(size: int) -> None:
    raw = b"\x04".ljust(size, b"\xff")
    assert not from_raw("hss", raw).usable
    with pytest.raises(KeyMaterialError):
        read_public_keys(raw, "odd.key")


def test_a_key_without_an_identifier_cannot_be_made_from_raw_bytes() -> None:
    with pytest.raises(UnsupportedAlgorithmError):
        from_raw("none", b"x")


def test_parameter_sets_that_do_not_exist_are_refused() -> None:
    for read in (xmss.public_key, xmss.forest_key, wots.public_key, lms.tree_key):
        with pytest.raises(FormatError):
            read(b"\xff" * 68)


# KMAC256


def kmac_cases() -> Iterator[tuple[bytes, bytes, int]]:
    draw = numbers(185)
    for size in (0, 1, 135, 136, 137, 272, 1000):
        yield draw.randbytes(32), draw.randbytes(size), 32
    yield draw.randbytes(200), draw.randbytes(5), 200


def test_kmac256_samples_of_sp_800_185() -> None:
    key = bytes(range(0x40, 0x60))
    four = kmac256(key, bytes(range(4)), b"My Tagged Application", 64).hex().upper()
    five = kmac256(key, bytes(range(200)), b"", 64).hex().upper()
    assert four.startswith("20C570C31346F703C9AC36C61C03CB64C3970D0CFC787E9B79599D273A68D2F7")
    assert five.startswith("75358CF39E41494E949707927CEE0AF20A3FF553904C86B08F21CC414BCFD691")


@pytest.mark.skipif(shutil.which("openssl") is None, reason="the openssl command is not installed")
def test_kmac256_agrees_with_openssl(tmp_path: Path) -> None:
    for key, message, size in kmac_cases():
        (tmp_path / "message").write_bytes(message)
        options = ["-macopt", f"hexkey:{key.hex()}", "-macopt", f"size:{size}", "-in", str(tmp_path / "message")]
        done = subprocess.run(["openssl", "mac", *options, "KMAC256"], check=True, capture_output=True, text=True)
        assert kmac256(key, message, b"", size).hex() == done.stdout.strip().lower()


def test_a_kmac_tag_binds_its_length() -> None:
    key = bytes(32)
    full = compute_mac(key, "kmac256", MESSAGE)
    verify_mac(key, "kmac256", MESSAGE, full)
    verify_mac(key, "kmac256", MESSAGE, kmac256(key, MESSAGE, b"", 32))
    for wrong in (full[:32], full[:-1], b"", full + b"\0", bytes(64)):
        with pytest.raises(InvalidSignatureError):
            verify_mac(key, "kmac256", MESSAGE, wrong)
    with pytest.raises(UnsupportedAlgorithmError, match="at most"):
        compute_mac(key, "kmac256", bytes(MAX_MESSAGE + 1))
