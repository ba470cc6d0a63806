"""Addresses as people write them → targets."""

from __future__ import annotations

from typing import Final
from urllib.parse import SplitResult, urlsplit

from checker.transport.target import DEFAULT_PORTS, Target

_SCHEMES: Final = {"mqtt+tls": "mqtts", "ssl": "tls", "wss": "https", "coap+dtls": "coaps"}


def target_of(url: str) -> Target:
    """Return where an address leads.

    Raises:
        ValueError: it has no host, a port out of range, or a scheme that no probe speaks.
    """
    parts = urlsplit(url)
    scheme = _SCHEMES.get(parts.scheme.lower(), parts.scheme.lower())
    plain = {"http": "https", "mqtt": "mqtts", "coap": "coaps"}.get(scheme)
    if plain is not None:
        return Target(scheme=plain, host=_host(parts), port=parts.port or _PLAIN_PORTS[scheme], path=_path(parts))
    if scheme not in DEFAULT_PORTS:
        known = ", ".join(sorted(DEFAULT_PORTS))
        raise ValueError(f"the live probe does not speak {parts.scheme!r}, only {known}")
    return Target(scheme=scheme, host=_host(parts), port=parts.port or DEFAULT_PORTS[scheme], path=_path(parts))


_PLAIN_PORTS: Final = {"http": 80, "mqtt": 1883, "coap": 5683}


def _host(parts: SplitResult) -> str:
    if not parts.hostname:
        raise ValueError("names no host")
    return parts.hostname


def _path(parts: SplitResult) -> str:
    return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
