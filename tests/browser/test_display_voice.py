"""What a display says aloud: the hall's clips, else the server's voice, else one of the browser."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.conftest import DEADLINE_MS, OpenPage, new_database
from tests.browser.hall import BrowserHall
from tests.people.conftest import ADMIN_PASSWORD
from tests.servers import RedisServer, System, wait_until
from tests.tickets.voices import need_espeak, put_clip, tone

pytestmark = pytest.mark.xdist_group("browser")
# Notes what the page lets sound and whom it asks for a voice, and changes nothing about it.
WATCH = """() => {
  window.heard = { ended: [], chimes: 0, asked: 0 };
  const make = AudioContext.prototype.createBufferSource;
  AudioContext.prototype.createBufferSource = function () {
    const source = make.call(this);
    source.addEventListener("ended", () => heard.ended.push(source.buffer.duration));
    return source;
  };
  const ring = AudioContext.prototype.createOscillator;
  AudioContext.prototype.createOscillator = function () {
    heard.chimes += 1 / 3;
    return ring.call(this);
  };
  const ask = speechSynthesis.getVoices;
  SpeechSynthesis.prototype.getVoices = function () {
    heard.asked += 1;
    return ask.call(this);
  };
}"""
BROKEN = b"RIFF\x00\x00\x00\x00WAVE and nothing that sounds"


def site_of(
    new_folder: Callable[[str], Path], migrated_file: Path, espeak: str
) -> Iterator[System]:
    names = ("LOGINS", "TICKETS", "TICKET_CHANGES", "WAITING_LISTS", "VOICES")
    with (
        RedisServer(new_folder("r")) as server,
        System(
            new_folder("y"),
            database_url=new_database(new_folder, migrated_file),
            redis_url=server.url,
            processes=("api", "worker"),
            settings={
                "ADMIN_PASSWORD": ADMIN_PASSWORD,
                "ESPEAK": espeak,
                **{f"{name}_PER_MINUTE_MAX": "100000" for name in names},
            },
        ) as system,
    ):
        yield system


@pytest.fixture(scope="module")
def speaking(new_folder: Callable[[str], Path], migrated_file: Path) -> Iterator[System]:
    """A server whose worker has a voice."""
    yield from site_of(new_folder, migrated_file, need_espeak())


@pytest.fixture(scope="module")
def mute(new_folder: Callable[[str], Path], migrated_file: Path) -> Iterator[System]:
    """A server whose worker has none."""
    yield from site_of(new_folder, migrated_file, "off")


class Display:
    """A display of one counter with its sound on, and what it asked for and let sound."""

    def __init__(self, page: Page, hall: BrowserHall, counter_id: int) -> None:
        self.page = page
        self.hall = hall
        self.counter_id = counter_id
        self.answers: list[tuple[str, int]] = []
        page.on("response", lambda answer: self._note(answer.url, answer.status))
        page.evaluate(WATCH)
        page.get_by_role("button", name="Turn the sound on").click()
        expect(page.get_by_role("button", name="Turn the sound on")).to_have_count(0)

    def call(self) -> int:
        ticket = self.hall.take(self.counter_id)
        self.hall.move(ticket, "called")
        return int(ticket["id"])

    def wait(self, until: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Wait for what is heard; asking lets the browser tell what else happened."""
        wait_until(
            lambda: until(self.heard()), "the display is heard", timeout_s=DEADLINE_MS / 1000
        )
        return self.heard()

    def heard(self) -> dict[str, Any]:
        heard: dict[str, Any] = self.page.evaluate("heard")
        return heard

    def _note(self, url: str, status: int) -> None:
        parts = urlsplit(url)
        if "/voice" in parts.path:
            self.answers.append((f"{parts.path.removeprefix('/app')}?{parts.query}", status))


ShowDisplay = Callable[[System, str], Display]


@pytest.fixture
def show(open_page: OpenPage) -> Iterator[ShowDisplay]:
    halls: list[BrowserHall] = []

    def open_it(of: System, name: str) -> Display:
        hall = BrowserHall(of.url)
        halls.append(hall)
        counter_id = hall.counter(name)
        page = open_page(f"/display?counters={counter_id}", of=of).page
        expect(page.locator(".now li")).to_have_count(1)
        return Display(page, hall, counter_id)

    yield open_it
    for hall in halls:
        hall.close()


def branch_of(display: Display) -> int:
    counter = display.hall.admin.get(f"/app/counters/{display.counter_id}").json()
    return int(counter["branch_id"])


