"""TPM 2.0: TPM2_Certify over a key, and TPM2_Quote.

Source: TCG, TPM 2.0 Library Part 3, 18.2 (Certify) and 18.4 (Quote); Part 1, 16 (names); TCG EK Credential Profile, and
Platform Certificate and AK Certificate profiles for the purpose 2.23.133.8.3.

The file is the TPMS_ATTEST. Beside it lie `signature` (TPMT_SIGNATURE), `public` (the TPMT_PUBLIC of the certified key)
and `ak`, the certificate of the attestation key and its issuers. Whoever issues such a certificate has seen that the
key is in the TPM of an endorsement key; that cannot be checked again afterwards, so that its purpose must say it.
"""

from __future__ import annotations

from typing import Final

from checker.crypto.attestations._signers import Voucher, by_key, by_signer, freshness
from checker.crypto.attestations._tpm_structures import (
    CERTIFY,
    MAGIC,
    NON_EXPORTABLE,
    QUOTE,
    Attest,
    Public,
    TpmSignature,
    read_attest,
    read_public,
    read_signature,
    unwrapped,
)
from checker.crypto.attestations.contract import AttestationForm, Pinned, Statement
from checker.crypto.keyring import read_certificates
from checker.crypto.keys import PublicKey
from checker.crypto.signatures import ecdsa_signature, verify_message
from checker.errors import FormatError, InvalidSignatureError, UnsupportedAlgorithmError

AK_PURPOSE: Final = "2.23.133.8.3"  # tcg-kp-AIKCertificate


def _detect(data: bytes) -> bool:
    return unwrapped(data)[:4] == MAGIC.to_bytes(4, "big")


def _check(data: bytes, pinned: Pinned) -> Statement:
    attest = read_attest(data)
    if attest.type not in {CERTIFY, QUOTE}:
        raise UnsupportedAlgorithmError(f"statements of the TPM type {attest.type:#06x} are not read")
    voucher = _voucher(attest, pinned)
    stale = freshness((attest.nonce,), pinned)
    public = _certified(attest, pinned)
    own = public is not None and public.key.spki_sha256 in voucher.keys
    note = "the key that it certifies vouches for itself" if own else voucher.note
    return Statement(
        genuine=voucher.genuine and not own,
        fresh=not stale,
        key="" if public is None else public.key.spki_sha256,
        signer=voucher.signer,
        non_exportable=None if public is None else public.attributes & NON_EXPORTABLE == NON_EXPORTABLE,
        quantum_resistant=voucher.quantum_resistant,
        note="; ".join(text for text in (note, stale) if text),
    )


def _certified(attest: Attest, pinned: Pinned) -> Public | None:
    """Return the public area that the statement names; None for a quote, which names none.

    Raises:
        FormatError: it is missing, damaged, or another object than the one that was certified.
    """
    if attest.type != CERTIFY:
        return None
    public = read_public(_companion(pinned, "public"))
    if public.name != attest.name:
        raise FormatError("`public` is another object than the one that the TPM certified", field="name")
    return public


def _companion(pinned: Pinned, name: str) -> bytes:
    data = pinned.companions.get(name, b"")
    if not data:
        raise FormatError(f"the companion `{name}` is missing", field="companions")
    return data


def _voucher(attest: Attest, pinned: Pinned) -> Voucher:
    signature = read_signature(_companion(pinned, "signature"))
    data = pinned.companions.get("ak", b"")
    if not data:
        return _by_pinned_key(attest, signature, pinned)
    chain = read_certificates(data, "ak")
    try:
        _verify(chain[0].key, signature, attest.raw)
    except InvalidSignatureError as error:
        return Voucher(genuine=False, note=f"its signature does not verify: {error}")
    if AK_PURPOSE not in chain[0].facts.extended_key_usage:
        return Voucher(genuine=False, note=f"the certificate of `ak` is none of an attestation key ({AK_PURPOSE})")
    return by_signer(chain, pinned)


def _by_pinned_key(attest: Attest, signature: TpmSignature, pinned: Pinned) -> Voucher:
    for key in pinned.ring.verifiers:
        try:
            _verify(key, signature, attest.raw)
        except InvalidSignatureError:
            continue
        return by_key(key, signature.algorithm)
    return Voucher(genuine=False, note="its signature is by no pinned key, and no `ak` certificate came with it")


def _verify(key: PublicKey, signature: TpmSignature, message: bytes) -> None:
    data = ecdsa_signature(*signature.numbers) if signature.algorithm == "ecdsa" else signature.data
    verify_message(key, signature.algorithm, signature.hash, message, data)


ATTESTATION: Final = AttestationForm(
    id="tpm",
    title="TPM 2.0 certification of a key, or quote",
    detect=_detect,
    check=_check,
    references=("TCG, TPM 2.0 Library, Parts 1 to 3",),
)
