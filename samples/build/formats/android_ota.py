"""Makes the samples of Android packages: signed by signapk, with faults put in by hand. No signing key is kept."""

from __future__ import annotations

import base64
import hashlib
import io
import shutil
import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from samples.build._tools import firmware, require, run
from samples.build.formats._crau import BLOCK, Build, blob, full, number, signing
from samples.build.formats.android_payload import flip

SIGNAPK: Final = Path("/usr/share/signapk/signapk.jar")
MOMENT: Final = (2026, 1, 1, 0, 0, 0)
PAYLOAD, PROPERTIES = "payload.bin", "payload_properties.txt"
METADATA, METADATA_PB = "META-INF/com/android/metadata", "META-INF/com/android/metadata.pb"
SCRIPT: Final = "META-INF/com/google/android/updater-script"
END: Final = b"PK\x05\x06"
VALUES: Final = {
    "ota-type": "AB",
    "post-build": "acme/gw200/gw200:16/BP1A/2026.11.1:user/release-keys",
    "post-build-incremental": "2026.11.1",
    "post-sdk-level": "36",
    "post-security-patch-level": "2026-01-01",
    "post-timestamp": "1790000000",
    "pre-device": "gw200",
}


@dataclass(frozen=True)
class Signer:
    """A key with a certificate, in the forms that signapk takes."""

    key: Path
    pk8: Path
    certificate: Path

    @classmethod
    def new(cls, folder: Path, name: str) -> Signer:
        """Make a key and a certificate of fixed dates."""
        private = rsa.generate_private_key(65537, 2048)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        made = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(subject)
            .public_key(private.public_key())
            .serial_number(1)
            .not_valid_before(datetime(2025, 1, 1, tzinfo=UTC))
            .not_valid_after(datetime(2045, 1, 1, tzinfo=UTC))
            .sign(private, hashes.SHA256())
        )
        found = cls(folder / f"{name}.pem", folder / f"{name}.pk8", folder / f"{name}.x509.pem")
        encryption = serialization.NoEncryption()
        form = serialization.PrivateFormat.PKCS8
        found.key.write_bytes(private.private_bytes(serialization.Encoding.PEM, form, encryption))
        found.pk8.write_bytes(private.private_bytes(serialization.Encoding.DER, form, encryption))
        found.certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
        return found

    def sign(self, content: bytes, *, whole: bool = True) -> bytes:
        """Return what signapk makes of a zip: signed as a whole, or member by member as jarsigner does."""
        with tempfile.TemporaryDirectory() as folder:
            before, after = Path(folder) / "in.zip", Path(folder) / "out.zip"
            before.write_bytes(content)
            kind = ["-w"] if whole else ["--disable-v2", "--min-sdk-version", "23"]
            run(["java", "-jar", SIGNAPK, *kind, self.certificate, self.pk8, before, after])
            return after.read_bytes()


