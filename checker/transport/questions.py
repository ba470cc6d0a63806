"""The set questions: "do you accept any of these?" in one hello, and the same again without the answer (tls.md 3.3).

What is accepted is named; what remains when the endpoint says no is known to be refused. A set that was not asked to
its end stays open, and an endpoint that says nothing has not said no.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Final

from checker.crypto.tls import messages, names
from checker.crypto.tls.messages import TLS12, TLS13, Hello
from checker.crypto.tls.session import Session, signs_key_exchange
from checker.model.endpoint import Answer, Fact, Offender, Offer
from checker.transport.ask import Kind, Reply, ask
from checker.transport.link import Run

REFUSALS: Final = frozenset({40, 47, 60, 70, 71})  # alerts that say no; others (internal_error …) say something else
SLOW_ROUNDS: Final = 2  # how often one set is asked on a slow link: its answer, and one name more
DATAGRAM_SUITES: Final = 30  # of one DTLS hello: GnuTLS falls silent on 325, and answers short lists (tls.md 6)
SILENT_SETS: Final = 3  # silent DTLS sets in a row, after which no more are asked
FORBIDDEN: Final = frozenset(  # classes of suites that guidelines forbid or advise against (RFC 9325 4.1, RFC 10015)
    {
        *("null", "anonymous", "export", "rc4", "rc2", "des", "3des", "idea", "md5"),
        *("static-rsa", "static-dh", "kerberos", "srp", "gost", "cbc"),
    }
)
_WEAK_PARTS: Final = ("null", "anonymous", "broken", "other", "static-dh")  # asked as one set: most servers refuse all
_EPHEMERAL: Final = tuple(
    number
    for part in ("aead-ecdhe", "cbc")
    for number in names.SUITE_PARTS[part]
    if names.SUITES[number].startswith("TLS_ECDHE_")
)
_INTERNAL_ERROR, _HANDSHAKE_FAILURE = 80, 40
# One that lacks a version takes another one of the first hello. OpenSSL with external keys alone (TLS 1.3), and GnuTLS
# with raw public keys alone, answer every hello so.
_WITH_KEYS: Final = frozenset({"TLSv1.2", "TLSv1.3"})
_PERHAPS_KEYS: Final = "answers handshake_failure (40), as one does that takes pre-shared or raw public keys alone"
PLAIN: Final[Mapping[str, Any]] = MappingProxyType({})
_WEAK_PRIME: Final = 2048  # bits; RFC 9325 4.1 calls shorter ones insufficient


Question = Callable[[tuple[int, ...]], Awaitable[Reply]]
Chosen = Callable[[Reply], int | None]


@dataclass
class Found:
    """What one set led to: members in the order of the answers, their replies, and how the asking ended."""

    members: tuple[int, ...]
    question: Question | None = None
    chosen: Chosen | None = None
    replies: dict[int, Reply] = field(default_factory=dict)
    last: Reply | None = None
    complete: bool = False

    @property
    def accepted(self) -> tuple[int, ...]:
        """Return the members that were accepted."""
        return tuple(self.replies)

    @property
    def silent(self) -> bool:
        """Return whether the last question met silence."""
        return self.last is not None and self.last.kind is Kind.TIMEOUT

    def answer(self, wanted: Iterable[int]) -> Fact:
        """Return whether any of these members is accepted."""
        hit = next((self.replies[member] for member in wanted if member in self.replies), None)
        if hit is not None:
            return hit.fact(Answer.YES)
        if self.last is None:
            return Fact(reason="the set was not asked")
        return self.last.fact(
            Answer.NO if self.complete else Answer.NOT_SHOWN, "" if self.complete else _open(self.last)
        )


def _open(reply: Reply) -> str:
    return reply.reason or "the set was not asked to its end"


def refuses(reply: Reply) -> bool:
    """Return whether a reply says no: an alert that means it, or an internal error each time that it was asked."""
    return reply.kind is Kind.ALERT and (reply.alert in REFUSALS or reply.repeated)


class Survey:
    """Everything that raw hellos find out about one endpoint."""

    def __init__(self, run: Run, first: Reply, *, everything: bool, style: Mapping[str, Any] = PLAIN) -> None:
        self.run = run
        self.style = style
        self.first = first
        self.rounds = None if everything else SLOW_ROUNDS
        self.versions: dict[str, Reply] = {}
        self.sets: dict[str, dict[str, Found]] = {}  # version → question → what it led to
        self.groups: dict[str, Found] = {}
        self.schemes: Found | None = None
        self.sha1: Found | None = None
        self.compressed: Reply | None = None
        self.raw_key: Reply | None = None

    async def all(self) -> None:
        """Ask every question; those that need no other's answer go side by side."""
        if self.run.target.datagram:
            await self._datagrams()
            return
        await asyncio.gather(
            *(self._version(name) for name in ("SSLv3", "TLSv1.0", "TLSv1.1", "TLSv1.2", "TLSv1.3")),
            self._suites("TLSv1.2"),
            self._suites13(),
            self._group_set("post-quantum", ("hybrid", "ml-kem", "kyber-draft")),
            self._group_set("classical", ("classical",)),
            self._weak_curves(),
            self._sha1(),
        )
        await self._later()

    async def _later(self) -> None:
        await asyncio.gather(self._older(), self._curves12(), self._schemes12())

    async def _version(self, name: str) -> None:
        number = names.VERSIONS[name]
        style = {key: item for key, item in self.style.items() if number != TLS13 or key != "suites"}
        self.versions[name] = await self._ask(self.hello(number, **style), f"does it speak {name}?")

    def hello(self, version: int, **changes: Any) -> Hello:  # noqa: ANN401 - fields of a Hello
        """Return a broad hello of one version (or, for TLS 1.3, of that alone), with changes."""
        if version == TLS13:
            plain = Hello(
                versions=(TLS13,),
                suites=names.TLS13_SUITES,
                random=self.run.options.random(32),
                session_id=self.run.options.random(32),
                groups=(*names.GROUP_PARTS["hybrid"], *names.GROUP_PARTS["ml-kem"], *names.GROUP_PARTS["classical"]),
                schemes=names.OFFERED_SCHEMES,
                server_name=self.run.target.name,
                alpn=self.run.alpn,
            )
        else:
            plain = Hello(
                versions=(version,),
                suites=DATAGRAM_FIRST if self.run.target.datagram else EVERY_SUITE,
                random=self.run.options.random(32),
                groups=names.CURVES,
                schemes=names.OFFERED_SCHEMES if version in {TLS12, names.VERSIONS["DTLSv1.2"]} else (),
                server_name=self.run.target.name,
                alpn=self.run.alpn,
                compression=(1, 0) if version == TLS12 else (0,),
                extra=self.style.get("extra", ()),
            )
        return replace(plain, **changes)

    async def exhaust(self, found: Found) -> Found:
        """Ask for any of a set until the endpoint refuses what is left, or the rounds are used up."""
        left, asked = tuple(item for item in found.members if item not in found.replies), 0
        while found.question and found.chosen and left and (self.rounds is None or asked < self.rounds):
            reply, asked = await found.question(left), asked + 1
            found.last = reply
            member = found.chosen(reply)
            if member not in left:
                found.complete = refuses(reply)
                return found
            found.replies[member] = reply
            left = tuple(item for item in left if item != member)
        found.complete = not left
        return found

    async def _ask(self, hello: Hello, purpose: str, *, whole_flight: bool = False) -> Reply:
        """Ask a question; an internal error is asked again, for it may be a mishap or the way that a version is off."""
        reply = await ask(self.run, hello, purpose, whole_flight=whole_flight)
        if reply.kind is not Kind.ALERT or reply.alert != _INTERNAL_ERROR:
            return reply
        again = replace(hello, random=self.run.options.random(32))
        second = await ask(self.run, again, f"{purpose} (again)", whole_flight=whole_flight)
        return replace(second, repeated=second.alert == reply.alert)

    @property
    def silent(self) -> bool:
        """Return whether some question met silence."""
        return any(reply.kind is Kind.TIMEOUT for reply in self.replies())

    async def again(self) -> None:
        """Ask what met silence once more, one after the other: some servers serve one connection at a time."""
        quiet = 0
        for name in [name for name, reply in self.versions.items() if reply.kind is Kind.TIMEOUT]:
            await self._version(name)
            quiet = quiet + 1 if self.versions[name].kind is Kind.TIMEOUT else 0
            if quiet >= SILENT_SETS:
                return
        for found in [item for item in self._every() if item.silent]:
            await self.exhaust(found)
            quiet = quiet + 1 if found.silent else 0
            if quiet >= SILENT_SETS:
                return
        await self._later()

    async def _suites(self, version: str) -> None:
        number = names.VERSIONS[version]

        def chosen(reply: Reply) -> int | None:
            return reply.suite if reply.hello is not None and reply.hello.version == number else None

        def asker(name: str) -> Question:
            flight = name in {"psk", "ffdhe"}  # for the identity hint and the prime, which come later in the flight
            return lambda left: self._ask(
                self.hello(number, suites=(*left, names.RENEGOTIATION_SCSV), compression=(0,)),
                f"does it accept any of {len(left)} suites ({name}) in {version}?",
                whole_flight=flight and len(left) == len(SETS[name]),
            )

        self.sets[version] = {name: Found(members, asker(name), chosen) for name, members in SETS.items()}
        await asyncio.gather(*(self.exhaust(found) for found in self.sets[version].values()))

    async def _older(self) -> None:
        """Name the suites of versions below TLS 1.2, where the endpoint speaks them."""
        older = [name for name in ("SSLv3", "TLSv1.0", "TLSv1.1") if name not in self.sets]
        await asyncio.gather(*(self._suites(name) for name in older if self.speaks(name).answer is Answer.YES))

    async def _suites13(self) -> None:
        found = Found(
            names.TLS13_SUITES,
            lambda left: self._ask(
                self.hello(TLS13, suites=left), f"does it accept any of {len(left)} suites of TLS 1.3?"
            ),
            lambda reply: reply.suite if reply.hello is not None and reply.hello.version == TLS13 else None,
        )
        self.sets["TLSv1.3"] = {"tls13": found}
        await self.exhaust(found)

    async def _group_set(self, title: str, parts: tuple[str, ...]) -> None:
        self.groups[title] = Found(
            tuple(number for part in parts for number in names.GROUP_PARTS[part]),
            lambda left: self._ask(
                self.hello(TLS13, groups=left), f"does it accept any of {len(left)} {title} groups in TLS 1.3?"
            ),
            lambda reply: reply.group if reply.retry is not None else None,
        )
        await self.exhaust(self.groups[title])

    async def _weak_curves(self) -> None:
        self.groups["weak"] = self._curves(names.WEAK_CURVES, "weak curves")
        await self.exhaust(self.groups["weak"])

    async def _curves12(self) -> None:
        """Name the curves of a TLS 1.2 server that does not speak TLS 1.3."""
        if self.speaks("TLSv1.3").answer is Answer.YES or self.speaks("TLSv1.2").answer is not Answer.YES:
            return
        self.groups["classical"] = self._curves(names.CURVES, "curves")
        await self.exhaust(self.groups["classical"])

    def _curves(self, members: tuple[int, ...], title: str) -> Found:
        return Found(
            members,
            lambda left: self._ask(
                self.hello(TLS12, groups=left, suites=_EPHEMERAL, compression=(0,)),
                f"does it accept any of {len(left)} {title} in TLS 1.2?",
                whole_flight=True,
            ),
            lambda reply: reply.session.group,
        )

    async def _sha1(self) -> None:
        self.sha1 = self._signatures(names.SHA1_SCHEMES, "with SHA-1")
        await self.exhaust(self.sha1)

    async def _schemes12(self) -> None:
        if self.schemes is None and self.rounds is None and self.speaks("TLSv1.2").answer is Answer.YES:
            self.schemes = self._signatures(names.MODERN_SCHEMES, "with SHA-256 and better")
            await self.exhaust(self.schemes)

    def _signatures(self, members: tuple[int, ...], title: str) -> Found:
        return Found(
            members,
            lambda left: self._ask(
                self.hello(TLS12, schemes=left, suites=_SIGNED, compression=(0,)),
                f"does it sign by any of {len(left)} schemes {title} in TLS 1.2?",
                whole_flight=True,
            ),
            lambda reply: reply.session.scheme,
        )

    async def other_certificate(self, schemes: tuple[int, ...]) -> tuple[Session, int] | None:
        """Return a session of TLS 1.2, and its transcript, whose certificate signs by one of these schemes."""
        hello = self.hello(TLS12, schemes=schemes, suites=_SIGNED, compression=(0,))
        reply = await self._ask(hello, "another kind of certificate?", whole_flight=True)
        if reply.session.scheme not in schemes or not signs_key_exchange(reply.session, reply.random):
            return None
        return reply.session, reply.exchange

    async def _datagrams(self) -> None:
        """Ask one after the other: a small DTLS server holds one session at a time."""
        for name in ("DTLSv1.2", "DTLSv1.0"):
            await self._version(name)
        for name in ("DTLSv1.2", "DTLSv1.0"):
            if self.speaks(name).answer is Answer.YES:
                await self._datagram_suites(name)
        if self.speaks("DTLSv1.2").answer is Answer.YES:
            await self.ask_raw_key("DTLSv1.2")

    async def _datagram_suites(self, version: str) -> None:
        chosen = self.versions[version].suite  # sets like the choice come first: GnuTLS refuses all others by silence
        order = sorted(DATAGRAM_SETS.items(), key=lambda item: chosen not in item[1])
        self.sets[version] = {name: Found(members) for name, members in order}
        silent = 0
        for name, found in self.sets[version].items():
            for at in range(0, len(found.members), DATAGRAM_SUITES):
                part = Found(
                    found.members[at : at + DATAGRAM_SUITES],
                    self._datagram_asker(version, name),
                    lambda reply: reply.suite,
                )
                await self.exhaust(part)
                found.replies |= part.replies
                found.complete = part.complete and (at == 0 or found.complete)
                found.last = part.last
                silent = silent + 1 if part.silent else 0
                if silent >= SILENT_SETS:
                    found.complete = False
                    return

    def _datagram_asker(self, version: str, name: str) -> Question:
        return lambda left: self._ask(
            self.hello(names.VERSIONS[version], suites=left),
            f"does it accept any of {len(left)} suites ({name}) in {version}?",
            whole_flight=name == "psk",
        )

    async def ask_raw_key(self, version: str) -> None:
        """Ask for a raw public key in (D)TLS 1.2, and see whether it signs the key exchange (RFC 7250)."""
        hello = self.hello(names.VERSIONS[version], extra=messages.RAW_KEY)
        self.raw_key = reply = await ask(self.run, hello, "does it show a raw public key?", whole_flight=True)
        if reply.session.raw_public_key:
            reply.session.proved = signs_key_exchange(reply.session, reply.random)

    def speaks(self, name: str) -> Fact:
        """Return whether the endpoint speaks a version: it must have chosen that very one."""
        number = names.VERSIONS[name]
        reply = self.versions.get(name)
        if reply is None:
            return Fact(reason="not asked")
        seen = next((item for item in self._hellos() if item.hello and item.hello.version == number), None)
        if seen is not None:
            return seen.fact(Answer.YES)
        if reply.hello is not None:
            other = names.VERSION_NAMES.get(reply.hello.version, hex(reply.hello.version))
            return reply.fact(Answer.NO, f"answers with {other}")
        if name in _WITH_KEYS and reply.alert == self.first.alert == _HANDSHAKE_FAILURE:
            return reply.fact(Answer.NOT_SHOWN, _PERHAPS_KEYS)
        if refuses(reply):
            return reply.fact(Answer.NO)
        return reply.fact(Answer.NOT_SHOWN, reply.reason or reply.kind.value)

    def _hellos(self) -> list[Reply]:
        sets = [reply for by_set in self.sets.values() for found in by_set.values() for reply in found.replies.values()]
        return [item for item in (*self.versions.values(), self.first, *sets) if item.kind is Kind.HELLO]

    def replies(self) -> list[Reply]:
        """Return every reply there is."""
        sets = [
            reply for found in self._every() for reply in (*found.replies.values(), found.last) if reply is not None
        ]
        return [self.first, *self.versions.values(), *sets]

    def _every(self) -> list[Found]:
        every = [found for by_set in self.sets.values() for found in by_set.values()]
        return [*every, *self.groups.values(), *(item for item in (self.sha1, self.schemes) if item is not None)]

    def version_facts(self) -> Mapping[str, Fact]:
        """Return what is known of each version that was asked for."""
        return MappingProxyType({name: self.speaks(name) for name in self.versions})

    def offers(self) -> Mapping[str, Offer]:
        """Return the accepted suites of each version that is spoken."""
        spoken = (name for name in self.sets if self.speaks(name).answer is Answer.YES)
        return MappingProxyType({name: _suite_offer(self.sets[name]) for name in spoken})

    def group_offer(self) -> Offer:
        """Return the accepted groups: of TLS 1.3, or the curves of TLS 1.2 where that is all it speaks."""
        every = tuple(self.groups.values())
        classes = {
            part: _any(every, numbers) for part, numbers in {**names.GROUP_PARTS, "weak": names.WEAK_CURVES}.items()
        }
        accepted = tuple(names.group_name(member) for found in every for member in found.accepted)
        complete = bool(every) and all(found.complete for found in every)
        return self._unless_open(
            "TLSv1.3", Offer(accepted=accepted, classes=MappingProxyType(classes), complete=complete)
        )

    def _unless_open(self, version: str, offer: Offer) -> Offer:
        """Return an offer without its "no"s where it is open whether the version is spoken at all."""
        if self.run.target.datagram or self.speaks(version).answer is not Answer.NOT_SHOWN:
            return offer
        doubt = Fact(answer=Answer.NOT_SHOWN, reason=f"{version}: {self.speaks(version).reason}")
        classes = {name: doubt if fact.answer is Answer.NO else fact for name, fact in offer.classes.items()}
        return replace(offer, classes=MappingProxyType(classes), complete=False)

    def scheme_offer(self) -> Offer:
        """Return the signature schemes of TLS 1.2, where SHA-1 is asked apart from the others."""
        every = tuple(found for found in (self.schemes, self.sha1) if found is not None)
        accepted = tuple(names.scheme_name(member) for found in every for member in found.accepted)
        classes = {"sha-1": self.sha1.answer(names.SHA1_SCHEMES)} if self.sha1 is not None else {}
        complete = self.schemes is not None and all(found.complete for found in every)
        return self._unless_open(
            "TLSv1.2", Offer(accepted=accepted, classes=MappingProxyType(classes), complete=complete)
        )

    def offenders(self) -> tuple[Offender, ...]:
        """Return every accepted suite, group, scheme and prime of a class that guidelines forbid, by name."""
        found = list(self._bad_suites())
        for number in (*names.WEAK_CURVES, *names.GROUP_PARTS["kyber-draft"]):
            hit = next((each.replies[number] for each in self.groups.values() if number in each.replies), None)
            if hit is not None:
                label = "weak" if number in names.WEAK_CURVES else "kyber-draft"
                found.append(
                    Offender(kind="group", name=names.group_name(number), classes=(label,), exchange=hit.exchange)
                )
        for member, reply in self.sha1.replies.items() if self.sha1 else ():
            name = names.scheme_name(member)
            found.append(Offender(kind="scheme", name=name, classes=("sha-1",), exchange=reply.exchange))
        return (*found, *self._primes())

    def _bad_suites(self) -> Iterable[Offender]:
        for version, by_set in self.sets.items():
            for member, reply in ((m, r) for each in by_set.values() for m, r in each.replies.items()):
                name = names.suite_name(member)
                bad = tuple(label for label in names.suite_classes(name) if label in FORBIDDEN)
                if bad:
                    yield Offender(kind="suite", name=name, classes=bad, version=version, exchange=reply.exchange)

    def _primes(self) -> Iterable[Offender]:
        short = {
            reply.session.prime_bits: reply.exchange
            for reply in self.replies()
            if reply.session.prime_bits is not None and reply.session.prime_bits < _WEAK_PRIME
        }
        return [Offender(kind="group", name=f"dh-{bits}", classes=("weak",), exchange=at) for bits, at in short.items()]


