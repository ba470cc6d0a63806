"""The evidence kinds and the types of their fields, read from `schemas/evidence`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from checker import resources

_SUFFIX: Final = ".schema.json"


@dataclass(frozen=True, kw_only=True)
class FieldType:
    """What a field holds. `type` is string, integer, boolean or array; `items` is the type of an array's items."""

    type: str
    enum: tuple[str, ...] = ()
    items: str = ""


# Beside the kind's own fields (docs/rules.md, Conditions).
COMMON: Final = {
    "method": FieldType(type="string", enum=("declared", "examined", "tested")),
    "party": FieldType(type="string", enum=("first", "second", "third")),
    "subject.id": FieldType(type="string"),
}


@dataclass(frozen=True)
class Kinds:
    """All kinds with their fields, each field by its dotted path."""

    fields: Mapping[str, Mapping[str, FieldType]] = field(repr=False)

    @classmethod
    def load(cls) -> Kinds:
        """Return the kinds of `schemas/evidence`.

        Raises:
            MissingDataError: the schemas are not installed.
        """
        found = {}
        for entry in (resources.folder("schemas") / "evidence").iterdir():
            if entry.name.endswith(_SUFFIX):
                schema = json.loads(entry.read_text("utf-8"))
                found[entry.name.removesuffix(_SUFFIX)] = dict(_fields(schema, "")) | COMMON
        return cls(dict(sorted(found.items())))

    def has(self, kind: str, path: str) -> bool:
        """Return whether records of a kind can have this field."""
        return path in self.fields.get(kind, {})


def _fields(schema: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, FieldType]]:
    for name, part in schema.get("properties", {}).items():
        if part.get("type") == "object":
            yield from _fields(part, f"{prefix}{name}.")
        else:
            items = part.get("items", {}).get("type", "")
            yield f"{prefix}{name}", FieldType(type=part["type"], enum=tuple(part.get("enum", ())), items=items)
