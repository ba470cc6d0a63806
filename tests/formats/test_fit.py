"""FIT images made by mkimage; openssl judges the signatures over bytes that are put together here a second time."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from checker.crypto.key_files import read_public_keys
from checker.crypto.keyring import KeyRing, read_decryption_key
from checker.crypto.keys import from_spki
from checker.errors import FormatError, KeyMaterialError, LimitError, UnknownFormatError
from checker.formats import _fit_layout, _fit_signature
from checker.formats._open import open_artifact
from checker.formats.contract import Context
from checker.io.devicetree import read_tree
from checker.io.sources import BytesSource
from checker.model.artifact import INEXPRESSIBLE, Artifact
from checker.model.terms import Outcome
from samples.build.formats.fit import Bench, configuration, image, signature, tree

pytestmark = pytest.mark.skipif(
    any(shutil.which(name) is None for name in ("mkimage", "dtc", "fdtput")), reason="mkimage or dtc is not installed"
)
HASHES = ("sha1", "sha256", "sha384", "sha512")
CRYPTOS = {"rsa2048": "dev", "rsa3072": "middle", "rsa4096": "large"}


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    made = Bench(tmp_path_factory.mktemp("fit"))
    made.rsa("middle", 3072)
    return made


def key_of(bench: Bench, name: str) -> Any:
    private = next(path for path in (bench.keys / f"{name}.key", bench.keys / f"{name}.pem") if path.exists())
    public = subprocess.run(["openssl", "pkey", "-in", private, "-pubout"], capture_output=True, check=True).stdout
    return read_public_keys(public, name)[0]


def opened(data: bytes, *keys: Any, secret: bytes = b"", control: bytes = b"") -> Artifact:
    decryption = [read_decryption_key(secret, "secret")] if secret else []
    ring = KeyRing.of(keys=keys, decryption=decryption)
    companions = {"control": BytesSource("control.dtb", control)} if control else {}
    context = Context(keys=ring, as_of="2026-11-01T00:00:00Z", companions=companions)
    return open_artifact(BytesSource("x.itb", data), context)


def codes(artifact: Artifact) -> list[str]:
    return sorted(weakness.code for weakness in artifact.weaknesses)


def outcomes(artifact: Artifact) -> list[str]:
    return [item.outcome.value for item in artifact.signatures]


def algorithms() -> Iterator[tuple[str, str, bool]]:
    for hash_name in HASHES:
        for crypto, hint in CRYPTOS.items():
            yield f"{hash_name},{crypto}", hint, False
            if hash_name != "sha1":
                yield f"{hash_name},{crypto}", hint, True
    for hash_name in ("sha1", "sha256"):
        yield f"{hash_name},ecdsa256", "ec", False


@pytest.mark.parametrize(("algo", "hint", "pss"), list(algorithms()))
def test_every_algorithm_of_mkimage_verifies_and_no_other_key_does(
    bench: Bench, algo: str, hint: str, *, pss: bool
) -> None:
    data = bench.make(tree(configurations=[configuration(signed=signature(algo, hint, pss=pss))]))
    good = opened(data, key_of(bench, hint))
    assert outcomes(good) == ["valid"]
    assert good.coverage.uncovered == ()
    (found,) = good.signatures
    wanted = "ecdsa" if hint == "ec" else "rsa-pss" if pss else "rsa-pkcs1v15"
    assert (found.algorithm, found.hash.replace("-", "")) == (wanted, algo.partition(",")[0])
    other = opened(data, key_of(bench, "stranger"))
    assert outcomes(other) == ["invalid" if hint == "dev" else "key_unknown"]


def signed_bytes(data: bytes) -> bytes:
    """Return what the signature of conf-1 is over, by a walk of its own that trusts the file's list of nodes."""
    structure, strings = int.from_bytes(data[8:12], "big"), int.from_bytes(data[12:16], "big")
    listed = {
        "/",
        "/configurations/conf-1",
        "/images/kernel",
        "/images/kernel/hash-1",
        "/images/fdt",
        "/images/fdt/hash-1",
    }
    out, path, at = bytearray(), [], structure
    names = data[strings:]
    while True:
        tag = int.from_bytes(data[at : at + 4], "big")
        begin, at = at, at + 4
        if tag == 1:
            end = data.index(b"\0", at)
            path.append(data[at:end].decode())
            at = (end + 4) & ~3 if (end + 1) % 4 else end + 1
            here = "/" + "/".join(path[1:])
            above = "/" + "/".join(path[1:-1])
            if here in listed or above in listed:
                out += data[begin:at]
        elif tag == 2:
            here, above = "/" + "/".join(path[1:]), "/" + "/".join(path[1:-1])
            if here in listed or above in listed:
                out += data[begin:at]
            path.pop()
        elif tag == 3:
            size, place = int.from_bytes(data[at : at + 4], "big"), int.from_bytes(data[at + 4 : at + 8], "big")
            at += 8 + size + -size % 4
            name = names[place : names.index(b"\0", place)].decode()
            if "/" + "/".join(path[1:]) in listed and not name.startswith("data"):
                out += data[begin:at]
        elif tag == 9:
            out += data[begin:at]
            break
    return bytes(out)


