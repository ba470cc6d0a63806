"""The neutral Artifact: all that any format can say, in one shape (design.md section 5).

Formats fill it, probes read it; neither knows the other. A trait that a format has no way to express is
`Inexpressible`, which is not the same as absent (None or an empty tuple).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Protocol

from checker.model.keys import CertificateFacts, ChainFacts, KeyFacts, OneTimeKey
from checker.model.terms import Outcome

# Part of an artifact's vocabulary, and of an endpoint's too.
__all__ = ["CertificateFacts", "ChainFacts", "KeyFacts", "OneTimeKey"]

_NO_KEY: Final = KeyFacts()


class Source(Protocol):
    """Random access to bytes: a file, a window of one, or a decrypted view. Implemented in `io` and `crypto`."""

    @property
    def name(self) -> str:
        """Return a name for messages, relative to the description; never an absolute path."""

    @property
    def size(self) -> int:
        """Return the length in bytes."""

    def read(self, offset: int, length: int) -> bytes:
        """Return exactly `length` bytes from `offset`, or fewer only at the end."""


@dataclass(frozen=True, order=True)
class Span:
    """A range of bytes, `start` inclusive and `end` exclusive, relative to the artifact's first byte."""

    start: int
    end: int

    @property
    def size(self) -> int:
        """Return the number of bytes."""
        return self.end - self.start

    def __str__(self) -> str:
        return f"{self.start:#x}..{self.end:#x}"


class Inexpressible:
    """The format has no field for this trait. Compare with `is INEXPRESSIBLE`."""

    def __repr__(self) -> str:
        return "INEXPRESSIBLE"


INEXPRESSIBLE: Final = Inexpressible()


class AuthKind(StrEnum):
    """What sort of authenticator protects something."""

    SIGNATURE = "signature"
    MAC = "mac"
    DIGEST = "digest"  # a bare digest: integrity only, no authenticity


@dataclass(frozen=True, kw_only=True)
class Signature:
    """One authenticator and what is known of it."""

    outcome: Outcome
    kind: AuthKind = AuthKind.SIGNATURE
    algorithm: str = ""  # id of the algorithm table: rsa-pkcs1v15, rsa-pss, ecdsa, ed25519, hmac …
    hash: str = ""  # id of the algorithm table: sha-256 …; empty where the scheme has it inside (Ed25519: sha-512)
    key: KeyFacts = _NO_KEY
    chain: ChainFacts | None = None
    covers: tuple[Span, ...] = ()  # the bytes that this authenticator covers directly
    signing_time: str = ""
    encoding: str = ""  # for example "DER" or "raw r||s" for ECDSA, "CMS detached"
    one_time_index: int | None = None  # of a stateful hash-based signature: LMS q, XMSS idx
    one_time_keys: tuple[OneTimeKey, ...] = ()  # all that a stateful signature used, the one over the message last
    where: Span | None = None
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class DigestCheck:
    """A digest that the artifact states about some bytes, and what was recomputed (None: not computable)."""

    name: str
    algorithm: str
    expected: str  # hex
    actual: str | None  # hex
    covers: tuple[Span, ...] = ()
    over: str = "content"  # content | ciphertext | plaintext
    authentic: bool = False  # the digest itself is inside what a signature covers
    note: str = ""

    @property
    def matches(self) -> bool | None:
        """Return whether the recomputed digest equals the stated one; None where it could not be computed."""
        return None if self.actual is None else self.actual.lower() == self.expected.lower()


@dataclass(frozen=True, kw_only=True)
class Coverage:
    """Which payload bytes and which steering fields an authenticator reaches, directly or through digests."""

    payload: tuple[Span, ...] = ()
    uncovered: tuple[Span, ...] = ()  # payload bytes that nothing authentic protects
    undecided: tuple[Span, ...] = ()  # payload bytes of which that is not known: the statement about them is encrypted
    metadata: tuple[
        str, ...
    ] = ()  # steering fields inside the signed part: version, vendor, class, sequence, location …
    unprotected_metadata: tuple[str, ...] = ()  # steering fields outside it
    size_bound: bool | None = None  # the exact size is inside the signed part too


