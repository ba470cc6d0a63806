"""`otaudit check`: the main job."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from checker.errors import UsageError
from checker.model.terms import CELL_TIERS, Reading, Severity, Step, Tier

if TYPE_CHECKING:
    from checker.model.assessment import Assessment


def _steps() -> list[str]:
    return [f"{step}={tier}" for step in Step for tier in CELL_TIERS]


def check(  # noqa: PLR0913 - one parameter per option of the command line
    update: Annotated[Path, typer.Argument(help="The update description (YAML).", metavar="UPDATE.yaml")],
    *,
    output: Annotated[
        list[str] | None,
        typer.Option(
            "--output", "-o", metavar="FILE", help="Write a report; the suffix, or FORMAT:FILE, chooses which."
        ),
    ] = None,
    gate: Annotated[str | None, typer.Option(metavar="TIER", help="Demand this tier of every applicable step.")] = None,
    require: Annotated[
        list[str] | None,
        typer.Option(metavar="STEP=TIER", help="Demand a tier of one step.", autocompletion=_steps),
    ] = None,
    reading: Annotated[Reading | None, typer.Option(help="How the table's words are read; letter unless said.")] = None,
    fail_on_findings: Annotated[
        Severity | None, typer.Option(help="Observations beyond the table of this severity or worse fail the gate.")
    ] = None,
    waivers: Annotated[bool, typer.Option(help="Apply the waivers of the description to the gate.")] = True,
    as_of: Annotated[str | None, typer.Option(metavar="DATE", help="Judge as of this date; now unless said.")] = None,
    rules: Annotated[Path | None, typer.Option(metavar="FOLDER", help="Another rule set.")] = None,
    allow_outside: Annotated[
        bool, typer.Option("--allow-outside", help="Let paths leave the description's folder.")
    ] = False,
    live: Annotated[
        bool, typer.Option("--live", help="Connect to the endpoints of the description and look at what they offer.")
    ] = False,
    timeout: Annotated[
        float, typer.Option(metavar="SECONDS", min=0.1, help="With --live: how long one connection may take.")
    ] = 3.0,
    gentle: Annotated[
        bool, typer.Option("--gentle", help="With --live: at most two connections at once to an endpoint.")
    ] = False,
    rate: Annotated[
        float, typer.Option(metavar="N", min=0, help="With --live: at most N connections per second to an endpoint.")
    ] = 0.0,
    fetch: Annotated[
        bool, typer.Option("--fetch/--no-fetch", help="With --live: fetch OCSP answers and revocation lists.")
    ] = True,
    endpoint_record: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Take what `probe -o FILE.json` recorded in place of connections."),
    ] = None,
    save_endpoints: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Write what the endpoints showed, with every transcript, as .json."),
    ] = None,
    active: Annotated[
        bool,
        typer.Option("--active", help="Run the verifiers of the description, and offer them what they must refuse."),
    ] = False,
    trial_timeout: Annotated[
        float,
        typer.Option(metavar="SECONDS", min=0.1, max=3600, help="How long one process of an active test may take."),
    ] = 30,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print no summary.")] = False,
) -> None:
    """Assess an update: open the real artifacts, judge the 13 steps, print a summary, write reports, gate."""
    from checker.assessment.gate import exit_status
    from checker.cli._output import destinations, write_all
    from checker.cli._time import evaluation_time
    from checker.model.endpoint import Manner
    from checker.pipeline import Options, assess

    places = destinations(output or ())
    options = Options(
        as_of=evaluation_time(as_of),
        gate=demands(gate, require or ()),
        named=frozenset(demands(None, require or ()) or ()),
        reading=reading,
        fail_on_findings=fail_on_findings,
        waivers=waivers,
        rules=rules,
        allow_outside=allow_outside,
        live=live,
        manner=Manner(timeout=timeout, gentle=gentle, rate=rate, fetch=fetch),
        endpoint_record=_record(endpoint_record, live=live),
        active=active,
        trial_seconds=trial_timeout,
        note=(lambda _: None) if quiet else _note,
    )
    assessment = assess(update, options)
    pages = {place.path: place.renderer.render(assessment) for place in places}
    write_all(pages | _endpoints(assessment, save_endpoints, pages))
    if not quiet:
        _summarise(assessment)
    raise typer.Exit(exit_status(assessment.gate))


def _note(text: str) -> None:
    sys.stderr.write(f"otaudit: {text}\n")


def _endpoints(assessment: Assessment, path: str | None, pages: Mapping[str, bytes]) -> dict[str, bytes]:
    from checker.report._endpoint_data import endpoint_json

    if path is None:
        return {}
    if path in pages:
        raise UsageError(f"--save-endpoints {path}: a report goes there already")
    return {path: endpoint_json(assessment.endpoints)}


def _record(path: Path | None, *, live: bool) -> bytes | None:
    from checker.io.files import Files
    from checker.transport.records import MAX_RECORD

    if path is None:
        return None
    if live:
        raise UsageError("--live and --endpoint-record exclude each other: look, or read what was seen")
    return Files(path.parent, allow_outside=True).read(path.name, MAX_RECORD)


def demands(gate: str | None, require: Sequence[str]) -> dict[Step, Tier] | None:
    """Return what the command line demands of each step; None when it demands nothing.

    Raises:
        UsageError: a word is not a step or not a tier.
    """
    if gate is None and not require:
        return None
    wanted = dict.fromkeys(Step, _tier(gate)) if gate else {}
    for item in require:
        step, equals, tier = item.partition("=")
        if not equals or step not in set(Step):
            msg = f"--require {item}: say STEP=TIER, with a step of: {', '.join(Step)}"
            raise UsageError(msg)
        wanted[Step(step)] = _tier(tier)
    return wanted


def _tier(word: str) -> Tier:
    if word not in CELL_TIERS:
        msg = f"{word!r} is not a tier that can be demanded; say one of: {', '.join(CELL_TIERS)}"
        raise UsageError(msg)
    return Tier(word)


def _summarise(assessment: Assessment) -> None:
    from checker.cli._output import colour_wanted, terminal_width
    from checker.report.text import summary

    sys.stderr.write(summary(assessment, colour=colour_wanted(sys.stderr), width=terminal_width()))
