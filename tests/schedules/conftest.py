"""The service of messages in this process, which schedules put messages into."""

from tests.messages.conftest import queue

__all__ = ["queue"]
