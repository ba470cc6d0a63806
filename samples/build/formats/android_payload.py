"""Makes the samples of Android payloads by hand; openssl signs them. The RSA keys are made anew and are not kept."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Final

from samples.build._tools import KEYS, firmware, public_half, require, run
from samples.build.formats._crau import (
    BLOCK,
    REPLACE,
    REPLACE_BZ,
    REPLACE_XZ,
    SOURCE_BSDIFF,
    Build,
    Part,
    Step,
    full,
    signing,
)

EC_WIDTH: Final = 72  # bytes of the largest ECDSA signature on P-256
BOOT: Final = firmware("boot", 2 * BLOCK)
SYSTEM: Final = b"".join(b"%06d: a line of the system\n" % index for index in range(600)).ljust(6 * BLOCK, b"\0")


def partitions() -> tuple[Part, ...]:
    """Return a full update of three partitions, one for each way to write data anew."""
    return (
        full("boot", BOOT, blocks=1),
        full("system", SYSTEM, REPLACE_XZ, blocks=2),
        full("vendor", SYSTEM[: 2 * BLOCK], REPLACE_BZ, blocks=2),
    )


def key(folder: Path, name: str) -> Path:
    """Return a new RSA key."""
    path = folder / f"{name}.pem"
    run(["openssl", "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", path])
    return path


def build(folder: Path) -> None:
    """Make all samples."""
    require("openssl")
    for kind in ("good", "bad", "keys"):
        shutil.rmtree(folder / kind, ignore_errors=True)
        (folder / kind).mkdir(parents=True)
    with tempfile.TemporaryDirectory() as name:
        signer, stranger = (key(Path(name), each) for each in ("signer", "stranger"))
        public_half(signer, folder / "keys" / "signer.pub.pem")
        public_half(KEYS / "sensor-signing.pem", folder / "keys" / "ec.pub.pem")
        _good(folder / "good", signer, stranger)
        _bad(folder / "bad", signer)


def _good(folder: Path, signer: Path, stranger: Path) -> None:
    rsa, other, ec = signing(signer), signing(stranger), signing(KEYS / "sensor-signing.pem", EC_WIDTH)
    plain = Build(partitions(), [rsa], [rsa])
    (folder / "full.bin").write_bytes(plain.build())
    (folder / "ecdsa.bin").write_bytes(plain.with_(over_metadata=[ec], over_all=[ec]).build())
    (folder / "two-signers.bin").write_bytes(plain.with_(over_metadata=[other, rsa], over_all=[rsa, other]).build())
    patch = Step(SOURCE_BSDIFF, b"BSDF2 a difference", [(0, 2)])
    delta = Part("boot", BOOT, [patch], old_hash=hashlib.sha256(b"old boot").digest())
    (folder / "delta.bin").write_bytes(plain.with_(parts=[delta], minor=5).build())


def _bad(folder: Path, signer: Path) -> None:
    rsa = signing(signer)
    plain = Build(partitions(), [rsa], [rsa])
    data = plain.build()
    boot, system, vendor = partitions()
    size = 20 + int.from_bytes(data[12:20], "big") + 4
    first = boot.steps[0]
    twice = replace(boot, steps=[first, replace(first, offset=0, extents=[(1, 1)])], content=BOOT[:BLOCK] * 2)
    made = {
        "payload-signature-bit-flipped.bin": flip(data, len(data) - 40),
        "metadata-signature-bit-flipped.bin": flip(data, size + 40),
        "data-bit-flipped.bin": flip(data, data.index(b"otaudit sample: boot")),
        "unsigned.bin": plain.with_(over_metadata=[], over_all=[]).build(),
        "payload-signature-missing.bin": plain.with_(over_all=[]).build(),
        "no-max-timestamp.bin": plain.with_(max_timestamp=None).build(),
        "bytes-of-no-operation.bin": plain.with_(gap=b"hidden among the data").build(),
        "operations-share-data.bin": plain.with_(parts=[twice]).build(),
        "operation-without-digest.bin": plain.with_(parts=[without_digest(boot), system, vendor]).build(),
        "partition-hash-wrong.bin": plain.with_(parts=[replace(boot, new_hash=bytes(32)), system]).build(),
        "postinstall.bin": plain.with_(parts=[boot, replace(system, postinstall=1)]).build(),
        "bytes-behind.bin": plain.with_(tail=b"left over").build(),
        "truncated.bin": data[:-100],
        "manifest-larger-than-file.bin": data[:12] + (1 << 20).to_bytes(8, "big") + data[20:],
        "major-version-9.bin": data[:11] + b"\x09" + data[12:],
    }
    for name, content in made.items():
        (folder / name).write_bytes(content)


def without_digest(part: Part) -> Part:
    """Return a partition whose first operation states no digest of its data."""
    return replace(part, steps=[replace(part.steps[0], digest=b""), *part.steps[1:]])


def flip(data: bytes, offset: int) -> bytes:
    """Return the bytes with one bit flipped."""
    return data[:offset] + bytes([data[offset] ^ 1]) + data[offset + 1 :]


__all__ = ["REPLACE", "build", "flip", "key", "partitions"]
