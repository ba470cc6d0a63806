"""Cryptographic Message Syntax (RFC 5652), BER and DER: verify SignedData, open EnvelopedData and AuthEnvelopedData.

asn1crypto splits the structures, cryptography computes. Everything is parsed eagerly in `parse`, so that damaged input
fails there, as a `FormatError`, and nowhere later.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from asn1crypto import cms, core
from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers import Cipher, modes
from cryptography.hazmat.primitives.kdf.x963kdf import X963KDF

from checker.crypto import _asn1, ciphers
from checker.crypto.algorithms import algorithm, by_oid, hash_facts
from checker.crypto.certificates import Certificate, parse_certificate, rfc3339, scheme_of
from checker.crypto.chains import assess
from checker.crypto.keyring import DecryptionKey, KeyRing
from checker.crypto.keys import PublicKey
from checker.crypto.signatures import Scheme, needs_message, verify_digest, verify_message
from checker.errors import (
    DecryptionError,
    FormatError,
    InvalidSignatureError,
    LimitError,
    UnsupportedAlgorithmError,
)
from checker.io import digests
from checker.io.limits import MAX_CERTIFICATES
from checker.model.artifact import Encryption, KeyFacts, Recipient, Signature
from checker.model.terms import Outcome

MAX_SIGNERS: Final = 32  # signers or recipients of one message; real messages have one to three
_DATA: Final = "1.2.840.113549.1.7.1"
_SIGNED: Final = "1.2.840.113549.1.7.2"
_ENVELOPED: Final = "1.2.840.113549.1.7.3"
_AUTH_ENVELOPED: Final = "1.2.840.113549.1.9.16.1.23"
_KINDS: Final = frozenset({_SIGNED, _ENVELOPED, _AUTH_ENVELOPED})
_CONTENT_TYPE: Final = "1.2.840.113549.1.9.3"
_MESSAGE_DIGEST: Final = "1.2.840.113549.1.9.4"
_SIGNING_TIME: Final = "1.2.840.113549.1.9.5"
_SET_TAG: Final = 0x31
_MAX_LENGTH_OCTETS: Final = 5


class _Attribute(core.Sequence):  # type: ignore[misc]
    _fields: Final = [("type", core.ObjectIdentifier), ("values", core.SetOf, {"spec": core.Any})]


class _Attributes(core.SetOf):  # type: ignore[misc]
    _child_spec: Final = _Attribute


class _SignerInfo(core.Sequence):  # type: ignore[misc]
    _fields: Final = [
        ("version", core.Integer),
        ("sid", cms.SignerIdentifier),
        ("digest_algorithm", _asn1.RawAlgorithm),
        ("signed_attrs", _Attributes, {"implicit": 0, "optional": True}),
        ("signature_algorithm", _asn1.RawAlgorithm),
        ("signature", core.OctetString),
        ("unsigned_attrs", _Attributes, {"implicit": 1, "optional": True}),
    ]


class _SignerInfos(core.SetOf):  # type: ignore[misc]
    _child_spec: Final = _SignerInfo


class _Algorithms(core.SetOf):  # type: ignore[misc]
    _child_spec: Final = _asn1.RawAlgorithm


class _EncapsulatedContent(core.Sequence):  # type: ignore[misc]
    _fields: Final = [("type", core.ObjectIdentifier), ("content", core.Any, {"explicit": 0, "optional": True})]


class _SignedData(core.Sequence):  # type: ignore[misc]
    _fields: Final = [
        ("version", core.Integer),
        ("digest_algorithms", _Algorithms),
        ("encapsulated", _EncapsulatedContent),
        ("certificates", cms.CertificateSet, {"implicit": 0, "optional": True}),
        ("crls", cms.RevocationInfoChoices, {"implicit": 1, "optional": True}),
        ("signers", _SignerInfos),
    ]


class _EncryptedContent(core.Sequence):  # type: ignore[misc]
    _fields: Final = [
        ("type", core.ObjectIdentifier),
        ("algorithm", _asn1.RawAlgorithm),
        ("content", core.OctetString, {"implicit": 0, "optional": True}),
    ]


class _KeyTransport(core.Sequence):  # type: ignore[misc]
    _fields: Final = [
        ("version", core.Integer),
        ("rid", cms.RecipientIdentifier),
        ("algorithm", _asn1.RawAlgorithm),
        ("key", core.OctetString),
    ]


class _RecipientKeyId(core.Sequence):  # type: ignore[misc]
    _fields: Final = [
        ("id", core.OctetString),
        ("date", core.GeneralizedTime, {"optional": True}),
        ("other", core.Any, {"optional": True}),
    ]


class _AgreementId(core.Choice):  # type: ignore[misc]
    _alternatives: Final = [
        ("issuer_and_serial_number", cms.IssuerAndSerialNumber),
        ("key_id", _RecipientKeyId, {"implicit": 0}),
    ]


class _AgreedKey(core.Sequence):  # type: ignore[misc]
    _fields: Final = [("rid", _AgreementId), ("key", core.OctetString)]


class _AgreedKeys(core.SequenceOf):  # type: ignore[misc]
    _child_spec: Final = _AgreedKey


class _Originator(core.Choice):  # type: ignore[misc]
    _alternatives: Final = [
        ("issuer_and_serial_number", cms.IssuerAndSerialNumber),
        ("subject_key_identifier", core.OctetString, {"implicit": 0}),
        ("originator_key", _asn1.RawSpki, {"implicit": 1}),
    ]


class _KeyAgreement(core.Sequence):  # type: ignore[misc]
    _fields: Final = [
        ("version", core.Integer),
        ("originator", _Originator, {"explicit": 0}),
        ("ukm", core.OctetString, {"explicit": 1, "optional": True}),
        ("algorithm", _asn1.RawAlgorithm),
        ("keys", _AgreedKeys),
    ]


class _KeyEncryption(core.Sequence):  # type: ignore[misc]
    _fields: Final = [
        ("version", core.Integer),
        ("kekid", _RecipientKeyId),
        ("algorithm", _asn1.RawAlgorithm),
        ("key", core.OctetString),
    ]


class _Password(core.Sequence):  # type: ignore[misc]
    _fields: Final = [
        ("version", core.Integer),
        ("derivation", _asn1.RawAlgorithm, {"implicit": 0, "optional": True}),
        ("algorithm", _asn1.RawAlgorithm),
        ("key", core.OctetString),
    ]


class _OtherRecipient(core.Sequence):  # type: ignore[misc]
    _fields: Final = [("type", core.ObjectIdentifier), ("value", core.Any)]


class _RecipientInfo(core.Choice):  # type: ignore[misc]
    _alternatives: Final = [
        ("ktri", _KeyTransport),
        ("kari", _KeyAgreement, {"implicit": 1}),
        ("kekri", _KeyEncryption, {"implicit": 2}),
        ("pwri", _Password, {"implicit": 3}),
        ("ori", _OtherRecipient, {"implicit": 4}),
    ]


class _RecipientInfos(core.SetOf):  # type: ignore[misc]
    _child_spec: Final = _RecipientInfo


class _Enveloped(core.Sequence):  # type: ignore[misc]
    _fields: Final = [
        ("version", core.Integer),
        ("originator", cms.OriginatorInfo, {"implicit": 0, "optional": True}),
        ("recipients", _RecipientInfos),
        ("encrypted", _EncryptedContent),
        ("unprotected", _Attributes, {"implicit": 1, "optional": True}),
    ]


class _AuthEnveloped(core.Sequence):  # type: ignore[misc]
    """AuthEnvelopedData (RFC 5083 2.1)."""

    _fields: Final = [
        ("version", core.Integer),
        ("originator", cms.OriginatorInfo, {"implicit": 0, "optional": True}),
        ("recipients", _RecipientInfos),
        ("encrypted", _EncryptedContent),
        ("attributes", _Attributes, {"implicit": 1, "optional": True}),
        ("mac", core.OctetString),
        ("unauthenticated", _Attributes, {"implicit": 2, "optional": True}),
    ]


class _ContentType(core.ObjectIdentifier):  # type: ignore[misc]
    _map: Final = {_SIGNED: "signed", _ENVELOPED: "enveloped", _AUTH_ENVELOPED: "auth_enveloped"}


class _ContentInfo(core.Sequence):  # type: ignore[misc]
    _fields: Final = [("content_type", _ContentType), ("content", core.Any, {"explicit": 0, "optional": True})]
    _oid_pair: Final = ("content_type", "content")
    _oid_specs: Final = {"signed": _SignedData, "enveloped": _Enveloped, "auth_enveloped": _AuthEnveloped}


class _GcmParameters(core.Sequence):  # type: ignore[misc]
    _fields: Final = [("nonce", core.OctetString), ("size", core.Integer, {"default": 12})]


class _OaepParameters(core.Sequence):  # type: ignore[misc]
    """RSAES-OAEP-params (RFC 8017 A.2.1); absent fields stand for SHA-1."""

    _fields: Final = [
        ("hash", _asn1.RawAlgorithm, {"explicit": 0, "optional": True}),
        ("mask", _asn1.RawAlgorithm, {"explicit": 1, "optional": True}),
        ("label", _asn1.RawAlgorithm, {"explicit": 2, "optional": True}),
    ]


class _SharedInfo(core.Sequence):  # type: ignore[misc]
    """ECC-CMS-SharedInfo (RFC 5753 7.2)."""

    _fields: Final = [
        ("key_info", _asn1.RawAlgorithm),
        ("ukm", core.OctetString, {"explicit": 0, "optional": True}),
        ("bits", core.OctetString, {"explicit": 2}),
    ]


def looks_like_cms(data: bytes) -> bool:
    """Return whether the bytes begin like SignedData, EnvelopedData or AuthEnvelopedData, in BER or DER.

    The first 32 bytes are enough.
    """
    if len(data) < 2 or data[0] != 0x30:  # noqa: PLR2004 - tag and length of a SEQUENCE
        return False
    octets = data[1] & 0x7F if data[1] & 0x80 else 0
    if octets > _MAX_LENGTH_OCTETS:
        return False
    rest = data[2 + octets :]
    return any(rest.startswith(core.ObjectIdentifier(oid).dump()) for oid in _KINDS)


def _content_info(data: bytes, allowed: frozenset[str], what: str) -> tuple[str, Any]:
    if not looks_like_cms(data):
        raise FormatError("not CMS SignedData, EnvelopedData or AuthEnvelopedData", field=what)
    with _asn1.guarded(what):
        info = _ContentInfo.load(data)
        kind = str(info["content_type"].dotted)
        content = info["content"]
        if kind in allowed and isinstance(content, core.Sequence):
            return kind, content
    raise FormatError(f"the content is of another kind: {kind}", field=what)


@dataclass(frozen=True, kw_only=True)
class _Signer:
    issuer: bytes = b""
    serial: int | None = None
    key_id: bytes = b""
    digest: str  # an id of the algorithm table, or a dotted object identifier that it does not have
    scheme: bytes = field(repr=False)  # DER of the AlgorithmIdentifier
    signature: bytes = field(repr=False)
    attributes: bytes | None = field(repr=False, default=None)  # as SET OF, ready to be verified
    content_types: tuple[str, ...] = ()
    digests: tuple[bytes, ...] = ()
    signing_times: tuple[str, ...] = ()

    @property
    def signing_time(self) -> str:
        return self.signing_times[0] if len(self.signing_times) == 1 else ""

    def names(self, certificate: Certificate) -> bool:
        """Return whether the signer identifier names this certificate (RFC 5652 5.3)."""
        if self.serial is None:
            return bool(self.key_id) and _key_ids(certificate.key, certificate.key_id).count(self.key_id) > 0
        return (certificate.issuer_der, certificate.serial) == (self.issuer, self.serial)

    @property
    def title(self) -> str:
        """Return the identifier as text, for a signer whose certificate is nowhere."""
        return f"serial {self.serial:x}" if self.serial is not None else f"key id {self.key_id.hex()}"


def _key_ids(key: PublicKey, stated: bytes = b"") -> tuple[bytes, ...]:
    # RFC 5280 4.2.1.2 method 1: SHA-1 of the bit string's content. A label, not a protection.
    return tuple(item for item in (stated, hashlib.sha1(key.raw, usedforsecurity=False).digest()) if item)


@dataclass(frozen=True)
class SignedMessage:
    """A parsed SignedData. `content` is what is signed where it is attached, else None."""

    content: bytes | None = field(repr=False)
    content_type: str
    digest_algorithms: tuple[str, ...]
    certificates: tuple[Certificate, ...]
    signers: tuple[_Signer, ...] = field(repr=False)
    notes: tuple[str, ...] = ()

    @classmethod
    def parse(cls, data: bytes) -> SignedMessage:
        """Return the message of BER or DER bytes; what follows the outermost structure is ignored.

        Raises:
            FormatError: it is not CMS SignedData, or it is damaged.
            LimitError: it has more signers or certificates than any real message.
        """
        _, signed = _content_info(data, frozenset({_SIGNED}), "CMS SignedData")
        with _asn1.guarded("CMS SignedData"):
            encapsulated = signed["encapsulated"]
            content = _attached(encapsulated)
            content_type = str(encapsulated["type"].dotted)
            stated = tuple(_hash_id(item) for item in signed["digest_algorithms"])
            raw = [bytes(item.chosen.dump()) for item in _certificates(signed) if item.name == "certificate"]
            signers = tuple(_signer(item) for item in _limited(signed["signers"], MAX_SIGNERS, "signers"))
        certificates, notes = _parse_each(raw)
        return cls(content, content_type, stated, certificates, signers, notes)

    @property
    def detached(self) -> bool:
        """Return whether the content has to come from elsewhere."""
        return self.content is None

    @property
    def signer_digests(self) -> tuple[str, ...]:
        """Return the digests over the content that `verify` will ask for, each once (ids of the algorithm table)."""
        return tuple(dict.fromkeys(signer.digest for signer in self.signers))

    def verify(
        self,
        content_digest: Callable[[str], bytes] | None,
        ring: KeyRing,
        as_of: str,
        purpose: str = "code-signing",
        *,
        content: Callable[[], bytes] | None = None,
    ) -> tuple[Signature, ...]:
        """Return one `Signature` for each signer; none for a message without signers.

        `content_digest` gives the digest of the content by hash id (it may raise `UnsupportedAlgorithmError`); None
        stands for the attached content. `content` gives the content itself, which only signers without signed
        attributes whose scheme takes the message (Ed25519, ML-DSA) need.

        The outcome is `valid` only where the mathematics hold and the key is declared or certified by a declared
        anchor (`checker.crypto.chains` tells every case), `undecidable` where an algorithm cannot be computed here.

        Raises:
            FormatError: `as_of` is no time.
        """
        attached = self.content
        if content_digest is None and attached is not None:
            content_digest, content = _digest_of(attached), lambda: attached
        job = _Job(self, content_digest, content, ring, as_of, purpose)
        return tuple(job.run(signer) for signer in self.signers)


def _digest_of(content: bytes) -> Callable[[str], bytes]:
    return lambda name: digests.digest(name, content)


def _attached(encapsulated: Any) -> bytes | None:  # noqa: ANN401 - asn1crypto is untyped
    content = encapsulated["content"]
    if isinstance(content, core.Void):
        return None
    parsed = content.parse(core.OctetString) if isinstance(content, core.Any) else content
    return bytes(parsed.native)


def _certificates(signed: Any) -> Sequence[Any]:  # noqa: ANN401 - asn1crypto is untyped
    found = signed["certificates"]
    return () if isinstance(found, core.Void) else _limited(found, MAX_CERTIFICATES, "certificates")


def _limited(items: Any, limit: int, what: str) -> Sequence[Any]:  # noqa: ANN401 - asn1crypto is untyped
    if len(items) > limit:
        raise LimitError(f"{len(items)} {what}, at most {limit} are read", field="CMS")
    return tuple(items)


def _parse_each(raw: Iterable[bytes]) -> tuple[tuple[Certificate, ...], tuple[str, ...]]:
    """Return the certificates that parse; a damaged one beside them is a note, not a refusal of the message."""
    found, notes = [], []
    for der in raw:
        try:
            found.append(parse_certificate(der))
        except FormatError as error:
            notes.append(f"an embedded certificate is damaged: {error}")
    return tuple(found), tuple(notes)


def _hash_id(identifier: Any) -> str:  # noqa: ANN401 - asn1crypto is untyped
    oid = str(identifier["algorithm"].dotted)
    try:
        return by_oid(oid, "hash").id
    except UnsupportedAlgorithmError:
        return oid


def _signer(raw: Any) -> _Signer:  # noqa: ANN401 - asn1crypto is untyped
    sid = raw["sid"]
    issuer, serial, key_id = b"", None, b""
    if sid.name == "issuer_and_serial_number":
        issuer = bytes(sid.chosen["issuer"].dump())
        serial = int(sid.chosen["serial_number"].native)
    else:
        key_id = bytes(sid.chosen.native)
    return _Signer(
        issuer=issuer,
        serial=serial,
        key_id=key_id,
        digest=_hash_id(raw["digest_algorithm"]),
        scheme=bytes(raw["signature_algorithm"].dump()),
        signature=bytes(raw["signature"].native),
        **_signed_attributes(raw["signed_attrs"]),
    )


def _signed_attributes(raw: Any) -> dict[str, Any]:  # noqa: ANN401 - asn1crypto is untyped
    if isinstance(raw, core.Void):
        return {}
    values: dict[str, list[Any]] = {_CONTENT_TYPE: [], _MESSAGE_DIGEST: [], _SIGNING_TIME: []}
    for attribute in raw:
        values.get(str(attribute["type"].dotted), []).extend(attribute["values"])
    return {
        "attributes": _as_set(raw),
        "content_types": tuple(str(v.parse(core.ObjectIdentifier).dotted) for v in values[_CONTENT_TYPE]),
        "digests": tuple(bytes(v.parse(core.OctetString).native) for v in values[_MESSAGE_DIGEST]),
        "signing_times": tuple(_time(v) for v in values[_SIGNING_TIME]),
    }


def _time(value: Any) -> str:  # noqa: ANN401 - asn1crypto is untyped
    native = value.parse(cms.Time).native
    if isinstance(native, dt.datetime) and native.tzinfo is None:
        native = native.replace(tzinfo=dt.UTC)
    return rfc3339(native)


def _as_set(raw: Any) -> bytes:  # noqa: ANN401 - asn1crypto is untyped
    """Return attributes with the tag SET OF that signatures and tags are computed over (RFC 5652 5.4)."""
    return _asn1.der(_SET_TAG, bytes(raw.contents))


@dataclass(frozen=True)
class _Job:
    """One verification: a message, its content's digests, and what is trusted when."""

    message: SignedMessage
    content_digest: Callable[[str], bytes] | None
    content: Callable[[], bytes] | None
    ring: KeyRing
    as_of: str
    purpose: str

    def run(self, signer: _Signer) -> Signature:
        blank = Signature(
            outcome=Outcome.UNDECIDABLE,
            hash=signer.digest,
            signing_time=signer.signing_time,
            encoding="CMS detached" if self.message.detached else "CMS attached",
        )
        try:
            scheme = scheme_of(signer.scheme, signer.digest)
            blank = replace(blank, algorithm=scheme.algorithm, hash=_weakest(signer, scheme))
            self._bind(signer, scheme)
            return self._with_key(signer, scheme, blank)
        except UnsupportedAlgorithmError as error:
            return replace(blank, note=str(error))
        except (InvalidSignatureError, FormatError) as error:
            return replace(self._name(signer, blank), outcome=Outcome.INVALID, note=str(error))

    def _bind(self, signer: _Signer, scheme: Scheme) -> None:
        """Check what ties the signature to the content (RFC 5652 5.3, 5.4, 11.1, 11.2)."""
        if not needs_message(scheme.algorithm) and scheme.hash != signer.digest:
            raise InvalidSignatureError(f"the signature is over {scheme.hash}, the content digest is {signer.digest}")
        if signer.attributes is None:
            if self.message.content_type != _DATA:
                raise InvalidSignatureError("without signed attributes only plain data may be signed")
            return
        if signer.content_types != (self.message.content_type,):
            raise InvalidSignatureError("the content-type attribute is missing, repeated, or names another type")
        if len(signer.digests) != 1:
            raise InvalidSignatureError("the message-digest attribute is missing or repeated")
        if not hmac.compare_digest(signer.digests[0], self._digest(signer)):
            raise InvalidSignatureError("the message digest does not match the content")

    def _digest(self, signer: _Signer) -> bytes:
        if self.content_digest is None:
            raise UnsupportedAlgorithmError("the signature is detached and its content was not given")
        return self.content_digest(signer.digest)

    def _with_key(self, signer: _Signer, scheme: Scheme, blank: Signature) -> Signature:
        found = self._named(signer)
        for certificate in found:
            if self._holds(signer, scheme, certificate.key):
                return self._judge(signer, certificate, blank)
        if found:
            raise InvalidSignatureError("the signature does not verify")
        for key in self.ring.keys:
            if self._holds(signer, scheme, key):
                note = "the signer's certificate is not in the message; a declared key verifies it"
                return replace(blank, outcome=Outcome.VALID, key=key.facts, note=note)
        note = f"the signer's certificate ({signer.title}) is neither in the message nor declared"
        return replace(blank, outcome=Outcome.KEY_UNKNOWN, note=note)

    def _named(self, signer: _Signer) -> tuple[Certificate, ...]:
        pool = (*self.message.certificates, *self.ring.intermediates, *self.ring.anchors)
        return tuple({item.der: item for item in pool if signer.names(item)}.values())

    def _holds(self, signer: _Signer, scheme: Scheme, key: PublicKey) -> bool:
        try:
            self._compute(signer, scheme, key)
        except InvalidSignatureError:
            return False
        return True

    def _compute(self, signer: _Signer, scheme: Scheme, key: PublicKey) -> None:
        salt = {"salt_length": scheme.salt_length, "mgf_hash": scheme.mgf_hash}
        if signer.attributes is not None:
            verify_message(key, scheme.algorithm, scheme.hash, signer.attributes, signer.signature, **salt)  # type: ignore[arg-type]
        elif needs_message(scheme.algorithm):
            if self.content is None:
                raise UnsupportedAlgorithmError(f"{scheme.algorithm} without signed attributes needs the whole content")
            verify_message(key, scheme.algorithm, scheme.hash, self.content(), signer.signature)
        else:
            digest = self._digest(signer)
            verify_digest(key, scheme.algorithm, scheme.hash, digest, signer.signature, **salt)  # type: ignore[arg-type]

    def _judge(self, signer: _Signer, certificate: Certificate, blank: Signature) -> Signature:
        verdict = assess(
            certificate,
            self.ring,
            presented=self.message.certificates,
            signed_at=signer.signing_time,
            as_of=self.as_of,
            purpose=self.purpose,
        )
        return replace(blank, outcome=verdict.outcome, key=verdict.key, chain=verdict.chain, note=verdict.note)

    def _name(self, signer: _Signer, blank: Signature) -> Signature:
        """Return the signature with the key that it names, for a signer whose signature is wrong."""
        found = self._named(signer)
        return replace(blank, key=found[0].key.facts) if found else blank


