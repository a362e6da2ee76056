"""Dashboards: made, published, mended and taken away, whatever happens to Grafana meanwhile. Calls are counted."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gevent
import orjson
import pytest
from fake_grafana import FAULTS, FakeGrafana, data_source
from fakes import FakeClock, eventually
from floods import flood_server, probed_loop
from testbed import Service

from app.services.dashboards.boards import device_uid
from simulator import Fleet

RECHECK = 400.0  # seconds; more than the five minutes and their jitter
OVERVIEW = "pluto-overview"
Make = Callable[..., Any]


@pytest.fixture
def grafana() -> Iterator[FakeGrafana]:
    made = FakeGrafana().start()
    yield made
    made.stop()


@pytest.fixture
def testbed(
    make_fleet: Make, make_service: Make, grafana: FakeGrafana, clock: FakeClock
) -> Callable[..., tuple[Service, Fleet]]:
    """Two miners, imprinted and polled once, and Grafana through its API."""

    def testbed(*specs: Any, **settings: Any) -> tuple[Service, Fleet]:
        fleet = make_fleet(*(specs or ({"hostname": "gamma"}, {"hostname": "supra"})))
        fields = {"gf_host": grafana.url, "grafana_token": grafana.token, **settings}
        service = make_service(fleet, clock=clock, **fields)
        service.settle()
        service.imprint(*fleet)
        service.round()
        return service, fleet

    return testbed


def links(service: Service) -> dict[str, str]:
    """name → public URL, as the frontend sees them."""
    return {row["name"]: row["publicUrl"] for row in rows(service)}


def rows(service: Service) -> list[dict[str, Any]]:
    answer = service.client.get("/dashboards")
    assert answer.status_code == 200
    return list(answer.get_json())


def wait(service: Service, seconds: float, step: float = 50.0) -> None:
    """Lets the time pass, with whatever comes due in it."""
    for _ in range(max(1, round(seconds / step))):
        service.settle()
        service.clock.advance(min(step, seconds))
        service.settle()


def uids(fleet: Fleet) -> set[str]:
    return {device_uid(miner.mac) for miner in fleet}


def test_made_once_and_published(testbed: Any, grafana: FakeGrafana) -> None:
    service, fleet = testbed()
    assert set(grafana.dashboards) == {OVERVIEW, *uids(fleet)}
    assert dict(grafana.calls) == {"POST save": 3, "GET publication": 3, "POST publication": 3}
    assert [row["name"] for row in rows(service)] == ["overview", "gamma", "supra"]
    for row in rows(service):
        data = grafana.rows[row["uid"]]
        assert row["publicUrl"] == f"/grafana/public-dashboards/{data['accessToken']}?orgId=1"
        assert row["grafanaData"] == {name: value for name, value in data.items() if name != "newInGrafana99"}
        assert "grafana" not in row
    assert grafana.dashboards[device_uid(fleet[0].mac)]["title"] == "gamma"


def test_polls_and_time_ask_for_nothing_more_than_a_look(testbed: Any, grafana: FakeGrafana) -> None:
    service, _ = testbed()
    grafana.calls.clear()
    service.round(rounds=20)
    assert dict(grafana.calls) == {}
    wait(service, RECHECK)
    assert dict(grafana.calls) == {"GET publication": 3}


def test_tokens_are_random_and_not_from_the_mac(testbed: Any, grafana: FakeGrafana) -> None:
    _, fleet = testbed()
    tokens = set(grafana.public_links().values())
    assert len(tokens) == 3
    assert not any(miner.mac.replace(":", "") in token for miner in fleet for token in tokens)


def test_the_title_follows_the_hostname(testbed: Any, grafana: FakeGrafana) -> None:
    service, fleet = testbed()
    before = links(service)
    fleet[0].set_fault("hostname", hostname="attic")
    grafana.calls.clear()
    service.round(rounds=2)
    uid = device_uid(fleet[0].mac)
    assert grafana.dashboards[uid]["title"] == "attic" and grafana.dashboards[uid]["version"] == 2
    assert dict(grafana.calls) == {"POST save": 1, "GET publication": 1}
    assert links(service)["attic"] == before["gamma"]


def test_namesakes_are_told_apart(testbed: Any, grafana: FakeGrafana) -> None:
    """Factory-new miners are all `bitaxe`; older Grafanas refuse two dashboards of one title."""
    service, fleet = testbed({"hostname": "bitaxe"}, {"hostname": "BitAxe"})
    assert sorted(board["title"] for board in grafana.dashboards.values()) == sorted(
        ["Pluto fleet", f"bitaxe ({fleet[0].mac})", f"BitAxe ({fleet[1].mac})"]
    )
    fleet[1].set_fault("hostname", hostname="desk")
    service.round(rounds=2)
    assert {board["title"] for board in grafana.dashboards.values()} == {"Pluto fleet", "bitaxe", "desk"}


def test_a_changed_template_is_delivered(testbed: Any, grafana: FakeGrafana, make_service: Make) -> None:
    """A new version of the service: what was delivered last differs from what the template says now."""
    service, _ = testbed()
    boards = service.runtime.dashboards._boards
    for board in boards:
        boards.put(board.__class__(**{**board.document(), "delivered": "of an older template"}))
    grafana.calls.clear()
    wait(service, RECHECK)
    assert dict(grafana.calls) == {"POST save": 3, "GET publication": 3}


MISHAPS: dict[str, tuple[Callable[[FakeGrafana], Any], dict[str, int]]] = {
    "unpublished": (lambda fake: fake.rows.clear(), {"GET publication": 3, "POST publication": 3}),
    "paused": (
        lambda fake: [row.update(isEnabled=False) for row in fake.rows.values()],
        {"GET publication": 3, "PATCH publication": 3},
    ),
    "deleted": (
        lambda fake: [fake.delete(None, uid) for uid in list(fake.dashboards)],
        {"GET publication": 6, "POST publication": 6, "POST save": 3},
    ),
    "database wiped": (FakeGrafana.wipe, {"GET publication": 6, "POST publication": 6, "POST save": 3}),
}


@pytest.mark.parametrize("mishap", MISHAPS)
def test_what_was_lost_comes_back_under_the_same_link(testbed: Any, grafana: FakeGrafana, mishap: str) -> None:
    service, _ = testbed()
    before, public = links(service), grafana.public_links()
    happen, calls = MISHAPS[mishap]
    happen(grafana)
    grafana.calls.clear()
    wait(service, RECHECK)
    assert grafana.public_links() == public
    assert links(service) == before
    assert dict(grafana.calls) == calls
    wait(service, RECHECK)
    assert grafana.calls["GET publication"] == calls["GET publication"] + 3, "and all is quiet again"


def test_links_outlive_both_processes(testbed: Any, grafana: FakeGrafana, make_service: Make) -> None:
    service, fleet = testbed()
    before = links(service)
    service.stop()
    grafana.wipe()
    again = make_service(fleet, clock=service.clock, gf_host=grafana.url, grafana_token=grafana.token)
    again.settle()
    assert links(again) == before
    assert {f"/grafana/public-dashboards/{token}?orgId=1" for token in grafana.public_links().values()} == set(
        before.values()
    )


def test_a_link_that_was_there_before_us_is_adopted(testbed: Any, grafana: FakeGrafana) -> None:
    grafana.dashboards[OVERVIEW] = {"title": "x", "uid": OVERVIEW}
    grafana.publish({"isEnabled": False, "uid": "byhand", "accessToken": "a" * 32}, OVERVIEW)
    service, _ = testbed()
    assert links(service)["overview"] == f"/grafana/public-dashboards/{'a' * 32}?orgId=1"
    grafana.wipe()
    wait(service, RECHECK)
    assert grafana.public_links()[OVERVIEW] == "a" * 32


def test_a_lost_race_is_looked_at_again(testbed: Any, grafana: FakeGrafana) -> None:
    grafana.fault = "racing"
    service, _ = testbed({"hostname": "gamma"})
    assert {row["isEnabled"] for row in grafana.rows.values()} == {True}
    assert set(links(service)) == {"overview", "gamma"}


@pytest.mark.parametrize(("same", "kept"), [("uid", True), ("accessToken", False)])
def test_a_name_that_is_taken(testbed: Any, grafana: FakeGrafana, same: str, kept: bool) -> None:
    """The uid is in no link, and may change; the token may only when it leads to another board."""
    service, _ = testbed({"hostname": "gamma"})
    mine = dict(grafana.rows.pop(OVERVIEW))
    grafana.dashboards["other"] = {"title": "another's", "uid": "other"}
    grafana.publish({"isEnabled": True, "uid": "free", "accessToken": "c" * 32, same: mine[same]}, "other")
    wait(service, RECHECK)
    assert grafana.rows[OVERVIEW]["isEnabled"] and grafana.rows["other"]["isEnabled"]
    assert (grafana.rows[OVERVIEW]["accessToken"] == mine["accessToken"]) is kept
    assert links(service)["overview"].count(grafana.rows[OVERVIEW]["accessToken"]) == 1


def test_a_board_goes_with_its_device_only_if_asked(testbed: Any, grafana: FakeGrafana) -> None:
    service, fleet = testbed()
    service.ok(service.client.delete(f"/devices/imprint/{fleet[0].mac}"))
    service.round()
    assert device_uid(fleet[0].mac) in grafana.dashboards and "gamma" in links(service)


def test_a_board_goes_with_its_device(testbed: Any, grafana: FakeGrafana) -> None:
    service, fleet = testbed(delete_data_on_device_remove=True)
    grafana.calls.clear()
    service.ok(service.client.delete(f"/devices/imprint/{fleet[0].mac}"))
    service.round()
    assert dict(grafana.calls) == {"DELETE dashboard": 1}
    assert set(grafana.dashboards) == {OVERVIEW, device_uid(fleet[1].mac)} == set(grafana.rows)
    assert set(links(service)) == {"overview", "supra"}
    service.imprint(fleet[0])
    service.round()
    assert set(links(service)) == {"overview", "gamma", "supra"}


def test_unlistening_takes_no_board_away(testbed: Any, grafana: FakeGrafana) -> None:
    service, _ = testbed(delete_data_on_device_remove=True)
    service.ok(service.client.put("/devices/listen", json={"macs": []}))
    service.round()
    assert len(grafana.public_links()) == 3


def test_a_removal_outlives_an_outage_and_a_restart(testbed: Any, grafana: FakeGrafana, make_service: Make) -> None:
    service, fleet = testbed(delete_data_on_device_remove=True)
    grafana.fault = "500"
    wait(service, RECHECK)
    service.ok(service.client.delete(f"/devices/imprint/{fleet[0].mac}"))
    service.settle()
    assert set(links(service)) == {"overview", "supra"}
    service.stop()
    grafana.fault = None
    fields = {"gf_host": grafana.url, "grafana_token": grafana.token, "delete_data_on_device_remove": True}
    again = make_service(fleet, clock=service.clock, **fields)
    again.settle()
    assert set(grafana.dashboards) == {OVERVIEW, device_uid(fleet[1].mac)}


def test_a_device_that_was_deleted_while_grafana_was_not_configured(
    testbed: Any, grafana: FakeGrafana, make_service: Make
) -> None:
    service, fleet = testbed(delete_data_on_device_remove=True)
    service.stop()
    without = make_service(fleet, clock=service.clock, delete_data_on_device_remove=True)
    without.ok(without.client.delete(f"/devices/imprint/{fleet[0].mac}"))
    without.stop()
    fields = {"gf_host": grafana.url, "grafana_token": grafana.token, "delete_data_on_device_remove": True}
    again = make_service(fleet, clock=service.clock, **fields)
    again.settle()
    assert set(grafana.dashboards) == {OVERVIEW, device_uid(fleet[1].mac)}


def test_kept_private(testbed: Any, grafana: FakeGrafana) -> None:
    service, fleet = testbed(publish_dashboards=False)
    assert set(grafana.dashboards) == {OVERVIEW, *uids(fleet)} and grafana.rows == {}
    assert rows(service) == []
    grafana.wipe()
    wait(service, RECHECK)
    assert set(grafana.dashboards) == {OVERVIEW, *uids(fleet)} and grafana.rows == {}


def test_what_we_published_is_hidden_and_what_others_share_is_left(
    testbed: Any, grafana: FakeGrafana, make_service: Make
) -> None:
    service, fleet = testbed()
    tokens = {uid: row["accessToken"] for uid, row in grafana.rows.items()}
    service.stop()
    fields = {"gf_host": grafana.url, "grafana_token": grafana.token}
    private = make_service(fleet, clock=service.clock, publish_dashboards=False, **fields)
    private.settle()
    assert grafana.public_links() == {} and rows(private) == []
    grafana.rows[OVERVIEW]["isEnabled"] = True  # by hand, in Grafana
    wait(private, RECHECK)
    assert set(grafana.public_links()) == {OVERVIEW}
    private.stop()
    public = make_service(fleet, clock=service.clock, **fields)
    public.settle()
    assert grafana.public_links() == tokens


@pytest.mark.parametrize("fault", sorted(set(FAULTS) - {"slow", "endless"}))
def test_a_failing_grafana_is_asked_rarely_and_keeps_its_links(
    testbed: Any, grafana: FakeGrafana, fault: str, caplog: pytest.LogCaptureFixture
) -> None:
    service, _ = testbed()
    before = links(service)
    grafana.fault = fault
    grafana.calls.clear()
    wait(service, 900, step=5)
    assert {row["grafana"] for row in rows(service)} == {"unavailable"}
    assert links(service) == before
    assert service.scrape().get_one("pluto_grafana_up") == 0
    asked = sum(grafana.calls.values()) + grafana.lookups["sources"]
    assert 5 <= asked <= 25
    assert grafana.lookups["health"] <= 2 * asked
    warnings = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert [message for message in warnings if "Grafana" in message] == ["Grafana is unavailable"]
    grafana.fault = None
    grafana.wipe()
    wait(service, 200, step=5)
    assert links(service) == before and len(grafana.public_links()) == 3
    assert not any("grafana" in row for row in rows(service))
    assert service.scrape().get_one("pluto_grafana_up") == 1
    assert "glsa_fake" not in caplog.text


def test_a_refusal_is_not_asked_again_within_a_minute(testbed: Any, grafana: FakeGrafana) -> None:
    grafana.fault = "401"
    service, _ = testbed()
    grafana.lookups.clear()
    wait(service, 59, step=1)
    assert dict(grafana.lookups) == {}
    wait(service, 40, step=1)
    assert grafana.lookups["sources"] == 1
    assert dict(grafana.calls) == {}


def test_a_dead_grafana_backs_off_to_a_minute(testbed: Any, grafana: FakeGrafana) -> None:
    grafana.fault = "503"
    service, _ = testbed()
    grafana.calls.clear()
    asked = []
    for _ in range(400):
        before = grafana.lookups["sources"]
        wait(service, 1, step=1)
        asked.append(grafana.lookups["sources"] - before)
    assert max(asked) <= 1
    assert 8 <= sum(asked) <= 20
    assert sum(asked[-60:]) <= 3


def test_a_slow_grafana_delays_no_poll_and_no_request(
    make_fleet: Make, make_service: Make, grafana: FakeGrafana
) -> None:
    """In real time: a byte now and then, for as long as one listens; cut after 5 s, while all else goes on."""
    grafana.fault = "slow"
    fleet = make_fleet("2.12", "2.12")
    service = make_service(fleet, gf_host=grafana.url, grafana_token=grafana.token)
    service.imprint(*fleet)
    eventually(lambda: grafana.lookups["health"] == 1)
    service.await_status("online", *fleet)
    before, slowest, until = service.observed(fleet[0].mac), 0.0, time.monotonic() + 6
    while time.monotonic() < until:
        began = time.monotonic()
        assert rows(service) == []
        slowest = max(slowest, time.monotonic() - began)
        gevent.sleep(0.02)
    assert slowest < 0.25
    assert service.observed(fleet[0].mac) - before >= 10
    assert not service.runtime.dashboards.available
    grafana.lookups.clear()
    eventually(lambda: grafana.lookups["health"] == 1, within=10)
    began = time.monotonic()
    service.stop()
    assert time.monotonic() - began < 3, "stopping does not wait for Grafana"


@pytest.mark.parametrize("mode", ["continue", "trailers", "bomb"])
def test_a_grafana_that_floods_delays_no_poll_and_no_request(mode: str, make_fleet: Make, make_service: Make) -> None:
    """Its answer comes from another process, faster than it is read."""
    with flood_server(mode) as port:
        fleet = make_fleet("2.12", "2.12")
        service = make_service(fleet, gf_host=f"http://127.0.0.1:{port}", grafana_token="glsa_fake")
        service.imprint(*fleet)
        service.await_status("online", *fleet)
        eventually(lambda: not service.runtime.dashboards.available, within=10)
        with probed_loop() as probe:  # not during the start, which itself takes longer
            gevent.sleep(4)  # it is tried again after 1 and 2 s
            assert service.client.get("/healthz").status_code == 200
    assert probe.longest_block <= 0.05


def test_stopped_means_that_nothing_more_is_asked(testbed: Any, grafana: FakeGrafana) -> None:
    service, _ = testbed()
    service.stop()
    grafana.calls.clear()
    service.clock.advance(3600)
    gevent.sleep(0.05)
    assert dict(grafana.calls) == {}


def test_the_time_picker_is_shown_and_comes_to_links_that_lack_it(testbed: Any, grafana: FakeGrafana) -> None:
    service, _ = testbed()
    public = grafana.public_links()
    assert all(row["timeSelectionEnabled"] for row in grafana.rows.values())
    assert {(board["time"]["from"], board["time"]["to"]) for board in grafana.dashboards.values()} == {
        ("now-1h", "now")
    }
    for row in grafana.rows.values():
        row.update(timeSelectionEnabled=False, annotationsEnabled=True)
    grafana.calls.clear()
    wait(service, RECHECK)
    assert dict(grafana.calls) == {"GET publication": 3, "PATCH publication": 3}
    assert all(row["timeSelectionEnabled"] and row["annotationsEnabled"] for row in grafana.rows.values())
    assert grafana.public_links() == public


def test_a_paused_link_keeps_its_time_picker(testbed: Any, grafana: FakeGrafana, make_service: Make) -> None:
    service, fleet = testbed()
    service.stop()
    for row in grafana.rows.values():
        row.update(timeSelectionEnabled=False)
    make_service(
        fleet, clock=service.clock, gf_host=grafana.url, grafana_token=grafana.token, publish_dashboards=False
    ).settle()
    assert {(row["isEnabled"], row["timeSelectionEnabled"]) for row in grafana.rows.values()} == {(False, False)}


NODE = data_source("PBFA97CFB590B2093")
OURS = data_source("pluto-prometheus", "Pluto")
LOKI = data_source("loki", "A log store", type="loki", isDefault=True)
FIRST, DEFAULT = data_source("first", "A"), data_source("default", "B", isDefault=True)
SOURCES: dict[str, tuple[list[Any], str]] = {
    "ours": ([LOKI, DEFAULT, NODE, OURS], "pluto-prometheus"),
    "the Node project's": ([LOKI, DEFAULT, NODE], "PBFA97CFB590B2093"),
    "the default one": ([LOKI, FIRST, DEFAULT], "default"),
    "the first": ([LOKI, data_source("second", "B"), FIRST], "first"),
    "none": ([LOKI], "pluto-prometheus"),
    "unusable": ([data_source("x" * 41), data_source("a b"), data_source("c") | {"uid": None}, 5], "pluto-prometheus"),
}


def used_sources(grafana: FakeGrafana) -> set[str]:
    text = orjson.dumps(list(grafana.dashboards.values())).decode()
    return set(re.findall(r'"datasource":\{"type":"prometheus","uid":"([^"]*)"\}', text))


@pytest.mark.parametrize("which", SOURCES)
def test_dashboards_use_the_data_source_that_there_is(testbed: Any, grafana: FakeGrafana, which: str) -> None:
    grafana.sources, used = SOURCES[which]
    testbed()
    assert used_sources(grafana) == {used}
    assert grafana.lookups["sources"] == 1


def test_without_the_permission_to_list_them_dashboards_use_our_data_source(
    testbed: Any, grafana: FakeGrafana, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    grafana.may_list_sources = False
    service, _ = testbed()
    assert used_sources(grafana) == {"pluto-prometheus"} and len(links(service)) == 3
    assert [record.reason for record in caplog.records if hasattr(record, "data_source")] == [
        "this account may not list them"
    ]


def test_a_data_source_that_comes_later_is_used(testbed: Any, grafana: FakeGrafana) -> None:
    grafana.sources = []
    service, _ = testbed()
    grafana.sources = [NODE]
    wait(service, 2 * RECHECK)
    assert used_sources(grafana) == {"PBFA97CFB590B2093"}
    grafana.calls.clear()
    wait(service, RECHECK)
    assert dict(grafana.calls) == {"GET publication": 3}


def test_a_url_without_its_path_works_both_ways(by_file: Any, testbed: Any, grafana: FakeGrafana) -> None:
    grafana.base_path = "/grafana"
    service, _ = testbed(gf_host=f"http://127.0.0.1:{grafana.port}")
    assert len(links(service)) == 3
    service.stop()
    service, _ = by_file(gf_host=f"http://127.0.0.1:{grafana.port}")
    grafana.wipe()
    grafana.tick()
    wait(service, RECHECK)
    assert len(grafana.public_links()) == 3
    assert used_sources(grafana) == {"pluto-prometheus"}


# By file.


@pytest.fixture
def folder(tmp_path: Path, grafana: FakeGrafana) -> Path:
    """Which Grafana provisions. The service logs in by the proxy's header, as the original did."""
    grafana.proxy_user = "admin"
    grafana.provisions = tmp_path / "shared" / "dashboards"
    return grafana.provisions


