"""A miner as seen over the network: its answers as our types, foreign errors as ours."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from weakref import WeakValueDictionary

import orjson
from gevent.event import AsyncResult
from gevent.lock import BoundedSemaphore

from app.clock import Clock
from app.errors import (
    DeviceBadPayload,
    DeviceCannot,
    DeviceDropped,
    DeviceError,
    DeviceLocked,
    DeviceNeedsCode,
    DeviceRedirected,
    DeviceRefused,
    DeviceRejected,
    DeviceStatus,
    DeviceTimeout,
)
from app.miners.address import Address
from app.miners.dialects import dialect_of, is_miner
from app.miners.exchange_log import LoggedConnection, MacAt
from app.miners.fields import known_fields
from app.miners.http import CONNECT_SECONDS, Reply
from app.miners.log_redaction import MAX_QUOTABLE, quotable
from app.miners.mac import canonical_mac
from app.miners.options import Board, board_from_asic
from app.miners.redaction import clean_info, redact, secret_texts
from app.models import Reading
from app.throttle import yield_if_due

INFO = "/api/system/info"
ASIC = "/api/system/asic"
RESTART = "/api/system/restart"
LOGS = "/api/system/logs"
SYSTEM = "/api/system"
# Timeouts of device calls: each bounds the whole call, from the connection to the last byte.
READ_DEADLINE_SECONDS = 4.0
COMMAND_SECONDS = 10.0
LOGS_SECONDS = 20.0
MAX_LOGS = 640 * 1024
MAX_WRITE = 10240
# A string, also one without an end, or a number that JSON cannot express. The possessive quantifiers and the
# alternative for the missing end keep it linear: the body comes from a stranger.
_STRING_OR_NON_FINITE = re.compile(
    r'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)|(?<![\w.+-])[+-]?(?:nan|inf(?:inity)?)(?![\w.+-])',
    re.DOTALL | re.IGNORECASE,
)
# What a miner answers to a command: a JSON value or a text.
Answer = Any
# Commands without a body, and the AxeOS that brought them. NerdOS has none of them.
COMMANDS = {"identify": "2.12", "pause": "2.14", "resume": "2.14"}


class Miner:
    """One address, one connection, one call at a time. It does not know which device it should be; whoever asks checks
    the MAC."""

    def __init__(
        self,
        address: Address,
        check: Callable[[Address], object],
        clock: Clock,
        connect_seconds: float,
        mac_at: MacAt = lambda address: None,
    ) -> None:
        self.address = address
        self._connection = LoggedConnection(address, check, connect_seconds, mac_at)
        self._clock = clock
        self._slot = BoundedSemaphore(1)
        self._keep = False

    @contextmanager
    def slot(self, patience: float | None = None) -> Iterator[bool]:
        """The right to talk to the miner; False when somebody else still has it after `patience` seconds (0: ask
        once)."""
        taken = self._slot.acquire(blocking=patience != 0, timeout=patience)
        try:
            yield taken
        finally:
            if taken:
                self._slot.release()

    def info(self, deadline: float, *, keep: bool = False, only_known: bool = False) -> Reading:
        """Return the miner's present answer. `keep` holds the connection open for a command that follows at once;
        `only_known` drops what means nothing to us. Raises DeviceError."""
        reply = self._connection.request("GET", INFO, deadline=deadline, keep=keep or self._keep)
        reading = _reading(reply, self._clock, only_known=only_known)
        self._keep = dialect_of(reading.info).keep_alive
        return reading

    def asic(self, deadline: float) -> Board:
        """Return model, chip count and options of /api/system/asic. Raises DeviceError where the path is unknown."""
        return board_from_asic(parse_object(self._connection.request("GET", ASIC, deadline=deadline, keep=self._keep)))

    def restart(self) -> Answer:
        """Return what the miner answered. It answers, sleeps a second and resets, so a connection that dies once the
        request is out is success."""
        try:
            return _answer(self._connection.request("POST", RESTART, deadline=COMMAND_SECONDS, keep=False))
        except DeviceDropped:
            return ""

    def write(self, body: Mapping[str, Any]) -> None:
        """PATCH /api/system, on the connection on which `info` was just read. The answer (an empty text/html 200) says
        nothing; only reading back does. Raises DeviceError: DeviceNeedsCode where NerdOS asks for its one-time code,
        DeviceRejected for a 400."""
        secrets = secret_texts(body)
        message = orjson.dumps(body)
        reply = self._connection.request("PATCH", SYSTEM, message, deadline=COMMAND_SECONDS, keep=True)
        if reply.status == 401 and b"OTP" in reply.body:
            raise DeviceNeedsCode
        if reply.status == 400:
            raise DeviceRejected(reply.status, _text(reply, secrets))
        _require_success(reply, secrets)

    def command(self, name: str) -> Answer:
        """POST /api/system/<name>, one of COMMANDS. Return what the miner answered. Raises DeviceError: DeviceCannot
        for firmware that does not know it, which answers 404 (AxeOS ≥ 2.15), 405, or sends to its page."""
        try:
            return _answer(
                self._connection.request("POST", f"{SYSTEM}/{name}", deadline=COMMAND_SECONDS, keep=self._keep)
            )
        except DeviceRedirected:
            raise DeviceCannot(name, COMMANDS[name]) from None
        except DeviceStatus as error:
            if error.status in (404, 405):
                raise DeviceCannot(name, COMMANDS[name]) from None
            raise

    def logs(self) -> bytes:
        """Its log of the past (AxeOS ≥ 2.14: a ring of 512 KB that survives a restart), secrets and all."""
        reply = self._connection.request("GET", LOGS, deadline=LOGS_SECONDS, keep=True, limit=MAX_LOGS)
        _require_success(reply)
        return reply.body

    def allow_connect_seconds(self, seconds: float) -> None:
        self._connection.connect_seconds = seconds

    def settle(self) -> None:
        """After a command: firmware that purges no sockets (AxeOS before 2.10) must not be left holding ours."""
        if not self._keep:
            self.close()

    def close(self) -> None:
        """Ends the connection and whatever waits on it. The next call opens another."""
        self._connection.close()


class Miners:
    """The one Miner of each address, for as long as somebody holds it: polls, commands and scans share its slot."""

    def __init__(self, check: Callable[[Address], object], clock: Clock, mac_at: MacAt = lambda address: None) -> None:
        self._check = check
        self._clock = clock
        self._mac_at = mac_at
        self._by_address: WeakValueDictionary[Address, Miner] = WeakValueDictionary()
        self._probes: dict[Address, AsyncResult[Reading]] = {}

    def at(self, address: Address) -> Miner:
        miner = self._by_address.get(address)
        if miner is None:
            miner = self._by_address[address] = Miner(address, self._check, self._clock, CONNECT_SECONDS, self._mac_at)
        miner.allow_connect_seconds(CONNECT_SECONDS)  # it may be a probe's, which allows less
        return miner

    def probe(self, address: Address, *, connect_seconds: float = 1.0, deadline: float = 3.0) -> Reading:
        """Ask an address once whether it is a miner; leave no connection behind. Those who ask at the same time share
        one request and its answer. Raises DeviceError when it is none."""
        shared = self._probes.get(address)
        if shared is None:
            shared = self._probes[address] = AsyncResult()
            try:
                shared.set(self._probe(address, connect_seconds, deadline))
            except DeviceError as error:
                shared.set_exception(error)
            except BaseException:
                shared.set_exception(DeviceDropped("The probe was ended"))
                raise
            finally:
                del self._probes[address]
        reading: Reading = shared.get()
        return reading

    def _probe(self, address: Address, connect_seconds: float, deadline: float) -> Reading:
        held = self._by_address.get(address)
        miner = held or Miner(address, self._check, self._clock, connect_seconds, self._mac_at)
        self._by_address[address] = miner  # a command or a poll that comes meanwhile waits for the same slot
        with miner.slot(deadline) as free:
            if not free:
                raise DeviceTimeout(f"{address} is busy")
            try:
                return miner.info(deadline, only_known=True)
            finally:
                if held is None:
                    miner.close()


def _reading(reply: Reply, clock: Clock, *, only_known: bool) -> Reading:
    yield_if_due()  # a scan may have many large answers ready at once
    body = parse_object(reply)
    info = clean_info(known_fields(body) if only_known else body)
    if not is_miner(info):
        raise DeviceBadPayload("The answer is not a miner's")
    return Reading(info, canonical_mac(info.get("macAddr")), clock.now(), clock.moment())


def parse_object(reply: Reply) -> Mapping[str, Any]:
    """The JSON object of a successful answer. The content type is not judged: old firmware says text/html."""
    _require_success(reply)
    raw = reply.body.removeprefix(b"\xef\xbb\xbf")
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError:
        body = _parse_tolerantly(raw)
    if not isinstance(body, dict):
        raise DeviceBadPayload("The answer is not a JSON object")
    return body


def _parse_tolerantly(raw: bytes) -> Any:
    """Parse an answer with invalid UTF-8 or bare `nan` and `inf`, which become null. Raises DeviceBadPayload."""
    try:
        return orjson.loads(_STRING_OR_NON_FINITE.sub(_null_unless_string, raw.decode(errors="replace")))
    except orjson.JSONDecodeError:
        raise DeviceBadPayload("The answer is not JSON") from None


def _null_unless_string(match: re.Match[str]) -> str:
    return match[0] if match[0].startswith('"') else "null"


def _require_success(reply: Reply, secrets: Sequence[str] = ()) -> None:
    if reply.status == 401:
        raise DeviceLocked if "www-authenticate" in reply.headers else DeviceRefused
    if 300 <= reply.status < 400:
        raise DeviceRedirected("The device redirects elsewhere, which is not followed")
    if not 200 <= reply.status < 300:
        raise DeviceStatus(reply.status, _text(reply, secrets), _retry_after(reply))


def _retry_after(reply: Reply) -> float:
    """Seconds; 0 where it names none. A date is passed over: a miner does not know the time."""
    stated = reply.headers.get("retry-after", "") if reply.status in (429, 503) else ""
    return float(stated) if stated.isdecimal() and len(stated) < 10 else 0.0


def _answer(reply: Reply) -> Answer:
    """Return a command's answer without secrets: the text of `message` (AxeOS since 2.13), else the JSON value as it
    is, else plain text (AxeOS before 2.13, NerdOS)."""
    _require_success(reply)
    if len(reply.body) > MAX_QUOTABLE:
        return _text(reply)
    try:
        body = orjson.loads(reply.body)
        if isinstance(body, dict) and isinstance(body.get("message"), str):
            return quotable(body["message"])
        return _without_secrets(redact({"answer": body})["answer"])
    except (orjson.JSONDecodeError, DeviceBadPayload):
        return _text(reply)


def _without_secrets(value: Any) -> Any:
    """Redact the texts of a JSON value, whose secret keys are gone already."""
    if isinstance(value, dict):
        return {quotable(key): _without_secrets(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_without_secrets(each) for each in value]
    return quotable(value) if isinstance(value, str) else value


def _text(reply: Reply, secrets: Sequence[str] = ()) -> str:
    """`secrets`: what the request held, which the miner may quote."""
    return quotable(reply.body[:MAX_QUOTABLE].decode(errors="replace"), secrets)
