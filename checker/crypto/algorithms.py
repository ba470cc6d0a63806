"""The algorithm table: what a name or an object identifier stands for, and how strong it is.

The table is data (`rules/ntia-2017/algorithms.yaml`); this module only reads it. Strengths of keys whose size varies
follow SP 800-57pt1r5 table 2.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import field
from typing import Any, Final

from checker.crypto import _tables
from checker.errors import UnsupportedAlgorithmError
from checker.model.value import value

# SP 800-57pt1r5 table 2: least modulus or prime size in bits, and the security strength that it gives.
_MODULUS_STRENGTH: Final = ((15360, 256), (7680, 192), (3072, 128), (2048, 112), (1024, 80))
_MAX_STRENGTH: Final = 256


@value
class Status:
    """What a document says of an algorithm from a date on; a `watch` entry is a draft and decides nothing."""

    since: str  # ISO 8601
    status: str  # acceptable deprecated disallowed legacy not-approved
    source: str
    watch: bool = False


@value
class Algorithm:
    """One line of the table; every field is explained at its head.

    `oids` are pairs of an object identifier and the hash that it fixes (empty where it fixes none).
    """

    id: str
    role: str
    title: str
    family: str = ""
    problem: str = "none"
    bits: int | None = None
    strength: int | None = None
    collision_bits: int | None = None
    category: int | None = None
    quantum_resistant: bool = False
    also: tuple[str, ...] = ()
    oids: tuple[tuple[str, str], ...] = ()
    aliases: tuple[str, ...] = ()
    names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    terms: Mapping[str, str] = field(default_factory=dict)
    status: tuple[Status, ...] = ()
    source: str = ""
    checked: str = ""

    @property
    def roles(self) -> tuple[str, ...]:
        """Return every role of the id, the main one first."""
        return (self.role, *self.also)

    def status_at(self, date: str) -> str:
        """Return the status on an ISO 8601 date by final documents; empty before the first of them."""
        valid = [item.status for item in self.status if not item.watch and item.since <= date[:10]]
        return valid[-1] if valid else ""

    def watched_at(self, date: str) -> str:
        """Return the status that a draft foresees for an ISO 8601 date; empty where no draft speaks."""
        valid = [item.status for item in self.status if item.watch and item.since <= date[:10]]
        return valid[-1] if valid else ""


@value
class HashFacts:
    """A hash, its output in bits and its collision strength in bits (None where the name is not in the table)."""

    name: str
    bits: int | None = None
    collision_bits: int | None = None


@functools.cache
def table() -> Mapping[str, Algorithm]:
    """Return the whole table by id, in the order of the file."""
    return {name: algorithm(name) for name in _raw()}


@functools.cache
def _raw() -> Mapping[str, Mapping[str, Any]]:
    return {item["id"]: item for item in _tables.read("algorithms")["algorithms"]}


@functools.cache
def _line(name: str) -> Algorithm:
    """Return one line of the table; most runs meet a few of them only."""
    sources = _tables.read("algorithms")["sources"]
    return _algorithm(_raw()[name], str(sources[_raw()[name]["source"]]["checked"]))


def _algorithm(raw: Mapping[str, Any], checked: str) -> Algorithm:
    plain = ("family", "problem", "bits", "strength", "collision_bits", "category", "quantum_resistant")
    return Algorithm(
        id=raw["id"],
        role=raw["role"],
        title=str(raw["title"]),
        also=tuple(raw.get("also", ())),
        oids=_oids(raw),
        aliases=tuple(str(alias) for alias in raw.get("aliases", ())),
        names={registry: tuple(str(text).split()) for registry, text in raw.get("names", {}).items()},
        terms=dict(raw.get("terms", {})),
        status=tuple(
            Status(
                since=str(item["from"]),
                status=item["status"],
                source=item["source"],
                watch=item.get("watch", False),
            )
            for item in raw["status"]
        ),
        source=raw["source"],
        checked=checked,
        **{name: raw[name] for name in plain if name in raw},
    )


def _oids(raw: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    oids = raw.get("oids", ())
    return tuple(oids.items()) if isinstance(oids, dict) else tuple((str(oid), "") for oid in oids)


@functools.cache
def _by_name() -> Mapping[str, str]:
    aliases = {str(alias).lower(): name for name, raw in _raw().items() for alias in raw.get("aliases", ())}
    return aliases | {name.lower(): name for name in _raw()}


def algorithm(name: str) -> Algorithm:
    """Return the line of an id or alias, in any case of letters.

    Raises:
        UnsupportedAlgorithmError: the table does not have it.
    """
    known = _by_name().get(name.lower())
    if known is None:
        raise UnsupportedAlgorithmError(f"the algorithm table has no {name!r}")
    return _line(known)


def known(name: str) -> bool:
    """Return whether the table has this id or alias."""
    return name.lower() in _by_name()


@functools.cache
def _by_oid() -> Mapping[tuple[str, str], tuple[str, str]]:
    return {
        (role, oid): (name, hash_name)
        for name, raw in _raw().items()
        for oid, hash_name in _oids(raw)
        for role in (raw["role"], *raw.get("also", ()))
    }


def by_oid(oid: str, role: str = "") -> Algorithm:
    """Return the line of a dotted object identifier; `role` tells apart the few that stand for two things.

    Raises:
        UnsupportedAlgorithmError: the table does not have it.
    """
    return algorithm(_find_oid(oid, role)[0])


def signature_by_oid(oid: str) -> tuple[Algorithm, str]:
    """Return the signature algorithm of an object identifier and the hash that it fixes (empty: none).

    Raises:
        UnsupportedAlgorithmError: the table does not have it.
    """
    name, hash_name = _find_oid(oid, "signature")
    return algorithm(name), hash_name


def _find_oid(oid: str, role: str) -> tuple[str, str]:
    roles = (role,) if role else ("hash", "signature", "mac", "cipher", "key-transport", "key")
    for each in roles:
        if (each, oid) in _by_oid():
            return _by_oid()[each, oid]
    raise UnsupportedAlgorithmError(f"the algorithm table has no object identifier {oid}")


def by_name(registry: str, value: str, role: str = "") -> Algorithm:
    """Return the line that a registry (`cose`, `tls`, `jose`, `mcuboot`, `pgp`, `openssl`) calls `value`.

    Raises:
        UnsupportedAlgorithmError: the table does not have it.
    """
    for item in table().values():
        if value.lower() in (name.lower() for name in item.names.get(registry, ())) and (
            not role or role in item.roles
        ):
            return item
    raise UnsupportedAlgorithmError(f"the algorithm table has no {registry} name {value!r}")


def hash_facts(name: str, bits: int | None = None) -> HashFacts:
    """Return output size and collision strength of a hash; `bits` is the kept length where it is truncated.

    The collision strength of a truncated digest is half of what is kept, at most (SP 800-107r1 5.1).
    """
    if not known(name) or algorithm(name).role != "hash":
        return HashFacts(name=name)
    item = algorithm(name)
    full, strength = item.bits or 0, item.collision_bits or 0
    kept = full if bits is None else min(bits, full)
    return HashFacts(name=item.id, bits=kept, collision_bits=min(strength, kept // 2))


def rsa_strength(bits: int) -> int:
    """Return the bits of security of an RSA, DSA or DH modulus (SP 800-57pt1r5 table 2).

    Between two lines of the table the lower one counts. Below 1024 bits the table gives no strength: 0.
    """
    return next((strength for least, strength in _MODULUS_STRENGTH if bits >= least), 0)


def key_strength(name: str, bits: int | None) -> int | None:
    """Return the bits of security of a key (SP 800-57pt1r5 table 2), or None where nothing is known.

    `name` is an id of the table (`rsa`, `ec-p256`, `ed25519`, `aes`, `hmac`, `ml-dsa-65` …), `bits` the key's size.
    """
    strength = algorithm(name).strength if known(name) else None
    if strength is not None:
        return strength
    if bits is None:
        return None
    if name in {"rsa", "dsa", "dh"}:
        return rsa_strength(bits)
    if name.startswith("ec"):
        return min(bits // 2, _MAX_STRENGTH)
    return min(bits, _MAX_STRENGTH) if name in {"aes", "hmac"} else None
