"""What comes over the broker and is no order of the house: a host does none of it, and goes on.

A mail host runs alone here; the test is all that it hears of the house.
"""

import base64
import contextlib
import itertools
import json
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from models.mail.exim import Exim
from tests.mail.attacks import NO_ADDRESSES, NO_IDS, NO_QUEUES, RecordedExim, some
from tests.mail.exim_server import EximServer, require_exim
from tests.servers import ROOT, Process, RedisServer, wait_until
from workers.app import send

HOST = "mx1"
FAR_MS = 4_000_000_000_000


class LoneHost:
    """A mail host, and the house as far as it knows it: two lists of the broker."""

    def __init__(self, exim: EximServer, recorded: RecordedExim, url: str, folder: Path) -> None:
        self.exim = exim
        self.recorded = recorded
        self._redis = redis.Redis.from_url(url)
        self._numbers = itertools.count(1)
        self.process = Process(
            [sys.executable, "-m", "api.cli", "mail-watch", "--host", HOST],
            log_path=folder / "mail-watch.log",
            environ={
                "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
                "PYTHONPATH": str(ROOT),
                "STANCHION_BROKER_URL": url,
                "STANCHION_DATA": str(folder / "data"),
                "STANCHION_EXIM": recorded.command,
                "STANCHION_LOG_FORMAT": "json",
            },
        )

    def close(self) -> None:
        self.process.stop()
        self._redis.close()

    def order(self, *message_ids: str, **facts: Any) -> dict[str, Any]:
        """Return an order to freeze messages, as the house would write it, but for `facts`."""
        chunk = {"operation_id": f"{next(self._numbers):032x}", "number": 1, "host": HOST}
        chunk |= {"queue": "", "message_ids": message_ids, "sends": 0}
        chunk |= {name: facts.pop(name) for name in list(facts) if name in chunk}
        return {"chunk": chunk, "action": "freeze", "expires_at_ms": FAR_MS, **facts}

    def tell(self, task: str, *arguments: Any) -> None:
        send(task, arguments, queue=f"mail.{HOST}")

    def put(self, message: dict[str, Any]) -> None:
        """Lay a message into the host's queue as it is, past everything that makes good ones."""
        self._redis.lpush(f"mail.{HOST}", json.dumps(message))

    def act(self, order: dict[str, Any]) -> dict[str, str] | None:
        """Have an order carried out; return what is told of each message, None if nothing is.

        A good order behind it shows that the host is done with it, and lives.
        """
        self.tell("mail_host.act", json.dumps(order))
        return self.heard(order)

    def heard(self, order: dict[str, Any] | None = None) -> dict[str, str] | None:
        """Return what was told of an order, once the host has carried out one behind it."""
        probe = self.order("1AAAAA-000001-00")
        self.tell("mail_host.act", json.dumps(probe))
        told = self._wait_for(probe)
        return told.get(order["chunk"]["operation_id"]) if order else None

    def read(self, *arguments: Any) -> Any:
        """Ask for a message with these arguments, and return what is answered."""
        self.tell("mail_host.read", *arguments)
        self.heard()
        [answer] = [each for each in self._heard("mail.letter") if each[0] == arguments[2]]
        return json.loads(answer[1])

    def _wait_for(self, probe: dict[str, Any]) -> dict[str, dict[str, str]]:
        """Return what was told of each order, once `probe` and all before it are done.

        They are carried out side by side, and taken in their order: what was taken before the
        probe is held until it is done.
        """
        which = probe["chunk"]["operation_id"]
        is_done = lambda: which in self._settled() and not self._is_busy()  # noqa: E731
        wait_until(is_done, "the host is done", process=self.process)
        return self._settled()

    def _settled(self) -> dict[str, dict[str, str]]:
        return {
            operation_id: {each["message_id"]: each["result"] for each in json.loads(outcomes)}
            for operation_id, _, outcomes in self._heard("mail.settle")
        }

    def _is_busy(self) -> bool:
        return bool(self._redis.exists(f"mail.{HOST}", f"unacked/mail.{HOST}"))

    def _heard(self, task: str) -> list[list[Any]]:
        """Return the arguments of all that the host has sent to a task of the house."""
        messages = [json.loads(each) for each in self._redis.lrange("mail", 0, -1)]
        return [
            json.loads(base64.b64decode(each["body"]))[0]
            for each in messages
            if each["headers"]["task"] == task
        ]


