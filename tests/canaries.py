"""Canaries: unique texts in the place of passwords, and a miner that has them in all its answers."""

from __future__ import annotations

import gzip
import re
import secrets
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import gevent
import orjson
from answer_mutations import BODIES
from fakes import ScriptedServer, reset_connection
from hostile_miner import frame_response
from log_helpers import accept_websocket

CANARY_PATTERN = re.compile(r"cnry\d{4}[0-9a-f]{8}")


class Canaries:
    """Creates canaries, each for a named place, and finds the places of those in a text."""

    def __init__(self) -> None:
        self._places: dict[str, str] = {}

    def make_canary(self, place: str) -> str:
        word = f"cnry{len(self._places):04d}{secrets.token_hex(4)}"
        self._places[word] = place
        return word

    def make_number(self, place: str) -> int:
        """Create a canary that is a number."""
        number = 7 * 10**17 + secrets.randbelow(10**17)
        self._places[str(number)] = place
        return number

    def find_places(self, text: str | bytes) -> set[str]:
        """Return the places of the canaries in the text."""
        raw = text if isinstance(text, bytes) else text.encode(errors="replace")
        return {place for word, place in self._places.items() if word.encode() in raw}


def iterate_bodies(data: bytes) -> Iterable[bytes]:
    """Yield the data of a response or a file, and its unpacked content if it is compressed."""
    yield data
    if data[:2] == b"\x1f\x8b":
        yield gzip.decompress(data)


def iterate_files(folder: Path) -> Iterable[tuple[Path, bytes]]:
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            yield path, path.read_bytes()


