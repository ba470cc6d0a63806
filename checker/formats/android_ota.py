"""Android update packages: a zip that is signed as a whole, for recovery or for A/B devices (with payload.bin inside).

Source: AOSP bootable/recovery install/verifier.cpp, build/make/tools/releasetools, RecoverySystem.verifyPackage.

The one signature that recovery checks stands in the comment and covers all before it. What jarsigner writes into
META-INF/*.RSA covers members one by one, and recovery does not look at it. A payload.bin inside is opened as an
artifact of its own, with its own signatures. The format knows no encryption.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from checker.errors import FormatError
from checker.formats import _android_metadata as meta
from checker.formats import _common as common
from checker.formats import _zip
from checker.formats._android_footer import Footer, judge, read_footer
from checker.formats.contract import Context, Format, Parse
from checker.io.digests import DigestRequest
from checker.model.artifact import (
    Artifact,
    Coverage,
    DigestCheck,
    Image,
    Signature,
    Source,
    Span,
    Version,
    Weakness,
)
from checker.model.terms import Outcome

WEAKNESSES: Final = (
    *common.WEAKNESSES,
    "data-wipe",
    "downgrade-allowed",
    "hidden-data",
    "inner-unreadable",
    "link-member",
    "malformed",
    "missing-member",
    "no-hardware-id",
    "script-member",
    "second-end-record",
    "trailing-data",
    "weak-cipher",
)
MAX_OPENED: Final = 64  # members that are opened as artifacts of their own
_SHOWN: Final = 200  # characters of a value among the facts
_TAIL: Final = 128 * 1024  # bytes at the end in which a damaged package still shows the names of its members
_NAMES: Final = (b"META-INF/com/android/", b"META-INF/com/google/android/")
_JAR_SIGNATURE: Final = re.compile(r"META-INF/[^/]+\.(?:RSA|DSA|EC)")
_SCRIPT: Final = re.compile(r"META-INF/com/google/android/(?:updater-script|update-binary)")
_APK_BLOCK: Final = b"APK Sig Block 42"
_IMAGE: Final = re.compile(r"payload\.bin|.*\.(?:img|bin|mbn|elf|dat|dat\.br|zip|apex|capex|p)")


@dataclass(frozen=True, kw_only=True)
class _Package:
    """Everything about the file that the verdicts are made of. `archive` is None where it cannot be read."""

    source: Source
    archive: _zip.Archive | None
    broken: str  # why not
    footer: Footer | None
    signatures: tuple[Signature, ...]
    metadata: meta.Metadata
    checks: tuple[DigestCheck, ...]

    @property
    def members(self) -> tuple[_zip.Member, ...]:
        """Return the members of the zip."""
        return self.archive.members if self.archive else ()

    @property
    def valid(self) -> bool:
        """Return whether the whole file is validly signed."""
        return any(signature.outcome is Outcome.VALID for signature in self.signatures)

    @property
    def reached(self) -> bool:
        """Return whether a signature over the whole file is not known to be wrong."""
        return any(signature.outcome in common.REACHING for signature in self.signatures)


def _detect(source: Source, context: Context) -> bool:  # noqa: ARG001 - the contract's signature
    if read_footer(source) is not None:
        return True
    if not _zip.looks_like(source):
        return False
    try:
        names = [member.name for member in _zip.read(source).members]
    except FormatError:
        tail = source.read(max(0, source.size - _TAIL), _TAIL)
        return any(name in tail for name in _NAMES)
    own = any(name.encode(errors="replace").startswith(_NAMES) for name in names)
    return own or {meta.PAYLOAD, meta.PROPERTIES} <= set(names) or any(map(_JAR_SIGNATURE.fullmatch, names))


def _parse(source: Source, context: Context) -> Parse:
    footer = read_footer(source)
    archive, broken = _open(source)
    if broken is not None and footer is None:
        raise broken
    metadata = meta.read_metadata(archive) if archive else meta.Metadata(values={})
    signatures: tuple[Signature, ...] = (Signature(outcome=Outcome.ABSENT, note=_absence(archive)),)
    if footer is not None:
        signatures = yield from judge(source, footer, context)
    wanted = tuple(_stated(archive)) if archive else ()
    answers = yield tuple(request for _, request, _ in wanted)
    valid = any(signature.outcome is Outcome.VALID for signature in signatures)
    checks = tuple(_check(name, expected, request, answers, valid=valid) for name, request, expected in wanted)
    package = _Package(
        source=source,
        archive=archive,
        broken="" if broken is None else str(broken),
        footer=footer,
        signatures=signatures,
        metadata=metadata,
        checks=checks,
    )
    return _artifact(package)


def _absence(archive: _zip.Archive | None) -> str:
    """Return why nothing is signed as a whole, and what jarsigner's signatures are worth here."""
    names = ", ".join(member.name for member in _jar_signatures(archive))
    note = "the zip's comment holds no signature"
    return f"{note}; {names} covers members one by one, which recovery does not look at" if names else note


