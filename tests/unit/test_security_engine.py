"""What Engine.IO never sees."""

from io import BytesIO

import pytest

from app.security.engine_io import MAX_SOCKETS, EngineRule, is_engine_io, is_packet


def judged(query="EIO=4&transport=polling", method="GET", body=b"", sockets=0, **headers):
    """The status of the refusal, None for a request that passes; and what is left of the body."""
    environ = {"REQUEST_METHOD": method, "PATH_INFO": "/socket/io/", "QUERY_STRING": query, "wsgi.input": BytesIO(body)}
    environ |= {f"HTTP_{name.upper()}": value for name, value in headers.items()}
    answer = EngineRule(lambda: sockets)(environ)
    return (None if answer is None else int(answer.status[:3])), environ["wsgi.input"].read()


def test_there_is_an_end_to_the_number_of_clients_and_those_who_are_here_stay():
    assert judged(sockets=MAX_SOCKETS - 1)[0] is None
    assert judged(sockets=MAX_SOCKETS)[0] == 503
    assert judged("EIO=4&transport=polling&sid=x", sockets=MAX_SOCKETS)[0] is None


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "HEAD", "TRACE", "FOO"])
def test_methods_that_it_would_warn_of(method):
    assert judged(method=method)[0] == 405


@pytest.mark.parametrize(("query", "status"), [("j=0", 400), ("j=", None), ("x=j", None), ("a=1&j=12", 400)])
def test_jsonp(query, status):
    assert judged(f"EIO=4&transport=polling&{query}")[0] == status


@pytest.mark.parametrize(
    "body", [b"40", b"3", b"1", b'42["x"]\x1e3', b"bAAAA", b"4" + b"x" * 1000, b"3\x1e" * 15 + b"3"]
)
def test_packets_pass_and_are_still_there(body):
    assert judged(method="POST", body=body) == (None, body)


@pytest.mark.parametrize(
    "body", [b"", b"x", b"2", b"5", b"0", b"6", b"bA", b"3\x1e", b"3\x1e" * 16 + b"3", b"\xff", b"d=3"]
)
def test_what_it_would_log_a_traceback_for(body):
    assert judged(method="POST", body=body)[0] == 400


def test_an_upgrade_that_the_server_did_not_make():
    assert judged(upgrade="websocket")[0] == judged(upgrade="WebSocket")[0] == 400


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
def test_engine_io_requests_are_recognized_by_path_and_query(path, query, expected):
    assert is_engine_io({"PATH_INFO": path, "QUERY_STRING": query}) is expected


def test_the_decision_is_made_once_and_kept_in_the_environment():
    environ = {"PATH_INFO": "/socket/io", "QUERY_STRING": "EIO=4&transport=polling"}
    assert is_engine_io(environ)
    environ |= {"PATH_INFO": "/", "QUERY_STRING": ""}
    assert is_engine_io(environ)


@pytest.mark.parametrize("message", ["2probe", "5", "40", b"", bytearray(b"x")])
def test_messages_of_a_websocket(message):
    assert is_packet(message)


@pytest.mark.parametrize("message", ["", "x", "0", "6", "²", None])
def test_messages_that_are_none(message):
    assert not is_packet(message)
