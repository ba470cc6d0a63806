"""Merkle proofs against trees that are computed another way, signed notes, and time stamps made by openssl."""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
from pathlib import Path

import pytest

from checker.crypto import transparency as logs
from checker.crypto import trusted_root
from checker.crypto.cms import SignedMessage
from checker.crypto.key_files import read_public_keys
from checker.crypto.keyring import KeyRing, read_certificates
from checker.errors import FormatError, KeyMaterialError
from checker.model.terms import Outcome
from tests.formats.conftest import AS_OF, run


def _tree(leaves: list[bytes]) -> bytes:
    if len(leaves) == 1:
        return hashlib.sha256(b"\0" + leaves[0]).digest()
    at = 1
    while at * 2 < len(leaves):
        at *= 2
    return hashlib.sha256(b"\1" + _tree(leaves[:at]) + _tree(leaves[at:])).digest()


def _path(index: int, leaves: list[bytes]) -> list[bytes]:
    if len(leaves) == 1:
        return []
    at = 1
    while at * 2 < len(leaves):
        at *= 2
    if index < at:
        return [*_path(index, leaves[:at]), _tree(leaves[at:])]
    return [*_path(index - at, leaves[at:]), _tree(leaves[:at])]


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 7, 8, 9, 16, 21])
def test_a_proof_leads_to_the_root_and_to_no_other_place(size: int) -> None:
    leaves = [b"leaf %d" % number for number in range(size)]
    root = _tree(leaves)
    for index, leaf in enumerate(leaves):
        path = _path(index, leaves)
        assert logs.root_of(leaf, index, size, path) == root
        assert logs.root_of(leaf + b"!", index, size, path) != root
        if size > 1:
            assert _or_none(leaf, (index + 1) % size, size, path) != root
            assert _or_none(leaf, index, size, path[:-1]) is None
        assert _or_none(leaf, index, size, [*path, root]) is None


def _or_none(leaf: bytes, index: int, size: int, path: list[bytes]) -> bytes | None:
    try:
        return logs.root_of(leaf, index, size, path)
    except FormatError:
        return None


@pytest.mark.parametrize(
    ("index", "size", "path"), [(1, 1, []), (-1, 2, []), (0, 2, [b"short"]), (0, 1, [bytes(32)] * 65)]
)
def test_proofs_that_cannot_be_are_refused(index: int, size: int, path: list[bytes]) -> None:
    with pytest.raises(FormatError):
        logs.root_of(b"x", index, size, path)


ROOT = base64.b64encode(bytes(32)).decode()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "log\n5\n",
        f"log\nfive\n{ROOT}\n\n— log AAAAAAAA\n",
        f"log\n{'9' * 40}\n{ROOT}\n\n— log AAAAAAAA\n",
        f"log\n5\n{ROOT}\n\n",
        f"log\n5\n{ROOT}\n\n- log AAAAAAAA\n",
        f"log\n5\n{ROOT}\n\n— log !!!\n",
        "log\n5\n!\n\n— log AAAAAAAA\n",
        f"log\n5\n{ROOT}\n\n" + "— log AAAAAAAA\n" * 65,
    ],
)
def test_damaged_checkpoints_are_format_errors(text: str) -> None:
    with pytest.raises(FormatError):
        logs.parse_checkpoint(text)


def test_a_checkpoint_is_read_with_its_extensions() -> None:
    head = logs.parse_checkpoint(f"log - 7\n5\n{ROOT}\nTimestamp: 1\n\n— log AAAAAAAA\n")
    assert (head.origin, head.size, head.root, head.signatures) == (
        "log - 7",
        5,
        bytes(32),
        (("log", bytes(4), bytes(2)),),
    )
    assert head.text.endswith(b"Timestamp: 1\n")


@pytest.fixture(scope="module")
def stamps(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Time stamps over the bytes `signature`: by an authority, and by somebody with another purpose."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    folder = tmp_path_factory.mktemp("tsa")
    (folder / "sig").write_bytes(b"signature")
    (folder / "cnf").write_text(
        "[tsa]\ndefault_tsa=t\n[t]\nserial=./serial\ncrypto_device=builtin\nsigner_digest=sha256\ndefault_policy=1.2.3\n"
        "digests=sha256\naccuracy=secs:1\ness_cert_id_alg=sha256\n"
    )
    (folder / "serial").write_text("01\n")
    for name, usage in (("tsa", "critical,timeStamping"),):
        run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", f"{name}.key", "-out", f"{name}.pem",
            "-subj", f"/CN={name}", "-days", "30", "-addext", f"extendedKeyUsage={usage}", "-addext",
            "keyUsage=digitalSignature", cwd=folder)  # fmt: skip
    run("openssl", "ts", "-query", "-data", "sig", "-sha256", "-cert", "-out", "query", cwd=folder)
    run("openssl", "ts", "-reply", "-config", "cnf", "-queryfile", "query", "-signer", "tsa.pem", "-inkey", "tsa.key",
        "-out", "reply", cwd=folder)  # fmt: skip
    return folder


