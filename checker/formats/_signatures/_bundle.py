"""sigstore's files as one structure: bundles of version 0.1 to 0.3, cosign's older bundles, and its separate files.

Source: sigstore/protobuf-specs protos/sigstore_bundle.proto; sigstore/cosign pkg/cosign (its older bundle
with `base64Signature`, `cert` and `rekorBundle`).
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from checker.crypto.jose import read_json
from checker.errors import FormatError

MEDIA_TYPE: Final = "application/vnd.dev.sigstore.bundle"
MAX_ENTRIES: Final = 16  # log entries of one bundle; real ones have one
MAX_TIMESTAMPS: Final = 32  # as sigstore's own clients
_VERSION: Final = re.compile(r"application/vnd\.dev\.sigstore\.bundle(?:\+json;version=|\.v)0\.([123])(?:\+json)?")
HASHES: Final = {"SHA2_256": "sha-256", "SHA2_384": "sha-384", "SHA2_512": "sha-512"}
_PEM: Final = re.compile(rb"-----BEGIN CERTIFICATE-----(.*?)-----END CERTIFICATE-----", re.DOTALL)


@dataclass(frozen=True, kw_only=True)
class LogEntry:
    """A log entry as a bundle tells it. `promise` is the signed entry timestamp, `proof` the inclusion proof."""

    log_id: bytes
    index: int
    time: int | None
    body: bytes = field(repr=False)
    promise: bytes = field(repr=False, default=b"")
    proof: Mapping[str, Any] | None = field(repr=False, default=None)


@dataclass(frozen=True, kw_only=True)
class Envelope:
    """A DSSE envelope: what is signed is `authentication_code`, not the payload alone."""

    payload: bytes = field(repr=False)
    payload_type: str

    @property
    def signed(self) -> bytes:
        """Return the pre-authentication encoding (DSSE protocol.md)."""
        kind = self.payload_type.encode()
        return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(self.payload), self.payload)


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """All that a signer hands over. `version` is the minor one of a bundle, 0 for cosign's older forms."""

    version: int = 0
    certificates: tuple[bytes, ...] = ()
    signature: bytes = field(repr=False)
    envelope: Envelope | None = None
    digest: tuple[str, bytes] | None = None  # as the bundle states it: a hash of the table, and the value
    entries: tuple[LogEntry, ...] = ()
    timestamps: tuple[bytes, ...] = field(repr=False, default=())


def read(data: bytes) -> Bundle:
    """Return the content of a bundle file.

    Raises:
        FormatError: it is damaged, of another version, or lacks what its version demands.
    """
    value = read_json(data, "bundle")
    if not isinstance(value, Mapping):
        raise FormatError("is no object", field="bundle")
    if "base64Signature" in value:
        return _cosign(value)
    version = _VERSION.fullmatch(_text(value, "mediaType"))
    if version is None:
        raise FormatError(f"bundles of type {_text(value, 'mediaType')[:80]!r} are not read", field="mediaType")
    material = _object(value, "verificationMaterial")
    stamps = _objects(
        _object(material, "timestampVerificationData", optional=True), "rfc3161Timestamps", MAX_TIMESTAMPS
    )
    timestamps = tuple(_bytes(item, "signedTimestamp") for item in stamps)
    if len(set(timestamps)) != len(timestamps):
        raise FormatError("a time stamp occurs twice", field="rfc3161Timestamps")
    signature, envelope, digest = _signed(value)
    return Bundle(
        version=int(version[1]),
        certificates=_certificates(material),
        signature=signature,
        envelope=envelope,
        digest=digest,
        entries=tuple(_entry(item) for item in _objects(material, "tlogEntries", MAX_ENTRIES)),
        timestamps=timestamps,
    )


def _signed(value: Mapping[str, Any]) -> tuple[bytes, Envelope | None, tuple[str, bytes] | None]:
    if ("messageSignature" in value) == ("dsseEnvelope" in value):
        raise FormatError("has neither one message signature nor one envelope", field="bundle")
    if "dsseEnvelope" in value:
        envelope = _object(value, "dsseEnvelope")
        (entry,) = _objects(envelope, "signatures", 1) or ({},)
        found = Envelope(payload=_bytes(envelope, "payload"), payload_type=_text(envelope, "payloadType"))
        return _bytes(entry, "sig"), found, None
    message = _object(value, "messageSignature")
    stated = _object(message, "messageDigest", optional=True)
    name = stated.get("algorithm")
    digest = (HASHES[name], _bytes(stated, "digest")) if isinstance(name, str) and name in HASHES else None
    return _bytes(message, "signature"), None, digest


