"""Figures derived from the readings of a device: windows, refresh, warnings, restoring after a restart."""

from datetime import UTC, datetime, timedelta
from random import Random

import pytest

from app.miners.cleaning import clean_info
from app.miners.telemetry import read_telemetry
from app.models import Device, Observation, Reading, Status
from app.services.devices.fleet import Fleet
from app.services.history.derived import DerivedFigures, estimate_block_seconds
from app.services.history.shares import NO_INCREASE, ShareIncrease
from app.store.devices import DeviceRepository

MAC = "02:00:5e:00:00:01"
GAMMA = {
    "ASICModel": "BM1370",
    "boardVersion": "601",
    "version": "v2.15.0",
    "hashRate": 1200,
    "power": 18,
    "frequency": 600,
    "smallCoreCount": 2040,
    "expectedHashrate": 1224,
    "uptimeSeconds": 5000,
    "poolDifficulty": 8192,
}
NERDOS = {"ASICModel": "BM1370", "deviceModel": "NerdQAxe++", "hashRate": 4896, "frequency": 600, "uptimeSeconds": 5000}


class Bench:
    """A device whose polls the test makes, with shares that a miner of `hashrate` GH/s finds."""

    def __init__(self, database, clock):
        self.clock = clock
        self.fleet = Fleet(DeviceRepository(database, clean_info), clock)
        (self.tracked,) = self.fleet.save_devices([Device(MAC, "127.0.0.1")])
        self.fleet.set_monitored(self.tracked, True)
        self.figures = DerivedFigures(self.fleet, clock)
        self.rng = Random(7)

    @property
    def derived(self):
        return self.tracked.derived

    def poll_device(self, info, increase=NO_INCREASE, seconds=5.0):
        self.clock.advance(seconds)
        reading = Reading(info, MAC, self.clock.now())
        self.fleet.record_observation(self.tracked, Observation(Status.ONLINE, reading))
        self.figures.update_device(self.tracked, read_telemetry(info), increase)
        return self.derived

    def poll_for(self, seconds, info, hashrate, step=30.0, difficulty=8192.0):
        for _ in range(round(seconds / step)):
            self.poll_device(info, self.find_shares(hashrate, step, difficulty), step)
        return self.derived

    def find_shares(self, hashrate, seconds, difficulty=8192.0):
        mean = hashrate * 1e9 * seconds / (difficulty * 2**32)
        count, at = 0, self.rng.expovariate(mean)
        while at < 1:
            count, at = count + 1, at + self.rng.expovariate(mean)
        return ShareIncrease(count, 0, count * difficulty, seconds)


@pytest.fixture
def bench(database, clock):
    return Bench(database, clock)


def test_figures_of_one_reading(bench):
    derived = bench.poll_device(GAMMA)
    assert derived.joules_per_terahash == pytest.approx(15)
    assert derived.hashrate_percent == pytest.approx(100 * 1200 / 1224)
    assert (derived.reject_percent, derived.block_probability_per_day, derived.chips) == (None, None, ())
    assert [(each.window, each.shares, each.rate) for each in derived.proven] == [
        ("10m", 0, None),
        ("1h", 0, None),
        ("24h", 0, None),
    ]


@pytest.mark.parametrize(
    ("change", "percent"),
    [
        ({"expectedHashrate": 0, "hashRate": 0}, None),  # paused: nothing is expected
        ({"hashRate": 1e9}, None),  # implausible, as AxeOS reports it after a resume
        ({"hashRate": None}, None),
        ({"hashRate": 0}, 0),
    ],
)
def test_hashrate_percent_of_unusual_reading(bench, change, percent):
    assert bench.poll_device(GAMMA | change).hashrate_percent == percent


def test_hashrate_percent_without_expectation_of_the_firmware_is_of_the_product(bench):
    info = NERDOS | {"smallCoreCount": 2040, "asicCount": 4}
    assert bench.poll_device(info).hashrate_percent == pytest.approx(100)
    assert bench.poll_device(NERDOS).hashrate_percent is None
    assert bench.poll_device(info | {"can": {"enabled": True}}).hashrate_percent is None


def test_proven_hashrate_of_each_window(bench):
    bench.poll_for(23 * 3600, GAMMA, 600)
    derived = bench.poll_for(3600, GAMMA, 1200)
    ten_minutes, hour, day = derived.proven
    assert hour.rate.low < 1200 < hour.rate.high and hour.rate.low > 800
    assert day.rate.estimate == pytest.approx((23 * 600 + 1200) / 24, rel=0.1)
    assert day.rate.high / day.rate.low < hour.rate.high / hour.rate.low
    assert ten_minutes.shares < hour.shares < day.shares
    assert hour.rate.estimate == pytest.approx(hour.shares * 8192 * 2**32 / 3600 / 1e9, rel=0.06)


