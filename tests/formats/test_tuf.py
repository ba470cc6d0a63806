"""TUF repositories: python-tuf's own client refuses what is refused here, and takes what is taken."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import itertools
import json
import time
import tracemalloc
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from securesystemslib.signer._key import SSlibKey
from tuf.api import exceptions
from tuf.api._payload import DelegatedRole, Delegations, MetaFile, Snapshot, TargetFile, Targets, Timestamp
from tuf.api.metadata import Metadata
from tuf.ngclient.fetcher import FetcherInterface
from tuf.ngclient.updater import Updater

from checker.crypto.key_files import read_public_keys
from checker.crypto.keyring import KeyRing
from checker.errors import FormatError, KeyMaterialError, LimitError
from checker.formats import _tuf_delegations as delegations
from checker.formats import _tuf_keys as keys
from checker.formats import _tuf_metadata as metadata
from checker.formats._open import detect, open_artifact
from checker.formats.contract import Context
from checker.io.folders import FolderSource
from checker.io.sources import BytesSource
from checker.io.strict_json import parse, spans
from checker.model.artifact import INEXPRESSIBLE, Artifact
from checker.model.terms import Outcome
from samples.build.formats import tuf as samples
from samples.build.formats._tuf import EXPIRES, ROOT_KEYS, Repository, signer, write

AS_OF = "2026-11-01T00:00:00Z"
REFUSED = {"digest-mismatch", "duplicate-member", "expired-metadata", "malformed", "missing-member", "mix-and-match"}
GOOD = samples.GOOD.make()
TARGETS = ("firmware.bin", "drivers/radio.bin")
Files = dict[str, bytes]


def ring(*roots: bytes) -> KeyRing:
    return KeyRing.of(keys=[key for data in roots for key in read_public_keys(data, "root.json")])


def opened(folder: Path, files: Mapping[str, bytes], trust: KeyRing | None = None, **options: str) -> Artifact:
    place = folder / f"r{next(_NUMBERS)}"
    write(place, files)
    trusted = ring(GOOD["metadata/1.root.json"]) if trust is None else trust
    return open_artifact(FolderSource.of(place, "repository"), Context(keys=trusted, as_of=AS_OF, options=options))


_NUMBERS = itertools.count()


def codes(artifact: Artifact) -> set[str]:
    return {weakness.code for weakness in artifact.weaknesses}


def takes(folder: Path, files: Mapping[str, bytes], trust: KeyRing | None = None) -> bool:
    """Return whether otaudit finds nothing for which a client would refuse the repository or one of its targets."""
    try:
        artifact = opened(folder, files, trust)
    except FormatError:
        return False
    here = {image.id for image in artifact.images if image.span is not None}
    reached = not artifact.coverage.uncovered and not artifact.coverage.undecided
    valid = any(signature.outcome is Outcome.VALID for signature in artifact.signatures)
    return valid and reached and set(TARGETS) <= here and not codes(artifact) & REFUSED


class Local(FetcherInterface):
    """Serves a repository from memory."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self.files = files

    def _fetch(self, url: str) -> Iterator[bytes]:
        path = unquote(url.removeprefix("https://repository.example/"))
        if path not in self.files:
            raise exceptions.DownloadHTTPError("not found", 404)
        return iter([self.files[path]])


class Clock(dt.datetime):
    @classmethod
    def now(cls, tz: dt.tzinfo | None = None) -> dt.datetime:  # type: ignore[override]
        return dt.datetime.fromisoformat(AS_OF).astimezone(tz)


def client_takes(folder: Path, files: Mapping[str, bytes], monkeypatch: pytest.MonkeyPatch) -> bool:
    """Return whether python-tuf's client downloads both targets."""
    place = folder / f"c{next(_NUMBERS)}"
    (place / "targets").mkdir(parents=True)
    fetcher = Local(files)
    base = "https://repository.example/"
    with monkeypatch.context() as patched:
        patched.setattr(dt, "datetime", Clock)
        try:
            updater = Updater(
                str(place), f"{base}metadata/", str(place / "targets"), f"{base}targets/", fetcher,
                bootstrap=files["metadata/1.root.json"],
            )  # fmt: skip
            updater.refresh()
            for path in TARGETS:
                info = updater.get_targetinfo(path)
                if info is None:
                    return False
                updater.download_target(info)
        except (exceptions.RepositoryError, exceptions.DownloadError, ValueError, KeyError):
            return False
    return True


# Where otaudit is stricter on purpose: files that no client looks at, a JSON name that stands twice, and one key under
# two ids, which python-tuf counts as two though the specification wants distinct keys (section 5.3.5 of 1.0.33).
STRICTER = {
    "target-names-differ-in-case",
    "unnamed-file", "delegated-outside-its-paths", "timestamp-names-a-member-twice", "one-key-under-two-ids"
}  # fmt: skip


def _files(name: str, **values: Any) -> Callable[[], Files]:
    return lambda: samples.edited(**{name: samples.setter(**values)})


def _hash_twice() -> Files:
    """Return a repository with another length, bound again."""

    def longer(targets: Any) -> None:
        targets.targets["firmware.bin"].length += 1

    return samples.edited(targets=longer)


def _prefixes(prefix: str) -> Callable[[], Files]:
    def edit(targets: Any) -> None:
        role = targets.delegations.roles["drivers"]
        role.paths, role.path_hash_prefixes = None, [prefix]

    return lambda: samples.edited(targets=edit)


def _paths(*patterns: str) -> Callable[[], Files]:
    def edit(targets: Any) -> None:
        targets.delegations.roles["drivers"].paths = list(patterns)

    return lambda: samples.edited(targets=edit)


def _rotated(*labels: str) -> Callable[[], Files]:
    """Return a repository whose second root has a third key, signed as given."""

    def edit(root: Any) -> None:
        root.add_key(signer("root-c").public_key, "root")

    return lambda: Repository(edits={"root 2": edit}, signers={"root 2": labels}).make()


def _two_signatures() -> Files:
    files = dict(GOOD)
    value = json.loads(files["metadata/3.targets.json"])
    value["signatures"] *= 2
    return samples.resnapshot(files, "3.targets.json", samples.dump(value))


