import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.messages.rules import (
    ERROR_CHARACTERS_MAX,
    LEASE_MIN_MS,
    MessageNotFoundError,
    MessageState,
    Tally,
    cut_error,
    internal_id,
    lane_of,
    priority_of,
    public_id,
    state_after_failure,
)
from models.messages.watch import LOOK_REST_MAX_MS, LapseWatch

ids = st.integers(min_value=0, max_value=2**63 - 1)


@given(ids, ids)
def test_public_ids_sort_as_their_numbers(one: int, other: int) -> None:
    assert (public_id(one) < public_id(other)) == (one < other)


@given(ids)
def test_internal_id_undoes_public_id(number: int) -> None:
    assert internal_id(public_id(number)) == number


@pytest.mark.parametrize(
    "public",
    ["", "msg_", "msg_1", "msg_000000000000000G", "MSG_0000000000000001", "msg_ffffffffffffffff"],
)
def test_internal_id_refuses_what_was_never_given(public: str) -> None:
    with pytest.raises(MessageNotFoundError):
        internal_id(public)


def test_lanes_run_from_the_highest_priority_to_the_lowest() -> None:
    assert [lane_of(priority) for priority in range(10)] == list(range(9, -1, -1))
    assert all(priority_of(lane_of(priority)) == priority for priority in range(10))


def test_state_after_failure_is_dead_with_the_last_attempt() -> None:
    assert state_after_failure(2, 3) is MessageState.QUEUED
    assert state_after_failure(3, 3) is MessageState.DEAD


def test_cut_error_keeps_a_long_trace_within_bounds() -> None:
    assert cut_error("short") == "short"
    assert cut_error(None) is None
    cut = cut_error("x" * (ERROR_CHARACTERS_MAX + 1))
    assert cut is not None
    assert len(cut) == ERROR_CHARACTERS_MAX


def test_tally_sums_moves_and_leaves_out_what_cancels() -> None:
    tally = Tally()
    tally.move("q", "a", target=MessageState.QUEUED, count=2)
    tally.move("q", "a", source=MessageState.QUEUED, target=MessageState.PROCESSING)
    tally.move("q", None, target=MessageState.DEAD)
    tally.move("q", None, source=MessageState.DEAD)

    assert list(tally.changes()) == [(("q", "a", "processing"), 1), (("q", "a", "queued"), 1)]


@given(
    st.integers(min_value=0, max_value=10**13),
    st.none() | st.integers(min_value=0, max_value=10**6),
    st.integers(min_value=0, max_value=LEASE_MIN_MS * 2),
)
def test_lapse_watch_is_never_late(now_ms: int, until_end_ms: int | None, later_ms: int) -> None:
    watch = LapseWatch()
    end_ms = None if until_end_ms is None else now_ms + until_end_ms

    watch.looked(now_ms, end_ms)

    may_have_lapsed = later_ms >= LEASE_MIN_MS or (
        end_ms is not None and now_ms + later_ms >= end_ms
    )
    assert watch.is_due(now_ms + later_ms) == may_have_lapsed


def test_lapse_watch_looks_again_after_the_clock_was_set_back() -> None:
    watch = LapseWatch()
    watch.looked(10_000_000, None)

    assert watch.is_due(1_000_000)


def test_looks_that_became_a_burden_are_further_apart() -> None:
    watch = LapseWatch()
    watch.looked(10_000, 10_500, spent_ms=200.0)
    assert watch.is_due(10_500)  # one alone may be slow for any reason

    watch.looked(10_500, 10_600, spent_ms=150.0)

    assert not watch.is_due(13_499)
    assert watch.is_due(13_500)


def test_looks_are_never_further_apart_than_the_longest_rest() -> None:
    watch = LapseWatch()
    for _ in range(2):
        watch.looked(10_000, None, spent_ms=60_000.0)

    assert not watch.is_due(10_000 + LOOK_REST_MAX_MS - 1)
    assert watch.is_due(10_000 + LOOK_REST_MAX_MS)
