"""ESP-IDF images: Secure Boot v1 and v2 signatures, the keyed bootloader digest, and flash encryption.

Source: espressif/esp-idf docs/en/security/{secure-boot-v1,secure-boot-v2,flash-encryption}.rst, and
components/bootloader_support/src/secure_boot_v2 for what the bootloader accepts.

Secure Boot v2 puts up to three blocks with key and signature into the sector behind the image; devices trust a key by
its digest in their fuses, so a key that only the image brings is no trust. Secure Boot v1 appends r || s without a key.
Nothing in a flash-encrypted file says that it is one: the option `flash_address` and a key have to be given; for the
ESP32's own scheme `flash_crypt_conf` too, the four bits of the fuse FLASH_CRYPT_CONFIG. Signature and digest are over
the plaintext. The option `key_digest` (hex, several with commas) declares keys as the fuses do, by their digests.

An ML-DSA block may follow the sector of Secure Boot v2: `checker.formats._esp_pqc`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from string import hexdigits
from typing import Final

from checker.crypto.esp_flash import esp32_digest, esp32_digest_source
from checker.crypto.keyring import DecryptionKey
from checker.crypto.keys import PublicKey, from_ec_point, from_rsa_numbers
from checker.crypto.signatures import Candidate, ecdsa_der
from checker.errors import CryptoError, FormatError
from checker.formats import _common as common
from checker.formats import _esp_image as esp
from checker.formats import _esp_pqc as pqc
from checker.formats._esp_flash_encryption import ADDRESS, CONFIGURATION, View, may_be_sealed, open_flash
from checker.formats._esp_image import Block, Layout
from checker.formats._esp_pqc import ResistantBlock
from checker.formats._raw_signature import judge
from checker.formats.contract import Context, Format, Parse
from checker.io.digests import DigestRequest, Piece, digest
from checker.io.sources import Window
from checker.model.artifact import (
    Artifact,
    AuthKind,
    Coverage,
    DigestCheck,
    Encryption,
    Image,
    KeyFacts,
    Signature,
    Source,
    Span,
    Version,
    Weakness,
)
from checker.model.terms import Outcome

WEAKNESSES: Final = (
    *common.WEAKNESSES,
    "integrity-only",
    "mac-not-signature",
    "no-rollback-counter",
    "trailing-data",
)
KEY_DIGEST: Final = "key_digest"
DIGEST_SIZE: Final = 32  # bytes of a key's digest in the fuses
PSS_SALT: Final = 32  # bytes
KEYED: Final = "esp-secure-boot-v1-digest"  # AES-256 and SHA-512 with a key in the fuses; in no algorithm table
KEYED_KEY: Final = 32  # bytes
KEYED_IV: Final = 128  # bytes
KEYED_SIZE: Final = 192  # bytes: an IV of 128 and a digest of 64, then erased flash up to the image


@dataclass(frozen=True, kw_only=True)
class _Found(common.Signed):
    """Everything about the image that the verdicts are made of."""

    view: View
    blocks: tuple[Block, ...]
    resistant: ResistantBlock | None
    v1: int | None
    answers: Mapping[DigestRequest, bytes]


def _detect(source: Source, context: Context) -> bool:
    if _clear(source) is not None:
        return True
    if ADDRESS not in context.options:
        return False
    try:
        return open_flash(source, context) is not None or may_be_sealed(source)
    except FormatError:
        return True  # so that the option's fault is told


def _parse(source: Source, context: Context) -> Parse:
    _declared_digests(context)
    view = _clear(source) or open_flash(source, context)
    if view is None:
        if ADDRESS not in context.options:
            esp.read_layout(source)  # raises, and says why
        return _closed(source)
    blocks = () if view.keyed else esp.read_blocks(view.source, view.layout.sector)
    resistant = None if view.keyed else pqc.read_block(view.source, view.layout)
    v1 = None if blocks or resistant or view.keyed else esp.v1_signature(view.source, view.layout)
    keyed = tuple(_keyed_requests(view, context))
    found = _Found(view=view, blocks=blocks, resistant=resistant, v1=v1, answers={}, signatures=())
    answers = yield (*_requests(found), *(request for _, request in keyed))
    found = replace(found, answers=answers)
    signatures = (_keyed_digest(view, keyed, answers),) if view.keyed else _signatures(found, context)
    return _artifact(source, replace(found, signatures=signatures))


def _clear(source: Source) -> View | None:
    """Return the image where it lies in clear, with or without the keyed digest before it."""
    plain = Encryption(encrypted=False)
    for start in (0, esp.SECTOR):
        keyed = start > 0
        if keyed and not _keyed(source):
            continue
        try:
            layout = esp.read_layout(source, start, cut=keyed)
        except FormatError:
            continue
        return View(source=source, layout=layout, encryption=plain, keyed=keyed)
    return None


def _keyed(source: Source) -> bool:
    head = source.read(0, esp.SECTOR)
    rest = head[KEYED_SIZE:]
    return len(head) == esp.SECTOR and rest.count(b"\xff") == len(rest) and len(set(head[:KEYED_SIZE])) > 1


def _requests(found: _Found) -> Iterator[DigestRequest]:
    view, layout = found.view, found.view.layout
    yield from (_over(view, block.hash, layout.sector) for block in found.blocks if block.kind)
    if found.resistant is not None:
        yield _over(view, "sha-256", pqc.place(layout))
    if found.v1 is not None:
        yield _over(view, "sha-256", found.v1)
    if layout.digest:
        yield DigestRequest.over("sha-256", view.source, layout.body)


def _over(view: View, name: str, end: int) -> DigestRequest:
    return DigestRequest.over(name, view.source, Span(view.layout.start, end))


# Signatures


def _signatures(found: _Found, context: Context) -> tuple[Signature, ...]:
    view, answers = found.view, found.answers
    signatures = [_block(view, block, answers, context) for block in found.blocks]
    if found.resistant is not None:
        end = pqc.place(view.layout)
        actual, classical = answers[_over(view, "sha-256", end)], bool(found.blocks)
        covers = Span(view.layout.start, end)
        signatures.append(pqc.judge(found.resistant, covers, actual, context.keys, classical=classical))
    if found.v1 is not None:
        signatures.append(_v1(view, found.v1, answers, context))
    absent = Signature(outcome=Outcome.ABSENT, note="no signature block, and nothing signed behind the image")
    return tuple(signatures) or (absent,)


def _keyed_requests(view: View, context: Context) -> Iterator[tuple[DecryptionKey, DigestRequest]]:
    """Yield the keyed digest under each declared secret of the engine's size; it reads whole units of 128 bytes."""
    image = Span(view.layout.start, view.layout.end if view.layout.digest else view.layout.body.end)
    odd = image.size % esp.DIGEST_UNIT
    whole = image.size - odd if view.layout.digest and odd <= esp.HASH else image.size + -odd % esp.DIGEST_UNIT
    for key in context.keys.secrets if view.keyed else ():
        parts = (Window(view.source, "IV", 0, KEYED_IV), Window(view.source, "image", image.start, whole))
        if len(key.secret) == KEYED_KEY and image.start + whole <= view.source.size:
            mixed = tuple(esp32_digest_source(part, key.secret) for part in parts)
            pieces = tuple(Piece(part, Span(0, part.size)) for part in mixed)
            yield key, DigestRequest("sha-512", pieces)


