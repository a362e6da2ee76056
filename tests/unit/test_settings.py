"""app/settings.py: the texts that each variable accepts, and the one-line errors for all others."""

from dataclasses import FrozenInstanceError
from ipaddress import IPv4Network, ip_network
from pathlib import Path

import pytest

from app.errors import SettingsError
from app.settings import VARIABLES, Settings, read_secret

ACCEPTED = {
    "PORT": {"3000": 3000, "1": 1, "65535": 65535, " 8080 ": 8080},
    "BIND": {"0.0.0.0": "0.0.0.0", "::1": "::1"},
    "DATA_DIR": {"/data": Path("/data"), "x/y": Path("x/y")},
    "LOG_LEVEL": {"DEBUG": "debug", "warning": "warning"},
    "WEB_DIR": {"/opt/pluto/web": Path("/opt/pluto/web")},
    "AUTO_LISTEN": {"true": True, "FALSE": False, "0": False, "1": True, "yes": True, "off": False},
    "POLL_INTERVAL": {"5": 5.0, "1": 1.0, "2.5": 2.5, "3600": 3600.0},
    "OFFLINE_AFTER_FAILURES": {"3": 3, "1": 1, "100": 100},
    "PERSIST_INTERVAL": {"300": 300.0, "86400": 86400.0},
    "DELETE_DATA_ON_DEVICE_REMOVE": {"true": True},
    "HISTORY_RAW_HOURS": {"0": 0, "24": 24},
    "HISTORY_1M_DAYS": {"0": 0, "366": 366},
    "HISTORY_15M_DAYS": {"0": 0, "3660": 3660},
    "HISTORY_EVENT_DAYS": {"1": 1, "3660": 3660},
    "HISTORY_EVENTS_PER_DEVICE": {"10": 10, "1000000": 1_000_000},
    "LOG_FILES": {"on": True},
    "LOG_FILE_MEGABYTES": {"1": 1, "1024": 1024},
    "LOG_FILE_BACKUPS": {"1": 1, "20": 20},
    "AUTO_REPAIR": {"1": True},
    "METRICS_LEGACY_NAMES": {"false": False},
    "ALLOWED_DEVICE_NETWORKS": {
        "10.0.0.0/8": (IPv4Network("10.0.0.0/8"),),
        "192.168.1.7/24, 127.0.0.0/8": (IPv4Network("192.168.1.0/24"), IPv4Network("127.0.0.0/8")),
        "100.64.0.1": (IPv4Network("100.64.0.1/32"),),
    },
    "DISCOVERY_SERVICE_HOST": {
        "http://discovery:8080": "http://discovery:8080",
        "https://a.b/path/": "https://a.b/path",
    },
    "DISCOVERY_SUBNETS": {
        "192.168.0.0/22": (IPv4Network("192.168.0.0/22"),),
        "10.1.0.0/16": (IPv4Network("10.1.0.0/16"),),
    },
    "DISCOVERY_PORTS": {"80": (80,), "80,8101-8103": (80, 8101, 8102, 8103), "8101-8102, 80,8101": (8101, 8102, 80)},
    "DISCOVERY_TTL": {"604800": 604800.0, "60": 60.0},
    "NEIGHBOUR_TABLE": {"/proc/net/arp": Path("/proc/net/arp")},
    "MDNS": {"no": False},
    "MDNS_INTERFACES": {"127.0.0.1": ("127.0.0.1",), "10.0.0.1,10.0.0.2": ("10.0.0.1", "10.0.0.2")},
    "GF_HOST": {"http://grafana:3000/grafana/": "http://grafana:3000/grafana"},
    "GRAFANA_MODE": {"file": "file", "API": "api"},
    "GRAFANA_TOKEN": {"glsa_1": "glsa_1"},
    "GRAFANA_USER": {"the user": "the user"},
    "GRAFANA_PASSWORD": {"a: b": "a: b"},
    "GRAFANA_DASHBOARDS_DIR": {"/srv/grafana": Path("/srv/grafana")},
    "PUBLISH_DASHBOARDS": {"off": False},
    "PROMETHEUS_HOST": {"http://prometheus:9090/prom/": "http://prometheus:9090/prom"},
    "ALLOWED_HOSTS": {"Pluto.Example.com, b": ("pluto.example.com", "b")},
    "ALLOWED_ORIGINS": {"https://pluto.example.com/": ("https://pluto.example.com",)},
    "TRUSTED_PROXIES": {
        "172.28.7.3": (IPv4Network("172.28.7.3/32"),),
        "10.21.0.0/16, fd00::/8": (IPv4Network("10.21.0.0/16"), ip_network("fd00::/8")),
    },
    "API_TOKEN": {"0123456789abcdef": "0123456789abcdef"},
    "API_TOKEN_READ": {"0123456789abcdef": "0123456789abcdef"},
    "WRITES_PER_SECOND": {"10": 10, "10000": 10_000},
}
# variable → (the reason in the error, texts)
REJECTED = {
    "PORT": ("number from 1 to 65535 is", ["0", "65536", "-1", "http", "3000.5", "0x50", "99999999999"]),
    "BIND": ("an IP address is", ["localhost", "1.2.3", "0.0.0.0:80"]),
    "LOG_LEVEL": ("one of debug, info, warning, error is", ["loud", "5"]),
    "AUTO_LISTEN": ("true or false is", ["maybe", "2", "tru"]),
    "POLL_INTERVAL": ("from 1 to 3600 are", ["0", "0.5", "-5", "NaN", "inf", "1e3", "5s", "3601"]),
    "OFFLINE_AFTER_FAILURES": ("number from 1 to 100 is", ["0", "101", "3.5", "three"]),
    "PERSIST_INTERVAL": ("from 1 to 86400 are", ["0", "86401", "x"]),
    "HISTORY_RAW_HOURS": ("number from 0 to 24 is", ["25", "-1", "1h"]),
    "HISTORY_15M_DAYS": ("number from 0 to 3660 is", ["3661", "1y"]),
    "DELETE_DATA_ON_DEVICE_REMOVE": ("true or false is", ["delete"]),
    "METRICS_LEGACY_NAMES": ("true or false is", ["old"]),
    "ALLOWED_DEVICE_NETWORKS": (
        "IPv4 networks such as",
        ["10.0.0.0/33", "local", "fe80::/10", "10.0.0.0/8;192.168.0.0/16"],
    ),
    "DISCOVERY_SERVICE_HOST": ("a URL such as", ["discovery:8080", "ftp://x", "http://", "http://x:99999"]),
    "DISCOVERY_SUBNETS": ("networks", ["10.0.0.0/8", "0.0.0.0/0", "x"]),
    "DISCOVERY_PORTS": ("ports", ["0", "65536", "90-80", "80-90-100", "http", "-80", "1-1000", ","]),
    "DISCOVERY_TTL": ("from 60 to 31622400 are", ["59", "x"]),
    "MDNS": ("true or false is", ["sometimes"]),
    "MDNS_INTERFACES": ("IP addresses", ["eth0", "10.0.0.0/8"]),
    "GRAFANA_MODE": ("one of file, api is", ["http"]),
    "GRAFANA_USER": ("a user name", ["a:b", "x" * 191]),
    "ALLOWED_HOSTS": ("host names without scheme and port", ["http://x", "x:80", "-x", "a_b"]),
    "ALLOWED_ORIGINS": ("origins", ["https://x/path", "x"]),
    "TRUSTED_PROXIES": ("addresses", ["*", "nginx", "0.0.0.0/0", "::/0", "10.0.0.1/33", "10.0.0.1;10.0.0.2"]),
    "WRITES_PER_SECOND": ("number from 1 to 10000 is", ["0", "-1", "1.5", "10001"]),
}
VALID_TOKENS = ["0123456789abcdef", "a" * 64, "p4$$-w0rd/with+signs==", "x" * 1024]
INVALID_TOKENS = [
    "short",
    "a" * 15,
    "with a space in it",
    "tab\tin the middle",
    "é" * 16,
    "x" * 1025,
    "line\nbreak" * 3,
]


