"""Backups: taken while the service goes on, without passwords unless somebody may have them, and put back."""

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
from floods import probed_loop
from store_helpers import bytes_of, rows_of

from app.backup import main
from app.clock import Clock
from app.errors import BackupUnusable
from app.store.archive import Archive, Entry, packed
from app.store.lock import DataDirLock
from app.store.restoring import restore

ROOT = Path(__file__).parent.parent.parent
CASES = ROOT / "tests" / "fixtures" / "cases"
A, B = "02:00:5e:00:00:01", "02:00:5e:00:00:02"
POOL = {"stratumURL": "mine.ocean.xyz", "stratumPort": 3334, "stratumUser": "bc1q", "stratumPassword": "CANARY-pool"}
TOKEN = "a-control-token-of-many-letters"
READ = "a-token-that-reads-and-no-more"


@pytest.fixture
def full(make_service):
    """A service with two devices, a preset with a password, and a job that has not begun what it has to do."""
    service = make_service(auto_listen=False, api_token=TOKEN, api_token_read=READ)
    service.client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {TOKEN}"
    service.ok(
        service.client.put(
            "/devices/imprint", json={"devices": [{"mac": A, "ip": "127.80.0.1"}, {"mac": B, "ip": "127.80.0.2"}]}
        )
    )
    service.ok(service.client.post("/presets", json={"name": "Ocean", "configuration": POOL}))
    job = {"id": "1", "request": {"values": {"stratumPassword": "CANARY-job", "frequency": 490}}}
    service.runtime.database.write({"pluto:jobs:1": job, "odd": b'{"wifiPass": "CANARY-torn', "bytes": b"\xff\x00"})
    return service


