"""Composite signatures: ML-DSA and a classical scheme as one, both required (draft-ietf-lamps-pq-composite-sigs).

Both sign M' = Prefix || Label || len(ctx) || ctx || PH(M); ML-DSA takes the label as its context too. The key and the
signature are the two halves, one after the other. Identifiers and labels are those of the draft's section 6.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, mldsa, padding, rsa
from cryptography.hazmat.primitives.serialization import load_der_public_key

from checker.crypto import _asn1
from checker.crypto.hash_based._parts import Prehash
from checker.errors import FormatError, InvalidSignatureError

_PREFIX: Final = b"CompositeAlgorithmSignatures2025"
_LATTICE: Final[dict[str, tuple[Any, int, int]]] = {  # class, bytes of a key and of a signature (FIPS 204 table 2)
    "44": (mldsa.MLDSA44PublicKey, 1312, 2420),
    "65": (mldsa.MLDSA65PublicKey, 1952, 3309),
    "87": (mldsa.MLDSA87PublicKey, 2592, 4627),
}
_CURVES: Final[dict[str, tuple[Any, Any]]] = {
    "P256": (ec.SECP256R1(), hashes.SHA256()),
    "P384": (ec.SECP384R1(), hashes.SHA384()),
    "P521": (ec.SECP521R1(), hashes.SHA512()),
    "brainpoolP256r1": (ec.BrainpoolP256R1(), hashes.SHA256()),
    "brainpoolP384r1": (ec.BrainpoolP384R1(), hashes.SHA384()),
}
_RSA_4096: Final = 4096  # bits from which SHA-384 is used
_RSA_KEY: Final = bytes.fromhex("300d06092a864886f70d0101010500")  # AlgorithmIdentifier of rsaEncryption


@dataclass(frozen=True)
class Parameters:
    """One combination: the set of ML-DSA, the classical scheme in the draft's words, and the hash over the message."""

    lattice: str
    classical: str
    hash: str

    @property
    def label(self) -> bytes:
        """Return the label that separates this combination from the others."""
        name = {"sha-256": "SHA256", "sha-512": "SHA512", "shake256": "SHAKE256"}[self.hash]
        return f"COMPSIG-MLDSA{self.lattice}-{self.classical}-{name}".encode()

    @property
    def parts(self) -> tuple[str, str]:
        """Return the ids of both schemes in the algorithm table."""
        kind = self.classical.partition("-")[0]
        classical = "ecdsa" if kind == "ECDSA" else kind.lower()
        if self.classical.startswith("RSA"):
            classical = "rsa-pss" if self.classical.endswith("PSS") else "rsa-pkcs1v15"
        return f"ml-dsa-{self.lattice}", classical


def _named(lattice: str, classical: str, hash_name: str = "sha-512") -> tuple[str, Parameters]:
    return f"ml-dsa-{lattice}-{classical.lower()}", Parameters(lattice, classical, hash_name)


SETS: Final = dict(
    (
        _named("44", "RSA2048-PSS", "sha-256"),
        _named("44", "RSA2048-PKCS15", "sha-256"),
        _named("44", "Ed25519"),
        _named("44", "ECDSA-P256", "sha-256"),
        _named("65", "RSA3072-PSS"),
        _named("65", "RSA3072-PKCS15"),
        _named("65", "RSA4096-PSS"),
        _named("65", "RSA4096-PKCS15"),
        _named("65", "ECDSA-P256"),
        _named("65", "ECDSA-P384"),
        _named("65", "ECDSA-brainpoolP256r1"),
        _named("65", "Ed25519"),
        _named("87", "ECDSA-P384"),
        _named("87", "ECDSA-brainpoolP384r1"),
        _named("87", "Ed448", "shake256"),
        _named("87", "RSA3072-PSS"),
        _named("87", "RSA4096-PSS"),
        _named("87", "ECDSA-P521"),
    )
)


