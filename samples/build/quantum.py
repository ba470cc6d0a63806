"""The pump controller: ML-DSA-65 signatures and paths, ML-KEM-768 recipients, SHA3-256 after the install.

`quantum-near-miss` is made by the same steps and differs in one thing per row (`Variant`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from cryptography import x509

from samples.build import _pki
from samples.build._pki import Profile
from samples.build._quantum_attestations import write_attestations
from samples.build._quantum_cms import Signer, enveloped, signed_data
from samples.build._quantum_device import image, write_device
from samples.build._tools import KEYS, key_bytes
from samples.build.quantum_log import write_logs

DEVICES: Final = ("A", "B")
RELEASES: Final = {"3.1.0": "2025", "3.2.0": "2026"}  # version: which signer, and which keys of the devices
MOMENTS: Final = {"3.1.0": datetime(2025, 11, 3, 12, tzinfo=UTC), "3.2.0": datetime(2026, 10, 1, 12, tzinfo=UTC)}
URL: Final = "http://pki.acme.example"
LOST: Final = 99  # the serial number of a signer whose key was lost, and which is revoked
CA_USAGE: Final = ("key_cert_sign", "crl_sign")


@dataclass(frozen=True, kw_only=True)
class Variant:
    """What the near miss changes: the signer's key, what the pump accepts, and a classical recipient beside its own."""

    signer: str = "quantum-signer"
    accepted: tuple[str, ...] = ("ml-dsa-65",)
    classical_recipients: Mapping[str, str] = field(default_factory=dict)  # a key on P-256 by device and year


@dataclass(frozen=True, kw_only=True)
class Pki:
    """The certificates of one sample: the signers' path, and the devices' own."""

    root: x509.Certificate
    issuing: x509.Certificate
    device_ca: x509.Certificate
    signers: dict[str, x509.Certificate]  # by year
    devices: dict[str, tuple[x509.Certificate, ...]]  # by device and year: every recipient of its deliverable


def build(folder: Path) -> None:
    """Write `artifacts/`, `trust/`, `lab/`, `logs/`, `attestations/` and `device/state/` below `folder`."""
    make(folder, Variant())


