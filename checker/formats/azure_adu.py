"""Azure Device Update: signed deployments, bare update and import manifests, and root key packages.

Source: Azure/iot-hub-device-update src/utils/jws_utils, src/rootkeypackage_utils and docs/agent-reference.

The chain of a deployment is: root key → signing key (a JWK inside a JWS, the header `sjwk`) → SHA-256 of the text of
`updateManifest` → size and SHA-256 of each file. The root key counts only where it was declared; a name such as
ADU.200702.R in the header is no trust. `fileUrls` and `workflow` are signed by nobody. The files lie elsewhere: those
that are given as companions under their names are compared and opened.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from checker.crypto.jose import Jws, from_base64url, parse_jws, read_json, read_jwk
from checker.crypto.keys import PublicKey
from checker.errors import FormatError, KeyMaterialError
from checker.formats import _azure_manifest as adu
from checker.formats import _common as common
from checker.formats._azure_manifest import DEPLOYMENT, ROOT_KEYS, Document, File, Manifest
from checker.formats._jws import ENCODING, judge_jws
from checker.formats.contract import Context, Format, Parse
from checker.io.digests import DigestRequest, digest
from checker.model.artifact import (
    INEXPRESSIBLE,
    Artifact,
    Coverage,
    DigestCheck,
    Image,
    KeyFacts,
    Signature,
    Source,
    Span,
    Version,
    Weakness,
)
from checker.model.terms import Outcome

WEAKNESSES: Final = (
    "digest-mismatch",
    "inner-unreadable",
    "malformed",
    "missing-digest",
    "no-hardware-id",
    "plaintext-url",
    "published-development-key",
    "rsa-e3",
    "unsigned",
    "weak-key",
)
MAX_SIGNATURES: Final = 16  # of a root key package; the service uses three
_NESTED: Final = "JWS with a signed signing key"


@dataclass(frozen=True)
class _Verdict:
    """The signature of a deployment, and the key that made it, which the root key signed."""

    signature: Signature
    signer: KeyFacts | None = None
    root_id: str = ""


def _detect(source: Source, context: Context) -> bool:  # noqa: ARG001 - the contract's signature
    return adu.looks_like(source)


def _parse(source: Source, context: Context) -> Parse:
    document = adu.read_document(source)
    if document.kind == ROOT_KEYS:
        return _root_keys(source, document, context)
    verdict = _verdict(document, context)
    manifest = adu.read_manifest(document)
    digests = yield from _digests(manifest, context)
    return _artifact(source, document, manifest, _Judged(verdict, digests, context))


@dataclass(frozen=True)
class _Judged:
    """The verdict, and the digests of the files that are at hand."""

    verdict: _Verdict
    digests: Mapping[str, bytes]
    context: Context

    @property
    def valid(self) -> bool:
        """Return whether a declared key reaches the manifest."""
        return self.verdict.signature.outcome is Outcome.VALID

    @property
    def reached(self) -> bool:
        """Return whether a signature covers the manifest that is not known to be wrong."""
        return self.verdict.signature.outcome in common.REACHING


def _digests(
    manifest: Manifest, context: Context
) -> Generator[Sequence[DigestRequest], Mapping[DigestRequest, bytes], dict[str, bytes]]:
    requests = {
        file.name: DigestRequest.over("sha-256", context.companions[file.name])
        for file in manifest.files
        if file.name in context.companions
    }
    answers = yield tuple(requests.values())
    return {name: answers[request] for name, request in requests.items()}


# The signature


def _verdict(document: Document, context: Context) -> _Verdict:
    text = document.value.get("updateManifestSignature")
    if document.kind != DEPLOYMENT or text is None or text == "":
        return _Verdict(Signature(outcome=Outcome.ABSENT, note=f"this {document.kind} is not signed"))
    found = _nested(text, document.text, context)
    signature = replace(found.signature, covers=(document.covered,), where=document.signature)
    return replace(found, signature=signature)


def _nested(text: Any, manifest: bytes, context: Context) -> _Verdict:  # noqa: ANN401 - parsed JSON
    """Judge the JWS over the manifest, then the JWS over the key that made it."""
    try:
        outer = _compact(text)
        stated = _stated_digest(outer)
        inner = _compact(outer.signed_header["sjwk"]) if "sjwk" in outer.signed_header else None
        signer = _signing_key(inner) if inner else None
    except (FormatError, KeyMaterialError, UnicodeEncodeError) as error:
        return _Verdict(Signature(outcome=Outcome.INVALID, encoding=_NESTED, note=str(error)))
    if stated != digest("sha-256", manifest):
        note = "the signed SHA-256 is not that of updateManifest"
        return _Verdict(Signature(outcome=Outcome.INVALID, encoding=_NESTED, note=note))
    if inner is None or signer is None:
        return _Verdict(judge_jws(outer, context.keys.verifiers))
    over_manifest = judge_jws(outer, (signer,))
    if over_manifest.outcome is not Outcome.VALID:
        return _Verdict(replace(over_manifest, encoding=_NESTED), signer.facts, inner.key_id)
    return _Verdict(_rooted(over_manifest, inner, signer, context), signer.facts, inner.key_id)


def _rooted(over_manifest: Signature, inner: Jws, signer: PublicKey, context: Context) -> Signature:
    """Return the verdict of a manifest that its signing key signed: as good as the root's word for that key."""
    declared = context.keys.find(signer.spki_sha256)
    root = judge_jws(inner, (key for key in context.keys.verifiers if key.spki_sha256 != signer.spki_sha256))
    if root.outcome is not Outcome.INVALID and declared is not None:
        return replace(over_manifest, key=declared.facts, encoding=_NESTED, note="the signing key itself is declared")
    name = inner.key_id or "without a name"
    if root.outcome is Outcome.VALID:
        return replace(over_manifest, key=root.key, encoding=_NESTED, note=f"by way of root key {name}")
    note = f"the signing key's own signature, by root key {name}: {root.note or root.outcome.value}"
    key = root.key if root.outcome is Outcome.INVALID else KeyFacts(id=name, algorithm="rsa")
    return replace(over_manifest, outcome=root.outcome, key=key, encoding=_NESTED, note=note)


