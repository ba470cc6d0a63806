"""Makes the samples of SUIT envelopes: no public tool writes them, so cbor2 and cryptography do (see `_suit.py`)."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import cbor2
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from samples.build._tools import KEYS, firmware, key_bytes, public_half, require, run
from samples.build.formats import _suit as suit
from samples.build.formats._faults import certified, flipped, fresh
from samples.build.formats._suit import Plan

SIGNER: Final = KEYS / "sensor-signing.pem"
STRANGER: Final = KEYS / "sensor-signing-2025.pem"
DEVICE: Final = KEYS / "sensor-A.pem"
OTHER_DEVICE: Final = KEYS / "sensor-B.pem"
SMALL: Final = KEYS / "camera-signing.pem"  # RSA with 1024 bits
FIRMWARE: Final = firmware("suit", 900)
CONTENT_KEY: Final = key_bytes("suit content", 16)
NONCE: Final = key_bytes("suit nonce", 12)
TEXTUAL: Final = key_bytes("suit text", 1225).hex().encode()
CONTEXT: Final = b"SUIT Payload Encryption"
INSTALL, TEXT = 20, 23
PLAN: Final = Plan(FIRMWARE)
Made = Mapping[str, Callable[[], bytes]]


def load(path: Path) -> Any:  # noqa: ANN401 - one of cryptography's private keys
    """Return a private key."""
    return load_pem_private_key(path.read_bytes(), None)


def eddsa() -> ed25519.Ed25519PrivateKey:
    """Return the fixed Ed25519 key of the samples."""
    return ed25519.Ed25519PrivateKey.from_private_bytes(key_bytes("suit ed25519", 32))


ES256: Final = suit.sign1(load(SIGNER))


def build(folder: Path) -> None:
    """Write `good/`, `bad/` and `keys/` below `folder`."""
    require("openssl")
    fresh(folder)
    _keys(folder / "keys")
    with tempfile.TemporaryDirectory() as name:
        people = certified(folder, Path(name))
        chains = {
            kind: suit.sign1(load(people[kind].key), None, {33: _der(people[kind].certificate)})
            for kind in ("signer", "expired", "future", "server", "revoked", "stranger")
        }
        e3 = suit.sign1(load(people["e3"].key))
        public_half(people["e3"].key, folder / "keys" / "e3.pub.pem")
    for part, made in (("good", _good()), ("bad", _bad()), ("good", {"certified": _by(chains["signer"])})):
        for stem, make in made.items():
            (folder / part / f"{stem}.suit").write_bytes(make())
    for kind in ("expired", "future", "server", "revoked", "stranger"):
        (folder / "bad" / f"certificate-{kind}.suit").write_bytes(_by(chains[kind])())
    (folder / "bad" / "exponent-3.suit").write_bytes(_by(e3)())
    (folder / "good" / "firmware.bin").write_bytes(FIRMWARE)


def _der(path: Path) -> bytes:
    return x509.load_pem_x509_certificate(path.read_bytes()).public_bytes(Encoding.DER)


def _by(block: suit.Block) -> Callable[[], bytes]:
    return lambda: suit.packed(PLAN, block)


def _keys(folder: Path) -> None:
    """Write public keys, the devices' key-encryption keys and the shared MAC key."""
    for name, key in (("signer", load(SIGNER)), ("ed25519", eddsa()), ("small", load(SMALL))):
        public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        (folder / f"{name}.pub.pem").write_bytes(public)
    run(["openssl", "pkcs8", "-topk8", "-nocrypt", "-in", DEVICE, "-out", folder / "device.pem"])
    for name in ("mac", "device-a", "device-b"):
        (folder / f"{name}.key").write_text(_secret(name).hex() + "\n")


def _secret(name: str) -> bytes:
    return key_bytes(f"suit {name}", 32 if name == "mac" else 16)


def sealed(recipients: list[Any], algorithm: int = suit.A128GCM, *, nonce: bytes = NONCE) -> Plan:
    """Return the plan whose firmware is encrypted for recipients; the image digest is that of the plaintext."""
    iv = nonce if algorithm == suit.A128GCM else nonce.ljust(16, b"\0")
    ciphertext, info = suit.encrypt(FIRMWARE, CONTENT_KEY, iv, recipients, algorithm)
    return replace(PLAN, sealed=ciphertext, info=info)


