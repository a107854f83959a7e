"""A transport that sends at once what belongs together."""

import asyncio
from typing import Any


class Cork:
    """Holds back what is written until `flush`, or until the loop's next turn.

    uvicorn writes the head of an answer and its body one after the other: two system calls, and a
    process that is killed between them leaves a client with a status and nothing behind it.
    Everything but writing is the transport's own.
    """

    __slots__ = ("_held", "_loop", "bare", "is_closing")

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self.bare = transport
        self.is_closing = transport.is_closing
        self._loop = loop
        self._held: list[bytes] | None = None

    def write(self, data: bytes) -> None:
        """Take bytes to send."""
        if self._held is None:
            self._held = [data]
            self._loop.call_soon(self.flush)
        else:
            self._held.append(data)

    def flush(self) -> None:
        """Send what is held."""
        held, self._held = self._held, None
        if held is not None:
            self.bare.write(b"".join(held) if len(held) > 1 else held[0])

    def close(self) -> None:
        """Close when everything is sent."""
        self.flush()
        self.bare.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.bare, name)