@pytest.fixture
def by_file(testbed: Any, folder: Path) -> Callable[..., tuple[Service, Fleet]]:
    def by_file(*specs: Any, **settings: Any) -> tuple[Service, Fleet]:
        result: tuple[Service, Fleet] = testbed(
            *specs, **{"grafana_token": None, "grafana_dashboards_dir": folder, **settings}
        )
        return result

    return by_file


def test_files_are_written_and_published_when_grafana_has_read_them(
    by_file: Any, grafana: FakeGrafana, folder: Path
) -> None:
    service, fleet = by_file()
    names = {f"{uid}.json" for uid in {OVERVIEW, *uids(fleet)}}
    assert {path.name for path in folder.iterdir()} == names
    assert {oct(path.stat().st_mode & 0o777) for path in folder.iterdir()} == {"0o644"}
    assert oct(folder.stat().st_mode & 0o777) == "0o755"
    assert rows(service) == [] and grafana.calls["POST save"] == 0
    for path in folder.iterdir():
        assert orjson.loads(path.read_bytes())["uid"] == path.stem
    grafana.tick()
    wait(service, 120, step=10)
    assert set(links(service)) == {"overview", "gamma", "supra"}
    assert {headers.get("HTTP_X_WEBAUTH_USER") for headers in grafana.headers} == {"admin"}


