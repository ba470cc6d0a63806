"""The touch above TLS: one harmless request of HTTP, MQTT or CoAP, and what its answer says. No I/O here.

Nothing is ever fetched: HTTP gets HEAD, MQTT connects and leaves, CoAP gets one GET whose answer is one datagram.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final
from urllib.parse import quote, unquote_to_bytes, urlsplit

from checker.model.endpoint import Answer, Application, Fact
from checker.model.value import value
from checker.transport.target import Target

MAX_HEAD: Final = 16 * 1024  # bytes of an HTTP head, as nginx and curl allow by default
MAX_LINE: Final = 200  # characters of an answer's text that go into the facts
_REFUSING_HTTP: Final = frozenset({400, 401, 403, 407, 495, 496})  # whom they refuse is the client, not the path
_CONNACK: Final = 2
_MQTT5: Final = 5
_WRONG_VERSION: Final = frozenset({1, 0x84})
_CODES: Final = {  # of MQTT 3.1.1 (3.2.2.3) and, from 0x80, of MQTT 5
    0: "accepted",
    1: "unacceptable protocol version",
    2: "identifier rejected",
    3: "unavailable",
    4: "bad user name or password",
    5: "not authorized",
    0x84: "unsupported protocol version",
    0x86: "bad user name or password",
    0x87: "not authorized",
    0x88: "unavailable",
    0x8A: "banned",
}
_COAP_HEADER: Final = 4
_MAX_OPTION: Final = 255  # bytes of a Uri-Path or Uri-Query (RFC 7252 5.10)


@value
class Touch:
    """One request, whether its answer is whole (more bytes are then not waited for), and how the answer is read."""

    protocol: str
    request: bytes
    whole: Callable[[bytes], bool]
    read: Callable[[bytes], Application]
    goodbye: bytes = b""


def touches(target: Target, random: Callable[[int], bytes], now: datetime) -> tuple[Touch, ...]:
    """Return the requests for a target's scheme; a second one is for servers that speak another version."""
    if target.scheme == "https":
        return (_http(target, now, plain=False),)
    if target.scheme == "mqtts":
        return (_mqtt(4, random), _mqtt(_MQTT5, random))
    return (_coap(target, random),) if target.scheme == "coaps" else ()


def plaintext(target: Target, random: Callable[[int], bytes], now: datetime) -> Touch | None:
    """Return the request for the same service without TLS, over TCP."""
    if target.scheme == "mqtts":
        return _mqtt(4, random)
    return _http(target, now, plain=True) if target.scheme == "https" else None


def _http(target: Target, now: datetime, *, plain: bool) -> Touch:
    host = f"[{target.name}]" if ":" in target.name else target.name
    port = "" if plain or target.port == 443 else f":{target.port}"  # noqa: PLR2004 - the scheme's own port
    path = quote(target.path or "/", safe="/?&=%~:@!$'()*+,;-._")
    head = (
        f"HEAD {path} HTTP/1.1\r\nHost: {host}{port}\r\nUser-Agent: otaudit\r\nAccept: */*\r\nConnection: close\r\n\r\n"
    )
    return Touch(
        protocol="http",
        request=head.encode("ascii", "replace"),
        whole=lambda data: b"\r\n\r\n" in data or len(data) > MAX_HEAD,
        read=lambda data: _read_http(data, target, now),
    )


