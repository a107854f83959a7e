"""Prometheus metrics at `/metrics`: of this process, or of all API processes if there are more."""

from collections.abc import Callable, Iterable, Sequence
from typing import Final, Protocol

from falcon.asgi import Request, Response
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Gauge,
    Histogram,
    generate_latest,
)
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector

from models.errors import UnavailableError
from models.messages.rules import QueueStatus
from models.messages.service import MessageService

# From a request that touches memory to a long poll.
_BUCKETS_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0, 60.0)
# Methods of the routes; anything else a client makes up is one more.
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class RequestMetrics:
    """How many requests, how long, by method, route and status."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._histogram: Final = Histogram(
            "stanchion_http_request_seconds",
            "Time to answer a request; a long poll's waiting counts",
            ("method", "route", "status"),
            buckets=_BUCKETS_S,
            registry=registry,
        )
        # Looking a child up by labels costs more than counting.
        self._observers: Final[dict[tuple[str, str, int], Callable[[float], None]]] = {}

    def observe(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one request."""
        key = (method if method in _METHODS else "other", route, status)
        observe = self._observers.get(key)
        if observe is None:
            observe = self._observers[key] = self._histogram.labels(*map(str, key)).observe
        observe(seconds)

    def mean_s(self, *parts: str) -> float:
        """Return how long requests took in this process whose routes have one of these parts."""
        totals = {"_sum": 0.0, "_count": 0.0}
        for family in self._histogram.collect():
            for sample in family.samples:
                kind = sample.name.removeprefix(family.name)
                if kind in totals and any(part in sample.labels["route"] for part in parts):
                    totals[kind] += sample.value
        return totals["_sum"] / totals["_count"] if totals["_count"] else 0.0


class StatusCollector:
    """The numbers of the queue, as last read; they are the same from every process."""

    def __init__(self) -> None:
        self.status: QueueStatus | None = None

    def collect(self) -> Iterable[Metric]:
        """Return the numbers in Prometheus' form."""
        if self.status is None:
            return
        family = GaugeMetricFamily(
            "stanchion_messages", "Messages in each state", labels=("state",)
        )
        counts = self.status.counts
        for state in ("queued", "delayed", "processing", "acknowledged", "dead", "archived"):
            family.add_metric((state,), getattr(counts, state))
        yield family
        oldest = self.status.oldest_queued_at_ms
        yield GaugeMetricFamily(
            "stanchion_messages_oldest_queued_timestamp_seconds",
            "When the oldest waiting message came in, Unix time; 0 if none waits",
            value=0 if oldest is None else oldest / 1000,
        )


class RefreshedCollector(Protocol):
    """Numbers that are read anew for each answer; the same from every process."""

    async def refresh(self) -> None:
        """Read them; never raises."""

    def collect(self) -> Iterable[Metric]:
        """Return them as last read, in Prometheus' form."""


class MetricsResource:
    """`/metrics`."""

    def __init__(
        self,
        registry: CollectorRegistry,
        messages: MessageService,
        count_connections: Callable[[], int],
        *,
        collectors: Sequence[RefreshedCollector] = (),
        is_multiprocess: bool,
    ) -> None:
        """`count_connections` says how many clients of the live side this process has."""
        self._messages: Final = messages
        self._count_connections: Final = count_connections
        self._status: Final = StatusCollector()
        self._waiting: Final = Gauge(
            "stanchion_messages_waiting_consumers",
            "Consumers that wait for a message",
            registry=registry,
            multiprocess_mode="livesum",
        )
        self._connections: Final = Gauge(
            "stanchion_live_connections",
            "Clients on a WebSocket or Socket.IO, streaming consumers too",
            registry=registry,
            multiprocess_mode="livesum",
        )
        if is_multiprocess:
            registry = CollectorRegistry()
            MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        registry.register(self._status)
        self._collectors: Final = collectors
        for collector in collectors:
            registry.register(collector)
        self._registry: Final = registry

    def note_waiting(self) -> None:
        """Tell how many wait here; each process has to, since any of them may be asked for all."""
        self._waiting.set(self._messages.waiting_consumers)
        self._connections.set(self._count_connections())

    async def on_get(self, _req: Request, resp: Response) -> None:
        """Return the metrics; with the database away those that need it are left out."""
        self.note_waiting()
        try:
            self._status.status = await self._messages.status()
        except UnavailableError:
            self._status.status = None
        for collector in self._collectors:
            await collector.refresh()
        resp.data = generate_latest(self._registry)
        resp.content_type = CONTENT_TYPE_LATEST
