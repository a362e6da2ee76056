"""Redaction of log lines: user and password of a stratum request, and any value after a key that names a secret, in any
notation."""

import json
import time
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.miners.log_lines import LineAssembler
from app.redaction.miner_text import LineRedactor, redact_excerpt, redact_values

USER, PASSWORD = "bc1qCANARYUSER.worker", "CANARY pass\\word"


def redact_lines(*lines):
    redactor = LineRedactor()
    return [redactor.redact_line(line) for line in lines]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (
            'tx: {"id":3,"method":"mining.authorize","params":["bc1q.rig","x"]}',
            'tx: {"id":3,"method":"mining.authorize","params":["[redacted]","[redacted]"]}',
        ),
        (
            'tx: {"id":3,"method":"mining.submit","params":["bc1q.rig","6f2a","04000000"]}',
            'tx: {"id":3,"method":"mining.submit","params":["[redacted]","6f2a","04000000"]}',
        ),
        (
            'tx: { "params" : [ "bc1q.rig" , "x" ] , "method" : "mining.authorize" }',
            'tx: { "params" : [ "[redacted]" , "[redacted]" ] , "method" : "mining.authorize" }',
        ),
        (
            '{"method":"mining.authorize","params":["a\\"b","c\\\\"]} and more',
            '{"method":"mining.authorize","params":["[redacted]","[redacted]"]} and more',
        ),
        ('{"method":"mining.authorize","params":[]}', '{"method":"mining.authorize","params":[]}'),
        ('{"stratumPassword":"x","a":1}', '{"stratumPassword":"[redacted]","a":1}'),
        ('{"wifiPass": "x y", "apiKey":7,"b":2}', '{"wifiPass": "[redacted]", "apiKey":[redacted],"b":2}'),
        ('{"hasPassword":true,"token":null}', '{"hasPassword":true,"token":null}'),
        ("Connected to ap SSID:home password:my secret pass", "Connected to ap SSID:home password:[redacted]"),
        ("Authorization: Basic Q0FOQVJZ", "Authorization: [redacted]"),
        ("GET /api/ws?auth=abc&x=1", "GET /api/ws?auth=[redacted]&x=1"),
        (
            "Connecting to: stratum+tcp://me:pw@pool.example.com:3333",
            "Connecting to: stratum+tcp://[redacted]@pool.example.com:3333",
        ),
    ],
)
def test_usual_shapes_lose_only_their_secret_values(line, expected):
    assert redact_lines(line) == [expected]


@pytest.mark.parametrize(
    "line",
    [
        "I (1) wifi:mode : sta (02:00:5e:00:00:01)",
        "I (11687549) stratum_task:   Output 1: bc1qfake0q (308545949 sat) (Your payout address)",
        'rx: {"id":null,"method":"mining.notify","params":["6f2a","00",["ab","cd"]]}',
        'rx: {"id":3,"result":true,"error":null}',
        'tx: {"id":1,"method":"mining.configure","params":[["version-rolling"],{"mask":"ffffffff"}]}',
        'tx: {"id":2,"method":"mining.subscribe","params":["bitaxe/BM1370/v2.13"]}',
        "PID params: 5.0 0.1",
        "key exchange done",
    ],
)
def test_line_without_secret_is_unchanged(line):
    assert redact_lines(line) == [line]


SHAPES = [
    '{{"id":3,"method":"mining.authorize","params":[{u},{p}]}}',
    '{{"params":[{u},{p}],"id":3,"method":"mining.authorize"}}',
    '{{"id":3, "method" : "mining.authorize" , "params" : [ {u} , {p} ] }}',
    '{{"id":3,"method":"MINING.Authorize","params":[{u},{p}]}}',
    '{{"id":3,"method":"mining.authorize","params":[[{u},{p}]]}}',
    '{{"id":3,"method":"mining.authorize","params":{{"user":{u},"password":{p}}}}}',
    '{{"id":3,"method":"mining.authorize","params":[{u},{p}',
    '{{"id":3,"method":"mining.authorize","params":[{u},{p}]}}{{"id":4,"params":[{u},{p}]}}',
    '[{{"method":"mining.submit","params":[{u},"1"]}},{{"method":"mining.authorize","params":[{u},{p}]}}]',
    '{{"id":3,"method":"mining.submit","params":[{u},"1","2"]}}',
    '{{"params":[{u},"1","2"],"method":"mining.submit"}}',
    '{{"id":3,"method":"mining.submit","params":[ [{u}] ]}}',
    "mining.authorize({u}, {p})",
    "mining.authorize params=[{u} {p}]",
    "'method':'mining.authorize','params':[{u},{p}]",
    '"params":[{u},{p}]}}',
    '{{"stratumUser":1,"stratumPassword":{p}}}',
    '{{"fallbackStratumPassword" : {p} }}',
    "'wifiPass': {p}",
    "password={p}",
    "PSK : {p}",
    "secret_key2 = {p}",
]


