"""What a job will do: which devices, in which waves, when it stops, whom it puts back."""

from dataclasses import replace

import pytest

from app.errors import Invalid
from app.miners.settings import SETTINGS, Change
from app.models import Device
from app.services.devices.fleet import Tracked
from app.services.jobs.model import Action, Captured, Job, Request, Step, StepState
from app.services.jobs.plan import in_waves, rows, select, to_put_back, too_many_failed, validate

GAMMA = {"ASICModel": "BM1370", "boardVersion": "601", "version": "v2.12.2", "hashRate": 1}
OLD = {"ASICModel": "BM1366", "boardVersion": "204", "version": "v2.4.5", "hashRate": 1}
NERD = {"ASICModel": "BM1368", "deviceModel": "NerdQAxe+", "version": "v1.0.36", "hashRate": 1}


def device(number, info, **more):
    return Tracked(Device(f"02:00:5e:00:00:{number:02x}", f"127.80.0.{number}", info=info, **more))


FLEET = [
    device(1, GAMMA, tags=("attic",), preset_uuid="p1"),
    device(2, {**GAMMA, "version": "2.120.0"}),
    device(3, OLD, tags=("attic", "old")),
    device(4, NERD, preset_uuid="p1"),
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
def test_whom_it_concerns(selector, numbers):
    assert [int(each.mac[-2:], 16) for each in select(FLEET, selector)] == numbers


@pytest.mark.parametrize(
    "selector", ["none", {}, {"tag": "cellar"}, {"firmware": "2.1"}, ["02:00:5e:00:00:09"], ["02:00:5e:00:00:01", "x"]]
)
def test_a_selection_of_nobody_or_of_strangers_is_wrong(selector):
    with pytest.raises(Invalid) as raised:
        select(FLEET, selector)
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
def test_waves(waves, count, sizes):
    macs = [f"{number}" for number in range(count)]
    numbers = in_waves(macs, waves)
    assert list(numbers) == macs
    assert [list(numbers.values()).count(wave) for wave in range(max(numbers.values()) + 1)] == sizes


@pytest.mark.parametrize(
    ("fields", "wrong"),
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
def test_a_request_that_is_wrong_whatever_the_device(fields, wrong):
    request = Request(**{"action": Action.SETTINGS, "values": {"frequency": 400}, **fields})
    with pytest.raises(Invalid) as raised:
        validate(request, 2)
    assert set(raised.value.details) == wrong


def test_a_hostname_is_for_one_device():
    validate(Request(Action.SETTINGS, {"hostname": "attic"}), 1)


def test_a_secret_shows_neither_its_old_nor_its_new_value():
    changes = [Change(SETTINGS["frequency"], 490, 525), Change(SETTINGS["stratumPassword"], "hush", None)]
    assert rows(changes) == (
        {"key": "frequency", "before": 525, "after": 490},
        {"key": "stratumPassword", "before": None, "after": None},
    )


def job(*steps, **fields):
    request = Request(Action.SETTINGS, {"frequency": 400}, **fields)
    return Job("id", request, "me", "", "", {step.mac: step for step in steps})


TOUCHED = Captured({"frequency": 525})


def step(mac, state, wave=1, **more):
    return Step(mac, wave, state, captured=TOUCHED, **more)


@pytest.mark.parametrize(("allowed", "stops"), [(0, True), (1, True), (2, False)])
def test_a_job_stops_when_more_failed_than_it_allows(allowed, stops):
    failed = step("a", StepState.FAILED, failed=True)
    put_back = step("b", StepState.REVERTED, failed=True)
    ruled_out = Step("c", 1, StepState.FAILED)
    assert too_many_failed(job(failed, put_back, ruled_out, max_failures=allowed)) is stops


def test_whom_it_puts_back():
    """Who failed after it was touched; the canary only when the job is to stop; nobody twice."""
    canary = step("canary", StepState.DONE, wave=0)
    failed = step("failed", StepState.FAILED, failed=True)
    done = step("done", StepState.DONE)
    over = replace(failed, mac="over", captured=None)
    assert [each.mac for each in to_put_back(job(canary, failed, done, over, max_failures=9))] == ["failed"]
    assert [each.mac for each in to_put_back(job(canary, failed, done, over))] == ["canary", "failed"]


def test_counts_in_the_words_of_the_api():
    states = {"a": StepState.ACTED, "b": StepState.WRITTEN, "c": StepState.DONE, "d": StepState.PLANNED}
    assert job(*(step(mac, state) for mac, state in states.items())).counts == {"running": 2, "done": 1, "planned": 1}