@dataclass(frozen=True, kw_only=True)
class Encryption:
    """How one image or the whole deliverable is encrypted."""

    encrypted: bool | None  # None: neither the format nor the bytes tell (random-looking bytes of an unknown kind)
    cipher: str = ""  # aes, chacha20 …; empty when not known
    mode: str = ""  # cbc, ctr, gcm, xts …
    key_bits: int | None = None
    nonce: str = ""  # hex; also initial counters and IVs
    tag_bits: int | None = None  # of an AEAD
    authenticated: bool | None = None  # AEAD, or covered by an authentic digest
    content_key_digest: str = ""  # SHA-256 of the content key where it could be unwrapped; never the key
    decrypted: bool | None = None  # True: decrypted and its plaintext digest matched; None: no key was given
    key_in_clear: bool = False  # the content key lies readable beside the ciphertext
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Recipient:
    """One wrapping of a content key."""

    algorithm: str  # id of the algorithm table: ecies-p256, rsa-oaep, aes-kw, ecdh-es …
    key: KeyFacts = _NO_KEY
    ephemeral: str = ""  # SHA-256 of the ephemeral public key or KEM ciphertext
    wrapped: str = ""  # SHA-256 of the wrapped key field
    unwrapped: bool | None = None  # True: unwrapped with a given key
    wrapping_bits: int | None = None  # key-encryption key or KDF output size


@dataclass(frozen=True, kw_only=True)
class Version:
    """Version and rollback fields. Present is not enforced."""

    version: str | Inexpressible | None = None
    sequence: int | Inexpressible | None = None  # monotonic counter: security counter, manifest sequence number …
    authentic: bool | None = None  # inside the signed part
    constraints: tuple[str, ...] = ()  # for example install-if-higher, dependencies


@dataclass(frozen=True, kw_only=True)
class Weakness:
    """Something wrong or dangerous that the file itself shows, beyond the table (criteria.md R9)."""

    code: str  # kebab-case and stable, an entry of the rule set's observations.yaml, which holds its severity
    message: str
    where: str = ""


@dataclass(frozen=True, kw_only=True)
class Image:
    """What one hardware target gets, or another member of a container.

    `source` gives access to the member's bytes for recursion (decrypted where a key was given); the driver in `formats`
    opens it and fills `inner`. `role` is `image`, `script`, `metadata` or `other`.
    """

    id: str
    size: int
    role: str = "image"
    target: str = ""  # device, volume, slot, component id: the format's own word
    hardware: tuple[str, ...] = ()
    span: Span | None = None
    digests: tuple[DigestCheck, ...] = ()
    encryption: Encryption = Encryption(encrypted=False)
    version: Version = Version()
    source: Source | None = field(default=None, compare=False, repr=False)
    inner: Artifact | None = None
    note: str = ""  # why a member was not opened


@dataclass(frozen=True, kw_only=True)
class Artifact:
    """One opened file, or one image inside another."""

    format: str
    name: str
    size: int
    sha256: str
    signatures: tuple[Signature, ...]
    coverage: Coverage
    title: str = ""  # for example "MCUboot image", "SWUpdate image (.swu), cpio newc with checksums"
    digests: tuple[DigestCheck, ...] = ()
    encryption: tuple[Encryption, ...] = ()  # of the deliverable as a whole; images carry their own
    recipients: tuple[Recipient, ...] = ()
    images: tuple[Image, ...] = ()
    version: Version = Version()
    hardware: tuple[str, ...] | Inexpressible = ()
    weaknesses: tuple[Weakness, ...] = ()
    facts: tuple[tuple[str, str], ...] = ()  # further fields worth showing, in the format's own words

    def walk(self) -> Iterator[Artifact]:
        """Yield this artifact and every inner one, outermost first."""
        yield self
        for image in self.images:
            if image.inner is not None:
                yield from image.inner.walk()