def _jar_signatures(archive: _zip.Archive | None) -> tuple[_zip.Member, ...]:
    members = archive.members if archive else ()
    return tuple(member for member in members if _JAR_SIGNATURE.fullmatch(member.name))


def _open(source: Source) -> tuple[_zip.Archive | None, FormatError | None]:
    try:
        return _zip.read(source), None
    except FormatError as error:
        return None, error


# payload_properties.txt


def _stated(archive: _zip.Archive) -> Iterator[tuple[str, DigestRequest, bytes]]:
    """Yield the digests of payload.bin that stand beside it: over all of it, and over its first part."""
    properties, member = meta.read_properties(archive), archive.find(meta.PAYLOAD)
    if properties is None or member is None or member.method != _zip.STORED:
        return
    size = properties.metadata_size
    if properties.file_hash:
        yield "FILE_HASH", DigestRequest.over("sha-256", archive.source, member.span), properties.file_hash
    if properties.metadata_hash and size is not None and size <= member.span.size:
        span = Span(member.span.start, member.span.start + size)
        yield "METADATA_HASH", DigestRequest.over("sha-256", archive.source, span), properties.metadata_hash


def _check(
    name: str, expected: bytes, request: DigestRequest, answers: Mapping[DigestRequest, bytes], *, valid: bool
) -> DigestCheck:
    return DigestCheck(
        name=f"{meta.PROPERTIES} {name}",
        algorithm="sha-256",
        expected=expected.hex(),
        actual=answers[request].hex(),
        covers=tuple(piece.span for piece in request.pieces if hasattr(piece, "span")),
        authentic=valid,
    )


# The artifact


def _artifact(package: _Package) -> Artifact:
    return Artifact(
        format="android-ota",
        title="Android update package (zip signed as a whole)",
        name=package.source.name,
        size=package.source.size,
        sha256="",
        signatures=package.signatures,
        coverage=_coverage(package),
        digests=package.checks,
        images=tuple(_images(package)),
        version=_version(package),
        hardware=package.metadata.devices,
        weaknesses=tuple(_weaknesses(package)),
        facts=tuple(fact for fact in _facts(package) if fact[1]),
    )


def _coverage(package: _Package) -> Coverage:
    """Return what the signature covers: all or nothing; a wrong digest inside is refused by the installer."""
    whole = package.footer.signed if package.footer else Span(0, package.archive.end if package.archive else 0)
    held = package.reached and not any(check.matches is False for check in package.checks)
    fields = tuple(name for name in ("pre-device", "post-timestamp", "post-build") if package.metadata.values.get(name))
    return Coverage(
        payload=(whole,),
        uncovered=() if held else (whole,),
        metadata=fields if held else (),
        unprotected_metadata=() if held else fields,
        size_bound=held,
    )


def _version(package: _Package) -> Version:
    values = package.metadata.values
    conditions = [f"{name}={values[name]}" for name in ("pre-build", "pre-build-incremental") if values.get(name)]
    return Version(
        version=values.get("post-build-incremental") or values.get("post-build"),
        sequence=package.metadata.timestamp,
        authentic=True if package.valid else None if package.reached else False,
        constraints=tuple(conditions),
    )


def _images(package: _Package) -> Iterator[Image]:
    opened = 0
    for member in package.members:
        if member.kind != "file":
            continue
        role = _role(member.name)
        openable = role == "image" and member.method == _zip.STORED and member.readable and opened < MAX_OPENED
        opened += openable
        yield Image(
            id=member.name,
            size=member.size,
            role=role,
            target=member.name.removesuffix(".img") if member.name.endswith(".img") else "",
            hardware=package.metadata.devices if role == "image" else (),
            span=member.span,
            source=package.archive.open(member) if openable and package.archive else None,
            note=member.why,
        )