@dataclass(frozen=True)
class Key:
    """Both public keys of one combination, as objects of cryptography."""

    parameters: Parameters
    lattice: Any = field(repr=False, compare=False)
    classical: Any = field(repr=False, compare=False)


def public_key(name: str, raw: bytes) -> Key:
    """Return the key of its bytes: ML-DSA's, then RSAPublicKey, an uncompressed point, or an EdDSA key.

    Raises:
        FormatError: they are no such key.
    """
    parameters = SETS[name]
    kind, size, _ = _LATTICE[parameters.lattice]
    try:
        return Key(parameters, kind.from_public_bytes(raw[:size]), _classical(parameters.classical, raw[size:]))
    except (*_asn1.PARSE_ERRORS, UnsupportedAlgorithm) as error:
        raise FormatError(f"not a composite key: {error}", field=f"{name} public key") from error


def _classical(scheme: str, raw: bytes) -> Any:  # noqa: ANN401 - one of cryptography's key types
    if scheme.startswith("RSA"):
        key = load_der_public_key(_asn1.der(0x30, _RSA_KEY + _asn1.der(0x03, b"\0" + raw)))
        if not isinstance(key, rsa.RSAPublicKey) or key.key_size != int(scheme[3:7]):
            raise ValueError("the RSA key has another size")
        return key
    if scheme.startswith("ECDSA"):
        return ec.EllipticCurvePublicKey.from_encoded_point(_CURVES[scheme.partition("-")[2]][0], raw)
    kind = ed448.Ed448PublicKey if scheme == "Ed448" else ed25519.Ed25519PublicKey
    return kind.from_public_bytes(raw)


def prehash(key: Key, signature: bytes) -> Prehash:  # noqa: ARG001 - the shape of the other schemes
    """Return the hash over the message alone, PH."""
    return Prehash(key.parameters.hash)


def verify(key: Key, signature: bytes, digest: bytes, context: bytes = b"") -> None:
    """Verify both halves over a digest; one that does not hold is enough to refuse.

    Raises:
        InvalidSignatureError: a half does not verify.
    """
    label = key.parameters.label
    message = _PREFIX + label + bytes([len(context)]) + context + digest
    size = _LATTICE[key.parameters.lattice][2]
    _half("ML-DSA", lambda: key.lattice.verify(signature[:size], message, label))
    _half("classical", lambda: _verify_classical(key, signature[size:], message))


def _half(name: str, verify: Callable[[], None]) -> None:
    try:
        verify()
    except (InvalidSignature, UnsupportedAlgorithm, ValueError) as error:
        raise InvalidSignatureError(f"the {name} half of the composite signature does not verify") from error


def _verify_classical(key: Key, signature: bytes, message: bytes) -> None:
    scheme, public = key.parameters.classical, key.classical
    if scheme.startswith("RSA"):
        taken = hashes.SHA384() if public.key_size >= _RSA_4096 else hashes.SHA256()
        pss = padding.PSS(padding.MGF1(taken), taken.digest_size)
        public.verify(signature, message, pss if scheme.endswith("PSS") else padding.PKCS1v15(), taken)
    elif scheme.startswith("ECDSA"):
        public.verify(signature, message, ec.ECDSA(_CURVES[scheme.partition("-")[2]][1]))
    else:
        public.verify(signature, message)


def fits(key: Key, size: int) -> bool:
    """Return whether a signature of this key can have this size in bytes; that of ECDSA in DER varies."""
    rest = size - _LATTICE[key.parameters.lattice][2]
    if isinstance(key.classical, rsa.RSAPublicKey):
        return rest == key.classical.key_size // 8
    if isinstance(key.classical, ec.EllipticCurvePublicKey):
        return 0 < rest <= 2 * ((key.classical.key_size + 7) // 8) + 9
    return rest == (114 if isinstance(key.classical, ed448.Ed448PublicKey) else 64)
