"""Offers are written in pieces, the state is copied without leaving it, and every change of it is seen."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from checker.errors import InputError, LimitError
from checker.io.sources import BytesSource
from checker.model.artifact import Artifact, Coverage, Span
from checker.trials import files
from checker.trials.contract import ARTIFACT, Content, Genuine, Offer

DATA = bytes(range(256)) * 2000  # more than one chunk
BARE = Artifact(format="none", name="a", size=len(DATA), sha256="00" * 32, signatures=(), coverage=Coverage())
GENUINE = Genuine(
    id="a", artifact=BARE, files={ARTIFACT: BytesSource("a.bin", DATA), "signature": BytesSource("a.sig", b"s" * 64)}
)
OFFER = Offer(test="T01", variant="a bit")


def written(tmp_path: Path, offer: Offer) -> dict[str, bytes]:
    parts = files.offered(GENUINE, offer, GENUINE.files)
    return {name: path.read_bytes() for name, path in files.write_all(tmp_path / "offered", parts).items()}


def test_what_is_not_named_is_genuine(tmp_path: Path) -> None:
    assert written(tmp_path, OFFER) == {ARTIFACT: DATA, "signature": b"s" * 64}


def test_pieces_are_put_together_in_order(tmp_path: Path) -> None:
    content = Content(pieces=(Span(10, 200_000), b"new", Span(0, 5)))
    assert (
        written(tmp_path, replace(OFFER, changed={ARTIFACT: content}))[ARTIFACT] == DATA[10:200_000] + b"new" + DATA[:5]
    )


def test_an_empty_file_is_a_file(tmp_path: Path) -> None:
    assert written(tmp_path, replace(OFFER, changed={ARTIFACT: Content(pieces=())}))[ARTIFACT] == b""


def test_a_companion_is_left_out_or_added(tmp_path: Path) -> None:
    offer = replace(OFFER, without=frozenset({"signature"}), changed={"more": Content.whole(b"more")})
    assert set(written(tmp_path, offer)) == {ARTIFACT, "more"}


def test_suffixes_are_kept_and_names_are_not_the_strangers(tmp_path: Path) -> None:
    sources = {ARTIFACT: BytesSource("../x/a.swu", b"1"), "../up": BytesSource("b.s/../ig", b"2")}
    paths = files.write_all(tmp_path / "o", {name: (item, files.whole(item)) for name, item in sources.items()})
    assert {name: path.name for name, path in paths.items()} == {ARTIFACT: "artifact.swu", "../up": "companion-0"}
    assert {path.parent for path in paths.values()} == {tmp_path / "o"}


@pytest.mark.parametrize(("name", "end"), [(ARTIFACT, len(DATA) + 1), ("new", 1)])
def test_a_span_beyond_the_end_is_said(tmp_path: Path, name: str, end: int) -> None:
    with pytest.raises(InputError, match="ends before"):
        written(tmp_path, replace(OFFER, changed={name: Content(pieces=(Span(0, end),))}))


def test_an_offer_of_any_size_is_refused_before_it_is_written(tmp_path: Path) -> None:
    offer = replace(OFFER, changed={ARTIFACT: Content(pieces=(Span(0, files.MAX_OFFER), b"x"))})
    with pytest.raises(LimitError):
        written(tmp_path, offer)
    assert not any((tmp_path / "offered").iterdir())


@pytest.fixture
def state(tmp_path: Path) -> Path:
    folder = tmp_path / "state"
    (folder / "slots").mkdir(parents=True)
    (folder / "slots" / "a.bin").write_bytes(b"old")
    (folder / "version").write_text("1")
    (folder / "current").symlink_to("slots/a.bin")
    return folder


def test_the_state_is_copied_with_its_links(state: Path, tmp_path: Path) -> None:
    files.copy_state(state, tmp_path / "copy")
    assert (tmp_path / "copy" / "current").readlink() == Path("slots/a.bin")
    assert files.fingerprint(state) == files.fingerprint(tmp_path / "copy")
    (tmp_path / "copy" / "version").write_text("2")
    assert (state / "version").read_text() == "1"


@pytest.mark.parametrize("target", ["/etc/hostname", "../outside", "slots/../../outside"])
def test_a_link_out_of_the_state_is_refused(state: Path, tmp_path: Path, target: str) -> None:
    (tmp_path / "outside").write_text("not yours")
    (state / "link").symlink_to(target)
    with pytest.raises(InputError, match="leads out"):
        files.copy_state(state, tmp_path / "copy")
    assert not (tmp_path / "copy" / "link").is_symlink()
    assert files.inside(state, "link") is None


def test_a_folder_that_is_a_link_is_not_walked(state: Path, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "file").write_text("x")
    (state / "link").symlink_to(tmp_path / "outside")
    with pytest.raises(InputError, match="leads out"):
        files.copy_state(state, tmp_path / "copy")


def test_a_pipe_is_no_state(state: Path, tmp_path: Path) -> None:
    os.mkfifo(state / "pipe")
    with pytest.raises(InputError, match="neither a file nor a folder"):
        files.copy_state(state, tmp_path / "copy")


def test_a_state_has_bounds(state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MAX_STATE", 3)
    with pytest.raises(LimitError, match="bytes"):
        files.copy_state(state, tmp_path / "copy")
    monkeypatch.setattr(files, "MAX_STATE_FILES", 2)
    with pytest.raises(LimitError, match="files"):
        files.copy_state(state, tmp_path / "copy2")


def test_no_folder_is_no_state(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no folder"):
        files.copy_state(tmp_path / "nothing", tmp_path / "copy")


@pytest.mark.parametrize("change", ["content", "name", "new", "kind", "link"])
def test_every_change_of_the_state_is_seen(state: Path, change: str) -> None:
    before = files.fingerprint(state, ["log"])
    if change == "content":
        (state / "slots" / "a.bin").write_bytes(b"odd")
    elif change == "name":
        (state / "version").rename(state / "versions")
    elif change == "new":
        (state / "empty").touch()
    elif change == "kind":
        (state / "version").unlink()
        (state / "version").mkdir()
    else:
        (state / "current").unlink()
        (state / "current").symlink_to("slots/b.bin")
    assert files.fingerprint(state, ["log"]) != before


def test_the_log_may_grow(state: Path) -> None:
    before = files.fingerprint(state, ["log"])
    (state / "log").write_text("refused")
    assert files.fingerprint(state, ["log"]) == before != files.fingerprint(state)


def test_what_lies_installed_is_replaced_by_pieces_of_itself(state: Path) -> None:
    path = state / "slots" / "a.bin"
    path.chmod(0o640)
    files.replace_content(path, Content.patched(3, 1, b"X"))
    assert path.read_bytes() == b"oXd"
    assert path.stat().st_mode & 0o777 == 0o640
    assert [item.name for item in path.parent.iterdir()] == ["a.bin"]