def make(folder: Path, variant: Variant) -> None:
    """Write a variant of the sample."""
    for name in ("artifacts", "trust", "lab", "logs"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    pki = _certificates(folder, variant)
    for version, year in RELEASES.items():
        signer = Signer(certificate=pki.signers[year], key=KEYS / f"{variant.signer}-{year}.pem", above=(pki.issuing,))
        for device in DEVICES:
            label = f"quantum {version} {device}"
            message = enveloped(
                image(version), pki.devices[f"{device}-{year}"], key_bytes(label, 32), key_bytes(f"{label} nonce", 12)
            )
            path = folder / "artifacts" / f"pc9-{version}-{device}.p7m"
            path.write_bytes(message)
            path.with_suffix(".p7s").write_bytes(signed_data(message, [signer], MOMENTS[version]))
    write_logs(folder, image("3.2.0"))
    write_lab(folder, pki.issuing)
    attest(folder, pki)
    write_device(folder, tuple(RELEASES.values()), variant.accepted)


def _certificates(folder: Path, variant: Variant) -> Pki:
    root = _authority("Acme Quantum Root", 1, "quantum-root", None)
    issuing = _authority("Acme Quantum Code Signing CA", 2, "quantum-issuing", root)
    device_ca = _authority("Acme Quantum Device CA", 3, "quantum-device-ca", None)
    signers = {
        year: _signer(f"PC-9 Release Signer {year}", int(year), int(year), f"{variant.signer}-{year}", issuing)
        for year in RELEASES.values()
    }
    devices = _devices(folder, variant, device_ca)
    trust = folder / "trust"
    named = {"root": root, "issuing": issuing, "device-ca": device_ca}
    for name, certificate in {**named, **{f"signer-{year}": item for year, item in signers.items()}}.items():
        (trust / f"{name}.crt.pem").write_bytes(_pki.pem(certificate))
    for name, certificate in named.items():
        lost = {LOST: datetime(2025, 6, 1, tzinfo=UTC)} if name == "issuing" else {}
        listed = _pki.revocation_list(certificate, KEYS / f"quantum-{name}.pem", lost, 7)
        (trust / f"{name}.crl.pem").write_bytes(listed)
    transport = _pki.issue(
        Profile(name="Acme TLS Root", serial=4, years=(2024, 2040), ca=True, usage=CA_USAGE),
        KEYS / "gateway-root.pem",
        None,
        KEYS / "gateway-root.pem",
    )
    (trust / "tls-root.crt.pem").write_bytes(_pki.pem(transport))
    log = _leaf("PC-9 A update log", 400, "quantum-log", device_ca, ("digital_signature",))
    (trust / "log.crt.pem").write_bytes(_pki.pem(log))
    return Pki(root=root, issuing=issuing, device_ca=device_ca, signers=signers, devices=devices)


def _authority(name: str, serial: int, key: str, issuer: x509.Certificate | None) -> x509.Certificate:
    profile = Profile(
        name=name,
        serial=serial,
        years=(2024, 2040 if issuer is None else 2034),
        ca=True,
        path_length=None if issuer is None else 0,
        usage=CA_USAGE,
        crl_url="" if issuer is None else f"{URL}/root.crl",
    )
    above = KEYS / f"{key}.pem" if issuer is None else KEYS / "quantum-root.pem"
    return _pki.issue(profile, KEYS / f"{key}.pem", issuer, above)


def attest(folder: Path, pki: Pki) -> None:
    """Write what the hardware says: of the signing keys, of the devices' keys, and of the key that certifies these.

    There is no secret key-encryption key at the producer: his database is one of certificates, and rests on their CA.
    """
    office = {f"release-{year}": item for year, item in pki.signers.items()} | {"device-ca": pki.device_ca}
    own = {f"device-{name}": items[0] for name, items in pki.devices.items()}
    old = {f"device-{name}-old": item for name, items in pki.devices.items() for item in items[1:]}
    write_attestations(folder, pki.root, office, own | old)


def write_lab(folder: Path, issuing: x509.Certificate) -> None:
    """Write what the active tests sign with: a signer that the pump trusts, a revoked one, and the authority's key.

    Each certificate file holds the path up to below the anchor, the signer's own first.
    """
    for name, serial, year in (("staging", 2900, 2026), ("revoked", LOST, 2025)):
        signer = _signer(f"PC-9 {name.title()} Signer", serial, year, f"quantum-{name}", issuing)
        (folder / "lab" / f"{name}.crt.pem").write_bytes(_pki.pem(signer) + _pki.pem(issuing))
        (folder / "lab" / f"{name}.pem").write_bytes((KEYS / f"quantum-{name}.pem").read_bytes())
    (folder / "lab" / "issuing.pem").write_bytes((KEYS / "quantum-issuing.pem").read_bytes())


def _signer(name: str, serial: int, year: int, key: str, issuing: x509.Certificate) -> x509.Certificate:
    profile = Profile(
        name=name,
        serial=serial,
        years=(year, year + 2),
        usage=("digital_signature",),
        purposes=(_pki.CODE_SIGNING,),
        crl_url=f"{URL}/issuing.crl",
    )
    return _pki.issue(profile, KEYS / f"{key}.pem", issuing, KEYS / "quantum-issuing.pem")


def _devices(folder: Path, variant: Variant, device_ca: x509.Certificate) -> dict[str, tuple[x509.Certificate, ...]]:
    found: dict[str, tuple[x509.Certificate, ...]] = {}
    for number, device in enumerate(DEVICES):
        for year in RELEASES.values():
            name = f"{device}-{year}"
            serial = int(year) * 10 + number
            own = _leaf(f"PC-9 {name}", serial, f"quantum-{name}", device_ca, ("key_encipherment",), int(year))
            (folder / "lab" / f"device-{name}.crt.pem").write_bytes(_pki.pem(own))
            (folder / "lab" / f"device-{name}.pem").write_bytes((KEYS / f"quantum-{name}.pem").read_bytes())
            found[name] = (own,)
            if name in variant.classical_recipients:
                key, old = variant.classical_recipients[name], f"device-{name}-old"
                found[name] += (_leaf(f"PC-9 {name} old", serial + 5, key, device_ca, ("key_agreement",), int(year)),)
                (folder / "lab" / f"{old}.crt.pem").write_bytes(_pki.pem(found[name][1]))
                (folder / "lab" / f"{old}.pem").write_bytes((KEYS / f"{key}.pem").read_bytes())
    return found


def _leaf(
    name: str, serial: int, key: str, issuer: x509.Certificate, usage: tuple[str, ...], year: int = 2025
) -> x509.Certificate:
    profile = Profile(name=name, serial=serial, years=(year, year + 2), usage=usage, crl_url=f"{URL}/device-ca.crl")
    return _pki.issue(profile, KEYS / f"{key}.pem", issuer, KEYS / "quantum-device-ca.pem")