def _weakest(signer: _Signer, scheme: Scheme) -> str:
    """Return the hash that limits the signature: the scheme's own one, or the message digest where that is weaker."""
    if not scheme.hash or signer.attributes is None:
        return scheme.hash
    inner, outer = hash_facts(scheme.hash).collision_bits, hash_facts(signer.digest).collision_bits
    return signer.digest if inner is None or outer is None or outer < inner else scheme.hash


@dataclass(frozen=True, kw_only=True)
class _Wrapped:
    """One recipient: how the content key is wrapped for it."""

    kind: str  # ktri kari kekri pwri ori
    facts: Recipient
    oid: str = ""
    params: bytes = field(default=b"", repr=False)
    key: bytes = field(default=b"", repr=False)
    point: bytes = field(default=b"", repr=False)
    ukm: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, kw_only=True)
class Opened:
    """What decryption gave: the content, and the facts with what is now known of recipients and content key."""

    content: bytes = field(repr=False)
    encryption: Encryption
    recipients: tuple[Recipient, ...]
    key: KeyFacts


@dataclass(frozen=True)
class EnvelopedMessage:
    """A parsed EnvelopedData or AuthEnvelopedData. `ciphertext` is None where it is stored elsewhere."""

    ciphertext: bytes | None = field(repr=False)
    encryption: Encryption
    cipher: str  # an id of the algorithm table, or a dotted object identifier
    nonce: bytes = field(repr=False)
    mac: bytes = field(repr=False)
    aad: bytes = field(repr=False)
    wrapped: tuple[_Wrapped, ...] = field(repr=False)

    @classmethod
    def parse(cls, data: bytes) -> EnvelopedMessage:
        """Return the message of BER or DER bytes; what follows the outermost structure is ignored.

        Raises:
            FormatError: it is not CMS EnvelopedData or AuthEnvelopedData, or it is damaged.
            LimitError: it has more recipients than any real message.
        """
        kind, content = _content_info(data, frozenset({_ENVELOPED, _AUTH_ENVELOPED}), "CMS EnvelopedData")
        with _asn1.guarded("CMS EnvelopedData"):
            encrypted = content["encrypted"]
            raw = encrypted["content"]
            ciphertext = None if isinstance(raw, core.Void) else bytes(raw.native)
            mac = bytes(content["mac"].native) if kind == _AUTH_ENVELOPED else b""
            has_attributes = kind == _AUTH_ENVELOPED and not isinstance(content["attributes"], core.Void)
            aad = _as_set(content["attributes"]) if has_attributes else b""
            infos = _limited(content["recipients"], MAX_SIGNERS, "recipients")
            wrapped = tuple(each for info in infos for each in _recipient(info))
            oid, nonce = _cipher(encrypted["algorithm"])
        cipher = _id(oid, "cipher")
        return cls(ciphertext, _encryption(cipher, nonce, mac), cipher, nonce, mac, aad, wrapped)

    @property
    def recipients(self) -> tuple[Recipient, ...]:
        """Return every recipient as it stands in the message, before anything is unwrapped."""
        return tuple(item.facts for item in self.wrapped)

    def decrypt(self, ring: KeyRing) -> bytes:
        """Return the content, decrypted with a key of the ring.

        Raises:
            DecryptionError: no key of the ring opens it.
            UnsupportedAlgorithmError: the cipher is not computed here.
        """
        return self.open(ring).content

    def open(self, ring: KeyRing, ciphertext: bytes | None = None) -> Opened:
        """Return the content and what was learnt on the way; `ciphertext` is what a detached message leaves out.

        Raises:
            DecryptionError: no key of the ring opens it, or the ciphertext is stored elsewhere and was not given.
            UnsupportedAlgorithmError: the cipher is not computed here.
        """
        sealed = self.ciphertext if self.ciphertext is not None else ciphertext
        if sealed is None:
            raise DecryptionError("the ciphertext is not in the message")
        reasons = []
        for index, item in enumerate(self.wrapped):
            for key in ring.decryption:
                try:
                    secret = _unwrap(item, key, self.cipher)
                    return self._opened(index, key, secret, self._decrypt(secret, sealed))
                except DecryptionError as error:
                    reasons.append(str(error))
        detail = f": {reasons[-1]}" if reasons else ""
        raise DecryptionError(
            f"none of {len(ring.decryption)} given keys opens any of {len(self.wrapped)} recipients{detail}"
        )

    def _opened(self, index: int, key: DecryptionKey, secret: bytes, content: bytes) -> Opened:
        facts = list(self.recipients)
        facts[index] = replace(facts[index], unwrapped=True, key=key.facts)
        aead = bool(self.mac)
        encryption = replace(
            self.encryption,
            content_key_digest=hashlib.sha256(secret).hexdigest(),
            decrypted=True if aead else None,  # the padding alone is no proof; the caller compares a digest
        )
        return Opened(content=content, encryption=encryption, recipients=tuple(facts), key=key.facts)

    def _decrypt(self, secret: bytes, sealed: bytes) -> bytes:
        size, _, mode = self.cipher.removeprefix("aes-").partition("-")
        if self.cipher.startswith("aes-") and size.isdigit() and len(secret) * 8 != int(size):
            raise DecryptionError(
                "the unwrapped key has another size than the cipher: most likely another key was used"
            )
        if mode == "cbc":
            return ciphers.aes_cbc(secret, self.nonce, sealed)
        if mode in {"gcm", "ccm"} and self.mac:
            return ciphers.open_aead(
                f"aes-{mode}", secret, self.nonce, sealed + self.mac, self.aad, tag_size=len(self.mac)
            )
        if self.cipher == "3des-cbc":
            return _triple_des(secret, self.nonce, sealed)
        raise UnsupportedAlgorithmError(f"content encryption with {self.cipher} is not computed here")


