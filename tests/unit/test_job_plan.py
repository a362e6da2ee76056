"""The plan of a job: selected devices, waves, the stop condition, and the devices to revert."""

from dataclasses import replace

import pytest

from app.errors import Invalid
from app.miners.setting_table import SETTINGS, SettingChange
from app.models import Device
from app.services.devices.fleet import Tracked
from app.services.jobs.model import Action, CapturedState, Job, JobRequest, Step, StepState
from app.services.jobs.plan import (
    assign_waves,
    change_rows,
    select_devices,
    steps_to_revert,
    too_many_failed,
    validate_request,
)

GAMMA = {"ASICModel": "BM1370", "boardVersion": "601", "version": "v2.12.2", "hashRate": 1}
OLD = {"ASICModel": "BM1366", "boardVersion": "204", "version": "v2.4.5", "hashRate": 1}
NERD = {"ASICModel": "BM1368", "deviceModel": "NerdQAxe+", "version": "v1.0.36", "hashRate": 1}


def make_device(number, info, **more):
    return Tracked(Device(f"02:00:5e:00:00:{number:02x}", f"127.80.0.{number}", info=info, **more))


FLEET = [
    make_device(1, GAMMA, tags=("attic",), preset_uuid="p1"),
    make_device(2, {**GAMMA, "version": "2.120.0"}),
    make_device(3, OLD, tags=("attic", "old")),
    make_device(4, NERD, preset_uuid="p1"),
]


@pytest.mark.parametrize(
    ("selector", "numbers"),
    [
        ("all", [1, 2, 3, 4]),
        (["02:00:5e:00:00:03", "02:00:5e:00:00:01", "02:00:5e:00:00:03"], [3, 1]),
        ({"model": "gamma"}, [1, 2]),
        ({"model": "NerdQAxe+"}, [4]),
        ({"firmware": "2.12"}, [1]),
        ({"firmware": "v2.12.2"}, [1]),
        ({"firmware": "nerdos"}, [4]),
        ({"firmware": "AxeOS"}, [1, 2, 3]),
        ({"preset": "p1"}, [1, 4]),
        ({"tag": "attic"}, [1, 3]),
        ({"tag": "attic", "model": "Ultra"}, [3]),
    ],
)
def test_selector_selects_devices(selector, numbers):
    assert [int(each.mac[-2:], 16) for each in select_devices(FLEET, selector)] == numbers


@pytest.mark.parametrize(
    "selector", ["none", {}, {"tag": "cellar"}, {"firmware": "2.1"}, ["02:00:5e:00:00:09"], ["02:00:5e:00:00:01", "x"]]
)
def test_empty_or_unknown_selection_is_invalid(selector):
    with pytest.raises(Invalid) as raised:
        select_devices(FLEET, selector)
    assert "devices" in raised.value.details


@pytest.mark.parametrize(
    ("waves", "count", "sizes"),
    [
        ((1, "10%"), 200, [1, 20, 179]),
        ((1, "10%"), 1, [1]),
        ((1, "10%"), 3, [1, 1, 1]),
        ((), 7, [7]),
        ((3, 3), 7, [3, 3, 1]),
        ((3, 3), 6, [3, 3]),
        (("50%", "50%"), 5, [2, 2, 1]),
        (("100%",), 5, [5]),
        ((100,), 5, [5]),
    ],
)
def test_devices_are_divided_into_waves(waves, count, sizes):
    macs = [f"{number}" for number in range(count)]
    numbers = assign_waves(macs, waves)
    assert list(numbers) == macs
    assert [list(numbers.values()).count(wave) for wave in range(max(numbers.values()) + 1)] == sizes


@pytest.mark.parametrize(
    ("fields", "invalid_fields"),
    [
        ({"action": Action.APPLY_PRESET}, {"presetUuid"}),
        ({"values": {}}, {"settings"}),
        ({"values": {"frequency": "fast"}}, {"settings.frequency"}),
        ({"values": {"stratumPort": "abc"}}, {"settings.stratumPort"}),
        ({"values": {"stratumUser": "<script>"}}, {"settings.stratumUser"}),
        ({"values": {"hostname": "a" * 400}}, {"settings.hostname"}),
        ({"values": {"hostname": "one-for-all"}}, {"settings.hostname"}),
        ({"values": {"stratumPassword": "*****"}}, {"settings.stratumPassword"}),
        ({"values": {"wifiPass": "secret", "frequency": 400}}, {"settings.wifiPass"}),
        ({"waves": ("0%",)}, {"waves"}),
        ({"waves": (0,)}, {"waves"}),
        ({"waves": ("many",)}, {"waves"}),
    ],
)
def test_invalid_request_is_rejected_for_any_device(fields, invalid_fields):
    request = JobRequest(**{"action": Action.SETTINGS, "values": {"frequency": 400}, **fields})
    with pytest.raises(Invalid) as raised:
        validate_request(request, 2)
    assert set(raised.value.details) == invalid_fields


def test_hostname_is_allowed_for_one_device():
    validate_request(JobRequest(Action.SETTINGS, {"hostname": "attic"}), 1)


def test_rows_show_no_secret_values():
    changes = [SettingChange(SETTINGS["frequency"], 490, 525), SettingChange(SETTINGS["stratumPassword"], "hush", None)]
    assert change_rows(changes) == (
        {"key": "frequency", "before": 525, "after": 490},
        {"key": "stratumPassword", "before": None, "after": None},
    )


def make_job(*steps, **fields):
    request = JobRequest(Action.SETTINGS, {"frequency": 400}, **fields)
    return Job("id", request, "me", "", "", {step.mac: step for step in steps})


CAPTURED = CapturedState({"frequency": 525})


def make_step(mac, state, wave=1, **more):
    return Step(mac, wave, state, captured=CAPTURED, **more)


@pytest.mark.parametrize(("allowed", "stops"), [(0, True), (1, True), (2, False)])
def test_job_stops_when_more_devices_failed_than_allowed(allowed, stops):
    failed = make_step("a", StepState.FAILED, failed=True)
    reverted = make_step("b", StepState.REVERTED, failed=True)
    rejected = Step("c", 1, StepState.FAILED)
    assert too_many_failed(make_job(failed, reverted, rejected, max_failures=allowed)) is stops


def test_devices_to_revert():
    """Devices that failed after a write; the canary only if the job stops; none twice."""
    canary = make_step("canary", StepState.DONE, wave=0)
    failed = make_step("failed", StepState.FAILED, failed=True)
    done = make_step("done", StepState.DONE)
    finished = replace(failed, mac="over", captured=None)
    assert [each.mac for each in steps_to_revert(make_job(canary, failed, done, finished, max_failures=9))] == [
        "failed"
    ]
    assert [each.mac for each in steps_to_revert(make_job(canary, failed, done, finished))] == ["canary", "failed"]


def test_counts_use_states_of_the_api():
    states = {"a": StepState.ACTED, "b": StepState.WRITTEN, "c": StepState.DONE, "d": StepState.PLANNED}
    assert make_job(*(make_step(mac, state) for mac, state in states.items())).counts == {
        "running": 2,
        "done": 1,
        "planned": 1,
    }
