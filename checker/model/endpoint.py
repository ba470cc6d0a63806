"""What can be said of one live endpoint: facts with four answers each, and the transcripts that show them.

The transport room fills it, the endpoint probe turns it into evidence; neither names a tier, a rule or a severity.

Names are the registries' own: suites and groups as in the IANA TLS parameters (`TLS_AES_128_GCM_SHA256`, `x25519`,
`X25519MLKEM768`), versions as `SSLv3`, `TLSv1.0` … `TLSv1.3`, `DTLSv1.0`, `DTLSv1.2`. Times are RFC 3339 in UTC.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from checker.model.keys import CertificateFacts, ChainFacts
from checker.model.value import value

TLS_VERSIONS: Final = ("SSLv3", "TLSv1.0", "TLSv1.1", "TLSv1.2", "TLSv1.3")
DTLS_VERSIONS: Final = ("DTLSv1.0", "DTLSv1.2")  # DTLS 1.3: no stack in reach speaks it, so it is never asked


@value
class Manner:
    """How endpoints may be asked: what the user allows, or says of one endpoint. Times are in seconds.

    `gentle` is for small devices (at most two connections at once), `rate` connections per second at most (0: no
    limit), `fetch` whether OCSP answers and revocation lists may be fetched from where certificates say.
    """

    timeout: float = 3.0
    gentle: bool = False
    rate: float = 0.0
    fetch: bool = True


class Answer(StrEnum):
    """The four answers (tls.md 0.5). Silence is never `no`; a question that was left out is never `not shown`."""

    YES = "yes"
    NO = "no"  # the endpoint said so: an alert, another choice, a refusal
    NOT_SHOWN = "not_shown"  # asked, and nothing that came back decides it
    NOT_ASKED = "not_asked"


@value
class Fact:
    """One answer. `reason` says why in a clause; `exchanges` are the indices of the transcripts that show it."""

    answer: Answer = Answer.NOT_ASKED
    reason: str = ""
    exchanges: tuple[int, ...] = ()

    @property
    def known(self) -> bool | None:
        """Return True for yes, False for no, None for everything else."""
        return {Answer.YES: True, Answer.NO: False}.get(self.answer)


NOT_ASKED: Final = Fact()


class Reach(StrEnum):
    """What answers at the port; everything but `tls` has a reason beside it."""

    TLS = "tls"  # TLS or DTLS answers with a ServerHello or an alert
    PSK_ONLY = "psk_only"  # TLS, but only suites with pre-shared keys
    PQ_ONLY = "pq_only"  # TLS 1.3, but only with hybrid or pure ML-KEM groups
    REFUSED = "refused"  # no listener: connection refused, or ICMP port unreachable
    UNREACHABLE = "unreachable"  # no route, no address for the name
    SILENT = "silent"  # nothing came before the deadline: not the same as a refusal
    PLAINTEXT = "plaintext"  # text of another protocol came
    GARBAGE = "garbage"  # bytes that are neither TLS nor text
    RESET = "reset"  # the connection was reset without a byte
    CLOSED = "closed"  # the connection was closed without a byte
    RATE_LIMITED = "rate_limited"  # answered at first, then refused, reset or fell silent under few connections
    ERROR = "error"  # our own side failed; says nothing about the endpoint


@value
class Exchange:
    """The transcript of one connection: what was sent and received, in hex, and when.

    `sent` and `received` are parts as they passed, each with its milliseconds since `started`. `truncated` tells how
    many received bytes are left out. No private key is ever part of it: handshakes carry only public halves.
    """

    purpose: str  # the question in words
    started: str  # RFC 3339
    sent: tuple[tuple[float, str], ...] = ()
    received: tuple[tuple[float, str], ...] = ()
    ended: str = ""  # answered, alert, closed, reset, timeout, refused …
    milliseconds: float = 0.0
    truncated: int = 0


@value
class Offer:
    """What of a list the endpoint accepts: members by name, and one answer for each class that was asked as a set.

    `complete` is True where `accepted` is all of it: every class that said yes was asked again until it said no.
    """

    accepted: tuple[str, ...] = ()
    classes: Mapping[str, Fact] = field(default_factory=lambda: MappingProxyType({}))
    complete: bool = False


@value
class Offender:
    """One accepted suite, group or scheme of a class that some guideline forbids."""

    kind: str  # suite, group, scheme, version
    name: str
    classes: tuple[str, ...]
    version: str = ""
    exchange: int | None = None


@value
class Handshake:
    """One handshake that was carried through, or how far it came."""

    completed: Fact
    version: str = ""
    suite: str = ""
    group: str = ""
    signature_scheme: str = ""  # of CertificateVerify or ServerKeyExchange
    alpn: str = ""
    carried_by: str = ""  # pyOpenSSL, or otaudit's own TLS 1.3 client for groups that no library lets choose
    milliseconds: float = 0.0


@value
class Staple:
    """A stapled OCSP response for the leaf (RFC 6960), `verified` by the issuer's key or by its delegate."""

    status: str = ""  # good, revoked, on_hold, unknown, or the response's own error status
    this_update: str = ""
    next_update: str = ""
    revoked_at: str = ""
    verified: Fact = NOT_ASKED
    current: Fact = NOT_ASKED
    about_leaf: Fact = NOT_ASKED