def _id(oid: str, role: str) -> str:
    try:
        return by_oid(oid, role).id
    except UnsupportedAlgorithmError:
        return oid


def _cipher(identifier: Any) -> tuple[str, bytes]:  # noqa: ANN401 - asn1crypto is untyped
    oid, params = str(identifier["algorithm"].dotted), _asn1.parameters(identifier)
    if not params:
        return oid, b""
    if params[0] == 0x04:  # noqa: PLR2004 - OCTET STRING: an IV
        return oid, bytes(core.OctetString.load(params).native)
    mode = _id(oid, "cipher").rpartition("-")[2]
    return oid, bytes(_GcmParameters.load(params)["nonce"].native) if mode in {"gcm", "ccm"} else b""


def _encryption(cipher: str, nonce: bytes, mac: bytes) -> Encryption:
    name, _, mode = cipher.rpartition("-")
    known = bool(name)
    return Encryption(
        encrypted=True,
        cipher=name.partition("-")[0] if known else cipher,
        mode=mode if known else "",
        key_bits=algorithm(cipher).bits if known else None,
        nonce=nonce.hex(),
        tag_bits=len(mac) * 8 or None,
        authenticated=bool(mac) or None,
    )


def _triple_des(secret: bytes, nonce: bytes, sealed: bytes) -> bytes:
    try:
        running = Cipher(TripleDES(secret), modes.CBC(nonce)).decryptor()
        plain = running.update(sealed) + running.finalize()
    except ValueError:
        raise DecryptionError("3DES: decryption failed: another key, a wrong size, or damaged") from None
    count = plain[-1] if plain else 0
    if not 1 <= count <= 8 or plain[-count:] != bytes([count]) * count:  # noqa: PLR2004 - the block size in bytes
        raise DecryptionError("the padding is wrong: most likely another key was used")
    return plain[:-count]


