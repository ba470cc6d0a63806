"""Android packages signed by signapk and by openssl, and AOSP's own test packages."""

from __future__ import annotations

import io
import shutil
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from checker.crypto.keyring import KeyRing, read_certificates
from checker.crypto.keys import read_public_key
from checker.errors import FormatError
from checker.formats import _android_footer
from checker.formats._open import open_artifact
from checker.formats.android_ota import FORMAT
from checker.formats.contract import Context
from checker.io.sources import BytesSource
from checker.model.artifact import Artifact
from samples.build.formats._crau import blob, number
from samples.build.formats.android_ota import (
    END,
    METADATA,
    METADATA_PB,
    PAYLOAD,
    PROPERTIES,
    SIGNAPK,
    Signer,
    package,
    text,
    twin,
)

needs_signapk = pytest.mark.skipif(
    shutil.which("java") is None or not SIGNAPK.exists(), reason="signapk or java is not installed"
)
needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
MEMBERS = {METADATA: text(), "boot.img": b"a boot image, stored as it is"}
PLAIN = package(MEMBERS)


def opened(
    data: bytes, *, keys: tuple[Path, ...] = (), trust: tuple[Path, ...] = (), format_id: str = "auto"
) -> Artifact:
    ring = KeyRing.of(
        keys=[read_public_key(path.read_bytes(), path.name) for path in keys],
        anchors=[item for path in trust for item in read_certificates(path.read_bytes(), path.name)],
    )
    return open_artifact(BytesSource("ota.zip", data), Context(keys=ring, as_of="2026-11-01T00:00:00Z"), format_id)


def outcomes(artifact: Artifact) -> list[str]:
    return [item.outcome.value for item in artifact.signatures]


def codes(artifact: Artifact) -> list[str]:
    return sorted(weakness.code for weakness in artifact.weaknesses)


def sealed(content: bytes, cms: bytes, label: bytes = b"signed by hand\0") -> bytes:
    """Return a zip with a CMS in its comment, as signapk lays it out."""
    start = len(cms) + 6
    comment = label + cms + start.to_bytes(2, "little") + b"\xff\xff"
    return content[:-2] + (len(comment) + 2).to_bytes(2, "little") + comment + (len(comment) + 2).to_bytes(2, "little")


