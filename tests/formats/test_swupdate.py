from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from checker.crypto.key_files import read_public_keys
from checker.crypto.keyring import KeyRing
from checker.errors import FormatError, LimitError, UnknownFormatError
from checker.formats import _cpio, swupdate
from checker.formats._sw_description import read_description
from checker.io.digests import compute
from checker.io.limits import MAX_MEMBERS
from checker.io.sources import BytesSource
from checker.model.artifact import Span
from checker.model.terms import Outcome

IV = "00112233445566778899aabbccddeeff"
KEY = "0f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c4b5a69788796a5b4c3d2e1f0"
FIRMWARE = b"".join(b"%05d firmware line\n" % number for number in range(400))


def newc(
    members: Mapping[str, bytes] | list[tuple[str, bytes]], mode: int = 0o100644, magic: bytes = b"070702"
) -> bytes:
    """Return a cpio archive in the new ASCII form, a second implementation beside GNU cpio."""
    out = bytearray()
    for name, data in [*(members.items() if isinstance(members, Mapping) else members), ("TRAILER!!!", b"")]:
        fields = (0, mode if name != "TRAILER!!!" else 0, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name.encode()) + 1)
        out += magic + b"".join(b"%08x" % field for field in fields) + b"%08x" % (sum(data) & 0xFFFFFFFF)
        out += name.encode() + b"\x00"
        out += bytes(-len(out) % 4) + data
        out += bytes(-len(out) % 4)
    return bytes(out)


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def entry(name: str, data: bytes, *more: str, digest: str | None = None) -> str:
    stated = f'sha256 = "{sha(data) if digest is None else digest}";' if digest != "" else ""
    return f'{{ filename = "{name}"; device = "/dev/{name}"; {stated} {" ".join(more)} }}'


def describe(*entries: str, head: str = 'hardware-compatibility = ["1.0"];') -> bytes:
    return f'software = {{ version = "2.4.1"; {head} images: ( {", ".join(entries)} ); }}'.encode()


def aes(tool: Any, data: bytes, *, mode: str = "aes-256-cbc", key: str = KEY, iv: str = IV) -> bytes:
    return bytes(tool("openssl", "enc", f"-{mode}", "-K", key, "-iv", iv, data=data).stdout)


@pytest.fixture(scope="module")
def sign(tool: Any, pki: Path) -> Any:
    """Build an image whose description is signed with CMS: `sign(description, members)` returns its bytes."""

    def build(description: bytes, members: Mapping[str, bytes], signed: bytes | None = None) -> bytes:
        command = ("openssl", "cms", "-sign", "-binary", "-nosmimecap", "-signer", "rsa.pem", "-inkey", "rsa.key")
        text = description if signed is None else signed
        signature = tool(*command, "-outform", "DER", cwd=pki, data=text).stdout
        return newc({"sw-description": description, "sw-description.sig": signature, **members})

    return build


@pytest.fixture(scope="module")
def aes_key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("aes") / "fleet.key"
    path.write_text(f"{KEY} {IV}\n")
    return path


@pytest.mark.parametrize("name", ["output.swu", "signed_output.swu"])
def test_the_corpus_images_are_what_expected_yaml_says(kit: Any, corpus: Path, expected: Any, name: str) -> None:
    truth = expected["swupdate"][f"integration_output/{name}"]
    folder = corpus / "swupdate"
    image = kit.open(folder / "integration_output" / name, keys=[folder / "integration_input" / "signer.pub.pem"])
    absent = truth["signature"] == "absent"
    assert image.signatures[0].outcome is (Outcome.ABSENT if absent else Outcome.VALID)
    matching = [item for item in image.images if item.digests and item.digests[0].matches]
    assert f"{len(matching)} of {len(image.images)}" == truth["members_sha256"]
    assert any(item.encryption.encrypted for item in image.images) is truth["encrypted"]
    if absent:
        assert image.version.version == truth["version"]
        assert [float(item) for item in image.hardware] == truth["hardware"]
        assert image.coverage.uncovered == image.coverage.payload
    else:
        assert (image.signatures[0].algorithm, image.signatures[0].key.bits) == ("rsa-pkcs1v15", 2048)
        assert image.coverage.uncovered == ()


