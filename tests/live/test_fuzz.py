"""Whatever a client says on a live connection: an answer or a close with a code, and no harm.

Each address and namespace is fed with words it knows around data of any shape, and with what is no
frame at all. After each the connection says something that makes sense, or was closed by a code;
the server logged no failure, is as large as before, and serves others.
"""

import ast
import json
import os
import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import httpx
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from api.auth.table import SOCKETS, SocketRow
from api.live.wire import CloseCode
from api.messages.frames import SHAPES
from tests.live.clients import PATIENCE_S
from tests.live.conftest import Live
from tests.people.conftest import ADMIN_PASSWORD
from tests.processes import children_of
from tests.rooms.protected import ADMIN_KEY, make_room
from tests.servers import ROOT

MESSAGE_BYTES_MAX: Final = 16_384
GROWTH_MIB_MAX: Final = 48
ROOM: Final = "fuzzed"
# A close by which a client is told what it did, and those of the protocol itself: bad frames, bad
# UTF-8. That the server failed (1011) or hung up without a word (1006) is not among them.
CODES: Final = {int(code) for code in CloseCode if code is not CloseCode.FAILED} | {1002, 1007}


@dataclass(frozen=True)
class Spoken:
    """What is understood in one place: the module that listens, and its words."""

    module: str
    words: frozenset[str]


def words(module: str, *names: str) -> Spoken:
    return Spoken(module, frozenset(names))


_CHANNEL: Final = ("ping",)  # of every channel on a raw WebSocket
# By namespace or path; test_each_word_is_fuzzed fails when one is missing.
TABLE: Final[dict[str, Spoken]] = {
    "/messages": words("api/messages/events.py", "subscribe", "unsubscribe"),
    "/ws/messages": words("api/messages/events.py", "subscribe", "unsubscribe"),
    "/api/queue/stream": words(
        "api/messages/frames.py", "ack", "nack", "touch", "prefetch", "ping"
    ),
    "/ws": words("api/mail/live.py", "auth", "ping", "subscribe", "unsubscribe"),
    "/mail": words("api/mail/live.py"),
    "/ws/queue": words(
        "api/tickets/live.py", "subscribe-counter", "unsubscribe-counter", "heartbeat"
    ),
    "/rooms": words("api/rooms/console.py", "heartbeat", "subscribe", "unsubscribe"),
    "/ws/queues/{queue_id}": words("api/rooms/live.py", "heartbeat", "ping"),
    "/api/v1/ws/queues/{queue_id}": words("api/rooms/live.py", "heartbeat", "ping"),
    "/ops": words("api/ops/live.py"),
}
# What is said before it is known who is there, and on every channel's WebSocket.
EVERYWHERE: Final = {"api/live/conversation.py": {"auth"}, "api/live/websocket.py": {"ping"}}


def places_of(row: SocketRow) -> list[str]:
    return [each for each in (row.namespace, row.path) if each]


PATHS: Final = [row.path for row in SOCKETS if row.path]
NAMESPACES: Final = [row.namespace for row in SOCKETS if row.namespace]


# That nothing is left out ----------------------------------------------------------------------


def heard_by(module: Path) -> set[str]:
    """Return the words of a module: keys of `handlers`, and what `.type` is compared to."""
    found = set()
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.keyword) and node.arg == "handlers":
            found |= {key.value for key in getattr(node.value, "keys", ()) if is_text(key)}
        is_type = isinstance(node, ast.Compare) and isinstance(node.left, ast.Attribute)
        if is_type and node.left.attr == "type" and getattr(node.left.value, "id", "") in SAYERS:
            found |= {each.value for each in node.comparators if is_text(each)}
    return found


SAYERS: Final = {"said", "first"}


def is_text(node: Any) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def test_each_place_is_fuzzed() -> None:
    assert sorted(TABLE) == sorted(place for row in SOCKETS for place in places_of(row))


def test_each_word_is_fuzzed() -> None:
    modules = (path for path in (ROOT / "api").rglob("*.py"))
    heard = {str(path.relative_to(ROOT)): heard_by(path) for path in modules}
    heard["api/messages/frames.py"] = set(SHAPES)

    fuzzed: dict[str, set[str]] = {name: set(each) for name, each in EVERYWHERE.items()}
    for spoken in TABLE.values():
        fuzzed.setdefault(spoken.module, set()).update(spoken.words)
    assert {name: each for name, each in heard.items() if each} == {
        name: each for name, each in fuzzed.items() if each
    }


