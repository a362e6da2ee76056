"""Giving a device back what it had before a job."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.clock import Clock
from app.errors import PlutoError
from app.miners.setting_changes import WriteStatus
from app.miners.values import flag
from app.services.configuration.results import Applied
from app.services.jobs.device_actions import DeviceActions
from app.services.jobs.model import Patience, Step, StepState
from app.services.jobs.progress import Course
from app.services.jobs.steps import Steps, pending, sentence

if TYPE_CHECKING:
    from app.services.devices.fleet import Tracked


class Reverter:
    """Owns nothing."""

    def __init__(self, course: Course, steps: Steps, hands: DeviceActions, clock: Clock, patience: Patience) -> None:
        self._course = course
        self._steps = steps
        self._hands = hands
        self._clock = clock
        self._patience = patience

    def put_back(self, step: Step) -> None:
        """The device gets back what was captured. When it was never written to, or nothing differs, the step stays as
        it is."""
        self._steps.guarded(step, self._put_back)

    def _put_back(self, step: Step, tracked: Tracked) -> None:
        state, reason = step.state, step.reason or "The job was stopped"
        if not self._hands.writes(self._steps.job, tracked):
            self._course.put(step, state, captured=None)
            return
        self._cool_down(tracked)
        step = self._course.put(step, StepState.REVERTING)
        try:
            applied = self._steps.patiently(step.mac, lambda: self._hands.put_back(tracked, step, self._steps.origin))
        except PlutoError as error:
            why = f"{reason}; it could not be put back: {sentence(error)}"
            self._course.put(step, StepState.FAILED, reason=why, failed=True, captured=None)
            return
        lost = self._hands.not_captured(step)
        if lost:
            reason += f"; {', '.join(lost)} stays, for the miner had not reported what it was"
        if applied.entry is not None:
            self._was_put_back(step, tracked, applied, reason)
        else:
            self._course.put(step, state, captured=None, **({"reason": reason} if lost else {}))

    def _was_put_back(self, step: Step, tracked: Tracked, applied: Applied, reason: str) -> None:
        refused = [outcome.key for outcome in applied.outcomes if outcome.status is WriteStatus.REFUSED]
        if refused:
            why = f"{reason}; the miner did not take back {', '.join(refused)}"
            self._course.put(step, StepState.FAILED, reason=why, failed=True, captured=None)
            return
        if self._hands.keeps_password(tracked, step):
            reason += "; the new pool password stays, for the old one cannot be read"
        if step.restarted and pending(applied) and self._steps.afford():
            self._steps.restart(step.mac)
        self._course.put(step, StepState.REVERTED, reason=reason, captured=None)

    def _cool_down(self, tracked: Tracked) -> None:
        """What is written while the firmware cools down is overwritten by it afterwards."""
        until = self._clock.monotonic() + self._patience.cooling
        while self._clock.monotonic() < until and self._hands.recovers_by_itself(tracked):
            reading = self._steps.look(tracked)
            if reading is not None and flag(reading.info.get("overheat_mode", 0)) != 1.0:
                return
            if not self._course.wait(self._patience.every):
                return
