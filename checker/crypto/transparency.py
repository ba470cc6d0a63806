"""Transparency logs: Merkle proofs, signed notes, time stamps, and what a Fulcio certificate says of its owner.

Source: RFC 6962 2.1 (Merkle trees), C2SP tlog-checkpoint and signed-note, RFC 3161 (time stamps), sigstore/fulcio
docs/oid-info.md (certificate extensions under 1.3.6.1.4.1.57264).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from asn1crypto import core, tsp, x509

from checker.crypto import _asn1
from checker.crypto.certificates import rfc3339
from checker.crypto.cms import SignedMessage
from checker.crypto.keyring import KeyRing
from checker.crypto.keys import PublicKey
from checker.crypto.signatures import verify_message
from checker.errors import FormatError
from checker.model.artifact import Signature
from checker.model.terms import Outcome

MAX_PROOF: Final = 64  # hashes of an inclusion proof: a log of 2^64 entries
MAX_NOTE_SIGNATURES: Final = 64  # witnesses sign too; a handful do
TIME_STAMPING: Final = "timeStamping"
_ISSUER: Final = ("1.3.6.1.4.1.57264.1.8", "1.3.6.1.4.1.57264.1.1")  # DER text; the older one is bare text
_HASH: Final = 32
_SIGNED_DATA: Final = b"\n\n"


def root_of(leaf: bytes, index: int, size: int, hashes: Sequence[bytes]) -> bytes:
    """Return the root that an inclusion proof leads to (RFC 6962 2.1.1, in the form of RFC 9162 2.1.3.2).

    Raises:
        FormatError: index, size and number of hashes do not fit each other.
    """
    if not 0 <= index < size or len(hashes) > MAX_PROOF or any(len(item) != _HASH for item in hashes):
        raise FormatError(f"entry {index} of {size} with {len(hashes)} hashes", field="inclusion proof")
    node, last, value = index, size - 1, hashlib.sha256(b"\0" + leaf).digest()
    for item in hashes:
        if last == 0:
            raise FormatError("more hashes than the tree has levels", field="inclusion proof")
        if node & 1 or node == last:
            value = _parent(item, value)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            value = _parent(value, item)
        node, last = node >> 1, last >> 1
    if last:
        raise FormatError("fewer hashes than the tree has levels", field="inclusion proof")
    return value


def _parent(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\1" + left + right).digest()


@dataclass(frozen=True)
class Checkpoint:
    """A signed tree head: the log's name, size and root, the signed text, and signatures as (name, hint, bytes)."""

    origin: str
    size: int
    root: bytes
    text: bytes = field(repr=False)
    signatures: tuple[tuple[str, bytes, bytes], ...] = field(repr=False)


def parse_checkpoint(envelope: str) -> Checkpoint:
    """Return a checkpoint in the form of a signed note (C2SP tlog-checkpoint).

    Raises:
        FormatError: a line is missing or damaged.
    """
    data = envelope.encode("utf-8", errors="replace")
    text, found, rest = data.rpartition(_SIGNED_DATA)
    lines = text.split(b"\n")
    if not found or len(lines) < 3 or not lines[1].isdigit():  # noqa: PLR2004 - origin, size, root
        raise FormatError("is no signed note of a tree head", field="checkpoint")
    signatures = tuple(_note_line(line) for line in rest.split(b"\n") if line)
    if not signatures or len(signatures) > MAX_NOTE_SIGNATURES:
        raise FormatError(f"{len(signatures)} signatures", field="checkpoint")
    return Checkpoint(lines[0].decode(errors="replace"), _size(lines[1]), _base64(lines[2]), text + b"\n", signatures)


def _size(digits: bytes) -> int:
    if len(digits) > len(str(2**64)):
        raise FormatError("the tree's size has too many digits", field="checkpoint")
    return int(digits)


def _note_line(line: bytes) -> tuple[str, bytes, bytes]:
    parts = line.decode(errors="replace").split(" ")
    if len(parts) != 3 or parts[0] != "—":  # noqa: PLR2004 - C2SP signed-note: dash, name, signature
        raise FormatError("a signature line is damaged", field="checkpoint")
    raw = _base64(parts[2].encode())
    return parts[1], raw[:4], raw[4:]


