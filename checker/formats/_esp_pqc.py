"""The quantum-resistant block behind the Secure Boot v2 sector of an ESP-IDF image: ML-DSA beside the classical scheme.

Source: espressif/esp-pqc, examples/pqc_boot_verify, whose README calls it an experiment and no production workflow.

* bootloader_components/esp_image_verify/include/pqc_sig_block.h and src/esp_image_format.c at commit
  95db07d1d72798cbcc1cb18d9bb5931d05dba665: the layout, and that the boot loader wants both signatures, this one first;
* bootloader_components/bootloader_support/src/pqc_bootloader_verify.c (what is checked, and in which order) and
  scripts/pqc_sign.py at commit ba265de0c8fbf6a8e7803e773fc21d2be311e810.

The block is two sectors and stands right behind the classical sector, which it covers too. The signature is pure
ML-DSA with an empty context over the 32 bytes of the SHA-256. The boot loader holds the key itself; the copy in the
block is no trust. Flags and padding are not looked at. The demonstration is built for ML-DSA-65; the header names all
three sets.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, field, replace
from typing import Final

from checker.crypto.keyring import KeyRing
from checker.crypto.keys import from_raw
from checker.errors import CryptoError, FormatError
from checker.formats import _common as common
from checker.formats._esp_image import SECTOR, Layout
from checker.io.digests import digest
from checker.model.artifact import Signature, Source, Span
from checker.model.terms import Outcome

SIZE: Final = 2 * SECTOR
ALGORITHMS: Final = {1: ("ml-dsa-44", 1312, 2420), 2: ("ml-dsa-65", 1952, 3309), 3: ("ml-dsa-87", 2592, 4627)}
HEAD: Final = struct.Struct("<BBBB32sII")  # magic, version, algorithm, flags, digest, lengths of key and signature
MAGIC: Final = b"\xe8\x01"  # with the only version so far
DIGEST_AT: Final = 4
KEY_AT: Final = HEAD.size
SIGNATURE_AT: Final = KEY_AT + 2592  # the longest key
CRC_AT: Final = SIGNATURE_AT + 4627  # the longest signature
FIELD: Final = "quantum-resistant block"


@dataclass(frozen=True, kw_only=True)
class ResistantBlock:
    """One block as it stands. `algorithm` is empty where its number is none; key and signature where a length lies."""

    span: Span
    algorithm: str
    flags: int
    digest: bytes
    key: bytes = field(repr=False, default=b"")
    signature: bytes = field(repr=False, default=b"")
    crc_matches: bool
    padded: bool  # whether everything that means nothing is zero

    @property
    def fits(self) -> bool:
        """Return whether the stated lengths are those of the algorithm; key and signature are empty where not."""
        return bool(self.key)


def place(layout: Layout) -> int:
    """Return where the boot loader looks for the block: right behind the sector of the classical blocks."""
    return layout.sector + SECTOR


def read_block(source: Source, layout: Layout) -> ResistantBlock | None:
    """Return the block behind the sector of an image, or None where nothing of its magic and version is.

    Raises:
        FormatError: there is one, and the file ends inside of it.
    """
    start = place(layout)
    data = source.read(start, SIZE)
    if not data or data[: len(MAGIC)] != MAGIC[: len(data)]:
        return None
    if len(data) < SIZE:
        raise FormatError(f"{SIZE} bytes needed, {len(data)} left", offset=start, field=FIELD)
    _, _, number, flags, stated, key_size, size = HEAD.unpack_from(data)
    algorithm, *sizes = ALGORITHMS.get(number, ("", 0, 0))
    fits = bool(algorithm) and sizes == [key_size, size]
    key, signature = (KEY_AT, KEY_AT + key_size), (SIGNATURE_AT, SIGNATURE_AT + size)
    rest = (data[key[1] : SIGNATURE_AT], data[signature[1] : CRC_AT], data[CRC_AT + 4 :]) if fits else ()
    return ResistantBlock(
        span=Span(start, start + SIZE),
        algorithm=algorithm,
        flags=flags,
        digest=stated,
        key=data[slice(*key)] if fits else b"",
        signature=data[slice(*signature)] if fits else b"",
        crc_matches=crc(data) == data[CRC_AT : CRC_AT + 4],
        padded=not any(any(part) for part in rest),
    )


def crc(data: bytes) -> bytes:
    """Return the CRC-32 of a block, over everything before its place."""
    return struct.pack("<I", zlib.crc32(data[:CRC_AT]))


def judge(block: ResistantBlock, covers: Span, actual: bytes, keys: KeyRing, *, classical: bool) -> Signature:
    """Return what is known of a block.

    Args:
        block: the block.
        covers: what it is over: the image and the sector of the classical blocks.
        actual: the SHA-256 of those bytes.
        keys: the declared keys.
        classical: whether a classical block stands in the sector.
    """
    blank = Signature(
        outcome=Outcome.INVALID,
        algorithm=block.algorithm,
        hash="sha-256" if block.algorithm else "",
        covers=(covers,),
        encoding="raw" if block.algorithm else "",
        where=block.span,
    )
    why = _refused(block, actual, classical=classical)
    return replace(blank, note=why) if why else _verified(blank, block, keys)


def _refused(block: ResistantBlock, actual: bytes, *, classical: bool) -> str:
    """Return why the boot loader refuses a block before it looks at key and signature, or nothing."""
    checks = (
        (not classical, "no classical block stands in the sector before it, without which the boot loader refuses"),
        (not block.algorithm, "the block names an algorithm that is none"),
        (not block.fits, "the block's lengths of key and signature are not those of its algorithm"),
        (not block.crc_matches, "the block's CRC does not match"),
        (block.digest != actual, "the block's digest is not that of image and signature sector"),
    )
    return next((words for wrong, words in checks if wrong), "")


def _verified(blank: Signature, block: ResistantBlock, keys: KeyRing) -> Signature:
    try:
        key = from_raw(block.algorithm, block.key)
    except (CryptoError, FormatError) as error:
        return replace(blank, note=str(error))
    declared = keys.find(key.spki_sha256)
    blank = replace(blank, key=declared.facts if declared else key.facts)
    outcome, note = common.check_message(key, block.algorithm, "", block.digest, block.signature)
    if outcome is Outcome.VALID and declared is None:
        shown = digest("sha-256", block.key).hex()
        note = f"fits the key in the block, which nothing declared; the SHA-256 of its bytes: {shown}"
        return replace(blank, outcome=Outcome.KEY_UNKNOWN, note=note)
    return replace(blank, outcome=outcome, note=note)
