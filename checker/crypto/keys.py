"""Public keys: bytes in any usual form → facts, and the key itself where it can be used.

Parsing is asn1crypto's, so that weak and odd keys (RSA-512, exponent 1, unsupported curves) give facts too; the key
object comes from cryptography and is None where that library refuses it.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from asn1crypto import core, x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_der_public_key

from checker.crypto import _asn1, _tables
from checker.crypto.algorithms import algorithm as table_line
from checker.crypto.algorithms import by_oid, key_strength
from checker.errors import FormatError, KeyMaterialError, UnsupportedAlgorithmError
from checker.io.limits import MAX_KEY_FILE
from checker.model.keys import KeyFacts
from checker.model.value import value

RSA_OID: Final = "1.2.840.113549.1.1.1"
EC_OID: Final = "1.2.840.10045.2.1"
ED25519_OID: Final = "1.3.101.112"
DSA_OID: Final = "1.2.840.10040.4.1"
_RSA_OIDS: Final = frozenset({RSA_OID, "1.2.840.113549.1.1.7", "1.2.840.113549.1.1.10"})
_CLASSICAL: Final = _RSA_OIDS | {EC_OID, ED25519_OID}
_OBJECT_IDENTIFIER, _INTEGER, _SEQUENCE = 0x06, 0x02, 0x30
_CURVE_OIDS: Final = {
    "ec-p192": "1.2.840.10045.3.1.1",
    "ec-p224": "1.3.132.0.33",
    "ec-p256": "1.2.840.10045.3.1.7",
    "ec-p384": "1.3.132.0.34",
    "ec-p521": "1.3.132.0.35",
}
_POINT_SIZES: Final = {65: "ec-p256", 97: "ec-p384", 133: "ec-p521", 33: "ec-p256", 49: "ec-p384", 67: "ec-p521"}
_ED25519_SIZE: Final = 32


@value
class KeyTerms:
    """What a key's own file says beyond the key: how signatures name it, and the limits under which it may sign.

    `ids` are the format's key ids and fingerprints in hex. Times are RFC 3339; empty says nothing. `revoked` and
    `refused` are the reasons, as clauses. `quorum` is not 0 where the keys are those
    of a TUF root, which has to be signed by so many of them.
    """

    ids: tuple[str, ...] = ()
    created: str = ""
    expires: str = ""
    revoked: str = ""
    refused: str = ""
    quorum: int = 0


@dataclass(frozen=True)
class PublicKey:
    """A public key: its facts, its DER SubjectPublicKeyInfo, and the usable object (None: cryptography refuses it).

    `terms` are those of its own file, for formats that name keys by other ids or limit them (OpenPGP, minisign).
    `context` is the one in which it signs, where a signature itself cannot say so (FIPS 204 5.2, FIPS 205 10.2).
    """

    facts: KeyFacts
    spki: bytes = field(repr=False)
    key: Any = field(repr=False, compare=False, default=None)
    terms: KeyTerms | None = field(repr=False, compare=False, default=None)
    context: bytes = field(repr=False, compare=False, default=b"")

    @property
    def spki_sha256(self) -> str:
        """Return the SHA-256 of the SubjectPublicKeyInfo in hex: the key's identity everywhere in otaudit."""
        return hashlib.sha256(self.spki).hexdigest()

    @property
    def pkcs1(self) -> bytes:
        """Return the RSAPublicKey of RFC 8017 A.1.1 (MCUboot hashes that form), or nothing for other keys."""
        return _content(self.spki) if self.facts.algorithm == "rsa" else b""

    @property
    def raw(self) -> bytes:
        """Return the content of the SubjectPublicKeyInfo's bit string: a curve point, a raw Ed25519 key and so on."""
        return _content(self.spki)

    @property
    def usable(self) -> bool:
        """Return whether signatures can be verified with it."""
        return self.key is not None

    @property
    def may_sign(self) -> bool:
        """Return whether its own file neither revokes it nor forbids it to sign."""
        return self.terms is None or not (self.terms.revoked or self.terms.refused)

    def as_declared(self, name: str = "") -> PublicKey:
        """Return the same key, marked as declared under a name (or under the name that it has)."""
        return replace(self, facts=replace(self.facts, declared=True, name=name or self.facts.name))