def _extra_signature() -> Files:
    return samples.signed_by(timestamp=("timestamp-2", "stranger"))


def _wrong_name() -> Files:
    files = dict(GOOD)
    files["metadata/2.root.json"] = files["metadata/1.root.json"]
    return files


def _specification(version: str) -> Callable[[], Files]:
    def make() -> Files:
        value = json.loads(GOOD["metadata/3.targets.json"])["signed"]
        data = samples.sign_json({**value, "spec_version": version}, "targets")
        return samples.resnapshot(dict(GOOD), "3.targets.json", data)

    return make


def _signed_with(change: Callable[[dict[str, Any]], None]) -> Callable[[], Files]:
    def make() -> Files:
        value = json.loads(GOOD["metadata/3.targets.json"])["signed"]
        change(value)
        return samples.resnapshot(dict(GOOD), "3.targets.json", samples.sign_json(value, "targets"))

    return make


def _delegation(**values: Any) -> Callable[[], Files]:
    return _signed_with(lambda signed: signed["delegations"]["roles"][0].update(values))


def _entry(**values: Any) -> Callable[[], Files]:
    return _signed_with(lambda signed: signed["targets"]["firmware.bin"].update(values))


RADIO = hashlib.sha256(b"drivers/radio.bin").hexdigest()


def _named_above(data: bytes) -> Callable[[], Files]:
    """Return a repository whose targets.json names the driver too, so that it speaks for it."""

    def edit(targets: Any) -> None:
        targets.targets["drivers/radio.bin"] = TargetFile.from_data("drivers/radio.bin", data, ["sha256"])

    return lambda: samples.edited(targets=edit)


def _timestamp_of(**values: Any) -> Callable[[], Files]:
    """Return a repository whose timestamp says this of the snapshot, and nothing else."""

    def make() -> Files:
        signed = json.loads(GOOD["metadata/timestamp.json"])["signed"]
        signed["meta"]["snapshot.json"] = values
        return {**GOOD, "metadata/timestamp.json": samples.sign_json(signed, "timestamp-2")}

    return make


MUTATIONS: dict[str, Callable[[], Files]] = {
    **samples.FAULTS,
    "good": lambda: dict(GOOD),
    "driver named above too": _named_above(samples.GOOD.drivers["drivers/radio.bin"]),
    "other driver named above": _named_above(b"other"),
    "timestamp of a version only": _timestamp_of(version=4),
    "timestamp of another version": _timestamp_of(version=3),
    "timestamp of nothing": _timestamp_of(),
    "timestamp of an unknown digest": _timestamp_of(version=4, hashes={"whirlpool": "00" * 64}),
    "one root": Repository(versions=1).make,
    "three roots": Repository(versions=3).make,
    "other length": _hash_twice,
    "prefix that fits": _prefixes(RADIO[:2]),
    "prefix that does not fit": _prefixes("00" if RADIO[:2] != "00" else "11"),
    "paths with question marks": _paths("drivers/r?dio.bin"),
    "paths with a class": _paths("drivers/[qr]adio.*"),
    "paths without the folder": _paths("*"),
    "paths of another folder": _paths("driver/*"),
    "a path that is the very name": _paths("other", "drivers/radio.bin"),
    "no paths": _paths(),
    "root signed by old and new keys": _rotated("root-a", "root-c", "root-b"),
    "root signed by one old and the new key": _rotated("root-a", "root-c"),
    "root signed by the new key twice": _rotated("root-c", "root-c"),
    "the same signature twice": _two_signatures,
    "one signature more": _extra_signature,
    "root 2 is a copy of root 1": _wrong_name,
    "specification 2": _specification("2.0.0"),
    "specification 1.99": _specification("1.99.0"),
    "expires in the very second": _files("targets", expires=dt.datetime(2026, 11, 1, tzinfo=dt.UTC)),
    "expires a second later": _files("targets", expires=dt.datetime(2026, 11, 1, 0, 0, 1, tzinfo=dt.UTC)),
    "snapshot expired": _files("snapshot", expires=samples.PAST),
    "targets expired": _files("targets", expires=samples.PAST),
    "drivers expired": _files("drivers", expires=samples.PAST),
    "old root expired": lambda: Repository(edits={"root 1": samples.setter(expires=samples.PAST)}).make(),
    "last root expired": lambda: Repository(edits={"root 2": samples.setter(expires=samples.PAST)}).make(),
    "snapshot without drivers": lambda: samples.edited(snapshot=lambda signed: signed.meta.pop("drivers.json")),
    "snapshot without targets": lambda: samples.edited(snapshot=lambda signed: signed.meta.pop("targets.json")),
    "snapshot of drivers 2": lambda: samples.edited(
        snapshot=lambda signed: setattr(signed.meta["drivers.json"], "version", 2)
    ),
    "snapshot of longer targets": lambda: samples.edited(
        snapshot=lambda signed: setattr(signed.meta["targets.json"], "length", 9999)
    ),
    "snapshot missing": lambda: samples.without("metadata/4.snapshot.json"),
    "targets missing": lambda: samples.without("metadata/3.targets.json"),
    "root names no snapshot role": lambda: samples.edited(root_2=lambda root: root.roles.pop("snapshot")),
    "drivers signed by the targets key": lambda: samples.signed_by(drivers=("targets",)),
    "targets signed by the snapshot key": lambda: samples.signed_by(targets=("snapshot",)),
    "two of two for targets": lambda: samples.edited(root=samples.threshold("targets", 2)),
    "a stated threshold of two, signed by one": lambda: samples.edited(root_1=samples.threshold("root", 3)),
    "version as text": _signed_with(lambda signed: signed.update(version="3")),
    "version true": _signed_with(lambda signed: signed.update(version=True)),
    "negative length": _entry(length=-1),
    "hash of another name": _entry(hashes={"sha512": hashlib.sha512(samples.GOOD.files["firmware.bin"]).hexdigest()}),
    "custom data": Repository(
        custom={"firmware.bin": {"name": 'quote " backslash \\ \\n line\nend \x01 \x7f é \U0001f4a1'}}
    ).make,
    "delegation without a name": _delegation(name=""),
    "delegation to the root": _delegation(name="root"),
    "delegation of paths and prefixes": _delegation(path_hash_prefixes=[RADIO[:2]]),
    "delegation with a key twice": _delegation(keyids=[signer("drivers").public_key.keyid] * 2),
    "delegation with threshold zero": _delegation(threshold=0),
    "truncated drivers": lambda: samples.changed("metadata/1.drivers.json", lambda data: data[:100]),
    "drivers that are a snapshot": lambda: samples.changed(
        "metadata/1.drivers.json", lambda _: GOOD["metadata/4.snapshot.json"]
    ),
    "timestamp that is a snapshot": lambda: samples.changed(
        "metadata/timestamp.json", lambda _: GOOD["metadata/4.snapshot.json"]
    ),
}


