"""The table of who may: its page, its reach, and each line against each kind of credential."""

import contextlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import falcon.asgi
import falcon.inspect
import httpx
import pytest
from websockets.exceptions import ConnectionClosed

from api.app import Application, Stores
from api.auth.limits import TABLE as LIMITS
from api.auth.table import SOCKETS, TABLE, Row, SocketRow, Who, who_may
from api.http.paths import PathTable
from models.clock import now_ms
from models.database import Database
from models.people.rules import Role, Scope
from models.redis import connect_async
from models.secrets import Secrets
from models.settings import load_settings
from tests.live.clients import raw
from tests.people.conftest import ADMIN_KEY, ADMIN_PASSWORD, SECRET_KEY, log_in, token_of
from tests.servers import System

# The guard stands before every database.
pytestmark = pytest.mark.on_sqlite

PAGE = (Path(__file__).resolve().parent.parent.parent / "docs" / "security.md").read_text()
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
PASSWORD = "a password of the tests"


# The page ------------------------------------------------------------------------------------


def test_the_page_shows_the_table() -> None:
    shown = re.findall(r"^\| (`/.*) \| (.*) \| (.*) \|$", PAGE, re.MULTILINE)

    assert shown == [
        (
            ", ".join(f"`{path}`" for path in row.paths),
            ", ".join(row.methods) or "all others",
            str(row.who),
        )
        for row in TABLE
    ]


def test_the_page_shows_the_sockets() -> None:
    cell = r"(?:`(/\S*)`|none)"
    shown = re.findall(rf"^\| (\w+) \| {cell} \| {cell} \| (.*) \|$", PAGE, re.MULTILINE)

    assert shown == [
        (row.domain, row.namespace or "", row.path or "", str(row.who)) for row in SOCKETS
    ]


def test_the_page_lists_each_limit_with_its_setting() -> None:
    shown = re.findall(r"^\| (\w+) \| `STANCHION_(\w+)` \| (\w+) \|", PAGE, re.MULTILINE)

    assert shown == [(row.name, row.setting.upper(), row.by.value) for row in LIMITS if row.setting]


# Looking up ----------------------------------------------------------------------------------


@pytest.fixture
def table() -> PathTable[str]:
    made = PathTable[str]()
    made.add("/", ("GET",), "start")
    made.add("/a", (), "a")
    made.add("/a", ("GET",), "get a")
    made.add("/a/b", ("POST",), "post b")
    made.add("/a/*/c", (), "c")
    return made


@pytest.mark.parametrize(
    ("method", "path", "found"),
    [
        ("GET", "/", "start"),
        ("POST", "/", None),
        ("GET", "/other", None),
        ("POST", "/a", "a"),
        ("GET", "/a", "get a"),
        ("GET", "/a/", "get a"),
        ("GET", "/ab", None),
        ("POST", "/a/b", "post b"),
        ("GET", "/a/b", "get a"),
        ("POST", "/a/b/x/y", "post b"),
        ("POST", "/a/x", "a"),
        ("GET", "/a/x/c", "c"),
        ("GET", "/a/x/c/d", "c"),
    ],
)
def test_the_longest_path_decides(
    table: PathTable[str], method: str, path: str, found: str | None
) -> None:
    assert table.find(path, method) == found


def test_a_path_and_method_are_said_once(table: PathTable[str]) -> None:
    with pytest.raises(ValueError, match="/a/b is there twice for POST"):
        table.add("/a/b", ("POST",), "again")


@pytest.mark.parametrize(
    "listed", ["main", "delayed", "processing", "dead", "acknowledged", "archived"]
)
@pytest.mark.parametrize("below", ["", "/export"])
def test_a_viewer_may_look_at_every_list_of_messages(listed: str, below: str) -> None:
    line = who_may().find(f"/api/queue/{listed}/messages{below}", "GET")

    assert line is not None
    assert Role.VIEWER in line.who.roles


# Its reach -----------------------------------------------------------------------------------


@pytest.fixture
def application(tmp_path: Path) -> Iterator[Application]:
    settings = load_settings({"STANCHION_DATA": str(tmp_path)})
    database = Database(settings.database_url, connections_max=4, timeout_s=1)
    yield Application(
        settings,
        Secrets(admin_key=ADMIN_KEY, admin_password=ADMIN_PASSWORD),
        Stores(
            database=database,
            redis=connect_async(settings.redis_url),
            redis_for_waiting=connect_async(settings.redis_url),
        ),
        process=0,
        now_ms=now_ms,
        version="0",
        broker_check=None,
        is_multiprocess=False,
    )
    database.close()