@pytest.fixture(scope="module")
def started(
    exim_server: EximServer, new_folder: Callable[[str], Path]
) -> Iterator[tuple[LoneHost, str]]:
    """A mail host with a broker, and nobody else."""
    require_exim()
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(RedisServer(new_folder("r")))
        recorded = RecordedExim(new_folder("x"), exim_server)
        made = LoneHost(exim_server, recorded, server.url, new_folder("o"))
        stack.callback(made.close)
        yield made, server.url


@pytest.fixture
def host(
    started: tuple[LoneHost, str], send_through: Callable[[str], None], exim: EximServer
) -> Iterator[LoneHost]:
    """The host, its spool empty; Exim was told nothing strange afterwards."""
    made, url = started
    send_through(url)
    assert made.exim is exim
    yield made
    assert made.recorded.strange() == set()


def frozen(host: LoneHost) -> set[str]:
    return {each.message_id for each in Exim(host.exim.command).listing() if each.is_frozen}


def test_order_as_the_house_writes_it_is_carried_out(host: LoneHost) -> None:
    message_id = host.exim.submit("u@defer.test")

    assert host.act(host.order(message_id)) == {message_id: "done"}

    assert frozen(host) == {message_id}


@pytest.mark.parametrize("text", NO_IDS.values(), ids=NO_IDS)
def test_what_is_no_id_reaches_no_command(host: LoneHost, text: str) -> None:
    message_id = host.exim.submit("u@defer.test")

    for action in ("freeze", "remove", "deliver", "bounce", "change_sender"):
        host.tell("mail_host.act", json.dumps(host.order(text, action=action)))
    host.heard()

    assert host.exim.message_ids() == {message_id}
    assert frozen(host) == set()


@pytest.mark.parametrize("queue", NO_QUEUES)
def test_what_is_no_queue_reaches_no_command(host: LoneHost, queue: str) -> None:
    message_id = host.exim.submit("u@defer.test")

    for action in ("freeze", "deliver", "add_recipients"):
        order = host.order(message_id, queue=queue, action=action, addresses=["v@defer.test"])
        assert host.act(order) == {message_id: "refused"}

    assert frozen(host) == set()


@pytest.mark.parametrize("text", NO_ADDRESSES.values(), ids=NO_ADDRESSES)
def test_what_is_not_one_address_reaches_no_command(host: LoneHost, text: str) -> None:
    message_id = host.exim.submit("u@defer.test")
    before = host.exim.spool_state()
    orders = [
        host.order(message_id, action=action, addresses=["u@defer.test", text])
        for action in ("add_recipients", "drop_recipients", "change_sender")
    ]

    for order in orders:
        host.tell("mail_host.act", json.dumps(order))

    assert [host.heard(order) for order in orders] == [{message_id: "refused"}] * 3
    assert host.exim.spool_state() == before


@pytest.mark.parametrize(
    "facts",
    [
        {"host": "mx2"},
        {"host": "../mx1"},
        {"action": "nuke"},
        {"action": "-Mset"},
        {"expires_at_ms": 1},
        {"expires_at_ms": "never"},
        {"message_ids": "1AAAAA-000001-00"},
        {"queue": None},
        {"addresses": ["a@x.test", 1]},
    ],
)
def test_what_is_no_order_for_this_host_is_not_carried_out(
    host: LoneHost, facts: dict[str, Any]
) -> None:
    message_id = host.exim.submit("u@defer.test")

    told = host.act(host.order(message_id, **facts))

    assert told in (None, {message_id: "cancelled"})
    assert frozen(host) == set()


