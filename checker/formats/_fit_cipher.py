"""Encrypted images of a FIT, and what a control device tree says of keys.

Source: u-boot/u-boot doc/usage/fit/source_file_format.rst, "cipher-1 node", lib/aes, boot/image-cipher.c. The mode is
CBC with PKCS #7 padding; the key is the fleet's. mkimage writes that key in clear into the control tree of its -K.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Final

from checker.crypto.ciphers import aes_cbc_source
from checker.errors import DecryptionError, FormatError
from checker.formats import _common as common
from checker.formats._fit_layout import Cipher, FitImage
from checker.formats.contract import Context
from checker.io.devicetree import Node, read_tree
from checker.io.digests import digest
from checker.io.sources import Window
from checker.model.artifact import Encryption, Source, Span

COMPANION: Final = "control"
MAX_SECRET: Final = 64  # bytes of an AES key or an IV
_PLAIN_WINDOW: Final = 64 * 1024  # bytes that are looked at to see whether decryption gave something sensible


@dataclass(frozen=True, kw_only=True)
class Secret:
    """An AES key with the IV beside it, if any. `clear` says that it lay readable in a control tree."""

    name: str
    key: bytes = field(repr=False)
    iv: bytes = b""
    clear: bool = False


@dataclass(frozen=True, kw_only=True)
class Control:
    """What the control tree demands, and the AES keys that it gives away."""

    required: tuple[str, ...] = ()  # "dev (conf)"
    mode: str = ""
    secrets: tuple[Secret, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Opened:
    """An image's encryption, and its plaintext where a key fits."""

    encryption: Encryption
    plain: Source | None


def read_control(context: Context) -> Control | None:
    """Return what the companion `control` says, or None where there is none.

    Raises:
        FormatError: it is no device tree.
    """
    source = context.companions.get(COMPANION)
    if source is None:
        return None
    try:
        root = read_tree(source).root
    except FormatError as error:
        raise FormatError(f"the control tree is damaged: {error}", field=COMPANION) from error
    keys, ciphers = root.child("signature"), root.child("cipher")
    return Control(
        required=tuple(_required(keys)) if keys else (),
        mode=(keys.text("required-mode") or "all") if keys else "",
        secrets=tuple(_secrets(ciphers)) if ciphers else (),
    )


def _required(keys: Node) -> Iterator[str]:
    for node in keys.children.values():
        rule = node.text("required")
        if rule:
            yield f"{node.text('key-name-hint') or node.name.removeprefix('key-')} ({rule})"


def _secrets(ciphers: Node) -> Iterator[Secret]:
    for node in ciphers.children.values():
        key, iv = node.value("key", limit=MAX_SECRET), node.value("iv", limit=MAX_SECRET)
        if key:
            yield Secret(name=node.name, key=key, iv=iv or b"", clear=True)


def open_image(source: Source, image: FitImage, context: Context, control: Control | None) -> Opened:
    """Return how an image is encrypted, and what it holds where a key is at hand."""
    span = image.span or Span(0, 0)
    stored = Window(source, image.name, span.start, span.size)
    if image.cipher is None:
        return Opened(encryption=Encryption(encrypted=False), plain=stored)
    blank = _blank(source, span, image.cipher)
    if not image.cipher.bits:
        note = f"cipher {image.cipher.stated!r} is unknown"
        return Opened(encryption=replace(blank, note=note), plain=None)
    best = Opened(encryption=blank, plain=None)
    for secret in _candidates(image.cipher, context, control):
        opened = _decrypt(stored, image.cipher, secret, blank)
        if opened.plain is not None:
            return opened
        best = opened
    return best


def _blank(source: Source, span: Span, cipher: Cipher) -> Encryption:
    doubts = common.ciphertext_doubts(source, span, cipher.node.path)
    note = f"key {cipher.hint!r}" + (f", IV {cipher.iv_hint!r} of the control tree" if cipher.iv_hint else "")
    return Encryption(
        encrypted=not doubts,
        cipher="aes",
        mode="cbc",
        key_bits=cipher.bits or None,
        nonce=cipher.iv.hex(),
        note=doubts[0].message if doubts else note,
    )


def _candidates(cipher: Cipher, context: Context, control: Control | None) -> Iterator[Secret]:
    """Yield the keys of the right size, declared ones first; one from the control tree only where its name fits."""
    declared = (Secret(name=key.name, key=key.secret, iv=key.iv) for key in context.keys.secrets)
    wanted = f"key-{cipher.stated}-{cipher.hint}" + (f"-{cipher.iv_hint}" if cipher.iv_hint else "")
    clear = (secret for secret in (control.secrets if control else ()) if secret.name == wanted)
    for secret in (*clear, *declared):
        if len(secret.key) * 8 == cipher.bits and len(cipher.iv or secret.iv) == common.BLOCK:
            yield secret


def _decrypt(stored: Window, cipher: Cipher, secret: Secret, blank: Encryption) -> Opened:
    known = replace(blank, content_key_digest=digest("sha-256", secret.key).hex(), key_in_clear=secret.clear)
    known = replace(known, nonce=(cipher.iv or secret.iv).hex())
    try:
        plain = aes_cbc_source(stored, Span(0, stored.size), secret.key, cipher.iv or secret.iv)
    except DecryptionError as error:
        return Opened(encryption=replace(known, decrypted=False, note=str(error)), plain=None)
    if cipher.plain_size is not None and plain.size != cipher.plain_size:
        note = f"decrypts to {plain.size} bytes, data-size-unciphered is {cipher.plain_size}"
        return Opened(encryption=replace(known, decrypted=False, note=note), plain=None)
    if not common.plausible(plain.read(0, _PLAIN_WINDOW)):
        note = "padding and size are right, but the format states no digest of the plaintext, and it looks random"
        return Opened(encryption=replace(known, note=note), plain=plain)
    return Opened(encryption=replace(known, decrypted=True, note=f"key {cipher.hint!r}"), plain=plain)


def shared_ivs(images: tuple[FitImage, ...]) -> Iterator[tuple[str, str]]:
    """Yield pairs of images that are encrypted under one key name with one IV."""
    seen: dict[tuple[str, str, bytes], str] = {}
    for image in images:
        cipher = image.cipher
        if cipher is None or not (cipher.iv or cipher.iv_hint):
            continue
        place = (cipher.stated + cipher.hint, "" if cipher.iv else cipher.iv_hint, cipher.iv)
        if place in seen:
            yield seen[place], image.name
        seen.setdefault(place, image.name)
