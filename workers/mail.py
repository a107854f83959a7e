"""What workers do for mail: keep the index by what the watchers of the hosts tell."""

from typing import Final

import msgspec
import structlog

from models.clock import now_ms
from models.mail import jobs
from models.mail.rules import Batch, task_queue_of
from workers.app import Task, app, send

_decode: Final = msgspec.json.Decoder(Batch).decode
# An answer that comes later than that is asked for again.
_ANSWER_S: Final = 30.0

_log = structlog.stdlib.get_logger(__name__)


@app.task(name="mail.index", bind=True)
def index(self: Task, told: str) -> None:
    """Put a batch of a host into the index, and tell the host what is in it now."""
    batch = _decode(told)
    applied = jobs.apply_batch(self.database, batch, now_ms=now_ms())
    send(
        "mail_host.told",
        (applied.to_batch, applied.holds),
        queue=task_queue_of(batch.host),
        expires_s=_ANSWER_S,
    )


@app.task(name="mail.recount", bind=True)
def recount(self: Task) -> None:
    """Compare the counters of the index with the index."""
    for host, messages in jobs.recount(self.database).items():
        _log.error("mail_miscounted", host=host, messages=messages)


@app.task(name="mail.sample", bind=True)
def sample(self: Task) -> None:
    """Note what each host has, for the trend."""
    jobs.sample(self.database, keep_ms=self.settings.mail_samples_keep_s * 1000, now_ms=now_ms())
