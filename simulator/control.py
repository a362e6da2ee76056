"""The control API: an HTTP API to inspect and change a running fleet.

Requests and answers are JSON. There is no authentication: bind it to loopback.

    GET    /miners                      list all miners: mac, address, generation, board, hostname, fault, powered
    GET    /miners/<mac>                show one miner with its request counters and its /info
    POST   /miners/<mac>/fault          switch a fault on: {"fault": "redirect", "location": "http://…"}
    DELETE /miners/<mac>/fault          switch the fault off
    POST   /miners/<mac>/restart        restart the miner; also power_off and power_on
    POST   /miners/<mac>/move           change the address: {"address": "127.0.0.5:8101"}
    POST   /miners/<mac>/say            write a log line: {"text": "…", "level": "W"}
    GET    /miners/<mac>/said           list the last log entries
    GET    /miners/<mac>/writes         list the write requests, the oldest first: method, path, body
    GET    /faults                      list the names of the faults
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson
from gevent.pywsgi import WSGIServer

from .listener import Address
from .miner import Miner
from .miner_faults import FAULTS
from .miner_fleet import Fleet

Body = dict[str, Any]
Answer = tuple[int, Any]
STATUS = {200: "200 OK", 400: "400 Bad Request", 404: "404 Not Found"}
MAX_BODY = 65536


def describe_miner(miner: Miner) -> Body:
    """Return one row of the list of miners."""
    return {
        "mac": miner.mac,
        "address": miner.address,
        "generation": miner.generation.name,
        "board": miner.board.version,
        "hostname": miner.settings.stored["hostname"],
        "fault": miner.fault,
        "powered": miner.powered,
    }


def _describe_details(miner: Miner, body: Body) -> Body:
    requests = {f"{method} {path}": count for (method, path), count in miner.requests.items()}
    return {
        **describe_miner(miner),
        "requests": requests,
        "connections": miner.connections_open,
        "info": miner.read_info(),
    }


def _set_fault(miner: Miner, body: Body) -> Body:
    options = dict(body)
    miner.set_fault(str(options.pop("fault", "")), **options)
    return describe_miner(miner)


def _clear_fault(miner: Miner, body: Body) -> Body:
    miner.clear_fault()
    return describe_miner(miner)


def _restart_miner(miner: Miner, body: Body) -> Body:
    miner.restart()
    return describe_miner(miner)


def _switch_off(miner: Miner, body: Body) -> Body:
    miner.power_off(silent=bool(body.get("silent", False)))
    return describe_miner(miner)


def _switch_on(miner: Miner, body: Body) -> Body:
    miner.power_on()
    return describe_miner(miner)


def _move_miner(miner: Miner, body: Body) -> Body:
    miner.move(parse_address(str(body.get("address", ""))))
    return describe_miner(miner)


def _write_log_line(miner: Miner, body: Body) -> Body:
    miner.log.write_line(str(body.get("text", "")), level=str(body.get("level", "I")))
    return describe_miner(miner)


def _list_log_entries(miner: Miner, body: Body) -> Body:
    return {"said": [entry.decode(errors="replace") for entry in miner.log.recent]}


def _list_writes(miner: Miner, body: Body) -> Body:
    writes = miner.request_log.writes
    return {"writes": [[each.method, each.path, each.body.decode(errors="replace")] for each in writes]}


ACTIONS: dict[tuple[str, str], Callable[[Miner, Body], Body]] = {
    ("GET", ""): _describe_details,
    ("POST", "fault"): _set_fault,
    ("DELETE", "fault"): _clear_fault,
    ("POST", "restart"): _restart_miner,
    ("POST", "power_off"): _switch_off,
    ("POST", "power_on"): _switch_on,
    ("POST", "move"): _move_miner,
    ("POST", "say"): _write_log_line,
    ("GET", "said"): _list_log_entries,
    ("GET", "writes"): _list_writes,
}


def parse_address(text: str) -> Address:
    """Parse `127.0.0.1:8101` as ("127.0.0.1", 8101). Raises: ValueError with a message for the user."""
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdigit():
        raise ValueError(f"not an address with a port: {text!r}")
    return host, int(port)


class ControlServer:
    """The control API of one fleet; listens from `start` to `stop`."""

    def __init__(self, fleet: Fleet, address: Address) -> None:
        self._fleet = fleet
        self._server = WSGIServer(address, self._handle_wsgi_request, log=None)

    def start(self) -> None:
        """Listen."""
        self._server.start()

    def stop(self) -> None:
        """Stop listening."""
        self._server.stop()

    @property
    def address(self) -> str:
        """`ip:port`; port 0 is resolved."""
        return f"{self._server.server_host}:{self._server.server_port}"

    def _handle_wsgi_request(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        raw = environ["wsgi.input"].read(MAX_BODY)
        try:
            body = orjson.loads(raw) if raw else {}
            status, answer = self._route_request(environ["REQUEST_METHOD"], environ["PATH_INFO"], body)
        except (ValueError, OSError, TypeError) as error:
            status, answer = 400, {"error": str(error)}
        start_response(STATUS[status], [("Content-Type", "application/json")])
        return [orjson.dumps(answer) + b"\n"]

    def _route_request(self, method: str, path: str, body: Body) -> Answer:
        kind, _, rest = path.strip("/").partition("/")
        if (method, kind, rest) == ("GET", "miners", ""):
            return 200, [describe_miner(miner) for miner in self._fleet]
        if (method, kind) == ("GET", "faults"):
            return 200, sorted(FAULTS)
        mac, _, action = rest.partition("/")
        act = ACTIONS.get((method, action))
        if kind != "miners" or act is None:
            return 404, {"error": "no such route"}
        try:
            miner = self._fleet.find_miner(mac)
        except KeyError:
            return 404, {"error": f"no miner {mac}"}
        return 200, act(miner, body)
