"""Redis goes away and comes back: who is refused, who goes on, and what is checked without it."""

import time

import httpx
import jwt
import pytest

from tests.conftest import StartSystem
from tests.rooms.test_contract_visitors import code_of
from tests.rooms.visitors import Hall, bearer, poll


@pytest.mark.on_sqlite
def test_guarantee_6_redis_away_refuses_holds_or_opens_as_the_room_says(
    start_system: StartSystem,
) -> None:
    system = start_system("api")
    hall = Hall(system)
    until = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 600))
    closed, hold = hall.paused(), hall.paused(fail_mode="hold")
    opened = hall.paused(fail_mode="open", fail_open_until=until)
    tokens = {room: hall.join(room)["token"] for room in (closed, hold, opened)}
    inside = hall.make()
    session_token = hall.admitted(inside, hall.join(inside)["token"])["session_token"]
    keys = jwt.PyJWKSet.from_dict(httpx.get(f"{system.url}/.well-known/jwks.json").json())

    system.redis_server.process.kill()
    poll(lambda: hall.status(closed, tokens[closed]).status_code == 503, "it is noticed")

    for answer in (
        hall.enqueue(closed),
        hall.beat(closed, tokens[closed]),
        hall.status(closed, tokens[closed]),
        hall.cancel(closed, tokens[closed]),
        hall.enqueue(hold),
    ):
        assert code_of(answer) == (503, "UNAVAILABLE")
        assert int(answer.headers["Retry-After"]) > 0
    held = hall.status(hold, tokens[hold])
    assert held.status_code == 200, held.text
    assert held.json()["position"] == 1
    assert hall.beat(hold, tokens[hold]).json()["position"] == 1
    assert hall.status(opened, tokens[opened]).json()["admitted"] is True
    assert hall.enqueue(opened).json()["session_token"]
    # What a protected site does, which asks nobody.
    header = jwt.get_unverified_header(session_token)
    claims = jwt.decode(session_token, keys[header["kid"]], algorithms=["RS256"])
    assert claims["typ"] == "session"
    answer = hall.http.get(f"/sessions/{claims['jti']}", headers=bearer(session_token))
    assert code_of(answer) == (503, "UNAVAILABLE")

    system.redis_server.start()

    poll(lambda: hall.status(closed, tokens[closed]).status_code == 200, "places are back")
    assert hall.beat(closed, tokens[closed]).json()["position"] == 1
    hall.close()
