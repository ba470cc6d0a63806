from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from checker.crypto.jose import read_jwk
from checker.crypto.keyring import KeyRing
from checker.crypto.keys import PublicKey, read_public_key
from checker.errors import FormatError, UnknownFormatError
from checker.formats import _azure_manifest, azure_adu
from checker.formats._open import open_artifact
from checker.formats.contract import Context
from checker.io.sources import BytesSource
from checker.model.artifact import Artifact
from checker.model.terms import Outcome
from samples.build.formats.azure_adu import b64url, deployment, jwk, jws, manifest, new_key, package, signed
from tests.formats.conftest import AS_OF, Kit, run

IMAGE = b"firmware " * 50
# The root keys ADU.200702.R and ADU.200703.R as the agent has them: Azure/iot-hub-device-update
# src/utils/root_key_utils/src/root_key_list.c, exponent 65537.
ROOT_200702 = (
    "ANVCLq8RVKNQZYeiTVu6GvupMt_pmV8FRcivvTUdiegnJ1ijqO7FxR5P95KmEgZ9PX2wB_Ysf95tKvW8SbwV7_CByz-ITycdiHEoYAi2GdLSOdAFHzx2"
    "hnG7WVi8sYh7q1YovzFzRDIQ_T3Tllz_Tlyza_-LhJuLgLhJ0H361kBYdk3Acid1y5ovm7SfDyXxHMUbC1owfS-476cmWFOv1R1VAVEN6RuiDz_X6R0g"
    "QabmFAqu_vIcKtbkBHv2FH7sD5eD-lj6gTYhuaMr-tlhCxqU98G-f0AUSsn6NX_vZnAAsf3b12ENO1h0Z5SJdXaWfJGH0o4Rl-57h2yaL0XYZT9ScJgq"
    "y8gEY_XJR89w9O1kp3SlI4-27fcc07AcZFcSWqmBhB-g51AZlrSCsaxI4-EygstAH6zEWbwQNFGC-SiNqB6b9XlFdbLcmhFDCL5hzJrEy3c2_4PdqHFP"
    "UY4Oe036eZiNvvyCfkBIqRIBqNl-86Ub8fuQdz5AhxjJq9n3eQ"
)
ROOT_200703 = (
    "ALKjsnQW-rsg-VJ25ic-gEHG_s8w-ciW9VkKqoHnUYOKxPUXOi8q5lfUcc6KPe-aVXY-meLCrkzuLbh49aJOKPKcTjllvOzkDeXjOKhZqwikG7T0oFKj"
    "OLNGIRPMPGgG3v4AppJu3kxHENYcnCT1zXDh9Wp8aBMd4cX2qE8hn4Z8RMWKmRzF0wabWnGdCRzDZDFqxReVHV0q8VXHZtTo9dmpW4yibGJgBTfXMrBz"
    "y_dLNickIYw4CrgY_vUVYDWLNe8eD4imE417fe-z57DJphxwe8zyKYuH972dtohvrHP_cvLvSCeWcoYGolzjfc6wnuXC2U7E8394B0tliEUMEeWWVjSI"
    "LRYOWULS99ntHe3JN3dEfuOENp9YE-9v5MNE1HcGis9byIAcophlCzXcc8hp0F7oJUOe9tirBa9RKSNVQFgQ6rjizV15zOzftFuYx_rj0mwmzi4sVuDP"
    "je79kxIvAEmNHII4VqZdeURKGvPcFhCzwS0nEf4bmAXko2AxmQ"
)


def root(modulus: str) -> PublicKey:
    return read_jwk({"kty": "RSA", "n": modulus, "e": "AQAB"}, "root")


def opened(data: bytes, *keys: PublicKey, companions: Mapping[str, bytes] | None = None) -> Artifact:
    beside = {name: BytesSource(name, content) for name, content in (companions or {}).items()}
    context = Context(keys=KeyRing.of(keys=keys), as_of=AS_OF, companions=beside)
    return open_artifact(BytesSource("update.json", data), context)