def wraps() -> list[Any]:
    """Return the content key wrapped for two devices."""
    return [suit.by_wrap(CONTENT_KEY, _secret(name), name.encode()) for name in ("device-a", "device-b")]


def _ecdh(public: Path, other: bytes | None = CONTEXT) -> list[Any]:
    ephemeral = ec.derive_private_key(int.from_bytes(key_bytes("suit ephemeral", 31), "big"), ec.SECP256R1())
    return [suit.by_ecdh(CONTENT_KEY, load(public).public_key(), ephemeral, other)]


# Good ones


def _good() -> Made:
    return {
        "es256": _by(ES256),
        "eddsa": _by(suit.sign1(eddsa())),
        "two-signers": _by(suit.sign(load(SIGNER), eddsa())),
        "two-blocks": lambda: suit.packed(PLAN, ES256, suit.sign1(eddsa())),
        "mac0": _by(suit.mac0(_secret("mac"))),
        "untagged": lambda: suit.packed(PLAN, ES256, tagged=False),
        "fetched": lambda: suit.packed(replace(PLAN, uri="https://update.example/firmware.bin"), ES256),
        "severed": _severed,
        "severed-absent": lambda: _severed(keep=()),
        "two-slots": _two_slots,
        "written": _written,
        "dependency": _dependency,
        "version": _version,
        "encrypted-a128kw": lambda: suit.packed(sealed(wraps()), ES256),
        "encrypted-ecdh-es": lambda: suit.packed(sealed(_ecdh(DEVICE)), ES256),
        "encrypted-a128ctr": lambda: suit.packed(sealed(wraps(), suit.A128CTR), ES256),
    }


def _severed(*, keep: tuple[int, ...] = (INSTALL, TEXT), changed: int = 0) -> bytes:
    """Return an envelope whose installation and texts lie beside the manifest; `changed` is one that was altered."""
    texts: dict[Any, Any] = {1: "the update of October", "en": {(b"\x00",): {1: "Acme", 2: "GW-200", 6: "2.4.1"}}}
    parts = {INSTALL: suit.wrapped(PLAN.install()), TEXT: suit.wrapped(texts)}
    stated = {key: suit.digest(suit.wrapped(data)) for key, data in parts.items()}
    manifest = PLAN.manifest(install=stated[INSTALL]) | {TEXT: stated[TEXT]}
    if changed:
        parts[changed] = parts[changed].replace(b"firmware.bin", b"firmware.bim").replace(b"GW-200", b"GW-900")
    payloads = PLAN.payloads() if INSTALL in keep else {}
    return suit.envelope(manifest, [ES256], {**{key: parts[key] for key in keep}, **payloads})


def _two_slots() -> bytes:
    """Return an envelope with an image for each of two slots, from which the device chooses."""
    images = {slot: firmware(f"suit slot {slot}", 300) for slot in (0, 1)}
    choices = [
        suit.wrapped([20, {5: slot, 3: suit.wrapped(suit.digest(data)), 14: len(data), 21: f"#{slot}"}, 5, 5])
        for slot, data in images.items()
    ]
    common = {2: [[b"\x00"]], 4: suit.wrapped([20, dict(PLAN.identities), 1, 15, 2, 15, 15, choices])}
    manifest = {1: 1, 2: 7, 3: suit.wrapped(common), 7: suit.wrapped([3, 15]), 20: suit.wrapped([21, 2, 3, 15])}
    return suit.envelope(manifest, [ES256], {f"#{slot}": data for slot, data in images.items()})


def _written() -> bytes:
    """Return an envelope whose firmware lies in the manifest, as the content of a command."""
    install = suit.wrapped([20, {18: FIRMWARE}, 18, 15])
    return suit.envelope(PLAN.manifest(install=install), [ES256])


def _dependency(*, changed: bool = False) -> bytes:
    """Return an envelope that brings the envelope of a dependency along (trust-domains, 5.3)."""
    inner = suit.packed(PLAN, ES256)
    manifest = PLAN.manifest()
    image = suit.digest(suit.wrapped(suit.wrapped(manifest)))
    if changed:
        inner = suit.packed(replace(PLAN, sequence=8), ES256)
    shared = [12, 1, 20, dict(PLAN.identities), 1, 15, 2, 15, 12, 0, 20, {3: suit.wrapped(image)}]
    common = {1: {0: {}}, 2: [[b"\x00"], [b"\x01"]], 4: suit.wrapped(shared)}
    resolve = [12, 0, 20, {21: "#dependency"}, 21, 2, 7, 15]
    outer = {1: 1, 2: 7, 3: suit.wrapped(common), 15: suit.wrapped(resolve), 20: suit.wrapped([12, 0, 11, 0])}
    return suit.envelope(outer, [ES256], {"#dependency": inner})