def fetch(service, query="", token=TOKEN):
    answer = service.client.get(f"/admin/backup{query}", headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 200, answer.get_data()
    return answer


def lines(data):
    return [orjson.loads(line) for line in gzip.decompress(data).splitlines()]


@dataclass
class Run:
    status: int
    out: str
    err: str


@pytest.fixture
def cli(capsys):
    """`python -m app.backup`, in this process."""

    def run(*arguments, data_dir):
        capsys.readouterr()
        status = main([*map(str, arguments), "--data-dir", str(data_dir)])
        return Run(status, *capsys.readouterr())

    return run


# Taking one.


def test_a_backup_says_what_it_is_and_proves_itself_whole(full, tmp_path):
    answer = fetch(full)
    assert answer.content_type == "application/gzip"
    assert answer.headers["Content-Disposition"].startswith('attachment; filename="pluto-backup-20')
    assert answer.headers["Cache-Control"] == "no-store"
    header, *entries, end = lines(answer.data)
    assert (header["format"], header["version"], header["schema"], header["secrets"]) == ("pluto-backup", 1, 1, False)
    assert header["databases"] == ["pluto_core", "pluto_discovery"]
    assert end["entries"] == len(entries)


def test_without_secrets_it_holds_everything_else(full, tmp_path):
    data = fetch(full).data
    assert b"CANARY" not in gzip.decompress(data)
    (tmp_path / "file").write_bytes(data)
    entries = {entry.key: entry for entry in Archive(tmp_path / "file").entries()}
    rows = dict(full.runtime.database.rows())
    assert entries.keys() == rows.keys()
    assert sorted(entry.withheld for entry in entries.values() if entry.withheld) == [
        ("",),
        ("",),
        ("configuration.stratumPassword",),
        ("request.values.stratumPassword",),
    ]
    assert all(entry.value == rows[key] for key, entry in entries.items() if not entry.withheld)


def test_a_backup_of_5000_devices_never_holds_the_event_loop_for_long(make_service, make_fleet):
    """It is still a snapshot: what is written while it is taken is not in it."""
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
    service.runtime.database.write({**records, "pluto:jobs:1": job})

    def write_meanwhile():
        for at in range(100):
            service.runtime.database.write({f"later:{at}": {"at": at}, f"devices:imprinted:{A}": {"changed": at}})
            gevent.sleep(0.005)

    before = dict(service.runtime.database.rows())
    gevent.sleep(0.1)
    write_helpers = gevent.spawn(write_meanwhile)
    with probed_loop() as probe:
        answer = service.client.get("/admin/backup")
    write_helpers.kill()
    print(f"longest block {probe.longest_block * 1000:.0f} ms, memory +{probe.memory_growth / 1e6:.1f} MB")
    assert lines(answer.data)[-1]["entries"] == len(before) + len(list(service.runtime.stores.discovery.rows()))
    assert b"later:" not in gzip.decompress(answer.data)
    assert probe.longest_block <= 0.05
    assert probe.memory_growth <= 20_000_000


def test_with_a_control_token_it_holds_the_secrets_too(full, tmp_path):
    data = fetch(full, "?secrets=true").data
    (tmp_path / "file").write_bytes(data)
    assert {entry.key: entry.value for entry in Archive(tmp_path / "file").entries()} == dict(
        full.runtime.database.rows()
    )
    assert lines(data)[0]["secrets"] is True


def test_nobody_else_gets_secrets(full, make_service, tmp_path):
    answer = full.client.get("/admin/backup?secrets=true", headers={"Authorization": f"Bearer {READ}"})
    assert (answer.status_code, b"CANARY" in answer.data) == (403, False)
    assert b"CANARY" not in gzip.decompress(fetch(full, token=READ).data)
    full.stop()
    open_to_all = make_service(auto_listen=False)
    answer = open_to_all.client.get("/admin/backup?secrets=true")
    assert (answer.status_code, "control token" in answer.get_json()["error"]) == (403, True)
    assert open_to_all.client.get("/admin/backup").status_code == 200


def test_it_is_as_everything_was_when_it_was_asked_for(full):
    """Whatever is written while it is read."""
    pieces = full.runtime.backups.take(secrets=True)
    before = dict(full.runtime.database.rows())
    full.ok(full.client.delete(f"/devices/imprint/{A}"))
    full.runtime.database.write({"later": 1})
    entries = {line["key"].encode() for line in lines(b"".join(pieces))[1:-1] if "key" in line}
    assert entries == set(before)


def test_it_is_sent_in_pieces_and_others_have_their_turn_between_them(full):
    """Nothing is held in memory whole."""
    fill(full, 400)
    turns = []
    other = gevent.spawn(lambda: [turns.append(gevent.sleep(0)) for _ in range(1000)])
    pieces = list(full.runtime.backups.take(secrets=False))
    other.kill()
    assert len(pieces) > 5
    assert max(map(len, pieces)) < 150_000
    assert len(turns) >= len(pieces) - 1
    assert len(lines(b"".join(pieces))) > 400


def fill(service, entries):
    """With what cannot be squeezed."""
    for number in range(entries):
        noise = Random(number).randbytes(1500).hex()
        service.runtime.database.write({f"pluto:journal:{number:05d}": {"text": noise}}, sync=False)


def test_one_that_is_cut_off_by_a_stop_looks_like_it(full, serve):
    """Else half a backup could be taken for a whole one."""
    fill(full, 3000)
    url = serve(full)
    with requests.get(
        f"{url}/admin/backup", headers={"Authorization": f"Bearer {TOKEN}"}, stream=True, timeout=10
    ) as answer:
        first = answer.raw.read(1000)
        full.runtime.stores.close()
        with pytest.raises((requests.RequestException, OSError, Exception)) as broken:
            while answer.raw.read(65536):
                pass
        assert "ncomplete" in str(broken.value) or "reset" in str(broken.value)
    assert first
    full.runtime.stores.open(full.clock)


# Putting it back.


@pytest.fixture
def saved(full, tmp_path):
    """A backup with secrets and what was in it; the service is stopped."""
    (tmp_path / "backup.gz").write_bytes(fetch(full, "?secrets=true").data)
    (tmp_path / "plain.gz").write_bytes(fetch(full).data)
    full.stop()
    return tmp_path / "data"


def test_what_was_saved_is_there_again_and_what_was_there_is_kept(saved, cli, make_service, tmp_path):
    before = rows_of(saved / "pluto_core")
    core = plyvel.DB(str(saved / "pluto_core"))
    core.delete(f"devices:imprinted:{A}".encode())
    core.put(b"devices:imprinted", b"[]")
    core.close()
    changed = rows_of(saved / "pluto_core")
    run = cli("restore", tmp_path / "backup.gz", data_dir=saved)
    assert (run.status, run.err) == (0, "")
    assert rows_of(saved / "pluto_core") == before
    (kept,) = saved.glob("pluto_core.before-restore-*")
    assert str(kept) in run.out
    assert rows_of(kept) == changed
    assert len(make_service(auto_listen=False).devices()) == 2
    assert all(path.stat().st_mode & 0o077 == 0 for path in (saved / "pluto_core").iterdir())


def test_without_secrets_presets_are_kept_and_named(saved, cli, make_service, tmp_path):
    run = cli("restore", tmp_path / "plain.gz", data_dir=saved)
    assert run.status == 0
    assert "preset 'Ocean' lacks stratumPassword: enter it again" in run.out
    assert "odd: could not be checked for passwords" in run.out
    service = make_service(auto_listen=False)
    (preset,) = service.ok(service.client.get("/presets"))
    assert preset["configuration"] == {key: value for key, value in POOL.items() if key != "stratumPassword"}


def test_into_an_empty_place(saved, cli, tmp_path):
    before = rows_of(saved / "pluto_core")
    run = cli("restore", tmp_path / "backup.gz", data_dir=tmp_path / "elsewhere")
    assert run.status == 0
    assert rows_of(tmp_path / "elsewhere" / "pluto_core") == before
    assert (tmp_path / "elsewhere").stat().st_mode & 0o777 == 0o700


def damaged_files(whole):
    text = gzip.decompress(whole)
    header, *entries, end = text.splitlines(keepends=True)
    said, row = orjson.loads(header), Entry("pluto_core", b"key", b"1")
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
        "newer schema": b"".join(packed({**said, "schema": 7}, [row])),
        "no schema": b"".join(packed({**said, "schema": None}, [row])),
        "newer format": b"".join(packed({**said, "version": 2}, [row])),
        "a database elsewhere": b"".join(packed({**said, "databases": ["../../etc", "pluto_core"]}, [elsewhere])),
        "a key elsewhere": b"".join(packed(said, [row, elsewhere])),
        "no databases": b"".join(packed({**said, "databases": None}, [row])),
        "something else": b"PK\x03\x04" + bytes(100),
        "nothing": b"",
    }


