"""What is answered about actions, in the contract's words: a message's outcome, an operation."""

from typing import Final

from msgspec import Struct

from api.mail.envelopes import MailSuccess
from api.mail.moments import iso_or_none
from models.clock import iso_utc
from models.mail.operations import Report, Settled
from models.mail.rules import GOOD, Action, Result

BULK_ACTIONS: Final = {
    "deliver": Action.DELIVER,
    "freeze": Action.FREEZE,
    "thaw": Action.THAW,
    "delete": Action.REMOVE,
    "bounce": Action.BOUNCE,
}
# The words of the contract for an action on one message, and in the audit log.
NAMES: Final = {
    Action.DELIVER: "deliver_now",
    Action.FREEZE: "freeze",
    Action.THAW: "thaw",
    Action.REMOVE: "delete",
    Action.BOUNCE: "bounce",
    Action.ADD_RECIPIENTS: "add_recipients",
    Action.DROP_RECIPIENTS: "drop_recipients",
    Action.CHANGE_SENDER: "change_sender",
}
BULK_NAMES: Final = {action: name for name, action in BULK_ACTIONS.items()}
EVENT_NAMES: Final = {**NAMES, **BULK_NAMES}  # as live clients hear it
_DONE: Final = {
    Action.DELIVER: "Delivery attempt initiated",
    Action.FREEZE: "Message frozen successfully",
    Action.THAW: "Message thawed successfully",
    Action.REMOVE: "Message deleted successfully",
    Action.BOUNCE: "Message returned to its sender",
    Action.ADD_RECIPIENTS: "Recipients added successfully",
    Action.DROP_RECIPIENTS: "Recipients marked as delivered",
    Action.CHANGE_SENDER: "Sender changed successfully",
}
_ALREADY: Final = {
    Action.DELIVER: "Delivery attempt initiated",
    Action.FREEZE: "Message is already frozen",
    Action.THAW: "Message is not frozen",
    Action.REMOVE: "Message had left the queue already",
    Action.BOUNCE: "Message had left the queue already",
    Action.ADD_RECIPIENTS: "They are recipients already",
    Action.DROP_RECIPIENTS: "Recipients marked as delivered",
    Action.CHANGE_SENDER: "Sender changed successfully",
}
_FAILED: Final = {
    Result.GONE: "Message not found",
    Result.LOCKED: "Message is being delivered",
    Result.BROKEN: "Message cannot be read",
    Result.DENIED: "Permission denied",
    Result.REFUSED: "Exim refused the address",
    Result.SILENT: "Exim gave no answer",
    Result.CANCELLED: "Called off before it began",
}


class MailResult(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What came of one message."""

    success: bool
    message_id: str
    operation: str
    message: str
    error: str = ""
    host: str = ""  # where many hosts were asked at once


class MailResultAnswer(MailSuccess[MailResult], frozen=True):
    """What came of the message; `data` is a list of them for many."""


class MailFailure(Struct, frozen=True, kw_only=True):
    """The message is there and nothing was done to it; `data` says why."""

    success: bool = False
    error: str
    data: MailResult


class MailBulkResult(Struct, frozen=True, kw_only=True):
    """What came of each message."""

    total_messages: int
    successful_count: int
    failed_count: int
    operation: str
    results: list[MailResult]


class MailBulkAnswer(MailSuccess[MailBulkResult], frozen=True):
    """What came of many messages."""


class MailOperation(Struct, frozen=True, kw_only=True):
    """How far an operation is, and what came of its messages so far."""

    id: str
    operation: str
    user: str
    total_messages: int
    settled_count: int
    successful_count: int
    failed_count: int
    created_at: str
    expires_at: str
    finished_at: str | None
    cancelled_at: str | None
    results: list[MailResult]


class MailOperationAnswer(MailSuccess[MailOperation], frozen=True):
    """An operation."""


def result_of(message_id: str, settled: Settled, action: Action, *, host: str = "") -> MailResult:
    """Return what came of an action on a message, in the contract's words."""
    outcome = settled.outcome
    is_good = outcome.result in GOOD
    if is_good:
        words = _DONE if outcome.result is Result.DONE else _ALREADY
        message = words[action]
    else:
        message = outcome.said or f"message {message_id}: {outcome.result.value}"
    return MailResult(
        success=is_good,
        message_id=message_id,
        operation=NAMES[action],
        message=message,
        error="" if is_good else _FAILED[outcome.result],
        host=host,
    )


def operation_answer(report: Report) -> MailOperationAnswer:
    """Return how far an operation is; of very many outcomes those that failed come first."""
    made = report.operation
    return MailOperationAnswer(
        data=MailOperation(
            id=made.id,
            operation=EVENT_NAMES[made.action],
            user=made.actor,
            total_messages=made.messages,
            settled_count=made.settled,
            successful_count=made.succeeded,
            failed_count=made.settled - made.succeeded,
            created_at=iso_utc(made.created_at_ms),
            expires_at=iso_utc(made.expires_at_ms),
            finished_at=iso_or_none(made.finished_at_ms),
            cancelled_at=iso_or_none(made.cancelled_at_ms),
            results=[
                result_of(each.outcome.message_id, each, made.action, host=each.host)
                for each in report.settled
            ],
        )
    )
