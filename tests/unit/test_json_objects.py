"""Redaction of secrets in a miner's answer (defects 27 and 35 of the Node backend)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import DeviceBadPayload
from app.redaction.json_objects import redact_object
from app.redaction.secret_words import is_secret_key

SECRETS = [
    "stratumPassword", "fallbackStratumPassword", "wifiPass", "wifiPassword", "wifi_passwd", "password", "PASSWORD",
    "Password1", "passphrase", "pwd",
    "wpaPsk", "psk", "secret", "clientSecret", "token", "accessToken", "access_token", "tokens", "apiKey", "api_key",
    "api-key", "apiKeys", "secretKey",
    "private_key", "privateKey2", "axeosPassword", "localWorkBitcoinRpcPassword", "otpSecret", "otp", "TOTP", "totp2",
]  # fmt: skip
NON_SECRETS = [
    "hostname", "ssid", "stratumUser", "stratumURL", "stratumCert", "stratumV2AuthorityPubkey", "macAddr", "power",
    "passwordless", "tokenizer", "keyboard",
    "publicKey", "secretary", "power_fault", "frequencyOptions", "isPSRAMAvailable", "authEnabled", "", "key",
    "otpEnabled", "passes", "wifiPassed",
]  # fmt: skip


@pytest.mark.parametrize("key", SECRETS)
def test_secret_keys_are_removed(key):
    assert is_secret_key(key)
    assert redact_object({key: "hunter2", "a": 1}) == {"a": 1}
    assert redact_object({key: 4711}) == {}
    assert redact_object({"pools": [{key: "hunter2", "id": 0}]}) == {"pools": [{"id": 0}]}


@pytest.mark.parametrize("key", [key for key in NON_SECRETS if key != "passes"])
def test_other_keys_are_kept(key):
    assert redact_object({key: "value"}) == {key: "value"}


def test_boolean_about_secret_is_kept():
    assert redact_object({"hasPassword": True, "usePsk": False}) == {"hasPassword": True, "usePsk": False}


NAMES = st.text(max_size=8) | st.sampled_from(SECRETS + NON_SECRETS)
BODIES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.just("hunter2"),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=30,
)


def find_secrets(value):
    if isinstance(value, dict):
        return [key for key, each in value.items() if is_secret_key(key) and not isinstance(each, bool)] + [
            found for each in value.values() for found in find_secrets(each)
        ]
    return [found for each in value for found in find_secrets(each)] if isinstance(value, list) else []


@given(st.dictionaries(NAMES, BODIES, max_size=6))
def test_generated_body_is_redacted_at_any_depth_without_side_effect(body):
    before = repr(body)
    cleaned = redact_object(body)
    assert find_secrets(cleaned) == []
    assert repr(body) == before
    assert repr(redact_object(cleaned)) == repr(cleaned)


@given(
    st.dictionaries(
        st.sampled_from(NON_SECRETS), st.integers() | st.text(max_size=5) | st.lists(st.integers(), max_size=3)
    )
)
def test_body_without_secrets_is_unchanged(body):
    assert redact_object(body) == body


@pytest.mark.parametrize("wrap", [lambda inner: {"a": inner}, lambda inner: [inner]])
@pytest.mark.parametrize(("depth", "is_accepted"), [(20, True), (100, False), (5000, False)])
def test_deeply_nested_body_is_rejected(wrap, depth, is_accepted):
    body = 1
    for _ in range(depth):
        body = wrap(body)
    if is_accepted:
        assert redact_object({"x": body})
    else:
        with pytest.raises(DeviceBadPayload):
            redact_object({"x": body})
