"""What visitors of a waiting room say to a server, endlessly, over many connections."""

from collections.abc import Sequence
from itertools import islice

from bench.http_load import Meter, Script, clock, expect, request

CONNECTIONS = 64


def status_polls(room: str, tokens: Sequence[str], meter: Meter) -> Sequence[Script]:
    """Visitors ask in turn where they stand."""
    path = f"/api/v1/queues/{room}/status"
    return _each(_with_tokens("GET", path, tokens), 200, meter)


def heartbeats(room: str, tokens: Sequence[str], meter: Meter) -> Sequence[Script]:
    """Visitors say in turn that they are there."""
    path = f"/api/v1/queues/{room}/heartbeat"
    body = b'{"timestamp": 1704067260000, "client_id": "browser-fingerprint-abc123"}'
    return _each(_with_tokens("POST", path, tokens, body), 200, meter)


def joins(room: str, meter: Meter) -> Sequence[Script]:
    """New visitors come, whom nobody knows."""
    said = request("POST", f"/api/v1/queues/{room}/enqueue", b'{"priority": 0}')
    return _each([said] * CONNECTIONS, 201, meter)


def nothing(meter: Meter) -> Sequence[Script]:
    """Ask a server that does nothing, with as much to read."""
    headers = {"Authorization": f"Bearer {'x' * 550}"}
    said = request("GET", "/api/queue/message", headers=headers)
    return _each([said] * CONNECTIONS, 200, meter)


def _with_tokens(method: str, path: str, tokens: Sequence[str], body: bytes = b"") -> list[bytes]:
    return [request(method, path, body, {"Authorization": f"Bearer {token}"}) for token in tokens]


def _each(requests: Sequence[bytes], status: int, meter: Meter) -> Sequence[Script]:
    return [
        _ask(list(islice(requests, number, None, CONNECTIONS)), status, meter)
        for number in range(CONNECTIONS)
    ]


def _ask(requests: Sequence[bytes], status: int, meter: Meter) -> Script:
    while True:
        for said in requests:
            began_s = clock()
            expect((yield said), status)
            meter.note(clock() - began_s)
