"""The layout of an MCUboot image: header, payload and the two TLV areas; no verdicts.

Source: mcu-tools/mcuboot docs/design.md "Image format"; boot/bootutil/include/bootutil/image.h for the numbers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from checker.errors import FormatError, LimitError
from checker.io.limits import MAX_TLVS
from checker.io.reader import Endian, Reader
from checker.model.artifact import Source, Span

MAGIC: Final = 0x96F3B83D
HEADER_SIZE: Final = 32
INFO_SIZE: Final = 4
INFO_MAGIC: Final = 0x6907
PROTECTED_INFO_MAGIC: Final = 0x6908

F_ENCRYPTED_AES128: Final = 0x4
F_ENCRYPTED_AES256: Final = 0x8
FLAGS: Final = {
    0x1: "PIC",
    F_ENCRYPTED_AES128: "ENCRYPTED_AES128",
    F_ENCRYPTED_AES256: "ENCRYPTED_AES256",
    0x10: "NON_BOOTABLE",
    0x20: "RAM_LOAD",
    0x100: "ROM_FIXED",
    0x200: "COMPRESSED_LZMA1",
    0x400: "COMPRESSED_LZMA2",
    0x800: "COMPRESSED_ARM_THUMB",
}

KEYHASH: Final = 0x01
PUBKEY: Final = 0x02
HASHES: Final = {0x10: "sha-256", 0x11: "sha-384", 0x12: "sha-512"}
RSA2048: Final = 0x20
ECDSA224: Final = 0x21  # of images before 2023; bootloaders of today do not know it
ECDSA: Final = 0x22
ECDSA_KINDS: Final = frozenset({ECDSA224, ECDSA})
RSA3072: Final = 0x23
ED25519: Final = 0x24
SIG_PURE: Final = 0x25
SIGNATURES: Final = {RSA2048: "rsa-pss", ECDSA224: "ecdsa", ECDSA: "ecdsa", RSA3072: "rsa-pss", ED25519: "ed25519"}
ENC_RSA: Final = 0x30
ENC_KW: Final = 0x31
ENC_EC256: Final = 0x32
ENC_X25519: Final = 0x33
ENC_X25519_SHA512: Final = 0x34
ENC: Final = {
    ENC_RSA: "rsa-oaep",
    ENC_KW: "aes-kw",
    ENC_EC256: "ecies-p256",
    ENC_X25519: "ecies-x25519",
    ENC_X25519_SHA512: "ecies-x25519",
}
DEPENDENCY: Final = 0x40
SEC_CNT: Final = 0x50
VENDOR_ID: Final = 0x74
CLASS_ID: Final = 0x75
NAMES: Final = {
    KEYHASH: "KEYHASH",
    PUBKEY: "PUBKEY",
    0x10: "SHA256",
    0x11: "SHA384",
    0x12: "SHA512",
    RSA2048: "RSA2048_PSS",
    ECDSA224: "ECDSA224",
    ECDSA: "ECDSA_SIG",
    RSA3072: "RSA3072_PSS",
    ED25519: "ED25519",
    SIG_PURE: "SIG_PURE",
    ENC_RSA: "ENC_RSA2048",
    ENC_KW: "ENC_KW",
    ENC_EC256: "ENC_EC256",
    ENC_X25519: "ENC_X25519",
    ENC_X25519_SHA512: "ENC_X25519_SHA512",
    DEPENDENCY: "DEPENDENCY",
    SEC_CNT: "SEC_CNT",
    0x60: "BOOT_RECORD",
    0x70: "DECOMP_SIZE",
    0x71: "DECOMP_SHA",
    0x72: "DECOMP_SIGNATURE",
    0x73: "COMP_DEC_SIZE",
    VENDOR_ID: "UUID_VID",
    CLASS_ID: "UUID_CID",
}


@dataclass(frozen=True)
class Tlv:
    """One type-length-value; `span` holds the value without its four bytes of head."""

    type: int
    data: bytes
    span: Span
    protected: bool

    @property
    def name(self) -> str:
        """Return MCUboot's name of the type, or its number."""
        return NAMES.get(self.type, f"{self.type:#06x}")


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Where everything lies. Offsets and sizes are in bytes."""

    endian: Endian
    load_address: int
    header: Span
    payload: Span
    protected: Span  # the protected TLV area, empty where there is none
    unprotected: Span
    flags: int
    version: str
    tlvs: tuple[Tlv, ...]

    @property
    def signed(self) -> Span:
        """Return what hash and signature cover, as it lies in the file: header, payload, protected TLVs."""
        return Span(0, self.protected.end)

    @property
    def flagged(self) -> bool:
        """Return whether the header says that the payload is encrypted."""
        return bool(self.flags & (F_ENCRYPTED_AES128 | F_ENCRYPTED_AES256))

    @property
    def key_bits(self) -> int | None:
        """Return the AES key size of the flags; None where they contradict each other."""
        chosen = self.flags & (F_ENCRYPTED_AES128 | F_ENCRYPTED_AES256)
        return {F_ENCRYPTED_AES128: 128, F_ENCRYPTED_AES256: 256}.get(chosen)

    def of(self, *types: int, protected: bool | None = None) -> Iterator[Tlv]:
        """Yield the TLVs of some types, in the file's order."""
        for tlv in self.tlvs:
            if tlv.type in types and protected in {None, tlv.protected}:
                yield tlv

    def integer(self, data: bytes) -> int:
        """Return a number in the image's byte order."""
        return int.from_bytes(data, self.endian)


