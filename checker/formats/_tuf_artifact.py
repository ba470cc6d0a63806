"""From judged repositories to an `Artifact`: target files and their digests, coverage, and what is weak."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from checker.formats import _common as common
from checker.formats._tuf_delegations import Delegated, Search, Spoken, walk
from checker.formats._tuf_folder import Repository
from checker.formats._tuf_keys import Key
from checker.formats._tuf_metadata import ROOT, TARGETS, Metadata, Root, Target, Targets
from checker.formats._tuf_trust import REACHING, Chain, File, State, judge_chain
from checker.formats.contract import Context
from checker.io.digests import DigestRequest, digest, supported
from checker.io.folders import FolderSource, Member
from checker.io.sources import Window
from checker.model.artifact import (
    INEXPRESSIBLE,
    Artifact,
    Coverage,
    DigestCheck,
    Encryption,
    Image,
    Inexpressible,
    Recipient,
    Signature,
    Source,
    Version,
    Weakness,
)
from checker.model.terms import Outcome

MAX_LIFETIME: Final = 10  # years: metadata that is good for longer does not stop a freeze attack
SHOWN: Final = 5  # names in one message
WINDOW: Final = 64 * 1024  # bytes that are looked at in three places to see whether a target lies in clear
NO_VERSION: Final = Version()
STEERING: Final = ("length", "hashes", "custom", "version", "expires", "delegations")
_HARDWARE: Final = re.compile(r"hardware_?(?:ids?|identifiers?)", re.IGNORECASE)
_ECUS: Final = re.compile(r"ecu_?identifiers?", re.IGNORECASE)
WEAKNESSES: Final = (
    "digest-mismatch",
    "duplicate-member",
    "expired-metadata",
    "inner-unreadable",
    "low-threshold",
    "malformed",
    "missing-digest",
    "missing-member",
    "mix-and-match",
    "no-consistent-snapshot",
    "no-expiry",
    "published-development-key",
    "rsa-e3",
    "shared-role-key",
    "unreferenced-member",
    "unsigned",
    "weak-curve",
    "weak-digest",
    "weak-key",
)


@dataclass(frozen=True, kw_only=True)
class Judged:
    """One repository with everything that was found in its metadata."""

    files: Repository
    chain: Chain
    delegated: Delegated
    spoken: tuple[Spoken, ...]
    unspoken: tuple[Weakness, ...]

    @property
    def metadata(self) -> tuple[File, ...]:
        """Return every metadata file that was judged, in the order of trust, each once."""
        return (*self.chain.files, *(node.file for node in self.delegated.nodes if node.parent))

    def reach(self, spoken: Spoken) -> State:
        """Return whether a client would take what a role says of a target."""
        return max(self.chain.reach, spoken.node.file.reach)


@dataclass(frozen=True, kw_only=True)
class Offer:
    """A target file as the metadata offers it, with its copies in the folder."""

    target: Target
    state: State
    copies: tuple[Member, ...] = ()
    name: str = ""  # of the device or ECU that it is for
    hardware: tuple[str, ...] = ()
    version: Version = NO_VERSION
    secret: Mapping[str, Any] | None = None  # what custom metadata says of the encryption
    role: str = TARGETS
    note: str = ""


def hardware_of(custom: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the hardware that custom metadata names, in any spelling, also below ECU identifiers."""
    found: list[str] = []
    for name, value in custom.items():
        if _HARDWARE.fullmatch(name):
            found += [item for item in (value if isinstance(value, list) else [value]) if isinstance(item, str)]
        elif _ECUS.fullmatch(name) and isinstance(value, dict):
            found += [item for inner in value.values() if isinstance(inner, dict) for item in hardware_of(inner)]
    return tuple(dict.fromkeys(found))


