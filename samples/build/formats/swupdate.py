"""Makes the samples of SWUpdate images by openssl, GNU cpio and swugenerator, bad ones with one fault each."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.serialization import Encoding

from samples.build import _pki
from samples.build._pki import Profile
from samples.build._tools import BIN, KEYS, cpio, firmware, key_bytes, public_half, require, run
from samples.build.formats._faults import MOMENT, Person, certified, cms, flipped, fresh

TIME: Final = int(datetime(2026, 10, 1, 12, tzinfo=UTC).timestamp())
DESCRIPTION: Final = "sw-description"
SIGNATURE: Final = "sw-description.sig"
SIZE: Final = 2048
KEY: Final = key_bytes("swupdate fleet", 32)
IVS: Final = (key_bytes("swupdate iv 0", 16).hex(), key_bytes("swupdate iv 1", 16).hex())
DEVICES: Final = ("A", "B")


@dataclass(frozen=True, kw_only=True)
class Item:
    """One entry of the description, and its member where the archive holds one."""

    name: str
    data: bytes | None
    more: Mapping[str, str | bool] = field(default_factory=dict)
    sha256: str | None = None  # another one than the true one; empty for none
    kind: str = "images"

    def entry(self) -> dict[str, str | bool]:
        """Return the settings of the entry."""
        stated = hashlib.sha256(self.data or b"").hexdigest() if self.sha256 is None else self.sha256
        found: dict[str, str | bool] = {"filename": self.name, "device": f"/dev/{self.name}", **self.more}
        return found | ({"sha256": stated} if stated else {})


ROOTFS: Final = Item(name="rootfs.img", data=firmware("swu rootfs", SIZE))
RADIO: Final = Item(name="radio.bin", data=firmware("swu radio", SIZE))


@dataclass(frozen=True)
class Kit:
    """Where everything is, and who signs."""

    folder: Path
    work: Path
    people: Mapping[str, Person]

    def make(self, path: str, *items: Item, person: str = "signer", options: tuple[str, ...] = ()) -> Path:
        """Write a signed image that holds the items; rootfs and radio where none is named."""
        chosen = items or (ROOTFS, RADIO)
        self.describe(libconfig(chosen))
        cms(self.people[person], self.work / DESCRIPTION, self.work / SIGNATURE, *options)
        return self.pack(path, chosen)

    def describe(self, text: str) -> None:
        """Write the description."""
        (self.work / DESCRIPTION).write_text(text)

    def pack(self, path: str, items: tuple[Item, ...], *, signed: bool = True, more: tuple[str, ...] = ()) -> Path:
        """Pack description, signature and members by cpio."""
        held = {item.name: item.data for item in items if item.data is not None}
        for name, data in held.items():
            (self.work / name).write_bytes(data)
        target = (self.folder / path).resolve()
        names = [DESCRIPTION, *([SIGNATURE] if signed else []), *held, *more]
        cpio(self.work, names, target, TIME)
        return target


def libconfig(items: tuple[Item, ...]) -> str:
    """Return a description in libconfig's syntax."""

    def value(found: str | bool) -> str:  # noqa: FBT001 - a setting
        return str(found).lower() if isinstance(found, bool) else f'"{found}"'

    lists: dict[str, list[str]] = {}
    for item in items:
        pairs = " ".join(f"{name} = {value(setting)};" for name, setting in item.entry().items())
        lists.setdefault(item.kind, []).append(f"{{ {pairs} }}")
    parts = " ".join(f"{kind}: ( {', '.join(entries)} );" for kind, entries in lists.items())
    return f'software = {{ version = "2.4.1"; hardware-compatibility: [ "1.0", "1.1" ]; {parts} }}\n'


def build(folder: Path) -> None:
    """Write `good/`, `bad/` and `keys/` below `folder`."""
    require("openssl", "cpio", "faketime", "swugenerator")
    fresh(folder)
    with tempfile.TemporaryDirectory() as name:
        kit = Kit(folder, Path(name), certified(folder, Path(name)))
        (folder / "keys" / "fleet.key").write_text(f"{KEY.hex()} {IVS[0]}\n")
        public_half(kit.work / "rsa.key", folder / "keys" / "rsa.pub.pem")
        _good(kit)
        _signatures(kit)
        _members(kit)
        _ciphers(kit)
        _changed(folder)


