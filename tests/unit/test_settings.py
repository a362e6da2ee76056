"""The environment, variable by variable: what is taken, and the one line that says what is wrong."""

from dataclasses import FrozenInstanceError, fields
from ipaddress import IPv4Network, ip_network
from pathlib import Path

import pytest

from app.errors import SettingsError
from app.settings import PARSERS, Settings, secret

NET = IPv4Network
GOOD = {
    "PORT": [("3000", 3000), ("1", 1), ("65535", 65535), (" 8080 ", 8080)],
    "BIND": [("0.0.0.0", "0.0.0.0"), ("::1", "::1")],
    "DATA_DIR": [("/data", Path("/data")), ("x/y", Path("x/y"))],
    "LOG_LEVEL": [("DEBUG", "debug"), ("warning", "warning")],
    "AUTO_LISTEN": [("true", True), ("FALSE", False), ("0", False), ("1", True), ("yes", True), ("off", False)],
    "POLL_INTERVAL": [("5", 5.0), ("1", 1.0), ("2.5", 2.5), ("3600", 3600.0)],
    "OFFLINE_AFTER_FAILURES": [("3", 3), ("1", 1), ("100", 100)],
    "PERSIST_INTERVAL": [("300", 300.0), ("86400", 86400.0)],
    "DELETE_DATA_ON_DEVICE_REMOVE": [("true", True)],
    "METRICS_LEGACY_NAMES": [("false", False)],
    "ALLOWED_DEVICE_NETWORKS": [
        ("10.0.0.0/8", (NET("10.0.0.0/8"),)),
        ("192.168.1.7/24, 127.0.0.0/8", (NET("192.168.1.0/24"), NET("127.0.0.0/8"))),
        ("100.64.0.1", (NET("100.64.0.1/32"),)),
    ],
    "DISCOVERY_SERVICE_HOST": [
        ("http://discovery:8080", "http://discovery:8080"),
        ("https://a.b/path/", "https://a.b/path"),
    ],
    "DISCOVERY_SUBNETS": [("192.168.0.0/22", (NET("192.168.0.0/22"),)), ("10.1.0.0/16", (NET("10.1.0.0/16"),))],
    "DISCOVERY_PORTS": [
        ("80", (80,)),
        ("80,8101-8103", (80, 8101, 8102, 8103)),
        ("8101-8102, 80,8101", (8101, 8102, 80)),
    ],
    "DISCOVERY_TTL": [("604800", 604800.0), ("60", 60.0)],
    "NEIGHBOUR_TABLE": [("/proc/net/arp", Path("/proc/net/arp"))],
    "MDNS": [("no", False)],
    "MDNS_INTERFACES": [("127.0.0.1", ("127.0.0.1",)), ("10.0.0.1,10.0.0.2", ("10.0.0.1", "10.0.0.2"))],
    "ALLOWED_HOSTS": [("pluto.example.com", None)],
    "ALLOWED_ORIGINS": [("https://pluto.example.com", None)],
    "TRUSTED_PROXIES": [
        ("172.28.7.3", (NET("172.28.7.3/32"),)),
        ("10.21.0.0/16, fd00::/8", (NET("10.21.0.0/16"), ip_network("fd00::/8"))),
    ],
    "WRITES_PER_SECOND": [("10", 10), ("10000", 10_000)],
}
BAD = {
    "PORT": ["0", "65536", "-1", "http", "3000.5", "0x50", "99999999999"],
    "BIND": ["localhost", "1.2.3", "0.0.0.0:80"],
    "LOG_LEVEL": ["loud", "5"],
    "AUTO_LISTEN": ["maybe", "2", "tru"],
    "POLL_INTERVAL": ["0", "0.5", "-5", "NaN", "inf", "1e3", "5s", "3601"],
    "OFFLINE_AFTER_FAILURES": ["0", "101", "3.5", "three"],
    "PERSIST_INTERVAL": ["0", "86401", "x"],
    "DELETE_DATA_ON_DEVICE_REMOVE": ["delete"],
    "METRICS_LEGACY_NAMES": ["old"],
    "ALLOWED_DEVICE_NETWORKS": ["10.0.0.0/33", "local", "fe80::/10", "10.0.0.0/8;192.168.0.0/16"],
    "DISCOVERY_SERVICE_HOST": ["discovery:8080", "ftp://x", "http://", "http://x:99999"],
    "DISCOVERY_SUBNETS": ["10.0.0.0/8", "0.0.0.0/0", "x"],
    "DISCOVERY_PORTS": ["0", "65536", "90-80", "80-90-100", "http", "-80", "1-1000", ","],
    "DISCOVERY_TTL": ["59", "x"],
    "MDNS": ["sometimes"],
    "MDNS_INTERFACES": ["eth0", "10.0.0.0/8"],
    "TRUSTED_PROXIES": ["*", "nginx", "0.0.0.0/0", "::/0", "10.0.0.1/33", "10.0.0.1;10.0.0.2"],
    "WRITES_PER_SECOND": ["0", "-1", "1.5", "10001"],
}


