"""What a request does with tickets: hand out, look, call, move. What changed is on disk then."""

import secrets
from collections.abc import Callable
from typing import Final

from sqlalchemy import Connection

from models.database import Database
from models.tickets import holders, kiosk, moves
from models.tickets.acting import Acting
from models.tickets.desks import Hall, read_edition, read_hall
from models.tickets.facts import Done
from models.tickets.kiosk import Issued
from models.tickets.looks import SharedLook
from models.tickets.moves import Moved, Scene
from models.tickets.refusals import CounterNotFoundError, TicketNotFoundError
from models.tickets.rules import Branch, Counter, Move, NewTicket, PrintState, Ticket
from models.tickets.statements import halls, tickets
from models.tickets.turnstile import Turnstile

# 128 bits: nobody finds another's ticket by guessing.
_PUBLIC_ID_BYTES: Final = 16


class TicketService:
    """The tickets of one database, as one process sees them."""

    def __init__(self, database: Database, turnstile: Turnstile) -> None:
        self._database: Final = database
        self._turnstile: Final = turnstile
        self._hall: Hall | None = None
        self._looks: Final = SharedLook(self._look)

    async def issue(self, new: NewTicket, *, branch_id: int | None = None, now_ms: int) -> Issued:
        """Hand out a ticket with a number that nobody else has.

        Raises InvalidCounterError, InvalidProcedureError or BranchClosedError.
        """
        found = await self._database.read(
            lambda connection: kiosk.branch_for(connection, new, branch_id=branch_id)
        )
        public_id = secrets.token_urlsafe(_PUBLIC_ID_BYTES)

        def step(connection: Connection, branch: Branch) -> Done[Issued]:
            return kiosk.issue(connection, branch, new, public_id=public_id, now_ms=now_ms)

        return await self._turnstile.run(found, step, now_ms=now_ms)

    async def get(self, ticket_id: int | str) -> tuple[Ticket, Counter]:
        """Return a ticket by its id or by what its paper says; raises TicketNotFoundError."""

        def read(connection: Connection) -> tuple[Ticket, Counter]:
            by_id = isinstance(ticket_id, int)
            found = (
                tickets.by_id(connection, int(ticket_id))
                if by_id
                else tickets.by_public_id(connection, str(ticket_id))
            )
            if found is None:
                raise TicketNotFoundError(ticket_id)
            counter = halls.counter_of(connection, found.counter_id)
            assert counter is not None
            return found, counter

        return await self._database.read(read)

    async def hall(self, *, now_ms: int) -> Hall:
        """Return every counter with everybody at it, as it is now."""
        return await self._looks.ask(now_ms=now_ms)

    async def _look(self, now_ms: int) -> Hall:
        known = self._hall
        if known is not None:
            edition = await self._database.read(
                lambda connection: read_edition(connection, now_ms=now_ms)
            )
            if edition == known.edition:
                return known
        self._hall = read = await self._database.read(
            lambda connection: read_hall(connection, now_ms=now_ms)
        )
        return read

    async def move(self, ticket_id: int, move: Move, acting: Acting, *, now_ms: int) -> Moved:
        """Bring a ticket to another status.

        Raises TicketNotFoundError, UnauthorizedCounterError or StatusTransitionError.
        """
        return await self._at_ticket(
            ticket_id, lambda scene: moves.move(scene, ticket_id, move), acting, now_ms=now_ms
        )

    async def recall(self, ticket_id: int, acting: Acting, *, now_ms: int) -> Moved:
        """Call somebody again; raises as `move` does."""
        return await self._at_ticket(
            ticket_id, lambda scene: moves.recall(scene, ticket_id), acting, now_ms=now_ms
        )

    async def no_show(
        self, ticket_id: int, acting: Acting, *, notes: str | None, now_ms: int
    ) -> Moved:
        """Note that somebody did not come; raises TooFewCallsError, and as `move` does."""
        return await self._at_ticket(
            ticket_id,
            lambda scene: moves.no_show(scene, ticket_id, notes=notes),
            acting,
            now_ms=now_ms,
        )

    async def park(
        self, ticket_id: int, acting: Acting, *, notes: str | None, now_ms: int
    ) -> Moved:
        """Set a ticket aside until it returns; raises as `move` does."""
        return await self._at_ticket(
            ticket_id,
            lambda scene: moves.park(scene, ticket_id, notes=notes),
            acting,
            now_ms=now_ms,
        )

    async def unpark(self, ticket_id: int, acting: Acting, *, now_ms: int) -> Moved:
        """Let a ticket return to its place; raises as `move` does."""
        return await self._at_ticket(
            ticket_id, lambda scene: moves.unpark(scene, ticket_id), acting, now_ms=now_ms
        )

    async def transfer(
        self,
        ticket_id: int,
        counter_id: int,
        acting: Acting,
        *,
        notes: str | None,
        now_ms: int,
    ) -> Moved:
        """Send a ticket to another counter; raises InvalidCounterError, and as `move` does."""
        return await self._at_ticket(
            ticket_id,
            lambda scene: moves.transfer(scene, ticket_id, counter_id, notes=notes),
            acting,
            now_ms=now_ms,
        )

    async def call_next(self, counter_id: int, acting: Acting, *, now_ms: int) -> Moved:
        """Call whoever is next at a counter; nobody else calls the same.

        Raises CounterNotFoundError, UnauthorizedCounterError, CounterNotActiveError,
        CounterBusyError or NoWaitingTicketsError.
        """
        counter = await self._database.read(
            lambda connection: halls.counter_of(connection, counter_id)
        )
        if counter is None:
            raise CounterNotFoundError(counter_id)
        return await self._run(
            counter.branch_id,
            lambda scene: moves.call_next(scene, counter_id),
            acting,
            now_ms=now_ms,
        )

    async def rate(
        self, public_id: str, *, rating: int, comment: str | None, now_ms: int
    ) -> Ticket:
        """Note how it was for who holds a paper.

        Raises TicketNotFoundError or TicketNotServedError.
        """
        return await self._at_paper(
            public_id,
            lambda connection: holders.rate(
                connection, public_id, rating=rating, comment=comment, now_ms=now_ms
            ),
            now_ms=now_ms,
        )

    async def note_print(self, public_id: str, state: PrintState, *, now_ms: int) -> Ticket:
        """Note what became of a ticket's paper; raises TicketNotFoundError."""
        return await self._at_paper(
            public_id,
            lambda connection: holders.note_print(connection, public_id, state, now_ms=now_ms),
            now_ms=now_ms,
        )

    async def _at_paper(
        self, public_id: str, act: Callable[[Connection], Done[Ticket]], *, now_ms: int
    ) -> Ticket:
        found = await self._database.read(
            lambda connection: tickets.by_public_id(connection, public_id)
        )
        if found is None:
            raise TicketNotFoundError(public_id)
        return await self._turnstile.run(
            found.branch_id, lambda connection, _branch: act(connection), now_ms=now_ms
        )

    async def _at_ticket(
        self,
        ticket_id: int,
        act: Callable[[Scene], Done[Moved]],
        acting: Acting,
        *,
        now_ms: int,
    ) -> Moved:
        branch_id = await self._database.read(
            lambda connection: tickets.branch_id_of(connection, ticket_id)
        )
        if branch_id is None:
            raise TicketNotFoundError(ticket_id)
        return await self._run(branch_id, act, acting, now_ms=now_ms)

    async def _run(
        self,
        branch_id: int,
        act: Callable[[Scene], Done[Moved]],
        acting: Acting,
        *,
        now_ms: int,
    ) -> Moved:
        def step(connection: Connection, branch: Branch) -> Done[Moved]:
            scene = Scene(connection=connection, branch=branch, acting=acting, now_ms=now_ms)
            return act(scene)

        return await self._turnstile.run(branch_id, step, now_ms=now_ms)
