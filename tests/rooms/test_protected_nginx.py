"""The example for nginx of docs/protect-a-site.md, run but for its addresses."""

import os
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from shutil import copy

import httpx
import pytest

from tests.deploy.nginx import Nginx
from tests.rooms.protected import ADMIN_KEY, PERSON, example, let_in, make_room
from tests.servers import Process, RedisServer, System, free_port, wait_until

pytestmark = pytest.mark.xdist_group("protected-nginx")
ROOM = "concert-tickets"
_MAIN = """\
{user}
pid {folder}/pid;
daemon off;
error_log stderr info;
events {{ worker_connections 256; }}
http {{
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxied;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/site.conf;
}}
"""


class Inside(BaseHTTPRequestHandler):
    """A site that says for whom it was asked, and knows nothing of rooms."""

    def do_GET(self) -> None:
        body = f"{self.path} {self.headers.get('X-Stanchion-Session-Id', '')}".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_told: object) -> None:
        pass


@pytest.fixture(scope="module")
def stanchion(new_folder: Callable[[str], Path], migrated_file: Path) -> Iterator[System]:
    """An API with the room of the example."""
    if Nginx.program() is None:
        if os.environ.get("CI"):
            pytest.fail("nginx is not installed (Debian: nginx)")
        pytest.skip("nginx is not installed (Debian: nginx)")
    database_url = f"sqlite:///{copy(migrated_file, new_folder('s') / 'stanchion.db')}"
    with (
        RedisServer(new_folder("r")) as server,
        System(
            new_folder("y"),
            database_url=database_url,
            redis_url=server.url,
            processes=("api",),
            settings={"ADMIN_KEY": ADMIN_KEY},
        ) as system,
    ):
        make_room(system, ROOM)
        yield system


@pytest.fixture(scope="module")
def access_log(new_folder: Callable[[str], Path]) -> Path:
    """Where nginx writes who asked for what."""
    return new_folder("l") / "access.log"


@pytest.fixture(scope="module")
def nginx(stanchion: System, access_log: Path, new_folder: Callable[[str], Path]) -> Iterator[str]:
    """The address of a site behind the example's nginx."""
    folder, port = new_folder("n"), free_port()
    with ThreadingHTTPServer(("127.0.0.1", 0), Inside) as inside:
        threading.Thread(target=inside.serve_forever, daemon=True).start()
        text = example("nginx", "auth_request")
        for old, new in (
            ("listen 8090;", f"listen 127.0.0.1:{port};"),
            ("/var/log/nginx/access.log", str(access_log)),
            ("http://127.0.0.1:8080", stanchion.url),
            ("http://127.0.0.1:8000", f"http://127.0.0.1:{inside.server_port}"),
        ):
            assert old in text
            text = text.replace(old, new)
        (folder / "site.conf").write_text(text)
        user = "user root;" if os.geteuid() == 0 else ""
        (folder / "nginx.conf").write_text(_MAIN.format(folder=folder, user=user))
        process = Process(
            [str(Nginx.program()), "-c", f"{folder}/nginx.conf"], log_path=folder / "log"
        )
        url = f"http://127.0.0.1:{port}"
        answers = lambda: httpx.get(f"{url}/static/").is_success  # noqa: E731
        wait_until(answers, "nginx answers", process=process)
        yield url
        process.stop()
        inside.shutdown()


def test_who_shows_no_session_is_led_to_the_room(nginx: str, stanchion: System) -> None:
    led = httpx.get(f"{nginx}/buy?seat=7&row=b%26c", headers=PERSON)

    assert led.status_code == 303
    there = f"{stanchion.url}/wait/{ROOM}?to=%2Fbuy%3Fseat%3D7%26row%3Db%2526c"
    assert led.headers["location"] == there


def test_a_program_is_told_401_and_what_is_excluded_needs_nothing(nginx: str) -> None:
    assert httpx.get(f"{nginx}/api/seats").status_code == 401
    assert httpx.get(f"{nginx}/static/a.css").text.strip() == "/static/a.css"


@pytest.mark.parametrize(
    ("before", "after", "clean"),
    [
        ("/buy?", "", "/buy"),
        ("/buy?", "&seat=%207", "/buy?seat=%207"),
        ("/buy?seat=7&", "", "/buy?seat=7"),
        ("/buy?a=1&", "&b=2", "/buy?a=1&b=2"),
        ("//evil.example/?", "", "/"),
    ],
)
def test_a_session_in_the_address_goes_into_a_cookie(
    nginx: str, stanchion: System, before: str, after: str, clean: str
) -> None:
    token = let_in(stanchion, ROOM)["session_token"]

    led = httpx.get(f"{nginx}{before}stanchion_session={token}{after}", headers=PERSON)

    assert led.status_code == 303
    assert led.headers["location"].removeprefix(nginx) == clean
    cookie = led.headers["set-cookie"].partition(";")[0]
    assert cookie == f"stanchion_session={token}"
    inside = httpx.get(f"{nginx}/buy", headers={**PERSON, "Cookie": cookie})
    path, _, session_id = inside.text.partition(" ")
    assert (inside.status_code, path, len(session_id)) == (200, "/buy", 36)


def test_no_token_is_in_the_log(nginx: str, stanchion: System, access_log: Path) -> None:
    token = let_in(stanchion, ROOM)["session_token"]

    httpx.get(f"{nginx}/logged?stanchion_session={token}", headers=PERSON)

    logged = lambda: '"GET /logged" 303' in access_log.read_text()  # noqa: E731
    wait_until(logged, "the request is in the log")
    assert token not in access_log.read_text()


def test_what_is_no_token_gets_nobody_in(nginx: str) -> None:
    led = httpx.get(f"{nginx}/?stanchion_session=a;Domain=evil", headers=PERSON)
    assert "evil" not in led.headers["set-cookie"]

    shown = {**PERSON, "Cookie": "stanchion_session=x.y.z", "X-Stanchion-Session-Id": "forged"}
    assert httpx.get(f"{nginx}/", headers=shown).status_code == 303
