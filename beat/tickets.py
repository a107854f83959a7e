"""When tasks for tickets run."""

from typing import Any, Final

from workers import tickets

SCHEDULE: Final[dict[str, dict[str, Any]]] = {
    "tickets-sweep": {
        "task": tickets.sweep.name,
        "schedule": 1.0,
        "options": {"queue": "tickets", "expires": 5},
    },
    "tickets-close": {
        "task": tickets.close.name,
        "schedule": 60.0,
        "options": {"queue": "tickets", "expires": 60},
    },
}
