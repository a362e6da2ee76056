"""The one way in which a miner is told something: its slot held, and its MAC read right before, on the same
connection."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from app.clock import Clock
from app.errors import DeviceError, DeviceInConflict, Invalid, TooSoon, WrongMiner
from app.events import DeviceDeleted, EventBus, MinerMissing
from app.miners.address import NOWHERE
from app.miners.client import READ_DEADLINE_SECONDS, Answer, Miner
from app.models import Reading
from app.services.devices.fleet import Fleet, Tracked
from app.services.devices.identity import DeviceIdentity

SLOT_PATIENCE_SECONDS = 5.0
RESTART_EVERY_SECONDS = 10.0
# AxeOS answers 5 to 20 s after a restart; one that is still silent then is lost.
RESTART_TAKES_SECONDS = 60.0


class Commands:
    """Owns when each device was last restarted."""

    def __init__(
        self, fleet: Fleet, miner_at: Callable[..., Miner], identity: DeviceIdentity, events: EventBus, clock: Clock
    ) -> None:
        self._fleet = fleet
        self._miner_at = miner_at
        self._identity = identity
        self._events = events
        self._clock = clock
        self._restarted: dict[str, float] = {}

    def on_device_deleted(self, event: DeviceDeleted) -> None:
        self._restarted.pop(event.mac, None)

    @contextmanager
    def held(self, tracked: Tracked, *, read_only: bool = False) -> Iterator[Miner]:
        """Hold the slot of the device's miner, which is waited for at most 5 s. Raises Invalid for a device without an
        address, TooSoon while another call keeps the slot, DeviceInConflict unless the caller only reads."""
        until = self._clock.monotonic() + SLOT_PATIENCE_SECONDS
        while True:
            if tracked.address == NOWHERE:
                raise Invalid("Device IP not available")
            miner = self._miner_at(tracked.address)
            with miner.slot(max(until - self._clock.monotonic(), 0.0)) as free:
                if not free:
                    raise TooSoon("This miner is busy with another command", SLOT_PATIENCE_SECONDS)
                if miner.address != tracked.address:
                    continue  # the device moved while we waited: another miner may be here now
                if tracked.conflict and not read_only:
                    raise DeviceInConflict(tracked.mac, tracked.conflict)
                try:
                    yield miner
                finally:
                    miner.settle()
                return

    def verified(self, tracked: Tracked, miner: Miner) -> Reading:
        """A fresh reading that is the device's own, on the connection that the next command goes out on. Raises
        DeviceError: WrongMiner when another miner answers, which is then looked for."""
        reading = miner.info(READ_DEADLINE_SECONDS, keep=True)
        try:
            self._identity.require_device(tracked, miner.address, reading, strict=True)
        except WrongMiner:
            self._events.publish(MinerMissing(tracked.mac))
            raise
        return reading

    def command(self, mac: str, name: str) -> Answer:
        """`identify` (which toggles), `pause` or `resume`; returns what the miner answered. Raises DeviceNotFound,
        DeviceError, TooSoon."""
        tracked = self._fleet.get(mac)
        with self.held(tracked) as miner:
            self.verified(tracked, miner)
            return miner.command(name)

    def restart(self, mac: str) -> Answer:
        """Return what the miner answered; one restart per device in 10 s. Raises DeviceNotFound, DeviceError,
        TooSoon."""
        tracked = self._fleet.get(mac)
        self.require_rest(tracked)
        with self.held(tracked) as miner:
            self.require_rest(tracked)  # again: whoever held the slot may have restarted it
            self.verified(tracked, miner)
            return self.restart_held(tracked, miner)

    def restart_held(self, tracked: Tracked, miner: Miner) -> Answer:
        """Restart a miner that the caller holds and has verified.

        A rejected restart (4xx) did not happen: the device may be restarted again at once. After a 5xx or a timeout it
        may have happened, which counts for the next attempt, but silence is expected only after a success.
        """
        last = self._restarted.get(tracked.mac, -RESTART_EVERY_SECONDS)
        self._restarted[tracked.mac] = self._clock.monotonic()
        try:
            answer = miner.restart()
        except DeviceError as error:
            if error.rejected:
                self._restarted[tracked.mac] = last
            raise
        finally:
            miner.close()
        self.expect_restart(tracked)
        return answer

    def expect_restart(self, tracked: Tracked) -> None:
        self._fleet.expect_restart(tracked, self._clock.monotonic() + RESTART_TAKES_SECONDS)

    def require_rest(self, tracked: Tracked) -> None:
        """Raises TooSoon when it was restarted less than 10 s ago."""
        waited = self._clock.monotonic() - self._restarted.get(tracked.mac, -RESTART_EVERY_SECONDS)
        if waited < RESTART_EVERY_SECONDS:
            raise TooSoon("This miner was restarted a moment ago", RESTART_EVERY_SECONDS - waited)
