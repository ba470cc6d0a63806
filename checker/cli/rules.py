"""`otaudit rules`: what a rule set holds, and whether it does what its own cases say."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from checker.errors import ExitStatus

app = typer.Typer(
    help="Rule sets: list their requirements, run their own tests.", no_args_is_help=True, rich_markup_mode=None
)
_FOLDER = typer.Option("--rules", metavar="FOLDER", help="Another rule set.")


@app.command("list")
def list_(*, rules: Annotated[Path | None, _FOLDER] = None) -> None:
    """List every requirement: id, tier, how it can be proved, title."""
    from checker.rules.load import load, load_default

    ruleset = load(rules) if rules else load_default()
    typer.echo(f"{ruleset.id} {ruleset.version}  sha256:{ruleset.digest}  {ruleset.title}")
    for item in ruleset.requirements:
        proof = "by document" if item.by_document else item.method
        advisory = "" if item.blocking else " (advisory)"
        typer.echo(f"{item.id:<14} {item.tier:<9} {proof:<12} {item.title}{advisory}")


@app.command("test")
def run_cases(*, rules: Annotated[Path | None, _FOLDER] = None) -> None:
    """Run every requirement's own cases and their mutations."""
    from checker import resources
    from checker.rules.testing import run

    results = run(rules or resources.folder("rules") / "ntia-2017")
    failed = [item for item in results if item.problem]
    for item in failed:
        typer.echo(f"{item.requirement}: {item.name}: {item.problem}", err=True)
    typer.echo(f"{len(results) - len(failed)} passed, {len(failed)} failed")
    if failed or not results:
        raise typer.Exit(ExitStatus.GATE_NOT_MET)
