"""U-Boot control device trees: the public keys that the bootloader verifies FIT images with.

Source: u-boot/u-boot doc/usage/fit/signature.rst, "Public Key Storage". Each child of `/signature` is a key:
`rsa,modulus` and `rsa,exponent`, or `ecdsa,curve`, `ecdsa,x-point` and `ecdsa,y-point`. What is derived from them for
Montgomery multiplication (`rsa,r-squared`, `rsa,n0-inverse`) is not read.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from checker.crypto.key_forms.contract import KeyForm
from checker.crypto.keys import PublicKey, from_ec_point, from_rsa_numbers
from checker.errors import FormatError, KeyMaterialError
from checker.io.devicetree import MAGIC, Node, read_tree
from checker.io.sources import BytesSource

MAX_NUMBER: Final = 8192 // 8  # bytes of a modulus; U-Boot's RSA_MAX_KEY_BITS is 4096
_CURVES: Final = {
    "prime256v1": ("ec-p256", 32),
    "secp256r1": ("ec-p256", 32),
    "secp384r1": ("ec-p384", 48),
    "secp521r1": ("ec-p521", 66),
}


def _detect(data: bytes) -> bool:
    return data.startswith(MAGIC)


def _read(data: bytes, name: str) -> Iterator[PublicKey]:
    try:
        folder = read_tree(BytesSource(name, data)).root.child("signature")
        for node in folder.children.values() if folder else ():
            yield _key(node)
    except FormatError as error:
        raise KeyMaterialError(f"{name or 'key'}: is a damaged device tree: {error}") from error


def _key(node: Node) -> PublicKey:
    name = node.text("key-name-hint") or node.name.removeprefix("key-")
    if "rsa,modulus" in node.properties:
        modulus, exponent = node.value("rsa,modulus", limit=MAX_NUMBER), node.integer("rsa,exponent")
        # U-Boot takes 65537 where a tree of 2013 or older holds no exponent (lib/rsa/rsa-verify.c).
        return from_rsa_numbers(int.from_bytes(modulus or b"", "big"), 65537 if exponent is None else exponent, name)
    curve, size = _CURVES.get(node.text("ecdsa,curve") or "", ("", 0))
    x, y = (node.value(f"ecdsa,{letter}-point", limit=MAX_NUMBER) for letter in "xy")
    if not curve or x is None or y is None or max(len(x), len(y)) > size:
        raise FormatError("neither an RSA key nor a point on a known curve", offset=node.offset, field=node.path)
    return from_ec_point(curve, b"\x04" + x.rjust(size, b"\0") + y.rjust(size, b"\0"), name)


FORM: Final = KeyForm(
    id="uboot-dtb",
    title="U-Boot control device tree",
    detect=_detect,
    read=_read,
    references=("u-boot/u-boot doc/usage/fit/signature.rst", "Devicetree Specification v0.4 chapter 5"),
)
