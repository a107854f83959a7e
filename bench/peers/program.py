"""Peers that are loaded by their own client: a program for each, beside which nothing runs."""

import functools
import json
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from bench import rows
from bench.http_load import Load
from bench.peers.peer import Kind, Peer, RanDryError, Row
from tests.postgresql import DurablePostgresqlServer
from tests.servers import RedisServer, ServerError

_FOLDER: Final = Path(__file__).resolve().parent / "programs"
_PYTHON: Final = _FOLDER / ".venv" / "bin" / "python"
# A row takes its time, the warm-up, and what it needs to put something in store before.
_PATIENCE_S: Final = 180
_WORDS: Final = {
    rows.PASS: "pass",
    rows.ENQUEUE: "enqueue",
    rows.RECEIVE: "receive",
    rows.BATCH: "batch",
    rows.BATCH_RECEIVE: "batch_receive",
}


def _run(command: Sequence[str], word: str, seconds: float, address: str) -> dict[str, float]:
    try:
        done = subprocess.run(
            [*command, word, str(seconds), address],
            cwd=_FOLDER,
            capture_output=True,
            text=True,
            timeout=seconds + _PATIENCE_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ServerError(f"{word} did not end within {seconds + _PATIENCE_S:.0f} s") from None
    if done.returncode:
        raise ServerError(done.stderr.strip()[-300:])
    told: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return told


def _measure(command: Sequence[str], word: str, seconds: float, address: str) -> Load:
    told = _run(command, word, seconds, address)
    if "dry" in told:
        raise RanDryError
    return Load(told["per_s"], told["p50_ms"], told["p99_ms"], told["cpu_share"])


def _rows(
    command: Sequence[str], seconds: float, address: str, of: Sequence[str]
) -> Mapping[str, Row]:
    return {row: functools.partial(_measure, command, _WORDS[row], seconds, address) for row in of}


def _python_missing() -> str | None:
    if DurablePostgresqlServer.program("postgres") is None:
        return "apt-get install postgresql"
    if _PYTHON.exists():
        return None
    return f"python3 -m venv .venv && .venv/bin/pip install -r requirements.lock, in {_name()}"


def _node_missing() -> str | None:
    if shutil.which("node") is None:
        return "apt-get install nodejs npm"
    return None if (_FOLDER / "node_modules").is_dir() else f"npm ci, in {_name()}"


def _node_and_postgresql_missing() -> str | None:
    if DurablePostgresqlServer.program("postgres") is None:
        return "apt-get install postgresql"
    return _node_missing()


def _name() -> str:
    return "/".join(_FOLDER.parts[-3:])


@contextmanager
def _on_postgresql(
    program: str, of: Sequence[str], folder: Path, seconds: float
) -> Iterator[Mapping[str, Row]]:
    """A Python program on a PostgreSQL of its own, which waits for the disk."""
    (folder / "pg").mkdir()
    with DurablePostgresqlServer(folder / "pg") as server:
        address = server.create_database("peer")
        command = (str(_PYTHON), program)
        _run(command, "prepare", seconds, address)
        yield _rows(command, seconds, address, of)


@contextmanager
def _pgboss(folder: Path, seconds: float) -> Iterator[Mapping[str, Row]]:
    (folder / "pg").mkdir()
    with DurablePostgresqlServer(folder / "pg") as server:
        server.create_database("peer")
        address = json.dumps({"host": str(server.folder), "user": "stanchion", "database": "peer"})
        yield _rows(("node", "pgboss_load.mjs"), seconds, address, tuple(_WORDS))


@contextmanager
def _bullmq(folder: Path, seconds: float) -> Iterator[Mapping[str, Row]]:
    """On a Redis that syncs its log before each answer."""
    (folder / "redis").mkdir()
    with RedisServer(folder / "redis", appends=True) as server:
        server.configure("appendfsync", "always")
        server.configure("maxmemory-policy", "noeviction")
        address = f"{folder}/redis/redis.sock"
        of = (rows.PASS, rows.ENQUEUE, rows.RECEIVE, rows.BATCH)
        yield _rows(("node", "bullmq_load.mjs"), seconds, address, of)


PGMQ: Final = Peer(
    "PGMQ",
    Kind.POSTGRESQL,
    _python_missing,
    functools.partial(_on_postgresql, "pgmq_load.py", tuple(_WORDS)),
)
PROCRASTINATE: Final = Peer(
    "procrastinate",
    Kind.POSTGRESQL,
    _python_missing,
    functools.partial(
        _on_postgresql,
        "procrastinate_load.py",
        (rows.PASS, rows.ENQUEUE, rows.RECEIVE, rows.BATCH),
    ),
)
PGBOSS: Final = Peer("pg-boss", Kind.POSTGRESQL, _node_and_postgresql_missing, _pgboss)
BULLMQ: Final = Peer("BullMQ", Kind.OTHER, _node_missing, _bullmq)
