"""Finds `rules/`, `schemas/` and `templates/` in a checkout, an editable install and an installed wheel.

In a wheel they lie under `checker/_data/` (pyproject.toml, force-include); in a checkout beside `checker/`.
"""

from __future__ import annotations

from pathlib import Path

from checker.errors import OtauditError


class MissingDataError(OtauditError):
    """The installation lacks its data folders."""

    help = "Install otaudit again; the wheel carries rules, schemas and templates."


def folder(kind: str) -> Path:
    """Return the folder `rules`, `schemas` or `templates`.

    A checkout wins over packed data, because an editable install leaves a stale copy of the packed files behind.

    Raises:
        MissingDataError: neither place has it.
    """
    top = Path(__file__).resolve().parent.parent
    if (top / "pyproject.toml").is_file() and (top / kind).is_dir():
        return top / kind
    packed = Path(__file__).parent / "_data" / kind
    if packed.is_dir():
        return packed
    msg = f"the data folder {kind}/ is not installed"
    raise MissingDataError(msg)


def read(kind: str, *parts: str) -> bytes:
    """Return the bytes of one data file, for example `read("schemas", "evidence", "key.schema.json")`.

    Raises:
        MissingDataError: there is no such file.
    """
    place = folder(kind)
    for part in parts:
        place = place / part
    if not place.is_file():
        msg = f"the data file {'/'.join((kind, *parts))} is not installed"
        raise MissingDataError(msg)
    return place.read_bytes()
