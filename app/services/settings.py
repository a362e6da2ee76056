"""Changing a miner's settings: the right miner, only what differs, nothing outside its limits, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from app.clock import Clock
from app.errors import DeviceDropped, DeviceError, DeviceTimeout, Invalid, MinerTookNothing, TooSoon
from app.events import DeviceObserved, EventBus
from app.miners.address import NOWHERE
from app.miners.client import Miner, Miners
from app.miners.dialect_writes import acts_live, body_of
from app.miners.dialects import dialect_of
from app.miners.identity import require_same
from app.miners.limits import problems as limit_problems
from app.miners.settings import Change, changes, present, same
from app.models import Reading
from app.services.fleet import Fleet, Tracked
from app.services.intents import Intents
from app.services.journal import Journal, Origin
from app.services.poller import DEADLINE_SECONDS, Poller

SLOT_PATIENCE_SECONDS = 5.0
# The firmware queues its writes (AxeOS ≥ 2.11), so reading back at once can still show the old values.
READ_BACK_SECONDS = 4.0
READ_BACK_EVERY_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be on the miner. `values`: settings by key, other keys are passed over. `restart`: if a change needs
    it."""

    values: Mapping[str, Any]
    allow_overclock: bool = False
    restart: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """One key: `status` is applied, pending_restart, refused or unchanged; a secret shows neither value."""

    key: str
    requested: Any
    before: Any
    actual: Any
    status: str
    reason: str | None = None


@dataclass(slots=True)
class Applied:
    """What came of a wish. `restarted`: the miner was told to restart. `entry`: the journal's id, if anything was
    sent."""

    tracked: Tracked
    outcomes: list[Outcome] = field(default_factory=list)
    restarted: bool = False
    entry: str | None = None


