"""What a crash left in doubt: settled by reading the device. A step is taken again only if it surely was not begun."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from app.clock import Clock
from app.errors import DeviceError, TooSoon
from app.miners.settings import SETTINGS, runs
from app.miners.values import flag
from app.models import Reading
from app.services.configuration.writer import READ_BACK_EVERY_SECONDS, READ_BACK_SECONDS
from app.services.jobs.device_actions import DeviceActions
from app.services.jobs.health_check import booted_since
from app.services.jobs.model import WRITING, Action, Patience, Step, StepState
from app.services.jobs.progress import Course
from app.services.jobs.steps import Steps

if TYPE_CHECKING:
    from app.services.devices.fleet import Tracked

RETRY_SECONDS = 5.0
# How the reason of a step begins that cannot be settled.
STOPPED = "The service stopped in the middle of this"


class Settler:
    """Owns nothing. Every step in doubt leaves it in another state."""

    def __init__(self, course: Course, steps: Steps, hands: DeviceActions, clock: Clock, patience: Patience) -> None:
        self._course = course
        self._steps = steps
        self._hands = hands
        self._clock = clock
        self._patience = patience

    def settle(self, step: Step) -> None:
        self._steps.guarded(step, self._settle)

    def _settle(self, step: Step, tracked: Tracked) -> None:
        """The journal has a write before the miner does, so what it does not have was never sent."""
        writes = self._hands.writes(self._steps.job, tracked)
        if step.state is StepState.ACTING and self._writing and not writes:
            self._course.put(step, StepState.PLANNED, captured=None)
        elif step.state is StepState.REVERTING and writes == 1:
            self._course.put(step, StepState.FAILED if step.failed else StepState.DONE)
        elif (reading := self._read_again(tracked)) is None:
            self._steps.fail(step, f"{STOPPED}, and the miner does not say what became of it")
        else:
            self._settlers[step.state](step, tracked, reading)

    @property
    def _writing(self) -> bool:
        return self._steps.job.request.action in WRITING

    @property
    def _settlers(self) -> Mapping[StepState, Callable[[Step, Tracked, Reading], None]]:
        return {
            StepState.ACTING: self._settle_write if self._writing else self._settle_command,
            StepState.RESTARTING: self._settle_restart,
            StepState.REVERTING: self._settle_put_back,
        }

    def _read_again(self, tracked: Tracked) -> Reading | None:
        """The miner may have lost its power together with us."""
        until = self._clock.monotonic() + self._patience.doubt
        while True:
            with suppress(DeviceError, TooSoon):
                return self._hands.read(tracked)
            if self._clock.monotonic() >= until or not self._course.wait(RETRY_SECONDS):
                return None

    def _settle_write(self, step: Step, tracked: Tracked, reading: Reading) -> None:
        values = {change["key"]: change["after"] for change in step.changes if not SETTINGS[change["key"]].secret}
        if not values:
            self._steps.fail(step, f"{STOPPED}, and a password cannot be read back")
            return
        if not self._comes_true(tracked, values, reading):
            self._steps.fail(step, f"{STOPPED}, and the miner does not run what was asked for")
            return
        self._hands.found_applied(self._steps.job, tracked, values)
        keys = tuple(change["key"] for change in step.changes)
        self._course.put(step, self._steps.after_writing(self._hands.needs_restart(tracked, keys)))

    def _comes_true(self, tracked: Tracked, values: Mapping[str, Any], reading: Reading) -> bool:
        """The firmware queues its writes, so one look is not enough for a no."""
        until = self._clock.monotonic() + READ_BACK_SECONDS
        while not _runs(values, reading):
            if self._clock.monotonic() >= until:
                return False
            self._clock.sleep(READ_BACK_EVERY_SECONDS)
            with suppress(DeviceError, TooSoon):
                reading = self._hands.read(tracked)
        return True

    def _settle_command(self, step: Step, tracked: Tracked, reading: Reading) -> None:
        """Pause and resume can be read; identify toggles and cannot."""
        wanted = {Action.PAUSE: 1.0, Action.RESUME: 0.0}.get(self._steps.job.request.action)
        if wanted is not None and flag(reading.info.get("miningPaused")) == wanted:
            self._course.put(step, StepState.ACTED)
        else:
            self._steps.fail(step, f"{STOPPED}; whether the miner took it is not known")

    def _settle_restart(self, step: Step, tracked: Tracked, reading: Reading) -> None:
        uptime = step.captured.uptime if step.captured else None
        if booted_since(step.moment, reading, uptime):
            self._course.put(step, StepState.ACTED, restarted=True)
        else:
            self._steps.fail(step, f"{STOPPED}, and the miner did not restart")

    def _settle_put_back(self, step: Step, tracked: Tracked, reading: Reading) -> None:
        captured = step.captured
        assert captured  # noqa: S101
        if _runs(captured.settings, reading):
            self._hands.found_put_back(tracked, captured)
            self._course.put(step, StepState.REVERTED, captured=None)
        else:
            why = f"{step.reason or 'The job was stopped'}; {STOPPED}, and the miner is not put back"
            self._course.put(step, StepState.FAILED, reason=why, failed=True, captured=None)


def _runs(values: Mapping[str, Any], reading: Reading) -> bool:
    return all(runs(SETTINGS[key], value, reading.info) for key, value in values.items())
