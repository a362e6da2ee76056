"""Compaction removes overwritten and deleted values from the files; LevelDB itself keeps them until it needs the
space."""

from secrets import token_hex

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from app.clock import Clock
from app.store.database import LAST_CHARACTER, Database
from app.store.repair import repair_directory

PREFIX = "pluto:presets:"


def find_words_in_files(database, words):
    """Return the words that occur in a file. Each word is random, so that compression leaves it legible: no four
    letters of it occur earlier in a block."""
    content = b"".join(path.read_bytes() for path in database.path.iterdir() if path.is_file())
    return {word for word in words if word.encode() in content}


def test_overwritten_value_is_removed_by_compaction(database):
    old, new = token_hex(), token_hex()
    database.write_batch({f"{PREFIX}a": old})
    database.write_batch({f"{PREFIX}a": new})
    assert find_words_in_files(database, [old, new]) == {old, new}
    database.compact_prefix(PREFIX)
    assert find_words_in_files(database, [old, new]) == {new}
    assert database.read_value(f"{PREFIX}a") == new


def test_deleted_value_is_removed_by_compaction(database):
    old = token_hex()
    database.write_batch({f"{PREFIX}a": old, "other": 1})
    database.write_batch({}, [f"{PREFIX}a"])
    database.compact_prefix(PREFIX)
    assert find_words_in_files(database, [old]) == set()
    assert dict(database.snapshot_rows()) == {b"other": b"1"}


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.sampled_from([PREFIX, f"{PREFIX}a", f"{PREFIX}\xff", "pluto:devices", "z"])),
        st.tuples(st.just("delete"), st.sampled_from([PREFIX, f"{PREFIX}a", f"{PREFIX}\xff"])),
        st.tuples(st.just("compact"), st.sampled_from(["", PREFIX, "pluto:", "z"])),
        st.tuples(st.just("open anew"), st.just("")),
    ),
    max_size=20,
)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(STEPS)
@example([("put", f"{PREFIX}a")] * 2)
@example([("put", PREFIX), ("open anew", ""), ("put", f"{PREFIX}a"), ("put", f"{PREFIX}a")])
def test_compaction_removes_old_values_after_any_history(tmp_path_factory, steps):
    database = Database(tmp_path_factory.mktemp("history") / "core")
    database.open(Clock())
    written, current = set(), {}
    for operation, key in steps:
        if operation == "put":
            current[key] = token_hex()
            written.add(current[key] if key.startswith(PREFIX) else "")
            database.write_batch({key: current[key]})
        elif operation == "delete":
            current.pop(key, None)
            database.write_batch({}, [key])
        elif operation == "compact":
            database.compact_prefix(key)
        else:
            database.close()
            database.open(Clock())
    database.compact_prefix(PREFIX)
    assert find_words_in_files(database, written - {""}) == {
        value for key, value in current.items() if key.startswith(PREFIX)
    }
    assert {key.decode(): value[1:-1].decode() for key, value in database.snapshot_rows()} == current
    database.close()


def test_end_marker_left_by_crash_is_not_a_row(database):
    """During a compaction there is a marker at the end of the range."""
    database.write_batch({f"{PREFIX}a": {"name": "kept"}, f"{PREFIX}{LAST_CHARACTER}": None, "presets": ["a"]})
    assert [key for key, _ in database.scan_prefix(PREFIX)] == [f"{PREFIX}a"]
    assert {key.decode() for key, _ in database.snapshot_rows()} == {f"{PREFIX}a", "presets"}
    database.close()
    assert repair_directory(database.path, "a test", Clock().now()).recovered == 2