def outcome(data: bytes, *keys: PublicKey) -> Outcome:
    (signature,) = opened(data, *keys).signatures
    return signature.outcome


def codes(artifact: Artifact) -> set[str]:
    return Kit.codes(artifact)


class Keys:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root, self.signer, self.other = (new_key(folder, name) for name in ("root", "signer", "other"))

    def public(self, path: Path) -> PublicKey:
        run("openssl", "pkey", "-in", path, "-pubout", "-out", self.folder / "public.pem")
        return read_public_key((self.folder / "public.pem").read_bytes(), path.name)


@pytest.fixture(scope="module")
def made(tool: Any, tmp_path_factory: pytest.TempPathFactory) -> Keys:
    tool("openssl", "version")
    return Keys(tmp_path_factory.mktemp("azure"))


TEXT = json.dumps(manifest({"firmware.bin": IMAGE}))


def test_the_deployment_of_the_corpus(corpus: Path, expected: Any) -> None:
    data = (corpus / "azure-adu" / "updateManifest-good.json").read_bytes()
    assert expected["azure-adu"]["updateManifest-good.json"]["jws"].startswith("RS256")
    artifact = opened(data, root(ROOT_200702))
    (signature,) = artifact.signatures
    assert (signature.outcome, signature.algorithm, signature.hash) == (Outcome.VALID, "rsa-pkcs1v15", "sha-256")
    assert signature.key.name == "root"
    assert (artifact.version.version, artifact.hardware) == ("20.0", ("contoso/virtual-vacuum-v1",))
    assert [image.size for image in artifact.images] == [136, 1031]
    assert codes(artifact) == {"plaintext-url"}
    assert not artifact.coverage.uncovered
    assert outcome(data) is Outcome.KEY_UNKNOWN
    assert outcome(data, root(ROOT_200703)) is Outcome.INVALID
    assert outcome(data, root(ROOT_200703), root(ROOT_200702)) is Outcome.VALID


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"20.0", b"20.1"),
        (b'"action": 3', b'"action": 4'),
        (b"Uk1vsEL", b"Vk1vsEL"),
        (b'"updateManifestSignature": "eyJ', b'"updateManifestSignature": "eyK'),
        (b'"updateManifestSignature": "e', b'"updateManifestSignature": "'),
        (b'"updateManifestSignature"', b'"updateManifestSignatures"'),
    ],
)
def test_variants_of_the_corpus(corpus: Path, old: bytes, new: bytes) -> None:
    data = (corpus / "azure-adu" / "updateManifest-good.json").read_bytes()
    spaced = json.dumps(json.loads(data)).encode()
    assert old in spaced
    found = outcome(spaced.replace(old, new), root(ROOT_200702))
    if b"action" in old:  # nobody signs it
        assert found is Outcome.VALID
    else:
        assert found is (Outcome.ABSENT if b"Signatures" in new else Outcome.INVALID)


def test_every_part_of_the_corpus_signature_matters(corpus: Path) -> None:
    value = json.loads((corpus / "azure-adu" / "updateManifest-good.json").read_bytes())
    text = value["updateManifestSignature"]
    for at in range(0, len(text), 97):
        value["updateManifestSignature"] = text[:at] + ("A" if text[at] != "A" else "B") + text[at + 1 :]
        assert outcome(json.dumps(value).encode(), root(ROOT_200702)) is Outcome.INVALID, at


def test_what_openssl_signed(made: Keys) -> None:
    data = deployment(TEXT, signed(TEXT, made.root, made.signer))
    good = opened(data, made.public(made.root), companions={"firmware.bin": IMAGE})
    assert good.signatures[0].outcome is Outcome.VALID
    assert good.version.authentic
    assert [check.matches for check in good.images[0].digests] == [True]
    assert codes(good) == set()
    wrong = opened(data, made.public(made.root), companions={"firmware.bin": IMAGE + b"!"})
    assert codes(wrong) == {"digest-mismatch", "malformed"}
    assert opened(data).images[0].digests[0].matches is None
    assert outcome(data, made.public(made.other)) is Outcome.INVALID


