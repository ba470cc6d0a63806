"""Handshake messages of SSL 3.0 to TLS 1.3 and DTLS 1.0 and 1.2: our ClientHello out, the server's messages in.

Parsers are total: a value, or `FormatError` with offset and field. RFC 9846 is TLS 1.3, RFC 5246 TLS 1.2, RFC 6101
SSL 3.0, RFC 8422 its curves.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import field
from types import MappingProxyType
from typing import Final

from checker.crypto.tls import names
from checker.errors import FormatError, LimitError
from checker.io.limits import MAX_CERTIFICATES
from checker.model.value import value

CLIENT_HELLO, SERVER_HELLO, HELLO_VERIFY, NEW_TICKET, ENCRYPTED_EXTENSIONS = 1, 2, 3, 4, 8
CERTIFICATE, KEY_EXCHANGE, CERTIFICATE_REQUEST, HELLO_DONE = 11, 12, 13, 14
CERTIFICATE_VERIFY, FINISHED, STATUS, COMPRESSED_CERTIFICATE = 15, 20, 22, 25
SNI, STATUS_REQUEST, GROUPS, FORMATS, SIGNATURES, ALPN, ETM, EMS, TICKET = 0, 5, 10, 11, 13, 16, 22, 23, 35
SERVER_TYPE, PSK, EARLY_DATA, SUPPORTED_VERSIONS, COOKIE, PSK_MODES, AUTHORITIES = 20, 41, 42, 43, 44, 45, 47
KEY_SHARE, RENEGOTIATION = 51, 0xFF01
TLS12, TLS13, SSL3, DTLS10 = 0x0303, 0x0304, 0x0300, 0xFEFF
# The random of a HelloRetryRequest: SHA-256 of that word (RFC 9846 4.1.3).
RETRY_RANDOM: Final = bytes.fromhex("cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c")
SENTINELS: Final = MappingProxyType({b"DOWNGRD\x01": "TLSv1.2", b"DOWNGRD\x00": "TLSv1.1 or below"})
RAW_KEY: Final = ((SERVER_TYPE, b"\x01\x02"),)  # an extension: only a raw public key will do (RFC 7250 3)
MAX_AUTHORITY_NAMES: Final = 1_000  # distinguished names of one CertificateRequest


class Cursor:
    """Reads a message's fields; every fault is a `FormatError` that names the field."""

    def __init__(self, data: bytes, name: str) -> None:
        self._data = data
        self._name = name
        self._at = 0

    @property
    def left(self) -> int:
        """Return how many bytes are not read yet."""
        return len(self._data) - self._at

    def take(self, size: int, name: str) -> bytes:
        """Return the next `size` bytes.

        Raises:
            FormatError: there are fewer.
        """
        if size > self.left:
            raise FormatError(
                f"{size} bytes are wanted and {self.left} are there", offset=self._at, field=self._of(name)
            )
        self._at += size
        return self._data[self._at - size : self._at]

    def number(self, size: int, name: str) -> int:
        """Return the next big-endian number."""
        return int.from_bytes(self.take(size, name))

    def vector(self, prefix: int, name: str) -> bytes:
        """Return the next vector, whose length stands before it in `prefix` bytes."""
        return self.take(self.number(prefix, name), name)

    def numbers(self, prefix: int, size: int, name: str) -> tuple[int, ...]:
        """Return the next vector as numbers of `size` bytes."""
        data = self.vector(prefix, name)
        if len(data) % size:
            raise FormatError("an odd number of bytes", offset=self._at, field=self._of(name))
        return tuple(int.from_bytes(data[at : at + size]) for at in range(0, len(data), size))

    def end(self) -> None:
        """Do nothing at the message's end.

        Raises:
            FormatError: bytes are left.
        """
        if self.left:
            raise FormatError(f"{self.left} bytes too many", offset=self._at, field=self._name)

    def _of(self, name: str) -> str:
        return f"{self._name}.{name}"


@value
class Hello:
    """A ClientHello as it is to be; the highest of `versions` below TLS 1.3 is the legacy version.

    `key_shares` are pairs of group and public value; none of them asks a TLS 1.3 server for a HelloRetryRequest
    (tls.md 3.2). `extra` are further extensions by number.
    """

    versions: tuple[int, ...]
    suites: tuple[int, ...]
    random: bytes
    groups: tuple[int, ...] = ()
    schemes: tuple[int, ...] = ()
    server_name: str = ""
    alpn: tuple[str, ...] = ()
    key_shares: tuple[tuple[int, bytes], ...] = ()
    compression: tuple[int, ...] = (0,)
    session_id: bytes = b""
    cookie: bytes = b""  # DTLS's
    extra: tuple[tuple[int, bytes], ...] = ()

    @property
    def datagram(self) -> bool:
        """Return whether it is DTLS's."""
        return self.versions[0] >> 8 == DTLS10 >> 8

    @property
    def legacy(self) -> int:
        """Return the version of the hello's own field."""
        if self.datagram:
            return min(self.versions)
        return min(max(self.versions), TLS12)


