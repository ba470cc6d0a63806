"""Real servers on loopback: processes (s_server, nginx, mosquitto, libcoap), pyOpenSSL threads, misbehaving ports."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from OpenSSL import SSL

Serve = Callable[[socket.socket], None]
PSK = "00112233445566778899aabbccddeeff"


def free_port(kind: int = socket.SOCK_STREAM) -> int:
    with socket.socket(socket.AF_INET, kind) as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def _listening(port: int, *, udp: bool) -> bool:
    """Look into the kernel's tables: connecting would disturb servers that serve one client."""
    wanted = f":{port:04X}"
    for table in ("udp", "udp6") if udp else ("tcp", "tcp6"):
        with contextlib.suppress(OSError):
            lines = Path(f"/proc/net/{table}").read_text().splitlines()[1:]
            if any(line.split()[1].endswith(wanted) for line in lines):
                return True
    return False


@contextlib.contextmanager
def process(command: list[str], port: int, *, udp: bool = False, cwd: Path | None = None) -> Iterator[int]:
    environment = os.environ | {"OPENSSL_CONF": "/dev/null"}  # Debian's file caps versions and levels (tls.md 6)
    running = subprocess.Popen(
        command,
        cwd=cwd,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # so that a wrapper's child ends with it
    )
    try:
        until = time.monotonic() + 10
        while not _listening(port, udp=udp):
            assert running.poll() is None, f"{command[0]} ended with {running.returncode}: {' '.join(command)}"
            assert time.monotonic() < until, f"{command[0]} does not listen"
            time.sleep(0.01)
        yield port
    finally:
        with contextlib.suppress(ProcessLookupError):  # it ended by itself
            os.killpg(running.pid, signal.SIGKILL)
        running.wait()


def s_server(pki: Any, leaf: str, *options: str) -> contextlib.AbstractContextManager[int]:
    port = free_port(socket.SOCK_DGRAM if "-dtls" in " ".join(options) else socket.SOCK_STREAM)
    udp = any(option.startswith("-dtls") for option in options)
    command = ["openssl", "s_server", "-accept", f"127.0.0.1:{port}", "-quiet"]
    if not udp:
        command.append("-www")
    if leaf:
        command += ["-cert", pki.path(f"{leaf}.pem"), "-key", pki.path(f"{leaf}.key")]
        if pki.leaves[leaf].above:
            command += ["-cert_chain", pki.path("int.pem")]
    return process([*command, *options], port, udp=udp)


@contextlib.contextmanager
def coap(tool: str, *options: str) -> Iterator[int]:
    secure = free_port(socket.SOCK_DGRAM)
    with process([tool, "-A", "127.0.0.1", "-p", str(secure - 1), *options], secure, udp=True) as port:
        yield port


@dataclass
class Server:
    """One `server` block of nginx."""

    leaf: str = "ok"
    lines: str = "ssl_protocols TLSv1.2 TLSv1.3;"
    body: str = 'return 200 "ok";'