def test_a_declared_signing_key_is_enough_unless_a_declared_root_refuses_it(made: Keys) -> None:
    data = deployment(TEXT, signed(TEXT, made.root, made.signer))
    found = opened(data, made.public(made.signer)).signatures[0]
    assert (found.outcome, found.key.name) == (Outcome.VALID, "signer")
    both = opened(data, made.public(made.signer), made.public(made.root)).signatures[0]
    assert both.outcome is Outcome.VALID
    assert outcome(data, made.public(made.signer), made.public(made.other)) is Outcome.INVALID
    forged = deployment(TEXT, signed(TEXT, made.other, made.other))
    assert outcome(forged, made.public(made.root)) is Outcome.INVALID
    assert outcome(forged, made.public(made.signer)) is Outcome.INVALID


def test_a_key_that_the_root_did_not_sign_is_no_signer(made: Keys) -> None:
    public = made.public(made.root)
    assert outcome(deployment(TEXT, signed(TEXT, made.root, made.other, key=made.signer)), public) is Outcome.INVALID
    assert outcome(deployment(TEXT, signed(TEXT, made.other, made.signer)), public) is Outcome.INVALID


def test_algorithms_that_are_none_or_a_mac(made: Keys) -> None:
    public = made.public(made.root)
    for name, wanted in (("none", Outcome.INVALID), ("HS256", Outcome.UNDECIDABLE), ("ES256", Outcome.KEY_UNKNOWN)):
        text = signed(TEXT, made.root, made.signer, header={"alg": name})
        found = outcome(deployment(TEXT, text), public)
        assert found is not Outcome.VALID
        assert found is wanted


def test_a_jws_without_a_nested_key_is_judged_by_the_declared_ones(made: Keys) -> None:
    digest = json.loads(base64.urlsafe_b64decode(signed(TEXT, made.root, made.signer).split(".")[1] + "=="))
    text = jws({"alg": "RS256"}, digest, made.signer)
    assert outcome(deployment(TEXT, text), made.public(made.signer)) is Outcome.VALID
    assert outcome(deployment(TEXT + " ", text), made.public(made.signer)) is Outcome.INVALID
    assert outcome(deployment(TEXT, text)) is Outcome.KEY_UNKNOWN


@pytest.mark.parametrize(
    "signature", ["dummy", "a.b.c", "{}", "eyJhbGciOiJSUzI1NiJ9.e30.AA", "eyJhbGciOiJSUzI1NiJ9.W10.AA", "\ud800"]
)
def test_a_signature_that_is_none_is_invalid(signature: str) -> None:
    assert outcome(deployment(TEXT, signature)) is Outcome.INVALID


@pytest.mark.parametrize("sjwk", [1, "x", "e30.e30.AA"])
def test_a_nested_key_that_is_none_is_invalid(made: Keys, sjwk: Any) -> None:
    text = jws({"alg": "RS256", "sjwk": sjwk}, {"sha256": "AA"}, made.signer)
    assert outcome(deployment(TEXT, text), made.public(made.signer)) is Outcome.INVALID


def test_a_private_key_in_the_header_is_refused(made: Keys) -> None:
    inner = jws({"alg": "RS256", "kid": "x"}, {**jwk(made.signer), "d": "AQ"}, made.root)
    text = jws({"alg": "RS256", "sjwk": inner}, {"sha256": "AA"}, made.signer)
    assert outcome(deployment(TEXT, text), made.public(made.root)) is Outcome.INVALID


# Other documents


def test_bare_manifests_are_unsigned() -> None:
    value = json.loads(TEXT)
    importing = {**value, "files": list(value["files"].values())}
    for item, word in ((value, "update manifest"), (importing, "import manifest")):
        artifact = opened(json.dumps(item).encode())
        assert artifact.signatures[0].outcome is Outcome.ABSENT
        assert codes(artifact) == {"unsigned"}
        assert artifact.title.endswith(word)
        assert artifact.coverage.uncovered == artifact.coverage.payload
        assert artifact.images[0].id == "firmware.bin"


