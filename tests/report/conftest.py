"""Assessments made from the model's types alone, so that outputs are tested without the rooms that fill them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import strategies as st

from checker.model.artifact import (
    INEXPRESSIBLE,
    Artifact,
    AuthKind,
    CertificateFacts,
    ChainFacts,
    Coverage,
    DigestCheck,
    Encryption,
    Image,
    KeyFacts,
    Recipient,
    Signature,
    Span,
    Version,
    Weakness,
)
from checker.model.assessment import (
    Assessment,
    Counts,
    Fix,
    GateItem,
    GateResult,
    Identity,
    Observation,
    Row,
)
from checker.model.evidence import Evidence, EvidenceSet, Expectation, Origin, Slot
from checker.model.finding import Finding, Judgement, Observed
from checker.model.requirement import (
    Cell,
    CrosswalkEntry,
    Dependency,
    Reference,
    Requirement,
    RowRules,
    RuleSet,
)
from checker.model.subject import Subject, SubjectKind
from checker.model.terms import (
    CELL_TIERS,
    Grade,
    Method,
    Outcome,
    Party,
    Reading,
    Reason,
    Severity,
    Step,
    Tier,
    Verdict,
)

HOSTILE = (
    "<script>alert(1)</script>",
    "\"><img src=x onerror=alert(1)> '&amp;",
    "\u202egnp.erawmrif\u202c",
    "bell\x07 esc\x1b[31mred\x1b[0m nul\x00 c1\x9b31m",
    "{{ 7*7 }}{% raw %}",
    "</style><style>*{display:none}",
    "lone \ud800 surrogate",
    "line\nbreak\ttab\r\nFAKE: gate met",
)
BASIC, UPGRADED, ENHANCED, QUANTUM = CELL_TIERS
NONE = "No special assumption."
# step, title, description, ceiling, the table's words for the four cells ("" where the cell is by reference)
TABLE: tuple[tuple[Step, str, str, Tier, tuple[str, str, str, str]], ...] = (
    (Step.SIGN, "Sign", "Update signed.", QUANTUM,
     ("128-bit hash.", "NIST key management for hashing.", "Secure memory, PKI.", "SHA3-256 or Lamport.")),
    (Step.PROTECT, "Protect", "Encryption and/or obfuscation", QUANTUM,
     ("Ephemeral, unique AES-128 keys in device.", "NIST key management for decryption.", "Secure memory, PKI.",
      "LWE or RLWE key exchange")),
    (Step.SEND, "Send", "Communicated to target device.", ENHANCED, (NONE, "Endpoint verification", "PKI.", "")),
    (Step.RECEIVE, "Receive", "Target device receives update.", ENHANCED,
     (NONE, "Best practices (e.g. TLSv1.2, cert. pinning)", "TLSv1.3.", "")),
    (Step.CHECK, "Check", "Target validates, decrypts, and processes as needed.", BASIC,
     ("Validation, decryption w/per-device keys.", "", "", "")),
    (Step.ANNOUNCE, "Announce", "End-user notified about / approves update install.", BASIC,
     ("Optional end-user approval", "", "", "")),
    (Step.DISTRIBUTE, "Distribute", "Image parsed, distributed to HW targets (e.g. CPU, FPGA).", UPGRADED,
     (NONE, "Encrypted in motion; can target multiple layers.", "", "")),
    (Step.PROCESS, "Process", "Hardware target receives, validates, and decrypts image.", QUANTUM,
     ("Target hardware validates, decrypts.", "Target validation, decryption w/ AES-256.",
      "Target and image validation w/ AES-256.", "SHA3-256 or Lamport.")),
    (Step.STAGE, "Stage", "System-specific pre update tasks.", BASIC, ("Manufacturer defined.", "", "", "")),
    (Step.APPLY, "Apply", "Image install process runs.", UPGRADED,
     (NONE, "Opt. update and end-user coordination, data persistence.", "", "")),
    (Step.REVERIFY, "Re-verify", "Install integrity check; optional communication of results.", QUANTUM,
     ("Install results validated.", "Validated with hash, checksum.", "Minimum CRC-16 checksum and AES-256 hash.",
      "SHA3-256 or Lamport hash and checksum.")),
    (Step.ACTIVATE, "Activate", "New code executes if verified.", BASIC, (NONE, "", "", "")),
    (Step.CLEANUP, "Clean-up", "System-specific: verification, messaging, and clean up", UPGRADED,
     (NONE, "Local notification and external logging of update.", "", "")),
)  # fmt: skip
SLIDES = {
    (Step.REVERIFY, UPGRADED): "Install validated w/hash (AES-256), checksum (CRC-16).",
    (Step.REVERIFY, ENHANCED): "See Upgraded (+1).",
    (Step.APPLY, BASIC): "Actual image install process is run.",
}
CONFLICTS = {(Step.REVERIFY, UPGRADED): "D4", (Step.REVERIFY, ENHANCED): "D5", (Step.APPLY, BASIC): "D1"}
TITLES = {
    "SIGN-B1": "An authenticator of the deliverable verifies with a declared key",
    "SIGN-B2": "Every payload byte is covered by the signature, by digest and exact size",
    "SIGN-B3": "The signature rests on a hash of at least 128-bit collision strength",
    "SIGN-B4": "The signing key has at least 112 bits of security",
    "SIGN-E1": "The producer's signing key cannot leave its hardware module",
    "SIGN-E3-PK7": "Revocation exists and a revoked signer is refused",
    "PROT-B2": "Keys differ from device to device",
    "RECV-U1": "TLS 1.2 or later on both sides; older versions are refused",
    "RECV-U4": "The client accepts the declared pin only",
    "CHECK-B2": "The device refuses every tampered deliverable, for the right reason",
    "REV-E2": "The installed image is compared by an AES-256 hash or one of its documented equivalents",
}
# how many requirements a cell has in the large rule set; every other filled cell has two
SIZES = {
    (Step.SIGN, BASIC): 4, (Step.SIGN, UPGRADED): 12, (Step.SIGN, ENHANCED): 11, (Step.SIGN, QUANTUM): 4,
    (Step.PROTECT, BASIC): 4, (Step.PROTECT, UPGRADED): 15, (Step.PROTECT, ENHANCED): 11, (Step.PROTECT, QUANTUM): 3,
    (Step.SEND, UPGRADED): 4, (Step.SEND, ENHANCED): 14, (Step.RECEIVE, UPGRADED): 6, (Step.RECEIVE, ENHANCED): 3,
    (Step.CHECK, BASIC): 5, (Step.ANNOUNCE, BASIC): 4, (Step.PROCESS, BASIC): 3, (Step.REVERIFY, ENHANCED): 3,
    (Step.CLEANUP, UPGRADED): 4, (Step.SEND, BASIC): 1, (Step.RECEIVE, BASIC): 1, (Step.DISTRIBUTE, BASIC): 1,
    (Step.APPLY, BASIC): 1, (Step.CLEANUP, BASIC): 1,
}  # fmt: skip
PREFIX = {
    Step.SIGN: "SIGN", Step.PROTECT: "PROT", Step.SEND: "SEND", Step.RECEIVE: "RECV", Step.CHECK: "CHECK",
    Step.ANNOUNCE: "ANN", Step.DISTRIBUTE: "DIST", Step.PROCESS: "PROC", Step.STAGE: "STAGE", Step.APPLY: "APPLY",
    Step.REVERIFY: "REV", Step.ACTIVATE: "ACT", Step.CLEANUP: "CLEAN",
}  # fmt: skip
LETTER = {BASIC: "B", UPGRADED: "U", ENHANCED: "E", QUANTUM: "Q"}
SHA = "3f5a" * 16
KEYS = tuple((grade, reading) for grade in Grade for reading in Reading)


def requirement(step: Step, tier: Tier, number: int, **changes: object) -> Requirement:
    name = f"{PREFIX[step]}-{LETTER[tier]}{number}"
    base = Requirement(
        id=name,
        step=step,
        tier=tier,
        title=TITLES.get(name, f"The {step} step shows property {number} of its {tier} cell in the evidence"),
        reading="The words of the cell are taken to mean that the property holds for each deliverable of the update, "
        "and that the tool itself can see it in the bytes at hand.",
        check=None,
        fix={"fail": "Change the signing configuration and release again.", "unknown": "Add the manifest file."},
        effort=1 + number % 5,
        references=(
            Reference(document="SP 800-57pt1r5", section="5.6.1", status="S"),
            Reference(document="RFC 9124", section="4.3.4", status="V"),
            Reference(document="OWASP Pinning Cheat Sheet", section="from memory", status="M"),
        ),
    )
    return replace(base, **changes)  # type: ignore[arg-type]


def rule_set(texts: Sequence[str] = ()) -> RuleSet:
    requirements, cells = [], []
    for step, _, _, _, words in TABLE:
        for tier, text in zip(CELL_TIERS, words, strict=True):
            key = (step, tier)
            cells.append(
                Cell(step=step, tier=tier, table=text, slide=SLIDES.get(key, ""), by_reference=not text,
                     conflict=CONFLICTS.get(key, ""), ruling="The table governs." if key in CONFLICTS else "")
            )  # fmt: skip
            count = SIZES.get(key, 2) if text else 0
            requirements += [requirement(step, tier, number) for number in range(1, count + 1)]
    requirements.append(
        requirement(Step.CLEANUP, UPGRADED, 9, blocking=False, title="No temporary keys are left behind")
    )
    return RuleSet(
        id="ntia-2017",
        title=texts[0] if texts else "July 2017 NTIA Capabilities working-group table",
        version="1.0.0",
        digest="9c1d" * 16,
        rows={
            step: RowRules(
                step=step,
                title=title,
                description=about,
                ceiling=top,
                security=step in {Step.SIGN, Step.PROTECT, Step.CHECK},
            )
            for step, title, about, top, _ in TABLE
        },
        cells=tuple(cells),
        requirements=tuple(requirements),
        dependencies=(Dependency(id="DEP7", why="Re-verify reaches no further than what Sign covers"),),
        crosswalk=(
            CrosswalkEntry(
                step=Step.SIGN,
                tiers=(BASIC,),
                references=(
                    Reference(document="ETSI EN 303 645 V2.1.1", section="5.3-9"),
                    Reference(document="NISTIR 8259A", section="SU-2", status="S"),
                    Reference(document="EN 18031-1", section="SUM-2", status="M"),
                ),
            ),
            CrosswalkEntry(
                step=Step.RECEIVE,
                tiers=(UPGRADED, ENHANCED),
                references=(Reference(document="ETSI EN 303 645 V2.1.1", section="5.5-1"),),
            ),
        ),
        tables={},
    )


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What an assessment is to look like; whatever is not named gets `default`."""

    default: Verdict = Verdict.UNKNOWN
    verdicts: Mapping[str, Verdict] = field(default_factory=dict)  # by id, or by its beginning
    modern: Mapping[str, Verdict] = field(default_factory=dict)
    documented: Mapping[str, Verdict] = field(default_factory=dict)
    methods: Mapping[str, Method] = field(default_factory=dict)
    claims: Mapping[Step, Tier] = field(default_factory=dict)
    excluded: Mapping[Step, str] = field(default_factory=dict)
    below: frozenset[Step] = frozenset()
    gate: Verdict = Verdict.UNKNOWN
    texts: tuple[str, ...] = ()  # strangers' words, used wherever a stranger's words appear
    records: int = 12

    def text(self, index: int, otherwise: str) -> str:
        return self.texts[index % len(self.texts)] if self.texts else otherwise


