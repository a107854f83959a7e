"""Whether the watcher of a mail host knows what its Exim lists."""

from typing import Final

import structlog

from models.clock import now_ms
from models.mail.exim import Exim
from models.mail.watcher import Watcher

_CHECK_S: Final = 60.0

_log = structlog.stdlib.get_logger(__name__)


class SelfCheck:
    """Asks Exim now and then how many messages it has, and which, when the numbers differ."""

    def __init__(self, exim: Exim, watcher: Watcher) -> None:
        self._exim: Final = exim
        self._watcher: Final = watcher
        self._checked_at_ms = now_ms()

    def step(self) -> None:
        """Ask, once a minute; what differs is logged, and told by the watcher from then on."""
        if now_ms() - self._checked_at_ms < _CHECK_S * 1000:
            return
        self._checked_at_ms = now_ms()
        if self._exim.count() == self._watcher.count_of():
            return
        ids = [
            each.message_id
            for queue in self._watcher.queues()
            for each in self._exim.listing(queue)
        ]
        check = self._watcher.compare(ids)
        if check.missing or check.surplus:
            _log.warning(
                "mail_differed",
                listed=check.listed,
                missing=len(check.missing),
                surplus=len(check.surplus),
            )
