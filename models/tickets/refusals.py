"""What is refused about tickets. `facts` are what the wire shows as details."""

from collections.abc import Mapping, Sequence
from typing import Final

from models.errors import (
    ConflictError,
    ForbiddenError,
    InvalidError,
    NotFoundError,
)
from models.tickets.rules import CALLS_BEFORE_NO_SHOW, CounterStatus, Status

Facts = Mapping[str, object]


class TicketNotFoundError(NotFoundError):
    """There is no such ticket."""

    code = "ticket_not_found"

    def __init__(self, ticket_id: int | str) -> None:
        super().__init__(ticket_id)
        self.ticket_id = ticket_id
        self.facts: Facts = {"ticket_id": ticket_id}

    def __str__(self) -> str:
        return f"there is no ticket {self.ticket_id}"


class CounterNotFoundError(NotFoundError):
    """There is no such counter."""

    code = "counter_not_found"

    def __init__(self, counter_id: int | str) -> None:
        super().__init__(counter_id)
        self.counter_id = counter_id
        self.facts: Facts = {"counter_id": counter_id}

    def __str__(self) -> str:
        return f"there is no counter {self.counter_id}"


class ProcedureNotFoundError(NotFoundError):
    """There is no such procedure."""

    code = "procedure_not_found"

    def __init__(self, procedure_id: int | str) -> None:
        super().__init__(procedure_id)
        self.procedure_id = procedure_id
        self.facts: Facts = {"procedure_id": procedure_id}

    def __str__(self) -> str:
        return f"there is no procedure {self.procedure_id}"


class BranchNotFoundError(NotFoundError):
    """There is no such branch."""

    code = "branch_not_found"

    def __init__(self, branch_id: int | str) -> None:
        super().__init__(branch_id)
        self.branch_id = branch_id
        self.facts: Facts = {"branch_id": branch_id}

    def __str__(self) -> str:
        return f"there is no branch {self.branch_id}"


class ClipNotFoundError(NotFoundError):
    """The branch has no such clip."""

    code = "clip_not_found"

    def __init__(self, branch_id: int, language: str, key: str) -> None:
        super().__init__(branch_id, language, key)
        self.branch_id = branch_id
        self.language = language
        self.key = key
        self.facts: Facts = {"branch_id": branch_id, "language": language, "key": key}

    def __str__(self) -> str:
        return f"branch {self.branch_id} has no clip {self.language}/{self.key}"


class VoiceNotAvailableError(NotFoundError):
    """The server cannot say it: a display has voices of its own, or its chime."""

    code = "voice_not_available"

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.facts: Facts = {"reason": reason}

    def __str__(self) -> str:
        return f"it cannot be said: {self.reason}"


class AnnouncementNotFoundError(NotFoundError):
    """Nobody announced it, or that was too long ago."""

    code = "announcement_not_found"

    def __init__(self, announcement_id: str) -> None:
        super().__init__(announcement_id)
        self.announcement_id = announcement_id
        self.facts: Facts = {"announcement_id": announcement_id}

    def __str__(self) -> str:
        return f"there is no announcement {self.announcement_id}, or no longer"


class NoWaitingTicketsError(NotFoundError):
    """Nobody waits at the counter."""

    code = "no_waiting_tickets"

    def __init__(self, counter_id: int) -> None:
        super().__init__(counter_id)
        self.counter_id = counter_id
        self.facts: Facts = {"counter_id": counter_id}

    def __str__(self) -> str:
        return f"nobody waits at counter {self.counter_id}"


class InvalidCounterError(InvalidError):
    """No ticket is handed out for this counter: there is none, or it does not take people."""

    code = "invalid_counter"

    def __init__(self, counter_id: int, status: CounterStatus | None) -> None:
        super().__init__({"counter_id": "Expected an active counter"})
        self.args = (counter_id, status)
        self.counter_id = counter_id
        self.facts: Facts = {
            "counter_id": counter_id,
            "counter_status": None if status is None else status.value,
        }

    def __str__(self) -> str:
        return f"counter {self.counter_id} does not exist or does not take people now"


class InvalidProcedureError(InvalidError):
    """No ticket is handed out for this procedure there."""

    code = "invalid_procedure"

    def __init__(self, procedure_id: int, counter_ids: Sequence[int] = ()) -> None:
        super().__init__({"procedure_id": "Expected a procedure that the counter does"})
        self.args = (procedure_id, counter_ids)
        self.procedure_id = procedure_id
        self.facts: Facts = {"procedure_id": procedure_id, "counter_ids": list(counter_ids)}

    def __str__(self) -> str:
        return f"procedure {self.procedure_id} is not offered there"


