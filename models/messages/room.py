"""Whether there is room for new messages: in a queue that exists and is not full."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

from sqlalchemy import Connection

from models.errors import StanchionError
from models.messages.policies import QueueFullError, QueueNotFoundError, QueueSettings
from models.messages.rules import Submission
from models.messages.statements import counts


def find_refusals(
    connection: Connection,
    submissions: Sequence[Submission],
    settings: Mapping[str, QueueSettings],
    names: set[str],
) -> dict[int, StanchionError]:
    """Return why submissions cannot be stored, by their place; those not named can.

    `names` are the queues they go to. A full queue takes what still fits, in order.
    """
    if all(name in settings and settings[name].waiting_max is None for name in names):
        return {}  # most of the time, so the messages are not counted
    room = _Room(connection, settings)
    refusals: dict[int, StanchionError] = {}
    for place, submission in enumerate(submissions):
        wanted = Counter(new.queue for new in submission.messages)
        if refusal := room.refusal(wanted):
            refusals[place] = refusal
        else:
            room.take(wanted)
    return refusals


class _Room:
    """How many messages each queue with a bound still takes in this transaction."""

    def __init__(self, connection: Connection, settings: Mapping[str, QueueSettings]) -> None:
        self._connection: Final = connection
        self._settings: Final = settings
        self._free: Final[dict[str, int]] = {}

    def refusal(self, wanted: Mapping[str, int]) -> StanchionError | None:
        """Say why so many messages of each queue find no room, if so."""
        for name, count in wanted.items():
            if name not in self._settings:
                return QueueNotFoundError(name)
            waiting_max = self._settings[name].waiting_max
            if waiting_max is not None and count > self._free_in(name, waiting_max):
                return QueueFullError(name, waiting_max)
        return None

    def take(self, wanted: Mapping[str, int]) -> None:
        """Note messages that are stored."""
        for name in wanted.keys() & self._free.keys():
            self._free[name] -= wanted[name]

    def _free_in(self, name: str, waiting_max: int) -> int:
        if name not in self._free:
            self._free[name] = waiting_max - counts.waiting(self._connection, name)
        return self._free[name]
