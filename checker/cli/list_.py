"""`otaudit list`: what plug-ins there are."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer


class Kind(StrEnum):
    """The sorts of plug-ins."""

    FORMATS = "formats"
    PROBES = "probes"
    OUTPUTS = "outputs"
    PROFILES = "profiles"
    ATTESTATIONS = "attestations"
    ADAPTERS = "adapters"
    ANATOMIES = "anatomies"
    MUTATIONS = "mutations"


def list_(kind: Annotated[Kind | None, typer.Argument(help="Only these; all of them unless said.")] = None) -> None:
    """List formats, probes, outputs, profiles for endpoints, kinds of attestations, and the parts of active tests."""
    for wanted in (kind,) if kind else tuple(Kind):
        typer.echo(f"{wanted}:")
        for identity, title in _plug_ins(wanted):
            typer.echo(f"  {identity:<22} {title}")


def _plug_ins(kind: Kind) -> list[tuple[str, str]]:
    from checker.crypto.attestation_files import forms
    from checker.discovery import discover
    from checker.formats.contract import Format
    from checker.probes.contract import Probe
    from checker.report.contract import Renderer
    from checker.rules.load import load_default

    match kind:
        case Kind.FORMATS:
            return [(item.id, item.title) for item in discover("checker.formats", "FORMAT", Format)]
        case Kind.PROBES:
            return [(item.id, item.title) for item in discover("checker.probes", "PROBE", Probe)]
        case Kind.OUTPUTS:
            found = discover("checker.report", "RENDERER", Renderer)
            return [(item.id, f"{item.title} (*{item.suffix})") for item in found]
        case Kind.PROFILES:
            return [(item.id, f"{item.title}, {item.dated}") for item in load_default().profiles.values()]
        case Kind.ATTESTATIONS:
            return [(item.id, item.title) for item in forms()]
        case _:
            return _of_trials(kind)


def _of_trials(kind: Kind) -> list[tuple[str, str]]:
    from checker.trials.commands import adapters
    from checker.trials.plan import anatomies, mutations

    if kind is Kind.ADAPTERS:
        return [(item.id, item.title) for item in adapters()]
    if kind is Kind.MUTATIONS:
        return [(item.id, f"{item.title} ({', '.join(item.tests)})") for item in mutations()]
    titles = dict(_plug_ins(Kind.FORMATS))
    return [(item.id, titles.get(item.id, item.id)) for item in anatomies()]
