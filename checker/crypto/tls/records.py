"""The record layers of TLS (RFC 9846 5.1) and DTLS (RFC 6347 4.1), and the handshake messages inside.

Readers are total: whatever comes in, they give records and messages, or raise `FormatError` (`LimitError` where a peer
asks for more than a limit). Nothing is kept beyond those limits.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from checker.errors import FormatError, LimitError

CHANGE_CIPHER, ALERT, HANDSHAKE, DATA, HEARTBEAT = 20, 21, 22, 23, 24
_KINDS: Final = frozenset({CHANGE_CIPHER, ALERT, HANDSHAKE, DATA, HEARTBEAT})
MAX_RECORD: Final = 0x4000 + 2048  # bytes of a protected record (RFC 5246 6.2.3)
MAX_MESSAGE: Final = 256 * 1024  # bytes of one handshake message; OpenSSL takes 100 KiB, post-quantum chains need more
MAX_FLIGHT: Final = 1024 * 1024  # bytes of all handshake messages of one connection
MAX_EMPTY_RECORDS: Final = 32  # in a row: OpenSSL's own limit, a peer that sends more is spinning us
FATAL_CLOSE: Final = b"\x02\x5a"  # a fatal user_canceled: it ends sessions that servers keep for half a handshake
_HEADER, _DATAGRAM_HEADER, _FRAGMENT_HEADER = 5, 13, 12
_TLS_MAJOR, _DTLS_MAJOR = 3, 0xFE


@dataclass(frozen=True)
class Record:
    """One record; `epoch` and `sequence` are DTLS's."""

    kind: int
    version: int
    payload: bytes
    epoch: int = 0
    sequence: int = 0


@dataclass(frozen=True)
class Message:
    """One handshake message: its type, its body, and its bytes as the transcript hash takes them."""

    kind: int
    body: bytes
    raw: bytes = field(repr=False, default=b"")


def records(kind: int, payload: bytes, version: int = 0x0301) -> bytes:
    """Return a payload as TLS records of at most 2**14 bytes."""
    parts = [payload[at : at + 0x4000] for at in range(0, len(payload), 0x4000)] or [b""]
    return b"".join(bytes([kind]) + version.to_bytes(2) + len(part).to_bytes(2) + part for part in parts)


def message(kind: int, body: bytes) -> bytes:
    """Return a handshake message with its header."""
    return bytes([kind]) + len(body).to_bytes(3) + body


def datagram(kind: int, payload: bytes, sequence: int, version: int = 0xFEFF) -> bytes:
    """Return a DTLS record of epoch 0."""
    return bytes([kind]) + version.to_bytes(2) + sequence.to_bytes(8) + len(payload).to_bytes(2) + payload


def datagram_message(kind: int, body: bytes, number: int) -> bytes:
    """Return an unfragmented DTLS handshake message (RFC 6347 4.2.2); `number` is its message_seq."""
    size = len(body).to_bytes(3)
    return bytes([kind]) + size + number.to_bytes(2) + bytes(3) + size + body


class RecordReader:
    """Cuts a byte stream into TLS records."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._offset = 0
        self._empty = 0

    def feed(self, data: bytes) -> list[Record]:
        """Return the records that are now whole.

        Raises:
            FormatError: the bytes are not TLS records.
            LimitError: a record is longer than TLS allows, or empty ones do not end.
        """
        self._buffer += data
        found = []
        while (size := self._whole()) is not None:
            kind, version = self._buffer[0], int.from_bytes(self._buffer[1:3])
            found.append(Record(kind, version, bytes(self._buffer[_HEADER:size])))
            del self._buffer[:size]
            self._offset += size
            self._count(found[-1])
        return found

    def _whole(self) -> int | None:
        if self._buffer and self._buffer[0] not in _KINDS:
            raise FormatError(f"{self._buffer[0]:#04x} is no TLS record type", offset=self._offset, field="record")
        if len(self._buffer) > 1 and self._buffer[1] != _TLS_MAJOR:
            raise FormatError("the record's version is not TLS", offset=self._offset + 1, field="record version")
        if len(self._buffer) < _HEADER:
            return None
        size = int.from_bytes(self._buffer[3:5])
        if size > MAX_RECORD:
            raise LimitError(f"a record of {size} bytes", offset=self._offset + 3, field="record length")
        return _HEADER + size if len(self._buffer) >= _HEADER + size else None

    def _count(self, record: Record) -> None:
        self._empty = 0 if record.payload else self._empty + 1
        if self._empty > MAX_EMPTY_RECORDS:
            raise LimitError("empty records without end", offset=self._offset, field="record")


class MessageReader:
    """Joins handshake records into messages, whatever way they are fragmented."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._total = 0

    @property
    def pending(self) -> bool:
        """Return whether a message is only partly there."""
        return bool(self._buffer)

    def feed(self, payload: bytes) -> list[Message]:
        """Return the messages that are now whole.

        Raises:
            LimitError: a message, or all of them together, are longer than the limits; known from the header alone.
        """
        self._buffer += payload
        found = []
        while len(self._buffer) >= 4:  # noqa: PLR2004 - type and 24-bit length
            size = int.from_bytes(self._buffer[1:4])
            _bounded(size, self._total)
            if len(self._buffer) < 4 + size:
                break
            raw = bytes(self._buffer[: 4 + size])
            found.append(Message(raw[0], raw[4:], raw))
            del self._buffer[: 4 + size]
            self._total += size
        return found


