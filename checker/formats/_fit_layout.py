"""What lies in a U-Boot FIT: images with their data, hashes and ciphers, configurations, and signature nodes.

Source: u-boot/u-boot doc/usage/fit/source_file_format.rst and signature.rst; boot/image-fit.c for what wins where both
embedded and external data are named.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

from checker.errors import FormatError, LimitError
from checker.io.devicetree import Node, Tree, read_tree
from checker.io.limits import MAX_MEMBERS
from checker.model.artifact import Source, Span

IMAGES, CONFIGURATIONS = "images", "configurations"
HASH, SIGNATURE, CIPHER, VERITY = "hash", "signature", "cipher", "dm-verity"
MAX_IMAGES: Final = 4096  # images and configurations; U-Boot's verifier takes a hundred nodes of one configuration
MAX_HASHES: Final = 64  # hash and signature nodes of one image or configuration; real ones have up to three
MAX_VALUE: Final = 1024  # bytes of a hash or signature: RSA-8192 has as many
MAX_REFERENCES: Final = MAX_MEMBERS  # images named by all configurations
ALIGNMENT: Final = 4
HASHES: Final[Mapping[str, str]] = {
    "crc16-ccitt": "crc-16/xmodem",
    "crc32": "crc-32",
    "md5": "md5",
    "sha1": "sha-1",
    "sha256": "sha-256",
    "sha384": "sha-384",
    "sha512": "sha-512",
}
SIGNED_HASHES: Final = frozenset({"sha1", "sha256", "sha384", "sha512"})  # boot/image-sig.c, checksum_algos
CRYPTOS: Final[Mapping[str, tuple[str, int]]] = {
    "rsa2048": ("rsa", 2048),
    "rsa3072": ("rsa", 3072),
    "rsa4096": ("rsa", 4096),
    "ecdsa256": ("ec-p256", 256),
    "ecdsa384": ("ec-p384", 384),
    "ecdsa521": ("ec-p521", 521),
    "secp521r1": ("ec-p521", 521),
}
# Properties of a configuration that name no image; all others may, so that a new kind of image is never left out.
_PLAIN: Final = frozenset({"description", "compatible", "default", "cmdline", "phase"})


@dataclass(frozen=True, kw_only=True)
class Hash:
    """A hash node. `algorithm` is an id of the table, empty where it has none."""

    node: Node
    stated: str
    algorithm: str
    value: bytes | None
    ignored: bool  # `uboot-ignore`: U-Boot does not look at it


@dataclass(frozen=True, kw_only=True)
class SignatureNode:
    """A signature node of a configuration or image."""

    node: Node
    owner: str  # path of the configuration or image
    stated: str  # "sha256,rsa2048"
    hash: str  # id of the table, empty where unknown
    key: tuple[str, int]  # algorithm of the key and its bits; ("", 0) where unknown
    padding: str
    value: bytes | None = field(repr=False)
    hint: str
    hashed_nodes: tuple[str, ...] | None
    hashed_strings: int | None  # bytes of the strings block that are signed


@dataclass(frozen=True, kw_only=True)
class Cipher:
    """A cipher node. `bits` is 0 where the algorithm is none of U-Boot's."""

    node: Node
    stated: str
    bits: int
    iv: bytes
    hint: str
    iv_hint: str
    plain_size: int | None


@dataclass(frozen=True, kw_only=True)
class FitImage:
    """An image. `span` is where U-Boot finds its data; None where it finds none."""

    node: Node
    kind: str
    span: Span | None
    external: bool
    both: bool  # embedded data too, which U-Boot leaves alone
    hashes: tuple[Hash, ...]
    signatures: tuple[SignatureNode, ...]
    cipher: Cipher | None

    @property
    def name(self) -> str:
        """Return the node's name."""
        return self.node.name


@dataclass(frozen=True, kw_only=True)
class Configuration:
    """A configuration: the images that it names, by property, and what it names in vain."""

    node: Node
    references: Mapping[str, tuple[FitImage, ...]]
    missing: tuple[str, ...]
    signatures: tuple[SignatureNode, ...]

    @property
    def name(self) -> str:
        """Return the node's name."""
        return self.node.name

    @property
    def images(self) -> tuple[FitImage, ...]:
        """Return every image that it names, once."""
        return tuple({image.node.path: image for found in self.references.values() for image in found}.values())


@dataclass(frozen=True, kw_only=True)
class Layout:
    """The whole FIT."""

    tree: Tree
    images: tuple[FitImage, ...]
    configurations: tuple[Configuration, ...]
    default: str | None

    @cached_property
    def referenced(self) -> frozenset[str]:
        """Return the paths of the images that a configuration names."""
        return frozenset(image.node.path for item in self.configurations for image in item.images)


def read_layout(source: Source) -> Layout:
    """Return what lies in a FIT.

    Raises:
        FormatError: it breaks a rule of device trees or of FIT.
    """
    tree = read_tree(source)
    folder = tree.root.child(IMAGES)
    if folder is None or not folder.children:
        raise FormatError("there is no image", offset=tree.structure.start, field="/images")
    above = tree.root.child(CONFIGURATIONS)
    below = tuple(above.children.values()) if above else ()
    if len(folder.children) + len(below) > MAX_IMAGES:
        raise LimitError(f"more than {MAX_IMAGES} images and configurations", offset=folder.offset, field="/images")
    images = tuple(_image(tree, node) for node in folder.children.values())
    _refuse_shared_bytes(tree, images)
    by_path = {image.node.path: image for image in images}
    room = [MAX_REFERENCES]
    found = tuple(_configuration(node, folder, by_path, room) for node in below)
    return Layout(tree=tree, images=images, configurations=found, default=above.text("default") if above else None)


