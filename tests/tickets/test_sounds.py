"""Sounds as bytes: what kind they are, and WAV files as one."""

import pytest

from models.tickets.sounds import MPEG, OGG, WAV, join, kind_of
from tests.tickets.voices import RATE, seconds_of, tone


@pytest.mark.parametrize(
    ("start", "kind"),
    [
        (b"RIFF\x24\x00\x00\x00WAVEfmt ", WAV),
        (b"OggS\x00\x02", OGG),
        (b"ID3\x04\x00", MPEG),
        (b"\xff\xfb\x90\x00", MPEG),
        (b"\xff\xf1\x50\x80", None),  # AAC
        (b"RIFF\x24\x00\x00\x00AVI LIST", None),
        (b"<html>", None),
        (b"\xff", None),
        (b"", None),
    ],
)
def test_the_first_bytes_tell_the_kind(start: bytes, kind: str | None) -> None:
    assert kind_of(start) == kind


def test_files_become_one_whose_header_is_right() -> None:
    joined = join([tone(0.25), tone(0.5, hz=880), tone(0.25)])

    assert joined is not None
    assert seconds_of(joined) == pytest.approx(1.0, abs=0.001)


def test_a_header_that_is_written_into_a_pipe_is_put_right() -> None:
    endless = bytearray(tone(0.5))
    endless[4:8] = endless[40:44] = (0x7FFFF000).to_bytes(4, "little")

    joined = join([bytes(endless)])

    assert joined is not None
    assert seconds_of(joined) == pytest.approx(0.5, abs=0.001)


@pytest.mark.parametrize(
    "files",
    [
        [tone(0.1), tone(0.1, rate=RATE * 2)],
        [tone(0.1), b"ID3\x04"],
        [tone(0.1), tone(0.1)[:20]],
        [tone(0)],
        [b"RIFF\x00\x00\x00\x00WAVE"],
        [],
    ],
    ids=["another rate", "no WAV", "cut short", "silence", "no sound", "nothing"],
)
def test_what_does_not_fit_is_not_made_one(files: list[bytes]) -> None:
    assert join(files) is None
