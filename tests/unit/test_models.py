"""Liveness, decided without I/O."""

from datetime import UTC, datetime

import pytest

from app.errors import (
    DeviceBadPayload,
    DeviceDropped,
    DeviceLocked,
    DeviceRedirected,
    DeviceRefused,
    DeviceStatus,
    DeviceTimeout,
    DeviceTooLarge,
    DeviceUnreachable,
    WrongMiner,
)  # fmt: skip
from app.models import Observation, Reading, Status, is_reboot, next_observation

MAC, OTHER = "02:00:5e:00:00:01", "02:00:5e:00:00:02"
AT = datetime(2026, 1, 1, tzinfo=UTC)
READING = Reading({"hashRate": 1}, MAC, AT)
MISS = DeviceTimeout("late")


def after(*outcomes, offline_after=3):
    observation = Observation()
    for outcome in outcomes:
        observation = next_observation(observation, outcome, offline_after)
    return observation


@pytest.mark.parametrize(
    ("outcomes", "status", "failures"),
    [
        ([], "pending", 0),
        ([READING], "online", 0),
        ([MISS], "pending", 1),
        ([MISS, MISS], "pending", 2),
        ([MISS, MISS, MISS], "offline", 3),
        ([READING, MISS], "stale", 1),
        ([READING, MISS, MISS], "stale", 2),
        ([READING, MISS, MISS, MISS], "offline", 3),
        ([READING, MISS, MISS, READING], "online", 0),
        ([READING, MISS, MISS, READING, MISS], "stale", 1),
        ([READING, MISS, MISS, MISS, READING], "online", 0),
        ([READING, DeviceLocked()], "locked", 1),
        ([DeviceRefused()], "refused", 1),
        ([READING, DeviceLocked(), READING], "online", 0),
        # A miner that was locked and is now silent is lost all the same: no "stale" numbers come back to life.
        ([READING, DeviceLocked(), MISS], "offline", 2),
        ([READING, MISS, MISS, MISS, DeviceLocked()], "locked", 4),
        ([READING, MISS, MISS, MISS, MISS], "offline", 4),
    ],
)
def test_what_follows_from_what(outcomes, status, failures):
    observation = after(*outcomes)
    assert (observation.status, observation.failures) == (Status(status), failures)


@pytest.mark.parametrize(
    ("outcomes", "status", "failures"),
    [
        ([READING, MISS], "restarting", 1),
        ([READING, *[MISS] * 11], "restarting", 11),
        ([MISS, MISS, MISS], "restarting", 3),
        ([READING, MISS, READING], "online", 0),
        ([READING, DeviceLocked()], "locked", 1),
        ([READING, DeviceLocked(), MISS], "offline", 2),
    ],
)
def test_what_follows_while_it_restarts(outcomes, status, failures):
    observation = Observation()
    for outcome in outcomes:
        observation = next_observation(observation, outcome, 3, restarting=True)
    assert (observation.status, observation.failures) == (Status(status), failures)
    if status == "restarting":
        assert next_observation(observation, MISS, 3).status is (Status.OFFLINE if failures > 1 else Status.STALE)


def test_a_miner_that_wants_to_be_left_alone_is_heard_once():
    asked = after(READING, DeviceStatus(429, "", 30.0))
    assert (asked.status, asked.retry_after) == (Status.STALE, 30.0)
    assert next_observation(asked, MISS, 3).retry_after == 0
    assert next_observation(asked, READING, 3).retry_after == 0


def test_one_miss_is_enough_where_the_user_says_so():
    assert after(READING, MISS, offline_after=1).status is Status.OFFLINE


def test_misses_keep_the_last_reading_and_say_why():
    observation = after(READING, MISS, DeviceUnreachable("no route"))
    assert observation.reading is READING
    assert (observation.error, observation.reason) == ("no route", "unreachable")


def test_a_good_reading_forgets_the_error():
    observation = after(MISS, READING)
    assert (observation.error, observation.reason) == (None, None)


def test_every_error_has_a_reason_of_its_own():
    errors = [
        DeviceUnreachable("."), DeviceTimeout("."), DeviceDropped("."), DeviceTooLarge("."), DeviceBadPayload("."),
        DeviceRedirected("."),
        DeviceStatus(500, ""), DeviceLocked(), DeviceRefused(), WrongMiner(MAC, OTHER, "10.0.0.1"),
    ]  # fmt: skip
    assert len({error.reason for error in errors}) == len(errors)


@pytest.mark.parametrize(
    ("before", "now", "reboot"),
    [
        (100, 99, True),
        (100, 0, True),
        (100, 100, False),
        (100, 105, False),
        (None, 5, False),
        (100, None, False),
        (True, False, False),
        ("100", 5, False),
    ],
)
def test_a_reboot_is_an_uptime_that_falls(before, now, reboot):
    first, second = (Reading({"uptimeSeconds": uptime}, MAC, AT) for uptime in (before, now))
    assert is_reboot(first, second) is reboot
    assert is_reboot(None, second) is False
