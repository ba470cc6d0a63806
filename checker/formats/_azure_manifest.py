"""The JSON documents of Azure Device Update: deployments, update manifests, import manifests and root key packages.

Source: Azure/iot-hub-device-update docs/agent-reference/update-manifest.md, docs/agent-reference/device-update-
securing.md and src/rootkeypackage_utils; Microsoft Learn, "Import manifest JSON schema version 5.0".
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from checker.crypto.jose import read_json
from checker.errors import FormatError
from checker.model.artifact import Source, Span

MAX_DOCUMENT: Final = 1024 * 1024  # bytes: real deployments have some 10 KB, device twins at most 32 KB
MAX_FILES: Final = 1000  # of one update; the service allows ten
DEPLOYMENT, UPDATE, IMPORT, ROOT_KEYS = "deployment", "update manifest", "import manifest", "root key package"
_WRAPPERS: Final = ("desired", "properties", "deviceUpdate", "service")
_MARKS: Final = frozenset({"updateManifest", "updateId", "protected"})
_KEY: Final = r'(?<!\\)"{}"\s*:\s*'
_TEXT: Final = r'"(?:[^"\\]|\\.)*+"'
SHA256_SIZE: Final = 32  # bytes


@dataclass(frozen=True, kw_only=True)
class File:
    """One file of an update. `digest` is its SHA-256, empty where none is stated in a form that can be read."""

    id: str
    name: str
    size: int | None
    digest: bytes
    handler: str = ""


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What an update manifest says."""

    version: str | None
    name: str
    hardware: tuple[str, ...]
    files: tuple[File, ...]
    handlers: tuple[str, ...]
    criteria: tuple[str, ...]
    children: tuple[str, ...]  # file ids of detached manifests
    created: str


@dataclass(frozen=True, kw_only=True)
class Document:
    """One document: its kind, its object, and where what a signature covers lies in the file."""

    kind: str
    value: Mapping[str, Any]
    text: bytes = field(repr=False)  # what is signed, as the signer saw it
    covered: Span
    signature: Span | None = None


def looks_like(source: Source) -> bool:
    """Return whether a file is one of the documents by the names in it; bounded, and never raises."""
    if source.size > MAX_DOCUMENT or source.read(0, 64).lstrip(b"\xef\xbb\xbf \t\r\n")[:1] != b"{":
        return False
    data = source.read(0, source.size)
    return (
        b'"updateManifest"' in data
        or (b'"updateId"' in data and b'"manifestVersion"' in data)
        or (b'"protected"' in data and b'"rootKeys"' in data and b'"disabledRootKeys"' in data)
    )


def read_document(source: Source) -> Document:
    """Return the document that a file is.

    Raises:
        FormatError: it is too large, no JSON, or none of the documents.
    """
    if source.size > MAX_DOCUMENT:
        raise FormatError(f"{source.size} bytes, at most MAX_DOCUMENT ({MAX_DOCUMENT}) are read", field="JSON")
    data = source.read(0, source.size)
    skipped = 3 if data.startswith(b"\xef\xbb\xbf") else 0
    value = read_json(data[skipped:], "JSON", limit=MAX_DOCUMENT)
    for _ in _WRAPPERS:
        wrapped = isinstance(value, dict) and not _MARKS & value.keys()
        inner = next((value[key] for key in _WRAPPERS if wrapped and key in value), None)
        value = inner if isinstance(inner, dict) else value
    if not isinstance(value, dict):
        raise FormatError("is no object", field="JSON")
    if "updateManifest" in value:
        return _deployment(value, data)
    if "protected" in value and "signatures" in value:
        return _root_keys(value, data)
    if "updateId" in value:
        kind = IMPORT if isinstance(value.get("files"), list) or "$schema" in value else UPDATE
        return Document(kind=kind, value=value, text=data, covered=Span(0, source.size))
    raise FormatError("is neither a deployment, nor an update or import manifest, nor a root key package", field="JSON")


def _deployment(value: Mapping[str, Any], data: bytes) -> Document:
    text = value["updateManifest"]
    if not isinstance(text, str):
        raise FormatError("is no text, so that nothing says which bytes are signed", field="updateManifest")
    signed = _place(data, "updateManifest")
    has = isinstance(value.get("updateManifestSignature"), str)
    signature = _place(data, "updateManifestSignature") if has else None
    try:
        plain = text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise FormatError("holds half a character", offset=signed.start, field="updateManifest") from error
    return Document(kind=DEPLOYMENT, value=value, text=plain, covered=signed, signature=signature)


def _place(data: bytes, key: str) -> Span:
    """Return where the text of a key lies in the file, without its quotes."""
    found = list(re.finditer((_KEY.format(key) + f"({_TEXT})").encode(), data, re.DOTALL))
    if len(found) != 1:
        raise FormatError(f"stands {len(found)} times in the file", field=key)
    return Span(found[0].start(1) + 1, found[0].end(1) - 1)