@contextlib.contextmanager
def nginx(pki: Any, folder: Path, servers: dict[str, Server]) -> Iterator[dict[str, int]]:
    ports = {name: free_port() for name in servers}
    ports["plain"] = free_port()
    blocks = [
        f"server {{ listen 127.0.0.1:{ports[name]} ssl; ssl_certificate {pki.path(each.leaf + '.chain')}; "
        f"ssl_certificate_key {pki.path(each.leaf + '.key')}; {each.lines} location / {{ {each.body} }} }}"
        for name, each in servers.items()
    ]
    blocks.append(f"server {{ listen 127.0.0.1:{ports['plain']}; location / {{ return 200 'ok'; }} }}")
    folders = " ".join(
        f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    text = (
        f"daemon off; master_process off; worker_processes 1; pid {folder}/pid; error_log {folder}/error.log;\n"
        f"events {{ worker_connections 512; }}\nhttp {{ access_log off; {folders}\n" + "\n".join(blocks) + "\n}\n"
    )
    (folder / "nginx.conf").write_text(text)
    with process(["nginx", "-p", str(folder), "-c", str(folder / "nginx.conf")], ports["plain"]):
        yield ports


@contextlib.contextmanager
def mosquitto(pki: Any, folder: Path) -> Iterator[dict[str, int]]:
    ports = {name: free_port() for name in ("plain", "tls", "mutual", "psk", "tls13")}
    tls = f"cafile {pki.path('root.pem')}\ncertfile {pki.path('ok.chain')}\nkeyfile {pki.path('ok.key')}\n"
    (folder / "psk").write_text(f"ota:{PSK}\n")
    (folder / "m.conf").write_text(
        f"per_listener_settings true\n{'user root' if os.getuid() == 0 else ''}\n"  # or it could not read the keys
        f"listener {ports['plain']} 127.0.0.1\nallow_anonymous true\n"
        f"listener {ports['tls']} 127.0.0.1\nallow_anonymous true\n{tls}"
        f"listener {ports['mutual']} 127.0.0.1\nallow_anonymous true\n{tls}require_certificate true\n"
        f"listener {ports['tls13']} 127.0.0.1\nallow_anonymous true\n{tls}tls_version tlsv1.3\n"
        f"listener {ports['psk']} 127.0.0.1\nallow_anonymous true\npsk_hint ota\npsk_file {folder}/psk\n"
    )
    with process(["mosquitto", "-c", str(folder / "m.conf")], ports["psk"]):
        yield ports


@contextlib.contextmanager
def responder(
    pki: Any, folder: Path, signer: str, *, number: int, revoked: str = "", known: tuple[str, ...] = ()
) -> Iterator[int]:
    """Run OpenSSL's OCSP responder at a port that certificates name already.

    Its clock is an hour slow: its answers begin when it gives them, and the tests judge as of when they were collected.
    """
    import pytest  # not for the benchmark, whose own memory counts

    if shutil.which("faketime") is None:
        pytest.skip("not installed: faketime")
    lines = []
    for text in known:
        state = ("R", "260101000000Z") if text == revoked else ("V", "")
        lines.append(f"{state[0]}\t350101000000Z\t{state[1]}\t{pki.serial(text):040X}\tunknown\t/CN={text}\n")
    (folder / "index").write_text("".join(lines))
    command = ["faketime", "-f", "-1h", "openssl", "ocsp", "-index", str(folder / "index"), "-port", str(number)]
    command += ["-CA", pki.path("int.pem"), "-rsigner", pki.path(f"{signer}.pem"), "-rkey", pki.path(f"{signer}.key")]
    command += ["-nmin", "180", "-ignore_err"]
    with process(command, number):
        yield number


def http(body: bytes, status: str = "200 OK", head: str = "") -> Serve:
    """Return what answers one HTTP request, its body read, and closes."""
    answer = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{head}\r\n".encode() + body

    def serve(sock: socket.socket) -> None:
        asked = sock.recv(65536)
        stated = next(
            (int(line[15:]) for line in asked.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0
        )
        while len(asked.partition(b"\r\n\r\n")[2]) < stated:
            asked += sock.recv(65536)
        sock.sendall(answer)

    return serve


def latest(bodies: list[bytes]) -> Serve:
    """Return what answers HTTP with the last of these: it may be made once the port is known."""

    def serve(sock: socket.socket) -> None:
        http(bodies[-1])(sock)

    return serve


@contextlib.contextmanager
def port(serve: Serve, address: str = "127.0.0.1") -> Iterator[int]:
    """Serve each TCP connection in a thread of its own."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listener = socket.create_server((address, 0), family=family, backlog=128)
    stopping = threading.Event()

    def one(sock: socket.socket) -> None:
        with contextlib.suppress(OSError, SSL.Error), sock:
            serve(sock)

    def loop() -> None:
        while not stopping.is_set():
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=one, args=(sock,), daemon=True).start()

    threading.Thread(target=loop, daemon=True).start()
    try:
        yield int(listener.getsockname()[1])
    finally:
        stopping.set()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def pyopenssl(
    pki: Any, leaf: str = "ok", *, groups: str = "", prepare: Callable[[SSL.Context], None] | None = None
) -> Serve:
    """Return what serves HTTP through pyOpenSSL. Choosing groups takes its private interface: only a test may."""
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    if prepare is not None:
        prepare(context)
    context.use_certificate_chain_file(pki.path(f"{leaf}.chain"))
    context.use_privatekey_file(pki.path(f"{leaf}.key"))
    if groups:
        assert SSL._lib.SSL_CTX_set1_curves_list(context._context, groups.encode()) == 1  # type: ignore[attr-defined]

    def serve(sock: socket.socket) -> None:
        sock.settimeout(None)
        connection = SSL.Connection(context, sock)
        connection.set_accept_state()
        connection.do_handshake()
        data = b""
        while b"\r\n\r\n" not in data:
            data += connection.recv(4096)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        connection.shutdown()

    return serve


def silent(sock: socket.socket) -> None:
    while sock.recv(4096):
        pass


def reset(sock: socket.socket) -> None:
    sock.recv(1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")


def closed(sock: socket.socket) -> None:
    sock.recv(4096)


def says(data: bytes) -> Serve:
    def serve(sock: socket.socket) -> None:
        sock.recv(4096)
        sock.sendall(data)
        sock.shutdown(socket.SHUT_WR)
        sock.recv(4096)

    return serve


def drips(data: bytes, pause: float) -> Serve:
    def serve(sock: socket.socket) -> None:
        sock.recv(4096)
        for at in range(len(data)):
            sock.sendall(data[at : at + 1])
            time.sleep(pause)

    return serve


def relay(target: int, delay: float) -> Serve:
    """Return what passes each segment on after a delay, as a slow link does (connecting costs nothing)."""

    def pump(source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                time.sleep(delay)
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)

    def serve(sock: socket.socket) -> None:
        with socket.create_connection(("127.0.0.1", target)) as other:
            back = threading.Thread(target=pump, args=(other, sock), daemon=True)
            back.start()
            pump(sock, other)
            back.join()

    return serve