def _base64(text: bytes) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise FormatError("is not base64", field="checkpoint") from error


def log_ids(key: PublicKey, origin: str) -> tuple[bytes, ...]:
    """Return the identities that logs give a key: RFC 6962's, and that of a signed note (C2SP signed-note)."""
    note = hashlib.sha256(origin.encode() + b"\n\1" + key.raw).digest()
    return (bytes.fromhex(key.spki_sha256), note)


def verify_by_log(key: PublicKey, message: bytes, signature: bytes) -> None:
    """Verify what a log signs: ECDSA or RSA v1.5 with SHA-256, or Ed25519.

    Raises:
        InvalidSignatureError: it does not verify.
        UnsupportedAlgorithmError: the key is of another kind.
    """
    kind = key.facts.algorithm
    algorithm = {"rsa": "rsa-pkcs1v15", "ed25519": "ed25519"}.get(kind, "ecdsa")
    verify_message(key, algorithm, "sha-256", message, signature)


@dataclass(frozen=True)
class Timestamp:
    """A time-stamp token (RFC 3161): its time, and the digest that it covers."""

    time: str
    hash_oid: str
    digest: bytes = field(repr=False)
    message: SignedMessage = field(repr=False)

    def verify(self, ring: KeyRing, as_of: str) -> Signature:
        """Return the authority's signature; it counts only where the certificate is one for time stamps.

        Raises:
            FormatError: `as_of` is no time.
        """
        signatures = self.message.verify(None, ring, as_of, "")
        if len(signatures) != 1:
            return Signature(outcome=Outcome.INVALID, note=f"{len(signatures)} signers; a time stamp has one")
        (found,) = signatures
        leaf = found.chain.certificates[0] if found.chain and found.chain.certificates else None
        if found.outcome is Outcome.VALID and (leaf is None or TIME_STAMPING not in leaf.extended_key_usage):
            return Signature(outcome=Outcome.INVALID, note="the certificate is not one for time stamps")
        return found


def parse_timestamp(data: bytes) -> Timestamp:
    """Return the token of a DER TimeStampResp, or a bare token.

    Raises:
        FormatError: it is damaged, or the authority refused.
    """
    with _asn1.guarded("time stamp"):
        response = tsp.TimeStampResp.load(data, strict=True)
        status = response["status"]["status"].native
        token = bytes(response["time_stamp_token"].dump())
    if status not in {"granted", "granted_with_mods"}:
        raise FormatError(f"the authority answered {status}", field="time stamp")
    message = SignedMessage.parse(token)
    with _asn1.guarded("time stamp"):
        info = tsp.TSTInfo.load(message.content or b"", strict=True)
        imprint = info["message_imprint"]
        return Timestamp(
            rfc3339(info["gen_time"].native),
            str(imprint["hash_algorithm"]["algorithm"].dotted),
            bytes(imprint["hashed_message"].native),
            message,
        )


@dataclass(frozen=True)
class Identity:
    """Whom a certificate authority for short-lived certificates vouches for, and who told it."""

    names: tuple[str, ...]
    issuer: str


def identity_of(certificate: bytes) -> Identity:
    """Return the alternative names and the identity provider of a DER certificate.

    Raises:
        FormatError: it is damaged.
    """
    with _asn1.guarded("certificate"):
        parsed = x509.Certificate.load(certificate, strict=True)
        names = tuple(_name(item) for item in parsed.subject_alt_name_value or ())
        extensions = {str(e["extn_id"].dotted): e["extn_value"] for e in parsed["tbs_certificate"]["extensions"]}
        raw = {oid: bytes(extensions[oid].contents) for oid in _ISSUER if oid in extensions}
        text = core.UTF8String.load(raw[_ISSUER[0]], strict=True).native if _ISSUER[0] in raw else ""
        return Identity(names, str(text) or raw.get(_ISSUER[1], b"").decode("utf-8", errors="replace"))


def _name(item: Any) -> str:  # noqa: ANN401 - asn1crypto is untyped
    return f"other name {sorted(item.native.items())}" if item.name == "other_name" else str(item.native)
