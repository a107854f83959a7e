"""How a queue behaves: what whoever runs it may set, checked by its types; no I/O, no clock."""

import re
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

from models.errors import ConflictError, InvalidError, LimitError, NotFoundError

QUEUE_NAME_PATTERN: Final = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$"
_QUEUE_NAME: Final = re.compile(QUEUE_NAME_PATTERN)

Milliseconds = Annotated[int, Meta(ge=1_000, le=31_536_000_000)]


class Rate(Struct, frozen=True, forbid_unknown_fields=True):
    """So many messages in so much time: all of them at once, then one each `seconds / count`."""

    count: Annotated[int, Meta(ge=1, le=1_000_000)]
    seconds: Annotated[int, Meta(ge=1, le=86_400)] = 1

    @property
    def interval_us(self) -> int:
        """Return the microseconds after which there is room for one more."""
        return max(1, self.seconds * 1_000_000 // self.count)

    def next_us(self, spent_us: int, now_us: int) -> tuple[int, int]:
        """Return until when the rate is spent with one more message, and when that one may go.

        The generic cell rate algorithm: `spent_us` is until when it is spent by those before.
        """
        spent_us = max(spent_us, now_us) + self.interval_us
        return spent_us, max(now_us, spent_us - self.count * self.interval_us)


Names = Annotated[tuple[Annotated[str, Meta(max_length=255)], ...], Meta(max_length=1_000)]


class QueueSettings(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The settings of one queue; None leaves the choice to the message and the server."""

    # While it is paused nobody gets a message; messages may come in and leases may be settled.
    paused: bool = False
    # Defaults for messages that do not say.
    lease_ms: Milliseconds | None = None
    max_attempts: Annotated[int, Meta(ge=1, le=10_000)] | None = None
    # With so many messages waiting, more are refused.
    waiting_max: Annotated[int, Meta(ge=1, le=1_000_000_000)] | None = None
    # How long nobody gets a message after a failed attempt: times the factor with each attempt,
    # up to the longest, less a part of up to `retry_jitter` of it.
    retry_delay_ms: Annotated[int, Meta(ge=0, le=31_536_000_000)] = 0
    retry_factor: Annotated[float, Meta(ge=1, le=10)] = 2.0
    retry_delay_max_ms: Milliseconds = 3_600_000
    retry_jitter: Annotated[float, Meta(ge=0, le=1)] = 0.0
    # Nobody gets messages of these types, or of these groups.
    paused_types: Names = ()
    paused_keys: Names = ()
    # How many are delivered: in all, of a type, and of each group.
    rate: Rate | None = None
    type_rates: Annotated[dict[str, Rate], Meta(max_length=1_000)] = {}
    key_rate: Rate | None = None

    @property
    def restrains(self) -> bool:
        """Say whether it depends on the message whether it may be delivered now."""
        return bool(self.paused_types or self.paused_keys or self.has_rates)

    @property
    def has_rates(self) -> bool:
        """Say whether delivering has a rate."""
        return bool(self.rate or self.type_rates or self.key_rate)

    def is_paused(self, type_: str | None, group_key: str | None) -> bool:
        """Say whether nobody gets messages of this type and group."""
        return type_ in self.paused_types or group_key in self.paused_keys

    def rates_of(self, type_: str | None, group_key: str | None) -> list[tuple[str, str, Rate]]:
        """Return the rates that hold for a message: kind and name of each, and the rate."""
        rates = []
        if self.rate is not None:
            rates.append(("queue", "", self.rate))
        if type_ is not None and (of_type := self.type_rates.get(type_)) is not None:
            rates.append(("type", type_, of_type))
        if group_key is not None and self.key_rate is not None:
            rates.append(("key", group_key, self.key_rate))
        return rates


NO_SETTINGS: Final = QueueSettings()
_encode: Final = msgspec.json.Encoder().encode
_decoder: Final = msgspec.json.Decoder(QueueSettings)


class QueueNotFoundError(NotFoundError):
    """Nobody made a queue of this name."""

    code = "QUEUE_NOT_FOUND"

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name

    def __str__(self) -> str:
        return f"queue {self.name} does not exist"


class QueueExistsError(ConflictError):
    """A queue of this name was made before."""

    code = "QUEUE_EXISTS"

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name

    def __str__(self) -> str:
        return f"queue {self.name} exists already"


class QueueNotEmptyError(ConflictError):
    """Messages of the queue wait, are held or are dead: it is deleted by force only."""

    code = "QUEUE_NOT_EMPTY"

    def __init__(self, name: str, count: int) -> None:
        super().__init__(name, count)
        self.name = name
        self.count = count

    def __str__(self) -> str:
        return f"queue {self.name} holds {self.count} messages, expected none"


class QueueInUseError(ConflictError):
    """The queue is always there and cannot be deleted."""

    code = "QUEUE_PERMANENT"

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name

    def __str__(self) -> str:
        return f"queue {self.name} is always there"


class QueueFullError(LimitError):
    """So many messages wait in the queue that it takes no more for now."""

    code = "QUEUE_FULL"

    def __init__(self, name: str, waiting_max: int) -> None:
        super().__init__(f"waiting_max of queue {name}", waiting_max)
        self.args = (name, waiting_max)  # so that the error can be pickled
        self.name = name


def check_queue_name(name: str) -> None:
    """Raise InvalidError unless a queue may be called so."""
    if not _QUEUE_NAME.fullmatch(name):
        expected = "Expected 1 to 128 letters, digits, dots, dashes or underscores, no sign first"
        raise InvalidError({"name": expected})


def changed(settings: QueueSettings, changes: dict[str, object]) -> QueueSettings:
    """Return settings with some fields set anew, None for the default; raises InvalidError."""
    merged = {**msgspec.to_builtins(settings), **changes}
    kept = {name: value for name, value in merged.items() if value is not None}
    try:
        return msgspec.convert(kept, QueueSettings)
    except msgspec.ValidationError as error:
        reason, _, path = str(error).partition(" - at `$.")
        raise InvalidError({path.rstrip("`") or "settings": reason}) from None


def backoff_ms(settings: QueueSettings, attempt_count: int, message_id: int) -> int:
    """Return how long nobody gets a message whose attempt number `attempt_count` failed.

    The jitter comes from the message and the attempt, so that a repeat says the same.
    """
    if settings.retry_delay_ms == 0:
        return 0
    # Past the longest delay a power only grows; a bound keeps it a number.
    grown = settings.retry_delay_ms * settings.retry_factor ** min(attempt_count - 1, 64)
    delay = min(grown, settings.retry_delay_max_ms)
    part = (message_id * 2_654_435_761 + attempt_count * 40_503) % 2**32 / 2**32
    return int(delay * (1 - settings.retry_jitter * part))


def settings_to_text(settings: QueueSettings) -> str:
    """Return settings as they are stored."""
    return _encode(settings).decode()


def settings_of_text(text: str) -> QueueSettings:
    """Return stored settings."""
    return _decoder.decode(text)
