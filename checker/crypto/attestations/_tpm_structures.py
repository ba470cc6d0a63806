"""Structures of TPM 2.0, read with bounds: TPMS_ATTEST, TPMT_PUBLIC and TPMT_SIGNATURE.

Source: TCG, TPM 2.0 Library Part 2, Structures: 10.12 (attestation), 11.3 (signatures), 12.2 (public areas).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from checker.crypto.keys import PublicKey, from_ec_point, from_rsa_numbers
from checker.errors import FormatError, UnsupportedAlgorithmError
from checker.io.digests import digest
from checker.io.reader import Reader
from checker.io.sources import BytesSource

MAGIC: Final = 0xFF544347  # TPM_GENERATED_VALUE: a TPM signs nothing else that begins so with a restricted key
CERTIFY, QUOTE = 0x8017, 0x8018  # TPM_ST_ATTEST_CERTIFY, TPM_ST_ATTEST_QUOTE
MAX_STRUCTURE: Final = 8 * 1024  # bytes; the largest TPM buffer is 4 KB
_RSA, _ECC, _NULL = 0x0001, 0x0023, 0x0010
_RSASSA, _RSAPSS, _ECDSA, _ECDAA = 0x0014, 0x0016, 0x0018, 0x001A
_RSAES: Final = 0x0015  # the one scheme without a hash
_DEFAULT_EXPONENT: Final = 65537
_HASHES: Final[Mapping[int, str]] = {
    0x0004: "sha-1",
    0x000B: "sha-256",
    0x000C: "sha-384",
    0x000D: "sha-512",
    0x0027: "sha3-256",
    0x0028: "sha3-384",
    0x0029: "sha3-512",
}
_CURVES: Final[Mapping[int, tuple[str, int]]] = {  # TPM_ECC_CURVE: name, bytes of a coordinate
    0x0001: ("ec-p192", 24),
    0x0002: ("ec-p224", 28),
    0x0003: ("ec-p256", 32),
    0x0004: ("ec-p384", 48),
    0x0005: ("ec-p521", 66),
}
_SCHEMES: Final[Mapping[int, str]] = {_RSASSA: "rsa-pkcs1v15", _RSAPSS: "rsa-pss", _ECDSA: "ecdsa"}
_CLOCK: Final = 17 + 8  # bytes of TPMS_CLOCK_INFO and firmwareVersion
_FIXED_TPM, _FIXED_PARENT, _DATA_ORIGIN = 1 << 1, 1 << 4, 1 << 5  # TPMA_OBJECT
NON_EXPORTABLE: Final = _FIXED_TPM | _FIXED_PARENT | _DATA_ORIGIN


@dataclass(frozen=True, kw_only=True)
class Attest:
    """TPMS_ATTEST. `name` is that of the certified object, empty for a quote; `raw` is what was signed."""

    type: int
    nonce: bytes
    name: bytes = b""
    raw: bytes = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class Public:
    """TPMT_PUBLIC: its name (Part 1, 16), its attributes and its key."""

    name: bytes
    attributes: int
    key: PublicKey


@dataclass(frozen=True, kw_only=True)
class TpmSignature:
    """TPMT_SIGNATURE: ids of the algorithm table, and the signature; `numbers` are r and s of ECDSA."""

    algorithm: str
    hash: str
    data: bytes = field(repr=False, default=b"")
    numbers: tuple[int, int] = field(repr=False, default=(0, 0))


class _Cursor(Reader):
    """A reader of big-endian TPM structures."""

    def number(self, size: int, name: str) -> int:
        return self.integer(size, name, "big")

    def sized(self, name: str) -> bytes:
        """Return the content of a TPM2B structure."""
        return self.take(self.number(2, name), name, limit=MAX_STRUCTURE)

    def finish(self, name: str) -> None:
        if self.left:
            raise FormatError(f"{self.left} bytes follow its end", offset=self.offset, field=name)


def _open(data: bytes, name: str) -> _Cursor:
    if len(data) > MAX_STRUCTURE:
        raise FormatError(f"{len(data)} bytes, at most MAX_STRUCTURE ({MAX_STRUCTURE}) are read", field=name)
    return _Cursor(BytesSource(name, data))


def unwrapped(data: bytes) -> bytes:
    """Return what a TPM2B structure holds, or the bytes themselves where they are none."""
    return data[2:] if len(data) > 1 and int.from_bytes(data[:2], "big") == len(data) - 2 else data


def read_attest(data: bytes) -> Attest:
    """Return a TPMS_ATTEST, bare or as TPM2B_ATTEST.

    Raises:
        FormatError: it is damaged, or no TPM made it.
    """
    raw = unwrapped(data)
    at = _open(raw, "TPMS_ATTEST")
    if at.number(4, "magic") != MAGIC:
        raise FormatError("no TPM made this: the magic number is another one", field="TPMS_ATTEST")
    kind = at.number(2, "type")
    at.sized("qualifiedSigner")
    nonce = at.sized("extraData")
    at.skip(_CLOCK, "clockInfo")
    name = at.sized("name") if kind == CERTIFY else b""
    if kind == CERTIFY:
        at.sized("qualifiedName")
        at.finish("TPMS_ATTEST")
    return Attest(type=kind, nonce=nonce, name=name, raw=raw)


def read_public(data: bytes) -> Public:
    """Return a TPMT_PUBLIC, bare or as TPM2B_PUBLIC, of an RSA or ECC key.

    Raises:
        FormatError: it is damaged.
        UnsupportedAlgorithmError: it is of another type, curve or name algorithm.
    """
    raw = unwrapped(data)
    at = _open(raw, "TPMT_PUBLIC")
    kind, name_hash = at.number(2, "type"), at.number(2, "nameAlg")
    attributes = at.number(4, "objectAttributes")
    at.sized("authPolicy")
    if kind not in {_RSA, _ECC}:
        raise UnsupportedAlgorithmError(f"TPM objects of type {kind:#06x} have no public key that is read here")
    _skip_symmetric(at)
    _skip_scheme(at)
    key = _rsa(at) if kind == _RSA else _ecc(at)
    at.finish("TPMT_PUBLIC")
    name = name_hash.to_bytes(2, "big") + digest(_hash(name_hash), raw)
    return Public(name=name, attributes=attributes, key=key)


def _hash(number: int) -> str:
    if number not in _HASHES:
        raise UnsupportedAlgorithmError(f"the hash {number:#06x} of TPM 2.0 is not computed here")
    return _HASHES[number]


def _skip_symmetric(at: _Cursor) -> None:
    if at.number(2, "symmetric") != _NULL:
        at.skip(4, "symmetric")  # keyBits and mode


def _skip_scheme(at: _Cursor) -> None:
    scheme = at.number(2, "scheme")
    if scheme not in {_NULL, _RSAES}:
        at.skip(4 if scheme == _ECDAA else 2, "scheme")  # the hash; ECDAA has a count too


def _rsa(at: _Cursor) -> PublicKey:
    at.skip(2, "keyBits")
    exponent = at.number(4, "exponent") or _DEFAULT_EXPONENT
    return from_rsa_numbers(int.from_bytes(at.sized("modulus"), "big"), exponent)


def _ecc(at: _Cursor) -> PublicKey:
    curve = at.number(2, "curveID")
    if at.number(2, "kdf") != _NULL:
        at.skip(2, "kdf")
    if curve not in _CURVES:
        raise UnsupportedAlgorithmError(f"the curve {curve:#06x} of TPM 2.0 is not read")
    name, size = _CURVES[curve]
    x, y = (at.sized(coordinate) for coordinate in "xy")
    if max(len(x), len(y)) > size:
        raise FormatError(f"coordinates of {name} have {size} bytes", offset=at.offset, field="TPMT_PUBLIC")
    return from_ec_point(name, b"\x04" + x.rjust(size, b"\0") + y.rjust(size, b"\0"))


def read_signature(data: bytes) -> TpmSignature:
    """Return a TPMT_SIGNATURE.

    Raises:
        FormatError: it is damaged.
        UnsupportedAlgorithmError: it is of another scheme than RSASSA, RSAPSS and ECDSA, or over another hash.
    """
    at = _open(data, "TPMT_SIGNATURE")
    scheme = at.number(2, "sigAlg")
    if scheme not in _SCHEMES:
        raise UnsupportedAlgorithmError(f"signatures of the TPM scheme {scheme:#06x} are not verified here")
    hash_name = _hash(at.number(2, "hash"))
    if scheme == _ECDSA:
        r, s = (int.from_bytes(at.sized(part), "big") for part in "rs")
        found = TpmSignature(algorithm="ecdsa", hash=hash_name, numbers=(r, s))
    else:
        found = TpmSignature(algorithm=_SCHEMES[scheme], hash=hash_name, data=at.sized("signature"))
    at.finish("TPMT_SIGNATURE")
    return found
