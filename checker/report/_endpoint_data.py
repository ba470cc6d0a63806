"""One endpoint's facts as plain data, with every transcript: what a third person needs to judge again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from enum import Enum

import rfc8785

from checker.model.endpoint import EndpointFacts
from checker.report._values import clean

Data = None | bool | int | float | str | list["Data"] | dict[str, "Data"]


def endpoint_data(facts: EndpointFacts) -> dict[str, Data]:
    """Return the facts field by field; dates and answers as in the model."""
    return {item.name: _plain(getattr(facts, item.name)) for item in fields(facts)}


def endpoint_json(found: Sequence[EndpointFacts]) -> bytes:
    """Return several endpoints as canonical JSON (RFC 8785)."""
    return rfc8785.dumps({"otaudit": "endpoints/1", "endpoints": [endpoint_data(item) for item in found]})


def _plain(value: object) -> Data:
    if isinstance(value, Enum):
        return str(value.value)
    if is_dataclass(value) and not isinstance(value, type):
        return {item.name: _plain(getattr(value, item.name)) for item in fields(value)}
    if isinstance(value, Mapping):
        return {clean(str(key)): _plain(item) for key, item in value.items()}
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, Sequence):
        return [_plain(item) for item in value]
    return value if isinstance(value, (bool, int, float)) or value is None else clean(str(value))
