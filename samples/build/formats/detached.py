"""Makes the samples of detached signatures: by minisign, signify, GnuPG and openssl; sigstore's by a log of our own."""

from __future__ import annotations

import base64
import hashlib
import json
import tempfile
from pathlib import Path
from typing import Final

from samples.build import _pki
from samples.build._tools import KEYS, firmware, public_half, require, run
from samples.build.formats import _sigstore as sigstore
from samples.build.formats._faults import certified, cms, flipped, fresh
from samples.build.formats._openpgp import Gpg
from samples.build.formats._sigstore import Wish

CONTENT: Final = firmware("detached", 600)
SIGNER: Final = KEYS / "sensor-signing.pem"
EMPTY: Final = "empty"


class Shelf:
    """Writes a signed file and its signature under one name."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def put(self, name: str, signature: bytes, content: bytes = CONTENT) -> None:
        """Write `name.bin` and `name.sig`."""
        (self.folder / f"{name}.bin").write_bytes(content)
        (self.folder / f"{name}.sig").write_bytes(signature)


def build(folder: Path) -> None:
    """Write `good/`, `bad/` and `keys/` below `folder`."""
    require("minisign", "signify-openbsd", "gpg", "openssl", "faketime")
    fresh(folder)
    with tempfile.TemporaryDirectory(prefix="ot") as name:
        work = Path(name)
        (work / "fw.bin").write_bytes(CONTENT)
        for make in (_minisign, _signify, _openpgp, _raw, _cms, _encrypted, _log):
            make(folder, work)


def _minisign(folder: Path, work: Path) -> None:
    good, bad = Shelf(folder / "good"), Shelf(folder / "bad")
    for name in ("minisign", "stranger"):
        run(["minisign", "-G", "-W", "-p", work / f"{name}.pub", "-s", work / f"{name}.key"])
    (folder / "keys" / "minisign.pub").write_bytes((work / "minisign.pub").read_bytes())
    signed = {}
    for name, options in (("minisign", ("-H",)), ("minisign-legacy", ("-l",))):
        told = ("-t", "version 2.4.1", "-m", work / "fw.bin", "-x", work / "sig")
        run(["minisign", "-S", *options, "-s", work / "minisign.key", *told])
        signed[name] = (work / "sig").read_bytes()
        good.put(name, signed[name])
    whole = signed["minisign"]
    lines = whole.splitlines()
    bad.put("minisign-signature-bit", _line(lines, 1, flipped(base64.b64decode(lines[1]), 20)))
    bad.put("minisign-file-bit", whole, flipped(CONTENT, 100))
    bad.put("minisign-comment", whole.replace(b"version 2.4.1", b"version 9.9.9"))
    bad.put("minisign-global-signature-bit", _line(lines, 3, flipped(base64.b64decode(lines[3]), 20)))
    bad.put("minisign-key-id", _line(lines, 1, flipped(base64.b64decode(lines[1]), 4)))
    bad.put("minisign-no-base64", whole.replace(lines[1], b"!" + lines[1][1:]))
    run(["minisign", "-S", "-H", "-s", work / "stranger.key", "-m", work / "fw.bin", "-x", work / "sig"])
    bad.put("minisign-stranger", (work / "sig").read_bytes())


def _line(lines: list[bytes], number: int, raw: bytes) -> bytes:
    changed = [*lines[:number], base64.b64encode(raw), *lines[number + 1 :]]
    return b"".join(line + b"\n" for line in changed)


def _signify(folder: Path, work: Path) -> None:
    run(["signify-openbsd", "-G", "-n", "-p", work / "signify.pub", "-s", work / "signify.sec"])
    (folder / "keys" / "signify.pub").write_bytes((work / "signify.pub").read_bytes())
    run(["signify-openbsd", "-S", "-s", work / "signify.sec", "-m", work / "fw.bin", "-x", work / "sig"])
    Shelf(folder / "good").put("signify", (work / "sig").read_bytes())
    Shelf(folder / "bad").put("signify-file-bit", (work / "sig").read_bytes(), flipped(CONTENT, 7))
    run(["signify-openbsd", "-S", "-e", "-s", work / "signify.sec", "-m", work / "fw.bin", "-x", work / "whole"])
    whole = (work / "whole").read_bytes()
    (folder / "good" / "signify-embedded.bin").write_bytes(whole)
    (folder / "bad" / "signify-embedded-bit.bin").write_bytes(flipped(whole, -5))


def _openpgp(folder: Path, work: Path) -> None:
    home = work / "g"
    home.mkdir(mode=0o700)
    gpg = Gpg(home)
    for name, algorithm in (("rsa", "rsa2048"), ("ed25519", "ed25519"), ("p256", "nistp256"), ("stranger", "ed25519")):
        gpg.make(name, algorithm)
    gpg.make("expired", "ed25519", expires="2026-07-01")
    gpg.make("revoked", "ed25519")
    subkey = gpg.make("subkey", "ed25519", usage="cert")
    gpg.run("--quick-add-key", subkey, "ed25519", "sign", "never")
    good, bad = Shelf(folder / "good"), Shelf(folder / "bad")
    for name in ("rsa", "ed25519", "p256", "subkey"):
        gpg.export(name, folder / "keys" / f"{name}.asc", armour=name != "p256")
        armour = ("--armor",) if name != "rsa" else ()
        gpg.sign(name, work / "fw.bin", work / "sig", *armour)
        good.put(f"openpgp-{name}", (work / "sig").read_bytes())
    _openpgp_faults(gpg, folder, work, bad)
    (work / "notes.txt").write_bytes(b"otaudit sample: release notes\n- version 2.4.1\n")
    gpg.run("--local-user", "ed25519@acme.example", "--output", work / "clear", "--clear-sign", work / "notes.txt",
            at="20260601T000000!")  # fmt: skip
    clear = (work / "clear").read_bytes()
    (folder / "good" / "clearsigned.bin").write_bytes(clear)
    (folder / "bad" / "clearsigned-changed.bin").write_bytes(clear.replace(b"2.4.1", b"9.9.9"))
    (folder / "bad" / "clearsigned-tail.bin").write_bytes(clear + b"version 9.9.9\n")
    gpg.close()


def _openpgp_faults(gpg: Gpg, folder: Path, work: Path, bad: Shelf) -> None:
    fw = work / "fw.bin"
    for name in ("expired", "revoked"):
        gpg.sign(name, fw, work / "sig")
        bad.put(f"openpgp-{name}", (work / "sig").read_bytes())
    revocation = next((gpg.home / "openpgp-revocs.d").glob(f"{_fingerprint(gpg, 'revoked')}.rev"))
    gpg.run("--import", stdin=revocation.read_bytes().replace(b":-----BEGIN", b"-----BEGIN"))
    for name in ("expired", "revoked"):
        gpg.export(name, folder / "keys" / f"{name}.asc")
    gpg.sign("stranger", fw, work / "sig")
    bad.put("openpgp-stranger", (work / "sig").read_bytes())
    gpg.sign("rsa", fw, work / "sig", "--digest-algo", "SHA1", "--allow-weak-digest-algos")
    bad.put("openpgp-sha1", (work / "sig").read_bytes())
    gpg.sign("ed25519", fw, work / "sig", "--default-sig-expire", "2026-08-01")
    bad.put("openpgp-signature-expired", (work / "sig").read_bytes())
    gpg.sign("ed25519", fw, work / "sig", at="20270101T000000!")
    bad.put("openpgp-from-the-future", (work / "sig").read_bytes())
    gpg.sign("ed25519", fw, work / "sig")
    whole = (work / "sig").read_bytes()
    bad.put("openpgp-file-bit", whole, flipped(CONTENT, 300))
    bad.put("openpgp-signature-bit", flipped(whole, -3))
    bad.put("openpgp-creation-time", flipped(whole, 40))
    bad.put("openpgp-cut", whole[:-10])


def _fingerprint(gpg: Gpg, name: str) -> str:
    listing = gpg.run("--with-colons", "--list-keys", f"{name}@acme.example").decode()
    return next(line.split(":")[9] for line in listing.splitlines() if line.startswith("fpr:"))


def _raw(folder: Path, work: Path) -> None:
    good, bad = Shelf(folder / "good"), Shelf(folder / "bad")
    public_half(SIGNER, folder / "keys" / "signer.pub.pem")
    run(["openssl", "dgst", "-sha256", "-sign", SIGNER, "-out", work / "sig", work / "fw.bin"])
    whole = (work / "sig").read_bytes()
    good.put("raw-ecdsa", whole)
    good.put("cosign", base64.b64encode(whole))
    bad.put("raw-file-bit", whole, flipped(CONTENT, 50))
    bad.put("raw-signature-bit", flipped(whole, 12))
    bad.put(EMPTY, b"\n")
    bad.put("empty-file", whole, b"")


def _cms(folder: Path, work: Path) -> None:
    good, bad = Shelf(folder / "good"), Shelf(folder / "bad")
    for name, person in certified(folder, work).items():
        cms(person, work / "fw.bin", work / "sig")
        shelf = good if name in {"signer", "rsa"} else bad
        shelf.put(f"cms-{name}", (work / "sig").read_bytes())
        if name == "rsa":
            cms(person, work / "fw.bin", work / "sig", "-md", "sha1")
            bad.put("cms-sha1", (work / "sig").read_bytes())


def _encrypted(folder: Path, work: Path) -> None:
    """Write encrypted messages under raw signatures: the signature is over the ciphertext."""
    good, bad = Shelf(folder / "good"), Shelf(folder / "bad")
    device = KEYS / "gateway-A.pem"
    (folder / "keys" / "device.pem").write_bytes(device.read_bytes())
    profile = _pki.Profile(name="device A", serial=1, years=(2020, 2046), usage=("key_agreement",))
    (work / "device.pem").write_bytes(_pki.pem(_pki.issue(profile, device, None, device)))
    for name, certificate in (("device", "device.pem"), ("rsa-device", "rsa.pem")):
        for mode in ("gcm", "cbc"):
            run(["openssl", "cms", "-encrypt", "-binary", "-in", work / "fw.bin", "-out", work / f"{name}.{mode}",
                 "-outform", "DER", f"-aes-256-{mode}", "-recip", work / certificate])  # fmt: skip
    (folder / "keys" / "rsa-device.pem").write_bytes((work / "rsa.key").read_bytes())
    sealed, closed = (work / "device.gcm").read_bytes(), (work / "device.cbc").read_bytes()
    good.put("encrypted", _signed(work, sealed), sealed)
    good.put("encrypted-cbc", _signed(work, closed), closed)
    bad.put("encrypted-cbc-signature-bit", flipped(_signed(work, closed), 12), closed)
    bad.put("encrypted-other-content", _signed(work, closed), closed)
    transported = (work / "rsa-device.gcm").read_bytes()
    bad.put("encrypted-key-by-rsa-v1.5", _signed(work, transported), transported)
    head = b"\x80\x82" + len(CONTENT).to_bytes(2, "big")
    start = sealed.rindex(head) + len(head)
    for name, filler in (
        ("repeated", bytes([0x5A, 0xC3]) * 300),
        ("ascii", hashlib.shake_256(b"x").hexdigest(300).encode()),
    ):
        content = sealed[:start] + filler + sealed[start + len(filler) :]
        bad.put(f"encrypted-{name}", _signed(work, content), content)


def _signed(work: Path, content: bytes) -> bytes:
    (work / "content").write_bytes(content)
    run(["openssl", "dgst", "-sha256", "-sign", SIGNER, "-out", work / "sig", work / "content"])
    return (work / "sig").read_bytes()


def _log(folder: Path, work: Path) -> None:  # noqa: ARG001 - as the others
    good, bad = Shelf(folder / "good"), Shelf(folder / "bad")
    (folder / "keys" / "authority.pem").write_bytes(_pki.pem(sigstore.authority()))
    public_half(sigstore.LOG, folder / "keys" / "log.pub.pem")
    public_half(sigstore.SIGNER, folder / "keys" / "sigstore.pub.pem")
    good.put("sigstore", sigstore.bundle(CONTENT, Wish()))
    good.put("sigstore-dsse", sigstore.bundle(CONTENT, Wish(envelope=True)))
    bad.put("sigstore-file-bit", sigstore.bundle(CONTENT, Wish()), flipped(CONTENT, 9))
    bad.put("sigstore-dsse-file-bit", sigstore.bundle(CONTENT, Wish(envelope=True)), flipped(CONTENT, 9))
    bad.put("sigstore-unpinned", sigstore.bundle(CONTENT, Wish()))
    bad.put("sigstore-other-identity", sigstore.bundle(CONTENT, Wish()))
    bad.put("sigstore-other-log", sigstore.bundle(CONTENT, Wish()))
    wishes = {
        "digest": Wish(body_digest=bytes(32)),
        "signature": Wish(body_signature=sigstore.sign(SIGNER, CONTENT)),
        "promise": Wish(promised=int(sigstore.MOMENT.timestamp()) + 1),
        "late": Wish(late=60),
        "no-promise": Wish(promise=False),
        "no-proof": Wish(proof=False),
        "leaf": Wish(leaf=b"another leaf"),
        "head": Wish(head_key=SIGNER),
        "stated": Wish(stated=bytes(32)),
    }
    for name, wish in wishes.items():
        bad.put(f"sigstore-{name}", sigstore.bundle(CONTENT, wish))
    value = json.loads(sigstore.bundle(CONTENT, Wish()))
    value["mediaType"] = "application/vnd.dev.sigstore.bundle.v0.9+json"
    bad.put("sigstore-version", json.dumps(value).encode())
