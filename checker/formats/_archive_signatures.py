"""Signature files inside an archive: which member each one signs, and what is known of it.

A signature is judged by `detached`, whatever its kind, or as a JWS; nothing about kinds of signatures is known here.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from checker.crypto.jose import looks_like_jws, parse_jws
from checker.errors import FormatError
from checker.formats import _embedded, detached
from checker.formats._archive_lists import Listing
from checker.formats._archive_members import Entry, plain
from checker.formats._jws import judge_jws
from checker.formats.contract import Context
from checker.io.digests import DigestRequest
from checker.io.limits import MAX_HEADER
from checker.io.sources import BytesSource
from checker.model.artifact import Signature, Source
from checker.model.terms import Outcome

Judged = Generator[Sequence[DigestRequest], Mapping[DigestRequest, bytes], tuple[Signature, ...]]
MAX_SIGNATURE: Final = 1024 * 1024  # bytes: a CMS message with a long chain has some 20 KB
_ENDING: Final = re.compile(
    r"(?i)\.(sig|asc|minisig|signify|p7s|p7m|p7b|p7|pkcs7|cms|sign|signed|signature|gpg|pgp|jws|jwt|sigstore(\.json)?|bundle)$"
)
_GENERIC: Final = re.compile(r"(?i)(^|/)(signature|sign|sig)([-_.][\w.]*)?$")
_JWS_ENDINGS: Final = (".jws", ".jwt")
_TEXT_ENDING: Final = re.compile(r"(?i)\.(txt|json|ya?ml|list|sums?)$")


@dataclass(frozen=True)
class Pair:
    """A signature file and the member that it signs; None where it names none, or carries its content inside."""

    file: Entry
    signed: Entry | None


def pair(files: Sequence[Entry], lists: Iterable[Listing]) -> tuple[Pair, ...]:
    """Return the signature files, each with the member that it is called after, or with the only list beside it."""
    by_name = {plain(entry.name): entry for entry in files}
    by_stem: dict[str, Entry] = {}
    for name, entry in by_name.items():
        if _TEXT_ENDING.search(name):
            by_stem.setdefault(_TEXT_ENDING.sub("", name), entry)
    listed = [by_name[plain(listing.name)] for listing in lists]
    found = []
    for name, entry in by_name.items():
        ending = _ENDING.search(name)
        stem = name[: ending.start()] if ending else ""
        target = by_name.get(stem) or by_stem.get(stem)
        if target is None and _GENERIC.search(name):
            beside = [item for item in listed if _folder(item.name) == _folder(name)]
            target = beside[0] if len(beside) == 1 else None
        if (target is not None or (ending and name.lower().endswith(_JWS_ENDINGS))) and _may_sign(entry):
            found.append(Pair(entry, target))
    return tuple(found)


def _may_sign(entry: Entry) -> bool:
    """Return whether a file that is called like a signature may be one: a script of that name is none."""
    data = read(entry)
    if data is None or not data.isascii():
        return entry.size <= MAX_SIGNATURE or entry.content is None
    marked = data.lstrip().startswith((b"-----BEGIN ", b"untrusted comment:", b"{"))
    return not data.strip() or marked or re.fullmatch(rb"[A-Za-z0-9+/=_.\s-]+", data) is not None


def _folder(name: str) -> str:
    return plain(name).rpartition("/")[0]


def read(entry: Entry, limit: int = MAX_SIGNATURE) -> bytes | None:
    """Return a small member's content, None where it is too large or cannot be read."""
    if entry.content is None or entry.size > limit:
        return None
    return entry.content.read(0, entry.size)


def carries(data: bytes) -> bool:
    """Return whether a file carries what it signs: clear-signed OpenPGP, signify's `-e`, a damaged one included."""
    try:
        return _embedded.find(BytesSource("list", data)) is not None
    except FormatError:
        return True


def payload_of(file: Entry) -> bytes:
    """Return what a file signs that carries it, nothing where that cannot be read."""
    data = read(file) or b""
    try:
        if _is_jws(file, data):
            return parse_jws(data)[0].payload
        found = _embedded.find(BytesSource(file.name, data))
    except FormatError:
        return b""
    return found.content.read(0, found.content.size) if found else b""


def _is_jws(file: Entry, data: bytes) -> bool:
    return file.name.lower().endswith(_JWS_ENDINGS) or looks_like_jws(data)


def judge(pair_: Pair, context: Context) -> Judged:
    """Return what is known of one signature file, over its member or over what it carries."""
    file, signed = pair_.file, pair_.signed
    data = read(file)
    if data is None or (signed is not None and signed.content is None):
        note = file.why or (signed.why if signed else "") or f"has more than MAX_SIGNATURE ({MAX_SIGNATURE}) bytes"
        return (Signature(outcome=Outcome.UNDECIDABLE, note=f"{file.name}: {note}"),)
    if _is_jws(file, data):
        found = _judge_jws(data, signed, context)
    else:
        found = yield from _detached(BytesSource(file.name, data), signed, context)
    place = f"{file.name} over {signed.name}" if signed else f"{file.name} over what it carries"
    return tuple(
        replace(
            signature,
            covers=((signed or file).span,) if signature.outcome is not Outcome.ABSENT else (),
            where=file.span,
            note=f"{place}: {signature.note}" if signature.note else place,
        )
        for signature in found
    )


def _detached(signature: Source, signed: Entry | None, context: Context) -> Judged:
    """Let `detached` judge; without a member, the file is its own content and signature."""
    content = signed.content if signed else None
    inside = replace(context, companions={} if content is None else {detached.COMPANION: signature})
    try:
        artifact = yield from detached.FORMAT.parse(content or signature, inside)
    except FormatError as error:
        return (Signature(outcome=Outcome.INVALID, note=str(error)),)
    return artifact.signatures


def _judge_jws(data: bytes, signed: Entry | None, context: Context) -> tuple[Signature, ...]:
    """Return what is known of a JWS; a payload that is not the signed member makes it invalid."""
    if signed is not None and signed.size > MAX_HEADER:
        note = f"{signed.name} has more than MAX_HEADER ({MAX_HEADER}) bytes"
        return (Signature(outcome=Outcome.UNDECIDABLE, encoding="JWS", note=note),)
    content = signed.content.read(0, signed.size) if signed and signed.content else None
    try:
        every = parse_jws(data, content)
    except FormatError as error:
        return (Signature(outcome=Outcome.INVALID, encoding="JWS", note=str(error)),)
    if content is not None and every[0].payload != content:
        note = "its payload is not the signed file"
        return (Signature(outcome=Outcome.INVALID, encoding="JWS", note=note),)
    return tuple(judge_jws(jws, context.keys.verifiers) for jws in every)
