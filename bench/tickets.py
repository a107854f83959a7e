"""What a hall costs: a call until displays have it, an event for thousands, an unchanged list.

API and relay as they are started, on data of their own. The displays are one cheap process; with
the relay it has two cores.

    PYTHONPATH=. python bench/tickets.py [--quick] [--record]
"""

import argparse
import functools
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import median, quantiles
from typing import Final

import httpx

from bench import rooms_load
from bench.http_load import Meter, Script, UnexpectedAnswerError, measure, request
from bench.live import CPU_US, KIB, LAST_MS, OPEN_FILES_SPARE, product
from bench.machine import describe, load_average, raise_open_files
from bench.report import Report
from bench.servers import RedisServer, asgi, port_of, service
from bench.socket_load import Crowd, FanOut, Plan, Way, measure_fan_out
from tests.servers import free_port, temporary_folder, wait_until

DISPLAYS: Final = 100
CALL_MS: Final = 50.0
UNCHANGED: Final = 0.7
CROWDS: Final = (100, 1_000, 5_000)
QUICK_CROWDS: Final = (100,)
QUEUE: Final = Way(
    "/socket.io/?EIO=4&transport=websocket",
    b"40/ws/queue,",
    {b"0{": b"40/ws/queue,", b"2": b"3"},
)
PASSWORD: Final = "the-password-of-the-bench"
MANY: Final = "1000000"
_CONNECTIONS: Final = 64
_PAUSE_S: Final = 0.1
# A list is another one with each minute.
_MINUTE_S: Final = 60
_SETTINGS: Final = {
    "ADMIN_PASSWORD": PASSWORD,
    "TICKETS_PER_MINUTE_MAX": MANY,
    "TICKET_CHANGES_PER_MINUTE_MAX": MANY,
    "WAITING_LISTS_PER_MINUTE_MAX": MANY,
}


def main() -> None:
    options = _options()
    crowds = QUICK_CROWDS if options.quick else CROWDS
    raise_open_files(max(crowds) + OPEN_FILES_SPARE)
    report = Report("tickets")
    with ExitStack() as stack:
        folder = stack.enter_context(temporary_folder())
        report.say(describe("falcon", "uvicorn", "python-socketio", "uvloop"))
        report.say(f"load average {load_average():.1f} at the start")
        (folder / "redis").mkdir(mode=0o711)
        server = stack.enter_context(RedisServer(folder / "redis"))
        with product(folder / "crowds", server.url) as (pid, port):
            found = {
                clients: measure_fan_out(_plan(options, clients, pid, port, server.url))
                for clients in crowds
            }
        _report_crowds(report, found)
        _measure_hall(report, options, folder, server.url)
    report.say(f"load average {load_average():.1f} at the end; the load itself is some of it")
    if options.record:
        report.record()


def _plan(options: argparse.Namespace, clients: int, pid: int, port: int, url: str) -> Plan:
    return Plan(
        way=QUEUE,
        port=port,
        server_pid=pid,
        redis_url=url,
        clients=clients,
        rounds=5 if options.quick else 40,
        pause_s=_PAUSE_S,
        idle_s=1.0,
        domain="tickets",
        event="ticket-updated",
    )


def _report_crowds(report: Report, found: dict[int, FanOut]) -> None:
    report.table(
        ("displays", "p50 ms", "last ms", "worst ms", "µs server", "µs load", "KiB each"),
        [
            (
                f"{clients:,}",
                *(f"{each:.0f}" for each in (of.p50_ms, of.last_ms, of.worst_ms)),
                *(f"{each:.1f}" for each in (of.cpu_us, of.load_cpu_us, of.kib)),
            )
            for clients, of in found.items()
        ],
    )
    clients, of = max(found.items())
    report.say(
        f"{clients:,} displays: ms to the last {_verdict(of.last_ms, LAST_MS)}, µs of the server a"
        f" delivery {_verdict(of.cpu_us, CPU_US)}, KiB a connection {_verdict(of.kib, KIB)}"
    )


