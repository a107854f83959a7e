"""When tasks for messages run."""

from typing import Any, Final

SCHEDULE: Final[dict[str, dict[str, Any]]] = {}
