"""`python -m tools.bench N=1000 SECONDS=60 CLIENTS=1 MODE=keep-alive`; see docs/performance.md.

0 when it was measured, whether the goals are met or not; 1 when something did not work; 2 for options that make no
sense.
"""

from __future__ import annotations

import json
import os
import platform
import signal
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any, NoReturn

from .options import Options, parse
from .processes import BenchFailed, allow_files
from .report import derived, gaps, missed, table
from .stages import run


def bench(options: Options) -> dict[str, Any]:
    """The whole result; everything that was started has ended. Data is on a disk: what is written is a figure."""
    allow_files()
    load = os.getloadavg()
    with tempfile.TemporaryDirectory(prefix="pluto-bench-", dir="/var/tmp") as folder:
        result = run(options, Path(folder))
    machine: dict[str, Any] = {"cores": os.cpu_count(), "load_before": load, "load_after": os.getloadavg()}
    machine |= {"python": platform.python_version(), "kernel": platform.release()}
    options_told = asdict(options) | {"out": None}
    return {"options": options_told, "machine": machine, **result, **derived(result)}


def show(result: dict[str, Any], options: Options) -> None:
    machine = result["machine"]
    loads = " → ".join(f"{machine[when][0]:.2f}" for when in ("load_before", "load_after"))
    print(f"\n{options.n} miners every {options.interval:g} s, {options.mode}, {options.clients} subscribers, "
          f"{options.seconds:g} s; {machine['cores']} cores, load {loads}\n")  # fmt: skip
    print("\n".join(table(result, options)))
    if options.ticker:
        print("\nThe loop was held longest by", *(gaps(result) or ["  nothing that was seen"]), sep="\n")
    print(f"\nGoals missed: {', '.join(missed(result, options)) or 'none'}\n")


def interrupt(signum: int, frame: object) -> NoReturn:
    """Once: whoever is impatient must not cut the stopping short and leave processes behind."""
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, signal.SIG_IGN)
    raise KeyboardInterrupt


def main(arguments: list[str]) -> int:
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, interrupt)
    try:
        options = parse(arguments)
    except ValueError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    try:
        result = bench(options)
    except KeyboardInterrupt:
        print("\nbench: stopped", file=sys.stderr)
        return 1
    except BenchFailed as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    show(result, options)
    line = json.dumps(result)
    print(line)
    if options.out:
        options.out.write_text(f"{line}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