def test_a_device_twin_around_a_deployment(made: Keys) -> None:
    inner = json.loads(deployment(TEXT, signed(TEXT, made.root, made.signer)))
    for value in (
        {"deviceUpdate": {"service": inner}},
        {"properties": {"desired": {"deviceUpdate": {"service": inner}}}},
    ):
        assert outcome(json.dumps(value).encode(), made.public(made.root)) is Outcome.VALID


def test_a_root_key_package(made: Keys) -> None:
    data = package(made.root, made.other)
    both = opened(data, made.public(made.root), made.public(made.other))
    assert [signature.outcome for signature in both.signatures] == [Outcome.VALID] * 2
    one = opened(data, made.public(made.root))
    assert [signature.outcome for signature in one.signatures] == [Outcome.VALID, Outcome.INVALID]
    assert (one.version.sequence, one.version.authentic) == (3, True)
    changed = opened(data.replace(b'"sample.old"', b'"sample.new"'), made.public(made.root))
    assert changed.signatures[0].outcome is Outcome.INVALID
    spaced = json.dumps(json.loads(data), indent=1).encode()
    assert opened(spaced, made.public(made.root)).signatures[0].outcome is Outcome.VALID
    for entry, wanted in (
        ({}, Outcome.INVALID),
        ({"alg": "RS256", "sig": "!"}, Outcome.INVALID),
        ({"alg": "HS256", "sig": "AA"}, Outcome.UNDECIDABLE),
        ({"alg": 1, "sig": "AA"}, Outcome.UNDECIDABLE),
    ):
        value = {**json.loads(data), "signatures": [entry]}
        assert outcome(json.dumps(value).encode(), made.public(made.root)) is wanted
    none = opened(json.dumps({**json.loads(data), "signatures": []}).encode())
    assert codes(none) == {"unsigned"}


def test_the_root_key_package_of_a_test() -> None:
    """Published in Azure/iot-hub-device-update src/utils/root_key_utils/tests; the signature there is of other keys."""
    protected = {
        "version": 1,
        "published": 1675972876,
        "disabledRootKeys": [],
        "disabledSigningKeys": [],
        "rootKeys": {},
    }
    data = json.dumps({"protected": {**protected, "isTest": True}, "signatures": [{"alg": "RS256", "sig": "AA"}]})
    artifact = opened(data.encode())
    assert artifact.signatures[0].outcome is Outcome.KEY_UNKNOWN
    assert ("test package", "yes") in artifact.facts


# What is odd, and refusals


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"compatibility": []}, "no-hardware-id"),
        ({"files": {"f0": {"fileName": "x", "hashes": {"sha256": "abc123"}}}}, "missing-digest"),
        ({"files": {"f0": {"fileName": "x"}}}, "missing-digest"),
        ({"files": {"f0": {"fileName": "x", "hashes": {"sha256": 5}}}}, "missing-digest"),
    ],
)
def test_what_a_manifest_lacks_is_told(change: Any, code: str) -> None:
    assert codes(opened(json.dumps({**json.loads(TEXT), **change}).encode())) == {"unsigned", code}


def test_a_signed_manifest_covers_no_file_without_a_digest_and_nothing_that_a_further_manifest_names(
    made: Keys,
) -> None:
    value = json.loads(TEXT)
    for change in ("digest", "child"):
        changed = json.loads(TEXT)
        if change == "digest":
            changed["files"]["f1"] = {"fileName": "script.sh", "sizeInBytes": 5}
        else:
            changed["instructions"]["steps"].append({"type": "reference", "detachedManifestFileId": "f0"})
        for manifest_ in (value, changed):
            text = json.dumps(manifest_)
            data = deployment(text, signed(text, made.root, made.signer))
            found = opened(data, made.public(made.root), companions={"firmware.bin": IMAGE})
            assert found.signatures[0].outcome is Outcome.VALID
            expected = ((), ()) if manifest_ is value else ((), found.coverage.payload)
            open_ = (found.coverage.uncovered, found.coverage.undecided)
            assert open_ == (expected if change == "child" else expected[::-1])
            assert found.coverage.size_bound is (True if manifest_ is value else None if change == "child" else False)


