"""Encrypted members of a SWUpdate image: which cipher, whose key, and whether a given key decrypts them.

Source: sbabic/swupdate doc/source/encrypted_images.rst, include/swupdate_aes.h. The key size is not in the file: it
comes from the key, else from the cipher's name, else it is unknown. There is no digest of the plaintext; that a key
fits shows in the padding together with a plaintext that cannot be random.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Final

from checker.crypto.ciphers import aes_cbc_source, aes_ctr_source
from checker.crypto.keyring import KeyRing
from checker.errors import CryptoError, FormatError
from checker.formats import _common as common
from checker.formats._sw_description import Entry
from checker.formats._unwrap import Secret, symmetric_keys
from checker.io.digests import digest
from checker.io.sources import Window
from checker.model.artifact import Encryption, Source, Span, Weakness

_CIPHER: Final = re.compile(r"aes-(cbc|ctr)(?:-(128|192|256))?")
_IV_SIZE: Final = 16
_KEY_SIZES: Final = frozenset({16, 24, 32})


@dataclass(frozen=True, kw_only=True)
class Opened:
    """One member: how it is encrypted, its bytes in clear where they can be had, and what is weak about it."""

    encryption: Encryption
    source: Source | None
    note: str = ""
    weaknesses: tuple[Weakness, ...] = field(default=())


def open_member(source: Source, span: Span, entry: Entry, ring: KeyRing, *, description_hidden: bool) -> Opened:
    """Return a member, decrypted where its key is at hand: given, or written into the description.

    Args:
        source: the archive.
        span: where the member lies.
        entry: its line of the description.
        ring: declared keys.
        description_hidden: the description itself is encrypted, so a key inside it does not lie in clear.
    """
    if not entry.cipher:
        plain = Encryption(encrypted=False)
        return Opened(encryption=plain, source=Window(source, entry.filename, span.start, span.size))
    doubts = common.ciphertext_doubts(source, span, entry.filename)
    described = _described(entry, in_clear=bool(entry.text("aes-key")) and not description_hidden)
    if doubts:
        described = replace(described, encrypted=False, note=doubts[0].message)
    weaknesses = (*doubts, *_clear_key(described, entry))
    trials = [_trial(source, span, described, secret) for secret in _secrets(entry, ring)]
    tried = [trial for trial in trials if trial is not None]
    best = next((trial for trial in tried if trial.encryption.decrypted), None) or next(
        (trial for trial in tried if trial.encryption.decrypted is None), tried[0] if tried else None
    )
    if best is None:
        return Opened(encryption=described, source=None, note="encrypted, and no key was given", weaknesses=weaknesses)
    return replace(best, weaknesses=weaknesses)


def _described(entry: Entry, *, in_clear: bool) -> Encryption:
    found = _CIPHER.fullmatch(entry.cipher)
    if found is None:
        return Encryption(encrypted=True, nonce=entry.text("ivt")[:64], key_in_clear=in_clear, note=entry.cipher[:100])
    return Encryption(
        encrypted=True,
        cipher="aes",
        mode=found[1],
        key_bits=int(found[2]) if found[2] else None,
        nonce=entry.text("ivt").lower()[:64],
        key_in_clear=in_clear,
    )


def _clear_key(described: Encryption, entry: Entry) -> Iterator[Weakness]:
    if described.key_in_clear:
        text = f"sw-description holds the key of {entry.filename} and is not encrypted itself"
        yield Weakness(code="key-in-clear", message=text, where=entry.filename)


def _secrets(entry: Entry, ring: KeyRing) -> Iterator[Secret]:
    """Yield the keys to try: the one of the description, then the declared ones, each with the IV that applies."""
    iv = _hex(entry.text("ivt"))
    own = _hex(entry.text("aes-key"))
    if own is not None and len(own) in _KEY_SIZES:
        yield Secret("aes-key of sw-description", own, iv)
        return
    for secret in symmetric_keys(ring):
        yield replace(secret, iv=iv or secret.iv)


def _hex(text: str) -> bytes | None:
    try:
        return bytes.fromhex(text) or None
    except ValueError:
        return None


def _trial(source: Source, span: Span, described: Encryption, secret: Secret) -> Opened | None:
    """Return the member as one key decrypts it, or None where key or IV cannot be used."""
    if described.cipher != "aes" or secret.iv is None or len(secret.iv) != _IV_SIZE:
        return None
    if described.key_bits is not None and described.key_bits != len(secret.key) * 8:
        return None
    build = aes_cbc_source if described.mode == "cbc" else aes_ctr_source
    used = replace(
        described,
        key_bits=len(secret.key) * 8,
        nonce=secret.iv.hex(),
        content_key_digest=digest("sha-256", secret.key).hex(),
    )
    try:
        clear = build(source, span, secret.key, secret.iv)
        head = clear.read(0, common.SAMPLE)
        clear.read(max(0, clear.size - _IV_SIZE), _IV_SIZE)
    except (CryptoError, FormatError) as error:
        return Opened(encryption=replace(used, decrypted=False, note=str(error)), source=None, note=str(error))
    return _judged(used, clear, head, span.size - clear.size)


def _judged(used: Encryption, clear: Source, head: bytes, padding: int) -> Opened:
    """Judge a plaintext; right padding of n bytes comes out by chance once in 2^8n times, ASCII text once in 2^n."""
    short = head.isascii() and len(head) == clear.size and len(head) + 8 * padding >= common.MIN_ASCII_SAMPLE
    if common.plausible(head) or short:
        return Opened(encryption=replace(used, decrypted=True), source=clear)
    note = "decrypted, but the format has no digest of the plaintext, and this plaintext could be random"
    return Opened(encryption=replace(used, note=note), source=clear, note=note)
