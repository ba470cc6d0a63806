"""Closed vocabularies (design.md section 2). Their values are the words used in every file and report."""

from __future__ import annotations

from enum import StrEnum


class Step(StrEnum):
    """The 13 steps of an over-the-air update, in the order of the July 2017 table."""

    SIGN = "sign"
    PROTECT = "protect"
    SEND = "send"
    RECEIVE = "receive"
    CHECK = "check"
    ANNOUNCE = "announce"
    DISTRIBUTE = "distribute"
    PROCESS = "process"
    STAGE = "stage"
    APPLY = "apply"
    REVERIFY = "reverify"
    ACTIVATE = "activate"
    CLEANUP = "cleanup"

    @property
    def number(self) -> int:
        """Return the row number of the table, 1 to 13."""
        return list(Step).index(self) + 1


class Tier(StrEnum):
    """What a step has reached.

    `none` says that not even Basic is shown; `below-basic` says that the step does not do what its own name says
    (criteria.md R1). Both have rank 0, so that losing the evidence of a failure never looks like progress.
    """

    BELOW_BASIC = "below-basic"
    NONE = "none"
    BASIC = "basic"
    UPGRADED = "upgraded"
    ENHANCED = "enhanced"
    QUANTUM = "quantum"

    @property
    def rank(self) -> int:
        """Return 0 for `below-basic` and `none`, then 1 (Basic) to 4 (Quantum)."""
        return _RANKS[self]

    @property
    def label(self) -> str:
        """Return the table's own words: Basic, +1 Upgraded, +2 Enhanced, +3 Quantum."""
        return _LABELS[self]


CELL_TIERS = (Tier.BASIC, Tier.UPGRADED, Tier.ENHANCED, Tier.QUANTUM)
_RANKS = {Tier.BELOW_BASIC: 0, Tier.NONE: 0} | {tier: rank for rank, tier in enumerate(CELL_TIERS, 1)}
_LABELS = {
    Tier.BELOW_BASIC: "below Basic",
    Tier.NONE: "none",
    Tier.BASIC: "Basic",
    Tier.UPGRADED: "+1 Upgraded",
    Tier.ENHANCED: "+2 Enhanced",
    Tier.QUANTUM: "+3 Quantum",
}


class Method(StrEnum):
    """How a fact is known (NIST SP 800-53A: interview, examine, test), weakest first."""

    DECLARED = "declared"
    EXAMINED = "examined"
    TESTED = "tested"

    @property
    def rank(self) -> int:
        """Return 0 (declared) to 2 (tested)."""
        return list(Method).index(self)

    @property
    def mark(self) -> str:
        """Return the mark of the report's matrix."""
        return "○◐●"[self.rank]


class Party(StrEnum):
    """Who vouches for a fact (ISO/IEC 17000)."""

    FIRST = "first"
    SECOND = "second"
    THIRD = "third"


class Verdict(StrEnum):
    """The answer to one requirement (criteria.md R7)."""

    PASS = "pass"  # noqa: S105 - a verdict, not a password
    FAIL = "fail"
    UNKNOWN = "unknown"
    NOT_APPLICABLE = "not_applicable"


class Reason(StrEnum):
    """Why a verdict is not `pass`, or why a record is unavailable."""

    CONTRADICTED = "contradicted"  # evidence says the opposite: a plain failure
    MISSING_FIELD = "missing_field"
    MISSING_ARTIFACT = "missing_artifact"
    MISSING_RECORD = "missing_record"  # a record that was expected has vanished
    NOT_DECLARED = "not_declared"  # the description is silent
    NOT_RUN = "not_run"  # the probe exists or will exist, but did not run
    NOT_PERMITTED = "not_permitted"  # the probe did not run because the user did not allow it: --live, --active
    NO_KEY = "no_key"
    TOO_WEAK = "evidence_too_weak"  # known, but by a weaker method than the requirement asks for
    STALE = "stale"
    UNREADABLE = "unreadable"
    UNSUPPORTED_FORMAT = "unsupported_format"
    UNSUPPORTED_ALGORITHM = "unsupported_algorithm"
    TIMEOUT = "timeout"
    PROBE_FAILED = "probe_failed"
    TOO_FEW = "too_few"  # a sample smaller than the requirement needs (for example one device)
    INEXPRESSIBLE = "inexpressible"  # the format has no way to say it
    CONDITION_FALSE = "condition_false"  # only with `not_applicable`


class Reading(StrEnum):
    """How the table's words are read (criteria.md R8)."""

    LETTER = "letter"
    MODERN = "modern"


class Grade(StrEnum):
    """How much evidence counts: what is proved, and what is at least documented (criteria.md R6)."""

    PROVED = "proved"
    DOCUMENTED = "documented"


class Severity(StrEnum):
    """How bad an observation beyond the table is, mildest first."""

    INFO = "info"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        """Return 0 (info) to 4 (critical)."""
        return list(Severity).index(self)


class Outcome(StrEnum):
    """What is known of one signature (formats.md decision 6)."""

    VALID = "valid"
    INVALID = "invalid"
    KEY_UNKNOWN = "key_unknown"
    UNDECIDABLE = "undecidable"  # needs the decryption key first
    ABSENT = "absent"
