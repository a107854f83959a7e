"""Orders, as a host carries them out: once, in time, and with an outcome for each message."""

import fcntl
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import replace
from pathlib import Path

import pytest

from models.mail.doing import Doer
from models.mail.exim import Exim
from models.mail.operations import Chunk, Order
from models.mail.rules import Action, Result
from tests.mail.exim_server import EximServer

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
