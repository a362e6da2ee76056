"""The steps of a job on one device: act, and look what became of it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

from app.errors import DeviceError, DeviceStatus, Invalid, MinerTookNothing, PlutoError, TooSoon
from app.miners.setting_changes import WriteStatus
from app.miners.settings import SETTINGS
from app.models import Reading
from app.services.configuration.journal import Origin
from app.services.configuration.results import Applied
from app.services.jobs.device_actions import DeviceActions
from app.services.jobs.health_check import Health, booted_since, judge
from app.services.jobs.model import WRITING, Action, Job, Step, StepState
from app.services.jobs.plan import rows
from app.services.jobs.progress import Course
from app.services.jobs.restart_budget import RestartBudget

if TYPE_CHECKING:
    from app.services.devices.fleet import Tracked

log = logging.getLogger(__name__)

T = TypeVar("T")
BUSY_TRIES = 5
DELETED = "The device was deleted"


class Steps:
    """Owns nothing but the order of things. A step ends in a state of its own, whatever goes wrong with its device."""

    def __init__(
        self,
        course: Course,
        hands: DeviceActions,
        find: Callable[[str], Tracked | None],
        budget: RestartBudget,
    ) -> None:
        self._course = course
        self._hands = hands
        self._find = find
        self._budget = budget

    @property
    def job(self) -> Job:
        return self._course.job

    @property
    def origin(self) -> Origin:
        return Origin(self.job.actor, self.job.id)

    def act(self, step: Step) -> None:
        """From planned to acted, unchanged or failed. A step not begun when the job is halted is left for later."""
        if step.state is StepState.PLANNED and self._course.halted:
            return
        self.guarded(step, self._act)

    def _act(self, step: Step, tracked: Tracked) -> None:
        if step.state is StepState.PLANNED:
            step = self._begin(step, tracked)
        if step.state is StepState.WRITTEN:
            self._restart(step)

    def guarded(self, step: Step, act: Callable[[Step, Tracked], None]) -> None:
        """What goes wrong because the service stops is for the next start."""
        tracked = self._find(step.mac)
        if tracked is None:
            self._course.put(step, StepState.SKIPPED, reason=DELETED)
            return
        try:
            act(step, tracked)
        except PlutoError as error:
            if not self._course.stopped:
                self.fail(step, sentence(error))
        except Exception:
            log.exception("a step went wrong in an unexpected way", extra={"mac": step.mac, "job": self.job.id})
            self.fail(step, "Something went wrong here; the log says what")

    def fail(self, step: Step, reason: str) -> Step:
        """The state on disk counts, not the one that the caller had: what was captured on the way is kept."""
        return self._course.put(self.job.steps.get(step.mac, step), StepState.FAILED, reason=reason, failed=True)

    def _begin(self, step: Step, tracked: Tracked) -> Step:
        self.patiently(step.mac, lambda: self._hands.read(tracked))
        action = self.job.request.action
        if action in WRITING:
            return self._write(step, tracked)
        captured = self._hands.capture(tracked)
        if action is Action.RESTART:
            return self._course.put(step, StepState.WRITTEN, captured=captured)
        step = self._course.put(step, StepState.ACTING, captured=captured)
        self.patiently(step.mac, lambda: self._hands.command(step.mac, str(action)))
        return self._course.put(step, StepState.ACTED)

    def _write(self, step: Step, tracked: Tracked) -> Step:
        wish = self._hands.wish(self.job, tracked)
        changes = self._hands.plan(tracked, wish)
        captured = self._hands.capture(tracked, changes)
        step = self._course.put(step, StepState.ACTING, changes=rows(changes), captured=captured)
        applied = self.patiently(step.mac, lambda: self._hands.apply(tracked, wish, self.origin))
        refused = [outcome for outcome in applied.outcomes if outcome.status is WriteStatus.REFUSED]
        sent = {change.key for change in changes}
        if any(outcome.key in sent for outcome in refused):
            return self.fail(step, "; ".join(f"{each.key}: {each.reason}" for each in refused))
        self._hands.applied_preset(self.job, tracked)
        reason = "; ".join(f"{each.key}: {each.reason}" for each in refused) or None
        if applied.entry is None:
            return self._course.put(step, StepState.UNCHANGED, reason=reason, captured=None)
        return self._course.put(step, self.after_writing(pending(applied)), reason=reason)

    def after_writing(self, needs_restart: bool) -> StepState:
        return StepState.WRITTEN if needs_restart and self.job.request.restart else StepState.ACTED

    def _restart(self, step: Step) -> None:
        """Waits for the budget; when the service stops meanwhile, the restart is still to come at the next start."""
        if not self.afford():
            return
        step = self._course.put(step, StepState.RESTARTING)
        self.restart(step.mac)
        self._course.put(step, StepState.ACTED, restarted=True)

    def afford(self) -> bool:
        """Whether the budget has a restart, which may take a minute. A cancelled job still restarts what it wrote."""
        while (left := self._budget.spend()) > 0:
            if not self._course.wait(left) or (self._course.halted and self.job.request.action is Action.RESTART):
                return False
        return True

    def restart(self, mac: str) -> None:
        """Restart a device for which `afford` was asked. What certainly did not restart is given back to the budget."""
        try:
            self.patiently(mac, lambda: self._hands.restart(mac))
        except PlutoError as error:
            if not isinstance(error, DeviceError) or error.rejected:
                self._budget.give_back()
            raise

    def patiently(self, mac: str, act: Callable[[], T]) -> T:
        """Tries again what was not even begun, because the miner was busy or had just been restarted."""
        for _ in range(BUSY_TRIES):
            try:
                return act()
            except TooSoon as error:
                log.debug("device busy, retry", extra={"mac": mac, "job": self.job.id, "delay": error.retry_after})
                if not self._course.wait(error.retry_after):
                    raise
        return act()

    # Looking.

    def check(self, step: Step, *, settled: bool, patient: bool) -> None:
        """One look at a device that was touched: failed when it is ill, done when it is well and `settled`, failed when
        it is neither and nobody is `patient` any more."""
        self.guarded(step, lambda step, tracked: self._check(step, tracked, settled, patient))

    def _check(self, step: Step, tracked: Tracked, settled: bool, patient: bool) -> None:
        health, why = self._health(step, tracked)
        if health is Health.ILL or (health is Health.NOT_YET and not patient):
            self.fail(step, why)
        elif health is Health.WELL and settled:
            self._course.put(step, StepState.DONE)

    def _health(self, step: Step, tracked: Tracked) -> tuple[Health, str]:
        reading = self.look(tracked)
        assert step.captured  # noqa: S101
        if reading is None or _is_older(reading, step):
            return Health.NOT_YET, "It did not come back"
        if step.restarted and booted_since(step.moment, reading, step.captured.uptime) is False:
            return Health.NOT_YET, "It did not come back"
        wanted = {change["key"]: change["after"] for change in step.changes if not SETTINGS[change["key"]].secret}
        return judge(step.captured, wanted, reading.info)

    def look(self, tracked: Tracked) -> Reading | None:
        with suppress(DeviceError, TooSoon):
            return self._hands.look(tracked)
        return None


def _is_older(reading: Reading, step: Step) -> bool:
    """Whether the miner said this before the step came into its state. A reading is of this process, so one that cannot
    be compared with the step is newer."""
    return (step.moment.seconds_until(reading.moment) or 0.0) < 0


def pending(applied: Applied) -> bool:
    return any(outcome.status is WriteStatus.PENDING_RESTART for outcome in applied.outcomes)


def sentence(error: PlutoError) -> str:
    """What went wrong, with what the device or the limits said."""
    if isinstance(error, DeviceStatus) and error.body:
        return f"{error}: {error.body}"
    details = error.details if isinstance(error, Invalid | MinerTookNothing) else {}
    said = "; ".join(f"{key}: {' '.join(texts)}" for key, texts in details.items())
    return f"{error}: {said}" if said else str(error)
