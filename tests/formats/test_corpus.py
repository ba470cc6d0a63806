"""Every entry and every field of the corpus's expected.yaml, interpreted and compared; nothing in it is passed over.

The files are from public projects and were made by nobody here. A field without a handler fails, and so does a word
of a described signature that no rule understands.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from checker.crypto.certificates import parse_certificate
from checker.crypto.key_files import read_public_keys
from checker.crypto.keyring import KeyRing, read_certificates, read_crls, read_decryption_key
from checker.crypto.keys import PublicKey
from checker.errors import FormatError
from checker.formats._open import open_artifact
from checker.formats.contract import Context
from checker.io.folders import FolderSource
from checker.io.sources import BytesSource
from checker.model.artifact import Artifact, AuthKind, Encryption, Image, Signature, Source
from checker.model.terms import Outcome

CORPUS: Final = Path(__file__).resolve().parents[2] / ".." / "shared" / "corpus"
AS_OF: Final = "2026-11-01T00:00:00Z"
REMARKS: Final = frozenset({"source", "trust", "note", "keys"})  # of a section: where it is from, what its keys are
FORMATS: Final = {
    "rauc": "rauc",
    "swupdate": "swupdate",
    "mcuboot": "mcuboot",
    "esp-idf": "esp-idf",
    "suit": "suit",
    "tuf": "tuf",
    "uptane": "uptane",
    "android-ota": "android-ota",
    "fwupd-cab": "cab",
    "jcat": "detached",
    "nordic-dfu-zip": "nordic-dfu",
    "sigstore": "detached",
    "azure-adu": "azure-adu",
}
SUIT_SECRET: Final = b"a"  # every byte of the section's symmetric keys, as its remark says

if not CORPUS.is_dir():
    pytest.skip("the folder ../shared/corpus is absent", allow_module_level=True)

TABLE: Final = yaml.safe_load((CORPUS / "expected.yaml").read_text())


@dataclass(frozen=True)
class Keys:
    """File names below the section's folder, by what they are used for."""

    keys: tuple[str, ...] = ()
    trust: tuple[str, ...] = ()
    crls: tuple[str, ...] = ()
    decrypt: tuple[str, ...] = ()


@dataclass(frozen=True)
class Entry:
    """One file of the corpus and what is said of it."""

    section: str
    name: str

    @property
    def fields(self) -> dict[str, Any]:
        return dict(TABLE[self.section][self.name])

    @property
    def folder(self) -> Path:
        return CORPUS / self.section

    def data(self, name: str) -> bytes:
        return (self.folder / name).read_bytes()

    def open(self, keys: Keys | None = None, format_id: str = "auto") -> Artifact:
        return _open(self, self.right if keys is None else keys, format_id)

    @property
    def right(self) -> Keys:
        """Return the keys that the entry names, and those that its section says are its own."""
        return self.with_key(names_of(self.fields.get("valid_with", ()))[:1])

    def with_key(self, names: tuple[str, ...]) -> Keys:
        if self.section == "rauc":
            names = names or ("dev-ca",)
            return Keys(trust=tuple(f"openssl-ca/{name}.pem" for name in names))
        own = {
            "suit": Keys(keys=names or ("key/trust_anchor_secp256r1_pub.pem",)),
            "esp-idf": Keys(keys=names, decrypt=("256bit_key.bin",) if "encryption" in self.fields else ()),
            "tuf": Keys(keys=("repository/metadata/root.json",)),
            "uptane": Keys(keys=(f"{self.name}/root.json",)),
            "fwupd-cab": Keys(trust=("../jcat/pki/LVFS-CA.pem",)),
            "android-ota": Keys(keys=names or ("testkey_v4.x509.pem",)),
        }
        return own.get(self.section, Keys(keys=names))


def names_of(value: str | list[str]) -> tuple[str, ...]:
    """Return names of keys, without the remarks in parentheses behind them."""
    listed = [value] if isinstance(value, str) else value
    return tuple(re.sub(r" \(.*\)$", "", name) for name in listed)


@cache
def _open(entry: Entry, keys: Keys, format_id: str) -> Artifact:
    return open_artifact(_source(entry), _context(entry, keys), format_id)


def _source(entry: Entry) -> Source:
    fields, path = entry.fields, entry.folder / entry.name
    if path.is_dir():
        return FolderSource.of(path, path.name)
    name = fields.get("covers", entry.name)
    return BytesSource(Path(name).name, _envelope(entry) if "note" in fields else entry.data(name))


