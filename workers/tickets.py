"""What workers do for tickets: bring to displays what was left behind, end days that are over."""

import structlog

from models.clock import now_ms
from models.tickets import jobs
from workers.app import Task, app

_log = structlog.stdlib.get_logger(__name__)


@app.task(name="tickets.sweep", bind=True)
def sweep(self: Task) -> None:
    """Append to the stream of displays what a process did and did not tell any more."""
    told = jobs.sweep(
        self.database, self.redis, kept_max=self.settings.events_kept_max, now_ms=now_ms()
    )
    if told:
        _log.info("ticket_news_swept", changes=told)


@app.task(name="tickets.close", bind=True)
def close(self: Task) -> None:
    """Cancel who still waits from a business day that is over."""
    cancelled = jobs.close_days(self.database, now_ms=now_ms())
    if cancelled:
        _log.info("ticket_days_closed", cancelled=cancelled)
