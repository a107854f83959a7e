"""What workers do for messages: let leases run out, let old messages go, keep the counts honest."""

import structlog

from models import pulse
from models.clock import now_ms
from models.messages import jobs, recording, watching
from models.messages.anomalies import thresholds_of
from workers.app import Task, app

# How often the history is written; what it may write each time is in proportion.
RECORD_EVERY_S = 2

_log = structlog.stdlib.get_logger(__name__)


@app.task(name="messages.expire", bind=True)
def expire(self: Task) -> None:
    """Put messages back whose lease ran out, and tell those who wait for one."""
    lapses = jobs.expire(self.database, now_ms=now_ms())
    if lapses.has_arrivals:
        self.wake(jobs.DOMAIN)
    self.publish(jobs.DOMAIN, lapses.events)


@app.task(name="messages.archive", bind=True)
def archive(self: Task) -> None:
    """Archive what was acknowledged long ago, and delete what is older still."""
    archived, deleted = jobs.grow_old(
        self.database,
        archive_after_ms=self.settings.archive_after_s * 1000,
        delete_after_ms=self.settings.delete_after_s * 1000,
        now_ms=now_ms(),
    )
    if archived or deleted:
        _log.info("messages_grew_old", archived=archived, deleted=deleted)


@app.task(name="messages.recount", bind=True)
def recount(self: Task) -> None:
    """Check the counters against the tables, set them right, and say so loudly if they were not."""
    differences = jobs.recount(self.database)
    if differences:
        _log.error(
            "counters_were_wrong",
            differences={"/".join(key): numbers for key, numbers in differences.items()},
        )
    jobs.fold_counters(self.database)


@app.task(name="messages.record", bind=True)
def record(self: Task) -> None:
    """Write what happened into the history; a repeat, or two at once, write nothing twice."""
    events_max = self.settings.history_events_per_s_max * RECORD_EVERY_S
    if events_max:
        done = recording.record(self.database, self.redis, events_max=events_max)
        if done.gaps:
            _log.warning("history_has_gaps", gaps=done.gaps)


@app.task(name="messages.forget", bind=True)
def forget(self: Task) -> None:
    """Delete what the history need not keep."""
    recording.forget(
        self.database,
        history_keep_ms=self.settings.history_keep_s * 1000,
        rows_max=self.settings.history_rows_max,
        now_ms=now_ms(),
    )


@app.task(name="messages.watch", bind=True)
def watch(self: Task) -> None:
    """Keep how deep the queues are, and say what went wrong and what is right again."""
    thresholds = thresholds_of(self.settings.anomaly_waiting_s, self.settings.anomaly_failures_max)
    watched = watching.sample(self.database, thresholds, now_ms=now_ms())
    for kind, subject in watched.new:
        _log.warning("anomaly_found", kind=kind, subject=subject)
    for kind, subject in watched.over:
        _log.info("anomaly_over", kind=kind, subject=subject)


@app.task(name="messages.see", bind=True)
def see(self: Task) -> None:
    """Keep the pulse of this minute, and tell the console; a repeat changes nothing."""
    self.publish(pulse.DOMAIN, jobs.see(self.database, now_ms=now_ms()))