def _envelope(entry: Entry) -> bytes:
    """Return the last block of hexadecimal lines of a text."""
    blocks: list[str] = []
    before = False
    for line in entry.data(entry.name).decode().splitlines():
        found = re.fullmatch(r"\s*([0-9a-fA-F]+)\s*", line)
        if found and before:
            blocks[-1] += found[1]
        elif found:
            blocks.append(found[1])
        before = bool(found)
    return bytes.fromhex(blocks[-1])


def _context(entry: Entry, keys: Keys) -> Context:
    def each(names: tuple[str, ...], read: Callable[[bytes, str], Any]) -> list[Any]:
        return [item for name in names for item in read(entry.data(name), Path(name).name)]

    ring = KeyRing.of(
        keys=[*each(keys.keys, read_public_keys), *_inside(entry)],
        anchors=each(keys.trust, read_certificates),
        crls=each(keys.crls, read_crls),
        decryption=[
            *(read_decryption_key(entry.data(name), name) for name in keys.decrypt),
            *(
                read_decryption_key((SUIT_SECRET * size).hex().encode(), f"{size}")
                for size in (16, 32)
                if entry.section == "suit"
            ),
        ],
    )
    beside: dict[str, Source] = {}
    if "covers" in entry.fields:
        beside["signature"] = BytesSource(entry.name, entry.data(entry.name))
    if "with" in entry.fields:
        beside["payload"] = BytesSource("payload", entry.data(entry.fields["with"]))
    address = re.search(r"flash address (0x[0-9a-f]+)", str(entry.fields.get("encryption", "")))
    options = {"flash_address": address[1]} if address else {}
    return Context(keys=ring, as_of=AS_OF, companions=beside, options=options)


def _inside(entry: Entry) -> Iterator[PublicKey]:
    """Yield the key that only the file itself brings, where nothing else has it: not its trust is tested."""
    if entry.section == "sigstore":
        material = json.loads(entry.data(entry.name))["verificationMaterial"]
        yield parse_certificate(base64.b64decode(material["certificate"]["rawBytes"]), "bundle").key


def entries() -> list[Entry]:
    found = []
    for section, lines in TABLE.items():
        for name, value in lines.items():
            assert isinstance(value, Mapping) or name in REMARKS, f"{section}: {name} is neither an entry nor a remark"
            if isinstance(value, Mapping):
                found.append(Entry(section, name))
    return found


FIELDS: Final = [(entry, field) for entry in entries() for field in entry.fields]


# What the texts mean


def only(artifact: Artifact) -> Signature:
    (signature,) = artifact.signatures
    return signature


def signs(artifact: Artifact) -> list[Signature]:
    return [signature for signature in artifact.signatures if signature.outcome is not Outcome.ABSENT]


def describe(text: str, signature: Signature, artifact: Artifact) -> str:
    """Compare every word of a described signature; return what no rule understood."""
    key = signature.key
    rules: tuple[tuple[str, Callable[[re.Match[str]], bool]], ...] = (
        (r"\bover sw-description\b", lambda _: signature.covers == (_member_span(artifact, "sw-description"),)),
        (r"\bSecure Boot v2\b", lambda _: signature.where is not None and signature.where.size == 1216),
        (r"\b(\d) block\b", lambda m: len(artifact.signatures) == int(m[1])),
        (r"\bCMS detached\b", lambda _: "CMS" in signature.encoding and "detached" in signature.encoding),
        (r"\bCMS inline\b", lambda _: "CMS" in signature.encoding and "detached" not in signature.encoding),
        (r"\bwhole-file CMS\b", lambda _: "CMS" in signature.encoding),
        (r"\bCOSE_Sign1\b", lambda _: "COSE_Sign1" in signature.encoding),
        (r"\(alg -9\)", lambda _: signature.algorithm == "ecdsa"),
        (r"\bRSA-(\d+)", lambda m: (key.algorithm, key.bits) == ("rsa", int(m[1]))),
        (r"-?PKCS1v1\.5\b", lambda _: signature.algorithm == "rsa-pkcs1v15"),
        (r"-?\bPSS\b", lambda _: signature.algorithm == "rsa-pss"),
        (r"\be=(\d+)\b", lambda m: key.exponent == int(m[1])),
        (r"\bECDSA P-256\b|\bESP?256\b", lambda _: (signature.algorithm, key.algorithm) == ("ecdsa", "ec-p256")),
        (r"\braw Ed25519\b", lambda _: signature.algorithm == "ed25519" and "raw" in signature.encoding),
        (r"\bEd25519\b", lambda _: signature.algorithm == "ed25519"),
        (r"-?SHA-?256\b", lambda _: signature.hash == "sha-256"),
        (
            r"\bbundle v0\.3\b",
            lambda _: "bundle" in signature.encoding and "v0.3" in _bundle(artifact.name)["mediaType"],
        ),
        (r"\b1 transparency log entry\b", lambda _: _log_entries(artifact) == 1),
        (r"\bstaging root\b", lambda _: "sigstore" in _issuer(artifact.name)),
    )
    for pattern, holds in rules:
        found = re.search(pattern, text)
        if found:
            assert holds(found), (found[0], signature)
            text = text.replace(found[0], "", 1)
    return re.sub(r"[\s,]", "", text)


