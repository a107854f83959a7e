"""A process that races with others for one room: it ticks, or it is a crowd that comes and goes.

    python -m tests.rooms.racer <address of Redis> <room> tick|crowd

Writes one line of JSON for each step; it runs until it is ended.
"""

import json
import random
import sys

import redis

from models.rooms import scripts
from models.rooms.rules import Arrival, Place, State

_SESSION_MS = 40


def tick(client: redis.Redis, room_id: str) -> None:
    """Tick without a pause, far more often than anybody would."""
    while True:
        ticked = scripts.run(client, scripts.tick(room_id))
        if ticked.admitted:
            spans = [[each.lane, each.start, each.end, each.count] for each in ticked.grants]
            _say({"admitted": ticked.admitted, "inside": ticked.inside, "spans": spans})


def crowd(client: redis.Redis, room_id: str) -> None:
    """Join, and later come in, leave, or do neither."""
    waiting: list[Place] = []
    dice = random.Random()
    while True:
        arrivals = [Arrival(dice.choice((0, 0, 0, 3))) for _ in range(dice.randint(1, 30))]
        joined = scripts.run(client, scripts.join(room_id, arrivals))
        waiting += [each.place for each in joined if each.place]
        dice.shuffle(waiting)
        for place in waiting[:40]:
            _move(client, room_id, place, dice)
        waiting = waiting[-400:]


def _move(client: redis.Redis, room_id: str, place: Place, dice: random.Random) -> None:
    if dice.random() < 0.1:
        scripts.run(client, scripts.leave(room_id, place))
        return
    call = scripts.claim(
        room_id, place, session_id=f"s{place.lane}-{place.number}", life_ms=_SESSION_MS
    )
    claim = scripts.run(client, call)
    if claim.state is State.ADMITTED and claim.is_new:
        _say({"began": [place.lane, place.number]})


def _say(facts: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(facts) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    with redis.Redis.from_url(sys.argv[1]) as connected:
        {"tick": tick, "crowd": crowd}[sys.argv[3]](connected, sys.argv[2])
