"""What Prometheus is told of rooms; so many rooms by name, all others together."""

from collections.abc import Iterable
from typing import Final

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric

from models.errors import UnavailableError
from models.rooms.registry import Registry
from models.rooms.reports import Reports
from models.rooms.statistics import Reading

# Each name is a series that Prometheus keeps for days, also when the room is gone.
_NAMED_MAX: Final = 100
_OTHERS: Final = "others"


class RoomsCollector:
    """The numbers of rooms, as last read; they are the same from every process."""

    def __init__(self, registry: Registry, reports: Reports) -> None:
        self._registry: Final = registry
        self._reports: Final = reports
        self._readings: dict[str, Reading] = {}

    async def refresh(self) -> None:
        """Read the counters; with Redis away there are none."""
        try:
            self._readings = await self._reports.readings(sorted(self._registry.rooms))
        except UnavailableError:
            self._readings = {}

    def collect(self) -> Iterable[Metric]:
        """Return the numbers in Prometheus' form."""
        if not self._readings:
            return
        named = by_name(self._readings)
        waiting = GaugeMetricFamily("stanchion_rooms_waiting", "Who waits", labels=("room",))
        inside = GaugeMetricFamily(
            "stanchion_rooms_inside", "Sessions and reserved places", labels=("room",)
        )
        joined = CounterMetricFamily("stanchion_rooms_joined", "Who joined", labels=("room",))
        admitted = CounterMetricFamily("stanchion_rooms_admitted", "Who came in", labels=("room",))
        left = CounterMetricFamily(
            "stanchion_rooms_left", "Who left without coming in", labels=("room", "reason")
        )
        waits = CounterMetricFamily(
            "stanchion_rooms_waits_seconds", "How long the admitted had waited", labels=("room",)
        )
        for room, reading in named.items():
            counts = reading.counts
            waiting.add_metric((room,), reading.waiting)
            inside.add_metric((room,), reading.inside)
            joined.add_metric((room,), counts.joined)
            admitted.add_metric((room,), counts.admitted)
            for reason in ("expired", "cancelled", "no_shows"):
                left.add_metric((room, reason), getattr(counts, reason))
            waits.add_metric((room,), counts.waits_ms / 1000)
        yield from (waiting, inside, joined, admitted, left, waits)


def by_name(readings: dict[str, Reading], named_max: int = _NAMED_MAX) -> dict[str, Reading]:
    """Return the readings of the first rooms by id, and the sum of the others."""
    # By id and not by size: a room keeps its name however many are in it.
    ids = sorted(readings)
    named = {room_id: readings[room_id] for room_id in ids[:named_max]}
    others = [readings[room_id] for room_id in ids[named_max:]]
    if not others:
        return named
    total = others[0]
    for reading in others[1:]:
        total = Reading(
            counts=total.counts + reading.counts,
            waiting=total.waiting + reading.waiting,
            inside=total.inside + reading.inside,
        )
    return {**named, _OTHERS: total}
