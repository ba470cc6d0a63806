"""Android payloads (CrAU) written by hand, and signed by openssl: no generator for them can be installed.

Source: AOSP system/update_engine update_metadata.proto.
"""

from __future__ import annotations

import bz2
import hashlib
import lzma
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from samples.build import _tools

Sign = Callable[[bytes], bytes]
BLOCK = 4096
REPLACE, REPLACE_BZ, SOURCE_COPY, SOURCE_BSDIFF, ZERO, REPLACE_XZ = 0, 1, 4, 5, 6, 8


def varint(value: int) -> bytes:
    """Return a base-128 varint."""
    out = bytearray()
    while True:
        value, low = value >> 7, value & 0x7F
        out.append(low | (0x80 if value else 0))
        if not value:
            return bytes(out)


def number(key: int, value: int | None) -> bytes:
    """Return a varint field, nothing for None."""
    return b"" if value is None else varint(key << 3) + varint(value)


def blob(key: int, value: bytes | None) -> bytes:
    """Return a length-delimited field, nothing for None."""
    return b"" if value is None else varint(key << 3 | 2) + varint(len(value)) + value


def signing(key: Path, width: int = 0) -> Sign:
    """Return a function that signs a message with SHA-256 as openssl does; `width` pads ECDSA to its largest size."""

    def sign(message: bytes) -> bytes:
        made = _tools.run(["openssl", "dgst", "-sha256", "-sign", key], stdin=message)
        size = varint(3 << 3 | 5) + len(made).to_bytes(4, "little")
        return blob(1, blob(2, made.ljust(width, b"\0")) + (size if width else b""))

    return sign


@dataclass(frozen=True)
class Step:
    """An operation: its type, its data as they lie in the file, and the blocks that it writes."""

    kind: int
    data: bytes
    extents: Sequence[tuple[int, int]]
    digest: bytes | None = None  # None: the right one
    offset: int | None = None  # None: behind the data before


@dataclass(frozen=True)
class Part:
    """A partition: its new content and the operations that write it."""

    name: str
    content: bytes
    steps: Sequence[Step]
    old_hash: bytes | None = None
    new_hash: bytes | None = None
    postinstall: int | None = None
    version: str | None = None


def full(name: str, content: bytes, kind: int = REPLACE, blocks: int = 4) -> Part:
    """Return a partition that is written anew, some blocks at a time."""
    pack: dict[int, Callable[[bytes], bytes]] = {
        REPLACE: bytes,
        REPLACE_BZ: bz2.compress,
        REPLACE_XZ: lambda data: lzma.compress(data, check=lzma.CHECK_CRC32),
    }
    size = blocks * BLOCK
    chunks = [content[start : start + size] for start in range(0, len(content), size)]
    steps = [
        Step(ZERO, b"", [(index * blocks, len(chunk) // BLOCK)])
        if not any(chunk)
        else Step(kind, pack[kind](chunk), [(index * blocks, len(chunk) // BLOCK)])
        for index, chunk in enumerate(chunks)
    ]
    return Part(name, content, steps)


@dataclass(frozen=True)
class Build:
    """A payload to be made. `over_metadata` and `over_all` sign; empty means that the list is left out."""

    parts: Sequence[Part]
    over_metadata: Sequence[Sign] = ()
    over_all: Sequence[Sign] = ()
    max_timestamp: int | None = 1_790_000_000
    minor: int | None = 0
    major: int = 2
    partial: int | None = None
    extra: bytes = b""  # further fields of the manifest
    gap: bytes = b""  # bytes in front of the signatures that belong to no operation
    tail: bytes = b""
    change: Callable[[bytes], bytes] = field(default=lambda data: data)  # what happens to the data after signing

    def with_(self, **changes: object) -> Build:
        """Return the same with some changes."""
        return replace(self, **changes)  # type: ignore[arg-type]

    def build(self) -> bytes:
        """Return the file."""
        data, entries = b"", b""
        for part in self.parts:
            steps = b""
            for step in part.steps:
                steps += blob(8, _operation(step, len(data)))
                data += step.data if step.offset is None else b""
            entries += blob(13, _partition(part, steps))
        data += self.gap
        width = len(b"".join(sign(b"") for sign in self.over_all))
        manifest = number(3, BLOCK) + (number(4, len(data)) + number(5, width) if width else b"")
        manifest += number(12, self.minor) + entries + number(14, self.max_timestamp) + number(16, self.partial)
        manifest += self.extra
        return self._file(manifest, data)

    def _file(self, manifest: bytes, data: bytes) -> bytes:
        size = len(b"".join(sign(b"") for sign in self.over_metadata))
        head = b"CrAU" + self.major.to_bytes(8, "big") + len(manifest).to_bytes(8, "big")
        metadata = head + (size.to_bytes(4, "big") if self.major > 1 else b"") + manifest
        above = b"".join(sign(metadata) for sign in self.over_metadata)
        below = b"".join(sign(metadata + data) for sign in self.over_all)
        return metadata + above + self.change(data) + below + self.tail


def _operation(step: Step, offset: int) -> bytes:
    has = bool(step.data) or step.offset is not None
    digest = hashlib.sha256(step.data).digest() if step.digest is None else step.digest
    place = offset if step.offset is None else step.offset
    out = number(1, step.kind) + (number(2, place) + number(3, len(step.data)) if has else b"")
    out += b"".join(blob(6, number(1, first) + number(2, count)) for first, count in step.extents)
    return out + (blob(8, digest) if has and digest else b"")


def _partition(part: Part, steps: bytes) -> bytes:
    new_hash = hashlib.sha256(part.content).digest() if part.new_hash is None else part.new_hash
    old = None if part.old_hash is None else number(1, len(part.content)) + blob(2, part.old_hash)
    version = None if part.version is None else part.version.encode()
    return (
        blob(1, part.name.encode())
        + number(2, part.postinstall)
        + blob(6, old)
        + blob(7, number(1, len(part.content)) + blob(2, new_hash))
        + steps
        + blob(17, version)
    )
