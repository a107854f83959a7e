"""The commands of docs/mail-host.md, in the order of the page, beside an Exim and a Redis."""

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

from models.mail.host_check import compare_clocks
from tests.mail.exim_server import EximServer
from tests.mail.host_pair import PAGE, rights_of_page
from tests.servers import ROOT, RedisServer

BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
COMMANDS = [text for language, text in BLOCKS if language == "sh"]
# What Debian's package has, for the one thing that the page does with it.
_REDIS_CLI = """#!{python}
import sys
import redis
with redis.Redis.from_url({url!r}) as client:
    print(client.execute_command(*sys.argv[1:]))
"""


@pytest.fixture(scope="module")
def broker(new_folder: Callable[[str], Path]) -> Iterator[RedisServer]:
    """A Redis whose users are made and left here."""
    with RedisServer(new_folder("r")) as server:
        yield server


@pytest.fixture(scope="module")
def programs(
    exim_server: EximServer, new_folder: Callable[[str], Path], broker: RedisServer
) -> dict[str, str]:
    """An environment in which `stanchion` and `redis-cli` are commands."""
    folder = new_folder("b")
    redis_cli = _REDIS_CLI.format(python=sys.executable, url=broker.url)
    texts = {
        "stanchion": f'#!/bin/sh\nexec {sys.executable} -m api.cli "$@"\n',
        "redis-cli": redis_cli,
    }
    for name, text in texts.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    return {
        "PATH": f"{folder}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "STANCHION_BROKER_URL": broker.url,
        "STANCHION_DATA": str(folder / "data"),
        "STANCHION_EXIM": " ".join(exim_server.command),
    }


def test_each_block_says_whether_it_is_run() -> None:
    assert {language for language, _ in BLOCKS} == {"sh", "text"}


@pytest.mark.parametrize("command", COMMANDS, ids=lambda text: text.split("\n")[0][:40])
def test_command_works(programs: dict[str, str], command: str) -> None:
    answer = subprocess.run(
        ["sh", "-eu"],
        input=command,
        check=False,
        cwd=programs["STANCHION_DATA"].rpartition("/")[0],
        env=programs,
        capture_output=True,
        text=True,
    )

    assert answer.returncode == 0, answer.stdout + answer.stderr


@pytest.mark.parametrize(
    "command",
    [
        # Of other hosts, of the house's workers, of what else lies in Redis.
        *("LRANGE mail.mx1 0 -1", "BRPOP mail.mx1 1", "LPUSH mail.mx1 x", "LPUSH mail.mx20 x"),
        *("LPUSH messages x", "LPUSH system x", "BRPOP mail 1", "RPUSH mail x", "LRANGE mail 0 -1"),
        *("HGET unacked x", "HGET unacked/mail.mx1 x", "SET unacked_mutex x", "DEL mail"),
        *("SADD _kombu.binding.system x", "SMEMBERS _kombu.binding.mail.mx1"),
        "XRANGE events:mail - +",
        *("GET vitals:workers", "KEYS *", "SCAN 0", "FLUSHALL", "CONFIG GET *", "ACL LIST"),
        *("MONITOR", "CLIENT LIST", "PUBLISH /0.celery.pidbox x", "SUBSCRIBE /0.celeryev/x"),
    ],
)
def test_a_host_may_do_nothing_else_with_the_broker(broker: RedisServer, command: str) -> None:
    with redis.Redis.from_url(broker.url) as house:
        house.execute_command(*rights_of_page("mx2", "a-password"))
    with redis.Redis.from_url(broker.url, username="mx2", password="a-password") as host:
        assert host.execute_command("LLEN", "mail.mx2") == 0
        assert host.execute_command("LLEN", "mail") == 0

        with pytest.raises(redis.exceptions.NoPermissionError):
            host.execute_command(*command.split(" "))
        # Nor by way of a script, which it may run.
        quoted = ",".join(f"'{word}'" for word in command.split(" "))
        with pytest.raises(redis.ResponseError, match=r"(?i)permission|not allowed from script"):
            host.eval(f"return redis.call({quoted})", 0)


@pytest.mark.parametrize(
    ("here_ms", "is_good", "said"),
    [
        (1_000_000, True, "behind"),
        (1_002_900, True, "2.9 s ahead of"),
        (1_004_000, False, "orders are over when they come"),
        (990_000, False, "orders are begun when they are over"),
    ],
)
def test_clocks_that_differ_by_much_are_a_fault(
    here_ms: int,
    is_good: bool,  # noqa: FBT001
    said: str,
) -> None:
    sight = compare_clocks(1_000_000, here_ms)

    assert sight.is_good is is_good
    assert said in sight.fact


@pytest.mark.parametrize(
    "name", re.findall(r"deploy/systemd/([\w.-]+)|`([\w-]+\.service)`", PAGE), ids=str
)
def test_each_file_that_the_page_names_is_there(name: tuple[str, str]) -> None:
    assert (ROOT / "deploy" / "systemd" / (name[0] or name[1])).is_file()


def test_each_event_that_the_page_explains_is_logged() -> None:
    told = set(re.findall(r"^\| `(mail_\w+)`", PAGE, re.MULTILINE))
    sources = "".join(path.read_text() for path in (ROOT / "workers").glob("mail*.py"))

    assert told
    assert {each for each in told if f'"{each}"' not in sources} == set()
