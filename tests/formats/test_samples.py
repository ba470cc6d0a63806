"""Every sample of every format comes out as its expected.yaml says; `OTAUDIT_EVERY_BIT=1` flips every bit of them."""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from checker.discovery import discover
from checker.errors import DecryptionError, FormatError
from checker.formats._open import detect, open_artifact
from checker.formats.contract import Format
from checker.io.sources import BytesSource, Window
from checker.model.artifact import Artifact, Inexpressible
from tests.formats import samples

EVERY = bool(os.environ.get("OTAUDIT_EVERY_BIT"))
SPREAD = 24  # offsets per artifact and property in CI
ALL = samples.samples()
GOOD = [sample for sample in ALL if sample.name.startswith("good/")]
FORMATS = [known.id.replace("-", "_") for known in discover("checker.formats", "FORMAT", Format)]


def value(artifact: Artifact, key: str, sample: samples.Sample) -> Any:
    """Return what the artifact says for one line of expected.yaml."""
    if key == "format":
        context = sample.context()
        return detect(sample.source(), context, sample.lines.get("format_id", "auto")).id
    if key in {"encrypted", "decrypted"}:
        found = [*artifact.encryption, *(image.encryption for image in artifact.images)]
        return getattr(found[0], key) if found else None
    simple = {
        "signatures": [signature.outcome.value for signature in artifact.signatures],
        "weaknesses": sorted(weakness.code for weakness in artifact.weaknesses),
        "uncovered": sum(span.size for span in artifact.coverage.uncovered),
        "undecided": sum(span.size for span in artifact.coverage.undecided),
        "recipients": len(artifact.recipients),
        "images": len(artifact.images),
        "version": None if isinstance(artifact.version.version, Inexpressible) else artifact.version.version,
        "sequence": None if isinstance(artifact.version.sequence, Inexpressible) else artifact.version.sequence,
        "hardware": None if isinstance(artifact.hardware, Inexpressible) else list(artifact.hardware),
    }
    return simple[key]


@pytest.mark.parametrize("sample", ALL, ids=lambda sample: sample.id)
def test_a_sample_comes_out_as_expected(sample: samples.Sample) -> None:
    wanted = sample.expectations
    if "error" in wanted:
        with pytest.raises((FormatError, DecryptionError)) as caught:
            open_artifact(sample.source(), sample.context(), sample.lines.get("format_id", "auto"))
        assert wanted["error"] in str(caught.value)
        return
    artifact = open_artifact(sample.source(), sample.context(), sample.lines.get("format_id", "auto"))
    assert {key: value(artifact, key, sample) for key in wanted} == wanted


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_has_good_and_bad_samples(name: str) -> None:
    assert name in samples.formats(), f"samples/formats/{name}/expected.yaml is missing"
    names = [sample.name for sample in samples.of_format(name)]
    assert any(path.startswith("good/") for path in names)
    assert any(path.startswith("bad/") for path in names)


@pytest.mark.parametrize("name", samples.formats())
def test_the_folder_and_expected_yaml_name_the_same_files(name: str) -> None:
    top = samples.FOLDER / name
    listed = {top / sample.name for sample in samples.of_format(name)}
    beside = {top / path for sample in samples.of_format(name) for path in _named(sample)}
    folders = {path for path in listed if path.is_dir()}
    found = {
        path
        for kind in ("good", "bad")
        for path in (top / kind).rglob("*")
        if path.is_file() and not folders & set(path.parents)
    }
    assert found <= listed | beside
    assert all(path.exists() for path in listed | beside)


def _named(sample: samples.Sample) -> Iterator[str]:
    for key in ("keys", "trust", "crls", "decrypt"):
        yield from sample.lines.get(key, ())
    yield from sample.lines.get("companions", {}).values()
    if "signature" in sample.lines:
        yield sample.lines["signature"]


@pytest.mark.parametrize("sample", [item for item in ALL if item.name.startswith("bad/")], ids=lambda item: item.id)
def test_a_bad_sample_names_its_fault_and_comes_out_unlike_its_good_neighbour(sample: samples.Sample) -> None:
    assert sample.lines.get("fault"), "say in one line what is wrong with it"
    near = next(item for item in samples.of_format(sample.format) if item.name == sample.lines["like"])
    assert sample.expectations != near.expectations


@pytest.mark.parametrize("name", FORMATS)
def test_every_weakness_of_a_format_is_shown_by_a_sample_or_its_absence_explained(name: str) -> None:
    codes = set(importlib.import_module(f"checker.formats.{name}").WEAKNESSES)
    shown = {code for sample in samples.of_format(name) for code in sample.lines.get("weaknesses", ())}
    excused = samples.table(name).get("not_sampled", {})
    assert codes - shown == set(excused), "the two sides must be equal: codes without a sample, and not_sampled"
    assert all(isinstance(reason, str) and reason for reason in excused.values())


def _opened(sample: samples.Sample, source: Any) -> Artifact | None:
    try:
        return open_artifact(source, sample.context(), sample.lines.get("format_id", "auto"))
    except (FormatError, DecryptionError):
        return None


def _spread(size: int) -> list[int]:
    if EVERY:
        return list(range(size))
    return sorted({*range(min(16, size)), *range(0, size, max(1, size // SPREAD))})


@pytest.mark.parametrize("sample", [item for item in GOOD if not item.path.is_dir()], ids=lambda item: item.id)
def test_a_truncated_sample_is_an_artifact_or_a_format_error_and_never_proved(sample: samples.Sample) -> None:
    source = sample.source()
    end = len(source.read(0, source.size).rstrip(b"\0"))  # fill behind the last byte that means something may go
    whole = {other.read(0, other.size) for other in (item.source() for item in GOOD if item.format == sample.format)}
    for size in _spread(end):
        data = Window(source, "", 0, size).read(0, size)
        artifact = _opened(sample, BytesSource(source.name, data))
        assert artifact is None or not samples.proved(artifact) or data in whole, size  # a hybrid's classical part


@pytest.mark.parametrize("sample", GOOD, ids=lambda item: item.id)
def test_a_flipped_bit_in_covered_bytes_is_never_proved(sample: samples.Sample) -> None:
    source = sample.source()
    whole = _opened(sample, source)
    assert whole is not None
    covered = [span for signature in whole.signatures for span in signature.covers]
    covered += [span for check in whole.digests for span in check.covers]
    covered += [image.span for image in whole.images if image.span is not None]
    for offset in _spread(source.size):
        artifact = _opened(sample, samples.flipped(source, offset, offset % 8))
        inside = any(span.start <= offset < span.end for span in covered)
        assert not inside or artifact is None or not samples.proved(artifact), (offset, offset % 8)


def test_samples_stay_small() -> None:
    sizes = {
        name: sum(path.stat().st_size for path in (samples.FOLDER / name).rglob("*") if path.is_file())
        for name in samples.formats()
    }
    assert {name: size for name, size in sizes.items() if size > 400_000} == {}
    assert Path(samples.FOLDER).is_dir()
