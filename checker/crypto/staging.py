"""Signing for active tests: throw-away keys that nobody trusts, and staging keys that a device under test does.

otaudit signs nothing but what it offers to a verifier (criteria.md section 7, rule 5: K0 needs no key, K1 one that the
device under test trusts). Private keys never appear in a repr, a report or an exception's text. `staging_paths` makes
certificates for such keys, `signing` signs with them, `cms_signing` makes CMS messages.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, mldsa, rsa

from checker.crypto.keyring import read_certificates
from checker.crypto.keys import PublicKey, from_spki
from checker.errors import KeyMaterialError, UnsupportedAlgorithmError
from checker.io.limits import MAX_KEY_FILE
from checker.model.keys import KeyFacts

_EXPONENT: Final = 65_537
_MIN_RSA, _MAX_RSA = 1024, 8192  # bits: the library makes no smaller keys, and larger ones take minutes
_MAKERS: Final[Mapping[str, Callable[[], Any]]] = {
    "ec-p192": lambda: ec.generate_private_key(ec.SECP192R1()),
    "ec-p224": lambda: ec.generate_private_key(ec.SECP224R1()),
    "ec-p256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "ec-p384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "ec-p521": lambda: ec.generate_private_key(ec.SECP521R1()),
    "ed25519": ed25519.Ed25519PrivateKey.generate,
    "ed448": ed448.Ed448PrivateKey.generate,
    "ml-dsa-44": mldsa.MLDSA44PrivateKey.generate,
    "ml-dsa-65": mldsa.MLDSA65PrivateKey.generate,
    "ml-dsa-87": mldsa.MLDSA87PrivateKey.generate,
}
_KINDS: Final = (
    rsa.RSAPrivateKey,
    ec.EllipticCurvePrivateKey,
    ed25519.Ed25519PrivateKey,
    ed448.Ed448PrivateKey,
    mldsa.MLDSA44PrivateKey,
    mldsa.MLDSA65PrivateKey,
    mldsa.MLDSA87PrivateKey,
)


@dataclass(frozen=True, kw_only=True)
class Signer:
    """A private key, and the certificates that lead from it to an anchor, its own first; empty for a bare key."""

    private_key: object = field(repr=False)
    certificates: tuple[x509.Certificate, ...] = ()

    @cached_property
    def public_key(self) -> PublicKey:
        """Return the public half, with its facts."""
        key: Any = self.private_key
        return from_spki(key.public_key().public_bytes(_DER, _SPKI))

    @property
    def ders(self) -> tuple[bytes, ...]:
        """Return the certificates in DER, the signer's own first."""
        return tuple(item.public_bytes(_DER) for item in self.certificates)


_DER: Final = serialization.Encoding.DER
_SPKI: Final = serialization.PublicFormat.SubjectPublicKeyInfo


@dataclass(frozen=True, kw_only=True)
class Staging:
    """What the description lends to the active tests; all of it may be missing.

    `signer` is one that the device under test trusts, `authority` a CA that it trusts and that may issue signers for a
    test, `revoked` a signer that it must have learnt to refuse.
    """

    signer: Signer | None = None
    authority: Signer | None = None
    revoked: Signer | None = None


def read_signer(key: bytes, certificates: bytes = b"", name: str = "staging key") -> Signer:
    """Return the signer of a private key file and of a certificate file (the whole path, leaf first, or none).

    Args:
        key: PEM or DER, without a password.
        certificates: PEM or DER; nothing for a bare key.
        name: the key file's name for messages. Nothing of its content is ever in one.

    Raises:
        KeyMaterialError: it is no private key that can sign here, needs a password, or the first certificate is of
            another key.
    """
    private = _private(key, name)
    ders = [item.der for item in read_certificates(certificates, name)] if certificates else []
    signer = Signer(private_key=private, certificates=tuple(x509.load_der_x509_certificate(der) for der in ders))
    if signer.certificates:
        own = signer.certificates[0].public_key().public_bytes(_DER, _SPKI)
        if own != signer.public_key.spki:
            raise KeyMaterialError(f"{name}: the first certificate beside it is of another key")
    return signer


def _private(data: bytes, name: str) -> object:
    if len(data) > MAX_KEY_FILE:
        raise KeyMaterialError(f"{name}: more than {MAX_KEY_FILE} bytes, which is no key file")
    load = serialization.load_pem_private_key if data.lstrip().startswith(b"-----") else None
    try:
        found: object = (load or serialization.load_der_private_key)(data, None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        # The library's own text is left out on purpose: it may speak of the key's content.
        raise KeyMaterialError(f"{name}: is no private key without a password (PEM or DER)") from None
    if not isinstance(found, _KINDS):
        raise KeyMaterialError(f"{name}: is a private key of a kind that cannot sign here")
    return found


def like(key: KeyFacts) -> Signer:
    """Return a throw-away key of the same algorithm and size, which nobody trusts.

    Raises:
        UnsupportedAlgorithmError: no such key can be made here: SLH-DSA, LMS, HSS, XMSS, Lamport and composites can be
            verified but not signed with (the library has no such private keys), and RSA has 1024 to 8192 bits.
    """
    if key.algorithm == "rsa" and _MIN_RSA <= (key.bits or 0) <= _MAX_RSA:
        return Signer(private_key=rsa.generate_private_key(_EXPONENT, key.bits or _MIN_RSA))
    if key.algorithm not in _MAKERS:
        size = f" of {key.bits} bits" if key.bits else ""
        raise UnsupportedAlgorithmError(f"no key of {key.algorithm or 'an unknown algorithm'}{size} can be made here")
    return Signer(private_key=_MAKERS[key.algorithm]())
