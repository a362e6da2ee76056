"""Commands to a miner: each holds the miner's slot and verifies its MAC first, on the same connection."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from app.clock import Clock
from app.errors import DeviceError, DeviceInConflict, Invalid, RetryLater, WrongMiner
from app.events import DeviceDeleted, EventBus, MinerMissing
from app.miners.address import UNUSABLE_ADDRESS
from app.miners.device_client import READ_DEADLINE_SECONDS, Answer, Miner
from app.models import Reading
from app.services.devices.fleet import Fleet, Tracked
from app.services.devices.identity import DeviceIdentity

SLOT_TIMEOUT_SECONDS = 5.0
RESTART_INTERVAL_SECONDS = 10.0
# AxeOS answers 5 to 20 s after a restart. A miner that is silent after this time counts as offline.
RESTART_TAKES_SECONDS = 60.0


class Commands:
    """Sends commands; owns the time of each device's last restart, and thereby the rate limit of restarts."""

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
    def hold_miner(self, tracked: Tracked, *, read_only: bool = False) -> Iterator[Miner]:
        """Hold the slot of the device's miner; wait for it at most 5 s. Raises Invalid for a device without an
        address, RetryLater while another call holds the slot, DeviceInConflict unless the caller only reads."""
        until = self._clock.monotonic() + SLOT_TIMEOUT_SECONDS
        while True:
            if tracked.address == UNUSABLE_ADDRESS:
                raise Invalid("Device IP not available")
            miner = self._miner_at(tracked.address)
            with miner.lock(max(until - self._clock.monotonic(), 0.0)) as free:
                if not free:
                    raise RetryLater("This miner is busy with another command", SLOT_TIMEOUT_SECONDS)
                if miner.address != tracked.address:
                    continue  # the device moved during the wait: another miner may be at this address now
                if tracked.conflict and not read_only:
                    raise DeviceInConflict(tracked.mac, tracked.conflict)
                try:
                    yield miner
                finally:
                    miner.close_if_not_keep_alive()
                return

    def read_verified(self, tracked: Tracked, miner: Miner) -> Reading:
        """Return a fresh reading of the device, on the connection on which the next command is sent. Raises
        DeviceError: WrongMiner if another miner answers, and the device is then searched for."""
        reading = miner.fetch_info(READ_DEADLINE_SECONDS, keep_open=True)
        try:
            self._identity.require_device(tracked, miner.address, reading, strict=True)
        except WrongMiner:
            self._events.publish(MinerMissing(tracked.mac))
            raise
        return reading

    def send_command(self, mac: str, name: str) -> Answer:
        """Send `identify` (which toggles), `pause` or `resume`; return the miner's answer. Raises DeviceNotFound,
        DeviceError, RetryLater."""
        tracked = self._fleet.get_device(mac)
        with self.hold_miner(tracked) as miner:
            self.read_verified(tracked, miner)
            return miner.send_command(name)

    def restart_device(self, mac: str) -> Answer:
        """Restart a device, at most once in 10 s; return the miner's answer. Raises DeviceNotFound, DeviceError,
        RetryLater."""
        tracked = self._fleet.get_device(mac)
        self.require_restart_interval(tracked)
        with self.hold_miner(tracked) as miner:
            self.require_restart_interval(tracked)  # again: the previous holder of the slot may have restarted it
            self.read_verified(tracked, miner)
            return self.restart_held_miner(tracked, miner)

    def restart_held_miner(self, tracked: Tracked, miner: Miner) -> Answer:
        """Restart a miner that the caller holds and has verified.

        A rejected restart (4xx) did not happen: the device may be restarted again at once. After a 5xx or a timeout
        it may have happened, which counts for the next attempt, but silence is expected only after a success.
        """
        last = self._restarted.get(tracked.mac, -RESTART_INTERVAL_SECONDS)
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

    def require_restart_interval(self, tracked: Tracked) -> None:
        """Raise RetryLater if the device was restarted less than 10 s ago."""
        waited = self._clock.monotonic() - self._restarted.get(tracked.mac, -RESTART_INTERVAL_SECONDS)
        if waited < RESTART_INTERVAL_SECONDS:
            raise RetryLater("This miner was restarted a moment ago", RESTART_INTERVAL_SECONDS - waited)
