"""What an Android package says of itself: META-INF/com/android/metadata, its protobuf twin, and payload_properties.txt.

Source: AOSP build/make/tools/releasetools/ota_from_target_files.py, ota_utils.py and ota_metadata.proto. The text is
what recovery and older clients read; `metadata.pb` came with Android 12. Both say the same, or readers disagree.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from checker.errors import FormatError
from checker.formats import _zip
from checker.formats._protobuf import Message
from checker.io.reader import Reader

_FOLDER: Final = "META-INF/com/android/"
METADATA, METADATA_PB = f"{_FOLDER}metadata", f"{_FOLDER}metadata.pb"
PROPERTIES, PAYLOAD = "payload_properties.txt", "payload.bin"
MAX_TEXT: Final = 1024 * 1024  # bytes; real ones have some hundred, metadata.pb of partial updates a few thousand
_MAX_LINES: Final = 10_000
_FILES: Final = ("ota-property-files", "ota-streaming-property-files")
# Field numbers of OtaMetadata, then of DeviceState, in ota_metadata.proto.
_FLAGS: Final = {"ota-downgrade": 3, "ota-wipe": 2, "spl-downgrade": 9}
_PRE, _POST = 5, 6
_DEVICE, _BUILD, _STAMP, _PATCH = 1, 2, 4, 6


@dataclass(frozen=True, kw_only=True)
class Metadata:
    """Both forms of the metadata, merged; `disputes` are what they disagree about."""

    values: Mapping[str, str]
    disputes: tuple[str, ...] = ()

    def flag(self, name: str) -> bool:
        """Return whether a flag is set."""
        return _set(self.values, name)

    @property
    def devices(self) -> tuple[str, ...]:
        """Return the devices that the package is for; several are joined by `|` or commas."""
        return tuple(name for name in self.values.get("pre-device", "").replace(",", "|").split("|") if name)

    @property
    def timestamp(self) -> int | None:
        """Return when the new build was made, in seconds since 1970: what an update may not be older than."""
        text = self.values.get("post-timestamp", "")
        return int(text) if text.isdecimal() and len(text) < 20 else None  # noqa: PLR2004 - digits of 64 bits


def read_metadata(archive: _zip.Archive) -> Metadata:
    """Return what the package says; empty where it holds no metadata.

    Raises:
        FormatError: it is damaged or too large.
    """
    text = {**_lines(archive, METADATA)}
    member = archive.find(METADATA_PB)
    if member is None:
        return Metadata(values=text)
    parsed = _from_pb(Message(_content(archive, member), METADATA_PB, member.span.start))
    disputes = tuple(
        f"{name} is {text[name]!r} in one form and {value!r} in the other"
        for name, value in parsed.items()
        if name in text and name not in _FLAGS and text[name] != value
    )
    if text:  # a flag that only one form sets; absent is the same as not set
        disputes += tuple(
            f"{name} is set in one form only" for name in _FLAGS if (name in parsed) is not _set(text, name)
        )
    return Metadata(values={**parsed, **text}, disputes=disputes)


def _set(values: Mapping[str, str], name: str) -> bool:
    return values.get(name, "").lower() in {"yes", "true", "1"}


def _content(archive: _zip.Archive, member: _zip.Member) -> bytes:
    return Reader(archive.open(member)).take(member.size, member.name, limit=MAX_TEXT)


def _lines(archive: _zip.Archive, name: str) -> dict[str, str]:
    member = archive.find(name)
    if member is None:
        return {}
    rows = _content(archive, member).decode("utf-8", "backslashreplace").splitlines()[:_MAX_LINES]
    pairs = (row.partition("=") for row in rows if "=" in row)
    return {key.strip(): value.strip() for key, _, value in pairs}


def _from_pb(message: Message) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, number in _FLAGS.items():
        if message.integer(number):
            found[name] = "yes"
    for number, prefix in ((_PRE, "pre"), (_POST, "post")):
        state = message.message(number, f"{prefix}condition")
        if state is not None:
            found |= _state(state, prefix)
    return found


def _state(state: Message, prefix: str) -> dict[str, str]:
    found = {f"{prefix}-device": "|".join(state.texts(_DEVICE)), f"{prefix}-build": "|".join(state.texts(_BUILD))}
    stamp, patch = state.signed(_STAMP), state.text(_PATCH)
    found |= {f"{prefix}-timestamp": str(stamp)} if stamp else {}
    found |= {f"{prefix}-security-patch-level": patch} if patch else {}
    return {name: value for name, value in found.items() if value and name != "post-device"}


def misplaced(archive: _zip.Archive, metadata: Metadata) -> Iterator[str]:
    """Yield the property files that do not lie where the metadata says: a streaming client reads other bytes."""
    for key in _FILES:
        for entry in metadata.values.get(key, "").split(","):
            name, _, place = entry.strip().partition(":")
            offset, _, size = place.partition(":")
            member = archive.find(name) or archive.find(f"{_FOLDER}{name}")
            # payload_metadata.bin is a part of payload.bin and no member of its own.
            if member is None or not (offset.isdecimal() and size.isdecimal()):
                continue
            if (int(offset), int(size)) != (member.span.start, member.span.size):
                yield f"{key} places {name} at {offset} with {size} bytes, it lies at {member.span}"


@dataclass(frozen=True, kw_only=True)
class Properties:
    """payload_properties.txt: digests and sizes of payload.bin and of its metadata. Empty digests are not stated."""

    file_hash: bytes = b""
    file_size: int | None = None
    metadata_hash: bytes = b""
    metadata_size: int | None = None


def read_properties(archive: _zip.Archive) -> Properties | None:
    """Return the properties, or None where the package has none.

    Raises:
        FormatError: a hash is no base64, or a size no number.
    """
    values = _lines(archive, PROPERTIES)
    if not values:
        return None
    return Properties(
        file_hash=_hash(values, "FILE_HASH"),
        file_size=_size(values, "FILE_SIZE"),
        metadata_hash=_hash(values, "METADATA_HASH"),
        metadata_size=_size(values, "METADATA_SIZE"),
    )


def _hash(values: Mapping[str, str], name: str) -> bytes:
    try:
        return base64.b64decode(values.get(name, ""), validate=True)
    except (binascii.Error, ValueError) as error:
        raise FormatError(f"{values[name][:60]!r} is no base64", field=f"{PROPERTIES} {name}") from error


def _size(values: Mapping[str, str], name: str) -> int | None:
    text = values.get(name)
    if text is None:
        return None
    if not text.isascii() or not text.isdecimal() or len(text) > 18:  # noqa: PLR2004 - digits of 63 bits
        raise FormatError(f"{text[:60]!r} is no size", field=f"{PROPERTIES} {name}")
    return int(text)
