"""The errors of the service, with the ids they concern.

Services raise these; app/blueprints/errors.py maps them to HTTP statuses. `str(error)` is a sentence that a person
can act on.
"""

from __future__ import annotations


class PlutoError(Exception):
    """Base of every error that this project raises on purpose."""


class SettingsError(PlutoError):
    """The environment holds a value that cannot be used."""


class StoreLocked(PlutoError):
    """Another process owns the data directory."""

    def __init__(self, path: str) -> None:
        super().__init__(f"{path} is in use by another running instance; stop that one first")
        self.path = path


class StoreError(PlutoError):
    """The store cannot carry out a request. `path` is the database's directory, which no message for callers has."""

    def __init__(self, path: str, sentence: str) -> None:
        super().__init__(sentence)
        self.path = path


class StoreFull(StoreError):
    def __init__(self, path: str) -> None:
        super().__init__(path, "There is no space left on this service's disk, so this was not kept; free some first")


class StoreUnwritable(StoreError):
    def __init__(self, path: str, reason: str) -> None:
        super().__init__(path, f"The store cannot be used now, so nothing was changed ({reason}); try again later")


class StoreClosed(StoreUnwritable):
    """The service has stopped, or has not started yet."""

    def __init__(self, path: str) -> None:
        super().__init__(path, "it is not open")


class StoreDamaged(StoreUnwritable):
    """Damage found while the service runs; the next start repairs it."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(path, f"{reason}: a restart of the service repairs it")
        self.reason = reason


class StoreDirectoryGone(StoreUnwritable):
    """The database's directory was removed, unmounted or replaced while the service runs: writes to the files that
    LevelDB still has open are lost."""

    def __init__(self, path: str) -> None:
        super().__init__(path, "its directory was removed or replaced: bring it back, or restart the service")


class StoreBeyondRepair(StoreError):
    """The store cannot be repaired. Nothing was deleted."""

    def __init__(self, path: str, damage: str, obstacle: str) -> None:
        super().__init__(
            path,
            f"{path} is damaged ({damage}) and cannot be repaired ({obstacle}). It was left as it is: restore a backup "
            "(python -m app.backup restore FILE), or move it away to begin anew",
        )


class StoreTooNew(StoreError):
    def __init__(self, path: str, schema: object, known: int) -> None:
        super().__init__(
            path,
            f"{path} was written by a newer version of this service (schema {schema}, this one knows {known}). "
            "Nothing was changed: start that version, or restore a backup made before it",
        )


class BackupUnusable(PlutoError):
    """A file is not a backup, incomplete, or of a newer version."""


class SecretsForbidden(PlutoError):
    """The caller may not see passwords."""

    def __init__(self) -> None:
        super().__init__("A backup with passwords in it needs a control token: set API_TOKEN and send it as Bearer")


class Invalid(PlutoError):
    """The request is invalid. `details` maps a field to its problems."""

    def __init__(self, message: str, details: dict[str, list[str]] | None = None) -> None:
        super().__init__(message)
        self.details = details or {}


class AddressForbidden(Invalid):
    """The address is outside the networks in which devices may be contacted."""


class NotFound(PlutoError):
    """There is nothing with this id."""


class DeviceNotFound(NotFound):
    def __init__(self, mac: str) -> None:
        super().__init__("Device not found")
        self.mac = mac


class PresetNotFound(NotFound):
    def __init__(self, uuid: str) -> None:
        super().__init__("Preset not found")
        self.uuid = uuid


class EntryNotFound(NotFound):
    def __init__(self, mac: str, entry_id: str) -> None:
        super().__init__("Journal entry not found")
        self.mac = mac
        self.entry_id = entry_id


class MinerNotIgnored(NotFound):
    def __init__(self, mac: str) -> None:
        super().__init__(f"{mac} is not in the list of ignored miners")
        self.mac = mac


class JobNotFound(NotFound):
    def __init__(self, job_id: str) -> None:
        super().__init__("Job not found")
        self.job_id = job_id


class JobStateConflict(PlutoError):
    """The state of a job does not allow the request."""


class DevicesBusy(PlutoError):
    """Devices are in another job that is not over. `details`: which job, by MAC."""

    def __init__(self, jobs: dict[str, str]) -> None:
        super().__init__(f"{len(jobs)} of these devices are in another job: wait for it, or cancel it")
        self.details = {mac: [f"In job {job_id}."] for mac, job_id in jobs.items()}


class IdempotencyKeyReused(PlutoError):
    """An idempotency key was used again for another request."""

    def __init__(self, key: str) -> None:
        super().__init__("This Idempotency-Key was used for another request: choose a new one")
        self.key = key


class NothingToRegister(PlutoError):
    def __init__(self, macs: list[str]) -> None:
        super().__init__("No devices found for the provided MAC addresses")
        self.macs = macs


class DiscoveryFailed(PlutoError):
    """The configured discovery service gave no usable answer."""


class GrafanaError(PlutoError):
    """A call to Grafana failed. `reason` is a word for the metric and the log."""

    def __init__(self, reason: str, sentence: str) -> None:
        super().__init__(sentence)
        self.reason = reason


class GrafanaDown(GrafanaError):
    """Grafana cannot be reached, is too slow, broken, or is not Grafana; a retry may succeed."""


class GrafanaRefused(GrafanaError):
    """Grafana rejected the request; a retry needs a configuration change."""


class DashboardNotReady(GrafanaError):
    """One dashboard is not in its desired state yet; the others may be."""


class QueryError(PlutoError):
    """A PromQL query has no result. `error_type`: the word that Prometheus' API has for it."""

    error_type = "internal"


