"""Backups: written while the service runs, without passwords unless a control token is presented, and restored."""

import gzip
import hashlib
import lzma
import os
import subprocess
import sys
import tarfile
import zipfile
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from random import Random

import gevent
import orjson
import plyvel
import pytest
import requests
from floods import probe_loop
from history_helpers import add_device, feed_minutes, query_history, store_everything
from store_helpers import read_files, read_rows

from app.backup import main
from app.clock import Clock
from app.errors import BackupUnusable
from app.services.event_log.kinds import EventKind
from app.services.event_log.observer import DeviceWatch
from app.store.backup_archive import Archive, Entry, pack_archive
from app.store.backup_restore import restore_backup
from app.store.lock import DataDirLock

ROOT = Path(__file__).parent.parent.parent
CASES = ROOT / "tests" / "fixtures" / "cases"
A, B = "02:00:5e:00:00:01", "02:00:5e:00:00:02"
POOL = {"stratumURL": "mine.ocean.xyz", "stratumPort": 3334, "stratumUser": "bc1q", "stratumPassword": "CANARY-pool"}
TOKEN = "a-control-token-of-many-letters"
READ = "a-token-that-reads-and-no-more"
DATABASES = ("pluto_core", "pluto_discovery", "pluto_history", "pluto_events")


@pytest.fixture
def service_with_data(make_service):
    """A service with two devices, a preset with a password, and a job that has not begun."""
    service = make_service(auto_listen=False, api_token=TOKEN, api_token_read=READ)
    service.client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {TOKEN}"
    service.read_data(
        service.client.put(
            "/devices/imprint", json={"devices": [{"mac": A, "ip": "127.80.0.1"}, {"mac": B, "ip": "127.80.0.2"}]}
        )
    )
    service.read_data(service.client.post("/presets", json={"name": "Ocean", "configuration": POOL}))
    job = {"id": "1", "request": {"values": {"stratumPassword": "CANARY-job", "frequency": 490}}}
    service.runtime.database.write_batch(
        {"pluto:jobs:1": job, "odd": b'{"wifiPass": "CANARY-torn', "bytes": b"\xff\x00"}
    )
    return service


def download_backup(service, query="", token=TOKEN):
    response = service.client.get(f"/admin/backup{query}", headers={"Authorization": f"Bearer {token}"})
    assert response.status_code == 200, response.get_data()
    return response


def decode_lines(data):
    return [orjson.loads(line) for line in gzip.decompress(data).splitlines()]


@dataclass
class CommandResult:
    status: int
    out: str
    err: str


@pytest.fixture
def run_backup_command(capsys):
    """Run `python -m app.backup` in this process."""

    def run(*arguments, data_dir):
        capsys.readouterr()
        status = main([*map(str, arguments), "--data-dir", str(data_dir)])
        return CommandResult(status, *capsys.readouterr())

    return run


# Writing a backup.


def test_backup_header_and_trailer(service_with_data, tmp_path):
    response = download_backup(service_with_data)
    assert response.content_type == "application/gzip"
    assert response.headers["Content-Disposition"].startswith('attachment; filename="pluto-backup-20')
    assert response.headers["Cache-Control"] == "no-store"
    header, *entries, end = decode_lines(response.data)
    assert (header["format"], header["version"], header["schema"], header["secrets"]) == ("pluto-backup", 1, 1, False)
    assert header["databases"] == ["pluto_core", "pluto_discovery"]
    assert end["entries"] == len(entries)


def test_backup_without_secrets_contains_everything_else(service_with_data, tmp_path):
    data = download_backup(service_with_data).data
    assert b"CANARY" not in gzip.decompress(data)
    (tmp_path / "file").write_bytes(data)
    entries = {entry.key: entry for entry in Archive(tmp_path / "file").read_entries()}
    rows = dict(service_with_data.runtime.database.snapshot_rows())
    assert entries.keys() == rows.keys()
    assert sorted(entry.removed_paths for entry in entries.values() if entry.removed_paths) == [
        ("",),
        ("",),
        ("configuration.stratumPassword",),
        ("request.values.stratumPassword",),
    ]
    assert all(entry.value == rows[key] for key, entry in entries.items() if not entry.removed_paths)


