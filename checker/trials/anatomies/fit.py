"""U-Boot FIT images: the images' data, the properties that a configuration's signature covers, and signature nodes.

A node is taken out by turning it into NOP tokens, as libfdt does; values keep their length, so that nothing else moves.
All signatures of all configurations are made again by a foreign signer, over the bytes that the genuine ones are over.
U-Boot's own verifier (`fit_check_sign`) is in no package; the tests judge by otaudit's reading of FIT, which is held
against mkimage and openssl elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from checker.crypto.signatures import Scheme
from checker.crypto.signing import sign
from checker.crypto.staging import Signer
from checker.errors import FormatError, UnsupportedAlgorithmError
from checker.formats._fit_layout import Configuration, Layout, SignatureNode, read_layout
from checker.formats._fit_regions import EXCLUDED, regions, required_nodes, stated_nodes, strings_span
from checker.formats._fit_signature import PADDINGS
from checker.io.devicetree import Node, Tag
from checker.io.digests import Piece
from checker.model.artifact import Source, Span
from checker.trials._edits import changed_source, patched, then
from checker.trials.contract import ARTIFACT, Anatomy, Body, Change, Genuine, Part

VALUE: Final = "signature value"
_NOP: Final = b"\0\0\0\4"
_TOTAL_SIZE, _STRUCT_SIZE = 4, 36  # places of two numbers of the header
_UNSIGNED: Final = "no configuration and no image is signed"
_HUGE: Final = b"\x7f\xff\xff\xff"


@dataclass(frozen=True)
class _Tree:
    source: Source
    where: Layout

    @classmethod
    def of(cls, source: Source) -> _Tree:
        return cls(source, read_layout(source))

    @property
    def signatures(self) -> tuple[tuple[Configuration, SignatureNode], ...]:
        """Return the signatures of configurations that have a value."""
        return tuple((owner, node) for owner in self.where.configurations for node in owner.signatures if node.value)

    @property
    def nodes(self) -> tuple[SignatureNode, ...]:
        """Return every signature node with a value, those of images too."""
        images = (node for image in self.where.images for node in image.signatures if node.value)
        return (*(node for _, node in self.signatures), *images)

    def patch(self, *patches: tuple[int, bytes]) -> Change:
        return Change(changed={ARTIFACT: patched(self.source.size, patches)})

    def extent(self, node: Node) -> Span:
        """Return where a node lies, from its begin to its end."""
        own = [token for token in self.where.tree.tokens if token.name == node.path]
        first = next(token for token in own if token.tag is Tag.BEGIN_NODE)
        last = next(token for token in own if token.tag is Tag.END_NODE)
        return Span(first.span.start, last.span.end)


def _read(genuine: Genuine) -> Body:
    tree = _Tree.of(genuine.source)
    signed = tree.nodes
    direct = bool(signed) and not tree.signatures
    return Body(
        payload=tuple(_payload(tree)),
        metadata=() if direct else tuple(_fields(tree)),
        signatures=tuple(Part(name=VALUE, span=_value(node)) for node in signed),
        cipher=tuple(_cipher(tree)),
        direct=direct,
        outer=True,
        fixed=True,
        stripped=_stripped(tree) if signed else None,
        with_value=lambda _, value: tree.patch(*((_value(node).start, _same(node, value)) for node in signed)),
        algorithms=_algorithms(tree) if signed else {},
        signed_by=(lambda signer: _signed(tree, signer)) if tree.signatures else None,
        resigned=(lambda signer, change: _again(genuine, signer, change)) if tree.signatures else None,
        malformed=_malformed(tree),
        oversized=_oversized(tree),
        notes={
            "cipher": "no image is encrypted",
            "certificates": "keys have no certificates here",
            "weakly": "another digest has a name of another length, which would move the tree",
            "metadata": "images are signed alone: no property is covered",
            **dict.fromkeys(("signatures", "stripped", "signed_by", "resigned"), _UNSIGNED),
        },
    )


def _payload(tree: _Tree) -> Iterator[Part]:
    for image in tree.where.images:
        used = image.node.path in tree.where.referenced or not tree.where.configurations
        if used and image.span is not None and image.span.size:
            yield Part(name=f"image {image.name}", span=image.span)


def _cipher(tree: _Tree) -> Iterator[Part]:
    for image in tree.where.images:
        if image.cipher is not None and image.span is not None and image.span.size:
            yield Part(name=f"ciphertext of {image.name}", span=image.span)
            if "iv" in image.cipher.node.properties:
                yield Part(name=f"IV of {image.name}", span=image.cipher.node.properties["iv"].value)


def _fields(tree: _Tree) -> Iterator[Part]:
    """Yield the properties that every signed configuration's signature covers, by name."""
    covered: dict[str, None] = {}
    for owner, node in tree.signatures:
        covered |= dict.fromkeys(sorted(_covered(owner, node)))
    for path in covered:
        for name, item in tree.where.tree.nodes[path].properties.items():
            size = item.value.size
            if name in EXCLUDED or not size:
                continue
            text = size > 1 and tree.source.read(item.value.end - 1, 1) == b"\0" and name not in {"load", "entry"}
            yield Part(name=f"property {name}", span=Span(item.value.start, item.value.end - text))


