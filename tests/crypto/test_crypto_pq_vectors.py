"""Published vectors of the quantum-resistant signatures: every verdict is the published one, counted by set."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from checker.crypto import post_quantum
from checker.crypto.hash_based import slh_dsa
from checker.crypto.keys import PublicKey, from_raw
from checker.crypto.signatures import prehash, verify_message, verify_prehashed
from checker.errors import CryptoError, InvalidSignatureError
from checker.io.digests import digest
from tests.crypto import pq_vectors as vectors
from tests.crypto.pq_vectors import Case, Tally, true

NAMES = {
    "SHA2-224": "sha-224",
    "SHA2-256": "sha-256",
    "SHA2-384": "sha-384",
    "SHA2-512": "sha-512",
    "SHA2-512/224": "sha-512/224",
    "SHA2-512/256": "sha-512/256",
    "SHA3-224": "sha3-224",
    "SHA3-256": "sha3-256",
    "SHA3-384": "sha3-384",
    "SHA3-512": "sha3-512",
    "SHAKE-128": "shake128",
    "SHAKE-256": "shake256",
}


def octets(text: str) -> bytes:
    return bytes.fromhex(text)


def accepted(key: PublicKey, algorithm: str, message: bytes, signature: bytes, **how: Any) -> bool:
    """Return whether both ways verify: the message at once, and its digest as a stream gives it; they must agree."""
    hash_name, context = how.get("hash_name", ""), how.get("context", b"")
    try:
        verify_message(key, algorithm, hash_name, message, signature, context=context)
        whole = True
    except InvalidSignatureError:
        whole = False
    try:
        wanted = prehash(key, algorithm, hash_name, signature, context=context)
        found = digest(wanted.hash, wanted.prefix + message)
        verify_prehashed(key, algorithm, hash_name, found, signature, context=context)
        streamed = True
    except InvalidSignatureError:
        streamed = False
    assert whole is streamed
    return whole


def test_nist_lms() -> None:
    tally = Tally()
    for folder in ("LMS-sigVer-1.0", "LMS-sigVer-SP800-208", "LMS-sigGen-1.0", "LMS-sigGen-SP800-208"):
        for group, case in vectors.acvp(folder):
            key = from_raw("lms", octets(group["publicKey"]))
            found = accepted(key, "lms", octets(case["message"]), octets(case["signature"]))
            tally.take(folder[:10], agrees=found is true(case.get("testPassed", True)), case=case["tcId"])
    tally.done(**{"LMS-sigVer": 16, "LMS-sigGen": 62})


def test_lms_of_a_second_generator() -> None:
    tally = Tally()
    for mode in ("sigVer", "sigGen"):
        for group, case in vectors.spread(vectors.projections(f"pqc-kat/LMS/LMS-{mode}"), 4):
            key = from_raw("lms", octets(group["publicKey"]))
            found = accepted(key, "lms", octets(case["message"]), octets(case["signature"]))
            tally.take(mode, agrees=found is true(case.get("testPassed", True)), case=case["tcId"])
    tally.done(step=4, sigVer=320, sigGen=960)


def test_xmss_of_a_second_generator() -> None:
    tally = Tally()
    folders = {name.rpartition("/")[0] for name in vectors.archive("hbs_vectors") if "/XMSS-sig" in name}
    for folder in sorted(folders):
        for group, case in vectors.acvp(folder, "hbs_vectors"):
            raw = octets(group["publicKey"])
            number = int(group["OID"]).to_bytes(4, "big")
            key = from_raw("xmss", raw if raw.startswith(number) else number + raw)  # one file leaves the number out
            message, signature = octets(case["message"]), octets(case["signature"])
            # The generator's signatures are followed by the message, as those of the reference implementation.
            expected = true(case.get("testPassed", True))
            found = accepted(key, "xmss", message, signature.removesuffix(message))
            tally.take(folder.split("-")[2], agrees=found is expected, case=(folder, case["tcId"]))
    tally.done(sigVer=64, sigGen=40)


def test_liboqs_lms_hss_xmss_and_xmss_mt() -> None:
    tally = Tally()
    for name, fields in vectors.responses("liboqs/"):
        raw, message = fields["pk"], fields["msg"]
        if "/lms/" in name:
            algorithm = "lms" if len(raw) == 56 else "hss"
        else:
            algorithm = "xmss-mt" if "XMSSMT" in name else "xmss"
        found = accepted(from_raw(algorithm, raw), algorithm, message, fields["sm"].removesuffix(message))
        tally.take(algorithm, agrees=found, case=name)
    tally.done(**{"lms": 2, "hss": 16, "xmss": 21, "xmss-mt": 16})


def test_the_two_cases_of_rfc_8554() -> None:
    tally = Tally()
    for case in vectors.c_arrays("hash-sigs/test_testvector.c"):
        found = accepted(from_raw("hss", case["public_key"]), "hss", case["message"], case["signature"])
        tally.take("hss", agrees=found, case="RFC 8554 appendix F")
    tally.done(hss=2)


def slh_case(group: Case, case: Case, raw: bytes) -> tuple[str, bool]:
    name, signature, message = group["parameterSet"].lower(), octets(case["signature"]), octets(case["message"])
    key = from_raw(name, raw)
    context = octets(case.get("context", ""))
    if group["signatureInterface"] == "internal":
        return "internal", internal(key.key, message, signature)
    if group["preHash"] == "pure":
        return "pure", accepted(key, name, message, signature, context=context)
    how = {"hash_name": NAMES[case["hashAlg"]], "context": context}
    return "prehash", accepted(key, f"hash-{name}", message, signature, **how)


def internal(key: slh_dsa.Key, message: bytes, signature: bytes) -> bool:
    """Return the verdict of slh_verify_internal (FIPS 205 algorithm 20), without the frame around the message."""
    try:
        wanted = slh_dsa.prehash(key, signature)
        slh_dsa.verify(key, signature, digest(wanted.hash, wanted.prefix + message))
    except InvalidSignatureError:
        return False
    return True


def test_nist_slh_dsa_verification() -> None:
    tally = Tally()
    for group, case in vectors.acvp("SLH-DSA-sigVer-FIPS205", "slhdsa_sig_vectors"):
        what, found = slh_case(group, case, octets(case["pk"]))
        tally.take(what, agrees=found is true(case["testPassed"]), case=case["tcId"])
    tally.done(pure=168, prehash=168, internal=168)


def test_nist_slh_dsa_signatures_that_nist_made() -> None:
    tally = Tally()
    for group, case in vectors.spread(vectors.acvp("SLH-DSA-sigGen-FIPS205", "slhdsa_sig_vectors"), 3):
        secret = octets(case["sk"])
        what, found = slh_case(group, case, secret[len(secret) // 2 :])  # SK ends with the public key (FIPS 205 9.1)
        tally.take(what, agrees=found, case=case["tcId"])
    tally.done(step=3, pure=168, prehash=288, internal=168)


def ml_case(group: Case, case: Case) -> tuple[str, bool]:
    name, signature = group["parameterSet"].lower(), octets(case["signature"])
    key, context = from_raw(name, octets(case["pk"])), octets(case.get("context", ""))
    if group["signatureInterface"] == "internal":
        mu = case.get("mu") or digest("shake256", tr(key) + octets(case["message"])).hex()
        return "internal", mu_accepted(key, octets(mu), signature)
    if group["preHash"] == "pure":
        return "pure", accepted(key, name, octets(case["message"]), signature, context=context)
    how = {"hash_name": NAMES[case["hashAlg"]], "context": context}
    return "prehash", accepted(key, f"hash-{name}", octets(case["message"]), signature, **how)


def tr(key: PublicKey) -> bytes:
    return hashlib.shake_256(key.raw).digest(64)


def mu_accepted(key: PublicKey, mu: bytes, signature: bytes) -> bool:
    name = key.facts.algorithm
    try:
        post_quantum.verify(name, key.key, name, "", mu, signature)
    except InvalidSignatureError:
        return False
    return True


def test_nist_ml_dsa_verification() -> None:
    tally = Tally()
    for group, case in vectors.acvp("ML-DSA-sigVer-FIPS204"):
        what, found = ml_case(group, case)
        tally.take(what, agrees=found is true(case["testPassed"]), case=case["tcId"])
    tally.done(pure=45, prehash=45, internal=90)


@pytest.mark.parametrize(("size", "count"), [("44", 180), ("65", 210), ("87", 241)])
def test_wycheproof_ml_dsa(size: str, count: int) -> None:
    tally, name = Tally(), f"ml-dsa-{size}"
    for group, case in vectors.wycheproof(f"mldsa_{size}_verify_test.json"):
        key = from_raw(name, octets(group["publicKey"]))
        context = octets(case.get("ctx", ""))
        try:
            if "mu" in case and "msg" not in case:
                found = mu_accepted(key, octets(case["mu"]), octets(case["sig"]))
            else:
                found = accepted(key, name, octets(case["msg"]), octets(case["sig"]), context=context)
        except CryptoError:  # a key of a wrong length is none
            found = False
        tally.take("cases", agrees=found is (case["result"] == "valid"), case=case["tcId"])
    tally.done(cases=count)
