"""One error, in the form of each contract."""

from http import HTTPStatus

import pytest

from api.http.errors import HttpError, RefusalPace, RouteNotFoundError, form_of, phrase, status_of
from models.errors import InvalidError, LimitError, StanchionError, UnavailableError

NOWHERE = RouteNotFoundError("/x")
WRONG = InvalidError({"name": "Required"})


@pytest.mark.parametrize(
    ("path", "error", "body"),
    [
        (
            "/api/queue/x",
            NOWHERE,
            {"error": "Not Found", "message": "nothing answers at /x", "code": "route_not_found"},
        ),
        (
            "/api/queue",
            WRONG,
            {"error": "Validation failed", "details": {"name": "Required"}},
        ),
        (
            "/api/v1/queues/x/enqueue",
            WRONG,
            {
                "error": {
                    "code": "INVALID_REQUEST",
                    "message": "name: Required",
                    "details": {"name": "Required"},
                },
                "request_id": "r1",
            },
        ),
        ("/api/v1/queue/x", NOWHERE, {"success": False, "error": "nothing answers at /x"}),
        (
            "/api/v1/auth/login",
            WRONG,
            {"success": False, "error": "name: Required", "data": {"name": "Required"}},
        ),
        (
            "/app/tickets/1",
            NOWHERE,
            {"error": "route_not_found", "message": "nothing answers at /x", "details": {}},
        ),
        ("/api/queues", NOWHERE, {"error": "Not Found", "message": "nothing answers at /x"}),
        ("/", NOWHERE, {"error": "Not Found", "message": "nothing answers at /x"}),
    ],
)
def test_form_is_that_of_the_longest_known_prefix(
    path: str, error: StanchionError, body: dict[str, object]
) -> None:
    assert form_of(path)(status_of(error), error, "r1") == body


@pytest.mark.parametrize("path", ["/api/queue", "/api/v1/queues", "/api/v1/auth", "/app", "/"])
def test_words_of_a_driver_stay_inside(path: str) -> None:
    error = UnavailableError("database", "connection to /run/secret.sock failed")

    body = form_of(path)(status_of(error), error, "r1")

    assert "secret" not in str(body)
    assert "database is unavailable" in str(body)


def test_status_is_that_of_the_family() -> None:
    assert status_of(NOWHERE) == HTTPStatus.NOT_FOUND
    assert status_of(LimitError("x", 1)) == HTTPStatus.TOO_MANY_REQUESTS
    assert status_of(HttpError(405, "no")) == HTTPStatus.METHOD_NOT_ALLOWED
    assert status_of(StanchionError()) == HTTPStatus.INTERNAL_SERVER_ERROR


def test_phrases_do_not_depend_on_the_release_of_python() -> None:
    assert phrase(413) == "Payload Too Large"
    assert phrase(429) == "Too Many Requests"


def test_refusals_are_logged_once_a_second_with_their_number() -> None:
    pace = RefusalPace()

    counts = [pace.count(now_s=now_s) for now_s in (10.0, 10.1, 10.5, 10.99, 11.0, 12.5)]

    assert counts == [1, 0, 0, 0, 4, 1]
