"""ESP-IDF images under flash encryption: which options and keys open one, and the image in clear.

Source: espressif/esp-idf docs/en/security/flash-encryption.rst. Nothing in the file tells the scheme, the address or
the configuration of the fuses: an attempt has succeeded where its result has the layout of an image.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from checker.crypto.esp_flash import CONFIGURATIONS, esp32_source, esp_xts_source
from checker.crypto.keyring import DecryptionKey
from checker.errors import CryptoError, FormatError
from checker.formats import _esp_image as esp
from checker.formats._esp_image import Layout
from checker.formats._magic import known_magic
from checker.formats.contract import Context
from checker.io.digests import digest
from checker.model.artifact import Encryption, Source

ADDRESS: Final = "flash_address"
CONFIGURATION: Final = "flash_crypt_conf"
ALL_BITS: Final = 0xF  # of FLASH_CRYPT_CONFIG: what the bootloader burns, and espsecure takes unless told otherwise
SAMPLE: Final = 4096  # bytes of a file's beginning that decide whether it can be ciphertext


@dataclass(frozen=True, kw_only=True)
class View:
    """The image in clear, and how that form was reached."""

    source: Source
    layout: Layout
    encryption: Encryption
    keyed: bool = False  # the keyed digest of Secure Boot v1 lies before it


def may_be_sealed(source: Source) -> bool:
    """Return whether bytes may be ciphertext; repeated blocks refute nothing under the ESP32's scheme."""
    head = source.read(0, SAMPLE)
    return not head.isascii() and not known_magic(head)


def _number(context: Context, option: str) -> int:
    text = context.options[option]
    try:
        return int(text, 0)
    except ValueError as error:
        raise FormatError(f"{text[:40]!r} is no number, such as 0x10000", field=option) from error


def open_flash(source: Source, context: Context) -> View | None:
    """Return the image as a declared key decrypts it, or None where none gives an image.

    Raises:
        FormatError: an option is no number, or does not fit.
    """
    if ADDRESS not in context.options:
        return None
    address = _number(context, ADDRESS)
    for key in context.keys.secrets:
        for scheme in _schemes(context):
            view = _trial(source, key, address, scheme)
            if view is not None:
                return view
    return None


def _schemes(context: Context) -> Iterator[int | None]:
    """Yield what to try: None for AES-XTS, or the FLASH_CRYPT_CONFIG of the ESP32's own scheme."""
    if CONFIGURATION not in context.options:
        yield None
        yield ALL_BITS
        return
    found = _number(context, CONFIGURATION)
    if found not in CONFIGURATIONS:
        raise FormatError(f"{found} does not fit into the four bits of FLASH_CRYPT_CONFIG", field=CONFIGURATION)
    yield found


def _trial(source: Source, key: DecryptionKey, address: int, scheme: int | None) -> View | None:
    try:
        if scheme is None:
            clear = esp_xts_source(source, key.secret, address)
        else:
            clear = esp32_source(source, key.secret, address, scheme)
        layout = esp.read_layout(clear)
    except (CryptoError, FormatError):
        return None
    return View(source=clear, layout=layout, encryption=_scheme_facts(key, address, scheme))


def _scheme_facts(key: DecryptionKey, address: int, scheme: int | None) -> Encryption:
    own = scheme is not None
    wide = own or len(key.secret) == 64  # noqa: PLR2004 - XTS takes two keys
    note = f"flash encryption at {address:#x}"
    return Encryption(
        encrypted=True,
        cipher="aes",
        mode="esp32-tweaked" if own else "xts",
        key_bits=256 if wide else 128,
        content_key_digest=digest("sha-256", key.secret).hex(),
        decrypted=True,
        note=f"{note}, the ESP32's own scheme, FLASH_CRYPT_CONFIG {scheme:#x}" if own else note,
    )
