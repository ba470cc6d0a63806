"""MCUboot images: the payload between header and TLVs, the protected fields, and the signature TLV.

The signature is over the image's hash, which the unprotected hash TLV repeats; of an encrypted image it is the hash of
the plaintext, so that such an image can be signed again without its key as long as nothing else changes. Bytes behind
an ECDSA signature are padding to MCUboot's own tools (imgtool `--pad-sig`, and its `verify`), which is no fault.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from checker.crypto.schemes import Scheme
from checker.crypto.signing import sign, sign_digest
from checker.crypto.staging import Signer
from checker.errors import FormatError, UnsupportedAlgorithmError
from checker.formats import _mcuboot_layout as mcu
from checker.formats._mcuboot_layout import Layout, Tlv, read_layout
from checker.formats.mcuboot import HASH_OF_SIZE, PSS_SALT
from checker.io import digests
from checker.io.digests import DigestRequest, Literal, Piece, compute
from checker.model.artifact import Source, Span
from checker.trials._edits import changed_source, patched, then
from checker.trials.contract import ARTIFACT, Anatomy, Body, Change, Content, Genuine, Part

VALUE: Final = "signature value"
UNKNOWN: Final = 0xA5  # a TLV type that MCUboot does not use

_FIELDS: Final = {"ih_load_addr": Span(4, 8), "ih_flags": Span(16, 20), "ih_ver": Span(20, 28)}
_KINDS: Final = {"ec-p224": mcu.ECDSA224, "ec-p256": mcu.ECDSA, "ec-p384": mcu.ECDSA, "ed25519": mcu.ED25519}
_RSA: Final = {2048: mcu.RSA2048, 3072: mcu.RSA3072}
_ENCRYPTED: Final = "the hash of a changed image is over its plaintext, which needs the decryption key"

Edit = Callable[[Tlv], tuple[int, bytes] | None]


@dataclass(frozen=True)
class _Image:
    source: Source
    where: Layout

    @classmethod
    def of(cls, source: Source) -> _Image:
        return cls(source, read_layout(source))

    @property
    def pure(self) -> bool:
        return any(True for _ in self.where.of(mcu.SIG_PURE))

    @property
    def signatures(self) -> tuple[Tlv, ...]:
        return tuple(self.where.of(*mcu.SIGNATURES, protected=False))

    @property
    def hash(self) -> Tlv | None:
        return next(iter(self.where.of(*mcu.HASHES)), None)

    def edited(self, edit: Edit) -> Change:
        """Return the image with unprotected TLVs replaced by (type, value), or left out (None); the total follows."""
        tlvs = (edit(tlv) or None for tlv in self.where.tlvs if not tlv.protected)
        body = b"".join(self._tlv(*found) for found in tlvs if found is not None)
        area = self.where.unprotected
        head = self.source.read(area.start, 2) + (mcu.INFO_SIZE + len(body)).to_bytes(2, self.where.endian)
        return _changed(Content.replaced(self.source.size, area, head + body))

    def _tlv(self, kind: int, data: bytes) -> bytes:
        head = bytes([kind, 0]) if kind <= 0xFF else kind.to_bytes(2, self.where.endian)  # noqa: PLR2004 - one byte
        return head + len(data).to_bytes(2, self.where.endian) + data

    def digest(self) -> tuple[str, bytes]:
        """Return the image's hash, computed over what lies there."""
        name = mcu.HASHES[self.hash.type] if self.hash is not None else "sha-256"
        request = DigestRequest(name, (Piece(self.source, self.where.signed),))
        return name, compute((request,))[request]


def _changed(content: Content) -> Change:
    return Change(changed={ARTIFACT: content})


def _same(tlv: Tlv) -> tuple[int, bytes]:
    return tlv.type, tlv.data


def _read(genuine: Genuine) -> Body:
    image = _Image.of(genuine.source)
    where = image.where
    hashes = [Part(name="image hash", span=tlv.span) for tlv in where.of(*mcu.HASHES)]
    fields = [Part(name=name, span=span) for name, span in _FIELDS.items()]
    protected = [Part(name=f"protected {tlv.name}", span=tlv.span) for tlv in where.tlvs if tlv.protected and tlv.data]
    return Body(
        payload=(Part(name="payload", span=where.payload),),
        metadata=(*fields, *protected, *hashes),
        signatures=tuple(Part(name=VALUE, span=tlv.span) for tlv in image.signatures),
        cipher=tuple(_cipher(where)),
        direct=image.pure,
        padded=any(tlv.type in mcu.ECDSA_KINDS for tlv in image.signatures),
        outer=True,
        stripped=image.edited(lambda tlv: None if tlv.type in mcu.SIGNATURES else _same(tlv)),
        with_value=lambda _, value: image.edited(lambda tlv: _valued(tlv, value)),
        algorithms={"signature TLV of an unknown type": image.edited(_of_unknown_type)},
        signed_by=lambda signer: _signed(image, signer, None),
        resigned=lambda signer, change: _again(genuine, signer, change),
        malformed=_malformed(image),
        oversized={"the header says that the image has 4 GiB": _patch(image, 12, b"\xff\xff\xff\xff")},
        notes={
            "cipher": "the image is not encrypted",
            "weakly": "the hash is fixed when the bootloader is built",
            "certificates": "keys have no certificates here",
        },
    )


