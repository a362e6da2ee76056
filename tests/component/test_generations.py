"""Every firmware generation, registered, polled and exported: the right numbers in the right units, and no invented
ones."""

import json
import math

import pytest

from simulator import GENERATIONS

# /metrics suffix → the firmware's field and its divisor. Written from what the firmware does, not from the code.
FIELDS_AND_DIVISORS = {
    "power_watts": ("power", 1),
    "voltage_volts": ("voltage", 1000),
    "current_amps": ("current", 1000),
    "hashrate_ghs": ("hashRate", 1),
    "hashrate_1m_ghs": ("hashRate_1m", 1),
    "hashrate_10m_ghs": ("hashRate_10m", 1),
    "hashrate_1h_ghs": ("hashRate_1h", 1),
    "expected_hashrate_ghs": ("expectedHashrate", 1),
    "error_percent": ("errorPercentage", 1),
    "temperature_celsius": ("temp", 1),
    "frequency_mhz": ("frequency", 1),
    "actual_frequency_mhz": ("actualFrequency", 1),
    "core_voltage_volts": ("coreVoltage", 1000),
    "core_voltage_actual_volts": ("coreVoltageActual", 1000),
    "uptime_seconds": ("uptimeSeconds", 1),
    "free_heap_bytes": ("freeHeap", 1),
    "free_heap_spiram_bytes": ("freeHeapSpiram", 1),
    "shares_accepted": ("sharesAccepted", 1),
    "shares_rejected": ("sharesRejected", 1),
    "fan_percent": ("fanspeed", 1),
    "wifi_rssi_dbm": ("wifiRSSI", 1),
    "max_power_watts": ("maxPower", 1),
    "mining_paused": ("miningPaused", 1),
    "overheat": ("overheat_mode", 1),
    "cpu_percent": ("cpuUsage", 1),
}
UNIT_FACTORS = {"k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}
KEEP_ALIVE_GENERATIONS = {"2.10", "2.12", "2.15"}


@pytest.fixture
def polled_miner(make_fleet, make_service, clock):
    def poll(generation, rounds=3, **spec):
        fleet = make_fleet({"generation": generation, **spec}, clock=clock.monotonic)
        service = make_service(fleet, clock=clock)
        service.imprint_miners(fleet[0])
        service.run_polls(rounds)
        return service, fleet[0]

    return poll


@pytest.mark.parametrize("generation", GENERATIONS)
def test_numbers_are_exported_in_base_units(polled_miner, generation):
    service, miner = polled_miner(generation)
    answer, exported = miner.read_info(), service.scrape_metrics().get_device_values(miner.mac)
    expected = {
        suffix: answer[field] / unit for suffix, (field, unit) in FIELDS_AND_DIVISORS.items() if field in answer
    }
    assert len(expected) > 12
    assert {suffix: exported.get(suffix) for suffix in expected} == pytest.approx(expected, rel=1e-9)
    assert exported["up"] == 1
    assert exported["efficiency"] == pytest.approx(answer["power"] / (answer["hashRate"] / 1000), rel=1e-9)
    unknown = {suffix for suffix, (field, _) in FIELDS_AND_DIVISORS.items() if field not in answer}
    assert not unknown & exported.keys()
    assert all(map(math.isfinite, exported.values()))


@pytest.mark.parametrize("generation", GENERATIONS)
def test_renamed_or_retyped_fields_are_exported(polled_miner, generation):
    service, miner = polled_miner(generation)
    answer, exported = miner.read_info(), service.scrape_metrics().get_device_values(miner.mac)
    assert exported["fanspeed_rpm"] == answer["fanSpeed" if generation == "2.1" else "fanrpm"]
    assert exported["best_difficulty"] == pytest.approx(parse_difficulty(answer["bestDiff"]))
    if "stratumDiff" in answer or "poolDifficulty" in answer:
        assert exported["pool_difficulty"] == answer.get("poolDifficulty", answer.get("stratumDiff"))
    pings = answer.get("responseTime", answer.get("lastpingrtt"))
    assert exported.get("pool_response_seconds") == (None if pings is None else pytest.approx(pings / 1000))


def parse_difficulty(value):
    """Parse "5.56G", "572.14 M", "1e+03k" or 5e9."""
    text = str(value).replace(" ", "")
    return float(text[:-1]) * UNIT_FACTORS[text[-1]] if text[-1] in UNIT_FACTORS else float(text)


@pytest.mark.parametrize("generation", GENERATIONS)
def test_device_in_rest_answer_equals_firmware_answer(polled_miner, generation):
    service, miner = polled_miner(generation)
    device, answer = service.get_device(miner.mac), miner.read_info()
    assert (device["mac"], device["ip"], device["type"]) == (miner.mac, miner.address, "unknown")
    assert (device["tracing"], device["stale"], device["status"]) == (True, False, "online")
    difficulty = answer.get("poolDifficulty", answer.get("stratumDiff"))
    added = {"frequencyOptions", "coreVoltageOptions"} | ({"currentDiff"} if difficulty else set())
    assert device["info"].keys() - answer.keys() == added
    assert device["info"].get("currentDiff") == difficulty
    assert '""' not in json.dumps(device["info"])
    empty = {key for key, value in answer.items() if value == ""}
    assert {key: value for key, value in device["info"].items() if key not in added | {"pools"}} == {
        key: value for key, value in answer.items() if key not in empty | {"pools"}
    }
    assert "assword" not in str(device)


@pytest.mark.parametrize("generation", GENERATIONS)
def test_keep_alive_per_generation_and_single_asic_request(polled_miner, generation):
    """From AxeOS 2.10 one connection serves all polls; older versions have too few sockets, and NerdOS closes by
    itself. Defects 29 and 30 of the Node backend: requests to one device were not limited."""
    service, miner = polled_miner(generation, rounds=6)
    polls = miner.requests["GET", "/api/system/info"]
    assert polls == 6 == service.count_observations(miner.mac)
    asics = miner.requests["GET", "/api/system/asic"]
    assert asics == 1  # old firmware answers with a redirect, which counts as an answer
    assert miner.max_in_flight == 1
    if generation in KEEP_ALIVE_GENERATIONS:
        # The generation is known after the first answer, so the first poll may need its own connection.
        assert miner.connections_accepted <= 2
        assert miner.connections_open == 1
    else:
        assert miner.connections_accepted == polls + asics


@pytest.mark.parametrize(
    ("generation", "board", "model"),
    [("2.12", "601", "Gamma"), ("2.15", "801", "GammaTurbo"), ("2.7", "302", "Hex"), ("2.4", "204", "Ultra"), ("2.10",
     "401", "Supra"),
     ("2.1", "0.11", "Ultra"), ("2.10", "102", "Max"), ("2.15", "650", "GammaDuo"), ("2.12", "701", "SupraHex"),
     ("nerd", "nerdqaxe+", "NerdQAxe+")],
)  # fmt: skip
def test_model_is_exported_as_label(polled_miner, generation, board, model):
    service, miner = polled_miner(generation, rounds=1, board=board)
    (labels,) = service.scrape_metrics().list_labels("pluto_device_power_watts")
    assert labels == {
        "mac": miner.mac,
        "hostname": service.get_device(miner.mac)["info"].get("hostname", ""),
        "model": model,
    }


@pytest.mark.parametrize("generation", ["2.4", "2.7", "2.15", "nerd", "nerd1.0.36"])
def test_options_come_from_device_or_from_vendor_table(polled_miner, generation):
    """Defect 41: the Node backend had a table of four chips and never requested /asic. Firmware without /asic uses the
    table of AxeOS 2.15."""
    service, miner = polled_miner(generation)
    info, chip = service.get_device(miner.mac)["info"], miner.board.chip
    assert info["frequencyOptions"] == [{"label": str(value), "value": value} for value in chip.frequencies]
    assert info["coreVoltageOptions"] == [{"label": str(value), "value": value} for value in chip.voltages]
    source = service.runtime.fleet.get_device(miner.mac).vendor_options.source
    assert source == ("device" if miner.generation.has_asic else "table")


@pytest.mark.parametrize(("board", "generation"), [("601", "2.15"), ("204", "2.12")])
def test_missing_second_chip_and_regulator_sensor_are_not_exported(polled_miner, board, generation):
    """temp2 is -1 without a second chip; vrTemp is 0 on boards with an INA260."""
    service, miner = polled_miner(generation, board=board)
    exported = service.scrape_metrics().get_device_values(miner.mac)
    assert miner.read_info()["temp2"] == -1
    assert "temperature2_celsius" not in exported
    assert ("vr_temperature_celsius" in exported) == (not miner.board.ina260)
