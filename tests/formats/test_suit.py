"""SUIT envelopes: an example of another implementation, and manifests that differ from good ones in one thing."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import cbor2
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from checker.crypto.keyring import KeyRing, read_decryption_key
from checker.crypto.keys import read_public_key
from checker.errors import CryptoError, FormatError, LimitError
from checker.formats import _suit_commands as commands
from checker.formats import suit as suit_format
from checker.formats._open import detect, open_artifact
from checker.formats._suit_manifest import MAX_COMPONENTS
from checker.formats.contract import Context
from checker.io.sources import BytesSource
from checker.model.artifact import Artifact, AuthKind, Weakness
from checker.model.terms import Outcome
from samples.build.formats import _suit as maker
from samples.build.formats import suit as sample
from samples.build.formats._suit import Plan

AS_OF: Final = "2026-11-01T00:00:00Z"
PLAN: Final = sample.PLAN
FIRMWARE: Final = sample.FIRMWARE
# suit_manifest_expAF.md of kentakayama/libcsuit (BSD-2-Clause, SECOM): fetch, then decrypt while copying; COSE_Mac0
EXP_AF: Final = bytes.fromhex(
    "D86BA2025853825824822F582085539AA507094CFEA494F4D87A188B9280FA6966E583D12D738762F08EB9C914582AD18443A10105A0F6"
    "5820E22534A05903F63AE9EBA0C1CFA938AB48008553CA765622FBA7539E86441E380358B7A40101020103582BA102828152706C61696E"
    "746578742D6669726D776172658152656E637279707465642D6669726D776172651458818C0C0114A20E182E15782668747470733A2F2F"
    "6578616D706C652E636F6D2F656E637279707465642D6669726D77617265150F0C0014A2135843D8608443A10101A10550F14AAB9D81D5"
    "1F7AD943FE87AF4F70CDF6818341A0A2012204456B69642D31581875603FFC9518D794713C8CA8A115A7FB32565A6D59534D621601160F"
)


def ring(*secrets: bytes, keys: bool = True) -> KeyRing:
    public = [key.public_key() for key in (sample.load(sample.SIGNER), sample.eddsa())] if keys else []
    forms = [key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo) for key in public]
    return KeyRing.of(
        keys=[read_public_key(form, f"key {number}") for number, form in enumerate(forms)],
        decryption=[read_decryption_key(secret.hex().encode(), f"secret {secret[:1].hex()}") for secret in secrets],
    )


def opened(data: bytes, keys: KeyRing | None = None, **beside: bytes) -> Artifact:
    companions = {name.replace("_", "."): BytesSource(name, content) for name, content in beside.items()}
    context = Context(keys=keys or ring(sample._secret("device-a")), as_of=AS_OF, companions=companions)
    return open_artifact(BytesSource("file.suit", data), context)


def packed(plan: Plan, **more: Any) -> Artifact:
    return opened(maker.packed(plan, sample.ES256, **more))


def signed(manifest: dict[int, Any], beside: dict[Any, Any] | None = None) -> Artifact:
    return opened(maker.envelope(manifest, [sample.ES256], beside))


def installing(
    commands_: list[Any], beside: dict[Any, Any] | None = None, common: dict[int, Any] | None = None
) -> Artifact:
    manifest = PLAN.manifest(install=maker.wrapped(commands_))
    if common is not None:
        manifest[3] = maker.wrapped(common)
        del manifest[7]
    return signed(manifest, PLAN.payloads() if beside is None else beside)


def codes(artifact: Artifact) -> list[str]:
    return sorted(weakness.code for weakness in artifact.weaknesses)


def uncovered(artifact: Artifact) -> int:
    return sum(span.size for span in artifact.coverage.uncovered)


def test_an_envelope_of_libcsuit_is_authenticated_by_its_secret_and_by_no_other() -> None:
    found = opened(EXP_AF, ring(b"a" * 32))
    (mac,) = found.signatures
    assert (mac.outcome, mac.kind, found.version.sequence) == (Outcome.VALID, AuthKind.MAC, 1)
    # libcsuit's secret is one letter again and again.
    assert codes(found) == ["mac-not-signature", "missing-digest", "no-hardware-id", "published-development-key"]
    assert opened(EXP_AF, ring(b"b" * 32)).signatures[0].outcome is Outcome.INVALID
    assert opened(EXP_AF, ring()).signatures[0].outcome is Outcome.KEY_UNKNOWN


def test_a_fetched_ciphertext_given_beside_the_envelope_is_decrypted() -> None:
    sealed = bytes.fromhex(
        "758C4B7BBAE2C4C1D462423E0F0DC3164FFA7B85BB94D4BD6D7ED26AB32FEB063385D4D3465927EC82CB5E198A59"
    )
    found = opened(EXP_AF, ring(b"a" * 32, b"a" * 16), payload=sealed)
    assert found.images[0].encryption.decrypted is not True  # that ciphertext belongs to the IV of another draft
    plan = replace(sample.sealed(sample.wraps()), uri="coaps://update.example/fw.bin")
    assert plan.sealed is not None
    found = opened(maker.packed(plan, sample.ES256), fw_bin=plan.sealed)
    (image,) = found.images
    assert (image.encryption.decrypted, [check.matches for check in image.digests]) == (True, [True])
    assert image.source is not None
    assert image.source.read(0, image.size) == FIRMWARE


# Authentication


def test_each_key_gives_its_own_outcome() -> None:
    data = maker.packed(PLAN, maker.sign(sample.load(sample.SIGNER), sample.eddsa()))
    assert [each.outcome for each in opened(data).signatures] == [Outcome.VALID, Outcome.VALID]
    assert [each.outcome for each in opened(data, ring(keys=False)).signatures] == [Outcome.KEY_UNKNOWN] * 2
    assert uncovered(opened(data, ring(keys=False))) == 0


def test_a_block_that_brings_its_own_payload_signs_only_that() -> None:
    key = sample.load(sample.SIGNER)

    def block(payload: bytes, over: bytes = b"") -> bytes:
        header = maker.protected({1: maker.ES256})
        signature = maker.raw_signature(key, maker.wrapped(["Signature1", header, b"", over or payload]))
        return maker.wrapped(cbor2.CBORTag(18, [header, {}, payload, signature]))

    same = opened(maker.packed(PLAN, block))
    other = opened(maker.packed(PLAN, lambda content: block(content[:-1] + b"x")))
    shown = opened(maker.packed(PLAN, lambda content: block(content[:-1] + b"x", content)))
    assert (same.signatures[0].outcome, uncovered(same)) == (Outcome.VALID, 0)
    assert (shown.signatures[0].outcome, uncovered(shown)) == (Outcome.INVALID, 1032)
    assert (other.signatures[0].outcome, uncovered(other)) == (Outcome.INVALID, 1032)


def test_a_signature_does_not_move_to_another_manifest() -> None:
    good = cbor2.loads(maker.packed(PLAN, sample.ES256)).value
    other = maker.packed(replace(PLAN, sequence=8), sample.ES256)
    members: dict[Any, Any] = {**cbor2.loads(other).value, 2: good[2]}
    moved = cbor2.dumps(cbor2.CBORTag(107, members))
    found = opened(moved)
    assert (found.signatures[0].outcome, codes(found), uncovered(found)) == (Outcome.VALID, ["digest-mismatch"], 1032)
    assert found.version.authentic is False


def test_an_empty_delegation_leads_to_no_key() -> None:
    beside: dict[Any, Any] = {1: maker.wrapped([]), **PLAN.payloads()}
    found = opened(maker.envelope(PLAN.manifest(), [maker.sign1(sample.load(sample.STRANGER))], beside))
    assert found.signatures[0].outcome in {Outcome.INVALID, Outcome.KEY_UNKNOWN}
    assert "delegation" in dict(found.facts)


def test_encryption_is_no_authentication() -> None:
    with pytest.raises(FormatError, match="authenticates nothing"):
        opened(maker.packed(PLAN, lambda _: maker.encrypt(b"", bytes(16), bytes(12), sample.wraps())[1]))


@pytest.mark.parametrize("algorithm", [(-16, "sha256"), (-43, "sha384"), (-44, "sha512")])
def test_the_digest_of_the_manifest_may_be_of_the_sha_2_family(algorithm: tuple[int, str]) -> None:
    number, name = algorithm
    inner = maker.wrapped(maker.wrapped(PLAN.manifest()))
    found = packed(PLAN, stated=maker.digest(inner, name=name, number=number))
    assert (codes(found), uncovered(found)) == ([], 0)
    wrong = packed(PLAN, stated=[number, maker.digest(inner[1:], name=name, number=number)[1]])
    assert (codes(wrong), uncovered(wrong)) == (["digest-mismatch"], 1032)


# Commands


def slots(*choices: bytes | None) -> list[Any]:
    return [15, list(choices)]


def test_a_digest_of_the_branch_that_was_not_taken_does_not_excuse_the_payload() -> None:
    """Two alternatives, two payloads; each has to be the one that some alternative means."""
    right = maker.wrapped([20, {21: "#firmware.bin"}])
    found = installing([*slots(right, None), 21, 2, 3, 15])
    assert (codes(found), uncovered(found)) == ([], 0)
    changed = installing([*slots(right, None), 21, 2, 3, 15], {"#firmware.bin": FIRMWARE[:-1] + b"x"})
    assert (codes(changed), uncovered(changed)) == (["digest-mismatch"], 900)


@pytest.mark.parametrize(
    ("sequence", "reached"),
    [
        ([20, {21: "#firmware.bin"}, 21, 2, 3, 15], True),
        ([19, {21: "#firmware.bin"}, 21, 2], True),
        ([32, maker.wrapped([20, {21: "#firmware.bin"}, 21, 2])], True),
        ([12, True, 20, {21: "#firmware.bin"}, 21, 2], True),
        ([12, [0], 20, {21: "#firmware.bin"}, 21, 2], True),
        ([34, {0: {21: "#firmware.bin"}}, 21, 2], True),
        ([20, {21: "#firmware.bin"}, 19, {21: "#else"}, 21, 2], True),  # set does not override
        ([20, {21: "#firmware.bin", 3: maker.wrapped(maker.digest(b"else"))}, 21, 2, 3, 15], True),  # right in validate
        ([20, {21: "#else"}, 21, 2], False),
        ([20, {21: "#firmware.bin"}], False),
    ],
)
def test_every_way_to_fetch_is_followed(sequence: list[Any], reached: bool) -> None:  # noqa: FBT001
    found = installing(sequence)
    assert (uncovered(found) == 0) is reached
    assert ("unreferenced-member" not in codes(found)) is reached


def test_a_copy_is_bound_by_the_digest_of_where_it_ends() -> None:
    shared = [20, dict(PLAN.identities), 1, 15, 2, 15, 12, 1, 20,
              {3: maker.wrapped(maker.digest(FIRMWARE)), 14: len(FIRMWARE)}]  # fmt: skip
    common = {2: [[b"\x00"], [b"\x01"]], 4: maker.wrapped(shared)}
    install = [12, 0, 20, {21: "#firmware.bin"}, 21, 2, 12, 1, 20, {22: 0}, 22, 2, 3, 15]
    found = installing(install, common=common)
    assert (codes(found), uncovered(found), found.images[0].target) == ([], 0, "01")
    changed = installing(install, {"#firmware.bin": FIRMWARE[1:]}, common)
    assert (codes(changed), uncovered(changed)) == (["digest-mismatch"], 899)
    lost = installing([*install[:-2]], common=common)  # copied, and never compared
    assert (codes(lost), uncovered(lost)) == (["digest-not-compared"], 900)


def test_parameters_can_be_copied_from_another_component() -> None:
    shared = [20, {**PLAN.identities, 3: maker.wrapped(maker.digest(FIRMWARE)), 14: 900}, 1, 15, 2, 15]
    common = {2: [[b"\x00"], [b"\x01"]], 4: maker.wrapped(shared)}
    found = installing([12, 1, 35, {0: [3, 14]}, 20, {21: "#firmware.bin"}, 21, 2, 3, 15], common=common)
    assert (codes(found), uncovered(found), found.images[0].target) == ([], 0, "01")


def test_conditions_become_constraints_and_only_compared_ones_do() -> None:
    more: dict[int, Any] = {4: 1_900_000_000, 26: 30, 28: maker.wrapped([1, [1, 2, -2, 3]]), 24: bytes(16)}
    found = packed(replace(PLAN, parameters=more, conditions=(4, 15, 26, 15, 27, 15, 28, 15, 24, 15)))
    assert set(found.version.constraints) == {
        "00 version > 1.2-beta.3",
        "battery at least 30 %",
        "update authorized",
        "use before 2030-03-17T17:46:40Z",
    }
    assert isinstance(found.hardware, tuple)
    assert "device 00000000-0000-0000-0000-000000000000" in found.hardware
    silent = packed(replace(PLAN, parameters=more))
    assert silent.version.constraints == ()


@pytest.mark.parametrize(
    ("parameters", "conditions", "error"),
    [
        ({4: -5}, (4, 15), "no date"),
        ({4: 10**12}, (4, 15), "no date"),
        ({4: "soon"}, (4, 15), "an integer"),
        ({28: maker.wrapped([1])}, (28, 15), "comparison and version"),
        ({28: maker.wrapped([1, "1.0"])}, (28, 15), "an array"),
        ({1: "vendor"}, (1, 15), "a byte string"),
        ({3: maker.wrapped([-16])}, (), "an algorithm and a value"),
        ({3: b"\x82"}, (), "2 items announced"),
        ({14: b""}, (), "an integer"),
        ({"uri": 1}, (), "a parameter's number"),
    ],
)
def test_a_damaged_parameter_is_an_error_with_its_name(parameters: Any, conditions: Any, error: str) -> None:
    with pytest.raises(FormatError, match=error):
        packed(replace(PLAN, parameters=parameters, conditions=conditions))


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({1: 2}, "version"),
        ({3: maker.wrapped([])}, "a map"),
        ({3: maker.wrapped({2: [["text"]]})}, "a byte string"),
        ({3: maker.wrapped({2: [[b""]] * (MAX_COMPONENTS + 1)})}, "components"),
        ({3: maker.wrapped({1: {-1: {}}})}, "an index"),
        ({7: maker.wrapped({})}, "an array"),
        ({2: "seven"}, "an integer"),
        ({23: maker.wrapped([20])}, "a map"),
        ({20: maker.wrapped([15, 1])}, "an array"),
        ({20: maker.wrapped([12, "all"])}, "no component"),
        ({20: maker.wrapped(["fetch", 1])}, "an integer"),
        ({20: maker.wrapped([20, {19: b"\xa0", 21: "#firmware.bin"}, 21, 2])}, "no tag says"),
    ],
)
def test_a_damaged_manifest_is_an_error_with_its_field(change: dict[int, Any], error: str) -> None:
    with pytest.raises(FormatError, match=error):
        signed({**PLAN.manifest(), **change}, PLAN.payloads())


def test_an_envelope_keeps_to_its_limits() -> None:
    with pytest.raises(LimitError, match="MAX_BLOCKS"):
        opened(maker.packed(PLAN, *([sample.ES256] * 17)))
    big = {**PLAN.manifest(), 99: bytes(5 * 1024 * 1024)}
    with pytest.raises(LimitError, match="MAX_MANIFEST"):
        signed(big, PLAN.payloads())
    with pytest.raises(FormatError, match="SUIT's"):
        open_artifact(
            BytesSource("x", cbor2.dumps(cbor2.CBORTag(108, {3: b""}))), Context(keys=KeyRing(), as_of=AS_OF), "suit"
        )


# Severed members, texts, encryption


def test_a_text_is_told_only_as_far_as_it_is_authentic() -> None:
    good, changed = (sample._severed(changed=changed) for changed in (0, sample.TEXT))
    assert ("vendor name", "Acme") in opened(good).facts
    assert {"vendor name", "model name"} & {name for name, _ in opened(changed).facts} == set()


def test_a_text_with_control_characters_stays_on_its_line() -> None:
    text = maker.wrapped({"en": {1: "one\ntwo\x1b[31m red\u202e", (b"\x00",): {2: "m" * 5000}}})
    facts = dict(signed({**PLAN.manifest(), 23: text}, PLAN.payloads()).facts)
    assert facts["manifest description"] == "one two[31m red"
    assert len(facts["model name"]) < 500


def test_the_image_digest_is_of_the_plaintext() -> None:
    plan = sample.sealed(sample.wraps())
    found = packed(plan)
    assert [(check.over, check.matches) for check in found.images[0].digests] == [("plaintext", True)]
    wrong = packed(replace(plan, image=maker.digest(FIRMWARE + b"x")))
    assert (wrong.images[0].encryption.decrypted, codes(wrong)) == (False, ["digest-mismatch"])
    assert uncovered(wrong) == len(plan.sealed or b"")


def test_without_a_key_nothing_is_known_of_the_plaintext() -> None:
    found = opened(maker.packed(sample.sealed(sample.wraps()), sample.ES256), ring())
    (image,) = found.images
    assert (image.encryption.encrypted, image.encryption.decrypted, image.source) == (True, None, None)
    assert (uncovered(found), sum(span.size for span in found.coverage.undecided)) == (0, 916)


def test_a_key_that_the_recipients_do_not_share_is_not_proved_by_luck() -> None:
    """The right wrapping key of one device opens its own recipient, and leaves the other one closed."""
    found = packed(sample.sealed(sample.wraps()))
    assert [each.unwrapped for each in found.recipients] == [True, False]


# Detection


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (maker.packed(PLAN, sample.ES256), True),
        (maker.packed(PLAN, sample.ES256, tagged=False), True),
        (cbor2.dumps({3: b""}), False),
        (cbor2.dumps({3: cbor2.dumps({1: 1})}), False),
        (cbor2.dumps({2: b"", 3: cbor2.dumps({1: 2, 3: b""})}), False),
        (cbor2.dumps({"manifest": b""}), False),
        (b"", False),
        (b"\xa2\x02", False),
    ],
)
def test_an_envelope_is_known_by_its_content(data: bytes, expected: bool) -> None:  # noqa: FBT001
    context = Context(keys=KeyRing(), as_of=AS_OF)
    assert suit_format.FORMAT.detect(BytesSource("x", data), context) is expected
    if expected:
        assert detect(BytesSource("x", data), context).id == "suit"


# Hostile input


def hostile() -> dict[str, bytes]:
    head = b"\xd8\x6b"
    loop: list[Any] = [12, list(range(MAX_COMPONENTS)), *([3, 15] * 2000)]
    branches: list[Any] = [20, {21: "#firmware.bin"}, 21, 2]
    for _ in range(7):
        branches = [15, [maker.wrapped(branches)] * 6]
    fetches: list[Any] = []
    for number in range(5000):
        fetches += [20, {21: f"coaps://{number}"}, 21, 2]
    common = maker.wrapped({2: [[b"\x00"]] * MAX_COMPONENTS})

    def install(sequence: list[Any]) -> bytes:
        return maker.envelope({1: 1, 2: 1, 3: common, 20: maker.wrapped(sequence)}, [])

    return {
        "deep arrays": head + b"\x81" * 100_000,
        "deep tags": head + b"\xc1" * 100_000,
        "an array of 2^64-1": head + b"\x9b" + b"\xff" * 8,
        "a map of 2^63": head + b"\xbb\x80" + bytes(7),
        "a string of 2^64-1": head + b"\xa1\x03\x5b" + b"\xff" * 8,
        "a million items": head + b"\xa1\x03\x9a" + (10**6).to_bytes(4, "big") + b"\x00" * 10**6,
        "a million entries": head + b"\xba" + (10**6).to_bytes(4, "big") + b"\x00" * (2 * 10**6),
        "indefinite strings": head + b"\x5f" * 100_000,
        "shared references": head + b"\xa1\x03\xd8\x1c\x81\xd8\x1d\x00",
        "a bignum": head + b"\xa1\xc2\x5a\x00\x10\x00\x00" + b"\xff" * 0x100000 + b"\x00",
        "commands for all components": install(loop),
        "branches that multiply": install(branches),
        "thousands of locations": install(fetches),
    }


@pytest.mark.parametrize("name", list(hostile()))
def test_hostile_input_is_refused_soon(name: str) -> None:
    started = time.process_time()
    with pytest.raises(FormatError):
        opened(hostile()[name])
    assert time.process_time() - started < 8


JUNK: Final[tuple[Any, ...]] = (
    *(0, 1, -1, 2**64 - 1, 7, 12, 15, 18, 20, 21, 22, 32),
    *(b"", b"\x80", b"\xf6", "", "#firmware.bin", [], [0, 1], {}, {1: 1}),
    *(None, True, 1.5, cbor2.CBORTag(18, [])),
)


def mutated(value: Any, chance: random.Random) -> Any:
    """Return a value with some of its parts replaced, also inside byte strings that hold CBOR."""
    if chance.random() < 0.03:
        return chance.choice(JUNK)
    if isinstance(value, cbor2.CBORTag):
        return cbor2.CBORTag(value.tag, mutated(value.value, chance))
    if isinstance(value, Mapping):
        return {key: mutated(item, chance) for key, item in value.items()}
    if isinstance(value, list | tuple):
        found = [mutated(item, chance) for item in value]
        return [*found, chance.choice(JUNK)] if chance.random() < 0.03 else found
    if isinstance(value, bytes) and 1 < len(value) < 800:
        inner = _inner(value)
        return value if inner is None else cbor2.dumps(mutated(inner, chance))
    return value


def _inner(data: bytes) -> Any:
    try:
        found = cbor2.loads(data)
        return found if cbor2.dumps(found) == data else None
    except (cbor2.CBORError, ValueError):
        return None


def resigned(data: bytes) -> bytes:
    whole = cbor2.loads(data)
    members = dict(whole.value) if isinstance(whole, cbor2.CBORTag) and isinstance(whole.value, Mapping) else {}
    if not isinstance(members.get(3), bytes):
        return data
    value = maker.wrapped(maker.digest(maker.wrapped(members[3])))
    members[2] = maker.wrapped([value, sample.ES256(value)])
    return cbor2.dumps(cbor2.CBORTag(107, members))


@pytest.mark.parametrize("seed", range(120))
def test_any_changed_part_is_an_artifact_or_a_typed_error(seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - repeatable
    made = (sample._severed(), sample._dependency(), sample._two_slots(), sample._version(),
            maker.packed(sample.sealed(sample.wraps()), sample.ES256))  # fmt: skip
    changed = resigned(cbor2.dumps(mutated(cbor2.loads(made[seed % len(made)]), chance)))
    try:
        found = opened(changed)
    except (FormatError, CryptoError):
        return
    spans = {*found.coverage.payload, *found.coverage.uncovered, *found.coverage.undecided}
    assert all(0 <= span.start <= span.end <= len(changed) for span in spans)
    assert {*found.coverage.uncovered, *found.coverage.undecided} <= set(found.coverage.payload)
    assert {item.code for item in found.weaknesses} <= {*suit_format.WEAKNESSES, "inner-unreadable"}


def test_every_code_that_is_told_is_declared() -> None:
    told = {item.code for item in _weaknesses()}
    assert told <= set(suit_format.WEAKNESSES)
    assert len(told) > 1
    assert commands.MAX_SEQUENCE_DEPTH == 16


def _weaknesses() -> list[Weakness]:
    broken = replace(PLAN, identities={}, compared=(), image=[], matched=False, size=None, sequence=None)
    return [*packed(broken).weaknesses, *opened(maker.packed(broken)).weaknesses]
