"""What `/metrics` adds up when several processes serve, and which of them it counts."""

import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.parser import text_string_to_metric_families

from tests.processes import children_of
from tests.servers import System, free_port, wait_until

PATH = "/api/queue/metrics"
COUNT = "stanchion_http_request_seconds_count"


@pytest.fixture
def pair(start_api: Callable[..., System]) -> System:
    """One server of two processes."""
    return start_api(WEB_CONCURRENCY="2")


def workers_of(system: System) -> list[int]:
    return children_of(system.running["api"].pid)


@contextlib.contextmanager
def only(pid: int, system: System) -> Iterator[None]:
    """Let one process of a server answer, while the others stand still."""
    others = [each for each in workers_of(system) if each != pid]
    for each in others:
        os.kill(each, signal.SIGSTOP)
    try:
        yield
    finally:
        for each in others:
            os.kill(each, signal.SIGCONT)


def ask(url: str, count: int) -> None:
    for _ in range(count):
        assert httpx.get(f"{url}{PATH}").is_success


def served(url: str, name: str = COUNT) -> float:
    """Return what `/metrics` says of one number: of requests for PATH, or of the whole."""
    families = text_string_to_metric_families(httpx.get(f"{url}/metrics").text)
    samples = [each for family in families for each in family.samples if each.name == name]
    return sum(each.value for each in samples if each.labels.get("route", PATH) == PATH)


def counted(folder: Path, pid: int) -> float:
    """Return how many requests for PATH one process counted, by its own file."""
    values = MmapedDict.read_all_values_from_file(f"{folder}/histogram_{pid}.db")
    return sum(value for key, value, *_ in values if '_bucket"' in key and PATH in key)


def folders(system: System) -> list[Path]:
    return [path for path in (system.folder / "metrics").iterdir() if path.is_dir()]


def test_whoever_is_asked_serves_the_sums_of_all_processes(pair: System) -> None:
    first, second = workers_of(pair)
    with only(first, pair):
        ask(pair.url, 3)
    with only(second, pair):
        ask(pair.url, 5)

    [folder] = folders(pair)
    assert (counted(folder, first), counted(folder, second)) == (3, 5)
    for worker in (first, second):
        with only(worker, pair):
            assert served(pair.url) == 8


def test_what_a_killed_process_counted_stays_and_who_waited_there_does_not(pair: System) -> None:
    first, second = workers_of(pair)
    with ThreadPoolExecutor(2) as threads:
        for number, worker in enumerate((first, second), 1):
            with only(worker, pair):
                ask(pair.url, number)
                threads.submit(httpx.get, f"{pair.url}/api/queue/message?timeout=20", timeout=30)
                wait_until(lambda n=number: waiting(pair) == n, "each of them is counted")

        os.kill(first, signal.SIGKILL)

        wait_until(lambda: waiting(pair) == 1, "who waited is gone")
        wait_until(lambda: len(workers_of(pair)) == 2, "another process serves")
        assert served(pair.url) == 3
        os.kill(second, signal.SIGKILL)  # so that nobody waits for the end of the poll


def waiting(pair: System) -> float:
    return served(pair.url, "stanchion_messages_waiting_consumers")


def test_two_servers_on_one_data_folder_count_each_for_itself(pair: System) -> None:
    bind = f"127.0.0.1:{free_port()}"
    ask(pair.url, 2)

    for _ in range(2):
        other = pair.start("api", name="other", settings={"BIND": bind})
        answers = lambda: httpx.get(f"http://{bind}/health").is_success  # noqa: E731
        wait_until(answers, "the second one answers", process=other)
        ask(f"http://{bind}", 1)

        assert served(f"http://{bind}") == 1
        assert served(pair.url) == 2
        assert len(folders(pair)) == 2
        other.kill()


def test_one_that_cannot_start_does_the_running_one_no_harm(pair: System) -> None:
    ask(pair.url, 2)

    other = pair.start("api", name="other")  # whose address is taken

    assert other.wait(60) != 0
    assert served(pair.url) == 2
