"""What a room guarantees, by the number it has in docs; guarantee 5 is in test_recovery.py.

That 1 to 4 hold in any order of steps is shown in test_model.py as well.
"""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import redis

from models.rooms import scripts
from models.rooms.rules import Arrival, LineConfig, Place, State
from tests.rooms.rooms import START_MS, Room
from tests.servers import ROOT, Process, RedisServer, wait_until

CAPACITY = 50


@pytest.fixture
def racers(
    redis_server: RedisServer, new_folder: Callable[[str], Path]
) -> Iterator[Callable[[str], Process]]:
    """Start processes that race for the room `race`."""
    folder = new_folder("race")
    with ExitStack() as stack:
        started: list[Process] = []

        def start(kind: str) -> Process:
            process = Process(
                [sys.executable, "-m", "tests.rooms.racer", redis_server.url, "race", kind],
                log_path=folder / f"{len(started)}.log",
                environ={"PYTHONPATH": str(ROOT)},
            )
            started.append(process)
            stack.callback(process.kill)
            return process

        yield start


def lines_of(processes: list[Process]) -> list[dict[str, Any]]:
    """Return what racers wrote, without a last line that was cut off by a kill."""
    whole = [line for process in processes for line in process.log().splitlines(keepends=True)]
    return [json.loads(line) for line in whole if line.startswith("{") and line.endswith("\n")]


def test_guarantee_1_never_more_inside_than_the_capacity(
    redis_client: redis.Redis, racers: Callable[[str], Process]
) -> None:
    config = LineConfig(rate_per_s=50_000, capacity=CAPACITY, claim_ms=60)
    scripts.run(redis_client, scripts.configure("race", config))
    crowds = [racers("crowd") for _ in range(2)]
    tickers = [racers("tick") for _ in range(3)]

    def line() -> Any:
        return scripts.run(redis_client, scripts.snapshot("race")).line

    wait_until(lambda: line().counters.admitted > 300, "some are admitted")
    tickers[0].kill()
    wait_until(lambda: line().counters.admitted > 1_500, "more are admitted")
    for process in crowds + tickers[1:]:
        process.kill()

    ticks = [each for each in lines_of(tickers) if "admitted" in each]
    assert max(each["inside"] for each in ticks) == CAPACITY
    began = [tuple(each["began"]) for each in lines_of(crowds) if "began" in each]
    assert len(set(began)) == len(began) > 0
    open_slots = sum(map(int, redis_client.hvals("{q:race}:grant_open")))
    assert line().inside == open_slots + redis_client.zcard("{q:race}:sessions") <= CAPACITY


def test_guarantee_2_nobody_overtakes_and_no_place_falls_back(room: Room) -> None:
    room.configure(capacity=100, rate_per_s=1)
    normal = room.join_some(10, lane=0)
    elevated = room.join_some(3, lane=1)
    admitted: list[Place] = []
    before = room.positions(normal)
    for _ in range(13):
        room.join_some(2, lane=0)
        room.now_ms += 1_000
        room.tick()
        after = room.positions(normal)
        assert all(new <= old for old, new in zip(before, after, strict=True))
        before = after
        newly = [each for each in elevated + normal if room.locate(each).state is State.ADMITTED]
        admitted += [each for each in newly if each not in admitted]

    assert admitted == elevated + normal


@pytest.mark.parametrize("timeout_ms", [2_000, 2_001, 6_000, 60_000, 61_234])
@pytest.mark.parametrize("heard_ms", [0, 1, 165, 166, 4_999, 5_000, 7_321])
def test_guarantee_3_silence_is_noticed_within_a_bucket_and_never_sooner(
    redis_client: redis.Redis, timeout_ms: int, heard_ms: int
) -> None:
    config = LineConfig(rate_per_s=0, capacity=1, heartbeat_timeout_ms=timeout_ms)
    room = Room(redis_client, config=config)
    silent, heard = room.join_some(2)
    width_ms = min(5_000, max(100, timeout_ms // 12))
    step_ms = timeout_ms // 40
    last_ms = START_MS + timeout_ms + heard_ms
    moments = [*range(START_MS, last_ms, step_ms), last_ms]
    for room.now_ms in moments:
        room.beat(silent, heard)
        assert room.reap().count == 0
    while room.reap().count == 0:
        room.now_ms += step_ms
        room.beat(heard)

    silent_ms = room.now_ms - last_ms
    assert timeout_ms <= silent_ms <= timeout_ms + width_ms + step_ms
    assert room.locate(silent).state is State.EXPIRED
    assert room.locate(heard).state is State.WAITING


def test_guarantee_3_nobody_expires_while_nobody_could_be_heard(room: Room) -> None:
    room.join_some(3)
    room.reap()
    room.now_ms += 3_600_000

    after_the_jump = room.reap().count
    room.now_ms += 5_000
    within_the_timeout = room.reap().count
    room.now_ms -= 7_200_000
    after_the_jump_back = room.reap().count

    assert (after_the_jump, within_the_timeout, after_the_jump_back) == (0, 0, 0)


def test_guarantee_3_a_clock_put_back_a_little_takes_nobody_out(room: Room) -> None:
    [place] = room.join_some(1)
    room.now_ms += 9_000
    room.beat(place)
    room.now_ms -= 700

    assert room.reap().count == 0
    room.now_ms += 6_600
    assert room.reap().count == 0
    room.now_ms += 800
    assert room.reap().count == 1


def test_guarantee_4_everybody_is_admitted_once(
    redis_client: redis.Redis, racers: Callable[[str], Process]
) -> None:
    config = LineConfig(rate_per_s=2_000, capacity=1_000_000)
    scripts.run(redis_client, scripts.configure("race", config))
    scripts.run(redis_client, scripts.join("race", [Arrival()] * 1_000))
    tickers = [racers("tick") for _ in range(3)]

    wait_until(
        lambda: not scripts.run(redis_client, scripts.snapshot("race")).line.length, "all are in"
    )
    wait_until(
        lambda: sum(each["admitted"] for each in lines_of(tickers)) >= 1_000, "all is written"
    )

    spans = sorted(tuple(span) for each in lines_of(tickers) for span in each["spans"])
    assert sum(count for *_, count in spans) == 1_000
    ends = [end for _, _, end, _ in spans]
    assert [start for _, start, _, _ in spans] == [0, *ends[:-1]]


def test_a_clock_that_jumps_admits_no_more_than_a_burst(room: Room) -> None:
    room.configure(capacity=1_000)
    room.join_some(100)
    room.now_ms += 3_600_000
    forward = room.tick().admitted
    room.now_ms -= 7_200_000
    back = room.tick().admitted
    room.now_ms += 1_000
    later = room.tick().admitted

    assert (forward, back, later) == (4, 0, 2)
