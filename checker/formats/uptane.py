"""Uptane repositories as folders: a director beside an image repository, or one of the two.

Source: Uptane Standard 2.1.0 sections 5.2 (metadata) and 5.4.4 (verification); uptane/aktualizr for layouts and fields.

Both repositories are TUF repositories, and both have to name a target alike: the director says which image this vehicle
gets, the image repository vouches for it. A target that only the director names, or that the two describe differently,
is one that a vehicle refuses, and counts as covered by nothing. Custom fields have no fixed spelling in the standard;
those of the reference implementation and of aktualizr are read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from checker.errors import FormatError
from checker.formats import _tuf_artifact as build
from checker.formats._tuf_artifact import Judged, Offer
from checker.formats._tuf_delegations import Spoken
from checker.formats._tuf_folder import DIRECTOR, choose, is_uptane, pair
from checker.formats._tuf_metadata import Root, Target
from checker.formats._tuf_trust import State
from checker.formats.contract import Context, Format, Parse
from checker.io.folders import FolderSource
from checker.model.artifact import INEXPRESSIBLE, Source, Version, Weakness

WEAKNESSES: Final = (
    *build.WEAKNESSES,
    "biased-ciphertext",
    "no-hardware-id",
    "no-rollback-counter",
    "repeated-blocks",
    "repositories-disagree",
)
_COUNTER: Final = re.compile(r"release_?counter", re.IGNORECASE)
_ECU: Final = re.compile(r"ecu_?(?:identifiers?|serial)", re.IGNORECASE)
_SECRET: Final = re.compile(r"encrypt", re.IGNORECASE)
MAX_NESTING: Final = 4  # objects inside one another in custom metadata that are looked through


@dataclass(frozen=True, kw_only=True)
class _Custom:
    """What custom metadata says of a target."""

    ecus: tuple[str, ...]
    hardware: tuple[str, ...]
    counter: int | None
    secret: Mapping[str, Any]


def _detect(source: Source, context: Context) -> bool:  # noqa: ARG001 - the contract's signature
    return isinstance(source, FolderSource) and is_uptane(source)


def _parse(source: Source, context: Context) -> Parse:
    if not isinstance(source, FolderSource):
        raise FormatError("an Uptane repository is a folder, this is a file", field="content")
    both = None if context.options.get("repository") else pair(source)
    if both is None:
        only = build.judge(choose(source, context.options.get("repository", "")), context)
        judged: tuple[Judged, ...] = (only,)
        offers = [_offer(only, spoken, only.reach(spoken)) for spoken in only.spoken]
        found: tuple[Weakness, ...] = ()
    else:
        director, image = (build.judge(files, context) for files in both)
        judged = (director, image)
        offers, found = _agreed(director, image)
    measured = yield from build.measure(source, offers)
    title = "Uptane director and image repository" if both else "Uptane repository"
    more = (*found, *_custom_weaknesses(judged, offers), *_director_weaknesses(judged, both is not None))
    facts = tuple(_facts(judged, offers))
    return build.artifact(("uptane", title), source, judged, measured, context, more, facts)


# What a target is for


def _custom(target: Target) -> _Custom:
    fields = tuple(_flat(target.custom, 0))
    counters = [value for name, value in fields if _COUNTER.fullmatch(name) and type(value) is int]
    return _Custom(
        ecus=tuple(dict.fromkeys(_ecus(target.custom))),
        hardware=build.hardware_of(target.custom),
        counter=max(counters, default=None),
        secret={name: value for name, value in fields if _SECRET.search(name)},
    )


def _flat(custom: Mapping[str, Any], level: int) -> Iterator[tuple[str, Any]]:
    for name, value in custom.items():
        yield name, value
        if isinstance(value, dict) and level < MAX_NESTING:
            yield from _flat(value, level + 1)


def _ecus(custom: Mapping[str, Any]) -> Iterator[str]:
    for name, value in custom.items():
        if _ECU.fullmatch(name):
            values = value if isinstance(value, list | dict) else [value]
            yield from (str(item)[:80] for item in values)


def _offer(judged: Judged, spoken: Spoken, state: State, note: str = "", custom: _Custom | None = None) -> Offer:
    target = spoken.target
    custom = custom or _custom(target)
    files = judged.files
    return Offer(
        target=target,
        state=state,
        copies=files.copies(target.path, target.hashes.values()),
        name=", ".join(custom.ecus),
        hardware=custom.hardware,
        version=_version(target, custom, state),
        secret=custom.secret or None,
        role=spoken.node.name,
        note=note,
    )


def _version(target: Target, custom: _Custom, state: State) -> Version:
    written = target.custom.get("version")
    return Version(
        version=str(written)[:80] if isinstance(written, str | int) else INEXPRESSIBLE,
        sequence=custom.counter,
        authentic={State.TRUSTED: True, State.BROKEN: False}.get(state),
    )


# Two repositories


def _agreed(director: Judged, image: Judged) -> tuple[list[Offer], tuple[Weakness, ...]]:
    """Return every target with the worse state of both, and where they disagree (Uptane Standard 5.4.4.2 step 10)."""
    vouched = {spoken.target.path: spoken for spoken in image.spoken}
    offers, found = [], []
    for spoken in director.spoken:
        path = spoken.target.path
        other = vouched.pop(path, None)
        problem = "the image repository does not name it" if other is None else _difference(spoken.target, other.target)
        states = (director.reach(spoken), image.reach(other) if other else State.BROKEN)
        if problem:
            found.append(Weakness(code="repositories-disagree", message=f"{path[:200]}: {problem}", where=path[:200]))
        custom = _merged(spoken.target, other.target if other else None)
        offer = _offer(image, spoken, State.BROKEN if problem else max(states), problem, custom)
        more = director.files.copies(path, spoken.target.hashes.values())
        copies = {member.path: member for member in (*offer.copies, *more)}
        offers.append(replace(offer, copies=tuple(copies.values())))
    for spoken in vouched.values():
        note = "the director assigns it to no ECU"
        offers.append(_offer(image, spoken, max(director.chain.reach, image.reach(spoken)), note))
    return offers, tuple(found)


def _merged(target: Target, other: Target | None) -> _Custom:
    """Return what both say of a target; the director names ECUs and encryption, the image repository hardware."""
    mine, theirs = _custom(target), _custom(other or target)
    return _Custom(
        ecus=mine.ecus,
        hardware=mine.hardware or theirs.hardware,
        counter=theirs.counter if mine.counter is None else mine.counter,
        secret={**theirs.secret, **mine.secret},
    )


def _difference(target: Target, other: Target) -> str:
    """Return in what two descriptions of one target differ, as a clause."""
    mine, theirs = _custom(target), _custom(other)
    common = target.hashes.keys() & other.hashes.keys()
    if target.length != other.length:
        return f"the director says {target.length} bytes, the image repository {other.length}"
    if not common or any(target.hashes[name] != other.hashes[name] for name in common):
        return "the digests differ" if common else "the two state no digest of the same kind"
    if mine.hardware and theirs.hardware and not set(mine.hardware) <= set(theirs.hardware):
        return f"the director gives it to {', '.join(mine.hardware)}, it is made for {', '.join(theirs.hardware)}"
    if mine.counter is not None and theirs.counter is not None and mine.counter != theirs.counter:
        return f"the director says release counter {mine.counter}, the image repository {theirs.counter}"
    return ""


# What is weak


def _custom_weaknesses(judged: Sequence[Judged], offers: Sequence[Offer]) -> Iterator[Weakness]:
    if offers and not any(offer.hardware for offer in offers):
        yield Weakness(code="no-hardware-id", message="no target names the hardware that it is for")
    counters = any(_COUNTER.fullmatch(name) for item in judged for name in _top_fields(item))
    if offers and not counters and all(offer.version.sequence is None for offer in offers):
        yield Weakness(code="no-rollback-counter", message="no target has a release counter")


def _top_fields(item: Judged) -> Iterator[str]:
    for node in item.delegated.nodes:
        yield from node.body.custom


def _director_weaknesses(judged: Sequence[Judged], both: bool) -> Iterator[Weakness]:  # noqa: FBT001 - one of two cases
    director = judged[0]
    nodes = director.delegated.nodes
    if both and nodes and nodes[0].body.delegations:
        text = "the director delegates, which vehicles refuse"
        yield Weakness(code="malformed", message=text, where=nodes[0].file.metadata.file)
    shared = _root_keys(judged[0]) & _root_keys(judged[-1]) if both else frozenset()
    if shared:
        text = f"{len(shared)} keys sign for both repositories: who steals them needs no others"
        yield Weakness(code="shared-role-key", message=text, where=min(shared))
    if not both and DIRECTOR in director.files.place.split("/"):
        text = "there is no image repository beside the director that vouches for its images"
        yield Weakness(code="missing-member", message=text)
    assigned: dict[str, str] = {}
    for spoken in director.spoken:
        for ecu in _custom(spoken.target).ecus:
            first = assigned.setdefault(ecu, spoken.target.path)
            if both and first != spoken.target.path:
                text = f"ECU {ecu} is given two images: {first[:80]} and {spoken.target.path[:80]}"
                yield Weakness(code="malformed", message=text, where=ecu)


def _root_keys(item: Judged) -> frozenset[str]:
    body = item.chain.root.metadata.body if item.chain.root else None
    return frozenset(key.identity for key in body.keys.values() if key.key) if isinstance(body, Root) else frozenset()


def _facts(judged: Sequence[Judged], offers: Sequence[Offer]) -> Iterator[tuple[str, str]]:
    for offer in offers[: build.SHOWN]:
        if offer.name:
            yield f"ECU {offer.name}", offer.target.path[:200]
    for offer in offers[: build.SHOWN]:
        if offer.secret:
            yield f"encryption of {offer.target.path[:80]}", ", ".join(sorted(offer.secret))
    for item in judged:
        for name, value in item.delegated.nodes[0].body.custom.items() if item.delegated.nodes else ():
            yield f"{item.files.place}targets {name[:40]}", str(value)[:80]


FORMAT: Final = Format(
    id="uptane",
    title="Uptane director and image repository (folder)",
    detect=_detect,
    parse=_parse,
    options={"repository": "the path of one repository inside the folder, to judge it alone"},
    references=("Uptane Standard 2.1.0 sections 5.2 and 5.4.4", "TUF specification 1.0.33"),
    folders=True,
)
