"""From bytes of a miner's WebSocket to log lines: any chunking gives the same lines, without colours and secrets, with
bounded length."""

import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from app.miners.log_lines import CUT, MAX_LINE, LineAssembler, LogLine, has_rebooted, parse_line

GREEN, RESET = b"\x1b[0;32m", b"\x1b[0m\n"


def assemble_lines(*frames):
    assembler = LineAssembler()
    return [line for frame in frames for line in assembler.feed_frame(frame)]


def assemble_texts(*frames):
    return [line.line for line in assemble_lines(*frames)]


@pytest.mark.parametrize(
    ("line", "level", "tag", "uptime", "text"),
    [
        ("I (12345) stratum_task: hello", "I", "stratum_task", 12345, "hello"),
        ("W (1) a: ", "W", "a", 1, ""),
        ("E (4294967295) esp-tls: [sock=43] delayed: x", "E", "esp-tls", 4294967295, "[sock=43] delayed: x"),
        ("I (5602) wifi:mode : sta (02:00:5e:00:00:01)", "I", "wifi", 5602, "mode : sta (02:00:5e:00:00:01)"),
        ("D (7) t:  two blanks", "D", "t", 7, " two blanks"),
        ("V (7) t: Temp: 55.4 °C → x", "V", "t", 7, "Temp: 55.4 °C → x"),
        ("--- SYSTEM RESTART ---", None, None, None, "--- SYSTEM RESTART ---"),
        ("I (4294967296) t: too late", None, None, None, "I (4294967296) t: too late"),
        ("I (99999999999999999999) t: x", None, None, None, "I (99999999999999999999) t: x"),
        ("I (12) " + "t" * 65 + ": x", None, None, None, "I (12) " + "t" * 65 + ": x"),
        ("X (12) t: x", None, None, None, "X (12) t: x"),
        ("  I (12) t: x", None, None, None, "  I (12) t: x"),
        ("I (12) no colon", None, None, None, "I (12) no colon"),
        ("I (١٢) t: x", "I", "t", 12, "x"),
    ],
)
def test_parse_line_into_parts(line, level, tag, uptime, text):
    parsed = parse_line(line)
    assert (parsed.level, parsed.tag, parsed.uptime_ms, parsed.text, parsed.line) == (level, tag, uptime, text, line)


def test_colour_codes_are_removed():
    assert assemble_texts(GREEN + b"I (1) t: one" + RESET, b"I (2) t: two\n") == ["I (1) t: one", "I (2) t: two"]


def test_frames_and_lines_need_not_coincide():
    assert assemble_texts(b"one\ntwo\nth", b"r", b"ee\nfour", b"\n") == ["one", "two", "three", "four"]


def test_frame_boundary_inside_character():
    data = "55.4 °C → x\n".encode()
    for at in range(len(data)):
        assert assemble_texts(data[:at], data[at:]) == ["55.4 °C → x"]


def test_blank_and_colour_only_frames_are_ignored():
    assert assemble_texts(b"\n", b"\x1b[0m\n", b"  \n", b"\r\n", b"tx: {}\n\x1b[0m\n") == ["tx: {}"]


def test_line_without_newline_ends_with_next_entry_or_flush():
    assert assemble_texts(b"I (1) t: half") == []
    assert assemble_texts(b"I (1) t: one", b" and more", GREEN + b"I (2) t: two", b"I (3) t: three") == [
        "I (1) t: one and more",
        "I (2) t: two",
    ]
    assert assemble_with_flushes(b"I (1) t: half") == ["I (1) t: half"]


def assemble_with_flushes(*frames):
    """Return the lines if each frame is followed by a flush."""
    assembler, lines = LineAssembler(), []
    for frame in frames:
        lines += [*assembler.feed_frame(frame), *assembler.flush_line()]
    return [line.line for line in lines]


def test_flush_is_followed_by_rest_of_line():
    assert assemble_with_flushes(b"I (1) t: half", b" a line", b"\nnext\n", b"\n") == [
        "I (1) t: half",
        " a line",
        "next",
    ]
    assert assemble_with_flushes(b"I (1) t: whole\x1b[0", b"m", b"\n") == ["I (1) t: whole"]
    assert assemble_with_flushes("55 °".encode()[:-1], "°".encode()[-1:] + b"C\n") == ["55", " °C"]