def read_variable(name, text):
    return getattr(Settings.from_environ({name: text}), name.lower())


def read_error(name, text):
    with pytest.raises(SettingsError) as error:
        Settings.from_environ({name: text})
    assert "\n" not in str(error.value)
    return str(error.value)


def test_every_variable_has_an_accepted_text_here():
    """Variables for files are tested with files, below."""
    assert list(ACCEPTED) == [name for name in VARIABLES if not name.endswith("_FILE")]


@pytest.mark.parametrize(("name", "text"), [(name, text) for name in ACCEPTED for text in ACCEPTED[name]])
def test_valid_text_is_parsed(name, text):
    assert read_variable(name, text) == ACCEPTED[name][text]


@pytest.mark.parametrize(("name", "text"), [(name, text) for name in REJECTED for text in REJECTED[name][1]])
def test_error_names_variable_text_and_reason(name, text):
    # A URL that may hold a password is not shown.
    start = f"{name}={text!r} cannot be used: "
    assert read_error(name, text).startswith(start)
    assert REJECTED[name][0] in read_error(name, text).removeprefix(start)


@pytest.mark.parametrize("text", ["", " ", "\t"])
@pytest.mark.parametrize("name", VARIABLES)
def test_empty_text_counts_as_unset(name, text):
    """Docker Compose passes a variable that is not set as an empty text."""
    assert Settings.from_environ({name: text}) == Settings()


