"""GET /metrics, contract §3: the exposition for Prometheus."""

import json

import orjson
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from app.miners.measures import MEASURED_FIELDS
from app.models import Observation, Reading, Status
from app.redaction.json_objects import redact_object
from simulator import GENERATIONS

FLEET_SERIES = ["total_hardware", "hardware_online", "hardware_offline", "total_hashrate", "average_hashrate",
"total_power_watts", "total_efficiency",
            "pluto_fleet_efficiency_joules_per_terahash"]  # fmt: skip
LEGACY_SUFFIXES = ["power_watts", "voltage_volts", "current_amps", "fanspeed_rpm", "temperature_celsius",
"hashrate_ghs", "shares_accepted", "shares_rejected", "uptime_seconds",
          "free_heap_bytes", "core_voltage_volts", "core_voltage_actual_volts", "frequency_mhz",
          "efficiency"]  # fmt: skip
# Exported since a later version of the Node backend; not every firmware reports them.
LATER_LEGACY_SUFFIXES = ["vr_temperature_celsius", "free_heap_internal_bytes", "free_heap_spiram_bytes"]


@pytest.mark.parametrize(
    "accept",
    [None, "*/*", "text/plain", "application/openmetrics-text; version=1.0.0", "application/json", "text/html"],
)
def test_content_type_is_always_text_format(testbed, accept):
    service, _ = testbed()
    response = service.client.get("/metrics", headers={"Accept": accept} if accept else {})
    assert (response.status_code, response.content_type) == (200, "text/plain; version=0.0.4; charset=utf-8")


@pytest.mark.parametrize("count", [0, 1, 3])
def test_exposition_parses_for_any_fleet_size(testbed, count):
    """Also before the first answers: a total of no devices is 0, an average of none is absent."""
    service, fleet = testbed(*["2.12"] * count, rounds=0)
    scrape = service.scrape_metrics()
    assert (
        scrape.get_value("total_hardware"),
        scrape.get_value("hardware_online"),
        scrape.get_value("total_hashrate"),
    ) == (
        count,
        0,
        0,
    )
    assert "average_hashrate" not in scrape.list_names()
    service.run_polls(2)
    assert service.scrape_metrics().get_value("hardware_online") == count


def test_fleet_totals(testbed):
    """Defects 43, 44, 46, 47 and 50 of the Node backend."""
    service, fleet = testbed("2.12", "2.15", "2.4", "nerd", "2.1")
    infos = [miner.read_info() for miner in fleet]
    hashrate, power = (sum(info[key] for info in infos) for key in ("hashRate", "power"))
    scrape = service.scrape_metrics()
    expected = [5, 5, 0, hashrate, hashrate / 5, power, hashrate / power, power / (hashrate / 1000)]
    assert [scrape.get_value(name) for name in FLEET_SERIES] == pytest.approx(expected)
    versions = {tuple(sorted(labels.values())) for labels in scrape.list_labels("firmware_version_distribution")}
    assert versions == {(info["version"],) for info in infos}
    assert scrape.get_value("shares_by_pool_accepted", pool="public-pool.io:3333") == sum(
        info["sharesAccepted"] for info in infos
    )


def test_pool_series_are_labelled_and_end_with_last_miner(testbed):
    """Defects 43 and 44: an unlabelled duplicate doubled every sum, and series of unused pools stayed."""
    pools = [
        ("solo.ckpool.org", 3333),
        ("solo.ckpool.org", 4334),
        ("MINE.ocean.xyz", 3334),
        ("umbrel.local", 2018),
        ("my.pool", 1),
    ]
    specs = [{"generation": "2.4", "settings": {"stratumURL": url, "stratumPort": port}} for url, port in pools]
    service, fleet = testbed(*specs)
    for name in ("shares_by_pool_accepted", "shares_by_pool_rejected"):
        labels = service.scrape_metrics().list_labels(name)
        assert sorted(each["pool"] for each in labels) == [
            "CKPool High Diff",
            "CKPool Main",
            "Ocean Main",
            "Public Pool Local",
            "my.pool:1",
        ]
        assert all(each.keys() == {"pool"} for each in labels)
        assert service.scrape_metrics().types[name] == "gauge"
    fleet[4].power_off()
    service.client.delete(f"/devices/imprint/{fleet[3].mac}")
    service.run_polls(4)
    assert {each["pool"] for each in service.scrape_metrics().list_labels("shares_by_pool_accepted")} == {
        "CKPool High Diff",
        "CKPool Main",
        "Ocean Main",
    }