def client_hello(hello: Hello) -> bytes:
    """Return a ClientHello's body (without the handshake header)."""
    parts = [hello.legacy.to_bytes(2), hello.random, _vector(1, hello.session_id)]
    if hello.datagram:
        parts.append(_vector(1, hello.cookie))
    parts += [_vector(2, _numbers(hello.suites)), _vector(1, bytes(hello.compression))]
    if hello.versions != (SSL3,):  # SSL 3.0 knows no extensions, and some of its servers fail on them
        parts.append(_vector(2, b"".join(n.to_bytes(2) + _vector(2, data) for n, data in _extensions(hello))))
    return b"".join(parts)


def _extensions(hello: Hello) -> list[tuple[int, bytes]]:
    found: list[tuple[int, bytes]] = []
    if hello.server_name and not is_address(hello.server_name):
        found.append((SNI, _vector(2, b"\0" + _vector(2, _ascii(hello.server_name)))))
    if hello.groups:
        found.append((GROUPS, _vector(2, _numbers(hello.groups))))
    if hello.schemes:
        found.append((SIGNATURES, _vector(2, _numbers(hello.schemes))))
    if hello.alpn:
        found.append((ALPN, _vector(2, b"".join(_vector(1, _ascii(name)) for name in hello.alpn))))
    found.append((STATUS_REQUEST, b"\x01\0\0\0\0"))
    if hello.datagram or min(hello.versions) <= TLS12:
        found += [(FORMATS, b"\x01\0"), (ETM, b""), (EMS, b""), (TICKET, b""), (RENEGOTIATION, b"\0")]
    if TLS13 in hello.versions:
        shares = b"".join(group.to_bytes(2) + _vector(2, share) for group, share in hello.key_shares)
        found += [
            (SUPPORTED_VERSIONS, _vector(1, _numbers(sorted(hello.versions, reverse=True)))),
            (PSK_MODES, b"\x01\x01"),
            (KEY_SHARE, _vector(2, shares)),
        ]
    return [*found, *hello.extra]


def psk_offer(identity: bytes, binder: bytes) -> bytes:
    """Return a pre_shared_key extension with one external key; its binder is the last thing in it (RFC 9846 4.2.11)."""
    return _vector(2, _vector(2, identity) + bytes(4)) + _vector(2, _vector(1, binder))


def _ascii(text: str) -> bytes:
    return text.encode("idna") if not text.isascii() else text.encode("ascii")


def _numbers(values: Sequence[int]) -> bytes:
    return b"".join(value.to_bytes(2) for value in values)


def _vector(prefix: int, data: bytes) -> bytes:
    return len(data).to_bytes(prefix) + data


