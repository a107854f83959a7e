"""Log-ins that fail: who is kept out, for how long, and whom that does not concern."""

import asyncio

import pytest

from models.people.rules import (
    InvalidCredentialsError,
    LockedOutError,
)
from tests.people.conftest import COMMAND, House


async def test_a_name_is_locked_after_too_many_failures(house: House) -> None:
    await house.add()
    for number in range(3):
        await house.fail("lan", f"192.0.2.{number}")

    with pytest.raises(LockedOutError) as refusal:
        await house.log_in("lan", "good password", address="198.51.100.1")

    assert refusal.value.retry_after_s == 1


async def test_a_lock_ends_and_the_next_is_longer(house: House) -> None:
    await house.add()
    lengths = []
    for _ in range(3):
        await house.fail("lan")
    for number in range(4):
        started_ms = house.now_ms
        while True:
            try:
                await house.log_in("lan", "wrong", address=f"192.0.2.{number}")
            except LockedOutError as locked:
                house.now_ms += locked.retry_after_s * 1_000
            except InvalidCredentialsError:
                break
        lengths.append(house.now_ms - started_ms)

    assert lengths == [1_000, 2_000, 4_000, 4_000]


async def test_an_address_is_locked_for_every_name(house: House) -> None:
    await house.add()
    for number in range(5):
        await house.fail(f"user{number}")

    with pytest.raises(LockedOutError):
        await house.log_in("lan", "good password")
    assert await house.log_in("lan", "good password", address="192.0.2.2")


async def test_an_ipv6_address_counts_with_its_whole_network(house: House) -> None:
    await house.add()
    for number in range(5):
        await house.fail(f"user{number}", f"2001:db8::{number:x}")

    with pytest.raises(LockedOutError):
        await house.log_in("lan", "good password", address="2001:db8::ffff")
    assert await house.log_in("lan", "good password", address="2001:db8:0:1::1")


async def test_success_forgets_the_failures_of_the_name(house: House) -> None:
    await house.add()
    for _ in range(2):
        for _ in range(2):
            await house.fail("lan", "198.51.100.7")
        assert await house.log_in("lan", "good password")


async def test_who_has_an_account_cannot_guess_at_others_for_ever(house: House) -> None:
    await house.add()
    for number in range(4):
        await house.fail(f"user{number}")
        await house.log_in("lan", "good password")
    await house.fail("user4")

    with pytest.raises(LockedOutError):
        await house.log_in("lan", "good password")


async def test_a_quiet_hour_forgets(house: House) -> None:
    await house.add()
    for _ in range(2):
        await house.fail("lan")
    house.now_ms += 3_600_001
    for _ in range(2):
        await house.fail("lan")

    assert await house.log_in("lan", "good password")


async def test_many_guesses_at_once_slip_in_by_two_at_most(house: House) -> None:
    await house.add()
    guesses = [house.log_in("lan", f"guess {number}") for number in range(40)]

    outcomes = await asyncio.gather(*guesses, return_exceptions=True)

    looked_at = [each for each in outcomes if isinstance(each, InvalidCredentialsError)]
    assert len(looked_at) <= house.policy.user_failures_max + 1
    assert len(looked_at) + sum(isinstance(each, LockedOutError) for each in outcomes) == 40


async def test_a_new_password_opens_the_lock(house: House) -> None:
    await house.add()
    for _ in range(3):
        await house.fail("lan")

    await house.service.reset_password("lan", "another one", COMMAND, now_ms=house.now_ms)

    assert await house.log_in("lan", "another one")
