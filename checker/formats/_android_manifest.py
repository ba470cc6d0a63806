"""payload.bin of Android A/B updates (CrAU): header, manifest, and where data and signatures lie.

Source: AOSP system/update_engine update_metadata.proto and payload_consumer/payload_metadata.cc. Major version 2 is
Android's; 1 was Brillo's and Chrome OS's, with one root and one kernel partition and no metadata signature.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from checker.errors import FormatError, LimitError
from checker.formats._protobuf import Message
from checker.io.limits import MAX_HEADER
from checker.io.reader import Reader
from checker.model.artifact import Source, Span

MAGIC: Final = b"CrAU"
CURRENT, OLD = 2, 1  # major versions of the file
MAX_PARTITIONS: Final = 1024  # a large device has some seventy
MAX_OPERATIONS: Final = 100_000  # of all partitions; a full system image has some thousand of 2 MiB each
MAX_EXTENTS: Final = 500_000  # of all operations
MAX_SHARING: Final = 2  # times the file's size: all data together; in real payloads operations share nothing
MAX_SIGNATURES: Final = 16  # in one list; any that fits is enough
BLOCK: Final = 4096
# Field numbers of DeltaArchiveManifest.
_V1_ROOT, _V1_KERNEL, _V1_OLD_KERNEL, _V1_NEW_KERNEL, _V1_OLD_ROOT, _V1_NEW_ROOT = 1, 2, 6, 7, 8, 9
_BLOCK_SIZE, _SIGNATURES_OFFSET, _SIGNATURES_SIZE, _MINOR, _PARTITIONS, _MAX_TIMESTAMP = 3, 4, 5, 12, 13, 14
_DYNAMIC, _PARTIAL, _APEX = 15, 16, 17
TYPES: Final = {
    0: "REPLACE",
    1: "REPLACE_BZ",
    2: "MOVE",
    3: "BSDIFF",
    4: "SOURCE_COPY",
    5: "SOURCE_BSDIFF",
    6: "ZERO",
    7: "DISCARD",
    8: "REPLACE_XZ",
    9: "PUFFDIFF",
    10: "BROTLI_BSDIFF",
    11: "ZUCCHINI",
    12: "LZ4DIFF_BSDIFF",
    13: "LZ4DIFF_PUFFDIFF",
}


@dataclass(frozen=True, slots=True)
class Operation:
    """One install operation. `span` is its data in the file, or None; `extents` are (first block, blocks) written."""

    type: str
    span: Span | None
    digest: bytes
    extents: tuple[tuple[int, int], ...]


@dataclass(frozen=True, kw_only=True)
class Partition:
    """What happens to one partition. Sizes are None and hashes empty where they are not stated."""

    name: str
    operations: tuple[Operation, ...] = field(repr=False)
    old_size: int | None
    old_hash: bytes
    new_size: int | None
    new_hash: bytes
    version: str | None
    postinstall: bool


@dataclass(frozen=True, kw_only=True)
class SignatureEntry:
    """One signature of a list; `data` is cut to its stated size where it was padded."""

    data: bytes = field(repr=False)
    span: Span
    padded: bool
    fault: str = ""


@dataclass(frozen=True, kw_only=True)
class Payload:
    """The whole file. Offsets count from its first byte."""

    major: int
    minor: int
    block_size: int
    metadata: Span  # header and manifest: what the metadata signature is over
    metadata_signature: Span
    data: Span  # of the operations
    signature: Span | None
    end: int
    partitions: tuple[Partition, ...]
    max_timestamp: int | None
    partial: bool
    groups: tuple[str, ...]
    apexes: tuple[str, ...]


def read_payload(source: Source) -> Payload:
    """Return what a payload holds.

    Raises:
        FormatError: it breaks the format; the message says where.
        LimitError: it asks for more than any real one.
    """
    reader = Reader(source)
    if reader.take(4, "magic") != MAGIC:
        raise FormatError("this is no payload", offset=0, field="magic")
    major = reader.integer(8, "major version", "big")
    if major not in {OLD, CURRENT}:
        raise FormatError(f"major version {major} is unknown", offset=4, field="major version")
    size = reader.integer(8, "manifest size", "big")
    signature_size = reader.integer(4, "metadata signature size", "big") if major == CURRENT else 0
    manifest = Message(reader.take(size, "manifest", limit=MAX_HEADER), "manifest", reader.offset - size)
    metadata = Span(0, reader.offset)
    reader.skip(signature_size, "metadata signature")
    return _payload(source, major, manifest, metadata, Span(metadata.end, reader.offset))


def _payload(source: Source, major: int, manifest: Message, metadata: Span, signed: Span) -> Payload:
    block_size = manifest.integer(_BLOCK_SIZE) or BLOCK
    signature = _signature_span(source, manifest, signed.end)
    data = Span(signed.end, signature.start if signature else source.size)
    operations = _Operations(source, data)
    partitions = _partitions if major == CURRENT else _old_partitions
    found = tuple(partitions(manifest, operations))
    dynamic = manifest.message(_DYNAMIC, "dynamic_partition_metadata")
    return Payload(
        major=major,
        minor=manifest.integer(_MINOR) or 0,
        block_size=block_size,
        metadata=metadata,
        metadata_signature=signed,
        data=data,
        signature=signature,
        end=signature.end if signature else operations.end,
        partitions=found,
        max_timestamp=manifest.signed(_MAX_TIMESTAMP),
        partial=bool(manifest.integer(_PARTIAL)),
        groups=tuple(group.text(1) or "" for group in dynamic.messages(1, "groups")) if dynamic else (),
        apexes=tuple(f"{apex.text(1) or ''} {apex.signed(2) or ''}" for apex in manifest.messages(_APEX, "apex_info")),
    )


def _signature_span(source: Source, manifest: Message, base: int) -> Span | None:
    """Return where the payload's signatures lie; an absent offset or size means that there are none."""
    offset, size = manifest.integer(_SIGNATURES_OFFSET), manifest.integer(_SIGNATURES_SIZE)
    if offset is None or not size:
        return None
    if base + offset + size > source.size:
        text = f"{size} bytes of signatures at {base + offset:#x} end behind the file"
        raise FormatError(text, offset=manifest.offset, field="manifest.signatures_offset")
    return Span(base + offset, base + offset + size)


