"""Cryptographic Message Syntax (RFC 5652), BER and DER: verify SignedData, open EnvelopedData and AuthEnvelopedData.

asn1crypto splits the structures, cryptography computes. Everything is parsed eagerly in `parse`, so that damaged input
fails there, as a `FormatError`, and nowhere later.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from asn1crypto import cms, core

from checker.crypto import _asn1, composite
from checker.crypto import _cms_structures as asn
from checker.crypto._cms_envelope import EnvelopedMessage, Opened
from checker.crypto._cms_structures import looks_like_cms, looks_like_envelope
from checker.crypto.algorithms import hash_facts
from checker.crypto.certificates import Certificate, parse_certificate, rfc3339, scheme_of
from checker.crypto.chains import assess
from checker.crypto.keyring import KeyRing
from checker.crypto.keys import PublicKey
from checker.crypto.schemes import INNER_HASH, Scheme
from checker.crypto.signatures import (
    Prehash,
    needs_message,
    prehash,
    verify_digest,
    verify_message,
    verify_prehashed,
    with_one_time,
)
from checker.errors import FormatError, InvalidSignatureError, UnsupportedAlgorithmError
from checker.io import digests
from checker.io.limits import MAX_CERTIFICATES
from checker.model.artifact import Signature
from checker.model.terms import Outcome

MAX_PREHASHES = 16  # of one message; each is a pass over the content, and real messages need one to three
__all__ = ["EnvelopedMessage", "Opened", "SignedMessage", "looks_like_cms", "looks_like_envelope"]


@dataclass(frozen=True, kw_only=True)
class _Signer:
    issuer: bytes = b""
    serial: int | None = None
    key_id: bytes = b""
    digest: str  # an id of the algorithm table, or a dotted object identifier that it does not have
    scheme: bytes = field(repr=False)  # DER of the AlgorithmIdentifier
    signature: bytes = field(repr=False)
    attributes: bytes | None = field(repr=False, default=None)  # as SET OF, ready to be verified
    content_types: tuple[str, ...] = ()
    digests: tuple[bytes, ...] = ()
    signing_times: tuple[str, ...] = ()

    @property
    def signing_time(self) -> str:
        return self.signing_times[0] if len(self.signing_times) == 1 else ""

    def names(self, certificate: Certificate) -> bool:
        """Return whether the signer identifier names this certificate (RFC 5652 5.3)."""
        if self.serial is None:
            return bool(self.key_id) and _key_ids(certificate.key, certificate.key_id).count(self.key_id) > 0
        return (certificate.issuer_der, certificate.serial) == (self.issuer, self.serial)

    @property
    def title(self) -> str:
        """Return the identifier as text, for a signer whose certificate is nowhere."""
        return f"serial {self.serial:x}" if self.serial is not None else f"key id {self.key_id.hex()}"


def _key_ids(key: PublicKey, stated: bytes = b"") -> tuple[bytes, ...]:
    # RFC 5280 4.2.1.2 method 1: SHA-1 of the bit string's content. A label, not a protection.
    return tuple(item for item in (stated, hashlib.sha1(key.raw, usedforsecurity=False).digest()) if item)


@dataclass(frozen=True)
class SignedMessage:
    """A parsed SignedData. `content` is what is signed where it is attached, else None."""

    content: bytes | None = field(repr=False)
    content_type: str
    digest_algorithms: tuple[str, ...]
    certificates: tuple[Certificate, ...]
    signers: tuple[_Signer, ...] = field(repr=False)
    notes: tuple[str, ...] = ()

    @classmethod
    def parse(cls, data: bytes) -> SignedMessage:
        """Return the message of BER or DER bytes; what follows the outermost structure is ignored.

        Raises:
            FormatError: it is not CMS SignedData, or it is damaged.
            LimitError: it has more signers or certificates than any real message.
        """
        _, signed = asn.content_info(data, frozenset({asn.SIGNED}), "CMS SignedData")
        with _asn1.guarded("CMS SignedData"):
            encapsulated = signed["encapsulated"]
            content = _attached(encapsulated)
            content_type = str(encapsulated["type"].dotted)
            stated = tuple(asn.hash_id(item) for item in signed["digest_algorithms"])
            raw = [bytes(item.chosen.dump()) for item in _certificates(signed) if item.name == "certificate"]
            signers = tuple(_signer(item) for item in asn.limited(signed["signers"], asn.MAX_SIGNERS, "signers"))
        certificates, notes = _parse_each(raw)
        return cls(content, content_type, stated, certificates, signers, notes)

    @property
    def detached(self) -> bool:
        """Return whether the content has to come from elsewhere."""
        return self.content is None

    @property
    def signer_digests(self) -> tuple[str, ...]:
        """Return the digests over the content that `verify` will ask for, each once (ids of the algorithm table)."""
        return tuple(dict.fromkeys(signer.digest for signer in self.signers))

    def prehashes(self, ring: KeyRing) -> tuple[Prehash, ...]:
        """Return the digests over the content by which signers without signed attributes are verified, each once.

        They are those of quantum-resistant schemes that take the message, so that no content has to be held for them.
        """
        job = _Job(self, None, None, ring, "", "")
        found = (each for signer in self.signers for each in job.prehashes(signer))
        return tuple(dict.fromkeys(itertools.islice(found, MAX_PREHASHES)))

    def verify(
        self,
        content_digest: Callable[[str], bytes] | None,
        ring: KeyRing,
        as_of: str,
        purpose: str = "code-signing",
        *,
        content: Callable[[], bytes] | None = None,
        prehashed: Mapping[Prehash, bytes] = MappingProxyType({}),
    ) -> tuple[Signature, ...]:
        """Return one `Signature` for each signer; none for a message without signers.

        `content_digest` gives the digest of the content by hash id (it may raise `UnsupportedAlgorithmError`); None
        stands for the attached content. `content` gives the content itself, which only signers without signed
        attributes whose scheme takes the message (Ed25519, ML-DSA) need; `prehashed` are the answers to what
        `prehashes` asks for, with which the quantum-resistant ones among them need no content.

        The outcome is `valid` only where the mathematics hold and the key is declared or certified by a declared
        anchor (`checker.crypto.chains` tells every case), `undecidable` where an algorithm cannot be computed here.

        Raises:
            FormatError: `as_of` is no time.
        """
        attached = self.content
        if content_digest is None and attached is not None:
            content_digest, content = _digest_of(attached), lambda: attached
        job = _Job(self, content_digest, content, ring, as_of, purpose, prehashed)
        return tuple(part for signer in self.signers for part in _parts(job.run(signer)))


def _parts(found: Signature) -> tuple[Signature, ...]:
    """Return a composite signature as the two that it is made of, since each counts for what it is."""
    if found.algorithm not in composite.SETS:
        return (found,)
    note = f"half of the composite {found.algorithm}, in which both are required"
    note = f"{note}; {found.note}" if found.note else note
    return tuple(replace(found, algorithm=name, note=note) for name in composite.SETS[found.algorithm].parts)


def _digest_of(content: bytes) -> Callable[[str], bytes]:
    return lambda name: digests.digest(name, content)


def _attached(encapsulated: Any) -> bytes | None:  # noqa: ANN401 - asn1crypto is untyped
    content = encapsulated["content"]
    if isinstance(content, core.Void):
        return None
    parsed = content.parse(core.OctetString) if isinstance(content, core.Any) else content
    return bytes(parsed.native)


def _certificates(signed: Any) -> Sequence[Any]:  # noqa: ANN401 - asn1crypto is untyped
    found = signed["certificates"]
    return () if isinstance(found, core.Void) else asn.limited(found, MAX_CERTIFICATES, "certificates")


def _parse_each(raw: Iterable[bytes]) -> tuple[tuple[Certificate, ...], tuple[str, ...]]:
    """Return the certificates that parse; a damaged one beside them is a note, not a refusal of the message."""
    found, notes = [], []
    for der in raw:
        try:
            found.append(parse_certificate(der))
        except FormatError as error:
            notes.append(f"an embedded certificate is damaged: {error}")
    return tuple(found), tuple(notes)


def _signer(raw: Any) -> _Signer:  # noqa: ANN401 - asn1crypto is untyped
    sid = raw["sid"]
    issuer, serial, key_id = b"", None, b""
    if sid.name == "issuer_and_serial_number":
        issuer = bytes(sid.chosen["issuer"].dump())
        serial = int(sid.chosen["serial_number"].native)
    else:
        key_id = bytes(sid.chosen.native)
    return _Signer(
        issuer=issuer,
        serial=serial,
        key_id=key_id,
        digest=asn.hash_id(raw["digest_algorithm"]),
        scheme=bytes(raw["signature_algorithm"].dump()),
        signature=bytes(raw["signature"].native),
        **_signed_attributes(raw["signed_attrs"]),
    )


def _signed_attributes(raw: Any) -> dict[str, Any]:  # noqa: ANN401 - asn1crypto is untyped
    if isinstance(raw, core.Void):
        return {}
    values: dict[str, list[Any]] = {asn.CONTENT_TYPE: [], asn.MESSAGE_DIGEST: [], asn.SIGNING_TIME: []}
    for attribute in raw:
        values.get(str(attribute["type"].dotted), []).extend(attribute["values"])
    return {
        "attributes": asn.as_set(raw),
        "content_types": tuple(str(v.parse(core.ObjectIdentifier).dotted) for v in values[asn.CONTENT_TYPE]),
        "digests": tuple(bytes(v.parse(core.OctetString).native) for v in values[asn.MESSAGE_DIGEST]),
        "signing_times": tuple(_time(v) for v in values[asn.SIGNING_TIME]),
    }


def _time(value: Any) -> str:  # noqa: ANN401 - asn1crypto is untyped
    native = value.parse(cms.Time).native
    if isinstance(native, dt.datetime) and native.tzinfo is None:
        native = native.replace(tzinfo=dt.UTC)
    return rfc3339(native)


@dataclass(frozen=True)
class _Job:
    """One verification: a message, its content's digests, and what is trusted when."""

    message: SignedMessage
    content_digest: Callable[[str], bytes] | None
    content: Callable[[], bytes] | None
    ring: KeyRing
    as_of: str
    purpose: str
    prehashed: Mapping[Prehash, bytes] = field(default_factory=dict)

    def prehashes(self, signer: _Signer) -> Iterator[Prehash]:
        """Yield the digest that each key that may be the signer's needs."""
        if signer.attributes is not None:
            return
        for key in tuple(item.key for item in self._named(signer)) or self.ring.keys:
            try:
                scheme = scheme_of(signer.scheme, signer.digest)
                if needs_message(scheme.algorithm):
                    yield prehash(key, scheme.algorithm, scheme.hash, signer.signature)
            except (UnsupportedAlgorithmError, InvalidSignatureError, FormatError):
                continue

    def run(self, signer: _Signer) -> Signature:
        blank = Signature(
            outcome=Outcome.UNDECIDABLE,
            hash=signer.digest,
            signing_time=signer.signing_time,
            encoding="CMS detached" if self.message.detached else "CMS attached",
        )
        try:
            scheme = scheme_of(signer.scheme, signer.digest)
            blank = replace(blank, algorithm=scheme.algorithm, hash=_weakest(signer, scheme))
            self._bind(signer, scheme)
            return self._with_key(signer, scheme, blank)
        except UnsupportedAlgorithmError as error:
            return replace(blank, note=str(error))
        except (InvalidSignatureError, FormatError) as error:
            return replace(self._name(signer, blank), outcome=Outcome.INVALID, note=str(error))

    def _bind(self, signer: _Signer, scheme: Scheme) -> None:
        """Check what ties the signature to the content (RFC 5652 5.3, 5.4, 11.1, 11.2)."""
        if not needs_message(scheme.algorithm) and scheme.hash != signer.digest:
            raise InvalidSignatureError(f"the signature is over {scheme.hash}, the content digest is {signer.digest}")
        if signer.attributes is None:
            if self.message.content_type != asn.DATA:
                raise InvalidSignatureError("without signed attributes only plain data may be signed")
            return
        if signer.content_types != (self.message.content_type,):
            raise InvalidSignatureError("the content-type attribute is missing, repeated, or names another type")
        if len(signer.digests) != 1:
            raise InvalidSignatureError("the message-digest attribute is missing or repeated")
        if not hmac.compare_digest(signer.digests[0], self._digest(signer)):
            raise InvalidSignatureError("the message digest does not match the content")

    def _digest(self, signer: _Signer) -> bytes:
        if self.content_digest is None:
            raise UnsupportedAlgorithmError("the signature is detached and its content was not given")
        return self.content_digest(signer.digest)

    def _with_key(self, signer: _Signer, scheme: Scheme, blank: Signature) -> Signature:
        found = self._named(signer)
        for certificate in found:
            if self._holds(signer, scheme, certificate.key):
                return with_one_time(self._judge(signer, certificate, blank), certificate.key, signer.signature)
        if found:
            raise InvalidSignatureError("the signature does not verify")
        key = self._declared(signer, scheme)
        if key is not None:
            note = "the signer's certificate is not in the message; a declared key verifies it"
            found_by = replace(blank, outcome=Outcome.VALID, key=key.facts, note=note)
            return with_one_time(found_by, key, signer.signature)
        note = f"the signer's certificate ({signer.title}) is neither in the message nor declared"
        return replace(blank, outcome=Outcome.KEY_UNKNOWN, note=note)

    def _declared(self, signer: _Signer, scheme: Scheme) -> PublicKey | None:
        """Return the declared key that verifies; one that cannot be used does not keep the others from being tried."""
        unsupported: UnsupportedAlgorithmError | None = None
        for key in self.ring.keys:
            try:
                if self._holds(signer, scheme, key):
                    return key
            except UnsupportedAlgorithmError as error:
                unsupported = error
        if unsupported is not None:
            raise unsupported
        return None

    def _named(self, signer: _Signer) -> tuple[Certificate, ...]:
        pool = (*self.message.certificates, *self.ring.intermediates, *self.ring.anchors)
        return tuple({item.der: item for item in pool if signer.names(item)}.values())

    def _holds(self, signer: _Signer, scheme: Scheme, key: PublicKey) -> bool:
        try:
            self._compute(signer, scheme, key)
        except InvalidSignatureError:
            return False
        return True

    def _compute(self, signer: _Signer, scheme: Scheme, key: PublicKey) -> None:
        salt = {"salt_length": scheme.salt_length, "mgf_hash": scheme.mgf_hash}
        if signer.attributes is not None:
            verify_message(key, scheme.algorithm, scheme.hash, signer.attributes, signer.signature, **salt)  # type: ignore[arg-type]
        elif needs_message(scheme.algorithm):
            self._compute_whole(signer, scheme, key)
        else:
            digest = self._digest(signer)
            verify_digest(key, scheme.algorithm, scheme.hash, digest, signer.signature, **salt)  # type: ignore[arg-type]

    def _compute_whole(self, signer: _Signer, scheme: Scheme, key: PublicKey) -> None:
        """Verify a signature over the content itself, by a digest where one was asked for."""
        streamed = self.prehashed and scheme.algorithm not in INNER_HASH  # EdDSA hashes the message twice
        wanted = prehash(key, scheme.algorithm, scheme.hash, signer.signature) if streamed else None
        if wanted is not None and wanted in self.prehashed:
            verify_prehashed(key, scheme.algorithm, scheme.hash, self.prehashed[wanted], signer.signature)
            return
        if self.content is None:
            raise UnsupportedAlgorithmError(f"{scheme.algorithm} without signed attributes needs the whole content")
        verify_message(key, scheme.algorithm, scheme.hash, self.content(), signer.signature)

    def _judge(self, signer: _Signer, certificate: Certificate, blank: Signature) -> Signature:
        verdict = assess(
            certificate,
            self.ring,
            presented=self.message.certificates,
            signed_at=signer.signing_time,
            as_of=self.as_of,
            purpose=self.purpose,
        )
        return replace(blank, outcome=verdict.outcome, key=verdict.key, chain=verdict.chain, note=verdict.note)

    def _name(self, signer: _Signer, blank: Signature) -> Signature:
        """Return the signature with the key that it names, for a signer whose signature is wrong."""
        found = self._named(signer)
        return replace(blank, key=found[0].key.facts) if found else blank


def _weakest(signer: _Signer, scheme: Scheme) -> str:
    """Return the hash that limits the signature: the scheme's own one, or the message digest where that is weaker."""
    if signer.attributes is None and needs_message(scheme.algorithm):
        return INNER_HASH.get(scheme.algorithm, "")  # nothing uses the digest that is named beside it
    if not scheme.hash or signer.attributes is None:
        return scheme.hash
    inner, outer = hash_facts(scheme.hash).collision_bits, hash_facts(signer.digest).collision_bits
    return signer.digest if inner is None or outer is None or outer < inner else scheme.hash