def make_notations(user, password):
    """Yield each shape with JSON strings, inside another document, and without quotes."""
    for shape in SHAPES:
        plain = shape.format(u=json.dumps(user), p=json.dumps(password))
        yield plain
        yield "msg: " + json.dumps(plain)
        yield shape.format(u=user, p=password)


@pytest.mark.parametrize("line", list(make_notations(USER, PASSWORD)))
def test_no_shape_leaks_a_secret(line):
    (text,) = redact_lines(line)
    assert "CANARY" not in text, text


def test_document_over_several_lines_is_redacted():
    lines = ["{", '"id":3,', '"method":"mining.authorize",', '"params":[', '"CANARY",', '"CANARY"', "]}", "next"]
    text = redact_lines(*lines)
    assert "CANARY" not in "".join(text)
    assert text[-1] == "next"


def test_open_list_ends_with_next_entry_or_after_16_lines():
    opened = '"method":"mining.authorize","params":["CANARY",'
    assert redact_lines(opened, "I (5) t: next")[1] == "I (5) t: next"
    many = redact_lines(opened, *(["CANARY"] * 16), "plain")
    assert "CANARY" not in "".join(many)
    assert many[-1] == "plain"


@given(
    st.sampled_from(SHAPES),
    st.text(alphabet=st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), max_size=20),
    st.integers(0, 4200),
    st.data(),
)
def test_generated_chunking_leaks_no_secret(shape, rest, padding, data):
    """The padding moves the request across the position at which long lines are truncated."""
    secret = json.dumps("CANARY" + rest)
    raw = f"\x1b[0;32mI (12) stratum_api: {' ' * padding}tx: {shape.format(u=secret, p=secret)}\x1b[0m\nnext\n".encode()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(raw)), max_size=8)))
    assembler = LineAssembler()
    lines = []
    for a, b in zip([0, *cuts], [*cuts, len(raw)], strict=True):
        lines += assembler.feed_frame(raw[a:b])
    assert "CANARY" not in "\n".join(line.line for line in lines)
    assert lines[-1].line in ("next", "[redacted]")


@pytest.mark.parametrize(
    ("text_of_miner", "expected_quote"),
    [
        ("System will restart shortly.", "System will restart shortly."),
        ('The device says "Hi!" for 30 seconds.', 'The device says "Hi!" for 30 seconds.'),
        ("Wrong API input: frequency", "Wrong API input: frequency"),
        ('{"error":"no","wifiPass":"x","otp":"123456"}', '{"error":"no","wifiPass":"[redacted]","otp":"[redacted]"}'),
        ("password=x\nfine", "password=[redacted]\nfine"),
        ('{"stratumPassword": "half of it', '{"stratumPassword": [redacted]'),
        ("  \n ", ""),
        ("y" * 5000, "y" * 200),
        ('{"a":"' + "z" * 180 + '","token":"secret-that-is-cut"}', '{"a":"' + "z" * 180 + '","token":"[re'),
    ],
)
def test_text_of_miner_is_quoted_without_secrets(text_of_miner, expected_quote):
    assert redact_excerpt(text_of_miner) == expected_quote


@given(st.text(), st.from_regex("CANARY[A-Z0-9]{6,40}", fullmatch=True), st.integers(0, 5000))
def test_truncated_quote_contains_no_secret(before, secret, padding):
    for shape in ('{"wifiPass":"%s"}', "password: %s", "api_key=%s;", '{"a":{"token":"%s","b":1}}'):
        assert "CANARY" not in redact_excerpt(before.replace("CANARY", "") + " " * padding + shape % secret)


def test_hostile_line_is_redacted_quickly():
    for text in ('params:["' * 450, '"params":[' + '"a' * 2000, "pass" * 1000, "password:" * 450, "//" * 2000 + "@"):
        began = time.perf_counter()
        redact_lines(text, 'mining.authorize "params":[' + text)
        assert time.perf_counter() - began < 0.05


