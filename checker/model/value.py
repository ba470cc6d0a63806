"""`@value`: a frozen dataclass with keyword fields that takes little time to define.

`dataclass` writes six methods of every class as text and has Python compile them: half a millisecond a class, in sum
a fifth of a whole `otaudit probe`. Here it only collects the fields; the methods are shared, and nothing is compiled.
"""

from __future__ import annotations

from dataclasses import MISSING, FrozenInstanceError, dataclass, field, fields
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
    defaults = {item.name: item.default for item in all_fields if item.default is not MISSING}
    factories = {item.name: item.default_factory for item in all_fields if item.default_factory is not MISSING}
    compared = attrgetter(*(item.name for item in all_fields if item.compare))
    shown = tuple(item.name for item in all_fields if item.repr)

    def start(self: T, **given: Any) -> None:  # noqa: ANN401 - mypy checks them by the fields
        left_out = names - given.keys()
        if len(given) + len(left_out) != len(names) or not left_out <= defaults.keys() | factories.keys():
            wrong = sorted(given.keys() - names) or sorted(left_out - defaults.keys() - factories.keys())
            raise TypeError(f"{type(self).__qualname__} takes its fields by name, each once; see {', '.join(wrong)}")
        made_now = {name: factories[name]() for name in left_out if name in factories}
        vars(self).update(defaults | made_now | given)

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


def _refuse(_: object, name: str, *_value: object) -> NoReturn:
    raise FrozenInstanceError(f"the field {name!r} is frozen")
