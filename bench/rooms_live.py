"""What it costs to tell thousands of visitors their place each time the line moves.

One relay as `stanchion relay` runs it, with a room in which all of them wait on WebSockets. In each
round the first of the line leaves, so everybody is told another place. Beside it in the same run
the relay's events of messages, where all get the same bytes, and what uvicorn does by itself.

    python bench/rooms_live.py [--clients 5000] [--rounds 20]
"""

import argparse
import functools
import multiprocessing
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final

import httpx

from bench.live import peer, product
from bench.machine import (
    describe,
    load_average,
    raise_open_files,
    tree_anonymous_kib,
    tree_cpu_s,
)
from bench.report import Report
from bench.servers import RedisServer, relay
from bench.socket_load import BARE, WEBSOCKET, Crowd, FanOut, Plan, Way, measure_fan_out
from tests.servers import temporary_folder

LAST_MS: Final = 1_000.0
ADMIN_KEY: Final = "the-admin-key-of-the-bench"
ROOM: Final = "sale"
SETTLE_S: Final = 2.0
IDLE_S: Final = 10.0
# Longer than the second in which nobody is told twice.
PAUSE_S: Final = 1.2
OPEN_FILES_SPARE: Final = 1_000
ADMITTED: Final = 100
MANY: Final = "1000000"
_SETTINGS: Final = {
    "ADMIN_KEY": ADMIN_KEY,
    "JOINS_PER_MINUTE_MAX": MANY,
    "LOOKS_PER_MINUTE_MAX": MANY,
    "VISITOR_REQUESTS_PER_MINUTE_MAX": MANY,
    "ROOM_ADMIN_PER_MINUTE_MAX": MANY,
}
_ROOM: Final = {
    "id": ROOM,
    "name": "Sale",
    "target_url": "https://example.com/",
    "max_active_users": 1_000_000,
    "admission_rate": 100_000,
    "session_timeout_seconds": 3_600,
    "heartbeat_interval_seconds": 600,
    "heartbeat_timeout_seconds": 3_600,
}


@dataclass(frozen=True, slots=True)
class Found:
    """What came of it: of places that moved as for events, and of letting some in."""

    places: FanOut
    admitted_first_ms: float
    admitted_last_ms: float


@dataclass(frozen=True, slots=True)
class Wait:
    """A crowd that waits."""

    port: int
    server_pid: int
    tokens: Sequence[str]
    leaving: Sequence[str]  # the tokens of those in front, one for each round


def main() -> None:
    options = _options()
    raise_open_files(options.clients + OPEN_FILES_SPARE)
    report = Report("rooms_live")
    with ExitStack() as stack:
        folder = stack.enter_context(temporary_folder())
        report.say(describe("uvicorn", "websockets", "uvloop"))
        report.say(f"{options.clients:,} visitors, load average {load_average():.1f} at the start")
        (folder / "redis").mkdir(mode=0o711)
        server = stack.enter_context(RedisServer(folder / "redis"))
        rows = {}
        found = _measure_rooms(folder / "rooms", server.url, options)
        rows["visitors, each its own place"] = found.places
        print(f"  {found}", flush=True)
        for name, start, way in (
            ("messages, the same for all", product, WEBSOCKET),
            ("bare uvicorn, the same for all", peer("bench.fanout:bare"), BARE),
        ):
            with start(folder / name.split(maxsplit=1)[0], server.url) as (pid, port):
                rows[name] = measure_fan_out(
                    Plan(
                        way=way,
                        port=port,
                        server_pid=pid,
                        redis_url=server.url,
                        clients=options.clients,
                        rounds=options.rounds,
                        pause_s=0.1,
                        idle_s=IDLE_S,
                    )
                )
    _report(report, rows, found)
    if options.record:
        report.record()


def _measure_rooms(folder: Path, redis_url: str, options: argparse.Namespace) -> Found:
    settings = {**_SETTINGS, "SOCKETS_MAX": str(options.clients + OPEN_FILES_SPARE)}
    with relay(folder, redis_url, settings) as (process, port):
        with httpx.Client(base_url=f"http://127.0.0.1:{port}/api/v1", timeout=60) as http:
            admin = {"X-Admin-Key": ADMIN_KEY}
            room = {**_ROOM, "algorithm": options.algorithm}
            http.post("/admin/queues", json=room, headers=admin).raise_for_status()
            paused = {"status": "paused"}
            http.patch(f"/admin/queues/{ROOM}", json=paused, headers=admin).raise_for_status()
            tokens = [
                http.post(f"/queues/{ROOM}/enqueue").raise_for_status().json()["token"]
                for _ in range(options.rounds + options.clients)
            ]
        wait = Wait(port, process.pid, tokens[options.rounds :], tokens[: options.rounds])
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(1, mp_context=context) as apart:
            return apart.submit(_wait, wait).result()