class InvalidQuery(QueryError):
    """The query or one of its parameters is invalid."""

    error_type = "bad_data"


class UnsupportedQuery(QueryError):
    """The query is valid PromQL, but the history cannot answer it. `construct`: the part of it, in the plural."""

    error_type = "execution"

    def __init__(self, construct: str) -> None:
        super().__init__(
            f"The history cannot answer queries with {construct}: change the query, or set PROMETHEUS_HOST to the URL "
            "of a Prometheus that can"
        )


class QueryTooLarge(QueryError):
    """The result would have too many points."""

    error_type = "execution"


class QueryTimeout(QueryError):
    """The evaluation took too long."""

    error_type = "timeout"


class HistoryOff(QueryError):
    """There is no history to answer from."""

    error_type = "unavailable"

    def __init__(self) -> None:
        super().__init__(
            "No history is recorded, so queries cannot be answered: enable it with the HISTORY_* settings, or set "
            "PROMETHEUS_HOST. If it is enabled, see GET /admin/store"
        )


class PrometheusDown(QueryError):
    """The configured Prometheus cannot be reached."""

    error_type = "unavailable"


class PrometheusTimeout(QueryError):
    """The configured Prometheus took too long."""

    error_type = "timeout"


class PrometheusBroken(QueryError):
    """The configured Prometheus sent no usable answer."""


