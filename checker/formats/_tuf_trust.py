"""Which metadata can be trusted, and from which declared key on (TUF specification 1.0.33 section 5).

The chain is: declared keys → root 1 → … → root N → timestamp, snapshot and targets → delegated targets. Each root is
signed by enough keys of the one before and of its own; the timestamp binds the snapshot, and that all targets metadata.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Final

from checker.crypto.keyring import KeyRing
from checker.errors import FormatError
from checker.formats._tuf_folder import Repository
from checker.formats._tuf_keys import Entry, Judged, Key, Tally, likely_keyids, tally, verify
from checker.formats._tuf_metadata import (
    OFFLINE_SNAPSHOT,
    OFFLINE_UPDATES,
    ROOT,
    SNAPSHOT,
    TARGETS,
    TIMESTAMP,
    FileInfo,
    Index,
    Metadata,
    Root,
)
from checker.io.digests import digest, supported
from checker.io.folders import Member
from checker.model.artifact import DigestCheck, Signature, Span, Weakness
from checker.model.terms import Outcome


class State(IntEnum):
    """How far trust reaches a file; of several links the worst one counts."""

    TRUSTED = 0  # from declared keys on
    UNKNOWN = 1  # everything fits together, but nobody declared the root's keys
    UNDECIDED = 2  # a signature that is needed cannot be judged
    BROKEN = 3


OUTCOMES: Final = {
    State.TRUSTED: Outcome.VALID,
    State.UNKNOWN: Outcome.KEY_UNKNOWN,
    State.UNDECIDED: Outcome.UNDECIDABLE,
    State.BROKEN: Outcome.INVALID,
}
REACHING: Final = frozenset({State.TRUSTED, State.UNKNOWN})


@dataclass(frozen=True, kw_only=True)
class File:
    """A metadata file and what was found: `state` of its signatures up to the root, `bound` of what names it."""

    role: str
    metadata: Metadata
    state: State
    bound: State
    signatures: tuple[Signature, ...]
    checks: tuple[DigestCheck, ...] = ()

    @property
    def reach(self) -> State:
        """Return whether a client would take what the file says."""
        return max(self.state, self.bound)


@dataclass(frozen=True, kw_only=True)
class Chain:
    """The top-level metadata of a repository. `reach` is the worst of all of them."""

    root: File | None
    roots: tuple[File, ...]
    timestamp: File | None
    snapshot: File | None
    targets: File | None
    reach: State
    weaknesses: tuple[Weakness, ...]
    offline: tuple[File, ...] = ()  # what takes the place of targets in an update from a medium

    @property
    def files(self) -> tuple[File, ...]:
        """Return all files in the order of trust."""
        named = (self.timestamp, self.snapshot, self.targets)
        return (*self.roots, *(file for file in named if file), *self.offline)


def signatures_of(
    metadata: Metadata, judged: Iterable[Judged], state: State, role: str, remark: str = ""
) -> tuple[Signature, ...]:
    """Return the signatures of a file, each as good as the chain that leads to it."""
    name = f"{metadata.file}: {role} {metadata.version}"
    found = tuple(_signature(metadata, item, state, name, remark) for item in judged)
    nothing = Signature(outcome=Outcome.ABSENT, covers=(metadata.signed,), note=f"{name} carries no signature")
    return found or (nothing,)


def _signature(metadata: Metadata, item: Judged, state: State, role: str, remark: str) -> Signature:
    public = item.key.key if item.key else None
    facts = public.facts if public else replace(Signature(outcome=item.outcome).key, id=item.entry.keyid)
    outcome = OUTCOMES[state] if item.outcome is Outcome.VALID else item.outcome
    if item.outcome is Outcome.KEY_UNKNOWN and state is State.BROKEN:
        outcome = Outcome.INVALID
    fits = remark if item.outcome is Outcome.VALID and state is not State.TRUSTED else item.note
    note = "; ".join(part for part in (role, item.form, fits) if part)
    return Signature(
        outcome=outcome,
        algorithm=item.algorithm,
        hash=item.hash,
        key=replace(facts, declared=facts.declared or outcome is Outcome.VALID),
        covers=(metadata.signed,),
        where=metadata.signatures,
        encoding=item.encoding,
        note=note,
    )


def own_state(counted: Tally) -> State:
    """Return what the signatures of a file are worth by themselves."""
    return State.TRUSTED if counted.met else State.UNDECIDED if counted.undecidable else State.BROKEN


def remark(counted: Tally, above: State) -> str:
    """Return why a signature that fits is not valid."""
    if not counted.met:
        return f"fits, but {len(counted.valid)} of {counted.threshold} distinct keys signed"
    if above is State.UNKNOWN:
        return "fits, but the keys of no root were declared"
    return "fits, but what leads to its key does not verify"


# Roots


@dataclass(frozen=True, kw_only=True)
class Roots:
    """The root files in the order of their versions, each version once, every copy by its name, and what is odd."""

    versions: tuple[Metadata, ...]
    copies: Mapping[str, Metadata]
    odd: tuple[Weakness, ...]


def read_roots(files: Repository) -> Roots:
    """Return the root files of a repository.

    `root.json` is a copy of the newest version; where it is the only file of its version, it stands for that.

    Raises:
        FormatError: one cannot be read.
        LimitError: there are too many, or one is too large.
    """
    found: dict[int, Metadata] = {}
    copies: dict[str, Metadata] = {}
    odd: list[Weakness] = []
    for named, member in sorted(files.roots(), key=_plain_last):
        metadata = files.read(member)
        _check_type(metadata, ROOT)
        copies[metadata.file.removeprefix(files.place)] = metadata
        if named is not None and named != metadata.version:
            text = f"{member.path} is version {metadata.version} of the root"
            odd.append(Weakness(code="mix-and-match", message=text, where=member.path))
        known = found.setdefault(metadata.version, metadata)
        if known.messages.keys() != metadata.messages.keys():
            text = f"{known.file} and {member.path} are two different roots of version {metadata.version}"
            odd.append(Weakness(code="mix-and-match", message=text, where=member.path))
    return Roots(versions=tuple(found[version] for version in sorted(found)), copies=copies, odd=tuple(odd))


def _check_type(metadata: Metadata, role: str) -> None:
    if metadata.type != role:
        where = f"{metadata.file} _type"
        raise FormatError(f"is {metadata.type} metadata", offset=metadata.signed.start, field=where)


def _plain_last(item: tuple[int | None, Member]) -> tuple[bool, int]:
    return item[0] is None, item[0] or 0


def judge_roots(roots: Iterable[Metadata], ring: KeyRing) -> tuple[tuple[File, ...], tuple[Weakness, ...]]:
    """Return the roots with their trust, each from the one before, and the gaps between them."""
    files: list[File] = []
    odd: list[Weakness] = []
    for metadata in roots:
        before = files[-1] if files else None
        body = _root(metadata)
        counted = tally(metadata.entries, metadata.messages, body.keys, body.roles.get(ROOT))
        state, judged, why = own_state(counted), counted.judged, ""
        link = State.UNKNOWN
        if before is not None:
            older = _root(before.metadata)
            linked = tally(metadata.entries, metadata.messages, older.keys, older.roles.get(ROOT))
            link = max(before.state, own_state(linked))
            judged = tuple(_better(new, old) for new, old in zip(judged, linked.judged, strict=True))
            if not linked.met:
                why = f"fits, but {len(linked.valid)} of {linked.threshold} keys of the root before signed"
            if metadata.version != before.metadata.version + 1:
                link, why = State.BROKEN, f"fits, but the root before is version {before.metadata.version}"
                text = f"root {metadata.version} follows root {before.metadata.version}; those between are not here"
                odd.append(Weakness(code="missing-member", message=text, where=metadata.file))
        anchored = link is State.UNKNOWN and state is State.TRUSTED and _anchored(counted, body, ring)
        state = State.TRUSTED if anchored else max(state, link)
        made = signatures_of(metadata, judged, state, ROOT, why or remark(counted, link))
        signatures = tuple(_with_name(signature, ring) for signature in made)
        files.append(File(role=ROOT, metadata=metadata, state=state, bound=State.TRUSTED, signatures=signatures))
    return tuple(files), tuple(odd)


def _with_name(signature: Signature, ring: KeyRing) -> Signature:
    """Return a signature with its key as it was declared, where it was."""
    found = ring.find(signature.key.id)
    return replace(signature, key=found.facts) if found is not None else signature


def _root(metadata: Metadata) -> Root:
    body = metadata.body
    return body if isinstance(body, Root) else Root(keys={}, roles={}, consistent=None)


def _better(new: Judged, old: Judged) -> Judged:
    return old if new.outcome is Outcome.KEY_UNKNOWN and old.outcome is not Outcome.KEY_UNKNOWN else new


def _anchored(counted: Tally, body: Root, ring: KeyRing) -> bool:
    """Return whether enough of the keys that signed were declared.

    A root that was given as a key file says how many of its keys must sign; a forged root cannot lower that number.
    """
    declared = {key.spki_sha256: key for key in ring.verifiers if key.spki_sha256 in counted.valid}
    quorum = min((key.terms.quorum if key.terms else 0 for key in declared.values()), default=0)
    return len(declared) >= max(body.roles[ROOT].threshold, quorum)


# Timestamp, snapshot, targets


def judge_chain(files: Repository, ring: KeyRing) -> Chain:
    """Return the top-level metadata of a repository with its trust.

    Raises:
        FormatError: a file cannot be read, or is of another type than its name says.
        LimitError: a file is too large.
    """
    read = read_roots(files)
    roots, gaps = judge_roots(read.versions, ring)
    root = roots[-1] if roots else None
    bound = State.BROKEN if read.odd else State.TRUSTED
    weaknesses = [*read.odd, *gaps]
    if root is not None and files.offline:
        return judge_offline(files, roots, bound, weaknesses)
    named: FileInfo | None = None
    found: dict[str, File] = {}
    for role in (TIMESTAMP, SNAPSHOT, TARGETS):
        file = _read_role(files, role, named, root, ring, bound)
        if file is None:
            text = f"there is no {role}.json: " + _MISSING[role]
            weaknesses.append(Weakness(code="missing-member", message=text, where=f"{role}.json"))
            named = None
            continue
        file = _with_roots(file, read.copies) if role == SNAPSHOT else file
        found[role] = file
        bound = max(bound, file.reach)
        weaknesses += binding_weaknesses(file, named)
        following = {TIMESTAMP: SNAPSHOT, SNAPSHOT: TARGETS}.get(role)
        if following is not None and isinstance(file.metadata.body, Index):
            named = file.metadata.body.meta.get(f"{following}.json")
            if named is None:
                bound = State.BROKEN
                text = f"{file.metadata.file} does not name {following}.json"
                weaknesses.append(Weakness(code="mix-and-match", message=text, where=file.metadata.file))
    states = (*(file.reach for file in found.values()), root.state if root else State.TRUSTED, bound)
    return Chain(
        root=root,
        roots=roots,
        timestamp=found.get(TIMESTAMP),
        snapshot=found.get(SNAPSHOT),
        targets=found.get(TARGETS),
        reach=max(states),
        weaknesses=tuple(weaknesses),
    )


def judge_offline(files: Repository, roots: tuple[File, ...], bound: State, weaknesses: list[Weakness]) -> Chain:
    """Return the metadata of an update from a medium: a snapshot that names one or more targets files.

    Source: uptane/aktualizr docs, offline updates; the roles are `offline-snapshot` and `offline-updates`.

    Raises:
        FormatError: a file cannot be read, or is of another type than it should be.
    """
    root, body = roots[-1], _root(roots[-1].metadata)

    def read(name: str, role: str, named: FileInfo | None, above: State) -> File | None:
        member = files.role(name, None, (), consistent=False)
        if member is None:
            return None
        metadata = files.read(member)
        _check_type(metadata, role)
        counted = tally(metadata.entries, metadata.messages, body.keys, body.roles.get(role))
        found = judged_file(metadata, role, counted, root.state, named, above)
        weaknesses.extend(binding_weaknesses(found, named))
        return found

    snapshot = read(OFFLINE_SNAPSHOT, OFFLINE_SNAPSHOT, None, bound)
    index = snapshot.metadata.body if snapshot else None
    bound = max(bound, snapshot.reach) if snapshot else bound
    updates = []
    for name, named in index.meta.items() if isinstance(index, Index) else ():
        file = read(name.removesuffix(".json"), OFFLINE_UPDATES, named, bound)
        if file is not None:
            updates.append(file)
    if not updates:
        text = "none of the files that the offline snapshot names is here"
        weaknesses.append(Weakness(code="missing-member", message=text, where=files.place))
    return Chain(
        root=root,
        roots=roots,
        timestamp=None,
        snapshot=snapshot,
        targets=None,
        reach=max(bound, root.state),
        weaknesses=tuple(weaknesses),
        offline=tuple(updates),
    )


_MISSING: Final = {
    TIMESTAMP: "nothing stops an old snapshot from being replayed",
    SNAPSHOT: "nothing binds the targets metadata to one release",
    TARGETS: "nothing names target files",
}


def binding_weaknesses(file: File, named: FileInfo | None) -> Iterator[Weakness]:
    """Yield where a file is not the one that the metadata above it names."""
    if named is None:
        return
    name, metadata = file.metadata.file, file.metadata
    if named.version is None and not named.hashes:
        yield Weakness(code="mix-and-match", message=f"neither version nor digest of {name} is stated", where=name)
    if named.version not in {None, metadata.version}:
        text = f"{name} is version {metadata.version}, but version {named.version} is the one that belongs here"
        yield Weakness(code="mix-and-match", message=text, where=name)
    if named.length is not None and named.length not in _lengths(metadata):
        text = f"{name} has {len(metadata.data)} bytes, {named.length} are stated"
        yield Weakness(code="malformed", message=text, where=name)


def _read_role(
    files: Repository, role: str, named: FileInfo | None, root: File | None, ring: KeyRing, above: State
) -> File | None:
    body = _root(root.metadata) if root else None
    consistent = bool(body and body.consistent) and role != TIMESTAMP
    info = named or FileInfo()
    member = files.role(role, info.version, info.hashes.values(), consistent=consistent)
    if member is None:
        return None
    metadata = files.read(member)
    _check_type(metadata, role)
    if body is None or root is None:
        return _without_root(metadata, role, named, ring)
    counted = tally(metadata.entries, metadata.messages, body.keys, body.roles.get(role))
    return judged_file(metadata, role, counted, root.state, named, above)


def judged_file(
    metadata: Metadata, role: str, counted: Tally, keys: State, named: FileInfo | None, above: State
) -> File:
    """Return a file by its signatures, the state of what holds its `keys`, and what was said of it `above`."""
    state = max(own_state(counted), keys)
    checks = tuple(_checks(metadata, named, authentic=above in REACHING)) if named else ()
    wrong = any(binding_weaknesses(_bare(metadata, role), named)) or any(check.matches is False for check in checks)
    open_end = State.UNDECIDED if any(check.matches is None for check in checks) else State.TRUSTED
    return File(
        role=role,
        metadata=metadata,
        state=state,
        bound=State.BROKEN if wrong else max(above, open_end),
        signatures=signatures_of(metadata, counted.judged, state, role, remark(counted, keys)),
        checks=checks,
    )


def _with_roots(snapshot: File, copies: Mapping[str, Metadata]) -> File:
    """Return a snapshot with what it says of root files, as it did before version 1.0 of the specification."""
    body = snapshot.metadata.body
    checks: list[DigestCheck] = []
    wrong = False
    for name, named in body.meta.items() if isinstance(body, Index) else ():
        metadata = copies.get(name)
        if metadata is None or named.version not in {None, metadata.version}:  # a root that was renewed since
            continue
        checks += _checks(metadata, named, authentic=snapshot.state in REACHING)
        wrong |= named.length is not None and named.length not in _lengths(metadata)
    wrong |= any(check.matches is False for check in checks)
    bound = State.BROKEN if wrong else snapshot.bound
    return replace(snapshot, checks=(*snapshot.checks, *checks), bound=bound)


def _bare(metadata: Metadata, role: str) -> File:
    return File(role=role, metadata=metadata, state=State.BROKEN, bound=State.BROKEN, signatures=())


def _checks(metadata: Metadata, named: FileInfo, *, authentic: bool) -> Iterator[DigestCheck]:
    whole = Span(min(metadata.signed.start, metadata.signatures.start), 0)
    for algorithm, expected in named.hashes.items():
        computed, note = _digest(metadata, algorithm, expected)
        yield DigestCheck(
            name=metadata.file,
            algorithm=algorithm,
            expected=expected,
            actual=computed,
            covers=(replace(whole, end=max(metadata.signed.end, metadata.signatures.end)),),
            authentic=authentic,
            note=note,
        )


def _digest(metadata: Metadata, algorithm: str, expected: str) -> tuple[str | None, str]:
    """Return the digest of a file, or of its canonical form where that is meant; aktualizr compares that one."""
    if not supported(algorithm):
        return None, f"{algorithm} is not computed here"
    for form in metadata.rewritten:
        if digest(algorithm, form).hex() == expected:
            return expected, "" if form == metadata.data else "over the canonical form of the file"
    return digest(algorithm, metadata.data).hex(), ""


def _lengths(metadata: Metadata) -> set[int]:
    return {len(metadata.data), *(len(form) for form in metadata.rewritten)}


# A file whose root is not here


def _without_root(metadata: Metadata, role: str, named: FileInfo | None, ring: KeyRing) -> File:
    found = alone(metadata, role, ring)
    return replace(found, checks=tuple(_checks(metadata, named, authentic=False))) if named else found


def alone(metadata: Metadata, role: str, ring: KeyRing) -> File:
    """Return a file without a root: a declared key that made a signature is taken at its word, others are unknown."""
    judged = tuple(_by_declared(entry, metadata, ring) for entry in metadata.entries)
    outcomes = {item.outcome for item in judged}
    state = State.UNKNOWN
    if Outcome.VALID in outcomes or not judged:
        state = State.TRUSTED if judged else State.BROKEN
    elif outcomes == {Outcome.INVALID}:
        state = State.BROKEN
    signatures = signatures_of(metadata, judged, state, role)
    return File(role=role, metadata=metadata, state=state, bound=State.TRUSTED, signatures=signatures)


def _by_declared(entry: Entry, metadata: Metadata, ring: KeyRing) -> Judged:
    """Return a signature judged by the declared key that its key id names, or by any that made it.

    Keys of a declared root are for roots only: without a root, one of them would stand for as many as it demands.
    """
    for public in ring.verifiers:
        if public.terms and public.terms.quorum:
            continue
        named = entry.keyid in (public.terms.ids if public.terms else ()) or entry.keyid in likely_keyids(public)
        found = verify(entry, metadata.messages, Key(keyid=entry.keyid, scheme="", key=public), public)
        if named or found.outcome is Outcome.VALID:
            return found
    note = "no root is here that says whose key this is, and no declared key made the signature"
    return Judged(entry=entry, outcome=Outcome.KEY_UNKNOWN, note=note)