def test_defaults():
    settings = Settings.from_environ({})
    assert (settings.port, settings.bind, settings.data_dir) == (3000, "127.0.0.1", Path("data"))
    assert (settings.poll_interval, settings.offline_after_failures, settings.persist_interval) == (5, 3, 900)
    assert settings.auto_listen and settings.metrics_legacy_names and not settings.delete_data_on_device_remove
    assert settings.discovery_ports == (80,)
    assert [str(net) for net in settings.allowed_device_networks] == ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"]


def test_other_variables_are_ignored_and_settings_are_frozen():
    settings = Settings.from_environ({"PATH": "/bin", "port": "1", "PORTS": "x"})
    assert settings == Settings()
    with pytest.raises(FrozenInstanceError):
        settings.port = 1


@pytest.mark.parametrize("name", ["API_TOKEN", "API_TOKEN_READ"])
def test_tokens_are_long_and_never_shown(name):
    for text in VALID_TOKENS:
        assert read_variable(name, text) == text
        assert text not in repr(Settings.from_environ({name: text}))
    for text in INVALID_TOKENS:
        assert read_error(name, text).startswith(f"{name} cannot be used: 16 or more characters")
        assert text not in read_error(name, text)


@pytest.mark.parametrize("name", ["GRAFANA_TOKEN", "GRAFANA_PASSWORD"])
def test_grafana_secrets_are_never_shown(name):
    assert "hunter22" not in repr(Settings.from_environ({name: "hunter22"}))
    assert read_error(name, "hunter22\n.") == f"{name} cannot be used: one line of text is needed"


@pytest.mark.parametrize("name", [name for name in VARIABLES if name.endswith("_FILE")])
def test_secret_files_are_trimmed_and_validated_like_the_variable(name, tmp_path):
    file = tmp_path / "token"
    for text in VALID_TOKENS:
        file.write_text(f" {text}\n")
        assert read_variable(name, str(file)) == file
        assert read_secret(None, file) == read_secret("something else", file) == text
    for text in ["", "\n", "line\nbreak" * 3, *(INVALID_TOKENS if name.startswith("API_") else [])]:
        file.write_text(text)
        assert not text.strip() or text not in read_error(name, str(file))
        assert "needed" in read_error(name, str(file))
    assert read_error(name, str(tmp_path / "none")).endswith("cannot be used: a readable file is needed")


@pytest.mark.parametrize("name", ["GF_HOST", "DISCOVERY_SERVICE_HOST", "ALLOWED_ORIGINS"])
@pytest.mark.parametrize(
    "url",
    [
        "ftp://admin:hunter22@grafana", "http://admin:hunter22@grafana?x=1", "http://admin:hunter22@grafana:99999",
        "admin:hunter22@grafana:3000", "http://admin:hunter22/x@grafana?x", "http://admin:hunter22@x@grafana#x",
        "http://admin:hunter22", "http://grafana/?token=hunter22",
        "http://admin:hunter22,x@grafana?x", "http://admin:hunter22[@grafana", "http://a:hunter22#@grafana",
    ],
)  # fmt: skip
def test_password_of_an_invalid_url_is_not_shown(name, url):
    assert "hunter22" not in read_error(name, url)
    assert read_error(name, url).startswith(name)


@pytest.mark.parametrize("control", ["API_TOKEN", "API_TOKEN_FILE"])
@pytest.mark.parametrize("read", ["API_TOKEN_READ", "API_TOKEN_READ_FILE"])
def test_equal_tokens_are_rejected(tmp_path, control, read):
    token = "0123456789abcdef"
    file = tmp_path / "token"
    file.write_text(f"{token}\n")
    given = {name: str(file) if name.endswith("_FILE") else token for name in (control, read)}
    with pytest.raises(SettingsError, match="the same as API_TOKEN") as error:
        Settings.from_environ(given)
    assert "\n" not in str(error.value)
    assert token not in str(error.value)