@pytest.mark.parametrize(("algo", "hint"), [("sha256,rsa2048", "dev"), ("sha512,rsa4096", "large")])
def test_openssl_agrees_over_bytes_put_together_a_second_time(
    bench: Bench, tmp_path: Path, algo: str, hint: str
) -> None:
    data = bench.make(tree(configurations=[configuration(signed=signature(algo, hint))]))
    artifact = opened(data, key_of(bench, hint))
    (found,) = artifact.signatures
    assert found.where is not None
    strings = data[found.covers[-1].start : found.covers[-1].end]
    own = b"".join(data[span.start : span.end] for span in found.covers)
    assert own == signed_bytes(data) + strings
    (tmp_path / "sig").write_bytes(data[found.where.start : found.where.end])
    command: list[str | Path] = [
        "openssl",
        "dgst",
        f"-{algo.split(',', 1)[0]}",
        "-prverify",
        bench.keys / f"{hint}.key",
        "-signature",
        "sig",
    ]
    for content, wanted in ((own, 0), (own[:-1] + b"x", 1)):
        done = subprocess.run(command, input=content, cwd=tmp_path, capture_output=True, check=False)
        assert done.returncode == wanted


@pytest.mark.parametrize(
    ("algo", "curve", "digest"),
    [
        ("sha384,ecdsa384", ec.SECP384R1(), hashes.SHA384()),
        ("sha512,secp521r1", ec.SECP521R1(), hashes.SHA512()),
    ],
)
def test_curves_that_only_newer_tools_sign_with(
    bench: Bench, algo: str, curve: ec.EllipticCurve, digest: hashes.HashAlgorithm
) -> None:
    """The signature node is not part of what is signed, so another one can be put in after mkimage."""
    path = "/configurations/conf-1/signature-1"
    data = bench.make(tree(configurations=[configuration(signed=signature("sha256,ecdsa256", "ec"))]))
    data = bench.put(data, "-t s", path, "algo", algo)
    found = read_tree(BytesSource("x.itb", data))
    size = int.from_bytes((found.nodes[path].value("hashed-strings") or b"")[4:], "big")
    message = signed_bytes(data) + data[found.strings.start : found.strings.start + size]
    private = ec.generate_private_key(curve)
    width = (curve.key_size + 7) // 8
    numbers = decode_dss_signature(private.sign(message, ec.ECDSA(digest)))
    value = b"".join(number.to_bytes(width, "big") for number in numbers)
    key = from_spki(private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo), "new")
    good = bench.put(data, "-t bx", path, "value", *(f"{byte:x}" for byte in value))
    assert outcomes(opened(good, key)) == ["valid"]
    assert opened(good, key).coverage.uncovered == ()
    bad = bench.put(data, "-t bx", path, "value", *(f"{byte:x}" for byte in value[:-1] + bytes([value[-1] ^ 1])))
    assert outcomes(opened(bad, key)) == ["invalid"]
    assert outcomes(opened(good, key_of(bench, "ec"))) == ["key_unknown"]


def test_a_signature_that_leaves_the_names_out_covers_nothing(bench: Bench) -> None:
    path = "/configurations/conf-1/signature-1"
    data = bench.make(tree(configurations=[configuration(signed=signature("sha256,ecdsa256", "ec"))]))
    bare = bench.put(data, "-d", path, "hashed-strings")
    private = ec.generate_private_key(ec.SECP256R1())
    numbers = decode_dss_signature(private.sign(signed_bytes(bare), ec.ECDSA(hashes.SHA256())))
    value = b"".join(number.to_bytes(32, "big") for number in numbers)
    key = from_spki(private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo), "new")
    artifact = opened(bench.put(bare, "-t bx", path, "value", *(f"{byte:x}" for byte in value)), key)
    assert outcomes(artifact) == ["valid"]
    assert codes(artifact) == ["unprotected-metadata"]
    assert artifact.coverage.uncovered == artifact.coverage.payload
    assert not any(check.authentic for item in artifact.images for check in item.digests)


