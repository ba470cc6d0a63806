"""Which verifier is offered what: the whole deliverable, or the image of one target (criteria.md R6, DEP5)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from checker.crypto.staging import Signer, Staging, read_signer
from checker.description.model import ArtifactRef, Command, Description, SignerRef, Target
from checker.errors import CryptoError, InputError
from checker.io.files import Files
from checker.io.folders import FolderSource
from checker.io.limits import MAX_KEY_FILE
from checker.model.artifact import Artifact, Source
from checker.model.subject import Subject, SubjectKind
from checker.model.terms import Reason
from checker.probes import _targets
from checker.probes._records import path_of
from checker.probes._sources import lasting
from checker.probes.contract import Opened
from checker.trials.commands import adapter_of
from checker.trials.contract import ARTIFACT, Genuine, Other
from checker.trials.plan import seeded

DELIVERABLE: Final = "deliverable"
IMAGE: Final = "image"
_CURRENT: Final = "current"


@dataclass(frozen=True, kw_only=True)
class Place:
    """What is tested: the deliverable as a whole, or the image of a target; by which verifier, if any."""

    scope: str
    target: str = ""
    command: Command | None = None
    text: str = ""  # why there is none

    def subject(self, description: Description, test: str) -> Subject:
        """Return what a trial is about; each test has a place of its own in the grid."""
        if self.scope == IMAGE:
            return Subject(kind=SubjectKind.TARGET, id=f"{self.target}/{test}")
        return Subject(kind=SubjectKind.UPDATE, id=f"{description.id}/{test}")


@dataclass(frozen=True, kw_only=True)
class Job:
    """What one verifier is offered: what is genuine, and the files of everything that may be offered, by id."""

    ref: ArtifactRef
    genuine: Genuine
    pool: Mapping[str, Mapping[str, Source]]


@dataclass(frozen=True)
class NoJob:
    """Why a verifier is offered nothing."""

    reason: Reason
    text: str


def places(description: Description) -> Iterator[Place]:
    """Yield what is to be tested, by the description alone.

    The image of a target that is the only one is the deliverable itself, so it has no place of its own.
    """
    targets = description.device.targets
    alone = targets[0] if len(targets) == 1 else None
    own = alone.verifier if alone is not None else None
    command = own or description.verifier or _reader(targets)
    named = alone.id if alone is not None else ""
    missing = "" if command else "the description names no verifier of the deliverable"
    yield Place(scope=DELIVERABLE, target=named, command=command, text=missing)
    for target in targets if alone is None else ():
        missing = "" if target.verifier else f"the description names no verifier of {target.id}"
        yield Place(scope=IMAGE, target=target.id, command=target.verifier, text=missing)


def _reader(targets: tuple[Target, ...]) -> Command | None:
    """Return the verifier of the one target whose adapter reads deliverables of many images, where there is one."""
    found = [target.verifier for target in targets if target.verifier and _reads_bundles(target.verifier)]
    return found[0] if len(found) == 1 else None


def _reads_bundles(command: Command) -> bool:
    adapter = adapter_of(command)
    return adapter is not None and adapter.bundles


@dataclass(frozen=True, kw_only=True)
class _Item:
    """Something that may be offered: an artifact of the description, or an image inside one."""

    ref: ArtifactRef
    id: str
    artifact: Artifact
    files: Mapping[str, Source]
    member: str = ""


def jobs(place: Place, description: Description, opened: Sequence[Opened], files: Files) -> tuple[Job, ...] | NoJob:
    """Return what the verifier of a place is offered, or why nothing.

    Of several current deliverables it is the one for the unit that the verifier plays, else the first.
    """
    unit = place.command.device if place.command else ""
    items, faults = _items(place, description, opened, files)
    current = [item for item in items if item.ref.release == _CURRENT and unit in {"", item.ref.device}]
    if not current:
        return faults[0] if faults else _nothing(place, unit)
    first = current[0].ref
    genuine = [item for item in current if item.ref is first]
    lent = _staging(description, files)
    if isinstance(lent, NoJob):
        return lent
    return tuple(_job(item, [other for other in items if other.member == item.member], lent) for item in genuine)


def _staging(description: Description, files: Files) -> Staging | NoJob:
    """Return the keys that the description lends, or why they cannot be used; no key's content is ever in the text."""
    ref = description.staging
    try:
        return Staging(
            signer=_lent(ref.signer, files), authority=_lent(ref.authority, files), revoked=_lent(ref.revoked, files)
        )
    except (InputError, CryptoError) as error:
        return NoJob(Reason.NO_KEY, f"a staging key cannot be used: {error}")


