"""MCUboot images: hash, signature, rollback counter, and the one wrapped content key.

Source: mcu-tools/mcuboot docs/design.md ("Image format"), docs/encrypted_images.md, docs/imgtool.md, and
boot/bootutil/src/{image_validate,tlv}.c for what the bootloader accepts.

Hash and signature are over header, *plaintext* payload and protected TLVs: an encrypted image can be judged only with
its decryption key. Unprotected TLVs are covered by nothing. Slot padding and the swap trailer may follow.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from checker.crypto.ciphers import aes_ctr_source
from checker.crypto.keys import PublicKey, read_public_key
from checker.errors import CryptoError, LimitError
from checker.formats import _common as common
from checker.formats import _mcuboot_layout as mcu
from checker.formats._mcuboot_layout import Layout, Tlv
from checker.formats._unwrap import unwrap_mcuboot
from checker.formats.contract import Context, Format, Parse
from checker.io.digests import DigestRequest, Piece, digest
from checker.io.sources import Window
from checker.model.artifact import (
    Artifact,
    Coverage,
    DigestCheck,
    Encryption,
    Image,
    KeyFacts,
    Recipient,
    Signature,
    Source,
    Span,
    Version,
    Weakness,
)
from checker.model.terms import Outcome

WEAKNESSES: Final = (
    *common.WEAKNESSES,
    "embedded-key",
    "encryption-void",
    "missing-digest",
    "no-rollback-counter",
    "trailing-data",
    "unprotected-metadata",
)
COUNTER_SIZE: Final = 4  # bytes
PSS_SALT: Final = 32  # bytes: the bootloader knows no other (bootutil image_rsa.c)
BOOT_MAGIC: Final = bytes.fromhex("77c295f3 60d2ef7f 3552500f 2cb67980")
BOOT_MAGIC_TAIL: Final = bytes.fromhex("2de15d29410b8d77679c110f1f8a")  # after two bytes of alignment
TRAILER_FIELDS: Final = 256  # bytes before the boot magic that may hold swap state: image_ok, copy_done, swap_info …
STEERING: Final = (mcu.SEC_CNT, mcu.DEPENDENCY, mcu.VENDOR_ID, mcu.CLASS_ID)
HASH_OF_SIZE: Final = {32: "sha-256", 48: "sha-384", 64: "sha-512"}

# KEYHASH values of the key pairs that mcu-tools/mcuboot publishes, private halves included, as root-*.pem:
# the image hash of the DER public key, RSA as PKCS#1. Computed from the public halves.
PUBLISHED: Final = {
    "fc5701dc6135e1323847bdc40f04d2e5bee5833b23c29f93593d00018cfa9994": "root-rsa-2048.pem",
    "449793fb65cd7698753d5b3f35fab15f1e3a45111ff24e1d46741de5ae12d59e": "root-rsa-3072.pem",
    "e30466f6b8470c1f29070b17f1e2d3e94d445e3f608087fdc711e4382bb538b6": "root-ec-p256.pem",
    "85b7bd5f5dff9a03a99927adaf6ca6febde822c1a480928324a8e60323715c5779461c496a95aee8c4f90b99779f848a": (
        "root-ec-p384.pem"
    ),
    "c1907fa4eac7fae3840a78902b6f0710b037e9968e5c6274a12a28790c7d4e3c": "root-ed25519.pem",
    (
        "e3e129b49f1218e18e4614acb2523389c75852ebb98b4d2c6171a2fc65706ba3"
        "d1ddf85f52e71450c3e572e624695fafd41ce4d9354d6c2b19f7d6001a6ae8b0"
    ): "root-ed25519.pem",
}


@dataclass(frozen=True, kw_only=True)
class _View:
    """The signed bytes in the form in which they are signed, and how that form was reached.

    `digests` is empty where the plaintext could not be reached.
    """

    encryption: Encryption
    plaintext: Source | None  # the payload
    pieces: tuple[Piece, ...]
    digests: Mapping[str, bytes]


def _detect(source: Source, context: Context) -> bool:  # noqa: ARG001 - the contract's signature
    return mcu.endian_of(source.read(0, 4)) is not None


def _parse(source: Source, context: Context) -> Parse:
    layout = mcu.read_layout(source)
    key, recipients = _content_key(layout, context)
    stored = (Piece(source, layout.signed),)
    clear = _decrypted(source, layout, key)
    forms = [stored] if clear is None else [stored, _pieces(source, layout, clear)]
    names = _hash_names(layout)
    answers = yield [DigestRequest(name, pieces) for pieces in forms for name in names]
    results = [{name: answers[DigestRequest(name, pieces)] for name in names} for pieces in forms]
    view = _view(source, layout, key, clear, results)
    signatures = _signatures(layout, view, context)
    return _artifact(source, layout, view, signatures, recipients)


def _hash_names(layout: Layout) -> tuple[str, ...]:
    """Return the hashes to compute: those stated, and SHA-256 and SHA-384 where none is."""
    stated = dict.fromkeys(mcu.HASHES[tlv.type] for tlv in layout.of(*mcu.HASHES))
    return tuple(stated) or ("sha-256", "sha-384")


def _content_key(layout: Layout, context: Context) -> tuple[bytes | None, tuple[Recipient, ...]]:
    opened = [unwrap_mcuboot(tlv.type, tlv.data, layout.key_bits, context.keys) for tlv in layout.of(*mcu.ENC)]
    keys = [key for key, _ in opened if key is not None]
    return (keys[0] if keys else None), tuple(recipient for _, recipient in opened)


def _decrypted(source: Source, layout: Layout, key: bytes | None) -> Source | None:
    """Return the plaintext payload; counter mode starts at zero with the payload's first byte."""
    if key is None or not layout.flagged:
        return None
    return aes_ctr_source(source, layout.payload, key, bytes(16))