def test_dumpimage_reads_the_same_images(bench: Bench, tmp_path: Path) -> None:
    if shutil.which("dumpimage") is None:
        pytest.skip("dumpimage is not installed")
    for options in ((), ("-E",), ("-E", "-p", "0x4000"), ("-E", "-B", "0x100")):
        (tmp_path / "x.itb").write_bytes(data := bench.make(tree(), *options))
        artifact = opened(data, key_of(bench, "dev"))
        assert outcomes(artifact) == ["valid"]
        for number, item in enumerate(artifact.images):
            words = ["dumpimage", "-T", "flat_dt", "-p", str(number), "-o", "out", "x.itb"]
            subprocess.run(words, cwd=tmp_path, check=True, capture_output=True)
            assert item.source is not None
            assert (tmp_path / "out").read_bytes() == item.source.read(0, item.size)


# Keys


def test_a_control_tree_gives_its_keys(bench: Bench) -> None:
    control = bench.control()
    rsa = bench.make(tree(), control=control)
    ec = bench.make(tree(configurations=[configuration(signed=signature("sha256,ecdsa256", "ec"))]), control=control)
    keys = read_public_keys(control.read_bytes(), "control.dtb")
    assert {key.facts.name for key in keys} == {"dev", "ec"}
    assert {key.spki_sha256 for key in keys} == {key_of(bench, name).spki_sha256 for name in ("dev", "ec")}
    for data in (rsa, ec):
        assert outcomes(opened(data, *keys)) == ["valid"]


def test_a_control_tree_without_keys_or_damaged_is_refused(bench: Bench) -> None:
    empty = bench.control().read_bytes()
    with pytest.raises(KeyMaterialError, match="without a public key"):
        read_public_keys(empty, "control.dtb")
    with pytest.raises(KeyMaterialError, match="damaged device tree"):
        read_public_keys(empty[:50], "control.dtb")
    other = bench.put(empty, "-p -t s", "/signature/key-x", "ecdsa,curve", "brainpool")
    with pytest.raises(KeyMaterialError, match="known curve"):
        read_public_keys(other, "control.dtb")


def test_the_control_tree_says_what_is_required(bench: Bench) -> None:
    control = bench.control()
    data = bench.make(tree(), control=control)
    artifact = opened(data, key_of(bench, "dev"), control=control.read_bytes())
    assert ("keys that the control tree requires", "dev (conf); mode all") in artifact.facts
    assert codes(artifact) == []
    none = opened(data, key_of(bench, "dev"), control=bench.control().read_bytes())
    assert ("keys that the control tree requires", "none") in none.facts
    with pytest.raises(FormatError, match="control tree is damaged"):
        opened(data, control=control.read_bytes()[:60])


def test_keys_of_the_companion_are_no_trust(bench: Bench) -> None:
    control = bench.control()
    data = bench.make(tree(), control=control)
    assert outcomes(opened(data, control=control.read_bytes())) == ["key_unknown"]


# What is covered


def test_a_hash_that_uboot_ignores_protects_nothing(bench: Bench) -> None:
    ignored = 'hash-1 { algo = "sha256"; uboot-ignore = <1>; };'
    data = bench.make(tree([image("kernel", "kernel", "", extra=ignored), image("fdt", "flat_dt")]))
    artifact = opened(data, key_of(bench, "dev"))
    assert outcomes(artifact) == ["valid"]
    assert codes(artifact) == ["missing-digest", "unprotected-member"]
    assert sum(span.size for span in artifact.coverage.uncovered) == 2048


def test_a_dm_verity_root_that_the_signature_leaves_out_is_told(bench: Bench) -> None:
    verity = 'dm-verity { algo = "sha256"; digest = [00]; };'
    data = bench.make(tree([image("kernel", "kernel", extra=verity), image("fdt", "flat_dt")]))
    artifact = opened(data, key_of(bench, "dev"))
    assert codes(artifact) == ["unprotected-member"]
    assert sum(span.size for span in artifact.coverage.uncovered) == 2048


