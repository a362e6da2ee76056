"""One poll of one device, from the question to what follows from the answer."""

from __future__ import annotations

import logging

from app.clock import Clock
from app.errors import DeviceError, WrongMiner
from app.events import DeviceFailed, DeviceObserved, EventBus, MinerMissing
from app.miners.address import DEFAULT_PORT, Address
from app.miners.client import Miner
from app.miners.identity import require_same
from app.miners.options import options_from_table
from app.models import LOST, Observation, Reading, Status, is_reboot, next_observation
from app.services.devices.conflicts import Conflicts
from app.services.devices.fleet import Fleet, Tracked
from app.services.discovery.neighbours import NeighbourTable
from app.services.health import Health

log = logging.getLogger(__name__)

DEADLINE_SECONDS = 4.0


class Poller:
    """Owns nothing but the policy: deadline, and how many misses make a device offline."""

    def __init__(
        self,
        fleet: Fleet,
        neighbours: NeighbourTable,
        conflicts: Conflicts,
        events: EventBus,
        health: Health,
        clock: Clock,
        *,
        interval: float,
        offline_after: int,
    ) -> None:
        self._fleet = fleet
        self._neighbours = neighbours
        self._conflicts = conflicts
        self._events = events
        self._health = health
        self._clock = clock
        self._deadline = min(DEADLINE_SECONDS, 0.8 * interval)
        self._offline_after = offline_after

    def poll(self, tracked: Tracked, miner: Miner) -> None:
        """Asks the miner once and takes what it says, or that it said nothing. A miner that is busy with a command is
        left alone."""
        with miner.slot(0) as free:
            if not free:
                self._health.poll_skipped()
                return
            began = self._clock.monotonic()
            outcome = self._ask(tracked, miner)
            self._health.polled(outcome, self._clock.monotonic() - began)
        self._take(tracked, outcome)

    def _ask(self, tracked: Tracked, miner: Miner) -> Reading | DeviceError:
        try:
            reading = miner.info(self._deadline)
            require_same(tracked.mac, miner.address, reading, tracked.info, self.neighbour(reading, miner.address))
        except DeviceError as error:
            return error
        self.learn_options(tracked, miner, reading)
        return reading

    def neighbour(self, reading: Reading, address: Address) -> str | None:
        """What the system's neighbour table says of an address whose miner does not tell its MAC (AxeOS before 2.3)."""
        if reading.mac or not (address.port == DEFAULT_PORT or self._fleet.is_alone(address)):
            return None
        return self._neighbours.mac_of(address.host)

    def learn_options(self, tracked: Tracked, miner: Miner, reading: Reading) -> None:
        """Ask the miner once per boot for its model, chip count and options.

        Without an answer the vendor's tables serve: firmware without the path answers 302 or 404. A failure keeps the
        model of an earlier boot.
        """
        if tracked.options is not None and not is_reboot(tracked.reading, reading):
            return
        options = None
        try:
            board = miner.asic(self._deadline)
            options = board.options
            self._fleet.set_board(tracked, board)
        except DeviceError as error:
            log.debug("no options from the miner", extra={"mac": tracked.mac, "reason": error.reason})
        self._fleet.set_options(tracked, options or options_from_table(reading.info))

    def _take(self, tracked: Tracked, outcome: Reading | DeviceError) -> None:
        before = tracked.observation
        restarting = self._clock.monotonic() < tracked.restarting_until
        now = next_observation(before, outcome, self._offline_after, restarting=restarting)
        if not self._fleet.observe(tracked, now):
            return
        if isinstance(outcome, WrongMiner):
            self._conflicts.add_wrong_answer(tracked, outcome)
        elif isinstance(outcome, Reading):
            self._conflicts.add_good_answer(tracked)
        _log_transition(tracked, before, now)
        if now.status is Status.ONLINE:
            self._events.publish(DeviceObserved(tracked))
        elif now.status in LOST:
            self._events.publish(DeviceFailed(tracked))
        if isinstance(outcome, WrongMiner) or now.status is Status.OFFLINE:
            self._events.publish(MinerMissing(tracked.mac))


def _log_transition(tracked: Tracked, before: Observation, now: Observation) -> None:
    """One line at loss, one at recovery; nothing while a state lasts."""
    where = {"mac": tracked.mac, "ip": tracked.device.ip, "hostname": tracked.hostname}
    if now.status in LOST and now.status is not before.status:
        log.warning("miner lost", extra={**where, "status": now.status, "reason": now.reason, "error": now.error})
    elif now.status is Status.ONLINE and before.status in LOST:
        log.info("miner is back", extra=where)
