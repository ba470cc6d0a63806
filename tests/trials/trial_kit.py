"""What tests of the active tests share: genuine artifacts opened, offers made of them, and what comes of each."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any, Final

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from checker.crypto.certificates import parse_certificate
from checker.crypto.keyring import KeyRing
from checker.crypto.staging import Signer, Staging, like
from checker.discovery import discover, find
from checker.errors import OtauditError
from checker.formats._open import open_artifact
from checker.formats.contract import Context
from checker.io.folders import FolderSource
from checker.io.sources import BytesSource
from checker.model.artifact import Artifact, DigestCheck, Source, Span
from checker.model.terms import Outcome as Verdict
from checker.trials._edits import chunks
from checker.trials.contract import ARTIFACT, Anatomy, Body, Content, Genuine, Mutation, Offer
from tests.formats import samples

ANATOMIES: Final = "checker.trials.anatomies"
MUTATIONS: Final = "checker.trials.mutations"


def random(size: int) -> bytes:
    """Return bytes that look random and are the same each time."""
    return hashlib.shake_256(b"trials").digest(size)


@dataclass(frozen=True)
class Case:
    """One genuine artifact with what is needed to open it, or a changed one, again."""

    name: str
    files: Mapping[str, Source]
    context: Context
    format_id: str = "auto"
    staging: Staging = field(default_factory=Staging)

    @property
    def artifact(self) -> Artifact:
        return open_artifact(self.files[ARTIFACT], self.context, self.format_id)

    @property
    def genuine(self) -> Genuine:
        return Genuine(id=self.name, artifact=self.artifact, files=self.files, staging=self.staging, random=random)

    @property
    def anatomy(self) -> Anatomy:
        return find(ANATOMIES, self.artifact.format, "ANATOMY", Anatomy)

    @property
    def body(self) -> Body:
        return self.anatomy.read(self.genuine)

    def offers(self, mutation: str) -> list[Offer]:
        genuine = self.genuine
        chosen = find(MUTATIONS, mutation, "MUTATION", Mutation)
        return list(chosen.offers(genuine, self.anatomy.read(genuine)))

    def written(self, offer: Offer) -> dict[str, bytes]:
        """Return the offered files; the changed ones are put together piece by piece."""
        found = {}
        for name, source in self.files.items():
            if name not in offer.without:
                content = offer.changed.get(name, Content(pieces=(Span(0, source.size),)))
                found[name] = b"".join(chunks(content, source))
        return found

    def opened(self, offer: Offer, ring: KeyRing | None = None) -> Artifact:
        """Return what otaudit's own parser makes of an offer.

        Raises:
            OtauditError: it refuses it.
        """
        files = {name: BytesSource(name, data) for name, data in self.written(offer).items()}
        beside = {name: source for name, source in files.items() if name != ARTIFACT}
        context = replace(self.context, companions=beside, keys=ring or self.context.keys)
        return open_artifact(files[ARTIFACT], context, self.format_id)

    def believed(self, offer: Offer, ring: KeyRing | None = None) -> bool:
        """Return whether otaudit's own parser finds an offer genuine; a refusal to parse it is a no."""
        try:
            return believed(self.opened(offer, ring))
        except OtauditError:
            return False


def believed(artifact: Artifact) -> bool:
    """Return whether an artifact has a valid signature that reaches everything, and nothing that contradicts it."""
    valid = any(item.outcome is Verdict.VALID for item in artifact.signatures)
    broken = [item for inner in artifact.walk() for item in _checks(inner) if item.matches is False]
    ciphers = [*artifact.encryption, *(image.encryption for image in artifact.images)]
    undecrypted = any(item.decrypted is False for item in ciphers)
    return valid and not artifact.coverage.uncovered and not broken and not undecrypted


def _checks(artifact: Artifact) -> list[DigestCheck]:
    return [*artifact.digests, *(item for image in artifact.images for item in image.digests)]


def of_sample(format_folder: str, name: str) -> Case:
    """Return a sample of `samples/formats` as a case."""
    sample = next(item for item in samples.of_format(format_folder) if item.name == name)
    context = sample.context()
    return Case(sample.id, {ARTIFACT: sample.source(), **context.companions}, context, format_of(sample))


def format_of(sample: samples.Sample) -> str:
    return str(sample.lines.get("format_id", "auto"))


def good_samples(format_folder: str) -> list[str]:
    """Return the names of the genuine samples of a format that are files."""
    every = samples.of_format(format_folder)
    return [
        item.name for item in every if item.name.startswith("good/") and not isinstance(item.source(), FolderSource)
    ]


@cache
def all_mutations() -> tuple[Mutation, ...]:
    return tuple(discover(MUTATIONS, "MUTATION", Mutation))


def size_of(content: Content) -> int:
    """Return how many bytes a changed file has."""
    return sum(piece.size if isinstance(piece, Span) else len(piece) for piece in content.pieces)


def differences(genuine: bytes, offered: bytes) -> list[int]:
    """Return the places where two files of one length differ."""
    assert len(genuine) == len(offered)
    return [at for at, (old, new) in enumerate(zip(genuine, offered, strict=True)) if old != new]


def trusting(context: Context, signer: Signer) -> KeyRing:
    """Return a ring that trusts a signer only: its topmost certificate, or its bare key."""
    anchors = [parse_certificate(der).as_declared("new") for der in signer.ders[-1:]]
    keys = [] if anchors else [signer.public_key.as_declared("new")]
    return KeyRing.of(keys=keys, anchors=anchors, decryption=context.keys.decryption)


def offers_of(case: Case, *mutations: str) -> Iterator[tuple[str, Offer]]:
    for name in mutations:
        for offer in case.offers(name):
            yield name, offer


def like_signer(case: Case) -> Signer:
    """Return a throw-away key like the one that signed a case."""
    return like(case.artifact.signatures[0].key)


def staged(case: Case, staging: Staging) -> Case:
    """Return a case with what the description lends to the tests."""
    return replace(case, staging=staging)


def public_pem(signer: Signer) -> bytes:
    """Return the public half of a signer's key in PEM."""
    key: Any = signer.private_key
    return bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))


def by_a_stranger(case: Case) -> tuple[Offer, Signer]:
    """Return a case signed again by a throw-away key like its own, and that key."""
    sign = case.body.signed_by
    assert sign is not None
    stranger = like_signer(case)
    return Offer(test="T07", variant="by a stranger", changed=sign(stranger).changed), stranger


def without_keys(case: Case) -> Case:
    """Return a case of which no key is declared."""
    return replace(case, context=replace(case.context, keys=KeyRing.empty()))
