"""Dashboards delivered as files."""

from __future__ import annotations

from pathlib import Path

from app.services.dashboards.boards import new_board
from app.services.dashboards.delivery import FileDelivery


def test_all_files_are_written_by_one_thread(tmp_path: Path) -> None:
    """A permanent thread per dashboard took 75 MB for a thousand miners."""
    delivery = FileDelivery(tmp_path)
    before = count_threads()
    for number in range(20):
        delivery.deliver_dashboard(new_board("miner", f"02:00:5e:00:00:{number:02x}"), {"title": "miner"})
    assert count_threads() == before + 1
    assert len(list(tmp_path.glob("*.json"))) == 20
    delivery.close()


def count_threads() -> int:
    return len(list(Path("/proc/self/task").iterdir()))
