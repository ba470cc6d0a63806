"""Plain zip and tar archives, with lists of digests and signature files inside, or without any (formats.md 3.12).

The chain is: signature → list → digests → members. A member with a signature file of its own is reached directly. What
no signed list names is protected by nothing, and a list that nobody signed gives integrity only. MD5, SHA-1 and CRCs
reach nothing. Any zip or tar that no other format claims is this; a signature over the whole file beside it is for
`detached`, which opens what it signs.

Source: PKWARE APPNOTE.TXT; POSIX.1-2001 pax; GNU coreutils "cksum"; RFC 7515 for manifests in a JWS.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from checker.errors import FormatError
from checker.formats import _archive_signatures as signing
from checker.formats import _common as common
from checker.formats import _tar, _zip
from checker.formats._archive_chain import STRONG, Chain, Claim, claims_of
from checker.formats._archive_lists import MAX_LIST, Listing, may_be_list, read_list
from checker.formats._archive_members import (
    Container,
    Entry,
    Inner,
    Room,
    inflated,
    plain,
    read_container,
    tar_compression,
)
from checker.formats.contract import Context, Format, Parse
from checker.io.digests import DigestRequest, supported
from checker.io.limits import MAX_HEADER
from checker.model.artifact import (
    INEXPRESSIBLE,
    Artifact,
    Coverage,
    DigestCheck,
    Encryption,
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
    "checksum-mismatch",
    "checksum-only",
    "duplicate-member",
    "hidden-data",
    "inner-unreadable",
    "integrity-only",
    "link-member",
    "malformed",
    "missing-member",
    "second-end-record",
    "trailing-data",
    "unauthenticated-member",
    "unprotected-metadata",
    "unreferenced-member",
    "weak-cipher",
)
MAX_IMAGES: Final = 1000  # members that are listed one by one; the others are counted
MAX_LISTS: Final = 1000  # lists and manifests of one archive
MAX_TOLD: Final = 20  # places of one weakness; the others are counted
_TITLES: Final = {"zip": "Zip archive"}


@dataclass(frozen=True, kw_only=True)
class _Found:
    """The archive, read: which member is what, before anything is computed."""

    source: Source
    container: Container
    listings: Mapping[str, Listing]  # by the plain name of the member
    pairs: tuple[signing.Pair, ...]
    claims: Mapping[str, tuple[Claim, ...]]  # by the plain name of the member
    missing: tuple[tuple[str, str], ...]  # list and name

    @property
    def payload(self) -> tuple[Entry, ...]:
        """Return what is neither a list nor a signature; a manifest without a digest steers, so it is payload."""
        other = {name for name, listing in self.listings.items() if listing.statements}
        other |= {plain(pair.file.name) for pair in self.pairs}
        return tuple(entry for entry in self.container.files if plain(entry.name) not in other)

    @property
    def steering(self) -> tuple[Entry, ...]:
        """Return the manifests that state digests: they may say more, so they have to be covered as payload has."""
        names = {name for name, listing in self.listings.items() if listing.structured and listing.statements}
        return tuple(entry for entry in self.container.files if plain(entry.name) in names)


@dataclass(frozen=True, kw_only=True)
class _Judged:
    """The archive with its verdicts. `proved` and `reached` are names of members, by VALID and by REACHING outcomes.

    Where something is proved, what only an unknown key reaches is undecided: a stranger may have put it beside.
    """

    found: _Found
    signatures: tuple[Signature, ...]
    checks: Mapping[int, tuple[DigestCheck, ...]]  # by the place of the member's entry
    crc_wrong: tuple[str, ...]
    proved: frozenset[str]
    reached: frozenset[str]
    undecided: frozenset[str] = field(default=frozenset())


def _detect(source: Source, context: Context) -> bool:  # noqa: ARG001 - the contract's signature
    kind = tar_compression(source)
    try:
        return _tar.looks_like(inflated(source, kind) if kind else source) or (not kind and _zip.looks_like(source))
    except FormatError:
        return False


def _parse(source: Source, context: Context) -> Parse:
    found = _read(source, read_container(source))
    signatures: list[Signature] = []
    direct: dict[str, list[Outcome]] = defaultdict(list)
    for pair in found.pairs:
        judged = yield from signing.judge(pair, context)
        direct[plain((pair.signed or pair.file).name)] += [signature.outcome for signature in judged]
        signatures += judged
    actual = yield from _digests(found)
    return _artifact(_judge(found, tuple(signatures), direct, actual))


# Reading


def _read(source: Source, container: Container) -> _Found:
    names = [entry.name for entry in container.files]
    listings: dict[str, Listing] = {}
    carriers: list[signing.Pair] = []
    room = MAX_HEADER  # bytes of all lists: what they state is held at once
    for entry in container.files:
        full = len(listings) + len(carriers) >= MAX_LISTS or entry.size > room
        if full or not may_be_list(entry.name):
            continue
        room -= entry.size
        data = signing.read(entry, MAX_LIST) or b""
        listing = read_list(entry.name, data, names)
        if signing.carries(data):
            carriers.append(signing.Pair(entry, None))
        elif listing is not None:
            listings[plain(entry.name)] = listing
    pairs = (*signing.pair(container.files, listings.values()), *carriers)
    for pair in pairs:
        listings.pop(plain(pair.file.name), None)
        listing = None if pair.signed else read_list(pair.file.name, signing.payload_of(pair.file), names)
        if listing is not None:
            listings[plain(pair.file.name)] = listing
    claims, missing = claims_of(container, listings)
    return _Found(source=source, container=container, listings=listings, pairs=pairs, claims=claims, missing=missing)


def _digests(
    found: _Found,
) -> Generator[Sequence[DigestRequest], Mapping[DigestRequest, bytes], dict[int, dict[str, bytes]]]:
    """Return the digests of every member by its place: one pass over each, and over a stream one for each algorithm."""
    wanted = {place: _wanted(found, entry) for place, entry in enumerate(found.container.files)}
    every = sorted({name for names in wanted.values() for name in names})
    rounds = [{name} for name in every] if found.container.sequential else [set(every)]
    actual: dict[int, dict[str, bytes]] = defaultdict(dict)
    for names in rounds:
        for place, entry in enumerate(found.container.files):
            asked = sorted(wanted[place] & names)
            if entry.content is None or not asked:
                continue
            requests = {name: DigestRequest.over(name, entry.content) for name in asked}
            answers = yield tuple(requests.values())
            found.container.check_end(entry)
            actual[place] |= {name: answers[request] for name, request in requests.items()}
    return actual


def _wanted(found: _Found, entry: Entry) -> set[str]:
    names = {claim.algorithm for claim in found.claims.get(plain(entry.name), ()) if supported(claim.algorithm)}
    return names | ({"crc-32"} if entry.crc32 is not None else set())


# Verdicts


def _judge(
    found: _Found,
    signatures: tuple[Signature, ...],
    direct: Mapping[str, Sequence[Outcome]],
    actual: Mapping[int, Mapping[str, bytes]],
) -> _Judged:
    places: dict[str, list[int]] = defaultdict(list)
    for place, entry in enumerate(found.container.files):
        places[plain(entry.name)].append(place)
    once = {name: outcomes for name, outcomes in direct.items() if len(places[name]) == 1}
    chain = Chain(found.claims, places, actual)
    proved, _ = chain.follow({name for name, outcomes in once.items() if Outcome.VALID in outcomes})
    reached, undecided = chain.follow({name for name, o in once.items() if common.REACHING & set(o)})
    if any(signature.outcome is Outcome.VALID for signature in signatures):
        reached, undecided = proved, undecided | reached
    checks = {
        place: tuple(_check(claim, entry, actual.get(place, {}), proved) for claim in _of(found, entry))
        for place, entry in enumerate(found.container.files)
    }
    wrong = (
        entry.name
        for place, entry in enumerate(found.container.files)
        if entry.crc32 is not None and int.from_bytes(actual[place]["crc-32"], "big") != entry.crc32
    )
    return _Judged(
        found=found,
        signatures=signatures or (Signature(outcome=Outcome.ABSENT, note="there is no signature file inside"),),
        checks=checks,
        crc_wrong=tuple(wrong),
        proved=frozenset(proved),
        reached=frozenset(reached),
        undecided=frozenset(undecided - reached),
    )


def _of(found: _Found, entry: Entry) -> tuple[Claim, ...]:
    return found.claims.get(plain(entry.name), ())


def _check(claim: Claim, entry: Entry, actual: Mapping[str, bytes], proved: set[str]) -> DigestCheck:
    found = actual.get(claim.algorithm)
    return DigestCheck(
        name=entry.name,
        algorithm=claim.algorithm,
        expected=claim.digest.hex(),
        actual=found.hex() if found is not None else None,
        covers=(entry.span,),
        authentic=plain(claim.listing.name) in proved,
        note=f"in {claim.listing.name}" if found is not None or not entry.why else f"{entry.name} {entry.why}",
    )


# The artifact


def _artifact(judged: _Judged) -> Artifact:
    found = judged.found
    manifest = next((item for item in found.listings.values() if item.structured), None)
    return Artifact(
        format="archive",
        title=f"{_TITLES.get(found.container.form, 'Tar archive')} ({found.container.form})",
        name=found.source.name,
        size=found.source.size,
        sha256="",
        signatures=judged.signatures,
        coverage=_coverage(judged, manifest),
        digests=tuple(_other_checks(judged)),
        images=tuple(_images(judged)),
        version=_version(judged, manifest),
        hardware=manifest.hardware if manifest else INEXPRESSIBLE,
        weaknesses=tuple(_shortened(_weaknesses(judged))),
        facts=tuple(fact for fact in _facts(found) if fact[1]),
    )


def _coverage(judged: _Judged, manifest: Listing | None) -> Coverage:
    """Return what the chain reaches; the members of a compressed tar share one range, which the worst of them marks."""
    spans: dict[Span, bool | None] = {}
    for entry in (*judged.found.payload, *judged.found.steering):
        # The name of an empty member says something too, and it stands in the header.
        span = entry.span if entry.span.size else entry.header
        name, before = plain(entry.name), spans.get(span, True)
        here = None if name in judged.undecided else name in judged.reached
        spans[span] = False if False in {before, here} else None if None in {before, here} else True
    fields = tuple(_steering(manifest))
    held = manifest is not None and plain(manifest.name) in judged.reached
    values = set(spans.values())
    return Coverage(
        payload=tuple(spans),
        uncovered=tuple(span for span, value in spans.items() if value is False),
        undecided=tuple(span for span, value in spans.items() if value is None),
        metadata=fields if held else (),
        unprotected_metadata=() if held else fields,
        size_bound=None if not values or values == {None} else values == {True},
    )


def _steering(manifest: Listing | None) -> Iterator[str]:
    if manifest is not None and manifest.version is not None:
        yield "version"
    if manifest is not None and manifest.hardware:
        yield "hardware"


def _version(judged: _Judged, manifest: Listing | None) -> Version:
    if manifest is None:
        return Version(version=INEXPRESSIBLE, sequence=INEXPRESSIBLE)
    name = plain(manifest.name)
    authentic = True if name in judged.proved else None if name in judged.reached else False
    return Version(version=manifest.version, sequence=INEXPRESSIBLE, authentic=authentic)


def _other_checks(judged: _Judged) -> Iterator[DigestCheck]:
    """Yield the digests of members that are no payload: lists that stand in lists."""
    payload = {id(entry) for entry in judged.found.payload}
    for place, entry in enumerate(judged.found.container.files):
        if id(entry) not in payload:
            yield from judged.checks[place]


def _images(judged: _Judged) -> Iterator[Image]:
    found = judged.found
    source = found.source
    room = source.room if isinstance(source, Inner) else Room()
    deep = source.compressed if isinstance(source, Inner) else False
    payload = {id(entry) for entry in found.payload}
    shown = 0
    for place, entry in enumerate(found.container.files):
        if id(entry) not in payload:
            continue
        shown += 1
        if shown <= MAX_IMAGES:
            yield replace(_image(entry, judged.checks[place], room, deep=deep), encryption=_encryption(source, entry))
    if shown > MAX_IMAGES:
        note = f"{shown - MAX_IMAGES} more members are not listed one by one"
        yield Image(id=f"{shown - MAX_IMAGES} more", size=0, role="other", note=note)


def _image(entry: Entry, checks: tuple[DigestCheck, ...], room: Room, *, deep: bool) -> Image:
    """Return a member; it is looked into where there is room left."""
    compressed = deep or bool(entry.cost)
    source, note = None, entry.why and f"{entry.name[:200]} {entry.why}"
    if entry.content is not None and entry.size:
        if room.take(max(entry.cost, entry.size if deep else 0)):
            source = Inner(entry.content, room, compressed)
        else:
            note = "not opened: too many members, or too much to decompress"
    return Image(
        id=entry.name,
        size=entry.size,
        role="other" if entry.kind != "file" else "image",
        span=entry.span,
        digests=checks,
        version=Version(version=INEXPRESSIBLE, sequence=INEXPRESSIBLE),
        source=source,
        note=note,
    )


def _encrypted(entry: Entry) -> bool:
    return "encrypted" in entry.why


def _encryption(source: Source, entry: Entry) -> Encryption:
    """Return what the zip says of a member's encryption; a flag over bytes that are no ciphertext is none."""
    if not _encrypted(entry):
        return Encryption(encrypted=False)
    doubts = common.ciphertext_doubts(source, entry.span, entry.name[:200])
    if doubts:
        return Encryption(encrypted=False, note=f"the zip says that it is encrypted, but {doubts[0].message}")
    aes = re.search(r"AES-(\d+)", entry.why)
    if aes:  # WinZip: AES in counter mode, with an HMAC-SHA-1 of 80 bits
        return Encryption(
            encrypted=True, cipher="aes", mode="ctr", key_bits=int(aes[1]), tag_bits=80, note=f"zip: {entry.why}"
        )
    return Encryption(encrypted=True, note=f"zip: {entry.why}")


