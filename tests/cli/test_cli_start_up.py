"""Starting must stay fast, and without a clock: what is heavy is imported only by the runs that need it."""

from __future__ import annotations

import shutil
import subprocess
import sys

import pytest

from checker import __version__
from checker.cli.app import _app
from tests.transport.battery import Server, nginx
from tests.transport.pki import Pki

HEAVY = {
    "yaml",
    "jsonschema",
    "cryptography",
    "jinja2",
    "asn1crypto",
    "OpenSSL",
    "libconf",
    "numpy",
    "pydantic",
    "rich.console",
}


# What a plain `otaudit probe` used to import and does not need, with what does need it.
NOT_FOR_A_PROBE = {
    "yaml": "a table or a rule set that has no parsed copy",
    "jsonschema": "descriptions, logs, rule sets",
    "jinja2": "the HTML report",
    "asn1crypto.cms": "PKCS#7 bundles and CMS messages",
    "asn1crypto.crl": "revocation lists",
    "importlib.resources": "nothing: the data folders lie beside the package or inside it",
    "checker.crypto.signatures": "stapled responses, our own TLS 1.3 client, artifacts",
    "checker.crypto.post_quantum": "quantum-resistant keys and signatures",
    "checker.crypto.kem.keys": "decryption keys",
    "checker.crypto.kem.ml_kem": "ML-KEM-512, and decryption keys",
    "checker.crypto.key_files": "bare public keys",
    "checker.crypto._own_paths": "paths that OpenSSL does not verify",
    "checker.crypto.tls.client13": "servers that take only groups of our own client",
    "checker.crypto.tls.shares": "our own client",
    "checker.crypto.tls.staple": "servers that staple",
    "checker.discovery": "plug-ins",
    "checker.io.digests": "artifacts",
    "checker.io.folders": "deliverables that are folders",
    "checker.model.artifact": "artifacts",
    "checker.report._endpoint_data": "-o",
    "checker.rules.load": "--profile",
}


def otaudit(*arguments: str, options: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *options, "-m", "checker", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def imported(arguments: list[str]) -> set[str]:
    done = otaudit(*arguments, options=("-X", "importtime"))
    assert done.returncode == 0, done.stderr[-2000:]
    return {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}


@pytest.mark.parametrize("arguments", [["--help"], ["check", "--help"], ["inspect", "--help"], ["rules", "--help"]])
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    found = imported(arguments)
    assert "typer" in found
    assert not found & HEAVY


@pytest.fixture(scope="module")
def for_a_probe(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """Return what a whole examination imports, with a trusted path, of a server as there are most."""
    if shutil.which("nginx") is None:
        pytest.skip("not installed: nginx")
    pki = Pki(tmp_path_factory.mktemp("pki"))
    with nginx(pki, tmp_path_factory.mktemp("nginx"), {"both": Server()}) as ports:
        address = f"https://127.0.0.1:{ports['both']}"
        return imported(["probe", address, "--sni", "localhost", "--trust", str(pki.path("root.pem"))])


@pytest.mark.parametrize("module", NOT_FOR_A_PROBE)
def test_a_plain_probe_does_not_import_what_only_others_need(for_a_probe: set[str], module: str) -> None:
    assert module not in for_a_probe, f"that is for {NOT_FOR_A_PROBE[module]}"
    assert {"OpenSSL.SSL", "checker.crypto.chains"} <= for_a_probe  # it did carry a handshake through and judge a path


def test_every_module_that_a_probe_leaves_out_exists() -> None:
    script = f"import importlib; [importlib.import_module(name) for name in {list(NOT_FOR_A_PROBE)}]"
    subprocess.run([sys.executable, "-c", script], check=True)


def test_a_call_has_only_its_own_command_taken_apart() -> None:
    assert [command.name for command in _app(["probe", "--help"]).registered_commands] == ["probe"]
    assert [group.name for group in _app(["rules", "list"]).registered_groups] == ["rules"]
    for words in ([], ["--help"], ["prob"]):
        app = _app(words)
        assert {"check", "probe"} < {command.name for command in app.registered_commands}
        assert [group.name for group in app.registered_groups] == ["rules"]


def test_the_end_of_the_process_searches_no_memory_for_rubbish() -> None:
    script = (
        "import atexit, gc, sys; from checker.__main__ import main; sys.argv = ['otaudit', 'schema'];"
        "atexit.register(lambda: print('frozen', gc.get_freeze_count() > 10_000, file=sys.stderr)); main()"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stderr == "frozen True\n"


def test_the_version_is_answered_before_typer_is_imported() -> None:
    done = otaudit("--version", options=("-X", "importtime"))
    assert done.stdout == f"otaudit {__version__}\n"
    assert "typer" not in done.stderr


def test_the_help_names_every_exit_status() -> None:
    text = " ".join(otaudit("--help").stdout.split())
    for words in ("0 gate met", "1 gate not met", "2 bad command line", "3 undecided", "4 a report", "70 internal"):
        assert words in text


def test_no_arguments_is_a_usage_error_that_shows_the_help() -> None:
    done = otaudit()
    assert done.returncode == 2
    assert "Usage: otaudit" in done.stdout + done.stderr
