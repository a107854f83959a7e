"""What Prometheus is told of the whole house: what the console shows, from the same look."""

from collections.abc import Iterable, Iterator
from typing import Final

from prometheus_client.metrics_core import GaugeMetricFamily, Metric

from api.ops.bodies import MailView, OverviewView, TicketsView
from api.ops.overview import Overview

_STATES: Final = ("healthy", "degraded", "unhealthy")
_LEVELS: Final = ("fault", "warning")


class OverviewCollector:
    """Components, mail and tickets as last seen; they are the same from every process."""

    def __init__(self, overview: Overview) -> None:
        self._overview: Final = overview
        self._view: OverviewView | None = None

    async def refresh(self) -> None:
        """Look at everything; what cannot be seen is left out. Takes some 2 s at most."""
        self._view = await self._overview.view()

    def collect(self) -> Iterable[Metric]:
        """Return the numbers in Prometheus' form."""
        if self._view is None:
            return
        yield _components(self._view.components)
        notices = GaugeMetricFamily(
            "stanchion_notices", "What needs a person, as on /ops", labels=("level",)
        )
        for level in _LEVELS:
            found = sum(each.level == level for each in self._view.attention)
            notices.add_metric((level,), found)
        yield notices
        if self._view.mail is not None:
            yield from _mail(self._view.mail)
        if self._view.tickets is not None:
            yield from _tickets(self._view.tickets)


def _components(components: dict[str, str]) -> Metric:
    family = GaugeMetricFamily(
        "stanchion_component",
        "1 for the state that a component is in",
        labels=("component", "state"),
    )
    for name, is_in in components.items():
        for state in _STATES:
            family.add_metric((name, state), int(state == is_in))
    return family


def _mail(mail: MailView) -> Iterator[Metric]:
    messages = GaugeMetricFamily(
        "stanchion_mail_messages", "Messages in the queue of a host", labels=("host",)
    )
    hosts = GaugeMetricFamily(
        "stanchion_mail_host_up", "1 for a host that was heard of just now", labels=("host",)
    )
    for host in mail.hosts:
        messages.add_metric((host.name,), host.messages)
        hosts.add_metric((host.name,), int(host.is_alive))
    yield from (messages, hosts)
    yield _gauge("stanchion_mail_deferred", "Messages that were tried and wait", mail.deferred)
    yield _gauge("stanchion_mail_frozen", "Messages that are not tried any more", mail.frozen)
    yield _gauge(
        "stanchion_mail_oldest_seconds", "Age of the oldest message", mail.oldest_seconds or 0
    )


def _tickets(tickets: TicketsView) -> Iterator[Metric]:
    yield _gauge("stanchion_tickets_waiting", "People who wait in all halls", tickets.waiting)
    yield _gauge("stanchion_tickets_at_counters", "People called or served", tickets.at_counters)
    yield _gauge(
        "stanchion_tickets_longest_wait_seconds",
        "How long who waits longest has waited",
        tickets.longest_seconds or 0,
    )
    yield _gauge("stanchion_counters_open", "Counters that serve", tickets.counters_open)
    yield _gauge("stanchion_counters", "Counters that there are", tickets.counters)


def _gauge(name: str, said: str, value: int) -> Metric:
    return GaugeMetricFamily(name, said, value=value)