def _root_keys(value: Mapping[str, Any], data: bytes) -> Document:
    """Return a root key package; its signers sign `protected` written without white space."""
    keys = list(re.finditer(_KEY.format("protected").encode(), data))
    if len(keys) != 1 or not isinstance(value["protected"], dict):
        raise FormatError(f"stands {len(keys)} times, or is no object", field="protected")
    start = keys[0].end()
    text = data[start:].decode("utf-8")
    _, size = json.JSONDecoder().raw_decode(text)
    covered = Span(start, start + len(text[:size].encode()))
    plain = json.dumps(value["protected"], separators=(",", ":"), ensure_ascii=False)
    return Document(kind=ROOT_KEYS, value=value, text=plain.encode("utf-8", "surrogatepass"), covered=covered)


# The manifest


def read_manifest(document: Document) -> Manifest:
    """Return what the update manifest of a document says.

    Raises:
        FormatError: it is no JSON, or a field is not of its kind.
    """
    value = document.value if document.kind != DEPLOYMENT else read_json(document.text, "updateManifest")
    if not isinstance(value, dict):
        raise FormatError("is no object", field="updateManifest")
    update_id = _object(value, "updateId")
    steps = [step for step in _list(_object(value, "instructions"), "steps") if isinstance(step, dict)]
    handlers = {id_: str(step.get("handler", "")) for step in steps for id_ in _list(step, "files") if _word(id_)}
    criteria = [
        value.get("installedCriteria"),
        *(_object(step, "handlerProperties").get("installedCriteria") for step in steps),
    ]
    return Manifest(
        version=_word(update_id.get("version")),
        name="/".join(filter(None, (_word(update_id.get(key)) for key in ("provider", "name")))),
        hardware=tuple(_compatible(value)),
        files=tuple(_files(value, handlers)),
        handlers=tuple(dict.fromkeys(filter(None, (_word(step.get("handler")) for step in steps)))),
        criteria=tuple(text for text in (_word(item) for item in criteria) if text),
        children=tuple(filter(None, (_word(step.get("detachedManifestFileId")) for step in steps))),
        created=_word(value.get("createdDateTime")) or "",
    )


def _object(value: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = value.get(key) or {}
    if not isinstance(found, dict):
        raise FormatError("is no object", field=f"updateManifest.{key}")
    return found


def _list(value: Mapping[str, Any], key: str) -> list[Any]:
    found = value.get(key) or []
    if not isinstance(found, list):
        raise FormatError("is no list", field=f"updateManifest.{key}")
    return found


def _word(value: Any) -> str | None:  # noqa: ANN401 - parsed JSON
    return value if isinstance(value, str) and value else None


def _compatible(value: Mapping[str, Any]) -> Iterator[str]:
    """Yield each set of device properties that the update is for, as `manufacturer/model`."""
    for item in _list(value, "compatibility"):
        if isinstance(item, dict):
            yield "/".join(str(item[key]) for key in sorted(item))


def _files(value: Mapping[str, Any], handlers: Mapping[str, str]) -> Iterator[File]:
    raw = value.get("files") or {}
    if not isinstance(raw, dict | list) or len(raw) > MAX_FILES:
        raise FormatError(f"is no object or list of at most MAX_FILES ({MAX_FILES})", field="updateManifest.files")
    items = raw.items() if isinstance(raw, dict) else [(str(number), item) for number, item in enumerate(raw)]
    for id_, item in items:
        if not isinstance(item, dict):
            raise FormatError("is no object", field=f"updateManifest.files.{id_[:50]}")
        yield _file(id_, item, handlers.get(id_, ""))
        related = _object(item, "relatedFiles") if isinstance(item.get("relatedFiles"), dict) else {}
        for key, part in list(related.items())[:MAX_FILES]:
            if isinstance(part, dict):
                yield _file(key, part, handlers.get(id_, ""))


def _file(id_: str, item: Mapping[str, Any], handler: str) -> File:
    name = _word(item.get("fileName")) or _word(item.get("filename"))
    size = item.get("sizeInBytes")
    return File(
        id=id_,
        name=name or id_,
        size=size if isinstance(size, int) and not isinstance(size, bool) and size >= 0 else None,
        digest=_sha256(_object(item, "hashes").get("sha256")),
        handler=handler,
    )


def _sha256(text: Any) -> bytes:  # noqa: ANN401 - parsed JSON
    try:
        data = base64.b64decode(text, validate=True) if isinstance(text, str) else b""
    except (binascii.Error, ValueError):
        return b""
    return data if len(data) == SHA256_SIZE else b""
