"""ESP-IDF images under Secure Boot v2: up to three blocks with key and signature in the sector behind the image.

The image's checksum and its appended SHA-256 are covered by no key; they are made right after every change, so that the
device gets as far as the signature. The block's CRC is right in every offer. Secure Boot v1 and the keyed digest are
left alone: v1 signs with a bare ECDSA key and is deprecated, the keyed digest is a shared secret.

An ML-DSA block behind the sector is over the sector too. So an image that is signed again gets a new one by a
throw-away key. Where values are changed, all are, since a device may look at one kind only, and the block's digest is
fitted, or the boot loader would stop there. The downgrade takes the block away and leaves the rest.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Final

from checker.crypto.schemes import Scheme
from checker.crypto.signatures import ecdsa_raw
from checker.crypto.signing import sign, sign_digest
from checker.crypto.staging import Signer, like
from checker.errors import FormatError, UnsupportedAlgorithmError
from checker.formats import _esp_image as esp
from checker.formats import _esp_pqc as pqc
from checker.formats._esp_image import BLOCK, Block, Layout
from checker.formats._esp_pqc import ResistantBlock
from checker.formats.esp_idf import PSS_SALT
from checker.io.digests import DigestRequest, Literal, compute
from checker.model.artifact import KeyFacts, Source, Span
from checker.trials._edits import changed_source, patched, then
from checker.trials.contract import ARTIFACT, Anatomy, Body, Change, Content, Genuine, Part

VALUE: Final = "signature value"
RESISTANT: Final = "quantum-resistant signature value"
STRIPPED: Final = "the quantum-resistant block removed, the classical ones kept"
_CRC_AT: Final = 1196
_HEADER, _SEGMENT = 24, 8  # bytes
_FIELDS: Final = {"secure_version": Span(4, 8), "version": Span(16, 17), "project": Span(48, 49)}  # of the descriptor
_RSA_SIZE, _RSA_BITS = 384, 3072  # the only key size of Secure Boot v2
_SALT: Final = PSS_SALT
_NUMBERS: Final = {name: number for number, (name, _, _) in pqc.ALGORITHMS.items()}  # of ML-DSA sets in a block
_V1: Final = "only Secure Boot v2 is signed again here"


@dataclass(frozen=True)
class _Image:
    source: Source
    where: Layout

    @classmethod
    def of(cls, source: Source) -> _Image:
        if not esp.looks_like_image(source.read(0, _HEADER + _SEGMENT)):
            raise FormatError("does not begin with an image in clear, and others are not taken apart", field="image")
        return cls(source, esp.read_layout(source))

    @cached_property
    def blocks(self) -> tuple[Block, ...]:
        return esp.read_blocks(self.source, self.where.sector)

    @cached_property
    def resistant(self) -> ResistantBlock | None:
        return pqc.read_block(self.source, self.where)

    @cached_property
    def segments(self) -> tuple[Span, ...]:
        found, at = [], self.where.start + _HEADER
        for _, length in self.where.segments:
            found.append(Span(at + _SEGMENT, at + _SEGMENT + length))
            at += _SEGMENT + length
        return tuple(found)

    def with_blocks(self, blocks: Iterable[bytes]) -> Change:
        """Return the image with other signature blocks in its sector; the rest of it is erased flash."""
        sector = b"".join(blocks).ljust(esp.SECTOR, b"\xff")
        place = Span(self.where.sector, min(self.where.sector + esp.SECTOR, self.source.size))
        return Change(changed={ARTIFACT: Content.replaced(self.source.size, place, sector)})

    def with_resistant(self, block: bytes) -> Change:
        """Return the image with another ML-DSA block, whose CRC is made right, or with one more."""
        start = pqc.place(self.where)
        place = Span(start, start if self.resistant is None else self.resistant.span.end)
        data = block[: pqc.CRC_AT] + pqc.crc(block) + block[pqc.CRC_AT + 4 :]
        return Change(changed={ARTIFACT: Content.replaced(self.source.size, place, data)})

    def patch(self, at: int, new: bytes) -> Change:
        return Change(changed={ARTIFACT: patched(self.source.size, [(at, new)])})


def _read(genuine: Genuine) -> Body:
    image = _Image.of(genuine.source)
    body = Body(
        payload=tuple(Part(name=f"segment {n}", span=span) for n, span in enumerate(image.segments) if span.size),
        metadata=tuple(_fields(image)),
        direct=True,
        fixed=True,
        repaired=lambda change: _repaired(genuine, image, change),
        malformed=_malformed(image),
        oversized={"the first segment is said to have 4 GiB": image.patch(_HEADER + 4, b"\xff\xff\xff\xff")},
        notes={
            "cipher": "the image is not encrypted",
            "weakly": "Secure Boot v2 fixes the digest with the kind of key",
            "certificates": "keys have no certificates here",
        },
    )
    if not image.blocks:
        return replace(body, notes={**body.notes, **dict.fromkeys(("signatures", "stripped", "signed_by"), _V1)})
    return _signed(genuine, image, body)


def _signed(genuine: Genuine, image: _Image, body: Body) -> Body:
    unknown = [_sealed(_patched_block(image, block, 1, b"\x7f")) for block in image.blocks]
    body = replace(
        body,
        signatures=tuple(Part(name=VALUE, span=_value_span(block)) for block in image.blocks),
        stripped=Change(changed={ARTIFACT: Content(pieces=(Span(0, image.where.sector),))}),
        with_value=lambda _, value: image.with_blocks(_valued(image, block, value) for block in image.blocks),
        algorithms={"signature block of an unknown version": image.with_blocks(unknown)},
        signed_by=lambda signer: _again(genuine, signer, Change()),
        resigned=lambda signer, change: _again(genuine, signer, change),
    )
    return body if image.resistant is None else _hybrid(genuine, image, image.resistant, body)


def _hybrid(genuine: Genuine, image: _Image, block: ResistantBlock, body: Body) -> Body:
    """Return a body with the ML-DSA block's value too, and the image without that block (T12 a)."""
    start = block.span.start + pqc.SIGNATURE_AT
    place = Span(start, start + len(block.signature))

    def with_value(part: Part, value: bytes) -> Change:
        resistant = part.name == RESISTANT
        if resistant and len(value) != place.size:
            raise FormatError("values of this format have one length", field=RESISTANT)
        shorter = (value[: _value_span(item).size] if resistant else value for item in image.blocks)
        blocks = [_valued(image, item, new) for item, new in zip(image.blocks, shorter, strict=True)]
        return _both(genuine, image, blocks, pqc.SIGNATURE_AT, value if resistant else b"")

    unknown = [_sealed(_patched_block(image, item, 1, b"\x7f")) for item in image.blocks]
    return replace(
        body,
        signatures=(*body.signatures, Part(name=RESISTANT, span=place)),
        with_value=with_value,
        algorithms={"signature blocks of an unknown version and algorithm": _both(genuine, image, unknown, 2, b"\x7f")},
        downgraded={STRIPPED: Change(changed={ARTIFACT: Content.replaced(image.source.size, block.span, b"")})},
    )


