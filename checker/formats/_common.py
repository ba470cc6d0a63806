"""What several formats need: verdicts over one signature, weak keys, and whether "ciphertext" can be ciphertext."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from checker.crypto.keys import PublicKey
from checker.crypto.signatures import verify_digest, verify_message, verify_prehashed
from checker.errors import CryptoError, InvalidSignatureError, LimitError, UnsupportedAlgorithmError
from checker.formats._magic import known_magic
from checker.io.digests import Literal, Piece
from checker.io.limits import CHUNK, MAX_HEADER
from checker.model.artifact import DigestCheck, KeyFacts, Recipient, Signature, Source, Span, Weakness
from checker.model.terms import Outcome

BLOCK: Final = 16  # bytes of an AES block
SAMPLE: Final = 1024 * 1024  # bytes of a ciphertext that are looked at for repeated blocks and for bias
MIN_BIAS_SAMPLE: Final = 2048  # below it a chi-squared test over 256 byte values says nothing
MIN_ASCII_SAMPLE: Final = 64  # bytes: shorter ones may be all ASCII by chance
# Chi-squared over 255 degrees of freedom: mean 255, deviation 22.6. Random bytes exceed 600 less than once in 10^20.
MAX_CHI_SQUARED: Final = 600
MIN_STRENGTH: Final = 112  # bits, SP 800-131Ar2 section 3

REACHING: Final = frozenset({Outcome.VALID, Outcome.KEY_UNKNOWN, Outcome.UNDECIDABLE})
WEAKNESSES: Final = (
    "published-development-key",
    "rsa-e3",
    "weak-curve",
    "weak-key",
    "weak-digest",
    "signer-expired",
    "signer-not-yet-valid",
    "signer-revoked",
    "wrong-purpose",
    "unsigned",
    "digest-mismatch",
    "repeated-blocks",
    "biased-ciphertext",
)
PRE_STANDARD_KEM: Final = "pre-standard-kem"
PRE_STANDARD_KEMS: Final = frozenset({"kyber-draft", "newhope"})
WEAK_DIGESTS: Final = frozenset({"md5", "sha-1", "crc-32", "crc-16", "crc-16/xmodem"})


@dataclass(frozen=True, kw_only=True)
class Signed:
    """What every format's own collection of findings is: signatures, and what they say together."""

    signatures: tuple[Signature, ...]

    @property
    def valid(self) -> bool:
        """Return whether a signature verifies."""
        return any(signature.outcome is Outcome.VALID for signature in self.signatures)

    @property
    def reached(self) -> bool:
        """Return whether there is a signature that is not known to be wrong."""
        return any(signature.outcome in REACHING for signature in self.signatures)

    @property
    def authentic(self) -> bool | None:
        """Return whether what is signed is authentic; None where a signature could not be judged."""
        return True if self.valid else None if self.reached else False


def check_digest(
    key: PublicKey,
    algorithm: str,
    hash_name: str,
    digest: bytes,
    signature: bytes,
    salt_length: int | None = None,
) -> tuple[Outcome, str]:
    """Return the outcome of one signature over a digest, and a note where it is not valid."""
    try:
        verify_digest(key, algorithm, hash_name, digest, signature, salt_length=salt_length)
    except CryptoError as error:
        return _refused(error)
    return Outcome.VALID, ""


def check_message(
    key: PublicKey, algorithm: str, hash_name: str, message: bytes, signature: bytes
) -> tuple[Outcome, str]:
    """Return the outcome of one signature over a message, and a note where it is not valid."""
    try:
        verify_message(key, algorithm, hash_name, message, signature)
    except CryptoError as error:
        return _refused(error)
    return Outcome.VALID, ""


def check_prehashed(
    key: PublicKey, algorithm: str, hash_name: str, digest: bytes, signature: bytes
) -> tuple[Outcome, str]:
    """Return the outcome of one signature by the digest that `prehash` asks for, and a note where it is not valid."""
    try:
        verify_prehashed(key, algorithm, hash_name, digest, signature)
    except CryptoError as error:
        return _refused(error)
    return Outcome.VALID, ""


def _refused(error: CryptoError) -> tuple[Outcome, str]:
    if isinstance(error, UnsupportedAlgorithmError):
        return Outcome.UNDECIDABLE, str(error)
    return Outcome.INVALID, "" if isinstance(error, InvalidSignatureError) else str(error)


def gather(pieces: Iterable[Piece | Literal], field: str, limit: int = MAX_HEADER) -> bytes:
    """Return pieces as one message, for schemes that cannot work on a digest.

    Raises:
        LimitError: they hold more than `limit` bytes.
    """
    parts = tuple(pieces)
    total = sum(len(part.data) if isinstance(part, Literal) else part.span.size for part in parts)
    if total > limit:
        raise LimitError(f"{total} bytes are signed as one message, at most {limit} are read", field=field)
    return b"".join(
        part.data if isinstance(part, Literal) else part.source.read(part.span.start, part.span.size) for part in parts
    )


def signature_weaknesses(signatures: Iterable[Signature]) -> tuple[Weakness, ...]:
    """Return what is weak about the signatures: their keys, hashes and certificates."""
    found: dict[tuple[str, str], Weakness] = {}
    present = [signature for signature in signatures if signature.outcome is not Outcome.ABSENT]
    for signature in present:
        for weakness in (*_key(signature.key), *_hash(signature), *_chain(signature)):
            found.setdefault((weakness.code, weakness.where), weakness)
    return tuple(found.values()) if present else (Weakness(code="unsigned", message="no signature is present"),)


