"""The result of one run: tiers per row, what blocks the next tier, observations, and the gate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from checker.model.artifact import Artifact
from checker.model.endpoint import EndpointFacts
from checker.model.evidence import EvidenceSet, Origin
from checker.model.finding import Finding
from checker.model.requirement import RuleSet
from checker.model.terms import Grade, Reading, Severity, Step, Tier, Verdict


@dataclass(frozen=True, kw_only=True)
class Fix:
    """One thing to do: what it lifts, and how."""

    requirement: str
    step: Step
    verdict: Verdict  # fail or unknown
    text: str
    effort: int
    later: bool = False  # no probe of this run could answer it: there is none yet, or it was not allowed to run


@dataclass(frozen=True, kw_only=True)
class Row:
    """One step of the table, judged.

    `tiers` has an entry per grade and reading. `claimed` is None when the description claims nothing. `blocked_by`
    lists the requirement ids that keep the row (proved, chosen reading) from `next_tier`; `capped_by` the dependencies
    that do.
    """

    step: Step
    tiers: Mapping[tuple[Grade, Reading], Tier]
    claimed: Tier | None
    ceiling: Tier
    not_applicable: str = ""  # the written reason
    next_tier: Tier | None = None  # None at the ceiling
    blocked_by: tuple[str, ...] = ()
    capped_by: tuple[str, ...] = ()
    fixes: tuple[Fix, ...] = ()
    per_target: Mapping[str, Tier] = field(default_factory=dict)
    contradiction: str = ""  # a claim that evidence refutes
    letter_only: bool = False  # a higher tier is met by the letter, not in effect (R8)

    def tier(self, grade: Grade = Grade.PROVED, reading: Reading = Reading.LETTER) -> Tier:
        """Return the tier under a grade and a reading."""
        return self.tiers[grade, reading]


@dataclass(frozen=True, kw_only=True)
class Observation:
    """Something beyond the table (R9), with a severity and the step it belongs to."""

    code: str
    severity: Severity
    step: Step
    message: str
    subject: str
    origin: Origin = field(default_factory=Origin)
    requirement: str = ""
    fix: str = ""


@dataclass(frozen=True, kw_only=True)
class Counts:
    """How many requirements have which verdict (proved, chosen reading). The four numbers add up to `asked`.

    The numbers are those of the requirements that a tier needs; `advisory` counts the others, which hold none back.
    """

    passed: int
    failed: int
    unknown: int
    not_applicable: int
    advisory: Counts | None = None

    @property
    def asked(self) -> int:
        """Return how many requirements were judged."""
        return self.passed + self.failed + self.unknown + self.not_applicable


@dataclass(frozen=True, kw_only=True)
class GateItem:
    """One demand of the gate: `step` must have proved `tier`."""

    step: Step
    tier: Tier
    verdict: Verdict
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class GateResult:
    """Whether the gate is met: `pass`, `fail`, or `unknown` when nothing failed but something is not shown."""

    verdict: Verdict
    items: tuple[GateItem, ...]
    blocking_observations: tuple[Observation, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Identity:
    """What was assessed, as the first page of a report names it."""

    vendor: str
    model: str
    update: str
    version: str
    device_id: str = ""
    support_until: str = ""
    artifacts: tuple[tuple[str, str, int, str], ...] = ()  # (file, format, bytes, SHA-256)


@dataclass(frozen=True, kw_only=True)
class Assessment:
    """Everything that a report may say. Renderers add nothing to it."""

    identity: Identity
    as_of: str  # RFC 3339, UTC
    reading: Reading
    tool_version: str
    rules: RuleSet
    rows: tuple[Row, ...]
    findings: tuple[Finding, ...]
    observations: tuple[Observation, ...]
    overall: Tier
    overall_security: Tier
    counts: Counts
    gate: GateResult
    evidence: EvidenceSet
    artifacts: tuple[Artifact, ...] = ()
    endpoints: tuple[EndpointFacts, ...] = ()  # what endpoints showed, with every transcript
    excluded: tuple[Step, ...] = ()  # rows left out of every minimum
    next_fixes: tuple[Fix, ...] = ()  # the shortest list that lifts the overall tier
    send_endpoint: str = "device"