def test_both_ways_give_the_same_dashboards(
    by_file: Any, make_service: Make, grafana: FakeGrafana, folder: Path, tmp_path: Path
) -> None:
    service, fleet = by_file()
    service.stop()
    fields = {"gf_host": grafana.url, "grafana_token": grafana.token, "data_dir": tmp_path / "other"}
    api = make_service(fleet, clock=service.clock, **fields)
    api.settle()
    api.imprint(*fleet)
    api.round()
    files = {path.stem: orjson.loads(path.read_bytes()) for path in folder.iterdir()}
    sent = {uid: {**board, "version": 1} for uid, board in grafana.dashboards.items()}
    assert files == sent


def test_files_are_written_though_grafana_is_down(by_file: Any, grafana: FakeGrafana, folder: Path) -> None:
    grafana.fault = "401"
    service, fleet = by_file(delete_data_on_device_remove=True)
    assert {path.stem for path in folder.iterdir()} == {OVERVIEW, *uids(fleet)}
    service.ok(service.client.delete(f"/devices/imprint/{fleet[0].mac}"))
    service.round()
    assert {path.stem for path in folder.iterdir()} == {OVERVIEW, device_uid(fleet[1].mac)}


def test_stale_files_go_and_other_peoples_stay(by_file: Any, grafana: FakeGrafana, folder: Path) -> None:
    folder.mkdir(parents=True)
    for name in (
        "pluto-0200000000ff.json",
        "pluto-overview.json.tmp",
        "mine.json",
        "pluto-of-mine.json",
        "pluto-overview.json",
    ):
        (folder / name).write_text("{}")
    _, fleet = by_file()
    assert {path.name for path in folder.iterdir()} == {
        "mine.json", "pluto-of-mine.json", *(f"{uid}.json" for uid in {OVERVIEW, *uids(fleet)})
    }  # fmt: skip


