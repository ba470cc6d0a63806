"""Update logs: what happened, in which order, and whether it agrees with the artifact (criteria.md DEP8, DEP10, DEP11).

How a log is known decides how much it says. Signed by a declared key, or whole as a hash chain, its events are tested;
otherwise they are examined. A chain that nobody signed and nobody else keeps could be written anew as a whole: the
`log` record says so, and the rule set's CLEAN-LOG-ANCHOR tells the reader. A log whose signature or chain is broken, or
that tells of days after the evaluation, says nothing: its events are unavailable.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any, Final

from checker.crypto.keys import PublicKey
from checker.description.model import Description, LogRef
from checker.errors import OtauditError
from checker.io.checksums import CATALOGUE, resolve
from checker.io.digests import digest
from checker.io.limits import MAX_LOG
from checker.model.artifact import Inexpressible
from checker.model.evidence import Evidence, Expectation, Origin, Value
from checker.model.terms import Method, Reason, Step
from checker.probes import _dsse, _facts, _keyfiles, _order, _tags
from checker.probes._events import Event, LogText, read, strict_json
from checker.probes._installed import Bytes, Range, resistant, same_hex, signed_with
from checker.probes._records import expect, fact, gap, log_subject, one_line, path_of, undeclared
from checker.probes.artifact import same_version
from checker.probes.contract import Context, Opened, Probe

_PROBE: Final = "log"
_KINDS: Final = ("log", "log_event", "log_order", "reverification", "persistence")
_NEEDS: Final[Mapping[str, tuple[str, ...]]] = {
    "announced": ("audience", "content"),
    "approved": ("audience", "result"),
    "endpoint_verified": ("result",),
    "precondition_checked": ("name", "result"),
    "downloaded": ("digest", "result"),
    "signature_checked": ("result",),
    "decrypted": ("key_id", "result"),
    "distributed": ("target", "result"),
    "staged": ("result",),
    "applied": ("to_version", "result"),
    "reverified": ("hash", "result"),
    "activated": ("to_version", "result"),
    "notified": ("audience", "result"),
    "reported": ("device", "update", "from_version", "to_version", "result"),
    "cleaned_up": ("leftovers", "result"),
    "refused": ("reason",),
    "rolled_back": ("reason", "to_version"),
}
_STEPS: Final[Mapping[str, Step]] = {
    "announced": Step.ANNOUNCE,
    "approved": Step.ANNOUNCE,
    "endpoint_verified": Step.SEND,
    "precondition_checked": Step.STAGE,
    "downloaded": Step.RECEIVE,
    "signature_checked": Step.CHECK,
    "decrypted": Step.CHECK,
    "distributed": Step.DISTRIBUTE,
    "staged": Step.STAGE,
    "applied": Step.APPLY,
    "reverified": Step.REVERIFY,
    "activated": Step.ACTIVATE,
    "notified": Step.CLEANUP,
    "reported": Step.CLEANUP,
    "cleaned_up": Step.CLEANUP,
    "refused": Step.CHECK,
    "rolled_back": Step.CLEANUP,
}
_COPIED: Final = (
    "time",
    "result",
    "channel",
    "tls_version",
    "from_version",
    "to_version",
    "audience",
    "content",
    "encrypted_link",
    "key_id",
    "local_notice",
    "leftovers",
    "name",
)
_OTHER_CHECKSUMS: Final = {"adler-32": 32, "fletcher-16": 16, "fletcher-32": 32, "sum-8": 8, "sum-16": 16, "xor-8": 8}


def _before(ref: LogRef) -> dict[str, Value]:
    return {"log": ref.file.path, "device": ref.device or None, "release": ref.release}


def _expects(description: Description) -> Iterator[Expectation]:
    for ref in description.logs:
        for kind in _KINDS:
            values = _before(ref) if kind != "persistence" else {"log": ref.file.path, "device": ref.device or None}
            yield expect(kind, log_subject(ref), values=values)
    if not description.logs:
        for kind in _KINDS:
            yield undeclared(kind, description, "update log")


def _run(context: Context) -> Iterator[Evidence]:
    keys = _keyfiles.log_keys(context.description, context.files) if context.description.logs else ()
    for ref in context.description.logs:
        yield from _one(context, ref, keys)


def _one(context: Context, ref: LogRef, keys: Sequence[PublicKey]) -> Iterator[Evidence]:
    try:
        raw = context.files.read(path_of(ref.file), MAX_LOG)
        trust = _authenticated(context, ref, raw, keys)
    except (OtauditError, ValueError) as error:
        for kind in _KINDS:
            yield _gap(ref, kind, Reason.UNREADABLE, f"{ref.file.path}: {one_line(str(error))}")
        return
    yield from _Log(context, ref, trust).records()


# Is the log what its device wrote?


@dataclass(frozen=True, kw_only=True)
class _Trust:
    """A log's text and how far it can be believed. `broken` says what is wrong with it, if anything is."""

    text: LogText
    sha256: str
    signed: bool
    chained: bool
    broken: str = ""

    @property
    def method(self) -> Method:
        """Return how its events are known."""
        return Method.TESTED if (self.signed or self.chained) and not self.broken else Method.EXAMINED


