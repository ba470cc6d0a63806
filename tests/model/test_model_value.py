"""`@value` makes what `@dataclass(frozen=True, kw_only=True)` makes; each test holds the two beside each other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import FrozenInstanceError, asdict, dataclass, field, fields, is_dataclass, replace
from typing import Any

import pytest

from checker.model.value import value

standard = dataclass(frozen=True, kw_only=True)
Make = Callable[[type], Any]


def made(make: Make) -> Any:
    class Sample:
        """A sample."""

        first: int
        second: str = "b"
        third: tuple[int, ...] = field(default_factory=tuple)
        secret: bytes = field(default=b"", repr=False)
        note: str = field(default="", compare=False)

    Sample.__qualname__ = "Sample"
    return make(Sample)


def both(check: Callable[[Any], object]) -> tuple[object, object]:
    return check(made(value)), check(made(standard))


@pytest.mark.parametrize("make", [value, standard])
def test_equal_values_are_equal_and_hash_alike(make: Make) -> None:
    sample = made(make)
    one, same, other = sample(first=1), sample(first=1), sample(first=2)
    assert one == same
    assert hash(one) == hash(same)
    assert one != other
    assert len({one, same, other}) == 2


@pytest.mark.parametrize("make", [value, standard])
def test_a_field_that_is_left_out_of_comparisons_does_not_count(make: Make) -> None:
    sample = made(make)
    assert sample(first=1, note="x") == sample(first=1, note="y")
    assert hash(sample(first=1, note="x")) == hash(sample(first=1, note="y"))
    assert sample(first=1, secret=b"x") != sample(first=1, secret=b"y")


@pytest.mark.parametrize("make", [value, standard])
def test_another_class_with_the_same_fields_is_never_equal(make: Make) -> None:
    assert made(make)(first=1) != made(make)(first=1)
    assert made(make)(first=1) != (1, "b", (), b"")


def test_it_is_shown_alike_and_without_what_is_not_to_be_shown() -> None:
    ours, theirs = both(lambda sample: repr(sample(first=1, third=(2,), secret=b"key")))
    assert ours == theirs == "Sample(first=1, second='b', third=(2,), note='')"


def test_the_hash_is_the_standard_one() -> None:
    ours, theirs = both(lambda sample: hash(sample(first=1, third=(2,))))
    assert ours == theirs


@pytest.mark.parametrize("make", [value, standard])
def test_nothing_can_be_assigned_or_deleted(make: Make) -> None:
    sample = made(make)(first=1)
    with pytest.raises(FrozenInstanceError):
        sample.first = 2
    with pytest.raises(FrozenInstanceError):
        sample.new = 2
    with pytest.raises(FrozenInstanceError):
        del sample.first


@pytest.mark.parametrize("make", [value, standard])
@pytest.mark.parametrize(("positional", "named"), [((1,), {}), ((), {}), ((), {"first": 1, "other": 2})])
def test_wrong_arguments_are_refused(make: Make, positional: tuple[int, ...], named: dict[str, int]) -> None:
    with pytest.raises(TypeError):
        made(make)(*positional, **named)


@pytest.mark.parametrize("make", [value, standard])
def test_a_value_that_holds_what_has_no_hash_has_none(make: Make) -> None:
    with pytest.raises(TypeError):
        hash(made(make)(first=[]))


def test_the_standard_functions_take_it() -> None:
    sample = made(value)
    assert is_dataclass(made(value))
    assert replace(sample(first=1), second="c") == sample(first=1, second="c")
    assert asdict(sample(first=1)) == asdict(made(standard)(first=1))
    assert [item.name for item in fields(sample)] == ["first", "second", "third", "secret", "note"]


def test_one_field_is_enough() -> None:
    @value
    class Single:
        """One field."""

        only: int

    assert Single(only=1) == Single(only=1) != Single(only=2)
    assert repr(Single(only=1)).endswith("Single(only=1)")