class StatusTransitionError(InvalidError):
    """A ticket cannot go from where it is to where somebody wants it."""

    code = "invalid_status_transition"

    def __init__(self, current: Status, requested: str, allowed: Sequence[Status]) -> None:
        super().__init__({"status": "Expected an allowed transition"})
        self.args = (current, requested, allowed)
        self.current_status = current.value
        self.requested_status = requested
        self.facts: Facts = {
            "current_status": current.value,
            "requested_status": requested,
            "allowed_transitions": [each.value for each in allowed],
        }

    def __str__(self) -> str:
        return f"cannot go from '{self.current_status}' to '{self.requested_status}'"


class TooFewCallsError(InvalidError):
    """Nobody is absent before having been called often enough."""

    code = "too_few_calls"

    def __init__(self, call_count: int) -> None:
        super().__init__({"call_count": f"Expected {CALLS_BEFORE_NO_SHOW} calls"})
        self.args = (call_count,)
        self.call_count = call_count
        self.calls_needed: Final = CALLS_BEFORE_NO_SHOW
        self.facts: Facts = {"call_count": call_count, "calls_needed": CALLS_BEFORE_NO_SHOW}

    def __str__(self) -> str:
        return f"called {self.call_count} times, expected {self.calls_needed}"


class UnauthorizedCounterError(ForbiddenError):
    """An officer acts at the own counter only."""

    code = "unauthorized_counter"

    def __init__(self, counter_id: int, user_counter_id: int | None) -> None:
        super().__init__(counter_id, user_counter_id)
        self.counter_id = counter_id
        self.facts: Facts = {
            "ticket_counter_id": counter_id,
            "user_counter_id": user_counter_id,
        }

    def __str__(self) -> str:
        return f"counter {self.counter_id} is not the user's own"


class CounterBusyError(ConflictError):
    """Somebody was called to the counter and is not served yet."""

    code = "counter_busy"

    def __init__(self, counter_id: int, ticket_id: int, number: int) -> None:
        super().__init__(counter_id, ticket_id, number)
        self.counter_id = counter_id
        self.number = number
        self.facts: Facts = {
            "counter_id": counter_id,
            "ticket_id": ticket_id,
            "number": number,
        }

    def __str__(self) -> str:
        return f"number {self.number} was called to counter {self.counter_id} and is not served yet"


class CounterNotActiveError(ConflictError):
    """The counter has a pause or is closed, or takes people already."""

    code = "counter_not_active"

    def __init__(self, counter_id: int, status: CounterStatus) -> None:
        super().__init__(counter_id, status)
        self.counter_id = counter_id
        self.counter_status = status.value
        self.facts: Facts = {"counter_id": counter_id, "counter_status": status.value}

    def __str__(self) -> str:
        return f"counter {self.counter_id} is {self.counter_status}"


class BranchClosedError(ConflictError):
    """The hall hands out no tickets at this hour."""

    code = "branch_closed"

    def __init__(self, branch_id: int, opens_at: str | None) -> None:
        super().__init__(branch_id, opens_at)
        self.branch_id = branch_id
        self.opens_at = opens_at
        self.facts: Facts = {"branch_id": branch_id, "opens_at": opens_at}

    def __str__(self) -> str:
        return f"branch {self.branch_id} is closed until {self.opens_at or 'further notice'}"


class TicketNotServedError(ConflictError):
    """Only who was served can say how that was."""

    code = "ticket_not_served"

    def __init__(self, status: Status) -> None:
        super().__init__(status)
        self.status = status.value
        self.facts: Facts = {"current_status": status.value}

    def __str__(self) -> str:
        return f"the ticket is {self.status}, expected completed"


class TooManyClipsError(ConflictError):
    """The branch has as many clips as it may."""

    code = "too_many_clips"

    def __init__(self, branch_id: int, clips_max: int) -> None:
        super().__init__(branch_id, clips_max)
        self.branch_id = branch_id
        self.clips_max = clips_max
        self.facts: Facts = {"branch_id": branch_id, "clips_max": clips_max}

    def __str__(self) -> str:
        return f"branch {self.branch_id} has {self.clips_max} clips, as many as it may"


class NameTakenError(ConflictError):
    """Another branch, counter of the branch, or procedure has this name."""

    code = "name_taken"

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name
        self.facts: Facts = {"name": name}

    def __str__(self) -> str:
        return f"{self.name} exists"
