"""Recorded examinations, read back: what `otaudit probe -o FILE.json` wrote, so that another person can judge again."""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from enum import StrEnum
from functools import cache
from typing import Any, Final, Union, get_args, get_origin, get_type_hints

from checker.errors import FormatError
from checker.io.strict_json import parse
from checker.model.endpoint import EndpointFacts

KIND: Final = "endpoints/1"
MAX_RECORD: Final = 64 * 1024 * 1024  # bytes: transcripts of some hundred endpoints


def read_records(data: bytes) -> tuple[EndpointFacts, ...]:
    """Return the endpoints of a record.

    Raises:
        FormatError: it is no JSON, no record, or a field is unknown, missing or of another type; the error names it.
    """
    found = parse(data, "endpoint record", limit=MAX_RECORD, fractions=True)
    if not isinstance(found, Mapping) or found.get("otaudit") != KIND or not isinstance(found.get("endpoints"), list):
        raise FormatError(f'is no record of endpoints: it lacks "otaudit": "{KIND}"', field="otaudit")
    return tuple(_read(EndpointFacts, item, f"endpoints[{index}]") for index, item in enumerate(found["endpoints"]))


@cache
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)


def _read(wanted: Any, value: Any, path: str) -> Any:  # noqa: ANN401 - as many types as the model has
    if is_dataclass(wanted) and isinstance(wanted, type):
        return _dataclass(wanted, value, path)
    origin, inner = get_origin(wanted), get_args(wanted)
    if origin in {Union, types.UnionType}:
        return None if value is None else _read(next(item for item in inner if item is not type(None)), value, path)
    if origin is tuple:
        return _tuple(inner, value, path)
    if origin is Mapping:
        _check(isinstance(value, dict), "an object", path)
        return types.MappingProxyType({name: _read(inner[1], item, f"{path}.{name}") for name, item in value.items()})
    return _scalar(wanted, value, path)


def _dataclass(wanted: type, value: Any, path: str) -> Any:  # noqa: ANN401
    _check(isinstance(value, dict), "an object", path)
    hints, known = _hints(wanted), {item.name: item for item in fields(wanted)}
    for name in value:
        _check(name in known, "a known field", f"{path}.{name}")
    for name, item in known.items():
        needed = item.default is MISSING and item.default_factory is MISSING
        _check(name in value or not needed, "there", f"{path}.{name}")
    return wanted(**{name: _read(hints[name], item, f"{path}.{name}") for name, item in value.items()})


def _tuple(inner: tuple[Any, ...], value: Any, path: str) -> tuple[Any, ...]:  # noqa: ANN401
    _check(isinstance(value, list), "a list", path)
    if inner[-1:] == (Ellipsis,):
        return tuple(_read(inner[0], item, f"{path}[{index}]") for index, item in enumerate(value))
    _check(len(value) == len(inner), f"a list of {len(inner)}", path)
    return tuple(
        _read(kind, item, f"{path}[{index}]") for index, (kind, item) in enumerate(zip(inner, value, strict=True))
    )


def _scalar(wanted: Any, value: Any, path: str) -> Any:  # noqa: ANN401
    if isinstance(wanted, type) and issubclass(wanted, StrEnum):
        _check(isinstance(value, str) and value in set(wanted), f"one of {', '.join(wanted)}", path)
        return wanted(value)
    if wanted is float:
        _check(isinstance(value, (int, float)) and not isinstance(value, bool), "a number", path)
        return float(value)
    _check(type(value) is wanted, f"of type {wanted.__name__}", path)
    return value


def _check(truth: bool, wanted: str, path: str) -> None:  # noqa: FBT001 - the one question of this function
    if not truth:
        raise FormatError(f"is not {wanted}", field=path)
