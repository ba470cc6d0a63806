"""Encrypted CMS messages (RFC 5652 6, RFC 5083): who can open them, and the content for who can."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from asn1crypto import core
from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers import Cipher, modes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.kdf.x963kdf import X963KDF

from checker.crypto import _asn1, ciphers
from checker.crypto import _cms_structures as asn
from checker.crypto.algorithms import algorithm
from checker.crypto.kem import composite, ml_kem
from checker.crypto.kem import keys as kem_keys
from checker.crypto.keyring import DecryptionKey, KeyRing
from checker.errors import DecryptionError, FormatError, UnsupportedAlgorithmError
from checker.model.artifact import Encryption, KeyFacts, Recipient

# One decapsulation in pure Python takes about 10 ms for ML-KEM and up to 300 ms for both variants of FrodoKEM.
_KEM_WORK: Final = {
    **dict.fromkeys((*ml_kem.SETS, *composite.SETS), 1),
    "frodokem-640": 10,
    "frodokem-976": 20,
    "frodokem-1344": 30,
}
MAX_KEM_WORK: Final = 1_000  # of one message: some ten seconds
MAX_NAMED: Final = 64  # recipients that are tried with the other given keys; one device has few keys, a fleet has many


@dataclass(frozen=True, kw_only=True)
class _Wrapped:
    """One recipient: how the content key is wrapped for it."""

    kind: str  # ktri kari kekri pwri ori kemri
    facts: Recipient
    oid: str = ""
    params: bytes = field(default=b"", repr=False)
    key: bytes = field(default=b"", repr=False)
    point: bytes = field(default=b"", repr=False)
    ukm: bytes | None = field(default=None, repr=False)
    wrap: str = ""  # the key wrap's object identifier, where it stands beside another one


@dataclass(frozen=True, kw_only=True)
class Opened:
    """What decryption gave: the content, and the facts with what is now known of recipients and content key."""

    content: bytes = field(repr=False)
    encryption: Encryption
    recipients: tuple[Recipient, ...]
    key: KeyFacts


@dataclass(frozen=True)
class EnvelopedMessage:
    """A parsed EnvelopedData or AuthEnvelopedData. `ciphertext` is None where it is stored elsewhere."""

    ciphertext: bytes | None = field(repr=False)
    encryption: Encryption
    cipher: str  # an id of the algorithm table, or a dotted object identifier
    nonce: bytes = field(repr=False)
    mac: bytes = field(repr=False)
    aad: bytes = field(repr=False)
    wrapped: tuple[_Wrapped, ...] = field(repr=False)

    @classmethod
    def parse(cls, data: bytes) -> EnvelopedMessage:
        """Return the message of BER or DER bytes; what follows the outermost structure is ignored.

        Raises:
            FormatError: it is not CMS EnvelopedData or AuthEnvelopedData, or it is damaged.
            LimitError: it has more recipients than any real message.
        """
        kind, content = asn.content_info(data, frozenset({asn.ENVELOPED, asn.AUTH_ENVELOPED}), "CMS EnvelopedData")
        with _asn1.guarded("CMS EnvelopedData"):
            encrypted = content["encrypted"]
            raw = encrypted["content"]
            ciphertext = None if isinstance(raw, core.Void) else bytes(raw.native)
            mac = bytes(content["mac"].native) if kind == asn.AUTH_ENVELOPED else b""
            has_attributes = kind == asn.AUTH_ENVELOPED and not isinstance(content["attributes"], core.Void)
            aad = asn.as_set(content["attributes"]) if has_attributes else b""
            infos = asn.limited(content["recipients"], asn.MAX_RECIPIENTS, "recipients")
            wrapped = tuple(each for info in infos for each in _recipient(info))
            oid, nonce = _cipher(encrypted["algorithm"])
        cipher = asn.table_id(oid, "cipher")
        return cls(ciphertext, _encryption(cipher, nonce, mac), cipher, nonce, mac, aad, wrapped)

    @property
    def recipients(self) -> tuple[Recipient, ...]:
        """Return every recipient as it stands in the message, before anything is unwrapped."""
        return tuple(item.facts for item in self.wrapped)

    def decrypt(self, ring: KeyRing) -> bytes:
        """Return the content, decrypted with a key of the ring.

        Raises:
            DecryptionError: no key of the ring opens it.
            UnsupportedAlgorithmError: the cipher is not computed here.
        """
        return self.open(ring).content

    def open(self, ring: KeyRing, ciphertext: bytes | None = None) -> Opened:
        """Return the content and what was learnt on the way; `ciphertext` is what a detached message leaves out.

        Raises:
            DecryptionError: no key of the ring opens it, or the ciphertext is stored elsewhere and was not given.
            UnsupportedAlgorithmError: the cipher is not computed here.
        """
        sealed = self.ciphertext if self.ciphertext is not None else ciphertext
        if sealed is None:
            raise DecryptionError("the ciphertext is not in the message")
        reasons, work = [], 0
        for index, item in enumerate(self.wrapped):
            for key in ring.decryption:
                work += _KEM_WORK.get(key.kind, 0) if key.kind == item.facts.algorithm else 0
                if work > MAX_KEM_WORK:
                    reasons.append(f"it has more KEM recipients than are tried, MAX_KEM_WORK ({MAX_KEM_WORK})")
                    continue
                try:
                    secret = _unwrap(item, key, self.cipher)
                    content = self._decrypt(secret, sealed)
                    others = self._also(index, secret, [other for other in ring.decryption if other is not key])
                    return self._opened({**others, index: key}, key, secret, content)
                except DecryptionError as error:
                    reasons.append(str(error))
        detail = f": {reasons[-1]}" if reasons else ""
        raise DecryptionError(
            f"none of {len(ring.decryption)} given keys opens any of {len(self.wrapped)} recipients{detail}"
        )

    def _also(self, index: int, secret: bytes, keys: Sequence[DecryptionKey]) -> dict[int, DecryptionKey]:
        """Return the other recipients that given keys open to the same content key: each is then known by its key."""
        found: dict[int, DecryptionKey] = {}
        work = 0
        for place, item in enumerate(self.wrapped[:MAX_NAMED]):
            for key in keys if place != index else ():
                work += _KEM_WORK.get(key.kind, 0) if key.kind == item.facts.algorithm else 0
                if work <= MAX_KEM_WORK and place not in found and _gives(item, key, self.cipher, secret):
                    found[place] = key
        return found

    def _opened(
        self, openers: Mapping[int, DecryptionKey], key: DecryptionKey, secret: bytes, content: bytes
    ) -> Opened:
        facts = list(self.recipients)
        for index, opener in openers.items():
            facts[index] = replace(facts[index], unwrapped=True, key=opener.facts)
        aead = bool(self.mac)
        encryption = replace(
            self.encryption,
            content_key_digest=hashlib.sha256(secret).hexdigest(),
            decrypted=True if aead else None,  # the padding alone is no proof; the caller compares a digest
        )
        return Opened(content=content, encryption=encryption, recipients=tuple(facts), key=key.facts)

    def _decrypt(self, secret: bytes, sealed: bytes) -> bytes:
        family, _, rest = self.cipher.partition("-")
        size, _, mode = rest.partition("-") if family == "aes" else ("", "", "")
        if size and len(secret) * 8 != int(size):
            raise DecryptionError("the unwrapped key does not fit the cipher: most likely another key was used")
        if mode == "cbc":
            return ciphers.aes_cbc(secret, self.nonce, sealed)
        if mode in {"gcm", "ccm"} and self.mac:
            return ciphers.open_aead(
                f"aes-{mode}", secret, self.nonce, sealed + self.mac, self.aad, tag_size=len(self.mac)
            )
        if self.cipher == "3des-cbc":
            return _triple_des(secret, self.nonce, sealed)
        raise UnsupportedAlgorithmError(f"content encryption with {self.cipher} is not computed here")


def _cipher(identifier: Any) -> tuple[str, bytes]:  # noqa: ANN401 - asn1crypto is untyped
    oid, params = str(identifier["algorithm"].dotted), _asn1.parameters(identifier)
    if not params:
        return oid, b""
    if params[0] == 0x04:  # noqa: PLR2004 - OCTET STRING: an IV
        return oid, bytes(core.OctetString.load(params).native)
    mode = asn.table_id(oid, "cipher").rpartition("-")[2]
    return oid, bytes(asn.GcmParameters.load(params)["nonce"].native) if mode in {"gcm", "ccm"} else b""


def _encryption(cipher: str, nonce: bytes, mac: bytes) -> Encryption:
    name, _, mode = cipher.rpartition("-")
    known = bool(name)
    return Encryption(
        encrypted=True,
        cipher=name.partition("-")[0] if known else cipher,
        mode=mode if known else "",
        key_bits=algorithm(cipher).bits if known else None,
        nonce=nonce.hex(),
        tag_bits=len(mac) * 8 or None,
        authenticated=bool(mac) or None,
    )


def _triple_des(secret: bytes, nonce: bytes, sealed: bytes) -> bytes:
    try:
        running = Cipher(TripleDES(secret), modes.CBC(nonce)).decryptor()
        plain = running.update(sealed) + running.finalize()
    except ValueError:
        raise DecryptionError("3DES: decryption failed: another key, a wrong size, or damaged") from None
    count = plain[-1] if plain else 0
    if not 1 <= count <= 8 or plain[-count:] != bytes([count]) * count:  # noqa: PLR2004 - the block size in bytes
        raise DecryptionError("the padding is wrong: most likely another key was used")
    return plain[:-count]


def _recipient(info: Any) -> tuple[_Wrapped, ...]:  # noqa: ANN401 - asn1crypto is untyped
    kind, chosen = info.name, info.chosen
    if kind == "ori":
        return (_other(chosen),)
    identifier = chosen["algorithm"]
    oid, params = str(identifier["algorithm"].dotted), _asn1.parameters(identifier)
    if kind == "kari":
        return _agreements(chosen, oid, params)
    key = bytes(chosen["key"].native)
    name = "password" if kind == "pwri" else asn.table_id(oid, "key-transport")
    rid = chosen["rid"] if kind == "ktri" else None
    label = _rid_text(rid) if rid is not None else ""
    if kind == "kekri":
        label = bytes(chosen["kekid"]["id"].native).hex()
    facts = Recipient(
        algorithm=name,
        key=KeyFacts(id=label),
        wrapped=hashlib.sha256(key).hexdigest(),
        wrapping_bits=_wrap_bits(oid),
    )
    return (_Wrapped(kind=kind, facts=facts, oid=oid, params=params, key=key),)


def _other(chosen: Any) -> _Wrapped:  # noqa: ANN401 - asn1crypto is untyped
    """Return an other-recipient: one by key encapsulation (RFC 9629), or one of which only the kind is known."""
    oid = str(chosen["type"].dotted)
    if oid != asn.KEM_RECIPIENT:
        return _Wrapped(kind="ori", facts=Recipient(algorithm=oid))
    kem = chosen["value"].parse(asn.KemRecipient)
    ciphertext, key = bytes(kem["ciphertext"].native), bytes(kem["key"].native)
    length, ukm = int(kem["kek_length"].native), kem["ukm"]
    facts = Recipient(
        algorithm=_kem_name(str(kem["kem"]["algorithm"].dotted), len(ciphertext)),
        key=KeyFacts(id=_rid_text(kem["rid"])),
        ephemeral=hashlib.sha256(ciphertext).hexdigest(),
        wrapped=hashlib.sha256(key).hexdigest(),
        wrapping_bits=length * 8,
    )
    info = {"wrap": kem["wrap"], "kek_length": length}
    if not isinstance(ukm, core.Void):
        info["ukm"] = core.OctetString(bytes(ukm.native))
    return _Wrapped(
        kind="kemri",
        facts=facts,
        oid=str(kem["kdf"]["algorithm"].dotted),
        params=bytes(asn.KemOtherInfo(info).dump()),
        key=key,
        point=ciphertext,
        wrap=str(kem["wrap"]["algorithm"].dotted),
    )


def _kem_name(oid: str, size: int) -> str:
    """Return the table's id of a KEM, or the identifier itself where the ciphertext cannot be one of that KEM."""
    name = asn.table_id(oid, "key-transport")
    sizes = kem_keys.ciphertext_sizes(name)
    return oid if sizes and size not in sizes else name


