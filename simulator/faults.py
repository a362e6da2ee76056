"""What can go wrong with a miner: a table of faults that can be switched on and off while it runs.

A row may change how an answer is delivered, what the values of /info look like, what state the miner is in, or
whether it listens at all. Options are keyword arguments of `Miner.set_fault`; `method` and `path` restrict a delivery
fault to some requests.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

import gevent

from .connection import Connection
from .http import HTML, JSON, Reply, Request

if TYPE_CHECKING:
    from .miner import Miner

Options = dict[str, Any]
Values = dict[str, Any]
HUGE_CHUNK = b"x" * 65536
BOMB_BYTES = 64 * 1024 * 1024


@dataclass(slots=True)
class Exchange:
    """One request under a delivery fault. `answer()` is what the healthy miner would have said."""

    connection: Connection
    request: Request
    options: Options
    answer: Callable[[], Reply | None]

    def raw(self) -> bytes:
        """The healthy answer as bytes; nothing if the answer was written by its handler (a websocket)."""
        reply = self.answer()
        return b"" if reply is None else reply.head() + reply.payload()


@dataclass(frozen=True)
class Fault:
    """One row: every part is optional."""

    deliver: Callable[[Exchange], None] | None = None
    mangle: Callable[[Values, Options], Values] | None = None
    begin: Callable[[Miner, Options], None] | None = None
    end: Callable[[Miner, Options], None] | None = None
    listening: bool = True


@dataclass
class ActiveFault:
    """A fault that is on, with its options and the connections it holds in its grip."""

    name: str
    fault: Fault
    options: Options
    held: set[Connection] = field(default_factory=set)

    def catches(self, request: Request) -> bool:
        """Whether the delivery of this request is disturbed."""
        wanted = (self.options.get("method", request.method), self.options.get("path", request.path))
        return self.fault.deliver is not None and wanted == (request.method, request.path)

    def handle(self, exchange: Exchange) -> None:
        """Deliver the disturbed answer."""
        assert self.fault.deliver is not None
        self.held.add(exchange.connection)
        try:
            self.fault.deliver(exchange)
        finally:
            self.held.discard(exchange.connection)


def _hang(exchange: Exchange) -> None:
    exchange.connection.drain()
    exchange.connection.close()


def _drip(exchange: Exchange) -> None:
    for byte in exchange.raw():
        exchange.connection.send(bytes((byte,)))
        gevent.sleep(exchange.options.get("seconds", 0.2))


def _reset(exchange: Exchange) -> None:
    raw = exchange.raw()
    exchange.connection.send(raw[: len(raw) - len(raw) // 3])
    exchange.connection.reset()


def _short(exchange: Exchange) -> None:
    raw = exchange.raw()
    exchange.connection.send(raw[: len(raw) - len(raw) // 3])
    exchange.connection.close()


def _huge(exchange: Exchange) -> None:
    """Endless, at `rate` bytes a second."""
    pause = len(HUGE_CHUNK) / exchange.options.get("rate", 20_000_000)
    exchange.connection.send(Reply(chunked=True).head() + b'b\r\n{"version":\r\n2\r\n "\r\n')
    while True:
        exchange.connection.send(b"%x\r\n%s\r\n" % (len(HUGE_CHUNK), HUGE_CHUNK))
        gevent.sleep(pause)


@cache
def _bomb() -> bytes:
    return gzip.compress(b'{"version":"' + b" " * BOMB_BYTES + b'"}', compresslevel=9)


def _not_http(exchange: Exchange) -> None:
    exchange.connection.send(bytes(range(256)) * 4)
    exchange.connection.close()


def _slow(exchange: Exchange) -> None:
    gevent.sleep(exchange.options.get("seconds", 3.0))
    reply = exchange.answer()
    if reply is not None:
        exchange.connection.send_reply(reply, exchange.request)


def _says(make: Callable[[Options], Reply]) -> Fault:
    """A fault that answers everything with one made-up reply."""
    return Fault(deliver=lambda exchange: exchange.connection.send_reply(make(exchange.options), exchange.request))


def _page(options: Options) -> Reply:
    return Reply(body=b"<!DOCTYPE html><html><body>It works!</body></html>", content_type=HTML)


def _login(options: Options) -> Reply:
    challenge = ("WWW-Authenticate", 'Basic realm="AxeOS"')
    return Reply(401, b'{"authRequired":1}', JSON, headers=(challenge,))


def _redirect(options: Options) -> Reply:
    location = options.get("location", "http://127.0.0.1:9/")
    return Reply(302, b"Redirect", HTML, headers=(("Location", location),))


def _gzip_bomb(options: Options) -> Reply:
    return Reply(200, _bomb(), JSON, headers=(("Content-Encoding", "gzip"),))


def _nulls(values: Values, options: Options) -> Values:
    """cJSON prints NaN and infinity as null: here every number is one."""
    return {key: None if _is_number(value) else value for key, value in values.items()}


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


WRONG: tuple[Callable[[Any], Any], ...] = (
    lambda value: str(value),
    lambda value: True,
    lambda value: {"value": value},
    lambda value: -5,
    lambda value: 1e308,
    lambda value: [value],
    lambda value: "",
)


def _wrong_types(values: Values, options: Options) -> Values:
    """Numbers in every wrong dress, in turn; texts become numbers, except what says who it is."""
    kept = {"macAddr", "ASICModel", "version", "deviceModel"}
    return {
        key: value if key in kept else WRONG[index % len(WRONG)](value) if _is_number(value) else 17
        for index, (key, value) in enumerate(values.items())
    }


def _other_mac(values: Values, options: Options) -> Values:
    return values | {"macAddr": options.get("mac", "02:00:5E:FF:FF:FE")}


def _no_mac(values: Values, options: Options) -> Values:
    return {key: value for key, value in values.items() if key != "macAddr"}


def _rename(miner: Miner, options: Options) -> None:
    """An mDNS conflict makes AxeOS ≥ 2.15 rename itself with a MAC suffix; other owners rename by hand."""
    options["before"] = miner.settings.stored["hostname"]
    suffix = miner.mac.replace(":", "")[-4:]
    miner.store({"hostname": options.get("hostname", f"{options['before']}-{suffix}")})


def _rename_back(miner: Miner, options: Options) -> None:
    miner.store({"hostname": options["before"]})


def _overheat(miner: Miner, options: Options) -> None:
    miner.machine.heat_up(miner.now())
    miner.look()


def _power_fault(miner: Miner, options: Options) -> None:
    miner.subject.power_fault = options.get("text", "Power stage fault, voltage regulator off")
    miner.subject.revision += 1


def _power_well(miner: Miner, options: Options) -> None:
    miner.subject.power_fault = ""
    miner.subject.revision += 1


def _pools(reachable: bool) -> Callable[[Miner, Options], None]:
    def switch(miner: Miner, options: Options) -> None:
        miner.machine.pools_reachable = reachable
        miner.machine.replan(miner.now())

    return switch


FAULTS: dict[str, Fault] = {
    "refuse": Fault(listening=False),
    "hang": Fault(deliver=_hang),
    "drip": Fault(deliver=_drip),
    "reset": Fault(deliver=_reset),
    "short": Fault(deliver=_short),
    "huge": Fault(deliver=_huge),
    "gzip_bomb": _says(_gzip_bomb),
    "garbage": _says(lambda options: Reply(body=bytes(range(256)) * 8)),
    "not_http": Fault(deliver=_not_http),
    "html": _says(_page),
    "status_401": _says(lambda options: Reply(401, b"Unauthorized", HTML)),
    "status_401_login": _says(_login),
    "status_500": _says(lambda options: Reply(500, b"Internal Server Error", HTML)),
    "redirect": _says(_redirect),
    "slow": Fault(deliver=_slow),
    "null": Fault(mangle=_nulls),
    "wrong_types": Fault(mangle=_wrong_types),
    "other_mac": Fault(mangle=_other_mac),
    "no_mac": Fault(mangle=_no_mac),
    "hostname": Fault(begin=_rename, end=_rename_back),
    "overheat": Fault(begin=_overheat),
    "power_fault": Fault(begin=_power_fault, end=_power_well),
    "pools_down": Fault(begin=_pools(False), end=_pools(True)),
}


def make_fault(name: str, options: Options) -> ActiveFault:
    """A fault ready to be switched on; ValueError with the known names otherwise."""
    if name not in FAULTS:
        raise ValueError(f"unknown fault {name!r}; one of {', '.join(FAULTS)}")
    return ActiveFault(name, FAULTS[name], options)
