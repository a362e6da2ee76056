"""The settings of the service. They are read once from the environment, validated, and never change.

Each field of `Settings` is one environment variable, whose name is that of the field in upper case. The field declares
its type, default, parser, example and meaning; `python -m tools.settings_table` writes the table of docs/settings.md
from them. No other module of app/ reads the environment. gunicorn's master imports this module, so it must stay small.
"""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import Field, dataclass, field, fields
from functools import partial
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from app.errors import SettingsError

T = TypeVar("T")

PRIVATE_NETWORKS = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")
_PLAIN_URL = r"(?i)(?:[a-z+]{1,10}:)?/{0,3}(?:[\w.-]+|\[[0-9a-f:.]*\])(?::\d{0,6})?(?:/[\w.-]*)*"
_BOOLEANS = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}


def parse_integer(low: int, high: int, text: str) -> int:
    if not re.fullmatch(r"\d{1,9}", text) or not low <= int(text) <= high:
        raise ValueError(f"a whole number from {low} to {high} is needed")
    return int(text)


def parse_seconds(low: int, high: int, text: str) -> float:
    if not re.fullmatch(r"\d{1,9}(\.\d+)?", text) or not low <= float(text) <= high:
        raise ValueError(f"seconds from {low} to {high} are needed")
    return float(text)


def parse_boolean(text: str) -> bool:
    if text.lower() not in _BOOLEANS:
        raise ValueError("true or false is needed")
    return _BOOLEANS[text.lower()]


def parse_choice(choices: tuple[str, ...], text: str) -> str:
    if text.lower() not in choices:
        raise ValueError(f"one of {', '.join(choices)} is needed")
    return text.lower()


def match_pattern(pattern: str, reason: str, text: str) -> str:
    """Return the text if all of it matches. Raises: ValueError with the reason."""
    if not re.fullmatch(pattern, text):
        raise ValueError(reason)
    return text


# These three are sent in HTTP headers, so they hold no control characters.
parse_user = partial(
    match_pattern, r"[^\x00-\x1f\x7f:]{1,190}", "a user name without colons and control characters is needed"
)
parse_secret = partial(match_pattern, r"[^\x00-\x1f\x7f]{1,1024}", "one line of text is needed")
parse_token = partial(
    match_pattern,
    r"[\x21-\x7e]{16,1024}",
    "16 or more characters without spaces are needed, such as those that `openssl rand -hex 32` prints",
)


def parse_secret_file(parse_content: Callable[[str], str], text: str) -> Path:
    """Return the path of a file after a check of its content, which is read again when it is used."""
    try:
        content = Path(text).read_text()
    except OSError:
        raise ValueError("a readable file is needed") from None
    parse_content(content.strip())
    return Path(text)


