"""Makes the samples of Uptane repositories: two with python-tuf, and one alone as aktualizr writes it."""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from samples.build._tools import firmware, key_bytes
from samples.build.formats._tuf import Repository, write
from samples.build.formats.tuf import PAST, flip, flip_signature, setter

Files = dict[str, bytes]
GATEWAY: Final = firmware("uptane gateway", 256)
RADIO: Final = b"".join(hashlib.sha256(b"uptane radio %d" % number).digest() for number in range(80))
IMAGES: Final = {"gateway.bin": GATEWAY, "radio.enc": RADIO}
IMAGE_CUSTOM: Final[Mapping[str, Mapping[str, Any]]] = {
    "gateway.bin": {"hardwareIds": ["gw-200"], "releaseCounter": 7},
    "radio.enc": {"hardwareIds": ["radio-9"], "releaseCounter": 3},
}
DIRECTOR_CUSTOM: Final[Mapping[str, Mapping[str, Any]]] = {
    "gateway.bin": {"ecuIdentifiers": {"GW-0001": {"hardwareId": "gw-200"}}, "releaseCounter": 7},
    "radio.enc": {
        "ecuIdentifiers": {
            "RA-0001": {"hardwareId": "radio-9", "encryptedKey": base64.b64encode(key_bytes("uptane", 48)).decode()}
        },
        "releaseCounter": 3,
    },
}
DIRECTOR: Final = Repository(prefix="director ", versions=1, files=IMAGES, drivers={}, custom=DIRECTOR_CUSTOM)
IMAGE: Final = Repository(prefix="image ", versions=1, files=IMAGES, drivers={}, custom=IMAGE_CUSTOM)


def both(director: Repository = DIRECTOR, image: Repository = IMAGE) -> Files:
    """Return both repositories in one folder; only the image repository has target files."""
    metadata = {
        f"director/{path.removeprefix('metadata/')}": data
        for path, data in director.make().items()
        if path.startswith("metadata/")
    }
    return metadata | {f"image/{path.removeprefix('metadata/')}": data for path, data in image.make().items()}


def changed(name: str, change: Callable[[bytes], bytes]) -> Files:
    """Return both repositories with one file changed, which a part of its path names."""
    return {path: change(data) if name in path else data for path, data in both().items()}


def director_with(path: str, **fields: object) -> Files:
    """Return both repositories with other custom fields in the director's entry of a target."""
    custom = {**DIRECTOR_CUSTOM, path: {**DIRECTOR_CUSTOM[path], **fields}}
    return both(director=replace(DIRECTOR, custom=custom))


def _drop(path: str) -> Callable[[Any], None]:
    def edit(targets: Any) -> None:  # noqa: ANN401 - targets metadata of python-tuf
        del targets.targets[path]

    return edit


def _other_content() -> Files:
    """Return a director that names other bytes under the same name."""
    return both(director=replace(DIRECTOR, files={**IMAGES, "gateway.bin": firmware("uptane other", 256)}))


def _plain_text() -> Files:
    images = {**IMAGES, "radio.enc": RADIO.hex().encode()}
    return both(replace(DIRECTOR, files=images), replace(IMAGE, files=images))


def _repeated() -> Files:
    images = {**IMAGES, "radio.enc": key_bytes("uptane block", 16) * 160}
    return both(replace(DIRECTOR, files=images), replace(IMAGE, files=images))


def _without_custom(*names: str) -> Files:
    def strip(custom: Mapping[str, Any]) -> dict[str, Any]:
        return {
            name: strip(value) if isinstance(value, dict) else value
            for name, value in custom.items()
            if name not in names
        }

    director = {path: strip(custom) for path, custom in DIRECTOR_CUSTOM.items()}
    image = {path: strip(custom) for path, custom in IMAGE_CUSTOM.items()}
    return both(replace(DIRECTOR, custom=director), replace(IMAGE, custom=image))


# As aktualizr writes it: capital types, base64, compact JSON with escapes, key ids of the raw key


def aktualizr() -> Files:
    """Return an image repository as aktualizr's tools write it."""
    roles = {
        "root": ("root-a", "root-b"),
        "timestamp": ("timestamp",),
        "snapshot": ("snapshot",),
        "targets": ("targets",),
    }
    keys = {_keyid(label): {"keytype": "ED25519", "keyval": {"public": _public(label).hex()}}
            for labels in roles.values() for label in labels}  # fmt: skip
    held = {
        name: {"keyids": [_keyid(label) for label in labels], "threshold": len(labels)}
        for name, labels in roles.items()
    }
    common = {"expires": "2030-01-01T00:00:00Z", "version": 1}
    custom = {"hardwareIds": ["gw-200"], "name": "gateway\nfirmware", "releaseCounter": 7, "version": "2.4.1"}
    hashes = {"sha256": hashlib.sha256(GATEWAY).hexdigest(), "sha512": hashlib.sha512(GATEWAY).hexdigest()}
    entry = {"custom": custom, "hashes": hashes, "length": len(GATEWAY)}
    files = {
        "1.root.json": _sign(
            {"_type": "Root", "consistent_snapshot": True, "keys": keys, "roles": held, **common}, *roles["root"]
        ),
        "1.targets.json": _sign({"_type": "Targets", "targets": {"gateway.bin": entry}, **common}, "targets"),
    }
    files["root.json"] = files["1.root.json"]
    meta = {"targets.json": _described(files["1.targets.json"]), "root.json": _described(files["root.json"])}
    files["1.snapshot.json"] = _sign({"_type": "Snapshot", "meta": meta, **common}, "snapshot")
    index = {"snapshot.json": _described(files["1.snapshot.json"])}
    files["timestamp.json"] = _sign({"_type": "Timestamp", "meta": index, **common}, "timestamp")
    return {**files, "targets/gateway.bin": GATEWAY}


