"""Makes TUF repositories with python-tuf: two roots, a delegated role, and hooks to break one thing at a time."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from securesystemslib.signer._crypto_signer import CryptoSigner
from tuf.api._payload import (
    DelegatedRole,
    Delegations,
    MetaFile,
    Root,
    Snapshot,
    TargetFile,
    Targets,
    Timestamp,
)
from tuf.api.metadata import Metadata
from tuf.api.serialization.json import JSONSerializer

from samples.build._tools import firmware, key_bytes

EXPIRES: Final = dt.datetime(2030, 1, 1, tzinfo=dt.UTC)
ROOT_KEYS: Final = ("root-a", "root-b")
Edit = Callable[[Any], None]


def signer(label: str) -> CryptoSigner:
    """Return the fixed Ed25519 key of a label."""
    return CryptoSigner(Ed25519PrivateKey.from_private_bytes(key_bytes(f"tuf {label}", 32)))


@dataclass(frozen=True, kw_only=True)
class Repository:
    """What a repository is made of, and where it departs from a good one.

    `edits` change a role's content before it is signed, by role and version (`root 2`) or role (`targets`); `signers`
    replaces the keys that sign it; `prefix` keeps the keys of several repositories apart.
    """

    files: Mapping[str, bytes] = field(default_factory=lambda: {"firmware.bin": firmware("tuf firmware", 256)})
    drivers: Mapping[str, bytes] = field(default_factory=lambda: {"drivers/radio.bin": firmware("tuf radio", 128)})
    edits: Mapping[str, Edit] = field(default_factory=dict)
    signers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    prefix: str = ""
    versions: int = 2
    custom: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def key(self, label: str) -> CryptoSigner:
        """Return a key of this repository."""
        return signer(f"{self.prefix}{label}")

    def signed(self, name: str, content: Any, labels: tuple[str, ...]) -> tuple[Metadata[Any], bytes]:  # noqa: ANN401
        """Return metadata, edited and signed, and its bytes."""
        metadata = Metadata(content)
        for known in dict.fromkeys((name, name.split(maxsplit=1)[0])):
            if known in self.edits:
                self.edits[known](metadata.signed)
        for label in self.signers.get(name, labels):
            metadata.sign(self.key(label), append=True)
        return metadata, metadata.to_bytes(JSONSerializer(compact=True))

    def root(self, version: int) -> Root:
        """Return a root; the key of the timestamp changes with the version."""
        root = Root(version=version, expires=EXPIRES, consistent_snapshot=True)
        for label in ROOT_KEYS:
            root.add_key(self.key(label).public_key, "root")
        root.roles["root"].threshold = 2
        for role in ("snapshot", "targets"):
            root.add_key(self.key(role).public_key, role)
        root.add_key(self.key(f"timestamp-{version}").public_key, "timestamp")
        return root

    def targets(self, files: Mapping[str, bytes]) -> dict[str, TargetFile]:
        """Return the entries of files."""
        found = {}
        for path, data in files.items():
            entry = TargetFile.from_data(path, data, ["sha256"])
            if path in self.custom:
                entry.unrecognized_fields["custom"] = dict(self.custom[path])
            found[path] = entry
        return found

    def make(self) -> dict[str, bytes]:
        """Return the repository: `metadata/` and `targets/`, by path."""
        out: dict[str, bytes] = {}
        for version in range(1, self.versions + 1):
            _, data = self.signed(f"root {version}", self.root(version), ROOT_KEYS)
            out[f"metadata/{version}.root.json"] = data
        targets = Targets(version=3, expires=EXPIRES, targets=self.targets(self.files))
        if self.drivers:
            public = self.key("drivers").public_key
            role = DelegatedRole("drivers", [public.keyid], 1, False, ["drivers/*"])
            targets.delegations = Delegations({public.keyid: public}, {"drivers": role})
        meta = {}
        metadata, data = self.signed("targets", targets, ("targets",))
        out[f"metadata/{metadata.signed.version}.targets.json"] = data
        meta["targets.json"] = described(metadata, data)
        if self.drivers:
            content = Targets(version=1, expires=EXPIRES, targets=self.targets(self.drivers))
            metadata, data = self.signed("drivers", content, ("drivers",))
            out[f"metadata/{metadata.signed.version}.drivers.json"] = data
            meta["drivers.json"] = described(metadata, data)
        metadata, data = self.signed("snapshot", Snapshot(version=4, expires=EXPIRES, meta=meta), ("snapshot",))
        out[f"metadata/{metadata.signed.version}.snapshot.json"] = data
        timestamp = Timestamp(version=5, expires=EXPIRES, snapshot_meta=described(metadata, data))
        _, out["metadata/timestamp.json"] = self.signed("timestamp", timestamp, (f"timestamp-{self.versions}",))
        for path, stored in {**self.files, **self.drivers}.items():
            place, slash, name = path.rpartition("/")
            out[f"targets/{place}{slash}{hashlib.sha256(stored).hexdigest()}.{name}"] = stored
        return out


def described(metadata: Metadata[Any], data: bytes) -> MetaFile:
    """Return what another role says of a metadata file."""
    return MetaFile(metadata.signed.version, len(data), {"sha256": hashlib.sha256(data).hexdigest()})


def write(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write files below a folder."""
    for path, data in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
