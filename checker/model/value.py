"""`@value`: a frozen dataclass with keyword fields that takes little time to define.

`dataclass` writes six methods of every class as text and has Python compile them: half a millisecond a class, in sum
a fifth of a whole `otaudit probe`. Here only what assigns is made so; what compares, hashes and shows is shared.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from operator import attrgetter
from typing import TypeVar, dataclass_transform

T = TypeVar("T")


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(field,))
def value(cls: type[T]) -> type[T]:
    """Return what `dataclass(frozen=True, kw_only=True)` would make of a class with at least one field.

    `field(compare=False)` and `field(repr=False)` mean the same as there.
    """
    made = dataclass(frozen=True, kw_only=True, eq=False, repr=False)(cls)
    all_fields = fields(made)  # type: ignore[arg-type]  # mypy does not see here that it is a dataclass
    compared = attrgetter(*(item.name for item in all_fields if item.compare))
    shown = tuple(item.name for item in all_fields if item.repr)

    def equal(self: T, other: object) -> bool:
        return compared(self) == compared(other) if other.__class__ is self.__class__ else NotImplemented

    def digest(self: T) -> int:
        return hash(compared(self))

    def text(self: T) -> str:
        return f"{self.__class__.__qualname__}({', '.join(f'{name}={getattr(self, name)!r}' for name in shown)})"

    for name, method in (("__eq__", equal), ("__hash__", digest), ("__repr__", text)):
        setattr(made, name, method)
    return made
