"""`otaudit schema`: the JSON Schemas of everything that otaudit reads and writes."""

from __future__ import annotations

from typing import Annotated

import typer

_SUFFIX = ".schema.json"


def schema(
    name: Annotated[
        str | None, typer.Argument(help="device, update, report, evidence/signature … All names unless said.")
    ] = None,
) -> None:
    """Print a JSON Schema (2020-12), or the names of all."""
    from checker import resources
    from checker.errors import UsageError

    names = _names()
    if name is None:
        typer.echo("\n".join(names))
        return
    if name not in names:
        msg = f"there is no schema {name!r}; there are: {', '.join(names)}"
        raise UsageError(msg)
    typer.echo(resources.read("schemas", *f"{name}{_SUFFIX}".split("/")).decode(), nl=False)


def _names() -> list[str]:
    from checker import resources

    top = resources.folder("schemas")
    own = [item.name for item in top.iterdir()]
    evidence = [f"evidence/{item.name}" for item in (top / "evidence").iterdir()]
    return sorted(item.removesuffix(_SUFFIX) for item in own + evidence if item.endswith(_SUFFIX))
