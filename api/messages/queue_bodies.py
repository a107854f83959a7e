"""The wire of queues: their settings as whoever runs them says and sees them."""

from typing import Annotated, Any, Final

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from api.http.reading import Body
from api.messages import bodies as wire
from models.messages.policies import NO_SETTINGS, QueueSettings, Rate, changed
from models.messages.queues import Queue

_WaitingMax = Annotated[int, Meta(ge=1, le=1_000_000_000)]
_Factor = Annotated[float, Meta(ge=1, le=10)]
_Part = Annotated[float, Meta(ge=0, le=1)]
_Names = Annotated[list[wire.Name], Meta(max_length=1_000)]
_Rates = Annotated[dict[wire.Name, Rate], Meta(max_length=1_000)]
# What the wire counts in seconds and the settings in milliseconds.
_IN_SECONDS: Final = {
    "ack_timeout_seconds": "lease_ms",
    "retry_delay_seconds": "retry_delay_ms",
    "retry_delay_max_seconds": "retry_delay_max_ms",
}


class QueueBody(Body, frozen=True, kw_only=True):
    """Settings of a queue. Null is the default; so is a missing one where all are set."""

    paused: bool | UnsetType | None = UNSET
    paused_types: _Names | UnsetType | None = UNSET
    paused_keys: _Names | UnsetType | None = UNSET
    ack_timeout_seconds: wire.Seconds | UnsetType | None = UNSET
    max_attempts: wire.Attempts | UnsetType | None = UNSET
    waiting_max: _WaitingMax | UnsetType | None = UNSET
    retry_delay_seconds: wire.Delay | UnsetType | None = UNSET
    retry_factor: _Factor | UnsetType | None = UNSET
    retry_delay_max_seconds: wire.Seconds | UnsetType | None = UNSET
    retry_jitter: _Part | UnsetType | None = UNSET
    rate: Rate | UnsetType | None = UNSET
    type_rates: _Rates | UnsetType | None = UNSET
    key_rate: Rate | UnsetType | None = UNSET

    def changes(self) -> dict[str, object]:
        """Return what it changes, in our words; None is the default again."""
        changes: dict[str, Any] = {}
        for name, value in msgspec.to_builtins(self).items():
            if name in _IN_SECONDS:
                changes[_IN_SECONDS[name]] = wire.milliseconds(value)
            else:
                changes[name] = value
        return changes

    def settings(self) -> QueueSettings:
        """Return all settings, where those that are missing are the defaults."""
        return changed(NO_SETTINGS, self.changes())


class QueueView(Struct, frozen=True, kw_only=True):
    """A queue; `default` has no moments before somebody changes it."""

    name: str
    paused: bool
    paused_types: tuple[str, ...]
    paused_keys: tuple[str, ...]
    ack_timeout_seconds: int | None
    max_attempts: int | None
    waiting_max: int | None
    retry_delay_seconds: int
    retry_factor: float
    retry_delay_max_seconds: int
    retry_jitter: float
    rate: Rate | None
    type_rates: dict[str, Rate]
    key_rate: Rate | None
    counts: wire.StateCounts
    created_at: str | None
    updated_at: str | None


def view(queue: Queue) -> QueueView:
    """Show a queue."""
    settings = queue.settings
    return QueueView(
        name=queue.name,
        paused=settings.paused,
        paused_types=settings.paused_types,
        paused_keys=settings.paused_keys,
        ack_timeout_seconds=None if settings.lease_ms is None else settings.lease_ms // 1000,
        max_attempts=settings.max_attempts,
        waiting_max=settings.waiting_max,
        retry_delay_seconds=settings.retry_delay_ms // 1000,
        retry_factor=settings.retry_factor,
        retry_delay_max_seconds=settings.retry_delay_max_ms // 1000,
        retry_jitter=settings.retry_jitter,
        rate=settings.rate,
        type_rates=settings.type_rates,
        key_rate=settings.key_rate,
        counts=wire.state_counts(queue.counts),
        created_at=wire.moment_or_none(queue.created_at_ms),
        updated_at=wire.moment_or_none(queue.updated_at_ms),
    )
