"""What is said of a call, and by which clips."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.tickets.speech import Language, Phrase, digest_of, is_clip_key, sayable, words_of

VI, EN = Language.VI, Language.EN


@pytest.mark.parametrize(
    ("name", "vietnamese", "english"),
    [
        (
            "Quầy Tư pháp",
            [("vi", "Mời số một không năm đến quầy Tư pháp")],
            [("en", "Number one zero five, please go to counter"), ("vi", "Tư pháp")],
        ),
        (
            "Quầy 3",
            [("vi", "Mời số một không năm đến quầy 3")],
            [("en", "Number one zero five, please go to counter 3")],
        ),
        (
            "B2",
            [("vi", "Mời số một không năm đến quầy B2")],
            [("en", "Number one zero five, please go to counter B2")],
        ),
        (
            "Bàn số 4",
            [("vi", "Mời số một không năm đến Bàn số 4")],
            [("en", "Number one zero five, please go to"), ("vi", "Bàn số 4")],
        ),
        (
            "***",
            [("vi", "Mời số một không năm đến quầy")],
            [("en", "Number one zero five, please go to the counter")],
        ),
    ],
)
def test_each_digit_is_said_and_each_name_by_a_voice_of_its_language(
    name: str, vietnamese: list[tuple[str, str]], english: list[tuple[str, str]]
) -> None:
    for language, expected in ((VI, vietnamese), (EN, english)):
        words = words_of(105, 7, name, language)

        assert [(str(each.language), each.text) for each in words.phrases] == expected
        assert words.text == " ".join(text for _, text in expected)


def test_a_clip_of_the_counter_is_taken_before_its_sign() -> None:
    words = words_of(42, 7, "Quầy B2", VI)
    digits = {"ticket", "0", "2", "4"}

    by_sign = digits | {"counter", "b"}

    assert words.clips_of(by_sign | {"counter-7"}) == ("ticket", "0", "4", "2", "counter-7")
    assert words.clips_of(by_sign) == ("ticket", "0", "4", "2", "counter", "b", "2")
    assert words.clips_of(digits | {"counter"}) == ()
    assert words.missing(by_sign) == ()
    assert words.missing(digits) == ("counter-7",)


def test_a_name_that_is_no_sign_needs_a_clip_of_its_own() -> None:
    words = words_of(101, 7, "Quầy Tư pháp", VI)

    assert words.clips_of({"ticket", "0", "1", "counter", "t", "p"}) == ()
    assert words.missing(()) == ("0", "1", "counter-7", "ticket")


@given(name=st.text(max_size=255), number=st.integers(1, 99_999))
def test_nothing_but_words_reaches_a_voice(name: str, number: int) -> None:
    for language in Language:
        words = words_of(number, 1, name, language)

        for phrase in words.phrases:
            assert phrase.text
            assert phrase.text == sayable(phrase.text)
            assert all(each.isalnum() or each in " ," for each in phrase.text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Nghỉ trưa: quay lại lúc 13:30!", "Nghỉ trưa, quay lại lúc 13 30"),
        ("Quầy 3.", "Quầy 3"),
        ("a... b; c?", "a, b, c"),
        (" ,;. ", ""),
    ],
)
def test_the_end_of_a_sentence_is_a_pause(text: str, said: str) -> None:
    assert sayable(text) == said


@given(text=st.text(max_size=100))
def test_what_is_sayable_stays_as_it_is(text: str) -> None:
    once = sayable(text)

    assert sayable(once) == once
    assert sayable(unicodedata.normalize("NFD", once)) == once


@pytest.mark.parametrize("key", ["0", "9", "a", "z", "ticket", "counter", "counter-12"])
def test_keys_of_clips(key: str) -> None:
    assert is_clip_key(key)


@pytest.mark.parametrize(
    "key", ["", "10", "A", "ă", "counter-", "counter-0", "counter-x", "../a", "ticket\n"]
)
def test_what_is_no_key(key: str) -> None:
    assert not is_clip_key(key)


def test_words_in_another_language_are_other_words() -> None:
    assert digest_of([Phrase(VI, "a")]) != digest_of([Phrase(EN, "a")])
    assert digest_of([Phrase(VI, "a"), Phrase(VI, "b")]) != digest_of([Phrase(VI, "a b")])
