"""Processes behind nginx that go away: what a client sees of it."""

import signal
import socket
import threading
from collections.abc import Callable

import httpx
import pytest

from tests.deploy.conftest import NewNginx
from tests.deploy.house import House
from tests.servers import wait_until

pytestmark = pytest.mark.xdist_group("nginx")

MESSAGE = {"type": "proxied", "payload": {"n": 1}}


def test_no_request_is_lost_while_an_api_is_killed(
    new_house: Callable[[], House],
) -> None:
    house = new_house()
    statuses: list[int] = []
    is_over = threading.Event()

    def ask() -> None:
        with house.client() as client:
            while not is_over.is_set():
                statuses.append(client.get("/api/queue/status").status_code)

    asking = [threading.Thread(target=ask) for _ in range(4)]
    for thread in asking:
        thread.start()
    try:
        for victim in house.api:
            count = len(statuses)
            wait_until(lambda: len(statuses) > count + 50, "requests flow")  # noqa: B023
            victim.running["api"].kill()
            count = len(statuses)
            wait_until(lambda: len(statuses) > count + 200, "requests flow on")  # noqa: B023
            victim.start("api")
            victim.wait_ready()
    finally:
        is_over.set()
        for thread in asking:
            thread.join()

    assert set(statuses) == {200}, house.nginx.process.log()[-3000:]


def test_a_post_that_was_sent_to_a_process_that_died_is_not_sent_again(new_nginx: NewNginx) -> None:
    received: list[bytes] = []
    listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]

    def die_of_each_request(listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            request = connection.recv(65_536)
            if request.startswith(b"GET / "):  # by which nginx is seen to be up
                connection.sendall(b"HTTP/1.1 204 \r\nConnection: close\r\n\r\n")
            else:
                received.append(request)
            connection.close()

    for listener in listeners:
        threading.Thread(target=die_of_each_request, args=(listener,), daemon=True).start()
    addresses = [f"127.0.0.1:{listener.getsockname()[1]}" for listener in listeners]
    with new_nginx(api=addresses, relay=addresses) as nginx:
        post = httpx.post(f"{nginx.url}/api/queue/message", json=MESSAGE)
        posts = len(received)
        get = httpx.get(f"{nginx.url}/api/queue/status")
    for listener in listeners:
        listener.close()

    assert (post.status_code, posts) == (503, 1)
    assert (get.status_code, len(received) - posts) == (503, 2)


def test_without_any_api_the_answer_is_503_and_streams_go_on(
    new_house: Callable[[], House],
) -> None:
    house = new_house()
    for each in house.api:
        each.running["api"].kill()

    with house.client() as client:
        refused = client.post("/api/queue/message", json=MESSAGE)
        with client.stream("GET", "/api/queue/events") as stream:
            assert stream.status_code == 200

    assert refused.status_code == 503
    assert refused.json()["code"] == "unavailable"
    assert refused.headers["Retry-After"] == "1"


@pytest.mark.xdist_group("scale")  # two towns at once are more than a small machine can carry
def test_restarts_one_after_the_other_lose_no_request(
    new_house: Callable[[], House],
) -> None:
    house = new_house()
    answers: list[int] = []
    is_over = threading.Event()

    def produce() -> None:
        with house.client() as client:
            while not is_over.is_set():
                answers.append(client.post("/api/queue/message", json=MESSAGE).status_code)

    producing = [threading.Thread(target=produce) for _ in range(2)]
    for thread in producing:
        thread.start()
    try:
        for each in house.api:
            count = len(answers)
            wait_until(lambda: len(answers) > count + 20, "messages flow")  # noqa: B023
            each.running["api"].stop(signal.SIGTERM)
            each.start("api")
            each.wait_ready()
    finally:
        is_over.set()
        for thread in producing:
            thread.join()

    assert set(answers) == {201}, house.nginx.process.log()[-3000:]
