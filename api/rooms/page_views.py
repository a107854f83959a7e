"""What a visitor's page shows: one value, sent as JSON to programs and as HTML to people."""

import re
from typing import Final
from urllib.parse import unquote_plus, urlsplit, urlunsplit

from msgspec import Struct

from api.http.languages import Language
from models.clock import iso_utc
from models.rooms.room import Room
from models.rooms.rules import RoomStatus
from models.rooms.whereabouts import Whereabouts

# States in which a visitor has a place in line that can be told.
_IN_LINE: Final = frozenset({"waiting", "paused"})
# Scripts join by themselves in all of these but the last two.
_JOINABLE: Final = frozenset({"joining", "full", "failing", "limited", "expired", "left"})
_MINUTE_S: Final = 60
_HOUR_S: Final = 3_600
# Beyond an hour nobody can plan by a range that reaches so many times as far as it begins.
_VAGUE: Final = 6
# A path and query as browsers send them; a second slash or a backslash would name another host.
_OWN_PATH: Final = re.compile(r"/(?!/)[!-\[\]-~]*")


class View(Struct, frozen=True, kw_only=True):
    """A room and a visitor's place in it, at one moment; spans are whole seconds.

    `state` is joining (no place yet), early (the room opens later), waiting, paused, full,
    maintenance, closed, limited (many are joining), uninvited (a code is needed), expired, left or
    admitted.
    """

    queue_id: str
    state: str
    name: str
    title: str  # the room's own, else empty
    text: str
    opens_at: str | None = None
    opens_in_seconds: int | None = None
    draw: bool = False
    position: int | None = None
    queue_length: int | None = None
    first_position: int | None = None  # where this visitor began
    estimated_wait_seconds: int | None = None
    low_seconds: int | None = None
    high_seconds: int | None = None
    token: str | None = None
    expires_at: str | None = None  # of the token
    heartbeat_interval_seconds: int
    heartbeat_timeout_seconds: int
    # Where the admitted go, with the token of their session.
    redirect_url: str | None = None
    retry_after_seconds: int | None = None