def _bundle(name: str) -> dict[str, Any]:
    return dict(json.loads((CORPUS / "sigstore" / f"{name}.sigstore").read_text()))


def _issuer(name: str) -> str:
    raw = _bundle(name)["verificationMaterial"]["certificate"]["rawBytes"]
    return parse_certificate(base64.b64decode(raw), "bundle").facts.issuer


def _log_entries(artifact: Artifact) -> int:
    return sum(name == "log index" for name, _ in artifact.facts)


def _member_span(artifact: Artifact, name: str) -> Any:
    """Return where a cpio member lies, found by its header's fields."""
    data = (CORPUS / "swupdate" / "integration_output" / artifact.name).read_bytes()
    sizes = [int(data[at : at + 8], 16) for at in range(6, 110, 8)]
    assert data[110 : 110 + sizes[11] - 1].decode() == name
    start = -(-(110 + sizes[11]) // 4) * 4
    return type(artifact.signatures[0].covers[0])(start, start + sizes[6])


def encryptions(artifact: Artifact) -> list[Encryption]:
    return [*artifact.encryption, *(image.encryption for image in artifact.images)]


def installed(artifact: Artifact) -> list[Image]:
    return [image for image in artifact.images if image.role == "image"]


# One handler per field


def signature(entry: Entry, value: str) -> None:
    artifact = entry.open()
    if value == "absent":
        assert signs(artifact) == []
        assert artifact.coverage.uncovered
        return
    assert describe(value, signs(artifact)[0], artifact) == ""


def valid_with(entry: Entry, value: str | list[str]) -> None:
    """Each named key verifies, and no other key of the section does."""
    named = set(names_of(value))
    for name in named:
        assert {item.outcome for item in signs(entry.open(entry.with_key((name,))))} == {Outcome.VALID}, name
    for name in _others(entry, named):
        assert Outcome.VALID not in {item.outcome for item in entry.open(entry.with_key((name,))).signatures}, name
    assert Outcome.VALID not in {item.outcome for item in entry.open(Keys()).signatures}


def _others(entry: Entry, named: set[str]) -> list[str]:
    if entry.section == "rauc":
        return [name for name in ("root-ca", "rel-ca", "dev-ca") if name in entry.fields.get("invalid_with", ())]
    found = {
        path for path in entry.folder.rglob("*") if path.suffix in {".pem", ".ed25519"} and "pki/LVFS" not in str(path)
    }
    same = {(entry.folder / name).read_bytes() for name in named}  # another file of the same key is no other key
    names = {str(path.relative_to(entry.folder)) for path in found if path.read_bytes() not in same} - {entry.name}
    return sorted(names - named)


def invalid_with(entry: Entry, value: list[str]) -> None:
    for name in value:
        assert Outcome.VALID not in {item.outcome for item in entry.open(entry.with_key((name,))).signatures}


def signer(entry: Entry, value: str) -> None:
    name, _, serial = value.partition(" serial ")
    chain = only(entry.open()).chain
    assert chain is not None
    assert name in chain.certificates[0].subject
    assert not serial or int(chain.certificates[0].serial, 16) == int(serial, 16)


def encrypted(entry: Entry, value: bool) -> None:  # noqa: FBT001 - every handler takes entry and value
    assert {item.encrypted for item in encryptions(entry.open())} == {value}


def images(entry: Entry, value: list[str]) -> None:
    assert [image.target for image in installed(entry.open())] == value


def version(entry: Entry, value: str) -> None:
    found = entry.open()
    assert value in {found.version.version, *(image.version.version for image in found.images)}


def verdict(entry: Entry, value: str) -> None:
    revoked = re.fullmatch(r"mathematically valid, signer REVOKED by (\S+)", value)
    if value == "INVALID":
        found = entry.open()
        assert only(found).outcome is Outcome.INVALID
        assert found.coverage.uncovered == found.coverage.payload
    elif revoked:
        assert only(entry.open()).outcome is Outcome.VALID
        told = only(entry.open(replace(entry.right, crls=(revoked[1],))))
        assert (told.outcome, told.chain and told.chain.revoked) == (Outcome.INVALID, True)
    elif value == "must be rejected by the manifest parser":
        with pytest.raises(FormatError, match=r"manifest\.raucm"):
            entry.open()
    else:
        assert value == "no MCUboot header"
        with pytest.raises(FormatError, match="magic"):
            entry.open(format_id="mcuboot")
        with pytest.raises(FormatError, match="no known format"):
            entry.open()


def why(entry: Entry, value: str) -> None:
    assert value.startswith("messageDigest does not match the payload")
    assert "message digest" in only(entry.open()).note


def kind(entry: Entry, value: str) -> None:
    assert value in entry.open().title.split()


def verity_tree(entry: Entry, value: str) -> None:
    (root,) = entry.open().digests
    assert (root.name, root.matches) == ("verity root", value == "matches")


def covers(entry: Entry, value: str) -> None:
    """The signature covers the whole of the named file, and one bit more or less breaks it."""
    found = entry.open()
    whole = entry.data(value)
    assert {(span.start, span.end) for span in signs(found)[0].covers} == {(0, len(whole))}
    context = _context(entry, entry.right)
    for other in (whole[:-1], whole + b"\0", bytes([whole[0] ^ 1]) + whole[1:]):
        near = open_artifact(BytesSource("near", other), context)
        assert Outcome.VALID not in {item.outcome for item in near.signatures}


def hardware(entry: Entry, value: list[Any]) -> None:
    assert entry.open().hardware == tuple(str(item) for item in value)


def members_sha256(entry: Entry, value: str) -> None:
    right, total = (int(number) for number in value.split(" of "))
    found = {image.id.partition("#")[0]: image.digests for image in entry.open().images}
    assert len(found) == total
    assert sum(bool(checks) and all(check.matches for check in checks) for checks in found.values()) == right


def finding(entry: Entry, value: str) -> None:
    assert value.replace(" ", "-") in {weakness.code for weakness in entry.open().weaknesses}


def security_counter(entry: Entry, value: str) -> None:
    assert value == "absent"
    assert entry.open().version.sequence is None
    assert "no-rollback-counter" in {weakness.code for weakness in entry.open().weaknesses}


CIPHERS: Final = {"AES-128-XTS": ("aes", "xts", 128), "A128GCM": ("aes", "gcm", 128)}


def encryption(entry: Entry, value: str) -> None:
    found = entry.open()
    cipher = next(CIPHERS[word] for word in re.split(r"[ ,+]+", value) if word in CIPHERS)
    told = [(item.cipher, item.mode, item.key_bits) for item in encryptions(found) if item.encrypted]
    assert set(told) == {cipher}
    if "A128KW" in value:
        assert {item.algorithm for item in found.recipients} == {"aes-kw"}
        assert {item.unwrapped for item in found.recipients} == {True}
    rest = re.sub(
        r"AES-128-XTS flash encryption|256-bit key file \S+|flash address \S+|A128GCM|A128KW|"
        r"content key wrapped|to a shared key|[ ,+]", "", value,
    )  # fmt: skip
    assert rest == ""


def decrypts_to(entry: Entry, value: str) -> None:
    wanted = entry.data(value)
    found = [item for item in encryptions(entry.open()) if item.encrypted]
    assert {item.decrypted for item in found} == {True}
    plain = [image.source for image in entry.open().images if image.source is not None]
    if entry.section == "esp-idf":  # the image inside is not opened again: its own digest says that it came out right
        clear = open_artifact(BytesSource("clear", wanted), Context(keys=KeyRing.empty(), as_of=AS_OF))
        assert (entry.open().size, entry.open().facts) == (len(wanted), clear.facts)
        return
    assert wanted in {source.read(0, source.size) for source in plain}


def authenticator(entry: Entry, value: str) -> None:
    assert value == "COSE_Mac0 HMAC-256, a shared secret and not a signature; valid"
    (mac,) = entry.open().signatures
    assert (mac.kind, mac.outcome, mac.hash) == (AuthKind.MAC, Outcome.VALID, "sha-256")
    assert mac.algorithm.startswith("hmac")
    assert "COSE_Mac0" in mac.encoding
    assert "mac-not-signature" in {weakness.code for weakness in entry.open().weaknesses}


def severed_member(entry: Entry, value: str) -> None:
    found = [
        check for check in entry.open().digests if check.name != "manifest digest" and "manifest" not in check.name
    ]
    matches = [check.matches for check in found]
    assert (True in matches and False not in matches) if value == "present, digest matches" else True not in matches


def with_(entry: Entry, value: str) -> None:
    assert (entry.folder / value).is_file()
    assert {item.encrypted for item in entry.open().encryption} == {True}


def sequence(entry: Entry, value: int) -> None:
    assert entry.open().version.sequence == value
    assert entry.open().version.authentic is True


def valid(entry: Entry, value: bool) -> None:  # noqa: FBT001
    assert value is True
    assert {item.outcome for item in signs(entry.open())} == {Outcome.VALID}
    if entry.section != "sigstore":
        assert Outcome.VALID not in {item.outcome for item in entry.open(Keys()).signatures}


def note(entry: Entry, value: str) -> None:
    assert value == "last hex block is the signed envelope"
    assert entry.open().format == "suit"


def root(entry: Entry, value: str) -> None:
    number, scheme, threshold, expires_ = value.split(", ")
    path = entry.folder / entry.name / "root.json"
    signed = json.loads(path.read_text())["signed"]
    assert f"v{signed['version']}" == number
    found = [item for item in entry.open().signatures if item.algorithm == "rsa-pss"]
    assert found
    assert describe(scheme, found[0], entry.open()) == ""
    told = json.dumps([entry.open().facts, [str(item) for item in entry.open().signatures]])
    assert threshold.split()[1] in told
    assert expires_.split()[1] in told


def other_roles(entry: Entry, value: str) -> None:
    rest = [item for item in entry.open().signatures if item.algorithm != "rsa-pss"]
    assert {item.algorithm for item in rest} == {value.lower()}


def signatures(entry: Entry, value: str) -> None:
    assert {item.algorithm for item in entry.open().signatures} == {value.lower()}


def all_valid(entry: Entry, value: bool) -> None:  # noqa: FBT001
    assert value is True
    assert {item.outcome for item in entry.open().signatures} == {Outcome.VALID}
    assert Outcome.VALID not in {item.outcome for item in entry.open(Keys()).signatures}


def targets(entry: Entry, value: int) -> None:
    signed = json.loads((entry.folder / entry.name / "targets.json").read_text())["signed"]
    assert len(signed["targets"]) == value
    assert set(signed["targets"]) <= {image.id for image in entry.open().images}


def delegations(entry: Entry, value: list[str]) -> None:
    told = json.dumps([entry.open().facts, [image.id for image in entry.open().images]])
    assert all(name in told for name in value)


def expires(entry: Entry, value: int) -> None:
    assert str(value) in json.dumps(entry.open().facts)


def canonical_form(entry: Entry, value: str) -> None:
    assert value.startswith("compact sorted JSON")
    assert "not OLPC" in value
    notes = [item.note for item in entry.open().signatures]
    assert all("canonical JSON" in note and "OLPC" not in note for note in notes)


def certificate(entry: Entry, value: str) -> None:
    word, day = value.split()
    assert word == "expired"
    found = entry.open(Keys(trust=("testkey_v4.x509.pem",)))
    chain = signs(found)[0].chain
    assert chain is not None
    assert (chain.expired, chain.certificates[0].not_after[:10]) == (True, day)
    assert "signer-expired" in {weakness.code for weakness in found.weaknesses}


def jcat(entry: Entry, value: str) -> None:
    told = re.fullmatch(r"per file sha1 \+ sha256 OK; PKCS#7 (.*) VALID against (\S+)", value)
    assert told is not None
    found = entry.open()
    checks = [check for item in found.walk() for check in (*item.digests, *(c for i in item.images for c in i.digests))]
    assert {check.algorithm for check in checks} >= {"sha-1", "sha-256"}
    assert {check.matches for check in checks} == {True}
    good = [item for item in found.signatures if item.outcome is Outcome.VALID]
    assert good
    assert describe(told[1], good[0], found) == ""


def trap(entry: Entry, value: str) -> None:
    assert value == "the jcat ends with 8 bytes after the gzip stream"
    assert Outcome.VALID in {item.outcome for item in entry.open().signatures}


def init_packet(entry: Entry, value: str) -> None:
    assert value == "unsigned"
    assert signs(entry.open()) == []
    assert "unsigned" in {weakness.code for weakness in entry.open().weaknesses}


def sha256(entry: Entry, value: str) -> None:
    assert value == "matches"
    checks = [check for image in entry.open().images for check in image.digests]
    assert {check.matches for check in (*checks, *entry.open().digests) if check.algorithm == "sha-256"} == {True}


def jws(entry: Entry, value: str) -> None:
    """The JWS names the digest of updateManifest; of another manifest it says nothing any more."""
    assert value == "RS256, payload sha256 matches updateManifest"
    found = entry.open()
    assert {(item.algorithm, item.hash) for item in found.signatures} >= {("rsa-pkcs1v15", "sha-256")}
    assert Outcome.INVALID not in {item.outcome for item in found.signatures}
    envelope = json.loads(entry.data(entry.name))
    payload = envelope["updateManifestSignature"].split(".")[1]
    stated = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))["sha256"]
    assert base64.b64encode(hashlib.sha256(envelope["updateManifest"].encode()).digest()).decode() == stated
    envelope["updateManifest"] = envelope["updateManifest"].replace("Contoso", "Contosi")
    changed = BytesSource("changed.json", json.dumps(envelope).encode())
    near = open_artifact(changed, Context(keys=KeyRing.empty(), as_of=AS_OF))
    assert {item.outcome for item in near.signatures} == {Outcome.INVALID} or near.coverage.uncovered
    assert not found.coverage.uncovered