def test_a_file_that_is_not_right_is_refused_and_nothing_is_touched(saved, tmp_path):
    before = {name: bytes_of(saved / name) for name in ("pluto_core", "pluto_discovery")}
    for name, data in damaged_files((tmp_path / "backup.gz").read_bytes()).items():
        (tmp_path / "bad.gz").write_bytes(data)
        with pytest.raises(BackupUnusable):
            restore(tmp_path / "bad.gz", saved, Clock().now())
            pytest.fail(name)
    assert {name: bytes_of(saved / name) for name in before} == before
    assert {path.name for path in saved.iterdir()} == set(before)


def test_the_command_says_in_one_line_what_is_wrong(saved, cli, tmp_path):
    (tmp_path / "bad.gz").write_bytes((tmp_path / "backup.gz").read_bytes()[:-9])
    for file in ("bad.gz", "missing.gz"):
        run = cli("restore", tmp_path / file, data_dir=saved)
        assert (run.status, run.out, len(run.err.splitlines())) == (1, "", 1)
        assert file in run.err


def odd_files(whole):
    """Name → a file that is a backup nearly, or not at all. Each has a right checksum where it is one that is read."""
    header = orjson.loads(gzip.decompress(whole).splitlines()[0])
    row = Entry("pluto_core", b"key", b"1")

    def of_lines(*lines):
        text = b"".join(line if isinstance(line, bytes) else orjson.dumps(line) + b"\n" for line in lines)
        count = len(lines) - 1
        end = {"entries": count, "sha256": hashlib.sha256(text).hexdigest()}
        return gzip.compress(text + orjson.dumps(end) + b"\n", 1)

    odd = (
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
        f"header {key} = {str(value)[:20]!r}": b"".join(packed({**header, key: value}, [row]))
        for key in ("databases", "schema", "version", "format")
        for value in odd
        if not (key == "databases" and value == ["pluto_core"]) and not (key == "schema" and value is header["schema"])
    }
    files |= {
        f"header without {key}": b"".join(packed({name: each for name, each in header.items() if name != key}, [row]))
        for key in ("databases", "schema")
    }
    core = {"db": "pluto_core", "key": "k", "value": "1"}
    files |= {
        f"line {key} = {str(value)[:20]!r}": of_lines({**whole_header(header)}, {**core, key: value})
        for key in ("db", "key", "value", "key64", "value64", "withheld")
        for value in odd
        if not isinstance(value, str) or key == "db"
        if not (key in ("value", "key64", "value64") and value is None) and not (key == "withheld" and value == [])
    }
    nested = b"[" * 100_000 + b"]" * 100_000
    files |= {
        "databases twice": b"".join(packed({**header, "databases": ["pluto_core", "pluto_core"]}, [row])),
        "a schema of its own": b"".join(
            packed(header, [Entry("pluto_core", b"pluto:schema:version", b'{"version": 9}')])
        ),
        "nested header": gzip.compress(nested + b"\n"),
        "nested line": of_lines(whole_header(header), nested + b"\n"),
        "base64 that is none": of_lines(whole_header(header), {"db": "pluto_core", "key64": "%%%", "value": "1"}),
        "a first line without an end": gzip.compress(b'{"format": "' + b"x" * 50_000_000, 1),
        "bytes": bytes(range(256)) * 100,
        "not compressed": gzip.decompress(whole),
        "zip": zipped(whole),
        "tar": tarred(whole),
        "xz": lzma.compress(gzip.decompress(whole)),
        "two in one": whole + whole,
        "surrogates": gzip.compress(b'{"format": "\\ud800"}\n'),
    }
    return files


