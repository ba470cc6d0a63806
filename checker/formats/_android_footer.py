"""The whole-file signature of an Android package: CMS in the comment of the zip, found by a footer of six bytes.

Source: AOSP bootable/recovery install/verifier.cpp and build/tools/signapk. The footer is the offset of the CMS from
the end, 0xFFFF, and the size of the comment. The signature is over all bytes but the comment and the two of its length.
A second end-of-central-directory mark behind the first is refused there: readers would disagree about the content.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from checker.crypto.cms import SignedMessage
from checker.errors import CryptoError, FormatError, UnsupportedAlgorithmError
from checker.formats.contract import Context
from checker.io.digests import DigestRequest, supported
from checker.model.artifact import Signature, Source, Span
from checker.model.terms import Outcome

FOOTER_SIZE: Final = 6
END_SIZE: Final = 22  # of the end record without its comment
END_MARK: Final = b"PK\x05\x06"
MARK: Final = b"\xff\xff"
_SIGNED_DATA: Final = bytes.fromhex("2a864886f70d010702")  # OID 1.2.840.113549.1.7.2, in any CMS SignedData
_HASHES: Final = frozenset({"sha-1", "sha-256"})  # all that recovery knows
_LARGEST: Final = END_SIZE + 0xFFFF

Judging = Generator[Sequence[DigestRequest], Mapping[DigestRequest, bytes], tuple[Signature, ...]]


@dataclass(frozen=True, kw_only=True)
class Footer:
    """What the end of the file says. `fault` is why recovery refuses it, or empty."""

    signed: Span
    cms: Span
    fault: str = ""
    second_end: bool = False


def read_footer(source: Source) -> Footer | None:
    """Return the footer at the very end of the file, or None where there is none."""
    tail = source.read(max(0, source.size - _LARGEST), _LARGEST)
    footer = tail[-FOOTER_SIZE:]
    if len(tail) < END_SIZE + FOOTER_SIZE or footer[2:4] != MARK:
        return _remains(source, tail)
    start, comment = int.from_bytes(footer[:2], "little"), int.from_bytes(footer[4:], "little")
    end = len(tail) - comment - END_SIZE
    if end < 0 or tail[end : end + 4] != END_MARK:
        return _remains(source, tail)
    signed = Span(0, source.size - comment - 2)
    if not FOOTER_SIZE < start <= comment:
        return Footer(
            signed=signed, cms=Span(source.size, source.size), fault=f"the CMS cannot begin {start} bytes from the end"
        )
    cms = Span(source.size - start, source.size - FOOTER_SIZE)
    second = END_MARK in tail[end + 4 :]
    fault = "a second end record stands behind the first" if second else ""
    return Footer(signed=signed, cms=cms, fault=fault, second_end=second)


def _remains(source: Source, tail: bytes) -> Footer | None:
    """Return a footer that cannot hold, where the last end record's comment still has a CMS in it."""
    end = tail.rfind(END_MARK)
    if end < 0 or _SIGNED_DATA not in tail[end + END_SIZE :]:
        return None
    start = source.size - len(tail) + end
    fault = "the comment holds a signature, but the footer at the end of the file does not lead to it"
    return Footer(signed=Span(0, start + END_SIZE - 2), cms=Span(source.size, source.size), fault=fault)


def judge(source: Source, footer: Footer, context: Context) -> Judging:
    """Return what is known of the signature; recovery takes the first signer only, and no signed attributes."""
    blank = Signature(
        outcome=Outcome.INVALID, encoding="CMS detached", covers=(footer.signed,), where=footer.cms, note=footer.fault
    )
    if footer.fault:
        return (blank,)
    try:
        message = SignedMessage.parse(source.read(footer.cms.start, footer.cms.size))
    except FormatError as error:
        return (replace(blank, note=str(error)),)
    requests = {
        name: DigestRequest.over(name, source, footer.signed) for name in message.signer_digests if supported(name)
    }
    answers = yield tuple(requests.values())

    def content_digest(name: str) -> bytes:
        if name not in requests:
            raise UnsupportedAlgorithmError(f"digests with {name!r} are not computed here")
        return answers[requests[name]]

    try:
        found = message.verify(content_digest, context.keys, context.as_of, context.options.get("purpose", ""))
    except (CryptoError, FormatError) as error:
        return (replace(blank, note=str(error)),)
    return tuple(_as_recovery(message, found, blank)) or (replace(blank, note="the message has no signer"),)


def _as_recovery(message: SignedMessage, found: Sequence[Signature], blank: Signature) -> Iterator[Signature]:
    """Yield the signatures; what recovery does not accept though the mathematics hold is invalid here."""
    for number, (signer, signature) in enumerate(zip(message.signers, found, strict=True)):
        fault = "recovery looks at the first signer only" if number and signature.outcome is Outcome.VALID else ""
        if not message.detached:
            fault = "the message brings its own content"
        elif signer.attributes is not None:
            fault = "recovery takes the signature as one over the file, but it is over signed attributes"
        elif signature.hash not in _HASHES and signature.outcome is Outcome.VALID:
            fault = f"recovery does not know signatures over {signature.hash}"
        outcome = Outcome.INVALID if fault else signature.outcome
        yield replace(signature, outcome=outcome, covers=blank.covers, where=blank.where, note=fault or signature.note)
