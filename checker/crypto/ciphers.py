"""Decryption: sources that decrypt as they are read, and the ways in which content keys are wrapped.

Keys are bytes in, bytes out. A wrong key or tag is a `DecryptionError`, whose text never shows key material.
"""

from __future__ import annotations

import hmac as std_hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from cryptography.exceptions import InvalidTag, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, x25519
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESCCM, AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.keywrap import (
    InvalidUnwrap,
    aes_key_unwrap,
    aes_key_unwrap_with_padding,
)

from checker.crypto.keyring import DecryptionKey
from checker.errors import DecryptionError, UnsupportedAlgorithmError
from checker.model.artifact import Source, Span

BLOCK: Final = 16  # bytes of an AES block
_BAD_INPUT: Final = (ValueError, TypeError, OverflowError, UnsupportedAlgorithm, InvalidTag, InvalidUnwrap)
_COUNTERS: Final = 1 << 128
_HASHES: Final[Mapping[str, type[hashes.HashAlgorithm]]] = {
    "sha-1": hashes.SHA1,
    "sha-224": hashes.SHA224,
    "sha-256": hashes.SHA256,
    "sha-384": hashes.SHA384,
    "sha-512": hashes.SHA512,
}
MCUBOOT_INFO: Final = b"MCUBoot_ECIES_v1"  # MCUboot, docs/encrypted_images.md


