"""minisign and signify: Ed25519 signatures in two lines of text, to which minisign adds a signed comment.

Source: jedisct1/minisign, "Signature format" (`Ed`: the file itself is signed; `ED`: its BLAKE2b-512; the global
signature is over the signature and the trusted comment); OpenBSD src/usr.bin/signify/signify.c, `struct sig`.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass, field, replace
from typing import Final

from checker.crypto.key_forms.minisign import COMMENT
from checker.crypto.keys import PublicKey
from checker.errors import FormatError
from checker.formats import _common as common
from checker.formats._signatures.contract import (
    MAX_MESSAGE,
    Judged,
    Judgement,
    SignatureKind,
    digests_of,
    message_of,
)
from checker.formats.contract import Context
from checker.model.artifact import Signature, Source
from checker.model.terms import Outcome

TRUSTED: Final = b"trusted comment: "
MAX_LINE: Final = 8192  # bytes, minisign's TRUSTEDCOMMENTMAXBYTES
_SIZE, _GLOBAL_SIZE = 74, 64  # bytes: algorithm, key id and signature; signature
_DIRECT, _PREHASHED = b"Ed", b"ED"
_VERSION: Final = re.compile(r"\bversion[ :=]*v?(\d\S*)", re.IGNORECASE)


@dataclass(frozen=True)
class MiniSignature:
    """A signature file: what names the key, the signature, and minisign's trusted comment with its signature."""

    algorithm: bytes
    key_id: str
    signature: bytes = field(repr=False)
    trusted: bytes | None = None
    global_signature: bytes = field(repr=False, default=b"")
    end: int = 0  # bytes that were read

    @property
    def encoding(self) -> str:
        """Return the name of the form."""
        if self.trusted is None:
            return "signify"
        return "minisign prehashed" if self.algorithm == _PREHASHED else "minisign legacy"


def parse(data: bytes) -> MiniSignature:
    """Return the signature that a file begins with.

    Raises:
        FormatError: a line is missing, too long, not base64, or does not hold what it should.
    """
    comment, at = _line(data, 0)
    if not comment.startswith(COMMENT):
        raise FormatError("the first line is no untrusted comment", field="untrusted comment")
    text, end = _line(data, at)
    raw = _decode(text, at, "signature")
    if len(raw) != _SIZE or raw[:2] not in {_DIRECT, _PREHASHED}:
        raise FormatError(f"{len(raw)} bytes that begin with {raw[:2]!r}", offset=at, field="signature")
    found = MiniSignature(raw[:2], raw[2:10].hex(), raw[10:], end=end)
    if not data[end:].startswith(TRUSTED):
        if found.algorithm == _PREHASHED:  # signify knows no such signatures, and minisign demands the comment
            raise FormatError("is missing", offset=end, field="trusted comment")
        return found
    trusted, at = _line(data, end)
    text, end = _line(data, at)
    over = _decode(text, at, "global signature")
    if len(over) != _GLOBAL_SIZE:
        raise FormatError(f"{len(over)} bytes", offset=at, field="global signature")
    return replace(found, trusted=trusted[len(TRUSTED) :], global_signature=over, end=end)


def _line(data: bytes, at: int) -> tuple[bytes, int]:
    end = data.find(b"\n", at, at + MAX_LINE)
    if end < 0 and len(data) - at >= MAX_LINE:
        raise FormatError(f"a line has more than {MAX_LINE} bytes", offset=at, field="signature file")
    end = len(data) if end < 0 else end
    return data[at:end].rstrip(b"\r"), min(end + 1, len(data))


def _decode(text: bytes, at: int, name: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise FormatError("is not base64", offset=at, field=name) from error


def judge(source: Source, data: bytes, context: Context) -> Judged:
    """Say what is known of a minisign or signify signature over a file."""
    try:
        found = parse(data)
    except FormatError as error:
        note = f"the signature file is damaged: {error}"
        return Judgement(signatures=(Signature(outcome=Outcome.INVALID, encoding="minisign or signify", note=note),))
    message: bytes | None
    if found.algorithm == _PREHASHED:
        message = (yield from digests_of(source, ("blake2b-512",)))["blake2b-512"]
    else:
        message = message_of(source)
    hash_name = "blake2b-512" if found.algorithm == _PREHASHED else "sha-512"
    blank = Signature(outcome=Outcome.KEY_UNKNOWN, algorithm="ed25519", hash=hash_name, encoding=found.encoding)
    return _decide(found, message, blank, context)


def _decide(found: MiniSignature, message: bytes | None, blank: Signature, context: Context) -> Judgement:
    keys = [key for key in context.keys.verifiers if key.facts.algorithm == "ed25519"]
    named = [key for key in keys if key.terms is not None and found.key_id in key.terms.ids]
    bare = [key for key in keys if key.terms is None or not key.terms.ids]
    comment = _comment(found)
    if message is None:
        note = f"Ed25519 signs the file itself, which is larger than MAX_MESSAGE ({MAX_MESSAGE})"
        outcome = Outcome.UNDECIDABLE if named or bare else Outcome.KEY_UNKNOWN
        return _told(replace(blank, outcome=outcome, note=note), comment)
    key = next((key for key in (*named, *bare) if _holds(key, message, found.signature)), None)
    if key is None:
        return _told(_refused(found, named, blank), comment)
    if found.trusted is not None and not _holds(key, found.signature + found.trusted, found.global_signature):
        note = "the trusted comment's own signature does not verify"
        return _told(replace(blank, outcome=Outcome.INVALID, key=key.facts, note=note), comment)
    valid = replace(blank, outcome=Outcome.VALID, key=key.facts)
    version = _VERSION.search(comment)
    facts = (("trusted comment", comment),) if found.trusted is not None else ()
    return Judgement(signatures=(valid,), version=version[1] if version else None, facts=facts)


def _refused(found: MiniSignature, named: list[PublicKey], blank: Signature) -> Signature:
    if not named:
        return replace(blank, note=f"no declared key has the key id {found.key_id}")
    return replace(blank, outcome=Outcome.INVALID, key=named[0].facts, note="the signature does not verify")


def _told(signature: Signature, comment: str) -> Judgement:
    facts = (("trusted comment (not verified)", comment),) if comment else ()
    return Judgement(signatures=(signature,), facts=facts)


def _comment(found: MiniSignature) -> str:
    text = (found.trusted or b"").decode("utf-8", errors="replace")
    return "".join(letter if letter.isprintable() or letter == "\t" else "?" for letter in text)


def _holds(key: PublicKey, message: bytes, signature: bytes) -> bool:
    return common.check_message(key, "ed25519", "", message, signature)[0] is Outcome.VALID


KIND: Final = SignatureKind(
    id="minisign",
    title="minisign or signify",
    detect=lambda data, _: data.startswith(COMMENT),
    judge=judge,
    references=("jedisct1/minisign, Signature format", "OpenBSD signify(1)", "RFC 8032", "RFC 7693"),
)
