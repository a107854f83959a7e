"""What is wrong with the queue, by rules: a picture of it in, what stands out of it out.

No I/O, no clock. Each rule names what, since when if it knows, how much, who is concerned, and what
to do about it. What a rule names is bounded, and so is what it finds.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, TypeVar

from models.messages.histories import MINUTE_MS, Work, WorkKey

_Part = TypeVar("_Part")
# The present is these minutes, and the past is what was before them.
RECENT_MS: Final = 10 * MINUTE_MS
PAST_MS: Final = 60 * MINUTE_MS
FOUND_MAX: Final = 20  # of one kind
NAMED_MAX: Final = 10  # messages of one anomaly


class Kind(StrEnum):
    """What may be wrong."""

    LEASES_LAPSE = "leases_lapse"
    POISON = "poison"
    FAILURES_JUMPED = "failures_jumped"
    WAITING_LONG = "waiting_long"
    NO_CONSUMER = "no_consumer"
    DEAD_GROWING = "dead_growing"
    LEASE_ENDING = "lease_ending"


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """From where on something is wrong."""

    waiting_ms: int = 900_000  # how long the oldest message of a queue may wait
    failures_max: int = 5  # how often one message may fail before it is suspect
    # A consumer is at fault when so many of its leases lapse, and this part of all that ended.
    lapses_min: int = 5
    lapses_percent: int = 20
    # A type's failures jumped when this part of what ended failed, three times that of before.
    ended_min: int = 20
    failed_percent: int = 20
    failed_times: int = 3
    growth_min: int = 10  # more messages than RECENT_MS ago, without a consumer
    dead_min: int = 10  # more dead ones than PAST_MS ago
    # A lease is about to end when less than this part of it is left and nobody has touched it.
    left_percent: int = 20
    lease_min_ms: int = 10_000  # shorter ones are always about to end


def thresholds_of(waiting_s: int, failures_max: int) -> Thresholds:
    """Return the thresholds with those that an operator sets."""
    return Thresholds(waiting_ms=waiting_s * 1000, failures_max=failures_max)


@dataclass(frozen=True, slots=True, kw_only=True)
class Anomaly:
    """Something wrong; moments are Unix milliseconds, None: since it was first seen."""

    kind: Kind
    subject: str  # with the kind, what it is known by from look to look
    amount: float
    threshold: float
    said: str
    advice: str
    queue: str | None = None
    type: str | None = None
    consumer_ids: tuple[str, ...] = ()
    message_ids: tuple[int, ...] = ()
    since_ms: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """A message that failed often."""

    message_id: int
    queue: str | None
    type: str | None
    failures: int
    first_at_ms: int
    consumer_id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """A lease that is about to end, and was not touched."""

    message_id: int
    queue: str
    type: str | None
    consumer_id: str
    lease_until_ms: int
    lease_length_ms: int


@dataclass(frozen=True, slots=True)
class Depth:
    """How many messages of a queue wait and are dead."""

    queued: int = 0
    dead: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """What the rules look at, by the queue's name where they are of queues."""

    now_ms: int
    work: Mapping[WorkKey, Work] = field(default_factory=dict)  # of PAST_MS and RECENT_MS
    failed: Sequence[Failed] = ()
    ending: Sequence[Ending] = ()
    oldest_at_ms: Mapping[str, tuple[int, int]] = field(default_factory=dict)  # (moment, message)
    now: Mapping[str, Depth] = field(default_factory=dict)
    recently: Mapping[str, Depth] = field(default_factory=dict)  # RECENT_MS ago
    before: Mapping[str, Depth] = field(default_factory=dict)  # PAST_MS ago, or as far as known
    paused: frozenset[str] = frozenset()


def find(picture: Picture, thresholds: Thresholds) -> list[Anomaly]:
    """Return what is wrong, the worst of each kind first, at most FOUND_MAX of each."""
    found: list[Anomaly] = []
    for rule in _RULES:
        of_kind = sorted(rule(picture, thresholds), key=lambda each: -each.amount)
        found += of_kind[:FOUND_MAX]
    return found


def _leases_lapse(picture: Picture, at: Thresholds) -> Iterator[Anomaly]:
    for name, done in _sum(picture, lambda key: key[1], recent=True).items():
        ended = done.acknowledged + done.given_back + done.lapsed
        if done.lapsed < at.lapses_min or done.lapsed * 100 < ended * at.lapses_percent:
            continue
        yield Anomaly(
            kind=Kind.LEASES_LAPSE,
            subject=name,
            amount=done.lapsed,
            threshold=at.lapses_min,
            said=f"{done.lapsed} of {ended} leases ran out in 10 minutes",
            advice="see whether the consumer hangs or ends while it works; let it touch what takes"
            " long, or ask for longer leases",
            consumer_ids=(name,) if name else (),
        )


def _poison(picture: Picture, at: Thresholds) -> Iterator[Anomaly]:
    for each in picture.failed:
        if each.failures < at.failures_max:
            continue
        yield Anomaly(
            kind=Kind.POISON,
            subject=str(each.message_id),
            amount=each.failures,
            threshold=at.failures_max,
            said=f"failed {each.failures} times and is delivered again",
            advice="look at its payload and at what its consumers said; edit it, or delete it, or"
            " give messages fewer attempts",
            queue=each.queue,
            type=each.type,
            consumer_ids=(each.consumer_id,) if each.consumer_id else (),
            message_ids=(each.message_id,),
            since_ms=each.first_at_ms,
        )


