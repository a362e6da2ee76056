"""One simulated miner: builds its parts from a spec, and switches its power, its address and its faults.

Differences between firmware generations are in `Generation` and in the tables that use it, not here.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from random import Random
from typing import Any

import gevent
import orjson
from gevent import lock

from . import routes
from .connection import Connection
from .context import HandlerContext
from .device_state import Clock, ResetReason, make_state
from .http_messages import Reply, Request
from .info_printer import InfoPrinter
from .listener import Address
from .miner_faults import FaultSwitch
from .miner_log import MinerLog
from .miner_server import HttpServer
from .otp import OneTimePasswords
from .overheat import OVERHEAT_REACTIONS
from .request_log import RequestLog
from .spec import MinerSpec, Timings
from .websocket_clients import WebSocketClients


class Miner:
    """A miner that is off until `power_on`. `now` is its clock, in seconds; `boots` counts its restarts."""

    def __init__(self, spec: MinerSpec, rng: Random, clock: Clock = time.monotonic, timings: Timings | None = None):
        self.now = clock
        self.boots = 0
        self.request_log = RequestLog()
        self._state = state = make_state(spec, rng, clock, timings or Timings())
        self.spec = spec
        self.generation = state.generation
        self.board = state.board
        self.settings = state.settings
        self.machine = state.machine
        self.machine.on_overheat = self._react_to_overheat
        self.log = MinerLog(state, rng, spec.log_rate)
        self._printer = InfoPrinter(state)
        self._request_lock = lock.BoundedSemaphore(1)
        self.websockets = WebSocketClients(state, self.log, self._printer, self._request_lock)
        self.server = HttpServer(spec.address, self.generation, self._answer_request)
        state.host = self.server.address[0]
        self._faults = FaultSwitch(state)
        self._context = HandlerContext(
            state=state,
            printer=self._printer,
            log=self.log,
            websockets=self.websockets,
            otp=OneTimePasswords(spec.otp, spec.otp_code),
            report_info=self._report_info,
            restart=self._restart_for_reason,
        )
        self._restarting: gevent.Greenlet | None = None

    # State for tests and the control API.

    @property
    def powered(self) -> bool:
        """True while the power is on."""
        return self._state.powered

    @property
    def mac(self) -> str:
        """The canonical MAC: lower case with colons."""
        return self._state.mac

    @property
    def host(self) -> str:
        """The IP address."""
        return self._state.host

    @property
    def address(self) -> str:
        """`ip:port`; port 0 is resolved."""
        host, port = self.server.address
        return f"{host}:{port}"

    @property
    def requests(self) -> Counter[tuple[str, str]]:
        """Number of requests by method and path."""
        return self.request_log.requests

    @property
    def writes(self) -> list[bytes]:
        """Bodies of the write requests, the newest last. `request_log.writes` has their paths."""
        return [write.body for write in self.request_log.writes]

    @property
    def connections_open(self) -> int:
        """Number of open connections."""
        return len(self.server.connections)

    @property
    def connections_accepted(self) -> int:
        """Number of connections accepted so far."""
        return self.server.accepted

    @property
    def max_in_flight(self) -> int:
        """Highest number of requests in flight at the same time."""
        return self.request_log.max_in_flight

    @property
    def stored(self) -> Mapping[str, Any]:
        """The stored settings, under the names of the newest firmware."""
        self.update_state()
        return self.settings.stored

    @property
    def running(self) -> Mapping[str, Any]:
        """The active settings; they differ from `stored` for keys that are pending until a restart."""
        self.update_state()
        return self.settings.active

    @property
    def identifying(self) -> bool:
        """True while the screen shows "Hi!"."""
        return self._state.is_identifying

    def read_info(self) -> dict[str, Any]:
        """Return the answer to GET /api/system/info without the active fault."""
        self.update_state()
        answer: dict[str, Any] = orjson.loads(self._printer.print_info())
        return answer

    def update_state(self) -> None:
        """Apply due writes, heat and shares up to the present."""
        self._state.update_to_now()

    def store_settings(self, changes: Mapping[str, Any]) -> None:
        """Store settings at once, past the write queue, as the firmware does for its own changes."""
        self._state.store_settings(changes)

    # Requests.

    def _answer_request(self, connection: Connection, request: Request) -> None:
        """Answer one request at a time, because the firmware has one task for all sockets."""
        self.request_log.begin_request()
        try:
            with self._request_lock:
                self.request_log.record_request(request)
                if self._state.timings.latency:
                    gevent.sleep(self._state.timings.latency)
                self._deliver_answer(connection, request)
        finally:
            self.request_log.end_request()

    def _deliver_answer(self, connection: Connection, request: Request) -> None:
        def make_reply() -> Reply | None:
            return routes.make_reply(self._context, request, connection)

        self.update_state()
        if self._faults.deliver_fault(connection, request, make_reply):
            return
        reply = make_reply()
        if reply is not None:
            connection.send_reply(reply, request)

    def _report_info(self) -> bytes:
        return self._printer.print_info(self._faults.select_info_change())

    def _react_to_overheat(self, now: float) -> None:
        react = OVERHEAT_REACTIONS[self.generation.overheat]
        react(self._state, now, self._restart_for_reason)

    # Power.

    def power_on(self, reason: str = ResetReason.POWER_ON, *, fresh: bool = True) -> None:
        """Listen. With `fresh` the miner boots; without it the miner has been running before."""
        if self.powered:
            return
        self._state.powered = True
        if fresh:
            self.boots += 1
            self._state.boot(reason)
            self.log.write_boot_lines()
        self._open_server()

    def _open_server(self) -> None:
        if self.powered and self._faults.allows_listening:
            self.server.open()

    def power_off(self, *, silent: bool = False) -> None:
        """Refuse connections and reset all sockets; `silent` leaves the sockets open without an answer."""
        self._cancel_restart()
        self._switch_off(silent)

    def _switch_off(self, silent: bool) -> None:
        self._state.powered = False
        self.server.close(silent=silent)

    def restart(self, *, reason: str = ResetReason.SOFTWARE, silent: bool = False) -> None:
        """Switch off for the boot time, then on again. Returns at once."""
        self._cancel_restart()
        self._restarting = gevent.spawn(self._run_restart, reason, silent)

    def _restart_for_reason(self, reason: str) -> None:
        self.restart(reason=reason)

    def _run_restart(self, reason: str, silent: bool) -> None:
        self._switch_off(silent)
        gevent.sleep(self._state.timings.boot)
        self.power_on(reason)

    def _cancel_restart(self) -> None:
        greenlet, self._restarting = self._restarting, None
        if greenlet is not None and greenlet is not gevent.getcurrent():
            greenlet.kill()

    def stop(self) -> None:
        """Switch off for good: close the sockets, end the greenlets, release the port. Idempotent."""
        self._cancel_restart()
        self._state.powered = False
        self.server.stop()

    # Address.

    def move(self, address: Address) -> None:
        """Move to another address with the same state, as after a new DHCP lease."""
        self.release_address()
        self.assign_address(address)

    def release_address(self) -> Address:
        """Stop listening and release the address. Return the address."""
        return self.server.release_address()

    def assign_address(self, address: Address) -> None:
        """Listen at another address."""
        self.server.assign_address(address)
        self._state.set_host(self.server.address[0])
        self._open_server()

    # Faults.

    @property
    def fault(self) -> str | None:
        """Name of the active fault. Assign a name to switch a fault on, None to switch it off."""
        return self._faults.name

    @fault.setter
    def fault(self, name: str | None) -> None:
        if name is None:
            self.clear_fault()
        else:
            self.set_fault(name)

    def set_fault(self, name: str, **options: Any) -> None:
        """Switch a fault on in place of the active one. Raises: ValueError for an unknown name."""
        self._faults.switch_on(name, options)
        if self._faults.allows_listening:
            self._open_server()
        else:
            self.server.close()

    def clear_fault(self) -> None:
        """Switch the active fault off."""
        self._faults.switch_off()
        self._open_server()
