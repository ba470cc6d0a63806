"""The ML-DSA block behind the Secure Boot v2 sector: blocks are laid out here, and signed by pqcrypto."""

from __future__ import annotations

import functools
import hashlib
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from checker.crypto.key_files import read_public_keys
from checker.crypto.keyring import KeyRing
from checker.crypto.keys import PublicKey, from_raw, read_public_key
from checker.errors import FormatError
from checker.formats import _esp_pqc as pqc
from checker.model.artifact import Artifact
from checker.model.terms import Outcome
from tests.formats.test_esp_idf import complete, image, outcomes, padded, sector, signed

__all__ = ["signed"]  # a fixture
SETS = {"ml-dsa-44": (1, "ml_dsa_44"), "ml-dsa-65": (2, "ml_dsa_65"), "ml-dsa-87": (3, "ml_dsa_87")}
CLASSICAL = "ecdsa-p256"
BOTH = [Outcome.VALID, Outcome.VALID]
SECOND_WRONG = [Outcome.VALID, Outcome.INVALID]


def sealed(block: bytes) -> bytes:
    """Return a block with its CRC made right."""
    return block[:7263] + struct.pack("<I", zlib.crc32(block[:7263])) + block[7267:]


@functools.cache
def pair(name: str, which: int) -> tuple[bytes, bytes]:
    """Return a public and a private key of pqcrypto; `which` tells pairs apart."""
    del which
    kinds = pytest.importorskip("pqcrypto.sign", reason="pqcrypto is not installed")
    public, secret = getattr(kinds, SETS[name][1]).keygen()
    return bytes(public), bytes(secret)


def block(content: bytes, name: str = "ml-dsa-65", which: int = 0, message: bytes = b"") -> bytes:
    """Return a block over `content`, which signs its SHA-256 or another message."""
    kinds = pytest.importorskip("pqcrypto.sign", reason="pqcrypto is not installed")
    public, secret = pair(name, which)
    digest = hashlib.sha256(content).digest()
    value = bytes(getattr(kinds, SETS[name][1]).sign(secret, message or digest))
    head = struct.pack("<BBBB32sII", 0xE8, 1, SETS[name][0], 0, digest, len(public), len(value))
    return sealed((head + public.ljust(2592, b"\0") + value.ljust(4627, b"\0")).ljust(8192, b"\0"))


@pytest.fixture(scope="session")
def hybrid(signed: Any) -> Callable[..., bytes]:
    @functools.cache
    def make(name: str = "ml-dsa-65") -> bytes:
        content: bytes = signed(CLASSICAL)
        return content + block(content, name)

    return make


@pytest.fixture(scope="session")
def ring(keys: Path) -> Callable[..., KeyRing]:
    """Return a ring of the classical key and of a quantum-resistant one, or of the second alone."""

    def make(name: str = "ml-dsa-65", *, classical: bool = True) -> KeyRing:
        found: list[PublicKey] = [from_raw(name, pair(name, 0)[0], "pqc")]
        if classical:
            found.append(read_public_key((keys / f"{CLASSICAL}.pub.pem").read_bytes(), "classical"))
        return KeyRing.of(keys=found)

    return make


def changed(data: bytes, at: int, new: bytes, *, seal: bool = True) -> bytes:
    """Return a hybrid with bytes of its ML-DSA block replaced, and with the CRC made right unless told otherwise."""
    start = len(data) - 8192
    made = data[start : start + at] + new + data[start + at + len(new) :]
    return data[:start] + (sealed(made) if seal else made)


def note(artifact: Artifact) -> str:
    return artifact.signatures[-1].note


@pytest.mark.parametrize("name", SETS)
def test_a_block_has_the_outcome_that_its_key_gives(kit: Any, hybrid: Any, ring: Any, keys: Path, name: str) -> None:
    data = hybrid(name)
    found = kit.open(data, ring=ring(name))
    signature = found.signatures[1]
    assert (found.format, outcomes(found), complete(found)) == ("esp-idf", BOTH, True)
    assert (signature.algorithm, signature.hash, signature.key.declared) == (name, "sha-256", True)
    assert [(span.start, span.end) for span in signature.covers] == [(0, len(data) - 8192)]
    assert kit.codes(found) == set()
    alone = kit.open(data, keys=[keys / f"{CLASSICAL}.pub.pem"])
    assert outcomes(alone) == [Outcome.VALID, Outcome.KEY_UNKNOWN]
    assert hashlib.sha256(pair(name, 0)[0]).hexdigest() in note(alone)
    assert outcomes(kit.open(data, ring=ring(name, classical=False))) == [Outcome.KEY_UNKNOWN, Outcome.VALID]


