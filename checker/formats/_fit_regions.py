"""The bytes of a FIT that a configuration's signature is over, rebuilt from the configuration itself.

Source: u-boot/u-boot doc/usage/fit/signature.rst, "Signed Configurations", boot/fdt_region.c and boot/image-fit-sig.c.
The list `hashed-nodes` inside the file is a claim of whoever wrote the file. It is compared, and never taken for more
than a smaller part of the same configuration (tools before 2026 sign only the images that `sign-images` names).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from checker.formats._fit_layout import CIPHER, VERITY, Configuration, FitImage, SignatureNode
from checker.io.devicetree import Tag, Token, Tree
from checker.model.artifact import Span

# Where data lies may change after signing; its hash may not (image-fit-sig.c, exc_prop).
EXCLUDED: Final = frozenset({"data", "data-size", "data-position", "data-offset"})
_WHOLE, _OUT = 2, 0  # between them lies 1: only begin and end count


def required_nodes(configuration: Configuration) -> frozenset[str]:
    """Return the paths that a signature must cover: root, configuration, and each image with its hashes and cipher."""
    images = (path for image in configuration.images for path in image_nodes(image))
    return frozenset(("/", configuration.node.path, *images))


def image_nodes(image: FitImage) -> tuple[str, ...]:
    """Return the paths of an image, its hash nodes, and its cipher and dm-verity nodes."""
    extra = (image.node.child(name) for name in (CIPHER, VERITY))
    hashes = (item.node.path for item in image.hashes)
    return (image.node.path, *hashes, *(node.path for node in extra if node is not None))


def stated_nodes(configuration: Configuration, signature: SignatureNode) -> frozenset[str] | None:
    """Return the file's own list where it is an honest part of what must be covered, else None.

    A list without root or without the configuration itself would let the signature of one configuration stand in
    another, so it is not used at all.
    """
    if signature.hashed_nodes is None:
        return None
    stated, required = frozenset(signature.hashed_nodes), required_nodes(configuration)
    return stated if {"/", configuration.node.path} <= stated < required else None


def regions(tree: Tree, nodes: frozenset[str]) -> tuple[Span, ...]:
    """Return the ranges of the structure block that are hashed for a list of nodes.

    A listed node counts whole, except `EXCLUDED`; of its children that are not listed only begin and end count.
    """
    found: list[Span] = []
    start = -1
    for token, included, stop in _included(tree, nodes):
        if included and start < 0:
            start = token.span.start
        elif not included and start >= 0:
            found.append(Span(start, stop))
            start = -1
    return (*found, Span(start, tree.tokens[-1].span.end)) if start >= 0 else tuple(found)


def _included(tree: Tree, nodes: frozenset[str]) -> Iterator[tuple[Token, bool, int]]:
    """Yield every token, whether it counts, and where a range before it ends."""
    want, above = _OUT, []
    for token in tree.tokens:
        before, after = token.span.start, token.span.end
        if token.tag is Tag.BEGIN_NODE:
            above.append(want)
            want = _WHOLE if token.name in nodes else max(want - 1, _OUT)
            yield token, want > _OUT, before
        elif token.tag is Tag.END_NODE:
            yield token, want > _OUT, after
            want = above.pop()
        elif token.tag is Tag.END:
            yield token, True, after
        else:
            yield token, want == _WHOLE and token.name not in EXCLUDED, before


def strings_span(tree: Tree, signature: SignatureNode) -> Span | None:
    """Return the signed part of the strings block; None where none is signed or more is claimed than there is."""
    size = signature.hashed_strings
    if size is None or size > tree.strings.size:
        return None
    return Span(tree.strings.start, tree.strings.start + size)


def unsigned_names(tree: Tree, nodes: frozenset[str], signature: SignatureNode) -> tuple[str, ...]:
    """Return the properties of signed nodes whose names lie outside the signed strings: they can be renamed."""
    span = strings_span(tree, signature)
    size = 0 if span is None else span.size
    found = (item for path in nodes if path in tree.nodes for item in tree.nodes[path].properties.values())
    return tuple(sorted({item.name for item in found if item.name_offset + len(item.name) + 1 > size} - EXCLUDED))