@pytest.mark.parametrize("name", MUTATIONS)
def test_what_the_client_refuses_is_refused_here_and_nothing_else(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = MUTATIONS[name]()
    client = client_takes(tmp_path, files, monkeypatch)
    ours = takes(tmp_path, files, None)
    assert ours is (client and name not in STRICTER)


# Trust begins with declared keys


def outcomes(artifact: Artifact) -> list[Outcome]:
    return [signature.outcome for signature in artifact.signatures]


def test_without_declared_keys_everything_fits_and_nothing_is_valid(tmp_path: Path) -> None:
    artifact = opened(tmp_path, GOOD, KeyRing.empty())
    assert set(outcomes(artifact)) == {Outcome.KEY_UNKNOWN}
    assert artifact.version.authentic is None
    assert "the keys of no root were declared" in artifact.signatures[0].note


def test_one_declared_key_is_not_enough_for_a_root_that_needs_two(tmp_path: Path) -> None:
    one = read_public_keys(record(signer("root-a")), "root-a.json")
    two = (*one, *read_public_keys(record(signer("root-b")), "root-b.json"))
    assert set(outcomes(opened(tmp_path, GOOD, KeyRing.of(keys=one)))) == {Outcome.KEY_UNKNOWN}
    both = opened(tmp_path, GOOD, KeyRing.of(keys=two))
    assert set(outcomes(both)) == {Outcome.VALID}
    assert {signature.key.name for signature in both.signatures} == {"root-a.json", "root-b.json", ""}
    assert all(signature.key.declared for signature in both.signatures)


def record(made: Any) -> bytes:
    return json.dumps(made.public_key.to_dict()).encode()


def test_keys_of_other_roles_do_not_make_a_root_trusted(tmp_path: Path) -> None:
    found = [read_public_keys(record(signer(label)), label)[0] for label in ("targets", "snapshot", "timestamp-1")]
    assert set(outcomes(opened(tmp_path, GOOD, KeyRing.of(keys=found)))) == {Outcome.KEY_UNKNOWN}


def test_a_declared_root_says_how_many_must_sign_and_a_forged_one_cannot_lower_it(tmp_path: Path) -> None:
    forged = Repository(
        edits={"root": samples.threshold("root", 1)}, signers={"root 1": ("root-a",), "root 2": ("root-a",)}
    ).make()
    assert set(outcomes(opened(tmp_path, forged))) == {Outcome.KEY_UNKNOWN}
    bare = KeyRing.of(keys=read_public_keys(record(signer("root-a")), "root-a.json"))
    assert set(outcomes(opened(tmp_path, forged, bare))) == {Outcome.VALID}


def test_the_newest_root_may_be_the_declared_one(tmp_path: Path) -> None:
    files = MUTATIONS["root signed by old and new keys"]()
    assert set(outcomes(opened(tmp_path, files, ring(files["metadata/2.root.json"])))) == {Outcome.VALID}


def test_a_stranger_s_root_file_trusts_nothing(tmp_path: Path) -> None:
    other = Repository(prefix="other ").make()["metadata/1.root.json"]
    assert set(outcomes(opened(tmp_path, GOOD, ring(other)))) == {Outcome.KEY_UNKNOWN}


def test_two_roots_of_one_version_cover_nothing(tmp_path: Path) -> None:
    other = samples.edited(root_2=samples.setter(expires=dt.datetime(2031, 1, 1, tzinfo=dt.UTC)))
    artifact = opened(tmp_path, {**GOOD, "metadata/root.json": other["metadata/2.root.json"]})
    assert "mix-and-match" in codes(artifact)
    assert artifact.coverage.uncovered == artifact.coverage.payload
    same = opened(tmp_path, {**GOOD, "metadata/root.json": GOOD["metadata/2.root.json"]})
    assert codes(same) == set()


# The key file form


def test_a_root_file_gives_its_root_keys_with_their_ids_and_threshold() -> None:
    found = read_public_keys(GOOD["metadata/1.root.json"], "root.json")
    assert [key.terms and key.terms.ids for key in found] == [
        (signer(label).public_key.keyid,) for label in sorted(ROOT_KEYS, key=lambda item: signer(item).public_key.keyid)
    ] or len(found) == 2
    assert {key.terms.quorum for key in found if key.terms} == {2}
    assert {key.facts.algorithm for key in found} == {"ed25519"}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"keytype": "ed25519", "keyval": {"public": "00" * 32, "private": "11" * 32}}, "private"),
        ({"keytype": "ed25519", "keyval": {"public": 7}}, "no keyval"),
        ({"keytype": "ed25519", "keyval": "00"}, "no keyval"),
        ({"keytype": "ed25519", "keyval": {"public": "!!"}}, "neither PEM"),
        ({"keytype": "ed25519", "keyval": {"public": "00"}}, "no public key|not a public key"),
        ({"signed": {"_type": "root", "keys": {}, "roles": {}}, "signatures": []}, "without keys or without"),
        ({"signed": {"_type": "root", "keys": [], "roles": {"root": {}}}, "signatures": []}, "without keys or without"),
        ({"signed": {"_type": "root", "keys": {}, "roles": {"root": {"keyids": [], "threshold": 0}}}}, "no threshold"),
        ({"signed": {"_type": "root", "keys": {}, "roles": {"root": {"keyids": [], "threshold": 1}}}}, "without a"),
        ({"signed": {"_type": "root", "keys": {}, "roles": {"root": {"keyids": ["a"], "threshold": 1}}}}, "no keyval"),
    ],
)  # fmt: skip
def test_a_key_file_that_is_none_says_why(value: object, text: str) -> None:
    with pytest.raises(KeyMaterialError, match=text):
        read_public_keys(json.dumps(value).encode(), "key.json")