def _role(name: str) -> str:
    if _SCRIPT.fullmatch(name):
        return "script"
    if name.startswith("META-INF/") or name.endswith((".txt", ".pb", ".json")):
        return "metadata"
    return "image" if _IMAGE.fullmatch(name) else "other"


def _facts(package: _Package) -> Iterator[tuple[str, str]]:
    for name, value in package.metadata.values.items():
        if len(value) <= _SHOWN:
            yield name, value
    yield (
        "jar signatures (not looked at by recovery)",
        ", ".join(member.name for member in _jar_signatures(package.archive)),
    )
    yield "APK signing block (not looked at by recovery)", "yes" if _apk_block(package) else ""
    if package.footer:
        yield "signed bytes", str(package.footer.signed)


# Weaknesses


def _weaknesses(package: _Package) -> Iterator[Weakness]:
    yield from common.signature_weaknesses(package.signatures)
    yield from common.digest_weaknesses(package.checks)
    yield from _zip_weaknesses(package)
    yield from _metadata_weaknesses(package)
    for member in package.members:
        if _SCRIPT.fullmatch(member.name):
            text = f"{member.name} runs in recovery"
            yield Weakness(code="script-member", message=text, where=member.name)


def _zip_weaknesses(package: _Package) -> Iterator[Weakness]:
    if package.broken:
        yield Weakness(code="malformed", message=f"the zip cannot be read: {package.broken}")
    seen = {doubt.code for doubt in package.archive.doubts} if package.archive else set()
    block = _apk_block(package)
    for doubt in package.archive.doubts if package.archive else ():
        if block and doubt.code == "hidden-data" and doubt.where.endswith(f"..{block:#x}"):
            continue
        yield Weakness(code=doubt.code, message=doubt.message, where=doubt.where)
    if package.footer and package.footer.second_end and "second-end-record" not in seen:
        yield Weakness(code="second-end-record", message=package.footer.fault)


def _apk_block(package: _Package) -> int:
    """Return where an APK signing block ends: between members and directory, used by apps and not by recovery."""
    start = package.archive.directory.start if package.archive else 0
    return start if package.source.read(max(0, start - len(_APK_BLOCK)), len(_APK_BLOCK)) == _APK_BLOCK else 0


def _metadata_weaknesses(package: _Package) -> Iterator[Weakness]:
    metadata, archive = package.metadata, package.archive
    for name in ("ota-downgrade", "spl-downgrade"):
        if metadata.flag(name):
            yield Weakness(code="downgrade-allowed", message=f"{name} is set", where=meta.METADATA)
    if metadata.flag("ota-wipe"):
        yield Weakness(code="data-wipe", message="ota-wipe is set: user data are erased", where=meta.METADATA)
    if metadata.values and not metadata.devices:
        yield Weakness(code="no-hardware-id", message="pre-device is not stated", where=meta.METADATA)
    for text in metadata.disputes:
        yield Weakness(code="malformed", message=text, where=meta.METADATA_PB)
    if archive is None:
        return
    for text in meta.misplaced(archive, metadata):
        yield Weakness(code="malformed", message=text, where=meta.METADATA)
    yield from _payload_weaknesses(archive)


def _payload_weaknesses(archive: _zip.Archive) -> Iterator[Weakness]:
    payload, properties = archive.find(meta.PAYLOAD), meta.read_properties(archive)
    if payload is None or properties is None:
        if (payload is None) is not (properties is None):
            name = meta.PAYLOAD if payload is None else meta.PROPERTIES
            yield Weakness(code="missing-member", message=f"{name} is missing beside its twin", where=name)
        return
    if payload.method != _zip.STORED:
        text = "payload.bin is compressed: A/B devices read it where it lies"
        yield Weakness(code="malformed", message=text, where=meta.PAYLOAD)
    if properties.file_size is not None and properties.file_size != payload.size:
        text = f"FILE_SIZE is {properties.file_size}, payload.bin has {payload.size} bytes"
        yield Weakness(code="malformed", message=text, where=meta.PROPERTIES)


FORMAT: Final = Format(
    id="android-ota",
    title="Android update package (zip signed as a whole)",
    detect=_detect,
    parse=_parse,
    options={"purpose": "the extended key usage that signers need, by name or dotted; any unless said"},
    references=(
        "AOSP bootable/recovery install/verifier.cpp",
        "AOSP build/make/tools/releasetools/ota_metadata.proto",
        "RFC 5652",
    ),
)
