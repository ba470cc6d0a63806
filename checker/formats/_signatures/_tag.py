"""Raw tags beside a file: HMAC, KMAC256 and AES-CMAC under the secrets that were given.

A tag names neither its algorithm nor its key, so that every given secret is tried under every algorithm that makes tags
of this size. No signature scheme of this program makes signatures of 16, 32 or 48 bytes: such a file is a tag, and one
that no given secret makes is invalid. One of 64 bytes may be a signature by a key that nobody gave.

Source: FIPS 198-1, FIPS 202, SP 800-185, SP 800-38B.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from checker.crypto.keyring import DecryptionKey, KeyRing
from checker.crypto.macs import same_tag, tag_over
from checker.errors import UnsupportedAlgorithmError
from checker.formats._raw_signature import from_base64
from checker.io.limits import CHUNK
from checker.model.artifact import AuthKind, Signature, Source
from checker.model.terms import Outcome

_HMACS: Final = {32: ("sha-256", "sha3-256"), 48: ("sha-384", "sha3-384"), 64: ("sha-512", "sha3-512")}
_KMACS: Final = frozenset({32, 64})  # bytes: KMAC256 at its strength, and at what SP 800-185 names for it
_CMAC: Final = 16  # bytes of an AES block
_AES_BITS: Final = frozenset({128, 192, 256})
_ONLY_TAGS: Final = frozenset({16, 32, 48})
_MAX_SECRETS: Final = 16  # that are tried; each takes up to three passes over the file
_HEX: Final = re.compile(rb"\s*([0-9A-Fa-f]{32,128})\s*")


def judge_tag(source: Source, data: bytes, ring: KeyRing) -> Signature | None:
    """Say what is known of a tag over a file; None where the bytes are no tag, or no secret was given."""
    tag, encoding = _form(data)
    secrets = ring.secrets[:_MAX_SECRETS]
    if len(tag) not in {_CMAC, *_HMACS} or not secrets:
        return None
    undecided = ""
    for key in secrets:
        for name, hash_name in _candidates(key, len(tag)):
            try:
                full = tag_over(key.secret, name, _chunks(source), size=len(tag))
            except UnsupportedAlgorithmError as error:
                undecided = str(error)
                continue
            if same_tag(full, tag):
                return _valid(key, name, hash_name, encoding)
    return _unmatched(len(tag), len(secrets), undecided)


def _form(data: bytes) -> tuple[bytes, str]:
    """Return the tag, and how it is written; text that stands for bytes is never a tag itself."""
    written = _HEX.fullmatch(data)
    if written is not None and len(written[1]) % 2 == 0:
        return binascii.unhexlify(written[1]), "hexadecimal of raw tag"
    decoded = from_base64(data)
    return (data, "raw tag") if decoded is None else (decoded, "base64 of raw tag")


def _candidates(key: DecryptionKey, size: int) -> Iterator[tuple[str, str]]:
    """Yield the algorithms whose tags have this size, each with its hash (ids of the algorithm table)."""
    for hash_name in _HMACS.get(size, ()):
        yield f"hmac-{hash_name}", hash_name
    if size in _KMACS:
        yield "kmac256", ""
    if size == _CMAC and len(key.secret) * 8 in _AES_BITS:
        yield f"aes-{len(key.secret) * 8}-cmac", ""


def _chunks(source: Source) -> Iterator[bytes]:
    for start in range(0, source.size, CHUNK):
        yield source.read(start, min(CHUNK, source.size - start))


def _valid(key: DecryptionKey, name: str, hash_name: str, encoding: str) -> Signature:
    facts = key.facts if name.startswith("aes-") else replace(key.facts, algorithm="hmac")
    return Signature(
        outcome=Outcome.VALID, kind=AuthKind.MAC, algorithm=name, hash=hash_name, key=facts, encoding=encoding
    )


def _unmatched(size: int, secrets: int, undecided: str) -> Signature:
    blank = Signature(outcome=Outcome.UNDECIDABLE, kind=AuthKind.MAC, encoding="raw tag", note=undecided)
    if undecided:
        return blank
    note = f"none of {secrets} given secrets makes this tag of {size} bytes"
    return replace(blank, outcome=Outcome.INVALID if size in _ONLY_TAGS else Outcome.KEY_UNKNOWN, note=note)