def test_several_hashes_must_all_match(bench: Bench) -> None:
    two = [image("kernel", "kernel", "crc32 sha256"), image("fdt", "flat_dt")]
    data = bench.make(tree(two))
    good = opened(data, key_of(bench, "dev"))
    assert (good.coverage.uncovered, codes(good)) == ((), [])
    assert [check.algorithm for check in good.images[0].digests] == ["crc-32", "sha-256"]
    assert all(check.matches and check.authentic for check in good.images[0].digests)


def test_an_unknown_hash_leaves_the_image_undecided(bench: Bench) -> None:
    data = bench.make(tree()).replace(b"sha256\0\0", b"sha3xx\0\0")
    artifact = opened(data)
    assert sum(span.size for span in artifact.coverage.undecided) == 2560
    assert all(check.matches is None for item in artifact.images for check in item.digests)


def test_an_unknown_signature_algorithm_is_undecidable(bench: Bench) -> None:
    data = bench.make(tree()).replace(b"sha256,rsa2048\0", b"sha256,lms0002\0")
    assert outcomes(opened(data, key_of(bench, "dev"))) == ["undecidable"]


def test_a_node_without_a_value_is_still_to_be_signed(bench: Bench) -> None:
    data = bench.put(bench.make(tree()), "-d", "/configurations/conf-1/signature-1", "value")
    artifact = opened(data, key_of(bench, "dev"))
    assert outcomes(artifact) == ["absent"]
    assert codes(artifact) == ["unsigned"]


def test_a_short_value_is_invalid(bench: Bench) -> None:
    path = "/configurations/conf-1/signature-1"
    data = bench.put(bench.make(tree()), "-t bx", path, "value", "1", "2")
    assert outcomes(opened(data, key_of(bench, "dev"))) == ["invalid"]
    other = bench.make(tree(configurations=[configuration(signed=signature("sha256,ecdsa256", "ec"))]))
    zero = bench.put(other, "-t bx", path, "value", *["0"] * 64)
    assert outcomes(opened(zero, key_of(bench, "ec"))) == ["invalid"]


def test_more_signed_strings_than_there_are_is_invalid(bench: Bench) -> None:
    path = "/configurations/conf-1/signature-1"
    data = bench.put(bench.make(tree()), "-t x", path, "hashed-strings", "0", "ffffff")
    assert outcomes(opened(data, key_of(bench, "dev"))) == ["invalid"]
    short = bench.put(data, "-t x", path, "hashed-strings", "0")
    with pytest.raises(FormatError, match="two numbers"):
        opened(short)


def test_rockchips_rollback_index_is_the_sequence(bench: Bench) -> None:
    data = bench.make(tree(configurations=[configuration(more="rollback-index = <5>;")]))
    signed = opened(data, key_of(bench, "dev"))
    assert (signed.version.sequence, signed.version.authentic) == (5, True)
    assert opened(data).version.authentic is None
    assert opened(data, key_of(bench, "stranger")).version.authentic is False
    assert opened(bench.make(tree())).version.sequence is INEXPRESSIBLE


# Encryption


def test_an_image_is_decrypted_with_the_declared_key(bench: Bench) -> None:
    cipher = 'cipher { algo = "aes256"; key-name-hint = "aes"; };'
    source = tree([image("kernel", "kernel", cipher=cipher), image("fdt", "flat_dt")])
    data = bench.make(source, control=bench.control())
    plain = (bench.folder / "kernel.bin").read_bytes()
    artifact = opened(data, key_of(bench, "dev"), secret=(bench.keys / "aes.bin").read_bytes())
    kernel = artifact.images[0]
    assert kernel.encryption.decrypted is True
    assert (kernel.encryption.cipher, kernel.encryption.mode, kernel.encryption.key_bits) == ("aes", "cbc", 256)
    assert kernel.encryption.authenticated is True
    assert kernel.source is not None
    assert kernel.source.read(0, kernel.source.size) == plain
    wrong = opened(data, secret=bytes(32)).images[0]
    assert (wrong.encryption.decrypted, wrong.source) == (False, None)
    assert opened(data).images[0].encryption.decrypted is None


def test_random_plaintext_is_not_called_proved(bench: Bench) -> None:
    noise = hashlib.shake_256(b"noise").digest(2048)
    (bench.folder / "noise.bin").write_bytes(noise)
    cipher = 'cipher { algo = "aes256"; key-name-hint = "aes"; };'
    node = image("noise", "kernel", cipher=cipher)
    plain = configuration(signed="").replace('"kernel"', '"noise"').replace('fdt = "fdt";', "")
    data = bench.make(tree([node], [plain]), control=bench.control())
    found = opened(data, secret=(bench.keys / "aes.bin").read_bytes()).images[0]
    assert found.encryption.decrypted is None
    assert "no digest of the plaintext" in found.encryption.note


