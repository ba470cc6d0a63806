"""SUIT envelopes: integrated or fetched payloads, the manifest's members, and the authentication wrapper.

The signature is over the manifest's digest, as the wrapper repeats it. A foreign signer makes one COSE_Sign1 in place
of all authentication blocks. A changed manifest gets its new digest when it is signed again. Payloads are protected by
the digests that the manifest's sequences compare; an encrypted payload's ciphertext is what the parser found as such.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from checker.crypto import cose
from checker.crypto.cose import Party
from checker.crypto.cose_signing import certificates, resistant, sign1
from checker.crypto.staging import Signer
from checker.errors import FormatError
from checker.formats import _suit_manifest as suit
from checker.formats._suit_manifest import Envelope, open_envelope
from checker.io.cbor import Item, Major, encode, encode_head
from checker.io.digests import digest
from checker.model.artifact import Source, Span
from checker.trials._edits import changed_source, then
from checker.trials.anatomies.cose import NESTED, STRIPPED, classical_only, value_span, with_values
from checker.trials.contract import ARTIFACT, Anatomy, Body, Change, Content, Genuine, Part

VALUE: Final = "signature value"
_MEMBERS: Final = {
    suit.SEQUENCE: "sequence number",
    suit.COMMON: "common part",
    suit.REFERENCE: "reference",
    suit.COMPONENT_ID: "component identifier",
    suit.SET_VERSION: "version",
    **suit.SEQUENCES,
}
_UNSIGNED: Final = "the envelope has no signature"
_TAGGED: Final = frozenset({"gcm", "ccm"})


@dataclass(frozen=True)
class _File:
    source: Source
    envelope: Envelope

    @classmethod
    def of(cls, source: Source) -> _File:
        return cls(source, open_envelope(source)[0])

    @property
    def wrapper(self) -> tuple[Item, tuple[Item, ...]]:
        """Return the authentication wrapper's byte string, and the digest and blocks in it."""
        item = self.envelope.entries[suit.AUTHENTICATION]
        return item, item.wrapped("authentication-wrapper").array("authentication-wrapper")

    @property
    def signers(self) -> tuple[Party, ...]:
        return tuple(signer for block in self.envelope.blocks for signer in block.signers)

    def with_wrapper(self, parts: list[bytes]) -> Change:
        """Return the envelope with other elements in the wrapper; byte strings around them follow."""
        item, _ = self.wrapper
        content = encode_head(Major.ARRAY, len(parts)) + b"".join(encode(part) for part in parts)
        return self.replaced(item, content)

    def replaced(self, item: Item, content: bytes) -> Change:
        return Change(changed={ARTIFACT: Content.replaced(self.source.size, item.span, encode(content))})

    def digest(self) -> bytes:
        """Return a SUIT_Digest over the manifest as it lies there."""
        stated = self.envelope.stated
        if stated is None or not stated.algorithm:
            raise FormatError("the digest's algorithm is not known", field="SUIT_Digest")
        value = stated.of(digest(stated.algorithm, self.envelope.manifest.encoded()))
        return encode([stated.number, value])


def _read(genuine: Genuine) -> Body:
    file = _File.of(genuine.source)
    cipher, tagged = _cipher(genuine)
    signed = bool(file.signers)
    return Body(
        payload=tuple(_payload(genuine, file)),
        metadata=tuple(_members(file)) if signed else (),
        signatures=tuple(Part(name=VALUE, span=value_span(each)) for each in file.signers),
        cipher=cipher,
        tagged=tagged,
        outer=not tagged,
        stripped=file.with_wrapper([_digest_of(file)]) if signed else None,
        with_value=lambda _, value: _valued(file, value),
        signed_by=(lambda signer: _signed(file, signer, _digest_of(file))) if signed else None,
        resigned=(lambda signer, change: _again(genuine, signer, change)) if signed else None,
        certificates=certificates(file.signers[0].headers) if signed else (),
        downgraded=_downgraded(file) if signed else {},
        malformed=_malformed(file),
        oversized={"the manifest is said to have 16 EiB": _huge(file)},
        notes={
            "cipher": "no payload is encrypted, as far as the parser knows",
            "weakly": "COSE fixes the digest with the algorithm",
            "payload": "the payload lies elsewhere, and was not given",
            **({} if signed else dict.fromkeys(("metadata", "signatures", "stripped", "signed_by"), _UNSIGNED)),
        },
    )


