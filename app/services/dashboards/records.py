"""Stores the boards, in memory and on disk."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from app.services.dashboards.boards import UIDS, Board, from_document, titles
from app.store.documents import Documents


class Boards:
    """Owns the boards, by uid. `save_board` returns when the board is on disk."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents
        self._boards: dict[str, Board] = {}
        self._titles: Mapping[str, str] | None = None

    def load(self) -> None:
        """Read the boards. Documents with an invalid uid are ignored and stay on disk."""
        found = (from_document(document) for _, document in self._documents.all())
        self._boards = {board.uid: board for board in found if UIDS.fullmatch(board.uid)}
        self._titles = None

    def __iter__(self) -> Iterator[Board]:
        return iter(list(self._boards.values()))

    def get(self, uid: str) -> Board | None:
        return self._boards.get(uid)

    def put(self, board: Board) -> None:
        before = self._boards.get(board.uid)
        if before != board:
            self._documents.put(board.uid, board.document())
            self._boards[board.uid] = board
        if before is None or (before.name, before.gone) != (board.name, board.gone):
            self._titles = None

    def drop(self, uid: str) -> None:
        self._documents.delete(uid)
        self._boards.pop(uid, None)
        self._titles = None

    def titles(self) -> Mapping[str, str]:
        """Return the title of each board that is not to be deleted, by uid. Cached until a name or the set changes."""
        if self._titles is None:
            self._titles = titles(board for board in self._boards.values() if not board.gone)
        return self._titles