def _rid_text(rid: Any) -> str:  # noqa: ANN401 - asn1crypto is untyped
    if rid.name == "issuer_and_serial_number":
        digest = hashlib.sha256(bytes(rid.chosen["issuer"].dump())).hexdigest()[:16]
        return f"issuer {digest} serial {int(rid.chosen['serial_number'].native):x}"
    chosen = rid.chosen["id"] if rid.name == "key_id" else rid.chosen
    return bytes(chosen.native).hex()


def _wrap_bits(oid: str) -> int | None:
    last = oid.rpartition(".")[2]
    sizes = {"5": 128, "8": 128, "25": 192, "28": 192, "45": 256, "48": 256}
    return sizes.get(last) if oid.startswith("2.16.840.1.101.3.4.1.") else None


def _agreements(chosen: Any, oid: str, params: bytes) -> tuple[_Wrapped, ...]:  # noqa: ANN401 - asn1crypto is untyped
    originator, ukm = chosen["originator"], chosen["ukm"]
    point = b""
    if originator.name == "originator_key":
        point = bytes(originator.chosen["key"].contents)[1:]
    wrap_oid = str(_asn1.RawAlgorithm.load(params)["algorithm"].dotted) if params else ""
    made = []
    for each in asn.limited(chosen["keys"], asn.MAX_RECIPIENTS, "recipients"):
        key = bytes(each["key"].native)
        facts = Recipient(
            algorithm=asn.table_id(oid, "key-transport"),
            key=KeyFacts(id=_rid_text(each["rid"])),
            ephemeral=hashlib.sha256(point).hexdigest() if point else "",
            wrapped=hashlib.sha256(key).hexdigest(),
            wrapping_bits=_wrap_bits(wrap_oid),
        )
        made.append(
            _Wrapped(
                kind="kari",
                facts=facts,
                oid=oid,
                params=params,
                key=key,
                point=point,
                ukm=None if isinstance(ukm, core.Void) else bytes(ukm.native),
            )
        )
    return tuple(made)


