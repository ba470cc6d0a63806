"""COSE_Encrypt and COSE_Encrypt0: content keys of recipients, and decryption.

Source: RFC 9052 section 5, RFC 9053 sections 4 to 6, RFC 9459.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric import ec, x448, x25519

from checker.crypto import ciphers
from checker.crypto._cose_algorithms import (
    CONTENT,
    EC2_CURVES,
    OKP_CURVES,
    RECIPIENTS,
    ContentAlgorithm,
    RecipientAlgorithm,
)
from checker.crypto._cose_message import IV, Headers, Message, Party
from checker.crypto.keyring import DecryptionKey, KeyRing
from checker.errors import CryptoError, DecryptionError, FormatError, UnsupportedAlgorithmError
from checker.io.cbor import Item, encode
from checker.io.digests import digest
from checker.io.limits import MAX_HEADER
from checker.io.sources import BytesSource
from checker.model.artifact import KeyFacts, Recipient, Source, Span

_EPHEMERAL, _SALT = -1, -20
_PARTY_U: Final = (-21, -22, -23)  # identity, nonce, other (RFC 9053 5.2)
_PARTY_V: Final = (-24, -25, -26)
_KTY, _CRV, _X, _Y = 1, -1, -2, -3
_OKP, _EC2 = 1, 2
_GCM_NONCE: Final = 12  # bytes: the size for which the counter is the nonce and a number (SP 800-38D 7.1)
_CURVES: Final[Mapping[str, type[ec.EllipticCurve]]] = {
    "ec-p256": ec.SECP256R1,
    "ec-p384": ec.SECP384R1,
    "ec-p521": ec.SECP521R1,
}
_BAD_POINT: Final = (ValueError, TypeError, OverflowError)


@dataclass(frozen=True)
class Wanted:
    """The key that a message needs: the algorithm that will use it, and its size in bits."""

    algorithm: int
    bits: int
    name: str = ""


@dataclass(frozen=True)
class PublicShare:
    """An ephemeral public key: the curve, and the key's bytes (an uncompressed point where it is one)."""

    curve: str
    data: bytes


def content_algorithm(message: Message) -> ContentAlgorithm:
    """Return the cipher of a message. Only one without authentication may stand in the unprotected header (RFC 9459).

    Raises:
        InvalidSignatureError: none is named, or one that has to be protected is not.
        UnsupportedAlgorithmError: it is not known here.
    """
    number = message.headers.algorithm(anywhere=True)
    if number not in CONTENT:
        raise UnsupportedAlgorithmError(f"the COSE content algorithm {number} is not known here")
    found = CONTENT[number]
    if found.authenticated:
        message.headers.algorithm()
    return found


def wanted_key(message: Message) -> Wanted:
    """Return the content key that a message needs.

    Raises:
        InvalidSignatureError, UnsupportedAlgorithmError: as `content_algorithm`.
    """
    found = content_algorithm(message)
    return Wanted(message.headers.algorithm(anywhere=True), found.bits, found.name)


def open_recipient(
    recipient: Party, wanted: Wanted, ring: KeyRing, others: Sequence[bytes | None] = (None,)
) -> tuple[tuple[bytes, ...], Recipient]:
    """Return the keys that a recipient may get by the declared ones, and the facts of the wrapping.

    A key wrap tells the right key (`unwrapped` is then true). Without one, all that is possible is returned, and only
    the decryption that follows shows what was right. `others` are the values of SuppPubInfo.other that are tried.
    """
    try:
        return _open(recipient, wanted, ring, others)
    except (CryptoError, FormatError):
        return (), Recipient(algorithm=_transport(recipient), key=KeyFacts(id=recipient.headers.key_id))


def _transport(recipient: Party) -> str:
    try:
        number = recipient.headers.algorithm(anywhere=True)
    except CryptoError:
        return ""
    return RECIPIENTS[number].transport if number in RECIPIENTS else f"cose {number}"


def _open(
    recipient: Party, wanted: Wanted, ring: KeyRing, others: Sequence[bytes | None]
) -> tuple[tuple[bytes, ...], Recipient]:
    number = recipient.headers.algorithm(anywhere=True)
    if number not in RECIPIENTS or recipient.nested:
        raise UnsupportedAlgorithmError(f"recipients with algorithm {number} or with recipients of their own")
    algorithm = RECIPIENTS[number]
    share = ephemeral(recipient.headers) if algorithm.kind == "ecdh" else None
    mine = [key for key in ring.decryption if _fits(key, algorithm, share, wanted)]
    way = _Way(recipient, algorithm, share, wanted, others)
    opened = [(content, key.facts) for key in mine for content in way.keys(key)]
    if opened:
        checked = True if algorithm.checked else None
        return tuple(content for content, _ in opened), _facts(way, opened[0][1], unwrapped=checked)
    stranger = KeyFacts(id=recipient.headers.key_id, algorithm=share.curve if share else "aes")
    return (), _facts(way, stranger, unwrapped=False if mine else None)


