"""Jcat: items with checksums and signatures over files of the same names, as gzipped JSON.

All checksums of an item have to match, and one signature has to verify (libjcat `jcat_context_verify_item`). A blob
with a target signs the hexadecimal text of that checksum, and not the file (`jcat_context_verify_target`). What follows
the gzip stream is ignored, as libjcat does; LVFS writes eight bytes there.

Source: hughsie/libjcat README.md and libjcat/jcat-blob.h (kinds); kind 10 as jcat-tool 0.2.3 writes it.
"""

from __future__ import annotations

import base64
import binascii
import zlib
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from checker.crypto.jose import read_json
from checker.errors import FormatError, LimitError
from checker.formats import _common as common
from checker.formats._inflate import inflate
from checker.formats._signatures import cms, openpgp, raw
from checker.formats._signatures.contract import Judgement, digests_of
from checker.formats.contract import Context
from checker.io.digests import DigestRequest
from checker.io.sources import BytesSource
from checker.model.artifact import DigestCheck, Signature, Source, Span, Weakness
from checker.model.terms import Outcome

MAX_JCAT: Final = 4 * 1024 * 1024  # bytes of JSON; an item with four signatures has some 5,000
MAX_ITEMS: Final = 4096  # of one file; the largest deliverables have some tens of files
MAX_BLOBS: Final = 32  # of one item: each may cost one pass over the file
CHECKSUMS: Final = {1: "sha-256", 4: "sha-1", 10: "sha-512"}
GPG, PKCS7, ED25519 = 2, 3, 9
SIGNATURES: Final = {GPG: "gpg", PKCS7: "pkcs7", ED25519: "ed25519"}
OTHERS: Final = {5: "bt-manifest", 6: "bt-checkpoint", 7: "bt-inclusion-proof", 8: "bt-verifier"}
_MAGIC: Final = b"\x1f\x8b\x08"
_HEAD: Final = 4096  # bytes of JSON, and of its compressed form, in which the version stands
_IS_TEXT: Final = 1


@dataclass(frozen=True)
class Blob:
    """One checksum or signature. `target` is the kind of checksum that it signs, 0 for the file itself."""

    kind: int
    target: int
    data: bytes = field(repr=False)

    @property
    def name(self) -> str:
        """Return the kind's name."""
        known = SIGNATURES | CHECKSUMS | OTHERS
        return known.get(self.kind, f"kind {self.kind}")


