"""What was overwritten or deleted leaves the files when it is told to: LevelDB itself keeps it until it has to make
room."""

from secrets import token_hex

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from app.clock import Clock
from app.store.database import LAST, Database
from app.store.repair import repair

BELOW = "pluto:presets:"


def left(database, words):
    """Which of the words stand in a file. Each is random: nothing before it in a block has four of its letters, so it
    stands there as it is, compressed or not."""
    held = b"".join(path.read_bytes() for path in database.path.iterdir() if path.is_file())
    return {word for word in words if word.encode() in held}


def test_an_overwritten_value_is_gone(database):
    old, new = token_hex(), token_hex()
    database.write({f"{BELOW}a": old})
    database.write({f"{BELOW}a": new})
    assert left(database, [old, new]) == {old, new}
    database.compact(BELOW)
    assert left(database, [old, new]) == {new}
    assert database.get(f"{BELOW}a") == new


def test_a_deleted_one_is_gone(database):
    old = token_hex()
    database.write({f"{BELOW}a": old, "other": 1})
    database.write({}, [f"{BELOW}a"])
    database.compact(BELOW)
    assert left(database, [old]) == set()
    assert dict(database.rows()) == {b"other": b"1"}


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.sampled_from([BELOW, f"{BELOW}a", f"{BELOW}\xff", "pluto:devices", "z"])),
        st.tuples(st.just("delete"), st.sampled_from([BELOW, f"{BELOW}a", f"{BELOW}\xff"])),
        st.tuples(st.just("compact"), st.sampled_from(["", BELOW, "pluto:", "z"])),
        st.tuples(st.just("open anew"), st.just("")),
    ),
    max_size=20,
)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(STEPS)
@example([("put", f"{BELOW}a")] * 2)
@example([("put", BELOW), ("open anew", ""), ("put", f"{BELOW}a"), ("put", f"{BELOW}a")])
def test_whatever_was_done_before(tmp_path_factory, steps):
    database = Database(tmp_path_factory.mktemp("history") / "core")
    database.open(Clock())
    written, now = set(), {}
    for what, key in steps:
        if what == "put":
            now[key] = token_hex()
            written.add(now[key] if key.startswith(BELOW) else "")
            database.write({key: now[key]})
        elif what == "delete":
            now.pop(key, None)
            database.write({}, [key])
        elif what == "compact":
            database.compact(key)
        else:
            database.close()
            database.open(Clock())
    database.compact(BELOW)
    assert left(database, written - {""}) == {value for key, value in now.items() if key.startswith(BELOW)}
    assert {key.decode(): value[1:-1].decode() for key, value in database.rows()} == now
    database.close()


def test_what_a_crash_left_of_it_is_no_row(database):
    """At the end of the range stands something while it is scrubbed."""
    database.write({f"{BELOW}a": {"name": "kept"}, f"{BELOW}{LAST}": None, "presets": ["a"]})
    assert [key for key, _ in database.scan(BELOW)] == [f"{BELOW}a"]
    assert {key.decode() for key, _ in database.rows()} == {f"{BELOW}a", "presets"}
    database.close()
    assert repair(database.path, "a test", Clock().now()).recovered == 2
