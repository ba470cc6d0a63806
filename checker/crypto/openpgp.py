"""OpenPGP packets (RFC 9580, and RFC 4880 for version 4): signatures, and the keys of certificates with their terms.

A certificate says more than its keys: self-signatures bind user ids and subkeys, limit what a key may do and until
when, and revoke it. Only what verifies under the primary key counts. A subkey that signs has to certify its primary
key back (RFC 9580 5.2.1, type 0x19), so that nobody adopts a stranger's signing key.
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from asn1crypto import core

from checker.crypto import keys as public_keys
from checker.crypto.algorithms import by_name, by_oid
from checker.crypto.certificates import rfc3339
from checker.crypto.keys import KeyTerms, PublicKey
from checker.crypto.signatures import ecdsa_der, verify_digest, verify_message
from checker.errors import CryptoError, FormatError, InvalidSignatureError, LimitError, UnsupportedAlgorithmError
from checker.io import digests

MAX_PACKETS: Final = 20_000  # of one file; a key with many third-party certifications has some thousands
MAX_SUBPACKETS: Final = 256  # of one area; real signatures have about ten
SIGNATURE, PUBLIC_KEY, PUBLIC_SUBKEY, USER_ID, USER_ATTRIBUTE = 2, 6, 14, 13, 17
SECRET_KEYS: Final = frozenset({5, 7})
BINARY, TEXT = 0x00, 0x01
_CERTIFICATIONS: Final = frozenset({0x10, 0x11, 0x12, 0x13})
_DIRECT, _BINDING, _BACK, _REVOKE_KEY, _REVOKE_SUBKEY, _REVOKE_USER = 0x1F, 0x18, 0x19, 0x20, 0x28, 0x30
_CREATED, _EXPIRES, _KEY_EXPIRES, _ISSUER, _FLAGS, _REASON, _EMBEDDED, _FINGERPRINT = 2, 3, 9, 16, 27, 29, 32, 33
# RFC 9580 5.2.3.7: the types whose meaning is known here, so that they may be critical.
_KNOWN: Final = frozenset(
    {2, 3, 4, 5, 7, 9, 11, 12, 16, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 33, 35, 39}
)
_MAY_SIGN: Final = 0x02
_FLAGS_FORBID: Final = "its key flags do not allow signatures over data"
_RSA, _DSA, _ECDSA, _EDDSA, _ED25519, _ED448 = frozenset({1, 3}), 17, 19, 22, 27, 28
_ED25519_LEGACY: Final = "1.3.6.1.4.1.11591.15.1"
_RAW_SIZES: Final = {_ED25519: 32, _ED448: 57}  # bytes of the public key
_ARMOUR: Final = re.compile(rb"-----BEGIN PGP ([A-Z ]+)-----[ \t]*\r?\n(.*?)-----END PGP \1-----", re.DOTALL)
_ARMOURED: Final = {b"SIGNATURE", b"PUBLIC KEY BLOCK", b"PRIVATE KEY BLOCK", b"MESSAGE"}


@dataclass(frozen=True)
class Packet:
    """One packet: its type, its body, and where it begins."""

    kind: int
    body: bytes = field(repr=False)
    offset: int


@dataclass(frozen=True, kw_only=True)
class PgpSignature:
    """A signature packet of version 4 or 6. Only hashed subpackets are believed; issuers are hints, from both areas."""

    version: int
    kind: int
    algorithm: int
    hash_id: int
    head: bytes = field(repr=False)  # from the version to the end of the hashed subpackets
    left: bytes  # first two bytes of the digest
    salt: bytes = b""
    material: bytes = field(repr=False)
    created: int | None
    lifetime: int = 0  # seconds, 0: for ever
    key_lifetime: int = 0
    flags: int | None = None
    reason: int | None = None
    issuers: tuple[str, ...] = ()
    embedded: tuple[bytes, ...] = field(repr=False, default=())
    unknown_critical: tuple[int, ...] = ()

    @property
    def hash(self) -> str:
        """Return the hash's id in the algorithm table.

        Raises:
            UnsupportedAlgorithmError: the table does not have it.
        """
        return by_name("pgp", str(self.hash_id), "hash").id

    @property
    def trailer(self) -> bytes:
        """Return what is hashed behind the signed data (RFC 9580 5.2.4)."""
        return self.head + bytes([self.version, 0xFF]) + len(self.head).to_bytes(4, "big")


def unarmour(data: bytes) -> bytes:
    """Return binary packets of armoured or binary data (RFC 9580 6); several blocks are joined.

    Raises:
        FormatError: a block is not base64.
    """
    blocks = [match for match in _ARMOUR.finditer(data) if match[1] in _ARMOURED]
    return b"".join(_body(match[2], match.start()) for match in blocks) if blocks else data


def _body(text: bytes, offset: int) -> bytes:
    lines = [line.strip() for line in text.splitlines()]
    start = lines.index(b"") + 1 if b"" in lines else sum(b": " in line for line in lines)
    # A line that begins with `=` is the checksum, which guards against accidents only.
    wanted = b"".join(line for line in lines[start:] if not line.startswith(b"="))
    try:
        return base64.b64decode(wanted, validate=True)
    except (binascii.Error, ValueError) as error:
        raise FormatError("the armour holds something that is not base64", offset=offset, field="OpenPGP") from error


def packets(data: bytes) -> Iterator[Packet]:
    """Yield the packets of binary data (RFC 9580 4.2).

    Raises:
        FormatError: a header or length is damaged.
        LimitError: there are more than `MAX_PACKETS`.
    """
    offset = count = 0
    while offset < len(data):
        count += 1
        if count > MAX_PACKETS:
            raise LimitError(f"more than MAX_PACKETS ({MAX_PACKETS}) packets", offset=offset, field="OpenPGP")
        kind, start, size = _header(data, offset)
        if start + size > len(data):
            raise FormatError(f"{size} bytes needed, {len(data) - start} left", offset=offset, field="OpenPGP packet")
        yield Packet(kind, data[start : start + size], offset)
        offset = start + size


def _header(data: bytes, offset: int) -> tuple[int, int, int]:
    first, rest = data[offset], data[offset + 1 : offset + 6].ljust(5, b"\0")
    if not first & 0x80:
        raise FormatError(f"{first:#04x} begins no packet", offset=offset, field="OpenPGP packet")
    if not first & 0x40:
        width = {0: 1, 1: 2, 2: 4}.get(first & 3)
        size = len(data) - offset - 1 if width is None else int.from_bytes(rest[:width], "big")
        return first >> 2 & 0x0F, offset + 1 + (width or 0), size
    used, size = _length(rest, offset, partial=True)
    return first & 0x3F, offset + 1 + used, size


def _length(data: bytes, offset: int, *, partial: bool) -> tuple[int, int]:
    """Return how many bytes a length takes, and the length (RFC 9580 4.2.1 and 5.2.3.7)."""
    first = data[0]
    if first < 192:  # noqa: PLR2004 - RFC 9580 4.2.1.1
        return 1, first
    if first == 255:  # noqa: PLR2004 - 4.2.1.3
        return 5, int.from_bytes(data[1:5], "big")
    if partial and first >= 224:  # noqa: PLR2004 - 4.2.1.4
        raise FormatError("a packet of partial length is not read", offset=offset, field="OpenPGP packet")
    return 2, (first - 192 << 8) + data[1] + 192


class _Fields:
    """A cursor over one body; running out of bytes is a `FormatError`."""

    def __init__(self, body: bytes, offset: int, field: str) -> None:
        self.body, self.at, self.offset, self.field = body, 0, offset, field

    def take(self, size: int) -> bytes:
        if size > len(self.body) - self.at:
            message = f"{size} bytes needed, {len(self.body) - self.at} left"
            raise FormatError(message, offset=self.offset + self.at, field=self.field)
        self.at += size
        return self.body[self.at - size : self.at]

    def integer(self, size: int) -> int:
        return int.from_bytes(self.take(size), "big")

    def number(self) -> int:
        """Return a multiprecision integer (RFC 9580 3.2)."""
        return self.integer((self.integer(2) + 7) // 8)

    def oid(self) -> str:
        raw = self.take(self.integer(1))
        try:
            return str(core.ObjectIdentifier.load(bytes([6, len(raw)]) + raw, strict=True).dotted)
        except (ValueError, IndexError) as error:
            raise FormatError("is no object identifier", offset=self.offset + self.at, field=self.field) from error

    @property
    def rest(self) -> bytes:
        return self.body[self.at :]


def parse_signature(packet: Packet) -> PgpSignature:
    """Return a signature packet's content.

    Raises:
        FormatError: it is damaged.
        UnsupportedAlgorithmError: it is of another version than 4 or 6.
    """
    fields = _Fields(packet.body, packet.offset, "OpenPGP signature")
    version, kind, algorithm, hash_id = (fields.integer(1) for _ in range(4))
    if version not in {4, 6}:
        raise UnsupportedAlgorithmError(f"OpenPGP signatures of version {version} are not verified here")
    width = 2 if version == 4 else 4  # noqa: PLR2004 - RFC 9580 5.2.3
    hashed = _subpackets(fields.take(fields.integer(width)), packet.offset)
    head = packet.body[: fields.at]
    unhashed = _subpackets(fields.take(fields.integer(width)), packet.offset)
    left = fields.take(2)
    salt = fields.take(fields.integer(1)) if version == 6 else b""  # noqa: PLR2004 - RFC 9580 5.2.3
    known = {kind & 0x7F: value for kind, value in hashed}
    return PgpSignature(
        version=version,
        kind=kind,
        algorithm=algorithm,
        hash_id=hash_id,
        head=head,
        left=left,
        salt=salt,
        material=fields.rest,
        created=_number(known, _CREATED),
        lifetime=_number(known, _EXPIRES) or 0,
        key_lifetime=_number(known, _KEY_EXPIRES) or 0,
        flags=known[_FLAGS][0] if known.get(_FLAGS) else None,
        reason=known[_REASON][0] if known.get(_REASON) else None,
        issuers=_issuers((*hashed, *unhashed)),
        embedded=tuple(value for kind, value in (*hashed, *unhashed) if kind & 0x7F == _EMBEDDED),
        unknown_critical=tuple(kind & 0x7F for kind, _ in hashed if kind & 0x80 and kind & 0x7F not in _KNOWN),
    )


def _subpackets(area: bytes, offset: int) -> tuple[tuple[int, bytes], ...]:
    found: list[tuple[int, bytes]] = []
    at = 0
    while at < len(area):
        used, size = _length(area[at : at + 5].ljust(5, b"\0"), offset, partial=False)
        body = area[at + used : at + used + size]
        if len(body) != size or not size or len(found) >= MAX_SUBPACKETS:
            raise FormatError("a subpacket is damaged, or there are too many", offset=offset, field="OpenPGP subpacket")
        found.append((body[0], body[1:]))
        at += used + size
    return tuple(found)


def _number(known: dict[int, bytes], kind: int) -> int | None:
    value = known.get(kind, b"")
    return int.from_bytes(value, "big") if len(value) == 4 else None  # noqa: PLR2004 - RFC 9580 3.5


def _issuers(subpackets: Sequence[tuple[int, bytes]]) -> tuple[str, ...]:
    found = [value.hex() for kind, value in subpackets if kind & 0x7F == _ISSUER]
    found += [value[1:].hex() for kind, value in subpackets if kind & 0x7F == _FINGERPRINT]
    return tuple(dict.fromkeys(found))


def scheme(signature: PgpSignature) -> str:
    """Return the signature algorithm's id in the table.

    Raises:
        UnsupportedAlgorithmError: it has none, or it makes no signatures.
    """
    if signature.algorithm in _RSA:
        return "rsa-pkcs1v15"
    names = {_DSA: "dsa", _ECDSA: "ecdsa", _EDDSA: "ed25519", _ED25519: "ed25519", _ED448: "ed448"}
    if signature.algorithm not in names:
        raise UnsupportedAlgorithmError(f"OpenPGP algorithm {signature.algorithm} is not verified here")
    return names[signature.algorithm]


def verify(signature: PgpSignature, key: PublicKey, digest: bytes) -> None:
    """Verify a signature by the digest over the salt, the signed data and the trailer.

    Raises:
        InvalidSignatureError: it does not verify.
        UnsupportedAlgorithmError: the algorithm, hash or key cannot be used.
    """
    if signature.unknown_critical:
        raise InvalidSignatureError(f"critical subpackets are not understood: {list(signature.unknown_critical)}")
    if digest[:2] != signature.left:
        raise InvalidSignatureError("the signature's copy of the digest's first bytes differs")
    name = scheme(signature)
    try:
        form = _form(signature, key)
    except (FormatError, OverflowError) as error:
        raise InvalidSignatureError(f"the signature's numbers are damaged: {error}") from error
    if name.startswith("ed"):
        verify_message(key, name, "", digest, form)
    else:
        verify_digest(key, name, signature.hash, digest, form)


def _form(signature: PgpSignature, key: PublicKey) -> bytes:
    """Return the signature as the primitive wants it."""
    fields = _Fields(signature.material, 0, "OpenPGP signature")
    if signature.algorithm in _RSA:
        return fields.number().to_bytes(((key.facts.bits or 0) + 7) // 8, "big")
    if signature.algorithm in {_ED25519, _ED448}:
        return signature.material
    first, second = fields.number(), fields.number()
    if signature.algorithm == _EDDSA:
        return first.to_bytes(32, "big") + second.to_bytes(32, "big")
    size = (max(first.bit_length(), second.bit_length()) + 7) // 8
    return ecdsa_der(first.to_bytes(size, "big") + second.to_bytes(size, "big"))


@dataclass(frozen=True, kw_only=True)
class _Key:
    version: int
    created: int
    framed: bytes = field(repr=False)  # as it is hashed (RFC 9580 5.2.4)
    fingerprint: str
    public: PublicKey | None  # None: it makes no signatures, or is of an algorithm that is not read

    @property
    def ids(self) -> tuple[str, str]:
        short = self.fingerprint[-16:] if self.version == 4 else self.fingerprint[:16]  # noqa: PLR2004 - RFC 9580 5.5.4
        return self.fingerprint, short


@dataclass
class _Bound:
    """A user id or a key with the signatures that follow it."""

    framed: bytes
    key: _Key | None = None
    signatures: list[PgpSignature] = field(default_factory=list)


def read_keys(data: bytes, name: str = "") -> tuple[PublicKey, ...]:
    """Return the keys of certificates that can make signatures, each with its terms.

    Raises:
        FormatError: the packets are damaged, or the file holds a secret key.
    """
    found: list[PublicKey] = []
    certificate: list[_Bound] = []
    for packet in packets(unarmour(data)):
        if packet.kind in SECRET_KEYS:
            raise FormatError("holds a secret key; give only the public half here", offset=packet.offset, field="key")
        if packet.kind == PUBLIC_KEY:
            found += _judge(certificate)
            certificate = []
        _add(certificate, packet, name)
    return (*found, *_judge(certificate))


def _add(certificate: list[_Bound], packet: Packet, name: str) -> None:
    if packet.kind in {PUBLIC_KEY, PUBLIC_SUBKEY}:
        key = _key(packet, name)
        certificate.append(_Bound(key.framed, key))
    elif packet.kind in {USER_ID, USER_ATTRIBUTE}:
        prefix = b"\xb4" if packet.kind == USER_ID else b"\xd1"
        certificate.append(_Bound(prefix + len(packet.body).to_bytes(4, "big") + packet.body))
    elif packet.kind == SIGNATURE and certificate:
        try:
            certificate[-1].signatures.append(parse_signature(packet))
        except (FormatError, UnsupportedAlgorithmError):  # one that cannot be read binds nothing
            return


def _key(packet: Packet, name: str) -> _Key:
    fields = _Fields(packet.body, packet.offset, "OpenPGP key")
    version, created, algorithm = fields.integer(1), fields.integer(4), 0
    if version in {4, 6}:
        algorithm = fields.integer(1)
    if version == 6:  # noqa: PLR2004 - RFC 9580 5.5.2.3
        fields.take(4)
        framed = b"\x9b" + len(packet.body).to_bytes(4, "big") + packet.body
        fingerprint = hashlib.sha256(framed).hexdigest()
    else:
        framed = b"\x99" + (len(packet.body) & 0xFFFF).to_bytes(2, "big") + packet.body
        fingerprint = hashlib.sha1(framed, usedforsecurity=False).hexdigest()
    try:
        public = _public(algorithm, fields, name)
    except UnsupportedAlgorithmError:
        public = None
    return _Key(version=version, created=created, framed=framed, fingerprint=fingerprint, public=public)


def _public(algorithm: int, fields: _Fields, name: str) -> PublicKey | None:
    if algorithm in _RSA:
        modulus, exponent = fields.number(), fields.number()
        return public_keys.from_rsa_numbers(modulus, exponent, name)
    if algorithm == _DSA:
        prime, order, generator, value = (fields.number() for _ in range(4))
        return public_keys.from_dsa_numbers(prime, order, generator, value, name)
    if algorithm == _ECDSA:
        curve, point = by_oid(fields.oid(), "key").id, fields.take((fields.integer(2) + 7) // 8)
        return public_keys.from_ec_point(curve, point, name)
    if algorithm == _EDDSA:
        oid, point = fields.oid(), fields.take((fields.integer(2) + 7) // 8)
        known = oid == _ED25519_LEGACY and len(point) == 33 and point[0] == 0x40  # noqa: PLR2004 - RFC 9580 11.2.2
        return public_keys.from_ed25519(point[1:], name) if known else None
    if algorithm in _RAW_SIZES:
        kind = "ed25519" if algorithm == _ED25519 else "ed448"
        return public_keys.from_raw(kind, fields.take(_RAW_SIZES[algorithm]), name)
    return None


def _judge(certificate: Sequence[_Bound]) -> Iterator[PublicKey]:
    """Yield the keys of one certificate with their terms."""
    primary = certificate[0].key if certificate else None
    if primary is None or primary.public is None:
        return  # signatures of a primary key that cannot be used bind nothing
    terms = _primary_terms(primary, certificate)
    yield replace(primary.public, terms=terms)
    for bound in certificate[1:]:
        if bound.key is not None and bound.key.public is not None:
            yield replace(bound.key.public, terms=_subkey_terms(primary, bound.key, bound, terms))


def _primary_terms(key: _Key, certificate: Sequence[_Bound]) -> KeyTerms:
    direct, holds = certificate[0].signatures, _Checker(key)
    latest = [_latest(item for item in direct if item.kind == _DIRECT and holds(item, b""))]
    for bound in certificate[1:]:
        if bound.key is None and not any(s.kind == _REVOKE_USER and holds(s, bound.framed) for s in bound.signatures):
            kept = (item for item in bound.signatures if item.kind in _CERTIFICATIONS and holds(item, bound.framed))
            latest.append(_latest(kept))
    binding = _latest(item for item in latest if item is not None)
    revoked = [item for item in direct if item.kind == _REVOKE_KEY and holds(item, b"")]
    return _terms(key, binding, revoked, "no self-signature binds the key")


def _subkey_terms(primary: _Key, key: _Key, bound: _Bound, above: KeyTerms) -> KeyTerms:
    holds = _Checker(primary)
    binding = _latest(item for item in bound.signatures if item.kind == _BINDING and holds(item, bound.framed))
    revoked = [item for item in bound.signatures if item.kind == _REVOKE_SUBKEY and holds(item, bound.framed)]
    terms = _terms(key, binding, revoked, "no signature of the primary key binds the subkey")
    if binding is not None and not terms.refused and not _certified_back(primary, key, binding):
        terms = replace(terms, refused="the subkey does not certify its primary key back")
    expiries = [item for item in (terms.expires, above.expires) if item]
    unbound = "" if above.refused == _FLAGS_FORBID else above.refused  # a primary key may well only certify
    return replace(
        terms,
        expires=min(expiries, default=""),
        revoked=terms.revoked or (f"the primary key was {above.revoked}" if above.revoked else ""),
        refused=terms.refused or unbound,
    )


def _terms(key: _Key, binding: PgpSignature | None, revoked: Sequence[PgpSignature], unbound: str) -> KeyTerms:
    terms = KeyTerms(ids=key.ids, created=moment(key.created))
    if revoked:
        terms = replace(terms, revoked=f"revoked on {moment(revoked[0].created)}, reason {revoked[0].reason or 0}")
    if binding is None or binding.created is None:
        return replace(terms, refused=unbound)
    ends = [key.created + binding.key_lifetime] if binding.key_lifetime else []
    ends += [binding.created + binding.lifetime] if binding.lifetime else []
    if binding.flags is not None and not binding.flags & _MAY_SIGN:
        terms = replace(terms, refused=_FLAGS_FORBID)
    return replace(terms, expires=moment(min(ends)) if ends else "")


def _certified_back(primary: _Key, subkey: _Key, binding: PgpSignature) -> bool:
    for raw in binding.embedded:
        try:
            signature = parse_signature(Packet(SIGNATURE, raw, 0))
        except (FormatError, CryptoError):
            continue
        if signature.kind == _BACK and _verifies(signature, subkey, primary.framed + subkey.framed):
            return True
    return False


def _Checker(primary: _Key) -> Callable[[PgpSignature, bytes], bool]:  # noqa: N802 - reads like a constructor
    """Return a check of a self-signature over the primary key and what follows it."""
    return lambda signature, framed: _verifies(signature, primary, primary.framed + framed)


def _verifies(signature: PgpSignature, key: _Key, data: bytes) -> bool:
    if signature.created is None or key.public is None or not set(signature.issuers) & set(key.ids):
        return False
    try:
        verify(signature, key.public, digests.digest(signature.hash, signature.salt + data + signature.trailer))
    except CryptoError:
        return False
    return True


def _latest(items: Iterable[PgpSignature]) -> PgpSignature | None:
    return max(items, key=lambda item: item.created or 0, default=None)


def moment(seconds: int | None) -> str:
    """Return seconds since 1970 as RFC 3339; empty for None, and the last second of 9999 for anything later."""
    if seconds is None:
        return ""
    return rfc3339(dt.datetime.fromtimestamp(min(seconds, 253402300799), dt.UTC))
