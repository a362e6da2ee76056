"""`python -m tools.bench N=1000 SECONDS=60 CLIENTS=1 MODE=keep-alive`; see docs/performance.md.

The exit status is 0 when everything was measured, whether the goals are met or not, 1 when something failed, 2 for
invalid options.
"""

from __future__ import annotations

import json
import os
import platform
import resource
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tools.child_processes import ProcessFailed, install_stop_signals

from .options import Options, parse_options
from .report import derive_figures, find_missed_goals, format_gaps, format_table
from .stages import Benchmark

INHERITED_VARIABLES = {"PATH", "HOME", "LANG"}


def run_benchmark(options: Options) -> dict[str, Any]:
    """Return the whole result. Data is on a disk, because the bytes written are measured."""
    for name in set(os.environ) - INHERITED_VARIABLES:
        del os.environ[name]  # It could be a setting of the service.
    hard_limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard_limit, hard_limit))  # Each miner is a socket.
    load = os.getloadavg()
    with tempfile.TemporaryDirectory(prefix="pluto-bench-", dir="/var/tmp") as folder, ExitStack() as stack:
        result = Benchmark(options, Path(folder), stack).run_stages()
    machine: dict[str, Any] = {"cores": os.cpu_count(), "load_before": load, "load_after": os.getloadavg()}
    machine |= {"python": platform.python_version(), "kernel": platform.release()}
    return {"options": asdict(options) | {"out": None}, "machine": machine, **result, **derive_figures(result)}


def print_result(result: dict[str, Any], options: Options) -> None:
    machine = result["machine"]
    loads = " → ".join(f"{machine[name][0]:.2f}" for name in ("load_before", "load_after"))
    print(f"\n{options.n} miners every {options.interval:g} s, {options.mode}, {options.clients} subscribers, "
          f"{options.seconds:g} s; {machine['cores']} cores, load {loads}\n")  # fmt: skip
    print("\n".join(format_table(result, options)))
    if options.ticker:
        print("\nLongest blocks of the loop:", *(format_gaps(result) or ["  none"]), sep="\n")
    print(f"\nGoals missed: {', '.join(find_missed_goals(result, options)) or 'none'}\n")
    line = json.dumps(result)
    print(line)
    if options.out:
        options.out.write_text(f"{line}\n")


def main(arguments: list[str]) -> int:
    install_stop_signals()
    try:
        options = parse_options(arguments)
    except ValueError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    try:
        print_result(run_benchmark(options), options)
    except (KeyboardInterrupt, ProcessFailed) as error:
        print(f"\nbench: {str(error) or 'stopped'}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
