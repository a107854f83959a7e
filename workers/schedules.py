"""What workers do for schedules: put in what is due."""

import structlog

from models.clock import now_ms
from models.messages.rules import ATTEMPTS_DEFAULT, LEASE_DEFAULT_MS
from models.schedules import jobs
from workers.app import Task, app

_log = structlog.stdlib.get_logger(__name__)


@app.task(name="schedules.run", bind=True)
def run(self: Task) -> None:
    """Put in the messages whose moment has come, and tell those who wait for one.

    A moment that no worker took is found by the next one: nothing depends on a tick.
    """
    done = jobs.run_due(
        self.database,
        attempts_default=min(ATTEMPTS_DEFAULT, self.settings.attempts_max),
        lease_default_ms=min(LEASE_DEFAULT_MS, self.settings.lease_max_s * 1000),
        now_ms=now_ms(),
    )
    if done.arrivals:
        self.wake(jobs.DOMAIN, done.arrivals)
    self.publish(jobs.DOMAIN, done.events)
    for name, reason in done.failed.items():
        _log.warning("schedule_failed", schedule=name, reason=reason)
    if done.broken is not None:
        raise done.broken
