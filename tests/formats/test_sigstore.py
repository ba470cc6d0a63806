"""sigstore: a real bundle of the staging instance, and a small sigstore of the samples with one fault at a time."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from checker.crypto.key_files import read_public_keys
from checker.crypto.keyring import KeyRing, read_certificates
from checker.errors import UnknownFormatError
from checker.formats._open import open_artifact
from checker.formats._signatures import _bundle as files
from checker.formats.contract import Context
from checker.io.sources import BytesSource
from checker.model.artifact import Artifact
from checker.model.terms import Outcome
from samples.build import _pki
from samples.build.formats import _sigstore as made
from samples.build.formats._sigstore import Wish
from tests.formats.conftest import run

CONTENT = b"firmware 2.4.1\n" * 40
AS_OF = "2026-11-01T00:00:00Z"
PINS = {"identity": made.IDENTITY, "issuer": made.PROVIDER}
# sigstore's staging instance, from its TUF repository (trusted_root.json): log key, intermediate, root.
STAGING_LOG = (
    "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEDODRU688UYGuy54mNUlaEBiQdTE9nYLr0lg6RXowI/QV/RE1azBn4Eg5/2uTOMbhB1/gfcHzijzFi9Tk"
    "+g1Prg=="
)
STAGING_INTERMEDIATE = (
    "MIICGTCCAaCgAwIBAgITJta/okfgHvjabGm1BOzuhrwA1TAKBggqhkjOPQQDAzAqMRUwEwYDVQQKEwxzaWdzdG9yZS5kZXYxETAPBgNVBAMTCHNpZ3N0"
    "b3JlMB4XDTIyMDQxNDIxMzg0MFoXDTMyMDMyMjE2NTA0NVowNzEVMBMGA1UEChMMc2lnc3RvcmUuZGV2MR4wHAYDVQQDExVzaWdzdG9yZS1pbnRlcm1l"
    "ZGlhdGUwdjAQBgcqhkjOPQIBBgUrgQQAIgNiAASosAySWJQ/tK5r8T5aHqavk0oI+BKQbnLLdmOMRXHQF/4Hx9KtNfpcdjH9hNKQSBxSlLFFN3tvFCco"
    "0qFBzWYwZtsYsBe1l91qYn/9VHFTaEVwYQWIJEEvrs0fvPuAqjajezB5MA4GA1UdDwEB/wQEAwIBBjATBgNVHSUEDDAKBggrBgEFBQcDAzASBgNVHRMB"
    "Af8ECDAGAQH/AgEAMB0GA1UdDgQWBBRxhjCmFHxib/n31vQFGn9f/+tvrDAfBgNVHSMEGDAWgBT/QjK6aH2rOnCv3AzUGuI+h49mZTAKBggqhkjOPQQD"
    "AwNnADBkAjAM1lbKkcqQlE/UspMTbWNo1y2TaJ44tx3l/FJFceTSdDZ+0W1OHHeU4twie/lq8XgCMHQxgEv26xNNiAGyPXbkYgrDPvbOqp0UeWX4mJnL"
    "SrBr3aN/KX1SBrKQu220FmVL0Q=="
)


def staging_root() -> bytes:
    return json.dumps({
        "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
        "tlogs": [{"publicKey": {"rawBytes": STAGING_LOG}}],
        "certificateAuthorities": [{"certChain": {"certificates": [{"rawBytes": STAGING_INTERMEDIATE}]}}],
    }).encode()  # fmt: skip


def ring(*, log: bool = True, anchor: bool = True, more: tuple[bytes, ...] = ()) -> KeyRing:
    return KeyRing.of(
        keys=[key for data in ((made.spki(made.LOG),) if log else ()) + more for key in read_public_keys(data, "key")],
        anchors=read_certificates(_pki.pem(made.authority()), "authority") if anchor else (),
    )


def opened(
    signature: bytes,
    keys: KeyRing,
    content: bytes = CONTENT,
    options: dict[str, str] | None = None,
    **beside: bytes,
) -> Artifact:
    companions = {name: BytesSource(name, data) for name, data in {"signature": signature, **beside}.items()}
    chosen = PINS if options is None else options
    context = Context(keys=keys, as_of=AS_OF, companions=companions, options=chosen)
    return open_artifact(BytesSource("fw.bin", content), context)


def outcome(signature: bytes, keys: KeyRing | None = None, **more: Any) -> Outcome:
    (found,) = opened(signature, ring() if keys is None else keys, **more).signatures
    return found.outcome


def test_a_bundle_of_the_staging_instance(corpus: Path) -> None:
    folder = corpus / "sigstore"
    content, data = (folder / "bundle_v3.txt").read_bytes(), (folder / "bundle_v3.txt.sigstore").read_bytes()
    keys = read_public_keys(staging_root(), "root.json")
    anchors = read_certificates(staging_root(), "root.json")
    image = opened(data, KeyRing.of(keys=keys, anchors=anchors), content, options={})
    (signature,) = image.signatures
    assert (signature.outcome, signature.note, signature.signing_time) == (Outcome.VALID, "", "2024-04-02T19:19:09Z")
    assert ("identity", "william@yossarian.net") in image.facts
    assert ("identity provider", "https://github.com/login/oauth") in image.facts
    assert {item.code for item in image.weaknesses} == {"unpinned-identity"}
    assert (
        opened(data, KeyRing.of(anchors=anchors), content).signatures[0].outcome is Outcome.INVALID
    )  # another identity
    assert opened(data, KeyRing.of(anchors=anchors), content, options={}).signatures[0].outcome is Outcome.VALID
    assert opened(data, KeyRing.of(keys=keys), content, options={}).signatures[0].outcome is Outcome.KEY_UNKNOWN
    assert opened(data, KeyRing.of(keys=keys, anchors=anchors), content + b"!").signatures[0].outcome is Outcome.INVALID


def test_every_flipped_character_of_the_staging_bundle_is_answered(corpus: Path) -> None:
    folder = corpus / "sigstore"
    content, data = (folder / "bundle_v3.txt").read_bytes(), (folder / "bundle_v3.txt.sigstore").read_bytes()
    keys = KeyRing.of(keys=read_public_keys(staging_root(), "root"), anchors=read_certificates(staging_root(), "root"))
    valid = 0
    for place in range(0, len(data), 41):
        mutant = data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]
        valid += opened(mutant, keys, content, options={}).signatures[0].outcome is Outcome.VALID
    assert valid < 8  # white space, and fields that only describe


# The near misses of whole bundles lie in samples/formats/detached.


def test_what_the_log_promises_counts_only_with_its_key() -> None:
    data = made.bundle(CONTENT, Wish())
    assert outcome(data) is Outcome.VALID
    (signature,) = opened(data, ring(log=False)).signatures
    assert signature.outcome is Outcome.VALID
    assert "nothing that is declared proves the time" in signature.note
    (signature,) = opened(data, ring(log=False, more=(made.spki(made.AUTHORITY),))).signatures
    assert signature.outcome is Outcome.KEY_UNKNOWN
    assert outcome(data, ring(anchor=False)) is Outcome.KEY_UNKNOWN
    declared = ring(anchor=False, more=(made.spki(made.SIGNER),))
    assert outcome(data, declared) is Outcome.VALID


def changed(change: Callable[[dict[str, Any]], object], wish: Wish | None = None) -> bytes:
    value = json.loads(made.bundle(CONTENT, wish or Wish()))
    change(value)
    return json.dumps(value).encode()


def material(value: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = value["verificationMaterial"]
    return found


def entry(value: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = material(value)["tlogEntries"][0]
    return found


def body(change: Callable[[dict[str, Any]], object]) -> Callable[[dict[str, Any]], None]:
    def apply(value: dict[str, Any]) -> None:
        inner = json.loads(base64.b64decode(entry(value)["canonicalizedBody"]))
        change(inner)
        entry(value)["canonicalizedBody"] = made.b64(json.dumps(inner).encode())

    return apply


def older(value: dict[str, Any]) -> None:
    value["mediaType"] = "application/vnd.dev.sigstore.bundle+json;version=0.1"
    certificate = material(value).pop("certificate")
    material(value)["x509CertificateChain"] = {"certificates": [certificate]}


def test_bundles_of_the_first_version_need_no_proof() -> None:
    assert outcome(changed(older)) is Outcome.VALID

    def without_checkpoint(value: dict[str, Any]) -> None:
        older(value)
        entry(value)["inclusionProof"].pop("checkpoint")

    (signature,) = opened(changed(without_checkpoint), ring()).signatures
    assert (signature.outcome, signature.note) == (Outcome.VALID, "the inclusion proof's root is not signed")
    (signature,) = opened(changed(older, Wish(proof=False)), ring()).signatures
    assert (signature.outcome, signature.note) == (Outcome.VALID, "there is no inclusion proof")


STAMPS = {"rfc3161Timestamps": [{"signedTimestamp": "AAAA"}]}


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda v: v.pop("messageSignature"), "neither one"),
        (lambda v: v.pop("verificationMaterial"), "verificationMaterial"),
        (lambda v: v.update(mediaType=7), "mediaType"),
        (lambda v: v.update(mediaType="\ud800"), "mediaType"),
        (lambda v: v.update(mediaType="application/vnd.dev.sigstore.bundle+json;version=0.4"), "are not read"),
        (lambda v: material(v).update(certificate={"rawBytes": "AAAA"}), "certificate"),
        (lambda v: material(v).update(tlogEntries=[{}] * 17), "tlogEntries"),
        (lambda v: material(v).update(tlogEntries=[{}]), "logId"),
        (lambda v: entry(v).update(logIndex="x"), "logIndex"),
        (lambda v: entry(v).update(canonicalizedBody="!"), "canonicalizedBody"),
        (lambda v: v["messageSignature"].update(signature=7), "signature"),
        (lambda v: v["messageSignature"].update(signature="AAAA"), "empty or all zero"),
        (lambda v: entry(v)["inclusionProof"].pop("checkpoint"), "checkpoint"),
        (lambda v: entry(v)["inclusionProof"].update(hashes=7), "hashes"),
        (lambda v: entry(v)["inclusionProof"].update(rootHash=made.b64(bytes(32))), "stated root"),
        (lambda v: entry(v)["inclusionProof"].update(treeSize="5"), "inclusion proof|hashes"),
        (lambda v: entry(v)["inclusionProof"]["checkpoint"].update(envelope="x"), "signed note"),
        (body(lambda b: b.update(kind="tuf")), "kind 'tuf'"),
        (body(lambda b: b["spec"].pop("data")), "lacks a field"),
        (body(lambda b: b["spec"]["data"]["hash"].update(value="zz")), "hexadecimal"),
        (lambda v: entry(v).update(canonicalizedBody=made.b64(b"[]")), "kind"),
        (lambda v: material(v).update(timestampVerificationData=STAMPS),
         "time stamp"),
        (lambda v: material(v).update(timestampVerificationData={k: v * 2 for k, v in STAMPS.items()}),
         "occurs twice"),
    ],
)  # fmt: skip
def test_damaged_bundles_are_invalid_and_say_why(change: Any, text: str) -> None:
    (signature,) = opened(changed(change), ring()).signatures
    assert signature.outcome is Outcome.INVALID
    assert re.search(text, signature.note), signature.note


def test_a_checkpoint_of_another_tree_or_another_signer_is_refused() -> None:
    def swap(value: dict[str, Any]) -> None:
        proof = entry(value)["inclusionProof"]
        proof["checkpoint"]["envelope"] = proof["checkpoint"]["envelope"].replace("\n6\n", "\n7\n")

    (signature,) = opened(changed(swap), ring()).signatures
    assert "another tree" in signature.note

    def rename(value: dict[str, Any]) -> None:
        proof = entry(value)["inclusionProof"]
        head, _, line = proof["checkpoint"]["envelope"].rpartition("\n\n")
        name, raw = line.split(" ")[1:]
        other = made.b64(b"abcd" + base64.b64decode(raw)[4:])
        proof["checkpoint"]["envelope"] = f"{head}\n\n— {name} {other}\n"

    (signature,) = opened(changed(rename), ring()).signatures
    assert "carries no signature of the log's key" in signature.note


def test_an_entry_that_names_another_key_is_refused() -> None:
    other = made.spki(made.LOG)
    pem = b"-----BEGIN PUBLIC KEY-----\n" + base64.encodebytes(other) + b"-----END PUBLIC KEY-----\n"
    change = body(lambda b: b["spec"]["signature"]["publicKey"].update(content=made.b64(pem)))
    (signature,) = opened(changed(change), ring()).signatures
    assert "names another key" in signature.note


# in-toto statements


def statement(subject: Any, kind: str = "application/vnd.in-toto+json") -> bytes:
    payload = json.dumps({"subject": subject}).encode() if kind.endswith("+json") else CONTENT
    signature = made.sign(made.SIGNER, b"DSSEv1 %d %b %d %b" % (len(kind), kind.encode(), len(payload), payload))
    value = json.loads(made.bundle(CONTENT, Wish(envelope=True)))
    value["dsseEnvelope"] = {
        "payload": made.b64(payload),
        "payloadType": kind,
        "signatures": [{"sig": made.b64(signature)}],
    }
    material(value)["tlogEntries"] = []
    return json.dumps(value).encode()


DIGEST = hashlib.sha256(CONTENT).hexdigest()


@pytest.mark.parametrize(
    ("subject", "covered"),
    [
        ([{"digest": {"sha256": DIGEST}}], True),
        ([{"digest": {"sha256": "00"}}, {"digest": {"sha512": hashlib.sha512(CONTENT).hexdigest()}}], True),
        ([{"digest": {"sha256": DIGEST, "sha512": "00"}}], False),
        ([{"digest": {"gitCommit": "00"}}], False),
        ([{}], False),
        ([], False),
        (7, False),
        ([{}] * 2000, False),
    ],
)
def test_a_statement_has_to_name_the_file(subject: Any, covered: Any) -> None:
    declared = ring(anchor=False, more=(made.spki(made.SIGNER),))
    assert (outcome(statement(subject), declared) is Outcome.VALID) is covered


def test_an_envelope_of_another_type_has_to_hold_the_file() -> None:
    declared = ring(anchor=False, more=(made.spki(made.SIGNER),))
    data = statement([], "application/octet-stream")
    assert outcome(data, declared) is Outcome.VALID
    assert outcome(data, declared, content=CONTENT + b"!") is Outcome.INVALID


def test_intoto_entries_of_the_log_are_compared_too() -> None:
    value = json.loads(made.bundle(CONTENT, Wish(envelope=True)))
    payload = base64.b64decode(value["dsseEnvelope"]["payload"])
    signature = value["dsseEnvelope"]["signatures"][0]["sig"]
    holder = json.loads(base64.b64decode(entry(value)["canonicalizedBody"]))["spec"]["signatures"][0]["verifier"]
    spec = {"content": {
        "envelope": {"signatures": [{"sig": made.b64(signature.encode()), "publicKey": holder}]},
        "payloadHash": {"algorithm": "sha256", "value": hashlib.sha256(payload).hexdigest()},
    }}  # fmt: skip
    inner = json.dumps({"kind": "intoto", "spec": spec}).encode()
    older(value)
    material(value)["tlogEntries"] = [made._entry(inner, Wish())]
    assert outcome(json.dumps(value).encode()) is Outcome.VALID


def test_entries_of_the_second_version_of_the_log() -> None:
    value = json.loads(made.bundle(CONTENT, Wish()))
    certificate = material(value)["certificate"]
    signature = value["messageSignature"]["signature"]
    spec = {"hashedRekordV002": {
        "data": {"algorithm": "SHA2_256", "digest": made.b64(bytes.fromhex(DIGEST))},
        "signature": {"content": signature, "verifier": {"x509Certificate": certificate}},
    }}  # fmt: skip
    material(value)["tlogEntries"] = [made._entry(json.dumps({"kind": "hashedrekord", "spec": spec}).encode(), Wish())]
    assert outcome(json.dumps(value).encode()) is Outcome.VALID


# cosign


def cosign(*, cert: bool = True) -> dict[str, Any]:
    value = json.loads(made.bundle(CONTENT, Wish()))
    one = entry(value)
    pem = json.loads(base64.b64decode(one["canonicalizedBody"]))["spec"]["signature"]["publicKey"]["content"]
    payload = {
        "body": one["canonicalizedBody"],
        "integratedTime": int(one["integratedTime"]),
        "logIndex": int(one["logIndex"]),
        "logID": base64.b64decode(one["logId"]["keyId"]).hex(),
    }
    rekor = {"SignedEntryTimestamp": one["inclusionPromise"]["signedEntryTimestamp"], "Payload": payload}
    found = {"base64Signature": value["messageSignature"]["signature"], "rekorBundle": rekor}
    return found | ({"cert": pem} if cert else {})


def test_the_older_bundle_of_cosign() -> None:
    assert outcome(json.dumps(cosign()).encode()) is Outcome.VALID
    declared = ring(anchor=False, more=(made.spki(made.SIGNER),))
    value = cosign(cert=False)
    assert outcome(json.dumps(value).encode(), declared) is Outcome.VALID
    value["rekorBundle"]["Payload"]["logID"] = "zz"
    assert outcome(json.dumps(value).encode(), declared) is Outcome.INVALID


def test_separate_files_of_cosign() -> None:
    value = cosign()
    signature, certificate = value["base64Signature"].encode(), value["cert"].encode()
    rekor = json.dumps(value["rekorBundle"]).encode()
    assert outcome(signature, certificate=certificate, rekor=rekor) is Outcome.VALID
    assert outcome(signature, certificate=base64.b64decode(certificate), rekor=rekor) is Outcome.VALID
    # Without the log nothing says when it was signed, and the certificate has ended since.
    image = opened(signature, ring(), certificate=certificate)
    assert image.signatures[0].outcome is Outcome.INVALID
    assert {item.code for item in image.weaknesses} == {"signer-expired"}
    assert outcome(signature, certificate=b"!!", rekor=rekor) is Outcome.INVALID


def test_a_lone_bundle_is_named_as_such() -> None:
    with pytest.raises(UnknownFormatError, match="is a sigstore bundle: open the signed file"):
        open_artifact(BytesSource("x", made.bundle(CONTENT, Wish())), Context(keys=ring(), as_of=AS_OF))


def test_certificates_in_every_form() -> None:
    der = read_certificates(_pki.pem(made.authority()), "x")[0].der
    assert files.pem(der) == files.pem(_pki.pem(made.authority())) == (der,)
    assert files.pem(b"") == ()


# time stamps


@pytest.fixture(scope="module")
def stamped(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, bytes, bytes]:
    """Return a bundle with a time stamp instead of a promise, the authority, and a stamp over something else."""
    if shutil.which("openssl") is None or shutil.which("faketime") is None:
        pytest.skip("openssl or faketime is not installed")
    folder = tmp_path_factory.mktemp("stamps")
    value = json.loads(made.bundle(CONTENT, Wish(promise=False)))
    (folder / "sig").write_bytes(base64.b64decode(value["messageSignature"]["signature"]))
    (folder / "other").write_bytes(b"other")
    (folder / "cnf").write_text(
        "[tsa]\ndefault_tsa=t\n[t]\nserial=./serial\nsigner_digest=sha256\n"
        "default_policy=1.2.3\ndigests=sha256\ness_cert_id_alg=sha256\n"
    )
    (folder / "serial").write_text("01\n")
    at = ("env", "TZ=UTC", "faketime", "-f")
    request = (
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-keyout",
        "k",
        "-out",
        "c",
        "-subj",
        "/CN=tsa",
    )
    usage = ("-days", "700", "-addext", "extendedKeyUsage=critical,timeStamping")
    run(*at, "2026-01-01 00:00:00", *request, *usage, cwd=folder)
    reply = ("openssl", "ts", "-reply", "-config", "cnf", "-queryfile", "q", "-signer", "c", "-inkey", "k")
    for name in ("sig", "other"):
        run("openssl", "ts", "-query", "-data", name, "-sha256", "-cert", "-out", "q", cwd=folder)
        run(*at, made.MOMENT.strftime("%Y-%m-%d %H:%M:%S"), *reply, "-out", f"{name}.tsr", cwd=folder)
    return (
        json.dumps(value).encode(),
        (folder / "c").read_bytes(),
        (folder / "other.tsr").read_bytes() + b"|" + (folder / "sig.tsr").read_bytes(),
    )


def test_a_time_stamp_proves_the_time(stamped: tuple[bytes, bytes, bytes]) -> None:
    data, authority, stamps = stamped
    other, _, stamp = stamps.partition(b"|0\x82")
    stamp = b"0\x82" + stamp
    value = json.loads(data)
    material(value)["timestampVerificationData"] = {"rfc3161Timestamps": [{"signedTimestamp": made.b64(stamp)}]}
    whole = json.dumps(value).encode()
    anchors = (*read_certificates(authority, "tsa"), *read_certificates(_pki.pem(made.authority()), "authority"))
    keys = KeyRing.of(keys=read_public_keys(made.spki(made.LOG), "log"), anchors=anchors)
    assert outcome(whole, keys) is Outcome.VALID
    (signature,) = opened(whole, ring()).signatures
    assert (signature.outcome, "authority is not declared" in signature.note) == (Outcome.KEY_UNKNOWN, True)
    material(value)["timestampVerificationData"] = {"rfc3161Timestamps": [{"signedTimestamp": made.b64(other)}]}
    (signature,) = opened(json.dumps(value).encode(), keys).signatures
    assert (signature.outcome, "about another signature" in signature.note) == (Outcome.INVALID, True)
    assert outcome(data, keys) is Outcome.INVALID
