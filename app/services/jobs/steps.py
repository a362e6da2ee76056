"""The steps of a job on one device: act, then check its health."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

from app.errors import AllSettingsRefused, DeviceError, DeviceStatus, Invalid, PlutoError, RetryLater
from app.miners.setting_table import SETTINGS
from app.miners.settings_diff import WriteStatus
from app.models import Reading
from app.services.configuration.journal import Origin
from app.services.configuration.results import WriteReport
from app.services.jobs.device_actions import DeviceActions
from app.services.jobs.health_check import MinerHealth, check_health, has_booted_since
from app.services.jobs.model import WRITING_ACTIONS, Action, Job, Step, StepState
from app.services.jobs.plan import change_rows
from app.services.jobs.progress import JobProgress
from app.services.jobs.restart_budget import RestartBudget

if TYPE_CHECKING:
    from app.services.devices.fleet import Tracked

log = logging.getLogger(__name__)

T = TypeVar("T")
BUSY_TRIES = 5
DELETED = "The device was deleted"


class StepExecutor:
    """Owns no state. Every step ends in a state of its own, also after an error on its device."""

    def __init__(
        self,
        progress: JobProgress,
        actions: DeviceActions,
        find: Callable[[str], Tracked | None],
        budget: RestartBudget,
    ) -> None:
        self._progress = progress
        self._actions = actions
        self._find = find
        self._budget = budget

    @property
    def job(self) -> Job:
        return self._progress.job

    @property
    def origin(self) -> Origin:
        return Origin(self.job.actor, self.job.id)

    def run_step(self, step: Step) -> None:
        """Take a step from planned to acted, unchanged or failed. A step that has not begun when the job is halted or
        paused stays planned."""
        if step.state is StepState.PLANNED and not self._progress.may_start:
            return
        self.run_guarded(step, self._run_step)

    def _run_step(self, step: Step, tracked: Tracked) -> None:
        if step.state is StepState.PLANNED:
            step = self._begin_step(step, tracked)
        if step.state is StepState.WRITTEN:
            self._restart_step(step)

    def run_guarded(self, step: Step, act: Callable[[Step, Tracked], None]) -> None:
        """Run `act` and record its errors in the step. Errors caused by the stop of the service are left for the
        next start."""
        tracked = self._find(step.mac)
        if tracked is None:
            self._progress.save_step(step, StepState.SKIPPED, reason=DELETED)
            return
        try:
            act(step, tracked)
        except PlutoError as error:
            if not self._progress.is_stopped:
                self.fail_step(step, describe_error(error))
        except Exception:
            log.exception("unhandled exception in a job's step", extra={"mac": step.mac, "job": self.job.id})
            self.fail_step(step, "Internal error; see the service's log")

    def fail_step(self, step: Step, reason: str) -> Step:
        """Fail the step in its state on disk, not in the caller's: the captured state must be kept."""
        return self._progress.save_step(
            self.job.steps.get(step.mac, step), StepState.FAILED, reason=reason, failed=True
        )

    def _begin_step(self, step: Step, tracked: Tracked) -> Step:
        self.retry_while_busy(step.mac, lambda: self._actions.read_device(tracked))
        action = self.job.request.action
        if action in WRITING_ACTIONS:
            return self._write_settings(step, tracked)
        captured = self._actions.capture_state(tracked)
        if action is Action.RESTART:
            return self._progress.save_step(step, StepState.WRITTEN, captured=captured)
        step = self._progress.save_step(step, StepState.ACTING, captured=captured)
        self.retry_while_busy(step.mac, lambda: self._actions.send_command(step.mac, str(action)))
        return self._progress.save_step(step, StepState.ACTED)

    def _write_settings(self, step: Step, tracked: Tracked) -> Step:
        write = self._actions.write_request(self.job, tracked)
        changes = self._actions.plan_changes(tracked, write)
        captured = self._actions.capture_state(tracked, changes)
        step = self._progress.save_step(step, StepState.ACTING, changes=change_rows(changes), captured=captured)
        applied = self.retry_while_busy(step.mac, lambda: self._actions.write_settings(tracked, write, self.origin))
        refused = [outcome for outcome in applied.results if outcome.status is WriteStatus.REFUSED]
        sent = {change.key for change in changes}
        if any(outcome.key in sent for outcome in refused):
            return self.fail_step(step, "; ".join(f"{each.key}: {each.reason}" for each in refused))
        self._actions.record_applied_preset(self.job, tracked)
        lost = self._actions.describe_lost_values(self.job, tracked)
        reason = "; ".join([*(f"{each.key}: {each.reason}" for each in refused), *lost]) or None
        if applied.entry is None:
            return self._progress.save_step(step, StepState.UNCHANGED, reason=reason, captured=None)
        return self._progress.save_step(step, self.state_after_write(needs_restart(applied)), reason=reason)

    def state_after_write(self, needs_restart: bool) -> StepState:
        return StepState.WRITTEN if needs_restart and self.job.request.restart else StepState.ACTED

    def _restart_step(self, step: Step) -> None:
        """Wait for the restart budget. If the service stops meanwhile, the restart is still due at the next start."""
        if not self.acquire_restart():
            return
        step = self._progress.save_step(step, StepState.RESTARTING)
        self.restart_device(step.mac)
        self._progress.save_step(step, StepState.ACTED, restarted=True)

    def acquire_restart(self) -> bool:
        """Wait for the restart budget, which may take a minute; return False if the job ends or is paused meanwhile.
        A cancelled or paused job still restarts devices that it wrote to."""
        is_begun = self.job.request.action is not Action.RESTART
        while is_begun or self._progress.may_start:
            left = self._budget.acquire_restart()
            if left <= 0:
                return True
            if not self._progress.wait(left):
                return False
        return False

    def restart_device(self, mac: str) -> None:
        """Restart a device for which the budget was acquired. A restart that certainly did not happen is released."""
        try:
            self.retry_while_busy(mac, lambda: self._actions.restart_device(mac))
        except PlutoError as error:
            if not isinstance(error, DeviceError) or error.rejected:
                self._budget.release_restart()
            raise

    def retry_while_busy(self, mac: str, act: Callable[[], T]) -> T:
        """Retry an action that did not begin because the miner was busy or had just been restarted."""
        for _ in range(BUSY_TRIES):
            try:
                return act()
            except RetryLater as error:
                log.debug("device busy, retry", extra={"mac": mac, "job": self.job.id, "delay": error.retry_after})
                if not self._progress.wait(error.retry_after):
                    raise
        return act()

    # Health check

    def check_step(self, step: Step, *, has_paused: bool, may_wait: bool) -> None:
        """Check a changed device once: failed if it has a fault, done if it is healthy and `has_paused`, failed if it
        is neither and not `may_wait`."""
        self.run_guarded(step, lambda step, tracked: self._check_health(step, tracked, has_paused, may_wait))

    def _check_health(self, step: Step, tracked: Tracked, has_paused: bool, may_wait: bool) -> None:
        health, why = self._step_health(step, tracked)
        if health is MinerHealth.ILL or (health is MinerHealth.NOT_YET and not may_wait):
            self.fail_step(step, why)
        elif health is MinerHealth.WELL and has_paused:
            self._progress.save_step(step, StepState.DONE)

    def _step_health(self, step: Step, tracked: Tracked) -> tuple[MinerHealth, str]:
        reading = self.latest_reading(tracked)
        assert step.captured  # noqa: S101
        if reading is None or is_older_reading(reading, step):
            return MinerHealth.NOT_YET, "It did not come back"
        if step.restarted and has_booted_since(step.moment, reading, step.captured.uptime) is False:
            return MinerHealth.NOT_YET, "It did not come back"
        wanted = {change["key"]: change["after"] for change in step.changes if not SETTINGS[change["key"]].secret}
        return check_health(step.captured, wanted, reading.info)

    def latest_reading(self, tracked: Tracked) -> Reading | None:
        with suppress(DeviceError, RetryLater):
            return self._actions.latest_reading(tracked)
        return None


def is_older_reading(reading: Reading | None, step: Step) -> bool:
    """Return True if the reading was taken before the step came into its state. A reading belongs to this process,
    so one that cannot be compared is newer."""
    return reading is not None and (step.moment.seconds_until(reading.moment) or 0.0) < 0


def needs_restart(applied: WriteReport) -> bool:
    return any(outcome.status is WriteStatus.PENDING_RESTART for outcome in applied.results)


def describe_error(error: PlutoError) -> str:
    """Return the error's message with the answer of the device or the violated limits."""
    if isinstance(error, DeviceStatus) and error.body:
        return f"{error}: {error.body}"
    details = error.details if isinstance(error, Invalid | AllSettingsRefused) else {}
    said = "; ".join(f"{key}: {' '.join(texts)}" for key, texts in details.items())
    return f"{error}: {said}" if said else str(error)