@pytest.mark.parametrize("generation", GENERATIONS)
def test_legacy_names_equal_our_series(testbed, generation):
    service, (miner,) = testbed({"generation": generation, "hostname": "my-bitaxe.1"})
    hostname = service.get_device(miner.mac)["info"].get("hostname")
    prefix = "my__bitaxe__1" if hostname else "_"
    scrape = service.scrape_metrics()
    ours = scrape.get_device_values(miner.mac)
    suffixes = [*LEGACY_SUFFIXES, *LATER_LEGACY_SUFFIXES]
    assert {suffix: scrape.get_value(f"{prefix}_{suffix}") for suffix in suffixes} == {
        suffix: ours.get(suffix) for suffix in suffixes
    }
    assert len({*LEGACY_SUFFIXES} & ours.keys()) == 14
    assert all(not labels for suffix in suffixes for labels in scrape.list_labels(f"{prefix}_{suffix}"))


def test_later_legacy_names_have_firmware_values(testbed):
    """The current frontend of the Node project reads these by hostname."""
    service, (modern, old) = testbed(
        {"generation": "2.15", "hostname": "modern"}, {"generation": "2.4", "hostname": "old"}
    )
    answer, scrape = modern.read_info(), service.scrape_metrics()
    fields = dict(zip(LATER_LEGACY_SUFFIXES, ("vrTemp", "freeHeapInternal", "freeHeapSpiram"), strict=True))
    assert {suffix: scrape.get_value(f"modern_{suffix}") for suffix in fields} == {
        suffix: answer[field] for suffix, field in fields.items()
    }
    assert scrape.get_value("pluto_device_free_heap_spiram_bytes", mac=modern.mac) == answer["freeHeapSpiram"]
    assert old.read_info()["vrTemp"] == 0
    assert not {f"old_{suffix}" for suffix in fields} & scrape.list_names()


def test_legacy_names_can_be_turned_off(testbed):
    service, (miner,) = testbed({"hostname": "attic"}, metrics_legacy_names=False)
    names = service.scrape_metrics().list_names()
    assert not [name for name in names if name.startswith("attic")]
    assert {*FLEET_SERIES, "pluto_device_power_watts"} <= names


def test_labels_of_hostile_miner_are_escaped(testbed):
    hostile_miner = 'a"} 1\nup{x="\\ \x00\x1b[31m\r\u2028é'
    settings = {"stratumURL": hostile_miner, "stratumPort": 1}
    service, (miner,) = testbed({"generation": "2.4", "hostname": hostile_miner, "settings": settings})
    scrape = service.scrape_metrics()
    (labels,) = scrape.list_labels("pluto_device_info")
    assert labels["hostname"].startswith('a"} 1up{x="\\ ')
    assert not [letter for letter in scrape.text if ord(letter) < 32 and letter != "\n"]
    assert scrape.get_value("pluto_device_power_watts", mac=miner.mac) == miner.read_info()["power"]


def test_metrics_of_the_service_itself(testbed):
    service, (miner, other) = testbed("2.12", "2.12")
    other.fault = "refuse"
    service.run_polls(3)
    scrape = service.scrape_metrics()
    assert scrape.get_value("pluto_polls_total", outcome="ok") == 7
    assert scrape.get_value("pluto_polls_total", outcome="failed") == 3
    assert scrape.get_value("pluto_poll_failures_total", reason="unreachable") == 3
    assert scrape.get_value("pluto_poll_duration_seconds_count") == 10
    assert scrape.get_value("pluto_poll_lateness_seconds_count") >= 10
    assert scrape.get_value("pluto_store_write_batches") >= 1
    assert scrape.get_value("pluto_socket_clients") == 0
    assert scrape.get_value("pluto_monitor_crashes_total") == 0
    assert scrape.list_labels("pluto_build_info")[0]["version"]


