"""Mender artifacts (.mender), versions 2 and 3: a tar archive whose signed manifest names every file by its SHA-256.

Source: mendersoftware/mender-artifact Documentation/artifact-format-v2.md and -v3.md, artifact/signer.go.

The chain is: signature → manifest → SHA-256 of `version`, of the header archive as it lies in the file, and of each
payload file inside its (compressed) data archive. `manifest-augment` and `header-augment` are signed by nobody.
The format knows no encryption, no key id and no rollback counter.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from checker.crypto.keys import PublicKey
from checker.crypto.signatures import Candidate
from checker.formats import _common as common
from checker.formats import _tar
from checker.formats._mender_header import Header
from checker.formats._mender_layout import (
    AT_HEADER,
    AT_HEADER_AUGMENT,
    AT_SIGNATURE,
    AT_VERSION,
    AUGMENT,
    SIGNATURE,
    VERSION,
    File,
    Layout,
    contents,
    read_layout,
)
from checker.formats._raw_signature import from_base64, judge
from checker.formats.contract import Context, Format, Parse
from checker.io.digests import DigestRequest, digest
from checker.io.reader import Reader
from checker.model.artifact import (
    INEXPRESSIBLE,
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
    "inner-unreadable",
    "malformed",
    "missing-member",
    "script-member",
    "trailing-data",
    "unauthenticated-member",
    "unreferenced-member",
)
MAX_OPENED: Final = 16  # files of one payload: reading many small ones out of one compressed archive takes long
MAX_COMPRESSED: Final = 2  # compressed containers inside one another: going back in one costs a pass over all above


@dataclass(frozen=True, kw_only=True)
class _Bundle(common.Signed):
    """Everything about the artifact that the verdicts are made of."""

    source: Source
    layout: Layout
    checks: Mapping[str, tuple[DigestCheck, ...]]  # by name in the manifest
    unnamed: tuple[File, ...]
    depth: int

    @property
    def header_holds(self) -> bool:
        """Return whether the header archive is the one that the manifest names."""
        member = self.layout.one(AT_HEADER)
        return member is not None and bool(self.checks.get(member.name)) and _all_match(self.checks[member.name])


def _all_match(checks: Iterable[DigestCheck]) -> bool:
    return all(check.matches for check in checks)


def _detect(source: Source, context: Context) -> bool:  # noqa: ARG001 - the contract's signature
    first = _tar.first_member(source)
    if first is None or first.name != VERSION:
        return False
    return b'"mender"' in source.read(first.span.start, min(first.span.size, 1024))


def _parse(source: Source, context: Context) -> Parse:
    layout = read_layout(source)
    signatures = _signatures(source, layout, context)
    valid = any(signature.outcome is Outcome.VALID for signature in signatures)
    checks: dict[str, list[DigestCheck]] = defaultdict(list)
    unnamed: list[File] = []
    for name, content, span in contents(source, layout):
        # One at a time and in order, so that a compressed archive is decompressed once, going forward.
        request = DigestRequest.over("sha-256", content)
        answers = yield (request,)
        found = _check(layout, name, span, answers[request], valid=valid)
        if found is not None:
            checks[name].append(found)
        else:
            unnamed.append(File(name=name, number=0, source=content, span=span))
    for check in _missing(layout, checks, valid=valid):
        checks[check.name].append(check)
    done = {name: tuple(found) for name, found in checks.items()}
    bundle = _Bundle(
        source=source,
        layout=layout,
        signatures=signatures,
        checks=done,
        unnamed=tuple(unnamed),
        depth=context.depth,
    )
    return _artifact(bundle)


# The digests


def _check(layout: Layout, name: str, span: Span, actual: bytes, *, valid: bool) -> DigestCheck | None:
    """Return the comparison with the signed manifest, else with the augmented one, which nobody signed."""
    expected = layout.stated.get(name) or layout.augmented.get(name)
    if expected is None:
        return None
    signed = name in layout.stated
    return DigestCheck(
        name=name,
        algorithm="sha-256",
        expected=expected,
        actual=actual.hex(),
        covers=(span,),
        authentic=valid and signed,
        note="" if signed else f"{AUGMENT} states it, which is not signed",
    )


def _missing(layout: Layout, checks: Mapping[str, object], *, valid: bool) -> Iterator[DigestCheck]:
    """Yield the digests of files that the manifest names and the archive does not hold, as when it is cut short."""
    for name, expected in layout.stated.items():
        if name not in checks:
            note = "the archive does not hold it"
            yield DigestCheck(
                name=name, algorithm="sha-256", expected=expected, actual=None, authentic=valid, note=note
            )


# The signature


def _schemes(key: PublicKey) -> Iterator[Candidate]:
    """Yield what Mender accepts: RSA v1.5 and ECDSA, with SHA-256 (artifact/signer.go)."""
    if key.facts.algorithm == "rsa":
        yield Candidate("rsa-pkcs1v15", "sha-256")
    elif key.facts.algorithm.startswith("ec-"):
        yield Candidate("ecdsa", "sha-256")


def _signatures(source: Source, layout: Layout, context: Context) -> tuple[Signature, ...]:
    manifest = layout.manifest
    member = layout.one(AT_SIGNATURE)
    if member is None:
        return (Signature(outcome=Outcome.ABSENT, note=f"there is no {SIGNATURE}"),)
    content = source.read(manifest.span.start, manifest.span.size)
    data = from_base64(Reader(source, member.span.start, member.span.end).take(member.span.size, SIGNATURE))
    if data is None:
        note = f"{SIGNATURE} is no base64"
        return (Signature(outcome=Outcome.INVALID, covers=(manifest.span,), where=member.span, note=note),)
    found = judge(data, context.keys.verifiers, {"sha-256": digest("sha-256", content)}, schemes=_schemes)
    encoding = f"base64 of {found.encoding}"
    return (replace(found, encoding=encoding, covers=(manifest.span,), where=member.span),)


# The artifact


def _artifact(bundle: _Bundle) -> Artifact:
    layout, header = bundle.layout, bundle.layout.header
    whole = tuple(
        check for place in (AT_VERSION, AT_HEADER, AT_HEADER_AUGMENT) for check in _place_checks(bundle, place)
    )
    return Artifact(
        format="mender",
        title=f"Mender artifact (.mender), version {layout.version}",
        name=bundle.source.name,
        size=bundle.source.size,
        sha256="",
        signatures=bundle.signatures,
        coverage=_coverage(bundle),
        digests=(*whole, *(check for checks in bundle.checks.values() for check in checks if not check.covers)),
        images=tuple(_images(bundle)),
        version=_version(bundle),
        hardware=header.device_types,
        weaknesses=tuple(_weaknesses(bundle)),
        facts=tuple(fact for fact in _facts(bundle) if fact[1]),
    )


def _place_checks(bundle: _Bundle, place: int) -> tuple[DigestCheck, ...]:
    member = bundle.layout.one(place)
    return bundle.checks.get(member.name, ()) if member else ()


def _version(bundle: _Bundle) -> Version:
    header = bundle.layout.header
    authentic = bundle.authentic
    conditions = (*header.depends, *(text for payload in header.payloads for text in payload.depends))
    return Version(
        version=header.name or None,
        sequence=INEXPRESSIBLE,
        authentic=authentic if bundle.header_holds else False,
        constraints=tuple(dict.fromkeys(conditions)),
    )


def _signed_and_right(bundle: _Bundle, name: str) -> bool:
    """Return whether the manifest reaches a file."""
    checks = bundle.checks.get(name, ())
    return name in bundle.layout.stated and bool(checks) and _all_match(checks)


def _coverage(bundle: _Bundle) -> Coverage:
    """Return what the chain signature → manifest → SHA-256 reaches; a digest binds the size of its file too."""
    layout = bundle.layout
    wrong = {file.span for file in layout.files if not _signed_and_right(bundle, file.name)}
    payload = tuple(dict.fromkeys(file.span for file in layout.files))
    fields = tuple(_steering(layout.header))
    held = bundle.reached and bundle.header_holds
    return Coverage(
        payload=payload,
        uncovered=tuple(span for span in payload if span in wrong or not bundle.reached),
        metadata=fields if held else (),
        unprotected_metadata=(() if held else fields) + (("header-augment",) if layout.one(AT_HEADER_AUGMENT) else ()),
        size_bound=(bundle.reached and not wrong) if payload else None,
    )


def _steering(header: Header) -> Iterator[str]:
    if header.name:
        yield "artifact_name"
    if header.device_types:
        yield "device_type"
    if header.payloads:
        yield "payload types"
    if header.depends or any(payload.depends for payload in header.payloads):
        yield "artifact_depends"
    if header.scripts:
        yield "scripts"


def _images(bundle: _Bundle) -> Iterator[Image]:
    """Yield one image per payload, then the files of payloads that have several, and the scripts of the header."""
    groups: dict[int, list[File]] = defaultdict(list)
    for file in bundle.layout.files:
        groups[file.number].append(file)
    for number, files in groups.items():
        if len(files) == 1:
            yield _image(bundle, files[0], "image")
        else:
            yield _several(bundle, number, files)
            yield from (_image(bundle, file, "other", len(files)) for file in files)
    yield from _scripts(bundle)


def _type(bundle: _Bundle, number: int) -> str:
    payloads = bundle.layout.header.payloads
    return payloads[number].type if number < len(payloads) else ""


def _image(bundle: _Bundle, file: File, role: str, count: int = 1) -> Image:
    closed = count > MAX_OPENED or (file.compressed and bundle.depth >= MAX_COMPRESSED)
    return Image(
        id=file.name,
        size=file.source.size,
        role=role,
        target=_type(bundle, file.number),
        hardware=bundle.layout.header.device_types,
        span=file.span,
        digests=bundle.checks.get(file.name, ()),
        version=Version(sequence=INEXPRESSIBLE),
        source=None if closed else file.source,
        note="not opened: too many files, or compressed too deep" if closed else "",
    )


def _several(bundle: _Bundle, number: int, files: Sequence[File]) -> Image:
    """Return a payload of several files: one component for one update module."""
    return Image(
        id=f"data/{number:04d}",
        size=sum(file.source.size for file in files),
        target=_type(bundle, number),
        hardware=bundle.layout.header.device_types,
        digests=tuple(check for file in files for check in bundle.checks.get(file.name, ())),
        version=Version(sequence=INEXPRESSIBLE),
        note=f"{len(files)} files",
    )


def _scripts(bundle: _Bundle) -> Iterator[Image]:
    member, header = bundle.layout.one(AT_HEADER), bundle.layout.header
    if member is None:
        return
    for name, size in header.scripts:
        checks = bundle.checks.get(member.name, ())
        note = f"inside {member.name}"
        yield Image(id=name, size=size, role="script", span=member.span, digests=checks, note=note)


def _facts(bundle: _Bundle) -> Iterator[tuple[str, str]]:
    layout, header = bundle.layout, bundle.layout.header
    yield "members", str(sum(len(found) for found in layout.places.values()))
    yield "payload files", str(len(layout.files))
    archive = layout.one(AT_HEADER)
    yield "header", archive.name if archive else ""
    yield "artifact_group", header.group
    yield "payload types", " ".join(payload.type for payload in header.payloads)
    yield "scripts", " ".join(name for name, _ in header.scripts[:50])
    yield "augmented", " ".join(list(layout.augmented)[:50])


# Weaknesses


def _weaknesses(bundle: _Bundle) -> Iterator[Weakness]:
    yield from common.signature_weaknesses(bundle.signatures)
    yield from common.digest_weaknesses(check for checks in bundle.checks.values() for check in checks)
    yield from _member_weaknesses(bundle)
    layout = bundle.layout
    for name, _ in layout.header.scripts:
        yield Weakness(code="script-member", message=f"{name} runs during the installation", where=name)
    rest = Span(min(layout.end + -layout.end % _tar.BLOCK, bundle.source.size), bundle.source.size)
    if not common.only_fill(bundle.source, rest):
        yield Weakness(code="trailing-data", message="bytes follow the archive's last member", where=str(rest))


def _member_weaknesses(bundle: _Bundle) -> Iterator[Weakness]:
    layout = bundle.layout
    present = {name for name, _, _ in contents(bundle.source, layout)}
    for name in sorted((layout.stated.keys() | layout.augmented.keys()) - present):
        yield Weakness(code="missing-member", message=f"the manifest names {name}, which is not there", where=name)
    for file in bundle.unnamed:
        yield Weakness(code="unreferenced-member", message=f"no manifest names {file.name}", where=file.name)
    for name in sorted(layout.augmented.keys() & present - layout.stated.keys()):
        text = f"only {AUGMENT} names {name}, and nobody signs that"
        yield Weakness(code="unauthenticated-member", message=text, where=name)
    counts = Counter(file.name for file in layout.files)
    for name in sorted(name for name, count in counts.items() if count > 1):
        yield Weakness(code="malformed", message=f"{name} occurs more than once", where=name)
    for archive in layout.archives:
        if int(archive.name[5:9]) >= len(layout.header.payloads):
            yield Weakness(
                code="malformed", message=f"the header has no payload for {archive.name}", where=archive.name
            )


FORMAT: Final = Format(
    id="mender",
    title="Mender artifact (.mender)",
    detect=_detect,
    parse=_parse,
    references=(
        "mendersoftware/mender-artifact Documentation/artifact-format-v2.md",
        "mendersoftware/mender-artifact Documentation/artifact-format-v3.md",
    ),
)
