"""Grafana dashboards: created, published, repaired and deleted, whatever state Grafana is in. The fake counts the
calls."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gevent
import orjson
import pytest
from fake_grafana import FAULTS, FakeGrafana, make_data_source
from fakes import FakeClock, wait_until
from floods import probe_loop, start_flood_server
from testbed import Service

from app.services.dashboards.boards import device_board_uid
from simulator import Fleet

RECHECK = 400.0  # seconds; more than the five minutes and their jitter
OVERVIEW = "pluto-overview"
Make = Callable[..., Any]


@pytest.fixture
def testbed(
    make_fleet: Make, make_service: Make, grafana: FakeGrafana, clock: FakeClock
) -> Callable[..., tuple[Service, Fleet]]:
    """Two miners, registered and polled once, and Grafana through its API."""

    def testbed(*specs: Any, **settings: Any) -> tuple[Service, Fleet]:
        fleet = make_fleet(*(specs or ({"hostname": "gamma"}, {"hostname": "supra"})))
        fields = {"gf_host": grafana.url, "grafana_token": grafana.token, **settings}
        service = make_service(fleet, clock=clock, **fields)
        service.wait_until_idle()
        service.imprint_miners(*fleet)
        service.run_polls()
        return service, fleet

    return testbed


def list_links(service: Service) -> dict[str, str]:
    """Return dashboard name → public URL, as the frontend sees them."""
    return {row["name"]: row["publicUrl"] for row in list_rows(service)}


def list_rows(service: Service) -> list[dict[str, Any]]:
    answer = service.client.get("/dashboards")
    assert answer.status_code == 200
    return list(answer.get_json())


def advance_time(service: Service, seconds: float, step: float = 50.0) -> None:
    """Advance the fake clock step by step and run everything that becomes due."""
    for _ in range(max(1, round(seconds / step))):
        service.wait_until_idle()
        service.clock.advance(min(step, seconds))
        service.wait_until_idle()


def device_uids(fleet: Fleet) -> set[str]:
    return {device_board_uid(miner.mac) for miner in fleet}


def test_dashboards_are_created_once_and_published(testbed: Any, grafana: FakeGrafana) -> None:
    service, fleet = testbed()
    assert set(grafana.dashboards) == {OVERVIEW, *device_uids(fleet)}
    assert dict(grafana.calls) == {"POST save": 3, "GET publication": 3, "POST publication": 3}
    assert [row["name"] for row in list_rows(service)] == ["overview", "gamma", "supra"]
    for row in list_rows(service):
        data = grafana.rows[row["uid"]]
        assert row["publicUrl"] == f"/grafana/public-dashboards/{data['accessToken']}?orgId=1"
        assert row["grafanaData"] == {name: value for name, value in data.items() if name != "newInGrafana99"}
        assert "grafana" not in row
    assert grafana.dashboards[device_board_uid(fleet[0].mac)]["title"] == "gamma"


def test_polls_and_rechecks_only_read_the_publication(testbed: Any, grafana: FakeGrafana) -> None:
    service, _ = testbed()
    grafana.calls.clear()
    service.run_polls(rounds=20)
    assert dict(grafana.calls) == {}
    advance_time(service, RECHECK)
    assert dict(grafana.calls) == {"GET publication": 3}


def test_link_tokens_are_random_and_not_derived_from_mac(testbed: Any, grafana: FakeGrafana) -> None:
    _, fleet = testbed()
    tokens = set(grafana.list_public_tokens().values())
    assert len(tokens) == 3
    assert not any(miner.mac.replace(":", "") in token for miner in fleet for token in tokens)


def test_hostname_change_renames_dashboard(testbed: Any, grafana: FakeGrafana) -> None:
    service, fleet = testbed()
    before = list_links(service)
    fleet[0].set_fault("hostname", hostname="attic")
    grafana.calls.clear()
    service.run_polls(rounds=2)
    uid = device_board_uid(fleet[0].mac)
    assert grafana.dashboards[uid]["title"] == "attic" and grafana.dashboards[uid]["version"] == 2
    assert dict(grafana.calls) == {"POST save": 1, "GET publication": 1}
    assert list_links(service)["attic"] == before["gamma"]


def test_devices_with_same_hostname_get_distinct_titles(testbed: Any, grafana: FakeGrafana) -> None:
    """Factory-new miners are all named `bitaxe`; older Grafana versions refuse two dashboards with one title."""
    service, fleet = testbed({"hostname": "bitaxe"}, {"hostname": "BitAxe"})
    assert sorted(board["title"] for board in grafana.dashboards.values()) == sorted(
        ["Pluto fleet", f"bitaxe ({fleet[0].mac})", f"BitAxe ({fleet[1].mac})"]
    )
    fleet[1].set_fault("hostname", hostname="desk")
    service.run_polls(rounds=2)
    assert {board["title"] for board in grafana.dashboards.values()} == {"Pluto fleet", "bitaxe", "desk"}


def test_changed_template_is_saved_to_grafana(testbed: Any, grafana: FakeGrafana, make_service: Make) -> None:
    """A new version of the service: the dashboard that was saved last differs from the present template."""
    service, _ = testbed()
    boards = service.runtime.dashboards._boards
    for board in boards:
        boards.save_board(board.__class__(**{**board.to_document(), "delivered": "of an older template"}))
    grafana.calls.clear()
    advance_time(service, RECHECK)
    assert dict(grafana.calls) == {"POST save": 3, "GET publication": 3}


GRAFANA_LOSSES: dict[str, tuple[Callable[[FakeGrafana], Any], dict[str, int]]] = {
    "unpublished": (lambda fake: fake.rows.clear(), {"GET publication": 3, "POST publication": 3}),
    "paused": (
        lambda fake: [row.update(isEnabled=False) for row in fake.rows.values()],
        {"GET publication": 3, "PATCH publication": 3},
    ),
    "deleted": (
        lambda fake: [fake.delete_dashboard(None, uid) for uid in list(fake.dashboards)],
        {"GET publication": 6, "POST publication": 6, "POST save": 3},
    ),
    "database wiped": (FakeGrafana.reset_database, {"GET publication": 6, "POST publication": 6, "POST save": 3}),
}


@pytest.mark.parametrize("loss", GRAFANA_LOSSES)
def test_lost_dashboards_are_restored_under_same_link(testbed: Any, grafana: FakeGrafana, loss: str) -> None:
    service, _ = testbed()
    before, public = list_links(service), grafana.list_public_tokens()
    apply_loss, calls = GRAFANA_LOSSES[loss]
    apply_loss(grafana)
    grafana.calls.clear()
    advance_time(service, RECHECK)
    assert grafana.list_public_tokens() == public
    assert list_links(service) == before
    assert dict(grafana.calls) == calls
    advance_time(service, RECHECK)
    assert grafana.calls["GET publication"] == calls["GET publication"] + 3


def test_links_survive_restart_of_service_and_loss_of_grafana_database(
    testbed: Any, grafana: FakeGrafana, make_service: Make
) -> None:
    service, fleet = testbed()
    before = list_links(service)
    service.stop()
    grafana.reset_database()
    again = make_service(fleet, clock=service.clock, gf_host=grafana.url, grafana_token=grafana.token)
    again.wait_until_idle()
    assert list_links(again) == before
    assert {f"/grafana/public-dashboards/{token}?orgId=1" for token in grafana.list_public_tokens().values()} == set(
        before.values()
    )


def test_existing_public_link_is_kept(testbed: Any, grafana: FakeGrafana) -> None:
    grafana.dashboards[OVERVIEW] = {"title": "x", "uid": OVERVIEW}
    grafana.publish_dashboard({"isEnabled": False, "uid": "byhand", "accessToken": "a" * 32}, OVERVIEW)
    service, _ = testbed()
    assert list_links(service)["overview"] == f"/grafana/public-dashboards/{'a' * 32}?orgId=1"
    grafana.reset_database()
    advance_time(service, RECHECK)
    assert grafana.list_public_tokens()[OVERVIEW] == "a" * 32


def test_publication_created_concurrently_is_read_again(testbed: Any, grafana: FakeGrafana) -> None:
    grafana.fault = "racing"
    service, _ = testbed({"hostname": "gamma"})
    assert {row["isEnabled"] for row in grafana.rows.values()} == {True}
    assert set(list_links(service)) == {"overview", "gamma"}


@pytest.mark.parametrize(("same", "kept"), [("uid", True), ("accessToken", False)])
def test_publication_with_taken_uid_or_token(testbed: Any, grafana: FakeGrafana, same: str, kept: bool) -> None:
    """The uid is in no link, so it may change; the token changes only if it leads to another dashboard."""
    service, _ = testbed({"hostname": "gamma"})
    mine = dict(grafana.rows.pop(OVERVIEW))
    grafana.dashboards["other"] = {"title": "another's", "uid": "other"}
    grafana.publish_dashboard({"isEnabled": True, "uid": "free", "accessToken": "c" * 32, same: mine[same]}, "other")
    advance_time(service, RECHECK)
    assert grafana.rows[OVERVIEW]["isEnabled"] and grafana.rows["other"]["isEnabled"]
    assert (grafana.rows[OVERVIEW]["accessToken"] == mine["accessToken"]) is kept
    assert list_links(service)["overview"].count(grafana.rows[OVERVIEW]["accessToken"]) == 1


def test_dashboard_is_kept_on_device_removal_by_default(testbed: Any, grafana: FakeGrafana) -> None:
    service, fleet = testbed()
    service.read_data(service.client.delete(f"/devices/imprint/{fleet[0].mac}"))
    service.run_polls()
    assert device_board_uid(fleet[0].mac) in grafana.dashboards and "gamma" in list_links(service)


def test_dashboard_is_deleted_with_its_device_if_configured(testbed: Any, grafana: FakeGrafana) -> None:
    service, fleet = testbed(delete_data_on_device_remove=True)
    grafana.calls.clear()
    service.read_data(service.client.delete(f"/devices/imprint/{fleet[0].mac}"))
    service.run_polls()
    assert dict(grafana.calls) == {"DELETE dashboard": 1}
    assert set(grafana.dashboards) == {OVERVIEW, device_board_uid(fleet[1].mac)} == set(grafana.rows)
    assert set(list_links(service)) == {"overview", "supra"}
    service.imprint_miners(fleet[0])
    service.run_polls()
    assert set(list_links(service)) == {"overview", "gamma", "supra"}


def test_dashboards_are_kept_when_devices_are_not_monitored(testbed: Any, grafana: FakeGrafana) -> None:
    service, _ = testbed(delete_data_on_device_remove=True)
    service.read_data(service.client.put("/devices/listen", json={"macs": []}))
    service.run_polls()
    assert len(grafana.list_public_tokens()) == 3


def test_pending_dashboard_removal_survives_outage_and_restart(
    testbed: Any, grafana: FakeGrafana, make_service: Make
) -> None:
    service, fleet = testbed(delete_data_on_device_remove=True)
    grafana.fault = "500"
    advance_time(service, RECHECK)
    service.read_data(service.client.delete(f"/devices/imprint/{fleet[0].mac}"))
    service.wait_until_idle()
    assert set(list_links(service)) == {"overview", "supra"}
    service.stop()
    grafana.fault = None
    fields = {"gf_host": grafana.url, "grafana_token": grafana.token, "delete_data_on_device_remove": True}
    again = make_service(fleet, clock=service.clock, **fields)
    again.wait_until_idle()
    assert set(grafana.dashboards) == {OVERVIEW, device_board_uid(fleet[1].mac)}


def test_device_deleted_while_grafana_not_configured_loses_its_dashboard_later(
    testbed: Any, grafana: FakeGrafana, make_service: Make
) -> None:
    service, fleet = testbed(delete_data_on_device_remove=True)
    service.stop()
    without = make_service(fleet, clock=service.clock, delete_data_on_device_remove=True)
    without.read_data(without.client.delete(f"/devices/imprint/{fleet[0].mac}"))
    without.stop()
    fields = {"gf_host": grafana.url, "grafana_token": grafana.token, "delete_data_on_device_remove": True}
    again = make_service(fleet, clock=service.clock, **fields)
    again.wait_until_idle()
    assert set(grafana.dashboards) == {OVERVIEW, device_board_uid(fleet[1].mac)}


def test_dashboards_are_not_published_if_disabled(testbed: Any, grafana: FakeGrafana) -> None:
    service, fleet = testbed(publish_dashboards=False)
    assert set(grafana.dashboards) == {OVERVIEW, *device_uids(fleet)} and grafana.rows == {}
    assert list_rows(service) == []
    grafana.reset_database()
    advance_time(service, RECHECK)
    assert set(grafana.dashboards) == {OVERVIEW, *device_uids(fleet)} and grafana.rows == {}


def test_disabling_publication_pauses_our_links_only(testbed: Any, grafana: FakeGrafana, make_service: Make) -> None:
    service, fleet = testbed()
    tokens = {uid: row["accessToken"] for uid, row in grafana.rows.items()}
    service.stop()
    fields = {"gf_host": grafana.url, "grafana_token": grafana.token}
    private = make_service(fleet, clock=service.clock, publish_dashboards=False, **fields)
    private.wait_until_idle()
    assert grafana.list_public_tokens() == {} and list_rows(private) == []
    grafana.rows[OVERVIEW]["isEnabled"] = True  # by hand, in Grafana
    advance_time(private, RECHECK)
    assert set(grafana.list_public_tokens()) == {OVERVIEW}
    private.stop()
    public = make_service(fleet, clock=service.clock, **fields)
    public.wait_until_idle()
    assert grafana.list_public_tokens() == tokens


@pytest.mark.parametrize("fault", sorted(set(FAULTS) - {"slow", "endless"}))
def test_failing_grafana_is_retried_with_backoff_and_links_are_kept(
    testbed: Any, grafana: FakeGrafana, fault: str, caplog: pytest.LogCaptureFixture
) -> None:
    service, _ = testbed()
    before = list_links(service)
    grafana.fault = fault
    grafana.calls.clear()
    advance_time(service, 900, step=5)
    assert {row["grafana"] for row in list_rows(service)} == {"unavailable"}
    assert list_links(service) == before
    assert service.scrape_metrics().get_value("pluto_grafana_up") == 0
    requests = sum(grafana.calls.values()) + grafana.lookups["sources"]
    assert 5 <= requests <= 25
    assert grafana.lookups["health"] <= 2 * requests
    warnings = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert [message for message in warnings if "Grafana" in message] == ["Grafana is unavailable"]
    grafana.fault = None
    grafana.reset_database()
    advance_time(service, 200, step=5)
    assert list_links(service) == before and len(grafana.list_public_tokens()) == 3
    assert not any("grafana" in row for row in list_rows(service))
    assert service.scrape_metrics().get_value("pluto_grafana_up") == 1
    assert "glsa_fake" not in caplog.text


def test_rejected_credentials_are_not_retried_within_a_minute(testbed: Any, grafana: FakeGrafana) -> None:
    grafana.fault = "401"
    service, _ = testbed()
    wait_until(lambda: service.scrape_metrics().get_value("pluto_grafana_up") == 0)
    grafana.lookups.clear()
    advance_time(service, 59, step=1)
    assert dict(grafana.lookups) == {}
    advance_time(service, 40, step=1)
    assert grafana.lookups["sources"] == 1
    assert dict(grafana.calls) == {}


def test_backoff_of_failing_grafana_reaches_one_minute(testbed: Any, grafana: FakeGrafana) -> None:
    grafana.fault = "503"
    service, _ = testbed()
    grafana.calls.clear()
    requests_per_second = []
    for _ in range(400):
        before = grafana.lookups["sources"]
        advance_time(service, 1, step=1)
        requests_per_second.append(grafana.lookups["sources"] - before)
    assert max(requests_per_second) <= 1
    assert 8 <= sum(requests_per_second) <= 20
    assert sum(requests_per_second[-60:]) <= 3


def test_slow_grafana_does_not_delay_polls_or_requests(
    make_fleet: Make, make_service: Make, grafana: FakeGrafana
) -> None:
    """Grafana sends a byte now and then, in real time; the request is cut after 5 s while polls and requests go on."""
    grafana.fault = "slow"
    fleet = make_fleet("2.12", "2.12")
    service = make_service(fleet, gf_host=grafana.url, grafana_token=grafana.token)
    service.imprint_miners(*fleet)
    wait_until(lambda: grafana.lookups["health"] == 1)
    service.wait_for_status("online", *fleet)
    before, slowest, until = service.count_observations(fleet[0].mac), 0.0, time.monotonic() + 6
    while time.monotonic() < until:
        began = time.monotonic()
        assert list_rows(service) == []
        slowest = max(slowest, time.monotonic() - began)
        gevent.sleep(0.02)
    assert slowest < 0.25
    assert service.count_observations(fleet[0].mac) - before >= 10
    assert not service.runtime.dashboards.is_available
    grafana.lookups.clear()
    wait_until(lambda: grafana.lookups["health"] == 1, within=10)
    began = time.monotonic()
    service.stop()
    assert time.monotonic() - began < 3, "stopping does not wait for Grafana"


@pytest.mark.parametrize("mode", ["continue", "trailers", "bomb"])
def test_flooding_grafana_does_not_delay_polls_or_requests(mode: str, make_fleet: Make, make_service: Make) -> None:
    """The answer comes from another process, faster than it is read."""
    with start_flood_server(mode) as port:
        fleet = make_fleet("2.12", "2.12")
        service = make_service(fleet, gf_host=f"http://127.0.0.1:{port}", grafana_token="glsa_fake")
        service.imprint_miners(*fleet)
        service.wait_for_status("online", *fleet)
        wait_until(lambda: not service.runtime.dashboards.is_available, within=10)
        with probe_loop() as probe:  # not during the start, which itself takes longer
            gevent.sleep(4)  # it is tried again after 1 and 2 s
            assert service.client.get("/healthz").status_code == 200
    assert probe.longest_block <= 0.05


def test_stopped_service_sends_no_requests_to_grafana(testbed: Any, grafana: FakeGrafana) -> None:
    service, _ = testbed()
    service.stop()
    grafana.calls.clear()
    service.clock.advance(3600)
    gevent.sleep(0.05)
    assert dict(grafana.calls) == {}


def test_time_picker_is_enabled_on_new_and_existing_links(testbed: Any, grafana: FakeGrafana) -> None:
    service, _ = testbed()
    public = grafana.list_public_tokens()
    assert all(row["timeSelectionEnabled"] for row in grafana.rows.values())
    assert {(board["time"]["from"], board["time"]["to"]) for board in grafana.dashboards.values()} == {
        ("now-1h", "now")
    }
    for row in grafana.rows.values():
        row.update(timeSelectionEnabled=False, annotationsEnabled=True)
    grafana.calls.clear()
    advance_time(service, RECHECK)
    assert dict(grafana.calls) == {"GET publication": 3, "PATCH publication": 3}
    assert all(row["timeSelectionEnabled"] and row["annotationsEnabled"] for row in grafana.rows.values())
    assert grafana.list_public_tokens() == public


def test_time_picker_of_paused_link_is_not_changed(testbed: Any, grafana: FakeGrafana, make_service: Make) -> None:
    service, fleet = testbed()
    service.stop()
    for row in grafana.rows.values():
        row.update(timeSelectionEnabled=False)
    make_service(
        fleet, clock=service.clock, gf_host=grafana.url, grafana_token=grafana.token, publish_dashboards=False
    ).wait_until_idle()
    assert {(row["isEnabled"], row["timeSelectionEnabled"]) for row in grafana.rows.values()} == {(False, False)}


NODE = make_data_source("PBFA97CFB590B2093")
OURS = make_data_source("pluto-prometheus", "Pluto")
LOKI = make_data_source("loki", "A log store", type="loki", isDefault=True)
FIRST, DEFAULT = make_data_source("first", "A"), make_data_source("default", "B", isDefault=True)
SOURCES: dict[str, tuple[list[Any], str]] = {
    "ours": ([LOKI, DEFAULT, NODE, OURS], "pluto-prometheus"),
    "the Node project's": ([LOKI, DEFAULT, NODE], "PBFA97CFB590B2093"),
    "the default one": ([LOKI, FIRST, DEFAULT], "default"),
    "the first": ([LOKI, make_data_source("second", "B"), FIRST], "first"),
    "none": ([LOKI], "pluto-prometheus"),
    "unusable": (
        [make_data_source("x" * 41), make_data_source("a b"), make_data_source("c") | {"uid": None}, 5],
        "pluto-prometheus",
    ),
}


def find_used_data_sources(grafana: FakeGrafana) -> set[str]:
    text = orjson.dumps(list(grafana.dashboards.values())).decode()
    return set(re.findall(r'"datasource":\{"type":"prometheus","uid":"([^"]*)"\}', text))


@pytest.mark.parametrize("case", SOURCES)
def test_dashboards_use_available_data_source(testbed: Any, grafana: FakeGrafana, case: str) -> None:
    grafana.sources, used = SOURCES[case]
    testbed()
    assert find_used_data_sources(grafana) == {used}
    assert grafana.lookups["sources"] == 1


def test_dashboards_use_our_data_source_without_permission_to_list(
    testbed: Any, grafana: FakeGrafana, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    grafana.may_list_sources = False
    service, _ = testbed()
    assert find_used_data_sources(grafana) == {"pluto-prometheus"} and len(list_links(service)) == 3
    assert [record.reason for record in caplog.records if hasattr(record, "data_source")] == [
        "this account may not list them"
    ]


def test_data_source_added_later_is_used(testbed: Any, grafana: FakeGrafana) -> None:
    grafana.sources = []
    service, _ = testbed()
    grafana.sources = [NODE]
    advance_time(service, 2 * RECHECK)
    assert find_used_data_sources(grafana) == {"PBFA97CFB590B2093"}
    grafana.calls.clear()
    advance_time(service, RECHECK)
    assert dict(grafana.calls) == {"GET publication": 3}


def test_grafana_url_without_path_works_by_api_and_by_file(
    file_testbed: Any, testbed: Any, grafana: FakeGrafana
) -> None:
    grafana.base_path = "/grafana"
    service, _ = testbed(gf_host=f"http://127.0.0.1:{grafana.port}")
    assert len(list_links(service)) == 3
    service.stop()
    service, _ = file_testbed(gf_host=f"http://127.0.0.1:{grafana.port}")
    grafana.reset_database()
    grafana.load_provisioned_files()
    advance_time(service, RECHECK)
    assert len(grafana.list_public_tokens()) == 3
    assert find_used_data_sources(grafana) == {"pluto-prometheus"}


# Dashboards delivered as files.


@pytest.fixture
def folder(tmp_path: Path, grafana: FakeGrafana) -> Path:
    """The folder that Grafana provisions. The service logs in with the proxy's header, as the Node backend did."""
    grafana.proxy_user = "admin"
    grafana.provisioning_folder = tmp_path / "shared" / "dashboards"
    return grafana.provisioning_folder


