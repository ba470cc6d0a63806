"""Where a TUF repository or client cache keeps its files: metadata by role and version, and target files.

Names are looked up in the list of the folder's files, so that no name leads anywhere else. Layouts: `metadata/` beside
`targets/` (python-tuf), everything flat, `root_history/` (python-tuf's client cache), `metadata/current` beside
`metadata/previous` (older client), `director/` beside `repo/` or `image/` (Uptane), versions or digests as prefixes
(TUF specification 1.0.33 section 6.2).
"""

from __future__ import annotations

import posixpath
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final
from urllib.parse import quote

from checker.errors import FormatError, LimitError
from checker.formats._tuf_metadata import MAX_METADATA, OFFLINE_SNAPSHOT, TARGETS, Metadata, read_metadata
from checker.io.folders import FolderSource, Member
from checker.io.sources import Window
from checker.model.artifact import Source

MAX_TOTAL: Final = 64 * 1024 * 1024  # bytes of all metadata files together
MAX_ROOTS: Final = 1024  # root versions; python-tuf's client follows 256 at a time
MAX_REPOSITORIES: Final = 64  # in one folder
HEAD: Final = 64 * 1024  # bytes at both ends of a file that are looked at to see whether it is TUF metadata
HISTORY: Final = "root_history/"
_TOP: Final = re.compile(r"(?:\d+\.)?(?:root|timestamp|snapshot|targets)\.json")
_ROOT: Final = re.compile(r"(?:(\d{1,9})\.)?root\.json")
_TYPE: Final = re.compile(
    rb'"_type"\s*:\s*"(?:root|timestamp|snapshot|targets|offline-updates|offline-snapshot)"', re.IGNORECASE
)
_TARGETS: Final = re.compile(r"(?:\d+\.)?targets\.json")
# Uptane Standard 5.2.3.1 names the fields in words; these are their spellings in the reference code and aktualizr.
_CUSTOM: Final = re.compile(
    rb'"(?:ecu_?identifiers?|ecu_?serial|hardware_?ids?|hardware_?identifiers?|release_?counter)"\s*:', re.IGNORECASE
)
DIRECTOR: Final = "director"
_OLDER: Final = (("previous/", "current/"), ("metadata.staged/", "metadata/"))  # the left one yields to the right one


def is_metadata(source: Source) -> bool:
    """Return whether both ends of a file are those of TUF metadata."""
    head, tail = source.read(0, HEAD), source.read(max(0, source.size - HEAD), HEAD)
    if not head.lstrip().startswith(b"{"):
        return False
    return any(_TYPE.search(part) for part in (head, tail)) and any(b'"signatures"' in part for part in (head, tail))


def repositories(folder: FolderSource) -> tuple[str, ...]:
    """Return the places of the metadata of the repositories in a folder, each empty or ending in a slash."""
    found: dict[str, None] = {}
    for member in folder.members:
        place, name = _split(member.path)
        if not _TOP.fullmatch(name) or place.endswith(HISTORY) or place in found or len(found) >= MAX_REPOSITORIES:
            continue
        if is_metadata(Window(folder, name, member.span.start, member.size)):
            found[place] = None
    return tuple(place for place in found if not _superseded(place, found))


def _superseded(place: str, found: Iterable[str]) -> bool:
    return any(place.endswith(old) and place.removesuffix(old) + new in found for old, new in _OLDER)


def _split(path: str) -> tuple[str, str]:
    place, slash, name = path.rpartition("/")
    return place + slash, name


