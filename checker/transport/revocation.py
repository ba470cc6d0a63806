"""Asks the responders and lists that certificates name, where nothing at hand decides (RFC 5280, RFC 6960)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from checker.crypto.certificates import Certificate
from checker.crypto.tls import revocation
from checker.crypto.tls.revocation import MAX_LIST, MAX_RESPONSE, Sources, sources
from checker.errors import FormatError
from checker.model.endpoint import Answer, Fact, RevocationAnswer
from checker.transport.fetch import Distance, Fetched, Request, distance, fetch
from checker.transport.link import Run

MAX_ASKED: Final = 4  # certificates of one path; real ones have one to three below the anchor
_REQUEST: Final = "application/ocsp-request"


async def ask(
    run: Run, links: Sequence[tuple[Certificate, Certificate]], *, own: bool = False
) -> tuple[RevocationAnswer, ...]:
    """Return what is said of each certificate of a path; its issuer stands beside it.

    Certificates are asked about side by side; of one, the responders first, and lists where those do not decide.
    `own` is for a path that the user gave: its addresses may lead into the user's own network.
    """
    nearest = Distance.HERE if own else _distance(run)
    found = await asyncio.gather(*(_one(run, item, issuer, nearest) for item, issuer in links[:MAX_ASKED]))
    return tuple(answer for answers in found for answer in answers)


def _distance(run: Run) -> Distance:
    found = distance(run.address)
    return Distance.NEAR if found is None else found


async def _one(run: Run, item: Certificate, issuer: Certificate, nearest: Distance) -> list[RevocationAnswer]:
    named, answers = sources(item), list[RevocationAnswer]()
    for url in named.responders:
        answers.append(
            await _ocsp(run, item, issuer, Request(url=url, purpose="", limit=MAX_RESPONSE, nearest=nearest))
        )
        if answers[-1].revoked.known is not None:
            return answers
    for url, point in named.lists:
        request = Request(url=url, purpose=f"the revocation list at {url}", limit=MAX_LIST, nearest=nearest)
        came = await fetch(run, request)
        read = (
            revocation.read_list(came.body, item, issuer, point, run.options.as_of)
            if came.body
            else _nothing(item, came)
        )
        answers.append(_placed(read, "crl", url, came))
        if answers[-1].revoked.known is not None:
            return answers
    return [*answers, *_odd(item, named)]


async def _ocsp(run: Run, item: Certificate, issuer: Certificate, request: Request) -> RevocationAnswer:
    try:
        body = revocation.ocsp_request(item, issuer)
    except FormatError as error:
        return _placed(_unshown(item, str(error)), "ocsp", request.url, None)
    purpose = f"the OCSP answer of {request.url} about {item.facts.subject}"
    came = await fetch(run, replace(request, body=body, kind=_REQUEST, purpose=purpose))
    read = revocation.read_response(came.body, item, issuer, run.options.as_of) if came.body else _nothing(item, came)
    return _placed(read, "ocsp", request.url, came)


def _placed(answer: RevocationAnswer, kind: str, url: str, came: Fetched | None) -> RevocationAnswer:
    at = () if came is None else (came.exchange,)
    return replace(answer, kind=kind, url=url, revoked=replace(answer.revoked, exchanges=at))


def _nothing(item: Certificate, came: Fetched) -> RevocationAnswer:
    return _unshown(item, came.reason or "the answer is empty")


def _unshown(item: Certificate, reason: str) -> RevocationAnswer:
    fact = Fact(answer=Answer.NOT_SHOWN, reason=reason)
    return RevocationAnswer(certificate=item.facts.sha256, subject=item.facts.subject, kind="", url="", revoked=fact)


def _odd(item: Certificate, named: Sources) -> list[RevocationAnswer]:
    return [replace(_unshown(item, f"it names {named.odd}, which is not followed"), kind="crl")] if named.odd else []
