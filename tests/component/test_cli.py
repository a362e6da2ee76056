"""Each command of the command line, as a process, against a real service with simulated miners."""

import gzip
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from cli_helpers import ROOT, CommandLine
from fakes import find_free_port, wait_until
from hostile_miner import frame_response

from app.cli.main import COMMANDS

HOSTNAMES = ("miner-1", "miner-2")
TOKEN, READ_TOKEN = "control-token-0123456789", "read-token-0123456789"


@pytest.fixture
def fleet_cli(live_testbed, start_server):
    """`cli, service, miners`: two miners, registered and online."""

    def build(*specs, token=None, **settings):
        service, miners = live_testbed(*(specs or ("2.12", "2.15")), **settings)
        return CommandLine(start_server(service), token), service, list(miners)

    return build


def test_no_command_imports_the_frameworks_of_the_service():
    script = (
        "import importlib, sys; from app.cli.main import COMMANDS; "
        "[importlib.import_module(f'app.cli.{each}') for each in {*COMMANDS.values(), 'live_events'}]; "
        "print([each for each in ('flask', 'gevent', 'plyvel', 'marshmallow') if each in sys.modules])"
    )
    completed = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert completed.stdout == "[]\n"


def test_command_starts_quickly():
    cli = CommandLine("http://127.0.0.1:1")
    durations = []
    for _ in range(5):
        start = time.monotonic()
        cli.read_text("devices", "--help")
        durations.append(time.monotonic() - start)
    assert min(durations) < 0.4


def test_help_names_each_command_and_the_shell_completes_them():
    shown = CommandLine("http://127.0.0.1:1").read_text("--help")
    assert all(f"  {name} " in shown for name in COMMANDS)
    completion = CommandLine(
        "http://127.0.0.1:1", _PLUTO_COMPLETE="bash_complete", COMP_WORDS="pluto re", COMP_CWORD="1"
    )
    assert completion.read_text() == "plain,register\nplain,restart\n"


def test_shell_completes_devices(fleet_cli):
    cli, service, (first, _) = fleet_cli()
    variables = {"_PLUTO_COMPLETE": "bash_complete", "COMP_WORDS": "pluto show MIN", "COMP_CWORD": "2"}
    cli._environ.update(variables)
    assert cli.read_text() == "plain,miner-1\nplain,miner-2\n"
    cli._environ["PLUTO_URL"] = "http://127.0.0.1:1"
    assert cli.read_text().strip() == ""


def test_unreachable_service_and_other_servers(raw_miner):
    assert "nothing listens there" in CommandLine(f"http://127.0.0.1:{find_free_port()}").read_failure(
        "devices", code=4
    )
    assert "host name is not known" in CommandLine("http://pluto.invalid").read_failure("devices", code=4)
    other = CommandLine(f"http://{raw_miner.address}")
    raw_miner.body = b"hello"
    assert "does not answer like Pluto" in other.read_failure("jobs", code=4)
    redirect = frame_response(b"", b"Location: https://u:p@other.example/x", status=b"302 Found")
    raw_miner.act = lambda opened: opened.sendall(redirect)
    failure = other.read_failure("jobs", code=4)
    assert "redirects to https://other.example, which is not followed" in failure


def test_usage_errors():
    cli = CommandLine("http://127.0.0.1:1")
    assert "No such command" in cli.read_failure("dance", code=2)
    assert "user and password" in cli.read_failure("--url", "http://a:b@c", "devices", code=2)
    assert "No such option" in cli.read_failure("--token", TOKEN, "devices", code=2)
    assert "Name a device" in cli.read_failure("restart", code=2)
    assert "Name a miner" in cli.read_failure("register", code=2)
    failure = CommandLine("http://127.0.0.1:1", "too short").read_failure("devices", code=2)
    assert "PLUTO_TOKEN cannot be used" in failure
    assert "too short" not in failure


def test_token_is_sent_and_never_shown(make_service, start_server):
    service = make_service(api_token=TOKEN, api_token_read=READ_TOKEN)
    url = start_server(service)
    assert "needs a token" in CommandLine(url).read_failure("devices", code=5)
    wrong = CommandLine(url, "wrong-token-0123456789").read_failure("devices", code=5)
    assert "not valid" in wrong and "wrong-token" not in wrong
    reading = CommandLine(url, READ_TOKEN)
    assert reading.read_json("devices") == []
    assert "may read, not change" in reading.read_failure("discover", code=5)
    with CommandLine(url, TOKEN).follow("events", "-f", "--json") as process:
        assert json.loads(process.stdout.readline())["kind"] == "service_started"


