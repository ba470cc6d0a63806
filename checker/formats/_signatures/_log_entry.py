"""A transparency log's entry: is it about this signature, did the log promise it, and is it in the log's tree?

Each check says what it needs: the body and the Merkle proof need nothing, the promise (signed entry timestamp) and the
checkpoint the declared key of the log. What cannot be checked is said in a note.

Source: sigstore/rekor pkg/types (hashedrekord, dsse and intoto entries), sigstore/rekor-tiles (version 0.0.2).
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from checker.crypto import transparency as logs
from checker.crypto.jose import read_json
from checker.crypto.key_files import read_public_keys
from checker.crypto.keys import PublicKey, certificate_spki
from checker.errors import CryptoError, FormatError
from checker.formats._signatures._bundle import HASHES, Bundle, LogEntry, base64_of, integer

_NAMES: Final = {"sha256": "sha-256", "sha384": "sha-384", "sha512": "sha-512"} | HASHES


@dataclass(frozen=True, kw_only=True)
class LogVerdict:
    """What an entry shows. `time` is when the log took it in (seconds), where it promises that at all."""

    error: str = ""
    time: int | None = None
    time_proved: bool = False
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Claim:
    """What the entry has to be about: the signature, the key that made it, and the digest of what is signed."""

    signature: bytes
    spki: bytes
    digests: Mapping[str, bytes]


def judge(entry: LogEntry, bundle: Bundle, claim: Claim, keys: Sequence[PublicKey]) -> LogVerdict:
    """Say what a log entry shows; `keys` are the declared ones, among which the log's own may be."""
    notes: list[str] = []
    try:
        _match(entry, claim)
        proved = _promise(entry, keys, notes)
        _included(entry, bundle, keys, notes)
    except (FormatError, CryptoError) as error:
        return LogVerdict(error=f"the log entry: {error}", notes=tuple(notes))
    return LogVerdict(time=entry.time if entry.promise else None, time_proved=proved, notes=tuple(notes))


def _log_key(entry: LogEntry, origin: str, keys: Sequence[PublicKey]) -> PublicKey | None:
    return next((key for key in keys if entry.log_id in logs.log_ids(key, origin)), None)


def _promise(entry: LogEntry, keys: Sequence[PublicKey], notes: list[str]) -> bool:
    """Check the signed entry timestamp (rekor: over canonical JSON of four fields) and return whether it holds."""
    if not entry.promise:
        return False
    key = _log_key(entry, "", keys)
    if key is None:
        notes.append("the log's promise was not checked: its key is not declared")
        return False
    fields = {
        "body": base64.b64encode(entry.body).decode(),
        "integratedTime": entry.time or 0,
        "logID": entry.log_id.hex(),
        "logIndex": entry.index,
    }
    message = json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()
    _by_log(key, message, entry.promise, "signed entry timestamp")
    return True


def _by_log(key: PublicKey, message: bytes, signature: bytes, name: str) -> None:
    try:
        logs.verify_by_log(key, message, signature)
    except CryptoError as error:
        raise FormatError(f"does not verify with the log's key: {error}", field=name) from error


def _included(entry: LogEntry, bundle: Bundle, keys: Sequence[PublicKey], notes: list[str]) -> None:
    """Recompute the tree's root, and check who signed it."""
    if entry.proof is None:
        if bundle.version > 1:
            raise FormatError("is missing; bundles have one since version 0.2", field="inclusion proof")
        notes.append("there is no inclusion proof")
        return
    hashes = entry.proof.get("hashes", [])
    if not isinstance(hashes, list):
        raise FormatError("is no list", field="hashes")
    index, size = (integer(entry.proof.get(name, 0), name) for name in ("logIndex", "treeSize"))
    root = logs.root_of(entry.body, index, size, [base64_of(item, "hashes") for item in hashes])
    if root != base64_of(entry.proof.get("rootHash"), "rootHash"):
        raise FormatError("does not lead to the stated root", field="inclusion proof")
    envelope = entry.proof.get("checkpoint")
    text = envelope.get("envelope") if isinstance(envelope, Mapping) else None
    if isinstance(text, str) and text:
        _signed_root(logs.parse_checkpoint(text), entry, size, root, keys, notes)
    elif bundle.version > 1:
        raise FormatError("is missing; bundles have one since version 0.2", field="checkpoint")
    else:
        notes.append("the inclusion proof's root is not signed")


