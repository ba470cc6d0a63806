"""Keys: every key that was seen at work, met with the key inventory (criteria.md KM3 to KM7, KM9).

Seen are the keys of signers and their issuers, of recipients, of signed logs, and of TLS clients that the description
names. What an artifact shows of a key (who it is, what it does) and what the inventory says of it stand in one record.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from checker.crypto.algorithms import algorithm
from checker.crypto.algorithms import known as in_table
from checker.description.model import Description, InventoryKey
from checker.model.artifact import Artifact, AuthKind, KeyFacts, Signature
from checker.model.evidence import Evidence, Expectation, Value
from checker.model.subject import Subject, SubjectKind
from checker.model.terms import Method, Outcome, Reason, Step
from checker.probes import _facts, _keyfiles
from checker.probes._records import expect, fact, gap, update_subject
from checker.probes.contract import Context, Opened, Probe

_PROBE: Final = "keys"
_ROTATING: Final = (Step.SIGN, Step.PROTECT)
_REQUIRED: Final = (
    "type",
    "algorithm",
    "size",
    "purposes",
    "owner",
    "created",
    "activated",
    "expires",
    "state",
    "storage",
    "module_certificate",
)
_SAME_ROLE: Final = {
    "firmware-signing": "image-signing",
    "code-signing": "image-signing",
    "key-transport": "key-wrapping",
    "key-agreement": "key-wrapping",
    "tls-client": "device-identity",
    "tls-server": "tls",
}


@dataclass
class _Seen:
    """One key, with everything that it was seen to do."""

    facts: KeyFacts
    rows: set[str] = field(default_factory=set)
    roles: set[str] = field(default_factory=set)
    times: set[str] = field(default_factory=set)  # of signatures that are valid
    undated: bool = False  # something was made with it at an unknown time
    verified: bool = False  # it verified or unwrapped something here


class _Book:
    """All keys by id."""

    def __init__(self) -> None:
        self.keys: dict[str, _Seen] = {}

    def note(self, facts: KeyFacts, row: str, role: str, *, time: str | None = None, verified: bool = False) -> None:
        """Write down one use of a key; `time` is empty where its time is not known, None where it made nothing."""
        name = facts.id or facts.name
        if not name:
            return
        seen = self.keys.setdefault(name, _Seen(facts))
        if facts.declared and not seen.facts.declared:
            seen.facts = facts
        seen.rows |= {row} if row else set()
        seen.roles.add(role)
        seen.verified |= verified
        if time:
            seen.times.add(time)
        seen.undated |= time == ""


def _expects(description: Description) -> Iterator[Expectation]:
    # Which keys there are is known only when the artifacts are open, so this slot may stay empty.
    yield expect("key", update_subject(description), count=0)
    for row in _ROTATING:
        yield expect("rotation", _step(row), values={"row": row.value})


def _step(row: Step) -> Subject:
    return Subject(kind=SubjectKind.STEP, id=row.value)


def _run(context: Context) -> Iterator[Evidence]:
    description = context.description
    book = _book(context)
    listed = _Inventory(context)
    for name, seen in sorted(book.keys.items()):
        yield _record(context, name, seen, listed)
    faults = _keyfiles.faults(description, context.files)
    for fault in faults:
        subject = Subject(kind=SubjectKind.KEY, id=fault.path)
        values: dict[str, Value] = {"rows": fault.rows}
        yield gap(_PROBE, "key", subject, Reason.UNREADABLE, f"{fault.path}: {fault.message}", values=values)
    if not book.keys and not faults:
        text = "no key was seen: no artifact names one"
        yield gap(_PROBE, "key", update_subject(description), Reason.NOT_DECLARED, text)
    for row in _ROTATING:
        yield _rotation(context, row, listed)


# What was seen


def _book(context: Context) -> _Book:
    book = _Book()
    for opened in context.opened:
        if opened.artifact is not None:
            for place, artifact in enumerate(opened.artifact.walk()):
                _note_artifact(book, artifact, outer=place == 0)
    for facts in (key.facts for key in _keyfiles.log_keys(context.description, context.files)):
        book.note(facts, Step.CLEANUP.value, "log-signing")
    for facts in _keyfiles.client_keys(context.description, context.files):
        book.note(facts, Step.SEND.value, "device-identity")
    for item in context.examined:
        for certificate in item.facts.chain.sent[:1] if item.facts else ():
            book.note(certificate.key, item.ref.step.value, "tls", time="", verified=True)
    for name in _keyfiles.transport_ids(context.description, context.files):
        if name in book.keys and "device-identity" not in book.keys[name].roles:
            book.keys[name].roles.add("tls")
    return book


def _note_artifact(book: _Book, artifact: Artifact, *, outer: bool) -> None:
    row = Step.SIGN.value if outer else Step.PROCESS.value
    for signature in artifact.signatures:
        if signature.outcome is not Outcome.ABSENT and signature.kind is not AuthKind.DIGEST:
            _note_signature(book, signature, row)
    row = Step.PROTECT.value if outer else Step.PROCESS.value
    for recipient in artifact.recipients:
        book.note(recipient.key, row, "key-wrapping", time="", verified=recipient.unwrapped is True)


def _note_signature(book: _Book, signature: Signature, row: str) -> None:
    valid = signature.outcome is Outcome.VALID
    book.note(signature.key, row, "image-signing", time=signature.signing_time, verified=valid)
    chain = signature.chain
    if chain is None:
        return
    for facts, position in zip(chain.certificates, _facts.positions(chain), strict=True):
        # The row's keys are those of its signatures (criteria.md 3.2); issuers and anchors are a matter of PK1 to PK9.
        role = {"intermediate": "certification", "anchor": "trust-anchor"}.get(position)
        if role:
            book.note(facts.key, "", role, verified=chain.valid is True)


# The inventory


class _Inventory:
    """The key inventory, by every id that a key may be known under."""

    def __init__(self, context: Context) -> None:
        self.given = context.description.device.keys is not None
        self.records: dict[str, InventoryKey] = {}
        for item in context.description.device.keys or ():
            for name in (item.id, item.format_id, item.spki_sha256.lower()):
                if name:
                    self.records.setdefault(name, item)
        for item, key in _keyfiles.inventory_keys(context.description, context.files):
            self.records.setdefault(key.facts.id, item)

    def find(self, facts: KeyFacts) -> InventoryKey | None:
        """Return the record of a key: by its own id first, else by the id that the format or description gives it."""
        return self.records.get(facts.id) or self.records.get(facts.name)


def _record(context: Context, name: str, seen: _Seen, listed: _Inventory) -> Evidence:
    item = listed.find(seen.facts)
    values: dict[str, Value] = {
        "key": name,
        "rows": tuple(sorted(seen.rows)),
        "roles": tuple(sorted(_roles(seen, item))),
        "single_purpose": len(_roles(seen, item)) == 1,
        "algorithm": seen.facts.algorithm or None,
        "bits": seen.facts.bits,
        "strength_bits": seen.facts.strength,
        "published": seen.facts.published,
        "in_inventory": item is not None if listed.given else None,
        **(_inventory_values(item, seen, context.as_of) if item else {}),
    }
    method = Method.TESTED if seen.verified else Method.EXAMINED
    return fact(_PROBE, "key", Subject(kind=SubjectKind.KEY, id=name), values, method=method)


def _roles(seen: _Seen, item: InventoryKey | None) -> set[str]:
    """Return what a key is for: as seen, and for keys of the artifacts' makers also as the inventory says."""
    said = {_SAME_ROLE.get(purpose, purpose) for purpose in item.purposes} if item else set()
    return seen.roles if seen.roles & {"certification", "trust-anchor"} else seen.roles | said


