"""Every query of every panel, on a real Prometheus that scrapes the real service over twelve simulated miners.

Each query returns data, the data matches the miners' own, and there is none of a removed miner.
"""

from __future__ import annotations

import re
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from processes import ROOT, Process, ServiceProcess, SimulatorProcess, find_free_port, wait_for

from app.services.dashboards.boards import device_board_uid
from app.services.dashboards.templates import Templates

Info = dict[str, Any]
Labels = frozenset[tuple[str, str]]
QueryResult = dict[Labels, float]
PROMETHEUS = ROOT / "deploy/prometheus"

# Metric family → the firmware's field, its divisor, and the values that mean "unknown".
FIELDS: dict[str, tuple[str, float, tuple[float, ...]]] = {
    "hashrate_ghs": ("hashRate", 1, ()),
    "hashrate_10m_ghs": ("hashRate_10m", 1, ()),
    "hashrate_1h_ghs": ("hashRate_1h", 1, ()),
    "expected_hashrate_ghs": ("expectedHashrate", 1, ()),
    "power_watts": ("power", 1, ()),
    "uptime_seconds": ("uptimeSeconds", 1, ()),
    "temperature_celsius": ("temp", 1, (-1,)),
    "temperature2_celsius": ("temp2", 1, (-1, 0)),
    "vr_temperature_celsius": ("vrTemp", 1, (-1, 0)),
    "target_temperature_celsius": ("temptarget", 1, ()),
    "fanspeed_rpm": ("fanrpm", 1, ()),
    "fan_percent": ("fanspeed", 1, ()),
    "wifi_rssi_dbm": ("wifiRSSI", 1, (-90,)),
    "voltage_volts": ("voltage", 1000, ()),
    "core_voltage_volts": ("coreVoltage", 1000, ()),
    "core_voltage_actual_volts": ("coreVoltageActual", 1000, ()),
    "frequency_mhz": ("frequency", 1, ()),
    "actual_frequency_mhz": ("actualFrequency", 1, ()),
    "shares_accepted": ("sharesAccepted", 1, ()),
    "shares_rejected": ("sharesRejected", 1, ()),
    "using_fallback_pool": ("isUsingFallbackStratum", 1, ()),
    "free_heap_bytes": ("freeHeap", 1, ()),
    "free_heap_internal_bytes": ("freeHeapInternal", 1, ()),
}


def expected_value(info: Info, family: str) -> float | None:
    if family == "up":
        return 1.0
    if family == "efficiency":
        power, hashrate = expected_value(info, "power_watts"), expected_value(info, "hashrate_ghs")
        return power / hashrate * 1000 if power is not None and hashrate else None
    field, scale, unknown = FIELDS[family]
    names = {"fanrpm": ("fanrpm", "fanSpeedRpm", "fanSpeed"), "temptarget": ("temptarget", "pidTargetTemp")}.get(
        field, (field,)
    )
    value = next((info[name] for name in names if name in info), None)
    return None if value is None or float(value) in unknown else float(value) / scale


def percent_of_expected(info: Info) -> float | None:
    now, expected = expected_value(info, "hashrate_10m_ghs"), expected_value(info, "expected_hashrate_ghs")
    now = expected_value(info, "hashrate_ghs") if now is None else now
    return 100 * now / expected if now is not None and expected else None


def percent_rejected(info: Info) -> float | None:
    accepted, rejected = expected_value(info, "shares_accepted"), expected_value(info, "shares_rejected")
    return None if accepted is None or rejected is None else 100 * rejected / max(accepted + rejected, 1)


def expected_value_of_query(expression: str) -> Callable[[Info], float | None]:
    """Return the function that computes a query's expected value from the miner's `/info`."""
    if "resets(" in expression:
        return lambda info: 0.0
    if "pluto_device_info" in expression:
        return lambda info: 1.0
    families = dict.fromkeys(re.findall(r"pluto_device_(\w+)", expression))
    if set(families) == {"hashrate_10m_ghs", "hashrate_ghs", "expected_hashrate_ghs"}:
        return percent_of_expected
    if set(families) == {"shares_accepted", "shares_rejected"}:
        return percent_rejected
    [family] = families
    return lambda info: expected_value(info, family)


