"""From a description's command to a verifier that can be run: its adapter, its settings, its state, its folder."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from checker.description._schema import guess
from checker.description.model import Command, Description
from checker.discovery import discover, find, module_names
from checker.errors import DescriptionError, InputError, Problem
from checker.io.files import Files
from checker.trials.bench import missing_program
from checker.trials.contract import Adapter

_PACKAGE: Final = "checker.trials.adapters"


@dataclass(frozen=True, kw_only=True)
class Ready:
    """A verifier that can be run on this machine."""

    command: Command
    adapter: Adapter
    base: Path
    state: Path | None = None
    settings: dict[str, str] = field(default_factory=dict)


def adapters() -> tuple[Adapter, ...]:
    """Return all adapters, sorted by id."""
    return discover(_PACKAGE, "ADAPTER", Adapter)


def adapter_of(command: Command) -> Adapter | None:
    """Return the adapter that a command names, or None where there is none of that name."""
    if command.adapter.replace("-", "_") not in module_names(_PACKAGE):
        return None
    return find(_PACKAGE, command.adapter, "ADAPTER", Adapter)


def check(description: Description, files: Files) -> None:
    """Refuse a description whose verifiers cannot be run as they are written; asked before anything is run.

    Raises:
        DescriptionError: an adapter or a setting is unknown, one is missing, or a path leads out of the folder.
    """
    problems = [item for command in commands(description) for item in _problems(command, files)]
    if problems:
        raise DescriptionError(tuple(dict.fromkeys(problems)))


def commands(description: Description) -> tuple[Command, ...]:
    """Return the verifiers that a description names: the update's, then those of the targets."""
    named = (description.verifier, *(target.verifier for target in description.device.targets))
    return tuple(item for item in named if item is not None)


def _problems(command: Command, files: Files) -> Iterator[Problem]:
    adapter = adapter_of(command)
    if adapter is None:
        known = [item.id for item in adapters()]
        hint = guess(command.adapter, known) or f"; there are: {', '.join(known)}"
        yield _problem(command, "adapter", f"there is no adapter {command.adapter!r}{hint}")
        return
    for name in sorted(set(command.args) - set(adapter.settings)):
        known = sorted(adapter.settings)
        hint = guess(name, known) or (f"; known here: {', '.join(known)}" if known else "; it has none")
        yield _problem(command, f"args.{name}", f"{name!r} is no setting of the adapter {adapter.id}{hint}")
    for name in sorted(adapter.required - set(command.args)):
        yield _problem(command, "args", f"the adapter {adapter.id} needs the setting {name}: {adapter.settings[name]}")
    for name in sorted(adapter.paths & set(command.args)):
        try:
            files.resolve(_below(command, command.args[name]))
        except InputError as error:
            yield _problem(command, f"args.{name}", str(error))


def _problem(command: Command, path: str, message: str) -> Problem:
    place = command.place
    return Problem(place.file, place.line, place.column, path, message) if place else Problem("", 0, 0, path, message)


def ready(command: Command, files: Files) -> Ready | str:
    """Return a verifier that can be run, or in words why it cannot be run here.

    Raises:
        InputError: a path leads out of the folder.
    """
    adapter = adapter_of(command)
    if adapter is None:
        return f"there is no adapter {command.adapter}"
    if program := missing_program(adapter):
        return f"the program {program} of the adapter {adapter.id} is not installed here"
    state = None if command.state is None else files.resolve(command.state.path)
    if state is not None and not state.is_dir():
        return f"the state {command.state.path if command.state else ''} is no folder"
    settings = {name: _setting(adapter, command, name, files) for name in command.args}
    absent = [name for name in sorted(adapter.paths & set(settings)) if not Path(settings[name]).exists()]
    if absent:
        return f"the file of the setting {absent[0]} is missing: {command.args[absent[0]]}"
    base = files.resolve(command.folder or ".")
    return Ready(command=command, adapter=adapter, base=base, state=state, settings=settings)


def _setting(adapter: Adapter, command: Command, name: str, files: Files) -> str:
    value = command.args[name]
    return str(files.resolve(_below(command, value))) if name in adapter.paths else value


def _below(command: Command, path: str) -> str:
    return f"{command.folder}/{path}" if command.folder and not Path(path).is_absolute() else path
