"""What a mail queue of 1,000 to 100,000 costs: looking at it, acting on it, keeping up with it.

API, worker and watcher as they are started, beside a real Exim; and beside each figure what Exim's
own commands take for the same, in the same run.

    PYTHONPATH=. python bench/mail.py [--quick] [--database postgresql] [--record]
"""

import argparse
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from statistics import median, quantiles
from typing import Any, Final

import httpx

from bench.machine import describe, load_average, tree_cpu_s, tree_resident_kib
from bench.mail_spool import by_hand, fill
from bench.report import Report
from bench.servers import RedisServer, service
from tests.mail.exim_server import EximServer, Sink
from tests.postgresql import DurablePostgresqlServer
from tests.servers import Process, System, temporary_folder, wait_until

SIZES: Final = (1_000, 10_000, 100_000)
QUICK_SIZES: Final = (1_000,)
ACTED: Final = 1_000
PAGE_MS: Final = 25.0
TIMES_FASTER: Final = 50.0
FRESH_MS: Final = 1_000.0
ACT_TIMES: Final = 10.0
BATCH_TIMES: Final = 1.5
WATCHER_MIB: Final = 200.0
IDLE_PERCENT: Final = 1.0
_PASSWORD: Final = "the-password-of-the-bench"
_SETTINGS: Final = {"ADMIN_PASSWORD": _PASSWORD, "MAIL_ANSWER_S": "60"}
_PROCESSES: Final = 4  # of the best batch that was made by hand
_PER_PROCESS: Final = 250
_POLL_S: Final = 0.002
# The filters that a page is asked for, the one that no index serves among them.
_PAGES: Final = {
    "page": {},
    "page 10 by sender": {"page": "10", "sort_by": "sender"},
    "by status": {"status": "queued"},
    "a part of the sender": {"sender": "00123@"},
    "a recipient's domain": {"recipient_domain": "defer.test"},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Mailed:
    """A running house with a queue of some length."""

    exim: EximServer
    system: System
    http: httpx.Client
    watcher: Process
    ids: Sequence[str]
    indexed_s: float


def main(arguments: Sequence[str] | None = None) -> None:
    options = _options(arguments)
    sizes = options.sizes or (QUICK_SIZES if options.quick else SIZES)
    report = Report(f"mail-{options.database}")
    report.say(describe("falcon", "celery", "sqlalchemy"))
    report.say(f"load average {load_average():.1f} at the start; the index on {options.database}")
    for size in sizes:
        report.heading(f"{size:,} messages")
        with _mailed(size, options) as mailed:
            _measure_pages(report, mailed, rounds=20 if options.quick else 200)
            _measure_freshness(report, mailed, rounds=5 if options.quick else 30)
            _measure_watcher(report, mailed, seconds=3.0 if options.quick else 20.0)
            _measure_acts(report, mailed, rounds=1 if options.quick else 3)
    report.say(f"load average {load_average():.1f} at the end; the load itself is some of it")
    if options.record:
        report.record()


@contextmanager
def _mailed(size: int, options: argparse.Namespace) -> Iterator[Mailed]:
    """Run all that a queue needs, filled with `size` messages that are in the index."""
    with ExitStack() as stack:
        folder = stack.enter_context(temporary_folder())
        sink = stack.enter_context(Sink())
        for name in ("exim", "redis"):
            (folder / name).mkdir(mode=0o711)
        exim = EximServer(folder / "exim", sink_port=sink.port, is_split=True)
        ids = fill(exim, size)
        database_url = f"sqlite:///{folder}/mail.db"
        if options.database == "postgresql":
            (folder / "postgresql").mkdir()
            server = stack.enter_context(DurablePostgresqlServer(folder / "postgresql"))
            database_url = server.create_database("mail")
        redis_server = stack.enter_context(RedisServer(folder / "redis"))
        settings = {**_SETTINGS, "EXIM": " ".join(exim.command)}
        system = stack.enter_context(
            service(folder / "house", database_url, redis_server.url, settings)
        )
        system.start("worker")
        http = stack.enter_context(httpx.Client(base_url=system.url, timeout=90))
        login = {"username": "admin", "password": _PASSWORD}
        http.post("/api/v1/auth/login", json=login).raise_for_status()
        began_s = time.perf_counter()
        watcher = system.start("mail-watch", command=("api.cli", "mail-watch", "--host", "mx1"))
        wait_until(lambda: _total(http) == size, "all are in the index", timeout_s=300)
        indexed_s = time.perf_counter() - began_s
        yield Mailed(
            exim=exim,
            system=system,
            http=http,
            watcher=watcher,
            ids=ids,
            indexed_s=indexed_s,
        )


def _measure_pages(report: Report, mailed: Mailed, *, rounds: int) -> None:
    listed_s = median(_timed(lambda: mailed.exim.run("-bp")) for _ in range(3))
    rows = []
    for name, query in _PAGES.items():
        asked = {"per_page": "50", **query}
        mailed.http.get("/api/v1/queue", params=asked).raise_for_status()
        times_ms = [
            1000 * _timed(lambda: mailed.http.get("/api/v1/queue", params=asked))  # noqa: B023  # called at once
            for _ in range(rounds)
        ]
        p50_ms, p99_ms = median(times_ms), quantiles(times_ms, n=100)[98]
        times = listed_s * 1000 / p50_ms
        rows.append((name, p50_ms, p99_ms, times))
    report.say(
        f"`exim -bp` takes {listed_s * 1000:.0f} ms; all were in the index {mailed.indexed_s:.1f} s"
        " after the watcher's start, Python's own included"
    )
    report.table(
        ("50 of them, over HTTP", "p50 ms", "p99 ms", "times `exim -bp`"),
        [(name, f"{p50:.1f}", f"{p99:.1f}", f"{times:.0f}") for name, p50, p99, times in rows],
    )
    if len(mailed.ids) >= max(SIZES):
        worst_ms = max(p99 for _, _, p99, _ in rows)
        slowest = min(times for _, _, _, times in rows)
        report.say(
            f"the slowest: p99 ms {_at_most(worst_ms, PAGE_MS)};"
            f" times as fast as `exim -bp` {_at_least(slowest, TIMES_FASTER)}"
        )


def _measure_freshness(report: Report, mailed: Mailed, *, rounds: int) -> None:
    """Freeze on the host, by hand, and ask until the list has it."""
    times_ms = []
    for message_id in mailed.ids[:rounds]:
        mailed.exim.run("-Mf", message_id)
        began_s = time.perf_counter()
        asked = {"message_id": message_id, "status": "frozen"}
        while not mailed.http.get("/api/v1/queue", params=asked).json()["meta"]["total"]:
            time.sleep(_POLL_S)
        times_ms.append(1000 * (time.perf_counter() - began_s))
    mailed.exim.run("-Mt", *mailed.ids[:rounds])
    report.say(
        f"frozen by hand on the host, until the list has it: p50 {median(times_ms):.0f} ms, the"
        f" last ms {_at_most(max(times_ms), FRESH_MS)}"
    )


def _measure_watcher(report: Report, mailed: Mailed, *, seconds: float) -> None:
    pid = mailed.watcher.pid
    memory_mib = tree_resident_kib(pid) / 1024
    before_s = tree_cpu_s(pid)
    time.sleep(seconds)
    percent = (tree_cpu_s(pid) - before_s) / seconds * 100
    report.say(
        f"the watcher: MiB resident {_at_most(memory_mib, WATCHER_MIB)}, its CPU while nothing"
        f" happens, % of a core {_at_most(percent, IDLE_PERCENT, digits=2)}"
    )


def _measure_acts(report: Report, mailed: Mailed, *, rounds: int) -> None:
    """Freeze and thaw in turns, at last remove: by HTTP, by hand in one batch, one by one."""
    exim, ids = mailed.exim, mailed.ids[:ACTED]
    batch = {"at_once": _PROCESSES, "each": _PER_PROCESS}
    frozen: dict[str, list[float]] = {"product": [], "batch": [], "single": []}
    for turn in range(rounds):
        frozen["product"].append(_timed(lambda: _act(mailed, "freeze", ids)))
        _act(mailed, "thaw", ids)
        frozen["batch"].append(_timed(lambda: by_hand(exim, "-Mf", ids, **batch)))
        by_hand(exim, "-Mt", ids, **batch)
        if turn == 0:
            frozen["single"].append(_timed(lambda: by_hand(exim, "-Mf", ids, at_once=1, each=1)))
            by_hand(exim, "-Mt", ids, **batch)
    _settle(mailed)
    middle = {name: median(times) for name, times in frozen.items()}
    _say_acts(report, "freeze", len(ids), middle)
    if len(mailed.ids) < 3 * ACTED:
        return
    removed = {
        "product": _timed(lambda: _act(mailed, "delete", ids)),
        "batch": _timed(lambda: by_hand(exim, "-Mrm", mailed.ids[ACTED : 2 * ACTED], **batch)),
        "single": _timed(
            lambda: by_hand(exim, "-Mrm", mailed.ids[2 * ACTED : 3 * ACTED], at_once=1, each=1)
        ),
    }
    _say_acts(report, "delete", len(ids), removed)


def _say_acts(report: Report, name: str, count: int, found: dict[str, float]) -> None:
    times, beside = found["single"] / found["product"], found["product"] / found["batch"]
    report.say(
        f"{name} {count:,} ids: {found['product']:.2f} s over HTTP, outcomes on disk and told;"
        f" {found['batch']:.2f} s by hand, {_PROCESSES} times {_PER_PROCESS};"
        f" {found['single']:.2f} s one process each. Times as fast as those"
        f" {_at_least(times, ACT_TIMES)}, times the best batch"
        f" {_at_most(beside, BATCH_TIMES, digits=2)}"
    )


def _act(mailed: Mailed, operation: str, ids: Sequence[str]) -> None:
    body = {"operation": operation, "message_ids": list(ids)}
    answer = mailed.http.post("/api/v1/queue/bulk", json=body).raise_for_status()
    data = answer.json()["data"]
    if data["failed_count"]:
        raise AssertionError(f"{operation}: {data['failed_count']} of {len(ids)} failed")


def _settle(mailed: Mailed) -> None:
    """Wait until what was thawed by hand is in the index."""
    asked = {"status": "frozen", "per_page": "1"}
    wait_until(
        lambda: not mailed.http.get("/api/v1/queue", params=asked).json()["meta"]["total"],
        "nothing is frozen",
    )


def _total(http: httpx.Client) -> int:
    body: dict[str, Any] = http.get("/api/v1/queue", params={"per_page": "1"}).json()
    return int(body["meta"]["total"])


def _timed(what: Callable[[], object]) -> float:
    began_s = time.perf_counter()
    what()
    return time.perf_counter() - began_s


def _at_most(found: float, bound: float, *, digits: int = 0) -> str:
    held = "holds" if found <= bound else "MISSED"
    return f"{found:.{digits}f} of {bound:g} {held}"


def _at_least(found: float, bound: float) -> str:
    return f"{found:.0f}, at least {bound:g} {'holds' if found >= bound else 'MISSED'}"


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="whether it runs, in some seconds")
    parser.add_argument("--sizes", type=int, nargs="*", help="how many messages, each in turn")
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite")
    parser.add_argument("--record", action="store_true", help="write the result to bench/README.md")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
