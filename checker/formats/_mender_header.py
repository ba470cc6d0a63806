"""The texts of a Mender artifact: `version`, `manifest`, and the JSON files of its header archives.

Source: mendersoftware/mender-artifact Documentation/artifact-format-v2.md and artifact-format-v3.md.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from checker.errors import FormatError, LimitError
from checker.formats import _tar
from checker.io.limits import MAX_MEMBERS
from checker.model.artifact import Source

MAX_JSON: Final = 1024 * 1024  # bytes of one JSON file
MAX_LINES: Final = MAX_MEMBERS
VERSIONS: Final = (2, 3)
_LINE: Final = re.compile(r"([0-9a-fA-F]{64})  ([^\x00-\x1f]+)")

Json = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Payload:
    """One entry of the `payloads` list, with what its type-info says."""

    type: str
    depends: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Header:
    """What a header archive says. Version 2 names no provides and depends; its fields are read into the same ones."""

    name: str
    group: str
    device_types: tuple[str, ...]
    depends: tuple[str, ...]  # artifact_name and artifact_group conditions
    payloads: tuple[Payload, ...]
    scripts: tuple[tuple[str, int], ...]  # names and sizes in bytes


def read_version(data: bytes) -> int:
    """Return the format's version.

    Raises:
        FormatError: it is not a `version` file, or of a version that is not known.
    """
    found = _object(data, "version")
    if found.get("format") != "mender":
        raise FormatError("the format is not 'mender'", field="version")
    if found.get("version") not in VERSIONS:
        raise FormatError(f"version {str(found.get('version'))[:20]!r} is not 2 or 3", field="version")
    return int(found["version"])


def read_manifest(data: bytes, field: str) -> Mapping[str, str]:
    """Return the SHA-256 (hex) of each file that a manifest names.

    Raises:
        LimitError: it has more lines than an archive may have members.
        FormatError: a line is not `SHA256  NAME`, or a name stands twice.
    """
    found: dict[str, str] = {}
    lines = _text(data, field).split("\n")
    if len(lines) > MAX_LINES:
        raise LimitError(f"{len(lines)} lines, at most {MAX_LINES} are read", field=field)
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        match = _LINE.fullmatch(line)
        if match is None or match[2] in found:
            why = "is not 'SHA256  NAME'" if match is None else "names a file again"
            raise FormatError(f"line {number} {why}", field=field)
        found[match[2]] = match[1].lower()
    return found


def read_header(source: Source) -> Header:
    """Return what a decompressed header archive says.

    Raises:
        LimitError: a file in it is too long.
        FormatError: it is damaged, or `header-info` is not its first file.
    """
    files: dict[str, bytes] = {}
    names: dict[str, int] = {}
    for member in _tar.members(source):
        if member.name in names:
            raise FormatError(f"{member.name[:200]!r} occurs twice", offset=member.span.start, field="header archive")
        names[member.name] = member.span.size
        if member.name.split("/")[-1] in {"header-info", "type-info"}:
            if member.span.size > MAX_JSON:
                raise LimitError(f"more than {MAX_JSON} bytes", offset=member.span.start, field=member.name[:200])
            files[member.name] = source.read(member.span.start, member.span.size)
    if next(iter(names), "") != "header-info":
        raise FormatError("header-info is not the first file", field="header archive")
    return _header(_object(files["header-info"], "header-info"), files, names)


def _header(info: Json, files: Mapping[str, bytes], names: Mapping[str, int]) -> Header:
    provides, depends = _map(info, "artifact_provides"), _map(info, "artifact_depends")
    listed = info.get("payloads", info.get("updates", []))
    if not isinstance(listed, list) or not all(isinstance(item, dict) for item in listed):
        raise FormatError("'payloads' is not a list of objects", field="header-info")
    conditions = (f"{key} {' or '.join(_strings(value))}" for key, value in depends.items() if key != "device_type")
    return Header(
        name=_string(provides.get("artifact_name", info.get("artifact_name"))),
        group=_string(provides.get("artifact_group")),
        device_types=_strings(depends.get("device_type", info.get("device_types_compatible"))),
        depends=tuple(conditions),
        payloads=tuple(_payload(number, item, files) for number, item in enumerate(listed)),
        scripts=tuple((name, size) for name, size in names.items() if name.startswith("scripts/")),
    )


def _payload(number: int, item: Json, files: Mapping[str, bytes]) -> Payload:
    name = f"headers/{number:04d}/type-info"
    depends = _map(_object(files[name], name), "artifact_depends") if name in files else {}
    conditions = tuple(f"{number:04d}: {key} {' or '.join(_strings(value))}" for key, value in depends.items())
    return Payload(type=_string(item.get("type")), depends=conditions)


def _text(data: bytes, field: str) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise FormatError("is not UTF-8 text", field=field) from error


def _object(data: bytes, field: str) -> Json:
    if len(data) > MAX_JSON:
        raise LimitError(f"{len(data)} bytes, at most {MAX_JSON} are read", field=field)
    try:
        found = json.loads(_text(data, field), object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise FormatError(f"is not JSON: {str(error)[:200]}", field=field) from error
    if not isinstance(found, dict):
        raise FormatError("is not a JSON object", field=field)
    return found


def _unique(pairs: Iterable[tuple[str, Any]]) -> Json:
    found: Json = {}
    for key, value in pairs:
        if key in found:  # readers differ about which one counts
            raise ValueError(f"the key {key[:80]!r} stands twice")
        found[key] = value
    return found


def _map(info: Json, key: str) -> Json:
    found = info.get(key)
    return found if isinstance(found, dict) else {}


def _string(value: Any) -> str:  # noqa: ANN401 - JSON
    return value if isinstance(value, str) else ""


def _strings(value: Any) -> tuple[str, ...]:  # noqa: ANN401 - JSON
    items = value if isinstance(value, list) else [value]
    return tuple(item for item in items if isinstance(item, str) and item)
