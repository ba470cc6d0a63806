"""Names of a server certificate against the name that was asked for (RFC 9525): subject alternative names only."""

from __future__ import annotations

import ipaddress
from typing import Final

from asn1crypto import x509

from checker.crypto import _asn1
from checker.crypto.certificates import Certificate
from checker.errors import FormatError
from checker.model.value import value

MAX_NAMES: Final = 1_000  # of one certificate


@value
class Names:
    """The DNS names (lower case, ASCII) and addresses of a certificate; `error` where they cannot be read."""

    dns: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    error: str = ""

    @property
    def texts(self) -> tuple[str, ...]:
        """Return them as `DNS:…` and `IP:…`."""
        return (*(f"DNS:{name}" for name in self.dns), *(f"IP:{address}" for address in self.addresses))

    def match(self, wanted: str) -> bool:
        """Return whether a host name or address is among them; a wildcard stands for one whole leftmost label."""
        try:
            address = ipaddress.ip_address(wanted.strip("[]"))
        except ValueError:
            return any(_matches(pattern, _ascii(wanted)) for pattern in self.dns)
        return str(address) in self.addresses


def _ascii(name: str) -> str:
    plain = name.rstrip(".").lower()
    try:
        return plain if plain.isascii() else plain.encode("idna").decode("ascii")
    except UnicodeError:
        return plain


def _matches(pattern: str, name: str) -> bool:
    if not pattern.startswith("*."):
        return pattern == name
    label, _, rest = name.partition(".")
    return bool(label) and "." in rest and rest == pattern[2:]


def subject_names(leaf: Certificate) -> Names:
    """Return a certificate's subject alternative names. A common name is not looked at (RFC 9525 2)."""
    try:
        with _asn1.guarded("subject alternative name"):
            value = x509.Certificate.load(leaf.der).subject_alt_name_value
            items = [] if value is None else [(item.name, item.chosen) for item in list(value)[:MAX_NAMES]]
            dns = [_ascii(str(chosen.native)) for kind, chosen in items if kind == "dns_name"]
            addresses = [_address(bytes(chosen.contents)) for kind, chosen in items if kind == "ip_address"]
    except FormatError as error:
        return Names(error=str(error))
    return Names(dns=tuple(dns), addresses=tuple(text for text in addresses if text))


def _address(raw: bytes) -> str:
    try:
        return str(ipaddress.ip_address(raw))
    except ValueError:
        return ""
