"""Brings one board to its desired state, step by step, by the tables of steps.py."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import replace

from app.clients.grafana import GrafanaClient
from app.clients.grafana_answers import Answer, Finding
from app.errors import DashboardUnsettled
from app.services.dashboards.boards import Board, new_access_token, new_public_uid
from app.services.dashboards.delivery import Delivery
from app.services.dashboards.records import Boards
from app.services.dashboards.steps import NEXT, Act, wish
from app.services.dashboards.templates import Dashboard, Templates, fingerprint

log = logging.getLogger(__name__)

# The longest valid sequence: save, look, publish (absent), save, look, publish (taken), rename, publish.
MAX_STEPS = 10


class Publisher:
    """Owns the set of boards that Grafana rejected, so that each is logged once, and whether orphans were deleted.

    The result of each step is on disk before the next step.
    """

    def __init__(
        self, grafana: GrafanaClient, delivery: Delivery, templates: Templates, boards: Boards, *, publish: bool
    ) -> None:
        self._grafana = grafana
        self._delivery = delivery
        self._templates = templates
        self._boards = boards
        self._publish = publish
        self._rejected: set[str] = set()
        self._orphans_deleted = False

    def prepare(self, uids: Iterable[str]) -> None:
        """Write the files of these boards and delete those of other boards, if dashboards are delivered as files.

        This does not use Grafana's API. Raises GrafanaError.
        """
        if not self._delivery.ahead:
            return
        titles, wanted = self._boards.titles(), set(uids)
        for uid in titles.keys() & wanted:
            board = self._board(uid)
            self._delivery.deliver(board, self._made(board, titles[uid]))
        if not (self._orphans_deleted and wanted <= titles.keys()):
            self._delivery.sweep(titles)
            self._orphans_deleted = True

    def settle(self, uid: str, title: str) -> None:
        """Run the steps that bring the board to its desired state. Raises GrafanaError."""
        board = self._board(uid)
        dashboard = self._made(board, title)
        actions = self._acts(uid, dashboard)
        next_steps = NEXT[wish(self._publish, board.is_public)]
        result = self._noted(uid, dashboard, self._delivery.deliver(board, dashboard))
        for _ in range(MAX_STEPS):
            step = next_steps.get(result)
            if step is None:
                break
            if step is Act.DONE:
                return
            result = actions[step]()
        raise DashboardUnsettled("contradiction", f"Grafana's answers about {uid} are contradictory, at last {result}")

    def withdraw(self, uid: str) -> None:
        """Delete the board from Grafana, or its file, and then its record."""
        self._delivery.withdraw(uid)
        self._boards.drop(uid)

    def close(self) -> None:
        self._delivery.close()
        self._grafana.close()

    def _made(self, board: Board, title: str) -> Dashboard:
        source = self._delivery.data_source()
        if board.mac:
            return self._templates.device(board.uid, title, board.mac, source)
        return self._templates.overview(board.uid, title, source)

    def _acts(self, uid: str, dashboard: Dashboard) -> dict[Act, Callable[[], Finding]]:
        grafana = self._grafana
        return {
            Act.SAVE: lambda: self._noted(uid, dashboard, self._delivery.again(self._board(uid), dashboard)),
            Act.CHECK: lambda: grafana.check(uid).finding,
            Act.LOOK: lambda: self._learnt(uid, grafana.look(uid)),
            Act.PUBLISH: lambda: self._learnt(uid, grafana.publish(uid, *self._names(uid))),
            Act.RESUME: lambda: self._learnt(uid, grafana.resume(uid, self._names(uid)[0])),
            Act.PAUSE: lambda: self._learnt(uid, grafana.pause(uid, self._names(uid)[0])),
            Act.RENAME: lambda: self._rename(uid),
        }

    def _board(self, uid: str) -> Board:
        board = self._boards.get(uid)
        assert board  # noqa: S101
        return board

    def _names(self, uid: str) -> tuple[str, str]:
        board = self._board(uid)
        return board.public_uid, board.access_token

    def _noted(self, uid: str, dashboard: Dashboard, result: Finding) -> Finding:
        if result is Finding.SAVED:
            self._rejected.discard(uid)
            self._boards.put(replace(self._board(uid), delivered=fingerprint(dashboard)))
        if result is Finding.REJECTED and uid not in self._rejected:
            self._rejected.add(uid)
            log.warning("Grafana rejected a dashboard; is it provisioned from a file?", extra={"uid": uid})
        return result

    def _learnt(self, uid: str, answer: Answer) -> Finding:
        """Store the public dashboard in the answer. One that another client made is kept: its link may be in use."""
        if answer.row is not None:
            self._boards.put(self._board(uid).adopt(answer.row))
        elif answer.finding is Finding.PRIVATE and not self._publish:
            self._boards.put(replace(self._board(uid), row=None))
        return answer.finding

    def _rename(self, uid: str) -> Finding:
        """Generate a new public uid, and a new access token only if another dashboard has the present one.

        The links contain the token, not the uid.
        """
        board = replace(self._board(uid), public_uid=new_public_uid())
        if self._grafana.view(board.access_token).finding is not Finding.PRIVATE:
            board = replace(board, access_token=new_access_token())
        self._boards.put(board)
        return Finding.PRIVATE
