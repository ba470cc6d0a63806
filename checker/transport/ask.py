"""One question: one ClientHello, and what the endpoint says to it (tls.md 3.2 and 3.3).

The answer is read no further than it must be: to the ServerHello, or to the end of the server's first flight where the
question is about what comes later in it. A half DTLS handshake ends with a fatal alert, so that no server keeps it.
"""

from __future__ import annotations

import contextlib
from dataclasses import field, replace
from enum import StrEnum
from typing import Final

from checker.crypto.tls import messages, names, records
from checker.crypto.tls.messages import Hello, ServerHello
from checker.crypto.tls.session import Session, Watcher
from checker.errors import FormatError
from checker.model.endpoint import Answer, Fact
from checker.model.value import value
from checker.transport.link import KEPT, KEPT_OF_QUESTION, Link, LinkError, Run

_TEXT: Final = frozenset(range(0x20, 0x7F)) | {0x09, 0x0A, 0x0D}
_TEXT_SHARE: Final = 0.9  # of the first bytes: a banner, not chance
FIRST_RETRANSMIT: Final = 1.0  # seconds before a DTLS hello is repeated (RFC 6347 4.2.4.1)


class Kind(StrEnum):
    """What a question met."""

    HELLO = "hello"
    ALERT = "alert"
    PLAINTEXT = "plaintext"
    GARBAGE = "garbage"
    TIMEOUT = "timeout"
    REFUSED = "refused"
    UNREACHABLE = "unreachable"
    RESET = "reset"
    CLOSED = "closed"
    FLOOD = "flood"


@value
class Reply:
    """The answer to one question."""

    kind: Kind
    exchange: int
    session: Session = field(default_factory=Session)
    retry: ServerHello | None = None
    alert: int | None = None
    first: bytes = b""
    reason: str = ""
    milliseconds: float = 0.0
    random: bytes = field(default=b"", repr=False)  # ours, which a signed key exchange covers
    repeated: bool = False  # the same alert came before, to the same question

    @property
    def hello(self) -> ServerHello | None:
        """Return the ServerHello or HelloRetryRequest that came."""
        return self.session.hello or self.retry

    @property
    def suite(self) -> int | None:
        """Return the suite that was chosen."""
        return self.hello.suite if self.hello else None

    @property
    def group(self) -> int | None:
        """Return the group that was chosen, by a retry, a share or a ServerKeyExchange."""
        return self.retry.group if self.retry else self.session.group

    def fact(self, answer: Answer, reason: str = "") -> Fact:
        """Return an answer that this reply shows."""
        return Fact(answer=answer, reason=reason or self.reason, exchanges=(self.exchange,))


async def ask(run: Run, hello: Hello, purpose: str, *, whole_flight: bool = False) -> Reply:
    """Ask one question. Never raises for anything that the endpoint does."""
    index = run.note(purpose, KEPT if whole_flight else KEPT_OF_QUESTION)
    try:
        async with run.connect(index) as link:
            question = _Question(link, hello, whole_flight=whole_flight)
            reply = await (question.datagrams() if hello.datagram else question.stream())
            reply = replace(reply, random=hello.random)
            link.recording.ended = reply.kind.value
    except LinkError as error:
        return Reply(kind=Kind(error.kind), exchange=index, reason=str(error))
    return replace(reply, exchange=index, milliseconds=run.recordings[index].milliseconds)