def _keyed_digest(
    view: View, keyed: tuple[tuple[DecryptionKey, DigestRequest], ...], answers: Mapping[DigestRequest, bytes]
) -> Signature:
    stated = view.source.read(KEYED_IV, KEYED_SIZE - KEYED_IV)
    fitting = next((key for key, request in keyed if esp32_digest(answers[request]) == stated), None)
    why = "fits no given key: of another key, or of another image" if keyed else "it takes the key to compute it"
    note = "a digest under a key in the device's fuses, a shared secret and no signature"
    return Signature(
        outcome=Outcome.UNDECIDABLE if fitting is None else Outcome.VALID,
        kind=AuthKind.MAC,
        algorithm=KEYED,
        hash="sha-512",
        key=KeyFacts() if fitting is None else fitting.facts,
        covers=(Span(view.layout.start, view.layout.end),),
        where=Span(0, KEYED_SIZE),
        note=f"{note}; {why}" if fitting is None else note,
    )


def _block(view: View, block: Block, answers: Mapping[DigestRequest, bytes], context: Context) -> Signature:
    """Return what is known of one block: the device checks its CRC, its key's digest, its digest and its signature."""
    blank = Signature(
        outcome=Outcome.INVALID,
        algorithm={"rsa": "rsa-pss", "ecdsa": "ecdsa"}.get(block.kind, ""),
        hash=block.hash if block.kind else "",
        covers=(Span(view.layout.start, view.layout.sector),),
        encoding="little-endian" if block.kind == "rsa" else "raw r||s, little-endian",
        where=block.span,
    )
    if not block.kind:
        return replace(blank, encoding="", note="the block's version or curve is not known")
    try:
        key = _key(block)
    except (CryptoError, FormatError) as error:
        return replace(blank, note=str(error))
    declared = context.keys.find(key.spki_sha256)
    in_fuses = _fuses(block) in _declared_digests(context)
    facts = replace(key.facts, name=KEY_DIGEST, declared=True) if in_fuses else key.facts
    blank = replace(blank, key=declared.facts if declared else facts)
    actual = answers[_over(view, block.hash, view.layout.sector)]
    return _judged(blank, block, key, actual, trusted=in_fuses or declared is not None)


