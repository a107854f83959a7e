import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models import outbox
from models.database import Database
from models.outbox import Due, Entry, Hint, State

TASK = "system.probe"
AFTER_MS = 1_000


def _add(database: Database, *, now_ms: int = 0, claim_ms: int = 500, args: Any = ()) -> int:
    with database.begin() as connection:
        hint = outbox.add(
            connection,
            task=TASK,
            args=args,
            task_queue="system",
            now_ms=now_ms,
            resend_after_ms=AFTER_MS,
            claim_ms=claim_ms,
            request_id="req-1",
        )
    return hint.outbox_id


def _claim(database: Database, outbox_id: int, claim_id: str, *, now_ms: int) -> list[Any] | None:
    with database.begin() as connection:
        return outbox.claim(
            connection, outbox_id=outbox_id, task=TASK, claim_id=claim_id, now_ms=now_ms
        )


def _finish(database: Database, outbox_id: int, claim_id: str, *, now_ms: int = 0) -> bool:
    with database.begin() as connection:
        return outbox.finish(connection, outbox_id=outbox_id, claim_id=claim_id, now_ms=now_ms)


def _fail(database: Database, outbox_id: int, claim_id: str, *, now_ms: int) -> bool:
    with database.begin() as connection:
        return outbox.fail(
            connection,
            outbox_id=outbox_id,
            claim_id=claim_id,
            reason="it broke",
            now_ms=now_ms,
            resend_after_ms=AFTER_MS,
        )


def _take_due(
    database: Database, *, now_ms: int, count: int = 10, attempts_max: int = 3
) -> tuple[list[int], list[int]]:
    with database.begin() as connection:
        due = outbox.take_due(
            connection,
            now_ms=now_ms,
            count=count,
            resend_after_ms=AFTER_MS,
            attempts_max=attempts_max,
        )
    return _ids(due.resend), _ids(due.gave_up)


def _ids(hints: list[Hint]) -> list[int]:
    return [hint.outbox_id for hint in hints]


def _read(database: Database, outbox_id: int) -> Entry:
    with database.begin() as connection:
        entry = outbox.read(connection, outbox_id)
    assert entry is not None
    return entry


def test_add_notes_the_work(database: Database) -> None:
    outbox_id = _add(database, now_ms=7, args=["a", 1, None])

    assert _read(database, outbox_id) == Entry(
        hint=Hint(outbox_id, TASK, "system", "req-1"),
        args=["a", 1, None],
        state=State.WAITING,
        attempts=0,
        created_at_ms=7,
        finished_at_ms=None,
        last_error=None,
    )


def test_add_goes_with_the_transaction_of_the_caller(database: Database) -> None:
    taken_back: list[Hint] = []

    def add_and_fail() -> None:
        with database.begin() as connection:
            taken_back.append(
                outbox.add(
                    connection, task=TASK, task_queue="system", now_ms=0, resend_after_ms=AFTER_MS
                )
            )
            raise LookupError

    with pytest.raises(LookupError):
        add_and_fail()

    with database.begin() as connection:
        assert outbox.read(connection, taken_back[0].outbox_id) is None


def test_claim_returns_the_arguments_once(database: Database) -> None:
    outbox_id = _add(database, args=["a", {"b": 2}])

    assert _claim(database, outbox_id, "first", now_ms=1) == ["a", {"b": 2}]
    assert _claim(database, outbox_id, "second", now_ms=1) is None


def test_claim_can_be_taken_again_when_it_ran_out(database: Database) -> None:
    outbox_id = _add(database, claim_ms=500)
    _claim(database, outbox_id, "first", now_ms=0)

    assert _claim(database, outbox_id, "second", now_ms=499) is None
    assert _claim(database, outbox_id, "second", now_ms=500) == []
    assert not _finish(database, outbox_id, "first")
    assert _finish(database, outbox_id, "second")


def test_claim_refuses_another_task(database: Database) -> None:
    outbox_id = _add(database)

    with database.begin() as connection:
        claimed = outbox.claim(
            connection, outbox_id=outbox_id, task="system.tick", claim_id="c", now_ms=0
        )

    assert claimed is None


def test_finish_ends_the_work_for_good(database: Database) -> None:
    outbox_id = _add(database)
    _claim(database, outbox_id, "c", now_ms=10)

    assert _finish(database, outbox_id, "c", now_ms=20)
    assert not _finish(database, outbox_id, "c", now_ms=21)
    assert _claim(database, outbox_id, "d", now_ms=10_000) is None
    assert _take_due(database, now_ms=10_000_000) == ([], [])
    assert _read(database, outbox_id).finished_at_ms == 20


def test_fail_gives_the_work_back_after_a_pause(database: Database) -> None:
    outbox_id = _add(database)
    _claim(database, outbox_id, "c", now_ms=100)

    assert _fail(database, outbox_id, "c", now_ms=200)

    assert _read(database, outbox_id).last_error == "it broke"
    assert _take_due(database, now_ms=200 + AFTER_MS - 1) == ([], [])
    assert _take_due(database, now_ms=200 + AFTER_MS) == ([outbox_id], [])


