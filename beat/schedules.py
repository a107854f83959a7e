"""When tasks for schedules run."""

from typing import Any, Final

from workers import schedules

SCHEDULE: Final[dict[str, dict[str, Any]]] = {
    "schedules-run": {
        "task": schedules.run.name,
        "schedule": 1.0,  # seconds; how late a message may be
        "options": {"queue": "schedules", "expires": 5},
    },
}