def test_backup_of_5000_devices_does_not_block_event_loop(make_service, make_fleet):
    """The backup is a snapshot: writes that happen while it is produced are not in it."""
    fleet = make_fleet("2.12")
    service = make_service(fleet, auto_listen=False)
    info = orjson.loads((CASES / "gamma-reject-reason-cut-inside-utf8.json").read_text(errors="replace"))
    devices = {f"02:00:5e:00:{at // 256:02x}:{at % 256:02x}": at for at in range(5000)}
    records = {
        f"devices:imprinted:{mac}": {"mac": mac, "ip": "127.80.0.9", "info": {**info, "at": at}}
        for mac, at in devices.items()
    }
    steps = {mac: {"state": "done", "values": [{"key": "frequency", "to": at}]} for mac, at in devices.items()}
    job = {"devices": steps}
    service.runtime.database.write_batch({**records, "pluto:jobs:1": job})

    def write_during_backup():
        for at in range(100):
            service.runtime.database.write_batch({f"later:{at}": {"at": at}, f"devices:imprinted:{A}": {"changed": at}})
            gevent.sleep(0.005)

    before = dict(service.runtime.database.snapshot_rows())
    gevent.sleep(0.1)
    writer = gevent.spawn_later(0.05, write_during_backup)  # the snapshot is taken first; the rest takes longer
    with probe_loop() as probe:
        response = service.client.get("/admin/backup")
    writer.kill()
    print(f"longest block {probe.longest_block * 1000:.0f} ms, memory +{probe.memory_growth / 1e6:.1f} MB")
    assert decode_lines(response.data)[-1]["entries"] == len(before) + len(
        list(service.runtime.stores.discovery.snapshot_rows())
    )
    assert b"later:" not in gzip.decompress(response.data)
    assert probe.longest_block <= 0.05
    assert probe.memory_growth <= 20_000_000


def test_backup_with_control_token_contains_secrets(service_with_data, tmp_path):
    data = download_backup(service_with_data, "?secrets=true").data
    (tmp_path / "file").write_bytes(data)
    assert {entry.key: entry.value for entry in Archive(tmp_path / "file").read_entries()} == dict(
        service_with_data.runtime.database.snapshot_rows()
    )
    assert decode_lines(data)[0]["secrets"] is True


def test_backup_secrets_require_control_token(service_with_data, make_service, tmp_path):
    response = service_with_data.client.get("/admin/backup?secrets=true", headers={"Authorization": f"Bearer {READ}"})
    assert (response.status_code, b"CANARY" in response.data) == (403, False)
    assert b"CANARY" not in gzip.decompress(download_backup(service_with_data, token=READ).data)
    service_with_data.stop()
    service_without_token = make_service(auto_listen=False)
    response = service_without_token.client.get("/admin/backup?secrets=true")
    assert (response.status_code, "control token" in response.get_json()["error"]) == (403, True)
    assert service_without_token.client.get("/admin/backup").status_code == 200


def test_backup_is_snapshot_of_request_time(service_with_data):
    """Writes that happen while the backup is read do not appear in it."""
    chunks = service_with_data.runtime.backups.create_backup(secrets=True)
    before = dict(service_with_data.runtime.database.snapshot_rows())
    service_with_data.read_data(service_with_data.client.delete(f"/devices/imprint/{A}"))
    service_with_data.runtime.database.write_batch({"later": 1})
    entries = {line["key"].encode() for line in decode_lines(b"".join(chunks))[1:-1] if "key" in line}
    assert entries == set(before)


def test_backup_is_streamed_in_chunks_and_yields_between_them(service_with_data):
    """The whole backup is never in memory."""
    write_random_entries(service_with_data, 400)
    yields = []
    other = gevent.spawn(lambda: [yields.append(gevent.sleep(0)) for _ in range(1000)])
    chunks = list(service_with_data.runtime.backups.create_backup(secrets=False))
    other.kill()
    assert len(chunks) > 5
    assert max(map(len, chunks)) < 150_000
    assert len(yields) >= len(chunks) - 1
    assert len(decode_lines(b"".join(chunks))) > 400


