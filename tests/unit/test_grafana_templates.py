"""The dashboards as data: each panel is complete, queries existing families, and a hostname cannot break out of the
title."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from itertools import combinations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.miners.measures import MEASURES
from app.services.dashboards.boards import UIDS, Board, assign_titles, device_board_uid, new_board
from app.services.dashboards.templates import FOLDER, Templates, compute_fingerprint, encode_dashboard

MAC = "02:00:5e:00:00:01"
UID = "pluto-02005e000001"
TEMPLATES = Templates()
DEVICE = TEMPLATES.render_device(UID, "gamma", MAC)
OVERVIEW = TEMPLATES.render_overview("pluto-overview", "Pluto fleet")
CORE_PANEL_TYPES = {"timeseries", "stat", "gauge", "bargauge", "table", "state-timeline", "heatmap", "text"}
FAMILIES = {f"pluto_device_{name}" for name in ("up", "info", *(measure.key for measure in MEASURES))}
# Variables that the Prometheus data source fills in itself, also in public dashboards.
BUILT_IN_VARIABLES = {"$__rate_interval"}
PANELS = [
    pytest.param(panel, dashboard, id=f"{name}: {panel['title']}")
    for name, dashboard in (("device", DEVICE), ("overview", OVERVIEW))
    for panel in dashboard["panels"]
]


def list_texts(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        for value in node.values():
            yield from list_texts(value)
    elif isinstance(node, list):
        for value in node:
            yield from list_texts(value)
    elif isinstance(node, str):
        yield node


@pytest.mark.parametrize(("panel", "dashboard"), PANELS)
def test_panel_is_complete(panel: dict[str, Any], dashboard: dict[str, Any]) -> None:
    assert panel["type"] in CORE_PANEL_TYPES
    assert panel["title"] and panel["description"].endswith(".")
    defaults = panel["fieldConfig"]["defaults"]
    assert defaults["unit"] and defaults["thresholds"]["steps"][0]["value"] is None
    assert panel["targets"]
    ids = [target["refId"] for target in panel["targets"]]
    assert len(set(ids)) == len(ids)
    for each in (panel, *panel["targets"]):
        assert each["datasource"] == {"type": "prometheus", "uid": "pluto-prometheus"}


@pytest.mark.parametrize(("panel", "dashboard"), PANELS)
def test_panel_queries_exported_families(panel: dict[str, Any], dashboard: dict[str, Any]) -> None:
    for target in panel["targets"]:
        expression = target["expr"]
        assert set(re.findall(r"[a-z_]*_[a-z_0-9]+(?=[{)\s])", expression)) & FAMILIES
        assert set(re.findall(r"\bpluto_\w+", expression)) <= FAMILIES
        assert set(re.findall(r"\$\w*", expression)) <= BUILT_IN_VARIABLES
        selectors = re.findall(r"pluto_device_\w+(\{[^}]*\})?", expression)
        expected_selector = f'{{mac="{MAC}"}}' if dashboard is DEVICE else ""
        assert set(selectors) == {expected_selector}
        assert not re.search(r"\b(rate|increase)\((?!.*\$__rate_interval)", expression)


@pytest.mark.parametrize(("panel", "dashboard"), PANELS)
def test_panels_of_present_values_use_instant_queries(panel: dict[str, Any], dashboard: dict[str, Any]) -> None:
    """A range query would show the last value of an offline miner for the length of the range."""
    for target in panel["targets"]:
        assert target["instant"] is not target["range"]
        assert target["instant"] is (panel["type"] in ("stat", "bargauge", "table"))


@pytest.mark.parametrize("dashboard", [DEVICE, OVERVIEW], ids=["device", "overview"])
def test_dashboard_uses_only_features_of_public_dashboards(dashboard: dict[str, Any]) -> None:
    assert dashboard["schemaVersion"] == 39 and dashboard["id"] is None
    assert dashboard["templating"] == {"list": []} and dashboard["annotations"] == {"list": []}
    assert dashboard["refresh"] == "10s" and dashboard["title"] and UIDS.fullmatch(dashboard["uid"])
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(set(ids)) == len(ids)
    assert not any("@@" in text for text in list_texts(dashboard))


@pytest.mark.parametrize("dashboard", [DEVICE, OVERVIEW], ids=["device", "overview"])
def test_panels_do_not_overlap(dashboard: dict[str, Any]) -> None:
    grid_positions = [panel["gridPos"] for panel in dashboard["panels"]]
    assert all(position["x"] + position["w"] <= 24 for position in grid_positions)
    for one, other in combinations(grid_positions, 2):
        apart = (
            one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
            or one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        )  # fmt: skip
        assert apart, (one, other)


def test_overview_has_no_line_per_miner() -> None:
    """500 miners are readable in a table, not as lines: the graphs show the whole fleet."""
    for panel in OVERVIEW["panels"]:
        for target in panel["targets"]:
            if panel["type"] == "timeseries":
                assert target["expr"].startswith(("sum(", "count("))
            elif panel["type"] == "bargauge":
                assert target["expr"].startswith(("topk(", "bottomk(", "sort_desc(count by (version)"))


HOSTILE = [
    '"}',
    '"} or up{',
    "@@hostname@@",
    "@@mac@@",
    "@@title@@",
    "../../etc/x",
    "$__range",
    "${__all_variables}",
    "$mac",
    "[[mac]]",
    "x" * 300,
    "<img src=x onerror=alert(1)>",
    "${jndi:ldap://x}",
    "\\",
    "\n",
    "a\x00b",
    "\u202egnp.exe",
    "\x1b[31m",
    "{{mac}}",
    "",
    "  ",
    "\U0001f600",
]
INTERPOLATED = re.compile(r"\$(\w+)|\[\[(\w+?)(?::(\w+))?\]\]|\$\{(\w+)(?:\.([^:^}]+))?(?::([^}]+))?\}")


def render_dashboard(hostname: str) -> dict[str, Any]:
    board = Board(UID, hostname, MAC)
    return TEMPLATES.render_device(UID, assign_titles([board])[UID], MAC)


def assert_harmless(hostname: str) -> None:
    dashboard = render_dashboard(hostname)
    assert dashboard["title"].strip() and len(dashboard["title"]) <= 64
    assert not INTERPOLATED.search(dashboard["title"])
    assert not re.search(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e]", dashboard["title"])
    assert {**dashboard, "title": ""} == {**DEVICE, "title": ""}, "only the title may contain the hostname"
    assert encode_dashboard(dashboard)


@pytest.mark.parametrize("hostname", HOSTILE)
def test_hostile_hostname_appears_in_title_only(hostname: str) -> None:
    assert_harmless(hostname)


@given(st.text() | st.text(alphabet='$[]{}@"\\_amc:') | st.sampled_from(HOSTILE))
def test_generated_hostname_appears_in_title_only(hostname: str) -> None:
    assert_harmless(hostname)


def test_usual_hostname_is_shown_unchanged() -> None:
    assert render_dashboard("bitaxe-601_attic.lan")["title"] == "bitaxe-601_attic.lan"


@pytest.mark.parametrize(
    "mac", ["", "02:00:5e:00:00:0", '02:00:5e:00:00:01"} or up{', "02:00:5E:00:00:01", "../../etc/x"]
)
def test_query_accepts_only_a_mac(mac: str) -> None:
    with pytest.raises(ValueError, match="not a MAC"):
        TEMPLATES.render_device(UID, "x", mac)


def test_changing_a_dashboard_does_not_change_template() -> None:
    before = copy.deepcopy(TEMPLATES._device)
    TEMPLATES.render_device(UID, "x", MAC)["panels"].clear()
    assert TEMPLATES._device == before


def test_fingerprint_depends_on_content() -> None:
    assert compute_fingerprint(DEVICE) == compute_fingerprint(TEMPLATES.render_device(UID, "gamma", MAC))
    others = (
        TEMPLATES.render_device(UID, "gamma2", MAC),
        TEMPLATES.render_device(UID, "gamma", MAC[:-1] + "2"),
        OVERVIEW,
    )
    assert len({compute_fingerprint(DEVICE), *map(compute_fingerprint, others)}) == 4


def test_templates_contain_no_hostname_and_no_secret() -> None:
    for path in FOLDER.glob("*.json"):
        assert set(re.findall(r"@@(\w+)@@", path.read_text())) <= {"uid", "title", "mac", "data_source"}


# Titles and names.


@given(
    st.lists(st.text(max_size=8) | st.sampled_from(["bitaxe", "Bitaxe", f"bitaxe ({MAC})", "Pluto fleet"]), max_size=8)
)
def test_titles_are_unique(hostnames: list[str]) -> None:
    boards = [new_board("overview")]
    boards += [new_board(name, f"02:00:5e:00:00:{at:02x}") for at, name in enumerate(hostnames)]
    title_map = assign_titles(boards)
    assert len(title_map) == len(boards) == len(set(map(str.casefold, title_map.values())))


def test_identifiers_of_a_board() -> None:
    one, other = new_board("a", MAC), new_board("a", MAC)
    assert one.uid == other.uid == device_board_uid(MAC) == UID
    assert one.access_token != other.access_token and one.public_uid != other.public_uid
    assert re.fullmatch(r"[0-9a-f]{32}", one.access_token) and re.fullmatch(r"[A-Za-z0-9_-]{1,40}", one.public_uid)