def test_one_flipped_bit_in_each_member_of_the_corpus_image_uncovers_it(kit: Any, corpus: Path) -> None:
    folder = corpus / "swupdate"
    ring = kit.ring(keys=[folder / "integration_input" / "signer.pub.pem"])
    data = (folder / "integration_output" / "signed_output.swu").read_bytes()
    for member in _cpio.read_archive(BytesSource("x", data)).members:
        mutant = bytearray(data)
        mutant[member.span.start] ^= 1
        try:
            image = kit.open(bytes(mutant), ring=ring)
        except FormatError:
            assert member.name == "sw-description"
            continue
        valid = image.signatures[0].outcome is Outcome.VALID
        assert not (valid and not image.coverage.uncovered), member.name
        assert "checksum-mismatch" in kit.codes(image)


def _swupdate(path: Path, *options: str | Path) -> bool:
    command = ["swupdate", "-n", "-v", "-H", "board:1.0", "-i", str(path), *(str(option) for option in options)]
    environment = {"PATH": os.environ["PATH"], "TMPDIR": str(path.parent)}  # its sockets lie there
    done = subprocess.run(command, capture_output=True, timeout=60, check=False, cwd=path.parent, env=environment)
    return b"SWUPDATE successful" in done.stdout + done.stderr


@pytest.fixture(scope="module")
def oracle(tool: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Ask swupdate itself (a dry run) whether it takes an image."""
    tool("swupdate", "--version", check=False)
    path = tmp_path_factory.mktemp("oracle") / "image.swu"

    def takes(data: bytes, *options: str | Path) -> bool:
        path.write_bytes(data + bytes(-len(data) % 512))  # it waits for the padding that cpio writes
        # Its parts talk through sockets and miss each other now and then on a busy machine: one no may mean that.
        return any(_swupdate(path, *options) for _ in range(2))

    return takes


def test_swupdate_and_otaudit_agree_about_signed_images(kit: Any, sign: Any, pki: Path, oracle: Any) -> None:
    description, neighbour = describe(entry("a.bin", b"aaaa"), entry("b.bin", b"bbbb")), {"a.bin": b"bbbb"}
    members = {"a.bin": b"aaaa", "b.bin": b"bbbb"}
    cases = {
        "good": (sign(description, members), True),
        "digest of the neighbour": (sign(description, members | neighbour), False),
        "description changed after signing": (sign(description + b" ", members, signed=description), False),
        "member without digest": (sign(describe(entry("a.bin", b"aaaa", digest="")), {"a.bin": b"aaaa"}), False),
        "missing member": (sign(description, {"a.bin": b"aaaa"}), False),
    }
    for name, (data, good) in cases.items():
        image = kit.open(data, anchors=[pki / "root.pem"])
        proven = image.signatures[0].outcome is Outcome.VALID and not image.coverage.uncovered
        proven = proven and "missing-member" not in kit.codes(image)
        assert proven is good, name
        assert oracle(data, "-k", pki / "root.pem") is good, name


def test_a_cms_signature_without_its_anchor_is_unknown(kit: Any, sign: Any, tool: Any, tmp_path: Path) -> None:
    data = sign(describe(entry("a.bin", b"aaaa")), {"a.bin": b"aaaa"})
    assert kit.open(data).signatures[0].outcome is Outcome.KEY_UNKNOWN
    tool("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", tmp_path / "k", "-out",
         tmp_path / "root.pem", "-subj", "/CN=root", "-addext", "basicConstraints=critical,CA:TRUE")  # fmt: skip
    assert kit.open(data, anchors=[tmp_path / "root.pem"]).signatures[0].outcome is not Outcome.VALID


@pytest.mark.parametrize(("options", "algorithm"), [((), "rsa-pkcs1v15"), (("rsa_padding_mode:pss",), "rsa-pss")])
def test_raw_rsa_signatures_name_what_fits(
    kit: Any, tool: Any, keys: Path, tmp_path: Path, options: Any, algorithm: str
) -> None:
    description = describe(entry("a.bin", b"aaaa"))
    (tmp_path / "d").write_bytes(description)
    more = [word for option in options for word in ("-sigopt", option)]
    signature = tool("openssl", "dgst", "-sha256", "-sign", keys / "rsa-2048.pem", *more, tmp_path / "d").stdout
    data = newc({"sw-description": description, "sw-description.sig": signature, "a.bin": b"aaaa"})
    image = kit.open(data, keys=[keys / "rsa-2048.pub.pem"])
    assert (image.signatures[0].outcome, image.signatures[0].algorithm) == (Outcome.VALID, algorithm)
    assert kit.open(data).signatures[0].outcome is Outcome.KEY_UNKNOWN
    other = newc({"sw-description": description + b" ", "sw-description.sig": signature, "a.bin": b"aaaa"})
    assert kit.open(other, keys=[keys / "rsa-2048.pub.pem"]).signatures[0].outcome is Outcome.INVALID


def test_an_openpgp_signature_is_judged_with_its_certificate(kit: Any, tool: Any, tmp_path: Path) -> None:
    environment = ("env", f"GNUPGHOME={tmp_path}", "gpg", "--batch", "--pinentry-mode", "loopback", "--passphrase", "")
    rings = {}
    for name in ("signer", "stranger"):
        tool(*environment, "--quick-gen-key", name, "ed25519", "sign", "never")
        (tmp_path / f"{name}.gpg").write_bytes(tool(*environment, "--export", name).stdout)
        keys = read_public_keys((tmp_path / f"{name}.gpg").read_bytes(), name)
        rings[name] = KeyRing.of(keys=keys)
    description = describe(entry("a.bin", b"a"))
    signature = tool(*environment, "-u", "signer", "--detach-sign", data=description).stdout
    data = newc({"sw-description": description, "sw-description.sig": signature, "a.bin": b"a"})
    image = kit.open(data, ring=rings["signer"])
    assert [item.outcome for item in image.signatures] == [Outcome.VALID]
    assert "OpenPGP" in image.signatures[0].encoding
    assert (image.coverage.uncovered, image.version.authentic) == ((), True)
    for ring in (rings["stranger"], None):
        assert [item.outcome for item in kit.open(data, ring=ring).signatures] == [Outcome.KEY_UNKNOWN]
    changed = newc({"sw-description": description + b" ", "sw-description.sig": signature, "a.bin": b"a"})
    assert [item.outcome for item in kit.open(changed, ring=rings["signer"]).signatures] == [Outcome.INVALID]
    packet = bytes([0x88, 10]) + bytes(10)
    damaged = newc({"sw-description": description, "sw-description.sig": packet, "a.bin": b"a"})
    assert kit.open(damaged).signatures[0].outcome not in {Outcome.VALID, Outcome.ABSENT}


def test_a_signature_that_is_not_second_is_none_for_the_installer(kit: Any) -> None:
    data = newc({"sw-description": describe(entry("a.bin", b"a")), "a.bin": b"a", "sw-description.sig": b"x"})
    (signature,) = kit.open(data).signatures
    assert signature.outcome is Outcome.ABSENT
    assert "not directly behind" in signature.note


@pytest.mark.parametrize("mode", ["aes-256-cbc", "aes-256-ctr"])
def test_encrypted_members_open_with_the_fleet_key(
    kit: Any, tool: Any, sign: Any, aes_key: Path, pki: Path, mode: str
) -> None:
    sealed = aes(tool, FIRMWARE, mode=mode)
    cipher = "aes-cbc" if "cbc" in mode else "aes-ctr-256"
    text = describe(entry("a.enc", sealed, f'encrypted = "{cipher}"; ivt = "{IV}";'))
    data = sign(text, {"a.enc": sealed})
    image = kit.open(data, anchors=[pki / "root.pem"])
    (member,) = image.images
    assert (member.encryption.encrypted, member.encryption.decrypted, member.encryption.authenticated) == (
        True, None, True,
    )  # fmt: skip
    assert member.encryption.nonce == IV
    assert member.encryption.key_bits == (None if cipher == "aes-cbc" else 256)
    assert member.digests[0].over == "ciphertext"
    (member,) = kit.open(data, anchors=[pki / "root.pem"], decryption=[aes_key]).images
    assert (member.encryption.decrypted, member.encryption.key_bits) == (True, 256)
    assert member.encryption.content_key_digest == sha(bytes.fromhex(KEY))
    assert member.source is not None
    assert member.source.read(0, member.source.size) == FIRMWARE


def test_swupdate_decrypts_with_the_key_that_decrypts_here(
    tool: Any, sign: Any, aes_key: Path, pki: Path, oracle: Any, kit: Any, tmp_path: Path
) -> None:
    sealed = aes(tool, FIRMWARE)
    data = sign(describe(entry("a.enc", sealed, f'encrypted = true; ivt = "{IV}";')), {"a.enc": sealed})
    (tmp_path / "wrong.key").write_text(f"{'11' * 32} {IV}\n")
    for key, good in ((aes_key, True), (tmp_path / "wrong.key", False)):
        (member,) = kit.open(data, decryption=[key]).images
        assert (member.encryption.decrypted is True) is good
        assert oracle(data, "-k", pki / "root.pem", "-K", key) is good


@pytest.mark.parametrize(
    ("mode", "text", "decrypted"),
    [
        ("aes-256-cbc", b"THIS IS A TEST UPDATE FILE\n", True),  # 27 bytes and 5 of padding: by chance once in 2^67
        ("aes-256-cbc", b"THIS IS A TEST UPDATE FILE, 31\n", None),
        ("aes-256-cbc", b"\xff" + b"THIS IS A TEST UPDATE FILE", None),
        ("aes-256-ctr", b"THIS IS A TEST UPDATE FILE\n", None),
    ],
)
def test_a_short_text_counts_as_decrypted_where_its_padding_is_right_too(
    kit: Any,
    tool: Any,
    aes_key: Path,
    mode: str,
    text: bytes,
    decrypted: bool | None,  # noqa: FBT001
) -> None:
    data = aes(tool, text, mode=mode)
    image = kit.open(
        newc({"sw-description": describe(entry("a", data, f'encrypted = "{mode[:3]}-{mode[-3:]}-256"; ivt = "{IV}";')),
              "a": data}), decryption=[aes_key])  # fmt: skip
    assert image.images[0].encryption.decrypted is decrypted


def test_a_wrong_key_decrypts_nothing(kit: Any, tool: Any, tmp_path: Path) -> None:
    sealed = aes(tool, FIRMWARE)
    (tmp_path / "wrong.key").write_text(f"{'11' * 32} {IV}\n")
    data = newc({"sw-description": describe(entry("a.enc", sealed, "encrypted = true;")), "a.enc": sealed})
    (member,) = kit.open(data, decryption=[tmp_path / "wrong.key"]).images
    assert member.encryption.decrypted is not True


def test_counter_mode_under_a_wrong_key_is_not_called_decrypted(kit: Any, tool: Any, tmp_path: Path) -> None:
    sealed = aes(tool, FIRMWARE, mode="aes-256-ctr")
    text = describe(entry("a.enc", sealed, f'encrypted = "aes-ctr-256"; ivt = "{IV}";'))
    data = newc({"sw-description": text, "a.enc": sealed})
    for key, decrypted in ((KEY, True), ("11" * 32, None)):
        (tmp_path / "key").write_text(f"{key} {IV}\n")
        assert kit.open(data, decryption=[tmp_path / "key"]).images[0].encryption.decrypted is decrypted


def test_repeated_blocks_betray_a_codebook_though_byte_values_are_even(kit: Any) -> None:
    codebook = bytes(range(256)) * 16
    text = describe(entry("a", codebook, f'encrypted = true; ivt = "{IV}";'))
    image = kit.open(newc({"sw-description": text, "a": codebook}))
    assert "repeated-blocks" in kit.codes(image)
    assert "biased-ciphertext" not in kit.codes(image)
    assert image.images[0].encryption.encrypted is False


def test_plain_bytes_that_are_called_encrypted_are_not(kit: Any) -> None:
    text = describe(entry("a.enc", FIRMWARE, f'encrypted = true; ivt = "{IV}";'))
    image = kit.open(newc({"sw-description": text, "a.enc": FIRMWARE}))
    assert image.images[0].encryption.encrypted is False
    assert kit.codes(image) & {"repeated-blocks", "biased-ciphertext"}


def test_one_iv_for_two_members_is_reuse_and_two_are_not(kit: Any, tool: Any) -> None:
    first, second = aes(tool, FIRMWARE), aes(tool, FIRMWARE[::-1])
    members = {"a": first, "b": second}
    zero = "0" * 32
    for ivs, reused in (((IV, IV), True), ((IV, IV[::-1]), False), (("", ""), True), ((IV, zero), False)):
        attributes = [f"encrypted = true; {f'ivt = {chr(34)}{iv}{chr(34)};' if iv else ''}" for iv in ivs]
        text = describe(entry("a", first, attributes[0]), entry("b", second, attributes[1]))
        image = kit.open(newc({"sw-description": text, **members}))
        assert ("iv-reuse" in kit.codes(image)) is reused
        assert ("zero-iv" in kit.codes(image)) is (zero in ivs)


def test_a_key_in_a_plain_description_makes_encryption_void(kit: Any, tool: Any) -> None:
    sealed = aes(tool, FIRMWARE)
    text = describe(entry("a", sealed, f'encrypted = true; aes-key = "{KEY}"; ivt = "{IV}";'))
    image = kit.open(newc({"sw-description": text, "a": sealed}))
    assert "key-in-clear" in kit.codes(image)
    assert image.images[0].encryption.key_in_clear is True
    assert image.images[0].encryption.decrypted is True
    assert KEY not in repr(image)


def test_a_description_that_is_encrypted_to_two_devices(
    kit: Any, tool: Any, sign: Any, pki: Path, tmp_path: Path
) -> None:
    sealed = aes(tool, FIRMWARE)
    text = describe(entry("a", sealed, f'encrypted = true; aes-key = "{KEY}"; ivt = "{IV}";'))
    for device in ("d1", "d2", "d3"):
        tool("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", tmp_path / f"{device}.key",
             "-out", tmp_path / f"{device}.pem", "-subj", f"/CN={device}")  # fmt: skip
    recipients = [word for device in ("d1", "d2") for word in ("-recip", tmp_path / f"{device}.pem")]
    hidden = tool("openssl", "cms", "-encrypt", "-binary", "-aes-256-cbc", "-outform", "DER", *recipients,
                  data=text).stdout  # fmt: skip
    data = sign(hidden, {"a": sealed}, signed=text)
    image = kit.open(data, anchors=[pki / "root.pem"])
    assert image.signatures[0].outcome is Outcome.UNDECIDABLE
    assert len(image.recipients) == 2
    assert image.recipients[0].wrapped != image.recipients[1].wrapped
    assert image.coverage.size_bound is None
    assert [(item.id, item.role, item.encryption.encrypted) for item in image.images] == [
        ("sw-description", "metadata", True), ("a", "image", None),
    ]  # fmt: skip
    for device, opens in (("d2", True), ("d3", False)):
        image = kit.open(data, anchors=[pki / "root.pem"], decryption=[tmp_path / f"{device}.key"])
        assert (image.signatures[0].outcome is Outcome.VALID) is opens
        assert (image.version.version == "2.4.1") is opens
    image = kit.open(data, anchors=[pki / "root.pem"], decryption=[tmp_path / "d1.key"])
    assert "key-in-clear" not in kit.codes(image)
    assert [item.encryption.decrypted for item in image.images] == [True, True]


def test_an_encrypted_description_does_not_make_plain_members_encrypted(kit: Any, tool: Any, tmp_path: Path) -> None:
    tool("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", tmp_path / "k", "-out",
         tmp_path / "c", "-subj", "/CN=d")  # fmt: skip
    command = ("openssl", "cms", "-encrypt", "-binary", "-aes-256-cbc", "-outform", "DER", "-recip", tmp_path / "c")
    data = newc({"sw-description": tool(*command, data=describe(entry("a", FIRMWARE))).stdout, "a": FIRMWARE})
    for ring in ({}, {"decryption": [tmp_path / "k"]}):
        image = kit.open(data, **ring)
        assert image.encryption == ()
        assert [item.encryption.encrypted for item in image.images if item.role == "image"] == [False]


def test_a_description_under_the_fleet_key_opens_with_it(
    kit: Any, tool: Any, sign: Any, pki: Path, aes_key: Path
) -> None:
    text = describe(entry("a", FIRMWARE))
    data = sign(aes(tool, text), {"a": FIRMWARE}, signed=text)
    assert kit.open(data, anchors=[pki / "root.pem"]).signatures[0].outcome is Outcome.UNDECIDABLE
    image = kit.open(data, anchors=[pki / "root.pem"], decryption=[aes_key])
    assert image.signatures[0].outcome is Outcome.VALID
    assert image.images[0].encryption.decrypted is True


def test_members_are_compared_with_the_description_both_ways(kit: Any) -> None:
    text = describe(entry("a", b"a"), entry("gone", b"x"), entry("bare", b"b", digest=""))
    image = kit.open(newc({"sw-description": text, "a": b"a", "bare": b"b", "extra": b"e"}))
    assert {"missing-member", "missing-digest", "unreferenced-member", "unsigned"} <= kit.codes(image)
    assert [item.id for item in image.images] == ["a", "bare", "extra"]
    assert image.images[2].role == "other"


def test_trees_of_boards_sets_and_modes_are_walked_and_links_followed(kit: Any) -> None:
    text = b"""software = { version = "1"; shared: { filename = "a"; device = "/dev/x"; sha256 = "%s"; };
      gw200 = { hardware-compatibility: ["2.0", "#RE:^3"]; stable = {
        main: { images: ( { ref = "#./../../shared"; } ); };
        alt: { images: ( { filename = "a"; device = "/dev/y"; sha256 = "%s"; install-if-higher = true;
                 version = "1.2"; } ); scripts: ( { filename = "s.lua"; type = "lua"; } ); };
        lost: { images: ( { ref = "#./nowhere"; } ); }; }; }; }""" % (sha(b"a").encode(), sha(b"a").encode())
    image = kit.open(newc({"sw-description": text, "a": b"a", "s.lua": b"x"}))
    assert image.hardware == ("2.0", "#RE:^3")
    assert [(item.id, item.target) for item in image.images] == [
        ("a", "device=/dev/x"), ("a#2", "device=/dev/y"), ("s.lua", "type=lua"),
    ]  # fmt: skip
    assert image.version.constraints == ("a: install-if-higher 1.2",)
    assert [item.role for item in image.images] == ["image", "image", "script"]
    assert any("leads nowhere" in weakness.message for weakness in image.weaknesses)


def test_a_link_that_leads_nowhere_leaves_unnamed_members_uncovered(kit: Any, sign: Any, pki: Path) -> None:
    text = describe(entry("a", b"aaaa"), '{ ref = "#./nowhere"; }')
    image = kit.open(sign(text, {"a": b"aaaa", "b": b"bbbb"}), anchors=[pki / "root.pem"])
    assert image.signatures[0].outcome is Outcome.VALID
    assert [span.size for span in image.coverage.uncovered] == [4]


def test_a_second_entry_without_digest_uncovers_the_member(kit: Any, sign: Any, pki: Path) -> None:
    text = describe(entry("a", b"aaaa"), entry("a", b"aaaa", digest=""))
    image = kit.open(sign(text, {"a": b"aaaa"}), anchors=[pki / "root.pem"])
    assert image.coverage.uncovered == image.coverage.payload


def test_json_descriptions_are_read_like_libconfig(kit: Any) -> None:
    text = b'{"software": {"version": "3", "images": [{"filename": "a", "sha256": "%s"}]}}' % sha(b"a").encode()
    image = kit.open(newc({"sw-description": text, "a": b"a"}))
    assert image.version.version == "3"
    assert image.images[0].digests[0].matches is True


def test_an_mcuboot_image_inside_is_opened_and_a_broken_one_is_noted(
    kit: Any, keys: Path, imgtool: Any, tool: Any, aes_key: Path
) -> None:
    inner = imgtool("-k", keys / "ed25519.pem").read_bytes()
    sealed = aes(tool, inner)
    cut = inner[:100]
    text = describe(
        entry("plain", inner), entry("sealed", sealed, f'encrypted = true; ivt = "{IV}";'), entry("cut", cut)
    )
    image = kit.open(
        newc({"sw-description": text, "plain": inner, "sealed": sealed, "cut": cut}),
        keys=[keys / "ed25519.pub.pem"],
        decryption=[aes_key],
    )
    plain, opened, broken = image.images
    assert plain.inner.signatures[0].outcome is Outcome.VALID
    assert opened.inner.signatures[0].outcome is Outcome.VALID
    assert opened.inner.sha256 == plain.inner.sha256
    assert broken.inner is None
    assert ("inner-unreadable", "cut") in {(weakness.code, weakness.where) for weakness in image.weaknesses}


def test_swugenerator_makes_what_is_read_here(kit: Any, tool: Any, pki: Path, tmp_path: Path) -> None:
    generator = Path(sys.executable).parent / "swugenerator"
    if not generator.exists():
        pytest.skip("swugenerator is not installed")
    (tmp_path / "a.bin").write_bytes(FIRMWARE)
    (tmp_path / "b.bin").write_bytes(FIRMWARE[::-1])
    (tmp_path / "aes.key").write_text(f"key={KEY}\niv={IV}\n")
    (tmp_path / "sd").write_text(
        'software = { version = "1.2.3"; images: ( { filename = "a.bin"; device = "/dev/a"; encrypted = true; },'
        ' { filename = "b.bin"; device = "/dev/b"; encrypted = true; } ); }'
    )
    tool(str(generator), "-K", "aes.key", "-k", f"CMS,{pki}/rsa.key,{pki}/rsa.pem", "-s", "sd", "-a", ".", "-o",
         "x.swu", "create", cwd=tmp_path)  # fmt: skip
    image = kit.open(tmp_path / "x.swu", anchors=[pki / "root.pem"], decryption=[tmp_path / "aes.key"])
    assert image.signatures[0].outcome is Outcome.VALID
    assert [item.encryption.decrypted for item in image.images] == [True, True]
    assert image.coverage.uncovered == ()
    assert "iv-reuse" not in kit.codes(image)


def test_gnu_cpio_archives_are_read(kit: Any, tool: Any, tmp_path: Path) -> None:
    for name, data in {"sw-description": describe(entry("a", b"a")), "a": b"a"}.items():
        (tmp_path / name).write_bytes(data)
    for form in ("crc", "newc"):
        data = tool("cpio", "-o", "-H", form, cwd=tmp_path, data=b"sw-description\na\n").stdout
        assert kit.codes(kit.open(data)) == {"unsigned"}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (newc([("sw-description", b"x"), ("a", b""), ("a", b"")]), "twice"),
        (newc([("sw-description", b"x"), ("../a", b"")]), "leads out"),
        (newc([("sw-description", b"x"), ("/etc/passwd", b"")]), "leads out"),
        (newc([("sw-description", b"x")], mode=0o120777), "plain file"),
        (newc([("sw-description", b"x")], mode=0o040755), "plain file"),
        (newc([("sw-description", b"x"), ("n" * 400, b"")]), "256"),
        (newc({"sw-description": b"x"})[:-124], "needed"),
        (newc({"sw-description": b"version = 1;"}), "no group"),
        (newc({"sw-description": b"\xff\xfe"}), "cannot be read"),
        (newc({"sw-description": b'@include "/etc/passwd"\nsoftware = {};'}), "cannot be read"),
        (newc({"sw-description": b"software = { a = 1; a = 2; };"}), "twice"),
        (newc({"sw-description": b'{"software": {"a": 1, "a": 2}}'}), "twice"),
        (newc({"sw-description": b"software = " + b"{ a = " * 200 + b"1;" + b"};" * 200}), "cannot be read|nested"),
        (newc({"sw-description": b"software = " + b"{ a = " * 5000}), "nested"),
        (newc({"sw-description": b'{"software": ' + b"[" * 100_000}), "nested"),
        (newc({"sw-description": b"software = { a = 99999999999" + b"9" * 9000 + b"; };"}), "cannot be read"),
        (newc({"sw-description": b"software = { version = " + b";" * 300_000}), "MAX_TOKENS"),
        (newc({"sw-description": b" " * (2 << 20)}), "at most"),
        (newc({"sw-description": b'software = { s = "\\xZZ"; };'}), "cannot be read"),
    ],
)
def test_hostile_archives_and_descriptions_are_refused(kit: Any, data: bytes, message: str) -> None:
    with pytest.raises(FormatError, match=message):
        kit.open(data)


@pytest.mark.timeout(30)
def test_a_million_members_are_refused_at_the_limit(kit: Any) -> None:
    head = newc({"sw-description": b"software = {};"})[: -len(newc({}))]
    one = newc({"0000000": b""})[: -len(newc({}))]
    data = bytearray(head)
    for number in range(MAX_MEMBERS + 10):
        data += one.replace(b"0000000\x00", b"%07d\x00" % number)
    with pytest.raises(LimitError, match="MAX_MEMBERS"):
        kit.open(bytes(data))


@pytest.mark.parametrize("size", [0, 1, 3, 257, 258, 65_537, 300_000])
def test_the_check_field_is_the_sum_of_all_bytes_and_one_more_is_found(size: int) -> None:
    data = os.urandom(size // 2) + b"\xff" * (size - size // 2)
    total = sum(data) & 0xFFFFFFFF
    source = BytesSource("x", data)
    adler = compute([_cpio.sum_request(source, member := _cpio.Member("x", Span(0, size), total))]).popitem()[1]
    assert _cpio.sum_matches(member, adler)
    assert not _cpio.sum_matches(replace(member, checksum=total + 1), adler)


def test_an_archive_without_a_description_first_is_not_claimed(kit: Any) -> None:
    with pytest.raises(UnknownFormatError, match="cpio"):
        kit.open(newc({"a": b"a", "sw-description": b""}))
    with pytest.raises(FormatError, match="first member"):
        kit.open(newc({"a": b"a"}), format_id="swupdate")


def test_every_truncation_and_sampled_flips_are_answered(kit: Any, sign: Any, pki: Path) -> None:
    data, ring = sign(describe(entry("a", b"aaaa")), {"a": b"aaaa"}), kit.ring(anchors=[pki / "root.pem"])
    good = kit.open(data, ring=ring)
    assert good.signatures[0].outcome is Outcome.VALID
    end = _cpio.read_archive(BytesSource("x", data)).end
    for size in range(0, end, 7):
        with pytest.raises(FormatError):
            kit.open(data[:size], format_id="swupdate", ring=ring)
    for offset in range(0, end, 3):
        mutant = bytearray(data)
        mutant[offset] ^= 1 << offset % 8
        try:
            image = kit.open(bytes(mutant), format_id="swupdate", ring=ring)
        except FormatError:
            continue
        intact = image.signatures[0].outcome is Outcome.VALID and not image.coverage.uncovered
        covered = (*image.coverage.payload, good.signatures[0].covers[0])
        assert not (intact and any(span.start <= offset < span.end for span in covered)), offset


def test_the_description_parser_agrees_with_the_corpus(corpus: Path) -> None:
    text = (corpus / "swupdate" / "integration_input" / "sw-description").read_bytes()
    description = read_description(text, 0)
    assert (description.version, len(description.entries)) == ("1.0.0", 10)


def test_every_weakness_code_is_listed() -> None:
    assert len(set(swupdate.WEAKNESSES)) == len(swupdate.WEAKNESSES)
