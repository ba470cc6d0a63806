"""Certificates for the battery, made once a session: two roots, an intermediate, leaves with one fault each."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import ipaddress
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID as Usage
from cryptography.x509.oid import NameOID

NOW = dt.datetime.now(dt.UTC).replace(microsecond=0)
AS_OF = NOW.strftime("%Y-%m-%dT%H:%M:%SZ")
DAY = dt.timedelta(days=1)


def name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


@dataclass
class Holder:
    certificate: x509.Certificate
    key: Any
    above: list[x509.Certificate] = field(default_factory=list)

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(Encoding.DER)

    @property
    def chain(self) -> bytes:
        return b"".join(item.public_bytes(Encoding.PEM) for item in (self.certificate, *self.above))

    @property
    def key_pem(self) -> bytes:
        return bytes(self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


def told_at(*, ocsp: tuple[str, ...] = (), lists: tuple[str, ...] = ()) -> tuple[x509.ExtensionType, ...]:
    """Return the extensions that name responders and lists, one distribution point for each list."""
    found: list[x509.ExtensionType] = []
    if ocsp:
        places = [x509.UniformResourceIdentifier(url) for url in ocsp]
        method = x509.oid.AuthorityInformationAccessOID.OCSP
        found.append(x509.AuthorityInformationAccess([x509.AccessDescription(method, place) for place in places]))
    if lists:
        names = [[x509.UniformResourceIdentifier(url)] for url in lists]
        found.append(x509.CRLDistributionPoints([x509.DistributionPoint(each, None, None, None) for each in names]))
    return tuple(found)


def authority(
    text: str, issuer: Holder | None = None, path: int | None = None, more: tuple[x509.ExtensionType, ...] = ()
) -> Holder:
    key = ec.generate_private_key(ec.SECP256R1())
    builder = (
        x509.CertificateBuilder()
        .subject_name(name(text))
        .issuer_name(issuer.certificate.subject if issuer else name(text))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - 400 * DAY)
        .not_valid_after(NOW + 400 * DAY)
        .add_extension(x509.BasicConstraints(ca=True, path_length=path), critical=True)
    )
    for extension in more:
        builder = builder.add_extension(extension, critical=False)
    return Holder(builder.sign(issuer.key if issuer else key, hashes.SHA256()), key)


@dataclass
class Leaf:
    """What is special about a leaf."""

    key: Any = None
    names: tuple[str, ...] = ("localhost",)
    start: dt.timedelta = -DAY
    end: dt.timedelta = 60 * DAY
    usage: Any = Usage.SERVER_AUTH
    more: tuple[x509.ExtensionType, ...] = ()


def leaf(text: str, issuer: Holder | None, how: Leaf, above: list[x509.Certificate] | None = None) -> Holder:
    key = how.key or ec.generate_private_key(ec.SECP256R1())
    alternatives: list[x509.GeneralName] = [x509.DNSName(item) for item in how.names]
    if "localhost" in how.names:
        alternatives.append(x509.IPAddress(ipaddress.ip_address("127.0.0.1")))
    builder = (
        x509.CertificateBuilder()
        .subject_name(name(text))
        .issuer_name(issuer.certificate.subject if issuer else name(text))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW + how.start)
        .not_valid_after(NOW + how.end)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .add_extension(x509.ExtendedKeyUsage([how.usage]), critical=False)
    )
    for extension in how.more:
        builder = builder.add_extension(extension, critical=False)
    signer = issuer.key if issuer else key
    digest = None if isinstance(signer, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return Holder(builder.sign(signer, digest), key, above or [])


class Pki:
    """Everything that the battery's servers and clients need, as files below one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root, self.rogue = authority("root"), authority("rogue")
        self.intermediate = authority("int", self.root, 0)
        above = [self.intermediate.certificate]
        self.leaves = {
            text: leaf(text, self.intermediate, how, above)
            for text, how in {
                "ok": Leaf(),
                "ok2": Leaf(),
                "rsa2048": Leaf(key=rsa.generate_private_key(65537, 2048)),
                "rsa1024": Leaf(key=rsa.generate_private_key(65537, 1024)),  # noqa: S505 - to be found
                "expired": Leaf(start=-60 * DAY, end=-DAY),
                "future": Leaf(start=10 * DAY),
                "wronghost": Leaf(names=("other.example",)),
                "device": Leaf(usage=Usage.CLIENT_AUTH, names=("device-1",)),
            }.items()
        }
        self.leaves["noint"] = Holder(self.leaves["ok"].certificate, self.leaves["ok"].key)
        self.leaves["rogueleaf"] = leaf("rogueleaf", self.rogue, Leaf())
        self.leaves["selfsigned"] = leaf("selfsigned", None, Leaf())
        for text, holder in self.leaves.items():
            (folder / f"{text}.chain").write_bytes(holder.chain)
            (folder / f"{text}.pem").write_bytes(holder.pem)
            (folder / f"{text}.key").write_bytes(holder.key_pem)
        for text, holder in {"root": self.root, "rogue": self.rogue, "int": self.intermediate}.items():
            (folder / f"{text}.pem").write_bytes(holder.pem)
            (folder / f"{text}.key").write_bytes(holder.key_pem)
        key = self.leaves["ok"].key
        traditional = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
        public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        (folder / "raw.pem").write_bytes(traditional + public)
        (folder / "public.pem").write_bytes(public)
        (folder / "ok.ocsp").write_bytes(self.staple("ok"))
        (folder / "revoked.ocsp").write_bytes(self.staple("ok", revoked=True))

    client_auth = Usage.CLIENT_AUTH
    ocsp_signing = Usage.OCSP_SIGNING

    def path(self, text: str) -> str:
        return str(self.folder / text)

    def staple(self, text: str, *, revoked: bool = False, signer: Holder | None = None, age: int = 0) -> bytes:
        signer = signer or self.intermediate
        status = ocsp.OCSPCertStatus.REVOKED if revoked else ocsp.OCSPCertStatus.GOOD
        builder = ocsp.OCSPResponseBuilder().add_response(
            cert=self.leaves[text].certificate,
            issuer=self.intermediate.certificate,
            algorithm=hashes.SHA1(),  # noqa: S303 - the usual hash of certificate ids (RFC 6960 4.1.1)
            cert_status=status,
            this_update=NOW - (1 + age) * DAY,
            next_update=NOW + (7 - age) * DAY,
            revocation_time=NOW - DAY if revoked else None,
            revocation_reason=None,
        )
        builder = builder.responder_id(ocsp.OCSPResponderEncoding.HASH, signer.certificate)
        if signer is not self.intermediate:
            builder = builder.certificates([signer.certificate])
        response = builder.sign(signer.key, hashes.SHA256())
        return response.public_bytes(Encoding.DER)

    def issue(self, text: str, how: Leaf, issuer: Holder | None = None) -> Holder:
        """Make one more leaf of the intermediate (or of another issuer), with its files."""
        issuer = issuer or self.intermediate
        holder = leaf(text, issuer, how, [issuer.certificate])
        self.leaves[text] = holder
        for suffix, data in (("chain", holder.chain), ("pem", holder.pem), ("key", holder.key_pem)):
            (self.folder / f"{text}.{suffix}").write_bytes(data)
        return holder

    def pin(self, text: str) -> str:
        """Return a pin the way that RFC 7469 2.4 does, without the code under test."""
        return "sha256/" + base64.b64encode(hashlib.sha256(bytes.fromhex(self.spki(text))).digest()).decode()

    def spki(self, text: str) -> str:
        """Return a leaf's SubjectPublicKeyInfo in hex."""
        public = self.leaves[text].key.public_key()
        return bytes(public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hex()

    def signed_by_openssl(self, digest: str) -> str:
        """Make a leaf with a hash that cryptography no longer signs with; return its name."""
        name = f"by-{digest}"
        run = [
            "openssl",
            "req",
            "-new",
            "-key",
            self.path("ok.key"),
            "-subj",
            f"/CN={name}",
            "-out",
            self.path("r.csr"),
        ]
        subprocess.run(run, check=True, capture_output=True)
        (self.folder / "r.ext").write_text("subjectAltName=DNS:localhost\nextendedKeyUsage=serverAuth\n")
        run = ["openssl", "x509", "-req", f"-{digest}", "-in", self.path("r.csr"), "-CA", self.path("int.pem")]
        run += ["-CAkey", self.path("int.key"), "-set_serial", "7", "-days", "30", "-extfile", self.path("r.ext")]
        subprocess.run([*run, "-out", self.path(f"{name}.pem")], check=True, capture_output=True)
        chain = (self.folder / f"{name}.pem").read_bytes() + self.intermediate.pem
        (self.folder / f"{name}.chain").write_bytes(chain)
        (self.folder / f"{name}.key").write_bytes(self.leaves["ok"].key_pem)
        return name

    def crl(self, *texts: str) -> bytes:
        return self.list(*texts)

    def list(
        self,
        *texts: str,
        signer: Holder | None = None,
        issuer: Holder | None = None,
        age: int = 0,
        more: tuple[x509.ExtensionType, ...] = (),
        reason: x509.ReasonFlags | None = None,
        revoked_at: dt.datetime = NOW - DAY,
    ) -> bytes:
        """Return a list of the intermediate (or another issuer), `age` days old, which ends after eight."""
        issuer = issuer or self.intermediate
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(issuer.certificate.subject)
            .last_update(NOW - (1 + age) * DAY)
            .next_update(NOW + (7 - age) * DAY)
        )
        for text in texts:
            revoked = x509.RevokedCertificateBuilder().serial_number(self.serial(text)).revocation_date(revoked_at)
            if reason is not None:
                revoked = revoked.add_extension(x509.CRLReason(reason), critical=False)
            builder = builder.add_revoked_certificate(revoked.build())
        for extension in more:
            builder = builder.add_extension(extension, critical=True)
        return builder.sign((signer or issuer).key, hashes.SHA256()).public_bytes(Encoding.DER)

    def serial(self, text: str) -> int:
        holder = self.leaves.get(text) or self.intermediate
        return int(holder.certificate.serial_number)