def _authenticated(context: Context, ref: LogRef, raw: bytes, keys: Sequence[PublicKey]) -> _Trust:
    sha256 = digest("sha-256", raw).hex()
    body, signed, broken = raw, False, ""
    if ref.signature is not None:
        envelope = strict_json(context.files.read(path_of(ref.signature), 2 * MAX_LOG))
        opened = _dsse.open_envelope(envelope, _dsse.LOG_TYPE, keys)
        signed, broken = _verdict(opened, keys, same=opened.payload == raw)
    elif _is_envelope(raw):
        opened = _dsse.open_envelope(strict_json(raw), _dsse.LOG_TYPE, keys)
        body = opened.payload
        signed, broken = _verdict(opened, keys, same=True)
    text = read(ref.file.path, body)
    if text.envelope is not None and not signed:
        signed, broken = _head(text, keys)
    if text.chained is False:
        broken = broken or "the hash chain is broken: a line does not name the line before it"
    broken = broken or _too_late(text, context.as_of)
    return _Trust(text=text, sha256=sha256, signed=signed, chained=text.chained is True, broken=broken)


def _too_late(text: LogText, as_of: str) -> str:
    """Return what is wrong with a log that tells of a day which has not come yet at the evaluation time (in UTC)."""
    today = datetime.fromisoformat(as_of).astimezone(UTC).date()
    late = next((event for event in text.events if event.day > today), None)
    return f"line {late.line} tells of {late.text('time')}, after the evaluation time {as_of}" if late else ""


def _is_envelope(raw: bytes) -> bool:
    """Return whether a file is one DSSE envelope over the whole log, and not a log of many lines."""
    if raw.lstrip()[:1] != b"{" or b'"payloadType"' not in raw:
        return False
    try:
        return strict_json(raw).get("payloadType") == _dsse.LOG_TYPE
    except ValueError:
        return False


def _verdict(opened: _dsse.Opened, keys: Sequence[PublicKey], *, same: bool) -> tuple[bool, str]:
    """Return whether an envelope signs the log, and what is broken about it if it does not."""
    if not same:
        return False, "the signed log is not the log that was given"
    if opened.key is None:
        return False, "the signature is not valid under any declared log key" if keys else ""
    return True, ""


def _head(text: LogText, keys: Sequence[PublicKey]) -> tuple[bool, str]:
    """Return whether the last line signs the head of a whole hash chain."""
    opened = _dsse.open_envelope(text.envelope or {}, _dsse.HEAD_TYPE, keys)
    said = strict_json(opened.payload)
    same = said.get("head") == text.head and said.get("events") == len(text.events)
    signed, broken = _verdict(opened, keys, same=same)
    return signed and text.chained is True, broken


def _gap(
    ref: LogRef, kind: str, reason: Reason, text: str, values: Mapping[str, Value] | None = None, line: int = 0
) -> Evidence:
    known = _before(ref) if kind != "persistence" else {"log": ref.file.path, "device": ref.device or None}
    origin = Origin(file=ref.file.path, pointer=str(line) if line else "")
    return gap(_PROBE, kind, log_subject(ref), reason, text, values=known | dict(values or {}), origin=origin)


# What the log says


