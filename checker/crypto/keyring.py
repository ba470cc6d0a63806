"""What the user declared: public keys, anchors, intermediates, CRLs and decryption keys.

Private keys live here only as objects; their bytes and numbers never reach a report, a log or an exception text.
"""

from __future__ import annotations

import binascii
import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa, x448, x25519
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_private_key,
    load_pem_private_key,
)

from checker.crypto import _asn1
from checker.crypto.certificates import Certificate, RevocationList, parse_certificate, parse_crl
from checker.crypto.keys import PublicKey, from_raw, from_spki
from checker.crypto.macs import known_to_all
from checker.errors import FormatError, KeyMaterialError
from checker.io.limits import MAX_CERTIFICATES, MAX_KEY_FILE
from checker.model.keys import KeyFacts

if TYPE_CHECKING:
    from checker.crypto.kem.keys import KemKey

_CERTIFICATE_LABELS: Final = frozenset({"CERTIFICATE", "X509 CERTIFICATE", "TRUSTED CERTIFICATE"})
_CRL_LABELS: Final = frozenset({"X509 CRL", "CRL"})
_PRIVATE_LABELS: Final = frozenset({"PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY", "ENCRYPTED PRIVATE KEY"})
_PKCS7_LABELS: Final = frozenset({"PKCS7", "CMS"})
_AES_SIZES: Final = frozenset({16, 24, 32, 64})  # 64: AES-256-XTS, two keys
_SECRET_TEXT_LIMIT: Final = 4096  # bytes: a text file with one key and one IV is far below
_HEX_PAIR: Final = re.compile(r"^\s*(?:key\s*=\s*)?([0-9A-Fa-f]+)(?:[\s,;]+(?:iv\s*=\s*)?([0-9A-Fa-f]+))?\s*$")
_ASYMMETRIC: Final = (
    (rsa.RSAPrivateKey, "rsa"),
    (ec.EllipticCurvePrivateKey, "ec"),
    (x25519.X25519PrivateKey, "x25519"),
    (x448.X448PrivateKey, "x448"),
)


@dataclass(frozen=True)
class DecryptionKey:
    """A key that opens encrypted parts. `kind` is `rsa`, `ec`, `x25519`, `x448`, `secret`, or the id of a KEM.

    `private` is a key object of cryptography, `secret` raw bytes (a KEM's expanded private key too), `iv` what stood
    beside them; none is ever shown.
    `facts.id` is the SHA-256 of the public half's SubjectPublicKeyInfo, or of the secret itself.
    """

    name: str
    kind: str
    facts: KeyFacts
    private: Any = field(default=None, repr=False, compare=False)
    secret: bytes = field(default=b"", repr=False)
    iv: bytes = field(default=b"", repr=False)