def _recipient(info: Any) -> tuple[_Wrapped, ...]:  # noqa: ANN401 - asn1crypto is untyped
    kind, chosen = info.name, info.chosen
    if kind == "ori":
        return (_Wrapped(kind=kind, facts=Recipient(algorithm=str(chosen["type"].dotted))),)
    identifier = chosen["algorithm"]
    oid, params = str(identifier["algorithm"].dotted), _asn1.parameters(identifier)
    if kind == "kari":
        return _agreements(chosen, oid, params)
    key = bytes(chosen["key"].native)
    name = "password" if kind == "pwri" else _id(oid, "key-transport")
    rid = chosen["rid"] if kind == "ktri" else None
    label = _rid_text(rid) if rid is not None else ""
    if kind == "kekri":
        label = bytes(chosen["kekid"]["id"].native).hex()
    facts = Recipient(
        algorithm=name,
        key=KeyFacts(id=label),
        wrapped=hashlib.sha256(key).hexdigest(),
        wrapping_bits=_wrap_bits(oid),
    )
    return (_Wrapped(kind=kind, facts=facts, oid=oid, params=params, key=key),)


def _rid_text(rid: Any) -> str:  # noqa: ANN401 - asn1crypto is untyped
    if rid.name == "issuer_and_serial_number":
        digest = hashlib.sha256(bytes(rid.chosen["issuer"].dump())).hexdigest()[:16]
        return f"issuer {digest} serial {int(rid.chosen['serial_number'].native):x}"
    chosen = rid.chosen["id"] if rid.name == "key_id" else rid.chosen
    return bytes(chosen.native).hex()