def offline() -> Files:
    """Return an update from a medium as aktualizr's tools write it: a snapshot of its own kind, and what it names."""
    roles = {
        "root": ("root-a", "root-b"), "timestamp": ("timestamp",), "snapshot": ("snapshot",), "targets": ("targets",),
        "offline-snapshot": ("offline-snapshot",), "offline-updates": ("offline-updates",),
    }  # fmt: skip
    keys = {_keyid(label): {"keytype": "ED25519", "keyval": {"public": _public(label).hex()}}
            for labels in roles.values() for label in labels}  # fmt: skip
    held = {name: {"keyids": [_keyid(label) for label in labels], "threshold": len(labels)}
            for name, labels in roles.items()}  # fmt: skip
    common = {"expires": "2030-01-01T00:00:00Z", "version": 1}
    entry = {
        "custom": {"ecuIdentifiers": {"GW-0001": {"hardwareId": "gw-200"}}, "releaseCounter": 7},
        "hashes": {"sha256": hashlib.sha256(GATEWAY).hexdigest()},
        "length": len(GATEWAY),
    }
    update = _sign({"_type": "Offline-Updates", "targets": {"gateway.bin": entry}, **common}, "offline-updates")
    meta = {"spring.json": _described(update), "autumn.json": {"version": 1}}
    root = {"_type": "Root", "consistent_snapshot": True, "keys": keys, "roles": held, **common}
    return {
        "metadata/1.root.json": _sign(root, *roles["root"]),
        "metadata/offline-snapshot.json": _sign(
            {"_type": "Offline-Snapshot", "meta": meta, **common}, "offline-snapshot"
        ),
        # Digests are taken over the compact form, whatever the file looks like.
        "metadata/spring.json": json.dumps(json.loads(update), indent=1).encode(),
        "targets/gateway.bin": GATEWAY,
    }


def _private(label: str) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(key_bytes(f"aktualizr {label}", 32))


def _public(label: str) -> bytes:
    return _private(label).public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


def _keyid(label: str) -> str:
    return hashlib.sha256(_public(label)).hexdigest()


def _compact(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def _sign(signed: Mapping[str, Any], *labels: str) -> bytes:
    message = _compact(signed)
    entries = [
        {"keyid": _keyid(label), "method": "ed25519", "sig": base64.b64encode(_private(label).sign(message)).decode()}
        for label in labels
    ]
    return _compact({"signatures": entries, "signed": signed})


def _described(data: bytes) -> dict[str, Any]:
    return {"hashes": {"sha256": hashlib.sha256(data).hexdigest()}, "length": len(data), "version": 1}


FAULTS: Final[Mapping[str, Callable[[], Files]]] = {
    "image-bit-flipped": lambda: changed(".gateway.bin", flip),
    "director-signature-changed": lambda: changed("director/3.targets.json", flip_signature),
    "image-repository-signature-changed": lambda: changed("image/3.targets.json", flip_signature),
    "director-expired": lambda: both(director=replace(DIRECTOR, edits={"targets": setter(expires=PAST)})),
    "image-not-in-the-image-repository": lambda: both(image=replace(IMAGE, edits={"targets": _drop("gateway.bin")})),
    "digests-differ": _other_content,
    "hardware-differs": lambda: director_with("gateway.bin", ecuIdentifiers={"GW-0001": {"hardwareId": "gw-100"}}),
    "release-counters-differ": lambda: director_with("gateway.bin", releaseCounter=6),
    "one-ecu-with-two-images": lambda: director_with(
        "gateway.bin", ecuIdentifiers={"RA-0001": {"hardwareId": "gw-200"}}
    ),
    "no-hardware": lambda: _without_custom("hardwareId", "hardwareIds"),
    "no-release-counter": lambda: _without_custom("releaseCounter"),
    "called-encrypted-but-in-clear": _plain_text,
    "encrypted-with-repeated-blocks": _repeated,
    "one-key-for-both": lambda: both(image=replace(IMAGE, prefix="director ")),
    "director-alone": lambda: {path: data for path, data in both().items() if path.startswith("director/")},
    "director-root-truncated": lambda: changed("director/1.root.json", lambda data: data[:900]),
}


def build(folder: Path) -> None:
    """Make good and bad repositories, and the roots that a vehicle starts with."""
    for name in ("good", "bad", "keys"):
        shutil.rmtree(folder / name, ignore_errors=True)
        (folder / name).mkdir(parents=True)
    good = both()
    write(folder / "good" / "two-repositories", good)
    write(folder / "good" / "aktualizr", aktualizr())
    (folder / "keys" / "director-root.json").write_bytes(good["director/1.root.json"])
    (folder / "keys" / "image-root.json").write_bytes(good["image/1.root.json"])
    (folder / "keys" / "aktualizr-root.json").write_bytes(aktualizr()["root.json"])
    write(folder / "good" / "offline-update", offline())
    (folder / "keys" / "offline-root.json").write_bytes(offline()["metadata/1.root.json"])
    for name, make in FAULTS.items():
        write(folder / "bad" / name, make())
