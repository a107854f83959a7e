"""When tasks about people run."""

from typing import Any, Final

from celery.schedules import crontab

from workers import people

SCHEDULE: Final[dict[str, dict[str, Any]]] = {
    "people-forget": {
        "task": people.forget.name,
        "schedule": crontab(minute="7"),
        "options": {"queue": "people", "expires": 1800},
    },
    "people-rotate": {
        "task": people.rotate.name,
        "schedule": crontab(minute="37"),
        "options": {"queue": "people", "expires": 1800},
    },
}
