"""Several beats at once; what they schedule is the product's own schedule."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

from beat.scheduler import LEASE_KEY
from models import ticks
from models.vitals import read_vitals
from tests.servers import Process, RedisServer, System, wait_until

pytestmark = pytest.mark.on_sqlite  # beat knows no SQL


@pytest.fixture(scope="module")
def running(
    new_database_url: Callable[[], str], new_folder: Callable[[str], Path]
) -> Iterator[System]:
    """A worker and two beats; a test repairs what it breaks."""
    with (
        RedisServer(new_folder("r"), appends=True) as server,
        System(
            new_folder("y"),
            database_url=new_database_url(),
            redis_url=server.url,
            processes=("worker", "beat"),
        ) as started,
    ):
        started.redis_server = server
        started.start("beat", name="second")
        _wait_for_log(started.running["second"], "beat: Starting...")
        yield started


@pytest.fixture
def client(running: System) -> Iterator[redis.Redis]:
    """A client of the Redis of the running beats."""
    with redis.Redis.from_url(running.redis_url) as client:
        yield client


def _wait_for_log(process: Process, event: str, count: int = 1) -> None:
    wait_until(lambda: len(process.log_lines(event)) >= count, event, process=process)


def _leader(running: System, client: redis.Redis) -> str:
    """Return the name of the beat that holds the lease."""

    def holder() -> str | None:
        pid = int((client.get(LEASE_KEY) or b"").split(b":")[1])
        return next(name for name in ("beat", "second") if running.running[name].pid == pid)

    return str(wait_until(holder, "a beat leads"))


def _wait_for_ticks(client: redis.Redis, seconds: int) -> None:
    """Wait until a beat ticked that many seconds after its last tick of now."""
    now_at_ms = read_vitals(client).beat_ticked_at_ms or 0
    until_ms = now_at_ms + seconds * 1000
    wait_until(lambda: (read_vitals(client).beat_ticked_at_ms or 0) >= until_ms, "beat ticks")


def test_one_of_two_beats_leads(running: System, client: redis.Redis) -> None:
    _wait_for_ticks(client, seconds=3)

    leader = _leader(running, client)
    (other,) = {"beat", "second"} - {leader}
    assert len(running.running[leader].log_lines("beat_leads")) == 1
    assert running.running[other].log_lines("beat_leads") == []


def test_another_beat_leads_when_the_leader_is_killed(running: System, client: redis.Redis) -> None:
    killed = _leader(running, client)
    (other,) = {"beat", "second"} - {killed}
    began = len(running.running[other].log_lines("beat_leads"))
    running.running[killed].kill()

    _wait_for_log(running.running[other], "beat_leads", began + 1)
    _wait_for_ticks(client, seconds=1)
    running.start("beat", name=killed)
    _wait_for_log(running.running[killed], "beat: Starting...")


def test_another_beat_leads_when_the_leader_ends(running: System, client: redis.Redis) -> None:
    ended = _leader(running, client)
    (other,) = {"beat", "second"} - {ended}

    code = running.running[ended].stop()

    assert code == 0
    assert running.running[ended].log_lines("beat_stopped_leading")
    wait_until(lambda: _leader(running, client) == other, "the other leads")
    _wait_for_ticks(client, seconds=1)
    running.start("beat", name=ended)
    _wait_for_log(running.running[ended], "beat: Starting...")


def test_ticks_do_not_pile_up_while_no_worker_takes_them(
    running: System, client: redis.Redis
) -> None:
    running.running["worker"].freeze()
    try:
        _wait_for_ticks(client, seconds=3)

        # A worker that froze holds up to one message itself; a new one waits for each entry.
        waiting = client.lrange("system", 0, -1)
        assert waiting
        assert sum(b'"tick": "system-tick"' in message for message in waiting) <= 1
        assert sum(b'"tick": "system-resend"' in message for message in waiting) <= 1
    finally:
        running.running["worker"].thaw()
    _wait_for_tick_in_worker(client)


def test_leader_that_froze_steps_back(running: System, client: redis.Redis) -> None:
    frozen = _leader(running, client)
    (other,) = {"beat", "second"} - {frozen}
    began = len(running.running[other].log_lines("beat_leads"))
    running.running[frozen].freeze()
    try:
        _wait_for_log(running.running[other], "beat_leads", began + 1)
    finally:
        running.running[frozen].thaw()

    _wait_for_log(running.running[frozen], "beat_lost_lead")
    assert _leader(running, client) == other
    _wait_for_tick_in_worker(client)


def test_ticks_go_on_when_redis_was_away(running: System, client: redis.Redis) -> None:
    leader = running.running[_leader(running, client)]
    running.redis_server.stop()
    _wait_for_log(leader, "tick_not_sent")
    running.redis_server.start()

    _wait_for_tick_in_worker(client)
    _leader(running, client)


def test_tick_that_nobody_answers_is_sent_again(running: System, client: redis.Redis) -> None:
    # A frozen worker is to beat what a lost message is: the tick is on its way and stays there.
    def sent_at_ms() -> int | None:
        return ticks.pending_since_ms(client, "system-tick")

    running.running["worker"].freeze()
    try:
        first_at_ms = wait_until(sent_at_ms, "a tick is on its way")

        wait_until(lambda: sent_at_ms() not in (None, first_at_ms), "it is sent again")
    finally:
        running.running["worker"].thaw()
    _wait_for_tick_in_worker(client)


def _wait_for_tick_in_worker(client: redis.Redis) -> None:
    """Wait until a tick that is sent from now on ran."""
    now_at_ms = (read_vitals(client).tick_ran_at_ms or 0) + 1
    wait_until(lambda: (read_vitals(client).tick_ran_at_ms or 0) > now_at_ms, "a tick runs")
