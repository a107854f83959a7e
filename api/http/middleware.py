"""What every request goes through: an id that is logged and answered, a place in the metrics."""

import itertools
import re
import secrets
import time
from contextvars import ContextVar
from typing import Any, Final

from falcon.asgi import Request, Response
from structlog.contextvars import STRUCTLOG_KEY_PREFIX

from api.http.errors import RouteNotFoundError
from api.http.metrics import RequestMetrics

# An id that a client or proxy sends is kept if it can do no harm in a log.
_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._:-]{1,64}")
# What structlog's bind_contextvars would set, found once: every log line of the request has it.
_bound_request_id: Final = ContextVar[str](f"{STRUCTLOG_KEY_PREFIX}request_id")


class Entrance:
    """The first that a request meets and the last: names it, measures it, and wants a plain path.

    One middleware for the three, since each costs every request two calls that may wait.
    """

    def __init__(self, metrics: RequestMetrics) -> None:
        self._observe: Final = metrics.observe
        # Tells the numbers of this process from every other's.
        self._process: Final = secrets.token_hex(4)
        self._numbers: Final = itertools.count()

    async def process_request(self, req: Request, resp: Response) -> None:
        """Bind `request_id` to the log for the time of the request, answer it, and start the clock.

        Refuses what would have a resource under a second path, so that a guard by path cannot be
        walked around: empty segments, which the router would overlook, and what no database stores.
        """
        given = req.get_header("X-Request-ID")
        if given is not None and _REQUEST_ID.fullmatch(given):
            request_id = given
        else:
            request_id = f"{self._process}{next(self._numbers):08x}"
        context = req.context
        context.request_id = request_id
        context.started_s = time.perf_counter()
        resp.set_header("X-Request-ID", request_id)
        _bound_request_id.set(request_id)
        path = req.path
        if "//" in path or "\0" in path:
            raise RouteNotFoundError(path)

    async def process_response(
        self,
        req: Request,
        resp: Response,
        _resource: Any,
        _succeeded: bool,  # noqa: FBT001
    ) -> None:
        """Count the request, by its route and not by its path: paths are without number."""
        self._observe(
            req.method,
            req.uri_template or "unknown",
            resp.status_code,
            time.perf_counter() - req.context.started_s,
        )