def endian_of(head: bytes) -> Endian | None:
    """Return the byte order in which the magic lies, or None where this is no MCUboot header."""
    if head == MAGIC.to_bytes(4, "little"):
        return "little"
    return "big" if head == MAGIC.to_bytes(4, "big") else None


def read_layout(source: Source) -> Layout:
    """Read header and TLVs.

    Raises:
        FormatError: a length leads out of the file, an area has no magic, or the protected area has two sizes.
        LimitError: there are more than `MAX_TLVS` TLVs.
    """
    endian = endian_of(source.read(0, 4))
    if endian is None:
        raise FormatError("the magic 0x96f3b83d is missing", field="ih_magic")
    reader = Reader(source, 4)
    load_address = reader.integer(4, "ih_load_addr", endian)
    header_size = reader.integer(2, "ih_hdr_size", endian)
    protected_size = reader.integer(2, "ih_protect_tlv_size", endian)
    image_size = reader.integer(4, "ih_img_size", endian)
    flags = reader.integer(4, "ih_flags", endian)
    version = _version(reader.take(8, "ih_ver"), endian)
    reader.take(4, "_pad1")
    if header_size < HEADER_SIZE:
        raise FormatError(f"{header_size} is smaller than a header of 32 bytes", offset=8, field="ih_hdr_size")
    reader.skip(header_size - HEADER_SIZE, "ih_hdr_size")
    if image_size == 0:
        raise FormatError("the image is empty", offset=12, field="ih_img_size")
    reader.skip(image_size, "ih_img_size")
    payload = Span(header_size, reader.offset)
    protected, inside = _protected(reader, protected_size, endian)
    unprotected, outside = _area(reader, INFO_MAGIC, "it_magic", endian)
    return Layout(
        endian=endian,
        load_address=load_address,
        header=Span(0, header_size),
        payload=payload,
        protected=protected,
        unprotected=unprotected,
        flags=flags,
        version=version,
        tlvs=inside + outside,
    )


def _version(data: bytes, endian: Endian) -> str:
    return f"{data[0]}.{data[1]}.{int.from_bytes(data[2:4], endian)}+{int.from_bytes(data[4:8], endian)}"


def dependency(data: bytes, endian: Endian) -> str:
    """Return a DEPENDENCY TLV in words; an odd length is shown as hex."""
    if len(data) != 12:  # noqa: PLR2004 - image id, three bytes of padding, version
        return f"dependency {data.hex()}"
    return f"image {data[0]} >= {_version(data[4:], endian)}"


def _protected(reader: Reader, size: int, endian: Endian) -> tuple[Span, tuple[Tlv, ...]]:
    """Read the protected area; the bootloader refuses an image whose header gives it another size (tlv.c)."""
    start = reader.offset
    if size == 0:
        return Span(start, start), ()
    area, tlvs = _area(reader, PROTECTED_INFO_MAGIC, "protected it_magic", endian)
    if area.size != size:
        raise FormatError(
            f"the header says {size} bytes, the area {area.size}", offset=start, field="ih_protect_tlv_size"
        )
    return area, tlvs


def _area(reader: Reader, magic: int, field: str, endian: Endian) -> tuple[Span, tuple[Tlv, ...]]:
    start = reader.offset
    found = reader.integer(2, field, endian)
    if found != magic:
        raise FormatError(f"{found:#06x} where {magic:#06x} belongs", offset=start, field=field)
    total = reader.integer(2, "it_tlv_tot", endian)
    if total < INFO_SIZE or start + total > reader.end:
        raise FormatError(f"{total} bytes do not fit", offset=start + 2, field="it_tlv_tot")
    inner = Reader(reader.source, reader.offset, start + total)
    tlvs = []
    while inner.left:
        tlvs.append(_tlv(inner, magic == PROTECTED_INFO_MAGIC, endian))
        if len(tlvs) > MAX_TLVS:
            raise LimitError(f"more than MAX_TLVS ({MAX_TLVS}) TLVs", offset=inner.offset, field="TLV")
    reader.offset = start + total
    return Span(start, start + total), tuple(tlvs)


def _tlv(reader: Reader, protected: bool, endian: Endian) -> Tlv:  # noqa: FBT001 - private
    kind = reader.integer(2, "it_type", endian)
    if endian == "big" and not kind & 0xFF and kind >> 8 in NAMES:
        kind >>= 8  # imgtool writes the known types as one byte and a pad byte in either byte order
    length = reader.integer(2, "it_len", endian)
    start = reader.offset
    return Tlv(kind, reader.take(length, "TLV"), Span(start, start + length), protected)
