"""When a queue is worth waking somebody: too many messages, or one that waits for too long; pure.

An alert is raised above its threshold and is over below nine tenths of it, so that a number which
swings about the threshold wakes nobody twice.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

_CALM_TENTHS: Final = 9


class AlarmKind(StrEnum):
    """What is watched, on each host."""

    MESSAGES = "messages"  # how many there are
    FROZEN = "frozen"  # how many of them nobody will try
    AGE = "age"  # how long the oldest that is not frozen waits, in seconds
    SILENCE = "silence"  # how long the host has told nothing, in seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What a host has at a moment."""

    host: str
    kind: AlarmKind
    value: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """Something that somebody should look at, since `since_ms`; over, once `over_ms` is set."""

    host: str
    kind: AlarmKind
    value: int
    threshold: int
    since_ms: int
    over_ms: int | None = None

    @property
    def is_over(self) -> bool:
        """Say whether it has passed."""
        return self.over_ms is not None

    def __str__(self) -> str:
        return _SAID[self.kind].format(host=self.host, value=self.value, threshold=self.threshold)


_SAID: Final[Mapping[AlarmKind, str]] = {
    AlarmKind.MESSAGES: "{host} has {value} messages, more than {threshold}",
    AlarmKind.FROZEN: "{host} has {value} frozen messages, more than {threshold}",
    AlarmKind.AGE: "the oldest message on {host} waits for {value} s, longer than {threshold} s",
    AlarmKind.SILENCE: "{host} has been silent for {value} s, longer than {threshold} s",
}


def change(
    raised: Iterable[Alarm],
    readings: Sequence[Reading],
    thresholds: Mapping[AlarmKind, int],
    *,
    now_ms: int,
) -> list[Alarm]:
    """Return alarms that begin, and those that are over, as of now; 0 as a threshold is none.

    An alarm of a host that is not there any more is over.
    """
    before = {(each.host, each.kind): each for each in raised}
    changed: list[Alarm] = []
    for each in readings:
        threshold = thresholds.get(each.kind, 0)
        known = before.pop((each.host, each.kind), None)
        if known is None:
            if threshold and each.value > threshold:
                changed.append(
                    Alarm(
                        host=each.host,
                        kind=each.kind,
                        value=each.value,
                        threshold=threshold,
                        since_ms=now_ms,
                    )
                )
        elif not threshold or each.value * 10 < threshold * _CALM_TENTHS:
            changed.append(_over(known, each.value, now_ms))
    return [*changed, *(_over(each, 0, now_ms) for each in before.values())]


def _over(alarm: Alarm, value: int, now_ms: int) -> Alarm:
    return Alarm(
        host=alarm.host,
        kind=alarm.kind,
        value=value,
        threshold=alarm.threshold,
        since_ms=alarm.since_ms,
        over_ms=now_ms,
    )
