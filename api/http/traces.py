"""A request as the beginning of a trace, or as a part of its caller's; only while tracing is on."""

from http import HTTPStatus
from typing import Any, Final

from falcon.asgi import Request, Response

from models.tracing import Kind, tracing

# W3C Trace Context, as other programs and proxies send it.
_CARRIED: Final = ("traceparent", "tracestate")


class Traces:
    """Opens a span before all else and ends it after; one that hangs on a socket is none."""

    async def process_request(self, req: Request, _resp: Response) -> None:
        """Begin, with the trace that the caller names if it names one."""
        headers = {name: req.get_header(name) for name in _CARRIED}
        carrier = {name: value for name, value in headers.items() if value}
        req.context.trace = tracing.start(req.method, Kind.SERVER, carrier=carrier)

    async def process_response(
        self,
        req: Request,
        resp: Response,
        _resource: Any,
        _succeeded: bool,  # noqa: FBT001  # Falcon's own
    ) -> None:
        """End, named by the route and not by the path: paths may hold what is secret."""
        started = req.context.trace
        route = req.uri_template or "unknown"
        span = started.span
        span.update_name(f"{req.method} {route}")
        span.set_attribute("http.request.method", req.method)
        span.set_attribute("http.route", route)
        span.set_attribute("http.response.status_code", resp.status_code)
        span.set_attribute("stanchion.request_id", req.context.request_id)
        if resp.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:
            started.fail_as(str(resp.status_code))
        started.end()
