"""Connections with a transcript and a deadline: TCP streams and UDP, IPv4 and IPv6.

Whatever becomes of a connection is told apart: refused, unreachable, silent until the deadline, reset, closed.
"""

from __future__ import annotations

import asyncio
import bisect
import contextlib
import errno
import itertools
import socket
from collections.abc import AsyncIterator, Awaitable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NoReturn

from checker.crypto.certificates import rfc3339
from checker.model.endpoint import Exchange
from checker.model.value import value
from checker.transport.target import Options, Target

CHUNK: Final = 65_536  # bytes of one read, and the largest datagram
KEPT: Final = 131_072  # bytes of one connection that its transcript keeps: a flight with a long post-quantum chain
KEPT_OF_QUESTION: Final = 512  # bytes that a question's transcript keeps: a ServerHello or an alert, and some
MAX_RECEIVED: Final = 4 * 1024 * 1024  # bytes of one connection; whoever sends more is not answering us
MAX_ADDRESSES: Final = 4  # of one name that are tried; each may cost the whole time limit
MAX_CONNECTIONS: Final = 600  # to one endpoint: full enumeration of the weakest server seen needs about 250
_UNREACHABLE: Final = frozenset({errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT})


class LinkError(Exception):
    """A connection gave nothing (more). `kind` is refused, unreachable, timeout, reset, closed, or flood."""

    def __init__(self, kind: str, reason: str) -> None:
        self.kind = kind
        super().__init__(reason)


@dataclass(eq=False)
class Recording:
    """A transcript in the making."""

    purpose: str
    keep: int
    started: str = ""
    zero: float = 0.0
    sent: list[tuple[float, bytes]] = field(default_factory=list)
    received: list[tuple[float, bytes]] = field(default_factory=list)
    total: int = 0
    kept: int = 0
    ended: str = ""
    milliseconds: float = 0.0

    def take(self, at: float, data: bytes) -> None:
        """Keep what was received, as far as the transcript's limit allows."""
        part = data[: max(0, self.keep - self.kept)]
        self.total, self.kept = self.total + len(data), self.kept + len(part)
        if part:
            self.received.append((_ms(at - self.zero), bytes(part)))

    @property
    def turns(self) -> int:
        """Return how often something was sent and something came back."""
        order = sorted([(at, 0) for at, _ in self.sent] + [(at, 1) for at, _ in self.received])
        return sum(before == 0 and after == 1 for (_, before), (_, after) in itertools.pairwise(order))

    def exchange(self) -> Exchange:
        """Return it as it goes into the facts."""
        return Exchange(
            purpose=self.purpose,
            started=self.started,
            sent=tuple((at, data.hex()) for at, data in self.sent),
            received=tuple((at, data.hex()) for at, data in self.received),
            ended=self.ended,
            milliseconds=self.milliseconds,
            truncated=self.total - self.kept,
        )


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 3)


def sequence(recordings: Sequence[Recording]) -> int:
    """Return the longest sequence of turns in which each connection began after the one before it had ended."""
    ended: list[tuple[float, int]] = []  # end of a connection, and the most turns up to any end so far
    for item in sorted(recordings, key=lambda each: each.zero + each.milliseconds / 1000):
        at = bisect.bisect_right(ended, item.zero, key=lambda pair: pair[0])
        turns = (ended[at - 1][1] if at else 0) + item.turns
        ended.append((item.zero + item.milliseconds / 1000, max(turns, ended[-1][1] if ended else 0)))
    return ended[-1][1] if ended else 0


class Link:
    """One open connection. Everything that passes is recorded; its `Run` holds the deadline."""

    def __init__(self, sock: socket.socket, recording: Recording, run: Run, limit: int = MAX_RECEIVED) -> None:
        self._sock = sock
        self._run = run
        self._limit = limit
        self.recording = recording

    async def send(self, data: bytes) -> None:
        """Send bytes, or one datagram.

        Raises:
            LinkError: the peer is gone.
        """
        self.recording.sent.append((_ms(self._run.now() - self.recording.zero), data))
        try:
            done = self._sock.send(data)  # nearly always all of it: what we send is small
        except BlockingIOError:
            done = 0
        except OSError as error:
            self.fail(*_kind(error))
        if done < len(data):
            await self._attempt(self._run.loop.sock_sendall(self._sock, data[done:]))

    async def receive(self, limit: float | None = None) -> bytes:
        """Return what comes next. `limit` is in seconds; the connection's own deadline holds besides.

        Raises:
            LinkError: nothing came in time, or the peer is gone, or it sends without end.
        """
        reading = self._run.loop.sock_recv(self._sock, CHUNK)
        data: bytes = await self._attempt(reading if limit is None else _within(limit, reading))
        self.recording.take(self._run.now(), data)
        if not data:
            self.fail("closed", "the endpoint closes the connection")
        if self.recording.total > self._limit:
            self.fail("flood", f"more than {self._limit} bytes came")
        return data

    async def open(self, peer: Any) -> None:  # noqa: ANN401 - an address of any family
        """Connect to an address.

        Raises:
            LinkError: there is nobody.
        """
        try:
            self._sock.connect(peer)
        except BlockingIOError:
            await self._attempt(self._run.loop.sock_connect(self._sock, peer))
        except OSError as error:
            self.fail(*_kind(error))

    def fail(self, kind: str, reason: str) -> NoReturn:
        """Raise how the connection ended, and note it.

        Raises:
            LinkError: always.
        """
        self.recording.ended = self.recording.ended or kind
        raise LinkError(kind, reason)

    async def _attempt(self, work: Awaitable[Any]) -> Any:  # noqa: ANN401 - whatever the loop's call gives
        try:
            return await work
        except _LimitError:
            self.fail("timeout", "nothing came in time")
        except OSError as error:
            self.fail(*_kind(error))


