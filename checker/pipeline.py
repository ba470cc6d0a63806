"""One run, from a description to an assessment. It reads like the one direction of the design: no arrow runs back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from checker import __version__
from checker.assessment.assess import Request
from checker.assessment.assess import assess as assess_findings
from checker.assessment.gate import Demands
from checker.description.load import load
from checker.description.model import Description
from checker.io.files import Files
from checker.model.assessment import Assessment, Identity
from checker.model.endpoint import Manner
from checker.model.terms import Reading, Severity, Step, Tier
from checker.probes._attestations import attest
from checker.probes._run import examine, keyring, open_artifacts, read_examined
from checker.probes._run import run as run_probes
from checker.probes.contract import Context, Examined, Opened
from checker.rules.judge import Inputs, judge
from checker.rules.load import load as load_rules
from checker.rules.load import load_default
from checker.rules.observations import observe
from checker.trials.commands import check as check_commands


@dataclass(frozen=True, kw_only=True)
class Options:
    """What the caller decides: the clock, the gate, the reading, the rule set and what the tool may touch."""

    as_of: str  # RFC 3339, UTC
    gate: Mapping[Step, Tier] | None = None  # None: the description's policy, else Basic on every row
    named: frozenset[Step] = frozenset()  # the steps of `gate` that were demanded by name
    reading: Reading | None = None  # None: the description's policy, else the rule set's
    fail_on_findings: Severity | None = None
    waivers: bool = True
    rules: Path | None = None
    allow_outside: bool = False
    live: bool = False  # connections to the description's endpoints are allowed
    manner: Manner = field(default_factory=Manner)  # how they are asked
    endpoint_record: bytes | None = None  # of an earlier `otaudit probe`, in place of connections
    active: bool = False  # the description's verifiers may be run
    trial_seconds: float = 30  # that one process of them may take
    note: Callable[[str], None] = lambda _: None  # told what takes long


def assess(update: Path, options: Options) -> Assessment:
    """Assess one update: description and artifacts → evidence → findings → assessment.

    Raises:
        DescriptionError: the description is not valid; carries every problem with its place.
        RuleError: the rule set is not valid.
        InputError: the description cannot be read. (What it names, and cannot be read, becomes evidence that says so.)
    """
    rules = load_rules(options.rules) if options.rules else load_default()
    description = load(update, allow_outside=options.allow_outside)
    files = Files(update.parent, options.allow_outside)
    if options.active:
        check_commands(description, files)
    keys = keyring(description, files)
    opened = open_artifacts(description, files, keys, options.as_of)
    examined = _examined(description, files, options)
    context = Context(
        description=description,
        opened=opened,
        keys=keys,
        files=files,
        as_of=options.as_of,
        examined=examined,
        attested=attest(description, files, opened, options.as_of),
        live=options.live,
        active=options.active,
        trial_seconds=options.trial_seconds,
        note=options.note,
    )
    evidence = run_probes(context)
    findings = judge(rules, evidence, _inputs(description, options))
    observations = observe(rules, findings, evidence)
    artifacts = tuple(item.artifact for item in opened if item.artifact is not None)
    request = _request(description, options)
    identity = _identity(description, opened)
    found = assess_findings(rules, evidence, findings, observations, identity, request, artifacts)
    return replace(found, endpoints=tuple(item.facts for item in examined if item.facts is not None))


def _examined(description: Description, files: Files, options: Options) -> tuple[Examined, ...]:
    if options.endpoint_record is not None:
        return read_examined(description, options.endpoint_record)
    return examine(description, files, options.as_of, options.manner) if options.live else ()


def _inputs(description: Description, options: Options) -> Inputs:
    return Inputs(
        as_of=options.as_of,
        support_until=description.device.support_until,
        send_endpoint=description.policy.send_endpoint,
    )


def _request(description: Description, options: Options) -> Request:
    policy = description.policy
    return Request(
        as_of=options.as_of,
        tool_version=__version__,
        reading=options.reading or Reading(policy.reading),
        claims=description.claims,
        demands=Demands(
            tiers=options.gate or policy.gate or None,
            named=options.named if options.gate else _named(policy.gate),
            waivers=policy.waivers if options.waivers else (),
            fail_on_findings=options.fail_on_findings or policy.fail_on_findings,
        ),
        send_endpoint=policy.send_endpoint,
    )


def _named(gate: Mapping[Step, Tier]) -> frozenset[Step]:
    """Return the steps that a description's gate names; one tier for all 13 names none of them."""
    return frozenset() if set(gate) == set(Step) and len(set(gate.values())) == 1 else frozenset(gate)


def _identity(description: Description, opened: Sequence[Opened]) -> Identity:
    device = description.device
    return Identity(
        vendor=device.vendor,
        model=device.model,
        update=description.id,
        version=description.version,
        device_id=device.id,
        support_until=device.support_until,
        artifacts=tuple(
            (item.ref.file.path, item.artifact.format, item.artifact.size, item.artifact.sha256)
            if item.artifact
            else (item.ref.file.path, "", 0, "")
            for item in opened
        ),
    )
