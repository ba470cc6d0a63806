"""Attestations of the pump's samples: PSA tokens of the pumps, EATs of the release office's module (COSE, ML-DSA-65).

The makers are inventions of these samples and their keys are published, so the tokens show the form and vouch for no
hardware. CBOR and COSE are written here, by nothing that otaudit reads them with.
RFC 8949 (CBOR), RFC 9052 (COSE), draft-ietf-cose-dilithium (ML-DSA in it), RFC 9783 (PSA), RFC 9711 (EAT), RFC 8747
(`cnf`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from samples.build import _pki
from samples.build._pki import Profile
from samples.build._quantum_device import RUNNING, image
from samples.build._tools import KEYS, key_bytes

DEVICES: Final = ("A", "B")
SIGN1, ML_DSA_65, ALGORITHM, X5CHAIN = 18, -49, 1, 33
NONCE, UEID, CONFIRMATION, KEY_ID, DEBUG, PROFILE = 10, 256, 8, 3, 263, 265
DISABLED_PERMANENTLY: Final = 3
CLIENT, LIFECYCLE, IMPLEMENTATION, COMPONENTS = 2394, 2395, 2396, 2399
SECURED: Final = 0x3000
KIND, MEASUREMENT, VERSION, SIGNER = 1, 2, 4, 5  # of a software component
PSA: Final = "tag:psacertified.org,2023:psa#tfm"


@dataclass(frozen=True, kw_only=True)
class Attester:
    """Who signs tokens: a key inside the hardware, certified by its maker."""

    certificate: x509.Certificate
    key: Path


def write_attestations(
    folder: Path, root: x509.Certificate, office: Mapping[str, x509.Certificate], pumps: Mapping[str, x509.Certificate]
) -> None:
    """Write `attestations/`: the makers' roots, and a token for each key.

    Args:
        folder: the sample's.
        root: the anchor of the pumps.
        office: the certified keys in the module of the release office, by the name of their token.
        pumps: those in the secure elements of the pumps; each name starts with `device-` and the pump's letter.
    """
    place = folder / "attestations"
    place.mkdir(exist_ok=True)
    module = _maker(place, "module", "HSM", ("module",))["module"]
    elements = _maker(place, "element", "Secure Element", [f"element-{device}" for device in DEVICES])
    for name, certificate in office.items():
        (place / f"{name}.cose").write_bytes(_token(_module_claims(name, certificate), module))
    for name, certificate in pumps.items():
        device = name.split("-")[1]
        claims = _pump_claims(name, device, certificate, root)
        (place / f"{name}.cose").write_bytes(_token(claims, elements[f"element-{device}"]))


def nonce(name: str) -> bytes:
    """Return the nonce that the verifier sent for a token; fixed, as all randomness of the samples is."""
    return key_bytes(f"quantum nonce {name}", 32)


def _maker(place: Path, maker: str, title: str, names: Iterable[str]) -> dict[str, Attester]:
    key = KEYS / f"quantum-{maker}-root.pem"
    profile = Profile(
        name=f"Acme {title} Root (sample)", serial=1, years=(2024, 2040), ca=True, path_length=0,
        usage=("key_cert_sign", "crl_sign"), organisation=f"Acme {title}s (sample)",
    )  # fmt: skip
    root = _pki.issue(profile, key, None, key)
    (place / f"{maker}-root.crt.pem").write_bytes(_pki.pem(root))
    found = {}
    for serial, name in enumerate(names, start=100):
        own = Profile(
            name=f"Attestation key of {name} (sample)", serial=serial, years=(2024, 2036), usage=("digital_signature",)
        )
        attester = KEYS / f"quantum-{name}.pem"
        found[name] = Attester(certificate=_pki.issue(own, attester, root, key), key=attester)
    return found


def _key_id(certificate: x509.Certificate) -> bytes:
    spki = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(spki).digest()


def _module_claims(name: str, certificate: x509.Certificate) -> dict[int, object]:
    return {
        CONFIRMATION: {KEY_ID: _key_id(certificate)},
        NONCE: nonce(name),
        UEID: b"\1" + key_bytes("quantum module", 32),
        DEBUG: DISABLED_PERMANENTLY,
        PROFILE: "https://hsm.acme.example/attestation",
    }


def _pump_claims(name: str, device: str, certificate: x509.Certificate, root: x509.Certificate) -> dict[int, object]:
    running = {
        KIND: "controller",
        MEASUREMENT: hashlib.sha256(image(RUNNING)).digest(),
        VERSION: RUNNING,
        SIGNER: _key_id(root),
    }
    return {
        CONFIRMATION: {KEY_ID: _key_id(certificate)},
        NONCE: nonce(name),
        UEID: b"\1" + key_bytes(f"quantum pump {device}", 32),
        PROFILE: PSA,
        CLIENT: 1,
        LIFECYCLE: SECURED,
        IMPLEMENTATION: key_bytes("quantum pump", 32),
        COMPONENTS: [running],
    }


# CBOR and COSE


def _token(claims: Mapping[int, object], attester: Attester) -> bytes:
    protected, payload = cbor({ALGORITHM: ML_DSA_65}), cbor(claims)
    to_be_signed = cbor(["Signature1", protected, b"", payload])
    signature = _pki.load_any(attester.key).sign(to_be_signed)
    chain = {X5CHAIN: attester.certificate.public_bytes(Encoding.DER)}
    return _head(6, SIGN1) + cbor([protected, chain, payload, signature])


def cbor(value: object) -> bytes:
    """Return a value in deterministic CBOR (RFC 8949 4.2.1); maps have whole numbers as keys."""
    if isinstance(value, int):
        return _head(0, value) if value >= 0 else _head(1, -1 - value)
    if isinstance(value, bytes):
        return _head(2, len(value)) + value
    if isinstance(value, str):
        return _head(3, len(value.encode())) + value.encode()
    if isinstance(value, list):
        return _head(4, len(value)) + b"".join(cbor(item) for item in value)
    assert isinstance(value, dict)  # noqa: S101 - the samples have nothing else
    return _head(5, len(value)) + b"".join(sorted(cbor(key) + cbor(item) for key, item in value.items()))


def _head(major: int, number: int) -> bytes:
    if number < 24:
        return bytes([major << 5 | number])
    size = next(size for size in (1, 2, 4, 8) if number < 1 << 8 * size)
    return bytes([major << 5 | (23 + size.bit_length())]) + number.to_bytes(size, "big")
