"""What a probe is: one module with `PROBE = Probe(…)`. A probe states facts; it never names a tier, rule or severity.

A probe is handed everything that it may look at, and returns evidence. It does not catch its own surprises: the runner
turns an exception into `unavailable: probe_failed` records for the probe's kinds, and goes on with the other probes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from checker.crypto.attestations.contract import Statement
from checker.crypto.keyring import KeyRing
from checker.description.model import ArtifactRef, AttestationRef, Description, Endpoint
from checker.io.files import Files
from checker.model.artifact import Artifact
from checker.model.endpoint import EndpointFacts
from checker.model.evidence import Evidence, Expectation


@dataclass(frozen=True, kw_only=True)
class Opened:
    """One artifact of the description and what came of opening it: an `Artifact`, or an error text."""

    ref: ArtifactRef
    artifact: Artifact | None
    error: str = ""
    reason: str = ""  # a value of `Reason`, when `artifact` is None


@dataclass(frozen=True, kw_only=True)
class Examined:
    """One endpoint of the description and what it showed, or why it was not examined."""

    ref: Endpoint
    facts: EndpointFacts | None
    error: str = ""
    reason: str = ""  # a value of `Reason`, when `facts` is None
    recorded: bool = False  # read from somebody's record, not seen by this run


@dataclass(frozen=True, kw_only=True)
class Attested:
    """One attestation of the description and what it says, or why it could not be checked."""

    ref: AttestationRef
    kind: str = ""
    statement: Statement | None = None
    sha256: str = ""
    error: str = ""
    reason: str = ""  # a value of `Reason`, when `statement` is None


@dataclass(frozen=True, kw_only=True)
class Context:
    """Everything that a probe may look at. `live` and `active` say what the user allowed."""

    description: Description
    opened: tuple[Opened, ...]
    keys: KeyRing
    files: Files
    as_of: str
    examined: tuple[Examined, ...] = ()  # empty without `live`, or without a record
    attested: tuple[Attested, ...] = ()
    live: bool = False
    active: bool = False
    trial_seconds: float = 30  # that one process of an active test may take
    note: Callable[[str], None] = lambda _: None  # told what takes long; goes to the user, never into evidence


@dataclass(frozen=True, kw_only=True)
class Probe:
    """A plug-in. `expects` states, before anything runs, which records the probe owes for a description.

    `kinds` are those that it owns, one probe each; it may add records of others.
    """

    id: str
    title: str
    kinds: tuple[str, ...]
    expects: Callable[[Description], Iterable[Expectation]]
    run: Callable[[Context], Iterable[Evidence]]
    requires: str = ""  # "" | "live" | "active": without the permission its records stay `not_permitted`
