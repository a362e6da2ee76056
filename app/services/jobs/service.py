"""The jobs: planned, started once, listed, cancelled, and continued after a restart of the service."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import gevent
from gevent.lock import RLock

from app.clock import Clock
from app.errors import DevicesBusy, IdempotencyKeyReused, Invalid, JobNotFound, JobStateConflict
from app.events import EventBus
from app.identifiers import make_uuid7_after
from app.models import Status
from app.services.devices.fleet import Fleet, Tracked
from app.services.jobs.device_actions import DeviceActions
from app.services.jobs.model import ENDED_STATES, WRITING_ACTIONS, Action, Job, JobRequest, JobTimeouts, Step, StepState
from app.services.jobs.plan import (
    Selector,
    assign_waves,
    build_revert_request,
    change_rows,
    select_devices,
    validate_request,
)
from app.services.jobs.restart_budget import RestartBudget
from app.services.jobs.runner import STOP_SECONDS, JobRunner
from app.services.jobs.steps import describe_error, is_older_reading
from app.services.jobs.store import JobStore
from app.services.jobs.waiting import WatchWindow, describe_waiting

log = logging.getLogger(__name__)

# Limits of the jobs that are over: the number of jobs, and of their devices together (about 1 KB each).
KEPT, KEPT_STEPS = 100, 20_000
# A job that was interrupted longer ago is not resumed: its request may be outdated.
RESUMED_WITHIN_SECONDS = 3600.0


@dataclass(frozen=True, slots=True)
class JobDeviceView:
    """What a client is shown of a device beside its step. `title`: the MAC of a device that was deleted."""

    title: str
    waiting_for: str | None


class JobService:
    """Owns the jobs in memory and their runners. A device is in at most one job at a time."""

    def __init__(
        self,
        store: JobStore,
        fleet: Fleet,
        actions: DeviceActions,
        events: EventBus,
        clock: Clock,
        timeouts: JobTimeouts | None = None,
        random: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self._store = store
        self._fleet = fleet
        self.actions = actions
        self._events = events
        self._clock = clock
        self._timeouts = timeouts or JobTimeouts()
        self._random = random
        self._budget = RestartBudget(clock)
        self._jobs: dict[str, Job] = {}
        self._runners: dict[str, JobRunner] = {}
        self._creating = RLock()
        self._open = False

    def start(self) -> None:
        """Resume the jobs that the last stop or crash interrupted."""
        self._open = True
        self._jobs = {job.id: job for job in self._store.load_jobs()}
        for job in self._jobs.values():
            if not job.is_over:
                idle = job.seconds_idle(self._clock.moment())
                # A paused job does nothing before a user resumes it.
                late = not job.paused and (idle is None or idle > RESUMED_WITHIN_SECONDS)
                log.info("job resumed", extra={"job": job.id, "late": late})
                self._start_runner(job, late=late)

    def stop(self) -> None:
        """Stop all runners; nothing is sent or written when this returns. Unfinished jobs continue at the next
        start."""
        self._open = False
        runners, self._runners = list(self._runners.values()), {}
        greenlets = [greenlet for runner in runners if (greenlet := runner.request_stop())]
        gevent.joinall(greenlets, timeout=STOP_SECONDS)
        for runner in runners:
            runner.kill()

    def all_jobs(self) -> list[Job]:
        """Return the jobs, newest first."""
        return sorted(self._jobs.values(), key=lambda job: job.id, reverse=True)

    def get_job(self, job_id: str) -> Job:
        """Raises JobNotFound."""
        job = self._jobs.get(job_id)
        if job is None:
            raise JobNotFound(job_id)
        return job

    def cancel_job(self, job_id: str) -> Job:
        """Finish the devices in progress and skip the others. A job that is over stays as it is."""
        job = self.get_job(job_id)
        if not job.is_over and (runner := self._runners.get(job_id)):
            runner.cancel_job()
        return job

    def describe_devices(self, job: Job) -> dict[str, JobDeviceView]:
        """Return for each device of the job its title and what it waits for, by MAC."""
        runner = self._runners.get(job.id)
        watch = runner.watch_window if runner else None
        return {mac: self._describe_device(job, step, watch) for mac, step in job.steps.items()}

    def _describe_device(self, job: Job, step: Step, watch: WatchWindow | None) -> JobDeviceView:
        tracked = self._fleet.find_device(step.mac)
        if tracked is None:
            return JobDeviceView(step.mac, describe_waiting(job, step, watch, None))
        answers = tracked.observation.status is Status.ONLINE
        reading = tracked.reading if answers and not is_older_reading(tracked.reading, step) else None
        return JobDeviceView(tracked.title, describe_waiting(job, step, watch, reading))

    def pause_job(self, job_id: str) -> Job:
        """Begin no further device; those in progress are finished. Raises JobNotFound, JobStateConflict for a job
        that is over."""
        self._running_job(job_id).pause_job()
        return self.get_job(job_id)

    def resume_job(self, job_id: str) -> Job:
        """Go on with a paused job. Raises JobNotFound, JobStateConflict for a job that is over."""
        self._running_job(job_id).resume_job()
        return self.get_job(job_id)

    def _running_job(self, job_id: str) -> JobRunner:
        runner = self._runners.get(job_id)
        if self.get_job(job_id).is_over or runner is None:
            raise JobStateConflict("The job is over: it can be neither paused nor resumed")
        return runner

    def revert_job(self, job_id: str, actor: str) -> Job:
        """Start a job that restores what a job that is over has changed. Devices whose settings were changed since are
        left alone, with the reason. Raises JobNotFound, JobStateConflict, DevicesBusy, Invalid if none can be
        reverted."""
        with self._creating:
            reverted = self.get_job(job_id)
            if not reverted.is_over:
                raise JobStateConflict("The job is not over: cancel it, or wait for its end")
            macs = [step.mac for step in reverted.steps.values() if self._is_changed_by(job_id, step)]
            if not macs:
                raise JobStateConflict("This job changed no setting of a device that is still registered")
            return self.create_job(build_revert_request(reverted.request), macs, actor, revert_of=job_id)

    def _is_changed_by(self, job_id: str, step: Step) -> bool:
        """Return True if the job changed settings of the device and did not restore them itself."""
        tracked = self._fleet.find_device(step.mac)
        if tracked is None or step.state not in (StepState.DONE, StepState.FAILED):
            return False
        return self.actions.find_job_change(job_id, tracked) is not None or (
            step.state is StepState.DONE and bool(step.changes)
        )

    def plan_job(self, request: JobRequest, devices: Selector, actor: str, revert_of: str | None = None) -> Job:
        """Return a job that is neither stored nor started. Raises Invalid if no device of it can be changed."""
        chosen = select_devices(self._fleet.all_devices(), devices)
        validate_request(request, len(chosen))
        stamp = self._clock.current_stamp()
        at = stamp["at"]
        job_id = make_uuid7_after(max(self._jobs, default=None), self._clock.now(), self._random(8))
        job = Job(job_id, request, actor, at, at, {}, tick=stamp["tick"], revert_of=revert_of)
        if request.action is Action.APPLY_PRESET:
            job.preset = self.actions.get_preset_record(request.preset_uuid or "")
        planned = {tracked.mac: self._plan_step(job, tracked) for tracked in chosen}
        _require_possible_step(list(planned.values()))
        job.steps = _order_in_waves(chosen, planned, request)
        return job

    def create_job(
        self,
        request: JobRequest,
        devices: Selector,
        actor: str,
        key: str | None = None,
        fingerprint: str | None = None,
        revert_of: str | None = None,
    ) -> Job:
        """Plan, store and start a job; return the earlier one with the same idempotency `key` if there is one.
        Raises Invalid, PresetNotFound, DevicesBusy, IdempotencyKeyReused."""
        with self._creating:
            if not self._open:
                raise Invalid("The service is stopping")
            if key is not None and (earlier := self._find_by_key(key)):
                if earlier.fingerprint != fingerprint:
                    raise IdempotencyKeyReused(key)
                return earlier
            job = self.plan_job(request, devices, actor, revert_of)
            self._require_free_devices(job)
            job.key, job.fingerprint = key, fingerprint
            self._store_job(job)
        self._start_runner(job)
        return job

    def _find_by_key(self, key: str) -> Job | None:
        return next((job for job in self._jobs.values() if job.key == key), None)

    def _store_job(self, job: Job) -> None:
        gone = _jobs_to_forget([each for each in self._jobs.values() if each.is_over])
        self._store.add_job(job, gone)
        for each in gone:
            del self._jobs[each.id]
        self._jobs[job.id] = job

    def _start_runner(self, job: Job, *, late: bool = False) -> None:
        runner = JobRunner(
            job,
            self._store,
            self.actions,
            self._fleet.find_device,
            self._budget,
            self._events,
            self._clock,
            self._timeouts,
            late,
        )
        self._runners = {job_id: each for job_id, each in self._runners.items() if not each.job.is_over}
        self._runners[job.id] = runner
        runner.start()

    def _plan_step(self, job: Job, tracked: Tracked) -> Step:
        """Return the step with its changes by the last reading; failed if the limits or the device's options forbid
        them."""
        step = Step(tracked.mac, at=job.created_at, tick=job.tick)
        if job.request.action not in WRITING_ACTIONS:
            return step
        try:
            changes = self.actions.plan_changes(tracked, self.actions.write_request(job, tracked))
        except Invalid as error:
            return replace(step, state=StepState.FAILED, reason=describe_error(error))
        return replace(step, changes=change_rows(changes))

    def _require_free_devices(self, job: Job) -> None:
        taken = {
            step.mac: other.id
            for other in self._jobs.values()
            if not other.is_over
            for step in other.steps.values()
            if step.state not in ENDED_STATES and step.mac in job.steps
        }
        if taken:
            raise DevicesBusy(taken)


def _jobs_to_forget(over: Sequence[Job]) -> list[Job]:
    """Return those of these jobs, oldest first, that are deleted to make room for another one."""
    steps, kept = 0, 0
    for job in reversed(over[-(KEPT - 1) :]):
        steps += len(job.steps)
        if steps > KEPT_STEPS:
            break
        kept += 1
    return list(over[: len(over) - kept])


def _require_possible_step(steps: Sequence[Step]) -> None:
    """A request that no device can take is invalid as a whole."""
    if all(step.state is StepState.FAILED for step in steps):
        reasons = {step.mac: [step.reason or ""] for step in steps}
        raise Invalid("No device can be set like this; nothing was written", reasons)


def _order_in_waves(chosen: Sequence[Tracked], planned: dict[str, Step], request: JobRequest) -> dict[str, Step]:
    """Assign waves. Canaries are devices that answer and have a change: others prove nothing. Devices that the plan
    excludes are in the last wave, unchanged."""
    able = [tracked for tracked in chosen if planned[tracked.mac].state is StepState.PLANNED]
    telling = sorted(able, key=lambda tracked: (not tracked.is_up, _changes_nothing(planned[tracked.mac], request)))
    waves = assign_waves([tracked.mac for tracked in telling], request.waves)
    last = max(waves.values(), default=0)
    order = [*telling, *(tracked for tracked in chosen if tracked not in able)]
    return {tracked.mac: replace(planned[tracked.mac], wave=waves.get(tracked.mac, last)) for tracked in order}


def _changes_nothing(step: Step, request: JobRequest) -> bool:
    return request.action in WRITING_ACTIONS and not step.changes