def _declared_digests(context: Context) -> frozenset[str]:
    """Return the digests of keys that the devices' fuses hold, as the option states them."""
    words = [word.strip().lower() for word in context.options.get(KEY_DIGEST, "").split(",") if word.strip()]
    for word in words:
        if len(word) != 2 * DIGEST_SIZE or not set(word) <= set(hexdigits):
            raise FormatError(f"{word[:80]!r} is not a SHA-256 in 64 hexadecimal digits", field=KEY_DIGEST)
    return frozenset(words)


def _judged(blank: Signature, block: Block, key: PublicKey, actual: bytes, *, trusted: bool) -> Signature:
    if not block.crc_matches:
        return replace(blank, note="the block's CRC does not match, so devices skip it")
    if not key.usable:
        return replace(blank, note="the block's key is no usable key of its kind, such as a point off the curve")
    if block.digest != actual:
        return replace(blank, note="the block's digest is not that of the image")
    outcome, note = _verify(block, key, actual)
    if outcome is Outcome.VALID and not trusted:
        note = f"fits the key in the block, which nothing declared; its digest in the fuses: {_fuses(block)}"
        return replace(blank, outcome=Outcome.KEY_UNKNOWN, note=note)
    return replace(blank, outcome=outcome, note=note)


def _verify(block: Block, key: PublicKey, actual: bytes) -> tuple[Outcome, str]:
    if block.kind == "rsa":
        return common.check_digest(key, "rsa-pss", "sha-256", actual, block.signature[::-1], PSS_SALT)
    der = ecdsa_der(block.signature, little_endian=True)
    return common.check_digest(key, "ecdsa", block.hash, actual, der)


def _key(block: Block) -> PublicKey:
    if block.kind == "rsa":
        return from_rsa_numbers(*esp.rsa_numbers(block))
    return from_ec_point(block.curve, esp.ec_point(block))


def _fuses(block: Block) -> str:
    """Return the key digest that devices compare with their fuses."""
    return digest("sha-256", block.key).hex()


def _v1(view: View, start: int, answers: Mapping[DigestRequest, bytes], context: Context) -> Signature:
    data = view.source.read(start + 4, esp.V1_SIZE - 4)
    keys = [key for key in context.keys.verifiers if key.facts.algorithm == "ec-p256"]
    digests = {"sha-256": answers[_over(view, "sha-256", start)]}
    found = judge(data, keys, digests, schemes=_v1_schemes)
    span = Span(start, start + esp.V1_SIZE)
    covers = (Span(view.layout.start, start),)
    return replace(found, algorithm="ecdsa", hash="sha-256", encoding="raw r||s, big-endian", covers=covers, where=span)