@dataclass(frozen=True)
class KeyRing:
    """All keys and certificates of one run. `purposes` are accepted extended key usages, by name or dotted."""

    keys: tuple[PublicKey, ...] = ()
    anchors: tuple[Certificate, ...] = ()
    intermediates: tuple[Certificate, ...] = ()
    crls: tuple[RevocationList, ...] = ()
    decryption: tuple[DecryptionKey, ...] = ()
    purposes: tuple[str, ...] = ()

    @classmethod
    def empty(cls) -> KeyRing:
        """Return a ring without anything: every signature's key is then unknown."""
        return cls()

    @classmethod
    def of(
        cls,
        *,
        keys: Iterable[PublicKey] = (),
        anchors: Iterable[Certificate] = (),
        intermediates: Iterable[Certificate] = (),
        crls: Iterable[RevocationList] = (),
        decryption: Iterable[DecryptionKey] = (),
        purposes: Iterable[str] = (),
    ) -> KeyRing:
        """Return a ring; keys and anchors are marked as declared, intermediates are not trusted by themselves."""
        return cls(
            keys=tuple(key.as_declared() for key in keys),
            anchors=tuple(anchor.as_declared() for anchor in anchors),
            intermediates=tuple(intermediates),
            crls=tuple(crls),
            decryption=tuple(decryption),
            purposes=tuple(purposes),
        )

    def find(self, spki_sha256: str) -> PublicKey | None:
        """Return the declared key with this SubjectPublicKeyInfo digest (hex): a bare key, or an anchor's own."""
        for key in (*self.keys, *(anchor.key for anchor in self.anchors)):
            if key.spki_sha256 == spki_sha256.lower():
                return key
        return None

    def trusts(self, key: PublicKey) -> bool:
        """Return whether this very key was declared, as a bare key or as the key of an anchor."""
        return self.find(key.spki_sha256) is not None

    @property
    def verifiers(self) -> tuple[PublicKey, ...]:
        """Return every declared key that may verify a raw signature, bare keys first, each once.

        Keys that their own file revokes, or forbids to sign, are left out.
        """
        every = (*(key for key in self.keys if key.may_sign), *(anchor.key for anchor in self.anchors))
        return tuple({key.spki_sha256: key for key in reversed(every)}[digest] for digest in _unique(every))

    @property
    def secrets(self) -> tuple[DecryptionKey, ...]:
        """Return the symmetric decryption keys."""
        return tuple(key for key in self.decryption if key.kind == "secret")


def _unique(keys: Iterable[PublicKey]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(key.spki_sha256 for key in keys))


def _bounded(data: bytes, name: str) -> None:
    if len(data) > MAX_KEY_FILE:
        raise KeyMaterialError(f"{name}: more than {MAX_KEY_FILE} bytes, which is no key or certificate file")


def read_certificates(data: bytes, name: str) -> tuple[Certificate, ...]:
    """Return the certificates of a PEM bundle, a DER certificate, a PKCS#7 bundle (`.p7b`) or a sigstore trusted root.

    Raises:
        KeyMaterialError: there is none, there are too many, or one is damaged.
    """
    _bounded(data, name)
    try:
        ders = _ders(data, name)
        found = tuple(parse_certificate(der, name) for der in ders[: MAX_CERTIFICATES + 1])
    except FormatError as error:
        raise KeyMaterialError(f"{name}: holds a damaged certificate: {error}") from error
    if not found:
        raise KeyMaterialError(f"{name}: holds no certificate")
    if len(found) > MAX_CERTIFICATES:
        raise KeyMaterialError(f"{name}: holds more than {MAX_CERTIFICATES} certificates")
    return found


def _ders(data: bytes, name: str) -> list[bytes]:
    if data.lstrip().startswith(b"{"):
        from checker.crypto import trusted_root  # with JOSE, and needed for this one form only

        if trusted_root.is_trusted_root(data):
            return list(trusted_root.authorities(data))
    blocks = _asn1.pem_blocks(data, name)
    return [der for block in blocks for der in _certificate_ders(block)] if blocks else [data]


def _certificate_ders(block: _asn1.Block) -> tuple[bytes, ...]:
    if block.label in _PKCS7_LABELS:
        from asn1crypto import cms  # its structures are needed for this one form only

        with _asn1.guarded("PKCS#7 bundle"):
            content = cms.ContentInfo.load(block.der)["content"]
            return tuple(bytes(item.chosen.dump()) for item in content["certificates"] or ())
    if block.label not in _CERTIFICATE_LABELS:
        return ()
    if block.label == "TRUSTED CERTIFICATE":  # OpenSSL appends its own trust settings
        with _asn1.guarded("trusted certificate"):
            return (bytes(_asn1.RawCertificate.load(block.der).dump()),)
    return (block.der,)


