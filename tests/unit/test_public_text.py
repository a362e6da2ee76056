"""Redaction of a report that is posted in public."""

import pytest

from app.redaction.miner_text import REDACTED
from app.redaction.public_text import PublicRedactor, list_private_texts

WALLET = "bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq"
MAC = "02:00:5e:11:22:33"
redactor = PublicRedactor([f"{WALLET}.garage-rig", "Smith Family"], [MAC])


@pytest.mark.parametrize(
    "text",
    [
        WALLET,
        WALLET.upper(),
        f"user {WALLET}.rig",
        "bc1qar0srrr7...",
        "...9gtzzwf5mdq x lydnw9re59gt",
        "1BoatSLRHtKNngkdXEeobR76b53LETtpyT",
        "0x52908400098527886E0F7030069857D2E4169EE7",
        "joined SMITH family",
        "mail me@example.org now",
        "garage-rig",
        "stratum+tcp://me:hush@pool.example:3333",
        "mac 02005e112233 here",
        "0200.5e11.2233",
        "wifi password: hush me",
        "fe80::1ff:fe23:4567:890a",
        "2001:db8:1:2:3:4:5:6",
    ],
)
def test_private_text_is_redacted(text):
    shown = redactor.redact_text(text).lower()
    parts = ("bc1q", "gtzz", "9re5", "boat", "5290", "smith", "example.org", "garage", "hush", "e112233", "11.2233",
             "fe23", "db8")  # fmt: skip
    assert not [part for part in parts if part in shown], shown


def test_macs_and_addresses_are_shortened_alike():
    shown = redactor.redact_text(f"{MAC} {MAC.upper().replace(':', '-')} 192.168.1.23:80 192.168.1.23 8.8.4.4 02:14:05")
    assert shown == "02:00:5e:xx:xx:33 02-00-5E-xx-xx-33 192.x.x.23:80 192.x.x.23 x.x.x.x 02:14:05"


@pytest.mark.parametrize(
    "text",
    [
        "v2.12.2",
        "BM1370 at 525 MHz, 1,150 mV",
        "2026-11-28T02:14:05.123Z I (12345) stratum_task: rejected (high-hash) 3 times",
        "01a20000-0000-7000-8000-000000000001",
        "pool.example:3333",
        "expectedHashrateGhs",
        "The miner did not answer: connection timed out.",
        "std::string at 0x40380d5e",
    ],
)
def test_harmless_text_stays(text):
    assert redactor.redact_text(text) == text


def test_values_of_private_keys_are_redacted_at_any_depth():
    private = {
        "stratumUser": "me",
        "ssid": "home",
        "wifiPass": 5,
        "pools": [{"stratumUser": "deep", "stratumPort": 3333}],
        "rows": [{"key": "stratumUser", "value": "row", "actual": "old", "type": "text"}],
        f"of {MAC}": 1,
    }
    assert PublicRedactor([]).redact_value(private) == {
        "stratumUser": REDACTED,
        "ssid": REDACTED,
        "wifiPass": REDACTED,
        "pools": [{"stratumUser": REDACTED, "stratumPort": 3333}],
        "rows": [{"key": "stratumUser", "value": REDACTED, "actual": REDACTED, "type": "text"}],
        "of 02:00:5e:xx:xx:33": 1,
    }


def test_flags_empty_values_and_other_rows_stay():
    harmless = {"hasPassword": True, "stratumUser": "", "ssid": None, "rows": [{"key": "frequency", "value": 525}]}
    assert redactor.redact_value(harmless) == harmless


def test_private_texts_are_found_at_any_depth():
    assert list_private_texts({"a": [{"stratumUser": "x"}], "ssid": "y", "port": "z", "otp": 5}) == ["y", "x"]
