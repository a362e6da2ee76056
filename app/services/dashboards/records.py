"""What is known of each board: in memory to be asked at once, on disk to outlive both processes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from app.services.dashboards.boards import UIDS, Board, from_document, titles
from app.store.documents import Documents


class Boards:
    """Owns the boards, by uid. What is put is on disk when `put` returns."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents
        self._boards: dict[str, Board] = {}
        self._titles: Mapping[str, str] | None = None

    def load(self) -> None:
        """What is no board's document is left alone."""
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
        """Of those that stay; worked out anew when a name or the set of boards changed."""
        if self._titles is None:
            self._titles = titles(board for board in self._boards.values() if not board.gone)
        return self._titles
