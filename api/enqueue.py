"""Sends task messages from the event loop, which must not wait for a broker.

Celery's client blocks: 0.3 ms when all is well, 0.6 s when the broker is away. A few threads carry
that, and no more sends than they can finish in time may wait for them.
"""

import asyncio
import contextvars
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Final

import structlog

from models.errors import UnavailableError
from models.outbox import Hint
from workers.app import send

_THREADS: Final = 4
_PATIENCE_S: Final = 5.0

_log = structlog.stdlib.get_logger(__name__)


class TaskSender:
    """Hands messages to the broker, for one event loop; `close` it at the end."""

    def __init__(self, *, waiting_max: int = 1_000) -> None:
        self._waiting_max = waiting_max
        self._executor = ThreadPoolExecutor(_THREADS, "broker")
        self._waiting = 0

    async def send(
        self,
        task_name: str,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        *,
        queue: str,
        expires_s: float | None = None,
    ) -> None:
        """Send a message for a task; on return the broker has it.

        It carries the request id bound to the log. Raises UnavailableError when the broker is away
        or too many sends wait already; the message may have been sent all the same.
        """
        if self._waiting >= self._waiting_max:
            raise UnavailableError("broker", f"{self._waiting} sends wait for it already")
        call = partial(send, task_name, args, kwargs, queue=queue, expires_s=expires_s)
        # The thread sees the request's context, where the request id is bound.
        context = contextvars.copy_context()
        self._waiting += 1
        future = asyncio.get_running_loop().run_in_executor(self._executor, context.run, call)
        future.add_done_callback(self._note_over)
        try:
            await asyncio.wait_for(asyncio.shield(future), _PATIENCE_S)
        except TimeoutError:
            raise UnavailableError("broker", "it did not answer in time") from None
        except asyncio.CancelledError:
            if future.cancelled():  # by `close`; else it is the request that ends
                raise UnavailableError("broker", "this process ends") from None
            raise

    async def send_hint(self, hint: Hint) -> None:
        """Tell a worker of an outbox row, after its commit; with the broker away beat does it."""
        try:
            await self.send(hint.task, (hint.outbox_id,), queue=hint.task_queue)
        except UnavailableError as error:
            _log.warning("hint_not_sent", outbox_id=hint.outbox_id, reason=error.reason)

    def close(self) -> None:
        """Give up what waits; what is under way ends by itself."""
        self._executor.shutdown(wait=False, cancel_futures=True)

    def _note_over(self, future: "asyncio.Future[None]") -> None:
        self._waiting -= 1
        if not future.cancelled():
            future.exception()  # seen by `send`, unless that lost its patience
