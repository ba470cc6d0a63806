"""First bytes of well-known files, for hints: what a file of no known format looks like."""

from __future__ import annotations

from typing import Final

from checker.model.artifact import Source

# (offset, magic, name). Magics of fewer than three bytes say little; `known_magic` leaves them out.
_MAGICS: Final = (
    (0, b"\x1f\x8b\x08", "gzip"),
    (0, b"\xfd7zXZ\x00", "xz"),
    (0, b"BZh", "bzip2"),
    (0, b"\x28\xb5\x2f\xfd", "zstd"),
    (0, b"\x04\x22\x4d\x18", "lz4"),
    (0, b"\x7fELF", "ELF"),
    (0, b"MZ", "PE/EFI"),
    (0, b"hsqs", "squashfs"),
    (0, b"PK\x03\x04", "zip"),
    (0, b"PK\x05\x06", "an empty zip"),
    (257, b"ustar", "tar"),
    (0, b"070701", "cpio (newc) whose first member is not what a known format wants"),
    (0, b"070702", "cpio (newc with checksums) whose first member is not what a known format wants"),
    (0, b"070707", "cpio (odc)"),
    (0, b"-----BEGIN PGP SIGNATURE-----", "an OpenPGP signature: open the signed file, with this as its signature"),
    (0, b"\x90\x0d\x03", "an OpenPGP message with its signature inside, which is not opened here"),
    (0, b"\xc4\x0d\x03", "an OpenPGP message with its signature inside, which is not opened here"),
    (0, b"-----BEGIN PGP MESSAGE-----", "an OpenPGP message, whose content is not opened here"),
    (0, b"-----BEGIN PGP ", "an OpenPGP key"),
    (0, b"-----BEGIN ", "PEM"),
    (0, b"\xd0\x0d\xfe\xed", "a device tree (FIT)"),
    (0, b"\x27\x05\x19\x56", "a legacy U-Boot image"),
    (0, b"UBI#", "UBI"),
    (0, b"\x31\x18\x10\x06", "UBIFS"),
    (0x438, b"\x53\xef", "ext2/3/4"),
    (0, b"CrAU", "an Android payload"),
    (0, b"\x3a\xff\x26\xed", "an Android sparse image"),
    (0, b"ANDROID!", "an Android boot image"),
    (0, b"MSCF", "a Windows cabinet"),
    (0, b"%PDF-", "PDF"),
    (
        0,
        b"untrusted comment:",
        "a minisign or signify key or signature: open the signed file, with the signature beside it",
    ),
    (0, b"\xd8\x6b", "a SUIT envelope"),
    (0, b":10", "Intel HEX"),
    (0, b"S0", "Motorola S-record"),
    (0, b"\xe9", "an ESP-IDF image (magic 0xE9)"),
    (0, b"{", "JSON"),
    (0, b"\x30\x82", "DER (a certificate, key or CMS message)"),
)
_SIGSTORE: Final = b"application/vnd.dev.sigstore.bundle"  # in the first lines of every bundle
_LONG_ENOUGH: Final = 3  # bytes: random data starts with one of these once in some 10^6 files


def hint(source: Source) -> str:
    """Return what a file of no known format looks like, as a clause."""
    head = source.read(0, 2048)
    if not head:
        return "is empty"
    if _SIGSTORE in head:
        return "is a sigstore bundle: open the signed file, with this as its signature"
    return f"looks like {_name(head, 1)}" if _name(head, 1) else f"starts with {head[:8].hex(' ')}"


def known_magic(data: bytes) -> str:
    """Return the name of a well-known file that starts like this, or nothing; short magics do not count."""
    return _name(data, _LONG_ENOUGH)


def _name(head: bytes, least: int) -> str:
    matching = (
        name for offset, magic, name in _MAGICS if len(magic) >= least and head[offset : offset + len(magic)] == magic
    )
    return next(matching, "")
