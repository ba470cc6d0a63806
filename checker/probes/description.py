"""What the description says of the device, its programmable parts and the 13 steps (criteria.md R5). All declared."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from checker.description.model import Description, StepDescription, Target
from checker.model.evidence import Evidence, Expectation, Origin, Value
from checker.model.subject import Subject, SubjectKind
from checker.model.terms import Method, Reason, Step
from checker.probes._records import expect, fact, undeclared
from checker.probes.contract import Context, Probe

_PROBE: Final = "description"
# R5 asks who does a step, by what channel or component, and under which trigger. A trigger is asked for where something
# could start the step by itself; the other steps follow from the one before them.
_TRIGGERED: Final = frozenset({Step.SEND, Step.APPLY, Step.ACTIVATE, Step.CLEANUP})
_TEXTS: Final = ("audience", "installer", "coordination_reason", "key_store", "notice", "external_log")
_LISTS: Final = ("content", "coordination", "persistent")
_APPROVALS: Final = frozenset({"automatic", "notify", "required", "deferred"})
_UNENCRYPTED_LINKS: Final = frozenset({"none", "no", "false", "plain", "mac", "mac-only", "secoc", "crc"})


def _device(description: Description) -> Subject:
    name = description.device.id or description.device.model
    return Subject(kind=SubjectKind.DEVICE, id=name)


def _target(target: Target) -> Subject:
    return Subject(kind=SubjectKind.TARGET, id=target.id)


def _step(step: Step) -> Subject:
    return Subject(kind=SubjectKind.STEP, id=step.value)


def _expects(description: Description) -> Iterator[Expectation]:
    yield expect("device", _device(description))
    for target in description.device.targets:
        yield expect("hardware_target", _target(target), values={"target": target.id})
    if not description.device.targets:
        yield undeclared("hardware_target", description, "hardware target")
    for step in Step:
        yield _expected_step(description, step)


def _expected_step(description: Description, step: Step) -> Expectation:
    values = {"step": step.value}
    if step in description.steps:
        return expect("step_description", _step(step), values=values)
    text = f"the description says nothing about the step {step.value}"
    return expect("step_description", _step(step), values=values, reason=Reason.NOT_DECLARED, explanation=text)


def _run(context: Context) -> Iterator[Evidence]:
    description = context.description
    device = description.device
    origin = Origin(file=device.file, sha256=device.sha256)
    yield fact(
        _PROBE, "device", _device(description), _device_values(description), method=Method.DECLARED, origin=origin
    )
    for target in device.targets:
        yield _target_record(description, target)
    for said in description.steps.values():
        yield _step_record(said)


def _device_values(description: Description) -> dict[str, Value]:
    device, count = description.device, len(description.device.targets)
    return {
        "vendor": device.vendor or None,
        "model": device.model or None,
        "support_until": device.support_until or None,
        "targets_listed": count > 0,
        "targets": count or None,
        "single_target": count == 1 if count else None,
    }


def _target_record(description: Description, target: Target) -> Evidence:
    alone = len(description.device.targets) == 1
    verifier = target.verifier is not None or (alone and description.verifier is not None)
    link = _link(description, target)
    values: dict[str, Value] = {
        "target": target.id,
        "kind": target.kind or None,
        "verifier_described": True if verifier else None,
        "key_described": True if target.image_key else None,
        "link_described": {"bus", "protocol"} <= set(link) if link else None,
        "link_encrypted": _link_encrypted(link),
    }
    place = target.place
    origin = Origin(file=place.file, pointer=f"{place.line}:{place.column}")
    return fact(_PROBE, "hardware_target", _target(target), values, method=Method.DECLARED, origin=origin)


def _link(description: Description, target: Target) -> dict[str, str]:
    """Return what is said of the path to a target, with the target itself and with the step Distribute."""
    said = description.steps.get(Step.DISTRIBUTE)
    paths = said.details.get("paths") if said is not None else None
    link: dict[str, str] = {}
    for path in paths if isinstance(paths, Sequence) and not isinstance(paths, str) else ():
        if isinstance(path, Mapping) and path.get("target") == target.id:
            link |= {key: value for key, value in path.items() if isinstance(value, str) and key != "target"}
    return {key: value for key, value in (link | dict(target.link)).items() if value}


def _link_encrypted(link: Mapping[str, str]) -> bool | None:
    """Return what is said of a link's encryption; authentication without encryption (SecOC) is none."""
    said = link.get("encryption", "")
    return said.lower() not in _UNENCRYPTED_LINKS if said else None


def _step_record(said: StepDescription) -> Evidence:
    missing = _missing(said)
    values: dict[str, Value] = {
        "step": said.step.value,
        "described": not missing and not said.not_applicable,
        "missing": missing,
        "not_applicable": bool(said.not_applicable.strip()),
        "reason": said.not_applicable.strip() or None,
        "who": said.who or None,
        "by": said.by or None,
        "channel": said.channel or None,
        "trigger": said.trigger or None,
        **_details(said.details),
    }
    origin = Origin(file=said.place.file, pointer=f"{said.place.line}:{said.place.column}")
    return fact(_PROBE, "step_description", _step(said.step), values, method=Method.DECLARED, origin=origin)


def _missing(said: StepDescription) -> tuple[str, ...]:
    if said.not_applicable.strip():
        return ()
    wants = [("who", bool(said.who.strip())), ("by or channel", bool((said.by + said.channel).strip()))]
    if said.step in _TRIGGERED:
        wants.append(("trigger", bool(said.trigger.strip())))
    if said.step is Step.APPLY:
        wants.append(("installer", bool(_text(said.details.get("installer")))))
    return tuple(name for name, there in wants if not there)


def _details(details: Mapping[str, Value]) -> dict[str, Value]:
    values: dict[str, Value] = {name: _text(details.get(name)) for name in _TEXTS}
    values |= {name: _texts(details.get(name)) for name in _LISTS}
    approval = _text(details.get("approval"))
    return values | {
        "approval": approval if approval in _APPROVALS else None,
        "paths": _count(details.get("paths")),
        **_preconditions(details),
    }


def _preconditions(details: Mapping[str, Value]) -> dict[str, Value]:
    """Return what is said of preconditions: a list, or a reason why there is none; each says something of the other."""
    listed, reason = _tested(details.get("preconditions")), _text(details.get("none_needed"))
    if reason:
        return {"preconditions": listed or 0, "none_needed": True}
    return {"preconditions": listed, "none_needed": None if listed is None else False}


def _text(value: Value) -> str | None:
    return value.strip() or None if isinstance(value, str) else None


def _texts(value: Value) -> tuple[str, ...] | None:
    if isinstance(value, str):
        return (value,) if value.strip() else None
    if not isinstance(value, Sequence):
        return None
    return tuple(item for item in value if isinstance(item, str) and item.strip())


def _count(value: Value) -> int | None:
    return len(value) if isinstance(value, Sequence) and not isinstance(value, str) else None


def _tested(value: Value) -> int | None:
    """Return how many preconditions have a name and a test; one without a test defines nothing (STAGE-B1)."""
    if not isinstance(value, Sequence) or isinstance(value, str):
        return None
    return sum(
        isinstance(item, Mapping) and bool(_text(item.get("name")) and _text(item.get("test"))) for item in value
    )


PROBE = Probe(
    id=_PROBE,
    title="What the description says of the device and its steps",
    kinds=("device", "hardware_target", "step_description"),
    expects=_expects,
    run=_run,
)
