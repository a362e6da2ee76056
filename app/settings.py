"""Settings: read once from the environment, validated, frozen. Nothing else reads the environment.

The table at the end is the whole truth about what can be set; docs/settings.md lists the same rows and a test compares
them.
"""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from app.errors import SettingsError

GRAFANA_MODES = ("file", "api")
LOG_LEVELS = ("debug", "info", "warning", "error")
_URL_NEEDED = "a URL such as http://host:port is needed"
_PLAIN_URL = re.compile(r"(?:[a-z+]{1,10}:)?/{0,3}(?:[\w.-]+|\[[0-9a-f:.]*\])(?::\d{0,6})?(?:/[\w.-]*)*", re.IGNORECASE)
PRIVATE_NETWORKS = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")


@dataclass(frozen=True, slots=True)
class Settings:
    """Every field has the default of a home installation. Durations are seconds."""

    port: int = 3000
    bind: str = "127.0.0.1"
    data_dir: Path = Path("data")
    log_level: str = "info"
    auto_listen: bool = True
    poll_interval: float = 5.0
    offline_after_failures: int = 3
    persist_interval: float = 300.0
    delete_data_on_device_remove: bool = False
    log_files: bool = False
    log_file_megabytes: int = 5
    log_file_backups: int = 1
    auto_repair: bool = False
    metrics_legacy_names: bool = True
    allowed_device_networks: tuple[IPv4Network, ...] = tuple(IPv4Network(net) for net in PRIVATE_NETWORKS)
    discovery_service_host: str | None = None
    discovery_subnets: tuple[IPv4Network, ...] = ()
    discovery_ports: tuple[int, ...] = (80,)
    discovery_ttl: float = 7 * 86400.0
    neighbour_table: Path = Path("/proc/net/arp")
    mdns: bool = True
    mdns_interfaces: tuple[str, ...] = ()
    gf_host: str | None = None
    grafana_mode: str | None = None
    grafana_token: str | None = field(default=None, repr=False)
    grafana_token_file: Path | None = None
    grafana_user: str | None = None
    grafana_password: str | None = field(default=None, repr=False)
    grafana_password_file: Path | None = None
    grafana_dashboards_dir: Path = Path("grafana/dashboards")
    publish_dashboards: bool = True
    allowed_hosts: tuple[str, ...] = ()
    allowed_origins: tuple[str, ...] = ()
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...] = ()
    api_token: str | None = field(default=None, repr=False)
    api_token_file: Path | None = None
    api_token_read: str | None = field(default=None, repr=False)
    api_token_read_file: Path | None = None
    writes_per_second: int = 10

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> Settings:
        """Raises SettingsError naming the variable, its value and what would be right. Empty means unset."""
        given = {name: environ[name.upper()].strip() for name in PARSERS if environ.get(name.upper(), "").strip()}
        settings = cls(**{name: _parse(name, text) for name, text in given.items()})
        _require_different_tokens(settings)
        return settings


def from_environment() -> Settings:
    """Those of this process, for programs beside the service. Raises SettingsError."""
    return Settings.from_environ(os.environ)


def _parse(name: str, text: str) -> Any:
    try:
        return PARSERS[name](text)
    except ValueError as error:
        shown = f"{name.upper()}={text!r}" if _may_be_shown(PARSERS[name], text) else name.upper()
        raise SettingsError(f"{shown} cannot be used: {error}") from None


def _may_be_shown(parser: Callable[[str], Any], text: str) -> bool:
    """A URL may hold a password, and one that cannot be parsed may hold it anywhere: only plain ones are shown."""
    if parser in (_url, _origins):
        return all(_PLAIN_URL.fullmatch(item) for item in _items(text))
    return parser not in (_secret, _token)


def _require_different_tokens(settings: Settings) -> None:
    """Raise SettingsError where the token that may only read is the one that may do everything."""
    control = secret(settings.api_token, settings.api_token_file)
    if control is not None and control == secret(settings.api_token_read, settings.api_token_read_file):
        raise SettingsError("API_TOKEN_READ cannot be used: it is the same as API_TOKEN, so it would not only read")


def _integer(low: int, high: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not re.fullmatch(r"\d{1,9}", text) or not low <= int(text) <= high:
            raise ValueError(f"a whole number from {low} to {high} is needed")
        return int(text)

    return parse


def _seconds(low: float, high: float) -> Callable[[str], float]:
    def parse(text: str) -> float:
        if not re.fullmatch(r"\d{1,9}(\.\d+)?", text) or not low <= float(text) <= high:
            raise ValueError(f"seconds from {low:g} to {high:g} are needed")
        return float(text)

    return parse


def _boolean(text: str) -> bool:
    known = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}
    if text.lower() not in known:
        raise ValueError("true or false is needed")
    return known[text.lower()]


def _level(text: str) -> str:
    if text.lower() not in LOG_LEVELS:
        raise ValueError(f"one of {', '.join(LOG_LEVELS)} is needed")
    return text.lower()