class ScrapedService:
    """The service, its miners and the Prometheus that scrapes it."""

    def __init__(self, service: ServiceProcess, miners: SimulatorProcess, url: str) -> None:
        self.service, self.miners, self._url = service, miners, url

    def run_query(self, expression: str) -> QueryResult:
        text = expression.replace("$__rate_interval", "20s")
        answer = requests.get(f"{self._url}/api/v1/query", params={"query": text}, timeout=10).json()
        assert answer["status"] == "success", (text, answer)
        return {frozenset(row["metric"].items()): float(row["value"][1]) for row in answer["data"]["result"]}

    def query_range(self, expression: str) -> list[Any]:
        now = float(
            requests.get(f"{self._url}/api/v1/query", params={"query": "time()"}, timeout=10).json()["data"]["result"][
                1
            ]
        )
        params = {"query": expression.replace("$__rate_interval", "20s"), "start": now - 10, "end": now, "step": 5}
        answer = requests.get(f"{self._url}/api/v1/query_range", params=params, timeout=10).json()
        assert answer["status"] == "success", answer
        return list(answer["data"]["result"])

    def read_infos(self) -> dict[str, Info]:
        return {each["mac"]: self.miners.get_miner(each["mac"])["info"] for each in self.miners.list_miners()}


@pytest.fixture
def scraped_service(
    service: ServiceProcess, miners: SimulatorProcess, start_program: Callable[..., Process], tmp_path: Path
) -> ScrapedService:
    """A service that was scraped ten times, with the Prometheus configuration of compose.yaml except for the address
    and the interval."""
    text = (PROMETHEUS / "prometheus.yml").read_text()
    replacements = {
        "pluto:3000": f"127.0.0.1:{service.port}",
        "scrape_interval: 5s": "scrape_interval: 1s",
        "scrape_timeout: 4s": "scrape_timeout: 1s",
    }
    for configured, local in replacements.items():
        assert text.count(configured) == 1
        text = text.replace(configured, local)
    (tmp_path / "prometheus.yml").write_text(text)
    (tmp_path / "pluto.rules.yml").write_text((PROMETHEUS / "pluto.rules.yml").read_text())
    listen = f"127.0.0.1:{find_free_port()}"
    start_program(
        "prometheus",
        f"--config.file={tmp_path}/prometheus.yml",
        f"--storage.tsdb.path={tmp_path}/tsdb",
        f"--web.listen-address={listen}",
    )
    scraped_service = ScrapedService(service, miners, f"http://{listen}")
    wait_for("ten scrapes", lambda: count_scrapes(scraped_service) >= 10, 40)
    return scraped_service


def count_scrapes(scraped_service: ScrapedService) -> float:
    try:
        return max(scraped_service.run_query("min(count_over_time(pluto_device_hashrate_ghs[1m]))").values(), default=0)
    except requests.RequestException:
        return 0


def is_near(value: float, truth: float) -> bool:
    """Return whether the values are close: readings vary between two polls, and counters increase."""
    return abs(value - truth) <= max(0.2 * abs(truth), 3.0)


def iterate_targets(dashboard: dict[str, Any]) -> Iterator[tuple[str, str, bool]]:
    for panel in dashboard["panels"]:
        for target in panel["targets"]:
            yield f"{panel['title']} {target['refId']}", target["expr"], target["range"]


