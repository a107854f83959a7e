"""A call as one WAV: of the hall's clips, else spoken by a worker, else refused in words."""

import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import redis

from models.database import Database
from models.tickets import voice_scripts
from models.tickets.speech import Language, Phrase
from tests.conftest import StartSystem
from tests.people.conftest import ADMIN_PASSWORD
from tests.servers import RedisServer, System
from tests.tickets.conftest import Web
from tests.tickets.voices import need_espeak, put_clip, seconds_of, tone

pytestmark = pytest.mark.on_sqlite
NAMES = ("VOICES", "TICKETS", "TICKET_CHANGES", "WAITING_LISTS", "LOGINS")
LIMITS = {f"{name}_PER_MINUTE_MAX": "100000" for name in NAMES}
# A machine that does much else is slow, not wrong.
PATIENT = {"VOICE_ANSWER_S": "10"}


@pytest.fixture(scope="module")
def running(
    new_database_url: Callable[[], str], new_folder: Callable[[str], Path]
) -> Iterator[System]:
    """An API and a worker that can speak."""
    need_espeak()
    with (
        RedisServer(new_folder("r")) as server,
        System(
            new_folder("t"),
            database_url=new_database_url(),
            redis_url=server.url,
            processes=("api", "worker"),
            settings={"ADMIN_PASSWORD": ADMIN_PASSWORD, **LIMITS, **PATIENT},
        ) as system,
    ):
        yield system


def call(web: Web, counter_id: int) -> int:
    ticket = web.take(counter_id)
    web.admin.patch(f"/app/tickets/{ticket['id']}", json={"status": "called"}).raise_for_status()
    return int(ticket["id"])


def plan(web: Web, ticket_id: int, language: str = "vi") -> dict[str, Any]:
    answer = web.anybody.get(f"/app/tickets/{ticket_id}/voice?language={language}")
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


def branch_of(web: Web, counter_id: int) -> int:
    return int(web.admin.get(f"/app/counters/{counter_id}").json()["branch_id"])


@pytest.mark.parametrize("language", ["vi", "en"])
def test_a_call_is_spoken_by_a_worker(web: Web, language: str) -> None:
    ticket_id = call(web, web.make_counter("Quầy Tư pháp"))

    told = plan(web, ticket_id, language)
    said = web.anybody.get(told["speech"])

    assert told["clips"] == []
    assert said.status_code == 200, said.text
    assert said.headers["Content-Type"] == "audio/wav"
    assert 1 < seconds_of(said.content) < 20


def test_the_same_call_is_spoken_once_for_all_displays(web: Web, running: System) -> None:
    ticket_id = call(web, web.make_counter("Quầy Một Lần"))
    path = f"/app/tickets/{ticket_id}/voice.wav"

    with ThreadPoolExecutor(8) as displays:
        heard = list(displays.map(lambda _: web.anybody.get(path).content, range(16)))

    assert len(set(heard)) == 1
    assert seconds_of(heard[0]) > 1
    with redis.Redis.from_url(running.redis_url) as client:
        said = [Phrase(Language.VI, "Mời số một không một đến quầy Một Lần")]
        assert voice_scripts.kept(client, said) == heard[0]


@pytest.mark.parametrize(
    "name",
    ["-w /etc/x", "Quầy <speak><break time='9s'/>", "$(reboot); `id` | cat", "[[h@l'oU]] \x01100S"],
)
def test_a_counter_of_any_name_is_said(web: Web, name: str) -> None:
    ticket_id = call(web, web.make_counter(name))

    said = web.anybody.get(f"/app/tickets/{ticket_id}/voice.wav")

    assert said.status_code == 200, said.text
    assert 1 < seconds_of(said.content) < 20


def test_the_clips_of_the_hall_come_before_every_voice(web: Web) -> None:
    counter_id = web.make_counter("Quầy Hộ tịch")
    branch_id, ticket_id = branch_of(web, counter_id), call(web, counter_id)
    assert plan(web, ticket_id)["missing"] == ["0", "1", f"counter-{counter_id}", "ticket"]
    for key in ("ticket", "0", "1"):
        put_clip(web.admin, branch_id, key, tone(0.1)).raise_for_status()
    assert plan(web, ticket_id)["missing"] == [f"counter-{counter_id}"]
    assert plan(web, ticket_id)["clips"] == []

    put_clip(web.admin, branch_id, f"counter-{counter_id}", tone(0.3)).raise_for_status()

    told = plan(web, ticket_id)
    keys = [url.partition("?")[0].rpartition("/")[2] for url in told["clips"]]
    assert keys == ["ticket", "1", "0", "1", f"counter-{counter_id}"]
    assert told["missing"] == []
    assert all(web.anybody.get(url).status_code == 200 for url in told["clips"])
    said = web.anybody.get(told["speech"])
    assert seconds_of(said.content) == pytest.approx(0.7, abs=0.001)
    # Those of one language say nothing in the other.
    assert plan(web, ticket_id, "en")["clips"] == []


def test_clips_that_do_not_fit_together_are_for_displays_alone(web: Web) -> None:
    counter_id = web.make_counter("3")
    branch_id, ticket_id = branch_of(web, counter_id), call(web, counter_id)
    for key in ("ticket", "0", "1", "counter"):
        put_clip(web.admin, branch_id, key, tone(0.1)).raise_for_status()
    put_clip(web.admin, branch_id, "3", tone(0.1, rate=8_000)).raise_for_status()

    told = plan(web, ticket_id)

    assert len(told["clips"]) == 6
    assert seconds_of(web.anybody.get(told["speech"]).content) > 1


