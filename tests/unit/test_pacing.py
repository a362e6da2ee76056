"""Long answers let others run, and short ones do not wait for anybody."""

from time import perf_counter

from app.pacing import HOLD_SECONDS, paced


def test_pieces_that_cost_nothing_go_out_at_once(turns):
    before = len(turns)
    assert list(paced(range(50))) == list(range(50))
    assert len(turns) - before < 5  # none, unless this machine stopped meanwhile


def test_after_each_that_holds_the_loop_others_run(turns):
    def slow():
        for piece in range(5):
            until = perf_counter() + HOLD_SECONDS
            while perf_counter() < until:
                pass
            yield piece

    seen = []
    for piece in paced(slow()):
        seen.append((piece, len(turns)))
    assert [piece for piece, _ in seen] == list(range(5))
    assert len({count for _, count in seen}) == 5
