"""What a fact is about."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class SubjectKind(StrEnum):
    """The sorts of things that can be assessed."""

    UPDATE = "update"
    ARTIFACT = "artifact"
    TARGET = "target"
    ENDPOINT = "endpoint"
    KEY = "key"
    DEVICE = "device"
    STEP = "step"
    DOCUMENT = "document"
    LOG = "log"
    ATTESTATION = "attestation"


@dataclass(frozen=True, kw_only=True, order=True)
class Subject:
    """One assessed thing, named by its id in the description (`id`) and, where it is bytes, by its SHA-256."""

    kind: SubjectKind
    id: str
    sha256: str = ""

    def __str__(self) -> str:
        return f"{self.kind}:{self.id}"
