"""How fast messages go through, and what the group commit brings: on each database, in one run.

Starts everything it needs on data of its own and waits for the disk as a fresh installation does.
What is compared runs in turns, on an empty database each time; the median of the rounds counts.

    python bench/messages.py [--database sqlite|postgresql|both] [--seconds 3]
        [--rounds 3] [--peers]
"""

import argparse
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench import message_load
from bench.figures import Figures
from bench.http_load import Load, Meter, Script, measure
from bench.machine import describe, disk_sync_us, load_average
from bench.peers.gates import verdicts
from bench.peers.measuring import installed, measure_peers
from bench.peers.peer import CONNECTIONS, STREAMS, WAITING
from bench.report import Report
from bench.rows import BATCH, BATCH_RECEIVE, ENQUEUE, NOOP, PASS, RECEIVE, STREAM
from bench.servers import RedisServer, asgi, port_of, service
from models import migrate
from tests.postgresql import DurablePostgresqlServer
from tests.servers import temporary_folder

# One transaction a request: by bench/alone.py with all connections of the pool, and by the service
# itself with groups of one, of which two are under way at a time.
ALONE: Final = ", a transaction each"
ONES: Final = ", groups of one"
GATES: Final = {"sqlite": 8.0, "postgresql": 2.0}

Run = Callable[..., Load]  # `measure` of one server


@dataclass(frozen=True)
class Bench:
    """One database under measurement."""

    folder: Path
    redis: RedisServer
    seconds: float
    postgresql: DurablePostgresqlServer | None  # None for SQLite

    @contextmanager
    def service(self, name: str, settings: Mapping[str, str]) -> Iterator[Run]:
        """Start the API on an empty database; yields what measures it."""
        url = self._database_url(name)
        with service(self.folder / name, url, self.redis.url, settings) as system:
            yield self._run(port_of(system), system.running["api"].pid)

    @contextmanager
    def alone(self, name: str) -> Iterator[Run]:
        """Start the queue without groups on an empty database; yields what measures it."""
        (self.folder / name).mkdir()
        url = self._database_url(name)
        migrate.upgrade(url)
        with asgi(self.folder / name, "bench.alone:app", {"DATABASE_URL": url}) as (process, port):
            yield self._run(port, process.pid)

    def _database_url(self, name: str) -> str:
        if self.postgresql is not None:
            return self.postgresql.create_database(name)
        return f"sqlite:///{self.folder}/{name}/queue.db"

    def _run(self, port: int, api_pid: int) -> Run:
        watched = {"api": api_pid, "redis": self.redis.process.pid}
        if self.postgresql is not None:
            watched["postgresql"] = self.postgresql.pid
        return functools.partial(measure, port=port, seconds=self.seconds, watched=watched)

    def round(self, number: int, figures: Figures, noop: Run) -> None:
        """Measure everything once."""
        say = functools.partial(_note, figures)
        say(NOOP, noop(_of(message_load.producers)))
        with self.service(f"grouped{number}", {}) as run:
            say(PASS, run(functools.partial(message_load.passers, WAITING)))
            say(ENQUEUE, run(_of(message_load.producers)))
            say(RECEIVE, run(_of(message_load.consumers)))
            say(BATCH, run(_of(message_load.batch_producers)))
            say(BATCH_RECEIVE, run(_of(message_load.batch_consumers)))
            run(_of(message_load.batch_producers))  # something to take
            say(STREAM, run(functools.partial(message_load.streams, STREAMS)))
        with self.alone(f"alone{number}") as run:
            self._compare(say, run, ALONE)
        with self.service(f"ones{number}", {"FLUSH_ROWS_MAX": "1"}) as run:
            self._compare(say, run, ONES)

    def _compare(self, say: Callable[[str, Load], None], run: Run, kind: str) -> None:
        say(ENQUEUE + kind, run(_of(message_load.producers)))
        run(_of(message_load.batch_producers), seconds=1)  # something to take
        say(RECEIVE + kind, run(_of(message_load.consumers)))


