"""Lists of digests inside an archive: `sha256sum` and BSD lines, `*.sha256` files, JSON and YAML manifests.

A list is known by its name and by its content: a member called like one that holds no digest of anything is none.
JSON and YAML manifests have no common form; every object that names a file beside its digest, and every name of a file
that stands before a digest, is taken as a statement.

Source: GNU coreutils "cksum output modes" (also the escaped names), md5(1) of FreeBSD (tagged lines).
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from checker.crypto.jose import read_json
from checker.description import _yaml
from checker.errors import DescriptionError, FormatError
from checker.formats._archive_members import plain

MAX_LIST: Final = 4 * 1024 * 1024  # bytes: 100,000 lines of `sha256sum` have some 10 MB, real ones a few KB
MAX_STATEMENTS: Final = 100_000  # of one list, as many as members are read
_NAME: Final = re.compile(
    r"(?i)(sums?|digests?|hash(es)?|checksums?|manifest|metadata|contents|index|update|package)([-_.][\w.-]*)?$"
    r"|\.(md5|sha-?\d+|sha[23]-\d+|b2|blake2b)(sums?)?(\.txt)?$|^(sha\d+|md5|b2)sums?\b|\.sfv$"
)
_SIDE: Final = re.compile(r"(?i)\.(md5|sha-?\d+|b2)(sums?)?(\.txt)?$")
_GNU: Final = re.compile(r"(\\?)([0-9A-Fa-f]{32,128})(?: [ *]|\t)(.+)")
_BSD: Final = re.compile(r"(\\?)([A-Za-z0-9/-]{2,12}) ?\((.+)\) ?= ?([0-9A-Fa-f]{8,128}|[A-Za-z0-9+/]+=*)")
_BARE: Final = re.compile(r"\s*([0-9A-Fa-f]{32,128})\s*(?:-\s*)?")
_COMMENT: Final = re.compile(r"\s*([#;].*|//.*)?")
_BY_SIZE: Final = {16: "md5", 20: "sha-1", 28: "sha-224", 32: "sha-256", 48: "sha-384", 64: "sha-512"}  # bytes
_SIZES: Final = {name: size for size, name in _BY_SIZE.items()} | {
    "crc-32": 4,
    "crc-16": 2,
    "blake2b-512": 64,
    "sha3-256": 32,
    "sha3-384": 48,
    "sha3-512": 64,
    "sha-512/256": 32,
    "sm3": 32,
}
_WORDS: Final = {
    "md5": "md5", "sha1": "sha-1", "sha224": "sha-224", "sha256": "sha-256", "sha384": "sha-384",
    "sha512": "sha-512", "sha2256": "sha-256", "sha2384": "sha-384", "sha2512": "sha-512", "sha3256": "sha3-256",
    "sha3384": "sha3-384", "sha3512": "sha3-512", "blake2b": "blake2b-512", "blake2b512": "blake2b-512",
    "b2": "blake2b-512", "crc32": "crc-32", "crc16": "crc-16", "sm3": "sm3", "sha512256": "sha-512/256",
}  # fmt: skip
_ENDINGS: Final = ("sum", "hash", "digest", "checksum", "hex", "base64")
_FILE_KEYS: Final = ("name", "file", "filename", "path", "filepath", "binfile", "image", "target", "src", "source")
_DIGEST_KEYS: Final = frozenset({"hash", "hashes", "digest", "digests", "checksum", "checksums", "integrity"})
_ALGORITHM_KEYS: Final = ("algorithm", "alg", "hashalgorithm", "hashtype", "digestalgorithm", "checksumtype", "type")


@dataclass(frozen=True)
class Statement:
    """One line: the file's name as the list has it, and its digest."""

    name: str
    algorithm: str
    digest: bytes


@dataclass(frozen=True, kw_only=True)
class Listing:
    """A list of digests, or a manifest without any. `version` and `hardware` are what a manifest says at its top."""

    name: str
    statements: tuple[Statement, ...]
    version: str | None = None
    hardware: tuple[str, ...] = ()
    structured: bool = False  # JSON or YAML


def may_be_list(name: str) -> bool:
    """Return whether a member is called like a list of digests or a manifest."""
    return _NAME.search(plain(name).rpartition("/")[2]) is not None


def read_list(name: str, data: bytes, names: Iterable[str]) -> Listing | None:
    """Return the list that a member holds, None where it is none.

    Args:
        name: the member's own name; a digest without a name is that of the file that the list is called after.
        data: its content.
        names: the names of all files, for manifests that have them as keys.
    """
    if data.lstrip()[:1] in {b"{", b"["}:
        return read_manifest(name, _json(data), names)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        return None
    if re.search(r"(?i)\.ya?ml$", name):
        return read_manifest(name, _parsed_yaml(data), names)
    return _read_lines(name, text)


def _json(data: bytes) -> Any:  # noqa: ANN401 - JSON may be anything
    try:
        return read_json(data, "manifest", limit=MAX_LIST)
    except FormatError:
        return None


def _parsed_yaml(data: bytes) -> Any:  # noqa: ANN401 - YAML may be anything
    try:
        return _yaml.parse(data, "manifest")
    except DescriptionError:
        return None


# Lines


def _read_lines(name: str, text: str) -> Listing | None:
    found: list[Statement] = []
    for line in text.splitlines():
        if _COMMENT.fullmatch(line):
            continue
        statement = _line(name, line)
        if statement is None or len(found) >= MAX_STATEMENTS:
            return None
        found.append(statement)
    return Listing(name=name, statements=tuple(found)) if found else None


