"""Whether a miner is well after a job touched it."""

from datetime import UTC, datetime, timedelta

import pytest

from app.clock import Moment
from app.models import Reading
from app.services.jobs.health_check import Health, baseline, booted_since, capture, judge
from app.services.jobs.model import Captured

BEFORE = Captured({"frequency": 500, "coreVoltage": 1150}, hashrate=1000.0, power=20.0)
WELL = {
    "ASICModel": "BM1370",
    "hashRate": 990.0,
    "hashRate_1m": 500.0,
    "power": 19.0,
    "frequency": 500,
    "coreVoltage": 1150,
    "autofanspeed": 1,
    "manualFanSpeed": 60,
    "overheat_mode": 0,
    "apEnabled": 0,
    "miningPaused": False,
}
OLD = {key: value for key, value in WELL.items() if key not in ("hashRate_1m", "miningPaused")}


@pytest.mark.parametrize(
    ("wanted", "changed", "health"),
    [
        ({}, {}, Health.WELL),
        ({}, {"hashRate": 701}, Health.WELL),
        ({}, {"hashRate": 699}, Health.NOT_YET),
        ({}, {"hashRate": 0}, Health.NOT_YET),
        ({}, {"hashRate": None}, Health.NOT_YET),
        # Half the frequency is half the hashrate; no more is asked of it.
        ({"frequency": 250}, {"frequency": 250, "hashRate": 360}, Health.WELL),
        ({"frequency": 250}, {"frequency": 250, "hashRate": 340}, Health.NOT_YET),
        ({"frequency": 600}, {"frequency": 600, "hashRate": 830}, Health.NOT_YET),
        ({}, {"overheat_mode": 1}, Health.ILL),
        ({}, {"power_fault": "regulator off"}, Health.ILL),
        ({}, {"hardware_fault": "fan"}, Health.ILL),
        # It fell back by itself, and the flag is gone already.
        ({"frequency": 525}, {"frequency": 425, "autofanspeed": 0, "manualFanSpeed": 100}, Health.ILL),
        ({"stratumUser": "mine"}, {"stratumUser": "somebody else's"}, Health.ILL),
        ({"temptarget": 55}, {}, Health.WELL),
    ],
)
def test_by_one_reading(wanted, changed, health):
    assert judge(BEFORE, wanted, {**WELL, **changed})[0] is health


def test_what_overheating_did_is_said():
    info = {**WELL, "frequency": 425, "autofanspeed": 0, "manualFanSpeed": 100}
    assert judge(BEFORE, {"frequency": 525}, info)[1] == "The miner overheated and fell back: frequency 425"


@pytest.mark.parametrize(
    ("changed", "health"),
    [
        ({"hashRate": 0, "power": 19.0}, Health.WELL),
        ({"hashRate": 0, "power": 6.0}, Health.NOT_YET),
        ({"hashRate": 300, "power": 12.0}, Health.WELL),
    ],
)
def test_old_firmware_estimates_its_hashrate_so_its_power_tells(changed, health):
    assert judge(BEFORE, {}, {**OLD, **changed})[0] is health


def test_a_miner_that_did_not_hash_before_only_has_to_come_back():
    assert judge(Captured({}, 0.0, 0.0), {}, {**WELL, "hashRate": 0}) == (Health.WELL, "")


@pytest.mark.parametrize(
    ("info", "rate"),
    [
        ({"hashRate": 900, "hashRate_10m": 1000}, 1000),
        ({"hashRate": 900, "hashRate_10m": 0}, 900),
        ({"hashRate": 900}, 900),
        ({"hashRate": "off"}, 0),
        ({}, 0),
    ],
)
def test_the_baseline(info, rate):
    assert baseline(info) == rate


def test_what_is_captured():
    """What is to change, and what overheating could; what the miner does not say, and passwords, cannot be."""
    info = {**WELL, "stratumUser": "mine", "stratumPassword": "*****"}
    captured = capture(info, ("stratumUser", "stratumPassword", "minFanSpeed"))
    assert captured.settings == {
        "stratumUser": "mine",
        "frequency": 500,
        "coreVoltage": 1150,
        "autofanspeed": 1,
        "manualFanSpeed": 60,
    }
    assert (captured.hashrate, captured.power) == (990.0, 19.0)


@pytest.mark.parametrize(("auto", "captured"), [(0, {"manualFanSpeed": 71}), (1, {})])
def test_where_the_fan_is_a_reading_it_is_captured_only_if_it_is_set_by_hand(auto, captured):
    settings = capture({"ASICModel": "BM1366", "fanspeed": 70.6, "autofanspeed": auto}, ()).settings
    assert {key: value for key, value in settings.items() if key == "manualFanSpeed"} == captured


@pytest.mark.parametrize(("uptime", "booted"), [(5, True), (600, False), (None, None), ("x", None)])
def test_whether_it_started_since(uptime, booted):
    now = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    reading = Reading({} if uptime is None else {"uptimeSeconds": uptime}, None, now)
    assert booted_since(Moment(now - timedelta(seconds=60)), reading) is booted
