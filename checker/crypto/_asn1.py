"""ASN.1 at one place: PEM, the few structures that must survive odd input, and the conversion of every parser's error.

asn1crypto parses lazily and raises many exception types; whoever touches its objects does so inside `guarded`.
"""

from __future__ import annotations

import base64
import binascii
import re
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from asn1crypto import core
from asn1crypto import parser as asn1_parser
from cryptography.exceptions import InternalError

from checker.errors import FormatError, KeyMaterialError

# What asn1crypto, and cryptography over its pieces, have been seen to raise on damaged input.
PARSE_ERRORS: Final = (
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    ArithmeticError,
    AssertionError,
    RecursionError,
    NotImplementedError,
    struct.error,
    InternalError,  # of OpenSSL: a raw key of another length in PKCS #8
)
_PEM: Final = re.compile(rb"-----BEGIN ([A-Z0-9 #]+)-----(.*?)-----END \1-----", re.DOTALL)
_SEQUENCE: Final = 0x30


@contextmanager
def guarded(what: str, offset: int = 0) -> Iterator[None]:
    """Turn whatever a lazy ASN.1 parser raises inside into a `FormatError` about the field `what`."""
    try:
        yield
    except PARSE_ERRORS as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise FormatError(f"damaged or unusual ASN.1: {reason}", offset=offset, field=what) from error


@dataclass(frozen=True)
class Block:
    """One armoured block of a PEM file; `headers` says whether RFC 1421 headers (encryption) precede the data."""

    label: str
    der: bytes = field(repr=False)
    headers: bool = False


def pem_blocks(data: bytes, name: str) -> tuple[Block, ...]:
    """Return the blocks of a PEM file in order; none where the bytes are not PEM.

    Raises:
        KeyMaterialError: a block is not base64.
    """
    return tuple(_block(match, name) for match in _PEM.finditer(data))


def _block(match: re.Match[bytes], name: str) -> Block:
    label, body = match.group(1).decode(), match.group(2)
    headers = b":" in body
    lines = [line for line in body.splitlines() if b":" not in line]
    try:
        return Block(label, base64.b64decode(b"".join(b"".join(lines).split()), validate=True), headers)
    except binascii.Error as error:
        raise KeyMaterialError(f"{name}: the PEM block {label} is not base64") from error


class RawAlgorithm(core.Sequence):  # type: ignore[misc]
    """AlgorithmIdentifier with any parameters (RFC 5280 4.1.1.2); unknown algorithms parse too."""

    _fields: Final = [("algorithm", core.ObjectIdentifier), ("parameters", core.Any, {"optional": True})]


class RawSpki(core.Sequence):  # type: ignore[misc]
    """SubjectPublicKeyInfo of any algorithm (RFC 5280 4.1.2.7)."""

    _fields: Final = [("algorithm", RawAlgorithm), ("key", core.BitString)]


class RawCertificate(core.Sequence):  # type: ignore[misc]
    """The three outer parts of a certificate or CRL: signed part, algorithm, signature (RFC 5280 4.1.1)."""

    _fields: Final = [("tbs", core.Any), ("algorithm", RawAlgorithm), ("signature", core.BitString)]


class RsaPublicKey(core.Sequence):  # type: ignore[misc]
    """RSAPublicKey (RFC 8017 A.1.1)."""

    _fields: Final = [("modulus", core.Integer), ("exponent", core.Integer)]


def parameters(identifier: Any) -> bytes:  # noqa: ANN401 - asn1crypto is untyped
    """Return the DER of an AlgorithmIdentifier's parameters, empty where absent or NULL."""
    value = identifier["parameters"]
    if isinstance(value, core.Void):
        return b""
    raw = bytes(value.dump())
    return b"" if raw == b"\x05\x00" else raw


def der(tag: int, content: bytes) -> bytes:
    """Return a DER value of a one-byte tag (X.690 8.1)."""
    size = len(content)
    if size < 0x80:  # noqa: PLR2004 - X.690 8.1.3.4: the short form
        return bytes([tag, size]) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(length)]) + length + content


def first_tags(data: bytes) -> tuple[int, int]:
    """Return the tags of a SEQUENCE's first element and of that one's first element; -1 where there is none.

    That tells certificates, public keys and PKCS#1 keys apart without trying to parse each.
    """
    if data[:1] != bytes([_SEQUENCE]):
        return (-1, -1)
    with guarded("key material"):
        outer = asn1_parser.parse(data)[4]
        first = outer[0]
        if first != _SEQUENCE:
            return (first, -1)
        inner = asn1_parser.parse(outer, strict=False)[4]
        return (first, inner[0] if inner else -1)


def elements(data: bytes) -> Iterator[bytes]:
    """Yield the DER values inside a constructed one."""
    with guarded("constructed value"):
        rest = asn1_parser.parse(data, strict=True)[4]
        while rest:
            size = asn1_parser.peek(rest)
            yield rest[:size]
            rest = rest[size:]


def integer_strings(raw: bytes) -> tuple[int, ...]:
    """Return the integers of a DER SEQUENCE of INTEGER."""

    class Integers(core.SequenceOf):  # type: ignore[misc]
        _child_spec: Final = core.Integer

    with guarded("sequence of integers"):
        return tuple(int(item.native) for item in Integers.load(raw, strict=True))