def _lookup(table: Mapping[str, object], name: str, otherwise: object) -> object:
    found = [key for key in table if name == key or name.startswith(key)]
    return table[max(found, key=len)] if found else otherwise


def verdict_of(plan: Plan, item: Requirement, grade: Grade, reading: Reading) -> Verdict:
    if item.step in plan.excluded:
        return Verdict.NOT_APPLICABLE
    found = _lookup(plan.verdicts, item.id, plan.default)
    if grade is Grade.DOCUMENTED:
        found = _lookup(plan.documented, item.id, found)
    if reading is Reading.MODERN:
        found = _lookup(plan.modern, item.id, found)
    assert isinstance(found, Verdict)
    return found


def method_of(plan: Plan, item: Requirement) -> Method:
    found = _lookup(plan.methods, item.id, Method.TESTED)
    assert isinstance(found, Method)
    return found


EXPLAIN = {
    Verdict.PASS: (None, "2 of 2 signatures meet it"),
    Verdict.FAIL: (Reason.CONTRADICTED, "1 of 2 signatures does not meet it"),
    Verdict.UNKNOWN: (Reason.MISSING_ARTIFACT, "no release earlier than 2.4.1 was given, so nothing can be compared"),
    Verdict.NOT_APPLICABLE: (Reason.CONDITION_FALSE, "the images are public"),
}