def _wait(plan: Wait) -> Found:
    """Connect a crowd, let the line move under it, then let some in."""
    count = len(plan.tokens)
    paths = [f"/ws/queues/{ROOM}?token={token}" for token in plan.tokens]
    way = Way("", b'{"type":"position_update"', paths=paths)
    server_kib = tree_anonymous_kib(plan.server_pid)
    base_url = f"http://127.0.0.1:{plan.port}/api/v1"
    with Crowd(way, plan.port) as crowd, httpx.Client(base_url=base_url, timeout=60) as http:
        crowd.connect(count)
        crowd.rest(SETTLE_S)
        grown_kib = tree_anonymous_kib(plan.server_pid) - server_kib
        texts, began_s, began_cpu_s = crowd.texts, time.perf_counter(), tree_cpu_s(plan.server_pid)
        crowd.rest(IDLE_S)
        idle_share = (tree_cpu_s(plan.server_pid) - began_cpu_s) / (time.perf_counter() - began_s)
        idle_texts = crowd.texts - texts
        medians, lasts = [], []
        texts, own_cpu_s = crowd.texts, time.process_time()
        began_cpu_s = tree_cpu_s(plan.server_pid)
        for token in plan.leaving:
            leave = functools.partial(_leave, http, token)
            times_ms = crowd.hear(b'"position_update"', leave)
            medians.append(median(times_ms))
            lasts.append(times_ms[-1])
            crowd.rest(PAUSE_S)
        delivered = crowd.texts - texts
        places = FanOut(
            p50_ms=median(medians),
            last_ms=median(lasts),
            worst_ms=max(lasts),
            cpu_us=(tree_cpu_s(plan.server_pid) - began_cpu_s) / delivered * 1e6,
            load_cpu_us=(time.process_time() - own_cpu_s) / delivered * 1e6,
            kib=grown_kib / count,
            idle_share=idle_share,
            idle_texts=idle_texts,
        )
        count = min(ADMITTED, count)
        times_ms = crowd.hear(b'"admitted"', functools.partial(_open, http, count), count)
        return Found(places, times_ms[0], times_ms[-1])


def _leave(http: httpx.Client, token: str) -> None:
    headers = {"Authorization": f"Bearer {token}"}
    http.delete(f"/queues/{ROOM}/position", headers=headers).raise_for_status()


def _open(http: httpx.Client, count: int) -> None:
    headers = {"X-Admin-Key": ADMIN_KEY}
    active = {"status": "active", "max_active_users": count}
    http.patch(f"/admin/queues/{ROOM}", json=active, headers=headers).raise_for_status()


def _report(report: Report, rows: dict[str, FanOut], found: Found) -> None:
    head = ("", "p50 ms", "last ms", "worst ms", "µs server", "µs load", "KiB each", "idle")
    report.table(head, [_row(name, each) for name, each in rows.items()])
    places, *others = rows.values()
    verdict = "holds" if places.worst_ms <= LAST_MS else "MISSED"
    report.say(
        f"a new place to the last visitor: {places.worst_ms:.0f} of {LAST_MS:.0f} ms {verdict}"
    )
    messages, bare = others
    report.say(
        f"µs of the server a delivery: {places.cpu_us / messages.cpu_us:.1f} times that of"
        f" messages, {places.cpu_us / bare.cpu_us:.1f} times that of bare uvicorn"
    )
    report.say(
        f"{ADMITTED} let in at once: told after {found.admitted_first_ms:,.0f} to"
        f" {found.admitted_last_ms:,.0f} ms, tick and a signed session each included"
    )
    report.say(f"load average {load_average():.1f} at the end; the load itself is some of it")


def _row(name: str, found: FanOut) -> tuple[str, ...]:
    return (
        name,
        f"{found.p50_ms:.0f}",
        f"{found.last_ms:.0f}",
        f"{found.worst_ms:.0f}",
        f"{found.cpu_us:.1f}",
        f"{found.load_cpu_us:.1f}",
        f"{found.kib:.1f}",
        f"{found.idle_share:.1%}",
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--clients", type=int, default=5_000)
    parser.add_argument("--rounds", type=int, default=20, help="moves of the line")
    parser.add_argument("--algorithm", choices=("RS256", "ES256"), default="RS256")
    parser.add_argument("--record", action="store_true", help="write the result to bench/README.md")
    return parser.parse_args()


if __name__ == "__main__":
    main()
