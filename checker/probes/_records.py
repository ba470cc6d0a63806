"""What probes share: subjects by the same names as in the grid, and records that leave out what is not known."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from checker.description.model import ArtifactRef, Description, FileRef, LogRef
from checker.model.evidence import Evidence, Expectation, Origin, Slot, Value
from checker.model.subject import Subject, SubjectKind
from checker.model.terms import Method, Party, Reason

_ABSOLUTE: Final = re.compile(r"(?<![\w./])/(?:[^\s/:'\"]+/)+(?=[^\s/:'\"])")
_LONGEST: Final = 300  # characters of a foreign text that go into an explanation


def update_subject(description: Description) -> Subject:
    """Return the update as a whole."""
    return Subject(kind=SubjectKind.UPDATE, id=description.id)


def artifact_subject(ref: ArtifactRef, member: str = "") -> Subject:
    """Return an artifact of the description, or a member of it (`gw/rootfs`)."""
    return Subject(kind=SubjectKind.ARTIFACT, id=f"{ref.id}/{member}" if member else ref.id)


def log_subject(ref: LogRef) -> Subject:
    """Return an update log: logs have no id of their own, their path names them."""
    return Subject(kind=SubjectKind.LOG, id=ref.file.path)


def known(values: Mapping[str, Value]) -> dict[str, Value]:
    """Return the values without those that are None: what is not known is missing, never false."""
    return {key: value for key, value in values.items() if value is not None}


def fact(
    probe: str,
    kind: str,
    subject: Subject,
    values: Mapping[str, Value],
    *,
    method: Method = Method.TESTED,
    party: Party = Party.FIRST,
    origin: Origin = Origin(),  # noqa: B008 - frozen
) -> Evidence:
    """Return a record; values that are None are left out."""
    kept = known(values)
    return Evidence(kind=kind, subject=subject, probe=probe, method=method, values=kept, party=party, origin=origin)


def gap(
    probe: str,
    kind: str,
    subject: Subject,
    reason: Reason,
    explanation: str,
    *,
    values: Mapping[str, Value] | None = None,
    origin: Origin = Origin(),  # noqa: B008 - frozen
) -> Evidence:
    """Return a record of something that is not known, with the reason and the values known beforehand."""
    return Evidence(
        kind=kind,
        subject=subject,
        probe=probe,
        method=Method.DECLARED,
        values=known(values or {}),
        origin=origin,
        unavailable=reason,
        explanation=one_line(explanation) or "no explanation was given",
    )


def expect(
    kind: str,
    subject: Subject,
    *,
    values: Mapping[str, Value] | None = None,
    count: int = 1,
    reason: Reason = Reason.NOT_RUN,
    explanation: str = "the probe for this kind of evidence did not run",
) -> Expectation:
    """Return a slot of the grid with the values known before anything ran."""
    slot = Slot(kind=kind, subject=subject)
    return Expectation(slot=slot, count=count, values=known(values or {}), reason=reason, explanation=explanation)


def undeclared(kind: str, description: Description, what: str) -> Expectation:
    """Return the slot of a kind whose subject the description does not name."""
    text = f"the description names no {what}"
    return expect(kind, update_subject(description), reason=Reason.NOT_DECLARED, explanation=text)


def one_line(text: str) -> str:
    """Return the first line of a text, bounded, with the folders of absolute paths removed."""
    first = text.strip().splitlines()[0] if text.strip() else ""
    cleaned = _ABSOLUTE.sub("", first)
    return cleaned if len(cleaned) <= _LONGEST else cleaned[: _LONGEST - 1] + "…"


def path_of(ref: FileRef) -> str:
    """Return the path that `Files` opens: the description's loader makes every path relative to the update's folder."""
    return ref.path
