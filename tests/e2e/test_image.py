"""The Dockerfile, without a container engine.

Its lines are parsed, and its commands run here with its environment, in a folder with the files of its COPY lines. The
build itself is not tested.
"""

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
from processes import ROOT, Process, find_free_port, wait_for

Instruction = tuple[str, str]


def parse_instructions() -> list[Instruction]:
    """Return (keyword, arguments) of each instruction, with continued lines joined."""
    text = re.sub(r"\\\n", " ", (ROOT / "Dockerfile").read_text())
    lines = [line.strip() for line in text.splitlines()]
    return [
        (word, rest.strip()) for word, _, rest in (line.partition(" ") for line in lines if line and line[0] != "#")
    ]


def parse_final_stage() -> list[Instruction]:
    parsed = parse_instructions()
    last = max(at for at, (word, _) in enumerate(parsed) if word == "FROM")
    return parsed[last:]


def read_instruction(word: str) -> str:
    [rest] = [rest for each, rest in parse_final_stage() if each == word]
    return rest


def read_environment() -> dict[str, str]:
    return dict(re.findall(r"(\w+)=(\S+)", read_instruction("ENV")))


@pytest.fixture
def image_folder(tmp_path: Path) -> Path:
    """The working directory of the image, with the files that its COPY lines name."""
    folder = tmp_path / "image"
    folder.mkdir()
    for word, rest in parse_final_stage():
        if word != "COPY" or rest.startswith("--from"):
            continue
        *sources, target = rest.split()
        for source in sources:
            copy = shutil.copytree if (ROOT / source).is_dir() else shutil.copy
            copy(ROOT / source, folder / target)  # type: ignore[operator]
    for cache in [*folder.rglob("__pycache__")]:
        shutil.rmtree(cache)
    return folder


def test_build_context_holds_only_the_copied_files() -> None:
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = {
        source.rstrip("/")
        for word, rest in parse_instructions()
        if word == "COPY" and not rest.startswith("--from")
        for source in rest.split()[:-1]
    }
    assert allowed == copied


def test_image_runs_as_a_user_and_installs_locked_packages() -> None:
    assert read_instruction("USER") == "10001:10001"
    assert read_instruction("VOLUME") == read_environment()["DATA_DIR"] == "/data"
    assert read_environment()["BIND"] == "0.0.0.0"
    [install] = [
        rest for word, rest in parse_instructions() if word == "RUN" and " install " in rest and "/pip " in rest
    ]
    assert "--require-hashes -r requirements.txt" in install


def test_image_commands_run_and_write_to_the_data_directory_only(
    image_folder: Path, tmp_path: Path, exit_stack: ExitStack
) -> None:
    before = sorted(image_folder.rglob("*"))
    variables = read_environment() | {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "DATA_DIR": str(tmp_path / "data"),
        "PORT": str(find_free_port()),
        "BIND": "127.0.0.1",  # tests stay on loopback
        "MDNS": "false",
        "DISCOVERY_SUBNETS": "127.0.0.0/32",
        "HOME": "/nonexistent",
    }
    healthcheck = json.loads(read_instruction("HEALTHCHECK").partition(" CMD ")[2])

    def is_healthy() -> bool:
        return subprocess.run(healthcheck, env=variables, capture_output=True, timeout=10).returncode == 0

    assert not is_healthy()
    service = Process("image", json.loads(read_instruction("CMD")), tmp_path, variables, image_folder)
    exit_stack.callback(service.stop)
    wait_for("the health check to succeed", is_healthy, 20)
    page = requests.get(f"http://127.0.0.1:{variables['PORT']}/", timeout=5)
    assert page.ok
    assert service.stop() == 0
    assert "Traceback" not in service.read_output()
    assert sorted(image_folder.rglob("*")) == before
    assert (tmp_path / "data" / "pluto_core").is_dir()
