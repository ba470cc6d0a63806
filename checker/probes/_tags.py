"""What a log says of keyed tags over an installed image, met with the image and the laboratory's copy of the key.

The key is one of the artifact's own `decryption_keys`. It is known to be the device's where its tag is right, or where
the inventory's record of the key states the SHA-256 of it; other keys say nothing about a tag that is not theirs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from checker.crypto.algorithms import algorithm
from checker.crypto.algorithms import known as in_table
from checker.crypto.keyring import DecryptionKey, KeyRing
from checker.crypto.macs import known_to_all, same_tag, tag_over
from checker.errors import OtauditError
from checker.io.limits import CHUNK
from checker.probes import _keyfiles
from checker.probes._installed import Range
from checker.probes.contract import Context, Opened

KEYED: Final = frozenset({"cmac", "gmac", "aead", "hmac", "kmac"})


@dataclass(frozen=True, kw_only=True)
class Tagged:
    """The ranges that a tag is of, None where the right key was not given; and whether that key is one device's own.

    `own` is False for a key that everybody knows or that was given for another device too, and None otherwise: that
    nobody else has a key shows nowhere, only that somebody has.
    """

    places: tuple[Range, ...] | None = None
    own: bool | None = None


def tagged(context: Context, mine: Sequence[Opened], said: Mapping[str, Any], places: Sequence[Range]) -> Tagged:
    """Return which of some ranges a tag is of, computed with every secret key that their artifacts name."""
    tag, nonce = bytes.fromhex(_even(said["value"])), bytes.fromhex(_even(said.get("nonce", "")))
    name = str(said["name"]).lower()
    name = algorithm(name).id if in_table(name) else name
    named = {item.spki_sha256 for item in context.description.device.keys or () if item.id == said.get("key_id")}
    wrong = False
    for key in _secrets(context, mine):
        answers = {place: _is_of(place, key, name, tag, nonce) for place in places}
        found = tuple(place for place, answer in answers.items() if answer)
        if found:
            return Tagged(places=found, own=_own(context, mine, key))
        wrong = wrong or (key.facts.id in named and set(answers.values()) == {False})
    return Tagged(places=() if wrong else None)


def _even(text: str) -> str:
    return text if len(text) % 2 == 0 else f"0{text}"


def _secrets(context: Context, opened: Sequence[Opened]) -> Iterator[DecryptionKey]:
    for item in opened:
        yield from _keyfiles.with_decryption(KeyRing.empty(), item.ref, context.files).secrets


def _is_of(place: Range, key: DecryptionKey, name: str, tag: bytes, nonce: bytes) -> bool | None:
    """Return whether a tag is that of a range under a key; None where it cannot be computed."""
    try:
        return same_tag(tag_over(key.secret, name, _chunks(place), nonce=nonce, size=len(tag)), tag)
    except OtauditError:
        return None


def _chunks(place: Range) -> Iterator[bytes]:
    for start in range(place.span.start, place.span.end, CHUNK):
        yield place.source.read(start, min(CHUNK, place.span.end - start))


def _own(context: Context, mine: Sequence[Opened], key: DecryptionKey) -> bool | None:
    if known_to_all(key.secret):
        return False
    devices = {item.ref.device for item in mine}
    others = [item for item in context.opened if item.ref.device not in devices]
    return False if key.facts.id in {item.facts.id for item in _secrets(context, others)} else None
