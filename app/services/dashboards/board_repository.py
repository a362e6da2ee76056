"""Stores the boards, in memory and on disk."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from app.services.dashboards.boards import UIDS, Board, assign_titles, board_from_document
from app.store.documents import Documents


class BoardRepository:
    """Owns the boards, by uid. `save_board` returns when the board is on disk."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents
        self._boards: dict[str, Board] = {}
        self._titles: Mapping[str, str] | None = None

    def load_boards(self) -> None:
        """Read the boards. Documents with an invalid uid are ignored and stay on disk."""
        found = (board_from_document(document) for _, document in self._documents.list_documents())
        self._boards = {board.uid: board for board in found if UIDS.fullmatch(board.uid)}
        self._titles = None

    def __iter__(self) -> Iterator[Board]:
        return iter(list(self._boards.values()))

    def get_board(self, uid: str) -> Board | None:
        return self._boards.get(uid)

    def save_board(self, board: Board) -> None:
        before = self._boards.get(board.uid)
        if before != board:
            self._documents.save_document(board.uid, board.to_document())
            self._boards[board.uid] = board
        if before is None or (before.name, before.gone) != (board.name, board.gone):
            self._titles = None

    def delete_board(self, uid: str) -> None:
        self._documents.delete_documents(uid)
        self._boards.pop(uid, None)
        self._titles = None

    def current_titles(self) -> Mapping[str, str]:
        """Return the title of each board that is not to be deleted, by uid. Cached until a name or the set changes."""
        if self._titles is None:
            self._titles = assign_titles(board for board in self._boards.values() if not board.gone)
        return self._titles
