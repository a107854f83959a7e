"""When tasks for messages run."""

from typing import Any, Final

from celery.schedules import crontab

from workers import messages

SCHEDULE: Final[dict[str, dict[str, Any]]] = {
    "messages-expire": {
        "task": messages.expire.name,
        "schedule": 1.0,  # seconds; how long a count may be stale, a claim does not wait for it
        "options": {"queue": "messages", "expires": 5},
    },
    "messages-record": {
        "task": messages.record.name,
        "schedule": float(messages.RECORD_EVERY_S),  # how far the history is behind
        "options": {"queue": "messages", "expires": 10},
    },
    "messages-watch": {
        "task": messages.watch.name,
        "schedule": 60.0,  # the minute that samples are kept by
        "options": {"queue": "messages", "expires": 60},
    },
    "messages-forget": {
        "task": messages.forget.name,
        "schedule": 60.0,
        "options": {"queue": "messages", "expires": 60},
    },
    "messages-archive": {
        "task": messages.archive.name,
        "schedule": 60.0,
        "options": {"queue": "messages", "expires": 60},
    },
    "messages-recount": {
        "task": messages.recount.name,
        "schedule": crontab(hour=3, minute=17),  # at night, in STANCHION_TIMEZONE
        "options": {"queue": "messages", "expires": 3600},
    },
    "messages-see": {
        "task": messages.see.name,
        "schedule": 10.0,  # how old a picture of the console is at most
        "options": {"queue": "messages", "expires": 10},
    },
}
