"""When tasks for mail run."""

from typing import Any, Final

from celery.schedules import crontab

from workers import mail

SCHEDULE: Final[dict[str, dict[str, Any]]] = {
    "mail-sample": {
        "task": mail.sample.name,
        "schedule": 60.0,
        "options": {"queue": "mail", "expires": 60},
    },
    "mail-resend": {
        "task": mail.resend.name,
        "schedule": 5.0,
        "options": {"queue": "mail", "expires": 5},
    },
    "mail-alarm": {
        "task": mail.alarm.name,
        "schedule": 10.0,
        "options": {"queue": "mail", "expires": 10},
    },
    "mail-forget-log": {
        "task": mail.forget_log.name,
        "schedule": 600.0,
        "options": {"queue": "mail", "expires": 600},
    },
    "mail-forget-operations": {
        "task": mail.forget_operations.name,
        "schedule": 600.0,
        "options": {"queue": "mail", "expires": 600},
    },
    "mail-recount": {
        "task": mail.recount.name,
        "schedule": crontab(hour=3, minute=41),
        "options": {"queue": "mail", "expires": 3600},
    },
    "mail-see": {
        "task": mail.see.name,
        "schedule": 10.0,  # how old a picture of the console is at most
        "options": {"queue": "mail", "expires": 10},
    },
}