def test_more_messages_than_one_command_takes_are_refused(host: LoneHost) -> None:
    ids = host.exim.copies(host.exim.submit("u@defer.test"), 251)

    told = host.act(host.order(*ids))

    assert told == dict.fromkeys(ids, "refused")
    assert frozen(host) == set()


@pytest.mark.parametrize("text", some(NO_IDS))
def test_no_file_but_a_message_is_read(host: LoneHost, text: str) -> None:
    host.exim.submit("u@defer.test")

    assert host.read(HOST, text, f"request {text}", 1_000) is None


@pytest.mark.parametrize("size", [-1, -(10**6), 0, 10**18])
def test_no_more_is_read_than_there_is_a_limit_for(host: LoneHost, size: int) -> None:
    message_id = host.exim.submit("u@defer.test", body="a" * 50_000)

    answer = host.read(HOST, message_id, f"size {size}", size)

    assert answer["body_bytes"] == 50_001
    assert len(answer["body"]) == (50_001 if size > 0 else 0)


@pytest.mark.parametrize(
    ("task", "arguments"),
    [
        ("mail_host.act", ["{"]),
        ("mail_host.act", ["[" * 100_000]),
        ("mail_host.act", [{"chunk": 1}]),
        ("mail_host.act", []),
        ("mail_host.read", ["mx1", ["1AAAAA-000001-00"], "r", 1]),
        ("mail_host.read", ["mx1", "1AAAAA-000001-00", "r", "all"]),
        ("mail_host.told", [["a", "b"], [1, 2]]),
        ("mail_host.told", [[1], [1, 2, 3]]),
        ("mail_host.held", ["{}"]),
        ("mail_host.no_such", []),
        ("os.system", ["touch pwned"]),
        ("system.tick", []),
        ("messages.expire", []),
    ],
)
def test_host_lives_on_whatever_it_is_told(host: LoneHost, task: str, arguments: list[Any]) -> None:
    host.tell(task, *arguments)

    assert host.act(host.order("1AAAAA-000001-00")) == {"1AAAAA-000001-00": "gone"}


class _Touch:
    """Makes a file when somebody unpacks it."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[Any, tuple[str, ...]]:
        return Path.touch, (self._path,)  # type: ignore[return-value]


def test_what_is_packed_as_a_program_is_not_unpacked(host: LoneHost, tmp_path: Path) -> None:
    body = base64.b64encode(pickle.dumps(([_Touch(tmp_path / "made")], {}, {}))).decode()
    properties = {
        "delivery_tag": "t",
        "delivery_info": {"exchange": "", "routing_key": f"mail.{HOST}"},
        "body_encoding": "base64",
        "delivery_mode": 2,
    }
    headers = {"task": "mail_host.act", "id": "1", "lang": "py", "argsrepr": "", "kwargsrepr": ""}

    host.put(
        {
            "body": body,
            "content-encoding": "binary",
            "content-type": "application/x-python-serialize",
            "headers": headers,
            "properties": properties,
        }
    )

    assert host.act(host.order("1AAAAA-000001-00")) == {"1AAAAA-000001-00": "gone"}
    assert not (tmp_path / "made").exists()
    pickle.loads(base64.b64decode(body))  # it would have
    assert (tmp_path / "made").exists()


def test_record_shows_what_exim_should_not_be_told(exim: EximServer, tmp_path: Path) -> None:
    recorded = RecordedExim(tmp_path, exim)

    subprocess.run([recorded.command, "-bpc"], check=True, capture_output=True)
    assert recorded.strange() == set()
    subprocess.run([recorded.command, "-be", "a\nb"], check=True, capture_output=True)

    assert recorded.strange() == {"-be", "a\nb"}