def test_http_metrics_are_labelled_by_route_not_by_path(testbed):
    service, (miner,) = testbed("2.12")
    for path in (
        f"/devices/imprint/{miner.mac}",
        "/devices/imprint/02:00:5e:00:00:99",
        "/wp-login.php",
        "/unknown/abc",
    ):
        service.client.get(path)
    text = service.scrape_metrics().text
    http = [line for line in text.splitlines() if line.startswith("flask_http_request")]
    assert any('url_rule="/devices/imprint/<mac>"' in line for line in http)
    assert not [line for line in http if miner.mac in line or "wp-login" in line or "abc" in line or ":99" in line]


def test_devices_not_monitored_have_no_series(testbed):
    service, (one, other) = testbed("2.12", "2.12")
    service.read_data(service.client.put("/devices/listen", json={"macs": [one.mac]}))
    scrape = service.scrape_metrics()
    assert not scrape.get_device_values(other.mac)
    assert scrape.get_value("total_hardware") == 1


def test_every_family_has_help_text_with_unit(testbed):
    service, _ = testbed("2.15")
    lines = service.scrape_metrics().text.splitlines()
    help_texts = {line.split(" ", 3)[2]: line.split(" ", 3)[3] for line in lines if line.startswith("# HELP")}
    type_names = [line.split(" ")[2] for line in lines if line.startswith("# TYPE")]
    assert len(type_names) == len(set(type_names))
    assert "GH/s per W" in help_texts["total_efficiency"]
    assert "J/TH" in help_texts["pluto_device_efficiency"]
    assert all(len(text) > 8 for text in help_texts.values())


TEXTS = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=80)
VALUES = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | TEXTS
    | st.lists(st.integers(), max_size=2)
)
FIELDS = [
    *MEASURED_FIELDS,
    "hostname",
    "version",
    "boardVersion",
    "ASICModel",
    "deviceModel",
    "stratumURL",
    "stratumPort",
]


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.dictionaries(st.sampled_from(FIELDS), VALUES, max_size=8), min_size=2, max_size=2))
@example([{"hashRate": 1e308, "power": 1e308}, {"hashRate": 1e308, "power": 5e-324}])
@example([{"hashRate": 5e-324, "power": 1}, {}])
def test_generated_answers_never_break_exposition_or_page(two_miners, bodies):
    service, fleet = two_miners
    for miner, body in zip(fleet, bodies, strict=True):
        answer = orjson.loads(
            json.dumps(body).replace("NaN", "null").replace("-Infinity", "null").replace("Infinity", "null")
        )
        tracked = service.runtime.fleet.get_device(miner.mac)
        assert service.runtime.fleet.record_observation(
            tracked, Observation(Status.ONLINE, Reading(redact_object(answer), miner.mac, service.clock.now()))
        )
    scrape = service.scrape_metrics()
    assert scrape.get_value("hardware_online") == 2
    assert all(
        abs(value) != float("inf") and value == value
        for (name, labels), value in scrape.items()
        if not dict(labels).get("le")
    )
    assert not [letter for letter in scrape.text if ord(letter) < 32 and letter != "\n"]
    assert service.client.get("/").status_code == 200
    assert service.client.get("/devices/imprint").status_code == 200


@pytest.fixture
def two_miners(testbed):
    return testbed("2.12", "2.12")


def test_values_chosen_by_caller_create_no_series(testbed):
    """Methods, paths, hosts and Socket.IO's sids: only the first of each kind may add series. 200 methods added 4,000
    series."""
    service, _ = testbed()

    def send_requests(number):
        for path in ("/healthz", f"/none/{number}", f"/devices/{number}", "/socket/io/?EIO=4&transport=polling&sid=1"):
            service.client.open(path, method=f"METHOD{number}")
            service.client.open(path, method=f"get{number}")
            service.client.get(path, headers={"Host": f"miner{number}.example.org"})

    send_requests(0)
    service.scrape_metrics()
    before = len(service.scrape_metrics())
    for number in range(1, 20):
        send_requests(number)
    after = service.scrape_metrics()
    assert len(after) == before
    assert {labels["method"] for labels in after.list_labels("flask_http_request_total")} <= {"GET"}
