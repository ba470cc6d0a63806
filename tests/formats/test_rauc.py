from __future__ import annotations

import hashlib
import os
import struct
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from checker.errors import FormatError, LimitError, UnknownFormatError
from checker.formats import _rauc_content, _verity
from checker.formats._rauc_manifest import read_manifest
from checker.io.digests import compute
from checker.io.sources import BytesSource
from checker.model.artifact import INEXPRESSIBLE, Artifact, Span
from checker.model.terms import Outcome

CASES = ("good-bundle.raucb", "good-verity-bundle.raucb", "invalid-sig-bundle.raucb")
ROOTFS = hashlib.shake_256(b"rootfs").digest(700_000)  # more than 128 blocks: a hash tree of two levels
SIZE = struct.Struct(">Q")


def split(data: bytes) -> tuple[bytes, bytes]:
    """Return payload and CMS message of a bundle, a second reading of the container."""
    (size,) = SIZE.unpack(data[-8:])
    return data[: -8 - size], data[-8 - size : -8]


def join(payload: bytes, message: bytes) -> bytes:
    return payload + message + SIZE.pack(len(message))


def outcome(artifact: Artifact) -> Outcome:
    return artifact.signatures[0].outcome


def complete(artifact: Artifact) -> bool:
    """Return whether the signature is valid and reaches every byte of the payload."""
    valid = outcome(artifact) is Outcome.VALID
    return valid and not artifact.coverage.uncovered and all(check.matches for check in artifact.digests)


