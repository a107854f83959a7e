"""The real espeak-ng: what it says, and what it is not to be talked into."""

import stat
from pathlib import Path

import pytest

from models.tickets.espeak import OFF, Espeak, EspeakError, find_program
from models.tickets.sounds import join
from models.tickets.speech import Language, Phrase, words_of
from tests.tickets.voices import need_espeak, seconds_of

VOICES = {Language.VI: "vi", Language.EN: "en"}
FAR_TOO_LONG_S = 60.0


def espeak(
    program: str, *, timeout_s: float = FAR_TOO_LONG_S, bytes_max: int = 10_000_000
) -> Espeak:
    return Espeak(program, VOICES, timeout_s=timeout_s, bytes_max=bytes_max)


@pytest.fixture
def program() -> str:
    return need_espeak()


def script(folder: Path, text: str) -> str:
    """Write a program that stands where espeak-ng would."""
    path = folder / "speaker"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


@pytest.mark.parametrize("language", list(Language))
def test_a_call_is_spoken(program: str, language: Language) -> None:
    words = words_of(105, 7, "Quầy Tư pháp", language)

    wav = join([espeak(program).speak(each) for each in words.phrases])

    assert wav is not None
    assert 1 < seconds_of(wav) < 20


@pytest.mark.parametrize(
    "name",
    [
        "-w {folder}/there",
        "--stdout -f /etc/passwd",
        "'; touch {folder}/there; '",
        "$(touch {folder}/there) `touch {folder}/there`",
        '<audio src="{folder}/there"/><speak>',
        "[[h@l'oU]]",
        "\x01100S \x00 \x1b[2J",
    ],
)
def test_a_name_does_nothing_but_being_said(program: str, tmp_path: Path, name: str) -> None:
    phrase = Phrase(Language.VI, name.format(folder=tmp_path))

    said = espeak(program).speak(phrase)

    assert list(tmp_path.iterdir()) == []
    plain = "".join(each if each.isalnum() else " " for each in phrase.text)
    assert said == espeak(program).speak(Phrase(Language.VI, plain))


def test_the_words_come_by_standard_input_and_the_options_are_ours(tmp_path: Path) -> None:
    told = tmp_path / "told"
    speaker = script(
        tmp_path, f'printf "%s|" "$@" > {told}; echo >> {told}; cat >> {told}; echo hi'
    )

    espeak(speaker).speak(Phrase(Language.EN, "-w /etc/x"))

    assert told.read_text() == "-v|en|-s|150|-b|1|--stdin|--stdout|\nw etc x"


def test_one_that_hangs_is_ended_with_what_it_started(tmp_path: Path) -> None:
    speaker = script(tmp_path, "sleep 600 & wait")

    with pytest.raises(EspeakError, match=r"not done within 0\.2 s"):
        espeak(speaker, timeout_s=0.2).speak(Phrase(Language.VI, "một"))


def test_one_that_does_not_end_is_cut_off(tmp_path: Path) -> None:
    speaker = script(tmp_path, "cat /dev/zero")

    with pytest.raises(EspeakError, match="more than 5000 bytes"):
        espeak(speaker, bytes_max=5_000).speak(Phrase(Language.VI, "một"))


def test_a_voice_that_is_not_there_is_told(program: str) -> None:
    silent = Espeak(
        program, {Language.VI: "nowhere"}, timeout_s=FAR_TOO_LONG_S, bytes_max=10_000_000
    )

    with pytest.raises(EspeakError, match="said nothing with the voice nowhere"):
        silent.speak(Phrase(Language.VI, "một"))


def test_a_program_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(EspeakError, match="No such file"):
        espeak(str(tmp_path / "nothing")).speak(Phrase(Language.VI, "một"))


def test_where_the_program_is(program: str, tmp_path: Path) -> None:
    assert find_program("") == program
    assert find_program(OFF) is None
    assert find_program(str(tmp_path / "nothing")) is None
    assert find_program(script(tmp_path, "")) == str(tmp_path / "speaker")
