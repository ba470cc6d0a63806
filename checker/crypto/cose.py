"""COSE (RFC 9052, RFC 9053): messages, headers, the structures that are signed, and the outcome of each signature.

A signature is verified with the algorithm of the *protected* header and a key of that algorithm's own kind; an
algorithm that only the unprotected header names is refused (RFC 9052 3.1). Critical parameters are honoured. A MAC is
never a signature. Certificates of `x5chain` (RFC 9360) count only with a path to a declared anchor.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from checker.crypto import cose_encryption as encryption
from checker.crypto._cose_algorithms import (
    COORDINATES,
    HASHES,
    MACS,
    SIGNATURES,
    UNVERIFIED,
    MacAlgorithm,
    SignatureAlgorithm,
)
from checker.crypto._cose_message import ELEMENTS, KINDS, Headers, Message, Party, parse
from checker.crypto.certificates import Certificate, parse_certificate
from checker.crypto.chains import assess
from checker.crypto.keyring import DecryptionKey, KeyRing
from checker.crypto.keys import PublicKey
from checker.crypto.signatures import ecdsa_der, verify_mac, verify_message, with_one_time
from checker.errors import CryptoError, FormatError, InvalidSignatureError, UnsupportedAlgorithmError
from checker.io.cbor import encode
from checker.io.limits import MAX_CERTIFICATES
from checker.model.artifact import AuthKind, KeyFacts, Signature, Span
from checker.model.terms import Outcome

__all__ = [
    "ELEMENTS",
    "HASHES",
    "KINDS",
    "Headers",
    "Judge",
    "Message",
    "Party",
    "parse",
    "presented_chain",
    "signature_structure",
    "verify",
]

_X5CHAIN: Final = 33


def signature_structure(message: Message, signer: Party, content: bytes, external_aad: bytes = b"") -> bytes:
    """Return the Sig_structure or MAC_structure (RFC 9052 4.4, 6.3): the bytes that are signed."""
    context = {"Sign1": "Signature1", "Sign": "Signature", "Mac0": "MAC0", "Mac": "MAC"}[message.kind]
    between = [signer.headers.signed] if message.kind == "Sign" else []
    return encode([context, message.headers.signed, *between, external_aad, content])


def verify(key: PublicKey, signer: Party, to_be_signed: bytes) -> None:
    """Verify one signature over its Sig_structure.

    Raises:
        InvalidSignatureError: it does not verify, the key is of another kind, or the headers break a rule.
        UnsupportedAlgorithmError: algorithm, key or a critical parameter is not known here.
    """
    algorithm = _signature_algorithm(signer.headers)
    kind = key.facts.algorithm
    if kind not in algorithm.kinds:
        raise InvalidSignatureError(f"{algorithm.name} is not made by a {kind} key")
    scheme = kind if algorithm.name == "EdDSA" else algorithm.scheme
    if algorithm.scheme == "hss":
        scheme = kind
    signature = signer.end
    if algorithm.scheme == "ecdsa":
        if len(signature) != 2 * COORDINATES[kind]:
            raise InvalidSignatureError(f"{len(signature)} bytes are no r and s of {kind}")
        signature = ecdsa_der(signature)
    verify_message(key, scheme, algorithm.hash, to_be_signed, signature, salt_length=algorithm.salt)


def _signature_algorithm(headers: Headers) -> SignatureAlgorithm:
    number = headers.algorithm()
    if number not in SIGNATURES:
        raise UnsupportedAlgorithmError(_unknown(number))
    return SIGNATURES[number]


def _mac_algorithm(headers: Headers) -> MacAlgorithm:
    number = headers.algorithm()
    if number not in MACS:
        raise UnsupportedAlgorithmError(_unknown(number))
    return MACS[number]


def _unknown(number: int) -> str:
    name = UNVERIFIED.get(number, "")
    return f"COSE algorithm {number}{f' ({name})' if name else ''} cannot be verified here"


@dataclass
class Judge:
    """Judges signatures over one content with what was declared.

    A declared key that verified one signer says nothing against another one whose signature it does not verify.

    `external_aad` is the application's own (RFC 9052 4.3), `spans` what the signatures cover directly, `others` are
    values of SuppPubInfo.other that a recipient of a MAC key may use.
    """

    content: bytes = field(repr=False)
    ring: KeyRing
    as_of: str
    covers: tuple[Span, ...] = ()
    external_aad: bytes = b""
    others: tuple[bytes | None, ...] = (None,)
    used: set[str] = field(default_factory=set)

    def run(self, message: Message) -> tuple[Signature, ...]:
        """Return one signature or MAC per signer."""
        if message.kind in {"Mac0", "Mac"}:
            return (self._mac(message),)
        return tuple(self._signature(message, signer) for signer in message.signers)

    # Signatures

    def _signature(self, message: Message, signer: Party) -> Signature:
        blank = Signature(
            outcome=Outcome.UNDECIDABLE,
            covers=self.covers,
            encoding=f"COSE_{message.kind}",
            where=signer.where,
            key=KeyFacts(id=signer.headers.key_id),
        )
        try:
            message.check()
            algorithm = _signature_algorithm(signer.headers)
            signer.headers.check_critical()
            blank = replace(blank, algorithm=algorithm.scheme, hash=algorithm.hash)
            return self._with_key(message, signer, algorithm, blank)
        except UnsupportedAlgorithmError as error:
            return replace(blank, note=str(error))
        except (CryptoError, FormatError) as error:
            return replace(blank, outcome=Outcome.INVALID, note=str(error))

    def _with_key(self, message: Message, signer: Party, algorithm: SignatureAlgorithm, blank: Signature) -> Signature:
        data = signature_structure(message, signer, self.content, self.external_aad)
        chain = presented_chain(signer.headers)
        if chain:
            return self._by_certificate(signer, data, chain, blank)
        keys = [key for key in self.ring.verifiers if key.facts.algorithm in algorithm.kinds]
        unusable: UnsupportedAlgorithmError | None = None
        for key in keys:
            try:
                verify(key, signer, data)
            except InvalidSignatureError:
                continue
            except UnsupportedAlgorithmError as error:
                unusable = error
                continue
            self.used.add(key.spki_sha256)
            return with_one_time(_by(blank, key, Outcome.VALID), key, signer.end)
        if unusable is not None:
            raise unusable
        return _unmatched(blank, [key for key in keys if key.spki_sha256 not in self.used])

    def _by_certificate(self, signer: Party, data: bytes, chain: Sequence[Certificate], blank: Signature) -> Signature:
        leaf = chain[0]
        verify(leaf.key, signer, data)
        verdict = assess(leaf, self.ring, presented=chain[1:], as_of=self.as_of)
        self.used.add(leaf.key.spki_sha256)
        found = replace(_by(blank, leaf.key, verdict.outcome), key=verdict.key, chain=verdict.chain, note=verdict.note)
        return with_one_time(found, leaf.key, signer.end)

    # MACs

    def _mac(self, message: Message) -> Signature:
        blank = Signature(
            outcome=Outcome.UNDECIDABLE,
            kind=AuthKind.MAC,
            covers=self.covers,
            encoding=f"COSE_{message.kind}",
            where=message.body.where,
            key=KeyFacts(id=message.headers.key_id, algorithm="hmac"),
        )
        try:
            message.check()
            algorithm = _mac_algorithm(message.headers)
            blank = replace(blank, algorithm=algorithm.scheme, hash=algorithm.hash)
            return self._with_secret(message, algorithm, blank)
        except UnsupportedAlgorithmError as error:
            return replace(blank, note=str(error))
        except (CryptoError, FormatError) as error:
            return replace(blank, outcome=Outcome.INVALID, note=str(error))

    def _with_secret(self, message: Message, algorithm: MacAlgorithm, blank: Signature) -> Signature:
        if len(message.body.end) != algorithm.tag:
            raise InvalidSignatureError(f"{algorithm.name} has a tag of {algorithm.tag} bytes")
        data = signature_structure(message, message.body, self.content, self.external_aad)
        secrets = self._secrets(message, algorithm)
        for secret, facts in secrets:
            try:
                verify_mac(secret, algorithm.scheme, data, message.body.end)
            except InvalidSignatureError:
                continue
            return replace(blank, outcome=Outcome.VALID, key=facts)
        if not secrets:
            return replace(blank, outcome=Outcome.KEY_UNKNOWN, note="no secret that opens the MAC's key was given")
        return replace(blank, outcome=Outcome.INVALID, note=f"none of {len(secrets)} given secrets fits")

    def _secrets(self, message: Message, algorithm: MacAlgorithm) -> list[tuple[bytes, KeyFacts]]:
        if message.kind == "Mac0":
            return [(key.secret, _secret_facts(key)) for key in self.ring.secrets]
        wanted = encryption.Wanted(message.headers.algorithm(), algorithm.tag * 8, algorithm.name)
        opened = [encryption.open_recipient(each, wanted, self.ring, self.others) for each in message.recipients]
        return [(key, replace(facts.key, algorithm="hmac")) for keys, facts in opened for key in keys]


def _by(blank: Signature, key: PublicKey, outcome: Outcome) -> Signature:
    scheme = key.facts.algorithm if blank.algorithm in {"ed25519", "hss"} else blank.algorithm
    hash_name = "shake256" if scheme == "ed448" else blank.hash
    return replace(blank, outcome=outcome, key=key.facts, algorithm=scheme, hash=hash_name)


def _unmatched(blank: Signature, keys: Sequence[PublicKey]) -> Signature:
    """Return what is known where no declared key verifies it: a key id is a hint, and no proof of whose it is."""
    named = f"the signature names the key {blank.key.id}" if blank.key.id else "the signature names no key"
    if not keys:
        return replace(blank, outcome=Outcome.KEY_UNKNOWN, note=f"{named}; no declared key is of its kind")
    facts = keys[0].facts if len(keys) == 1 else blank.key
    note = f"{named}, and none of {len(keys)} declared keys of its kind fits"
    return replace(blank, outcome=Outcome.INVALID, key=facts, note=note)


def _secret_facts(key: DecryptionKey) -> KeyFacts:
    return replace(key.facts, algorithm="hmac")


def presented_chain(headers: Headers) -> tuple[Certificate, ...]:
    """Return the certificates of `x5chain`, leaf first; it may stand in either header (RFC 9360 section 2).

    Raises:
        FormatError: there are too many, or one is damaged.
    """
    found = headers.find(_X5CHAIN)
    if found is None:
        return ()
    items = found.children or (found,)
    if len(items) > MAX_CERTIFICATES:
        raise FormatError(f"more than {MAX_CERTIFICATES} certificates", offset=found.span.start, field="x5chain")
    return tuple(parse_certificate(item.data("x5chain")) for item in items)
