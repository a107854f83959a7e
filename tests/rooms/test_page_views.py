"""What the visitors' page shows and where it leads, without a server."""

from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.http.languages import Language, load
from api.rooms.colours import contrast, style_sheet
from api.rooms.page_views import View, address_inside, gaps
from models.rooms.room import Colours

ENGLISH, VIETNAMESE = load()
TARGET = "https://shop.example:8443/checkout?a=1"


# Where it leads ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("to", "address"),
    [
        (None, "https://shop.example:8443/checkout?a=1&session=t"),
        ("/buy?seat=7&b=%26", "https://shop.example:8443/buy?seat=7&b=%26&session=t"),
        ("/buy?session=old&x=", "https://shop.example:8443/buy?x=&session=t"),
        ("//evil.example", "https://shop.example:8443/checkout?a=1&session=t"),
        ("/\\evil.example", "https://shop.example:8443/checkout?a=1&session=t"),
        ("https://evil.example", "https://shop.example:8443/checkout?a=1&session=t"),
        ("javascript:alert(0)", "https://shop.example:8443/checkout?a=1&session=t"),
        ("/a\nb", "https://shop.example:8443/checkout?a=1&session=t"),
    ],
)
def test_the_admitted_go_to_the_room_s_site(to: str | None, address: str) -> None:
    assert address_inside(TARGET, to, "session", "t") == address


@given(st.text(alphabet=st.sampled_from("/\\:@.?#ae\t\n\r \x00%25&="), max_size=12) | st.text())
def test_nobody_is_led_elsewhere(to: str) -> None:
    parts = urlsplit(address_inside(TARGET, to, "session", "t"))

    assert (parts.scheme, parts.netloc) == ("https", "shop.example:8443")
    assert not parts.path.startswith("//")
    assert parse_qs(parts.query)["session"] == ["t"]


# What it says --------------------------------------------------------------------------------


def view(state: str = "waiting", **fields: object) -> View:
    return View(
        queue_id="sale",
        state=state,
        name="Sale",
        title="",
        text="",
        heartbeat_interval_seconds=10,
        heartbeat_timeout_seconds=60,
        **fields,  # type: ignore[arg-type]  # the fields of View
    )


@pytest.mark.parametrize(
    ("low", "high", "language", "said"),
    [
        (None, None, ENGLISH, "cannot be said yet"),
        (0, 0, ENGLISH, "under a minute"),
        (20, 59, ENGLISH, "under a minute"),
        (20, 61, ENGLISH, "up to 2 min"),
        (180, 180, ENGLISH, "about 3 min"),
        (100, 461, ENGLISH, "1 min to 8 min"),
        (3_000, 4_000, ENGLISH, "50 min to 1 h 10 min"),
        (2_400, 84_600, ENGLISH, "cannot be said yet"),
        (7_200, 7_200, VIETNAMESE, "khoảng 2 giờ"),
        (90, 200, VIETNAMESE, "1 phút đến 4 phút"),
    ],
)
def test_an_estimate_says_how_far_it_may_be_off(
    low: int | None, high: int | None, language: Language, said: str
) -> None:
    shown = view(position=3, queue_length=9, low_seconds=low, high_seconds=high)

    assert gaps(shown, language)["time"] == said


def test_a_room_that_stands_still_promises_nothing() -> None:
    shown = view("paused", position=3, queue_length=9, low_seconds=1, high_seconds=2)

    assert gaps(shown, ENGLISH)["time"] == "cannot be said yet"


@pytest.mark.parametrize(
    ("first", "position", "progress"),
    [(None, 5, "100"), (1, 1, "100"), (5, 5, "0.0"), (5, 2, "75.0")],
)
def test_progress_runs_from_where_the_visitor_began(
    first: int | None, position: int, progress: str
) -> None:
    shown = view(position=position, first_position=first, queue_length=9)

    assert gaps(shown, ENGLISH)["progress"] == progress


def test_who_is_drawn_by_lot_is_shown_no_number() -> None:
    early = view("early", draw=True, position=5, queue_length=9, opens_in_seconds=3_725, token="t")

    filled = gaps(early, ENGLISH)

    assert filled["headline"] == "Opens in 1:02:05"
    assert filled["hidden_without_line"] == "hidden"
    assert "by lot" in filled["note"]


# Colours -------------------------------------------------------------------------------------

A_COLOUR = st.integers(0, 0xFFFFFF).map(lambda value: f"#{value:06x}")
GROUNDS = {"light": ("#fcfbf9", "#f4f2ed"), "dark": ("#141412", "#1e1d1a")}


def declared(rule: str) -> dict[str, tuple[int, int, int]]:
    pairs = [each.split(":") for each in rule.split(";") if each.startswith("--")]
    return {name[2:]: rgb(value) for name, value in pairs}


def rgb(text: str) -> tuple[int, int, int]:
    return int(text[1:3], 16), int(text[3:5], 16), int(text[5:7], 16)


@given(accent=A_COLOUR, background=A_COLOUR, text=st.none() | A_COLOUR)
def test_whatever_colours_are_chosen_text_can_be_read(
    accent: str, background: str, text: str | None
) -> None:
    sheet = style_sheet(Colours(accent=accent, background=background, text=text))

    tokens = declared(sheet.split("{")[2].partition("}")[0])
    assert tokens["paper"] == rgb(background)
    for name in ("ink", "soft", "accent", "bad"):
        assert contrast(tokens[name], tokens["paper"]) >= 4.5
    for name in ("ink", "soft", "accent"):
        assert contrast(tokens[name], tokens["panel"]) >= 4.5
    assert contrast(tokens["on-accent"], tokens["accent"]) >= 4.5


@given(accent=A_COLOUR)
def test_an_accent_can_be_read_on_our_own_grounds(accent: str) -> None:
    sheet = style_sheet(Colours(accent=accent))

    light, _, dark = (
        declared(part.partition("{")[2].partition("}")[0]) for part in sheet.split(":root")[1:]
    )
    for tokens, grounds in ((light, GROUNDS["light"]), (dark, GROUNDS["dark"])):
        assert all(contrast(tokens["accent"], rgb(ground)) >= 4.5 for ground in grounds)
        assert contrast(tokens["on-accent"], tokens["accent"]) >= 4.5


def test_a_colour_that_can_be_read_stays_as_it_is() -> None:
    sheet = style_sheet(Colours(accent="#0b3d91", background="#ffffff", text="#222222"))

    assert "--accent:#0b3d91;" in sheet
    assert "--ink:#222222;" in sheet


def test_a_room_without_colours_changes_nothing() -> None:
    assert style_sheet(Colours()) == ""
