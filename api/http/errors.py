"""From the families of models/errors.py to the wire form of each domain, in one place.

A domain's form is chosen by the longest known prefix of the path, so that unknown paths answer in
the words their neighbours use. No answer carries a stack trace, and none is HTML.
"""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from http import HTTPStatus
from typing import Any, Final

import falcon
import structlog
from falcon.asgi import App, Request, Response

from api.http import sentences
from models import errors
from models.clock import iso_utc
from models.errors import StanchionError

log: Final = structlog.get_logger(__name__)

Form = Callable[[HTTPStatus, StanchionError, str], dict[str, Any]]

STATUSES: Final[Mapping[type[StanchionError], HTTPStatus]] = {
    errors.InvalidError: HTTPStatus.BAD_REQUEST,
    errors.UnauthenticatedError: HTTPStatus.UNAUTHORIZED,
    errors.ForbiddenError: HTTPStatus.FORBIDDEN,
    errors.NotFoundError: HTTPStatus.NOT_FOUND,
    errors.ConflictError: HTTPStatus.CONFLICT,
    errors.GoneError: HTTPStatus.GONE,
    errors.TooLargeError: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    errors.LimitError: HTTPStatus.TOO_MANY_REQUESTS,
    errors.UnavailableError: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.LateError: HTTPStatus.GATEWAY_TIMEOUT,
}
_REFUSALS_LOGGED_EVERY_S: Final = 1.0
# Python 3.13 renamed some; the wire keeps one spelling.
_PHRASES: Final = {413: "Payload Too Large", 422: "Unprocessable Entity"}


class RouteNotFoundError(errors.NotFoundError):
    """No resource answers at this path."""

    code = "route_not_found"

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.path = path

    def __str__(self) -> str:
        return f"nothing answers at {self.path}"


class HttpError(StanchionError):
    """A refusal of the HTTP layer itself, such as a method that a resource does not have."""

    code = "http"

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(status, sentence)
        self.status = status
        self.sentence = sentence

    def __str__(self) -> str:
        return self.sentence


class InternalError(StanchionError):
    """A bug; what it is stands in the log under the request's id."""

    code = "internal"

    def __str__(self) -> str:
        return "the server failed; its log tells why under this request's id"


def phrase(status: int) -> str:
    """Return the name of a status."""
    return _PHRASES.get(status) or HTTPStatus(status).phrase


def sentence_of(error: StanchionError) -> str:
    """Return what a client may read of an error."""
    return error.public if isinstance(error, errors.UnavailableError) else str(error)


def _messages_form(status: HTTPStatus, error: StanchionError, _request_id: str) -> dict[str, Any]:
    """`{error, details}` for invalid input, else `{error, message, code, details?}`."""
    if isinstance(error, errors.InvalidError):
        return {"error": "Validation failed", "details": error.details}
    body = {"error": phrase(status), "message": sentence_of(error), "code": error.code}
    details = getattr(error, "details", None)
    return {**body, "details": details} if details else body


# The words of the rooms' contract, by status.
_ROOMS_CODES: Final[Mapping[HTTPStatus, str]] = {
    HTTPStatus.BAD_REQUEST: "INVALID_REQUEST",
    HTTPStatus.UNAUTHORIZED: "UNAUTHORIZED",
    HTTPStatus.FORBIDDEN: "FORBIDDEN",
    HTTPStatus.NOT_FOUND: "NOT_FOUND",
    HTTPStatus.METHOD_NOT_ALLOWED: "METHOD_NOT_ALLOWED",
    HTTPStatus.CONFLICT: "CONFLICT",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "PAYLOAD_TOO_LARGE",
    HTTPStatus.TOO_MANY_REQUESTS: "RATE_LIMITED",
    HTTPStatus.INTERNAL_SERVER_ERROR: "INTERNAL_ERROR",
}


