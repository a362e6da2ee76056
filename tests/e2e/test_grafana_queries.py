"""Every query of every panel, on a real Prometheus that scrapes the real service over twelve simulated miners: it
returns data, the data is what the miners say, and there is none of a miner that was removed."""

from __future__ import annotations

import re
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from processes import ROOT, Miners, Process, Service, free_port, wait_for

from app.services.dashboards.boards import device_uid
from app.services.dashboards.templates import Templates

Info = dict[str, Any]
Labels = frozenset[tuple[str, str]]
Rows = dict[Labels, float]
PROMETHEUS = ROOT / "deploy/prometheus"

# What a query of one family ought to give: the firmware's field, what it has to be divided by, and how it says
# "unknown".
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


def said(info: Info, family: str) -> float | None:
    if family == "up":
        return 1.0
    if family == "efficiency":
        power, hashrate = said(info, "power_watts"), said(info, "hashrate_ghs")
        return power / hashrate * 1000 if power is not None and hashrate else None
    field, scale, unknown = FIELDS[family]
    names = {"fanrpm": ("fanrpm", "fanSpeedRpm", "fanSpeed"), "temptarget": ("temptarget", "pidTargetTemp")}.get(
        field, (field,)
    )
    value = next((info[name] for name in names if name in info), None)
    return None if value is None or float(value) in unknown else float(value) / scale


def of_expected(info: Info) -> float | None:
    now, expected = said(info, "hashrate_10m_ghs"), said(info, "expected_hashrate_ghs")
    now = said(info, "hashrate_ghs") if now is None else now
    return 100 * now / expected if now is not None and expected else None


def reject_rate(info: Info) -> float | None:
    accepted, rejected = said(info, "shares_accepted"), said(info, "shares_rejected")
    return None if accepted is None or rejected is None else 100 * rejected / max(accepted + rejected, 1)


def one_miner(expression: str) -> Callable[[Info], float | None]:
    """The truth of a query about one miner; a single family reads itself."""
    if "resets(" in expression:
        return lambda info: 0.0
    if "pluto_device_info" in expression:
        return lambda info: 1.0
    families = dict.fromkeys(re.findall(r"pluto_device_(\w+)", expression))
    if set(families) == {"hashrate_10m_ghs", "hashrate_ghs", "expected_hashrate_ghs"}:
        return of_expected
    if set(families) == {"shares_accepted", "shares_rejected"}:
        return reject_rate
    [family] = families
    return lambda info: said(info, family)


class World:
    """Service, miners, Prometheus."""

    def __init__(self, service: Service, miners: Miners, url: str) -> None:
        self.service, self.miners, self._url = service, miners, url

    def query(self, expression: str) -> Rows:
        text = expression.replace("$__rate_interval", "20s")
        answer = requests.get(f"{self._url}/api/v1/query", params={"query": text}, timeout=10).json()
        assert answer["status"] == "success", (text, answer)
        return {frozenset(row["metric"].items()): float(row["value"][1]) for row in answer["data"]["result"]}

    def over_time(self, expression: str) -> list[Any]:
        now = float(
            requests.get(f"{self._url}/api/v1/query", params={"query": "time()"}, timeout=10).json()["data"]["result"][
                1
            ]
        )
        params = {"query": expression.replace("$__rate_interval", "20s"), "start": now - 10, "end": now, "step": 5}
        answer = requests.get(f"{self._url}/api/v1/query_range", params=params, timeout=10).json()
        assert answer["status"] == "success", answer
        return list(answer["data"]["result"])

    def infos(self) -> dict[str, Info]:
        return {each["mac"]: self.miners.one(each["mac"])["info"] for each in self.miners.all()}