@dataclass(frozen=True, eq=False)
class _Blocks:
    """A decrypting source over whole blocks of `parent[span]`; `decrypt(n, data)` decrypts from block n on.

    Two of them are never equal: the keys inside may differ, and a digest of one is not that of the other.
    """

    parent: Source = field(repr=False)
    span: Span
    size: int
    decrypt: Callable[[int, bytes], bytes] = field(repr=False)
    block: int = BLOCK

    @property
    def name(self) -> str:
        """Return the parent's name."""
        return self.parent.name

    def read(self, offset: int, length: int) -> bytes:
        """Return `length` decrypted bytes from `offset`, fewer only at the end."""
        end = min(offset + max(length, 0), self.size)
        if offset < 0 or offset >= end:
            return b""
        first = offset // self.block
        last = min(-(-end // self.block) * self.block, self.span.size)
        start = first * self.block
        data = self.parent.read(self.span.start + start, last - start)
        plain = self.decrypt(first, data)
        return plain[offset - start : end - start]


def aes_ctr_source(parent: Source, span: Span, key: bytes, counter: bytes) -> Source:
    """Return the plaintext of AES-CTR (SP 800-38A 6.5) as a source; `counter` is the first block, 16 bytes.

    Raises:
        DecryptionError: the key or counter has a wrong size.
    """
    _sizes(key, counter, BLOCK)
    start = int.from_bytes(counter, "big")

    def decrypt(first: int, data: bytes) -> bytes:
        block = ((start + first) % _COUNTERS).to_bytes(BLOCK, "big")
        return aes_ctr(key, block, data)

    return _Blocks(parent, span, span.size, decrypt)


def aes_cbc_source(parent: Source, span: Span, key: bytes, iv: bytes, *, padded: bool = True) -> Source:
    """Return the plaintext of AES-CBC (SP 800-38A 6.2) as a source, without its PKCS#7 padding unless `padded` is off.

    Raises:
        DecryptionError: the key, IV or ciphertext has a wrong size, or the padding is wrong (most likely a wrong key).
    """
    _sizes(key, iv, BLOCK)
    if span.size % BLOCK or (padded and not span.size):
        raise DecryptionError(f"AES-CBC ciphertext is made of blocks of 16 bytes, here are {span.size} bytes")

    def decrypt(first: int, data: bytes) -> bytes:
        before = iv if first == 0 else parent.read(span.start + (first - 1) * BLOCK, BLOCK)
        if len(before) != BLOCK or len(data) % BLOCK:
            raise DecryptionError(f"{parent.name} ends inside the ciphertext")
        running = Cipher(algorithms.AES(key), modes.CBC(before)).decryptor()
        return running.update(data) + running.finalize()

    whole = _Blocks(parent, span, span.size, decrypt)
    if not padded:
        return whole
    size = span.size - _padding(whole.read(span.size - BLOCK, BLOCK))
    return _Blocks(parent, span, size, decrypt)


def _padding(last: bytes) -> int:
    """Return the number of padding bytes (RFC 5652 6.3)."""
    count = last[-1] if last else 0
    if not 1 <= count <= BLOCK or last[-count:] != bytes([count]) * count:
        raise DecryptionError("the padding is wrong: most likely another key was used")
    return count


def aes_xts_source(parent: Source, span: Span, key: bytes, sector: int, tweak: Callable[[int], bytes]) -> Source:
    """Return the plaintext of AES-XTS (IEEE 1619) as a source.

    `sector` is the data unit's size in bytes, `tweak` gives the 16-byte tweak of a data unit by its number from 0.

    Raises:
        DecryptionError: the key does not have 32 or 64 bytes, or the ciphertext is not made of whole blocks.
    """
    if len(key) not in {32, 64} or sector % BLOCK or span.size % BLOCK:
        raise DecryptionError("AES-XTS needs a key of 32 or 64 bytes and whole blocks of 16 bytes")

    def decrypt(first: int, data: bytes) -> bytes:
        units = range(0, len(data), sector)
        return b"".join(aes_xts(key, tweak(first + at // sector), data[at : at + sector]) for at in units)

    return _Blocks(parent, span, span.size, decrypt, sector)


def aes_ctr(key: bytes, counter: bytes, data: bytes) -> bytes:
    """Return AES-CTR of `data`, which both encrypts and decrypts; `counter` is the first counter block, 16 bytes.

    Raises:
        DecryptionError: the key or counter has a wrong size.
    """
    return _attempt("AES-CTR", lambda: Cipher(algorithms.AES(key), modes.CTR(counter)).decryptor().update(data))


def aes_cbc(key: bytes, iv: bytes, data: bytes, *, padded: bool = True) -> bytes:
    """Return the plaintext of AES-CBC, without its PKCS#7 padding unless `padded` is off.

    Raises:
        DecryptionError: a size or the padding is wrong.
    """
    if len(data) % BLOCK or (padded and not data):
        raise DecryptionError(f"AES-CBC ciphertext is made of blocks of 16 bytes, here are {len(data)} bytes")
    plain = _attempt("AES-CBC", lambda: Cipher(algorithms.AES(key), modes.CBC(iv)).decryptor().update(data))
    return plain[: -_padding(plain[-BLOCK:])] if padded else plain


def aes_ecb(key: bytes, data: bytes) -> bytes:
    """Return the plaintext of AES in ECB mode, the raw block cipher that other modes are built from.

    Raises:
        DecryptionError: a size is wrong.
    """
    return _attempt("AES", lambda: _finish(Cipher(algorithms.AES(key), modes.ECB()), data))  # noqa: S305 - a building block


def aes_xts(key: bytes, tweak: bytes, data: bytes) -> bytes:
    """Return the plaintext of one AES-XTS data unit; `key` holds both halves, `tweak` has 16 bytes.

    Raises:
        DecryptionError: a size is wrong.
    """
    return _attempt("AES-XTS", lambda: _finish(Cipher(algorithms.AES(key), modes.XTS(tweak)), data))


def _finish(cipher: Any, data: bytes) -> bytes:  # noqa: ANN401 - Cipher is generic over its mode
    running = cipher.decryptor()
    return bytes(running.update(data) + running.finalize())


def open_aead(
    algorithm: str, key: bytes, nonce: bytes, sealed: bytes, aad: bytes = b"", *, tag_size: int = 16
) -> bytes:
    """Return the plaintext of ciphertext followed by its tag.

    `algorithm` is `aes-gcm`, `aes-ccm` or `chacha20-poly1305`, or the table's id with the key size in it.

    Raises:
        DecryptionError: the tag does not verify, or a size is wrong.
        UnsupportedAlgorithmError: another algorithm.
    """
    mode = algorithm.rpartition("-")[2]
    if mode == "gcm":
        return _attempt("AES-GCM", lambda: _gcm(key, nonce, sealed, aad, tag_size))
    if mode == "ccm":
        return _attempt("AES-CCM", lambda: AESCCM(key, tag_size).decrypt(nonce, sealed, aad))
    if algorithm == "chacha20-poly1305":
        return _attempt("ChaCha20-Poly1305", lambda: ChaCha20Poly1305(key).decrypt(nonce, sealed, aad))
    raise UnsupportedAlgorithmError(f"{algorithm!r} is no authenticated cipher known here")


def _gcm(key: bytes, nonce: bytes, sealed: bytes, aad: bytes, tag_size: int) -> bytes:
    if tag_size == BLOCK:
        return AESGCM(key).decrypt(nonce, sealed, aad)
    tag = sealed[len(sealed) - tag_size :]
    running = Cipher(algorithms.AES(key), modes.GCM(nonce, tag, min_tag_length=tag_size)).decryptor()
    running.authenticate_additional_data(aad)
    return running.update(sealed[: len(sealed) - tag_size]) + running.finalize()


def unwrap_aes_kw(key: bytes, wrapped: bytes) -> bytes:
    """Return the key inside AES key wrap (RFC 3394, SP 800-38F KW).

    Raises:
        DecryptionError: the integrity check fails, or a size is wrong.
    """
    return _attempt("AES key wrap", lambda: aes_key_unwrap(key, wrapped))


def unwrap_aes_kwp(key: bytes, wrapped: bytes) -> bytes:
    """Return the key inside AES key wrap with padding (RFC 5649, SP 800-38F KWP).

    Raises:
        DecryptionError: the integrity check fails, or a size is wrong.
    """
    return _attempt("AES key wrap with padding", lambda: aes_key_unwrap_with_padding(key, wrapped))


def unwrap_rsa_oaep(
    key: DecryptionKey, wrapped: bytes, hash_name: str = "sha-256", mgf_hash: str = "", label: bytes = b""
) -> bytes:
    """Return the content inside RSAES-OAEP (RFC 8017 7.1); MGF1 uses `hash_name` unless `mgf_hash` says otherwise.

    Raises:
        DecryptionError: it was not made for this key, or the key is not RSA.
        UnsupportedAlgorithmError: the hash is not known here.
    """
    private = _of_kind(key, rsa.RSAPrivateKey, "RSA")
    main, mask = _hash(hash_name), _hash(mgf_hash or hash_name)
    scheme = padding.OAEP(padding.MGF1(mask), main, label or None)
    return _attempt("RSA-OAEP", lambda: private.decrypt(wrapped, scheme))


def unwrap_rsa_pkcs1v15(key: DecryptionKey, wrapped: bytes) -> bytes:
    """Return the content inside RSAES-PKCS1-v1_5 (RFC 8017 7.2).

    The library answers a wrong padding with random bytes (implicit rejection), so success alone proves nothing.

    Raises:
        DecryptionError: the ciphertext's size does not fit, or the key is not RSA.
    """
    private = _of_kind(key, rsa.RSAPrivateKey, "RSA")
    return _attempt("RSA PKCS #1 v1.5", lambda: private.decrypt(wrapped, padding.PKCS1v15()))


def ecies_p256(
    private: DecryptionKey, ephemeral_public: bytes, tag: bytes, ciphertext: bytes, *, info: bytes = MCUBOOT_INFO
) -> bytes:
    """Return the key inside MCUboot's ECIES-P256: ECDH, HKDF-SHA256, HMAC-SHA256, AES-CTR (docs/encrypted_images.md).

    `ephemeral_public` is the uncompressed point, 65 bytes. The AES key has the size of the ciphertext, 16 or 32 bytes.

    Raises:
        DecryptionError: the tag does not verify, or a size or key kind does not fit.
    """
    mine = _of_kind(private, ec.EllipticCurvePrivateKey, "P-256")
    shared = _attempt("ECDH", lambda: _ecdh(mine, ephemeral_public))
    return _ecies(shared, tag, ciphertext, info, hashes.SHA256())


def ecies_x25519(
    private: DecryptionKey,
    ephemeral_public: bytes,
    tag: bytes,
    ciphertext: bytes,
    *,
    info: bytes = MCUBOOT_INFO,
    hash_name: str = "sha-256",
) -> bytes:
    """Return the key inside MCUboot's ECIES-X25519, with SHA-256 or SHA-512 inside (docs/encrypted_images.md).

    Raises:
        DecryptionError: the tag does not verify, or a size or key kind does not fit.
        UnsupportedAlgorithmError: the hash is not known here.
    """
    mine = _of_kind(private, x25519.X25519PrivateKey, "X25519")
    digest = _hash(hash_name)
    shared = _attempt("X25519", lambda: mine.exchange(x25519.X25519PublicKey.from_public_bytes(ephemeral_public)))
    return _ecies(shared, tag, ciphertext, info, digest)


def _ecdh(private: ec.EllipticCurvePrivateKey, point: bytes) -> bytes:
    theirs = ec.EllipticCurvePublicKey.from_encoded_point(private.curve, point)
    return private.exchange(ec.ECDH(), theirs)


def _ecies(shared: bytes, tag: bytes, ciphertext: bytes, info: bytes, digest: hashes.HashAlgorithm) -> bytes:
    size = len(ciphertext)
    if size not in {16, 32}:
        raise DecryptionError(f"an AES key of 16 or 32 bytes was expected, {size} bytes are wrapped")
    derived = hkdf(shared, size + digest.digest_size, info, digest)
    expected = std_hmac.digest(derived[size:], ciphertext, digest.name)
    if not std_hmac.compare_digest(expected, tag):
        raise DecryptionError("the ECIES tag does not verify: wrapped for another key, or damaged")
    return aes_ctr(derived[:size], bytes(BLOCK), ciphertext)


def hkdf(secret: bytes, length: int, info: bytes, digest: hashes.HashAlgorithm | str, salt: bytes = b"") -> bytes:
    """Return `length` bytes of HKDF (RFC 5869); `digest` is an id of the algorithm table.

    Raises:
        UnsupportedAlgorithmError: the hash is not known here.
    """
    algorithm = _hash(digest) if isinstance(digest, str) else digest
    return HKDF(algorithm=algorithm, length=length, salt=salt or None, info=info).derive(secret)


def _hash(name: str) -> hashes.HashAlgorithm:
    if name not in _HASHES:
        raise UnsupportedAlgorithmError(f"key transport with {name!r} is not known here")
    return _HASHES[name]()


def _of_kind(key: DecryptionKey, kind: type, word: str) -> Any:  # noqa: ANN401 - one of cryptography's key types
    if not isinstance(key.private, kind):
        raise DecryptionError(f"{key.name} is a key of kind {key.kind!r}; a private {word} key is needed")
    return key.private


def _sizes(key: bytes, block: bytes, size: int) -> None:
    if len(key) not in {16, 24, 32} or len(block) != size:
        raise DecryptionError("AES needs a key of 16, 24 or 32 bytes and an IV or counter of 16")


def _attempt(what: str, work: Callable[[], bytes]) -> bytes:
    try:
        return work()
    except InvalidTag:
        raise DecryptionError(f"{what}: the tag does not verify: another key, or damaged") from None
    except _BAD_INPUT:
        # The cause is cut off on purpose: a library's text could quote key material.
        raise DecryptionError(f"{what}: decryption failed: another key, a wrong size, or damaged") from None
