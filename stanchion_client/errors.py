"""What a call may end with instead of an answer."""

from collections.abc import Mapping
from typing import Any, Final

_RETRY_AFTER_S: Final = 1.0


class ClientError(Exception):
    """The root of all errors of this package."""


class UnreachableError(ClientError):
    """The server did not answer: it is away, or the answer got lost.

    An ack, nack or touch may be repeated as it is; an enqueue may have been stored.
    """


class RefusedError(ClientError):
    """The server refused a request: `status` of HTTP, `code` for programs, `details` by field."""

    def __init__(self, status: int, body: Mapping[str, Any], retry_after_s: float | None) -> None:
        self.status: Final = status
        self.code: Final = str(body.get("code", ""))
        self.details: Final[Mapping[str, str]] = body.get("details") or {}
        self.retry_after_s: Final = _RETRY_AFTER_S if retry_after_s is None else retry_after_s
        self.sentence: Final = str(body.get("message") or body.get("error") or "no reason given")
        super().__init__(status, self.sentence)

    def __str__(self) -> str:
        details = "".join(f"; {name}: {reason}" for name, reason in self.details.items())
        return f"{self.sentence} ({self.status}{f' {self.code}' if self.code else ''}){details}"


class InvalidRequestError(RefusedError):
    """A field is wrong: `details` says which; the same request fails again."""


class UnauthorizedError(RefusedError):
    """The key is missing, wrong or not for this."""


class NotFoundError(RefusedError):
    """There is no such message, or no such queue."""


class LockLostError(RefusedError):
    """The caller does not hold the message: its lease ran out, or it was dealt with."""


class OverloadedError(RefusedError):
    """Too much is under way, or the database is away: ask again after `retry_after_s`."""


_BY_STATUS: Final[Mapping[int, type[RefusedError]]] = {
    400: InvalidRequestError,
    401: UnauthorizedError,
    403: UnauthorizedError,
    404: NotFoundError,
    409: LockLostError,
    413: InvalidRequestError,
    429: OverloadedError,
    503: OverloadedError,
}


def refusal(status: int, body: object, retry_after: str | None) -> RefusedError:
    """Return the error for an answer that is no success."""
    facts = body if isinstance(body, dict) else {}
    seconds = float(retry_after) if retry_after is not None and retry_after.isdigit() else None
    return _BY_STATUS.get(status, RefusedError)(status, facts, seconds)