def _wrap_bits(oid: str) -> int | None:
    last = oid.rpartition(".")[2]
    sizes = {"5": 128, "8": 128, "25": 192, "28": 192, "45": 256, "48": 256}
    return sizes.get(last) if oid.startswith("2.16.840.1.101.3.4.1.") else None


def _agreements(chosen: Any, oid: str, params: bytes) -> tuple[_Wrapped, ...]:  # noqa: ANN401 - asn1crypto is untyped
    originator, ukm = chosen["originator"], chosen["ukm"]
    point = b""
    if originator.name == "originator_key":
        point = bytes(originator.chosen["key"].contents)[1:]
    wrap_oid = str(_asn1.RawAlgorithm.load(params)["algorithm"].dotted) if params else ""
    made = []
    for each in _limited(chosen["keys"], MAX_SIGNERS, "recipients"):
        key = bytes(each["key"].native)
        facts = Recipient(
            algorithm=_id(oid, "key-transport"),
            key=KeyFacts(id=_rid_text(each["rid"])),
            ephemeral=hashlib.sha256(point).hexdigest() if point else "",
            wrapped=hashlib.sha256(key).hexdigest(),
            wrapping_bits=_wrap_bits(wrap_oid),
        )
        made.append(
            _Wrapped(
                kind="kari",
                facts=facts,
                oid=oid,
                params=params,
                key=key,
                point=point,
                ukm=None if isinstance(ukm, core.Void) else bytes(ukm.native),
            )
        )
    return tuple(made)


