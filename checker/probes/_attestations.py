"""Attestations of a description, checked before the probes run, since a path's anchor may be one that they name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Final

from checker.crypto.attestation_files import check_attestation, form_of, names_key, read_root
from checker.crypto.attestations.contract import Pinned
from checker.crypto.keyring import KeyRing
from checker.description.model import AttestationRef, Description, FileRef
from checker.errors import CryptoError, FormatError, InputError, UnknownFormatError, UnsupportedAlgorithmError
from checker.io.digests import digest
from checker.io.files import Files
from checker.io.limits import MAX_KEY_FILE
from checker.model.terms import Reason
from checker.probes import _keyfiles
from checker.probes._records import one_line, path_of
from checker.probes.contract import Attested, Opened

DEVICE_ANCHOR: Final = "device anchor"


def attest(description: Description, files: Files, opened: Iterable[Opened], as_of: str) -> tuple[Attested, ...]:
    """Return what the description's attestations say.

    Never raises for a bad file: what cannot be checked comes back with an error text and a reason.
    """
    if not description.attestations:
        return ()
    own = frozenset(_update_keys(opened)) - {""}
    known = own | frozenset(_listed_keys(description, files))
    return tuple(_independent(_one(ref, files, known, as_of), own) for ref in description.attestations)


def _update_keys(opened: Iterable[Opened]) -> Iterator[str]:
    """Yield the ids of the keys that the artifacts show: of signers, their issuers and recipients."""
    for item in opened:
        for artifact in item.artifact.walk() if item.artifact else ():
            for signature in artifact.signatures:
                yield signature.key.id
                yield from (facts.key.id for facts in (signature.chain.certificates if signature.chain else ()))
            yield from (recipient.key.id for recipient in artifact.recipients)


def _listed_keys(description: Description, files: Files) -> Iterator[str]:
    """Yield the ids of the keys that the inventory lists; a nonce may name them too."""
    yield from (item.spki_sha256 for item in description.device.keys or ())
    yield from (key.facts.id for _, key in _keyfiles.inventory_keys(description, files))


def _independent(item: Attested, own: frozenset[str]) -> Attested:
    """Return the same, but never genuine where a key of the updates made it: that is the owner's own word."""
    found = item.statement
    if found is None or found.reported or found.signer not in own:
        return item
    text = "; ".join(part for part in ("a key of the updates themselves signed it", found.note) if part)
    return replace(item, statement=replace(found, genuine=False, note=text))


def _one(ref: AttestationRef, files: Files, known: frozenset[str], as_of: str) -> Attested:
    sha256 = ""
    try:
        data = _read(ref.file, files)
        sha256 = digest("sha-256", data).hex()
        form = form_of(data, ref.kind)
        if form.rooted and ref.root is None:
            text = "it names no `root`: without its maker's root nothing stands behind it"
            return Attested(ref=ref, kind=form.id, sha256=sha256, error=text, reason=Reason.NO_KEY.value)
        pinned = _pinned(ref, files, known, as_of)
        kind, statement = check_attestation(data, form.id, pinned)
    except UnknownFormatError as error:
        return _failed(ref, sha256, error.message, Reason.UNSUPPORTED_FORMAT)
    except UnsupportedAlgorithmError as error:
        return _failed(ref, sha256, str(error), Reason.UNSUPPORTED_ALGORITHM)
    except (InputError, FormatError, CryptoError) as error:
        return _failed(ref, sha256, str(error), _reason(ref, files))
    except Exception as error:  # noqa: BLE001 - a fault of one kind must not keep the rest from being assessed
        return _failed(ref, sha256, f"its check failed: {type(error).__name__}: {error}", Reason.PROBE_FAILED)
    return Attested(ref=ref, kind=kind, sha256=sha256, statement=statement)


def _failed(ref: AttestationRef, sha256: str, text: str, reason: Reason) -> Attested:
    kind = "" if ref.kind == "auto" else ref.kind
    return Attested(ref=ref, kind=kind, sha256=sha256, error=one_line(text), reason=reason.value)


def _read(ref: FileRef, files: Files) -> bytes:
    return files.read(path_of(ref), MAX_KEY_FILE)


def _pinned(ref: AttestationRef, files: Files, known: frozenset[str], as_of: str) -> Pinned:
    ring = read_root(_read(ref.root, files), ref.root.path) if ref.root else KeyRing.empty()
    companions = {name: _read(item, files) for name, item in ref.companions.items()}
    return Pinned(ring=ring, as_of=as_of, nonce=bytes.fromhex(ref.nonce), companions=companions, known_keys=known)


def _reason(ref: AttestationRef, files: Files) -> Reason:
    named = [item for item in (ref.file, ref.root, *ref.companions.values()) if item is not None]
    try:
        whole = all(files.resolve(path_of(item)).exists() for item in named)
    except (InputError, OSError):
        return Reason.UNREADABLE
    return Reason.UNREADABLE if whole else Reason.MISSING_ARTIFACT


def anchor_attested(attested: Iterable[Attested], keys: KeyRing, anchor: str, target: str) -> bool | None:
    """Return whether the device's attested anchors are those of a path (PK2); None where no anchor is attested.

    Args:
        attested: the attestations of the description.
        keys: what the description declares for images; digests of other forms than the key's id are looked up in it.
        anchor: the SHA-256 of the SubjectPublicKeyInfo of the anchor that ended the path; empty: there is none.
        target: the hardware target that the path's artifact is for; empty: not known which.
    """
    digests = tuple(each for item in attested if _speaks_of(item, target) for each in _anchors(item))
    if not digests or not anchor:
        return None
    if bytes.fromhex(anchor) in digests:
        return True
    ends = [item for item in keys.anchors if item.key.spki_sha256 == anchor]
    return any(names_key(digests, item.key, item.der) for item in ends)


def _anchors(item: Attested) -> tuple[bytes, ...]:
    found = item.statement
    counts = found is not None and found.valid and not found.reported and DEVICE_ANCHOR in item.ref.proves
    return found.anchors if found is not None and counts else ()


def _speaks_of(item: Attested, target: str) -> bool:
    """Return whether an attestation may speak of a target: one that names another does not."""
    return not (item.ref.target and target) or item.ref.target == target
