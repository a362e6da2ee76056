"""The fleet: every registered device, its current state and its record on disk. One owner keeps the three
consistent."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from gevent.lock import RLock

from app.clock import Clock, format_iso
from app.errors import DeviceNotFound, StoreError
from app.miners.address import Address, parse_stored_address
from app.miners.dialects import count_chips, determine_model
from app.miners.totals import is_implausible_hashrate
from app.miners.vendor_options import NO_BOARD, Board, Options, look_up_options
from app.models import UP_STATUSES, Derived, Device, Drift, Observation, Reading, Status, is_reboot
from app.store.devices import DeviceRepository

FLUSH_BATCH = 100
# Clients read these without a check, so the last known value is kept when an answer lacks them.
ALWAYS_SHOWN = ("power", "stratumUser")


class Tracked:
    """A device in memory: its record, the last observation, and whether it is monitored. Only the Fleet changes it.

    `version` increases with every change that a client can see, so that values derived from a device can be cached.
    """

    __slots__ = (
        "__weakref__",
        "address",
        "board",
        "conflict",
        "derived",
        "device",
        "drift",
        "implausible_hashrates",
        "last_known",
        "log_warning",
        "monitored",
        "observation",
        "options",
        "restarting_until",
        "restarts",
        "version",
    )

    def __init__(self, device: Device) -> None:
        self.device = device
        self.address = parse_stored_address(device.ip)
        self.observation = Observation()
        self.monitored = False
        self.conflict: str | None = None
        self.log_warning: str | None = None
        self.drift: tuple[Drift, ...] | None = None
        self.derived: Derived | None = None
        self.options: Options | None = None
        self.board = NO_BOARD
        self.implausible_hashrates = 0
        self.last_known: dict[str, Any] = {}
        self.restarts = 0
        self.restarting_until = 0.0
        self.version = 0

    @property
    def mac(self) -> str:
        return self.device.mac

    @property
    def reading(self) -> Reading | None:
        return self.observation.reading

    @property
    def info(self) -> Mapping[str, Any]:
        """Return the last answer: of this process, else the persisted one."""
        return self.reading.info if self.reading else self.device.info

    @property
    def hostname(self) -> str:
        return str(self.info.get("hostname") or "")

    @property
    def title(self) -> str:
        """Return the name that the user gave, else the hostname, else the address."""
        return self.device.name or self.hostname or self.device.ip

    @property
    def is_up(self) -> bool:
        """Return True if the device is monitored and answers or is stale, so that its values count in totals."""
        return self.monitored and self.observation.status in UP_STATUSES

    @property
    def status(self) -> Status:
        return self.observation.status if self.monitored else Status.UNMONITORED

    @property
    def model(self) -> str:
        return self.board.model or determine_model(self.info)

    @property
    def chip_count(self) -> int | None:
        return self.board.chips or count_chips(self.info)

    @property
    def vendor_options(self) -> Options:
        return self.options or look_up_options(self.info)

    def current_record(self) -> Device:
        """Return the record with the last reading in it."""
        if self.reading is None:
            return self.device
        seen = format_iso(self.reading.at)
        return replace(
            self.device, info=self.reading.info, last_seen=seen, updated_at=max(self.device.updated_at, seen)
        )


class Fleet:
    """Owns the devices. Changes requested by a user are on disk before they are in memory; readings are in memory first
    and reach the disk with `flush_readings`."""

    def __init__(self, repository: DeviceRepository, clock: Clock) -> None:
        self._repository = repository
        self._clock = clock
        self._tracked: dict[str, Tracked] = {}
        self._hosts: Counter[str] = Counter()
        self._by_address: dict[Address, str] = {}
        self._dirty: set[str] = set()
        self._deleting: set[str] = set()
        self._write_lock = RLock()

    def load_devices(self) -> None:
        for device in self._repository.load_devices():
            self._add_to_memory(device)

    def __len__(self) -> int:
        return len(self._tracked)

    def all_devices(self) -> list[Tracked]:
        """Return the devices in order of registration."""
        return list(self._tracked.values())

    def monitored_devices(self) -> list[Tracked]:
        return [tracked for tracked in self._tracked.values() if tracked.monitored]

    def count_devices(self) -> dict[str, int]:
        """Return the number of registered, monitored and answering devices."""
        devices = self.all_devices()
        monitored, up = sum(tracked.monitored for tracked in devices), sum(tracked.is_up for tracked in devices)
        return {"registered": len(devices), "monitored": monitored, "online": up}

    def find_device(self, mac: str | None) -> Tracked | None:
        return self._tracked.get(mac) if mac else None

    def get_device(self, mac: str) -> Tracked:
        """Raises DeviceNotFound."""
        tracked = self._tracked.get(mac)
        if tracked is None:
            raise DeviceNotFound(mac)
        return tracked

    def find_by_address(self, address: Address) -> Tracked | None:
        """Return the device whose record has this address (the latest if there are two)."""
        return self.find_device(self._by_address.get(address))

    def is_alone_on_host(self, address: Address) -> bool:
        """Return True if no other device shares the host, so that the neighbour table's MAC for it can only be this
        device's."""
        return self._hosts[address.host] <= 1

    def save_devices(self, devices: Iterable[Device]) -> list[Tracked]:
        """Add devices, or replace the records of known ones: all or none, on disk when this returns. An iterator is
        consumed under the lock, so that records built from current ones undo no concurrent edit."""
        with self._write_lock:
            kept = list(devices)
            self._repository.save_devices(kept)
            return [self._add_to_memory(device) for device in kept]

    def edit_device(self, mac: str, change: Callable[[Device], Device]) -> Tracked:
        """Replace a record by `change` of it, on disk when this returns; `updatedAt` is set. Raises DeviceNotFound."""
        with self._write_lock:
            changed = replace(change(self.get_device(mac).current_record()), updated_at=format_iso(self._clock.now()))
            return self.save_devices([changed])[0]

    def move_device(self, mac: str, ip: str) -> Tracked:
        """Set the device's address. If that cannot be written now, it is changed in memory and written by a later
        `flush_readings`: the old address no longer reaches the miner. Raises DeviceNotFound."""
        try:
            return self.edit_device(mac, lambda device: replace(device, ip=ip))
        except StoreError:
            moved = self._add_to_memory(replace(self.get_device(mac).device, ip=ip))
            self._dirty.add(mac)
            return moved

    def edit_matching(
        self,
        which: Callable[[Device], bool],
        change: Callable[[Device], Device],
        puts: Mapping[str, Any],
        deletes: Iterable[str],
    ) -> None:
        """Edit every device that `which` selects, in one write with `puts` and `deletes` of other records."""
        with self._write_lock:
            now = format_iso(self._clock.now())
            chosen = [tracked for tracked in self._tracked.values() if which(tracked.device)]
            changed = [replace(change(tracked.current_record()), updated_at=now) for tracked in chosen]
            self._repository.save_devices(changed, puts, deletes)
            for device in changed:
                self._add_to_memory(device)

    def is_registered(self, mac: str) -> bool:
        """Return False also for a device that is being deleted."""
        return mac in self._tracked and mac not in self._deleting

    def delete_device(self, mac: str) -> Tracked:
        """Delete a device and its documents (DEVICE_KINDS), on disk when this returns. The subscribers of DeviceDeleted
        delete the rest. Raises DeviceNotFound."""
        with self._write_lock:
            tracked = self.get_device(mac)
            self._deleting.add(mac)
            try:
                self._repository.delete_device(mac)
            finally:
                self._deleting.discard(mac)
            del self._tracked[mac]
            self._dirty.discard(mac)
            tracked.monitored = False
            self._forget_address(tracked)
            return tracked

    def record_observation(self, tracked: Tracked, observation: Observation) -> bool:
        """Record the observation of a poll. Return False, and record nothing, if the device was deleted or is no longer
        monitored."""
        if self._tracked.get(tracked.mac) is not tracked or not tracked.monitored:
            return False
        before, after = tracked.reading, observation.reading
        if after is not before:
            self._dirty.add(tracked.mac)
            if is_reboot(before, after):
                tracked.restarts += 1
                tracked.restarting_until = 0.0
            _update_last_known(tracked, observation.reading)
            if after is not None and is_implausible_hashrate(after.info, tracked.board.chips):
                tracked.implausible_hashrates += 1
        tracked.observation = observation
        _drop_older_info(tracked)
        tracked.version += 1
        return True

    def set_monitored(self, tracked: Tracked, monitored: bool) -> None:
        """Start or stop monitoring. The last answer is kept in the record, and the observation is reset."""
        tracked.device = tracked.current_record()
        tracked.monitored = monitored
        tracked.observation = Observation()
        tracked.version += 1

    def expect_restart(self, tracked: Tracked, until: float) -> None:
        """A restart was sent, or seems to happen: silence is expected until this (monotonic) moment."""
        tracked.restarting_until = until

    def set_options(self, tracked: Tracked, options: Options | None) -> None:
        tracked.options = options
        tracked.version += 1

    def set_board(self, tracked: Tracked, board: Board) -> None:
        """`board`: from the miner's last answer of /api/system/asic."""
        tracked.board = board
        tracked.version += 1

    def set_conflict(self, tracked: Tracked, conflict: str | None) -> None:
        """`conflict`: a sentence that names the other claimant of its MAC or address."""
        if tracked.conflict != conflict:
            tracked.conflict = conflict
            tracked.version += 1

    def forget_reported_mac(self, mac: str) -> None:
        """Accept that the device no longer reports its MAC. On disk when this returns."""

        def without(info: Mapping[str, Any]) -> dict[str, Any]:
            return {key: value for key, value in info.items() if key != "macAddr"}

        with self._write_lock:
            tracked = self.edit_device(mac, lambda device: replace(device, info=without(device.info)))
            if tracked.reading is not None:
                reading = replace(tracked.reading, info=without(tracked.reading.info), mac=None)
                tracked.observation = replace(tracked.observation, reading=reading)

    def set_drift(self, tracked: Tracked, drift: tuple[Drift, ...] | None) -> None:
        """`drift`: settings that differ from the desired state; None for a device without a desired state."""
        if tracked.drift != drift:
            tracked.drift = drift
            tracked.version += 1

    def set_derived(self, tracked: Tracked, derived: Derived) -> None:
        """Set the figures derived from the reading that was just recorded."""
        tracked.derived = derived
        tracked.version += 1

    def set_log_warning(self, tracked: Tracked, warning: str | None) -> None:
        """`warning`: a sentence for the user about other readers of the device's log."""
        if tracked.log_warning != warning:
            tracked.log_warning = warning
            tracked.version += 1

    def overlay_info(self, tracked: Tracked, info: Mapping[str, Any]) -> None:
        """Show `info` over the last answer until the miner answers again."""
        if tracked.reading is not None:
            reading = replace(tracked.reading, info={**tracked.reading.info, **info})
            tracked.observation = replace(tracked.observation, reading=reading)
            tracked.version += 1

    def record_reading(self, tracked: Tracked, reading: Reading) -> None:
        """Record a reading that a command took between two polls."""
        if tracked.monitored:
            self.record_observation(tracked, Observation(Status.ONLINE, reading))
        else:
            tracked.device = replace(tracked.device, info=reading.info)
            tracked.version += 1

    def flush_readings(self) -> None:
        """Write the readings that arrived since the last flush. Records are composed under the same lock as edits, so
        that no edit is undone."""
        while self._dirty:
            with self._write_lock:
                macs = [self._dirty.pop() for _ in range(min(FLUSH_BATCH, len(self._dirty)))]
                present = [tracked.current_record() for mac in macs if (tracked := self._tracked.get(mac))]
                try:
                    self._repository.save_telemetry(present)
                except Exception:
                    self._dirty.update(macs)
                    raise

    def _add_to_memory(self, device: Device) -> Tracked:
        tracked = self._tracked.get(device.mac)
        if tracked is None:
            tracked = self._tracked[device.mac] = Tracked(device)
        else:
            self._forget_address(tracked)
        tracked.device, tracked.address = device, parse_stored_address(device.ip)
        _update_last_known(tracked, device)
        _drop_older_info(tracked)
        tracked.version += 1
        self._hosts[tracked.address.host] += 1
        self._by_address[tracked.address] = device.mac
        return tracked

    def _forget_address(self, tracked: Tracked) -> None:
        self._hosts[tracked.address.host] -= 1
        if self._by_address.get(tracked.address) == tracked.mac:
            del self._by_address[tracked.address]


def _update_last_known(tracked: Tracked, source: Device | Reading | None) -> None:
    if source is not None:
        tracked.last_known |= {key: value for key in ALWAYS_SHOWN if (value := source.info.get(key)) is not None}


def _drop_older_info(tracked: Tracked) -> None:
    """Drop the persisted answer once there is a newer one: it takes about 5 KB and is never read again."""
    if tracked.reading is not None and tracked.device.info:
        tracked.device = replace(tracked.device, info={})
