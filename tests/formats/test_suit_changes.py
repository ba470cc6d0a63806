"""Changed envelopes: whatever the bytes, an artifact or a format error, in bounded time."""

from __future__ import annotations

from pathlib import Path

import cbor2
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from checker.errors import FormatError, LimitError
from checker.formats._open import open_artifact
from checker.io.sources import BytesSource
from checker.model.artifact import Artifact
from tests.formats import samples
from tests.formats.samples import Sample

GOOD = [sample for sample in samples.of_format("suit") if sample.name.startswith("good/")]
SMALL = [sample for sample in GOOD if sample.path.stat().st_size < 1400]
HEADS = (0x00, 0x1B, 0x40, 0x5B, 0x60, 0x7F, 0x80, 0x9B, 0xA0, 0xBB, 0xD8, 0xF5, 0xF6, 0xFF)


def opened(sample: Sample, data: bytes) -> Artifact | None:
    try:
        return open_artifact(BytesSource("changed.suit", data), sample.context(), "suit")
    except FormatError:
        return None


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_a_changed_envelope_is_an_artifact_or_a_format_error(data: st.DataObject) -> None:
    sample = data.draw(st.sampled_from(SMALL), label="sample")
    whole = bytearray(sample.path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, min(len(whole) - 1, 420)))
        kind = data.draw(st.sampled_from(["bit", "head", "cut", "more"]))
        if kind == "bit":
            whole[place] ^= 1 << data.draw(st.integers(0, 7))
        elif kind == "head":
            whole[place] = data.draw(st.sampled_from(HEADS))
        elif kind == "cut":
            del whole[place : place + data.draw(st.integers(1, 8))]
        else:
            whole[place:place] = data.draw(st.binary(min_size=1, max_size=8))
    opened(sample, bytes(whole))


def test_commands_without_a_component_apply_to_nothing() -> None:
    sample = next(item for item in GOOD if item.name == "good/es256.suit")
    envelope = cbor2.loads(sample.path.read_bytes())
    manifest = cbor2.loads(envelope.value[3])
    common = dict(cbor2.loads(manifest[3]))
    common[2] = []
    changed = {**envelope.value, 3: cbor2.dumps({**manifest, 3: cbor2.dumps(common)})}
    artifact = opened(sample, cbor2.dumps(cbor2.CBORTag(107, changed)))
    assert artifact is not None
    assert [image.role for image in artifact.images] == ["other"]
    assert not samples.proved(artifact)


@pytest.mark.parametrize("count", [70_000, 400_000])
def test_a_million_of_anything_is_refused_by_a_named_limit(count: int) -> None:
    sample = GOOD[0]
    manifest = cbor2.dumps({1: 1, 2: 1, 3: cbor2.dumps({2: [[b"\0"]], 4: cbor2.dumps([20, {}] * count)})})
    with pytest.raises(LimitError, match="MAX_"):
        open_artifact(BytesSource("x", cbor2.dumps({3: manifest})), sample.context(), "suit")


@settings(max_examples=40, deadline=None)
@given(depth=st.integers(1, 40))
@example(depth=16)
@example(depth=17)
def test_sequences_inside_sequences_end_at_a_named_depth(depth: int) -> None:
    sequence = cbor2.dumps([21, 2])
    for _ in range(depth):
        sequence = cbor2.dumps([32, sequence])
    manifest = cbor2.dumps({1: 1, 2: 1, 3: cbor2.dumps({2: [[b"\0"]]}), 20: sequence})
    data = cbor2.dumps({3: manifest})
    source = BytesSource("x", data)
    if depth > 16:
        with pytest.raises(LimitError, match="MAX_SEQUENCE_DEPTH"):
            open_artifact(source, GOOD[0].context(), "suit")
    else:
        assert open_artifact(source, GOOD[0].context(), "suit").images == ()


def test_alternatives_that_multiply_are_refused_by_a_named_limit() -> None:
    alternative = cbor2.dumps([20, dict.fromkeys(range(200), 0)])
    sequence = cbor2.dumps([15, [alternative] * 900])
    for _ in range(3):
        sequence = cbor2.dumps([15, [sequence]])
    manifest = cbor2.dumps({1: 1, 2: 1, 3: cbor2.dumps({2: [[bytes([n])] for n in range(200)]}), 20: sequence})
    with pytest.raises(LimitError, match="MAX_"):
        open_artifact(BytesSource("x", cbor2.dumps({3: manifest})), GOOD[0].context(), "suit")


def test_the_samples_are_where_they_are_expected() -> None:
    assert len(SMALL) > 8
    assert Path(samples.FOLDER / "suit").is_dir()