@pytest.mark.parametrize("data", [b"{", b'{"signed": 1}', b'{"a": 1, "a": 2}', b'{"signed": {"_type": "snapshot"}}'])
def test_json_that_is_no_root_is_no_key_file(data: bytes) -> None:
    with pytest.raises(KeyMaterialError):
        read_public_keys(data, "key.json")


# Canonical forms and schemes


def test_the_forms_differ_where_a_line_ends() -> None:
    value = {"b": ["\n", '"\\', "\x01", 1, True, None], "a": "é"}
    # securesystemslib's encoder is the reference for OLPC; the other form is that of RFC 8259 with short escapes.
    from securesystemslib.formats import encode_canonical

    assert keys.olpc(value) == str(encode_canonical(value)).encode()
    made = keys.forms(value)
    assert made[keys.olpc(value)] == keys.OLPC
    assert made[b'{"a":"\\u00e9","b":["\\n","\\"\\\\","\\u0001",1,true,null]}'] == keys.COMPACT
    assert set(keys.forms({"a": 1}).values()) == {keys.ALIKE}


RSA = rsa.generate_private_key(65537, 2048)
P256, P384 = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP384R1())
MESSAGE = b'{"a":1}'


def pem(private: Any) -> str:
    return str(private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode())


def raw_ecdsa(der: bytes, size: int) -> bytes:
    from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

    return b"".join(number.to_bytes(size, "big") for number in decode_dss_signature(der))


def pss(size: Any, digest: Any) -> Any:
    return padding.PSS(padding.MGF1(digest), size)


SCHEMES: dict[str, tuple[dict[str, Any], str, bytes]] = {
    "pss": ({"scheme": "rsassa-pss-sha256"}, pem(RSA), RSA.sign(MESSAGE, pss(32, hashes.SHA256()), hashes.SHA256())),
    "pss-longest-salt": (
        {"scheme": "rsassa-pss-sha512"},
        pem(RSA),
        RSA.sign(MESSAGE, pss(padding.PSS.MAX_LENGTH, hashes.SHA512()), hashes.SHA512()),
    ),
    "pkcs1v15": ({"scheme": "rsa-pkcs1v15-sha256"}, pem(RSA), RSA.sign(MESSAGE, padding.PKCS1v15(), hashes.SHA256())),
    "no-scheme": ({}, pem(RSA), RSA.sign(MESSAGE, pss(32, hashes.SHA256()), hashes.SHA256())),
    "p256": ({"scheme": "ecdsa-sha2-nistp256"}, pem(P256), P256.sign(MESSAGE, ec.ECDSA(hashes.SHA256()))),
    "p384": ({"scheme": "ecdsa-sha2-nistp384"}, pem(P384), P384.sign(MESSAGE, ec.ECDSA(hashes.SHA384()))),
    "p256-by-kind": ({"keytype": "ecdsa"}, pem(P256), P256.sign(MESSAGE, ec.ECDSA(hashes.SHA256()))),
    "p256-point": (
        {"scheme": "ecdsa-sha2-nistp256"},
        P256.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint).hex(),
        P256.sign(MESSAGE, ec.ECDSA(hashes.SHA256())),
    ),
    "p256-der-and-raw": (
        {},
        base64.b64encode(P256.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).decode(),
        raw_ecdsa(P256.sign(MESSAGE, ec.ECDSA(hashes.SHA256())), 32),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SCHEMES)
@pytest.mark.parametrize("encoding", ["hexadecimal", "base64"])
def test_every_scheme_is_verified_in_both_encodings(name: str, encoding: str) -> None:
    fields, public, signature = SCHEMES[name]
    key = keys.read_key("id", {"keytype": "rsa", **fields, "keyval": {"public": public}})
    text = signature.hex() if encoding == "hexadecimal" else base64.b64encode(signature).decode()
    wrong = bytes([signature[0], signature[1], *signature[2:-1], signature[-1] ^ 1])
    bad = wrong.hex() if encoding == "hexadecimal" else base64.b64encode(wrong).decode()
    role = keys.Role(("id",), 1)
    good = keys.tally([keys.Entry("id", "", text)], keys.forms({"a": 1}), {"id": key}, role)
    assert good.met
    assert good.judged[0].encoding.startswith(encoding)
    assert not keys.tally([keys.Entry("id", "", bad)], keys.forms({"a": 1}), {"id": key}, role).met
    assert not keys.tally([keys.Entry("id", "", text)], keys.forms({"a": 2}), {"id": key}, role).met


@pytest.mark.parametrize("fields", [{"scheme": "sphincs"}, {"scheme": "ed25519"}])
def test_another_scheme_than_the_key_s_own_is_never_valid(fields: dict[str, Any]) -> None:
    _, public, signature = SCHEMES["pss"]
    key = keys.read_key("id", {"keytype": "rsa", **fields, "keyval": {"public": public}})
    found = keys.tally([keys.Entry("id", "", signature.hex())], {MESSAGE: ""}, {"id": key}, keys.Role(("id",), 1))
    assert not found.met
    assert found.undecidable is (fields["scheme"] == "sphincs")


def test_a_signature_that_is_no_text_of_bytes_is_invalid() -> None:
    key = keys.read_key("id", {"keytype": "rsa", "keyval": {"public": pem(RSA)}})
    found = keys.tally([keys.Entry("id", "", "!")], {MESSAGE: ""}, {"id": key}, keys.Role(("id",), 1))
    assert found.judged[0].outcome is Outcome.INVALID
    assert "neither hexadecimal nor base64" in found.judged[0].note


def test_key_ids_are_recomputed_as_securesystemslib_does() -> None:
    made = signer("root-a").public_key
    assert keys.read_key(made.keyid, made.to_dict()).derived
    assert not keys.read_key("00" * 32, made.to_dict()).derived
    assert made.keyid in keys.likely_keyids(read_public_keys(record(signer("root-a")))[0])


