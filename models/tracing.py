"""Traces: one request followed through API, broker, workers and Exim, for who runs a collector.

Off until `set_up` was called with an address; then spans go there by OTLP over HTTP, in batches and
from a thread of their own. A collector that is away costs spans and nothing else. What is off is
not imported.
"""

import contextlib
from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Any, Final, Protocol

# How many spans wait at most for a collector; what is beyond is dropped.
_QUEUE_MAX: Final = 4_096
_EXPORT_TIMEOUT_S: Final = 5
_PATH: Final = "/v1/traces"


class Kind(StrEnum):
    """On which side of a boundary something happens."""

    INTERNAL = "INTERNAL"
    SERVER = "SERVER"  # is asked
    CLIENT = "CLIENT"  # asks, and waits
    PRODUCER = "PRODUCER"  # hands something on
    CONSUMER = "CONSUMER"  # takes it


class Span(Protocol):
    """What a part of a trace can be told."""

    def set_attribute(self, key: str, value: Any) -> None:
        """Note a fact."""


class _Unseen:
    """A span that nobody asked for."""

    def set_attribute(self, key: str, value: Any) -> None:
        """Forget it."""


class Tracing:
    """The traces of this process."""

    def __init__(self) -> None:
        self._provider: Any = None
        self._tracer: Any = None

    @property
    def is_on(self) -> bool:
        """Say whether spans go anywhere."""
        return self._tracer is not None

    def set_up(self, address: str, *, role: str, version: str, share: float) -> None:
        """Send spans of this process to a collector, of this share of the traces that begin here.

        Whoever called us with a trace of its own has decided for it. An empty address is off.
        """
        if not address:
            return
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415
            OTLPSpanExporter,
        )
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415
        from opentelemetry.sdk.trace.sampling import (  # noqa: PLC0415
            ParentBased,
            TraceIdRatioBased,
        )

        self._provider = TracerProvider(
            resource=Resource.create(
                {"service.name": f"stanchion-{role}", "service.version": version}
            ),
            sampler=ParentBased(TraceIdRatioBased(share)),
            shutdown_on_exit=False,
        )
        exporter = OTLPSpanExporter(endpoint=address.rstrip("/") + _PATH, timeout=_EXPORT_TIMEOUT_S)
        self._provider.add_span_processor(BatchSpanProcessor(exporter, max_queue_size=_QUEUE_MAX))
        self._tracer = self._provider.get_tracer("stanchion", version)

    def close(self) -> None:
        """Send what waits, for some seconds at most, and be off."""
        provider, self._provider, self._tracer = self._provider, None, None
        if provider is not None:
            provider.shutdown()

    def start(
        self, name: str, kind: Kind, *, carrier: Mapping[str, str] | None = None
    ) -> "Started":
        """Begin a span that is the current one until it is ended; `carrier` has its parent's words.

        Call it only while tracing is on, and `end` in the same context.
        """
        from opentelemetry import context, propagate, trace  # noqa: PLC0415

        parent = None if carrier is None else propagate.extract(carrier)
        span = self._tracer.start_span(name, context=parent, kind=trace.SpanKind[kind.value])
        token = context.attach(trace.set_span_in_context(span))
        return Started(span, token)

    @contextlib.contextmanager
    def span(
        self, name: str, kind: Kind = Kind.INTERNAL, **attributes: str | int
    ) -> Iterator[Span]:
        """Measure what is done within, as a part of the trace that is current."""
        if self._tracer is None:
            yield _UNSEEN
            return
        started = self.start(name, kind)
        for key, value in attributes.items():
            started.span.set_attribute(key, value)
        try:
            yield started.span
        except BaseException as error:
            started.fail(error)
            raise
        finally:
            started.end()

    def carried(self) -> dict[str, str]:
        """Return what tells another process which trace this belongs to; nothing while off."""
        if self._tracer is None:
            return {}
        from opentelemetry import propagate  # noqa: PLC0415

        carrier: dict[str, str] = {}
        propagate.inject(carrier)
        return carrier


class Started:
    """A span under way."""

    def __init__(self, span: Any, token: Any) -> None:
        self.span: Final = span
        self._token: Final = token

    def fail(self, error: BaseException) -> None:
        """Note that it went wrong; by what kind of error, since texts may hold secrets."""
        self.fail_as(type(error).__name__)

    def fail_as(self, name: str) -> None:
        """Note that it went wrong, and how that is called."""
        from opentelemetry.trace import Status, StatusCode  # noqa: PLC0415

        self.span.set_attribute("error.type", name)
        self.span.set_status(Status(StatusCode.ERROR, name))

    def end(self) -> None:
        """End it, and let the one before be current again."""
        from opentelemetry import context  # noqa: PLC0415

        context.detach(self._token)
        self.span.end()


_UNSEEN: Final = _Unseen()
tracing: Final = Tracing()
