"""Proofs for codes: only what the room signed counts, in its time, and each fault has its name."""

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import InvalidError
from models.rooms.codes import (
    EXPIRES_MS_MAX,
    UNLIMITED,
    USES_MAX,
    Code,
    CodeNeededError,
    ExpiredCodeError,
    InvalidCodeError,
    UsedCodeError,
    check,
    issue,
    lane_of,
)
from models.rooms.scripts import spend_code
from tests.rooms.rooms import Room

SECRET = bytes(range(32))
ANOTHER = bytes(32)
NOW_MS = 1_800_000_000_000
EXPIRES_MS = NOW_MS + 60_000
VIP = Code(serial=b"serial", priority=2, uses_max=1, expires_at_ms=EXPIRES_MS)

codes = st.builds(
    Code,
    serial=st.binary(min_size=6, max_size=6),
    priority=st.none() | st.integers(0, 3),
    uses_max=st.integers(UNLIMITED, USES_MAX),
    expires_at_ms=st.integers(NOW_MS // 60_000 + 1, EXPIRES_MS_MAX // 60_000).map((60_000).__mul__),
)


@given(codes)
def test_code_says_what_was_written_into_it(code: Code) -> None:
    text = issue(SECRET, code)

    assert check(SECRET, text, now_ms=NOW_MS) == code
    assert len(text) == 35


def test_code_may_be_typed_carelessly() -> None:
    text = issue(SECRET, VIP)

    careless = " " + text.lower().replace("-", " ").replace("0", "o").replace("1", "l") + " "

    assert check(SECRET, careless, now_ms=NOW_MS) == VIP


@given(st.integers(0, 159))
def test_code_with_any_bit_changed_is_invalid(bit: int) -> None:
    alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
    text = issue(SECRET, VIP).replace("-", "")
    index, inside = divmod(bit, 5)
    changed = alphabet[alphabet.index(text[index]) ^ 1 << inside]

    forged = text[:index] + changed + text[index + 1 :]

    with pytest.raises(InvalidCodeError):
        check(SECRET, forged, now_ms=NOW_MS)


@given(st.text(max_size=80) | st.text("0123456789ABCDEFGHJKMNPQRSTVWXYZ", min_size=32, max_size=32))
def test_code_made_up_is_invalid(text: str) -> None:
    with pytest.raises(InvalidCodeError):
        check(SECRET, text, now_ms=NOW_MS)


def test_code_of_another_room_is_invalid() -> None:
    with pytest.raises(InvalidCodeError) as caught:
        check(ANOTHER, issue(SECRET, VIP), now_ms=NOW_MS)

    assert caught.value.details == {"code": "Expected a code of this queue"}


def test_code_is_good_until_its_minute_and_not_in_it() -> None:
    text = issue(SECRET, VIP)

    assert check(SECRET, text, now_ms=EXPIRES_MS - 1) == VIP
    with pytest.raises(ExpiredCodeError) as caught:
        check(SECRET, text, now_ms=EXPIRES_MS)
    assert caught.value.details == {"code": "The code has expired"}


@pytest.mark.parametrize(
    ("field", "code"),
    [
        ("priority", Code(serial=b"serial", priority=4, uses_max=1, expires_at_ms=EXPIRES_MS)),
        ("uses", Code(serial=b"serial", priority=0, uses_max=70_000, expires_at_ms=EXPIRES_MS)),
        ("expires", Code(serial=b"serial", priority=0, uses_max=1, expires_at_ms=0)),
        ("expires", Code(serial=b"serial", priority=0, uses_max=1, expires_at_ms=2**42)),
    ],
)
def test_code_out_of_bounds_is_refused_by_name(field: str, code: Code) -> None:
    with pytest.raises(InvalidError) as caught:
        issue(SECRET, code)

    assert list(caught.value.details) == [field]


def test_code_for_one_stands_for_its_bearer() -> None:
    many = Code(serial=b"serial", priority=2, uses_max=5, expires_at_ms=EXPIRES_MS)

    assert VIP.identity == "code:73657269616c"
    assert many.identity is None


@pytest.mark.parametrize(
    ("asked", "public", "given", "lane"),
    [(0, 3, None, 0), (3, 3, None, 3), (0, 0, 2, 2), (1, 0, 2, 2), (3, 3, 1, 3)],
)
def test_lane_is_the_higher_of_what_is_asked_and_given(
    asked: int, public: int, given: int | None, lane: int
) -> None:
    code = given and Code(serial=b"s", priority=given, uses_max=1, expires_at_ms=EXPIRES_MS)

    assert lane_of(asked, code or None, public_priority_max=public, invite_only=False) == lane


def test_priority_above_what_visitors_may_claim_needs_a_code() -> None:
    with pytest.raises(CodeNeededError) as caught:
        lane_of(3, VIP, public_priority_max=0, invite_only=False)

    assert caught.value.details == {"priority": "Needs a code of this queue"}


def test_room_by_invitation_needs_a_code() -> None:
    invitation = Code(serial=b"serial", priority=None, uses_max=1, expires_at_ms=EXPIRES_MS)

    assert lane_of(0, invitation, public_priority_max=3, invite_only=True) == 0
    with pytest.raises(CodeNeededError) as caught:
        lane_of(0, None, public_priority_max=3, invite_only=True)
    assert caught.value.details == {"code": "Needs a code of this queue"}


@pytest.mark.parametrize(
    "error",
    [InvalidCodeError(), ExpiredCodeError(5), UsedCodeError(3), CodeNeededError("code")],
)
def test_errors_survive_pickling(error: Exception) -> None:
    again = pickle.loads(pickle.dumps(error))

    assert str(again) == str(error)


def test_code_is_counted_up_to_its_uses_and_not_beyond(room: Room) -> None:
    twice = Code(serial=b"serial", priority=2, uses_max=2, expires_at_ms=EXPIRES_MS)
    other = Code(serial=b"serial2", priority=2, uses_max=1, expires_at_ms=EXPIRES_MS)

    assert [room.run(spend_code("sale", twice)) for _ in range(4)] == [True, True, False, False]
    assert room.run(spend_code("sale", other))
