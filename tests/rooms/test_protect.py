"""The gate of a protected site, by itself: what it asks and what it decides."""

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.tokens.keys import SigningKey, make_key
from stanchion_client.protect import Protection, Session
from stanchion_client.protect.gate import Ask, Gate, Told, Verdict
from stanchion_client.protect.replies import Reply
from stanchion_client.protect.visits import Visit

NOW_S = 1_900_000_000  # tokens of these tests last until long after
SITE = Protection(
    server_url="http://stanchion.example",
    public_url="https://wait.example/",
    room_id="sale",
    excluded=("/static", "/health"),
)
PERSON = {"accept": "text/html,*/*;q=0.8", "sec-fetch-mode": "navigate"}


def make(algorithm: str = "ES256") -> SigningKey:
    return SigningKey(make_key(algorithm, now_ms=0, signs_from_ms=0))


KEY, OTHER = make(), make()


def token(key: SigningKey = KEY, **claims: Any) -> str:
    default = {"jti": "s1", "sub": "session:sale", "typ": "session", "exp": NOW_S}
    return key.sign({**default, "position_id": "p1", **claims})


def visit(path: str = "/", query: str = "", *, method: str = "GET", **headers: str) -> Visit:
    shown = {name.replace("_", "-"): value for name, value in headers.items()}
    return Visit(method=method, path=path, query=query, headers=shown, is_secure=True)


def jwks(*keys: SigningKey) -> Told:
    return Told(200, {"keys": [each.public_jwk for each in keys]})


class Asked:
    """Decides about visits, answered in turn; `now_s` is the gate's clock."""

    def __init__(self, site: Protection, *answers: Told | None) -> None:
        self.now_s = 0.0
        self.asks: list[Ask] = []
        self._answers: Iterator[Told | None] = iter(answers)
        self.gate = Gate(site, elapsed_s=lambda: self.now_s)

    def __call__(self, what: Visit) -> Verdict:
        steps = self.gate.decide(what)
        try:
            ask = next(steps)
            while True:
                self.asks.append(ask)
                ask = steps.send(next(self._answers))
        except StopIteration as decided:
            verdict: Verdict = decided.value
            return verdict


def location(verdict: Verdict) -> str:
    assert isinstance(verdict, Reply)
    assert verdict.status == 303
    return dict(verdict.headers)["Location"]


# Without a session ---------------------------------------------------------------------------


def test_a_person_without_a_session_is_led_to_the_room_and_back_later() -> None:
    decide = Asked(SITE, jwks(KEY))

    told = decide(visit("/buy/7", "seat=a%26b", **PERSON))

    assert location(told) == "https://wait.example/wait/sale?to=%2Fbuy%2F7%3Fseat%3Da%2526b"


@pytest.mark.parametrize(
    "asks",
    [
        visit("/api/seats", **PERSON),
        visit("/buy", method="POST", **PERSON),
        visit("/buy", accept="application/json"),
        visit("/buy", accept="text/html", sec_fetch_mode="cors"),
    ],
)
def test_a_program_without_a_session_is_told_so(asks: Visit) -> None:
    told = Asked(SITE, jwks(KEY))(asks)

    assert isinstance(told, Reply)
    assert told.status == 401
    assert b"https://wait.example/wait/sale" in told.body


@pytest.mark.parametrize("path", ["/static", "/static/a/b.css", "/health"])
def test_an_excluded_path_needs_nothing(path: str) -> None:
    decide = Asked(SITE)

    assert decide(visit(path)) is None
    assert decide.asks == []


@pytest.mark.parametrize(
    "path",
    ["/staticx", "/static/../buy", "/static/%2e%2e/buy", "/static//buy", "/static/%5c../buy", "/"],
)
def test_no_other_path_passes_for_an_excluded_one(path: str) -> None:
    assert isinstance(Asked(SITE, jwks(KEY))(visit(path, **PERSON)), Reply)


# With one ------------------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", ["ES256", "RS256"])
def test_a_session_in_the_cookie_lets_through(algorithm: str) -> None:
    key = make(algorithm)
    decide = Asked(SITE, jwks(OTHER, key), Told(200, {}))

    told = decide(visit("/", cookie=f"a=b; stanchion_session={token(key)}", **PERSON))

    assert isinstance(told, Session)
    assert (told.id, told.position_id, told.expires_s) == ("s1", "p1", NOW_S)


def test_a_session_in_the_address_goes_into_a_cookie_and_out_of_the_address() -> None:
    shown = token()

    told = Asked(SITE, jwks(KEY))(visit("/buy", f"a=1&stanchion_session={shown}&b=%20", **PERSON))

    assert location(told) == "/buy?a=1&b=%20"
    assert isinstance(told, Reply)
    cookie = dict(told.headers)["Set-Cookie"].split("; ")
    assert cookie[0] == f"stanchion_session={shown}"
    assert {"HttpOnly", "SameSite=Lax", "Secure", "Path=/"} <= set(cookie)