def _line(name: str, line: str) -> Statement | None:
    gnu, bsd, bare = _GNU.fullmatch(line), _BSD.fullmatch(line), _BARE.fullmatch(line)
    if bsd and algorithm(bsd[2]):
        kind = algorithm(bsd[2])
        digest = decode(bsd[4], kind)
        return Statement(_unescape(bsd[3], bsd[1]), kind, digest) if digest else None
    if gnu:
        return _sized(_unescape(gnu[3], gnu[1]), gnu[2], name)
    side = _SIDE.search(name)
    return _sized(name[: side.start()], bare[1], name) if bare and side else None


def _unescape(name: str, mark: str) -> str:
    return re.sub(r"\\([\\nr])", lambda found: {"\\": "\\", "n": "\n", "r": "\r"}[found[1]], name) if mark else name


def _sized(target: str, digits: str, name: str) -> Statement | None:
    """Return the statement of a digest whose algorithm its length and the list's name tell."""
    kind = "blake2b-512" if re.search(r"(?i)b2sum|blake2b|\.b2$", name) else _BY_SIZE.get(len(digits) // 2, "")
    return Statement(target, kind, bytes.fromhex(digits)) if kind and len(digits) % 2 == 0 else None


# Manifests


def read_manifest(name: str, value: Any, names: Iterable[str]) -> Listing | None:  # noqa: ANN401 - parsed JSON
    """Return what a parsed manifest states; None where it is no object or list."""
    if not isinstance(value, dict | list):
        return None
    known = {plain(item) for item in names} | {plain(item).rpartition("/")[2] for item in names}
    found: list[Statement] = []
    for statement in _walk(value, known):
        found.append(statement)
        if len(found) > MAX_STATEMENTS:
            return None
    top = value if isinstance(value, dict) else {}
    return Listing(
        name=name,
        statements=tuple(dict.fromkeys(found)),
        version=_top_text(top, ("version", "updateversion", "firmwareversion", "fwversion")),
        hardware=tuple(_top_texts(top, ("hardware", "compatible", "devicetype", "board", "hwversion", "model"))),
        structured=True,
    )


def _walk(value: Any, known: set[str]) -> Iterator[Statement]:  # noqa: ANN401 - parsed JSON
    """Yield every statement below a value; the JSON reader has bounded the depth."""
    if isinstance(value, list):
        for item in value:
            yield from _walk(item, known)
    if not isinstance(value, dict):
        return
    for key in (key for key in value if _normal(key) in _FILE_KEYS):
        if isinstance(value[key], str) and value[key]:
            for kind, digest in _digests(value):
                yield Statement(str(value[key]), kind, digest)
            break
    for key, item in value.items():
        if plain(key) in known:
            for kind, digest in _digests(item if isinstance(item, dict) else {"digest": item}):
                yield Statement(str(key), kind, digest)
        yield from _walk(item, known)


def _digests(value: dict[str, Any]) -> Iterator[tuple[str, bytes]]:
    """Yield the digests that an object states about one file."""
    said = next((str(value[key]) for key in value if _normal(key) in _ALGORITHM_KEYS), "")
    for key, item in value.items():
        kind = algorithm(key)
        if isinstance(item, dict) and _normal(key) in _DIGEST_KEYS:
            yield from _digests(item)
        elif isinstance(item, list) and _normal(key) in _DIGEST_KEYS:
            for part in item:
                yield from _digests(part) if isinstance(part, dict) else ()
        elif isinstance(item, str) and (kind or _normal(key) in {*_DIGEST_KEYS, "value"}):
            found = _stated(item, kind or algorithm(said))
            if found:
                yield found


def _stated(text: str, kind: str) -> tuple[str, bytes] | None:
    """Return algorithm and digest of `…`, `sha256:…` or `sha256-…` (Subresource Integrity)."""
    prefixed = re.fullmatch(r"([A-Za-z0-9-]{2,12})[:-](.+)", text)
    if prefixed and algorithm(prefixed[1]):
        kind, text = algorithm(prefixed[1]), prefixed[2]
    if not kind and re.fullmatch(r"[0-9A-Fa-f]+", text):
        kind = _BY_SIZE.get(len(text) // 2, "")
    digest = decode(text, kind)
    return (kind, digest) if kind and digest else None


def algorithm(word: str) -> str:
    """Return the id of the algorithm table for a word such as `SHA2-256`, `sha_256` or `sha256sum`, or nothing."""
    text = _normal(word).replace("/", "")
    for ending in ("", *_ENDINGS):
        if text.endswith(ending) and text[: len(text) - len(ending)] in _WORDS:
            return _WORDS[text[: len(text) - len(ending)]]
    return ""


def decode(text: str, kind: str) -> bytes:
    """Return a digest written in hexadecimal or base64, nothing where its length is not the algorithm's."""
    size = _SIZES.get(kind, 0)
    if re.fullmatch(r"[0-9A-Fa-f]+", text) and len(text) == 2 * size:
        return bytes.fromhex(text)
    try:
        data = base64.b64decode(text.replace("-", "+").replace("_", "/"), validate=True)
    except (binascii.Error, ValueError):
        return b""
    return data if size and len(data) == size else b""


def _normal(key: str) -> str:
    return re.sub(r"[-_. ]", "", key).lower()


def _top_text(top: dict[str, Any], keys: tuple[str, ...]) -> str | None:
    return next((item for item in _top_texts(top, keys)), None)


def _top_texts(top: dict[str, Any], keys: tuple[str, ...]) -> Iterator[str]:
    for key, item in top.items():
        if _normal(key) in keys:
            for part in item if isinstance(item, list) else [item]:
                if isinstance(part, str | int) and not isinstance(part, bool):
                    yield str(part)
