"""Another firmware of the same length with the same AES-256-CMAC, for whoever knows the key.

`python docs/demonstrations/cmac_second_preimage.py` prints both firmwares' tags and digests. See ../aes-256-hash.md.

CMAC (SP 800-38B section 6.2) is a chain C[i] = E(C[i-1] xor M[i]). With the key each step can be undone, so the chain
can be computed forward from the beginning and backward from the tag; one block in between joins the two.
"""

from __future__ import annotations

import hashlib
import os
import sys

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.cmac import CMAC

BLOCK = 16  # bytes


def tag(key: bytes, message: bytes) -> bytes:
    """Return the AES-CMAC of a message."""
    running = CMAC(algorithms.AES(key))
    running.update(message)
    return running.finalize()


def second_preimage(key: bytes, wanted: bytes, message: bytes, free: int) -> bytes:
    """Return the message with its block number `free` replaced so that its CMAC is `wanted`.

    Raises:
        ValueError: the message is not of whole blocks, or `free` is not the number of one that others follow.
    """
    count, rest = divmod(len(message), BLOCK)
    if rest or not 0 <= free < count - 1:
        raise ValueError("whole blocks are needed, and at least one after the free one")
    blocks = [message[start : start + BLOCK] for start in range(0, len(message), BLOCK)]
    blocks[-1] = _xor(blocks[-1], _subkey(key))  # the last whole block is masked
    before = bytes(BLOCK)
    for block in blocks[:free]:
        before = _encrypt(key, _xor(before, block))
    after = wanted
    for block in reversed(blocks[free + 1 :]):
        after = _xor(_decrypt(key, after), block)
    joint = _xor(_decrypt(key, after), before)
    return message[: free * BLOCK] + joint + message[(free + 1) * BLOCK :]


def _subkey(key: bytes) -> bytes:
    """Return K1 (SP 800-38B section 6.1): E(0) doubled in GF(2^128)."""
    doubled = int.from_bytes(_encrypt(key, bytes(BLOCK)), "big") << 1
    if doubled >> 128:
        doubled ^= (1 << 128) | 0x87
    return doubled.to_bytes(BLOCK, "big")


def _encrypt(key: bytes, block: bytes) -> bytes:
    return Cipher(algorithms.AES(key), modes.ECB()).encryptor().update(block)  # noqa: S305 - one block of a chain


def _decrypt(key: bytes, block: bytes) -> bytes:
    return Cipher(algorithms.AES(key), modes.ECB()).decryptor().update(block)  # noqa: S305 - one block of a chain


def _xor(one: bytes, other: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(one, other, strict=True))


def main() -> None:
    """Show it with a key that everybody knows."""
    key = os.urandom(32)
    genuine = b"genuine firmware".ljust(4096, b"\xff")
    evil = b"start the thief's code instead".ljust(4096, b"\xff")
    forged = second_preimage(key, tag(key, genuine), evil, free=100)
    for name, message in (("genuine", genuine), ("forged", forged)):
        digest = hashlib.sha256(message).hexdigest()
        sys.stdout.write(f"{name:8} {message[:30]!r} CMAC {tag(key, message).hex()} SHA-256 {digest[:16]}…\n")


if __name__ == "__main__":
    main()