def test_devices_and_show(fleet_cli):
    cli, service, (first, second) = fleet_cli()
    service.client.patch(f"/devices/imprint/{first.mac}", json={"device": {"name": "[red]Attic\x1b[2J", "tags": ["t"]}})
    rows = cli.read_json("devices")
    assert {row["mac"] for row in rows} == {first.mac, second.mac}
    assert all(row["status"] == "online" and row["hashrateGhs"] > 0 for row in rows)
    assert [row["mac"] for row in cli.read_json("devices", "--tag", "t")] == [first.mac]
    assert cli.read_json("devices", "--state", "offline") == []
    text = cli.read_text("devices")
    assert "[red]Attic" in text and "\x1b" not in text
    assert "2 devices, 2 online" in text
    assert cli.read_json("show", HOSTNAMES[1])["mac"] == second.mac
    shown = cli.read_text("show", second.address)
    assert second.mac in shown and "GH/s" in shown and ("CET" in shown or "CEST" in shown)
    assert "'nothing'" in cli.read_failure("show", "nothing", code=3)


def test_problems_come_first(fleet_cli):
    cli, service, (first, second) = fleet_cli()
    second.power_off()
    service.wait_for_status("offline", second)
    rows = cli.read_json("devices")
    assert [row["mac"] for row in rows] == [second.mac, first.mac]
    text = cli.read_text("devices")
    assert f"{HOSTNAMES[1]}: {rows[0]['problems'][0]['message']}" in text
    assert "1 needs attention" in text
    assert cli.read_json("devices", "--state", "attention")[0]["mac"] == second.mac


def test_discover_and_register(make_fleet, make_service, start_server):
    miners = list(make_fleet("2.12", "2.15", "2.15"))
    cli = CommandLine(start_server(make_service(miners)))
    assert cli.read_text("devices") == ""
    scan = cli.read_json("discover")
    assert scan["state"] == "done"
    assert {each["mac"] for each in scan["found"]} == {miner.mac for miner in miners}
    assert "3 new" in cli.read_text("discover")
    assert [each["mac"] for each in cli.read_json("register", HOSTNAMES[0])] == [miners[0].mac]
    assert miners[1].mac in cli.read_text("register", "--address", miners[1].address)
    assert "2 registered" in cli.read_text("discover")
    assert [each["mac"] for each in cli.read_json("register", "--new")] == [miners[2].mac]
    assert cli.read_json("register", "--new") == []
    assert "No discovered miner" in cli.read_failure("register", "nothing", code=3)
    assert "No miner answers" in cli.read_failure("register", "--address", "127.80.0.30", code=3)
    assert "outside the networks" in cli.read_failure("register", "--address", "8.8.8.8", code=6)


def test_set_shows_the_change_and_the_result_per_key(fleet_cli):
    cli, service, (first, second) = fleet_cli()
    assert "Frequency" in cli.read_text("set", first.mac, "--list")
    completed = cli.run("set", first.mac, "Frequency=550", "--yes")
    assert completed.returncode == 0
    assert "frequency: 525 → 550 MHz" in completed.stderr
    assert "applied" in completed.stdout and "is 550 now" in completed.stdout
    assert service.get_device(first.mac)["info"]["frequency"] == 550
    answer = cli.read_json("set", first.mac, "frequency=550", "autofanspeed=on", "-y")
    assert {each["key"]: each["status"] for each in answer["changes"]} == {
        "frequency": "unchanged",
        "autofanspeed": "unchanged",
    }
    failure = cli.read_failure("set", first.mac, "frequency=9999", "--yes", code=6)
    assert "nothing was written" in failure and "Must be one of" in failure
    assert "no setting 'nothing'" in cli.read_failure("set", first.mac, "nothing=1", "-y", code=3)
    assert "needs a number" in cli.read_failure("set", first.mac, "stratumPort=x", "-y", code=2)
    assert "add --yes" in cli.read_failure("set", first.mac, "frequency=525", code=2)