def finding(plan: Plan, item: Requirement, number: int) -> Finding:
    def judge(grade: Grade, reading: Reading) -> Judgement:
        verdict = verdict_of(plan, item, grade, reading)
        reason, explanation = EXPLAIN[verdict]
        method = method_of(plan, item) if verdict is Verdict.PASS else None
        return Judgement(verdict=verdict, reason=reason, explanation=plan.text(number, explanation), method=method,
                         by_document=verdict is Verdict.PASS and method is Method.EXAMINED)  # fmt: skip

    verdict = verdict_of(plan, item, Grade.PROVED, Reading.LETTER)
    seen = verdict in {Verdict.PASS, Verdict.FAIL}
    return Finding(
        requirement=item,
        judgements={(grade, reading): judge(grade, reading) for grade, reading in KEYS},
        observed=tuple(observed(plan, item, number + extra, verdict) for extra in range(1 + number % 4 if seen else 0)),
        expected=plan.text(number + 1, "hash.collision_bits is at least 128, for every signature of the deliverable"),
        fix=""
        if verdict is Verdict.PASS
        else plan.text(number + 2, "Sign with SHA-256 or stronger and release again."),
        per_target={"main": judge(Grade.PROVED, Reading.LETTER)} if item.step is Step.PROCESS else {},
    )