def _unwrap(item: _Wrapped, key: DecryptionKey, cipher: str) -> bytes:
    """Return the content key, or raise `DecryptionError` where this key does not open this recipient."""
    try:
        if item.kind == "ktri" and key.kind == "rsa":
            return _transported(item, key)
        if item.kind == "kari" and key.kind == "ec":
            return _agreed(item, key)
        if item.kind == "kemri" and key.kind == item.facts.algorithm:
            return _decapsulated(item, key)
        if item.kind == "kekri" and key.kind == "secret":
            unwrap = ciphers.unwrap_aes_kwp if item.facts.algorithm == "aes-kwp" else ciphers.unwrap_aes_kw
            return unwrap(key.secret, item.key)
    except (FormatError, UnsupportedAlgorithmError) as error:
        raise DecryptionError(f"{item.facts.algorithm}: {error}") from None
    raise DecryptionError(f"a key of kind {key.kind!r} does not open a {item.facts.algorithm} recipient of {cipher}")


def _gives(item: _Wrapped, key: DecryptionKey, cipher: str, secret: bytes) -> bool:
    """Return whether a key opens a recipient to this very content key."""
    try:
        return hmac.compare_digest(_unwrap(item, key, cipher), secret)
    except DecryptionError:
        return False


def _transported(item: _Wrapped, key: DecryptionKey) -> bytes:
    if item.facts.algorithm != "rsa-oaep":
        return ciphers.unwrap_rsa_pkcs1v15(key, item.key)
    with _asn1.guarded("RSAES-OAEP parameters"):
        params = asn.OaepParameters.load(item.params) if item.params else asn.OaepParameters()
        hash_name = _nested_hash(params["hash"])
        mask = params["mask"]
        mask_params = b"" if isinstance(mask, core.Void) else _asn1.parameters(mask)
        mgf_hash = _nested_hash(_asn1.RawAlgorithm.load(mask_params)) if mask_params else "sha-1"
        label = params["label"]
        raw = b"" if isinstance(label, core.Void) else _asn1.parameters(label)
        text = bytes(core.OctetString.load(raw).native) if raw else b""
    return ciphers.unwrap_rsa_oaep(key, item.key, hash_name, mgf_hash, text)


