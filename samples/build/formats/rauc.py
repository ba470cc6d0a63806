"""Makes the samples of RAUC bundles: good ones by rauc, bad ones by mksquashfs and openssl with one fault each."""

from __future__ import annotations

import hashlib
import re
import struct
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.serialization import Encoding

from samples.build import _pki
from samples.build._pki import Profile
from samples.build._tools import KEYS, firmware, key_bytes, require, run
from samples.build.formats._faults import Person, certified, cms, flipped, fresh

ROOTFS: Final = firmware("rauc rootfs", 9000)  # more than one block of squashfs, which rauc demands
MANIFEST: Final = "manifest.raucm"
SALT: Final = key_bytes("rauc salt", 32)
BLOCK: Final = 4096


def manifest(
    image: bytes = ROOTFS, *, kind: str = "", name: str = "rootfs.img", size: int | None = None, more: str = ""
) -> str:
    """Return a manifest for one image."""
    stated = len(image) if size is None else size
    bundle = f"[bundle]\nformat={kind}\n\n" if kind else ""
    slot = f"[image.rootfs]\nfilename={name}\nsize={stated}\nsha256={hashlib.sha256(image).hexdigest()}\n"
    return f"[update]\ncompatible=Board X\nversion=2.4.1\n\n{bundle}{more}{slot}"


@dataclass(frozen=True)
class Kit:
    """Where everything is, and who signs."""

    folder: Path
    work: Path
    people: Mapping[str, Person]

    def squashfs(self, text: str, files: Mapping[str, bytes]) -> bytes:
        """Return a squashfs that holds a manifest and files."""
        content = Path(tempfile.mkdtemp(dir=self.work))
        for name, data in {MANIFEST: text.encode(), **files}.items():
            (content / name).write_bytes(data)
        target = content.with_suffix(".sq")
        options = ["-noappend", "-quiet", "-no-progress", "-nopad", "-all-root", "-all-time", "1767225600"]
        run(["mksquashfs", content, target, "-mkfs-time", "1767225600", *options])
        return target.read_bytes()

    def signed(self, content: bytes, person: str = "signer", *options: str) -> bytes:
        """Return a CMS message over bytes, detached unless the options say otherwise."""
        (self.work / "content").write_bytes(content)
        cms(self.people[person], self.work / "content", self.work / "message", *options)
        return (self.work / "message").read_bytes()

    def plain(self, text: str = "", files: Mapping[str, bytes] | None = None) -> bytes:
        """Return the payload of a plain bundle."""
        return self.squashfs(text or manifest(), {"rootfs.img": ROOTFS} if files is None else files)

    def write(self, name: str, payload: bytes, message: bytes) -> None:
        """Write a bad bundle."""
        (self.folder / "bad" / f"{name}.raucb").write_bytes(join(payload, message))


def join(payload: bytes, message: bytes) -> bytes:
    """Return a bundle."""
    return payload + message + struct.pack(">Q", len(message))


def split(data: bytes) -> tuple[bytes, bytes]:
    """Return payload and CMS message of a bundle."""
    (size,) = struct.unpack(">Q", data[-8:])
    return data[: -8 - size], data[-8 - size : -8]


def build(folder: Path) -> None:
    """Write `good/`, `sealed/`, `bad/` and `keys/` below `folder`."""
    require("rauc", "mksquashfs", "openssl", "faketime")
    fresh(folder)
    (folder / "sealed").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        kit = Kit(folder, Path(name), certified(folder, Path(name)))
        _good(kit)
        _sealed(kit)
        _signers(kit)
        _contents(kit)
        _verity(kit)
        _crypt(kit)
        _damaged(folder)


def _good(kit: Kit) -> None:
    person = kit.people["signer"]
    root = kit.folder / "keys" / "root.pem"
    for kind in ("plain", "verity", "crypt"):
        content = kit.work / f"{kind}.in"
        content.mkdir()
        (content / "rootfs.img").write_bytes(ROOTFS)
        (content / MANIFEST).write_text(manifest(kind=kind))
        target = (kit.work if kind == "crypt" else kit.folder / "good") / f"{kind}.raucb"
        run(["rauc", "bundle", f"--cert={person.certificate}", f"--key={person.key}", f"--signing-keyring={root}",
             content, target])  # fmt: skip


def _device(kit: Kit, name: str) -> Path:
    key = KEYS / f"gateway-{name}.pem"
    profile = Profile(name=f"device {name}", serial=1, years=(2020, 2046), usage=("key_agreement",))
    path = kit.work / f"device-{name}.pem"
    path.write_bytes(_pki.issue(profile, key, None, key).public_bytes(Encoding.PEM))
    return path


def _sealed(kit: Kit) -> None:
    (kit.folder / "keys" / "device.pem").write_bytes((KEYS / "gateway-A.pem").read_bytes())
    (kit.folder / "keys" / "rsa-device.pem").write_bytes((kit.work / "rsa.key").read_bytes())
    keyring = f"--keyring={kit.folder / 'keys' / 'root.pem'}"
    crypt = kit.work / "crypt.raucb"
    two: list[str | Path] = [f"--to={_device(kit, name)}" for name in ("A", "B")]
    run(["rauc", "encrypt", keyring, *two, crypt, kit.folder / "sealed" / "crypt.raucb"])
    recipient = f"--to={kit.people['rsa'].certificate}"
    run(["rauc", "encrypt", keyring, recipient, crypt, kit.folder / "bad" / "key-by-rsa-v1.5.raucb"])
    (kit.folder / "bad" / "key-in-clear.raucb").write_bytes(crypt.read_bytes())