def put_all(display: Display, sound: bytes, last: bytes) -> None:
    """Give the hall all clips of its first call, in Vietnamese."""
    branch_id = branch_of(display)
    for key in ("ticket", "0", "1"):
        put_clip(display.hall.admin, branch_id, key, sound).raise_for_status()
    key = f"counter-{display.counter_id}"
    put_clip(display.hall.admin, branch_id, key, last).raise_for_status()


def speech_of(ticket_id: int, language: str) -> str:
    return f"/tickets/{ticket_id}/voice.wav?language={language}"


def test_a_call_is_said_by_the_server_in_both_languages(
    show: ShowDisplay, speaking: System
) -> None:
    display = show(speaking, "Quầy máy chủ nói")

    ticket_id = display.call()

    heard = display.wait(lambda heard: len(heard["ended"]) == 2)
    assert all(1 < seconds < 20 for seconds in heard["ended"])
    assert heard["asked"] == 0
    assert sorted(display.answers) == [
        (f"/tickets/{ticket_id}/voice.wav?language=en", 200),
        (f"/tickets/{ticket_id}/voice.wav?language=vi", 200),
        (f"/tickets/{ticket_id}/voice?language=en", 200),
        (f"/tickets/{ticket_id}/voice?language=vi", 200),
    ]


def test_the_clips_of_the_hall_are_said_first(show: ShowDisplay, speaking: System) -> None:
    display = show(speaking, "Quầy có ghi âm")
    put_all(display, tone(0.1), tone(0.4))

    ticket_id = display.call()

    heard = display.wait(lambda heard: len(heard["ended"]) == 6)
    assert [round(seconds, 2) for seconds in heard["ended"][:5]] == [0.1, 0.1, 0.1, 0.1, 0.4]
    assert heard["ended"][5] > 1  # in English there are none
    assert (speech_of(ticket_id, "vi"), 200) not in display.answers
    assert (speech_of(ticket_id, "en"), 200) in display.answers
    assert len([path for path, _ in display.answers if path.startswith("/voice/clips/")]) == 4


def test_a_clip_that_is_no_sound_gives_way_to_the_server(
    show: ShowDisplay, speaking: System
) -> None:
    display = show(speaking, "Quầy ghi âm hỏng")
    put_all(display, tone(0.1), BROKEN)

    ticket_id = display.call()

    heard = display.wait(lambda heard: len(heard["ended"]) == 2)
    assert all(seconds > 1 for seconds in heard["ended"])
    assert (speech_of(ticket_id, "vi"), 200) in display.answers


def test_a_clip_that_hangs_gives_way_to_the_server(show: ShowDisplay, speaking: System) -> None:
    display = show(speaking, "Quầy ghi âm treo")
    put_all(display, tone(0.1), tone(0.1))
    hanging: list[Route] = []
    clip = re.compile(rf"/voice/clips/.*/counter-{display.counter_id}\b")

    def leave(route: Route) -> None:
        hanging.append(route)

    display.page.route(clip, leave)

    ticket_id = display.call()

    heard = display.wait(lambda heard: len(heard["ended"]) == 2)
    # The server makes one sound of the same clips.
    assert round(heard["ended"][0], 2) == 0.5
    assert (speech_of(ticket_id, "vi"), 200) in display.answers
    assert len(hanging) == 1


def test_an_announcement_is_said_in_the_language_in_which_it_was_made(
    show: ShowDisplay, speaking: System
) -> None:
    display = show(speaking, "Quầy nghe thông báo")

    said = {"type": "emergency", "message": "Xin mọi người rời khỏi sảnh"}
    display.hall.admin.post("/app/announcements", json=said).raise_for_status()
    heard = display.wait(lambda heard: len(heard["ended"]) == 1)
    display.call()

    heard = display.wait(lambda heard: len(heard["ended"]) == 3)
    assert all(seconds > 1 for seconds in heard["ended"])
    announced = [path for path, _ in display.answers if path.startswith("/announcements/")]
    assert [path.partition("?")[2] for path in announced] == ["language=vi"]


def test_without_a_voice_of_the_server_each_call_has_its_chime_and_the_browser_is_asked(
    show: ShowDisplay, mute: System
) -> None:
    display = show(mute, "Quầy không tiếng")

    tickets = [display.call() for _ in range(2)]

    # The one that turning the sound on makes, and one for each call: the second is not held up.
    heard = display.wait(lambda heard: heard["chimes"] > 2.9 and heard["asked"] >= 4)
    assert heard["ended"] == []
    for ticket_id in tickets:
        for language in ("vi", "en"):
            assert (speech_of(ticket_id, language), 404) in display.answers
