"""What a process knows of the queues, for transactions: at most a second old, one read for all."""

from collections.abc import Mapping
from typing import Final

from sqlalchemy import Connection

from models.messages.policies import QueueSettings
from models.messages.rules import DEFAULT_QUEUE
from models.messages.statements.queues import read_settings

AGE_MAX_MS: Final = 1_000


class Registry:
    """The settings of all queues as this process read them last; safe in any thread."""

    def __init__(self) -> None:
        self._generation = 0
        self._known: tuple[int, int, Mapping[str, QueueSettings]] | None = None

    def settings(self, connection: Connection, *, now_ms: int) -> Mapping[str, QueueSettings]:
        """Return the settings by name, read again when they are older than AGE_MAX_MS.

        The queue that is always there is always among them.
        """
        generation, known = self._generation, self._known
        # A clock that was set back makes them look new for ever, so that counts as old too.
        if known and known[0] == generation and 0 <= now_ms - known[1] < AGE_MAX_MS:
            return known[2]
        settings = {DEFAULT_QUEUE: QueueSettings(), **read_settings(connection)}
        self._known = (generation, now_ms, settings)
        return settings

    def forget(self) -> None:
        """Read them again at the next question, also if somebody is reading right now."""
        self._generation += 1
