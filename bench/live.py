"""What an event costs that thousands hear, and what it costs that they are there.

One relay as `stanchion relay` runs it, on data of its own, and beside it in the same run what the
libraries do by themselves. The clients are one cheap process; with the relay it has two cores.

    python bench/live.py [--clients 5000] [--rounds 40]
"""

import argparse
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Final

from bench.machine import describe, load_average, raise_open_files
from bench.report import Report
from bench.servers import RedisServer, asgi, relay
from bench.socket_load import BARE, SOCKETIO, WEBSOCKET, FanOut, Plan, Way, measure_fan_out
from tests.servers import temporary_folder

RAW: Final = "WebSocket"
OFFICIAL: Final = "Socket.IO"
BARE_RAW: Final = "WebSocket, bare uvicorn"
PLAIN_OFFICIAL: Final = "Socket.IO, python-socketio as it comes"
LAST_MS: Final = 200.0
CPU_US: Final = 25.0
KIB: Final = 50.0
PAUSE_S: Final = 0.1
OPEN_FILES_SPARE: Final = 1_000

Server = Callable[[Path, str], AbstractContextManager[tuple[int, int]]]  # its pid and port


@contextmanager
def product(folder: Path, redis_url: str) -> Iterator[tuple[int, int]]:
    with relay(folder, redis_url, {}) as (process, port):
        yield process.pid, port


def peer(application: str) -> Server:
    @contextmanager
    def start(folder: Path, redis_url: str) -> Iterator[tuple[int, int]]:
        folder.mkdir()
        with asgi(folder, application, {"REDIS_URL": redis_url}) as (process, port):
            yield process.pid, port

    return start


MEASURED: Final[dict[str, tuple[Server, Way]]] = {
    RAW: (product, WEBSOCKET),
    OFFICIAL: (product, SOCKETIO),
    BARE_RAW: (peer("bench.fanout:bare"), BARE),
    PLAIN_OFFICIAL: (peer("bench.fanout:plain_socketio"), SOCKETIO),
}


def main() -> None:
    options = _options()
    raise_open_files(options.clients + OPEN_FILES_SPARE)
    report = Report("live")
    with ExitStack() as stack:
        folder = stack.enter_context(temporary_folder())
        report.say(describe("uvicorn", "websockets", "python-socketio", "uvloop"))
        report.say(f"{options.clients:,} clients, load average {load_average():.1f} at the start")
        (folder / "redis").mkdir(mode=0o711)
        server = stack.enter_context(RedisServer(folder / "redis"))
        figures = {}
        for number, name in enumerate(name for name in MEASURED if options.only in {"", name}):
            start, way = MEASURED[name]
            with start(folder / str(number), server.url) as (pid, port):
                figures[name] = measure_fan_out(
                    Plan(
                        way=way,
                        port=port,
                        server_pid=pid,
                        redis_url=server.url,
                        clients=options.clients,
                        rounds=options.rounds,
                        pause_s=PAUSE_S,
                        idle_s=options.idle,
                    )
                )
            print(f"  {name}: {figures[name]}, load average {load_average():.1f}", flush=True)
    _report(report, figures)
    if options.record:
        report.record()


def _report(report: Report, figures: dict[str, FanOut]) -> None:
    head = ("", "p50 ms", "last ms", "worst ms", "µs server", "µs load", "KiB each", "idle")
    report.table(head, [_row(name, found) for name, found in figures.items()])
    for name in (RAW, OFFICIAL):
        if name not in figures:
            continue
        found = figures[name]
        report.say(
            f"{name}: ms to the last client {_verdict(found.last_ms, LAST_MS)}, µs of the server a"
            f" delivery {_verdict(found.cpu_us, CPU_US)}, KiB a connection"
            f" {_verdict(found.kib, KIB)}"
        )
    report.say(f"load average {load_average():.1f} at the end; the load itself is some of it")


def _verdict(found: float, bound: float) -> str:
    return f"{found:.0f} of {bound:.0f} {'holds' if found <= bound else 'MISSED'}"


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
    parser.add_argument("--rounds", type=int, default=40, help="events, of which medians count")
    parser.add_argument("--idle", type=float, default=15.0, help="seconds of rest that are watched")
    parser.add_argument("--only", choices=("", *MEASURED), default="", help="one of what is there")
    parser.add_argument("--record", action="store_true", help="write the result to bench/README.md")
    return parser.parse_args()


if __name__ == "__main__":
    main()