@dataclass(frozen=True, kw_only=True)
class Measured:
    """An offer with its digests as computed. `reached` is None where that cannot be known."""

    offer: Offer
    checks: tuple[DigestCheck, ...]
    encryption: Encryption
    doubts: tuple[Weakness, ...] = ()

    @property
    def reached(self) -> bool | None:
        """Return whether something authentic protects the bytes of all copies."""
        sizes = all(copy.size == self.offer.target.length for copy in self.offer.copies)
        wrong = any(check.matches is False for check in self.checks)
        if self.offer.state is State.BROKEN or wrong or not sizes or not self.checks:
            return False
        known = any(check.matches for check in self.checks)
        return True if known and self.offer.state in REACHING else None


def judge(files: Repository, context: Context) -> Judged:
    """Return a repository, judged.

    Raises:
        FormatError: a top-level metadata file cannot be read.
        LimitError: the repository asks for more than a limit allows.
    """
    chain = judge_chain(files, context.keys)
    delegated = walk(files, chain)
    spoken, unspoken = Search().speak(delegated.nodes)
    return Judged(files=files, chain=chain, delegated=delegated, spoken=spoken, unspoken=unspoken)


Digests = Generator[Sequence[DigestRequest], Mapping[DigestRequest, bytes], tuple[Measured, ...]]


def measure(folder: FolderSource, offers: Iterable[Offer]) -> Digests:
    """Compute the digests of all copies of all offered targets."""
    offers = tuple(offers)
    wanted = {
        (member.path, algorithm): DigestRequest.over(algorithm, folder, member.span)
        for offer in offers
        for member in offer.copies
        for algorithm in offer.target.hashes
        if supported(algorithm)
    }
    answers = yield tuple(wanted.values())
    actual = {name: answers[request].hex() for name, request in wanted.items()}
    return tuple(_measured(folder, offer, actual) for offer in offers)


def _measured(folder: FolderSource, offer: Offer, actual: Mapping[tuple[str, str], str]) -> Measured:
    checks = tuple(_checks(offer, actual))
    if not offer.copies:
        return Measured(offer=offer, checks=checks, encryption=_declared_encryption(offer))
    first = offer.copies[0]
    window = Window(folder, first.path, first.span.start, first.size)
    encryption = _encryption(window, offer)
    doubts = common.ciphertext_doubts(folder, first.span, first.path) if encryption.encrypted else ()
    return Measured(offer=offer, checks=checks, encryption=encryption, doubts=doubts)


def _checks(offer: Offer, actual: Mapping[tuple[str, str], str]) -> Iterator[DigestCheck]:
    for algorithm, expected in offer.target.hashes.items():
        check = DigestCheck(
            name=offer.target.path,
            algorithm=algorithm,
            expected=expected,
            actual=None,
            authentic=offer.state in REACHING,
            note="" if supported(algorithm) else f"{algorithm} is not computed here",
        )
        if not offer.copies:
            yield replace(check, note="the target file is not here")
        for member in offer.copies:
            found = actual.get((member.path, algorithm))
            yield replace(check, name=member.path, actual=found, covers=(member.span,))