def _pieces(source: Source, layout: Layout, clear: Source) -> tuple[Piece, ...]:
    whole = Piece(clear, Span(0, layout.payload.size))
    return Piece(source, layout.header), whole, Piece(source, layout.protected)


def _view(
    source: Source, layout: Layout, key: bytes | None, clear: Source | None, results: list[dict[str, bytes]]
) -> _View:
    """Decide whether the payload is encrypted at all: the flag says so of images that lie in clear, too."""
    stored = Window(source, "payload", layout.payload.start, layout.payload.size)
    as_is = (Piece(source, layout.signed),)
    if not layout.flagged:
        plain = Encryption(encrypted=False)
        return _View(encryption=plain, plaintext=stored, pieces=as_is, digests=results[0])
    if _matching(layout, results[0]):
        note = "the header says encrypted, but the payload lies in clear: its hash matches as it is"
        return _View(
            encryption=Encryption(encrypted=False, note=note), plaintext=stored, pieces=as_is, digests=results[0]
        )
    if clear is None or key is None:
        encryption = _encryption(source, layout, None, None)
        return _View(encryption=encryption, plaintext=None, pieces=(), digests={})
    encryption = _encryption(source, layout, key, _matching(layout, results[1]))
    return _View(encryption=encryption, plaintext=clear, pieces=_pieces(source, layout, clear), digests=results[1])


def _matching(layout: Layout, digests: Mapping[str, bytes]) -> bool:
    stated = list(layout.of(*mcu.HASHES))
    return bool(stated) and all(digests[mcu.HASHES[tlv.type]] == tlv.data for tlv in stated)


def _encryption(source: Source, layout: Layout, key: bytes | None, decrypted: bool | None) -> Encryption:  # noqa: FBT001
    doubts = common.ciphertext_doubts(source, layout.payload, "payload")
    return Encryption(
        encrypted=decrypted is True or not doubts,
        cipher="aes",
        mode="ctr",
        key_bits=layout.key_bits,
        nonce=bytes(16).hex(),
        authenticated=None,
        content_key_digest=digest("sha-256", key).hex() if key else "",
        decrypted=decrypted,
        note=doubts[0].message if doubts else "the flag of the header says so" if decrypted is None else "",
    )


# Signatures


def _signatures(layout: Layout, view: _View, context: Context) -> tuple[Signature, ...]:
    """Judge every signature TLV with the key that the nearest KEYHASH or PUBKEY before it names (image_validate.c)."""
    found: list[Signature] = []
    named: Tlv | None = None
    for tlv in layout.of(mcu.KEYHASH, mcu.PUBKEY, *mcu.SIGNATURES):
        if tlv.type in mcu.SIGNATURES:
            found.append(_signature(layout, view, context, named, tlv))
        else:
            named = tlv
    return tuple(found) or (Signature(outcome=Outcome.ABSENT, note="the image has no signature TLV"),)


