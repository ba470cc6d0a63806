"""Where the parts of a CMS message lie, in BER or DER, and the message with one of them changed (RFC 5652).

For the active tests: every function keeps all that it was not asked to change.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from asn1crypto import core

from checker.crypto import _asn1, _tlv
from checker.crypto import _cms_structures as asn
from checker.crypto._tlv import Value
from checker.crypto.certificates import Certificate, parse_certificate
from checker.errors import FormatError
from checker.model.artifact import Span

SIGNED: Final = "signed"
ENVELOPED: Final = "enveloped"
AUTH_ENVELOPED: Final = "auth-enveloped"
_KINDS: Final = {asn.SIGNED: SIGNED, asn.ENVELOPED: ENVELOPED, asn.AUTH_ENVELOPED: AUTH_ENVELOPED}
_BITS, _OCTETS, _OID, _SEQUENCE, _SET = 0x03, 0x04, 0x06, 0x30, 0x31
_ZERO, _ONE, _TWO, _FOUR = 0xA0, 0xA1, 0xA2, 0xA4  # context-specific tags, constructed
_MIN_KEY: Final = 16  # bytes: shorter octet strings of a recipient are ids and lengths, no wrapped keys


@dataclass(frozen=True, eq=False)
class SignerLayout:
    """One SignerInfo: its values with their places."""

    signature: Value
    digest_algorithm: Value
    signature_algorithm: Value
    attributes: tuple[Value, ...]
    sid: Value
    identifier: bytes = field(repr=False)  # DER of the signature's AlgorithmIdentifier


@dataclass(frozen=True, eq=False)
class Layout:
    """One message and its parts. What a kind has not is empty."""

    kind: str
    data: bytes = field(repr=False)
    root: Value = field(repr=False)
    content: tuple[Span, ...] = ()  # signed content, or ciphertext; several where BER cut it into pieces
    detached: bool = False
    content_type: str = ""
    signers: tuple[SignerLayout, ...] = ()
    certificates: tuple[bytes, ...] = field(default=(), repr=False)  # DER, in the order of the message
    infos: Value | None = field(default=None, repr=False)  # the SET OF SignerInfo
    octets: Value | None = field(default=None, repr=False)  # the signed content as a value
    cipher: tuple[tuple[str, Span], ...] = ()  # named parts of an encryption

    @property
    def end(self) -> int:
        """Return where the message ends; bytes may follow."""
        return self.root.end

    def with_signature(self, number: int, value: bytes) -> bytes:
        """Return the message with another signature value, of any length, for one signer."""
        return self._with({self.signers[number].signature: _asn1.der(_OCTETS, value)})

    def with_algorithm(self, number: int, dotted: str, *, digest: bool = False) -> bytes:
        """Return the message with another identifier for a signer's signature algorithm, or for its digest."""
        signer = self.signers[number]
        old = signer.digest_algorithm if digest else signer.signature_algorithm
        return self._with({old: _asn1.der(_SEQUENCE, bytes(core.ObjectIdentifier(dotted).dump()))})

    def with_content(self, content: bytes) -> bytes:
        """Return the message with other attached content, which its signatures do not fit."""
        return self._with({self.octets: _asn1.der(_OCTETS, content)} if self.octets is not None else {})

    def without_signers(self) -> bytes:
        """Return the message with no SignerInfo at all; certificates and content stay."""
        return self._with({self.infos: _asn1.der(_SET, b"")} if self.infos is not None else {})

    def _with(self, changes: Mapping[Value, bytes]) -> bytes:
        return _tlv.rebuilt(self.data, self.root, changes) + self.data[self.root.end :]


def layout(data: bytes) -> Layout:
    """Return the parts of SignedData, EnvelopedData or AuthEnvelopedData.

    Raises:
        FormatError: it is none of these, or damaged.
    """
    root = _tlv.read(data)
    if len(root.values) != 2 or root.values[1].tag != _ZERO or len(root.values[1].values) != 1:  # noqa: PLR2004
        raise FormatError("is no ContentInfo", field="CMS")
    kind = _KINDS.get(_dotted(data, root.values[0]))
    body = root.values[1].values[0]
    if kind is None or body.tag != _SEQUENCE:
        raise FormatError("not CMS SignedData, EnvelopedData or AuthEnvelopedData", field="CMS")
    return _signed(data, root, body) if kind == SIGNED else _enveloped(data, root, body, kind)


def _dotted(data: bytes, value: Value) -> str:
    if value.tag != _OID:
        return ""
    with _asn1.guarded("object identifier"):
        return str(core.ObjectIdentifier.load(data[value.start : value.end]).dotted)


def _signed(data: bytes, root: Value, body: Value) -> Layout:
    parts = body.values
    if len(parts) < 4 or parts[2].tag != _SEQUENCE or not parts[2].values or parts[-1].tag != _SET:  # noqa: PLR2004
        raise FormatError("is no SignedData", offset=body.start, field="CMS")
    encapsulated = parts[2].values
    sets = [part for part in parts[3:-1] if part.tag == _ZERO]
    octets = encapsulated[1].values[0] if len(encapsulated) > 1 and encapsulated[1].values else None
    return Layout(
        kind=SIGNED,
        data=data,
        root=root,
        content=() if octets is None else _pieces(octets),
        octets=octets,
        detached=len(encapsulated) == 1,
        content_type=_dotted(data, encapsulated[0]),
        signers=tuple(_signer(data, part) for part in parts[-1].values),
        certificates=tuple(data[item.start : item.end] for one in sets for item in one.values if item.tag == _SEQUENCE),
        infos=parts[-1],
    )