def _v1_schemes(key: PublicKey) -> Iterator[Candidate]:
    del key
    yield Candidate("ecdsa", "sha-256")


# The artifact


def _artifact(source: Source, found: _Found) -> Artifact:
    view, layout = found.view, found.view.layout
    digests = tuple(_digests(found))
    version = _version(found)
    encryption = view.encryption
    if encryption.encrypted:
        encryption = replace(encryption, authenticated=found.valid)
    payload = Span(layout.start, layout.end)
    return Artifact(
        format="esp-idf",
        title="ESP-IDF image" if layout.descriptor is None else "ESP-IDF application image",
        name=source.name,
        size=source.size,
        sha256="",
        signatures=found.signatures,
        coverage=_coverage(found, payload),
        digests=digests,
        encryption=(encryption,),
        images=(Image(id="image", size=payload.size, span=payload, encryption=encryption, version=version),),
        version=version,
        hardware=(_chip(layout),),
        weaknesses=tuple(_weaknesses(source, found, digests)),
        facts=tuple(fact for fact in _facts(found) if fact[1]),
    )


def _chip(layout: Layout) -> str:
    return esp.CHIPS.get(layout.chip, f"chip {layout.chip}")


def _digests(found: _Found) -> Iterator[DigestCheck]:
    view, layout = found.view, found.view.layout
    over = "plaintext" if view.encryption.encrypted else "content"
    if layout.digest:
        yield DigestCheck(
            name="appended SHA-256",
            algorithm="sha-256",
            expected=layout.digest.hex(),
            actual=found.answers[DigestRequest.over("sha-256", view.source, layout.body)].hex(),
            covers=(layout.body,),
            over=over,
            authentic=found.valid,
        )
    for block, signature in zip(found.blocks, found.signatures, strict=False):
        if block.kind:
            yield DigestCheck(
                name=f"digest of the signature block at {block.span.start:#x}",
                algorithm=block.hash,
                expected=block.digest.hex(),
                actual=found.answers[_over(view, block.hash, layout.sector)].hex(),
                covers=(Span(layout.start, layout.sector),),
                over=over,
                authentic=signature.outcome is Outcome.VALID,
            )
    if found.resistant is not None:
        end = pqc.place(layout)
        yield DigestCheck(
            name=f"digest of the {pqc.FIELD} at {end:#x}",
            algorithm="sha-256",
            expected=found.resistant.digest.hex(),
            actual=found.answers[_over(view, "sha-256", end)].hex(),
            covers=(Span(layout.start, end),),
            over=over,
            authentic=found.signatures[-1].outcome is Outcome.VALID,
        )


def _version(found: _Found) -> Version:
    descriptor = found.view.layout.descriptor
    authentic = found.authentic
    if descriptor is None:
        return Version(authentic=authentic)
    return Version(version=descriptor.version or None, sequence=descriptor.secure_version, authentic=authentic)


def _coverage(found: _Found, payload: Span) -> Coverage:
    fields = ["chip", "load addresses"]
    if found.view.layout.descriptor is not None:
        fields += ["version", "secure_version", "project"]
    return Coverage(
        payload=(payload,),
        uncovered=() if found.reached else (payload,),
        metadata=tuple(fields) if found.reached else (),
        unprotected_metadata=() if found.reached else tuple(fields),
        size_bound=found.reached,
    )


def _facts(found: _Found) -> Iterator[tuple[str, str]]:
    layout = found.view.layout
    yield "chip", _chip(layout)
    yield "segments", " ".join(f"{address:#x}+{length:#x}" for address, length in layout.segments)
    yield "lowest chip revision", str(layout.min_revision)
    for block in found.blocks:
        if block.kind:
            yield f"key digest of the block at {block.span.start:#x}", _fuses(block)
    if found.resistant is not None and found.resistant.flags:
        yield f"flags of the {pqc.FIELD}, which nothing defines", f"{found.resistant.flags:#04x}"
    descriptor = layout.descriptor
    if descriptor is not None:
        yield "project", descriptor.project
        yield "built", descriptor.built
        yield "ESP-IDF", descriptor.idf


# Weaknesses