# What is weak


def _weaknesses(judged: _Judged) -> Iterator[Weakness]:
    found = judged.found
    yield from common.signature_weaknesses(judged.signatures)
    yield from found.container.oddities
    for name in judged.crc_wrong:
        yield Weakness(
            code="checksum-mismatch", message=f"the zip's CRC-32 of {name[:200]!r} is wrong", where=name[:200]
        )
    for checks in judged.checks.values():
        yield from common.digest_weaknesses(checks)
    for listing, name in found.missing:
        text = f"{listing[:200]} names {name[:200]!r}, which is not there"
        yield Weakness(code="missing-member", message=text, where=name[:200])
    for entry in found.payload:
        if _encrypted(entry):
            yield from common.ciphertext_doubts(found.source, entry.span, entry.name[:200])
    yield from _strength(judged)
    yield from _unlisted(judged)


def _strength(judged: _Judged) -> Iterator[Weakness]:
    """Tell lists that rest on a weak digest where no strong one stands beside it, and lists that nobody signed."""
    found = judged.found
    weak = {
        (claims[0].listing.name, claims[0].algorithm)
        for claims in found.claims.values()
        if not any(claim.algorithm in STRONG for claim in claims)
    }
    for name, algorithm in sorted(weak):
        code = "checksum-only" if algorithm.startswith("crc") else "weak-digest"
        yield Weakness(code=code, message=f"{name[:200]} rests on {algorithm}", where=name[:200])
    strong = any(claim.algorithm in STRONG for claims in found.claims.values() for claim in claims)
    if strong and all(signature.outcome is Outcome.ABSENT for signature in judged.signatures):
        yield Weakness(code="integrity-only", message="the lists of digests are not signed")


