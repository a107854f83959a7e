"""Moments and spans as the mail contract writes them."""

import re
from datetime import UTC, datetime
from typing import Final

from models.clock import iso_utc
from models.errors import InvalidError

_UNITS_S: Final = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}
# Longer than any message lives, and small enough for what a database counts in.
_SECONDS_MAX: Final = 100_000_000_000
_SPAN: Final = re.compile(r"(?:\d{1,9}[dhms])+")
_PART: Final = re.compile(r"(\d+)([dhms])")


def iso_seconds(at_ms: int) -> str:
    """Write a moment as the contract does: UTC, whole seconds, `Z`."""
    return datetime.fromtimestamp(at_ms // 1000, UTC).isoformat()[:-6] + "Z"


def iso_or_none(at_ms: int | None) -> str | None:
    """Write a moment to the millisecond, if there is one."""
    return None if at_ms is None else iso_utc(at_ms)


def span(ms: int) -> str:
    """Write a span as `2h30m`, below a minute as `12s`."""
    seconds = max(ms, 0) // 1000
    hours, minutes = seconds // 3600, seconds % 3600 // 60
    text = (f"{hours}h" if hours else "") + (f"{minutes}m" if minutes else "")
    return text or f"{seconds}s"


def read_span_ms(text: str, *, field: str) -> int:
    """Read `2h`, `1h30m`, `2d` or a bare number of minutes; raises InvalidError."""
    if text.isascii() and text.isdecimal() and len(text) <= 9:  # noqa: PLR2004  # a thousand years
        return int(text) * 60_000
    if not _SPAN.fullmatch(text):
        raise InvalidError({field: f"expected a span such as 1h30m or 2d, got {text[:40]!r}"})
    seconds = sum(int(number) * _UNITS_S[unit] for number, unit in _PART.findall(text))
    return min(seconds, _SECONDS_MAX) * 1000
