"""What a device runs against what it should, and why they differ."""

from datetime import UTC, datetime, timedelta

import pytest

from app.clock import Moment
from app.services.configuration.drift_rules import (
    FACTORY,
    FACTORY_BY_CHIP,
    OWN_CHANGE_SECONDS,
    Cause,
    Drift,
    Written,
    drifted,
    factory_settings,
    is_foreign_pool,
)
from simulator.asic_boards import BOARDS
from simulator.settings_store import make_factory_settings as simulated_factory

DAY = 86400.0
NOW = Moment(datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), "this boot", 500_000.0)


def ago(seconds, wall=0.0, boot="this boot"):
    """So long ago; the time of day was `wall` seconds ahead then."""
    return Moment(NOW.at - timedelta(seconds=seconds - wall), boot, NOW.seconds - seconds)


INTENDED = {"frequency": 525, "coreVoltage": 1150, "stratumURL": "pool.example", "stratumUser": "mine.w"}
RUNS = {
    "ASICModel": "BM1370",
    "hostname": "attic",
    "frequency": 525.0,
    "coreVoltage": 1150,
    "autofanspeed": 1,
    "manualFanSpeed": 60,
    "overheat_mode": 0,
    "stratumURL": "pool.example",
    "stratumUser": "mine.w",
}
RESET = {"hostname": "bitaxe", "frequency": 525, "coreVoltage": 1150, "stratumURL": "public-pool.io", "stratumUser": ""}


def causes(info, intended=INTENDED, written=None, uptime=DAY):
    rows = drifted(intended, info | {"uptimeSeconds": uptime}, written or {}, NOW)
    return {key: cause for key, (_, _, cause) in rows.items()}


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, {}),
        ({"frequency": "525"}, {}),
        ({"hashRate": 0, "wifiRSSI": -90}, {}),
        ({"frequency": 490}, {"frequency": Cause.CHANGED_ELSEWHERE}),
        ({"frequency": None}, {}),
        ({"stratumURL": "evil.example"}, {"stratumURL": Cause.POOL_CHANGED}),
        ({"stratumUser": "theirs.w"}, {"stratumUser": Cause.POOL_CHANGED}),
        (
            {"stratumUser": "theirs.w", "frequency": 490},
            {"stratumUser": Cause.POOL_CHANGED, "frequency": Cause.CHANGED_ELSEWHERE},
        ),
        # AxeOS ≥ 2.12 after overheating: 100 MHz and 100 mV less, the fan by hand at full speed, the flag cleared.
        (
            {"frequency": 425, "coreVoltage": 1050, "autofanspeed": 0, "manualFanSpeed": 100},
            {"frequency": Cause.OVERHEAT_FALLBACK, "coreVoltage": Cause.OVERHEAT_FALLBACK},
        ),
        # AxeOS ≤ 2.10: latched.
        (
            {"frequency": 50, "coreVoltage": 1000, "autofanspeed": 0, "overheat_mode": 1},
            {"frequency": Cause.OVERHEAT_FALLBACK, "coreVoltage": Cause.OVERHEAT_FALLBACK},
        ),
        # More, not less: that was no firmware.
        ({"frequency": 600, "autofanspeed": 0, "manualFanSpeed": 100}, {"frequency": Cause.CHANGED_ELSEWHERE}),
        (
            {"frequency": 425, "stratumURL": "evil.example", "overheat_mode": 1},
            {"frequency": Cause.OVERHEAT_FALLBACK, "stratumURL": Cause.POOL_CHANGED},
        ),
    ],
)
def test_cause(changed, expected):
    info = {key: value for key, value in {**RUNS, **changed}.items() if value is not None}
    assert causes(info) == expected


def test_a_factory_reset():
    """It is called `bitaxe` again, and two or more of what differs, and all of what has one, is at its default."""
    intended = {"frequency": 600, "coreVoltage": 1200, "stratumURL": "pool.example", "statsFrequency": 30}
    info = {**RUNS, **RESET, "statsFrequency": 0}
    assert causes(info, intended) == dict.fromkeys(intended, Cause.FACTORY_RESET)


