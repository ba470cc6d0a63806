"""TPM statements: kept ones and fresh ones of a real software TPM (swtpm), and one fault each beside them."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from checker.crypto.attestation_files import check_attestation, form_of, read_root
from checker.crypto.attestations._tpm_structures import read_attest, read_public, read_signature
from checker.crypto.attestations.contract import Pinned, Statement
from checker.crypto.keys import read_public_key
from checker.errors import CryptoError, FormatError, UnsupportedAlgorithmError
from tests.crypto import attestation_maker as maker
from tests.crypto import tpm_maker
from tests.crypto.attestation_maker import NONCE

DATA: Final = Path(__file__).parent / "data/attestations/tpm"
HANDLES: Final = itertools.count(0x81010100)
AK_PURPOSE: Final = "2.23.133.8.3"


def kept(name: str) -> bytes:
    return (DATA / name).read_bytes()


def check(attest: bytes, signature: bytes, public: bytes = b"", root: bytes = b"", **changes: Any) -> Statement:
    companions = {"signature": signature, "public": public} | changes.pop("companions", {})
    given = maker.pinned(root or kept("ak.pem"), companions={k: v for k, v in companions.items() if v}, **changes)
    return check_attestation(attest, "auto", given)[1]


def certified(**changes: Any) -> Statement:
    return check(kept("certify.attest"), kept("certify.sig"), kept("signing.pub"), **changes)


def test_a_certified_key_that_is_fixed_to_its_tpm_is_not_exportable() -> None:
    assert form_of(kept("certify.attest")).id == "tpm"
    found = certified()
    assert (found.valid, found.non_exportable, found.note) == (True, True, "")
    assert found.key == read_public(kept("signing.pub")).key.spki_sha256
    assert found.boot_verified is None


def test_a_certified_key_that_may_be_duplicated_is_exportable() -> None:
    found = check(kept("movable.attest"), kept("movable.sig"), kept("movable.pub"))
    assert (found.valid, found.non_exportable) == (True, False)


def test_another_nonce_is_not_answered() -> None:
    found = certified(nonce=bytes(32))
    assert (found.genuine, found.valid) == (True, False)
    assert certified(nonce=b"").valid is False


def test_another_key_is_not_the_one_that_was_certified() -> None:
    with pytest.raises(FormatError, match="another object"):
        check(kept("certify.attest"), kept("certify.sig"), kept("movable.pub"))


def test_a_public_area_with_kinder_attributes_is_another_object() -> None:
    public = bytearray(kept("movable.pub"))
    public[9] |= 0x12  # fixedTPM and fixedParent, the low byte of objectAttributes
    assert read_public(bytes(public)).attributes != read_public(kept("movable.pub")).attributes
    with pytest.raises(FormatError, match="another object"):
        check(kept("movable.attest"), kept("movable.sig"), bytes(public))


def test_a_statement_of_another_tpm_is_not_genuine() -> None:
    found = certified(root=maker.spki(maker.p256()))
    assert (found.genuine, found.valid) == (False, False)


@pytest.mark.parametrize("name", ["signature", "public"])
def test_a_missing_companion_is_named(name: str) -> None:
    parts = {"signature": kept("certify.sig"), "public": kept("signing.pub")} | {name: b""}
    with pytest.raises(FormatError, match=f"`{name}` is missing"):
        check(kept("certify.attest"), **parts)


def test_a_quote_names_no_key_and_proves_no_boot() -> None:
    found = check(kept("quote.attest"), kept("quote.sig"))
    assert (found.valid, found.key, found.non_exportable, found.boot_verified) == (True, "", None, None)


def test_a_certificate_of_the_attestation_key_vouches_where_it_says_that_it_is_one() -> None:
    top = maker.p256()
    key = read_public_key(kept("ak.pem"), "ak")

    class Held:
        """The attestation key: its private half stays in the TPM."""

        def public_key(self) -> Any:
            return key.key

    def issued(purposes: tuple[str, ...]) -> Statement:
        ak = maker.pem(maker.certificate("AK", Held(), "Maker root", top, purposes=purposes))
        return certified(root=maker.pem(maker.root(top)), companions={"ak": ak})

    assert issued((AK_PURPOSE,)).valid
    assert not issued(()).genuine
    assert not issued(("1.3.6.1.5.5.7.3.3",)).genuine
    assert AK_PURPOSE in issued(()).note
    ak = maker.pem(maker.certificate("AK", Held(), "Maker root", top, purposes=(AK_PURPOSE,)))
    foreign = certified(root=maker.pem(maker.root(maker.p256())), companions={"ak": ak})
    assert not foreign.genuine
    other = maker.pem(maker.certificate("AK", maker.p256(), "Maker root", top, purposes=(AK_PURPOSE,)))
    assert "does not verify" in certified(root=maker.pem(maker.root(top)), companions={"ak": other}).note


def test_no_single_changed_bit_of_statement_signature_or_key_leaves_it_valid() -> None:
    parts = {"attest": kept("certify.attest"), "signature": kept("certify.sig"), "public": kept("signing.pub")}
    assert check(**parts).valid
    for name, data in parts.items():
        for place in range(len(data) * 8):
            changed = bytearray(data)
            changed[place // 8] ^= 1 << place % 8
            assert not survives(parts | {name: bytes(changed)}), (name, place)


def survives(parts: dict[str, bytes]) -> bool:
    companions = {name: data for name, data in parts.items() if name != "attest"}
    try:
        return check_attestation(parts["attest"], "tpm", maker.pinned(kept("ak.pem"), companions=companions))[1].valid
    except (FormatError, CryptoError):
        return False


@pytest.mark.parametrize("name", ["certify.attest", "certify.sig", "signing.pub"])
def test_a_structure_that_is_cut_anywhere_is_an_error(name: str) -> None:
    read = {"attest": read_attest, "sig": read_signature, "pub": read_public}[name.rpartition(".")[2]]
    data = kept(name)
    for size in range(len(data)):
        with pytest.raises((FormatError, UnsupportedAlgorithmError)):
            read(data[:size])
    with pytest.raises(FormatError):
        read(data + b"\0")


def test_other_statements_are_not_read() -> None:
    other = bytearray(kept("certify.attest"))
    other[5] = 0x1A  # TPM_ST_ATTEST_CREATION
    with pytest.raises(UnsupportedAlgorithmError, match="0x801a"):
        check(bytes(other), kept("certify.sig"), kept("signing.pub"))


# Statements of our own making, for what no TPM would say


def sized(data: bytes) -> bytes:
    return len(data).to_bytes(2, "big") + data


def made(attributes: int, key: Any, signer: Any) -> tuple[bytes, bytes, bytes]:
    """Return statement, signature and public area as a TPM with this attestation key would write them."""
    numbers = key.public_key().public_numbers()
    point = sized(numbers.x.to_bytes(32, "big")) + sized(numbers.y.to_bytes(32, "big"))
    public = bytes.fromhex("0023000b") + attributes.to_bytes(4, "big") + sized(b"")
    public += bytes.fromhex("0010 0018000b 0003 0010") + point  # no symmetric part, ECDSA with SHA-256, P-256, no KDF
    name = b"\x00\x0b" + hashlib.sha256(public).digest()
    attest = bytes.fromhex("ff544347 8017") + sized(b"signer") + sized(NONCE) + bytes(25) + sized(name) + sized(name)
    r, s = decode_dss_signature(signer.sign(attest, ec.ECDSA(hashes.SHA256())))
    signature = bytes.fromhex("0018000b") + sized(r.to_bytes(32, "big")) + sized(s.to_bytes(32, "big"))
    return attest, signature, public


@pytest.mark.parametrize(
    ("attributes", "stays"), [(0x32, True), (0x40072, True), (0x30, False), (0x22, False), (0x12, False), (0, False)]
)
def test_each_of_the_three_attributes_is_needed(attributes: int, stays: bool) -> None:  # noqa: FBT001
    signer = maker.p256()
    found = check(*made(attributes, maker.p256(), signer), root=maker.spki(signer))
    assert (found.valid, found.non_exportable) == (True, stays)


def test_an_attestation_key_that_certifies_itself_proves_nothing() -> None:
    signer = maker.p256()
    found = check(*made(0x32, signer, signer), root=maker.spki(signer))
    assert (found.genuine, found.note) == (False, "the key that it certifies vouches for itself")


# A running TPM


@pytest.fixture(scope="module")
def tpm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tpm_maker.Tpm]:
    with tpm_maker.running(tmp_path_factory.mktemp("tpm")) as found:
        yield found


@pytest.mark.parametrize(
    ("kind", "attributes", "stays"),
    [
        ("ecc256:ecdsa", tpm_maker.FIXED, True),
        ("ecc384:ecdsa", tpm_maker.FIXED, True),
        ("rsa2048:rsassa", tpm_maker.FIXED, True),
        ("rsa2048", "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|decrypt", True),
        ("ecc256:ecdsa", tpm_maker.MOVABLE, False),
    ],
)
def test_a_running_tpm_certifies_keys_of_each_kind(
    tpm: tpm_maker.Tpm,
    kind: str,
    attributes: str,
    stays: bool,  # noqa: FBT001
) -> None:
    handle = next(HANDLES)
    public = tpm.key("key", kind, attributes, handle)
    tpm.run("tpm2_readpublic", "-c", f"{handle:#x}", "-f", "pem", "-o", "key.pem")
    attest, signature = tpm.certify(handle, NONCE)
    found = check(attest, signature, public, root=tpm.read("ak.pem"))
    assert (found.valid, found.non_exportable) == (True, stays)
    assert found.key == read_public_key(tpm.read("key.pem"), "key").spki_sha256  # the tools' own conversion agrees
    assert not check(attest, signature, public, root=tpm.read("ak.pem"), nonce=bytes(32)).valid
    tpm.run("tpm2_evictcontrol", "-C", "o", "-c", f"{handle:#x}")


def test_a_running_tpm_quotes_with_our_nonce(tpm: tpm_maker.Tpm) -> None:
    attest, signature = tpm.quote(NONCE)
    given = Pinned(
        ring=read_root(tpm.read("ak.pem"), "ak"), as_of=maker.AS_OF, nonce=NONCE, companions={"signature": signature}
    )
    assert check_attestation(attest, "auto", given)[1].valid


def test_a_key_that_the_tpm_calls_imported_is_exportable(tpm: tpm_maker.Tpm) -> None:
    tpm.run("openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", "outside.pem")
    tpm.run("tpm2_createprimary", "-C", "o", "-c", "primary.ctx", "-G", "ecc")
    tpm.run("tpm2_import", "-C", "primary.ctx", "-G", "ecc", "-i", "outside.pem", "-u", "in.pub", "-r", "in.priv")
    tpm.run("tpm2_load", "-C", "primary.ctx", "-u", "in.pub", "-r", "in.priv", "-c", "in.ctx")
    tpm.run("tpm2_evictcontrol", "-C", "o", "-c", "in.ctx", "0x81010050")
    attest, signature = tpm.certify(0x81010050, NONCE)
    found = check(attest, signature, tpm.read("in.pub"), root=tpm.read("ak.pem"))
    assert (found.valid, found.non_exportable) == (True, False)