def test_an_unreadable_key_leaves_the_role_undecided(tmp_path: Path) -> None:
    def strange(root: Any) -> None:
        key = SSlibKey("ff" * 32, "ed25519", "ed25519", {"public": "not a key"})
        root.keys[key.keyid] = key
        root.roles["timestamp"].keyids.append(key.keyid)
        root.roles["timestamp"].threshold = 2

    files = samples.edited(root=strange)
    value = json.loads(files["metadata/timestamp.json"])
    value["signatures"].append({"keyid": "ff" * 32, "sig": "00"})
    files["metadata/timestamp.json"] = samples.dump(value)
    artifact = opened(tmp_path, files, ring(files["metadata/1.root.json"]))
    assert [outcome for outcome in outcomes(artifact) if outcome is not Outcome.VALID] == [Outcome.UNDECIDABLE] * 2
    assert artifact.coverage.undecided == artifact.coverage.payload
    assert artifact.version.authentic is None


# Layouts


def test_the_corpus_s_repository_is_valid_with_its_root(corpus: Path, expected: Any) -> None:
    facts = expected["tuf"]["repository/metadata"]
    folder = corpus / "tuf" / "repository"
    trust = ring((folder / "metadata" / "root.json").read_bytes())
    artifact = open_artifact(FolderSource.of(folder, "repository"), Context(keys=trust, as_of=AS_OF))
    assert facts["all_valid"] is (set(outcomes(artifact)) == {Outcome.VALID})
    assert [signature.algorithm for signature in artifact.signatures] == ["rsa-pss"] + ["ed25519"] * 5
    assert artifact.signatures[0].key.bits == 3072
    named = [image for image in artifact.images if "role1" not in image.note]
    assert len(named) == facts["targets"]
    assert {"delegated roles": "2: role1, role2"}.items() <= {k.split(" ", 1)[-1]: v for k, v in artifact.facts}.items()
    assert not artifact.coverage.uncovered
    late = Context(keys=trust, as_of="2030-01-01T00:00:00Z")
    assert "expired-metadata" in codes(open_artifact(FolderSource.of(folder, "repository"), late))


def moved(files: Files, **places: str) -> Files:
    """Return the files with other names for their first folders."""

    def place(path: str) -> str:
        first, _, rest = path.partition("/")
        new = places.get(first, first)
        return f"{new}/{rest}" if new else rest

    return {place(path): data for path, data in files.items()}


@pytest.mark.parametrize(
    "places",
    [
        {"metadata": ""},
        {"metadata": "", "targets": ""},
        {"metadata": "repository/metadata", "targets": "repository/targets"},
        {"metadata": "repository", "targets": "repository/targets"},
        {"metadata": "metadata/current", "targets": "metadata/targets"},
    ],
)
def test_the_same_repository_in_other_folders(tmp_path: Path, places: dict[str, str]) -> None:
    artifact = opened(tmp_path, moved(GOOD, **places))
    assert set(outcomes(artifact)) == {Outcome.VALID}
    assert [image.span is not None for image in artifact.images] == [True, True]
    assert not artifact.coverage.uncovered


def test_an_older_copy_yields_to_the_current_one(tmp_path: Path) -> None:
    older = moved(Repository(versions=1).make(), metadata="metadata/previous")
    artifact = opened(tmp_path, {**older, **moved(GOOD, metadata="metadata/current")})
    assert any("metadata/current/2.root.json" in signature.note for signature in artifact.signatures)


def test_several_repositories_need_a_name(tmp_path: Path) -> None:
    both = {**moved(GOOD, metadata="a/metadata", targets="a/targets"), **moved(GOOD, metadata="b/metadata")}
    with pytest.raises(FormatError, match=r"2 TUF repositories: a/metadata/, b/metadata/; name one"):
        opened(tmp_path, both)
    assert len(opened(tmp_path, both, repository="a/metadata").images) == 2
    with pytest.raises(FormatError, match="no repository at 'c'"):
        opened(tmp_path, both, repository="c")


def test_older_repositories_put_digests_before_metadata_names(tmp_path: Path) -> None:
    files = dict(GOOD)
    name = hashlib.sha256(files["metadata/4.snapshot.json"]).hexdigest()
    files[f"metadata/{name}.snapshot.json"] = files.pop("metadata/4.snapshot.json")
    assert set(outcomes(opened(tmp_path, files))) == {Outcome.VALID}


def test_targets_alone_are_judged_by_declared_keys_only(tmp_path: Path) -> None:
    files = {path: data for path, data in GOOD.items() if "targets" in path}
    unknown = opened(tmp_path, files)
    assert outcomes(unknown) == [Outcome.KEY_UNKNOWN]
    assert codes(unknown) >= {"missing-member"}
    declared = KeyRing.of(keys=read_public_keys(record(signer("targets"))))
    assert outcomes(opened(tmp_path, files, declared)) == [Outcome.VALID]
    wrong = {**files, "metadata/3.targets.json": samples.flip_signature(files["metadata/3.targets.json"])}
    assert outcomes(opened(tmp_path, wrong, declared)) == [Outcome.INVALID]


def test_without_a_root_the_stated_digests_are_compared_still(tmp_path: Path) -> None:
    files = {path: data for path, data in GOOD.items() if "root" not in path}
    artifact = opened(tmp_path, files)
    assert set(outcomes(artifact)) == {Outcome.KEY_UNKNOWN}
    assert [check.matches for check in artifact.digests] == [True, True, True]


def test_a_link_inside_the_folder_is_followed(tmp_path: Path) -> None:
    write(tmp_path / "cache", samples.cache())
    (tmp_path / "cache" / "root.json").unlink()
    (tmp_path / "cache" / "root.json").symlink_to("root_history/2.root.json")
    source = FolderSource.of(tmp_path / "cache", "cache")
    artifact = open_artifact(source, Context(keys=ring(GOOD["metadata/1.root.json"]), as_of=AS_OF))
    assert set(outcomes(artifact)) == {Outcome.VALID}


def test_a_weak_digest_beside_a_strong_one_is_no_weakness(tmp_path: Path) -> None:
    data = samples.GOOD.files["firmware.bin"]
    both = {"md5": hashlib.md5(data, usedforsecurity=False).hexdigest(), "sha256": hashlib.sha256(data).hexdigest()}
    assert "weak-digest" not in codes(opened(tmp_path, _entry(hashes=both)()))
    wrong = opened(tmp_path, _entry(hashes={**both, "md5": "00" * 16})())
    assert "digest-mismatch" in codes(wrong)
    assert wrong.coverage.uncovered


