"""The whole exception tree. Each class knows its exit status and what to try next.

`OtauditError.diagnostics()` is what the command line prints: what is wrong, where, and what to do. A foreign
exception that escapes a parser is a bug of otaudit.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import ClassVar


class ExitStatus(IntEnum):
    """What the process says to its caller; the same for every output format (design.md section 8)."""

    GATE_MET = 0
    GATE_NOT_MET = 1
    BAD_INPUT = 2
    UNDECIDED = 3
    NOT_VERIFIED = 4
    INTERNAL = 70


class OtauditError(Exception):
    """Base of everything that otaudit raises on purpose."""

    exit_status: ClassVar[ExitStatus] = ExitStatus.INTERNAL
    help: ClassVar[str] = "This is a fault of otaudit. Please report it with the command line that showed it."

    def diagnostics(self) -> str:
        """Return the message and the advice, one below the other."""
        return f"{self}\n  help: {self.help}"


class UsageError(OtauditError):
    """The command line asks for something that cannot be done."""

    exit_status = ExitStatus.BAD_INPUT
    help = "See `otaudit --help` or `otaudit COMMAND --help`."


class InputError(OtauditError):
    """An input file cannot be read at all."""

    exit_status = ExitStatus.BAD_INPUT
    help = "Check that the path is right, that it is a file, and that you may read it."


class PathError(InputError):
    """A path of a description leads out of the description's folder."""

    help = "Move the file below the description's folder, or allow it with --allow-outside."


@dataclass(frozen=True, order=True)
class Problem:
    """One fault of a text file, with its place: `file:line:column: path: message`."""

    file: str
    line: int
    column: int
    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}: {self.path}: {self.message}"


class DescriptionError(InputError):
    """A description (device, update, log, inventory) is not valid; carries every problem found."""

    help = "`otaudit schema update` and `otaudit schema device` print what is allowed where."

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        self.problems = tuple(sorted(problems))
        super().__init__("\n".join(str(problem) for problem in self.problems))


class RuleError(InputError):
    """A rule set is not valid; carries every problem found."""

    help = "docs/rules.md describes the rule language; `otaudit rules test` checks a rule set."

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        self.problems = tuple(sorted(problems))
        super().__init__("\n".join(str(problem) for problem in self.problems))


class FormatError(OtauditError):
    """An artifact's bytes break its format's rules, at an offset and in a named field."""

    exit_status = ExitStatus.BAD_INPUT
    help = "The file is damaged, cut short, or not of this format; make it again or name its format."

    def __init__(self, message: str, *, offset: int = 0, field: str = "") -> None:
        self.message = message
        self.offset = offset
        self.field = field
        where = f" in {field}" if field else ""
        super().__init__(f"offset {offset:#x}{where}: {message}")


class LimitError(FormatError):
    """An artifact asks for more than a named limit allows (bombs, absurd lengths, deep nesting)."""

    help = "The file asks for more than otaudit will spend on it; if it is genuine, report the limit's name."


class UnknownFormatError(FormatError):
    """No format claims a file."""

    help = "`otaudit list formats` shows what can be opened; name a format with `format:` if you know it."


class AmbiguousFormatError(FormatError):
    """More than one format claims a file; the message names the candidates."""

    help = "Say which one it is with `format:` in the description or --format on the command line."


class CryptoError(OtauditError):
    """Base of what the cryptography room raises; probes turn it into evidence."""

    exit_status = ExitStatus.BAD_INPUT
    help = "The cryptographic object is damaged or of an unsupported kind."


class InvalidSignatureError(CryptoError):
    """A signature or authentication tag does not verify."""


class UnsupportedAlgorithmError(CryptoError):
    """The algorithm is known by name at best; nothing was computed with it."""


class DecryptionError(CryptoError):
    """Decryption failed: wrong key, damaged ciphertext or wrong tag."""


class KeyMaterialError(CryptoError):
    """A key, certificate or CRL file cannot be read."""

    help = "Give PEM or DER: a public key (SPKI), a certificate, a CRL, or a private key for decryption."


class VerificationError(OtauditError):
    """A report or evidence pack is not what it says it is."""

    exit_status = ExitStatus.NOT_VERIFIED
    help = "Ask the sender for the original file; do not rely on this one."