def test_fail_changes_nothing_once_the_claim_was_taken_over(database: Database) -> None:
    outbox_id = _add(database)
    _claim(database, outbox_id, "first", now_ms=0)
    _claim(database, outbox_id, "second", now_ms=1_000)

    assert not _fail(database, outbox_id, "first", now_ms=1_001)
    assert _read(database, outbox_id).state is State.CLAIMED


def test_take_due_finds_what_nobody_claimed_in_time(database: Database) -> None:
    outbox_id = _add(database, now_ms=0)

    assert _take_due(database, now_ms=AFTER_MS - 1) == ([], [])
    assert _take_due(database, now_ms=AFTER_MS) == ([outbox_id], [])
    assert _take_due(database, now_ms=AFTER_MS) == ([], [])


def test_take_due_finds_a_claim_that_ran_out(database: Database) -> None:
    outbox_id = _add(database, claim_ms=5_000)
    _claim(database, outbox_id, "c", now_ms=0)

    assert _take_due(database, now_ms=4_999) == ([], [])
    assert _take_due(database, now_ms=5_000) == ([outbox_id], [])
    assert not _finish(database, outbox_id, "c")


def test_take_due_gives_up_in_the_end(database: Database) -> None:
    outbox_id = _add(database)
    taken = [_take_due(database, now_ms=sweep * 10_000_000) for sweep in range(1, 5)]

    assert taken == [*[([outbox_id], [])] * 2, ([outbox_id], []), ([], [outbox_id])]
    assert _read(database, outbox_id).state is State.FAILED
    assert _claim(database, outbox_id, "c", now_ms=50_000_000) is None
    with database.begin() as connection:
        assert outbox.count_failed(connection) == 1


def test_take_due_takes_the_oldest_first(database: Database) -> None:
    ids = [_add(database, now_ms=now_ms) for now_ms in (30, 10, 20)]

    assert _take_due(database, now_ms=10_000, count=2) == ([ids[1], ids[2]], [])


def test_take_due_shares_rows_among_sweeps(database: Database) -> None:
    ids = {_add(database) for _ in range(40)}
    taken: list[int] = []
    start = threading.Barrier(4)

    def sweep() -> None:
        start.wait()
        while found := _take_due(database, now_ms=AFTER_MS, count=3)[0]:
            taken.extend(found)

    sweeps = [threading.Thread(target=sweep) for _ in range(4)]
    for thread in sweeps:
        thread.start()
    for thread in sweeps:
        thread.join()

    # A sweep may miss rows that another holds; those are still due.
    taken.extend(_take_due(database, now_ms=AFTER_MS, count=40)[0])
    assert sorted(taken) == sorted(ids)


def test_delete_finished_keeps_what_is_younger_or_unfinished(database: Database) -> None:
    old, young, unfinished = (_add(database) for _ in range(3))
    for outbox_id, finished_at_ms in ((old, 100), (young, 200)):
        _claim(database, outbox_id, "c", now_ms=50)
        _finish(database, outbox_id, "c", now_ms=finished_at_ms)

    with database.begin() as connection:
        assert outbox.delete_finished(connection, finished_before_ms=200, count=10) == 1
        assert outbox.read(connection, old) is None

    assert _read(database, young).state is State.FINISHED
    assert _read(database, unfinished).state is State.WAITING


def test_delete_finished_deletes_at_most_a_batch(database: Database) -> None:
    for _ in range(5):
        outbox_id = _add(database)
        _claim(database, outbox_id, "c", now_ms=0)
        _finish(database, outbox_id, "c", now_ms=1)

    with database.begin() as connection:
        deleted = [
            outbox.delete_finished(connection, finished_before_ms=9, count=2) for _ in range(4)
        ]

    assert deleted == [2, 2, 1, 0]


def test_an_id_is_never_given_twice(database: Database) -> None:
    first = _add(database)
    with database.begin() as connection:
        assert outbox.withdraw(connection, first)

    assert _add(database) > first


def test_withdraw_leaves_alone_what_a_worker_holds(database: Database) -> None:
    outbox_id = _add(database)
    _claim(database, outbox_id, "c", now_ms=0)

    with database.begin() as connection:
        assert not outbox.withdraw(connection, outbox_id)


@given(st.integers(0, 1_000), st.integers(1_000, 31_536_000_000))
def test_resend_pause_grows_up_to_an_hour(attempts: int, resend_after_ms: int) -> None:
    pause_ms = outbox.resend_pause_ms(attempts, resend_after_ms)

    assert resend_after_ms <= pause_ms <= max(resend_after_ms, outbox.RESEND_PAUSE_MS_MAX)
    assert pause_ms <= outbox.resend_pause_ms(attempts + 1, resend_after_ms)


def test_due_is_empty_without_rows(database: Database) -> None:
    with database.begin() as connection:
        due = outbox.take_due(
            connection, now_ms=1, count=1, resend_after_ms=AFTER_MS, attempts_max=1
        )

    assert due == Due([], [])
