"""The update log of pump controller A: power fails in the first attempt, the second succeeds.

The log is signed as a whole (DSSE, ML-DSA-65) with the device's log key; a copy from the hospital's server lies beside.
"""

from __future__ import annotations

import base64
import hashlib
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from samples.build._pki import load_any
from samples.build._tools import KEYS

PAYLOAD_TYPE: Final = "application/vnd.otaudit.update-log+jsonl"
UPDATE: Final = {"device": "A", "update": "pc9-3.2.0", "from_version": "3.1.0", "to_version": "3.2.0"}
DRUGS: Final = hashlib.sha256(b"drug library and settings of pump controller A").hexdigest()
OK: Final = {"result": "success"}
CHANNEL: Final = "tls-aes-256-gcm"
PRECONDITIONS: Final = ("no infusion running", "battery", "free space", "version is newer")


def write_logs(folder: Path, installed: bytes) -> None:
    """Write `logs/A.jsonl` and its DSSE envelope; `installed` is what the target holds after the update."""
    artifact = (folder / "artifacts" / "pc9-3.2.0-A.p7m").read_bytes()
    events = [*_failed(artifact), *_succeeded(artifact, installed)]
    lines = "".join(json.dumps(event) + "\n" for event in events).encode()
    (folder / "logs" / "A.jsonl").write_bytes(lines)
    (folder / "logs" / "A.jsonl.dsse").write_text(json.dumps(_envelope(lines), indent=1) + "\n")


def _envelope(payload: bytes) -> dict[str, Any]:
    kind = PAYLOAD_TYPE.encode()
    message = b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)
    signature = load_any(KEYS / "quantum-log.pem").sign(message)
    return {
        "payloadType": PAYLOAD_TYPE,
        "payload": base64.b64encode(payload).decode(),
        "signatures": [{"keyid": "pump-log", "sig": base64.b64encode(signature).decode()}],
    }


def _event(time: str, event: str, **fields: object) -> dict[str, object]:
    return {"time": f"2026-10-05T{time}Z", "event": event, **UPDATE, **fields}


def _arrival(hour: str, artifact: bytes) -> Iterator[dict[str, object]]:
    digest = {"algorithm": "sha3-256", "value": hashlib.sha3_256(artifact).hexdigest()}
    yield _event(f"{hour}:00:00", "endpoint_verified", channel=CHANNEL, tls_version="1.3", **OK)
    yield _event(f"{hour}:00:01", "downloaded", channel=CHANNEL, tls_version="1.3", digest=digest, **OK)
    yield _event(f"{hour}:00:20", "signature_checked", key_id="PC-9 Release Signer 2026", **OK)
    yield _event(f"{hour}:00:21", "decrypted", key_id="device-A-2026", **OK)
    content = ["version", "purpose", "duration"]
    yield _event(f"{hour}:01:00", "announced", audience="nurse in charge, on the display", content=content)
    yield _event(f"{hour}:05:00", "approved", audience="nurse in charge", **OK)
    for name in PRECONDITIONS:
        yield _event(f"{hour}:05:10", "precondition_checked", name=name, **OK)
    yield _event(f"{hour}:05:30", "staged", **OK)


def _failed(artifact: bytes) -> Iterator[dict[str, object]]:
    yield from _arrival("01", artifact)
    yield _event("01:06:00", "applied", target="controller", result="failure", reason="power lost while writing")
    yield _event("01:09:00", "rolled_back", data={"before": DRUGS, "after": DRUGS}, **OK)
    yield _event("01:09:01", "notified", local_notice=True, audience="nurse in charge", result="failure")
    yield _event("01:09:05", "reported", channel=CHANNEL, result="failure")
    yield _event("01:09:06", "cleaned_up", leftovers=0, **OK)


def _succeeded(artifact: bytes, installed: bytes) -> Iterator[dict[str, object]]:
    yield from _arrival("03", artifact)
    yield _event("03:06:00", "applied", target="controller", **OK)
    values = {
        "hash": {"name": "sha3-256", "value": hashlib.sha3_256(installed).hexdigest(), "reference": "signed"},
        "checksum": {"name": "crc-32", "value": f"{zlib.crc32(installed):08x}"},
    }
    yield _event("03:08:00", "reverified", target="controller", read_back=True, **values, **OK)
    yield _event("03:08:30", "activated", target="controller", **OK)
    yield _event("03:09:00", "notified", local_notice=True, audience="nurse in charge", **OK)
    yield _event("03:09:10", "reported", channel=CHANNEL, data={"before": DRUGS, "after": DRUGS}, **OK)
    yield _event("03:09:11", "cleaned_up", leftovers=0, **OK)