def _unwrap(item: _Wrapped, key: DecryptionKey, cipher: str) -> bytes:
    """Return the content key, or raise `DecryptionError` where this key does not open this recipient."""
    try:
        if item.kind == "ktri" and key.kind == "rsa":
            return _transported(item, key)
        if item.kind == "kari" and key.kind == "ec":
            return _agreed(item, key)
        if item.kind == "kekri" and key.kind == "secret":
            unwrap = ciphers.unwrap_aes_kwp if item.facts.algorithm == "aes-kwp" else ciphers.unwrap_aes_kw
            return unwrap(key.secret, item.key)
    except (FormatError, UnsupportedAlgorithmError) as error:
        raise DecryptionError(f"{item.facts.algorithm}: {error}") from None
    raise DecryptionError(f"a key of kind {key.kind!r} does not open a {item.facts.algorithm} recipient of {cipher}")


def _transported(item: _Wrapped, key: DecryptionKey) -> bytes:
    if item.facts.algorithm != "rsa-oaep":
        return ciphers.unwrap_rsa_pkcs1v15(key, item.key)
    with _asn1.guarded("RSAES-OAEP parameters"):
        params = _OaepParameters.load(item.params) if item.params else _OaepParameters()
        hash_name = _nested_hash(params["hash"])
        mask = params["mask"]
        mask_params = b"" if isinstance(mask, core.Void) else _asn1.parameters(mask)
        mgf_hash = _nested_hash(_asn1.RawAlgorithm.load(mask_params)) if mask_params else "sha-1"
        label = params["label"]
        raw = b"" if isinstance(label, core.Void) else _asn1.parameters(label)
        text = bytes(core.OctetString.load(raw).native) if raw else b""
    return ciphers.unwrap_rsa_oaep(key, item.key, hash_name, mgf_hash, text)


