"""Brings one board to what it should be, one step at a time, by the tables of steps.py."""

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

# The longest honest way: save, look, publish, absent, save, look, publish, taken, rename, publish.
MAX_STEPS = 10


class Publisher:
    """Owns which boards Grafana would not take, so that this is said once, and whether what an earlier run left behind
    was swept. Every step that taught something is on disk before the next."""

    def __init__(
        self, grafana: GrafanaClient, delivery: Delivery, templates: Templates, boards: Boards, *, publish: bool
    ) -> None:
        self._grafana = grafana
        self._delivery = delivery
        self._templates = templates
        self._boards = boards
        self._publish = publish
        self._rejected: set[str] = set()
        self._swept = False

    def prepare(self, uids: Iterable[str]) -> None:
        """Writes the files of these boards, and takes away those of boards that are gone, where files are the way;
        Grafana need not answer for that. Raises GrafanaError."""
        if not self._delivery.ahead:
            return
        titles, wanted = self._boards.titles(), set(uids)
        for uid in titles.keys() & wanted:
            board = self._board(uid)
            self._delivery.deliver(board, self._made(board, titles[uid]))
        if not (self._swept and wanted <= titles.keys()):
            self._delivery.sweep(titles)
            self._swept = True

    def settle(self, uid: str, title: str) -> None:
        """Returns when the board is as it should be. Raises GrafanaError."""
        board = self._board(uid)
        dashboard = self._made(board, title)
        acts = self._acts(uid, dashboard)
        following = NEXT[wish(self._publish, board.is_public)]
        finding = self._noted(uid, dashboard, self._delivery.deliver(board, dashboard))
        for _ in range(MAX_STEPS):
            act = following.get(finding)
            if act is None:
                break
            if act is Act.DONE:
                return
            finding = acts[act]()
        raise DashboardUnsettled("contradiction", f"Grafana contradicts itself about {uid}; last it was {finding}")

    def withdraw(self, uid: str) -> None:
        """The board is nowhere any more, and forgotten."""
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

    def _noted(self, uid: str, dashboard: Dashboard, finding: Finding) -> Finding:
        if finding is Finding.SAVED:
            self._rejected.discard(uid)
            self._boards.put(replace(self._board(uid), delivered=fingerprint(dashboard)))
        if finding is Finding.REJECTED and uid not in self._rejected:
            self._rejected.add(uid)
            log.warning("Grafana does not take a dashboard; is it provisioned from a file?", extra={"uid": uid})
        return finding

    def _learnt(self, uid: str, answer: Answer) -> Finding:
        """A row that somebody else made is adopted: its link is out in the world."""
        if answer.row is not None:
            self._boards.put(self._board(uid).adopt(answer.row))
        elif answer.finding is Finding.PRIVATE and not self._publish:
            self._boards.put(replace(self._board(uid), row=None))
        return answer.finding

    def _rename(self, uid: str) -> Finding:
        """The uid of a public row is in no link; the token is, and is given up only if it is another board's."""
        board = replace(self._board(uid), public_uid=new_public_uid())
        if self._grafana.view(board.access_token).finding is not Finding.PRIVATE:
            board = replace(board, access_token=new_access_token())
        self._boards.put(board)
        return Finding.PRIVATE
