"""U-Boot flattened image trees (FIT, .itb): a device tree that holds or names images, their hashes, and configurations.

Source: u-boot/u-boot doc/usage/fit/source_file_format.rst and signature.rst.

The chain is: signature of a configuration → its node, the nodes of its images and of their hashes → data of the images.
What is signed is rebuilt from the configuration, as U-Boot does since 2026. Signatures of single images protect no
combination of them, no load address, and no choice. The format has no rollback counter; `rollback-index` is Rockchip's.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final

from checker.formats import _common as common
from checker.formats._fit_cipher import Control, Opened, open_image, read_control, shared_ivs
from checker.formats._fit_layout import VERITY, Configuration, FitImage, Hash, Layout, read_layout
from checker.formats._fit_regions import image_nodes, required_nodes, stated_nodes, unsigned_names
from checker.formats._fit_signature import Judged, judge, plan, requests
from checker.formats.contract import Context, Format, Parse
from checker.io.devicetree import MAGIC
from checker.io.digests import DigestRequest
from checker.model.artifact import (
    INEXPRESSIBLE,
    Artifact,
    Coverage,
    DigestCheck,
    Image,
    Signature,
    Source,
    Span,
    Version,
    Weakness,
)
from checker.model.terms import Outcome

WEAKNESSES: Final = (
    *common.WEAKNESSES,
    "checksum-only",
    "inner-unreadable",
    "iv-reuse",
    "key-in-clear",
    "malformed",
    "missing-digest",
    "missing-member",
    "mix-and-match",
    "script-member",
    "trailing-data",
    "unauthenticated-encryption",
    "unauthenticated-member",
    "unprotected-member",
    "unprotected-metadata",
    "unreferenced-member",
    "zero-iv",
)
DETECTED: Final = 64 * 1024  # bytes in which the node /images begins; tools write it before the data
_IMAGES_NODE: Final = b"\0\0\0\1images\0\0"
_CHECKSUMS: Final = frozenset({"crc-32", "crc-16/xmodem"})
_STEERING: Final = ("configuration", "type", "operating system", "compression", "load address", "entry point")


@dataclass(frozen=True, kw_only=True)
class _Fit:
    """Everything about the file that the verdicts are made of."""

    source: Source
    layout: Layout
    judged: tuple[Judged, ...]
    answers: Mapping[DigestRequest, bytes]
    opened: Mapping[str, Opened]  # by path of the image
    control: Control | None

    @cached_property
    def owners(self) -> Mapping[str, Sequence[Judged]]:
        """Return the signatures by the path of the configuration or image that they stand in."""
        found: dict[str, list[Judged]] = defaultdict(list)
        for item in self.judged:
            found[item.plan.node.owner].append(item)
        return found

    @cached_property
    def configured(self) -> tuple[Judged, ...]:
        """Return the signatures of configurations."""
        return tuple(item for item in self.judged if isinstance(item.plan.owner, Configuration))

    @cached_property
    def nameless(self) -> Mapping[str, tuple[str, ...]]:
        """Return, by the path of a signature of a configuration, the signed properties whose names are not signed."""
        tree = self.layout.tree
        return {
            item.plan.node.node.path: unsigned_names(tree, item.trial.nodes, item.plan.node) for item in self.configured
        }

    def binding(self, item: Judged) -> bool:
        """Return whether a signature binds what its nodes mean: with free names `kernel` may become `fdt`."""
        return not self.nameless[item.plan.node.node.path]

    @cached_property
    def valid_nodes(self) -> frozenset[str]:
        """Return the nodes that a valid signature of a configuration covers."""
        bound = (item for item in self.configured if item.valid and self.binding(item))
        return frozenset(path for item in bound for path in item.trial.nodes)

    @cached_property
    def proved(self) -> bool:
        """Return whether a declared key verifies something here."""
        return any(item.valid for item in self.judged)

    def stands(self, item: Judged) -> bool:
        """Return whether a signature counts: beside a valid one, a stranger may have put what no key can judge."""
        return item.valid or (item.reaching and not self.proved)

    @cached_property
    def reaching(self) -> Mapping[str, set[int]]:
        """Return for each node which signatures, by number, cover it and count."""
        return self._covering(frozenset(number for number, item in enumerate(self.configured) if self.stands(item)))

    @cached_property
    def doubtful(self) -> Mapping[str, set[int]]:
        """Return for each node which signatures, by number, cover it and are not known to be wrong."""
        return self._covering(frozenset(number for number, item in enumerate(self.configured) if item.reaching))

    def _covering(self, numbers: frozenset[int]) -> Mapping[str, set[int]]:
        found: dict[str, set[int]] = defaultdict(set)
        for number in numbers:
            item = self.configured[number]
            for path in item.trial.nodes if self.binding(item) else ():
                found[path].add(number)
        return found

    @cached_property
    def checks(self) -> Mapping[str, tuple[DigestCheck, ...]]:
        """Return the hashes of each image, by its path."""
        return {image.node.path: tuple(_checks(self, image)) for image in self.layout.images}

    @cached_property
    def protected(self) -> Mapping[str, bool | None]:
        """Return for each image, by its path, whether something authentic reaches its data; None: not computable."""
        return {image.node.path: _protected(self, image) for image in self.layout.images}


def _detect(source: Source, context: Context) -> bool:  # noqa: ARG001 - the contract's signature
    head = source.read(0, DETECTED)
    return head.startswith(MAGIC) and _IMAGES_NODE in head


def _parse(source: Source, context: Context) -> Parse:
    layout = read_layout(source)
    control = read_control(context)
    plans = plan(source, layout)
    hashes = (request for image in layout.images for item in image.hashes if (request := _request(source, image, item)))
    answers = yield tuple(dict.fromkeys((*requests(plans), *hashes)))
    fit = _Fit(
        source=source,
        layout=layout,
        judged=tuple(judge(item, answers, context) for item in plans),
        answers=answers,
        opened={image.node.path: open_image(source, image, context, control) for image in layout.images},
        control=control,
    )
    return _artifact(fit)


def _request(source: Source, image: FitImage, item: Hash) -> DigestRequest | None:
    if image.span is None or not item.algorithm or not item.value:
        return None
    return DigestRequest.over(item.algorithm, source, image.span)


# Hashes and what reaches an image


def _checks(fit: _Fit, image: FitImage) -> Iterator[DigestCheck]:
    for item in image.hashes:
        if item.value and not item.ignored:
            yield _check(fit, image, item)


def _check(fit: _Fit, image: FitImage, item: Hash) -> DigestCheck:
    request = _request(fit.source, image, item)
    return DigestCheck(
        name=item.node.path,
        algorithm=item.algorithm or item.stated,
        expected=(item.value or b"").hex(),
        actual=fit.answers[request].hex() if request else None,
        covers=(image.span,) if image.span else (),
        over="ciphertext" if image.cipher else "content",
        authentic={item.node.path, image.node.path} <= fit.valid_nodes,
        note="" if request else "there is no data, or nothing here computes this hash",
    )


def _protected(fit: _Fit, image: FitImage) -> bool | None:
    checks = {check.name: check for check in fit.checks[image.node.path]}
    if any(check.matches is False for check in checks.values()):
        return False  # U-Boot compares every hash node, and one that differs is enough
    own = fit.owners.get(image.node.path, ())
    if any(fit.stands(item) for item in own):
        return True
    if not _together(fit.reaching, image):
        return None if _together(fit.doubtful, image) or any(item.reaching for item in own) else False
    results = [
        checks[item.node.path].matches
        for item in image.hashes
        if item.node.path in checks and item.algorithm not in _CHECKSUMS
    ]
    return True if True in results else None if results else False


def _together(covering: Mapping[str, set[int]], image: FitImage) -> bool:
    """Return whether one signature covers the image with all its hashes, its cipher and its dm-verity root."""
    return bool(set.intersection(*(covering.get(path, set()) for path in image_nodes(image))))


def _states(fit: _Fit) -> dict[Span, bool | None]:
    """Return the state of each range; data that several images share are as bad as the worst of them."""
    found: dict[Span, bool | None] = {}
    for image in fit.layout.images:
        if image.span and image.span.size:
            state = fit.protected[image.node.path]
            known = found.get(image.span, True)
            found[image.span] = False if False in {state, known} else None if None in {state, known} else True
    for item in fit.layout.configurations:  # they choose what is started, and where
        path = item.node.path
        found[item.node.head] = True if path in fit.reaching else None if path in fit.doubtful else False
    return found


def _coverage(fit: _Fit) -> Coverage:
    states = _states(fit)
    reached = all(state is True for state in states.values())
    held = any(fit.stands(item) and fit.binding(item) for item in fit.configured)
    return Coverage(
        payload=tuple(states),
        uncovered=tuple(span for span, state in states.items() if state is False),
        undecided=tuple(span for span, state in states.items() if state is None),
        metadata=_STEERING if held else (),
        unprotected_metadata=tuple(_loose(fit, held=held)),
        size_bound=reached,
    )


def _loose(fit: _Fit, *, held: bool) -> Iterator[str]:
    if not held:
        yield from _STEERING
    elif len(fit.layout.configurations) > 1:
        yield "default configuration"  # a property of /configurations, which no signature covers


# The artifact


def _artifact(fit: _Fit) -> Artifact:
    signatures = tuple(item.signature for item in fit.judged)
    hardware = dict.fromkeys(text for item in fit.layout.configurations for text in item.node.texts("compatible"))
    return Artifact(
        format="fit",
        title="U-Boot flattened image tree (FIT)",
        name=fit.source.name,
        size=fit.source.size,
        sha256="",
        signatures=signatures or (Signature(outcome=Outcome.ABSENT, note="there is no signature node"),),
        coverage=_coverage(fit),
        images=tuple(_image(fit, image) for image in fit.layout.images),
        version=_version(fit),
        hardware=tuple(hardware),
        weaknesses=tuple(_weaknesses(fit, signatures)),
        facts=tuple(fact for fact in _facts(fit) if fact[1]),
    )


def _image(fit: _Fit, image: FitImage) -> Image:
    opened = fit.opened[image.node.path]
    encryption = opened.encryption
    if encryption.encrypted:
        encryption = replace(encryption, authenticated=fit.protected[image.node.path])
    return Image(
        id=image.name,
        size=image.span.size if image.span else 0,
        role="script" if image.kind == "script" else "image",
        target=image.kind,
        hardware=image.node.texts("compatible"),
        span=image.span,
        digests=fit.checks[image.node.path],
        encryption=encryption,
        source=opened.plain if image.span else None,
        note="" if opened.plain is not None else "encrypted, and no key was given that opens it",
    )


def _version(fit: _Fit) -> Version:
    """Return Rockchip's rollback index, the lowest of all configurations; upstream U-Boot has nothing like it."""
    stated = {item.node.path: item.node.integer("rollback-index") for item in fit.layout.configurations}
    found = {path: value for path, value in stated.items() if value is not None}
    if not found:
        return Version(version=INEXPRESSIBLE, sequence=INEXPRESSIBLE)
    held = [_held(fit.owners.get(path, ())) for path in found]
    authentic = False if False in held else None if None in held else True
    return Version(version=INEXPRESSIBLE, sequence=min(found.values()), authentic=authentic)