@value
class RevocationAnswer:
    """What a responder (RFC 6960) or list (RFC 5280 5) that was fetched says of one certificate of a path.

    `revoked` decides only where the answer is authentic, current and about this certificate; it is not shown elsewhere.
    """

    certificate: str  # SHA-256 of its DER
    subject: str
    kind: str  # ocsp, crl
    url: str
    status: str = ""  # good, revoked, unknown, on_hold, or the response's own error status
    this_update: str = ""
    next_update: str = ""
    verified: Fact = NOT_ASKED
    current: Fact = NOT_ASKED
    about: Fact = NOT_ASKED
    revoked: Fact = NOT_ASKED
    sha256: str = ""  # of the answer as it came


@value
class Pins:
    """SPKI pins as `sha256/BASE64` (RFC 7469 2.4) against what was declared.

    `leaf` and `issuers` are the pins of the verified path, or of the chain as sent where no path is verified.
    """

    leaf: str = ""
    issuers: tuple[str, ...] = ()
    declared: tuple[str, ...] = ()
    matches: Fact = NOT_ASKED  # a declared pin is in the verified path
    matches_leaf: Fact = NOT_ASKED
    matches_issuer: Fact = NOT_ASKED
    backup: Fact = NOT_ASKED  # a declared pin is of no key of the path


@value
class ServerChain:
    """The server's certificates as it sent them, judged apart from each other (tls.md 4.1)."""

    sent: tuple[CertificateFacts, ...] = ()
    sizes: tuple[int, ...] = ()  # DER bytes of each
    in_order: Fact = NOT_ASKED  # each is issued by the next
    missing_intermediate: Fact = NOT_ASKED  # the last one sent is neither an anchor nor below one
    anchor_sent: Fact = NOT_ASKED  # a self-signed certificate is among several
    self_signed_leaf: Fact = NOT_ASKED
    path: ChainFacts | None = None  # as OpenSSL builds it from declared anchors
    path_valid: Fact = NOT_ASKED
    name_matches: Fact = NOT_ASKED  # RFC 9525: subject alternative names only
    names: tuple[str, ...] = ()  # the leaf's, as `DNS:…` and `IP:…`
    within_validity: Fact = NOT_ASKED  # every certificate sent, at as_of
    server_auth: Fact = NOT_ASKED  # extended key usage allows a TLS server
    weak_hash: Fact = NOT_ASKED  # MD5 or SHA-1 under a signature of the chain, self-signed anchors left out
    weakest_bits: int | None = None  # security strength of the weakest key
    revoked: Fact = NOT_ASKED  # the leaf, or a certificate above it
    revoked_by: str = ""  # staple, ocsp, crl
    fetched: tuple[RevocationAnswer, ...] = ()  # over the network, from where the path's certificates say
    stapled: Fact = NOT_ASKED
    staple: Staple | None = None
    raw_public_key: Fact = NOT_ASKED  # RFC 7250
    raw_public_key_pin: str = ""


class ClientAuth(StrEnum):
    """What the endpoint wants of its client."""

    NOT_ASKED = "not_asked"  # no CertificateRequest came: the word of the evidence schema
    ASKED = "asked"  # a CertificateRequest came, and a client without one was served
    REQUIRED = "required"  # refused inside TLS
    REQUIRED_BY_APPLICATION = "required_by_application"  # refused by the protocol above (HTTP 400, CONNACK …)
    UNKNOWN = "unknown"


@value
class CredentialTrial:
    """One client credential, and whether it was served. `accepted` is yes only where the application answered."""

    credential: str  # none, valid, foreign_ca, expired, self_signed; psk, psk_wrong_key, psk_other_identity
    accepted: Fact
    refused_by: str = ""  # tls (alert named in the reason) or application
    version: str = ""  # that was asked for, where a key was tried in several
    handshake: Handshake | None = None


