"""What can go wrong with a miner: a table of faults that can be switched on and off while it runs.

A row may change how an answer is delivered, what the values of /info look like, what state the miner is in,
or whether it listens at all. Options are keyword arguments of `Miner.set_fault`; `method` and `path` restrict
a delivery fault to some requests.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from . import fault_acts as act
from .connection import Connection
from .fault_acts import Exchange, Options, Values
from .http import HTML, Reply, Request

if TYPE_CHECKING:
    from .miner import Miner


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

    def concerns(self, request: Request) -> bool:
        """Whether `method` and `path`, where given, are this request's."""
        wanted = (self.options.get("method", request.method), self.options.get("path", request.path))
        return wanted == (request.method, request.path)


def _says(make: Callable[[Options], Reply]) -> Fault:
    """A fault that answers everything with one made-up reply."""
    return Fault(deliver=lambda exchange: exchange.connection.send_reply(make(exchange.options), exchange.request))


FAULTS: dict[str, Fault] = {
    "refuse": Fault(listening=False),
    "hang": Fault(deliver=act.hang),
    "drip": Fault(deliver=act.drip),
    "reset": Fault(deliver=act.reset),
    "short": Fault(deliver=act.short),
    "huge": Fault(deliver=act.huge),
    "gzip_bomb": _says(act.gzip_bomb),
    "garbage": _says(lambda options: Reply(body=bytes(range(256)) * 8)),
    "not_http": Fault(deliver=act.not_http),
    "html": _says(act.page),
    "status_400": _says(lambda options: Reply(400, b"Wrong API input", HTML)),
    "status_401": _says(lambda options: Reply(401, b"Unauthorized", HTML)),
    "status_401_login": _says(act.login),
    "status_500": _says(lambda options: Reply(500, b"Internal Server Error", HTML)),
    "redirect": _says(act.redirect),
    "slow": Fault(deliver=act.slow),
    "null": Fault(mangle=act.nulls),
    "wrong_types": Fault(mangle=act.wrong_types),
    "other_mac": Fault(mangle=act.other_mac),
    "no_mac": Fault(mangle=act.no_mac),
    "hostname": Fault(begin=act.rename, end=act.rename_back),
    "overheat": Fault(begin=act.overheat),
    "power_fault": Fault(begin=act.power_fault, end=act.power_well),
    "pools_down": Fault(begin=act.pools(False), end=act.pools(True)),
}


class FaultSwitch:
    """The fault of one miner: at most one at a time."""

    def __init__(self, miner: Miner) -> None:
        self._miner = miner
        self._active: ActiveFault | None = None

    @property
    def name(self) -> str | None:
        """The fault that is on."""
        return self._active.name if self._active else None

    @property
    def listening(self) -> bool:
        """Whether the miner may listen."""
        return self._active is None or self._active.fault.listening

    def switch_on(self, name: str, options: Options) -> None:
        """In place of the one that is on; ValueError with the known names for an unknown one."""
        if name not in FAULTS:
            raise ValueError(f"unknown fault {name!r}; one of {', '.join(FAULTS)}")
        self.switch_off()
        self._active = active = ActiveFault(name, FAULTS[name], options)
        if active.fault.begin is not None:
            active.fault.begin(self._miner, options)

    def switch_off(self) -> None:
        """Well again; connections that the fault held are reset."""
        active, self._active = self._active, None
        if active is None:
            return
        for connection in list(active.held):
            connection.reset()
        if active.fault.end is not None:
            active.fault.end(self._miner, active.options)

    def mangles(self) -> Callable[[Values], Values] | None:
        """What it does to the members of /info."""
        active = self._active
        if active is None or active.fault.mangle is None:
            return None
        mangle, options = active.fault.mangle, active.options
        return lambda values: mangle(values, options)

    def takes(self, connection: Connection, request: Request, answer: Callable[[], Reply | None]) -> bool:
        """Deliver a disturbed answer, if this request is to have one. `answer` is the healthy one."""
        active = self._active
        deliver = active.fault.deliver if active is not None else None
        if active is None or deliver is None or not active.concerns(request):
            return False
        active.held.add(connection)
        try:
            deliver(Exchange(connection, request, active.options, answer))
        finally:
            active.held.discard(connection)
        return True