def _pieces(value: Value) -> tuple[Span, ...]:
    """Return the primitive pieces of an octet string, or of a context-specific one."""
    if not value.values:
        return (Span(value.body, value.stop),)
    return tuple(Span(item.body, item.stop) for item in value.walk() if not item.values and item is not value)


def _signer(data: bytes, info: Value) -> SignerLayout:
    parts = list(info.values)
    attributes = [part for part in parts if part.tag == _ZERO]
    rest = [part for part in parts if part.tag not in {_ZERO, _ONE}]
    # version, signer identifier (a SEQUENCE, or [0] IMPLICIT OCTET STRING), digest, signature algorithm, signature
    if len(rest) != 5 or rest[2].tag != _SEQUENCE or rest[3].tag != _SEQUENCE or rest[4].tag != _OCTETS:  # noqa: PLR2004
        raise FormatError("is no SignerInfo", offset=info.start, field="CMS")
    return SignerLayout(
        signature=rest[4],
        digest_algorithm=rest[2],
        signature_algorithm=rest[3],
        attributes=attributes[0].values if attributes else (),
        sid=rest[1],
        identifier=data[rest[3].start : rest[3].end],
    )


def _enveloped(data: bytes, root: Value, body: Value, kind: str) -> Layout:
    recipients = next((part for part in body.values if part.tag == _SET), None)
    encrypted = next((part for part in body.values if part.tag == _SEQUENCE), None)
    if recipients is None or encrypted is None or len(encrypted.values) < 2:  # noqa: PLR2004 - type and algorithm
        raise FormatError("has no recipients or no content", offset=body.start, field="CMS")
    ciphertext = _pieces(encrypted.values[2]) if len(encrypted.values) > 2 else ()  # noqa: PLR2004
    named = [("ciphertext", span) for span in ciphertext]
    named += [("nonce", span) for span in _octets(encrypted.values[1])]
    behind = body.values[body.values.index(encrypted) + 1 :]
    if kind == AUTH_ENVELOPED:
        named += [("tag", Span(part.body, part.stop)) for part in behind if part.tag == _OCTETS]
        named += [("authenticated attributes", span) for part in behind if part.tag == _ONE for span in _octets(part)]
    named += _recipients(recipients.values)
    return Layout(kind=kind, data=data, root=root, content=ciphertext, cipher=tuple(named))


def _octets(value: Value) -> list[Span]:
    return [Span(item.body, item.stop) for item in value.walk() if item.tag == _OCTETS and item.stop > item.body]


def _recipients(infos: Sequence[Value]) -> list[tuple[str, Span]]:
    """Return the wrapped keys of all recipients, and their ephemeral keys or KEM ciphertexts where all have them.

    Parts of one name are changed together, so that no recipient is left by which the message still opens. A wrapped
    key is the last octet string of every kind (RFC 5652 6.2, RFC 9629 section 3).
    """
    long = [[span for span in _octets(info) if span.size >= _MIN_KEY] for info in infos]
    found = [("wrapped key", spans[-1]) for spans in long if spans]
    if all(info.tag == _FOUR and len(spans) > 1 for info, spans in zip(infos, long, strict=True)):
        found += [("KEM ciphertext", max(spans[:-1], key=lambda span: span.size)) for spans in long]
    points = [[item for item in info.walk() if item.tag == _BITS] for info in infos]
    if all(info.tag == _ONE and bits for info, bits in zip(infos, points, strict=True)):
        found += [("ephemeral key", Span(bits[0].body + 1, bits[0].stop)) for bits in points]
    return found


def digest_ids(parts: Layout) -> Sequence[str]:
    """Return the digests that the signers name (ids of the algorithm table, or dotted)."""
    names = []
    for signer in parts.signers:
        first = signer.digest_algorithm.values[0]
        names.append(asn.table_id(_dotted(parts.data, first), "hash"))
    return tuple(names)


_NAMES: Final = {
    asn.CONTENT_TYPE: "content type",
    asn.MESSAGE_DIGEST: "message digest",
    asn.SIGNING_TIME: "signing time",
}


def attribute_name(parts: Layout, attribute: Value) -> str:
    """Return what a signed attribute is, in words, or its object identifier."""
    dotted = _dotted(parts.data, attribute.values[0]) if attribute.values else ""
    return _NAMES.get(dotted, dotted)


def signer_path(parts: Layout) -> tuple[bytes, ...]:
    """Return the path of the first signer in DER, its own certificate first, as far as the message holds it."""
    if not parts.signers:
        return ()
    pool = list(_parsed(parts.certificates))
    sid = parts.signers[0].sid
    path = [item for item in pool if _named(parts.data, sid, item)][:1]
    while path and path[-1].issuer_der != path[-1].subject_der:
        above = [item for item in pool if item.subject_der == path[-1].issuer_der and item not in path]
        if not above:
            break
        path.append(above[0])
    return tuple(item.der for item in path)


def _parsed(ders: Sequence[bytes]) -> Iterator[Certificate]:
    for der in ders:
        try:
            yield parse_certificate(der)
        except FormatError:
            continue


def _named(data: bytes, sid: Value, certificate: Certificate) -> bool:
    """Return whether a signer identifier names a certificate (RFC 5652 5.3)."""
    if sid.tag != _SEQUENCE:
        return bool(certificate.key_id) and data[sid.body : sid.stop] == certificate.key_id
    serial = bytes(core.Integer(certificate.serial).dump())
    return data[sid.body : sid.stop] == certificate.issuer_der + serial