def _certificates(material: Mapping[str, Any]) -> tuple[bytes, ...]:
    if "certificate" in material:
        return (_bytes(_object(material, "certificate"), "rawBytes"),)
    if "x509CertificateChain" in material:
        chain = _objects(_object(material, "x509CertificateChain"), "certificates", MAX_ENTRIES)
        return tuple(_bytes(item, "rawBytes") for item in chain)
    return ()


def _entry(item: Mapping[str, Any]) -> LogEntry:
    promise = _object(item, "inclusionPromise", optional=True)
    return LogEntry(
        log_id=_bytes(_object(item, "logId"), "keyId"),
        index=integer(item.get("logIndex", 0), "logIndex"),
        time=integer(item["integratedTime"], "integratedTime") or None if "integratedTime" in item else None,
        body=_bytes(item, "canonicalizedBody"),
        promise=_bytes(promise, "signedEntryTimestamp") if promise else b"",
        proof=_object(item, "inclusionProof") if "inclusionProof" in item else None,
    )


def _cosign(value: Mapping[str, Any]) -> Bundle:
    certificate = base64_of(value["cert"], "cert") if value.get("cert") else b""
    entries = (cosign_entry(_object(value, "rekorBundle")),) if value.get("rekorBundle") else ()
    return Bundle(signature=_bytes(value, "base64Signature"), certificates=pem(certificate), entries=entries)


def cosign_entry(value: Mapping[str, Any]) -> LogEntry:
    """Return the log entry of cosign's `rekorBundle`.

    Raises:
        FormatError: it is damaged.
    """
    payload = _object(value, "Payload")
    try:
        log_id = bytes.fromhex(_text(payload, "logID"))
    except ValueError as error:
        raise FormatError("is not hexadecimal", field="logID") from error
    return LogEntry(
        log_id=log_id,
        index=integer(payload.get("logIndex"), "logIndex"),
        time=integer(payload.get("integratedTime"), "integratedTime"),
        body=_bytes(payload, "body"),
        promise=_bytes(value, "SignedEntryTimestamp"),
    )


def pem(data: bytes) -> tuple[bytes, ...]:
    """Return the DER certificates of PEM text, of base64 over PEM text, or of DER.

    Raises:
        FormatError: a block is not base64.
    """
    if not data:
        return ()
    if data[:1] != b"\x30" and b"-----BEGIN" not in data:
        data = base64_of(data.decode("ascii", errors="replace"), "certificate")
    blocks = _PEM.findall(data)
    return tuple(base64_of(block.decode("ascii", errors="replace"), "certificate") for block in blocks) or (data,)


def base64_of(text: Any, name: str) -> bytes:  # noqa: ANN401 - parsed JSON
    """Return the bytes of base64 text, which may be broken into lines.

    Raises:
        FormatError: it is none.
    """
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (AttributeError, ValueError, binascii.Error) as error:
        raise FormatError("is not base64", field=name) from error


def integer(value: Any, name: str) -> int:  # noqa: ANN401 - parsed JSON
    """Return a whole number of 64 bits, which Protocol Buffers write as text in JSON.

    Raises:
        FormatError: it is none.
    """
    text = str(value) if isinstance(value, (int, str)) and not isinstance(value, bool) else ""
    if not re.fullmatch(r"\d{1,19}", text, re.ASCII):
        raise FormatError("is no whole number", field=name)
    return int(text)


def _object(value: Mapping[str, Any], name: str, *, optional: bool = False) -> Mapping[str, Any]:
    found = value.get(name, {} if optional else None)
    if not isinstance(found, Mapping):
        raise FormatError("is missing, or no object", field=name)
    return found


def _objects(value: Mapping[str, Any], name: str, limit: int) -> Sequence[Mapping[str, Any]]:
    found = value.get(name, [])
    if not isinstance(found, list) or len(found) > limit or not all(isinstance(item, Mapping) for item in found):
        raise FormatError(f"is no list of at most {limit} objects", field=name)
    return found


def _text(value: Mapping[str, Any], name: str) -> str:
    found = value.get(name)
    if not isinstance(found, str) or any("\ud800" <= letter <= "\udfff" for letter in found):
        raise FormatError("is missing, or no text", field=name)
    return found


def _bytes(value: Mapping[str, Any], name: str) -> bytes:
    return base64_of(_text(value, name), name)
