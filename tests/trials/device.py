"""A small device for tests: two slots, a version counter, signed updates, and a verifier that can be spoilt on purpose.

An update is 8 digits of version, one letter for its unit, and a payload. Its signature is a file beside it.
"""

from __future__ import annotations

import random
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

PROGRAM = """
import hashlib, json, os, sys, time, zlib
from pathlib import Path

KIND = {kind!r}
HERE = Path(__file__).parent
TASK, STATE = sys.argv[1], Path(sys.argv[2])
META, SLOT, LOG = STATE / "meta.json", STATE / "slots" / "b.bin", STATE / "update.log"


def refuse(reason, text):
    with LOG.open("a") as log:
        log.write(f"refused: {{text}}\\n")
    print(json.dumps({{"otaudit": "answer", "outcome": "refused", "reason": reason, "detail": text}}))
    sys.exit(1)


def meta(**changes):
    found = json.loads(META.read_text())
    if changes:
        META.write_text(json.dumps(found | changes))
    return found


def install(data):
    SLOT.write_bytes(data)
    meta(pending=hashlib.sha256(data).hexdigest(), checksum=zlib.crc32(data))


def update(artifact, signature):
    data, known = artifact.read_bytes(), meta()
    if KIND == "refuses":
        refuse("signature", "never")
    if KIND == "hangs":
        time.sleep(600)
    if KIND == "installs first":
        install(data)
    if KIND != "accepts":
        words = ["openssl", "dgst", "-sha256", "-verify", HERE / "trust.pem", "-signature", signature, artifact]
        good = os.spawnvp(os.P_WAIT, "openssl", list(map(str, words))) == 0
        if not good and KIND == "crashes":
            os.abort()
        if not good:
            refuse("signature" if KIND != "says another reason" else "time", "the signature is wrong")
        if int(data[:8]) <= known["counter"] and KIND != "takes older":
            refuse("version", "not newer than what is installed")
        if data[8:9] != b"A" and KIND != "takes foreign":
            refuse("compatibility", "for another unit")
    install(data)


def boot():
    known = meta()
    if not known["pending"]:
        return
    data = SLOT.read_bytes()
    if KIND == "checks the checksum at boot":
        good = zlib.crc32(data) == known["checksum"]
    else:
        good = hashlib.sha256(data).hexdigest() == known["pending"] or KIND in ("accepts", "trusts its flash")
    if good or KIND == "starts it all the same":
        meta(active=data[:8].decode("ascii", "replace"), pending="", counter=int(data[:8]) if data[:8].isdigit() else 0)
    if not good:
        refuse("digest", "what is installed is not what was accepted")


if TASK == "report":
    print(json.dumps(meta(), sort_keys=True), time.time_ns() if KIND == "tells the time" else "")
elif TASK == "boot":
    boot()
else:
    update(Path(sys.argv[3]), Path(sys.argv[4]))
"""
DEVICE = """\
otaudit: device/1
vendor: Acme
model: Small
targets: [{id: main}]
trust: {images: {keys: [trust.pem]}}
"""
UPDATE = """\
otaudit: update/1
device: device.yaml
id: small-2
version: "2"
artifacts:
  - {file: 2-A.bin, device: A, signature: 2-A.sig}
  - {file: 2-B.bin, device: B, signature: 2-B.sig}
  - {file: 1-A.bin, device: A, signature: 1-A.sig, release: previous}
verifier:
  adapter: command
  device: A
  argv: ["{python}", -S, agent.py, update, "{state}", "{artifact}", "{signature}"]
"""
STATEFUL = """\
  boot: ["{python}", -S, agent.py, boot, "{state}"]
  report: ["{python}", -S, agent.py, report, "{state}"]
  state: state
  installed: slots/b.bin
  log: update.log
"""


@dataclass(frozen=True)
class Small:
    """The folder of one such device."""

    folder: Path

    @property
    def update(self) -> Path:
        """Return the description of its update."""
        return self.folder / "update.yaml"


def make(folder: Path, kind: str = "right", *, update: str = UPDATE + STATEFUL, device: str = DEVICE) -> Small:
    """Make a device whose verifier is of one kind, with two releases for two units."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed: there is nobody to sign")
    (folder / "state" / "slots").mkdir(parents=True)
    (folder / "state" / "meta.json").write_text('{"active": "00000000", "pending": "", "checksum": 0, "counter": 0}')
    (folder / "agent.py").write_text(PROGRAM.format(kind=kind))
    (folder / "device.yaml").write_text(device)
    (folder / "update.yaml").write_text(update)
    openssl(folder, "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", "signing.pem")
    openssl(folder, "pkey", "-in", "signing.pem", "-pubout", "-out", "trust.pem")
    for version in (1, 2):
        for unit in "AB":
            payload = random.Random(f"{version}{unit}").randbytes(3000)  # noqa: S311 - a payload, not a secret
            (folder / f"{version}-{unit}.bin").write_bytes(f"{version:08}{unit}".encode() + payload)
            name = f"{version}-{unit}"
            openssl(folder, "dgst", "-sha256", "-sign", "signing.pem", "-out", f"{name}.sig", f"{name}.bin")
    return Small(folder)


def openssl(folder: Path, *words: str) -> None:
    """Run openssl in a folder."""
    subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)
