"""From what somebody says to a schedule that knows its next moment; time is an argument."""

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any, Final

from models.schedules import moments
from models.schedules.rules import Plan, Schedule, Timing

_OF_TIMING: Final = frozenset(field.name for field in fields(Timing))


def made(name: str, plan: Plan, *, now_ms: int) -> Schedule:
    """Return a new schedule; raises InvalidError that names wrong fields."""
    moments.check(plan.timing)
    return _scheduled(
        Schedule(
            name=name,
            plan=plan,
            anchor_ms=now_ms,
            next_run_ms=None,
            created_at_ms=now_ms,
            updated_at_ms=now_ms,
        ),
        now_ms,
    )


def planned_anew(schedule: Schedule, plan: Plan, *, now_ms: int) -> Schedule:
    """Return a schedule with another plan; raises InvalidError that names wrong fields.

    Its next moment stays unless its timing changes or it goes on after a pause; then it is the
    first from now on.
    """
    moments.check(plan.timing)
    was = schedule.plan
    if plan == was:
        return schedule
    is_timed_anew = plan.timing != was.timing
    schedule = replace(schedule, plan=plan, updated_at_ms=now_ms)
    if is_timed_anew:
        schedule = replace(schedule, anchor_ms=now_ms)
        return _scheduled(schedule, now_ms)
    if plan.paused != was.paused:
        # Not before the last one, so that no moment runs twice when the clock was set back.
        return _scheduled(schedule, max(now_ms, schedule.last_run_ms or 0))
    return schedule


def changed(plan: Plan, changes: Mapping[str, Any]) -> Plan:
    """Return a plan with some fields of it or of its timing set anew.

    A new `cron` takes the place of an interval, and the other way round.
    """
    changes = dict(changes)
    for one, other in (("cron", "every_ms"), ("every_ms", "cron")):
        if changes.get(one) is not None:
            changes.setdefault(other, None)
    timing = {name: value for name, value in changes.items() if name in _OF_TIMING}
    rest = {name: value for name, value in changes.items() if name not in _OF_TIMING}
    return replace(plan, timing=replace(plan.timing, **timing), **rest)


def upcoming(schedule: Schedule, *, count: int, now_ms: int) -> list[int]:
    """Return the next moments, those of a paused schedule as if it went on now."""
    timing, anchor_ms = schedule.plan.timing, schedule.anchor_ms
    found: list[int] = []
    moment = schedule.next_run_ms or moments.after(timing, anchor_ms, now_ms)
    while moment is not None and len(found) < count:
        found.append(moment)
        moment = moments.after(timing, anchor_ms, moment)
    return found


def _scheduled(schedule: Schedule, after_ms: int) -> Schedule:
    if schedule.plan.paused:
        return replace(schedule, next_run_ms=None)
    following = moments.after(schedule.plan.timing, schedule.anchor_ms, after_ms)
    return replace(schedule, next_run_ms=following)
