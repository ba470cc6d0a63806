"""Changes that no cyclic redundancy check notices (criteria.md 3.10): a checksum is no security control.

A CRC of files of one length is affine over GF(2): the change of its value depends on the change of the bytes alone. A
change of a few bytes after which the running value is what it would have been is found by solving linear equations,
without a look at the file, and holds for every file and whatever the CRC starts with.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from checker.io.checksums import CATALOGUE, Checksum

_CHANGE: Final = 0x5A  # what the first byte is changed by; any value but zero would do


def patch(names: Iterable[str] = CATALOGUE) -> bytes:
    """Return a difference that leaves every CRC of these names as it was, to be XORed over bytes anywhere in a file.

    Its first byte is not zero. Its length is one byte and those of all the CRCs' values.

    Raises:
        KeyError: there is no such CRC.
    """
    kinds = tuple(names)
    length = sum(CATALOGUE[name].width for name in kinds) // 8
    change = bytes((_CHANGE,)) + bytes(length)
    columns = [_unit(length, bit) for bit in range(length * 8)]
    solution = _solve([_effect(kinds, column) for column in columns], _effect(kinds, change))
    return bytes((_CHANGE,)) + _sum([columns[bit][1:] for bit in solution], length)


def _unit(length: int, bit: int) -> bytes:
    return bytes(1) + (1 << bit).to_bytes(length, "big")


def _effect(names: Sequence[str], difference: bytes) -> int:
    """Return what a difference does to all the CRCs, as bits one behind the other."""
    found = 0
    for name in names:
        value = int.from_bytes(_value(name, difference)) ^ int.from_bytes(_value(name, bytes(len(difference))))
        found = found << CATALOGUE[name].width | value
    return found


def _value(name: str, data: bytes) -> bytes:
    running = Checksum(name)
    running.update(data)
    return running.digest()


def _solve(columns: Sequence[int], wanted: int) -> list[int]:
    """Return which columns sum up to `wanted` over GF(2) (Gaussian elimination, columns as bit strings).

    Several CRCs with one polynomial give equal columns; then fewer columns are enough.
    """
    basis: dict[int, tuple[int, int]] = {}  # by leading bit: a value, and the columns that it is the sum of
    for number, column in enumerate(columns):
        value, made_of = _reduced(column, 1 << number, basis)
        if value:
            basis[value.bit_length()] = (value, made_of)
    rest, made_of = _reduced(wanted, 0, basis)
    if rest:
        raise AssertionError("more unknowns than equations, of full rank")
    return [number for number in range(len(columns)) if made_of >> number & 1]


def _reduced(value: int, made_of: int, basis: dict[int, tuple[int, int]]) -> tuple[int, int]:
    while value and (known := basis.get(value.bit_length())):
        value, made_of = value ^ known[0], made_of ^ known[1]
    return value, made_of


def _sum(parts: Iterable[bytes], length: int) -> bytes:
    total = 0
    for part in parts:
        total ^= int.from_bytes(part)
    return total.to_bytes(length, "big")
