"""The pump's own programs: what they accept, and every near miss that they refuse, for which reason."""

from __future__ import annotations

import ast
import dataclasses
import importlib
import json
import random
import shutil
import subprocess
import sys
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import message
import pump
import pytest
import slots
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, mldsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID

from samples.build import _pki, _quantum_cms, _quantum_device, golden
from samples.build._pki import Profile
from samples.build._quantum_cms import Signer, enveloped, signed_data
from samples.build._tools import KEYS

SAMPLE: Final = golden.SAMPLES / "quantum"
NEAR_MISS: Final = golden.SAMPLES / "quantum-near-miss"
MOMENT: Final = datetime(2026, 10, 1, tzinfo=UTC)
OFFERED: Final = SAMPLE / "artifacts" / "pc9-3.2.0-A.p7m"
MESSAGE: Final = OFFERED.read_bytes()
SIGNATURE: Final = OFFERED.with_suffix(".p7s").read_bytes()
ISSUING: Final = x509.load_pem_x509_certificate((SAMPLE / "trust" / "issuing.crt.pem").read_bytes())
ROOT: Final = x509.load_pem_x509_certificate((SAMPLE / "trust" / "root.crt.pem").read_bytes())
RECIPIENT: Final = x509.load_pem_x509_certificate((SAMPLE / "lab" / "device-A-2026.crt.pem").read_bytes())
GENUINE: Final = Profile(
    name="PC-9 Release Signer 2026", serial=77, years=(2026, 2028), usage=("digital_signature",),
    purposes=(_pki.CODE_SIGNING,),
)  # fmt: skip


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return Path(shutil.copytree(SAMPLE / "device" / "state", tmp_path / "state"))


@pytest.fixture(scope="module")
def trust() -> message.Trust:
    device = slots.Device(SAMPLE / "device" / "state")
    return message.Trust.load(device.folder, device.clock)


@pytest.fixture
def offer(state: Path, tmp_path: Path) -> Any:
    """Offer a message with a signature to the pump; return the reason of its refusal, or nothing."""

    def made(data: bytes = MESSAGE, signature: bytes | None = SIGNATURE) -> str:
        files = tmp_path / "update.p7m", tmp_path / "update.p7s"
        files[0].write_bytes(data)
        files[1].unlink(missing_ok=True)
        if signature is not None:
            files[1].write_bytes(signature)
        try:
            pump.update(slots.Device(state), *files)
        except slots.RefusedError as refusal:
            return refusal.reason
        return ""

    return made


def facts(state: Path) -> dict[str, Any]:
    return slots.Device(state).facts()


# What is genuine


def test_the_genuine_update_is_installed_and_then_activated(state: Path, offer: Any) -> None:
    assert facts(state)["version"] == "3.1.0"
    assert offer() == ""
    assert (facts(state)["version"], facts(state)["pending"]) == ("3.1.0", True)
    assert (state / "slots" / "b.bin").read_bytes() == _quantum_device.image("3.2.0")
    pump.boot(slots.Device(state))
    assert (facts(state)["version"], facts(state)["active"], facts(state)["activations"]) == ("3.2.0", "b", 2)


def test_a_staging_signer_of_the_same_authority_is_accepted(offer: Any) -> None:
    assert offer(signature=signed(_certificate("staging"), KEYS / "quantum-staging.pem")) == ""


def test_the_near_miss_accepts_what_the_pump_refuses_and_by_its_policy_alone(offer: Any, state: Path) -> None:
    classical = NEAR_MISS / "artifacts" / "pc9-3.2.0-A.p7m"
    offered = classical.read_bytes(), classical.with_suffix(".p7s").read_bytes()
    assert offer(*offered) == "policy"
    shutil.copyfile(NEAR_MISS / "device" / "state" / "policy.json", state / "policy.json")
    assert offer(*offered) == ""


def test_both_samples_have_the_same_programs() -> None:
    for path in (SAMPLE / "device").glob("*.py"):
        assert path.read_bytes() == (NEAR_MISS / "device" / path.name).read_bytes()
    assert not {path.name for path in (NEAR_MISS / "device").glob("*.py")} - set(PROGRAMS)


