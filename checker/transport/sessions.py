"""Handshakes that are carried through over a real connection, with the touch of the application above."""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING, Any, Final

from checker.crypto.tls import names
from checker.crypto.tls.identity import ClientIdentity, PreSharedKey
from checker.crypto.tls.library import LibraryClient, LibraryWanted, datagrams
from checker.crypto.tls.session import HandshakeError, Session
from checker.errors import CryptoError, FormatError
from checker.model.endpoint import Answer, Application, Fact, Handshake
from checker.model.value import value
from checker.transport import application
from checker.transport.application import Touch
from checker.transport.link import Link, LinkError, Run

if TYPE_CHECKING:
    from checker.crypto.tls.client13 import Client13
    from checker.crypto.tls.psk12 import PskClient

AFTERMATH: Final = (
    0.5  # seconds: TLS 1.3 refuses a client after our Finished, and some peers never say that all is well
)
_RETRANSMIT: Final = 1.0  # seconds (RFC 6347 4.2.4.1)

_X25519: Final = 0x001D
_TLS13: Final = "TLSv1.3"


@value
class Carried:
    """One handshake as it went: what was seen, how it ended, and the application's answer."""

    session: Session
    exchange: int
    completed: bool = False
    alert: int | None = None
    late: bool = False  # the refusal came after our Finished
    ours: bool = False  # our own library failed: no word of the endpoint's
    silent: bool = False
    cut: bool = False  # the endpoint closed or reset the connection, and gave no reason
    reason: str = ""
    application: Application | None = None
    confirmed: bool = False  # something came after our Finished: a ticket, data, or TLS 1.2's own Finished
    group: str = ""
    carried_by: str = ""
    milliseconds: float = 0.0
    resumable: Any = field(default=None, repr=False)

    @property
    def by_key(self) -> bool:
        """Return whether it was carried through by a pre-shared key; TLS 1.3 may go on without one."""
        return self.completed and (self.session.resumed or not self.session.tls13)

    @property
    def fact(self) -> Fact:
        """Return whether the handshake was completed: the server's Finished and signature verified."""
        at = (self.exchange,)
        if self.completed:
            return Fact(answer=Answer.YES, reason=self.reason if self.late else "", exchanges=at)
        refused = self.alert is not None and not self.ours
        return Fact(answer=Answer.NO if refused else Answer.NOT_SHOWN, reason=self.reason, exchanges=at)

    @property
    def facts(self) -> Handshake:
        """Return it as it goes into the facts."""
        session = self.session
        return Handshake(
            completed=self.fact,
            version=names.VERSION_NAMES.get(session.version, ""),
            suite=names.suite_name(session.hello.suite) if session.hello else "",
            group=self.group or (names.group_name(session.group) if session.group else ""),
            signature_scheme=names.scheme_name(session.scheme) if session.scheme else "",
            alpn=session.alpn,
            carried_by=self.carried_by,
            milliseconds=self.milliseconds,
        )


@value
class Plan:
    """What one handshake is to be: its group (None: the library chooses), its identity, and what comes above.

    With `psk` it is one of `version` by that key, and our own client carries it; without one `version` is the highest.
    """

    purpose: str
    group: int | None = None
    identity: ClientIdentity | None = None
    resume: Any = None
    psk: PreSharedKey | None = None
    version: str = ""
    raw_key: bool = False
    schemes: tuple[int, ...] = ()  # of the server's signature; empty: every one
    alpn: tuple[str, ...] | None = None  # None: what every hello of the run says
    touch: Touch | None = None


async def carry(run: Run, plan: Plan) -> Carried:
    """Carry one handshake through. Never raises for anything that the endpoint does."""
    index = run.note(plan.purpose)
    by = "pyOpenSSL" if plan.group is None and plan.psk is None else "otaudit"
    try:
        client = _client(run, plan)
    except CryptoError as error:
        return Carried(session=Session(), exchange=index, ours=True, reason=str(error), carried_by=by)
    courier = _Courier(run, client, plan)
    try:
        async with run.connect(index) as link:
            await courier.carry(link)
    except LinkError as error:
        courier.end(error)
    except (CryptoError, FormatError) as error:
        courier.fail(error)
    carried = courier.result(index, by)
    if isinstance(client, LibraryClient):
        client.release()
    return carried


def _client(run: Run, plan: Plan) -> LibraryClient | Client13 | PskClient:
    usual = run.alpn or (("http/1.1",) if run.target.scheme == "https" else ())
    alpn = usual if plan.alpn is None else plan.alpn
    if plan.psk is not None and plan.version != _TLS13:
        return _psk_client(run, plan.psk, alpn)
    if plan.group is not None or plan.psk is not None:
        return _client13(run, plan, alpn)
    return LibraryClient(
        LibraryWanted(
            datagram=run.target.datagram,
            server_name=run.target.name,
            alpn=alpn,
            identity=plan.identity,
            highest=names.VERSIONS[plan.version] if plan.version else 0,
            resume=plan.resume,
        )
    )


def _client13(run: Run, plan: Plan, alpn: tuple[str, ...]) -> Client13:
    from checker.crypto.tls.client13 import Client13, Wanted  # for servers that the library is not enough for
    from checker.crypto.tls.shares import SUPPORTED

    group = _X25519 if plan.group is None else plan.group
    wanted = Wanted(
        group=group,
        others=() if plan.psk is None else tuple(sorted(SUPPORTED - {group})),
        server_name=run.target.name,
        alpn=alpn,
        identity=plan.identity,
        psk=plan.psk,
        raw_key=plan.raw_key,
        schemes=plan.schemes or names.MODERN_SCHEMES,
    )
    return Client13(wanted, run.options.random)