def read_crls(data: bytes, name: str) -> tuple[RevocationList, ...]:
    """Return the certificate revocation lists of a PEM bundle or a DER file; a PEM bundle may hold none.

    Raises:
        KeyMaterialError: one is damaged, or a DER file is none.
    """
    _bounded(data, name)
    blocks = _asn1.pem_blocks(data, name)
    ders = [block.der for block in blocks if block.label in _CRL_LABELS] if blocks else [data]
    try:
        return tuple(parse_crl(der, name) for der in ders[:MAX_CERTIFICATES])
    except FormatError as error:
        raise KeyMaterialError(f"{name}: holds a damaged revocation list: {error}") from error


def read_decryption_key(data: bytes, name: str) -> DecryptionKey:
    """Return a key that decrypts: an unencrypted private key in PEM, DER or FrodoKEM's own bytes, or a symmetric key.

    Symmetric keys are 16, 24, 32 or 64 raw bytes, hexadecimal text, or SWUpdate's files: `HEXKEY HEXIV` on one line, or
    lines `key=…` and `iv=…`.

    Raises:
        KeyMaterialError: it is none of these. The text never shows any of the content.
    """
    _bounded(data, name)
    blocks = _asn1.pem_blocks(data, name)
    private = next((block for block in blocks if block.label in _PRIVATE_LABELS), None)
    if private is not None:
        return _kem(private.der, name) or _private(data, name, pem=True)
    if blocks:
        raise KeyMaterialError(f"{name}: is PEM without an unencrypted private key")
    text = _secret_text(data)
    if text is not None:
        return _secret(*text, name)
    if len(data) in _AES_SIZES:
        return _secret(data, b"", name)
    return _kem(data, name) or _private(data, name, pem=False)


def _kem(data: bytes, name: str) -> DecryptionKey | None:
    from checker.crypto.kem.keys import from_bare, from_pkcs8  # most runs have no decryption key

    found = from_bare(data)
    if found is None:
        try:
            found = from_pkcs8(data)
        except FormatError:
            return None
        except KeyMaterialError as error:
            raise KeyMaterialError(f"{name}: {error}") from None
    return None if found is None else _encapsulated(found, name)


def _encapsulated(found: KemKey, name: str) -> DecryptionKey:
    facts = from_raw(found.algorithm, found.public, name).as_declared(name).facts
    return DecryptionKey(name=name, kind=found.algorithm, facts=facts, secret=found.private)


def _secret_text(data: bytes) -> tuple[bytes, bytes] | None:
    if len(data) > _SECRET_TEXT_LIMIT or not data.isascii():
        return None
    match = _HEX_PAIR.match(data.decode("ascii"))
    if match is None:
        return None
    try:
        key, iv = binascii.unhexlify(match.group(1)), binascii.unhexlify(match.group(2) or "")
    except binascii.Error:
        return None
    return (key, iv) if len(key) in _AES_SIZES else None


def _secret(secret: bytes, iv: bytes, name: str) -> DecryptionKey:
    bits = len(secret) * 8
    facts = KeyFacts(
        id=hashlib.sha256(secret).hexdigest(),
        algorithm="aes",
        bits=bits,
        strength=min(bits, 256),
        name=name,
        declared=True,
        published=known_to_all(secret),
    )
    return DecryptionKey(name=name, kind="secret", facts=facts, secret=secret, iv=iv)


def _private(data: bytes, name: str, *, pem: bool) -> DecryptionKey:
    load = load_pem_private_key if pem else load_der_private_key
    try:
        private: Any = load(data, password=None)
    except (*_asn1.PARSE_ERRORS, UnsupportedAlgorithm):
        # The library's text may quote the input, so the cause is cut off.
        raise KeyMaterialError(f"{name}: is not an unencrypted private key or a symmetric key") from None
    kind = next((word for cls, word in _ASYMMETRIC if isinstance(private, cls)), "")
    if not kind:
        raise KeyMaterialError(
            f"{name}: is a private key that cannot decrypt (RSA, EC, X25519, X448 and ML-KEM keys can)"
        )
    spki = private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    facts = from_spki(spki, name).as_declared(name).facts
    return DecryptionKey(name=name, kind=kind, facts=facts, private=private)