def _inventory_values(item: InventoryKey, seen: _Seen, as_of: str) -> dict[str, Value]:
    missing = (*(name for name in _REQUIRED if not getattr(item, name)), *_disagreements(item, seen.facts))
    return {
        "inventory_complete": not missing,
        "missing_fields": missing,
        "type": item.type or None,
        "cryptoperiod_days": _facts.days(item.activated, item.expires),
        "override": bool(item.cryptoperiod_override),
        "state": item.state or None,
        "active_at_use": _active(item, seen, as_of),
        "storage": item.storage or None,
        "module_certificate": item.module_certificate or None,
    }


def _disagreements(item: InventoryKey, facts: KeyFacts) -> Iterator[str]:
    """Yield fields in which the inventory and the key itself differ: such a record is not of this key."""
    if item.size and facts.bits and item.size != facts.bits:
        yield f"size (says {item.size}, is {facts.bits})"
    if item.algorithm and in_table(item.algorithm) and in_table(facts.algorithm):
        said, real = algorithm(item.algorithm), algorithm(facts.algorithm)
        if said.id != real.id and "key" in said.roles and "key" in real.roles:
            yield f"algorithm (says {item.algorithm}, is {facts.algorithm})"


def _active(item: InventoryKey, seen: _Seen, as_of: str) -> bool | None:
    """Return KM6 over all uses; None where a use has no time or the inventory no state.

    A key that is compromised was not trustworthy at any time that an artifact states, since whoever has it can state
    any time.
    """
    if item.state in {"compromised", "pre-active"}:
        return False
    answers = {_active_at(item, time) for time in seen.times}
    if seen.undated:
        # Made at an unknown time before the assessment: only a key that is active now is known to have been active.
        answers.add(_active_at(item, as_of) or None)
    if False in answers:
        return False
    return True if answers == {True} else None


