"""Recovery of steps that a crash or a stop left in doubt, by reading the device. A step is repeated only if it
certainly did not begin."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from app.clock import Clock
from app.errors import DeviceError, RetryLater
from app.miners.setting_table import SETTINGS, has_value
from app.miners.values import parse_flag
from app.models import Reading
from app.services.configuration.writer import READ_BACK_EVERY_SECONDS, READ_BACK_SECONDS
from app.services.jobs.device_actions import DeviceActions
from app.services.jobs.health_check import has_booted_since
from app.services.jobs.model import WRITING_ACTIONS, Action, JobTimeouts, Step, StepState
from app.services.jobs.progress import JobProgress
from app.services.jobs.steps import StepExecutor

if TYPE_CHECKING:
    from app.services.devices.fleet import Tracked

RETRY_SECONDS = 5.0
# The start of the reason of a step that cannot be recovered.
STOPPED = "The service stopped in the middle of this"


class StepRecovery:
    """Owns no state. Every step in doubt gets another state."""

    def __init__(
        self, progress: JobProgress, steps: StepExecutor, actions: DeviceActions, clock: Clock, timeouts: JobTimeouts
    ) -> None:
        self._progress = progress
        self._steps = steps
        self._actions = actions
        self._clock = clock
        self._timeouts = timeouts

    def recover_step(self, step: Step) -> None:
        self._steps.run_guarded(step, self._recover)

    def _recover(self, step: Step, tracked: Tracked) -> None:
        """The journal has a write before the miner does: a write that it lacks was never sent."""
        writes = self._actions.count_writes(self._steps.job, tracked)
        if step.state is StepState.ACTING and self._is_write and not writes:
            self._progress.save_step(step, StepState.PLANNED, captured=None)
        elif step.state is StepState.REVERTING and writes == 1:
            self._progress.save_step(step, StepState.FAILED if step.failed else StepState.DONE)
        elif (reading := self._read_again(tracked)) is None:
            self._steps.fail_step(step, f"{STOPPED}, and the miner does not say what became of it")
        else:
            self._recoveries[step.state](step, tracked, reading)

    @property
    def _is_write(self) -> bool:
        return self._steps.job.request.action in WRITING_ACTIONS

    @property
    def _recoveries(self) -> Mapping[StepState, Callable[[Step, Tracked, Reading], None]]:
        return {
            StepState.ACTING: self._recover_write if self._is_write else self._recover_command,
            StepState.RESTARTING: self._recover_restart,
            StepState.REVERTING: self._recover_revert,
        }

    def _read_again(self, tracked: Tracked) -> Reading | None:
        """Read the device, with retries: the miner may have lost its power together with this service."""
        until = self._clock.monotonic() + self._timeouts.recovery
        while True:
            with suppress(DeviceError, RetryLater):
                return self._actions.read_device(tracked)
            if self._clock.monotonic() >= until or not self._progress.wait(RETRY_SECONDS):
                return None

    def _recover_write(self, step: Step, tracked: Tracked, reading: Reading) -> None:
        values = {change["key"]: change["after"] for change in step.changes if not SETTINGS[change["key"]].secret}
        if not values:
            self._steps.fail_step(step, f"{STOPPED}, and a password cannot be read back")
            return
        if not self._wait_until_applied(tracked, values, reading):
            self._steps.fail_step(step, f"{STOPPED}, and the miner does not run what was asked for")
            return
        self._actions.record_found_applied(self._steps.job, tracked, values)
        keys = tuple(change["key"] for change in step.changes)
        self._progress.save_step(step, self._steps.state_after_write(self._actions.needs_restart(tracked, keys)))

    def _wait_until_applied(self, tracked: Tracked, values: Mapping[str, Any], reading: Reading) -> bool:
        """Read until the values are applied: the firmware queues its writes, so one reading does not disprove them."""
        until = self._clock.monotonic() + READ_BACK_SECONDS
        while not _runs_values(values, reading):
            if self._clock.monotonic() >= until:
                return False
            self._clock.sleep(READ_BACK_EVERY_SECONDS)
            with suppress(DeviceError, RetryLater):
                reading = self._actions.read_device(tracked)
        return True

    def _recover_command(self, step: Step, tracked: Tracked, reading: Reading) -> None:
        """Pause and resume can be read; identify toggles and cannot."""
        wanted = {Action.PAUSE: 1.0, Action.RESUME: 0.0}.get(self._steps.job.request.action)
        if wanted is not None and parse_flag(reading.info.get("miningPaused")) == wanted:
            self._progress.save_step(step, StepState.ACTED)
        else:
            self._steps.fail_step(step, f"{STOPPED}; whether the miner took it is not known")

    def _recover_restart(self, step: Step, tracked: Tracked, reading: Reading) -> None:
        uptime = step.captured.uptime if step.captured else None
        if has_booted_since(step.moment, reading, uptime):
            self._progress.save_step(step, StepState.ACTED, restarted=True)
        else:
            self._steps.fail_step(step, f"{STOPPED}, and the miner did not restart")

    def _recover_revert(self, step: Step, tracked: Tracked, reading: Reading) -> None:
        captured = step.captured
        assert captured  # noqa: S101
        if _runs_values(captured.settings, reading):
            self._actions.record_reverted(tracked, captured)
            self._progress.save_step(step, StepState.REVERTED, captured=None)
        else:
            why = f"{step.reason or 'The job was stopped'}; {STOPPED}, and the miner is not put back"
            self._progress.save_step(step, StepState.FAILED, reason=why, failed=True, captured=None)


def _runs_values(values: Mapping[str, Any], reading: Reading) -> bool:
    return all(has_value(SETTINGS[key], value, reading.info) for key, value in values.items())
