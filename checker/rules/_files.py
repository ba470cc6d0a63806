"""The files of a rule set: read, checked against `schemas/rules.schema.json`, and kept with their places."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources.abc import Traversable
from typing import Any, Final

from jsonschema import Draft202012Validator, ValidationError

from checker import resources
from checker.errors import Problem, RuleError
from checker.model.evidence import Value
from checker.rules._validate import did_you_mean
from checker.rules._yaml import Document, Path, parse

MAIN: Final = "ruleset.yaml"
_LONG: Final = 200  # characters of a message of the schema validator, which repeats the data
_SINGLE: Final = ("tiers", "tables", "families", "observations", "crosswalk")  # files with a shape of their own


@dataclass
class Files:
    """The parsed files of one rule set, by role, and every problem found on the way."""

    folder: Traversable
    digest: str
    problems: list[Problem] = field(default_factory=list)
    documents: dict[str, Document] = field(default_factory=dict)  # "ruleset", "tiers", "01-sign.yaml" …
    rows: list[str] = field(default_factory=list)
    profiles: list[str] = field(default_factory=list)

    def data(self, role: str) -> Mapping[str, Any]:
        """Return the data of a file, empty where it is missing or not a mapping."""
        document = self.documents.get(role)
        return document.data if document is not None and isinstance(document.data, Mapping) else {}

    def blame(self, role: str, path: Path, message: str) -> None:
        """Keep a problem at a path of a file."""
        document = self.documents.get(role) or Document(role, None, {})
        self.problems.append(document.problem(path, message))


def read_all(folder: Traversable) -> Files:
    """Read the files that `ruleset.yaml` names; problems are collected.

    Raises:
        RuleError: the folder or its `ruleset.yaml` cannot be read at all.
    """
    if not (folder / MAIN).is_file():
        raise RuleError((Problem(MAIN, 1, 1, "$", "a rule set is a folder with a file ruleset.yaml"),))
    files = Files(folder, digest_of(folder))
    _read(files, "ruleset", MAIN, "ruleset")
    named = files.data("ruleset").get("files")
    named = named if isinstance(named, Mapping) else {}
    for role in _SINGLE:
        if isinstance(named.get(role), str):
            _read(files, role, named[role], role)
    rows = named.get("rows")
    for name in rows if isinstance(rows, list) else ():
        if isinstance(name, str):
            files.rows.append(name)
            _read(files, name, name, "row")
    for name in _profile_names(folder):
        files.profiles.append(name)
        _read(files, name, name, "profile")
    return files


def _profile_names(folder: Traversable) -> list[str]:
    """Return every file of `profiles/`; they are not named in `ruleset.yaml`, so that a further one is one new file."""
    profiles = folder / "profiles"
    if not profiles.is_dir():
        return []
    return sorted(f"profiles/{entry.name}" for entry in profiles.iterdir() if entry.name.endswith(".yaml"))


def read_cases(folder: Traversable, name: str) -> Document | None:
    """Return one file of `tests/`, None where there is none.

    Raises:
        RuleError: it is not valid.
    """
    files = Files(folder, "")
    if not (folder / "tests" / f"{name}.yaml").is_file():
        return None
    _read(files, name, f"tests/{name}.yaml", "tests")
    if files.problems:
        raise RuleError(tuple(files.problems))
    return files.documents[name]


def digest_of(folder: Traversable) -> str:
    """Return the SHA-256 of a rule set: over name, length and bytes of every file, names sorted, in hex."""
    running = hashlib.sha256()
    for name, entry in sorted(_walk(folder, "")):
        data = entry.read_bytes()
        running.update(f"{name}\0{len(data)}\0".encode())
        running.update(data)
    return running.hexdigest()


def _walk(folder: Traversable, prefix: str, depth: int = 3) -> Iterator[tuple[str, Traversable]]:
    for entry in folder.iterdir():
        if entry.is_dir() and depth and not entry.name.startswith((".", "_")):
            yield from _walk(entry, f"{prefix}{entry.name}/", depth - 1)
        elif entry.is_file() and entry.name.endswith((".yaml", ".json")):
            yield f"{prefix}{entry.name}", entry


def _read(files: Files, role: str, name: str, shape: str) -> None:
    parts = name.split("/")
    if ".." in parts or name.startswith("/") or "\\" in name:
        files.blame("ruleset", ("files",), f"{name!r} leads out of the rule set's folder")
        return
    entry = files.folder
    for part in parts:
        entry = entry / part
    if not entry.is_file():
        files.blame("ruleset", ("files",), f"there is no file {name}")
        return
    try:
        files.documents[role] = parse(entry.read_bytes(), name)
    except RuleError as error:
        files.problems += error.problems
        return
    for path, message in shape_faults(files.documents[role].data, shape):
        files.blame(role, path, message)


def shape_faults(data: Value, shape: str) -> Iterator[tuple[Path, str]]:
    """Yield every fault of a file's data against its shape, a definition of `schemas/rules.schema.json`."""
    for error in _validator(shape).iter_errors(data):
        yield from _explain(error)


@cache
def _validator(shape: str) -> Draft202012Validator:
    schema = json.loads(resources.read("schemas", "rules.schema.json"))
    return Draft202012Validator({"$ref": f"#/$defs/{shape}", "$defs": schema["$defs"]})


def _explain(error: ValidationError) -> Iterator[tuple[Path, str]]:
    path: Path = tuple(error.absolute_path)
    schema: Any = error.schema
    given: Any = error.instance
    if error.validator == "additionalProperties":
        known = schema.get("properties", {})
        for key in sorted(set(given) - set(known)):
            yield (*path, key), f"{key!r} does not belong here{did_you_mean(key, known)}"
    elif error.validator == "enum":
        allowed = [str(item) for item in schema["enum"]]
        word = str(error.instance)
        yield path, f"{word!r} is none of {', '.join(allowed)}{did_you_mean(word, allowed)}"
    elif error.validator == "required":
        missing = sorted(set(schema["required"]) - set(given))
        yield path, f"{', '.join(missing)} missing"
    else:
        yield path, error.message if len(error.message) < _LONG else f"has the wrong shape ({error.validator})"
