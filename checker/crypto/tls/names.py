"""Numbers and names of the IANA TLS parameters: versions, cipher suites and their classes, groups, schemes, alerts.

The suites stand as products of key exchanges and ciphers, the way that the registry numbers them.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final

VERSIONS: Final = MappingProxyType(
    {
        "SSLv3": 0x0300,
        "TLSv1.0": 0x0301,
        "TLSv1.1": 0x0302,
        "TLSv1.2": 0x0303,
        "TLSv1.3": 0x0304,
        "DTLSv1.0": 0xFEFF,
        "DTLSv1.2": 0xFEFD,
    }
)
VERSION_NAMES: Final = MappingProxyType({number: name for name, number in VERSIONS.items()})
RENEGOTIATION_SCSV: Final = 0x00FF  # RFC 5746 3.3
FALLBACK_SCSV: Final = 0x5600  # RFC 7507

_SIX: Final = "RSA DH_DSS DH_RSA DHE_DSS DHE_RSA DH_anon"
_SIX_GCM: Final = "RSA DHE_RSA DH_RSA DHE_DSS DH_DSS DH_anon"
_PSK: Final = "PSK DHE_PSK RSA_PSK"
_CURVES: Final = "ECDHE_ECDSA ECDH_ECDSA ECDHE_RSA ECDH_RSA"
_RUNS: Final = (  # first number, key exchanges, ciphers; a dash leaves a number out
    (0x0000, "NULL", "NULL_NULL"),
    (0x0001, "RSA", "NULL_MD5 NULL_SHA"),
    (0x0004, "RSA", "RC4_128_MD5 RC4_128_SHA"),
    (0x0007, "RSA", "IDEA_CBC_SHA - DES_CBC_SHA 3DES_EDE_CBC_SHA - -"),
    (0x000C, "DH_DSS DH_RSA DHE_DSS DHE_RSA", "DES_CBC_SHA 3DES_EDE_CBC_SHA -"),
    (0x0018, "DH_anon", "RC4_128_MD5 - DES_CBC_SHA 3DES_EDE_CBC_SHA"),
    (0x0003, "RSA_EXPORT", "RC4_40_MD5 - - RC2_CBC_40_MD5 - DES40_CBC_SHA"),
    (0x000B, "DH_DSS_EXPORT DH_RSA_EXPORT DHE_DSS_EXPORT DHE_RSA_EXPORT", "DES40_CBC_SHA - -"),
    (0x0017, "DH_anon_EXPORT", "RC4_40_MD5 - DES40_CBC_SHA"),
    (0x001E, "KRB5", "DES_CBC_SHA 3DES_EDE_CBC_SHA RC4_128_SHA IDEA_CBC_SHA"),
    (0x0022, "KRB5", "DES_CBC_MD5 3DES_EDE_CBC_MD5 RC4_128_MD5 IDEA_CBC_MD5"),
    (0x0026, "KRB5_EXPORT", "DES_CBC_40_SHA RC2_CBC_40_SHA RC4_40_SHA DES_CBC_40_MD5 RC2_CBC_40_MD5 RC4_40_MD5"),
    (0x002C, _PSK, "NULL_SHA"),
    (0x002F, _SIX, "AES_128_CBC_SHA"),
    (0x0035, _SIX, "AES_256_CBC_SHA"),
    (0x003B, "RSA", "NULL_SHA256 AES_128_CBC_SHA256 AES_256_CBC_SHA256"),
    (0x003E, "DH_DSS DH_RSA DHE_DSS", "AES_128_CBC_SHA256"),
    (0x0041, _SIX, "CAMELLIA_128_CBC_SHA"),
    (0x0067, "DHE_RSA", "AES_128_CBC_SHA256"),
    (0x0068, "DH_DSS DH_RSA DHE_DSS DHE_RSA", "AES_256_CBC_SHA256"),
    (0x006C, "DH_anon", "AES_128_CBC_SHA256 AES_256_CBC_SHA256"),
    (0x0084, _SIX, "CAMELLIA_256_CBC_SHA"),
    (0x008A, _PSK, "RC4_128_SHA 3DES_EDE_CBC_SHA AES_128_CBC_SHA AES_256_CBC_SHA"),
    (0x0096, _SIX, "SEED_CBC_SHA"),
    (0x009C, f"{_SIX_GCM} {_PSK}", "AES_128_GCM_SHA256 AES_256_GCM_SHA384"),
    (0x00AE, _PSK, "AES_128_CBC_SHA256 AES_256_CBC_SHA384 NULL_SHA256 NULL_SHA384"),
    (0x00BA, _SIX, "CAMELLIA_128_CBC_SHA256"),
    (0x00C0, _SIX, "CAMELLIA_256_CBC_SHA256"),
    (0x00C6, "", "SM4_GCM_SM3 SM4_CCM_SM3"),
    (
        0x1301,
        "",
        "AES_128_GCM_SHA256 AES_256_GCM_SHA384 CHACHA20_POLY1305_SHA256 AES_128_CCM_SHA256 AES_128_CCM_8_SHA256",
    ),
    (
        0xC001,
        "ECDH_ECDSA ECDHE_ECDSA ECDH_RSA ECDHE_RSA ECDH_anon",
        "NULL_SHA RC4_128_SHA 3DES_EDE_CBC_SHA AES_128_CBC_SHA AES_256_CBC_SHA",
    ),
    (0xC01A, "SRP_SHA SRP_SHA_RSA SRP_SHA_DSS", "3DES_EDE_CBC_SHA"),
    (0xC01D, "SRP_SHA SRP_SHA_RSA SRP_SHA_DSS", "AES_128_CBC_SHA"),
    (0xC020, "SRP_SHA SRP_SHA_RSA SRP_SHA_DSS", "AES_256_CBC_SHA"),
    (0xC023, _CURVES, "AES_128_CBC_SHA256 AES_256_CBC_SHA384"),
    (0xC02B, _CURVES, "AES_128_GCM_SHA256 AES_256_GCM_SHA384"),
    (0xC033, "ECDHE_PSK", "RC4_128_SHA 3DES_EDE_CBC_SHA AES_128_CBC_SHA AES_256_CBC_SHA"),
    (0xC037, "ECDHE_PSK", "AES_128_CBC_SHA256 AES_256_CBC_SHA384 NULL_SHA NULL_SHA256 NULL_SHA384"),
    (0xC03C, "RSA DH_DSS DH_RSA DHE_DSS DHE_RSA DH_anon", "ARIA_128_CBC_SHA256 ARIA_256_CBC_SHA384"),
    (0xC048, _CURVES, "ARIA_128_CBC_SHA256 ARIA_256_CBC_SHA384"),
    (0xC050, f"{_SIX_GCM} {_CURVES}", "ARIA_128_GCM_SHA256 ARIA_256_GCM_SHA384"),
    (0xC064, _PSK, "ARIA_128_CBC_SHA256 ARIA_256_CBC_SHA384"),
    (0xC06A, _PSK, "ARIA_128_GCM_SHA256 ARIA_256_GCM_SHA384"),
    (0xC070, "ECDHE_PSK", "ARIA_128_CBC_SHA256 ARIA_256_CBC_SHA384"),
    (0xC072, _CURVES, "CAMELLIA_128_CBC_SHA256 CAMELLIA_256_CBC_SHA384"),
    (0xC07A, f"{_SIX_GCM} {_CURVES} {_PSK}", "CAMELLIA_128_GCM_SHA256 CAMELLIA_256_GCM_SHA384"),
    (0xC094, f"{_PSK} ECDHE_PSK", "CAMELLIA_128_CBC_SHA256 CAMELLIA_256_CBC_SHA384"),
    (0xC09C, "RSA DHE_RSA", "AES_128_CCM AES_256_CCM"),
    (0xC0A0, "RSA DHE_RSA", "AES_128_CCM_8 AES_256_CCM_8"),
    (0xC0A4, "PSK DHE_PSK", "AES_128_CCM AES_256_CCM"),
    (0xC0A8, "PSK PSK_DHE", "AES_128_CCM_8 AES_256_CCM_8"),
    (0xC0AC, "ECDHE_ECDSA", "AES_128_CCM AES_256_CCM AES_128_CCM_8 AES_256_CCM_8"),
    (0xC0B0, "ECCPWD", "AES_128_GCM_SHA256 AES_256_GCM_SHA384 AES_128_CCM_SHA256 AES_256_CCM_SHA384"),
    (0xC0B4, "", "SHA256_SHA256 SHA384_SHA384"),
    (0xC100, "GOSTR341112_256", "KUZNYECHIK_CTR_OMAC MAGMA_CTR_OMAC 28147_CNT_IMIT"),
    (0xCCA8, "ECDHE_RSA ECDHE_ECDSA DHE_RSA PSK ECDHE_PSK DHE_PSK RSA_PSK", "CHACHA20_POLY1305_SHA256"),
    (0xD001, "ECDHE_PSK", "AES_128_GCM_SHA256 AES_256_GCM_SHA384 AES_128_CCM_8_SHA256 - AES_128_CCM_SHA256"),
)


def _suites() -> Iterator[tuple[int, str]]:
    for start, exchanges, ciphers in _RUNS:
        pairs = ((exchange, cipher) for exchange in exchanges.split(" ") for cipher in ciphers.split())
        for number, (exchange, cipher) in enumerate(pairs, start):
            if cipher != "-":
                yield number, f"TLS_{exchange}_WITH_{cipher}" if exchange else f"TLS_{cipher}"


SUITES: Final[Mapping[int, str]] = MappingProxyType(dict(sorted(_suites())))
SUITE_NUMBERS: Final[Mapping[str, int]] = MappingProxyType({name: number for number, name in SUITES.items()})
TLS13_SUITES: Final = tuple(range(0x1301, 0x1306))
_NOT_12: Final = frozenset({*TLS13_SUITES, 0xC6, 0xC7, 0xC0B4, 0xC0B5, 0x0000})  # TLS 1.3's own, and the null value
_RECOMMENDED: Final = frozenset({0xC02B, 0xC02C, 0xC02F, 0xC030})  # RFC 9325 4.2
_MARKS: Final = (  # class, what in a name shows it
    ("null", ("_NULL_",)),
    ("anonymous", ("_anon_",)),
    ("export", ("_EXPORT_",)),
    ("rc4", ("_RC4_",)),
    ("rc2", ("_RC2_",)),
    ("des", ("_DES_", "_DES40_")),
    ("3des", ("_3DES_",)),
    ("idea", ("_IDEA_",)),
    ("md5", ("_MD5",)),
    ("static-rsa", ("TLS_RSA_WITH", "TLS_RSA_EXPORT", "TLS_RSA_PSK")),
    ("static-dh", ("TLS_DH_RSA", "TLS_DH_DSS", "TLS_ECDH_RSA", "TLS_ECDH_ECDSA")),
    ("ffdhe", ("TLS_DHE_", "TLS_PSK_DHE_")),
    ("psk", ("_PSK_",)),
    ("kerberos", ("TLS_KRB5",)),
    ("srp", ("TLS_SRP",)),
    ("gost", ("TLS_GOST",)),
    ("password", ("TLS_ECCPWD",)),
    ("cbc", ("_CBC_",)),
    ("ccm-8", ("_CCM_8",)),
    ("aead", ("_GCM_", "_CCM", "_CHACHA20_")),
)
_EACH_MARK: Final = tuple((label, mark) for label, marks in _MARKS for mark in marks)
_BROKEN: Final = frozenset({"export", "rc4", "rc2", "des", "3des", "idea", "md5"})
_PARTS: Final = (  # the first that fits is the question that a suite of TLS 1.2 and below is asked in
    ("null", frozenset({"null"})),
    ("anonymous", frozenset({"anonymous"})),
    ("broken", _BROKEN),
    ("psk", frozenset({"psk"})),
    ("other", frozenset({"kerberos", "srp", "gost", "password"})),
    ("static-rsa", frozenset({"static-rsa"})),
    ("static-dh", frozenset({"static-dh"})),
    ("cbc", frozenset({"cbc"})),
    ("ffdhe", frozenset({"ffdhe"})),
)


def suite_name(number: int) -> str:
    """Return a suite's registered name, or its number as `0x1234`."""
    return SUITES.get(number, f"0x{number:04X}")


