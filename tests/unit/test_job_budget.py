"""The restarts of all jobs together."""

from app.services.jobs.restart_budget import RestartBudget


def test_so_many_in_a_minute_and_no_more(clock):
    budget = RestartBudget(clock, restarts=3, per_seconds=60.0)
    assert [budget.spend() for _ in range(3)] == [0.0, 0.0, 0.0]
    clock.advance(20)
    assert budget.spend() == 40.0
    clock.advance(40)
    assert [budget.spend(), budget.spend(), budget.spend()] == [0.0, 0.0, 0.0]
    assert budget.spend() == 60.0


def test_asking_in_vain_costs_nothing(clock):
    budget = RestartBudget(clock, restarts=1, per_seconds=10.0)
    budget.spend()
    for _ in range(10):
        clock.advance(1)
        budget.spend()
    assert budget.spend() == 10.0


def test_a_restart_that_did_not_happen_is_given_back(clock):
    budget = RestartBudget(clock, restarts=1, per_seconds=10.0)
    budget.give_back()
    assert budget.spend() == 0.0
    budget.give_back()
    assert [budget.spend(), budget.spend()] == [0.0, 10.0]
