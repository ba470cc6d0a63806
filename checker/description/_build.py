"""Checked trees → the frozen types of `model`. One function per type; no checks beyond what a path needs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from checker.description._cursor import Cursor
from checker.description.model import (
    ArtifactRef,
    AttestationRef,
    Command,
    Device,
    DocumentRef,
    Endpoint,
    InventoryKey,
    LogRef,
    Policy,
    SignerRef,
    StagingRef,
    StepDescription,
    Target,
    TrustStore,
    Waiver,
)
from checker.model.evidence import Value
from checker.model.terms import Party, Severity, Step, Tier

_STEP_WORDS: Final = ("who", "by", "channel", "trigger", "not_applicable")


def device(at: Cursor, keys: tuple[Cursor, ...] | None) -> Device:
    """Return the device. `keys` are the records of its inventory, None where it has none."""
    trust = at.get("trust")
    policy = at.get("policy")
    inventory = at.get("key_inventory")
    return Device(
        file=at.file,
        sha256=at.sha256,
        vendor=at.text("vendor"),
        model=at.text("model"),
        id=at.text("id"),
        support_until=at.text("support_until"),
        targets=tuple(target(item) for item in at.each("targets")),
        trust_images=trust_store(trust, "images"),
        trust_transport=trust_store(trust, "transport"),
        trust_logs=trust_store(trust, "logs"),
        trust_devices=trust_store(trust, "devices"),
        keys=None if keys is None else tuple(inventory_key(item) for item in keys),
        key_inventory_file=inventory.ref() if inventory is not None and str(inventory) else None,
        steps=steps(at),
        documents=documents(at),
        attestations=attestations(at),
        staging=staging(at),
        policy={} if policy is None else _mapping(policy),
    )


def target(at: Cursor) -> Target:
    """Return one hardware target."""
    return Target(
        id=at.text("id"),
        place=at.place,
        kind=at.text("kind"),
        verifier=command(at.get("verifier")),
        link=at.pairs("link"),
        image_key=at.text("image_key"),
    )


def command(at: Cursor | None) -> Command | None:
    """Return a command, with the folder in which its relative paths start."""
    if at is None:
        return None
    return Command(
        adapter=at.text("adapter"),
        argv=at.texts("argv"),
        args=at.pairs("args"),
        folder="/".join(at.folder.parts),
        place=at.place,
        device=at.text("device"),
        boot=at.texts("boot"),
        report=at.texts("report"),
        state=at.file_at("state"),
        installed=at.text("installed"),
        log=at.text("log"),
        reasons=at.pairs("reasons"),
    )


def staging(*places: Cursor) -> StagingRef:
    """Return the keys for active tests: each from the first of the places that names it."""
    given = [item for item in (place.get("staging") for place in places) if item is not None]

    def one(role: str) -> SignerRef | None:
        return next((_signer(item.at(role)) for item in given if role in item), None)

    return StagingRef(signer=one("signer"), authority=one("authority"), revoked=one("revoked"))


def _signer(at: Cursor) -> SignerRef:
    return SignerRef(key=at.at("key").ref(), certificate=at.file_at("certificate"))


def trust_store(trust: Cursor | None, use: str) -> TrustStore:
    """Return what is trusted for one use; empty where the author is silent."""
    at = None if trust is None else trust.get(use)
    if at is None:
        return TrustStore()
    return TrustStore(
        anchors=at.files_at("anchors"),
        intermediates=at.files_at("intermediates"),
        keys=at.files_at("keys"),
        crls=at.files_at("crls"),
        pins=at.texts("pins"),
        purposes=at.texts("purposes"),
    )


def inventory_key(at: Cursor) -> InventoryKey:
    """Return one record of the key inventory."""
    return InventoryKey(
        id=at.text("id"),
        place=at.place,
        file=at.file_at("file"),
        spki_sha256=at.text("spki_sha256").lower(),
        format_id=at.text("format_id"),
        type=at.text("type"),
        algorithm=at.text("algorithm"),
        size=at.integer("size"),
        purposes=at.texts("purposes"),
        owner=at.text("owner"),
        created=at.text("created"),
        activated=at.text("activated"),
        expires=at.text("expires"),
        state=at.text("state"),
        state_since=at.text("state_since"),
        storage=at.text("storage"),
        module_certificate=at.text("module_certificate"),
        cryptoperiod_override=at.text("cryptoperiod_override"),
        device=at.text("device"),
    )


def documents(at: Cursor) -> tuple[DocumentRef, ...]:
    """Return the documents of a device or an update."""
    return tuple(
        DocumentRef(
            id=item.text("id"),
            file=item.at("file").ref(),
            place=item.place,
            clause=item.text("clause"),
            quote=item.text("quote"),
            sha256=item.text("sha256").lower(),
            party=Party(item.text("party", Party.FIRST)),
            proves=item.texts("proves"),
            dated=item.text("dated"),
            valid_until=item.text("valid_until"),
        )
        for item in at.each("documents")
    )


def attestations(at: Cursor) -> tuple[AttestationRef, ...]:
    """Return the attestations of a device or an update."""
    return tuple(
        AttestationRef(
            file=item.at("file").ref(),
            place=item.place,
            proves=item.texts("proves"),
            kind=item.text("kind", "auto"),
            root=item.file_at("root"),
            nonce=item.text("nonce").lower(),
            target=item.text("target"),
            companions=item.files_by_name("companions"),
        )
        for item in at.each("attestations")
    )


def steps(at: Cursor) -> dict[Step, StepDescription]:
    """Return the described steps of a device or an update."""
    return {Step(name): _step(Step(name), item) for name, item in _children(at, "steps")}


def _step(step: Step, at: Cursor) -> StepDescription:
    words = {key: at.text(key) for key in _STEP_WORDS}
    details = {key: at.at(key).value() for key in at.keys() if key not in _STEP_WORDS}  # noqa: SIM118
    return StepDescription(step=step, place=at.place, details=details, **words)


def artifacts(at: Cursor) -> tuple[ArtifactRef, ...]:
    """Return the update files."""
    return tuple(
        ArtifactRef(
            file=item.at("file").ref(),
            place=item.place,
            id=item.text("id", item.text("file")),
            format=item.text("format", "auto"),
            role=item.text("role", "deliverable"),
            device=item.text("device"),
            release=item.text("release", "current"),
            target=item.text("target"),
            signature=item.file_at("signature"),
            companions=item.files_by_name("companions"),
            decryption_keys=item.files_at("decryption_key") + item.files_at("decryption_keys"),
            plaintext_sha256=item.text("plaintext_sha256").lower(),
            options=item.pairs("options"),
        )
        for item in at.each("artifacts")
    )


def endpoints(at: Cursor) -> tuple[Endpoint, ...]:
    """Return what the device fetches from or reports to."""
    return tuple(_endpoint(item) for item in at.each("endpoints"))


def _endpoint(at: Cursor) -> Endpoint:
    identity, psk = at.get("client_identity"), at.get("psk")
    expired = None if identity is None else identity.get("expired")
    return Endpoint(
        id=at.text("id", at.text("url")),
        url=at.text("url"),
        place=at.place,
        step=Step(at.text("step", Step.RECEIVE)),
        client_certificate=None if identity is None else identity.file_at("cert"),
        client_key=None if identity is None else identity.file_at("key"),
        expired_certificate=None if expired is None else expired.file_at("cert"),
        expired_key=None if expired is None else expired.file_at("key"),
        psk_identity="" if psk is None else psk.text("identity"),
        psk_key=None if psk is None else psk.file_at("key"),
        timeout=at.integer("timeout"),
        gentle=at.truth("gentle") if "gentle" in at else None,
        rate=at.integer("rate"),
    )


def logs(at: Cursor) -> tuple[LogRef, ...]:
    """Return the update logs."""
    return tuple(
        LogRef(
            file=item.at("file").ref(),
            place=item.place,
            device=item.text("device"),
            release=item.text("release", "current"),
            signature=item.file_at("signature"),
            external=item.truth("external"),
        )
        for item in at.each("logs")
    )


def claims(at: Cursor) -> dict[Step, Tier]:
    """Return what the vendor claims."""
    return {Step(name): Tier(str(item)) for name, item in _children(at, "claims")}


def policy(update: Cursor, device_at: Cursor) -> Policy:
    """Return what the reader asks for: the update's entries before the device's, the waivers of both."""
    said = [item for item in (update.get("policy"), device_at.get("policy")) if item is not None]

    def word(key: str, default: str) -> str:
        return next((item.text(key) for item in said if key in item), default)

    gate = next((_gate(item) for item in said if "gate" in item), {})
    severity = word("fail_on_findings", "")
    return Policy(
        gate=gate,
        reading=word("reading", "letter"),
        send_endpoint=word("send_endpoint", "device"),
        fail_on_findings=Severity(severity) if severity else None,
        waivers=tuple(_waiver(entry) for item in said for entry in item.each("waivers")),
    )


def _gate(at: Cursor) -> Mapping[Step, Tier]:
    one = at.text("gate")
    if one:
        return dict.fromkeys(Step, Tier(one))
    return {Step(name): Tier(str(item)) for name, item in _children(at, "gate")}


def _waiver(at: Cursor) -> Waiver:
    return Waiver(
        requirement=at.text("requirement"),
        owner=at.text("owner"),
        reason=at.text("reason"),
        expires=at.text("expires"),
        place=at.place,
    )


def _children(at: Cursor, key: str) -> Iterator[tuple[str, Cursor]]:
    child = at.get(key)
    if child is not None:
        yield from ((name, child.at(name)) for name in child.keys())  # noqa: SIM118


def _mapping(at: Cursor) -> dict[str, Value]:
    return {name: at.at(name).value() for name in at.keys()}  # noqa: SIM118