@dataclass(frozen=True)
class Item:
    """What is said of one file, which goes by `id` or by one of the aliases."""

    id: str
    aliases: tuple[str, ...]
    blobs: tuple[Blob, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Return every name of the file."""
        return (self.id, *self.aliases)

    @property
    def signed(self) -> bool:
        """Return whether it holds a signature of a kind that is verified here."""
        return any(blob.kind in SIGNATURES for blob in self.blobs)


@dataclass(frozen=True, kw_only=True)
class ItemVerdict:
    """What an item shows of a file: signatures, checksums, whether a signature reaches the file, and a valid one."""

    signatures: tuple[Signature, ...] = ()
    digests: tuple[DigestCheck, ...] = ()
    weaknesses: tuple[Weakness, ...] = ()
    reached: bool = False
    valid: bool = False

    def state(self, *, proved: bool) -> bool | None:
        """Return whether a signature reaches the file.

        None where no key can judge that, and other files of the deliverable are `proved`: a stranger may have put this
        one beside them.
        """
        return None if proved and self.reached and not self.valid else self.reached


Judged = Generator[Sequence[DigestRequest], Mapping[DigestRequest, bytes], ItemVerdict]


def looks_like_jcat(source: Source) -> bool:
    """Return whether a file begins like a jcat; looks at a bounded beginning and never raises."""
    if source.read(0, len(_MAGIC)) != _MAGIC:
        return False
    try:
        head = zlib.decompressobj(31).decompress(source.read(0, _HEAD), _HEAD)
    except zlib.error:
        return False
    return head.lstrip().startswith(b"{") and b'"JcatVersionMajor"' in head


def read_items(source: Source) -> tuple[Item, ...]:
    """Return the items of a jcat.

    Raises:
        FormatError: it is damaged.
        LimitError: it holds more than the limits allow.
    """
    data = inflate(source, Span(0, source.size), "gzip", MAX_JCAT)
    value = read_json(data, "jcat", limit=MAX_JCAT)
    items = value.get("Items", []) if isinstance(value, Mapping) else None
    if not isinstance(items, list) or "JcatVersionMajor" not in value:
        raise FormatError("has no version, or no list of items", field="jcat")
    if len(items) > MAX_ITEMS:
        raise LimitError(f"{len(items)} items, at most MAX_ITEMS ({MAX_ITEMS})", field="Items")
    return tuple(_item(item) for item in items)


def _item(value: Any) -> Item:  # noqa: ANN401 - parsed JSON
    if not isinstance(value, Mapping) or not isinstance(value.get("Id"), str):
        raise FormatError("an item is no object with an Id", field="Items")
    aliases, blobs = value.get("AliasIds", []), value.get("Blobs", [])
    if not isinstance(aliases, list) or not all(isinstance(name, str) for name in aliases):
        raise FormatError("is no list of texts", field="AliasIds")
    if not isinstance(blobs, list) or len(blobs) > MAX_BLOBS:
        raise LimitError(f"is no list of at most MAX_BLOBS ({MAX_BLOBS})", field="Blobs")
    return Item(value["Id"], tuple(aliases[:MAX_BLOBS]), tuple(_blob(blob) for blob in blobs))


def _blob(value: Any) -> Blob:  # noqa: ANN401 - parsed JSON
    if not isinstance(value, Mapping) or not isinstance(value.get("Data"), str):
        raise FormatError("a blob is no object with Data", field="Blobs")
    numbers = [value.get(name, 0) for name in ("Kind", "Target", "Flags")]
    if not all(isinstance(number, int) and not isinstance(number, bool) for number in numbers):
        raise FormatError("Kind, Target or Flags is no number", field="Blobs")
    kind, target, flags = numbers
    if flags & _IS_TEXT:
        return Blob(kind, target, value["Data"].encode("utf-8", errors="replace"))
    try:
        return Blob(kind, target, base64.b64decode(value["Data"], validate=True))
    except (binascii.Error, ValueError) as error:
        raise FormatError("is not base64", field="Data") from error


def judge_item(item: Item, source: Source, span: Span | None, context: Context) -> Judged:
    """Say what an item shows of a file; `span` is where that lies in the artifact, None where it lies beside it."""
    covers = () if span is None else (span,)
    wanted = {CHECKSUMS[kind] for blob in item.blobs for kind in (blob.kind, blob.target) if kind in CHECKSUMS}
    digests = yield from digests_of(source, sorted(wanted))
    signatures: list[Signature] = []
    weaknesses: list[Weakness] = []
    signed: set[str] = set()
    for blob in item.blobs:
        if blob.kind in SIGNATURES:
            judgement = yield from _judge_blob(blob, source, digests, context)
            weaknesses += judgement.weaknesses
            for one in (_over_target(each, blob) for each in judgement.signatures):
                signatures.append(replace(one, covers=covers, encoding=f"{one.encoding} in jcat of {item.id}"))
                if blob.target in CHECKSUMS and one.outcome in common.REACHING:
                    signed.add(CHECKSUMS[blob.target])
    checks = tuple(
        DigestCheck(
            name=f"jcat {CHECKSUMS[blob.kind]} of {item.id}",
            algorithm=CHECKSUMS[blob.kind],
            expected=blob.data.decode("ascii", errors="replace").strip().lower()[:256],
            actual=digests[CHECKSUMS[blob.kind]].hex(),
            covers=covers,
            authentic=CHECKSUMS[blob.kind] in signed,
        )
        for blob in item.blobs
        if blob.kind in CHECKSUMS
    )
    return ItemVerdict(
        signatures=tuple(signatures),
        digests=checks,
        weaknesses=tuple(weaknesses),
        reached=any(one.outcome in common.REACHING for one in signatures),
        valid=any(one.outcome is Outcome.VALID for one in signatures),
    )


def _over_target(signature: Signature, blob: Blob) -> Signature:
    """Return a signature over a checksum with the weaker hash of both: whoever forges that needs no other."""
    target = CHECKSUMS.get(blob.target, "")
    return replace(signature, hash=target) if target in common.WEAK_DIGESTS else signature


def _judge_blob(
    blob: Blob, source: Source, digests: Mapping[str, bytes], context: Context
) -> Generator[Sequence[DigestRequest], Mapping[DigestRequest, bytes], Judgement]:
    if blob.target and blob.target not in CHECKSUMS:
        note = f"signs a checksum of kind {blob.target}, which is not known here"
        return Judgement(signatures=(Signature(outcome=Outcome.UNDECIDABLE, encoding=blob.name, note=note),))
    if blob.target:
        source = BytesSource(source.name, digests[CHECKSUMS[blob.target]].hex().encode())
    if blob.kind == ED25519:
        keys = [key for key in context.keys.verifiers if key.facts.algorithm == "ed25519"]
        found = yield from raw.judge_raw(source, blob.data, keys)
        return Judgement(signatures=(found,))
    kind = openpgp.KIND if blob.kind == GPG else cms.KIND
    return (yield from kind.judge(source, blob.data, context))


def undecided(item: Item) -> tuple[Signature, ...]:
    """Return the signatures of an item whose file is not at hand."""
    note = f"the file {item.id} is not at hand; give it as a companion of that name"
    return tuple(
        Signature(outcome=Outcome.UNDECIDABLE, encoding=f"{blob.name} in jcat of {item.id}", note=note)
        for blob in item.blobs
        if blob.kind in SIGNATURES
    )


def item_weaknesses(items: Sequence[Item]) -> tuple[Weakness, ...]:
    """Return what is weak about the items themselves, whatever their files hold."""
    found, seen = [], set()
    for item in items:
        if item.id in seen:
            found.append(Weakness(code="duplicate-member", message="two items have this Id", where=item.id))
        seen.add(item.id)
        if not item.signed:
            text = "the item holds checksums and no signature: whoever changes the file changes them too"
            found.append(Weakness(code="checksum-only", message=text, where=item.id))
    return tuple(found)


def described(items: Sequence[Item]) -> tuple[tuple[str, str], ...]:
    """Return the items as facts: the kinds of their blobs, in order."""
    return tuple(
        ("jcat item", f"{item.id}: {', '.join(_kind(blob) for blob in item.blobs) or 'nothing'}") for item in items[:64]
    )


def _kind(blob: Blob) -> str:
    note = "" if blob.kind in SIGNATURES or blob.kind in CHECKSUMS else " (not verified)"
    return f"{blob.name}{f' over {CHECKSUMS.get(blob.target, blob.target)}' if blob.target else ''}{note}"
