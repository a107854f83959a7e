"""What a message's table adds to its history."""

import pytest

from models.events import Event
from models.messages import lives
from models.messages.histories import Known, Ledger, Row, Told
from models.messages.lives import Place
from models.messages.rules import MessageState
from models.messages.spreads import length_ms_of, percentile_ms, step_of


def row(event: str, at_ms: int, *, leased_at_ms: int | None = None) -> Row:
    return Row(at_ms=at_ms, event=event, message_id=1, queue="q", leased_at_ms=leased_at_ms)


def place(state: MessageState, queue: str = "q", **facts: int | str | None) -> Place:
    return Place(state=state, queue=queue, type=None, attempt_count=1, created_at_ms=1, **facts)  # type: ignore[arg-type]


PUT = row("enqueued", 1)
TAKEN = row("leased", 2, leased_at_ms=2)
DEAD = row("dead", 3)


@pytest.mark.parametrize(
    ("rows", "at", "added"),
    [
        ([PUT, TAKEN], place(MessageState.PROCESSING, leased_at_ms=2), []),
        ([PUT, TAKEN], place(MessageState.PROCESSING, leased_at_ms=5), [("leased", 5)]),
        ([PUT, TAKEN], place(MessageState.QUEUED), [("given_back", None)]),
        ([PUT, TAKEN], place(MessageState.QUEUED, last_error="lease expired"), [("lapsed", None)]),
        ([PUT, TAKEN, DEAD], place(MessageState.DEAD, died_at_ms=3), []),
        ([PUT, TAKEN, DEAD], place(MessageState.DEAD, died_at_ms=9), [("dead", 9)]),
        ([PUT, TAKEN, DEAD], place(MessageState.QUEUED), [("redriven", None)]),
        ([PUT], place(MessageState.QUEUED, queue="other"), [("moved", None)]),
        ([PUT], place(MessageState.DELAYED), []),
        ([PUT], None, [("deleted", None)]),
        ([PUT, row("deleted", 2)], None, []),
        ([], place(MessageState.ACKNOWLEDGED, acknowledged_at_ms=7), [("acknowledged", 7)]),
    ],
)
def test_table_adds_what_is_newer(
    rows: list[Row], at: Place | None, added: list[tuple[str, int | None]]
) -> None:
    told = lives.end(rows, at)

    assert [(each.event, each.at_ms) for each in told] == added
    assert all(each.is_derived for each in told)


def test_lengths_are_known_within_their_step() -> None:
    for length_ms in (0, 1, 7, 100, 999, 30_000, 43_200_000):
        assert length_ms_of(step_of(length_ms)) == pytest.approx(length_ms, rel=0.045, abs=0.5)
    assert percentile_ms({}, 95) is None
    assert percentile_ms({step_of(10): 95, step_of(1_000): 5}, 95) == length_ms_of(step_of(10))
    assert percentile_ms({step_of(10): 94, step_of(1_000): 6}, 95) == length_ms_of(step_of(1_000))


def test_message_that_is_moved_is_in_its_new_queue_and_out_of_its_lease() -> None:
    ledger = Ledger({1: Known(queue="q", type="a", attempt=2, consumer_id="c", leased_at_ms=5)})
    facts = {"id": "msg_0000000000000001"}
    ledger.note(Told("1-0.0", 9, Event("move", {**facts, "queue": "r", "status": "queued"})))
    ledger.note(
        Told("1-0.1", 9, Event("redrive", {**facts, "status": "delayed", "attempt_count": 0}))
    )

    assert [(row.event, row.queue, row.leased_at_ms, row.attempt) for row in ledger.rows] == [
        ("moved", "r", None, 2),
        ("redriven", "r", None, 0),
    ]
    assert ledger.failing[1].is_over