def _measure_hall(
    report: Report, options: argparse.Namespace, folder: Path, redis_url: str
) -> None:
    bind = f"127.0.0.1:{free_port()}"
    settings = {**_SETTINGS, "RELAY_BIND": bind}
    database_url = f"sqlite:///{folder}/tickets.db"
    with service(folder / "hall", database_url, redis_url, settings) as system:
        relay = system.start("relay")
        wait_until(
            lambda: httpx.get(f"http://{bind}/health").is_success, "it answers", process=relay
        )
        with httpx.Client(base_url=system.url, timeout=20) as http:
            login = {"username": "admin", "password": PASSWORD}
            token = http.post("/app/auths/login", json=login).raise_for_status().json()
            http.headers["Authorization"] = f"Bearer {token['access_token']}"
            counter = http.post("/app/counters/", json={"name": "Quầy 1"}).raise_for_status()
            rounds = 20 if options.quick else 500
            times_ms = _calls(http, counter.json()["id"], int(bind.rpartition(":")[2]), rounds)
            p99_ms = quantiles(times_ms, n=100)[98]
            report.say(
                f"PATCH until {DISPLAYS} displays have the call and the officer the answer, the"
                f" last of them, {rounds} calls: p50 {median(times_ms):.1f} ms,"
                f" p99 ms {_verdict(p99_ms, CALL_MS)}"
            )
            seconds = 1.0 if options.quick else 5.0
            _measure_unchanged(report, http, port_of(system), folder, seconds)


def _calls(http: httpx.Client, counter_id: int, port: int, rounds: int) -> list[float]:
    """Return after how many ms all displays had each call."""
    times_ms = []
    with Crowd(QUEUE, port) as crowd:
        crowd.connect(DISPLAYS)
        for _ in range(rounds):
            taken = http.post("/app/tickets/", json={"counter_id": counter_id}).raise_for_status()
            ticket = taken.json()
            crowd.rest(_PAUSE_S)
            call = functools.partial(
                http.patch, f"/app/tickets/{ticket['id']}", json={"status": "called"}
            )
            mark = f"Number {ticket['number']:03d}, please".encode()
            times_ms.append(max(crowd.hear(mark, call)))
            crowd.rest(0)
            http.patch(f"/app/tickets/{ticket['id']}", json={"status": "cancelled"})
    return times_ms


def _measure_unchanged(
    report: Report, http: httpx.Client, port: int, folder: Path, seconds: float
) -> None:
    (folder / "noop").mkdir()
    with asgi(folder / "noop", "bench.noop:app", {}) as (_, noop_port):
        noop = measure(rooms_load.nothing, port=noop_port, seconds=seconds)
    if (left_s := _MINUTE_S - time.time() % _MINUTE_S) < 3 * seconds:
        time.sleep(left_s)
    etag = http.get("/api/tickets/waiting").headers["ETag"]
    found = measure(functools.partial(unchanged, etag), port=port, seconds=seconds)
    share = found.per_s / noop.per_s
    held = "holds" if share >= UNCHANGED else "MISSED"
    report.say(
        f"waiting list, unchanged (304): {found.per_s:,.0f} a second, {share:.2f} of a no-op GET"
        f" ({noop.per_s:,.0f}), at least {UNCHANGED} {held}"
    )


def unchanged(etag: str, meter: Meter) -> Sequence[Script]:
    """Return readers of the waiting list who have it already."""
    return [_unchanged(etag, meter) for _ in range(_CONNECTIONS)]


def _unchanged(etag: str, meter: Meter) -> Script:
    asked = request("GET", "/api/tickets/waiting", headers={"If-None-Match": etag})
    while True:
        began_s = time.perf_counter()
        answer = yield asked
        if answer is None or answer[0] != httpx.codes.NOT_MODIFIED:
            raise UnexpectedAnswerError(f"expected 304, got {answer!r}")
        meter.note(time.perf_counter() - began_s)


def _verdict(found: float, bound: float) -> str:
    return f"{found:.0f} of {bound:.0f} {'holds' if found <= bound else 'MISSED'}"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="whether it runs, in some seconds")
    parser.add_argument("--record", action="store_true", help="write the result to bench/README.md")
    return parser.parse_args()


if __name__ == "__main__":
    main()