def _in_clear(source: Source) -> bool:
    """Return whether beginning, middle and end all hold bytes that no ciphertext holds."""
    starts = (0, max(0, (source.size - WINDOW) // 2), max(0, source.size - WINDOW))
    return all(common.plausible(source.read(start, WINDOW)) for start in starts)


def _declared_encryption(offer: Offer) -> Encryption:
    if offer.secret:
        return Encryption(encrypted=True, note="custom metadata says that it is encrypted; the file is not here")
    return Encryption(encrypted=None, note="the target file is not here")


def _encryption(source: Source, offer: Offer) -> Encryption:
    if offer.secret:
        return Encryption(encrypted=True, authenticated=offer.state in REACHING, note="custom metadata says so")
    if _in_clear(source):
        return Encryption(encrypted=False)
    return Encryption(encrypted=None, note="the bytes look random or are few; TUF has no field that says more")


# The artifact


def artifact(
    identity: tuple[str, str],
    source: FolderSource,
    judged: Sequence[Judged],
    measured: tuple[Measured, ...],
    context: Context,
    more: Iterable[Weakness] = (),
    facts: Iterable[tuple[str, str]] = (),
) -> Artifact:
    """Return the artifact of one repository, or of a director and an image repository."""
    metadata = tuple(file for item in judged for file in item.metadata)
    signatures = tuple(signature for file in metadata for signature in file.signatures)
    checks = tuple(check for file in metadata for check in file.checks)
    weaknesses = (
        *signature_weaknesses(signatures),
        *common.digest_weaknesses((*checks, *(check for item in measured for check in item.checks))),
        *(weakness for item in judged for weakness in repository_weaknesses(item, context.as_of)),
        *_target_weaknesses(judged, measured),
        *more,
    )
    return Artifact(
        format=identity[0],
        title=identity[1],
        name=source.name,
        size=source.size,
        sha256="",
        signatures=signatures or (Signature(outcome=Outcome.ABSENT, note="there is no metadata"),),
        coverage=_coverage(judged, measured),
        digests=checks,
        recipients=tuple(recipient for item in measured for recipient in _recipients(item.offer)),
        images=tuple(_image(source, item) for item in measured),
        version=version_of(judged[0].chain),
        hardware=_hardware(measured, () if identity[0] == "uptane" else INEXPRESSIBLE),
        weaknesses=tuple(dict.fromkeys(weaknesses)),
        facts=(*facts, *(fact for item in judged for fact in _facts(item))),
    )


def signature_weaknesses(signatures: tuple[Signature, ...]) -> Iterator[Weakness]:
    """Yield what is weak about signatures and keys, and which files carry none."""
    yield from common.signature_weaknesses(signatures)
    present = any(signature.outcome is not Outcome.ABSENT for signature in signatures)
    for signature in signatures if present else ():
        if signature.outcome is Outcome.ABSENT:
            yield Weakness(code="unsigned", message=signature.note, where=str(signature.covers[0]))


def _hardware(measured: Iterable[Measured], nothing: tuple[()] | Inexpressible) -> tuple[str, ...] | Inexpressible:
    found = tuple(dict.fromkeys(name for item in measured for name in item.offer.hardware))
    return found or nothing


def version_of(chain: Chain) -> Version:
    """Return the version of the targets metadata, the number that a client never lets go back.

    TUF has no field for the version of a release. What timestamp and snapshot count are shown as constraints.
    """
    targets = chain.targets
    others = ((file.role, file.metadata.version) for file in (chain.timestamp, chain.snapshot) if file)
    authentic = {State.TRUSTED: True, State.BROKEN: False}.get(chain.reach)
    return Version(
        version=INEXPRESSIBLE,
        sequence=targets.metadata.version if targets else None,
        authentic=authentic if targets else None,
        constraints=tuple(f"{role} {version}" for role, version in others),
    )


def _coverage(judged: Iterable[Judged], measured: tuple[Measured, ...]) -> Coverage:
    members = {member.path: member for item in judged for member in item.files.payload()}
    members |= {member.path: member for item in measured for member in item.offer.copies}
    answers: dict[str, set[bool | None]] = defaultdict(set)
    for item in measured:
        for member in item.offer.copies:
            answers[member.path].add(item.reached)
    ordered = sorted(members.values(), key=lambda member: member.span)
    reach = all(item.chain.reach in REACHING for item in judged)
    found = {item.reached for item in measured if item.offer.copies}
    open_ends = [member for member in ordered if True not in answers[member.path]]
    return Coverage(
        payload=tuple(member.span for member in ordered),
        uncovered=tuple(member.span for member in open_ends if None not in answers[member.path]),
        undecided=tuple(member.span for member in open_ends if None in answers[member.path]),
        metadata=STEERING if reach else (),
        unprotected_metadata=() if reach else STEERING,
        size_bound=None if not found or None in found else False not in found,
    )


def image_alone(offer: Offer) -> Image:
    """Return a target whose file cannot be here, because only one metadata file is."""
    checks = tuple(_checks(offer, {}))
    return _image(None, Measured(offer=offer, checks=checks, encryption=_declared_encryption(offer)))


def _image(folder: FolderSource | None, item: Measured) -> Image:
    offer = item.offer
    first = offer.copies[0] if offer.copies else None
    return Image(
        id=offer.target.path,
        size=first.size if first else offer.target.length,
        target=offer.name,
        hardware=offer.hardware,
        span=first.span if first else None,
        digests=item.checks,
        encryption=item.encryption,
        version=offer.version,
        source=Window(folder, first.path, first.span.start, first.size) if first and folder else None,
        note="; ".join(part for part in ("" if first else "the target file is not here", offer.note) if part),
    )


def _recipients(offer: Offer) -> Iterator[Recipient]:
    for path, value in sorted((offer.secret or {}).items()):
        if "key" in path.lower() and isinstance(value, str):
            yield Recipient(algorithm="", wrapped=digest("sha-256", value.encode()).hex())


# What is weak


def repository_weaknesses(item: Judged, as_of: str) -> Iterator[Weakness]:
    """Yield what is weak about the metadata of one repository."""
    chain = item.chain
    yield from chain.weaknesses
    yield from item.delegated.weaknesses
    yield from item.unspoken
    for file in item.metadata:
        yield from file_weaknesses(file.metadata, as_of, last=file.role != ROOT or file is chain.root)
    if chain.root is not None:
        yield from root_weaknesses(chain.root.metadata)
    if not chain.roots:
        text = "there is no root: nothing says whose keys sign the roles"
        yield Weakness(code="missing-member", message=text, where="root.json")
    if item.delegated.absent:
        yield _several("missing-member", "delegated roles without a file here", item.delegated.absent)


def file_weaknesses(metadata: Metadata, as_of: str, *, last: bool = True) -> Iterator[Weakness]:
    """Yield what is weak about one metadata file; of roots only the last one's expiry counts."""
    name = metadata.file
    for problem in metadata.problems:
        yield Weakness(code="malformed", message=f"{name} {problem}", where=name)
    if isinstance(metadata.body, Root | Targets):
        yield from _keyid_weaknesses(metadata.body.keys.values(), name)
    if not last:
        return
    if not metadata.expires:
        yield Weakness(code="no-expiry", message=f"{name} has no expiry", where=name)
    elif metadata.expires <= as_of:
        yield Weakness(code="expired-metadata", message=f"{name} expired at {metadata.expires}", where=name)
    elif metadata.expires > _years_on(as_of):
        text = f"{name} is good until {metadata.expires}, more than {MAX_LIFETIME} years"
        yield Weakness(code="no-expiry", message=text, where=name)


def _years_on(as_of: str) -> str:
    return f"{int(as_of[:4]) + MAX_LIFETIME:04d}{as_of[4:]}"


def _keyid_weaknesses(keys: Iterable[Key], name: str) -> Iterator[Weakness]:
    """Yield key ids that do not follow from their keys, where those of other keys in the same file do."""
    known = [key for key in keys if key.key is not None]
    strange = [key.keyid[:16] for key in known if not key.derived]
    if strange and len(strange) < len(known):
        text = f"{name}: key ids that do not follow from their keys: {', '.join(strange[:SHOWN])}"
        yield Weakness(code="malformed", message=text, where=name)


def root_weaknesses(metadata: Metadata) -> Iterator[Weakness]:
    """Yield what is weak about how a root deals out its roles."""
    body, name = metadata.body, metadata.file
    if not isinstance(body, Root):
        return
    root = body.roles.get(ROOT)
    if root is not None and root.threshold == 1:
        text = "one key is enough to replace the root and every other key"
        yield Weakness(code="low-threshold", message=text, where=name)
    roles: dict[str, list[str]] = defaultdict(list)
    for role, holders in body.roles.items():
        for identity in {body.keys[keyid].identity for keyid in holders.keyids if keyid in body.keys} - {""}:
            roles[identity].append(role)
    for identity, shared in sorted(roles.items()):
        if len(shared) > 1:
            text = f"one key signs for {', '.join(sorted(shared))}: who steals it there has it here"
            yield Weakness(code="shared-role-key", message=text, where=identity)
    if body.consistent is not True:
        text = "an update of the repository can be met half done: file names carry no version or digest"
        yield Weakness(code="no-consistent-snapshot", message=text, where=name)


def _target_weaknesses(judged: Sequence[Judged], measured: tuple[Measured, ...]) -> Iterator[Weakness]:
    for item in measured:
        yield from item.doubts
        yield from offer_weaknesses(item.offer)
    payload = {member.path for item in judged for member in item.files.payload()}
    named = {member.path for item in measured for member in item.offer.copies}
    if payload - named:
        yield _several("unreferenced-member", "files that no role names", sorted(payload - named))
    folded: dict[str, list[str]] = defaultdict(list)
    for item in measured:
        folded[item.offer.target.path.casefold()].append(item.offer.target.path)
    twice = [path for paths in folded.values() if len(paths) > 1 for path in paths]
    if twice:
        yield _several("duplicate-member", "target names that differ in case only", twice)
    absent = [item.offer.target.path for item in measured if not item.offer.copies]
    if absent and (payload or named):
        yield _several("missing-member", "targets without a file here", absent)


def offer_weaknesses(offer: Offer) -> Iterator[Weakness]:
    """Yield what is weak about how a target is named."""
    target, where = offer.target, offer.target.path[:200]
    strong = [name for name in target.hashes if name not in common.WEAK_DIGESTS]
    if not target.hashes:
        yield Weakness(code="missing-digest", message=f"{where} has no digest", where=where)
    elif not strong:
        yield Weakness(code="weak-digest", message=f"{where} rests on {', '.join(target.hashes)}", where=where)
    if {"..", "."} & set(target.path.replace("\\", "/").split("/")) or "\0" in target.path or target.path in {"", "/"}:
        text = f"{where!r} leads out of the folder of targets, or is no name of a file"
        yield Weakness(code="malformed", message=text, where=where)
    for member in offer.copies:
        if member.size != target.length:
            text = f"{member.path} has {member.size} bytes, {target.length} are stated"
            yield Weakness(code="malformed", message=text, where=member.path)


def _several(code: str, what: str, names: Sequence[str]) -> Weakness:
    shown = ", ".join(name[:80] for name in names[:SHOWN])
    return Weakness(code=code, message=f"{len(names)} {what}: {shown}{' …' if len(names) > SHOWN else ''}")


def _facts(item: Judged) -> Iterator[tuple[str, str]]:
    place = f"{item.files.place.rstrip('/')} " if item.files.place else ""
    for file in item.chain.files:
        text = f"version {file.metadata.version}, expires {file.metadata.expires or 'never'}"
        yield f"{place}{file.role}", text
    nodes = [node for node in item.delegated.nodes if node.parent]
    if nodes:
        yield f"{place}delegated roles", f"{len(nodes)}: {', '.join(node.name[:40] for node in nodes[:SHOWN])}"
    if item.delegated.again:
        yield f"{place}delegated to more than once", ", ".join(list(item.delegated.again)[:SHOWN])
    if item.spoken and not item.files.payload() and not any(item.files.copies(s.target.path, ()) for s in item.spoken):
        yield f"{place}target files", "none is here, so their digests cannot be computed"
    unused = item.files.unused()
    if unused:
        yield f"{place}metadata files not used", ", ".join(unused[:SHOWN]) + (" …" if len(unused) > SHOWN else "")
