"""Every truncation and every single-bit flip of the samples' artifacts gives an `Artifact` or a `FormatError`.

And no flipped bit in bytes that a signature covers leaves everything valid. CI takes a fixed spread of offsets;
OTAUDIT_EVERY_BIT=1 takes all of them (`make every-bit`, about an hour).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from checker.crypto.keyring import KeyRing, read_certificates, read_decryption_key
from checker.crypto.keys import read_public_key
from checker.errors import FormatError
from checker.formats._open import open_artifact
from checker.formats.contract import Context
from checker.io.sources import BytesSource
from checker.model.artifact import Artifact
from checker.model.terms import Outcome

SAMPLES = Path(__file__).resolve().parents[2] / "samples"
EVERY = bool(os.environ.get("OTAUDIT_EVERY_BIT"))
SPREAD = 150  # offsets per artifact and property in CI


@dataclass(frozen=True)
class Case:
    name: str
    keys: tuple[str, ...] = ()
    anchors: tuple[str, ...] = ()
    decryption: tuple[str, ...] = ()


CASES = (
    Case(
        "sensor/artifacts/sensor-1.4.0-A.bin",
        ("sensor/trust/sensor-signing.pub.pem",),
        (),
        ("sensor/lab/device-A.pem",),
    ),
    Case(
        "gateway/artifacts/gw200-2.4.1-A.swu",
        ("gateway/trust/radio-signing.pub.pem",),
        ("gateway/trust/root.crt.pem",),
        ("gateway/lab/device-A.pem", "gateway/lab/radio.pem"),
    ),
    Case("camera/artifacts/camera-5.1.swu", ("camera/trust/camera-signing.crt.pem",), (), ("camera/lab/fleet.key",)),
)


@cache
def material(case: Case) -> tuple[bytes, Context]:
    read = {name: (SAMPLES / name).read_bytes() for name in (*case.keys, *case.anchors, *case.decryption)}
    ring = KeyRing.of(
        keys=[read_public_key(read[name], name) for name in case.keys],
        anchors=[found for name in case.anchors for found in read_certificates(read[name], name)],
        decryption=[read_decryption_key(read[name], name) for name in case.decryption],
    )
    return (SAMPLES / case.name).read_bytes(), Context(keys=ring, as_of="2026-11-01T00:00:00Z")


def opened(case: Case, data: bytes) -> Artifact | None:
    try:
        return open_artifact(BytesSource("x", data), material(case)[1])
    except FormatError:
        return None


def proved(artifact: Artifact) -> bool:
    """Return whether the outermost layer is signed, and every byte of it reached, with every digest equal."""
    valid = any(signature.outcome is Outcome.VALID for signature in artifact.signatures)
    checks = [*artifact.digests, *(check for image in artifact.images for check in image.digests)]
    return valid and not artifact.coverage.uncovered and all(check.matches for check in checks)


def spread(size: int) -> Iterator[int]:
    """Yield offsets: all of the first 256, where headers are, then a spread; or every one."""
    step = 1 if EVERY else max(1, size // SPREAD)
    yield from sorted({*range(min(256, size) if EVERY else min(48, size)), *range(0, size, step)})


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_sample_itself_is_proved(case: Case) -> None:
    artifact = opened(case, material(case)[0])
    assert artifact is not None
    assert proved(artifact)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_no_truncation_is_proved_or_raises_anything_but_a_format_error(case: Case) -> None:
    data, _ = material(case)
    end = len(data.rstrip(b"\0"))  # fill behind the last byte that means something may go
    for size in spread(end):
        artifact = opened(case, data[:size])
        assert artifact is None or not proved(artifact), size


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_no_flipped_bit_in_covered_bytes_stays_proved(case: Case) -> None:
    data, _ = material(case)
    whole = opened(case, data)
    assert whole is not None
    covered = [span for signature in whole.signatures for span in signature.covers]
    covered += [span for check in whole.digests for span in check.covers]
    covered += [image.span for image in whole.images if image.span is not None]
    for offset in spread(len(data)):
        for bit in range(8) if EVERY else (offset % 8,):
            flipped = bytearray(data)
            flipped[offset] ^= 1 << bit
            artifact = opened(case, bytes(flipped))
            inside = any(span.start <= offset < span.end for span in covered)
            assert not inside or artifact is None or not proved(artifact), (offset, bit)
