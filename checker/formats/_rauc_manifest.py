"""RAUC's manifest: a key file whose sections say what a bundle is for and which image goes to which slot class.

Source: rauc/rauc docs/reference.rst ("Manifest"); the syntax is that of the Desktop Entry Specification (GKeyFile).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from checker.errors import FormatError, LimitError
from checker.model.artifact import Source

MANIFEST: Final = "manifest.raucm"
MAX_SIZE: Final = 64 * 1024  # bytes: RAUC itself refuses larger ones
MAX_IMAGES: Final = 1024
FORMATS: Final = ("plain", "verity", "crypt")
_HASH: Final = re.compile(r"[0-9a-fA-F]{64}")
_GROUP: Final = re.compile(r"\[([^\[\]\x00-\x1f]+)\]")
_KEY: Final = re.compile(r"([A-Za-z0-9_-]+)\s*=\s*(.*)")
_BLOCK: Final = 4096

Groups = Mapping[str, Mapping[str, str]]


@dataclass(frozen=True, kw_only=True)
class SlotImage:
    """One `[image.SLOTCLASS]` section."""

    slot: str
    filename: str
    sha256: str  # 64 hex digits, or nothing
    size: int | None
    hooks: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """A manifest. `verity_size` is the size of the hash tree in bytes; `crypt_key` is AES-256."""

    compatible: str
    version: str
    format: str
    images: tuple[SlotImage, ...]
    verity_hash: bytes = b""
    verity_salt: bytes = b""
    verity_size: int = 0
    crypt_key: bytes = field(repr=False, default=b"")
    scripts: tuple[str, ...] = ()  # handler and hook files, which run during the installation
    hooks: tuple[str, ...] = ()


def looks_like_manifest(source: Source) -> bool:
    """Return whether a file is a manifest alone: a key file with a section for the update and one for an image."""
    data = source.read(0, MAX_SIZE + 1)
    lines = {line.strip() for line in data.split(b"\n")} if len(data) <= MAX_SIZE else set()
    return b"[update]" in lines and any(line.startswith(b"[image.") and line.endswith(b"]") for line in lines)


def read_manifest(data: bytes) -> Manifest:
    """Return the manifest of a bundle.

    Raises:
        LimitError: it is larger, or has more images, than any real one.
        FormatError: it is no key file, or lacks what RAUC demands.
    """
    groups = _groups(data)
    update, bundle = groups.get("update", {}), groups.get("bundle", {})
    if not update.get("compatible"):
        raise _error("the section [update] has no 'compatible'")
    kind = bundle.get("format", "plain")
    if kind not in FORMATS:
        raise _error(f"the bundle format {kind[:40]!r} is not one of {', '.join(FORMATS)}")
    hooks = groups.get("hooks", {})
    scripts = (groups.get("handler", {}).get("filename", ""), hooks.get("filename", ""))
    return Manifest(
        compatible=update["compatible"],
        version=update.get("version", ""),
        format=kind,
        images=_images(groups),
        scripts=tuple(name for name in scripts if name),
        hooks=_list(hooks.get("hooks", "")),
        **_protection(kind, bundle),  # type: ignore[arg-type]
    )


def _error(message: str) -> FormatError:
    return FormatError(message, field=MANIFEST)


def _groups(data: bytes) -> dict[str, dict[str, str]]:
    if len(data) > MAX_SIZE:
        raise LimitError(f"{len(data)} bytes, at most {MAX_SIZE} are read", field=MANIFEST)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _error("is not UTF-8 text") from error
    groups: dict[str, dict[str, str]] = {}
    current: dict[str, str] | None = None
    for number, line in enumerate(text.split("\n"), 1):
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        group, pair = _GROUP.fullmatch(stripped), _KEY.fullmatch(stripped)
        if group is not None:
            current = groups.setdefault(group[1], {})
        elif pair is not None and current is not None:
            current[pair[1]] = pair[2]
        else:
            raise _error(f"line {number} is neither a section, nor a comment, nor KEY=VALUE inside a section")
    return groups


def _images(groups: Groups) -> tuple[SlotImage, ...]:
    found = [(name.removeprefix("image."), group) for name, group in groups.items() if name.startswith("image.")]
    if len(found) > MAX_IMAGES:
        raise LimitError(f"{len(found)} images, at most {MAX_IMAGES} are read", field=MANIFEST)
    return tuple(_image(slot, group) for slot, group in found)


def _image(slot: str, group: Mapping[str, str]) -> SlotImage:
    if not slot or not (group.get("filename") or group.get("hooks")):
        raise _error(f"the section [image.{slot[:80]}] names no file")
    sha256 = group.get("sha256", "")
    if sha256 and not _HASH.fullmatch(sha256):
        raise _error(f"the sha256 of [image.{slot[:80]}] is not 64 hexadecimal digits")
    size = _number(group["size"], f"size of [image.{slot[:80]}]") if "size" in group else None
    hooks = _list(group.get("hooks", ""))
    return SlotImage(slot=slot, filename=group.get("filename", ""), sha256=sha256.lower(), size=size, hooks=hooks)


def _protection(kind: str, bundle: Mapping[str, str]) -> dict[str, bytes | int]:
    """Return what verity and crypt bundles state about their payload; RAUC demands every field."""
    if kind == "plain":
        return {}
    found: dict[str, bytes | int] = {
        "verity_hash": _hash(bundle, "verity-hash"),
        "verity_salt": _hash(bundle, "verity-salt"),
        "verity_size": _number(bundle.get("verity-size", ""), "verity-size"),
    }
    if kind == "crypt":
        found["crypt_key"] = _hash(bundle, "crypt-key")
    return found


def _hash(bundle: Mapping[str, str], name: str) -> bytes:
    if not _HASH.fullmatch(bundle.get(name, "")):
        raise _error(f"{name} is not 64 hexadecimal digits")  # never the value: one of these is a key
    return bytes.fromhex(bundle[name])


def _number(text: str, name: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 19:  # noqa: PLR2004 - digits of a 64-bit number
        raise _error(f"{name} is not a number")
    if name == "verity-size" and (not int(text) or int(text) % _BLOCK):
        raise _error(f"{name} is not a multiple of {_BLOCK} above zero")
    return int(text)


def _list(text: str) -> tuple[str, ...]:
    return tuple(item for item in text.split(";") if item)