class _Log:
    """One log, met with the artifacts of its device and release."""

    def __init__(self, context: Context, ref: LogRef, trust: _Trust) -> None:
        self.context, self.ref, self.trust = context, ref, trust
        self.opened = tuple(item for item in context.opened if _same(item, ref))
        self.bytes = Bytes.of(context.description, context.files, self.opened)
        targets = tuple(target.id for target in context.description.device.targets)
        self.alone = len(targets) <= 1
        self.targets = targets
        self.mixed = bool({event.text("update") for event in trust.text.events} - {"", context.description.id})
        self.steps = tuple(
            _order.Step(event=event, target=self.target_of(event)) for event in trust.text.events if self.mine(event)
        )
        self.matches = self.artifact_matches()

    def mine(self, event: Event) -> bool:
        """Return whether an event is about the update (DEP11), on the device that the log was given for.

        One that names no update is taken for it, unless other events of the log name other updates.
        """
        if self.device_matches(event) is False:
            return False
        said, update = event.text("update"), self.context.description.id
        if self.ref.release != "current":
            return said != update
        return said == update or not (said or self.mixed)

    def about(self, event: Event | None) -> bool | None:
        """Return whether an event, or the log as a whole, is about the artifact."""
        if event is None or self.mine(event) or not self.matches:
            return self.matches
        return False if event.text("update") else None

    def target_of(self, event: Event) -> str:
        """Return the hardware target of an event: as it says, the only one, or that of the image that it names."""
        said = event.text("target") or (self.targets[0] if len(self.targets) == 1 else "")
        if said or not event.text("image"):
            return said
        found = {item.target for item in self.bytes.images if item.image == event.text("image")}
        return found.pop() if len(found) == 1 else ""

    def records(self) -> Iterator[Evidence]:
        """Yield everything that the log says."""
        yield self.summary()
        text = self.trust.text
        for problem in text.problems:
            yield _gap(self.ref, "log_event", Reason.UNREADABLE, str(problem), line=problem.line)
        if self.trust.broken or not text.events:
            why = self.trust.broken or "the log holds no event that can be read"
            reason = Reason.UNREADABLE if self.trust.broken else Reason.MISSING_RECORD
            for kind in _KINDS[1:]:
                yield _gap(self.ref, kind, reason, why)
            return
        yield from (self.event(event) for event in text.events)
        yield from self.orders()
        yield from self.reverifications()
        yield from self.persistences()

    def fact(self, kind: str, values: Mapping[str, Value], event: Event | None = None) -> Evidence:
        """Return a record that is known as well as the log is."""
        pointer, time = (str(event.line), event.text("time")) if event else ("", "")
        origin = Origin(file=self.ref.file.path, sha256=self.trust.sha256, pointer=pointer, time=time)
        known = _before(self.ref) | {"artifact_matches": self.about(event)}
        if kind == "persistence":
            del known["release"]
        return fact(_PROBE, kind, log_subject(self.ref), known | dict(values), method=self.trust.method, origin=origin)

    # The log as a whole

    def summary(self) -> Evidence:
        """Return the record of the log itself."""
        events = self.trust.text.events
        times = [event.time for event in events]
        values: dict[str, Value] = {
            "events": len(events),
            "signed": self.trust.signed,
            "chained": self.trust.chained and not self.trust.broken,
            "external": self.ref.external,
            "device_matches": _all(self.device_matches(event) for event in events),
            "monotonic": all(one <= two for one, two in pairwise(times)) if times else None,
        }
        return self.fact("log", values)

    def artifact_matches(self) -> bool | None:
        """Return DEP11: an event names the update and a digest of its artifact, and none names another digest."""
        events = self.trust.text.events
        if self.ref.release == "current" and any(event.text("update") for event in events):
            if not any(event.text("update") == self.context.description.id for event in events):
                return False
        elif self.ref.release == "current":
            return None
        return _all_known(self.digest_matches(step.event) for step in self.steps)

    def device_matches(self, event: Event) -> bool | None:
        """Return whether an event is of the device that the description gives the log for."""
        said = event.text("device")
        return said == self.ref.device if said and self.ref.device else None

    # One event

    def event(self, event: Event) -> Evidence:
        """Return the record of one event."""
        update = event.text("update")
        current = self.ref.release == "current"
        values: dict[str, Value] = {name: event.values.get(name) for name in _COPIED}
        values |= {
            "event": event.name,
            "target": self.target_of(event),
            "step": event.text("step") or _STEPS[event.name].value,
            "update_id_matches": update == self.context.description.id if update and current else None,
            "version_matches": self.version_matches(event),
            "device_matches": self.device_matches(event),
            "digest_matches": self.digest_matches(event),
            "external": self.ref.external,
            "complete": all(name in event.values for name in _NEEDS[event.name]),
        }
        return self.fact("log_event", values, event)

    def version_matches(self, event: Event) -> bool | None:
        """Return whether the version that an event leads to is the artifact's and the description's."""
        said = event.text("to_version")
        if not said or event.name == "rolled_back":
            return None
        known = [item.artifact.version.version for item in self.opened if item.artifact is not None]
        wanted = {text for text in known if text and not isinstance(text, Inexpressible)}
        if self.ref.release == "current" and self.context.description.version:
            wanted = {self.context.description.version}
        return all(same_version(said, text) for text in wanted) if wanted else None

    def digest_matches(self, event: Event) -> bool | None:
        """Return whether the digest that an event states is that of the real bytes; None where it states none."""
        said = event.values.get("digest")
        if not isinstance(said, dict):
            return None
        places = self.bytes.deliverables
        if event.text("image") or event.text("target"):
            places = self.bytes.of_target(event.text("target"), event.text("image"))
        found = self.bytes.equal(said["algorithm"], said["value"], places)
        if found and not _facts.identifies(said["algorithm"]):
            return None  # another file with the same CRC or MD5 is made in seconds; a difference is one all the same
        return None if found is None else bool(found)

    # Order

    def orders(self) -> Iterator[Evidence]:
        """Yield whether each pair of DEP8 stands in order, per target where the later event is about one."""
        for pair in _order.PAIRS:
            for target in self.ordered_targets(pair):
                values: dict[str, Value] = {"target": target, "before": pair.before, "after": pair.after}
                answer = _order.holds(pair, self.steps, target, alone=self.alone)
                if answer is None:
                    text = f"the log does not say whether {pair.before} came before {pair.after}"
                    yield _gap(self.ref, "log_order", Reason.NOT_DECLARED, text, values)
                else:
                    yield self.fact("log_order", values | {"holds": answer})

    def ordered_targets(self, pair: _order.Pair) -> tuple[str, ...]:
        """Return the targets that a pair is judged for: each one of the device where the later event is per target."""
        if pair.after in _order.TARGETED and self.targets:
            return self.targets
        return (self.targets[0],) if len(self.targets) == 1 else ("",)

    # Re-verification

    def reverifications(self) -> Iterator[Evidence]:
        """Yield every re-verification met with the artifact's bytes, and a gap for every image that has none."""
        seen: set[tuple[str, str]] = set()
        done = 0
        for place, step in enumerate(self.steps):
            if step.event.name == "reverified":
                done += 1
                yield self.reverification(place, step, seen)
        if not done:
            yield _gap(self.ref, "reverification", Reason.NOT_DECLARED, "the log has no event `reverified`")
            return
        for image, target in sorted({(item.image, item.target) for item in self.bytes.images} - seen):
            text = f"no event `reverified` has the hash of {image or 'the deliverable'}"
            if image or len(self.bytes.images) == 1:
                yield _gap(self.ref, "reverification", Reason.MISSING_RECORD, text, {"target": target})

    def reverification(self, place: int, step: _order.Step, seen: set[tuple[str, str]]) -> Evidence:
        """Return one re-verification; `seen` collects the images whose hash was right."""
        event = step.event
        places = self.bytes.of_target(step.target, event.text("image"))
        said: Mapping[str, Any] = event.values.get("hash") or {}
        keyed = said.get("keyed", "none")
        plain = keyed == "none" and "signature" not in said and bool(said)
        tag = _tags.tagged(self.context, self.opened, said, places) if keyed in _tags.KEYED else _tags.Tagged()
        found = self.bytes.equal(said["name"], said["value"], places) if plain else tag.places
        found = _signed(said, places) if found is None else found
        seen.update((item.image, item.target) for item in found or ())
        target = step.target or _sole({item.target for item in found or ()})
        if not target and not self.alone:
            text = "the event does not say which hardware target it verified"
            return _gap(self.ref, "reverification", Reason.MISSING_FIELD, text, line=event.line)
        values: dict[str, Value] = {
            "target": target,
            "result": event.result if event.result in {"success", "failure"} else None,
            "read_back": event.values.get("read_back"),
            "before_activation": self.before_activation(place, target),
            "hash": _facts.hash_values(str(said["name"])) if plain else _named(said),
            "hash_matches": None if found is None else bool(found),
            "keyed": keyed if said else None,
            "key_unique": self.key_unique(said) if tag.own is None else tag.own,
            "tag_bits": _tag_bits(said),
            "hash_based_signature": said.get("signature") not in {None, "ml-dsa"} if said else None,
            "reference_authentic": _authentic(found, said),
            "reference_quantum_resistant": all(resistant(item) for item in found) if found else None,
            **self.checksum(event, found or places),
        }
        return self.fact("reverification", values, event)

    def checksum(self, event: Event, places: Sequence[Range]) -> dict[str, Value]:
        """Return what is known of an event's checksum, recomputed over the image that its hash is of."""
        said = event.values.get("checksum")
        if not isinstance(said, dict):
            return {}
        name = resolve(str(said["name"]))
        found = self.bytes.equal(name, said["value"], places) if name in CATALOGUE else None
        return {
            "checksum": name,
            "checksum_bits": CATALOGUE[name].width if name in CATALOGUE else _OTHER_CHECKSUMS.get(name),
            "checksum_crc": name in CATALOGUE,
            "checksum_matches": None if found is None else bool(found),
        }

    def before_activation(self, place: int, target: str) -> bool | None:
        """Return whether a re-verification stands between applying and activating; None without an activation."""
        mine = [step.event.name for step in self.steps[:place] if step.target in {target, ""}]
        after = [step.event.name for step in self.steps[place:] if step.target in {target, ""}]
        since = mine[len(mine) - mine[::-1].index("applied") :] if "applied" in mine else mine
        if "activated" in since:
            return False
        return True if "activated" in after else None

    def key_unique(self, said: Mapping[str, Any]) -> bool | None:
        """Return whether an authenticator's key is one device's own, by the inventory; None where it does not say."""
        name = said.get("key_id")
        listed = [item for item in self.context.description.device.keys or () if name in {item.id, item.format_id}]
        if not name or not listed:
            return None
        own = [item for item in listed if item.device]
        return len(own) == len(listed) == 1 and own[0].device == self.ref.device if self.ref.device else None

    # Persistence

    def persistences(self) -> Iterator[Evidence]:
        """Yield whether user data was the same before and after, for updates that succeeded and that failed."""
        done = 0
        for step in self.steps:
            said = step.event.values.get("data")
            if isinstance(said, dict):
                done += 1
                after = "failure" if _failed(step.event) else "success"
                equal = same_hex(said["before"], said["after"])
                yield self.fact("persistence", {"after": after, "equal": equal}, step.event)
        if not done:
            text = "no event states digests of user data before and after"
            yield _gap(self.ref, "persistence", Reason.NOT_DECLARED, text)