# What is said ----------------------------------------------------------------------------------

_scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=40)
    | st.sampled_from(["\0", "../../etc/passwd", "%s%n", "\ud7ff", "9" * 400, "all", "1", "0-0"])
)
_names = st.sampled_from(
    [
        *("id", "ids", "types", "counter_id", "branch_id", "queue_id", "endpoint", "prefetch"),
        *("lock_token", "token", "offset", "pid", "ref", "error", "delay_seconds", "data", "type"),
    ]
)
_values = st.recursive(
    _scalars,
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.dictionaries(_names | st.text(max_size=8), inner, max_size=5)
    ),
    max_leaves=12,
)
_deep = st.integers(10, 7_000).flatmap(
    lambda depth: st.sampled_from(["[" * depth, "[" * depth + "]" * depth, '{"a":' * depth])
)
_oversize = st.integers(MESSAGE_BYTES_MAX - 20, MESSAGE_BYTES_MAX * 5).map("x".__mul__)


def texts(known: frozenset[str]) -> st.SearchStrategy[str | bytes]:
    """Return what may be said on a raw WebSocket whose words are these."""
    word = st.sampled_from(sorted(known | {"auth", "ping", "nothing"})) | _values
    framed = st.fixed_dictionaries(
        {"type": word},
        optional={"data": _values, "endpoint": _values, "ref": _values, "offset": _values},
    ).map(json.dumps)
    nested = st.builds('{{"type":{},"data":{}'.format, word.map(json.dumps), _deep)
    cut = st.builds(lambda text, share: text[: int(len(text) * share)], framed, st.floats(0, 1))
    return framed | framed | cut | nested | _deep | _oversize | st.text() | st.binary(max_size=40)


def packets(namespace: str, known: frozenset[str]) -> st.SearchStrategy[str | bytes]:
    """Return what may be said in a namespace of Socket.IO, well formed or nearly so."""
    word = st.sampled_from(sorted(known | {"nothing"})) | _values
    data = st.builds(
        lambda name, more: json.dumps([name, *more]), word, st.lists(_values, max_size=3)
    )
    number = st.sampled_from(["", "1", "0", "99999999999999999999", "-1"])
    kind = st.sampled_from(
        ["42", "42", "42", "40", "41", "43", "44", "451-", "46", "4", "450-", "459999999-"]
    )
    where = st.sampled_from([f"{namespace},", f"{namespace}?a=b,", "/none,", "", ","])
    body = data | _values.map(json.dumps) | _deep
    made = st.builds(lambda *parts: "".join(parts), kind, where, number, body)
    engine = st.builds("{}{}".format, st.integers(0, 12), st.text(max_size=20))
    return made | made | engine | _deep | _oversize | st.text() | st.binary(max_size=40)


# Where it is said ------------------------------------------------------------------------------


@dataclass
class Site:
    """An API that is fuzzed, and who may speak everywhere in it."""

    live: Live
    cookie: str
    visitor: str

    def open(self, path: str) -> ClientConnection:
        path = path.replace("{queue_id}", ROOM)
        if "queues/" in path:
            path += f"?token={self.visitor}"
        # Programs consume, and whoever shows a session is none.
        headers = {} if "stream" in path else {"Cookie": f"session_id={self.cookie}"}
        return connect(
            self.live.url.replace("http", "ws", 1) + path,
            compression=None,
            additional_headers=headers,
            close_timeout=1,  # who was cut off may get no good-bye through
        )

    def memory_mib(self) -> float:
        pids = [self.api.pid, *children_of(self.api.pid)]
        pages = [int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in pids]
        return sum(pages) * os.sysconf("SC_PAGE_SIZE") / 1_048_576

    @property
    def api(self) -> Any:
        return self.live.system.running["api"]

    def faults(self) -> list[str]:
        """Return what the server logged of failures of its own."""
        lines = self.api.log().splitlines()
        bad = ('"level": "error"', '"level":"error"', "Traceback", '"exception"')
        return [line[:2_000] for line in lines if any(each in line for each in bad)]