def _active_at(item: InventoryKey, time: str) -> bool | None:
    now, start, end = (_facts.moment(text) for text in (time, item.activated, item.expires))
    if now is None or start is None or end is None or not item.state:
        return None
    if not start <= now <= end:
        return False
    if item.state == "active":
        return True
    since = _facts.moment(item.state_since)
    return None if since is None else now < since


# Rotation


def _rotation(context: Context, row: Step, listed: _Inventory) -> Evidence:
    """Return KM7 for a row: the keys of the current release against those of the one before."""
    used = {release: _used(context.opened, row, release) for release in ("previous", "current")}
    releases = sum(bool(keys) for keys in used.values())
    values: dict[str, Value] = {"row": row.value, "releases": releases}
    if releases < 2:  # noqa: PLR2004 - a change needs two
        text = "fewer than two releases (previous and current) with known keys were given"
        return gap(_PROBE, "rotation", _step(row), Reason.TOO_FEW, text, values=values)
    before, now = used["previous"], used["current"]
    values["rotated"] = bool(set(now) - set(before))
    if values["rotated"]:
        values["in_inventory_order"] = _in_order(before, now, listed)
    return fact(_PROBE, "rotation", _step(row), values)


def _used(opened: Sequence[Opened], row: Step, release: str) -> Mapping[str, KeyFacts]:
    """Return the keys that made a release's deliverables, by id."""
    artifacts = [item.artifact for item in opened if item.artifact and item.ref.release == release and _delivered(item)]
    if row is Step.SIGN:
        valid = (s for artifact in artifacts for s in artifact.signatures if s.outcome is Outcome.VALID)
        return _by_id(signature.key for signature in valid)
    return _by_id(recipient.key for artifact in artifacts for recipient in artifact.recipients)


def _delivered(item: Opened) -> bool:
    return item.ref.role == "deliverable"


def _by_id(keys: Iterable[KeyFacts]) -> Mapping[str, KeyFacts]:
    return {facts.id: facts for facts in keys if facts.id}


def _in_order(before: Mapping[str, KeyFacts], now: Mapping[str, KeyFacts], listed: _Inventory) -> bool | None:
    """Return whether every new key came into use after every key that it follows, as the inventory dates them."""
    if not listed.given:
        return None
    old = [listed.find(facts) for name, facts in before.items() if name not in now]
    new = [listed.find(facts) for name, facts in now.items() if name not in before]
    if None in old or None in new:
        return False
    starts = [[_facts.moment(item.activated) for item in items if item] for items in (old, new)]
    if any(start is None for group in starts for start in group):
        return None
    ends, begins = [s for s in starts[0] if s], [s for s in starts[1] if s]
    return not ends or not begins or max(ends) < min(begins)


PROBE = Probe(id=_PROBE, title="Keys and the key inventory", kinds=("key", "rotation"), expects=_expects, run=_run)
