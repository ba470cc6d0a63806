"""What an AlgorithmIdentifier says of a signature, apart from how one is verified: certificates' facts need no more."""

from __future__ import annotations

from dataclasses import field
from typing import Final

from checker.model.value import value

INNER_HASH: Final = {"ed25519": "sha-512", "ed448": "shake256"}  # the hash that the scheme has inside


@value
class Scheme:
    """What an AlgorithmIdentifier says about a signature. `salt_length` is in bytes, None: not stated."""

    algorithm: str
    hash: str
    mgf_hash: str = ""
    salt_length: int | None = None
    oid: str = field(default="", compare=False)