def _fits(key: DecryptionKey, algorithm: RecipientAlgorithm, share: PublicShare | None, wanted: Wanted) -> bool:
    if share is not None:
        return key.private is not None and key.facts.algorithm == share.curve
    bits = {"wrap": algorithm.bits, "direct": wanted.bits}.get(algorithm.kind)
    return key.kind == "secret" and (bits is None or len(key.secret) * 8 == bits)


@dataclass(frozen=True)
class _Way:
    """What RFC 9053 5.2 puts together to get from a declared key to a content key."""

    recipient: Party
    algorithm: RecipientAlgorithm
    share: PublicShare | None
    wanted: Wanted
    others: Sequence[bytes | None]

    def keys(self, key: DecryptionKey) -> tuple[bytes, ...]:
        """Return the keys that a declared key leads to; none where a key wrap says that it is another's."""
        if self.algorithm.kind == "direct":
            return (key.secret,)
        wrapping = (key.secret,) if self.algorithm.kind == "wrap" else self._derived(key)
        if not self.algorithm.checked:
            return tuple(wrapping)
        opened = (_try_unwrap(each, self.recipient.end) for each in wrapping)
        return tuple(itertools.islice((content for content in opened if content is not None), 1))

    def _derived(self, key: DecryptionKey) -> tuple[bytes, ...]:
        secret = key.secret if self.share is None else agree(key, self.share)
        wrap = self.algorithm.wrap
        target = self.wanted if wrap is None else Wanted(wrap, self.algorithm.bits or 0)
        salt = self.recipient.headers.data(_SALT, "salt") or b""
        contexts = _contexts(self.recipient.headers, target, self.wanted, self.others)
        return tuple(ciphers.hkdf(secret, target.bits // 8, info, self.algorithm.hash, salt) for info in contexts)


def _try_unwrap(key: bytes, wrapped: bytes) -> bytes | None:
    try:
        return ciphers.unwrap_aes_kw(key, wrapped)
    except DecryptionError:
        return None


def _contexts(headers: Headers, target: Wanted, wanted: Wanted, others: Sequence[bytes | None]) -> Iterator[bytes]:
    """Yield COSE_KDF_Context structures (RFC 9053 5.2). Some writers name the content's algorithm before a key wrap."""
    algorithms = dict.fromkeys((target.algorithm, wanted.algorithm))
    parties = [[headers.data(label, "party") for label in labels] for labels in (_PARTY_U, _PARTY_V)]
    for algorithm, other in itertools.product(algorithms, others):
        public: list[object] = [target.bits, headers.raw, *([] if other is None else [other])]
        yield encode([algorithm, *parties, public])


def ephemeral(headers: Headers) -> PublicShare:
    """Return the ephemeral public key of a recipient (RFC 9053 6.3.1, 7).

    Raises:
        FormatError: it is missing, or no key of a curve that is known here.
    """
    item = headers.find(_EPHEMERAL)
    if item is None:
        raise FormatError("there is none", field="ephemeral key")
    return public_share(item)


def public_share(item: Item) -> PublicShare:
    """Return the public key of a COSE_Key map (RFC 9052 7, RFC 9053 7.1, 7.2).

    Raises:
        FormatError: it is no key of a curve that is known here.
    """
    key = item.map("COSE_Key")
    kind, curve = (_number(key.get(label), item) for label in (_KTY, _CRV))
    x = _coordinate(key.get(_X), item)
    if kind == _OKP and curve in OKP_CURVES:
        return PublicShare(OKP_CURVES[curve], x)
    if kind != _EC2 or curve not in EC2_CURVES or len(x) > EC2_CURVES[curve][1]:
        raise FormatError(f"key type {kind} on curve {curve}", offset=item.span.start, field="COSE_Key")
    name, size = EC2_CURVES[curve]
    y = key.get(_Y)
    if y is not None and y.number is None and y.content.size == 0:  # a sign bit: true or false
        return PublicShare(name, (b"\x03" if y.is_true else b"\x02") + x.rjust(size, b"\0"))
    return PublicShare(name, b"\x04" + x.rjust(size, b"\0") + _coordinate(y, item).rjust(size, b"\0"))


def _number(item: Item | None, key: Item) -> int:
    if item is None or item.number is None:
        raise FormatError("kind or curve is no number", offset=key.span.start, field="COSE_Key")
    return item.number


def _coordinate(item: Item | None, key: Item) -> bytes:
    if item is None:
        raise FormatError("a coordinate is missing", offset=key.span.start, field="COSE_Key")
    return item.data("COSE_Key", limit=1024)


def agree(key: DecryptionKey, share: PublicShare) -> bytes:
    """Return the shared secret of ECDH, the x coordinate (RFC 9053 6.3.1).

    Raises:
        DecryptionError: the share is no point of the key's curve.
    """
    private: Any = key.private
    try:
        if share.curve in _CURVES:
            curve: Any = _CURVES[share.curve]
            point = ec.EllipticCurvePublicKey.from_encoded_point(curve(), share.data)
            return bytes(private.exchange(ec.ECDH(), point))
        kind = x25519.X25519PublicKey if share.curve == "x25519" else x448.X448PublicKey
        return bytes(private.exchange(kind.from_public_bytes(share.data)))
    except _BAD_POINT:
        raise DecryptionError("the ephemeral key is no point of the curve") from None


def _facts(way: _Way, key: KeyFacts, *, unwrapped: bool | None) -> Recipient:
    wrapped = way.recipient.end
    return Recipient(
        algorithm=way.algorithm.transport,
        key=key,
        ephemeral=digest("sha-256", way.share.data).hex() if way.share else "",
        wrapped=digest("sha-256", wrapped).hex() if wrapped else "",
        unwrapped=unwrapped,
        wrapping_bits=way.algorithm.bits,
    )


def nonce(message: Message) -> bytes:
    """Return the nonce or IV.

    Raises:
        FormatError: it is missing or no byte string.
    """
    found = message.headers.data(IV, "IV")
    if found is None:
        raise FormatError("there is no IV (a partial IV needs a base that lies elsewhere)", field="IV")
    return found


def decrypt(message: Message, key: bytes, parent: Source, span: Span, external_aad: bytes = b"") -> Source:
    """Return the plaintext of a ciphertext in `parent[span]`.

    AES-GCM of more than `MAX_HEADER` bytes is decrypted as it is read, without its tag: only a digest of the plaintext
    proves it then. Other authenticated modes are refused beyond that size.

    Raises:
        DecryptionError: the key, a size or the tag is wrong.
        UnsupportedAlgorithmError: the cipher is not known here, or the ciphertext is too large for it.
        InvalidSignatureError: the algorithm is not where it has to be.
        FormatError: the IV is missing.
    """
    algorithm = content_algorithm(message)
    iv = nonce(message)
    if len(key) * 8 != algorithm.bits:
        raise DecryptionError(f"{algorithm.name} needs a key of {algorithm.bits} bits, here are {len(key) * 8}")
    if algorithm.mode == "ctr":
        return ciphers.aes_ctr_source(parent, span, key, iv)
    if algorithm.mode == "cbc":
        return ciphers.aes_cbc_source(parent, span, key, iv)
    if span.size <= MAX_HEADER:
        return BytesSource(
            parent.name, _open_aead(message, algorithm, key, parent.read(span.start, span.size), external_aad)
        )
    if algorithm.mode == "gcm" and len(iv) == _GCM_NONCE:
        inner = Span(span.start, span.end - algorithm.tag)
        return ciphers.aes_ctr_source(parent, inner, key, iv + b"\0\0\0\2")
    raise UnsupportedAlgorithmError(f"{algorithm.name} of more than {MAX_HEADER} bytes is not decrypted here")


def _open_aead(message: Message, algorithm: ContentAlgorithm, key: bytes, sealed: bytes, external_aad: bytes) -> bytes:
    iv = nonce(message)
    if algorithm.nonce is not None and len(iv) != algorithm.nonce:
        raise DecryptionError(f"{algorithm.name} has a nonce of {algorithm.nonce} bytes, here are {len(iv)}")
    aad = encode([message.kind, message.headers.signed, external_aad])
    return ciphers.open_aead(f"{algorithm.cipher}-{algorithm.mode}", key, iv, sealed, aad, tag_size=algorithm.tag)
