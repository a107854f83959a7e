"""Every word said to SQL about the outbox; one text for PostgreSQL and SQLite.

SQLite drops FOR UPDATE and SKIP LOCKED: its one writer needs neither.
"""

from typing import Final

from sqlalchemy import BigInteger, bindparam, delete, func, insert, or_, select, update

from models.outbox.tables import live, outbox

# Binds are named apart from columns, or SQLAlchemy would put them into SET.
_NOW_MS: Final = bindparam("now_ms", type_=BigInteger)
_OF_ID: Final = outbox.c.id == bindparam("of_id")
_OF_CLAIM: Final = outbox.c.claim_id == bindparam("held_claim_id")

ADD: Final = insert(outbox).returning(outbox.c.id)
CLAIM: Final = (
    update(outbox)
    .where(
        _OF_ID,
        outbox.c.task == bindparam("of_task"),
        live,
        or_(outbox.c.claim_id.is_(None), outbox.c.due_at_ms <= _NOW_MS),
    )
    .values(
        claim_id=bindparam("new_claim_id"),
        claimed_at_ms=_NOW_MS,
        due_at_ms=_NOW_MS + outbox.c.claim_ms,
    )
    .returning(outbox.c.args)
)
FINISH: Final = (
    update(outbox)
    .where(_OF_ID, _OF_CLAIM)
    .values(finished_at_ms=_NOW_MS, due_at_ms=None, claim_id=None, last_error=None)
    .returning(outbox.c.id)
)
HELD: Final = select(outbox.c.attempts).where(_OF_ID, _OF_CLAIM).with_for_update()
GIVE_BACK: Final = (
    update(outbox)
    .where(_OF_ID)
    .values(claim_id=None, due_at_ms=bindparam("new_due_at_ms"), last_error=bindparam("reason"))
)
DUE: Final = (
    select(outbox)
    .where(outbox.c.due_at_ms <= _NOW_MS)
    .order_by(outbox.c.due_at_ms)
    .limit(bindparam("count"))
    .with_for_update(skip_locked=True)
)
# A claim that ran out ends here, so that its holder cannot finish what another begins.
SENT_AGAIN: Final = (
    update(outbox)
    .where(_OF_ID)
    .values(claim_id=None, attempts=outbox.c.attempts + 1, due_at_ms=bindparam("new_due_at_ms"))
)
GIVE_UP: Final = (
    update(outbox).where(_OF_ID).values(claim_id=None, due_at_ms=None, failed_at_ms=_NOW_MS)
)
DELETE_FINISHED: Final = delete(outbox).where(
    outbox.c.id.in_(
        select(outbox.c.id)
        .where(outbox.c.finished_at_ms < bindparam("finished_before_ms", type_=BigInteger))
        .order_by(outbox.c.finished_at_ms)
        .limit(bindparam("count"))
    )
)
WITHDRAW: Final = delete(outbox).where(_OF_ID, outbox.c.claim_id.is_(None))
READ: Final = select(outbox).where(_OF_ID)
COUNT_FAILED: Final = (
    select(func.count()).select_from(outbox).where(outbox.c.failed_at_ms.is_not(None))
)
