"""What workers do for tickets: bring to displays what was left, end days that are over, learn."""

import structlog

from models import pulse
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
    """Cancel who still waits where the day is over."""
    cancelled = jobs.close_days(
        self.database,
        after_ms=self.settings.ticket_close_after_s * 1000,
        now_ms=now_ms(),
    )
    if cancelled:
        _log.info("ticket_days_closed", cancelled=cancelled)


@app.task(name="tickets.calibrate", bind=True)
def calibrate(self: Task) -> None:
    """Compare estimates with what came of them, and tell of waits that are now others."""
    branches = jobs.calibrate(self.database, now_ms=now_ms())
    if branches:
        _log.info("ticket_estimates_calibrated", branches=branches)


@app.task(name="tickets.forget", bind=True)
def forget(self: Task) -> None:
    """Delete tickets past their time."""
    forgotten = jobs.forget(
        self.database, kept_ms=self.settings.tickets_keep_s * 1000, now_ms=now_ms()
    )
    if forgotten:
        _log.info("tickets_forgotten", tickets=forgotten)


@app.task(name="tickets.see", bind=True)
def see(self: Task) -> None:
    """Keep the pulse of this minute, and tell the console; a repeat changes nothing."""
    self.publish(pulse.DOMAIN, jobs.see(self.database, now_ms=now_ms()))
