"""Users, log-ins, locks, sessions and keys, on both databases; time is whatever a test says."""

import asyncio

import pytest

from models.audit import Actor
from models.errors import InvalidError
from models.people import jobs
from models.people.rules import (
    InvalidCredentialsError,
    KeyExistsError,
    KeyNotFoundError,
    LastAdminError,
    NewUser,
    Role,
    Scope,
    UserChange,
    UserExistsError,
    UserNotFoundError,
)
from tests.people.conftest import ADMIN_PASSWORD, COMMAND, House

# Log-in --------------------------------------------------------------------------------------


async def test_log_in_finds_the_user_whatever_the_case(house: House) -> None:
    made = await house.add("lan", "good password")

    assert (await house.log_in(" Lan ", "good password")).id == made.id


@pytest.mark.parametrize(
    ("username", "password"), [("lan", "wrong"), ("nobody", "good password"), ("lan", "")]
)
async def test_log_in_does_not_say_what_was_wrong(
    house: House, username: str, password: str
) -> None:
    await house.add("lan", "good password")

    with pytest.raises(InvalidCredentialsError, match="Invalid credentials"):
        await house.log_in(username, password)


async def test_a_disabled_user_is_out_at_once(house: House) -> None:
    user = await house.add()
    session = await house.open_session("lan", "good password")

    await house.service.change_user("lan", UserChange(is_active=False), COMMAND, now_ms=0)

    assert await house.user_of(session) is None
    assert await house.service.user_of_token(user.id, user.version) is None
    with pytest.raises(InvalidCredentialsError):
        await house.log_in("lan", "good password")


async def test_a_user_may_be_let_in_again(house: House) -> None:
    await house.add()
    await house.service.change_user("lan", UserChange(is_active=False), COMMAND, now_ms=0)

    await house.service.change_user("lan", UserChange(is_active=True), COMMAND, now_ms=0)

    assert await house.log_in("lan", "good password")


async def test_the_first_admin_is_made_once(house: House) -> None:
    await asyncio.gather(*(house.log_in("admin", ADMIN_PASSWORD) for _ in range(4)))
    await house.service.reset_password("admin", "another one", COMMAND, now_ms=0)

    assert not await house.service.make_first_admin(now_ms=0)
    with pytest.raises(InvalidCredentialsError):
        await house.log_in("admin", ADMIN_PASSWORD)
    [admin] = await house.service.users()
    assert admin.role is Role.ADMIN


async def test_no_first_admin_where_there_are_users(house: House) -> None:
    await house.add()

    with pytest.raises(InvalidCredentialsError):
        await house.log_in("admin", ADMIN_PASSWORD)
    assert house.asked_for_password == 0


# Sessions ------------------------------------------------------------------------------------


async def test_a_session_ends_after_its_time(house: House) -> None:
    await house.add()
    session = await house.open_session("lan", "good password")

    house.now_ms += house.policy.session_ms - 1
    assert await house.user_of(session) is not None
    house.now_ms += 1
    assert await house.user_of(session) is None


async def test_a_log_in_gives_a_new_session_and_ends_the_one_before(house: House) -> None:
    await house.add()
    planted = "0" * 64

    first = await house.open_session("lan", "good password", replaces=planted)
    second = await house.open_session("lan", "good password", replaces=first)

    assert len({planted, first, second}) == 3
    assert await house.user_of(planted) is None
    assert await house.user_of(first) is None
    assert await house.user_of(second) is not None


async def test_a_session_is_stored_as_a_digest(house: House) -> None:
    await house.add()
    session = await house.open_session("lan", "good password")

    with house.database.begin() as connection:
        [digest] = connection.exec_driver_sql("SELECT digest FROM people_session").scalars()

    assert digest != session
    assert await house.user_of(digest) is None


