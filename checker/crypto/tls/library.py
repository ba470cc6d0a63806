"""Handshakes that pyOpenSSL carries, bytes in and bytes out: TLS 1.0 to 1.3 with hybrids, DTLS 1.0 and 1.2.

The library verifies that the server holds its key; whether its certificate is trusted is judged elsewhere. What the
library hides is read from the bytes that pass: in the clear up to TLS 1.2, in TLS 1.3 with the keys that it logs.
"""

from __future__ import annotations

import contextlib
import functools
from dataclasses import field
from typing import Any, Final

from cryptography import x509
from OpenSSL import SSL

from checker.crypto.tls import names, schedule
from checker.crypto.tls.identity import ClientIdentity
from checker.crypto.tls.messages import is_address
from checker.crypto.tls.records import HANDSHAKE, MessageReader
from checker.crypto.tls.schedule import Protection
from checker.crypto.tls.session import HandshakeError, Session, Watcher
from checker.errors import CryptoError, FormatError
from checker.model.value import value

_EVERY_SUITE: Final = b"ALL:COMPLEMENTOFALL:@SECLEVEL=0"  # a weak server is to be described, not refused
_CHUNK: Final = 65_536
_MTU: Final = 1_200  # bytes of a datagram: passes every path of IPv6
_HEADER: Final = 13
_STAGES: Final = ("SERVER_HANDSHAKE_TRAFFIC_SECRET", "SERVER_TRAFFIC_SECRET_0")


@value
class LibraryWanted:
    """What to ask the library for. `resume` is an earlier client's `resumable`; versions are numbers, 0 for any."""

    datagram: bool = False
    server_name: str = ""
    alpn: tuple[str, ...] = ()
    identity: ClientIdentity | None = field(default=None, repr=False)
    lowest: int = 0
    highest: int = 0
    resume: Any = field(default=None, repr=False)


class LibraryClient:
    """One handshake. `start` gives the first bytes, `feed` takes the server's and gives the next ones of ours."""

    def __init__(self, wanted: LibraryWanted) -> None:
        self.session = Session()
        self.completed = False
        self.closed = False
        self.received = bytearray()  # application data
        self._datagram = wanted.datagram
        self._watcher = Watcher(self.session, datagrams=wanted.datagram)
        self._alert: int | None = None
        self._secrets: dict[str, bytes] = {}
        self._openers: dict[str, Protection] = {}
        self._messages = MessageReader()
        try:
            plain = wanted.identity is None
            self._shared = (
                _shared(wanted.datagram, wanted.alpn, wanted.lowest, wanted.highest) if plain else _own(wanted)
            )
            self._connection = self._connect(self._shared, wanted)
        except (SSL.Error, ValueError) as error:
            raise HandshakeError(f"our own library cannot be set up so: {_text(error)}", ours=True) from None

    def _connect(self, context: SSL.Context, wanted: LibraryWanted) -> SSL.Connection:
        connection = SSL.Connection(context, None)
        connection.set_app_data(self)  # the callbacks are the context's, and it serves many connections
        connection.set_connect_state()
        if wanted.server_name and not is_address(wanted.server_name):
            connection.set_tlsext_host_name(wanted.server_name.encode("idna"))
        connection.request_ocsp()
        if wanted.datagram:
            connection.set_options(SSL.OP_NO_QUERY_MTU)
            connection.set_ciphertext_mtu(_MTU)
        if wanted.resume is not None:
            connection.set_session(wanted.resume)
        return connection

    def keep_secret(self, line: bytes) -> None:
        """Take a line of the library's key log; it stays in this object."""
        label, *_, secret = line.decode("ascii").split()
        if label in _STAGES:
            self._secrets[label] = bytes.fromhex(secret)

    def note_alert(self, where: int, value: int) -> None:
        """Take an event of the library's; only alerts that came in matter."""
        if where & SSL.SSL_CB_READ_ALERT == SSL.SSL_CB_READ_ALERT and value & 0xFF:
            self._alert = value & 0xFF

    def start(self) -> bytes:
        """Return the ClientHello, as records or as one datagram."""
        self._step()
        return self._pending()

    def feed(self, data: bytes) -> bytes:
        """Take what the server sent (one datagram at a time for DTLS); return what to send to it.

        Raises:
            FormatError: it is not TLS, or damaged, or beyond our limits.
            HandshakeError: the handshake failed, by the server's alert or for a reason of our library's.
        """
        self._watcher.feed(data)
        self._connection.bio_write(data)
        self._step()
        self._read_protected()
        return self._pending()

    def retransmit(self) -> bytes:
        """Return DTLS's last flight again, where its timer says so; otherwise nothing."""
        if not self._datagram or self.completed:
            return b""
        with contextlib.suppress(SSL.Error):
            self._connection.DTLSv1_handle_timeout()
        return self._pending()

    def send(self, data: bytes) -> bytes:
        """Return application data as records.

        Raises:
            HandshakeError: the library refuses.
        """
        try:
            self._connection.send(data)
        except SSL.Error as error:
            raise self._failure(error) from None
        return self._pending()

    def close(self) -> bytes:
        """Return a close_notify, where one can still be sent."""
        with contextlib.suppress(SSL.Error):
            self._connection.shutdown()
        return self._pending()

    def release(self) -> None:
        """Let the library's objects go at once: callbacks and client hold each other, and many would wait for that.

        A session that was not shut down is spoilt when its connection goes, and could then not be resumed.
        """
        self.close()
        self._connection.set_app_data(None)

    @property
    def resumable(self) -> Any:  # noqa: ANN401 - the library's own object
        """Return the session, for another handshake to resume; None where there is none."""
        return self._connection.get_session() if self.completed else None

    @property
    def group(self) -> str:
        """Return the group that the library names, by its IANA name where we know one."""
        found = (self._connection.get_group_name() or "") if self.completed else ""
        return next((name for name in names.GROUPS.values() if name.lower() == found.lower()), found)

    def _step(self) -> None:
        try:
            if not self.completed:
                self._connection.do_handshake()
                self.completed = True
            while True:
                self.received += self._connection.recv(_CHUNK)
        except SSL.WantReadError:
            return
        except SSL.ZeroReturnError:
            self.closed = True
        except SSL.Error as error:
            raise self._failure(error) from None

    def _failure(self, error: SSL.Error) -> HandshakeError:
        alert = self._alert or self._watcher.alert
        self.closed = True
        if alert is not None:
            return HandshakeError(f"the server answers {names.alert_name(alert)}", alert=alert)
        return HandshakeError(f"our own library gives up: {_text(error)}", ours=True)

    def _pending(self) -> bytes:
        found = b""
        with contextlib.suppress(SSL.WantReadError):
            while part := self._connection.bio_read(_CHUNK):
                found += part
        return found

    def _read_protected(self) -> None:
        """Read TLS 1.3's protected handshake messages with the keys that the library logs."""
        suite = schedule.SUITES.get(self.session.hello.suite) if self.session.hello else None
        if suite is None or not self.session.tls13:
            return
        waiting, self._watcher.protected = self._watcher.protected, []
        for record in waiting:
            stage = _STAGES[1] if self.session.flight_done else _STAGES[0]
            if stage not in self._openers and stage in self._secrets:
                self._openers[stage] = Protection(suite, self._secrets[stage])
            try:
                kind, payload = self._openers[stage].open(record)
                for message in self._messages.feed(payload) if kind == HANDSHAKE else ():
                    self.session.take(message)
            except (
                KeyError,
                CryptoError,
                FormatError,
            ):  # after a KeyUpdate, or damaged: the library has said so itself
                return