def _cipher(where: Layout) -> Iterable[Part]:
    if not where.flagged:
        return
    yield Part(name="ciphertext", span=where.payload)
    for tlv in where.of(*mcu.ENC):
        yield Part(name="wrapped key", span=tlv.span)


def _valued(tlv: Tlv, value: bytes) -> tuple[int, bytes]:
    return (tlv.type, value) if tlv.type in mcu.SIGNATURES else _same(tlv)


def _of_unknown_type(tlv: Tlv) -> tuple[int, bytes]:
    return (UNKNOWN, tlv.data) if tlv.type in mcu.SIGNATURES else _same(tlv)


def _again(genuine: Genuine, signer: Signer, change: Change) -> Change:
    """Return a changed image, in clear, with a new hash and signature."""
    now = _Image.of(changed_source(genuine, ARTIFACT, change))
    if now.where.flagged and change.changed:
        raise UnsupportedAlgorithmError(_ENCRYPTED)
    return then(change, _signed(now, signer, now.digest() if change.changed else None))


def _signed(image: _Image, signer: Signer, fresh: tuple[str, bytes] | None) -> Change:
    """Return the image signed by another key, which its KEYHASH or PUBKEY names; `fresh` is its hash where it changed.

    Raises:
        UnsupportedAlgorithmError: MCUboot knows no such signatures.
        FormatError: it has no hash that could be signed.
    """
    kind = _kind(signer)
    stated = image.hash
    if stated is None and not image.pure:
        raise FormatError("the image states no hash", field="TLV")
    name = mcu.HASHES[stated.type] if stated is not None else "sha-512"
    digest = fresh[1] if fresh else stated.data if stated is not None else b""
    value = _value(image, signer, name, digest)
    form = signer.public_key.pkcs1 or signer.public_key.spki

    def edit(tlv: Tlv) -> tuple[int, bytes] | None:
        if tlv.type in mcu.SIGNATURES:
            return kind, value
        if tlv.type == mcu.KEYHASH:
            return tlv.type, digests.digest(HASH_OF_SIZE.get(len(tlv.data), "sha-256"), form)
        if tlv.type == mcu.PUBKEY:
            return tlv.type, form
        return (tlv.type, digest) if tlv.type in mcu.HASHES and digest else _same(tlv)

    return image.edited(edit)


def _kind(signer: Signer) -> int:
    facts = signer.public_key.facts
    found = _RSA.get(facts.bits or 0) if facts.algorithm == "rsa" else _KINDS.get(facts.algorithm)
    if found is None:
        raise UnsupportedAlgorithmError(f"MCUboot knows no signatures by keys of {facts.algorithm} ({facts.bits} bits)")
    return found


def _value(image: _Image, signer: Signer, name: str, digest: bytes) -> bytes:
    algorithm = signer.public_key.facts.algorithm
    if image.pure:
        return sign(signer, (Piece(image.source, image.where.signed),), Scheme(algorithm="ed25519", hash="sha-512"))
    if algorithm == "ed25519":
        return sign(signer, (Literal(digest),), Scheme(algorithm="ed25519", hash="sha-512"))
    scheme = "rsa-pss" if algorithm == "rsa" else "ecdsa"
    return sign_digest(signer, digest, Scheme(algorithm=scheme, hash=name, salt_length=PSS_SALT))


def _malformed(image: _Image) -> dict[str, Change]:
    where = image.where
    found = {
        "the protected area has another size than the header says": _patch(image, 10, b"\x10\x10"),
        "the TLV area is said to have 65,535 bytes": _patch(image, where.unprotected.start + 2, b"\xff\xff"),
        "a header of no bytes": _patch(image, 8, b"\0\0"),
    }
    if image.signatures:
        place = image.signatures[0].span.start - 2
        found["a TLV that is longer than its area"] = _patch(image, place, b"\xff\xff")
    return found


def _patch(image: _Image, at: int, new: bytes) -> Change:
    return _changed(patched(image.source.size, [(at, new)]))


ANATOMY = Anatomy(id="mcuboot", read=_read)