@pytest.fixture
def file_testbed(testbed: Any, folder: Path) -> Callable[..., tuple[Service, Fleet]]:
    def build(*specs: Any, **settings: Any) -> tuple[Service, Fleet]:
        result: tuple[Service, Fleet] = testbed(
            *specs, **{"grafana_token": None, "grafana_dashboards_dir": folder, **settings}
        )
        return result

    return build


def test_dashboard_files_are_published_after_grafana_read_them(
    file_testbed: Any, grafana: FakeGrafana, folder: Path
) -> None:
    service, fleet = file_testbed()
    names = {f"{uid}.json" for uid in {OVERVIEW, *device_uids(fleet)}}
    assert {path.name for path in folder.iterdir()} == names
    assert {oct(path.stat().st_mode & 0o777) for path in folder.iterdir()} == {"0o644"}
    assert oct(folder.stat().st_mode & 0o777) == "0o755"
    assert list_rows(service) == [] and grafana.calls["POST save"] == 0
    for path in folder.iterdir():
        assert orjson.loads(path.read_bytes())["uid"] == path.stem
    grafana.load_provisioned_files()
    advance_time(service, 120, step=10)
    assert set(list_links(service)) == {"overview", "gamma", "supra"}
    assert {headers.get("HTTP_X_WEBAUTH_USER") for headers in grafana.headers} == {"admin"}


