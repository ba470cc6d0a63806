from __future__ import annotations

import zlib
from collections.abc import Iterator

import fastcrc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from checker.io import checksums
from checker.io.checksums import ALIASES, CATALOGUE, Checksum, resolve

# The second implementation: fastcrc (Rust, crc-catalog) names of the same algorithms.
PEERS = {
    "crc-8/smbus": fastcrc.crc8.smbus,
    "crc-16/arc": fastcrc.crc16.arc,
    "crc-16/ibm-3740": fastcrc.crc16.ibm_3740,
    "crc-16/ibm-sdlc": fastcrc.crc16.ibm_sdlc,
    "crc-16/kermit": fastcrc.crc16.kermit,
    "crc-16/modbus": fastcrc.crc16.modbus,
    "crc-16/usb": fastcrc.crc16.usb,
    "crc-16/xmodem": fastcrc.crc16.xmodem,
    "crc-32/bzip2": fastcrc.crc32.bzip2,
    "crc-32/cksum": fastcrc.crc32.cksum,
    "crc-32/iscsi": fastcrc.crc32.iscsi,
    "crc-32/iso-hdlc": fastcrc.crc32.iso_hdlc,
    "crc-32/mpeg-2": fastcrc.crc32.mpeg_2,
    "crc-64/ecma-182": fastcrc.crc64.ecma_182,
    "crc-64/xz": fastcrc.crc64.xz,
}


def value(name: str, data: bytes) -> int:
    running = Checksum(name)
    running.update(data)
    return int.from_bytes(running.digest(), "big")


@pytest.fixture(params=["with fastcrc", "without fastcrc"], scope="module", autouse=True)
def engine(request: pytest.FixtureRequest) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "without fastcrc":
            patch.setattr(checksums, "_fast", lambda _: None)
        yield


@pytest.mark.parametrize("name", CATALOGUE)
def test_the_published_check_value_is_reached(name: str) -> None:
    assert value(name, b"123456789") == CATALOGUE[name].check


@pytest.mark.parametrize("name", sorted(PEERS))
@given(data=st.binary(max_size=300), cut=st.integers(0, 300))
def test_a_second_implementation_agrees_however_the_bytes_arrive(name: str, data: bytes, cut: int) -> None:
    running = Checksum(name)
    running.update(data[:cut])
    running.update(memoryview(data)[cut:])
    assert int.from_bytes(running.digest(), "big") == PEERS[name](data)


def test_everything_but_the_openpgp_crc_has_a_second_implementation() -> None:
    assert set(CATALOGUE) - set(PEERS) == {"crc-24/openpgp"}


@pytest.mark.parametrize("alias", ALIASES)
def test_an_alias_names_a_catalogue_entry(alias: str) -> None:
    assert resolve(alias.upper()) in CATALOGUE


def test_two_crcs_of_one_width_are_told_apart() -> None:
    assert value("crc-16/arc", b"image") != value("crc-16/xmodem", b"image")


def test_crc_32_is_the_one_of_zip() -> None:
    assert value("crc-32", b"image") == zlib.crc32(b"image")


def test_an_unknown_crc_is_refused() -> None:
    with pytest.raises(KeyError):
        Checksum("crc-17")