def _both(genuine: Genuine, image: _Image, blocks: list[bytes], at: int, new: bytes) -> Change:
    """Return the image with other classical blocks, and an ML-DSA block that is changed at one place and fits them."""
    change = image.with_blocks(blocks)
    now = _Image.of(changed_source(genuine, ARTIFACT, change))
    data = now.source.read(pqc.place(now.where), pqc.SIZE)
    data = data[:at] + new + data[at + len(new) :]
    fitted = data[: pqc.DIGEST_AT] + _digest(now, "sha-256", pqc.place(now.where)) + data[pqc.DIGEST_AT + esp.HASH :]
    return then(change, now.with_resistant(fitted))


def _fields(image: _Image) -> Iterator[Part]:
    if image.where.descriptor is None:
        return
    start = image.segments[0].start
    for name, span in _FIELDS.items():
        yield Part(name=name, span=Span(start + span.start, start + span.end))


def _again(genuine: Genuine, signer: Signer, change: Change) -> Change:
    """Return the changed image signed again; a classical signer of a hybrid is joined by a throw-away ML-DSA key."""
    now = _Image.of(changed_source(genuine, ARTIFACT, change))
    if signer.public_key.facts.algorithm in _NUMBERS:
        return then(change, now.with_resistant(_resistant_block(now, signer)))
    change = then(change, now.with_blocks([_block(now, signer)]))
    if now.resistant is None or not now.resistant.algorithm:
        return change
    stranger = like(KeyFacts(algorithm=now.resistant.algorithm))
    now = _Image.of(changed_source(genuine, ARTIFACT, change))
    return then(change, now.with_resistant(_resistant_block(now, stranger)))


def _repaired(genuine: Genuine, image: _Image, change: Change) -> Change:
    """Return the change with checksum and appended SHA-256 made right; neither is under a key."""
    content = change.changed.get(ARTIFACT)
    if content is None:
        return change
    at, sums, check = 0, image.where.body.end - 1, 0
    for item in content.pieces:
        size = item.size if isinstance(item, Span) else len(item)
        if isinstance(item, bytes) and any(span.start <= at < span.end for span in image.segments):
            for old, new in zip(image.source.read(at, size), item, strict=True):
                check ^= old ^ new
        at += size
    old = image.source.read(sums, 1)[0]
    change = then(change, image.patch(sums, bytes([old ^ check]))) if check else change
    if not image.where.digest:
        return change
    now = changed_source(genuine, ARTIFACT, change)
    request = DigestRequest.over("sha-256", now, image.where.body)
    return then(change, image.patch(image.where.body.end, compute((request,))[request]))


