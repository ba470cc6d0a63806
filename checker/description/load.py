"""`load(path)` reads an update with its device and key inventory; `load_device(path)` reads a device alone.

Whether the files that they name exist is not asked here: a missing artifact must not keep the rest from being assessed.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from checker.description import _build, _checks, _schema
from checker.description._cursor import Cursor, Desk
from checker.description._schema import guess
from checker.description._yaml import START, Items, Map, Node, Text, fault, parse
from checker.description.model import Description, Device
from checker.errors import DescriptionError, InputError
from checker.io.digests import digest
from checker.io.files import Files
from checker.io.limits import MAX_DESCRIPTION
from checker.io.sources import FileSource

_Keys = tuple[Cursor, ...] | None


def load(path: Path, *, allow_outside: bool = False) -> Description:
    """Return a complete description of one update.

    Every `FileRef.path` in it is relative to the update's folder, so `Files(folder).open(ref.path)` opens it.

    Raises:
        DescriptionError: it, its device or its key inventory is not valid; carries all problems found.
        InputError: `path` cannot be read.
    """
    desk = Desk(Files(path.parent, allow_outside))
    update = _top(desk, path, "update")
    device = _device(update)
    keys = _keys(device)
    _stop(desk)
    assert device is not None  # noqa: S101 - a missing device is a problem, and _stop has raised
    description = _description(path, update, device, keys)
    _checks.check_device(device, keys)
    _checks.check_update(update, device, keys)
    _stop(desk)
    return description


def load_device(path: Path, *, allow_outside: bool = False) -> Device:
    """Return a device; its paths are relative to its own folder.

    Raises:
        DescriptionError: it or its key inventory is not valid; carries all problems found.
        InputError: `path` cannot be read.
    """
    desk = Desk(Files(path.parent, allow_outside))
    at = _top(desk, path, "device")
    keys = _keys(at)
    _stop(desk)
    device = _build.device(at, keys)
    _checks.check_device(at, keys)
    _stop(desk)
    return device


def _description(path: Path, update: Cursor, device_at: Cursor, keys: _Keys) -> Description:
    device = _build.device(device_at, keys)
    return Description(
        file=update.file,
        folder=str(path.parent),
        sha256=update.sha256,
        id=update.text("id"),
        version=update.text("version"),
        device=device,
        artifacts=_build.artifacts(update),
        endpoints=_build.endpoints(update),
        verifier=_build.command(update.get("verifier")),
        client=_build.command(update.get("client")),
        staging=_build.staging(update, device_at),
        logs=_build.logs(update),
        documents=device.documents + _build.documents(update),
        attestations=device.attestations + _build.attestations(update),
        steps={**device.steps, **_build.steps(update)},
        claims=_build.claims(update),
        policy=_build.policy(update, device_at),
    )


def _stop(desk: Desk) -> None:
    if desk.problems:
        raise DescriptionError(tuple(dict.fromkeys(desk.problems)))


def _top(desk: Desk, path: Path, schema: str) -> Cursor:
    with FileSource(path, path.name) as source:
        return _checked(desk, source, PurePosixPath(), schema)


def _checked(desk: Desk, source: FileSource, folder: PurePosixPath, schema: str) -> Cursor:
    """Return the cursor of a file; its problems with the schema are noted at the desk.

    Raises:
        DescriptionError: it is not YAML at all.
    """
    if source.size > MAX_DESCRIPTION:
        raise fault(
            source.name, START, f"the file has {source.size} bytes; a description has at most {MAX_DESCRIPTION}"
        )
    data = source.read(0, MAX_DESCRIPTION + 1)
    tree = parse(data, source.name)
    desk.problems.extend(_schema.check(tree, schema, source.name))
    return Cursor(desk, source.name, folder, digest("sha-256", data).hex(), tree)


def _device(update: Cursor) -> Cursor | None:
    at = _child(update, "device")
    if at is None or isinstance(at.node, Map):
        return at
    return _other(at, "device")


def _keys(device: Cursor | None) -> _Keys:
    at = None if device is None else _child(device, "key_inventory")
    if at is None:
        return None
    listed = at if isinstance(at.node, Items) else _other(at, "key-inventory")
    if listed is not None and isinstance(listed.node, Map):
        listed = _child(listed, "keys")
    return tuple(listed.entries()) if listed is not None and isinstance(listed.node, Items) else None


def _child(at: Cursor, key: str) -> Cursor | None:
    """Return what is under a key, even of a tree that does not fit its schema."""
    return at.at(key) if key in at else None


def _other(at: Cursor, schema: str) -> Cursor | None:
    """Return the file that a description names; None, with a problem at the name, where it cannot be read."""
    if not _is_path(at.node):
        return None
    known = len(at.desk.problems)
    path = at.ref().path
    if len(at.desk.problems) > known:
        return None
    try:
        with at.desk.files.open(path) as source:
            return _checked(at.desk, source, PurePosixPath(path).parent, schema)
    except DescriptionError as error:
        at.desk.problems.extend(error.problems)
    except InputError as error:
        at.problem(f"{error}{_neighbour(at.desk.files, path)}")
    return None


def _is_path(node: Node) -> bool:
    return isinstance(node, Text) and bool(node) and not node.null and node.truth is None


def _neighbour(files: Files, path: str) -> str:
    """Return a hint at a file of nearly that name in the same folder."""
    try:
        names = [item.name for item in files.resolve(str(PurePosixPath(path).parent)).iterdir()]
    except (OSError, InputError):
        return ""
    return guess(PurePosixPath(path).name, names)