@value
class Peer:
    """Another place than the endpoint itself, always over TCP: a neighbouring port, or an address with its port."""

    family: int
    address: Any
    limit: int = MAX_RECEIVED  # bytes that may come


class _LimitError(Exception):
    """One step took longer than its own limit."""


async def _within(limit: float, work: Awaitable[Any]) -> Any:  # noqa: ANN401 - whatever the loop's call gives
    try:
        async with asyncio.timeout(limit) as scope:
            return await work
    except TimeoutError:
        if scope.expired():
            raise _LimitError from None
        raise


def _kind(error: OSError) -> tuple[str, str]:
    if isinstance(error, ConnectionRefusedError):
        return "refused", "the port is closed"  # by TCP, or by an ICMP answer to a datagram
    if error.errno in _UNREACHABLE:
        return "unreachable", "there is no route to the address"
    return "reset", "the endpoint resets the connection"


class Run:
    """All connections to one endpoint: at most so many at once, at most so many a second, each with its transcript."""

    def __init__(self, target: Target, options: Options) -> None:
        self.target = target
        self.options = options
        self.loop = asyncio.get_running_loop()
        self.recordings: list[Recording] = []
        self.alpn = options.alpn  # of every hello; widened for servers that demand one
        self.address = ""
        self._family = socket.AF_INET
        self._sockaddr: Any = None
        self._others: list[Any] = []
        self._gate = asyncio.Semaphore(options.cap)
        self._next = 0.0
        self.zero = self.now()

    def now(self) -> float:
        """Return the monotonic time in seconds."""
        return self.options.clock.counter()

    async def resolve(self) -> None:
        """Find the endpoint's address; a literal one is taken as it is.

        Raises:
            LinkError: the name has none.
        """
        kind = socket.SOCK_DGRAM if self.target.datagram else socket.SOCK_STREAM
        found = await self._find(self.target.host.strip("[]"), self.target.port, kind)
        self._others = found[:MAX_ADDRESSES]
        self.another()

    async def _find(self, host: str, port: int, kind: int) -> list[Any]:
        try:
            async with asyncio.timeout(self.options.timeout):
                return await _addresses(self.loop, host, port, kind)
        except (OSError, TimeoutError, UnicodeError):
            raise LinkError("unreachable", f"no address is known for {host}") from None

    def another(self) -> bool:
        """Take the name's next address; return whether there was one."""
        if not self._others:
            return False
        (self._family, _, _, _, self._sockaddr), *self._others = self._others
        self.address = str(self._sockaddr[0])
        return True

    def note(self, purpose: str, keep: int = KEPT) -> int:
        """Return the index of a new transcript for a connection that is about to be made."""
        self.recordings.append(Recording(purpose, keep))
        return len(self.recordings) - 1

    @contextlib.asynccontextmanager
    async def connect(self, index: int, *, peer: Peer | None = None) -> AsyncIterator[Link]:
        """Open the connection of a transcript, and close it at the end; to the endpoint, or to another place.

        Raises:
            LinkError: it cannot be opened, or gives nothing.
        """
        recording = self.recordings[index]
        async with self._gate:
            await self._pace()
            recording.started, recording.zero = rfc3339(self.options.clock.now()), self.now()
            self._spend(index)
            datagram = self.target.datagram and peer is None
            peer = peer or Peer(family=self._family, address=self._sockaddr)
            with socket.socket(peer.family, socket.SOCK_DGRAM if datagram else socket.SOCK_STREAM) as sock:
                sock.setblocking(False)
                link = Link(sock, recording, self, peer.limit)
                try:
                    async with asyncio.timeout(self.options.timeout) as scope:
                        await link.open(peer.address)
                        yield link
                except TimeoutError:
                    if not scope.expired():
                        raise
                    recording.ended = recording.ended or "timeout"
                    raise LinkError("timeout", "nothing came before the deadline") from None
                finally:
                    recording.milliseconds = _ms(self.now() - recording.zero)
                    recording.ended = recording.ended or "answered"

    def _spend(self, index: int) -> None:
        """Refuse a connection beyond the limits; what it would have asked is then not shown."""
        if index >= MAX_CONNECTIONS:
            reason = f"more than {MAX_CONNECTIONS} connections are not made"
        elif self.now() - self.zero > self.options.budget:
            reason = f"the {self.options.budget:g} seconds for this endpoint are used up"
        else:
            return
        self.recordings[index].ended = "not made"
        raise LinkError("timeout", reason)

    def neighbour(self, port: int) -> Peer:
        """Return another port of the endpoint's address."""
        return Peer(family=self._family, address=(self._sockaddr[0], port, *self._sockaddr[2:]))

    async def places(self, host: str, port: int) -> list[Peer]:
        """Return where another host is, over TCP.

        Raises:
            LinkError: its name has no address.
        """
        return [Peer(family=item[0], address=item[4]) for item in await self._find(host, port, socket.SOCK_STREAM)]

    async def _pace(self) -> None:
        if self.options.rate <= 0:
            return
        at = max(self.now(), self._next)
        self._next = at + 1 / self.options.rate
        await asyncio.sleep(max(0.0, at - self.now()))


async def _addresses(loop: asyncio.AbstractEventLoop, host: str, port: int, kind: int) -> list[Any]:
    with contextlib.suppress(OSError):  # an address needs no resolver, and so no thread
        return socket.getaddrinfo(host, port, type=kind, flags=socket.AI_NUMERICHOST)
    return await loop.getaddrinfo(host, port, type=kind)