@pytest.fixture(scope="module")
def devices(tool: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two RSA devices, one P-256 device and a stranger, each with key and certificate."""
    folder = tmp_path_factory.mktemp("devices")
    kinds: dict[str, tuple[str, ...]] = {"d1": ("rsa:2048",), "d2": ("rsa:2048",), "stranger": ("rsa:2048",)}
    kinds["d3"] = ("ec", "-pkeyopt", "ec_paramgen_curve:P-256")
    for name, kind in kinds.items():
        tool("openssl", "req", "-x509", "-newkey", *kind, "-nodes", "-keyout", f"{name}.key", "-out", f"{name}.crt",
             "-subj", f"/CN={name}", "-days", "3650", cwd=folder)  # fmt: skip
    return folder


@pytest.fixture(scope="module")
def bundles(tool: Any, pki: Path, devices: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """One bundle of each kind, made by rauc: plain, verity, crypt, and crypt for three recipients."""
    if subprocess.run(["sh", "-c", "command -v mksquashfs"], capture_output=True, check=False).returncode:
        pytest.skip("mksquashfs is not installed")
    folder = tmp_path_factory.mktemp("bundles")
    signer = ("--cert", pki / "rsa.pem", "--key", pki / "rsa.key", "--signing-keyring", pki / "root.pem")
    for kind in ("plain", "verity", "crypt"):
        content = folder / f"{kind}.in"
        content.mkdir()
        (content / "rootfs.img").write_bytes(ROOTFS)
        (content / "hook.sh").write_text("#!/bin/sh\n")
        (content / "hook.sh").chmod(0o755)
        (content / "manifest.raucm").write_text(
            f"[update]\ncompatible=Board X\nversion=2.4.1\n\n[bundle]\nformat={kind}\n\n"
            "[hooks]\nfilename=hook.sh\n\n[image.rootfs]\nfilename=rootfs.img\nhooks=post-install\n"
        )
        tool("rauc", "bundle", *signer, content, folder / kind)
    people = [f"--to={devices / name}.crt" for name in ("d1", "d2", "d3")]
    tool("rauc", "encrypt", f"--keyring={pki / 'root.pem'}", *people, folder / "crypt", folder / "enveloped")
    return {kind: (folder / kind).read_bytes() for kind in ("plain", "verity", "crypt", "enveloped")}


@pytest.fixture(scope="module")
def oracle(tool: Any, pki: Path, devices: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Ask rauc itself whether it takes a bundle; for encrypted ones as device d1."""
    tool("rauc", "--version")
    folder = tmp_path_factory.mktemp("oracle")
    (folder / "system.conf").write_text(
        f"[system]\ncompatible=Board X\nbootloader=noop\n[keyring]\npath={pki / 'root.pem'}\n"
        f"[encryption]\nkey={devices / 'd1.key'}\ncert={devices / 'd1.crt'}\n"
    )

    def info(data: bytes) -> bool:
        (folder / "x.raucb").write_bytes(data)
        command = ["rauc", "-c", "system.conf", "info", "x.raucb"]
        done = subprocess.run(command, cwd=folder, capture_output=True, timeout=60, check=False)
        return done.returncode == 0

    return info


# The corpus


@pytest.mark.parametrize("name", CASES)
def test_the_corpus_bundles_are_what_expected_yaml_says(kit: Any, corpus: Path, expected: Any, name: str) -> None:
    truth, folder = expected["rauc"][name], corpus / "rauc"
    bundle = kit.open(folder / name, anchors=[folder / "openssl-ca" / "rel-ca.pem"])
    if truth.get("verdict") == "INVALID":
        assert outcome(bundle) is Outcome.INVALID
        assert "message digest" in bundle.signatures[0].note
        assert bundle.coverage.uncovered == bundle.coverage.payload
        return
    assert outcome(bundle) is Outcome.VALID
    signature = bundle.signatures[0]
    assert (signature.algorithm, signature.hash, signature.key.bits) == ("rsa-pkcs1v15", "sha-256", 2048)
    assert truth["signer"] in signature.chain.certificates[0].subject
    assert ("detached" in signature.encoding) is ("detached" in truth["signature"])
    assert bundle.title.endswith(truth["kind"])
    assert [item.encrypted for item in bundle.encryption] == [truth["encrypted"]]
    assert complete(bundle)
    if "verity_tree" in truth:
        assert [check.matches for check in bundle.digests] == [truth["verity_tree"] == "matches"]
    assert (bundle.version.version, bundle.hardware) == ("2011.03-2", ("Test Config",))
    assert bundle.version.version == truth.get("version", "2011.03-2")
    assert [image.target for image in bundle.images if image.role == "image"] == ["rootfs", "appfs"]
    assert [check.matches for image in bundle.images for check in image.digests] == [True, True]


@pytest.mark.parametrize("name", CASES[:2])
def test_the_corpus_bundles_are_valid_only_with_the_anchors_that_expected_yaml_names(
    kit: Any, corpus: Path, expected: Any, name: str
) -> None:
    truth, folder = expected["rauc"][name], corpus / "rauc"
    for anchor in truth["valid_with"]:
        path = folder / "openssl-ca" / f"{anchor}.pem"
        assert outcome(kit.open(folder / name, anchors=[path])) is Outcome.VALID, anchor
    for anchor in truth.get("invalid_with", ["root-ca"]):
        path = folder / "openssl-ca" / f"{anchor}.pem"
        assert outcome(kit.open(folder / name, anchors=[path])) is Outcome.KEY_UNKNOWN, anchor
    assert outcome(kit.open(folder / name)) is Outcome.KEY_UNKNOWN


@pytest.mark.parametrize("name", ["manifest-a1.sig", "manifest-a2.sig"])
def test_the_detached_signatures_of_the_corpus_are_what_expected_yaml_says(
    kit: Any, corpus: Path, expected: Any, name: str
) -> None:
    truth, folder = expected["rauc"][f"openssl-ca/{name}"], corpus / "rauc" / "openssl-ca"
    data, signature = (folder / "manifest").read_bytes(), (folder / name).read_bytes()
    trust = {"anchors": [folder / "dev-ca.pem"], "crls": [folder / "dev" / "crl.pem"]}
    found = kit.open(data, signature=signature, **trust).signatures[0]
    if "REVOKED" in truth.get("verdict", ""):
        assert (found.outcome, found.chain.revoked) == (Outcome.INVALID, True)
        del trust["crls"]
        assert kit.open(data, signature=signature, **trust).signatures[0].outcome is Outcome.VALID
    else:
        assert found.outcome is Outcome.VALID


def test_the_manifests_of_the_corpus_are_read_and_the_broken_one_is_refused(corpus: Path, expected: Any) -> None:
    manifest = read_manifest((corpus / "rauc" / "manifest.raucm").read_bytes())
    assert (manifest.compatible, manifest.version) == ("FooCorp Super BarBazzer", "2015.04-1")
    assert [image.slot for image in manifest.images] == ["rootfs", "appfs"]
    assert manifest.scripts == ("custom_handler.sh", "hook.sh")
    assert "rejected" in expected["rauc"]["broken-manifest.raucm"]["verdict"]
    with pytest.raises(FormatError, match="compatible"):
        read_manifest((corpus / "rauc" / "broken-manifest.raucm").read_bytes())


# Bundles made by rauc


@pytest.mark.parametrize("kind", ["plain", "verity", "crypt"])
def test_a_bundle_made_by_rauc_is_valid_and_wholly_covered(
    kit: Any, bundles: dict[str, bytes], pki: Path, oracle: Any, kind: str
) -> None:
    bundle = kit.open(bundles[kind], anchors=[pki / "root.pem"])
    assert (bundle.format, complete(bundle), oracle(bundles[kind])) == ("rauc", True, True)
    assert bundle.coverage.size_bound is True
    assert bundle.version.sequence is INEXPRESSIBLE
    assert [check.matches for check in bundle.digests] == ([] if kind == "plain" else [True])
    assert [image.role for image in bundle.images] == ["image", "script", "other"]
    assert (bundle.version.version, bundle.version.authentic, bundle.hardware) == ("2.4.1", True, ("Board X",))
    slot = bundle.images[0]
    assert (slot.target, slot.size, slot.digests[0].expected) == (
        "rootfs", len(ROOTFS), hashlib.sha256(ROOTFS).hexdigest(),
    )  # fmt: skip
    assert [(check.matches, check.authentic) for check in slot.digests] == [(True, True)]
    assert slot.source.read(5, 100) == ROOTFS[5:105]
    assert "script-member" in kit.codes(bundle)


@pytest.mark.parametrize("kind", ["plain", "verity", "crypt"])
def test_one_changed_byte_is_found_wherever_it_is(
    kit: Any, bundles: dict[str, bytes], pki: Path, oracle: Any, kind: str
) -> None:
    payload, message = split(bundles[kind])
    ring = kit.ring(anchors=[pki / "root.pem"])
    data_end = kit.open(bundles[kind], ring=ring).coverage.payload[0].end
    for place in (0, 4095, 4096, data_end // 2, data_end - 1):
        mutant = bytearray(payload)
        mutant[place] ^= 0x10
        bundle = kit.open(join(bytes(mutant), message), ring=ring)
        assert not complete(bundle), place
        assert bundle.coverage.uncovered == bundle.coverage.payload
        if kind == "plain":  # `rauc info` reads the hash tree only on a device
            assert outcome(bundle) is Outcome.INVALID
            assert not oracle(join(bytes(mutant), message))
        else:
            assert "digest-mismatch" in kit.codes(bundle)
    for place in range(0, len(message), 97):
        broken = bytearray(message)
        broken[place] ^= 0x10
        try:
            bundle = kit.open(join(payload, bytes(broken)), ring=ring)
        except FormatError:
            continue
        if complete(bundle):  # a byte that nothing depends on, as in an unused field: rauc takes it too
            assert oracle(join(payload, bytes(broken))), place


def test_a_changed_hash_tree_is_found_though_the_data_are_right(kit: Any, bundles: dict[str, bytes], pki: Path) -> None:
    payload, message = split(bundles["verity"])
    data_end = kit.open(bundles["verity"]).coverage.payload[0].end
    assert len(payload) - data_end == 3 * 4096  # one block on top, two below
    for place in (data_end, data_end + 4096, data_end + 8192):
        mutant = bytearray(payload)
        mutant[place] ^= 1
        bundle = kit.open(join(bytes(mutant), message), anchors=[pki / "root.pem"])
        assert complete(bundle)
        assert "digest-mismatch" in kit.codes(bundle)
    assert "digest-mismatch" not in kit.codes(kit.open(bundles["verity"]))


def test_the_size_is_bound_by_digest_and_by_hash_tree(kit: Any, bundles: dict[str, bytes], pki: Path) -> None:
    for kind in ("plain", "verity"):
        payload, message = split(bundles[kind])
        for other in (payload[4096:], bytes(4096) + payload):
            bundle = kit.open(join(other, message), anchors=[pki / "root.pem"])
            assert (complete(bundle), bundle.coverage.size_bound) == (False, False)


def test_the_key_of_a_crypt_bundle_in_clear_is_said_so(
    kit: Any, bundles: dict[str, bytes], pki: Path, devices: Path
) -> None:
    bundle = kit.open(bundles["crypt"], anchors=[pki / "root.pem"])
    (encryption,) = bundle.encryption
    assert (encryption.encrypted, encryption.cipher, encryption.mode, encryption.key_bits) == (True, "aes", "cbc", 256)
    assert (encryption.key_in_clear, encryption.decrypted, encryption.authenticated) == (True, True, True)
    assert "key-in-clear" in kit.codes(bundle)
    near = kit.open(bundles["enveloped"], anchors=[pki / "root.pem"], decryption=[devices / "d2.key"])
    assert near.encryption[0].key_in_clear is False
    assert "key-in-clear" not in kit.codes(near)


def test_a_closed_envelope_makes_the_signature_undecidable_and_nothing_proved(
    kit: Any, bundles: dict[str, bytes], pki: Path, devices: Path
) -> None:
    for keys in ([], [devices / "stranger.key"]):
        bundle = kit.open(bundles["enveloped"], anchors=[pki / "root.pem"], decryption=keys)
        assert (outcome(bundle), bundle.version.version) == (Outcome.UNDECIDABLE, None)
        assert [check.matches for check in bundle.digests] == [None]
        assert bundle.coverage.size_bound is None
        assert [item.algorithm for item in bundle.recipients] == [
            "rsa-pkcs1v15-transport", "rsa-pkcs1v15-transport", "ecdh-es",
        ]  # fmt: skip
        assert not any(item.unwrapped for item in bundle.recipients)
        assert "weak-key-transport" in kit.codes(bundle)
        assert bundle.encryption[0].decrypted is None


@pytest.mark.parametrize("device", ["d1", "d2", "d3"])
def test_each_recipient_opens_the_bundle(
    kit: Any, bundles: dict[str, bytes], pki: Path, devices: Path, device: str
) -> None:
    trust = {"anchors": [pki / "root.pem"], "decryption": [devices / f"{device}.key"]}
    bundle = kit.open(bundles["enveloped"], **trust)
    assert complete(bundle)
    assert [item.unwrapped for item in bundle.recipients].count(True) == 1
    assert bundle.encryption[0].decrypted is True
    envelope = next(image for image in bundle.images if image.role == "metadata").encryption
    assert (envelope.mode, envelope.key_bits, envelope.decrypted, envelope.authenticated) == ("cbc", 256, True, True)
    payload, message = split(bundles["enveloped"])
    assert not complete(kit.open(join(payload[:9000] + b"x" + payload[9001:], message), **trust))


def test_rauc_and_otaudit_agree_about_the_envelope(
    bundles: dict[str, bytes], kit: Any, pki: Path, devices: Path, oracle: Any
) -> None:
    assert oracle(bundles["enveloped"])
    payload, message = split(bundles["enveloped"])
    broken = join(payload, message[:-20] + bytes(20))
    assert not oracle(broken)
    bundle = kit.open(broken, anchors=[pki / "root.pem"], decryption=[devices / "d1.key"])
    assert outcome(bundle) is Outcome.UNDECIDABLE


def test_a_crypt_bundle_whose_payload_lies_in_clear_is_not_called_encrypted(
    kit: Any, tool: Any, pki: Path, bundles: dict[str, bytes]
) -> None:
    payload, _ = split(bundles["verity"])
    data = payload[: kit.open(bundles["verity"]).coverage.payload[0].end]
    text = read_manifest_text(tool, bundles["verity"]).replace(
        b"format=verity", b"crypt-key=" + b"a" * 64 + b"\nformat=crypt"
    )
    bundle = kit.open(join(payload, sign(tool, pki, text)), anchors=[pki / "root.pem"])
    assert complete(bundle)
    assert bundle.encryption[0].encrypted is False
    assert "encryption-void" in kit.codes(bundle)
    assert data.startswith(b"hsqs")


def read_manifest_text(tool: Any, data: bytes) -> bytes:
    """Return the signed manifest, as openssl reads it."""
    command = ("openssl", "cms", "-verify", "-noverify", "-binary", "-inform", "DER")
    return bytes(tool(*command, data=split(data)[1]).stdout)


def sign(tool: Any, pki: Path, text: bytes, *more: str) -> bytes:
    command = ("openssl", "cms", "-sign", "-binary", "-nodetach", "-outform", "DER", "-signer", "rsa.pem")
    return bytes(tool(*command, "-inkey", "rsa.key", *more, cwd=pki, data=text).stdout)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ((b"format=verity", b"format=plain"), "verity or crypt"),
        ((b"format=verity", b"format=future"), "bundle format"),
        ((b"verity-size=12288", b"verity-size=4096"), "larger hash tree"),
        ((b"verity-size=12288", b"verity-size=12289"), "multiple"),
        ((b"verity-size=12288", b"verity-size=0"), "multiple"),
        ((b"verity-size=12288", b"verity-size=99999999999999999999999"), "not a number"),
        ((b"verity-size=12288", b"verity-size=1099511627776"), "cannot end in"),
        ((b"verity-hash=", b"verity-hush="), "verity-hash"),
        ((b"compatible=", b"incompatible="), "compatible"),
        ((b"filename=rootfs.img", b"\x00\xff"), "UTF-8"),
        ((b"filename=rootfs.img", b"nonsense"), "neither a section"),
    ],
)
def test_a_signed_manifest_that_rauc_would_refuse_is_refused(
    kit: Any, tool: Any, pki: Path, bundles: dict[str, bytes], change: tuple[bytes, bytes], message: str
) -> None:
    payload, _ = split(bundles["verity"])
    text = read_manifest_text(tool, bundles["verity"])
    assert change[0] in text
    with pytest.raises(FormatError, match=message):
        kit.open(join(payload, sign(tool, pki, text.replace(*change))))


