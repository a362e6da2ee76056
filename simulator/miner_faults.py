"""The faults of a miner as a table. A fault can be switched on and off while the miner runs.

A fault may change the delivery of an answer, the values of /info, the state of the miner, or whether it listens.
Options are keyword arguments of `Miner.set_fault`; `method` and `path` restrict a delivery fault to some requests.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from . import fault_effects as effects
from .connection import Connection
from .device_state import DeviceState
from .fault_effects import Exchange, Options, Values
from .http_messages import HTML, Reply, Request


@dataclass(frozen=True)
class Fault:
    """One fault; every effect is optional.

    `deliver` replaces the delivery of an answer, `change_values` edits the members of /info, `begin` and `end`
    change the state when the fault is switched on and off. With `listening` False the miner refuses connections.
    """

    deliver: Callable[[Exchange], None] | None = None
    change_values: Callable[[Values, Options], Values] | None = None
    begin: Callable[[DeviceState, Options], None] | None = None
    end: Callable[[DeviceState, Options], None] | None = None
    listening: bool = True


@dataclass
class ActiveFault:
    """A fault that is on, with its options and the connections that it blocks."""

    name: str
    fault: Fault
    options: Options
    blocked: set[Connection] = field(default_factory=set)

    def applies_to(self, request: Request) -> bool:
        """Return True if the options `method` and `path`, where present, match the request."""
        wanted = (self.options.get("method", request.method), self.options.get("path", request.path))
        return wanted == (request.method, request.path)


def _send_always(make: Callable[[Options], Reply]) -> Fault:
    """Return a fault that answers every request with the same reply."""
    return Fault(deliver=lambda exchange: exchange.connection.send_reply(make(exchange.options), exchange.request))


FAULTS: dict[str, Fault] = {
    "refuse": Fault(listening=False),
    "hang": Fault(deliver=effects.send_nothing),
    "drip": Fault(deliver=effects.send_byte_by_byte),
    "reset": Fault(deliver=effects.send_part_and_reset),
    "short": Fault(deliver=effects.send_part_and_close),
    "huge": Fault(deliver=effects.send_endless_body),
    "gzip_bomb": _send_always(effects.make_gzip_bomb),
    "garbage": _send_always(lambda options: Reply(body=bytes(range(256)) * 8)),
    "not_http": Fault(deliver=effects.send_binary_bytes),
    "html": _send_always(effects.make_html_page),
    "status_400": _send_always(lambda options: Reply(400, b"Wrong API input", HTML)),
    "status_401": _send_always(lambda options: Reply(401, b"Unauthorized", HTML)),
    "status_401_login": _send_always(effects.make_login_challenge),
    "status_500": _send_always(lambda options: Reply(500, b"Internal Server Error", HTML)),
    "redirect": _send_always(effects.make_redirect),
    "slow": Fault(deliver=effects.send_late),
    "null": Fault(change_values=effects.replace_numbers_by_null),
    "wrong_types": Fault(change_values=effects.replace_types),
    "other_mac": Fault(change_values=effects.replace_mac),
    "no_mac": Fault(change_values=effects.remove_mac),
    "dead_domain": Fault(change_values=effects.stop_domain),
    "false_hashrate": Fault(change_values=effects.report_false_hashrate),
    "hostname": Fault(begin=effects.change_hostname, end=effects.restore_hostname),
    "overheat": Fault(begin=effects.overheat_chip),
    "power_fault": Fault(begin=effects.set_power_fault, end=effects.clear_power_fault),
    "pools_down": Fault(begin=effects.switch_pools(False), end=effects.switch_pools(True)),
}


class FaultSwitch:
    """Switches the faults of one miner: at most one is on."""

    def __init__(self, state: DeviceState) -> None:
        self._state = state
        self._active: ActiveFault | None = None

    @property
    def name(self) -> str | None:
        """Name of the active fault."""
        return self._active.name if self._active else None

    @property
    def allows_listening(self) -> bool:
        """True if the miner may listen."""
        return self._active is None or self._active.fault.listening

    def switch_on(self, name: str, options: Options) -> None:
        """Switch a fault on in place of the active one. Raises: ValueError for an unknown name."""
        if name not in FAULTS:
            raise ValueError(f"unknown fault {name!r}; one of {', '.join(FAULTS)}")
        self.switch_off()
        self._active = active = ActiveFault(name, FAULTS[name], options)
        if active.fault.begin is not None:
            active.fault.begin(self._state, options)

    def switch_off(self) -> None:
        """Switch the active fault off and reset the connections that it blocked."""
        active, self._active = self._active, None
        if active is None:
            return
        for connection in list(active.blocked):
            connection.reset()
        if active.fault.end is not None:
            active.fault.end(self._state, active.options)

    def select_info_change(self) -> Callable[[Values], Values] | None:
        """Return the function with which the active fault edits the members of /info."""
        active = self._active
        if active is None or active.fault.change_values is None:
            return None
        change, options = active.fault.change_values, active.options
        return lambda values: change(values, options)

    def deliver_fault(self, connection: Connection, request: Request, make_reply: Callable[[], Reply | None]) -> bool:
        """Deliver the answer with the active fault. Return False if no fault applies to this request."""
        active = self._active
        deliver = active.fault.deliver if active is not None else None
        if active is None or deliver is None or not active.applies_to(request):
            return False
        active.blocked.add(connection)
        try:
            deliver(Exchange(connection, request, active.options, make_reply))
        finally:
            active.blocked.discard(connection)
        return True
