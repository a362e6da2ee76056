"""The log format: one JSON object per line, for any text of a miner, a path or an error."""

import logging
import re
import subprocess
import sys

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.logging import JsonFormatter


def format_line(message="hello", *args, extra=None, error=None):
    exc_info = (type(error), error, None) if error else None
    record = logging.makeLogRecord(
        {"name": "app.x", "levelno": 30, "levelname": "WARNING", "msg": message, "args": args, "exc_info": exc_info}
    )
    vars(record).update(extra or {})
    return JsonFormatter().format(record)


def test_fields_of_a_log_line():
    read = orjson.loads(format_line("miner lost", extra={"mac": "02:00:5e:00:00:01", "seconds": 1.5}))
    at = read.pop("at")
    assert read == {
        "level": "warning",
        "logger": "app.x",
        "message": "miner lost",
        "mac": "02:00:5e:00:00:01",
        "seconds": 1.5,
    }
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", at)


@pytest.mark.parametrize(
    "hostile",
    [
        'x\r\n{"level":"error","message":"forged"}',
        "\x1b[31mred\x1b[0m",
        "\x00",
        "\u2028\x85",
        '"}',
        "%s %d %n",
        "\\",
        "\ud800 lone surrogate",
        "é中",
    ],
)
def test_hostile_text_cannot_break_or_forge_a_line(hostile):
    text = format_line(
        "hostname is %s",
        hostile,
        extra={"hostname": hostile, "list": [hostile], "error": ValueError(hostile)},
    )
    assert "\n" not in text
    assert "\r" not in text
    assert "\x1b" not in text
    read = orjson.loads(text)
    assert (read["level"], read["logger"]) == ("warning", "app.x")
    assert read["hostname"] == hostile.encode(errors="replace").decode()


def test_traceback_is_one_line():
    text = format_line("broke", error=ValueError("a\nb"))
    assert "\n" not in text
    assert "ValueError: a\nb" in orjson.loads(text)["exception"]


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(alphabet=st.characters())
    | st.binary(max_size=5)
    | st.just(object())
    | st.just(ValueError("x")),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=5) | st.integers(), inner, max_size=3)
        | st.sets(st.integers(), max_size=2)
    ),
    max_leaves=6,
)


@given(
    st.dictionaries(st.sampled_from(["mac", "value", "outcomes", "path"]), VALUES), st.text(alphabet=st.characters())
)
def test_generated_fields_become_one_line(extra, message):
    text = format_line(message, extra=extra)
    assert "\n" not in text
    assert orjson.loads(text)["level"] == "warning"


def test_extra_field_cannot_replace_standard_field():
    read = orjson.loads(format_line("hello", extra={"level": "x", "at": "y", "logger": "z"}))
    assert (read["level"], read["logger"], read["message"]) == ("warning", "app.x", "hello")


PROGRAM = """
from gevent import monkey; monkey.patch_all()
import gevent, threading, warnings
from gevent.threadpool import ThreadPool
from app.logging import configure_logging

class FailsInDestructor:
    def __del__(self):
        self.destructor

configure_logging("info")
gevent.spawn(lambda: 1 / 0).join()
gevent.get_hub().loop.run_callback(lambda: {}["callback"])
thread = threading.Thread(target=lambda: [].thread)
thread.start()
thread.join()
try:
    ThreadPool(1).spawn(lambda: int("x")).get()
except ValueError:
    pass
FailsInDestructor()
warnings.warn("warned")
gevent.sleep(0)
raise OSError("main")
"""


def test_unhandled_exceptions_are_one_line_each():
    process = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False)
    assert (process.returncode, process.stdout) == (1, "")
    lines = [orjson.loads(line) for line in process.stderr.splitlines()]
    messages = [read.get("exception", read["message"]).splitlines()[-1] for read in lines]
    assert sorted(each.split(":")[0] for each in messages if "warned" not in each) == [
        "AttributeError",
        "AttributeError",
        "KeyError",
        "OSError",
        "ValueError",
        "ZeroDivisionError",
    ]
    assert [each for each in lines if "warned" in each["message"]]
    assert {each["level"] for each in lines} == {"error", "warning"}
