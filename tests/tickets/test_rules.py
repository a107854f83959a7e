"""Who is called next, whatever waits: policies, turns, search, numbers."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.tickets.rules import (
    AGEING_HEAD_START_MS,
    TRANSITIONS,
    Policy,
    Priority,
    Side,
    Status,
    call_order,
    fold,
    number_text,
    side_of,
    turn_after,
)


@dataclass(frozen=True)
class Person:
    id: int
    queued_at_ms: int
    priority: Priority


lines = st.lists(st.tuples(st.integers(0, 50), st.sampled_from(Priority)), max_size=20).map(
    lambda people: [
        Person(place, at_min * 60_000, priority) for place, (at_min, priority) in enumerate(people)
    ]
)
policies = st.sampled_from(Policy)
turns = st.sampled_from([None, *Side])


def of_side(people: list[Person], side: Side) -> list[Person]:
    return [each for each in people if side_of(each.priority) is side]


@given(lines, policies, turns)
def test_everybody_is_called_once_and_each_line_keeps_its_order(
    line: list[Person], policy: Policy, turn: Side | None
) -> None:
    order = call_order(line, policy, turn=turn)

    assert sorted(order, key=lambda each: each.id) == sorted(line, key=lambda each: each.id)
    for side in Side:
        ages = [(each.queued_at_ms, each.id) for each in of_side(order, side)]
        assert ages == sorted(ages)


@given(lines, policies, turns)
def test_what_the_list_shows_is_what_is_called(
    line: list[Person], policy: Policy, turn: Side | None
) -> None:
    shown = call_order(line, policy, turn=turn)

    called: list[Person] = []
    waiting = line
    while waiting:
        first = call_order(waiting, policy, turn=turn)[0]
        waiting = [each for each in waiting if each != first]
        turn = turn_after(first.priority, waiting)
        called.append(first)

    assert called == shown


@given(lines, turns)
def test_interleave_alternates_while_people_wait_in_both_lines(
    line: list[Person], turn: Side | None
) -> None:
    order = call_order(line, Policy.INTERLEAVE, turn=turn)

    for place in range(1, len(order)):
        rest = order[place:]
        if all(of_side(rest, side) for side in Side):
            assert side_of(order[place].priority) is not side_of(order[place - 1].priority)


@given(lines)
def test_interleave_begins_with_who_came_first(line: list[Person]) -> None:
    order = call_order(line, Policy.INTERLEAVE, turn=None)

    assert order[:1] == call_order(line, Policy.FIFO, turn=None)[:1]


@given(lines)
def test_strict_calls_nobody_else_while_somebody_preferred_waits(line: list[Person]) -> None:
    sides = [side_of(each.priority) for each in call_order(line, Policy.STRICT, turn=None)]

    assert sides == sorted(sides, key=lambda side: side is Side.NORMAL)


@given(lines)
def test_ageing_lets_nobody_be_overtaken_by_who_came_much_later(line: list[Person]) -> None:
    order = call_order(line, Policy.AGEING, turn=None)

    for place, earlier in enumerate(order):
        for later in order[place + 1 :]:
            assert later.queued_at_ms >= earlier.queued_at_ms - AGEING_HEAD_START_MS


def test_the_contract_s_sample_is_in_call_order() -> None:
    people = [Person(101, 0, Priority.NORMAL), Person(102, 1, Priority.ELDERLY)]

    order = call_order(people, Policy.INTERLEAVE, turn=turn_after(Priority.NORMAL, []))

    assert [each.id for each in order] == [101, 102]


def test_transitions_are_the_contract_s() -> None:
    assert TRANSITIONS == {
        Status.WAITING: (Status.CALLED, Status.CANCELLED),
        Status.CALLED: (Status.SERVING, Status.CANCELLED, Status.CALLED),
        Status.SERVING: (Status.COMPLETED, Status.CANCELLED),
        Status.COMPLETED: (),
        Status.CANCELLED: (),
    }


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("Đăng ký  KẾT HÔN", "dang ky ket hon"),
        ("Đa\u0306ng", "dang"),  # the same letters, taken apart
        ("\uff21\uff11", "a1"),  # of a full-width keyboard
        ("", ""),
    ],
)
def test_a_search_sees_no_accents(text: str, folded: str) -> None:
    assert fold(text) == folded


def test_numbers_have_three_digits_at_least() -> None:
    assert [number_text(each) for each in (1, 42, 101, 1000)] == ["001", "042", "101", "1000"]
