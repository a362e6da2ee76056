"""Metrics of the logs. Only devices whose log was requested have series."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from app.services.devices.fleet import Fleet, Tracked
from app.services.logs.device_log import DeviceLog
from app.services.logs.hub import LogHub
from app.services.logs.log_files import LogFiles
from app.services.logs.reader_policy import ReaderState
from app.services.metrics.text_format import format_family, format_labels

COUNTERS: tuple[tuple[str, str, Callable[[DeviceLog], int]], ...] = (
    ("lines", "Log lines heard from the miner", lambda log: log.lines),
    ("dropped", "Log lines that made room for newer ones", lambda log: log.dropped),
    ("reconnects", "Log streams opened again after one was lost", lambda log: log.reconnects),
)


def log_families(hub: LogHub, files: LogFiles, fleet: Fleet) -> Iterator[str]:
    """Ready families in the text format."""
    states = hub.count_reader_states()
    yield format_family(
        "pluto_log_readers",
        "Readers of miners' logs by state",
        (f"pluto_log_readers{format_labels({'state': state})} {states[state]}\n" for state in ReaderState),
    )
    name = "pluto_log_file_lines_lost_total"
    help_ = "Log lines that no file of LOG_FILES has, for they could not be written in time"
    yield format_family(name, help_, [f"{name} {files.lost_lines}\n"], kind="counter")
    heard = [(tracked, hub.get_log(tracked)) for tracked in fleet.all_devices() if hub.find_reader(tracked.mac)]
    for name, help_, value in COUNTERS:
        yield format_family(
            f"pluto_device_log_{name}_total",
            help_,
            (f"pluto_device_log_{name}_total{_labels(tracked)} {value(log)}\n" for tracked, log in heard),
            kind="counter",
        )


def _labels(tracked: Tracked) -> str:
    return format_labels({"mac": tracked.mac, "hostname": tracked.hostname})
