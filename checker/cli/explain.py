"""`otaudit explain`: what a requirement asks, why, and how to meet it; with a report, how it was judged there."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def explain(
    requirement: Annotated[str, typer.Argument(help="A requirement id such as SIGN-B3.")],
    *,
    report: Annotated[
        Path | None, typer.Option(help="A report.json: show how the requirement was judged there.")
    ] = None,
    rules: Annotated[Path | None, typer.Option(metavar="FOLDER", help="Another rule set.")] = None,
) -> None:
    """Explain one requirement: seed words, reading, what would prove it, how to meet it, references."""
    from checker.report._explain import explanation, finding_of
    from checker.rules.load import load, load_default

    ruleset = load(rules) if rules else load_default()
    typer.echo(explanation(ruleset, requirement, finding_of(report, requirement) if report else None), nl=False)
