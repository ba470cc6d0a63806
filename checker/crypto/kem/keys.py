"""Private keys of key encapsulation: PKCS #8 for ML-KEM (RFC 9935), the specification's bytes for FrodoKEM.

The hybrid of ML-KEM-768 and X25519 is that of draft-ietf-lamps-pq-composite-kem, the same as X-Wing's combination.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Final

from asn1crypto import core
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from checker.crypto import _asn1
from checker.crypto.kem import frodo, ml_kem
from checker.errors import DecryptionError, FormatError, KeyMaterialError

_OIDS: Final = {
    "2.16.840.1.101.3.4.4.1": "ml-kem-512",
    "2.16.840.1.101.3.4.4.2": "ml-kem-768",
    "2.16.840.1.101.3.4.4.3": "ml-kem-1024",
}
_FRODO_OIDS: Final = tuple(f"1.3.6.1.4.1.25258.1.{kind}.{place}" for kind in (14, 15) for place in (1, 2, 3))  # Botan's
_HYBRID_OID: Final = "1.3.6.1.5.5.7.6.58"  # id-MLKEM768-X25519-SHA3-256, draft-ietf-lamps-pq-composite-kem
_HYBRID: Final = "x25519-ml-kem-768"
_HYBRID_LABEL: Final = b"\\.//^\\"  # the label that separates this combination from others (the draft's section 6)
_CURVE: Final = 32  # bytes of an X25519 key
_SEED, _BOTH = 0x80, 0x30  # the tags of ML-KEM-PrivateKey's choices (RFC 9935 section 6); else an OCTET STRING
_FRODO_SIZES: Final = {parameters.private: f"frodokem-{parameters.n}" for parameters in frodo.SETS.values()}


class _PrivateKey(core.Sequence):  # type: ignore[misc]
    """PrivateKeyInfo (RFC 5958 section 2) of any algorithm; attributes and public key are not read."""

    _fields: Final = [
        ("version", core.Integer),
        ("algorithm", _asn1.RawAlgorithm),
        ("key", core.OctetString),
        ("attributes", core.Any, {"optional": True}),
        ("public", core.Any, {"optional": True}),
    ]


class _Both(core.Sequence):  # type: ignore[misc]
    _fields: Final = [("seed", core.OctetString), ("expanded", core.OctetString)]


@dataclass(frozen=True)
class KemKey:
    """A private key: the algorithm's id in the table, the expanded bytes, and the public half."""

    algorithm: str
    private: bytes = field(repr=False)
    public: bytes = field(repr=False)


def from_pkcs8(der: bytes) -> KemKey | None:
    """Return the KEM key of a PrivateKeyInfo, or None where it is of another algorithm.

    Raises:
        FormatError: it is no PrivateKeyInfo.
        KeyMaterialError: seed, expanded key or public half contradict each other.
    """
    with _asn1.guarded("private key"):
        info = _PrivateKey.load(der, strict=True)
        oid, content = str(info["algorithm"]["algorithm"].dotted), bytes(info["key"].native)
    if oid in _FRODO_OIDS:
        return from_bare(content)
    if oid == _HYBRID_OID:
        return _hybrid(content)
    name = _OIDS.get(oid)
    if name is None:
        return None
    private = _expanded(name, content)
    return KemKey(name, private, ml_kem.public_key(name, private))


def _expanded(name: str, content: bytes) -> bytes:
    tag = content[0] if content else 0
    with _asn1.guarded("ML-KEM private key"):
        if tag == _SEED:
            return ml_kem.expand(name, bytes(core.OctetString.load(content, strict=True, implicit=0).native))
        if tag != _BOTH:
            return bytes(core.OctetString.load(content, strict=True).native)
        both = _Both.load(content, strict=True)
        seed, expanded = bytes(both["seed"].native), bytes(both["expanded"].native)
    if ml_kem.expand(name, seed) != expanded:
        raise KeyMaterialError(f"seed and expanded key of {name} are not of the same key (RFC 9935 section 8)")
    return expanded


def _hybrid(content: bytes) -> KemKey:
    """Return ML-KEM-768 with X25519: the seed of the one, then the private key of the other."""
    if len(content) != ml_kem.SEED + _CURVE:
        raise KeyMaterialError(f"a private key of {_HYBRID} has {ml_kem.SEED + _CURVE} bytes, here are {len(content)}")
    private = ml_kem.expand("ml-kem-768", content[: ml_kem.SEED])
    curve = X25519PrivateKey.from_private_bytes(content[ml_kem.SEED :])
    public = ml_kem.public_key("ml-kem-768", private) + curve.public_key().public_bytes_raw()
    return KemKey(_HYBRID, private + content[ml_kem.SEED :], public)


def _both_secrets(private: bytes, ciphertext: bytes) -> bytes:
    """Return the one secret of both: both enter the hash, so that breaking either alone opens nothing."""
    first, second = ciphertext[:-_CURVE], ciphertext[-_CURVE:]
    curve = X25519PrivateKey.from_private_bytes(private[-_CURVE:])
    lattice = ml_kem.decapsulate("ml-kem-768", private[:-_CURVE], first)
    shared = curve.exchange(X25519PublicKey.from_public_bytes(second))
    own = curve.public_key().public_bytes_raw()
    return hashlib.sha3_256(lattice + shared + second + own + _HYBRID_LABEL).digest()


def from_bare(data: bytes) -> KemKey | None:
    """Return the FrodoKEM key of its bytes, or None where they are none.

    AES and SHAKE variants have keys of one form; which it is shows when it opens something.
    """
    name = _FRODO_SIZES.get(len(data))
    if name is None:
        return None
    try:
        public = frodo.public_key(f"{name}-shake", data)
    except KeyMaterialError:
        return None
    return KemKey(name, data, public)


def secrets(algorithm: str, private: bytes, ciphertext: bytes) -> tuple[bytes, ...]:
    """Return the shared secrets that a ciphertext may hold for a key: one for ML-KEM, two for FrodoKEM (AES, SHAKE).

    Raises:
        DecryptionError: the ciphertext does not have the algorithm's length, or the key is none.
    """
    try:
        if algorithm == _HYBRID:
            return (_both_secrets(private, ciphertext),)
        if algorithm in ml_kem.SETS:
            return (ml_kem.decapsulate(algorithm, private, ciphertext),)
        return tuple(frodo.decapsulate(f"{algorithm}-{kind}", private, ciphertext) for kind in ("aes", "shake"))
    except (KeyMaterialError, FormatError, KeyError, ValueError) as error:
        raise DecryptionError(f"{algorithm}: the key cannot be used: {error}") from None
