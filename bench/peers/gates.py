"""What is claimed of messages beside their peers: each gate with what was measured."""

from collections.abc import Iterator, Sequence
from typing import Final

from bench import rows
from bench.figures import Figures
from bench.peers.peer import Kind, Peer

_NOOP_SHARE: Final = 0.45
_HTTP_ENQUEUES: Final = 8.0
_HTTP_RECEIVES: Final = 3.5
_BATCHES: Final = 5.0
_P50_MS, _P99_MS = (5.0, 3.0), (15.0, 10.0)  # the gate, and what is aimed at
# Compared where both were measured: our row, whose, and which of theirs.
_AHEAD: Final = (
    (rows.ENQUEUE, "beanstalkd", rows.ENQUEUE),
    (rows.BATCH_RECEIVE, "BullMQ", rows.RECEIVE),
    (rows.BATCH_RECEIVE, "BullMQ", rows.BATCH_RECEIVE),
    (rows.STREAM, "RabbitMQ, AMQP", rows.RECEIVE),
    (rows.STREAM, "RabbitMQ, AMQP", rows.STREAM),
    (rows.STREAM, "RabbitMQ, AMQP, quorum queue", rows.STREAM),
)


def name_of(peer: str, row: str) -> str:
    """Return the name of a peer's figure."""
    return f"{peer}: {row}"


def verdicts(figures: Figures, peers: Sequence[Peer]) -> Iterator[str]:
    """Yield a sentence for each gate; what was not measured is said so, and holds nothing."""
    yield _ratio(figures, rows.ENQUEUE, rows.NOOP, _NOOP_SHARE)
    yield _ratio(figures, rows.BATCH, rows.ENQUEUE, _BATCHES)
    yield _ratio(figures, rows.BATCH_RECEIVE, rows.RECEIVE, _BATCHES)
    for row, gate in ((rows.ENQUEUE, _HTTP_ENQUEUES), (rows.RECEIVE, _HTTP_RECEIVES)):
        yield _best(figures, row, [peer for peer in peers if peer.kind is Kind.HTTP], gate)
        for peer in peers:
            if peer.kind is Kind.POSTGRESQL:
                yield _ratio(figures, row, name_of(peer.name, row), 1.0)
    for ours, peer_name, theirs in _AHEAD:
        yield _ratio(figures, ours, name_of(peer_name, theirs), 1.0)
    load = figures.of(rows.PASS)
    for name, value_ms, (gate_ms, aim_ms) in (
        ("p50", load.p50_ms, _P50_MS),
        ("p99", load.p99_ms, _P99_MS),
    ):
        verdict = _verdict(holds=value_ms < gate_ms)
        bounds = f"gate {gate_ms:.0f} ms {verdict}, aim {aim_ms:.0f} ms"
        yield f"{rows.PASS}: {name} {value_ms:.2f} ms, {bounds}"


def _best(figures: Figures, row: str, peers: Sequence[Peer], gate: float) -> str:
    names = [name_of(peer.name, row) for peer in peers]
    measured = [name for name in names if name in figures.rounds]
    if not measured:
        return f"{row}: no peer over HTTP was measured, gate {gate:g} open"
    best = max(measured, key=lambda name: figures.of(name).per_s)
    return _ratio(figures, row, best, gate)


def _ratio(figures: Figures, row: str, to: str, gate: float) -> str:
    if to not in figures.rounds:
        return f"{row} beside {to}: not measured, gate {gate:g} open"
    ratio = figures.ratio(row, to)
    return f"{row}: {ratio:.2f} x {to}, gate {gate:g} {_verdict(holds=ratio >= gate)}"


def _verdict(*, holds: bool) -> str:
    return "holds" if holds else "MISSED"