def test_every_variable_is_tried_here():
    """Those of issues to come are tried where they are used."""
    assert {*GOOD} <= {name.upper() for name in PARSERS}
    assert {name.upper() for name in PARSERS} == {field.name.upper() for field in fields(Settings)}


@pytest.mark.parametrize(("name", "text", "value"), [(name, *case) for name, cases in GOOD.items() for case in cases])
def test_what_is_taken(name, text, value):
    read = getattr(Settings.from_environ({name: text}), name.lower())
    assert read == value if value is not None else read


@pytest.mark.parametrize(("name", "text"), [(name, text) for name, texts in BAD.items() for text in texts])
def test_what_is_wrong_is_said_in_one_line(name, text):
    with pytest.raises(SettingsError) as error:
        Settings.from_environ({name: text})
    line = str(error.value)
    assert line.startswith(f"{name}={text!r} cannot be used: ")
    assert "\n" not in line
    assert len(line) > len(f"{name}={text!r} cannot be used: ") + 10


@pytest.mark.parametrize("text", ["", " ", "\t"])
@pytest.mark.parametrize("name", GOOD)
def test_empty_means_unset(name, text):
    """compose passes variables that nobody set as empty text."""
    assert Settings.from_environ({name: text}) == Settings()


def test_the_defaults_are_those_of_a_home():
    settings = Settings.from_environ({})
    assert (settings.port, settings.bind, settings.data_dir) == (3000, "127.0.0.1", Path("data"))
    assert (settings.poll_interval, settings.offline_after_failures, settings.persist_interval) == (5, 3, 300)
    assert (settings.auto_listen, settings.metrics_legacy_names, settings.delete_data_on_device_remove) == (
        True,
        True,
        False,
    )
    assert settings.discovery_ports == (80,)
    assert [str(net) for net in settings.allowed_device_networks] == ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"]


def test_others_variables_do_not_matter_and_nothing_changes_later():
    settings = Settings.from_environ({"PATH": "/bin", "port": "1", "PORTS": "x"})
    assert settings == Settings()
    with pytest.raises(FrozenInstanceError):
        settings.port = 1


GOOD_TOKENS = ["0123456789abcdef", "a" * 64, "p4$$-w0rd/with+signs==", "x" * 1024]
BAD_TOKENS = ["short", "a" * 15, "with a space in it", "tab\tin the middle", "é" * 16, "x" * 1025, "line\nbreak" * 3]


@pytest.mark.parametrize("name", ["API_TOKEN", "API_TOKEN_READ"])
def test_tokens_are_long_and_never_shown(name, tmp_path):
    for text in GOOD_TOKENS:
        assert getattr(Settings.from_environ({name: text}), name.lower()) == text
        assert text not in repr(Settings.from_environ({name: text}))
    for text in BAD_TOKENS:
        with pytest.raises(SettingsError) as error:
            Settings.from_environ({name: text})
        assert str(error.value).startswith(f"{name} cannot be used: 16 or more characters")
        assert text not in str(error.value)


@pytest.mark.parametrize("name", ["API_TOKEN_FILE", "API_TOKEN_READ_FILE"])
def test_tokens_in_files_are_trimmed_and_judged_alike(name, tmp_path):
    file = tmp_path / "token"
    for text in GOOD_TOKENS:
        file.write_text(f" {text}\n")
        assert getattr(Settings.from_environ({name: str(file)}), name.lower()) == file
        assert secret(None, file) == secret("something else", file) == text
    for text in ["", "\n", *BAD_TOKENS]:
        file.write_text(text)
        with pytest.raises(SettingsError) as error:
            Settings.from_environ({name: str(file)})
        assert not text.strip() or text not in str(error.value)
    with pytest.raises(SettingsError, match="a readable file is needed"):
        Settings.from_environ({name: str(tmp_path / "none")})


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
def test_the_password_of_an_invalid_url_is_not_shown(name, url):
    with pytest.raises(SettingsError) as error:
        Settings.from_environ({name: url})
    assert "hunter22" not in str(error.value)
    assert str(error.value).startswith(name)


@pytest.mark.parametrize("control", ["API_TOKEN", "API_TOKEN_FILE"])
@pytest.mark.parametrize("read", ["API_TOKEN_READ", "API_TOKEN_READ_FILE"])
def test_equal_tokens_refuse_the_start_in_one_line(tmp_path, control, read):
    token = "0123456789abcdef"
    file = tmp_path / "token"
    file.write_text(f"{token}\n")
    given = {name: str(file) if name.endswith("_FILE") else token for name in (control, read)}
    with pytest.raises(SettingsError, match="the same as API_TOKEN") as error:
        Settings.from_environ(given)
    assert "\n" not in str(error.value)
    assert token not in str(error.value)
