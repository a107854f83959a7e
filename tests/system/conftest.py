"""What the tests of the house start beside what all tests share."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.servers import RedisServer, System


@pytest.fixture
def start_api(
    new_folder: Callable[[str], Path], migrated_file: Path, redis_server: RedisServer
) -> Iterator[Callable[..., System]]:
    """Starts an API alone, which a test may harm; the database makes no difference here."""
    with ExitStack() as stack:

        def start(**settings: str) -> System:
            database = shutil.copy(migrated_file, new_folder("s") / "stanchion.db")
            system = System(
                new_folder("y"),
                database_url=f"sqlite:///{database}",
                redis_url=redis_server.url,
                processes=("api",),
                settings=settings,
            )
            return stack.enter_context(system)

        yield start
