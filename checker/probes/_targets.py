"""Which hardware target an artifact or a member of one is for."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from checker.description.model import ArtifactRef, Description
from checker.model.artifact import Artifact, Image, Inexpressible

OPTION: Final = "target."  # before a member's name, among an artifact's options


def of_artifact(description: Description, ref: ArtifactRef, artifact: Artifact | None = None) -> str:
    """Return the target of a whole file: the one that the description names, else the device's only one."""
    hardware = () if artifact is None or isinstance(artifact.hardware, Inexpressible) else artifact.hardware
    return ref.target or _only(description) or _match(description, hardware)


def of_image(description: Description, ref: ArtifactRef, image: Image) -> str:
    """Return the target of a member: by the description, or by the words with which the container names its place.

    An artifact's option `target.MEMBER` names it where the container's own words do not.
    """
    said = ref.options.get(f"{OPTION}{image.id}", "")
    if said in {target.id for target in description.device.targets}:
        return said
    return ref.target or _only(description) or _match(description, (image.target, image.id, *image.hardware))


def _only(description: Description) -> str:
    targets = description.device.targets
    return targets[0].id if len(targets) == 1 else ""


def _match(description: Description, words: Iterable[str]) -> str:
    """Return the one target whose id is, or else stands as whole words in, one of the words; "" when not just one."""
    ids = [target.id for target in description.device.targets]
    said = [_tokens(word) for word in words if word]
    exact = [name for name in ids if _tokens(name) in said]
    loose = [name for name in ids if any(_within(_tokens(name), word) for word in said)]
    for found in (exact, loose):
        if found:
            return found[0] if len(found) == 1 else ""
    return ""


def _tokens(word: str) -> tuple[str, ...]:
    return tuple(re.findall(r"[a-z0-9]+", word.lower()))


def _within(part: tuple[str, ...], whole: tuple[str, ...]) -> bool:
    spans = range(len(whole) - len(part) + 1)
    return bool(part) and any(whole[start : start + len(part)] == part for start in spans)