PROGRAMS: Final = ("der.py", "message.py", "pump.py", "slots.py")


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_programs_share_no_code_with_the_checker(name: str) -> None:
    tree = ast.walk(ast.parse((SAMPLE / "device" / name).read_text()))
    found = {item.module or "" for item in tree if isinstance(item, ast.ImportFrom)}
    found |= {each.name for item in tree if isinstance(item, ast.Import) for each in item.names}
    tops = {item.split(".")[0] for item in found}
    assert tops <= set(sys.stdlib_module_names) | {"cryptography", "der", "message", "slots"}


@pytest.mark.parametrize("name", ["quantum", "quantum_near_miss"])
def test_a_sample_made_anew_is_accepted_by_its_own_pump(tmp_path: Path, name: str) -> None:
    importlib.import_module(f"samples.build.{name}").build(tmp_path)
    offered = tmp_path / "artifacts" / "pc9-3.2.0-A.p7m"
    device = slots.Device(tmp_path / "device" / "state")
    assert pump.update(device, offered, offered.with_suffix(".p7s")) == "accepted: 3.2.0 is in slot b"
    assert pump.boot(slots.Device(tmp_path / "device" / "state")) == "running: 3.2.0 from slot b"


# Who signed


def signed(certificate: x509.Certificate, key: Path, above: tuple[x509.Certificate, ...] = (ISSUING,)) -> bytes:
    return signed_data(MESSAGE, [Signer(certificate=certificate, key=key, above=above)], MOMENT)