def observed(plan: Plan, item: Requirement, number: int, verdict: Verdict) -> Observed:
    return Observed(
        kind="signature",
        subject=plan.text(number, f"artifact:gw200-2.4.{number % 3}-A.swu"),
        field="hash.collision_bits",
        value=(64 if verdict is Verdict.FAIL else 128) if number % 2 else plan.text(number, "sha-256"),
        expected="at least 128",
        method=method_of(plan, item),
        party=Party.FIRST,
        origin=Origin(file=plan.text(number, "gw200-2.4.1-A.swu"), sha256=SHA, pointer="0x1c0..0x200"),
        verdict=verdict,
    )


def row_tier(plan: Plan, rules: RuleSet, step: Step, key: tuple[Grade, Reading]) -> Tier:
    if step in plan.below:
        return Tier.BELOW_BASIC
    best = Tier.NONE
    for tier in CELL_TIERS:
        need = [item for item in rules.requirements if (item.step, item.tier) == (step, tier) and item.blocking]
        if any(verdict_of(plan, item, *key) in {Verdict.FAIL, Verdict.UNKNOWN} for item in need):
            break
        best = tier
    return best


def row(plan: Plan, rules: RuleSet, step: Step) -> Row:
    tiers = {key: row_tier(plan, rules, step, key) for key in KEYS}
    proved = tiers[Grade.PROVED, Reading.LETTER]
    ceiling = rules.rows[step].ceiling
    following = None if proved.rank >= ceiling.rank else CELL_TIERS[proved.rank]
    blocking = [item for item in rules.requirements if item.step is step and item.tier is following and item.blocking]
    states = {item.id: verdict_of(plan, item, Grade.PROVED, Reading.LETTER) for item in blocking}
    blocked = tuple(name for name, state in states.items() if state in {Verdict.FAIL, Verdict.UNKNOWN})
    claim = plan.claims.get(step)
    return Row(
        step=step,
        tiers=tiers,
        claimed=claim,
        ceiling=ceiling,
        not_applicable=plan.excluded.get(step, ""),
        next_tier=None if step in plan.excluded else following,
        blocked_by=() if step in plan.excluded else blocked,
        capped_by=("DEP7",) if step is Step.REVERIFY and step not in plan.excluded else (),
        fixes=tuple(Fix(requirement=name, step=step, verdict=states[name], effort=2,
                        text=plan.text(3, "Sign with SHA-256 or stronger and release again."))
                    for name in blocked[:3]),
        per_target={"main": proved, "radio": Tier.BASIC} if step is Step.PROCESS else {},
        contradiction=plan.text(4, "Claimed +2 Enhanced, but RECV-U1 failed: the endpoint accepts TLS 1.0.")
        if claim and any(state is Verdict.FAIL for state in states.values()) else "",
        letter_only=step is Step.SIGN and bool(plan.modern),
    )  # fmt: skip


