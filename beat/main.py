"""What `celery -A beat.main beat` loads: the schedule of every domain, set up for this process."""

import os

from beat import mail, messages, people, rooms, schedules, system, tickets, webhooks
from models.settings import load_settings
from workers.app import app, configure

__all__ = ["app"]

configure(load_settings(os.environ))
app.conf.update(
    beat_schedule={
        **system.SCHEDULE,
        **mail.SCHEDULE,
        **messages.SCHEDULE,
        **people.SCHEDULE,
        **rooms.SCHEDULE,
        **schedules.SCHEDULE,
        **tickets.SCHEDULE,
        **webhooks.SCHEDULE,
    },
    beat_scheduler="beat.scheduler:Scheduler",
)