def _nested_hash(identifier: Any) -> str:  # noqa: ANN401 - asn1crypto is untyped
    return "sha-1" if isinstance(identifier, core.Void) else _hash_id(identifier)


# RFC 5753 7.1.4: the hash of the X9.63 key derivation; the same for standard and cofactor ECDH.
_KDF_HASHES: Final[Mapping[str, type[hashes.HashAlgorithm]]] = {
    "1.3.133.16.840.63.0.2": hashes.SHA1,
    "1.3.133.16.840.63.0.3": hashes.SHA1,
    "1.3.132.1.11.0": hashes.SHA224,
    "1.3.132.1.14.0": hashes.SHA224,
    "1.3.132.1.11.1": hashes.SHA256,
    "1.3.132.1.14.1": hashes.SHA256,
    "1.3.132.1.11.2": hashes.SHA384,
    "1.3.132.1.14.2": hashes.SHA384,
    "1.3.132.1.11.3": hashes.SHA512,
    "1.3.132.1.14.3": hashes.SHA512,
}


def _agreed(item: _Wrapped, key: DecryptionKey) -> bytes:
    bits = item.facts.wrapping_bits
    if item.oid not in _KDF_HASHES or bits is None or not item.point:
        raise UnsupportedAlgorithmError("this key agreement is not computed here")
    private: ec.EllipticCurvePrivateKey = key.private
    with _asn1.guarded("originator key"):
        theirs = ec.EllipticCurvePublicKey.from_encoded_point(private.curve, item.point)
        shared = private.exchange(ec.ECDH(), theirs)
        info = _SharedInfo(
            {
                "key_info": _asn1.RawAlgorithm.load(item.params),
                "bits": core.OctetString(bits.to_bytes(4, "big")),
                **({} if item.ukm is None else {"ukm": core.OctetString(item.ukm)}),
            }
        ).dump()
    wrapping = X963KDF(algorithm=_KDF_HASHES[item.oid](), length=bits // 8, sharedinfo=info).derive(shared)
    return ciphers.unwrap_aes_kw(wrapping, item.key)
