"""What every request goes through: an id that is logged and answered, a place in the metrics."""

import itertools
import re
import secrets
import time
from contextvars import ContextVar
from typing import Any, Final

from falcon.asgi import Request, Response
from structlog.contextvars import STRUCTLOG_KEY_PREFIX

from api.errors import RouteNotFoundError
from api.metrics import RequestMetrics

# An id that a client or proxy sends is kept if it can do no harm in a log.
_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._:-]{1,64}")
# What structlog's bind_contextvars would set, found once: every log line of the request has it.
_bound_request_id: Final = ContextVar[str](f"{STRUCTLOG_KEY_PREFIX}request_id")


class RequestId:
    """Binds `request_id` to the log for the time of a request, and answers it."""

    def __init__(self) -> None:
        # Tells the numbers of this process from every other's.
        self._process: Final = secrets.token_hex(4)
        self._numbers: Final = itertools.count()

    async def process_request(self, req: Request, resp: Response) -> None:
        """Take the id that came along, or make one."""
        given = req.get_header("X-Request-ID")
        if given is not None and _REQUEST_ID.fullmatch(given):
            request_id = given
        else:
            request_id = f"{self._process}{next(self._numbers):08x}"
        req.context.request_id = request_id
        resp.set_header("X-Request-ID", request_id)
        _bound_request_id.set(request_id)


class OnePath:
    """Serves each resource under one path only, so that a guard by path cannot be walked around."""

    async def process_request(self, req: Request, _resp: Response) -> None:
        """Refuse empty segments, which the router would overlook, and what no database stores."""
        if "//" in req.path or "\0" in req.path:
            raise RouteNotFoundError(req.path)


class Measure:
    """Counts requests and their time by route, method and status."""

    def __init__(self, metrics: RequestMetrics) -> None:
        self._observe: Final = metrics.observe

    async def process_request(self, req: Request, _resp: Response) -> None:
        """Note when the request came."""
        req.context.started_s = time.perf_counter()

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
