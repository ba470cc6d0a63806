"""What is known of keys, certificates and their chains, wherever they were met: in an artifact or on a connection."""

from __future__ import annotations

from checker.model.value import value


@value
class KeyFacts:
    """A key as it was seen or named.

    `id` is the SHA-256 of the DER SubjectPublicKeyInfo in hex where the key itself is known, else the format's own key
    id. `bits` is the modulus, field or secret size; `strength` is SP 800-57pt1r5 table 2 bits of security.
    """

    id: str = ""
    algorithm: str = ""  # an id of the algorithm table: rsa, ec-p256, ed25519, aes, hmac …
    bits: int | None = None
    strength: int | None = None
    name: str = ""  # the id under which the description or command line declared it
    declared: bool = False  # the description or command line names this very key (or an anchor above it)
    published: str = ""  # the source, where this is a published development or test key
    exponent: int | None = None  # RSA public exponent


@value
class CertificateFacts:
    """One certificate of a chain, leaf first (RFC 5280). Times are RFC 3339 in UTC."""

    sha256: str
    subject: str
    issuer: str
    serial: str
    key: KeyFacts
    signature_algorithm: str
    signature_hash: str
    not_before: str
    not_after: str
    ca: bool | None = None
    path_length: int | None = None
    key_usage: tuple[str, ...] = ()
    extended_key_usage: tuple[str, ...] = ()
    crl_urls: tuple[str, ...] = ()
    ocsp_urls: tuple[str, ...] = ()


@value
class OneTimeKey:
    """One use of a key that may sign once: which key it is (`owner` and `index` below it), and what it signed.

    `owner` is in hex: the identifier I of an LMS tree (RFC 8554 5.3), the root of an XMSS tree, the SHA-256 of a
    Lamport or WOTS+ public key. `used` is the SHA-256 of the one-time signature in hex: two values under one key are
    two uses.
    """

    scheme: str
    owner: str
    index: int
    used: str


@value
class ChainFacts:
    """The path from a signer to an anchor, as OpenSSL built it, with every link told apart (criteria.md 3.4).

    `valid` is None where no anchor was given. `error` is OpenSSL's reason when it is not valid. `revoked` is None where
    no CRL for the signer's issuer was given.
    """

    certificates: tuple[CertificateFacts, ...]
    anchor: str = ""  # SHA-256 of the SubjectPublicKeyInfo of the anchor that ended the path
    anchor_name: str = ""
    valid: bool | None = None
    error: str = ""
    revoked: bool | None = None
    checked_at: str = ""
    expired: bool | None = None  # the signer's own certificate at `checked_at`
