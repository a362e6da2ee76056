"""A small HTTP API with which a person plays with a running fleet. JSON in and out, no authentication: bind
it to loopback.

    GET    /miners                      all miners: mac, address, generation, board, hostname, fault, powered
    GET    /miners/<mac>                one, with what it was asked and what its /info says
    POST   /miners/<mac>/fault          {"fault": "redirect", "location": "http://…"}: options beside the name
    DELETE /miners/<mac>/fault          well again
    POST   /miners/<mac>/restart | power_off | power_on
    POST   /miners/<mac>/move           {"address": "127.0.0.5:8101"}
    POST   /miners/<mac>/say            {"text": "…", "level": "W"}: a line in its log
    GET    /miners/<mac>/said           the last entries of its log, as they were written
    GET    /miners/<mac>/writes         what was written to it: method, path and body, the oldest first
    GET    /faults                      the names of the faults
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson
from gevent.pywsgi import WSGIServer

from .faults import FAULTS
from .fleet import Fleet
from .listener import Address
from .miner import Miner

Body = dict[str, Any]
Answer = tuple[int, Any]
STATUS = {200: "200 OK", 400: "400 Bad Request", 404: "404 Not Found"}
MAX_BODY = 65536


def describe(miner: Miner) -> Body:
    """One row of the list."""
    return {
        "mac": miner.mac,
        "address": miner.address,
        "generation": miner.generation.name,
        "board": miner.board.version,
        "hostname": miner.settings.stored["hostname"],
        "fault": miner.fault,
        "powered": miner.powered,
    }


def _details(miner: Miner, body: Body) -> Body:
    asked = {f"{method} {path}": count for (method, path), count in miner.requests.items()}
    return {**describe(miner), "requests": asked, "connections": miner.connections_open, "info": miner.info()}


def _set_fault(miner: Miner, body: Body) -> Body:
    options = dict(body)
    miner.set_fault(str(options.pop("fault", "")), **options)
    return describe(miner)


def _clear_fault(miner: Miner, body: Body) -> Body:
    miner.clear_fault()
    return describe(miner)


def _restart(miner: Miner, body: Body) -> Body:
    miner.restart()
    return describe(miner)


def _power_off(miner: Miner, body: Body) -> Body:
    miner.power_off(silent=bool(body.get("silent", False)))
    return describe(miner)


def _power_on(miner: Miner, body: Body) -> Body:
    miner.power_on()
    return describe(miner)


def _move(miner: Miner, body: Body) -> Body:
    miner.move(parse_address(str(body.get("address", ""))))
    return describe(miner)


def _say(miner: Miner, body: Body) -> Body:
    miner.log.write_line(str(body.get("text", "")), level=str(body.get("level", "I")))
    return describe(miner)


def _said(miner: Miner, body: Body) -> Body:
    return {"said": [entry.decode(errors="replace") for entry in miner.log.recent]}


def _writes(miner: Miner, body: Body) -> Body:
    writes = miner.request_log.writes
    return {"writes": [[each.method, each.path, each.body.decode(errors="replace")] for each in writes]}


ACTIONS: dict[tuple[str, str], Callable[[Miner, Body], Body]] = {
    ("GET", ""): _details,
    ("POST", "fault"): _set_fault,
    ("DELETE", "fault"): _clear_fault,
    ("POST", "restart"): _restart,
    ("POST", "power_off"): _power_off,
    ("POST", "power_on"): _power_on,
    ("POST", "move"): _move,
    ("POST", "say"): _say,
    ("GET", "said"): _said,
    ("GET", "writes"): _writes,
}


def parse_address(text: str) -> Address:
    """`127.0.0.1:8101` → ("127.0.0.1", 8101); ValueError in words."""
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdigit():
        raise ValueError(f"not an address with a port: {text!r}")
    return host, int(port)


class Control:
    """The API over `fleet`; listens from `start` to `stop`."""

    def __init__(self, fleet: Fleet, address: Address) -> None:
        self._fleet = fleet
        self._server = WSGIServer(address, self._application, log=None)

    def start(self) -> None:
        """Listen."""
        self._server.start()

    def stop(self) -> None:
        """Stop listening."""
        self._server.stop()

    @property
    def address(self) -> str:
        """`ip:port`, the port resolved."""
        return f"{self._server.server_host}:{self._server.server_port}"

    def _application(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        raw = environ["wsgi.input"].read(MAX_BODY)
        try:
            body = orjson.loads(raw) if raw else {}
            status, answer = self._answer(environ["REQUEST_METHOD"], environ["PATH_INFO"], body)
        except (ValueError, OSError, TypeError) as error:
            status, answer = 400, {"error": str(error)}
        start_response(STATUS[status], [("Content-Type", "application/json")])
        return [orjson.dumps(answer) + b"\n"]

    def _answer(self, method: str, path: str, body: Body) -> Answer:
        kind, _, rest = path.strip("/").partition("/")
        if (method, kind, rest) == ("GET", "miners", ""):
            return 200, [describe(miner) for miner in self._fleet]
        if (method, kind) == ("GET", "faults"):
            return 200, sorted(FAULTS)
        mac, _, action = rest.partition("/")
        act = ACTIONS.get((method, action))
        if kind != "miners" or act is None:
            return 404, {"error": "no such route"}
        try:
            miner = self._fleet.by_mac(mac)
        except KeyError:
            return 404, {"error": f"no miner {mac}"}
        return 200, act(miner, body)
