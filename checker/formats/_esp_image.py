"""The layout of ESP-IDF images: header, segments, checksum, appended SHA-256, application descriptor, signature blocks.

Source: espressif/esp-idf components/bootloader_support/include/{esp_app_format,esp_secure_boot}.h and
components/esp_app_format/include/esp_app_desc.h; docs/en/security/secure-boot-v1.rst and secure-boot-v2.rst.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, field
from typing import Final

from checker.errors import FormatError
from checker.io.reader import Reader
from checker.model.artifact import Source, Span

MAGIC: Final = 0xE9
SECTOR: Final = 4096  # bytes
MAX_SEGMENTS: Final = 16
HASH: Final = 32  # bytes of the appended SHA-256
DIGEST_UNIT: Final = 128  # bytes that the keyed digest of Secure Boot v1 reads at a time
CHIPS: Final = {
    0: "ESP32",
    2: "ESP32-S2",
    5: "ESP32-C3",
    9: "ESP32-S3",
    12: "ESP32-C2",
    13: "ESP32-C6",
    16: "ESP32-H2",
    18: "ESP32-P4",
    20: "ESP32-C61",
    23: "ESP32-C5",
    25: "ESP32-H21",
    28: "ESP32-H4",
}
_HEADER: Final = struct.Struct("<BBBBIB3sHBHH4sB")
_SEGMENT: Final = 8  # bytes of its header: load address and length
_ALIGNMENT: Final = 16
_DESCRIPTOR: Final = struct.Struct("<II8x32s32s16s16s32s32s")
_DESCRIPTOR_MAGIC: Final = 0xABCD5432

BLOCK: Final = 1216  # bytes of a signature block
MAX_BLOCKS: Final = 3
_BLOCK_MAGIC: Final = 0xE7
_CRC_AT: Final = 1196
_RSA, _ECDSA = 2, 3
_RSA_SIZE: Final = 384  # bytes: the only key size is 3072 bits
CURVES: Final = {1: ("ec-p192", 24), 2: ("ec-p256", 32), 3: ("ec-p384", 48)}

V1_SIZE: Final = 68  # bytes: a zero word, then r || s
V1_PADDING: Final = 12  # bytes that may follow, so that the file can be encrypted in blocks of 16


@dataclass(frozen=True, kw_only=True)
class Descriptor:
    """The application descriptor, the first bytes of an application's first segment."""

    secure_version: int
    version: str
    project: str
    built: str
    idf: str


