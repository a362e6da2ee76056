"""Derived figures, warnings and chips of simulated miners: on the device and in /metrics."""

import re

import pytest
from history_helpers import MAC, add_device, feed_reading

from app.schemas.device import DeviceSchema

PROVEN = tuple(f"pluto_device_proven_hashrate_{end}" for end in ("ghs", "low_ghs", "high_ghs"))


def test_device_shows_its_derived_figures_and_chips(testbed):
    service, (miner,) = testbed({"generation": "2.15", "board": "601"}, poll_interval=60.0, rounds=60)
    device, scrape = service.get_device(miner.mac), service.scrape_metrics()
    derived, info = device["derived"], device["info"]
    assert derived["joulesPerTerahash"] == pytest.approx(info["power"] / info["hashRate"] * 1000)
    assert derived["hashratePercent"] == pytest.approx(100 * info["hashRate"] / info["expectedHashrate"])
    assert 0 <= derived["rejectPercent1h"] < 5
    assert 0 < derived["blockProbabilityPerDay"] < 1e-3
    assert derived["expectedBlockSeconds"] == pytest.approx(86400 / derived["blockProbabilityPerDay"], rel=1e-3)
    hour = derived["provenHashrate"]["1h"]
    assert hour["shares"] >= 25 and hour["lowGhs"] < hour["estimateGhs"] < hour["highGhs"]
    assert hour["lowGhs"] < info["hashRate"] < hour["highGhs"]
    (chip,) = device["chips"]
    assert chip == {
        "number": 1,
        "hashrateGhs": info["hashrateMonitor"]["asics"][0]["total"],
        "errors": info["hashrateMonitor"]["asics"][0]["errorCount"],
        "domains": info["hashrateMonitor"]["asics"][0]["domains"],
    }
    assert "warnings" not in device
    series = {
        "pluto_device_hashrate_percent": derived["hashratePercent"],
        "pluto_device_reject_percent": derived["rejectPercent1h"],
        "pluto_device_block_chance_per_day": derived["blockProbabilityPerDay"],
    }
    assert {name: scrape.get_value(name, mac=miner.mac) for name in series} == pytest.approx(series)
    limits = [scrape.get_value(name, mac=miner.mac, window="1h") for name in PROVEN]
    assert limits == pytest.approx([hour["estimateGhs"], hour["lowGhs"], hour["highGhs"]])
    assert scrape.get_value("pluto_device_asic_hashrate_ghs", mac=miner.mac, asic="1") == chip["hashrateGhs"]
    assert scrape.get_value("pluto_device_asic_errors_total", mac=miner.mac, asic="1") == chip["errors"]
    assert "pluto_device_asic_temperature_celsius" not in scrape.list_names()


def test_lines_of_scrape_follow_each_poll(testbed):
    """Lines of the share-proven hashrate are reused between statistics, and replaced with them."""
    service, (miner,) = testbed({"generation": "2.15", "board": "601"}, poll_interval=60.0)
    for _ in range(40):
        service.run_polls(1)
        hour = service.get_device(miner.mac)["derived"]["provenHashrate"]["1h"]
        assert service.scrape_metrics().get_value(PROVEN[0], mac=miner.mac, window="1h") == pytest.approx(
            hour.get("estimateGhs")
        )
    assert hour["shares"] >= 25


def test_too_few_shares_are_said_and_have_no_series(testbed):
    service, (miner,) = testbed("2.12")
    proven = service.get_device(miner.mac)["derived"]["provenHashrate"]
    assert proven["24h"] == {"shares": proven["24h"]["shares"], "reason": "not enough shares"}
    assert not set(PROVEN) & service.scrape_metrics().list_names()


def test_device_that_does_not_answer_has_no_derived_figures(testbed):
    service, (miner,) = testbed("2.15")
    assert {"derived", "chips"} <= service.get_device(miner.mac).keys()
    miner.fault = "refuse"
    service.run_polls(4)
    assert service.get_status(miner.mac) == "offline"
    assert not {"derived", "chips", "warnings"} & service.get_device(miner.mac).keys()
    assert service.scrape_metrics().get_device_values(miner.mac) == {"up": 0}