def test_a_renamed_counter_is_not_said_by_its_old_clip(web: Web) -> None:
    counter_id = web.make_counter("Quầy Hộ tịch")
    branch_id, ticket_id = branch_of(web, counter_id), call(web, counter_id)
    for key in ("ticket", "0", "1", f"counter-{counter_id}"):
        put_clip(web.admin, branch_id, key, tone(0.1)).raise_for_status()
    assert plan(web, ticket_id)["clips"] != []

    renamed = {"name": "Quầy Đất đai"}
    web.admin.patch(f"/app/counters/{counter_id}", json=renamed).raise_for_status()

    assert plan(web, ticket_id)["clips"] == []
    assert "Đất đai" in plan(web, ticket_id)["text"]


def test_what_nobody_called_is_not_said(web: Web) -> None:
    ticket_id = web.take(web.make_counter())["id"]

    for path in (f"/app/tickets/{ticket_id}/voice", f"/app/tickets/{ticket_id}/voice.wav"):
        refused = web.anybody.get(path)
        assert (refused.status_code, refused.json()["error"]) == (404, "voice_not_available")
        assert refused.json()["details"]["reason"] == "it was not called"
    assert web.anybody.get("/app/tickets/999999/voice").json()["error"] == "ticket_not_found"
    refused = web.anybody.get(f"/app/tickets/{ticket_id}/voice?language=fr")
    assert (refused.status_code, list(refused.json()["details"])) == (400, ["language"])


@pytest.mark.parametrize("path", ["voice", "voice.wav"])
@pytest.mark.parametrize("prefix", ["", "/app", "/api", "/app/api"])
def test_a_call_is_said_under_each_prefix(web: Web, prefix: str, path: str) -> None:
    ticket_id = call(web, web.make_counter())

    assert web.anybody.get(f"{prefix}/tickets/{ticket_id}/{path}").status_code == 200


# Announcements -------------------------------------------------------------------------------


def announce(web: Web, redis_url: str, **body: str) -> str:
    """Announce something to a hall, and return the id that its displays are told."""
    web.admin.post("/app/announcements", json=body).raise_for_status()
    with redis.Redis.from_url(redis_url) as client:
        entries = client.xrevrange("events:tickets", count=1)
    found = re.findall(rb'"announcement_id": ?"([^"]+)"', b"".join(entries[0][1].values()))
    return str(found[-1].decode())


def test_an_announcement_is_spoken_in_the_languages_in_which_it_was_made(
    web: Web, running: System
) -> None:
    web.make_counter()
    url = running.redis_url
    both = announce(web, url, message="Nghỉ trưa đến 13:30", message_en="Back at half past one")
    one = announce(web, url, message="Xin giữ trật tự")

    heard = {
        (each, language): web.anybody.get(
            f"/app/announcements/{each}/voice.wav", params={"language": language}
        )
        for each in (both, one)
        for language in ("vi", "en")
    }

    for key in ((both, "vi"), (both, "en"), (one, "vi")):
        assert 0.5 < seconds_of(heard[key].content) < 20
    assert heard[one, "en"].json()["error"] == "voice_not_available"


@pytest.mark.parametrize("announcement_id", ["1-1-00000000", "x", "1", "9-9-9", "0-0-00000000"])
def test_nothing_but_what_was_announced_is_spoken(web: Web, announcement_id: str) -> None:
    web.make_counter()

    refused = web.anybody.get(f"/app/announcements/{announcement_id}/voice.wav")

    assert (refused.status_code, refused.json()["error"]) == (404, "announcement_not_found")


# Without a voice -----------------------------------------------------------------------------


@pytest.mark.parametrize("espeak", ["off", "/nowhere/espeak-ng", "/bin/false"])
def test_without_a_voice_the_server_says_so_at_once(start_system: StartSystem, espeak: str) -> None:
    system = start_system(
        "api", "worker", ADMIN_PASSWORD=ADMIN_PASSWORD, ESPEAK=espeak, **LIMITS, **PATIENT
    )
    web = web_of(system)
    ticket_id = call(web, web.make_counter())

    refused = web.anybody.get(f"/app/tickets/{ticket_id}/voice.wav")

    assert (refused.status_code, refused.json()["error"]) == (404, "voice_not_available")
    assert plan(web, ticket_id)["text"] == "Mời số một không một đến quầy Tư pháp"
    web.close()


def test_without_a_worker_the_server_says_so_in_time(start_system: StartSystem) -> None:
    system = start_system("api", ADMIN_PASSWORD=ADMIN_PASSWORD, VOICE_ANSWER_S="0.2", **LIMITS)
    web = web_of(system)
    ticket_id = call(web, web.make_counter())

    refused = web.anybody.get(f"/app/tickets/{ticket_id}/voice.wav")

    assert (refused.status_code, refused.json()["error"]) == (404, "voice_not_available")
    web.close()


def web_of(system: System) -> Web:
    database = Database(system.database_url, connections_max=4, timeout_s=10)
    try:
        return Web(system, database)
    finally:
        database.close()
