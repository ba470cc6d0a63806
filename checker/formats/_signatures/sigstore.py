"""sigstore and cosign, offline: a signature, the short-lived certificate of its key, and a transparency log's entry.

What makes it valid: the signature holds over the file (or over an in-toto statement that names the file's digest), the
certificate leads to a declared anchor at the time of signing, or its key is declared, and nothing that the log entry
says contradicts either. The time comes from the log's promise or from a time stamp (RFC 3161); where nobody declared
the log's or the authority's key, it is a claim, and a note says so. An anchor of a public authority vouches for an
identity, and everybody has one: the options `identity` and `issuer` say whose signature is wanted.

Source: sigstore/docs "Bundle format", sigstore/architecture-docs client-spec.md, secure-systems-lab/dsse protocol.md,
in-toto/attestation spec/v1/statement.md.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from checker.crypto import transparency as logs
from checker.crypto.algorithms import by_oid
from checker.crypto.certificates import Certificate, parse_certificate
from checker.crypto.chains import Verdict, assess
from checker.crypto.jose import read_json
from checker.crypto.keys import PublicKey
from checker.crypto.openpgp import moment
from checker.errors import CryptoError, FormatError
from checker.formats._raw_signature import from_base64
from checker.formats._signatures import _bundle as files
from checker.formats._signatures import _log_entry as entries
from checker.formats._signatures.contract import Judged, Judgement, SignatureKind, digests_of
from checker.formats._signatures.raw import judge_raw
from checker.formats.contract import Context
from checker.io.digests import digest as digest_of
from checker.io.limits import MAX_HEADER
from checker.io.sources import BytesSource
from checker.model.artifact import Signature, Source, Weakness
from checker.model.terms import Outcome

CERTIFICATE, ENTRY = "certificate", "rekor"  # companions: cosign's separate files
WEAKNESSES: Final = ("unpinned-identity",)
STATEMENT: Final = "application/vnd.in-toto+json"
MAX_RAW: Final = 8192  # bytes of a signature without any container; RSA-16384 has 2048
MAX_SUBJECTS: Final = 1024  # of one statement; attestations of releases name some tens of files
_HASHES: Final = {"sha256": "sha-256", "sha384": "sha-384", "sha512": "sha-512"}
_FIELDS: Final = (b'"base64Signature"', b'"verificationMaterial"', files.MEDIA_TYPE.encode())


def _detect(data: bytes, context: Context) -> bool:
    if CERTIFICATE in context.companions:
        return from_base64(data) is not None or len(data) <= MAX_RAW
    if not data.lstrip().startswith(b"{"):
        return False
    return any(field in data for field in _FIELDS)


def _read(data: bytes, context: Context) -> files.Bundle:
    if CERTIFICATE not in context.companions:
        return files.read(data)
    certificate = context.companions[CERTIFICATE].read(0, MAX_HEADER)
    found: tuple[files.LogEntry, ...] = ()
    if ENTRY in context.companions:
        value = read_json(context.companions[ENTRY].read(0, MAX_HEADER), ENTRY)
        found = (files.cosign_entry(value),) if isinstance(value, Mapping) else ()
    return files.Bundle(certificates=files.pem(certificate), signature=from_base64(data) or data, entries=found)


def judge(source: Source, data: bytes, context: Context) -> Judged:
    """Say what is known of a bundle, or of a signature with its certificate, over a file."""
    blank = Signature(outcome=Outcome.INVALID, encoding="sigstore bundle")
    try:
        bundle = _read(data, context)
        chain = tuple(parse_certificate(der) for der in bundle.certificates)
    except FormatError as error:
        return _only(replace(blank, note=f"the bundle is damaged: {error}"))
    digests = yield from digests_of(source, tuple(_HASHES.values()))
    try:
        _check_stated(bundle, digests)
        signed = _signed(source, bundle, digests)
    except FormatError as error:
        return _only(replace(blank, note=str(error)))
    keys = (chain[0].key,) if chain else context.keys.verifiers
    found = yield from judge_raw(signed, bundle.signature, keys)
    found = replace(found, encoding=f"{blank.encoding}, {found.encoding}")
    if found.outcome is not Outcome.VALID:
        return _only(found)
    return _judge_entries(bundle, chain, found, digests, context)


def _only(signature: Signature) -> Judgement:
    return Judgement(signatures=(signature,))


def _check_stated(bundle: files.Bundle, digests: Mapping[str, bytes]) -> None:
    if bundle.digest is not None and digests[bundle.digest[0]] != bundle.digest[1]:
        raise FormatError("the bundle is about another file: its digest differs", field="messageDigest")


def _signed(source: Source, bundle: files.Bundle, digests: Mapping[str, bytes]) -> Source:
    """Return what is signed: the file, or an envelope whose statement names the file."""
    if bundle.envelope is None:
        return source
    if bundle.envelope.payload_type == STATEMENT:
        if not any(_names(subject, digests) for subject in _subjects(bundle.envelope.payload)):
            raise FormatError("the statement names no subject with this file's digest", field="subject")
    elif hashlib.sha256(bundle.envelope.payload).digest() != digests["sha-256"]:
        raise FormatError("the envelope holds another content than the file", field="payload")
    return BytesSource("DSSE envelope", bundle.envelope.signed)


def _subjects(payload: bytes) -> Sequence[Any]:
    statement = read_json(payload, "statement")
    found = statement.get("subject") if isinstance(statement, Mapping) else None
    if not isinstance(found, list) or len(found) > MAX_SUBJECTS:
        raise FormatError(f"is no list of at most {MAX_SUBJECTS}", field="subject")
    return found


def _names(subject: Any, digests: Mapping[str, bytes]) -> bool:  # noqa: ANN401 - parsed JSON
    stated = subject.get("digest") if isinstance(subject, Mapping) else None
    known = {name: stated[name] for name in _HASHES if name in stated} if isinstance(stated, Mapping) else {}
    return bool(known) and all(value == digests[_HASHES[name]].hex() for name, value in known.items())


@dataclass(frozen=True)
class _Time:
    """A time of signing: seconds as RFC 3339, who says so, and whether that one's key is declared."""

    time: str
    proved: bool