def _key(key: KeyFacts) -> Iterable[Weakness]:
    if key.published:
        text = f"the signing key is a published development key that everybody has ({key.published})"
        yield Weakness(code="published-development-key", message=text, where=key.id)
    if key.exponent == 3:  # noqa: PLR2004 - the exponent that has a name of its own
        yield Weakness(code="rsa-e3", message="the RSA public exponent is 3", where=key.id)
    if key.strength is not None and key.strength < MIN_STRENGTH:
        code = "weak-curve" if key.algorithm.startswith("ec") else "weak-key"
        text = f"{key.algorithm} with {key.bits} bits has {key.strength} bits of security, below {MIN_STRENGTH}"
        yield Weakness(code=code, message=text, where=key.id)


def _hash(signature: Signature) -> Iterable[Weakness]:
    if signature.hash in WEAK_DIGESTS:
        yield Weakness(code="weak-digest", message=f"the signature rests on {signature.hash}", where=signature.key.id)


def _chain(signature: Signature) -> Iterable[Weakness]:
    chain = signature.chain
    if chain is None or not chain.certificates:
        return
    where = chain.certificates[0].subject
    if chain.expired and chain.checked_at < chain.certificates[0].not_before:
        text = f"the signer's certificate is not yet valid: {where}"
        yield Weakness(code="signer-not-yet-valid", message=text, where=where)
    elif chain.expired:
        yield Weakness(code="signer-expired", message=f"the signer's certificate is expired: {where}", where=where)
    if chain.revoked:
        yield Weakness(code="signer-revoked", message=f"the signer's certificate is revoked: {where}", where=where)
    if "purpose" in chain.error:
        yield Weakness(code="wrong-purpose", message=f"{where}: {chain.error}", where=where)


def recipient_weaknesses(recipients: Iterable[Recipient]) -> Iterator[Weakness]:
    """Yield the key encapsulations that were never standardised (criteria.md 3.7: letter, with a warning)."""
    counts = Counter(each.algorithm for each in recipients if each.algorithm in PRE_STANDARD_KEMS)
    for algorithm, count in sorted(counts.items()):
        text = f"{count} recipients get the content key by {algorithm}, from before FIPS 203 and not maintained"
        yield Weakness(code=PRE_STANDARD_KEM, message=text, where=algorithm)


def digest_weaknesses(digests: Iterable[DigestCheck]) -> Iterator[Weakness]:
    """Yield the stated digests that are not those of the bytes."""
    for check in digests:
        if check.matches is False:
            yield Weakness(
                code="digest-mismatch", message=f"{check.name} is not the digest of the bytes", where=check.name
            )


def ciphertext_doubts(source: Source, span: Span, name: str) -> tuple[Weakness, ...]:
    """Return why bytes that are said to be AES ciphertext cannot be it, from their first `SAMPLE` bytes.

    CBC, CTR, XTS and AEAD output under a random key has no repeated 16-byte block within 2^20 bytes (chance below
    2^-96) and no bias between byte values. Neither test proves encryption; a failure refutes it.
    """
    data = source.read(span.start, min(span.size, SAMPLE))
    where = f"{name} {span}"
    repeated = repeated_blocks(data)
    if repeated:
        text = f"{repeated} of {len(data) // BLOCK} blocks of 16 bytes repeat: this is not CBC, CTR or XTS ciphertext"
        return (Weakness(code="repeated-blocks", message=text, where=where),)
    if biased(data):
        text = f"byte values are biased (chi-squared {chi_squared(data):.0f}): this is not ciphertext"
        return (Weakness(code="biased-ciphertext", message=text, where=where),)
    return ()


def repeated_blocks(data: bytes) -> int:
    """Return how many aligned 16-byte blocks equal an earlier one."""
    blocks = Counter(data[start : start + BLOCK] for start in range(0, len(data) - BLOCK + 1, BLOCK))
    return blocks.total() - len(blocks)


def biased(data: bytes) -> bool:
    """Return whether byte values are too uneven for ciphertext; 64 random bytes are all ASCII once in 2^64 times."""
    if len(data) >= MIN_BIAS_SAMPLE:
        return chi_squared(data) > MAX_CHI_SQUARED
    return len(data) >= MIN_ASCII_SAMPLE and data.isascii()


def chi_squared(data: bytes) -> float:
    """Return Pearson's statistic of the byte values against the uniform distribution (255 degrees of freedom)."""
    expected = len(data) / 256
    counts = Counter(data)
    return sum((counts[value] - expected) ** 2 for value in range(256)) / expected


def only_fill(source: Source, span: Span) -> bool:
    """Return whether a range holds nothing but one fill byte, 0x00 or 0xFF (erased flash)."""
    first = source.read(span.start, 1)
    if first not in {b"\x00", b"\xff"}:
        return span.size == 0
    for start in range(span.start, span.end, CHUNK):
        data = source.read(start, min(CHUNK, span.end - start))
        if data.count(first) != len(data):
            return False
    return True


def plausible(data: bytes) -> bool:
    """Return whether bytes cannot come from decryption with a wrong key: repeated blocks, bias, or a known magic."""
    return bool(repeated_blocks(data) or known_magic(data)) or biased(data)