def test_a_message_without_signers_is_an_absent_signature(kit: Any, bundles: dict[str, bytes], tool: Any) -> None:
    payload, _ = split(bundles["plain"])
    certificate = tool("openssl", "crl2pkcs7", "-nocrl", "-outform", "DER").stdout
    bundle = kit.open(join(payload, certificate))
    assert outcome(bundle) is Outcome.ABSENT
    assert bundle.coverage.uncovered == bundle.coverage.payload
    assert "unsigned" in kit.codes(bundle)


def test_a_purpose_that_does_not_fit_is_refused_unless_it_is_allowed(
    kit: Any, tool: Any, tmp_path: Path, bundles: dict[str, bytes]
) -> None:
    tool("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", tmp_path / "rsa.key", "-out",
         tmp_path / "rsa.pem", "-subj", "/CN=server", "-addext", "extendedKeyUsage=serverAuth")  # fmt: skip
    payload, _ = split(bundles["verity"])
    data = join(payload, sign(tool, tmp_path, read_manifest_text(tool, bundles["verity"])))
    bundle = kit.open(data, anchors=[tmp_path / "rsa.pem"])
    assert "wrong-purpose" in kit.codes(bundle)


# Hostile input


@pytest.mark.parametrize("size", [0, 1, 2**24 + 1, 2**31, 2**63, 2**64 - 1])
def test_absurd_message_sizes_are_refused_at_once(kit: Any, size: int) -> None:
    data = b"hsqs" + bytes(8192) + SIZE.pack(size)
    began = time.monotonic()
    with pytest.raises(FormatError):
        kit.open(data, format_id="rauc")
    with pytest.raises(UnknownFormatError, match="squashfs"):
        kit.open(data)
    assert time.monotonic() - began < 2


