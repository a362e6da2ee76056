"""Whatever miners say, Prometheus can read what is made of it: one number that it cannot read ends a whole scrape."""

import json
import subprocess

import pytest
from answer_mutations import BODIES, scrambled
from hostile_miner import RawMiner

from app.models import Device

PARSE_ERROR, STYLE = 1, 3
COUNT = 30


def promtool(text):
    return subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True, timeout=30)


@pytest.fixture
def street(make_service, clock):
    """`say(bodies)`: thirty miners answer one poll each with these; returns the exposition."""
    miners = [RawMiner(f"02:00:5e:00:01:{number:02x}") for number in range(COUNT)]

    def build(**settings):
        service = make_service(clock=clock, **settings)
        known = service.runtime.fleet.keep([Device(miner.mac, miner.address) for miner in miners])
        for tracked in known:
            service.runtime.fleet.set_monitored(tracked, True)

        def say(bodies):
            for miner, tracked, body in zip(miners, known, bodies, strict=True):
                miner.body = json.dumps({**body, "macAddr": miner.mac}).encode()  # orjson takes no integer over 64 bits
                service.runtime.poller.poll(tracked, service.runtime.miners.at(tracked.address))
            return service.client.get("/metrics").get_data(as_text=True)

        return say

    for miner in miners:
        miner.__enter__()
    yield build
    for miner in miners:
        miner.__exit__()


@pytest.mark.parametrize("seed", range(8))
def test_scrambled_bodies(street, seed):
    say = street(metrics_legacy_names=False)
    checked = promtool(say(scrambled(COUNT, seed)))
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")


@pytest.mark.parametrize("seed", range(8, 12))
def test_scrambled_bodies_with_the_originals_names(street, seed):
    """Its style is not for us to choose; that it parses is."""
    say = street()
    assert promtool(say(scrambled(COUNT, seed))).returncode in (0, STYLE)


@pytest.mark.parametrize("value", [1e308, "1e308", 5e-324, 2**63 - 1, 0, -1, None, "", True, {}, []], ids=str)
def test_the_same_everywhere(street, value):
    """Thirty times the largest number is none."""
    kept = ("ASICModel", "version", "deviceModel", "macAddr")
    names = sorted(BODIES)
    bodies = [BODIES[names[number % len(names)]] for number in range(COUNT)]
    odd = [{key: each if key in kept else value for key, each in body.items()} for body in bodies]
    say = street(metrics_legacy_names=False)
    checked = promtool(say(odd))
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")


@pytest.mark.parametrize(
    "hostname", ['a"} 1\nup{x="', "\\", "\x00\x1b[31m", "\u2028", "é" * 70, '"', "{}", "a\\", "\\n"]
)
def test_names_and_pools_that_break_out(street, hostname):
    odd = {
        "hostname": hostname,
        "stratumURL": hostname,
        "stratumPort": 1,
        "version": hostname,
        "boardVersion": hostname,
    }
    say = street(metrics_legacy_names=False)
    checked = promtool(say([{**BODIES["AxeOS 2.12"], **odd}] * COUNT))
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")


def test_promtool_would_notice():
    assert promtool("a 1" + "0" * 400 + "\n").returncode == PARSE_ERROR
    assert promtool('a{b="\n"} 1\n').returncode == PARSE_ERROR
