"""A description as frozen types. Every value came from a YAML file and keeps its place there.

What an author leaves out is None or empty, which means unknown, never false. Field names follow ETSI TS 103 701's IXIT
where one fits (docs/descriptions.md lists them).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from checker.model.evidence import Value
from checker.model.terms import Party, Severity, Step, Tier


@dataclass(frozen=True, order=True)
class Place:
    """A position in a text file, 1-based."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True, kw_only=True)
class FileRef:
    """A path as the author wrote it (relative to the folder of the file that names it), with its place."""

    path: str
    place: Place


@dataclass(frozen=True, kw_only=True)
class Command:
    """How to run the device's own verifier or client. Never run without --active."""

    adapter: str
    argv: tuple[str, ...] = ()
    args: Mapping[str, str] = field(default_factory=dict)
    folder: str = ""  # of the file that names it, relative to the update's: paths in argv and args start there
    place: Place | None = None
    device: str = ""  # the unit that a verifier plays: what is for it is the genuine update
    boot: tuple[str, ...] = ()  # verifies again what is installed, and starts it
    report: tuple[str, ...] = ()  # prints version, slots and counters
    state: FileRef | None = None  # a folder that every trial starts with a copy of
    installed: str = ""  # below the state: where an accepted update is written
    log: str = ""  # below the state: grows when something is refused
    reasons: Mapping[str, str] = field(default_factory=dict)  # by cause: a regular expression over what it prints


@dataclass(frozen=True, kw_only=True)
class SignerRef:
    """A private key of the laboratory, and the file of its certificates, its own first."""

    key: FileRef
    certificate: FileRef | None = None


@dataclass(frozen=True, kw_only=True)
class StagingRef:
    """Keys that the description lends to active tests (criteria.md section 7, rule 5); never shown anywhere."""

    signer: SignerRef | None = None
    authority: SignerRef | None = None
    revoked: SignerRef | None = None


@dataclass(frozen=True, kw_only=True)
class Target:
    """Everything that can be programmed: a CPU, a microcontroller, an FPGA and so on."""

    id: str
    place: Place
    kind: str = ""
    verifier: Command | None = None
    link: Mapping[str, str] = field(default_factory=dict)  # path from the distributor: bus, protocol, encryption
    image_key: str = ""  # id of the key in the inventory that this target decrypts or validates with


@dataclass(frozen=True, kw_only=True)
class TrustStore:
    """What verifies something: anchors, bare public keys, CRLs, pins; paths of PEM or DER files."""

    anchors: tuple[FileRef, ...] = ()
    intermediates: tuple[FileRef, ...] = ()
    keys: tuple[FileRef, ...] = ()
    crls: tuple[FileRef, ...] = ()
    pins: tuple[str, ...] = ()
    purposes: tuple[str, ...] = ()  # accepted extended key usages, dotted or by name


@dataclass(frozen=True, kw_only=True)
class InventoryKey:
    """One record of the key inventory (SP 800-57pt2r1). Dates are ISO 8601, in UTC."""

    id: str
    place: Place
    file: FileRef | None = None  # the public half, or a certificate
    spki_sha256: str = ""
    format_id: str = ""  # the key id that artifacts carry, where it is not the SPKI digest
    type: str = ""  # private-signature, symmetric-wrapping, ephemeral-agreement … (SP 800-57pt1r5 5.1.1)
    algorithm: str = ""
    size: int | None = None
    purposes: tuple[str, ...] = ()  # image-signing, tls, device-identity, key-wrapping, log-signing …
    owner: str = ""
    created: str = ""
    activated: str = ""
    expires: str = ""
    state: str = ""  # pre-active active suspended deactivated compromised destroyed
    state_since: str = ""
    storage: str = ""
    module_certificate: str = ""
    cryptoperiod_override: str = ""  # a documented reason for a longer cryptoperiod
    device: str = ""  # for a per-device key


@dataclass(frozen=True, kw_only=True)
class DocumentRef:
    """A document, the clause and the words that matter, and the requirements that it speaks to."""

    id: str
    file: FileRef
    place: Place
    clause: str = ""
    quote: str = ""
    sha256: str = ""
    party: Party = Party.FIRST
    proves: tuple[str, ...] = ()  # requirement ids; a trailing * matches a family (SIGN-U*)
    dated: str = ""
    valid_until: str = ""


