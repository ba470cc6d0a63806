"""Init packets of Nordic's DFU: what the bootloader is told about one firmware, and checks before it takes it.

Source: NordicSemiconductor/pc-nrfutil nordicsemi/dfu/dfu-cc.proto and init_packet_pb.py (secure DFU, nRF5 SDK 12 and
later); adafruit/Adafruit_nRF52_nrfutil nordicsemi/dfu/init_packet.py (legacy, to SDK 11).

Secure DFU writes hashes and signature numbers with their bytes reversed; the legacy packet does not.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from checker.errors import FormatError
from checker.formats._protobuf import Message
from checker.io.reader import Reader
from checker.io.sources import BytesSource

ECDSA, ED25519 = 0, 1  # dfu-cc.proto, SignatureType
KINDS: Final = {0: "application", 1: "softdevice", 2: "bootloader", 3: "softdevice_bootloader", 4: "application"}
_HASHES: Final = {1: "crc-32", 2: "sha-128", 3: "sha-256", 4: "sha-512"}  # HashType; there is no SHA-128
_INIT: Final = 1  # OpCode
_ECDS: Final = 64  # bytes of r and s
_ANY16, ANY32 = 0xFFFF, 0xFFFFFFFF  # "every device", "every revision", "no version"
_CRC16: Final = "crc-16/ccitt-false"
_USES_CRC16, _USES_HASH, _USES_ECDS = 0, 1, 2  # legacy extended packet ids
_VALIDATIONS: Final = {0: "none", 1: "CRC-32", 2: "SHA-256", 3: "ECDSA P-256 with SHA-256"}
_VALIDATION_HASH, _VALIDATION_ECDSA = 2, 3


@dataclass(frozen=True, kw_only=True)
class Signed:
    """A signature as the packet holds it: its scheme, the bytes under it, and r and s or Ed25519's 64 bytes."""

    kind: int
    message: bytes = field(repr=False)
    signature: bytes = field(repr=False)
    little_endian: bool


@dataclass(frozen=True, kw_only=True)
class Init:
    """What an init packet says. `hash` is an id of the algorithm table, empty where there is no digest.

    `boot_hash` and `boot_signature` are what the bootloader keeps to check the firmware at every start.
    """

    legacy: bool
    kind: str = ""  # the firmware's kind; a legacy packet does not say it
    version: int | None = None
    hardware: tuple[str, ...] = ()
    softdevices: tuple[int, ...] = ()
    size: int | None = None
    hash: str = ""
    digest: bytes = field(default=b"", repr=False)
    debug: bool = False
    signed: Signed | None = None
    validations: tuple[str, ...] = ()
    boot_hash: bytes = field(default=b"", repr=False)
    boot_signature: bytes = field(default=b"", repr=False)


def read_init(data: bytes, name: str, *, legacy: bool | None) -> Init:
    """Return what an init packet says.

    Args:
        data: the packet.
        name: its name in the package, for messages.
        legacy: whether the package says that it is a legacy one; None where it does not say.

    Raises:
        FormatError: it is damaged or of no known kind.
    """
    if legacy is None:
        legacy = _legacy_length(data) is not None
    return _read_legacy(data, name) if legacy else _read_secure(data, name)


# Secure DFU


def _read_secure(data: bytes, name: str) -> Init:
    packet = Message(data, name)
    plain, signed = packet.message(1, "command"), packet.message(2, "signed_command")
    if (plain is None) == (signed is None):
        raise FormatError("holds a command and a signed command, or neither", field=name)
    command = plain or _one(signed, 1, "command")
    if command.integer(1) != _INIT:
        raise FormatError("is no init command", field=command.name)
    init = _one(command, 2, "init")
    number = {1: init.integer(5), 2: init.integer(6), 0: init.integer(7), 4: init.integer(7)}
    kind = init.integer(4) or 0
    sizes = (number[1], number[2]) if kind == 3 else (number.get(kind),)  # noqa: PLR2004 - softdevice and bootloader
    hash_name, digest = _hash(init)
    validations = init.messages(10, "boot_validation")
    return Init(
        legacy=False,
        kind=KINDS.get(kind, f"type {kind}"),
        version=init.integer(1),
        hardware=() if init.integer(2) in {None, ANY32} else (str(init.integer(2)),),
        softdevices=init.integers(3),
        size=sum(size or 0 for size in sizes) if any(sizes) else None,
        hash=hash_name,
        digest=digest,
        debug=bool(init.integer(9)),
        signed=_signed(signed, init) if signed else None,
        validations=tuple(_VALIDATIONS.get(item.integer(1) or 0, "unknown") for item in validations),
        boot_hash=next(_validation(validations, _VALIDATION_HASH), b"")[::-1],
        boot_signature=next(_validation(validations, _VALIDATION_ECDSA), b""),
    )