class RetryLater(PlutoError):
    """The miner is busy, or the rate limit of the action is reached; `retry_after` is in seconds."""

    def __init__(self, message: str, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class DeviceError(PlutoError):
    """An exchange with a miner failed. `reason` is the label of the failure metric, one per class; `rejected`: the
    miner certainly did nothing, because it rejected the request or was not reached."""

    reason = "error"
    rejected = False


class DeviceUnreachable(DeviceError):
    reason = "unreachable"
    rejected = True


class DeviceForbidden(DeviceError):
    """The device's own address is outside the networks in which devices may be contacted."""

    reason = "forbidden"
    rejected = True


class DeviceTimeout(DeviceError):
    reason = "deadline"


class DeviceDropped(DeviceError):
    """The connection ended before the answer was complete."""

    reason = "dropped"


class DeviceTooLarge(DeviceError):
    reason = "too_large"


class DeviceBadPayload(DeviceError):
    """The answer is not that of a miner."""

    reason = "bad_payload"


class DeviceRedirected(DeviceError):
    reason = "redirect"
    rejected = True


class DeviceStatus(DeviceError):
    """The device answered with an HTTP status other than success. `body` is its text, redacted and cut;
    `retry_after`: seconds that it requested."""

    reason = "status"

    def __init__(self, status: int, body: str, retry_after: float = 0.0) -> None:
        super().__init__(f"The device answered with status {status}")
        self.status = status
        self.body = body
        self.retry_after = retry_after
        self.rejected = 400 <= status < 500


class DeviceRejected(DeviceStatus):
    """The device rejected a write. AxeOS ≥ 2.11 saves nothing of a request with one value that it does not accept."""

    def __init__(self, status: int, body: str) -> None:
        super().__init__(status, body)
        self.args = ("The miner refused the change and saved nothing of it",)


class UnsupportedCommand(DeviceError):
    """The device's firmware has no such command."""

    reason = "cannot"

    def __init__(self, command: str, since: str) -> None:
        super().__init__(f"This miner's firmware cannot {command}: that needs AxeOS {since} or newer")
        self.command = command


class DeviceLocked(DeviceError):
    """401 with a challenge: the device requires a login."""

    reason = "locked"
    rejected = True

    def __init__(self) -> None:
        super().__init__("The miner asks for a login. Turn its login off, or allow reading without one")


class DeviceRefused(DeviceError):
    """401 without a challenge: AxeOS answers so to addresses outside its private-network rule (is_network_allowed)."""

    reason = "refused"
    rejected = True

    def __init__(self) -> None:
        super().__init__(
            "The miner refuses this computer's address: it only answers private IPv4 networks "
            "(10/8, 172.16/12, 192.168/16). Reach it from such an address, not over a VPN or NAT"
        )


class LogReadersFull(DeviceError):
    """429: AxeOS from 2.10 on serves ten websockets."""

    reason = "log_readers_full"

    def __init__(self) -> None:
        super().__init__("The miner already serves as many log readers as its firmware allows; close one elsewhere")


class LogStreamTaken(DeviceError):
    """Firmware that serves one log reader gave our stream to another client, without a notice."""

    reason = "log_stream_taken"

    def __init__(self) -> None:
        super().__init__(
            "Another client reads this miner's log now, and its firmware serves only one. "
            "It is read here again after a new subscription, or after the miner restarts"
        )


class AllSettingsRefused(PlutoError):
    """The miner answered the write, but accepted none of the settings. `details`: the reasons by key."""

    def __init__(self, mac: str, details: dict[str, list[str]]) -> None:
        super().__init__("The miner took none of these settings")
        self.mac = mac
        self.details = details


class OneTimeCodeRequired(DeviceError):
    """NerdOS with one-time codes enabled requires one before any change (`OTP/Session required`)."""

    reason = "needs_code"

    def __init__(self) -> None:
        super().__init__(
            "This miner requires its one-time code before a change: disable the code on the miner, or change it there"
        )


class WrongMiner(DeviceError):
    """Another miner answers at the device's address."""

    reason = "wrong_miner"

    def __init__(self, expected: str, actual: str, address: str) -> None:
        super().__init__(f"{address} is now answered by {actual}, not by {expected}; looking for it")
        self.expected = expected
        self.actual = actual
        self.address = address


class MacNotReported(WrongMiner):
    """The device's answer lacks the MAC address that it used to report."""

    def __init__(self, expected: str, address: str) -> None:
        super().__init__(expected, "a miner without a MAC address", address)
        self.args = (
            f"{address} answers without a MAC address, but {expected} reported one before: it may be another miner. "
            "If its firmware was replaced by one that reports none, register it again (PUT /devices/imprint)",
        )


class DeviceInConflict(DeviceError):
    """Nothing is written to a device while another miner claims its MAC or address."""

    reason = "conflict"

    def __init__(self, mac: str, conflict: str) -> None:
        super().__init__(
            f"Nothing is written to {mac} while it is in conflict: {conflict}. Switch the other miner off, or register "
            "the right one again with its MAC and address (PUT /devices/imprint)"
        )
        self.mac = mac
