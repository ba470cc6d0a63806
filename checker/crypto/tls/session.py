"""What one handshake showed, whoever carried it: the library, or this program's own TLS 1.3 client."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from checker.crypto.certificates import parse_certificate
from checker.crypto.keys import PublicKey, from_spki
from checker.crypto.tls import messages, names, records
from checker.crypto.tls.messages import CertificateRequest, ServerHello, Ticket
from checker.crypto.tls.records import Message
from checker.errors import CryptoError, FormatError

_SERVER_CONTEXT: Final = b" " * 64 + b"TLS 1.3, server CertificateVerify\0"  # RFC 9846 4.4.3
_RAW: Final = b"\x02"  # the certificate type RawPublicKey (RFC 7250 7)
_HASH: Final = re.compile(r"sha(1|224|256|384|512)$")


class HandshakeError(CryptoError):
    """A handshake did not complete. `alert` is the alert that the server sent, None where the fault is another one.

    `ours` is True where our own side failed: it then says nothing about the endpoint.
    """

    def __init__(self, text: str, *, alert: int | None = None, ours: bool = False) -> None:
        self.alert = alert
        self.ours = ours
        super().__init__(text)


@dataclass
class Session:
    """The facts of one handshake as they come in; everything that a library hides is read from its messages."""

    hello: ServerHello | None = None
    retry: ServerHello | None = None
    certificates: tuple[bytes, ...] = ()
    staple: bytes = b""
    scheme: int | None = None
    group: int | None = None
    prime_bits: int | None = None
    request: CertificateRequest | None = None
    alpn: str = ""
    tickets: list[Ticket] = field(default_factory=list)
    ticket_seen: bool = False  # TLS 1.2: a NewSessionTicket came
    raw_public_key: bool = False
    signed: tuple[bytes, bytes] = field(default=(b"", b""), repr=False)  # of ServerKeyExchange: parameters, signature
    proved: bool = False  # the server was seen to hold the key that it showed
    psk_hint: str = ""
    resumed: bool = False
    flight_done: bool = False  # the server's first flight is complete

    @property
    def version(self) -> int:
        """Return the negotiated version, 0 before ServerHello."""
        return self.hello.version if self.hello else 0

    @property
    def tls13(self) -> bool:
        """Return whether TLS 1.3 was negotiated."""
        return self.version == messages.TLS13

    def take(self, message: Message) -> None:
        """Take note of one of the server's handshake messages.

        Raises:
            FormatError: it is damaged.
        """
        reader = _READERS.get(message.kind)
        if reader is not None:
            reader(self, message.body)


def _hello(session: Session, body: bytes) -> None:
    found = messages.server_hello(body)
    if found.retry:
        session.retry = found
        return
    session.hello = found
    session.group = found.group
    session.resumed = messages.PSK in found.extensions
    session.raw_public_key = found.extensions.get(messages.SERVER_TYPE) == _RAW
    if messages.ALPN in found.extensions:
        session.alpn = messages.alpn_choice(found.extensions[messages.ALPN])


def _encrypted(session: Session, body: bytes) -> None:
    found = messages.encrypted_extensions(body)
    if messages.ALPN in found:
        session.alpn = messages.alpn_choice(found[messages.ALPN])
    session.raw_public_key = found.get(messages.SERVER_TYPE) == _RAW


def _certificate(session: Session, body: bytes) -> None:
    if session.raw_public_key and not session.tls13:
        session.certificates = (messages.raw_public_key(body),)
        return
    found = messages.certificates(body, tls13=session.tls13)
    session.certificates = found.ders
    session.staple = found.staple or session.staple


def _status(session: Session, body: bytes) -> None:
    session.staple = messages.certificate_status(body)


def _key_exchange(session: Session, body: bytes) -> None:
    if session.hello is None:
        raise FormatError("ServerKeyExchange before ServerHello", field="ServerKeyExchange")
    found = messages.key_exchange(body, session.hello.suite, session.version)
    session.group, session.prime_bits = found.group, found.prime_bits
    session.scheme, session.psk_hint = found.scheme, found.hint
    session.signed = (found.signed, found.signature)


def _request(session: Session, body: bytes) -> None:
    session.request = messages.certificate_request(body, session.version)


def _verify(session: Session, body: bytes) -> None:
    session.scheme = messages.certificate_verify(body)[0]


def _ticket(session: Session, body: bytes) -> None:
    session.ticket_seen = True
    if session.tls13:
        session.tickets.append(messages.new_ticket(body))


def _done(session: Session, body: bytes) -> None:
    del body
    session.flight_done = True


_READERS: Final = {
    messages.SERVER_HELLO: _hello,
    messages.ENCRYPTED_EXTENSIONS: _encrypted,
    messages.CERTIFICATE: _certificate,
    messages.STATUS: _status,
    messages.KEY_EXCHANGE: _key_exchange,
    messages.CERTIFICATE_REQUEST: _request,
    messages.CERTIFICATE_VERIFY: _verify,
    messages.NEW_TICKET: _ticket,
    messages.HELLO_DONE: _done,
    messages.FINISHED: _done,
}


class Watcher:
    """Reads the server's side of a handshake that something else carries, as far as it passes in the clear."""

    def __init__(self, session: Session, *, datagrams: bool = False) -> None:
        self.session = session
        self.alert: int | None = None
        self._datagrams = datagrams
        self._records = records.RecordReader()
        self._messages = records.DatagramMessageReader() if datagrams else records.MessageReader()
        self._clear = True
        self.protected: list[records.Record] = []  # TLS 1.3's records after ServerHello, for whoever has the keys

    def feed(self, data: bytes) -> None:
        """Take what the server sent.

        Raises:
            FormatError: it is not TLS, or damaged.
        """
        for record in records.read_datagram(data) if self._datagrams else self._records.feed(data):
            self._take(record)

    def _take(self, record: records.Record) -> None:
        if record.kind == records.DATA and self.session.tls13:
            if len(self.protected) < 256:  # noqa: PLR2004 - a handshake has a few records; MAX_FLIGHT bounds the rest
                self.protected.append(record)
        elif record.kind == records.CHANGE_CIPHER:
            # Below TLS 1.3 everything after it is protected; there it only pleases middleboxes (RFC 9846 D.4).
            self._clear = self.session.tls13 or self.session.retry is not None
        elif record.kind == records.ALERT and self._clear and not record.epoch:
            fatal, number = messages.alert(record.payload)
            self.alert = number if fatal else self.alert  # a warning, as for an unknown name, ends nothing
        elif record.kind == records.HANDSHAKE and self._clear and not record.epoch:
            for message in self._messages.feed(record.payload):
                self.session.take(message)


