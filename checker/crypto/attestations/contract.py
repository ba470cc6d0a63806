"""What a kind of attestation is: one module with `ATTESTATION = AttestationForm(…)`.

A form says what a statement holds and whether it is genuine: signed under the pinned root, and fresh by our nonce. What
a statement does not say stays None: a missing attribute is never a satisfied attribute (criteria.md R6).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from checker.crypto.keyring import KeyRing


@dataclass(frozen=True, kw_only=True)
class Pinned:
    """What an attestation is checked with.

    `ring` holds the pinned root (certificates, or the maker's bare key). `nonce` is empty where none was given.
    `as_of` is RFC 3339. `companions` are the bytes of further files, by the kind's names for them. `known_keys` are the
    ids (SHA-256 of the SubjectPublicKeyInfo in hex) of the keys that a nonce may name.
    """

    ring: KeyRing
    as_of: str
    nonce: bytes = b""
    companions: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    known_keys: frozenset[str] = field(default=frozenset(), repr=False)


@dataclass(frozen=True, kw_only=True)
class Statement:
    """What an attestation says. None: it does not say.

    `genuine`: signed under the pinned root. `fresh`: it answers our nonce. `key` is the id of the key that it is bound
    to, empty where it speaks of the platform alone; `signer` is that of the key that signed it. `anchors` are digests
    of public keys that the device trusts.
    `reported`: not signed by hardware, so that nothing was verified. `note` says why it is not genuine or not fresh.
    """

    genuine: bool
    fresh: bool
    key: str = ""
    signer: str = ""
    non_exportable: bool | None = None
    boot_verified: bool | None = None
    anchors: tuple[bytes, ...] = ()
    anchor_protected: bool | None = None
    quantum_resistant: bool | None = None  # its own signature, and every link to the root
    reported: bool = False
    note: str = ""

    @property
    def valid(self) -> bool:
        """Return whether it counts: genuine and fresh; what is only reported counts as far as it goes."""
        return self.genuine and self.fresh


@dataclass(frozen=True, kw_only=True)
class AttestationForm:
    """A plug-in: which files are of this kind, and what one of them says.

    `detect` looks at the content only and never raises. `check` raises `FormatError` for a damaged file,
    `UnsupportedAlgorithmError` for one that nothing here can verify, and `CryptoError` for unusable keys beside it.
    `rooted` is off where the owner reports and no root is asked for.
    """

    id: str
    title: str
    detect: Callable[[bytes], bool]
    check: Callable[[bytes, Pinned], Statement]
    references: tuple[str, ...]
    rooted: bool = True
