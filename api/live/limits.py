"""What live clients may ask of this process, and how many there may be."""

from dataclasses import dataclass

from models.settings import Settings


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


def limits_of(settings: Settings) -> LiveLimits:
    """Return what the settings say."""
    return LiveLimits(
        sockets_max=settings.sockets_max,
        message_bytes_max=settings.socket_message_bytes_max,
        messages_per_s=settings.socket_messages_per_s,
        buffer_bytes_max=settings.socket_buffer_bytes_max,
        replay_max=settings.socket_replay_max,
        authentication_timeout_s=settings.socket_authentication_timeout_s,
        recheck_s=settings.live_recheck_s,
    )