def _certificate(name: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate((SAMPLE / "lab" / f"{name}.crt.pem").read_bytes())


def issued(profile: Profile = GENUINE, key: str = "quantum-staging", by: str = "quantum-issuing") -> x509.Certificate:
    issuer = {"quantum-issuing": ISSUING, "quantum-root": ROOT}[by]
    return _pki.issue(profile, KEYS / f"{key}.pem", issuer, KEYS / f"{by}.pem")


def profile(**changes: Any) -> Profile:
    return dataclasses.replace(GENUINE, **changes)


SIGNERS: Final = {
    "not for signing code": (profile(purposes=(ExtendedKeyUsageOID.SERVER_AUTH,)), "key"),
    "for any purpose": (profile(purposes=(ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE,)), "key"),
    "for no purpose": (profile(purposes=()), "key"),
    "not for signing": (profile(usage=("key_encipherment",)), "key"),
    "an authority": (profile(ca=True, usage=("digital_signature", "key_cert_sign")), "key"),
    "expired": (profile(years=(2024, 2026)), "time"),
    "not yet valid": (profile(years=(2027, 2029)), "time"),
    "revoked": (profile(serial=99), "key"),
}  # fmt: skip


def test_a_signer_like_those_below_in_all_but_one_thing_is_accepted(offer: Any) -> None:
    assert offer(signature=signed(issued(), KEYS / "quantum-staging.pem")) == ""


@pytest.mark.parametrize("name", SIGNERS)
def test_a_signer_who_may_not_sign_is_refused(offer: Any, state: Path, name: str) -> None:
    changed, reason = SIGNERS[name]
    before = facts(state)
    assert offer(signature=signed(issued(changed), KEYS / "quantum-staging.pem")) == reason
    assert facts(state) == before
    (line,) = (state / "update.log").read_text().splitlines()
    assert (json.loads(line)["event"], json.loads(line)["reason"]) == ("refused", reason)


def test_the_published_revoked_signer_is_refused(offer: Any) -> None:
    assert offer(signature=signed(_certificate("revoked"), KEYS / "quantum-revoked.pem")) == "key"


def test_a_stranger_is_refused(offer: Any) -> None:
    stranger = _pki.issue(GENUINE, KEYS / "quantum-staging.pem", None, KEYS / "quantum-staging.pem")
    assert offer(signature=signed(stranger, KEYS / "quantum-staging.pem")) == "key"


def test_a_stranger_below_an_authority_of_the_same_name_is_refused(offer: Any) -> None:
    named = dataclasses.replace(GENUINE, name="Acme Quantum Code Signing CA", ca=True, usage=("key_cert_sign",))
    false = _pki.issue(named, KEYS / "quantum-revoked.pem", ROOT, KEYS / "quantum-revoked.pem")
    signer = _pki.issue(GENUINE, KEYS / "quantum-staging.pem", false, KEYS / "quantum-revoked.pem")
    assert offer(signature=signed(signer, KEYS / "quantum-staging.pem", (false,))) == "key"


def test_a_stranger_with_the_certificate_of_the_signer_is_refused(offer: Any) -> None:
    genuine = x509.load_pem_x509_certificate((SAMPLE / "trust" / "signer-2026.crt.pem").read_bytes())
    assert offer(signature=signed(genuine, KEYS / "quantum-staging.pem")) == "signature"


def test_a_signer_who_is_named_by_a_bare_key_is_refused(offer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key id in place of issuer and serial number has version 3 (RFC 5652 5.1, 5.3); no key is known by its id."""
    monkeypatch.setattr(_quantum_cms, "_issuer_and_serial", lambda _: _quantum_cms.der(0x80, bytes(20)))
    stated = signed(issued(), KEYS / "quantum-staging.pem")
    one, three = _quantum_cms.der(0x02, b"\1"), _quantum_cms.der(0x02, b"\3")
    assert offer(signature=stated) == "format"  # it says version 1
    place = stated.index(one + _quantum_cms.der(0x80, bytes(20)))
    info = stated[:place] + three + stated[place + 3 :]
    assert offer(signature=info) == "format"  # the outer one still does
    assert offer(signature=info.replace(one, three, 1)) == "key"


def test_a_path_with_a_gap_is_refused(offer: Any) -> None:
    assert offer(signature=signed(issued(), KEYS / "quantum-staging.pem", ())) == "key"


def test_a_signer_without_the_authority_between_is_accepted_only_below_a_list_of_the_root(offer: Any) -> None:
    assert offer(signature=signed(issued(by="quantum-root"), KEYS / "quantum-staging.pem", ())) == ""


def test_a_signer_who_plays_authority_is_refused(offer: Any) -> None:
    below = _pki.issue(profile(serial=78), KEYS / "quantum-revoked.pem", issued(), KEYS / "quantum-staging.pem")
    assert offer(signature=signed(below, KEYS / "quantum-revoked.pem", (issued(), ISSUING))) == "key"


def test_an_authority_below_one_that_allows_none_is_refused(offer: Any) -> None:
    authority = issued(profile(name="Below", ca=True, usage=("key_cert_sign", "crl_sign"), purposes=()))
    below = _pki.issue(profile(serial=78), KEYS / "quantum-revoked.pem", authority, KEYS / "quantum-staging.pem")
    assert offer(signature=signed(below, KEYS / "quantum-revoked.pem", (authority, ISSUING))) == "key"


def test_the_anchor_itself_signs_nothing(offer: Any) -> None:
    assert offer(signature=signed(ROOT, KEYS / "quantum-root.pem", ())) == "key"


def test_a_revocation_list_that_is_missing_or_out_of_date_is_no_permission(state: Path, offer: Any) -> None:
    (state / "trust" / "root.crl.pem").unlink()
    assert offer() == "key"
    shutil.copyfile(SAMPLE / "trust" / "root.crl.pem", state / "trust" / "root.crl.pem")
    memory = json.loads((state / "device.json").read_text())
    listed = x509.load_pem_x509_crl((state / "trust" / "root.crl.pem").read_bytes())
    assert listed.next_update_utc is not None
    late = listed.next_update_utc - timedelta(days=1)
    (state / "device.json").write_text(json.dumps(memory | {"clock": late.isoformat()}))
    assert offer() == ""  # the certificates and the lists end on the same day
    late += timedelta(days=2)
    memory = json.loads((state / "device.json").read_text())
    (state / "device.json").write_text(json.dumps(memory | {"clock": late.isoformat()}))
    assert offer() == "time"


# By which algorithms


def _key_file(folder: Path, key: Any) -> Path:
    path = folder / "key.pem"
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return path


def test_a_classical_signer_of_the_same_authority_is_refused_by_policy(offer: Any) -> None:
    assert offer(signature=signed(issued(key="gateway-signer-2026"), KEYS / "gateway-signer-2026.pem")) == "policy"


def test_a_quantum_resistant_signer_below_a_classical_authority_is_refused_by_policy(offer: Any) -> None:
    plain = profile(name="Classical", ca=True, usage=("key_cert_sign",), purposes=())
    authority = issued(plain, "gateway-issuing", "quantum-root")
    signer = _pki.issue(GENUINE, KEYS / "quantum-staging.pem", authority, KEYS / "gateway-issuing.pem")
    assert offer(signature=signed(signer, KEYS / "quantum-staging.pem", (authority,))) == "policy"


@pytest.mark.parametrize("name", ["1.3.14.3.2.26", "1.2.840.113549.2.5", "2.16.840.1.101.3.4.2.1"])
def test_another_digest_is_refused_by_policy(offer: Any, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(_quantum_cms, "SHA3_512", name)
    assert offer(signature=signed(issued(), KEYS / "quantum-staging.pem")) == "policy"


@pytest.mark.parametrize("name", ["1.2.3.4", _quantum_cms.ECDSA_SHA3_256])
def test_an_algorithm_that_is_not_that_of_the_key_is_refused(
    offer: Any, state: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    shutil.copyfile(NEAR_MISS / "device" / "state" / "policy.json", state / "policy.json")
    monkeypatch.setattr(_quantum_cms, "ML_DSA_65", name)
    assert offer(signature=signed(issued(), KEYS / "quantum-staging.pem")) == "signature"


def test_another_parameter_set_of_ml_dsa_is_refused(offer: Any, tmp_path: Path) -> None:
    key = _key_file(tmp_path, mldsa.MLDSA44PrivateKey.generate())
    certificate = _pki.issue(GENUINE, key, ISSUING, KEYS / "quantum-issuing.pem")
    stated = signed(certificate, KEYS / "quantum-staging.pem")
    assert offer(signature=stated) == "signature"  # it says ML-DSA-65, the key is of another kind


def test_a_curve_has_no_part_in_the_policy_of_the_pump(trust: message.Trust) -> None:
    assert trust.policy["signatures"] == ["ml-dsa-65"]
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    with pytest.raises(slots.RefusedError, match="not for ml-dsa-65"):
        message._check(key, "ml-dsa-65", b"", b"")


# Over what


CHANGED: Final = {
    "first byte": (b"\x31" + MESSAGE[1:], "digest"),
    "last byte": (MESSAGE[:-1] + bytes([MESSAGE[-1] ^ 1]), "digest"),
    "cut by one byte": (MESSAGE[:-1], "digest"),
    "cut in half": (MESSAGE[: len(MESSAGE) // 2], "digest"),
    "one byte more": (MESSAGE + b"\0", "digest"),
    "nothing": (b"", "size"),
    "endless": (MESSAGE + bytes(pump.MAX_MESSAGE), "size"),
}


@pytest.mark.parametrize("name", CHANGED)
def test_another_message_is_refused(offer: Any, name: str) -> None:
    assert offer(CHANGED[name][0]) == CHANGED[name][1]


def test_without_a_signature_nothing_is_accepted(offer: Any) -> None:
    assert offer(signature=None) == "signature"
    assert offer(signature=b"") == "signature"
    assert offer(signature=signed_data(MESSAGE, [], MOMENT)) == "signature"
    assert offer(signature=SIGNATURE + bytes(pump.MAX_SIGNATURE)) == "size"


def test_two_signers_are_not_one(offer: Any) -> None:
    both = [Signer(certificate=issued(), key=KEYS / "quantum-staging.pem", above=(ISSUING,)) for _ in range(2)]
    assert offer(signature=signed_data(MESSAGE, both, MOMENT)) == "format"


@pytest.mark.parametrize("value", [b"", bytes(3309), b"\xff" * 3309, bytes(3310), bytes(4627)])
def test_a_signature_value_of_our_own_is_refused(offer: Any, monkeypatch: pytest.MonkeyPatch, value: bytes) -> None:
    monkeypatch.setattr(_quantum_cms, "_sign", lambda *_: value)
    assert offer(signature=signed(issued(), KEYS / "quantum-staging.pem")) == "signature"


def test_an_attached_message_is_no_detached_signature(offer: Any) -> None:
    signer = Signer(certificate=issued(), key=KEYS / "quantum-staging.pem", above=(ISSUING,))
    assert offer(signature=signed_data(MESSAGE, [signer], MOMENT, attached=True)) == "format"


def test_what_was_signed_for_another_release_is_refused(offer: Any) -> None:
    old = SAMPLE / "artifacts" / "pc9-3.1.0-A.p7m"
    assert offer(MESSAGE, old.with_suffix(".p7s").read_bytes()) == "digest"
    assert offer(old.read_bytes(), old.with_suffix(".p7s").read_bytes()) == "version"


def test_the_same_update_again_is_refused_before_and_after_it_runs(state: Path, offer: Any) -> None:
    assert offer() == ""
    assert offer() == "version"
    pump.boot(slots.Device(state))
    assert offer() == "version"


def test_an_update_for_another_pump_is_refused(offer: Any) -> None:
    other = SAMPLE / "artifacts" / "pc9-3.2.0-B.p7m"
    assert offer(other.read_bytes(), other.with_suffix(".p7s").read_bytes()) == "decrypt"


# What is inside, signed again by somebody whom the pump trusts


@pytest.fixture
def again(offer: Any) -> Any:
    def made(data: bytes) -> str:
        signer = Signer(certificate=_certificate("staging"), key=KEYS / "quantum-staging.pem", above=(ISSUING,))
        return str(offer(data, signed_data(data, [signer], MOMENT)))

    return made


@pytest.mark.parametrize("part", ["ciphertext of the key", "wrapped key", "nonce", "ciphertext", "tag"])
def test_a_bit_of_the_envelope_is_refused_by_decryption(again: Any, part: str) -> None:
    assert again(MESSAGE) == ""
    nonce = MESSAGE.index(b"\x04\x0c", MESSAGE.index(_quantum_cms.oid(_quantum_cms.AES256_GCM)))
    kem = MESSAGE.index(_quantum_cms.oid(_quantum_cms.ML_KEM_768))
    wrap = MESSAGE.index(_quantum_cms.oid(_quantum_cms.AES256_WRAP))
    place = {"ciphertext of the key": kem + 40, "wrapped key": wrap + 20, "nonce": nonce + 3,
             "ciphertext": nonce + 100, "tag": len(MESSAGE) - 3}[part]  # fmt: skip
    assert again(MESSAGE[:place] + bytes([MESSAGE[place] ^ 4]) + MESSAGE[place + 1 :]) == "decrypt"


@pytest.mark.parametrize("constant", ["HKDF_SHA256", "AES256_WRAP", "AES256_GCM", "ML_KEM_768"])
def test_another_algorithm_of_the_envelope_is_refused_by_policy(
    again: Any, monkeypatch: pytest.MonkeyPatch, constant: str
) -> None:
    monkeypatch.setattr(_quantum_cms, constant, "1.2.3.4")
    assert again(enveloped(_quantum_device.image("3.2.0"), [RECIPIENT], bytes(32), bytes(12))) == "policy"


def test_a_key_that_travels_classically_only_is_for_nobody_here(again: Any) -> None:
    classical = x509.load_pem_x509_certificate((NEAR_MISS / "lab" / "device-A-2026-old.crt.pem").read_bytes())
    assert again(enveloped(_quantum_device.image("3.2.0"), [classical], bytes(32), bytes(12))) == "decrypt"


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        (b"", "compatibility"),
        (_quantum_device.image("3.2.0")[:63], "compatibility"),
        (_quantum_device.image("3.2.0").replace(b"pump", b"tank"), "compatibility"),
        (_quantum_device.image("3.2"), "compatibility"),
        (_quantum_device.image("3.2.-1"), "compatibility"),
        (_quantum_device.image("3.1.0"), "version"),
        (_quantum_device.image("3.0.99999"), "version"),
        (_quantum_device.image("3.1.1"), ""),
        (_quantum_device.image("3.10.0"), ""),
    ],
    ids=lambda value: value[:40].decode() if isinstance(value, bytes) else value,
)
def test_the_image_says_for_whom_and_how_new_it_is(again: Any, image: bytes, reason: str) -> None:
    assert again(enveloped(image, [RECIPIENT], bytes(32), bytes(12))) == reason


# After the install


@pytest.fixture
def installed(state: Path, offer: Any) -> Path:
    assert offer() == ""
    return state / "slots" / "b.bin"


def test_what_is_not_read_back_as_verified_is_thrown_away_and_the_old_slot_runs(state: Path, offer: Any) -> None:
    before = facts(state)
    assert offer() == ""
    path = state / "slots" / "b.bin"
    path.write_bytes(path.read_bytes()[:-1] + b"\0")
    with pytest.raises(slots.RefusedError, match="digest: slot b does not hold what was verified"):
        pump.boot(slots.Device(state))
    assert facts(state) == before
    assert json.loads((state / "update.log").read_text().splitlines()[-1])["event"] == "not activated"
    assert offer() == ""  # and can be installed again
    pump.boot(slots.Device(state))
    assert facts(state)["version"] == "3.2.0"


def test_a_repaired_checksum_repairs_nothing(state: Path, installed: Path) -> None:
    genuine = installed.read_bytes()
    changed = with_crc(genuine[:100] + b"\x90" + genuine[101:], zlib.crc32(genuine))
    assert zlib.crc32(changed) == zlib.crc32(genuine)
    assert changed != genuine
    installed.write_bytes(changed)
    with pytest.raises(slots.RefusedError, match="digest"):
        pump.boot(slots.Device(state))


def with_crc(data: bytes, wanted: int) -> bytes:
    """Return data with other last four bytes, so that their CRC-32 is the wanted one: it is linear in them."""
    head, basis = data[:-4], [(1 << bit).to_bytes(4, "little") for bit in range(32)]
    start = zlib.crc32(head + bytes(4))
    rows = [(zlib.crc32(head + each) ^ start, 1 << bit) for bit, each in enumerate(basis)]
    goal, chosen = start ^ wanted, 0
    for column in range(31, -1, -1):
        row = next(item for item in rows if item[0] >> column & 1 and not item[0] >> column + 1)
        rows = [(a ^ row[0], b ^ row[1]) if (a, b) != row and a >> column & 1 else (a, b) for a, b in rows]
        if goal >> column & 1:
            goal, chosen = goal ^ row[0], chosen ^ row[1]
        rows.remove(row)
    return head + chosen.to_bytes(4, "little")


@pytest.mark.parametrize("change", ["cut", "longer", "gone"])
def test_a_slot_that_holds_less_more_or_nothing_is_not_activated(state: Path, installed: Path, change: str) -> None:
    data = installed.read_bytes()
    installed.unlink()
    if change != "gone":
        installed.write_bytes(data[:-1] if change == "cut" else data + b"\xff")
    with pytest.raises(slots.RefusedError, match="digest"):
        pump.boot(slots.Device(state))
    assert facts(state)["version"] == "3.1.0"


def test_power_that_fails_after_the_image_and_before_the_reference_leaves_the_old_slot(state: Path, offer: Any) -> None:
    memory = (state / "device.json").read_bytes()
    assert offer() == ""
    (state / "device.json").write_bytes(memory)
    assert pump.boot(slots.Device(state)) == "running: 3.1.0 from slot a"
    assert offer() == ""


def test_a_running_slot_that_changed_is_told(state: Path) -> None:
    (state / "slots" / "a.bin").write_bytes(b"something else")
    with pytest.raises(slots.RefusedError, match="slot a does not hold"):
        pump.boot(slots.Device(state))


# Input from strangers


def flips(data: bytes, count: int, seed: int) -> Iterator[bytes]:
    chosen = random.Random(seed)  # noqa: S311 - which bits are tried is no secret
    for place in sorted(chosen.sample(range(len(data) * 8), count)):
        changed = bytearray(data)
        changed[place // 8] ^= 1 << place % 8
        yield bytes(changed)


def refused(trust: message.Trust, data: bytes, signature: bytes) -> str:
    with pytest.raises(slots.RefusedError) as caught:
        message.open_update(data, signature, trust)
    return caught.value.reason


def test_no_flipped_bit_of_the_signature_is_accepted(trust: message.Trust) -> None:
    found = {refused(trust, MESSAGE, changed) for changed in flips(SIGNATURE, 600, 1)}
    assert {"signature", "key", "format"} <= found <= {"signature", "key", "format", "policy", "time", "digest"}


def test_no_flipped_bit_of_the_message_is_accepted(trust: message.Trust) -> None:
    assert {refused(trust, changed, SIGNATURE) for changed in flips(MESSAGE, 100, 2)} == {"digest"}


def test_no_flipped_bit_of_the_envelope_is_believed(trust: message.Trust) -> None:
    for changed in flips(MESSAGE, 600, 3):
        with pytest.raises(slots.RefusedError):
            opened(changed, trust)


def opened(data: bytes, trust: message.Trust) -> bytes:
    """Return what is inside an envelope that nobody signed; complaints of libraries count as they do in the pump."""
    original = message.verify
    try:
        message.verify = lambda *_: None
        return message.open_update(data, b"", trust)
    finally:
        message.verify = original


def test_unused_bits_of_a_certificates_signature_are_refused_though_the_library_takes_them(
    trust: message.Trust,
) -> None:
    place = SIGNATURE.index(b"\0" + ISSUING.signature)
    changed = SIGNATURE[:place] + b"\1" + SIGNATURE[place + 1 :]
    assert refused(trust, MESSAGE, changed) == "format"


def test_what_is_cut_or_lengthened_anywhere_is_refused(trust: message.Trust) -> None:
    for size in range(0, len(SIGNATURE), 97):
        assert refused(trust, MESSAGE, SIGNATURE[:size]) in {"format", "key"}
        assert refused(trust, MESSAGE, SIGNATURE[:size] + b"\0" + SIGNATURE[size:])
    assert refused(trust, MESSAGE, SIGNATURE + b"\0") == "format"


def test_noise_and_nesting_are_refused(trust: message.Trust) -> None:
    chosen = random.Random(4)  # noqa: S311
    deep = b""
    for _ in range(60):
        deep = _quantum_cms.der(0x30, deep)
    for noise in (*(chosen.randbytes(size) for size in range(1, 200)), deep, b"\x30\x80", b"\x30\x84\xff\xff\xff\xff"):
        assert refused(trust, MESSAGE, noise) == "format"
        with pytest.raises(slots.RefusedError):
            opened(noise, trust)


# As a program


def run(*words: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-B", SAMPLE / "device" / "pump.py", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def test_the_program_says_in_one_line_and_by_its_status_what_it_did(state: Path, tmp_path: Path) -> None:
    done = run("update", "--state", state, OFFERED, tmp_path / "missing")
    assert (done.returncode, done.stdout) == (1, "refused: signature: there is no signature\n")
    done = run("update", "--state", state, OFFERED, OFFERED.with_suffix(".p7s"))
    assert (done.returncode, done.stdout) == (0, "accepted: 3.2.0 is in slot b\n")
    done = run("boot", "--state", state)
    assert (done.returncode, done.stdout) == (0, "running: 3.2.0 from slot b\n")
    assert json.loads(run("report", "--state", state).stdout) == facts(state)
    assert run("update", "--state", state).returncode == 2


@pytest.mark.parametrize("memory", [b"", b"{}", b"[]", b"\xff", b'{"clock": 1}', b"[" * 5000])
@pytest.mark.parametrize("command", ["update", "boot", "report"])
def test_a_damaged_memory_is_told_without_a_traceback(state: Path, memory: bytes, command: str) -> None:
    (state / "device.json").write_bytes(memory)
    files = [OFFERED, OFFERED.with_suffix(".p7s")] if command == "update" else []
    done = run(command, "--state", state, *files)
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.startswith("refused: state: ")


@pytest.mark.parametrize(
    "file", ["policy.json", "trust/anchor.crt.pem", "trust/root.crl.pem", "keys/2026.crt.pem", "keys/2026.key.pem"]
)
@pytest.mark.parametrize(
    "content", [None, b"", b"\xff{", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]
)
def test_damaged_trust_is_told_and_nothing_is_accepted(
    state: Path, offer: Any, file: str, content: bytes | None
) -> None:
    (state / file).unlink()
    if content is not None:
        (state / file).write_bytes(content)
    without_list = content is None and file == "trust/root.crl.pem"
    assert offer() == ("key" if without_list else "state")
