"""The product's worker with three more tasks, for tests that look into a task."""

import time
from pathlib import Path

import structlog

from models.errors import UnavailableError
from workers.app import Task
from workers.main import app
from workers.outbox import OutboxTask

_log = structlog.stdlib.get_logger(__name__)


@app.task(name="system.note", bind=True, base=OutboxTask)
def note(_self: OutboxTask, path: str) -> None:
    """Add a line to a file, then work until there is a file beside it that ends in `.go`."""
    with Path(path).open("a") as lines:
        lines.write("ran\n")
    deadline = time.monotonic() + 60
    while not Path(f"{path}.go").exists() and time.monotonic() < deadline:
        time.sleep(0.02)


@app.task(name="system.speak", bind=True)
def speak(_self: Task) -> None:
    """Write a line to the log."""
    _log.info("spoke")


@app.task(name="system.break_down", bind=True)
def break_down(_self: Task, secret: str, *, heals: bool) -> None:
    """Fail, with a secret at hand."""
    if heals:
        raise UnavailableError("database", "it is away")
    raise ValueError(secret)