def _refuse_shared_bytes(tree: Tree, images: tuple[FitImage, ...]) -> None:
    """Refuse external data inside the tree, or inside other data: what is hashed would not be what is loaded."""
    end, before = tree.size, "the tree"
    spans = {image.span: image.name for image in images if image.external and image.span is not None}
    for span, name in sorted(spans.items(), key=lambda item: item[0]):
        if span.size and span.start < end:
            raise FormatError(f"overlaps {before}", offset=span.start, field=f"data of {name}")
        end, before = max(end, span.end), f"the data of {name}"


# Images


def _image(tree: Tree, node: Node) -> FitImage:
    span, external = _data(tree, node)
    return FitImage(
        node=node,
        kind=node.text("type") or "",
        span=span,
        external=external,
        both=external and "data" in node.properties,
        hashes=tuple(_hash(child) for child in _named(node, HASH)),
        signatures=_signatures(node),
        cipher=_cipher(node),
    )


def _data(tree: Tree, node: Node) -> tuple[Span | None, bool]:
    """Return where the data lies: an absolute position wins over an offset, and both over embedded data."""
    start = node.integer("data-position")
    if start is None:
        offset = node.integer("data-offset")
        start = None if offset is None else tree.size + -tree.size % ALIGNMENT + offset
    if start is None:
        embedded = node.properties.get("data")
        return (embedded.value if embedded else None), False
    size = node.integer("data-size")
    if size is None:
        raise FormatError("external data without data-size", offset=node.offset, field=node.path)
    if start + size > tree.source.size:
        text = f"data of {size} bytes at {start:#x} ends behind the file"
        raise FormatError(text, offset=node.offset, field=node.path)
    return Span(start, start + size), True


def _hash(node: Node) -> Hash:
    stated = node.text("algo") or ""
    return Hash(
        node=node,
        stated=stated,
        algorithm=HASHES.get(stated, ""),
        value=node.value("value", limit=MAX_VALUE),
        ignored="uboot-ignore" in node.properties,
    )


def _cipher(image: Node) -> Cipher | None:
    node = image.child(CIPHER)
    if node is None:
        return None
    stated = node.text("algo") or ""
    bits = {"aes128": 128, "aes192": 192, "aes256": 256}.get(stated, 0)
    return Cipher(
        node=node,
        stated=stated,
        bits=bits,
        iv=node.value("iv", limit=MAX_VALUE) or b"",
        hint=node.text("key-name-hint") or "",
        iv_hint=node.text("iv-name-hint") or "",
        plain_size=image.integer("data-size-unciphered"),
    )


# Signatures and configurations


def _signatures(owner: Node) -> tuple[SignatureNode, ...]:
    return tuple(_signature(node, owner) for node in _named(owner, SIGNATURE))


def _named(owner: Node, prefix: str) -> tuple[Node, ...]:
    found = tuple(node for node in owner.children.values() if node.name.startswith(prefix))
    if len(found) > MAX_HASHES:
        raise LimitError(f"more than {MAX_HASHES} {prefix} nodes", offset=owner.offset, field=owner.path)
    return found


def _signature(node: Node, owner: Node) -> SignatureNode:
    stated = node.text("algo") or ""
    hash_name, _, crypto = stated.partition(",")
    strings = node.value("hashed-strings", limit=MAX_VALUE)
    if strings is not None and len(strings) < 2 * ALIGNMENT:
        raise FormatError("hashed-strings is not two numbers", offset=node.offset, field=node.path)
    return SignatureNode(
        node=node,
        owner=owner.path,
        stated=stated,
        hash=HASHES[hash_name] if hash_name in SIGNED_HASHES else "",
        key=CRYPTOS.get(crypto, ("", 0)),
        padding=node.text("padding") or "pkcs-1.5",
        value=node.value("value", limit=MAX_VALUE),
        hint=node.text("key-name-hint") or "",
        hashed_nodes=node.texts("hashed-nodes") if "hashed-nodes" in node.properties else None,
        # The first number is an offset that the verifier takes as zero (boot/image-fit-sig.c).
        hashed_strings=None if strings is None else int.from_bytes(strings[4:8], "big"),
    )


def _configuration(node: Node, folder: Node, images: Mapping[str, FitImage], room: list[int]) -> Configuration:
    references: dict[str, tuple[FitImage, ...]] = {}
    missing: list[str] = []
    for name, names in _texts(node):
        room[0] -= len(names)
        if room[0] < 0:
            raise LimitError(f"more than {MAX_REFERENCES} references", offset=node.offset, field=node.path)
        found = [folder.child(text) for text in names]
        if any(found):
            references[name] = tuple(images[child.path] for child in found if child is not None)
        if any(found) or name in _KINDS:
            missing += [text for text, child in zip(names, found, strict=True) if child is None]
    return Configuration(
        node=node, references=references, missing=tuple(dict.fromkeys(missing)), signatures=_signatures(node)
    )


_KINDS: Final = frozenset(
    {"kernel", "fdt", "ramdisk", "setup", "loadables", "firmware", "fpga", "script", "standalone", "multi"}
)


def _texts(node: Node) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield the properties that hold text and may name images."""
    for name, item in node.properties.items():
        last = node.tree.source.read(item.value.end - 1, 1) if item.value.size else b""
        if name not in _PLAIN and last == b"\0":
            yield name, node.texts(name)
