"""compose.yaml and the files that it mounts, without a container engine.

They are parsed and compared with each other; the commands run here, as far as their programs are installed.
"""

from __future__ import annotations

import configparser
import json
import re
import subprocess
import sys
from functools import cache
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from processes import JS, ROOT, Process, find_free_port, wait_for

from app.services.dashboards.templates import Templates
from app.settings import VARIABLES, Settings

LOCAL_IMAGES = ("pluto", "simulator")


@cache
def parse_yaml(path: str) -> Any:
    """Parse a file with a YAML 1.1 library, merge keys included."""
    script = f"""
        import {{ parse }} from 'yaml'; import {{ readFileSync }} from 'node:fs';
        console.log(JSON.stringify(parse(readFileSync({json.dumps(str(ROOT / path))}, 'utf8'), {{ merge: true }})))"""
    completed = subprocess.run(
        ["node", "--input-type=module", "-e", script], cwd=JS, capture_output=True, text=True, timeout=20, check=True
    )
    return json.loads(completed.stdout)


def list_services() -> dict[str, Any]:
    return dict(parse_yaml("compose.yaml")["services"])


def read_grafana_ini() -> configparser.ConfigParser:
    parsed = configparser.ConfigParser(interpolation=None)
    parsed.read(ROOT / "deploy/grafana/grafana.ini")
    return parsed


@pytest.mark.parametrize("name", ["pluto", "simulator", "prometheus", "grafana", "nginx"])
def test_containers_run_without_privileges_and_with_limits(name: str) -> None:
    service = list_services()[name]
    user = service["user"].partition(":")[0]
    assert user.isdigit() and user != "0"
    assert service["read_only"] is True and service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["pids_limit"] <= 512 and "privileged" not in service and "pid" not in service
    assert service["mem_limit"].endswith(("m", "g")) and "/tmp" in service["tmpfs"]
    assert not {"network_mode", "ipc", "userns_mode", "cap_add", "devices", "group_add"} & service.keys()
    assert not any("docker.sock" in str(volume) for volume in service.get("volumes", []))
    assert "healthcheck" in service or (name == "pluto" and "HEALTHCHECK" in (ROOT / "Dockerfile").read_text())
    assert ":" in service["image"] or name in LOCAL_IMAGES, "the image has no version"
    assert not service["image"].endswith(":latest")


def test_only_nginx_publishes_a_port_and_only_on_loopback() -> None:
    assert {name for name, service in list_services().items() if "ports" in service} == {"nginx"}
    assert list_services()["nginx"]["ports"] == ["${PLUTO_PORT:-127.0.0.1:8080}:8080"]
    assert "listen 8080;" in (ROOT / "deploy/nginx/nginx.conf").read_text()
    networks = parse_yaml("compose.yaml")["networks"]
    assert networks["inside"]["internal"] is True
    with_lan = {name for name, service in list_services().items() if "lan" in service["networks"]}
    assert with_lan == {"pluto", "nginx"}


def test_service_trusts_forwarded_addresses_of_nginx_only() -> None:
    nginx, pluto = list_services()["nginx"], list_services()["pluto"]
    nginx_address = nginx["networks"]["inside"]["ipv4_address"]
    assert Settings.from_environ({"TRUSTED_PROXIES": pluto["environment"]["TRUSTED_PROXIES"]}).trusted_proxies == (
        ip_network(nginx_address),
    )
    assert nginx["extra_hosts"] == [f"pluto:{pluto['networks']['inside']['ipv4_address']}"]
    assert (
        "proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;" in (ROOT / "deploy/nginx/nginx.conf").read_text()
    )


def test_no_container_downloads_anything_at_start() -> None:
    text = (ROOT / "compose.yaml").read_text()
    assert not re.search(r"INSTALL_PLUGINS|PREINSTALL|pip |npm |curl |apt", text)
    ini = read_grafana_ini()
    assert ini["plugins"]["preinstall_disabled"] == "true"
    assert {
        ini["analytics"][key] for key in ("reporting_enabled", "check_for_updates", "check_for_plugin_updates")
    } == {"false"}
    assert ini["news"]["news_feed_enabled"] == "false"


def test_simulator_runs_in_the_demo_profile_only() -> None:
    assert {name: service.get("profiles") for name, service in list_services().items() if "profiles" in service} == {
        "simulator": ["demo"]
    }


def test_mounted_files_exist_and_volumes_are_declared() -> None:
    declared = set(parse_yaml("compose.yaml")["volumes"])
    for name, service in list_services().items():
        for volume in service.get("volumes", []):
            source, target, *mode = volume.split(":")
            if source.startswith("./"):
                assert (ROOT / source).exists() and mode == ["ro"], (name, volume)
            else:
                assert source in declared and target.startswith("/"), (name, volume)


