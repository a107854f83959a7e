"""Filters mean the same on both databases, whatever signs somebody searches for."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection, select

from models.messages import tables
from models.messages.filters import MessageFilter, needles_of
from models.messages.rules import Held, NewMessage
from models.messages.statements.filters import conditions
from tests.messages.conftest import Queue


async def found(queue: Queue, wanted: MessageFilter) -> Sequence[int]:
    def read(connection: Connection) -> Sequence[int]:
        chosen = select(tables.ready.c.id).where(*conditions(connection, tables.ready, wanted))
        return connection.execute(chosen.order_by(tables.ready.c.id)).scalars().all()

    return await queue.database.read(read)


async def test_filter_chooses_by_each_of_its_fields_and_by_all_at_once(queue: Queue) -> None:
    first, second = await queue.put(NewMessage("{}", type="mail"), NewMessage("{}"))
    queue.now_ms += 10
    [third] = await queue.put(NewMessage("{}", type="mail"))
    lease = await queue.take()
    assert lease
    await queue.service.reject(Held(lease.id, lease.lock_token), "no", now_ms=queue.now_ms)

    assert await found(queue, MessageFilter()) == [first, second, third]
    assert await found(queue, MessageFilter(type="mail")) == [first, third]
    assert await found(queue, MessageFilter(type="")) == [second]
    assert await found(queue, MessageFilter(queue="other")) == []
    assert await found(queue, MessageFilter(ids=(second, third, 10**18))) == [second, third]
    assert await found(queue, MessageFilter(ids=())) == []
    assert await found(queue, MessageFilter(attempts_min=1)) == [first]
    assert await found(queue, MessageFilter(created_after_ms=queue.now_ms)) == [third]
    assert await found(queue, MessageFilter(created_before_ms=queue.now_ms)) == [first, second]
    both = MessageFilter(type="mail", created_after_ms=queue.now_ms, queue="default", search="{")
    assert await found(queue, both) == [third]


@pytest.mark.parametrize(
    ("search", "spellings"),
    [
        ("%", ["%"]),
        ("_", ["_"]),
        ("'", ["'"]),
        ("a%b", ["A%b"]),
        ("'; drop table message_ready; --", ["x'; DROP table message_ready; --"]),
        ('say "hi"', [r"say \"hi\""]),
        ("\\", [r"\\"]),
        ("\0", [r"\u0000"]),  # there is no other way to write it in JSON
        ("\n", [r"\n"]),
        ("é", ["é", r"\u00e9", r"\u00E9"]),
        ("😀", ["😀", r"\uD83D\ude00"]),
    ],
)
async def test_search_finds_its_signs_and_nothing_else(
    queue: Queue, search: str, spellings: list[str]
) -> None:
    ids = await queue.put(*[NewMessage(f'{{"a":"{spelling}"}}') for spelling in spellings])
    await queue.put(NewMessage('{"a":"ab, anything, drop table"}'))

    assert await found(queue, MessageFilter(search=search)) == ids


async def test_search_looks_into_the_last_error_too(queue: Queue) -> None:
    await queue.put(NewMessage("{}", max_attempts=5), NewMessage("{}"))
    lease = await queue.take()
    assert lease
    held = Held(lease.id, lease.lock_token)
    await queue.service.reject(held, 'Connection "Timeout" 100%', now_ms=queue.now_ms)

    assert await found(queue, MessageFilter(search='"timeout" 100%')) == [lease.id]
    assert await found(queue, MessageFilter(search="100%%")) == []


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])))
def test_needles_are_lower_case_and_free_of_nul(search: str) -> None:
    needles = needles_of(search)

    assert needles
    assert all("\0" not in needle and needle == needle.translate(_LOWER) for needle in needles)
    assert len(set(needles)) == len(needles)


_LOWER = {ord(sign): sign.lower() for sign in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"}
