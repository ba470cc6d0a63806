"""Makes the samples of TUF repositories with python-tuf: a good one in three layouts, and one fault in each bad one."""

from __future__ import annotations

import datetime as dt
import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.primitives.serialization import load_pem_private_key
from securesystemslib.signer._crypto_signer import CryptoSigner
from securesystemslib.signer._key import Key
from tuf.api._payload import (
    DelegatedRole,
    Delegations,
    MetaFile,
    Root,
    Snapshot,
    SuccinctRoles,
    TargetFile,
    Targets,
    Timestamp,
)
from tuf.api.metadata import Metadata
from tuf.api.serialization.json import JSONSerializer

from samples.build._tools import KEYS, firmware
from samples.build.formats._tuf import EXPIRES, Repository, described, signer, write

Files = dict[str, bytes]
SERIALIZER: Final = JSONSerializer(compact=True)
GOOD: Final = Repository()
FIRMWARE: Final = next(path for path in GOOD.make() if path.endswith("firmware.bin"))
PAST: Final = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
FAR: Final = dt.datetime(2099, 1, 1, tzinfo=dt.UTC)


def edited(**edits: Callable[[Any], None]) -> Files:
    """Return the good repository with roles changed before they are signed; `root_2` means version 2 of the root."""
    return Repository(edits={name.replace("_", " "): edit for name, edit in edits.items()}).make()


def signed_by(**signers: tuple[str, ...]) -> Files:
    """Return the good repository with roles signed by other keys."""
    return Repository(signers={name.replace("_", " "): labels for name, labels in signers.items()}).make()


def changed(path: str, change: Callable[[bytes], bytes]) -> Files:
    """Return the good repository with one file changed."""
    files = GOOD.make()
    files[path] = change(files[path])
    return files


def without(path: str) -> Files:
    """Return the good repository without one file."""
    files = GOOD.make()
    del files[path]
    return files


def _replace_root_keys(root: Root) -> None:
    for keyid in list(root.roles["root"].keyids):
        root.revoke_key(keyid, "root")
    for label in ("new-a", "new-b"):
        root.add_key(signer(label).public_key, "root")


def dump(value: object) -> bytes:
    """Return compact sorted JSON, as python-tuf writes it."""
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def flip(data: bytes) -> bytes:
    """Return bytes with one bit in the middle flipped."""
    place = len(data) // 2
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


def flip_signature(data: bytes) -> bytes:
    """Return metadata with the first signature's first digit changed."""
    value = json.loads(data)
    first = value["signatures"][0]
    first["sig"] = ("0" if first["sig"][0] != "0" else "1") + first["sig"][1:]
    return dump(value)


def setter(**values: object) -> Callable[[Any], None]:
    """Return an edit that sets attributes."""

    def edit(signed: Any) -> None:  # noqa: ANN401 - any role
        for name, value in values.items():
            setattr(signed, name, value)

    return edit


def threshold(role: str, number: int) -> Callable[[Any], None]:
    """Return an edit of a root that sets a role's threshold."""

    def edit(root: Root) -> None:
        root.roles[role].threshold = number

    return edit


def _same_key_twice(root: Root) -> None:
    """Give the targets role one key under two ids, and demand two."""
    key = root.keys[root.roles["targets"].keyids[0]]
    twin = Key.from_dict("ab" * 32, key.to_dict())
    root.keys[twin.keyid] = twin
    root.roles["targets"].keyids.append(twin.keyid)
    root.roles["targets"].threshold = 2


def same_key_under_two_ids() -> Files:
    """Return a repository whose targets are signed twice by one key that has two ids."""
    files = edited(root=_same_key_twice)
    value = json.loads(files["metadata/3.targets.json"])
    value["signatures"].append({"keyid": "ab" * 32, "sig": value["signatures"][0]["sig"]})
    return resnapshot(files, "3.targets.json", dump(value))


def resnapshot(files: Files, name: str, data: bytes) -> Files:
    """Return a repository whose targets file is replaced, and bound again by snapshot and timestamp."""
    files = {**files, f"metadata/{name}": data}
    meta = {
        path.partition(".")[2]: _described(files[f"metadata/{path}"]) for path in ("3.targets.json", "1.drivers.json")
    }
    snapshot = Metadata(Snapshot(version=4, expires=EXPIRES, meta=meta))
    snapshot.sign(signer("snapshot"))
    files["metadata/4.snapshot.json"] = snapshot.to_bytes(SERIALIZER)
    timestamp = Metadata(
        Timestamp(version=5, expires=EXPIRES, snapshot_meta=_described(files["metadata/4.snapshot.json"]))
    )
    timestamp.sign(signer("timestamp-2"))
    files["metadata/timestamp.json"] = timestamp.to_bytes(SERIALIZER)
    return files


def _described(data: bytes) -> MetaFile:
    found = described(Metadata(Timestamp()), data)
    found.version = json.loads(data)["signed"]["version"]
    return found