async def test_each_route_has_its_line(application: Application) -> None:
    laid_out = who_may()
    routes = falcon.inspect.inspect_routes(application._app)

    unlisted = [
        f"{method.method} {route.path}"
        for route in routes
        for method in route.methods
        if not method.internal
        and laid_out.find(re.sub(r"{[^}]*}", "x", route.path), method.method) is None
    ]

    assert len(routes) > 20
    assert unlisted == []


async def test_each_socket_has_its_line_and_each_line_its_socket(application: Application) -> None:
    served = [talker.at for talker in application._live.talkers]

    assert sorted(map(str, served)) == sorted(map(str, SOCKETS))


async def test_a_resource_without_a_line_is_nobodys(application: Application) -> None:
    application._app.add_route("/forgotten", _Forgotten())
    transport = httpx.ASGITransport(application)

    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        answer = await client.get("/forgotten", headers={"X-Admin-Key": ADMIN_KEY})
        nowhere = await client.get("/nowhere")

    assert (answer.status_code, nowhere.status_code) == (403, 404)


class _Forgotten:
    async def on_get(self, _req: object, resp: falcon.asgi.Response) -> None:
        resp.text = "seen"


# Each line, each credential ------------------------------------------------------------------


@dataclass(frozen=True)
class Shown:
    """What a request shows, and what it is worth."""

    name: str
    headers: dict[str, str] = field(default_factory=dict)
    role: Role | None = None
    scope: Scope | None = None
    is_admin_key: bool = False
    is_wrong: bool = False  # a key or token that is none: a socket refuses it, whoever may come in
    admin_scope: Scope | None = None  # of a key that is shown in X-Admin-Key

    def opens(self, who: Who) -> bool:
        return (
            who.everybody
            or self.role in who.roles
            or self.scope in who.scopes
            or (who.admin_key and (self.is_admin_key or self.admin_scope in who.scopes))
        )


@pytest.fixture(scope="module")
def shown(running: System) -> list[Shown]:
    """Each kind of credential once, good ones and bad ones."""
    made = [
        Shown("nothing"),
        Shown("a wrong key", {"X-API-KEY": "stn_wrong"}, is_wrong=True),
        Shown("a wrong admin key", {"X-Admin-Key": "wrong"}),
        Shown("a wrong token", {"Authorization": "Bearer a.b.c"}, is_wrong=True),
        Shown("a session that never was", {"Cookie": "session_id=" + "0" * 64}),
        Shown("SECRET_KEY", {"X-API-KEY": SECRET_KEY}, scope=Scope.MESSAGES),
        Shown("SECRET_KEY as admin key", {"X-Admin-Key": SECRET_KEY}),
        Shown("ADMIN_KEY", {"X-Admin-Key": ADMIN_KEY}, is_admin_key=True),
        Shown("ADMIN_KEY as API key", {"X-API-KEY": ADMIN_KEY}, is_wrong=True),
    ]
    admin = {"X-Admin-Key": ADMIN_KEY}
    with httpx.Client(base_url=running.url, timeout=20) as client:
        for scope in Scope:
            body = {"name": scope.value, "scope": scope.value}
            answer = client.post("/api/v1/auth/keys", json=body, headers=admin)
            key = answer.raise_for_status().json()["data"]["key"]
            made.append(Shown(f"key of {scope}", {"X-API-KEY": key}, scope=scope))
            is_admin = scope is Scope.ADMIN
            made.append(
                Shown(
                    f"admin key of {scope}",
                    {"X-Admin-Key": key},
                    is_admin_key=is_admin,
                    admin_scope=scope,
                )
            )
        for role in Role:
            name = f"a-{role}"
            body = {"username": name, "password": PASSWORD, "role": role.value}
            client.post("/api/v1/auth/users", json=body, headers=admin).raise_for_status()
            token = token_of(client, name, PASSWORD)
            bearer = {"Authorization": f"Bearer {token}"}
            made.append(Shown(f"token of {role}", bearer, role=role))
            log_in(client, name, PASSWORD).raise_for_status()
            cookie = {"Cookie": f"session_id={client.cookies['session_id']}"}
            made.append(Shown(f"session of {role}", cookie, role=role))
            client.cookies.clear()
    return made


