"""Changing a miner's settings: the right miner, only what differs, nothing outside its limits, and what came of it."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import orjson

from app.clock import Clock
from app.errors import (
    DeviceDropped,
    DeviceError,
    DeviceNotFound,
    DeviceRejected,
    DeviceTimeout,
    Invalid,
    MinerTookNothing,
)
from app.events import DeviceObserved, EventBus
from app.miners.client import MAX_WRITE, READ_DEADLINE_SECONDS, Miner
from app.miners.dialect_writes import body_of, slot_problems
from app.miners.dialects import dialect_of
from app.miners.limits import problems as limit_problems
from app.miners.setting_changes import Difference, WriteStatus, difference
from app.miners.settings import SETTINGS, Change, runs
from app.models import Reading
from app.services.configuration.commands import Commands
from app.services.configuration.desired_state import Intents
from app.services.configuration.drift_rules import uptime_of
from app.services.configuration.journal import EntryOutcome, Journal, Origin
from app.services.configuration.results import (
    NOT_TAKEN,
    RESTARTING,
    entry_outcome,
    note_restart,
    of_unwritten,
    of_written,
    rows,
)
from app.services.configuration.results import Applied as Applied
from app.services.configuration.results import Outcome as Outcome
from app.services.devices.fleet import Fleet, Tracked
from app.services.devices.options import OptionsLoader

log = logging.getLogger(__name__)

# The firmware queues its writes (AxeOS ≥ 2.11), so reading back at once can still show the old values.
READ_BACK_SECONDS = 4.0
READ_BACK_EVERY_SECONDS = 0.5
NOTHING_SUPPORTED = "None of this can be set on a miner from here; nothing was written"
_WRITTEN = frozenset({WriteStatus.APPLIED, WriteStatus.PENDING_RESTART})
_JUDGED_BY_OPTIONS = frozenset({"frequency", "coreVoltage"})


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be on the miner. `values`: settings asked for by key, other keys are passed over. `echo`: a device
    object that a client sent back, of which only what it edited counts. `standing`: keys that are this service's
    business from now on even where the miner runs them already. `restart`: if a change needs it. `notes`: goes into the
    journal's entry. `asks_more`: the request has a purpose beside these settings."""

    values: Mapping[str, Any] = field(default_factory=dict)
    allow_overclock: bool = False
    restart: bool = False
    echo: Mapping[str, Any] = field(default_factory=dict)
    standing: frozenset[str] = frozenset()
    notes: Mapping[str, Any] = field(default_factory=dict)
    asks_more: bool = False