@functools.cache
def suite_classes(name: str) -> tuple[str, ...]:
    """Return every class that a suite is of: how it authenticates, exchanges keys, encrypts."""
    ended = f"{name}_"
    found = tuple(dict.fromkeys(label for label, mark in _EACH_MARK if mark in ended))
    return (*found, "recommended") if SUITE_NUMBERS.get(name) in _RECOMMENDED else found


def _part(name: str) -> str:
    classes = set(suite_classes(name))
    return next((label for label, marks in _PARTS if classes & marks), "aead-ecdhe")


def _parts() -> dict[str, tuple[int, ...]]:
    found: dict[str, tuple[int, ...]] = dict.fromkeys((*(label for label, _ in _PARTS), "aead-ecdhe"), ())
    for number, name in SUITES.items():
        if number not in _NOT_12:
            part = _part(name)
            found[part] = (*found[part], number)
    return found


SUITE_PARTS: Final[Mapping[str, tuple[int, ...]]] = MappingProxyType(_parts())  # every suite up to TLS 1.2, once

GROUPS: Final = MappingProxyType(
    {
        0x0001: "sect163k1",
        0x0003: "sect163r2",
        0x0006: "sect233k1",
        0x0007: "sect233r1",
        0x0009: "sect283k1",
        0x000A: "sect283r1",
        0x000B: "sect409k1",
        0x000C: "sect409r1",
        0x000D: "sect571k1",
        0x000E: "sect571r1",
        0x0010: "secp160r1",
        0x0012: "secp192k1",
        0x0013: "secp192r1",
        0x0014: "secp224k1",
        0x0015: "secp224r1",
        0x0016: "secp256k1",
        0x0017: "secp256r1",
        0x0018: "secp384r1",
        0x0019: "secp521r1",
        0x001A: "brainpoolP256r1",
        0x001B: "brainpoolP384r1",
        0x001C: "brainpoolP512r1",
        0x001D: "x25519",
        0x001E: "x448",
        0x001F: "brainpoolP256r1tls13",
        0x0020: "brainpoolP384r1tls13",
        0x0021: "brainpoolP512r1tls13",
        0x0029: "curveSM2",
        0x0100: "ffdhe2048",
        0x0101: "ffdhe3072",
        0x0102: "ffdhe4096",
        0x0103: "ffdhe6144",
        0x0104: "ffdhe8192",
        0x0200: "MLKEM512",
        0x0201: "MLKEM768",
        0x0202: "MLKEM1024",
        0x11EB: "SecP256r1MLKEM768",
        0x11EC: "X25519MLKEM768",
        0x11ED: "SecP384r1MLKEM1024",
        0x11EE: "curveSM2MLKEM768",
        0x6399: "X25519Kyber768Draft00",
        0x639A: "SecP256r1Kyber768Draft00",
    }
)
GROUP_NUMBERS: Final = MappingProxyType({name: number for number, name in GROUPS.items()})
GROUP_PARTS: Final = MappingProxyType(
    {
        "hybrid": (0x11EC, 0x11EB, 0x11ED, 0x11EE),
        "ml-kem": (0x0200, 0x0201, 0x0202),
        "kyber-draft": (0x6399, 0x639A),
        "classical": (
            *(0x001D, 0x0017, 0x0018, 0x0019, 0x001E),
            *(0x0100, 0x0101, 0x0102, 0x0103, 0x0104, 0x001F, 0x0020, 0x0021, 0x0029),
        ),
    }
)
# Curves of TLS 1.2 that are weak (below 112 bits, SP 800-57) or deprecated (RFC 8422 5.1.1), and the ones that are not.
WEAK_CURVES: Final = (0x0010, 0x0012, 0x0013, 0x0014, 0x0001, 0x0003)
CURVES: Final = (
    0x001D,
    0x0017,
    0x0018,
    0x0019,
    0x001E,
    0x001A,
    0x001B,
    0x001C,
    0x0016,
    0x0015,
    0x0014,
    0x0013,
    0x0009,
    0x000B,
    0x000D,
)

