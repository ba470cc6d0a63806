"""The examination of endpoints: the entry points of this room (tls.md 3.3).

One broad hello tells what kind of thing answers. Then set questions and a completed handshake with the application's
touch run side by side; what depends on their answers comes last: further groups, resumption, client credentials.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from checker.crypto.certificates import instant, rfc3339
from checker.crypto.tls import names
from checker.crypto.tls.identity import ClientIdentity, PreSharedKey, credentials
from checker.crypto.tls.messages import TLS12
from checker.model.endpoint import Answer, EndpointFacts, Fact, Reach
from checker.transport import application, sessions
from checker.transport._summary import Gathered, fill, served, shown_session
from checker.transport.ask import Kind, Reply, ask
from checker.transport.link import LinkError, Run, sequence
from checker.transport.questions import PLAIN, SHORT, STYLES, Survey, broad
from checker.transport.sessions import Carried, Plan, carry
from checker.transport.target import FAST_LINK, Options, Target

if TYPE_CHECKING:
    from checker.crypto.tls.session import Session

AT_ONCE: Final = 32  # endpoints that are examined at the same time; each has its own cap on connections
MAX_KINDS: Final = 3  # certificates of further kinds of key; a server with two is common, with three seen
CONTROL_AFTER: Final = 2  # unanswered questions, after which the first one is asked again (rate limiters)
_REACH: Final = {
    Kind.HELLO: Reach.TLS,
    Kind.ALERT: Reach.TLS,
    Kind.PLAINTEXT: Reach.PLAINTEXT,
    Kind.GARBAGE: Reach.GARBAGE,
    Kind.TIMEOUT: Reach.SILENT,
    Kind.REFUSED: Reach.REFUSED,
    Kind.UNREACHABLE: Reach.UNREACHABLE,
    Kind.RESET: Reach.RESET,
    Kind.CLOSED: Reach.CLOSED,
    Kind.FLOOD: Reach.GARBAGE,
}
NO_PROTOCOL: Final = 120  # the alert no_application_protocol (RFC 7301 3.2)
EVERY_PROTOCOL: Final = ("http/1.1", "h2", "mqtt", "coap", "http/1.0")  # of ALPN, for servers that demand one
_USUAL_TWIN: Final = {("https", 443): 80, ("mqtts", 8883): 1883}
_NOBODY: Final = frozenset({Kind.REFUSED, Kind.UNREACHABLE})
_DROPPED: Final = frozenset({Kind.TIMEOUT, Kind.RESET, Kind.CLOSED})  # what a hello may meet that is too long
SHORT_GROUPS: Final = (0x001D, 0x0017, 0x0018)
_UNANSWERED: Final = frozenset({Kind.TIMEOUT, Kind.REFUSED, Kind.RESET, Kind.CLOSED})


def examine(target: Target, options: Options) -> EndpointFacts:
    """Return everything that one endpoint shows. Never raises for anything that an endpoint does."""
    found: list[EndpointFacts] = []

    async def run() -> None:  # asyncio formats a task's result for its signal handler, which is slow for ours
        found.extend(await examine_all((target,), options))

    asyncio.run(run())
    return found[0]


async def examine_all(
    targets: Iterable[Target], options: Options, *, at_once: int = AT_ONCE
) -> tuple[EndpointFacts, ...]:
    """Return the facts of several endpoints, in order; at most `at_once` are examined at the same time."""
    return await examine_each(((target, options) for target in targets), at_once=at_once)


async def examine_each(asked: Iterable[tuple[Target, Options]], *, at_once: int = AT_ONCE) -> tuple[EndpointFacts, ...]:
    """Return the same where each endpoint has options of its own."""
    gate = asyncio.Semaphore(at_once)

    async def one(target: Target, options: Options) -> EndpointFacts:
        async with gate:
            return await _Examination(target, options).whole()

    return tuple(await asyncio.gather(*(one(target, options) for target, options in asked)))


class _Examination:
    def __init__(self, target: Target, options: Options) -> None:
        quiet = replace(options, parallel=1) if target.datagram else options  # small DTLS servers hold one session
        self._run = Run(target, quiet)
        self._options = options
        self._found = Gathered()
        self._style, self._short = PLAIN, False
        self._alpn: tuple[str, ...] | None = None  # of whole handshakes, where the usual one is refused

    @property
    def _elsewhere(self) -> frozenset[Kind]:
        """Return what lets us try a name's next address; a silent datagram server was already asked in several ways."""
        return _NOBODY if self._run.target.datagram else _NOBODY | {Kind.TIMEOUT}

    async def whole(self) -> EndpointFacts:
        run, found = self._run, self._found
        try:
            await run.resolve()
        except LinkError as error:
            return self._facts(Reach.UNREACHABLE, str(error))
        found.first = await self._first()
        while found.first.kind in self._elsewhere and run.another():
            found.first = await self._first()
        reach = _REACH[found.first.kind]
        if reach is not Reach.TLS:
            return await self._other(reach, found.first.reason)
        quick = found.first.milliseconds < FAST_LINK * 1000
        everything = quick if self._options.enumerate_all is None else self._options.enumerate_all
        found.survey = Survey(run, found.first, everything=everything, style=self._style)
        await self._side_by_side(found.survey)
        await self._afterwards(everything=everything)
        return self._facts(*self._verdict())

    async def _first(self) -> Reply:
        """Ask what answers; a DTLS server that is silent is spoken to in other ways."""
        first, *others = STYLES if self._run.target.datagram else STYLES[:1]
        self._style, self._short = first, False
        reply = await ask(self._run, replace(broad(self._run), **first), "what answers here?")
        if reply.alert == NO_PROTOCOL and not self._run.alpn:
            self._run.alpn = EVERY_PROTOCOL
            reply = await ask(self._run, replace(broad(self._run), **first), "what answers to any application?")
        if reply.kind in _DROPPED and not self._run.target.datagram and self._run.recordings[reply.exchange].sent:
            short = replace(broad(self._run), versions=(TLS12,), session_id=b"", groups=SHORT_GROUPS, **SHORT)
            again = await ask(self._run, short, "what answers to a short hello?")
            if again.kind in {Kind.HELLO, Kind.ALERT}:
                self._style, self._short, reply = SHORT, True, again
        for style in others:
            if reply.kind is not Kind.TIMEOUT:
                break
            self._style = style
            reply = await ask(self._run, replace(broad(self._run), **style), "what answers to another hello?")
        return reply

    async def _other(self, reach: Reach, reason: str) -> EndpointFacts:
        """Return what a port is that does not speak TLS: some that speak plain text say so only in their own words."""
        touch = application.plaintext(self._run.target, self._options.random, self._options.clock.now())
        if reach not in {Reach.RESET, Reach.CLOSED, Reach.GARBAGE} or touch is None or self._run.target.datagram:
            return self._facts(reach, reason)
        port = self._run.target.port
        self._found.twin, spoken = await sessions.neighbour(self._run, port, touch)
        if spoken is None or spoken.status is None:
            return self._facts(reach, reason)
        return self._facts(Reach.PLAINTEXT, f"it speaks {spoken.protocol} without TLS: {spoken.text}")

    async def _side_by_side(self, survey: Survey) -> None:
        if self._run.target.datagram:
            await self._main()
            await survey.all()
            return
        await asyncio.gather(self._main(), survey.all(), self._twin())

    async def _main(self) -> None:
        main = await self._handshake()
        if (main.cut or main.silent) and not main.completed and not self._run.target.datagram:
            # A hello with a post-quantum share fills two packets, which some boxes drop.
            plan = Plan(purpose="a whole handshake of TLS 1.2 at most", version="TLSv1.2", touch=self._touch())
            older = await carry(self._run, plan)
            main = older if older.completed else main
        self._found.main = main
        if main.completed and not main.late and main.resumable is not None and not self._run.target.datagram:
            plan = Plan(purpose="a resumed handshake", resume=main.resumable, alpn=self._alpn)
            self._found.resumed = await carry(self._run, plan)
            self._found.main = replace(main, resumable=None)  # a library's context is large
            self._found.resumed = replace(self._found.resumed, resumable=None)

    def _touch(self) -> application.Touch | None:
        return next(iter(sessions.touch_for(self._run)), None)

    async def _handshake(self, group: int | None = None) -> Carried:
        """Carry a handshake through without an identity; MQTT's second version is tried where the first is unknown."""
        title = "a whole handshake" if group is None else f"a whole handshake in {names.group_name(group)}"
        touches = sessions.touch_for(self._run)
        plan = Plan(purpose=title, group=group, touch=touches[0] if touches else None, alpn=self._alpn)
        carried = await carry(self._run, plan)
        if carried.alert == NO_PROTOCOL and self._alpn is None and not self._options.alpn:
            # None at all where the usual one is refused, and every one where one is demanded.
            self._alpn = () if self._run.target.scheme == "https" and not self._run.alpn else EVERY_PROTOCOL
            again = await carry(self._run, replace(plan, alpn=self._alpn, purpose=f"{title}, other applications"))
            if again.alert == NO_PROTOCOL and not self._alpn:
                self._alpn = EVERY_PROTOCOL
                again = await carry(self._run, replace(plan, alpn=self._alpn, purpose=f"{title}, any application"))
            carried = again
        answer = carried.application
        if len(touches) > 1 and answer is not None and answer.answered.answer is Answer.NOT_SHOWN:
            return await carry(
                self._run, replace(plan, purpose=f"{title}, second protocol version", touch=touches[1], alpn=self._alpn)
            )
        return carried

    async def _twin(self) -> None:
        target = self._run.target
        port = self._options.plaintext_port
        port = _USUAL_TWIN.get((target.scheme, target.port), 0) if port is None else port
        touch = application.plaintext(target, self._options.random, self._options.clock.now())
        if not port or touch is None or not self._options.touch_application:
            return
        self._found.twin_port = port
        self._found.twin, _ = await sessions.neighbour(self._run, port, touch)

    async def _afterwards(self, *, everything: bool) -> None:
        await self._control()
        await asyncio.gather(
            self._more_groups(everything=everything),
            self._raw_keys(everything=everything),
            self._more_certificates(everything=everything),
        )
        await self._credentials()
        await self._keys()
        await self._revocation()

    async def _revocation(self) -> None:
        """Ask the responders and lists that the certificates name; most paths inside a factory name none."""
        best, options, survey = self._found.best, self._options, self._found.survey
        if not options.fetch or best is None or survey is None:
            return
        valid = self._found.trials.get("valid")
        other = [session for session, _ in self._found.other_chains]
        shown = [item for item in (shown_session(best, survey), *other) if not item.raw_public_key]
        theirs = [der for item in shown for der in item.certificates]
        ours = options.identity.certificates if options.identity and valid is not None and valid.completed else ()
        if not any(b"://" in der for der in (*theirs, *ours)):
            return
        from checker.transport import revocation
        from checker.transport.chain import client_links, undecided

        links = dict.fromkeys(link for session in shown if session.certificates for link in undecided(session, options))
        self._found.fetched, self._found.fetched_client = await asyncio.gather(
            revocation.ask(self._run, tuple(links)),
            revocation.ask(self._run, client_links(ours, options), own=True),
        )

    async def _more_groups(self, *, everything: bool) -> None:
        """Carry handshakes through in the post-quantum groups that were accepted; in any group, if nothing else was."""
        survey, main = self._found.survey, self._found.main
        if survey is None or main is None or survey.version_facts().get("TLSv1.3", Fact()).answer is not Answer.YES:
            return
        accepted = [names.GROUP_NUMBERS[name] for name in survey.group_offer().accepted if name in names.GROUP_NUMBERS]
        quantum = {*names.GROUP_PARTS["hybrid"], *names.GROUP_PARTS["ml-kem"]}
        done = {main.group} if main.completed else set()
        wanted = [
            number
            for number in accepted
            if (number in quantum or not main.completed) and names.group_name(number) not in done
        ]
        if wanted:
            from checker.crypto.tls.shares import SUPPORTED  # of our own client, which few servers need

            wanted = [number for number in wanted if number in SUPPORTED]
        first = wanted if everything else wanted[:1]
        if len(first) == 1 and not main.completed:
            first *= 2  # once more, to see whether the server's values differ
        self._found.others = list(await asyncio.gather(*(self._handshake(number) for number in first)))

    async def _more_certificates(self, *, everything: bool) -> None:
        """Ask for certificates of other kinds of key, by schemes that the first one cannot sign with."""
        survey, main = self._found.survey, self._found.main
        if not everything or survey is None or main is None or not main.completed or self._run.target.datagram:
            return
        left = names.OTHER_SCHEMES
        sessions_seen = [main.session]
        while sessions_seen and sessions_seen[-1].scheme is not None and len(sessions_seen) <= MAX_KINDS:
            left = names.without_kind(left, sessions_seen[-1].scheme)
            found = await self._other_certificate(survey, left)
            if found is None:
                return
            self._found.other_chains.append(found)
            sessions_seen.append(found[0])

    async def _other_certificate(self, survey: Survey, schemes: tuple[int, ...]) -> tuple[Session, int] | None:
        """Return a session, and its transcript, in which the server signs by one of these schemes."""
        if survey.speaks("TLSv1.3").answer is Answer.YES:
            group = _own_group(survey)
            if group is not None:
                plan = Plan(purpose="another kind of certificate?", group=group, schemes=schemes, alpn=self._alpn)
                carried = await carry(self._run, plan)
                if carried.completed or carried.alert is not None:  # what it lacks there it lacks in TLS 1.2, too
                    return (carried.session, carried.exchange) if carried.completed else None
        if survey.speaks("TLSv1.2").answer is Answer.YES:
            return await survey.other_certificate(schemes)
        return None

    async def _raw_keys(self, *, everything: bool) -> None:
        """Ask for a raw public key over TLS, where everything is asked for or no certificate came."""
        survey, main = self._found.survey, self._found.main
        if survey is None or main is None or self._run.target.datagram or not (everything or not main.completed):
            return
        newer = survey.speaks("TLSv1.3").answer
        if newer is not Answer.NO:
            await self._raw_key13(survey)
        shown = self._found.raw13 is not None and bool(self._found.raw13.session.certificates)
        if not shown and survey.speaks("TLSv1.2").answer is not Answer.NO:
            await survey.ask_raw_key("TLSv1.2")

    async def _raw_key13(self, survey: Survey) -> None:
        group = _own_group(survey) or names.GROUP_NUMBERS["x25519"]
        plan = Plan(
            purpose="a whole handshake with a raw public key",
            group=group,
            raw_key=True,
            touch=None if self._found.main is not None and self._found.main.completed else self._touch(),
        )
        self._found.raw13 = await carry(self._run, plan)

    async def _control(self) -> None:
        """Ask the first question again where several others met nothing: a rate limiter refuses that one too.

        Where it is answered, what met silence is asked again, one question at a time.
        """
        survey = self._found.survey
        if survey is None or sum(reply.kind in _UNANSWERED for reply in survey.replies()) < CONTROL_AFTER:
            return
        self._found.control = await ask(self._run, replace(broad(self._run), **self._style), "does it still answer?")
        if self._found.control.kind not in _UNANSWERED and survey.silent and not self._run.target.datagram:
            await survey.again()

    async def _credentials(self) -> None:
        """Try the five client credentials, where an identity is given; without one only the first handshake speaks."""
        best, identity = self._found.best, self._options.identity
        if best is None:
            return
        self._found.trials["none"] = best
        if identity is None:
            return
        group = names.GROUP_NUMBERS.get(best.group) if best.carried_by == "otaudit" else None
        touches = sessions.touch_for(self._run)
        version = 1 if best.application is not None and best.application.mqtt_version == "5" else 0
        touch = touches[version] if touches else None
        given, plans = self._given(identity), dict[str, Plan]()
        for name, made in credentials(identity, self._options.as_of):
            if name == "none" or name in self._found.untried:
                continue
            self._found.made |= {name} if name not in given else set()
            plans[name] = plan = Plan(
                purpose=f"a handshake with the client credential {name}",
                group=group,
                identity=given.get(name, made),
                touch=touch,
                alpn=self._alpn,
            )
            self._found.trials[name] = await carry(self._run, plan)
        await self._cut_off(plans)

    async def _cut_off(self, plans: Mapping[str, Plan]) -> None:
        """Try once more what the endpoint cut off without a word, and then the valid one: Node refuses clients so.

        One cut may be chance. Twice for a bad credential, with the valid one served before and after, is an answer.
        """
        trials = self._found.trials
        cut = [
            name for name, item in trials.items() if name in plans and name != "valid" and item.cut and not item.ours
        ]
        if not cut or not served(trials.get("valid")):
            return
        again = {
            name: await carry(self._run, replace(plans[name], purpose=f"{plans[name].purpose}, again")) for name in cut
        }
        control = await carry(self._run, replace(plans["valid"], purpose=f"{plans['valid'].purpose}, as a control"))
        for name, item in again.items():
            if item.cut and served(control):
                self._found.cut.add(name)
            elif not item.cut:
                trials[name] = item

    async def _keys(self) -> None:
        """Try a given pre-shared key, and where it is taken, what must not be: another key, another identity."""
        psk, survey = self._options.psk, self._found.survey
        if psk is None or survey is None:
            return
        random = self._options.random
        others = {
            "psk_other_identity": PreSharedKey(f"otaudit-{random(4).hex()}", psk.key),
            "psk_wrong_key": PreSharedKey(
                psk.identity, random(len(psk.key))
            ),  # last: DTLS servers stay silent after it
        }
        for version in ("DTLSv1.2",) if self._run.target.datagram else ("TLSv1.2", "TLSv1.3"):
            if survey.speaks(version).answer is Answer.NO:
                continue
            found = self._found.keys.setdefault(version, {})
            found["psk"] = await self._key("psk", psk, version)
            if found["psk"].by_key:
                found |= {name: await self._key(name, key, version) for name, key in others.items()}

    async def _key(self, name: str, key: PreSharedKey, version: str) -> Carried:
        touches, group = sessions.touch_for(self._run), None
        if version == "TLSv1.3" and self._found.survey is not None:
            group = _own_group(self._found.survey)
        title = f"a handshake of {version} with the pre-shared key, {name.removeprefix('psk_')}"
        plan = Plan(purpose=title, group=group, psk=key, version=version, touch=touches[0] if touches else None)
        return await carry(self._run, plan)

    def _given(self, identity: ClientIdentity) -> Mapping[str, ClientIdentity]:
        """Return the credentials that were given, by what they are now: whoever has ended is not the valid one.

        What is given as expired and is not would be served by an honest server, so it is not tried.
        """
        given = {"valid": identity, **self._options.credentials}
        now = min(instant(self._options.as_of), self._options.clock.now())
        if now > identity.ends:
            given.setdefault("expired", identity)
            self._found.untried["valid"] = f"the given identity ended on {rfc3339(identity.ends)}"
        expired = given.get("expired")
        if expired is not None and now <= expired.ends:
            self._found.untried["expired"] = f"the given credential ends only on {rfc3339(expired.ends)}"
        elif expired is not None:
            self._found.expired_authority = expired.authority
        return given

    def _verdict(self) -> tuple[Reach, str]:
        survey, control = self._found.survey, self._found.control
        if control is not None and control.kind in _UNANSWERED:
            return Reach.RATE_LIMITED, f"it answered at first, then no more: {control.reason}"
        if survey is None or (self._found.main is not None and self._found.main.completed):
            return Reach.TLS, self._only_short
        if any(item.by_key for by_name in self._found.keys.values() for item in by_name.values()):
            return Reach.PSK_ONLY, "no handshake was completed without the pre-shared key"
        suites = {name for offer in survey.offers().values() for name in offer.accepted}
        groups = survey.group_offer()
        if suites and all("_PSK_" in name for name in suites):
            return Reach.PSK_ONLY, "every suite that it accepts needs a pre-shared key"
        classical = groups.classes["classical"].answer
        quantum = any(groups.classes[part].answer is Answer.YES for part in ("hybrid", "ml-kem"))
        older = any(survey.speaks(name).answer is Answer.YES for name in survey.versions if name != "TLSv1.3")
        if quantum and classical is Answer.NO and not older:
            return Reach.PQ_ONLY, "it accepts only groups with ML-KEM"
        spoken = any(fact.known for fact in survey.version_facts().values())
        return Reach.TLS, self._only_short if spoken else f"it accepts none of our hellos: {survey.first.reason}"

    @property
    def _only_short(self) -> str:
        return "it drops long hellos, and answers a short one" if self._short else ""

    def _facts(self, reach: Reach, reason: str) -> EndpointFacts:
        target, run = self._run.target, self._run
        plain = EndpointFacts(
            scheme=target.scheme,
            host=target.host,
            port=target.port,
            server_name=target.name,
            address=run.address,
            protocol="dtls" if target.datagram else "tls",
            as_of=rfc3339(instant(self._options.as_of)),
            reach=reach,
            reason=reason,
            first_bytes=self._found.first.first.hex() if self._found.first and reach is not Reach.TLS else "",
            exchanges=tuple(item.exchange() for item in run.recordings),
            connections=len(run.recordings),
            round_trips=sequence(run.recordings),
            milliseconds=round((run.now() - run.zero) * 1000, 3),
        )
        return fill(plain, self._found, self._options) if self._found.survey is not None else plain


def _own_group(survey: Survey) -> int | None:
    """Return the first accepted group that our own client can use."""
    from checker.crypto.tls.shares import SUPPORTED  # of our own client, which few servers need

    accepted = map(names.GROUP_NUMBERS.get, survey.group_offer().accepted)
    return next((item for item in accepted if item in SUPPORTED), None)