def _same(item: Opened, ref: LogRef) -> bool:
    """Return whether an artifact is the deliverable of a log's device and release."""
    device = not ref.device or not item.ref.device or item.ref.device == ref.device
    return device and item.ref.release == ref.release and item.ref.role == "deliverable"


def _signed(said: Mapping[str, Any], places: Sequence[Range]) -> tuple[Range, ...] | None:
    """Return the ranges that carry the signature which the event says was verified; None where none is known to."""
    return tuple(place for place in places if "signature" in said and signed_with(place, said["signature"])) or None


def _named(said: Mapping[str, Any]) -> dict[str, Value] | None:
    """Return the name of a keyed authenticator or signature; it has no strength as a hash."""
    return {"name": str(said["name"]).lower()} if said else None


def _tag_bits(said: Mapping[str, Any]) -> int | None:
    """Return the length of a tag: as it is said, and no more than the log shows of it."""
    if "tag_bits" not in said:
        return None
    return min(int(said["tag_bits"]), len(said["value"]) * 4)


def _failed(event: Event) -> bool:
    return event.name in {"rolled_back", "refused"} or event.result == "failure"


def _authentic(found: Sequence[Range] | None, said: Mapping[str, Any]) -> bool | None:
    """Return REV-B2: the hash is that of bytes which a valid signature reaches, and was not compared with itself."""
    if said.get("reference") in {"computed", "none"}:
        return False
    if not found:
        return None
    return all(item.covered_by or item.own_digest for item in found)


def _sole(items: Iterable[str]) -> str:
    found = set(items)
    return found.pop() if len(found) == 1 else ""


def _all(answers: Iterable[bool | None]) -> bool | None:
    """Return whether all that is known is true; None where nothing is known or something is not."""
    items = tuple(answers)
    if False in items:
        return False
    return True if items and None not in items else None


def _all_known(answers: Iterable[bool | None]) -> bool | None:
    """Return whether all that is known is true; None where nothing is known."""
    items = [item for item in answers if item is not None]
    return all(items) if items else None


PROBE = Probe(id=_PROBE, title="Update logs", kinds=_KINDS, expects=_expects, run=_run)