SCHEMES: Final = MappingProxyType(
    {
        0x0101: "rsa_pkcs1_md5",
        0x0201: "rsa_pkcs1_sha1",
        0x0203: "ecdsa_sha1",
        0x0202: "dsa_sha1",
        0x0301: "rsa_pkcs1_sha224",
        0x0303: "ecdsa_sha224",
        0x0302: "dsa_sha224",
        0x0401: "rsa_pkcs1_sha256",
        0x0402: "dsa_sha256",
        0x0403: "ecdsa_secp256r1_sha256",
        0x0501: "rsa_pkcs1_sha384",
        0x0502: "dsa_sha384",
        0x0503: "ecdsa_secp384r1_sha384",
        0x0601: "rsa_pkcs1_sha512",
        0x0602: "dsa_sha512",
        0x0603: "ecdsa_secp521r1_sha512",
        0x0804: "rsa_pss_rsae_sha256",
        0x0805: "rsa_pss_rsae_sha384",
        0x0806: "rsa_pss_rsae_sha512",
        0x0807: "ed25519",
        0x0808: "ed448",
        0x0809: "rsa_pss_pss_sha256",
        0x080A: "rsa_pss_pss_sha384",
        0x080B: "rsa_pss_pss_sha512",
        0x081A: "ecdsa_brainpoolP256r1tls13_sha256",
        0x081B: "ecdsa_brainpoolP384r1tls13_sha384",
        0x081C: "ecdsa_brainpoolP512r1tls13_sha512",
        0x0904: "mldsa44",
        0x0905: "mldsa65",
        0x0906: "mldsa87",
    }
)
SHA1_SCHEMES: Final = (0x0201, 0x0203, 0x0202)
MODERN_SCHEMES: Final = tuple(number for number in SCHEMES if number >= 0x0401)  # noqa: PLR2004 - SHA-256 and above
# As hellos list them: GnuTLS takes the first that it knows, and then fails to sign with SHA-1.
OFFERED_SCHEMES: Final = (*MODERN_SCHEMES, *(number for number in SCHEMES if number not in MODERN_SCHEMES))
OTHER_SCHEMES: Final = tuple(number for number in MODERN_SCHEMES if not SCHEMES[number].startswith("dsa"))


