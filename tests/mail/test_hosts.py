"""Two mail hosts in one list: the second is added by one command, and knows the broker only."""

import contextlib
import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis

from models.mail.exim import Exim
from tests.mail.exim_server import EximServer, Sink, require_exim
from tests.mail.host_pair import PASSWORD_OF_HOST, HostPair, RemoteHost, admit, open_tcp
from tests.mail.mail_system import PASSWORD
from tests.servers import ROOT, RedisServer, System, wait_until

pytestmark = pytest.mark.on_sqlite


@pytest.fixture(scope="module")
def running(
    new_database_url: Callable[[], str], new_folder: Callable[[str], Path]
) -> Iterator[HostPair]:
    """API, worker, beat and mx1 on one machine, and mx2, as it were, on another."""
    require_exim()
    with contextlib.ExitStack() as stack:
        sinks = [stack.enter_context(Sink()) for _ in range(2)]
        first, second = (EximServer(new_folder("e"), sink_port=sink.port) for sink in sinks)
        redis_server = stack.enter_context(RedisServer(new_folder("r")))
        port = open_tcp(redis_server)
        admit(redis_server, "mx2")
        settings = {
            "ADMIN_PASSWORD": PASSWORD,
            "EXIM": " ".join(first.command),
            "MAIL_ANSWER_S": "3",
        }
        system = System(
            new_folder("y"),
            database_url=new_database_url(),
            redis_url=redis_server.url,
            settings=settings,
        )
        stack.enter_context(system)
        system.start("mail-watch", command=("api.cli", "mail-watch", "--host", "mx1"))
        made = HostPair(system, first, sinks[0])
        stack.callback(made.http.close)
        broker = f"redis://mx2:{PASSWORD_OF_HOST}@127.0.0.1:{port}/0"
        made.other = RemoteHost("mx2", new_folder("o"), second, sinks[1], broker)
        made.other.start()
        stack.callback(made.other.stop)
        made.wait_alive("mx1", "mx2")
        yield made


@pytest.fixture
def broker(running: HostPair) -> Iterator[redis.Redis]:
    """A client of the broker that may do everything."""
    with redis.Redis.from_url(running.system.redis_url) as client:
        yield client


@pytest.fixture
def pair(running: HostPair, broker: redis.Redis) -> Iterator[HostPair]:
    """Both hosts alive, their queues empty; the broker had nothing to refuse afterwards."""
    running.exim.empty()
    running.other.exim.empty()
    if running.other.process.is_over:
        running.other.start()
    running.wait_alive("mx1", "mx2")
    wait_until(lambda: running.pairs() == set(), "the list is empty")
    yield running
    assert {*refused(broker)} <= {"client|setinfo"}  # by which a client says what it is


def refused(broker: redis.Redis) -> list[str]:
    """Return what the broker did not let somebody do."""
    return [str(each["object"]) for each in broker.acl_log()]


def one_on_each(pair: HostPair, recipient: str = "u@defer.test") -> tuple[str, str]:
    """Hand in a message on each host, and return their ids once both are listed."""
    first, second = pair.exim.submit(recipient), pair.other.exim.submit(recipient)
    both = {("mx1", first), ("mx2", second)}
    wait_until(lambda: pair.pairs() == both, "both are listed", process=pair.other.process)
    return first, second


def frozen(exim: EximServer) -> set[str]:
    """Return the ids that Exim itself says are frozen."""
    return {each.message_id for each in Exim(exim.command).listing() if each.is_frozen}


def logged(pair: HostPair, message_id: str) -> set[tuple[str, str]]:
    """Return host and event of each line that is kept of a message."""
    answer = pair.http.get(f"/api/v1/logs/messages/{message_id}/history").json()
    return {(each["mail_host"], each["event"]) for each in answer["data"]["history"]}


def post(pair: HostPair, action: str, body: dict[str, Any]) -> httpx.Response:
    return pair.http.post(f"/api/v1/queue/actions/{action}", json=body)


def parted(pair: HostPair) -> int:
    """Return how often the house heard a good-bye of mx2."""
    lines = pair.system.running["worker"].log_lines("mail_host_parted")
    return sum(each["host"] == "mx2" for each in lines)


def test_messages_of_both_hosts_are_in_one_list(pair: HostPair) -> None:
    first, second = one_on_each(pair)

    assert pair.pairs(host="mx1") == {("mx1", first)}
    assert pair.pairs(host="mx2") == {("mx2", second)}
    assert pair.listed()["data"]["total_messages"] == 2
    groups = pair.http.get("/api/v1/queue/groups", params={"by": "host"}).json()["data"]["groups"]
    assert {(each["value"], each["messages"]) for each in groups} == {("mx1", 1), ("mx2", 1)}
    assert {name: each["messages"] for name, each in pair.hosts().items()} == {"mx1": 1, "mx2": 1}