def test_api_and_file_mode_produce_same_dashboards(
    file_testbed: Any, make_service: Make, grafana: FakeGrafana, folder: Path, tmp_path: Path
) -> None:
    service, fleet = file_testbed()
    service.stop()
    fields = {"gf_host": grafana.url, "grafana_token": grafana.token, "data_dir": tmp_path / "other"}
    api = make_service(fleet, clock=service.clock, **fields)
    api.wait_until_idle()
    api.imprint_miners(*fleet)
    api.run_polls()
    files = {path.stem: orjson.loads(path.read_bytes()) for path in folder.iterdir()}
    sent = {uid: {**board, "version": 1} for uid, board in grafana.dashboards.items()}
    assert files == sent


def test_dashboard_files_are_written_while_grafana_is_down(
    file_testbed: Any, grafana: FakeGrafana, folder: Path
) -> None:
    grafana.fault = "401"
    service, fleet = file_testbed(delete_data_on_device_remove=True)
    assert {path.stem for path in folder.iterdir()} == {OVERVIEW, *device_uids(fleet)}
    service.read_data(service.client.delete(f"/devices/imprint/{fleet[0].mac}"))
    service.run_polls()
    assert {path.stem for path in folder.iterdir()} == {OVERVIEW, device_board_uid(fleet[1].mac)}