def _ip(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        raise ValueError("an IP address is needed") from None


def _url(text: str) -> str:
    """A base URL, path allowed, without the trailing slash."""
    try:
        parts = urlsplit(text)
        parts.port  # noqa: B018  (raises ValueError when it is no port, and quotes what it is)
    except ValueError:
        raise ValueError(_URL_NEEDED) from None
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise ValueError(_URL_NEEDED)
    return text.rstrip("/")


def _grafana_mode(text: str) -> str:
    if text.lower() not in GRAFANA_MODES:
        raise ValueError(f"one of {', '.join(GRAFANA_MODES)} is needed")
    return text.lower()


def _user(text: str) -> str:
    """It becomes a header."""
    if not re.fullmatch(r"[^\x00-\x1f\x7f:]{1,190}", text):
        raise ValueError("a user name without colons and control characters is needed")
    return text


def _secret(text: str) -> str:
    """Never shown. One line: it becomes a header."""
    if not re.fullmatch(r"[^\x00-\x1f\x7f]{1,1024}", text):
        raise ValueError("one line of text is needed")
    return text


def _secret_file(text: str) -> Path:
    """A file that holds one secret; read when it is used."""
    try:
        _secret(Path(text).read_text().strip())
    except OSError:
        raise ValueError("a readable file is needed") from None
    return Path(text)


def _token(text: str) -> str:
    """Never shown. Callers send it in a header; one that is short could be guessed."""
    if not re.fullmatch(r"[\x21-\x7e]{16,1024}", text):
        raise ValueError("16 or more characters without spaces are needed, such as `openssl rand -hex 32` prints")
    return text


def _token_file(text: str) -> Path:
    """The same, in a file; read when it is used."""
    _token(_secret_file(text).read_text().strip())
    return Path(text)


def secret(given: str | None, file: Path | None) -> str | None:
    """The secret itself, from the variable or from its `_FILE`; the file wins."""
    return file.read_text().strip() if file else given


def _items(text: str) -> list[str]:
    return [item.strip() for item in text.split(",") if item.strip()]


def _networks(text: str) -> tuple[IPv4Network, ...]:
    try:
        return tuple(IPv4Network(item, strict=False) for item in _items(text))
    except ValueError:
        raise ValueError("IPv4 networks such as 192.168.1.0/24, separated by commas, are needed") from None


def _subnets(text: str) -> tuple[IPv4Network, ...]:
    networks = _networks(text)
    if any(network.prefixlen < 16 for network in networks):
        raise ValueError("a scan covers at most a /16 at a time")
    return networks


def _proxies(text: str) -> tuple[IPv4Network | IPv6Network, ...]:
    try:
        networks = tuple(ipaddress.ip_network(item, strict=False) for item in _items(text))
    except ValueError:
        raise ValueError("addresses or networks such as 10.21.0.0/16, separated by commas, are needed") from None
    if any(network.prefixlen == 0 for network in networks):
        raise ValueError("whoever trusts everybody's headers believes anything")
    return networks


def _ports(text: str) -> tuple[int, ...]:
    """`80,8101-8112` → the ports, each once, in order."""
    ports: dict[int, None] = {}
    for item in _items(text):
        first, _, last = item.partition("-")
        if not (first.isdigit() and (last or first).isdigit() and 1 <= int(first) <= int(last or first) <= 65535):
            raise ValueError("ports such as 80 or 8101-8112, separated by commas, are needed")
        ports.update(dict.fromkeys(range(int(first), int(last or first) + 1)))
    if not 1 <= len(ports) <= 256:
        raise ValueError("1 to 256 ports are needed")
    return tuple(ports)


def _hosts(text: str) -> tuple[str, ...]:
    hosts = tuple(item.lower() for item in _items(text))
    if not all(re.fullmatch(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?", host) for host in hosts):
        raise ValueError("host names without scheme and port, separated by commas, are needed")
    return hosts


def _origins(text: str) -> tuple[str, ...]:
    origins = tuple(_url(item) for item in _items(text))
    if any(urlsplit(origin).path for origin in origins):
        raise ValueError("origins such as https://miners.example.org, separated by commas, are needed")
    return origins


def _addresses(text: str) -> tuple[str, ...]:
    return tuple(_ip(item) for item in _items(text))


PARSERS: dict[str, Callable[[str], Any]] = {
    "port": _integer(1, 65535),
    "bind": _ip,
    "data_dir": Path,
    "log_level": _level,
    "auto_listen": _boolean,
    "poll_interval": _seconds(1, 3600),
    "offline_after_failures": _integer(1, 100),
    "persist_interval": _seconds(1, 86400),
    "delete_data_on_device_remove": _boolean,
    "log_files": _boolean,
    "log_file_megabytes": _integer(1, 1024),
    "log_file_backups": _integer(1, 20),
    "auto_repair": _boolean,
    "metrics_legacy_names": _boolean,
    "allowed_device_networks": _networks,
    "discovery_service_host": _url,
    "discovery_subnets": _subnets,
    "discovery_ports": _ports,
    "discovery_ttl": _seconds(60, 366 * 86400),
    "neighbour_table": Path,
    "mdns": _boolean,
    "mdns_interfaces": _addresses,
    "gf_host": _url,
    "grafana_mode": _grafana_mode,
    "grafana_token": _secret,
    "grafana_token_file": _secret_file,
    "grafana_user": _user,
    "grafana_password": _secret,
    "grafana_password_file": _secret_file,
    "grafana_dashboards_dir": Path,
    "publish_dashboards": _boolean,
    "allowed_hosts": _hosts,
    "allowed_origins": _origins,
    "trusted_proxies": _proxies,
    "api_token": _token,
    "api_token_file": _token_file,
    "api_token_read": _token,
    "api_token_read_file": _token_file,
    "writes_per_second": _integer(1, 10_000),
}

assert set(PARSERS) == {field.name for field in fields(Settings)}  # noqa: S101