# RFC 8619: the hash of HKDF.
_HKDF_HASHES: Final[Mapping[str, type[hashes.HashAlgorithm]]] = {
    "1.2.840.113549.1.9.16.3.28": hashes.SHA256,
    "1.2.840.113549.1.9.16.3.29": hashes.SHA384,
    "1.2.840.113549.1.9.16.3.30": hashes.SHA512,
}
_MAX_KEK: Final = 32  # bytes of an AES key


def _decapsulated(item: _Wrapped, key: DecryptionKey) -> bytes:
    """Return the content key of a KEM recipient (RFC 9629 section 2): decapsulate, derive, unwrap."""
    size = (item.facts.wrapping_bits or 0) // 8
    if item.oid not in _HKDF_HASHES or not 0 < size <= _MAX_KEK:
        raise UnsupportedAlgorithmError("this key derivation of a KEM recipient is not computed here")
    unwrap = {"aes-kw": ciphers.unwrap_aes_kw, "aes-kwp": ciphers.unwrap_aes_kwp}.get(
        asn.table_id(item.wrap, "key-transport")
    )
    if unwrap is None or _wrap_bits(item.wrap) != size * 8:
        raise UnsupportedAlgorithmError("this key wrap of a KEM recipient is not computed here")
    reason = DecryptionError(f"{key.kind}: no secret")
    for secret in kem_keys.secrets(key.kind, key.secret, item.point):
        kek = HKDF(algorithm=_HKDF_HASHES[item.oid](), length=size, salt=None, info=item.params).derive(secret)
        try:
            return unwrap(kek, item.key)
        except DecryptionError as error:
            reason = error
    raise reason


