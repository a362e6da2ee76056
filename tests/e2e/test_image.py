"""The Dockerfile, without a container engine.

Its lines are parsed, and the commands of the stage `web` and of the image run here with its environment, in folders
with the files of its COPY lines. The stage that installs the Python packages is not run.
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


def parse_stage(name: str) -> list[Instruction]:
    """Return the instructions of a stage; those of the final stage for ""."""
    stages: dict[str, list[Instruction]] = {}
    for instruction in parse_instructions():
        if instruction[0] == "FROM":
            current = stages[instruction[1].partition(" AS ")[2]] = []
        current.append(instruction)
    return stages[name]


def read_instruction(word: str) -> str:
    [rest] = [rest for each, rest in parse_stage("") if each == word]
    return rest


def read_environment() -> dict[str, str]:
    return dict(re.findall(r"(\w+)=(\S+)", read_instruction("ENV")))


def copy_sources(rest: str, folder: Path) -> None:
    """Copy what a COPY line without `--from` names, without what .dockerignore excludes."""
    *sources, target = rest.split()
    for source in sources:
        if (ROOT / source).is_dir():
            shutil.copytree(ROOT / source, folder / target, ignore=shutil.ignore_patterns("__pycache__", "static"))
        else:
            shutil.copy(ROOT / source, folder / target)


@pytest.fixture
def built_web(tmp_path: Path) -> Path:
    """What the stage `web` writes to /static. npm gets the packages from its cache, where .ci/run puts them."""
    folder, static = tmp_path / "stage", tmp_path / "static"
    folder.mkdir()
    for word, rest in parse_stage("web"):
        if word == "COPY":
            copy_sources(rest, folder)
        elif word == "RUN":
            command, environ = rest.replace("/static", str(static)), {**os.environ, "npm_config_prefer_offline": "true"}
            subprocess.run(command, shell=True, cwd=folder, env=environ, timeout=120, check=True)
    return static


@pytest.fixture
def image_folder(tmp_path: Path, built_web: Path) -> Path:
    """The working directory of the image, with the files that its COPY lines name."""
    folder = tmp_path / "image"
    folder.mkdir()
    for word, rest in parse_stage(""):
        if word == "COPY" and rest.startswith("--from=web "):
            shutil.copytree(built_web, folder / rest.split()[2])
        elif word == "COPY" and not rest.startswith("--from"):
            copy_sources(rest, folder)
    return folder


def test_build_context_holds_only_the_copied_files() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    allowed = {line[1:] for line in lines if line.startswith("!")}
    copied = {
        source.rstrip("/")
        for word, rest in parse_instructions()
        if word == "COPY" and not rest.startswith("--from")
        for source in rest.split()[:-1]
    }
    assert allowed == copied
    assert lines[1] == "*"
    assert {"app/static", "**/__pycache__"} == {line for line in lines[2:] if not line.startswith("!")}


def test_final_stage_has_the_web_interface_without_its_tools() -> None:
    assert ("COPY", "--from=web /static ./app/static") in parse_stage("")
    assert not [rest for _, rest in parse_stage("") if "npm" in rest or "node" in rest]
    assert "npm ci --ignore-scripts" in str(parse_stage("web"))


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
    url = f"http://127.0.0.1:{variables['PORT']}/"
    for page in ("", "docs"):
        text = requests.get(url + page, timeout=5).text
        script = re.search(r'src="(assets/[^"]+)"', text)
        assert script, text
        assert requests.get(url + script[1], timeout=5).headers["Content-Type"].startswith("text/javascript")
    assert service.stop() == 0
    assert "Traceback" not in service.read_output()
    assert sorted(image_folder.rglob("*")) == before
    assert (tmp_path / "data" / "pluto_core").is_dir()
