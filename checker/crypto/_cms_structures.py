"""The ASN.1 of the Cryptographic Message Syntax (RFC 5652, RFC 5083, RFC 5753), open to any algorithm.

asn1crypto's own classes refuse identifiers that they do not know; these keep them as they stand.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from asn1crypto import cms, core

from checker.crypto import _asn1
from checker.crypto.algorithms import by_oid
from checker.errors import FormatError, LimitError, UnsupportedAlgorithmError

MAX_SIGNERS: Final = 32  # of one message; real messages have one to three
MAX_RECIPIENTS: Final = 4_096  # of one message: a bundle may be encrypted to every device of a fleet
DATA: Final = "1.2.840.113549.1.7.1"
SIGNED: Final = "1.2.840.113549.1.7.2"
ENVELOPED: Final = "1.2.840.113549.1.7.3"
AUTH_ENVELOPED: Final = "1.2.840.113549.1.9.16.1.23"
KINDS: Final = frozenset({SIGNED, ENVELOPED, AUTH_ENVELOPED})
CONTENT_TYPE: Final = "1.2.840.113549.1.9.3"
MESSAGE_DIGEST: Final = "1.2.840.113549.1.9.4"
KEM_RECIPIENT: Final = "1.2.840.113549.1.9.16.13.3"  # RFC 9629
SIGNING_TIME: Final = "1.2.840.113549.1.9.5"
_SET_TAG: Final = 0x31
_MAX_LENGTH_OCTETS: Final = 5


class Attribute(core.Sequence):  # type: ignore[misc]
    _fields: Final = [("type", core.ObjectIdentifier), ("values", core.SetOf, {"spec": core.Any})]


class Attributes(core.SetOf):  # type: ignore[misc]
    _child_spec: Final = Attribute


class SignerInfo(core.Sequence):  # type: ignore[misc]
    _fields: Final = [
        ("version", core.Integer),
        ("sid", cms.SignerIdentifier),
        ("digest_algorithm", _asn1.RawAlgorithm),
        ("signed_attrs", Attributes, {"implicit": 0, "optional": True}),
        ("signature_algorithm", _asn1.RawAlgorithm),
        ("signature", core.OctetString),
        ("unsigned_attrs", Attributes, {"implicit": 1, "optional": True}),
    ]


class SignerInfos(core.SetOf):  # type: ignore[misc]
    _child_spec: Final = SignerInfo


class Algorithms(core.SetOf):  # type: ignore[misc]
    _child_spec: Final = _asn1.RawAlgorithm


class EncapsulatedContent(core.Sequence):  # type: ignore[misc]
    _fields: Final = [("type", core.ObjectIdentifier), ("content", core.Any, {"explicit": 0, "optional": True})]


class SignedData(core.Sequence):  # type: ignore[misc]
    _fields: Final = [
        ("version", core.Integer),
        ("digest_algorithms", Algorithms),
        ("encapsulated", EncapsulatedContent),
        ("certificates", cms.CertificateSet, {"implicit": 0, "optional": True}),
        ("crls", cms.RevocationInfoChoices, {"implicit": 1, "optional": True}),
        ("signers", SignerInfos),
    ]


class EncryptedContent(core.Sequence):  # type: ignore[misc]
    _fields: Final = [
        ("type", core.ObjectIdentifier),
        ("algorithm", _asn1.RawAlgorithm),
        ("content", core.OctetString, {"implicit": 0, "optional": True}),
    ]


class KeyTransport(core.Sequence):  # type: ignore[misc]
    _fields: Final = [
        ("version", core.Integer),
        ("rid", cms.RecipientIdentifier),
        ("algorithm", _asn1.RawAlgorithm),
        ("key", core.OctetString),
    ]


class RecipientKeyId(core.Sequence):  # type: ignore[misc]
    _fields: Final = [
        ("id", core.OctetString),
        ("date", core.GeneralizedTime, {"optional": True}),
        ("other", core.Any, {"optional": True}),
    ]


class AgreementId(core.Choice):  # type: ignore[misc]
    _alternatives: Final = [
        ("issuer_and_serial_number", cms.IssuerAndSerialNumber),
        ("key_id", RecipientKeyId, {"implicit": 0}),
    ]


class AgreedKey(core.Sequence):  # type: ignore[misc]
    _fields: Final = [("rid", AgreementId), ("key", core.OctetString)]


class AgreedKeys(core.SequenceOf):  # type: ignore[misc]
    _child_spec: Final = AgreedKey


class Originator(core.Choice):  # type: ignore[misc]
    _alternatives: Final = [
        ("issuer_and_serial_number", cms.IssuerAndSerialNumber),
        ("subject_key_identifier", core.OctetString, {"implicit": 0}),
        ("originator_key", _asn1.RawSpki, {"implicit": 1}),
    ]


class KeyAgreement(core.Sequence):  # type: ignore[misc]
    _fields: Final = [
        ("version", core.Integer),
        ("originator", Originator, {"explicit": 0}),
        ("ukm", core.OctetString, {"explicit": 1, "optional": True}),
        ("algorithm", _asn1.RawAlgorithm),
        ("keys", AgreedKeys),
    ]


class KeyEncryption(core.Sequence):  # type: ignore[misc]
    _fields: Final = [
        ("version", core.Integer),
        ("kekid", RecipientKeyId),
        ("algorithm", _asn1.RawAlgorithm),
        ("key", core.OctetString),
    ]


class Password(core.Sequence):  # type: ignore[misc]
    _fields: Final = [
        ("version", core.Integer),
        ("derivation", _asn1.RawAlgorithm, {"implicit": 0, "optional": True}),
        ("algorithm", _asn1.RawAlgorithm),
        ("key", core.OctetString),
    ]


class OtherRecipient(core.Sequence):  # type: ignore[misc]
    _fields: Final = [("type", core.ObjectIdentifier), ("value", core.Any)]


class KemRecipient(core.Sequence):  # type: ignore[misc]
    """KEMRecipientInfo (RFC 9629 section 3)."""

    _fields: Final = [
        ("version", core.Integer),
        ("rid", cms.RecipientIdentifier),
        ("kem", _asn1.RawAlgorithm),
        ("ciphertext", core.OctetString),
        ("kdf", _asn1.RawAlgorithm),
        ("kek_length", core.Integer),
        ("ukm", core.OctetString, {"explicit": 0, "optional": True}),
        ("wrap", _asn1.RawAlgorithm),
        ("key", core.OctetString),
    ]


class KemOtherInfo(core.Sequence):  # type: ignore[misc]
    """CMSORIforKEMOtherInfo (RFC 9629 section 5), which the key derivation takes in."""

    _fields: Final = [
        ("wrap", _asn1.RawAlgorithm),
        ("kek_length", core.Integer),
        ("ukm", core.OctetString, {"explicit": 0, "optional": True}),
    ]


class RecipientInfo(core.Choice):  # type: ignore[misc]
    _alternatives: Final = [
        ("ktri", KeyTransport),
        ("kari", KeyAgreement, {"implicit": 1}),
        ("kekri", KeyEncryption, {"implicit": 2}),
        ("pwri", Password, {"implicit": 3}),
        ("ori", OtherRecipient, {"implicit": 4}),
    ]


class RecipientInfos(core.SetOf):  # type: ignore[misc]
    _child_spec: Final = RecipientInfo


class Enveloped(core.Sequence):  # type: ignore[misc]
    _fields: Final = [
        ("version", core.Integer),
        ("originator", cms.OriginatorInfo, {"implicit": 0, "optional": True}),
        ("recipients", RecipientInfos),
        ("encrypted", EncryptedContent),
        ("unprotected", Attributes, {"implicit": 1, "optional": True}),
    ]


class AuthEnveloped(core.Sequence):  # type: ignore[misc]
    """AuthEnvelopedData (RFC 5083 2.1)."""

    _fields: Final = [
        ("version", core.Integer),
        ("originator", cms.OriginatorInfo, {"implicit": 0, "optional": True}),
        ("recipients", RecipientInfos),
        ("encrypted", EncryptedContent),
        ("attributes", Attributes, {"implicit": 1, "optional": True}),
        ("mac", core.OctetString),
        ("unauthenticated", Attributes, {"implicit": 2, "optional": True}),
    ]


class ContentType(core.ObjectIdentifier):  # type: ignore[misc]
    _map: Final = {SIGNED: "signed", ENVELOPED: "enveloped", AUTH_ENVELOPED: "auth_enveloped"}


class ContentInfo(core.Sequence):  # type: ignore[misc]
    _fields: Final = [("content_type", ContentType), ("content", core.Any, {"explicit": 0, "optional": True})]
    _oid_pair: Final = ("content_type", "content")
    _oid_specs: Final = {"signed": SignedData, "enveloped": Enveloped, "auth_enveloped": AuthEnveloped}


class GcmParameters(core.Sequence):  # type: ignore[misc]
    _fields: Final = [("nonce", core.OctetString), ("size", core.Integer, {"default": 12})]


class OaepParameters(core.Sequence):  # type: ignore[misc]
    """RSAES-OAEP-params (RFC 8017 A.2.1); absent fields stand for SHA-1."""

    _fields: Final = [
        ("hash", _asn1.RawAlgorithm, {"explicit": 0, "optional": True}),
        ("mask", _asn1.RawAlgorithm, {"explicit": 1, "optional": True}),
        ("label", _asn1.RawAlgorithm, {"explicit": 2, "optional": True}),
    ]


class SharedInfo(core.Sequence):  # type: ignore[misc]
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
    return _begins(data, KINDS)


def looks_like_envelope(data: bytes) -> bool:
    """Return whether the bytes begin like EnvelopedData or AuthEnvelopedData, in BER or DER."""
    return _begins(data, frozenset({ENVELOPED, AUTH_ENVELOPED}))


def _begins(data: bytes, kinds: Iterable[str]) -> bool:
    if len(data) < 2 or data[0] != 0x30:  # noqa: PLR2004 - tag and length of a SEQUENCE
        return False
    octets = data[1] & 0x7F if data[1] & 0x80 else 0
    if octets > _MAX_LENGTH_OCTETS:
        return False
    rest = data[2 + octets :]
    return any(rest.startswith(core.ObjectIdentifier(oid).dump()) for oid in kinds)


def content_info(data: bytes, allowed: frozenset[str], what: str) -> tuple[str, Any]:
    """Return the kind (dotted) and the parsed content of a message of an allowed kind, or raise FormatError."""
    if not looks_like_cms(data):
        raise FormatError("not CMS SignedData, EnvelopedData or AuthEnvelopedData", field=what)
    with _asn1.guarded(what):
        info = ContentInfo.load(data)
        kind = str(info["content_type"].dotted)
        content = info["content"]
        if kind in allowed and isinstance(content, core.Sequence):
            return kind, content
    raise FormatError(f"the content is of another kind: {kind}", field=what)


def limited(items: Any, limit: int, what: str) -> Sequence[Any]:  # noqa: ANN401 - asn1crypto is untyped
    """Return the items, or raise LimitError where there are more than `limit`."""
    if len(items) > limit:
        raise LimitError(f"{len(items)} {what}, at most {limit} are read", field="CMS")
    return tuple(items)


def hash_id(identifier: Any) -> str:  # noqa: ANN401 - asn1crypto is untyped
    """Return the table's id of a digest AlgorithmIdentifier, or its dotted object identifier."""
    oid = str(identifier["algorithm"].dotted)
    try:
        return by_oid(oid, "hash").id
    except UnsupportedAlgorithmError:
        return oid


def as_set(raw: Any) -> bytes:  # noqa: ANN401 - asn1crypto is untyped
    """Return attributes with the tag SET OF that signatures and tags are computed over (RFC 5652 5.4)."""
    return _asn1.der(_SET_TAG, bytes(raw.contents))


def table_id(oid: str, role: str) -> str:
    """Return the table's id of an object identifier in a role, or the identifier itself."""
    try:
        return by_oid(oid, role).id
    except UnsupportedAlgorithmError:
        return oid
