"""Orders, as a host carries them out: once, in time, and with an outcome for each message."""

import fcntl
import queue
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import replace
from pathlib import Path

import pytest

from models.mail.doing import Doer
from models.mail.exim import Exim
from models.mail.operations import Chunk, Order
from models.mail.rules import Action, Outcome, Result
from tests.mail.exim_server import EximServer, Sink
from tests.servers import wait_until

NOW_MS = 1_700_000_000_000
UNKNOWN = "1AAAAA-000001-00"


@pytest.fixture
def doer(exim: EximServer) -> Iterator[Doer]:
    made = Doer(Exim(exim.command), clock=lambda: NOW_MS)
    yield made
    made.close(wait=True)


def order(action: Action, *message_ids: str, number: int = 1, sends: int = 0) -> Order:
    chunk = Chunk(
        operation_id="o",
        number=number,
        host="mx1",
        queue="",
        message_ids=message_ids,
        sends=sends,
    )
    return Order(chunk=chunk, action=action, expires_at_ms=NOW_MS + 1)


def results(doer: Doer, given: Order) -> list[Result]:
    found = doer.do(given)
    assert found is not None
    return [each.result for each in found]


def test_repeat_of_an_order_is_answered_and_not_carried_out(exim: EximServer, doer: Doer) -> None:
    message_id = exim.submit("u@defer.test")
    freeze = order(Action.FREEZE, message_id, UNKNOWN)

    assert results(doer, freeze) == [Result.DONE, Result.GONE]
    exim.run("-Mt", message_id)
    assert results(doer, freeze) == [Result.DONE, Result.GONE]

    assert not Exim(exim.command).listing()[0].is_frozen


def test_order_whose_time_is_over_is_not_begun(exim: EximServer, doer: Doer) -> None:
    message_id = exim.submit("u@defer.test")
    late = replace(order(Action.REMOVE, message_id), expires_at_ms=NOW_MS - 1)

    assert results(doer, late) == [Result.CANCELLED]
    assert exim.message_ids() == {message_id}


def test_what_a_forgotten_order_had_removed_is_removed(doer: Doer) -> None:
    assert results(doer, order(Action.REMOVE, UNKNOWN)) == [Result.GONE]
    assert results(doer, order(Action.REMOVE, UNKNOWN, number=2, sends=1)) == [Result.ALREADY]


def test_what_is_no_id_reaches_no_command(exim: EximServer, doer: Doer) -> None:
    message_id = exim.submit("u@defer.test")

    assert results(doer, order(Action.FREEZE, "-C/etc/passwd", message_id)) == [Result.DONE]


def test_delivery_tells_at_once_whether_there_is_an_attempt(exim: EximServer, doer: Doer) -> None:
    frozen, deferred = exim.submit("ok@far.test"), exim.submit("u@defer.test")
    exim.run("-Mf", frozen)

    given = order(Action.DELIVER, frozen, UNKNOWN, deferred)

    assert results(doer, given) == [Result.DONE, Result.GONE, Result.DONE]


def test_deliveries_that_are_followed_begin_in_time_or_not_at_all(
    exim: EximServer, sink: Sink
) -> None:
    ids = [exim.submit("slow@far.test") for _ in range(10)]
    now_ms = NOW_MS
    told: queue.SimpleQueue[list[Outcome]] = queue.SimpleQueue()
    doer = Doer(
        Exim(exim.command), clock=lambda: now_ms, settled=lambda _order, found: told.put(found)
    )
    given = replace(order(Action.DELIVER, *ids), is_followed=True)

    sink.released.clear()
    before = sink.slow
    assert doer.do(given) is None
    assert doer.do(given) is None
    wait_until(lambda: sink.slow - before == 8, "eight attempts have begun")
    assert told.empty()
    now_ms = NOW_MS + 2
    sink.released.set()

    found = told.get(timeout=30)
    assert [each.message_id for each in found] == ids
    results = [each.result for each in found]
    assert (results.count(Result.DONE), results.count(Result.CANCELLED)) == (8, 2)
    assert doer.do(given) == found
    doer.close(wait=True)
    assert len(exim.message_ids()) == 2


def test_deliveries_that_are_called_off_begin_no_more(exim: EximServer, sink: Sink) -> None:
    ids = [exim.submit("slow@far.test") for _ in range(10)]
    told: queue.SimpleQueue[list[Outcome]] = queue.SimpleQueue()
    doer = Doer(
        Exim(exim.command), clock=lambda: NOW_MS, settled=lambda _order, found: told.put(found)
    )
    given = replace(order(Action.DELIVER, *ids), is_followed=True)
    sink.released.clear()
    before = sink.slow
    assert doer.do(given) is None
    wait_until(lambda: sink.slow - before == 8, "eight attempts have begun")

    assert doer.do(replace(given, is_called_off=True)) is None
    sink.released.set()

    results = [each.result for each in told.get(timeout=30)]
    assert (results.count(Result.DONE), results.count(Result.CANCELLED)) == (8, 2)
    doer.close(wait=True)


def test_an_order_that_was_called_off_before_it_came_is_not_begun(
    exim: EximServer, doer: Doer
) -> None:
    message_id = exim.submit("u@defer.test")
    given = order(Action.REMOVE, message_id)

    assert results(doer, replace(given, is_called_off=True)) == [Result.CANCELLED]
    assert results(doer, given) == [Result.CANCELLED]
    assert exim.message_ids() == {message_id}


def test_what_a_forgotten_order_had_delivered_is_delivered(doer: Doer) -> None:
    assert results(doer, order(Action.DELIVER, UNKNOWN)) == [Result.GONE]
    assert results(doer, order(Action.DELIVER, UNKNOWN, number=2, sends=1)) == [Result.ALREADY]


def test_an_order_that_is_being_carried_out_is_not_begun_again(
    exim: EximServer, tmp_path: Path
) -> None:
    message_id = exim.submit("u@defer.test")
    gate = tmp_path / "gate"
    doer = Doer(Exim(["flock", str(gate), *exim.command]), clock=lambda: NOW_MS)
    given = order(Action.FREEZE, message_id)

    with ThreadPoolExecutor(2) as pool:
        with gate.open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)  # Exim is not let in yet
            both = [pool.submit(doer.do, given) for _ in range(2)]
            done, under_way = wait(both, return_when=FIRST_COMPLETED)
            assert [each.result() for each in done] == [None]
        [found] = [each.result() for each in under_way]

    assert found is not None
    assert [each.result for each in found] == [Result.DONE]
    assert results(doer, given) == [Result.DONE]
    doer.close()


def test_bounced_once_is_bounced_when_the_order_comes_again(exim: EximServer, doer: Doer) -> None:
    message_id = exim.submit("u@defer.test")

    assert results(doer, order(Action.BOUNCE, message_id)) == [Result.DONE]
    again = order(Action.BOUNCE, message_id, number=2, sends=1)
    assert results(doer, again) == [Result.ALREADY]
    assert exim.main_log().count(f"<= <> R={message_id}") == 1