def whole_header(header):
    return {"format": "pluto-backup", "version": 1, **header}


def zipped(data):
    out = BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("../../etc/passwd", data)
    return out.getvalue()


def tarred(data):
    out = BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        link = tarfile.TarInfo("pluto_core")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc"
        archive.addfile(link)
    return out.getvalue()


def test_every_odd_file_is_one_sentence_and_nothing_is_touched(saved, cli, tmp_path):
    before = {name: bytes_of(saved / name) for name in ("pluto_core", "pluto_discovery")}
    for name, data in odd_files((tmp_path / "backup.gz").read_bytes()).items():
        (tmp_path / "odd.gz").write_bytes(data)
        run = cli("restore", tmp_path / "odd.gz", data_dir=saved)
        assert (run.status, run.out, len(run.err.splitlines())) == (1, "", 1), (name, run)
        assert "odd.gz" in run.err, name
        assert len(run.err) < 500, name
    assert {name: bytes_of(saved / name) for name in before} == before
    assert {path.name for path in saved.iterdir()} >= set(before)


@pytest.mark.parametrize("seed", range(4))
def test_a_manifest_with_any_bytes_changed_is_one_sentence_or_is_restored(saved, cli, tmp_path, seed):
    text = gzip.decompress((tmp_path / "backup.gz").read_bytes())
    random = Random(seed)
    for _ in range(50):
        changed = bytearray(text)
        for _ in range(random.randrange(1, 4)):
            changed[random.randrange(text.index(b"\n") + 1)] = random.randrange(256)
        (tmp_path / "odd.gz").write_bytes(gzip.compress(bytes(changed), 1))
        run = cli("restore", tmp_path / "odd.gz", data_dir=saved)
        assert (run.status, len(run.err.splitlines())) in ((1, 1), (0, 0)), run


@pytest.mark.parametrize("what", ["a directory", "a pipe", "a link to nothing", "nothing", "a device"])
def test_what_is_no_file_is_one_sentence(saved, cli, tmp_path, what):
    path = tmp_path / "odd.gz"
    if what == "a directory":
        path.mkdir()
    elif what == "a pipe":
        os.mkfifo(path)
    elif what == "a link to nothing":
        path.symlink_to(tmp_path / "nowhere")
    elif what == "a device":
        path.symlink_to("/dev/zero")
    run = cli("restore", path, data_dir=saved)
    assert (run.status, run.out, len(run.err.splitlines())) == (1, "", 1), run


def test_a_first_line_of_two_gigabytes_takes_no_memory(saved, tmp_path):
    """In a process of its own, which may have 400 MB of address space more than it needs to start."""
    with gzip.open(tmp_path / "large.gz", "wb", compresslevel=1) as file:
        for _ in range(32):
            file.write(bytes(64 * 1024 * 1024))
    script = (
        "import resource, sys; from app.backup import main; "
        "pages = int(open('/proc/self/statm').read().split()[0]); room = pages * 4096 + 400 * 1024 * 1024; "
        "resource.setrlimit(resource.RLIMIT_AS, (room, room)); sys.exit(main(sys.argv[1:]))"
    )
    command = [sys.executable, "-c", script, "restore", str(tmp_path / "large.gz"), "--data-dir", str(saved)]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert (run.returncode, run.stdout, len(run.stderr.splitlines())) == (1, "", 1), run.stderr[-500:]


