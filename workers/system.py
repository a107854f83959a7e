"""What workers do for the house itself: tell that they live, see to the outbox, answer probes."""

import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Any, Final

import structlog
from celery import signals

from models import outbox, ticks, vitals
from models.clock import now_ms
from models.database import Database
from models.errors import UnavailableError
from models.redis import RedisAwayError
from workers.app import Task, app, send
from workers.outbox import OutboxTask

# Small enough that a sweep of SQLite's only writer holds nobody up.
_ROWS_AT_ONCE: Final = 200
_FINISHED_KEPT_MS: Final = 86_400_000
_PROBE_CLAIM_MS: Final = 5_000

_log = structlog.stdlib.get_logger(__name__)


@app.task(name="system.tick", bind=True)
def tick(self: Task) -> None:
    """Prove that a tick goes from beat through the broker into a worker."""
    vitals.note_tick(self.redis, now_ms=now_ms())


@app.task(name="system.resend", bind=True)
def resend(self: Task) -> None:
    """Send again what nobody claimed or finished in time; give up what was sent often enough."""
    while True:
        with self.database.begin() as connection:
            due = outbox.take_due(
                connection,
                now_ms=now_ms(),
                count=_ROWS_AT_ONCE,
                resend_after_ms=self.settings.outbox_resend_after_s * 1000,
                attempts_max=self.settings.outbox_attempts_max,
            )
        for hint in due.gave_up:
            _log.error("outbox_gave_up", outbox_id=hint.outbox_id, lost_task=hint.task)
        for hint in due.resend:
            _log.warning("outbox_sent_again", outbox_id=hint.outbox_id, sent_task=hint.task)
            send_hint(hint)
        if len(due.resend) + len(due.gave_up) < _ROWS_AT_ONCE:
            return


@app.task(name="system.clean", bind=True)
def clean(self: Task) -> None:
    """Delete rows of the outbox that were finished a day ago, a few at a time."""
    while True:
        with self.database.begin() as connection:
            deleted = outbox.delete_finished(
                connection, finished_before_ms=now_ms() - _FINISHED_KEPT_MS, count=_ROWS_AT_ONCE
            )
        if deleted < _ROWS_AT_ONCE:
            return


@app.task(name="system.probe", bind=True, base=OutboxTask)
def probe(self: OutboxTask) -> None:
    """Show that work noted in the database reaches a worker; that it finishes is the answer."""
    _log.debug("probe_ran", worker=self.request.hostname)


def send_hint(hint: outbox.Hint) -> None:
    """Tell a worker of a row, after the commit; raises UnavailableError when the broker is away."""
    send(hint.task, (hint.outbox_id,), queue=hint.task_queue, request_id=hint.request_id)


def start_probe(database: Database, *, resend_after_s: int) -> int:
    """Note a probe and send its hint; return its id, to be asked for with `probe_ms`.

    Blocks. Raises UnavailableError for the database or the broker, whichever is away.
    """
    with database.begin() as connection:
        hint = outbox.add(
            connection,
            task=probe.name,
            task_queue="system",
            now_ms=now_ms(),
            resend_after_ms=resend_after_s * 1000,
            claim_ms=_PROBE_CLAIM_MS,
        )
    send_hint(hint)
    return hint.outbox_id


def probe_ms(database: Database, outbox_id: int, *, timeout_s: float) -> int:
    """Wait for a probe and return its whole round trip in milliseconds.

    Blocks. Raises UnavailableError when no worker finished it in time, and withdraws the probe.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        with database.begin() as connection:
            entry = outbox.read(connection, outbox_id)
        if entry is not None and entry.finished_at_ms is not None:
            return entry.finished_at_ms - entry.created_at_ms
        if time.monotonic() > deadline:
            with database.begin() as connection:
                outbox.withdraw(connection, outbox_id)
            raise UnavailableError("workers", f"no worker answered a probe within {timeout_s:g} s")
        time.sleep(0.02)


class _Heartbeat:
    """Notes heartbeats beside the worker's own loop, which a silent Redis would hold up."""

    def __init__(self) -> None:
        self._executor = ThreadPoolExecutor(1, "heartbeat")
        self._under_way: Future[None] | None = None

    def note(self, name: str) -> None:
        """Note that a worker lives, unless the note before is still under way."""
        if self._under_way is None or self._under_way.done():
            self._under_way = self._executor.submit(self._write, name)

    def end(self, name: str) -> None:
        """Note that a worker ended on purpose, after the last note of its life."""
        self._executor.submit(self._forget, name)
        self._executor.shutdown()

    @staticmethod
    def _write(name: str) -> None:
        with suppress(*RedisAwayError):
            vitals.note_worker(app.redis, name, now_ms=now_ms())

    @staticmethod
    def _forget(name: str) -> None:
        with suppress(*RedisAwayError):
            vitals.forget_worker(app.redis, name)


_heartbeat: Final = _Heartbeat()


@signals.heartbeat_sent.connect
def _note_heartbeat(sender: Any, **_facts: object) -> None:
    _heartbeat.note(sender.eventer.hostname)


@signals.worker_shutdown.connect
def _note_end(sender: Any, **_facts: object) -> None:
    _heartbeat.end(sender.hostname)


@signals.task_postrun.connect
def _note_tick_ran(task: Any, **_facts: object) -> None:
    _note_tick_over(task.request)


@signals.task_revoked.connect
def _note_tick_expired(request: Any, **_facts: object) -> None:
    _note_tick_over(request)


def _note_tick_over(request: Any) -> None:
    if name := request.get(ticks.HEADER):
        with suppress(*RedisAwayError):
            ticks.note_over(app.redis, name)