def parse_ip(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        raise ValueError("an IP address is needed") from None


def parse_url(text: str) -> str:
    """Return a base URL, which may have a path, without its trailing slash."""
    try:
        parts = urlsplit(text)
        is_base = parts.scheme in ("http", "https") and parts.hostname and not parts.query and not parts.fragment
        parts.port  # noqa: B018  (it raises a ValueError that quotes the invalid port, which may be part of a password)
    except ValueError:
        is_base = False
    if not is_base:
        raise ValueError("a URL such as http://host:port is needed")
    return text.rstrip("/")


def parse_list(parse_item: Callable[[str], T], needed: str, text: str) -> tuple[T, ...]:
    try:
        return tuple(parse_item(item) for item in split_list(text))
    except ValueError:
        raise ValueError(f"{needed}, separated by commas, are needed") from None


def split_list(text: str) -> list[str]:
    return [item.strip() for item in text.split(",") if item.strip()]


def parse_networks(text: str) -> tuple[IPv4Network, ...]:
    return parse_list(partial(IPv4Network, strict=False), "IPv4 networks such as 192.168.1.0/24", text)


def parse_subnets(text: str) -> tuple[IPv4Network, ...]:
    networks = parse_networks(text)
    if any(network.prefixlen < 16 for network in networks):
        raise ValueError("networks of at most a /16 each are needed, because every address in them is scanned")
    return networks


def parse_proxies(text: str) -> tuple[IPv4Network | IPv6Network, ...]:
    parse_network = partial(ipaddress.ip_network, strict=False)
    networks = parse_list(parse_network, "addresses or networks such as 10.21.0.0/16", text)
    if any(network.prefixlen == 0 for network in networks):
        raise ValueError("the addresses of the proxies are needed: with a /0 any client could forge its own address")
    return networks


def parse_ports(text: str) -> tuple[int, ...]:
    """Return the ports of a list such as `80,8101-8112`, each once, in the order of the list."""
    ports: dict[int, None] = {}
    for item in split_list(text):
        first, _, last = item.partition("-")
        if not (first.isdigit() and (last or first).isdigit() and 1 <= int(first) <= int(last or first) <= 65535):
            raise ValueError("ports such as 80 or 8101-8112, separated by commas, are needed")
        ports.update(dict.fromkeys(range(int(first), int(last or first) + 1)))
    if not 1 <= len(ports) <= 256:
        raise ValueError("1 to 256 ports are needed")
    return tuple(ports)


def parse_hosts(text: str) -> tuple[str, ...]:
    parse_host = partial(match_pattern, r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?", "a host name is needed")
    return parse_list(parse_host, "host names without scheme and port", text.lower())


def parse_origins(text: str) -> tuple[str, ...]:
    origins = parse_list(parse_url, "origins such as https://miners.example.org", text)
    if any(urlsplit(origin).path for origin in origins):
        raise ValueError("origins without a path, such as https://miners.example.org, are needed")
    return origins


def can_show_text(parse: Callable[[str], Any], text: str) -> bool:
    """Return False if the text of a variable may hold a secret.

    A URL may hold a password, in any place if it cannot be parsed, so only URLs in a plain form are shown.
    """
    if parse in (parse_url, parse_origins):
        return all(re.fullmatch(_PLAIN_URL, item) for item in split_list(text))
    return parse not in (parse_secret, parse_token)


def setting(default: T, parse: Callable[[str], T], example: str, meaning: str, *, unset: str = "none") -> T:
    """Declare one field of `Settings`. `unset` describes a default of None or () in docs/settings.md.

    The declared return type is that of the field, so mypy compares it with the default and with the parser.
    """
    metadata = {"parse": parse, "example": example, "meaning": meaning, "unset": unset}
    return field(default=default, repr=parse not in (parse_secret, parse_token), metadata=metadata)


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of one process. The defaults are for a home installation. Durations are in seconds."""

    # fmt: off
    port: int = setting(3000, partial(parse_integer, 1, 65535), "8080",
        "Port of the REST API, Socket.IO, the metrics and the page")
    bind: str = setting("127.0.0.1", parse_ip, "0.0.0.0", "Address to listen on; the image sets `0.0.0.0`")
    data_dir: Path = setting(Path("data"), Path, "/var/lib/pluto",
        "Directory of all data. It is created with mode 0700; an existing directory keeps its mode. `pluto_core`, "
        "`pluto_discovery` and `logs` in it are readable by their owner only")
    log_level: str = setting("info", partial(parse_choice, ("debug", "info", "warning", "error")), "warning",
        "`debug`, `info`, `warning` or `error`; the log is one JSON object per line on stderr")
    web_dir: Path = setting(Path("app/static"), Path, "/opt/pluto/web",
        "Directory of the built web interface; if there is none in it, `/` shows a plain table")
    auto_listen: bool = setting(True, parse_boolean, "false",
        "Monitor every registered (imprinted) miner from the start, and each new one when it is registered")
    poll_interval: float = setting(5.0, partial(parse_seconds, 1, 3600), "10",
        "How often a miner is polled; a poll ends before the next one is due")
    offline_after_failures: int = setting(3, partial(parse_integer, 1, 100), "2",
        "Failed polls in a row after which a miner is offline; before that it is stale")
    persist_interval: float = setting(900.0, partial(parse_seconds, 1, 86400), "60",
        "How often the last readings are written to disk; the history is written every four minutes, and changes by a "
        "user at once")
    delete_data_on_device_remove: bool = setting(False, parse_boolean, "true",
        "When a miner is deleted, delete its discovery record, its Grafana dashboard, its history and its events too")
    history_raw_hours: int = setting(1, partial(parse_integer, 0, 24), "2",
        "Hours for which the history keeps every poll; 0 disables this tier. If all three are 0, nothing is recorded")
    history_1m_days: int = setting(7, partial(parse_integer, 0, 366), "30",
        "Days for which the history keeps one sample per minute; 0 disables this tier")
    history_15m_days: int = setting(365, partial(parse_integer, 0, 3660), "730",
        "Days for which the history keeps one sample per 15 minutes; 0 disables this tier")
    history_event_days: int = setting(400, partial(parse_integer, 1, 3660), "100",
        "How many days events are kept")
    history_events_per_device: int = setting(20_000, partial(parse_integer, 10, 1_000_000), "5000",
        "How many events are kept per miner; the oldest are deleted first")
    log_files: bool = setting(False, parse_boolean, "true",
        "Read the logs of all monitored miners continuously and keep them in `DATA_DIR/logs/<MAC>.log`")
    log_file_megabytes: int = setting(5, partial(parse_integer, 1, 1024), "20",
        "Size at which the log file of a miner is rotated")
    log_file_backups: int = setting(1, partial(parse_integer, 1, 20), "3",
        "How many rotated log files are kept per miner")
    auto_repair: bool = setting(False, parse_boolean, "true",
        "Restore settings that were changed on a miner by other means, once per change and at most once an hour; never "
        "after overheating. Restarts the miner if its firmware needs that")
    metrics_legacy_names: bool = setting(True, parse_boolean, "false",
        "Export metrics under the names of the Node backend too, such as `<hostname>_power_watts`, beside "
        "`pluto_device_*`")
    allowed_device_networks: tuple[IPv4Network, ...] = setting(
        tuple(IPv4Network(network) for network in PRIVATE_NETWORKS), parse_networks, "192.168.1.0/24",
        "The only networks in which miners are contacted, whichever client asks for it")
    discovery_service_host: str | None = setting(None, parse_url, "http://discovery:3000",
        "URL of the Node backend's discovery service; if unset, the built-in scanner is used")
    discovery_subnets: tuple[IPv4Network, ...] = setting((), parse_subnets, "192.168.1.0/24,10.0.5.0/24",
        "Networks that are scanned for miners; if unset, the private networks of this machine's interfaces, at most a "
        "/22 of each", unset="the networks of this machine")
    discovery_ports: tuple[int, ...] = setting((80,), parse_ports, "80,8101-8112",
        "Ports on which miners are looked for; ranges are allowed, 256 ports at most")
    discovery_ttl: float = setting(7 * 86400.0, partial(parse_seconds, 60, 366 * 86400), "86400",
        "How long a discovered miner is remembered (7 days)")
    neighbour_table: Path = setting(Path("/proc/net/arp"), Path, "/run/arp",
        "ARP table of the kernel, for the MAC addresses of miners whose firmware does not report them")
    mdns: bool = setting(True, parse_boolean, "false",
        "Listen for miners that announce themselves by mDNS (AxeOS 2.15 and later)")
    mdns_interfaces: tuple[str, ...] = setting((), partial(parse_list, parse_ip, "IP addresses"), "192.168.1.5",
        "Addresses of this machine on which to listen for mDNS", unset="the addresses of this machine")
    gf_host: str | None = setting(None, parse_url, "http://grafana:3000",
        "URL of the Grafana in which dashboards are created and published, with or without the path `/grafana`; if "
        "unset, none are created")
    grafana_mode: str | None = setting(None, partial(parse_choice, ("file", "api")), "api",
        "`api` or `file`: how dashboards get into Grafana; if unset, `api` with a token or password, else `file`",
        unset="depends on the credentials")
    grafana_token: str | None = setting(None, parse_secret, "glsa_0123abcd", "Token of a Grafana service account")
    grafana_token_file: Path | None = setting(None, partial(parse_secret_file, parse_secret),
        "/run/secrets/grafana_token", "File that holds the token; used instead of `GRAFANA_TOKEN` if both are set")
    grafana_user: str | None = setting(None, parse_user, "pluto",
        "User for the password, or for the header of an authenticating proxy")
    grafana_password: str | None = setting(None, parse_secret, "correct-horse", "Password of that user")
    grafana_password_file: Path | None = setting(None, partial(parse_secret_file, parse_secret),
        "/run/secrets/grafana_password",
        "File that holds the password; used instead of `GRAFANA_PASSWORD` if both are set")
    grafana_dashboards_dir: Path = setting(Path("grafana/dashboards"), Path, "/var/lib/grafana/pluto",
        "Directory in which dashboards are written in `file` mode, from which Grafana provisions them")
    publish_dashboards: bool = setting(True, parse_boolean, "false",
        "Make each dashboard public, so that the frontend can show it without a login")
    prometheus_host: str | None = setting(None, parse_url, "http://prometheus:9090",
        "URL of a Prometheus that scrapes this service and answers the queries of `/prometheus`; a path is allowed. If "
        "unset, they are answered from the history")
    allowed_hosts: tuple[str, ...] = setting((), parse_hosts, "pluto.example.com",
        "Host names that requests may use, beside IP addresses, `localhost`, names without a dot and `*.local`")
    allowed_origins: tuple[str, ...] = setting((), parse_origins, "https://dash.example.com",
        "Origins of other sites whose pages may use the service from a browser")
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...] = setting((), parse_proxies, "172.28.7.3,10.21.0.0/16",
        "Addresses or networks of the reverse proxies whose `X-Forwarded-For` and `X-Forwarded-Proto` are trusted")
    api_token: str | None = setting(None, parse_token, "0d6ba1c92bb04f6e9d3c",
        "Token for all requests, at least 16 characters; if set, requests without a token get `/healthz`, `/readyz` "
        "and the files of the web interface only (see SECURITY.md)")
    api_token_file: Path | None = setting(None, partial(parse_secret_file, parse_token), "/run/secrets/api_token",
        "File that holds the token; used instead of `API_TOKEN` if both are set")
    api_token_read: str | None = setting(None, parse_token, "5b1f0c7e2a9d4483b6ee",
        "Token for requests that only read, for Prometheus and panels; must differ from `API_TOKEN`")
    api_token_read_file: Path | None = setting(None, partial(parse_secret_file, parse_token),
        "/run/secrets/api_token_read", "File that holds the token; used instead of `API_TOKEN_READ` if both are set")
    writes_per_second: int = setting(10, partial(parse_integer, 1, 10_000), "50",
        "Rate limit for the changes of one client; a burst of 200, or of two per known miner, passes at once")
    # fmt: on

    @classmethod
    def from_environ(cls, environ: Mapping[str, str] = os.environ) -> Settings:
        """Read the settings from environment variables. An empty variable counts as unset.

        Raises: SettingsError, which names the variable, its text unless that may hold a secret, and the allowed values.
        """
        texts = {name: environ.get(name, "").strip() for name in VARIABLES}
        settings = cls(**{name.lower(): parse_variable(name, text) for name, text in texts.items() if text})
        control = read_secret(settings.api_token, settings.api_token_file)
        if control is not None and control == read_secret(settings.api_token_read, settings.api_token_read_file):
            raise SettingsError("API_TOKEN_READ cannot be used: it is the same as API_TOKEN, so it would not only read")
        return settings


VARIABLES: dict[str, Field[Any]] = {each.name.upper(): each for each in fields(Settings)}
"""The fields of `Settings` by the names of their environment variables."""


def parse_variable(name: str, text: str) -> Any:
    parse = VARIABLES[name].metadata["parse"]
    try:
        return parse(text)
    except ValueError as error:
        shown = f"{name}={text!r}" if can_show_text(parse, text) else name
        raise SettingsError(f"{shown} cannot be used: {error}") from None


def read_secret(value: str | None, file: Path | None) -> str | None:
    """Return a secret from its `_FILE` if there is one, else the value of its variable."""
    return file.read_text().strip() if file else value
