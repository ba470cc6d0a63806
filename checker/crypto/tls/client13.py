"""A small TLS 1.3 client, bytes in and bytes out, for handshakes in one chosen group (RFC 9846).

pyOpenSSL's public interface cannot choose groups, so handshakes in pure ML-KEM or in a hybrid that its library does not
offer are carried through here, on the primitives of cryptography. The server's CertificateVerify and Finished are
verified; whether its certificate is trusted is judged elsewhere.
"""

from __future__ import annotations

import hmac
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa

from checker.crypto.tls import messages, names, records, schedule
from checker.crypto.tls.identity import ClientIdentity, PreSharedKey
from checker.crypto.tls.messages import Hello
from checker.crypto.tls.records import Message, MessageReader, Record, RecordReader
from checker.crypto.tls.schedule import Protection, Secrets, Suite
from checker.crypto.tls.session import HandshakeError, Session, check_server_signature
from checker.crypto.tls.shares import Share
from checker.errors import FormatError
from checker.model.value import value

_CLIENT_CONTEXT: Final = b" " * 64 + b"TLS 1.3, client CertificateVerify\0"
_MESSAGE_HASH, _KEY_UPDATE = 254, 24
_PSK_HASH: Final = "sha256"
_CHANGE: Final = b"\x14\x03\x03\x00\x01\x01"  # a dummy change_cipher_spec, for middleboxes (RFC 9846 D.4)
_EXPECTED: Final = {  # which message may follow which, with a certificate and without a PSK
    0: {messages.SERVER_HELLO},
    messages.SERVER_HELLO: {messages.SERVER_HELLO, messages.ENCRYPTED_EXTENSIONS},
    messages.ENCRYPTED_EXTENSIONS: {messages.CERTIFICATE, messages.CERTIFICATE_REQUEST},
    messages.CERTIFICATE_REQUEST: {messages.CERTIFICATE},
    messages.CERTIFICATE: {messages.CERTIFICATE_VERIFY},
    messages.CERTIFICATE_VERIFY: {messages.FINISHED},
}


@value
class Wanted:
    """What to ask for: the group, and what the hello says beside it.

    `others` are groups that the server may ask for in place of it, by a HelloRetryRequest.
    """

    group: int
    others: tuple[int, ...] = ()
    server_name: str = ""
    alpn: tuple[str, ...] = ()
    identity: ClientIdentity | None = None
    psk: PreSharedKey | None = None  # an external one, with (EC)DHE
    raw_key: bool = False  # only a raw public key will do (RFC 7250)
    suites: tuple[int, ...] = names.TLS13_SUITES
    schemes: tuple[int, ...] = names.MODERN_SCHEMES


class OwnClient(ABC):
    """What our own clients have in common: what came of the handshake, and who takes which content."""

    def __init__(self) -> None:
        self.session = Session()
        self.completed = False
        self.closed = False
        self.received = bytearray()  # application data

    def _content(self, kind: int, payload: bytes) -> bytes:
        """Take the content of a record, already opened; return what to send.

        Raises:
            FormatError: it has no place in a handshake.
        """
        if kind == records.ALERT:
            return self._alert(payload)
        if kind == records.DATA and self.completed:
            self.received += payload
            return b""
        if kind != records.HANDSHAKE:
            raise FormatError(f"a record of type {kind} inside the handshake", field="record")
        return self._handshake(payload)

    def retransmit(self) -> bytes:
        """Return the last flight again; nothing over a stream, which loses none."""
        return b""

    @abstractmethod
    def _alert(self, payload: bytes) -> bytes:
        """Take an alert."""

    @abstractmethod
    def _handshake(self, payload: bytes) -> bytes:
        """Take a part of the handshake, and return what to send."""


