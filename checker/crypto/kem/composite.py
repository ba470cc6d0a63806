"""ML-KEM and a classical scheme as one KEM, both secrets in one hash (draft-ietf-lamps-pq-composite-kem).

The secret is SHA3-256(ML-KEM's secret || classical secret || classical ciphertext || classical public key || label), so
that breaking either scheme alone opens nothing. Keys and ciphertexts are the two halves, ML-KEM's first; the private
key is ML-KEM's seed and then the classical key: raw for X25519 and X448, ECPrivateKey (RFC 5915) for the other curves,
RSAPrivateKey (RFC 8017) for RSA-OAEP with SHA-256. Identifiers and labels are those of the draft's section 6. The
combination with X25519 is that of X-Wing.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, Final

from asn1crypto import core
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, x448, x25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_private_key

from checker.crypto import _asn1
from checker.crypto.kem import ml_kem
from checker.errors import DecryptionError, FormatError, KeyMaterialError

_CURVES: Final[dict[str, ec.EllipticCurve]] = {
    "P256": ec.SECP256R1(),
    "P384": ec.SECP384R1(),
    "P521": ec.SECP521R1(),
    "BP256": ec.BrainpoolP256R1(),
    "BP384": ec.BrainpoolP384R1(),
}
_MONTGOMERY: Final[dict[str, tuple[Any, Any, int]]] = {  # private class, public class, bytes of a key
    "X25519": (x25519.X25519PrivateKey, x25519.X25519PublicKey, 32),
    "X448": (x448.X448PrivateKey, x448.X448PublicKey, 56),
}
_OAEP: Final = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)
_SECRET: Final = 32  # bytes that RSA-OAEP carries


@dataclass(frozen=True)
class Parameters:
    """One combination: the object identifier, the set of ML-KEM, and the classical scheme in the draft's words."""

    oid: str
    lattice: str
    classical: str

    @property
    def label(self) -> bytes:
        """Return the label that separates this combination from the others."""
        if self.classical == "X25519":
            return b"\\.//^\\"
        return f"MLKEM{self.lattice.removeprefix('ml-kem-')}-{self.classical}".encode()

    @property
    def ciphertext(self) -> int:
        """Return the bytes of a ciphertext."""
        return ml_kem.SETS[self.lattice].ciphertext + self._classical

    @property
    def _classical(self) -> int:
        if self.classical in _MONTGOMERY:
            return _MONTGOMERY[self.classical][2]
        if self.classical in _CURVES:
            return 1 + 2 * ((_CURVES[self.classical].key_size + 7) // 8)
        return int(self.classical.removeprefix("RSAOAEP")) // 8


_ARC: Final = "1.3.6.1.5.5.7.6."
SETS: Final = {
    "rsa2048-ml-kem-768": Parameters(_ARC + "55", "ml-kem-768", "RSAOAEP2048"),
    "rsa3072-ml-kem-768": Parameters(_ARC + "56", "ml-kem-768", "RSAOAEP3072"),
    "rsa4096-ml-kem-768": Parameters(_ARC + "57", "ml-kem-768", "RSAOAEP4096"),
    "x25519-ml-kem-768": Parameters(_ARC + "58", "ml-kem-768", "X25519"),
    "p256-ml-kem-768": Parameters(_ARC + "59", "ml-kem-768", "P256"),
    "p384-ml-kem-768": Parameters(_ARC + "60", "ml-kem-768", "P384"),
    "brainpoolp256r1-ml-kem-768": Parameters(_ARC + "61", "ml-kem-768", "BP256"),
    "rsa3072-ml-kem-1024": Parameters(_ARC + "62", "ml-kem-1024", "RSAOAEP3072"),
    "p384-ml-kem-1024": Parameters(_ARC + "63", "ml-kem-1024", "P384"),
    "brainpoolp384r1-ml-kem-1024": Parameters(_ARC + "64", "ml-kem-1024", "BP384"),
    "x448-ml-kem-1024": Parameters(_ARC + "65", "ml-kem-1024", "X448"),
    "p521-ml-kem-1024": Parameters(_ARC + "66", "ml-kem-1024", "P521"),
}
OIDS: Final = {parameters.oid: name for name, parameters in SETS.items()}


class _EcPrivateKey(core.Sequence):  # type: ignore[misc]
    """ECPrivateKey (RFC 5915 section 3); the curve is known already, so that its parameters may be absent."""

    _fields: Final = [
        ("version", core.Integer),
        ("private", core.OctetString),
        ("parameters", core.Any, {"explicit": 0, "optional": True}),
        ("public", core.Any, {"explicit": 1, "optional": True}),
    ]


def expand(name: str, content: bytes) -> tuple[bytes, bytes]:
    """Return the private key with ML-KEM's half expanded, and the public key.

    Raises:
        KeyMaterialError: the content is no private key of this combination.
    """
    parameters, seed, rest = SETS[name], content[: ml_kem.SEED], content[ml_kem.SEED :]
    private = ml_kem.expand(parameters.lattice, seed)
    try:
        public = _public(_load(parameters.classical, rest))
    except (FormatError, *_asn1.PARSE_ERRORS):
        raise KeyMaterialError(f"the classical half of a private key of {name} is damaged") from None
    return private + rest, ml_kem.public_key(parameters.lattice, private) + public


def decapsulate(name: str, private: bytes, ciphertext: bytes) -> bytes:
    """Return the 32 bytes of shared secret; `private` is what `expand` made.

    Raises:
        DecryptionError: the ciphertext's length is not that of the combination, or its classical half opens nothing.
        KeyMaterialError: the private key is none of the combination.
    """
    parameters = SETS[name]
    if len(ciphertext) != parameters.ciphertext:
        size = parameters.ciphertext
        raise DecryptionError(f"a ciphertext of {name} has {size} bytes, here are {len(ciphertext)}")
    split, cut = ml_kem.SETS[parameters.lattice].private, ml_kem.SETS[parameters.lattice].ciphertext
    lattice = ml_kem.decapsulate(parameters.lattice, private[:split], ciphertext[:cut])
    try:
        key = _load(parameters.classical, private[split:])
        shared = _shared(parameters.classical, key, ciphertext[cut:])
        whole = lattice + shared + ciphertext[cut:] + _public(key) + parameters.label
    except (FormatError, *_asn1.PARSE_ERRORS):
        raise DecryptionError(f"the classical half of the ciphertext of {name} opens nothing") from None
    return hashlib.sha3_256(whole).digest()


def _load(classical: str, raw: bytes) -> Any:  # noqa: ANN401 - one of cryptography's key types
    if classical in _MONTGOMERY:
        return _MONTGOMERY[classical][0].from_private_bytes(raw)
    if classical in _CURVES:
        with _asn1.guarded("ECPrivateKey"):
            number = bytes(_EcPrivateKey.load(raw, strict=True)["private"].native)
        return ec.derive_private_key(int.from_bytes(number, "big"), _CURVES[classical])
    key = load_der_private_key(raw, None)
    if not isinstance(key, rsa.RSAPrivateKey) or key.key_size != int(classical.removeprefix("RSAOAEP")):
        raise ValueError("the RSA key has another size")
    return key


def _public(key: Any) -> bytes:  # noqa: ANN401 - one of cryptography's key types
    public = key.public_key()
    if isinstance(key, rsa.RSAPrivateKey):
        return bytes(public.public_bytes(Encoding.DER, PublicFormat.PKCS1))
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return bytes(public.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint))
    return bytes(public.public_bytes_raw())


def _shared(classical: str, key: Any, ciphertext: bytes) -> bytes:  # noqa: ANN401 - one of cryptography's key types
    if classical in _MONTGOMERY:
        return bytes(key.exchange(_MONTGOMERY[classical][1].from_public_bytes(ciphertext)))
    if classical in _CURVES:
        point = ec.EllipticCurvePublicKey.from_encoded_point(_CURVES[classical], ciphertext)
        return bytes(key.exchange(ec.ECDH(), point))
    carried = bytes(key.decrypt(ciphertext, _OAEP))
    if len(carried) != _SECRET:
        raise ValueError("RSA-OAEP carries a secret of another size")
    return carried