def without_kind(schemes: tuple[int, ...], seen: int) -> tuple[int, ...]:
    """Return schemes without those of a seen one's kind of key: RSA, ECDSA, Edwards curves, ML-DSA."""
    kind = _kind(seen)
    return tuple(number for number in schemes if _kind(number) != kind)


def _kind(scheme: int) -> str:
    return SCHEMES.get(scheme, "").partition("_")[0].rstrip("0123456789")


ALERTS: Final = MappingProxyType(
    {
        0: "close_notify",
        10: "unexpected_message",
        20: "bad_record_mac",
        21: "decryption_failed",
        22: "record_overflow",
        30: "decompression_failure",
        40: "handshake_failure",
        41: "no_certificate",
        42: "bad_certificate",
        43: "unsupported_certificate",
        44: "certificate_revoked",
        45: "certificate_expired",
        46: "certificate_unknown",
        47: "illegal_parameter",
        48: "unknown_ca",
        49: "access_denied",
        50: "decode_error",
        51: "decrypt_error",
        60: "export_restriction",
        70: "protocol_version",
        71: "insufficient_security",
        80: "internal_error",
        86: "inappropriate_fallback",
        90: "user_canceled",
        100: "no_renegotiation",
        109: "missing_extension",
        110: "unsupported_extension",
        112: "unrecognized_name",
        113: "bad_certificate_status_response",
        115: "unknown_psk_identity",
        116: "certificate_required",
        120: "no_application_protocol",
    }
)


def group_name(number: int) -> str:
    """Return a group's registered name, or its number."""
    return GROUPS.get(number, f"0x{number:04X}")


def scheme_name(number: int) -> str:
    """Return a signature scheme's registered name, or its number."""
    return SCHEMES.get(number, f"0x{number:04X}")


def alert_name(number: int) -> str:
    """Return an alert's name with its number, as `handshake_failure (40)`."""
    return f"{ALERTS.get(number, 'alert')} ({number})"