def _shared_key(root: Root) -> None:
    root.add_key(root.keys[root.roles["timestamp"].keyids[0]], "targets")


def _hashes(**hashes: str) -> Callable[[Any], None]:
    def edit(targets: Targets) -> None:
        targets.targets["firmware.bin"].hashes = dict(hashes)

    return edit


def weak_hash() -> Files:
    """Return a repository whose firmware is named by its MD5 only."""
    entry = TargetFile.from_data("firmware.bin", GOOD.files["firmware.bin"], ["md5"])
    files = edited(targets=_hashes(**entry.hashes))
    data = files.pop(FIRMWARE)
    return {**files, f"targets/{entry.hashes['md5']}.firmware.bin": data}


def no_hash() -> Files:
    """Return a repository whose firmware is named without a digest."""
    files = GOOD.make()
    value = json.loads(files["metadata/3.targets.json"])
    value["signed"]["targets"]["firmware.bin"]["hashes"] = {}
    files["targets/firmware.bin"] = files.pop(FIRMWARE)
    return resnapshot(files, "3.targets.json", sign_json(value["signed"], "targets"))


def sign_json(signed: Mapping[str, Any], label: str) -> bytes:
    """Return metadata that python-tuf's classes would not make, signed over its OLPC canonical JSON."""
    message = dump(signed)
    made = signer(label)
    entry = {"keyid": made.public_key.keyid, "sig": made.sign(message).signature}
    return dump({"signatures": [entry], "signed": signed})


def _weak_key(targets: Targets) -> None:
    made = weak_signer()
    roles = {"drivers": DelegatedRole("drivers", [made.public_key.keyid], 1, False, ["drivers/*"])}
    targets.delegations = Delegations({made.public_key.keyid: made.public_key}, roles)


def weak_signer() -> CryptoSigner:
    """Return a signer with RSA-1024."""
    private = load_pem_private_key((KEYS / "camera-signing.pem").read_bytes(), None)
    return CryptoSigner(private)


def weak_key() -> Files:
    """Return a repository whose delegated role is signed with RSA-1024."""
    files = edited(targets=_weak_key)
    metadata = Metadata[Targets].from_bytes(files["metadata/1.drivers.json"])
    metadata.sign(weak_signer())
    return resnapshot(files, "1.drivers.json", metadata.to_bytes(SERIALIZER))


def _out_of_paths(role: Targets) -> None:
    data = firmware("tuf extra", 128)
    role.targets["firmware2.bin"] = TargetFile.from_data("firmware2.bin", data, ["sha256"])


def two_cases() -> Files:
    """Return a repository with a second firmware whose name differs in case only."""
    other = firmware("tuf capital", 128)

    def edit(role: Targets) -> None:
        role.targets["Firmware.bin"] = TargetFile.from_data("Firmware.bin", other, ["sha256"])

    made = edited(targets=edit)
    name = f"{TargetFile.from_data('x', other, ['sha256']).hashes['sha256']}.Firmware.bin"
    return {**made, f"targets/{name}": other}


def _traversal(role: Targets) -> None:
    role.targets["../firmware.bin"] = role.targets.pop("firmware.bin")


def mixed() -> Files:
    """Return a repository whose snapshot is of another time than its targets."""
    newer = Repository(edits={"targets": setter(version=2)}).make()
    files = GOOD.make()
    return {**files, "metadata/3.targets.json": newer["metadata/2.targets.json"]}


def cache() -> Files:
    """Return what a client keeps: metadata without prefixes, and every root that it saw."""
    files = GOOD.make()
    kept = {"root_history/1.root.json": files["metadata/1.root.json"]}
    kept |= {f"{place}.root.json".replace("root.root", "root"): files["metadata/2.root.json"]
             for place in ("root_history/2", "root")}  # fmt: skip
    for path, data in files.items():
        name = path.removeprefix("metadata/")
        if name != path and "root" not in name:
            kept[name if name == "timestamp.json" else name.partition(".")[2]] = data
    return kept


def bins() -> Files:
    """Return a repository whose targets lie in succinct hash bins (TAP 15)."""
    public = signer("bins").public_key
    roles = SuccinctRoles([public.keyid], 1, 2, "bin")

    def edit(targets: Targets) -> None:
        targets.delegations = Delegations({public.keyid: public}, succinct_roles=roles)
        targets.targets = {}

    files = Repository(drivers={}, edits={"targets": edit}).make()
    meta = {"targets.json": _described(files["metadata/3.targets.json"])}
    entries = GOOD.targets(GOOD.files)
    for name in roles.get_roles():
        mine = {path: entry for path, entry in entries.items() if roles.get_role_for_target(path) == name}
        metadata = Metadata(Targets(version=1, expires=EXPIRES, targets=mine))
        metadata.sign(signer("bins"))
        files[f"metadata/1.{name}.json"] = metadata.to_bytes(SERIALIZER)
        meta[f"{name}.json"] = _described(files[f"metadata/1.{name}.json"])
    snapshot = Metadata(Snapshot(version=4, expires=EXPIRES, meta=meta))
    snapshot.sign(signer("snapshot"))
    files["metadata/4.snapshot.json"] = snapshot.to_bytes(SERIALIZER)
    timestamp = Metadata(
        Timestamp(version=5, expires=EXPIRES, snapshot_meta=_described(files["metadata/4.snapshot.json"]))
    )
    timestamp.sign(signer("timestamp-2"))
    files["metadata/timestamp.json"] = timestamp.to_bytes(SERIALIZER)
    return files