class SecretLeakingMiner(ScriptedServer):
    """A miner whose answers hold a secret in each place where one could be; it applies all settings.

    `like`: the recorded answer whose fields it has. `failures`: answers that replace its own, by (method, path).
    """

    def __init__(self, mac: str, canaries: Canaries, like: str = "AxeOS 2.12", version: str = "v2.14.2") -> None:
        super().__init__(self._serve_connection)
        self.mac = mac
        self.canaries = canaries
        self.settings: dict[str, Any] = {}
        self.failures: dict[tuple[str, str], bytes] = {}
        self.received: list[tuple[str, str, bytes]] = []
        self.heads: list[bytes] = []
        named = {"macAddr": mac.upper(), "hostname": f"told-{mac[-2:]}", "version": version, "miningPaused": 0}
        self._info = {**BODIES[like], **named, **self._make_secrets()}

    @property
    def address(self) -> str:
        return f"{self.host}:{self.port}"

    def _make_secrets(self) -> dict[str, Any]:
        new, number = self.canaries.make_canary, self.canaries.make_number
        return {
            "stratumPassword": new("info.stratumPassword"),
            "fallbackStratumPassword": new("info.fallbackStratumPassword"),
            "wifiPass": new("info.wifiPass"),
            "wifiPassword": new("info.wifiPassword"),
            "wifi_passwd": new("info.wifi_passwd"),
            "WPAPSK": new("info.WPAPSK"),
            "apiKey": new("info.apiKey"),
            "api-key2": new("info.api-key2"),
            "token": number("info.token (a number)"),
            "otp": new("info.otp"),
            "otpSecret": new("info.otpSecret"),
            "hostnamePassword": new("info.hostnamePassword"),
            "axeosPassword": new("info.axeosPassword"),
            "localWorkBitcoinRpcPassword": new("info.localWorkBitcoinRpcPassword"),
            "passwords": [new("info.passwords[]"), new("info.passwords[]")],
            "privateKeys": {"rsa": new("info.privateKeys.rsa")},
            "cloud": {"auth": {"client_secret": new("info.cloud.auth.client_secret"), "region": "eu"}},
            "accounts": [{"name": "a", "pwd": new("info.accounts[].pwd")}, [{"psk1": new("info.accounts[][].psk1")}]],
            "poolList": [{"id": 0, "stratumURL": "pool.example", "stratumPassword": new("info.poolList[]")}],
            "hasPassword": True,
        }

    def info(self) -> dict[str, Any]:
        return {**self._info, **self.settings}

    def make_log_lines(self, where: str) -> list[str]:
        """Return log lines with secrets, as ESP-Miner prints them and as other firmware might."""
        new = self.canaries.make_canary
        user, password = new(f"{where}: the user of authorize"), new(f"{where}: the password of authorize")
        submitter = new(f"{where}: the user of submit")
        return [
            f'I (100) stratum_api: tx: {{"id":1,"method":"mining.authorize","params":["{user}","{password}"]}}',
            f'I (101) stratum_api: tx: {{"id": 2, "method": "mining.submit", "params": ["{submitter}", "j", "00"]}}',
            f"W (102) wifi: connecting with password: {new(f'{where}: a keyed password')}",
            f'I (103) http: {{"wifiPass":"{new(f"{where}: a password as JSON")}","ssid":"home"}}',
            f"I (104) http: GET /api/ws?auth={new(f'{where}: a token in a query')}",
            f"I (105) pool: stratum+tcp://user:{new(f'{where}: a password in an URL')}@pool.example:3333",
            f"E (106) main: api_key={new(f'{where}: an API key')}",
            "I (107) main: nothing to hide",
        ]

    def make_error_body(self, where: str) -> bytes:
        """Return an error body with secrets, as careless firmware might send it."""
        deep = {"token": self.canaries.make_canary(where), "otp": self.canaries.make_canary(where)}
        return orjson.dumps({"error": "bad", "wifiPass": self.canaries.make_canary(where), "deep": deep})

    def _serve_connection(self, opened: Any) -> None:
        while request := self._read_request(opened):
            method, path, body, raw = request
            self.received.append((method, path, body))
            self.heads.append(raw)
            if path == "/api/ws":
                self._stream_log(opened, raw)
                return
            answer = self.failures.get((method, path)) or self._answer(method, path, body)
            if not answer:
                reset_connection(opened)
                return
            opened.sendall(answer)

    def _read_request(self, opened: Any) -> tuple[str, str, bytes, bytes] | None:
        data = b""
        while b"\r\n\r\n" not in data:
            chunk = opened.recv(65536)
            if not chunk:
                return None
            data += chunk
        head, _, body = data.partition(b"\r\n\r\n")
        found = re.search(rb"(?i)content-length: (\d+)", head)
        while len(body) < int(found[1] if found else 0):
            body += opened.recv(65536)
        method, path, _ = head.split(b"\r\n")[0].decode().split(" ", 2)
        return method, path.partition("?")[0], body, head + b"\r\n\r\n"

    def _answer(self, method: str, path: str, body: bytes) -> bytes:
        cookie = b"Set-Cookie: session=" + self.canaries.make_canary("a header").encode()
        if (method, path) == ("GET", "/api/system/info"):
            return frame_response(orjson.dumps(self.info()), cookie)
        if (method, path) == ("GET", "/api/system/asic"):
            options = {"frequencyOptions": [400, 525, 550], "voltageOptions": [1100, 1150, 1200]}
            return frame_response(
                orjson.dumps({**options, "apiToken": self.canaries.make_canary("asic.apiToken")}), cookie
            )
        if (method, path) == ("GET", "/api/system/logs"):
            return frame_response("\n".join(self.make_log_lines("the miner's own log")).encode() + b"\n", cookie)
        if (method, path) == ("PATCH", "/api/system"):
            sent: Mapping[str, Any] = orjson.loads(body)
            for pool in sent.get("pools", []):
                self.settings |= {key: value for key, value in pool.items() if key != "id"}
            self.settings |= sent
            return frame_response(b"", cookie)
        if method == "POST":
            text = f"Done; password={self.canaries.make_canary(f'the answer to {path}')}"
            return frame_response(
                orjson.dumps({"message": text, "token": self.canaries.make_canary(f"the answer to {path}")}), cookie
            )
        return frame_response(self.make_error_body(f"404 of {path}"), status=b"404 Not Found")

    def _stream_log(self, opened: Any, request: bytes) -> None:
        opened.sendall(accept_websocket(request))
        while True:
            for line in self.make_log_lines("the log stream"):
                text = f"\x1b[0;32m{line}\x1b[0m\n".encode()
                opened.sendall(bytes((0x81, 126)) + len(text).to_bytes(2) + text)
            gevent.sleep(0.3)