def test_a_time_stamp_of_openssl_verifies_with_its_authority(stamps: Path) -> None:
    stamp = logs.parse_timestamp((stamps / "reply").read_bytes())
    assert stamp.digest == hashlib.sha256(b"signature").digest()
    ring = KeyRing.of(anchors=read_certificates((stamps / "tsa.pem").read_bytes(), "tsa"))
    assert stamp.verify(ring, AS_OF).outcome is Outcome.VALID
    assert stamp.verify(KeyRing.empty(), AS_OF).outcome is Outcome.KEY_UNKNOWN


def test_every_flip_of_a_time_stamp_is_answered_and_none_verifies(stamps: Path) -> None:
    data = (stamps / "reply").read_bytes()
    ring = KeyRing.of(anchors=read_certificates((stamps / "tsa.pem").read_bytes(), "tsa"))
    whole = logs.parse_timestamp(data)
    for place in range(0, len(data), 29):
        mutant = bytearray(data)
        mutant[place] ^= 2
        try:
            stamp = logs.parse_timestamp(bytes(mutant))
        except FormatError:
            continue
        if stamp.verify(ring, AS_OF).outcome is Outcome.VALID:  # bits outside of what is signed
            assert (stamp.time, stamp.digest) == (whole.time, whole.digest)


def test_a_certificate_with_another_purpose_makes_no_time_stamps(stamps: Path) -> None:
    run("openssl", "req", "-x509", "-key", stamps / "tsa.key", "-out", stamps / "x.pem", "-subj", "/CN=tsa", "-days",
        "30", "-addext", "extendedKeyUsage=codeSigning")  # fmt: skip
    ring = KeyRing.of(anchors=read_certificates((stamps / "x.pem").read_bytes(), "x"))
    run("openssl", "cms", "-sign", "-binary", "-nodetach", "-in", stamps / "sig", "-signer", stamps / "x.pem",
        "-inkey", stamps / "tsa.key", "-econtent_type", "1.2.840.113549.1.9.16.1.4", "-outform", "DER",
        "-out", stamps / "token")  # fmt: skip
    forged = logs.Timestamp("", "", b"", SignedMessage.parse((stamps / "token").read_bytes()))
    assert forged.verify(ring, AS_OF).outcome is Outcome.INVALID


def test_a_refused_time_stamp_is_none(stamps: Path) -> None:
    with pytest.raises(FormatError):
        logs.parse_timestamp(b"0\x05\x30\x03\x02\x01\x02")
    with pytest.raises(FormatError):
        logs.parse_timestamp((stamps / "tsa.pem").read_bytes())


def test_trusted_roots_give_log_keys_that_sign_nothing_else_and_authorities(stamps: Path) -> None:
    der = base64.b64encode(read_certificates((stamps / "tsa.pem").read_bytes(), "")[0].der).decode()
    spki = base64.b64encode(read_certificates((stamps / "tsa.pem").read_bytes(), "")[0].key.spki).decode()
    root = {
        "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
        "tlogs": [{"publicKey": {"rawBytes": spki}}],
        "certificateAuthorities": [{"certChain": {"certificates": [{"rawBytes": der}]}}],
    }
    text = json.dumps(root).encode()
    (key,) = read_public_keys(text, "root.json")
    assert key.terms is not None
    assert key.terms.refused == trusted_root.LOG_ONLY
    assert KeyRing.of(keys=[key]).verifiers == ()
    assert [item.facts.subject for item in read_certificates(text, "root.json")] == ["CN=tsa"]
    with pytest.raises(KeyMaterialError, match="damaged trusted root"):
        read_public_keys(text.replace(b'"rawBytes": "M', b'"rawBytes": "!'), "root.json")
    with pytest.raises(KeyMaterialError):
        read_public_keys(text.replace(b'"tlogs": [', b'"tlogs": [7, '), "root.json")