def test_chips_have_series_of_their_own(testbed):
    service, miners = testbed(
        {"generation": "2.15", "board": "601"}, {"generation": "2.15", "board": "801"}, {"generation": "2.4"}
    )
    scrape = service.scrape_metrics()
    labels = scrape.list_labels("pluto_device_asic_errors_total")
    assert sorted((each["mac"], each["asic"]) for each in labels) == [
        (miners[0].mac, "1"),
        (miners[1].mac, "1"),
        (miners[1].mac, "2"),
    ]
    assert all({"hostname", "model"} < each.keys() for each in labels)
    assert scrape.types["pluto_device_asic_errors"] == "counter"
    headers = re.findall(r"# TYPE (\S+)", scrape.text)
    assert len(headers) == len(set(headers))


def test_stopped_domain_is_named(testbed):
    service, (miner,) = testbed({"generation": "2.15", "board": "801"})
    miner.set_fault("dead_domain", chip=2, domain=1)
    service.run_polls(1)
    since = service.clock.now()
    service.run_polls(13)
    device = service.get_device(miner.mac)
    assert device["warnings"] == [f"chip 2, domain 1: no hashes since {since:%H:%M} UTC"]
    assert device["chips"][1]["domains"][0] == 0
    miner.clear_fault()
    service.run_polls(1)
    assert "warnings" not in service.get_device(miner.mac)


@pytest.mark.parametrize("fault", ["pools_down", "overheat"])
def test_miner_that_does_not_hash_has_no_silent_domains(testbed, fault):
    service, (miner,) = testbed({"generation": "2.15", "board": "601"})
    miner.fault = fault
    service.run_polls(20)
    assert "warnings" not in service.get_device(miner.mac)


def test_false_hashrate_is_contradicted_by_the_shares(testbed):
    service, (false, true) = testbed(*[{"generation": "2.15", "board": "601"}] * 2, poll_interval=60.0)
    false.set_fault("false_hashrate", factor=2.5)
    service.run_polls(200)
    device = service.get_device(false.mac)
    (sentence,) = device["warnings"]
    match = re.fullmatch(r"reports (\S+) TH/s; its shares prove (\S+) to (\S+) TH/s", sentence)
    assert match, sentence
    reported, low, high = map(float, match.groups())
    assert reported == pytest.approx(device["info"]["hashRate"] / 1000, rel=0.05)
    assert low < reported / 2.5 * 1.1 and reported / 2.5 * 0.9 < high < reported
    assert "warnings" not in service.get_device(true.mac)


def test_device_with_derived_figures_matches_its_schema(testbed):
    """DeviceSchema documents what the encoder produces."""
    service, miners = testbed({"generation": "2.15", "board": "801"}, "nerd", poll_interval=60.0, rounds=40)
    for miner in miners:
        device = service.get_device(miner.mac)
        parsed = DeviceSchema(only=("derived", "chips", "warnings"), unknown="raise").load(
            {key: device[key] for key in ("derived", "chips", "warnings") if key in device}, partial=True
        )
        assert parsed["derived"] == device["derived"]


def test_windows_and_warnings_survive_a_restart_of_the_service(make_service, clock):
    """The shares of the last day come from the history: the sentence is there at the first poll."""
    service = make_service(clock=clock)
    add_device(service)

    def feed_minutes(service, minutes, accepted):
        for _ in range(minutes * 4):
            accepted += 1
            feed_reading(service, sharesAccepted=accepted, uptimeSeconds=10 + accepted * 15)
            clock.advance(15)
        return accepted

    accepted = feed_minutes(service, 180, 0)
    before = service.get_device(MAC)
    assert len(before["warnings"]) == 1
    service.stop()
    service = make_service(clock=clock)
    service.runtime.fleet.set_monitored(service.runtime.fleet.get_device(MAC), True)
    feed_minutes(service, 1, accepted)
    after = service.get_device(MAC)
    for window, shares in (("10m", 40), ("1h", 240), ("24h", 720)):
        assert before["derived"]["provenHashrate"][window]["shares"] == pytest.approx(shares, rel=0.1)
        assert after["derived"]["provenHashrate"][window]["shares"] == pytest.approx(shares, rel=0.1)
    assert after["warnings"][0].startswith("reports 1 TH/s; its shares prove 0.2")
