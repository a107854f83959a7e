"""The base of tasks whose work must happen: they work off rows of the outbox."""

import uuid

import structlog

from models import outbox
from models.clock import now_ms
from models.errors import UnavailableError
from workers.app import Task, describe

_log = structlog.stdlib.get_logger(__name__)


class OutboxTask(Task):
    """A task for a row of the outbox: the message carries the row's id, `run` gets its arguments.

    The row is claimed before and finished after; a message for a row that is done, or that another
    worker holds, does nothing. An error gives the row back, to be sent again after a pause.
    """

    abstract = True
    typing = False  # the message's arguments are not those of `run`

    def __call__(self, outbox_id: int) -> None:
        """Claim, run, finish."""
        claim_id = uuid.uuid4().hex
        with self.database.begin() as connection:
            args = outbox.claim(
                connection,
                outbox_id=outbox_id,
                task=self.name,
                claim_id=claim_id,
                now_ms=now_ms(),
            )
        if args is None:
            _log.info("outbox_skipped", outbox_id=outbox_id)
            return
        try:
            self.run(*args)
        except Exception as error:
            self._give_back(outbox_id, claim_id, error)
            raise
        with self.database.begin() as connection:
            finished = outbox.finish(
                connection, outbox_id=outbox_id, claim_id=claim_id, now_ms=now_ms()
            )
        if not finished:
            _log.warning("outbox_claim_lost", outbox_id=outbox_id)

    def _give_back(self, outbox_id: int, claim_id: str, error: Exception) -> None:
        try:
            with self.database.begin() as connection:
                outbox.fail(
                    connection,
                    outbox_id=outbox_id,
                    claim_id=claim_id,
                    reason=describe(error),
                    now_ms=now_ms(),
                    resend_after_ms=self.settings.outbox_resend_after_s * 1000,
                )
        except UnavailableError as away:
            # The claim runs out by itself, and the error that `run` met must not be lost.
            _log.warning("outbox_not_given_back", outbox_id=outbox_id, reason=str(away))