@pytest.fixture(scope="module")
def fuzzed(_start: Callable[..., Live]) -> Iterator[Site]:
    """An API whose admin is logged in, with a visitor in a room; who talks fast is let."""
    with ExitStack() as stack:
        live = _start(
            stack,
            ADMIN_PASSWORD=ADMIN_PASSWORD,
            ADMIN_KEY=ADMIN_KEY,
            SOCKET_MESSAGES_PER_S="1000",
            HEARTBEATS_PER_MINUTE_MAX="100000",
        )
        make_room(live.system, ROOM, admission_rate=0.001, max_active_users=1)
        joined = [httpx.post(f"{live.url}/api/v1/queues/{ROOM}/enqueue").json() for _ in range(2)]
        login = {"username": "admin", "password": ADMIN_PASSWORD}
        answer = httpx.post(f"{live.url}/api/v1/auth/login", json=login)
        yield Site(live, answer.cookies["session_id"], joined[-1]["token"])


FUZZ: Final = settings(
    max_examples=30,
    deadline=None,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


def say_all(connection: ClientConnection, said: list[str | bytes], probe: str, answer: str) -> None:
    """Say everything; then the probe is answered, or the connection was closed by a code."""
    try:
        for each in said:
            connection.send(each)
        connection.send(probe)
        while answer not in str(connection.recv(timeout=PATIENCE_S)):
            pass
    except ConnectionClosed:
        assert connection.close_code in CODES, said


@pytest.mark.parametrize("path", PATHS)
def test_who_makes_sense_on_a_websocket_is_answered(fuzzed: Site, path: str) -> None:
    with fuzzed.open(path) as connection:
        connection.send(json.dumps({"type": "ping", "data": {}}))
        while '"pong"' not in str(connection.recv(timeout=PATIENCE_S)):
            pass


@pytest.mark.parametrize("namespace", NAMESPACES)
def test_who_makes_sense_in_a_namespace_is_let_in(fuzzed: Site, namespace: str) -> None:
    with fuzzed.open("/socket.io/?EIO=4&transport=websocket") as connection:
        connection.send(f"40{namespace},")
        told = str(connection.recv(timeout=PATIENCE_S))
        while told.startswith("0"):
            told = str(connection.recv(timeout=PATIENCE_S))

    assert told.startswith(f"40{namespace},")


@pytest.mark.parametrize("path", PATHS)
def test_whatever_is_said_on_a_websocket_is_answered_or_closes_it(fuzzed: Site, path: str) -> None:
    probe = json.dumps({"type": "ping", "data": {"n": 424_242}})

    @FUZZ
    @given(st.lists(texts(TABLE[path].words), min_size=1, max_size=6))
    def fuzz(said: list[str | bytes]) -> None:
        with fuzzed.open(path) as connection:
            say_all(connection, said, probe, '"pong"')

    fuzz()

    assert fuzzed.faults() == []
    assert httpx.get(f"{fuzzed.live.url}/health").status_code == httpx.codes.OK


@pytest.mark.parametrize("text", ['{"type":5, ', '{"type":[1]}', '{"type":{"a":1},"data":[]}'])
def test_a_consumer_with_a_word_of_no_kind_is_told_or_closed(fuzzed: Site, text: str) -> None:
    with fuzzed.open("/api/queue/stream") as connection:
        say_all(connection, [text], '{"type":"ping","data":1}', '"pong"')

    assert fuzzed.faults() == []


@pytest.mark.parametrize("namespace", NAMESPACES)
def test_whatever_is_said_in_a_namespace_is_answered_or_closes_it(
    fuzzed: Site, namespace: str
) -> None:
    joins = st.just(f"40{namespace},") | _values.map(
        lambda data: f"40{namespace},{json.dumps(data)}"
    )

    @FUZZ
    @given(joins, st.lists(packets(namespace, TABLE[namespace].words), max_size=6))
    def fuzz(join: str, said: list[str | bytes]) -> None:
        with fuzzed.open("/socket.io/?EIO=4&transport=websocket") as connection:
            say_all(connection, [join, *said], "40/no-such-place,", "no namespace /no-such-place")

    fuzz()

    assert fuzzed.faults() == []
    assert httpx.get(f"{fuzzed.live.url}/health").status_code == httpx.codes.OK


def test_whatever_is_posted_to_socketio_is_answered_below_500(fuzzed: Site) -> None:
    address = f"{fuzzed.live.url}/socket.io/"
    session = httpx.Client(cookies={"session_id": fuzzed.cookie}, timeout=PATIENCE_S)

    @FUZZ
    @given(
        st.lists(packets("/messages", TABLE["/messages"].words), min_size=1, max_size=20),
        st.sampled_from(["{sid}", "", "x", "{sid}&j=0", "{sid}&transport=websocket", "\0"]),
    )
    def fuzz(said: list[str | bytes], shown: str) -> None:
        opened = session.get(address, params={"EIO": "4", "transport": "polling"})
        sid = json.loads(opened.text[1:])["sid"]
        parts = [
            each if isinstance(each, bytes) else each.encode("utf-8", "replace") for each in said
        ]
        query = f"EIO=4&transport=polling&sid={httpx.QueryParams({'': shown})}"
        query = query.replace("sid==", "sid=").replace("%7Bsid%7D", sid)
        answer = session.post(f"{address}?{query}", content=b"\x1e".join(parts))
        assert answer.status_code < httpx.codes.INTERNAL_SERVER_ERROR, (said, answer.text)

    with session:
        fuzz()

    assert fuzzed.faults() == []


@pytest.mark.parametrize("path", PATHS)
def test_whatever_stands_in_the_address_is_answered(fuzzed: Site, path: str) -> None:
    headers = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
        "Cookie": f"session_id={fuzzed.cookie}",
    }

    @settings(FUZZ, max_examples=20)
    @given(st.dictionaries(_names, _scalars.map(str), max_size=4), st.text(min_size=1, max_size=20))
    def fuzz(query: dict[str, str], segment: str) -> None:
        named = path.replace("{queue_id}", quote(segment, safe=""))
        address = f"{fuzzed.live.url}{named}"
        with httpx.stream("GET", address, params=query, headers=headers) as answer:
            assert answer.status_code < httpx.codes.INTERNAL_SERVER_ERROR

    fuzz()

    assert fuzzed.faults() == []


