"""Who needs which rights: the host's process Exim's group and no more, the API none at all."""

import contextlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import httpx
import pytest

from models.mail.exim import Exim
from tests.mail.exim_server import EximServer, Sink, require_exim
from tests.mail.host_pair import open_tcp
from tests.mail.mail_system import PASSWORD, MailSystem
from tests.mail.plain_user import (
    EXIM_GROUP,
    LOG_GROUP,
    USER,
    PlainUser,
    let_log_be_read,
    require_other_users,
    rights_of,
)
from tests.servers import ROOT, Process, RedisServer, System, wait_until

pytestmark = pytest.mark.on_sqlite

EXIM = "/usr/sbin/exim4"
# Notes every program that this interpreter starts.
_WITNESS = """
import sys

_STARTS = {"subprocess.Popen", "os.exec", "os.posix_spawn", "os.spawn", "os.system", "pty.spawn"}


def _note(event, args):
    if event in _STARTS:
        with open(%r, "a") as file:
            file.write(f"{event} {args}\\n")


sys.addaudithook(_note)
"""


class PlainHouse(MailSystem):
    """A house none of whose processes is root: the host's are `insider`, the others `stranger`."""

    insider: PlainUser
    stranger: PlainUser
    watch: Process
    api: Process
    started: Path  # programs that the API started


@pytest.fixture(scope="module")
def running(
    new_database_url: Callable[[], str], new_folder: Callable[[str], Path]
) -> Iterator[PlainHouse]:
    """The API as somebody who has nothing to do with Exim, mail-watch as a member of its group."""
    require_exim()
    require_other_users()
    with contextlib.ExitStack() as stack:
        sink = stack.enter_context(Sink())
        exim = EximServer(new_folder("e"), sink_port=sink.port)
        let_log_be_read(exim)
        redis_server = stack.enter_context(RedisServer(new_folder("r")))
        broker = {"REDIS_URL": f"redis://127.0.0.1:{open_tcp(redis_server)}/0"}
        stranger = PlainUser(new_folder("u"), exim)
        url = new_database_url()
        stranger.own(Path(url.removeprefix("sqlite:///")).parent)
        system = System(
            new_folder("y"), database_url=url, redis_url=broker["REDIS_URL"], processes=()
        )
        settings = {
            **broker,
            "DATABASE_URL": url,
            "BIND": system.url.removeprefix("http://"),
            "ADMIN_PASSWORD": PASSWORD,
            "EXIM": EXIM,
        }
        api = stranger.start("api", settings=settings, site=witness(stranger.home))
        stack.callback(api.stop)
        stack.callback(stranger.start("worker", settings=settings).stop)
        insider = PlainUser(new_folder("u"), exim, (EXIM_GROUP, LOG_GROUP))
        watch = insider.start(
            *("mail-watch", "--host", "mx1"),
            settings={**broker, "EXIM": EXIM},
            flags=capabilities_of_the_unit(),
        )
        stack.callback(watch.stop)
        wait_until(lambda: httpx.get(f"{system.url}/health").is_success, "it serves", process=api)
        made = PlainHouse(system, exim, sink)
        stack.callback(made.http.close)
        made.insider, made.stranger, made.watch, made.api = insider, stranger, watch, api
        made.started = stranger.home / "started"
        hosts = lambda: made.http.get("/api/v1/queue/hosts").json()["data"]["hosts"]  # noqa: E731
        wait_until(hosts, "a host is known", process=watch)
        yield made


def capabilities_of_the_unit() -> list[str]:
    """Return how setpriv leaves what the unit of a mail host leaves to who becomes root in it."""
    unit = (ROOT / "deploy" / "systemd" / "stanchion-mail-watch.service").read_text()
    [names] = re.findall(r"^CapabilityBoundingSet=(.+)$", unit, re.MULTILINE)
    kept = [f"+{name.removeprefix('CAP_').lower()}" for name in names.split()]
    return [f"--bounding-set={','.join(['-all', *kept])}"]


def witness(folder: Path) -> Path:
    """Make a folder of which an interpreter that starts learns to note what it starts."""
    (folder / "site").mkdir()
    (folder / "site" / "sitecustomize.py").write_text(_WITNESS % str(folder / "started"))
    return folder / "site"


@pytest.fixture
def house(running: PlainHouse) -> PlainHouse:
    """The house, its queue empty."""
    running.exim.empty()
    running.wait_for()
    return running


