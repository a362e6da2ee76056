"""The effects of faults: on the delivery of an answer, on the values of /info, and on the state of the miner.

Functions only; the table in `miner_faults.py` assigns them to faults.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import gevent

from .connection import Connection
from .device_state import DeviceState
from .http_messages import HTML, JSON, Reply, Request

Options = dict[str, Any]
Values = dict[str, Any]
HUGE_CHUNK = b"x" * 65536
BOMB_BYTES = 64 * 1024 * 1024


@dataclass(slots=True)
class Exchange:
    """One request under a delivery fault. `make_reply()` returns the answer of the miner without the fault."""

    connection: Connection
    request: Request
    options: Options
    make_reply: Callable[[], Reply | None]

    def encode_reply(self) -> bytes:
        """Return the regular answer as bytes; empty if the handler has written it itself (a websocket)."""
        reply = self.make_reply()
        return b"" if reply is None else reply.encode_head() + reply.encode_body()


def send_nothing(exchange: Exchange) -> None:
    """Never answer; read until the client closes the connection."""
    exchange.connection.discard_input()
    exchange.connection.close()


def send_byte_by_byte(exchange: Exchange) -> None:
    """Send the answer byte by byte, with a pause of `seconds` between them."""
    for byte in exchange.encode_reply():
        exchange.connection.send_bytes(bytes((byte,)))
        gevent.sleep(exchange.options.get("seconds", 0.2))


def send_part_and_reset(exchange: Exchange) -> None:
    """Send two thirds of the answer, then reset the connection."""
    raw = exchange.encode_reply()
    exchange.connection.send_bytes(raw[: len(raw) - len(raw) // 3])
    exchange.connection.reset()


def send_part_and_close(exchange: Exchange) -> None:
    """Send two thirds of the answer, then close the connection."""
    raw = exchange.encode_reply()
    exchange.connection.send_bytes(raw[: len(raw) - len(raw) // 3])
    exchange.connection.close()


def send_endless_body(exchange: Exchange) -> None:
    """Send an endless body, `rate` bytes per second."""
    pause = len(HUGE_CHUNK) / exchange.options.get("rate", 20_000_000)
    exchange.connection.send_bytes(Reply(chunked=True).encode_head() + b'b\r\n{"version":\r\n2\r\n "\r\n')
    while True:
        exchange.connection.send_bytes(b"%x\r\n%s\r\n" % (len(HUGE_CHUNK), HUGE_CHUNK))
        gevent.sleep(pause)


def send_binary_bytes(exchange: Exchange) -> None:
    """Send bytes that are no HTTP, then close the connection."""
    exchange.connection.send_bytes(bytes(range(256)) * 4)
    exchange.connection.close()


def send_late(exchange: Exchange) -> None:
    """Send the regular answer after `seconds`."""
    gevent.sleep(exchange.options.get("seconds", 3.0))
    reply = exchange.make_reply()
    if reply is not None:
        exchange.connection.send_reply(reply, exchange.request)


def make_html_page(options: Options) -> Reply:
    """Return an HTML page with status 200."""
    return Reply(body=b"<!DOCTYPE html><html><body>It works!</body></html>", content_type=HTML)


def make_login_challenge(options: Options) -> Reply:
    """Return 401 with a request for a login."""
    challenge = ("WWW-Authenticate", 'Basic realm="AxeOS"')
    return Reply(401, b'{"authRequired":1}', JSON, headers=(challenge,))


def make_redirect(options: Options) -> Reply:
    """Return a redirect to `location`."""
    location = options.get("location", "http://127.0.0.1:9/")
    return Reply(302, b"Redirect", HTML, headers=(("Location", location),))


def make_gzip_bomb(options: Options) -> Reply:
    """Return a small gzip body that expands to 64 MiB."""
    return Reply(200, _compress_bomb(), JSON, headers=(("Content-Encoding", "gzip"),))


@cache
def _compress_bomb() -> bytes:
    return gzip.compress(b'{"version":"' + b" " * BOMB_BYTES + b'"}', compresslevel=9)


def replace_numbers_by_null(values: Values, options: Options) -> Values:
    """Replace every number by null, as cJSON prints NaN and infinity."""
    return {key: None if is_number(value) else value for key, value in values.items()}


def is_number(value: object) -> bool:
    """Return True for a JSON number."""
    return isinstance(value, int | float) and not isinstance(value, bool)


WRONG_VALUES: tuple[Callable[[Any], Any], ...] = (
    lambda value: str(value),
    lambda value: True,
    lambda value: {"value": value},
    lambda value: -5,
    lambda value: 1e308,
    lambda value: [value],
    lambda value: "",
)


def replace_types(values: Values, options: Options) -> Values:
    """Replace numbers by each kind of wrong value in turn and texts by numbers, except the identifying members."""
    kept = {"macAddr", "ASICModel", "version", "deviceModel"}
    return {
        key: value if key in kept else WRONG_VALUES[index % len(WRONG_VALUES)](value) if is_number(value) else 17
        for index, (key, value) in enumerate(values.items())
    }


def replace_mac(values: Values, options: Options) -> Values:
    """Report the MAC of another miner: option `mac`."""
    return values | {"macAddr": options.get("mac", "02:00:5E:FF:FF:FE")}


def remove_mac(values: Values, options: Options) -> Values:
    """Report no MAC."""
    return {key: value for key, value in values.items() if key != "macAddr"}


def stop_domain(values: Values, options: Options) -> Values:
    """Report no hashes of one part of a chip: options `chip` and `domain`, both from 1; domain 0 is the whole chip."""
    chip, domain = options.get("chip", 1), options.get("domain", 1)
    asics = [dict(row) for row in values.get("hashrateMonitor", {}).get("asics", ())]
    if len(asics) < chip:
        return values
    row = asics[chip - 1]
    row["domains"] = [0.0 if domain in (0, number) else rate for number, rate in enumerate(row["domains"], 1)]
    lost = row["total"] - sum(row["domains"])
    row["total"] -= lost
    return values | {"hashrateMonitor": {"asics": asics}, "hashRate": values["hashRate"] - lost}


def report_false_hashrate(values: Values, options: Options) -> Values:
    """Report `factor` times the hash rate that finds the shares."""
    factor = options.get("factor", 2.0)
    return {
        key: value * factor if key.startswith("hashRate") and is_number(value) else value
        for key, value in values.items()
    }


def change_hostname(state: DeviceState, options: Options) -> None:
    """Change the hostname to option `hostname`, or add a MAC suffix as AxeOS ≥ 2.15 does at an mDNS conflict."""
    options["before"] = state.stored["hostname"]
    suffix = state.mac.replace(":", "")[-4:]
    state.store_settings({"hostname": options.get("hostname", f"{options['before']}-{suffix}")})


def restore_hostname(state: DeviceState, options: Options) -> None:
    """Restore the hostname that `change_hostname` replaced."""
    state.store_settings({"hostname": options["before"]})


def overheat_chip(state: DeviceState, options: Options) -> None:
    """Heat the chip above its limit."""
    state.machine.overheat(state.clock())
    state.update_to_now()


def set_power_fault(state: DeviceState, options: Options) -> None:
    """Report a power fault: option `text`."""
    state.set_power_fault(options.get("text", "Power stage fault, voltage regulator off"))


def clear_power_fault(state: DeviceState, options: Options) -> None:
    """Report no power fault."""
    state.set_power_fault("")


def switch_pools(reachable: bool) -> Callable[[DeviceState, Options], None]:
    """Return an effect that makes the pools reachable or unreachable."""

    def switch(state: DeviceState, options: Options) -> None:
        state.machine.pools_reachable = reachable
        state.machine.update_plan(state.clock())

    return switch