def test_fewer_than_25_shares_are_not_enough(bench):
    shares = [bench.poll_device(GAMMA, ShareIncrease(1, 0, 8192.0, 15.0), 15.0).proven[0] for _ in range(25)]
    assert [each.shares for each in shares] == list(range(1, 26))
    assert [each.rate is None for each in shares] == [True] * 24 + [False]


def test_shares_of_two_pools_at_a_time_prove_nothing(bench):
    """The firmware reports one difficulty for both, so the work is not known; the reject rate is."""
    pools = [{"accepted": 1, "rejected": 0}, {"accepted": 1, "rejected": 0}]
    info = NERDOS | {"stratum": {"activePoolMode": 1, "pools": pools}, "stratumURL": "a", "stratumPort": 1,
                     "fallbackStratumURL": "b", "fallbackStratumPort": 2}  # fmt: skip
    derived = bench.poll_device(info, ShareIncrease(90, 10, 90 * 8192.0, 600.0))
    assert derived.proven[1].rate is None
    assert derived.reject_percent == pytest.approx(10)


def test_reject_percent_is_of_the_last_hour(bench):
    assert bench.poll_device(GAMMA, ShareIncrease(97, 3, 97.0, 5.0)).reject_percent == pytest.approx(3)
    assert bench.poll_device(GAMMA, seconds=4000).reject_percent is None


def test_shares_between_two_statistics_are_not_lost(bench):
    bench.poll_device(GAMMA)
    for _ in range(3):
        derived = bench.poll_device(GAMMA, ShareIncrease(1, 0, 8192.0, 5.0))
    assert derived.proven[0].shares == 3


def test_statistics_are_computed_after_a_minute_and_15_seconds_after_a_share(bench):
    first = bench.poll_device(GAMMA).proven
    assert all(bench.poll_device(GAMMA).proven is first for _ in range(11))
    second = bench.poll_device(GAMMA).proven
    assert second is not first
    polls = [
        bench.poll_device(GAMMA, increase) for increase in (ShareIncrease(1, 0, 1.0, 5.0), NO_INCREASE, NO_INCREASE)
    ]
    assert [each.proven is second for each in polls] == [True, True, False]


def test_expected_time_to_a_block(bench):
    info = GAMMA | {"networkDifficulty": 126_200_000_000_000}
    derived = bench.poll_device(info, ShareIncrease(0, 0, 0.0, 5.0))
    years = derived.expected_block_seconds / 86400 / 365
    assert years == pytest.approx(126.2e12 * 2**32 / 1.2e12 / 86400 / 365)
    assert derived.block_probability_per_day == pytest.approx(86400 / derived.expected_block_seconds, rel=1e-3)
    assert bench.poll_device(info | {"hashRate": 0}).block_probability_per_day is not None  # of the last hour's mean


@pytest.mark.parametrize("difficulty", [None, 0, -1, "x", float("inf"), 1e308, [1]])
def test_unknown_network_difficulty_gives_no_expected_block(difficulty):
    assert estimate_block_seconds({"networkDifficulty": difficulty}, 1e-3) is None
    assert estimate_block_seconds({"networkDifficulty": 1e12}, None) is None


# The reported hashrate against the shares.


def test_false_hashrate_is_named_after_an_hour(bench):
    assert bench.poll_for(4500, GAMMA, 600).warnings == ()  # since a quarter of an hour at most 55 minutes
    derived = bench.poll_for(1800, GAMMA, 600)
    low, high = (f"{limit:.3g}" for limit in (derived.proven[1].rate.low, derived.proven[1].rate.high))
    assert derived.warnings == (f"reports 1.2 TH/s; its shares prove 0.{low} to 0.{high} TH/s",)
    assert bench.poll_for(7200, GAMMA, 1200).warnings == ()


def test_reported_zero_is_contradicted_too(bench):
    (sentence,) = bench.poll_for(7200, GAMMA | {"hashRate": 0}, 1200).warnings
    assert sentence.startswith("reports 0 TH/s; its shares prove 1")


def test_true_hashrate_is_not_contradicted(bench):
    for _ in range(24):
        assert bench.poll_for(3600, GAMMA, 1200).warnings == ()


def test_paused_miner_is_not_contradicted(bench):
    """The mean over the hour falls with the shares."""
    bench.poll_for(3600, GAMMA, 1200)
    paused = GAMMA | {"hashRate": 0, "expectedHashrate": 0, "miningPaused": True}
    for _ in range(240):
        assert bench.poll_device(paused, ShareIncrease(0, 0, 0.0, 30.0), 30.0).warnings == ()


def test_hour_begins_anew_after_a_gap(bench):
    bench.poll_for(6000, GAMMA, 600)
    assert bench.derived.warnings
    assert bench.poll_device(GAMMA, bench.find_shares(600, 200), 200.0).warnings == ()
    assert bench.poll_for(3000, GAMMA, 600).warnings == ()
    assert bench.poll_for(900, GAMMA, 600).warnings