@functools.lru_cache(maxsize=16)
def _shared(datagram: bool, alpn: tuple[str, ...], lowest: int, highest: int) -> SSL.Context:  # noqa: FBT001 - a key
    """Return a context for clients without an identity. It is large, and a session can be resumed only in its own."""
    return _context(datagram=datagram, alpn=alpn, lowest=lowest, highest=highest)


def _own(wanted: LibraryWanted) -> SSL.Context:
    """Return a context of its own for a client identity."""
    context = _context(datagram=wanted.datagram, alpn=wanted.alpn, lowest=wanted.lowest, highest=wanted.highest)
    if wanted.identity is not None:
        leaf, *above = (x509.load_der_x509_certificate(der) for der in wanted.identity.certificates)
        context.use_certificate(leaf)
        context.use_privatekey(wanted.identity.key)
        for item in above:
            context.add_extra_chain_cert(item)
    return context


def _context(*, datagram: bool, alpn: tuple[str, ...], lowest: int, highest: int) -> SSL.Context:
    context = SSL.Context(SSL.DTLS_CLIENT_METHOD if datagram else SSL.TLS_CLIENT_METHOD)
    context.set_cipher_list(_EVERY_SUITE)
    context.set_options(SSL.OP_LEGACY_SERVER_CONNECT)
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    context.set_keylog_callback(lambda connection, line: connection.get_app_data().keep_secret(line))
    context.set_info_callback(lambda connection, where, value: connection.get_app_data().note_alert(where, value))
    if not datagram:
        context.set_min_proto_version(lowest or SSL.TLS1_VERSION)
        context.set_max_proto_version(highest)
    if alpn:
        context.set_alpn_protos([name.encode() for name in alpn])
    return context


def datagrams(data: bytes) -> list[bytes]:
    """Return DTLS output cut into datagrams, one record each: the library's memory buffer joins what it sends."""
    found, at = [], 0
    while at + _HEADER <= len(data):
        end = at + _HEADER + int.from_bytes(data[at + 11 : at + 13])
        found.append(data[at:end])
        at = end
    return found


def _text(error: Exception) -> str:
    """Return the library's own reason: the last of its error queue."""
    queue = error.args[0] if error.args else ()
    if isinstance(queue, list) and queue:
        return str(queue[-1][-1])
    return str(error) or type(error).__name__
