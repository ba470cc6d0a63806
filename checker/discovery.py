"""Finds plug-ins: every public module of a package, one constant each; there is no list to edit.

A module whose name starts with an underscore, or that is named `contract`, or that states no such constant and says
so by living in another place, is not a plug-in. A duplicate id, or an id that is not its file's name, is refused.
"""

from __future__ import annotations

import importlib
import pkgutil
from typing import Protocol, TypeVar

from checker.errors import OtauditError

_HELPERS = frozenset({"contract"})


class PlugIn(Protocol):
    """Whatever has an id."""

    @property
    def id(self) -> str:
        """Return the plug-in's id: its module's name, with hyphens for underscores."""


class PlugInError(OtauditError):
    """A module breaks the plug-in contract."""

    help = "CONTRIBUTING.md says what a plug-in module must hold."


P = TypeVar("P", bound=PlugIn)


def module_names(package: str) -> tuple[str, ...]:
    """Return the names of the plug-in modules of a package, sorted."""
    found = importlib.import_module(package)
    names = (info.name for info in pkgutil.iter_modules(found.__path__))
    return tuple(sorted(name for name in names if not name.startswith("_") and name not in _HELPERS))


def discover(package: str, constant: str, kind: type[P]) -> tuple[P, ...]:
    """Return the plug-ins of a package, sorted by id.

    Args:
        package: dotted name, for example "checker.formats".
        constant: the constant each module must state, for example "FORMAT".
        kind: the class that the constant must be an instance of.

    Raises:
        PlugInError: a module has no such constant, or its id is not its file's name.
    """
    return tuple(_load(package, name, constant, kind) for name in module_names(package))


def find(package: str, name: str, constant: str, kind: type[P]) -> P:
    """Return one plug-in by its id, without importing the others.

    Raises:
        PlugInError: there is none of that id.
    """
    if name.replace("-", "_") not in module_names(package):
        known = ", ".join(module.replace("_", "-") for module in module_names(package))
        msg = f"there is no {kind.__name__.lower()} {name!r}; there are: {known}"
        raise PlugInError(msg)
    return _load(package, name.replace("-", "_"), constant, kind)


def _load(package: str, name: str, constant: str, kind: type[P]) -> P:
    module = importlib.import_module(f"{package}.{name}")
    plug_in = getattr(module, constant, None)
    if not isinstance(plug_in, kind):
        msg = f"{package}.{name} must state {constant} = {kind.__name__}(…)"
        raise PlugInError(msg)
    if plug_in.id != name.replace("_", "-"):
        msg = f"{package}.{name} has the id {plug_in.id!r}, which is not its file's name"
        raise PlugInError(msg)
    return plug_in
