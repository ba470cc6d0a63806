"""What is to be examined, and how: targets, and the options of one run."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import field
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Final

from checker.crypto.keyring import KeyRing
from checker.crypto.tls.identity import ClientIdentity, PreSharedKey
from checker.model.value import value

DEFAULT_PORTS: Final = {"https": 443, "mqtts": 8883, "coaps": 5684, "tls": 443, "dtls": 5684}
DATAGRAM_SCHEMES: Final = frozenset({"coaps", "dtls"})
PARALLEL: Final = 8  # connections at once: what tls.md 3.3 measured as harmless for a server
FAST_LINK: Final = 0.05  # seconds a round trip: naming everything then costs below a second
GENTLE_PARALLEL: Final = 2  # for small devices, which often hold two or three sessions


@value
class Target:
    """One endpoint. `server_name` is the reference identity and SNI (empty: the host); `path` a path or topic."""

    scheme: str
    host: str
    port: int
    server_name: str = ""
    path: str = "/"

    @property
    def datagram(self) -> bool:
        """Return whether it speaks DTLS."""
        return self.scheme in DATAGRAM_SCHEMES

    @property
    def name(self) -> str:
        """Return the name that the certificate must carry."""
        return self.server_name or self.host


@value
class Clock:
    """Time as an argument: wall-clock instants for transcripts, and a monotonic counter in seconds."""

    now: Callable[[], datetime] = field(default=lambda: datetime.now(UTC))
    counter: Callable[[], float] = time.perf_counter


@value
class Options:
    """How to examine. Times are in seconds.

    `credentials` replace those made from `identity` (`foreign_ca`, `expired`, `self_signed`): an expired one of
    the right authority can only come from outside.

    `timeout` bounds one connection from its first byte to its last, however slowly bytes drip in, `budget` the whole
    examination of one endpoint. `rate` is connections per second at most, 0 for no limit. `enumerate_all` names every
    accepted suite, group and scheme, and not only the first of each class (None: where a round trip takes less than
    `FAST_LINK`). `plaintext_port` is where the same service may answer without TLS (None: the scheme's usual one,
    if the target's own is usual too; 0: do not ask). `fetch` lets OCSP answers and revocation lists be fetched from
    where certificates say. `device_ring` verifies `identity` where it is given, and `ring` does where not.
    """

    as_of: str
    ring: KeyRing = field(default_factory=KeyRing.empty)
    device_ring: KeyRing | None = None
    identity: ClientIdentity | None = None
    psk: PreSharedKey | None = None
    credentials: Mapping[str, ClientIdentity] = field(default_factory=lambda: MappingProxyType({}))
    pins: tuple[str, ...] = ()
    alpn: tuple[str, ...] = ()
    timeout: float = 3.0
    budget: float = 120.0
    parallel: int = PARALLEL
    gentle: bool = False
    rate: float = 0.0
    enumerate_all: bool | None = None
    touch_application: bool = True
    fetch: bool = True
    plaintext_port: int | None = None
    clock: Clock = field(default_factory=Clock)
    random: Callable[[int], bytes] = secrets.token_bytes

    @property
    def cap(self) -> int:
        """Return how many connections to one endpoint may be open at once."""
        return min(self.parallel, GENTLE_PARALLEL) if self.gentle else max(1, self.parallel)
