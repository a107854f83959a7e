"""The only place that asks what time it is; everything below an edge takes time as an argument."""

import time
from datetime import UTC, datetime


def now_ms() -> int:
    """Return Unix time in milliseconds."""
    return time.time_ns() // 1_000_000


def iso_utc(at_ms: int) -> str:
    """Write a moment as ISO 8601 in UTC with milliseconds and `Z`."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds")[:-6] + "Z"