def test_the_bare_key_of_the_signing_tool_and_a_spki_declare_alike(kit: Any, hybrid: Any, tmp_path: Path) -> None:
    (tmp_path / "raw.bin").write_bytes(pair("ml-dsa-65", 0)[0])
    (tmp_path / "spki.der").write_bytes(from_raw("ml-dsa-65", pair("ml-dsa-65", 0)[0]).spki)
    for name in ("raw.bin", "spki.der"):
        declared = read_public_keys((tmp_path / name).read_bytes(), name)
        found = kit.open(hybrid(), ring=KeyRing.of(keys=list(declared)))
        assert (outcomes(found)[1], found.signatures[1].key.name) == (Outcome.VALID, name)


def test_the_classical_signature_reads_as_without_the_block(kit: Any, signed: Any, hybrid: Any, ring: Any) -> None:
    bare, both = kit.open(signed(CLASSICAL), ring=ring()), kit.open(hybrid(), ring=ring())
    assert both.signatures[0] == bare.signatures[0]
    assert (both.version, both.hardware, both.images) == (bare.version, bare.hardware, bare.images)
    assert both.coverage == bare.coverage
    assert set(bare.digests) < set(both.digests)


def test_a_declared_key_of_another_set_or_pair_is_no_trust(kit: Any, signed: Any, ring: Any) -> None:
    content = signed(CLASSICAL)
    stranger = content + block(content, which=1)
    assert outcomes(kit.open(stranger, ring=ring())) == [Outcome.VALID, Outcome.KEY_UNKNOWN]
    assert outcomes(kit.open(content + block(content), ring=ring("ml-dsa-87"))) == [Outcome.VALID, Outcome.KEY_UNKNOWN]
    borrowed = changed(stranger, 44, pair("ml-dsa-65", 0)[0])  # the declared key, and a stranger's signature
    assert outcomes(kit.open(borrowed, ring=ring())) == SECOND_WRONG


def test_only_the_digest_is_signed_purely(kit: Any, signed: Any, ring: Any) -> None:
    content = signed(CLASSICAL)
    digest = hashlib.sha256(content).digest()
    context = bytes([0, 1]) + b"x" + digest
    for message in (content, digest.hex().encode(), context, hashlib.sha256(content[:-4096]).digest()):
        assert outcomes(kit.open(content + block(content, message=message), ring=ring())) == SECOND_WRONG


def test_a_block_over_the_image_without_its_sector_is_invalid(kit: Any, signed: Any, ring: Any) -> None:
    content = signed(CLASSICAL)
    found = kit.open(content + block(content[:-4096]), ring=ring())
    assert (outcomes(found), "digest" in note(found)) == (SECOND_WRONG, True)
    assert not complete(found)


@pytest.mark.parametrize(
    ("at", "new", "words"),
    [
        (2, b"\0", "algorithm that is none"),
        (2, b"\4", "algorithm that is none"),
        (2, b"\1", "lengths"),
        (2, b"\3", "lengths"),
        (4, bytes(32), "digest is not that"),
        (36, struct.pack("<I", 1951), "lengths"),
        (36, b"\xff\xff\xff\xff", "lengths"),
        (36, bytes(4), "lengths"),
        (40, struct.pack("<I", 3308), "lengths"),
        (40, b"\xff\xff\xff\x7f", "lengths"),
        (40, bytes(4), "lengths"),
        (2636, bytes(3309), ""),
    ],
)
def test_a_block_that_the_boot_loader_refuses_is_invalid_though_its_crc_is_right(
    kit: Any, hybrid: Any, ring: Any, at: int, new: bytes, words: str
) -> None:
    found = kit.open(changed(hybrid(), at, new), ring=ring())
    assert outcomes(found) == SECOND_WRONG
    assert words in note(found)
    assert outcomes(kit.open(changed(hybrid(), 0, b"\xe8"), ring=ring())) == BOTH


def test_a_wrong_crc_is_said(kit: Any, hybrid: Any, ring: Any) -> None:
    for at in (2000, 7263, 7266):
        old = hybrid()[len(hybrid()) - 8192 + at]
        found = kit.open(changed(hybrid(), at, bytes([old ^ 1]), seal=False), ring=ring())
        assert (outcomes(found), "CRC" in note(found)) == (SECOND_WRONG, True)


def test_padding_and_flags_that_nobody_looks_at_are_told(kit: Any, hybrid: Any, ring: Any) -> None:
    for at in (44 + 1952, 2635, 2636 + 3309, 7262, 7267, 8191):
        found = kit.open(changed(hybrid(), at, b"x"), ring=ring())
        assert (outcomes(found), kit.codes(found)) == (BOTH, {"trailing-data"}), at
    flagged = kit.open(changed(hybrid(), 3, b"\x80"), ring=ring())
    assert (outcomes(flagged), "0x80" in dict(flagged.facts).values()) == (BOTH, True)
    assert "trailing-data" in kit.codes(kit.open(hybrid()[: -8192 - 1] + b"x" + hybrid()[-8192:], ring=ring()))