class Client13(OwnClient):
    """One handshake. `start` gives the first bytes, `feed` takes the server's and gives the next ones of ours."""

    def __init__(self, wanted: Wanted, random: Callable[[int], bytes]) -> None:
        super().__init__()
        self._wanted = wanted
        self._random = random
        self._share = Share(wanted.group, random)
        self._hello = Hello(
            versions=(messages.TLS13,),
            suites=wanted.suites,
            random=random(32),
            session_id=random(32),
            groups=(wanted.group, *wanted.others),
            schemes=wanted.schemes,
            server_name=wanted.server_name,
            alpn=wanted.alpn,
            key_shares=((wanted.group, self._share.public),),
            extra=messages.RAW_KEY if wanted.raw_key else (),
        )
        if wanted.psk is not None:  # the hash of an external key is SHA-256 unless agreed otherwise (RFC 9846 4.2.11)
            fitting = tuple(item for item in wanted.suites if schedule.SUITES[item].hash == _PSK_HASH)
            self._hello = replace(self._hello, suites=fitting)
        self._transcript = b""
        self._last = 0
        self._records = RecordReader()
        self._messages = MessageReader()
        self._secrets: Secrets | None = None
        self._open: Protection | None = None
        self._seal: Protection | None = None
        self._suite: Suite | None = None

    def start(self) -> bytes:
        """Return the ClientHello."""
        self._transcript = first = self._client_hello()
        return records.records(records.HANDSHAKE, first)

    def _client_hello(self) -> bytes:
        """Return the hello; an offered key comes last, with a binder over all before it (RFC 9846 4.2.11.2)."""
        psk = self._wanted.psk
        if psk is None:
            return records.message(messages.CLIENT_HELLO, messages.client_hello(self._hello))
        suite = schedule.SUITES[self._hello.suites[0]]
        offer = messages.psk_offer(psk.identity.encode(), bytes(suite.size))
        hello = replace(self._hello, extra=(*self._hello.extra, (messages.PSK, offer)))
        raw = records.message(messages.CLIENT_HELLO, messages.client_hello(hello))
        binder = schedule.binder(suite, psk.key, self._transcript + raw[: -(3 + suite.size)])
        return raw[: -suite.size] + binder

    def send(self, data: bytes) -> bytes:
        """Return application data as records.

        Raises:
            HandshakeError: the handshake is not complete.
        """
        if self._seal is None or not self.completed:
            raise HandshakeError("the handshake is not complete", ours=True)
        return self._seal.seal(records.DATA, data)

    def close(self) -> bytes:
        """Return a close_notify (RFC 9846 6.1), and nothing before the end of the handshake or after the server's."""
        if self._seal is None or not self.completed or self.closed:
            return b""
        return self._seal.seal(records.ALERT, b"\1\0")

    def feed(self, data: bytes) -> bytes:
        """Take what the server sent; return what to send to it.

        Raises:
            FormatError: a record or message is damaged.
            CryptoError: a tag or signature does not verify, or the server refused (`HandshakeError` with its alert).
        """
        return b"".join(self._record(record) for record in self._records.feed(data))

    def _record(self, record: Record) -> bytes:
        if record.kind == records.CHANGE_CIPHER:
            return b""
        kind, payload = record.kind, record.payload
        if self._open is not None and kind == records.DATA:
            kind, payload = self._open.open(record)
        elif self._open is not None and kind != records.ALERT:
            raise FormatError("an unprotected record after ServerHello", field="record")
        return self._content(kind, payload)

    def _handshake(self, payload: bytes) -> bytes:
        return b"".join(self._message(item) for item in self._messages.feed(payload))

    def _alert(self, payload: bytes) -> bytes:
        _, number = messages.alert(payload)
        self.closed = True
        if number == 0 and self.completed:
            return b""
        raise HandshakeError(f"the server answers {names.alert_name(number)}", alert=number)

    def _message(self, message: Message) -> bytes:
        if self.completed:
            return self._after(message)
        if message.kind not in self._expected():
            raise FormatError(f"message {message.kind} does not follow message {self._last}", field="handshake message")
        before, self._transcript = self._transcript, self._transcript + message.raw
        self._last = message.kind
        if message.kind == messages.SERVER_HELLO:
            return self._server_hello(message, before)
        self.session.take(message)
        if message.kind == messages.CERTIFICATE_VERIFY:
            scheme, signature = messages.certificate_verify(message.body)
            if scheme not in self._wanted.schemes:
                raise HandshakeError(f"the server signs with {names.scheme_name(scheme)}, which was not offered")
            check_server_signature(self.session, scheme, signature, self._keys[0].digest(before))
            self.session.proved = True
        return self._finish(message.body, before) if message.kind == messages.FINISHED else b""

    def _expected(self) -> set[int]:
        if self.session.resumed and self._last == messages.ENCRYPTED_EXTENSIONS:
            return {messages.FINISHED}  # the key stands for certificate and signature
        return _EXPECTED.get(self._last, set())

    def _after(self, message: Message) -> bytes:
        self.session.take(message)
        if message.kind == _KEY_UPDATE and self._open is not None:
            self._open = self._open.updated()
        return b""

    @property
    def _keys(self) -> tuple[Suite, Secrets]:
        if self._suite is None or self._secrets is None:
            raise FormatError("a message of the protected part came before ServerHello", field="handshake message")
        return self._suite, self._secrets

    def _server_hello(self, message: Message, before: bytes) -> bytes:
        hello = messages.server_hello(message.body)
        if hello.version != messages.TLS13 or hello.suite not in self._hello.suites:
            raise HandshakeError(f"the server chooses {names.VERSION_NAMES.get(hello.version, hello.version)}")
        suite = schedule.SUITES[hello.suite]
        if hello.retry:
            return self._retry(suite, hello, message, before)
        if hello.group != self._share.group:
            raise HandshakeError("the server answers in a group that was not offered")
        if hello.session_id != self._hello.session_id:
            raise HandshakeError("the server does not echo our session id")
        self.session.take(message)
        if self.session.resumed and self._wanted.psk is None:
            raise HandshakeError("the server takes a key that was not offered")
        psk = self._wanted.psk.key if self._wanted.psk is not None and self.session.resumed else b""
        self._suite = suite
        self._secrets = schedule.handshake_secrets(suite, self._share.secret(hello.share), self._transcript, psk)
        self._open = Protection(suite, self._secrets.server)
        if self._messages.pending:
            raise FormatError("a message spans the change of keys", field="handshake message")
        return b""

    def _retry(self, suite: Suite, hello: messages.ServerHello, message: Message, before: bytes) -> bytes:
        """Return the second hello: a cookie is the reason, or another one of our groups (RFC 9846 4.1.4)."""
        cookie, other = hello.extensions.get(messages.COOKIE), hello.group in self._wanted.others
        known = other or hello.group in {None, self._wanted.group}
        if self.session.retry is not None or not known or (cookie is None and not other):
            raise HandshakeError("the server asks again without a reason")
        self.session.retry = hello
        if hello.group is not None and other:
            self._share = Share(hello.group, self._random)
            self._hello = replace(self._hello, key_shares=((hello.group, self._share.public),))
        if cookie is not None:
            self._hello = replace(self._hello, extra=(*self._hello.extra, (messages.COOKIE, cookie)))
        self._transcript = records.message(_MESSAGE_HASH, suite.digest(before)) + message.raw
        second = self._client_hello()
        self._transcript += second
        return _CHANGE + records.records(records.HANDSHAKE, second, messages.TLS12)

    def _finish(self, verify_data: bytes, before: bytes) -> bytes:
        suite, secrets = self._keys
        if not hmac.compare_digest(verify_data, schedule.finished(suite, secrets.server, before)):
            raise HandshakeError("the server's Finished does not verify")
        if self._messages.pending:
            raise FormatError("a message spans the change of keys", field="handshake message")
        later = schedule.application_secrets(suite, secrets.next, self._transcript)
        out = self._own_flight(suite, secrets)
        self._open, self._seal = Protection(suite, later.server), Protection(suite, later.client)
        self.completed = True
        return out

    def _own_flight(self, suite: Suite, secrets: Secrets) -> bytes:
        seal = Protection(suite, secrets.client)
        flight = self._certificate(suite) if self.session.request is not None else b""
        verify = schedule.finished(suite, secrets.client, self._transcript)
        last = records.message(messages.FINISHED, verify)
        return _CHANGE + seal.seal(records.HANDSHAKE, flight + last)

    def _certificate(self, suite: Suite) -> bytes:
        identity, request = self._wanted.identity, self.session.request
        ders = identity.certificates if identity is not None else ()
        entries = b"".join(len(der).to_bytes(3) + der + b"\0\0" for der in ders)
        sent = records.message(messages.CERTIFICATE, b"\0" + len(entries).to_bytes(3) + entries)
        self._transcript += sent
        if identity is None or request is None:
            return sent
        scheme, signature = _sign(identity.key, request.schemes, _CLIENT_CONTEXT + suite.digest(self._transcript))
        body = scheme.to_bytes(2) + len(signature).to_bytes(2) + signature
        proof = records.message(messages.CERTIFICATE_VERIFY, body)
        self._transcript += proof
        return sent + proof


_CURVE_SCHEMES: Final = {
    "secp256r1": (0x0403, hashes.SHA256()),
    "secp384r1": (0x0503, hashes.SHA384()),
    "secp521r1": (0x0603, hashes.SHA512()),
}


def _sign(key: Any, accepted: tuple[int, ...], data: bytes) -> tuple[int, bytes]:  # noqa: ANN401 - one of many types
    if isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.name in _CURVE_SCHEMES:
        scheme, digest = _CURVE_SCHEMES[key.curve.name]
        return scheme, key.sign(data, ec.ECDSA(digest))
    if isinstance(key, ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey):
        return 0x0807 if isinstance(key, ed25519.Ed25519PrivateKey) else 0x0808, key.sign(data)
    if isinstance(key, rsa.RSAPrivateKey):
        options = {0x0804: hashes.SHA256(), 0x0805: hashes.SHA384(), 0x0806: hashes.SHA512()}
        scheme = next((item for item in options if item in accepted), 0x0804)
        pss = padding.PSS(padding.MGF1(options[scheme]), padding.PSS.DIGEST_LENGTH)
        return scheme, key.sign(data, pss, options[scheme])
    raise HandshakeError("the client key is of a kind that our own client cannot sign with", ours=True)