def _covered(owner: Configuration, node: SignatureNode) -> frozenset[str]:
    return stated_nodes(owner, node) or required_nodes(owner)


def _value(node: SignatureNode) -> Span:
    return node.node.properties["value"].value


def _same(node: SignatureNode, value: bytes) -> bytes:
    if len(value) != _value(node).size:
        raise FormatError("values keep their length here", field=node.node.path)
    return value


def _stripped(tree: _Tree) -> Change:
    """Return the image with every signature node turned into NOPs."""
    extents = {tree.extent(node.node) for node in tree.nodes}
    return tree.patch(*((span.start, _NOP * (span.size // len(_NOP))) for span in extents))


def _algorithms(tree: _Tree) -> dict[str, Change]:
    """Return names of signature algorithms of the same length that are none, or that nobody knows."""
    places = [node.node.properties["algo"].value for node in tree.nodes if "algo" in node.node.properties]
    names = {"none": b"none", "unknown (sha256,xyz2048)": b"sha256,xyz2048"}
    return {
        f"signature algorithm {words}": tree.patch(
            *((span.start, name[: span.size - 1].ljust(span.size, b"\0")) for span in places)
        )
        for words, name in names.items()
        if places
    }


def _again(genuine: Genuine, signer: Signer, change: Change) -> Change:
    return then(change, _signed(_Tree.of(changed_source(genuine, ARTIFACT, change)), signer))


def _signed(tree: _Tree, signer: Signer) -> Change:
    """Return the image with every configuration's signature made by another key of the same kind.

    Raises:
        UnsupportedAlgorithmError: a signature node is for another kind of key.
    """
    found = []
    for owner, node in tree.signatures:
        facts = signer.public_key.facts
        if (facts.algorithm, facts.bits) != node.key:
            raise UnsupportedAlgorithmError(f"{node.node.path} is for {node.stated}, the signer has {facts.algorithm}")
        found.append((_value(node).start, _same(node, _made(tree, owner, node, signer))))
    return tree.patch(*found)


def _made(tree: _Tree, owner: Configuration, node: SignatureNode, signer: Signer) -> bytes:
    spans = regions(tree.where.tree, _covered(owner, node))
    strings = strings_span(tree.where.tree, node)
    message = tuple(Piece(tree.source, span) for span in (*spans, *((strings,) if strings else ())))
    elliptic = node.key[0].startswith("ec")
    algorithm = "ecdsa" if elliptic else PADDINGS.get(node.padding, "")
    scheme = Scheme(algorithm=algorithm, hash=node.hash)
    return sign(signer, message, scheme, fixed=elliptic)


def _malformed(tree: _Tree) -> dict[str, Change]:
    structure = tree.where.tree.structure
    return {
        "a tree without an end token": tree.patch((structure.end - len(_NOP), _NOP)),
        "a tree that is nested to its end": tree.patch((structure.start, b"\0\0\0\1a\0\0\0" * (structure.size // 8))),
        "a tree whose structure has more bytes than the file": tree.patch((_STRUCT_SIZE, _HUGE)),
    }


def _oversized(tree: _Tree) -> dict[str, Change]:
    found = {"the tree is said to have 2 GiB": tree.patch((_TOTAL_SIZE, _HUGE))}
    for image in tree.where.images:
        if image.external and "data-size" in image.node.properties:
            place = image.node.properties["data-size"].value
            found["the data of an image is said to have 2 GiB"] = tree.patch((place.start, _HUGE))
            break
    return found


ANATOMY = Anatomy(id="fit", read=_read)
