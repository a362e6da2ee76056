"""All stages of a run, one after the other on the same miners: the service, the bare loop, Prometheus."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from .miners import PORT, Miners
from .options import Options
from .processes import Part, python, say
from .prometheus import Prometheus, installed
from .served import Served


def run(options: Options, folder: Path) -> dict[str, Any]:
    """The results by stage. Whatever was started has ended when it returns."""
    with ExitStack() as stack:
        say(f"{options.n} miners with AxeOS {options.generation}")
        miners = Miners(options, folder)
        stack.callback(miners.stop)
        served = Served(options, folder, stack, miners)
        results = {"service": served.run()}
        if options.restart:
            results["restart"] = served.restart()
        if options.bare:
            results["bare"] = _bare(options, miners, folder, stack)
        if options.prometheus and installed():
            results["prometheus"] = _prometheus(options, miners, folder, stack)
        return results


def _bare(options: Options, miners: Miners, folder: Path, stack: ExitStack) -> dict[str, Any]:
    say("the bare loop")
    numbers = (options.interval, options.warmup / 2, options.seconds, PORT)
    part = Part("bare", python("tools.bench.bare", options.mode, *(f"{each:g}" for each in numbers)), folder)
    stack.callback(part.stop)
    part.give("\n".join(miners.healthy))
    return _per_poll(json.loads(part.line()))


def _prometheus(options: Options, miners: Miners, folder: Path, stack: ExitStack) -> dict[str, Any]:
    say("Prometheus")
    prometheus = Prometheus(options, miners, folder)
    stack.callback(prometheus.stop)
    return _per_poll(prometheus.measure())


def _per_poll(told: dict[str, Any]) -> dict[str, Any]:
    polls, seconds = told["polls"], told["seconds"]
    return {
        **told,
        "cpu_per_1000": 1000 * told["cpu"] / polls if polls else None,
        "core_percent": 100 * told["cpu"] / seconds,
        "polls_per_s": polls / seconds,
    }