def no_signature(data: bytes) -> bytes:
    """Return metadata without signatures."""
    return dump({**json.loads(data), "signatures": []})


def twice(data: bytes) -> bytes:
    """Return metadata in which one name occurs twice."""
    return data.replace(b'"version":5', b'"version":5,"version":5')


FAULTS: Final[Mapping[str, Callable[[], Files]]] = {
    "target-bit-flipped": lambda: changed(FIRMWARE, flip),
    "target-longer": lambda: changed(FIRMWARE, lambda data: data + b"\0"),
    "target-missing": lambda: without(FIRMWARE),
    "targets-signature-changed": lambda: changed("metadata/3.targets.json", flip_signature),
    "targets-signed-by-a-stranger": lambda: signed_by(targets=("stranger",)),
    "targets-unsigned": lambda: changed("metadata/3.targets.json", no_signature),
    "delegated-signed-by-a-stranger": lambda: signed_by(drivers=("stranger",)),
    "delegated-outside-its-paths": lambda: {
        **edited(drivers=_out_of_paths),
        "targets/firmware2.bin": firmware("tuf extra", 128),
    },
    "delegated-missing": lambda: without("metadata/1.drivers.json"),
    "snapshot-signature-changed": lambda: changed("metadata/4.snapshot.json", flip_signature),
    "timestamp-signed-by-the-old-key": lambda: signed_by(timestamp=("timestamp-1",)),
    "timestamp-expired": lambda: edited(timestamp=setter(expires=PAST)),
    "timestamp-names-a-member-twice": lambda: changed("metadata/timestamp.json", twice),
    "timestamp-missing": lambda: without("metadata/timestamp.json"),
    "targets-of-another-release": mixed,
    "root-below-its-threshold": lambda: signed_by(root_1=("root-a",)),
    "root-not-signed-by-the-one-before": lambda: Repository(
        edits={"root 2": _replace_root_keys}, signers={"root 2": ("new-a", "new-b")}
    ).make(),
    "root-version-missing": lambda: {
        path: data for path, data in Repository(versions=3).make().items() if path != "metadata/2.root.json"
    },
    "root-expires-in-2099": lambda: edited(root=setter(expires=FAR)),
    "root-threshold-of-one": lambda: edited(root=threshold("root", 1)),
    "root-truncated": lambda: changed("metadata/1.root.json", lambda data: data[:900]),
    "root-threshold-of-zero": lambda: changed(
        "metadata/1.root.json", lambda data: data.replace(b'"threshold":2', b'"threshold":0')
    ),
    "one-key-under-two-ids": same_key_under_two_ids,
    "one-key-for-two-roles": lambda: edited(root=_shared_key),
    "names-without-versions": lambda: _plain_names(edited(root=setter(consistent_snapshot=False))),
    "digest-md5": weak_hash,
    "digest-missing": no_hash,
    "key-rsa-1024": weak_key,
    "unnamed-file": lambda: {**GOOD.make(), "targets/notes.txt": b"a file that no role names\n"},
    "target-names-differ-in-case": two_cases,
    "target-name-leads-out": lambda: edited(targets=_traversal),
}


def _plain_names(files: Files) -> Files:
    plain = {}
    for path, data in files.items():
        place, slash, name = path.rpartition("/")
        first, _, rest = name.partition(".")
        keep = name == "timestamp.json" or rest == "root.json"
        plain[path if keep or not first else f"{place}{slash}{rest}"] = data
    return plain


def build(folder: Path) -> None:
    """Make good and bad repositories, and the root that a client starts with."""
    for name in ("good", "bad", "keys"):
        shutil.rmtree(folder / name, ignore_errors=True)
        (folder / name).mkdir(parents=True)
    good = GOOD.make()
    write(folder / "good" / "repository", good)
    write(folder / "good" / "client-cache", cache())
    write(folder / "good" / "hash-bins", bins())
    (folder / "good" / "root.json").write_bytes(good["metadata/1.root.json"])
    (folder / "keys" / "root.json").write_bytes(good["metadata/1.root.json"])
    for name, make in FAULTS.items():
        write(folder / "bad" / name, make())