def artifact(plan: Plan, depth: int = 1) -> Artifact:
    key = KeyFacts(id="ab12" * 16, algorithm="rsa", bits=2048, strength=112, name=plan.text(5, "image-signing"),
                   declared=True, exponent=65537)  # fmt: skip
    leaf = CertificateFacts(
        sha256=SHA, subject=plan.text(6, "CN=Acme image signing 2026"), issuer="CN=Acme CA", serial="1f" * 9, key=key,
        signature_algorithm="rsa-pkcs1v15", signature_hash="sha-256", not_before="2026-01-01T00:00:00Z",
        not_after="2029-01-01T00:00:00Z", ca=False, key_usage=("digitalSignature",),
        extended_key_usage=("codeSigning",),
    )  # fmt: skip
    inner = artifact(plan, depth - 1) if depth else None
    return Artifact(
        format="swupdate" if depth else "mcuboot",
        title="SWUpdate image (.swu), cpio newc with checksums" if depth else "MCUboot image",
        name=plan.text(7, "gw200-2.4.1-A.swu" if depth else "radio.bin"),
        size=8_388_608 if depth else 131_072,
        sha256=SHA,
        signatures=(
            Signature(outcome=Outcome.VALID if depth else Outcome.KEY_UNKNOWN, algorithm="rsa-pkcs1v15", hash="sha-256",
                      key=key, covers=(Span(0x70, 0x4A0),), where=Span(0x510, 0x610), encoding="CMS detached",
                      chain=ChainFacts(certificates=(leaf,), valid=True, anchor="cd" * 32, anchor_name="root.pem",
                                       checked_at="2026-10-01T00:00:00Z", revoked=False, expired=False)),
            Signature(outcome=Outcome.UNDECIDABLE, kind=AuthKind.MAC, algorithm="hmac", hash="sha-256"),
        ),
        coverage=Coverage(payload=(Span(0x700, 0x7F0000),), uncovered=() if depth else (Span(0x10, 0x20),),
                          metadata=("version", "hardware-compatibility"), unprotected_metadata=("location",),
                          size_bound=True),
        digests=(DigestCheck(name="rootfs", algorithm="sha-256", expected="00" * 32, actual="00" * 32,
                             covers=(Span(0x700, 0x7F0000),), authentic=True),
                 DigestCheck(name="boot", algorithm="sha-256", expected="11" * 32, actual=None)),
        encryption=(Encryption(encrypted=True, cipher="aes", mode="cbc", key_bits=256, nonce="0f" * 16),),
        recipients=(Recipient(algorithm="ecies-p256", key=KeyFacts(id="ee" * 32, algorithm="ec-p256", bits=256),
                              ephemeral="aa" * 32),),
        images=(Image(id=plan.text(8, "rootfs"), size=131_072, target="/dev/mmcblk0p2", hardware=("gw-200 1.0",),
                      span=Span(0x700, 0x7F0000), inner=inner, version=Version(version="2.4.1"),
                      note="" if inner else "not opened: nested too deep"),),
        version=Version(version=plan.text(9, "2.4.1"), sequence=INEXPRESSIBLE, authentic=True),
        hardware=("gw-200 1.0",) if depth else INEXPRESSIBLE,
        weaknesses=(Weakness(code="published-development-key", message=plan.text(10, "Signed with a published key"),
                             where="0x510"),),
        facts=(("bootloader", plan.text(11, "U-Boot")), ("huge", str(2**70))),
    )  # fmt: skip


