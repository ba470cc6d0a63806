"""Puts the commands together. Heavy imports live inside the command functions, so that `--help` stays fast."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Final

import typer

from checker import __version__
from checker.cli import check, explain, inspect, list_, probe, rules, schema
from checker.errors import ExitStatus

# typer carries its own copy of click and exports only the leaves of its error tree; this is the root of the tree.
_CommandLineError: Any = typer.BadParameter.__mro__[2]

EXIT_STATUS = """Exit status, the same for every output format: 0 gate met, 1 gate not met, 2 bad command line or
unreadable input, 3 undecided (nothing failed, but something required is not proven, or nothing was evaluated),
4 a report or pack does not verify, 70 internal error."""

_COMMANDS: Final[Mapping[str, Callable[..., None]]] = {
    "check": check.check,
    "inspect": inspect.inspect,
    "probe": probe.probe,
    "explain": explain.explain,
    "list": list_.list_,
    "schema": schema.schema,
}
_GROUPS: Final[Mapping[str, typer.Typer]] = {"rules": rules.app}


def _version(value: bool) -> None:  # noqa: FBT001 - the shape that typer calls
    if value:
        typer.echo(f"otaudit {__version__}")
        raise typer.Exit


def otaudit(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    """Which security tier has each of the 13 steps of a device's update process proved?"""
    del version


def _app(arguments: Sequence[str]) -> typer.Typer:
    """Return the command that is called, or all of them where none is named first, as for the list that --help prints.

    Typer takes every command apart that it is given, which takes as long as to examine an endpoint.
    """
    app = typer.Typer(
        name="otaudit",
        help="Which security tier has each of the 13 steps of a device's update process proved?",
        epilog=EXIT_STATUS.replace("\n", " "),
        no_args_is_help=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    )
    app.callback()(otaudit)
    called = [name for name in arguments[:1] if name in {*_COMMANDS, *_GROUPS}] or [*_COMMANDS, *_GROUPS]
    for name in called:
        if name in _COMMANDS:
            app.command(name)(_COMMANDS[name])
        else:
            app.add_typer(_GROUPS[name], name=name)
    return app


def call(arguments: list[str]) -> int:
    """Run a command line and return its exit status; usage errors are printed by typer and give 2."""
    try:
        result = typer.main.get_command(_app(arguments)).main(arguments, prog_name="otaudit", standalone_mode=False)
    except _CommandLineError as error:
        error.show()
        return ExitStatus.BAD_INPUT
    except typer.Abort as error:
        raise KeyboardInterrupt from error
    return int(result or 0)
