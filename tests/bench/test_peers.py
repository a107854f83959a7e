"""Peers of the messages bench: who is installed answers, and gates say what was measured."""

from collections.abc import Callable
from pathlib import Path

import pytest

from bench import rows
from bench.figures import Figures
from bench.http_load import Load
from bench.peers.gates import name_of, verdicts
from bench.peers.peer import Kind, Peer
from bench.peers.roster import PEERS

# What has a server to start or a client to load takes some seconds.
SLOW = {peer.name for peer in PEERS} - {"beanstalkd"}


def param(peer: Peer) -> object:
    marks = [pytest.mark.slow] if peer.name in SLOW else []
    return pytest.param(peer, id=peer.name, marks=marks)


@pytest.mark.parametrize("peer", [param(peer) for peer in PEERS])
def test_a_peer_takes_messages_and_hands_them_out(
    peer: Peer, new_folder: Callable[[str], Path]
) -> None:
    if how := peer.missing():
        pytest.skip(how)

    with peer.running(new_folder("peer"), 1.0) as measured:
        load = measured[rows.PASS]()

    assert load.per_s > 0


def test_gates_tell_what_holds_what_is_missed_and_what_is_open() -> None:
    peer = next(peer for peer in PEERS if peer.kind is Kind.HTTP)
    figures = Figures()
    for name, per_s in (
        (rows.NOOP, 100.0),
        (rows.ENQUEUE, 50.0),
        (rows.RECEIVE, 20.0),
        (rows.BATCH, 200.0),
        (rows.BATCH_RECEIVE, 100.0),
        (rows.STREAM, 90.0),
        (rows.PASS, 10.0),
        (name_of(peer.name, rows.ENQUEUE), 5.0),
    ):
        figures.add(name, Load(per_s=per_s, p50_ms=4.0, p99_ms=20.0, cpu_share=0.1))

    said = list(verdicts(figures, [peer]))

    assert f"{rows.ENQUEUE}: 0.50 x {rows.NOOP}, gate 0.45 holds" in said
    assert f"{rows.BATCH}: 4.00 x {rows.ENQUEUE}, gate 5 MISSED" in said
    assert f"{rows.ENQUEUE}: 10.00 x {peer.name}: {rows.ENQUEUE}, gate 8 holds" in said
    assert f"{rows.RECEIVE}: no peer over HTTP was measured, gate 3.5 open" in said
    assert f"{rows.PASS}: p99 20.00 ms, gate 15 ms MISSED, aim 10 ms" in said