class MinerSettings:
    """Owns nothing; one write at a time per miner, since it holds the miner's slot from reading its MAC to reading
    back."""

    def __init__(
        self,
        fleet: Fleet,
        miners: Miners,
        poller: Poller,
        journal: Journal,
        intents: Intents,
        events: EventBus,
        clock: Clock,
    ) -> None:
        self._fleet = fleet
        self._miners = miners
        self._poller = poller
        self._journal = journal
        self._intents = intents
        self._events = events
        self._clock = clock

    def plan(self, tracked: Tracked, wish: Wish) -> list[Change]:
        """What the wish would change, judged by the last reading; nothing is asked of the miner. Raises Invalid."""
        return self._judged(tracked, wish, tracked.info)

    def apply(self, tracked: Tracked, wish: Wish, origin: Origin) -> Applied:
        """Makes the wish true as far as the miner takes it. Raises Invalid (nothing written), WrongMiner (nothing
        written), DeviceError, TooSoon, MinerTookNothing."""
        if tracked.address == NOWHERE:
            raise Invalid("Device IP not available")
        miner = self._miners.at(tracked.address)
        with miner.slot(SLOT_PATIENCE_SECONDS) as free:
            if not free:
                raise TooSoon("This miner is busy with another command", SLOT_PATIENCE_SECONDS)
            try:
                return self._write(tracked, miner, wish, origin)
            finally:
                miner.settle()

    def _write(self, tracked: Tracked, miner: Miner, wish: Wish, origin: Origin) -> Applied:
        reading = self.verified(tracked, miner)
        wanted = self._judged(tracked, wish, reading.info)
        applied = Applied(tracked)
        if not wanted:
            self._take(tracked, reading)
            return applied
        before, after = _shown(wanted, "present"), _shown(wanted, "value")
        applied.entry = self._journal.begin(tracked.mac, origin, before, after)
        try:
            reading = self._sent(miner, wanted, reading)
        except DeviceError:
            self._journal.end(tracked.mac, applied.entry, "failed")
            raise
        self._take(tracked, reading)
        applied.outcomes = [_outcome(change, reading.info) for change in wanted]
        self._intents.wrote(tracked.mac, {o.key: o.requested for o in applied.outcomes if _is_wish(o)})
        applied.restarted = wish.restart and self._restarted(miner, applied.outcomes)
        self._journal.end(tracked.mac, applied.entry, _verdict(applied.outcomes), _rows(applied.outcomes))
        if all(outcome.status == "refused" for outcome in applied.outcomes):
            raise MinerTookNothing(tracked.mac, {outcome.key: [outcome.reason or ""] for outcome in applied.outcomes})
        return applied

    def verified(self, tracked: Tracked, miner: Miner) -> Reading:
        """A fresh reading that is the device's own, read on the connection that the next command goes out on."""
        reading = miner.info(DEADLINE_SECONDS, keep=True)
        neighbour = self._poller.neighbour(reading, tracked.address)
        require_same(tracked.mac, tracked.address, reading, tracked.info, neighbour, strict=True)
        return reading

    def _judged(self, tracked: Tracked, wish: Wish, info: Mapping[str, Any]) -> list[Change]:
        wanted, problems = changes(wish.values, info)
        problems |= limit_problems(wanted, info, tracked.vendor_options, allow_overclock=wish.allow_overclock)
        if problems:
            raise Invalid("Some settings cannot be set like this; nothing was written", problems)
        return wanted

    def _sent(self, miner: Miner, wanted: Sequence[Change], before: Reading) -> Reading:
        """The first reading that shows every change, or the last one before patience ends. What became of a write whose
        answer did not come is settled by what the miner runs."""
        with suppress(DeviceDropped, DeviceTimeout):
            miner.write(body_of(wanted, before.info, dialect_of(before.info)))
        return self._read_back(miner, wanted, before)

    def _read_back(self, miner: Miner, wanted: Sequence[Change], before: Reading) -> Reading:
        until = self._clock.monotonic() + READ_BACK_SECONDS
        reading = before
        while (left := until - self._clock.monotonic()) > 0:
            with suppress(DeviceError):
                reading = miner.info(min(left, DEADLINE_SECONDS), keep=True)
            if all(_shows(change, reading.info) for change in wanted):
                break
            self._clock.sleep(min(READ_BACK_EVERY_SECONDS, max(left, 0.0)))
        return reading

    def _take(self, tracked: Tracked, reading: Reading) -> None:
        self._fleet.refresh(tracked, reading)
        if tracked.monitored:
            self._events.publish(DeviceObserved(tracked))

    def _restarted(self, miner: Miner, outcomes: Sequence[Outcome]) -> bool:
        if not any(outcome.status == "pending_restart" for outcome in outcomes):
            return False
        miner.restart()
        return True


def _shows(change: Change, info: Mapping[str, Any]) -> bool:
    return change.setting.secret or same(change.value, present(change.setting, info))


def _outcome(change: Change, info: Mapping[str, Any]) -> Outcome:
    effect = "applied" if acts_live(change, dialect_of(info)) else "pending_restart"
    if change.setting.secret:
        return Outcome(change.key, None, None, None, effect, "A password cannot be read back")
    actual = present(change.setting, info)
    if same(change.value, actual):
        return Outcome(change.key, change.value, change.present, actual, effect)
    reason = "This firmware has no such setting" if actual is None else f"The miner kept {actual!r}"
    return Outcome(change.key, change.value, change.present, actual, "refused", reason)


def _is_wish(outcome: Outcome) -> bool:
    return outcome.status != "refused" and outcome.requested is not None


def _shown(wanted: Sequence[Change], attribute: str) -> dict[str, Any]:
    return {change.key: None if change.setting.secret else getattr(change, attribute) for change in wanted}


def _rows(outcomes: Sequence[Outcome]) -> list[dict[str, Any]]:
    return [{"key": each.key, "actual": each.actual, "status": each.status, "reason": each.reason} for each in outcomes]


def _verdict(outcomes: Sequence[Outcome]) -> str:
    """The best that happened: a write of which the miner took a part is not refused."""
    return next(
        status for status in ("pending_restart", "applied", "refused") if status in {o.status for o in outcomes}
    )