class Openssl:
    """Signs with `openssl cms`, for what signapk does not make."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name, kind in {
            "rsa": ["-newkey", "rsa:2048"],
            "e3": ["-newkey", "rsa:2048", "-pkeyopt", "rsa_keygen_pubexp:3"],
            "ec": ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"],
            "other": ["-newkey", "rsa:2048"],
        }.items():
            self.run("req", "-x509", *kind, "-nodes", "-keyout", f"{name}.key", "-out", f"{name}.pem",
                     "-subj", f"/CN={name}", "-days", "3650")  # fmt: skip

    def run(self, *words: str, data: bytes = b"") -> bytes:
        environment = {"OPENSSL_CONF": "/dev/null", "PATH": "/usr/bin:/bin"}
        done = subprocess.run(
            ["faketime", "2026-01-01 00:00:00", "openssl", *words] if shutil.which("faketime") else ["openssl", *words],
            input=data, cwd=self.folder, capture_output=True, check=True, env=environment,
        )  # fmt: skip
        return done.stdout

    def cms(self, content: bytes, name: str = "rsa", *options: str, hash_name: str = "sha256") -> bytes:
        words = options or ("-noattr",)
        return self.run("cms", "-sign", "-binary", "-outform", "DER", "-md", hash_name, "-signer", f"{name}.pem",
                        "-inkey", f"{name}.key", *words, data=content)  # fmt: skip

    def sign(self, content: bytes, name: str = "rsa", *options: str, hash_name: str = "sha256") -> bytes:
        return sealed(content, self.cms(content[:-2], name, *options, hash_name=hash_name))

    def certificate(self, name: str) -> Path:
        return self.folder / f"{name}.pem"


@pytest.fixture(scope="module")
def openssl(tmp_path_factory: pytest.TempPathFactory) -> Openssl:
    if shutil.which("openssl") is None or shutil.which("faketime") is None:
        pytest.skip("openssl or faketime is not installed")
    return Openssl(tmp_path_factory.mktemp("openssl"))


@pytest.fixture(scope="module")
def signer(tmp_path_factory: pytest.TempPathFactory) -> Signer:
    return Signer.new(tmp_path_factory.mktemp("signer"), "signer")


@pytest.fixture(scope="module")
def made(signer: Signer) -> bytes:
    return signer.sign(PLAIN)


# AOSP's own packages


def test_aosps_signed_package_is_valid_by_its_expired_published_key(corpus: Path, expected: Any) -> None:
    stated = expected["android-ota"]["otasigned_v4.zip"]
    folder = corpus / "android-ota"
    key = folder / stated["valid_with"]
    for artifact in (
        opened((folder / "otasigned_v4.zip").read_bytes(), keys=(key,)),
        opened((folder / "otasigned_v4.zip").read_bytes(), trust=(key,)),
    ):
        assert outcomes(artifact) == ["valid"]
        (found,) = artifact.signatures
        assert (found.algorithm, found.hash, found.key.bits, found.key.exponent) == (
            "rsa-pkcs1v15", "sha-256", 2048, 65537,
        )  # fmt: skip
        assert found.chain is not None
        assert found.chain.certificates[0].not_after.startswith("2013-05-10")
        assert codes(artifact) == ["published-development-key", "signer-expired"]
        assert artifact.coverage.uncovered == ()


def test_aosps_signed_package_without_its_key_is_not_trusted(corpus: Path) -> None:
    data = (corpus / "android-ota" / "otasigned_v4.zip").read_bytes()
    assert outcomes(opened(data)) == ["key_unknown"]
    assert outcomes(opened(data[:100] + b"X" + data[101:])) == ["invalid"]


def test_aosps_unsigned_package_has_no_signature(corpus: Path, expected: Any) -> None:
    assert expected["android-ota"]["unsigned.zip"]["signature"] == "absent"
    artifact = opened((corpus / "android-ota" / "unsigned.zip").read_bytes(), format_id="android-ota")
    assert outcomes(artifact) == ["absent"]
    assert codes(artifact) == ["unsigned"]


# The signature


@needs_signapk
def test_signapks_signature_is_what_openssl_verifies(made: bytes, signer: Signer, tmp_path: Path) -> None:
    artifact = opened(made, keys=(signer.certificate,))
    assert outcomes(artifact) == ["valid"]
    (found,) = artifact.signatures
    assert found.where is not None
    (tmp_path / "cms").write_bytes(made[found.where.start : found.where.end])
    (span,) = found.covers
    for content, good in ((made[: span.end], True), (made[: span.end] + b"x", False)):
        (tmp_path / "content").write_bytes(content)
        words = ["openssl", "cms", "-verify", "-binary", "-inform", "DER", "-in", "cms", "-content", "content",
                 "-CAfile", str(signer.certificate), "-purpose", "any", "-out", "out"]  # fmt: skip
        done = subprocess.run(words, cwd=tmp_path, capture_output=True, check=False)
        assert (done.returncode == 0) is good


def test_jar_signatures_are_named_and_count_for_nothing() -> None:
    artifact = opened(package({**MEMBERS, "META-INF/CERT.SF": b"x", "META-INF/CERT.RSA": b"x"}))
    assert outcomes(artifact) == ["absent"]
    assert "META-INF/CERT.RSA covers members one by one" in artifact.signatures[0].note
    assert "one by one" not in opened(PLAIN).signatures[0].note


@needs_signapk
def test_another_declared_key_is_no_trust(made: bytes, signer: Signer, tmp_path: Path) -> None:
    other = Signer.new(tmp_path, "other")
    assert outcomes(opened(made, keys=(other.certificate,))) == ["key_unknown"]
    assert outcomes(opened(made, trust=(other.certificate,))) != ["valid"]
    assert outcomes(opened(made, trust=(signer.certificate,))) == ["valid"]


@pytest.mark.parametrize(("name", "hash_name", "weak"), [
    ("rsa", "sha256", []),
    ("ec", "sha256", []),
    ("e3", "sha256", ["rsa-e3"]),
    ("rsa", "sha1", ["weak-digest"]),
    ("e3", "sha1", ["rsa-e3", "weak-digest"]),
])  # fmt: skip
def test_every_kind_of_key_that_recovery_knows(openssl: Openssl, name: str, hash_name: str, weak: list[str]) -> None:
    data = openssl.sign(PLAIN, name, hash_name=hash_name)
    good = opened(data, keys=(openssl.certificate(name),))
    assert (outcomes(good), codes(good)) == (["valid"], weak)
    bad = opened(data.replace(b"boot image", b"root image"), keys=(openssl.certificate(name),))
    assert outcomes(bad) == ["invalid"]
    assert bad.coverage.uncovered == bad.coverage.payload


def test_what_recovery_does_not_accept_is_invalid_though_openssl_would_take_it(openssl: Openssl) -> None:
    key = (openssl.certificate("rsa"),)
    attributes = opened(openssl.sign(PLAIN, "rsa", "-nosmimecap"), keys=key)
    assert outcomes(attributes) == ["invalid"]
    assert "signed attributes" in attributes.signatures[0].note
    attached = opened(openssl.sign(PLAIN, "rsa", "-noattr", "-nodetach"), keys=key)
    assert outcomes(attached) == ["invalid"]
    longer = opened(openssl.sign(PLAIN, hash_name="sha512"), keys=key)
    assert outcomes(longer) == ["invalid"]
    assert "does not know" in longer.signatures[0].note


def test_a_message_without_a_signer_is_invalid(openssl: Openssl) -> None:
    bare = openssl.run("crl2pkcs7", "-nocrl", "-certfile", "rsa.pem", "-outform", "DER")
    artifact = opened(sealed(PLAIN, bare), keys=(openssl.certificate("rsa"),))
    assert outcomes(artifact) == ["invalid"]
    assert "no signer" in artifact.signatures[0].note


def test_only_the_first_of_two_signers_counts(openssl: Openssl) -> None:
    cms = openssl.cms(PLAIN[:-2], "rsa", "-noattr", "-signer", "other.pem", "-inkey", "other.key")
    artifact = opened(sealed(PLAIN, cms), keys=(openssl.certificate("rsa"), openssl.certificate("other")))
    assert outcomes(artifact) == ["valid", "invalid"]
    assert "first signer only" in artifact.signatures[1].note


def test_a_message_that_is_none_is_invalid() -> None:
    assert outcomes(opened(sealed(PLAIN, b"this is no CMS at all"))) == ["invalid"]


@pytest.mark.parametrize(("start", "text"), [(6, "cannot begin"), (0, "cannot begin"), (60_000, "cannot begin")])
def test_a_signature_cannot_begin_in_the_footer_or_before_the_comment(start: int, text: str) -> None:
    data = sealed(PLAIN, b"x" * 40)
    changed = data[:-6] + start.to_bytes(2, "little") + data[-4:]
    artifact = opened(changed)
    assert outcomes(artifact) == ["invalid"]
    assert text in artifact.signatures[0].note


def test_a_comment_of_another_size_leads_to_no_signature(openssl: Openssl) -> None:
    data = openssl.sign(PLAIN)
    for changed in (data[:-2] + b"\1\0", data[:-4] + b"\xfe\xff" + data[-2:], data + b"x"):
        assert outcomes(opened(changed, keys=(openssl.certificate("rsa"),))) == ["invalid"]


def test_a_second_end_record_is_invalid_even_where_it_is_signed_around(openssl: Openssl) -> None:
    signed = PLAIN[:-2]
    cms = openssl.cms(signed)
    data = sealed(PLAIN, cms, label=END + bytes(18))
    artifact = opened(data, keys=(openssl.certificate("rsa"),))
    assert outcomes(artifact) == ["invalid"]
    assert "second-end-record" in codes(artifact)


def test_a_zip_that_cannot_be_read_keeps_its_verdict(openssl: Openssl) -> None:
    data = bytearray(openssl.sign(PLAIN))
    place = data.rindex(b"PK\1\2")
    data[place + 10] ^= 0x40  # the compression method of a member in the directory
    artifact = opened(bytes(data), keys=(openssl.certificate("rsa"),))
    assert outcomes(artifact) == ["invalid"]
    assert codes(artifact) == ["malformed"]
    assert artifact.images == ()


def test_a_damaged_package_is_still_told_by_its_names() -> None:
    data = bytearray(PLAIN)
    data[data.rindex(b"PK\1\2") + 10] ^= 0x40
    with pytest.raises(FormatError, match="compression method"):
        opened(bytes(data))
    assert _android_footer.read_footer(BytesSource("x", b"short")) is None


# What it says of itself


def unsigned(**changes: str | None) -> Artifact:
    return opened(package({**MEMBERS, METADATA: text(**changes)}))


def test_metadata_gives_version_device_and_build_time() -> None:
    artifact = unsigned(pre_build="acme/old", pre_device="gw200|gw201")
    assert (artifact.version.version, artifact.version.sequence) == ("2026.11.1", 1_790_000_000)
    assert artifact.version.authentic is False
    assert artifact.version.constraints == ("pre-build=acme/old",)
    assert artifact.hardware == ("gw200", "gw201")
    assert set(artifact.coverage.unprotected_metadata) == {"pre-device", "post-timestamp", "post-build"}
    assert unsigned(post_timestamp="soon").version.sequence is None


def test_the_protobuf_form_alone_is_enough() -> None:
    artifact = opened(package({METADATA_PB: twin("gw300", number(3, 1)), "boot.img": b"x"}))
    assert artifact.hardware == ("gw300",)
    assert artifact.version.sequence == 1_790_000_000
    assert codes(artifact) == ["downgrade-allowed", "unsigned"]


def test_two_forms_that_differ_are_told() -> None:
    both = {METADATA: text(ota_downgrade="yes"), METADATA_PB: twin()}
    assert codes(opened(package(both))) == ["downgrade-allowed", "malformed", "unsigned"]
    flag = {METADATA: text(), METADATA_PB: twin(flags=number(9, 1))}
    assert codes(opened(package(flag))) == ["downgrade-allowed", "malformed", "unsigned"]
    assert codes(opened(package({METADATA: text(), METADATA_PB: twin()}))) == ["unsigned"]


def test_broken_properties_and_metadata_are_errors() -> None:
    for content in (b"FILE_HASH=%%%", b"FILE_SIZE=many"):
        with pytest.raises(FormatError, match="payload_properties"):
            opened(package({PAYLOAD: b"x", PROPERTIES: content}))
    with pytest.raises(FormatError, match=r"metadata\.pb"):
        opened(package({METADATA: text(), METADATA_PB: b"\x0b"}))
    large = package({METADATA: b"x" * (1 << 21)}, compressed=(METADATA,))
    with pytest.raises(FormatError, match="allowed"):
        opened(large)


def test_sizes_that_differ_are_told() -> None:
    artifact = opened(package({PAYLOAD: b"x" * 10, PROPERTIES: b"FILE_SIZE=11\n"}))
    assert codes(artifact) == ["malformed", "unsigned"]


def test_a_payload_alone_is_told() -> None:
    artifact = opened(package({**MEMBERS, PAYLOAD: b"no payload"}))
    assert "missing-member" in codes(artifact)


def test_members_have_roles_and_the_payload_is_opened() -> None:
    script = "META-INF/com/google/android/updater-script"
    artifact = opened(package({**MEMBERS, script: b"ui_print();", "readme": b"x", PAYLOAD: b"CrAU" + bytes(30)}))
    roles = {item.id: item.role for item in artifact.images}
    assert roles == {METADATA: "metadata", "boot.img": "image", script: "script", "readme": "other", PAYLOAD: "image"}
    assert {"script-member", "inner-unreadable"} <= set(codes(artifact))
    assert next(item for item in artifact.images if item.id == "boot.img").target == "boot"


def test_a_plain_zip_is_no_package() -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("a", b"b")
    context = Context(keys=KeyRing.empty(), as_of="2026-11-01T00:00:00Z")
    assert not FORMAT.detect(BytesSource("x", out.getvalue()), context)
    assert not FORMAT.detect(BytesSource("x", b"nothing"), context)
    assert FORMAT.detect(BytesSource("x", PLAIN), context)


SIGNED = sealed(PLAIN, b"0" + b"x" * 60)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, len(SIGNED) - 1), st.integers(0, 7))
def test_any_flipped_bit_gives_an_artifact_or_a_format_error(offset: int, bit: int) -> None:
    data = SIGNED[:offset] + bytes([SIGNED[offset] ^ 1 << bit]) + SIGNED[offset + 1 :]
    try:
        artifact = opened(data, format_id="android-ota")
    except FormatError:
        return
    assert "valid" not in outcomes(artifact)


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=100))
def test_arbitrary_protobuf_metadata_is_read_or_refused(content: bytes) -> None:
    try:
        opened(package({METADATA: text(), METADATA_PB: content + blob(5, b"")}))
    except FormatError:
        return