def _signers(kit: Kit) -> None:
    payload = kit.plain()
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
        kit.write(name, payload, kit.signed(payload, person))
    good = kit.signed(payload)
    kit.write("signed-over-sha-1", payload, kit.signed(payload, "signer", "-md", "sha1"))
    kit.write("signature-bit-flipped", payload, flipped(good, -5))
    kit.write("payload-bit-flipped", flipped(payload, 8), good)
    certificate = kit.people["signer"].certificate
    nobody = run(["openssl", "crl2pkcs7", "-nocrl", "-certfile", certificate, "-outform", "DER"])
    kit.write("no-signer", payload, nobody)


def _contents(kit: Kit) -> None:
    files = {"rootfs.img": ROOTFS}
    bare = re.sub(r"sha256=.*\n", "", manifest())
    cases: dict[str, tuple[str, Mapping[str, bytes]]] = {
        "image-of-another-digest": (manifest(), {"rootfs.img": flipped(ROOTFS, 5)}),
        "image-of-another-size": (manifest(size=1), files),
        "image-missing": (manifest(), {"other.img": ROOTFS}),
        "image-without-digest": (bare, files),
        "handler": (manifest(more="[handler]\nfilename=run.sh\n\n"), files | {"run.sh": b"#!/bin/sh\n"}),
        "manifest-broken-inside": ("[update]\n", files),
    }
    for name, (text, held) in cases.items():
        payload = kit.plain(text, held)
        kit.write(name, payload, kit.signed(payload))
    (kit.folder / "bad" / "manifest-alone.raucm").write_text(manifest())
    (kit.folder / "bad" / "manifest-alone-broken.raucm").write_text(manifest().replace("compatible=", "comparable="))


def tree(data: bytes) -> tuple[bytes, bytes]:
    """Return root and hash tree (one level) of up to 128 blocks, by the description of dm-verity."""
    hashes = b"".join(hashlib.sha256(SALT + data[at : at + BLOCK]).digest() for at in range(0, len(data), BLOCK))
    level = hashes.ljust(BLOCK, b"\0")
    return hashlib.sha256(SALT + level).digest(), level


def _protected(data: bytes, kind: str, *, more: str = "", size: int = BLOCK) -> tuple[bytes, str]:
    """Return payload and manifest of a verity or crypt bundle."""
    root, level = tree(data)
    lines = f"verity-hash={root.hex()}\nverity-salt={SALT.hex()}\nverity-size={size}\n{more}"
    return data + level.ljust(size, b"\0"), manifest().replace("[image", f"[bundle]\nformat={kind}\n{lines}\n[image")


def _blocks(data: bytes) -> bytes:
    return data + bytes(-len(data) % BLOCK)


def _verity(kit: Kit) -> None:
    data = _blocks(kit.plain())
    payload, text = _protected(data, "verity")
    message = kit.signed(text.encode(), "signer", "-nodetach")
    kit.write("verity-payload-bit-flipped", flipped(payload, 8), message)
    kit.write("verity-tree-bit-flipped", flipped(payload, len(data) + 5), message)
    kit.write("verity-signature-bit-flipped", payload, flipped(message, -5))
    wide, wide_text = _protected(data, "verity", size=2 * BLOCK)
    kit.write("verity-tree-too-long", wide, kit.signed(wide_text.encode(), "signer", "-nodetach"))
    for name, text_ in (
        ("verity-manifest-without-compatible", text.replace("compatible=", "comparable=")),
        ("verity-hash-too-short", re.sub("verity-hash=..", "verity-hash=", text)),
        ("plain-manifest-in-the-message", manifest()),
    ):
        kit.write(name, payload, kit.signed(text_.encode(), "signer", "-nodetach"))


def _crypt(kit: Kit) -> None:
    key = f"crypt-key={key_bytes('rauc crypt', 32).hex()}\n"
    clear = _blocks(kit.plain())
    dense = hashlib.shake_256(b"rauc dense").digest(2 * BLOCK)
    certificate = _device(kit, "A")
    for name, data in (
        ("crypt-in-clear", clear),
        ("repeated-blocks", dense[:16] * (2 * BLOCK // 16)),
        ("biased-ciphertext", bytes(byte | 0x80 for byte in dense)),
    ):
        payload, text = _protected(data, "crypt", more=key)
        inner = kit.signed(text.encode(), "signer", "-nodetach")
        command: list[str | Path] = ["openssl", "cms", "-encrypt", "-binary", "-aes-256-cbc", "-outform", "DER"]
        command += ["-recip", certificate]
        kit.write(name, payload, run(command, stdin=inner))


def _damaged(folder: Path) -> None:
    data = (folder / "good" / "plain.raucb").read_bytes()
    bad = folder / "bad"
    (bad / "truncated.raucb").write_bytes(data[:-1])
    (bad / "size-beyond-the-file.raucb").write_bytes(data[:-8] + struct.pack(">Q", len(data)))
    (bad / "size-of-zero.raucb").write_bytes(data[:-8] + bytes(8))
    payload, message = split(data)
    (bad / "message-cut-short.raucb").write_bytes(join(payload, message[:-40]))
    (bad / "no-squashfs.raucb").write_bytes(join(b"HSQS" + payload[4:], message))
