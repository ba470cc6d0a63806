"""Puts the commands together. Heavy imports live inside the command functions, so that `--help` stays fast."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from checker import __version__
from checker.cli import check, explain, inspect, list_, probe, rules, schema
from checker.errors import ExitStatus

# typer carries its own copy of click and exports only the leaves of its error tree; this is the root of the tree.
_CommandLineError: Any = typer.BadParameter.__mro__[2]

EXIT_STATUS = """Exit status, the same for every output format: 0 gate met, 1 gate not met, 2 bad command line or
unreadable input, 3 undecided (nothing failed, but something required is not proven, or nothing was evaluated),
4 a report or pack does not verify, 70 internal error."""

app = typer.Typer(
    name="otaudit",
    help="Which security tier has each of the 13 steps of a device's update process proved?",
    epilog=EXIT_STATUS.replace("\n", " "),
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
app.command("check")(check.check)
app.command("inspect")(inspect.inspect)
app.command("probe")(probe.probe)
app.command("explain")(explain.explain)
app.command("list")(list_.list_)
app.command("schema")(schema.schema)
app.add_typer(rules.app, name="rules")


def _version(value: bool) -> None:  # noqa: FBT001 - the shape that typer calls
    if value:
        typer.echo(f"otaudit {__version__}")
        raise typer.Exit


@app.callback()
def otaudit(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    """Which security tier has each of the 13 steps of a device's update process proved?"""
    del version


def call(arguments: list[str]) -> int:
    """Run a command line and return its exit status; usage errors are printed by typer and give 2."""
    try:
        result = typer.main.get_command(app).main(arguments, prog_name="otaudit", standalone_mode=False)
    except _CommandLineError as error:
        error.show()
        return ExitStatus.BAD_INPUT
    except typer.Abort as error:
        raise KeyboardInterrupt from error
    return int(result or 0)