def write_random_entries(service, entries):
    """Write entries that gzip cannot compress."""
    for number in range(entries):
        noise = Random(number).randbytes(1500).hex()
        service.runtime.database.write_batch({f"pluto:journal:{number:05d}": {"text": noise}}, sync=False)


def test_backup_interrupted_by_shutdown_fails_the_download(service_with_data, start_server):
    """Otherwise a truncated backup could pass for a complete one."""
    write_random_entries(service_with_data, 3000)
    url = start_server(service_with_data)
    with requests.get(
        f"{url}/admin/backup", headers={"Authorization": f"Bearer {TOKEN}"}, stream=True, timeout=10
    ) as response:
        first = response.raw.read(1000)
        service_with_data.runtime.stores.close()
        with pytest.raises((requests.RequestException, OSError, Exception)) as raised:
            while response.raw.read(65536):
                pass
        assert "ncomplete" in str(raised.value) or "reset" in str(raised.value)
    assert first
    service_with_data.runtime.stores.open(service_with_data.clock)


# Restoring a backup.


@pytest.fixture
def saved_data_dir(service_with_data, tmp_path):
    """The data directory of a stopped service, with a backup with secrets and one without beside it."""
    (tmp_path / "backup.gz").write_bytes(download_backup(service_with_data, "?secrets=true").data)
    (tmp_path / "plain.gz").write_bytes(download_backup(service_with_data).data)
    service_with_data.stop()
    return tmp_path / "data"


def test_restore_replaces_database_and_keeps_previous_one(saved_data_dir, run_backup_command, make_service, tmp_path):
    before = read_rows(saved_data_dir / "pluto_core")
    core = plyvel.DB(str(saved_data_dir / "pluto_core"))
    core.delete(f"devices:imprinted:{A}".encode())
    core.put(b"devices:imprinted", b"[]")
    core.close()
    changed = read_rows(saved_data_dir / "pluto_core")
    run = run_backup_command("restore", tmp_path / "backup.gz", data_dir=saved_data_dir)
    assert (run.status, run.err) == (0, "")
    assert read_rows(saved_data_dir / "pluto_core") == before
    (kept,) = saved_data_dir.glob("pluto_core.before-restore-*")
    assert str(kept) in run.out
    assert read_rows(kept) == changed
    assert len(make_service(auto_listen=False).list_devices()) == 2
    assert all(path.stat().st_mode & 0o077 == 0 for path in (saved_data_dir / "pluto_core").iterdir())


def test_restore_without_secrets_names_presets_that_lack_passwords(
    saved_data_dir, run_backup_command, make_service, tmp_path
):
    run = run_backup_command("restore", tmp_path / "plain.gz", data_dir=saved_data_dir)
    assert run.status == 0
    assert "preset 'Ocean' lacks stratumPassword: enter it again" in run.out
    assert "odd: could not be checked for passwords" in run.out
    service = make_service(auto_listen=False)
    (preset,) = service.read_data(service.client.get("/presets"))
    assert preset["configuration"] == {key: value for key, value in POOL.items() if key != "stratumPassword"}


