"""Who acts at a counter, checked and noted within the transaction of the act."""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection

from models import audit
from models.audit import Actor, Change
from models.tickets.refusals import UnauthorizedCounterError
from models.tickets.rules import Staff


@dataclass(frozen=True, slots=True, kw_only=True)
class Acting:
    """Somebody with rights: as tickets know them, and as the audit log does."""

    staff: Staff
    actor: Actor

    def check(self, counter_id: int) -> None:
        """Raise UnauthorizedCounterError unless this one may act at a counter."""
        if not self.staff.may_act_at(counter_id):
            raise UnauthorizedCounterError(counter_id, self.staff.counter_id)

    def note(
        self,
        connection: Connection,
        action: str,
        target: str,
        details: Mapping[str, object],
        *,
        now_ms: int,
    ) -> None:
        """Put an act into the audit log, once its transaction commits."""
        change = Change(action=action, target=target, details=details)
        audit.add(connection, self.actor, change, now_ms=now_ms)