def test_a_message_above_the_limit_is_not_read(kit: Any) -> None:
    head = bytes.fromhex("30840200000006092a864886f70d010702")
    data = bytes(64) + head + bytes(2**25 - len(head)) + SIZE.pack(2**25)
    with pytest.raises(LimitError, match="at most"):
        kit.open(data)


def test_manifests_with_too_much_in_them_are_refused() -> None:
    head = b"[update]\ncompatible=x\n"
    with pytest.raises(LimitError, match="images"):
        read_manifest(head + b"".join(b"[image.a%d]\nfilename=x\n" % number for number in range(1500)))
    with pytest.raises(LimitError, match="bytes"):
        read_manifest(head + b"#" * 70_000)
    with pytest.raises(FormatError, match="names no file"):
        read_manifest(head + b"[image.]\nfilename=x\n")
    assert "secret" not in repr(read_manifest(head))


def test_every_truncation_of_a_bundle_is_answered(kit: Any, bundles: dict[str, bytes], pki: Path) -> None:
    ring = kit.ring(anchors=[pki / "root.pem"])
    for kind, data in bundles.items():
        for size in [*range(64), *range(len(data) - 64, len(data))]:
            try:
                bundle = kit.open(data[:size], ring=ring, format_id="rauc")
            except FormatError:
                continue
            assert not complete(bundle), (kind, size)


