"""What an AlgorithmIdentifier says of a signature, apart from how one is verified: certificates' facts need no more."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

INNER_HASH: Final = {"ed25519": "sha-512", "ed448": "shake256"}  # the hash that the scheme has inside


@dataclass(frozen=True, kw_only=True)
class Scheme:
    """What an AlgorithmIdentifier says about a signature. `salt_length` is in bytes, None: not stated."""

    algorithm: str
    hash: str
    mgf_hash: str = ""
    salt_length: int | None = None
    oid: str = field(default="", compare=False)