def check_device_dashboards(scraped_service: ScrapedService) -> None:
    """Check that each query returns data for exactly the miners that report it, with the value that they report."""
    templates, miner_infos, queries_with_data = Templates(), scraped_service.read_infos(), Counter[str]()
    for mac, info in miner_infos.items():
        for name, expression, ranged in iterate_targets(templates.render_device(device_board_uid(mac), "x", mac)):
            rows, truth = scraped_service.run_query(expression), expected_value_of_query(expression)(info)
            assert len(rows) <= 1, (name, rows)
            assert bool(rows) is (truth is not None), (name, mac, rows, truth, info)
            if truth is not None:
                [value] = rows.values()
                assert is_near(value, truth), (name, mac, value, truth)
                queries_with_data[name] += 1
            if ranged and rows:
                assert scraped_service.query_range(expression), name
    all_queries = [
        name
        for name, _, _ in iterate_targets(
            templates.render_device(device_board_uid("02:00:5e:00:00:01"), "x", "02:00:5e:00:00:01")
        )
    ]
    assert set(all_queries) == set(queries_with_data), "a query without data for any miner"


def sum_field(miner_infos: dict[str, Info], family: str) -> float:
    return sum(value for info in miner_infos.values() if (value := expected_value(info, family)) is not None)


def index_by_mac(rows: QueryResult) -> dict[str, float]:
    return {dict(labels)["mac"]: value for labels, value in rows.items()}


def are_near(rows: dict[str, float], truth: dict[str, float]) -> bool:
    return rows.keys() == truth.keys() and all(is_near(rows[key], truth[key]) for key in truth)


def check_overview_dashboard(scraped_service: ScrapedService) -> None:
    miner_infos = scraped_service.read_infos()
    panels = {
        panel["title"]: [target["expr"] for target in panel["targets"]]
        for panel in Templates().render_overview("x", "x")["panels"]
    }
    hashrate, power = sum_field(miner_infos, "hashrate_ghs"), sum_field(miner_infos, "power_watts")
    single = {
        "Online": [len(miner_infos)],
        "Offline": [0],
        "Hashrate": [hashrate],
        "Power": [power],
        "Efficiency": [power / hashrate * 1000],
        "On the fallback pool": [sum_field(miner_infos, "using_fallback_pool")],
        "Fleet hashrate": [hashrate, sum_field(miner_infos, "expected_hashrate_ghs")],
        "Fleet power": [power],
        "Fleet efficiency": [power / hashrate * 1000],
        "Online and offline": [len(miner_infos), 0],
    }
    for title, truths in single.items():
        for expression, truth in zip(panels.pop(title), truths, strict=True):
            [(labels, value)] = scraped_service.run_query(expression).items()
            assert not labels and is_near(value, truth), (title, value, truth)

    worst_five = {
        "Worst five by temperature": (lambda info: expected_value(info, "temperature_celsius"), True),
        "Worst five by rejects": (percent_rejected, True),
        "Worst five by hashrate": (percent_of_expected, False),
    }
    for title, (measure, highest) in worst_five.items():
        [expression] = panels.pop(title)
        rows = index_by_mac(scraped_service.run_query(expression))
        values = {mac: value for mac, info in miner_infos.items() if (value := measure(info)) is not None}
        assert len(rows) == 5 and all(is_near(value, values[mac]) for mac, value in rows.items()), (title, rows)
        fifth = sorted(values.values(), reverse=highest)[4]
        assert all(value >= fifth - 3 if highest else value <= fifth + 3 for value in rows.values()), (
            title,
            rows,
            values,
        )

    for title in ("Hashrate per miner", "Temperature per miner"):
        for expression in panels.pop(title):
            measure = expected_value_of_query(expression)
            truth = {mac: value for mac, info in miner_infos.items() if (value := measure(info)) is not None}
            assert are_near(index_by_mac(scraped_service.run_query(expression)), truth), (title, expression)

    [expression] = panels.pop("Firmware versions")
    versions = {dict(labels)["version"]: value for labels, value in scraped_service.run_query(expression).items()}
    assert versions == Counter(str(info["version"]) for info in miner_infos.values())
    for title, family in (
        ("Shares accepted by pool", "shares_accepted"),
        ("Shares rejected by pool", "shares_rejected"),
    ):
        [expression] = panels.pop(title)
        rows = scraped_service.run_query(expression)
        assert rows and is_near(sum(rows.values()), sum_field(miner_infos, family)), title
        assert all(dict(labels).keys() == {"pool"} for labels in rows)
    assert panels == {}, "panels without an expected value in this test"


