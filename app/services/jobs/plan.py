"""The plan of a job, made before it starts: which devices, in which waves, and when to stop. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from app.errors import Invalid
from app.miners.dialect_parsers import normalise_for_any_firmware
from app.miners.dialects import NERDOS, detect_dialect
from app.miners.setting_table import SETTINGS, SettingChange
from app.services.devices.fleet import Tracked
from app.services.jobs.model import (
    STATES_IN_DOUBT,
    WAVES,
    Action,
    Job,
    JobRequest,
    JobState,
    PlannedChange,
    Step,
    StepState,
)

_PERCENT = re.compile(r"(\d{1,3})%")
# The same value of these on several miners makes them indistinguishable.
_OF_ONE_DEVICE = frozenset({"hostname"})
Selector = str | Sequence[str] | Mapping[str, str]


def select_devices(devices: Sequence[Tracked], selector: Selector) -> list[Tracked]:
    """Return `"all"` devices, those of a list of MACs, or those that match every part of a filter. Raises Invalid
    for MACs that are not registered, and for an empty selection."""
    if isinstance(selector, Mapping):
        chosen = [tracked for tracked in devices if _matches_filter(tracked, selector)] if selector else []
    elif isinstance(selector, str):
        chosen = list(devices) if selector == "all" else []
    else:
        chosen = _find_by_macs(devices, selector)
    if not chosen:
        raise Invalid("There is no such device", {"devices": ["No imprinted device fits."]})
    return chosen


def _find_by_macs(devices: Sequence[Tracked], macs: Iterable[str]) -> list[Tracked]:
    known = {tracked.mac: tracked for tracked in devices}
    wanted = list(dict.fromkeys(macs))
    unknown = [mac for mac in wanted if mac not in known]
    if unknown:
        raise Invalid("Some devices are not imprinted", {"devices": [f"{mac}: Device not found" for mac in unknown]})
    return [known[mac] for mac in wanted]


def _matches_filter(tracked: Tracked, selector: Mapping[str, str]) -> bool:
    return all(fits(tracked, selector[name]) for name, fits in _FILTERS.items() if name in selector)


def _runs_firmware(info: Mapping[str, Any], wanted: str) -> bool:
    """Match a firmware by family (`axeos`, `nerdos`) or by version: `2.12` matches v2.12 and v2.12.2, not v2.120."""
    wanted = wanted.lower().removeprefix("v")
    if wanted in ("axeos", "nerdos"):
        return (detect_dialect(info) is NERDOS) == (wanted == "nerdos")
    version = str(info.get("version") or "").lower().removeprefix("v")
    return re.match(re.escape(wanted) + r"(?![0-9])", version) is not None


_FILTERS: Mapping[str, Callable[[Tracked, str], bool]] = {
    "model": lambda tracked, wanted: tracked.model.lower() == wanted.lower(),
    "firmware": lambda tracked, wanted: _runs_firmware(tracked.info, wanted),
    "preset": lambda tracked, wanted: tracked.device.preset_uuid == wanted,
    "tag": lambda tracked, wanted: wanted in tracked.device.tags,
}


def validate_request(request: JobRequest, devices: int) -> None:
    """Raise Invalid for problems that do not depend on the device: nothing is planned, stored or written then."""
    problems: dict[str, list[str]] = {}
    if request.action is Action.APPLY_PRESET and not request.preset_uuid:
        problems["presetUuid"] = ["Name the preset to apply."]
    if request.action is Action.SETTINGS:
        problems |= _value_problems(request.values, devices)
    for wave in request.waves:
        if _wave_size(wave, devices) < 1:
            problems["waves"] = ["Must be numbers of devices, or percentages such as 10%."]
    if problems:
        raise Invalid("Some fields are wrong; nothing was written", problems)


def build_revert_request(reverted: JobRequest) -> JobRequest:
    """Return the request of the job that reverts another one, at the pace of that one, but always with a canary. The
    former values were allowed once, so overclocking is allowed."""
    return JobRequest(
        Action.REVERT,
        allow_overclock=True,
        restart=reverted.restart,
        waves=reverted.waves or WAVES,
        parallel=reverted.parallel,
        pause_seconds=reverted.pause_seconds,
        max_failures=reverted.max_failures,
    )


def _value_problems(values: Mapping[str, Any], devices: int) -> dict[str, list[str]]:
    if not values:
        return {"settings": ["Name at least one setting."]}
    problems: dict[str, list[str]] = {}
    for key, value in values.items():
        if key not in SETTINGS:
            problems[f"settings.{key}"] = ["There is no such setting."]
        elif key in _OF_ONE_DEVICE and devices > 1:
            problems[f"settings.{key}"] = ["Can be set on one device at a time only."]
        else:
            try:
                normalise_for_any_firmware(SETTINGS[key], value)
            except ValueError as error:
                problems[f"settings.{key}"] = [str(error)]
    return problems


def _wave_size(wave: int | str, devices: int) -> int:
    """Return the size of a wave in devices, at least one; 0 if it is invalid."""
    if isinstance(wave, int):
        return max(wave, 0)
    match = _PERCENT.fullmatch(wave)
    percent = int(match[1]) if match else 0
    return max(1, math.floor(devices * percent / 100)) if 1 <= percent <= 100 else 0


def assign_waves(macs: Sequence[str], waves: Iterable[int | str]) -> dict[str, int]:
    """Return the number of each device's wave, from 0 (the canary). The rest is the last wave."""
    numbers: dict[str, int] = {}
    number = 0
    for number, wave in enumerate([*waves, len(macs)]):
        left = [mac for mac in macs if mac not in numbers]
        if not left:
            break
        numbers |= dict.fromkeys(left[: max(1, _wave_size(wave, len(macs)))], number)
    return numbers


def change_rows(changes: Iterable[SettingChange]) -> tuple[PlannedChange, ...]:
    """Return before and after of each change; None for a secret."""
    return tuple(
        PlannedChange(
            key=change.key,
            before=None if change.setting.secret else change.present,
            after=None if change.setting.secret else change.value,
        )
        for change in changes
    )


def too_many_failed(job: Job) -> bool:
    """Devices that the plan excluded were never changed, and do not count."""
    return sum(step.failed for step in job.steps.values()) > job.request.max_failures


def steps_to_revert(job: Job) -> list[Step]:
    """Return the steps that `revert` concerns after a wave: those that failed after a change and, if the job is to
    stop, the canary."""
    stopping = too_many_failed(job)
    return [
        step
        for step in job.steps.values()
        if step.captured is not None
        and (step.state is StepState.FAILED or (stopping and step.wave == 0 and step.state is StepState.DONE))
    ]


def final_step_state(step: Step, action: Action, state: JobState) -> tuple[StepState, str]:
    """Return the final state and reason of a step that has not ended when its job ends. A step that only waits for
    its restart has been written, unless the restart is all there was to do."""
    untouched = step.state is StepState.PLANNED or (step.state is StepState.WRITTEN and action is Action.RESTART)
    if untouched:
        return StepState.SKIPPED, f"The job was {state}"
    if step.state in STATES_IN_DOUBT:
        return StepState.FAILED, f"The job was {state} in the middle of this"
    return StepState.DONE, f"The job was {state} before it was looked at again"
