"""CMS SignedData by a `Signer`, in DER, modelled on a genuine message (RFC 5652 section 5).

Everything that the signer does not decide is taken over: the content or its absence, the content type, the signed
attributes and the digest. So a refusal is for the signer, and for nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from asn1crypto import algos, core

from checker.crypto import _asn1
from checker.crypto import _cms_structures as asn
from checker.crypto.algorithms import algorithm as table_line
from checker.crypto.certificates import scheme_of
from checker.crypto.cms_layout import SIGNED, Layout, digest_ids, layout
from checker.crypto.schemes import Scheme
from checker.crypto.signing import Message, fits, sign, usual_scheme
from checker.crypto.staging import Signer
from checker.errors import FormatError, UnsupportedAlgorithmError
from checker.io import digests
from checker.io.digests import DigestRequest, Literal, compute

_OCTETS, _SEQUENCE, _SET, _ZERO, _KEY_ID = 0x04, 0x30, 0x31, 0xA0, 0x80
_NULL: Final = b"\x05\x00"
_WITH_NULL: Final = frozenset({"rsa-pkcs1v15"})  # RFC 4055 section 5: parameters are NULL; others have none


def signed_again(
    genuine: bytes, signer: Signer, message: Message | None = None, *, hash_name: str = "", content: bytes | None = None
) -> bytes:
    """Return a message like the genuine one that this signer alone has signed.

    Args:
        genuine: CMS SignedData whose first signer is the model.
        signer: who signs. Its certificates go along; without any, it is named by its key id.
        message: what is signed where the content is detached.
        hash_name: another digest than the model's, for content and attributes alike.
        content: another attached content.

    Raises:
        FormatError: the genuine message is damaged, or has no signer to be the model.
        UnsupportedAlgorithmError: the key, or the digest, cannot be used so.
    """
    parts = layout(genuine)
    if parts.kind != SIGNED or not parts.signers:
        raise FormatError("there is no signer that could be the model", field="CMS SignedData")
    attached = _attached(parts) if content is None else content
    if parts.detached and message is None:
        raise FormatError("the content is detached and was not given", field="CMS SignedData")
    what: Message = (Literal(attached),) if message is None or not parts.detached else message
    name = hash_name or digest_ids(parts)[0]
    info = _signer_info(parts, signer, what, name, changed=bool(hash_name))
    return signed_data(info, name, parts.content_type, None if parts.detached else attached, signer.ders)


def signed(
    signer: Signer, message: Message, hash_name: str, *, attached: bytes | None = None, signing_time: bytes = b""
) -> bytes:
    """Return SignedData over plain data without a model: with signed attributes, `signing_time` as DER if given."""
    extra = [_attribute(asn.SIGNING_TIME, signing_time)] if signing_time else []
    info = _info(signer, usual_scheme(signer, hash_name), b"", hash_name, message, [_attribute_of_data(), *extra])
    return signed_data(info, hash_name, asn.DATA, attached, signer.ders)


def signed_data(
    info: bytes, hash_name: str, content_type: str, attached: bytes | None, certificates: Iterable[bytes]
) -> bytes:
    """Return SignedData of one SignerInfo. Version 3 where RFC 5652 5.1 asks for it, else 1."""
    content = b"" if attached is None else _asn1.der(_ZERO, _asn1.der(_OCTETS, attached))
    ders = sorted(set(certificates))
    body = (
        b"\x02\x01" + (b"\x01" if content_type == asn.DATA and ders else b"\x03"),
        _asn1.der(_SET, _hash_identifier(hash_name)),
        _asn1.der(_SEQUENCE, _oid(content_type) + content),
        _asn1.der(_ZERO, b"".join(ders)) if ders else b"",
        _asn1.der(_SET, info),
    )
    whole = _asn1.der(_ZERO, _asn1.der(_SEQUENCE, b"".join(body)))
    return _asn1.der(_SEQUENCE, _oid(asn.SIGNED) + whole)


def _attached(parts: Layout) -> bytes:
    return b"".join(parts.data[span.start : span.end] for span in parts.content)


def _signer_info(parts: Layout, signer: Signer, message: Message, name: str, *, changed: bool) -> bytes:
    model = parts.signers[0]
    scheme, identifier = usual_scheme(signer, name), b""
    if not changed:
        try:
            genuine = scheme_of(model.identifier, name)
        except (FormatError, UnsupportedAlgorithmError):
            genuine = scheme
        if fits(signer, genuine.algorithm):
            scheme, identifier = genuine, model.identifier
    attributes = [parts.data[item.start : item.end] for item in model.attributes]
    return _info(signer, scheme, identifier, name, message, attributes)


def _info(
    signer: Signer, scheme: Scheme, identifier: bytes, name: str, message: Message, attributes: Sequence[bytes]
) -> bytes:
    """Return a SignerInfo. `attributes` are those of the model; the message digest is made anew (RFC 5652 5.4)."""
    wanted: Message = message
    block = b""
    if attributes:
        digest = compute((request := DigestRequest(name, tuple(message)),))[request]
        kept = [item for item in attributes if _oid(asn.MESSAGE_DIGEST) not in item[:16]]
        every = sorted([*kept, _attribute(asn.MESSAGE_DIGEST, _asn1.der(_OCTETS, digest))])
        wanted = (Literal(_asn1.der(_SET, b"".join(every))),)
        block = _asn1.der(_ZERO, b"".join(every))
    value = sign(signer, wanted, scheme)
    version, sid = _identity(signer)
    parts = (version, sid, _hash_identifier(name), block, identifier or _identifier(scheme), _asn1.der(_OCTETS, value))
    return _asn1.der(_SEQUENCE, b"".join(parts))


def _identity(signer: Signer) -> tuple[bytes, bytes]:
    """Return version and signer identifier: issuer and serial, or the key id of a bare key (RFC 5652 5.3)."""
    if not signer.certificates:
        key_id = digests.digest("sha-1", signer.public_key.raw)
        return b"\x02\x01\x03", _asn1.der(_KEY_ID, key_id)
    own = signer.certificates[0]
    serial = bytes(core.Integer(own.serial_number).dump())
    return b"\x02\x01\x01", _asn1.der(_SEQUENCE, own.issuer.public_bytes() + serial)


def _identifier(scheme: Scheme) -> bytes:
    """Return the AlgorithmIdentifier of a scheme."""
    if scheme.algorithm == "rsa-pss":
        return _pss(scheme)
    oids = table_line(scheme.algorithm).oids
    fitting = [oid for oid, fixed in oids if fixed == scheme.hash or len(oids) == 1]
    if not fitting:  # rsaEncryption and id-ecPublicKey fix no hash, and are no signature algorithms (RFC 5754)
        raise UnsupportedAlgorithmError(f"{scheme.algorithm} over {scheme.hash} has no object identifier")
    return _asn1.der(_SEQUENCE, _oid(fitting[0]) + (_NULL if scheme.algorithm in _WITH_NULL else b""))


def _pss(scheme: Scheme) -> bytes:
    hashed = {"algorithm": table_line(scheme.hash).oids[0][0]}
    size = digests.hasher(scheme.hash).digest()
    params = algos.RSASSAPSSParams(
        {
            "hash_algorithm": hashed,
            "mask_gen_algorithm": {"algorithm": "mgf1", "parameters": hashed},
            "salt_length": len(size) if scheme.salt_length is None else scheme.salt_length,
        }
    )
    return _asn1.der(_SEQUENCE, _oid("1.2.840.113549.1.1.10") + bytes(params.dump()))


def _hash_identifier(name: str) -> bytes:
    oids = table_line(name).oids
    if not oids:
        raise UnsupportedAlgorithmError(f"digests with {name!r} have no object identifier")
    return _asn1.der(_SEQUENCE, _oid(oids[0][0]))


def _attribute(kind: str, value: bytes) -> bytes:
    return _asn1.der(_SEQUENCE, _oid(kind) + _asn1.der(_SET, value))


def _attribute_of_data() -> bytes:
    return _attribute(asn.CONTENT_TYPE, _oid(asn.DATA))


def _oid(dotted: str) -> bytes:
    return bytes(core.ObjectIdentifier(dotted).dump())
