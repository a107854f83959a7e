from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from tests.deploy.conftest import NewNginx
from tests.deploy.nginx import Nginx
from tests.servers import RedisServer, System, free_port, wait_until

PASSWORD = "a-password-of-the-tests"


@pytest.fixture(scope="module")
def flower(
    new_nginx: NewNginx, new_folder: Callable[[str], Path], migrated_file: Path
) -> Iterator[tuple[str, Nginx]]:
    """Flower's own address, and an nginx before it."""
    bind = f"127.0.0.1:{free_port()}"
    with (
        RedisServer(new_folder("r")) as server,
        System(
            new_folder("y"),
            database_url=f"sqlite:///{migrated_file}",
            redis_url=server.url,
            processes=("flower",),
            settings={"FLOWER_BIND": bind, "ADMIN_PASSWORD": PASSWORD, "ADMIN_KEY": "k" * 20},
        ) as system,
        new_nginx(api=["127.0.0.1:9"], relay=["127.0.0.1:9"], flower=bind) as nginx,
    ):
        url = f"http://{bind}"
        answers = lambda: httpx.get(url).status_code == 401  # noqa: E731
        wait_until(answers, "flower answers", process=system.running["flower"])
        yield url, nginx


@pytest.mark.parametrize(
    "path",
    [
        *("/metrics", "//metrics", "/./metrics", "/%6Detrics", "/x/../metrics", "/metrics?a=b"),
        *("/healthcheck", "/%68ealthcheck", "//healthcheck"),
    ],
)
def test_what_asks_for_no_password_stays_inside(flower: tuple[str, Nginx], path: str) -> None:
    own, nginx = flower

    answer = httpx.get(f"http://127.0.0.1:{nginx.flower_port}{path}")

    assert httpx.get(f"{own}/metrics").status_code == 200  # which is why
    assert answer.status_code in {401, 404}
    assert "flower_" not in answer.text


@pytest.mark.parametrize(
    "path", ["/", "/workers", "/tasks", "/broker", "/api/workers", "/api/tasks"]
)
def test_pages_ask_for_the_password_of_admin(flower: tuple[str, Nginx], path: str) -> None:
    url = f"http://127.0.0.1:{flower[1].flower_port}{path}"

    assert httpx.get(url).status_code == 401
    assert httpx.get(url, auth=("admin", "wrong")).status_code == 401


def test_admin_gets_in(flower: tuple[str, Nginx]) -> None:
    url = f"http://127.0.0.1:{flower[1].flower_port}/workers"

    assert httpx.get(url, auth=("admin", PASSWORD)).status_code == 200
