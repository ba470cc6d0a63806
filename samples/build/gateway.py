"""The gateway: a `.swu` signed through a CA, with AES-256 images for two targets, and the signed log of its update."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509

from samples.build import _pki
from samples.build._pki import Profile
from samples.build._tools import KEYS, cpio, firmware, imgtool, key_bytes, public_half, require, run
from samples.build.gateway_log import write_logs

DEVICES = ("A", "B")
RELEASES = {"2.4.0": "2025", "2.4.1": "2026"}  # version: which signer
MOMENTS = {"2.4.0": datetime(2025, 11, 3, 12, tzinfo=UTC), "2.4.1": datetime(2026, 10, 1, 12, tzinfo=UTC)}
CRL_URL = "http://pki.acme.example/issuing.crl"
DESCRIPTION = """software =
{{
    version = "{version}";
    description = "Acme GW-200 release {version}";
    hardware-compatibility: [ "1.0", "1.1" ];
    images: (
        {{
            filename = "rootfs.ext4.enc";
            device = "/dev/mmcblk0p2";
            sha256 = "{rootfs_sha256}";
            encrypted = "aes-cbc-256";
            ivt = "{rootfs_iv}";
            aes-key = "{rootfs_key}";
        }},
        {{
            filename = "radio.bin.enc";
            type = "radio";
            device = "/dev/ttyRADIO";
            install-if-higher = true;
            version = "{radio_version}";
            sha256 = "{radio_sha256}";
            encrypted = "aes-cbc-256";
            ivt = "{radio_iv}";
            aes-key = "{radio_key}";
        }}
    );
}}
"""


def build(folder: Path) -> None:
    """Write `artifacts/`, `trust/`, `lab/` and `logs/` below `folder`."""
    require("imgtool", "openssl", "cpio", "faketime")
    for name in ("artifacts", "trust", "lab", "logs"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    certificates = _certificates(folder)
    for version, signer in RELEASES.items():
        images = _images(folder, version)
        for device in DEVICES:
            key = KEYS / f"gateway-signer-{signer}.pem"
            _package(folder, f"{version}-{device}", images, certificates[f"signer-{signer}"], key)
    write_logs(folder, {"main": images["rootfs"], "radio": images["radio"]})


def _certificates(folder: Path) -> dict[str, x509.Certificate]:
    root = _pki.issue(
        Profile(name="Acme Update Root", serial=1, years=(2024, 2040), ca=True, usage=("key_cert_sign", "crl_sign")),
        KEYS / "gateway-root.pem",
        None,
        KEYS / "gateway-root.pem",
    )
    issuing = _pki.issue(
        Profile(
            name="Acme Code Signing CA",
            serial=2,
            years=(2024, 2034),
            ca=True,
            path_length=0,
            usage=("key_cert_sign", "crl_sign"),
            crl_url="http://pki.acme.example/root.crl",
        ),
        KEYS / "gateway-issuing.pem",
        root,
        KEYS / "gateway-root.pem",
    )
    found = {f"signer-{year}": _signer(int(year), issuing) for year in RELEASES.values()}
    device_ca = _pki.issue(
        Profile(name="Acme Device CA", serial=3, years=(2024, 2040), ca=True, usage=("key_cert_sign", "crl_sign")),
        KEYS / "gateway-device-ca.pem",
        None,
        KEYS / "gateway-device-ca.pem",
    )
    for number, device in enumerate(DEVICES, 300):
        found[device] = _pki.issue(
            Profile(name=f"GW-200 {device}", serial=number, years=(2025, 2027), usage=("key_agreement",)),
            KEYS / f"gateway-{device}.pem",
            device_ca,
            KEYS / "gateway-device-ca.pem",
        )
        (folder / "lab" / f"device-{device}.crt.pem").write_bytes(_pki.pem(found[device]))
        (folder / "lab" / f"device-{device}.pem").write_bytes((KEYS / f"gateway-{device}.pem").read_bytes())
    trust = folder / "trust"
    signers = {name: certificate for name, certificate in found.items() if name.startswith("signer")}
    for name, certificate in {"root": root, "issuing": issuing, "device-ca": device_ca, **signers}.items():
        (trust / f"{name}.crt.pem").write_bytes(_pki.pem(certificate))
    stolen = {99: datetime(2025, 6, 1, tzinfo=UTC)}
    (trust / "issuing.crl.pem").write_bytes(_pki.revocation_list(issuing, KEYS / "gateway-issuing.pem", stolen, 7))
    (trust / "root.crl.pem").write_bytes(_pki.revocation_list(root, KEYS / "gateway-root.pem", {}, 3))
    for name in ("log", "radio-signing"):
        public_half(KEYS / f"gateway-{name}.pem", trust / f"{name}.pub.pem")
    (folder / "lab" / "radio.pem").write_bytes((KEYS / "gateway-radio.pem").read_bytes())
    public_half(KEYS / "gateway-radio.pem", folder / "lab" / "radio.pub.pem")
    return found


def _signer(year: int, issuing: x509.Certificate) -> x509.Certificate:
    profile = Profile(
        name=f"GW-200 Release Signer {year}",
        serial=year,
        years=(year, year + 2),
        usage=("digital_signature",),
        purposes=(_pki.CODE_SIGNING,),
        crl_url=CRL_URL,
    )
    return _pki.issue(profile, KEYS / f"gateway-signer-{year}.pem", issuing, KEYS / "gateway-issuing.pem")


def _package(folder: Path, name: str, images: dict[str, bytes], signer: x509.Certificate, key: Path) -> None:
    work = folder / "work"
    work.mkdir()
    version, _, device = name.partition("-")
    moment = MOMENTS[version]
    at = moment.strftime("%Y-%m-%d %H:%M:%S")
    fields = {"version": version, "radio_version": version}
    for part, content in images.items():
        fields |= _encrypt(work, part, content, version)
    (work / "plain").write_text(DESCRIPTION.format(**fields))
    (work / "signer.pem").write_bytes(_pki.pem(signer))
    sign = "openssl cms -sign -binary -nosmimecap -md sha256 -in plain -outform DER -out sw-description.sig"
    run(
        [*sign.split(), "-signer", "signer.pem", "-inkey", key, "-certfile", folder / "trust" / "issuing.crt.pem"],
        cwd=work,
        at=at,
    )
    encrypt = "openssl cms -encrypt -binary -aes-256-cbc -in plain -outform DER -out sw-description -recip"
    recipient = folder / "lab" / f"device-{device}.crt.pem"
    run([*encrypt.split(), recipient, "-keyopt", "ecdh_kdf_md:sha256"], cwd=work, at=at)
    names = ["sw-description", "sw-description.sig", "rootfs.ext4.enc", "radio.bin.enc"]
    cpio(work, names, folder / "artifacts" / f"gw200-{name}.swu", int(moment.timestamp()))
    for path in work.iterdir():
        path.unlink()
    work.rmdir()


def _images(folder: Path, version: str) -> dict[str, bytes]:
    plain, made = folder / "radio.plain", folder / "radio.bin"
    plain.write_bytes(firmware(f"gateway radio {version}", 8 * 1024))
    imgtool(
        plain,
        made,
        *("-v", f"{version}+0", "-s", version.replace(".", ""), "-k", str(KEYS / "gateway-radio-signing.pem")),
        *("-E", str(folder / "lab" / "radio.pub.pem"), "--encrypt-keylen", "256"),
    )
    images = {"rootfs": firmware(f"gateway rootfs {version}", 24 * 1024), "radio": made.read_bytes()}
    plain.unlink()
    made.unlink()
    return images


def _encrypt(work: Path, part: str, content: bytes, version: str) -> dict[str, str]:
    key, iv = key_bytes(f"{part} {version}", 32).hex(), key_bytes(f"{part} {version} iv", 16).hex()
    source, target = work / f"{part}.clear", work / {"rootfs": "rootfs.ext4.enc", "radio": "radio.bin.enc"}[part]
    source.write_bytes(content)
    run(["openssl", "enc", "-aes-256-cbc", "-K", key, "-iv", iv, "-in", source, "-out", target])
    digest = hashlib.sha256(target.read_bytes()).hexdigest()
    return {f"{part}_key": key, f"{part}_iv": iv, f"{part}_sha256": digest}