def _any(every: Sequence[Found], wanted: Iterable[int]) -> Fact:
    """Return whether any set led to one of these; no only where every set that holds them is exhausted."""
    numbers = frozenset(wanted)
    facts = [found.answer(numbers) for found in every if numbers & set(found.members)]
    for answer in (Answer.YES, Answer.NOT_SHOWN, Answer.NOT_ASKED):
        hit = next((fact for fact in facts if fact.answer is answer), None)
        if hit is not None:
            return hit
    return facts[0] if facts else Fact()


def _suite_offer(sets: Mapping[str, Found]) -> Offer:
    every = tuple(sets.values())
    members = {member for found in every for member in found.members}
    classes: dict[str, set[int]] = {}
    for member in members:
        for label in names.suite_classes(names.suite_name(member)):
            classes.setdefault(label, set()).add(member)
    return Offer(
        accepted=tuple(names.suite_name(member) for found in every for member in found.accepted),
        classes=MappingProxyType({label: _any(every, wanted) for label, wanted in sorted(classes.items())}),
        complete=all(found.complete for found in every),
    )


def _members(*parts: str) -> tuple[int, ...]:
    return tuple(number for part in parts for number in names.SUITE_PARTS[part])


SETS: Final = MappingProxyType(
    {
        "weak": _members(*_WEAK_PARTS),
        "psk": _members("psk"),
        "static-rsa": _members("static-rsa"),
        "cbc": _members("cbc"),
        "ffdhe": _members("ffdhe"),
        "aead-ecdhe": _members("aead-ecdhe"),
    }
)
EVERY_SUITE: Final = (
    *_members("aead-ecdhe", "ffdhe", "cbc", "static-rsa", *_WEAK_PARTS, "psk"),
    names.RENEGOTIATION_SCSV,
)
_SIGNED: Final = tuple(  # suites whose ServerKeyExchange is signed
    number
    for number in _members("aead-ecdhe", "cbc", "ffdhe")
    if names.SUITES[number].startswith(("TLS_ECDHE_", "TLS_DHE_"))
)
# What DTLS devices speak, in one short list: ECDHE and PSK, CCM and GCM first (RFC 7925 4.2 to 4.4).
DATAGRAM_FIRST: Final = (
    *(0xC0AE, 0xC0AC, 0xC02B, 0xC02C, 0xC02F, 0xC030, 0xCCA8, 0xCCA9, 0xC023, 0xC009, 0xC00A, 0xC013, 0xC014),
    *(0xC0A8, 0x00A8, 0x00A9, 0xC0A4, 0xD001, 0xD005, 0xC037, 0xC035, 0x008C, 0x008D, 0x00AE),
    *(0x009E, 0x0033, 0x0039, 0x009C, 0x002F, 0x0035),
)


