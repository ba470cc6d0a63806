"""Makes the samples of CMS messages by openssl: signed, encrypted, and both; bad ones by one change each."""

from __future__ import annotations

import hashlib
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.serialization import Encoding

from samples.build import _pki
from samples.build._pki import Profile
from samples.build._tools import KEYS, firmware, require, run
from samples.build.formats._faults import Person, certified, cms, flipped, fresh

CONTENT: Final = firmware("cms", 2048)
ENCRYPT: Final = ("openssl", "cms", "-encrypt", "-binary", "-outform", "DER")


@dataclass(frozen=True)
class Kit:
    """Where the samples go, where work lies, and who signs."""

    folder: Path
    work: Path
    people: dict[str, Person]

    def signed(self, name: str, person: str = "signer", *options: str) -> bytes:
        """Write a message that holds its content; return its bytes."""
        (self.work / "content").write_bytes(CONTENT)
        cms(self.people[person], self.work / "content", self.folder / name, "-nodetach", *options)
        return (self.folder / name).read_bytes()

    def encrypted(self, name: str, content: bytes, *options: str | Path) -> bytes:
        """Write a message that is encrypted to recipients; return its bytes."""
        (self.work / "clear").write_bytes(content)
        run([*ENCRYPT, "-in", self.work / "clear", "-out", self.folder / name, *options])
        return (self.folder / name).read_bytes()


def build(folder: Path) -> None:
    """Write `good/`, `bad/` and `keys/` below `folder`."""
    require("openssl", "faketime")
    fresh(folder)
    with tempfile.TemporaryDirectory() as name:
        kit = Kit(folder, Path(name), certified(folder, Path(name)))
        device = _device(kit)
        signed = _signed(kit)
        _encrypted(kit, signed, device)


def _device(kit: Kit) -> tuple[str | Path, ...]:
    """Write the device's key and return the options that encrypt to it and to a second device."""
    (kit.folder / "keys" / "device.pem").write_bytes((KEYS / "gateway-A.pem").read_bytes())
    (kit.folder / "keys" / "rsa-device.pem").write_bytes((kit.work / "rsa.key").read_bytes())
    options: list[str | Path] = []
    for name in ("A", "B"):
        key = KEYS / f"gateway-{name}.pem"
        profile = Profile(name=f"device {name}", serial=1, years=(2020, 2046), usage=("key_agreement",))
        path = kit.work / f"device-{name}.pem"
        path.write_bytes(_pki.issue(profile, key, None, key).public_bytes(Encoding.PEM))
        options += ["-recip", path]
    return tuple(options)


def _signed(kit: Kit) -> bytes:
    good = kit.signed("good/signed.p7m")
    kit.signed("good/streamed.p7m", "signer", "-stream")
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
        kit.signed(f"bad/{name}.p7m", person)
    kit.signed("bad/signed-over-sha-1.p7m", "signer", "-md", "sha1")
    bad = kit.folder / "bad"
    (bad / "signature-bit-flipped.p7m").write_bytes(flipped(good, -5))
    (bad / "content-bit-flipped.p7m").write_bytes(flipped(good, good.find(CONTENT) + 70))
    (bad / "truncated.p7m").write_bytes(good[:-1])
    (bad / "bytes-behind.p7m").write_bytes(good + b"more")
    certificate = kit.people["signer"].certificate
    run(["openssl", "crl2pkcs7", "-nocrl", "-certfile", certificate, "-outform", "DER", "-out",
         bad / "without-content.p7m"])  # fmt: skip
    return good


def _encrypted(kit: Kit, signed: bytes, device: tuple[str | Path, ...]) -> None:
    gcm = ("-aes-256-gcm", *device)
    sealed = kit.encrypted("good/signed-and-encrypted.p7m", signed, *gcm)
    kit.encrypted("bad/encrypted-and-unsigned.p7m", CONTENT, *gcm)
    kit.encrypted("bad/encrypted-without-tag.p7m", CONTENT, "-aes-256-cbc", *device)
    (kit.folder / "bad" / "tag-bit-flipped.p7m").write_bytes(flipped(sealed, -1))
    rsa = kit.people["rsa"].certificate
    kit.encrypted("bad/key-by-rsa-v1.5.p7m", signed, "-aes-256-gcm", "-recip", rsa)
    kit.encrypted("bad/other-content.p7m", flipped(CONTENT, 9), "-aes-256-cbc", *device)
    ciphertext = _ciphertext(sealed, len(signed))
    repeated = sealed.replace(ciphertext, (b"\x5a\xc3" * len(signed))[: len(signed)])
    (kit.folder / "bad" / "repeated-blocks.p7m").write_bytes(repeated)
    biased = bytes(byte | 0x80 for byte in hashlib.shake_256(b"biased").digest(len(signed)))
    (kit.folder / "bad" / "biased-ciphertext.p7m").write_bytes(sealed.replace(ciphertext, biased))


def _ciphertext(message: bytes, size: int) -> bytes:
    """Return the ciphertext of a message in DER: an implicit [0] of this size, the last but the tag."""
    head = b"\x80\x82" + size.to_bytes(2, "big")
    start = message.rindex(head) + len(head)
    return message[start : start + size]
