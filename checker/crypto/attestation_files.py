"""Attestations of every kind: which kind a file is, what it says, and which keys its anchors are."""

from __future__ import annotations

from typing import Final

from checker.crypto.attestations.contract import AttestationForm, Pinned, Statement
from checker.crypto.key_files import read_public_keys
from checker.crypto.keyring import KeyRing, read_certificates
from checker.crypto.keys import PublicKey
from checker.discovery import discover, module_names
from checker.errors import KeyMaterialError, UnknownFormatError
from checker.io.digests import digest

_PACKAGE: Final = "checker.crypto.attestations"
_HASHES: Final = {32: "sha-256", 48: "sha-384", 64: "sha-512"}  # by the bytes of a digest


def forms() -> tuple[AttestationForm, ...]:
    """Return all kinds of attestations that can be checked, sorted by id."""
    return discover(_PACKAGE, "ATTESTATION", AttestationForm)


def form_of(data: bytes, kind: str = "auto") -> AttestationForm:
    """Return the form of a named kind, or of a file's content.

    Raises:
        UnknownFormatError: nothing here checks this kind, or no kind claims the file.
    """
    if kind == "auto":
        found = next((form for form in forms() if form.detect(data)), None)
    else:
        found = next((form for form in forms() if form.id == kind), None)
    if found is None:
        known = ", ".join(name.replace("_", "-") for name in module_names(_PACKAGE))
        what = "the file is of no kind" if kind == "auto" else f"{kind!r} is no kind"
        raise UnknownFormatError(f"{what} that can be checked here; those are: {known}")
    return found


def check_attestation(data: bytes, kind: str, pinned: Pinned) -> tuple[str, Statement]:
    """Return the kind of an attestation and what it says.

    Raises:
        UnknownFormatError: nothing here checks it.
        FormatError: it is damaged.
        CryptoError: its algorithm or a key beside it cannot be used.
    """
    form = form_of(data, kind)
    return form.id, form.check(data, pinned)


def read_root(data: bytes, name: str) -> KeyRing:
    """Return a pinned root: certificates, or the maker's bare public keys.

    Raises:
        KeyMaterialError: it is neither.
    """
    try:
        return KeyRing.of(anchors=read_certificates(data, name))
    except KeyMaterialError:
        return KeyRing.of(keys=read_public_keys(data, name))


def names_key(digests: tuple[bytes, ...], key: PublicKey, certificate: bytes = b"") -> bool:
    """Return whether one of the digests is of this key.

    Tried are the SubjectPublicKeyInfo, its content (the bare key: a curve point, an RSAPublicKey, the bytes of ML-DSA)
    and the certificate, each with SHA-256, SHA-384 or SHA-512 by the digest's length.
    """
    return any(
        digest(_HASHES[len(each)], data) == each
        for each in digests
        if len(each) in _HASHES
        for data in (key.spki, key.raw, certificate)
        if data
    )