def _failures_jumped(picture: Picture, at: Thresholds) -> Iterator[Anomaly]:
    now = _sum(picture, lambda key: key[2:], recent=True)
    before = _sum(picture, lambda key: key[2:], recent=False)
    for (queue, type_), done in now.items():
        failed, ended = _failed(done)
        failed_before, ended_before = _failed(before.get((queue, type_), Work()))
        has_jumped = failed * max(1, ended_before) >= at.failed_times * failed_before * ended
        if ended < at.ended_min or failed * 100 < ended * at.failed_percent or not has_jumped:
            continue
        yield Anomaly(
            kind=Kind.FAILURES_JUMPED,
            subject=f"{queue}/{type_}",
            amount=round(100 * failed / ended, 1),
            threshold=at.failed_percent,
            said=f"{failed} of {ended} attempts failed in 10 minutes, {failed_before} of"
            f" {ended_before} in the hour before",
            advice="see what changed: a release of the consumers, what they depend on, what is"
            " sent; pause the queue while it lasts",
            queue=queue or None,
            type=type_ or None,
            consumer_ids=_failing_consumers(picture, queue, type_),
        )


def _waiting_long(picture: Picture, at: Thresholds) -> Iterator[Anomaly]:
    for queue, (oldest_at_ms, message_id) in picture.oldest_at_ms.items():
        waited_ms = picture.now_ms - oldest_at_ms
        if queue in picture.paused or waited_ms < at.waiting_ms:
            continue
        yield Anomaly(
            kind=Kind.WAITING_LONG,
            subject=queue,
            amount=waited_ms // 1000,
            threshold=at.waiting_ms // 1000,
            said=f"its oldest message has waited for {waited_ms // 1000} s",
            advice="start more consumers, or see whether any asks for its type and queue",
            queue=queue,
            message_ids=(message_id,),
            since_ms=oldest_at_ms + at.waiting_ms,
        )


def _no_consumer(picture: Picture, at: Thresholds) -> Iterator[Anomaly]:
    taken = _sum(picture, lambda key: key[2], recent=True)
    for queue, depth in picture.now.items():
        if queue not in picture.recently or queue in picture.paused:
            continue
        growth = depth.queued - picture.recently[queue].queued
        if growth < at.growth_min or taken.get(queue, Work()).leased:
            continue
        yield Anomaly(
            kind=Kind.NO_CONSUMER,
            subject=queue,
            amount=growth,
            threshold=at.growth_min,
            said=f"{growth} messages more than 10 minutes ago, and nobody has taken one",
            advice="start a consumer of this queue, or stop what sends to it",
            queue=queue,
        )


def _dead_growing(picture: Picture, at: Thresholds) -> Iterator[Anomaly]:
    for queue, depth in picture.now.items():
        if queue not in picture.before:
            continue
        growth = depth.dead - picture.before[queue].dead
        if growth < at.dead_min:
            continue
        yield Anomaly(
            kind=Kind.DEAD_GROWING,
            subject=queue,
            amount=growth,
            threshold=at.dead_min,
            said=f"{growth} messages died within the hour, {depth.dead} are dead",
            advice="look at why they died, put it right, and redrive them",
            queue=queue,
        )


def _lease_ending(picture: Picture, at: Thresholds) -> Iterator[Anomaly]:
    by_consumer: dict[str, list[Ending]] = {}
    for each in picture.ending:
        left_ms = each.lease_until_ms - picture.now_ms
        is_short = each.lease_length_ms < at.lease_min_ms
        if not is_short and 0 < left_ms * 100 <= each.lease_length_ms * at.left_percent:
            by_consumer.setdefault(each.consumer_id, []).append(each)
    for name, endings in by_consumer.items():
        endings.sort(key=lambda each: each.lease_until_ms)
        left_s = (endings[0].lease_until_ms - picture.now_ms) / 1000
        yield Anomaly(
            kind=Kind.LEASE_ENDING,
            subject=name,
            amount=len(endings),
            threshold=1,
            said=f"{len(endings)} untouched, the first ends in {left_s:.1f} s",
            advice="let the consumer touch what it still works on; else it is delivered again",
            consumer_ids=(name,),
            message_ids=tuple(each.message_id for each in endings[:NAMED_MAX]),
        )


_RULES: Final[tuple[Callable[[Picture, Thresholds], Iterator[Anomaly]], ...]] = (
    _poison,
    _leases_lapse,
    _failures_jumped,
    _no_consumer,
    _waiting_long,
    _dead_growing,
    _lease_ending,
)


def _sum(picture: Picture, by: Callable[[WorkKey], _Part], *, recent: bool) -> dict[_Part, Work]:
    """Sum what was done recently, or before that, by a part of its key."""
    begin_ms = picture.now_ms - RECENT_MS
    sums: dict[_Part, Work] = {}
    for key, done in picture.work.items():
        if (key[0] >= begin_ms) == recent:
            sums.setdefault(by(key), Work()).add(done)
    return sums


def _failed(done: Work) -> tuple[int, int]:
    failed = done.given_back + done.lapsed
    return failed, failed + done.acknowledged


def _failing_consumers(picture: Picture, queue: str, type_: str) -> tuple[str, ...]:
    """Return whose attempts fail, the most first."""
    begin_ms = picture.now_ms - RECENT_MS
    failures: dict[str, int] = {}
    for (minute_ms, name, *kind), done in picture.work.items():
        if minute_ms >= begin_ms and kind == [queue, type_] and name and _failed(done)[0]:
            failures[name] = failures.get(name, 0) + _failed(done)[0]
    return tuple(sorted(failures, key=lambda name: -failures[name])[:NAMED_MAX])
