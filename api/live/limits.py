"""What live clients may ask of this process, and how many there may be."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveLimits:
    """Bounds; docs/settings.md lists them by their variables."""

    sockets_max: int
    message_bytes_max: int
    messages_per_s: int
    buffer_bytes_max: int  # what may wait for one client that reads slowly
    replay_max: int  # events that a client is caught up with, and packets that wait meanwhile
    authentication_timeout_s: float
    recheck_s: float  # how soon a client is closed whose rights ended
