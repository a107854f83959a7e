"""When tasks for rooms run."""

from typing import Any, Final

from celery.schedules import crontab

from workers import rooms

SCHEDULE: Final[dict[str, dict[str, Any]]] = {
    "rooms-admit": {
        "task": rooms.admit.name,
        "schedule": 0.25,  # seconds; how smooth admission is, not how fast
        # A tick that no worker took is void once some later ones are due; API processes tick the
        # rooms they serve when no tick came.
        "options": {"queue": "rooms", "expires": 1},
    },
    "rooms-expire": {
        "task": rooms.expire.name,
        "schedule": 0.5,
        "options": {"queue": "rooms", "expires": 2},
    },
    "rooms-draw": {
        "task": rooms.draw.name,
        "schedule": 1.0,  # a room that draws opens so late at most
        "options": {"queue": "rooms", "expires": 5},
    },
    "rooms-sample": {
        "task": rooms.sample.name,
        "schedule": 10.0,  # models/rooms/statistics.py counts on it
        "options": {"queue": "rooms", "expires": 10},
    },
    "rooms-note": {
        "task": rooms.note.name,
        "schedule": 2.0,
        "options": {"queue": "rooms", "expires": 10},
    },
    "rooms-forget": {
        "task": rooms.forget.name,
        "schedule": crontab(minute="*/10"),
        "options": {"queue": "rooms", "expires": 600},
    },
    "rooms-see": {
        "task": rooms.see.name,
        "schedule": 10.0,  # how old a picture of the console is at most
        "options": {"queue": "rooms", "expires": 10},
    },
}