class MinerSettings:
    """Owns nothing; one write at a time per miner, since it holds the miner's slot from reading its MAC to reading
    back."""

    def __init__(
        self,
        fleet: Fleet,
        commands: Commands,
        options: OptionsLoader,
        journal: Journal,
        intents: Intents,
        events: EventBus,
        clock: Clock,
    ) -> None:
        self._fleet = fleet
        self._commands = commands
        self._options = options
        self._journal = journal
        self._intents = intents
        self._events = events
        self._clock = clock

    def plan(self, tracked: Tracked, wish: Wish) -> list[Change]:
        """What the wish would change, judged by the last reading; nothing is asked of the miner. Raises Invalid."""
        found = difference(wish.values, wish.echo, tracked.info)
        self._judge(tracked, wish, found, tracked.info)
        return found.changes

    def apply(self, tracked: Tracked, wish: Wish, origin: Origin) -> Applied:
        """Makes the wish true as far as the miner takes it. Raises Invalid, WrongMiner or TooSoon (nothing was
        written), DeviceError (then the journal's entry says what is known), MinerTookNothing."""
        if wish.restart:
            self._commands.require_rest(tracked)
        with self._commands.held(tracked) as miner:
            reading = self._commands.verified(tracked, miner)
            found = difference(wish.values, wish.echo, reading.info)
            if tracked.options is None and any(change.key in _JUDGED_BY_OPTIONS for change in found.changes):
                self._options.load_once_per_boot(tracked, miner, reading)
                reading = self._commands.verified(tracked, miner)
            self._judge(tracked, wish, found, reading.info)
            if self._fleet.find(tracked.mac) is not tracked:
                raise DeviceNotFound(tracked.mac)
            began = self._clock.monotonic()
            applied = self._applied(tracked, miner, wish, found, reading, origin)
            log.debug(
                "settings written",
                extra={
                    "mac": tracked.mac,
                    "operation": "write settings",
                    "duration_ms": round((self._clock.monotonic() - began) * 1000, 1),
                    "outcome": {each.key: str(each.status) for each in applied.outcomes},
                },
            )
        if {outcome.status for outcome in applied.outcomes} in ({WriteStatus.REFUSED}, NOT_TAKEN):
            raise MinerTookNothing(tracked.mac, {each.key: [each.reason or ""] for each in applied.outcomes})
        return applied

    def _judge(self, tracked: Tracked, wish: Wish, found: Difference, info: Mapping[str, Any]) -> None:
        """Raises Invalid when one thing is wrong: then nothing is written at all."""
        problems = {
            **found.problems,
            **slot_problems(found.changes, info, dialect_of(info)),
            **limit_problems(found.changes, info, tracked.vendor_options, allow_overclock=wish.allow_overclock),
        }
        if not problems and len(orjson.dumps(body_of(found.changes, info, dialect_of(info)))) >= MAX_WRITE:
            problems = {change.key: ["Too much for one request to the miner."] for change in found.changes}
        if problems:
            raise Invalid("Some settings cannot be set like this; nothing was written", problems)
        if found.only_unsupported and not wish.asks_more:
            raise Invalid(NOTHING_SUPPORTED, {key: [reason] for key, (_, _, reason) in found.unsent.items()})

    def _applied(
        self, tracked: Tracked, miner: Miner, wish: Wish, found: Difference, reading: Reading, origin: Origin
    ) -> Applied:
        applied = Applied(tracked, of_unwritten(found, reading.info))
        after: Reading | None = reading
        if found.changes:
            applied.entry = self._begin(tracked, found.changes, wish, origin, uptime_of(reading.info))
            after = self._sent(tracked, miner, found.changes, reading, applied.entry)
            written = of_written(found.changes, after.info if after else None, reading.info)
            if wish.restart and any(outcome.status is WriteStatus.PENDING_RESTART for outcome in written):
                written, applied.restarted = self._restarted(tracked, miner, written)
            self._journal.end(tracked.mac, applied.entry, entry_outcome(written, seen=after is not None), rows(written))
            applied.outcomes = [*written, *applied.outcomes]
        # Before anybody hears of the reading: what is compared with the intent must not look like drift.
        self._intend(tracked, applied, {key: found.unchanged[key] for key in wish.standing & found.unchanged.keys()})
        self._take(tracked, after)
        return applied

    def _begin(
        self, tracked: Tracked, wanted: Sequence[Change], wish: Wish, origin: Origin, uptime: float | None
    ) -> str:
        before, after = _shown(wanted, "present"), _shown(wanted, "value")
        return self._journal.begin(tracked.mac, origin, before, after, uptime=uptime, **wish.notes)

    def _sent(
        self, tracked: Tracked, miner: Miner, wanted: Sequence[Change], before: Reading, entry: str
    ) -> Reading | None:
        """The first reading that shows every change, or the last one before patience ends; None when there was none.

        What became of a write whose answer did not come is settled by what the miner runs; its error is raised when
        that shows nothing.
        """
        lost: DeviceError | None = None
        try:
            miner.write(body_of(wanted, before.info, dialect_of(before.info)))
        except DeviceDropped as error:
            self._commands.expect_restart(tracked)  # it may well have crashed over it
            lost = error
        except DeviceTimeout as error:
            lost = error
        except DeviceError as error:
            self._journal.end(
                tracked.mac, entry, EntryOutcome.REFUSED if isinstance(error, DeviceRejected) else EntryOutcome.FAILED
            )
            raise
        after = self._read_back(miner, wanted, before)
        if lost and not any(_shows(change, after) for change in wanted):
            self._take(tracked, after)
            raise lost
        return after

    def _read_back(self, miner: Miner, wanted: Sequence[Change], before: Reading) -> Reading | None:
        after: Reading | None = None
        until = self._clock.monotonic() + READ_BACK_SECONDS
        for _ in range(round(READ_BACK_SECONDS / READ_BACK_EVERY_SECONDS)):
            left = until - self._clock.monotonic()
            if left <= 0:
                break
            with suppress(DeviceError):
                reading = miner.info(min(left, READ_DEADLINE_SECONDS), keep=True)
                after = reading if reading.mac == before.mac else after
            if after and all(change.setting.secret or _shows(change, after) for change in wanted):
                break
            self._clock.sleep(min(READ_BACK_EVERY_SECONDS, left))
        return after

    def _restarted(self, tracked: Tracked, miner: Miner, written: list[Outcome]) -> tuple[list[Outcome], bool]:
        try:
            self._commands.restart_held(tracked, miner)
        except DeviceError as error:
            return note_restart(written, f"The restart failed: {error}"), False
        return note_restart(written, RESTARTING), True

    def _take(self, tracked: Tracked, reading: Reading | None) -> None:
        if reading is not None and self._fleet.find(tracked.mac) is tracked:
            self._fleet.refresh(tracked, reading)
            if tracked.monitored:
                self._events.publish(DeviceObserved(tracked))

    def _intend(self, tracked: Tracked, applied: Applied, standing: Mapping[str, Any]) -> None:
        """A device that was deleted meanwhile gets no intent."""
        intended = {key: value for key, value in {**standing, **applied.taken}.items() if key in SETTINGS}
        written = {each.key for each in applied.outcomes if each.status in _WRITTEN}
        kept = {
            key: value for key, value in intended.items() if (key in written or key in standing) and is_watched(key)
        }
        if kept and self._fleet.find(tracked.mac) is tracked:
            self._intents.wrote(tracked.mac, kept)


def is_watched(key: str) -> bool:
    """Return False for a pool in a slot that is not in use."""
    place = SETTINGS[key].place
    return place is None or place.name != "pools"


def _shows(change: Change, reading: Reading | None) -> bool:
    return reading is not None and not change.setting.secret and runs(change.setting, change.value, reading.info)


def _shown(wanted: Sequence[Change], attribute: str) -> dict[str, Any]:
    return {change.key: None if change.setting.secret else getattr(change, attribute) for change in wanted}