@dataclass(frozen=True, kw_only=True)
class Layout:
    """One image. `start` is its first byte and `end` what follows the checksum and the appended SHA-256."""

    start: int
    body: Span  # what the appended SHA-256 covers
    end: int
    chip: int
    segments: tuple[tuple[int, int], ...]  # load address and length
    digest: bytes  # the appended SHA-256, or nothing
    descriptor: Descriptor | None
    min_revision: int

    @property
    def sector(self) -> int:
        """Return where the device looks for signature blocks: the first whole sector behind the image."""
        return self.start + -(-(self.end - self.start) // SECTOR) * SECTOR


def looks_like_image(head: bytes) -> bool:
    """Return whether the first 32 bytes can be those of an image."""
    if len(head) < _HEADER.size + _SEGMENT or head[0] != MAGIC:
        return False
    fields = _HEADER.unpack_from(head)
    return 0 < fields[1] <= MAX_SEGMENTS and fields[7] < 0x100 and fields[12] in {0, 1}  # noqa: PLR2004 - chips so far


def read_layout(source: Source, start: int = 0, *, cut: bool = False) -> Layout:
    """Return the layout of the image that begins at `start`.

    Where an image may be `cut`, its appended SHA-256 may be missing: the keyed digest stops before it.

    Raises:
        FormatError: it is no image, or is cut short.
    """
    reader = Reader(source, start)
    head = reader.take(_HEADER.size, "image header")
    if not looks_like_image(source.read(start, 32)):
        raise FormatError("not the header of an ESP-IDF image", offset=start, field="image header")
    fields = _HEADER.unpack(head)
    first, segments = reader.offset + _SEGMENT, []
    for number in range(fields[1]):
        address, length = struct.unpack("<II", reader.take(_SEGMENT, f"header of segment {number}"))
        reader.skip(length, f"segment {number}")
        segments.append((address, length))
    reader.skip(_ALIGNMENT - 1 - (reader.offset - start) % _ALIGNMENT, "padding")
    reader.skip(1, "checksum")
    body = Span(start, reader.offset)
    missing = cut and reader.left < HASH
    appended = reader.take(reader.left if missing else HASH, "appended SHA-256") if fields[12] else b""
    return Layout(
        start=start,
        body=body,
        digest=b"" if missing else appended,
        end=reader.offset,
        chip=fields[7],
        segments=tuple(segments),
        descriptor=_descriptor(source.read(first, _DESCRIPTOR.size)),
        min_revision=fields[9],
    )


def _descriptor(data: bytes) -> Descriptor | None:
    if len(data) < _DESCRIPTOR.size:
        return None
    magic, secure_version, version, project, time, date, idf, _ = _DESCRIPTOR.unpack(data)
    if magic != _DESCRIPTOR_MAGIC:
        return None
    return Descriptor(
        secure_version=secure_version,
        version=_text(version),
        project=_text(project),
        built=f"{_text(date)} {_text(time)}".strip(),
        idf=_text(idf),
    )


def _text(raw: bytes) -> str:
    text = raw.split(b"\x00", 1)[0].decode("utf-8", "replace")
    return "".join(letter if letter.isprintable() else "?" for letter in text)


@dataclass(frozen=True, kw_only=True)
class Block:
    """One signature block of Secure Boot v2. `curve` is empty for RSA; numbers are as they stand, not yet checked."""

    span: Span
    kind: str  # rsa | ecdsa, or nothing where the version is unknown
    hash: str
    digest: bytes
    curve: str = ""
    key: bytes = field(repr=False, default=b"")  # what devices hash for the key digest in their fuses
    signature: bytes = field(repr=False, default=b"")
    crc_matches: bool = True


def read_blocks(source: Source, sector: int) -> tuple[Block, ...]:
    """Return the signature blocks of a sector: those that begin with the magic, at their places.

    Raises:
        FormatError: there is one, and the file ends inside of the sector.
    """
    found = []
    for number in range(MAX_BLOCKS):
        start = sector + number * BLOCK
        data = source.read(start, BLOCK)
        if len(data) == BLOCK and data[0] == _BLOCK_MAGIC:
            found.append(_block(data, Span(start, start + BLOCK)))
    if found and source.size < sector + SECTOR:
        text = f"{SECTOR} bytes needed, {source.size - sector} left"
        raise FormatError(text, offset=sector, field="sector of the signature blocks")
    return tuple(found)


def _block(data: bytes, span: Span) -> Block:
    crc = zlib.crc32(data[:_CRC_AT]) == int.from_bytes(data[_CRC_AT : _CRC_AT + 4], "little")
    if data[1] == _RSA:
        end = 36 + 2 * (_RSA_SIZE + 4)
        signature = data[end : end + _RSA_SIZE]
        return Block(
            span=span,
            kind="rsa",
            hash="sha-256",
            digest=data[4:36],
            key=data[36:end],
            signature=signature,
            crc_matches=crc,
        )
    wide = data[2] == 1
    at, size = (52, 96) if wide else (36, 64)
    curve, length = CURVES.get(data[at], ("", 0))
    known = data[1] == _ECDSA and bool(curve) and (curve == "ec-p384") is wide
    start = at + 1 + size
    return Block(
        span=span,
        kind="ecdsa" if known else "",
        hash="sha-384" if wide else "sha-256",
        digest=data[4:at],
        curve=curve,
        key=data[at:start],
        signature=data[start : start + 2 * length],
        crc_matches=crc,
    )


def rsa_numbers(block: Block) -> tuple[int, int]:
    """Return modulus and exponent of a block's key.

    Raises:
        FormatError: the two numbers that speed the hardware up do not belong to the modulus, so devices compute another
            key digest, or a wrong result.
    """
    modulus = int.from_bytes(block.key[:_RSA_SIZE], "little")
    exponent = int.from_bytes(block.key[_RSA_SIZE : _RSA_SIZE + 4], "little")
    square = int.from_bytes(block.key[_RSA_SIZE + 4 : -4], "little")
    inverse = int.from_bytes(block.key[-4:], "little")
    bits = _RSA_SIZE * 8
    if modulus % 2 == 0 or modulus.bit_length() != bits:
        raise FormatError(
            f"the modulus is not odd and of {bits} bits", offset=block.span.start, field="signature block"
        )
    if square != (1 << 2 * bits) % modulus or inverse != -pow(modulus, -1, 1 << 32) % (1 << 32):
        text = "the precomputed numbers do not belong to the key"
        raise FormatError(text, offset=block.span.start, field="signature block")
    return modulus, exponent


def ec_point(block: Block) -> bytes:
    """Return a block's key as an uncompressed SEC1 point; the block holds x and y little-endian."""
    length = next(length for name, length in CURVES.values() if name == block.curve)
    x, y = block.key[1 : 1 + length], block.key[1 + length : 1 + 2 * length]
    return b"\x04" + x[::-1] + y[::-1]


def v1_signature(source: Source, layout: Layout) -> int | None:
    """Return where a Secure Boot v1 signature begins: behind the image, or at the file's end, as the tool does."""
    for start in (layout.end, source.size - V1_SIZE, source.size - V1_SIZE - V1_PADDING):
        data = source.read(start, V1_SIZE) if start >= layout.end else b""
        rest = source.read(start + V1_SIZE, V1_PADDING + 1)
        numbers = data[4:]
        behind = len(rest) <= V1_PADDING and len(set(rest)) <= 1
        if len(data) == V1_SIZE and not any(data[:4]) and len(set(numbers)) > 1 and behind:
            return start
    return None