def _signed_root(
    head: logs.Checkpoint, entry: LogEntry, size: int, root: bytes, keys: Sequence[PublicKey], notes: list[str]
) -> None:
    if (head.size, head.root) != (size, root):
        raise FormatError("is about another tree than the inclusion proof", field="checkpoint")
    key = _log_key(entry, head.origin, keys)
    if key is None:
        notes.append("the checkpoint was not checked: the log's key is not declared")
        return
    hints = {item[:4] for item in logs.log_ids(key, head.origin)}
    signed = [raw for _, hint, raw in head.signatures if hint in hints]
    if not signed:
        raise FormatError("carries no signature of the log's key", field="checkpoint")
    _by_log(key, head.text, signed[0], "checkpoint")


def _match(entry: LogEntry, claim: Claim) -> None:
    body = read_json(entry.body, "body")
    kind = body.get("kind") if isinstance(body, Mapping) else None
    spec = body.get("spec") if isinstance(body, Mapping) else None
    if not isinstance(spec, Mapping) or kind not in {"hashedrekord", "dsse", "intoto"}:
        raise FormatError(f"entries of kind {str(kind)[:40]!r} are not read", field="body")
    inner = next((value for name, value in spec.items() if name.endswith("V002") and isinstance(value, Mapping)), spec)
    try:
        digest, signatures = _READERS[str(kind)](inner)
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        raise FormatError(f"lacks a field, or has one of another kind: {error}", field="body") from error
    if not any(_NAMES.get(name) in claim.digests and claim.digests[_NAMES[name]] == value for name, value in digest):
        raise FormatError("is about another digest", field="body")
    if not any(raw == claim.signature for raw, _ in signatures):
        raise FormatError("is about another signature", field="body")
    if not any(raw == claim.signature and _spki(holder) == claim.spki for raw, holder in signatures):
        raise FormatError("names another key", field="body")


_Found = tuple[list[tuple[str, bytes]], list[tuple[bytes, bytes]]]


def _digest(value: Mapping[str, Any]) -> tuple[str, bytes]:
    name = str(value["algorithm"])
    return (name, base64_of(value["digest"], "digest")) if "digest" in value else (name, _hex(value["value"]))


def _hex(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError as error:
        raise FormatError("is not hexadecimal", field="body") from error


def _holder(value: Mapping[str, Any]) -> bytes:
    """Return the key or certificate of a verifier of version 0.0.2."""
    found = value.get("x509Certificate") or value["publicKey"]
    return base64_of(found["rawBytes"], "verifier")


def _hashedrekord(spec: Mapping[str, Any]) -> _Found:
    data, signature = spec["data"], spec["signature"]
    content = base64_of(signature["content"], "signature")
    if "verifier" in signature:
        return [_digest(data)], [(content, _holder(signature["verifier"]))]
    return [_digest(data["hash"])], [(content, base64_of(signature["publicKey"]["content"], "publicKey"))]


def _dsse(spec: Mapping[str, Any]) -> _Found:
    found = []
    for item in spec["signatures"][:16]:
        if "content" in item:
            found.append((base64_of(item["content"], "signature"), _holder(item["verifier"])))
        else:
            found.append((base64_of(item["signature"], "signature"), base64_of(item["verifier"], "verifier")))
    return [_digest(spec["payloadHash"])], found


def _intoto(spec: Mapping[str, Any]) -> _Found:
    content = spec["content"]
    found = []
    for item in content["envelope"]["signatures"][:16]:
        once = base64_of(item["sig"], "signature")  # the log wraps the envelope's own base64 once more
        inner = base64_of(once.decode("ascii", errors="replace"), "signature")
        found.append((inner, base64_of(item["publicKey"], "publicKey")))
    return [_digest(content["payloadHash"])], found


_READERS: Final = {"hashedrekord": _hashedrekord, "dsse": _dsse, "intoto": _intoto}


def _spki(holder: bytes) -> bytes:
    """Return the SubjectPublicKeyInfo of a certificate or key in DER or PEM."""
    try:
        return certificate_spki(holder)
    except FormatError:
        return read_public_keys(holder, "the log entry's key")[0].spki


def payload_digests(payload: bytes) -> dict[str, bytes]:
    """Return the digests under which a log may file an envelope's payload."""
    return {"sha-256": hashlib.sha256(payload).digest()}
