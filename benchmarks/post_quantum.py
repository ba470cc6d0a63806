"""Verification time for each quantum-resistant scheme beside another Python implementation, and memory of a stream.

The peers: pq-verify's `hbs` for LMS, HSS, XMSS and XMSS^MT (pure Python), pqcrypto for SLH-DSA (Rust), cryptography's
own verification of the whole message for ML-DSA (C). Where pyhsslms, mldsa or slh-dsa are installed, they stand beside.
"""

from __future__ import annotations

import importlib
import statistics
import time
import tracemalloc
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from cryptography.hazmat.primitives.asymmetric import mldsa

from checker.crypto.keyring import KeyRing
from checker.crypto.keys import PublicKey, from_raw
from checker.crypto.signatures import verify_message
from checker.formats._open import open_artifact
from checker.formats.contract import Context
from checker.io.sources import BytesSource, FileSource
from tests.crypto import pq_material as material
from tests.crypto import pq_vectors as vectors

ROUNDS = 15
STREAM = 1024 * 1024 * 1024  # bytes
MESSAGE = b"firmware " * 100
Peers = dict[str, Callable[[], Any]]
Case = tuple[str, PublicKey, bytes, bytes, Peers]


def _optional(name: str) -> Any:  # noqa: ANN401 - a module or None
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


def _hash_based() -> list[Case]:
    hbs, lms = importlib.import_module("pq_verify.hbs"), _optional("pyhsslms")
    found: list[Case] = []
    for name, algorithm in (
        ("lms/LMS_SHA256_H5_W8", "hss"),
        ("lms/LMS_SHA256_H5_W8_H5_W8", "hss"),
        ("xmss/XMSS-SHA2_10_256", "xmss"),
        ("xmss/XMSSMT-SHA2_20-2_256", "xmss-mt"),
    ):
        fields = dict(vectors.responses("liboqs/"))[f"liboqs/tests/KATs/sig_stfl/{name}.rsp"]
        raw, message = fields["pk"], fields["msg"]
        signature = fields["sm"].removesuffix(message)
        if algorithm == "hss":
            peers: Peers = {"pq-verify": partial(hbs.hss_verify, raw, message, signature)}
            if lms:
                peers["pyhsslms"] = partial(lms.HssPublicKey.deserialize(raw).verify, message, signature)
        else:
            many = algorithm == "xmss-mt"
            peers = {"pq-verify": partial(hbs.xmss_verify, raw, message, signature, mt=many)}
        found.append((name.rpartition("/")[2], from_raw(algorithm, raw), message, signature, peers))
    return found


def _stateless() -> list[Case]:
    found: list[Case] = []
    for name in ("slh-dsa-sha2-128f", "slh-dsa-shake-128f"):
        signer = material.slh_dsa(name)
        signature = signer.sign(MESSAGE)
        rust = importlib.import_module("pqcrypto.sign")
        module = getattr(rust, name.replace("-", "_"))
        peers: Peers = {"pqcrypto (Rust)": partial(module.verify, signer.raw, MESSAGE, signature)}
        pure = _optional("slhdsa")
        if pure:
            own = pure.PublicKey.from_digest(signer.raw, getattr(pure, name.removeprefix("slh-dsa-").replace("-", "_")))
            peers["slh-dsa"] = partial(own.verify, MESSAGE, signature)
        found.append((name, from_raw(name, signer.raw), MESSAGE, signature, peers))
    for name in ("ml-dsa-44", "ml-dsa-65"):
        signer = material.ml_dsa(b"benchmark", name)
        signature, key = signer.sign(MESSAGE), from_raw(name, signer.raw)
        peers = {"cryptography (C)": partial(key.key.verify, signature, MESSAGE)}
        pure = _optional("mldsa")
        if pure:
            params = getattr(pure.ParameterSet, name.replace("-", "_").upper())
            own = pure.VerificationKey(signer.raw, parameters=params)
            peers["mldsa"] = partial(own.verify, signature, MESSAGE)
        found.append((name, key, MESSAGE, signature, peers))
    return found


def _median(run: Callable[[], Any]) -> float:
    times = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return statistics.median(times) * 1000


def _stream() -> None:
    """Verify ML-DSA-44 over 1 GiB that is never held, signed over a streamed mu (FIPS 204 algorithm 7, line 6)."""
    key = mldsa.MLDSA44PrivateKey.from_seed_bytes(bytes(32))
    running = mldsa.MLDSAMuHasher(key.public_key())
    zeros = bytes(1024 * 1024)
    for _ in range(STREAM // len(zeros)):
        running.update(zeros)
    signature = key.sign_mu(running.finalize())
    public = from_raw("ml-dsa-44", key.public_key().public_bytes_raw())
    with TemporaryDirectory() as folder:
        path = Path(folder) / "image"
        with path.open("wb") as file:
            file.truncate(STREAM)
        source = FileSource(path, "image")
        companions = {"signature": BytesSource("signature", signature)}
        context = Context(keys=KeyRing.of(keys=[public]), as_of="2026-11-01T00:00:00Z", companions=companions)
        tracemalloc.start()
        start = time.perf_counter()
        image = open_artifact(source, context, "detached")
        seconds, peak = time.perf_counter() - start, tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        source.close()
    outcome = image.signatures[0].outcome.value
    print(f"ML-DSA-44 over 1 GiB: {outcome} in {seconds:.1f} s, Python held {peak / 2**20:.1f} MiB at most")


def main() -> None:
    """Print the measurement."""
    print(f"{'scheme':<24} {'verifier':<18} {'ms':>8} {'ratio':>6}")
    for name, key, message, signature, peers in (*_hash_based(), *_stateless()):
        algorithm = key.facts.algorithm
        ours = _median(partial(verify_message, key, algorithm, "", message, signature))
        print(f"{name:<24} {'otaudit':<18} {ours:>8.2f}")
        for peer, run in peers.items():
            theirs = _median(run)
            print(f"{'':<24} {peer:<18} {theirs:>8.2f} {ours / theirs:>6.2f}")
    _stream()