# Signature blocks


def _value_span(block: Block) -> Span:
    start = block.span.start
    if block.kind == "rsa":
        at = 36 + 2 * (_RSA_SIZE + 4)
        return Span(start + at, start + at + _RSA_SIZE)
    wide = block.hash == "sha-384"
    at = (52 if wide else 36) + 1 + (96 if wide else 64)
    return Span(start + at, start + at + len(block.signature))


def _patched_block(image: _Image, block: Block, at: int, new: bytes) -> bytes:
    data = image.source.read(block.span.start, BLOCK)
    return data[:at] + new + data[at + len(new) :]


def _valued(image: _Image, block: Block, value: bytes) -> bytes:
    place = _value_span(block)
    if len(value) != place.size:
        raise FormatError("values of this format have one length", field=VALUE)
    return _sealed(_patched_block(image, block, place.start - block.span.start, value))


def _sealed(data: bytes) -> bytes:
    """Return a block with its CRC (little-endian, over all before it)."""
    body = data[:_CRC_AT].ljust(_CRC_AT, b"\0")
    return (body + struct.pack("<I", zlib.crc32(body))).ljust(BLOCK, b"\0")


def _block(image: _Image, signer: Signer) -> bytes:
    """Return a block over the image by another key, which it holds.

    Raises:
        UnsupportedAlgorithmError: Secure Boot v2 knows no such keys.
    """
    key = signer.public_key
    if key.facts.algorithm == "rsa" and key.facts.bits == _RSA_BITS:
        return _sealed(_rsa_block(image, signer))
    number = next((n for n, (name, _) in esp.CURVES.items() if name == key.facts.algorithm), 0)
    if not number:
        text = f"Secure Boot v2 knows no keys of {key.facts.algorithm} ({key.facts.bits} bits)"
        raise UnsupportedAlgorithmError(text)
    return _sealed(_ec_block(image, signer, number))


def _digest(image: _Image, name: str, end: int) -> bytes:
    request = DigestRequest.over(name, image.source, Span(image.where.start, end))
    return compute((request,))[request]


def _rsa_block(image: _Image, signer: Signer) -> bytes:
    public: Any = signer.public_key.key
    modulus, exponent = int(public.public_numbers().n), int(public.public_numbers().e)
    digest = _digest(image, "sha-256", image.where.sector)
    value = sign_digest(signer, digest, Scheme(algorithm="rsa-pss", hash="sha-256", salt_length=_SALT))
    return (
        struct.pack("<BBxx32s", 0xE7, 2, digest)
        + modulus.to_bytes(_RSA_SIZE, "little")
        + struct.pack("<I", exponent)
        + ((1 << 2 * _RSA_BITS) % modulus).to_bytes(_RSA_SIZE, "little")
        + struct.pack("<I", int(-pow(modulus, -1, 2**32) % 2**32))
        + value[::-1]
    )


def _ec_block(image: _Image, signer: Signer, number: int) -> bytes:
    name, size = esp.CURVES[number]
    wide = name == "ec-p384"
    hash_name = "sha-384" if wide else "sha-256"
    digest = _digest(image, hash_name, image.where.sector)
    value = ecdsa_raw(sign_digest(signer, digest, Scheme(algorithm="ecdsa", hash=hash_name)), size)
    parts = (part[:size][::-1] + part[size:][::-1] for part in (signer.public_key.raw[1:], value))
    head = struct.pack("<BBBx", 0xE7, 3, wide) + digest + bytes([number])
    return head + b"".join(part.ljust(96 if wide else 64, b"\0") for part in parts)


def _resistant_block(image: _Image, signer: Signer) -> bytes:
    """Return an ML-DSA block over the image and its sector, without its CRC."""
    name, key = signer.public_key.facts.algorithm, signer.public_key.raw
    digest = _digest(image, "sha-256", pqc.place(image.where))
    value = sign(signer, (Literal(digest),), Scheme(algorithm=name, hash=""))
    head = pqc.HEAD.pack(*pqc.MAGIC, _NUMBERS[name], 0, digest, len(key), len(value))
    longest = pqc.SIGNATURE_AT - pqc.KEY_AT
    return (head + key.ljust(longest, b"\0") + value).ljust(pqc.SIZE, b"\0")


def _malformed(image: _Image) -> dict[str, Change]:
    return {
        "an image of 255 segments": image.patch(1, b"\xff"),
        "an image of no segments": image.patch(1, b"\0"),
    }


ANATOMY = Anatomy(id="esp-idf", read=_read)