class _Question:
    def __init__(self, link: Link, hello: Hello, *, whole_flight: bool) -> None:
        self._link = link
        self._hello = hello
        self._whole = whole_flight
        self._session = Session()
        self._watcher = Watcher(self._session, datagrams=hello.datagram)
        self._first = b""
        self._sequence = 0

    async def stream(self) -> Reply:
        body = messages.client_hello(self._hello)
        version = 0x0300 if self._hello.versions == (messages.SSL3,) else 0x0301
        hello = records.message(messages.CLIENT_HELLO, body)
        await self._link.send(records.records(records.HANDSHAKE, hello, version))
        return await self._read()  # closing the connection is goodbye enough

    async def datagrams(self) -> Reply:
        await self._send_datagram()
        reply = await self._read()
        if reply.kind is Kind.HELLO:
            with contextlib.suppress(LinkError):  # a server that holds one session at a time would wait for the rest
                await self._link.send(records.datagram(records.ALERT, records.FATAL_CLOSE, self._sequence + 1))
        return reply

    async def _send_datagram(self) -> None:
        number = 1 if self._hello.cookie else 0
        hello = records.datagram_message(messages.CLIENT_HELLO, messages.client_hello(self._hello), number)
        await self._link.send(records.datagram(records.HANDSHAKE, hello, self._sequence))

    async def _read(self) -> Reply:
        """Read until the question is answered; once there is a ServerHello, an early end does not undo it."""
        while True:
            try:
                data = await self._next()
            except LinkError:
                if self._whole or self._session.hello is None:
                    raise
                return self._reply(Kind.HELLO)
            self._first = self._first or data[:64]
            try:
                done = await self._take(data)
            except FormatError as error:
                return self._odd(error)
            if done is not None:
                return done

    async def _next(self) -> bytes:
        if not self._hello.datagram or self._first:
            return await self._link.receive()
        try:
            return await self._link.receive(FIRST_RETRANSMIT)
        except LinkError as error:
            if error.kind != "timeout":
                raise
        self._link.recording.ended = ""
        self._sequence += 1
        await self._send_datagram()  # once more: a datagram may be lost (tls.md 6)
        return await self._link.receive()

    async def _take(self, data: bytes) -> Reply | None:
        if self._hello.datagram and (cookie := _cookie(data)) is not None:
            if self._hello.cookie:
                return None  # the answer to a repeated hello
            self._hello = replace(self._hello, cookie=cookie)
            self._sequence += 1
            self._watcher.feed(data)
            await self._send_datagram()
            return None
        self._watcher.feed(data)
        if self._watcher.alert is not None:
            return self._reply(Kind.ALERT)
        if self._session.retry is not None:
            return self._reply(Kind.HELLO)
        if self._session.hello is None or (self._whole and not self._complete):
            return None
        return self._reply(Kind.HELLO)

    @property
    def _complete(self) -> bool:
        return self._session.flight_done or self._session.tls13

    def _reply(self, kind: Kind) -> Reply:
        alert = self._watcher.alert
        return Reply(
            kind=kind,
            exchange=0,
            session=self._session,
            retry=self._session.retry,
            alert=alert,
            first=self._first,
            reason="" if alert is None else f"answers {names.alert_name(alert)}",
        )

    def _odd(self, error: FormatError) -> Reply:
        if self._session.hello is not None or self._session.retry is not None:
            if not self._whole:
                return self._reply(Kind.HELLO)  # the question is answered, whatever is wrong with what follows
            return Reply(kind=Kind.GARBAGE, exchange=0, first=self._first, reason=f"damaged handshake: {error}")
        kind = Kind.PLAINTEXT if is_text(self._first) else Kind.GARBAGE
        what = "text of another protocol" if kind is Kind.PLAINTEXT else f"no TLS: {error}"
        return Reply(kind=kind, exchange=0, first=self._first, reason=what)


def _cookie(data: bytes) -> bytes | None:
    """Return the cookie of a HelloVerifyRequest, or None for anything else."""
    found = records.read_datagram(data)[:1] if data[:1] == b"\x16" else []
    if not found or found[0].payload[:1] != bytes([messages.HELLO_VERIFY]):
        return None
    return messages.cookie(found[0].payload[12:])


def is_text(data: bytes) -> bool:
    """Return whether first bytes look like a text protocol's."""
    return bool(data) and sum(byte in _TEXT for byte in data) >= _TEXT_SHARE * len(data)
