"""Brings one board to its desired state, step by step, by the tables of steps.py."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import replace

from app.clients.grafana import GrafanaClient
from app.clients.grafana_responses import Answer, CallResult
from app.errors import DashboardNotReady
from app.services.dashboards.board_repository import BoardRepository
from app.services.dashboards.boards import Board, new_access_token, new_public_uid
from app.services.dashboards.delivery import Delivery
from app.services.dashboards.steps import NEXT_STEP, BoardStep, choose_visibility
from app.services.dashboards.templates import Dashboard, Templates, compute_fingerprint

log = logging.getLogger(__name__)

# The longest valid sequence: save, look, publish (absent), save, look, publish (taken), rename, publish.
MAX_STEPS = 10


class Publisher:
    """Owns the set of boards that Grafana rejected, so that each is logged once, and whether orphans were deleted.

    The result of each step is on disk before the next step.
    """

    def __init__(
        self,
        grafana: GrafanaClient,
        delivery: Delivery,
        templates: Templates,
        boards: BoardRepository,
        *,
        publish: bool,
    ) -> None:
        self._grafana = grafana
        self._delivery = delivery
        self._templates = templates
        self._boards = boards
        self._publish = publish
        self._rejected: set[str] = set()
        self._orphans_deleted = False

    def prepare_boards(self, uids: Iterable[str]) -> None:
        """Write the files of these boards and delete those of other boards, if dashboards are delivered as files.

        This does not use Grafana's API. Raises GrafanaError.
        """
        if not self._delivery.is_offline:
            return
        titles, wanted = self._boards.current_titles(), set(uids)
        for uid in titles.keys() & wanted:
            board = self._get_board(uid)
            self._delivery.deliver_dashboard(board, self._render_dashboard(board, titles[uid]))
        if not (self._orphans_deleted and wanted <= titles.keys()):
            self._delivery.delete_orphans(titles)
            self._orphans_deleted = True

    def update_board(self, uid: str, title: str) -> None:
        """Run the steps that bring the board to its desired state. Raises GrafanaError."""
        board = self._get_board(uid)
        dashboard = self._render_dashboard(board, title)
        actions = self._step_actions(uid, dashboard)
        next_steps = NEXT_STEP[choose_visibility(self._publish, board.is_public)]
        result = self._record_delivery(uid, dashboard, self._delivery.deliver_dashboard(board, dashboard))
        for _ in range(MAX_STEPS):
            step = next_steps.get(result)
            if step is None:
                break
            if step is BoardStep.DONE:
                return
            result = actions[step]()
        raise DashboardNotReady("contradiction", f"Grafana's answers about {uid} are contradictory, at last {result}")

    def delete_board(self, uid: str) -> None:
        """Delete the board from Grafana, or its file, and then its record."""
        self._delivery.delete_dashboard(uid)
        self._boards.delete_board(uid)

    def close(self) -> None:
        self._delivery.close()
        self._grafana.close()

    def _render_dashboard(self, board: Board, title: str) -> Dashboard:
        source = self._delivery.get_data_source_uid()
        if board.mac:
            return self._templates.render_device(board.uid, title, board.mac, source)
        return self._templates.render_overview(board.uid, title, source)

    def _step_actions(self, uid: str, dashboard: Dashboard) -> dict[BoardStep, Callable[[], CallResult]]:
        grafana = self._grafana
        return {
            BoardStep.SAVE: lambda: self._record_delivery(
                uid, dashboard, self._delivery.redeliver_dashboard(self._get_board(uid), dashboard)
            ),
            BoardStep.CHECK: lambda: grafana.check_dashboard(uid).result,
            BoardStep.LOOK: lambda: self._record_public_row(uid, grafana.get_public_dashboard(uid)),
            BoardStep.PUBLISH: lambda: self._record_public_row(
                uid, grafana.publish_dashboard(uid, *self._public_ids(uid))
            ),
            BoardStep.RESUME: lambda: self._record_public_row(
                uid, grafana.resume_public_dashboard(uid, self._public_ids(uid)[0])
            ),
            BoardStep.PAUSE: lambda: self._record_public_row(
                uid, grafana.pause_public_dashboard(uid, self._public_ids(uid)[0])
            ),
            BoardStep.RENAME: lambda: self._renew_public_ids(uid),
        }

    def _get_board(self, uid: str) -> Board:
        board = self._boards.get_board(uid)
        assert board  # noqa: S101
        return board

    def _public_ids(self, uid: str) -> tuple[str, str]:
        board = self._get_board(uid)
        return board.public_uid, board.access_token

    def _record_delivery(self, uid: str, dashboard: Dashboard, result: CallResult) -> CallResult:
        if result is CallResult.SAVED:
            self._rejected.discard(uid)
            self._boards.save_board(replace(self._get_board(uid), delivered=compute_fingerprint(dashboard)))
        if result is CallResult.REJECTED and uid not in self._rejected:
            self._rejected.add(uid)
            log.warning("Grafana rejected a dashboard; is it provisioned from a file?", extra={"uid": uid})
        return result

    def _record_public_row(self, uid: str, answer: Answer) -> CallResult:
        """Store the public dashboard in the answer. One that another client made is kept: its link may be in use."""
        if answer.row is not None:
            self._boards.save_board(self._get_board(uid).with_public_row(answer.row))
        elif answer.result is CallResult.PRIVATE and not self._publish:
            self._boards.save_board(replace(self._get_board(uid), row=None))
        return answer.result

    def _renew_public_ids(self, uid: str) -> CallResult:
        """Generate a new public uid, and a new access token only if another dashboard has the present one.

        The links contain the token, not the uid.
        """
        board = replace(self._get_board(uid), public_uid=new_public_uid())
        if self._grafana.find_access_token(board.access_token).result is not CallResult.PRIVATE:
            board = replace(board, access_token=new_access_token())
        self._boards.save_board(board)
        return CallResult.PRIVATE