def aes(data: bytes, iv: str) -> bytes:
    """Return AES-256-CBC by openssl."""
    return run(["openssl", "enc", "-aes-256-cbc", "-K", KEY.hex(), "-iv", iv], stdin=data)


def sealed(item: Item, iv: str, **more: str) -> Item:
    """Return an item that is encrypted with the fleet's key."""
    settings = {"encrypted": "aes-cbc-256", "ivt": iv} | more
    return Item(name=f"{item.name}.enc", data=aes(item.data or b"", iv), more=settings)


def _good(kit: Kit) -> None:
    kit.make("good/signed.swu")
    kit.make("good/encrypted.swu", sealed(ROOTFS, IVS[0]), sealed(RADIO, IVS[1]))
    items = (ROOTFS, RADIO)
    kit.describe(libconfig(items))
    raw = run(["openssl", "dgst", "-sha256", "-sign", kit.work / "rsa.key", kit.work / DESCRIPTION])
    (kit.work / SIGNATURE).write_bytes(raw)
    kit.pack("good/raw-rsa.swu", items)
    images = [item.entry() for item in items]
    software = {"version": "2.4.1", "hardware-compatibility": ["1.0", "1.1"], "images": images}
    kit.describe(json.dumps({"software": software}))
    cms(kit.people["signer"], kit.work / DESCRIPTION, kit.work / SIGNATURE)
    kit.pack("good/json.swu", items)
    _asymmetric(kit)
    _generated(kit)


def _asymmetric(kit: Kit) -> None:
    """Encrypt the description to two devices; the signature is over its plaintext."""
    items = (ROOTFS, RADIO)
    certificates = []
    for device in DEVICES:
        key = KEYS / f"gateway-{device}.pem"
        profile = Profile(name=f"device {device}", serial=1, years=(2026, 2046), usage=("key_agreement",))
        path = kit.work / f"device-{device}.pem"
        path.write_bytes(_pki.issue(profile, key, None, key).public_bytes(Encoding.PEM))
        certificates.append(path)
    (kit.folder / "keys" / "device.pem").write_bytes((KEYS / "gateway-A.pem").read_bytes())
    kit.describe(libconfig(items))
    cms(kit.people["signer"], kit.work / DESCRIPTION, kit.work / SIGNATURE)
    plain = (kit.work / DESCRIPTION).read_bytes()
    recipients = [word for path in certificates for word in ("-recip", path)]
    command = ["openssl", "cms", "-encrypt", "-binary", "-aes-256-cbc", "-outform", "DER", *recipients]
    (kit.work / DESCRIPTION).write_bytes(run(command, stdin=plain))
    (kit.folder / "sealed").mkdir(exist_ok=True)
    kit.pack("sealed/encrypted-description.swu", items)


def _generated(kit: Kit) -> None:
    for item in (ROOTFS, RADIO):
        (kit.work / item.name).write_bytes(item.data or b"")
    entries = ", ".join(f'{{ filename = "{item.name}"; device = "/dev/{item.name}"; }}' for item in (ROOTFS, RADIO))
    text = f'software = {{ version = "2.4.1"; hardware-compatibility: [ "1.0", "1.1" ]; images: ( {entries} ); }}\n'
    (kit.work / "template").write_text(text)
    target = (kit.folder / "good" / "swugenerator.swu").resolve()
    person = kit.people["signer"]
    signing = f"CMS,{person.key},{person.certificate}"
    run([BIN / "swugenerator", "-k", signing, "-s", "template", "-a", ".", "-o", target, "create"], cwd=kit.work,
        at=MOMENT)  # fmt: skip


