"""Quantum-resistant signatures behind one interface: keys from their bytes, what to hash, and the verification.

All of them hash the message once when they verify, so that a digest over `Prehash.prefix` and the message is enough:

* ML-DSA (FIPS 204): mu, SHAKE256 over tr and M' (algorithm 8, line 6), is what cryptography verifies;
* SLH-DSA (FIPS 205) and the schemes of RFC 8554 and RFC 8391: see `checker.crypto.hash_based`.

A composite of ML-DSA and a classical scheme is verified as a whole: see `checker.crypto.composite`.

`hash-ml-dsa-…` and `hash-slh-dsa-…` are the pre-hash variants (FIPS 204 5.4, FIPS 205 10.2), which sign a digest.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from functools import partial
from types import ModuleType
from typing import Any, Final

from asn1crypto import core
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import mldsa

from checker.crypto import composite
from checker.crypto.algorithms import algorithm as table_line
from checker.crypto.hash_based import lamport, lms, slh_dsa, wots, xmss
from checker.crypto.hash_based._parts import Prehash
from checker.errors import FormatError, InvalidSignatureError, UnsupportedAlgorithmError
from checker.io import digests
from checker.model.keys import OneTimeKey

__all__ = ["Prehash"]

PREHASHED: Final = "hash-"  # what the ids of pre-hash variants begin with
HASHES: Final = ("sha-512", "sha-256", "sha-384", "shake256", "shake128", "sha3-512", "sha3-256", "sha3-384")
_MAX_CONTEXT: Final = 255  # bytes, FIPS 204 5.2 and FIPS 205 10.2
_NIST_HASHES: Final = "2.16.840.1.101.3.4.2."  # the arc that FIPS 204 5.4 and FIPS 205 10.2.2 take identifiers from
_MLDSA: Final[Mapping[str, tuple[Any, int]]] = {
    "ml-dsa-44": (mldsa.MLDSA44PublicKey, 2420),  # class, bytes of a signature (FIPS 204 table 2)
    "ml-dsa-65": (mldsa.MLDSA65PublicKey, 3309),
    "ml-dsa-87": (mldsa.MLDSA87PublicKey, 4627),
}
_READERS: Final[Mapping[str, Callable[[bytes], Any]]] = {
    "lamport": lamport.public_key,
    "wots": wots.public_key,
    "lms": lms.tree_key,
    "hss": lms.public_key,
    "xmss": xmss.public_key,
    "xmss-mt": xmss.forest_key,
    **{name: partial(slh_dsa.public_key, name) for name in slh_dsa.SETS},
    **{name: kind.from_public_bytes for name, (kind, _) in _MLDSA.items()},
    **{name: partial(composite.public_key, name) for name in composite.SETS},
}
_STATES: Final[Mapping[type, ModuleType]] = {wots.Key: wots, lms.Key: lms, xmss.Key: xmss, lamport.Key: lamport}
_MODULES: Final[Mapping[type, ModuleType]] = {**_STATES, composite.Key: composite}
STATEFUL: Final = frozenset({"lamport", "wots", "lms", "hss", "xmss", "xmss-mt"})


def handles(algorithm: str) -> bool:
    """Return whether an algorithm of the table is one of these."""
    return algorithm.removeprefix(PREHASHED) in _READERS


def load(algorithm: str, raw: bytes) -> Any:  # noqa: ANN401 - one of the schemes' own key types
    """Return the key of its raw bytes, or None where they are no such key.

    An HSS key may be wrapped in an OCTET STRING, as in RFC 8708; RFC 9708 and RFC 9802 took that away.
    """
    name = algorithm.removeprefix(PREHASHED)
    if name == "hss" and raw[:1] == b"\x04" and raw[1:2] and raw[1] == len(raw) - 2:
        raw = raw[2:]
    try:
        return _READERS[name](raw)
    except (FormatError, ValueError):
        return None


def schemes(algorithm: str, key: Any) -> tuple[tuple[str, str], ...]:  # noqa: ANN401 - one of the schemes' own key types
    """Return the schemes and hashes that a raw signature by such a key may use, the likeliest first."""
    if isinstance(key, lamport.Key):
        return tuple((algorithm, name) for name in lamport.HASHES)
    if isinstance(key, composite.Key):
        return ((algorithm, key.parameters.hash),)
    if algorithm in STATEFUL:
        return ((algorithm, key.hash),)
    variants = tuple((PREHASHED + algorithm.removeprefix(PREHASHED), name) for name in HASHES)
    return variants if algorithm.startswith(PREHASHED) else ((algorithm, ""), *variants)


def fits(algorithm: str, key: Any, size: int) -> bool:  # noqa: ANN401 - one of the schemes' own key types
    """Return whether a signature by such a key can have this size in bytes."""
    if isinstance(key, slh_dsa.Key):
        return size == key.parameters.size
    if type(key) in _MODULES:
        return bool(_MODULES[type(key)].fits(key, size))
    return size == _MLDSA[algorithm.removeprefix(PREHASHED)][1]


def _check(key_algorithm: str, algorithm: str, context: bytes) -> None:
    if algorithm not in {key_algorithm, PREHASHED + key_algorithm}:
        raise InvalidSignatureError(f"a {key_algorithm} key cannot make {algorithm} signatures")
    if len(context) > _MAX_CONTEXT:
        raise InvalidSignatureError(f"a context has at most {_MAX_CONTEXT} bytes, here are {len(context)}")


def _head(first: int, context: bytes) -> bytes:
    return bytes([first, len(context)]) + context


def prehash(
    key_algorithm: str,
    key: Any,  # noqa: ANN401 - one of the schemes' own key types
    algorithm: str,
    hash_name: str,
    signature: bytes,
    context: bytes = b"",
) -> Prehash:
    """Return the digest over the message that `verify` needs.

    Raises:
        InvalidSignatureError: the signature cannot be one of this key and algorithm.
        UnsupportedAlgorithmError: the hash is none that the scheme can name.
    """
    _check(key_algorithm, algorithm, context)
    if algorithm.startswith(PREHASHED):
        _identifier(hash_name)
        return Prehash(hash_name)
    if isinstance(key, lamport.Key):
        return lamport.prehash(key, signature, hash_name)
    if type(key) in _MODULES:
        return _MODULES[type(key)].prehash(key, signature)  # type: ignore[no-any-return]
    return _representative(key, signature, _head(0, context))


def _representative(key: Any, signature: bytes, head: bytes) -> Prehash:  # noqa: ANN401 - an SLH-DSA or ML-DSA key
    if isinstance(key, slh_dsa.Key):
        inner = slh_dsa.prehash(key, signature)
        return Prehash(inner.hash, inner.prefix + head)
    tr = hashlib.shake_256(key.public_bytes_raw()).digest(64)
    return Prehash("shake256", tr + head)


def verify(
    key_algorithm: str,
    key: Any,  # noqa: ANN401 - one of the schemes' own key types
    algorithm: str,
    hash_name: str,
    digest: bytes,
    signature: bytes,
    context: bytes = b"",
) -> None:
    """Verify a signature by the digest that `prehash` names; `context` matters to pre-hash and composite forms only.

    Raises:
        InvalidSignatureError: it does not verify.
        UnsupportedAlgorithmError: the hash is none that the scheme can name.
    """
    _check(key_algorithm, algorithm, context)
    if algorithm.startswith(PREHASHED):
        inner = _representative(key, signature, _head(1, context) + _identifier(hash_name) + digest)
        digest = digests.digest(inner.hash, inner.prefix)
    if isinstance(key, lamport.Key):
        lamport.verify(key, signature, digest, hash_name)
    elif isinstance(key, slh_dsa.Key):
        slh_dsa.verify(key, signature, digest)
    elif isinstance(key, composite.Key):
        composite.verify(key, signature, digest, context)
    elif type(key) in _MODULES:
        _MODULES[type(key)].verify(key, signature, digest)
    else:
        _verify_mu(key, signature, digest)


def _verify_mu(key: Any, signature: bytes, mu: bytes) -> None:  # noqa: ANN401 - an ML-DSA key of cryptography
    try:
        key.verify_mu(signature, mu)
    except (InvalidSignature, ValueError) as error:
        raise InvalidSignatureError("the signature does not verify") from error


def _identifier(hash_name: str) -> bytes:
    """Return the DER object identifier that a pre-hash variant signs before the digest."""
    for oid, _ in table_line(hash_name or "none").oids:
        if oid.startswith(_NIST_HASHES):
            return bytes(core.ObjectIdentifier(oid).dump())
    raise UnsupportedAlgorithmError(f"no pre-hash variant names {hash_name or 'no hash'!r}")


def one_time(key: Any, signature: bytes) -> tuple[OneTimeKey, ...]:  # noqa: ANN401 - one of the schemes' own key types
    """Return the one-time keys that a verified signature used, the one over the message last; none without state."""
    return _STATES[type(key)].one_time(key, signature) if type(key) in _STATES else ()
