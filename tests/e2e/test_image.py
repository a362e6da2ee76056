"""The Dockerfile, where no container engine runs: its lines are parsed, and its commands run here in a folder that
holds what its COPY lines name, with its environment. The build itself is not tested."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest
import requests
from processes import ROOT, Process, free_port, wait_for

Instruction = tuple[str, str]


def instructions() -> list[Instruction]:
    """(word, rest) of each instruction, continued lines joined."""
    text = re.sub(r"\\\n", " ", (ROOT / "Dockerfile").read_text())
    lines = [line.strip() for line in text.splitlines()]
    return [
        (word, rest.strip()) for word, _, rest in (line.partition(" ") for line in lines if line and line[0] != "#")
    ]


def final_stage() -> list[Instruction]:
    parsed = instructions()
    last = max(at for at, (word, _) in enumerate(parsed) if word == "FROM")
    return parsed[last:]


def the(word: str) -> str:
    [rest] = [rest for each, rest in final_stage() if each == word]
    return rest


def environment() -> dict[str, str]:
    return dict(re.findall(r"(\w+)=(\S+)", the("ENV")))


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """The image's working directory, as its COPY lines make it."""
    folder = tmp_path / "image"
    folder.mkdir()
    for word, rest in final_stage():
        if word != "COPY" or rest.startswith("--from"):
            continue
        *sources, target = rest.split()
        for source in sources:
            copy = shutil.copytree if (ROOT / source).is_dir() else shutil.copy
            copy(ROOT / source, folder / target)  # type: ignore[operator]
    for cache in [*folder.rglob("__pycache__")]:
        shutil.rmtree(cache)
    return folder


def test_nothing_but_what_it_copies_is_sent_to_the_builder() -> None:
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = {
        source.rstrip("/")
        for word, rest in instructions()
        if word == "COPY" and not rest.startswith("--from")
        for source in rest.split()[:-1]
    }
    assert allowed == copied


def test_it_is_not_root_and_what_it_installs_is_locked() -> None:
    assert the("USER") == "10001:10001"
    assert the("VOLUME") == environment()["DATA_DIR"] == "/data"
    assert environment()["BIND"] == "0.0.0.0"
    [install] = [rest for word, rest in instructions() if word == "RUN" and " install " in rest and "/pip " in rest]
    assert "--require-hashes -r requirements.txt" in install


def test_its_commands_run_and_write_only_into_the_data_directory(image: Path, tmp_path: Path, stack: ExitStack) -> None:
    before = sorted(image.rglob("*"))
    environ = environment() | {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "DATA_DIR": str(tmp_path / "data"),
        "PORT": str(free_port()),
        "BIND": "127.0.0.1",  # tests stay on loopback
        "MDNS": "false",
        "DISCOVERY_SUBNETS": "127.0.0.0/32",
        "HOME": "/nonexistent",
    }
    healthcheck = json.loads(the("HEALTHCHECK").partition(" CMD ")[2])

    def healthy() -> bool:
        return subprocess.run(healthcheck, env=environ, capture_output=True, timeout=10).returncode == 0

    assert not healthy()
    service = Process("image", json.loads(the("CMD")), tmp_path, environ, image)
    stack.callback(service.stop)
    wait_for("its health", healthy, 20)
    page = requests.get(f"http://127.0.0.1:{environ['PORT']}/", timeout=5)
    assert page.ok
    assert service.stop() == 0
    assert "Traceback" not in service.text()
    assert sorted(image.rglob("*")) == before
    assert (tmp_path / "data" / "pluto_core").is_dir()