def evidence(plan: Plan) -> EvidenceSet:
    methods, parties = list(Method), list(Party)
    kinds = ("signature", "chain", "tls_offer", "document", "log_event", "verifier_trial")
    records = [
        Evidence(
            kind=kinds[number % len(kinds)],
            subject=Subject(kind=SubjectKind.ARTIFACT, id=plan.text(number, f"gw200-2.4.{number % 3}.swu"), sha256=SHA),
            probe="artifact",
            method=methods[-1 - number % 3 % 2],
            party=parties[0 if number % 5 else 2],
            values={"name": plan.text(number, "sha-256"), "bits": 2**60 if number == 1 else 128, "list": [True, None]},
            origin=Origin(file=plan.text(number, "gw200-2.4.1-A.swu"), sha256=SHA, pointer=f"{number:#x}"),
            unavailable=Reason.NOT_RUN if number % 7 == 3 else None,
            explanation="run with --live" if number % 7 == 3 else "",
        )
        for number in range(plan.records)
    ]  # fmt: skip
    slot = Slot(kind="client_trial", subject=Subject(kind=SubjectKind.DEVICE, id=plan.text(1, "A")))
    return EvidenceSet.complete([Expectation(slot=slot, count=2, values={"device": "A"})], records)


def counted_as(verdicts: Sequence[Verdict]) -> Counts:
    return Counts(
        passed=verdicts.count(Verdict.PASS),
        failed=verdicts.count(Verdict.FAIL),
        unknown=verdicts.count(Verdict.UNKNOWN),
        not_applicable=verdicts.count(Verdict.NOT_APPLICABLE),
    )


def build(plan: Plan) -> Assessment:
    rules = rule_set(plan.texts)
    findings = tuple(finding(plan, item, number) for number, item in enumerate(rules.requirements))
    rows = tuple(row(plan, rules, step) for step in Step)
    proved = [item.judgement().verdict for item in findings if item.requirement.blocking]
    beside = [item.judgement().verdict for item in findings if not item.requirement.blocking]
    counted = [item for item in rows if item.step not in plan.excluded]
    overall = min((item.tier() for item in counted), key=lambda tier: tier.rank)
    fixes = tuple(fix for item in rows for fix in item.fixes[:1])
    return Assessment(
        identity=Identity(vendor=plan.text(0, "Acme"), model=plan.text(1, "GW-200"), update=plan.text(2, "gw200-2.4.1"),
                          version=plan.text(3, "2.4.1"), device_id="A", support_until="2032-12-31",
                          artifacts=tuple((plan.text(n, f"gw200-2.4.{n}-A.swu"), "swupdate", 8_388_608, SHA)
                                          for n in range(3))),
        as_of="2026-10-01T00:00:00Z",
        reading=Reading.LETTER,
        tool_version="0.1.0",
        rules=rules,
        rows=rows,
        findings=findings,
        observations=tuple(observations(plan)),
        overall=overall,
        overall_security=overall,
        counts=replace(counted_as(proved), advisory=counted_as(beside)),
        gate=GateResult(verdict=plan.gate, items=(
            GateItem(step=Step.SIGN, tier=ENHANCED, verdict=plan.gate, reason=plan.text(5, "SIGN-E1 is not proven")),
            GateItem(step=Step.CHECK, tier=BASIC, verdict=Verdict.PASS))),
        evidence=evidence(plan),
        artifacts=(artifact(plan), artifact(plan, 0)),
        excluded=tuple(plan.excluded),
        next_fixes=fixes,
    )  # fmt: skip


def observations(plan: Plan) -> Iterable[Observation]:
    origin = Origin(file=plan.text(2, "gw200-2.4.1-A.swu"), sha256=SHA, pointer="0x510")
    for code, severity, step, message in (
        ("published-development-key", Severity.CRITICAL, Step.SIGN, "Signed with a published development key"),
        ("rollback-accepted", Severity.HIGH, Step.CHECK, "The older genuine release 2.3.0 was accepted"),
        ("CLEAN-U9", Severity.LOW, Step.CLEANUP, "Staged files were left after a failure"),
    ):
        yield Observation(code=code, severity=severity, step=step, message=plan.text(6, message),
                          subject=plan.text(7, "artifact:gw200-2.4.1-A.swu"), origin=origin,
                          fix=plan.text(4, "Sign with a key of your own."))  # fmt: skip