def test_secret_is_read_from_stdin_and_shown_nowhere(fleet_cli):
    cli, service, (first, _) = fleet_cli()
    assert "is a secret" in cli.read_failure("set", first.mac, "stratumPassword=hunter22", "-y", code=2)
    completed = cli.run("set", first.mac, "stratumPassword=-", "-y", given="hunter22\n")
    assert completed.returncode == 0, completed.stderr
    assert "hunter22" not in completed.stdout + completed.stderr
    assert any("hunter22" in str(write) for write in first.writes)


def test_question_on_a_terminal(fleet_cli):
    cli, service, (first, second) = fleet_cli()
    refused = cli.answer_question("n", "set", first.mac, "frequency=550")
    assert refused.returncode == 6
    assert "Nothing was changed" in refused.stderr
    assert service.get_device(first.mac)["info"]["frequency"] == 525
    accepted = cli.answer_question("y", "set", first.mac, "frequency=550", "--json")
    assert accepted.returncode == 0, accepted.stderr
    assert json.loads(accepted.stdout)["changes"][0]["status"] == "applied"
    assert accepted.stderr.count("[y/N]") == 1


def test_restart(fleet_cli):
    cli, service, (first, second) = fleet_cli()
    assert cli.read_json("restart", HOSTNAMES[0], "--yes")["message"] == "Device restarted successfully"
    assert "Try again in" in cli.read_failure("restart", first.mac, "--yes", code=6)
    second.power_off()
    assert cli.read_failure("restart", second.mac, "--yes", code=7)
    assert "add --yes" in cli.read_failure("restart", "--all", code=2)


def test_jobs_of_several_devices(fleet_cli):
    cli, service, (first, second) = fleet_cli()
    assert cli.read_json("jobs") == []
    job = cli.read_json("set", "--all", "frequency=550", "--at-once", "--yes")
    assert job["state"] == "done" and {each["state"] for each in job["devices"]} == {"done"}
    assert [each["id"] for each in cli.read_json("jobs")] == [job["id"]]
    assert "frequency: 525 → 550" in cli.read_text("jobs", job["id"])
    preset = {"name": "Night", "configuration": {"frequency": 525, "coreVoltage": 1150}}
    service.client.post("/presets", json=preset)
    text = cli.read_text("apply", "night", first.mac, second.mac, "--at-once", "--yes")
    assert "planned" in text and "done" in text
    assert service.get_device(second.mac)["info"]["frequency"] == 525
    assert "no preset 'x'; there are: Night" in cli.read_failure("apply", "x", first.mac, "--yes", code=3)
    assert "Job not found" in cli.read_failure("jobs", "nothing", code=3)
    second.power_off()
    failed = cli.read_json("set", "--all", "frequency=490", "--at-once", "--yes", code=1)
    assert sorted(each["state"] for each in failed["devices"]) == ["done", "failed"]
    assert cli.read_json("jobs", failed["id"])["state"] == "stopped"
    assert cli.read_json("jobs", failed["id"], "--follow", code=1)["state"] == "stopped"
    started = cli.read_json("restart", "--all", "--no-wait", "--yes")
    assert started["state"] in ("planned", "running")
    cancelled = cli.read_json("jobs", started["id"], "--cancel", "--follow", code=1)
    assert cancelled["state"] in ("cancelled", "stopped")


def test_job_is_paused_resumed_and_reverted(fleet_cli):
    cli, service, (first, second) = fleet_cli()
    macs = {first.mac, second.mac}
    job = cli.read_json("set", "--all", "frequency=550", "--no-wait", "--yes")
    paused = cli.read_json("jobs", job["id"], "--pause")
    assert paused["paused"] is True and paused["state"] == "running"
    assert "(paused)" in cli.read_text("jobs")
    assert "Waits because the job is paused" in cli.read_text("jobs", job["id"])
    assert "add --yes" in cli.read_failure("jobs", job["id"], "--resume", code=2)
    assert not cli.read_json("jobs", job["id"], "--resume", "--yes").get("paused")
    cli.read_json("jobs", job["id"], "--cancel")
    wait_until(lambda: cli.read_json("jobs")[0]["state"] == "cancelled", 20)
    done = cli.read_json("set", "--all", "frequency=490", "--at-once", "--yes")
    reverted = cli.read_json("jobs", done["id"], "--revert", "--follow", "--yes", code=0)
    assert reverted["action"] == "revert" and reverted["revertOf"] == done["id"]
    assert {each["mac"] for each in reverted["devices"] if each["state"] == "done"} == macs


