"""Names of certification authorities in a CertificateRequest, as text."""

from __future__ import annotations

from typing import Final

from asn1crypto import x509

from checker.crypto import _asn1
from checker.errors import FormatError

MAX_TEXTS: Final = 64  # names that go into the facts; a server that lists more lists a whole web PKI


def authority_texts(ders: tuple[bytes, ...]) -> tuple[str, ...]:
    """Return distinguished names as text, in order; a damaged one as its hex."""
    return tuple(_text(der) for der in ders[:MAX_TEXTS])


def _text(der: bytes) -> str:
    try:
        with _asn1.guarded("distinguished name"):
            text = str(x509.Name.load(der, strict=True).human_friendly)
    except FormatError:
        return der[:64].hex()
    return "".join(char if char.isprintable() else "?" for char in text)