def test_a_digest_that_nobody_computes_leaves_the_target_undecided(tmp_path: Path) -> None:
    files = _entry(hashes={"whirlpool": "00" * 64})()
    files["targets/firmware.bin"] = files.pop(samples.FIRMWARE)
    artifact = opened(tmp_path, files)
    assert sum(span.size for span in artifact.coverage.undecided) == 256


def test_a_role_that_two_roles_delegate_to_is_taken_once(tmp_path: Path) -> None:
    def loop(targets: Any) -> None:
        targets.delegations = Delegations(
            {signer("drivers").public_key.keyid: signer("drivers").public_key},
            {"drivers": DelegatedRole("drivers", [signer("drivers").public_key.keyid], 1, False, ["drivers/*"])},
        )

    artifact = opened(tmp_path, samples.edited(drivers=loop))
    assert ("metadata delegated to more than once", "drivers") in artifact.facts
    assert len(artifact.images) == 2


def test_an_earlier_terminating_delegation_ends_the_search(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def first(terminating: bool, patterns: list[str] | None, prefixes: list[str] | None) -> Callable[[Any], None]:  # noqa: FBT001
        def edit(targets: Any) -> None:
            key = signer("drivers").public_key
            role = DelegatedRole("other", [key.keyid], 1, terminating, patterns, prefixes)
            targets.delegations.roles = {"other": role, **targets.delegations.roles}

        return edit

    for terminating, patterns, prefixes, taken in (
        (True, ["drivers/*"], None, False),
        (False, ["drivers/*"], None, True),
        (True, ["a"], None, True),
        (True, None, [RADIO[:1]], False),
        (False, None, [RADIO[:1]], True),
        (True, None, ["0" if RADIO[0] != "0" else "1"], True),
    ):
        files = samples.edited(targets=first(terminating, patterns, prefixes))
        empty = Targets(version=1, expires=EXPIRES)
        other = Metadata(empty)
        other.sign(signer("drivers"))
        files["metadata/1.other.json"] = other.to_bytes()
        files = _with_other(files)
        assert client_takes(tmp_path, files, monkeypatch) is taken
        assert takes(tmp_path, files) is taken


def _with_other(files: Files) -> Files:
    snapshot = Snapshot(version=4, expires=EXPIRES, meta={
        name: MetaFile(json.loads(files[f"metadata/{path}"])["signed"]["version"])
        for name, path in (
            ("targets.json", "3.targets.json"), ("drivers.json", "1.drivers.json"), ("other.json", "1.other.json")
        )
    })  # fmt: skip
    signed = Metadata(snapshot)
    signed.sign(signer("snapshot"))
    timestamp = Metadata(Timestamp(version=5, expires=EXPIRES, snapshot_meta=MetaFile(4)))
    timestamp.sign(signer("timestamp-2"))
    return {**files, "metadata/4.snapshot.json": signed.to_bytes(), "metadata/timestamp.json": timestamp.to_bytes()}


def test_hash_bins_are_found_as_the_client_finds_them(tmp_path: Path) -> None:
    files = samples.bins()
    right = opened(tmp_path, files)
    assert right.images[0].note.startswith("named by bin-")
    moved_target = dict(files)
    wrong = "bin-1" if "bin-1" not in right.images[0].note else "bin-2"
    value = json.loads(files[f"metadata/1.{wrong}.json"])["signed"]
    home = right.images[0].note.removeprefix("named by ")
    value["targets"] = json.loads(files[f"metadata/1.{home}.json"])["signed"]["targets"]
    moved_target[f"metadata/1.{wrong}.json"] = samples.sign_json(value, "bins")
    moved_target[f"metadata/1.{home}.json"] = samples.sign_json({**value, "targets": {}}, "bins")
    artifact = opened(tmp_path, moved_target)
    assert any("nobody delegated" in weakness.message for weakness in artifact.weaknesses)


# What nobody would write


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, inner in items:
        yield from places(inner, (*path, name))


ODD: tuple[Any, ...] = (None, True, -1, 2**70, "", "x" * 300, "\0\n", [], {}, [[]], {"": {}}, [None], {"a": [1]})


@pytest.mark.parametrize("path", [path for path in GOOD if path.startswith("metadata/")])
def test_any_value_in_any_place_is_an_artifact_or_a_format_error(tmp_path: Path, path: str) -> None:
    value = json.loads(GOOD[path])
    source = opened_source(tmp_path, {**GOOD, path: b""})
    context = Context(keys=ring(GOOD["metadata/1.root.json"]), as_of=AS_OF)
    for number, place in enumerate(places(value)):
        if not place:
            continue
        odd = json.loads(GOOD[path])
        holder = odd
        for name in place[:-1]:
            holder = holder[name]
        holder[place[-1]] = ODD[number % len(ODD)]
        (source / path).write_bytes(json.dumps(odd).encode())
        for trust in (context, Context(keys=KeyRing.empty(), as_of=AS_OF)):
            try:
                artifact = open_artifact(FolderSource.of(source, "repository"), trust)
            except FormatError:
                continue
            valid = {s.note.split(":")[0] for s in artifact.signatures if s.outcome is Outcome.VALID}
            assert place[0] != "signed" or path not in valid


def opened_source(folder: Path, files: Mapping[str, bytes]) -> Path:
    place = folder / f"r{next(_NUMBERS)}"
    write(place, files)
    return place


# One metadata file alone


def alone(data: bytes, trust: KeyRing) -> Artifact:
    return open_artifact(BytesSource("targets.json", data), Context(keys=trust, as_of=AS_OF))


@pytest.mark.parametrize("name", ["1.root", "3.targets", "4.snapshot", "timestamp", "1.drivers"])
def test_a_file_alone_says_what_it_is(name: str) -> None:
    data = GOOD[f"metadata/{name}.json"]
    artifact = alone(data, KeyRing.empty())
    assert artifact.format == "tuf"
    assert set(outcomes(artifact)) == {Outcome.KEY_UNKNOWN}
    assert artifact.version.sequence == json.loads(data)["signed"]["version"]
    assert artifact.hardware is INEXPRESSIBLE
    assert artifact.coverage.payload == (artifact.signatures[0].covers[0],)


def test_a_file_alone_is_valid_by_the_declared_key_that_signed_it() -> None:
    data = GOOD["metadata/3.targets.json"]
    trust = KeyRing.of(keys=read_public_keys(record(signer("targets"))))
    artifact = alone(data, trust)
    assert outcomes(artifact) == [Outcome.VALID]
    assert artifact.images[0].digests[0].actual is None
    assert outcomes(alone(samples.flip_signature(data), trust)) == [Outcome.INVALID]
    assert alone(samples.flip_signature(data), trust).coverage.uncovered
    # A key of a declared root is for roots only: without one, it would stand for all that the root demands.
    rooted = samples.sign_json(json.loads(data)["signed"], "root-a")
    assert outcomes(alone(rooted, ring(GOOD["metadata/1.root.json"]))) == [Outcome.KEY_UNKNOWN]
    assert outcomes(alone(rooted, KeyRing.of(keys=read_public_keys(record(signer("root-a")))))) == [Outcome.VALID]
    stranger = KeyRing.of(keys=read_public_keys(record(signer("stranger"))))
    assert outcomes(alone(data, stranger)) == [Outcome.KEY_UNKNOWN]
    assert outcomes(alone(samples.no_signature(data), trust)) == [Outcome.ABSENT]


def test_a_file_alone_is_judged_by_the_root_beside_it() -> None:
    root, data = GOOD["metadata/1.root.json"], GOOD["metadata/3.targets.json"]

    def judged(data: bytes, beside: bytes, trust: KeyRing) -> list[Outcome]:
        context = Context(keys=trust, as_of=AS_OF, companions={"root": BytesSource("root.json", beside)})
        return outcomes(open_artifact(BytesSource("targets.json", data), context, "tuf"))

    assert judged(data, root, ring(root)) == [Outcome.VALID]
    assert judged(data, root, KeyRing.empty()) == [Outcome.KEY_UNKNOWN]
    assert judged(samples.flip_signature(data), root, ring(root)) == [Outcome.INVALID]
    assert judged(GOOD["metadata/1.drivers.json"], root, ring(root)) == [Outcome.KEY_UNKNOWN]  # a delegated role
    assert judged(data, samples.flip_signature(root), ring(root)) == [Outcome.INVALID]
    assert judged(GOOD["metadata/timestamp.json"], root, ring(root)) == [Outcome.INVALID]  # its key is root 2's
    assert judged(GOOD["metadata/timestamp.json"], GOOD["metadata/2.root.json"], ring(root)) == [Outcome.VALID]
    with pytest.raises(FormatError, match="not a root"):
        judged(data, data, ring(root))
    with pytest.raises(LimitError):
        judged(data, b" " * (metadata.MAX_METADATA + 1), ring(root))


def test_a_root_alone_is_valid_by_its_declared_keys_and_invalid_below_its_threshold() -> None:
    trust = ring(GOOD["metadata/1.root.json"])
    assert set(outcomes(alone(GOOD["metadata/1.root.json"], trust))) == {Outcome.VALID}
    short = samples.FAULTS["root-below-its-threshold"]()["metadata/1.root.json"]
    assert outcomes(alone(short, trust)) == [Outcome.INVALID]


# What is no TUF metadata, and what is hostile


FIELDS: dict[str, Callable[[dict[str, Any]], object]] = {
    "_type": lambda value: value["signed"].update(_type="mirrors"),
    "version": lambda value: value["signed"].update(version=0),
    "expires": lambda value: value["signed"].update(expires="2030-02-30T00:00:00Z"),
    "expires of a bad form": lambda value: value["signed"].update(expires="tomorrow"),
    "expires before the calendar": lambda value: value["signed"].update(expires="0001-01-01T00:00:00+10:00"),
    "signatures": lambda value: value.update(signatures={}),
    "signatures sig": lambda value: value.update(signatures=[{"keyid": "a", "sig": 1}]),
    "no sig": lambda value: value.update(signatures=[{"keyid": "a"}]),
    "no signed": lambda value: value.pop("signed"),
    "targets": lambda value: value["signed"].update(targets=[]),
    "hashes": lambda value: value["signed"]["targets"]["firmware.bin"].update(hashes={"sha256": "xyz"}),
    "two hashes": lambda value: value["signed"]["targets"]["firmware.bin"].update(
        hashes={"sha256": "00", "SHA256": "11"}
    ),
    "length": lambda value: value["signed"]["targets"]["firmware.bin"].update(length="9"),
    "keyids": lambda value: value["signed"]["delegations"]["roles"][0].update(keyids="a"),
    "terminating": lambda value: value["signed"]["delegations"]["roles"][0].update(terminating="yes"),
    "no paths": lambda value: value["signed"]["delegations"]["roles"][0].pop("paths"),
    "bit_length": lambda value: value["signed"]["delegations"].update(
        succinct_roles={"keyids": [], "threshold": 1, "bit_length": 33, "name_prefix": "b"}
    ),
    "long path": lambda value: value["signed"]["targets"].update({"a" * 5000: {"length": 1, "hashes": {}}}),
    "long pattern": lambda value: value["signed"]["delegations"]["roles"][0].update(paths=["a" * 5000]),
}


@pytest.mark.parametrize("name", FIELDS)
def test_a_field_that_breaks_its_rules_is_named(name: str) -> None:
    value = json.loads(GOOD["metadata/3.targets.json"])
    FIELDS[name](value)
    with pytest.raises(FormatError) as caught:
        metadata.read_metadata(json.dumps(value).encode(), "targets.json", 100)
    assert "targets.json" in str(caught.value)
    assert caught.value.offset >= 100


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b'{"signatures": [], "signed": ' + b"[" * 100_000, LimitError),
        (b'{"signatures": [' + b"{}," * 2_000 + b'{}], "signed": {"_type": "targets"}}', LimitError),
        (b'{"signatures": [], "signed": {"_type": "targets", "version": 1.5}}', FormatError),
        (b'{"signatures": [], "signed": {"_type": "targets", "version": NaN}}', FormatError),
        (b'{"signatures": [], "signed": {"_type": "targets", "version": 1' + b"0" * 5000 + b"}}", FormatError),
        (b'{"signatures": [], "signed": {"_type": "targets", "a": "\\ud800"}}', FormatError),
        (b'{"signatures": [], "signed": {"_type": "targets", "a": 1, "a": 2}}', FormatError),
        (b'{"signatures": [], "signed": {"_type": "targets", "a": "\xff"}}', FormatError),
        (b'{"signatures": [], "signed": {"_type": "targets"}} trailing', FormatError),
        (b'{"signatures": [], "signed": {"_type": "targets"}' + b" " * metadata.MAX_METADATA + b"}", LimitError),
    ],
    ids=range(10),
)
def test_hostile_json_is_refused_in_no_time(data: bytes, error: type[Exception]) -> None:
    began = time.process_time()
    with pytest.raises(error):
        open_artifact(BytesSource("x", data), Context(keys=KeyRing.empty(), as_of=AS_OF), "tuf")
    assert time.process_time() - began < 5