def server_key(session: Session) -> PublicKey:
    """Return the public key that the server proved to hold: its leaf's, or its raw one.

    Raises:
        FormatError: the certificate or key is damaged, or there is none.
    """
    if not session.certificates:
        raise FormatError("the server sent no certificate", field="Certificate")
    if session.raw_public_key:
        return from_spki(session.certificates[0])
    return parse_certificate(session.certificates[0]).key


def check_server_signature(session: Session, scheme: int, signature: bytes, transcript_hash: bytes) -> None:
    """Verify a TLS 1.3 CertificateVerify with the key of the certificate that came with it.

    Raises:
        FormatError: the certificate is damaged.
        CryptoError: the signature does not verify, or its scheme is unknown or not one of TLS 1.3.
    """
    from checker.crypto.signatures import verify_message  # every scheme there is, for our own TLS 1.3 client only

    algorithm, digest = scheme_parts(scheme)
    salt = None
    if algorithm == "rsa-pss":
        salt = int(digest.removeprefix("sha-")) // 8
    elif algorithm == "rsa-pkcs1v15" or digest == "sha-1":
        raise HandshakeError(f"{names.scheme_name(scheme)} must not sign a TLS 1.3 handshake")
    verify_message(
        server_key(session), algorithm, digest, _SERVER_CONTEXT + transcript_hash, signature, salt_length=salt
    )


def signs_key_exchange(session: Session, client_random: bytes) -> bool:
    """Return whether the shown key signed this very key exchange of TLS 1.2 (RFC 5246 7.4.3, RFC 8422 5.4)."""
    parameters, signature = session.signed
    if session.hello is None or session.scheme is None or not signature:
        return False
    from checker.crypto.signatures import verify_message  # for raw keys, and certificates that the library lacks

    try:
        algorithm, digest = scheme_parts(session.scheme)
        salt = int(digest.removeprefix("sha-")) // 8 if algorithm == "rsa-pss" else None
        message = client_random + session.hello.random + parameters
        verify_message(server_key(session), algorithm, digest, message, signature, salt_length=salt)
    except (CryptoError, FormatError):
        return False
    return True


def scheme_parts(scheme: int) -> tuple[str, str]:
    """Return a scheme's algorithm and hash by the ids of the algorithm table.

    Raises:
        HandshakeError: the scheme is not known.
    """
    name = names.SCHEMES.get(scheme, "")
    match = _HASH.search(name)
    digest = f"sha-{match.group(1)}" if match else ""
    for prefix, algorithm in (("rsa_pss", "rsa-pss"), ("rsa_pkcs1", "rsa-pkcs1v15"), ("ecdsa", "ecdsa")):
        if name.startswith(prefix):
            return algorithm, digest
    if name.startswith("mldsa"):
        return f"ml-dsa-{name[5:]}", ""
    if name in {"ed25519", "ed448"}:
        return name, ""
    raise HandshakeError(f"the signature scheme {names.scheme_name(scheme)} is not known here", ours=True)