def test_host_elsewhere_knows_the_broker_and_nothing_else_of_the_house(pair: HostPair) -> None:
    other = pair.other
    told = {name for name in other.environ if name.startswith("STANCHION_")}

    opened = subprocess.run(
        ["ls", "-l", f"/proc/{other.process.pid}/fd"], check=True, capture_output=True, text=True
    ).stdout

    assert told == {"STANCHION_BROKER_URL", "STANCHION_EXIM", "STANCHION_DATA"}
    assert str(pair.system.folder) not in opened
    assert "stanchion.db" not in opened
    kept = sorted(path for path in other.data.rglob("*") if path.is_file())
    assert kept == []


def test_each_action_reaches_the_host_that_has_the_message(pair: HostPair) -> None:
    first, second = one_on_each(pair)

    data = post(pair, "freeze", {"message_ids": [first, second]}).json()["data"]
    assert data["successful_count"] == 2
    assert (frozen(pair.exim), frozen(pair.other.exim)) == ({first}, {second})

    assert post(pair, "thaw", {"message_id": second}).status_code == 200
    assert (frozen(pair.exim), frozen(pair.other.exim)) == ({first}, set())

    removed = pair.http.request("DELETE", "/api/v1/queue", json={"message_id": first})
    assert removed.status_code == 200
    assert (pair.exim.message_ids(), pair.other.exim.message_ids()) == (set(), {second})


def test_message_is_delivered_and_read_on_its_own_host(pair: HostPair) -> None:
    _, second = one_on_each(pair, "ok@far.test")

    content = pair.http.get(f"/api/v1/messages/{second}/content").json()["data"]
    assert (content["host"], content["content"]) == ("mx2", "text\n")
    assert post(pair, "deliver", {"message_id": second}).status_code == 200

    wait_until(lambda: pair.pairs(host="mx2") == set(), "it is delivered")
    arrived = lambda: f"{second} => ok@far.test" in pair.other.exim.plain_log()  # noqa: E731
    wait_until(arrived, "Exim says so")
    assert "=> ok@far.test" not in pair.exim.plain_log()
    wait_until(lambda: ("mx2", "delivery") in logged(pair, second), "the log of mx2 is kept")


def test_id_that_both_hosts_have_needs_the_name_of_one(pair: HostPair) -> None:
    one_on_each(pair)
    [same] = pair.exim.copies(next(iter(pair.exim.message_ids())), 1)
    pair.other.exim.copies(next(iter(pair.other.exim.message_ids())), 1)
    wait_until(lambda: {("mx1", same), ("mx2", same)} <= pair.pairs(), "both are listed")

    unclear = post(pair, "freeze", {"message_id": same})
    clear = post(pair, "freeze", {"message_id": same, "host": "mx2"})

    assert (unclear.status_code, clear.status_code) == (409, 200)
    assert "mx1, mx2" in unclear.json()["error"]
    assert (frozen(pair.exim), frozen(pair.other.exim)) == (set(), {same})
    assert pair.http.get(f"/api/v1/queue/{same}", params={"host": "mx1"}).status_code == 200
    wait_until(lambda: ("mx2", "freeze") in logged(pair, same), "the log of mx2 is kept")
    for view in ("retry-schedule", "delivery-trace", "trace", "timeline", "delivery-stats"):
        at = f"/api/v1/messages/{same}/{view}"
        on = [pair.http.get(at, params={"host": name}) for name in ("mx1", "mx2", "mx3")]
        assert [each.status_code for each in on] == [200, 200, 404]
    states = [
        pair.http.get(f"/api/v1/messages/{same}/retry-schedule", params={"host": name}).json()
        for name in ("mx1", "mx2")
    ]
    assert [each["data"]["queue_info"]["queue_status"] for each in states] == ["queued", "frozen"]


def test_one_audit_tells_of_both_hosts(pair: HostPair) -> None:
    ids = one_on_each(pair)

    post(pair, "freeze", {"message_ids": list(ids)}).raise_for_status()

    entries = pair.http.get("/api/v1/auth/audit").json()["data"]
    told = {
        each["target"]: each["details"]["host"]
        for each in entries
        if each["action"] == "queue_bulk_freeze" and each["target"] in ids
    }
    assert told == {ids[0]: "mx1", ids[1]: "mx2"}


