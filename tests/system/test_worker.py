"""What a worker and beat do together, run as an operator runs them."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from models import outbox
from models.clock import now_ms
from models.database import Database
from models.errors import UnavailableError
from models.outbox import Hint, State
from models.vitals import read_vitals
from tests.servers import Process, RedisServer, System, wait_until
from workers.app import send
from workers.system import probe_ms, send_hint, start_probe

CELERY = ("celery", "-A", "tests.system.task_worker", "worker", "-P", "threads", "-c", "4")
WORKER = (*CELERY, "-Q", "system,messages", "--without-gossip", "--without-mingle")
RESEND_AFTER_S = 1


@pytest.fixture(scope="module")
def running(
    new_database_url: Callable[[], str], new_folder: Callable[[str], Path]
) -> Iterator[System]:
    """A worker with the tasks of task_worker.py and a beat; a test repairs what it breaks."""
    with (
        RedisServer(new_folder("r"), appends=True) as server,
        System(
            new_folder("y"),
            database_url=new_database_url(),
            redis_url=server.url,
            processes=(),
            settings={"OUTBOX_RESEND_AFTER_S": str(RESEND_AFTER_S)},
        ) as started,
    ):
        started.redis_server = server
        started.start("worker", command=WORKER)
        started.start("beat")
        started.wait_ready()
        yield started


@pytest.fixture
def worker(running: System, send_through: Callable[[str], None]) -> Process:
    """The worker, ready for what `send` of this process sends."""
    send_through(running.redis_url)
    return running.running["worker"]


@pytest.fixture
def rows(running: System) -> Iterator[Database]:
    """The database of the running worker."""
    database = Database(running.database_url, connections_max=4, timeout_s=10)
    yield database
    database.close()


@pytest.fixture
def note_path(new_folder: Callable[[str], Path]) -> Path:
    """Where `system.note` notes its runs."""
    return new_folder("n") / "runs"


def _add_note(rows: Database, path: Path, *, claim_ms: int = 60_000) -> Hint:
    with rows.begin() as connection:
        return outbox.add(
            connection,
            task="system.note",
            args=[str(path)],
            task_queue="system",
            now_ms=now_ms(),
            resend_after_ms=RESEND_AFTER_S * 1000,
            claim_ms=claim_ms,
            request_id="req-note",
        )


def _state(rows: Database, hint: Hint) -> State:
    with rows.begin() as connection:
        entry = outbox.read(connection, hint.outbox_id)
    assert entry is not None
    return entry.state


def _runs(path: Path) -> int:
    return path.read_text().count("ran") if path.exists() else 0


def _let_go(path: Path) -> None:
    Path(f"{path}.go").touch()


def test_task_logs_with_the_request_id_of_its_sender(worker: Process) -> None:
    send("system.speak", queue="system", request_id="req-7")

    line = wait_until(lambda: worker.log_lines("spoke"), "the task speaks", process=worker)[-1]
    assert line["request_id"] == "req-7"
    assert line["task"] == "system.speak"
    assert line["task_id"]


def test_failing_task_is_logged_once_without_its_values(worker: Process) -> None:
    send("system.break_down", ("hush-1",), {"heals": False}, queue="system", request_id="req-8")

    [line] = _failures(worker, "req-8")
    assert line["level"] == "error"
    assert line["error"] == "ValueError"
    assert "break_down" in line["stack"]
    assert "hush-1" not in worker.log()


def test_failing_task_is_a_warning_when_it_heals(worker: Process) -> None:
    send("system.break_down", ("hush-2",), {"heals": True}, queue="system", request_id="req-9")

    [line] = _failures(worker, "req-9")
    assert line["level"] == "warning"
    assert line["error"] == "UnavailableError: database is unavailable: it is away"


def _failures(worker: Process, request_id: str) -> list[dict[str, Any]]:
    def failures() -> list[dict[str, Any]]:
        lines = worker.log_lines("task_failed")
        return [line for line in lines if line.get("request_id") == request_id]

    wait_until(failures, "the failure is logged", process=worker)
    return failures()


@pytest.mark.usefixtures("worker")
def test_probe_comes_back(rows: Database) -> None:
    outbox_id = start_probe(rows, resend_after_s=60)

    assert probe_ms(rows, outbox_id, timeout_s=20) >= 0


def test_outbox_work_is_done_once_when_delivered_twice(
    worker: Process, rows: Database, note_path: Path
) -> None:
    hint = _add_note(rows, note_path)
    send_hint(hint)
    wait_until(lambda: _runs(note_path), "the first begins", process=worker)
    send_hint(hint)
    skipped = lambda: worker.log_lines("outbox_skipped")  # noqa: E731
    wait_until(skipped, "the second is skipped while the first works", process=worker)
    _let_go(note_path)
    wait_until(lambda: _state(rows, hint) is State.FINISHED, "it is finished", process=worker)
    before = len(skipped())
    send_hint(hint)

    wait_until(lambda: len(skipped()) > before, "the third is skipped", process=worker)
    assert _runs(note_path) == 1


def test_outbox_work_is_done_once_when_its_hint_was_never_sent(
    running: System, worker: Process, rows: Database, note_path: Path
) -> None:
    _let_go(note_path)
    running.redis_server.stop()
    hint = _add_note(rows, note_path)
    with pytest.raises(UnavailableError):
        send_hint(hint)
    running.redis_server.start()

    finished = lambda: _state(rows, hint) is State.FINISHED  # noqa: E731
    wait_until(finished, "the sweep finds it", process=worker)
    assert _runs(note_path) == 1


def test_worker_survives_a_broker_that_restarts_while_it_works(
    running: System, worker: Process, rows: Database, note_path: Path
) -> None:
    hint = _add_note(rows, note_path)
    send_hint(hint)
    wait_until(lambda: _runs(note_path) == 1, "it begins", process=worker)
    running.redis_server.stop()
    running.redis_server.start()
    _let_go(note_path)

    finished = lambda: _state(rows, hint) is State.FINISHED  # noqa: E731
    wait_until(finished, "it is finished", process=worker)
    send("system.speak", queue="system", request_id="req-10")
    wait_until(
        lambda: [line for line in worker.log_lines("spoke") if line["request_id"] == "req-10"],
        "the worker takes what comes next",
        process=worker,
    )
    assert _runs(note_path) == 1


def test_outbox_work_is_done_again_when_its_worker_was_killed(
    running: System, worker: Process, rows: Database, note_path: Path
) -> None:
    hint = _add_note(rows, note_path, claim_ms=1_500)
    send_hint(hint)
    wait_until(lambda: _runs(note_path) == 1, "it begins", process=worker)
    worker.kill()
    _let_go(note_path)
    restarted = running.start("worker", command=WORKER)

    finished = lambda: _state(rows, hint) is State.FINISHED  # noqa: E731
    wait_until(finished, "it is done again", process=restarted)
    assert _runs(note_path) == 2


def test_probe_is_withdrawn_when_no_worker_answers(
    running: System, worker: Process, rows: Database
) -> None:
    freeze_at_rest(worker, running.database_url)
    try:
        outbox_id = start_probe(rows, resend_after_s=60)

        with pytest.raises(UnavailableError, match="workers is unavailable: no worker answered"):
            probe_ms(rows, outbox_id, timeout_s=0.1)

        with rows.begin() as connection:
            assert outbox.read(connection, outbox_id) is None
    finally:
        worker.thaw()


def freeze_at_rest(worker: Process, database_url: str) -> None:
    """Freeze the worker while it holds no lock of SQLite, which nobody else could write beneath."""

    def froze() -> bool:
        worker.freeze()
        impatient = Database(database_url, connections_max=1, timeout_s=0.2)
        try:
            with impatient.begin():
                return True
        except UnavailableError:
            worker.thaw()
            return False
        finally:
            impatient.close()

    wait_until(froze, "the worker is frozen at rest")


def test_worker_is_forgotten_when_it_ends(running: System) -> None:
    worker = running.running["worker"]
    with redis.Redis.from_url(running.redis_url) as client:
        wait_until(lambda: read_vitals(client).worker_seen_at_ms, "it lives", process=worker)

        code = worker.stop()

        assert code == 0
        assert read_vitals(client).worker_seen_at_ms == {}
    running.start("worker", command=WORKER)
    running.wait_ready()
