"""When tasks for webhooks run."""

from typing import Any, Final

from workers import webhooks

SCHEDULE: Final[dict[str, dict[str, Any]]] = {
    "webhooks-deliver": {
        "task": webhooks.deliver.name,
        "schedule": 1.0,
        "options": {"queue": "webhooks", "expires": 5},
    },
}