@pytest.mark.parametrize(
    "changed", [{"hostname": "attic"}, {"coreVoltage": 1200}, {"frequency": 600, "coreVoltage": 1200}]
)
def test_not_every_default_is_a_reset(changed):
    intended = {"frequency": 600, "coreVoltage": 1200, "stratumURL": "pool.example"}
    found = causes({**RUNS, **RESET, **changed}, intended)
    assert found["stratumURL"] is Cause.POOL_CHANGED
    assert Cause.FACTORY_RESET not in found.values()


@pytest.mark.parametrize("board", ["601", "650", "204", "401", "102", "801", "302"])
def test_factory_defaults_are_those_of_a_simulated_miner(board):
    chip = BOARDS[board]
    stored = simulated_factory(chip, "bitaxe")
    ours = factory_settings({"ASICModel": chip.chip.name, "boardVersion": board})
    assert {key: stored[key] for key in ours} == ours
    assert set(ours) == {*FACTORY, "frequency", "coreVoltage"}
    assert "BM1373" in FACTORY_BY_CHIP


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(OWN_CHANGE_SECONDS - 1, {}), (OWN_CHANGE_SECONDS, {"frequency": Cause.CHANGED_ELSEWHERE})],
)
def test_a_change_of_our_own_has_half_a_minute(seconds, expected):
    written = {"frequency": Written(ago(seconds))}
    assert causes({**RUNS, "frequency": 490}, written=written) == expected


WAITING = {"stratumURL": Written(ago(60), needs_restart=True, before="old.example")}


def test_what_waits_for_a_restart_is_shown_with_what_the_miner_still_runs():
    rows = drifted(INTENDED, RUNS | {"uptimeSeconds": DAY}, WAITING, NOW)
    assert rows == {"stratumURL": ("pool.example", "old.example", Cause.PENDING_RESTART)}


@pytest.mark.parametrize(
    ("written", "uptime"),
    [
        (WAITING, 30),
        (WAITING, None),
        ({"stratumURL": Written(ago(10), True, "old.example")}, DAY),
        ({"stratumURL": Written(ago(60), False, "old.example")}, DAY),
        ({"hostname": Written(ago(60), True, "other")}, DAY),
    ],
)
def test_what_does_not_wait_is_no_drift(written, uptime):
    assert causes(RUNS, written=written, uptime=uptime) == {}


YEARS = 10 * 365 * DAY


@pytest.mark.parametrize("wall", [0, 3600, -3600, 90 * DAY, -90 * DAY, YEARS, -YEARS])
@pytest.mark.parametrize(("uptime", "waits"), [(30, False), (59, False), (61, True), (DAY, True)])
def test_whether_the_miner_restarted_since_does_not_go_by_the_time_of_day(wall, uptime, waits):
    written = {"stratumURL": Written(ago(60, wall), True, "old.example")}
    expected = {"stratumURL": Cause.PENDING_RESTART} if waits else {}
    assert causes(RUNS, written=written, uptime=uptime) == expected


@pytest.mark.parametrize(
    ("wall", "before", "uptime", "waits"),
    [
        (0, None, DAY, True),
        (0, None, 30, False),
        (90 * DAY, None, DAY, False),  # nothing tells; a restart that may be superfluous is not asked for
        (90 * DAY, 2 * DAY, DAY, False),
        (-90 * DAY, DAY, 2 * DAY, False),
        (30, 2 * DAY, DAY, False),  # by the time of day it was 30 s ago, yet the miner has an older start behind it
    ],
)
def test_after_a_restart_of_this_host_the_uptime_of_the_miner_tells(wall, before, uptime, waits):
    written = {"stratumURL": Written(ago(60, wall, "the boot before"), True, "old.example", before)}
    expected = {"stratumURL": Cause.PENDING_RESTART} if waits else {}
    assert causes(RUNS, written=written, uptime=uptime) == expected


def test_changed_by_somebody_else_wins_over_waiting():
    assert causes({**RUNS, "stratumURL": "evil.example"}, written=WAITING) == {"stratumURL": Cause.POOL_CHANGED}


def test_what_counts_as_somebody_elses_pool():
    rows = [Drift(key, 1, 2, "", cause) for key in ("stratumUser", "frequency") for cause in Cause]
    assert {(row.key, row.cause) for row in rows if is_foreign_pool(row)} == {
        ("stratumUser", cause) for cause in Cause if cause is not Cause.PENDING_RESTART
    }
