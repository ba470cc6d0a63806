"""Private keys of key encapsulation: PKCS #8 for ML-KEM (RFC 9935), the specification's bytes for FrodoKEM."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from asn1crypto import core

from checker.crypto import _asn1
from checker.crypto.kem import composite, frodo, ml_kem
from checker.errors import DecryptionError, FormatError, KeyMaterialError

_OIDS: Final = {
    "2.16.840.1.101.3.4.4.1": "ml-kem-512",
    "2.16.840.1.101.3.4.4.2": "ml-kem-768",
    "2.16.840.1.101.3.4.4.3": "ml-kem-1024",
}
_FRODO_OIDS: Final = tuple(f"1.3.6.1.4.1.25258.1.{kind}.{place}" for kind in (14, 15) for place in (1, 2, 3))  # Botan's
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
    if oid in composite.OIDS:
        return KemKey(composite.OIDS[oid], *composite.expand(composite.OIDS[oid], content))
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
        if algorithm in composite.SETS:
            return (composite.decapsulate(algorithm, private, ciphertext),)
        if algorithm in ml_kem.SETS:
            return (ml_kem.decapsulate(algorithm, private, ciphertext),)
        return tuple(frodo.decapsulate(f"{algorithm}-{kind}", private, ciphertext) for kind in ("aes", "shake"))
    except (KeyMaterialError, FormatError, KeyError, ValueError) as error:
        raise DecryptionError(f"{algorithm}: the key cannot be used: {error}") from None


def ciphertext_sizes(algorithm: str) -> frozenset[int]:
    """Return the bytes that a ciphertext may have; none for an algorithm that is not computed here."""
    if algorithm in composite.SETS:
        return frozenset({composite.SETS[algorithm].ciphertext})
    if algorithm in ml_kem.SETS:
        return frozenset({ml_kem.SETS[algorithm].ciphertext})
    shapes = (frodo.SETS[f"{algorithm}-{kind}"] for kind in ("aes", "shake") if f"{algorithm}-{kind}" in frodo.SETS)
    return frozenset(size for each in shapes for size in (each.ciphertext, each.ciphertext + 2 * each.security))
