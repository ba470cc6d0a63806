"""FrodoKEM's key generation and encapsulation (specification 8.1 and 8.2), and the generator of NIST's test vectors."""

from __future__ import annotations

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from checker.crypto.kem import frodo


class Drbg:
    """AES-256 CTR_DRBG as in NIST's PQCgenKAT: no personalisation, no derivation function."""

    def __init__(self, seed: bytes) -> None:
        self._key, self._v = bytes(32), bytes(16)
        self._update(seed)

    def _blocks(self, count: int) -> bytes:
        running = Cipher(algorithms.AES(self._key), modes.ECB()).encryptor()  # noqa: S305 - the generator's own
        found = b""
        for _ in range(count):
            self._v = ((int.from_bytes(self._v, "big") + 1) % (1 << 128)).to_bytes(16, "big")
            found += running.update(self._v)
        return found

    def _update(self, seed: bytes) -> None:
        mixed = bytes(a ^ b for a, b in zip(self._blocks(3), seed, strict=True))
        self._key, self._v = mixed[:32], mixed[32:]

    def __call__(self, size: int) -> bytes:
        found = self._blocks(-(-size // 16))[:size]
        self._update(bytes(48))
        return found


def keypair(name: str, drawn: bytes, *, ephemeral: bool = False) -> tuple[bytes, bytes]:
    """Return public and private key; `drawn` is s || seedSE || z."""
    parameters = frodo.SETS[name]
    n, security = parameters.n, parameters.security
    seed_size = security if ephemeral else 2 * security
    s, seed, z = drawn[:security], drawn[security : security + seed_size], drawn[security + seed_size :]
    seed_a = parameters.shake(z, 16)
    noise = frodo.sample(parameters, parameters.shake(b"\x5f" + seed, 4 * 8 * n))
    transposed, error = noise[: 8 * n], noise[8 * n :]
    columns = [transposed[start : start + n] for start in range(0, 8 * n, n)]
    product = [
        sum(a * b for a, b in zip(row, column, strict=True))
        for row in frodo.rows(parameters, seed_a)
        for column in columns
    ]
    public = seed_a + frodo.pack(parameters, [a + b for a, b in zip(product, error, strict=True)])
    packed = b"".join(value.to_bytes(2, "little", signed=True) for value in transposed)
    return public, s + public + packed + parameters.shake(public, security)


def drawn_size(name: str, *, ephemeral: bool = False) -> int:
    security = frodo.SETS[name].security
    return security + (security if ephemeral else 2 * security) + 16


def encapsulate(name: str, public: bytes, drawn: bytes) -> tuple[bytes, bytes]:
    """Return ciphertext and secret; `drawn` is the message, and the salt after it where there is one."""
    parameters = frodo.SETS[name]
    security = parameters.security
    message, salt = drawn[:security], drawn[security:]
    size = 2 * security if salt else security
    derived = parameters.shake(parameters.shake(public, security) + message + salt, size + security)
    ciphertext = frodo.encrypt(parameters, public, message, derived[:size]) + salt
    return ciphertext, parameters.shake(ciphertext + derived[size:], security)