def view_of(
    room: Room,
    language: Language,
    *,
    now_ms: int,
    state: str = "joining",
    retry_after_s: int | None = None,
) -> View:
    """Return what somebody without a place sees."""
    if room.status is RoomStatus.MAINTENANCE:
        state = "maintenance"
    elif room.status is RoomStatus.CLOSED:
        state = "closed"
    words = room.appearance.words(language.name)
    opens_in_ms = (room.opens_at_ms or 0) - now_ms
    is_early = room.opens_at_ms is not None and opens_in_ms > 0
    return View(
        queue_id=room.id,
        state=state,
        name=room.name,
        title=words.title,
        text=words.text,
        opens_at=iso_utc(room.opens_at_ms) if is_early and room.opens_at_ms else None,
        opens_in_seconds=-(-opens_in_ms // 1000) if is_early else None,
        draw=room.draw,
        heartbeat_interval_seconds=room.heartbeat_interval_ms // 1000,
        heartbeat_timeout_seconds=room.heartbeat_timeout_ms // 1000,
        retry_after_seconds=retry_after_s,
    )


def view_of_place(
    found: Whereabouts,
    language: Language,
    *,
    now_ms: int,
    first_position: int | None,
    to: str | None,
    parameter: str,
) -> View:
    """Return what somebody with a place sees; `to` is a path of the site, else its target's."""
    room, visitor, estimate = found.room, found.visitor, found.estimate
    plain = view_of(room, language, now_ms=now_ms, state="waiting")
    state = plain.state
    url = None
    if found.admitted is not None:
        state = "admitted"
        url = address_inside(room.target_url, to, parameter, found.admitted.token)
    elif state == "waiting" and plain.opens_in_seconds is not None:
        state = "early"
    elif state == "waiting" and room.status is RoomStatus.PAUSED:
        state = "paused"
    return View(
        **{
            **{name: getattr(plain, name) for name in View.__struct_fields__},
            "state": state,
            "position": found.position,
            "queue_length": found.length,
            "first_position": None if url else max(found.position, first_position or 0),
            "estimated_wait_seconds": found.wait_s,
            "low_seconds": None if estimate is None else estimate.low,
            "high_seconds": None if estimate is None else estimate.high,
            "token": visitor.token,
            "expires_at": iso_utc(visitor.expires_at_ms),
            "redirect_url": url,
        }
    )


def address_inside(target_url: str, to: str | None, parameter: str, token: str) -> str:
    """Return where an admitted visitor goes: within the room's site, whatever `to` says."""
    target = urlsplit(target_url)
    inner = urlsplit(to) if to is not None and _OWN_PATH.fullmatch(to) else target
    kept = [
        part
        for part in inner.query.split("&")
        if part and unquote_plus(part.partition("=")[0]) != parameter
    ]
    query = "&".join([*kept, f"{parameter}={token}"])
    return urlunsplit((target.scheme, target.netloc, inner.path or "/", query, inner.fragment))


def gaps(view: View, language: Language) -> dict[str, str]:
    """Return what fills the gaps of the page, as its scripts would write it."""
    is_in_line = view.state in _IN_LINE or (view.state == "early" and not view.draw)
    holds = bool(view.token) and (is_in_line or view.state == "early")
    return {
        "state": view.state,
        "brand": view.name,
        "room_title": view.title,
        "room_text": view.text,
        "headline": _headline(view, language, is_in_line=is_in_line),
        "note": language.script_texts[f"note.{_note(view)}"],
        "time": _time(view, language),
        "length": language.number(view.queue_length or 0),
        "progress": str(_progress(view)),
        "keep": language.texts["wait.kept"].replace(
            "{time}", _span(view.heartbeat_timeout_seconds, language)
        ),
        "go": view.redirect_url or "",
        "hidden_without_title": "" if view.title else "hidden",
        "hidden_without_text": "" if view.text else "hidden",
        "hidden_without_line": "" if is_in_line else "hidden",
        "hidden_without_place": "" if holds else "hidden",
        "hidden_without_go": "" if view.redirect_url else "hidden",
        "hidden_without_join": "" if view.state in _JOINABLE else "hidden",
        "late": "late" if view.state in {"joining", "full", "failing", "limited"} else "",
    }


def _headline(view: View, language: Language, *, is_in_line: bool) -> str:
    texts = language.script_texts
    if view.state == "early":
        opens_in_s = view.opens_in_seconds or 0
        return _fill(texts["wait.opens"], time=_countdown(opens_in_s))
    if not is_in_line:
        return texts[f"headline.{view.state}"]
    if view.position == 1:
        return texts["wait.next"]
    return _fill(texts["wait.number"], n=language.number(view.position or 0))


def _note(view: View) -> str:
    return "drawn" if view.state == "early" and view.draw else view.state


def _progress(view: View) -> float:
    first, position = view.first_position or 1, view.position or 1
    return round(100 * (first - position) / (first - 1), 1) if first > 1 else 100


def _time(view: View, language: Language) -> str:
    """Write an estimate and how far it may be off, as spans.js does."""
    texts = language.script_texts
    low_s, high_s = view.low_seconds, view.high_seconds
    if view.state != "waiting" or low_s is None or high_s is None:
        return texts["span.unknown"]
    if high_s < _MINUTE_S:
        return texts["span.short"]
    if high_s > _HOUR_S and high_s > _VAGUE * low_s:
        return texts["span.unknown"]
    step_s = _MINUTE_S if high_s < _HOUR_S else 10 * _MINUTE_S
    from_s, to_s = low_s // step_s * step_s, -(-high_s // step_s) * step_s
    high = _span(to_s, language)
    if from_s == 0:
        return _fill(texts["span.up"], high=high)
    if from_s == to_s:
        return _fill(texts["span.about"], high=high)
    return _fill(texts["span.range"], low=_span(from_s, language), high=high)


def _span(seconds: int, language: Language) -> str:
    texts = language.script_texts
    if seconds < _MINUTE_S:
        return _fill(texts["span.seconds"], n=language.number(seconds))
    hours, minutes = divmod((seconds + _MINUTE_S // 2) // _MINUTE_S, 60)
    if not hours:
        return _fill(texts["span.minutes"], n=language.number(minutes))
    h = language.number(hours)
    return (
        _fill(texts["span.mixed"], h=h, n=str(minutes))
        if minutes
        else _fill(texts["span.hours"], h=h)
    )


def _countdown(seconds: int) -> str:
    return f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}"


def _fill(text: str, **values: str) -> str:
    for name, value in values.items():
        text = text.replace(f"{{{name}}}", value)
    return text
