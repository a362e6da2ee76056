"""The restart budget of all jobs together."""

from app.services.jobs.restart_budget import RestartBudget


def test_budget_limits_restarts_per_period(clock):
    budget = RestartBudget(clock, restarts=3, per_seconds=60.0)
    assert [budget.acquire_restart() for _ in range(3)] == [0.0, 0.0, 0.0]
    clock.advance(20)
    assert budget.acquire_restart() == 40.0
    clock.advance(40)
    assert [budget.acquire_restart(), budget.acquire_restart(), budget.acquire_restart()] == [0.0, 0.0, 0.0]
    assert budget.acquire_restart() == 60.0


def test_rejected_request_does_not_use_budget(clock):
    budget = RestartBudget(clock, restarts=1, per_seconds=10.0)
    budget.acquire_restart()
    for _ in range(10):
        clock.advance(1)
        budget.acquire_restart()
    assert budget.acquire_restart() == 10.0


def test_unused_restart_is_returned_to_budget(clock):
    budget = RestartBudget(clock, restarts=1, per_seconds=10.0)
    budget.release_restart()
    assert budget.acquire_restart() == 0.0
    budget.release_restart()
    assert [budget.acquire_restart(), budget.acquire_restart()] == [0.0, 10.0]
