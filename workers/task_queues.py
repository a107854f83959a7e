"""The task queues that a worker takes from unless it is told otherwise."""

from typing import Final

TASK_QUEUES: Final = (
    *("system", "messages", "people", "webhooks", "schedules", "rooms", "tickets", "mail"),
)
