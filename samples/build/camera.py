"""The camera: CMS with RSA-1024 over SHA-1, one AES-128 key for the whole fleet; and it claims Enhanced."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path

from samples.build._tools import KEYS, cpio, firmware, key_bytes, require, run

DESCRIPTION = """software =
{{
    version = "{version}";
    hardware-compatibility: [ "C3" ];
    images: (
        {{
            filename = "camera.bin.enc";
            device = "/dev/mtd2";
            sha256 = "{sha256}";
            encrypted = true;
            ivt = "{iv}";
        }}
    );
}}
"""
START, MOMENT = "2022-01-01 00:00:00", "2026-09-01 00:00:00"
FLEET_KEY = key_bytes("camera fleet", 16)
FLEET_IV = key_bytes("camera fleet iv", 16)


def build(folder: Path) -> None:
    """Write `artifacts/`, `trust/` and `lab/` below `folder`."""
    require("openssl", "cpio", "faketime")
    for name in ("artifacts", "trust", "lab", "work"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    _certificate(folder / "trust" / "camera-signing.crt.pem")
    (folder / "lab" / "fleet.key").write_text(f"{FLEET_KEY.hex()} {FLEET_IV.hex()}\n")
    for version in ("5.0", "5.1"):
        _package(folder, version)
    _log(folder)
    (folder / "work").rmdir()


def _log(folder: Path) -> None:
    """Write an unsigned log: the new code runs before anybody has looked at what was installed."""
    artifact = (folder / "artifacts" / "camera-5.1.swu").read_bytes()
    digest = {"algorithm": "sha-256", "value": hashlib.sha256(artifact).hexdigest()}
    common = {"device": "A", "update": "c3-5.1", "from_version": "5.0", "to_version": "5.1", "result": "success"}
    events: tuple[tuple[str, str, dict[str, object]], ...] = (
        ("02:00:00", "downloaded", {"channel": "https", "digest": digest}),
        ("02:00:30", "signature_checked", {}),
        ("02:01:00", "applied", {"target": "soc"}),
        ("02:01:10", "activated", {"target": "soc"}),
        ("02:03:00", "reverified", {"target": "soc", "checksum": {"name": "crc-8/smbus", "value": "00"}}),
    )
    (folder / "logs").mkdir(exist_ok=True)
    with (folder / "logs" / "A.jsonl").open("w") as stream:
        for time, event, fields in events:
            stream.write(json.dumps({"time": f"2026-09-04T{time}Z", "event": event, **common, **fields}) + "\n")


def _certificate(target: Path) -> None:
    request = "openssl req -x509 -new -sha1 -days 3650 -set_serial 1 -subj /O=Brightview/CN=C3"
    run(
        [*request.split(), "-addext", "keyUsage=digitalSignature", "-key", KEYS / "camera-signing.pem", "-out", target],
        at=START,
    )


def _package(folder: Path, version: str) -> None:
    work = folder / "work"
    (work / "clear").write_bytes(firmware(f"camera {version}", 16 * 1024))
    key, iv = FLEET_KEY.hex(), FLEET_IV.hex()  # the same IV in every release: on purpose
    run(["openssl", "enc", "-aes-128-cbc", "-K", key, "-iv", iv, "-in", "clear", "-out", "camera.bin.enc"], cwd=work)
    digest = hashlib.sha256((work / "camera.bin.enc").read_bytes()).hexdigest()
    (work / "sw-description").write_text(DESCRIPTION.format(version=version, sha256=digest, iv=iv))
    sign = "openssl cms -sign -binary -nosmimecap -md sha1 -in sw-description -outform DER -out sw-description.sig"
    certificate = work.parent / "trust" / "camera-signing.crt.pem"
    run([*sign.split(), "-signer", certificate, "-inkey", KEYS / "camera-signing.pem"], cwd=work, at=MOMENT)
    moment = int(datetime(2026, 9, 1, tzinfo=UTC).timestamp())
    names = ["sw-description", "sw-description.sig", "camera.bin.enc"]
    cpio(work, names, folder / "artifacts" / f"camera-{version}.swu", moment)
    for path in work.iterdir():
        path.unlink()
