"""COSE messages: signed content inside or beside them, and encrypted content (RFC 9052).

A COSE_Sign is signed again as COSE_Sign1 by the foreign signer alone, whose kind of message a verifier knows as well.
"""

from __future__ import annotations

from typing import Final

from checker.crypto import cose
from checker.crypto.cose import Message, Party
from checker.crypto.cose_signing import certificates, resistant, sign1
from checker.crypto.staging import Signer
from checker.errors import LimitError
from checker.io.cbor import Document, Item, Major, encode, encode_head
from checker.io.limits import MAX_HEADER
from checker.model.artifact import Source, Span
from checker.trials._edits import changed_source, patched, then
from checker.trials.contract import ARTIFACT, Anatomy, Body, Change, Content, Genuine, Part

VALUE: Final = "signature value"
NESTED: Final = 20_000
STRIPPED: Final = "the quantum-resistant signers removed, the classical ones kept"
_COMPANIONS: Final = ("payload", "ciphertext")
_SIGNED: Final = frozenset({"Sign1", "Sign"})
_NOT_SIGNED: Final = "the message is not signed"
_TAGS: Final = {"GCM", "CCM"}


def read_message(source: Source) -> tuple[Item, Message]:
    """Return the first item of a file, and the message that it is.

    Raises:
        FormatError: it is none, or no tag says of what kind it is.
    """
    item = Document(source).first(Span(0, source.size), "COSE")
    return item, cose.parse(item, untagged="Sign1")


def value_span(signer: Party) -> Span:
    """Return where a signature value lies: it is the last of its array, without its head."""
    return Span(signer.where.end - len(signer.end), signer.where.end)


def with_values(data: bytes, start: int, signers: tuple[Party, ...], value: bytes) -> bytes:
    """Return a message that lies at `start` of its file with another value for every signer; heads follow."""
    for signer in sorted(signers, key=lambda each: each.where.end, reverse=True):
        end = signer.where.end - start
        head = len(encode_head(Major.BYTES, len(signer.end)))
        data = data[: end - len(signer.end) - head] + encode(value) + data[end:]
    return data


def classical_only(item: Item, message: Message, data: bytes) -> bytes | None:
    """Return a COSE_Sign without its quantum-resistant signers (T12 a), or None where it has not both kinds."""
    kinds = [resistant(signer.headers) for signer in message.signers]
    if message.kind != "Sign" or True not in kinds or False not in kinds:
        return None
    last = item.tagged()[1].children[-1]
    kept = [child.encoded() for child, kind in zip(last.children, kinds, strict=True) if kind is not True]
    start = item.span.start
    signers = encode_head(Major.ARRAY, len(kept)) + b"".join(kept)
    return data[: last.span.start - start] + signers + data[last.span.end - start :]


def _read(genuine: Genuine) -> Body:
    item, message = read_message(genuine.source)
    name = next((name for name in _COMPANIONS if name in genuine.files), "")
    payload = _payload(genuine, message, name)
    if message.kind not in _SIGNED:
        return _sealed(genuine, message, payload)
    data = genuine.source.read(item.span.start, min(item.span.size, MAX_HEADER))

    stripped = classical_only(item, message, data)

    def write(new: bytes) -> Change:
        return Change(changed={ARTIFACT: Content.replaced(genuine.source.size, item.span, new)})

    def signed(signer: Signer, change: Change) -> Change:
        return then(change, _again(genuine, name, signer, change))

    return Body(
        payload=payload,
        metadata=tuple(_protected(message)),
        signatures=tuple(Part(name=VALUE, span=value_span(signer)) for signer in message.signers),
        direct=True,
        stripped=write(_without(item, message, data)),
        with_value=lambda _, value: write(with_values(data, item.span.start, message.signers, value)),
        signed_by=lambda signer: signed(signer, Change()),
        resigned=signed,
        certificates=certificates(message.signers[0].headers),
        downgraded={STRIPPED: write(stripped)} if stripped is not None else {},
        malformed={"a message nested 20,000 deep": write(b"\x81" * NESTED), "a message cut short": write(data[:-1])},
        oversized={"a byte string that is said to have 16 EiB": write(data[:2] + b"\x5b" + b"\xff" * 8 + data[3:])},
        notes={
            "cipher": "the message is not encrypted",
            "weakly": "COSE fixes the digest with the algorithm",
        },
    )


