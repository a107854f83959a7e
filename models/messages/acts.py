"""What somebody does to messages from outside their line: values and refusals; no I/O, no clock."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from models.events import Arrivals
from models.messages.rules import InvalidStateError, MessageState, lane_of, public_id

# Nobody works on these and they are not done: what they say may be said anew.
EDITABLE: Final = frozenset({MessageState.QUEUED, MessageState.DELAYED, MessageState.DEAD})


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """What of a message to set anew.

    `values` has any of payload, type, priority, max_attempts and lease_ms; what it leaves out
    stays. `due_at_ms` is for a delayed message alone, Unix milliseconds.
    """

    values: Mapping[str, Any]
    due_at_ms: int | None = None

    @property
    def fields(self) -> list[str]:
        """Return the names of what is set, for the audit log, which keeps no payload."""
        return sorted([*self.values, *(("due_at_ms",) if self.due_at_ms is not None else ())])

    @property
    def columns(self) -> dict[str, Any]:
        """Return what is set by the names of the tables' columns."""
        columns = dict(self.values)
        if "priority" in columns:
            columns["lane"] = lane_of(columns.pop("priority"))
        if self.due_at_ms is not None:
            columns["due_at_ms"] = self.due_at_ms
        return columns


@dataclass(frozen=True, slots=True, kw_only=True)
class Touched:
    """A message that somebody edited or deleted, as it is now or was; `row` has its columns.

    Where its group went on, `arrived` counts by line what came in, and `first_ids` has it by queue.
    """

    state: MessageState
    row: Mapping[str, Any]
    arrived: Arrivals = field(default_factory=dict)
    first_ids: Mapping[str, int] = field(default_factory=dict)

    @property
    def id(self) -> int:
        """Return the message's id."""
        return int(self.row["id"])


def check_editable(message_id: int, state: MessageState, edit: Edit) -> None:
    """Raise InvalidStateError unless a message in this state can be edited so."""
    if state not in EDITABLE:
        raise InvalidStateError(public_id(message_id), state, "queued, delayed or dead")
    if edit.due_at_ms is not None and state is not MessageState.DELAYED:
        raise InvalidStateError(public_id(message_id), state, "delayed")


def check_deletable(message_id: int, state: MessageState, *, force: bool) -> None:
    """Raise InvalidStateError for a message that is held, unless by force."""
    if state is MessageState.PROCESSING and not force:
        raise InvalidStateError(public_id(message_id), state, "another state, or force")