def test_stale_dashboard_files_are_deleted_and_foreign_files_kept(
    file_testbed: Any, grafana: FakeGrafana, folder: Path
) -> None:
    folder.mkdir(parents=True)
    for name in (
        "pluto-0200000000ff.json",
        "pluto-overview.json.tmp",
        "mine.json",
        "pluto-of-mine.json",
        "pluto-overview.json",
    ):
        (folder / name).write_text("{}")
    _, fleet = file_testbed()
    assert {path.name for path in folder.iterdir()} == {
        "mine.json", "pluto-of-mine.json", *(f"{uid}.json" for uid in {OVERVIEW, *device_uids(fleet)})
    }  # fmt: skip


def test_unchanged_dashboard_file_is_not_rewritten(file_testbed: Any, grafana: FakeGrafana, folder: Path) -> None:
    service, _ = file_testbed()
    grafana.load_provisioned_files()
    advance_time(service, 120, step=10)
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    deleted = min(before)
    deleted.unlink()
    advance_time(service, RECHECK)
    after = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert {path for path in after if after[path] != before[path]} == {deleted}


def test_unwritable_dashboard_folder_is_logged_once(
    file_testbed: Any, grafana: FakeGrafana, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder.parent.mkdir(parents=True)
    folder.write_text("a file where the folder should be")
    service, fleet = file_testbed()
    advance_time(service, 300, step=5)
    failures = [record for record in caplog.records if record.getMessage() == "Grafana is unavailable"]
    assert [record.reason for record in failures] == ["folder"] and "GRAFANA_DASHBOARDS_DIR" in failures[0].error
    folder.unlink()
    advance_time(service, 120, step=5)
    assert {path.stem for path in folder.iterdir()} == {OVERVIEW, *device_uids(fleet)}


def test_dashboard_provisioned_by_file_is_published_in_api_mode(
    testbed: Any, grafana: FakeGrafana, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """From `file` to `api` with the old folder still provisioned: Grafana does not let the API save over a provisioned
    dashboard."""
    folder.mkdir(parents=True)
    (folder / "overview.json").write_bytes(orjson.dumps({"uid": OVERVIEW, "title": "from a file"}))
    grafana.load_provisioned_files()
    service, _ = testbed()
    advance_time(service, 2 * RECHECK)
    assert "overview" in list_links(service)
    assert len([record for record in caplog.records if "rejected a dashboard" in record.getMessage()]) == 1


def test_dashboard_file_names_do_not_contain_hostnames(file_testbed: Any, folder: Path) -> None:
    _, fleet = file_testbed({"hostname": "../../etc/x"}, {"hostname": "a/b"})
    assert {path.name for path in folder.parent.rglob("*.json")} == {
        f"{uid}.json" for uid in {OVERVIEW, *device_uids(fleet)}
    }