def _unlisted(judged: _Judged) -> Iterator[Weakness]:
    found = judged.found
    signed = any(signature.outcome is not Outcome.ABSENT for signature in judged.signatures)
    for entry in found.payload:
        name, shown = plain(entry.name), entry.name[:200]
        if signed and name not in judged.reached | judged.undecided:
            yield Weakness(code="unauthenticated-member", message=f"no signature reaches {shown!r}", where=shown)
        elif not signed and found.claims and name not in found.claims:
            yield Weakness(code="unreferenced-member", message=f"no list names {shown!r}", where=shown)
    for name, listing in found.listings.items():
        if signed and listing.structured and name not in judged.reached | judged.undecided:
            yield Weakness(
                code="unprotected-metadata", message=f"no signature reaches {name[:200]!r}", where=name[:200]
            )


def _shortened(weaknesses: Iterable[Weakness]) -> Iterator[Weakness]:
    """Yield at most `MAX_TOLD` of each code, and how many more there are."""
    counts: Counter[str] = Counter()
    for weakness in weaknesses:
        counts[weakness.code] += 1
        if counts[weakness.code] <= MAX_TOLD:
            yield weakness
    for code, count in counts.items():
        if count > MAX_TOLD:
            yield Weakness(code=code, message=f"{count - MAX_TOLD} more of this kind", where="")


def _facts(found: _Found) -> Iterator[tuple[str, str]]:
    yield "files", str(len(found.container.files))
    for listing in found.listings.values():
        if listing.statements:
            kinds = ", ".join(sorted({statement.algorithm for statement in listing.statements}))
            yield f"list {listing.name[:200]}", f"{len(listing.statements)} digests, {kinds}"
    jar = any(re.search(r"(?i)^META-INF/.+\.(RSA|DSA|EC)$", entry.name) for entry in found.container.files)
    yield "JAR signature", "present, and not judged here" if jar else ""


FORMAT: Final = Format(
    id="archive",
    title="zip or tar archive, with or without lists of digests and signatures",
    detect=_detect,
    parse=_parse,
    options={
        "purpose": "the extended key usage that signers need, by name or dotted",
        "identity": "the identity that a sigstore certificate must name",
        "issuer": "who must have vouched for that identity",
    },
    references=("PKWARE APPNOTE.TXT 6.3.10", "POSIX.1-2001 pax", "GNU coreutils: cksum output modes", "RFC 7515"),
    fallback=True,
)
