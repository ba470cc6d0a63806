"""Nordic DFU packages: images, init packets that state their digests, and signatures in these packets.

The zip is packed again after every change, with its checksums right. Values in a packet keep their length. A signature
for the check at every start is left as it is: the one over the init command is looked at first.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from checker.crypto.signatures import Scheme
from checker.crypto.signing import sign
from checker.crypto.staging import Signer
from checker.errors import FormatError, UnsupportedAlgorithmError
from checker.formats._nordic_init import ECDSA, ED25519, Init, read_init
from checker.formats.nordic_dfu import MANIFEST
from checker.io.digests import Literal
from checker.model.artifact import Source, Span
from checker.trials._edits import changed_source, then
from checker.trials.anatomies._zip_edit import contents, with_members
from checker.trials.contract import ARTIFACT, Anatomy, Body, Change, Content, Genuine, Part

VALUE: Final = "signature value"
_HALF: Final = 32  # bytes of r or s
_KINDS: Final = {ECDSA: "ec-p256", ED25519: "ed25519"}
_UNSIGNED: Final = "the init packet is not signed"


@dataclass(frozen=True)
class _Package:
    source: Source
    files: Mapping[str, bytes] = field(repr=False)
    firmwares: Mapping[str, tuple[str, str, Init]]  # by kind: names of image and packet, and what the packet says

    @classmethod
    def of(cls, source: Source) -> _Package:
        files = contents(source)
        found = {}
        for kind, entry in _entries(files).items():
            image, packet = str(entry.get("bin_file")), str(entry.get("dat_file"))
            if image not in files or packet not in files:
                raise FormatError(f"{kind} names a file that is not in the package", field=MANIFEST)
            legacy = True if "init_packet_data" in entry else None
            found[kind] = (image, packet, read_init(files[packet], packet, legacy=legacy))
        return cls(source, files, found)

    @property
    def signed(self) -> dict[str, tuple[str, Init]]:
        """Return the signed packets by name of their file, with the kind of firmware."""
        return {packet: (kind, init) for kind, (_, packet, init) in self.firmwares.items() if init.signed}

    def changed(self, new: Mapping[str, bytes | None]) -> Change:
        return Change(changed={ARTIFACT: Content.whole(with_members(self.source, new))})

    def part(self, name: str, value: bytes) -> Part:
        return Part(name=name, span=Span(0, self.source.size), value=value)

    def replaced(self, packet: str, old: bytes, new: bytes) -> bytes:
        """Return a packet with bytes in place of as many others, which stand in it once."""
        data = self.files[packet]
        if len(old) != len(new) or data.count(old) != 1:
            raise FormatError("another length, or bytes that stand there twice, are not written here", field=packet)
        return data.replace(old, new)


def _entries(files: Mapping[str, bytes]) -> Mapping[str, Mapping[str, Any]]:
    try:
        top = json.loads(files.get(MANIFEST, b""))
    except (ValueError, RecursionError) as error:
        raise FormatError("is no JSON", field=MANIFEST) from error
    found = top.get("manifest") if isinstance(top, dict) else None
    return {kind: item for kind, item in found.items() if isinstance(item, dict)} if isinstance(found, dict) else {}


def _read(genuine: Genuine) -> Body:
    package = _Package.of(genuine.source)
    images = {image: kind for kind, (image, _, _) in package.firmwares.items()}
    payload = tuple(package.part(f"image of {kind}", package.files[image]) for image, kind in images.items())
    signed = bool(package.signed)
    return Body(
        payload=payload,
        metadata=tuple(_fields(package)),
        signatures=tuple(package.part(VALUE, _value(init)) for _, init in package.signed.values()),
        fixed=True,
        stripped=_stripped(package) if signed else None,
        with_value=lambda part, value: _valued(package, part, value),
        signed_by=(lambda signer: _signed(package, signer)) if signed else None,
        resigned=(lambda signer, change: _again(genuine, signer, change)) if signed else None,
        malformed=_malformed(package),
        notes={
            "cipher": "the format knows no encryption",
            "weakly": "the digest is fixed with the scheme",
            "certificates": "keys have no certificates here",
            **({} if signed else dict.fromkeys(("signatures", "stripped", "signed_by", "metadata"), _UNSIGNED)),
        },
    )


def _value(init: Init) -> bytes:
    return init.signed.signature if init.signed else b""


def _fields(package: _Package) -> Iterator[Part]:
    """Yield what is signed: the init command of each firmware, as one part."""
    for kind, init in package.signed.values():
        if init.signed is not None:
            yield package.part(f"init command of {kind}", init.signed.message)


def _valued(package: _Package, part: Part, value: bytes) -> Change:
    """Return the package with another value: of an image, of an init command, or of every signature."""
    new: dict[str, bytes | None] = {}
    for kind, (image, packet, init) in package.firmwares.items():
        if part.name == f"image of {kind}":
            new[image] = value
        if init.signed is None:
            continue
        if part.name == f"init command of {kind}":
            new[packet] = package.replaced(packet, init.signed.message, value)
        if part.name == VALUE:
            new[packet] = package.replaced(packet, init.signed.signature, value)
    return package.changed(new)


def _stripped(package: _Package) -> Change:
    """Return the package with plain commands in place of signed ones (dfu-cc.proto, Packet: fields 1 and 2)."""
    new: dict[str, bytes | None] = {}
    for packet, (_, init) in package.signed.items():
        if init.signed is None:
            continue
        if init.legacy:
            new[packet] = package.files[packet][: -len(init.signed.signature)]
        else:
            command = b"\x08\x01" + _field(2, init.signed.message)  # op_code INIT, init
            new[packet] = _field(1, command)
    return package.changed(new)


def _field(number: int, data: bytes) -> bytes:
    """Return a length-delimited protobuf field."""
    size, head = len(data), b""
    while size > 0x7F:  # noqa: PLR2004 - seven bits of a varint
        head += bytes([size & 0x7F | 0x80])
        size >>= 7
    return bytes([number << 3 | 2]) + head + bytes([size]) + data


def _again(genuine: Genuine, signer: Signer, change: Change) -> Change:
    return then(change, _signed(_Package.of(changed_source(genuine, ARTIFACT, change)), signer))


def _signed(package: _Package, signer: Signer) -> Change:
    """Return the package with every init command signed by another key of the same kind.

    Raises:
        UnsupportedAlgorithmError: a packet names another scheme.
    """
    new: dict[str, bytes | None] = {}
    for packet, (_, init) in package.signed.items():
        if init.signed is None:
            continue
        wanted = _KINDS.get(init.signed.kind, "")
        if signer.public_key.facts.algorithm != wanted:
            text = f"the packet is for {wanted or 'an unknown scheme'}, the signer has another key"
            raise UnsupportedAlgorithmError(text)
        new[packet] = package.replaced(packet, init.signed.signature, _made(init, signer))
    return package.changed(new)


def _made(init: Init, signer: Signer) -> bytes:
    message = (Literal(init.signed.message if init.signed else b""),)
    if init.signed is None or init.signed.kind == ED25519:
        return sign(signer, message, Scheme(algorithm="ed25519", hash="sha-512"))
    value = sign(signer, message, Scheme(algorithm="ecdsa", hash="sha-256"), fixed=True)
    if not init.signed.little_endian:
        return value
    return value[:_HALF][::-1] + value[_HALF:][::-1]


def _malformed(package: _Package) -> dict[str, Change]:
    packets = [packet for _, packet, _ in package.firmwares.values()]
    return {
        "a manifest nested 20,000 deep": package.changed({MANIFEST: b'{"manifest":' * 20_000}),
        "an init packet cut short": package.changed({name: package.files[name][:-9] for name in packets}),
        "an init packet of a huge length": package.changed(dict.fromkeys(packets, b"\x12\xff\xff\xff\xff\x7f")),
        "an init packet of no bytes": package.changed(dict.fromkeys(packets, b"")),
    }


ANATOMY = Anatomy(id="nordic-dfu", read=_read)