# The hash tree, against second implementations


@pytest.mark.parametrize("blocks", [1, 2, 127, 128, 129, 128 * 128, 128 * 128 + 1])
def test_the_hash_tree_is_that_of_a_second_implementation(blocks: int) -> None:
    salt = b"s" * 32
    data = bytes(blocks * 4096) if blocks > 1000 else hashlib.shake_256(b"data").digest(blocks * 4096)
    level = [hashlib.sha256(salt + data[at : at + 4096]).digest() for at in range(0, len(data), 4096)]
    stored = b""
    while len(level) > 1:
        packed = [b"".join(level[at : at + 128]).ljust(4096, b"\0") for at in range(0, len(level), 128)]
        stored = b"".join(packed) + stored
        level = [hashlib.sha256(salt + block).digest() for block in packed]
    tree = _verity.plan(BytesSource("x", data + stored), Span(0, len(data)), salt)
    answers = compute(tree.requests)
    assert answers[tree.root] == answers[tree.stored_root] == level[0]
    assert all(answers[one] == answers[other] for one, other in tree.stored)
    assert tree.size == len(stored) == _verity.tree_size(len(data))


def test_veritysetup_gives_the_same_root(tool: Any, tmp_path: Path) -> None:
    tool("veritysetup", "--version")
    data = os.urandom(300 * 4096)
    (tmp_path / "data").write_bytes(data)
    text = tool("veritysetup", "format", "--salt", "73" * 32, tmp_path / "data", tmp_path / "hash").stdout.decode()
    tree = _verity.plan(BytesSource("x", data + bytes(4096 * 4)), Span(0, len(data)), b"s" * 32)
    assert compute([tree.root])[tree.root].hex() in text