def read_public_key(data: bytes, name: str = "") -> PublicKey:
    """Return the public key of a file: PEM or DER SPKI, PKCS#1, certificate, raw SEC1 point or raw 32-byte Ed25519.

    Raises:
        KeyMaterialError: it is none of these, or a private key.
    """
    if len(data) > MAX_KEY_FILE:
        raise KeyMaterialError(f"{name or 'key'}: more than {MAX_KEY_FILE} bytes, which is no key file")
    blocks = _asn1.pem_blocks(data, name)
    if any("PRIVATE" in block.label for block in blocks):
        raise KeyMaterialError(f"{name}: holds a private key; give only the public half here")
    der = blocks[0].der if blocks else data
    try:
        return from_spki(_any_to_spki(der), name)
    except FormatError as error:
        raise KeyMaterialError(f"{name or 'key'}: is not a public key in any known form: {error}") from error


def _any_to_spki(der: bytes) -> bytes:
    if len(der) == _ED25519_SIZE:
        return _spki(ED25519_OID, b"", der)
    if der[:1] in {b"\x02", b"\x03", b"\x04"} and len(der) in _POINT_SIZES:
        return _spki(EC_OID, _curve_parameters(_POINT_SIZES[len(der)]), der)
    first, second = _asn1.first_tags(der)
    if first == _INTEGER:
        return _pkcs1_to_spki(der)
    if (first, second) == (_SEQUENCE, _OBJECT_IDENTIFIER):
        with _asn1.guarded("SubjectPublicKeyInfo"):
            _asn1.RawSpki.load(der, strict=True)
        return der
    return certificate_spki(der)


def _pkcs1_to_spki(der: bytes) -> bytes:
    with _asn1.guarded("RSAPublicKey"):
        key = _asn1.RsaPublicKey.load(der, strict=True)
        # A private key in PKCS#1 form also begins with an INTEGER, but its first one is the version, 0 or 1.
        if int(key["modulus"].native).bit_length() <= 1:
            raise ValueError("this looks like a private key, not like an RSA public key")
        int(key["exponent"].native)
    return _spki(RSA_OID, b"\x05\x00", der)


def certificate_spki(der: bytes) -> bytes:
    """Return the SubjectPublicKeyInfo inside a DER certificate.

    Raises:
        FormatError: it is not a certificate.
    """
    with _asn1.guarded("certificate"):
        certificate = x509.Certificate.load(der, strict=True)
        return bytes(certificate["tbs_certificate"]["subject_public_key_info"].dump())


def _spki(oid: str, params: bytes, content: bytes) -> bytes:
    identifier = _asn1.RawAlgorithm({"algorithm": oid})
    if params:
        identifier["parameters"] = core.Any.load(params)
    spki = _asn1.RawSpki({"algorithm": identifier, "key": _bits(content)})
    return bytes(spki.dump())


def _bits(content: bytes) -> Any:  # noqa: ANN401 - asn1crypto is untyped
    return core.BitString.load(_asn1.der(0x03, b"\x00" + content))


def _curve_parameters(curve: str) -> bytes:
    return bytes(core.ObjectIdentifier(_CURVE_OIDS[curve]).dump())


def from_rsa_numbers(modulus: int, exponent: int, name: str = "") -> PublicKey:
    """Return the RSA key of two numbers, as ESP-IDF's signature blocks hold them."""
    content = bytes(_asn1.RsaPublicKey({"modulus": modulus, "exponent": exponent}).dump())
    return from_spki(_spki(RSA_OID, b"\x05\x00", content), name)


def from_ec_point(curve: str, point: bytes, name: str = "") -> PublicKey:
    """Return the key of a SEC1 point on `ec-p192`, `ec-p224`, `ec-p256`, `ec-p384` or `ec-p521`.

    Raises:
        UnsupportedAlgorithmError: another curve.
    """
    if curve not in _CURVE_OIDS:
        raise UnsupportedAlgorithmError(f"points on {curve!r} are not read")
    return from_spki(_spki(EC_OID, _curve_parameters(curve), point), name)


def from_ed25519(raw: bytes, name: str = "") -> PublicKey:
    """Return the key of 32 raw bytes (RFC 8032 5.1.5)."""
    return from_spki(_spki(ED25519_OID, b"", raw), name)


def from_raw(algorithm: str, raw: bytes, name: str = "") -> PublicKey:
    """Return the key of an algorithm (an id of the table with an object identifier) from the bytes of its standard.

    Raises:
        UnsupportedAlgorithmError: the table has no such key.
    """
    identifiers = table_line(algorithm).oids
    if not identifiers:
        raise UnsupportedAlgorithmError(f"keys of {algorithm!r} have no object identifier")
    return from_spki(_spki(identifiers[0][0], b"", raw), name)


