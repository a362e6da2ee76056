"""Requests that are rejected before they reach Engine.IO."""

from io import BytesIO

import pytest

from app.security.engine_io import MAX_CLIENTS, EngineIoCheck, is_engine_io, is_engine_io_packet


def check_request(query="EIO=4&transport=polling", method="GET", body=b"", sockets=0, **headers):
    """Return the status of the rejection (None if the request passes) and the rest of the body."""
    environ = {"REQUEST_METHOD": method, "PATH_INFO": "/socket/io/", "QUERY_STRING": query, "wsgi.input": BytesIO(body)}
    environ |= {f"HTTP_{name.upper()}": value for name, value in headers.items()}
    answer = EngineIoCheck(lambda: sockets)(environ)
    return (None if answer is None else int(answer.status[:3])), environ["wsgi.input"].read()


def test_number_of_clients_is_limited_and_present_clients_stay():
    assert check_request(sockets=MAX_CLIENTS - 1)[0] is None
    assert check_request(sockets=MAX_CLIENTS)[0] == 503
    assert check_request("EIO=4&transport=polling&sid=x", sockets=MAX_CLIENTS)[0] is None


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "HEAD", "TRACE", "FOO"])
def test_unsupported_method_is_rejected(method):
    assert check_request(method=method)[0] == 405


@pytest.mark.parametrize(("query", "status"), [("j=0", 400), ("j=", None), ("x=j", None), ("a=1&j=12", 400)])
def test_jsonp_is_rejected(query, status):
    assert check_request(f"EIO=4&transport=polling&{query}")[0] == status


@pytest.mark.parametrize(
    "body", [b"40", b"3", b"1", b'42["x"]\x1e3', b"bAAAA", b"4" + b"x" * 1000, b"3\x1e" * 15 + b"3"]
)
def test_valid_packets_pass_unchanged(body):
    assert check_request(method="POST", body=body) == (None, body)


@pytest.mark.parametrize(
    "body", [b"", b"x", b"2", b"5", b"0", b"6", b"bA", b"3\x1e", b"3\x1e" * 16 + b"3", b"\xff", b"d=3"]
)
def test_payload_that_would_cause_a_traceback_is_rejected(body):
    assert check_request(method="POST", body=body)[0] == 400


def test_upgrade_not_made_by_server_is_rejected():
    assert check_request(upgrade="websocket")[0] == check_request(upgrade="WebSocket")[0] == 400


@pytest.mark.parametrize(
    ("path", "query", "expected"),
    [
        ("/socket/io", "EIO=4&transport=polling", True),
        ("/socket/io/", "transport=websocket&EIO=3&sid=x", True),
        ("/socket/io", "EIO=4", False),
        ("/socket/io", "EIO=&transport=polling", False),
        ("/socket/io", "", False),
        ("/socket/io/x", "EIO=4&transport=polling", False),
        ("/", "EIO=4&transport=polling", False),
    ],
)
def test_engine_io_requests_are_recognised_by_path_and_query(path, query, expected):
    assert is_engine_io({"PATH_INFO": path, "QUERY_STRING": query}) is expected


def test_the_decision_is_made_once_and_kept_in_the_environment():
    environ = {"PATH_INFO": "/socket/io", "QUERY_STRING": "EIO=4&transport=polling"}
    assert is_engine_io(environ)
    environ |= {"PATH_INFO": "/", "QUERY_STRING": ""}
    assert is_engine_io(environ)


@pytest.mark.parametrize("message", ["2probe", "5", "40", b"", bytearray(b"x")])
def test_valid_websocket_message_is_packet(message):
    assert is_engine_io_packet(message)


@pytest.mark.parametrize("message", ["", "x", "0", "6", "²", None])
def test_invalid_websocket_message_is_not_packet(message):
    assert not is_engine_io_packet(message)