# Silent domains.


def make_info(*domains, **more):
    asics = [{"total": 1, "errorCount": 0, "domains": list(each)} for each in domains]
    return GAMMA | {"hashrateMonitor": {"asics": asics}} | more


def test_silent_domain_is_named_with_its_time_after_a_minute(bench):
    healthy, silent = make_info([300, 300], [300, 300]), make_info([300, 300], [0, 300])
    assert bench.poll_device(healthy).warnings == ()
    since = bench.clock.now() + timedelta(seconds=5)
    assert [bench.poll_device(silent).warnings for _ in range(12)] == [()] * 12
    sentence = f"chip 2, domain 1: no hashes since {since:%H:%M} UTC"
    assert bench.poll_device(silent).warnings == (sentence,)
    bench.clock.advance(86_400)
    assert bench.poll_device(silent).warnings == (f"chip 2, domain 1: no hashes since {since:%Y-%m-%d %H:%M} UTC",)
    assert bench.poll_device(healthy).warnings == ()


def test_silent_chip_is_named_as_a_whole(bench):
    silent = make_info([300, 300], [0, 0])
    for _ in range(14):
        derived = bench.poll_device(silent)
    assert derived.warnings == (f"chip 2: no hashes since {datetime(2026, 1, 2, 3, 4, tzinfo=UTC):%H:%M} UTC",)


@pytest.mark.parametrize(
    "more",
    [{"hashRate": 0}, {"hashRate": 0, "miningPaused": True}, {"uptimeSeconds": 30}],
    ids=["no hashrate", "paused", "starting"],
)
def test_device_that_does_not_hash_has_no_silent_domain(bench, more):
    for _ in range(20):
        assert bench.poll_device(make_info([0, 0], [1, 0], **more)).warnings == ()


def test_domain_that_is_silent_in_single_polls_is_not_named(bench):
    for _ in range(40):
        bench.poll_device(make_info([300, 0]))
        assert bench.poll_device(make_info([300, 1])).warnings == ()


# Restart of the service, deletion of the device.


def make_samples(bench, hours, hashrate, step=60.0):
    count = round(hours * 3600 / step)
    now = bench.clock.now().timestamp()
    increases = [bench.find_shares(hashrate, step) for _ in range(count)]
    return {
        "times": [now - step * (count - at) + step for at in range(count)],
        "accepted": [each.accepted for each in increases],
        "work": [each.work for each in increases],
        "rejected": [float(at % 2) for at in range(count)],
        "seconds": [step] * count,
        "hashrates": [1200.0] * count,
    }


def test_restored_windows_equal_those_of_the_readings(bench, database):
    samples = make_samples(bench, 30, 600)
    bench.figures.restore_device(MAC, **samples)
    restored = bench.poll_device(GAMMA, ShareIncrease(1, 0, 8192.0, 5.0))
    for each, minutes in zip(restored.proven, (10, 60, 1440), strict=True):
        expected = sum(samples["accepted"][-minutes:])
        assert each.shares == pytest.approx(expected, rel=0.1, abs=6)
        assert each.rate is None or each.rate.low < 600 < each.rate.high
    assert restored.reject_percent == pytest.approx(100 * 30 / (30 + sum(samples["accepted"][-60:])), rel=0.1)


def test_contradiction_is_known_at_once_after_a_restart(bench):
    bench.figures.restore_device(MAC, **make_samples(bench, 3, 600))
    (sentence,) = bench.poll_device(GAMMA, ShareIncrease(1, 0, 8192.0, 5.0)).warnings
    assert sentence.startswith("reports 1.2 TH/s; its shares prove 0.")


def test_restored_samples_of_the_future_and_of_gaps_are_skipped(bench):
    samples = make_samples(bench, 1, 600)
    nan = float("nan")
    bench.figures.restore_device(
        MAC,
        [bench.clock.now().timestamp() + 60, *samples["times"]],
        [50, *[nan] * 60],
        [1e6] * 61,
        [nan] * 61,
        [60.0] * 61,
    )
    assert [each.shares for each in bench.poll_device(GAMMA).proven] == [0, 0, 0]


def test_deleted_device_begins_anew(bench):
    bench.poll_device(GAMMA, ShareIncrease(30, 0, 30 * 8192.0, 600.0))
    bench.figures.drop_device(MAC)
    assert bench.poll_device(GAMMA).proven[1].shares == 0


def test_defective_counters_change_no_window(bench):
    for increase in (
        ShareIncrease(1e300, 0, 1e300, 5.0),
        ShareIncrease(1, 0, float("inf"), 5.0),
        ShareIncrease(float("nan"), 0, 1, 5.0),
    ):
        bench.poll_device(GAMMA, increase)
    assert [each.shares for each in bench.derived.proven] == [0, 0, 0]
