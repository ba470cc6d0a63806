"""The way from signed lists of digests to the members that they name."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from checker.formats._archive_lists import Listing
from checker.formats._archive_members import Container, plain

STRONG: Final = frozenset(
    {
        "sha-224",
        "sha-256",
        "sha-384",
        "sha-512",
        "sha-512/256",
        "sha3-256",
        "sha3-384",
        "sha3-512",
        "blake2b-512",
        "sm3",
    }
)


@dataclass(frozen=True)
class Claim:
    """What one list says about one member."""

    listing: Listing
    algorithm: str
    digest: bytes


def claims_of(
    container: Container, listings: Mapping[str, Listing]
) -> tuple[dict[str, tuple[Claim, ...]], tuple[tuple[str, str], ...]]:
    """Return what the lists say of each member, and which of the names that they give are of no member."""
    names = {plain(entry.name) for entry in container.files}
    bases: dict[str, str] = {}
    for name in names:  # two files of one base name: it tells neither
        base = name.rpartition("/")[2]
        bases[base] = "" if base in bases else name
    found: dict[str, list[Claim]] = defaultdict(list)
    missing: dict[tuple[str, str], None] = {}
    for listing in listings.values():
        folder = plain(listing.name).rpartition("/")[0]
        for statement in listing.statements:
            name = plain(statement.name)
            within = f"{folder}/{name}" if folder else name
            base = bases.get(name.rpartition("/")[2], "") if listing.structured else ""
            target = next((item for item in (within, name, base) if item in names), None)
            if target is None:
                missing[listing.name, statement.name] = None
            else:
                found[target].append(Claim(listing, statement.algorithm, statement.digest))
    return {name: tuple(claims) for name, claims in found.items()}, tuple(missing)


@dataclass(frozen=True)
class Chain:
    """The way from what is signed over lists to members."""

    claims: Mapping[str, tuple[Claim, ...]]
    places: Mapping[str, Sequence[int]]
    actual: Mapping[int, Mapping[str, bytes]]

    def follow(self, signed: set[str]) -> tuple[set[str], set[str]]:
        """Return the names that signed lists reach, over further lists too, and those of which that is not known."""
        reached, undecided = set(signed), set[str]()
        grows = True
        while grows:
            held = {name: self._held(name, reached) for name in self.claims if name not in reached}
            new = {name for name, value in held.items() if value}
            undecided |= {name for name, value in held.items() if value is None}
            grows = bool(new)
            reached |= new
        return reached, undecided

    def _held(self, name: str, reached: set[str]) -> bool | None:
        """Return whether a strong digest of a reached list is right, and none of such a list is wrong."""
        result: bool | None = False
        for claim in self.claims[name]:
            if plain(claim.listing.name) not in reached:
                continue
            matches = {self._matches(place, claim) for place in self.places[name]}
            if False in matches:
                return False
            if claim.algorithm in STRONG:
                result = True if None not in matches else result or None
        return result

    def _matches(self, place: int, claim: Claim) -> bool | None:
        digest = self.actual.get(place, {}).get(claim.algorithm)
        return None if digest is None else digest == claim.digest
