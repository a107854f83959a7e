"""What workers do for messages: let leases run out, let old messages go, keep the counts honest."""

import structlog

from models.clock import now_ms
from models.messages import jobs
from workers.app import Task, app

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
