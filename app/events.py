"""Events between services. Services publish; app/subscribers.py lists the subscribers. An exception of a subscriber
is logged and does not affect the publisher."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypedDict, TypeVar

from app.errors import StoreError

if TYPE_CHECKING:
    from app.models import Device, Observation
    from app.services.configuration.journal import JournalEntry
    from app.services.devices.fleet import Tracked
    from app.services.event_log.kinds import LoggedEvent
    from app.services.scans.scan_state import ScanState

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class DeviceObserved:
    """A poll succeeded; `tracked` holds the fresh reading."""

    tracked: Tracked


@dataclass(frozen=True, slots=True)
class DevicePolled:
    """A poll ended, successful or not, and its result is recorded. `before`: the observation before it; the present
    one is `tracked.observation`. Published before DeviceObserved and DeviceFailed."""

    tracked: Tracked
    before: Observation


@dataclass(frozen=True, slots=True)
class DeviceFailed:
    """A poll failed while the device counts as offline, locked or refused."""

    tracked: Tracked


@dataclass(frozen=True, slots=True)
class DeviceRemoved:
    """A device is no longer monitored. `remaining_ips`: addresses of those that still are."""

    mac: str
    ip: str
    remaining_ips: list[str]


@dataclass(frozen=True, slots=True)
class DeviceDeleted:
    """A device's record was deleted."""

    mac: str


@dataclass(frozen=True, slots=True)
class DeviceEdited:
    """A device's record was changed by a user or moved to another address; `before`: the record before it."""

    tracked: Tracked
    before: Device


@dataclass(frozen=True, slots=True)
class JournalEntryEnded:
    """A write to a device ended, and the journal has its outcome."""

    entry: JournalEntry


@dataclass(frozen=True, slots=True)
class EventLogged:
    """The event log has a new event; its repetitions are not published."""

    event: LoggedEvent


@dataclass(frozen=True, slots=True)
class MinerSeen:
    """Discovery found a miner that reports `mac` at `address`."""

    mac: str
    address: str


@dataclass(frozen=True, slots=True)
class MinerMissing:
    """A device is not at the address of its record and must be searched for."""

    mac: str


@dataclass(frozen=True, slots=True)
class ScanUpdated:
    """A scan that a user started made progress, or ended."""

    state: ScanState


class JobDeviceUpdate(TypedDict):
    """The new state of one device in a job."""

    mac: str
    state: str
    reason: str | None


@dataclass(frozen=True, slots=True)
class JobUpdated:
    """A job, or `device` (mac, state, reason) in it, changed its state, or the job was paused or resumed. `counts`:
    devices by state. `before`: the job's state before it."""

    id: str
    state: str
    counts: Mapping[str, int]
    device: JobDeviceUpdate | None
    before: str
    action: str
    actor: str
    paused: bool = False


@dataclass(frozen=True, slots=True)
class DriftChanged:
    """The drift of a device changed; `tracked` has it. `new`: keys that did not differ before, or for another
    reason."""

    tracked: Tracked
    new: frozenset[str]


@dataclass(frozen=True, slots=True)
class Stopping:
    """The service is about to stop. Subscribers that serve callers finish before they return: nothing works after
    this."""


E = TypeVar("E")


class EventBus:
    """Calls each subscriber of an event's class, in the order of subscription, in the publisher's greenlet."""

    def __init__(self) -> None:
        self._handlers: dict[type, list[Callable[[Any], None]]] = defaultdict(list)

    def subscribe_all(self, subscribers: Mapping[type, Iterable[Callable[[Any], None]]]) -> None:
        """Subscribe every handler of the table, in its order."""
        for kind, handlers in subscribers.items():
            self._handlers[kind].extend(handlers)

    def subscribe(self, kind: type[E], handler: Callable[[E], None]) -> None:
        self._handlers[kind].append(handler)

    def publish(self, event: object) -> None:
        for listener in self._handlers[type(event)]:
            try:
                listener(event)
            except StoreError as error:
                log.warning("subscriber cannot write", extra={"event": type(event).__name__, "reason": str(error)})
            except Exception:
                log.exception("unhandled exception in a subscriber", extra={"event": type(event).__name__})
