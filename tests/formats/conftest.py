"""Real artifacts made by real tools at test time, and short ways to open bytes."""

from __future__ import annotations

import datetime as dt
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from checker.crypto.keyring import KeyRing, read_certificates, read_crls, read_decryption_key
from checker.crypto.keys import read_public_key
from checker.formats._open import open_artifact
from checker.formats.contract import Context
from checker.io.sources import BytesSource
from checker.model.artifact import Artifact

ROOT = Path(__file__).resolve().parents[2]
# The tools date their certificates with the real clock, so the evaluation time lies a little behind it.
AS_OF = (dt.datetime.now(dt.UTC) + dt.timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
IMGTOOL = Path(sys.executable).parent / "imgtool"
SWUGENERATOR = Path(sys.executable).parent / "swugenerator"


class Kit:
    """Opens bytes with keys from files."""

    as_of = AS_OF

    @staticmethod
    def ring(
        keys: Sequence[Path] = (),
        decryption: Sequence[Path] = (),
        anchors: Sequence[Path] = (),
        crls: Sequence[Path] = (),
    ) -> KeyRing:
        return KeyRing.of(
            keys=[read_public_key(path.read_bytes(), path.name) for path in keys],
            decryption=[read_decryption_key(path.read_bytes(), path.name) for path in decryption],
            anchors=[item for path in anchors for item in read_certificates(path.read_bytes(), path.name)],
            crls=[item for path in crls for item in read_crls(path.read_bytes(), path.name)],
        )

    @staticmethod
    def context(ring: KeyRing | None = None, signature: bytes | None = None, **options: str) -> Context:
        companions = {} if signature is None else {"signature": BytesSource("file.sig", signature)}
        return Context(keys=ring or KeyRing.empty(), as_of=AS_OF, companions=companions, options=options)

    @classmethod
    def open(
        cls,
        data: bytes | Path,
        *,
        format_id: str = "auto",
        signature: bytes | None = None,
        ring: KeyRing | None = None,
        options: Mapping[str, str] | None = None,
        **files: Sequence[Path],
    ) -> Artifact:
        content = data.read_bytes() if isinstance(data, Path) else data
        context = cls.context(ring or cls.ring(**files), signature, **(options or {}))
        return open_artifact(BytesSource("file.bin", content), context, format_id)

    @staticmethod
    def codes(artifact: Artifact) -> set[str]:
        return {weakness.code for weakness in artifact.weaknesses}


def run(*command: str | Path, cwd: Path | None = None, data: bytes | None = None, check: bool = True) -> Any:
    done = subprocess.run([str(word) for word in command], cwd=cwd, input=data, capture_output=True, check=False)
    if check and done.returncode != 0:
        pytest.fail(f"{command}: {done.stderr.decode(errors='replace')} {done.stdout.decode(errors='replace')}")
    return done


@pytest.fixture(scope="session")
def tool() -> Any:
    """Run a real tool; the test is skipped, with its name, where it is not installed."""

    def call(*command: str | Path, **more: Any) -> Any:
        if shutil.which(str(command[0])) is None:
            pytest.skip(f"{command[0]} is not installed")
        return run(*command, **more)

    return call


@pytest.fixture(scope="session")
def kit() -> type[Kit]:
    return Kit


@pytest.fixture(scope="session")
def corpus() -> Path:
    folder = ROOT / ".." / "shared" / "corpus"
    if not folder.is_dir():
        pytest.skip("the folder ../shared/corpus is absent")
    return folder


@pytest.fixture(scope="session")
def expected(corpus: Path) -> Any:
    return yaml.safe_load((corpus / "expected.yaml").read_text())


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one key pair per kind, made by imgtool: `rsa-2048.pem`, `rsa-2048.pub.pem` …, and strangers."""
    if not IMGTOOL.exists():
        pytest.skip("imgtool is not installed")
    folder = tmp_path_factory.mktemp("keys")
    kinds = ("rsa-2048", "rsa-3072", "ecdsa-p256", "ecdsa-p384", "ed25519", "x25519")
    for name, kind in [*((kind, kind) for kind in kinds), ("stranger", "ecdsa-p256"), ("stranger-x", "x25519")]:
        run(IMGTOOL, "keygen", "-k", folder / f"{name}.pem", "-t", kind)
        run("openssl", "pkey", "-in", folder / f"{name}.pem", "-pubout", "-out", folder / f"{name}.pub.pem")
    return folder


@pytest.fixture(scope="session")
def firmware() -> bytes:
    """Return bytes that look like firmware: low entropy, and not a multiple of 16 long."""
    return b"".join(b"%06d: a line of firmware text\n" % number for number in range(200)) + b"end"


@pytest.fixture(scope="session")
def imgtool(tmp_path_factory: pytest.TempPathFactory, firmware: bytes) -> Any:
    """Sign firmware with imgtool: `imgtool("-k", key, …)` returns the path of the image."""
    if not IMGTOOL.exists():
        pytest.skip("imgtool is not installed")
    folder = tmp_path_factory.mktemp("mcuboot")
    made: dict[tuple[str, ...], Path] = {}

    def sign(*options: str | Path, content: bytes = firmware) -> Path:
        words = (*(str(option) for option in options), hashlib.sha256(content).hexdigest())
        if words not in made:
            source, target = folder / f"{len(made)}.bin", folder / f"{len(made)}.img"
            source.write_bytes(content)
            common = ("--align", "8", "-v", "2.4.1+7", "-H", "0x40", "--pad-header", "-S", "0x20000")
            run(IMGTOOL, "sign", *common, *options, source, target)
            made[words] = target
        return made[words]

    return sign


@pytest.fixture(scope="session")
def imgtool_verify() -> Any:
    def verify(image: Path, key: Path) -> bool:
        return bool(run(IMGTOOL, "verify", "-k", key, image, check=False).returncode == 0)

    return verify


@pytest.fixture(scope="session")
def pki(tool: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root with two signers, one for RSA and one for P-256, all made by openssl."""
    folder = tmp_path_factory.mktemp("pki")
    subject, days = ("-subj", "/CN=root"), ("-days", "3650")
    tool("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "root.key", "-out", "root.pem",
         *subject, *days, "-addext", "basicConstraints=critical,CA:TRUE", cwd=folder)  # fmt: skip
    (folder / "ext").write_text(
        "subjectKeyIdentifier=hash\nkeyUsage=digitalSignature\nextendedKeyUsage=emailProtection\n"
    )
    for name, kind in (("rsa", ("rsa:2048",)), ("ec", ("ec", "-pkeyopt", "ec_paramgen_curve:P-256"))):
        tool("openssl", "req", "-newkey", *kind, "-nodes", "-keyout", f"{name}.key", "-out", f"{name}.csr",
             "-subj", f"/CN={name} signer", cwd=folder)  # fmt: skip
        tool("openssl", "x509", "-req", "-in", f"{name}.csr", "-CA", "root.pem", "-CAkey", "root.key",
             "-CAcreateserial", "-extfile", "ext", "-out", f"{name}.pem", *days, cwd=folder)  # fmt: skip
    return folder


@pytest.fixture(autouse=True)
def _quiet_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENSSL_CONF", os.devnull)