def test_an_iv_of_the_control_tree_opens_the_image(bench: Bench) -> None:
    cipher = 'cipher { algo = "aes256"; key-name-hint = "aes"; iv-name-hint = "iv"; };'
    control = bench.control()
    data = bench.make(tree([image("kernel", "kernel", cipher=cipher), image("fdt", "flat_dt")]), control=control)
    artifact = opened(data, key_of(bench, "dev"), control=control.read_bytes())
    assert artifact.images[0].encryption.decrypted is True
    assert artifact.images[0].encryption.key_in_clear is True
    assert codes(artifact) == ["key-in-clear"]


def test_a_plain_image_that_is_called_encrypted_is_doubted(bench: Bench) -> None:
    data = bench.put(bench.make(tree()), "-p -t s", "/images/kernel/cipher", "algo", "aes256")
    artifact = opened(data)
    assert artifact.images[0].encryption.encrypted is False
    assert "repeated-blocks" in codes(artifact)
    unknown = bench.put(data, "-t s", "/images/kernel/cipher", "algo", "rot13")
    assert "unknown" in opened(unknown).images[0].encryption.note


def test_what_single_images_and_free_configurations_lack_is_told(bench: Bench) -> None:
    alone = [image("kernel", "kernel", extra=signature(images="")), image("fdt", "flat_dt", "")]
    artifact = opened(bench.make(tree(alone, [configuration(signed="")])), key_of(bench, "dev"))
    assert codes(artifact) == ["missing-digest", "mix-and-match", "unprotected-metadata"]
    kernel, fdt = artifact.images
    assert kernel.span not in artifact.coverage.uncovered
    assert fdt.span in artifact.coverage.uncovered


def test_the_default_of_several_signed_configurations_is_not_protected(bench: Bench) -> None:
    one = opened(bench.make(tree()), key_of(bench, "dev"))
    two = opened(bench.make(tree(configurations=[configuration(), configuration("conf-2")])), key_of(bench, "dev"))
    assert one.coverage.unprotected_metadata == ()
    assert two.coverage.unprotected_metadata == ("default configuration",)


def test_damage_to_one_of_two_images_uncovers_that_one(bench: Bench) -> None:
    data = bench.make(tree())
    place = data.index(b"otaudit sample: device tree")
    artifact = opened(data[:place] + b"O" + data[place + 1 :], key_of(bench, "dev"))
    assert [span.size for span in artifact.coverage.uncovered] == [512]
    assert codes(artifact) == ["digest-mismatch"]


# Refused or doubted


def poked(data: bytes, path: str, name: str, value: int) -> bytes:
    """Return the file with one number changed where it lies; fdtput would move what lies behind the tree."""
    span = read_tree(BytesSource("x.itb", data)).nodes[path].properties[name].value
    return data[: span.start] + value.to_bytes(span.size, "big") + data[span.end :]


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("data-offset", 100, "overlaps the data of kernel"),
        ("data-offset", 1 << 20, "ends behind the file"),
        ("data-size", 1 << 20, "ends behind the file"),
    ],
)
def test_external_data_that_overlap_or_lie_outside_are_refused(bench: Bench, name: str, value: int, text: str) -> None:
    with pytest.raises(FormatError, match=text):
        opened(poked(bench.make(tree(), "-E"), "/images/fdt", name, value))


def test_external_data_inside_the_tree_are_refused(bench: Bench) -> None:
    data = bench.make(tree(), "-E", "-p", "0x4000")
    assert outcomes(opened(data, key_of(bench, "dev"))) == ["valid"]
    with pytest.raises(FormatError, match="overlaps the tree"):
        opened(poked(data, "/images/fdt", "data-position", 0x40))
    cut = bench.put(data, "-d", "/images/fdt", "data-size")  # fdtput keeps the tree only
    with pytest.raises(FormatError, match="without data-size"):
        opened(cut.ljust(0x4000, b"\0") + data[0x4000:])


def test_embedded_data_that_external_data_shadow_are_told(bench: Bench) -> None:
    data = bench.make(tree(), "-E", "-p", "0x4000")
    both = bench.put(data, "-t bx", "/images/fdt", "data", "1")
    artifact = opened(both.ljust(0x4000, b"\0") + data[0x4000:], key_of(bench, "dev"))
    assert outcomes(artifact) == ["valid"]
    assert codes(artifact) == ["malformed"]