@pytest.fixture
def world(service: Service, miners: Miners, run: Callable[..., Process], tmp_path: Path) -> World:
    """Scraped for ten seconds, with the configuration that compose.yaml gives to Prometheus, but for address and
    pace."""
    text = (PROMETHEUS / "prometheus.yml").read_text()
    here = {
        "pluto:3000": f"127.0.0.1:{service.port}",
        "scrape_interval: 5s": "scrape_interval: 1s",
        "scrape_timeout: 4s": "scrape_timeout: 1s",
    }
    for ours, local in here.items():
        assert text.count(ours) == 1
        text = text.replace(ours, local)
    (tmp_path / "prometheus.yml").write_text(text)
    (tmp_path / "pluto.rules.yml").write_text((PROMETHEUS / "pluto.rules.yml").read_text())
    listen = f"127.0.0.1:{free_port()}"
    run(
        "prometheus",
        f"--config.file={tmp_path}/prometheus.yml",
        f"--storage.tsdb.path={tmp_path}/tsdb",
        f"--web.listen-address={listen}",
    )
    world = World(service, miners, f"http://{listen}")
    wait_for("ten scrapes", lambda: _scrapes(world) >= 10, 40)
    return world


def _scrapes(world: World) -> float:
    try:
        return max(world.query("min(count_over_time(pluto_device_hashrate_ghs[1m]))").values(), default=0)
    except requests.RequestException:
        return 0


def near(value: float, truth: float) -> bool:
    """Readings move between two looks; counters count on."""
    return abs(value - truth) <= max(0.2 * abs(truth), 3.0)


def targets(dashboard: dict[str, Any]) -> Iterator[tuple[str, str, bool]]:
    for panel in dashboard["panels"]:
        for target in panel["targets"]:
            yield f"{panel['title']} {target['refId']}", target["expr"], target["range"]


def check_devices(world: World) -> None:
    """Each panel's data is there for exactly the miners that report it, and is what they report."""
    templates, infos, seen = Templates(), world.infos(), Counter[str]()
    for mac, info in infos.items():
        for name, expression, ranged in targets(templates.device(device_uid(mac), "x", mac)):
            rows, truth = world.query(expression), one_miner(expression)(info)
            assert len(rows) <= 1, (name, rows)
            assert bool(rows) is (truth is not None), (name, mac, rows, truth, info)
            if truth is not None:
                [value] = rows.values()
                assert near(value, truth), (name, mac, value, truth)
                seen[name] += 1
            if ranged and rows:
                assert world.over_time(expression), name
    everything = [
        name for name, _, _ in targets(templates.device(device_uid("02:00:5e:00:00:01"), "x", "02:00:5e:00:00:01"))
    ]
    assert set(everything) == set(seen), "a panel that no miner fills"


def total(infos: dict[str, Info], family: str) -> float:
    return sum(value for info in infos.values() if (value := said(info, family)) is not None)


def by_mac(rows: Rows) -> dict[str, float]:
    return {dict(labels)["mac"]: value for labels, value in rows.items()}


def same(rows: dict[str, float], truth: dict[str, float]) -> bool:
    return rows.keys() == truth.keys() and all(near(rows[key], truth[key]) for key in truth)


def check_overview(world: World) -> None:
    infos = world.infos()
    panels = {
        panel["title"]: [target["expr"] for target in panel["targets"]]
        for panel in Templates().overview("x", "x")["panels"]
    }
    hashrate, power = total(infos, "hashrate_ghs"), total(infos, "power_watts")
    single = {
        "Online": [len(infos)],
        "Offline": [0],
        "Hashrate": [hashrate],
        "Power": [power],
        "Efficiency": [power / hashrate * 1000],
        "On the fallback pool": [total(infos, "using_fallback_pool")],
        "Fleet hashrate": [hashrate, total(infos, "expected_hashrate_ghs")],
        "Fleet power": [power],
        "Fleet efficiency": [power / hashrate * 1000],
        "Online and offline": [len(infos), 0],
    }
    for title, truths in single.items():
        for expression, truth in zip(panels.pop(title), truths, strict=True):
            [(labels, value)] = world.query(expression).items()
            assert not labels and near(value, truth), (title, value, truth)

    worst = {
        "Worst five by temperature": (lambda info: said(info, "temperature_celsius"), True),
        "Worst five by rejects": (reject_rate, True),
        "Worst five by hashrate": (of_expected, False),
    }
    for title, (measure, highest) in worst.items():
        [expression] = panels.pop(title)
        rows = by_mac(world.query(expression))
        values = {mac: value for mac, info in infos.items() if (value := measure(info)) is not None}
        assert len(rows) == 5 and all(near(value, values[mac]) for mac, value in rows.items()), (title, rows)
        fifth = sorted(values.values(), reverse=highest)[4]
        assert all(value >= fifth - 3 if highest else value <= fifth + 3 for value in rows.values()), (
            title,
            rows,
            values,
        )

    for title in ("Hashrate per miner", "Temperature per miner"):
        for expression in panels.pop(title):
            measure = one_miner(expression)
            truth = {mac: value for mac, info in infos.items() if (value := measure(info)) is not None}
            assert same(by_mac(world.query(expression)), truth), (title, expression)

    [expression] = panels.pop("Firmware versions")
    versions = {dict(labels)["version"]: value for labels, value in world.query(expression).items()}
    assert versions == Counter(str(info["version"]) for info in infos.values())
    for title, family in (
        ("Shares accepted by pool", "shares_accepted"),
        ("Shares rejected by pool", "shares_rejected"),
    ):
        [expression] = panels.pop(title)
        rows = world.query(expression)
        assert rows and near(sum(rows.values()), total(infos, family)), title
        assert all(dict(labels).keys() == {"pool"} for labels in rows)
    assert panels == {}, "panels without a truth here"


