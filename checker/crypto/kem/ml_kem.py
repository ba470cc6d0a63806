"""ML-KEM (FIPS 203): decapsulation for the three parameter sets, with the private key as a seed or expanded."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from checker.errors import DecryptionError, KeyMaterialError

_Q, _N = 3329, 256
SEED: Final = 64  # bytes of d || z
Polynomial = list[int]


@dataclass(frozen=True)
class Parameters:
    """A line of FIPS 203 table 2."""

    k: int
    eta1: int
    eta2: int
    du: int
    dv: int

    @property
    def public(self) -> int:
        """Return the bytes of an encapsulation key."""
        return 384 * self.k + 32

    @property
    def private(self) -> int:
        """Return the bytes of an expanded decapsulation key."""
        return 768 * self.k + 96

    @property
    def ciphertext(self) -> int:
        """Return the bytes of a ciphertext."""
        return 32 * (self.du * self.k + self.dv)


SETS: Final = {
    "ml-kem-512": Parameters(2, 3, 2, 10, 4),
    "ml-kem-768": Parameters(3, 2, 2, 10, 4),
    "ml-kem-1024": Parameters(4, 2, 2, 11, 5),
}


def _reverse(value: int) -> int:
    return int(f"{value:07b}"[::-1], 2)


_ZETAS: Final = tuple(pow(17, _reverse(i), _Q) for i in range(128))  # FIPS 203 appendix A
_GAMMAS: Final = tuple(pow(17, 2 * _reverse(i) + 1, _Q) for i in range(128))


def _ntt(f: Polynomial) -> Polynomial:
    """Return the number-theoretic transform (algorithm 9)."""
    f, i, size = list(f), 1, 128
    while size >= 2:  # noqa: PLR2004 - the last layer leaves polynomials of degree one
        for start in range(0, _N, 2 * size):
            zeta = _ZETAS[i]
            i += 1
            for j in range(start, start + size):
                t = zeta * f[j + size] % _Q
                f[j + size], f[j] = (f[j] - t) % _Q, (f[j] + t) % _Q
        size //= 2
    return f


def _inverse(f: Polynomial) -> Polynomial:
    """Return the inverse of the transform (algorithm 10)."""
    f, i, size = list(f), 127, 2
    while size <= 128:  # noqa: PLR2004 - half of the coefficients
        for start in range(0, _N, 2 * size):
            zeta = _ZETAS[i]
            i -= 1
            for j in range(start, start + size):
                t = f[j]
                f[j], f[j + size] = (t + f[j + size]) % _Q, zeta * (f[j + size] - t) % _Q
        size *= 2
    return [value * 3303 % _Q for value in f]  # 3303 is the inverse of 128


def _multiply(f: Polynomial, g: Polynomial) -> Polynomial:
    """Return the product of two transforms (algorithms 11 and 12)."""
    product = []
    for i, gamma in enumerate(_GAMMAS):
        a0, a1, b0, b1 = f[2 * i], f[2 * i + 1], g[2 * i], g[2 * i + 1]
        product += [(a0 * b0 + a1 * b1 % _Q * gamma) % _Q, (a0 * b1 + a1 * b0) % _Q]
    return product


def _dot(row: Iterable[Polynomial], column: Iterable[Polynomial]) -> Polynomial:
    products = [_multiply(f, g) for f, g in zip(row, column, strict=True)]
    return [sum(values) % _Q for values in zip(*products, strict=True)]


def _add(*polynomials: Polynomial) -> Polynomial:
    return [sum(values) % _Q for values in zip(*polynomials, strict=True)]


def _uniform(rho: bytes, column: int, row: int) -> Polynomial:
    """Return a uniform transform (algorithm 7)."""
    size = 672  # bytes that are enough but for one time in 2^38; doubled where they are not
    while True:
        stream = hashlib.shake_128(rho + bytes([column, row])).digest(size)
        found = [
            value
            for a, b, c in zip(stream[0::3], stream[1::3], stream[2::3], strict=True)
            for value in (a + 256 * (b % 16), b // 16 + 16 * c)
            if value < _Q
        ]
        if len(found) >= _N:
            return found[:_N]
        size *= 2


def _small(seed: bytes, number: int, eta: int) -> Polynomial:
    """Return a polynomial of the centred binomial distribution (algorithm 8 over PRF)."""
    stream = int.from_bytes(hashlib.shake_256(seed + bytes([number])).digest(64 * eta), "little")
    mask = (1 << eta) - 1
    pairs = ((stream >> 2 * eta * i & mask, stream >> 2 * eta * i + eta & mask) for i in range(_N))
    return [(x.bit_count() - y.bit_count()) % _Q for x, y in pairs]


def _encode(f: Iterable[int], bits: int) -> bytes:
    total = sum(value << bits * i for i, value in enumerate(f))
    return total.to_bytes(32 * bits, "little")


def _decode(data: bytes, bits: int) -> Polynomial:
    total, mask = int.from_bytes(data, "little"), (1 << bits) - 1
    return [total >> bits * i & mask for i in range(_N)]


def _decode_each(data: bytes, bits: int) -> list[Polynomial]:
    return [_decode(data[start : start + 32 * bits], bits) for start in range(0, len(data), 32 * bits)]


def _compress(f: Iterable[int], bits: int) -> Polynomial:
    return [((value << bits) + _Q // 2) // _Q % (1 << bits) for value in f]


def _decompress(f: Iterable[int], bits: int) -> Polynomial:
    return [(value * _Q + (1 << bits - 1)) >> bits for value in f]


def _matrix(rho: bytes, k: int) -> list[list[Polynomial]]:
    return [[_uniform(rho, column, row) for column in range(k)] for row in range(k)]


def _encrypt(parameters: Parameters, public: bytes, message: bytes, seed: bytes) -> bytes:
    """Return the ciphertext of K-PKE (algorithm 14)."""
    k, rho = parameters.k, public[-32:]
    t = [[value % _Q for value in f] for f in _decode_each(public[:-32], 12)]
    y = [_ntt(_small(seed, i, parameters.eta1)) for i in range(k)]
    noise = [_small(seed, k + i, parameters.eta2) for i in range(k + 1)]
    columns = zip(*_matrix(rho, k), strict=True)
    u = [_add(_inverse(_dot(column, y)), noise[i]) for i, column in enumerate(columns)]
    v = _add(_inverse(_dot(t, y)), noise[k], _decompress(_decode(message, 1), 1))
    first = b"".join(_encode(_compress(f, parameters.du), parameters.du) for f in u)
    return first + _encode(_compress(v, parameters.dv), parameters.dv)


def _decrypt(parameters: Parameters, secret: Sequence[Polynomial], ciphertext: bytes) -> bytes:
    """Return the message of K-PKE (algorithm 15)."""
    split = 32 * parameters.du * parameters.k
    u = [_decompress(f, parameters.du) for f in _decode_each(ciphertext[:split], parameters.du)]
    v = _decompress(_decode(ciphertext[split:], parameters.dv), parameters.dv)
    masked = _inverse(_dot(secret, [_ntt(f) for f in u]))
    return _encode(_compress([(a - b) % _Q for a, b in zip(v, masked, strict=True)], 1), 1)


def expand(name: str, seed: bytes) -> bytes:
    """Return the expanded decapsulation key of a seed d || z (algorithm 16).

    Raises:
        KeyMaterialError: the seed does not have 64 bytes.
    """
    if len(seed) != SEED:
        raise KeyMaterialError(f"a seed of {name} has {SEED} bytes, here are {len(seed)}")
    parameters = SETS[name]
    k, d, z = parameters.k, seed[:32], seed[32:]
    hashed = hashlib.sha3_512(d + bytes([k])).digest()
    rho, sigma = hashed[:32], hashed[32:]
    s = [_ntt(_small(sigma, i, parameters.eta1)) for i in range(k)]
    e = [_ntt(_small(sigma, k + i, parameters.eta1)) for i in range(k)]
    t = [_add(_dot(row, s), e[i]) for i, row in enumerate(_matrix(rho, k))]
    public = b"".join(_encode(f, 12) for f in t) + rho
    return b"".join(_encode(f, 12) for f in s) + public + hashlib.sha3_256(public).digest() + z


def public_key(name: str, private: bytes) -> bytes:
    """Return the encapsulation key inside an expanded decapsulation key.

    Raises:
        KeyMaterialError: the length is not that of the set, or the key's own check fails (7.3).
    """
    parameters = SETS[name]
    if len(private) != parameters.private:
        raise KeyMaterialError(f"a private key of {name} has {parameters.private} bytes, here are {len(private)}")
    start = 384 * parameters.k
    public = private[start : start + parameters.public]
    if hashlib.sha3_256(public).digest() != private[-64:-32]:
        raise KeyMaterialError(f"the private key of {name} does not hold the digest of its public half")
    return public


def decapsulate(name: str, private: bytes, ciphertext: bytes) -> bytes:
    """Return the 32 bytes of shared secret (algorithms 18 and 21); `private` is the expanded key.

    Raises:
        DecryptionError: the ciphertext's length is not that of the set.
        KeyMaterialError: the private key is none of the set.
    """
    parameters = SETS[name]
    if len(ciphertext) != parameters.ciphertext:
        raise DecryptionError(f"a ciphertext of {name} has {parameters.ciphertext} bytes, here are {len(ciphertext)}")
    public = public_key(name, private)
    secret = [[value % _Q for value in f] for f in _decode_each(private[: 384 * parameters.k], 12)]
    message = _decrypt(parameters, secret, ciphertext)
    hashed = hashlib.sha3_512(message + private[-64:-32]).digest()
    if _encrypt(parameters, public, message, hashed[32:]) != ciphertext:
        return hashlib.shake_256(private[-32:] + ciphertext).digest(32)  # implicit rejection
    return hashed[:32]