def _lent(ref: SignerRef | None, files: Files) -> Signer | None:
    if ref is None:
        return None
    certificates = files.read(path_of(ref.certificate), MAX_KEY_FILE) if ref.certificate else b""
    return read_signer(files.read(path_of(ref.key), MAX_KEY_FILE), certificates, ref.key.path)


def _nothing(place: Place, unit: str) -> NoJob:
    what = "deliverable" if place.scope == DELIVERABLE else f"image of {place.target} that can be offered alone"
    text = f"the description has no current {what}{f' for {unit}' if unit else ''}"
    return NoJob(Reason.MISSING_ARTIFACT, text)


def _items(
    place: Place, description: Description, opened: Sequence[Opened], files: Files
) -> tuple[list[_Item], list[NoJob]]:
    found: list[_Item] = []
    faults: list[NoJob] = []
    for item in _of_scope(place, description, opened):
        if item.artifact is None:
            faults.append(NoJob(Reason(item.reason), item.error))
            continue
        try:
            found += _inside(place, description, item.ref, item.artifact, files)
        except InputError as error:
            faults.append(NoJob(Reason.UNREADABLE, str(error)))
    return found, faults


def _of_scope(place: Place, description: Description, opened: Sequence[Opened]) -> list[Opened]:
    """Return what a place is about: on a device with several targets, a file for one of them is an image."""
    sent = [item for item in opened if item.ref.role == DELIVERABLE or item.ref.target]
    if len(description.device.targets) < 2 or place.scope == IMAGE:  # noqa: PLR2004 - several
        return sent
    return [item for item in sent if not item.ref.target] or sent


def _inside(
    place: Place, description: Description, ref: ArtifactRef, artifact: Artifact, files: Files
) -> Iterator[_Item]:
    """Yield the artifact itself, or the images in it that are the target's own."""
    if place.scope == DELIVERABLE or ref.target == place.target:
        yield _Item(ref=ref, id=ref.id, artifact=artifact, files=_files(ref, files))
        return
    for image in artifact.images:
        own = _targets.of_image(description, ref, image) == place.target
        if own and image.source is not None and image.inner is not None:
            yield _Item(
                ref=ref,
                id=f"{ref.id}/{image.id}",
                artifact=image.inner,
                files={ARTIFACT: image.source},
                member=image.id,
            )


def _files(ref: ArtifactRef, files: Files) -> dict[str, Source]:
    """Open an artifact's files again, companions too.

    Raises:
        InputError: one cannot be read, or is a folder.
    """
    named = {ARTIFACT: ref.file, **ref.companions, **({"signature": ref.signature} if ref.signature else {})}
    found = {name: lasting(files, path_of(item)) for name, item in named.items()}
    for source in found.values():
        if isinstance(source, FolderSource):
            raise InputError(f"{source.name}: is a folder, which cannot be offered")
    return found


def _job(item: _Item, all_of_it: Sequence[_Item], staging: Staging) -> Job:
    others = tuple(
        Other(id=other.id, device=other.ref.device, release=other.ref.release, version=_version(other.artifact))
        for other in all_of_it
        if other.id != item.id
    )
    genuine = Genuine(
        id=item.id,
        artifact=item.artifact,
        files=item.files,
        device=item.ref.device,
        release=item.ref.release,
        others=others,
        staging=staging,
        random=seeded(sha256(item.artifact.sha256.encode()).digest()),
    )
    return Job(ref=item.ref, genuine=genuine, pool={other.id: other.files for other in all_of_it})


def _version(artifact: Artifact) -> str:
    found = artifact.version.version
    return found if isinstance(found, str) else ""
