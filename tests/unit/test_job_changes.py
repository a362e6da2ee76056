"""What a job changed on a device, and what was changed since."""

from app.services.jobs.job_changes import collect_changes, find_later_changes

INFO = {"ASICModel": "BM1370", "frequency": 490, "coreVoltage": 1150, "stratumURL": "new.example"}


def make_entry(number, before, after, job="j", outcome="applied", **more):
    return {
        "id": str(number), "at": f"t{number}", "mac": "m", "actor": "10.0.0.5", "job": job, "before": before,
        "after": after, "outcome": outcome, **more,
    }  # fmt: skip


def test_values_before_the_first_and_after_the_last_write_of_the_job():
    entries = [
        make_entry(3, {"frequency": 500}, {"frequency": 490}),
        make_entry(2, {"frequency": 525, "stratumURL": "old.example"}, {"frequency": 500, "stratumURL": "new.example"}),
        make_entry(1, {"frequency": 400}, {"frequency": 525}, job="other"),
    ]
    change = collect_changes(entries, "j")
    assert (change.before, change.after, change.entry) == (
        {"frequency": 525, "stratumURL": "old.example"},
        {"frequency": 490, "stratumURL": "new.example"},
        "3",
    )
    assert find_later_changes(change, INFO) == {}


def test_job_without_a_lasting_change_has_none():
    assert collect_changes([make_entry(1, {}, {"frequency": 1}, job="other")], "j") is None
    assert collect_changes([make_entry(1, {"frequency": 1}, {"frequency": 2}, outcome="failed")], "j") is None
    restored = [make_entry(2, {"frequency": 2}, {"frequency": 1}), make_entry(1, {"frequency": 1}, {"frequency": 2})]
    assert collect_changes(restored, "j") is None


def test_key_that_the_miner_refused_is_no_change():
    rows = [
        {"key": "frequency", "actual": 490, "status": "applied", "reason": None},
        {"key": "display", "actual": "a", "status": "refused", "reason": "no"},
    ]
    entry = make_entry(1, {"frequency": 525, "display": "a"}, {"frequency": 490, "display": "b"}, changes=rows)
    assert collect_changes([entry], "j").after == {"frequency": 490}


def test_secret_is_a_change_without_a_value():
    change = collect_changes([make_entry(1, {"stratumPassword": None}, {"stratumPassword": None})], "j")
    assert change.before == {"stratumPassword": None}
    assert find_later_changes(change, INFO) == {}


def test_later_write_of_the_same_setting_is_found():
    entries = [
        make_entry(4, {"frequency": 1}, {"frequency": 2}, job=None, outcome="failed"),
        make_entry(3, {"coreVoltage": 1100}, {"coreVoltage": 1150}, job=None),
        make_entry(2, {"stratumPassword": None}, {"stratumPassword": None}, job="other"),
        make_entry(1, {"frequency": 525, "stratumPassword": None}, {"frequency": 490, "stratumPassword": None}),
    ]
    later = find_later_changes(collect_changes(entries, "j"), INFO)
    assert later == {"stratumPassword": ["Was changed by 10.0.0.5 at t2, after the job."]}


def test_setting_that_the_miner_no_longer_has_is_found():
    change = collect_changes([make_entry(1, {"frequency": 525}, {"frequency": 500})], "j")
    assert find_later_changes(change, INFO) == {"frequency": ["Is 490 now; the job had set it to 500."]}
    assert find_later_changes(change, {}) == {}