async def test_a_password_change_ends_other_sessions_and_all_tokens(house: House) -> None:
    user = await house.add()
    kept = await house.open_session("lan", "good password")
    other = await house.open_session("lan", "good password")

    changed = await house.service.change_password(
        Actor(kind="session", name="lan", id=str(user.id)),
        current="good password",
        new="better password",
        kept_session=kept,
        now_ms=house.now_ms,
    )

    assert await house.user_of(kept) is not None
    assert await house.user_of(other) is None
    assert await house.service.user_of_token(user.id, user.version) is None
    assert await house.service.user_of_token(user.id, changed.version) is not None
    assert await house.log_in("lan", "better password")


async def test_a_password_change_needs_the_old_one(house: House) -> None:
    await house.add()

    with pytest.raises(InvalidCredentialsError):
        await house.service.change_password(
            Actor(kind="session", name="lan"),
            current="wrong",
            new="better password",
            kept_session=None,
            now_ms=house.now_ms,
        )
    assert await house.log_in("lan", "good password")


# Users and keys ------------------------------------------------------------------------------


async def test_a_name_is_given_once(house: House) -> None:
    await house.add()

    with pytest.raises(UserExistsError, match="user lan exists"):
        await house.add()


@pytest.mark.parametrize("name", ["", "Lan", "a b", "-x", "x" * 65, "x\n"])
def test_a_name_is_plain(name: str) -> None:
    with pytest.raises(InvalidError, match="username"):
        NewUser(username=name, password="good password", role=Role.VIEWER)


@pytest.mark.parametrize("password", ["", "seven77", "x" * 1_025])
def test_a_password_has_some_length(password: str) -> None:
    with pytest.raises(InvalidError, match="password"):
        NewUser(username="lan", password=password, role=Role.VIEWER)


async def test_the_last_admin_stays(house: House) -> None:
    await house.service.make_first_admin(now_ms=0)

    for change in (UserChange(is_active=False), UserChange(role=Role.VIEWER)):
        with pytest.raises(LastAdminError):
            await house.service.change_user("admin", change, COMMAND, now_ms=0)
    await house.add("second", role=Role.ADMIN)
    changed = await house.service.change_user(
        "admin", UserChange(role=Role.VIEWER), COMMAND, now_ms=0
    )
    assert changed.role is Role.VIEWER


async def test_unknown_users_and_keys_are_named(house: House) -> None:
    with pytest.raises(UserNotFoundError, match="there is no user lan"):
        await house.service.change_user("lan", UserChange(), COMMAND, now_ms=0)
    with pytest.raises(UserNotFoundError):
        await house.service.reset_password("lan", "good password", COMMAND, now_ms=0)
    with pytest.raises(KeyNotFoundError, match="there is no key ci"):
        await house.service.revoke_key("ci", COMMAND, now_ms=0)


async def test_a_key_is_stored_as_a_digest_and_gone_when_revoked(house: House) -> None:
    made, secret = await house.service.add_key("ci", Scope.MESSAGES, COMMAND, now_ms=0)

    assert secret not in repr(await house.service.keys())
    assert await house.service.keys() == [made]
    with pytest.raises(KeyExistsError):
        await house.service.add_key("ci", Scope.ROOMS, COMMAND, now_ms=0)
    assert await house.service.revoke_key("ci", COMMAND, now_ms=0) == made
    assert await house.service.keys() == []


# Jobs ----------------------------------------------------------------------------------------


async def test_forget_deletes_what_is_over_and_nothing_else(house: House) -> None:
    await house.add()
    await house.open_session("lan", "good password")
    house.now_ms += house.policy.session_ms
    kept = await house.open_session("lan", "good password")

    gone = jobs.forget(house.database, audit_kept_ms=1_000, now_ms=house.now_ms)

    assert gone == (1, 2)  # the user and the first log-in
    assert await house.user_of(kept) is not None
    assert len(await house.service.audit_log(count=9)) == 1
    assert jobs.forget(house.database, audit_kept_ms=1_000, now_ms=house.now_ms) == (0, 0)