def test_a_file_that_says_so_already_is_left_alone(by_file: Any, grafana: FakeGrafana, folder: Path) -> None:
    service, _ = by_file()
    grafana.tick()
    wait(service, 120, step=10)
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    gone = min(before)
    gone.unlink()
    wait(service, RECHECK)
    after = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert {path for path in after if after[path] != before[path]} == {gone}


def test_a_folder_that_cannot_be_written_is_said_once(
    by_file: Any, grafana: FakeGrafana, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder.parent.mkdir(parents=True)
    folder.write_text("a file where the folder should be")
    service, fleet = by_file()
    wait(service, 300, step=5)
    said = [record for record in caplog.records if record.getMessage() == "Grafana is unavailable"]
    assert [record.reason for record in said] == ["folder"] and "GRAFANA_DASHBOARDS_DIR" in said[0].error
    folder.unlink()
    wait(service, 120, step=5)
    assert {path.stem for path in folder.iterdir()} == {OVERVIEW, *uids(fleet)}


def test_a_dashboard_that_a_file_holds_is_published_all_the_same(
    testbed: Any, grafana: FakeGrafana, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """From `file` to `api` with the old folder still provisioned: Grafana does not let the API save over it."""
    folder.mkdir(parents=True)
    (folder / "overview.json").write_bytes(orjson.dumps({"uid": OVERVIEW, "title": "from a file"}))
    grafana.tick()
    service, _ = testbed()
    wait(service, 2 * RECHECK)
    assert "overview" in links(service)
    assert len([record for record in caplog.records if "rejected a dashboard" in record.getMessage()]) == 1


def test_hostnames_never_reach_a_path(by_file: Any, folder: Path) -> None:
    _, fleet = by_file({"hostname": "../../etc/x"}, {"hostname": "a/b"})
    assert {path.name for path in folder.parent.rglob("*.json")} == {f"{uid}.json" for uid in {OVERVIEW, *uids(fleet)}}