def is_address(host: str) -> bool:
    """Return whether a host is an IP address, which SNI must not carry (RFC 6066 3)."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


@value
class ServerHello:
    """A ServerHello, or a HelloRetryRequest (`retry`); `group` is of the key share, or what the retry asks for."""

    version: int
    suite: int
    random: bytes = field(repr=False)
    session_id: bytes = field(repr=False, default=b"")
    compression: int = 0
    extensions: Mapping[int, bytes] = field(repr=False, default_factory=lambda: MappingProxyType({}))
    retry: bool = False
    group: int | None = None
    share: bytes = field(repr=False, default=b"")

    @property
    def sentinel(self) -> str:
        """Return which version the downgrade sentinel in the random names, or nothing (RFC 9846 4.1.3)."""
        return SENTINELS.get(self.random[-8:], "")


def server_hello(body: bytes) -> ServerHello:
    """Return a ServerHello from its body.

    Raises:
        FormatError: it is damaged.
    """
    cursor = Cursor(body, "ServerHello")
    legacy, random = cursor.number(2, "version"), cursor.take(32, "random")
    session, suite = cursor.vector(1, "session_id"), cursor.number(2, "cipher_suite")
    compression = cursor.number(1, "compression_method")
    found = _read_extensions(cursor) if cursor.left else {}
    cursor.end()
    version = int.from_bytes(found[SUPPORTED_VERSIONS]) if SUPPORTED_VERSIONS in found else legacy
    retry = random == RETRY_RANDOM
    group, share = _key_share(found.get(KEY_SHARE), retry=retry)
    return ServerHello(
        version=version,
        suite=suite,
        random=random,
        session_id=session,
        compression=compression,
        extensions=MappingProxyType(found),
        retry=retry,
        group=group,
        share=share,
    )


def _key_share(data: bytes | None, *, retry: bool) -> tuple[int | None, bytes]:
    if data is None:
        return None, b""
    cursor = Cursor(data, "key_share")
    group = cursor.number(2, "group")
    share = b"" if retry else cursor.vector(2, "key_exchange")
    cursor.end()
    return group, share


def _read_extensions(cursor: Cursor) -> dict[int, bytes]:
    inner = Cursor(cursor.vector(2, "extensions"), "extensions")
    found: dict[int, bytes] = {}
    while inner.left:
        kind = inner.number(2, "type")
        if kind in found:
            raise FormatError(f"extension {kind} comes twice", field="extensions")
        found[kind] = inner.vector(2, f"extension {kind}")
    return found


def encrypted_extensions(body: bytes) -> dict[int, bytes]:
    """Return the extensions of an EncryptedExtensions message.

    Raises:
        FormatError: it is damaged.
    """
    cursor = Cursor(body, "EncryptedExtensions")
    found = _read_extensions(cursor)
    cursor.end()
    return found


def alpn_choice(data: bytes) -> str:
    """Return the protocol that a server's ALPN extension names.

    Raises:
        FormatError: it is damaged.
    """
    inner = Cursor(Cursor(data, "ALPN").vector(2, "list"), "ALPN")
    return inner.vector(1, "name").decode("ascii", "backslashreplace")


def cookie(body: bytes) -> bytes:
    """Return the cookie of a HelloVerifyRequest (RFC 6347 4.2.1).

    Raises:
        FormatError: it is damaged.
    """
    cursor = Cursor(body, "HelloVerifyRequest")
    cursor.number(2, "version")
    found = cursor.vector(1, "cookie")
    cursor.end()
    return found


@value
class Certificates:
    """A Certificate message: DER certificates, leaf first (or one raw public key), and the leaf's staple."""

    ders: tuple[bytes, ...] = field(repr=False, default=())
    staple: bytes = field(repr=False, default=b"")


def certificates(body: bytes, *, tls13: bool) -> Certificates:
    """Return what a server's Certificate message holds.

    Raises:
        FormatError: it is damaged.
        LimitError: it holds more certificates than any honest server has.
    """
    cursor = Cursor(body, "Certificate")
    if tls13:
        cursor.vector(1, "certificate_request_context")
    inner = Cursor(cursor.vector(3, "certificate_list"), "Certificate")
    cursor.end()
    ders: list[bytes] = []
    staple = b""
    while inner.left:
        if len(ders) >= MAX_CERTIFICATES:
            raise LimitError(f"more than {MAX_CERTIFICATES} certificates", field="Certificate")
        ders.append(inner.vector(3, "cert_data"))
        extensions = _read_extensions(inner) if tls13 else {}
        if len(ders) == 1 and STATUS_REQUEST in extensions:
            staple = certificate_status(extensions[STATUS_REQUEST])
    return Certificates(ders=tuple(ders), staple=staple)


def raw_public_key(body: bytes) -> bytes:
    """Return the SubjectPublicKeyInfo that stands in a Certificate message up to TLS 1.2 (RFC 7250 3).

    Raises:
        FormatError: it is damaged.
    """
    cursor = Cursor(body, "Certificate")
    found = cursor.vector(3, "ASN.1_subjectPublicKeyInfo")
    cursor.end()
    return found


def certificate_status(body: bytes) -> bytes:
    """Return the OCSP response of a CertificateStatus (RFC 6066 8).

    Raises:
        FormatError: it is damaged.
    """
    cursor = Cursor(body, "CertificateStatus")
    if cursor.number(1, "status_type") != 1:
        return b""
    return cursor.vector(3, "response")


@value
class KeyExchange:
    """A ServerKeyExchange of TLS 1.2 and below: named curve, or the size of p in bits, scheme, PSK identity hint."""

    group: int | None = None
    prime_bits: int | None = None
    scheme: int | None = None
    hint: str = ""
    signed: bytes = field(repr=False, default=b"")  # the parameters that the signature is over
    signature: bytes = field(repr=False, default=b"")