# Partitions and operations


def _partitions(manifest: Message, operations: _Operations) -> Iterator[Partition]:
    if manifest.count(_PARTITIONS) > MAX_PARTITIONS:
        raise LimitError(f"more than {MAX_PARTITIONS} partitions", offset=manifest.offset, field="manifest.partitions")
    seen: set[str] = set()
    for message in manifest.messages(_PARTITIONS, "partitions"):
        name = message.text(1) or ""
        if not name or name in seen:
            text = f"partition {name!r} occurs twice" if name else "a partition has no name"
            raise FormatError(text, offset=message.offset, field="manifest.partitions")
        seen.add(name)
        old, new = message.message(6, "old_partition_info"), message.message(7, "new_partition_info")
        steps = tuple(operations.read(step) for step in message.messages(8, "operations"))
        postinstall, version = bool(message.integer(2)), message.text(17)
        yield _partition(name, steps, old, new, version=version, postinstall=postinstall)


def _old_partitions(manifest: Message, operations: _Operations) -> Iterator[Partition]:
    kinds = (("rootfs", _V1_ROOT, _V1_OLD_ROOT, _V1_NEW_ROOT), ("kernel", _V1_KERNEL, _V1_OLD_KERNEL, _V1_NEW_KERNEL))
    for name, steps, old, new in kinds:
        found = tuple(operations.read(step) for step in manifest.messages(steps, "install_operations"))
        before, after = manifest.message(old, "old_info"), manifest.message(new, "new_info")
        if found or after:
            yield _partition(name, found, before, after, version=None, postinstall=False)


def _partition(
    name: str,
    steps: tuple[Operation, ...],
    old: Message | None,
    new: Message | None,
    *,
    version: str | None,
    postinstall: bool,
) -> Partition:
    return Partition(
        name=name,
        operations=steps,
        old_size=old.integer(1) if old else None,
        old_hash=(old.blob(2) or b"") if old else b"",
        new_size=new.integer(1) if new else None,
        new_hash=(new.blob(2) or b"") if new else b"",
        version=version,
        postinstall=postinstall,
    )


class _Operations:
    """Reads operations, and counts them over all partitions."""

    def __init__(self, source: Source, data: Span) -> None:
        self.source, self.data = source, data
        self.count = self.extents = self.total = 0
        self.seen: set[Span] = set()
        self.end = data.start

    def read(self, message: Message) -> Operation:
        number, length = message.integer(1), message.integer(3) or 0
        extents = message.messages(6, "dst_extents")
        self.count += 1
        self.extents += len(extents)
        if self.count > MAX_OPERATIONS or self.extents > MAX_EXTENTS:
            text = f"more than {MAX_OPERATIONS} operations or {MAX_EXTENTS} extents"
            raise LimitError(text, offset=message.offset, field=message.name)
        return Operation(
            type=TYPES.get(-1 if number is None else number, f"type {number}"),
            span=self._span(message, length) if length else None,
            digest=message.blob(8) or b"",
            extents=tuple((extent.integer(1) or 0, extent.integer(2) or 0) for extent in extents),
        )

    def _span(self, message: Message, length: int) -> Span:
        start = self.data.start + (message.integer(2) or 0)
        if start + length > self.source.size:
            text = f"{length} bytes of data at {start:#x} end behind the file"
            raise FormatError(text, offset=message.offset, field=message.name)
        self.end = max(self.end, start + length)
        span = Span(start, start + length)
        self.total += 0 if span in self.seen else length
        self.seen.add(span)
        if self.total > MAX_SHARING * self.source.size:
            raise LimitError("operations share their data too often", offset=message.offset, field=message.name)
        return span


# Signatures


def read_signatures(source: Source, span: Span) -> tuple[SignatureEntry, ...]:
    """Return the entries of a list of signatures.

    Raises:
        FormatError: it is damaged.
        LimitError: it has more than any real one.
    """
    data = Reader(source, span.start, span.end).take(span.size, "signatures")
    message = Message(data, "signatures", span.start)
    if message.count(1) > MAX_SIGNATURES:
        raise LimitError(f"more than {MAX_SIGNATURES} signatures", offset=span.start, field="signatures")
    return tuple(_entry(item) for item in message.messages(1, "signature"))


def _entry(message: Message) -> SignatureEntry:
    data, size = message.blob(2) or b"", message.integer(3)
    start = message.fields[2][-1].offset if message.count(2) else message.offset
    fault = f"{size} bytes are to be used of {len(data)}" if size is not None and size > len(data) else ""
    kept = data if size is None else data[:size]
    return SignatureEntry(data=kept, span=Span(start, start + len(data)), padded=len(kept) < len(data), fault=fault)