def ask(house: PlainHouse, method: str, path: str, body: object = None) -> httpx.Response:
    return house.http.request(method, f"/api/v1/queue/{path}".rstrip("/"), json=body)


def state(house: PlainHouse) -> list[str]:
    """Return what Exim itself, asked by root, says of the queue."""
    return [repr(each) for each in Exim(house.exim.command).listing()]


def test_nobody_is_root(house: PlainHouse) -> None:
    watch, api = rights_of(house.watch), rights_of(house.api)

    for rights in (watch, api):
        assert set(rights["Uid"].split()) == {str(house.insider.uid)}
        assert rights["CapEff"] == rights["CapPrm"] == "0" * 16
    assert set(map(int, watch["Groups"].split())) == house.insider.gids
    assert api["Groups"] == ""


def test_member_of_exims_group_can_do_everything(house: PlainHouse) -> None:
    message_id = house.exim.submit("u@defer.test", "v@defer.test", body="what is said\n")
    house.wait_for(message_id)
    one = {"message_id": message_id}

    content = house.http.get(f"/api/v1/messages/{message_id}/content").json()["data"]
    answers = [
        ask(house, "POST", "actions/freeze", one),
        ask(house, "POST", "actions/thaw", one),
        ask(house, "POST", f"{message_id}/recipients", {"addresses": ["w@defer.test"]}),
        ask(house, "DELETE", f"{message_id}/recipients", {"addresses": ["v@defer.test"]}),
        ask(house, "PUT", f"{message_id}/sender", {"sender": "b@x.test"}),
        ask(house, "POST", "actions/deliver", one),
    ]
    wait_until(lambda: house.listed(status="deferred")["meta"]["total"] == 1, "it was tried")
    [listed] = house.listed()["data"]["messages"]
    answers.append(ask(house, "POST", "actions/bounce", one))
    house.wait_for()
    other = house.exim.submit("u@defer.test")
    house.wait_for(other)
    answers.append(ask(house, "DELETE", "", {"message_id": other}))
    house.wait_for()

    assert [each.status_code for each in answers] == [200] * 8, [each.text for each in answers]
    assert content["content"] == "what is said\n"
    assert "Received from a@x.test" in content["message_log"]
    assert {"name": "Subject", "value": "hello"} in content["headers"]
    assert (listed["sender"], listed["delivered"]) == ("b@x.test", ["v@defer.test"])
    assert set(listed["recipients"]) == {f"{each}@defer.test" for each in "uvw"}
    said = house.exim.plain_log()
    for deed in ("frozen", "unfrozen", "cancelled"):
        assert f"{message_id} {deed} by {USER}" in said
    assert f"{other} removed by {USER}" in said
    logged = lambda: {  # noqa: E731
        each["event"]
        for each in house.http.get(f"/api/v1/logs/messages/{message_id}/history").json()["data"][
            "history"
        ]
    }
    wait_until(lambda: {"arrival", "defer"} <= logged(), "the log is read")


def test_delivery_within_the_units_walls_reaches_a_mailbox(house: PlainHouse) -> None:
    message_id = house.exim.submit("u@home.test", body="for a box\n")
    house.wait_for(message_id)

    ask(house, "POST", "actions/deliver", {"message_id": message_id}).raise_for_status()
    house.wait_for()

    box = house.exim.boxes / "box"
    assert "for a box" in box.read_text()
    assert box.owner() == "nobody"


# What Exim is told for each action and for each look at a message.
OPTIONS = ("-bp", "-bpc", "-M", "-Mf", "-Mt", "-Mrm", "-Mg", "-Mar", "-Mes", "-Mmd", "-Mmad")
LOOKS = ("-Mvh", "-Mvb", "-Mvl", "-Mvc")


@pytest.mark.parametrize("option", [*OPTIONS, *LOOKS])
def test_exim_refuses_who_the_api_is(house: PlainHouse, option: str) -> None:
    message_id = house.exim.submit("u@defer.test", body="what is said\n")
    before = state(house)
    arguments = [] if option.startswith("-bp") else [message_id]
    arguments += ["<v@defer.test>"] if option in {"-Mar", "-Mes", "-Mmd"} else []

    for flags in ((), ("--no-new-privs",)):
        said = house.stranger.run(EXIM, option, *arguments, flags=flags)

        assert said.returncode == 1
        assert "ermission denied" in said.stdout + said.stderr
        assert "what is said" not in said.stdout
    assert state(house) == before


