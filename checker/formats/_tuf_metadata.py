"""One TUF metadata file: bytes in, a checked and typed view out (TUF specification 1.0.33 section 4).

Uptane's metadata is the same (IEEE-ISTO 6100.1.0.0 section 5.2); aktualizr writes the types with a capital letter.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeGuard

from checker.errors import FormatError, LimitError
from checker.formats._tuf_keys import Entry, Key, Role, forms, read_key
from checker.io.limits import MAX_MEMBERS
from checker.io.strict_json import parse, spans
from checker.model.artifact import Span

ROOT, TIMESTAMP, SNAPSHOT, TARGETS = TOP_LEVEL = ("root", "timestamp", "snapshot", "targets")
OFFLINE_SNAPSHOT, OFFLINE_UPDATES = "offline-snapshot", "offline-updates"  # aktualizr's updates from a medium
_KINDS: Final = {name: name for name in TOP_LEVEL} | {OFFLINE_SNAPSHOT: SNAPSHOT, OFFLINE_UPDATES: TARGETS}
MAX_METADATA: Final = 8 * 1024 * 1024  # bytes of one file; python-tuf reads at most 5,000,000 of targets metadata
MAX_SIGNATURES: Final = 512  # of one file; each costs a verification
MAX_KEYS: Final = 4096  # of one file
MAX_PATTERNS: Final = 100_000  # paths and prefixes of all delegations of one file
MAX_PATH: Final = 4096  # characters of a target path or pattern; Linux's PATH_MAX
MAX_BITS: Final = 32  # of a succinct delegation (TAP 15)
_STANDARD: Final = frozenset({"_type", "custom", "delegations", "expires", "spec_version", "targets", "version"})
_TIME: Final = re.compile(r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(?:\.\d+)?(Z| UTC|[+-]\d\d:\d\d)")
_HASH_NAMES: Final = {
    "md5": "md5",
    "sha1": "sha-1",
    "sha224": "sha-224",
    "sha256": "sha-256",
    "sha384": "sha-384",
    "sha512": "sha-512",
    "sha3-256": "sha3-256",
    "sha3-384": "sha3-384",
    "sha3-512": "sha3-512",
    "blake2b": "blake2b-512",
    "blake2s": "blake2s-256",
}
_HEX: Final = re.compile(r"(?:[0-9A-Fa-f]{2})+")


@dataclass(frozen=True, kw_only=True)
class FileInfo:
    """What metadata says of a file: version, length in bytes, digests in hex by algorithm; each may be left out."""

    version: int | None = None
    length: int | None = None
    hashes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Target:
    """A target file, as targets metadata names it."""

    path: str
    length: int
    hashes: Mapping[str, str]
    custom: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Delegation:
    """Whom a role trusts for some paths: by patterns, or by prefixes of the SHA-256 of the path."""

    name: str
    role: Role
    patterns: tuple[str, ...] = ()
    prefixes: tuple[str, ...] = ()
    terminating: bool = False
    bits: int = 0  # of a succinct delegation: the name stands for 2^bits bins, `name-0` and so on


@dataclass(frozen=True, kw_only=True)
class Root:
    """What root metadata says."""

    keys: Mapping[str, Key]
    roles: Mapping[str, Role]
    consistent: bool | None


@dataclass(frozen=True, kw_only=True)
class Index:
    """What timestamp and snapshot metadata say: other metadata files by name."""

    meta: Mapping[str, FileInfo]


@dataclass(frozen=True, kw_only=True)
class Targets:
    """What targets metadata says."""

    targets: tuple[Target, ...]
    keys: Mapping[str, Key]
    delegations: tuple[Delegation, ...]
    custom: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Metadata:
    """A metadata file. `type` is in small letters; `signed` and `signatures` say where they lie.

    `messages` are the canonical forms of the signed part, `rewritten` those of the whole file where Uptane's tools take
    digests over them. `problems` are faults that a strict client refuses, though the file can be read.
    """

    file: str
    type: str
    version: int
    expires: str  # RFC 3339 UTC; empty where there is none
    body: Root | Index | Targets
    entries: tuple[Entry, ...]
    messages: Mapping[bytes, str] = field(repr=False)
    data: bytes = field(repr=False)
    rewritten: tuple[bytes, ...] = field(repr=False)
    signed: Span
    signatures: Span
    specification: str
    problems: tuple[str, ...]


def read_metadata(data: bytes, file: str, offset: int = 0) -> Metadata:
    """Return a metadata file that begins at `offset` of the artifact.

    Raises:
        LimitError: it is larger than a limit allows.
        FormatError: it is not TUF metadata, or a field breaks its rules.
    """
    try:
        value = parse(data, file, limit=MAX_METADATA)
        signed = _object(value, file, "signed")
        places = spans(data, file, limit=MAX_METADATA)
        written = _text(signed, file, "_type")
        kind = _kind(written, file)
        entries = tuple(_entries(value, file))
        body, problems = _body(kind, signed, file)
        return Metadata(
            file=file,
            type=written.lower(),
            version=_integer(signed, file, "version", least=1),
            expires=_expires(signed, file),
            body=body,
            entries=entries,
            messages=forms(signed),
            data=data,
            rewritten=tuple(forms(value)) if written[:1].isupper() else (),
            signed=_moved(places["signed"], offset),
            signatures=_moved(places["signatures"], offset),
            specification=str(signed.get("spec_version", "")),
            problems=(*_duplicates(entries), *_specification(signed), *problems),
        )
    except FormatError as error:
        raise type(error)(error.message, offset=offset + error.offset, field=error.field) from error


def _moved(span: Span, offset: int) -> Span:
    return Span(span.start + offset, span.end + offset)


def _kind(written: str, file: str) -> str:
    if written.lower() not in _KINDS:
        raise FormatError(f"{written[:40]!r} is no type of TUF metadata", field=f"{file} _type")
    return _KINDS[written.lower()]


def _body(kind: str, signed: Mapping[str, Any], file: str) -> tuple[Root | Index | Targets, tuple[str, ...]]:
    if kind == ROOT:
        keys = _keys(signed, file)
        roles = {name: _role(value, f"{file} {name}") for name, value in _object(signed, file, "roles").items()}
        missing = tuple(f"names no {name} role" for name in TOP_LEVEL if name not in roles)
        return Root(keys=keys, roles=roles, consistent=_flag(signed, file, "consistent_snapshot")), missing
    if kind == TARGETS:
        return _targets(signed, file), ()
    items = _object(signed, file, "meta").items()
    return Index(meta={name: _info(value, f"{file} {name[:80]}") for name, value in items}), ()


def _specification(signed: Mapping[str, Any]) -> Iterator[str]:
    major = str(signed.get("spec_version", "1")).split(".")[0]
    if major not in {"0", "1"}:  # before 1.0.0 files said 1.0 or nothing
        yield f"is of version {str(signed['spec_version'])[:20]} of the specification, which clients of 1 refuse"


def _duplicates(entries: tuple[Entry, ...]) -> Iterator[str]:
    seen: set[str] = set()
    for entry in entries:
        if entry.keyid in seen:
            yield f"carries more than one signature under key id {entry.keyid[:16]}; they count once"
            return
        seen.add(entry.keyid)


# Parts


def _entries(value: Mapping[str, Any], file: str) -> Iterator[Entry]:
    items = _list(value, file, "signatures")
    if len(items) > MAX_SIGNATURES:
        raise LimitError(f"has more than MAX_SIGNATURES ({MAX_SIGNATURES}) signatures", field=f"{file} signatures")
    for item in items:
        where = f"{file} signatures"
        method = item.get("method", "") if isinstance(item, Mapping) else ""
        yield Entry(_text(item, where, "keyid"), method if isinstance(method, str) else "", _text(item, where, "sig"))


def _keys(holder: Mapping[str, Any], file: str) -> dict[str, Key]:
    records = _object(holder, file, "keys")
    if len(records) > MAX_KEYS:
        raise LimitError(f"has more than MAX_KEYS ({MAX_KEYS}) keys", field=f"{file} keys")
    return {keyid: read_key(keyid, _mapping(record, f"{file} keys")) for keyid, record in records.items()}


def _role(value: object, where: str) -> Role:
    record = _mapping(value, where)
    keyids = _strings(record, where, "keyids")
    if len(set(keyids)) != len(keyids):
        raise FormatError("a key id occurs twice", field=f"{where} keyids")
    return Role(keyids, _integer(record, where, "threshold", least=1))


def _info(value: object, where: str) -> FileInfo:
    record = _mapping(value, where)
    return FileInfo(
        version=_integer(record, where, "version", least=0) if "version" in record else None,
        length=_integer(record, where, "length", least=0) if "length" in record else None,
        hashes=_hashes(record, where) if "hashes" in record else {},
    )


def _hashes(record: Mapping[str, Any], where: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, text in _object(record, where, "hashes").items():
        if not isinstance(text, str) or not _HEX.fullmatch(text):
            raise FormatError(f"the {name[:20]} digest is not hexadecimal", field=f"{where} hashes")
        known = _HASH_NAMES.get(name.lower(), name[:40])
        if found.setdefault(known, text.lower()) != text.lower():
            raise FormatError(f"states two {known} digests", field=f"{where} hashes")
    return found


def _targets(signed: Mapping[str, Any], file: str) -> Targets:
    items = _object(signed, file, "targets").items()
    if len(items) > MAX_MEMBERS:
        raise LimitError(f"names more than MAX_MEMBERS ({MAX_MEMBERS}) targets", field=f"{file} targets")
    targets = tuple(_target(path, value, f"{file} {path[:80]}") for path, value in items)
    record = signed.get("delegations") or {}
    holder = _mapping(record, f"{file} delegations")
    keys = _keys(holder, f"{file} delegations") if holder.get("keys") else {}
    delegations = tuple(_delegations(holder, f"{file} delegations"))
    if sum(len(item.patterns) + len(item.prefixes) for item in delegations) > MAX_PATTERNS:
        raise LimitError(f"has more than MAX_PATTERNS ({MAX_PATTERNS}) paths", field=f"{file} delegations")
    custom = signed.get("custom")
    beside = {name: value for name, value in signed.items() if name not in _STANDARD}
    extra = {**beside, **custom} if isinstance(custom, Mapping) else beside
    return Targets(targets=targets, keys=keys, delegations=delegations, custom=extra)


def _target(path: str, value: object, where: str) -> Target:
    record = _mapping(value, where)
    custom = record.get("custom")
    _check_path(path, where)
    return Target(
        path=path,
        length=_integer(record, where, "length", least=0),
        hashes=_hashes(record, where),
        custom=custom if isinstance(custom, Mapping) else {},
    )


def _check_path(path: str, where: str) -> None:
    if len(path) > MAX_PATH:
        raise LimitError(f"a path of more than MAX_PATH ({MAX_PATH}) characters", field=where)


def _delegations(holder: Mapping[str, Any], where: str) -> Iterator[Delegation]:
    seen: set[str] = set()
    for item in holder.get("roles") or () if isinstance(holder.get("roles"), list) else ():
        record = _mapping(item, where)
        name = _text(record, where, "name")
        if name in {*TOP_LEVEL, ""} or name in seen:
            raise FormatError(f"{name[:80]!r} cannot be delegated to, or twice", field=where)
        seen.add(name)
        place = f"{where} {name[:80]}"
        if (record.get("paths") is None) is (record.get("path_hash_prefixes") is None):
            raise FormatError("has to have either paths or path_hash_prefixes", field=place)
        patterns = _strings(record, place, "paths") if record.get("paths") is not None else ()
        for pattern in patterns:
            _check_path(pattern, place)
        yield Delegation(
            name=name,
            role=_role(record, place),
            patterns=patterns,
            prefixes=tuple(text.lower() for text in _strings(record, place, "path_hash_prefixes"))
            if record.get("path_hash_prefixes") is not None
            else (),
            terminating=_flag(record, place, "terminating") is True,
        )
    if holder.get("succinct_roles") is not None:
        yield _succinct(_mapping(holder["succinct_roles"], where), f"{where} succinct_roles")


def _succinct(record: Mapping[str, Any], where: str) -> Delegation:
    bits = _integer(record, where, "bit_length", least=1)
    if bits > MAX_BITS:
        raise FormatError(f"is {bits}, at most {MAX_BITS} are allowed", field=f"{where} bit_length")
    return Delegation(name=_text(record, where, "name_prefix"), role=_role(record, where), terminating=True, bits=bits)


# Fields


def _is_object(value: object) -> TypeGuard[Mapping[str, Any]]:
    return isinstance(value, dict)


def _mapping(value: object, where: str) -> Mapping[str, Any]:
    if not _is_object(value):
        raise FormatError("is not an object", field=where)
    return value


def _member(holder: object, where: str, name: str) -> object:
    record = _mapping(holder, where)
    if name not in record:
        raise FormatError(f"there is no {name}", field=where)
    return record[name]


def _object(holder: object, where: str, name: str) -> Mapping[str, Any]:
    return _mapping(_member(holder, where, name), f"{where} {name}")


def _list(holder: object, where: str, name: str) -> list[Any]:
    value = _member(holder, where, name)
    if not isinstance(value, list):
        raise FormatError("is not a list", field=f"{where} {name}")
    return value


def _text(holder: object, where: str, name: str) -> str:
    value = _member(holder, where, name)
    if not isinstance(value, str):
        raise FormatError("is not text", field=f"{where} {name}")
    return value


def _strings(holder: object, where: str, name: str) -> tuple[str, ...]:
    value = _list(holder, where, name)
    if not all(isinstance(item, str) for item in value):
        raise FormatError("is not a list of texts", field=f"{where} {name}")
    return tuple(value)


def _integer(holder: object, where: str, name: str, *, least: int) -> int:
    value = _member(holder, where, name)
    if type(value) is not int or value < least:
        raise FormatError(f"is {str(value)[:40]}, not a whole number of at least {least}", field=f"{where} {name}")
    return value


def _flag(holder: Mapping[str, Any], where: str, name: str) -> bool | None:
    value = holder.get(name)
    if value is not None and not isinstance(value, bool):
        raise FormatError("is neither true nor false", field=f"{where} {name}")
    return value


def _expires(signed: Mapping[str, Any], file: str) -> str:
    if "expires" not in signed:
        return ""
    written = _text(signed, file, "expires")
    match = _TIME.fullmatch(written)
    try:
        if match is None:
            raise ValueError("not a time")  # noqa: TRY301 - the same answer for both
        zone = "+00:00" if match[3] in {"Z", " UTC"} else match[3]
        moment = dt.datetime.fromisoformat(f"{match[1]}T{match[2]}{zone}").astimezone(dt.UTC)
    except (ValueError, OverflowError) as error:
        raise FormatError(f"{written[:40]!r} is no time of RFC 3339", field=f"{file} expires") from error
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ").rjust(20, "0")
