"""Server-Sent Events, line by line."""

import json
from typing import Final

from stanchion_client.facts import Event

RECONNECT_S: Final = 1.0
# The server sends a comment every 15 s; who hears nothing for this long has lost it.
SILENCE_MAX_S: Final = 45.0


class EventReader:
    """Makes events of lines, and keeps the offset of the last one for who comes back."""

    def __init__(self, last_id: str | None = None) -> None:
        self.last_id = last_id
        self._id: str | None = None
        self._name = "message"
        self._data: list[str] = []

    @property
    def headers(self) -> dict[str, str]:
        """Return the headers by which to connect, again or for the first time."""
        wanted = {"Accept": "text/event-stream"}
        return wanted if self.last_id is None else {**wanted, "Last-Event-ID": self.last_id}

    def forget(self) -> None:
        """Forget an event that was cut off."""
        self._id, self._name, self._data = None, "message", []

    def read(self, line: str) -> Event | None:
        """Take a line; return the event that it ends."""
        if line:
            self._take(line)
            return None
        event = None
        if self._data:
            event = Event(id=self._id, name=self._name, data=json.loads("\n".join(self._data)))
            self.last_id = self._id or self.last_id
        self.forget()
        return event

    def _take(self, line: str) -> None:
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "id":
            self._id = value
        elif name == "event":
            self._name = value
        elif name == "data":
            self._data.append(value)
