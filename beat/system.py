"""When tasks for the house itself run."""

from typing import Any, Final

from celery.schedules import crontab

from workers import system

SCHEDULE: Final[dict[str, dict[str, Any]]] = {
    "system-tick": {
        "task": system.tick.name,
        "schedule": 1.0,
        "options": {"queue": "system", "expires": 5},
    },
    "system-resend": {
        "task": system.resend.name,
        "schedule": 2.0,
        "options": {"queue": "system", "expires": 10},
    },
    "system-clean": {
        "task": system.clean.name,
        "schedule": crontab(minute="17"),
        "options": {"queue": "system", "expires": 1800},
    },
}
