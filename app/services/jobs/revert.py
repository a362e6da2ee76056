"""Revert of a device to its state before a job."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.clock import Clock
from app.errors import PlutoError
from app.miners.settings_diff import WriteStatus
from app.miners.values import parse_flag
from app.services.configuration.results import WriteReport
from app.services.jobs.device_actions import DeviceActions
from app.services.jobs.model import JobTimeouts, Step, StepState
from app.services.jobs.progress import JobProgress
from app.services.jobs.steps import StepExecutor, describe_error, needs_restart

if TYPE_CHECKING:
    from app.services.devices.fleet import Tracked


class StepRevert:
    """Owns no state."""

    def __init__(
        self, progress: JobProgress, steps: StepExecutor, actions: DeviceActions, clock: Clock, timeouts: JobTimeouts
    ) -> None:
        self._progress = progress
        self._steps = steps
        self._actions = actions
        self._clock = clock
        self._timeouts = timeouts

    def revert_step(self, step: Step) -> None:
        """Restore the captured settings. If the device was never written to, or nothing differs, the step keeps its
        state."""
        self._steps.run_guarded(step, self._revert)

    def _revert(self, step: Step, tracked: Tracked) -> None:
        state, reason = step.state, step.reason or "The job was stopped"
        if not self._actions.count_writes(self._steps.job, tracked):
            self._progress.save_step(step, state, captured=None)
            return
        self._wait_for_cooling(tracked)
        step = self._progress.save_step(step, StepState.REVERTING)
        try:
            applied = self._steps.retry_while_busy(
                step.mac, lambda: self._actions.revert_settings(tracked, step, self._steps.origin)
            )
        except PlutoError as error:
            why = f"{reason}; it could not be put back: {describe_error(error)}"
            self._progress.save_step(step, StepState.FAILED, reason=why, failed=True, captured=None)
            return
        lost = self._actions.keys_not_captured(step)
        if lost:
            reason += f"; {', '.join(lost)} stays, for the miner had not reported what it was"
        if applied.entry is not None:
            self._save_reverted(step, tracked, applied, reason)
        else:
            self._progress.save_step(step, state, captured=None, **({"reason": reason} if lost else {}))

    def _save_reverted(self, step: Step, tracked: Tracked, applied: WriteReport, reason: str) -> None:
        refused = [outcome.key for outcome in applied.results if outcome.status is WriteStatus.REFUSED]
        if refused:
            why = f"{reason}; the miner did not take back {', '.join(refused)}"
            self._progress.save_step(step, StepState.FAILED, reason=why, failed=True, captured=None)
            return
        if self._actions.keeps_new_password(tracked, step):
            reason += "; the new pool password stays, for the old one cannot be read"
        if step.restarted and needs_restart(applied) and self._steps.acquire_restart():
            self._steps.restart_device(step.mac)
        self._progress.save_step(step, StepState.REVERTED, reason=reason, captured=None)

    def _wait_for_cooling(self, tracked: Tracked) -> None:
        """Wait until the firmware has cooled down: it overwrites later what is written before."""
        until = self._clock.monotonic() + self._timeouts.cooling
        while self._clock.monotonic() < until and self._actions.recovers_from_overheating(tracked):
            reading = self._steps.latest_reading(tracked)
            if reading is not None and parse_flag(reading.info.get("overheat_mode", 0)) != 1.0:
                return
            if not self._progress.wait(self._timeouts.check_interval):
                return