def test_history(fleet_cli):
    cli, service, (first, _) = fleet_cli(poll_interval=1.0)
    wait_until(lambda: any(cli_values(cli, first.mac)), 20)
    text = cli.read_text("history", first.mac, "--from", "-10m")
    assert "hashrate_ghs" in text and "GH/s" in text and any(bar in text for bar in "▁▄█")
    assert cli.read_json("history", "--from", "-10m")["series"] == "fleet"
    assert "No device has the tag" in cli.read_failure("history", "--tag", "x", code=3)
    failure = cli.read_failure("history", "-m", "x", code=6)
    assert "There is no such metric" in failure and "hashrate_ghs" in failure
    assert "A time is needed" in cli.read_failure("history", "--from", "x", code=6)


def cli_values(cli, mac):
    return cli.read_json("history", mac, "--from", "-10m")["metrics"]["hashrate_ghs"]["mean"]


def test_logs_follow(make_fleet, make_service, start_server):
    miners = list(make_fleet({"generation": "2.15", "log_rate": 20.0}))
    service = make_service(miners)
    service.imprint_miners(*miners)
    service.wait_for_status("online", *miners)
    cli = CommandLine(start_server(service))
    with cli.follow("logs", "-f", miners[0].mac, "--json") as process:
        lines = [json.loads(process.stdout.readline()) for _ in range(60)]
    numbers = [line["seq"] for line in lines]
    assert numbers == list(range(numbers[0], numbers[0] + 60))
    page = cli.read_json("logs", miners[0].mac, "--tail", "5")
    assert len(page["lines"]) == 5
    assert len(cli.read_text("logs", miners[0].mac, "--tail", "5").splitlines()) == 5


def test_events_follow(live_testbed, start_server):
    service, (first, second) = live_testbed("2.12", "2.15")
    cli = CommandLine(start_server(service))
    with cli.follow("events", "-f", "--json") as process:
        assert json.loads(process.stdout.readline())["kind"] == "service_started"
        service.client.patch(f"/devices/{first.mac}/system", json={"info": {"frequency": 550}})
        event = json.loads(process.stdout.readline())
        while event["kind"] != "settings_changed":
            event = json.loads(process.stdout.readline())
    assert event["mac"] == first.mac
    text = cli.read_text("events", first.mac, "-k", "settings_changed")
    assert "changed settings" in text and "CET" in text
    assert "One or more of" in cli.read_failure("events", "-k", "x", code=6)


def test_watch(live_testbed, start_server):
    service, (first, second) = live_testbed("2.12", "2.15")
    url = start_server(service)
    cli = CommandLine(url)
    text = cli.read_text("watch", "--count", "1")
    assert "2 devices, 2 online" in text and HOSTNAMES[0] in text
    with cli.follow("watch", "--json") as process:
        assert len(read_devices(process)) == 2
        service.client.patch(f"/devices/imprint/{first.mac}", json={"device": {"name": "Attic", "tags": ["t"]}})
        while "Attic" not in [row["title"] for row in read_devices(process)]:
            pass
        second.power_off()
        while read_devices(process)[0]["status"] != "offline":
            pass
        service.client.delete(f"/devices/imprint/{second.mac}")
        while len(read_devices(process)) == 2:
            pass
    assert cli.read_text("watch", "--json", "--count", "1", "--tag", "x").count("mac") == 0
    rows = json.loads(cli.read_text("watch", "--json", "--count", "1", "--tag", "t", "--state", "online"))["devices"]
    assert [row["mac"] for row in rows] == [first.mac]


def read_devices(process):
    return json.loads(process.stdout.readline())["devices"]


def test_backup(fleet_cli, tmp_path):
    cli, service, miners = fleet_cli()
    result = cli.read_json("backup", cwd=tmp_path)
    path = tmp_path / Path(result["file"]).name
    assert path.stat().st_size == result["bytes"]
    assert path.stat().st_mode & 0o777 == 0o600
    lines = gzip.decompress(path.read_bytes()).decode().splitlines()
    assert any(miners[0].mac in line for line in lines)
    assert "exists; add --force" in cli.read_failure("backup", str(path), code=6)
    assert "Wrote" in cli.read_text("backup", str(path), "--force", "--history")
    assert "cannot be written" in cli.read_failure("backup", str(tmp_path / "none/x"), code=6)
    assert not list(tmp_path.glob("*.partial"))
