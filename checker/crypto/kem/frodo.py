"""FrodoKEM (ISO/IEC 18033-2 amendment 2, and the FrodoKEM specification of 2023): decapsulation of all six sets.

A ciphertext without a salt is of eFrodoKEM, the ephemeral variant; the two differ in nothing else but a seed's length.

The one large product, S' times A, adds up whole rows of A as one long number each, so that pure Python is fast enough.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from checker.errors import DecryptionError, KeyMaterialError

_ROWS: Final = 8  # n-bar and m-bar
_SEED_A: Final = 16  # bytes
_KEY_GENERATION, _ENCAPSULATION = b"\x5f", b"\x96"
Matrix = list[list[int]]


@dataclass(frozen=True)
class Parameters:
    """A parameter set: dimension, bits of q, bits in a coefficient, security bytes, and the noise distribution."""

    n: int
    bits: int
    carried: int
    security: int
    noise: tuple[int, ...]
    aes: bool

    @property
    def shake(self) -> Callable[[bytes, int], bytes]:
        """Return SHAKE128 for the smallest dimension, SHAKE256 for the others."""
        function = hashlib.shake_128 if self.n == 640 else hashlib.shake_256  # noqa: PLR2004 - the specification's
        return lambda data, size: function(data).digest(size)

    @property
    def public(self) -> int:
        """Return the bytes of a public key."""
        return _SEED_A + _ROWS * self.n * self.bits // 8

    @property
    def private(self) -> int:
        """Return the bytes of a private key."""
        return 2 * self.security + self.public + 2 * _ROWS * self.n

    @property
    def ciphertext(self) -> int:
        """Return the bytes of a ciphertext without a salt."""
        return (_ROWS * self.n + _ROWS * _ROWS) * self.bits // 8


_SHAPES: Final = {
    640: (15, 2, 16, (4643, 13363, 20579, 25843, 29227, 31145, 32103, 32525, 32689, 32745, 32762, 32766, 32767)),
    976: (16, 3, 24, (5638, 15915, 23689, 28571, 31116, 32217, 32613, 32731, 32760, 32766, 32767)),
    1344: (16, 4, 32, (9142, 23462, 30338, 32361, 32725, 32765, 32767)),
}
SETS: Final = {
    f"frodokem-{n}-{kind}": Parameters(n, *shape, aes=kind == "aes")
    for n, shape in _SHAPES.items()
    for kind in ("aes", "shake")
}


def _words(data: bytes) -> tuple[int, ...]:
    """Return 16-bit little-endian numbers."""
    return struct.unpack(f"<{len(data) // 2}H", data)


def rows(parameters: Parameters, seed: bytes) -> Iterator[tuple[int, ...]]:
    """Yield the rows of the public matrix A (specification 7.5 and 7.6), not yet reduced modulo q."""
    n = parameters.n
    if not parameters.aes:
        for row in range(n):
            yield _words(hashlib.shake_128(row.to_bytes(2, "little") + seed).digest(2 * n))
        return
    running = Cipher(algorithms.AES(seed), modes.ECB()).encryptor()  # noqa: S305 - a generator, not encryption
    starts = [column.to_bytes(2, "little") + bytes(12) for column in range(0, n, 8)]
    for row in range(n):
        yield _words(running.update(b"".join(row.to_bytes(2, "little") + start for start in starts)))


def sample(parameters: Parameters, stream: bytes) -> list[int]:
    """Return noise, a signed number for every two bytes (specification 7.2)."""
    found = []
    for word in _words(stream):
        size = sum(word >> 1 > bound for bound in parameters.noise)
        found.append(-size if word & 1 else size)
    return found


def pack(parameters: Parameters, values: Sequence[int]) -> bytes:
    """Return numbers modulo q as bits, the most significant first (specification 7.3)."""
    total, mask = 0, (1 << parameters.bits) - 1
    for value in values:
        total = total << parameters.bits | value & mask
    return total.to_bytes(len(values) * parameters.bits // 8, "big")


def unpack(parameters: Parameters, data: bytes) -> list[int]:
    """Return the numbers of `pack`; eight of them fill whole bytes."""
    bits, mask = parameters.bits, (1 << parameters.bits) - 1
    found = []
    for start in range(0, len(data), bits):  # as many bytes as a number has bits hold eight numbers
        total = int.from_bytes(data[start : start + bits], "big")
        found += [total >> bits * (7 - place) & mask for place in range(8)]
    return found


def encode(parameters: Parameters, message: bytes) -> list[int]:
    """Return the 64 numbers that carry a message in their highest bits (specification 7.1)."""
    total, carried = int.from_bytes(message, "little"), parameters.carried
    mask, shift = (1 << carried) - 1, parameters.bits - carried
    return [(total >> carried * place & mask) << shift for place in range(_ROWS * _ROWS)]


def _decode(parameters: Parameters, values: Sequence[int]) -> bytes:
    carried, shift = parameters.carried, parameters.bits - parameters.carried
    total = 0
    for place, value in enumerate(values):
        rounded = (value + (1 << shift - 1)) >> shift & (1 << carried) - 1
        total |= rounded << carried * place
    return total.to_bytes(parameters.security, "little")


def left_product(parameters: Parameters, left: Matrix, seed: bytes) -> Matrix:
    """Return `left` (small signed numbers, n columns) times A.

    A lane of 32 bits holds a sum: 1,344 products of 26 and 2^16 at most stay below 2^32.
    """
    shift, lanes = len(parameters.noise), f"<{parameters.n}I"  # the shift makes every factor positive
    sums, correction = [0] * len(left), 0
    for place, row in enumerate(rows(parameters, seed)):
        number = int.from_bytes(struct.pack(lanes, *row), "little")
        correction += number
        for index, factors in enumerate(left):
            sums[index] += (factors[place] + shift) * number
    size = struct.calcsize(lanes)
    less = struct.unpack(lanes, (correction * shift).to_bytes(size, "little"))
    made = [struct.unpack(lanes, total.to_bytes(size, "little")) for total in sums]
    return [[a - b for a, b in zip(row, less, strict=True)] for row in made]


def _matrix(values: Sequence[int], columns: int) -> Matrix:
    return [list(values[start : start + columns]) for start in range(0, len(values), columns)]


def _product(left: Matrix, right: Matrix) -> list[int]:
    columns = list(zip(*right, strict=True))
    return [sum(a * b for a, b in zip(row, column, strict=True)) for row in left for column in columns]


def encrypt(parameters: Parameters, public: bytes, message: bytes, seed: bytes) -> bytes:
    """Return c1 || c2 for a message under a seed (specification 8.2, lines 4 to 14)."""
    n = parameters.n
    noise = sample(parameters, parameters.shake(_ENCAPSULATION + seed, 2 * (2 * _ROWS * n + _ROWS * _ROWS)))
    left, error = _matrix(noise[: _ROWS * n], n), noise[_ROWS * n : 2 * _ROWS * n]
    product = [value for row in left_product(parameters, left, public[:_SEED_A]) for value in row]
    first = [a + b for a, b in zip(product, error, strict=True)]
    right = _matrix(unpack(parameters, public[_SEED_A:]), _ROWS)
    rest = zip(_product(left, right), noise[2 * _ROWS * n :], encode(parameters, message), strict=True)
    return pack(parameters, first) + pack(parameters, [sum(values) for values in rest])


def public_key(name: str, private: bytes) -> bytes:
    """Return the public key inside a private one.

    Raises:
        KeyMaterialError: the length is not that of the set, or the key's own digest is wrong.
    """
    parameters = SETS[name]
    if len(private) != parameters.private:
        raise KeyMaterialError(f"a private key of {name} has {parameters.private} bytes, here are {len(private)}")
    public = private[parameters.security : parameters.security + parameters.public]
    if parameters.shake(public, parameters.security) != private[-parameters.security :]:
        raise KeyMaterialError(f"the private key of {name} does not hold the digest of its public half")
    return public


def decapsulate(name: str, private: bytes, ciphertext: bytes) -> bytes:
    """Return the shared secret, as many bytes as the set has of security (specification 8.3).

    Raises:
        DecryptionError: the ciphertext's length is not that of the set, with or without a salt.
        KeyMaterialError: the private key is none of the set.
    """
    parameters = SETS[name]
    security, split = parameters.security, parameters.ciphertext
    if len(ciphertext) not in {split, split + 2 * security}:
        raise DecryptionError(f"a ciphertext of {name} has {split + 2 * security} bytes, here are {len(ciphertext)}")
    public, salt = public_key(name, private), ciphertext[split:]
    message = _decrypt(parameters, private, ciphertext[:split])
    seed_size = 2 * security if salt else security
    derived = parameters.shake(private[-security:] + message + salt, seed_size + security)
    same = encrypt(parameters, public, message, derived[:seed_size]) == ciphertext[:split]
    return parameters.shake(ciphertext + (derived[seed_size:] if same else private[:security]), security)


def _decrypt(parameters: Parameters, private: bytes, ciphertext: bytes) -> bytes:
    """Return the message that C - B'S carries."""
    n, start = parameters.n, parameters.security + parameters.public
    words = _words(private[start : start + 2 * _ROWS * n])
    secret = _matrix([word - (word >> 15 << 16) for word in words], n)  # S transposed, signed
    split = _ROWS * n * parameters.bits // 8
    first = _matrix(unpack(parameters, ciphertext[:split]), n)
    masked = _product(first, [list(column) for column in zip(*secret, strict=True)])
    return _decode(parameters, [a - b for a, b in zip(unpack(parameters, ciphertext[split:]), masked, strict=True)])