def _signature(layout: Layout, view: _View, context: Context, named: Tlv | None, tlv: Tlv) -> Signature:
    keys, stranger = _candidates(layout, context, named, tlv)
    pure = any(layout.of(mcu.SIG_PURE)) and tlv.type == mcu.ED25519
    trials = [(key, *_try(key, layout, view, tlv, pure=pure)) for key in keys]
    best = next((trial for trial in trials if trial[1] is Outcome.VALID), trials[0] if trials else None)
    facts, outcome, note = _verdict(best, stranger, view)
    if named is None and outcome is Outcome.INVALID:
        note = f"the image names no key, and none of {len(keys)} declared keys of this kind fits"
    return Signature(
        outcome=outcome,
        algorithm=mcu.SIGNATURES[tlv.type],
        hash="sha-512" if pure else _hash_for(layout, tlv, facts),
        key=facts,
        covers=(layout.signed,),
        encoding=_encoding(tlv, pure=pure),
        where=tlv.span,
        note=note,
    )


def _verdict(
    best: tuple[PublicKey, Outcome, str] | None, stranger: KeyFacts | None, view: _View
) -> tuple[KeyFacts, Outcome, str]:
    """Return key, outcome and note: a key that only the image itself brings or names is not trust."""
    if best is None:
        note = "" if view.digests else "encrypted: also needs the decryption key"
        return stranger or KeyFacts(), Outcome.KEY_UNKNOWN if view.digests else Outcome.UNDECIDABLE, note
    key, outcome, note = best
    if stranger is not None and outcome is Outcome.VALID:
        return stranger, Outcome.KEY_UNKNOWN, "fits the key that the image itself carries, which nothing declared"
    return key.facts if stranger is None else stranger, outcome, note


def _candidates(
    layout: Layout, context: Context, named: Tlv | None, tlv: Tlv
) -> tuple[list[PublicKey], KeyFacts | None]:
    """Return the keys to try, and the facts of the named key where it is no declared one."""
    kind = _kind(tlv)
    if named is None:
        keys = [key for key in context.keys.verifiers if kind(key)]
        return keys, None if keys else KeyFacts()
    declared = [key for key in context.keys.verifiers if kind(key) and _is_named(key, named)]
    if declared:
        return declared, None
    if named.type == mcu.KEYHASH:
        return [], _stranger(named.data.hex())
    hash_name = next((mcu.HASHES[known.type] for known in layout.of(*mcu.HASHES)), "sha-256")
    embedded = [key for key in _embedded(named.data) if kind(key)]
    known = _stranger(digest(hash_name, named.data).hex())
    return embedded, embedded[0].facts if embedded and not known.published else known


def _stranger(identity: str) -> KeyFacts:
    published = PUBLISHED.get(identity, "")
    return KeyFacts(id=identity, published=f"mcu-tools/mcuboot {published}" if published else "")


def _kind(tlv: Tlv) -> _Kind:
    return _Kind(
        {mcu.RSA2048: "rsa", mcu.RSA3072: "rsa", mcu.ED25519: "ed25519", mcu.ECDSA224: "ec-p224"}.get(tlv.type, "ec")
    )


@dataclass(frozen=True)
class _Kind:
    prefix: str

    def __call__(self, key: PublicKey) -> bool:
        return key.facts.algorithm.startswith(self.prefix)


def _is_named(key: PublicKey, named: Tlv) -> bool:
    forms = (key.spki, key.pkcs1) if key.pkcs1 else (key.spki,)
    if named.type == mcu.PUBKEY:
        return named.data in forms
    name = HASH_OF_SIZE.get(len(named.data))
    return name is not None and any(digest(name, form) == named.data for form in forms)


def _embedded(data: bytes) -> tuple[PublicKey, ...]:
    """Return the key of a PUBKEY TLV, if it can be read."""
    try:
        return (read_public_key(data),)
    except CryptoError:
        return ()


def _hash_for(layout: Layout, tlv: Tlv, key: KeyFacts) -> str:
    stated = [mcu.HASHES[known.type] for known in layout.of(*mcu.HASHES)]
    wanted = "sha-384" if tlv.type == mcu.ECDSA and key.algorithm == "ec-p384" else "sha-256"
    return wanted if wanted in stated or not stated else stated[0]


