"""One Artifact as a tree on the terminal and as canonical JSON, for `otaudit inspect`. The page is in `html`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import rfc8785

from checker.model.artifact import (
    INEXPRESSIBLE,
    Artifact,
    Coverage,
    DigestCheck,
    Encryption,
    Image,
    Inexpressible,
    KeyFacts,
    Recipient,
    Signature,
    Span,
)
from checker.model.terms import Outcome
from checker.report import _words as words
from checker.report._artifact_data import artifact_data
from checker.report._tree import Node, draw

_TONES: Final = {Outcome.VALID: "green", Outcome.INVALID: "red", Outcome.ABSENT: "red"}


def artifact_json(artifact: Artifact) -> bytes:
    """Return one artifact in the shape that report.json gives it, as canonical bytes (RFC 8785)."""
    return rfc8785.dumps(artifact_data(artifact))


def tree(artifact: Artifact, *, colour: bool, width: int) -> str:
    """Return what is in an artifact as an indented tree, with a newline at its end.

    Args:
        artifact: what was opened.
        colour: whether to use ANSI colours (ECMA-48 SGR); every line says the same without them.
        width: columns of the terminal; no line is longer, but for widths below 40.
    """
    return draw([_artifact(artifact)], colour=colour, width=width)


def _artifact(item: Artifact) -> Node:
    below: list[Node] = [("sha-256", item.sha256, "dim", []), ("version", _version(item), "", [])]
    below.append(("hardware", _hardware(item.hardware), "", []))
    below += [_signature(signature) for signature in item.signatures] or [("signature", "none", "red", [])]
    below.append(("coverage", *_coverage(item.coverage), []))
    below += [_digest(digest) for digest in item.digests]
    below += [("encryption", _encryption(encryption), "", []) for encryption in item.encryption]
    below += [("recipient", _recipient(recipient), "", []) for recipient in item.recipients]
    below += [(name, value, "", []) for name, value in item.facts]
    below += [("weak point", _join((weak.code, weak.message, weak.where)), "red", []) for weak in item.weaknesses]
    below += [_image(image) for image in item.images]
    return item.name, f"{item.title or item.format}, {item.size} bytes", "bold", below


def _join(parts: Iterable[str]) -> str:
    return ", ".join(part for part in parts if part)


def _either(value: bool | None, *, yes: str, no: str, unknown: str) -> str:  # noqa: FBT001 - a fact, not a switch
    return unknown if value is None else (yes if value else no)


def _version(item: Artifact) -> str:
    version, sequence = item.version.version, item.version.sequence
    signed = _either(item.version.authentic, yes="inside the signed part", no="outside the signed part", unknown="")
    return _join((_field(version), f"sequence number {_field(sequence)}", signed, *item.version.constraints))


def _field(value: str | int | Inexpressible | None) -> str:
    if value is INEXPRESSIBLE:
        return "not expressible in this format"
    return "not stated" if value is None else str(value)


def _hardware(value: tuple[str, ...] | Inexpressible) -> str:
    return _field(value) if isinstance(value, Inexpressible) else _join(value) or "none named"


def _spans(spans: tuple[Span, ...]) -> str:
    return _join([*map(str, spans[:4]), f"and {len(spans) - 4} more" if len(spans) > 4 else ""])  # noqa: PLR2004


def _key(key: KeyFacts) -> str:
    bits = f"{key.bits} bits" if key.bits else ""
    published = f"PUBLISHED KEY: {key.published}" if key.published else ""
    return " ".join(part for part in (key.algorithm, bits, key.name, key.id[:16], published) if part)


def _signature(item: Signature) -> Node:
    below: list[Node] = []
    if key := _key(item.key):
        below.append(("key", key, "red" if item.key.published else "", []))
    if item.covers:
        below.append(("covers", _spans(item.covers), "", []))
    if item.chain is not None:
        chain = _either(item.chain.valid, yes="valid", no="not valid", unknown="not checked: no anchor given")
        to = f"to {item.chain.anchor_name or item.chain.anchor[:16]}" if item.chain.valid else ""
        below.append(
            ("chain", _join((f"{len(item.chain.certificates)} certificates", chain, to, item.chain.error)), "", [])
        )
    if item.note:
        below.append(("note", item.note, "dim", []))
    how = " with ".join(part for part in (item.algorithm, item.hash) if part)
    text = _join((words.OUTCOMES[item.outcome], how, item.encoding))
    return item.kind.value, text, _TONES.get(item.outcome, "yellow"), below


def _coverage(item: Coverage) -> tuple[str, str]:
    size = _either(item.size_bound, yes="exact size signed", no="exact size not signed", unknown="")
    signed = f"signed: {_join(item.metadata)}" if item.metadata else ""
    loose = f"not signed: {_join(item.unprotected_metadata)}" if item.unprotected_metadata else ""
    if item.uncovered:
        return _join((f"nothing authentic protects {_spans(item.uncovered)}", size, signed, loose)), "red"
    if item.undecided:
        open_ = f"not known for {_spans(item.undecided)}: needs the decryption key"
        return _join((open_, size, signed, loose)), "yellow"
    every = "every payload byte lies inside the signed part" if item.payload else "no payload of its own"
    return _join((every, size, signed, loose)), ""


def _digest(item: DigestCheck) -> Node:
    state = _either(item.matches, yes="equal", no="DIFFERENT", unknown="not computable")
    tone = "yellow" if item.matches is None else ("green" if item.matches else "red")
    place = "inside the signed part" if item.authentic else "not inside a signed part"
    return "digest", _join((state, f"{item.algorithm} over {item.over} of {item.name}", place, item.note)), tone, []


def _encryption(item: Encryption) -> str:
    if not item.encrypted:
        return _join(("not encrypted" if item.encrypted is False else "not known whether it is encrypted", item.note))
    cipher = "-".join(str(part) for part in (item.cipher or "unknown cipher", item.key_bits or "", item.mode) if part)
    tag = _either(item.authenticated, yes="authenticated", no="not authenticated", unknown="")
    opened = _either(item.decrypted, yes="decrypted", no="decryption failed", unknown="decryption not confirmed")
    clear = "THE CONTENT KEY LIES READABLE BESIDE IT" if item.key_in_clear else ""
    return _join((cipher, tag, opened, clear, item.note))


def _recipient(item: Recipient) -> str:
    opened = _either(item.unwrapped, yes="unwrapped", no="not unwrapped", unknown="")
    return _join((item.algorithm, f"to {_key(item.key)}" if _key(item.key) else "", opened))


def _image(item: Image) -> Node:
    text = _join((item.role, f"{item.size} bytes", item.target, str(item.span or ""), *item.hardware))
    below: list[Node] = [_digest(digest) for digest in item.digests]
    if item.encryption.encrypted:
        below.append(("encryption", _encryption(item.encryption), "", []))
    if item.inner is not None:
        below.append(_artifact(item.inner))
    elif item.note and not (item.encryption.encrypted and item.note == item.encryption.note):
        below.append(("note", item.note, "dim", []))
    return item.id, text, "", below
