"""What it costs that thousands wait for messages, and how fast a server with all of them stops.

One API process on data of its own, and beside it in the same run the same waits without a queue
(`waiting.py`). The clients are one cheap process.

    python bench/messages_idle.py [--database sqlite|postgresql|both] [--clients 2000]
"""

import argparse
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Final

import httpx

from bench.idle_load import POLLS, READERS, Kind, Rest, Stop, measure_rest, measure_stop
from bench.machine import describe, load_average, raise_open_files
from bench.report import Report
from bench.servers import RedisServer, asgi, port_of, service
from tests.postgresql import DurablePostgresqlServer
from tests.servers import System, temporary_folder

SHARE: Final = 0.06
KIB: Final = 24.0
STOP_MS: Final = 1_000.0
OPEN_FILES_SPARE: Final = 1_000
NOTHING_BEHIND: Final = "nothing behind them"


class Bench:
    """What is measured on one machine, and the servers for it."""

    def __init__(self, stack: ExitStack, options: argparse.Namespace) -> None:
        self.rests: Final[dict[tuple[str, str], Rest]] = {}
        self.stops: Final[dict[str, Stop]] = {}
        self._options: Final = options
        self._stack: Final = stack
        self._folder: Final = stack.enter_context(temporary_folder())
        (self._folder / "redis").mkdir(mode=0o711)
        self._redis: Final = stack.enter_context(RedisServer(self._folder / "redis"))

    def limit(self) -> None:
        """Measure the waits without a queue."""
        for kind in (POLLS, READERS):
            folder = self._folder / f"limit {kind.name}"
            folder.mkdir()
            with asgi(folder, "bench.waiting:app", {}) as (process, port):
                self._rest(kind, NOTHING_BEHIND, port, process.pid)

    def rest(self, name: str) -> None:
        """Measure the product on one database, each kind of client with a server of its own."""
        for kind in (POLLS, READERS):
            with ExitStack() as stack:
                api = self._api(stack, name, kind.name)
                self._rest(kind, name, port_of(api), api.running["api"].pid)

    def stop(self, name: str) -> None:
        """Stop the product on one database."""
        with ExitStack() as stack:
            api = self._api(stack, name, "stop")
            _enqueue(api, self._options.each)
            found = measure_stop(port_of(api), api.running["api"].pid, each=self._options.each)
            self.stops[name] = found
            print(f"  stop, {name}: {found}", flush=True)

    def _rest(self, kind: Kind, name: str, port: int, pid: int) -> None:
        found = measure_rest(
            kind, port, pid, clients=self._options.clients, seconds=self._options.seconds
        )
        self.rests[kind.name, name] = found
        print(f"  {kind.name}, {name}: {found}, load average {load_average():.1f}", flush=True)

    def _api(self, stack: ExitStack, database: str, what: str) -> System:
        name = what.replace(" ", "-")  # an address of PostgreSQL has none
        folder = self._folder / f"{database}-{name}"
        if database == "postgresql":
            (self._folder / f"pg-{name}").mkdir()
            server = stack.enter_context(DurablePostgresqlServer(self._folder / f"pg-{name}"))
            url = server.create_database("idle")
        else:
            url = f"sqlite:///{folder}/queue.db"
        return stack.enter_context(service(folder, url, self._redis.url, {}))


def _enqueue(api: System, count: int) -> None:
    body = {"messages": [{"payload": {"n": number}} for number in range(count)]}
    httpx.post(f"{api.url}/api/queue/batch", json=body).raise_for_status()


def main() -> None:
    options = _options()
    raise_open_files(max(options.clients, 9 * options.each) + OPEN_FILES_SPARE)
    databases = ["sqlite", "postgresql"] if options.database == "both" else [options.database]
    report = Report("messages_idle")
    with ExitStack() as stack:
        bench = Bench(stack, options)
        report.say(describe("falcon", "uvicorn", "uvloop"))
        report.say(
            f"{options.clients:,} clients that wait {options.seconds:.0f} s,"
            f" load average {load_average():.1f} at the start"
        )
        if options.only != "stop":
            bench.limit()
        for database in databases:
            if options.only != "stop":
                bench.rest(database)
            if options.only != "rest":
                bench.stop(database)
    _report_rests(report, bench.rests)
    for database, stop in bench.stops.items():
        _report_stop(report, database, stop, options.each)
    report.say(f"load average {load_average():.1f} at the end; the load itself is some of it")
    if options.record:
        report.record()


def _report_rests(report: Report, rests: Mapping[tuple[str, str], Rest]) -> None:
    report.table(
        ("", "of a core", "KiB each", "answers"),
        [
            (f"{kind}, {name}", f"{found.share:.1%}", f"{found.kib:.1f}", f"{found.answers:,}")
            for (kind, name), found in rests.items()
        ],
    )
    for (kind, name), found in rests.items():
        if name != NOTHING_BEHIND:
            report.say(
                f"{kind}, {name}: {found.share:.1%} of a core of {SHARE:.0%}"
                f" {_verdict(found.share, SHARE)}, KiB each {found.kib:.1f} of {KIB:.0f}"
                f" {_verdict(found.kib, KIB)}"
            )


def _report_stop(report: Report, database: str, stop: Stop, each: int) -> None:
    report.heading(f"Stop, {database}")
    rows = [*stop.last_ms.items(), ("the process", stop.process_ms)]
    report.table((f"{each} of each", "ms"), [(name, f"{ms:.0f}") for name, ms in rows])
    last_ms = max(stop.last_ms.values())
    report.say(
        f"stop, {database}: ms until the last client heard {last_ms:.0f}, until the process ended"
        f" {stop.process_ms:.0f} of {STOP_MS:.0f} {_verdict(stop.process_ms, STOP_MS)};"
        f" {stop.resets} connections were reset"
    )


def _verdict(found: float, bound: float) -> str:
    return "holds" if found <= bound else "MISSED"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    choices = ("sqlite", "postgresql", "both")
    parser.add_argument("--database", choices=choices, default="both")
    parser.add_argument("--clients", type=int, default=2_000)
    parser.add_argument("--each", type=int, default=500, help="clients of each kind at the stop")
    parser.add_argument("--seconds", type=float, default=60.0, help="of quiet that are watched")
    parser.add_argument("--only", choices=("", "rest", "stop"), default="", help="one of both")
    parser.add_argument("--record", action="store_true", help="write the result to bench/README.md")
    return parser.parse_args()


if __name__ == "__main__":
    main()
