"""Requirements and rule sets as frozen types; how they are written is in docs/rules.md."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from checker.model.evidence import Value
from checker.model.terms import Method, Reading, Severity, Step, Tier


@dataclass(frozen=True, kw_only=True)
class Reference:
    """A document behind a requirement. `section` is printed only when `status` is V or S (criteria.md: citations)."""

    document: str
    section: str = ""
    status: str = "V"  # V the text was read, S seen second-hand, M from memory: section withheld from reports

    @property
    def checked_section(self) -> str:
        """Return the section, or nothing while nobody has read it there (criteria.md ruling 9.6)."""
        return self.section if self.status in ("V", "S") else ""

    def printable(self) -> str:
        """Return what a report may print: the document, and the section where somebody has checked it."""
        return f"{self.document} {self.checked_section}".rstrip()


@dataclass(frozen=True, kw_only=True)
class Requirement:
    """One yes/no question of one cell (criteria.md section 4).

    The `check`, `modern`, `applies_when` and `contradicted_by` trees are kept as parsed mappings; the room `rules`
    checks them when a rule set loads and evaluates them.
    """

    id: str
    step: Step
    tier: Tier
    title: str
    reading: str
    check: Mapping[str, Value] | None  # None: only a document or attestation can answer
    basis: str = "letter"  # letter | equivalent | effect
    method: Method = Method.TESTED  # the least method that counts as proved
    by_document: bool = False  # a policy criterion: a document with clause, quote and digest counts as proved
    max_age_days: int | None = None
    for_each: str = ""  # "target": judged per hardware target (DEP6)
    grouping: Mapping[str, Value] | None = None  # `for_each: {kind, where}`: judged once per artifact, log, key …
    blocking: bool = True  # False: advisory; a failure becomes an observation (R9)
    below_basic: bool = False  # a failure puts the whole row below Basic (R1)
    severity: Severity = Severity.MEDIUM  # of the observation, when not blocking
    replaces: tuple[str, ...] = ()  # ids of lower requirements that this one replaces (R2)
    applies_when: Mapping[str, Value] | None = None
    contradicted_by: Mapping[str, Value] | None = None
    modern: Mapping[str, Value] | None = None  # the check of the modern reading, where it differs
    fix: Mapping[str, str] = field(default_factory=dict)  # verdict -> text: fail, unknown, not_applicable
    effort: int = 2  # 1 (a setting) to 5 (new hardware), for ordering the fixes
    references: tuple[Reference, ...] = ()
    cases: Mapping[str, Value] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One of the 52 cells: the seed's words and what they point to."""

    step: Step
    tier: Tier
    table: str  # the table's words, "" for a blank
    slide: str  # the slide's words, "" where there is no slide
    by_reference: bool  # an arrow, a "see …" or a blank: inherits the nearest filled cell (R3)
    conflict: str = ""  # D1 … D20 where slide and table disagree
    ruling: str = ""


@dataclass(frozen=True, kw_only=True)
class Dependency:
    """A rule of criteria.md section 5: `step` cannot be at `tier` or above unless the condition holds.

    Exactly one of `needs_step`/`needs_tier` and `needs_requirement` is set; with neither, the entry documents which
    requirements carry the rule (`judged_by`).
    """

    id: str
    why: str
    step: Step | None = None
    tier: Tier | None = None
    needs_step: Step | None = None
    needs_tier: Tier | None = None
    needs_requirement: str = ""
    or_not_applicable: bool = False
    judged_by: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class RowRules:
    """A row of the table: its names, its ceiling, and what not-applicable means for the overall tier."""

    step: Step
    title: str
    description: str
    ceiling: Tier
    not_applicable: str = "never"  # never | excluded (left out of every minimum) | met (counts as met)
    security: bool = False  # one of the security rows of the second minimum


@dataclass(frozen=True, kw_only=True)
class CrosswalkEntry:
    """What a cell "also supports" (criteria.md section 6)."""

    step: Step
    tiers: tuple[Tier, ...]
    references: tuple[Reference, ...]


@dataclass(frozen=True, kw_only=True)
class ObservationRule:
    """What a report says of a weakness code, or of an advisory requirement that failed (R9)."""

    step: Step
    severity: Severity
    title: str
    fix: str = ""


@dataclass(frozen=True, kw_only=True)
class ProfileLine:
    """One demand of a profile: a check, and the clause that makes it."""

    id: str
    says: str
    check: Mapping[str, Value]
    level: str  # must | should
    reference: Reference


@dataclass(frozen=True, kw_only=True)
class Profile:
    """What a published guideline demands of an endpoint: RFC 9325, SP 800-52r2 and so on, as data."""

    id: str
    title: str
    source: Reference
    dated: str  # of the text, ISO 8601
    lines: tuple[ProfileLine, ...]


@dataclass(frozen=True, kw_only=True)
class RuleSet:
    """A whole rule set, with the digest of its files (SHA-256 over the sorted files)."""

    id: str
    title: str
    version: str
    digest: str
    rows: Mapping[Step, RowRules]
    cells: tuple[Cell, ...]
    requirements: tuple[Requirement, ...]
    dependencies: tuple[Dependency, ...]
    crosswalk: tuple[CrosswalkEntry, ...]
    tables: Mapping[str, Value]
    default_reading: Reading = Reading.LETTER
    observations: Mapping[str, ObservationRule] = field(default_factory=dict)  # by weakness code or requirement id
    profiles: Mapping[str, Profile] = field(default_factory=dict)
    grouped_kinds: Mapping[str, frozenset[str]] = field(default_factory=dict)  # group field -> kinds that have it