def _psk_client(run: Run, psk: PreSharedKey, alpn: tuple[str, ...]) -> PskClient:
    from checker.crypto.tls import psk12  # loaded where a key is given

    wanted = psk12.Wanted(psk=psk, datagram=run.target.datagram, server_name=run.target.name, alpn=alpn)
    return psk12.PskClient(wanted, run.options.random)


class _Courier:
    """Passes bytes between a client and a link, and keeps what came of it."""

    def __init__(self, run: Run, client: LibraryClient | Client13 | PskClient, plan: Plan) -> None:
        self._run = run
        self._client = client
        self._plan = plan
        self._application: Application | None = None
        self._reason = ""
        self._alert: int | None = None
        self._ours = self._silent = self._cut = self._confirmed = False
        self._started = run.now()
        self._finished = 0.0

    async def carry(self, link: Link) -> None:
        await self._send(link, self._client.start())
        while not self._client.completed:
            await self._pump(link)
        self._finished = self._run.now()
        session = self._client.session
        self._confirmed = not session.tls13
        # Whoever asked for a certificate may refuse us now; a request that it never reads would hide its alert.
        if session.tls13 and self._plan.resume is None and (self._plan.touch is None or session.request is not None):
            await self._aftermath(link)
        if self._plan.touch is not None and not self._client.closed:
            await self._touch(link, self._plan.touch)
        await self._send(link, self._client.close())

    async def _touch(self, link: Link, touch: Touch) -> None:
        await self._send(link, self._client.send(touch.request))
        while not touch.whole(bytes(self._client.received)) and not self._client.closed:
            await self._pump(link)
        self._confirmed = True
        if self._client.received:
            self._application = touch.read(bytes(self._client.received))
        if touch.goodbye and not self._client.closed:
            await self._send(link, self._client.send(touch.goodbye))

    async def _aftermath(self, link: Link) -> None:
        """Wait a moment for what TLS 1.3 says after our Finished: a ticket, or an alert that refuses us."""
        until = self._run.now() + AFTERMATH
        while not self._client.session.tickets and not self._client.received and self._run.now() < until:
            try:
                await self._pump(link, max(0.0, until - self._run.now()))
            except LinkError as error:
                if error.kind != "timeout":
                    raise
                link.recording.ended = ""
                return
        self._confirmed = True

    async def _pump(self, link: Link, limit: float | None = None) -> None:
        data = await (self._datagram(link) if self._run.target.datagram else link.receive(limit))
        await self._send(link, self._client.feed(data))

    async def _datagram(self, link: Link) -> bytes:
        try:
            return await link.receive(_RETRANSMIT)
        except LinkError as error:
            if error.kind != "timeout":
                raise
        link.recording.ended = ""
        await self._send(link, self._client.retransmit())
        return await link.receive()

    async def _send(self, link: Link, data: bytes) -> None:
        for part in datagrams(data) if self._run.target.datagram else [data] if data else []:
            await link.send(part)

    def end(self, error: LinkError) -> None:
        """Note that the connection ended; after a completed handshake that is not yet a refusal."""
        self._silent, self._cut = error.kind == "timeout", error.kind in {"closed", "reset"}
        self._reason = self._reason or str(error)
        if self._client.received and self._plan.touch is not None and self._application is None:
            self._application = self._plan.touch.read(bytes(self._client.received))

    def fail(self, error: CryptoError | FormatError) -> None:
        """Note why the handshake failed: by the server's alert, or by what we make of its bytes."""
        self._reason = str(error)
        if isinstance(error, HandshakeError):
            self._alert, self._ours = error.alert, error.ours

    def result(self, index: int, by: str) -> Carried:
        client = self._client
        return Carried(
            session=client.session,
            exchange=index,
            completed=client.completed,
            alert=self._alert,
            late=client.completed and self._alert is not None,
            ours=self._ours,
            silent=self._silent,
            cut=self._cut and self._alert is None,
            reason=self._reason,
            application=self._application,
            confirmed=self._confirmed,
            group=client.group if isinstance(client, LibraryClient) else _named(self._plan.group),
            carried_by=by,
            milliseconds=round(((self._finished or self._run.now()) - self._started) * 1000, 3),
            resumable=client.resumable if isinstance(client, LibraryClient) else None,
        )


def _named(group: int | None) -> str:
    return "" if group is None else names.group_name(group)


def touch_for(run: Run) -> tuple[Touch, ...]:
    """Return the application's requests for a target, or none where they are switched off."""
    if not run.options.touch_application:
        return ()
    return application.touches(run.target, run.options.random, run.options.clock.now())


async def neighbour(run: Run, port: int, touch: Touch) -> tuple[Fact, Application | None]:
    """Return whether the same service answers without TLS at a port, and what it said."""
    index = run.note(f"does the service answer without TLS at port {port}?")
    data = b""
    try:
        async with run.connect(index, peer=run.neighbour(port)) as link:
            await link.send(touch.request)
            while not touch.whole(data):
                data += await link.receive()
    except LinkError as error:
        if not data:
            answer = Answer.NO if error.kind == "refused" else Answer.NOT_SHOWN
            return Fact(answer=answer, reason=str(error), exchanges=(index,)), None
    found = touch.read(data)
    return _served(found, index), found


def _served(found: Application, index: int) -> Fact:
    """Return whether an answer without TLS serves anything; a redirect to TLS serves nothing."""
    if found.redirect.lower().startswith("https:"):
        return Fact(answer=Answer.NO, reason="it redirects to TLS", exchanges=(index,))
    reason = found.answered.reason or found.text
    return Fact(answer=found.answered.answer, reason=reason, exchanges=(index,))