def test_who_the_api_is_reads_no_spool_and_no_log(house: PlainHouse) -> None:
    house.exim.submit("u@defer.test")

    for place in (house.exim.spool, str(house.exim.logs)):
        seen = house.stranger.run("find", place, "-mindepth", "1")

        assert seen.stdout == ""
        assert "Permission denied" in seen.stderr


def test_api_starts_no_program_whatever_is_asked(house: PlainHouse) -> None:
    before = house.started.read_text() if house.started.exists() else ""
    assert "exim" not in before
    message_id = house.exim.submit("ok@far.test")
    house.wait_for(message_id)
    one, many = {"message_id": message_id}, {"message_ids": [message_id]}

    looks = ("", "health", "statistics", "groups?by=host", "hosts", "export", message_id)
    answers = [ask(house, "GET", path) for path in looks]
    answers.append(house.http.get(f"/api/v1/messages/{message_id}/content"))
    answers += [ask(house, "POST", f"actions/{each}", one) for each in ("freeze", "thaw")]
    answers.append(ask(house, "POST", "actions/deliver", one))
    ask(house, "DELETE", "", many)
    house.wait_for()

    assert {each.status_code for each in answers} == {200}
    after = house.started.read_text() if house.started.exists() else ""
    assert after == before


def test_witness_notes_programs_that_are_started(house: PlainHouse, tmp_path: Path) -> None:
    del house
    site = witness(tmp_path)

    program = "import subprocess; subprocess.run(['true'])"
    subprocess.run(
        [sys.executable, "-c", program], env={**os.environ, "PYTHONPATH": str(site)}, check=True
    )

    assert "'true'" in (tmp_path / "started").read_text()


def test_without_new_privileges_exims_own_are_out_of_reach(house: PlainHouse) -> None:
    # So no unit that says `NoNewPrivileges` can look after an Exim.
    message_id = house.exim.submit("u@defer.test")
    before = state(house)

    for option in ("-Mf", "-Mrm", "-M", "-Mg"):
        house.insider.run(EXIM, option, message_id, flags=("--no-new-privs",))

    assert state(house) == before


def test_host_process_that_may_not_look_says_so(house: PlainHouse) -> None:
    url = {"BROKER_URL": house.system.redis_url, "EXIM": EXIM}
    process = house.stranger.start("mail-watch", "--host", "mx9", settings=url)
    try:
        [line, *_] = wait_until(
            lambda: process.log_lines("mail_not_watched"), "it says so", process=process
        )
    finally:
        process.stop()

    assert "ermission denied" in line["reason"]
    hosts = house.http.get("/api/v1/queue/hosts").json()["data"]["hosts"]
    assert [each["name"] for each in hosts] == ["mx1"]


def seen(user: PlainUser, house: PlainHouse, flags: Sequence[str] = ()) -> dict[str, str]:
    """Return what `mail-watch --check` says of each subject: its level, and what to do."""
    process = user.start(
        *("mail-watch", "--check", "--json", "--host", "mx1"),
        settings={"BROKER_URL": house.system.redis_url, "EXIM": EXIM},
        flags=flags,
    )
    code = process.wait(60)
    findings = json.loads(process.log())
    assert code == int(any(each["level"] == "fault" for each in findings))
    facts = ("level", "fact", "advice")
    return {each["subject"]: " ".join(each[name] for name in facts) for each in findings}


def test_check_finds_a_member_of_both_groups_well_set_up(house: PlainHouse) -> None:
    said = seen(house.insider, house, capabilities_of_the_unit())

    assert {subject: each.split()[0] for subject, each in said.items()} == dict.fromkeys(
        ("exim", "spool", "acting", "log", "broker", "clock"), "ok"
    )


def test_check_names_the_groups_that_a_user_is_not_in(house: PlainHouse) -> None:
    said = seen(house.stranger, house)

    for subject, level, group in (
        ("spool", "fault", EXIM_GROUP),
        ("acting", "fault", EXIM_GROUP),
        ("log", "warn", LOG_GROUP),
    ):
        assert said[subject].startswith(level)
        assert f"usermod --append --groups {group} {USER}" in said[subject]


def test_check_names_walls_that_exim_would_hit(house: PlainHouse) -> None:
    said = seen(house.insider, house, ("--no-new-privs",))

    assert said["acting"].startswith("fault")
    assert "NoNewPrivileges" in said["acting"]