def _signatures(kit: Kit) -> None:
    for name, person in (
        ("signed-by-a-stranger", "stranger"),
        ("signer-expired", "expired"),
        ("signer-not-yet-valid", "future"),
        ("signer-revoked", "revoked"),
        ("signer-of-servers", "server"),
        ("exponent-3", "e3"),
        ("small-key", "small"),
        ("weak-curve", "p192"),
    ):
        kit.make(f"bad/{name}.swu", person=person)
    kit.make("bad/signed-over-sha-1.swu", options=("-md", "sha1"))
    items = (ROOTFS, RADIO)
    kit.describe(libconfig(items))
    kit.pack("bad/unsigned.swu", items, signed=False)
    cms(kit.people["signer"], kit.work / DESCRIPTION, kit.work / SIGNATURE)
    kit.pack("bad/signature-not-second.swu", items, signed=False, more=(SIGNATURE,))
    good = (kit.work / SIGNATURE).read_bytes()
    (kit.work / SIGNATURE).write_bytes(flipped(good, -5))
    kit.pack("bad/signature-bit-flipped.swu", items)
    (kit.work / SIGNATURE).write_bytes(good)
    kit.describe(libconfig(items).replace("2.4.1", "2.4.9"))
    kit.pack("bad/description-changed.swu", items)


def _members(kit: Kit) -> None:
    bare = Item(name=RADIO.name, data=RADIO.data, sha256="")
    wrong = Item(name=RADIO.name, data=RADIO.data, sha256=hashlib.sha256(b"").hexdigest())
    script = Item(name="run.sh", data=b"#!/bin/sh\n", kind="scripts")
    kit.make("bad/member-without-digest.swu", ROOTFS, bare)
    kit.make("bad/digest-of-another-file.swu", ROOTFS, wrong)
    kit.make("bad/script.swu", ROOTFS, RADIO, script)
    kit.make("bad/member-missing.swu", ROOTFS, RADIO, Item(name="more.bin", data=None))
    kit.make("bad/sha-1-stated-too.swu", ROOTFS, Item(name=RADIO.name, data=RADIO.data, more={"sha1": "0" * 40}))
    (kit.work / "extra.bin").write_bytes(b"extra")
    kit.describe(libconfig((ROOTFS, RADIO)))
    cms(kit.people["signer"], kit.work / DESCRIPTION, kit.work / SIGNATURE)
    kit.pack("bad/member-that-nothing-names.swu", (ROOTFS, RADIO), more=("extra.bin",))


def _ciphers(kit: Kit) -> None:
    first = sealed(ROOTFS, IVS[0])
    kit.make("bad/one-iv-for-two.swu", first, sealed(RADIO, IVS[0]))
    kit.make("bad/iv-of-zeros.swu", first, sealed(RADIO, "0" * 32))
    kit.make("bad/key-in-clear.swu", first, sealed(RADIO, IVS[1], **{"aes-key": KEY.hex()}))
    settings = {"encrypted": "aes-cbc-256", "ivt": IVS[1]}
    repeated = aes(RADIO.data or b"", IVS[1])[:16] * (SIZE // 16)
    text = hashlib.shake_256(b"text").hexdigest(SIZE // 2).encode()
    kit.make("bad/repeated-blocks.swu", first, Item(name="radio.bin.enc", data=repeated, more=settings))
    kit.make("bad/readable-ciphertext.swu", first, Item(name="radio.bin.enc", data=text, more=settings))


def _changed(folder: Path) -> None:
    data = (folder / "good" / "signed.swu").read_bytes()
    radio = data.index(b"radio.bin\0")
    cases = {
        "member-bit-flipped": flipped(data, radio + 200),
        "bytes-behind": data + b"more than the archive",
        "truncated-header": data[:60],
        "truncated-member": data[: radio + 500],
        "no-trailer": data[: data.index(b"TRAILER!!!") - 110],
        "name-leads-out": data.replace(b"radio.bin\0", b"../io.bin\0"),
        "description-cut": _cut(data),
    }
    for name, changed in cases.items():
        (folder / "bad" / f"{name}.swu").write_bytes(changed)


def _cut(data: bytes) -> bytes:
    """Return the image with a description that never closes its brackets; its length stays."""
    start = data.index(b"software =")
    return data[:start] + data[start:].replace(b"}", b" ", 4)