def test_a_flipped_bit_of_image_or_sector_makes_the_block_invalid(kit: Any, hybrid: Any, ring: Any) -> None:
    data = hybrid()
    sector_at = len(data) - 8192 - 4096
    for place in [*range(32, sector_at, 1201), *range(sector_at, sector_at + 4096, 211), len(data) - 8193]:
        mutant = bytearray(data)
        mutant[place] ^= 8
        try:
            found = kit.open(bytes(mutant), ring=ring())
        except FormatError:
            continue
        assert found.signatures[-1].outcome is Outcome.INVALID, place
        assert not complete(found), place


def test_a_flipped_bit_of_the_block_is_never_a_valid_block(kit: Any, hybrid: Any, ring: Any) -> None:
    """Those of padding and flags change nothing where the CRC is made right; they are in a test of their own."""
    data = hybrid()
    start = len(data) - 8192
    spoken = [0, 1, 2, *range(4, 44), *range(44, 44 + 1952, 97), *range(2636, 2636 + 3309, 89)]
    for at in [*spoken, 3, 2000, 7262, *range(7263, 7267)]:
        flipped = bytes([data[start + at] ^ 1])
        bare = kit.open(changed(data, at, flipped, seal=False), ring=ring())
        assert all(item.algorithm == "ecdsa" or item.outcome is Outcome.INVALID for item in bare.signatures), at
        if at in spoken:
            again = kit.open(changed(data, at, flipped), ring=ring())
            wanted = {Outcome.INVALID, Outcome.KEY_UNKNOWN}
            assert all(item.algorithm == "ecdsa" or item.outcome in wanted for item in again.signatures), at


def test_another_magic_or_version_is_no_block_but_bytes_behind(kit: Any, hybrid: Any, ring: Any) -> None:
    for at, new in ((0, b"\xe7"), (1, b"\x02")):
        found = kit.open(changed(hybrid(), at, new), ring=ring())
        assert (outcomes(found), kit.codes(found)) == ([Outcome.VALID], {"trailing-data"})


def test_a_block_without_a_classical_one_is_refused(kit: Any, ring: Any) -> None:
    empty = padded(image()) + sector()
    found = kit.open(empty + block(empty), ring=ring())
    assert (outcomes(found), "no classical block" in note(found)) == ([Outcome.INVALID], True)
    assert found.coverage.uncovered == found.coverage.payload
    near = padded(image())  # where the boot loader does not look
    misplaced = kit.open(near + block(near), ring=ring())
    assert (outcomes(misplaced), "trailing-data" in kit.codes(misplaced)) == ([Outcome.ABSENT], True)


def test_a_block_beside_a_wrong_classical_signature_is_judged_for_itself(kit: Any, signed: Any, ring: Any) -> None:
    content = bytearray(signed(CLASSICAL))
    content[-4096 + 1190] ^= 1  # the CRC of the classical block
    found = kit.open(bytes(content) + block(bytes(content)), ring=ring())
    assert outcomes(found) == [Outcome.INVALID, Outcome.VALID]


def test_a_second_block_is_bytes_behind(kit: Any, hybrid: Any, ring: Any) -> None:
    found = kit.open(hybrid() + hybrid()[-8192:], ring=ring())
    assert (outcomes(found), kit.codes(found)) == (BOTH, {"trailing-data"})
    assert kit.codes(kit.open(hybrid() + b"\xff" * 4096, ring=ring())) == set()


def test_every_truncation_of_the_block_is_refused(kit: Any, hybrid: Any, ring: Any) -> None:
    start = len(hybrid()) - 8192
    for size in (1, 2, 43, 44, 2636, 7263, 7267, 8191):
        with pytest.raises(FormatError, match=pqc.FIELD):
            kit.open(hybrid()[: start + size], ring=ring(), format_id="esp-idf")
    assert outcomes(kit.open(hybrid()[:start], ring=ring())) == [Outcome.VALID]


def test_bytes_that_look_random_behind_a_sector_are_answered(kit: Any, signed: Any, ring: Any) -> None:
    for seed in range(40):
        noise = pqc.MAGIC + hashlib.shake_256(bytes([seed])).digest(8190)
        number = bytes([seed % 4])
        found = kit.open(signed(CLASSICAL) + sealed(noise[:2] + number + noise[3:]), ring=ring())
        assert outcomes(found) == SECOND_WRONG
