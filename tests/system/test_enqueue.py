import json
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
import redis
import structlog

from api.enqueue import TaskSender
from models.errors import UnavailableError
from models.outbox import Hint
from tests.servers import RedisServer


@pytest.fixture
def broker(new_folder: Callable[[str], Any]) -> Iterator[RedisServer]:
    """A broker that a test may stop."""
    with RedisServer(new_folder("b")) as server:
        yield server


@pytest.fixture
async def sender(
    broker: RedisServer, send_through: Callable[[str], None]
) -> AsyncIterator[TaskSender]:
    send_through(broker.url)
    sender = TaskSender()
    yield sender
    sender.close()


def _messages(broker: RedisServer, queue: str) -> list[dict[str, Any]]:
    with redis.Redis.from_url(broker.url) as client:
        return [json.loads(message) for message in client.lrange(queue, 0, -1)]


async def test_send_puts_a_message_into_the_queue(broker: RedisServer, sender: TaskSender) -> None:
    await sender.send("system.tick", (1,), {"a": 2}, queue="system", expires_s=5)

    [message] = _messages(broker, "system")
    assert message["headers"]["task"] == "system.tick"
    assert message["headers"]["expires"] is not None
    assert message["content-type"] == "application/json"


async def test_send_carries_the_request_id_of_the_log(
    broker: RedisServer, sender: TaskSender
) -> None:
    with structlog.contextvars.bound_contextvars(request_id="req-42"):
        await sender.send("system.tick", queue="messages")

    [message] = _messages(broker, "messages")
    assert message["headers"]["request_id"] == "req-42"


async def test_send_says_when_the_broker_is_away(broker: RedisServer, sender: TaskSender) -> None:
    broker.stop()

    with pytest.raises(UnavailableError, match="broker is unavailable"):
        await sender.send("system.tick", queue="system")


async def test_send_works_again_when_the_broker_is_back(
    broker: RedisServer, sender: TaskSender
) -> None:
    await sender.send("system.tick", queue="system")
    broker.stop()
    with pytest.raises(UnavailableError):
        await sender.send("system.tick", queue="system")
    broker.start()

    await sender.send("system.tick", queue="system")

    assert len(_messages(broker, "system")) == 1  # this broker keeps nothing


async def test_send_refuses_more_than_may_wait(
    broker: RedisServer, send_through: Callable[[str], None]
) -> None:
    send_through(broker.url)
    sender = TaskSender(waiting_max=0)

    with pytest.raises(UnavailableError, match="sends wait for it already"):
        await sender.send("system.tick", queue="system")

    sender.close()


async def test_send_hint_names_the_row(broker: RedisServer, sender: TaskSender) -> None:
    await sender.send_hint(Hint(17, "system.probe", "system", "req-1"))

    [message] = _messages(broker, "system")
    assert message["headers"]["argsrepr"] == "[17]"


async def test_send_hint_leaves_it_to_beat_when_the_broker_is_away(
    broker: RedisServer, sender: TaskSender
) -> None:
    broker.stop()

    await sender.send_hint(Hint(17, "system.probe", "system", "req-1"))