@pytest.mark.parametrize("options", [(), ("--secrets",)], ids=["without secrets", "with secrets"])
def test_restore_of_history_and_events_is_complete(make_service, run_backup_command, clock, tmp_path, options):
    clock.advance(3600 - clock.now().timestamp() % 3600)
    service = make_service(clock=clock)
    add_device(service)
    tracked, start = service.runtime.fleet.get_device(A), clock.now().timestamp()
    change = {"key": "stratumUser", "expected": "a", "actual": "b", "cause": "external_change"}
    service.runtime.event_log.add_event(EventKind.DRIFT, {"keys": ["stratumPassword"], "changes": [change]}, tracked)
    service.runtime.event_log.add_event(EventKind.PAUSED, {}, tracked)
    service.runtime.event_log.set_state(A, DeviceWatch(is_down=True).build_state())
    feed_minutes(service, 70)
    store_everything(service)

    def read_everything(service):
        service.runtime.fleet.set_monitored(service.runtime.fleet.get_device(A), True)
        times = {"start": start, "stop": start + 4200, "points": 70}
        history = [query_history(service, each, metrics="hashrate_ghs", **times) for each in (A, "fleet")]
        listed = service.read_data(service.client.get("/events", query_string={"kind": "drift,paused", "mac": A}))
        return history, listed

    before = read_everything(service)
    assert (len(before[1]), before[0][0]["metrics"]["hashrate_ghs"]["mean"]) == (2, [1000.0] * 70)
    service.stop()
    rows = {name: read_rows(tmp_path / "data" / name) for name in DATABASES}
    assert run_backup_command("save", tmp_path / "f", "--history", *options, data_dir=tmp_path / "data").status == 0
    run = run_backup_command("restore", tmp_path / "f", data_dir=tmp_path / "elsewhere")
    assert (run.status, "lacks" in run.out, "could not" in run.out) == (0, False, False)
    restored = {name: read_rows(tmp_path / "elsewhere" / name) for name in DATABASES}
    assert restored == rows
    assert {key.split(b":")[0] for key in rows["pluto_history"]} == {b"series", b"state"}
    assert {key.split(b":")[1] for key in rows["pluto_events"]} == {b"all", b"kind", b"mac", b"mac-kind", b"state"}
    assert read_everything(make_service(clock=clock, data_dir=tmp_path / "elsewhere")) == before


def test_restore_into_missing_directory(saved_data_dir, run_backup_command, tmp_path):
    before = read_rows(saved_data_dir / "pluto_core")
    run = run_backup_command("restore", tmp_path / "backup.gz", data_dir=tmp_path / "elsewhere")
    assert run.status == 0
    assert read_rows(tmp_path / "elsewhere" / "pluto_core") == before
    assert (tmp_path / "elsewhere").stat().st_mode & 0o777 == 0o700


