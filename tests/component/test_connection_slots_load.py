"""Peers that open many connections, from another process, do not slow down other clients."""

import resource
import socket
import time

import gevent
import pytest
from floods import probe_loop, start_flood_client
from gevent.pool import Pool
from websocket import create_connection

from app.security.connection_slots import MAX_STREAMS_PER_PEER, ConnectionKind
from app.security.http_server import HttpServer
from app.security.socketio_events import MAX_UNAUTHENTICATED_PER_PEER

CONNECTION_LIMIT = 2400  # as gunicorn.conf.py has it


@pytest.fixture
def serve_with_connection_limit():
    servers = []
    files = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(8192, files[1]), files[1]))  # gunicorn.conf.py does the same

    def start(service):
        server = HttpServer(("127.0.0.1", 0), service.app, log=None, error_log=None, spawn=Pool(CONNECTION_LIMIT))
        server.start()
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.stop(timeout=0.2)
    resource.setrlimit(resource.RLIMIT_NOFILE, files)


def measure_healthz_seconds(port):
    """Return how long a new client, with another address than the flood's, waits for /healthz."""
    began = time.monotonic()
    with socket.create_connection(("127.0.0.1", port), timeout=5, source_address=("127.0.0.77", 0)) as opened:
        opened.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert opened.recv(4096).startswith(b"HTTP/1.1 200")
    return time.monotonic() - began


def test_2500_follow_downloads_of_one_peer_leave_connections_for_others(live_testbed, serve_with_connection_limit):
    service, _ = live_testbed("2.12")
    server = serve_with_connection_limit(service)
    measure_healthz_seconds(server.server_port)
    with probe_loop() as probe, start_flood_client("follow-logs", "127.0.0.1", server.server_port):
        waits = []
        for _ in range(40):
            waits.append(measure_healthz_seconds(server.server_port))
            gevent.sleep(0.05)
        counts = server.connection_slots.count_by_kind()
    print(
        f"healthz at most {max(waits) * 1000:.0f} ms, longest block {probe.longest_block * 1000:.0f} ms, "
        f"memory +{probe.memory_growth / 1e6:.1f} MB, {counts}"
    )
    assert 0 < counts[ConnectionKind.STREAMING] <= MAX_STREAMS_PER_PEER + 1
    assert max(waits) <= 0.1
    assert probe.longest_block <= 0.05
    assert probe.memory_growth <= 20_000_000


def test_handshakes_without_token_do_not_block_clients_with_token(make_service, serve_with_connection_limit):
    """40 clients with a token connect while another process keeps 200 sessions without a token open."""
    service = make_service(api_token="a-control-token-of-many-letters")
    server = serve_with_connection_limit(service)
    sessions = service.app.extensions["socketio"].server.eio.sockets
    measure_healthz_seconds(server.server_port)
    with probe_loop() as probe, start_flood_client("handshakes", "127.0.0.1", server.server_port):
        waits, connected = [], 0
        for _ in range(40):
            waits.append(measure_healthz_seconds(server.server_port))
            opened = create_connection(
                f"ws://127.0.0.1:{server.server_port}/socket/io/?EIO=4&transport=websocket", timeout=5
            )
            assert opened.recv().startswith("0{")
            opened.send('40{"token":"a-control-token-of-many-letters"}')
            connected += opened.recv().startswith("40{")
            opened.close()
            gevent.sleep(0.02)
        open_sessions = sum(not each.closed for each in sessions.values())
    print(
        f"healthz at most {max(waits) * 1000:.0f} ms, longest block {probe.longest_block * 1000:.0f} ms, "
        f"memory +{probe.memory_growth / 1e6:.1f} MB, {open_sessions} of {len(sessions)} sessions are open"
    )
    assert connected == 40
    assert open_sessions <= MAX_UNAUTHENTICATED_PER_PEER + 2
    assert max(waits) <= 0.1
    assert probe.longest_block <= 0.05
    assert probe.memory_growth <= 20_000_000