def from_dsa_numbers(prime: int, order: int, generator: int, value: int, name: str = "") -> PublicKey:
    """Return the DSA key of its numbers p, q, g and y (RFC 3279 2.3.2)."""
    integers = [bytes(core.Integer(number).dump()) for number in (prime, order, generator, value)]
    return from_spki(_spki(DSA_OID, _asn1.der(_SEQUENCE, b"".join(integers[:3])), integers[3]), name)


def from_spki(spki: bytes, name: str = "") -> PublicKey:
    """Return the key of a DER SubjectPublicKeyInfo, with facts even where it cannot be used.

    Raises:
        FormatError: the DER is damaged.
    """
    with _asn1.guarded("SubjectPublicKeyInfo"):
        info = _asn1.RawSpki.load(spki, strict=True)
        oid = str(info["algorithm"]["algorithm"].dotted)
        params = _asn1.parameters(info["algorithm"])
        content = _bit_string(info["key"])
    identity = hashlib.sha256(spki).hexdigest()
    algorithm, bits, exponent = _describe(oid, params, content)
    facts = KeyFacts(
        id=identity,
        algorithm=algorithm,
        bits=bits,
        strength=key_strength(algorithm, bits),
        name=name,
        published=published(identity),
        exponent=exponent,
    )
    return PublicKey(facts, spki, _load(spki, oid, algorithm, content))


def _bit_string(value: Any) -> bytes:  # noqa: ANN401 - asn1crypto is untyped
    raw = bytes(value.contents)
    if raw[:1] != b"\x00":
        raise ValueError("the key's bit string is not made of whole bytes")
    return raw[1:]


def _content(spki: bytes) -> bytes:
    return _bit_string(_asn1.RawSpki.load(spki)["key"])


def _describe(oid: str, params: bytes, content: bytes) -> tuple[str, int | None, int | None]:
    if oid in _RSA_OIDS:
        with _asn1.guarded("RSAPublicKey"):
            numbers = _asn1.RsaPublicKey.load(content, strict=True)
            return "rsa", int(numbers["modulus"].native).bit_length(), int(numbers["exponent"].native)
    if oid == EC_OID:
        return (*_describe_curve(params, content), None)
    try:
        item = by_oid(oid, "key")
    except UnsupportedAlgorithmError:
        return oid, None, None
    return item.id, item.bits or _group_bits(params), None


def _describe_curve(params: bytes, content: bytes) -> tuple[str, int | None]:
    compressed = content[:1] in {b"\x02", b"\x03"}
    size = (len(content) - 1) * 8 // (1 if compressed else 2) if content else None
    if params[:1] != bytes([_OBJECT_IDENTIFIER]):
        return "ec-explicit", size  # the curve's numbers stand in the key; never the same as a named curve
    with _asn1.guarded("curve"):
        oid = str(core.ObjectIdentifier.load(params).dotted)
    try:
        curve = by_oid(oid, "key")
    except UnsupportedAlgorithmError:
        return f"ec-{oid}", size
    return curve.id, curve.bits


def _group_bits(params: bytes) -> int | None:
    """Return the size of the prime p in bits, the first number of DSA and DH parameters."""
    if not params:
        return None
    try:
        return _asn1.integer_strings(params)[0].bit_length()
    except (FormatError, IndexError):
        return None


def _load(spki: bytes, oid: str, algorithm: str, content: bytes) -> Any:  # noqa: ANN401 - one of many key types
    if oid not in _CLASSICAL:
        from checker.crypto import post_quantum  # some 50 ms of imports that most runs never need

        if post_quantum.handles(algorithm):
            return post_quantum.load(algorithm, content)
    if oid in _RSA_OIDS - {RSA_OID}:  # parameters that restrict the padding are checked where signatures name them
        spki = _spki(RSA_OID, b"\x05\x00", content)
    try:
        return load_der_public_key(spki)
    except (*_asn1.PARSE_ERRORS, UnsupportedAlgorithm):
        return None


@functools.cache
def _published() -> Mapping[str, str]:
    raw = _tables.read("published-keys")
    return {str(item["spki_sha256"]): f"{item['title']} ({item['source']})" for item in raw["keys"]}


def published(spki_sha256: str) -> str:
    """Return where a key's private half has been published, or nothing if no such place is known."""
    return _published().get(spki_sha256.lower(), "")