def make_damaged_files(whole):
    text = gzip.decompress(whole)
    header, *entries, end = text.splitlines(keepends=True)
    manifest, row = orjson.loads(header), Entry("pluto_core", b"key", b"1")
    elsewhere = Entry("../../etc", b"key", b"1")
    return {
        "cut": whole[: len(whole) // 2],
        "cut at its end": whole[:-1],
        "a bit": whole[:-60] + bytes([whole[-60] ^ 4]) + whole[-59:],
        "no end": gzip.compress(header + b"".join(entries)),
        "a line less": gzip.compress(header + b"".join(entries[1:]) + end),
        "another value": gzip.compress(text.replace(b"Ocean", b"0cean")),
        "a line of something else": gzip.compress(header + b"[1]\n" + end),
        "not JSON": gzip.compress(header + b"{,}\n" + end),
        "newer schema": b"".join(pack_archive({**manifest, "schema": 7}, [row])),
        "no schema": b"".join(pack_archive({**manifest, "schema": None}, [row])),
        "newer format": b"".join(pack_archive({**manifest, "version": 2}, [row])),
        "a database elsewhere": b"".join(
            pack_archive({**manifest, "databases": ["../../etc", "pluto_core"]}, [elsewhere])
        ),
        "a key elsewhere": b"".join(pack_archive(manifest, [row, elsewhere])),
        "no databases": b"".join(pack_archive({**manifest, "databases": None}, [row])),
        "something else": b"PK\x03\x04" + bytes(100),
        "nothing": b"",
    }


def test_restore_rejects_damaged_file_and_changes_nothing(saved_data_dir, tmp_path):
    before = {name: read_files(saved_data_dir / name) for name in DATABASES}
    for name, data in make_damaged_files((tmp_path / "backup.gz").read_bytes()).items():
        (tmp_path / "bad.gz").write_bytes(data)
        with pytest.raises(BackupUnusable):
            restore_backup(tmp_path / "bad.gz", saved_data_dir, Clock().now())
            pytest.fail(name)
    assert {name: read_files(saved_data_dir / name) for name in before} == before
    assert {path.name for path in saved_data_dir.iterdir()} == set(before)


def test_command_reports_damaged_or_missing_file_in_one_line(saved_data_dir, run_backup_command, tmp_path):
    (tmp_path / "bad.gz").write_bytes((tmp_path / "backup.gz").read_bytes()[:-9])
    for file in ("bad.gz", "missing.gz"):
        run = run_backup_command("restore", tmp_path / file, data_dir=saved_data_dir)
        assert (run.status, run.out, len(run.err.splitlines())) == (1, "", 1)
        assert file in run.err


def make_malformed_files(whole):
    """Return file name → content of files that are almost a backup, or none at all. The checksum is correct where the
    reader would get as far as checking it."""
    header = orjson.loads(gzip.decompress(whole).splitlines()[0])
    row = Entry("pluto_core", b"key", b"1")

    def pack_lines(*lines):
        text = b"".join(line if isinstance(line, bytes) else orjson.dumps(line) + b"\n" for line in lines)
        count = len(lines) - 1
        end = {"entries": count, "sha256": hashlib.sha256(text).hexdigest()}
        return gzip.compress(text + orjson.dumps(end) + b"\n", 1)

    malformed_values = (
        None,
        True,
        -1,
        1.0,
        1e300,
        2**63,
        "",
        "1",
        "x" * 70_000,
        [],
        [[]],
        {},
        {"version": 1},
        [{}],
        ["pluto_core", {}],
    )
    files = {
        f"header {key} = {str(value)[:20]!r}": b"".join(pack_archive({**header, key: value}, [row]))
        for key in ("databases", "schema", "version", "format")
        for value in malformed_values
        if not (key == "databases" and value == ["pluto_core"]) and not (key == "schema" and value is header["schema"])
    }
    files |= {
        f"header without {key}": b"".join(
            pack_archive({name: each for name, each in header.items() if name != key}, [row])
        )
        for key in ("databases", "schema")
    }
    core = {"db": "pluto_core", "key": "k", "value": "1"}
    files |= {
        f"line {key} = {str(value)[:20]!r}": pack_lines({**make_complete_header(header)}, {**core, key: value})
        for key in ("db", "key", "value", "key64", "value64", "withheld")
        for value in malformed_values
        if not isinstance(value, str) or key == "db"
        if not (key in ("value", "key64", "value64") and value is None) and not (key == "withheld" and value == [])
    }
    nested = b"[" * 100_000 + b"]" * 100_000
    files |= {
        "databases twice": b"".join(pack_archive({**header, "databases": ["pluto_core", "pluto_core"]}, [row])),
        "a schema of its own": b"".join(
            pack_archive(header, [Entry("pluto_core", b"pluto:schema:version", b'{"version": 9}')])
        ),
        "nested header": gzip.compress(nested + b"\n"),
        "nested line": pack_lines(make_complete_header(header), nested + b"\n"),
        "base64 that is none": pack_lines(
            make_complete_header(header), {"db": "pluto_core", "key64": "%%%", "value": "1"}
        ),
        "a first line without an end": gzip.compress(b'{"format": "' + b"x" * 50_000_000, 1),
        "bytes": bytes(range(256)) * 100,
        "not compressed": gzip.decompress(whole),
        "zip": make_zip(whole),
        "tar": make_tar(whole),
        "xz": lzma.compress(gzip.decompress(whole)),
        "two in one": whole + whole,
        "surrogates": gzip.compress(b'{"format": "\\ud800"}\n'),
    }
    return files


def make_complete_header(header):
    return {"format": "pluto-backup", "version": 1, **header}


def make_zip(data):
    out = BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("../../etc/passwd", data)
    return out.getvalue()


def make_tar(data):
    out = BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        link = tarfile.TarInfo("pluto_core")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc"
        archive.addfile(link)
    return out.getvalue()


def test_restore_reports_malformed_file_in_one_line_and_changes_nothing(saved_data_dir, run_backup_command, tmp_path):
    before = {name: read_files(saved_data_dir / name) for name in DATABASES}
    for name, data in make_malformed_files((tmp_path / "backup.gz").read_bytes()).items():
        (tmp_path / "odd.gz").write_bytes(data)
        run = run_backup_command("restore", tmp_path / "odd.gz", data_dir=saved_data_dir)
        assert (run.status, run.out, len(run.err.splitlines())) == (1, "", 1), (name, run)
        assert "odd.gz" in run.err, name
        assert len(run.err) < 500, name
    assert {name: read_files(saved_data_dir / name) for name in before} == before
    assert {path.name for path in saved_data_dir.iterdir()} >= set(before)


@pytest.mark.parametrize("seed", range(4))
def test_restore_with_mutated_manifest_reports_one_line_or_succeeds(saved_data_dir, run_backup_command, tmp_path, seed):
    text = gzip.decompress((tmp_path / "backup.gz").read_bytes())
    random = Random(seed)
    for _ in range(50):
        changed = bytearray(text)
        for _ in range(random.randrange(1, 4)):
            changed[random.randrange(text.index(b"\n") + 1)] = random.randrange(256)
        (tmp_path / "odd.gz").write_bytes(gzip.compress(bytes(changed), 1))
        run = run_backup_command("restore", tmp_path / "odd.gz", data_dir=saved_data_dir)
        assert (run.status, len(run.err.splitlines())) in ((1, 1), (0, 0)), run


@pytest.mark.parametrize("kind", ["a directory", "a pipe", "a link to nothing", "nothing", "a device"])
def test_restore_from_non_regular_file_reports_one_line(saved_data_dir, run_backup_command, tmp_path, kind):
    path = tmp_path / "odd.gz"
    if kind == "a directory":
        path.mkdir()
    elif kind == "a pipe":
        os.mkfifo(path)
    elif kind == "a link to nothing":
        path.symlink_to(tmp_path / "nowhere")
    elif kind == "a device":
        path.symlink_to("/dev/zero")
    run = run_backup_command("restore", path, data_dir=saved_data_dir)
    assert (run.status, run.out, len(run.err.splitlines())) == (1, "", 1), run


def test_restore_of_two_gigabyte_line_uses_bounded_memory(saved_data_dir, tmp_path):
    """The restore runs in a subprocess that may use 400 MB of address space more than it needs to start."""
    with gzip.open(tmp_path / "large.gz", "wb", compresslevel=1) as file:
        for _ in range(32):
            file.write(bytes(64 * 1024 * 1024))
    script = (
        "import resource, sys; from app.backup import main; "
        "pages = int(open('/proc/self/statm').read().split()[0]); room = pages * 4096 + 400 * 1024 * 1024; "
        "resource.setrlimit(resource.RLIMIT_AS, (room, room)); sys.exit(main(sys.argv[1:]))"
    )
    command = [sys.executable, "-c", script, "restore", str(tmp_path / "large.gz"), "--data-dir", str(saved_data_dir)]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert (run.returncode, run.stdout, len(run.stderr.splitlines())) == (1, "", 1), run.stderr[-500:]


def test_restore_keeps_stored_values_that_cannot_be_parsed(saved_data_dir, run_backup_command, tmp_path, make_service):
    """The service ignores stored values that it cannot parse; a backup contains them unchanged."""
    unparsable = {
        b"presets:odd": b"[1]",
        b"presets:torn": b'{"stratumPassword',
        b"key\x1b[2J\n": b'{"token": "t"}',
        b"": b"1",
    }
    rows = {**read_rows(saved_data_dir / "pluto_core"), **unparsable}
    core = plyvel.DB(str(saved_data_dir / "pluto_core"))
    for key, value in unparsable.items():
        core.put(key, value)
    core.close()
    for name, secrets in (("with", ["--secrets"]), ("without", [])):
        assert run_backup_command("save", *secrets, tmp_path / name, data_dir=saved_data_dir).status == 0
        run = run_backup_command("restore", tmp_path / name, data_dir=tmp_path / f"restored {name}")
        assert (run.status, run.err) == (0, "")
        assert "\x1b" not in run.out
    assert read_rows(tmp_path / "restored with" / "pluto_core") == rows


def test_restore_into_unusable_directory_reports_one_line(saved_data_dir, run_backup_command, tmp_path):
    (tmp_path / "file").write_text("x")
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / "pluto_core").write_text("no directory")
    for place in ("file", "file/below", "odd"):
        run = run_backup_command("restore", tmp_path / "backup.gz", data_dir=tmp_path / place)
        assert (run.status > 0, run.out, len(run.err.splitlines())) == (True, "", 1), (place, run)


