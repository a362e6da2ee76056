"""The jobs: planned, started once, listed, cancelled; and gone on with after a restart of the service."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import replace

import gevent
from gevent.lock import RLock

from app.clock import Clock
from app.errors import DevicesBusy, Invalid, JobNotFound, KeyReused
from app.events import EventBus
from app.identifiers import uuid7_after
from app.services.devices.fleet import Fleet, Tracked
from app.services.jobs.device_actions import DeviceActions
from app.services.jobs.model import ENDED, WRITING, Action, Job, Patience, Request, Step, StepState
from app.services.jobs.plan import Selector, in_waves, rows, select, validate
from app.services.jobs.restart_budget import RestartBudget
from app.services.jobs.runner import STOP_SECONDS, Runner
from app.services.jobs.steps import sentence
from app.services.jobs.store import JobStore

log = logging.getLogger(__name__)

# Of jobs that are over: so many jobs, and so many of their devices (at about 1 KB each) together.
KEPT, KEPT_STEPS = 100, 20_000
# A job that was cut off longer ago is history: what it wanted may no longer be what anybody wants.
RESUMED_WITHIN_SECONDS = 3600.0


class Jobs:
    """Owns the jobs in memory and their runners. A device is in at most one job at a time."""

    def __init__(
        self,
        store: JobStore,
        fleet: Fleet,
        actions: DeviceActions,
        events: EventBus,
        clock: Clock,
        patience: Patience | None = None,
        random: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self._store = store
        self._fleet = fleet
        self.actions = actions
        self._events = events
        self._clock = clock
        self._patience = patience or Patience()
        self._random = random
        self._budget = RestartBudget(clock)
        self._jobs: dict[str, Job] = {}
        self._runners: dict[str, Runner] = {}
        self._creating = RLock()
        self._open = False

    def start(self) -> None:
        """Goes on with what the last stop, or crash, cut off."""
        self._open = True
        self._jobs = {job.id: job for job in self._store.load()}
        for job in self._jobs.values():
            if not job.over:
                idle = job.seconds_idle(self._clock.moment())
                late = idle is None or idle > RESUMED_WITHIN_SECONDS
                log.info("a job is taken up again", extra={"job": job.id, "late": late})
                self._run(job, late=late)

    def stop(self) -> None:
        """Nothing is asked or written any more when it returns; unfinished jobs go on at the next start."""
        self._open = False
        runners, self._runners = list(self._runners.values()), {}
        greenlets = [greenlet for runner in runners if (greenlet := runner.ask_to_stop())]
        gevent.joinall(greenlets, timeout=STOP_SECONDS)
        for runner in runners:
            runner.kill()

    def all(self) -> list[Job]:
        """Newest first."""
        return sorted(self._jobs.values(), key=lambda job: job.id, reverse=True)

    def get(self, job_id: str) -> Job:
        """Raises JobNotFound."""
        job = self._jobs.get(job_id)
        if job is None:
            raise JobNotFound(job_id)
        return job

    def cancel(self, job_id: str) -> Job:
        """Devices under way are finished, the rest are skipped. A job that is over stays as it is."""
        job = self.get(job_id)
        if not job.over and (runner := self._runners.get(job_id)):
            runner.cancel()
        return job

    def plan(self, request: Request, devices: Selector, actor: str) -> Job:
        """A job that is neither stored nor started. Raises Invalid when nothing of it could be done."""
        chosen = select(self._fleet.all(), devices)
        validate(request, len(chosen))
        stamp = self._clock.stamp()
        at = stamp["at"]
        job_id = uuid7_after(max(self._jobs, default=None), self._clock.now(), self._random(8))
        job = Job(job_id, request, actor, at, at, {}, tick=stamp["tick"])
        if request.action is Action.APPLY_PRESET:
            job.preset = self.actions.preset(request.preset_uuid or "")
        planned = {tracked.mac: self._planned(job, tracked) for tracked in chosen}
        _require_some(list(planned.values()))
        job.steps = _in_waves(chosen, planned, request)
        return job

    def create(
        self, request: Request, devices: Selector, actor: str, key: str | None = None, fingerprint: str | None = None
    ) -> Job:
        """Plans, stores and starts a job; the one that was started under this `key` before, if there is one. Raises
        Invalid, PresetNotFound, DevicesBusy, KeyReused."""
        with self._creating:
            if not self._open:
                raise Invalid("The service is stopping")
            if key is not None and (earlier := self._under(key)):
                if earlier.fingerprint != fingerprint:
                    raise KeyReused(key)
                return earlier
            job = self.plan(request, devices, actor)
            self._require_free(job)
            job.key, job.fingerprint = key, fingerprint
            self._add(job)
        self._run(job)
        return job

    def _under(self, key: str) -> Job | None:
        return next((job for job in self._jobs.values() if job.key == key), None)

    def _add(self, job: Job) -> None:
        gone = _superfluous([each for each in self._jobs.values() if each.over])
        self._store.add(job, gone)
        for each in gone:
            del self._jobs[each.id]
        self._jobs[job.id] = job

    def _run(self, job: Job, *, late: bool = False) -> None:
        runner = Runner(
            job,
            self._store,
            self.actions,
            self._fleet.find,
            self._budget,
            self._events,
            self._clock,
            self._patience,
            late,
        )
        self._runners = {job_id: each for job_id, each in self._runners.items() if not each.job.over}
        self._runners[job.id] = runner
        runner.start()

    def _planned(self, job: Job, tracked: Tracked) -> Step:
        """What would change by the last reading; failed where the limits or the device's options forbid it."""
        step = Step(tracked.mac, at=job.created_at, tick=job.tick)
        if job.request.action not in WRITING:
            return step
        try:
            changes = self.actions.plan(tracked, self.actions.wish(job, tracked))
        except Invalid as error:
            return replace(step, state=StepState.FAILED, reason=sentence(error))
        return replace(step, changes=rows(changes))

    def _require_free(self, job: Job) -> None:
        taken = {
            step.mac: other.id
            for other in self._jobs.values()
            if not other.over
            for step in other.steps.values()
            if step.state not in ENDED and step.mac in job.steps
        }
        if taken:
            raise DevicesBusy(taken)


