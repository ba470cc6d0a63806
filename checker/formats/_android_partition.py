"""The new content of a partition, put together from a full payload's operations without unpacking it anywhere.

Source: AOSP system/update_engine update_metadata.proto, InstallOperation. Only operations that bring their own data can
be replayed here: REPLACE, REPLACE_BZ, REPLACE_XZ and ZERO. All others need the partition that is on the device.
"""

from __future__ import annotations

import bisect
import threading
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from checker.formats._android_manifest import Operation, Partition
from checker.formats._inflate import inflate
from checker.model.artifact import Source

MAX_OUTPUT: Final = 64 * 1024 * 1024  # bytes that one compressed operation may give; generators use 2 MiB
_KINDS: Final = {"REPLACE_BZ": "bzip2", "REPLACE_XZ": "xz"}
_REPLAYED: Final = frozenset({"REPLACE", "ZERO", *_KINDS})
_KEPT: Final = 2  # decompressed operations


@dataclass(frozen=True, slots=True)
class _Run:
    """A range of the partition, and where in an operation's output it begins."""

    start: int
    end: int
    number: int
    skipped: int


@dataclass(frozen=True)
class Content:
    """A partition as a source."""

    parent: Source = field(repr=False)
    name: str
    size: int
    _operations: tuple[Operation, ...] = field(repr=False)
    _runs: tuple[_Run, ...] = field(repr=False)
    _block: int
    cost: int  # bytes that are read or decompressed to read all of it once, in order
    _cache: OrderedDict[int, bytes] = field(default_factory=OrderedDict, repr=False, compare=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    def read(self, offset: int, length: int) -> bytes:
        """Return `length` bytes from `offset`, fewer only at the end.

        Raises:
            FormatError: an operation's data do not decompress, or give more than its extents hold.
        """
        end = min(offset + length, self.size)
        parts: list[bytes] = []
        place = bisect.bisect_right(self._runs, offset, key=lambda run: run.start) - 1
        while offset < end and 0 <= place < len(self._runs):
            run = self._runs[place]
            wanted = min(end, run.end) - offset
            parts.append(self._output(run, run.skipped + offset - run.start, wanted).ljust(wanted, b"\0"))
            offset, place = offset + wanted, place + 1
        return b"".join(parts)

    def _output(self, run: _Run, start: int, length: int) -> bytes:
        operation = self._operations[run.number]
        if operation.span is None or operation.type == "ZERO":
            return b""
        if operation.type == "REPLACE":
            room = max(0, min(length, operation.span.size - start))
            return self.parent.read(operation.span.start + start, room) if room else b""
        return self._inflated(run.number, operation)[start : start + length]

    def _inflated(self, number: int, operation: Operation) -> bytes:
        with self._lock:
            found = self._cache.pop(number, None)
            if found is None and operation.span is not None:
                room = sum(blocks for _, blocks in operation.extents) * self._block
                found = inflate(self.parent, operation.span, _KINDS[operation.type], room)
            self._cache[number] = found or b""
            while len(self._cache) > _KEPT:
                self._cache.popitem(last=False)
            return self._cache[number]


def content(source: Source, partition: Partition, block_size: int) -> Content | str:
    """Return the partition's new content, or why it cannot be put together here."""
    size = partition.new_size
    if size is None:
        return "its size is not stated"
    others = sorted({operation.type for operation in partition.operations} - _REPLAYED)
    if others:
        return f"{', '.join(others)} need what is on the device"
    if any(_output_size(item, block_size) > MAX_OUTPUT for item in partition.operations if item.type in _KINDS):
        return f"a compressed operation gives more than MAX_OUTPUT ({MAX_OUTPUT}) bytes"
    runs = sorted(_runs(partition, block_size), key=lambda run: (run.start, run.end))
    end = 0
    for run in runs:
        if run.start != end:
            return f"its operations {'overlap' if run.start < end else 'leave a gap'} at {min(run.start, end):#x}"
        end = run.end
    if end < size:
        return f"its operations write {end} of {size} bytes"
    cost = size + sum(
        _output_size(partition.operations[run.number], block_size)
        for before, run in zip((None, *runs), runs, strict=False)
        if before is None or before.number != run.number  # its output is made anew where others came between
    )
    return Content(source, partition.name, size, partition.operations, tuple(runs), block_size, cost)


def _output_size(operation: Operation, block_size: int) -> int:
    return sum(blocks for _, blocks in operation.extents) * block_size


def _runs(partition: Partition, block_size: int) -> Iterator[_Run]:
    for number, operation in enumerate(partition.operations):
        skipped = 0
        for first, blocks in operation.extents:
            size = blocks * block_size
            if size:
                yield _Run(first * block_size, first * block_size + size, number, skipped)
            skipped += size