HANDLERS: Final[Mapping[str, Callable[[Entry, Any], None]]] = {
    "all_valid": all_valid,
    "authenticator": authenticator,
    "canonical_form": canonical_form,
    "certificate": certificate,
    "covers": covers,
    "decrypts_to": decrypts_to,
    "delegations": delegations,
    "encrypted": encrypted,
    "encryption": encryption,
    "expires": expires,
    "finding": finding,
    "hardware": hardware,
    "images": images,
    "init_packet": init_packet,
    "invalid_with": invalid_with,
    "jcat": jcat,
    "jws": jws,
    "kind": kind,
    "members_sha256": members_sha256,
    "note": note,
    "other_roles": other_roles,
    "root": root,
    "security_counter": security_counter,
    "sequence": sequence,
    "severed_member": severed_member,
    "sha256": sha256,
    "signature": signature,
    "signatures": signatures,
    "signer": signer,
    "targets": targets,
    "trap": trap,
    "valid": valid,
    "valid_with": valid_with,
    "verdict": verdict,
    "verity_tree": verity_tree,
    "version": version,
    "why": why,
    "with": with_,
}


@pytest.mark.parametrize(("entry", "field"), FIELDS, ids=lambda item: item.name if isinstance(item, Entry) else item)
def test_a_field_of_the_corpus_is_true(entry: Entry, field: str) -> None:
    assert field in HANDLERS, f"{entry.section}/{entry.name}: no handler for {field!r}"
    HANDLERS[field](entry, entry.fields[field])


@pytest.mark.parametrize("entry", entries(), ids=lambda entry: entry.name)
def test_the_format_is_found_by_content(entry: Entry) -> None:
    rejected = {"must be rejected by the manifest parser", "no MCUboot header"}
    if entry.fields.get("verdict") in rejected:
        return
    if entry.name == "unsigned.zip":  # nothing in it says that it is an update for Android
        assert entry.open().format == "archive"
        return
    wanted = "detached" if "covers" in entry.fields and entry.section == "rauc" else FORMATS[entry.section]
    assert entry.open().format == ("cose" if entry.name.endswith(".cose") else wanted)


def test_no_handler_is_left_over() -> None:
    assert {field for _, field in FIELDS} == set(HANDLERS)