def _read_http(data: bytes, target: Target, now: datetime) -> Application:
    lines = data[:MAX_HEAD].split(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")
    first = lines[0].split(" ", 2)
    if not first[0].startswith("HTTP/") or len(first) < 2 or not first[1][:3].isdecimal():  # noqa: PLR2004
        return Application(protocol="http", answered=_not_shown("what came is no HTTP answer"), text=_short(lines[0]))
    status = int(first[1][:3])
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
    location = headers.get("location", "") if 300 <= status < 400 else ""  # noqa: PLR2004 - redirection
    date, skew = _date(headers.get("date", ""), now)
    return Application(
        protocol="http",
        answered=_http_answer(status),
        status=status,
        text=_short(lines[0]),
        redirect=_short(location),
        redirect_other_host=_other_host(location, target),
        redirect_plaintext=_clear(location),
        server_date=date,
        clock_skew=skew,
        strict_transport=_short(headers.get("strict-transport-security", "")),
    )


def _http_answer(status: int) -> Fact:
    if status < 400:  # noqa: PLR2004 - RFC 9110 15: success and redirection
        return Fact(answer=Answer.YES, reason=f"HTTP {status}")
    if status in _REFUSING_HTTP:
        return Fact(answer=Answer.NO, reason=f"HTTP {status}")
    return _not_shown(f"HTTP {status} speaks of the request, not of the client")


def _not_shown(reason: str) -> Fact:
    return Fact(answer=Answer.NOT_SHOWN, reason=reason)


def _yes_no(*, yes: bool, reason: str) -> Fact:
    return Fact(answer=Answer.YES if yes else Answer.NO, reason=reason)


def _other_host(location: str, target: Target) -> Fact:
    host = _split(location)[1]
    if not location or not host:
        return _yes_no(yes=False, reason="there is no redirect to a host")
    return _yes_no(yes=host.lower() not in {target.name.lower(), target.host.lower()}, reason=f"redirect to {host}")


def _clear(location: str) -> Fact:
    return _yes_no(yes=_split(location)[0] == "http", reason="by the redirect's scheme" if location else "no redirect")


def _split(location: str) -> tuple[str, str]:
    try:
        parts = urlsplit(location)
        return parts.scheme.lower(), parts.hostname or ""
    except ValueError:
        return "", ""


def _date(text: str, now: datetime) -> tuple[str, float | None]:
    try:
        value = parsedate_to_datetime(text)
        value = value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
        return value.strftime("%Y-%m-%dT%H:%M:%SZ"), (value - now).total_seconds()
    except (ValueError, TypeError, OverflowError):
        return "", None


def _short(text: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in text[:MAX_LINE])


def _mqtt(level: int, random: Callable[[int], bytes]) -> Touch:
    """Return a CONNECT with a clean session, a client id of our own and no credentials (MQTT 3.1.1 and 5, 3.1)."""
    name = f"otaudit{random(4).hex()}".encode()
    properties = b"\0" if level == _MQTT5 else b""
    variable = b"\0\4MQTT" + bytes([level]) + b"\x02" + (30).to_bytes(2) + properties
    payload = len(name).to_bytes(2) + name
    body = variable + payload
    return Touch(
        protocol="mqtt",
        request=b"\x10" + bytes([len(body)]) + body,
        whole=lambda data: len(data) >= 4,  # noqa: PLR2004 - CONNACK: header, length, flags, code
        read=lambda data: _read_connack(data, level),
        goodbye=b"\xe0\0",
    )


def _read_connack(data: bytes, level: int) -> Application:
    version = "5" if level == _MQTT5 else "3.1.1"
    if len(data) < 4 or data[0] >> 4 != _CONNACK:  # noqa: PLR2004
        reason = "what came is no CONNACK"
        return Application(protocol="mqtt", answered=_not_shown(reason), mqtt_version=version)
    code = data[3]
    text = _CODES.get(code, f"code {code:#04x}")
    fact = _yes_no(yes=code == 0, reason=f"CONNACK {code}: {text}")
    if code in _WRONG_VERSION:
        fact = _not_shown(f"CONNACK {code}: {text}")
    return Application(protocol="mqtt", answered=fact, status=code, text=text, mqtt_version=version)


def _coap(target: Target, random: Callable[[int], bytes]) -> Touch:
    """Return a confirmable GET of the path (RFC 7252 3)."""
    token, identity = random(4), random(2)
    message = bytes([0x40 | len(token), 1]) + identity + token + _coap_options(target.path)
    return Touch(
        protocol="coap",
        request=message,
        whole=lambda data: len(_answer_of(data)) >= _COAP_HEADER,
        read=lambda data: _read_coap(_answer_of(data) or data, token),
    )


def _answer_of(data: bytes) -> bytes:
    """Return what follows empty messages: a server may acknowledge first, and answer later (RFC 7252 5.2.2)."""
    while len(data) >= _COAP_HEADER and data[0] & 0xCF == 0x40 and data[1] == 0:  # noqa: PLR2004 - version 1, no token
        data = data[_COAP_HEADER:]
    return data


def _coap_options(path: str) -> bytes:
    """Return an address's path as Uri-Path and Uri-Query options (RFC 7252 6.4), without what no option can hold."""
    place, _, query = path.partition("?")
    parts = [(11, item) for item in place.split("/") if item] + [(15, item) for item in query.split("&") if item]
    found, number = b"", 0
    for option, text in parts:
        part = unquote_to_bytes(text)
        if len(part) > _MAX_OPTION:
            continue
        delta, number = option - number, option
        found += _nibbles(delta, len(part)) + part
    return found


def _nibbles(delta: int, size: int) -> bytes:
    """Return an option's header: from 13 on, a number goes into a byte of its own (RFC 7252 3.1)."""
    first, second = min(delta, 13), min(size, 13)
    more = [number - 13 for number in (delta, size) if number >= 13]  # noqa: PLR2004
    return bytes([first << 4 | second, *more])


def _read_coap(data: bytes, token: bytes) -> Application:
    if len(data) < _COAP_HEADER or data[0] >> 6 != 1:
        return Application(protocol="coap", answered=_not_shown("what came is no CoAP message"))
    kind, detail = data[1] >> 5, data[1] & 0x1F
    if data[1] == 0 or data[4 : 4 + len(token)] != token:
        return Application(protocol="coap", answered=_not_shown("an empty message, or one for another request"))
    code = f"{kind}.{detail:02d}"
    refused = (kind, detail) in {(4, 1), (4, 3)}  # Unauthorized, Forbidden
    fact = _yes_no(yes=kind == 2, reason=f"CoAP {code}")  # noqa: PLR2004 - success
    if kind != 2 and not refused:  # noqa: PLR2004
        fact = _not_shown(f"CoAP {code} speaks of the request, not of the client")
    return Application(protocol="coap", answered=fact, status=kind * 100 + detail, text=code)
