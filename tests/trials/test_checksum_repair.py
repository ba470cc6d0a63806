"""A change that no CRC notices, found without a look at the file; any hash notices it (criteria.md 3.10)."""

from __future__ import annotations

import zlib
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checker.io.checksums import CATALOGUE, Checksum
from checker.trials.checksum_repair import patch

ALL = patch()


def crc(name: str, data: bytes) -> bytes:
    running = Checksum(name)
    running.update(data)
    return running.digest()


def changed(data: bytes, at: int, difference: bytes) -> bytes:
    middle = bytes(a ^ b for a, b in zip(data[at : at + len(difference)], difference, strict=True))
    return data[:at] + middle + data[at + len(difference) :]


@given(st.binary(min_size=len(ALL), max_size=300), st.data())
def test_no_crc_of_the_catalogue_notices_and_a_hash_does(data: bytes, draw: st.DataObject) -> None:
    other = changed(data, draw.draw(st.integers(0, len(data) - len(ALL))), ALL)
    assert {name for name in CATALOGUE if crc(name, other) != crc(name, data)} == set()
    assert sha256(other).digest() != sha256(data).digest()


@pytest.mark.parametrize("name", CATALOGUE)
def test_one_crc_needs_one_byte_and_its_own_width(name: str) -> None:
    difference = patch([name])
    assert len(difference) == 1 + CATALOGUE[name].width // 8
    assert difference[0]
    data = bytes(range(100, 200))
    assert crc(name, changed(data, 40, difference)) == crc(name, data)


def test_the_repair_is_needed_without_it_the_checksum_notices() -> None:
    data = bytes(range(100, 200))
    difference = patch(["crc-32/iso-hdlc"])
    assert zlib.crc32(changed(data, 40, difference)) == zlib.crc32(data)
    assert zlib.crc32(changed(data, 40, difference[:1])) != zlib.crc32(data)
    assert zlib.crc32(changed(data, 40, difference[:-1])) != zlib.crc32(data)


def test_one_crcs_repair_is_seen_by_another() -> None:
    data = bytes(range(100, 200))
    other = changed(data, 40, patch(["crc-16/arc"]))
    assert crc("crc-32/iso-hdlc", other) != crc("crc-32/iso-hdlc", data)
