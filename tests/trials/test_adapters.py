"""Every adapter runs the real tool on what is genuine and on what was changed, and understands what it says."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from checker.description.model import Command
from checker.trials import commands, runner
from checker.trials.answers import broken
from checker.trials.contract import ARTIFACT, Adapter, Answer, Cause, Outcome, Place, Run

FORMATS = Path(__file__).resolve().parents[2] / "samples" / "formats"
GOOD = "accepted"
CASES: Mapping[str, tuple[str, Mapping[str, str], Mapping[str, str]]] = {
    "swupdate": (
        "swupdate",
        {"keyring": "keys/root.pem", "hardware": "board:1.0"},
        {
            "good/signed.swu": GOOD,
            "good/json.swu": GOOD,
            "good/swugenerator.swu": GOOD,
            "bad/member-bit-flipped.swu": "digest",
            "bad/truncated-member.swu": "digest",
            "bad/description-changed.swu": "signature",
            "bad/signature-bit-flipped.swu": "signature",
            "bad/unsigned.swu": "signature",
            "bad/signed-by-a-stranger.swu": "key",
            "bad/signer-expired.swu": "key",  # it does not say that it is for the time
            "bad/signer-of-servers.swu": "key",
            "bad/member-without-digest.swu": "policy",
            "bad/member-missing.swu": "format",
            "bad/no-trailer.swu": "format",
            "bad/truncated-header.swu": "format",
            "bad/bytes-behind.swu": GOOD,  # it does not look there
            "bad/signer-revoked.swu": GOOD,  # it knows no list of revoked certificates
        },
    ),
    "swupdate for other hardware": (
        "swupdate",
        {"keyring": "keys/root.pem", "hardware": "board:9.0"},
        {"good/signed.swu": "compatibility"},
    ),
    "swupdate with a newer release installed": (
        "swupdate",
        {"keyring": "keys/root.pem", "hardware": "board:1.0", "installed-version": "3.0.0"},
        {"good/signed.swu": "version"},
    ),
    "rauc": (
        "rauc",
        {"keyring": "keys/root.pem"},
        {
            "good/plain.raucb": GOOD,
            "good/verity.raucb": GOOD,
            "bad/payload-bit-flipped.raucb": "digest",
            "bad/verity-payload-bit-flipped.raucb": "digest",
            "bad/verity-tree-bit-flipped.raucb": "digest",
            "bad/signature-bit-flipped.raucb": "signature",
            "bad/verity-signature-bit-flipped.raucb": "signature",
            "bad/no-signer.raucb": "signature",
            "bad/signed-by-a-stranger.raucb": "key",
            "bad/signer-of-servers.raucb": "key",
            "bad/signer-expired.raucb": "time",
            "bad/signer-not-yet-valid.raucb": "time",
            "bad/truncated.raucb": "size",
            "bad/size-beyond-the-file.raucb": "size",
            "bad/message-cut-short.raucb": "format",
            "bad/image-of-another-digest.raucb": GOOD,  # it looks at that when it installs
        },
    ),
    "mender-artifact": (
        "mender",
        {"key": "keys/signer.pub.pem"},
        {
            "good/signed.mender": GOOD,
            "good/rootfs.mender": GOOD,
            "bad/payload-bit-flipped.mender": "digest",
            "bad/header-changed.mender": "digest",
            "bad/signature-bit-flipped.mender": "signature",
            "bad/signature-no-base64.mender": "signature",
            "bad/unsigned.mender": "signature",
            "bad/signed-by-a-stranger.mender": "signature",
            "bad/truncated-payload.mender": "format",
            "bad/truncated-header.mender": "format",
            "bad/version-9.mender": "format",
            "bad/wrong-order.mender": "format",
            "bad/manifest-line-broken.mender": "format",
            "bad/manifest-names-a-missing-file.mender": "format",
            "bad/file-that-no-manifest-names.mender": "format",
            "bad/bytes-behind.mender": GOOD,
        },
    ),
    "imgtool": (
        "mcuboot",
        {"key": "keys/signer.pub.pem"},
        {
            "good/signed.bin": GOOD,
            "good/encrypted.bin": "digest",  # it decrypts nothing
            "bad/payload-bit-flipped.bin": "digest",
            "bad/version-raised.bin": "digest",
            "bad/signature-bit-flipped.bin": "signature",
            "bad/unsigned.bin": "signature",
            "bad/signed-by-a-stranger.bin": "signature",
            "bad/empty.bin": "format",
            "bad/truncated-payload.bin": "crashed",
            "bad/bytes-behind.bin": GOOD,
        },
    ),
    "openssl-cms": (
        "cms",
        {"keyring": "keys/root.pem"},
        {
            "good/signed.p7m": GOOD,
            "bad/content-bit-flipped.p7m": "digest",
            "bad/signature-bit-flipped.p7m": "signature",
            "bad/signed-by-a-stranger.p7m": "key",
            "bad/signer-expired.p7m": "time",
            "bad/signer-not-yet-valid.p7m": "time",
            "bad/truncated.p7m": "format",
            "bad/without-content.p7m": "format",
            "good/signed-and-encrypted.p7m": "signature",
            "bad/signer-revoked.p7m": GOOD,
            "bad/signer-of-servers.p7m": GOOD,
            "bad/bytes-behind.p7m": GOOD,
        },
    ),
    "openssl-cms with a list of revoked certificates": (
        "cms",
        {"keyring": "keys/root.pem+keys/root.crl.pem", "crl-check": "true"},
        {"bad/signer-revoked.p7m": "key", "good/signed.p7m": GOOD},
    ),
    "openssl-cms with a purpose": (
        "cms",
        {"keyring": "keys/root.pem", "purpose": "smimesign"},
        {"bad/signer-of-servers.p7m": "key"},
    ),
    "openssl-cms detached": (
        "detached",
        {"keyring": "keys/root.pem", "detached": "true"},
        {
            "good/cms-rsa.bin": GOOD,
            "good/cms-signer.bin": GOOD,
            "bad/cms-stranger.bin": "key",
            "bad/cms-expired.bin": "time",
            "bad/raw-file-bit.bin": "format",
            "good/openpgp-p256.bin without its signature": "signature",
        },
    ),
    "minisign": (
        "detached",
        {"key": "keys/minisign.pub"},
        {
            "good/minisign.bin": GOOD,
            "good/minisign-legacy.bin": GOOD,
            "bad/minisign-file-bit.bin": "signature",
            "bad/minisign-signature-bit.bin": "signature",
            "bad/minisign-comment.bin": "signature",
            "bad/minisign-no-base64.bin": "signature",
            "bad/minisign-stranger.bin": "key",
            "good/minisign.bin without its signature": "signature",
        },
    ),
    "gpgv": (
        "detached",
        {"keyring": "keys/ed25519.asc"},
        {
            "good/openpgp-ed25519.bin": GOOD,
            "bad/openpgp-file-bit.bin": "signature",
            "bad/openpgp-signature-bit.bin": "signature",
            "bad/openpgp-cut.bin": "signature",
            "bad/openpgp-signature-expired.bin": "time",
            "bad/openpgp-stranger.bin": "key",
            "good/openpgp-p256.bin": "key",
            "good/openpgp-ed25519.bin without its signature": "signature",
        },
    ),
    "espsecure": (
        "esp_idf",
        {"key": "keys/signer.pub.pem"},
        {
            "good/signed-v2-ecdsa.bin": GOOD,
            "bad/image-bit-flipped.bin": "digest",
            "bad/signature-bit-flipped.bin": "signature",
            "bad/signed-by-a-stranger.bin": "signature",
            "bad/unsigned.bin": "size",
            "bad/bytes-behind.bin": "size",
            "bad/truncated-sector.bin": "size",
            "bad/key-bit-flipped.bin": GOOD,  # it compares neither the key nor its digest with the fuses
        },
    ),
}
_WITHOUT = " without its signature"


def adapter(name: str) -> Adapter:
    found = commands.adapter_of(Command(adapter=name.split(" ", maxsplit=1)[0]))
    assert found is not None
    if not shutil.which(found.program or "sh", path=runner.search_path()):
        pytest.skip(f"{found.program} is not installed")
    return found


def place(tmp_path: Path, found: Adapter, folder: Path, settings: Mapping[str, str], name: str) -> Place:
    artifact = folder / name.removesuffix(_WITHOUT)
    files = {ARTIFACT: tmp_path / f"artifact{artifact.suffix}"}
    shutil.copy(artifact, files[ARTIFACT])
    signature = artifact.with_suffix(".sig")
    if signature.exists() and not name.endswith(_WITHOUT):
        files["signature"] = tmp_path / "signature.sig"
        shutil.copy(signature, files["signature"])
    own = {key: str(folder / value) if key in found.paths else value for key, value in settings.items()}
    if "+" in settings.get("keyring", ""):
        own["keyring"] = str(tmp_path / "keyring.pem")
        both = [(folder / name).read_text() for name in settings["keyring"].split("+")]
        Path(own["keyring"]).write_text("".join(both))
    if found.id == "gpgv":
        own["keyring"] = str(tmp_path / "keyring.gpg")
        armored = Path(folder / settings["keyring"]).read_bytes()
        if armored.startswith(b"-----"):
            armored = subprocess.run(["gpg", "--dearmor"], input=armored, capture_output=True, check=True).stdout
        Path(own["keyring"]).write_bytes(armored)
    return Place(folder=tmp_path, files=files, settings=own)


def asked(found: Adapter, where: Place) -> Answer:
    command = Command(adapter=found.id)
    done = runner.run(found.argv(command, where), where.folder)
    text = done.output.replace(f"{where.folder}/", "")
    return found.answer(command, Run(exit_code=done.exit_code, output=text, signal=done.signal))


@pytest.mark.parametrize(
    ("case", "name", "said"),
    [(case, name, said) for case, (_, _, all_) in CASES.items() for name, said in all_.items()],
)
def test_the_real_tool_is_understood(tmp_path: Path, case: str, name: str, said: str) -> None:
    folder, settings, _ = CASES[case]
    found = adapter(case)
    answer = asked(found, place(tmp_path, found, FORMATS / folder, settings, name))
    told = answer.cause.value if answer.outcome is Outcome.REFUSED else answer.outcome.value
    assert told == said, answer


def test_every_adapter_of_a_tool_has_cases_of_both_kinds() -> None:
    known = {item.id for item in commands.adapters() if item.program}
    assert known == {case.split(" ")[0] for case in CASES}
    for item in known:
        said = {word for case, (_, _, all_) in CASES.items() if case.split(" ")[0] == item for word in all_.values()}
        assert GOOD in said
        assert len(said) > 2, item


def test_what_an_adapter_says_of_itself_fits() -> None:
    for item in commands.adapters():
        assert item.paths | item.required <= set(item.settings), item.id
        assert item.unchecked, item.id


@pytest.mark.parametrize(
    ("run", "outcome"),
    [
        (Run(exit_code=0, output="", timed_out=True), Outcome.TIMEOUT),
        (Run(exit_code=0, output="", signal=11), Outcome.CRASHED),
        (Run(exit_code=0, output="", signal=24), Outcome.TIMEOUT),
        (Run(exit_code=139, output=""), Outcome.CRASHED),
        (Run(exit_code=134, output=""), Outcome.CRASHED),
        (Run(exit_code=1, output="x\nTraceback (most recent call last):\n  File"), Outcome.CRASHED),
        (Run(exit_code=0, output="Traceback (most recent call last):\n"), Outcome.CRASHED),
        (Run(exit_code=101, output="thread 'main' panicked at src/main.rs:2:5:\nx"), Outcome.CRASHED),
        (Run(exit_code=101, output="thread 'main' (4711) panicked at src/main.rs:2:5:\nx"), Outcome.CRASHED),
        (Run(exit_code=1, output='Exception in thread "main" java.lang.X'), Outcome.CRASHED),
        (
            Run(exit_code=2, output="panic: runtime error: index out of range\n\ngoroutine 1 [running]:"),
            Outcome.CRASHED,
        ),
        (Run(exit_code=1, output="==17==ERROR: AddressSanitizer: heap-buffer-overflow"), Outcome.CRASHED),
        (Run(exit_code=0, output="a.c:3:5: runtime error: signed integer overflow"), Outcome.CRASHED),
        (Run(exit_code=1, output="error: no traceback here, nothing panicked"), None),
        (Run(exit_code=130, output=""), None),
        (Run(exit_code=0, output="fine"), None),
    ],
)
def test_a_breakdown_is_told_from_a_refusal(run: Run, outcome: Outcome | None) -> None:
    found = broken(run)
    assert (found.outcome if found else None) is outcome


def told(output: str, exit_code: int, **reasons: str) -> Answer:
    command = Command(adapter="command", argv=("./v",), reasons=reasons)
    found = commands.adapter_of(command)
    assert found is not None
    return found.answer(command, Run(exit_code=exit_code, output=output))


def test_the_first_reason_in_the_order_of_the_description_decides() -> None:
    output = "checking\nhash mismatch\nsignature is wrong\n"
    assert told(output, 1, signature="signature", digest="hash").cause is Cause.SIGNATURE
    assert told(output, 1, digest="hash", signature="signature") == Answer(
        outcome=Outcome.REFUSED, cause=Cause.DIGEST, words="hash mismatch"
    )
    assert told(output, 1, key="anchor").cause is Cause.UNSAID
    assert told(output, 0, digest="hash").outcome is Outcome.ACCEPTED


ANSWER = '{"otaudit": "answer", "outcome": "refused", "reason": "key", "detail": "who is that"}'


def test_a_last_line_of_its_own_says_why() -> None:
    assert told(f"blah\n{ANSWER}\n", 3) == Answer(outcome=Outcome.REFUSED, cause=Cause.KEY, words="who is that")
    assert told(f"{ANSWER}\nthe last line", 3).cause is Cause.UNSAID


@pytest.mark.parametrize(
    ("line", "status"),
    [(ANSWER, 0), (ANSWER.replace("refused", "accepted"), 1), (ANSWER.replace("refused", "crashed"), 1)],
)
def test_words_that_contradict_the_status_are_a_breakdown(line: str, status: int) -> None:
    assert told(line, status).outcome is Outcome.CRASHED


@pytest.mark.parametrize(
    "line",
    [
        ANSWER.replace("refused", "perhaps"),
        ANSWER.replace("answer", "question"),
        ANSWER[:-1],
        "{}",
        "[" * 100_000,
        '{"otaudit": "answer", "outcome": ["refused"]}',
        "{" * 100_000,
    ],
)
def test_a_line_that_is_no_answer_says_nothing(line: str) -> None:
    assert told(line, 1) == Answer(outcome=Outcome.REFUSED, cause=Cause.UNSAID, words=told(line, 1).words)


@pytest.mark.parametrize("reason", ['"unheard of"', "7", "null", '["key"]'])
def test_an_unknown_reason_is_unsaid(reason: str) -> None:
    assert told(ANSWER.replace('"key"', reason), 1).cause is Cause.UNSAID


def test_an_endless_line_and_many_lines_take_no_time() -> None:
    output = ("a" * 60_000 + "\n") * 2 + "a\n" * 100_000
    assert told(output, 1, key="a.*a.*b").cause is Cause.UNSAID
