"""Tests of PATCH /api/system and of the pool routes per firmware."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
import requests
from sim_helpers import StartMiner, make_url, wait_until

from simulator import Miner


def send_patch(session: requests.Session, miner: Miner, body: Any, **headers: str) -> requests.Response:
    data = body if isinstance(body, bytes) else orjson.dumps(body)
    return session.patch(make_url(miner, "/api/system"), data=data, headers=headers)


@pytest.mark.parametrize("generation", ["2.1", "2.4", "2.7", "2.10", "2.12", "2.15", "nerd"])
def test_patch_answers_empty_chunked_page(start_miner: StartMiner, session: requests.Session, generation: str) -> None:
    miner = start_miner(generation)
    reply = send_patch(session, miner, {"frequency": 500, "nonsense": {"a": 1}})
    assert (reply.status_code, reply.content) == (200, b"")
    assert reply.headers["Content-Type"] == "text/html"
    assert reply.headers["Transfer-Encoding"] == "chunked"
    assert miner.writes == [b'{"frequency":500,"nonsense":{"a":1}}']
    wait_until(lambda: miner.read_info()["frequency"] == 500)
    assert miner.running["frequency"] == 500


# (generation, body, status, stored settings afterwards)
TABLE: list[tuple[str, dict[str, Any], int, dict[str, Any]]] = [
    ("2.7", {"fanspeed": 70}, 200, {"manualFanSpeed": 70}),
    ("2.7", {"manualFanSpeed": 70}, 200, {"manualFanSpeed": 100}),
    ("2.12", {"manualFanSpeed": 70}, 200, {"manualFanSpeed": 70}),
    ("2.12", {"fanspeed": 70}, 200, {"manualFanSpeed": 100}),
    ("2.7", {"frequency": "600"}, 200, {"frequency": 525}),
    ("2.7", {"frequency": 606.25}, 200, {"frequency": 606}),
    ("2.10", {"frequency": 606.25}, 200, {"frequency": 606.25}),
    ("2.12", {"frequency": 606.25}, 200, {"frequency": 606.25}),
    ("2.7", {"autofanspeed": "yes"}, 200, {"autofanspeed": 0}),
    ("2.7", {"temptarget": 99}, 200, {"temptarget": 99}),
    ("2.7", {"frequency": 60000}, 200, {"frequency": 60000}),
    ("2.12", {"frequency": 65535}, 200, {"frequency": 65535}),
    ("2.12", {"frequency": 65536}, 400, {"frequency": 525}),
    ("2.12", {"frequency": "600"}, 400, {"frequency": 525}),
    ("2.12", {"frequency": 600, "coreVoltage": 0}, 400, {"frequency": 525, "coreVoltage": 1150}),
    ("2.12", {"temptarget": 67}, 400, {"temptarget": 60}),
    ("2.12", {"autofanspeed": True}, 200, {"autofanspeed": 1}),
    ("2.12", {"autofanspeed": 2}, 400, {"autofanspeed": 1}),
    ("2.12", {"overheat_mode": 1}, 400, {"overheat_mode": 0}),
    ("2.12", {"rotation": 45}, 400, {"rotation": 0}),
    ("2.12", {"hostname": ""}, 400, {"hostname": "bitaxe"}),
    ("2.12", {"hostname": "x" * 33}, 400, {"hostname": "bitaxe"}),
    ("2.12", {"displayTimeout": -1}, 200, {"displayTimeout": -1}),
    ("2.12", {"stratumURL": "pool.example"}, 200, {"stratumURL": "pool.example"}),
    ("2.12", {"stratumPort": 65536}, 400, {"stratumPort": 3333}),
    ("2.4", {"temptarget": 50}, 200, {"temptarget": 60}),
    ("nerd", {"frequency": 500.5}, 200, {"frequency": 490}),
    ("nerd", {"frequency": "500"}, 200, {"frequency": 490}),
    ("nerd", {"flipscreen": 0}, 200, {"flipscreen": 1}),
    ("nerd", {"flipscreen": False}, 200, {"flipscreen": 0}),
    ("nerd", {"pidTargetTemp": 52}, 200, {"temptarget": 52}),
    ("nerd", {"temptarget": 52}, 200, {"temptarget": 55}),
    ("nerd", {"autofanspeed": True}, 200, {"autofanspeed": 2}),
]


@pytest.mark.parametrize(("generation", "body", "status", "stored"), TABLE)
def test_patch_stores_or_refuses_value(
    start_miner: StartMiner,
    session: requests.Session,
    generation: str,
    body: dict[str, Any],
    status: int,
    stored: dict[str, Any],
) -> None:
    miner = start_miner(generation, board="nerdqaxe+" if generation == "nerd" else "601")
    reply = send_patch(session, miner, body)
    assert reply.status_code == status
    if status == 400:
        assert (reply.text, reply.headers["Content-Type"]) == ("Wrong API input", "text/html")
    miner.settings.apply_due_writes(miner.now() + 10)  # applies the pending write without waiting
    assert {key: miner.stored[key] for key in stored} == stored


@pytest.mark.parametrize("generation", ["2.7", "2.12"])
def test_invalid_json_answers_400(start_miner: StartMiner, session: requests.Session, generation: str) -> None:
    reply = send_patch(session, start_miner(generation), b'{"frequency": ')
    assert (reply.status_code, reply.text) == (400, "Invalid JSON")


def test_long_body_answers_500(start_miner: StartMiner, session: requests.Session) -> None:
    reply = send_patch(session, start_miner("2.12"), {"x": "y" * 10240})
    assert (reply.status_code, reply.text) == (500, "content too long")


def test_queued_write_is_visible_later(start_miner: StartMiner, session: requests.Session, clock: Any) -> None:
    """Since 2.11 a read directly after the PATCH returns the old value."""
    miner = start_miner("2.12", clock=clock)
    send_patch(session, miner, {"frequency": 600})
    assert miner.read_info()["frequency"] == 525
    clock.advance(0.2)
    assert miner.read_info()["frequency"] == 600


def test_unqueued_write_is_visible_at_once(start_miner: StartMiner, session: requests.Session, clock: Any) -> None:
    miner = start_miner("2.10", clock=clock)
    send_patch(session, miner, {"frequency": 600})
    assert miner.read_info()["frequency"] == 600


@pytest.mark.parametrize(("generation", "live"), [("2.12", False), ("2.15", True), ("nerd", False)])
def test_hostname_is_reported_before_it_is_active(
    start_miner: StartMiner, session: requests.Session, generation: str, live: bool
) -> None:
    miner = start_miner(generation)
    reply = send_patch(session, miner, {"hostname": "new"})
    wait_until(lambda: miner.read_info()["hostname"] == "new")
    assert (miner.running["hostname"] == "new") is live
    if generation == "2.15":
        assert reply.json()["redirect"]["url"] == "http://new.local"
    else:
        assert reply.content == b""


def test_pool_change_is_pending_until_restart(start_miner: StartMiner, session: requests.Session) -> None:
    miner = start_miner("2.12")
    send_patch(session, miner, {"stratumURL": "pool.example"})
    wait_until(lambda: miner.stored["stratumURL"] == "pool.example")
    assert miner.running["stratumURL"] == "public-pool.io"
    session.post(make_url(miner, "/api/system/restart"))
    wait_until(lambda: miner.boots == 1)
    assert miner.running["stratumURL"] == "pool.example"


def test_nerdos_pool_change_is_active_at_once(start_miner: StartMiner, session: requests.Session) -> None:
    miner = start_miner("nerd")
    send_patch(session, miner, {"stratumURL": "pool.example"})
    assert miner.running["stratumURL"] == "pool.example"


def test_flat_stratum_keys_are_ignored_since_2_15(start_miner: StartMiner, session: requests.Session) -> None:
    miner = start_miner("2.15")
    assert send_patch(session, miner, {"stratumURL": "pool.example", "frequency": 600}).status_code == 200
    wait_until(lambda: miner.read_info()["frequency"] == 600)
    assert miner.read_info()["stratumURL"] == "public-pool.io"


def test_old_firmware_restarts_after_non_string(start_miner: StartMiner, session: requests.Session) -> None:
    miner = start_miner("2.4")
    with pytest.raises(requests.ConnectionError):
        send_patch(session, miner, {"stratumUser": 5})
    wait_until(lambda: miner.powered)
    assert miner.read_info()["uptimeSeconds"] == 0


POOL = {"id": 0, "stratumURL": "pool.example", "stratumPort": 3334, "stratumUser": "me.rig"}


def read_slot(miner: Miner, number: int = 0) -> dict[str, Any]:
    miner.settings.apply_due_writes(miner.now() + 10)
    pools: dict[int, dict[str, Any]] = miner.settings.stored["pools"]
    return pools[number]


def test_pool_object_replaces_whole_slot(start_miner: StartMiner, session: requests.Session) -> None:
    miner = start_miner("2.15")
    send_patch(session, miner, {"pools": [POOL | {"stratumPassword": "secret", "stratumSuggestedDifficulty": 77}]})
    assert read_slot(miner)["stratumPassword"] == "secret"
    send_patch(session, miner, {"pools": [POOL | {"stratumPassword": "*****"}]})
    assert (read_slot(miner)["stratumPassword"], read_slot(miner)["stratumSuggestedDifficulty"]) == ("secret", 1000)
    send_patch(session, miner, {"pools": [POOL]})
    assert read_slot(miner)["stratumPassword"] == "x"
    assert read_slot(miner, 1)["stratumURL"] == "solo.ckpool.org"
    info = miner.read_info()
    assert info["stratumURL"] == info["pools"][0]["stratumURL"] == "pool.example"
    assert info["pools"][0]["stratumPassword"] == "*****"


@pytest.mark.parametrize(
    "pools",
    [
        [POOL | {"stratumURL": ""}],
        [POOL | {"stratumPort": 0}],
        [POOL | {"stratumPort": "3333"}],
        [{"id": 0, "stratumURL": "a", "stratumPort": 1}],
        [POOL | {"id": 8}],
        [{key: value for key, value in POOL.items() if key != "id"}],
        [POOL | {"stratumTLS": "no"}],
        POOL,
    ],
)
def test_invalid_pool_stores_nothing(start_miner: StartMiner, session: requests.Session, pools: Any) -> None:
    miner = start_miner("2.15")
    assert send_patch(session, miner, {"frequency": 600, "pools": pools}).status_code == 400
    assert read_slot(miner)["stratumURL"] == "public-pool.io"
    assert miner.stored["frequency"] == 525


def test_pool_routes_put_and_delete(start_miner: StartMiner, session: requests.Session) -> None:
    miner = start_miner("2.15")
    put = session.put(make_url(miner, "/api/system/pools/3"), data=orjson.dumps(POOL))
    assert put.json() == {"message": "Pool updated successfully"}
    wait_until(lambda: [pool["id"] for pool in miner.read_info()["pools"]] == [0, 1, 3])
    assert session.delete(make_url(miner, "/api/system/pools/0")).status_code == 400
    assert session.delete(make_url(miner, "/api/system/pools/3")).json() == {"message": "Pool cleared successfully"}
    wait_until(lambda: [pool["id"] for pool in miner.read_info()["pools"]] == [0, 1])
    old = session.put(make_url(start_miner("2.12"), "/api/system/pools/3"), data=orjson.dumps(POOL))
    assert old.status_code == 405


def test_one_time_password_is_required_and_blocked_after_failures(
    start_miner: StartMiner, session: requests.Session
) -> None:
    miner = start_miner("nerd", otp=True)
    assert miner.read_info()["otp"] is True
    assert send_patch(session, miner, {"frequency": 500}).text == "OTP/Session required"
    assert send_patch(session, miner, {"frequency": 500}, **{"X-TOTP": "123456"}).status_code == 200
    token = session.post(make_url(miner, "/api/v2/otp/session"), headers={"X-TOTP": "123456"}).json()["token"]
    assert send_patch(session, miner, {"frequency": 510}, **{"X-OTP-Session": token}).status_code == 200
    for _ in range(5):
        refused = send_patch(session, miner, {"frequency": 520}, **{"X-TOTP": "000000"})
    assert (refused.status_code, refused.text) == (401, "blocked for 5 minutes")
    assert miner.running["frequency"] == 510
    assert session.post(make_url(miner, "/api/system/restart")).status_code == 200
