"""COSE_Key maps as public keys: EC2, OKP and RSA (RFC 9053 7, RFC 8230 4), and AKP for ML-DSA and ML-KEM.

AKP (kty 7) is the key type of draft-ietf-cose-dilithium: `alg` (3) names the parameter set, `pub` (-1) holds the bytes
of the set's own standard. draft-ietf-jose-pqc-kem uses it for ML-KEM; its numbers are not yet assigned, so that an
ML-KEM key names its algorithm by text.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from checker.crypto._cose_algorithms import SIGNATURES
from checker.crypto.cose_encryption import public_share
from checker.crypto.keys import PublicKey, from_ec_point, from_ed25519, from_raw, from_rsa_numbers
from checker.errors import FormatError
from checker.io.cbor import Item, Key

_KTY, _ALG = 1, 3
_RSA, _AKP = 3, 7
_N, _E = -1, -2  # RFC 8230 section 4
_PUB = -1
_MAX_INTEGER: Final = 2048  # bytes of a modulus: RSA-16384
_SIZES: Final[Mapping[str, int]] = {  # bytes of a public key: FIPS 204 table 2, FIPS 203 table 3
    "ml-dsa-44": 1312,
    "ml-dsa-65": 1952,
    "ml-dsa-87": 2592,
    "ml-kem-512": 800,
    "ml-kem-768": 1184,
    "ml-kem-1024": 1568,
}
_CURVES: Final[Mapping[str, type[ec.EllipticCurve]]] = {
    "ec-p256": ec.SECP256R1,
    "ec-p384": ec.SECP384R1,
    "ec-p521": ec.SECP521R1,
}


def read_cose_key(item: Item, name: str = "") -> PublicKey:
    """Return the public key of a COSE_Key map.

    Raises:
        FormatError: it is none, or of a type, curve or algorithm that is not read here.
    """
    entries = item.map("COSE_Key")
    kind = entries.get(_KTY)
    number = None if kind is None else kind.number
    if number == _AKP:
        return _algorithm_key(entries, item, name)
    if number == _RSA:
        return from_rsa_numbers(_integer(entries, _N, item), _integer(entries, _E, item), name)
    share = public_share(item)
    if share.curve in _CURVES:
        return from_ec_point(share.curve, _uncompressed(share.curve, share.data, item), name)
    return from_ed25519(share.data, name) if share.curve == "ed25519" else from_raw(share.curve, share.data, name)


def _algorithm_key(entries: Mapping[Key, Item], item: Item, name: str) -> PublicKey:
    algorithm = _algorithm(entries.get(_ALG), item)
    held = entries.get(_PUB)
    if held is None:
        raise FormatError("a key of type AKP needs `pub` (-1)", offset=item.span.start, field="COSE_Key")
    data = held.data("COSE_Key", limit=max(_SIZES.values()))
    if len(data) != _SIZES[algorithm]:
        message = f"a public key of {algorithm} has {_SIZES[algorithm]} bytes, here are {len(data)}"
        raise FormatError(message, offset=held.span.start, field="COSE_Key")
    return from_raw(algorithm, data, name)


def _algorithm(item: Item | None, key: Item) -> str:
    """Return the parameter set that `alg` names, by its number or by its name (`ML-KEM-768`, `ML-KEM-768+A192KW`)."""
    number, text = (None, None) if item is None else (item.number, item.words)
    signature = None if number is None else SIGNATURES.get(number)
    word = signature.scheme if signature else (text or "").lower().partition("+")[0]
    if word not in _SIZES:
        message = f"a key of type AKP must name ML-DSA or ML-KEM in `alg` (3), here is {str(text or number)[:40]}"
        raise FormatError(message, offset=key.span.start, field="COSE_Key")
    return word


def _integer(entries: Mapping[Key, Item], label: int, item: Item) -> int:
    held = entries.get(label)
    data = b"" if held is None else held.data("COSE_Key", limit=_MAX_INTEGER)
    if not data:
        raise FormatError(f"an RSA key needs {label}", offset=item.span.start, field="COSE_Key")
    return int.from_bytes(data, "big")


def _uncompressed(curve: str, point: bytes, item: Item) -> bytes:
    """Return a point with both coordinates: the SHA-256 of a SubjectPublicKeyInfo is that of this form."""
    try:
        kind: Any = _CURVES[curve]
        key = ec.EllipticCurvePublicKey.from_encoded_point(kind(), point)
    except ValueError:
        raise FormatError(f"no point of {curve}", offset=item.span.start, field="COSE_Key") from None
    return key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
