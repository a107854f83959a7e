"""Carries out orders on a mail host: each once, whatever the broker repeats."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import structlog

from models.mail.exim import Exim, EximError
from models.mail.operations import Order, called_off
from models.mail.rules import Action, Outcome, Result, is_message_id

# Attempts at a time: a slow receiver holds up seven others, and not the whole queue.
_DELIVERIES_AT_ONCE: Final = 8
# Who asks for deliveries is answered by then, also for those that wait for their turn.
_START_S: Final = 3.0
_REMEMBERED_MAX: Final = 1_000

_log = structlog.stdlib.get_logger(__name__)


class Doer:
    """Acts on the messages of one Exim; safe for use by several threads."""

    def __init__(self, exim: Exim, *, clock: Callable[[], int]) -> None:
        self._exim: Final = exim
        self._clock: Final = clock
        self._lock: Final = threading.Lock()
        self._done: Final[OrderedDict[tuple[str, int], list[Outcome]]] = OrderedDict()
        self._deliveries: Final = ThreadPoolExecutor(_DELIVERIES_AT_ONCE, "mail-delivery")

    def close(self) -> None:
        """Begin no further delivery; what is under way goes on without us."""
        self._deliveries.shutdown(wait=False, cancel_futures=True)

    def do(self, order: Order) -> list[Outcome]:
        """Carry out an order and return what came of each message.

        One that was carried out before is not again: its outcomes are returned once more. One
        whose time is over is not begun.
        """
        which = order.chunk.operation_id, order.chunk.number
        with self._lock:
            if which in self._done:
                return self._done[which]
        if self._clock() > order.expires_at_ms:
            return called_off(order.chunk)
        found = self._act(order)
        with self._lock:
            self._done[which] = found
            while len(self._done) > _REMEMBERED_MAX:
                self._done.popitem(last=False)
        return found

    def _act(self, order: Order) -> list[Outcome]:
        chunk = order.chunk
        # An order comes over a network: what is no id goes to no command.
        ids = [each for each in chunk.message_ids if is_message_id(each)]
        try:
            if order.action is Action.DELIVER:
                found = self._deliver(ids, chunk.queue)
            else:
                found = self._exim.act(order.action, ids, queue=chunk.queue)
        except EximError as error:
            return [
                Outcome(message_id=each, result=Result.SILENT, said=error.reason) for each in ids
            ]
        is_repeat = chunk.sends > 0
        return [_goal_reached(each, order.action) if is_repeat else each for each in found]

    def _deliver(self, message_ids: list[str], queue: str) -> list[Outcome]:
        """Start an attempt for each message, and return once all have begun, or after 3 s."""
        begun = {each: threading.Event() for each in message_ids}
        known: dict[str, Outcome] = {}

        def attempt(message_id: str) -> None:
            def started(outcome: Outcome) -> None:
                known[message_id] = outcome
                begun[message_id].set()

            try:
                self._exim.deliver(
                    message_id, queue=queue, started=started, heard=lambda _line: None
                )
            except EximError as error:
                _log.warning("mail_not_delivered", message_id=message_id, reason=error.reason)
                said = Outcome(message_id=message_id, result=Result.SILENT, said=error.reason)
                known.setdefault(message_id, said)
            finally:
                begun[message_id].set()

        for message_id in message_ids:
            self._deliveries.submit(attempt, message_id)
        deadline_s = time.monotonic() + _START_S
        for each in begun.values():
            each.wait(max(deadline_s - time.monotonic(), 0.0))
        return [
            known.get(each)
            or Outcome(message_id=each, result=Result.DONE, said="it waits for its turn")
            for each in message_ids
        ]


def _goal_reached(outcome: Outcome, action: Action) -> Outcome:
    """Take a message that is gone for removed, where an order may have been carried out before."""
    if action is Action.REMOVE and outcome.result is Result.GONE:
        return Outcome(message_id=outcome.message_id, result=Result.ALREADY, said=outcome.said)
    return outcome