@dataclass(eq=False)
class Repository:
    """The files of one repository in a folder; `place` is where its metadata lies."""

    folder: FolderSource
    place: str
    used: dict[str, None] = field(default_factory=dict)  # paths of metadata files that were read
    _room: int = field(default_factory=lambda: MAX_TOTAL)

    def read(self, member: Member) -> Metadata:
        """Return a metadata file.

        Raises:
            LimitError: all metadata together is larger than `MAX_TOTAL`, or the file than `MAX_METADATA`.
            FormatError: it is not TUF metadata.
        """
        if member.size > min(self._room, MAX_METADATA):
            limit = f"MAX_METADATA ({MAX_METADATA}) or MAX_TOTAL ({MAX_TOTAL})"
            raise LimitError(f"metadata of more bytes than {limit}", offset=member.span.start, field=member.path)
        self._room -= member.size
        self.used[member.path] = None
        data = self.folder.read(member.span.start, member.size)
        return read_metadata(data, member.path, member.span.start)

    @cached_property
    def _versions(self) -> Mapping[str, tuple[int, ...]]:
        """Return, by name, the versions that prefix it."""
        found: dict[str, list[int]] = defaultdict(list)
        for member in self.folder.members:
            place, name = _split(member.path)
            prefix, dot, rest = name.partition(".")
            if place == self.place and dot and prefix.isdecimal() and len(prefix) < 10:  # noqa: PLR2004 - digits
                found[rest].append(int(prefix))
        return {name: tuple(sorted(versions)) for name, versions in found.items()}

    def roots(self) -> Iterator[tuple[int | None, Member]]:
        """Yield every root file with the version of its name (None: `root.json`).

        Raises:
            LimitError: there are more than `MAX_ROOTS`.
        """
        count = 0
        for member in self.folder.members:
            place, name = _split(member.path)
            match = _ROOT.fullmatch(name)
            if match is None or place not in {self.place, self.place + HISTORY}:
                continue
            count += 1
            if count > MAX_ROOTS:
                raise LimitError(f"holds more than MAX_ROOTS ({MAX_ROOTS}) root files", field=self.place or "folder")
            yield int(match[1]) if match[1] else None, member

    @property
    def offline(self) -> bool:
        """Return whether this is an update from a medium, with a snapshot of its own kind and no targets metadata."""
        found = self.folder.find(f"{self.place}{OFFLINE_SNAPSHOT}.json")
        return found is not None and self.role(TARGETS, None, (), consistent=False) is None

    def role(self, name: str, version: int | None, hashes: Iterable[str], *, consistent: bool) -> Member | None:
        """Return the file of a role: the version that is asked for, else the plain one, else the highest there is.

        Role names are quoted as in a URL (python-tuf) or written as they are; older repositories prefix a digest.
        """
        for written in dict.fromkeys((quote(name, safe=""), name)):
            plain = f"{written}.json"
            versioned = () if version is None else (f"{version}.{plain}",)
            order = (*versioned, plain) if consistent else (plain, *versioned)
            newest = [f"{highest}.{plain}" for highest in self._versions.get(plain, ())[-1:]]
            prefixed = [f"{value}.{plain}" for value in hashes]
            for candidate in (*order, *prefixed, *(newest if version is None else ())):
                member = self.folder.find(self.place + candidate)
                if member is not None:
                    return member
        return None

    def starting_with(self, prefix: str) -> Iterator[str]:
        """Yield the role names of metadata files that begin with a prefix, in order, each once."""
        seen: dict[str, None] = {}
        pattern = re.compile(rf"(?:\d+\.)?({re.escape(prefix)}[0-9a-f]+)\.json")
        for member in self.folder.members:
            place, name = _split(member.path)
            match = pattern.fullmatch(name)
            if place == self.place and match:
                seen[match[1]] = None
        return iter(seen)

    @cached_property
    def target_places(self) -> tuple[str, ...]:
        """Return where target files are looked for, first the folders that hold nothing else."""
        above = posixpath.dirname(self.place.rstrip("/"))
        upper = f"{above}/" if above else ""
        tops = dict.fromkeys((upper, self.place) if self.place else ("",))
        return (*(f"{top}targets/" for top in tops), *tops)

    def copies(self, path: str, hashes: Iterable[str]) -> tuple[Member, ...]:
        """Return the files that a client may fetch for a target path: as it is, or with a digest before the name."""
        plain = path.lstrip("/")
        place, name = _split(plain)
        names = (*(f"{place}{value}.{name}" for value in hashes), plain)
        for top in self.target_places:
            found = tuple(member for member in map(self.folder.find, (top + item for item in names)) if member)
            if found:
                return found
        return ()

    def payload(self) -> tuple[Member, ...]:
        """Return all files in the folders that hold targets, without metadata (older clients kept roles there)."""
        tops = tuple(top for top in self.target_places if top.endswith("targets/"))
        inside = (member for member in self.folder.members if member.path.startswith(tops))
        return tuple(member for member in inside if member.path not in self.used)

    def unused(self) -> tuple[str, ...]:
        """Return the JSON files beside the metadata that nothing led to: older versions, or what no role names."""
        beside = (member.path for member in self.folder.members if _split(member.path)[0] == self.place)
        return tuple(path for path in beside if path.endswith(".json") and path not in self.used)


def choose(folder: FolderSource, wanted: str) -> Repository:
    """Return the only repository of a folder, or the one that lies at a place that was named.

    Raises:
        FormatError: there is none, or there are several and none was named.
    """
    places = repositories(folder)
    if wanted:
        place = wanted.strip("/") + "/" if wanted.strip("/.") else ""
        if place not in places:
            raise FormatError(f"there is no repository at {wanted!r}; {_listed(places)}", field="option repository")
        return Repository(folder, place)
    if len(places) != 1:
        raise FormatError(f"{_listed(places)}; name one with the option `repository`", field="folder")
    return Repository(folder, places[0])


def pair(folder: FolderSource) -> tuple[Repository, Repository] | None:
    """Return the director and the image repository of a folder (Uptane), or None where there are not both.

    Raises:
        FormatError: there are several of one kind.
    """
    places = repositories(folder)
    directors = tuple(place for place in places if DIRECTOR in place.split("/"))
    images = tuple(place for place in places if DIRECTOR not in place.split("/"))
    if not directors or not images:
        return None
    if len(places) > 2:  # noqa: PLR2004 - one director, one image repository
        raise FormatError(
            f"{_listed(places)}; give a folder with one director and one image repository", field="folder"
        )
    return Repository(folder, directors[0]), Repository(folder, images[0])


def is_uptane(folder: FolderSource) -> bool:
    """Return whether a folder holds director and image repository, an offline update, or Uptane's custom fields."""
    places = repositories(folder)
    if len({DIRECTOR in place.split("/") for place in places}) > 1:
        return True
    if len(places) == 1 and Repository(folder, places[0]).offline:
        return True
    targets = (member for member in folder.members if _TARGETS.fullmatch(_split(member.path)[1]))
    beside = (member for member in targets if _split(member.path)[0] in places)
    return len(places) == 1 and any(
        _CUSTOM.search(folder.read(member.span.start, min(member.size, MAX_METADATA))) for member in beside
    )


def _listed(places: tuple[str, ...]) -> str:
    shown = ", ".join(place or "./" for place in places[:8])
    return f"the folder holds {len(places)} TUF repositories: {shown or 'none'}"
