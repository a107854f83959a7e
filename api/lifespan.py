"""What runs beside the requests, for as long as the server does."""

from collections.abc import Callable
from typing import Any, Final


class Lifespan:
    """Falcon middleware that runs with the server."""

    def __init__(self, start: Callable[[], Any], stop: Callable[[], Any]) -> None:
        self._start: Final = start
        self._stop: Final = stop

    async def process_startup(self, _scope: object, _event: object) -> None:
        """Start what runs beside the requests."""
        await self._start()

    async def process_shutdown(self, _scope: object, _event: object) -> None:
        """Stop it, and close the stores."""
        await self._stop()
