"""KMAC256 (SP 800-185 section 4) over an own Keccak-f[1600] (FIPS 202 section 3): no library at hand has cSHAKE.

Pure Python takes about 0.3 ms for each 136 bytes, so that a limit keeps a tag over a large file from taking minutes.
"""

from __future__ import annotations

from typing import Final

from checker.errors import UnsupportedAlgorithmError

MAX_MESSAGE: Final = 4 * 1024 * 1024  # bytes; about ten seconds
_RATE: Final = 136  # bytes absorbed at once for a capacity of 512 bits
_MASK: Final = (1 << 64) - 1
_DOMAIN: Final = 0x04  # cSHAKE's two bits 00 and the first padding bit (SP 800-185 3.3)


def _constants() -> tuple[int, ...]:
    """Return the 24 round constants (FIPS 202 3.2.5, algorithm 5)."""
    register, found = 1, []
    for _ in range(24):
        value = 0
        for power in range(7):
            value |= (register & 1) << (1 << power) - 1
            register = register << 1 ^ (0x171 if register & 0x80 else 0)
        found.append(value)
    return tuple(found)


def _moves() -> tuple[tuple[int, int], ...]:
    """Return for each lane where it goes and how far it turns (FIPS 202 3.2.2 and 3.2.3), lane x + 5y at that place."""
    found = [(0, 0)] * 25
    x, y = 1, 0
    for step in range(24):
        found[x + 5 * y] = (y + 5 * ((2 * x + 3 * y) % 5), (step + 1) * (step + 2) // 2 % 64)
        x, y = y, (2 * x + 3 * y) % 5
    return tuple(found)


_CONSTANTS: Final = _constants()
_MOVES: Final = _moves()


def _turn(lane: int, by: int) -> int:
    return (lane << by | lane >> 64 - by) & _MASK


def permute(lanes: list[int]) -> list[int]:
    """Return Keccak-f[1600] of 25 lanes (FIPS 202 3.3)."""
    for constant in _CONSTANTS:
        sums = [lanes[x] ^ lanes[x + 5] ^ lanes[x + 10] ^ lanes[x + 15] ^ lanes[x + 20] for x in range(5)]
        spread = [sums[x - 1] ^ _turn(sums[(x + 1) % 5], 1) for x in range(5)]
        moved = [0] * 25
        for place, (target, by) in enumerate(_MOVES):
            moved[target] = _turn(lanes[place] ^ spread[place % 5], by)
        lanes = [
            moved[y + x] ^ (~moved[y + (x + 1) % 5] & moved[y + (x + 2) % 5]) for y in range(0, 25, 5) for x in range(5)
        ]
        lanes[0] ^= constant
    return lanes


def _sponge(data: bytes, size: int) -> bytes:
    data += bytes([_DOMAIN])
    padded = bytearray(data.ljust(-(-len(data) // _RATE) * _RATE, b"\0"))
    padded[-1] ^= 0x80
    lanes = [0] * 25
    for start in range(0, len(padded), _RATE):
        for place in range(_RATE // 8):
            at = start + 8 * place
            lanes[place] ^= int.from_bytes(padded[at : at + 8], "little")
        lanes = permute(lanes)
    made = b""
    while len(made) < size:
        made += b"".join(lane.to_bytes(8, "little") for lane in lanes[: _RATE // 8])
        lanes = permute(lanes)
    return made[:size]


def _encoded(value: int) -> bytes:
    return value.to_bytes(max(1, (value.bit_length() + 7) // 8), "big")


def _left(value: int) -> bytes:
    return bytes([len(_encoded(value))]) + _encoded(value)


def _text(data: bytes) -> bytes:
    return _left(len(data) * 8) + data


def _padded(data: bytes) -> bytes:
    data = _left(_RATE) + data
    return data.ljust(-(-len(data) // _RATE) * _RATE, b"\0")


def kmac256(key: bytes, message: bytes, customization: bytes, size: int) -> bytes:
    """Return the tag of `size` bytes (SP 800-185 4.3); another size gives another tag, not a part of it.

    Raises:
        UnsupportedAlgorithmError: the message is longer than `MAX_MESSAGE`.
    """
    if len(message) > MAX_MESSAGE:
        raise UnsupportedAlgorithmError(
            f"KMAC256 is computed over at most {MAX_MESSAGE} bytes, here are {len(message)}"
        )
    end = _encoded(size * 8)
    inner = _padded(_text(key)) + message + end + bytes([len(end)])
    return _sponge(_padded(_text(b"KMAC") + _text(customization)) + inner, size)