def test_odd_values_that_are_stored_are_restored_as_they_are(saved, cli, tmp_path, make_service):
    """The service leaves alone what it cannot read, so a backup of it is none the worse."""
    odd = {b"presets:odd": b"[1]", b"presets:torn": b'{"stratumPassword', b"key\x1b[2J\n": b'{"token": "t"}', b"": b"1"}
    rows = {**rows_of(saved / "pluto_core"), **odd}
    core = plyvel.DB(str(saved / "pluto_core"))
    for key, value in odd.items():
        core.put(key, value)
    core.close()
    for name, secrets in (("with", ["--secrets"]), ("without", [])):
        assert cli("save", *secrets, tmp_path / name, data_dir=saved).status == 0
        run = cli("restore", tmp_path / name, data_dir=tmp_path / f"restored {name}")
        assert (run.status, run.err) == (0, "")
        assert "\x1b" not in run.out
    assert rows_of(tmp_path / "restored with" / "pluto_core") == rows


def test_a_place_that_cannot_be_restored_to_is_one_sentence(saved, cli, tmp_path):
    (tmp_path / "file").write_text("x")
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / "pluto_core").write_text("no directory")
    for place in ("file", "file/below", "odd"):
        run = cli("restore", tmp_path / "backup.gz", data_dir=tmp_path / place)
        assert (run.status > 0, run.out, len(run.err.splitlines())) == (True, "", 1), (place, run)


def test_not_while_a_service_runs(saved, cli, tmp_path):
    lock = DataDirLock(saved)
    lock.acquire()
    try:
        for act in ("restore", "save"):
            run = cli(act, tmp_path / "backup.gz", data_dir=saved)
            assert (run.status, "in use" in run.err) == (3, True)
    finally:
        lock.release()


def test_not_while_the_original_runs(saved, cli, tmp_path):
    """It takes LevelDB's lock and knows nothing of ours."""
    script = "import plyvel, sys; held = plyvel.DB(sys.argv[1]); print('open', flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", script, str(saved / "pluto_core")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == "open\n"
        run = cli("restore", tmp_path / "backup.gz", data_dir=saved)
        holder.stdin.close()
    assert (run.status, "in use" in run.err) == (3, True)


def test_as_a_program(saved, tmp_path):
    environ = {"PATH": os.environ["PATH"], "DATA_DIR": str(saved)}
    command = [sys.executable, "-m", "app.backup", "save", str(tmp_path / "saved.gz")]
    run = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=60, check=False)
    assert (run.returncode, run.stderr, "without passwords" in run.stdout) == (0, "", True)
    assert Archive(tmp_path / "saved.gz").header["databases"] == ["pluto_core", "pluto_discovery"]


def test_on_a_terminal_that_knows_ascii_only(full, tmp_path):
    full.ok(full.client.post("/presets", json={"name": "Öl", "configuration": POOL}))
    (tmp_path / "plain.gz").write_bytes(fetch(full).data)
    full.stop()
    environ = {"PATH": os.environ["PATH"], "DATA_DIR": str(tmp_path / "data"), "PYTHONIOENCODING": "ascii"}
    command = [sys.executable, "-m", "app.backup", "restore", str(tmp_path / "plain.gz")]
    run = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=60, check=False)
    assert (run.returncode, run.stderr, "preset '\\xd6l' lacks stratumPassword" in run.stdout) == (0, "", True), run


def test_saving_by_hand(saved, cli, tmp_path):
    plain, with_secrets = tmp_path / "one.gz", tmp_path / "two.gz"
    assert cli("save", plain, data_dir=saved).status == 0
    assert cli("save", "--secrets", with_secrets, data_dir=saved).status == 0
    assert b"CANARY" not in gzip.decompress(plain.read_bytes())
    assert {entry.key: entry.value for entry in Archive(with_secrets).entries()} == rows_of(saved / "pluto_core")
    assert with_secrets.stat().st_mode & 0o777 == 0o600
    again = cli("save", plain, data_dir=saved)
    assert (again.status, "already exists" in again.err) == (1, True)
    nowhere = cli("save", tmp_path / "three.gz", data_dir=tmp_path / "nowhere")
    assert (nowhere.status, (tmp_path / "nowhere").exists()) == (1, False)


def test_bytes_that_are_no_text_come_back(tmp_path):
    entries = [Entry("pluto_core", b"\xff\x00", b"\x80"), Entry("pluto_core", "é".encode(), b'"\\u0000"')]
    (tmp_path / "file").write_bytes(b"".join(packed({"databases": ["pluto_core"]}, entries)))
    assert list(Archive(tmp_path / "file").entries()) == entries
