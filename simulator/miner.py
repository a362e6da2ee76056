"""One pretend miner: its parts put together, its power switch, its address and its faults.

Owns the life of its parts. Knows no firmware differences: those are in `Generation` and the tables that go
by it.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping
from random import Random
from typing import Any

import gevent
import orjson
from gevent import lock

from . import routes
from .boards import BOARDS
from .connection import Connection
from .door import Door
from .faults import FaultSwitch
from .generations import GENERATIONS
from .http import Request
from .info import InfoPrinter
from .ledger import Ledger
from .listener import Address
from .log_socket import Audience
from .logs import Log
from .machine import Machine
from .otp import OneTimePasswords
from .overheat import OVERHEAT
from .readings import Subject
from .settings import Settings
from .spec import MinerSpec, Timings, first_settings, normal_mac

Clock = Callable[[], float]
SOFTWARE_RESET = "Software reset via esp_restart"
POWER_ON_RESET = "Power on reset"


class Miner:
    """A miner that is off until `power_on`. `now` is its clock, in seconds; `boots` counts its reboots."""

    def __init__(self, spec: MinerSpec, random: Random, clock: Clock = time.monotonic, timings: Timings | None = None):
        self.spec = spec
        self.generation = GENERATIONS[spec.generation]
        self.board = BOARDS[spec.board]
        self.timings = timings or Timings()
        self.now = clock
        self.powered = False
        self.boots = 0
        self.ledger = Ledger()
        self.settings = Settings(first_settings(spec))
        self.machine = Machine(self.board, self.settings.active, random, clock())
        self.machine.on_overheat = lambda now: OVERHEAT[self.generation.overheat](self, now)
        self.subject = self._subject(spec)
        self.printer = InfoPrinter(self.subject)
        self.otp = OneTimePasswords(spec.otp, spec.otp_code)
        self.identify_until = 0.0
        self.log = Log(self, random, spec.log_rate)
        self.audience = Audience(self)
        self.busy = lock.BoundedSemaphore(1)
        self.door = Door(self, spec.address, limit=self.generation.sockets, purge=self.generation.purge)
        self.subject.host = self.door.address[0]
        self.faults = FaultSwitch(self)
        self._life: gevent.Greenlet | None = None

    def _subject(self, spec: MinerSpec) -> Subject:
        return Subject(
            generation=self.generation,
            board=self.board,
            settings=self.settings,
            machine=self.machine,
            mac=normal_mac(spec.mac),
            host=spec.address[0],
            version=self.generation.version,
            now=self.now(),
            otp=spec.otp,
        )

    # What others read.

    @property
    def mac(self) -> str:
        """Lower case with colons."""
        return self.subject.mac

    @property
    def address(self) -> str:
        """`ip:port`, the port resolved."""
        host, port = self.door.address
        return f"{host}:{port}"

    @property
    def requests(self) -> Counter[tuple[str, str]]:
        """How often (method, path) was asked."""
        return self.ledger.requests

    @property
    def writes(self) -> list[bytes]:
        """Bodies of the writing requests, as received, the newest last (`ledger.writes` has their paths)."""
        return [write.body for write in self.ledger.writes]

    @property
    def connections_open(self) -> int:
        """Sockets now in use."""
        return len(self.door.connections)

    @property
    def connections_accepted(self) -> int:
        """Sockets ever accepted."""
        return self.door.accepted

    @property
    def max_in_flight(self) -> int:
        """The most requests that ever waited for an answer at one time."""
        return self.ledger.max_in_flight

    @property
    def stored(self) -> Mapping[str, Any]:
        """What its settings store holds now, in the newest firmware's names."""
        self.look()
        return self.settings.stored

    @property
    def running(self) -> Mapping[str, Any]:
        """What it runs now; differs from `stored` for keys that wait for a restart."""
        self.look()
        return self.settings.active

    @property
    def identifying(self) -> bool:
        """Whether it says "Hi!" on its screen."""
        return self.now() < self.identify_until

    def info(self) -> dict[str, Any]:
        """What it would answer now if it were well: the truth, whatever the fault."""
        self.look()
        answer: dict[str, Any] = orjson.loads(self._true_info())
        return answer

    def _true_info(self) -> bytes:
        return self.spec.body if self.spec.body is not None else self.printer.body()

    def reported_info(self) -> bytes:
        """The body of /api/system/info, with the changes of the fault that is on."""
        mangle = self.faults.mangles()
        if mangle is None:
            return self._true_info()
        values = self.printer.values() if self.spec.body is None else orjson.loads(self.spec.body)
        return self.printer.print(mangle(values))

    # State.

    def look(self) -> None:
        """Bring the state up to now: due writes, heat, shares."""
        now = self.now()
        self.subject.now = now
        if self.settings.settle(now):
            self.machine.replan(now)
        self.machine.advance(now)

    def store(self, changes: Mapping[str, Any]) -> None:
        """The firmware writes a setting of its own accord, past the queue."""
        self.settings.store(changes, self.generation.live)
        self.machine.replan(self.now())

    def write(self, changes: Mapping[str, Any]) -> None:
        """A caller's write: queued where the firmware queues."""
        delay = self.timings.queue if self.generation.queued_writes else 0.0
        self.settings.write(changes, self.generation.live, self.now() + delay)
        self.look()

    # Requests.

    def answer(self, connection: Connection, request: Request) -> None:
        """Serve one request. Strictly one at a time: the firmware has one task for all sockets."""
        self.ledger.begin()
        try:
            with self.busy:
                self.ledger.note(request)
                if self.timings.latency:
                    gevent.sleep(self.timings.latency)
                self._deliver(connection, request)
        finally:
            self.ledger.end()

    def _deliver(self, connection: Connection, request: Request) -> None:
        self.look()
        if self.faults.takes(connection, request, lambda: routes.reply(self, request, connection)):
            return
        reply = routes.reply(self, request, connection)
        if reply is not None:
            connection.send_reply(reply, request)

    # Power.

    def power_on(self, reason: str = POWER_ON_RESET, *, fresh: bool = True) -> None:
        """Listen. `fresh`: it boots (uptime 0, counters 0, stored settings in force); else it ran before."""
        if self.powered:
            return
        self.powered = True
        if fresh:
            self._boot(reason)
        self._open_door()

    def _boot(self, reason: str) -> None:
        self.boots += 1
        self.settings.boot()
        self.machine.boot(self.now(), self.timings.mining)
        self.subject.reset_reason = reason
        self.subject.revision += 1
        self.identify_until = 0.0
        self.log.boot()

    def _open_door(self) -> None:
        if self.powered and self.faults.listening:
            self.door.open()

    def power_off(self, *, silent: bool = False) -> None:
        """Gone at once: refuses, and its sockets are reset. `silent`: they just say nothing any more."""
        self._end_life()
        self._go_dark(silent)

    def _go_dark(self, silent: bool) -> None:
        self.powered = False
        self.door.shut(silent=silent)

    def restart(self, *, reason: str = SOFTWARE_RESET, silent: bool = False) -> None:
        """Away for the boot time, then back. Returns at once."""
        self._end_life()
        self._life = gevent.spawn(self._reboot, reason, silent)

    def _reboot(self, reason: str, silent: bool) -> None:
        self._go_dark(silent)
        gevent.sleep(self.timings.boot)
        self.power_on(reason)

    def _end_life(self) -> None:
        life, self._life = self._life, None
        if life is not None and life is not gevent.getcurrent():
            life.kill()

    def stop(self) -> None:
        """Off for good: sockets closed, greenlets dead, port given back. Idempotent."""
        self._end_life()
        self.powered = False
        self.door.demolish()

    # Address.

    def move(self, address: Address) -> None:
        """A new lease: gone from the old address, there at the new one, with its state."""
        self.leave()
        self.arrive(address)

    def leave(self) -> Address:
        """Give up the address; returns it."""
        return self.door.leave()

    def arrive(self, address: Address) -> None:
        """Take an address."""
        self.door.settle(address)
        self.subject.host = self.door.address[0]
        self.subject.revision += 1
        self._open_door()

    # Faults.

    @property
    def fault(self) -> str | None:
        """The name of the fault that is on. Assign a name to switch it on, None to be well."""
        return self.faults.name

    @fault.setter
    def fault(self, name: str | None) -> None:
        if name is None:
            self.clear_fault()
        else:
            self.set_fault(name)

    def set_fault(self, name: str, **options: Any) -> None:
        """Switch a fault on, in place of the one that is on. ValueError for an unknown name."""
        self.faults.switch_on(name, options)
        if self.faults.listening:
            self._open_door()
        else:
            self.door.shut()

    def clear_fault(self) -> None:
        """Well again."""
        self.faults.switch_off()
        self._open_door()
