"""A file with its signature beside it: CMS, minisign, signify, OpenPGP, or raw (formats.md 3.11).

Of an encrypted CMS message (`.p7m`) that is signed so, the payload is its ciphertext. Sigstore bundles are not signed
again: their certificates come from a public authority, and their log entries from a public log.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from checker.crypto.cms_layout import AUTH_ENVELOPED
from checker.crypto.key_forms.minisign import COMMENT
from checker.crypto.staging import Signer
from checker.errors import FormatError
from checker.formats._raw_signature import looks_like_pgp
from checker.io.limits import MAX_HEADER
from checker.model.artifact import Span
from checker.trials._edits import changed_source, whole
from checker.trials.anatomies import _minisign_parts, _openpgp_parts, _raw_parts
from checker.trials.anatomies._cms_parts import CmsParts
from checker.trials.anatomies.cms import envelope
from checker.trials.contract import ARTIFACT, Anatomy, Body, Change, Genuine, Part

SIGNATURE: Final = "signature"
_HEAD: Final = 4096


def _read(genuine: Genuine) -> Body:
    if SIGNATURE not in genuine.files:
        raise FormatError("carries its signature in itself, and such files are not taken apart", field=SIGNATURE)
    payload, cipher, tagged = _content(genuine)
    body = _signature(genuine, payload)
    notes = {**body.notes, **({} if cipher else {"cipher": "the file is not encrypted, as far as is known"})}
    return replace(body, cipher=cipher, tagged=tagged, outer=True, notes=notes)


def _content(genuine: Genuine) -> tuple[tuple[Part, ...], tuple[Part, ...], bool]:
    """Return payload and cipher parts, and whether the cipher has a tag."""
    source = genuine.source
    found = envelope(source.read(0, source.size)) if source.size <= MAX_HEADER else None
    if found is None:
        return (Part(name="content", span=Span(0, source.size)),), (), False
    cipher = tuple(Part(name=name, span=span) for name, span in found.cipher)
    return tuple(part for part in cipher if part.name == "ciphertext"), cipher, found.kind == AUTH_ENVELOPED


def _signature(genuine: Genuine, payload: tuple[Part, ...]) -> Body:
    head = genuine.files[SIGNATURE].read(0, _HEAD)
    if head.startswith(COMMENT):
        return _minisign_parts.read(genuine, SIGNATURE, payload=payload)
    if looks_like_pgp(head):
        return _openpgp_parts.read(genuine, SIGNATURE, payload=payload)
    if head.lstrip()[:1] == b"{":
        return _closed(genuine, payload, "sigstore's certificates and log entries come from public services")
    try:
        parts = CmsParts.of_file(genuine.files[SIGNATURE], SIGNATURE)
    except FormatError:
        return _raw_parts.read(genuine, SIGNATURE, payload=payload)
    return _cms(genuine, parts, payload)


def _closed(genuine: Genuine, payload: tuple[Part, ...], why: str) -> Body:
    """Return the body of a signature file of which only the whole is known: it can be left out, and no more."""
    del genuine
    fields = ("metadata", "signatures", "signed_by", "resigned", "weakly", "algorithms")
    return Body(
        payload=payload,
        direct=True,
        stripped=Change(without=frozenset({SIGNATURE})),
        notes=dict.fromkeys(fields, why),
    )


def _cms(genuine: Genuine, parts: CmsParts, payload: tuple[Part, ...]) -> Body:
    def signed(signer: Signer, change: Change, hash_name: str = "") -> Change:
        new = parts.signed_by(signer, whole(changed_source(genuine, ARTIFACT, change)), hash_name)
        return Change(changed={**change.changed, **new.changed}, without=change.without)

    body = Body(
        payload=payload,
        direct=True,
        stripped=Change(without=frozenset({SIGNATURE})),
        signed_by=lambda signer: signed(signer, Change()),
        resigned=signed,
        weakly=lambda signer, hash_name: signed(signer, Change(), hash_name),
    )
    return parts.onto(body)


ANATOMY = Anatomy(id="detached", read=_read)
