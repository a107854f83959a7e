"""The commands of docs/mail-host.md, in the order of the page, beside an Exim and a Redis."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from models.mail.host_check import compare_clocks
from tests.mail.exim_server import EximServer
from tests.mail.host_pair import PAGE
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
def programs(
    exim_server: EximServer, new_folder: Callable[[str], Path], redis_server: RedisServer
) -> dict[str, str]:
    """An environment in which `stanchion` and `redis-cli` are commands."""
    folder = new_folder("b")
    redis_cli = _REDIS_CLI.format(python=sys.executable, url=redis_server.url)
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
        "STANCHION_BROKER_URL": redis_server.url,
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