def _superfluous(over: Sequence[Job]) -> list[Job]:
    """Which of these, the oldest first, are forgotten for another one."""
    steps, kept = 0, 0
    for job in reversed(over[-(KEPT - 1) :]):
        steps += len(job.steps)
        if steps > KEPT_STEPS:
            break
        kept += 1
    return list(over[: len(over) - kept])


def _require_some(steps: Sequence[Step]) -> None:
    """A request that no device can take is wrong as a whole."""
    if all(step.state is StepState.FAILED for step in steps):
        reasons = {step.mac: [step.reason or ""] for step in steps}
        raise Invalid("No device can be set like this; nothing was written", reasons)


def _in_waves(chosen: Sequence[Tracked], planned: dict[str, Step], request: Request) -> dict[str, Step]:
    """Canaries are devices that answer and have something to change: others would tell nothing. What the plan rules out
    is in the last wave, untouched."""
    able = [tracked for tracked in chosen if planned[tracked.mac].state is StepState.PLANNED]
    telling = sorted(able, key=lambda tracked: (not tracked.up, _idle(planned[tracked.mac], request)))
    waves = in_waves([tracked.mac for tracked in telling], request.waves)
    last = max(waves.values(), default=0)
    order = [*telling, *(tracked for tracked in chosen if tracked not in able)]
    return {tracked.mac: replace(planned[tracked.mac], wave=waves.get(tracked.mac, last)) for tracked in order}


def _idle(step: Step, request: Request) -> bool:
    return request.action in WRITING and not step.changes
