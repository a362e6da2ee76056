"""What faults do: to the delivery of an answer, to the values of /info, to the state of the miner.

Functions only; which fault does what is the table in `faults.py`.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable
from dataclasses import dataclass
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


def hang(exchange: Exchange) -> None:
    exchange.connection.drain()
    exchange.connection.close()


def drip(exchange: Exchange) -> None:
    for byte in exchange.raw():
        exchange.connection.send(bytes((byte,)))
        gevent.sleep(exchange.options.get("seconds", 0.2))


def reset(exchange: Exchange) -> None:
    raw = exchange.raw()
    exchange.connection.send(raw[: len(raw) - len(raw) // 3])
    exchange.connection.reset()


def short(exchange: Exchange) -> None:
    raw = exchange.raw()
    exchange.connection.send(raw[: len(raw) - len(raw) // 3])
    exchange.connection.close()


def huge(exchange: Exchange) -> None:
    """Endless, at `rate` bytes a second."""
    pause = len(HUGE_CHUNK) / exchange.options.get("rate", 20_000_000)
    exchange.connection.send(Reply(chunked=True).head() + b'b\r\n{"version":\r\n2\r\n "\r\n')
    while True:
        exchange.connection.send(b"%x\r\n%s\r\n" % (len(HUGE_CHUNK), HUGE_CHUNK))
        gevent.sleep(pause)


@cache
def bomb() -> bytes:
    return gzip.compress(b'{"version":"' + b" " * BOMB_BYTES + b'"}', compresslevel=9)


def not_http(exchange: Exchange) -> None:
    exchange.connection.send(bytes(range(256)) * 4)
    exchange.connection.close()


def slow(exchange: Exchange) -> None:
    gevent.sleep(exchange.options.get("seconds", 3.0))
    reply = exchange.answer()
    if reply is not None:
        exchange.connection.send_reply(reply, exchange.request)


def page(options: Options) -> Reply:
    return Reply(body=b"<!DOCTYPE html><html><body>It works!</body></html>", content_type=HTML)


def login(options: Options) -> Reply:
    challenge = ("WWW-Authenticate", 'Basic realm="AxeOS"')
    return Reply(401, b'{"authRequired":1}', JSON, headers=(challenge,))


def redirect(options: Options) -> Reply:
    location = options.get("location", "http://127.0.0.1:9/")
    return Reply(302, b"Redirect", HTML, headers=(("Location", location),))


def gzip_bomb(options: Options) -> Reply:
    return Reply(200, bomb(), JSON, headers=(("Content-Encoding", "gzip"),))


def nulls(values: Values, options: Options) -> Values:
    """cJSON prints NaN and infinity as null: here every number is one."""
    return {key: None if is_number(value) else value for key, value in values.items()}


def is_number(value: object) -> bool:
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


def wrong_types(values: Values, options: Options) -> Values:
    """Numbers in every wrong dress, in turn; texts become numbers, except what says who it is."""
    kept = {"macAddr", "ASICModel", "version", "deviceModel"}
    return {
        key: value if key in kept else WRONG[index % len(WRONG)](value) if is_number(value) else 17
        for index, (key, value) in enumerate(values.items())
    }


def other_mac(values: Values, options: Options) -> Values:
    return values | {"macAddr": options.get("mac", "02:00:5E:FF:FF:FE")}


def no_mac(values: Values, options: Options) -> Values:
    return {key: value for key, value in values.items() if key != "macAddr"}


def rename(miner: Miner, options: Options) -> None:
    """An mDNS conflict makes AxeOS ≥ 2.15 rename itself with a MAC suffix; other owners rename by hand."""
    options["before"] = miner.settings.stored["hostname"]
    suffix = miner.mac.replace(":", "")[-4:]
    miner.store({"hostname": options.get("hostname", f"{options['before']}-{suffix}")})


def rename_back(miner: Miner, options: Options) -> None:
    miner.store({"hostname": options["before"]})


def overheat(miner: Miner, options: Options) -> None:
    miner.machine.heat_up(miner.now())
    miner.look()


def power_fault(miner: Miner, options: Options) -> None:
    miner.subject.power_fault = options.get("text", "Power stage fault, voltage regulator off")
    miner.subject.revision += 1


def power_well(miner: Miner, options: Options) -> None:
    miner.subject.power_fault = ""
    miner.subject.revision += 1


def pools(reachable: bool) -> Callable[[Miner, Options], None]:
    def switch(miner: Miner, options: Options) -> None:
        miner.machine.pools_reachable = reachable
        miner.machine.replan(miner.now())

    return switch
