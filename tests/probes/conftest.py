"""A small laboratory: descriptions and artifacts in memory, files in a folder, and the probes over them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from checker.crypto.keyring import KeyRing
from checker.description.model import (
    ArtifactRef,
    Description,
    Device,
    DocumentRef,
    FileRef,
    InventoryKey,
    LogRef,
    Place,
    StepDescription,
    Target,
    TrustStore,
)
from checker.io.files import Files
from checker.io.sources import BytesSource
from checker.model.artifact import (
    Artifact,
    Coverage,
    DigestCheck,
    Image,
    KeyFacts,
    Signature,
    Span,
    Version,
)
from checker.model.evidence import Evidence
from checker.model.terms import Outcome, Step
from checker.probes import _run
from checker.probes.contract import Context, Opened, Probe

PLACE = Place("update.yaml", 1, 1)
SIGNER = KeyFacts(id="51" * 32, algorithm="ec-p256", bits=256, strength=128, name="trust/root.pem", declared=True)
VALID = Signature(
    outcome=Outcome.VALID, algorithm="ecdsa", hash="sha-256", key=SIGNER, signing_time="2026-09-01T00:00:00Z"
)


class Lab:
    """Builds one description step by step. Every method returns what the test goes on with."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.device = Device(file="device.yaml", sha256="00" * 32, vendor="Acme", model="GW-200")
        self.description = Description(
            file="update.yaml", folder="", sha256="11" * 32, id="gw-2.4.1", version="2.4.1", device=self.device
        )
        self.opened: list[Opened] = []
        self.as_of = "2026-11-01T00:00:00Z"

    def file(self, name: str, data: bytes) -> FileRef:
        """Write a file of the description."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return FileRef(path=name, place=PLACE)

    def say(self, **changes: Any) -> Lab:
        """Change the update's description."""
        self.description = replace(self.description, **changes)
        return self

    def own(self, **changes: Any) -> Lab:
        """Change the device's description."""
        self.device = replace(self.device, **changes)
        return self.say(device=self.device)

    def targets(self, *names: str) -> Lab:
        """Give the device these hardware targets."""
        return self.own(targets=tuple(Target(id=name, place=PLACE) for name in names))

    def step(self, step: Step, **words: Any) -> Lab:
        """Describe a step."""
        said = StepDescription(step=step, place=PLACE, **words)
        return self.say(steps={**self.description.steps, step: said})

    def key(self, name: str, **words: Any) -> InventoryKey:
        """Put a key into the inventory."""
        item = InventoryKey(id=name, place=PLACE, **words)
        self.own(keys=(*(self.device.keys or ()), item))
        return item

    def document(self, name: str, data: bytes, quote: str, **words: Any) -> Lab:
        """Write and name a document."""
        ref = DocumentRef(id=name, file=self.file(name, data), place=PLACE, clause="4.2", quote=quote, **words)
        return self.say(documents=(*self.description.documents, ref))

    def artifact(self, artifact: Artifact | None, data: bytes = b"", name: str = "gw", **words: Any) -> Opened:
        """Put an artifact into the update; `data` are the bytes of its file."""
        ref = ArtifactRef(file=self.file(f"{name}.bin", data), id=name, place=PLACE, **words)
        opened = Opened(ref=ref, artifact=artifact)
        if artifact is None:
            opened = replace(opened, error="cut short", reason="unreadable")
        self.opened.append(opened)
        self.say(artifacts=(*self.description.artifacts, ref))
        return opened

    def log(self, lines: list[Mapping[str, Any]] | bytes, name: str = "A.jsonl", **words: Any) -> LogRef:
        """Write and name an update log."""
        data = lines if isinstance(lines, bytes) else b"".join(json.dumps(line).encode() + b"\n" for line in lines)
        ref = LogRef(file=self.file(name, data), place=PLACE, **words)
        self.say(logs=(*self.description.logs, ref))
        return ref

    def log_keys(self, *pems: bytes) -> Lab:
        """Declare keys that logs are signed with."""
        refs = tuple(self.file(f"log-{number}.pem", pem) for number, pem in enumerate(pems))
        return self.own(trust_logs=TrustStore(keys=refs))

    @property
    def context(self) -> Context:
        """Return what probes get."""
        return Context(
            description=self.description,
            opened=tuple(self.opened),
            keys=KeyRing.empty(),
            files=Files(self.folder),
            as_of=self.as_of,
        )

    def run(self, probe: Probe) -> list[Evidence]:
        """Return all records of one probe, checked against their schemas, with the gaps of its own grid."""
        done = _run._run(self.context, [probe], strict=True)
        return [record for record in done.records if record.kind in probe.kinds]

    def one(self, probe: Probe, kind: str, **where: Any) -> Evidence:
        """Return the only record of a kind with these values."""
        found = [item for item in self.run(probe) if item.kind == kind and _has(item, where)]
        assert len(found) == 1, [(item.values, item.unavailable) for item in found]
        return found[0]


def _has(record: Evidence, where: Mapping[str, Any]) -> bool:
    return all(record.values.get(name) == value for name, value in where.items())


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path)


def image_file(payload: bytes, **changes: Any) -> Artifact:
    """Return an artifact that is one signed image, and covers all of it."""
    span = Span(0, len(payload))
    whole: dict[str, Any] = {
        "format": "test-image",
        "name": "gw.bin",
        "size": len(payload),
        "sha256": sha256(payload).hexdigest(),
        "signatures": (VALID,),
        "coverage": Coverage(payload=(span,), size_bound=True, metadata=("version",)),
        "version": Version(version="2.4.1", sequence=7, authentic=True),
    }
    return Artifact(**(whole | changes))


def container(members: Mapping[str, bytes], **changes: Any) -> tuple[Artifact, bytes]:
    """Return a signed container of plain members, each with an authentic digest, and its bytes."""
    data, images = b"", []
    for name, payload in members.items():
        span = Span(len(data), len(data) + len(payload))
        digest = sha256(payload).hexdigest()
        check = DigestCheck(
            name="sha256", algorithm="sha-256", expected=digest, actual=digest, covers=(span,), authentic=True
        )
        images.append(
            Image(
                id=f"{name}.img",
                size=len(payload),
                target=name,
                span=span,
                digests=(check,),
                source=BytesSource(name, payload),
            )
        )
        data += payload
    whole = {"format": "test-container", "images": tuple(images), "coverage": Coverage(payload=(Span(0, len(data)),))}
    return image_file(data, **(whole | changes)), data


Build = Callable[..., Artifact]


@pytest.fixture
def image() -> Build:
    return image_file


@pytest.fixture
def bundle() -> Callable[..., tuple[Artifact, bytes]]:
    return container