def _version() -> bytes:
    """Return an envelope with version, battery level and the smallest version that it may follow."""
    plan = replace(PLAN, parameters={26: 50, 28: suit.wrapped([2, [2, 3]])}, conditions=(26, 15, 28, 15))
    return suit.envelope(plan.manifest() | {5: [b"\x00"], 6: suit.wrapped([2, 4, 1])}, [ES256], plan.payloads())


# Bad ones


def _bad() -> Made:
    return {**dict(_signatures()), **dict(_statements()), **dict(_members()), **dict(_encrypted()), **dict(_broken())}


def _signatures() -> Iterator[tuple[str, Callable[[], bytes]]]:
    signer = load(SIGNER)
    good = suit.packed(PLAN, ES256)
    yield "no-authentication", lambda: _without(good, 2)
    yield "digest-without-signature", lambda: suit.packed(PLAN)
    yield "empty-block", lambda: suit.packed(PLAN, ES256, lambda _: b"")
    yield "signature-bit-flipped", lambda: flipped(good, good.index(b"\xf6\x58\x40") + 40)
    yield "signed-by-a-stranger", _by(suit.sign1(load(STRANGER)))
    yield "manifest-bit-flipped", lambda: flipped(good, good.index(suit.CLASS) + 3)
    yield "one-of-two-signers-unknown", _by(suit.sign(signer, load(STRANGER)))
    yield "algorithm-unprotected", _by(suit.sign1(signer, {}, {1: suit.ES256}))
    yield "algorithm-of-another-key", _by(suit.sign1(signer, {1: suit.EDDSA}))
    yield "algorithm-unknown", _by(suit.sign1(signer, {1: -260}))
    yield "critical-header-unknown", _by(suit.sign1(signer, {1: suit.ES256, 2: [1000], 1000: 1}))
    yield "weak-key", _by(suit.sign1(load(SMALL)))
    yield "mac-of-another-key", _by(suit.mac0(_secret("device-a") * 2))
    short = suit.digest(suit.wrapped(suit.wrapped(PLAN.manifest())), number=-15)
    yield "manifest-digest-cut", lambda: suit.packed(PLAN, ES256, stated=[short[0], short[1][:8]])
    yield "manifest-digest-unknown", lambda: suit.packed(PLAN, ES256, stated=[-999, bytes(32)])


def _statements() -> Iterator[tuple[str, Callable[[], bytes]]]:
    cases = {
        "image-without-digest": replace(PLAN, image=[], matched=False),
        "digest-not-compared": replace(PLAN, matched=False),
        "image-digest-sha-1": replace(PLAN, image=suit.digest(FIRMWARE, name="sha1", number=-14)),
        "image-digest-unknown": replace(PLAN, image=[-999, bytes(32)]),
        "no-size": replace(PLAN, size=None),
        "no-sequence-number": replace(PLAN, sequence=None),
        "no-identifiers": replace(PLAN, identities={}, compared=()),
        "identifiers-not-compared": replace(PLAN, compared=()),
        "location-without-tls": replace(PLAN, uri="http://update.example/firmware.bin"),
        "to-be-used-before-last-year": replace(PLAN, parameters={4: 1_735_689_600}, conditions=(4, 15)),
    }
    for name, plan in cases.items():
        yield name, _of(plan)


def _of(plan: Plan) -> Callable[[], bytes]:
    return lambda: suit.packed(plan, ES256)