def test_related_files_and_reference_steps_are_listed() -> None:
    value = json.loads(TEXT)
    value["files"]["f0"]["relatedFiles"] = {"d0": {"fileName": "delta", "hashes": {}}, "d1": 5}
    value["instructions"]["steps"].append({"type": "reference", "detachedManifestFileId": "f0"})
    artifact = opened(json.dumps(value).encode())
    assert [(image.id, image.role) for image in artifact.images] == [("firmware.bin", "metadata"), ("delta", "image")]


@pytest.mark.parametrize(
    "text",
    [
        '{"updateManifest": {}}',
        '{"updateManifest": "[]"}',
        '{"updateManifest": "{"}',
        '{"updateManifest": "\\ud800"}',
        '{"updateManifest": "{}", "a": {"updateManifest": "{}"}}',
        '{"updateManifest": "{}", "updateManifest": "{}"}',
        '{"updateId": 1, "manifestVersion": "4"}',
        '{"updateId": {}, "manifestVersion": "4", "files": 1}',
        '{"updateId": {}, "manifestVersion": "4", "files": [1]}',
        '{"updateId": {}, "manifestVersion": "4", "compatibility": 1}',
        '{"updateId": {}, "manifestVersion": "4", "instructions": {"steps": 1}}',
        '{"updateId": {}, "manifestVersion": "4", "files": {"a": {"hashes": 1}}}',
        '{"protected": 1, "signatures": [], "rootKeys": 1, "disabledRootKeys": 1}',
        '{"protected": {"rootKeys": {}, "disabledRootKeys": []}, "signatures": 1}',
        '{"updateId": 1, "manifestVersion": "4"',
        '{"a": "updateManifest", "updateManifest"',
    ],
)
def test_documents_that_break_their_form_are_refused(text: str) -> None:
    with pytest.raises(FormatError):
        opened(text.encode())


@pytest.mark.parametrize("text", ["{}", "[]", "text", '{"updateId": 1}'])
def test_other_json_is_not_claimed(text: str) -> None:
    with pytest.raises(UnknownFormatError):
        opened(text.encode())
    with pytest.raises(FormatError):
        open_artifact(BytesSource("x", text.encode()), Context(keys=KeyRing.empty(), as_of=AS_OF), "azure-adu")


def test_large_documents_and_many_files_are_refused() -> None:
    huge = BytesSource("x", b'{"updateManifest": "' + bytes(_azure_manifest.MAX_DOCUMENT))
    context = Context(keys=KeyRing.empty(), as_of=AS_OF)
    assert not azure_adu.FORMAT.detect(huge, context)
    with pytest.raises(FormatError, match="MAX_DOCUMENT"):
        open_artifact(huge, context, "azure-adu")
    many = {**json.loads(TEXT), "files": {str(number): {} for number in range(_azure_manifest.MAX_FILES + 1)}}
    with pytest.raises(FormatError, match="MAX_FILES"):
        opened(json.dumps(many).encode())


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 7))
def test_a_flipped_bit_gives_an_artifact_or_a_format_error(place: int, bit: int) -> None:
    data = bytearray(deployment(TEXT, f"{b64url({'alg': 'RS256', 'sjwk': 'e30.e30.AA'})}.e30.AA"))
    data[place % len(data)] ^= 1 << bit
    try:
        artifact = opened(bytes(data))
    except FormatError:
        return
    assert artifact.signatures[0].outcome in {Outcome.INVALID, Outcome.ABSENT}