def check_removed_and_offline_miners(scraped_service: ScrapedService) -> None:
    """Check that no query returns data of a removed miner, and few return data of a miner that is off."""
    templates = Templates()
    removed, off, *_ = sorted(scraped_service.read_infos())
    scraped_service.service.call_api("DELETE", f"/devices/imprint/{removed}")
    scraped_service.miners.send_command(off, "power_off")
    wait_for(
        "the miner to be offline", lambda: index_by_mac(scraped_service.run_query("pluto_device_up")).get(off) == 0, 20
    )
    wait_for("the removal", lambda: removed not in index_by_mac(scraped_service.run_query("pluto_device_up")), 20)
    for mac, allowed in ((removed, set()), (off, {"Status A", "Uptime and restarts B"})):
        for name, expression, _ in iterate_targets(templates.render_device(device_board_uid(mac), "x", mac)):
            assert name in allowed or not scraped_service.run_query(expression), (name, mac)
    for name, expression, _ in iterate_targets(templates.render_overview("x", "x")):
        macs = {dict(labels).get("mac") for labels in scraped_service.run_query(expression)}
        assert not macs & {removed, off}, name
    assert scraped_service.run_query("sum(max by (mac) (pluto_device_up))") == {frozenset(): 10}


def check_alert_rules(scraped_service: ScrapedService) -> None:
    """Check that each family in a rule is exported (or belongs to an absent event) and that no rule has an error."""
    text = requests.get(f"{scraped_service.service.url}/metrics", timeout=10).text
    exported = set(re.findall(r"^# TYPE (\S+)", text, re.MULTILINE))
    used = set(
        re.findall(
            r"\bpluto_\w+",
            re.sub(r"(?m)^\s*(#|summary:|description:|- name:).*$", "", (PROMETHEUS / "pluto.rules.yml").read_text()),
        )
    )
    assert {re.sub(r"_(bucket)$", "", name) for name in used} - exported <= {
        "pluto_grafana_up",
        "pluto_device_drift",
        "pluto_device_pool_drift",
        "pluto_device_shutdown",  # only NerdOS reports it
    }
    rules = requests.get(f"{scraped_service._url}/api/v1/rules", timeout=10).json()["data"]["groups"]
    states = {
        rule["name"]: (rule["state"], rule["health"], rule.get("lastError"))
        for group in rules
        for rule in group["rules"]
    }
    assert len(states) == 14
    assert {state[1:] for state in states.values()} <= {("ok", None), ("ok", ""), ("unknown", None), ("unknown", "")}, (
        states
    )


def test_every_panel_query_returns_what_the_miners_report(scraped_service: ScrapedService) -> None:
    check_device_dashboards(scraped_service)
    check_overview_dashboard(scraped_service)
    check_alert_rules(scraped_service)
    check_removed_and_offline_miners(scraped_service)


def run_promtool(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["promtool", *arguments], capture_output=True, text=True, timeout=60, cwd=PROMETHEUS)


def test_promtool_accepts_the_configuration_and_its_rules() -> None:
    completed = run_promtool("check", "config", "prometheus.yml")
    assert completed.returncode == 0, completed.stderr + completed.stdout


def test_every_alert_has_a_rule_test_that_passes() -> None:
    alerts = set(re.findall(r"- alert: (\w+)", (PROMETHEUS / "pluto.rules.yml").read_text()))
    files = sorted((PROMETHEUS / "tests").glob("*.test.yml"))
    assert alerts == {path.name.removesuffix(".test.yml") for path in files}
    for path in files:
        assert f"alertname: {path.name.removesuffix('.test.yml')}" in path.read_text()
    completed = run_promtool("test", "rules", *map(str, files))
    assert completed.returncode == 0, completed.stdout + completed.stderr