def test_strict_json_says_where_and_finds_members() -> None:
    text = ' { "é" : [1, {"a": "}"}] , "b":"x" } '.encode()
    assert parse(text, "x") == {"é": [1, {"a": "}"}], "b": "x"}
    assert {name: text[place.start : place.end] for name, place in spans(text, "x").items()} == {
        "é": b'[1, {"a": "}"}]', "b": b'"x"'
    }  # fmt: skip
    assert spans(b"{}", "x") == {}
    with pytest.raises(FormatError, match="not a JSON object"):
        spans(b"[1]", "x")
    with pytest.raises(FormatError, match="offset 0x5"):  # in bytes, not in characters
        parse('{"é"1}'.encode(), "x")


@pytest.mark.parametrize(
    ("module", "limit", "value"),
    [
        (metadata, "MAX_KEYS", 1),
        (metadata, "MAX_PATTERNS", 0),
        (metadata, "MAX_MEMBERS", 0),
        (delegations, "MAX_MEMBERS", 1),
        (delegations, "MAX_LEVELS", 0),
        (delegations, "MAX_ROLES", 1),
        (delegations, "MAX_COMPARISONS", 0),
        (delegations, "MAX_WILDCARDS", 0),
    ],
)
def test_every_limit_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: Any, limit: str, value: int
) -> None:
    monkeypatch.setattr(module, limit, value)
    with pytest.raises(LimitError):
        opened(tmp_path, GOOD)


