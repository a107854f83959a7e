"""How fast rooms answer over HTTP, on one process, beside a server that does nothing.

A status costs Redis nothing and a signature is made once for each visitor; this prints what that
comes to. Run it with `python -m bench.rooms_http`.
"""

import functools
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

import httpx

from bench import rooms_load
from bench.http_load import Load, Meter, Script, measure
from bench.servers import RedisServer, asgi, port_of, service
from models.secrets import secrets_path
from models.tokens.keys import SigningKey, make_key
from tests.servers import System

_SECONDS = 3.0
_VISITORS = 2_000
_LIMITS = {
    f"{name}_PER_MINUTE_MAX": "1000000"
    for name in ("JOINS", "LOOKS", "HEARTBEATS", "VISITOR_REQUESTS", "ROOM_ADMIN")
}
_CLAIMS = {
    "jti": "550e8400-e29b-41d4-a716-446655440000",
    "sub": "queue:concert-tickets",
    "lane": 0,
    "number": 1_000_000,
}
Scripts = Callable[[Meter], Sequence[Script]]


def main() -> None:
    """Measure and print."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        redis_folder = folder / "r"
        redis_folder.mkdir()
        redis = stack.enter_context(RedisServer(redis_folder, appends=True))
        system = stack.enter_context(
            service(folder / "s", f"sqlite:///{folder}/rooms.db", redis.url, _LIMITS)
        )
        _, noop_port = stack.enter_context(asgi(folder, "bench.noop:app", {}))
        floor = _run(rooms_load.nothing, noop_port)
        print(f"no-op GET          {floor.per_s:9,.0f}/s  p99 {floor.p99_ms:.1f} ms")
        for algorithm in ("RS256", "ES256"):
            _print_rooms(system, algorithm, floor)


def _print_rooms(system: System, algorithm: str, floor: Load) -> None:
    port = port_of(system)
    with httpx.Client(base_url=system.url, timeout=30) as http:
        room = _make_room(http, system, algorithm)
        tokens = [
            http.post(f"/api/v1/queues/{room}/enqueue").json()["token"] for _ in range(_VISITORS)
        ]
    for name, scripts, least in (
        ("status", rooms_load.status_polls, 0.8),
        ("heartbeat", rooms_load.heartbeats, 0.65),
    ):
        load = _run(functools.partial(scripts, room, tokens), port)
        share = load.per_s / floor.per_s
        print(
            f"{name:10} {algorithm}   {load.per_s:9,.0f}/s  p99 {load.p99_ms:.1f} ms  "
            f"{share:.2f} of the no-op (at least {least})"
        )
    load = _run(functools.partial(rooms_load.joins, room), port)
    signature_s = _signature_s(algorithm)
    print(
        f"enqueue    {algorithm}   {load.per_s:9,.0f}/s  p99 {load.p99_ms:.1f} ms  "
        f"{1 / load.per_s / signature_s:.2f} signatures of {signature_s * 1e6:.0f} us each"
    )


def _make_room(http: httpx.Client, system: System, algorithm: str) -> str:
    room = f"bench-{algorithm.lower()}"
    body = {
        "id": room,
        "name": room,
        "target_url": "https://example.com/",
        "max_active_users": 10,
        "status": "paused",
        "algorithm": algorithm,
    }
    key = json.loads(secrets_path(system.folder).read_text())["admin_key"]
    http.post("/api/v1/admin/queues", json=body, headers={"X-Admin-Key": key}).raise_for_status()
    return room


def _run(scripts: Scripts, port: int) -> Load:
    return measure(scripts, port=port, seconds=_SECONDS)


def _signature_s(algorithm: str) -> float:
    """Return what one signature takes, beside nothing else."""
    key = SigningKey(make_key(algorithm, now_ms=0, signs_from_ms=0))
    times_s = []
    for _ in range(200):
        began_s = time.perf_counter()
        key.sign(_CLAIMS)
        times_s.append(time.perf_counter() - began_s)
    return statistics.median(times_s)


if __name__ == "__main__":
    main()