def _held(signatures: Sequence[Judged]) -> bool | None:
    if any(item.valid for item in signatures):
        return True
    return None if any(item.reaching for item in signatures) else False


def _facts(fit: _Fit) -> Iterator[tuple[str, str]]:
    root, layout = fit.layout.tree.root, fit.layout
    yield "description", root.text("description") or ""
    stamp = root.integer("timestamp")
    yield "timestamp (not enforced)", "" if stamp is None else _time(stamp)
    yield "default configuration", layout.default or ""
    for item in layout.configurations:
        names = ", ".join(
            f"{name} {' '.join(image.name for image in found)}" for name, found in item.references.items()
        )
        yield f"configuration {item.name}", names
    for image in layout.images:
        yield f"image {image.name}", ", ".join(_traits(image))
    for judged in fit.judged:
        signer = judged.plan.node.node.text("signer-name"), judged.plan.node.node.text("signer-version")
        yield f"signer of {judged.plan.node.owner} (unsigned)", " ".join(text for text in signer if text)
    if fit.control:
        rules = f"{', '.join(fit.control.required)}; mode {fit.control.mode}" if fit.control.required else "none"
        yield "keys that the control tree requires", rules


def _time(stamp: int) -> str:
    seconds = stamp & 0xFFFFFFFF  # mkimage writes 32 bits
    return dt.datetime.fromtimestamp(seconds, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _traits(image: FitImage) -> Iterator[str]:
    for name in ("type", "arch", "os", "compression"):
        yield image.node.text(name) or ""
    for name in ("load", "entry"):
        value = image.node.value(name)
        if value:
            yield f"{name} {int.from_bytes(value, 'big'):#x}"
    if image.external:
        yield "external data"
    if image.node.child(VERITY):
        yield "dm-verity"


# Weaknesses


def _weaknesses(fit: _Fit, signatures: Sequence[Signature]) -> Iterator[Weakness]:
    yield from common.signature_weaknesses(signatures)
    for image in fit.layout.images:
        yield from _image_weaknesses(fit, image)
    yield from _configuration_weaknesses(fit)
    for judged in fit.configured:
        yield from _signature_weaknesses(fit, judged)
    for first, second in shared_ivs(fit.layout.images):
        yield Weakness(code="iv-reuse", message=f"{first} and {second} share key and IV", where=second)
    for secret in fit.control.secrets if fit.control else ():
        text = f"the control tree holds the AES key {secret.name} in clear"
        yield Weakness(code="key-in-clear", message=text, where=secret.name)
    for span in _gaps(fit.layout, fit.source.size):
        if not common.only_fill(fit.source, span):
            text = "these bytes belong neither to the tree nor to an image"
            yield Weakness(code="trailing-data", message=text, where=str(span))


def _image_weaknesses(fit: _Fit, image: FitImage) -> Iterator[Weakness]:
    where = image.node.path
    checks = fit.checks[where]
    yield from common.digest_weaknesses(checks)
    yield from _hash_weaknesses(image, {check.algorithm for check in checks}, signed=where in fit.owners)
    for item in image.hashes:
        if item.ignored or not item.value:
            text = "U-Boot is told to leave this hash alone" if item.ignored else "this hash node has no value"
            yield Weakness(
                code="unprotected-member" if item.ignored else "malformed", message=text, where=item.node.path
            )
    if image.span is None or image.both:
        text = "it has no data" if image.span is None else "embedded data is shadowed by external data"
        yield Weakness(code="malformed", message=text, where=where)
    if image.kind == "script":
        yield Weakness(code="script-member", message=f"{image.name} is a script that U-Boot runs", where=where)
    if fit.layout.configurations and where not in fit.layout.referenced:
        yield Weakness(code="unreferenced-member", message="no configuration names it", where=where)
    if image.cipher and image.span:
        yield from _cipher_weaknesses(fit, image)


def _hash_weaknesses(image: FitImage, algorithms: set[str], *, signed: bool) -> Iterator[Weakness]:
    where = image.node.path
    if signed:
        return  # the signature is over the data itself
    if not algorithms:
        yield Weakness(code="missing-digest", message="the image has no hash", where=where)
    elif algorithms <= _CHECKSUMS:
        yield Weakness(code="checksum-only", message=f"only {', '.join(sorted(algorithms))}", where=where)
    elif algorithms <= common.WEAK_DIGESTS:
        text = f"the image rests on {', '.join(sorted(algorithms - _CHECKSUMS))}"
        yield Weakness(code="weak-digest", message=text, where=where)


def _cipher_weaknesses(fit: _Fit, image: FitImage) -> Iterator[Weakness]:
    where = image.node.path
    yield from common.ciphertext_doubts(fit.source, image.span or Span(0, 0), where)
    if image.cipher and image.cipher.iv and not any(image.cipher.iv):
        yield Weakness(code="zero-iv", message="the IV is all zero", where=image.cipher.node.path)
    if fit.protected[where] is False:
        text = "nothing authentic covers the ciphertext, and CBC does not notice a change"
        yield Weakness(code="unauthenticated-encryption", message=text, where=where)


def _configuration_weaknesses(fit: _Fit) -> Iterator[Weakness]:
    present = [item for item in fit.judged if item.signature.outcome is not Outcome.ABSENT]
    signed = {item.plan.node.owner for item in present}
    configured = any(isinstance(item.plan.owner, Configuration) for item in present)
    if present and not configured:
        text = "only single images are signed: others of the same signer can be combined with them"
        yield Weakness(code="mix-and-match", message=text)
        text = f"no configuration is signed, so these are not either: {', '.join(_STEERING)}"
        yield Weakness(code="unprotected-metadata", message=text)
    for item in fit.layout.configurations:
        where = item.node.path
        if configured and where not in signed:
            text = "this configuration is not signed, though others are"
            yield Weakness(code="unauthenticated-member", message=text, where=where)
        for name in item.missing:
            yield Weakness(code="missing-member", message=f"it names {name}, which is not there", where=where)
    if fit.layout.default and not any(item.name == fit.layout.default for item in fit.layout.configurations):
        text = f"the default configuration {fit.layout.default} is not there"
        yield Weakness(code="missing-member", message=text, where="/configurations")


def _signature_weaknesses(fit: _Fit, judged: Judged) -> Iterator[Weakness]:
    owner, node = judged.plan.owner, judged.plan.node
    where = node.node.path
    if not isinstance(owner, Configuration) or judged.signature.outcome is Outcome.ABSENT:
        return
    listed, needed = frozenset(node.hashed_nodes or ()), required_nodes(owner)
    if node.hashed_nodes is not None and listed != needed and stated_nodes(owner, node) is None:
        other = ", ".join(sorted(listed ^ needed)[:5])
        text = f"hashed-nodes is not what the configuration needs; they differ in {other}"
        yield Weakness(code="malformed", message=text, where=where)
    if judged.trial.less:
        left = ", ".join(sorted(needed - judged.trial.nodes)[:5])
        yield Weakness(code="unprotected-member", message=f"the signature leaves out {left}", where=where)
    names = fit.nameless[where]
    if names:
        text = f"the names of signed properties lie outside the signed strings: {', '.join(names[:5])}"
        yield Weakness(code="unprotected-metadata", message=text, where=where)


def _gaps(layout: Layout, size: int) -> Iterator[Span]:
    """Yield the ranges behind the tree that no image uses."""
    used = sorted(image.span for image in layout.images if image.external and image.span)
    end = layout.tree.size
    for span in (*used, Span(size, size)):
        if span.start > end:
            yield Span(end, span.start)
        end = max(end, span.end)


FORMAT: Final = Format(
    id="fit",
    title="U-Boot flattened image tree (FIT)",
    detect=_detect,
    parse=_parse,
    companions={"control": "U-Boot's control device tree: shows which signatures are required"},
    references=(
        "u-boot/u-boot doc/usage/fit/source_file_format.rst",
        "u-boot/u-boot doc/usage/fit/signature.rst",
        "Devicetree Specification v0.4 chapter 5",
    ),
)
