"""A Celery beat of which any number may run: one leads, by a lease in Redis.

A leader that dies is replaced within LEASE_S and a second; TERM hands the lease over at once. The
schedule lives in memory: a beat that takes over, thaws or comes back owes nobody the ticks of the
meantime, but a moment named by `crontab` is not skipped while the lease changes hands. What a tick
does is harmless to repeat, so a leader that cannot reach Redis goes on leading.
"""

import os
import socket
import time
import uuid
from contextlib import suppress
from datetime import timedelta
from typing import Any, Final

import celery.beat
import structlog
from redis.exceptions import LockError
from redis.lock import Lock

from models import ticks, vitals
from models.clock import now_ms
from models.redis import RedisAwayError
from workers.app import describe

LEASE_KEY: Final = "beat:lease"
LEASE_S: Final = 5.0
_RENEW_EVERY_S: Final = 1.0

_log = structlog.stdlib.get_logger(__name__)


class Scheduler(celery.beat.Scheduler):
    """Celery's scheduler with a lease around it and ticks that do not pile up."""

    # Celery's own producer waits for a broker without end; each send takes one from the pool.
    producer = None

    def __init__(self, *args: Any, **options: Any) -> None:
        options.pop("schedule_filename", None)
        self._leads = False
        self._lease_unknown = False  # Redis is away, and that was said
        self._renew_at_s = 0.0
        self._patience_ms: dict[str, int] = {}
        self._unsent: set[str] = set()
        super().__init__(*args, **options)
        self.max_interval = _RENEW_EVERY_S

    def setup_schedule(self) -> None:
        """Take the schedule from the configuration; the lease is asked for at the first tick."""
        super().setup_schedule()
        for entry in self.schedule.values():
            # In the message, so that a worker can tell which tick is over.
            entry.options = {**entry.options, "headers": {ticks.HEADER: entry.name}}
        self._redis = self.app.redis
        # The lease's value: whoever looks into Redis sees which process leads.
        self._name = f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
        self._lease = Lock(self._redis, LEASE_KEY, timeout=LEASE_S, thread_local=False)

    def tick(self, *args: Any, **options: Any) -> float:
        """Send what is due if this beat leads; return how many seconds it may sleep."""
        if time.monotonic() >= self._renew_at_s:
            self._leads = self._keep_lease()
            self._renew_at_s = time.monotonic() + _RENEW_EVERY_S
        if not self._leads:
            return _RENEW_EVERY_S
        return min(float(super().tick(*args, **options)), _RENEW_EVERY_S)

    def apply_entry(self, entry: Any, producer: Any = None) -> None:
        """Send one tick, unless its predecessor still waits or runs."""
        if self._is_pending(entry.name):
            return
        try:
            self.apply_async(entry, producer=producer, advance=False)
        except Exception as error:  # noqa: BLE001 (one tick must not end beat, whatever it met)
            self._note_unsent(entry.name, error)
        else:
            self._note_sent(entry.name)

    def close(self) -> None:
        """End, and let another beat lead at once."""
        if self._leads:
            self._leads = False
            with suppress(LockError, *RedisAwayError):
                self._lease.release()
            _log.info("beat_stopped_leading", beat=self._name)
        super().close()

    def _keep_lease(self) -> bool:
        """Renew the lease or try to get it, and say whether this beat leads."""
        try:
            leads = self._renew() if self._leads else self._acquire()
            if leads:
                vitals.note_beat(self._redis, now_ms=now_ms())
        except RedisAwayError as error:
            if not self._lease_unknown:
                _log.warning("beat_lease_unknown", leads=self._leads, reason=str(error))
            self._lease_unknown = True
            return self._leads
        self._lease_unknown = False
        if leads and not self._leads:
            self._begin()
        if self._leads and not leads:
            _log.warning("beat_lost_lead", beat=self._name)
        return bool(leads)

    def _renew(self) -> bool:
        """Renew the lease, or get it again if it ran out while nobody else took it."""
        try:
            return bool(self._lease.reacquire())
        except LockError:
            return self._acquire()

    def _acquire(self) -> bool:
        return bool(self._lease.acquire(blocking=False, token=self._name))

    def _begin(self) -> None:
        _log.info("beat_leads", beat=self._name)
        for entry in self.schedule.values():
            # As far back as the last leader may have been dead.
            entry.last_run_at = entry.default_now() - timedelta(seconds=LEASE_S + _RENEW_EVERY_S)
        self._heap = None  # Celery computes it anew

    def _is_pending(self, name: str) -> bool:
        """Say whether to wait for the predecessor; the longer, the more often none answered."""
        try:
            since_ms = ticks.pending_since_ms(self._redis, name)
            patience_ms = self._patience_ms.get(name, ticks.PATIENCE_MS_MIN)
            if since_ms is not None and 0 <= now_ms() - since_ms < patience_ms:
                return True
            if since_ms is None:
                self._patience_ms.pop(name, None)
            else:
                self._patience_ms[name] = min(patience_ms * 2, ticks.PATIENCE_MS_MAX)
            ticks.note_sent(self._redis, name, now_ms=now_ms())
        except RedisAwayError:
            pass  # the message expires, which bounds what piles up
        return False

    def _note_unsent(self, name: str, error: Exception) -> None:
        if name not in self._unsent:
            _log.warning("tick_not_sent", tick=name, error=describe(error.__context__ or error))
        self._unsent.add(name)
        with suppress(*RedisAwayError):
            ticks.note_over(self._redis, name)

    def _note_sent(self, name: str) -> None:
        if name in self._unsent:
            _log.info("tick_sent_again", tick=name)
            self._unsent.discard(name)
