"""What the generators of several formats share: a sample folder, flipped bits, signers with certificates."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from cryptography.x509.oid import ExtendedKeyUsageOID

from samples.build import _pki
from samples.build._pki import Profile
from samples.build._tools import KEYS, run

ROOT: Final = KEYS / "gateway-root.pem"
SIGNER: Final = KEYS / "gateway-signer-2026.pem"
OTHER: Final = KEYS / "gateway-signer-2025.pem"
MOMENT: Final = "2026-01-02 00:00:00"  # what tools see that date their certificates by the clock
PURPOSES: Final = (ExtendedKeyUsageOID.CODE_SIGNING, ExtendedKeyUsageOID.EMAIL_PROTECTION)
REVOKED: Final = 7
EXTENSIONS: Final = "keyUsage=digitalSignature\nextendedKeyUsage=codeSigning,emailProtection\n"


def fresh(folder: Path) -> None:
    """Empty the folders of the samples and make them anew."""
    for name in ("good", "bad", "keys"):
        shutil.rmtree(folder / name, ignore_errors=True)
        (folder / name).mkdir(parents=True)


def flipped(data: bytes, place: int, bit: int = 0) -> bytes:
    """Return the bytes with one bit flipped; `place` may count from the end."""
    found = bytearray(data)
    found[place] ^= 1 << bit
    return bytes(found)


@dataclass(frozen=True)
class Person:
    """A signer: certificate and private key."""

    certificate: Path
    key: Path


def certified(folder: Path, work: Path) -> dict[str, Person]:
    """Write `keys/root.pem` and `keys/root.crl.pem`; return signers whose certificates differ in one thing each."""
    root = _pki.issue(Profile(name="Sample Root", serial=1, years=(2020, 2060), ca=True, usage=("key_cert_sign",
                      "crl_sign")), ROOT, None, ROOT)  # fmt: skip
    (folder / "keys" / "root.pem").write_bytes(_pki.pem(root))
    crl = _pki.revocation_list(root, ROOT, {REVOKED: datetime(2026, 6, 1, tzinfo=UTC)}, 1)
    (folder / "keys" / "root.crl.pem").write_bytes(crl)
    kinds = {
        "signer": ((2026, 2031), PURPOSES, 2),
        "expired": ((2020, 2022), PURPOSES, 3),
        "future": ((2028, 2031), PURPOSES, 4),
        "server": ((2026, 2031), (ExtendedKeyUsageOID.SERVER_AUTH,), 5),
        "revoked": ((2026, 2031), PURPOSES, REVOKED),
    }
    found = {}
    for name, (years, purposes, serial) in kinds.items():
        profile = Profile(
            name=f"Sample {name}", serial=serial, years=years, purposes=purposes, usage=("digital_signature",)
        )
        certificate = _pki.issue(profile, SIGNER, root, ROOT)
        (work / f"{name}.pem").write_bytes(_pki.pem(certificate))
        found[name] = Person(work / f"{name}.pem", SIGNER)
    stranger = _pki.issue(Profile(name="Stranger", serial=1, years=(2020, 2060), ca=True), OTHER, None, OTHER)
    (work / "stranger.pem").write_bytes(_pki.pem(stranger))
    found["stranger"] = Person(work / "stranger.pem", OTHER)
    return found | _weak(folder, work)


def _weak(folder: Path, work: Path) -> dict[str, Person]:
    """Return signers with weak or unusual keys, under the same root; openssl makes what `_pki` refuses."""
    run(["openssl", "genrsa", "-3", "-out", work / "e3.key", "2048"])
    run(["openssl", "genrsa", "-out", work / "rsa.key", "2048"])
    run(["openssl", "ecparam", "-name", "prime192v1", "-genkey", "-noout", "-out", work / "p192.key"])
    (work / "small.key").write_bytes((KEYS / "camera-signing.pem").read_bytes())
    (work / "ext").write_text(EXTENSIONS)
    found = {}
    for serial, name in enumerate(("e3", "rsa", "p192", "small"), 20):
        run(["openssl", "req", "-new", "-key", work / f"{name}.key", "-subj", f"/CN=Sample {name}", "-out",
             work / f"{name}.csr"])  # fmt: skip
        run(["openssl", "x509", "-req", "-in", work / f"{name}.csr", "-CA", folder / "keys" / "root.pem", "-CAkey",
             ROOT, "-set_serial", str(serial), "-days", "1825", "-extfile", work / "ext", "-out", work / f"{name}.pem"],
            at=MOMENT)  # fmt: skip
        found[name] = Person(work / f"{name}.pem", work / f"{name}.key")
    return found


def cms(person: Person, content: Path, target: Path, *options: str) -> None:
    """Sign a file by a detached CMS message with signed attributes, at a fixed time."""
    run(["openssl", "cms", "-sign", "-binary", "-nosmimecap", "-in", content, "-signer", person.certificate, "-inkey",
         person.key, "-outform", "DER", "-out", target, *options], at="2026-10-01 12:00:00")  # fmt: skip
