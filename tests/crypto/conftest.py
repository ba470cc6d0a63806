"""Keys, certificates and messages made by the real openssl command, once per session; and where shared vectors lie."""

from __future__ import annotations

import shutil
import subprocess
import zlib
from dataclasses import dataclass
from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[2] / ".." / "shared"
EXTENSIONS = """
[ca]
basicConstraints=critical,CA:TRUE
keyUsage=critical,keyCertSign,cRLSign
subjectKeyIdentifier=hash
[sub]
basicConstraints=critical,CA:TRUE,pathlen:0
keyUsage=critical,keyCertSign,cRLSign
subjectKeyIdentifier=hash
[leaf]
basicConstraints=CA:FALSE
keyUsage=critical,digitalSignature
extendedKeyUsage=codeSigning
subjectKeyIdentifier=hash
[server]
basicConstraints=CA:FALSE
keyUsage=critical,digitalSignature
extendedKeyUsage=serverAuth
subjectKeyIdentifier=hash
[recipient]
basicConstraints=CA:FALSE
keyUsage=critical,keyEncipherment,keyAgreement
subjectKeyIdentifier=hash
"""
RSA = ["-algorithm", "RSA", "-pkeyopt"]
EC = ["-algorithm", "EC", "-pkeyopt"]
KEYS = {
    "rsa2048": [*RSA, "rsa_keygen_bits:2048"],
    "rsa1024": [*RSA, "rsa_keygen_bits:1024"],
    "rsa512": [*RSA, "rsa_keygen_bits:512"],
    "p256": [*EC, "ec_paramgen_curve:P-256"],
    "p384": [*EC, "ec_paramgen_curve:P-384"],
    "p192": [*EC, "ec_paramgen_curve:P-192"],
    "brainpool": [*EC, "ec_paramgen_curve:brainpoolP256r1"],
    "sect": [*EC, "ec_paramgen_curve:sect163k1"],
    "ed25519": ["-algorithm", "ED25519"],
    "x25519": ["-algorithm", "X25519"],
}


@dataclass(frozen=True)
class Pki:
    """A folder with `NAME.key` and `NAME.crt` files, and the openssl command to make more."""

    folder: Path

    def run(self, *args: str, check: bool = True, data: bytes | None = None) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(["openssl", *args], cwd=self.folder, check=check, capture_output=True, input=data)

    def accepts(self, *args: str) -> bool:
        return self.run(*args, check=False).returncode == 0

    def key(self, name: str, kind: str) -> Path:
        self.run("genpkey", *KEYS[kind], "-out", f"{name}.key")
        self.run("pkey", "-in", f"{name}.key", "-pubout", "-out", f"{name}.pub")
        return self.folder / f"{name}.key"

    def issue(self, name: str, kind: str, issuer: str, section: str, *, md: str = "sha256", **opts: str) -> None:
        """Make a key and a certificate; `issuer` is itself for a root. `start` and `end` are YYYYMMDDHHMMSSZ."""
        if not (self.folder / f"{name}.key").exists():
            self.key(name, kind)
        self.run("req", "-new", "-key", f"{name}.key", "-subj", f"/O=Test/CN={name}", "-out", f"{name}.csr")
        signing = (
            ["-selfsign", "-keyfile", f"{name}.key"]
            if issuer == name
            else ["-cert", f"{issuer}.crt", "-keyfile", f"{issuer}.key"]
        )
        config = self.folder / f"{name}.cnf"
        config.write_text(
            f"[x]\ndatabase={name}.db\nnew_certs_dir=.\nserial={name}.srl\nunique_subject=no\npolicy=p\n"
            f"default_md={md}\n[p]\nO=optional\nCN=supplied\n{EXTENSIONS}"
        )
        (self.folder / f"{name}.db").write_text("")
        (self.folder / f"{name}.srl").write_text(f"{zlib.crc32(name.encode()) + 2**40:012x}\n")
        self.run(
            "ca",
            "-batch",
            "-notext",
            "-config",
            f"{name}.cnf",
            "-name",
            "x",
            "-extensions",
            section,
            "-startdate",
            opts.get("start", "20240101000000Z"),
            "-enddate",
            opts.get("end", "20400101000000Z"),
            "-in",
            f"{name}.csr",
            "-out",
            f"{name}.crt",
            "-md",
            md,
            *signing,
        )

    def read(self, name: str) -> bytes:
        return (self.folder / name).read_bytes()

    def write(self, name: str, data: bytes) -> str:
        (self.folder / name).write_bytes(data)
        return name


@pytest.fixture(scope="session")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    if shutil.which("openssl") is None:
        pytest.skip("the openssl command is not installed")
    made = Pki(tmp_path_factory.mktemp("pki"))
    made.issue("root", "p256", "root", "ca")
    made.issue("sub", "p256", "root", "sub")
    made.issue("stranger", "p256", "stranger", "ca")
    for kind in ("rsa2048", "rsa1024", "p256", "p384", "brainpool", "ed25519"):
        made.issue(f"leaf-{kind}", kind, "sub", "leaf")
    made.issue("leaf-expired", "p256", "sub", "leaf", start="20200101000000Z", end="20210101000000Z")
    made.issue("leaf-server", "p256", "sub", "server")
    made.issue("leaf-revoked", "p256", "sub", "leaf")
    made.write("content", b"firmware " * 5000)
    made.write("other", b"firmwarE " * 5000)
    return made


@pytest.fixture(scope="session")
def corpus() -> Path:
    if not (SHARED / "corpus").is_dir():
        pytest.skip(f"{SHARED / 'corpus'} is absent")
    return SHARED / "corpus"


@pytest.fixture(scope="session")
def vectors() -> Path:
    if not (SHARED / "vectors").is_dir():
        pytest.skip(f"{SHARED / 'vectors'} is absent")
    return SHARED / "vectors"
