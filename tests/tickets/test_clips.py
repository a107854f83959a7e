"""A hall's own clips: stored, heard, listed, deleted; on both databases and over HTTP."""

import hashlib
from typing import Any

import pytest

from models.errors import InvalidError
from models.tickets.clip_service import ClipService
from models.tickets.refusals import ClipNotFoundError, TooManyClipsError
from models.tickets.speech import Language
from tests.tickets.conftest import SUPERVISOR, House, Web
from tests.tickets.voices import put_clip, tone

SOUND = tone(0.05)
VI = Language.VI
KEYS_EXPECTED = "Expected a digit, a letter from a to z, ticket, counter, or counter- and its id"


def service(house: House, *, clips_max: int = 10) -> ClipService:
    return ClipService(house.database, house.turnstile, clips_max=clips_max)


async def store(clips: ClipService, branch_id: int, key: str, sound: bytes = SOUND) -> None:
    await clips.store(branch_id, VI, key, sound, SUPERVISOR, media_type="audio/wav", now_ms=1_000)


async def test_a_clip_is_kept_and_replaced(house: House) -> None:
    branch = await house.branch()
    clips, other = service(house), tone(0.1)

    await store(clips, branch.id, "1")
    await store(clips, branch.id, "1", other)

    clip, sound = await clips.sound(branch.id, VI, "1")
    assert sound == other
    assert clip.sha256 == hashlib.sha256(other).hexdigest()
    assert [each.key for each, _ in await clips.clips(branch_id=branch.id)] == ["1"]
    assert await clips.clips(branch_id=branch.id, language=Language.EN) == []


async def test_a_branch_has_so_many_clips_and_no_more(house: House) -> None:
    branch, other = await house.branch(), await house.branch()
    clips = service(house, clips_max=2)
    for key in ("1", "2", "2"):
        await store(clips, branch.id, key)

    with pytest.raises(TooManyClipsError):
        await store(clips, branch.id, "3")
    await store(clips, other.id, "3")

    assert [each.key for each, _ in await clips.clips(branch_id=branch.id)] == ["1", "2"]


async def test_a_clip_of_a_counter_is_not_said_once_the_counter_has_another_name(
    house: House,
) -> None:
    counter = await house.counter("Quầy Hộ tịch")
    clips = service(house)
    key = f"counter-{counter.id}"
    await store(clips, counter.branch_id, key)
    assert [is_said for _, is_said in await clips.clips()] == [True]

    await house.hall.change_counter(
        counter.id, {"name": "Quầy Đất đai"}, SUPERVISOR, now_ms=house.now_ms
    )

    assert [is_said for _, is_said in await clips.clips()] == [False]


async def test_a_clip_names_a_counter_of_its_own_branch(house: House) -> None:
    counter, other = await house.counter(), await house.branch()

    with pytest.raises(InvalidError, match="of this branch"):
        await store(service(house), other.id, f"counter-{counter.id}")


async def test_a_deleted_clip_is_gone(house: House) -> None:
    branch = await house.branch()
    clips = service(house)
    await store(clips, branch.id, "1")

    await clips.delete(branch.id, VI, "1", SUPERVISOR, now_ms=2_000)

    with pytest.raises(ClipNotFoundError):
        await clips.sound(branch.id, VI, "1")
    with pytest.raises(ClipNotFoundError):
        await clips.delete(branch.id, VI, "1", SUPERVISOR, now_ms=2_000)


# Over HTTP -----------------------------------------------------------------------------------


def first_branch(web: Web) -> int:
    counter = web.make_counter()
    return int(web.admin.get(f"/app/counters/{counter}").json()["branch_id"])


@pytest.fixture
def branch_id(web: Web) -> int:
    return first_branch(web)


def audited(web: Web) -> list[dict[str, Any]]:
    entries = web.admin.get("/api/v1/auth/audit").json()
    found = entries["data"] if "data" in entries else entries["entries"]
    return [each for each in found if str(each["action"]).startswith("clip_")]