# Floods ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def flooded(_start: Callable[..., Live]) -> Iterator[Site]:
    """An API with the limits that it has unless somebody changes them."""
    with ExitStack() as stack:
        live = _start(stack, ADMIN_PASSWORD=ADMIN_PASSWORD, ADMIN_KEY=ADMIN_KEY)
        make_room(live.system, ROOM, admission_rate=0.001, max_active_users=1)
        joined = [httpx.post(f"{live.url}/api/v1/queues/{ROOM}/enqueue").json() for _ in range(2)]
        login = {"username": "admin", "password": ADMIN_PASSWORD}
        answer = httpx.post(f"{live.url}/api/v1/auth/login", json=login)
        yield Site(live, answer.cookies["session_id"], joined[-1]["token"])


# A consumer acknowledges as fast as it can: what it has in hand is bounded, and not its pace.
UNHURRIED = ("/api/queue/stream",)
SILENCE_S = 2.0  # after which it has answered all


@pytest.mark.parametrize("place", [*PATHS, *NAMESPACES])
def test_a_flood_is_cut_off_and_leaves_nothing_behind(flooded: Site, place: str) -> None:
    is_namespace = place in NAMESPACES
    known = sorted(TABLE[place].words) or ["nothing"]
    order = random.Random(place)

    def flood() -> None:
        path = "/socket.io/?EIO=4&transport=websocket" if is_namespace else place
        with flooded.open(path) as connection:
            if is_namespace:
                connection.send(f"40{place},")
            try:
                for _ in range(1_000):
                    word, pad = order.choice(known), "x" * order.randrange(4_000)
                    event = f"42{place},{json.dumps([word, {'id': pad}])}"
                    frame = json.dumps({"type": word, "data": [{"id": pad}], "endpoint": pad})
                    connection.send(event if is_namespace else frame)
                while True:
                    connection.recv(timeout=SILENCE_S if place in UNHURRIED else PATIENCE_S)
            except ConnectionClosed:
                assert connection.close_code in CODES
            except TimeoutError:
                assert place in UNHURRIED

    flood()
    before = flooded.memory_mib()
    for _ in range(2):
        flood()

    assert flooded.memory_mib() - before < GROWTH_MIB_MAX
    assert flooded.faults() == []
    assert httpx.get(f"{flooded.live.url}/health").status_code == httpx.codes.OK
