"""`@value`: a frozen dataclass with keyword fields that takes little time to define.

`dataclass` writes six methods of every class as text and has Python compile them: half a millisecond a class, in sum
a fifth of a whole `otaudit probe`. Here it only collects the fields; the methods are shared, and nothing is compiled.
"""

from __future__ import annotations

from dataclasses import MISSING, Field, FrozenInstanceError, dataclass, field, fields
from operator import attrgetter
from typing import Any, NoReturn, TypeVar, dataclass_transform

T = TypeVar("T")


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(field,))
def value(cls: type[T]) -> type[T]:
    """Return what `dataclass(frozen=True, kw_only=True)` would make of a class with at least one field.

    `field` takes `default`, `default_factory`, `compare` and `repr`, which mean the same as there.
    """
    made = dataclass(init=False, eq=False, repr=False, kw_only=True)(cls)
    all_fields = fields(made)  # type: ignore[arg-type]  # mypy does not see here that it is a dataclass
    names = frozenset(item.name for item in all_fields)
    needed = frozenset(item.name for item in all_fields if item.default is item.default_factory is MISSING)
    compared = attrgetter(*(item.name for item in all_fields if item.compare))
    shown = tuple(item.name for item in all_fields if item.repr)

    def start(self: T, **given: Any) -> None:  # noqa: ANN401 - mypy checks them by the fields
        if not needed <= given.keys() <= names:
            wrong = sorted(given.keys() - names) or sorted(needed - given.keys())
            raise TypeError(f"{type(self).__qualname__} takes its fields by name, each once; see {', '.join(wrong)}")
        for item in all_fields:  # one by one and in one order, so that all instances share their table of names
            object.__setattr__(self, item.name, given[item.name] if item.name in given else _default(item))

    def equal(self: T, other: object) -> bool:
        return compared(self) == compared(other) if other.__class__ is self.__class__ else NotImplemented

    def digest(self: T) -> int:
        return hash(compared(self))

    def text(self: T) -> str:
        return f"{self.__class__.__qualname__}({', '.join(f'{name}={getattr(self, name)!r}' for name in shown)})"

    methods = {"__init__": start, "__eq__": equal, "__hash__": digest, "__repr__": text}
    for name, method in (methods | {"__setattr__": _refuse, "__delattr__": _refuse}).items():
        setattr(made, name, method)
    return made


def _default(item: Field[Any]) -> Any:  # noqa: ANN401 - of whatever type the field has
    return item.default if item.default_factory is MISSING else item.default_factory()


def _refuse(_: object, name: str, *_value: object) -> NoReturn:
    raise FrozenInstanceError(f"the field {name!r} is frozen")