@pytest.mark.parametrize(
    "line",
    [
        "W (19000) BAP_HANDLERS: Duplicate message detected, ignoring: $BAP,SET,password,CANARY22*4F",
        "$bap,set,Password,CANARY,22*4F",
        "$BAP,SET,password CANARY22",
        "$BAP,SET,pool_user,CANARY.rig*4F",
        "$BAP,SET,ssid,CANARY*4F",
        "$BAP,RES,wifi_pw,CANARY*4F",
        "I (1) sv2: Opening extended mining channel (user=CANARY.rig)",
        "I (1) sv2: Opening extended mining channel (user=CANARY(a).rig, hashrate=1.2)",
        "I (1) sv2: user_identity: CANARY",
        *(
            f"I (1) wifi: {word}{separator}CANARY22 and more"
            for word in ("password", "Passphrase", "wifiPass", "PSK", "API key", "token", "otp")
            for separator in (" ", ",", ", ", "=", ":", " is ", "\t", ";", "|", " -> ", "(", " '", '","', "-", "/")
        ),
        'password: "CANARY" 22 CANARY',
        'password:"a"CANARY"',
        "wpa2_psk=CANARY",
        "WPA2-PSK CANARY",
        "password ok CANARY",
        "token_value: CANARY",
    ],
)
def test_value_after_word_for_secret_is_redacted_for_any_separator(line):
    assert "CANARY" not in redact_lines(line)[0]


@pytest.mark.parametrize(
    "line",
    [
        "I (1) stratum: Authorization failed",
        "I (1) wifi: Wrong password",
        "I (1) wifi: password is required",
        "I (1) input: keys pressed",
        "I (1) asic_task: tokens",
        "I (1) self_test: Self test passed 5 of 5",
        "I (1) pll: bypass mode 5",
        "I (1) wifi:security: WPA2-PSK, phy: bgn, rssi: -55",
        "I (1) BAP: $BAP,SET,frequency,525*1A",
        "I (1) BAP: $BAP,REQ,systemInfo*1A",
    ],
)
def test_ordinary_lines_are_unchanged(line):
    assert redact_lines(line) == [line]


@pytest.mark.parametrize(
    "lines",
    [
        ("wifi password is", "CANARY"),
        ("wifi password:", "CANARY"),
        ("wifi passw", "ord CANARY"),
        ("$BAP,SET,password,", "CANARY*4F"),
        ("$BAP,SET,pass", "word,CANARY*4F"),
        ("$BAP,SET,password,CAN", "CANARY*4F"),
    ],
)
def test_secret_continued_in_next_line_is_redacted(lines):
    assert "CANARY" not in "".join(redact_lines(*lines))
    assert redact_lines(lines[0], "I (5) t: next")[1] == "I (5) t: next"


WRITTEN_SECRETS = ('hunter"2\\2#secret', "p\u00e4ss/w\u00f6rd &1 long", "it's <mine> & yours", "plainsecret")


def list_encodings(secret):
    once = json.dumps(secret)[1:-1]
    yield from (secret, once, json.dumps(once)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1], repr(secret)[1:-1])
    yield from (quote(secret), quote(secret, safe=""), quote_plus(secret), quote(secret, safe="").lower())
    yield secret.replace('"', '\\"')


@pytest.mark.parametrize("secret", WRITTEN_SECRETS)
def test_written_secret_is_redacted_in_every_encoding_and_truncation(secret):
    for form in list_encodings(secret):
        for length in range(4, len(form) + 1):
            assert redact_values(f"no: {form[:length]}", [secret]).startswith("no: [redacted]"), form[:length]


@given(st.sampled_from(WRITTEN_SECRETS), st.integers(0, 12), st.integers(0, 4200))
def test_written_secret_is_redacted_before_truncation(secret, which, padding):
    forms = list(list_encodings(secret))
    form = forms[which % len(forms)]
    for text in ("x" * padding + " " + form, " " * padding + form, "\n" * padding + form):
        text_of_miner = redact_excerpt(text, [secret])
        assert len(text_of_miner) <= 200
        parts = {form[at : at + 4] for at in range(len(form) - 3)}
        assert not any(part in text_of_miner for part in parts), text_of_miner


def test_text_without_written_secrets_is_unchanged():
    assert redact_excerpt("Wrong API input: frequency", ["hunter22secret"]) == "Wrong API input: frequency"
    assert redact_excerpt("x is 5", ["", "q"]) == "x is 5"


@pytest.mark.parametrize(
    "line",
    [
        "pass ok " * 500,
        "pass_" + "a" * 4000,
        "$BAP," * 800,
        "\\" * 4090 + "pass",
        "user" + " " * 4000,
        'password:"' * 400,
    ],
)
def test_line_full_of_secret_words_is_redacted_quickly(line):
    began = time.thread_time()
    redact_lines(line)
    assert time.thread_time() - began < 0.02
