"""All that was found in a SUIT envelope, before it is told."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from checker.errors import FormatError
from checker.formats import _common as common
from checker.formats import _suit_commands as commands
from checker.formats import _suit_payload as payloads
from checker.formats._suit_manifest import Envelope, Manifest
from checker.formats._suit_payload import Judged, Plan
from checker.io.cbor import Item
from checker.model.artifact import Signature
from checker.model.terms import Outcome

IDENTITIES: Final = {commands.VENDOR_ID: "vendor", commands.CLASS_ID: "class", commands.DEVICE_ID: "device"}
_LAST_SECOND: Final = 253_402_300_799  # 9999-12-31T23:59:59Z


@dataclass(frozen=True, kw_only=True)
class View:
    """Everything that was found. `reached`: what the signature reaches; None where that is not known."""

    envelope: Envelope = field(repr=False)
    manifest: Manifest = field(repr=False)
    plan: Plan = field(repr=False)
    signatures: tuple[Signature, ...]
    manifest_digest: bytes | None
    judged: tuple[Judged, ...]
    end: int
    delegation: str = ""  # the keys that declared ones vouch for

    @property
    def matches(self) -> bool | None:
        """Return whether the manifest has the digest that is signed."""
        stated = self.envelope.stated
        if stated is None:
            return False
        return None if self.manifest_digest is None else self.manifest_digest == stated.value

    @property
    def reached(self) -> bool | None:
        """Return whether a signature reaches the manifest."""
        if not any(signature.outcome in common.REACHING for signature in self.signatures):
            return False
        return self.matches

    @property
    def authentic(self) -> bool:
        """Return whether a valid signature reaches the manifest."""
        return self.reached is True and any(each.outcome is Outcome.VALID for each in self.signatures)


def unreferenced(view: View) -> dict[str, Item]:
    """Return the integrated payloads that no command fetches."""
    named = {judged.delivery.name for judged in view.judged if judged.delivery.kind == payloads.INTEGRATED}
    named |= {stage.name for judged in view.judged for stage in (judged.delivery,)}
    return {name: item for name, item in view.envelope.integrated.items() if name not in named}


def bytes_elsewhere(view: View) -> Iterator[Judged]:
    """Yield the payloads that do not lie inside the signed manifest itself."""
    return (judged for judged in view.judged if judged.delivery.kind != payloads.CONTENT)


def moment(item: Item) -> str:
    """Return a time of the manifest in RFC 3339.

    Raises:
        FormatError: it is none.
    """
    seconds = item.integer("use-before")
    if not 0 <= seconds <= _LAST_SECOND:
        raise FormatError(f"{seconds} seconds are no date", offset=item.span.start, field="use-before")
    return dt.datetime.fromtimestamp(seconds, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
