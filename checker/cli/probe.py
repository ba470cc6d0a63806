"""`otaudit probe`: what does an endpoint offer, and what does it do with its clients?"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from checker.errors import ExitStatus, UsageError
from checker.model.terms import Verdict

if TYPE_CHECKING:
    from checker.crypto.keyring import KeyRing
    from checker.crypto.tls.identity import ClientIdentity, PreSharedKey
    from checker.model.endpoint import EndpointFacts
    from checker.model.requirement import RuleSet
    from checker.report._tree import Node
    from checker.rules._checks import Outcome
    from checker.transport.target import Options, Target


def probe(  # noqa: PLR0913 - one parameter per option of the command line
    endpoints: Annotated[
        list[str] | None, typer.Argument(help="HOST:PORT, or an address with https, mqtts, coaps, tls or dtls.")
    ] = None,
    *,
    trust: Annotated[
        list[Path] | None, typer.Option("--trust", "-t", help="A CA certificate that the server must chain to.")
    ] = None,
    crl: Annotated[list[Path] | None, typer.Option("--crl", help="A certificate revocation list.")] = None,
    sni: Annotated[
        str, typer.Option("--sni", metavar="NAME", help="The server's name, where it is not the host.")
    ] = "",
    alpn: Annotated[list[str] | None, typer.Option(metavar="PROTOCOL", help="Offer this application protocol.")] = None,
    pin: Annotated[
        list[str] | None, typer.Option(metavar="sha256/…", help="A declared pin of a public key; give the backup too.")
    ] = None,
    client_cert: Annotated[Path | None, typer.Option(help="A client's certificate with its chain, PEM.")] = None,
    client_key: Annotated[Path | None, typer.Option(help="Its private key, PEM. It is never shown.")] = None,
    expired_client_cert: Annotated[
        Path | None, typer.Option(help="An expired certificate of the same authority with its chain, PEM.")
    ] = None,
    expired_client_key: Annotated[Path | None, typer.Option(help="Its private key, PEM. It is never shown.")] = None,
    psk_identity: Annotated[
        str | None, typer.Option(metavar="NAME", help="The identity of a pre-shared key; it is sent in the clear.")
    ] = None,
    psk_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The pre-shared key, in hexadecimal. It is never shown.")
    ] = None,
    profile: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Hold the endpoint against a profile: `list profiles`.")
    ] = None,
    everything: Annotated[
        bool,
        typer.Option("--all", help="Name every accepted suite, group, scheme and kind of key, not only offenders."),
    ] = False,
    gentle: Annotated[
        bool, typer.Option("--gentle", help="At most two connections at once: for small devices.")
    ] = False,
    rate: Annotated[
        float, typer.Option(metavar="N", min=0, help="At most N connections per second; 0 for no limit.")
    ] = 0.0,
    timeout: Annotated[float, typer.Option(metavar="SECONDS", min=0.1, help="How long one connection may take.")] = 3.0,
    fetch: Annotated[
        bool,
        typer.Option("--fetch/--no-fetch", help="Fetch OCSP answers and revocation lists, where certificates say."),
    ] = True,
    record: Annotated[
        Path | None,
        typer.Option("--from", metavar="FILE", help="Connect to nothing: judge an earlier -o FILE.json."),
    ] = None,
    output: Annotated[
        list[str] | None,
        typer.Option("--output", "-o", metavar="FILE", help="Write all facts and transcripts as .json; - is stdout."),
    ] = None,
    as_of: Annotated[
        str | None, typer.Option(metavar="DATE", help="Judge certificates as of this date; now unless said.")
    ] = None,
) -> None:
    """Connect to endpoints and show what they offer: versions, suites, groups, path, pins, client authentication."""
    from checker.cli._output import write_all
    from checker.cli._time import evaluation_time
    from checker.transport.target import Options

    rules = _rules(profile or ())
    targets = [_target(text, sni) for text in endpoints or ()]
    if bool(targets) is bool(record):
        raise UsageError("name endpoints, or a record with --from FILE")
    options = Options(
        as_of=evaluation_time(as_of),
        ring=_ring(trust or (), crl or ()),
        identity=_identity(client_cert, client_key, "client"),
        credentials=_credentials(expired_client_cert, expired_client_key),
        psk=_psk(psk_identity, psk_file),
        pins=tuple(pin or ()),
        alpn=tuple(alpn or ()),
        timeout=timeout,
        gentle=gentle,
        rate=rate,
        enumerate_all=everything or bool(profile),
        fetch=fetch,
    )
    found = _examine(targets, options) if record is None else _recorded(record)
    pages = {path: _page(found, path) for path in output or ()}
    write_all(pages)
    statuses = [_report(facts, rules, profile or (), options.as_of, silent="-" in pages) for facts in found]
    raise typer.Exit(max(statuses, key=_ORDER.index, default=ExitStatus.UNDECIDED))


# The worst of several endpoints decides; a refusal of a profile is worse than an open question.
_ORDER = (ExitStatus.GATE_MET, ExitStatus.UNDECIDED, ExitStatus.GATE_NOT_MET)


def _examine(targets: Sequence[Target], options: Options) -> tuple[EndpointFacts, ...]:
    import asyncio

    from checker.transport.probe import examine_all

    return asyncio.run(examine_all(targets, options))


def _recorded(path: Path) -> tuple[EndpointFacts, ...]:
    from checker.io.files import Files
    from checker.transport.records import MAX_RECORD, read_records

    return read_records(Files(path.parent, allow_outside=True).read(path.name, MAX_RECORD))


def _target(text: str, sni: str) -> Target:
    from dataclasses import replace

    from checker.transport.address import target_of

    try:
        target = target_of(text if "://" in text else f"tls://{text}")
    except ValueError as error:
        raise UsageError(f"{text}: {error}; write HOST:PORT or an address such as https://updates.example") from error
    return replace(target, server_name=sni) if sni else target


def _ring(anchors: Sequence[Path], crls: Sequence[Path]) -> KeyRing:
    from checker.cli._keys import ring

    return ring((), anchors, crls, ())


def _identity(certificate: Path | None, key: Path | None, which: str) -> ClientIdentity | None:
    from checker.cli._keys import content
    from checker.crypto.tls.identity import read_identity

    if certificate is None and key is None:
        return None
    if certificate is None or key is None:
        raise UsageError(f"--{which}-cert and --{which}-key belong together")
    return read_identity(content(certificate), content(key), certificate.name)


def _credentials(certificate: Path | None, key: Path | None) -> dict[str, ClientIdentity]:
    expired = _identity(certificate, key, "expired-client")
    return {} if expired is None else {"expired": expired}


def _psk(identity: str | None, path: Path | None) -> PreSharedKey | None:
    from checker.cli._keys import content
    from checker.crypto.tls.identity import read_psk

    if identity is None and path is None:
        return None
    if identity is None or path is None:
        raise UsageError("--psk-identity and --psk-file belong together")
    return read_psk(content(path), identity, path.name)


def _page(found: Sequence[EndpointFacts], path: str) -> bytes:
    from checker.report._endpoint_data import endpoint_json

    if path != "-" and not path.endswith(".json"):
        raise UsageError(f"-o {path}: probe writes .json; - is JSON on standard output")
    return endpoint_json(found)


def _rules(names: Sequence[str]) -> RuleSet | None:
    """Return the rule set where a profile is asked for: loading it takes longer than the whole examination."""
    if not names:
        return None
    from checker.rules.load import load_default

    rules = load_default()
    for name in names:
        if name not in rules.profiles:
            raise UsageError(f"--profile {name}: there is none of that name; say one of {', '.join(rules.profiles)}")
    return rules


def _report(
    facts: EndpointFacts, rules: RuleSet | None, profiles: Sequence[str], as_of: str, *, silent: bool
) -> ExitStatus:
    """Print one endpoint and return its share of the exit status."""
    from checker.cli._output import colour_wanted, terminal_width
    from checker.report._endpoint_tree import endpoint_tree

    branches: list[Node] = []
    status = ExitStatus.GATE_MET if facts.speaks else ExitStatus.UNDECIDED
    for name in profiles:
        if rules is None:
            break
        branch, share = _held(facts, rules, name, as_of)
        branches.append(branch)
        status = max(status, share, key=_ORDER.index)
    if not silent:
        typer.echo(endpoint_tree(facts, branches, colour=colour_wanted(sys.stdout), width=terminal_width()), nl=False)
    return status


def _held(facts: EndpointFacts, rules: RuleSet, name: str, as_of: str) -> tuple[Node, ExitStatus]:
    """Return a profile's lines as a branch of the tree, and what its `must` lines come to."""
    from checker.probes.endpoint import evidence_of
    from checker.rules.judge import Inputs
    from checker.rules.profiles import hold

    held = hold(rules, name, evidence_of(facts, as_of), Inputs(as_of=as_of))
    tones = {Verdict.PASS: "green", Verdict.FAIL: "red", Verdict.UNKNOWN: "yellow", Verdict.NOT_APPLICABLE: "dim"}
    lines: list[Node] = []
    for item in held:
        verdict = item.outcome.verdict
        why = "" if verdict is Verdict.PASS else f": {_why(item.outcome)}"
        said = f"{verdict}, {item.line.says} ({item.line.reference.printable()}){why}"
        lines.append((f"{item.line.level} {item.line.id}", said, tones[verdict], []))
    musts = {item.outcome.verdict for item in held if item.line.level == "must"}
    status = ExitStatus.GATE_MET
    if Verdict.FAIL in musts:
        status = ExitStatus.GATE_NOT_MET
    elif Verdict.UNKNOWN in musts:
        status = ExitStatus.UNDECIDED
    profile = rules.profiles[name]
    return (f"profile {name}", f"{profile.title}, {profile.dated}", "", lines), status


def _why(outcome: Outcome) -> str:
    """Return what decided, by field and value; the line itself says what was expected."""
    from checker.report._values import shown

    seen = [f"{item.field} {shown(item.value)}" for item in outcome.observed if item.verdict is outcome.verdict]
    return "; ".join(seen) if outcome.verdict is not Verdict.UNKNOWN and seen else outcome.explanation
