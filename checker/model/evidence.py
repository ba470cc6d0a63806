"""Evidence: typed records of facts, and the set that never loses one (design.md section 4)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from checker.model.subject import Subject
from checker.model.terms import Method, Party, Reason

Value = None | bool | int | str | Sequence["Value"] | Mapping[str, "Value"]


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Where a fact was seen, without any absolute path.

    `file` is the path as the description names it; `sha256` is the digest of that file's bytes; `pointer` is an
    offset (`0x1c0..0x200`), a JSON pointer, or `line:column`; `time` is RFC 3339 in UTC, where the source has one.
    """

    file: str = ""
    sha256: str = ""
    pointer: str = ""
    time: str = ""


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """One fact of one kind about one subject.

    `values` follows `schemas/evidence/<kind>.schema.json`. A record with `unavailable` set says why the fact is not
    known; it may still carry the values that are known beforehand (role, device, release, target, step …).
    """

    kind: str
    subject: Subject
    probe: str
    method: Method
    values: Mapping[str, Value] = field(default_factory=dict)
    party: Party = Party.FIRST
    origin: Origin = Origin()
    unavailable: Reason | None = None
    explanation: str = ""

    def __post_init__(self) -> None:
        if self.unavailable is not None and not self.explanation:
            msg = f"an unavailable {self.kind} record needs an explanation"
            raise ValueError(msg)


@dataclass(frozen=True, kw_only=True, order=True)
class Slot:
    """One place of the grid: so many records of this kind are expected about this subject."""

    kind: str
    subject: Subject


@dataclass(frozen=True, kw_only=True)
class Expectation:
    """What must be there: the least number of records, and the values known before any probe ran."""

    slot: Slot
    count: int = 1
    values: Mapping[str, Value] = field(default_factory=dict)
    reason: Reason = Reason.NOT_RUN
    explanation: str = "the probe for this kind of evidence did not run"


@dataclass(frozen=True)
class EvidenceSet:
    """All records of one run and the grid that they must fill.

    `records` are completed on construction: a slot with fewer records than expected gets `unavailable` ones, so a
    vanished record is always visible to the judge. Records are kept in a canonical order, so order never matters.
    """

    expectations: tuple[Expectation, ...]
    records: tuple[Evidence, ...]

    @classmethod
    def complete(cls, expectations: Iterable[Expectation], records: Iterable[Evidence]) -> EvidenceSet:
        """Return the set with every gap of the grid filled by an `unavailable` record."""
        grid = tuple(sorted(expectations, key=lambda item: item.slot))
        have = list(records)
        counts: dict[Slot, int] = {}
        for record in have:
            slot = Slot(kind=record.kind, subject=record.subject)
            counts[slot] = counts.get(slot, 0) + 1
        for item in grid:
            missing = item.count - counts.get(item.slot, 0)
            have += [_blank(item) for _ in range(missing)]
        return cls(grid, tuple(sorted(have, key=canonical)))

    def without(self, index: int) -> EvidenceSet:
        """Return the set that a run would give in which record `index` had been lost on the way."""
        rest = self.records[:index] + self.records[index + 1 :]
        counts: dict[Slot, Expectation] = {item.slot: item for item in self.expectations}
        lost = self.records[index]
        slot = Slot(kind=lost.kind, subject=lost.subject)
        seen = sum((r.kind, r.subject) == (lost.kind, lost.subject) for r in self.records)
        known = counts.get(slot, Expectation(slot=slot))
        counts[slot] = replace(
            known,
            count=seen,
            reason=Reason.MISSING_RECORD,
            explanation="the record is missing from the evidence",
        )
        return EvidenceSet.complete(counts.values(), rest)

    def of(self, kind: str) -> tuple[Evidence, ...]:
        """Return the records of one kind, in canonical order."""
        return tuple(record for record in self.records if record.kind == kind)


def _blank(item: Expectation) -> Evidence:
    return Evidence(
        kind=item.slot.kind,
        subject=item.slot.subject,
        probe="grid",
        method=Method.DECLARED,
        values=item.values,
        unavailable=item.reason,
        explanation=item.explanation,
    )


def canonical(record: Evidence) -> tuple[str, ...]:
    """Return a sort key that depends on nothing but the record's content."""
    return (
        record.kind,
        str(record.subject),
        record.origin.file,
        record.origin.pointer,
        _text(record.values),
        record.method,
        str(record.unavailable),
    )


def _text(value: Value) -> str:
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{key}:{_text(value[key])}" for key in sorted(value)) + "}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "[" + ",".join(_text(item) for item in value) + "]"
    return repr(value)