def test_backup_command_refuses_while_service_runs(saved_data_dir, run_backup_command, tmp_path):
    lock = DataDirLock(saved_data_dir)
    lock.acquire()
    try:
        for subcommand in ("restore", "save"):
            run = run_backup_command(subcommand, tmp_path / "backup.gz", data_dir=saved_data_dir)
            assert (run.status, "in use" in run.err) == (3, True)
    finally:
        lock.release()


def test_restore_refuses_while_node_backend_runs(saved_data_dir, run_backup_command, tmp_path):
    """The Node backend holds LevelDB's lock and does not know ours."""
    script = "import plyvel, sys; held = plyvel.DB(sys.argv[1]); print('open', flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", script, str(saved_data_dir / "pluto_core")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == "open\n"
        run = run_backup_command("restore", tmp_path / "backup.gz", data_dir=saved_data_dir)
        holder.stdin.close()
    assert (run.status, "in use" in run.err) == (3, True)


def test_backup_save_as_subprocess(saved_data_dir, tmp_path):
    environ = {"PATH": os.environ["PATH"], "DATA_DIR": str(saved_data_dir)}
    command = [sys.executable, "-m", "app.backup", "save", str(tmp_path / "saved.gz")]
    run = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=60, check=False)
    assert (run.returncode, run.stderr, "without passwords" in run.stdout) == (0, "", True)
    assert Archive(tmp_path / "saved.gz").header["databases"] == ["pluto_core", "pluto_discovery"]