def _judge_entries(
    bundle: files.Bundle,
    chain: Sequence[Certificate],
    found: Signature,
    digests: Mapping[str, bytes],
    context: Context,
) -> Judgement:
    key = chain[0].key if chain else context.keys.find(found.key.id)
    about = dict(digests) if bundle.envelope is None else entries.payload_digests(bundle.envelope.payload)
    claim = entries.Claim(signature=bundle.signature, spki=key.spki if key else b"", digests=about)
    verdicts = [entries.judge(item, bundle, claim, context.keys.keys) for item in bundle.entries]
    notes = list(dict.fromkeys(note for verdict in verdicts for note in verdict.notes))
    if not bundle.entries:
        notes.append("there is no log entry")
    error = next((verdict.error for verdict in verdicts if verdict.error), "")
    times = [_Time(moment(item.time), item.time_proved) for item in verdicts if item.time is not None]
    if not error:
        stamps, error = _stamps(bundle, context, notes)
        times += stamps
    if error:
        return _only(replace(found, outcome=Outcome.INVALID, note=error))
    facts = tuple(("log index", str(item.index)) for item in bundle.entries)
    if not chain:
        return Judgement(signatures=(replace(found, note="; ".join(notes)),), facts=facts)
    return _judge_chain(chain, found, times, notes, facts, context)


def _stamps(bundle: files.Bundle, context: Context, notes: list[str]) -> tuple[list[_Time], str]:
    """Return the times of the time stamps, and what is wrong with one of them."""
    times = []
    for raw in bundle.timestamps:
        try:
            stamp = logs.parse_timestamp(raw)
            imprint = digest_of(by_oid(stamp.hash_oid, "hash").id, bundle.signature)
            signature = stamp.verify(context.keys, context.as_of)
        except (FormatError, CryptoError) as error:
            return [], f"a time stamp cannot be used: {error}"
        if imprint != stamp.digest:
            return [], "a time stamp is about another signature"
        if signature.outcome is Outcome.INVALID:
            return [], f"a time stamp does not verify: {signature.note}"
        proved = signature.outcome is Outcome.VALID
        if not proved:
            notes.append("a time stamp's authority is not declared")
        times.append(_Time(stamp.time, proved))
    return times, ""


def _judge_chain(
    chain: Sequence[Certificate],
    found: Signature,
    times: Sequence[_Time],
    notes: list[str],
    facts: tuple[tuple[str, str], ...],
    context: Context,
) -> Judgement:
    proved = [item for item in times if item.proved] or list(times)
    verdicts = [
        assess(chain[0], context.keys, presented=chain[1:], signed_at=time, as_of=context.as_of)
        for time in [item.time for item in proved] or [""]
    ]
    verdict = next((item for item in verdicts if item.outcome is not Outcome.VALID), verdicts[0])
    unproved = not any(item.proved for item in times)
    if unproved:
        notes.append("nothing that is declared proves the time of signing")
    if unproved and times and context.keys.keys and not context.keys.trusts(chain[0].key):
        # Keys are declared, and this log's is not among them: whoever has an old key may write any time into a log.
        verdict = _less(verdict)
    signed = replace(
        found,
        outcome=verdict.outcome,
        key=verdict.key,
        chain=verdict.chain,
        signing_time=proved[0].time if proved else "",
        note="; ".join(text for text in (verdict.note, *notes) if text),
    )
    return _pin(chain[0], signed, facts, context)


def _less(verdict: Verdict) -> Verdict:
    return replace(verdict, outcome=Outcome.KEY_UNKNOWN) if verdict.outcome is Outcome.VALID else verdict


def _pin(leaf: Certificate, signed: Signature, facts: tuple[tuple[str, str], ...], context: Context) -> Judgement:
    """Compare whom the certificate names with whom the user wants."""
    try:
        identity = logs.identity_of(leaf.der)
    except FormatError as error:
        return _only(replace(signed, outcome=Outcome.INVALID, note=str(error)))
    facts += tuple(("identity", name) for name in identity.names)
    facts += (("identity provider", identity.issuer),) if identity.issuer else ()
    wanted, issuer = context.options.get("identity", ""), context.options.get("issuer", "")
    if (wanted and wanted not in identity.names) or (issuer and issuer != identity.issuer):
        note = "the certificate is of another identity than the one that is wanted"
        return Judgement(signatures=(replace(signed, outcome=Outcome.INVALID, note=note),), facts=facts)
    return Judgement(
        signatures=(signed,), facts=facts, weaknesses=_unpinned(leaf.key, identity, wanted, signed, context)
    )


def _unpinned(
    key: PublicKey, identity: logs.Identity, wanted: str, signed: Signature, context: Context
) -> tuple[Weakness, ...]:
    if wanted or not identity.issuer or signed.outcome is not Outcome.VALID or context.keys.trusts(key):
        return ()
    text = f"signed by {', '.join(identity.names) or 'nobody'}; no identity was declared, so that anybody's would do"
    return (Weakness(code="unpinned-identity", message=text, where=identity.issuer),)


KIND: Final = SignatureKind(
    id="sigstore",
    title="sigstore or cosign",
    detect=_detect,
    judge=judge,
    weaknesses=WEAKNESSES,
    references=("sigstore/protobuf-specs", "RFC 6962 section 2.1", "RFC 3161", "C2SP tlog-checkpoint", "DSSE v1"),
)
