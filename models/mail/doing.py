"""Carries out orders on a mail host: each once, whatever the broker repeats."""

import contextvars
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Final, Protocol

import structlog

from models.errors import InvalidError
from models.mail.exim import IDS_AT_ONCE_MAX, Exim, EximError
from models.mail.operations import Order, called_off
from models.mail.rules import (
    ATTEMPTED,
    EDITS,
    Action,
    Outcome,
    Result,
    is_message_id,
    is_queue,
)

# Attempts at a time: a slow receiver holds up seven others, and not the whole queue.
_ATTEMPTS_AT_ONCE: Final = 8
# Who asks for deliveries is answered by then, also for those that wait for their turn. Bounces
# take no time worth mentioning, and nobody is told that one was made before it was.
_START_S: Final = {Action.DELIVER: 3.0, Action.BOUNCE: 60.0}
_REMEMBERED_MAX: Final = 1_000

_log = structlog.stdlib.get_logger(__name__)


class Listener(Protocol):
    """Who hears what is said in attempts; called by several threads."""

    def hear(self, operation_id: str, message_id: str, action: Action, line: str) -> None:
        """Take a line of an attempt."""

    def end(self, operation_id: str, message_id: str) -> None:
        """Take note that an attempt is over."""


class Doer:
    """Acts on the messages of one Exim; safe for use by several threads."""

    def __init__(
        self,
        exim: Exim,
        *,
        clock: Callable[[], int],
        listener: Listener | None = None,
        settled: Callable[[Order, list[Outcome]], None] = lambda _order, _found: None,
    ) -> None:
        """`settled` hears what came of deliveries that somebody follows; by any thread."""
        self._exim: Final = exim
        self._clock: Final = clock
        self._listener: Final = listener
        self._settled: Final = settled
        self._lock: Final = threading.Lock()
        self._done: Final[OrderedDict[tuple[str, int], list[Outcome]]] = OrderedDict()
        self._begun: Final[set[tuple[str, int]]] = set()
        self._called_off: Final[set[tuple[str, int]]] = set()
        self._attempts: Final = ThreadPoolExecutor(_ATTEMPTS_AT_ONCE, "mail-attempt")

    def close(self, *, wait: bool = False) -> None:
        """Begin no further attempt; what is under way goes on without us, unless we `wait`."""
        self._attempts.shutdown(wait=wait, cancel_futures=True)

    def do(self, order: Order) -> list[Outcome] | None:
        """Carry out an order and return what came of each message.

        One that was carried out before is not again: its outcomes are returned once more. Of one
        that is being carried out at this moment nothing is known: None. One whose time is over is
        not begun, nor one that was called off, which keeps to what it had begun. Deliveries that
        somebody follows are told once all have begun: None.
        """
        which = order.chunk.operation_id, order.chunk.number
        with self._lock:
            if which in self._done:
                return self._done[which]
            if which in self._begun:
                if order.is_called_off:
                    self._called_off.add(which)
                return None
            if order.is_called_off:
                # The order itself may be right behind.
                self._done[which] = called_off(order.chunk)
                return self._done[which]
            if self._clock() > order.expires_at_ms:
                return called_off(order.chunk)
            self._begun.add(which)
        found: list[Outcome] | None = None
        is_told_later = False
        try:
            ids = _ids_of(order)
            is_good = is_queue(order.chunk.queue) and 0 < len(ids) <= IDS_AT_ONCE_MAX
            is_told_later = is_good and order.is_followed and order.action is Action.DELIVER
            if is_told_later:
                self._begin(order, ids)
            else:
                found = self._act(order, ids)
        finally:
            if not is_told_later:
                self._remember(which, found)
        return found

    def _remember(self, which: tuple[str, int], found: list[Outcome] | None) -> None:
        """Note that an order is not under way any more, and what came of it, if that is known."""
        with self._lock:
            self._begun.discard(which)
            self._called_off.discard(which)
            if found is not None:
                self._done[which] = found
                while len(self._done) > _REMEMBERED_MAX:
                    self._done.popitem(last=False)

    def _act(self, order: Order, ids: list[str]) -> list[Outcome]:
        chunk = order.chunk
        if not is_queue(chunk.queue) or len(ids) > IDS_AT_ONCE_MAX:
            said = "the order names no queue, or too many messages"
            return [Outcome(message_id=each, result=Result.REFUSED, said=said) for each in ids]
        try:
            if order.action in ATTEMPTED:
                found = self._attempt(order, ids)
            elif order.action in EDITS:
                found = [self._edit(order, each) for each in ids]
            else:
                found = self._exim.act(order.action, ids, queue=chunk.queue)
        except EximError as error:
            return [
                Outcome(message_id=each, result=Result.SILENT, said=error.reason) for each in ids
            ]
        return [_goal_reached(each, order) for each in found]

    def _begin(self, order: Order, ids: list[str]) -> None:
        """Have each message tried when it is its turn; tell once all have begun."""
        known: dict[str, Outcome] = {}
        lock = threading.Lock()

        def tell(outcome: Outcome) -> None:
            with lock:
                if outcome.message_id in known:
                    return
                known[outcome.message_id] = _goal_reached(outcome, order)
                if len(known) < len(ids):
                    return
            found = [known[each] for each in ids]
            self._remember((order.chunk.operation_id, order.chunk.number), found)
            self._settled(order, found)

        self._submit(order, ids, tell)

    def _submit(self, order: Order, ids: list[str], tell: Callable[[Outcome], None]) -> None:
        for each in ids:
            # The thread logs and is traced as the order is.
            context = contextvars.copy_context()
            self._attempts.submit(context.run, self._attempt_one, order, each, tell)

    def _edit(self, order: Order, message_id: str) -> Outcome:
        try:
            return self._exim.edit(
                order.action, message_id, order.addresses, queue=order.chunk.queue
            )
        except InvalidError as error:
            return Outcome(message_id=message_id, result=Result.REFUSED, said=str(error))

    def _attempt(self, order: Order, message_ids: list[str]) -> list[Outcome]:
        """Start an attempt for each message, and return once all have begun, or time is over."""
        begun = {each: threading.Event() for each in message_ids}
        known: dict[str, Outcome] = {}

        def tell(outcome: Outcome) -> None:
            known.setdefault(outcome.message_id, outcome)
            begun[outcome.message_id].set()

        self._submit(order, message_ids, tell)
        deadline_s = time.monotonic() + _START_S[order.action]
        for has_begun in begun.values():
            has_begun.wait(max(deadline_s - time.monotonic(), 0.0))
        is_promised = order.action is Action.DELIVER
        rest = Result.DONE if is_promised else Result.SILENT
        return [
            known.get(each) or Outcome(message_id=each, result=rest, said="it waits for its turn")
            for each in message_ids
        ]

    def _attempt_one(self, order: Order, message_id: str, tell: Callable[[Outcome], None]) -> None:
        operation_id, action = order.chunk.operation_id, order.action
        which = operation_id, order.chunk.number
        is_over = self._clock() > order.expires_at_ms or which in self._called_off
        if order.is_followed and is_over:
            # Who waits for an answer was promised an attempt; who follows is told that it is late.
            [late] = called_off(replace(order.chunk, message_ids=(message_id,)))
            tell(late)
            return

        def hear(line: str) -> None:
            if self._listener is not None:
                self._listener.hear(operation_id, message_id, action, line)

        try:
            self._exim.attempt(
                action, message_id, queue=order.chunk.queue, started=tell, heard=hear
            )
        except EximError as error:
            _log.warning("mail_not_tried", message_id=message_id, reason=error.reason)
            tell(Outcome(message_id=message_id, result=Result.SILENT, said=error.reason))
        finally:
            if self._listener is not None:
                self._listener.end(operation_id, message_id)


def _ids_of(order: Order) -> list[str]:
    """Return the ids in an order, each once.

    It comes over a network: what is no id goes to no command.
    """
    return list(dict.fromkeys(filter(is_message_id, order.chunk.message_ids)))


def _goal_reached(outcome: Outcome, order: Order) -> Outcome:
    """Take a message that is gone for dealt with, where an order may have been carried out before.

    It was removed, sent back, or delivered.
    """
    is_end = order.action is Action.REMOVE or order.action in ATTEMPTED
    if order.chunk.sends > 0 and is_end and outcome.result is Result.GONE:
        return Outcome(message_id=outcome.message_id, result=Result.ALREADY, said=outcome.said)
    return outcome