def _nested_hash(identifier: Any) -> str:  # noqa: ANN401 - asn1crypto is untyped
    return "sha-1" if isinstance(identifier, core.Void) else asn.hash_id(identifier)


# RFC 5753 7.1.4: the hash of the X9.63 key derivation; the same for standard and cofactor ECDH.
_KDF_HASHES: Final[Mapping[str, type[hashes.HashAlgorithm]]] = {
    "1.3.133.16.840.63.0.2": hashes.SHA1,
    "1.3.133.16.840.63.0.3": hashes.SHA1,
    "1.3.132.1.11.0": hashes.SHA224,
    "1.3.132.1.14.0": hashes.SHA224,
    "1.3.132.1.11.1": hashes.SHA256,
    "1.3.132.1.14.1": hashes.SHA256,
    "1.3.132.1.11.2": hashes.SHA384,
    "1.3.132.1.14.2": hashes.SHA384,
    "1.3.132.1.11.3": hashes.SHA512,
    "1.3.132.1.14.3": hashes.SHA512,
}


def _agreed(item: _Wrapped, key: DecryptionKey) -> bytes:
    bits = item.facts.wrapping_bits
    if item.oid not in _KDF_HASHES or bits is None or not item.point:
        raise UnsupportedAlgorithmError("this key agreement is not computed here")
    private: ec.EllipticCurvePrivateKey = key.private
    with _asn1.guarded("originator key"):
        theirs = ec.EllipticCurvePublicKey.from_encoded_point(private.curve, item.point)
        shared = private.exchange(ec.ECDH(), theirs)
        info = asn.SharedInfo(
            {
                "key_info": _asn1.RawAlgorithm.load(item.params),
                "bits": core.OctetString(bits.to_bytes(4, "big")),
                **({} if item.ukm is None else {"ukm": core.OctetString(item.ukm)}),
            }
        ).dump()
    wrapping = X963KDF(algorithm=_KDF_HASHES[item.oid](), length=bits // 8, sharedinfo=info).derive(shared)
    return ciphers.unwrap_aes_kw(wrapping, item.key)
