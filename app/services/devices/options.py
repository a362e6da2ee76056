"""The model, chip count and vendor options of each device, read from the miner once per boot."""

from __future__ import annotations

import logging

from app.errors import DeviceError
from app.miners.device_client import READ_DEADLINE_SECONDS, Miner
from app.miners.vendor_options import look_up_options
from app.models import Reading, is_reboot
from app.services.devices.fleet import Fleet, Tracked

log = logging.getLogger(__name__)


class OptionsLoader:
    """Loads options into the fleet; owns no state."""

    def __init__(self, fleet: Fleet, deadline: float = READ_DEADLINE_SECONDS) -> None:
        self._fleet = fleet
        self._deadline = deadline

    def load_once_per_boot(self, tracked: Tracked, miner: Miner, reading: Reading) -> None:
        """Ask the miner unless its options are known and `reading` shows no reboot since.

        The vendor's tables serve where the miner has no answer: firmware without the path answers 302 or 404. A failure
        keeps the model of an earlier boot.
        """
        if tracked.options is not None and not is_reboot(tracked.reading, reading):
            return
        options = None
        try:
            board = miner.fetch_board(self._deadline)
            options = board.options
            self._fleet.set_board(tracked, board)
        except DeviceError as error:
            log.debug("miner did not report its options", extra={"mac": tracked.mac, "reason": error.reason})
        self._fleet.set_options(tracked, options or look_up_options(reading.info))
