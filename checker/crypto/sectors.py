"""Decryption of disk images that are encrypted sector by sector, as sources that decrypt as they are read.

Source: Linux Documentation/admin-guide/device-mapper/dm-crypt.rst (IV mode plain64).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from checker.crypto.ciphers import BLOCK, aes_cbc
from checker.errors import DecryptionError
from checker.model.artifact import Source, Span

_IV_UNIT: Final = 512  # bytes: dm-crypt counts its IVs in units of 512 bytes, whatever the size of a sector
_KEY_SIZES: Final = frozenset({16, 24, 32})


@dataclass(frozen=True)
class _Sectors:
    parent: Source = field(repr=False)
    span: Span
    key: bytes = field(repr=False)
    sector: int

    @property
    def name(self) -> str:
        """Return the parent's name."""
        return self.parent.name

    @property
    def size(self) -> int:
        """Return the length in bytes."""
        return self.span.size

    def read(self, offset: int, length: int) -> bytes:
        """Return `length` decrypted bytes from `offset`, fewer only at the end."""
        end = min(offset + max(length, 0), self.size)
        if offset < 0 or offset >= end:
            return b""
        first, last = offset // self.sector, -(-end // self.sector)
        plain = b"".join(self._sector(number) for number in range(first, last))
        start = first * self.sector
        return plain[offset - start : end - start]

    def _sector(self, number: int) -> bytes:
        data = self.parent.read(self.span.start + number * self.sector, self.sector)
        iv = (number * (self.sector // _IV_UNIT)).to_bytes(8, "little").ljust(BLOCK, b"\x00")
        return aes_cbc(self.key, iv, data, padded=False)


def aes_cbc_plain64_source(parent: Source, span: Span, key: bytes, sector: int) -> Source:
    """Return the plaintext of dm-crypt's `aes-cbc-plain64` as a source; `sector` is the size of a sector in bytes.

    Raises:
        DecryptionError: the key has a wrong size, or the ciphertext is not made of whole sectors.
    """
    if len(key) not in _KEY_SIZES:
        raise DecryptionError(f"AES needs a key of 16, 24 or 32 bytes, here are {len(key)}")
    if sector <= 0 or sector % _IV_UNIT or span.size % sector:
        raise DecryptionError(f"aes-cbc-plain64 ciphertext is made of whole sectors, here are {span.size} bytes")
    return _Sectors(parent, span, key, sector)
