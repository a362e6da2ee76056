"""What is known of each board: in memory to be asked at once, on disk to outlive both processes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from app.services.dashboards.boards import Board, from_document, titles
from app.store.documents import Documents


class Boards:
    """Owns the boards, by uid. What is put is on disk when `put` returns."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents
        self._boards: dict[str, Board] = {}

    def load(self) -> None:
        self._boards = {uid: from_document(document) for uid, document in self._documents.all()}

    def __iter__(self) -> Iterator[Board]:
        return iter(list(self._boards.values()))

    def get(self, uid: str) -> Board | None:
        return self._boards.get(uid)

    def put(self, board: Board) -> Board:
        if self._boards.get(board.uid) != board:
            self._documents.put(board.uid, board.document())
            self._boards[board.uid] = board
        return board

    def drop(self, uid: str) -> None:
        self._documents.delete(uid)
        self._boards.pop(uid, None)

    def titles(self) -> Mapping[str, str]:
        """Of those that stay."""
        return titles(board for board in self._boards.values() if not board.gone)
