"""The log of what people changed."""

import pytest

from models.audit import Actor, Span
from models.people.rules import (
    LockedOutError,
    Role,
    Scope,
    UserChange,
    UserExistsError,
)
from tests.people.conftest import COMMAND, House


async def log_of(house: House) -> list[tuple[str, str, str, str, str]]:
    entries = await house.service.audit_log(count=100)
    return [
        (
            each.actor.kind,
            each.actor.name,
            each.change.action,
            each.change.target,
            each.change.outcome.value,
        )
        for each in reversed(entries)
    ]


async def test_each_change_is_in_the_log(house: House) -> None:
    await house.add()
    await house.service.change_user("lan", UserChange(role=Role.VIEWER), COMMAND, now_ms=0)
    await house.service.reset_password("lan", "another one", COMMAND, now_ms=0)
    await house.service.add_key("ci", Scope.ADMIN, COMMAND, now_ms=0)
    await house.service.revoke_key("ci", COMMAND, now_ms=0)

    assert await log_of(house) == [
        ("command", "tester", "user_created", "lan", "done"),
        ("command", "tester", "user_changed", "lan", "done"),
        ("command", "tester", "password_changed", "lan", "done"),
        ("command", "tester", "key_created", "ci", "done"),
        ("command", "tester", "key_revoked", "ci", "done"),
    ]


async def test_log_ins_are_in_the_log_with_the_reason_and_without_the_password(
    house: House,
) -> None:
    await house.add()
    await house.fail("lan")
    await house.fail("ghost")
    session = await house.open_session("lan", "good password")
    await house.service.close_session(
        Actor(kind="session", name="lan"), session, now_ms=house.now_ms
    )

    entries = (await house.service.audit_log(count=4))[::-1]

    assert [(each.change.action, dict(each.change.details)) for each in entries] == [
        ("login_failed", {"reason": "invalid_password"}),
        ("login_failed", {"reason": "user_not_found"}),
        ("login_success", {}),
        ("logout", {}),
    ]
    assert entries[0].actor.address == "192.0.2.1"
    assert "wrong" not in repr(entries)


async def test_who_tries_while_the_name_is_locked_is_in_the_log(house: House) -> None:
    await house.add()
    for _ in range(house.policy.user_failures_max):
        await house.fail("lan")

    with pytest.raises(LockedOutError):
        await house.log_in("lan", "good password")

    newest = (await house.service.audit_log(count=1))[0].change
    assert (newest.action, newest.details) == ("login_failed", {"reason": "locked"})


async def test_what_is_refused_changes_and_logs_nothing(house: House) -> None:
    await house.add()
    before = await log_of(house)

    with pytest.raises(UserExistsError):
        await house.add()

    assert await log_of(house) == before


async def test_the_log_is_read_page_by_page_and_by_target(house: House) -> None:
    for name in ("ann", "bob", "cyd"):
        await house.add(name)

    newest = await house.service.audit_log(count=2)
    older = await house.service.audit_log(count=2, before_id=newest[-1].id)

    assert [each.change.target for each in (*newest, *older)] == ["cyd", "bob", "ann"]
    [of_bob] = await house.service.audit_log(target="bob", count=9)
    assert of_bob.change.target == "bob"


async def test_a_span_begins_with_its_first_moment_and_ends_before_its_last(house: House) -> None:
    for at_ms, name in enumerate(("ann", "bob", "cyd"), start=1_000):
        await house.service.add_key(name, Scope.ADMIN, COMMAND, now_ms=at_ms)

    async def within(span: Span) -> list[str]:
        entries = await house.service.audit_log(count=9, span=span)
        return [each.change.target for each in entries]

    assert await within(Span(since_ms=1_000, until_ms=1_002)) == ["bob", "ann"]
    assert await within(Span(since_ms=1_001)) == ["cyd", "bob"]
    assert await within(Span(until_ms=1_001)) == ["ann"]