def _weaknesses(source: Source, found: _Found, digests: tuple[DigestCheck, ...]) -> Iterator[Weakness]:
    view, layout = found.view, found.view.layout
    yield from common.signature_weaknesses(found.signatures)
    yield from common.digest_weaknesses(digests)
    if view.keyed:
        text = "a keyed digest protects the bootloader: whoever can verify it can make it"
        yield Weakness(code="mac-not-signature", message=text, where=str(Span(0, KEYED_SIZE)))
    if layout.digest and all(signature.outcome is Outcome.ABSENT for signature in found.signatures):
        yield Weakness(code="integrity-only", message="only the appended SHA-256 protects the image")
    if layout.descriptor is None or layout.descriptor.secure_version == 0:
        text = "the image has no application descriptor" if layout.descriptor is None else "secure_version is 0"
        yield Weakness(code="no-rollback-counter", message=f"{text}: nothing stops an older release")
    if view.encryption.encrypted:
        yield from common.ciphertext_doubts(source, Span(0, source.size), "image")
    rest = Span(min(_end(found), source.size), source.size)
    if not _fills(found, rest):
        text = "bytes follow the image that are neither signature nor erased flash"
        yield Weakness(code="trailing-data", message=text, where=str(rest))


def _end(found: _Found) -> int:
    """Return where signature and image end."""
    if found.resistant is not None:
        return found.resistant.span.end
    if found.blocks:
        return found.view.layout.sector + esp.SECTOR
    return found.view.layout.end if found.v1 is None else found.v1 + esp.V1_SIZE


def _fills(found: _Found, rest: Span) -> bool:
    layout, source = found.view.layout, found.view.source
    sectored = bool(found.blocks) or found.resistant is not None
    begun = layout.sector if sectored else found.v1 or layout.end
    spans = [Span(layout.end, min(begun, source.size)), rest]
    if sectored:
        last = found.blocks[-1].span.end if found.blocks else begun
        spans.append(Span(min(last, source.size), min(layout.sector + esp.SECTOR, source.size)))
    padded = found.resistant is None or found.resistant.padded
    return padded and all(common.only_fill(source, span) for span in spans)


# What stays closed


def _closed(source: Source) -> Artifact:
    """Return what can be said of a file that no declared key decrypts: next to nothing."""
    whole = Span(0, source.size)
    doubts = common.ciphertext_doubts(source, whole, "image")
    note = f"needs the flash encryption key, and for the ESP32's own scheme the option {CONFIGURATION}"
    encryption = Encryption(encrypted=None, note=doubts[0].message if doubts else note)
    check = DigestCheck(
        name="image digest", algorithm="sha-256", expected="", actual=None, covers=(whole,), over="plaintext", note=note
    )
    signature = Signature(outcome=Outcome.UNDECIDABLE, key=KeyFacts(), note=f"encrypted as a whole: {note}")
    return Artifact(
        format="esp-idf",
        title="ESP-IDF image, flash-encrypted",
        name=source.name,
        size=source.size,
        sha256="",
        signatures=(signature,),
        coverage=Coverage(payload=(whole,), undecided=(whole,)),
        digests=(check,),
        encryption=(encryption,),
        images=(Image(id="image", size=source.size, span=whole, encryption=encryption, note=note),),
        weaknesses=doubts,
    )


FORMAT: Final = Format(
    id="esp-idf",
    title="ESP-IDF image",
    detect=_detect,
    parse=_parse,
    options={
        "flash_address": "where in flash an encrypted image lies, such as 0x10000",
        "flash_crypt_conf": "FLASH_CRYPT_CONFIG of the ESP32, 0x0 to 0xf",
        "key_digest": "SHA-256 of the Secure Boot v2 keys in the fuses, hex, with commas between",
    },
    references=(
        "espressif/esp-idf docs/en/security/secure-boot-v1.rst",
        "espressif/esp-idf docs/en/security/secure-boot-v2.rst",
        "espressif/esp-idf docs/en/security/flash-encryption.rst",
        "espressif/esp-pqc examples/pqc_boot_verify (ML-DSA block, experimental, commits 95db07d1 and ba265de0)",
    ),
)