# What lies in the squashfs


@pytest.fixture(scope="module")
def pack(tool: Any, pki: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Make a plain bundle by mksquashfs and openssl, so that it may hold what rauc would not pack."""
    folder = tmp_path_factory.mktemp("pack")

    def make(manifest: str, *options: str, **files: bytes) -> bytes:
        number = len(list(folder.iterdir()))
        content = folder / f"{number}.in"
        content.mkdir()
        for name, data in {"manifest.raucm": manifest.encode(), **files}.items():
            (content / name).write_bytes(data)
        target = folder / f"{number}.sq"
        tool("mksquashfs", content, target, "-noappend", "-quiet", "-no-progress", *options)
        payload = target.read_bytes()
        signer = ("-signer", pki / "rsa.pem", "-inkey", pki / "rsa.key", "-outform", "DER", "-binary")
        return join(payload, tool("openssl", "cms", "-sign", *signer, data=payload).stdout)

    return make


def manifest_of(image: bytes, name: str = "a", *, size: int | None = None) -> str:
    stated = len(image) if size is None else size
    digest = hashlib.sha256(image).hexdigest()
    return f"[update]\ncompatible=B\nversion=7\n[image.a]\nfilename={name}\nsize={stated}\nsha256={digest}\n"


def test_the_images_of_plain_and_verity_bundles_are_those_that_rauc_lists(
    bundles: dict[str, bytes], kit: Any, pki: Path, tool: Any, tmp_path: Path
) -> None:
    for kind in ("plain", "verity"):
        (tmp_path / kind).write_bytes(bundles[kind])
        said = tool("rauc", "info", f"--keyring={pki / 'root.pem'}", "--output-format=shell", tmp_path / kind).stdout
        shell = dict(line.partition("=")[::2] for line in said.decode().splitlines())
        bundle = kit.open(bundles[kind], anchors=[pki / "root.pem"])
        (slot,) = [image for image in bundle.images if image.role == "image"]
        assert shell["RAUC_MF_VERSION"].strip("'") == bundle.version.version
        assert shell["RAUC_IMAGE_DIGEST_0"].strip("'") == slot.digests[0].actual
        assert shell["RAUC_IMAGE_SIZE_0"].strip("'") == str(slot.size)


@pytest.mark.parametrize("kind", ["gzip", "xz", "lz4", "lzma", "zstd"])
def test_a_plain_bundle_is_read_whatever_compresses_it(kit: Any, pack: Any, pki: Path, kind: str) -> None:
    bundle = kit.open(pack(manifest_of(ROOTFS), "-comp", kind, a=ROOTFS), anchors=[pki / "root.pem"])
    assert (complete(bundle), bundle.version.version) == (True, "7")
    assert [check.matches for check in bundle.images[0].digests] == [True]
    assert not kit.codes(bundle)


def test_a_compressor_that_is_not_read_leaves_the_signature_and_no_manifest(kit: Any, pack: Any, pki: Path) -> None:
    bundle = kit.open(pack(manifest_of(b"abc"), "-comp", "lzo", a=b"abc"), anchors=[pki / "root.pem"])
    assert (complete(bundle), bundle.version.version, bundle.hardware) == (True, None, ())
    assert "lzo" in dict(bundle.facts)["manifest"]
    assert [image.id for image in bundle.images] == ["squashfs"]


@pytest.mark.parametrize(
    ("manifest", "files", "code"),
    [
        (manifest_of(b"abc"), {"a": b"abd"}, "digest-mismatch"),
        (manifest_of(b"abc", size=4), {"a": b"abc"}, "malformed"),
        (manifest_of(b"abc"), {"b": b"abc"}, "missing-member"),
        (manifest_of(b"abc", "sub/a"), {"b": b"abc"}, "missing-member"),
        ("[update]\ncompatible=B\n[image.a]\nfilename=a\n", {"a": b"abc"}, "missing-digest"),
        (manifest_of(b"abc") + "[handler]\nfilename=h\n", {"a": b"abc", "h": b"#!"}, "script-member"),
        ("[update]\n", {"a": b"abc"}, "malformed"),
        (manifest_of(b"abc") + "[bundle]\nformat=crypt\n", {"a": b"abc"}, "malformed"),
        (manifest_of(b"abc"), {"a": b"abc"}, ""),
    ],
)
def test_what_is_wrong_inside_is_said_and_the_signature_stays_valid(
    kit: Any, pack: Any, pki: Path, manifest: str, files: dict[str, bytes], code: str
) -> None:
    bundle = kit.open(pack(manifest, **files), anchors=[pki / "root.pem"])
    assert (outcome(bundle), kit.codes(bundle)) == (Outcome.VALID, {code} if code else set())


def test_a_casync_index_is_not_compared_with_the_digest_of_the_image_that_it_stands_for(
    kit: Any, pack: Any, pki: Path
) -> None:
    bundle = kit.open(pack(manifest_of(ROOTFS, "a.caibx"), **{"a.caibx": b"index"}), anchors=[pki / "root.pem"])
    assert [check.matches for check in bundle.images[0].digests] == [None]
    assert "casync" in bundle.images[0].note
    assert not kit.codes(bundle)


def test_a_damaged_block_of_the_squashfs_leaves_the_verdict_over_the_signature(kit: Any, pack: Any, pki: Path) -> None:
    data = bytearray(pack(manifest_of(ROOTFS[:9000] * 20), a=ROOTFS[:9000] * 20))
    data[100:300] = bytes(200)  # of the first block
    bundle = kit.open(bytes(data), anchors=[pki / "root.pem"])
    assert outcome(bundle) is Outcome.INVALID
    assert [check.matches for check in bundle.images[0].digests] == [None]
    assert "malformed" in kit.codes(bundle)


def test_an_image_inside_is_opened(kit: Any, pack: Any, pki: Path, imgtool: Any, keys: Path) -> None:
    image = imgtool("-k", keys / "ecdsa-p256.pem").read_bytes()
    bundle = kit.open(pack(manifest_of(image), a=image), anchors=[pki / "root.pem"])
    assert bundle.images[0].inner.format == "mcuboot"


def test_files_beyond_the_limit_are_not_hashed(kit: Any, pack: Any, pki: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_rauc_content, "MAX_INFLATED", 2)
    bundle = kit.open(pack(manifest_of(b"abc"), a=b"abc"), anchors=[pki / "root.pem"])
    assert "MAX_INFLATED" in bundle.images[0].note


def test_a_manifest_alone_is_unsigned_and_a_broken_one_is_refused(kit: Any, corpus: Path) -> None:
    found = kit.open(corpus / "rauc" / "manifest.raucm")
    assert (found.format, outcome(found), found.version.version) == ("rauc", Outcome.ABSENT, "2015.04-1")
    assert kit.codes(found) == {"unsigned", "script-member"}
    assert found.coverage.uncovered == found.coverage.payload
    assert [image.target for image in found.images if image.role == "image"] == ["rootfs", "appfs"]
    with pytest.raises(FormatError, match="compatible"):
        kit.open(corpus / "rauc" / "broken-manifest.raucm")
    folder = corpus / "rauc" / "openssl-ca"
    signed = kit.open(folder / "manifest", signature=(folder / "manifest-a1.sig").read_bytes())
    assert (signed.format, signed.images[0].inner.format) == ("detached", "rauc")