def _with_moments(details: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Write moments as the contract of rooms does: `expired_at` for `expired_at_ms`."""
    for name, value in details.items():
        if name.endswith("_at_ms"):
            yield name.removesuffix("_ms"), iso_utc(value // 1000 * 1000).replace(".000Z", "Z")
        else:
            yield name, value


def _rooms_form(status: HTTPStatus, error: StanchionError, request_id: str) -> dict[str, Any]:
    """`{error: {code, message, details}, request_id}`."""
    return {
        "error": {
            # What is gone or away says so in its own words.
            "code": _ROOMS_CODES.get(status) or error.code.upper(),
            "message": sentence_of(error),
            "details": dict(_with_moments(_details(error))),
        },
        "request_id": request_id,
    }


def _mail_form(_status: HTTPStatus, error: StanchionError, _request_id: str) -> dict[str, Any]:
    """`{success, error, data?}`."""
    body: dict[str, Any] = {"success": False, "error": sentence_of(error)}
    if isinstance(error, errors.InvalidError) and error.details:
        body["data"] = error.details
    return body


def _queue_form(status: HTTPStatus, error: StanchionError, request_id: str) -> dict[str, Any]:
    """`{success, error, data?}`, where `data` is a list of the fields that are wrong."""
    if not isinstance(error, errors.InvalidError):
        return _mail_form(status, error, request_id)
    faults = [{"field": field, "message": reason} for field, reason in error.details.items()]
    return {"success": False, "error": "Validation failed", "data": faults}


def _tickets_form(_status: HTTPStatus, error: StanchionError, _request_id: str) -> dict[str, Any]:
    """`{error, message, details}`."""
    facts = getattr(error, "facts", None) or _details(error)
    return {"error": error.code.lower(), "message": sentence_of(error), "details": facts}


def _plain_form(status: HTTPStatus, error: StanchionError, _request_id: str) -> dict[str, Any]:
    """`{error, message}`."""
    return {"error": phrase(status), "message": sentence_of(error)}


_FORMS: Final[Mapping[str, Form]] = {
    "/api/queue": _messages_form,
    "/api/v1/queues": _rooms_form,
    "/api/v1/sessions": _rooms_form,
    "/api/v1/admin": _rooms_form,
    "/api/v1/queue": _queue_form,
    "/api/v1/messages": _queue_form,
    "/api/v1/logs": _queue_form,
    "/api/v1/reports": _queue_form,
    "/api/v1/dashboard": _queue_form,
    "/api/v1/tags": _queue_form,
    "/api/v1/delivery-attempts": _queue_form,
    "/api/v1/auth": _mail_form,
    "/app": _tickets_form,
    "/auths": _tickets_form,
    "/tickets": _tickets_form,
    "/counters": _tickets_form,
    "/procedures": _tickets_form,
    "/branches": _tickets_form,
    "/api/auths": _tickets_form,
    "/api/tickets": _tickets_form,
    "/api/counters": _tickets_form,
    "/api/procedures": _tickets_form,
    "/api/branches": _tickets_form,
    "/announcements": _tickets_form,
    "/api/announcements": _tickets_form,
    "/voice": _tickets_form,
    "/api/voice": _tickets_form,
    "/reports": _tickets_form,
    "/api/reports": _tickets_form,
}


def form_of(path: str) -> Form:
    """Return the error form of a path: that of its longest known prefix, by whole segments."""
    while path:
        if form := _FORMS.get(path):
            return form
        path = path.rpartition("/")[0]
    return _plain_form


def status_of(error: StanchionError) -> HTTPStatus:
    """Return the status of an error's family."""
    if isinstance(error, HttpError):
        return HTTPStatus(error.status)
    for family in type(error).__mro__:
        if status := STATUSES.get(family):
            return status
    return HTTPStatus.INTERNAL_SERVER_ERROR


def add_handlers(app: App[Request, Response]) -> None:
    """Make the application answer every error in the form of its path."""
    app.add_error_handler(Exception, _handle_bug)
    app.add_error_handler(falcon.HTTPError, _handle_http)
    pace = RefusalPace()

    async def handle(
        req: Request, resp: Response, error: StanchionError, _params: dict[str, Any]
    ) -> None:
        status = status_of(error)
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            count = pace.count(now_s=time.monotonic())
            if count:
                facts = {"path": req.path, "status": status.value, "count": count}
                log.warning("request_refused", reason=str(error), **facts)
        answer(req, resp, status, error)

    app.add_error_handler(StanchionError, handle)


class RefusalPace:
    """Lets one refusal a second into the log: a store that is away refuses thousands."""

    def __init__(self) -> None:
        self._logged_at_s = -math.inf
        self._since = 0

    def count(self, *, now_s: float) -> int:
        """Return how many refusals a line shall stand for: since the last one, 0 for no line."""
        self._since += 1
        if now_s - self._logged_at_s < _REFUSALS_LOGGED_EVERY_S:
            return 0
        count, self._since = self._since, 0
        self._logged_at_s = now_s
        return count


async def _handle_http(
    req: Request, resp: Response, error: falcon.HTTPError, _params: dict[str, Any]
) -> None:
    for name, value in dict(error.headers or {}).items():  # such as Allow
        resp.set_header(name, value)
    status = HTTPStatus(falcon.http_status_to_code(error.status))
    if status is HTTPStatus.NOT_FOUND:
        answer(req, resp, status, RouteNotFoundError(req.path))
    else:
        sentence = error.description or f"{req.method} {req.path}: {phrase(status).lower()}"
        answer(req, resp, status, HttpError(status, sentence))


async def _handle_bug(
    req: Request, resp: Response, error: Exception, _params: dict[str, Any]
) -> None:
    log.error("request_failed", path=req.path, method=req.method, exc_info=error)
    answer(req, resp, HTTPStatus.INTERNAL_SERVER_ERROR, InternalError())


def answer(req: Request, resp: Response, status: HTTPStatus, error: StanchionError) -> None:
    """Write an error into a response."""
    resp.status = status
    form = form_of(req.path)
    resp.media = form(status, error, req.context.request_id)
    if form is _tickets_form:  # the hall's people read it, in their language
        language = sentences.language_of(req.get_header("Accept-Language"))
        resp.media["message"] = sentences.say(error, language=language)
    retry_after_s = getattr(error, "retry_after_s", None)
    if retry_after_s is not None:
        resp.set_header("Retry-After", str(retry_after_s))


def _details(error: StanchionError) -> dict[str, Any]:
    return dict(getattr(error, "details", None) or {})