# What devices with pre-shared keys speak; GnuTLS falls silent where its first choice needs a certificate it lacks.
DATAGRAM_PSK: Final = (0xC0A8, 0x00A8, 0x008C, 0x00AE)
DATAGRAM_SETS: Final = MappingProxyType(
    {
        "psk": DATAGRAM_PSK,
        **{name: members for name, members in SETS.items() if name != "psk"},
        "further psk": tuple(number for number in SETS["psk"] if number not in DATAGRAM_PSK),
    }
)


# How a DTLS server may have to be spoken to before it says anything, in the order of asking.
STYLES: Final[tuple[Mapping[str, Any], ...]] = (
    PLAIN,
    MappingProxyType({"suites": DATAGRAM_PSK}),
    MappingProxyType({"extra": messages.RAW_KEY}),
)


# For servers, and boxes before them, that drop long hellos: what is most often spoken, and nothing of TLS 1.3.
SHORT: Final[Mapping[str, Any]] = MappingProxyType(
    {
        "suites": (
            *(0xC02B, 0xC02C, 0xC02F, 0xC030, 0xCCA8, 0xCCA9, 0xC009, 0xC00A, 0xC013, 0xC014, 0x009E, 0x009F),
            *(0x0033, 0x0039, 0x009C, 0x009D, 0x002F, 0x0035, 0x000A, 0x00A8, 0x008C),
        ),
        "schemes": (0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0601, 0x0201),
    }
)


def broad(run: Run) -> Hello:
    """Return the first hello: every version from TLS 1.0, every suite and group; or the short one of DTLS."""
    datagram = run.target.datagram
    tls = (TLS13, TLS12, names.VERSIONS["TLSv1.1"], names.VERSIONS["TLSv1.0"])
    return Hello(
        versions=(names.VERSIONS["DTLSv1.2"],) if datagram else tls,
        suites=DATAGRAM_FIRST if datagram else (*names.TLS13_SUITES, *EVERY_SUITE),
        random=run.options.random(32),
        session_id=b"" if datagram else run.options.random(32),
        groups=names.CURVES
        if datagram
        else (
            *names.GROUP_PARTS["hybrid"],
            *names.GROUP_PARTS["ml-kem"],
            *names.GROUP_PARTS["classical"],
            *names.CURVES[5:],
        ),
        schemes=names.OFFERED_SCHEMES,
        server_name=run.target.name,
        alpn=run.alpn,
    )
