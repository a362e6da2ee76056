"""Which event has which subscribers, in which order."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from app.draining import RequestDrain
from app.events import (
    DeviceDeleted,
    DeviceEdited,
    DeviceFailed,
    DeviceObserved,
    DevicePolled,
    DeviceRemoved,
    DriftChanged,
    EventLogged,
    JobUpdated,
    JournalEntryEnded,
    MinerMissing,
    MinerSeen,
    ScanUpdated,
    Stopping,
)
from app.runtime import Runtime
from app.socketio.server import SocketIoServer

Subscribers = Mapping[type, Sequence[Callable[[Any], None]]]


def subscribers(runtime: Runtime, sockets: SocketIoServer, drain: RequestDrain) -> Subscribers:
    """Return every subscriber of every event. Each is called in the publisher's greenlet, from left to right."""
    dashboards = [runtime.dashboards] if runtime.dashboards else []
    return {
        DevicePolled: (runtime.history.on_device_polled, runtime.event_observer.on_device_polled),
        DeviceObserved: (
            runtime.drift.on_device_observed,  # first: what is sent and rendered below holds its result
            runtime.log_hub.on_device_observed,
            runtime.relocation.on_device_observed,
            runtime.metrics.on_device_observed,
            *(each.on_device_observed for each in dashboards),
            sockets.on_device_observed,
        ),
        DeviceFailed: (runtime.log_hub.on_device_failed, sockets.on_device_failed),
        DeviceRemoved: (runtime.log_hub.on_device_removed, sockets.on_device_removed),
        # The records are deleted by then (DeviceRepository.delete_device); these drop what is in memory and in files.
        DeviceDeleted: (
            runtime.conflicts.on_device_deleted,
            runtime.commands.on_device_deleted,
            runtime.journal.on_device_deleted,
            runtime.desired_states.on_device_deleted,
            runtime.drift.on_device_deleted,
            runtime.log_hub.on_device_deleted,
            runtime.log_backfill.on_device_deleted,
            runtime.log_files.on_device_deleted,
            runtime.history.on_device_deleted,
            *(each.on_device_deleted for each in dashboards),
            runtime.discovery.on_device_deleted,
            runtime.event_observer.on_device_deleted,
        ),
        MinerSeen: (runtime.relocation.on_miner_seen,),
        MinerMissing: (runtime.log_hub.on_miner_missing, runtime.relocation.on_miner_missing),
        DeviceEdited: (runtime.event_observer.on_device_edited,),
        JournalEntryEnded: (runtime.event_observer.on_journal_entry_ended,),
        JobUpdated: (runtime.event_observer.on_job_updated, sockets.on_job_updated),
        DriftChanged: (
            runtime.event_observer.on_drift_changed,
            runtime.drift_repair.on_drift_changed,
            sockets.on_drift_changed,
        ),
        ScanUpdated: (sockets.on_scan_updated,),
        EventLogged: (sockets.on_event_logged,),
        Stopping: (sockets.on_stopping, lambda event: drain.drain_requests()),
    }