def test_restore_output_on_ascii_terminal(service_with_data, tmp_path):
    service_with_data.read_data(service_with_data.client.post("/presets", json={"name": "Öl", "configuration": POOL}))
    (tmp_path / "plain.gz").write_bytes(download_backup(service_with_data).data)
    service_with_data.stop()
    environ = {"PATH": os.environ["PATH"], "DATA_DIR": str(tmp_path / "data"), "PYTHONIOENCODING": "ascii"}
    command = [sys.executable, "-m", "app.backup", "restore", str(tmp_path / "plain.gz")]
    run = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=60, check=False)
    assert (run.returncode, run.stderr, "preset '\\xd6l' lacks stratumPassword" in run.stdout) == (0, "", True), run


def test_save_command_with_and_without_secrets(saved_data_dir, run_backup_command, tmp_path):
    plain, with_secrets = tmp_path / "one.gz", tmp_path / "two.gz"
    assert run_backup_command("save", plain, data_dir=saved_data_dir).status == 0
    assert run_backup_command("save", "--secrets", with_secrets, data_dir=saved_data_dir).status == 0
    assert b"CANARY" not in gzip.decompress(plain.read_bytes())
    assert {entry.key: entry.value for entry in Archive(with_secrets).read_entries()} == read_rows(
        saved_data_dir / "pluto_core"
    )
    assert with_secrets.stat().st_mode & 0o777 == 0o600
    again = run_backup_command("save", plain, data_dir=saved_data_dir)
    assert (again.status, "already exists" in again.err) == (1, True)
    nowhere = run_backup_command("save", tmp_path / "three.gz", data_dir=tmp_path / "nowhere")
    assert (nowhere.status, (tmp_path / "nowhere").exists()) == (1, False)


def test_archive_round_trip_of_non_utf8_bytes(tmp_path):
    entries = [Entry("pluto_core", b"\xff\x00", b"\x80"), Entry("pluto_core", "é".encode(), b'"\\u0000"')]
    (tmp_path / "file").write_bytes(b"".join(pack_archive({"databases": ["pluto_core"]}, entries)))
    assert list(Archive(tmp_path / "file").read_entries()) == entries
