"""A peer that floods, as a process of its own: `python tests/flood_peer.py MODE [ARGUMENT ..]`.

A peer that shares the service's event loop stops whenever the service does, so it can never keep the service's sockets
full. This file imports nothing of the project and no gevent. A server mode prints its port on the first line and serves
each connection in a thread; a client mode gets the service's host and port and prints `ready`. All end with SIGTERM.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import itertools
import os
import re
import resource
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress

Serve = Callable[[socket.socket], None]


def read_head(opened: socket.socket) -> bytes:
    """Read one request up to its empty line; b"" at the end of the connection."""
    data = b""
    while b"\r\n\r\n" not in data:
        chunk = opened.recv(65536)
        if not chunk:
            return b""
        data += chunk
    return data


def repeat_part(part: bytes, head: bytes = b"") -> Serve:
    """Answer each request with `head`, then with `part` as fast as the reader takes it, for ever."""

    def serve(opened: socket.socket) -> None:
        if read_head(opened):
            opened.sendall(head)
            block = part * max(1, 65536 // len(part))
            while True:
                opened.sendall(block)

    return serve


def answer_body(body: bytes, head: bytes = b"Content-Type: application/json") -> Serve:
    """Answer each request with one whole body."""

    def serve(opened: socket.socket) -> None:
        while read_head(opened):
            opened.sendall(b"HTTP/1.1 200 OK\r\n%b\r\nContent-Length: %d\r\n\r\n" % (head, len(body)) + body)

    return serve


def drip_part(part: bytes, head: bytes, seconds: float) -> Serve:
    """Answer with `head`, then with `part` every so many seconds."""

    def serve(opened: socket.socket) -> None:
        if read_head(opened):
            opened.sendall(head)
            while True:
                opened.sendall(part)
                time.sleep(seconds)

    return serve


def compress_zeros(megabytes: int) -> bytes:
    """Return so many MB of zeros, compressed to a thousandth of that size."""
    return gzip.compress(bytes(megabytes * 1024 * 1024))


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

INFO = b'{"ASICModel":"BM1366","version":"v2.15.0","macAddr":"02:00:5E:00:00:77","hashRate":1}'
OK = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b"
SWITCHING = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %b\r\n\r\n"
)


def encode_frame(opcode: int, payload: bytes) -> bytes:
    size = bytes((len(payload),)) if len(payload) < 126 else b"\x7e" + len(payload).to_bytes(2, "big")
    return bytes((0x80 | opcode,)) + size + payload


def flooding_miner(log: bytes = b"", head: bytes = SWITCHING, stored_log: bytes = b"") -> Serve:
    """A miner that answers polls; its log stream sends `head`, then `log` for ever. `stored_log` is the
    body of `/api/system/logs`."""

    def serve(opened: socket.socket) -> None:
        while request := read_head(opened):
            if request.startswith(b"GET /api/ws "):
                key = re.search(rb"(?i)sec-websocket-key: (\S+)", request)
                digest = hashlib.sha1((key[1] if key else b"") + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
                opened.sendall(head.replace(b"%b", base64.b64encode(digest)))
                block = log * max(1, 65536 // max(1, len(log)))
                while log:
                    opened.sendall(block)
                time.sleep(3600)
            body = stored_log if request.startswith(b"GET /api/system/logs ") else INFO
            opened.sendall(OK % (len(body), body))

    return serve


# The log lines that take the most time to split, clean, parse and redact.
LOG_LINES = {
    "empty": b"\n" * 65000,
    "ansi": b"\x1b[0m\n" * 13000,
    "plain": b"x\n" * 32000,
    "entries": b"I (5) t: said\n" * 4600,
    "quoted": b'{"params":["a","b"],"password":"c"}\n' * 1800,
    "long": (b'"' * 4000 + b"pass\n") * 16,
    "words": (b'password:"' * 409 + b"\n") * 15,
}

SERVERS: dict[str, Serve] = {
    "continue": repeat_part(b"HTTP/1.1 100 Continue\r\n\r\n"),
    "endless-header": repeat_part(b"x" * 4096, b"HTTP/1.1 200 OK\r\nX: "),
    "headers": repeat_part(b"X: y\r\n", b"HTTP/1.1 200 OK\r\n"),
    "mixed-1xx": repeat_part(b"HTTP/1.1 100 Continue\r\nX: y\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n"),
    "trailers": repeat_part(b"X: y\r\n", CHUNKED + b"2\r\n[]\r\n0\r\n"),
    "tiny-chunks": repeat_part(b"1\r\n \r\n", CHUNKED),
    "chunk-extension": repeat_part(b"x" * 4096, CHUNKED + b"2;"),
    "drip-header": drip_part(b"X", b"HTTP/1.1 200 OK\r\nX: ", 0.01),
    "bomb": lambda opened: answer_body(compress_zeros(200), b"Content-Encoding: gzip")(opened),
    "nested-json": answer_body(b"[" + b"[]," * 2_700_000 + b"[]]"),
    "numbers": answer_body(b"[" + b"0," * 4_000_000 + b"0]"),
    "log-header": flooding_miner(b"x" * 4096, b"HTTP/1.1 101 Switching Protocols\r\nX: "),
    "log-header-lines": flooding_miner(b"X: y\r\n" * 1000, b"HTTP/1.1 101 Switching Protocols\r\n"),
    "log-status-line": flooding_miner(b"password=hunter22 " * 1000, b"HTTP/1.1 500 "),
    "log-tiny-frames": flooding_miner(encode_frame(1, b"x")),
    "log-empty-frames": flooding_miner(encode_frame(1, b"")),
    "log-pings": flooding_miner(encode_frame(9, b"")),
    "log-pongs": flooding_miner(encode_frame(10, b"p" * 100)),
    **{f"log-{name}": flooding_miner(encode_frame(1, lines)) for name, lines in LOG_LINES.items()},
    **{f"past-{name}": flooding_miner(stored_log=(lines * 20)[: 640 * 1024]) for name, lines in LOG_LINES.items()},
}


def announce_names(host: str, port: int) -> None:
    """Announce ever new miners by mDNS, 40 in a packet, on the loopback interface."""
    subtype = b"".join(bytes([len(label)]) + label for label in (b"_axeos", b"_sub", b"_http", b"_tcp", b"local"))
    suffix = bytes([0xC0, 12 + len(b"\x06_axeos\x04_sub")])  # points at `_http._tcp.local` of the first name
    opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    opened.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("127.0.0.1"))
    print("ready", flush=True)
    for packet in itertools.count():
        answers = []
        for at in range(40):
            alias = b"\x0cn%011d" % (packet * 40 + at) + suffix
            name = subtype + b"\0" if at == 0 else b"\xc0\x0c"
            answers.append(name + struct.pack(">HHIH", 12, 1, 4500, len(alias)) + alias)
        opened.sendto(struct.pack(">6H", 0, 0x8400, 0, len(answers), 0, 0) + b"".join(answers), (host, port))


def pipeline_requests(request: bytes, connections: int = 1) -> Callable[[str, int], None]:
    """Send the request again and again over each connection, without waiting for an answer; connect again when it is
    closed."""

    def flood(host: str, port: int) -> None:
        block = request * max(1, 65536 // len(request))

        def send() -> None:
            while True:
                with suppress(OSError), socket.create_connection((host, port)) as opened:
                    threading.Thread(target=drain_socket, args=(opened,), daemon=True).start()
                    while True:
                        opened.sendall(block)

        for _ in range(connections):
            threading.Thread(target=send, daemon=True).start()
        print("ready", flush=True)
        time.sleep(3600)

    return flood


def drain_socket(opened: socket.socket) -> None:
    with suppress(OSError):
        while opened.recv(1 << 20):
            pass


def keep_connections(request: bytes, connections: int) -> Callable[[str, int], None]:
    """Keep so many connections open that have sent this request; open each anew when it ends, 200 a second at most."""

    def flood(host: str, port: int) -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (4096, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
        opened = [socket.socket() for _ in range(connections)]
        for at in range(connections):
            opened[at] = _reconnect(host, port, request, opened[at])
        print("ready", flush=True)
        for at in itertools.cycle(range(connections)):
            opened[at].setblocking(False)
            try:
                ended = not opened[at].recv(65536)
            except BlockingIOError:
                continue
            except OSError:
                ended = True
            if ended:
                opened[at] = _reconnect(host, port, request, opened[at])
                time.sleep(0.005)

    return flood


def _reconnect(host: str, port: int, request: bytes, before: socket.socket) -> socket.socket:
    before.close()
    opened = socket.socket()
    with suppress(OSError):
        opened.connect((host, port))
        opened.sendall(request)
    return opened


GET = b"GET %b HTTP/1.1\r\nHost: localhost\r\n%b\r\n"
POST = b"POST /devices/discover HTTP/1.1\r\nHost: localhost\r\n%b"
FOLLOW = b"GET /devices/02:00:5e:00:00:01/logs/download?follow=1 HTTP/1.1\r\nHost: x\r\n\r\n"
HANDSHAKE = b"GET /socket/io/?EIO=4&transport=polling HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
CLIENTS: dict[str, Callable[[str, int], None]] = {
    "mdns-names": announce_names,
    "follow-logs": keep_connections(FOLLOW, 2500),
    "handshakes": keep_connections(HANDSHAKE, 200),
    "pipeline": pipeline_requests(GET % (b"/healthz", b"")),
    "pipeline-not-found": pipeline_requests(GET % (b"/nowhere", b"")),
    "pipeline-many-headers": pipeline_requests(GET % (b"/healthz", b"X: y\r\n" * 60)),
    "pipeline-chunked": pipeline_requests(POST % b"Transfer-Encoding: chunked\r\n\r\n1\r\n \r\n0\r\n\r\n"),
    "pipeline-refused": pipeline_requests(b"\0\r\n\r\n"),
    "pipeline-engine-io": pipeline_requests(GET % (b"/socket/io/?EIO=4&transport=polling&sid=x", b"")),
    "pipeline-40-connections": pipeline_requests(GET % (b"/healthz", b""), 40),
}


def run_server(serve: Serve) -> None:
    listener = socket.create_server(("127.0.0.1", 0), backlog=256)
    print(listener.getsockname()[1], flush=True)
    while True:
        opened, _ = listener.accept()
        threading.Thread(target=_serve_quietly, args=(serve, opened), daemon=True).start()


def _serve_quietly(serve: Serve, opened: socket.socket) -> None:
    with opened, suppress(OSError):
        serve(opened)


def exit_with_parent() -> None:
    """End when the test process ends, however it does: it holds the other end of stdin."""
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    threading.Thread(target=exit_with_parent, daemon=True).start()
    mode, *arguments = sys.argv[1:]
    if mode in SERVERS:
        run_server(SERVERS[mode])
    else:
        CLIENTS[mode](arguments[0], int(arguments[1]))
