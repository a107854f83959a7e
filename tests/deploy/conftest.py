"""What the tests of this folder start; without the servers they need they are skipped."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NoReturn, Protocol

import pytest

from tests.deploy.house import House, start_house
from tests.deploy.nginx import Nginx
from tests.deploy.rabbitmq import RabbitmqServer


class NewNginx(Protocol):
    """Makes an nginx before other servers, at `host:port` each."""

    def __call__(self, *, api: list[str], relay: list[str], flower: str = ...) -> Nginx:
        """Return it; it starts when entered."""


@pytest.fixture(scope="session")
def new_nginx(new_folder: Callable[[str], Path]) -> NewNginx:
    """Makes an nginx before servers of a test's own."""
    if Nginx.program() is None:
        _is_missing("nginx", "nginx")
    return lambda **addresses: Nginx(new_folder("n"), **addresses)


@pytest.fixture(scope="module")
def rabbitmq_folder(new_folder: Callable[[str], Path]) -> Path:
    """A folder for a RabbitMQ."""
    if not RabbitmqServer.is_installed():
        _is_missing("RabbitMQ", "rabbitmq-server")
    return new_folder("q")


@pytest.fixture
def new_house(
    new_nginx: NewNginx, new_folder: Callable[[str], Path], migrated_file: Path
) -> Iterator[Callable[[], House]]:
    """Starts a house for one test that does it harm."""
    assert new_nginx
    with ExitStack() as stack:
        url = _copy(migrated_file, new_folder)
        yield lambda: start_house(stack, new_folder, database_url=url, patience_s=10)


@pytest.fixture(scope="module")
def house(
    new_nginx: NewNginx, new_folder: Callable[[str], Path], migrated_file: Path
) -> Iterator[House]:
    """A house for all tests of a module, whose nginx soon loses patience; leave it running."""
    assert new_nginx
    with ExitStack() as stack:
        url = _copy(migrated_file, new_folder)
        yield start_house(stack, new_folder, database_url=url, patience_s=1)


def _copy(migrated_file: Path, new_folder: Callable[[str], Path]) -> str:
    return f"sqlite:///{shutil.copy(migrated_file, new_folder('s') / 'stanchion.db')}"


def _is_missing(name: str, package: str) -> NoReturn:
    """Skip the test for lack of a server; in CI that is a failure."""
    reason = f"{name} is not installed (Debian: {package})"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)
