"""Fetching what certificates point to: OCSP answers and revocation lists, over HTTP (RFC 5280 4.2.1.13, RFC 6960 A).

An address inside a certificate is a stranger's words. So: http only, no user name or password, no redirects, bounded
size and time, and no address that is nearer to us than the endpoint itself: a server on the internet cannot send us
into our own network, nor one in our network to this machine. What comes back is signed, or it counts for nothing.
"""

from __future__ import annotations

import http.client
import io
import ipaddress
import re
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Final
from urllib.parse import quote, urlsplit

from checker.transport.link import Link, LinkError, Peer, Run

MAX_HEAD: Final = 16 * 1024  # bytes of an answer's head, as for the endpoint's own
MAX_URL: Final = 2_048  # characters; real ones have some sixty
KEPT_OF_FETCH: Final = 1024 * 1024  # bytes of one answer that its transcript keeps; its digest is of all
_LENGTH: Final = re.compile(rb"\r\ncontent-length:[ \t]*(\d{1,12})[ \t]*\r\n", re.IGNORECASE)
_TRANSLATED: Final = tuple(
    map(ipaddress.ip_network, ("64:ff9b::/96", "2002::/16", "2001::/32"))
)  # hide an IPv4 address
_OK: Final = 200


class Distance(IntEnum):
    """How far from this machine an address is."""

    HERE = 0  # loopback
    NEAR = 1  # private networks, and whatever else is not routed on the internet
    FAR = 2


@dataclass(frozen=True, kw_only=True)
class Request:
    """What to fetch: an address, what to send to it (nothing: GET), and how much may come."""

    url: str
    purpose: str
    limit: int
    body: bytes = b""
    kind: str = ""  # the media type of `body`
    nearest: Distance = Distance.FAR


@dataclass(frozen=True, kw_only=True)
class Fetched:
    """What came, or why nothing did."""

    exchange: int
    body: bytes = b""
    reason: str = ""


async def fetch(run: Run, request: Request) -> Fetched:
    """Fetch one address. Never raises for anything that the address or its server does."""
    index = run.note(request.purpose, KEPT_OF_FETCH)
    try:
        host, port, head = _parts(request)
        peer = await _place(run, host, port, request)
    except (ValueError, LinkError) as error:
        run.recordings[index].ended = "not made"
        return Fetched(exchange=index, reason=f"{request.url} is not asked: {error}")
    try:
        async with run.connect(index, peer=peer) as link:
            await link.send(head + request.body)
            data = await _read(link, request.limit)
        return Fetched(exchange=index, body=_body(data, request.limit))
    except (LinkError, ValueError) as error:
        return Fetched(exchange=index, reason=f"{request.url}: {error}")


def _parts(request: Request) -> tuple[str, int, bytes]:
    """Return host, port and the request's head.

    Raises:
        ValueError: the address is not one that is fetched.
    """
    if len(request.url) > MAX_URL or not request.url.isascii() or not request.url.isprintable():
        raise ValueError("it is too long, or holds characters that no address has")
    parts = urlsplit(request.url)
    if parts.scheme != "http":
        raise ValueError("only http is fetched, which is what RFC 5280 and RFC 6960 foresee")
    if not parts.hostname or parts.username is not None or parts.password is not None:
        raise ValueError("it names no host, or a user")
    port = 80 if parts.port is None else parts.port
    path = quote(parts.path or "/", safe="/%:=&~@!$'()*+,;-._") + (
        f"?{quote(parts.query, safe=_QUERY)}" * bool(parts.query)
    )
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    lines = [f"{'POST' if request.body else 'GET'} {path} HTTP/1.1", f"Host: {host}" + f":{port}" * (port != 80)]  # noqa: PLR2004
    if request.body:
        lines += [f"Content-Type: {request.kind}", f"Content-Length: {len(request.body)}"]
    lines += ["User-Agent: otaudit", "Accept: */*", "Connection: close", "", ""]
    return parts.hostname, port, "\r\n".join(lines).encode("ascii")


_QUERY: Final = "/?%:=&~@!$'()*+,;-._"


async def _place(run: Run, host: str, port: int, request: Request) -> Peer:
    """Return the first address that may be connected to; it is used as it is, so that no second answer can differ.

    Raises:
        ValueError: there is none.
        LinkError: the name has no address.
    """
    for peer in await run.places(host, port):
        found = distance(str(peer.address[0]))
        if found is not None and found >= request.nearest:
            return replace(peer, limit=request.limit + MAX_HEAD)
    raise ValueError(f"{host} is nearer to this machine than the endpoint, or no place for a server")


def distance(address: str) -> Distance | None:
    """Return how far an IP address is; None for those that no server of a stranger's is asked at.

    Those are link-local addresses (where clouds keep their secrets), multicast, unspecified and translated ones.
    """
    found = ipaddress.ip_address(address.partition("%")[0])
    found = getattr(found, "ipv4_mapped", None) or found
    if found.is_loopback:
        return Distance.HERE
    if found.is_link_local or found.is_multicast or found.is_unspecified or found.is_reserved:
        return None
    if any(found in network for network in _TRANSLATED if network.version == found.version):
        return None
    return Distance.FAR if found.is_global else Distance.NEAR


async def _read(link: Link, limit: int) -> bytes:
    """Return an answer with its head: to its stated length, to its last chunk, or to the connection's end.

    Raises:
        LinkError: nothing more came in time, or too much.
        ValueError: the head has no end, or states more than the limit.
    """
    data = bytearray()
    while not _whole(data, limit):
        try:
            data += await link.receive()
        except LinkError as error:
            if error.kind != "closed" or not data:
                raise
            break
    return bytes(data)


def _whole(data: bytearray, limit: int) -> bool:
    end = data.find(b"\r\n\r\n", 0, MAX_HEAD)
    if end < 0:
        if len(data) > MAX_HEAD:
            raise ValueError("what comes is no HTTP answer")
        return False
    stated = _LENGTH.search(data, 0, end + 2)
    if stated is None:
        return data.endswith(b"\r\n0\r\n\r\n")
    if int(stated[1]) > limit:
        raise ValueError(f"the answer has {int(stated[1])} bytes; the limit is {limit}")
    return len(data) >= end + 4 + int(stated[1])


class _Bytes:
    """What `http.client` takes for a socket."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def makefile(self, mode: str) -> io.BytesIO:
        del mode
        return io.BytesIO(self._data)


def _body(data: bytes, limit: int) -> bytes:
    """Return the body of an HTTP answer.

    Raises:
        ValueError: it is no whole answer, or none with the status 200.
    """
    try:
        answer = http.client.HTTPResponse(_Bytes(data))  # type: ignore[arg-type]
        answer.begin()
        body = answer.read(limit + 1)
    except (http.client.HTTPException, OSError) as error:
        raise ValueError(f"what came is no whole HTTP answer: {type(error).__name__}") from None
    if 300 <= answer.status < 400:  # noqa: PLR2004 - redirection
        raise ValueError(f"HTTP {answer.status}, and redirects are not followed")
    if answer.status != _OK:
        raise ValueError(f"HTTP {answer.status}")
    stated = answer.headers.get("Content-Length", "")
    if len(body) > limit or (stated.isdecimal() and len(body) < int(stated)):
        raise ValueError("the answer is too long or cut short")
    return body
