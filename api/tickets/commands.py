"""`stanchion tickets`: what a hall would be like, asked on this machine's database."""

import argparse
import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, Final

import msgspec

from models.clock import now_ms
from models.database import Database
from models.errors import InvalidError
from models.settings import Settings
from models.tickets.reports import Reports
from models.tickets.rules import Counter, Priority
from models.tickets.simulation import (
    Figures,
    Session,
    Waits,
    compare,
    measured,
    sessions_from,
    sessions_of,
)

_CONNECTIONS: Final = 2
_FAULT: Final = 1
_AS_IT_WAS: Final = "as it was"


def tickets(settings: Settings, options: argparse.Namespace) -> int:
    """Show what each priority policy would do to waits; 1 when nobody was called."""
    figures = _figures(options)
    random = Random(options.seed)  # noqa: S311  # repeatable, and no secret
    sessions = (
        _measured_sessions(settings, options, random)
        if figures is None
        else sessions_from(figures, random=random)
    )
    if not any(session.visitors for session in sessions):
        print("nobody was called in these days")
        return _FAULT
    found = {
        **({_AS_IT_WAS: measured(sessions)} if figures is None else {}),
        **{policy.value: waits for policy, waits in compare(sessions).items()},
    }
    if options.json:
        facts = [{"policy": name, **row} for name, row in _rows(found)]
        print(msgspec.json.format(msgspec.json.encode(facts)).decode())
        return 0
    print(f"{'policy':<12}{'priority':<10}{'people':>8}", end="")
    print("".join(f"{each:>9}" for each in ("mean", "median", "p90", "longest")), " minutes")
    for name, row in _rows(found):
        priority, people, *waits = row.values()
        numbers = "".join(f"{each:>9.1f}" for each in waits)
        print(f"{name:<12}{priority:<10}{people:>8}{numbers}")
    return 0


def _figures(options: argparse.Namespace) -> Figures | None:
    arrivals, service = options.arrivals_per_hour, options.service_minutes
    if arrivals is None and service is None:
        return None
    missing = "arrivals-per-hour" if arrivals is None else "service-minutes"
    if arrivals is None or service is None:
        raise InvalidError({missing: "Expected both, or neither to use what was measured"})
    return Figures(
        arrivals_per_hour=arrivals,
        service_min=service,
        priority_share=options.priority_share,
        hours=options.hours,
        days=options.days,
    )


def _measured_sessions(
    settings: Settings, options: argparse.Namespace, random: Random
) -> list[Session]:
    rows = asyncio.run(_read(settings, options))
    return sessions_of(
        (row for row in rows if options.counter in {None, row.counter_id}), random=random
    )


async def _read(settings: Settings, options: argparse.Namespace) -> Sequence[Any]:
    at_ms = now_ms()
    # A hall may be a day ahead of or behind the UTC clock.
    last = datetime.fromtimestamp(at_ms / 1000, UTC).date() + timedelta(days=1)
    first = last - timedelta(days=options.days)
    database = Database(
        settings.database_url, connections_max=_CONNECTIONS, timeout_s=settings.database_timeout_s
    )
    try:
        reports = Reports(database)
        _, rows = await reports.rows(options.branch, first, last, now_ms=at_ms)
        if options.counter is not None and not any(
            row.counter_id == options.counter for row in rows
        ):
            _, _, counters = await reports.load(options.branch, last, last, now_ms=at_ms)
            _check_counter(options.counter, counters)
    finally:
        database.close()
    return rows


def _check_counter(counter_id: int, counters: Sequence[Counter]) -> None:
    if all(each.id != counter_id for each in counters):
        there = ", ".join(f"{each.id} ({each.name})" for each in counters) or "none"
        raise InvalidError({"counter": f"Expected one of the hall's, not {counter_id}: {there}"})


def _rows(
    found: Mapping[str, Mapping[Priority, Waits]],
) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, by_priority in found.items():
        for priority, waits in by_priority.items():
            facts = {each: round(value, 2) for each, value in asdict(waits).items()}
            yield name, {"priority": priority.value, **facts}