def _payload(genuine: Genuine, message: Message, name: str) -> tuple[Part, ...]:
    if message.payload is not None:
        return (Part(name="payload", span=message.payload.content),)
    return (Part(name="payload", span=Span(0, genuine.files[name].size), file=name),) if name else ()


def _protected(message: Message) -> list[Part]:
    """Return the last byte of the algorithm in each signer's protected header: the one parameter that each has."""
    found = []
    for signer in message.signers:
        for label, item in signer.headers.protected.items():
            del item
            if label == 1 and signer.headers.raw:
                start = _raw_place(signer)
                found.append(Part(name="protected header", span=Span(start, start + len(signer.headers.raw))))
    return found


def _raw_place(signer: Party) -> int:
    """Return where the content of a protected header begins: behind the array's head and its own."""
    head = len(encode_head(Major.BYTES, len(signer.headers.raw)))
    return signer.where.start + 1 + head


def _without(item: Item, message: Message, data: bytes) -> bytes:
    """Return the message with no signature: an empty value, or an empty list of signers."""
    if message.kind == "Sign":
        _, inner = item.tagged()
        last = inner.children[-1].span
        return data[: last.start - item.span.start] + b"\x80" + data[last.end - item.span.start :]
    return with_values(data, item.span.start, message.signers, b"")


def _again(genuine: Genuine, name: str, signer: Signer, change: Change) -> Change:
    source = changed_source(genuine, ARTIFACT, change)
    item, message = read_message(source)
    beside = changed_source(genuine, name, change) if name else None
    inside = None if message.payload is None else message.payload.data("payload")
    content = inside if inside is not None else _whole(beside)
    new = sign1(signer, content, message.signers[0].headers, payload=inside, tagged=item.tagged()[0] is not None)
    return Change(changed={ARTIFACT: Content.replaced(source.size, item.span, new)})


def _whole(source: Source | None) -> bytes:
    if source is None or source.size > MAX_HEADER:
        raise LimitError("the detached content is not at hand, or too large to be signed", field="payload")
    return source.read(0, source.size)


def _sealed(genuine: Genuine, message: Message, payload: tuple[Part, ...]) -> Body:
    """Return the parts of an encrypted message or of a MAC; the tag of an AEAD is at the end of the ciphertext."""
    found = genuine.artifact.encryption[0] if genuine.artifact.encryption else None
    tagged = bool(found and found.mode.upper() in _TAGS)
    wrapped = [Part(name="wrapped key", span=value_span(each)) for each in message.recipients if each.end]
    cipher = (*(Part(name="ciphertext", span=part.span, file=part.file) for part in payload), *wrapped)
    encrypted = message.kind.startswith("Encrypt")
    fields = ("signatures", "stripped", "signed_by", "resigned", "metadata", "weakly", "downgraded")
    return Body(
        payload=payload,
        cipher=cipher if encrypted else (),
        direct=not encrypted,  # the tag of a MAC is over the payload itself
        tagged=tagged,
        oversized={"the first bytes are a byte string of 16 EiB": _first(genuine, b"\x5b" + b"\xff" * 8)},
        malformed={"a message nested 20,000 deep": Change(changed={ARTIFACT: Content.whole(b"\x81" * NESTED)})},
        notes=dict.fromkeys(fields, _NOT_SIGNED),
    )


def _first(genuine: Genuine, new: bytes) -> Change:
    return Change(changed={ARTIFACT: patched(genuine.source.size, [(0, new[: genuine.source.size])])})


ANATOMY = Anatomy(id="cose", read=_read)
