"""What every request goes through: an id that is logged and answered, a place in the metrics."""

import re
import secrets
import time
from typing import Any, Final

import structlog
from falcon.asgi import Request, Response

from api.metrics import RequestMetrics

# An id that a client or proxy sends is kept if it can do no harm in a log.
_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._:-]{1,64}")


class RequestId:
    """Binds `request_id` to the log for the time of a request, and answers it."""

    async def process_request(self, req: Request, resp: Response) -> None:
        """Take the id that came along, or make one."""
        given = req.get_header("X-Request-ID")
        if given is not None and _REQUEST_ID.fullmatch(given):
            request_id = given
        else:
            request_id = secrets.token_hex(8)
        req.context.request_id = request_id
        resp.set_header("X-Request-ID", request_id)
        structlog.contextvars.bind_contextvars(request_id=request_id)


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
