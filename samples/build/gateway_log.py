"""The update log of gateway A: a first attempt that loses power and is rolled back, and a second that succeeds.

The log is signed as a whole with the gateway's log key (DSSE); a copy fetched from the fleet server stands beside it.
"""

from __future__ import annotations

import base64
import hashlib
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from samples.build._pki import load_key
from samples.build._tools import KEYS

PAYLOAD_TYPE = "application/vnd.otaudit.update-log+jsonl"
UPDATE = {"device": "A", "update": "gw200-2.4.1", "from_version": "2.4.0", "to_version": "2.4.1"}
SETTINGS = hashlib.sha256(b"settings of gateway A").hexdigest()
OK = {"result": "success"}
PRECONDITIONS = ("free space", "mains power", "no alarm active", "version is newer")


def write_logs(folder: Path, images: dict[str, bytes]) -> None:
    """Write `logs/A.jsonl` and its DSSE envelope; `images` are the installed bytes per target."""
    artifact = (folder / "artifacts" / "gw200-2.4.1-A.swu").read_bytes()
    events = [*_first_attempt(artifact), *_second_attempt(artifact, images)]
    lines = "".join(json.dumps(event) + "\n" for event in events).encode()
    (folder / "logs" / "A.jsonl").write_bytes(lines)
    (folder / "logs" / "A.jsonl.dsse").write_text(json.dumps(_envelope(lines), indent=1) + "\n")


def _envelope(payload: bytes) -> dict[str, Any]:
    kind = PAYLOAD_TYPE.encode()
    message = b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)
    signature = load_key(KEYS / "gateway-log.pem").sign(message, ec.ECDSA(hashes.SHA256(), deterministic_signing=True))
    return {
        "payloadType": PAYLOAD_TYPE,
        "payload": base64.b64encode(payload).decode(),
        "signatures": [{"keyid": "gateway-log", "sig": base64.b64encode(signature).decode()}],
    }


def _event(time: str, event: str, **fields: object) -> dict[str, object]:
    return {"time": f"2026-10-05T{time}Z", "event": event, **UPDATE, **fields}


def _arrival(hour: str, artifact: bytes) -> Iterator[dict[str, object]]:
    digest = {"algorithm": "sha-256", "value": hashlib.sha256(artifact).hexdigest()}
    yield _event(f"{hour}:00:00", "endpoint_verified", channel="https, mutual TLS", tls_version="1.3", **OK)
    yield _event(f"{hour}:00:01", "downloaded", channel="https, mutual TLS", tls_version="1.3", digest=digest, **OK)
    yield _event(f"{hour}:00:20", "signature_checked", key_id="GW-200 Release Signer 2026", **OK)
    yield _event(f"{hour}:00:21", "decrypted", **OK)
    content = ["version", "purpose", "duration"]
    yield _event(f"{hour}:01:00", "announced", audience="operator, by the installer app", content=content)
    yield _event(f"{hour}:05:00", "approved", audience="operator", **OK)
    for name in PRECONDITIONS:
        yield _event(f"{hour}:05:10", "precondition_checked", name=name, **OK)
    yield _event(f"{hour}:05:20", "distributed", target="main", channel="internal, eMMC", **OK)
    yield _event(f"{hour}:05:25", "distributed", target="radio", channel="UART, MCUboot serial recovery", **OK)
    yield _event(f"{hour}:05:30", "staged", **OK)


def _first_attempt(artifact: bytes) -> Iterator[dict[str, object]]:
    yield from _arrival("01", artifact)
    yield _event("01:06:00", "applied", target="main", result="failure", reason="power lost while writing")
    yield _event("01:09:00", "rolled_back", data={"before": SETTINGS, "after": SETTINGS}, **OK)
    yield _event("01:09:01", "notified", local_notice=True, audience="operator", result="failure")
    yield _event("01:09:05", "reported", channel="https, mutual TLS", result="failure")
    yield _event("01:09:06", "cleaned_up", leftovers=0, **OK)


def _second_attempt(artifact: bytes, images: dict[str, bytes]) -> Iterator[dict[str, object]]:
    yield from _arrival("03", artifact)
    for target in images:
        yield _event("03:06:00", "applied", target=target, **OK)
    for target, installed in images.items():
        yield _event("03:08:00", "reverified", target=target, read_back=True, **_values(installed), **OK)
    for target in images:
        yield _event("03:08:30", "activated", target=target, **OK)
    yield _event("03:09:00", "notified", local_notice=True, audience="operator", **OK)
    yield _event(
        "03:09:10", "reported", channel="https, mutual TLS", data={"before": SETTINGS, "after": SETTINGS}, **OK
    )
    yield _event("03:09:11", "cleaned_up", leftovers=0, **OK)


def _values(installed: bytes) -> dict[str, object]:
    return {
        "hash": {"name": "sha-256", "value": hashlib.sha256(installed).hexdigest(), "reference": "signed"},
        "checksum": {"name": "crc-32", "value": f"{zlib.crc32(installed):08x}"},
    }
