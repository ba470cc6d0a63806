"""What PSA tokens and other EATs share: COSE around claims, the signer, nonces and the key that a token is bound to.

Sources: RFC 9711 (EAT), RFC 8392 (CWT), RFC 8747 (cnf), RFC 9360 (x5chain).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from checker.crypto import cose
from checker.crypto._cose_algorithms import SIGNATURES
from checker.crypto.attestations._signers import Voucher, by_key, by_signer, freshness
from checker.crypto.attestations.contract import Pinned, Statement
from checker.crypto.certificates import Certificate
from checker.crypto.cwt import check_time, confirmed_key, confirmed_key_id
from checker.crypto.keyring import read_certificates
from checker.errors import CryptoError, FormatError, InvalidSignatureError, LimitError, UnsupportedAlgorithmError
from checker.io.cbor import Item, Key, Major, read

MAX_TOKEN: Final = 256 * 1024  # bytes; PSA tokens have some hundred, those with a path of ML-DSA certificates 20 KB
MAX_NONCES: Final = 16  # of one token; a profile allows one
_CWT: Final = 61  # the tag of RFC 8392 section 6
DEBUG: Final = 263  # dbgstat
_DIGEST: Final = 32  # bytes of a SHA-256
_STARTS: Final = frozenset({0xD1, 0xD2, 0xD8, 0x84})  # tags 17, 18 and 61, or the bare array
# RFC 9711 4.2.9: 0 enabled, 1 disabled now, 2 since boot, 3 permanently, 4 fully and permanently. What is disabled just
# now may have read the keys before, so that it decides nothing.
_DEBUG_STATES: Final[Mapping[int, bool | None]] = {0: False, 1: None, 2: True, 3: True, 4: True}


@dataclass(frozen=True, kw_only=True)
class Token:
    """Claims, and who signed them."""

    claims: Mapping[Key, Item]
    voucher: Voucher


def claims_of(data: bytes) -> Mapping[Key, Item] | None:
    """Return the claims of a token without a look at its signature, or None where it is none."""
    if not data or data[0] not in _STARTS or len(data) > MAX_TOKEN:
        return None
    try:
        message = _message(data)
        return None if message.payload is None else message.payload.wrapped("claims").map("claims")
    except (FormatError, CryptoError):
        return None


def _message(data: bytes) -> cose.Message:
    if len(data) > MAX_TOKEN:
        raise LimitError(f"{len(data)} bytes, at most MAX_TOKEN ({MAX_TOKEN}) are read", field="token")
    number, inner = read(data, "token").tagged()
    return cose.parse(inner if number == _CWT else read(data, "token"), untagged="Sign1")


def open_token(data: bytes, pinned: Pinned) -> Token:
    """Return a token's claims and who signed them. Expired claims and a signature that does not verify are no error.

    Raises:
        FormatError: it is damaged, or no token.
        UnsupportedAlgorithmError: it is a MAC or encrypted, or its algorithm is not known here.
    """
    message = _message(data)
    if message.kind != "Sign1":
        what = "a MAC, which nobody without its key can check" if message.kind.startswith("Mac") else "no COSE_Sign1"
        raise UnsupportedAlgorithmError(f"COSE_{message.kind} is {what}")
    if message.payload is None:
        raise FormatError("the claims are not in the token", field="token")
    claims = message.payload.wrapped("claims").map("claims")
    return Token(claims=claims, voucher=_voucher(message, message.payload.data("claims"), claims, pinned))


def _voucher(message: cose.Message, content: bytes, claims: Mapping[Key, Item], pinned: Pinned) -> Voucher:
    signer = message.signers[0]
    chain = cose.presented_chain(signer.headers) or _companion(pinned)
    try:
        message.check()
        check_time(claims, pinned.as_of)
        data = cose.signature_structure(message, signer, content)
        if chain:
            cose.verify(chain[0].key, signer, data)
            return by_signer(chain, pinned)
        return _by_pinned_key(signer, data, pinned)
    except InvalidSignatureError as error:
        return Voucher(genuine=False, note=f"its signature does not verify: {error}")
    except FormatError as error:
        return Voucher(genuine=False, note=error.message)


def _companion(pinned: Pinned) -> Sequence[Certificate]:
    data = pinned.companions.get("certificates", b"")
    return read_certificates(data, "certificates") if data else ()


def _by_pinned_key(signer: cose.Party, data: bytes, pinned: Pinned) -> Voucher:
    scheme = SIGNATURES.get(signer.headers.algorithm())
    for key in pinned.ring.verifiers:
        try:
            cose.verify(key, signer, data)
        except InvalidSignatureError:
            continue
        return by_key(key, scheme.scheme if scheme else "")
    return Voucher(genuine=False, note="its signature is by no pinned key, and no certificate came with it")


def nonces(item: Item | None) -> tuple[bytes, ...]:
    """Return the nonces of a claim: one, or an array of them (RFC 9711 4.1).

    Raises:
        FormatError: they are no byte strings, or too many.
    """
    if item is None:
        return ()
    items = item.array("nonce") if item.major is Major.ARRAY else (item,)
    if len(items) > MAX_NONCES:
        raise LimitError(f"more than MAX_NONCES ({MAX_NONCES}) nonces", offset=item.span.start, field="nonce")
    return tuple(each.data("nonce", limit=MAX_TOKEN) for each in items)


def debug_off(claims: Mapping[Key, Item]) -> bool | None:
    """Return whether debugging has been impossible since the start; None where the token does not say so or not.

    Raises:
        FormatError: the claim has a value that RFC 9711 does not define.
    """
    item = claims.get(DEBUG)
    if item is None:
        return None
    state = item.integer("dbgstat")
    if state not in _DEBUG_STATES:
        raise FormatError("dbgstat is a number from 0 to 4", offset=item.span.start, field="dbgstat")
    return _DEBUG_STATES[state]


def booted_by_maker(said: bool | None, *, secure: bool | None) -> bool | None:  # noqa: FBT001 - a claim, no switch
    """Return whether the maker's own software was started (`oemboot`) on a platform that nobody can debug."""
    if said is None:
        return False if secure is False else None
    return secure if said else False