def main() -> None:
    options = _options()
    databases = ["sqlite", "postgresql"] if options.database == "both" else [options.database]
    report = Report("messages")
    with ExitStack() as stack:
        folder = stack.enter_context(temporary_folder())
        report.say(describe("falcon", "gunicorn", "uvicorn", "sqlalchemy", "psycopg"))
        report.say(f"disk sync {disk_sync_us(folder):.0f} µs, load average {load_average():.1f}")
        peers = installed(report.say) if options.peers else []
        for name in ("redis", "noop", *databases):
            (folder / name).mkdir(mode=0o711)
        redis = stack.enter_context(RedisServer(folder / "redis", appends=True))
        process, port = stack.enter_context(asgi(folder / "noop", "bench.noop:app", {}))
        noop = functools.partial(
            measure, port=port, seconds=options.seconds, watched={"api": process.pid}
        )
        for database in databases:
            figures = Figures()
            with ExitStack() as servers:
                postgresql = None
                if database == "postgresql":
                    (folder / "pg").mkdir()
                    postgresql = servers.enter_context(DurablePostgresqlServer(folder / "pg"))
                bench = Bench(folder / database, redis, options.seconds, postgresql)
                for number in range(options.rounds):
                    bench.round(number, figures, noop)
                    measure_peers(peers, options.seconds, functools.partial(_note, figures))
            _report(report, database, figures)
            if options.peers:
                for sentence in verdicts(figures, peers):
                    report.say(sentence)
    if options.record:
        report.record()


def _report(report: Report, database: str, figures: Figures) -> None:
    report.heading(database)
    report.table(
        ("", "per s", "p50 ms", "p99 ms", "µs server", "µs database", "load's CPU"),
        [_row(name, figures.of(name)) for name in figures.rounds],
    )
    gate = GATES[database]
    for name in (ENQUEUE, RECEIVE):
        gain = figures.ratio(name, name + ALONE)
        verdict = "holds" if gain >= gate else "MISSED"
        report.say(f"{name}: {gain:.1f} x a transaction each, gate {gate:.0f} {verdict}")
        report.say(f"{name}: {figures.ratio(name, name + ONES):.1f} x groups of one")
    report.say(f"{STREAM}: {figures.ratio(STREAM, RECEIVE):.1f} x {RECEIVE}")
    report.say(f"{ENQUEUE}: {figures.ratio(ENQUEUE, NOOP):.2f} of the no-op POST")
    report.say(f"{RECEIVE}: {figures.ratio(RECEIVE, NOOP):.2f} of the no-op POST, in two requests")


def _row(name: str, load: Load) -> Sequence[str]:
    def cost(of: str) -> str:
        return f"{load.cpu_shares[of] / load.per_s * 1e6:.1f}" if of in load.cpu_shares else ""

    return (
        name,
        f"{load.per_s:,.0f}",
        f"{load.p50_ms:.2f}",
        f"{load.p99_ms:.2f}",
        cost("api") or cost("server"),
        cost("postgresql"),
        f"{load.cpu_share:.0%}",
    )


def _note(figures: Figures, name: str, load: Load) -> None:
    figures.add(name, load)
    print(f"  {name}: {load.per_s:,.0f}/s, load average {load_average():.1f}", flush=True)


def _of(
    scripts: Callable[[int, Meter], Sequence[Script]],
) -> Callable[[Meter], Sequence[Script]]:
    return functools.partial(scripts, CONNECTIONS)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    choices = ("sqlite", "postgresql", "both")
    parser.add_argument("--database", choices=choices, default="both")
    parser.add_argument("--seconds", type=float, default=3.0, help="for each figure")
    parser.add_argument("--rounds", type=int, default=3, help="of which the median counts")
    parser.add_argument("--peers", action="store_true", help="measure other queues beside ours")
    parser.add_argument("--record", action="store_true", help="write the result to bench/README.md")
    return parser.parse_args()


if __name__ == "__main__":
    main()