def _digest_of(file: _File) -> bytes:
    return file.wrapper[1][0].data("SUIT_Digest")


def _payload(genuine: Genuine, file: _File) -> Iterator[Part]:
    for name, item in file.envelope.integrated.items():
        if item.content.size:
            yield Part(name=f"payload {name}", span=item.content)
    for name, source in genuine.files.items():
        if name != ARTIFACT and source.size:
            yield Part(name=f"payload {name}", span=Span(0, source.size), file=name)


def _cipher(genuine: Genuine) -> tuple[tuple[Part, ...], bool]:
    sealed = [image for image in genuine.artifact.images if image.encryption.encrypted and image.span is not None]
    parts = tuple(Part(name=f"ciphertext of {image.id}", span=image.span) for image in sealed if image.span is not None)
    return parts, bool(sealed) and all(image.encryption.mode in _TAGGED for image in sealed)


def _members(file: _File) -> Iterator[Part]:
    """Yield the manifest's members, each at its last byte, and the digest that is signed."""
    for key, item in file.envelope.manifest.wrapped("manifest").map("manifest").items():
        if isinstance(key, int) and key in _MEMBERS and item.span.size:
            yield Part(name=f"manifest: {_MEMBERS[key]}", span=Span(item.span.end - 1, item.span.end))
    signed = file.wrapper[1][0].content
    yield Part(name="signed digest", span=Span(signed.end - 1, signed.end))


def _valued(file: _File, value: bytes) -> Change:
    """Return the envelope with another signature value in every block."""
    _, parts = file.wrapper
    new = []
    for part in parts:
        data = file.source.read(part.content.start, part.content.size)
        inside = tuple(each for each in file.signers if part.content.start <= each.where.start < part.content.end)
        new.append(with_values(data, part.content.start, inside, value))
    return file.with_wrapper(new)


def _downgraded(file: _File) -> dict[str, Change]:
    """Return the envelope without its quantum-resistant signers, in blocks of their own or in a COSE_Sign (T12 a)."""
    kinds = [resistant(signer.headers) for signer in file.signers]
    if True not in kinds or False not in kinds:
        return {}
    stated, *blocks = file.wrapper[1]
    kept = [stated.data("SUIT_Digest")]
    for part in blocks:
        data = part.data("authentication-block")
        message = cose.parse(part.wrapped("authentication-block"))
        if not all(resistant(signer.headers) is True for signer in message.signers):
            kept.append(classical_only(part.wrapped("authentication-block"), message, data) or data)
    return {STRIPPED: file.with_wrapper(kept)}


def _signed(file: _File, signer: Signer, stated: bytes) -> Change:
    model = file.envelope.blocks[0]
    return file.with_wrapper([stated, sign1(signer, stated, model.signers[0].headers)])


def _again(genuine: Genuine, signer: Signer, change: Change) -> Change:
    now = _File.of(changed_source(genuine, ARTIFACT, change))
    return then(change, _signed(now, signer, now.digest() if change.changed else _digest_of(now)))


def _malformed(file: _File) -> dict[str, Change]:
    manifest = file.envelope.manifest
    data = manifest.data("manifest", limit=suit.MAX_MANIFEST)
    twice = data[:1] + b"\x01\x01" + data[1:]
    head = bytes([data[0] + 1]) if data and data[0] & 0x1F < 23 else data[:1]  # noqa: PLR2004 - the count is in the head
    return {
        "a manifest nested 20,000 deep": file.replaced(manifest, b"\x81" * NESTED),
        "a manifest with a key twice": file.replaced(manifest, head + twice[1:]),
        "a manifest of an unknown version": file.replaced(manifest, data.replace(b"\x01\x01", b"\x01\x18\x63", 1)),
        "a manifest that is empty": file.replaced(manifest, b""),
        "an indefinite length": file.replaced(manifest, b"\xbf" + data[1:] + b"\xff"),
    }


def _huge(file: _File) -> Change:
    span = file.envelope.manifest.span
    content = Content.replaced(
        file.source.size, Span(span.start, file.envelope.manifest.content.start), b"\x5b" + b"\xff" * 8
    )
    return Change(changed={ARTIFACT: content})


ANATOMY = Anatomy(id="suit", read=_read)