@given(st.text(alphabet="/\\.%25aA&=?:@", max_size=12))
def test_the_clean_address_stays_on_the_site(path: str) -> None:
    told = Asked(SITE, jwks(KEY))(visit(f"/{path}", f"stanchion_session={token()}", **PERSON))

    address = location(told)
    assert address.startswith("/")
    assert not address.startswith(("//", "/\\"))


BAD = {
    "another key's": token(OTHER),
    "another room's": token(sub="session:fair"),
    "a place's": token(typ="queue", sub="queue:sale"),
    "none at all": "x.y.z",
    "unsigned": "eyJhbGciOiJub25lIn0.e30.",
    "without an end": KEY.sign({"jti": "s", "sub": "session:sale", "typ": "session"}),
    "endless": "a" * 5_000,
}


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD.keys())
def test_what_is_no_session_of_the_room_lets_nobody_through(bad: str) -> None:
    in_cookie = Asked(SITE, jwks(KEY))(visit(cookie=f"stanchion_session={bad}", **PERSON))
    in_address = Asked(SITE, jwks(KEY))(visit(query=f"stanchion_session={bad}", **PERSON))

    assert location(in_cookie).startswith("https://wait.example/wait/sale")
    assert isinstance(in_address, Reply)
    assert in_address.status == 401  # leading to the room could go round


def test_who_stayed_too_long_goes_to_the_room_from_the_address_too() -> None:
    over = token(exp=1_000)

    told = Asked(SITE, jwks(KEY))(visit(query=f"stanchion_session={over}", **PERSON))

    assert location(told) == "https://wait.example/wait/sale?to=%2F"


def test_an_unknown_key_is_asked_for_once_in_a_while() -> None:
    decide = Asked(SITE, jwks(KEY), jwks(KEY, OTHER), Told(200, {}))
    newer = visit(cookie=f"stanchion_session={token(OTHER)}", **PERSON)
    decide(visit(**PERSON))

    assert isinstance(decide(newer), Reply)
    decide.now_s = 6.0
    assert isinstance(decide(newer), Session)
    assert [ask.path for ask in decide.asks[:2]] == ["/.well-known/jwks.json"] * 2


# Activity and end ----------------------------------------------------------------------------


def test_activity_is_told_now_and_then_and_tells_of_the_end() -> None:
    decide = Asked(SITE, jwks(KEY), Told(200, {}), Told(410, {}))
    inside = visit("/seats", cookie=f"stanchion_session={token()}", **PERSON)

    assert isinstance(decide(inside), Session)
    assert isinstance(decide(inside), Session)
    decide.now_s = 31.0
    assert isinstance(decide(inside), Reply)
    assert isinstance(decide(inside), Reply)

    tells = [(ask.method, ask.path, ask.body) for ask in decide.asks[1:]]
    page = {"action": "page_view", "page": "/seats"}
    assert tells == [("POST", "/api/v1/sessions/s1/activity", page)] * 2


def test_a_session_that_goes_on_for_longer_has_a_new_token() -> None:
    longer = token(exp=NOW_S + 3_600)
    decide = Asked(SITE, jwks(KEY), Told(200, {"session_token": longer}))

    told = decide(visit(cookie=f"stanchion_session={token()}", **PERSON))

    assert isinstance(told, Session)
    assert (told.token, told.is_renewed) == (longer, True)


def test_a_session_that_the_site_ended_is_over_at_once() -> None:
    decide = Asked(SITE, jwks(KEY), Told(200, {}))
    inside = visit(cookie=f"stanchion_session={token()}", **PERSON)
    session = decide(inside)
    assert isinstance(session, Session)

    ask = decide.gate.end(session)

    assert (ask.method, ask.path, ask.token) == ("DELETE", "/api/v1/sessions/s1", session.token)
    assert isinstance(decide(inside), Reply)


# Stanchion is away ---------------------------------------------------------------------------


def test_without_any_key_nobody_is_let_in() -> None:
    told = Asked(SITE, None)(visit(cookie=f"stanchion_session={token()}", **PERSON))

    assert isinstance(told, Reply)
    assert told.status == 503
    assert "Retry-After" in dict(told.headers)


def test_sessions_are_good_while_stanchion_is_away() -> None:
    decide = Asked(SITE, jwks(KEY), None, None)
    inside = visit(cookie=f"stanchion_session={token()}", **PERSON)
    decide(visit(**PERSON))

    decide.now_s = 10_000.0

    assert isinstance(decide(inside), Session)


def test_a_site_may_let_everybody_in_while_stanchion_is_away_and_only_then() -> None:
    site = Protection(server_url="http://s.example", room_id="sale", lets_in_when_away=True)
    decide = Asked(site, jwks(KEY), None, jwks(KEY))

    assert location(decide(visit(**PERSON)))
    decide.now_s = 10.0
    assert decide(visit(**PERSON)) is None
    decide.now_s = 20.0
    assert location(decide(visit(**PERSON)))


def test_something_else_that_answers_is_as_good_as_nothing() -> None:
    for answer in (Told(200, None), Told(200, {"keys": "x"}), Told(502, None), Told(200, [])):
        told = Asked(SITE, answer)(visit(**PERSON))

        assert isinstance(told, Reply)
        assert told.status == 503
