"""Cyclic redundancy checks. Error detection only; never a security control (criteria.md 3.10)."""

from __future__ import annotations

import binascii
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Final

Update = Callable[[int, bytes], int]


@dataclass(frozen=True)
class Crc:
    """A CRC in the Rocksoft model: width in bits, polynomial, start value, reflection, final XOR (reveng catalogue)."""

    width: int
    polynomial: int
    start: int
    reflected: bool
    final: int
    check: int  # the catalogue's value over b"123456789"


# Source: the CRC RevEng catalogue (reveng.sourceforge.io/crc-catalogue); `check` is its published check value.
CATALOGUE: Final[dict[str, Crc]] = {
    "crc-8/smbus": Crc(8, 0x07, 0, False, 0, 0xF4),
    "crc-16/arc": Crc(16, 0x8005, 0, True, 0, 0xBB3D),
    "crc-16/ibm-3740": Crc(16, 0x1021, 0xFFFF, False, 0, 0x29B1),
    "crc-16/ibm-sdlc": Crc(16, 0x1021, 0xFFFF, True, 0xFFFF, 0x906E),
    "crc-16/kermit": Crc(16, 0x1021, 0, True, 0, 0x2189),
    "crc-16/modbus": Crc(16, 0x8005, 0xFFFF, True, 0, 0x4B37),
    "crc-16/usb": Crc(16, 0x8005, 0xFFFF, True, 0xFFFF, 0xB4C8),
    "crc-16/xmodem": Crc(16, 0x1021, 0, False, 0, 0x31C3),
    "crc-24/openpgp": Crc(24, 0x864CFB, 0xB704CE, False, 0, 0x21CF02),
    "crc-32/bzip2": Crc(32, 0x04C11DB7, 0xFFFFFFFF, False, 0xFFFFFFFF, 0xFC891918),
    "crc-32/cksum": Crc(32, 0x04C11DB7, 0, False, 0xFFFFFFFF, 0x765E7680),
    "crc-32/iscsi": Crc(32, 0x1EDC6F41, 0xFFFFFFFF, True, 0xFFFFFFFF, 0xE3069283),
    "crc-32/iso-hdlc": Crc(32, 0x04C11DB7, 0xFFFFFFFF, True, 0xFFFFFFFF, 0xCBF43926),
    "crc-32/mpeg-2": Crc(32, 0x04C11DB7, 0xFFFFFFFF, False, 0, 0x0376E6E7),
    "crc-64/ecma-182": Crc(64, 0x42F0E1EBA9EA3693, 0, False, 0, 0x6C40DF5F0B497347),
    "crc-64/xz": Crc(64, 0x42F0E1EBA9EA3693, 2**64 - 1, True, 2**64 - 1, 0x995DC9BBDF1939FA),
}
ALIASES: Final = {
    "crc-16": "crc-16/arc",
    "crc-16/ccitt-false": "crc-16/ibm-3740",
    "crc-16/x-25": "crc-16/ibm-sdlc",
    "crc-32": "crc-32/iso-hdlc",
    "crc-32c": "crc-32/iscsi",
    "crc-64": "crc-64/xz",
}


def resolve(name: str) -> str:
    """Return the catalogue name of a CRC; `crc-32` is an alias, case does not matter; unknown names come back as is."""
    lowered = name.lower()
    return ALIASES.get(lowered, lowered)


class Checksum:
    """A running CRC with the interface of a `hashlib` object; the value comes big-endian."""

    def __init__(self, name: str) -> None:
        """Start the CRC called `name`.

        Raises:
            KeyError: the catalogue has no such CRC.
        """
        self.name = resolve(name)
        self._width = CATALOGUE[self.name].width
        self._engine = _engine(self.name)
        self._register = self._engine.start

    def update(self, data: bytes | memoryview) -> None:
        """Take in more bytes."""
        self._register = self._engine.update(self._register, bytes(data))

    def digest(self) -> bytes:
        """Return the value so far, big-endian, width / 8 bytes."""
        return (self._register ^ self._engine.final).to_bytes(self._width // 8, "big")


@dataclass(frozen=True)
class _Engine:
    """A way to compute one CRC: what takes in bytes, where it starts, and what is done at the end."""

    update: Update
    start: int
    final: int = 0


def _engine(name: str) -> _Engine:
    """Return the fastest engine at hand: the standard library, fastcrc where it is installed, else tables.

    Measured per second: zlib and fastcrc gigabytes, `crc_hqx` 340 MB, tables 6 MB (dependencies.md 3).
    """
    crc = CATALOGUE[name]
    if name == "crc-32/iso-hdlc":
        return _Engine(lambda register, data: zlib.crc32(data, register), 0)
    if (fast := _fast(name)) is not None:
        return _Engine(lambda register, data: fast(data, register), fast(b""))
    if name in {"crc-16/xmodem", "crc-16/ibm-3740"}:
        return _Engine(lambda register, data: binascii.crc_hqx(data, register), crc.start)
    table = _table(crc)
    if crc.reflected:
        return _Engine(lambda register, data: _reflected(table, register, data), crc.start, crc.final)
    return _Engine(lambda register, data: _straight(table, crc.width, register, data), crc.start, crc.final)


def _fast(name: str) -> Callable[..., int] | None:
    """Return the function of the optional package `fastcrc`, or None."""
    try:
        import fastcrc
    except ImportError:
        return None
    family, _, variant = name.partition("/")
    module = getattr(fastcrc, family.replace("-", ""), None)
    return getattr(module, variant.replace("-", "_"), None)


@cache
def _table(crc: Crc) -> tuple[int, ...]:
    return tuple(_entry(crc, byte) for byte in range(256))


def _entry(crc: Crc, byte: int) -> int:
    if crc.reflected:
        polynomial = int(f"{crc.polynomial:0{crc.width}b}"[::-1], 2)
        for _ in range(8):
            byte = byte >> 1 ^ (polynomial if byte & 1 else 0)
        return byte
    register, top = byte << crc.width - 8, 1 << crc.width - 1
    for _ in range(8):
        register = (register << 1 ^ (crc.polynomial if register & top else 0)) & (1 << crc.width) - 1
    return register


def _reflected(table: tuple[int, ...], register: int, data: bytes) -> int:
    for byte in data:
        register = register >> 8 ^ table[(register ^ byte) & 0xFF]
    return register


def _straight(table: tuple[int, ...], width: int, register: int, data: bytes) -> int:
    mask, shift = (1 << width) - 1, width - 8
    for byte in data:
        register = (register << 8 & mask) ^ table[(register >> shift ^ byte) & 0xFF]
    return register
