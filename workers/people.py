"""What workers do about people: forget what is over, give the keys of tokens successors."""

import structlog

from models.clock import now_ms
from models.people import jobs
from models.rooms.room import SESSION_S_MAX
from workers.app import Task, app

_log = structlog.stdlib.get_logger(__name__)


@app.task(name="people.forget", bind=True)
def forget(self: Task) -> None:
    """Delete sessions that are over, and entries of the audit log past their time."""
    ended, forgotten = jobs.forget(
        self.database, audit_kept_ms=self.settings.audit_keep_s * 1000, now_ms=now_ms()
    )
    if ended or forgotten:
        _log.info("people_forgotten", sessions=ended, audit_entries=forgotten)


@app.task(name="people.rotate", bind=True)
def rotate(self: Task) -> None:
    """Give keys that signed for long enough a successor; delete those whose tokens are over."""
    made, gone = jobs.rotate(
        self.database,
        rotate_after_ms=self.settings.token_key_s * 1000,
        # The same keys sign the tokens of visitors, of which those of sessions live longest.
        token_ms=max(self.settings.token_s, SESSION_S_MAX) * 1000,
        now_ms=now_ms(),
    )
    if made or gone:
        _log.info("token_keys_rotated", made=made, deleted=gone)