@dataclass(frozen=True, kw_only=True)
class Bound:
    """The key that a token is bound to. `by_claim`: the root of trust names it; else the nonce does, for a caller."""

    key: str = ""
    by_claim: bool = False


def bound_key(claims: Mapping[Key, Item], found: Sequence[bytes], pinned: Pinned) -> Bound:
    """Return the key of `cnf`, or else the known key whose id is a nonce.

    A key id in `cnf` names a key where it is the SHA-256 of its SubjectPublicKeyInfo.

    Raises:
        FormatError: `cnf` is damaged, or its key is of a kind that is not read.
        CryptoError: its key cannot be used.
    """
    key = confirmed_key(claims)
    if key is not None:
        return Bound(key=key.spki_sha256, by_claim=True)
    key_id = confirmed_key_id(claims)
    if len(key_id) == _DIGEST:
        return Bound(key=key_id.hex(), by_claim=True)
    return bound_by_nonce(found, pinned)


def bound_by_nonce(found: Sequence[bytes], pinned: Pinned) -> Bound:
    """Return the known key whose id is a nonce, if there is one."""
    return Bound(key=next((nonce.hex() for nonce in found if nonce.hex() in pinned.known_keys), ""))


def cose_statement(
    token: Token,
    pinned: Pinned,
    nonce: Item | None,
    *,
    secure: bool | None,
    booted: bool | None,
    signers: tuple[bytes, ...] = (),
) -> Statement:
    """Return what the claims of a COSE token say, as `statement` does.

    Raises:
        FormatError: a claim is damaged.
        CryptoError: the key of `cnf` cannot be used.
    """
    found = nonces(nonce)
    bound = bound_key(token.claims, found, pinned)
    return statement(token.voucher, pinned, found, bound, secure=secure, booted=booted, signers=signers)


def statement(
    voucher: Voucher,
    pinned: Pinned,
    found: Sequence[bytes],
    bound: Bound,
    *,
    secure: bool | None,
    booted: bool | None,
    signers: tuple[bytes, ...] = (),
) -> Statement:
    """Return what a token says of its platform, and of the key that it is bound to.

    Args:
        voucher: who signed it.
        pinned: what it is checked with.
        found: its nonces.
        bound: its key.
        secure: whether the platform's root of trust is locked.
        booted: whether its boot was verified.
        signers: digests of the keys that its software is verified with.
    """
    stale = freshness(found, pinned)
    own = bound.key in voucher.keys
    note = "the key that it attests vouches for itself" if own else voucher.note
    return Statement(
        genuine=voucher.genuine and not own,
        fresh=not stale,
        key=bound.key,
        signer=voucher.signer,
        # Claims are made by the root of trust; a nonce is chosen by whoever asks for the token, so it names a key and
        # says nothing of where the key is.
        non_exportable=secure if bound.by_claim else None,
        boot_verified=booted,
        anchors=signers,
        anchor_protected=secure if signers else None,
        quantum_resistant=voucher.quantum_resistant,
        note="; ".join(text for text in (note, stale) if text),
    )