@pytest.mark.parametrize("row", TABLE, ids=lambda row: f"{row.paths[0]} {' '.join(row.methods)}")
def test_each_line_lets_in_whom_it_names_and_nobody_else(
    client: httpx.Client, shown: list[Shown], row: Row
) -> None:
    laid_out, wrong = who_may(), []
    for index, path in enumerate(row.paths):
        below = path if path == "/" else path.replace("*", "7") + "/nothing-is-here"
        if path.startswith("/api/v1/"):
            below += "/at-all"  # a session's id may be anything, and the room asks for its token
        [method] = [each for each in METHODS if laid_out.find(below, each) is row][:1]
        # Ways to write the same path share their line: the bare and the best are enough there.
        for each in shown if index == 0 else (shown[0], shown[7], shown[-1]):
            # From another machine, or `this machine` would open what nobody else may see.
            headers = {"X-Forwarded-For": "203.0.113.9", **each.headers}
            answer = client.request(method, below, headers=headers)
            is_in = answer.status_code not in {401, 403}
            if is_in != each.opens(row.who):
                wrong.append((method, below, each.name, answer.status_code))

    assert wrong == []


@pytest.mark.parametrize("row", SOCKETS, ids=lambda row: row.namespace or row.path)
def test_each_socket_lets_in_whom_its_line_names_and_nobody_else(
    running: System, shown: list[Shown], row: SocketRow
) -> None:
    wrong = []
    for each in shown:
        ways = {}
        if row.path is not None:
            ways["WebSocket"] = opens_websocket(running, row.path, each.headers)
        if row.namespace is not None:
            ways["Socket.IO"] = opens_namespace(running, row.namespace, each.headers)
        may = each.opens(row.who) and not each.is_wrong
        wrong += [(each.name, way) for way, is_in in ways.items() if is_in != may]

    assert wrong == []


def opens_websocket(running: System, path: str, headers: dict[str, str]) -> bool:
    path = re.sub(r"{[^}]*}", "x", path)
    with raw(running.url, path, additional_headers=headers) as client:
        with contextlib.suppress(ConnectionClosed):
            client.say("auth", {})  # of no interest to who is in, the last word of who is not
        return client.next()["type"] == "connected" or client.closed() not in {4401, 4403, 4404}


def opens_namespace(running: System, namespace: str, headers: dict[str, str]) -> bool:
    address = f"{running.url}/socket.io/?EIO=4&transport=polling"
    with httpx.Client(headers=headers, timeout=20) as http:
        session = json.loads(http.get(address).text[1:])["sid"]
        http.post(f"{address}&sid={session}", content=f"40{namespace},").raise_for_status()
        answer = http.get(f"{address}&sid={session}").text
    return answer.startswith(f"40{namespace},")


def test_this_machine_needs_no_key_where_the_line_says_so(client: httpx.Client) -> None:
    assert client.get("/metrics").status_code == 200
    assert client.get("/metrics", headers={"X-Forwarded-For": "junk"}).status_code == 403


def test_a_browser_may_ask_what_it_may_ask(client: httpx.Client) -> None:
    answer = client.options("/api/queue/message")

    assert answer.status_code == 200
    assert "POST" in answer.headers["Allow"]


@pytest.mark.parametrize(
    "path",
    [
        "//api/queue/metrics",
        "/api//queue/metrics",
        "/api/queue/metrics/",
        "/api/%71ueue/metrics",
        "/api/queue%2Fmetrics",
        "/api/./queue/metrics",
        "/foo/../api/queue/metrics",
        "/API/queue/metrics",
        "/api/queue;/metrics",
        "/api/queue/metrics%00",
    ],
)
def test_no_way_of_writing_a_path_walks_around_the_guard(running: System, path: str) -> None:
    host = running.url.removeprefix("http://")
    connection = httpx.HTTPTransport()
    url = httpx.URL(scheme="http", host=host.split(":")[0], port=int(host.split(":")[1]))
    request = httpx.Request("GET", url.copy_with(raw_path=path.encode()))

    answer = connection.handle_request(request)

    assert answer.status_code in {401, 403, 404}
    connection.close()
