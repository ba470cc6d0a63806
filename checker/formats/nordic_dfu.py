"""Nordic DFU packages: a zip whose manifest.json names, for each firmware, the image and its init packet.

Source: NordicSemiconductor/pc-nrfutil README and nordicsemi/dfu (secure DFU); adafruit/Adafruit_nRF52_nrfutil (legacy).

The chain is: signature → init command → digest and size of the image. `manifest.json` is signed by nobody; it only says
which file is which. The format knows no encryption. `fw_version` is compared by the bootloader unless the packet is
marked as a debug build, which switches the check off while the signature stays valid.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from checker.crypto.jose import read_json
from checker.crypto.keys import PublicKey
from checker.crypto.signatures import ecdsa_der
from checker.errors import FormatError
from checker.formats import _common as common
from checker.formats import _zip
from checker.formats._nordic_init import ECDSA, ED25519, Init, Signed, read_init
from checker.formats.contract import Context, Format, Parse
from checker.io.digests import DigestRequest, supported
from checker.model.artifact import (
    Artifact,
    Coverage,
    DigestCheck,
    Image,
    KeyFacts,
    Signature,
    Source,
    Version,
    Weakness,
)
from checker.model.terms import Outcome

WEAKNESSES: Final = (
    "checksum-mismatch",
    "checksum-only",
    "debug-build",
    "digest-mismatch",
    "hidden-data",
    "inner-unreadable",
    "integrity-only",
    "link-member",
    "malformed",
    "missing-digest",
    "no-hardware-id",
    "no-rollback-counter",
    "published-development-key",
    "second-end-record",
    "trailing-data",
    "unreferenced-member",
    "unsigned",
    "version-check-off",
    "weak-cipher",
)
MANIFEST: Final = "manifest.json"
MAX_MANIFEST: Final = 64 * 1024  # bytes; real ones have some 200 for each of at most four firmwares
MAX_INIT: Final = 64 * 1024  # bytes; bootloaders take 512
_KINDS: Final = ("softdevice_bootloader", "softdevice", "bootloader", "application", "external_application")
_SIGNATURE_SIZE: Final = 64


@dataclass(frozen=True, kw_only=True)
class _Firmware:
    """One entry of the manifest."""

    kind: str
    image: _zip.Member
    init: Init
    dat: _zip.Member
    content: Source = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class _Judged:
    """A firmware with its verdicts."""

    firmware: _Firmware
    signature: Signature
    checks: tuple[DigestCheck, ...]
    boot: tuple[Signature, ...]
    crc_matches: bool

    @property
    def strong(self) -> tuple[DigestCheck, ...]:
        """Return the digests of the image that nobody can forge; a CRC is none."""
        return tuple(check for check in self.checks if not check.algorithm.startswith("crc"))

    @property
    def reached(self) -> bool | None:
        """Return whether the signature reaches the image; None where its digest cannot be computed."""
        if self.signature.outcome not in common.REACHING or not self.strong or self.wrong:
            return False
        return None if any(check.matches is None for check in self.strong) else True

    @property
    def wrong(self) -> bool:
        """Return whether the image is not the one that the packet states."""
        size = self.firmware.init.size
        return any(check.matches is False for check in self.checks) or size not in {None, self.firmware.image.size}


def _detect(source: Source, context: Context) -> bool:  # noqa: ARG001 - the contract's signature
    if not _zip.looks_like(source):
        return False
    try:
        return bool(_entries(_zip.read(source)))
    except FormatError:
        return False


def _entries(archive: _zip.Archive) -> dict[str, Mapping[str, Any]]:
    """Return what the manifest says of each firmware, in the order in which they are installed."""
    member = archive.find(MANIFEST)
    if member is None or not member.readable or member.size > MAX_MANIFEST:
        return {}
    top = read_json(archive.open(member).read(0, member.size), MANIFEST)
    entries = top.get("manifest") if isinstance(top, dict) else None
    found = {kind: entries.get(kind) for kind in _KINDS} if isinstance(entries, dict) else {}
    return {kind: entry for kind, entry in found.items() if isinstance(entry, dict) and "bin_file" in entry}


def _parse(source: Source, context: Context) -> Parse:
    archive = _zip.read(source)
    entries = _entries(archive)
    if not entries:
        raise FormatError("names no firmware with a bin_file", field=MANIFEST)
    judged = []
    for kind, entry in entries.items():
        firmware = _firmware(archive, kind, entry)
        stated = dict(_stated(firmware.init))
        requests = {name: DigestRequest.over(name, firmware.content) for name in {*stated, "sha-256", "crc-32"}}
        answers = yield tuple(requests.values())
        archive.check_end(firmware.image)
        actual = {name: answers[request] for name, request in requests.items()}
        judged.append(_judge(firmware, actual, context))
    return _artifact(archive, tuple(judged))


def _firmware(archive: _zip.Archive, kind: str, entry: Mapping[str, Any]) -> _Firmware:
    image = _member(archive, kind, entry, "bin_file")
    dat = _member(archive, kind, entry, "dat_file")
    if dat.size > MAX_INIT:
        raise FormatError(f"{dat.size} bytes, at most MAX_INIT ({MAX_INIT})", offset=dat.span.start, field=dat.name)
    legacy = True if "init_packet_data" in entry else None
    packet = archive.open(dat)
    return _Firmware(
        kind=kind,
        image=image,
        init=read_init(packet.read(0, dat.size), dat.name, legacy=legacy),
        dat=dat,
        content=archive.open(image),
    )


def _member(archive: _zip.Archive, kind: str, entry: Mapping[str, Any], name: str) -> _zip.Member:
    path = entry.get(name)
    member = archive.find(path) if isinstance(path, str) else None
    if member is None:
        raise FormatError(f"{kind}.{name} names {str(path)[:100]!r}, which is not in the package", field=MANIFEST)
    return member


def _stated(init: Init) -> Iterator[tuple[str, bytes]]:
    """Yield the digests that the packet states and that can be computed."""
    if init.hash and supported(init.hash):
        yield init.hash, init.digest


# Verdicts


def _judge(firmware: _Firmware, actual: Mapping[str, bytes], context: Context) -> _Judged:
    init = firmware.init
    signature = _signature(init.signed, context)
    if init.signed:
        signature = replace(signature, covers=(firmware.dat.span,), where=firmware.dat.span)
    boot = (_boot_signature(firmware, actual["sha-256"], context),) if init.boot_signature else ()
    return _Judged(
        firmware=firmware,
        signature=signature,
        checks=tuple(_checks(firmware, actual, authentic=signature.outcome is Outcome.VALID)),
        boot=boot,
        crc_matches=int.from_bytes(actual["crc-32"], "big") == firmware.image.crc32,
    )


def _signature(signed: Signed | None, context: Context) -> Signature:
    """Return the verdict over the init command; the signature names its scheme and no key."""
    if signed is None:
        return Signature(outcome=Outcome.ABSENT, note="the init packet is not signed")
    if signed.kind not in {ECDSA, ED25519}:
        note = f"signatures of type {signed.kind} are not known"
        return Signature(outcome=Outcome.UNDECIDABLE, note=note)
    kind = "ec-p256" if signed.kind == ECDSA else "ed25519"
    return _verdict(signed, tuple(key for key in context.keys.verifiers if key.facts.algorithm == kind))


def _boot_signature(firmware: _Firmware, digest: bytes, context: Context) -> Signature:
    """Return the verdict over the image itself, which the bootloader repeats at every start."""
    raw = firmware.init.boot_signature
    keys = tuple(key for key in context.keys.verifiers if key.facts.algorithm == "ec-p256")
    if len(raw) != _SIGNATURE_SIZE:
        found = Signature(outcome=Outcome.INVALID, note=f"{_SIGNATURE_SIZE} bytes needed, here are {len(raw)}")
    else:
        der = ecdsa_der(raw, little_endian=True)
        tried = [(key, *common.check_digest(key, "ecdsa", "sha-256", digest, der)) for key in keys]
        found = _best(tried, "ecdsa", "sha-256", "raw r||s, little-endian")
    note = "; ".join(text for text in ("over the image, for the check at every start", found.note) if text)
    return replace(found, covers=(firmware.image.span,), where=firmware.dat.span, note=note)


def _verdict(signed: Signed, keys: tuple[PublicKey, ...]) -> Signature:
    if len(signed.signature) != _SIGNATURE_SIZE:
        note = f"a signature has {_SIGNATURE_SIZE} bytes, here are {len(signed.signature)}"
        return Signature(outcome=Outcome.INVALID, note=note)
    if signed.kind == ED25519:
        tried = [(key, *common.check_message(key, "ed25519", "", signed.message, signed.signature)) for key in keys]
        return _best(tried, "ed25519", "sha-512", "raw")
    der = ecdsa_der(signed.signature, little_endian=signed.little_endian)
    tried = [(key, *common.check_message(key, "ecdsa", "sha-256", signed.message, der)) for key in keys]
    order = "little-endian" if signed.little_endian else "big-endian"
    return _best(tried, "ecdsa", "sha-256", f"raw r||s, {order}")


def _best(tried: list[tuple[PublicKey, Outcome, str]], algorithm: str, hash_name: str, encoding: str) -> Signature:
    """Return VALID by the key that fits, KEY_UNKNOWN where none of the kind was declared, else the first refusal."""
    if not tried:
        kind = "P-256" if algorithm == "ecdsa" else "Ed25519"
        note = f"no {kind} key was declared, and the signature names none"
        return Signature(outcome=Outcome.KEY_UNKNOWN, algorithm=algorithm, hash=hash_name, encoding=encoding, note=note)
    key, outcome, note = next((item for item in tried if item[1] is Outcome.VALID), tried[0])
    named = outcome is Outcome.VALID or len(tried) == 1
    return Signature(
        outcome=outcome,
        algorithm=algorithm,
        hash=hash_name,
        key=key.facts if named else KeyFacts(),
        encoding=encoding,
        note=note if outcome is Outcome.VALID else note or "fits no declared key of its kind",
    )


def _checks(firmware: _Firmware, actual: Mapping[str, bytes], *, authentic: bool) -> Iterator[DigestCheck]:
    init, image = firmware.init, firmware.image
    if init.hash:
        found = actual.get(init.hash)
        yield DigestCheck(
            name=image.name,
            algorithm=init.hash,
            expected=init.digest.hex(),
            actual=found.hex() if found is not None else None,
            covers=(image.span,),
            authentic=authentic,
            note="" if found is not None else f"{init.hash} is not computed here",
        )
    if init.boot_hash:
        yield DigestCheck(
            name=f"{image.name} (at every start)",
            algorithm="sha-256",
            expected=init.boot_hash.hex(),
            actual=actual["sha-256"].hex(),
            covers=(image.span,),
            authentic=authentic,
        )


# The artifact


def _artifact(archive: _zip.Archive, judged: tuple[_Judged, ...]) -> Artifact:
    signatures = tuple(signature for item in judged for signature in (item.signature, *item.boot))
    hardware = tuple(dict.fromkeys(name for item in judged for name in item.firmware.init.hardware))
    legacy = any(item.firmware.init.legacy for item in judged)
    return Artifact(
        format="nordic-dfu",
        title=f"Nordic DFU package ({'legacy' if legacy else 'secure DFU'})",
        name=archive.source.name,
        size=archive.source.size,
        sha256="",
        signatures=signatures,
        coverage=_coverage(judged),
        images=tuple(_image(item) for item in judged),
        version=_version(judged[-1]),  # the application, where there is one
        hardware=hardware,
        weaknesses=tuple(_weaknesses(archive, judged)),
        facts=tuple(fact for item in judged for fact in _facts(item.firmware) if fact[1]),
    )


def _coverage(judged: tuple[_Judged, ...]) -> Coverage:
    """Return what the signatures reach; beside a valid one, a stranger may have put what no key can judge."""
    fields = ("type", "fw_version", "hw_version", "sd_req", "size")
    proved = any(signature.outcome is Outcome.VALID for item in judged for signature in (item.signature, *item.boot))
    counting = {Outcome.VALID} if proved else common.REACHING
    signed = all(item.signature.outcome in counting for item in judged)
    reached = [None if item.reached and item.signature.outcome not in counting else item.reached for item in judged]
    spans = [item.firmware.image.span for item in judged]
    return Coverage(
        payload=tuple(spans),
        uncovered=tuple(span for span, state in zip(spans, reached, strict=True) if state is False),
        undecided=tuple(span for span, state in zip(spans, reached, strict=True) if state is None),
        metadata=fields if signed else (),
        unprotected_metadata=() if signed else fields,
        size_bound=False if False in reached else None if None in reached else True,
    )


def _version(item: _Judged) -> Version:
    init, outcome = item.firmware.init, item.signature.outcome
    authentic = True if outcome is Outcome.VALID else None if outcome in common.REACHING else False
    return Version(
        version=None if init.version is None else str(init.version),
        sequence=init.version,
        authentic=authentic,
        constraints=tuple(f"SoftDevice {number:#06x}" for number in init.softdevices),
    )


def _image(item: _Judged) -> Image:
    firmware = item.firmware
    return Image(
        id=firmware.image.name,
        size=firmware.image.size,
        target=firmware.kind,
        hardware=firmware.init.hardware,
        span=firmware.image.span,
        digests=item.checks,
        version=_version(item),
        source=firmware.content,
    )


def _weaknesses(archive: _zip.Archive, judged: tuple[_Judged, ...]) -> Iterator[Weakness]:
    present = [s for item in judged for s in (item.signature, *item.boot) if s.outcome is not Outcome.ABSENT]
    yield from common.signature_weaknesses(present) if present else ()
    for item in judged:
        yield from _init_weaknesses(item)
        yield from common.digest_weaknesses(item.checks)
    for doubt in archive.doubts:
        yield Weakness(code=doubt.code, message=doubt.message, where=doubt.where)
    used = {MANIFEST, *(name for item in judged for name in (item.firmware.image.name, item.firmware.dat.name))}
    for member in archive.members:
        if member.kind == "file" and member.name not in used:
            text = f"{member.name[:200]!r} is not named by {MANIFEST}"
            yield Weakness(code="unreferenced-member", message=text, where=member.name[:200])


def _init_weaknesses(item: _Judged) -> Iterator[Weakness]:
    firmware = item.firmware
    for code, message in (*_protection(item), *_statement(firmware)):
        yield Weakness(code=code, message=message, where=firmware.dat.name)
    if not item.crc_matches:
        name = firmware.image.name[:200]
        yield Weakness(code="checksum-mismatch", message=f"the zip's CRC-32 of {name!r} is wrong", where=name)


def _protection(item: _Judged) -> Iterator[tuple[str, str]]:
    init = item.firmware.init
    if item.signature.outcome is Outcome.ABSENT:
        yield "unsigned", "the init packet is not signed"
        if item.strong:
            yield "integrity-only", f"only {item.strong[0].algorithm} protects the image"
    if not init.hash:
        yield "missing-digest", "the init packet states no digest of the image"
    elif init.hash.startswith("crc"):
        yield "checksum-only", f"only {init.hash} says whether the image is the right one"


def _statement(firmware: _Firmware) -> Iterator[tuple[str, str]]:
    init = firmware.init
    if init.debug:
        yield "debug-build", "is_debug is set"
        yield "version-check-off", "is_debug is set: the bootloader skips the version checks"
    if not init.hardware:
        yield "no-hardware-id", "the init packet is for every hardware"
    if init.version is None:
        yield "no-rollback-counter", "the init packet states no version"
    if init.kind and init.kind != firmware.kind.removeprefix("external_"):
        yield "malformed", f"{MANIFEST} calls {init.kind} firmware {firmware.kind}"
    if init.size not in {None, firmware.image.size}:
        yield "malformed", f"the init packet states {init.size} bytes, the image has {firmware.image.size}"


def _facts(firmware: _Firmware) -> Iterator[tuple[str, str]]:
    init = firmware.init
    yield f"{firmware.kind} init packet", "legacy" if init.legacy else "secure DFU"
    yield f"{firmware.kind} SoftDevices", ", ".join(f"{number:#06x}" for number in init.softdevices)
    yield f"{firmware.kind} boot validation", ", ".join(init.validations)
    yield f"{firmware.kind} debug", "yes" if init.debug else ""


FORMAT: Final = Format(
    id="nordic-dfu",
    title="Nordic DFU package (.zip)",
    detect=_detect,
    parse=_parse,
    references=("NordicSemiconductor/pc-nrfutil nordicsemi/dfu/dfu-cc.proto", "nRF5 SDK 17 Device Firmware Update"),
)
