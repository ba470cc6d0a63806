"""What attestations in the form of X.509 certificates share: the path, vendor extensions, and the answer to a nonce."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from asn1crypto import core, x509

from checker.crypto import _asn1
from checker.crypto.attestations._signers import by_path, too_short
from checker.crypto.attestations.contract import Pinned, Statement
from checker.crypto.certificates import Certificate
from checker.crypto.keyring import read_certificates
from checker.crypto.keys import PublicKey
from checker.crypto.signatures import candidates, verify_message
from checker.errors import CryptoError, FormatError

_MAX_EXTENSIONS: Final = 64  # of one certificate
_NAME: Final = "attestation certificate"


def chain_of(data: bytes) -> tuple[Certificate, ...]:
    """Return the certificates of an attestation: that of the attested key first, then its issuers.

    Raises:
        KeyMaterialError: there is none, or one is damaged.
    """
    return read_certificates(data, _NAME)


def extensions(certificate: Certificate, arc: str) -> Mapping[str, bytes]:
    """Return the values of the extensions below an arc by what follows it (`""`: the arc itself).

    Raises:
        FormatError: one is there twice, or the certificate is damaged.
    """
    found: dict[str, bytes] = {}
    with _asn1.guarded(_NAME):
        listed = x509.Certificate.load(certificate.der)["tbs_certificate"]["extensions"]
        for item in list(listed or ())[:_MAX_EXTENSIONS]:
            oid = str(item["extn_id"].dotted)
            if oid != arc and not oid.startswith(f"{arc}."):
                continue
            name = oid.removeprefix(arc).removeprefix(".")
            if name in found:
                raise ValueError(f"the extension {oid} is there twice")
            found[name] = bytes(item["extn_value"])
    return found


def detects(data: bytes, arc: str) -> bool:
    """Return whether the first certificate of a file has an extension below an arc."""
    if data[:1] != b"\x30" and b"-----BEGIN" not in data[:4096]:
        return False
    try:
        return bool(extensions(chain_of(data)[0], arc))
    except (CryptoError, FormatError):
        return False


def of_certificate(
    data: bytes, pinned: Pinned, arc: str, names: Mapping[str, str], stays: Callable[[Mapping[str, bytes]], bool]
) -> Statement:
    """Return what a vendor's certificate for a key says.

    Args:
        data: the certificate of the key, and its issuers.
        pinned: what it is checked with.
        arc: of the vendor's extensions.
        names: the extensions that the vendor always writes. Without one of them nothing is shown of the key.
        stays: whether the extensions, which are all there, say that the key cannot leave.

    Raises:
        FormatError: an extension is damaged.
        KeyMaterialError: a certificate is damaged.
    """
    chain = chain_of(data)
    found = extensions(chain[0], arc)
    voucher, stale = by_path(chain, pinned), answered(chain[0].key, pinned)
    missing = [title for name, title in names.items() if name not in found]
    lacks = f"it lacks its {', '.join(missing)}" if missing else ""
    return Statement(
        genuine=voucher.genuine,
        fresh=not stale,
        key=chain[0].key.spki_sha256,
        signer=voucher.signer,
        non_exportable=not missing and stays(found),
        quantum_resistant=voucher.quantum_resistant,
        note="; ".join(text for text in (voucher.note, stale, lacks) if text),
    )


def bits(value: bytes, size: int) -> int:
    """Return the number that a DER BIT STRING of `size` whole bytes holds, the most significant byte first.

    Raises:
        FormatError: it is none.
    """
    with _asn1.guarded(_NAME):
        contents = bytes(core.BitString.load(value, strict=True).contents)
    if len(contents) != size + 1 or contents[0]:
        raise FormatError(f"a BIT STRING of {size} whole bytes is expected", field=_NAME)
    return int.from_bytes(contents[1:], "big")


def integer(value: bytes) -> int:
    """Return a DER INTEGER.

    Raises:
        FormatError: it is none.
    """
    with _asn1.guarded(_NAME):
        return int(core.Integer.load(value, strict=True).native)


def answered(key: PublicKey, pinned: Pinned) -> str:
    """Return why the attested key has not answered our nonce, or nothing where it signed it.

    Such a certificate holds no nonce and can be copied, so that only its key shows that the module is there.
    """
    note = too_short(pinned)
    response = pinned.companions.get("response", b"")
    if note:
        return note
    if not response:
        return "not fresh: no `response`, the attested key's own signature over the nonce, came with it"
    for scheme in candidates(key):
        try:
            verify_message(key, scheme.algorithm, scheme.hash, pinned.nonce, response)
        except CryptoError:
            continue
        return ""
    return "not fresh: the response is no signature of the attested key over the nonce"