@value
class ClientAuthentication:
    """What the endpoint asks of clients, and what it takes."""

    state: ClientAuth = ClientAuth.UNKNOWN
    requested: Fact = NOT_ASKED
    authority_names: tuple[str, ...] = ()  # of the CertificateRequest
    signature_schemes: tuple[str, ...] = ()
    trials: tuple[CredentialTrial, ...] = ()
    fetched: tuple[RevocationAnswer, ...] = ()  # about the path of the client identity that was given


@value
class Application:
    """The answer of the protocol above TLS. `answered` is yes where it served the request (HTTP below 400 …)."""

    protocol: str = ""  # http, mqtt, coap
    answered: Fact = NOT_ASKED
    status: int | None = None  # HTTP status, CONNACK code, CoAP code as class * 100 + detail
    text: str = ""  # the first line or the code's name
    redirect: str = ""  # HTTP Location
    redirect_other_host: Fact = NOT_ASKED
    redirect_plaintext: Fact = NOT_ASKED
    server_date: str = ""
    clock_skew: float | None = None  # seconds: server's date less ours
    strict_transport: str = ""  # Strict-Transport-Security
    mqtt_version: str = ""  # 3.1.1 or 5


@value
class EndpointFacts:
    """Everything that one examination of one endpoint found."""

    scheme: str  # https, mqtts, coaps, tls, dtls
    host: str
    port: int
    server_name: str = ""
    address: str = ""  # the address that was connected to
    protocol: str = "tls"  # tls or dtls
    as_of: str = ""
    reach: Reach = Reach.SILENT
    reason: str = ""
    first_bytes: str = ""  # hex, where the port speaks something else
    versions: Mapping[str, Fact] = field(default_factory=lambda: MappingProxyType({}))
    suites: Mapping[str, Offer] = field(default_factory=lambda: MappingProxyType({}))  # by version
    groups: Offer = field(default_factory=Offer)
    signature_schemes: Offer = field(default_factory=Offer)
    offenders: tuple[Offender, ...] = ()
    handshakes: tuple[Handshake, ...] = ()
    chain: ServerChain = field(default_factory=ServerChain)
    other_chains: tuple[ServerChain, ...] = ()  # of certificates with other kinds of key, for clients that want those
    pins: Pins = field(default_factory=Pins)
    client: ClientAuthentication = field(default_factory=ClientAuthentication)
    fresh_challenge: Fact = NOT_ASKED  # server randoms and key shares differ from connection to connection
    session_ids: Fact = NOT_ASKED  # a TLS 1.2 server gives a session id that it would resume
    tickets: Fact = NOT_ASKED
    ticket_count: int = 0
    resumption: Fact = NOT_ASKED  # a second handshake was resumed
    early_data: Fact = NOT_ASKED  # a ticket allows 0-RTT (max_early_data_size above 0)
    early_data_size: int = 0
    secure_renegotiation: Fact = NOT_ASKED  # renegotiation_info (RFC 5746)
    extended_master_secret: Fact = NOT_ASKED  # RFC 7627
    encrypt_then_mac: Fact = NOT_ASKED  # RFC 7366
    compression: Fact = NOT_ASKED
    downgrade_sentinel: Fact = NOT_ASKED  # RFC 9846 4.1.3
    psk: Fact = NOT_ASKED
    psk_identity_hint: str = ""
    psk_trials: tuple[CredentialTrial, ...] = ()  # where a key was given; accepted: the handshake was carried through
    application: Application = field(default_factory=Application)
    plaintext_twin: Fact = NOT_ASKED  # the same service without TLS at its usual port
    plaintext_twin_port: int | None = None
    exchanges: tuple[Exchange, ...] = ()
    connections: int = 0
    round_trips: int = 0  # the longest sequence of turns that waited for each other
    milliseconds: float = 0.0

    @property
    def speaks(self) -> bool:
        """Return whether TLS or DTLS answered at all."""
        return self.reach in {Reach.TLS, Reach.PSK_ONLY, Reach.PQ_ONLY}

    @property
    def completed_groups(self) -> tuple[str, ...]:
        """Return the groups of handshakes that were carried through, each once."""
        done = (item.group for item in self.handshakes if item.completed.answer is Answer.YES and item.group)
        return tuple(dict.fromkeys(done))
