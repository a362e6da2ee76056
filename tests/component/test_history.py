"""The history of devices, the fleet and tags: recording, tiers, restarts. Real LevelDB, fake time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from fakes import FakeClock
from history_helpers import MAC, add_device, feed_minutes, feed_miss, feed_reading, query_history, store_everything
from testbed import Service

from app.models import Status

Make = Callable[..., Any]
OTHER = "02:00:5e:00:00:02"


@pytest.fixture
def service(make_service: Make, clock: FakeClock) -> Service:
    service: Service = make_service(clock=clock)
    service.clock.advance(60 - service.clock.now().timestamp() % 60)  # begin with a whole minute
    add_device(service)
    return service


def test_polls_of_real_devices_are_recorded(make_fleet: Make, make_service: Make, clock: FakeClock) -> None:
    fleet = make_fleet("2.15", "2.4", clock=clock.monotonic)
    service = make_service(fleet, clock=clock)
    service.imprint_miners(*fleet)
    service.client.put("/devices/listen", json={"macs": [miner.mac for miner in fleet]})
    service.run_polls(130)
    answer = query_history(service, fleet.miners[0].mac, metrics="hashrate_ghs,status", start="-10m", points=10)
    assert (answer["tier"], answer["step"], len(answer["times"])) == ("1m", 60, 10)
    rates = answer["metrics"]["hashrate_ghs"]
    for low, mean, high in zip(rates["min"], rates["mean"], rates["max"], strict=True):
        assert 1000 < low < mean < high < 1150
    assert answer["metrics"]["status"] == {"online": [1.0] * 10}
    total = query_history(service, "fleet", metrics="hashrate_ghs,devices_online", start="-10m", points=10)
    assert set(total["metrics"]["devices_online"]["mean"]) == {2.0}
    assert total["metrics"]["hashrate_ghs"]["mean"][5] > rates["mean"][5] + 300


def test_minute_has_minimum_mean_and_maximum_of_its_polls(service: Service) -> None:
    for rate in (900.0, 1000.0, 1100.0, 1200.0):
        feed_reading(service, hashRate=rate)
        service.clock.advance(15)
    answer = query_history(service, metrics="hashrate_ghs", start="-1m", points=1)
    assert answer["metrics"]["hashrate_ghs"] == {"mean": [1050.0], "min": [900.0], "max": [1200.0]}


@pytest.mark.parametrize("stored", [False, True], ids=["in memory", "on disk"])
def test_answer_is_the_same_before_and_after_rollup(service: Service, stored: bool) -> None:
    for rate in range(1000, 1060):
        feed_minutes(service, 1, 15, hashRate=float(rate), sharesAccepted=2 * (rate - 1000))
    feed_minutes(service, 15, 15, hashRate=500.0, sharesAccepted=118)
    service.clock.advance(3 * 3600)
    if stored:
        store_everything(service)
        service.clock.advance(24 * 3600)
        store_everything(service)
    start = service.clock._begin.timestamp() // 60 * 60 + 60
    answer = query_history(service, metrics="hashrate_ghs,shares_accepted", start=start, stop=start + 3600, points=60)
    assert answer["step"] == 60
    assert answer["metrics"]["hashrate_ghs"]["mean"] == [float(rate) for rate in range(1000, 1060)]
    assert answer["metrics"]["shares_accepted"]["sum"] == [0.0] + [2.0] * 59
    quarters = query_history(service, metrics="hashrate_ghs", start=start - 20 * 86400, stop="now", points=2000)
    assert quarters["tier"] == "15m"
    known = [value for value in quarters["metrics"]["hashrate_ghs"]["max"] if value is not None]
    assert max(known) == 1059.0
    assert min(value for value in quarters["metrics"]["hashrate_ghs"]["min"] if value is not None) == 500.0


def test_offline_device_has_no_values_and_no_zeros(service: Service) -> None:
    feed_minutes(service, 2)
    for _ in range(12):
        feed_miss(service)
        service.clock.advance(10)
    feed_minutes(service, 1)
    answer = query_history(service, metrics="hashrate_ghs,shares_accepted,status", start="-5m", points=5)
    assert answer["metrics"]["hashrate_ghs"]["mean"] == [1000.0, 1000.0, None, None, 1000.0]
    assert answer["metrics"]["shares_accepted"]["sum"][2:4] == [None, None]
    assert answer["metrics"]["status"]["offline"][2:4] == [1.0, 1.0]
    assert answer["metrics"]["status"]["online"][1] == 1.0


def test_time_per_status_is_a_share(service: Service) -> None:
    service.clock.advance(1)
    feed_reading(service)
    for at in range(11):
        service.clock.advance(5)
        if at < 3:
            feed_miss(service, status=Status.STALE)
        else:
            feed_reading(service)
    answer = query_history(service, metrics="status", start="-56s", points=1)
    shares = {status: values[0] for status, values in answer["metrics"]["status"].items()}
    assert shares == {"stale": pytest.approx(3 / 11), "online": pytest.approx(8 / 11)}


def test_reboot_and_reset_never_give_negative_shares(service: Service) -> None:
    for accepted, uptime in ((100, 1000), (110, 1005), (3, 4), (5, 9), (0, 14), (2, 19)):
        feed_reading(service, sharesAccepted=accepted, uptimeSeconds=uptime)
        service.clock.advance(5)
    answer = query_history(service, metrics="shares_accepted", start="-1m", points=1)
    assert answer["metrics"]["shares_accepted"]["sum"] == [10 + 3 + 2 + 0 + 2]


def test_implausible_hashrate_is_left_out_and_counted(service: Service) -> None:
    feed_reading(service)
    service.clock.advance(5)
    feed_reading(service, hashRate=953e6, frequency=525, smallCoreCount=2040, asicCount=1)
    service.clock.advance(5)
    feed_reading(service)
    answer = query_history(service, metrics="hashrate_ghs", start="-1m", points=1)
    assert answer["metrics"]["hashrate_ghs"]["max"] == [1000.0]
    assert service.scrape_metrics().get_value("pluto_device_implausible_hashrates_total", mac=MAC) == 1


def test_history_survives_restart_and_counts_shares_of_the_pause(
    service: Service, make_service: Make, clock: FakeClock
) -> None:
    feed_minutes(service, 3, sharesAccepted=50)
    service.stop()
    clock.advance(600)
    again = make_service(clock=clock)
    again.runtime.fleet.set_monitored(again.runtime.fleet.get_device(MAC), True)
    feed_minutes(again, 2, sharesAccepted=62)
    answer = query_history(again, metrics="hashrate_ghs,shares_accepted", start="-15m", points=15)
    assert answer["metrics"]["hashrate_ghs"]["mean"] == [1000.0] * 3 + [None] * 10 + [1000.0] * 2
    assert sum(value or 0 for value in answer["metrics"]["shares_accepted"]["sum"]) == 12


def test_history_survives_new_address_name_and_registration(service: Service) -> None:
    feed_minutes(service, 2)
    fleet = service.runtime.fleet
    fleet.move_device(MAC, "127.80.0.31")
    feed_minutes(service, 1, hostname="renamed")
    service.client.delete(f"/devices/imprint/{MAC}")
    assert service.client.get(f"/devices/{MAC}/history").status_code == 404
    add_device(service)
    feed_minutes(service, 1)
    answer = query_history(service, metrics="hashrate_ghs", start="-4m", points=4)
    assert answer["metrics"]["hashrate_ghs"]["mean"] == [1000.0] * 4


def test_history_is_deleted_with_the_device_if_the_setting_says_so(make_service: Make, clock: FakeClock) -> None:
    service = make_service(clock=clock, delete_data_on_device_remove=True)
    for mac in (MAC, OTHER):
        add_device(service, mac)
    for _ in range(40):
        for mac in (MAC, OTHER):
            feed_reading(service, mac)
        service.clock.advance(300)
    store_everything(service)
    feed_reading(service)
    assert service.client.delete(f"/devices/imprint/{MAC}").status_code == 200
    add_device(service)
    for mac, expected in ((MAC, False), (OTHER, True)):
        answer = query_history(service, mac, metrics="hashrate_ghs", start="-6h", points=24)
        assert any(value is not None for value in answer["metrics"]["hashrate_ghs"]["mean"]) is expected


def test_sums_have_the_number_of_devices_in_them(make_service: Make, clock: FakeClock) -> None:
    service = make_service(clock=clock)
    add_device(service, MAC, "garage")
    add_device(service, OTHER)
    for _ in range(30):
        feed_reading(service, MAC, hashRate=1000.0, power=10.0)
        feed_reading(service, OTHER, hashRate=500.0, power=...)
        service.run_polls()
    names = "hashrate_ghs,power_watts,power_watts_devices,devices_online,efficiency"
    fleet = query_history(service, "fleet", metrics=names, start="-1m", points=1)["metrics"]
    assert {name: values["mean"] for name, values in fleet.items()} == {
        "hashrate_ghs": [1500.0],
        "power_watts": [10.0],
        "power_watts_devices": [1.0],
        "devices_online": [2.0],
        "efficiency": [10.0],
    }
    tag = query_history(service, "fleet", tag="garage", metrics="hashrate_ghs", start="-1m", points=1)
    assert tag["metrics"]["hashrate_ghs"]["mean"] == [1000.0]
    assert service.client.get("/history?tag=attic").status_code == 404


def test_tiers_by_range(service: Service) -> None:
    feed_minutes(service, 1)
    for start, points, expected in (
        ("-30m", 360, ("raw", 5)),
        ("-24h", 500, ("1m", 180)),
        ("-300d", 500, ("15m", 52200)),
    ):
        answer = query_history(service, metrics="hashrate_ghs", start=start, points=points)
        assert (answer["tier"], answer["step"]) == expected
        assert len(answer["times"]) <= points


def test_disabled_history_records_nothing_and_says_so(make_service: Make, clock: FakeClock) -> None:
    service = make_service(clock=clock, history_raw_hours=0, history_1m_days=0, history_15m_days=0)
    add_device(service)
    feed_minutes(service, 6)
    answer = query_history(service, metrics="hashrate_ghs", start="-5m", points=5)
    assert answer["metrics"]["hashrate_ghs"]["mean"] == [None] * 5
    (store,) = [each for each in service.read_data(service.client.get("/admin/store")) if "history" in each]
    assert store["history"]["recording"] is False
    assert "HISTORY_RAW_HOURS" in store["history"]["problem"]


def feed_shares(service: Service, minutes: int, shares_per_minute: int, **values: Any) -> None:
    """Record polls of a device that finds shares of difficulty 1,000 at a constant rate, from 0 on."""
    for poll in range(minutes * 4):
        feed_reading(service, sharesAccepted=poll * shares_per_minute // 4, uptimeSeconds=10 + poll * 15, **values)
        service.clock.advance(15)


@pytest.mark.parametrize("later_seconds", [0, 3 * 3600, 3 * 86400], ids=["raw", "1m", "15m"])
def test_shares_prove_the_hashrate_in_each_tier(service: Service, later_seconds: int) -> None:
    begin = service.clock.now().timestamp()
    feed_shares(service, 240, 12)
    service.clock.advance(later_seconds)
    store_everything(service)
    answer = query_history(
        service, metrics="proven_hashrate_ghs", start=begin + 2 * 3600, stop=begin + 4 * 3600, points=8
    )
    assert answer["step"] == 900
    proven = answer["metrics"]["proven_hashrate_ghs"]
    per_hour = 12 * 60  # each point is about the hour before its end
    for low, mean, high in zip(proven["low"], proven["mean"], proven["high"], strict=True):
        assert mean == pytest.approx(per_hour * 1000 * 2**32 / 3600 / 1e9, rel=0.003)
        assert low < 0.95 * mean < 1.05 * mean < high


def test_few_shares_prove_nothing(service: Service) -> None:
    feed_shares(service, 60, 4)
    service.clock.advance(60)
    answer = query_history(service, metrics="proven_hashrate_ghs", start="-30m", points=30)
    assert None not in answer["metrics"]["proven_hashrate_ghs"]["mean"]
    answer = query_history(service, metrics="proven_hashrate_ghs", start="-62m", points=62)
    means = answer["metrics"]["proven_hashrate_ghs"]["mean"]
    assert means[:6] == [None] * 6
    assert means[10] is not None


def monitor_chips(*rows: tuple[float, float]) -> dict[str, Any]:
    return {"hashrateMonitor": {"asics": [{"total": rate, "errorCount": errors} for rate, errors in rows]}}


def test_chips_are_recorded_once_a_minute(service: Service) -> None:
    for minute in range(4):
        for _ in range(4):
            feed_reading(service, asicTemps=[50 + minute, 0], **monitor_chips((500.0, 7 + minute), (480.0, 3)))
            service.clock.advance(15)
    answer = query_history(
        service,
        metrics="chip1_hashrate_ghs,chip2_hashrate_ghs,chip1_errors,chip1_temperature_celsius,"
        "chip2_temperature_celsius,chip3_hashrate_ghs,hashrate_ghs",
        start="-4m",
        points=48,
    )
    assert (answer["tier"], answer["step"]) == ("raw", 60)
    metrics = answer["metrics"]
    assert metrics["chip1_hashrate_ghs"]["mean"] == [500.0] * 4
    assert metrics["chip2_hashrate_ghs"]["max"] == [480.0] * 4
    assert metrics["chip1_errors"]["sum"][1:] == [1.0, 1.0, 1.0]
    assert metrics["chip1_temperature_celsius"]["mean"] == [50.0, 51.0, 52.0, 53.0]
    assert metrics["chip2_temperature_celsius"]["mean"] == [None] * 4
    assert metrics["chip3_hashrate_ghs"]["mean"] == [None] * 4
    assert metrics["hashrate_ghs"]["mean"] == [1000.0] * 4


def test_chips_that_appear_and_vanish_leave_the_other_values_alone(service: Service) -> None:
    """AxeOS reports no chips before its first job, and firmware can be changed."""
    for chips in ((), ((500.0, 7.0),), ((500.0, 2.0), (400.0, 1.0)), ()):
        feed_reading(service, **monitor_chips(*chips))
        service.clock.advance(60)
    names = "hashrate_ghs,shares_accepted,chip1_hashrate_ghs,chip2_hashrate_ghs,chip1_errors"
    for _ in range(2):  # from memory, then from the disk
        metrics = query_history(service, metrics=names, start="-4m", points=4)["metrics"]
        assert metrics["hashrate_ghs"]["mean"] == [1000.0] * 4
        assert metrics["chip1_hashrate_ghs"]["mean"] == [None, 500.0, 500.0, None]
        assert metrics["chip2_hashrate_ghs"]["mean"] == [None, None, 400.0, None]
        assert metrics["chip1_errors"]["sum"] == [None, None, 2.0, None]  # 2 after a reboot, not 2 - 7
        store_everything(service)


def test_most_chips_of_a_hostile_answer_are_not_recorded(service: Service) -> None:
    feed_reading(service, **monitor_chips(*[(1.0, 0.0)] * 64))
    service.clock.advance(60)
    metrics = query_history(service, metrics="chip16_hashrate_ghs", start="-1m", points=1)["metrics"]
    assert metrics["chip16_hashrate_ghs"]["mean"] == [1.0]
    response = service.client.get(f"/devices/{MAC}/history?metrics=chip17_hashrate_ghs")
    assert response.status_code == 400


def test_hashrate_percent_is_of_the_product_if_the_firmware_states_no_expectation(service: Service) -> None:
    product = {"smallCoreCount": 2040, "asicCount": 2, "frequency": 500}  # 2,040 GH/s
    feed_reading(service, hashRate=1020.0, expectedHashrate=..., **product)
    service.clock.advance(60)
    metrics = query_history(service, metrics="hashrate_percent,expected_hashrate_ghs", start="-1m", points=1)["metrics"]
    assert metrics["hashrate_percent"]["mean"] == [50.0]
    assert metrics["expected_hashrate_ghs"]["mean"] == [None]


def test_hashrate_percent_of_the_fleet_counts_only_devices_with_an_expectation(
    make_service: Make, clock: FakeClock
) -> None:
    service = make_service(clock=clock)
    for mac, values in ((MAC, {"hashRate": 900.0, "expectedHashrate": 1000.0}), (OTHER, {"expectedHashrate": ...})):
        add_device(service, mac)
        feed_reading(service, mac, **values)
    service.clock.advance(5)
    service.wait_until_idle()
    service.clock.advance(55)
    metrics = query_history(service, "fleet", metrics="hashrate_percent,hashrate_ghs", start="-2m", points=1)["metrics"]
    assert metrics["hashrate_percent"]["mean"] == [90.0]
    assert metrics["hashrate_ghs"]["mean"] == [1900.0]


@pytest.mark.parametrize("points", [1, 2, 3, 24, 1440])
def test_answer_covers_the_range_whatever_the_number_of_points(service: Service, points: int) -> None:
    """At ten past a full hour, so that no long step is aligned with the range."""
    service.clock.advance(3600 * 24 - service.clock.now().timestamp() % 86400 + 600)
    for minute in range(24 * 60 + 1):
        feed_reading(service, sharesAccepted=minute)
        service.clock.advance(60)
        service.wait_until_idle()
    answer = query_history(service, metrics="shares_accepted", start="-24h", points=points)
    assert len(answer["times"]) <= points
    assert sum(value or 0 for value in answer["metrics"]["shares_accepted"]["sum"]) == pytest.approx(1440, abs=15)


@pytest.mark.parametrize("interval", [90.0, 300.0])
def test_slow_polls_are_no_gaps(make_service: Make, clock: FakeClock, interval: float) -> None:
    service = make_service(clock=clock, poll_interval=interval)
    add_device(service)
    for _ in range(int(7200 / interval)):
        feed_reading(service)
        clock.advance(interval)
    answer = query_history(service, metrics="hashrate_ghs,status", start="-100m", points=100)
    assert answer["metrics"]["hashrate_ghs"]["mean"].count(None) <= 1
    assert set(answer["metrics"]["status"]["online"][1:-1]) == {1.0}


def test_tag_does_not_contain_the_samples_of_a_longer_one(make_service: Make, clock: FakeClock) -> None:
    service = make_service(clock=clock)
    add_device(service, MAC, "rack")
    add_device(service, OTHER, "rack:1", "twice", "twice")
    for _ in range(24):
        feed_reading(service, MAC, hashRate=100.0)
        feed_reading(service, OTHER, hashRate=1000.0)
        clock.advance(5)
        service.wait_until_idle()
    service.runtime.history.flush_samples()
    for tag, rate in (("rack", 100.0), ("rack:1", 1000.0), ("twice", 1000.0)):
        answer = query_history(service, "fleet", tag=tag, metrics="hashrate_ghs,devices_online", start="-1m", points=1)
        assert answer["metrics"]["hashrate_ghs"]["max"] == [rate]
        assert answer["metrics"]["devices_online"]["max"] == [1.0]


def test_percentage_of_a_step_in_which_the_expectation_changed(service: Service) -> None:
    for rate in (500.0, 1000.0):
        feed_minutes(service, 5, hashRate=rate, expectedHashrate=rate)
    answer = query_history(service, metrics="hashrate_percent", start="-10m", points=1)
    assert answer["metrics"]["hashrate_percent"]["mean"] == [100.0]


def test_longest_relative_time_is_a_range_without_samples(service: Service) -> None:
    feed_minutes(service, 2)
    answer = query_history(service, metrics="hashrate_ghs", start="-999999w", points=2)
    assert answer["metrics"]["hashrate_ghs"]["mean"][-1] == 1000.0
    assert service.client.get(f"/devices/{MAC}/history?from=-5h&to=-999999w").status_code == 400


def test_raised_retention_hides_no_coarser_samples(make_service: Make, clock: FakeClock) -> None:
    days = {"history_1m_days": 7}
    service = make_service(clock=clock, **days)
    add_device(service)
    for _ in range(4 * 96):
        feed_reading(service)
        clock.advance(900)
    for each in (1, 7):
        store_everything(service)
        service.stop()
        service = make_service(clock=clock, history_1m_days=each)
    store_everything(service)
    answer = query_history(service, metrics="hashrate_ghs", start="-4d", points=500)
    assert answer["tier"] == "15m"
    assert answer["metrics"]["hashrate_ghs"]["mean"].count(None) < 10
