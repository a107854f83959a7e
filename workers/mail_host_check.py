"""What `stanchion mail-watch --check` looks at: Exim and its rights, and the broker."""

from collections.abc import Iterator, Sequence
from typing import Final

from kombu.exceptions import OperationalError

from models.clock import now_ms
from models.mail.exim import Exim
from models.mail.host_check import Sight, compare_clocks, look
from models.mail.program import find_command
from models.mail.rules import task_queue_of
from workers.app import app
from workers.broker import RedisChannel

_PATIENCE_S: Final = 3


def check(host: str, configured: str) -> Iterator[Sight]:
    """Look at all that a mail host needs; takes a few seconds where something is silent."""
    command = find_command(configured)
    if command is None:
        yield Sight(
            subject="exim",
            is_good=False,
            fact="there is no Exim on this machine",
            advice="see STANCHION_EXIM",
        )
    else:
        yield from look(Exim(command))
    yield from _broker(("mail", task_queue_of(host)))


def look_at(command: Sequence[str]) -> Iterator[Sight]:
    """Look at one Exim and at what who runs this may do with it."""
    return look(Exim(command))


def _broker(task_queues: Sequence[str]) -> Iterator[Sight]:
    with app.connection_for_write() as connection:
        where = connection.as_uri()
        try:
            connection.ensure_connection(max_retries=1, timeout=_PATIENCE_S)
            # As whoever sends there would; a wrong password and missing rights come out here.
            for name in task_queues:
                connection.default_channel.queue_declare(name, durable=True, auto_delete=False)
        except (OperationalError, OSError, *connection.channel_errors) as error:
            reason = " ".join(str(error).split())[:200]
            yield Sight(
                subject="broker",
                is_good=False,
                fact=f"{where} does not do: {reason}",
                advice="see STANCHION_BROKER_URL",
            )
            return
        yield Sight(subject="broker", is_good=True, fact=f"{where} answers")
        if isinstance(connection.default_channel, RedisChannel):
            seconds, microseconds = connection.default_channel.client.time()
            yield compare_clocks(seconds * 1000 + microseconds // 1000, now_ms())