@dataclass(frozen=True, kw_only=True)
class AttestationRef:
    """A signed statement of a hardware root: what it proves, and the root it chains to."""

    file: FileRef
    place: Place
    proves: tuple[str, ...]
    kind: str = "auto"
    root: FileRef | None = None
    nonce: str = ""  # hexadecimal
    target: str = ""  # the hardware target that it speaks of
    companions: Mapping[str, FileRef] = field(default_factory=dict)  # further files, by the kind's names for them


@dataclass(frozen=True, kw_only=True)
class StepDescription:
    """Who does a step, by what, under which trigger; `details` keeps every further field of the schema."""

    step: Step
    place: Place
    who: str = ""
    by: str = ""
    channel: str = ""
    trigger: str = ""
    not_applicable: str = ""  # a written reason
    details: Mapping[str, Value] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Device:
    """One model: identity, targets, trust, keys, steps, documents."""

    file: str
    sha256: str
    vendor: str
    model: str
    id: str = ""
    support_until: str = ""
    targets: tuple[Target, ...] = ()
    trust_images: TrustStore = TrustStore()
    trust_transport: TrustStore = TrustStore()
    trust_logs: TrustStore = TrustStore()
    trust_devices: TrustStore = TrustStore()
    keys: tuple[InventoryKey, ...] | None = None  # None: no inventory was given
    key_inventory_file: FileRef | None = None
    steps: Mapping[Step, StepDescription] = field(default_factory=dict)
    documents: tuple[DocumentRef, ...] = ()
    attestations: tuple[AttestationRef, ...] = ()
    staging: StagingRef = StagingRef()
    policy: Mapping[str, Value] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class ArtifactRef:
    """One update file: for which device and release, in which role, with which keys."""

    file: FileRef
    place: Place
    id: str
    format: str = "auto"
    role: str = "deliverable"
    device: str = ""
    release: str = "current"  # current | previous | any other word
    target: str = ""
    signature: FileRef | None = None  # a detached signature
    companions: Mapping[str, FileRef] = field(default_factory=dict)  # further files, by the format's names for them
    decryption_keys: tuple[FileRef, ...] = ()
    plaintext_sha256: str = ""
    options: Mapping[str, str] = field(default_factory=dict)  # for the format: flash address, cipher …


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """Something that the device fetches from or reports to."""

    id: str
    url: str
    place: Place
    step: Step = Step.RECEIVE
    client_certificate: FileRef | None = None
    client_key: FileRef | None = None
    expired_certificate: FileRef | None = None  # of the right authority, for the trial that it is refused
    expired_key: FileRef | None = None
    psk_identity: str = ""
    psk_key: FileRef | None = None
    timeout: int | None = None  # seconds; None: as the command line says
    gentle: bool | None = None
    rate: int | None = None  # connections per second


@dataclass(frozen=True, kw_only=True)
class LogRef:
    """One update log (JSON Lines of `schemas/log-event`), of one device."""

    file: FileRef
    place: Place
    device: str = ""
    release: str = "current"
    signature: FileRef | None = None  # a DSSE envelope over it; None: in the file itself, hash-chained, or unsigned
    external: bool = False  # fetched from outside the device


@dataclass(frozen=True, kw_only=True)
class Waiver:
    """A dated exception of the gate: never of a verdict or a tier."""

    requirement: str
    owner: str
    reason: str
    expires: str
    place: Place


@dataclass(frozen=True, kw_only=True)
class Policy:
    """What the reader of the report asks for; facts are not touched by it."""

    gate: Mapping[Step, Tier] = field(default_factory=dict)
    reading: str = "letter"
    send_endpoint: str = "device"  # device | mutual | either
    fail_on_findings: Severity | None = None
    waivers: tuple[Waiver, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Description:
    """A device and one update of it, read completely and checked."""

    file: str
    folder: str  # where the update description lies; all its paths are relative to it
    sha256: str
    id: str
    version: str
    device: Device
    artifacts: tuple[ArtifactRef, ...] = ()
    endpoints: tuple[Endpoint, ...] = ()
    verifier: Command | None = None
    client: Command | None = None
    staging: StagingRef = StagingRef()  # the update's keys before the device's
    logs: tuple[LogRef, ...] = ()
    documents: tuple[DocumentRef, ...] = ()  # of the device and of the update together
    attestations: tuple[AttestationRef, ...] = ()
    steps: Mapping[Step, StepDescription] = field(default_factory=dict)  # the update's words over the device's
    claims: Mapping[Step, Tier] = field(default_factory=dict)
    policy: Policy = Policy()