@pytest.mark.parametrize("limit", ["MAX_ROOTS", "MAX_TOTAL", "MAX_METADATA"])
def test_every_limit_of_a_folder_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str) -> None:
    from checker.formats import _tuf_folder

    monkeypatch.setattr(_tuf_folder, limit, 1)
    with pytest.raises(LimitError):
        opened(tmp_path, GOOD)


def test_many_targets_take_bounded_time_and_memory(tmp_path: Path) -> None:
    entry = {"hashes": {"sha256": "0" * 64}, "length": 0}
    files = _signed_with(lambda signed: signed["targets"].update({f"t{i}": entry for i in range(20_000)}))()
    write(tmp_path / "big", files)
    source = FolderSource.of(tmp_path / "big", "big")
    context = Context(keys=ring(GOOD["metadata/1.root.json"]), as_of=AS_OF)
    began = time.process_time()
    artifact = open_artifact(source, context)
    assert time.process_time() - began < 10
    assert len(artifact.images) == 20_002
    assert len(artifact.weaknesses) == 1
    assert len(artifact.weaknesses[0].message) < 1000


def test_memory_does_not_grow_with_the_target(tmp_path: Path) -> None:
    data = bytes(range(256)) * 4096 * 16
    files = Repository(files={"firmware.bin": data}, drivers={}).make()
    write(tmp_path / "large", files)
    source = FolderSource.of(tmp_path / "large", "large")
    tracemalloc.start()
    open_artifact(source, Context(keys=ring(files["metadata/1.root.json"]), as_of=AS_OF))
    assert tracemalloc.get_traced_memory()[1] < len(data) // 2
    tracemalloc.stop()


@pytest.mark.parametrize("path", [path for path in GOOD if path.startswith("metadata/")])
def test_a_metadata_file_cut_short_or_with_a_bit_flipped_is_never_taken(tmp_path: Path, path: str) -> None:
    data = GOOD[path]
    begin = json.loads(data) and data.index(b'"signed"')
    for place in range(begin, len(data), max(1, len(data) // 12)):
        assert not takes(tmp_path, {**GOOD, path: data[:place]}), place
        flipped = data[:place] + bytes([data[place] ^ (1 << place % 8)]) + data[place + 1 :]
        assert not takes(tmp_path, {**GOOD, path: flipped}), place


@pytest.mark.parametrize("name", ["..", "a/../../b", "/etc/passwd", "C:\\..\\x", "\0", ""])
def test_a_target_path_leads_nowhere_else(tmp_path: Path, name: str) -> None:
    (tmp_path / "passwd").write_bytes(b"secret")
    entry = {"hashes": {"sha256": hashlib.sha256(b"secret").hexdigest()}, "length": 6}
    artifact = opened(tmp_path, _signed_with(lambda signed: signed["targets"].update({name: entry}))())
    image = next(image for image in artifact.images if image.id == name)
    assert image.span is None
    assert ("malformed" in codes(artifact)) is (name != "/etc/passwd")


def test_detection_asks_the_content(tmp_path: Path) -> None:
    context = Context(keys=KeyRing.empty(), as_of=AS_OF)
    for data in (
        b"",
        b"{}",
        b'{"_type": "root"}',
        b'{"signatures": []}',
        b'{"_type": "x", "signatures": []}',
        b"\xff" * 99,
    ):
        assert not known("tuf").detect(BytesSource("root.json", data), context)
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "root.json").write_bytes(b"{}")
    assert not known("tuf").detect(FolderSource.of(tmp_path / "x", "x"), context)
    assert detect(BytesSource("x", GOOD["metadata/timestamp.json"]), context).id == "tuf"


def known(name: str) -> Any:
    from checker.discovery import find
    from checker.formats.contract import Format

    return find("checker.formats", name, "FORMAT", Format)