def test_host_that_was_stopped_is_named_at_once_and_the_other_goes_on(pair: HostPair) -> None:
    first, second = one_on_each(pair)
    before = parted(pair)
    assert pair.other.stop() == 0
    wait_until(lambda: parted(pair) == before + 1, "its good-bye is heard")
    assert not pair.hosts()["mx2"]["alive"]

    answers = [
        post(pair, "freeze", {"message_id": second}),
        post(pair, "freeze", {"message_ids": [first, second]}),
        pair.http.get(f"/api/v1/messages/{second}/content"),
    ]
    shown = pair.http.get(f"/api/v1/queue/{second}").json()["data"]

    for answer in answers:
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
        assert answer.json()["error"] == "mail host mx2 is unavailable"
    # Nothing was sent to either, and what is known is still shown.
    assert (frozen(pair.exim), frozen(pair.other.exim)) == (set(), set())
    assert (shown["id"], shown["is_read"]) == (second, False)
    assert pair.pairs() == {("mx1", first), ("mx2", second)}
    assert post(pair, "freeze", {"message_id": first}).status_code == 200
    assert frozen(pair.exim) == {first}


def test_host_that_is_no_more_is_forgotten_by_an_admin(pair: HostPair) -> None:
    first, second = one_on_each(pair)
    path = "/api/v1/queue/hosts/mx2"
    with pair.as_user("operator") as operator:
        assert operator.delete(path).status_code == 403
    assert pair.http.delete(path).status_code == 409
    before = parted(pair)
    pair.other.stop()
    wait_until(lambda: parted(pair) == before + 1, "its good-bye is heard")

    assert pair.http.delete(path).status_code == 204
    assert pair.http.delete(path).status_code == 404

    assert set(pair.hosts()) == {"mx1"}
    assert pair.pairs() == {("mx1", first)}
    pair.other.start()
    pair.wait_alive("mx2")
    assert pair.pairs() == {("mx1", first), ("mx2", second)}


def test_what_a_host_missed_while_it_was_away_it_does_not_do_when_it_is_back(
    pair: HostPair, broker: redis.Redis
) -> None:
    first, second = one_on_each(pair)
    pair.other.process.kill()
    late = pair.http.request("DELETE", "/api/v1/queue", json={"message_id": second})
    assert late.status_code == 504, late.text
    # One lies in its queue, and the same is in the hands of the worker that was killed.
    waiting = [json.loads(each) for each in broker.lrange("mail.mx2", 0, -1)]
    [order] = [each for each in waiting if each["headers"]["task"] == "mail_host.act"]
    held = json.dumps([order, "mail.mx2", "mail.mx2"])
    broker.hset("unacked/mail.mx2", "held", held)
    broker.zadd("unacked_index/mail.mx2", {"held": 1})
    # Who was killed while it looked for such keeps the others from it for five minutes.
    broker.delete("unacked_mutex/mail.mx2")

    pair.other.start()
    pair.wait_alive("mx1", "mx2")

    def orders_in_hand() -> list[bytes]:
        # What else the killed one had in its hands, news for instance, comes back much later.
        return [each for each in broker.hvals("unacked/mail.mx2") if b"mail_host.act" in each]

    wait_until(
        lambda: not broker.exists("mail.mx2") and not orders_in_hand(),
        "it has looked at all that was left",
        process=pair.other.process,
    )
    assert post(pair, "freeze", {"message_id": second}).status_code == 200
    assert pair.other.exim.message_ids() == frozen(pair.other.exim) == {second}
    assert pair.exim.message_ids() == {first}


def test_delivery_that_has_begun_outlives_the_hosts_process(pair: HostPair) -> None:
    sink = pair.other.sink
    sink.released.clear()
    message_id = pair.other.exim.submit("slow@far.test")
    wait_until(lambda: pair.pairs() == {("mx2", message_id)}, "it is listed")
    post(pair, "deliver", {"message_id": message_id}).raise_for_status()
    wait_until(lambda: pair.listed()["data"]["messages"][0]["is_delivering"], "it is under way")

    pair.other.process.send_signal(signal.SIGKILL)
    pair.other.process.wait()
    sink.released.set()

    exim = pair.other.exim
    wait_until(lambda: f"{message_id} Completed" in exim.plain_log(), "it is delivered")
    assert exim.plain_log().count(f"{message_id} => slow@far.test") == 1
    assert exim.message_ids() == set()


@pytest.mark.parametrize(
    "name", ["", "mx 2", "mx/2", "-mx2", "mx2\n", "m" * 65, "mx\N{FULLWIDTH DIGIT TWO}"]
)
def test_host_is_called_by_a_plain_name(name: str, backend: str) -> None:
    del backend
    command = [sys.executable, "-m", "api.cli", "mail-watch", f"--host={name}"]

    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert told.returncode == 2
    assert "argument --host" in told.stderr