def _compact(text: Any) -> Jws:  # noqa: ANN401 - parsed JSON
    if not isinstance(text, str):
        raise FormatError("is no text", field="JWS")
    data = text.encode("utf-8")
    if data.lstrip().startswith(b"{"):
        raise FormatError("is no compact JWS", field="JWS")
    return parse_jws(data)[0]


def _stated_digest(outer: Jws) -> bytes:
    value = read_json(outer.payload, "JWS payload")
    text = value.get("sha256") if isinstance(value, dict) else None
    if not isinstance(text, str):
        raise FormatError("states no sha256", field="JWS payload")
    return from_base64url(_url(text), "JWS payload sha256")


def _signing_key(inner: Jws) -> PublicKey:
    """Return the JWK; the service writes its numbers in plain base64."""
    value = read_json(inner.payload, "sjwk")
    if isinstance(value, dict):
        value = {
            key: _url(item).decode() if key in {"n", "e"} and isinstance(item, str) else item
            for key, item in value.items()
        }
    return read_jwk(value, "sjwk")


def _url(text: str) -> bytes:
    return text.replace("+", "-").replace("/", "_").rstrip("=").encode("utf-8")


# The artifact


def _artifact(source: Source, document: Document, manifest: Manifest, judged: _Judged) -> Artifact:
    fields = ("updateId", "compatibility", "instructions", "files")
    beside = tuple(key for key in ("fileUrls", "workflow") if key in document.value)
    reached = judged.reached
    whole = (document.covered,)
    bound = reached and all(file.digest for file in manifest.files)  # what has no digest may be any file
    return Artifact(
        format="azure-adu",
        title=f"Azure Device Update, {document.kind}",
        name=source.name,
        size=source.size,
        sha256="",
        signatures=(judged.verdict.signature,),
        coverage=Coverage(
            payload=whole,
            uncovered=() if bound else whole,
            undecided=whole if bound and manifest.children else (),  # which name further files
            metadata=fields if reached else (),
            unprotected_metadata=beside if reached else (*fields, *beside),
            size_bound=None if bound and manifest.children else bound,
        ),
        images=tuple(_image(file, manifest, judged) for file in manifest.files),
        version=Version(
            version=manifest.version,
            sequence=INEXPRESSIBLE,
            authentic=True if judged.valid else None if reached else False,
            constraints=tuple(f"installed: {text}" for text in manifest.criteria),
        ),
        hardware=manifest.hardware,
        weaknesses=tuple(_weaknesses(document, manifest, judged)),
        facts=tuple(fact for fact in _facts(manifest, judged.verdict) if fact[1]),
    )


def _image(file: File, manifest: Manifest, judged: _Judged) -> Image:
    beside = judged.context.companions.get(file.name)
    return Image(
        id=file.name,
        size=file.size or 0,
        role="metadata" if file.id in manifest.children else "image",
        target=file.handler,
        hardware=manifest.hardware,
        digests=tuple(_checks(file, judged)),
        version=Version(version=manifest.version, sequence=INEXPRESSIBLE),
        source=beside,
        note="" if beside else "the file lies elsewhere; give it as a companion under its name",
    )


def _checks(file: File, judged: _Judged) -> Iterator[DigestCheck]:
    if file.digest:
        actual = judged.digests.get(file.name)
        yield DigestCheck(
            name=file.name,
            algorithm="sha-256",
            expected=file.digest.hex(),
            actual=actual.hex() if actual is not None else None,
            authentic=judged.valid,
            note="" if actual is not None else "the file is not at hand",
        )


