"""The frozen JSON shape of one Artifact: part of report.json, and the whole of `otaudit inspect --format json`."""

from __future__ import annotations

from checker.model.artifact import (
    Artifact,
    CertificateFacts,
    ChainFacts,
    Coverage,
    DigestCheck,
    Encryption,
    Image,
    Inexpressible,
    KeyFacts,
    Recipient,
    Signature,
    Span,
    Version,
    Weakness,
)
from checker.report._values import Json, clean, integer, plain


def artifact_data(artifact: Artifact) -> dict[str, Json]:
    """Return one artifact with everything inside it."""
    return {
        "format": clean(artifact.format),
        "title": clean(artifact.title),
        "name": clean(artifact.name),
        "size": integer(artifact.size),
        "sha256": clean(artifact.sha256),
        "signatures": [_signature(item) for item in artifact.signatures],
        "coverage": _coverage(artifact.coverage),
        "digests": [_digest(item) for item in artifact.digests],
        "encryption": [_encryption(item) for item in artifact.encryption],
        "recipients": [_recipient(item) for item in artifact.recipients],
        "version": _version(artifact.version),
        "hardware": _hardware(artifact.hardware),
        "weaknesses": [_weakness(item) for item in artifact.weaknesses],
        "facts": [{"name": clean(name), "value": clean(value)} for name, value in artifact.facts],
        "images": [_image(item) for item in artifact.images],
    }


def _texts(items: tuple[str, ...]) -> list[Json]:
    return [clean(item) for item in items]


def _number(value: int | None) -> Json:
    return None if value is None else integer(value)


def _span(span: Span | None) -> Json:
    return None if span is None else {"start": integer(span.start), "end": integer(span.end)}


def _spans(spans: tuple[Span, ...]) -> list[Json]:
    return [_span(span) for span in spans]


def _key(key: KeyFacts) -> dict[str, Json]:
    return {
        "id": clean(key.id),
        "algorithm": clean(key.algorithm),
        "bits": _number(key.bits),
        "strength": _number(key.strength),
        "name": clean(key.name),
        "declared": key.declared,
        "published": clean(key.published),
        "exponent": _number(key.exponent),
    }


def _signature(item: Signature) -> dict[str, Json]:
    return {
        "outcome": item.outcome.value,
        "kind": item.kind.value,
        "algorithm": clean(item.algorithm),
        "hash": clean(item.hash),
        "key": _key(item.key),
        "chain": None if item.chain is None else _chain(item.chain),
        "covers": _spans(item.covers),
        "signing_time": clean(item.signing_time),
        "encoding": clean(item.encoding),
        "where": _span(item.where),
        "note": clean(item.note),
    }


def _chain(chain: ChainFacts) -> dict[str, Json]:
    return {
        "certificates": [_certificate(item) for item in chain.certificates],
        "anchor": clean(chain.anchor),
        "anchor_name": clean(chain.anchor_name),
        "valid": chain.valid,
        "error": clean(chain.error),
        "revoked": chain.revoked,
        "checked_at": clean(chain.checked_at),
        "expired": chain.expired,
    }


def _certificate(item: CertificateFacts) -> dict[str, Json]:
    return {
        "sha256": clean(item.sha256),
        "subject": clean(item.subject),
        "issuer": clean(item.issuer),
        "serial": clean(item.serial),
        "key": _key(item.key),
        "signature_algorithm": clean(item.signature_algorithm),
        "signature_hash": clean(item.signature_hash),
        "not_before": clean(item.not_before),
        "not_after": clean(item.not_after),
        "ca": item.ca,
        "path_length": _number(item.path_length),
        "key_usage": _texts(item.key_usage),
        "extended_key_usage": _texts(item.extended_key_usage),
        "crl_urls": _texts(item.crl_urls),
        "ocsp_urls": _texts(item.ocsp_urls),
    }


def _coverage(item: Coverage) -> dict[str, Json]:
    return {
        "payload": _spans(item.payload),
        "uncovered": _spans(item.uncovered),
        "undecided": _spans(item.undecided),
        "metadata": _texts(item.metadata),
        "unprotected_metadata": _texts(item.unprotected_metadata),
        "size_bound": item.size_bound,
    }


def _digest(item: DigestCheck) -> dict[str, Json]:
    return {
        "name": clean(item.name),
        "algorithm": clean(item.algorithm),
        "expected": clean(item.expected),
        "actual": None if item.actual is None else clean(item.actual),
        "matches": item.matches,
        "covers": _spans(item.covers),
        "over": clean(item.over),
        "authentic": item.authentic,
        "note": clean(item.note),
    }


def _encryption(item: Encryption) -> dict[str, Json]:
    return {
        "encrypted": item.encrypted,
        "cipher": clean(item.cipher),
        "mode": clean(item.mode),
        "key_bits": _number(item.key_bits),
        "nonce": clean(item.nonce),
        "tag_bits": _number(item.tag_bits),
        "authenticated": item.authenticated,
        "content_key_digest": clean(item.content_key_digest),
        "decrypted": item.decrypted,
        "key_in_clear": item.key_in_clear,
        "note": clean(item.note),
    }


def _recipient(item: Recipient) -> dict[str, Json]:
    return {
        "algorithm": clean(item.algorithm),
        "key": _key(item.key),
        "ephemeral": clean(item.ephemeral),
        "wrapped": clean(item.wrapped),
        "unwrapped": item.unwrapped,
        "wrapping_bits": _number(item.wrapping_bits),
    }


def _version(item: Version) -> dict[str, Json]:
    return {
        "version": _field(item.version),
        "sequence": _field(item.sequence),
        "authentic": item.authentic,
        "constraints": _texts(item.constraints),
    }


def _field(value: str | int | Inexpressible | None) -> dict[str, Json]:
    """Keep "the format has no such field" apart from "the field is empty", in one shape."""
    expressible = not isinstance(value, Inexpressible)
    return {"expressible": expressible, "value": plain(value) if expressible else None}


def _hardware(value: tuple[str, ...] | Inexpressible) -> dict[str, Json]:
    if isinstance(value, Inexpressible):
        return {"expressible": False, "values": []}
    return {"expressible": True, "values": _texts(value)}


def _weakness(item: Weakness) -> dict[str, Json]:
    return {"code": clean(item.code), "message": clean(item.message), "where": clean(item.where)}


def _image(item: Image) -> dict[str, Json]:
    return {
        "id": clean(item.id),
        "size": integer(item.size),
        "role": clean(item.role),
        "target": clean(item.target),
        "hardware": _texts(item.hardware),
        "span": _span(item.span),
        "digests": [_digest(digest) for digest in item.digests],
        "encryption": _encryption(item.encryption),
        "version": _version(item.version),
        "note": clean(item.note),
        "inner": None if item.inner is None else artifact_data(item.inner),
    }