@pytest.mark.parametrize(
    "line",
    [
        b"wifi password hunter22 and",
        b"$BAP,SET,password,hunter22*4F",
        b'{"method":"mining.authorize","params":["hunter22","x"]}',
        b"stratum+tcp://me:hunter22@pool:3333",
        b"Password is hunter22",
        b"pass\x1b[0mword: hunter22",
    ],
)
def test_line_flushed_in_the_middle_leaks_no_secret(line):
    for at in range(len(line)):
        for end in (b"", b"\n"):
            shown = "".join(assemble_with_flushes(line[:at], line[at:] + end))
            assert "hunter" not in shown, (at, shown)
            assert "ter22" not in shown, (at, shown)


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"\x1b]0;title\x07x\n", "x"),
        (b"\x1b[2J\x1b[1;1Hx\n", "x"),
        (b"a\x00b\x07c\x9b\n", "abc\ufffd"),
        (b"a\rb\r\n", "ab"),
        ("a\u202eb\u2028c\n".encode(), "abc"),
        (b"a\tb\n", "a\tb"),
        (b"\xff\xfe\n", "\ufffd\ufffd"),
        (b"\x1b\n", ""),
    ],
)
def test_control_characters_are_removed(raw, text):
    assert assemble_texts(raw) == ([text] if text else [])


@pytest.mark.parametrize("extra", [0, 1, 5000])
def test_long_line_is_truncated_with_mark(extra):
    lines = assemble_texts(b"x" * (MAX_LINE + extra) + b"\nnext\n")
    assert lines == ["x" * MAX_LINE + (CUT if extra else ""), "next"]


def test_long_line_is_truncated_between_characters():
    (line,) = assemble_texts(b"x" + "°".encode() * 3000 + b"\n")
    assert line == "x" + "°" * 2047 + CUT


def test_replacement_characters_are_truncated_too():
    (line,) = assemble_texts(b"\xff" * 4000 + b"\n")
    assert len(line.encode()) <= MAX_LINE + len(CUT.encode())


def test_pending_bytes_are_bounded():
    assembler = LineAssembler()
    for _ in range(100):
        assert list(assembler.feed_frame(b"x" * 65536)) == []
    assert len(assembler._pending) == MAX_LINE
    assert [line.line for line in assembler.feed_frame(b"\n")] == ["x" * MAX_LINE + CUT]


pieces = st.lists(
    st.one_of(
        st.binary(max_size=40),
        st.sampled_from(
            [
                b"\n",
                GREEN,
                RESET,
                "°→".encode(),
                b"(12) tag: ",
                b"y" * 5000,
                b'{"id":3,"method":"mining.authorize","params":["',
                b'"params":["',
                b'","',
                b'"]}',
            ]
        ),
    ),
    max_size=20,
)


@given(pieces, st.data())
def test_generated_chunking_gives_same_lines(parts, data):
    whole = b"".join(parts)
    assume(not re.search(rb"[EWIDV] \(\d+\) ", whole))  # a frame that starts an entry also ends the previous entry
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=20)))
    chopped = [whole[a:b] for a, b in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    assert assemble_lines(*chopped) == assemble_lines(whole)


@given(st.binary(max_size=9000))
def test_lines_of_generated_bytes_are_printable_and_bounded(data):
    for line in assemble_lines(data + b"\n"):
        assert line.line.strip()
        assert not re.search(r"[\x00-\x08\x0a-\x1f\x7f-\x9f]", line.line)
        assert len(line.line.encode()) <= MAX_LINE + len(CUT.encode())


WRAP = 2**32
HOUR = 3_600_000


@pytest.mark.parametrize(
    ("before", "now", "elapsed", "restarted"),
    [
        (1000, 1001, 1, False),
        (1000, 1000, 1, False),
        (100_000, 98_500, 10, False),  # two tasks, out of order
        (100_000, 97_000, 10, True),
        (100_000, 5000, 20_000, True),
        (WRAP - 500, 200, 700, False),
        (WRAP - 10 * HOUR, 5000, 10 * HOUR + 5000, False),  # the counter wrapped while no stream was open
        (WRAP - 10 * HOUR, 5000, 20_000, True),  # too early for the wrap
        (WRAP - 500, 3 * HOUR, 700, True),  # too late for the wrap
        (WRAP - HOUR, 2 * HOUR, 3 * HOUR, False),
    ],
)
def test_restart_is_distinguished_from_counter_wrap_and_disorder(before, now, elapsed, restarted):
    assert has_rebooted(before, now, elapsed) is restarted


def test_text_is_the_part_after_the_tag():
    assert LogLine("I (1) t: x", "I", "t", 1, 9).text == "x"
