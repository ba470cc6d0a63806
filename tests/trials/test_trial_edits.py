"""Edits of files as pieces: what is written is what was asked for, and nothing large is held in memory."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from checker.crypto.staging import Staging, like
from checker.errors import FormatError
from checker.io.sources import BytesSource, FileSource
from checker.model.artifact import Artifact, Coverage, KeyFacts, Signature, Span
from checker.model.terms import Outcome as Verdict
from checker.trials._edits import Edited, changed_source, chunks, composed, flipped, groups, patched, then
from checker.trials.anatomies.detached import ANATOMY
from checker.trials.contract import ARTIFACT, Body, Change, Content, Genuine, Part
from tests.trials import trial_kit

LENIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # other programs may be busy
DATA = bytes(range(200))
SIZE = 512 * 1024 * 1024
ROOM = 24 * 1024 * 1024


def written(content: Content, data: bytes = DATA) -> bytes:
    return b"".join(chunks(content, BytesSource("x", data)))


def contents(size: int) -> st.SearchStrategy[Content]:
    spans = st.tuples(st.integers(0, size), st.integers(0, size)).map(lambda pair: Span(min(pair), max(pair)))
    return st.lists(st.one_of(spans, st.binary(max_size=20)), max_size=6).map(
        lambda items: Content(pieces=tuple(items))
    )


@LENIENT
@given(contents(len(DATA)), st.integers(0, 400), st.integers(0, 400))
def test_a_changed_file_reads_like_what_is_written(content: Content, offset: int, length: int) -> None:
    whole, source = written(content), Edited("x", content, BytesSource("x", DATA))
    assert source.size == len(whole)
    assert source.read(offset, length) == whole[offset : offset + length]


@LENIENT
@given(contents(len(DATA)), contents(60))
def test_two_changes_are_one_change_of_the_genuine_file(inner: Content, outer: Content) -> None:
    assert written(composed(outer, inner)) == written(outer, written(inner))
    both = then(Change(changed={"a": inner}), Change(changed={"a": outer, "b": outer}))
    assert written(both.changed["a"]) == written(outer, written(inner))
    assert both.changed["b"] == outer


def test_patches_keep_all_else_and_the_size() -> None:
    found = written(patched(len(DATA), [(0, b"x"), (199, b"y"), (50, b"abc")]))
    assert trial_kit.differences(DATA, found) == [0, 50, 51, 52, 199]


def test_parts_of_one_name_are_flipped_together_and_a_place_outside_is_refused() -> None:
    genuine = Genuine(id="x", artifact=artifact(len(DATA)), files={ARTIFACT: BytesSource("x", DATA)})
    parts = [Part(name="a", span=Span(3, 5)), Part(name="a", span=Span(9, 12)), Part(name="b", span=Span(0, 1))]
    assert {name: len(found) for name, found in groups(parts).items()} == {"a": 2, "b": 1}
    change = flipped(genuine, Body(), parts[:2], -1)
    data = changed_source(genuine, ARTIFACT, change).read(0, 999)
    assert trial_kit.differences(DATA, data) == [4, 11]
    for span, at in ((Span(3, 3), 0), (Span(3, 5), 2), (Span(199, 250), 1)):
        with pytest.raises(FormatError, match="does not reach"):
            flipped(genuine, Body(), [Part(name="a", span=span)], at)


def artifact(size: int) -> Artifact:
    key = KeyFacts(algorithm="ec-p256", bits=256)
    signed = Signature(outcome=Verdict.VALID, algorithm="ecdsa", hash="sha-256", key=key, encoding="DER")
    return Artifact(format="detached", name="x", size=size, sha256="", signatures=(signed,), coverage=Coverage())


@pytest.fixture
def large(tmp_path: Path) -> Iterator[FileSource]:
    path = tmp_path / "large.bin"
    with path.open("wb") as file:
        file.truncate(SIZE)
    with FileSource(path, "large.bin") as source:
        yield source


def test_no_offer_of_a_large_file_holds_it_in_memory(large: FileSource) -> None:
    signer = like(KeyFacts(algorithm="ec-p256"))
    signature = BytesSource("s", b"\x30\x06\x02\x01\x01\x02\x01\x01")
    genuine = Genuine(
        id="x",
        artifact=artifact(SIZE),
        files={ARTIFACT: large, "signature": signature},
        staging=Staging(signer=signer),
        random=trial_kit.random,
    )
    tracemalloc.start()
    try:
        body = ANATOMY.read(genuine)
        offers = [offer for mutation in trial_kit.all_mutations() for offer in mutation.offers(genuine, body)]
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < ROOM
    made = [offer for offer in offers if not offer.needs]
    assert {"T01", "T05", "T06", "T07", "T25"} <= {offer.test for offer in made}
    surplus = next(offer for offer in made if offer.test == "T25").changed[ARTIFACT]
    assert trial_kit.size_of(surplus) > SIZE
    assert len({id(piece) for piece in surplus.pieces if isinstance(piece, bytes)}) == 1