def check_removal(world: World) -> None:
    """Nothing of a miner that was removed, and no row of one that is off."""
    templates = Templates()
    removed, off, *_ = sorted(world.infos())
    world.service.call("DELETE", f"/devices/imprint/{removed}")
    world.miners.tell(off, "power_off")
    wait_for("the loss", lambda: by_mac(world.query("pluto_device_up")).get(off) == 0, 20)
    wait_for("the removal", lambda: removed not in by_mac(world.query("pluto_device_up")), 20)
    for mac, left in ((removed, set()), (off, {"Status A", "Uptime and restarts B"})):
        for name, expression, _ in targets(templates.device(device_uid(mac), "x", mac)):
            assert name in left or not world.query(expression), (name, mac)
    for name, expression, _ in targets(templates.overview("x", "x")):
        macs = {dict(labels).get("mac") for labels in world.query(expression)}
        assert not macs & {removed, off}, name
    assert world.query("sum(max by (mac) (pluto_device_up))") == {frozenset(): 10}


def check_alerts(world: World) -> None:
    """Every family that a rule names is exported, or is of what did not happen; none of them has an error."""
    text = requests.get(f"{world.service.url}/metrics", timeout=10).text
    exported = set(re.findall(r"^# TYPE (\S+)", text, re.MULTILINE))
    named = set(
        re.findall(
            r"\bpluto_\w+",
            re.sub(r"(?m)^\s*(#|summary:|description:|- name:).*$", "", (PROMETHEUS / "pluto.rules.yml").read_text()),
        )
    )
    assert {re.sub(r"_(bucket)$", "", name) for name in named} - exported <= {
        "pluto_grafana_up",
        "pluto_device_drift",
        "pluto_device_pool_drift",
        "pluto_device_shutdown",  # only NerdOS says it
    }
    rules = requests.get(f"{world._url}/api/v1/rules", timeout=10).json()["data"]["groups"]
    states = {
        rule["name"]: (rule["state"], rule["health"], rule.get("lastError"))
        for group in rules
        for rule in group["rules"]
    }
    assert len(states) == 14
    assert {state[1:] for state in states.values()} <= {("ok", None), ("ok", ""), ("unknown", None), ("unknown", "")}, (
        states
    )


def test_every_query_of_every_panel(world: World) -> None:
    check_devices(world)
    check_overview(world)
    check_alerts(world)
    check_removal(world)


def promtool(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["promtool", *arguments], capture_output=True, text=True, timeout=60, cwd=PROMETHEUS)


def test_the_configuration_and_its_rules_are_sound() -> None:
    checked = promtool("check", "config", "prometheus.yml")
    assert checked.returncode == 0, checked.stderr + checked.stdout


def test_every_alert_has_its_test_and_passes_it() -> None:
    alerts = set(re.findall(r"- alert: (\w+)", (PROMETHEUS / "pluto.rules.yml").read_text()))
    files = sorted((PROMETHEUS / "tests").glob("*.test.yml"))
    assert alerts == {path.name.removesuffix(".test.yml") for path in files}
    for path in files:
        assert f"alertname: {path.name.removesuffix('.test.yml')}" in path.read_text()
    tested = promtool("test", "rules", *map(str, files))
    assert tested.returncode == 0, tested.stdout + tested.stderr