def package(members: Mapping[str, bytes], compressed: tuple[str, ...] = ()) -> bytes:
    """Return a zip of stored members at a fixed time."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in members.items():
            entry = zipfile.ZipInfo(name, MOMENT)
            entry.compress_type = zipfile.ZIP_DEFLATED if name in compressed else zipfile.ZIP_STORED
            archive.writestr(entry, content)
    return out.getvalue()


def text(**changes: str | None) -> bytes:
    """Return META-INF/com/android/metadata; `_` in a name stands for `-`."""
    values = VALUES | {name.replace("_", "-"): value for name, value in changes.items()}
    return "".join(f"{name}={value}\n" for name, value in values.items() if value is not None).encode()


def twin(device: str = "gw200", flags: bytes = b"") -> bytes:
    """Return metadata.pb with the same values (ota_metadata.proto), and flags set."""
    post = blob(2, VALUES["post-build"].encode()) + number(4, 1_790_000_000) + blob(6, b"2026-01-01")
    return number(1, 1) + flags + blob(5, blob(1, device.encode())) + blob(6, blob(1, b"gw200") + post)


def properties(payload: bytes, wrong: bytes = b"") -> bytes:
    """Return payload_properties.txt; `wrong` are the bytes that the hash is taken of instead."""
    size = 24 + int.from_bytes(payload[12:20], "big")
    hashed = [base64.b64encode(hashlib.sha256(data).digest()).decode() for data in (wrong or payload, payload[:size])]
    return (
        f"FILE_HASH={hashed[0]}\nFILE_SIZE={len(payload)}\nMETADATA_HASH={hashed[1]}\nMETADATA_SIZE={size}\n".encode()
    )


def build(folder: Path) -> None:
    """Make all samples."""
    require("java", "openssl")
    for kind in ("good", "bad", "keys"):
        shutil.rmtree(folder / kind, ignore_errors=True)
        (folder / kind).mkdir(parents=True)
    with tempfile.TemporaryDirectory() as name:
        signer, stranger = Signer.new(Path(name), "signer"), Signer.new(Path(name), "stranger")
        shutil.copy(signer.certificate, folder / "keys")
        sign = signing(signer.key)
        payload = Build([full("boot", firmware("boot", BLOCK))], [sign], [sign]).build()
        for kind, made in (("good", _good(signer, payload)), ("bad", _bad(signer, stranger, payload))):
            for file, content in made.items():
                (folder / kind / file).write_bytes(content)


def members(payload: bytes) -> dict[str, bytes]:
    """Return the members of an A/B package."""
    beside = {PAYLOAD: payload, PROPERTIES: properties(payload)}
    return {METADATA: text(), METADATA_PB: twin(), **beside}


def _placed(signer: Signer, payload: bytes) -> bytes:
    """Return a package whose metadata says where a streaming client finds its files; it is signed twice for that."""
    wanted = ",".join(f"{name}:0000000000:0000000000" for name in (PAYLOAD, PROPERTIES))
    for _ in range(2):
        signed = signer.sign(package(members(payload) | {METADATA: text(ota_property_files=wanted)}))
        with zipfile.ZipFile(io.BytesIO(signed)) as archive:
            places = [(archive.getinfo(name), name) for name in (PAYLOAD, PROPERTIES)]
        starts = [(_start(signed, info.header_offset), info.compress_size, name) for info, name in places]
        wanted = ",".join(f"{name}:{start:010}:{size:010}" for start, size, name in starts)
    return signed


def _start(data: bytes, header: int) -> int:
    name, extra = (int.from_bytes(data[header + at : header + at + 2], "little") for at in (26, 28))
    return header + 30 + name + extra


def _good(signer: Signer, payload: bytes) -> dict[str, bytes]:
    recovery = {
        METADATA: text(ota_type="BLOCK"),
        SCRIPT: b'package_extract_file("boot.img", "/dev/block/by-name/boot");\n',
        "boot.img": firmware("boot image", 1024),
    }
    return {
        "ab.zip": _placed(signer, payload),
        "recovery.zip": signer.sign(package(recovery)),
    }


def _bad(signer: Signer, stranger: Signer, payload: bytes) -> dict[str, bytes]:
    plain = members(payload)

    def signed(flags: bytes = b"", **changes: str | None) -> bytes:
        return signer.sign(package({**plain, METADATA: text(**changes), METADATA_PB: twin(flags=flags)}))

    good = signer.sign(package(plain))
    end = good.rindex(END)
    other = {**plain, PROPERTIES: properties(payload, b"another payload")}
    return {
        "signature-bit-flipped.zip": flip(good, len(good) - 60),
        "signed-by-a-stranger.zip": stranger.sign(package(plain)),
        "payload-bit-flipped.zip": flip(good, good.index(b"otaudit sample: boot")),
        "footer-damaged.zip": flip(good, len(good) - 3),
        "second-end-record.zip": _with_end_record(good, end),
        "unsigned.zip": package(plain),
        "jar-signed.zip": signer.sign(package(plain), whole=False),
        "bytes-behind.zip": good + b"left over",
        "downgrade.zip": signed(number(3, 1), ota_downgrade="yes"),
        "wipe.zip": signed(number(2, 1), ota_wipe="yes"),
        "no-device.zip": signer.sign(package({**plain, METADATA: text(pre_device=None), METADATA_PB: number(1, 1)})),
        "metadata-differ.zip": signer.sign(package({**plain, METADATA_PB: twin("other")})),
        "property-files-misplaced.zip": signed(ota_streaming_property_files=f"{PAYLOAD}:12:34"),
        "payload-hash-wrong.zip": signer.sign(package(other)),
        "payload-compressed.zip": signer.sign(package(plain, compressed=(PAYLOAD,))),
        "properties-missing.zip": signer.sign(package({name: plain[name] for name in plain if name != PROPERTIES})),
        "truncated.zip": good[: len(good) // 2],
    }


def _with_end_record(good: bytes, end: int) -> bytes:
    """Return a package whose comment holds a second end record, in front of the signature's message."""
    comment = good[end + 22 :]
    inside = END + bytes(16) + (len(comment)).to_bytes(2, "little")
    grown = inside + comment[:-2] + (len(inside) + len(comment)).to_bytes(2, "little")
    return good[: end + 20] + len(grown).to_bytes(2, "little") + grown
