"""What a schema cannot say: names that must differ, names that must exist, dates in order."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from urllib.parse import urlsplit

from checker.description._commands import check_verifier
from checker.description._cursor import Cursor
from checker.description._schema import guess
from checker.description._yaml import shown


def check_device(device: Cursor, keys: tuple[Cursor, ...] | None) -> None:
    """Note the faults of a device and of its key inventory."""
    targets = tuple(device.each("targets"))
    _unique(targets, "id")
    _unique(keys or (), "id")
    if keys is not None:
        known = [item.text("id") for item in keys]
        for item in targets:
            _known(item, "image_key", known, "key of the inventory")
    for item in keys or ():
        _in_order(item, "created", "activated", "expires")
    for item in device.each("attestations"):
        _known(item, "target", _targets(device), "hardware target of the device")
    _steps(device, device)
    _unique(tuple(device.each("documents")), "id")


def _verifiers(device: Cursor, update: Cursor | None, artifacts: Iterable[Cursor]) -> None:
    """Note the faults of all verifiers' commands, met with the files that the artifacts have beside them."""
    beside = [item.get("companions") for item in artifacts]
    names = [name for item in beside if item is not None for name in item.keys()]  # noqa: SIM118
    own = None if update is None else update.get("verifier")
    for at in (own, *(item.get("verifier") for item in device.each("targets"))):
        if at is not None:
            check_verifier(at, names)


def check_update(update: Cursor, device: Cursor, keys: tuple[Cursor, ...] | None) -> None:
    """Note the faults of an update, met with its device."""
    artifacts = tuple(update.each("artifacts"))
    _unique(artifacts, "id", "file")
    _unique(tuple(update.each("endpoints")), "id", "url")
    _unique(tuple(update.each("logs")), "file")
    _unique((*device.each("documents"), *update.each("documents")), "id")
    for item in (*artifacts, *update.each("attestations")):
        _known(item, "target", _targets(device), "hardware target of the device")
    devices = [item.text("device") for item in (*artifacts, *(keys or ())) if "device" in item]
    if devices:
        for item in update.each("logs"):
            _known(item, "device", devices, "device of an artifact or key")
    for item in update.each("endpoints"):
        _address(item.at("url"))
    _verifiers(device, update, artifacts)
    _units(device, update, artifacts)
    _steps(update, device)


def _units(device: Cursor, update: Cursor, artifacts: Iterable[Cursor]) -> None:
    """Note a verifier that plays a unit of which there is no artifact."""
    units = [item.text("device") for item in artifacts if "device" in item]
    for at in (update.get("verifier"), *(item.get("verifier") for item in device.each("targets"))):
        if at is not None:
            _known(at, "device", units, "device of an artifact")


def _targets(device: Cursor) -> list[str]:
    return [item.text("id") for item in device.each("targets")]


def _unique(items: Iterable[Cursor], *keys: str) -> None:
    """Note every entry whose first present key has a value that an earlier entry has."""
    seen: dict[str, Cursor] = {}
    for item in items:
        key = next(key for key in keys if key in item)
        field = item.at(key)
        first = seen.setdefault(str(field), item)
        if first is not item:
            hint = "; give each an id of its own" if "id" in keys and key != "id" else ""
            field.problem(f"{shown(str(field))} is here twice; the first is at {first.place}{hint}")


def _known(item: Cursor, key: str, known: Iterable[str], what: str) -> None:
    field = item.get(key)
    names = list(dict.fromkeys(known))
    if field is None or str(field) in names:
        return
    hint = guess(str(field), names) or (f"; known here: {', '.join(names[:20])}" if names else "; none is described")
    field.problem(f"{shown(str(field))} is no {what}{hint}")


def _in_order(item: Cursor, *keys: str) -> None:
    """Note a date that lies before the date that must precede it. Only the days are compared: a date has no time."""
    given = [item.at(key) for key in keys if key in item]
    for earlier, later in pairwise(given):
        if str(later)[:10] < str(earlier)[:10]:
            later.problem(f"{later.path[-1]} lies before {earlier.path[-1]} ({earlier})")


def _steps(at: Cursor, device: Cursor) -> None:
    steps = at.get("steps")
    if steps is None:
        return
    for step, one, other in (
        ("stage", "preconditions", "none_needed"),
        ("apply", "coordination", "coordination_reason"),
    ):
        item = steps.get(step)
        if item is not None and one in item and other in item:
            item.at(other).problem(f"{other} stands in place of {one}; both cannot hold")
    distribute = steps.get("distribute")
    for path in distribute.each("paths") if distribute is not None else ():
        _known(path, "target", _targets(device), "hardware target of the device")


def _address(url: Cursor) -> None:
    try:
        parts = urlsplit(str(url))
        named = parts.username is not None or parts.password is not None
        usable = bool(parts.hostname) and parts.port != 0
    except ValueError as error:
        url.problem(f"{shown(str(url))} is not a usable address: {error}")
        return
    if named:
        url.problem("the address holds a user name or password; leave it out, it would stand in every report")
    elif not usable:
        url.problem(f"{shown(str(url))} names no host")