def _bounded(size: int, total: int) -> None:
    if size > MAX_MESSAGE:
        raise LimitError(
            f"a handshake message of {size} bytes; the limit is {MAX_MESSAGE}", offset=total, field="handshake message"
        )
    if total + size > MAX_FLIGHT:
        raise LimitError(f"more than {MAX_FLIGHT} bytes of handshake messages", offset=total, field="handshake")


def read_datagram(data: bytes) -> list[Record]:
    """Return the DTLS records of one datagram.

    Raises:
        FormatError: they are none, or the last one is cut short.
    """
    found, at = [], 0
    while at < len(data):
        header = data[at : at + _DATAGRAM_HEADER]
        if len(header) < _DATAGRAM_HEADER or header[0] not in _KINDS or header[1] != _DTLS_MAJOR:
            raise FormatError("not a DTLS record", offset=at, field="record")
        end = at + _DATAGRAM_HEADER + int.from_bytes(header[11:13])
        if end > len(data):
            raise FormatError("the record ends beyond its datagram", offset=at + 11, field="record length")
        epoch, sequence = int.from_bytes(header[3:5]), int.from_bytes(header[5:11])
        found.append(Record(header[0], int.from_bytes(header[1:3]), data[at + _DATAGRAM_HEADER : end], epoch, sequence))
        at = end
    return found


@dataclass
class _Parts:
    """A DTLS message under reassembly: its bytes so far and which of them are there."""

    kind: int
    body: bytearray
    seen: list[tuple[int, int]]

    def add(self, start: int, data: bytes) -> None:
        self.body[start : start + len(data)] = data
        self.seen.append((start, start + len(data)))
        if len(self.seen) > 64:  # noqa: PLR2004 - fragments are merged now and then, so that repeats cost nothing
            self.seen = _merged(self.seen)

    @property
    def whole(self) -> bool:
        return not self.body or _merged(self.seen) == [(0, len(self.body))]


def _merged(spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((start, end))
    return found


class DatagramMessageReader:
    """Joins DTLS handshake fragments (RFC 6347 4.2.3): out of order, overlapping and repeated ones too."""

    def __init__(self) -> None:
        self._parts: dict[int, _Parts] = {}
        self._next = 0
        self._total = 0

    def feed(self, payload: bytes) -> list[Message]:
        """Return the messages that are now whole, in order.

        Raises:
            FormatError: a fragment contradicts its message or itself.
            LimitError: a message, or all of them together, are longer than the limits.
        """
        at = 0
        while at < len(payload):
            at = self._fragment(payload, at)
        return self._ready()

    def _fragment(self, payload: bytes, at: int) -> int:
        header = payload[at : at + _FRAGMENT_HEADER]
        if len(header) < _FRAGMENT_HEADER:
            raise FormatError("a fragment is cut short", offset=at, field="handshake fragment")
        size, number = int.from_bytes(header[1:4]), int.from_bytes(header[4:6])
        start, length = int.from_bytes(header[6:9]), int.from_bytes(header[9:12])
        end = at + _FRAGMENT_HEADER + length
        if start + length > size or end > len(payload):
            raise FormatError("a fragment ends beyond its message", offset=at + 9, field="handshake fragment")
        if number < self._next:
            return end  # a repeated message
        if number not in self._parts:
            _bounded(size, self._total)
            self._total += size
            self._parts[number] = _Parts(header[0], bytearray(size), [])
        part = self._parts[number]
        if len(part.body) != size or part.kind != header[0]:
            raise FormatError("two fragments disagree on their message", offset=at, field="handshake fragment")
        part.add(start, payload[at + _FRAGMENT_HEADER : end])
        return end

    def _ready(self) -> list[Message]:
        found = []
        while (part := self._parts.get(self._next)) is not None and part.whole:
            del self._parts[self._next]
            self._next += 1
            body = bytes(part.body)
            found.append(Message(part.kind, body, message(part.kind, body)))
        return found
