"""Processes of the product as an operator spreads them, and nginx before them."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.deploy.nginx import Nginx
from tests.servers import RedisServer, System, free_port, wait_until

KEY = "a-key-of-the-tests"


@dataclass
class House:
    """Two APIs, a relay and nginx on one database and one Redis."""

    nginx: Nginx
    api: Sequence[System]
    relay: System

    def client(self) -> httpx.Client:
        """Return a client that shows the key."""
        return httpx.Client(base_url=self.nginx.url, timeout=30, headers={"X-API-KEY": KEY})


def start_house(
    stack: ExitStack,
    new_folder: Callable[[str], Path],
    *,
    database_url: str,
    patience_s: int,
) -> House:
    """Start everything; it ends with the stack. nginx waits `patience_s` for a slow client."""
    server = stack.enter_context(RedisServer(new_folder("r")))

    def start(role: str, **settings: str) -> System:
        system = System(
            new_folder("y"),
            database_url=database_url,
            redis_url=server.url,
            processes=(role,),
            settings={"SECRET_KEY": KEY, **settings},
        )
        return stack.enter_context(system)

    relay_bind = f"127.0.0.1:{free_port()}"
    relay = start("relay", RELAY_BIND=relay_bind)
    api = [start("api"), start("api")]
    wait_until(lambda: httpx.get(f"http://{relay_bind}/health").is_success, "the relay answers")
    nginx = Nginx(
        new_folder("n"),
        api=[each.url.partition("://")[2] for each in api],
        relay=[relay_bind],
        patience_s=patience_s,
    )
    return House(nginx=stack.enter_context(nginx), api=api, relay=relay)