@pytest.mark.on_sqlite
@pytest.mark.parametrize(
    ("sound", "media_type", "kept_as"),
    [
        (SOUND, "audio/wav", "audio/wav"),
        (SOUND, "audio/x-wav; codecs=1", "audio/wav"),
        (b"ID3\x04" + bytes(60), "audio/mpeg", "audio/mpeg"),
        (b"\xff\xfb\x90" + bytes(60), "audio/mp3", "audio/mpeg"),
        (b"OggS" + bytes(60), "audio/ogg", "audio/ogg"),
    ],
)
def test_a_clip_comes_back_as_it_was_sent(
    web: Web, branch_id: int, sound: bytes, media_type: str, kept_as: str
) -> None:
    stored = put_clip(web.admin, branch_id, "7", sound, media_type=media_type)
    assert stored.status_code == 200, stored.text
    url = stored.json()["url"]

    heard = web.anybody.get(url)

    assert heard.content == sound
    assert heard.headers["Content-Type"] == kept_as
    assert heard.headers["X-Content-Type-Options"] == "nosniff"
    assert "immutable" in heard.headers["Cache-Control"]
    again = web.anybody.get(url, headers={"If-None-Match": heard.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    # Under an address that stays, a browser asks each time.
    plain = web.anybody.get(url.partition("?")[0])
    assert plain.headers["Cache-Control"] == "no-cache"


@pytest.mark.on_sqlite
@pytest.mark.parametrize(
    ("key", "sound", "media_type", "details"),
    [
        ("1", b"<html>", "audio/wav", {"body": "Expected a WAV, MP3 or Ogg file"}),
        ("1", b"", "audio/wav", {"body": "Expected a WAV, MP3 or Ogg file"}),
        (
            "1",
            SOUND,
            "audio/ogg",
            {"body": "Expected audio/ogg as the Content-Type says, got audio/wav"},
        ),
        (
            "1",
            SOUND,
            "text/html",
            {"content_type": "Expected audio/wav, audio/mpeg or audio/ogg, got text/html"},
        ),
        ("10", SOUND, "audio/wav", {"key": KEYS_EXPECTED}),
    ],
    ids=["a page", "nothing", "another kind", "no sound", "no key"],
)
def test_what_is_no_clip_is_refused_and_nothing_is_kept(
    web: Web, key: str, sound: bytes, media_type: str, details: dict[str, str]
) -> None:
    branch_id = first_branch(web)

    refused = put_clip(web.admin, branch_id, key, sound, media_type=media_type)

    assert (refused.status_code, refused.json()["details"]) == (400, details)
    assert web.admin.get("/app/voice/clips").json() == {"clips": []}
    assert audited(web) == []


@pytest.mark.on_sqlite
def test_a_clip_that_is_too_large_is_refused(web: Web, branch_id: int) -> None:
    refused = put_clip(web.admin, branch_id, "1", SOUND + bytes(524_288))

    assert refused.status_code == 413
    assert web.admin.get("/app/voice/clips").json() == {"clips": []}


@pytest.mark.on_sqlite
@pytest.mark.parametrize(
    ("path", "status", "error"),
    [
        ("/app/voice/clips/999999/vi/1", 404, "branch_not_found"),
        ("/app/voice/clips/x/vi/1", 404, "branch_not_found"),
        ("/app/voice/clips/{branch_id}/vi/counter-999999", 404, "counter_not_found"),
        ("/app/voice/clips/{branch_id}/fr/1", 400, "invalid"),
        ("/app/voice/clips/{branch_id}/vi/1?v=1", 400, "invalid"),
    ],
)
def test_where_no_clip_can_be(web: Web, branch_id: int, path: str, status: int, error: str) -> None:
    refused = web.admin.put(
        path.format(branch_id=branch_id), content=SOUND, headers={"Content-Type": "audio/wav"}
    )

    assert (refused.status_code, refused.json()["error"]) == (status, error)


@pytest.mark.on_sqlite
def test_only_supervisors_change_clips_and_everybody_hears_them(web: Web, branch_id: int) -> None:
    officer = web.officer(None)
    assert put_clip(web.admin, branch_id, "1", SOUND).status_code == 200
    path = f"/app/voice/clips/{branch_id}/vi/1"

    for client, status in ((web.anybody, 401), (officer, 403)):
        assert put_clip(client, branch_id, "2", SOUND).status_code == status
        assert client.delete(path).status_code == status
        assert client.get("/app/voice/clips").status_code == status
        assert client.get(path).status_code == 200

    assert len(web.admin.get("/app/voice/clips").json()["clips"]) == 1


@pytest.mark.on_sqlite
def test_each_change_of_a_clip_is_in_the_audit_log(web: Web, branch_id: int) -> None:
    put_clip(web.admin, branch_id, "ticket", SOUND, language="en")
    path = f"/app/voice/clips/{branch_id}/en/ticket"

    assert web.admin.delete(path).status_code == 204

    assert {(each["action"], each["target"]) for each in audited(web)} == {
        ("clip_stored", f"clip:{branch_id}/en/ticket"),
        ("clip_deleted", f"clip:{branch_id}/en/ticket"),
    }
    gone = web.anybody.get(path, headers={"Accept-Language": "en"})
    assert (gone.status_code, gone.json()["error"]) == (404, "clip_not_found")
