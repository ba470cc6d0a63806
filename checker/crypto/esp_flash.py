"""Flash encryption of ESP chips, as sources that decrypt as they are read.

Source: espressif/esp-idf docs/en/security/flash-encryption.rst ("Flash Encryption Algorithm"). After the ESP32: AES-XTS
in data units of 1024 bits, each byte-reversed before and after, with the unit's flash address as tweak. The ESP32: AES
with 256 bits on byte-reversed blocks, used the other way round (AES encryption decrypts the flash), under a key of
which `FLASH_CRYPT_CONFIG` says the bits that are mixed with the address, anew for every 32 bytes.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Final

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from checker.crypto.ciphers import BLOCK, aes_xts
from checker.errors import DecryptionError
from checker.model.artifact import Source

UNIT: Final = 128  # bytes
ADDRESSES: Final = 1 << 32
_SHORT_KEY: Final = 16  # bytes: the tools stretch such a key with SHA-256
_KEY_SIZES: Final = frozenset({32, 64})

_WORD: Final = 4  # bytes
TWEAKED_UNIT: Final = 32  # bytes that share a key on the ESP32
TWEAKED_FLASH: Final = 1 << 24  # bytes: the highest address bit that the key is mixed with is bit 23
CONFIGURATIONS: Final = range(16)  # four bits, each for one part of the key
_THREE_QUARTERS: Final = 24  # bytes: "3/4 coding" leaves 192 bits in the fuses
_TWEAKED_KEY: Final = 32


def _address_bits(part: int) -> tuple[int, ...]:
    """Return the address bits that the key bits of one of four parts are mixed with, highest key bit first."""
    return tuple(bit for top in (23, 23, 23, 14 - 2 * part) for bit in range(top, 4, -1))


def _masks(configuration: int) -> tuple[tuple[int, int], ...]:
    """Return the key bits (as a number of 256 bits) that each address bit is mixed into."""
    masks: dict[int, int] = {}
    place = 1 << 256
    for part in range(4):
        for bit in _address_bits(part):
            place >>= 1
            if configuration >> part & 1:
                masks[bit] = masks.get(bit, 0) | place
    return tuple(masks.items())


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


@dataclass(frozen=True)
class _TweakedFlash:
    parent: Source = field(repr=False)
    key: int = field(repr=False)
    address: int
    masks: tuple[tuple[int, int], ...]

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
        lead = self.address % TWEAKED_UNIT  # bytes of the first unit that lie before the file
        start = max((offset + lead) // TWEAKED_UNIT * TWEAKED_UNIT - lead, 0)
        stop = -(-end // BLOCK) * BLOCK
        data = self.parent.read(start, stop - start)
        plain, at = [], 0
        while at < len(data):
            address = self.address + start + at
            size = TWEAKED_UNIT - address % TWEAKED_UNIT
            plain.append(self._unit(address, data[at : at + size]))
            at += size
        return b"".join(plain)[offset - start : end - start]

    def _unit(self, address: int, data: bytes) -> bytes:
        key = self.key
        for bit, mask in self.masks:
            if address >> bit & 1:
                key ^= mask
        blocks = (data[at : at + BLOCK][::-1] for at in range(0, len(data), BLOCK))
        cipher = Cipher(algorithms.AES(key.to_bytes(_TWEAKED_KEY, "big")), modes.ECB())  # noqa: S305 - the chip's choice
        mixed = cipher.encryptor().update(b"".join(blocks))
        return b"".join(mixed[at : at + BLOCK][::-1] for at in range(0, len(mixed), BLOCK))


def esp32_source(parent: Source, key: bytes, address: int, configuration: int) -> Source:
    """Return the plaintext of a file as it would lie at a flash address of an ESP32.

    Args:
        parent: the ciphertext.
        key: 32 bytes; 24 are lengthened as the hardware does with 3/4 coding.
        address: of the file's first byte in the flash.
        configuration: the fuse `FLASH_CRYPT_CONFIG`, 0 to 15; with 0 the address plays no part.

    Raises:
        DecryptionError: key, ciphertext or configuration have a wrong size, or the file does not fit into the flash.
    """
    key = key + key[8:16] if len(key) == _THREE_QUARTERS else key
    if len(key) != _TWEAKED_KEY:
        raise DecryptionError("the ESP32's flash encryption needs a key of 24 or 32 bytes")
    if parent.size % BLOCK:
        raise DecryptionError(f"flash encryption is made of blocks of 16 bytes, here are {parent.size} bytes")
    if not 0 <= address <= TWEAKED_FLASH - parent.size or address % BLOCK:
        text = f"{parent.size} bytes at {address:#x}: not a multiple of 16 below {TWEAKED_FLASH:#x}"
        raise DecryptionError(text)
    if configuration not in CONFIGURATIONS:
        raise DecryptionError(f"FLASH_CRYPT_CONFIG has four bits, {configuration} does not fit")
    return _TweakedFlash(parent, int.from_bytes(key, "big"), address, _masks(configuration))


@dataclass(frozen=True)
class _Mixed:
    parent: Source = field(repr=False)
    key: bytes = field(repr=False)

    @property
    def name(self) -> str:
        """Return the parent's name."""
        return self.parent.name

    @property
    def size(self) -> int:
        """Return the length in bytes."""
        return self.parent.size

    def read(self, offset: int, length: int) -> bytes:
        """Return `length` bytes from `offset`, fewer only at the end."""
        end = min(offset + max(length, 0), self.size)
        if offset < 0 or offset >= end:
            return b""
        start = offset // BLOCK * BLOCK
        data = self.parent.read(start, -(-end // BLOCK) * BLOCK - start)
        running = Cipher(algorithms.AES(self.key), modes.ECB()).encryptor()  # noqa: S305 - the chip's choice
        blocks = running.update(_reversed(data, BLOCK))
        return _reversed(_reversed(blocks, BLOCK), _WORD)[offset - start : end - start]


def _reversed(data: bytes, size: int) -> bytes:
    """Return the bytes with those of each group of `size` in the opposite order."""
    return b"".join(data[at : at + size][::-1] for at in range(0, len(data), size))


def esp32_digest_source(parent: Source, key: bytes) -> Source:
    """Return what the ESP32's Secure Boot v1 engine feeds to SHA-512: the bytes under AES-256, in its own byte order.

    Raises:
        DecryptionError: the key does not have 32 bytes, or the bytes are not made of whole blocks.
    """
    if len(key) != _TWEAKED_KEY or parent.size % BLOCK:
        raise DecryptionError("the keyed digest needs a key of 32 bytes and whole blocks of 16")
    return _Mixed(parent, key)


def esp32_digest(hashed: bytes) -> bytes:
    """Return the digest in the engine's byte order."""
    return _reversed(hashed, _WORD)
