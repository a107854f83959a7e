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
    # What changed in these seconds is looked at once.
    "tickets-calibrate": {
        "task": tickets.calibrate.name,
        "schedule": 10.0,
        "options": {"queue": "tickets", "expires": 20},
    },
    "tickets-forget": {
        "task": tickets.forget.name,
        "schedule": 3600.0,
        "options": {"queue": "tickets", "expires": 3600},
    },
    "tickets-see": {
        "task": tickets.see.name,
        "schedule": 10.0,  # how old a picture of the console is at most
        "options": {"queue": "tickets", "expires": 10},
    },
}