def test_service_accepts_every_variable_of_compose_and_demo() -> None:
    environment = list_services()["pluto"]["environment"]
    assert environment.keys() <= VARIABLES.keys()
    filled = {name: re.sub(r"\$\{\w+:-(.*?)\}", r"\1", value) for name, value in environment.items()}
    settings = Settings.from_environ(filled)
    assert settings.gf_host == "http://grafana:3000/grafana" and settings.publish_dashboards
    demo = dict(line.split("=", 1) for line in (ROOT / "deploy/demo.env").read_text().splitlines() if "=" in line)
    assert set(demo) <= {match for value in environment.values() for match in re.findall(r"\$\{(\w+)", value)}
    Settings.from_environ({**filled, **demo})
    command, simulator = (
        list_services()["simulator"]["command"],
        list_services()["simulator"]["networks"]["inside"]["ipv4_address"],
    )
    assert demo["DISCOVERY_SUBNETS"] == f"{simulator}/32" and simulator in command
    port, count = int(command[command.index("--port") + 1]), int(command[command.index("--count") + 1])
    assert demo["DISCOVERY_PORTS"] == f"{port}-{port + count - 1}"


def test_simulator_command_starts_twelve_miners(tmp_path: Path) -> None:
    """It runs on an address that only this test uses."""
    simulator_service = list_services()["simulator"]
    replacements = {"python": sys.executable, simulator_service["networks"]["inside"]["ipv4_address"]: "127.45.7.8"}
    process = Process("simulator", [replacements.get(each, each) for each in simulator_service["command"]], tmp_path)
    try:
        wait_for(
            "the ready message",
            lambda: process.popen.poll() is not None or "ready: 12 miners" in process.read_output(),
            20,
        )
        assert process.popen.poll() is None, process.read_output()
    finally:
        process.stop()


def test_grafana_accepts_proxy_logins_from_the_service_only() -> None:
    """With an empty whitelist, `auth.proxy` makes every client of Grafana an administrator."""
    ini, services = read_grafana_ini(), list_services()
    address = services["pluto"]["networks"]["inside"]["ipv4_address"]
    assert ini["auth.proxy"]["whitelist"] == f"{address}/32"
    assert ini["auth.proxy"]["enable_login_token"] == "false" and ini["auth.proxy"]["auto_sign_up"] == "false"
    assert ini["auth.basic"]["enabled"] == "false" and ini["auth.anonymous"]["enabled"] == "false"
    header = ini["auth.proxy"]["header_name"]
    assert f'proxy_set_header {header} "";' in (ROOT / "deploy/nginx/nginx.conf").read_text()
    assert ini["public_dashboards"]["enabled"] == "true"


def test_grafana_path_is_the_same_in_all_files() -> None:
    ini = read_grafana_ini()
    assert ini["server"]["root_url"].endswith("/grafana/") and ini["server"]["serve_from_sub_path"] == "true"
    assert list_services()["pluto"]["environment"]["GF_HOST"].endswith("/grafana")
    assert "/grafana/api/health" in list_services()["grafana"]["healthcheck"]["test"][-1]


def test_panels_name_the_provisioned_data_source() -> None:
    [source] = parse_yaml("deploy/grafana/provisioning/datasources/prometheus.yml")["datasources"]
    dashboards = [Templates().render_overview("x", "x"), Templates().render_device("x", "x", "02:00:5e:00:00:01")]
    named = {
        target["datasource"]["uid"] for board in dashboards for panel in board["panels"] for target in panel["targets"]
    }
    assert named == {source["uid"]} and source["type"] == "prometheus"
    assert source["url"] == "http://prometheus:9090" and "prometheus" in list_services()
    scrape = parse_yaml("deploy/prometheus/prometheus.yml")
    assert source["jsonData"]["timeInterval"] == scrape["global"]["scrape_interval"]
    assert scrape["scrape_configs"][0]["static_configs"][0]["targets"] == ["pluto:3000"]


def test_grafana_reads_the_dashboard_folder_of_the_service() -> None:
    [provider] = parse_yaml("deploy/grafana/provisioning/dashboards/pluto.yml")["providers"]
    folder = provider["options"]["path"]
    assert list_services()["pluto"]["environment"]["GRAFANA_DASHBOARDS_DIR"] == folder
    assert f"dashboards:{folder}" in list_services()["pluto"]["volumes"]
    assert f"dashboards:{folder}:ro" in list_services()["grafana"]["volumes"]
    assert provider["disableDeletion"] is False and provider["updateIntervalSeconds"] == 10
    assert re.search(rf"install -d -o 10001 -g 10001 -m 0755 {folder}\b", (ROOT / "Dockerfile").read_text())


def test_prometheus_command_starts(tmp_path: Path) -> None:
    """Its flags are valid and its files are at the mounted places."""
    prometheus = list_services()["prometheus"]
    mounted = dict(volume.split(":")[1::-1] for volume in prometheus["volumes"])
    listen = f"127.0.0.1:{find_free_port()}"
    arguments = []
    for argument in prometheus["command"]:
        flag, _, value = argument.partition("=")
        local = str(ROOT / mounted[value]) if value in mounted and mounted[value].startswith("./") else value
        arguments.append(f"{flag}={tmp_path}/tsdb" if flag == "--storage.tsdb.path" else f"{flag}={local}")
    process = Process("prometheus", ["prometheus", *arguments, f"--web.listen-address={listen}"], tmp_path)
    try:
        wait_for(
            "the ready message",
            lambda: process.popen.poll() is not None or "ready to receive web requests" in process.read_output(),
            20,
        )
        assert process.popen.poll() is None, process.read_output()
    finally:
        process.stop()
