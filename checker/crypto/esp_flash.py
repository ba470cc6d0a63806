"""Flash encryption of ESP chips with AES-XTS, as a source that decrypts as it is read.

Source: espressif/esp-idf docs/en/security/flash-encryption.rst ("Flash Encryption Algorithm" of the chips after the
ESP32): data units of 1024 bits, each byte-reversed before and after, with the unit's flash address as tweak.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Final

from checker.crypto.ciphers import BLOCK, aes_xts
from checker.errors import DecryptionError
from checker.model.artifact import Source

UNIT: Final = 128  # bytes
ADDRESSES: Final = 1 << 32
_SHORT_KEY: Final = 16  # bytes: the tools stretch such a key with SHA-256
_KEY_SIZES: Final = frozenset({32, 64})


@dataclass(frozen=True)
class _Flash:
    parent: Source = field(repr=False)
    key: bytes = field(repr=False)
    address: int

    @property
    def name(self) -> str:
        """Return the parent's name."""
        return self.parent.name

    @property
    def size(self) -> int:
        """Return the length in bytes."""
        return self.parent.size

    def read(self, offset: int, length: int) -> bytes:
        """Return `length` decrypted bytes from `offset`, fewer only at the end."""
        end = min(offset + max(length, 0), self.size)
        if offset < 0 or offset >= end:
            return b""
        lead = self.address % UNIT  # bytes of the first unit that lie before the file
        first = (offset + lead) // UNIT
        last = -(-(end + lead) // UNIT)
        start = first * UNIT - lead
        stored = self.parent.read(max(start, 0), last * UNIT - lead - max(start, 0))
        # The blocks of a unit do not depend on each other, so what is missing of one may be anything.
        data = bytes(max(-start, 0)) + stored
        data += bytes(-len(data) % UNIT)
        plain = b"".join(self._unit(first + at // UNIT, data[at : at + UNIT]) for at in range(0, len(data), UNIT))
        return plain[offset - start : end - start]

    def _unit(self, number: int, data: bytes) -> bytes:
        address = (self.address // UNIT + number) * UNIT % ADDRESSES
        return aes_xts(self.key, address.to_bytes(BLOCK, "little"), data[::-1])[::-1]


def esp_xts_source(parent: Source, key: bytes, address: int) -> Source:
    """Return the plaintext of a file as it would lie at a flash address.

    Args:
        parent: the ciphertext.
        key: 32 bytes for XTS with AES-128, 64 for AES-256; 16 bytes are stretched as the tools do.
        address: of the file's first byte in the flash.

    Raises:
        DecryptionError: the key or the ciphertext has a wrong size, or the address is no multiple of 16 or too large.
    """
    key = hashlib.sha256(key).digest() if len(key) == _SHORT_KEY else key
    if len(key) not in _KEY_SIZES or key[: len(key) // 2] == key[len(key) // 2 :]:
        raise DecryptionError("flash encryption needs a key of 32 or 64 bytes with two different halves")
    if parent.size % BLOCK:
        raise DecryptionError(f"flash encryption is made of blocks of 16 bytes, here are {parent.size} bytes")
    if not 0 <= address < ADDRESSES or address % BLOCK:
        raise DecryptionError(f"the flash address {address:#x} is no multiple of 16 below {ADDRESSES:#x}")
    return _Flash(parent, key, address)