def test_an_image_without_data_is_told(bench: Bench) -> None:
    data = bench.put(bench.make(tree()), "-d", "/images/fdt", "data")
    assert "malformed" in codes(opened(data))


def test_a_default_that_is_not_there_is_told(bench: Bench) -> None:
    data = bench.put(bench.make(tree()), "-t s", "/configurations", "default", "conf-7")
    assert codes(opened(data, key_of(bench, "dev"))) == ["missing-member"]


def test_a_hash_without_a_value_is_told(bench: Bench) -> None:
    data = bench.put(bench.make(tree()), "-d", "/images/fdt/hash-1", "value")
    assert {"malformed", "missing-digest"} <= set(codes(opened(data)))


def test_a_tree_without_images_is_no_fit(bench: Bench) -> None:
    with pytest.raises(UnknownFormatError, match="device tree"):
        opened(bench.control().read_bytes())
    context = Context(keys=KeyRing.empty(), as_of="2026-11-01T00:00:00Z")
    with pytest.raises(FormatError, match="no image"):
        open_artifact(BytesSource("c.dtb", bench.control().read_bytes()), context, "fit")


def test_a_legacy_image_is_named(tmp_path: Path) -> None:
    (tmp_path / "k").write_bytes(b"kernel")
    subprocess.run(
        ["mkimage", "-A", "arm", "-T", "kernel", "-d", "k", "out"], cwd=tmp_path, check=True, capture_output=True
    )
    with pytest.raises(UnknownFormatError, match="legacy U-Boot image"):
        opened((tmp_path / "out").read_bytes())


def test_limits_keep_the_work_small(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    began = time.monotonic()
    data = bench.make(tree())
    for module, name in (
        (_fit_layout, "MAX_IMAGES"),
        (_fit_layout, "MAX_HASHES"),
        (_fit_layout, "MAX_REFERENCES"),
        (_fit_signature, "MAX_SIGNED_NODES"),
        (_fit_signature, "MAX_TOKENS"),
        (_fit_signature, "MAX_SIGNED"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(module, name, 0)
            with pytest.raises(LimitError):
                opened(data)
    many = "".join(configuration(f"conf-{number}", "") for number in range(1, 400))
    assert len(opened(bench.make(tree(configurations=[many]), signed=False)).facts) > 400
    assert time.monotonic() - began < 10


def test_an_outcome_is_never_valid_without_a_declared_key(bench: Bench) -> None:
    for source in (tree(), tree([image("kernel", "kernel", extra=signature(images="")), image("fdt", "flat_dt")],
                                [configuration(signed="")])):  # fmt: skip
        artifact = opened(bench.make(source))
        assert {item.outcome for item in artifact.signatures} == {Outcome.KEY_UNKNOWN}


@pytest.mark.parametrize("algo", ["sha256,ecdsa256", "sha256,rsa9999", "blake2,rsa2048"])
def test_a_configuration_that_no_key_can_judge_is_not_covered_by_the_signature_of_another(
    bench: Bench, algo: str
) -> None:
    """A stranger adds a configuration with images of his own, and makes it the default one."""
    images = [image(name, "kernel") for name in ("kernel", "fdt", "ramdisk")]
    more = configuration("conf-2", signature("sha256,ecdsa256", "ec", images='"kernel"'))
    data = bench.make(tree(images, [configuration(), more.replace('kernel = "kernel"', 'kernel = "ramdisk"')]))
    data = bench.put(data, "-t s", "/configurations/conf-2/signature-1", "algo", algo)
    data = bench.put(data, "-t s", "/configurations", "default", "conf-2")
    artifact = opened(data, key_of(bench, "dev"))
    assert outcomes(artifact) == ["valid", "key_unknown" if algo == "sha256,ecdsa256" else "undecidable"]
    evil = next(item for item in artifact.images if item.id == "ramdisk")
    assert evil.span in artifact.coverage.undecided
    assert len(artifact.coverage.undecided) == 2  # and the configuration itself
    assert artifact.coverage.size_bound is False
    if algo == "sha256,ecdsa256":
        both = opened(data, key_of(bench, "dev"), key_of(bench, "ec"))
        assert outcomes(both) == ["valid", "valid"]
        assert (both.coverage.uncovered, both.coverage.undecided) == ((), ())
