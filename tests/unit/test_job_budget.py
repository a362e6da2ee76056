"""The restart budget of all jobs together."""

from app.services.jobs.restart_budget import RestartBudget


def test_budget_limits_restarts_per_period(clock):
    budget = RestartBudget(clock, restarts=3, per_seconds=60.0)
    assert [budget.spend() for _ in range(3)] == [0.0, 0.0, 0.0]
    clock.advance(20)
    assert budget.spend() == 40.0
    clock.advance(40)
    assert [budget.spend(), budget.spend(), budget.spend()] == [0.0, 0.0, 0.0]
    assert budget.spend() == 60.0


def test_rejected_request_does_not_use_budget(clock):
    budget = RestartBudget(clock, restarts=1, per_seconds=10.0)
    budget.spend()
    for _ in range(10):
        clock.advance(1)
        budget.spend()
    assert budget.spend() == 10.0


def test_unused_restart_is_returned_to_budget(clock):
    budget = RestartBudget(clock, restarts=1, per_seconds=10.0)
    budget.give_back()
    assert budget.spend() == 0.0
    budget.give_back()
    assert [budget.spend(), budget.spend()] == [0.0, 10.0]