def _try(key: PublicKey, layout: Layout, view: _View, tlv: Tlv, *, pure: bool) -> tuple[Outcome, str]:
    if not view.digests:
        return Outcome.UNDECIDABLE, "hash and signature are over the plaintext: needs the decryption key"
    if pure:
        return _try_pure(key, view, tlv)
    name = _hash_for(layout, tlv, key.facts)
    if tlv.type == mcu.ED25519:
        return common.check_message(key, "ed25519", "", view.digests[name], tlv.data)
    data = tlv.data[: tlv.data[1] + 2] if tlv.type in mcu.ECDSA_KINDS and len(tlv.data) > 1 else tlv.data
    if tlv.data[len(data) :].strip(b"\0"):
        return Outcome.INVALID, "bytes other than zeros, with which imgtool pads it, follow the signature"
    salt = PSS_SALT if tlv.type in {mcu.RSA2048, mcu.RSA3072} else None
    return common.check_digest(key, mcu.SIGNATURES[tlv.type], name, view.digests[name], data, salt)


def _try_pure(key: PublicKey, view: _View, tlv: Tlv) -> tuple[Outcome, str]:
    try:
        message = common.gather(view.pieces, "SIG_PURE")
    except LimitError as error:
        return Outcome.UNDECIDABLE, str(error)
    return common.check_message(key, "ed25519", "", message, tlv.data)


def _encoding(tlv: Tlv, *, pure: bool) -> str:
    if tlv.type in mcu.ECDSA_KINDS:
        padded = len(tlv.data) > 1 and len(tlv.data) > tlv.data[1] + 2
        return "DER, padded" if padded else "DER"
    if tlv.type == mcu.ED25519:
        return "over the image" if pure else "over the image's hash"
    return ""


# The artifact


def _artifact(
    source: Source, layout: Layout, view: _View, signatures: tuple[Signature, ...], recipients: tuple[Recipient, ...]
) -> Artifact:
    valid = any(signature.outcome is Outcome.VALID for signature in signatures)
    digests = tuple(_digest_check(tlv, layout, view, valid=valid) for tlv in layout.of(*mcu.HASHES))
    refuted = any(check.matches is False for check in digests)  # the bootloader refuses it, whatever the signature
    reached = not refuted and any(signature.outcome in common.REACHING for signature in signatures)
    version = _version(layout, signatures)
    encryption = _authenticated(view.encryption, valid=valid)
    return Artifact(
        format="mcuboot",
        title="MCUboot image",
        name=source.name,
        size=source.size,
        sha256="",
        signatures=signatures,
        coverage=_coverage(layout, reached=reached),
        digests=digests,
        encryption=(encryption,),
        recipients=recipients,
        images=(_image(layout, view, encryption, version, digests),),
        version=version,
        hardware=_hardware(layout),
        weaknesses=(*_weaknesses(source, layout, view, signatures), *common.digest_weaknesses(digests)),
        facts=tuple(_facts(layout)),
    )


def _authenticated(encryption: Encryption, *, valid: bool) -> Encryption:
    if not encryption.encrypted:
        return encryption
    known = valid if encryption.decrypted is not None else None
    return Encryption(**{**vars(encryption), "authenticated": known})


def _digest_check(tlv: Tlv, layout: Layout, view: _View, *, valid: bool) -> DigestCheck:
    name = mcu.HASHES[tlv.type]
    actual = view.digests.get(name)
    return DigestCheck(
        name=f"image hash ({tlv.name})",
        algorithm=name,
        expected=tlv.data.hex(),
        actual=None if actual is None else actual.hex(),
        covers=(layout.signed,),
        over="plaintext" if layout.flagged else "content",
        authentic=valid and actual == tlv.data,
        note="" if actual is not None else "over the plaintext: needs the decryption key",
    )


def _version(layout: Layout, signatures: Iterable[Signature]) -> Version:
    counter = _counter(layout)
    outcomes = {signature.outcome for signature in signatures}
    authentic = True if Outcome.VALID in outcomes else None if outcomes & common.REACHING else False
    return Version(
        version=layout.version,
        sequence=counter,
        authentic=authentic,
        constraints=tuple(mcu.dependency(tlv.data, layout.endian) for tlv in layout.of(mcu.DEPENDENCY, protected=True)),
    )


def _counter(layout: Layout) -> int | None:
    """Return the security counter that the bootloader takes: the first protected one, and only of four bytes."""
    first = next(layout.of(mcu.SEC_CNT, protected=True), None)
    return layout.integer(first.data) if first is not None and len(first.data) == COUNTER_SIZE else None