def key_exchange(body: bytes, suite: int, version: int) -> KeyExchange:
    """Return what a ServerKeyExchange shows, by the suite's kind of key exchange.

    Raises:
        FormatError: it is damaged.
    """
    name, cursor = names.suite_name(suite), Cursor(body, "ServerKeyExchange")
    hint = cursor.vector(2, "psk_identity_hint").decode("utf-8", "backslashreplace") if "_PSK_" in name else ""
    group, prime = None, None
    if "_ECDHE_" in name or "_ECDH_anon" in name:
        group = _named_curve(cursor)
    elif "_DHE_" in name or "_DH_anon" in name:
        prime = int.from_bytes(cursor.vector(2, "dh_p")).bit_length()
        cursor.vector(2, "dh_g")
        cursor.vector(2, "dh_Ys")
    scheme, signed, signature = None, body[: len(body) - cursor.left], b""
    if cursor.left and "_PSK_" not in name and version in {TLS12, names.VERSIONS["DTLSv1.2"]}:
        scheme, signature = cursor.number(2, "signature_algorithm"), cursor.vector(2, "signature")
    return KeyExchange(group=group, prime_bits=prime, scheme=scheme, hint=hint, signed=signed, signature=signature)


def _named_curve(cursor: Cursor) -> int | None:
    if cursor.number(1, "curve_type") != 3:  # noqa: PLR2004 - named_curve (RFC 8422 5.4); explicit curves are not read
        return None
    group = cursor.number(2, "named_curve")
    cursor.vector(1, "point")
    return group


@value
class CertificateRequest:
    """What a server says of the client certificate that it wants; names of authorities in DER."""

    schemes: tuple[int, ...] = ()
    authorities: tuple[bytes, ...] = field(repr=False, default=())


def certificate_request(body: bytes, version: int) -> CertificateRequest:
    """Return a CertificateRequest.

    Raises:
        FormatError: it is damaged.
    """
    cursor = Cursor(body, "CertificateRequest")
    if version == TLS13:
        cursor.vector(1, "certificate_request_context")
        found = _read_extensions(cursor)
        schemes = Cursor(found.get(SIGNATURES, b"\0\0"), "signature_algorithms").numbers(2, 2, "list")
        return CertificateRequest(schemes=schemes, authorities=_names(found.get(AUTHORITIES, b"\0\0")))
    cursor.vector(1, "certificate_types")
    with_schemes = version in {TLS12, names.VERSIONS["DTLSv1.2"]}
    schemes = cursor.numbers(2, 2, "supported_signature_algorithms") if with_schemes else ()
    return CertificateRequest(schemes=schemes, authorities=_names(cursor.take(cursor.left, "authorities")))


def _names(data: bytes) -> tuple[bytes, ...]:
    inner = Cursor(Cursor(data, "CertificateRequest").vector(2, "authorities"), "CertificateRequest")
    found: list[bytes] = []
    while inner.left and len(found) < MAX_AUTHORITY_NAMES:
        found.append(inner.vector(2, "distinguished_name"))
    return tuple(found)


@value
class Ticket:
    """A NewSessionTicket of TLS 1.3: lifetime in seconds, and how much 0-RTT data it allows."""

    lifetime: int
    age_add: int = 0
    nonce: bytes = field(repr=False, default=b"")
    ticket: bytes = field(repr=False, default=b"")
    early_data: int = 0


def new_ticket(body: bytes) -> Ticket:
    """Return a NewSessionTicket of TLS 1.3 (RFC 9846 4.6.1).

    Raises:
        FormatError: it is damaged.
    """
    cursor = Cursor(body, "NewSessionTicket")
    lifetime, age_add = cursor.number(4, "ticket_lifetime"), cursor.number(4, "ticket_age_add")
    nonce, ticket = cursor.vector(1, "ticket_nonce"), cursor.vector(2, "ticket")
    found = _read_extensions(cursor)
    cursor.end()
    early = Cursor(found[EARLY_DATA], "early_data").number(4, "size") if EARLY_DATA in found else 0
    return Ticket(lifetime=lifetime, age_add=age_add, nonce=nonce, ticket=ticket, early_data=early)


def certificate_verify(body: bytes) -> tuple[int, bytes]:
    """Return scheme and signature of a CertificateVerify (RFC 9846 4.4.3).

    Raises:
        FormatError: it is damaged.
    """
    cursor = Cursor(body, "CertificateVerify")
    scheme, signature = cursor.number(2, "algorithm"), cursor.vector(2, "signature")
    cursor.end()
    return scheme, signature


def alert(payload: bytes) -> tuple[bool, int]:
    """Return whether an alert is fatal, and its number.

    Raises:
        FormatError: it is damaged.
    """
    cursor = Cursor(payload, "alert")
    level, number = cursor.number(1, "level"), cursor.number(1, "description")
    return level != 1, number
