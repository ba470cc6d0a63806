"""Signatures of a FIT: what each one is over, and what declared keys say of it.

Source: u-boot/u-boot boot/image-fit-sig.c, lib/rsa/rsa-verify.c, lib/ecdsa; the algorithms are `HASH,CRYPTO`, the
padding is PKCS #1 v1.5 unless the node says `pss`, and ECDSA values are r || s.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

from checker.crypto.keys import PublicKey
from checker.crypto.signatures import ecdsa_der
from checker.errors import LimitError
from checker.formats import _common as common
from checker.formats._fit_layout import Configuration, FitImage, Layout, SignatureNode
from checker.formats._fit_regions import image_nodes, regions, required_nodes, stated_nodes, strings_span
from checker.formats.contract import Context
from checker.io.digests import DigestRequest, Piece
from checker.model.artifact import KeyFacts, Signature, Source, Span
from checker.model.terms import Outcome

MAX_SIGNED_NODES: Final = 1000  # of one configuration; U-Boot's verifier takes a hundred
MAX_TOKENS: Final = 5_000_000  # that are looked at for all signatures together: some seconds
MAX_SIGNED: Final = 256 * 1024 * 1024  # bytes of the tree that are hashed for all signatures together
PADDINGS: Final = {"pkcs-1.5": "rsa-pkcs1v15", "pss": "rsa-pss"}
_LESS: Final = (
    "covers only the nodes that hashed-nodes names, not all that the configuration needs; current U-Boot refuses it"
)


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One reading of what a signature is over."""

    request: DigestRequest | None  # None: the algorithm is unknown, or more strings are claimed than there are
    covers: tuple[Span, ...]
    nodes: frozenset[str]  # of a configuration; empty for an image's own signature
    less: bool = False  # the file's own shorter list


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A signature node with its trials, the strictest first."""

    node: SignatureNode
    owner: Configuration | FitImage
    trials: tuple[Trial, ...]


@dataclass(frozen=True, kw_only=True)
class Judged:
    """A signature with the reading that it holds under."""

    plan: Plan
    signature: Signature
    trial: Trial

    @property
    def reaching(self) -> bool:
        """Return whether it is not known to be wrong."""
        return self.signature.outcome in common.REACHING

    @property
    def valid(self) -> bool:
        """Return whether a declared key verifies it."""
        return self.signature.outcome is Outcome.VALID


def plan(source: Source, layout: Layout) -> tuple[Plan, ...]:
    """Return every signature to judge, those of configurations first, each in the order of the file."""
    _refuse_endless(layout)
    configurations = tuple(
        Plan(node=node, owner=owner, trials=tuple(_configuration_trials(source, layout, owner, node)))
        for owner in layout.configurations
        for node in owner.signatures
    )
    images = (
        Plan(node=node, owner=owner, trials=(_image_trial(source, owner, node),))
        for owner in layout.images
        for node in owner.signatures
    )
    if sum(span.size for item in configurations for trial in item.trials for span in trial.covers) > MAX_SIGNED:
        raise LimitError(f"signatures over more than MAX_SIGNED ({MAX_SIGNED}) bytes", field="/configurations")
    return (*configurations, *images)


def _refuse_endless(layout: Layout) -> None:
    """Refuse a file that takes long because many signatures cover much."""
    signatures = 0
    for item in layout.configurations:
        signatures += len(item.signatures)
        if item.signatures and sum(len(image_nodes(image)) for image in item.images) > MAX_SIGNED_NODES:
            raise LimitError(f"more than {MAX_SIGNED_NODES} nodes", offset=item.node.offset, field=item.node.path)
    if signatures * len(layout.tree.tokens) > MAX_TOKENS:
        text = f"{signatures} signatures over a tree of {len(layout.tree.tokens)} tokens"
        raise LimitError(text, field="/configurations")


def requests(plans: Iterable[Plan]) -> tuple[DigestRequest, ...]:
    """Return the digests that the plans need."""
    return tuple(trial.request for item in plans for trial in item.trials if trial.request is not None)


def _configuration_trials(source: Source, layout: Layout, owner: Configuration, node: SignatureNode) -> Iterator[Trial]:
    yield _trial(source, layout, node, required_nodes(owner))
    stated = stated_nodes(owner, node)
    if stated is not None:
        yield replace(_trial(source, layout, node, stated), less=True)


def _trial(source: Source, layout: Layout, node: SignatureNode, nodes: frozenset[str]) -> Trial:
    spans = regions(layout.tree, nodes)
    strings = strings_span(layout.tree, node)
    spans += (strings,) if strings else ()
    possible = node.hash and (strings is not None or node.hashed_strings is None)
    pieces = tuple(Piece(source, span) for span in spans)
    return Trial(request=DigestRequest(node.hash, pieces) if possible else None, covers=spans, nodes=nodes)


def _image_trial(source: Source, owner: FitImage, node: SignatureNode) -> Trial:
    span = owner.span or Span(0, 0)
    request = DigestRequest.over(node.hash, source, span) if node.hash and owner.span is not None else None
    return Trial(request=request, covers=(span,), nodes=frozenset())


def judge(item: Plan, answers: Mapping[DigestRequest, bytes], context: Context) -> Judged:
    """Return what the declared keys say of a signature."""
    node = item.node
    strict = item.trials[0]
    blank = Signature(
        outcome=Outcome.UNDECIDABLE,
        algorithm="ecdsa" if node.key[0].startswith("ec") else PADDINGS.get(node.padding, ""),
        hash=node.hash,
        key=KeyFacts(algorithm=node.key[0], bits=node.key[1] or None, name=node.hint),
        covers=strict.covers,
        encoding="raw r||s" if node.key[0].startswith("ec") else "raw",
        where=node.node.properties["value"].value if node.value else None,
    )
    early = _early(node, strict, blank)
    if early is not None:
        return Judged(plan=item, signature=replace(early, note=f"{node.node.path}: {early.note}"), trial=strict)
    keys = [key for key in context.keys.verifiers if _fits(key, node)]
    if not keys:
        # Whoever's key it is, no more than the shortest honest reading can be covered.
        trial = item.trials[-1]
        note = f"{node.node.path}: no declared {node.stated.partition(',')[2]} key; the file names it {node.hint!r}"
        unknown = replace(blank, outcome=Outcome.KEY_UNKNOWN, covers=trial.covers, note=note)
        return Judged(plan=item, signature=unknown, trial=trial)
    return _try(item, keys, answers, blank)


def _early(node: SignatureNode, trial: Trial, blank: Signature) -> Signature | None:
    """Return the verdict that no key is needed for."""
    if not node.value:
        return replace(blank, outcome=Outcome.ABSENT, note="the node has no value: it is still to be signed")
    if not node.hash or not node.key[0] or not blank.algorithm:
        return replace(blank, note=f"algorithm {node.stated!r} with padding {node.padding!r} is unknown")
    if trial.request is None:
        note = "there is no data" if node.hashed_strings is None else "more strings are signed than there are"
        return replace(blank, outcome=Outcome.INVALID, note=note)
    return None


def _fits(key: PublicKey, node: SignatureNode) -> bool:
    algorithm, bits = node.key
    return key.facts.algorithm == algorithm and key.facts.bits == bits


def _try(item: Plan, keys: list[PublicKey], answers: Mapping[DigestRequest, bytes], blank: Signature) -> Judged:
    undecided = ""
    for trial in item.trials:
        for key in keys:
            outcome, note = _verify(key, item.node, blank, answers, trial)
            if outcome is Outcome.VALID:
                note = f"{item.node.node.path}{': ' + _LESS if trial.less else ''}"
                valid = replace(blank, outcome=outcome, key=key.facts, covers=trial.covers, note=note)
                return Judged(plan=item, signature=valid, trial=trial)
            undecided = undecided or (note if outcome is Outcome.UNDECIDABLE else "")
    outcome = Outcome.UNDECIDABLE if undecided else Outcome.INVALID
    facts = keys[0].facts if len(keys) == 1 else blank.key
    note = undecided or "fits no declared key of its kind and size"
    bad = replace(blank, outcome=outcome, key=facts, note=f"{item.node.node.path}: {note}")
    return Judged(plan=item, signature=bad, trial=item.trials[0])


def _verify(
    key: PublicKey, node: SignatureNode, blank: Signature, answers: Mapping[DigestRequest, bytes], trial: Trial
) -> tuple[Outcome, str]:
    value = node.value or b""
    size = 2 * ((node.key[1] + 7) // 8) if blank.algorithm == "ecdsa" else node.key[1] // 8
    if len(value) != size:
        return Outcome.INVALID, f"the value has {len(value)} bytes, not {size}"
    if trial.request is None:
        return Outcome.INVALID, ""
    form = ecdsa_der(value) if blank.algorithm == "ecdsa" else value
    return common.check_digest(key, blank.algorithm, node.hash, answers[trial.request], form)
