"""The examination of endpoints: the entry points of this room."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from checker.model.endpoint import EndpointFacts
from checker.transport.target import Options, Target


def examine(target: Target, options: Options) -> EndpointFacts:
    """Return everything that one endpoint shows. Never raises for anything that an endpoint does."""
    return asyncio.run(examine_all((target,), options))[0]


async def examine_all(targets: Iterable[Target], options: Options) -> tuple[EndpointFacts, ...]:
    """Return the facts of several endpoints, in order."""
    raise NotImplementedError