def _weaknesses(document: Document, manifest: Manifest, judged: _Judged) -> Iterator[Weakness]:
    signature, signer = judged.verdict.signature, judged.verdict.signer
    every = (signature, replace(signature, key=signer)) if signer else (signature,)
    yield from common.signature_weaknesses(every)
    for file in manifest.files:
        if not file.digest:
            yield Weakness(code="missing-digest", message=f"{file.name[:200]!r} has no SHA-256", where=file.name[:200])
        yield from common.digest_weaknesses(_checks(file, judged))
        beside = judged.context.companions.get(file.name)
        if beside is not None and file.size != beside.size:
            text = f"{file.name[:200]!r} has {beside.size} bytes, the manifest says {file.size}"
            yield Weakness(code="malformed", message=text, where=file.name[:200])
    if not manifest.hardware:
        yield Weakness(code="no-hardware-id", message="the manifest names no device that it is for")
    urls = document.value.get("fileUrls")
    for id_, url in urls.items() if isinstance(urls, dict) else ():
        if isinstance(url, str) and url.lower().startswith("http:"):
            yield Weakness(code="plaintext-url", message=f"file {id_[:50]} is fetched without TLS", where=id_[:50])


def _facts(manifest: Manifest, verdict: _Verdict) -> Iterator[tuple[str, str]]:
    yield "update", manifest.name
    yield "created", manifest.created
    yield "handlers", ", ".join(manifest.handlers)
    yield "detached manifests", ", ".join(manifest.children)
    yield "root key named", verdict.root_id
    if verdict.signer:
        yield "signing key", f"{verdict.signer.algorithm} {verdict.signer.bits} bits {verdict.signer.id}"


# Root key packages


def _root_keys(source: Source, document: Document, context: Context) -> Artifact:
    protected: Mapping[str, Any] = document.value["protected"]
    signatures = tuple(_package_signatures(document, context))
    reached = any(signature.outcome in common.REACHING for signature in signatures)
    valid = any(signature.outcome is Outcome.VALID for signature in signatures)
    number = protected.get("version")
    version = number if isinstance(number, int) and not isinstance(number, bool) and number >= 0 else None
    fields = ("version", "rootKeys", "disabledRootKeys", "disabledSigningKeys")
    return Artifact(
        format="azure-adu",
        title="Azure Device Update, root key package",
        name=source.name,
        size=source.size,
        sha256="",
        signatures=signatures,
        coverage=Coverage(
            payload=(document.covered,),
            uncovered=() if reached else (document.covered,),
            metadata=fields if reached else (),
            unprotected_metadata=() if reached else fields,
            size_bound=reached,
        ),
        version=Version(
            version=None if version is None else str(version),
            sequence=version,
            authentic=True if valid else None if reached else False,
        ),
        hardware=INEXPRESSIBLE,
        weaknesses=common.signature_weaknesses(signatures),
        facts=tuple(fact for fact in _package_facts(protected) if fact[1]),
    )


def _package_signatures(document: Document, context: Context) -> Iterator[Signature]:
    entries = document.value["signatures"]
    if not isinstance(entries, list) or len(entries) > MAX_SIGNATURES:
        raise FormatError(f"is no list of at most MAX_SIGNATURES ({MAX_SIGNATURES})", field="signatures")
    for entry in entries:
        yield _package_signature(entry, document, context)
    if not entries:
        yield Signature(outcome=Outcome.ABSENT, note="the package has no signature")


def _package_signature(entry: Any, document: Document, context: Context) -> Signature:  # noqa: ANN401 - parsed JSON
    covers: tuple[Span, ...] = (document.covered,)
    if not isinstance(entry, dict) or not isinstance(entry.get("sig"), str):
        return Signature(outcome=Outcome.INVALID, encoding=ENCODING, covers=covers, note="the entry has no sig")
    try:
        signature = from_base64url(_url(entry["sig"]), "sig")
    except (FormatError, UnicodeEncodeError) as error:
        return Signature(outcome=Outcome.INVALID, encoding=ENCODING, covers=covers, note=str(error))
    jws = Jws(
        header={"alg": entry.get("alg")},
        signed_header={},
        payload=document.text,
        signature=signature,
        signing_input=document.text,
    )
    return replace(judge_jws(jws, context.keys.verifiers), encoding="raw, over compact JSON", covers=covers)


def _package_facts(protected: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    keys, disabled, signing = (protected.get(name) for name in ("rootKeys", "disabledRootKeys", "disabledSigningKeys"))
    yield "root keys", ", ".join(sorted(keys)) if isinstance(keys, dict) else ""
    yield "disabled root keys", ", ".join(str(item) for item in disabled) if isinstance(disabled, list) else ""
    yield "disabled signing keys", str(len(signing)) if isinstance(signing, list) and signing else ""
    yield "test package", "yes" if protected.get("isTest") is True else ""


FORMAT: Final = Format(
    id="azure-adu",
    title="Azure Device Update manifest (.json)",
    detect=_detect,
    parse=_parse,
    companions={"*": "the files that the manifest names, by their names"},
    references=("Azure/iot-hub-device-update docs/agent-reference", "RFC 7515", "RFC 7517"),
)