def _coverage(layout: Layout, *, reached: bool) -> Coverage:
    fields = ["version", "load address", "image size", "flags", *_steering(layout, protected=True)]
    outside = _steering(layout, protected=False)
    return Coverage(
        payload=(layout.payload,),
        uncovered=() if reached else (layout.payload,),
        metadata=tuple(fields) if reached else (),
        unprotected_metadata=outside if reached else (*fields, *outside),
        size_bound=reached,
    )


def _steering(layout: Layout, *, protected: bool) -> tuple[str, ...]:
    """Return the names of steering TLVs; vendor TLVs (0xa0 and above) count, since only the vendor knows their use."""
    chosen = [tlv for tlv in layout.tlvs if tlv.protected is protected]
    names = [tlv.name for tlv in chosen if tlv.type in STEERING or tlv.type not in mcu.NAMES]
    return tuple(dict.fromkeys(names))


def _image(
    layout: Layout, view: _View, encryption: Encryption, version: Version, digests: tuple[DigestCheck, ...]
) -> Image:
    return Image(
        id="payload",
        size=layout.payload.size,
        span=layout.payload,
        digests=digests,
        encryption=encryption,
        version=version,
        hardware=_hardware(layout),
        source=None if encryption.decrypted is False else view.plaintext,
        note="" if view.plaintext is not None else "encrypted, and no key was given",
    )


def _hardware(layout: Layout) -> tuple[str, ...]:
    words = {mcu.VENDOR_ID: "vendor", mcu.CLASS_ID: "class"}
    return tuple(f"{words[tlv.type]} {tlv.data.hex()}" for tlv in layout.of(*words, protected=True))


def _facts(layout: Layout) -> Iterator[tuple[str, str]]:
    flags = [name for bit, name in mcu.FLAGS.items() if layout.flags & bit]
    yield "flags", f"{layout.flags:#x} {' '.join(flags)}".strip()
    yield "load address", f"{layout.load_address:#x}"
    yield "byte order", layout.endian
    yield "protected TLVs", " ".join(tlv.name for tlv in layout.tlvs if tlv.protected)
    yield "unprotected TLVs", " ".join(tlv.name for tlv in layout.tlvs if not tlv.protected)


def _weaknesses(source: Source, layout: Layout, view: _View, signatures: tuple[Signature, ...]) -> Iterator[Weakness]:
    yield from common.signature_weaknesses(signatures)
    if _counter(layout) is None:
        text = "no security counter in the protected TLVs: rollback can be refused only by version, if at all"
        yield Weakness(code="no-rollback-counter", message=text)
    if not any(layout.of(*mcu.HASHES)):
        yield Weakness(code="missing-digest", message="the image has no hash TLV")
    if any(layout.of(mcu.PUBKEY)):
        text = "the image carries its whole public key, which proves nothing unless the device compares it"
        yield Weakness(code="embedded-key", message=text)
    outside = _steering(layout, protected=False)
    if outside:
        text = f"these TLVs are outside what is signed: {', '.join(outside)}"
        yield Weakness(code="unprotected-metadata", message=text, where=str(layout.unprotected))
    yield from _cipher_weaknesses(source, layout, view)
    rest = Span(layout.unprotected.end, source.size)
    if not _slot_rest(source, rest):
        text = "the bytes after the TLVs are neither erased flash nor a swap trailer"
        yield Weakness(code="trailing-data", message=text, where=str(rest))


def _cipher_weaknesses(source: Source, layout: Layout, view: _View) -> Iterator[Weakness]:
    if not layout.flagged:
        return
    if not view.encryption.encrypted and not view.encryption.cipher:  # its hash matches as it is
        yield Weakness(code="encryption-void", message=view.encryption.note, where=str(layout.payload))
        return
    yield from common.ciphertext_doubts(source, layout.payload, "payload")


def _slot_rest(source: Source, rest: Span) -> bool:
    """Return whether the rest of the file is slot padding, with or without a swap trailer (docs/design.md)."""
    if common.only_fill(source, rest):
        return True
    magic = source.read(max(rest.start, rest.end - 16), 16)
    if magic != BOOT_MAGIC and magic[2:] != BOOT_MAGIC_TAIL:
        return False
    return common.only_fill(source, Span(rest.start, max(rest.start, rest.end - 16 - TRAILER_FIELDS)))


FORMAT: Final = Format(
    id="mcuboot",
    title="MCUboot image",
    detect=_detect,
    parse=_parse,
    references=(
        "mcu-tools/mcuboot docs/design.md",
        "mcu-tools/mcuboot docs/encrypted_images.md",
        "mcu-tools/mcuboot docs/imgtool.md",
    ),
)
