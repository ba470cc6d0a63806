"""A folder as one source: order, spans, identity, links and limits."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from checker.errors import InputError, LimitError
from checker.io import folders
from checker.io.digests import identify
from checker.io.files import Files
from checker.io.folders import FolderSource
from checker.model.artifact import Span


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    top = tmp_path / "repository"
    (top / "targets").mkdir(parents=True)
    (top / "root.json").write_bytes(b"{root}")
    (top / "targets" / "b.bin").write_bytes(b"BBB")
    (top / "targets" / "a.bin").write_bytes(b"")
    return top


def test_files_lie_end_to_end_in_the_order_of_their_paths(repository: Path) -> None:
    source = FolderSource.of(repository, "repository")
    assert [member.path for member in source.members] == ["root.json", "targets/a.bin", "targets/b.bin"]
    assert [member.span for member in source.members] == [Span(0, 6), Span(6, 6), Span(6, 9)]
    assert source.read(0, 100) == b"{root}BBB"
    assert source.read(4, 3) == b"t}B"
    assert source.read(9, 1) == b""
    assert source.member("targets/b.bin").read(1, 5) == b"BB"
    assert source.find("targets/c.bin") is None


def test_the_identity_binds_names_and_boundaries(repository: Path) -> None:
    def identity() -> str:
        return identify(FolderSource.of(repository, "x")).result().hex()

    first = identity()
    assert first == hashlib.sha256(b"root.json\0006\0{root}targets/a.bin\0000\0targets/b.bin\0003\0BBB").hexdigest()
    (repository / "targets" / "a.bin").write_bytes(b"B")
    (repository / "targets" / "b.bin").write_bytes(b"BB")
    assert identity() != first
    (repository / "targets" / "a.bin").write_bytes(b"")
    (repository / "targets" / "b.bin").write_bytes(b"BBB")
    assert identity() == first
    (repository / "targets" / "a.bin").rename(repository / "targets" / "aa.bin")
    assert identity() != first


def test_a_link_inside_is_followed_and_one_that_leads_outside_is_refused(repository: Path, tmp_path: Path) -> None:
    (repository / "latest.json").symlink_to("root.json")
    assert FolderSource.of(repository, "repository").read(0, 6) == b"{root}"
    (tmp_path / "secret").write_bytes(b"secret")
    (repository / "out.json").symlink_to("../secret")
    with pytest.raises(InputError, match=r"repository/out\.json: is a link that leads out"):
        FolderSource.of(repository, "repository")


@pytest.mark.parametrize("target", ["nowhere", "loop"])
def test_a_link_to_nothing_and_a_circle_are_refused(repository: Path, target: str) -> None:
    (repository / "loop").symlink_to(target)
    with pytest.raises(InputError, match="a link to nothing, a circle"):
        FolderSource.of(repository, "repository")


def test_a_pipe_is_refused(repository: Path) -> None:
    os.mkfifo(repository / "pipe")
    with pytest.raises(InputError, match="neither a file nor a folder"):
        FolderSource.of(repository, "repository")


def test_a_folder_inside_itself_ends_at_the_depth_limit(repository: Path) -> None:
    (repository / "again").symlink_to(".")
    with pytest.raises(LimitError, match="MAX_FOLDER_DEPTH"):
        FolderSource.of(repository, "repository")


def test_one_file_too_many_is_refused(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folders, "MAX_FOLDER_FILES", 3)
    assert len(FolderSource.of(repository, "repository").members) == 3
    (repository / "z").touch()
    with pytest.raises(LimitError, match=r"MAX_FOLDER_FILES \(3\)"):
        FolderSource.of(repository, "repository")


def test_a_file_that_shrinks_gives_a_short_read(repository: Path) -> None:
    source = FolderSource.of(repository, "repository")
    (repository / "root.json").write_bytes(b"{}")
    assert source.read(0, 9) == b"{}"


def test_a_file_that_vanishes_is_an_input_error(repository: Path) -> None:
    source = FolderSource.of(repository, "repository")
    (repository / "root.json").unlink()
    with pytest.raises(InputError, match=r"repository/root\.json: cannot be read"):
        source.read(0, 9)


def test_files_tell_folders_from_files(repository: Path) -> None:
    files = Files(repository.parent)
    assert files.folder_of("repository") is not None
    assert files.folder_of("repository/root.json") is None