def _one(message: Message | None, number: int, name: str) -> Message:
    """Return a submessage that stands exactly once: of two, one reader checks the one and installs by the other."""
    found = message.message(number, name) if message else None
    if message is None or found is None or message.count(number) != 1:
        where = message.name if message else name
        raise FormatError(f"{name} stands {message.count(number) if message else 0} times", field=where)
    return found


def _hash(init: Message) -> tuple[str, bytes]:
    if init.count(8) > 1:
        raise FormatError("hash stands twice", field=init.name)
    found = init.message(8, "hash")
    kind = found.integer(1) if found else 0
    if found is None or not kind:
        return "", b""
    return _HASHES.get(kind, f"type {kind}"), (found.blob(2) or b"")[::-1]


def _signed(message: Message, init: Message) -> Signed:
    return Signed(
        kind=message.integer(2) or 0,
        message=init.data,
        signature=message.blob(3) or b"",
        little_endian=True,
    )


def _validation(entries: tuple[Message, ...], kind: int) -> Iterator[bytes]:
    for entry in entries:
        if entry.integer(1) == kind:
            yield entry.blob(2) or b""


# Legacy DFU


def _legacy_length(data: bytes) -> int | None:
    """Return how many bytes of a legacy packet follow the list of SoftDevices, None where it is none."""
    if len(data) < 10:  # noqa: PLR2004 - type, revision, version, count
        return None
    left = len(data) - 10 - 2 * int.from_bytes(data[8:10], "little")
    return left if left in {2, 6, 36, 40, 100, 104} else None


def _read_legacy(data: bytes, name: str) -> Init:
    reader = Reader(BytesSource(name, data))
    device, revision = reader.integer(2, f"{name} device type"), reader.integer(2, f"{name} device revision")
    version, count = reader.integer(4, f"{name} version"), reader.integer(2, f"{name} softdevices")
    if 2 * count > reader.left:
        raise FormatError(f"{count} SoftDevices do not fit into {reader.left} bytes", offset=8, field=name)
    softdevices = tuple(reader.integer(2, f"{name} softdevice") for _ in range(count))
    kind = _USES_CRC16 if reader.left == 2 else reader.integer(4, f"{name} extended packet id")  # noqa: PLR2004
    if kind not in {_USES_CRC16, _USES_HASH, _USES_ECDS}:
        raise FormatError(f"extended packets of kind {kind} are not known", offset=reader.offset, field=name)
    size, digest = None, b""
    if kind == _USES_CRC16:
        digest = reader.take(2, f"{name} CRC-16")[::-1]
    else:
        size, digest = _length_and_hash(reader, name, kind)
    message = data[: reader.offset]
    signature = reader.take(_ECDS, f"{name} signature") if kind == _USES_ECDS else b""
    if reader.left:
        raise FormatError(f"{reader.left} bytes follow the packet", offset=reader.offset, field=name)
    signed = Signed(kind=ECDSA, message=message, signature=signature, little_endian=False) if signature else None
    return Init(
        legacy=True,
        version=None if version == ANY32 else version,
        hardware=_device(device, revision),
        softdevices=softdevices,
        size=size,
        hash=_CRC16 if kind == _USES_CRC16 else "sha-256",
        digest=digest,
        signed=signed,
    )


def _length_and_hash(reader: Reader, name: str, kind: int) -> tuple[int | None, bytes]:
    """Return size and SHA-256; packets of version 0.6 leave the size out."""
    rest = 32 + (_ECDS if kind == _USES_ECDS else 0)
    size = reader.integer(4, f"{name} firmware length") if reader.left == rest + 4 else None
    return size, reader.take(32, f"{name} hash")


def _device(device: int, revision: int) -> tuple[str, ...]:
    if device == _ANY16:
        return ()
    return (str(device) if revision == _ANY16 else f"{device} revision {revision}",)
