"""/metrics is valid text format for any answers of the miners: one invalid number would end a whole scrape."""

import json
import subprocess

import pytest
from answer_mutations import BODIES, make_invalid_bodies
from hostile_miner import RawMiner

from app.models import Device

EXIT_PARSE_ERROR, EXIT_STYLE = 1, 3
MINER_COUNT = 30


def check_metrics(text):
    return subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True, timeout=30)


@pytest.fixture
def start_raw_miners(make_service, clock):
    """`start_raw_miners(**settings)` starts the service with thirty raw miners.

    It returns `scrape_bodies(bodies)`, which lets each miner answer one poll with its body and returns /metrics.
    """
    miners = [RawMiner(f"02:00:5e:00:01:{number:02x}") for number in range(MINER_COUNT)]

    def build(**settings):
        service = make_service(clock=clock, **settings)
        tracked_devices = service.runtime.fleet.save_devices([Device(miner.mac, miner.address) for miner in miners])
        for tracked in tracked_devices:
            service.runtime.fleet.set_monitored(tracked, True)

        def scrape_bodies(bodies):
            for miner, tracked, body in zip(miners, tracked_devices, bodies, strict=True):
                miner.body = json.dumps({**body, "macAddr": miner.mac}).encode()  # orjson rejects integers over 64 bits
                service.runtime.poller.poll_device(tracked, service.runtime.miners.get_miner(tracked.address))
            return service.client.get("/metrics").get_data(as_text=True)

        return scrape_bodies

    for miner in miners:
        miner.__enter__()
    yield build
    for miner in miners:
        miner.__exit__()


@pytest.mark.parametrize("seed", range(8))
def test_answers_with_invalid_values_give_valid_metrics(start_raw_miners, seed):
    scrape_bodies = start_raw_miners(metrics_legacy_names=False)
    completed = check_metrics(scrape_bodies(make_invalid_bodies(MINER_COUNT, seed)))
    assert (completed.returncode, completed.stdout + completed.stderr) == (0, "")


@pytest.mark.parametrize("seed", range(8, 12))
def test_answers_with_invalid_values_give_parseable_legacy_metrics(start_raw_miners, seed):
    """The legacy names are the Node backend's and violate promtool's style; they must parse."""
    scrape_bodies = start_raw_miners()
    assert check_metrics(scrape_bodies(make_invalid_bodies(MINER_COUNT, seed))).returncode in (0, EXIT_STYLE)


@pytest.mark.parametrize("value", [1e308, "1e308", 5e-324, 2**63 - 1, 0, -1, None, "", True, {}, []], ids=str)
def test_one_extreme_value_in_every_field_gives_valid_metrics(start_raw_miners, value):
    """The sum of thirty times the largest number is infinite."""
    kept = ("ASICModel", "version", "deviceModel", "macAddr")
    names = sorted(BODIES)
    bodies = [BODIES[names[number % len(names)]] for number in range(MINER_COUNT)]
    changed = [{key: each if key in kept else value for key, each in body.items()} for body in bodies]
    scrape_bodies = start_raw_miners(metrics_legacy_names=False)
    completed = check_metrics(scrape_bodies(changed))
    assert (completed.returncode, completed.stdout + completed.stderr) == (0, "")


@pytest.mark.parametrize(
    "hostname", ['a"} 1\nup{x="', "\\", "\x00\x1b[31m", "\u2028", "é" * 70, '"', "{}", "a\\", "\\n"]
)
def test_hostnames_and_pools_cannot_break_out_of_a_label(start_raw_miners, hostname):
    labels = {
        "hostname": hostname,
        "stratumURL": hostname,
        "stratumPort": 1,
        "version": hostname,
        "boardVersion": hostname,
    }
    scrape_bodies = start_raw_miners(metrics_legacy_names=False)
    completed = check_metrics(scrape_bodies([{**BODIES["AxeOS 2.12"], **labels}] * MINER_COUNT))
    assert (completed.returncode, completed.stdout + completed.stderr) == (0, "")


def test_promtool_reports_invalid_metrics():
    assert check_metrics("a 1" + "0" * 400 + "\n").returncode == EXIT_PARSE_ERROR
    assert check_metrics('a{b="\n"} 1\n').returncode == EXIT_PARSE_ERROR