def _members() -> Iterator[tuple[str, Callable[[], bytes]]]:
    good = suit.packed(PLAN, ES256)
    yield "payload-bit-flipped", lambda: flipped(good, good.index(FIRMWARE) + 700)
    yield "payload-missing", lambda: suit.envelope(PLAN.manifest(), [ES256])
    more = {**PLAN.payloads(), "#more": b"nothing names these bytes"}
    yield "payload-that-nothing-fetches", lambda: suit.envelope(PLAN.manifest(), [ES256], more)
    yield "severed-changed", lambda: _severed(changed=INSTALL)
    yield "text-changed", lambda: _severed(changed=TEXT)
    text: dict[Any, bytes] = {TEXT: suit.wrapped({1: "nothing signs this"})}
    yield "text-without-digest", lambda: suit.envelope(PLAN.manifest(), [ES256], {**text, **PLAN.payloads()})
    both: dict[Any, bytes] = {INSTALL: suit.wrapped(PLAN.install()), **PLAN.payloads()}
    yield "sequence-twice", lambda: suit.envelope(PLAN.manifest(), [ES256], both)
    foreign: dict[Any, bytes] = {99: b"of nobody", **PLAN.payloads()}
    yield "unknown-member", lambda: suit.envelope(PLAN.manifest(), [ES256], foreign)
    yield "bytes-behind", lambda: good + b"more than the envelope"
    yield "dependency-changed", lambda: _dependency(changed=True)


def _encrypted() -> Iterator[tuple[str, Callable[[], bytes]]]:
    plan = sealed(wraps())
    ciphertext = plan.sealed or b""
    yield "ciphertext-bit-flipped", _of(replace(plan, sealed=flipped(ciphertext, 300)))
    yield "encrypted-for-other-devices", _of(sealed([suit.by_wrap(CONTENT_KEY, key_bytes("suit nobody", 16))]))
    yield "ecdh-es-for-another-device", _of(sealed(_ecdh(OTHER_DEVICE)))
    yield "encryption-said-of-plaintext", _of(replace(plan, sealed=FIRMWARE))
    yield "ciphertext-that-is-text", _of(replace(plan, sealed=TEXTUAL))
    yield "ciphertext-that-repeats", _of(replace(plan, sealed=key_bytes("suit block", 16) * 60))
    ctr = sealed(wraps(), suit.A128CTR)
    yield "ctr-without-digest", _of(replace(ctr, image=[], matched=False))
    yield "nonce-twice", _nonce_twice


def _nonce_twice() -> bytes:
    """Return an envelope with two images under one content key and one nonce."""
    images = {index: firmware(f"suit image {index}", 300) for index in (0, 1)}
    shared: list[Any] = [20, dict(PLAN.identities), 1, 15, 2, 15]
    install: list[Any] = []
    beside: dict[str, bytes] = {}
    for index, data in images.items():
        beside[f"#{index}"], info = suit.encrypt(data, CONTENT_KEY, NONCE, wraps())
        shared += [12, index, 20, {3: suit.wrapped(suit.digest(data)), 14: len(data)}]
        install += [12, index, 20, {21: f"#{index}", 19: info}, 21, 2, 3, 15]
    common = {2: [[b"\x00"], [b"\x01"]], 4: suit.wrapped(shared)}
    manifest = {1: 1, 2: 7, 3: suit.wrapped(common), 20: suit.wrapped(install)}
    return suit.envelope(manifest, [ES256], beside)


def _broken() -> Iterator[tuple[str, Callable[[], bytes]]]:
    good = suit.packed(PLAN, ES256)
    plan = replace(PLAN, entries={1: 9})
    yield "manifest-version-9", _of(plan)
    yield "truncated-manifest", lambda: good[:200]
    yield "truncated-payload", lambda: good[:-100]
    yield "no-manifest", lambda: _without(good, 3)
    yield "manifest-twice", lambda: good[:2] + b"\xa4\x03\x41\xa0" + good[3:]
    yield "indefinite-map", lambda: good[:2] + b"\xbf" + good[3:] + b"\xff"
    yield "component-that-is-not-there", lambda: _install([12, 9, 21, 2])
    yield "command-without-argument", lambda: _install([20])
    nested: list[Any] = [21, 2]
    for _ in range(20):
        nested = [32, suit.wrapped(nested)]
    yield "sequences-nested-too-deep", lambda: _install(nested)


def _install(commands: list[Any]) -> bytes:
    return suit.envelope(PLAN.manifest(install=suit.wrapped(commands)), [ES256], PLAN.payloads())


def _without(data: bytes, key: int) -> bytes:
    """Return an envelope without one member."""
    members = {name: value for name, value in cbor2.loads(data).value.items() if name != key}
    return suit.wrapped(cbor2.CBORTag(107, members))