NORMAL = Plan(
    verdicts={
        "SIGN-B": Verdict.PASS, "SIGN-U": Verdict.PASS, "SIGN-E2": Verdict.PASS, "SIGN-E3": Verdict.PASS,
        "SIGN-Q1": Verdict.FAIL, "PROT-B": Verdict.PASS, "PROT-B2": Verdict.UNKNOWN, "SEND-B": Verdict.PASS,
        "RECV-B": Verdict.PASS, "RECV-U": Verdict.PASS, "RECV-U1": Verdict.FAIL, "CHECK": Verdict.PASS,
        "ANN": Verdict.PASS, "DIST-B": Verdict.PASS, "DIST-U": Verdict.NOT_APPLICABLE, "STAGE": Verdict.PASS,
        "APPLY": Verdict.PASS, "ACT": Verdict.FAIL, "REV-B": Verdict.PASS, "REV-U": Verdict.PASS,
        "CLEAN-B": Verdict.PASS,
    },
    documented={"PROT-B2": Verdict.PASS, "SIGN-E": Verdict.PASS, "CLEAN-U": Verdict.PASS},
    modern={"REV-E": Verdict.PASS},
    methods={
        "SEND-B": Method.DECLARED, "RECV-B": Method.DECLARED, "DIST-B": Method.DECLARED, "APPLY-B": Method.DECLARED,
        "CLEAN-B": Method.DECLARED, "ANN": Method.EXAMINED, "STAGE": Method.EXAMINED, "SIGN-U3": Method.EXAMINED,
    },
    claims={Step.SIGN: ENHANCED, Step.PROTECT: UPGRADED, Step.RECEIVE: ENHANCED, Step.PROCESS: BASIC},
    below=frozenset({Step.ACTIVATE}),
    gate=Verdict.FAIL,
    records=40,
)  # fmt: skip
DESCRIBED = ("SEND-B", "RECV-B", "DIST-B", "APPLY-B", "CLEAN-B", "ACT-B")
CLAIMS = Plan(
    verdicts=dict.fromkeys(DESCRIBED, Verdict.PASS),
    methods=dict.fromkeys(DESCRIBED, Method.DECLARED),
    claims={step: ceiling for step, _, _, ceiling, _ in TABLE},
)
PUBLIC = replace(NORMAL, excluded={Step.PROTECT: "The images are public: https://example.org/releases"})
FULL = Plan(default=Verdict.PASS, gate=Verdict.PASS)
EMPTY = Plan(records=0)
HOSTILE_PLAN = replace(
    NORMAL, texts=HOSTILE, excluded={Step.PROTECT: HOSTILE[0]}, claims=dict.fromkeys(Step, QUANTUM), records=60
)
PLANS = {
    "normal": NORMAL,
    "claims": CLAIMS,
    "public": PUBLIC,
    "full": FULL,
    "empty": EMPTY,
    "hostile": HOSTILE_PLAN,
}


@pytest.fixture(params=sorted(PLANS))
def any_assessment(request: pytest.FixtureRequest) -> Assessment:
    """Every sort of assessment in turn."""
    return build(PLANS[request.param])


@pytest.fixture
def make() -> Callable[[str], Assessment]:
    """Return the builder of a named assessment: normal, claims, public, full, empty or hostile."""
    return lambda name: build(PLANS[name])


@pytest.fixture
def hostile_texts() -> tuple[str, ...]:
    """Return the strangers' words of the hostile assessment."""
    return HOSTILE


@pytest.fixture
def plans() -> st.SearchStrategy[Assessment]:
    """Return a strategy of assessments with arbitrary verdicts, methods and strangers' words."""
    prefixes = sorted(PREFIX.values())
    verdicts = st.dictionaries(st.sampled_from(prefixes), st.sampled_from(list(Verdict)), max_size=13)
    text = st.text(st.characters(), max_size=30)  # surrogates and control characters too
    return st.builds(
        Plan,
        default=st.sampled_from(list(Verdict)),
        verdicts=verdicts,
        modern=verdicts,
        documented=verdicts,
        methods=st.dictionaries(st.sampled_from(prefixes), st.sampled_from(list(Method))),
        claims=st.dictionaries(st.sampled_from(list(Step)), st.sampled_from(list(Tier))),
        excluded=st.dictionaries(st.sampled_from([Step.PROTECT, Step.DISTRIBUTE]), text.filter(bool)),
        below=st.frozensets(st.sampled_from(list(Step)), max_size=3),
        gate=st.sampled_from([Verdict.PASS, Verdict.FAIL, Verdict.UNKNOWN]),
        texts=st.lists(text, max_size=4).map(tuple),
        records=st.integers(0, 20),
    ).map(build)
