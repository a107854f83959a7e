"""What `celery -A workers.main worker` loads: the tasks of every domain, set up."""

import os

from models.settings import load_settings
from workers import mail, messages, people, rooms, schedules, system, tickets, webhooks
from workers.app import app, configure

__all__ = [
    "app",
    "mail",
    "messages",
    "people",
    "rooms",
    "schedules",
    "system",
    "tickets",
    "webhooks",
]

configure(load_settings(os.environ))
